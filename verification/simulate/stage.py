"""One session: the exchange, the world, the program in its successive processes, and the checks."""

from __future__ import annotations

import math
import random
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kalshi_cli.base.errors import HaltedError, KalshiError
from kalshi_cli.base.units import Ts
from kalshi_cli.config.limits import limits_of
from kalshi_cli.core.account.reconciliation import NEVER_ARRIVED_MARGIN_MS
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import StateCommand
from kalshi_cli.services.account.recovery import load_engine, read_account, reconcile
from verification.simulate.checker import Checker
from verification.simulate.exchange_acts import ExchangeActs
from verification.simulate.faults import Faults
from verification.simulate.plan import PROCESS, Fault, Plan
from verification.simulate.program import KEY, OWN_KEY, configuration, trade, virtual
from verification.simulate.stream_faults import StreamFaults
from verification.simulate.upsets import Crash, Upsets
from verification.simulate.vtime import MachineClock, Timeline
from verification.simulate.world import KEY_ID, TICKERS, World, open_exchange

STARTS = (
    1_780_000_000_000,
    1_780_000_000_000,
    1_780_113_570_000,  # half a minute before midnight in New York
    1_793_505_570_000,  # 2026-11-01, half a minute before that day, of 25 hours
    1_772_953_170_000,  # 2026-03-08, half a minute before the clocks go forward there
)
RESTART_S = 3.0
"""A service manager starts the loop again after so long."""

MOST_MORE_S = 600.0
"""Where the faults of a plan find too little to befall, they have so many seconds more."""

QUIET_S = 30.0
"""A loop that ran for so long while nothing went wrong has found by itself whatever it missed before."""

MOST_STARTS = 40
"""More in one session is a loop that cannot run at all."""


class Stage:
    """Everything of one session that the parts need from each other."""

    def __init__(self, plan: Plan, home: Path) -> None:
        self.plan = plan
        self.home = home
        self.dice = random.Random(plan.seed * 31 + 5)
        start = Ts(STARTS[plan.seed % len(STARTS)])
        self.timeline = Timeline(start)
        self.clock = MachineClock(self.timeline, self._still_runs)
        public = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.exchange = open_exchange(plan, start, public)
        OWN_KEY.admit(self.exchange, KEY_ID)
        self.faults = Faults(plan.faults, lambda: self.timeline.seconds)
        self.hits: Counter[str] = Counter()
        self.fired_kinds: Counter[str] = Counter()
        self.count: Counter[str] = Counter()
        self.late = 0
        self.engine: Any = None
        self.ask: Callable[[StateCommand], None] = lambda _command: None
        self.said: list[str] = []
        self._dead: set[str] = set()
        self._ids = iter(range(1, 10_000_000))
        self._starts = 0
        self._drain_s = 0.0
        self._ends_s = math.inf
        limits = limits_of(configuration(plan, home))
        self.checker = Checker(self, limits)
        self.stream_faults = StreamFaults(self)
        self.upsets = Upsets(self)
        self.acts = ExchangeActs(self)
        self.is_running = False
        self.world = World(self, random.Random(plan.seed * 13 + 3))

    # -- for the parts ----------------------------------------------------------------------------------------------

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
            self.upsets.at_point(fault, name)

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

    def kill(self, who: str) -> None:
        """This process does nothing any more."""
        self._dead.add(who)

    def tickers(self) -> tuple[str, ...]:
        """Markets a loop can be started on now."""
        return tuple(ticker for ticker in TICKERS if self.exchange.status(ticker) is not MarketStatus.FINALIZED)

    # -- the course -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Faults for a while, then quiet until everything must be known, then the last checks."""
        self.timeline.after(0.3, self.world.live)
        self.timeline.after(1.0, self._advance)
        self._drain_s = self.plan.expiry_s + NEVER_ARRIVED_MARGIN_MS / 1000 + self.plan.read_lag_ms / 1000 + 15
        self.timeline.after(7.0, self.upsets.look)
        self.timeline.at(self.plan.faulty_s, self._calm)
        while self.timeline.seconds < self._ends_s and not self.checker.violations:
            self._process()
            self.timeline.pass_(RESTART_S)
        if not self.checker.violations:
            self._last_checks()
        self.checker.close()
        self.upsets.close()

    def _advance(self) -> None:
        if self.timeline.seconds >= self._ends_s and self.is_running:
            self.ask(StateCommand(self.clock.now(), None, "the end"))
        self.exchange.advance(self.timeline.now())
        self.timeline.after(1.0, self._advance)

    def _calm(self) -> None:
        """The faults are over; later, where few of them found anything to befall yet."""
        is_enough = self.fired_kinds.total() >= 10 and self.checker.events >= 100
        if not is_enough and self.timeline.seconds < self.plan.faulty_s + MOST_MORE_S:
            self.faults.missing = max(0, 10 - self.fired_kinds.total())
            self.timeline.after(5.0, self._calm)
            return
        if self.plan.seed % len(STARTS) > 1:
            self.hit("F55")
        self.faults.is_over = True
        self.world.is_quiet = True
        self.upsets.calm()
        self._ends_s = self.timeline.seconds + self._drain_s

    def _process(self) -> None:
        """One life of the program, from its start to its end."""
        self._starts += 1
        began = self.timeline.seconds
        if self._starts > MOST_STARTS:
            self.checker.say([f"the loop was started {MOST_STARTS} times and never ran"])
            return
        self.upsets.before_start()
        self.checker.stops.before_start()
        try:
            self.is_running = True
            try:
                trade(self)
            finally:
                self.is_running = False  # what is done about how it ended takes its time, and is no run
            self.checker.ended_well(self.engine)
            if self.timeline.seconds - max(began, self._ends_s - self._drain_s) > QUIET_S:
                self.checker.caught_up()
            self.tell("stage", "the loop ended")
        except Crash:
            self.tell("stage", "the process is gone")
        except HaltedError as error:
            self.tell("stage", f"halted: {error}")
            self.timeline.pass_(2)
            self.upsets.resume()
        except KalshiError as error:
            self.tell("stage", f"the loop failed: {error} ({error.code})")
            self.count[f"exit {type(error).__name__}"] += 1
            self.noticed(error)
            self.upsets.people.mend(error)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"the program fell: {type(error).__name__}: {error} (line {where.lineno} of {where.filename})"
            self.checker.say([text])
            self.said.append(traceback.format_exc())
        except KeyboardInterrupt:
            self.tell("stage", "interrupted")
        finally:
            self._dead.clear()
            self.checker.ends()

    def _last_checks(self) -> None:
        """Reconcile twice: the second time nothing is left to do; then compare everything."""
        self.timeline.pass_(self.plan.read_lag_ms / 1000 + 1)
        with virtual(self, "reconcile") as app:
            reconcile(app)
            engine = load_engine(app.client, app.store, app.clock, app.limits, markets=(), fees={}, new_id=self.new_id)
            before = app.store.load()
            read_account(app.client, app.store, app.clock, engine)
            after = app.store.load()
            if (before.orders, before.fills, before.settlements) != (after.orders, after.fills, after.settlements):
                self.checker.say(["I-RECON reconciling again changed something"])
            self.checker.quiet(engine)
