"""`python -m verification.crash`: run many crashes, print a table of the coverage, exit 1 after a violation."""

from __future__ import annotations

import argparse
import sys
import time

from verification.crash.network import FAULTS
from verification.crash.points import BY_NAME, SABOTAGES
from verification.crash.session import Result
from verification.crash.trouble import TROUBLE, TROUBLES
from verification.crash.workers import results_of

TOO_MANY = 10
"""Runs with violations after which it stops: something is broken, and it is known how."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m verification.crash", description=__doc__)
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seed", type=int, help="this one alone")
    parser.add_argument("--point", choices=sorted(BY_NAME), default="", help="die here, whatever the seed says")
    parser.add_argument("--faults", action="store_true", help="random network faults instead of kills")
    parser.add_argument("--trouble", action="store_true", help="a state file that fails instead of kills")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--sabotage", choices=sorted(SABOTAGES), default="", help="break this promise: it must come out"
    )
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.runs) if asked.seed is None else range(asked.seed, asked.seed + 1)
    name = FAULTS if asked.faults else TROUBLE if asked.trouble else asked.point
    started, results = time.monotonic(), []
    for result in results_of(seeds, name, asked.workers, asked.sabotage):
        results.append(result)
        for violation in result.violations:
            say(f"VIOLATION {result}: {violation}")
        if result.violations:
            say(f"  again: {_again(result)}")
        if sum(1 for each in results if each.violations) >= TOO_MANY:
            say(f"{TOO_MANY} runs were bad; the others are left out")
            break
    _table(results, time.monotonic() - started)
    return 1 if any(result.violations for result in results) else 0


def _again(result: Result) -> str:
    how = f'--point "{result.point}"' if result.point in BY_NAME else "--faults"
    if result.point in TROUBLES:
        how = "--trouble"
    return f"python -m verification.crash --seed {result.seed} {how}"


def _table(results: list[Result], seconds: float) -> None:
    say(f"{'point':24}{'runs':>6}{'hit':>6}{'sent':>7}{'in doubt':>10}{'left':>6}{'violations':>12}")
    for name in [*BY_NAME, *TROUBLES, FAULTS, "all"]:
        some = [each for each in results if name in (each.point, "all")]
        if some:
            hits, sent = sum(each.is_hit for each in some), sum(each.sent for each in some)
            unknown, left = sum(each.unknown for each in some), sum(each.left for each in some)
            broken = sum(len(each.violations) for each in some)
            say(f"{name:24}{len(some):6}{hits:6}{sent:7}{unknown:10}{left:6}{broken:12}")
    faults = sum(each.faults for each in results)
    if faults:
        say(f"{faults} faults took effect")
    say(f"{len(results)} runs in {seconds:.0f} s")


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
