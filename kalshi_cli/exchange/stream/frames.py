"""Frames of the stream: bytes -> typed frame -> message of the core.

Every frame with a `seq` counts in the sequence of its `sid`, even without a message, so decoding comes first. It is
strict about money and ignores unknown fields; an unknown type becomes an `OtherFrame`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import field

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts
from kalshi_cli.core.model import messages, order_terms, orders, price_grid
from kalshi_cli.core.model.messages import BookDelta, Level, Message
from kalshi_cli.exchange.wire import values as wire_values
from kalshi_cli.exchange.wire.orders import OrderFields, order_of
from kalshi_cli.exchange.wire.values import count, known_counts, known_prices, parse_book_price

FEES_CHANGED = "event_fees"
"""Kind of a MarketLifecycleEvent that announces new fees of an event."""

TERMINAL_CODES = frozenset({10, 25})
"""Errors that end the subscription: channel error, buffer overflow."""


class FrameError(ValueError):
    """A frame that cannot be trusted: broken JSON, or a missing or impossible field. Handle it like a gap."""


class MarketLifecycleEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a market or (`event_created`, `event_fees`) of an event; read it over REST for the details.

    `kind` is the exchange's word: created, activated, deactivated, close_date_updated, determined, settled,
    price_level_structure_updated, metadata_updated. A scheduled open or close is not announced.
    """

    ts: Ts
    ticker: str
    kind: str
    event_ticker: str = ""
    open_time: Ts | None = None
    close_time: Ts | None = None
    result: str = ""
    settlement_value: Price | None = None
    grid: price_grid.PriceGrid | None = None


# -- bodies -------------------------------------------------------------------------------------------------------

_Pair = tuple[str, str]


class _Snapshot(msgspec.Struct, gc=False):
    market_ticker: str
    yes_dollars_fp: list[_Pair] = []  # an empty side's key is absent
    no_dollars_fp: list[_Pair] = []


class _Delta(msgspec.Struct, gc=False):
    market_ticker: str
    price_dollars: str
    delta_fp: str
    side: Literal["yes", "no"]
    ts_ms: Ts | None = None


class _Ticker(msgspec.Struct, gc=False):
    market_ticker: str
    price_dollars: str
    yes_bid_dollars: str
    yes_ask_dollars: str
    yes_bid_size_fp: str
    yes_ask_size_fp: str
    volume_fp: str
    ts_ms: Ts | None = None


class _Trade(msgspec.Struct, gc=False):
    trade_id: str
    market_ticker: str
    yes_price_dollars: str
    count_fp: str
    taker_book_side: str | None = None
    taker_outcome_side: str | None = None
    ts_ms: Ts | None = None


class _Fill(msgspec.Struct, gc=False):
    trade_id: str
    order_id: str
    ticker: str = field(name="market_ticker")
    is_taker: bool
    price: Annotated[str, wire_values.Unit(parse_book_price)] = field(name="yes_price_dollars")
    qty: wire_values.Count = field(name="count_fp")
    fee: wire_values.Dollars = field(name="fee_cost")
    book_side: str | None = None
    outcome_side: str | None = None
    client_order_id: wire_values.Text = None
    ts_ms: Ts | None = None
    subaccount: wire_values.Number = None


class _UserOrder(OrderFields, gc=False):
    created_ts_ms: Ts | None = None
    last_updated_ts_ms: Ts | None = None
    expiration_ts_ms: Ts | None = None
    last_update_reason: str | None = None


class _EventNames(msgspec.Struct, gc=False):
    event_ticker: str = ""


class _Lifecycle(msgspec.Struct, gc=False):
    kind: str = field(name="event_type")
    ticker: str = field(name="market_ticker")
    open_time: wire_values.Seconds | None = field(name="open_ts", default=None)
    close_time: wire_values.Seconds | None = field(name="close_ts", default=None)
    result: wire_values.Text = None
    settlement_value: wire_values.OptionalPrice = None
    grid: wire_values.OptionalGrid = field(name="price_ranges", default=None)
    additional_metadata: _EventNames | None = None


