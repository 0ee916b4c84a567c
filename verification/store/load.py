"""The time of a commit, alone and beside other writers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.values import NOW, fork, full_fill, full_order

from kalshi_cli.core.model.effects import FillBooked, OrderChanged, SubmitOrder
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.store.records import Heartbeat
from verification.store.bench import at, opened, say, timed


def commits(home: Path, count: int = 2_000) -> list[str]:
    """Prints p50 and p99. No limit is held: it is the disk's."""
    with opened(home) as store:
        for name, effect in (
            ("intent", lambda n: SubmitOrder(full_order(f"c{n}"))),
            ("order", lambda n: OrderChanged(full_order(f"c{n}", order_id=f"o{n}", status=OrderStatus.RESTING))),
            ("fill", lambda n: FillBooked(full_fill(f"t{n}"), full_order(f"c{n}", order_id=f"o{n}"))),
        ):
            took = [timed(store, effect(n)) for n in range(count)]
            say(f"commits: {name:8} p50 {at(took, 0.5):6.2f} ms  p99 {at(took, 0.99):6.2f} ms")
    return []


def hammer(home: Path, seconds: float) -> list[str]:
    """Nobody is told that the file is locked, and nothing that was written is lost."""
    opened(home).close()
    workers: dict[str, Callable[[float, int], tuple[int, list[float]]]] = {
        "loop": lambda until, number: _loop(home, until, number),
        "commands": lambda until, number: _commands(home, until, number),
        "looker-on": lambda until, _: _look(home, until),
    }
    children: dict[str, tuple[int, int]] = {}
    until = time.monotonic() + seconds
    for number, (name, work) in enumerate(workers.items()):
        read_end, write_end = os.pipe()

        def run(work: Any = work, number: int = number, to: int = write_end) -> None:
            signal.alarm(int(seconds) + 60)
            done, took = work(until, number)
            os.write(to, f"{done} {at(took, 0.5):.2f} {at(took, 0.99):.2f} {max(took, default=0):.2f}\n".encode())

        children[name] = (fork(run), read_end)
        os.close(write_end)
    problems, written = [], 0
    for name, (pid, end) in children.items():
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with os.fdopen(end) as told:
            line = told.read().split()
        if code or not line:
            problems.append(f"hammer: {name} ended with {code}")
            continue
        written += int(line[0]) if name != "looker-on" else 0
        say(f"hammer: {name:10} {line[0]:>7} times in {seconds:g} s, p50 {line[1]} p99 {line[2]} most {line[3]} ms")
        if float(line[2]) >= 1_000:
            problems.append(f"hammer: p99 of {name} is {line[2]} ms")
    with opened(home) as store:
        kept = len(store.live_orders())
    return problems + ([] if kept == written else [f"hammer: {written} intents written, {kept} kept"])


def _loop(home: Path, until: float, number: int) -> tuple[int, list[float]]:
    took, done = [], 0
    with opened(home) as store:
        while time.monotonic() < until:
            took.append(timed(store, SubmitOrder(full_order(f"{number}-{done}"))))
            took.append(timed(store, FillBooked(full_fill(f"{number}-{done}"))))
            store.halt()
            store.beat(_cycle(done))
            done += 1
    return done, took


def _commands(home: Path, until: float, number: int) -> tuple[int, list[float]]:
    took, done = [], 0
    while time.monotonic() < until:
        with opened(home) as store:
            store.live_orders()
            took.append(timed(store, SubmitOrder(full_order(f"{number}-{done}"))))
        done += 1
    return done, took


def _look(home: Path, until: float) -> tuple[int, list[float]]:
    took = []
    while time.monotonic() < until:
        began = time.perf_counter()
        with opened(home, create=False) as store:
            store.halt()
            store.last_cycle()
            store.fills()
        took.append((time.perf_counter() - began) * 1000)
        time.sleep(0.01)
    return len(took), took


def _cycle(number: int) -> Heartbeat:
    return Heartbeat(
        run_id="r", pid=1, mode="sim", strategy="s", started=NOW, completed=NOW, cycles=number, is_running=True
    )  # fmt: skip
