"""The WebSocket: one thread reads, counts and decodes; the main thread takes messages from a bounded queue.

The thread alone touches the socket; whoever else wants something sent leaves a request and wakes it. Whatever goes
wrong ends the connection, says that no book can be believed, and begins again after a pause that grows.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import CredentialsError, KalshiError
from kalshi_cli.core.model.messages import FeedGap, FeedState
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.stream.inbox import MessageQueue
from kalshi_cli.exchange.stream.sequencing import CHANNELS, Said, StreamSession
from kalshi_cli.net import websocket
from kalshi_cli.net.websocket_framing import BINARY, CLOSE, PING, TEXT, Framing, FramingError

if TYPE_CHECKING:
    import random

_CHUNK = 256 * 1024
_MAX_REFUSALS = 3
"""A key that worked a minute ago is not given up on the first 401: gateways have bad moments too."""


class StreamTimings(msgspec.Struct, frozen=True, kw_only=True):
    """How patient the stream is, in seconds."""

    connect_s: float = 10.0
    silence_s: float = 13.5
    """No frame of any kind for so long: dead. That is found within 15 s; the exchange pings every 10 s."""
    quiet_s: float = 5.0
    """Nothing about a book for so long: ask for snapshots. They say that a quiet book is not an old one."""
    repair_s: float = 5.0
    """Ask again for channels, markets and snapshots that did not come; twice as long after each time."""
    longest_repair_s: float = 60.0
    patience_s: float = 15.0
    """Subscriptions unanswered, or nothing about any book after such a question, for so long: dead, though it pings and
    other channels flow."""
    first_pause_s: float = 0.5
    longest_pause_s: float = 30.0
    healthy_s: float = 60.0
    """A connection that lived so long was good: the next pause is the first again."""


class FrameObserver(Protocol):
    """Who listens in on the raw frames, on the stream's own thread: the recorder."""

    def connected(self, *, use_yes_price: bool) -> None: ...
    def frame(self, raw: bytes | str) -> None: ...


class _SilenceMonitor:
    """Of life, on the monotonic clock: when what was last seen of a connection."""

    def __init__(self, now: float, pace: StreamTimings) -> None:
        self.now = now
        self.heard = now  # any frame
        self.booked = now  # a message about a book
        self.book_mark: tuple[int, int | None] | None = None  # the sequencer's, then
        self.asked: float | None = None  # since then a probe waits for a message about a book
        self.answered = now  # no subscription was waiting for its answer
        self.probed = now
        self.repair_at = now + pace.repair_s
        self.repair_pause = pace.repair_s


class _LostError(Exception):
    """This connection is over; the text says why."""


