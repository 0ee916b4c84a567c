"""What `kalshi lock` prints. Rules as in `rows`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import Prose
from kalshi_cli.views.row import Row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kalshi_cli.store.records import MarketLock


class LockRow(Row, frozen=True, kw_only=True):
    """A market in which nothing is opened `until` then; when that was said, and why."""

    ticker: str
    until: Ts
    since: Ts
    reason: Prose


def lock_rows(locks: Iterable[MarketLock]) -> list[LockRow]:
    return [
        LockRow(ticker=lock.ticker, until=lock.until, since=lock.since, reason=Prose(lock.reason)) for lock in locks
    ]
