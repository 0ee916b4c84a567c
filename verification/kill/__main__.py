"""`python -m verification.kill`: print T5, T6, F41 and F06 as a table; exit 1 if a promise was broken."""

from __future__ import annotations

import argparse
import sys
import time

from verification.kill import exact, pace, sockets
from verification.kill.result import Line


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m verification.kill", description=__doc__)
    parser.add_argument("--repeats", type=int, default=20, help="of T5; T6 is repeated a quarter as often")
    parser.add_argument("--no-sockets", action="store_true", help="virtual time alone")
    asked = parser.parse_args()
    started, quarter = time.monotonic(), max(1, asked.repeats // 4)
    bad = show(exact.grouped(asked.repeats))
    for tier in ("Basic", "Advanced"):
        for number in (100, 1_000):
            bad += show(exact.swept(tier, number, quarter))
    bad += show(exact.swept("Basic", 1_000, quarter, has_cancel_all=True))
    bad += show(pace.lines(120.0))
    if not asked.no_sockets:
        bad += show(sockets.lines(asked.repeats))
    sys.stdout.write(f"{'all held' if not bad else f'{bad} did not hold'}, {time.monotonic() - started:.0f} s\n")
    return 1 if bad else 0


def show(lines: list[Line]) -> int:
    """Write them; how many did not hold."""
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
    return sum(not line.passes for line in lines)


if __name__ == "__main__":
    sys.exit(main())
