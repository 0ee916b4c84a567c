"""All connections of the stream, and the distribution of messages to them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model import listing, records
from kalshi_cli.simulator.protocol.replies import Json
from kalshi_cli.simulator.stream import frames, shuffle, subscription
from kalshi_cli.simulator.stream.connection import Connection

_MESSAGES: dict[type, tuple[str, str, Callable[[Any, SimulatorState], Json]]] = {
    records.TradeRecord: (subscription.TRADE, "trade", frames.trade_msg),
    records.FillRecord: (subscription.FILL, "fill", frames.fill_msg),
    records.OrderRecord: (subscription.ORDERS, "user_order", frames.user_order_msg),
    records.PositionRecord: (subscription.POSITIONS, "market_position", frames.position_msg),
    records.GroupChanged: (subscription.GROUPS, "order_group_updates", frames.group_msg),
}
"""The channel, the type and the content of the messages that are the same for all their subscribers."""


class Hub:
    """Publishes messages to subscribers. A message is built only for existing subscribers."""

    def __init__(self, state: SimulatorState) -> None:
        self.state = state
        self.connections: dict[Connection, None] = {}
        self.shuffle: shuffle.MessageShuffler | None = None
        self.source = frames.StreamSource(state)
        self._stale: dict[str, None] = {}
        self._sent_at: dict[str, Ts] = {}

    def connect(self, account: str) -> Connection:
        """Add a connection of an account."""
        connection = Connection(self.source, account, on_close=lambda closed: self.connections.pop(closed, None))
        self.connections[connection] = None
        return connection

    def hang_up(self, how: str) -> int:
        """End every connection: `reset` (without a close frame) or `close`. Return their number."""
        connections = list(self.connections)
        for connection in connections:
            connection.hang_up(how)
        return len(connections)

    def break_channel(self, channel: str, code: int, now: Ts) -> int:
        """End all subscriptions of a channel with a terminal error. Return their number."""
        listeners = self._listeners(channel)
        for connection, sub in listeners:
            connection.end(sub, code, now)
        return len(listeners)

    # -- the order of messages --

    def publish(self, happened: list[records.Happening], now: Ts) -> bool:
        """Send what happened to all subscribers, in order.

        With a shuffle the messages of each connection wait, in another order, for `release`; return whether any wait.
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
        """Send the messages that waited."""
        for connection in self.connections:
            connection.release()

    def tick(self, now: Ts) -> None:
        """Send the ticker messages that are due: one per market and interval at most, and only after a change."""
        for ticker in list(self._stale):
            if 0 <= now - self._sent_at.get(ticker, 0) < self.state.options.ticker_every_ms:
                continue
            del self._stale[ticker]
            self._sent_at[ticker] = now
            if ticker in self.state.markets:
                self._send(subscription.TICKER, "ticker", ticker, partial(self.source.ticker, ticker, now), now)

    # -- channels --

    def _publish(self, item: records.Happening, now: Ts) -> None:
        if (found := _MESSAGES.get(type(item))) is not None:
            channel, kind, make = found
            ticker, account = getattr(item, "ticker", ""), getattr(item, "account", None)
            self._send(channel, kind, ticker, partial(make, item, self.state), now, account)
            return
        match item:
            case records.BookChange() | records.BookCleared():
                self._publish_book(item, now)
            case records.MarketChanged() | records.EventListed() | records.EventFeesChanged():
                self._publish_life(item, now)
            case records.StreamNotification():
                self._publish_communication(item, now)
            case records.IndexTick():
                self._publish_index(item, now)
            case records.PythTick():
                msg = frames.pyth_msg(item)
                self._publish_tick(subscription.PYTH, item.underlying, msg, self.source.underlyings, now)

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
        """Send a message to the subscribers; build it only if there are any."""
        msg: Json | None = None
        for connection, sub in self._listeners(channel):
            if sub.wants(ticker) and account in (None, connection.account):
                msg = make() if msg is None else msg
                connection.send(sub, kind, msg, now)

    def _publish_book(self, change: records.BookChange | records.BookCleared, now: Ts) -> None:
        """Send a change of one level, or the empty snapshot with which the real stream shows a market's close."""
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

    def _publish_life(self, item: records.LifeChange, now: Ts) -> None:
        """Send a change of a market or event. Combos have their own channel, which has fewer messages."""
        make: Callable[[], Json]
        if isinstance(item, records.MarketChanged):
            market = self.state.markets[item.ticker]
            is_combo, kind = listing.is_combo(item.ticker), subscription.LIFECYCLE
            is_published = not is_combo or item.change not in ("price_level_structure_updated", "metadata_updated")
            make = partial(frames.lifecycle_msg, item, market)
        else:
            event = self.state.events[item.event_ticker]
            is_combo, kind = listing.is_combo(event.series_ticker), "event_lifecycle"
            is_published = not is_combo or isinstance(item, records.EventListed)
            make = partial(frames.event_msg, event, self.state.shard_of(item.event_ticker))
            if isinstance(item, records.EventFeesChanged):
                kind, make = "event_fee_update", partial(frames.event_fees_msg, event)
        if is_published:
            channel = subscription.COMBO_LIFECYCLE if is_combo else subscription.LIFECYCLE
            self._send(channel, channel if kind == subscription.LIFECYCLE else kind, "", make, now)

    def _publish_communication(self, notification: records.StreamNotification, now: Ts) -> None:
        for connection, sub in self._listeners(subscription.COMMUNICATIONS):
            is_mine = connection.account == notification.creator
            is_for = notification.audience is None or connection.account in notification.audience
            is_wanted = is_mine or not sub.is_own_only or notification.audience is not None
            if is_for and is_wanted and sub.has_share(notification.rfq_id):
                connection.send(sub, notification.kind, notification.msg, now)

    def _publish_index(self, tick: records.IndexTick, now: Ts) -> None:
        """Send a tick on the fast channel once; a tick on the second also goes to the channel with averages."""
        msg = frames.fast_index_msg(tick)
        self._publish_tick(subscription.FAST_INDEX, tick.index_id, msg, self.source.fast, now)
        if tick.is_fast:
            return
        tape = self.source.indices.setdefault(tick.index_id, frames.IndexMessages(tick.index_id))
        if (averages := tape.msg(tick.value, tick.ts)) is not None:
            self._send_named(subscription.INDEX, tick.index_id, averages, now)

    def _publish_tick(self, channel: str, name: str, msg: Json, last: dict[str, Ts], now: Ts) -> None:
        """Send a value that is newer than the last of its name."""
        if msg["source_ts_ms"] > last.get(name, -1):
            last[name] = msg["source_ts_ms"]
            self._send_named(channel, name, msg, now)

    def _send_named(self, channel: str, name: str, msg: Json, now: Ts) -> None:
        for connection, sub in self._listeners(channel):
            if sub.wants_id(name):
                connection.send(sub, channel, msg, now)

    def rewind(self) -> None:
        """Accept older ticks again after the clock was set back."""
        self.source.forget_names()
        self._sent_at.clear()
