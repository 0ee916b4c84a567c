"""All connections of the stream, and the distribution of what happened to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.records import (
    BookChange,
    BookCleared,
    EventFeesChanged,
    EventListed,
    FillRecord,
    GroupChanged,
    Happening,
    IndexTick,
    MarketChanged,
    OrderRecord,
    PositionRecord,
    PythTick,
    StreamNotification,
    TradeRecord,
)
from kalshi_cli.simulator.protocol.replies import Json
from kalshi_cli.simulator.stream import frames
from kalshi_cli.simulator.stream.connection import Connection
from kalshi_cli.simulator.stream.shuffle import MessageShuffler
from kalshi_cli.simulator.stream.source import StreamSource
from kalshi_cli.simulator.stream.subscription import (
    BOOK,
    COMBO_LIFECYCLE,
    FAST_INDEX,
    FILL,
    GROUPS,
    INDEX,
    LIFECYCLE,
    ORDERS,
    POSITIONS,
    PYTH,
    TALKS,
    TICKER,
    TRADE,
    ChannelSubscription,
)


class Hub:
    """Who listens to what. Messages are made only where somebody does."""

    def __init__(self, state: SimulatorState) -> None:
        self.state = state
        self.connections: dict[Connection, None] = {}
        self.shuffle: MessageShuffler | None = None
        self.source = StreamSource(state)
        self._stale: dict[str, None] = {}
        self._told: dict[str, Ts] = {}

    def connect(self, account: str) -> Connection:
        connection = Connection(self.source, account, on_close=lambda closed: self.connections.pop(closed, None))
        self.connections[connection] = None
        return connection

    def hang_up(self, how: str) -> int:
        """End every connection: `reset` (without a close frame) or `close`. How many those were."""
        connections = list(self.connections)
        for connection in connections:
            connection.hang_up(how)
        return len(connections)

    def break_channel(self, channel: str, code: int, now: Ts) -> int:
        """End all subscriptions of a channel with a terminal error. How many those were."""
        listeners = self._listeners(channel)
        for connection, sub in listeners:
            connection.end(sub, code, now)
        return len(listeners)

    # -- the order of messages --

    def publish(self, happened: list[Happening], now: Ts) -> bool:
        """Tell everybody who subscribed, in the order in which it happened.

        With a shuffle the messages of each connection wait, in another order, for `release`; True where some do.
        """
        self.source.is_collecting = self.shuffle is not None
        try:
            for item in happened:
                self._publish(item, now)
        finally:
            self.source.is_collecting = False
        if self.shuffle is None:
            return False
        waiting = [connection.mix(self.shuffle) for connection in self.connections]
        return any(waiting)

    def release(self) -> None:
        """Let go of the messages that waited."""
        for connection in self.connections:
            connection.release()

    def tick(self, now: Ts) -> None:
        """The ticker channel is conflated: a market is told at most once an interval, and only if it changed."""
        for ticker in list(self._stale):
            if 0 <= now - self._told.get(ticker, 0) < self.state.options.ticker_every_ms:
                continue
            del self._stale[ticker]
            self._told[ticker] = now
            if ticker in self.state.markets:
                self._send(TICKER, "ticker", ticker, partial(self.source.ticker, ticker, now), now)

    # -- who hears of what --

    def _publish(self, item: Happening, now: Ts) -> None:
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
                order = partial(frames.user_order_msg, item, self._user(item.account), self._asks)
                self._send(ORDERS, "user_order", item.ticker, order, now, item.account)
            case PositionRecord():
                held = partial(frames.position_msg, item, self._user(item.account))
                self._send(POSITIONS, "market_position", item.ticker, held, now, item.account)
            case GroupChanged():
                self._send(GROUPS, "order_group_updates", "", partial(frames.group_msg, item), now, item.account)
            case MarketChanged() | EventListed() | EventFeesChanged():
                self._publish_life(item, now)
            case StreamNotification():
                self._publish_talk(item, now)
            case IndexTick():
                self._publish_index(item, now)
            case PythTick():
                self._publish_pyth(item, now)

    @property
    def _asks(self) -> str:
        return self.state.options.asks_read_as

    def _user(self, account: str) -> str:
        return self.state.members[account].record.user_id

    def _listeners(self, channel: str) -> list[tuple[Connection, ChannelSubscription]]:
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
                msg = self.source.snapshot(ticker, use_yes_price=sub.use_yes_price)
                connection.send(sub, "orderbook_snapshot", msg, now)

    def _publish_life(self, item: MarketChanged | EventListed | EventFeesChanged, now: Ts) -> None:
        """Combos have a channel of their own, which knows fewer messages."""
        make: Callable[[], Json]
        if isinstance(item, MarketChanged):
            market = self.state.markets[item.ticker]
            is_combo, kind = frames.is_combo(item.ticker), LIFECYCLE
            is_told = not is_combo or item.change not in ("price_level_structure_updated", "metadata_updated")
            make = partial(frames.lifecycle_msg, item, market)
        else:
            event = self.state.events[item.event_ticker]
            is_combo, kind = frames.is_combo(event.series_ticker), "event_lifecycle"
            is_told = not is_combo or isinstance(item, EventListed)
            make = partial(frames.event_msg, event, self.state.shard_of(item.event_ticker))
            if isinstance(item, EventFeesChanged):
                kind, make = "event_fee_update", partial(frames.event_fees_msg, event)
        if is_told:
            channel = COMBO_LIFECYCLE if is_combo else LIFECYCLE
            self._send(channel, channel if kind == LIFECYCLE else kind, "", make, now)

    def _publish_talk(self, told: StreamNotification, now: Ts) -> None:
        for connection, sub in self._listeners(TALKS):
            is_mine = connection.account == told.creator
            is_for = told.audience is None or connection.account in told.audience
            is_wanted = is_mine or not sub.is_own_only or told.audience is not None
            if is_for and is_wanted and sub.has_share(told.rfq_id):
                connection.send(sub, told.kind, told.msg, now)

    def _publish_index(self, tick: IndexTick, now: Ts) -> None:
        """The channel of five a second tells every tick once, the other one those on the second, with averages."""
        if tick.ts > self.source.fast.get(tick.index_id, -1):
            self.source.fast[tick.index_id] = tick.ts
            self._send_named(FAST_INDEX, tick.index_id, partial(frames.fast_index_msg, tick), now)
        if tick.is_fast:
            return
        tape = self.source.indices.setdefault(tick.index_id, frames.IndexMessages(tick.index_id))
        msg = tape.msg(tick.value, tick.ts)
        if msg is None:
            return
        for connection, sub in self._wanting(INDEX, tick.index_id):
            connection.send(sub, INDEX, msg, now)

    def _publish_pyth(self, tick: PythTick, now: Ts) -> None:
        if tick.ts > self.source.underlyings.get(tick.underlying, -1):
            self.source.underlyings[tick.underlying] = tick.ts
            self._send_named(PYTH, tick.underlying, partial(frames.pyth_msg, tick), now)

    def _send_named(self, channel: str, name: str, make: Callable[[], Json], now: Ts) -> None:
        for connection, sub in self._wanting(channel, name):
            connection.send(sub, channel, make(), now)

    def _wanting(self, channel: str, name: str) -> Iterator[tuple[Connection, ChannelSubscription]]:
        return ((connection, sub) for connection, sub in self._listeners(channel) if sub.wants_id(name))

    def rewind(self) -> None:
        """The world's time went back: what comes is newer than nothing."""
        self.source.forget_names()
        self._told.clear()
