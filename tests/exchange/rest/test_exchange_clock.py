"""What the exchange's clock can show at most, told by the dates of its replies; and how often a 429 is tried again."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import KalshiError, NoAnswerError, RateLimitedError
from kalshi_cli.base.units import Ts
from kalshi_cli.exchange.client import KalshiClient

NOW = Ts(1_780_000_000_000)


class DatedReplies(httpx.BaseTransport):
    """Answers anything, dated by a clock that is `ahead_ms` of ours; each way takes some time."""

    def __init__(self, clock: ManualClock, ahead_ms: int) -> None:
        self.clock = clock
        self.ahead_ms = ahead_ms
        self.ways = (0.0, 0.0)
        self.status = 200
        self.asked = 0
        self.body = b"{}"
        self.kept = ""
        """The date of a reply that something on the way kept, and answers every read with."""

    def now(self) -> int:
        return self.clock.now() + self.ahead_ms

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        self.clock.advance(self.ways[0])
        date = format_datetime(datetime.fromtimestamp(self.now() // 1000, UTC), usegmt=True)
        self.clock.advance(self.ways[1])
        date = self.kept if self.kept and request.method == "GET" else date
        return httpx.Response(self.status, headers={"Date": date}, content=self.body)


def client_of(transport: DatedReplies, within_s: float = 10.0) -> KalshiClient:
    """`within_s` of one second leaves no read the time to be tried again after an old reply."""
    client = KalshiClient(
        "http://localhost/trade-api/v2", clock=transport.clock, rng=random.Random(1), transport=transport
    )
    client.limit_reads(within_s)
    return client


WAYS = st.tuples(st.floats(0, 0.4), st.floats(0, 0.4), st.floats(0, 3))


@given(st.integers(-60_000, 60_000), st.lists(WAYS, min_size=1, max_size=12))
def test_exchange_clock_never_showed_more_than_we_say(ahead_ms: int, calls: list[tuple[float, float, float]]) -> None:
    transport = DatedReplies(ManualClock(NOW), ahead_ms)
    client = client_of(transport)
    for there, back, pause in calls:
        transport.clock.advance(pause)
        transport.ways = (there, back)
        client.request("GET", "/exchange/status")
        at_s, theirs = transport.clock.monotonic(), transport.now()
        assert theirs - 1 <= client.max_server_time(at_s) <= theirs + 1_001 + (there + back) * 1_000
        transport.clock.advance(0.5)
        assert client.max_server_time(at_s) >= theirs - 1, "asked later about the same moment"


def test_after_a_second_of_replies_it_is_known_closely() -> None:
    transport = DatedReplies(ManualClock(NOW), 12_345)
    client = client_of(transport)
    for _ in range(15):
        client.request("GET", "/exchange/status")
        transport.clock.advance(0.1)
    off = client.max_server_time(transport.clock.monotonic()) - transport.now()
    assert 0 <= off <= 120


def test_a_clock_that_was_set_meanwhile_is_believed_anew() -> None:
    """Or a host that slept, while its monotonic clock stood still."""
    transport = DatedReplies(ManualClock(NOW), 0)
    client = client_of(transport)
    for _ in range(15):
        client.request("GET", "/exchange/status")
        transport.clock.advance(0.1)
    transport.ahead_ms = 30_000
    client.request("GET", "/exchange/status")
    assert client.max_server_time(transport.clock.monotonic()) >= transport.now()


def keep(transport: DatedReplies) -> None:
    """From now on reads are answered with a reply of now."""
    transport.kept = format_datetime(datetime.fromtimestamp(transport.now() // 1000, UTC), usegmt=True)


@given(st.lists(st.floats(0, 3), max_size=6), st.floats(3.2, 3_600), st.lists(st.floats(0.0, 30), max_size=12))
def test_a_reply_that_was_kept_is_never_believed(before: list[float], age_s: float, after: list[float]) -> None:
    transport = DatedReplies(ManualClock(NOW), 0)
    client = client_of(transport)
    keep(transport)
    transport.clock.advance(age_s)
    kept, transport.kept = transport.kept, ""
    for pause in before:
        client.request("GET", "/exchange/status")
        transport.clock.advance(pause)
    client.request("GET", "/exchange/status")
    transport.kept = kept
    for pause in after:
        transport.clock.advance(pause)
        with pytest.raises(NoAnswerError, match="replays"):
            client.request("GET", "/exchange/status")
        assert client.max_server_time(transport.clock.monotonic()) >= transport.now() - 1
        assert abs(client.clock_skew_ms or 0) <= 501


def test_one_of_their_machines_that_is_a_little_behind_is_believed() -> None:
    transport = DatedReplies(ManualClock(NOW), 0)
    client = client_of(transport)
    for number in range(40):
        transport.ahead_ms = -900 * (number % 2)
        client.request("GET", "/exchange/status")
        transport.clock.advance(0.13)
        assert client.max_server_time(transport.clock.monotonic()) >= transport.clock.now()


def test_what_answers_a_write_is_believed_whatever_reads_said() -> None:
    transport = DatedReplies(ManualClock(NOW), 0)
    client = client_of(transport, within_s=1.0)
    transport.ahead_ms = 40_000
    client.request("GET", "/exchange/status")
    transport.ahead_ms = 0
    with pytest.raises(NoAnswerError):
        client.request("GET", "/exchange/status")
    client.request("DELETE", "/exchange/anything")
    client.request("GET", "/exchange/status")
    assert abs(client.clock_skew_ms or 0) <= 501


def test_a_clock_that_was_set_back_is_believed_once_the_same_read_moves_on_with_ours() -> None:
    transport = DatedReplies(ManualClock(NOW), 0)
    client = client_of(transport, within_s=1.0)
    client.request("GET", "/exchange/status")
    transport.ahead_ms = -40_000
    for path in ("/exchange/status", "/exchange/schedule"):
        with pytest.raises(NoAnswerError):
            client.request("GET", path)
    transport.clock.advance(2)
    with pytest.raises(NoAnswerError):
        client.request("GET", "/exchange/announcements")
    client.request("GET", "/exchange/status")
    assert client.clock_skew_ms == pytest.approx(40_000, abs=501)


@pytest.mark.parametrize("wild_ms", [3_000, 40_000, 86_000_000])
def test_one_reply_that_is_dated_far_ahead_costs_the_next_read_a_second_try(wild_ms: int) -> None:
    transport = DatedReplies(ManualClock(NOW), wild_ms)
    client = client_of(transport, within_s=3.0)
    client.request("GET", "/exchange/status")
    transport.ahead_ms = 0
    start_s = transport.clock.monotonic()
    client.request("GET", "/exchange/schedule")
    assert (transport.asked, transport.clock.monotonic() - start_s) == (3, pytest.approx(1.5, abs=0.1))
    client.request("GET", "/exchange/announcements")
    assert transport.asked == 4
    assert abs(client.clock_skew_ms or 0) <= 501


@pytest.mark.parametrize("status", [302, 400, 404, 429, 502, 503])
@pytest.mark.parametrize("body", [b"<html>gateway</html>", b"{}", b'{"code": "bad_gateway"}'])
def test_the_date_of_a_page_that_is_not_the_exchange_s_moves_no_clock(status: int, body: bytes) -> None:
    transport = DatedReplies(ManualClock(NOW), 0)
    client = client_of(transport, within_s=1.0)
    client.request("GET", "/exchange/status")
    transport.ahead_ms, transport.status, transport.body = 40_000, status, body
    for method in ("GET", "DELETE"):
        with pytest.raises(KalshiError):
            client.request(method, "/exchange/schedule")
    transport.ahead_ms, transport.status = 0, 200
    client.request("GET", "/exchange/schedule")
    assert abs(client.clock_skew_ms or 0) <= 501


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, b'{"error": {"code": "header_timestamp_expired"}}'),
        (429, b'{"error": "too many requests"}'),
        (503, b'{"exchange_active": false, "trading_active": false}'),
    ],
)
def test_the_date_of_the_exchange_s_own_error_counts(status: int, body: bytes) -> None:
    transport = DatedReplies(ManualClock(NOW), 30_000)
    transport.status, transport.body = status, body
    client = client_of(transport, within_s=1.0)
    with pytest.raises(KalshiError):
        client.request("GET", "/exchange/schedule")
    assert client.clock_skew_ms == pytest.approx(-30_000, abs=501)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=40), st.booleans())
def test_two_of_their_machines_further_apart_than_a_second_refuse_no_read(
    turns: list[tuple[bool, float]], is_alternating: bool
) -> None:
    clock = ManualClock(NOW)
    machines = iter([number % 2 == 1 for number in range(1_000)] if is_alternating else [turn for turn, _ in turns] * 9)

    class Apart(DatedReplies):
        def now(self) -> int:
            return self.clock.now() - 1_200 * next(machines, False)

    transport = Apart(clock, 0)
    client = client_of(transport, within_s=3.0)
    for _, pause in turns:
        client.request("GET", "/exchange/status")
        clock.advance(pause)
        assert abs(client.clock_skew_ms or 0) <= 1_701


def test_a_clock_that_seems_ahead_is_asked_again() -> None:
    transport = DatedReplies(ManualClock(NOW), -8_000)
    transport.body = b'{"exchange_active": true, "trading_active": true}'
    assert client_of(transport).measure_clock_skew() == pytest.approx(8_000, abs=501)
    assert transport.asked == 2
    keep(transport)
    with pytest.raises(NoAnswerError, match="replays"):
        client_of(transport).measure_clock_skew()
    transport.kept, transport.ahead_ms, transport.asked = "", 4_000, 0
    assert client_of(transport).measure_clock_skew() == pytest.approx(-4_000, abs=501)
    assert transport.asked == 1, "a reply that was kept is not dated in the future"


def test_without_any_date_our_own_clock_stands_in() -> None:
    clock = ManualClock(NOW)
    client = client_of(DatedReplies(clock, 0))
    clock.advance(2)
    assert client.max_server_time(0.5) == NOW + 500


def test_a_refusal_for_pace_is_tried_three_times_and_not_more() -> None:
    transport = DatedReplies(ManualClock(NOW), 0)
    transport.status = 429
    with pytest.raises(RateLimitedError):
        client_of(transport).request("GET", "/exchange/status")
    assert transport.asked == 3
    assert transport.clock.monotonic() < 2
