"""One run: the program trades, dies and starts twice again; the invariants of each step."""

from __future__ import annotations

import random
import sqlite3
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from support.fault_proxy import Answer
from support.served import KEY_ID

from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.store import migrations
from kalshi_cli.store.database import Database
from verification.crash import compare
from verification.crash.network import FAULTS, FAULTS_A_RUN, LATEST_S, plan
from verification.crash.points import BY_NAME, CANCEL_ALL, COMES_BY, MIGRATE, POINTS, RANDOM, TRADE, Death, Point
from verification.crash.process import STUCK_S, Started
from verification.crash.program import Nursery
from verification.crash.stage import CREATES, JUMP_S, Stage, staged, words
from verification.crash.trouble import TROUBLE, Trouble, nth_of, of_seed

LIVES_S = 2.5
"""A random death comes within this time."""

PATIENCE_S = 12.0
"""So long a program is let live that does not come by its point."""


@dataclass
class Result:
    """What came of one run."""

    seed: int
    point: str
    program: str
    nth: int
    is_hit: bool = False
    is_killed: bool = False
    sent: int = 0
    unknown: int = 0
    """Orders in doubt when the process was dead; all of them must have ended at the end."""
    left: int = 0
    """Orders that still rested at the exchange then."""
    faults: int = 0
    seconds: float = 0.0
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.program}, {self.point} ({self.nth})"


