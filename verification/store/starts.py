"""Many loops at once on one account."""

from __future__ import annotations

import random
import time
from contextlib import suppress
from pathlib import Path

from verification.crash.points import Death
from verification.crash.program import Nursery
from verification.crash.stage import staged, words
from verification.store.bench import say


def starts(home: Path, nursery: Nursery, count: int) -> list[str]:
    """So many loops at once. Exactly one runs; the others end with 10, and say who it is."""
    with staged(home, random.Random(1)) as stage:
        death = Death("", 0, str(home / "mark"), 1, str(stage.ahead))
        line = words("trade", random.Random(1), home)
        running = [nursery.start(line, stage.variables, home, death) for _ in range(count)]
        until = time.monotonic() + 120
        while sum(one.poll() is None for one in running) > 1 and time.monotonic() < until:
            time.sleep(0.05)
        winners = [one for one in running if one.poll() is None]
        problems = [] if len(winners) == 1 else [f"starts: {len(winners)} run"]
        for one in running:
            if one not in winners and (one.poll() != 10 or f"pid {winners[0].pid}" not in one.err.read_text()):
                problems.append(f"starts: one ended with {one.poll()}: {one.err.read_text()[-200:]}")
        began = time.monotonic()
        late = nursery.start(line, stage.variables, home, death)
        late.wait()
        took = time.monotonic() - began
        say(f"starts: {count} at once, {len(winners)} ran; one more was turned away in {took:.2f} s")
        for one in winners:
            with suppress(ProcessLookupError):
                one.kill()
            one.wait()
        after = nursery.start([*line, "--duration", "0.2s"], stage.variables, home, death)
        if after.wait() not in (0, 7):
            problems.append(f"starts: after a kill -9 the lock is not free: {after.err.read_text()[-300:]}")
        return problems + ([] if took <= 1.0 else [f"starts: it took {took:.2f} s to turn one away"])
