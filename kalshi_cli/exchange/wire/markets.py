"""REST bodies of markets in three depths: for lists (`ListedMarketBody`), for trading, and with every field.

Decoding what trading needs of fifty thousand markets takes three times as long as decoding what lists show.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import field

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, parse_ts
from kalshi_cli.core.model.markets import ComboLeg, ListedMarket, Market, MarketDetails, MarketStatus
from kalshi_cli.core.model.messages import BookSnapshot, Level, PublicTrade
from kalshi_cli.exchange.wire import values
from kalshi_cli.exchange.wire.values import Moment, ParsedTexts, Text, Unit, convert


def _quote(text: str) -> Price | None:
    return values.quote_price(text) if text else None


def _price(text: str | None) -> Price | None:
    return values.outcome_price(text) if text else None


_AnyQuote = Annotated[str | None, Unit(_quote)]


class _MarketBody(msgspec.Struct, gc=False, kw_only=True):
    """The fields that both of the next two need."""

    ticker: str
    event_ticker: str
    status: str
    yes_bid_dollars: str
    yes_ask_dollars: str
    last_price_dollars: str
    volume_fp: str
    volume_24h_fp: str
    open_interest_fp: str
    title: str = ""
    yes_sub_title: str = ""


class ListedMarketBody(_MarketBody, gc=False, kw_only=True):
    """The fields that lists show; the rest of the object is skipped."""

    close_time: str


class MarketSummaryBody(_MarketBody, gc=False, kw_only=True):
    """The fields that trading needs; the rest of the object is skipped."""

    price_ranges: tuple[values.PriceRange, ...]
    yes_bid_size_fp: str
    yes_ask_size_fp: str
    open_time: Moment
    close_time: Moment
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


class ComboLegBody(msgspec.Struct, gc=False):
    """A leg of a combo."""

    event_ticker: str = ""
    market_ticker: str = ""
    side: str = ""
    settlement_value: values.OptionalPrice = field(name="yes_settlement_value_dollars", default=None)


class MarketDetailsBody(MarketSummaryBody, gc=False):
    """The whole object. Missing text is empty; missing times and prices are None."""

    market_type: str = "binary"
    no_subtitle: str = field(name="no_sub_title", default="")
    created: Moment | None = field(name="created_time", default=None)
    updated: Moment | None = field(name="updated_time", default=None)
    latest_expiration_time: Moment | None = None
    expiration_time: Moment | None = None
    occurrence_time: Moment | None = field(name="occurrence_datetime", default=None)
    settlement_timer_s: int | None = field(name="settlement_timer_seconds", default=None)
    previous_bid: _AnyQuote = field(name="previous_yes_bid_dollars", default=None)
    previous_ask: _AnyQuote = field(name="previous_yes_ask_dollars", default=None)
    notional: values.OptionalPrice = field(name="notional_value_dollars", default=None)
    expiration_value: str = ""
    settlement_bounds: str = field(name="settlement_bounds_type", default="")
    settlement_floor: values.OptionalPrice = field(name="settlement_floor_dollars", default=None)
    functional_strike: Text = None
    custom_strike: dict[str, object] | None = None
    mve_collection: Text = field(name="mve_collection_ticker", default=None)
    mve_legs: list[ComboLegBody] | None = field(name="mve_selected_legs", default=None)
    primary_participant: Text = field(name="primary_participant_key", default=None)
    is_provisional: bool = False


_quotes = ParsedTexts(values.quote_price)
_last_prices = ParsedTexts(lambda text: values.outcome_price(text) or None)  # 0.0000: never traded
_sizes = ParsedTexts(values.quote_size)
_counts = ParsedTexts(values.parse_non_negative_count)
_times = ParsedTexts(parse_ts)
_statuses = ParsedTexts(MarketStatus)


def listed_market_of(wire: ListedMarketBody) -> ListedMarket:
    """Return the fields that lists show; ValueError for an unreadable field."""
    try:
        return ListedMarket(
            ticker=wire.ticker,
            event_ticker=wire.event_ticker,
            title=wire.title,
            status=_statuses[wire.status],
            yes_bid=_quotes[wire.yes_bid_dollars],
            yes_ask=_quotes[wire.yes_ask_dollars],
            last=_last_prices[wire.last_price_dollars],
            volume=_counts[wire.volume_fp],
            volume_24h=_counts[wire.volume_24h_fp],
            open_interest=_counts[wire.open_interest_fp],
            close_time=_times[wire.close_time],
            subtitle=wire.yes_sub_title,
        )
    except ValueError as error:
        raise ValueError(f"market {wire.ticker}: {error}") from error


def market_of(wire: MarketSummaryBody) -> Market:
    """Return the fields that trading needs; ValueError for an unreadable field."""
    try:
        return Market(
            ticker=wire.ticker,
            event_ticker=wire.event_ticker,
            title=wire.title,
            status=_statuses[wire.status],
            grid=values.grid_of(wire.price_ranges),
            yes_bid=_quotes[wire.yes_bid_dollars],
            yes_bid_size=_sizes[wire.yes_bid_size_fp],
            yes_ask=_quotes[wire.yes_ask_dollars],
            yes_ask_size=_sizes[wire.yes_ask_size_fp],
            last=_last_prices[wire.last_price_dollars],
            volume=_counts[wire.volume_fp],
            volume_24h=_counts[wire.volume_24h_fp],
            open_interest=_counts[wire.open_interest_fp],
            open_time=values.ts_of(wire.open_time),
            close_time=values.ts_of(wire.close_time),
            expected_expiration_time=values.parse_optional_time(wire.expected_expiration_time),
            result=wire.result,
            settlement_value=_price(wire.settlement_value_dollars),
            settlement_ts=values.parse_optional_time(wire.settlement_ts),
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
            fee_waiver_until=values.parse_optional_time(wire.fee_waiver_expiration_time),
            previous_price=_price(wire.previous_price_dollars) or None,  # 0.0000: it had not traded a day ago
        )
    except ValueError as error:
        raise ValueError(f"market {wire.ticker}: {error}") from error


def details_of(wire: MarketDetailsBody) -> MarketDetails:
    """Return the whole market; ValueError for an unreadable field."""
    lean = market_of(wire)
    known = {name: getattr(lean, name) for name in Market.__struct_fields__}
    try:
        return convert(MarketDetails, wire, **known, mve_legs=tuple(map(leg_of, wire.mve_legs or ())))
    except ValueError as error:
        raise ValueError(f"market {wire.ticker}: {error}") from error


def leg_of(wire: ComboLegBody) -> ComboLeg:
    """Return a leg of a combo."""
    return convert(ComboLeg, wire)


read_market = values.single("market", MarketDetailsBody, details_of, "a market")
"""`GET /markets/{ticker}` and `GET /historical/markets/{ticker}`, with every field."""
read_listed_markets = values.paged("markets", ListedMarketBody, listed_market_of, "markets", is_required=True)
"""`GET /markets`, with the fields that lists show."""
read_markets = values.paged("markets", MarketSummaryBody, market_of, "markets", is_required=True)
"""`GET /markets` and `GET /historical/markets`, with the fields that trading needs."""
read_whole_markets = values.paged("markets", MarketDetailsBody, details_of, "markets", is_required=True)
"""The same lists with every field, for short ones."""


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


def _bids(pairs: _Pairs | None) -> tuple[Level, ...]:
    return tuple((values.parse_book_price(price), values.parse_non_negative_count(qty)) for price, qty in pairs or ())


def _book(wire: _Book, ticker: str, now: Ts) -> BookSnapshot:
    """Convert a book. The exchange sends two lists of bids; a bid for NO at q is an offer of YES at 1 - q."""
    asks = tuple((Price(ONE_DOLLAR - price), qty) for price, qty in _bids(wire.no_dollars))
    return BookSnapshot(now, ticker, _bids(wire.yes_dollars), asks)


def _trade(wire: _Trade) -> PublicTrade:
    return PublicTrade(
        values.ts_of(wire.created_time),
        wire.ticker,
        wire.trade_id,
        values.outcome_price(wire.yes_price_dollars),
        values.parse_non_negative_count(wire.count_fp),
        values.book_side(wire.taker_book_side, wire.taker_outcome_side),
        wire.is_block_trade,
    )


_book_body = msgspec.json.Decoder(prepared(_BookBody))


def read_orderbook(body: bytes, ticker: str, now: Ts) -> BookSnapshot:
    """Return the book of `GET /markets/{ticker}/orderbook`, whose body has neither ticker nor time."""
    return values.read(_book_body, lambda wire: _book(wire.orderbook_fp, ticker, now), body, f"the book of {ticker}")


def _books(wire: _BooksBody, now: Ts) -> list[BookSnapshot]:
    return [_book(each.orderbook_fp, each.ticker, now) for each in wire.orderbooks]


read_orderbooks = values.whole(_BooksBody, _books, "books")
"""`GET /markets/orderbooks`, as of now."""
read_trades = values.paged("trades", _Trade, _trade, "trades", is_required=True)
"""`GET /markets/trades` and `GET /historical/trades`, newest first."""
