"""Gaps, duplicates and frames out of order: one at a time at every place, then a hundred thousand at random."""

from __future__ import annotations

import itertools
import random
import re
import time
from typing import NamedTuple

from verification.feed.stage import TICKERS, Stage, framed

FAULTS = ("drop", "duplicate", "reorder", "delay", "corrupt", "cut short", "foreign bytes")
GAPS_A_STAGE, DELTAS_A_STAGE = 2_000, 50_000
"""Then a new exchange begins, because one remembers every order."""

HELD_FOR = 3
"""A frame that is delayed comes after so many others."""

_IS_BOOK = re.compile('"type":"orderbook_')


class Network:
    """Does `fault` to the nth book frame; with `often` instead, to about so many of them, each fault in turn."""

    def __init__(self, fault: str = "", nth: int = 0, *, often: float = 0.0, seed: int = 0) -> None:
        self._fault, self._nth, self._often = fault, nth, often
        self._rng = random.Random(seed)
        self._held: list[tuple[int, str]] = []
        self.seen = self.hits = 0

    def __call__(self, frame: str) -> list[str]:
        if not _IS_BOOK.search(frame):
            return [frame]
        self.seen += 1
        fault = self._fault if self.seen == self._nth else ""
        if self._often and self._rng.random() < self._often:
            fault = self._rng.choice(FAULTS)
        arrived = [frame]
        if fault:
            self.hits += 1
            arrived = self._spoiled(frame, fault)
        due = [text for at, text in self._held if at <= self.seen]
        self._held = [(at, text) for at, text in self._held if at > self.seen]
        return arrived + due

    def _spoiled(self, frame: str, fault: str) -> list[str]:
        if fault in ("reorder", "delay"):
            self._held.append((self.seen + (1 if fault == "reorder" else HELD_FOR), frame))
            return []
        return {
            "drop": [],
            "duplicate": [frame, frame],
            "corrupt": [frame.replace('"market_ticker"', '"market_tickre"')],
            "cut short": [frame[: len(frame) // 2]],
            "foreign bytes": [frame[:20] + "\udcff" + frame[20:]],
        }[fault]


class Nth(NamedTuple):
    runs: int
    gaps: int
    decisions: int


def nth_loop(acts: int, seed: int = 1) -> Nth:
    """Each fault on the 1st, 2nd, 3rd... book frame, until a run is over before it comes to that."""
    runs = gaps = decisions = 0
    for fault in FAULTS:
        nth = 0
        while True:
            nth += 1
            network = Network(fault, nth)
            stage = Stage(seed, network)
            for _ in range(acts):
                stage.act()
            stage.finish()
            runs, gaps, decisions = runs + 1, gaps + stage.gaps, decisions + stage.decisions
            if not network.hits:
                break
    return Nth(runs, gaps, decisions)


class Gaps(NamedTuple):
    gaps: int
    decisions: int
    refusals: int
    frames: int
    seconds: float


def many_gaps(wanted: int, *, is_blind: bool = False) -> Gaps:
    """Random faults until there were so many gaps; every decision is held against the truth on the way.

    `is_blind` breaks the program on purpose: no gap reaches its books.
    """
    began = time.monotonic()
    gaps = decisions = refusals = frames = 0
    for seed in itertools.count(1):
        stage = Stage(seed, Network(often=0.25, seed=seed), is_blind=is_blind)
        until = min(wanted - gaps, GAPS_A_STAGE)
        while stage.gaps < until:
            stage.act()
        stage.finish()
        gaps, decisions = gaps + stage.gaps, decisions + stage.decisions
        refusals, frames = refusals + stage.refusals, frames + stage.frames
        if gaps >= wanted:
            break
    return Gaps(gaps, decisions, refusals, frames, time.monotonic() - began)


def _a_thousand(stage: Stage, until: int) -> float:
    """So many changes of the books wait on the line, and are read at once; the seconds that reading took."""
    waiting: list[str] = []
    enough = min(until, stage.deltas + 1_000)
    stage.wire = lambda frame: waiting.append(frame) or ()
    while stage.deltas < enough:
        stage.act()
    took = stage.read_all(b"".join(framed(frame.encode()) for frame in waiting))
    for ticker in TICKERS:
        stage.compare(ticker)
    return took


class Deltas(NamedTuple):
    deltas: int
    stages: int
    reading_s: float
    seconds: float


def many_deltas(wanted: int) -> Deltas:
    """Without faults: the book after so many changes is the exchange's, level by level, and so at every thousandth."""
    began = time.monotonic()
    deltas, reading_s = 0, 0.0
    for seed in itertools.count(1):
        stage, until = Stage(seed, is_eager=False), min(wanted - deltas, DELTAS_A_STAGE)
        while stage.deltas < until:
            reading_s += _a_thousand(stage, until)
            stage.finish()
        deltas += stage.deltas
        if deltas >= wanted:
            return Deltas(deltas, seed, reading_s, time.monotonic() - began)
    raise AssertionError("unreachable")
