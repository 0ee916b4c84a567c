"""The message streams: connections, their subscriptions, and who hears of what (API.md section 7).

Each channel of a connection has its own sid, and each sid counts its own `seq` across all its markets. `ok` and
`unsubscribed` use up a number too. A frame waits in the connection's outbox until the socket takes it; an outbox that
is full ends the subscription which wanted to write (error 25), never the exchange.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec

from kalshi_cli.sim import frames
from kalshi_cli.sim.commands import CommandError, read_command
from kalshi_cli.sim.records import (
    BookChange,
    BookCleared,
    EventListed,
    FillRecord,
    Happening,
    HoldingRecord,
    IndexTick,
    MarketChanged,
    OrderRecord,
    TradeRecord,
)
from kalshi_cli.sim.shapes import Json
from kalshi_cli.sim.state import State
from kalshi_cli.units import Ts

BOOK, TICKER, TRADE, FILL = "orderbook_delta", "ticker", "trade", "fill"
ORDERS, POSITIONS, LIFECYCLE, INDEX = "user_orders", "market_positions", "market_lifecycle_v2", "cfbenchmarks_value"
CHANNELS = (BOOK, TICKER, TRADE, FILL, ORDERS, POSITIONS, LIFECYCLE, INDEX)
UNNUMBERED = frozenset({TICKER, FILL, ORDERS, POSITIONS})
MAX_SUBSCRIPTIONS = 1_000
ALL = "all"


class Subscription:
    """One channel of one connection. `tickers` None is every market; `ids` are the indices of the index channel."""

    def __init__(self, sid: int, channel: str, tickers: set[str] | None, *, use_yes_price: bool) -> None:
        self.sid = sid
        self.channel = channel
        self.tickers = tickers
        self.ids: set[str] = set()
        self.use_yes_price = use_yes_price
        self.seq = 0

    def wants(self, ticker: str) -> bool:
        return self.tickers is None or ticker in self.tickers


class Connection:
    """One WebSocket: text in through `receive`, frames out through `outbox`. `wake` is called when a frame is added."""

    def __init__(self, hub: Hub, account: str) -> None:
        self.account = account
        self.outbox: deque[str] = deque()
        self.wake: Callable[[], None] = lambda: None
        self.subscriptions: dict[int, Subscription] = {}
        self._hub = hub
        self._next_sid = 1

    def receive(self, text: str, now: Ts) -> None:
        """Take one command; whatever it answers is in the outbox afterwards."""
        command_id = None
        try:
            command_id, name, params = read_command(text)
            if name == "subscribe":
                self._subscribe(command_id, params, now)
            elif name == "unsubscribe":
                self._unsubscribe(command_id, params, now)
            elif name == "update_subscription":
                self._update(command_id, params, now)
            else:
                listed = [{"channel": one.channel, "sid": one.sid} for one in self.subscriptions.values()]
                self._put({"type": "ok", "id": command_id, "msg": listed}, now)
        except CommandError as error:
            known = error.command_id if command_id is None else command_id
            self._put({"type": "error", "id": known or 0, "msg": error.msg()}, now)

    def close(self) -> None:
        """Forget the connection; nothing is put into its outbox any more."""
        self.subscriptions.clear()
        self._hub.connections.pop(self, None)

    # -- commands --

    def _subscribe(self, command_id: int, params: Json, now: Ts) -> None:
        channels = params.get("channels")
        if not channels or not isinstance(channels, list):
            raise CommandError(3)
        if any(channel not in CHANNELS for channel in channels):
            raise CommandError(8)
        if len(self.subscriptions) + len(channels) > MAX_SUBSCRIPTIONS:
            raise CommandError(26)
        tickers = _tickers(params)
        if BOOK in channels and not tickers:
            raise CommandError(14)
        unknown = sorted(ticker for ticker in tickers or () if ticker not in self._hub.state.markets)
        if unknown and len(unknown) == len(tickers or ()):
            raise CommandError(11, unknown)
        known = None if tickers is None else set(tickers) - set(unknown)
        for channel in channels:
            sub = Subscription(
                self._next_sid,
                channel,
                None if channel in (LIFECYCLE, INDEX) else known and set(known),
                use_yes_price=bool(params.get("use_yes_price")),
            )
            sub.ids = set(params.get("index_ids") or ())
            self._next_sid += 1
            self.subscriptions[sub.sid] = sub
            self._put({"type": "subscribed", "id": command_id, "msg": {"channel": channel, "sid": sub.sid}}, now)
            if channel == BOOK:
                self._snapshots(sub, sorted(known or ()), now)
            if channel == TICKER and params.get("send_initial_snapshot"):
                for ticker in sorted(known or self._hub.state.markets):
                    self.send(sub, "ticker", self._hub.ticker(ticker, now), now)
        if unknown:
            self._put({"type": "error", "id": command_id, "msg": CommandError(11, unknown).msg()}, now)

    def _unsubscribe(self, command_id: int, params: Json, now: Ts) -> None:
        sids = _sids(params)
        if not sids:
            raise CommandError(4)
        if any(sid not in self.subscriptions for sid in sids):
            raise CommandError(7)
        for sid in sids:
            sub = self.subscriptions.pop(sid)
            self._put({"type": "unsubscribed", "id": command_id, "sid": sid, "seq": sub.seq + 1}, now)

    def _update(self, command_id: int, params: Json, now: Ts) -> None:
        sids = _sids(params)
        if len(sids) != 1:
            raise CommandError(12)
        sub = self.subscriptions.get(sids[0])
        if sub is None:
            raise CommandError(7)
        action = params.get("action")
        if not action:
            raise CommandError(15)
        if sub.channel == INDEX:
            self._update_indices(command_id, sub, action, params, now)
            return
        if action not in ("add_markets", "delete_markets", "get_snapshot") or sub.tickers is None:
            raise CommandError(13)
        tickers = _tickers(params)
        if not tickers:
            raise CommandError(14)
        unknown = sorted(ticker for ticker in tickers if ticker not in self._hub.state.markets)
        if unknown:
            raise CommandError(11, unknown)
        if action == "get_snapshot":
            if sub.channel != BOOK:
                raise CommandError(13)
            self._snapshots(sub, tickers, now, command_id)
            return
        added = [ticker for ticker in tickers if ticker not in sub.tickers] if action == "add_markets" else []
        sub.tickers = sub.tickers | set(tickers) if action == "add_markets" else sub.tickers - set(tickers)
        self._ok(command_id, sub, {"market_tickers": sorted(sub.tickers)}, now)
        if sub.channel == BOOK:
            self._snapshots(sub, added, now)

    def _update_indices(self, command_id: int, sub: Subscription, action: str, params: Json, now: Ts) -> None:
        ids = set(params.get("index_ids") or ())
        if action == "indexlist":
            known = {"index_ids": sorted(self._hub.indices)}
            self.send(sub, "cfbenchmarks_value_indexlist", known, now, command_id)
            return
        if action not in ("subscribe_indices", "unsubscribe_indices"):
            raise CommandError(13)
        if not ids:
            raise CommandError(24)
        sub.ids = sub.ids | ids if action == "subscribe_indices" else sub.ids - ids
        self._ok(command_id, sub, {"index_ids": sorted(sub.ids)}, now)

    # -- frames --

    def send(self, sub: Subscription, kind: str, msg: Json, now: Ts, command_id: int | None = None) -> None:
        """A frame of a subscription, numbered where the channel is. A full outbox ends the subscription instead."""
        if len(self.outbox) >= self._hub.state.options.outbox_limit:
            self._end(sub, 25, "Subscription buffer overflow", now)
            return
        frame: Json = {"type": kind}
        if command_id is not None:
            frame["id"] = command_id
        frame["sid"] = sub.sid
        if sub.channel not in UNNUMBERED:
            sub.seq += 1
            frame["seq"] = sub.seq
        frame["msg"] = msg
        self._put(frame, now)

    def _ok(self, command_id: int, sub: Subscription, msg: Json, now: Ts) -> None:
        self.send(sub, "ok", msg, now, command_id)

    def _snapshots(self, sub: Subscription, tickers: list[str], now: Ts, command_id: int | None = None) -> None:
        for ticker in tickers:
            msg = self._hub.snapshot(ticker, use_yes_price=sub.use_yes_price)
            self.send(sub, "orderbook_snapshot", msg, now, command_id)

    def _end(self, sub: Subscription, code: int, text: str, now: Ts) -> None:
        if self.subscriptions.pop(sub.sid, None) is not None:
            msg = {"code": code, "msg": text}
            self._put({"type": "error", "sid": sub.sid, "seq": sub.seq + 1, "msg": msg}, now)

    def _put(self, frame: Json, now: Ts) -> None:
        frame["sending_ts_ms"] = now
        self.outbox.append(msgspec.json.encode(frame).decode())
        self.wake()


class Hub:
    """All connections, and the distribution of what happened to them."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.connections: dict[Connection, None] = {}
        self.indices: dict[str, frames.IndexTape] = {}
        self._stale: dict[str, None] = {}
        self._told: dict[str, Ts] = {}

    def connect(self, account: str) -> Connection:
        connection = Connection(self, account)
        self.connections[connection] = None
        return connection

    def snapshot(self, ticker: str, *, use_yes_price: bool) -> Json:
        return frames.snapshot_msg(self.state.markets[ticker], self.state.books[ticker], use_yes_price=use_yes_price)

    def ticker(self, ticker: str, now: Ts) -> Json:
        return frames.ticker_msg(self.state.markets[ticker], self.state.books[ticker], now)

    def publish(self, happened: list[Happening], now: Ts) -> None:
        """Tell everybody who subscribed, in the order in which it happened."""
        for item in happened:
            match item:
                case BookChange():
                    self._stale[item.ticker] = None
                    self._publish_change(item, now)
                case BookCleared():
                    self._stale[item.ticker] = None
                    self._publish_clearing(item.ticker, now)
                case TradeRecord():
                    self._send(TRADE, "trade", item.ticker, partial(frames.trade_msg, item), now)
                case FillRecord():
                    self._send(FILL, "fill", item.ticker, partial(frames.fill_msg, item), now, item.account)
                case OrderRecord():
                    order = partial(frames.user_order_msg, item, self._user(item.account))
                    self._send(ORDERS, "user_order", item.ticker, order, now, item.account)
                case HoldingRecord():
                    held = partial(frames.position_msg, item, self._user(item.account))
                    self._send(POSITIONS, "market_position", item.ticker, held, now, item.account)
                case MarketChanged():
                    changed = partial(frames.lifecycle_msg, item, self.state.markets[item.ticker])
                    self._send(LIFECYCLE, "market_lifecycle_v2", item.ticker, changed, now)
                case EventListed():
                    event = partial(
                        frames.event_msg, self.state.events[item.event_ticker], self.state.shard_of(item.event_ticker)
                    )
                    self._send(LIFECYCLE, "event_lifecycle", item.event_ticker, event, now)
                case IndexTick():
                    self._publish_index(item, now)

    def tick(self, now: Ts) -> None:
        """The ticker channel is conflated: a market is told at most once an interval, and only if it changed."""
        for ticker in list(self._stale):
            if now - self._told.get(ticker, 0) < self.state.options.ticker_every_ms:
                continue
            del self._stale[ticker]
            self._told[ticker] = now
            self._send(TICKER, "ticker", ticker, partial(self.ticker, ticker, now), now)

    def _user(self, account: str) -> str:
        return self.state.members[account].record.user_id

    def _listeners(self, channel: str) -> list[tuple[Connection, Subscription]]:
        return [
            (connection, sub)
            for connection in self.connections
            for sub in connection.subscriptions.values()
            if sub.channel == channel
        ]

    def _send(
        self, channel: str, kind: str, ticker: str, make: Callable[[], Json], now: Ts, account: str | None = None
    ) -> None:
        """To whoever listens; the message is made only if somebody does."""
        msg: Json | None = None
        for connection, sub in self._listeners(channel):
            if sub.wants(ticker) and account in (None, connection.account):
                msg = make() if msg is None else msg
                connection.send(sub, kind, msg, now)

    def _publish_change(self, change: BookChange, now: Ts) -> None:
        market_id = self.state.markets[change.ticker].market_id
        for connection, sub in self._listeners(BOOK):
            if sub.wants(change.ticker):
                is_own = connection.account == change.account
                msg = frames.delta_msg(change, market_id, use_yes_price=sub.use_yes_price, is_own=is_own)
                connection.send(sub, "orderbook_delta", msg, now)

    def _publish_clearing(self, ticker: str, now: Ts) -> None:
        """An empty snapshot, unasked: how the real stream says that a market closed."""
        for connection, sub in self._listeners(BOOK):
            if sub.wants(ticker):
                msg = self.snapshot(ticker, use_yes_price=sub.use_yes_price)
                connection.send(sub, "orderbook_snapshot", msg, now)

    def _publish_index(self, tick: IndexTick, now: Ts) -> None:
        tape = self.indices.setdefault(tick.index_id, frames.IndexTape(tick.index_id))
        msg = tape.msg(tick.value, tick.ts)
        if msg is None:
            return
        for connection, sub in self._listeners(INDEX):
            if ALL in sub.ids or tick.index_id in sub.ids:
                connection.send(sub, "cfbenchmarks_value", msg, now)


def _tickers(params: Json) -> list[str] | None:
    """The markets a command names, None where it names none; error 11 where it names them twice over."""
    one, many = params.get("market_ticker"), params.get("market_tickers")
    if one and many:
        raise CommandError(11)
    if one:
        many = [one]
    if many is None:
        return None
    if not isinstance(many, list) or not all(isinstance(ticker, str) for ticker in many):
        raise CommandError(11)
    return list(dict.fromkeys(many))


def _sids(params: Json) -> list[int]:
    sids = params.get("sids")
    if sids is None and "sid" in params:
        sids = [params["sid"]]
    if sids is not None and (not isinstance(sids, list) or not all(isinstance(sid, int) for sid in sids)):
        raise CommandError(11)
    return sids or []
