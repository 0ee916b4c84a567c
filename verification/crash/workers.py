"""Parallel runs; each worker has its own nursery."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from verification.crash.program import Nursery
from verification.crash.session import Result, run

_nursery: Nursery | None = None


def results_of(seeds: range, name: str, workers: int, sabotage: str = "") -> Iterator[Result]:
    """One run for each seed, in their order; a single worker is this process."""
    if workers == 1:
        _prepare()
        yield from (_one(seed, name, sabotage) for seed in seeds)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_prepare) as pool:
        running = [pool.submit(_one, seed, name, sabotage) for seed in seeds]
        try:
            for each in running:
                yield each.result()
        finally:
            for each in running:
                each.cancel()


def _prepare() -> None:
    """In a worker, before it has threads."""
    global _nursery
    logging.disable()  # a server whose client was killed has a lot to say
    _nursery = Nursery()


def _one(seed: int, name: str, sabotage: str) -> Result:
    assert _nursery is not None
    return run(seed, _nursery, name, sabotage)
