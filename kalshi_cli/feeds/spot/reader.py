"""A reader of all venues of one coin, with a thread for each, that passes on the accepted prices.

All venues are read at the same time, so that each can be compared with the others, and a silent one is replaced at
once. Any error ends a connection; it is opened again after a growing pause. While no stream gives a price, each thread
reads over REST.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import KW_ONLY, InitVar, dataclass

import httpx
import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.core.model.messages import SpotPrice, SpotUnavailable
from kalshi_cli.feeds.source_monitor import SourceMonitor
from kalshi_cli.feeds.spot.price_consensus import PriceConsensus
from kalshi_cli.feeds.spot.venue import SpotError, TradingPair, Venue
from kalshi_cli.net import websocket
from kalshi_cli.net.body import read_body
from kalshi_cli.net.deadline_transport import DeadlineTransport
from kalshi_cli.net.reconnect import Backoff
from kalshi_cli.net.websocket import BINARY, CLOSE, PING, TEXT, Framing, FramingError

MAX_FRAME = 256 * 1024
"""Bytes of a message, at most; usual messages take a few thousand."""
MAX_ANSWER = 1024 * 1024
MAX_ERRORS = 20
"""Invalid messages after which a connection is closed."""
STALE_AGES = 3
"""The source is stale after this many times the maximum age without an accepted price: by then REST has failed too."""
_CHUNK = 64 * 1024


class SpotTimings(msgspec.Struct, frozen=True, kw_only=True):
    """The timings of a reader, in seconds."""

    connect_s: float = 10.0
    look_s: float = 0.5
    """Interval at which a silent connection is checked."""
    silence_s: float = 20.0
    """Time without a fresh price after which a connection is closed, whatever else arrives."""
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    healthy_s: float = 60.0
    """Lifetime after which a connection counts as healthy, and the pauses start again at the first."""
    poll_every_s: float = 2.0
    poll_within_s: float = 5.0
    stop_s: float = 2.0
    """Time that the end of a loop waits for threads in a connection attempt."""


class VenueSource(msgspec.Struct, frozen=True):
    """A venue, its pair of a coin and its addresses."""

    venue: Venue
    pair: TradingPair
    ws_url: str
    rest_url: str


class _LostError(Exception):
    """The connection has ended; the text says why."""


@dataclass(eq=False, repr=False)
class SpotReader:
    """The reader of one coin: `bring` gets every accepted price, from any thread, `tell` the notices for the user.

    If the venues disagree, `bring` gets SpotUnavailable. A price is fresh for `max_age_s`; without a fresh price from
    the streams, REST is read.
    """

    symbol: str
    sources: InitVar[Sequence[VenueSource]]
    clock: Clock
    rng: random.Random
    bring: Callable[[SpotPrice | SpotUnavailable], None]
    _: KW_ONLY
    max_age_s: float = 10.0
    max_apart_pct: InitVar[float] = 1.0
    tell: Callable[[str], None] = lambda _text: None
    pace: InitVar[SpotTimings | None] = None

    def __post_init__(self, sources: Sequence[VenueSource], max_apart_pct: float, pace: SpotTimings | None) -> None:
        self._sources = tuple(sources)
        self._pace = pace or SpotTimings()
        names = [source.venue.name for source in sources]
        self._consensus = PriceConsensus(names, int(self.max_age_s * 1000), max_apart_pct)
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._streamed = self.clock.monotonic()
        self._is_lost = False
        self._last_notice = ""
        self._quiet_until = self._streamed
        is_tls = any(source.rest_url.startswith("https:") for source in sources)
        self._http = DeadlineTransport(self.clock, is_tls=is_tls)
        self.source = SourceMonitor(f"spot {self.symbol}", self.clock, STALE_AGES * self.max_age_s)
        self.errors: Counter[tuple[str, str]] = Counter()
        """Errors by venue and kind: `junk`, `refused`, `lost` (a connection) or `unread` (REST)."""

    @contextmanager
    def run_in_thread(self) -> Iterator[SpotReader]:
        """Read until the context ends; a thread in a connection attempt may continue until the process ends."""
        threads = [
            threading.Thread(target=self._follow, args=(source,), name=f"spot-{source.venue.name}", daemon=True)
            for source in self._sources
        ]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            until = self.clock.monotonic() + self._pace.stop_s
            for thread in threads:
                thread.join(max(0.0, until - self.clock.monotonic()))
            if not any(thread.is_alive() for thread in threads):
                self._http.close()

    @property
    def venue(self) -> str | None:
        """Return the venue whose prices are accepted now, if any."""
        with self._lock:
            return self._consensus.venue(self.clock.now())

    # -- prices ---------------------------------------------------------------------------------------------------

    def _take(self, prices: Sequence[SpotPrice], *, is_streamed: bool) -> bool:
        """Pass on the accepted prices; return whether any of these prices is fresh."""
        is_any_fresh = False
        for price in prices:
            with self._lock:
                now = self.clock.now()
                is_fresh = now - price.ts <= self.max_age_s * 1000
                if is_fresh and is_streamed:
                    self._streamed = self.clock.monotonic()
                accepted = self._consensus.hear(price, now)
                if accepted is not None:
                    self._is_lost = False
                    self.source.answered()
                    self.bring(accepted)
                elif self._consensus.is_disputed and not self._is_lost:
                    self._is_lost = True
                    self.bring(SpotUnavailable(now, self.symbol))
            is_any_fresh = is_any_fresh or is_fresh
        self._report_venue()
        return is_any_fresh

    def _report_venue(self) -> None:
        """Report the venue of the prices if it changed, at most once per `max_age_s`."""
        with self._lock:
            venue = self._consensus.venue(self.clock.now())
            notice = self._last_notice
            if venue is not None:
                notice = f"using the price of {venue}"
            elif self._consensus.is_disputed or self._is_blind():
                disputed = "the venues disagree, or a single venue jumped"
                notice = f"no price: {disputed if self._consensus.is_disputed else 'no venue has a current one'}"
                self.source.failed(notice)
            now = self.clock.monotonic()
            if notice == self._last_notice or now < self._quiet_until:
                return
            self._last_notice, self._quiet_until = notice, now + self.max_age_s
        self.tell(f"{self.symbol}: {notice}")

    def _is_blind(self) -> bool:
        return self.clock.monotonic() - self._streamed >= self.max_age_s

    def _count(self, source: VenueSource, kind: str) -> None:
        with self._lock:
            self.errors[source.venue.name, kind] += 1

    # -- a connection ---------------------------------------------------------------------------------------------

    def _follow(self, source: VenueSource) -> None:
        """Run the thread of one venue: connect, listen, and poll between connections."""
        pace, poll_at = self._pace, 0.0
        backoff = Backoff(pace.first_pause_s, pace.longest_pause_s, pace.healthy_s, self.rng)
        while not self._stopping.is_set():
            began = self.clock.monotonic()
            try:
                connection = self._connect(source)
                try:
                    poll_at = self._listen(source, connection, poll_at)
                finally:
                    connection.shutdown()
            except (_LostError, SpotError, FramingError, websocket.HandshakeError, OSError, ValueError):
                self._count(source, "lost")
            until = self.clock.monotonic() + backoff.next_pause(self.clock.monotonic() - began)
            while not self._stopping.is_set() and self.clock.monotonic() < until:
                poll_at = self._poll_if_blind(source, poll_at)
                self._stopping.wait(min(self._pace.look_s, max(0.001, until - self.clock.monotonic())))

    def _connect(self, source: VenueSource) -> websocket.WebSocket:
        connection = websocket.connect(source.ws_url, {}, self.clock, self._pace.connect_s)
        connection.send(source.venue.subscribe(source.pair))
        return connection

    def _listen(self, source: VenueSource, connection: websocket.WebSocket, poll_at: float) -> float:
        """Read until stopped; raise when the connection fails or is silent for too long."""
        connection.sock.settimeout(self._pace.look_s)
        framing = Framing(MAX_FRAME)
        heard, errors = self.clock.monotonic(), 0
        while not self._stopping.is_set():
            for frame in _messages(connection, framing):
                try:
                    prices = source.venue.read_frame(frame, source.pair)
                except SpotError as error:
                    self._count(source, error.kind)
                    errors += 1
                    if errors >= MAX_ERRORS:
                        raise
                    continue
                if self._take(prices, is_streamed=True):
                    heard = self.clock.monotonic()
            if self.clock.monotonic() - heard >= self._pace.silence_s:
                raise _LostError("no current price received")
            poll_at = self._poll_if_blind(source, poll_at)
        return poll_at

    # -- REST -----------------------------------------------------------------------------------------------------

    def _poll_if_blind(self, source: VenueSource, poll_at: float) -> float:
        """Read the venue over REST if no stream gives prices; return the earliest time of the next read."""
        self._report_venue()
        if not self._is_blind() or self.clock.monotonic() < poll_at:
            return poll_at
        try:
            self._take(source.venue.read_answer(self._read(source), source.pair), is_streamed=False)
        except SpotError as error:
            self._count(source, error.kind)
        except (httpx.HTTPError, httpx.InvalidURL):
            self._count(source, "unread")
        return self.clock.monotonic() + self._pace.poll_every_s

    def _read(self, source: VenueSource) -> bytes:
        within_s = self._pace.poll_within_s
        request = httpx.Request(
            "GET",
            source.rest_url + source.venue.rest_path(source.pair),
            headers={"user-agent": "kalshi-cli", "accept": "application/json", "accept-encoding": "gzip"},
            extensions={
                "timeout": dict.fromkeys(("connect", "pool", "read", "write"), within_s),
                "deadline": self.clock.monotonic() + within_s,
            },
        )
        response = self._http.handle_request(request)
        try:
            if response.status_code != 200:
                raise SpotError("refused", f"status {response.status_code}")
            return read_body(response, MAX_ANSWER)
        except httpx.DecodingError as error:
            raise SpotError("junk", str(error)) from error
        finally:
            response.close()


def _messages(connection: websocket.WebSocket, framing: Framing) -> Iterator[bytes]:
    """Answer pings, and yield the messages that one read of the socket completes."""
    try:
        chunk = connection.sock.recv(_CHUNK)
    except TimeoutError:
        return
    if not chunk:
        raise _LostError("the venue disconnected")
    for opcode, payload in framing.feed(chunk):
        if opcode in (TEXT, BINARY):
            yield payload
        elif opcode == PING:
            connection.pong(payload)
        elif opcode == CLOSE:
            raise _LostError("the venue closed the stream")
