"""The REST bodies of markets and of the exchange itself: JSON -> core.model.

Strict where money is: a missing or unreadable price, count or time is a WireError that names the field, never a zero.
Deaf to the rest: unknown fields are skipped, unknown enum values become UNKNOWN. The account's bodies are in
`wire_account`, the stream's frames in `wire_stream`, refusals in `replies`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

import msgspec

from kalshi_cli.core.messages import BookSnapshot, Level, PublicTrade
from kalshi_cli.core.model import Event, ExchangeStatus, FeeSchedule, FeeType, Market, MarketStatus, Series
from kalshi_cli.errors import UnreachableError
from kalshi_cli.exchange.scalars import (
    Moment,
    PriceRange,
    book_side,
    grid_of,
    level_price,
    maybe_ts,
    no_negative,
    outcome_price,
    quote_price,
    quote_size,
    ts_of,
)
from kalshi_cli.units import ONE_DOLLAR, Price, Ts

T = TypeVar("T")
W = TypeVar("W")


class WireError(UnreachableError):
    """A reply that cannot be read: broken, cut short, or without a field that we will not guess."""

    default_code = "unreadable_reply"


class Page(NamedTuple, Generic[T]):
    """Part of a list. An empty cursor means that it was the last."""

    items: list[T]
    cursor: str


def read(decoder: msgspec.json.Decoder[W], convert: Callable[[W], T], body: bytes, what: str) -> T:
    """Decode and convert, or WireError: no other exception comes out of a reply, whatever its bytes."""
    try:
        return convert(decoder.decode(body))
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        raise WireError(
            f"the exchange's answer about {what} cannot be read: {str(error)[:300]}",
            hint="try again; if it stays, the exchange changed its format and this program needs an update",
        ) from error


# -- markets ------------------------------------------------------------------------------------------------------


class _Market(msgspec.Struct, gc=False):
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


class _MarketBody(msgspec.Struct):
    market: _Market


class _MarketsBody(msgspec.Struct):
    markets: list[_Market]
    cursor: str | None = None


def _market(wire: _Market) -> Market:
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
        )
    except ValueError as error:
        raise ValueError(f"market {wire.ticker}: {error}") from error


_market_body = msgspec.json.Decoder(_MarketBody)
_markets_body = msgspec.json.Decoder(_MarketsBody)


def read_market(body: bytes) -> Market:
    """`GET /markets/{ticker}`."""
    return read(_market_body, lambda wire: _market(wire.market), body, "a market")


def read_markets(body: bytes) -> Page[Market]:
    """`GET /markets`."""
    return read(_markets_body, lambda w: Page([_market(m) for m in w.markets], w.cursor or ""), body, "markets")


# -- events and series --------------------------------------------------------------------------------------------


class _Source(msgspec.Struct, gc=False):
    name: str | None = None
    url: str | None = None


class _Event(msgspec.Struct, gc=False):
    event_ticker: str
    series_ticker: str
    mutually_exclusive: bool
    title: str = ""
    fee_type_override: str | None = None
    fee_multiplier_override: float | None = None
    settlement_sources: list[_Source] | None = None


class _EventBody(msgspec.Struct):
    event: _Event


class _Series(msgspec.Struct, gc=False):
    ticker: str
    fee_type: str
    fee_multiplier: float
    title: str = ""
    category: str = ""
    frequency: str = ""
    settlement_sources: list[_Source] | None = None


class _SeriesBody(msgspec.Struct):
    series: _Series


def _thousandths(multiplier: float) -> int:
    """A fee multiplier, one of the few JSON numbers that matter: 0.5 -> 500."""
    if not 0 <= multiplier <= 1000:
        raise ValueError(f"an impossible fee multiplier: {multiplier}")
    return round(multiplier * 1000)


def _sources(wire: list[_Source] | None) -> tuple[tuple[str, str], ...]:
    return tuple((source.name or "", source.url or "") for source in wire or ())


def _event(wire: _Event) -> Event:
    multiplier = wire.fee_multiplier_override
    return Event(
        event_ticker=wire.event_ticker,
        series_ticker=wire.series_ticker,
        title=wire.title,
        mutually_exclusive=wire.mutually_exclusive,
        fee_type_override=FeeType(wire.fee_type_override) if wire.fee_type_override else None,
        fee_multiplier_override=None if multiplier is None else _thousandths(multiplier),
        settlement_sources=_sources(wire.settlement_sources),
    )


def _series(wire: _Series) -> Series:
    return Series(
        ticker=wire.ticker,
        title=wire.title,
        category=wire.category,
        frequency=wire.frequency,
        fees=FeeSchedule(FeeType(wire.fee_type), _thousandths(wire.fee_multiplier)),
        settlement_sources=_sources(wire.settlement_sources),
    )


_event_body = msgspec.json.Decoder(_EventBody)
_series_body = msgspec.json.Decoder(_SeriesBody)


def read_event(body: bytes) -> Event:
    """`GET /events/{event_ticker}`."""
    return read(_event_body, lambda wire: _event(wire.event), body, "an event")


def read_series(body: bytes) -> Series:
    """`GET /series/{series_ticker}`."""
    return read(_series_body, lambda wire: _series(wire.series), body, "a series")


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
    """`GET /markets/trades`, newest first."""
    return read(_trades_body, lambda w: Page([_trade(t) for t in w.trades], w.cursor or ""), body, "trades")


# -- the exchange -------------------------------------------------------------------------------------------------


class _Status(msgspec.Struct, gc=False):
    exchange_active: bool
    trading_active: bool
    exchange_estimated_resume_time: Moment | None = None


class OpenHours(msgspec.Struct, frozen=True):
    """From when to when the exchange is open: "HH:MM", Eastern time."""

    open_time: str
    close_time: str


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """The opening hours of a week, valid from `start_time` to `end_time` (as the exchange writes them)."""

    start_time: str = ""
    end_time: str = ""
    monday: tuple[OpenHours, ...] = ()
    tuesday: tuple[OpenHours, ...] = ()
    wednesday: tuple[OpenHours, ...] = ()
    thursday: tuple[OpenHours, ...] = ()
    friday: tuple[OpenHours, ...] = ()
    saturday: tuple[OpenHours, ...] = ()
    sunday: tuple[OpenHours, ...] = ()


class Schedule(msgspec.Struct, frozen=True):
    """When the exchange is open, and the announced maintenance windows as (start, end)."""

    weeks: tuple[Week, ...]
    maintenance: tuple[tuple[Ts, Ts], ...]


class _Window(msgspec.Struct, gc=False):
    start_datetime: Moment
    end_datetime: Moment


class _Schedule(msgspec.Struct, gc=False):
    standard_hours: list[Week] | None = None
    maintenance_windows: list[_Window] | None = None


class _ScheduleBody(msgspec.Struct):
    schedule: _Schedule


class _AsOf(msgspec.Struct):
    as_of_time: Moment


def _status(wire: _Status) -> ExchangeStatus:
    return ExchangeStatus(
        exchange_active=wire.exchange_active,
        trading_active=wire.trading_active,
        estimated_resume=maybe_ts(wire.exchange_estimated_resume_time),
    )


def _schedule(wire: _Schedule) -> Schedule:
    windows = [(ts_of(window.start_datetime), ts_of(window.end_datetime)) for window in wire.maintenance_windows or ()]
    return Schedule(tuple(wire.standard_hours or ()), tuple(sorted(windows)))


_status_body = msgspec.json.Decoder(_Status)
_schedule_body = msgspec.json.Decoder(_ScheduleBody)
_as_of_body = msgspec.json.Decoder(_AsOf)


def read_status(body: bytes) -> ExchangeStatus:
    """`GET /exchange/status`; a 503 or 504 may carry the same body."""
    return read(_status_body, _status, body, "the exchange's status")


def read_schedule(body: bytes) -> Schedule:
    """`GET /exchange/schedule`."""
    return read(_schedule_body, lambda wire: _schedule(wire.schedule), body, "the schedule")


def read_user_data_timestamp(body: bytes) -> Ts:
    """`GET /exchange/user_data_timestamp`: up to when balance, orders, fills and positions are valid."""
    return read(_as_of_body, lambda wire: ts_of(wire.as_of_time), body, "the age of the account's data")
