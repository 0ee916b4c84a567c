"""The WebSocket: one thread reads, counts and decodes, and the main thread takes messages from a bounded queue.

Only that thread touches the socket; other threads queue a request and wake it. Any error ends the connection, marks
every order book as unusable, and leads to a reconnect after a growing pause.
"""

from __future__ import annotations

import random
import selectors
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import CredentialsError, KalshiError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import FeedGap, FeedState
from kalshi_cli.exchange.rest import exchange_clock, signing
from kalshi_cli.exchange.stream.inbox import MessageQueue
from kalshi_cli.exchange.stream.sequencing import CHANNELS, Said, StreamSession
from kalshi_cli.exchange.wire.replies import SET_CLOCK
from kalshi_cli.net import websocket
from kalshi_cli.net.reconnect import Backoff
from kalshi_cli.net.websocket import BINARY, CLOSE, PING, TEXT, Framing, FramingError

_CHUNK = 256 * 1024
_MAX_REFUSALS = 3
"""Rejections in a row after which a key that worked before is given up: gateways can fail for a moment."""

_CLOCK_OFF_MS = 4_000
"""The exchange rejects times that are off by more than five seconds; the date of a response has whole seconds."""


class StreamTimings(msgspec.Struct, frozen=True, kw_only=True):
    """Time limits of the stream, in seconds."""

    connect_s: float = 10.0
    silence_s: float = 13.5
    """Without any frame for this long the connection is dead. The exchange pings every 10 s, so that is found within 15
    s."""
    quiet_s: float = 5.0
    """Without a message about an order book for this long, request snapshots; they prove that quiet books are
    current."""
    repair_s: float = 5.0
    """Interval for requesting missing channels, markets and snapshots again; it doubles after each time."""
    longest_repair_s: float = 60.0
    patience_s: float = 15.0
    """Without an answer to subscriptions, or to such a snapshot request, for this long the connection is dead, even if
    it pings and other channels work."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    healthy_s: float = 60.0
    """After a connection of this length the next pause is the first one again."""


class FrameObserver(Protocol):
    """Receives the raw frames on the stream's own thread: the recorder."""

    def connected(self, *, use_yes_price: bool) -> None:
        """Note a new connection."""
        ...

    def frame(self, raw: bytes | str) -> None:
        """Take one raw frame."""
        ...


class _SilenceMonitor:
    """Monotonic times of the last signs of life of a connection."""

    def __init__(self, now: float, pace: StreamTimings) -> None:
        self.now = now
        self.heard = now  # last frame of any kind
        self.booked = now  # last message about an order book
        self.book_mark: tuple[int, int | None] | None = None  # of the session, at that time
        self.asked: float | None = None  # since when a probe waits for a message about an order book
        self.answered = now  # when no subscription was last unanswered
        self.probed = now
        self.repair_at = now + pace.repair_s
        self.repair_pause = pace.repair_s


class _LostError(Exception):
    """The connection is over; the text gives the reason."""


