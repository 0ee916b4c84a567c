"""A local model of the exchange's token buckets, so that its 429 is never reached.

Each account has a bucket for reads and one for writes. A request takes its cost at once (10 by default) or is refused;
the bucket refills continuously. The local buckets are a tenth smaller than the exchange's, because requests that left
evenly can arrive bunched. Creates leave room for a few cancels, and waiting creates hold no place in a queue, so a
cancel never waits behind one.

The programs of one account on one machine share their spending (`CounterStore`), so none plans with tokens that another
has taken. A few reads are reserved for the trade loop; and while the kill switch writes, nothing else does.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import IntEnum
from functools import lru_cache
from typing import Protocol, TypeVar

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import RateLimitedError, StateFileError
from kalshi_cli.exchange.wire.account import ApiLimits, EndpointCost, RequestCosts, TokenBucketLimits

T = TypeVar("T")

API_ROOT = "/trade-api/v2"

BASIC = ApiLimits("basic", TokenBucketLimits(200, 200), TokenBucketLimits(100, 100))
"""Limits of a new account, used until those of the account were read."""

KNOWN_COSTS = RequestCosts(
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
READS_IN_RESERVE = 5
"""Requests left in the buckets by creates, and, where a trade loop may share them, by the reads of other programs."""

_DEAREST = 30.0  # tokens; a bucket that would be too small for a common request is not reduced by a tenth
_A_MICROSECOND = 1e-6  # below it, waiting is only rounding


NUMBERS = 9
"""Count of the numbers that the programs share: for reads and writes the tokens spent, their time, and the capacity and
refill of the account, as far as known; and the end of the kill switch's hold."""

_READ, _WRITE, _QUIET_UNTIL = 0, 4, 8
_SMALLEST, _SLOWEST, _LARGEST = 10.0, 1.0, 1e6
"""Tokens, and tokens per second, that an account can have: from one request now and then to some ten thousand of the
highest tier. Numbers in a file outside of this range are ignored, because they could block every program."""

KILL_SWITCH_HOLD_S = 2.0
"""After a write of the kill switch no other program writes for this long."""


class Priority(IntEnum):
    """Order of precedence when tokens are short."""

    CHECK = 0
    """Leaves a few reads to the trade loop."""
    TRADER = 1
    KILL = 2
    """The kill switch: while it writes, no other program of this account does."""


class CounterStore(Protocol):
    """A few shared numbers, initially zero, which one program or thread at a time may change."""

    def held(self) -> AbstractContextManager[list[float]]:
        """Yield the numbers to be changed in place; keep them unless the body raises. StateFileError if that fails."""
        ...


