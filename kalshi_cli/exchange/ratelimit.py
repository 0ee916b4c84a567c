"""The exchange's token buckets, modelled here so that its 429 is never met.

Each account has a bucket for reads and one for writes. A request takes its cost at once (10 by default) or is refused;
the bucket refills continuously. The local buckets hold a tenth less than the exchange's: requests that left evenly can
arrive bunched. Creates leave room for a few cancels, and waiting creates hold no place in any queue, so that a cancel
never waits behind one.
"""

from __future__ import annotations

import math
import threading

from kalshi_cli.clock import Clock
from kalshi_cli.errors import RateLimitedError
from kalshi_cli.exchange.wire.account import Allowance, Costs, EndpointCost, Limits

API_ROOT = "/trade-api/v2"

BASIC = Limits("basic", Allowance(200, 200), Allowance(100, 100))
"""What a new account has; used until the account's own limits were read."""

KNOWN_COSTS = Costs(
    10,
    (
        EndpointCost("DELETE", "/portfolio/events/orders", 2),
        EndpointCost("DELETE", "/portfolio/events/orders/:order_id", 2),
        EndpointCost("GET", "/portfolio/orders/:order_id", 2),
        EndpointCost("POST", "/account/api_usage_level/upgrade", 30),
    ),
)
"""Costs other than ten, as of October 2026; used until `GET /account/endpoint_costs` was read."""

CANCELS_IN_RESERVE = 5

_DEAREST = 30.0  # tokens; a bucket too small for a tenth less and any common request is used whole
_A_MICROSECOND = 1e-6  # below it, waiting is only rounding


class TokenBucket:
    """Tokens up to `capacity`, refilled at `refill` a second, by a clock that never goes back."""

    def __init__(self, capacity: float, refill: float, clock: Clock) -> None:
        self.capacity = capacity
        self.refill = refill
        self._clock = clock
        self._tokens = capacity
        self._at = clock.monotonic()

    def level(self) -> float:
        """Tokens in it now."""
        now = self._clock.monotonic()
        self._tokens = min(self.capacity, self._tokens + (now - self._at) * self.refill)
        self._at = now
        return self._tokens

    def wait(self, cost: float, reserve: float = 0) -> float:
        """Seconds until `cost` can be taken with `reserve` still left: 0 now, infinite when it never can."""
        if cost > self.capacity:
            return math.inf
        return max(0.0, (cost + min(reserve, self.capacity - cost) - self.level()) / self.refill)

    def take(self, cost: float) -> None:
        """Take it. The caller has asked `wait` before."""
        self._tokens = self.level() - cost

    def empty(self) -> None:
        """The exchange said that nothing is left."""
        self.level()
        self._tokens = min(self._tokens, 0.0)

    def resize(self, capacity: float, refill: float) -> None:
        """Another allowance; what was spent stays spent."""
        spent = self.capacity - self.level()
        self.capacity, self.refill = capacity, refill
        self._tokens = capacity - spent


class RateLimiter:
    """A read and a write bucket, shared by the threads of this process."""

    def __init__(self, clock: Clock, limits: Limits = BASIC, costs: Costs = KNOWN_COSTS) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._read = TokenBucket(*_less_a_tenth(limits.read), clock)
        self._write = TokenBucket(*_less_a_tenth(limits.write), clock)
        self._costs = _by_shape(costs)
        self._default = costs.default

    def configure(self, limits: Limits, costs: Costs) -> None:
        """Use the account's own allowance and the exchange's own costs from now on."""
        with self._lock:
            self._read.resize(*_less_a_tenth(limits.read))
            self._write.resize(*_less_a_tenth(limits.write))
            self._costs = _by_shape(costs)
            self._default = costs.default

    def cost(self, method: str, path: str) -> int:
        """Tokens for a request to `path` (with or without `/trade-api/v2`)."""
        parts = path.removeprefix(API_ROOT).split("/")
        exact = self._costs.get((method, *parts))
        if exact is not None:
            return exact
        # One parameter at a time, from the right: no path that costs other than the default has two.
        for at in range(len(parts) - 1, 0, -1):
            found = self._costs.get((method, *parts[:at], ":", *parts[at + 1 :]))
            if found is None:
                found = self._costs.get((method, *parts[:at], "*"))
            if found is not None:
                return found
        return self._default

    def largest_batch(self, method: str, path: str) -> int:
        """How many items one request may have: they must fit into the bucket at once. At least one."""
        with self._lock:
            bucket, reserve = self._bucket(method, path)
            return max(1, int((bucket.capacity - reserve) / max(1, self.cost(method, path))))

    def acquire(self, method: str, path: str, *, within_s: float, items: int = 1) -> None:
        """Wait until the request may go. RateLimitedError, at once, where that would take longer than `within_s`.

        A batch costs as much as its `items` would one by one.
        """
        cost = self.cost(method, path) * items
        bucket, reserve = self._bucket(method, path)
        until = self._clock.monotonic() + within_s
        while True:
            with self._lock:
                wait = bucket.wait(cost, reserve)
                if wait <= _A_MICROSECOND:
                    bucket.take(cost)
                    return
            if self._clock.monotonic() + wait > until:
                raise RateLimitedError(
                    f"{method} {path} would have to wait {wait:.1f} s for the rate limit; it was not sent",
                    hint="fewer requests, or a higher API tier; `kalshi health-check` shows the limits",
                )
            self._clock.sleep(wait)

    def refused(self, method: str, path: str) -> None:
        """A 429 came back: somebody else uses the account, or the model is off. Start again from nothing."""
        with self._lock:
            self._bucket(method, path)[0].empty()

    def _bucket(self, method: str, path: str) -> tuple[TokenBucket, float]:
        """The bucket that pays, and how much has to be left in it for cancels."""
        short = path.removeprefix(API_ROOT)
        if method == "GET" or not short.startswith(
            ("/portfolio/events/orders", "/portfolio/order_groups", "/communications", "/account/api_usage_level")
        ):
            return self._read, 0.0
        if method == "DELETE" or short.endswith("/trigger"):
            return self._write, 0.0
        cancel = self.cost("DELETE", "/portfolio/events/orders/:order_id")
        return self._write, float(CANCELS_IN_RESERVE * cancel)


def _less_a_tenth(allowance: Allowance) -> tuple[float, float]:
    capacity = float(allowance.bucket_capacity)
    return max(capacity * 0.9, min(capacity, _DEAREST)), float(allowance.refill_rate)


_Shape = tuple[str, ...]


def _by_shape(costs: Costs) -> dict[_Shape, int]:
    """`DELETE /trade-api/v2/portfolio/events/orders/:order_id` -> ("DELETE", "", "portfolio", ..., ":")."""
    return {
        (each.method, *(part[:1] if part[:1] in (":", "*") else part for part in _parts(each.path))): each.cost
        for each in costs.exceptions
    }


def _parts(path: str) -> list[str]:
    return path.removeprefix(API_ROOT).split("/")
