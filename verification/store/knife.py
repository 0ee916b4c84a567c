"""A file that is cut off in the middle of a write, and one with changed bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from support.values import fork, full_fill, full_order, full_settlement

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.units import contracts
from kalshi_cli.core.model.effects import Effect, FillBooked, OrderChanged, SettlementBooked, SubmitOrder
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.store.database import Database
from kalshi_cli.store.records import RecoveredState
from verification.store.bench import opened, say

PAGE = 4096


def session(orders: int) -> list[Effect]:
    """What a loop writes: intents, replies, fills with their orders, a settlement."""
    effects: list[Effect] = []
    for n in range(orders):
        order = full_order(f"c{n}", order_id=f"o{n}", status=OrderStatus.RESTING)
        effects += [SubmitOrder(full_order(f"c{n}")), OrderChanged(order)]
        filled = full_order(f"c{n}", order_id=f"o{n}", status=OrderStatus.FILLED, filled=contracts(10))
        effects.append(FillBooked(full_fill(f"t{n}", order_id=f"o{n}"), filled))
    return [*effects, SettlementBooked(full_settlement())]


def knife(home: Path, *, orders: int = 2, is_torn: bool = False) -> list[str]:
    """Die after the 1st, 2nd, 3rd ... statement, until a session of so many orders completes untouched.

    Torn has no transactions, and ends with the first problem: it only shows that one is found.
    """
    effects = session(orders)
    whole = _states(home / "whole", effects)
    opened(home / "empty").close()
    problems: list[str] = []
    for nth in range(1, 10_000):
        place = home / str(nth)
        shutil.copytree(home / "empty", place)

        def die(nth: int = nth, place: Path = place) -> None:
            _cut(nth, is_torn=is_torn)
            with opened(place) as store:
                for effect in effects:
                    store.record(effect)

        code = os.waitstatus_to_exitcode(os.waitpid(fork(die), 0)[1])
        try:
            with opened(place) as store:
                found = store.load(), store.orders()
        except StateFileError as error:
            problems.append(f"knife: after statement {nth}: {error.message}")
            continue
        if found not in whole:
            problems.append(f"knife: after statement {nth} the file is in none of the states of a session")
        if is_torn and problems:
            return problems
        if code != -signal.SIGKILL:
            say(f"knife: killed after each of {nth - 1} statements; the file was broken {len(problems)} times")
            return problems
    return [*problems, "knife: it never completes"]


def _states(home: Path, effects: list[Effect]) -> list[tuple[RecoveredState, tuple[Any, ...]]]:
    """The state of the file after each effect of the session, and before the first."""
    with opened(home) as store:
        found = [(store.load(), store.orders())]
        for effect in effects:
            store.record(effect)
            found.append((store.load(), store.orders()))
    return found


def _cut(nth: int, *, is_torn: bool) -> None:
    """In a child: SIGKILL after the n-th statement of a transaction, BEGIN and COMMIT among them."""
    writing, left = Database.writing, [nth]

    def count() -> None:
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    class Cut:
        def __init__(self, database: Any, *, durable: bool) -> None:
            self._inner = nullcontext(database._connection.execute) if is_torn else writing(database, durable=durable)

        def __enter__(self) -> Any:
            execute = self._inner.__enter__()
            count()

            def executed(*statement: Any) -> Any:
                done = execute(*statement)
                count()
                return done

            return executed

        def __exit__(self, *error: Any) -> Any:
            ended = self._inner.__exit__(*error)
            count()
            return ended

    Database.writing = lambda database, *, durable: Cut(database, durable=durable)  # type: ignore[assignment,method-assign,return-value]


def damage(home: Path, dice: random.Random, tries: int) -> list[str]:
    """In every page, `tries` times a byte that is another. What SQLite cannot know is counted: it has no checksums."""
    with opened(home) as store:
        for n in range(60):
            store.record(OrderChanged(full_order(f"c{n}", order_id=f"o{n}", reason="x" * 60)))
            store.record(FillBooked(full_fill(f"t{n}")))
        before = store.load(), store.orders()
    path = home / "state.db"
    sound = path.read_bytes()
    seen: Counter[str] = Counter()
    problems = []
    for start_of in range(0, len(sound), PAGE):
        for _ in range(tries):
            broken = bytearray(sound)
            where = dice.choice((dice.randrange(8), dice.randrange(128), dice.randrange(PAGE)))
            broken[start_of + where] ^= dice.randrange(1, 256)
            path.write_bytes(broken)
            try:
                with opened(home, create=False) as store:
                    seen["read as before" if (store.load(), store.orders()) == before else "other values"] += 1
            except StateFileError as error:
                seen[error.code] += 1
                if error.code not in ("state_damaged", "state_newer", "state_unusable", "state_other_account"):
                    problems.append(f"damage: not told as such: {error.message}")
                if path.read_bytes() != bytes(broken):
                    problems.append("damage: a file that was refused is not as it was")
            for part in ("-wal", "-shm"):
                path.with_name(path.name + part).unlink(missing_ok=True)
    say("damage: " + ", ".join(f"{code} {times}" for code, times in seen.most_common()))
    return problems
