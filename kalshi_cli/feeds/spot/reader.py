"""Listens to the venues of one coin, a thread for each, and gives out the prices that are believed.

All venues are listened to at once: so each can be held against the others, and where one falls silent the next one's
prices are there already. Whatever goes wrong with a connection ends it, and it begins again after a pause that grows.
While no stream gives a price, each thread reads over REST.
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
from kalshi_cli.net.websocket_framing import BINARY, CLOSE, PING, TEXT, Framing, FramingError

MAX_FRAME = 256 * 1024
"""Bytes of the longest message; what a venue says at once takes a few thousand."""
MAX_ANSWER = 1024 * 1024
MAX_ERRORS = 20
"""Messages on one connection that nobody can read, until it is given up."""
STALE_AGES = 3
"""Without a price that is believed for so many times the age that one may have, the source is stale: REST has been
read in vain by then."""
_CHUNK = 64 * 1024


class SpotTimings(msgspec.Struct, frozen=True, kw_only=True):
    """How patient a reader is, in seconds."""

    connect_s: float = 10.0
    look_s: float = 0.5
    """How often a silent connection is looked at."""
    silence_s: float = 20.0
    """No fresh price on a connection for so long, whatever else comes: it is given up."""
    first_pause_s: float = 1.0
    longest_pause_s: float = 60.0
    healthy_s: float = 60.0
    """A connection that lived so long was good: the next pause is the first again."""
    poll_every_s: float = 2.0
    poll_within_s: float = 5.0
    stop_s: float = 2.0
    """How long the end of a loop waits for threads that hang in a connection attempt."""


class VenueSource(msgspec.Struct, frozen=True):
    """A venue of a coin, and where it is."""

    venue: Venue
    pair: TradingPair
    ws_url: str
    rest_url: str


class _LostError(Exception):
    """This connection is over; the text says why."""


@dataclass(eq=False, repr=False)
class SpotReader:
    """Of one coin. `bring` gets every price that is believed, from any of the threads, and that none is any more where
    the venues contradict each other; `tell` what a person should know. A price is believed for `max_age_s`; without
    any from the streams for so long, REST is read.
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
        self._belief = PriceConsensus(
            [source.venue.name for source in sources], int(self.max_age_s * 1000), max_apart_pct
        )
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._streamed = self.clock.monotonic()
        self._is_lost = False
        self._said = ""
        self._quiet_until = self._streamed
        self._http = DeadlineTransport(
            self.clock, is_tls=any(source.rest_url.startswith("https:") for source in sources)
        )
        self.source = SourceMonitor(f"spot {self.symbol}", self.clock, STALE_AGES * self.max_age_s)
        self.errors: Counter[tuple[str, str]] = Counter()
        """How often what went wrong: by venue, and `junk`, `refused`, `lost` (a connection) or `unread` (REST)."""

    @contextmanager
    def run_in_thread(self) -> Iterator[SpotReader]:
        """Listen until the context ends; a thread that hangs in a connection attempt then ends with the process."""
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
        """Whose prices are believed now."""
        with self._lock:
            return self._belief.venue(self.clock.now())

    # -- prices ---------------------------------------------------------------------------------------------------

    def _take(self, prices: Sequence[SpotPrice], *, is_streamed: bool) -> bool:
        """Bring what is believed; whether any of these is as young as it must be for that."""
        is_any_fresh = False
        for price in prices:
            with self._lock:
                now = self.clock.now()
                is_fresh = now - price.ts <= self.max_age_s * 1000
                if is_fresh and is_streamed:
                    self._streamed = self.clock.monotonic()
                believed = self._belief.hear(price, now)
                if believed is not None:
                    self._is_lost = False
                    self.source.answered()
                    self.bring(believed)
                elif self._belief.is_disputed and not self._is_lost:
                    self._is_lost = True
                    self.bring(SpotUnavailable(now, self.symbol))
            is_any_fresh = is_any_fresh or is_fresh
        self._look()
        return is_any_fresh

    def _look(self) -> None:
        """Say where the prices come from when that changed, but not more often than prices grow old."""
        with self._lock:
            venue = self._belief.venue(self.clock.now())
            if venue is not None:
                said = f"the price is that of {venue}"
            elif self._belief.is_disputed:
                said = "no price: the venues contradict each other, or a single one jumps"
                self.source.failed(said)
            elif self._is_blind():
                said = "no price: no venue says a fresh one"
                self.source.failed(said)
            else:
                said = self._said
            now = self.clock.monotonic()
            if said == self._said or now < self._quiet_until:
                return
            self._said, self._quiet_until = said, now + self.max_age_s
        self.tell(f"{self.symbol}: {said}")

    def _is_blind(self) -> bool:
        return self.clock.monotonic() - self._streamed >= self.max_age_s

    def _count(self, source: VenueSource, kind: str) -> None:
        with self._lock:
            self.errors[source.venue.name, kind] += 1

    # -- a connection ---------------------------------------------------------------------------------------------

    def _follow(self, source: VenueSource) -> None:
        """The thread of one venue."""
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
        """Read until stopped; raises when the connection is no good any more."""
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
                raise _LostError("no fresh price came")
            poll_at = self._poll_if_blind(source, poll_at)
        return poll_at

    # -- REST -----------------------------------------------------------------------------------------------------

    def _poll_if_blind(self, source: VenueSource, poll_at: float) -> float:
        """Read the venue over REST where no stream gives prices, and not too often; when it may be read next."""
        self._look()
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
    """Answer pings, and give the messages that one read of the socket completes; none where it is silent."""
    try:
        chunk = connection.sock.recv(_CHUNK)
    except TimeoutError:
        return
    if not chunk:
        raise _LostError("the venue hung up")
    for opcode, payload in framing.feed(chunk):
        if opcode in (TEXT, BINARY):
            yield payload
        elif opcode == PING:
            connection.pong(payload)
        elif opcode == CLOSE:
            raise _LostError("the venue closed the stream")
