"""The REST bodies of order books, public trades and the exchange itself: JSON -> core.model; and what all bodies share.

Strict where money is: a missing or unreadable price, count or time is a WireError that names the field, never a zero.
Deaf to the rest: unknown fields are skipped, unknown enum values become UNKNOWN. Markets are in `wire_markets`, events
and series in `wire_events`, the account's bodies in `wire_account`, the stream's frames in `wire_stream`, refusals in
`replies`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Generic, NamedTuple, TypeVar

import msgspec

from kalshi_cli.base.errors import NoAnswerError
from kalshi_cli.base.text import redact, safe_text
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts
from kalshi_cli.core.model.exchange import ExchangeStatus, ShardStatus
from kalshi_cli.core.model.messages import BookSnapshot, Level, PublicTrade
from kalshi_cli.exchange.wire.scalars import (
    Moment,
    book_side,
    level_price,
    maybe_ts,
    no_negative,
    outcome_price,
    ts_of,
)

T = TypeVar("T")
W = TypeVar("W")


class WireError(NoAnswerError):
    """A reply that cannot be read: broken, cut short, or without a field that we will not guess."""

    default_code = "unreadable_reply"
    said = ""
    """How the reply began, as far as it is shown and kept; without secrets."""


LONGEST_SAID = 1_000
"""Bytes kept of a reply that cannot be read."""


class Page(NamedTuple, Generic[T]):
    """Part of a list. An empty cursor means that it was the last."""

    items: list[T]
    cursor: str


_witness: ContextVar[list[tuple[type, bytes]] | None] = ContextVar("witness", default=None)


@contextmanager
def witnessed() -> Iterator[list[tuple[type, bytes]]]:
    """Every body that is read meanwhile, and the struct it is read as: for `desk.schema`, which looks closer."""
    seen: list[tuple[type, bytes]] = []
    token = _witness.set(seen)
    try:
        yield seen
    finally:
        _witness.reset(token)


def read(decoder: msgspec.json.Decoder[W], convert: Callable[[W], T], body: bytes, what: str) -> T:
    """Decode and convert, or WireError: no other exception comes out of a reply, whatever its bytes."""
    seen = _witness.get()
    if seen is not None:
        seen.append((decoder.type, body))
    try:
        return convert(decoder.decode(body))
    except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
        unreadable = WireError(
            f"the exchange's answer about {what} cannot be read: {str(error)[:300]}",
            hint="try again; if it stays, the exchange changed its format and this program needs an update",
        )
        unreadable.said = safe_text(redact(body[: 4 * LONGEST_SAID].decode(errors="replace")), LONGEST_SAID)
        raise unreadable from error


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


# -- the exchange -------------------------------------------------------------------------------------------------


class _Shard(msgspec.Struct, gc=False):
    exchange_index: int
    exchange_active: bool
    trading_active: bool
    intra_exchange_transfers_active: bool
    description: str = ""


class _Status(msgspec.Struct, gc=False):
    exchange_active: bool
    trading_active: bool
    exchange_estimated_resume_time: Moment | None = None
    intra_exchange_transfers_active: bool | None = None
    exchange_index_statuses: list[_Shard] | None = None


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


class _Done(msgspec.Struct):
    error: object = None


def _status(wire: _Status) -> ExchangeStatus:
    return ExchangeStatus(
        exchange_active=wire.exchange_active,
        trading_active=wire.trading_active,
        estimated_resume=maybe_ts(wire.exchange_estimated_resume_time),
        transfers_active=wire.intra_exchange_transfers_active,
        shards=tuple(
            ShardStatus(
                exchange_index=shard.exchange_index,
                description=shard.description,
                exchange_active=shard.exchange_active,
                trading_active=shard.trading_active,
                transfers_active=shard.intra_exchange_transfers_active,
            )
            for shard in wire.exchange_index_statuses or ()
        ),
    )


def _schedule(wire: _Schedule) -> Schedule:
    windows = [(ts_of(window.start_datetime), ts_of(window.end_datetime)) for window in wire.maintenance_windows or ()]
    return Schedule(tuple(wire.standard_hours or ()), tuple(sorted(windows)))


_status_body = msgspec.json.Decoder(_Status)
_schedule_body = msgspec.json.Decoder(_ScheduleBody)
_as_of_body = msgspec.json.Decoder(_AsOf)
_done_body = msgspec.json.Decoder(_Done)


def read_status(body: bytes) -> ExchangeStatus:
    """`GET /exchange/status`; a 503 or 504 may carry the same body."""
    return read(_status_body, _status, body, "the exchange's status")


def read_schedule(body: bytes) -> Schedule:
    """`GET /exchange/schedule`."""
    return read(_schedule_body, lambda wire: _schedule(wire.schedule), body, "the schedule")


def read_done(body: bytes, what: str) -> None:
    """Check `{}`, by which the exchange says that a write was done. An empty reply is a gateway's."""

    def convert(wire: _Done) -> None:
        if wire.error is not None:
            raise ValueError("it holds an error")

    read(_done_body, convert, body, what)


def read_user_data_timestamp(body: bytes) -> Ts:
    """`GET /exchange/user_data_timestamp`: up to when balance, orders, fills and positions are valid."""
    return read(_as_of_body, lambda wire: ts_of(wire.as_of_time), body, "the age of the account's data")
