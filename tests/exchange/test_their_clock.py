"""What the exchange's clock can show at most, told by the dates of its replies; and how often a 429 is tried again."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_cli.clock import ManualClock
from kalshi_cli.errors import RateLimitedError
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.units import Ts

NOW = Ts(1_780_000_000_000)


class TheirClock(httpx.BaseTransport):
    """Answers anything, dated by a clock that is `ahead_ms` of ours; each way takes some time."""

    def __init__(self, clock: ManualClock, ahead_ms: int) -> None:
        self.clock = clock
        self.ahead_ms = ahead_ms
        self.ways = (0.0, 0.0)
        self.status = 200
        self.asked = 0

    def now(self) -> int:
        return self.clock.now() + self.ahead_ms

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        self.clock.advance(self.ways[0])
        date = format_datetime(datetime.fromtimestamp(self.now() // 1000, UTC), usegmt=True)
        self.clock.advance(self.ways[1])
        return httpx.Response(self.status, headers={"Date": date}, content=b"{}")


def client_of(transport: TheirClock) -> KalshiClient:
    return KalshiClient(
        "http://localhost/trade-api/v2", clock=transport.clock, rng=random.Random(1), transport=transport
    )


WAYS = st.tuples(st.floats(0, 0.4), st.floats(0, 0.4), st.floats(0, 3))


@given(st.integers(-60_000, 60_000), st.lists(WAYS, min_size=1, max_size=12))
def test_their_clock_never_showed_more_than_we_say(ahead_ms: int, calls: list[tuple[float, float, float]]) -> None:
    transport = TheirClock(ManualClock(NOW), ahead_ms)
    client = client_of(transport)
    for there, back, pause in calls:
        transport.clock.advance(pause)
        transport.ways = (there, back)
        client.request("GET", "/exchange/status")
        at_s, theirs = transport.clock.monotonic(), transport.now()
        assert theirs - 1 <= client.latest_there(at_s) <= theirs + 1_001 + (there + back) * 1_000
        transport.clock.advance(0.5)
        assert client.latest_there(at_s) >= theirs - 1, "asked later about the same moment"


def test_after_a_second_of_replies_it_is_known_closely() -> None:
    transport = TheirClock(ManualClock(NOW), 12_345)
    client = client_of(transport)
    for _ in range(15):
        client.request("GET", "/exchange/status")
        transport.clock.advance(0.1)
    off = client.latest_there(transport.clock.monotonic()) - transport.now()
    assert 0 <= off <= 120


def test_a_clock_that_was_set_meanwhile_is_believed_anew() -> None:
    """Or a host that slept, while its monotonic clock stood still."""
    transport = TheirClock(ManualClock(NOW), 0)
    client = client_of(transport)
    for _ in range(15):
        client.request("GET", "/exchange/status")
        transport.clock.advance(0.1)
    transport.ahead_ms = 30_000
    client.request("GET", "/exchange/status")
    assert client.latest_there(transport.clock.monotonic()) >= transport.now()


def test_without_any_date_our_own_clock_stands_in() -> None:
    clock = ManualClock(NOW)
    client = client_of(TheirClock(clock, 0))
    clock.advance(2)
    assert client.latest_there(0.5) == NOW + 500


def test_a_refusal_for_pace_is_tried_three_times_and_not_more() -> None:
    transport = TheirClock(ManualClock(NOW), 0)
    transport.status = 429
    with pytest.raises(RateLimitedError):
        client_of(transport).request("GET", "/exchange/status")
    assert transport.asked == 3
    assert transport.clock.monotonic() < 2