class Stream:
    """The live feed of one account. `start`, `take` messages, `stop`.

    `inbox` gives BookSnapshot, BookDelta, Quote, PublicTrade, Filled, OrderState, ReferencePrice, FeedGap, FeedState
    and Lifecycle in the order of the wire. FeedState(is_live=True) comes once every channel was answered, so that a
    read of the account after it misses nothing; and before the first book, so that nobody decides before that read. A
    FeedGap without tickers means every book.
    """

    def __init__(
        self,
        ws_url: str,
        signer: Signer,
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
        self._rng = rng
        self._pace = pace or StreamTimings()
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
        self._held: list[Said] = []  # what was said before every channel was answered
        self._held_bytes = 0
        self.inbox: MessageQueue[Said] = MessageQueue(queue_size)
        self.is_connected = False
        """There is a connection, perhaps without answers yet: books come from it and from nowhere else."""
        self.is_live = False
        """Every channel was answered."""
        self.failure: KalshiError | None = None
        """Why the stream stopped for good: the exchange does not let this key in, or `tap` cannot write."""
        self.connections = 0

    # -- for the main thread ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self, within_s: float | None = None) -> None:
        """Hang up and wait for the thread, so long or as long as a connection attempt takes. Safe to repeat."""
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
        """Follow these markets too; their snapshots come by themselves."""
        wanted = tuple(tickers)
        self._requests.append(lambda: self._sequencer.follow(wanted))
        self._wake()

    def unsubscribe(self, tickers: Iterable[str]) -> None:
        """Follow these markets no longer."""
        unwanted = tuple(tickers)
        self._requests.append(lambda: self._sequencer.unsubscribe_markets(unwanted))
        self._wake()

    def resync(self, ticker: str) -> None:
        """Ask for a fresh snapshot of this book; its changes are held back until then."""
        if self.is_connected:  # else the next connection brings it anyway
            self._requests.append(lambda: self._sequencer.resync((ticker,)))
            self._wake()

    def reconnect(self, reason: str) -> None:
        """Hang up and begin again: what came before cannot be believed."""
        self._hang_up = reason
        self._wake()

    @property
    def silent_s(self) -> float | None:
        """Seconds since the last frame of any kind; None before the first."""
        heard = self._heard_at
        return None if heard is None else self._clock.monotonic() - heard

    def _wake(self) -> None:
        try:
            self._waker.send(b"!")
        except (BlockingIOError, OSError):
            return  # awake already, or gone

    # -- the thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._keep_connected()
        finally:
            if not self._stopping.is_set():
                self.failure = KalshiError("the stream's thread died", hint="this is a bug, please report it")
            self.inbox.wake()
            self._close_waker()  # whoever stopped it may not have waited

    def _keep_connected(self) -> None:
        attempt, refusals, told = 0, 0, False
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
            if began is not None and self._clock.monotonic() - began >= self._pace.healthy_s:
                attempt = 0
            pause = min(self._pace.longest_pause_s, self._pace.first_pause_s * 2 ** min(attempt, 20))
            attempt += 1
            self._rest(pause * (0.5 + self._rng.random() / 2))

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
                raise CredentialsError(
                    f"the stream refused the API key ({error.status})",
                    hint="check the API key id, the private key and the clock; keys of demo and prod are separate",
                    code="unauthorized",
                    status=error.status,
                ) from None
            raise

    def _serve(self, connection: websocket.WebSocket) -> None:
        """Read until stopped; raises when the connection is no good any more."""
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
                self._do_requests()  # before reading: after a suspension, what the socket holds is not wanted
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
        """Whether there is something to read; False after a while, or when woken."""
        if isinstance(sock, ssl.SSLSocket) and sock.pending():
            return True  # decrypted already: the selector would not see it
        pace = self._pace
        is_readable = False
        for key, _ in selector.select(min(pace.silence_s, pace.quiet_s, pace.repair_s) / 4):
            if key.fileobj is self._woken:
                self._woken.recv(4096)
            else:
                is_readable = True
        return is_readable

    def _read(self, connection: websocket.WebSocket, sock: socket.socket, framing: Framing) -> None:
        """Take what the socket has."""
        chunk = sock.recv(_CHUNK)
        if not chunk:
            raise _LostError("the exchange hung up")
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
                raise _LostError(f"too slow: {len(self.inbox) + len(self._held)} messages wait to be taken")

    def _hand_over(self, said: list[Said], size: int) -> bool:
        """False where too much waits already."""
        if self.is_live:
            return self.inbox.put(said, size)
        self._held += said
        self._held_bytes += size
        return self.inbox.has_room(len(self._held), self._held_bytes)

    def _judge(self, signs: _SilenceMonitor) -> None:
        """Is it alive, is it complete? Ask for what is missing, give up on what does not answer."""
        now, pace, sequencer = signs.now, self._pace, self._sequencer
        if now - signs.heard >= pace.silence_s:
            raise _LostError(f"nothing came for {now - signs.heard:.0f} s")
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
            raise _LostError("the subscriptions were not answered")
        if signs.asked is not None and now - signs.asked >= pace.patience_s:
            raise _LostError("it lives, but says nothing about the books")
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
        """A recording that cannot be written ends everything: it would be silently incomplete."""
        try:
            if self._tap is not None:
                call(self._tap)
        except OSError as error:
            self.failure = KalshiError(f"the recording cannot be written: {error.strerror}", hint="is the disk full?")
            self._stopping.set()
