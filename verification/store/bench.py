"""Helpers that the parts of this verification share."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from kalshi_cli.core.model.effects import Effect
from kalshi_cli.store.sqlite_store import Store


def opened(home: Path, **more: Any) -> Store:
    return Store.open(home / "state.db", account="a", environment="sim", **more)


def timed(store: Store, effect: Effect) -> float:
    """Milliseconds to record it."""
    began = time.perf_counter()
    store.record(effect)
    return (time.perf_counter() - began) * 1000


def at(took: list[float], share: float) -> float:
    return sorted(took)[int(len(took) * share)] if took else 0.0


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
