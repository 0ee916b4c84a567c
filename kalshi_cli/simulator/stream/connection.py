"""A connection of the message stream: its commands, subscriptions and messages (API.md section 7).

Each channel of a connection has its own sid, and each sid counts its own `seq` across its markets. `ok`, `unsubscribed`
and the errors of a subscription use a number too. Messages wait in the outbox until the socket takes them; a full
outbox ends the subscription that wants to write (error 25), never the exchange.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.protocol.replies import Json
from kalshi_cli.simulator.stream import commands, frames, shuffle
from kalshi_cli.simulator.stream.subscription import BOOK, CHANNELS, TICKER, ChannelSubscription

MAX_SUBSCRIPTIONS = 1_000


class Connection:
    """A WebSocket: text in through `receive`, messages out through `outbox`. `wake` is called for new messages.

    `hung_up` says how the exchange ended it (`reset`, `close`) once the outbox is empty; otherwise it is empty.
    """

    def __init__(self, source: frames.StreamSource, account: str, on_close: Callable[[Connection], object]) -> None:
        self.account = account
        self.outbox: deque[str] = deque()
        self.wake: Callable[[], None] = lambda: None
        self.subscriptions: dict[int, ChannelSubscription] = {}
        self.hung_up = ""
        self._source = source
        self._on_close = on_close
        self._next_sid = 1
        self._waiting: list[str] = []
        self._collected: list[tuple[int, str]] = []
        self._second = Ts(0)
        self._commands = 0

    def receive(self, text: str, now: Ts) -> None:
        """Handle one command; its answer is in the outbox afterwards.

        A client that sends commands while its outbox is full is disconnected, because answers need room too.
        """
        self.release()
        if len(self.outbox) >= self._source.state.options.outbox_limit:
            self.hang_up("close")
            return
        command_id = None
        try:
            command_id, name, params = commands.read_command(text)
            self._count(now)
            if name == "subscribe":
                self._subscribe(command_id, params, now)
            elif name == "unsubscribe":
                self._unsubscribe(command_id, params, now)
            elif name == "update_subscription":
                self._update(command_id, params, now)
            else:
                listed = [{"channel": one.channel, "sid": one.sid} for one in self.subscriptions.values()]
                self._put({"type": "ok", "id": command_id, "msg": listed}, now)
        except commands.CommandError as error:
            known = error.command_id if command_id is None else command_id
            self._put({"type": "error", **_id(known or 0), "msg": error.msg()}, now)

    def close(self) -> None:
        """Forget the connection; its outbox gets no further messages."""
        self.subscriptions.clear()
        self._on_close(self)

    def hang_up(self, how: str) -> None:
        """End the connection from the side of the exchange: `reset` or `close`."""
        self.release()
        self.close()
        self.hung_up = how
        self.wake()

    def _count(self, now: Ts) -> None:
        """Refuse too many commands per second, and the command that was chosen to fail."""
        second = Ts(now // 1000)
        self._second, self._commands = second, self._commands + 1 if second == self._second else 1
        if self._commands > self._source.state.options.commands_a_second:
            raise commands.CommandError(27)
        if self._source.fails_next:
            code, self._source.fails_next = self._source.fails_next, 0
            raise commands.CommandError(code)

    # -- commands --

    def _subscribe(self, command_id: int, params: Json, now: Ts) -> None:
        channels = commands.channels_of(params)
        tickers = commands.markets_of(params, channels, self._tickers_by_id(params))
        unknown = self._unknown(tickers)
        if unknown and len(unknown) == len(tickers or ()):
            raise commands.CommandError(11, unknown)
        known = None if tickers is None else set(tickers) - set(unknown)
        asked = {channel: set(commands.names_of(params, CHANNELS[channel].ids) or ()) for channel in channels}
        options: Json = {
            "shard": commands.share_of(params, channels),
            "is_own_only": commands.is_own_only(params),
            "use_yes_price": commands.flag_of(params, "use_yes_price"),
            "skips_tickers": commands.flag_of(params, "skip_ticker_ack"),
        }
        wants_tickers = commands.flag_of(params, "send_initial_snapshot")
        limited = sum(CHANNELS[channel].has_markets for channel in channels)
        self._refuse_too_much(len(channels), limited * len(known or ()))
        for channel in channels:
            sub = ChannelSubscription(
                sid=self._next_sid,
                channel=channel,
                tickers=None if known is None or not CHANNELS[channel].has_markets else set(known),
                ids=asked[channel],
                **options,
            )
            self._next_sid += 1
            self.subscriptions[sub.sid] = sub
            msg = {"channel": channel, "sid": sub.sid}
            self._put({"type": "subscribed", **_id(command_id), "msg": msg}, now)
            if channel == BOOK:
                self._snapshots(sub, sorted(known or ()), now)
            if channel == TICKER and wants_tickers:
                self._tickers(sub, sorted(known or self._source.state.markets), now)
        if unknown:
            self._put({"type": "error", **_id(command_id), "msg": commands.CommandError(11, unknown).msg()}, now)

    def _unsubscribe(self, command_id: int, params: Json, now: Ts) -> None:
        sids = commands.sids_of(params)
        if not sids:
            raise commands.CommandError(4)
        if any(sid not in self.subscriptions for sid in sids):
            raise commands.CommandError(7)
        for sid in dict.fromkeys(sids):
            sub = self.subscriptions.pop(sid)
            self._put({"type": "unsubscribed", **_id(command_id), "sid": sid, "seq": sub.seq + 1}, now)

    def _update(self, command_id: int, params: Json, now: Ts) -> None:
        sids = commands.sids_of(params)
        if len(sids) != 1:
            raise commands.CommandError(12)
        sub = self.subscriptions.get(sids[0])
        if sub is None:
            raise commands.CommandError(7)
        try:
            action = params.get("action")
            if not action:
                raise commands.CommandError(15)
            if sub.kind.ids:
                self._update_ids(command_id, sub, action, params, now)
            else:
                self._update_markets(command_id, sub, action, params, now)
        except commands.CommandError as error:
            self.send(sub, "error", error.msg(), now, command_id)

    def _update_markets(self, command_id: int, sub: ChannelSubscription, action: object, params: Json, now: Ts) -> None:
        if action not in ("add_markets", "delete_markets", "get_snapshot") or sub.tickers is None:
            raise commands.CommandError(13)
        tickers = commands.markets_of(params, [sub.channel], self._tickers_by_id(params))
        wants_tickers = commands.flag_of(params, "send_initial_snapshot")
        if not tickers:
            raise commands.CommandError(14)
        unknown = self._unknown(tickers)
        if unknown and not (action == "delete_markets" and sub.tickers.issuperset(unknown)):
            raise commands.CommandError(11, unknown)
        if action == "get_snapshot":
            if sub.channel != BOOK:
                raise commands.CommandError(13)
            if unlisted := sorted(set(tickers) - sub.tickers):
                raise commands.CommandError(11, unlisted)  # UNVERIFIED: such a request was not recorded
            self._snapshots(sub, tickers, now, command_id)
            return
        added = [ticker for ticker in tickers if ticker not in sub.tickers] if action == "add_markets" else []
        self._refuse_too_much(0, len(added))
        sub.tickers = sub.tickers | set(tickers) if action == "add_markets" else sub.tickers - set(tickers)
        self.send(sub, "ok", self._followed(sub, params), now, command_id)
        if sub.channel == BOOK:
            self._snapshots(sub, added, now)
        if sub.channel == TICKER and wants_tickers:
            self._tickers(sub, added, now)

    def _update_ids(self, command_id: int, sub: ChannelSubscription, action: object, params: Json, now: Ts) -> None:
        kind = sub.kind
        if action == kind.listing:
            known = {kind.ids: self._source.names(sub.channel, now)}
            self.send(sub, kind.listing_type, known, now, command_id)
            return
        if action not in (kind.add, kind.drop):
            raise commands.CommandError(13)
        ids = set(commands.names_of(params, kind.ids) or ())
        if not ids:
            raise commands.CommandError(kind.missing)
        sub.ids = sub.ids | ids if action == kind.add else sub.ids - ids
        self.send(sub, "ok", {kind.ids: sorted(sub.ids)}, now, command_id)

    def _tickers_by_id(self, params: Json) -> dict[str, str]:
        if "market_id" not in params and "market_ids" not in params:
            return {}
        return {market.market_id: ticker for ticker, market in self._source.state.markets.items()}

    def _unknown(self, tickers: list[str] | None) -> list[str]:
        return sorted(ticker for ticker in tickers or () if ticker not in self._source.state.markets)

    def _refuse_too_much(self, channels: int, markets: int) -> None:
        followed = sum(len(sub.tickers or ()) for sub in self.subscriptions.values()) if markets else 0
        if len(self.subscriptions) + channels > MAX_SUBSCRIPTIONS:
            raise commands.CommandError(26)
        if followed + markets > self._source.state.options.market_limit:
            raise commands.CommandError(26)

    def _followed(self, sub: ChannelSubscription, params: Json) -> Json:
        """Return all markets of a subscription, by ticker or by id as in the command."""
        if sub.skips_tickers:
            return {}
        if "market_id" in params or "market_ids" in params:
            markets = self._source.state.markets
            return {"market_ids": sorted(markets[one].market_id for one in sub.tickers or () if one in markets)}
        return {"market_tickers": sorted(sub.tickers or ())}

    # -- frames --

    def send(self, sub: ChannelSubscription, kind: str, msg: Json, now: Ts, command_id: int = 0) -> None:
        """Send a message of a subscription, numbered if its channel is. A full outbox ends the subscription instead."""
        waiting = len(self.outbox) + len(self._waiting) + len(self._collected)
        if waiting >= self._source.state.options.outbox_limit:
            self.end(sub, 25, now)
            return
        frame: Json = {"type": kind, **_id(command_id), "sid": sub.sid}
        if sub.kind.is_numbered or (kind == "ok" and self._source.state.options.ok_has_seq):
            sub.seq += 1
            frame["seq"] = sub.seq
        frame["msg"] = msg
        self._put(frame, now)

    def end(self, sub: ChannelSubscription, code: int, now: Ts) -> None:
        """End a subscription with a terminal error."""
        if self.subscriptions.pop(sub.sid, None) is not None:
            number = {"seq": sub.seq + 1} if sub.kind.is_numbered else {}
            self._put(
                {"type": "error", "sid": sub.sid, **number, "msg": {"code": code, "msg": commands.ERRORS[code]}}, now
            )

    def _snapshots(self, sub: ChannelSubscription, tickers: list[str], now: Ts, command_id: int = 0) -> None:
        for ticker in tickers:
            msg = self._source.snapshot(ticker, use_yes_price=sub.use_yes_price)
            self.send(sub, "orderbook_snapshot", msg, now, command_id)

    def _tickers(self, sub: ChannelSubscription, tickers: list[str], now: Ts) -> None:
        for ticker in tickers:
            self.send(sub, "ticker", self._source.ticker(ticker, now), now)

    def _put(self, frame: Json, now: Ts) -> None:
        frame["sending_ts_ms"] = now
        text = msgspec.json.encode(frame).decode()
        if self._source.is_collecting:
            self._collected.append((frame.get("sid", 0), text))
            return
        self.outbox.append(text)
        self.wake()

    def mix(self, shuffler: shuffle.MessageShuffler) -> bool:
        """Shuffle the collected messages behind those that wait already; return whether any wait now."""
        if self._collected:
            self._waiting += shuffler.mix(self._collected)
            self._collected = []
        return bool(self._waiting)

    def release(self) -> None:
        """Send the messages that waited."""
        if self._waiting:
            self.outbox += self._waiting
            self._waiting = []
            self.wake()


def _id(command_id: int) -> Json:
    """Return the id of the answered command; 0 means none."""
    return {"id": command_id} if command_id else {}
