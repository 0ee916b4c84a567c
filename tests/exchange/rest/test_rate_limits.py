from __future__ import annotations

import random
import threading

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.scripted_server import NOW

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import RateLimitedError
from kalshi_cli.exchange.rest.rate_limits import BASIC, RateLimiter, TokenBucket
from kalshi_cli.exchange.wire.account import ApiLimits, EndpointCost, RequestCosts, TokenBucketLimits

CREATE = ("POST", "/portfolio/events/orders")
CANCEL = ("DELETE", "/portfolio/events/orders/some-id")
READ = ("GET", "/portfolio/fills")


class ExchangeBucket:
    """The exchange's own bucket, written on its own: passes or answers 429."""

    def __init__(self, allowance: TokenBucketLimits) -> None:
        self.allowance = allowance
        self.tokens = float(allowance.bucket_capacity)
        self.at = 0.0

    def passes(self, cost: int, at: float) -> bool:
        refilled = self.tokens + (at - self.at) * self.allowance.refill_rate
        self.tokens, self.at = min(float(self.allowance.bucket_capacity), refilled), at
        if self.tokens + 1e-6 < cost:
            return False
        self.tokens -= cost
        return True


REQUESTS = st.lists(st.tuples(st.sampled_from([CREATE, CANCEL, READ]), st.floats(0, 0.4)), min_size=1, max_size=120)


@settings(max_examples=150, deadline=None)
@given(REQUESTS, st.integers(20, 400), st.integers(20, 400))
def test_tokens_sent_in_any_window_never_exceed_the_allowance(requests, capacity, refill):
    clock = ManualClock(NOW)
    allowance = TokenBucketLimits(refill, capacity)
    limiter = RateLimiter(clock, ApiLimits("t", allowance, allowance))
    sent: dict[bool, list[tuple[float, int]]] = {True: [], False: []}
    waited = 0.0
    for (method, path), pause in requests:
        clock.advance(pause)
        before = clock.monotonic()
        limiter.acquire(method, path, within_s=60)
        waited += clock.monotonic() - before
        sent[method == "GET"].append((clock.monotonic(), limiter.cost(method, path)))
    event("had to wait" if waited else "never waited")
    for log in sent.values():
        for first in range(len(log)):
            tokens = 0
            for at, cost in log[first:]:
                tokens += cost
                assert tokens <= capacity + refill * (at - log[first][0]) + 1e-6


def test_the_property_above_would_notice_a_limiter_that_never_waits():
    exchange = ExchangeBucket(BASIC.write)
    assert not all(exchange.passes(10, 0.0) for _ in range(11))


@pytest.mark.parametrize("refill_and_capacity", [(200, 200), (100, 100), (300, 600), (4800, 4800)])
def test_a_busy_client_uses_the_allowance_and_is_never_refused(refill_and_capacity):
    clock, allowance = ManualClock(NOW), TokenBucketLimits(*refill_and_capacity)
    exchange = ExchangeBucket(allowance)
    limiter = RateLimiter(clock, ApiLimits("t", allowance, allowance))
    rng = random.Random(7)
    used, arrived = 0, 0.0
    while clock.monotonic() < 30:
        limiter.acquire(*CREATE, within_s=60)
        # Requests take up to 5 ms to arrive, so that some arrive bunched.
        arrived = max(arrived, clock.monotonic() + rng.uniform(0, 0.005))
        assert exchange.passes(10, arrived)
        used += 10
    assert used >= 0.97 * (allowance.refill_rate * 30)


def test_creates_leave_room_for_cancels():
    clock = ManualClock(NOW)
    limiter = RateLimiter(clock)
    for _ in range(8):
        limiter.acquire(*CREATE, within_s=0)
    with pytest.raises(RateLimitedError):
        limiter.acquire(*CREATE, within_s=0)
    for _ in range(5):
        limiter.acquire(*CANCEL, within_s=0)
    assert clock.monotonic() == 0