class _EventName(msgspec.Struct, gc=False):
    event_ticker: str


class _Group(msgspec.Struct, gc=False):
    event_type: str
    order_group_id: str
    contracts_limit_fp: str | None = None
    ts_ms: Ts | None = None


class _Reference(msgspec.Struct, gc=False):
    index_id: str
    received_at: Ts
    data: str  # the index provider's own JSON, as text


class _Upstream(msgspec.Struct, gc=False):
    value: str
    time: Ts | None = None


class Subscription(msgspec.Struct, gc=False):
    """A channel, and the id that its frames carry."""

    channel: str
    sid: int


class Tickers(msgspec.Struct, gc=False):
    """Body of an `ok`: all markets of the subscription after the change."""

    market_tickers: list[str] = []


class StreamError(msgspec.Struct, gc=False):
    """Body of an `error`."""

    code: int
    msg: str = ""
    market_ticker: str | None = None
    market_tickers: list[str] = []


# -- frames -------------------------------------------------------------------------------------------------------


class Frame(msgspec.Struct, tag_field="type", gc=False, kw_only=True):
    """The envelope of a frame. `seq` counts per `sid`; `id` is that of the command that the frame answers."""

    sid: int | None = None
    seq: int | None = None
    id: int | None = None

    @property
    def type(self) -> str:
        """Return the exchange's name for this type of frame."""
        return str(self.__struct_config__.tag)


class SnapshotFrame(Frame, tag="orderbook_snapshot", gc=False):
    """A whole order book."""

    msg: _Snapshot
    sending_ts_ms: Ts | None = None  # the body has no time, and a delayed book must not look current


class DeltaFrame(Frame, tag="orderbook_delta", gc=False):
    """A change of one price level."""

    msg: _Delta


class TickerFrame(Frame, tag="ticker", gc=False):
    """Best prices and volume of a market."""

    msg: _Ticker


class TradeFrame(Frame, tag="trade", gc=False):
    """A public trade."""

    msg: _Trade


class FillFrame(Frame, tag="fill", gc=False):
    """A fill of this account."""

    msg: _Fill


class UserOrderFrame(Frame, tag="user_order", gc=False):
    """The state of an order of this account."""

    msg: _UserOrder


class LifecycleFrame(Frame, tag="market_lifecycle_v2", gc=False):
    """A change of a market."""

    msg: _Lifecycle


class EventLifecycleFrame(Frame, tag="event_lifecycle", gc=False):
    """A new event."""

    msg: _EventName


class EventFeesFrame(Frame, tag="event_fee_update", gc=False):
    """New fees of an event."""

    msg: _EventName


class GroupFrame(Frame, tag="order_group_updates", gc=False):
    """A change of an order group."""

    msg: _Group


class ReferenceFrame(Frame, tag="cfbenchmarks_value", gc=False):
    """A value of an outside index."""

    msg: _Reference


class SubscribedFrame(Frame, tag="subscribed", gc=False):
    """Confirms one channel of a subscribe command; the sid is in the body."""

    msg: Subscription


class OkFrame(Frame, tag="ok", gc=False):
    """Answers update_subscription (all markets) and list_subscriptions (a list). It consumes a `seq`."""

    msg: Tickers | list[Subscription] | None = None


class UnsubscribedFrame(Frame, tag="unsubscribed", gc=False):
    """Confirms the end of a subscription."""


class ErrorFrame(Frame, tag="error", gc=False):
    """A refused command, or the end of a subscription."""

    msg: StreamError

    @property
    def is_terminal(self) -> bool:
        """Return whether the subscription is over and must be made again."""
        return self.msg.code in TERMINAL_CODES


class OtherFrame(msgspec.Struct, gc=False):
    """A frame of a type that kalshi does not use. Only its `seq` matters."""

    type: str
    sid: int | None = None
    seq: int | None = None
    id: int | None = None


