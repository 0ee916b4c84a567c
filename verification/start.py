"""`python -m verification.start`: how soon an unconfirmed order is resolved (T7); how long a start takes (T10).

It runs in virtual time, so the seconds are the program's own waiting times: timeouts, back-off, rate limit, intervals.
Its computing time is measured in seconds of this machine, and added if the target includes both.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import httpx
from support.simulation import TICKER, Simulation, Wire
from support.trading import TradingLoop

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.services.trading.start import reconcile_at_start
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.simulator.serving.in_process_transport import SimTransport

RESOLVED_WITHIN_S, ALERTED_WITHIN_S, STARTED_WITHIN_S = 10.0, 30.0, 3.0
GIVE_UP_S = 900.0

DOCUMENTED_MARGIN_MS = 45_000
"""How far the exchange's reads must be past a send before "not there" is proof: the number of docs/reliability.md.

It is written down here again, so that a longer margin in the program makes the program late rather than right.
"""

EXPIRIES_S = (90.0, None, 20.0)
"""Lifetimes of the one order: longer than the margin, none, shorter. With one alone, the other rules would not show."""

_AS_OF = "http://localhost/trade-api/v2/exchange/user_data_timestamp"


# -- T7 ---------------------------------------------------------------------------------------------------------------


class Kind(NamedTuple):
    """A create without an answer. It arrives at once, `late`, or never; `hangs` is how long nothing is heard."""

    row: str
    name: str
    arrives: bool
    is_late: bool = False
    hangs: bool = False
    status: int = 0


KINDS = (
    Kind("F01", "accepted, reply lost", arrives=True),
    Kind("F02", "accepted, no reply in time", arrives=True, hangs=True),
    Kind("F02", "never forwarded, no reply in time", arrives=False, hangs=True),
    Kind("F03", "reset before the exchange saw it", arrives=False),
    Kind("F04", "delivered late", arrives=True, is_late=True, hangs=True),
    Kind("F05", "500, accepted", arrives=True, status=500),
    Kind("F05", "503, not accepted", arrives=False, status=503),
)


class Resolved(NamedTuple):
    """Seconds from when the exchange could tell to when we knew, and from the send to the alert; what went wrong.

    When the exchange could tell is computed from its side alone: what the wire saw, and what the exchange serves.
    """

    kind: Kind
    took_s: float
    alerted_s: float
    problem: str


class _Fault:
    """What the wire does to the one create of a session, and the outage that follows it."""

    def __init__(self, one: Simulation, kind: Kind, dice: random.Random) -> None:
        self._one, self._kind = one, kind
        self._late_s = dice.uniform(0.2, 25.0)
        self._outage_s = dice.choice((0.0, dice.uniform(1, 20), dice.uniform(20, 200)))
        self._is_hanging = dice.random() < 0.5
        self._late: httpx.Request | None = None
        self.sent_at: Ts | None = None
        self.expires_at: Ts | None = None
        self.arrived_at: Ts | None = None

    @property
    def answers_at(self) -> Ts:
        """When the exchange answers again."""
        assert self.sent_at is not None
        return Ts(int(self.sent_at + self._outage_s * 1000))

    def before(self, request: httpx.Request) -> httpx.Response | None:
        one, now = self._one, self._one.clock.now()
        if request.method == "POST":
            self.sent_at = now
            expires_s = json.loads(request.read()).get("expiration_time")
            self.expires_at = None if expires_s is None else Ts(expires_s * 1000)
            return self._lose(request)
        if self._late is not None and self.sent_at is not None and now >= self.sent_at + self._late_s * 1000:
            self._arrive(self._late)
        if self.sent_at is not None and now < self.answers_at:
            if self._is_hanging:
                one.clock.advance(min(request.extensions["timeout"]["read"], 5.0))
                raise httpx.ReadTimeout("late")
            raise httpx.ConnectError("nobody there")
        return None

    def could_tell_at(self, behind_ms: int) -> Ts:
        """When the exchange's reads, which trail by so much, first show what became of the order.

        An order that the exchange took is in them once they are past its arrival. One that it never took is disproved
        once they are past the documented margin and past its expiry.
        """
        assert self.sent_at is not None
        if self.arrived_at is not None:
            return Ts(self.arrived_at + behind_ms)
        return Ts(max(self.sent_at + DOCUMENTED_MARGIN_MS, self.expires_at or 0) + behind_ms)

    def _lose(self, request: httpx.Request) -> httpx.Response:
        kind = self._kind
        if kind.is_late:
            self._late = request
        elif kind.arrives:
            self._arrive(request)
        if kind.hangs:
            self._one.clock.advance(min(request.extensions["timeout"]["read"], 5.0))
            raise httpx.ReadTimeout("late")
        if kind.status:
            return httpx.Response(kind.status, request=request)
        raise httpx.RemoteProtocolError("cut")

    def _arrive(self, request: httpx.Request) -> None:
        """Deliver the create. The exchange refuses one that is past its expiry: such an order never exists."""
        self._late = None
        answer = SimTransport(self._one.exchange, self._one.clock).handle_request(request)
        if answer.status_code == httpx.codes.CREATED:
            self.arrived_at = self._one.clock.now()


def resolve(kind: Kind, seed: int, folder: Path, expiry_s: float | None = 90.0) -> Resolved:
    """One session of a loop: its first create is lost, and it goes on until it knows what became of it."""
    dice = random.Random(f"{kind.name} {seed}")
    lag_ms = dice.choice((0, 500, 2_000))
    options = ExchangeOptions(read_rate=200, write_rate=100, read_lag_ms=lag_ms, clock_past_ms=60_000)
    one = Simulation(folder, options=options)
    try:
        one.wire = Wire(SimTransport(one.exchange, one.clock))
        one.client = one.connect()
        one.market(39, 44)
        loop = TradingLoop(one, expiry_s=expiry_s)
        fault = _Fault(one, kind, dice)
        one.wire.before = fault.before
        loop.ticks(1)
        loop.engine.is_stopping = True  # one order is enough
        told_at: Ts | None = None
        first = _ours(loop)
        while first is not None and first.status in (OrderStatus.UNKNOWN, OrderStatus.SUBMITTED):
            if one.clock.monotonic() > GIVE_UP_S:
                return Resolved(kind, GIVE_UP_S, 0.0, "never resolved")
            loop.ticks(1)
            told_at = told_at or (one.clock.now() if loop.alerts("ORDER_UNKNOWN") else None)
            first = _ours(loop)
        return _judged(kind, loop, fault, told_at)
    finally:
        one.close()


def _ours(loop: TradingLoop) -> Order | None:
    name = next((order.client_order_id for order in loop.sim.store.orders() if order.strategy), "")
    return loop.engine.state.orders.get(name)


def _behind_ms(one: Simulation) -> int:
    """How far the exchange's reads trail, by what it serves itself."""
    answer = SimTransport(one.exchange, one.clock).handle_request(httpx.Request("GET", _AS_OF))
    as_of = datetime.fromisoformat(json.loads(answer.read())["as_of_time"])
    return one.clock.now() - round(as_of.timestamp() * 1000)