class Held(ManualClock):
    """Whoever waits says so, and waits until it is let go."""

    def __init__(self):
        super().__init__(NOW)
        self.waits, self.go_on = threading.Event(), threading.Event()

    def sleep(self, seconds):
        self.waits.set()
        assert self.go_on.wait(60)
        super().sleep(seconds)


def test_a_cancel_does_not_wait_behind_a_waiting_create():
    clock = Held()
    limiter = RateLimiter(clock, ApiLimits("t", TokenBucketLimits(100, 100), TokenBucketLimits(100, 100)))
    for _ in range(8):
        limiter.acquire(*CREATE, within_s=0)
    order: list[str] = []
    create = threading.Thread(target=lambda: (limiter.acquire(*CREATE, within_s=99), order.append("create")))
    create.start()
    assert clock.waits.wait(60)
    limiter.acquire(*CANCEL, within_s=0)
    order.append("cancel")
    clock.go_on.set()
    create.join(60)
    assert order == ["cancel", "create"]


def test_a_wait_past_the_deadline_is_refused_at_once_and_takes_nothing():
    clock = ManualClock(NOW)
    limiter = RateLimiter(clock)
    for _ in range(18):
        limiter.acquire(*READ, within_s=0)
    with pytest.raises(RateLimitedError, match=r"0\.1 s"):
        limiter.acquire(*READ, within_s=0.01)
    assert clock.monotonic() == 0
    limiter.acquire(*READ, within_s=0.06)


def test_what_can_never_fit_is_refused():
    limiter = RateLimiter(ManualClock(NOW), ApiLimits("t", TokenBucketLimits(5, 5), TokenBucketLimits(5, 5)))
    with pytest.raises(RateLimitedError, match="tokens, more than the rate limit ever has"):
        limiter.acquire(*READ, within_s=1e9)


def test_a_429_empties_the_local_bucket():
    clock = ManualClock(NOW)
    limiter = RateLimiter(clock)
    limiter.refused(*CREATE)
    limiter.acquire(*CANCEL, within_s=1)
    assert clock.monotonic() == pytest.approx(0.02, abs=1e-5)
    limiter.acquire(*READ, within_s=0)


@pytest.mark.parametrize(
    ("method", "path", "cost"),
    [
        ("GET", "/trade-api/v2/markets", 10),
        ("GET", "/portfolio/orders/8c35ecb3-328f-4f52", 2),
        ("GET", "/portfolio/orders", 10),
        ("POST", "/portfolio/events/orders", 10),
        ("DELETE", "/portfolio/events/orders", 2),
        ("DELETE", "/trade-api/v2/portfolio/events/orders/some-id", 2),
        ("POST", "/portfolio/events/orders/some-id/amend", 10),
        ("GET", "/cfbenchmarks/values/BRTI", 150),
        ("GET", "/cfbenchmarks", 150),
        ("GET", "/", 10),
    ],
)
def test_a_request_costs_what_the_exchange_says(method, path, cost):
    limiter = RateLimiter(ManualClock(NOW))
    exceptions = [
        ("GET", "/trade-api/v2/portfolio/orders/:order_id", 2),
        ("DELETE", "/trade-api/v2/portfolio/events/orders", 2),
        ("DELETE", "/trade-api/v2/portfolio/events/orders/:order_id", 2),
        ("DELETE", "/trade-api/v2/portfolio/events/orders/batched", 7),
        ("GET", "/trade-api/v2/cfbenchmarks", 150),
        ("GET", "/trade-api/v2/cfbenchmarks/*endpoint", 150),
    ]
    limiter.configure(BASIC, RequestCosts(10, tuple(EndpointCost(*each) for each in exceptions)))
    assert limiter.cost(method, path) == cost
    assert limiter.cost("DELETE", "/portfolio/events/orders/batched") == 7


def test_another_allowance_does_not_give_back_what_was_spent():
    numbers = [0.0] * 4
    small, large = TokenBucket(0, 100, 10), TokenBucket(0, 200, 20)
    small.take(numbers, 90)
    large.resize(numbers)
    assert small.level(numbers, 0.0) == large.level(numbers, 0.0) == 110
    assert large.level(numbers, 2.0) == 150
    assert large.level(numbers, 62.0) == 200