_BodyFrame = (
    DeltaFrame
    | SnapshotFrame
    | TickerFrame
    | TradeFrame
    | FillFrame
    | UserOrderFrame
    | LifecycleFrame
    | EventLifecycleFrame
    | EventFeesFrame
    | GroupFrame
    | ReferenceFrame
    | SubscribedFrame
    | OkFrame
    | UnsubscribedFrame
    | ErrorFrame
)
AnyFrame = _BodyFrame | OtherFrame

_decoder: msgspec.json.Decoder[_BodyFrame] = msgspec.json.Decoder(prepared(_BodyFrame))
_envelope: msgspec.json.Decoder[OtherFrame] = msgspec.json.Decoder(prepared(OtherFrame))
_upstream: msgspec.json.Decoder[_Upstream] = msgspec.json.Decoder(prepared(_Upstream))

# -- bytes to frame -----------------------------------------------------------------------------------------------


def decode_frame(raw: bytes | str) -> AnyFrame | None:
    """Decode one text frame. Return None if it is blank; raise FrameError if it cannot be trusted."""
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        return _odd_frame(raw, error)


def _odd_frame(raw: bytes | str, error: Exception) -> OtherFrame | None:
    """Classify a frame that did not decode: a blank line (they occur), an unknown type, or damage."""
    if not raw.strip():
        return None
    try:
        other = _envelope.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as broken:
        raise FrameError(f"not a frame: {broken}") from broken
    if other.type in FRAMES:
        raise FrameError(f"{other.type}: {error}") from error
    return other


FRAMES: dict[str, type[Frame]] = {str(frame.__struct_config__.tag): frame for frame in get_args(_BodyFrame)}
"""Frame types that kalshi reads, by the exchange's name."""


# -- frame to message ---------------------------------------------------------------------------------------------


def to_message(frame: AnyFrame, *, recv_ts: Ts, use_yes_price: bool = True) -> Message | MarketLifecycleEvent | None:
    """Convert a frame to a message; None if it has none (acknowledgments). FrameError for an impossible value.

    Without `use_yes_price` (of the subscription) NO levels come at NO prices. `recv_ts` replaces a missing time.
    """
    try:
        if isinstance(frame, DeltaFrame):
            return _delta(frame.msg, recv_ts, use_yes_price)
        return _rarer(frame, recv_ts, use_yes_price)
    except (ValueError, RecursionError) as error:
        raise FrameError(f"{frame.type}: {error}") from error


def _delta(body: _Delta, recv_ts: Ts, use_yes_price: bool) -> BookDelta:
    """Convert an order book change. This is the hot path, 99 of 100 frames: use lookups instead of calls."""
    price = known_prices.get(body.price_dollars) or parse_book_price(body.price_dollars)
    delta = known_counts.get(body.delta_fp) or count(body.delta_fp)
    if body.side == "yes":
        side = order_terms.BID
    else:
        side = order_terms.ASK
        if not use_yes_price:
            price = Price(ONE_DOLLAR - price)
    at = body.ts_ms
    return BookDelta(recv_ts if at is None else at, body.market_ticker, side, price, delta)


def _rarer(frame: AnyFrame, recv_ts: Ts, use_yes_price: bool) -> Message | MarketLifecycleEvent | None:
    if isinstance(frame, SnapshotFrame):
        return _snapshot(frame.msg, _at(frame.sending_ts_ms, recv_ts), use_yes_price)
    make = _RARER.get(type(frame))
    return make(frame.msg, recv_ts) if make is not None else None  # type: ignore[union-attr]


def _event(kind: str, body: _EventName, recv_ts: Ts) -> MarketLifecycleEvent:
    return MarketLifecycleEvent(ts=recv_ts, ticker="", kind=kind, event_ticker=body.event_ticker)


def _reference(body: _Reference, _recv_ts: Ts) -> messages.ReferencePrice:
    upstream = _upstream.decode(body.data)
    return messages.ReferencePrice(_at(upstream.time, body.received_at), body.index_id, _index_value(upstream.value))


def _at(ts_ms: Ts | None, recv_ts: Ts) -> Ts:
    return recv_ts if ts_ms is None else ts_ms


