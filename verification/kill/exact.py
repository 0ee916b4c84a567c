"""T5 and T6 in virtual time: the real client and kill switch against the simulator's real buckets, to the millisecond.

Each request takes `RTT_S`, ten milliseconds. Each repeat starts at another fraction of a second, because the date of a
response has only whole seconds.
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from support.simulation import TICKER, Simulation, Wire

from kalshi_cli.base.errors import RateLimitedError
from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.exchange.rest.rate_limits import NUMBERS, Priority, RateLimiter
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.services.orders.cancel import CancelScope
from kalshi_cli.services.orders.kill_switch import KillSwitch, KillSwitchResult
from kalshi_cli.simulator.model.listing import ExchangeOptions, NewOrder, OrderReceipt
from kalshi_cli.store.shared_counters import SharedCounters
from verification.kill.result import Line

RTT_S = 0.01
EVERYTHING = CancelScope()
BASIC, ADVANCED = (200, 100), (300, 300)
"""Read and write tokens a second; a bucket of the simulator holds one second's worth."""


@dataclass
class Measured:
    """One run of the kill switch."""

    outcome: KillSwitchResult
    left: int
    triggered_s: float = 0.0
    too_many: int = 0
    held_off: int = 0
    slipped_through: int = 0
    progress: list[int] = field(default_factory=list)

    @property
    def is_proven(self) -> bool:
        return self.outcome.is_clean and not self.left


class Counted(httpx.BaseTransport):
    """Counts the answers."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner
        self.statuses: Counter[int] = Counter()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        self.statuses[response.status_code] += 1
        return response


class Account:
    """An account with resting orders, the kill switch's client, and another program of the same account."""

    def __init__(self, folder: Path, rates: tuple[int, int], seed: int) -> None:
        read, write = rates
        options = ExchangeOptions(
            read_rate=read, write_rate=write, read_lag_ms=500, usage_tier="basic" if rates == BASIC else "advanced"
        )
        self.sim = Simulation(folder, options=options)
        clock = self.sim.clock
        clock.advance(100 + random.Random(seed).random())
        self._pace = folder / "pace"
        self.limiter = RateLimiter(clock, shared=SharedCounters(self._pace, NUMBERS, clock))
        self.limiter.rank = Priority.KILL
        self.bystander = RateLimiter(clock, shared=SharedCounters(self._pace, NUMBERS, clock))
        self.counted = Counted(self.sim.checked)
        self.sim.wire = Wire(self.counted)
        self.client = self.sim.connect(limiter=self.limiter)
        self.triggers: list[float] = []
        self.held_off = self.slipped_through = 0
        self.has_cancel_all = True
        self.sim.wire.before = self._before
        self.sim.wire.after = self._after

    def fill(self, number: int, groups: int) -> list[str]:
        """That many orders at rest, in that many groups (none: 0); the groups."""
        sim = self.sim
        ids: list[str] = []
        for _ in range(groups):
            ids.append(sim.client.create_order_group(contracts(1_000)).group_id)
        for n in range(number):
            group = ids[n % groups] if groups else ""
            order = NewOrder(ticker=TICKER, side=BID, price=cents(5 + n % 30), qty=contracts(1), group_id=group)
            assert isinstance(sim.exchange.submit("alice", order, sim.clock.now()), OrderReceipt)
        sim.clock.advance(5)
        sim.exchange.advance(sim.clock.now())
        return ids

    def kill(self, groups: list[str] | None, scope: CancelScope = EVERYTHING) -> Measured:
        """Press it. `groups` are those that the state file knows."""
        clock = self.sim.clock
        progress: list[int] = []
        switch = KillSwitch(
            self.client, clock, scope, tell=lambda _line: None, progress=lambda gone, _known: progress.append(gone)
        )
        started = clock.monotonic()
        known = None if groups is None else [OrderGroup(group_id=each) for each in groups]
        outcome = switch.run(60.0, known)
        return Measured(
            outcome,
            left=len(self.sim.exchange.resting("alice")),
            triggered_s=max(self.triggers, default=started) - started,
            too_many=self.counted.statuses[429],
            held_off=self.held_off,
            slipped_through=self.slipped_through,
            progress=progress,
        )

    def _before(self, request: httpx.Request) -> httpx.Response | None:
        """The way there; a loop of this account tries to cancel an order just then; a route may not exist."""
        self.sim.clock.advance(RTT_S / 2)
        if request.method in ("PUT", "DELETE"):
            try:
                self.bystander.acquire("DELETE", "/portfolio/events/orders/x", within_s=0.0)
            except RateLimitedError:
                self.held_off += 1
            else:
                self.slipped_through += 1
        if request.method == "DELETE" and request.url.path.endswith("/orders") and not self.has_cancel_all:
            return httpx.Response(404, content=b'{"error": {"code": "not_found", "message": "not found"}}')
        return None

    def _after(self, request: httpx.Request) -> None:
        self.sim.clock.advance(RTT_S / 2)
        if request.url.path.endswith("/trigger"):
            self.triggers.append(self.sim.clock.monotonic())


def with_account(rates: tuple[int, int], seed: int, act: Callable[[Account], Measured]) -> Measured:
    with tempfile.TemporaryDirectory() as folder:
        account = Account(Path(folder), rates, seed)
        try:
            return act(account)
        finally:
            account.sim.close()


def grouped(repeats: int, number: int = 1_000) -> list[Line]:
    """T5: in one to four groups, which the state file knows every other time."""

    def press(seed: int) -> Measured:
        def act(account: Account) -> Measured:
            groups = account.fill(number, 1 + seed % 4)
            return account.kill(groups if seed % 2 else [])

        return with_account(BASIC, seed, act)

    runs = [press(seed) for seed in range(repeats)]
    what = f"T5 {number} grouped orders, Basic"
    return [
        Line(f"{what}: groups triggered", max(run.triggered_s for run in runs), 1.0, repeats),
        Line(f"{what}: zero verified", max(run.outcome.seconds for run in runs), 2.0, repeats),
        *_always(what, runs),
    ]


def swept(tier: str, number: int, repeats: int, *, has_cancel_all: bool = False) -> list[Line]:
    """T6: without groups, and without the exchange's own cancel of everything unless it `has_cancel_all`."""
    rates = BASIC if tier == "Basic" else ADVANCED

    def press(seed: int) -> Measured:
        def act(account: Account) -> Measured:
            account.has_cancel_all = has_cancel_all
            account.fill(number, 0)
            return account.kill([])

        return with_account(rates, seed, act)

    runs = [press(seed) for seed in range(repeats)]
    floor = max(0.0, (2 * number - rates[1]) / rates[1])
    what = f"T6 {number} orders, {tier}" + (", cancel-all route" if has_cancel_all else ", sweep only")
    return [
        Line(f"{what}: zero verified", max(run.outcome.seconds for run in runs), floor * 1.1 + 1, repeats),
        *_always(what, runs),
    ]


def _always(what: str, runs: list[Measured]) -> list[Line]:
    """Whatever the way: all gone, and proven; never a 429; and the other program of the account sent nothing."""
    return [
        Line(f"{what}: not proven empty", sum(not run.is_proven for run in runs), 0, len(runs), "runs"),
        Line(f"{what}: answers 429", sum(run.too_many for run in runs), 0, len(runs), "429s"),
        Line(f"{what}: writes of another program meanwhile", _others(runs), 0, len(runs), "writes"),
    ]


def _others(runs: list[Measured]) -> int:
    """Those that got through; a run in which nobody tried proves nothing."""
    return sum(run.slipped_through for run in runs) + sum(not run.held_off for run in runs)
