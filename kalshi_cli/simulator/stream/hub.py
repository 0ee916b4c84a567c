"""All connections of the stream, and the distribution of what happened to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model import records
from kalshi_cli.simulator.protocol.replies import Json
from kalshi_cli.simulator.stream import frames, subscription
from kalshi_cli.simulator.stream.connection import Connection
from kalshi_cli.simulator.stream.shuffle import MessageShuffler
from kalshi_cli.simulator.stream.source import StreamSource


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

    def publish(self, happened: list[records.Happening], now: Ts) -> bool:
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
                self._send(subscription.TICKER, "ticker", ticker, partial(self.source.ticker, ticker, now), now)

    # -- who hears of what --

    def _publish(self, item: records.Happening, now: Ts) -> None:
        match item:
            case records.BookChange() | records.BookCleared():
                self._publish_book(item, now)
            case records.TradeRecord():
                self._send(subscription.TRADE, "trade", item.ticker, partial(frames.trade_msg, item), now)
            case records.FillRecord():
                self._send(subscription.FILL, "fill", item.ticker, partial(frames.fill_msg, item), now, item.account)
            case records.OrderRecord():
                order = partial(frames.user_order_msg, item, self._user(item.account), self._asks)
                self._send(subscription.ORDERS, "user_order", item.ticker, order, now, item.account)
            case records.PositionRecord():
                held = partial(frames.position_msg, item, self._user(item.account))
                self._send(subscription.POSITIONS, "market_position", item.ticker, held, now, item.account)
            case records.GroupChanged():
                self._send(
                    subscription.GROUPS, "order_group_updates", "", partial(frames.group_msg, item), now, item.account
                )
            case records.MarketChanged() | records.EventListed() | records.EventFeesChanged():
                self._publish_life(item, now)
            case records.StreamNotification():
                self._publish_talk(item, now)
            case records.IndexTick():
                self._publish_index(item, now)
            case records.PythTick():
                msg = frames.pyth_msg(item)
                self._publish_tick(subscription.PYTH, item.underlying, msg, self.source.underlyings, now)

    @property
    def _asks(self) -> str:
        return self.state.options.asks_read_as

    def _user(self, account: str) -> str:
        return self.state.members[account].record.user_id

    def _listeners(self, channel: str) -> list[tuple[Connection, subscription.ChannelSubscription]]:
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

    def _publish_book(self, change: records.BookChange | records.BookCleared, now: Ts) -> None:
        """A change of one level; or an empty snapshot, unasked: how the real stream says that a market closed."""
        self._stale[change.ticker] = None
        market = self.state.markets[change.ticker]
        for connection, sub in self._listeners(subscription.BOOK):
            if not sub.wants(change.ticker):
                continue
            if isinstance(change, records.BookCleared):
                kind, msg = "orderbook_snapshot", self.source.snapshot(change.ticker, use_yes_price=sub.use_yes_price)
            else:
                kind, is_own = "orderbook_delta", connection.account == change.account
                msg = frames.delta_msg(change, market.market_id, use_yes_price=sub.use_yes_price, is_own=is_own)
            connection.send(sub, kind, msg, now)

    def _publish_life(
        self, item: records.MarketChanged | records.EventListed | records.EventFeesChanged, now: Ts
    ) -> None:
        """Combos have a channel of their own, which knows fewer messages."""
        make: Callable[[], Json]
        if isinstance(item, records.MarketChanged):
            market = self.state.markets[item.ticker]
            is_combo, kind = frames.is_combo(item.ticker), subscription.LIFECYCLE
            is_told = not is_combo or item.change not in ("price_level_structure_updated", "metadata_updated")
            make = partial(frames.lifecycle_msg, item, market)
        else:
            event = self.state.events[item.event_ticker]
            is_combo, kind = frames.is_combo(event.series_ticker), "event_lifecycle"
            is_told = not is_combo or isinstance(item, records.EventListed)
            make = partial(frames.event_msg, event, self.state.shard_of(item.event_ticker))
            if isinstance(item, records.EventFeesChanged):
                kind, make = "event_fee_update", partial(frames.event_fees_msg, event)
        if is_told:
            channel = subscription.COMBO_LIFECYCLE if is_combo else subscription.LIFECYCLE
            self._send(channel, channel if kind == subscription.LIFECYCLE else kind, "", make, now)

    def _publish_talk(self, told: records.StreamNotification, now: Ts) -> None:
        for connection, sub in self._listeners(subscription.TALKS):
            is_mine = connection.account == told.creator
            is_for = told.audience is None or connection.account in told.audience
            is_wanted = is_mine or not sub.is_own_only or told.audience is not None
            if is_for and is_wanted and sub.has_share(told.rfq_id):
                connection.send(sub, told.kind, told.msg, now)

    def _publish_index(self, tick: records.IndexTick, now: Ts) -> None:
        """The channel of five a second tells every tick once, the other one those on the second, with averages."""
        msg = frames.fast_index_msg(tick)
        self._publish_tick(subscription.FAST_INDEX, tick.index_id, msg, self.source.fast, now)
        if tick.is_fast:
            return
        tape = self.source.indices.setdefault(tick.index_id, frames.IndexMessages(tick.index_id))
        if (averages := tape.msg(tick.value, tick.ts)) is not None:
            self._send_named(subscription.INDEX, tick.index_id, averages, now)

    def _publish_tick(self, channel: str, name: str, msg: Json, told: dict[str, Ts], now: Ts) -> None:
        """A value that is newer than the last of its name."""
        if msg["source_ts_ms"] > told.get(name, -1):
            told[name] = msg["source_ts_ms"]
            self._send_named(channel, name, msg, now)

    def _send_named(self, channel: str, name: str, msg: Json, now: Ts) -> None:
        for connection, sub in self._listeners(channel):
            if sub.wants_id(name):
                connection.send(sub, channel, msg, now)

    def rewind(self) -> None:
        """The world's time went back: what comes is newer than nothing."""
        self.source.forget_names()
        self._told.clear()
