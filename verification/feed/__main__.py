"""`python -m verification.feed`: run a slice of each feed verification.

`--full`: 100,000 gaps, a million changes, 20 outages of each kind, five million messages (about half an hour).
`--real`: one outage of each kind with real timeouts (about three minutes). `--changes N`: only compare the order book
after N changes with the exchange's, and measure the speed. Prints the results, and exits with 1 if a limit was
exceeded.
"""

from __future__ import annotations

import argparse
import sys
import time

from verification.feed.books import FAULTS, many_deltas, many_gaps, nth_loop
from verification.feed.outages import BOUNDS, outage, resync_s
from verification.feed.soak import soak

SCALE = 0.04
NOISE_S = 1.0
"""What a busy machine may add to times that are scaled down."""

SLOPE_KIB = 1_024.0

LEAST_RATE = 20_000
"""Changes a second of one core, from the bytes of the socket to the book."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="verification.feed", description=__doc__)
    parser.add_argument("--full", action="store_true", help="everything, at full size")
    parser.add_argument("--real", action="store_true", help="outages only, once each, with real patience")
    parser.add_argument("--changes", type=int, metavar="N", help="changes of books only")
    asked = parser.parse_args()
    began = time.monotonic()
    if asked.changes:
        broken = changes(asked.changes)
    elif asked.real:
        broken = outages(1, 1.0)
    else:
        broken = books(100_000 if asked.full else 500, 1_000_000 if asked.full else 5_000, 40 if asked.full else 10)
        broken += outages(20 if asked.full else 1, SCALE)
        broken += memory(5_000_000 if asked.full else 200_000)
    for text in broken:
        print(f"BROKEN: {text}")
    print(f"{'BROKEN' if broken else 'held'}, in {time.monotonic() - began:.0f} s")
    return 1 if broken else 0


def books(gaps: int, deltas: int, acts: int) -> list[str]:
    """Raises WrongBookError where a decision was priced from anything but the exchange's book."""
    nth = nth_loop(acts)
    print(
        f"{len(FAULTS)} faults, each on the nth book frame: {nth.runs} runs, {nth.gaps} gaps, {nth.decisions} decisions"
    )
    many = many_gaps(gaps)
    print(
        f"{many.gaps} gaps in {many.frames} frames: {many.decisions} decisions, none from a book that was not the "
        f"exchange's; {many.refusals} were refused"
    )
    broken = changes(deltas)
    resync = resync_s(20)
    print(f"20 gaps on loopback: a book was back after {resync:.3f} s at most")
    return [*broken, f"resync took {resync:.1f} s"] if resync > 2 else broken


def changes(deltas: int) -> list[str]:
    """Raises WrongBookError where a book is not the exchange's."""
    exact = many_deltas(deltas)
    rate = exact.deltas / exact.reading_s
    print(
        f"{exact.deltas} changes over {exact.stages} exchanges, exact at every thousandth; read at {rate:,.0f} a second"
    )
    return [f"{rate:,.0f} changes a second"] if rate < LEAST_RATE else []


def outages(times: int, scale: float) -> list[str]:
    broken = []
    for kind, (what, noticed_s, again_s) in BOUNDS.items():
        found = [outage(kind, scale, seed) for seed in range(times)]
        noticed, again = max(each.noticed for each in found), max(each.again for each in found)
        falsest = max(each.falsest for each in found)
        print(
            f"{what} ({times} x, patience x {scale}): noticed in {noticed:.2f} s, trading again in {again:.2f} s at "
            f"most, of {noticed_s * scale:.2f} and {again_s * scale:.2f}; the falsest decision {falsest:.2f} s off"
        )
        slack = 0 if scale == 1 else NOISE_S
        if noticed > noticed_s * scale + slack or again > again_s * scale + slack:
            broken.append(what)
    return broken


def memory(messages: int) -> list[str]:
    found = soak(messages)
    print(
        f"{found.messages} messages with {found.gaps} gaps in {found.seconds:.0f} s: {found.slope_kib:.0f} KiB a "
        f"million, {found.threads} threads, {found.descriptors} descriptors"
    )
    # Over a short slice one page of the allocator is many KiB a million.
    return ["memory grows"] if found.slope_kib > SLOPE_KIB and messages >= 1_000_000 else []


if __name__ == "__main__":
    sys.exit(main())
