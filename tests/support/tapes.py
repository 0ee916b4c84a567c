"""Recordings in which `threshold` trades, and what its backtests need."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from kalshi_cli.base.units import Ts, dollars
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.research.search.cluster import SchedulerAddress
from kalshi_cli.services.research.tape_runs import BacktestSetup
from support.recordings import T0, Tape

SETUP = BacktestSetup(
    env="sim", limits=RiskLimits(), cash=dollars(1_000), seed=1, references={}, order_expiry_s=90.0, interval_s=1.0,
    configured={}, allotted=(),
)  # fmt: skip

PRICES = ((20, 70), (32, 60), (15, 80), (25, 55), (36, 75))
"""Of each recording: the ask in its first half, and the bid in its second."""


def swinging_tape(path: Path, number: int, low: int, high: int) -> Path:
    """One market, a day later with each number: its ask is `low` cents, then its bid is `high` cents."""
    tape = Tape()
    tape.now = Ts(T0 + number * 86_400_000)
    tape.watch(close_in_s=400_000_000)
    tape.snapshot(yes={f"0.{low - 2:02}00": "50"}, no={f"0.{100 - low:02}00": "50"})
    tape.delta(0, "yes", "0.0500")
    for _ in range(10):
        tape.delta(1_000, "yes", "0.0500")
    tape.delta(0, "no", f"0.{100 - low:02}00", "-50.00")
    tape.delta(0, "no", f"0.{100 - high - 2:02}00", "50.00")
    tape.delta(0, "yes", f"0.{high:02}00", "50.00")
    for _ in range(10):
        tape.delta(1_000, "yes", "0.0500")
    return tape.write(path)


def swinging_tapes(folder: Path) -> tuple[Path, ...]:
    """Five recordings on five days; their names are not in order of time."""
    return tuple(
        swinging_tape(folder / f"{9 - number}.jsonl", number, low, high) for number, (low, high) in enumerate(PRICES)
    )


@functools.cache
def _read_revisions_once() -> None:
    """Optuna reads the revisions of its tables up to three times for each study; they are always the same."""
    manager = import_module("optuna.storages._rdb.storage")._VersionManager
    read, found = manager._create_alembic_script, list[object]()

    def read_once(asking: object) -> object:
        if not found:
            found.append(read(asking))
        return found[0]

    manager._create_alembic_script = read_once


@contextmanager
def scheduler_here(workers: int = 1) -> Iterator[SchedulerAddress]:
    """A scheduler with workers in this process, for searches that are not about processes: each takes a second.

    It is connected to as to one that runs elsewhere.
    """
    _read_revisions_once()
    with import_module("distributed").LocalCluster(
        n_workers=workers, threads_per_worker=1, processes=False, host="127.0.0.1", protocol="tcp",
        dashboard_address="127.0.0.1:0", silence_logs=60,
    ) as cluster:  # fmt: skip
        yield SchedulerAddress(address=cluster.scheduler_address)
