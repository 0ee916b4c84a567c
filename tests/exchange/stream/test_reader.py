from __future__ import annotations

import random
import re
import ssl
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import formatdate
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from support.moved_clock import MovedClock
from support.scripted_stream import ScriptedWs, wait_until

from kalshi_cli.base.clock import Clock, SystemClock
from kalshi_cli.base.errors import CredentialsError, KalshiError
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, FeedGap, FeedState, PublicTrade
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.stream.reader import Stream, StreamTimings
from kalshi_cli.exchange.stream.sequencing import Said

QUICK = StreamTimings(connect_s=20, first_pause_s=0.01, longest_pause_s=0.05)
LONG_S = 60.0
"""Longer than any busy machine holds up a message; a `Moved` clock jumps over it."""


def trade(ticker: str) -> dict[str, Any]:
    body = {"trade_id": "t", "market_ticker": ticker, "yes_price_dollars": "0.4700", "count_fp": "1.00"}
    return body | {"taker_book_side": "bid", "ts_ms": 1000}


class Heard:
    """Everything a stream said so far."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.all: deque[Said] = deque()

    def of(self, kind: type) -> list[Any]:
        self.stream.inbox.take(self.all)
        return [said for said in self.all if isinstance(said, kind)]

    def until(self, kind: type, count: int = 1) -> list[Any]:
        wait_until(lambda: len(self.of(kind)) >= count)
        return self.of(kind)


Start = Callable[..., Heard]


@pytest.fixture
def server() -> Iterator[ScriptedWs]:
    with ScriptedWs("A", "B") as scripted:
        yield scripted


@pytest.fixture
def start(server: ScriptedWs, rsa_key: Any) -> Iterator[Start]:
    streams: list[Stream] = []

    def begin(url: str = "", pace: StreamTimings = QUICK, clock: Clock | None = None, **options: Any) -> Heard:
        clock = clock or SystemClock()
        options.setdefault("tickers", ["A", "B"])
        stream = Stream(
            url or server.url, Signer("key-id", rsa_key, clock), clock, random.Random(1), pace=pace, **options
        )
        streams.append(stream)
        stream.start()
        return Heard(stream)

    yield begin
    for stream in streams:
        stream.stop()


def test_the_upgrade_is_signed_and_the_stream_is_live_once_every_channel_is_granted(server: ScriptedWs, start: Start):
    heard = start()
    assert heard.until(FeedState)[0].is_live
    assert heard.stream.is_live
    assert {snapshot.ticker for snapshot in heard.of(BookSnapshot)} == {"A", "B"}
    assert server.paths == ["/trade-api/ws/v2"]
    assert server.headers[0]["kalshi-access-key"] == "key-id"
    assert {"kalshi-access-signature", "kalshi-access-timestamp"} <= server.headers[0].keys()
    assert server.subscribed("orderbook_delta")[0]["use_yes_price"] is True


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory, rsa_key: rsa.RSAPrivateKey) -> tuple[Path, Path]:
    """A self-signed certificate of 127.0.0.1, and its key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    made = (
        x509.CertificateBuilder(name, name, rsa_key.public_key(), 1)
        .not_valid_before(datetime(2020, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=UTC))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(rsa_key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    (folder / "cert.pem").write_bytes(made.public_bytes(Encoding.PEM))
    key = rsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(key)
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize("is_trusted", [True, False])
def test_tls_is_spoken_with_a_server_whose_certificate_is_trusted_and_with_no_other(
    start: Start, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, is_trusted: bool
):
    if is_trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with ScriptedWs("A", tls=context) as secured:
        heard = start(url=secured.url, tickers=["A"])
        state = heard.until(FeedState)[0]
        assert state.is_live is is_trusted
        if is_trusted:
            for _ in range(500):
                secured.delta("A", "0.4700", "1.00")
            heard.until(BookDelta, 500)
        else:
            assert "CERTIFICATE_VERIFY_FAILED" in state.reason
            assert secured.paths == [], "nothing was said to a stranger"
        heard.stream.stop()


def test_it_is_not_live_while_a_private_channel_is_not_granted(server: ScriptedWs, start: Start):
    server.ignored.add("subscribe")
    heard = start()
    wait_until(lambda: len(server.commands) == 7)
    assert heard.of(FeedState) == []
    assert heard.stream.is_connected


def test_a_gap_is_told_and_answered_by_a_snapshot_that_was_asked_for(server: ScriptedWs, start: Start):
    heard = start()
    heard.until(FeedState)
    server.ignored.add("get_snapshot")
    server.delta("A", "0.4700", "1.00", skip=1)
    (gap,) = heard.until(FeedGap)
    assert set(gap.tickers) == {"A", "B"}
    wait_until(lambda: server.actions("get_snapshot"))
    server.delta("A", "0.4700", "1.00")
    server.snapshot("A", command=server.commands[-1]["id"])
    assert [book.ticker for book in heard.until(BookSnapshot, 3)[2:]] == ["A"]
    server.delta("A", "0.4600", "1.00")
    assert [delta.price for delta in heard.until(BookDelta)] == [4600]


def test_a_corrupt_frame_is_a_gap_and_the_connection_stays(server: ScriptedWs, start: Start):
    heard = start()
    heard.until(FeedState)
    server.send('{"type":"orderbook_delta","sid":1')
    heard.until(FeedGap)
    heard.until(BookSnapshot, 4)
    server.send_raw(b"\x81\x04\xff\xfe\xff\xfe")  # not UTF-8
    heard.until(FeedGap, 2)
    heard.until(BookSnapshot, 6)
    assert server.connections == 1


def test_after_error_25_the_books_are_subscribed_to_again(server: ScriptedWs, start: Start):
    heard = start()
    heard.until(FeedState)
    server.sequenced("orderbook_delta", "error", {"code": 25, "msg": "subscription buffer overflow"})
    heard.until(FeedGap)
    heard.until(BookSnapshot, 4)
    assert len(server.subscribed("orderbook_delta")) == 2
    server.delta("A", "0.4700", "1.00")
    heard.until(BookDelta)
    assert server.connections == 1


def test_a_cut_connection_is_told_once_and_made_again_with_everything(server: ScriptedWs, start: Start):
    heard = start()
    heard.until(FeedState)
    server.cut()
    states = heard.until(FeedState, 3)
    assert [state.is_live for state in states] == [True, False, True]
    assert heard.of(FeedGap)[0].tickers == (), "every book"
    assert len(heard.of(BookSnapshot)) == 4
    assert [len(server.subscribed(channel)) for channel in ("orderbook_delta", "fill", "user_orders")] == [2, 2, 2]


def test_a_close_frame_ends_the_connection_after_what_came_before_it(server: ScriptedWs, start: Start):
    heard = start()
    heard.until(FeedState)
    server.delta("A", "0.4600", "1.00")
    server.close(1001)
    states = heard.until(FeedState, 3)
    assert "1001" in states[1].reason
    assert len(heard.of(BookDelta)) == 1


def after_silence(heard: Heard, clock: MovedClock) -> str:
    """Why the stream went down; what was still under way when the silence began is heard first."""

    def is_down() -> bool:
        clock.skipped_s += LONG_S
        return len(heard.of(FeedState)) > 1

    wait_until(is_down)
    return str(heard.of(FeedState)[1].reason)


def test_silence_ends_the_connection(server: ScriptedWs, start: Start):
    clock = MovedClock()
    heard = start(
        pace=StreamTimings(silence_s=LONG_S, quiet_s=2 * LONG_S, repair_s=0.1, first_pause_s=0.01), clock=clock
    )
    heard.until(FeedState)
    assert "no message" in after_silence(heard, clock)
    heard.until(FeedState, 3)
    assert server.connections >= 2


def test_silence_ends_a_tls_connection_whose_other_end_never_closes(
    start: Start, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with ScriptedWs("A", tls=context) as secured:
        clock = MovedClock()
        pace = StreamTimings(silence_s=LONG_S, quiet_s=1_000 * LONG_S, repair_s=0.1, first_pause_s=0.01)
        heard = start(url=secured.url, tickers=["A"], pace=pace, clock=clock)
        heard.until(FeedState)
        secured.send_raw(b"\x81\x7e\x01")  # half a frame, and never the rest
        assert "no message" in after_silence(heard, clock)
        heard.stream.stop()


def test_pings_are_answered_and_count_as_a_sign_of_life(server: ScriptedWs, start: Start):
    clock = MovedClock()
    heard = start(
        pace=StreamTimings(silence_s=LONG_S, quiet_s=9 * LONG_S, repair_s=0.1, first_pause_s=0.01), clock=clock
    )
    heard.until(FeedState)
    for count in range(1, 7):
        server.ping()
        wait_until(lambda expected=count: len(server.pongs) == expected)  # type: ignore[misc]
        clock.skipped_s += LONG_S / 2
        assert heard.stream.silent_s is not None
        assert heard.stream.silent_s >= LONG_S / 2
    assert server.pongs == [b"heartbeat"] * 6
    assert server.connections == 1


def ignore_probes(server: ScriptedWs) -> None:
    """From now on; the one that it hears next is the first without an answer."""
    server.ignored.add("get_snapshot")
    asked = len(server.actions("get_snapshot"))
    wait_until(lambda: len(server.actions("get_snapshot")) > asked)


def test_a_stream_that_only_pings_is_probed_and_dropped_when_it_does_not_answer(server: ScriptedWs, start: Start):
    clock = MovedClock()
    heard = start(
        pace=StreamTimings(silence_s=9 * LONG_S, quiet_s=0.05, patience_s=LONG_S, first_pause_s=0.01), clock=clock
    )
    heard.until(BookSnapshot, 6)  # two at first, the others answer probes
    assert server.connections == 1
    ignore_probes(server)
    clock.skipped_s += LONG_S
    assert "no order book messages" in heard.until(FeedState, 2)[1].reason


def test_a_stream_whose_books_fell_silent_is_dropped_although_everything_else_flows(server: ScriptedWs, start: Start):
    clock = MovedClock()
    heard = start(
        pace=StreamTimings(silence_s=9 * LONG_S, quiet_s=0.05, patience_s=LONG_S, first_pause_s=0.01), clock=clock
    )
    heard.until(FeedState)
    ignore_probes(server)

    def is_dropped() -> bool:
        before = len(heard.of(PublicTrade))
        with suppress(OSError, KeyError, AssertionError):  # between two connections
            server.ping()
            server.sequenced("trade", "trade", trade("A"))
            wait_until(lambda: len(heard.of(PublicTrade)) > before or len(heard.of(FeedState)) > 1)
            clock.skipped_s += LONG_S / 20
        return len(heard.of(FeedState)) > 1

    wait_until(is_dropped)
    assert "no order book messages" in heard.of(FeedState)[1].reason
    assert len(heard.of(PublicTrade)) > 10


def test_a_quiet_book_that_answers_keeps_its_connection(server: ScriptedWs, start: Start):
    clock = MovedClock()
    heard = start(
        pace=StreamTimings(silence_s=9 * LONG_S, quiet_s=0.05, patience_s=LONG_S, first_pause_s=0.01), clock=clock
    )
    for count in range(2, 12):  # far longer than its patience
        heard.until(BookSnapshot, 2 * count)
        clock.skipped_s += LONG_S / 4
    assert server.connections == 1


def test_subscriptions_that_are_not_answered_end_the_connection(server: ScriptedWs, start: Start):
    server.ignored.add("subscribe")
    heard = start(pace=StreamTimings(patience_s=0.1, repair_s=0.05, quiet_s=9, first_pause_s=0.01))
    assert "no response to the subscriptions" in heard.until(FeedState)[0].reason


def test_a_refused_channel_is_told_and_asked_for_again_while_the_others_work(server: ScriptedWs, start: Start):
    told: list[str] = []
    server.refused_channels["trade"] = 18
    heard = start(pace=StreamTimings(repair_s=0.05, quiet_s=9), tell=told.append)
    assert heard.until(FeedState)[0].is_live
    wait_until(lambda: len(server.subscribed("trade")) >= 3)
    assert [text for text in told if "error 18" in text] == told
    assert len(told) == 1
    server.refused_channels.clear()
    wait_until(lambda: "trade" in server.sids)


def test_a_consumer_that_is_too_slow_is_told_so_and_loses_nothing_that_it_had(server: ScriptedWs, start: Start):
    heard = start(queue_size=60)
    inbox, before = heard.stream.inbox, 3  # it is live, and two books
    wait_until(lambda: len(inbox) == before)
    for count in range(1, 61 - before):
        server.delta("A", "0.4700", "1.00")
        wait_until(lambda expected=before + count: len(inbox) == expected)  # type: ignore[misc]
    server.delta("A", "0.4700", "1.00")
    wait_until(lambda: server.connections >= 2)
    states = heard.until(FeedState, 3)
    assert "too slow" in states[1].reason
    deltas = heard.of(BookDelta)
    assert len(deltas) == 60 - before
    assert list(heard.all).index(deltas[-1]) < list(heard.all).index(heard.of(FeedGap)[0])


def test_a_key_that_is_refused_at_once_ends_the_stream_with_the_reason(server: ScriptedWs, start: Start):
    server.refusals = [401]
    heard = start()
    wait_until(lambda: heard.stream.failure is not None)
    assert isinstance(heard.stream.failure, CredentialsError)
    assert len(server.paths) == 1


@pytest.mark.parametrize(
    ("status", "off_s", "text"),
    [
        (401, 600, r"The stream rejected the time of the request \(401\). Your clock is 60[0-9] s ahead"),
        (401, -90, r"The stream rejected the time of the request \(401\). Your clock is [89][0-9] s behind"),
        (401, 1, r"The stream rejected the API key \(401\)"),
        (403, 600, r"The stream rejected the API key \(403\)"),
    ],
)
def test_a_rejection_whose_date_differs_from_the_clock_is_one_of_the_clock(
    server: ScriptedWs, start: Start, status: int, off_s: int, text: str
):
    server.date = formatdate(SystemClock().now() / 1000 - off_s, usegmt=True)
    server.refusals = [status]
    heard = start()
    wait_until(lambda: heard.stream.failure is not None)
    failure = heard.stream.failure
    assert isinstance(failure, CredentialsError)
    assert re.fullmatch(text, failure.message), failure.message
    assert failure.is_clock == ("clock" in text)


def test_a_key_that_worked_is_given_up_only_after_three_refusals_in_a_row(server: ScriptedWs, start: Start):
    heard = start()
    heard.until(FeedState)
    server.refusals = [401, 401]
    server.cut()
    assert heard.until(FeedState, 3)[2].is_live
    assert heard.stream.failure is None
    server.refusals = [401, 401, 401]
    server.cut()
    wait_until(lambda: heard.stream.failure is not None)
    assert len(server.paths) == 7


def test_a_server_that_is_busy_is_tried_again_and_the_outage_is_told_once(server: ScriptedWs, start: Start):
    server.refusals = [503, 429, 502]
    heard = start()
    states = heard.until(FeedState, 2)
    assert [state.is_live for state in states] == [False, True]
    assert "503" in states[0].reason
    assert len(server.paths) == 4


def test_nobody_listening_is_an_outage_not_an_error(start: Start):
    heard = start(url="ws://127.0.0.1:9/trade-api/ws/v2")
    assert not heard.until(FeedState)[0].is_live
    assert heard.stream.failure is None


class Patient(Stream):
    """Rests for no time, and writes down for how long it would have."""

    pauses: list[float]

    def _rest(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if len(self.pauses) == 9:
            self._stopping.set()


@pytest.mark.parametrize(("is_there", "pauses"), [(False, [0.5, 1, 2, 4, 8, 16, 30, 30, 30]), (True, [0.5] * 9)])
def test_the_pauses_grow_to_their_limit_and_begin_anew_after_a_healthy_time(
    server: ScriptedWs, rsa_key: Any, is_there: bool, pauses: list[float]
):
    clock = SystemClock()
    url = server.url if is_there else "ws://127.0.0.1:9/"
    stream = Patient(url, Signer("key-id", rsa_key, clock), clock, random.Random(1), pace=StreamTimings(healthy_s=0))
    stream.pauses = []
    stream.start()
    for count in range(1, 10 if is_there else 1):
        wait_until(lambda expected=count: server.connections == expected and stream.is_live)  # type: ignore[misc]
        stream.reconnect("test")
        wait_until(lambda expected=count: len(stream.pauses) == expected)  # type: ignore[misc]
    wait_until(lambda: len(stream.pauses) == 9)
    stream.stop()
    for pause, whole in zip(stream.pauses, pauses, strict=True):
        assert whole / 2 <= pause <= whole


def test_a_market_followed_while_the_stream_is_down_is_there_when_it_is_back(server: ScriptedWs, start: Start):
    server.refusals = [503]
    server.levels["C"] = ([["0.1000", "1.00"]], [])
    heard = start()
    heard.stream.subscribe(["C"])
    wait_until(lambda: "C" in {book.ticker for book in heard.of(BookSnapshot)})
    heard.stream.unsubscribe(["A"])
    wait_until(lambda: any(each["market_tickers"] == ["A"] for each in server.actions("delete_markets")))


def test_a_resync_asks_for_a_snapshot(server: ScriptedWs, start: Start):
    heard = start()
    heard.until(FeedState)
    heard.stream.resync("B")
    assert heard.until(BookSnapshot, 3)[2].ticker == "B"
    assert server.actions("get_snapshot")[0]["market_tickers"] == ["B"]


def test_reconnect_begins_again_with_the_reason(server: ScriptedWs, start: Start):
    heard = start()
    heard.until(FeedState)
    heard.stream.reconnect("the host slept")
    assert heard.until(FeedState, 3)[1].reason == "the host slept"
    assert server.connections == 2


class Tape:
    def __init__(self, *, is_full: bool = False) -> None:
        self.connections = 0
        self.frames: list[bytes | str] = []
        self.is_full = is_full

    def connected(self, *, use_yes_price: bool) -> None:
        assert use_yes_price
        self.connections += 1

    def frame(self, raw: bytes | str) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        self.frames.append(raw)


def test_a_tap_hears_every_frame_as_it_came(server: ScriptedWs, start: Start):
    tape = Tape()
    heard = start(tap=tape)
    heard.until(FeedState)
    assert tape.connections == 1
    assert len(tape.frames) == 7 + 2
    assert b'"subscribed"' in bytes(tape.frames[0])  # type: ignore[arg-type]


def test_a_tap_that_cannot_write_ends_the_stream_with_the_reason(server: ScriptedWs, start: Start):
    heard = start(tap=Tape(is_full=True))
    wait_until(lambda: heard.stream.failure is not None)
    assert isinstance(heard.stream.failure, KalshiError)
    assert "No space left" in str(heard.stream.failure)


def test_stop_ends_the_thread_whatever_it_is_doing_and_may_be_repeated(start: Start, rsa_key: Any):
    heard = start()
    heard.until(FeedState)
    heard.stream.stop()
    heard.stream.stop()
    never = Stream("ws://127.0.0.1:9/", Signer("k", rsa_key, SystemClock()), SystemClock(), random.Random(1))
    never.stop()
