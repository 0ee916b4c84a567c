"""What all parts of a session share: its exchange, its times, its faults, and what was counted and told."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import StateCommand
from verification.simulate.exchange import TICKERS, open_exchange
from verification.simulate.faults import Faults
from verification.simulate.plan import PROCESS, Fault, Plan
from verification.simulate.vtime import MachineClock, Timeline

STARTS = (
    1_780_000_000_000,
    1_780_000_000_000,
    1_780_113_570_000,  # half a minute before midnight in New York
    1_793_505_570_000,  # 2026-11-01, half a minute before that day, of 25 hours
    1_772_953_170_000,  # 2026-03-08, half a minute before the clocks go forward there
)


class Crash(BaseException):
    """The process is gone, in the middle of what it did."""


class Stage:
    """The state of one session. The parts of the session have it; it knows none of them."""

    def __init__(self, plan: Plan, home: Path) -> None:
        self.plan = plan
        self.home = home
        self.dice = random.Random(plan.seed * 31 + 5)
        start = Ts(STARTS[plan.seed % len(STARTS)])
        self._dead: set[str] = set()
        self.timeline = Timeline(start)
        self.clock = MachineClock(self.timeline, self._still_runs)
        self.exchange = open_exchange(plan, start)
        self.faults = Faults(plan.faults, self.timeline)
        self.hits: Counter[str] = Counter()
        self.fired_kinds: Counter[str] = Counter()
        self.count: Counter[str] = Counter()
        self.events = 0
        """Requests, frames and steps."""
        self.late = 0
        """Requests that may still arrive although their sender gave up."""
        self.disk = ""
        """What is wrong with the disk: `full`, `readonly` or nothing."""
        self.is_running = False
        """Whether a loop runs."""
        self.ask: Callable[[StateCommand], None] = lambda _command: None
        """Ask the loop that began last; nothing before the first."""
        self.said: list[str] = []
        self._ids = iter(range(1, 10_000_000))

    def new_id(self) -> str:
        return f"-{self.plan.seed}-{next(self._ids)}"

    def tell(self, who: str, text: str) -> None:
        """What a person is told."""
        self.said.append(f"{self.timeline.seconds:8.2f} {who}: {text}")

    def hit(self, row: str) -> None:
        """A row of the fault matrix was reached."""
        if row:
            self.hits[row] += 1

    def fired(self, fault: Fault, kinds: set[str]) -> None:
        """A fault took effect."""
        self.fired_kinds[fault.kind] += 1
        self.tell("fault", f"{fault.kind} on {sorted(kinds)} ({fault.size})")

    def alive(self, who: str) -> None:
        """A process that is gone does nothing more."""
        if who in self._dead:
            raise Crash(who)

    def _still_runs(self) -> None:
        self.alive("loop")

    def point(self, name: str, who: str) -> None:
        """A named point of the program: the process can end here, or stop for a while."""
        if who != "loop":
            return
        fault = self.faults.take(PROCESS, {name})
        if fault is not None:
            self.fired(fault, {name})
            self._befall(fault, name)

    def _befall(self, fault: Fault, name: str) -> None:
        """Do to the loop what this fault does at this point."""
        if fault.kind == "crash":
            self.hit("F13" if "Fill" in name or "State" in name else "F12")
            self.count[f"crash at {name}"] += 1
            self._dead.add("loop")
            raise Crash(name)
        if fault.kind == "interrupt":
            self.hit("F16")
            raise KeyboardInterrupt
        self.hit("F18")
        self.clock.owed_s.append((31 + fault.size / 10, fault.size % 2 == 0))
        self.clock.stop_if_due()

    def trouble(self) -> str:
        """What a strategy is to do wrong now."""
        fault = self.faults.take({name: PROCESS[name] for name in ("raise", "nonsense")}, {"hook"})
        if fault is None:
            return ""
        self.fired(fault, {"hook"})
        self.hit("F17")
        return fault.kind

    def noticed(self, error: KalshiError) -> None:
        """A program ended with this error."""
        rows = {"state_locked": "F56", "state_full": "F57", "state_unwritable": "F57"}
        self.hit(rows.get(error.code, ""))

    def forget_dead(self) -> None:
        """Let the next process of each name run."""
        self._dead.clear()

    def tickers(self) -> tuple[str, ...]:
        """Markets a loop can be started on now."""
        return tuple(ticker for ticker in TICKERS if self.exchange.status(ticker) is not MarketStatus.FINALIZED)
