"""One session from its seed to its result: its parts, and the program in its successive processes."""

from __future__ import annotations

import math
import random
import shutil
import tempfile
import time
import traceback
from collections.abc import Collection
from pathlib import Path

from kalshi_cli.base.errors import HaltedError, KalshiError
from kalshi_cli.config.limits import limits_of
from kalshi_cli.core.account.reconciliation import NEVER_ARRIVED_MARGIN_MS
from kalshi_cli.core.model.messages import StateCommand
from kalshi_cli.services.account.recovery import load_engine, read_account, reconcile
from verification.invariants import BookHistory
from verification.simulate.checker import Checker
from verification.simulate.exchange_acts import ExchangeActs
from verification.simulate.people import People
from verification.simulate.plan import Plan, draw
from verification.simulate.program import Programs, configuration
from verification.simulate.report import Result
from verification.simulate.stage import STARTS, Crash, Stage
from verification.simulate.stream_faults import StreamFaults
from verification.simulate.upsets import Upsets
from verification.simulate.world import World

_MEMORY = Path("/dev/shm")

RESTART_S = 3.0
"""A service manager starts the loop again after so long."""

MOST_MORE_S = 600.0
"""Where the faults of a plan find too little to befall, they have so many seconds more."""

QUIET_S = 30.0
"""A loop that ran for so long while nothing went wrong has found by itself whatever it missed before."""

MOST_STARTS = 40
"""More in one session is a loop that cannot run at all."""


class Course:
    """The course of one session: it makes the parts, starts the program again and again, and checks the end."""

    def __init__(self, stage: Stage) -> None:
        plan, history = stage.plan, BookHistory()
        self._stage = stage
        self._checker = Checker(stage, limits_of(configuration(plan, stage.home)), history)
        self._world = World(stage, self._checker, history, random.Random(plan.seed * 13 + 3))
        self._programs = Programs(stage, self._checker, self._world, StreamFaults(stage))
        self._people = People(stage, self._checker, self._world, self._programs)
        self._upsets = Upsets(stage, self._checker, self._people, self._programs)
        self._acts = ExchangeActs(stage, self._world)
        self._starts = 0
        self._drain_s = plan.expiry_s + NEVER_ARRIVED_MARGIN_MS / 1000 + plan.read_lag_ms / 1000 + 15
        self._ends_s = math.inf

    def run(self) -> list[str]:
        """Run faults, then quiet until everything must be known, then the last checks; return the violations."""
        timeline, checker = self._stage.timeline, self._checker
        timeline.after(0.3, self._world.live)
        timeline.after(1.0, self._advance)
        timeline.after(7.0, self._upsets.look)
        timeline.at(self._stage.plan.faulty_s, self._calm)
        while timeline.seconds < self._ends_s and not checker.violations:
            self._process()
            timeline.pass_(RESTART_S)
        if not checker.violations:
            self._last_checks()
        checker.close()
        self._upsets.close()
        return checker.violations

    def _advance(self) -> None:
        stage = self._stage
        if stage.timeline.seconds >= self._ends_s and stage.is_running:
            stage.ask(StateCommand(stage.clock.now(), None, "the end"))
        stage.exchange.advance(stage.timeline.now())
        stage.timeline.after(1.0, self._advance)

    def _calm(self) -> None:
        """The faults are over; later, where few of them found anything to befall yet."""
        stage = self._stage
        is_enough = stage.fired_kinds.total() >= 10 and stage.events >= 100
        if not is_enough and stage.timeline.seconds < stage.plan.faulty_s + MOST_MORE_S:
            stage.faults.missing = max(0, 10 - stage.fired_kinds.total())
            stage.timeline.after(5.0, self._calm)
            return
        if stage.plan.seed % len(STARTS) > 1:
            stage.hit("F55")
        stage.faults.is_over = True
        self._world.is_quiet = True
        self._upsets.calm()
        self._ends_s = stage.timeline.seconds + self._drain_s

    def _process(self) -> None:
        """One life of the program, from its start to its end."""
        stage, checker = self._stage, self._checker
        self._starts += 1
        began = stage.timeline.seconds
        if self._starts > MOST_STARTS:
            checker.say([f"the loop was started {MOST_STARTS} times and never ran"])
            return
        self._upsets.before_start()
        checker.stops.before_start()
        try:
            stage.is_running = True
            try:
                self._programs.trade()
            finally:
                stage.is_running = False  # what is done about how it ended takes its time, and is no run
            checker.ended_well()
            if stage.timeline.seconds - max(began, self._ends_s - self._drain_s) > QUIET_S:
                checker.caught_up()
            stage.tell("stage", "the loop ended")
        except Crash:
            stage.tell("stage", "the process is gone")
        except HaltedError as error:
            stage.tell("stage", f"halted: {error}")
            stage.timeline.pass_(2)
            self._upsets.resume()
        except KalshiError as error:
            stage.tell("stage", f"the loop failed: {error} ({error.code})")
            stage.count[f"exit {type(error).__name__}"] += 1
            stage.noticed(error)
            self._people.mend(error)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"the program fell: {type(error).__name__}: {error} (line {where.lineno} of {where.filename})"
            checker.say([text])
            stage.said.append(traceback.format_exc())
        except KeyboardInterrupt:
            stage.tell("stage", "interrupted")
        finally:
            stage.forget_dead()
            checker.ends()

    def _last_checks(self) -> None:
        """Reconcile twice: the second time nothing is left to do; then compare everything."""
        stage, checker = self._stage, self._checker
        stage.timeline.pass_(stage.plan.read_lag_ms / 1000 + 1)
        with self._programs.open("reconcile") as app:
            reconcile(app)
            engine = load_engine(app.client, app.store, app.clock, app.limits, markets=(), fees={}, new_id=stage.new_id)
            before = app.store.load()
            read_account(app.client, app.store, app.clock, engine)
            after = app.store.load()
            if (before.orders, before.fills, before.settlements) != (after.orders, after.fills, after.settlements):
                checker.say(["I-RECON reconciling again changed something"])
            checker.quiet(engine)


def run(seed: int, only: Collection[int] | None = None) -> Result:
    """Run the session of this seed; with `only` these of its faults and no others."""
    return play(draw(seed, only))[0]


def play(plan: Plan) -> tuple[Result, list[str]]:
    """Run a session; what came of it, and what was said."""
    began = time.process_time()
    home = Path(tempfile.mkdtemp(prefix="simulate-", dir=_MEMORY if _MEMORY.is_dir() else None))
    try:
        stage = Stage(plan, home)
        violations = Course(stage).run()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    result = Result(
        seed=plan.seed,
        violations=violations,
        fired=dict(stage.fired_kinds),
        hits=dict(stage.hits),
        counts=dict(stage.count),
        events=stage.events,
        cpu_s=time.process_time() - began,
    )
    return result, stage.said
