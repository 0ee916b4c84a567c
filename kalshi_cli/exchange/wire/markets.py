"""The REST bodies of markets, in two depths: `Listed` for lists of tens of thousands, `Details` with everything.

Decoding all fields of fifty thousand markets would cost half as much again, for times and texts that no list shows.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts
from kalshi_cli.core.model.markets import Market, MarketDetails, MarketStatus, MveLeg
from kalshi_cli.core.model.messages import BookSnapshot, Level, PublicTrade
from kalshi_cli.exchange.wire.values import (
    Moment,
    Page,
    PriceRange,
    book_side,
    grid_of,
    level_price,
    maybe_ts,
    no_negative,
    outcome_price,
    quote_price,
    quote_size,
    read,
    ts_of,
)


class Listed(msgspec.Struct, gc=False):
    """What trading needs. The rest of the object is skipped."""

    ticker: str
    event_ticker: str
    status: str
    price_ranges: tuple[PriceRange, ...]
    yes_bid_dollars: str
    yes_bid_size_fp: str
    yes_ask_dollars: str
    yes_ask_size_fp: str
    last_price_dollars: str
    volume_fp: str
    volume_24h_fp: str
    open_interest_fp: str
    open_time: Moment
    close_time: Moment
    title: str = ""
    yes_sub_title: str = ""
    result: str = ""
    expected_expiration_time: Moment | None = None
    settlement_value_dollars: str | None = None
    settlement_ts: Moment | None = None
    fee_waiver_expiration_time: Moment | None = None
    exchange_index: int = 0
    strike_type: str | None = None
    floor_strike: float | None = None
    cap_strike: float | None = None
    rules_primary: str = ""
    rules_secondary: str = ""
    price_level_structure: str = ""
    can_close_early: bool = False
    early_close_condition: str | None = None
    previous_price_dollars: str | None = None


class Leg(msgspec.Struct, gc=False):
    event_ticker: str = ""
    market_ticker: str = ""
    side: str = ""
    yes_settlement_value_dollars: str | None = None


class Details(Listed, gc=False):
    """The whole object. Text that the exchange may leave out is empty, times and prices are None."""

    market_type: str = "binary"
    no_sub_title: str = ""
    created_time: Moment | None = None
    updated_time: Moment | None = None
    latest_expiration_time: Moment | None = None
    expiration_time: Moment | None = None
    occurrence_datetime: Moment | None = None
    settlement_timer_seconds: int | None = None
    previous_yes_bid_dollars: str | None = None
    previous_yes_ask_dollars: str | None = None
    notional_value_dollars: str | None = None
    expiration_value: str = ""
    settlement_bounds_type: str = ""
    settlement_floor_dollars: str | None = None
    functional_strike: str | None = None
    custom_strike: dict[str, object] | None = None
    mve_collection_ticker: str | None = None
    mve_selected_legs: list[Leg] | None = None
    primary_participant_key: str | None = None
    is_provisional: bool = False


class _MarketBody(msgspec.Struct):
    market: Details


class _MarketsBody(msgspec.Struct):
    markets: list[Listed]
    cursor: str | None = None


def market_of(wire: Listed) -> Market:
    """The half of a market that trading needs; ValueError where a field cannot be read."""
    value = wire.settlement_value_dollars
    try:
        return Market(
            ticker=wire.ticker,
            event_ticker=wire.event_ticker,
            title=wire.title,
            status=MarketStatus(wire.status),
            grid=grid_of(wire.price_ranges),
            yes_bid=quote_price(wire.yes_bid_dollars),
            yes_bid_size=quote_size(wire.yes_bid_size_fp),
            yes_ask=quote_price(wire.yes_ask_dollars),
            yes_ask_size=quote_size(wire.yes_ask_size_fp),
            last=outcome_price(wire.last_price_dollars) or None,  # 0.0000: nothing ever traded
            volume=no_negative(wire.volume_fp),
            volume_24h=no_negative(wire.volume_24h_fp),
            open_interest=no_negative(wire.open_interest_fp),
            open_time=ts_of(wire.open_time),
            close_time=ts_of(wire.close_time),
            expected_expiration_time=maybe_ts(wire.expected_expiration_time),
            result=wire.result,
            settlement_value=outcome_price(value) if value else None,
            settlement_ts=maybe_ts(wire.settlement_ts),
            exchange_index=wire.exchange_index,
            subtitle=wire.yes_sub_title,
            strike_type=wire.strike_type or "",
            floor_strike=wire.floor_strike,
            cap_strike=wire.cap_strike,
            rules_primary=wire.rules_primary,
            rules_secondary=wire.rules_secondary,
            price_structure=wire.price_level_structure,
            can_close_early=wire.can_close_early,
            early_close_condition=wire.early_close_condition or "",
            fee_waiver_until=maybe_ts(wire.fee_waiver_expiration_time),
            previous_price=_price(wire.previous_price_dollars) or None,  # 0.0000: it had not traded a day ago
        )
    except ValueError as error:
        raise ValueError(f"market {wire.ticker}: {error}") from error


def details_of(wire: Details) -> MarketDetails:
    """The whole market; ValueError where a field cannot be read."""
    lean = market_of(wire)
    try:
        return MarketDetails(
            **{name: getattr(lean, name) for name in Market.__struct_fields__},
            market_type=wire.market_type,
            no_subtitle=wire.no_sub_title,
            created=maybe_ts(wire.created_time),
            updated=maybe_ts(wire.updated_time),
            latest_expiration_time=maybe_ts(wire.latest_expiration_time),
            expiration_time=maybe_ts(wire.expiration_time),
            occurrence_time=maybe_ts(wire.occurrence_datetime),
            settlement_timer_s=wire.settlement_timer_seconds,
            previous_bid=_quote(wire.previous_yes_bid_dollars),
            previous_ask=_quote(wire.previous_yes_ask_dollars),
            notional=_price(wire.notional_value_dollars),
            expiration_value=wire.expiration_value,
            settlement_bounds=wire.settlement_bounds_type,
            settlement_floor=_price(wire.settlement_floor_dollars),
            functional_strike=wire.functional_strike or "",
            custom_strike=wire.custom_strike,
            mve_collection=wire.mve_collection_ticker or "",
            mve_legs=tuple(leg_of(leg) for leg in wire.mve_selected_legs or ()),
            primary_participant=wire.primary_participant_key or "",
            is_provisional=wire.is_provisional,
        )
    except ValueError as error:
        raise ValueError(f"market {wire.ticker}: {error}") from error


def _quote(text: str | None) -> Price | None:
    return quote_price(text) if text else None


def _price(text: str | None) -> Price | None:
    return outcome_price(text) if text else None


def leg_of(wire: Leg) -> MveLeg:
    return MveLeg(
        event_ticker=wire.event_ticker,
        market_ticker=wire.market_ticker,
        side=wire.side,
        settlement_value=_price(wire.yes_settlement_value_dollars),
    )


class _WholeMarketsBody(msgspec.Struct):
    markets: list[Details]
    cursor: str | None = None


_market_body = msgspec.json.Decoder(_MarketBody)
_markets_body = msgspec.json.Decoder(_MarketsBody)
_whole_markets_body = msgspec.json.Decoder(_WholeMarketsBody)


def read_market(body: bytes) -> MarketDetails:
    """`GET /markets/{ticker}` and `GET /historical/markets/{ticker}`, with everything in it."""
    return read(_market_body, lambda wire: details_of(wire.market), body, "a market")


def read_markets(body: bytes) -> Page[Market]:
    """`GET /markets` and `GET /historical/markets`: of tens of thousands, only what trading needs."""
    return read(_markets_body, lambda w: Page([market_of(m) for m in w.markets], w.cursor or ""), body, "markets")


def read_whole_markets(body: bytes) -> Page[MarketDetails]:
    """The same lists with everything, for those that are short."""
    return read(_whole_markets_body, lambda w: Page(list(map(details_of, w.markets)), w.cursor or ""), body, "markets")


# -- books and trades ---------------------------------------------------------------------------------------------
_Pairs = list[tuple[str, str]]


class _Book(msgspec.Struct, gc=False):
    yes_dollars: _Pairs | None = None  # an empty side: an empty list, null, or no key at all (all seen in 2026)
    no_dollars: _Pairs | None = None


class _BookBody(msgspec.Struct):
    orderbook_fp: _Book


class _NamedBook(msgspec.Struct):
    ticker: str
    orderbook_fp: _Book


class _BooksBody(msgspec.Struct):
    orderbooks: list[_NamedBook]


class _Trade(msgspec.Struct, gc=False):
    trade_id: str
    ticker: str
    count_fp: str
    yes_price_dollars: str
    created_time: Moment
    taker_book_side: str | None = None
    taker_outcome_side: str | None = None
    is_block_trade: bool = False


class _TradesBody(msgspec.Struct):
    trades: list[_Trade]
    cursor: str | None = None


def _bids(pairs: _Pairs | None) -> tuple[Level, ...]:
    return tuple((level_price(price), no_negative(qty)) for price, qty in pairs or ())


def _book(wire: _Book, ticker: str, now: Ts) -> BookSnapshot:
    """Two lists of bids on the wire; a bid for NO at q is an offer of YES at 1 - q."""
    asks = tuple((Price(ONE_DOLLAR - price), qty) for price, qty in _bids(wire.no_dollars))
    return BookSnapshot(now, ticker, _bids(wire.yes_dollars), asks)


def _trade(wire: _Trade) -> PublicTrade:
    return PublicTrade(
        ts_of(wire.created_time),
        wire.ticker,
        wire.trade_id,
        outcome_price(wire.yes_price_dollars),
        no_negative(wire.count_fp),
        book_side(wire.taker_book_side, wire.taker_outcome_side),
        wire.is_block_trade,
    )


_book_body = msgspec.json.Decoder(_BookBody)
_books_body = msgspec.json.Decoder(_BooksBody)
_trades_body = msgspec.json.Decoder(_TradesBody)


def read_orderbook(body: bytes, ticker: str, now: Ts) -> BookSnapshot:
    """`GET /markets/{ticker}/orderbook`; the body says neither which market it is nor when."""
    return read(_book_body, lambda wire: _book(wire.orderbook_fp, ticker, now), body, f"the book of {ticker}")


def read_orderbooks(body: bytes, now: Ts) -> list[BookSnapshot]:
    """`GET /markets/orderbooks`."""
    return read(
        _books_body, lambda wire: [_book(b.orderbook_fp, b.ticker, now) for b in wire.orderbooks], body, "books"
    )


def read_trades(body: bytes) -> Page[PublicTrade]:
    """`GET /markets/trades` and `GET /historical/trades`, newest first."""
    return read(_trades_body, lambda w: Page([_trade(t) for t in w.trades], w.cursor or ""), body, "trades")