def _judged(kind: Kind, loop: TradingLoop, fault: _Fault, told_at: Ts | None) -> Resolved:
    one, order = loop.sim, _ours(loop)
    assert order is not None
    assert fault.sent_at is not None
    could_tell = fault.could_tell_at(_behind_ms(one))
    took = (one.clock.now() - max(fault.answers_at, could_tell)) / 1000
    problem = ""
    if (fault.arrived_at is not None) is (order.status is OrderStatus.NEVER_ARRIVED):
        problem = f"ended as {order.status.value}"
    elif order.status is OrderStatus.NEVER_ARRIVED and one.clock.now() < could_tell:
        problem = "given up before the exchange could tell"
    elif one.wire.posts() != 1:
        problem = f"{one.wire.posts()} creates for one intent"
    elif told_at is None:
        problem = "nobody was told"
    alerted = 0.0 if told_at is None else (told_at - fault.sent_at) / 1000
    return Resolved(kind, max(0.0, took), alerted, problem)


def prove_resolution(times: int, say: Callable[[str], None]) -> bool:
    """T7, for each kind `times` times; whether it holds."""
    found: list[Resolved] = []
    for kind in KINDS:
        for seed in range(times):
            with tempfile.TemporaryDirectory() as folder:
                found.append(resolve(kind, seed, Path(folder), EXPIRIES_S[seed % len(EXPIRIES_S)]))
        mine = [each for each in found if each.kind is kind]
        p99, alerted = percentile([each.took_s for each in mine]), max(each.alerted_s for each in mine)
        say(f"T7  {kind.row} {kind.name:36} x {len(mine):3}   resolved p99 {p99:5.1f} s   alerted <= {alerted:4.1f} s")
    problems = [f"{each.kind.row} {each.kind.name}: {each.problem}" for each in found if each.problem]
    for problem in sorted(set(problems)):
        say(f"T7  WRONG {problems.count(problem)} times: {problem}")
    p99, alerted = percentile([each.took_s for each in found]), max(each.alerted_s for each in found)
    say(
        f"T7  all: p99 {p99:.1f} s (<= {RESOLVED_WITHIN_S:.0f}), alerted <= {alerted:.1f} s (<= {ALERTED_WITHIN_S:.0f})"
    )
    return not problems and p99 <= RESOLVED_WITHIN_S and alerted <= ALERTED_WITHIN_S