def _levels(pairs: list[_Pair], side: str, use_yes_price: bool) -> tuple[Level, ...]:
    """Return price levels on the YES scale. NO bids are YES offers; without `use_yes_price` they come at NO prices."""
    flip = side == "no" and not use_yes_price
    levels = [(parse_book_price(price), wire_values.parse_non_negative_count(qty)) for price, qty in pairs]
    return tuple((Price(ONE_DOLLAR - price), qty) for price, qty in levels) if flip else tuple(levels)


def _snapshot(body: _Snapshot, recv_ts: Ts, use_yes_price: bool) -> messages.BookSnapshot:
    return messages.BookSnapshot(
        recv_ts,
        body.market_ticker,
        _levels(body.yes_dollars_fp, "yes", use_yes_price),
        _levels(body.no_dollars_fp, "no", use_yes_price),
    )


def _quote(body: _Ticker, recv_ts: Ts) -> messages.Quote:
    return messages.Quote(
        _at(body.ts_ms, recv_ts),
        body.market_ticker,
        wire_values.quote_price(body.yes_bid_dollars),
        wire_values.quote_size(body.yes_bid_size_fp),
        wire_values.quote_price(body.yes_ask_dollars),
        wire_values.quote_size(body.yes_ask_size_fp),
        wire_values.quote_price(body.price_dollars),
        wire_values.parse_non_negative_count(body.volume_fp),
    )


def _trade(body: _Trade, recv_ts: Ts) -> messages.PublicTrade:
    return messages.PublicTrade(
        _at(body.ts_ms, recv_ts),
        body.market_ticker,
        body.trade_id,
        parse_book_price(body.yes_price_dollars),
        wire_values.parse_non_negative_count(body.count_fp),
        wire_values.book_side(body.taker_book_side, body.taker_outcome_side),
    )


def _filled(body: _Fill, recv_ts: Ts) -> messages.Filled:
    ts = _at(body.ts_ms, recv_ts)
    side = wire_values.book_side(body.book_side, body.outcome_side)
    return messages.Filled(ts, wire_values.convert(orders.Fill, body, side=side, ts=ts))


def _order_state(body: _UserOrder, recv_ts: Ts) -> messages.OrderState:
    created = _at(body.created_ts_ms, recv_ts)
    updated = _at(body.last_updated_ts_ms, recv_ts)
    why = body.last_update_reason or ""
    order = order_of(body, created=created, updated=updated, expires=body.expiration_ts_ms, why=why)
    return messages.OrderState(updated, order)


def _lifecycle(body: _Lifecycle, recv_ts: Ts) -> MarketLifecycleEvent:
    event_ticker = body.additional_metadata.event_ticker if body.additional_metadata else ""
    return wire_values.convert(MarketLifecycleEvent, body, ts=recv_ts, event_ticker=event_ticker)


def _group_change(body: _Group, recv_ts: Ts) -> messages.GroupChange:
    limit = None if body.contracts_limit_fp is None else wire_values.parse_non_negative_count(body.contracts_limit_fp)
    return messages.GroupChange(_at(body.ts_ms, recv_ts), body.order_group_id, body.event_type, limit)


def _index_value(text: str) -> int:
    """Convert `"68000.12000000"` to 680001200 ten-thousandths of a dollar. Decimals after the fourth are cut off."""
    whole, _, part = text.partition(".")
    if len(text) > 30 or not text.isascii() or not whole.isdigit() or (part and not part.isdigit()):
        raise ValueError(f"invalid index value: {text[:30]!r}")
    return int(whole + part[:4].ljust(4, "0"))


_RARER: dict[type, Callable[[Any, Ts], Message | MarketLifecycleEvent]] = {
    TickerFrame: _quote,
    TradeFrame: _trade,
    FillFrame: _filled,
    UserOrderFrame: _order_state,
    LifecycleFrame: _lifecycle,
    EventLifecycleFrame: partial(_event, "event_created"),
    EventFeesFrame: partial(_event, FEES_CHANGED),
    GroupFrame: _group_change,
    ReferenceFrame: _reference,
}
"""Conversion of each frame body to a message, except order books."""
