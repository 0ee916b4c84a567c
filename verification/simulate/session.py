"""One session from its seed to its result."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Collection
from pathlib import Path

from verification.simulate.plan import Plan, draw
from verification.simulate.report import Result
from verification.simulate.stage import Stage

_MEMORY = Path("/dev/shm")


def run(seed: int, only: Collection[int] | None = None) -> Result:
    """Run the session of this seed; with `only` these of its faults and no others."""
    return play(draw(seed, only))[0]


def play(plan: Plan) -> tuple[Result, list[str]]:
    """Run a session; what came of it, and what was said."""
    began = time.process_time()
    home = Path(tempfile.mkdtemp(prefix="simulate-", dir=_MEMORY if _MEMORY.is_dir() else None))
    stage = Stage(plan, home)
    try:
        stage.run()
    finally:
        shutil.rmtree(home, ignore_errors=True)
    result = Result(
        seed=plan.seed,
        violations=stage.checker.violations,
        fired=dict(stage.fired_kinds),
        hits=dict(stage.hits),
        counts=dict(stage.count),
        events=stage.checker.events,
        cpu_s=time.process_time() - began,
    )
    return result, stage.said
