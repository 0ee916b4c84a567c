"""One list out of the two tiers in which the exchange keeps its past."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

from kalshi_cli.base.units import Ts

T = TypeVar("T")


def newest_first(
    live: Iterable[T], historical: Iterable[T], key: Callable[[T], Hashable], ts: Callable[[T], Ts]
) -> list[T]:
    """Everything of both, each `key` once: as in the live tier where it is in both. At equal times the order stays.

    Read the live tier first and to its end. What moves over in between is then in both; read the other way round, it
    would be in none.
    """
    found: dict[Hashable, T] = {}
    for item in (*live, *historical):
        found.setdefault(key(item), item)
    return sorted(found.values(), key=lambda item: -ts(item))
