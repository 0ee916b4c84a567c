"""`python -m bench`: one table of ratios."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from tabulate import tabulate

from bench.contest import ContestError
from bench.peers import HOME
from bench.racing import FULL, QUICK, Row
from bench.works import WORKS


def main() -> None:
    """Measure and print. Ends with 0 whatever was reached: a busy machine is no failure."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("works", nargs="*", metavar="work", choices=[*WORKS, []], help="only these; without any, all")
    parser.add_argument("--quick", action="store_true", help="a short slice: does it run? Its ratios mean little")
    parser.add_argument("--no-peers", action="store_true", help="install and race nothing from outside")
    parser.add_argument("--rounds", type=int, default=0, metavar="N", help="rounds of each race; 0 is 15, quick 1")
    parser.add_argument("--disk", type=Path, default=HOME, help="a directory on the disk for state files")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    asked = parser.parse_args()
    scale = (QUICK if asked.quick else FULL)._replace(has_peers=not asked.no_peers)
    scale = scale._replace(rounds=asked.rounds or scale.rounds)
    HOME.mkdir(exist_ok=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(dir=asked.disk) as scratch:
        for name in asked.works or WORKS:
            print(f"measuring {name} ...", file=sys.stderr, flush=True)
            try:
                rows += WORKS[name](scale, Path(scratch))
            except ContestError as error:
                rows.append(Row(name, "", None, None, str(error)))
    machine = {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "rounds": scale.rounds,
    }
    if asked.json:
        print(json.dumps({"machine": machine, "rows": [_plain(row) for row in rows]}, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print()
    headers = ("work", "against", "ours", "min-max", "best", "target", "verdict")
    print(tabulate([_cells(row) for row in rows], headers=headers, disable_numparse=True))
    print()
    print("ours: what we need over what the other needs, the median of interleaved rounds; less is better.")
    print("best: our least over the least of the other.")


def _plain(row: Row) -> dict[str, object]:
    return {
        "work": row.work,
        "peer": row.peer,
        "ratio": row.ratio and row.ratio._asdict(),
        "target": row.target,
        "verdict": row.verdict,
    }


def _cells(row: Row) -> tuple[str, ...]:
    mark = ">=" if row.is_share else "<="
    target = "" if row.target is None else f"{mark} {row.target}"
    if row.ratio is None:
        return row.work, row.peer, "", "", "", target, row.verdict
    ratio = row.ratio
    best = "" if ratio.best is None else f"{ratio.best:.3f}"
    spread = f"{ratio.least:.3f}-{ratio.most:.3f}"
    return row.work, row.peer, f"{ratio.median:.3f}", spread, best, target, row.verdict


if __name__ == "__main__":
    main()
