"""The state of one connection, without the connection: frames in, messages and commands out.

Every subscription has a `sid`. Its frames are numbered: `seq` starts at 1 and rises by one with each snapshot, delta,
`ok`, `unsubscribed` and error, over all markets of the sid. After a skipped number no order book of the sid is usable
until its next snapshot (API.md, 7.4).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import FeedGap, Message
from kalshi_cli.exchange.stream import frames

BOOK = "orderbook_delta"
LIFECYCLE = "market_lifecycle_v2"
REFERENCE = "cfbenchmarks_value"
BY_TICKER = (BOOK, "ticker", "trade")
ACCOUNT_CHANNELS = {
    frames.FillFrame: "fill",
    frames.UserOrderFrame: "user_orders",
    frames.GroupFrame: "order_group_updates",
}
"""Private channels of the account whose key signed, by their frame."""
MARKET_CHANNELS = (*BY_TICKER, LIFECYCLE)
CHANNELS = (*BY_TICKER, *ACCOUNT_CHANNELS.values(), LIFECYCLE)

MAX_TOLD = 100  # distinct notices, each given once, so that a faulty exchange cannot fill the log
MAX_ASKED = 1_000  # commands remembered in case they are refused

MAX_SIDS = 1_000
"""Subscriptions of one connection; kalshi uses a dozen. Frames of further ones are ignored."""
MAX_TICKERS = 100_000
"""Order books of a subscription without named markets: a recording, or a faulty exchange."""

TRANSIENT_ERROR_CODES = frozenset({1, 10, 18, 25, 27})
"""Errors that do not concern the markets of a command: timeout, too many commands, internal errors of the exchange."""

Said = Message | frames.MarketLifecycleEvent


class _Subscription:
    """State of a sid. Without a `last` number, the next one is accepted as it is."""

    __slots__ = ("asked_id", "channel", "fresh", "last", "refused", "sid", "tickers")

    def __init__(self, sid: int, channel: str, last: int | None, tickers: Iterable[str] = ()) -> None:
        self.sid = sid
        self.channel = channel
        self.last = last
        self.tickers = dict.fromkeys(tickers)
        self.fresh: set[str] = set()  # markets with a usable order book
        self.refused: dict[str, None] = {}  # wanted markets that the exchange refused: requested one by one
        self.asked_id = 0  # id of the latest get_snapshot


class StreamSession:
    """Turns the frames of a connection into messages, and issues the commands that make every order book usable again.

    `tell` receives notices of refusals by the exchange and of unknown message types. A recording is read by the same
    code: its commands stay in the list, and a sid that was never announced is accepted.
    """

    def __init__(
        self,
        tickers: Iterable[str] = (),
        *,
        channels: Iterable[str] = CHANNELS,
        index_ids: Iterable[str] = (),
        use_yes_price: bool = True,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._wanted = dict.fromkeys(tickers)
        self._index_ids = list(index_ids)
        self._channels = [*channels, REFERENCE] if self._index_ids else list(channels)
        self._use_yes_price = use_yes_price
        self._tell = tell
        self._told: set[str] = set()
        self._next_id = 0
        self.outbox: list[bytes] = []
        """Commands to send, oldest first; the sender empties the list."""
        self.forget()

    @property
    def tickers(self) -> tuple[str, ...]:
        """Return the markets that are followed."""
        return tuple(self._wanted)

    @property
    def is_answered(self) -> bool:
        """Return whether every channel was granted or refused, so that no later message of them is missed."""
        return not self._pending

    @property
    def is_whole(self) -> bool:
        """Return whether every wanted channel is subscribed and every order book is usable."""
        book = self._of(BOOK)
        is_fresh = book is None or self._wanted.keys() <= book.fresh
        has_refused = any(each.refused for each in self._subscriptions.values())
        return is_fresh and not has_refused and all(self._of(channel) is not None for channel in self._needed())

    @property
    def book_mark(self) -> tuple[int, int | None] | None:
        """Return a value that changes with every message about order books; None while they are not subscribed."""
        book = self._of(BOOK)
        return None if book is None else (book.sid, book.last)

    # -- wanted state -----------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Reset after the end of a connection."""
        self._subscriptions: dict[int, _Subscription] = {}
        self._pending: dict[int, tuple[str, tuple[str, ...]]] = {}
        self._asked: dict[int, tuple[int, str, tuple[str, ...]]] = {}
        self._unknown: dict[str, set[str]] = {}
        self._dead: set[int] = set()
        self.outbox.clear()

    def connect(self) -> None:
        """Request everything on a new connection; sids and numbers start over."""
        self.forget()
        self.repair()

    def repair(self) -> None:
        """Request missing channels, markets and snapshots again. Call it at intervals while not `is_whole`.

        Refused markets are requested one by one, so that one unknown market affects no other.
        """
        asked = {channel for channel, _ in self._pending.values()}
        for channel in self._needed():
            if self._of(channel) is None and channel not in asked:
                self._subscribe(channel)
        book = self._of(BOOK)
        if book is not None:
            self._ask_snapshots(book, [ticker for ticker in book.tickers if ticker not in book.fresh])
        for subscription in self._subscriptions.values():
            again, subscription.refused = subscription.refused, {}
            for ticker in again:
                self._update(subscription, "add_markets", [ticker])
                subscription.tickers[ticker] = None
        self._add_missing()

    def follow(self, tickers: Iterable[str]) -> None:
        """Follow these markets too."""
        self._wanted.update(dict.fromkeys(tickers))
        self.repair()

    def unsubscribe_markets(self, tickers: Iterable[str]) -> None:
        """Stop following these markets."""
        for ticker in tickers:
            self._wanted.pop(ticker, None)
        for subscription in self._subscriptions.values():
            for ticker in [ticker for ticker in subscription.refused if ticker not in self._wanted]:
                del subscription.refused[ticker]
            gone = [ticker for ticker in subscription.tickers if ticker not in self._wanted]
            if subscription.channel in BY_TICKER and gone:
                self._update(subscription, "delete_markets", gone)
                for ticker in gone:
                    del subscription.tickers[ticker]
                    subscription.fresh.discard(ticker)

    def resync(self, tickers: Iterable[str]) -> None:
        """Request new snapshots of these markets; their deltas are held back until then."""
        book = self._of(BOOK)
        if book is not None:
            found = [ticker for ticker in tickers if ticker in book.tickers]
            book.fresh.difference_update(found)
            self._ask_snapshots(book, found)

    def probe(self) -> bool:
        """Request snapshots of every book while the books stay in use; a live connection answers.

        Return False if there is nothing to request.
        """
        book = self._of(BOOK)
        if book is not None:
            self._ask_snapshots(book, book.tickers)
        return book is not None and bool(book.tickers)

    # -- frames -----------------------------------------------------------------------------------------------------

    def on_frame(self, raw: bytes | str, recv_ts: Ts) -> list[Said]:
        """Return the messages of a frame; none for acknowledgments, duplicates and unknown types. It never raises."""
        try:
            frame = frames.decode_frame(raw)
        except frames.FrameError as error:
            # It may have carried a number of any sid, so the next number of each is accepted as it is.
            return [said for each in self._subscriptions.values() for said in self._lost(each, str(error), recv_ts)]
        if frame is None:
            return []
        sid = frame.sid
        if sid is None or isinstance(frame, frames.SubscribedFrame):
            return self._on_reply(frame, recv_ts)
        subscription = self._subscriptions.get(sid) or self._adopt(sid, frame)
        if subscription is None:
            return []
        said = self._count(subscription, frame, recv_ts)
        if said is None:
            return []
        try:
            said += self._on_body(subscription, frame, recv_ts)
        except frames.FrameError as error:
            said += self._lost(subscription, str(error), recv_ts, last=subscription.last)
        return said

    def _adopt(self, sid: int, frame: frames.AnyFrame) -> _Subscription | None:
        """Accept an unannounced sid: a recording that starts in the middle, whose first number is accepted as it is.

        Return None for a sid that has ended, and beyond the limit.
        """
        if sid in self._dead or len(self._subscriptions) + len(self._dead) >= MAX_SIDS:
            return None
        channel = BOOK if isinstance(frame, frames.DeltaFrame | frames.SnapshotFrame) else ""
        self._subscriptions[sid] = _Subscription(sid, channel, None)
        return self._subscriptions[sid]

    def _count(self, subscription: _Subscription, frame: frames.AnyFrame, recv_ts: Ts) -> list[Said] | None:
        """Check the number of a frame; return the messages after a gap, or None if the frame must be ignored."""
        seq, last = frame.seq, subscription.last
        if seq is None:
            return []
        if last is None or seq == last + 1:
            subscription.last = seq
            return []
        if seq <= last and not self._is_answer(subscription, frame):
            return None
        reason = f"expected seq {last + 1} of sid {subscription.sid}, got {seq}"
        return self._lost(subscription, reason, recv_ts, last=seq)

    @staticmethod
    def _is_answer(subscription: _Subscription, frame: frames.AnyFrame) -> bool:
        """Return whether a frame with an old number is a requested snapshot.

        It comes late, or an absurd number came before it, after which no frame would be accepted. Counting restarts at
        it, and another snapshot is requested.
        """
        return (
            isinstance(frame, frames.SnapshotFrame)
            and frame.id is not None
            and frame.id == subscription.asked_id
            and frame.msg.market_ticker not in subscription.fresh
        )

    def _on_body(self, subscription: _Subscription, frame: frames.AnyFrame, recv_ts: Ts) -> list[Said]:
        if isinstance(frame, frames.DeltaFrame | frames.SnapshotFrame) and self._is_strange(
            subscription, frame.msg.market_ticker
        ):
            return []
        if isinstance(frame, frames.DeltaFrame):
            if frame.msg.market_ticker not in subscription.fresh:
                return self._early_delta(subscription, frame.msg.market_ticker, recv_ts)
        elif isinstance(frame, frames.LifecycleFrame):
            if self._wanted and frame.msg.ticker not in self._wanted:
                return []
        elif isinstance(frame, frames.FillFrame | frames.UserOrderFrame | frames.GroupFrame):
            if ACCOUNT_CHANNELS[type(frame)] not in self._channels:
                return []  # paper trading or a recording, which do not use this account
        elif isinstance(frame, frames.OkFrame | frames.ErrorFrame | frames.UnsubscribedFrame | frames.OtherFrame):
            return self._on_reply(frame, recv_ts)
        message = frames.to_message(frame, recv_ts=recv_ts, use_yes_price=self._use_yes_price)
        if isinstance(frame, frames.SnapshotFrame):
            subscription.tickers[frame.msg.market_ticker] = None
            subscription.fresh.add(frame.msg.market_ticker)
        return [] if message is None else [message]

    def _is_strange(self, subscription: _Subscription, ticker: str) -> bool:
        """Return whether the order book of this market was not requested."""
        if ticker in subscription.tickers or ticker in self._wanted:
            return False
        return bool(self._wanted) or len(subscription.tickers) >= MAX_TICKERS

    def _early_delta(self, subscription: _Subscription, ticker: str, recv_ts: Ts) -> list[Said]:
        """Handle a change of a book without a snapshot: expected after a gap, otherwise an error."""
        if ticker in subscription.tickers:
            return []
        subscription.tickers[ticker] = None
        self._ask_snapshots(subscription, [ticker])
        return [FeedGap(recv_ts, (ticker,), "an order book change arrived before its snapshot")]

    def _lost(self, subscription: _Subscription, reason: str, recv_ts: Ts, *, last: int | None = None) -> list[Said]:
        """Handle a gap in a sid; counting continues from `last`."""
        subscription.last = last
        if subscription.channel == LIFECYCLE:
            return [frames.MarketLifecycleEvent(ts=recv_ts, ticker=ticker, kind="missed") for ticker in self._wanted]
        if subscription.channel != BOOK or not subscription.tickers:
            return []
        subscription.fresh.clear()
        self._ask_snapshots(subscription, subscription.tickers)
        return [FeedGap(recv_ts, tuple(subscription.tickers), reason)]

    # -- replies ----------------------------------------------------------------------------------------------------

    def _on_reply(self, frame: frames.AnyFrame, recv_ts: Ts) -> list[Said]:
        if isinstance(frame, frames.SubscribedFrame):
            channel, tickers = self._pending.pop(frame.id or 0, (frame.msg.channel, ()))
            # A recording may contain a second `subscribed` for a sid that is counted already. A sid that was only seen
            # in a frame of an unknown type begins here.
            known = self._subscriptions.get(frame.msg.sid)
            if known is None or not known.channel:
                self._subscriptions[frame.msg.sid] = _Subscription(frame.msg.sid, channel, 0, tickers)
            self._remember(frame.id or 0, frame.msg.sid, "subscribe", tickers)
            self._add_missing()
        elif isinstance(frame, frames.ErrorFrame):
            return self._on_error(frame, recv_ts)
        elif isinstance(frame, frames.UnsubscribedFrame) and frame.sid is not None:
            return self._end(frame.sid, "unsubscribed", recv_ts)
        elif isinstance(frame, frames.OtherFrame):
            self._tell_once(f"Unknown message type on the stream: {frame.type[:60]}; ignored")
        return []

    def _tell_once(self, text: str) -> None:
        if text not in self._told and len(self._told) < MAX_TOLD:
            self._told.add(text)
            self._tell(text)

    def _on_error(self, frame: frames.ErrorFrame, recv_ts: Ts) -> list[Said]:
        trouble = frame.msg
        reason = f"stream error {trouble.code}: {trouble.msg[:200]}"
        if frame.is_terminal and frame.sid is not None:
            self._tell_once(reason)
            said = self._end(frame.sid, reason, recv_ts)
            self.repair()
            return said
        named = tuple(dict.fromkeys((*trouble.market_tickers, *([trouble.market_ticker or ""]))))
        if frame.id in self._pending:
            channel, tickers = self._pending.pop(frame.id)
            self._tell_once(f"{reason} ({channel})")
            wrong = set(tickers) & set(named)
            self._unknown.setdefault(channel, set()).update(wrong)
            if wrong and wrong != set(tickers):  # the whole channel was refused because of some of its markets
                self._subscribe(channel)
            return [FeedGap(recv_ts, tickers, reason)] if channel == BOOK and tickers else []
        sid, action, tickers = self._asked.pop(frame.id or 0, (0, "", ()))
        subscription = self._subscriptions.get(sid)
        if subscription is None or trouble.code in TRANSIENT_ERROR_CODES:
            self._tell_once(reason)
            return []
        return self._refused(subscription, action, tickers, named, reason, recv_ts)

    def _refused(
        self,
        subscription: _Subscription,
        action: str,
        tickers: tuple[str, ...],
        named: tuple[str, ...],
        reason: str,
        recv_ts: Ts,
    ) -> list[Said]:
        """Handle a refused command: identify the refused markets, and request the others again."""
        culprits = tickers if len(tickers) == 1 else tuple(ticker for ticker in tickers if ticker in named)
        others = tuple(ticker for ticker in tickers if ticker not in culprits)
        if action in ("add_markets", "get_snapshot"):
            for some in (others,) if culprits else ((each,) for each in others):
                if some:
                    self._update(subscription, action, some)
        if not culprits or action == "delete_markets":
            return []
        self._tell_once(f"{reason} ({subscription.channel}: {', '.join(culprits[:5])})")
        for ticker in culprits:
            subscription.tickers.pop(ticker, None)
            subscription.fresh.discard(ticker)
            if ticker in self._wanted:
                subscription.refused[ticker] = None
        return [FeedGap(recv_ts, culprits, reason)] if subscription.channel == BOOK else []

    def _end(self, sid: int, reason: str, recv_ts: Ts) -> list[Said]:
        """End a subscription. Later frames of its sid are ignored."""
        self._dead.add(sid)
        subscription = self._subscriptions.get(sid)
        said = self._lost(subscription, reason, recv_ts) if subscription else []
        self._subscriptions.pop(sid, None)
        return said

    # -- commands ---------------------------------------------------------------------------------------------------

    def _of(self, channel: str) -> _Subscription | None:
        return next((each for each in self._subscriptions.values() if each.channel == channel), None)

    def _needed(self) -> list[str]:
        """Return the wanted channels. Those by ticker need a ticker; without one, `ticker` would send every market."""
        return [channel for channel in self._channels if self._wanted or channel not in BY_TICKER]

    def _command(self, cmd: str, params: dict[str, Any]) -> int:
        self._next_id += 1
        self.outbox.append(msgspec.json.encode({"id": self._next_id, "cmd": cmd, "params": params}))
        return self._next_id

    def _subscribe(self, channel: str) -> None:
        """Subscribe with one command per channel, so that a refusal concerns one channel."""
        params: dict[str, Any] = {"channels": [channel]}
        unknown = self._unknown.get(channel, set())
        tickers = tuple(self._wanted) if channel in BY_TICKER else ()
        tickers = tuple(ticker for ticker in tickers if ticker not in unknown) or tickers
        if tickers:
            params["market_tickers"] = tickers
        if channel == BOOK:
            params["use_yes_price"] = self._use_yes_price  # always sent, because its default is announced to change
        if channel == REFERENCE:
            params["index_ids"] = self._index_ids
        self._pending[self._command("subscribe", params)] = (channel, tickers)

    def _update(self, subscription: _Subscription, action: str, tickers: Iterable[str]) -> int:
        asked = tuple(tickers)
        params = {"sids": [subscription.sid], "action": action, "market_tickers": asked}
        command = self._command("update_subscription", params)
        self._remember(command, subscription.sid, action, asked)
        return command

    def _remember(self, command: int, sid: int, action: str, tickers: tuple[str, ...]) -> None:
        """Remember the markets of a command in case it is refused."""
        if tickers:
            self._asked[command] = (sid, action, tickers)
            if len(self._asked) > MAX_ASKED:
                del self._asked[next(iter(self._asked))]

    def _ask_snapshots(self, subscription: _Subscription, tickers: Collection[str]) -> None:
        if tickers:
            subscription.asked_id = self._update(subscription, "get_snapshot", tickers)

    def _add_missing(self) -> None:
        """Add markets that were wanted after the subscription was requested; their snapshots follow by themselves."""
        for subscription in self._subscriptions.values():
            held = subscription.tickers.keys() | subscription.refused.keys()
            missing = [ticker for ticker in self._wanted if ticker not in held]
            if subscription.channel in BY_TICKER and missing:
                self._update(subscription, "add_markets", missing)
                subscription.tickers.update(dict.fromkeys(missing))


def recorded_frames(*, use_yes_price: bool) -> Callable[[bytes, Ts], list[Message]]:
    """Return the reader of one recorded connection: frame and time of receipt -> messages of the core.

    `use_yes_price` is that of the recorder's subscription. Lifecycle frames are left out: they only say that a market
    should be read again.
    """
    sequencer = StreamSession(channels=(), use_yes_price=use_yes_price)

    def read(raw: bytes, recv_ts: Ts) -> list[Message]:
        said = sequencer.on_frame(raw, recv_ts)
        sequencer.outbox.clear()  # a recording answers no commands
        return [each for each in said if isinstance(each, Message)]

    return read