class LocalCounters(CounterStore):
    """The numbers of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values = [0.0] * NUMBERS

    @contextmanager
    def held(self) -> Iterator[list[float]]:
        with self._lock:
            yield self._values


class TokenBucket:
    """Tokens up to a capacity, refilled at a rate, in `numbers[at:at + 4]`.

    Without a valid size in the numbers, the assumed size is used.
    """

    def __init__(self, at: int, capacity: float, refill: float) -> None:
        self._at = at
        self._assumed = (capacity, refill)

    def size(self, numbers: list[float]) -> tuple[float, float]:
        """Return the capacity, and the refill per second."""
        capacity, refill = numbers[self._at + 2 : self._at + 4]
        is_sane = _SMALLEST <= capacity <= _LARGEST and _SLOWEST <= refill <= _LARGEST
        return (capacity, refill) if is_sane else self._assumed

    def resize(self, numbers: list[float]) -> None:
        """Store the assumed size; tokens spent stay spent."""
        numbers[self._at + 2 : self._at + 4] = self._assumed

    def level(self, numbers: list[float], now: float) -> float:
        """Return the tokens in it; `now` is in seconds of a clock that never goes back while this machine runs."""
        capacity, refill = self.size(numbers)
        elapsed = max(0.0, now - numbers[self._at + 1])
        numbers[self._at] = min(max(0.0, numbers[self._at] - elapsed * refill), capacity)
        numbers[self._at + 1] = now
        return capacity - numbers[self._at]

    def wait(self, numbers: list[float], now: float, cost: float, reserve: float = 0) -> float:
        """Return the seconds until `cost` can be taken with `reserve` left: 0 means now, infinite means never."""
        capacity, refill = self.size(numbers)
        if cost > capacity:
            return math.inf
        return max(0.0, (cost + min(reserve, capacity - cost) - self.level(numbers, now)) / refill)

    def take(self, numbers: list[float], cost: float) -> None:
        """Take the tokens, after `wait` returned 0."""
        numbers[self._at] += cost

    def empty(self, numbers: list[float], now: float) -> None:
        """Empty the bucket after a 429."""
        self.level(numbers, now)
        numbers[self._at], _ = self.size(numbers)


class RateLimiter:
    """A read and a write bucket, shared by the threads of this process, and by programs through `shared`.

    `tell` is called once if the shared numbers cannot be used; this process then uses half of the limits.
    """

    def __init__(
        self,
        clock: Clock,
        limits: ApiLimits = BASIC,
        costs: RequestCosts = KNOWN_COSTS,
        *,
        shared: CounterStore | None = None,
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.rank = Priority.CHECK
        self._clock = clock
        self._is_shared = shared is not None
        self._numbers: CounterStore = shared or LocalCounters()
        self._tell = tell
        self._part = 1.0
        self._use(limits, costs)

    def _use(self, limits: ApiLimits, costs: RequestCosts) -> None:
        self._limits = limits
        self._fit()
        self._costs, self._default = _by_shape(costs), costs.default
        self._cost = lru_cache(maxsize=256)(self._find_cost)

    def configure(self, limits: ApiLimits, costs: RequestCosts) -> None:
        """Use the account's limits and the exchange's costs from now on, in every program that shares the numbers."""
        self._use(limits, costs)

        def resize(numbers: list[float]) -> None:
            self._read.resize(numbers)
            self._write.resize(numbers)

        self._change(resize)

    def _fit(self) -> None:
        self._read = TokenBucket(_READ, *_less_a_tenth(self._limits.read, self._part))
        self._write = TokenBucket(_WRITE, *_less_a_tenth(self._limits.write, self._part))

    def cost(self, method: str, path: str) -> int:
        """Return the tokens of a request to `path` (with or without `/trade-api/v2`)."""
        return self._cost(method, path)

    def _find_cost(self, method: str, path: str) -> int:
        parts = path.removeprefix(API_ROOT).split("/")
        exact = self._costs.get((method, *parts))
        if exact is not None:
            return exact
        # Replace one parameter, from the right: no path with its own cost has two.
        for at in range(len(parts) - 1, 0, -1):
            found = self._costs.get((method, *parts[:at], ":", *parts[at + 1 :]))
            if found is None:
                found = self._costs.get((method, *parts[:at], "*"))
            if found is not None:
                return found
        return self._default

    def largest_batch(self, method: str, path: str) -> int:
        """Return the maximum items of one request, which must fit into the bucket at once; at least one."""
        bucket, reserve = self._bucket(method, path)
        capacity, _ = self._change(bucket.size)
        return max(1, int((capacity - reserve) / max(1, self.cost(method, path))))

    def acquire(self, method: str, path: str, *, within_s: float, items: int = 1) -> None:
        """Wait until the request may be sent; raise RateLimitedError at once if that takes longer than `within_s`.

        It is also raised for a write while the kill switch of this account runs. A batch costs as much as its `items`
        would one by one.
        """
        cost = self.cost(method, path) * items
        until = self._clock.monotonic() + within_s
        while True:
            wait = self._change(lambda numbers: self._take(numbers, method, path, cost))
            if wait <= _A_MICROSECOND:
                return
            if self._clock.monotonic() + wait > until:
                why = f"it would wait {wait:.1f} s for the rate limit"
                if wait == math.inf:
                    why = f"it costs {cost:g} tokens, more than the rate limit ever has"
                raise RateLimitedError(
                    f"{method} {path} was not sent: {why}",
                    hint="send fewer requests, or request a higher API tier; `kalshi limits` shows the limits",
                )
            self._clock.sleep(wait)

    def _take(self, numbers: list[float], method: str, path: str, cost: float) -> float:
        """Take the tokens, or return the seconds to wait."""
        bucket, reserve = self._bucket(method, path)  # chosen each time: the shared numbers may have become unusable
        now = self._clock.monotonic()
        is_write = bucket is self._write
        if is_write and self.rank is not Priority.KILL and now < numbers[_QUIET_UNTIL] <= now + KILL_SWITCH_HOLD_S:
            raise RateLimitedError(
                f"{method} {path} was not sent: `kalshi cancel-all` is running on this account",
                hint="try again when it has finished",
                code="kill_switch",
            )
        if self.rank is Priority.KILL:
            cost = min(cost, bucket.size(numbers)[0])  # a cost beyond the capacity is sent with a full bucket
        wait = bucket.wait(numbers, now, cost, reserve)
        if wait <= _A_MICROSECOND:
            bucket.take(numbers, cost)
            if is_write and self.rank is Priority.KILL:
                numbers[_QUIET_UNTIL] = now + KILL_SWITCH_HOLD_S
        return wait

    def allow_other_writers(self) -> None:
        """End the kill switch's hold."""

        def end(numbers: list[float]) -> None:
            numbers[_QUIET_UNTIL] = 0.0

        self._change(end)

    def refused(self, method: str, path: str) -> None:
        """Empty the bucket after a 429: another program uses the account, or the model is wrong."""
        self._change(lambda numbers: self._bucket(method, path)[0].empty(numbers, self._clock.monotonic()))

    def _change(self, change: Callable[[list[float]], T]) -> T:
        """Change the numbers; if the shared ones cannot be used, switch to those of this process for good."""
        try:
            with self._numbers.held() as numbers:
                return change(numbers)
        except StateFileError as error:
            self._is_shared, self._numbers, self._part = False, LocalCounters(), 0.5
            self._fit()
            self._tell(f"The rate limit is not shared with other programs, so only half of it is used: {error.message}")
            return self._change(change)

    def _bucket(self, method: str, path: str) -> tuple[TokenBucket, float]:
        """Return the bucket that pays, and the reserve that must stay in it."""
        short = path.removeprefix(API_ROOT)
        if method == "GET" or not short.startswith(
            ("/portfolio/events/orders", "/portfolio/order_groups", "/communications", "/account/api_usage_level")
        ):
            is_last = self._is_shared and self.rank is Priority.CHECK
            return self._read, float(READS_IN_RESERVE * self._default if is_last else 0)
        if method == "DELETE" or short.endswith("/trigger"):
            return self._write, 0.0
        cancel = self.cost("DELETE", "/portfolio/events/orders/:order_id")
        return self._write, float(CANCELS_IN_RESERVE * cancel)


def _less_a_tenth(allowance: TokenBucketLimits, part: float) -> tuple[float, float]:
    """Return capacity and refill for this part of the limits."""
    capacity = float(allowance.bucket_capacity)
    return max(capacity * 0.9 * part, min(capacity, _DEAREST)), float(allowance.refill_rate) * part


_Shape = tuple[str, ...]


def _by_shape(costs: RequestCosts) -> dict[_Shape, int]:
    """Return costs by path shape: `DELETE /trade-api/v2/portfolio/events/orders/:order_id` -> ("DELETE", ..., ":")."""
    return {
        (each.method, *(part[:1] if part[:1] in (":", "*") else part for part in _parts(each.path))): each.cost
        for each in costs.exceptions
    }


def _parts(path: str) -> list[str]:
    return path.removeprefix(API_ROOT).split("/")
