"""`python -m verification.store`: run all of it; exit 1 if the state file fails."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from verification.crash.program import Nursery
from verification.store.bench import say
from verification.store.knife import damage, knife
from verification.store.load import commits, hammer
from verification.store.starts import starts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m verification.store", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of hammering")
    parser.add_argument("--starts", type=int, default=100)
    asked = parser.parse_args()
    nursery = Nursery()
    problems: list[str] = []
    with tempfile.TemporaryDirectory(prefix="kalshi-store-") as folder:
        home = Path(folder)
        problems += commits(home / "commits")
        problems += hammer(home / "hammer", asked.seconds)
        problems += knife(home / "knife")
        problems += damage(home / "damage", random.Random(1), 40)
        (home / "starts").mkdir()
        problems += starts(home / "starts", nursery, asked.starts)
    nursery.close()
    for problem in problems:
        say(f"VIOLATION {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