class Stream:
    """The live feed of one account. `start`, `take` messages from `inbox`, `stop`.

    `inbox` gives BookSnapshot, BookDelta, Quote, PublicTrade, Filled, OrderState, ReferencePrice, FeedGap, FeedState
    and MarketLifecycleEvent in wire order. FeedState(is_live=True) comes after every channel was answered, so that a
    read of the account after it misses nothing, and before the first book, so that no decision precedes that read. A
    FeedGap without tickers concerns every book.
    """

    def __init__(
        self,
        ws_url: str,
        signer: signing.Signer,
        clock: Clock,
        rng: random.Random,
        *,
        tickers: Iterable[str] = (),
        channels: Iterable[str] = CHANNELS,
        index_ids: Iterable[str] = (),
        queue_size: int = 100_000,
        pace: StreamTimings | None = None,
        tell: Callable[[str], None] = lambda _text: None,
        tap: FrameObserver | None = None,
    ) -> None:
        self._url = ws_url
        self._signer = signer
        self._clock = clock
        self._pace = pace or StreamTimings()
        self._backoff = Backoff(self._pace.first_pause_s, self._pace.longest_pause_s, self._pace.healthy_s, rng)
        self._tap = tap
        self._sequencer = StreamSession(tickers, channels=channels, index_ids=index_ids, tell=tell)
        self._requests: deque[Callable[[], None]] = deque()
        self._hang_up = ""
        self._stopping = threading.Event()
        self._waker, self._woken = socket.socketpair()
        self._waker.setblocking(False)
        self._woken.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="stream", daemon=True)
        self._heard_at: float | None = None
        self._held: list[Said] = []  # messages from before every channel was answered
        self._held_bytes = 0
        self.inbox: MessageQueue[Said] = MessageQueue(queue_size)
        self.is_connected = False
        """There is a connection, perhaps unanswered: order books come from it alone."""
        self.is_live = False
        """Every channel was answered."""
        self.failure: KalshiError | None = None
        """Why the stream stopped for good: the exchange rejects the key, or the recording cannot be written."""
        self.connections = 0

    # -- for the main thread ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start connecting."""
        self._thread.start()

    def stop(self, within_s: float | None = None) -> None:
        """Disconnect and wait for the thread, at most `within_s` or one connection attempt. Safe to repeat."""
        self._stopping.set()
        self._wake()
        if self._thread.ident is not None and self._thread is not threading.current_thread():
            self._thread.join(self._pace.connect_s + 1 if within_s is None else within_s)
        if not self._thread.is_alive():
            self._close_waker()

    def _close_waker(self) -> None:
        self._waker.close()
        self._woken.close()

    def subscribe(self, tickers: Iterable[str]) -> None:
        """Follow these markets too; their snapshots follow."""
        wanted = tuple(tickers)
        self._requests.append(lambda: self._sequencer.follow(wanted))
        self._wake()

    def unsubscribe(self, tickers: Iterable[str]) -> None:
        """Stop following these markets."""
        unwanted = tuple(tickers)
        self._requests.append(lambda: self._sequencer.unsubscribe_markets(unwanted))
        self._wake()

    def resync(self, ticker: str) -> None:
        """Request a new snapshot of this order book; its changes are held back until then."""
        if self.is_connected:  # otherwise the next connection brings a snapshot anyway
            self._requests.append(lambda: self._sequencer.resync((ticker,)))
            self._wake()

    def reconnect(self, reason: str) -> None:
        """Disconnect and start over, because earlier messages cannot be trusted."""
        self._hang_up = reason
        self._wake()

    @property
    def silent_s(self) -> float | None:
        """Return the seconds since the last frame of any kind; None before the first."""
        heard = self._heard_at
        return None if heard is None else self._clock.monotonic() - heard

    def _wake(self) -> None:
        try:
            self._waker.send(b"!")
        except (BlockingIOError, OSError):
            return  # awake already, or closed

    # -- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._keep_connected()
        finally:
            if not self._stopping.is_set():
                self.failure = KalshiError("The stream thread stopped unexpectedly", hint="please report this bug")
            self.inbox.wake()
            self._close_waker()  # the caller of `stop` may not have waited

    def _keep_connected(self) -> None:
        refusals, told = 0, False
        while not self._stopping.is_set():
            began: float | None = None
            try:
                connection = self._connect()
                refusals, told, began = 0, False, self._clock.monotonic()
                try:
                    self._serve(connection)
                finally:
                    connection.shutdown()
            except CredentialsError as error:
                refusals += 1
                reason = str(error)
                if self.connections == 0 or refusals >= _MAX_REFUSALS:
                    self.failure = error
                    self._stopping.set()
            except (_LostError, FramingError, websocket.HandshakeError, OSError, ValueError) as error:
                reason = str(error) or type(error).__name__
            else:
                reason = "stopped"
            self._hung_up(reason, is_news=not told)
            told = True
            self._rest(self._backoff.next_pause(None if began is None else self._clock.monotonic() - began))

    def _rest(self, seconds: float) -> None:
        self._stopping.wait(seconds)

    def _hung_up(self, reason: str, *, is_news: bool) -> None:
        self.is_connected = self.is_live = False
        self._held.clear()
        self._held_bytes = 0
        self._sequencer.forget()
        now = self._clock.now()
        if is_news:
            self.inbox.put((FeedGap(now, (), reason), FeedState(now, False, reason)), is_urgent=True)

    def _connect(self) -> websocket.WebSocket:
        headers = self._signer.headers("GET", urlsplit(self._url).path)
        try:
            return websocket.connect(self._url, headers, self._clock, self._pace.connect_s)
        except websocket.HandshakeError as error:
            if error.status in (401, 403):
                raise _rejection(error, self._clock.now()) from None
            raise

    def _serve(self, connection: websocket.WebSocket) -> None:
        """Read until stopped; raise when the connection is no longer usable."""
        sock = connection.sock
        sock.settimeout(min(self._pace.connect_s, self._pace.silence_s))
        self.connections += 1
        self.is_connected = True
        self._hang_up = ""
        self._do_requests()
        self._sequencer.connect()
        self._listen_in(lambda tap: tap.connected(use_yes_price=True))
        framing = Framing()
        signs = _SilenceMonitor(self._clock.monotonic(), self._pace)
        self._heard_at = signs.heard
        with selectors.DefaultSelector() as selector:
            selector.register(sock, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._stopping.is_set():
                while self._sequencer.outbox:
                    connection.send(self._sequencer.outbox.pop(0))
                is_readable = self._wait(sock, selector)
                signs.now = self._clock.monotonic()
                self._do_requests()  # before reading: after a suspension, waiting data is discarded
                if is_readable:
                    self._heard_at = signs.heard = signs.now
                    self._read(connection, sock, framing)
                self._judge(signs)

    def _do_requests(self) -> None:
        while self._requests:
            self._requests.popleft()()
        if self._hang_up:
            raise _LostError(self._hang_up)

    def _wait(self, sock: socket.socket, selector: selectors.BaseSelector) -> bool:
        """Return whether there is data to read; False after a while, or when woken."""
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True  # decrypted data, which the selector does not see
        pace = self._pace
        is_readable = False
        for key, _ in selector.select(min(pace.silence_s, pace.quiet_s, pace.repair_s) / 4):
            if key.fileobj is self._woken:
                self._woken.recv(4096)
            else:
                is_readable = True
        return is_readable

    def _read(self, connection: websocket.WebSocket, sock: socket.socket, framing: Framing) -> None:
        """Read the data that the socket has."""
        chunk = sock.recv(_CHUNK)
        if not chunk:
            raise _LostError("the exchange disconnected")
        self._take(connection, chunk, framing)

    def _take(self, connection: websocket.WebSocket, chunk: bytes, framing: Framing) -> None:
        now = self._clock.now()
        said: list[Said] = []
        size = 0
        try:
            for opcode, payload in framing.feed(chunk):
                if opcode in (TEXT, BINARY):
                    if self._tap is not None:
                        self._listen_in(lambda tap, raw=payload: tap.frame(raw))  # type: ignore[misc]
                    said += self._sequencer.on_frame(payload, now)
                    size += len(payload)
                elif opcode == PING:
                    connection.pong(payload)
                elif opcode == CLOSE:
                    raise _LostError(
                        f"the exchange closed the stream ({int.from_bytes(payload[:2], 'big') or 'no code'})"
                    )
        finally:
            if said and not self._hand_over(said, size):
                raise _LostError(f"too slow: {len(self.inbox) + len(self._held)} messages are waiting")

    def _hand_over(self, said: list[Said], size: int) -> bool:
        """Queue the messages; return False if too many are waiting."""
        if self.is_live:
            return self.inbox.put(said, size)
        self._held += said
        self._held_bytes += size
        return self.inbox.has_room(len(self._held), self._held_bytes)

    def _judge(self, signs: _SilenceMonitor) -> None:
        """Check that the connection is alive and complete: request missing data, and give up if nothing answers."""
        now, pace, sequencer = signs.now, self._pace, self._sequencer
        if now - signs.heard >= pace.silence_s:
            raise _LostError(f"no message for {now - signs.heard:.0f} s")
        mark = sequencer.book_mark
        if mark != signs.book_mark:
            signs.book_mark, signs.booked, signs.asked = mark, now, None
        if sequencer.is_answered:
            signs.answered = now
            if not self.is_live:
                self.is_live = True
                self.inbox.put((FeedState(self._clock.now(), True), *self._held), self._held_bytes, is_urgent=True)
                self._held.clear()
                self._held_bytes = 0
        if now - signs.answered >= pace.patience_s:
            raise _LostError("no response to the subscriptions")
        if signs.asked is not None and now - signs.asked >= pace.patience_s:
            raise _LostError("connected, but no order book messages")
        if now - max(signs.booked, signs.probed) >= pace.quiet_s and sequencer.probe():
            signs.probed = now
            signs.asked = now if signs.asked is None else signs.asked
        if sequencer.is_whole:
            signs.repair_at, signs.repair_pause = now + pace.repair_s, pace.repair_s
        elif now >= signs.repair_at:
            signs.repair_pause = min(2 * signs.repair_pause, pace.longest_repair_s)
            signs.repair_at = now + signs.repair_pause
            sequencer.repair()

    def _listen_in(self, call: Callable[[FrameObserver], None]) -> None:
        """Call the recorder. If it cannot write, end the stream: the recording would be silently incomplete."""
        try:
            if self._tap is not None:
                call(self._tap)
        except OSError as error:
            self.failure = KalshiError(f"Cannot write the recording: {error.strerror}", hint="check the disk space")
            self._stopping.set()


def _rejection(error: websocket.HandshakeError, now: Ts) -> CredentialsError:
    """Return the error for a handshake that was rejected: for the clock if it differs from the response's date."""
    theirs = exchange_clock.moment(error.date)
    ahead_ms = 0 if theirs is None else now - theirs
    if error.status == 401 and abs(ahead_ms) > _CLOCK_OFF_MS:
        off = f"{abs(ahead_ms) // 1000} s {'ahead' if ahead_ms > 0 else 'behind'}"
        text = f"The stream rejected the time of the request (401). Your clock is {off}"
        return CredentialsError(text, hint=SET_CLOCK, code="CLOCK", status=error.status)
    return CredentialsError(
        f"The stream rejected the API key ({error.status})",
        hint="check the API key id, the private key and the clock; demo and prod use separate keys",
        code="unauthorized",
        status=error.status,
    )