def planned(seed: int, name: str = "") -> tuple[Point, str, int, random.Random]:
    """What a seed stands for: half of them die at a named point, half at any time."""
    dice = random.Random(seed)
    point = BY_NAME[name] if name else POINTS[seed // 2 % len(POINTS)] if seed % 2 else RANDOM
    program = dice.choice(point.programs)
    return point, program, dice.randint(1, min(point.most, COMES_BY.get(program, point.most))), dice


class Run:
    """One exchange, one home, one death."""

    def __init__(self, stage: Stage, nursery: Nursery, result: Result, dice: random.Random, sabotage: str) -> None:
        self.stage = stage
        self.nursery = nursery
        self.result = result
        self.dice = dice
        self._sabotage = sabotage

    # -- with a death ------------------------------------------------------------------------------------------------

    def crash(self, point: Point) -> None:
        stage, result = self.stage, self.result
        if result.program == MIGRATE and result.nth <= 6:
            _older_file(stage.state)  # else there is none yet, and it is made
        if result.program == CANCEL_ALL:
            self._trade_before()
        self._asked_before = len(stage.asked)
        process = self.start(words(result.program, self.dice, stage.home), point.name, result.nth)
        if point.is_outside and point is not RANDOM:
            stage.answers.watch = self._assassin(process, point.name, result.nth)
        lives_s = PATIENCE_S if point is not RANDOM else self._span(result.program)
        self._live(process, lives_s)
        result.is_killed = process.wait() == -9
        mark = stage.home / "mark"
        is_marked = mark.exists() and mark.read_bytes() == b"1"
        result.is_hit = result.is_killed and (point is RANDOM or is_marked or (point.is_outside and self._is_hit))
        self._look_at_what_is_left()
        self.recover()

    def _span(self, program: str) -> float:
        return self.dice.uniform(0.05, LIVES_S if program == TRADE else 0.4)

    def _trade_before(self) -> None:
        """Something to cancel: a loop that was killed."""
        process = self.start(words(TRADE, self.dice, self.stage.home))
        self._live(process, 1.5)
        process.wait()

    def _assassin(self, process: Started, point: str, nth: int) -> Callable[[Answer], None]:
        """Kills from outside, once the exchange has acted on the n-th such request and nobody has heard of it yet."""
        self._is_hit, left = False, nth
        method, path = {
            "create at exchange": ("POST", "/events/orders"),
            "cancel at exchange": ("DELETE", "/events/orders/"),
        }.get(point, ("", ""))

        def watch(answer: Answer) -> None:
            nonlocal left
            if answer.method == method or (not method and path in answer.path):
                left -= 1
                if left == 0:
                    process.kill()
                    self._is_hit = True

        return watch

    def _live(self, process: Started, seconds: float) -> None:
        """The market moves while it runs; after so long, or when it has ended, it is dead."""
        until = time.monotonic() + seconds
        while process.poll() is None and time.monotonic() < until:
            self.stage.stir()
            time.sleep(min(0.03, max(0.0, until - time.monotonic())))
        process.kill()

    def _look_at_what_is_left(self) -> None:
        stage, result = self.stage, self.result
        stage.answers.watch = lambda _answer: None
        result.violations += compare.is_whole(stage.state)
        if result.program in (TRADE, MIGRATE):
            result.violations += stage.served.call(lambda: compare.bounded(stage))
        result.left = len(stage.served.resting())
        if stage.state.exists() and _is_made(stage.state):
            held = compare.remembered(stage.state)
            result.unknown = sum(1 for order in held.orders if order.status in compare.IN_DOUBT)
            asked = {method for method, _ in stage.asked[self._asked_before :]}
            if asked & {"PUT", "DELETE"} and result.program == CANCEL_ALL:
                self._hold(held.halt.state is TradingState.HALTED, "a cancel was sent before the halt was written")

    # -- and its recovery --------------------------------------------------------------------------------------------

    def recover(self) -> None:
        """Start again at once, and once more when everything has had its time to end."""
        stage, result = self.stage, self.result
        for _ in range(self.dice.randint(0, 3)):
            stage.stir()  # it goes on while nobody runs
        if result.program == CANCEL_ALL:
            self._run(words(CANCEL_ALL, self.dice, stage.home), 0)
            self._hold(not stage.served.resting(), "cancel-all said that nothing rests")
            before = self._doubts()
            code = self._run(words(TRADE, self.dice, stage.home), 7, 9).code
            # Its reads of the account may end a doubt: 9 says that none is left, and 7 that there was one.
            self._hold(code == 7 or not self._doubts(), "a start into a halt ended with 9 and an order in doubt")
            self._hold(code == 9 or before > 0, "a start into a halt ended with 7 and no order was in doubt")
            self._run(["resume", "--reason", "the run continues", "--reset-groups"], 0)
            self._run(["order", "reconcile", "--json"], 0, 7)
        elif self.dice.random() < 0.5:
            self._trade_again()
        else:
            self._run(["order", "reconcile", "--json"], 0, 7)
        if stage.state.exists():
            result.violations += stage.served.call(lambda: compare.first(stage, stage.state))
        stage.jump(JUMP_S)
        self._is_quiet = True
        self._run(["order", "reconcile", "--json"], 0)
        result.violations += stage.served.call(lambda: compare.whole(stage, stage.state))
        known = compare.remembered(stage.state)
        self._run(["order", "reconcile", "--json"], 0)
        self._hold(compare.remembered(stage.state) == known, "a second reconcile changed something")
        result.violations += stage.violations
        result.sent = sum(stage.created.values())

    def _trade_again(self) -> None:
        """The loop itself. It may send nothing before it has read the account."""
        at = len(self.stage.asked)
        process = self.start([*words(TRADE, self.dice, self.stage.home), "--duration", "0.5s"])
        code = self._accompany(process)
        self._hold(code in (0, 7), f"trade ended with {code}: {process.err.read_text()[-400:]}")
        asked = self.stage.asked[at:]
        creates = [number for number, (method, path) in enumerate(asked) if method == "POST" and path in CREATES]
        reads = {path for method, path in asked[: creates[0] if creates else None] if method == "GET"}
        wanted = {f"/portfolio/{each}" for each in ("orders", "fills", "settlements", "positions", "balance")}
        self._hold(not wanted - reads, f"it ordered before it had read {wanted - reads}")

    # -- without a death: random faults ------------------------------------------------------------------------------

    def suffer(self) -> None:
        """A whole session under faults, ended in good order; then the same recovery."""
        stage, result = self.stage, self.result
        requests, frames = plan(self.dice)
        stage.proxy.faults.extend(requests)
        stage.proxy.stream_faults.extend(frames)
        process = self.start([*words(TRADE, self.dice, stage.home), "--duration", "2.5s"])
        code = self._accompany(process)
        said = process.err.read_text()
        self._hold(code in (0, 6, 7, 9), f"trade ended with {code}: {said[-400:]}")
        self._hold("Traceback" not in said, f"a traceback: {said[-800:]}")
        result.faults = sum(each.hits >= each.nth for each in requests) + sum(each.hits >= each.nth for each in frames)
        stage.proxy.faults.clear()
        stage.proxy.stream_faults.clear()
        result.is_hit = True
        time.sleep(LATEST_S)  # so that what is late arrives before time jumps
        self._run(["resume", "--reason", "the run continues", "--reset-groups"], 0)  # a guard may have halted it
        self._look_at_what_is_left()
        self.recover()

    # -- without a death: the state file fails ------------------------------------------------------------------------

    def be_troubled(self, trouble: Trouble) -> None:
        stage, result = self.stage, self.result
        process = self.start([*words(TRADE, self.dice, stage.home), "--duration", "6s"], trouble.name, result.nth)
        until = time.monotonic() + PATIENCE_S
        while len(stage.created) < result.nth and process.poll() is None and time.monotonic() < until:
            stage.stir()
            time.sleep(0.03)
        trouble.begin(stage, process)
        code, said = self._accompany(process), process.err.read_text()
        result.is_hit = trouble.inside is None or (stage.home / "mark").exists()
        wanted = trouble.code if result.is_hit else 0  # a cooldown may keep a loop from its n-th order
        self._hold(code == wanted, f"{trouble.name}: trade ended with {code}: {said[-400:]}")
        self._hold("Traceback" not in said, f"a traceback: {said[-800:]}")
        resting = [order_id for order_id, *_ in stage.served.resting()]
        self._hold(not resting or trouble.code == 0, f"{trouble.name}: {len(resting)} orders rest after the loop")
        for file in stage.home.glob("gone-*"):  # found again: it must know every order that was sent
            file.rename(stage.state.with_name(file.name.removeprefix("gone-")))
        self._look_at_what_is_left()
        self.recover()

    def _doubts(self) -> int:
        """The number of orders on file that nobody knows the outcome of."""
        return sum(order.status in compare.IN_DOUBT for order in compare.remembered(self.stage.state).orders)

    # -- small -------------------------------------------------------------------------------------------------------

    def start(self, line: list[str], point: str = "", nth: int = 0) -> Started:
        stage = self.stage
        death = Death(point, nth, str(stage.home / "mark"), self.result.seed, str(stage.ahead), self._sabotage)
        return self.nursery.start(line, stage.variables, stage.home, death)

    def _accompany(self, process: Started) -> int:
        """The market moves until it has ended; where it waits for a proof, the time is up at once."""
        until = time.monotonic() + STUCK_S
        while (code := process.poll()) is None:
            if time.monotonic() > until:
                return process.wait(0)
            if self.dice.random() < 0.5 and not self._is_quiet:
                self.stage.stir()
            if "Waiting up to" in process.err.read_text() and not self._is_up:
                self._is_up = True
                self.stage.jump(JUMP_S)
            time.sleep(0.03)
        return code

    def _run(self, line: list[str], *codes: int) -> Started:
        process = self.start(line)
        code = self._accompany(process)
        self._hold(code in codes, f"`{' '.join(line[:2])}` ended with {code}: {process.err.read_text()[-400:]}")
        return process

    def _hold(self, is_so: bool, otherwise: str) -> None:
        if not is_so:
            self.result.violations.append(otherwise)

    _is_hit = False
    _is_up = False
    _is_quiet = False
    """From now on nobody else trades: what is compared must stand still."""
    _asked_before = 0


def run(seed: int, nursery: Nursery, name: str = "", sabotage: str = "") -> Result:
    """The run of this seed; `faults` is a session that nobody kills. A `sabotage` must come out."""
    started = time.monotonic()
    trouble = None
    if name == TROUBLE:
        dice, trouble = random.Random(seed), of_seed(seed)
        result, point = Result(seed, trouble.name, TRADE, nth_of(dice)), RANDOM
    elif name == FAULTS:
        dice = random.Random(seed)
        result, point = Result(seed, FAULTS, TRADE, FAULTS_A_RUN), RANDOM
    else:
        point, program, nth, dice = planned(seed, name)
        result = Result(seed, point.name, program, nth)
    with tempfile.TemporaryDirectory(prefix="kalshi-crash-") as folder, staged(Path(folder), dice) as stage:
        one = Run(stage, nursery, result, dice, sabotage)
        try:
            if trouble is not None:
                one.be_troubled(trouble)
            elif name == FAULTS:
                one.suffer()
            else:
                one.crash(point)
        except AssertionError as error:
            result.violations.append(str(error))
    result.seconds = time.monotonic() - started
    return result


def _is_made(path: Path) -> bool:
    """Whether the file got so far as to have its tables, and its owner."""
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("PRAGMA user_version").fetchone()[0]:
            return False
        return bool(connection.execute("SELECT 1 FROM identity").fetchone())


def _older_file(path: Path) -> None:
    """A state file as the first release made it, with one order and one alert in it."""
    database = Database(path, migrations.STATE[:1])
    with database.writing(durable=True) as execute:
        execute("INSERT INTO identity VALUES (1, ?, 'sim')", (KEY_ID,))
        execute("INSERT INTO alerts VALUES (1, 1, 'info', 'OLD', '', 'kept')")
    database.close()
