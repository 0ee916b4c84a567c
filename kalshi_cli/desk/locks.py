"""Markets that a person locked: how a running loop hears of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kalshi_cli.core.model.messages import MarketLocks, Message, Tick
from kalshi_cli.store.sqlite_store import Store


def with_locks(feed: Iterable[Message], store: Store) -> Iterator[Message]:
    """The messages of a feed; before each tick, what was locked or unlocked since, if anything was."""
    known = store.market_locks()
    for message in feed:
        if isinstance(message, Tick) and (found := store.market_locks()) != known:
            known = found
            yield MarketLocks(message.ts, {lock.ticker: lock.until for lock in found})
        yield message