def percentile(values: list[float], share: float = 0.99) -> float:
    """The smallest value that this share of them does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * int(share * 100) // 100) - 1)]


# -- T10 --------------------------------------------------------------------------------------------------------------


class Started(NamedTuple):
    """A start on a large account: requests and tokens, seconds of waiting for pace, seconds of work."""

    reads: dict[str, int]
    tokens: int
    waited_s: float
    worked_s: float
    orders: int
    fills: int


def start_large(orders: int, fills: int, folder: Path, say: Callable[[str], None]) -> list[Started]:
    """An account at the Basic tier; a first start that knows nothing, and a second that remembers it all."""
    one = Simulation(folder, options=ExchangeOptions(clock_past_ms=60_000))
    try:
        one.wire = Wire(SimTransport(one.exchange, one.clock))
        for n in range(fills):
            if n % 5 == 0:
                one.clock.advance(1)
            one.quote(ASK, 60, 1)
            one.quote(BID, 60, 1, who="alice")
        for n in range(orders):
            one.quote(BID, 1 + n % 40, 1, who="alice")
        one.clock.advance(3_600)
        found = []
        for what in ("first start, nothing remembered", "start with everything on file  "):
            one.client = one.connect()
            started = _start(one)
            total = started.waited_s + started.worked_s
            found.append(started)
            say(
                f"T10 {what}: {started.orders} orders, {started.fills} fills in {total:.2f} s "
                f"({started.waited_s:.2f} waiting for pace + {started.worked_s:.2f} work); "
                f"{sum(started.reads.values())} reads, {started.tokens} of 200 tokens"
            )
        say("T10 reads of the first: " + ", ".join(f"{n} {path}" for path, n in sorted(found[0].reads.items())))
        return found
    finally:
        one.close()


def _start(one: Simulation) -> Started:
    one.wire.sent.clear()
    markets = [one.client.market(TICKER)]
    one.clock.advance(10)
    one.wire.sent.clear()
    sim, real = one.clock.monotonic(), time.perf_counter()
    engine = load_engine(
        one.client, one.store, one.clock, RiskLimits(), markets=markets, fees={}, new_id=one.new_id,
        agree=lambda *parts: reconcile_at_start(*parts, tell=lambda _: None, note=lambda _: None),
    )  # fmt: skip
    reads: dict[str, int] = {}
    for _, path in one.wire.sent:
        name = path.removeprefix("/trade-api/v2")
        reads[name] = reads.get(name, 0) + 1
    return Started(
        reads=reads,
        tokens=10 * sum(reads.values()),
        waited_s=one.clock.monotonic() - sim,
        worked_s=time.perf_counter() - real,
        orders=len(engine.state.orders.live()),
        fills=len(one.store.fills()),
    )


def prove_start(orders: int, fills: int, say: Callable[[str], None]) -> bool:
    """T10; whether it holds."""
    with tempfile.TemporaryDirectory() as folder:
        found = start_large(orders, fills, Path(folder), say)
    slowest = max(each.waited_s + each.worked_s for each in found)
    say(f"T10 slowest {slowest:.2f} s (<= {STARTED_WITHIN_S:.0f})")
    is_whole = all((each.orders, each.fills) == (orders, fills) for each in found)
    return is_whole and slowest <= STARTED_WITHIN_S


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m verification.start", description=__doc__)
    parser.add_argument("--times", type=int, default=50, help="sessions of each fault")
    parser.add_argument("--orders", type=int, default=1_000)
    parser.add_argument("--fills", type=int, default=5_000)
    asked = parser.parse_args()

    def say(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    holds = [prove_start(asked.orders, asked.fills, say), prove_resolution(asked.times, say)]
    say("holds" if all(holds) else "DOES NOT HOLD")
    return 0 if all(holds) else 1


if __name__ == "__main__":
    sys.exit(main())
