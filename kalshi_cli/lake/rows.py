"""Events as rows of the tables of a lake, and rows as events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.markets import Candle, Family, FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, Level, PublicTrade, Quote
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.recorded import LifecycleNote, RecordedConnection, RecordedInput, RecordedItem, WatchNote
from kalshi_cli.lake.layout import series_of
from kalshi_cli.lake.placing import NEVER, PlacedEvent

SIDES: tuple[Side, Side] = (BID, ASK)
"""The side of each code: 0 is a bid for YES, 1 a bid for NO."""

INPUT_TABLES = ("spot", "fair", "news")
"""Tables that belong to no series of markets: every replay of a session reads them."""

SESSION_TABLES = ("book_snapshots", "trades", "tickers", "lifecycle", "markets", *INPUT_TABLES)
"""Tables of a session beside the changes of order books."""

EVERYWHERE = ""
"""The series of a row that belongs to every series of its session, such as the start of a connection."""

Row = tuple[Any, ...]

TableColumns = tuple[str, str, Row]
"""A table, a series, and the columns of a row."""


class PlacedRow(NamedTuple):
    """A row, the table and series it belongs to, and its place in time."""

    table: str
    series: str
    placed_us: int
    values: Row


class MarketNote(msgspec.Struct, frozen=True, kw_only=True):
    """The `detail` of a market: all of it, as the recorder noted it."""

    market: Market
    fees: FeeSchedule | None = None
    family: Family | None = None


class _Gap(msgspec.Struct, frozen=True):
    tickers: tuple[str, ...]
    reason: str


_encode = msgspec.json.Encoder().encode
_decode_note = msgspec.json.Decoder(prepared(MarketNote)).decode
_decode_gap = msgspec.json.Decoder(prepared(_Gap)).decode


# -- events to rows -----------------------------------------------------------------------------------------------


def row_of(event: PlacedEvent, session: str, number: int) -> PlacedRow:
    """Return the row of an event, the `number`-th of its session."""
    where = (session, number, event.recv_ms)
    item, at = event.item, event.own_us if event.own_us >= 0 else event.placed_us
    if isinstance(item, RecordedInput):
        at = item.said.ts * 1000
    if type(item) is BookDelta:
        values: Row = (at, item.ticker, SIDES.index(item.side), item.price, item.delta, event.seq, *where)
        return PlacedRow("book_changes", series_of(item.ticker), event.placed_us, values)
    table, series, columns = _MAKERS[type(item)](item, event)
    return PlacedRow(table, series, event.placed_us, (at, *columns, *where))


def _snapshot(item: Any, event: PlacedEvent) -> TableColumns:
    levels = [
        list(column) for side in (item.bids, item.asks) for column in (zip(*side, strict=True) if side else ((), ()))
    ]
    sent = None if event.own_us < 0 else int(item.ts)
    return "book_snapshots", series_of(item.ticker), (item.ticker, *levels, event.seq, sent)


def _ticker(item: Any, event: PlacedEvent) -> TableColumns:
    _require_time(event)
    columns = (item.ticker, item.bid, item.bid_size, item.ask, item.ask_size, item.last, item.volume)
    return "tickers", series_of(item.ticker), columns


def _trade(item: Any, event: PlacedEvent) -> TableColumns:
    _require_time(event)
    return "trades", series_of(item.ticker), trade_columns(item)


def trade_columns(item: PublicTrade) -> Row:
    """Return the columns of a public trade."""
    return item.ticker, item.trade_id, item.price, item.qty, SIDES.index(item.taker_side), item.is_block


def candle_columns(ticker: str, candle: Candle) -> Row:
    """Return the columns of a candle."""
    sides = (candle.yes_bid, candle.yes_ask, candle.price)
    prices = [price for side in sides for price in (side.open, side.low, side.high, side.close)]
    return ticker, *prices, candle.mean, candle.volume, candle.open_interest


def fill_columns(fill: Fill) -> Row:
    """Return the columns of a fill of the account."""
    return (
        fill.ticker, fill.trade_id, fill.order_id, fill.client_order_id or None, SIDES.index(fill.side), fill.price,
        fill.qty, fill.fee, fill.is_taker, fill.subaccount,
    )  # fmt: skip


def _require_time(event: PlacedEvent) -> None:
    if event.own_us < 0 and event.recv_ms < 0:
        raise UsageError("A ticker or trade without any time", hint="record with a clock", code="bad_recording")


def _connection(item: Any, _event: PlacedEvent) -> TableColumns:
    return "lifecycle", EVERYWHERE, (None, "connected", str(item.number))


def _gap(item: Any, _event: PlacedEvent) -> TableColumns:
    return "lifecycle", EVERYWHERE, (None, "gap", _encode(_Gap(item.tickers, item.reason)).decode())


def _news_of_market(item: Any, _event: PlacedEvent) -> TableColumns:
    return "lifecycle", series_of(item.ticker), (item.ticker, item.kind, item.detail)


def _watched(item: Any, _event: PlacedEvent) -> TableColumns:
    close = None if item.close_time is None else item.close_time * 1000
    columns = (item.ticker, None, None, item.status, item.strike, close, None, None, None, None, None)
    return "markets", series_of(item.ticker), columns


def _market(item: Any, _event: PlacedEvent) -> TableColumns:
    return "markets", series_of(item.market.ticker), market_columns(item.market, item.fees, item.family)


def market_columns(market: Market, fees: FeeSchedule | None, family: Family | None) -> Row:
    """Return the columns of a market. `fees` and `family` are None if they are unknown or did not change."""
    fee = (None, None) if fees is None else (str(fees.type), fees.multiplier)
    detail = _encode(MarketNote(market=market, fees=fees, family=family)).decode()
    return (
        market.ticker, market.event_ticker, market.title, str(market.status), market.floor_strike,
        market.close_time * 1000, market.result or None, market.settlement_value, *fee, detail,
    )  # fmt: skip


def input_columns(said: messages.Message) -> TableColumns:
    """Return the table, series and columns (without the times) of an external input."""
    match said:
        case messages.ReferencePrice():
            return "spot", said.index, (said.index, "index", None, said.value, None)
        case messages.SpotPrice():
            return "spot", said.symbol, (said.symbol, "spot", said.venue, said.price, said.size)
        case messages.SpotUnavailable():
            return "spot", said.symbol, (said.symbol, "lost", None, None, None)
        case messages.FairValue():
            return "fair", series_of(said.ticker), (said.ticker, said.fair, said.source, said.until)
        case messages.NewsSignal():
            side = SIDES.index(said.side)
            columns = (said.ticker, said.signal_id, side, said.confidence, said.text)
            return "news", series_of(said.ticker), columns
        case _:
            raise TypeError(type(said).__name__)


_MAKERS: dict[type, Callable[[Any, PlacedEvent], TableColumns]] = {
    BookSnapshot: _snapshot,
    Quote: _ticker,
    PublicTrade: _trade,
    messages.FeedGap: _gap,
    messages.MarketChange: _market,
    messages.ReferencePrice: lambda item, _event: input_columns(item),
    RecordedConnection: _connection,
    RecordedInput: lambda item, _event: input_columns(item.said),
    LifecycleNote: _news_of_market,
    WatchNote: _watched,
}


# -- rows to events -----------------------------------------------------------------------------------------------


class ReadEvent(NamedTuple):
    """An event as a lake has it: its number in the session, its own time, the time received, and itself."""

    number: int
    ts_us: int
    recv_ts: Ts
    item: RecordedItem


def events_of(table: str, batch: pa.Table) -> Iterator[ReadEvent]:
    """Yield the events of rows of this table."""
    columns = {name: _values(batch.column(name)) for name in batch.column_names}
    recv = [NEVER if ms < 0 else Ts(ms) for ms in columns["recv_ms"]]
    columns["recv"] = recv
    return map(ReadEvent, columns["row"], columns["ts_us"], recv, _READERS[table](columns))


def _values(column: pa.ChunkedArray) -> list[Any]:
    """Return the values of a column; those of a dictionary are shared by its rows."""
    if not pa.types.is_dictionary(column.type):
        return list(column.to_pylist())
    found: list[Any] = []
    for chunk in column.chunks:
        words = [*chunk.dictionary.to_pylist(), None]
        found += [words[index] for index in chunk.indices.fill_null(-1).to_pylist()]
    return found


Columns = dict[str, list[Any]]
"""The values of a table by column; `recv` is the time received of each row."""


def _of(c: Columns, *names: str) -> Iterator[Any]:
    """Return these columns, row by row."""
    return zip(*(c[name] for name in names), strict=True)


def _changes(c: Columns) -> Iterable[RecordedItem]:
    times = [us // 1000 for us in c["ts_us"]]
    return map(BookDelta, times, c["market"], map(SIDES.__getitem__, c["side"]), c["price"], c["delta"])


def _snapshots(c: Columns) -> Iterator[RecordedItem]:
    sides = ("bid_prices", "bid_counts", "ask_prices", "ask_counts")
    for ticker, sent, recv_ts, *bids, ask_prices, ask_counts in _of(c, "market", "sent_ms", "recv", *sides):
        at = recv_ts if sent is None else Ts(sent)
        yield BookSnapshot(at, ticker, _levels(*bids), _levels(ask_prices, ask_counts))


def _levels(prices: list[int], counts: list[int]) -> tuple[Level, ...]:
    return tuple((Price(price), Qty(count)) for price, count in zip(prices, counts, strict=True))


def _trades(c: Columns) -> Iterator[RecordedItem]:
    names = ("ts_us", "market", "trade_id", "price", "count", "taker_side", "is_block")
    for us, market, trade_id, price, count, side, is_block in _of(c, *names):
        yield PublicTrade(Ts(us // 1000), market, trade_id, price, count, SIDES[side], is_block)


def _tickers(c: Columns) -> Iterator[RecordedItem]:
    for us, *columns in _of(c, "ts_us", "market", "bid", "bid_count", "ask", "ask_count", "last", "volume"):
        yield Quote(Ts(us // 1000), *columns)


def _lifecycles(c: Columns) -> Iterator[RecordedItem]:
    for market, kind, detail, recv_ts in _of(c, "market", "kind", "detail", "recv"):
        if kind == "connected":
            yield RecordedConnection(recv_ts, int(detail))
        elif kind == "gap":
            gap = _decode_gap(detail)
            yield messages.FeedGap(recv_ts, gap.tickers, gap.reason)
        else:
            yield LifecycleNote(ticker=market, kind=kind, detail=detail)


def _markets(c: Columns) -> Iterator[RecordedItem]:
    for ticker, close, strike, status, detail, recv_ts in _of(
        c, "market", "close_us", "strike", "status", "detail", "recv"
    ):
        if detail is None:
            at = None if close is None else Ts(close // 1000)
            yield WatchNote(ticker=ticker, close_time=at, strike=strike, status=status or MarketStatus.ACTIVE)
        else:
            note = _decode_note(detail)
            yield messages.MarketChange(recv_ts, note.market, note.fees, note.family)


def _spots(c: Columns) -> Iterator[RecordedItem]:
    names = ("ts_us", "symbol", "kind", "venue", "price", "size", "recv")
    for us, symbol, kind, venue, price, size, recv_ts in _of(c, *names):
        ts = Ts(us // 1000)
        if kind == "index":
            yield messages.ReferencePrice(ts, symbol, price)
        elif kind == "lost":
            yield RecordedInput(recv_ts, messages.SpotUnavailable(ts, symbol))
        else:
            yield RecordedInput(recv_ts, messages.SpotPrice(ts, symbol, price, venue, size))


def _fairs(c: Columns) -> Iterator[RecordedItem]:
    for us, *columns, recv_ts in _of(c, "ts_us", "market", "fair", "source", "until_ms", "recv"):
        yield RecordedInput(recv_ts, messages.FairValue(Ts(us // 1000), *columns))


def _news(c: Columns) -> Iterator[RecordedItem]:
    names = ("ts_us", "signal_id", "market", "side", "confidence", "text", "recv")
    for us, name, market, side, confidence, text, recv_ts in _of(c, *names):
        said = messages.NewsSignal(Ts(us // 1000), name, market, SIDES[side], confidence, text)
        yield RecordedInput(recv_ts, said)


_READERS: dict[str, Callable[[Columns], Iterable[RecordedItem]]] = {
    "book_changes": _changes,
    "book_snapshots": _snapshots,
    "trades": _trades,
    "tickers": _tickers,
    "lifecycle": _lifecycles,
    "markets": _markets,
    "spot": _spots,
    "fair": _fairs,
    "news": _news,
}
