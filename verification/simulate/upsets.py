"""Faults of the process, its machine and its file, and actions of users and other programs beside it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable

from kalshi_cli.base.errors import AnotherInstanceError
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.messages import StateCommand
from kalshi_cli.services.account.recovery import reconcile
from kalshi_cli.services.orders.cancel import CancelScope
from kalshi_cli.services.orders.cancel_all import cancel_everything
from kalshi_cli.services.trading.halts import TradingControl
from verification.simulate.checker import Checker
from verification.simulate.exchange import ME
from verification.simulate.people import People
from verification.simulate.plan import PROCESS, Fault
from verification.simulate.program import Programs, VirtualResources
from verification.simulate.stage import Stage

LIST_MS = 100
"""A late copy of a create that lands so soon before the kill switch ends may land after its last list was made."""


class Upsets:
    """Does them, as the plan says."""

    def __init__(self, stage: Stage, checker: Checker, people: People, programs: Programs) -> None:
        self._stage = stage
        self._checker = checker
        self._people = people
        self._programs = programs
        self._locker: sqlite3.Connection | None = None
        self._next_start: list[Callable[[], None]] = []
        for fault in stage.faults.starts(PROCESS):
            if not fault.target:
                stage.timeline.at(fault.at, lambda fault=fault: self._begin(fault))  # type: ignore[misc]

    # -- at a time --------------------------------------------------------------------------------------------------

    def _begin(self, fault: Fault) -> None:
        stage = self._stage
        if stage.faults.is_over or not stage.faults.use(fault):
            return
        stage.fired(fault, {"machine"})
        getattr(self, f"_{fault.kind}")(fault)

    def _clock_step(self, fault: Fault) -> None:
        """Somebody sets the clock: mostly by less than the exchange minds, sometimes by an hour, and back."""
        stage = self._stage
        is_far = fault.size % 4 == 0
        step_ms = (3_600_000 if is_far else 200 + fault.size * 3) * (1 if fault.size % 2 else -1)
        stage.hit("F53" if is_far else "F54")
        stage.clock.ahead_ms += step_ms
        if is_far:
            stage.timeline.after(12, lambda: self._set_back(step_ms))
        else:
            stage.timeline.after(25, lambda: self._set_back(step_ms))

    def _set_back(self, step_ms: int) -> None:
        if not self._stage.faults.is_over:
            self._stage.clock.ahead_ms -= step_ms

    def _disk_full(self, fault: Fault) -> None:
        self._stage.disk = "readonly" if fault.size % 2 else "full"
        self._stage.timeline.after(1 + fault.size / 100, self._disk_well)

    def _disk_well(self) -> None:
        self._stage.disk = ""

    def _locked(self, fault: Fault) -> None:
        """Another program writes to the file, for longer than anybody waits."""
        if self._locker is not None:
            return
        path = self._stage.home / "sim" / "state.db"
        if not path.exists():
            return
        self._locker = sqlite3.connect(path, isolation_level=None, timeout=0)
        try:
            self._locker.execute("BEGIN IMMEDIATE")
        except sqlite3.DatabaseError:  # somebody has it, or another fault has damaged it
            self._unlock()
            return
        self._stage.timeline.after(0.5 + fault.size / 250, self._unlock)

    def _unlock(self) -> None:
        if self._locker is not None:
            self._locker.close()
            self._locker = None

    def _stop(self, _fault: Fault) -> None:
        self._stage.hit("F16")
        self._stage.ask(StateCommand(self._stage.clock.now(), None, "SIGTERM"))

    # -- others -----------------------------------------------------------------------------------------------------

    def _halt(self, fault: Fault) -> None:
        """The kill switch; what it says is true. Now and then it dies once the halt is written, and the loop is left
        to take its orders back."""
        stage = self._stage

        def do(app: VirtualResources) -> None:
            if not self._halts(app) or fault.size % 3 == 0:
                return
            placed, late = self._checker.others_placed, stage.late
            outcome = cancel_everything(app, CancelScope(), 20.0, with_groups=True)
            stage.hit("F64")
            seen = stage.timeline.now() - LIST_MS if late else stage.timeline.now()
            resting = [order for order in stage.exchange._state.members[ME].orders() if order.created <= seen]
            if not app.store.halt().is_final:
                return  # a person resumed while it ran, and may have placed what rests
            if outcome.is_clean:
                self._checker.stops.proven()
            if outcome.is_clean and resting and self._checker.others_placed == placed and not stage.late:
                self._checker.say([f"F64 the kill switch said that nothing rests, and {len(resting)} orders do"])

        self._people.beside("cancel-all", do)

    def _halts(self, app: VirtualResources) -> bool:
        is_halted = TradingControl(app).halt("KILL_SWITCH", "somebody asked for it", busy_ms=0)
        if is_halted:
            self._checker.stops.moved(TradingState.HALTED)
        return is_halted

    def _halt_between(self) -> None:
        """Somebody halts while no loop runs."""
        self._people.beside("cancel-all", lambda app: _ignore(self._halts(app)))

    def _place(self, fault: Fault) -> None:
        self._people.place(fault)

    def _batch(self, fault: Fault) -> None:
        self._people.batch(fault)

    def _close(self, fault: Fault) -> None:
        self._people.close(fault)

    def _reconcile(self, _fault: Fault) -> None:
        self._people.beside("order reconcile", lambda app: _ignore(reconcile(app)))

    def _second(self, _fault: Fault) -> None:
        """A second loop on the same account is refused."""
        stage = self._stage
        if not stage.is_running:
            return

        def do(_app: VirtualResources) -> None:
            try:
                self._programs.trade("second", 5.0)
            except AnotherInstanceError:
                stage.hit("F60")
            else:
                self._checker.say(["F60 a second loop runs on the same account"])

        self._people.beside("second", do)

    def look(self) -> None:
        """A person looks at what was halted or reduced, and lets it go on."""
        stage = self._stage
        stage.timeline.after(7.0, self.look)
        if not stage.is_running or self._people.is_spoiled:
            return

        if self._checker.halted_state() is not TradingState.ACTIVE:
            self.resume()

    def resume(self) -> None:
        """A person lets it go on."""
        self._people.beside("resume", lambda app: _ignore(TradingControl(app).resume("looked at it")))

    # -- before the next start --------------------------------------------------------------------------------------

    def _no_file(self, fault: Fault) -> None:
        """The file is gone; every second time the account was halted, and that outlives it."""
        if fault.size % 2:
            self._next_start.append(self._halt_between)
        self._next_start.append(self._delete)

    def _old_file(self, _fault: Fault) -> None:
        """A copy from now comes back in place of the file some time later."""
        folder = self._stage.home / "sim"
        copy = self._stage.home / "copy.db"
        if not (folder / "state.db").exists() or self._locker is not None:
            return
        source, target = sqlite3.connect(folder / "state.db"), sqlite3.connect(copy)
        try:
            source.backup(target)
        except sqlite3.DatabaseError:  # another fault has damaged it: there is nothing to come back
            return
        finally:
            source.close()
            target.close()
        self._next_start.append(self._restore)

    def _away(self, fault: Fault) -> None:
        """Nothing runs for a while; every second time somebody halts meanwhile."""
        if fault.size % 2:
            self._next_start.append(self._halt_between)
        self._next_start.append(lambda: self._rest(60 + fault.size / 5))

    def _rest(self, seconds: float) -> None:
        self._stage.hit("F14")
        self._stage.timeline.pass_(seconds)

    def _damage(self, fault: Fault) -> None:
        def spoil() -> None:
            self._unlock()
            self._people.spoil(fault.size)

        self._next_start.append(spoil)

    def _delete(self) -> None:
        stage = self._stage
        self._checker.close()
        self._unlock()
        for path in (stage.home / "sim").glob("state.db*"):
            path.unlink()
        self._checker.forget_file()
        stage.hit("F15")

    def _restore(self) -> None:
        copy = self._stage.home / "copy.db"
        if copy.exists():
            self._delete()
            shutil.copyfile(copy, self._stage.home / "sim" / "state.db")
            os.chmod(self._stage.home / "sim" / "state.db", 0o600)

    def before_start(self) -> None:
        """What happens while no loop runs."""
        waiting, self._next_start = self._next_start, []
        for do in waiting:
            do()

    def calm(self) -> None:
        """Everything of the machine is well again."""
        self._disk_well()
        self._unlock()
        self._stage.clock.ahead_ms = 0

    close = _unlock


def _ignore(_value: object) -> None:
    """What was asked for was its effect."""
