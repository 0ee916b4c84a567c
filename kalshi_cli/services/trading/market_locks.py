"""Markets that a person locked, for all that trades here; and how a running loop learns of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from kalshi_cli.base.errors import UnreachableError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import MarketLocks, Message, Tick
from kalshi_cli.services.resources import Resources
from kalshi_cli.store.records import MarketLock
from kalshi_cli.store.sqlite_store import Store


def with_locks(feed: Iterable[Message], store: Store) -> Iterator[Message]:
    """The messages of a feed; before each tick, what was locked or unlocked since, if anything was."""
    known = store.market_locks()
    for message in feed:
        if isinstance(message, Tick) and (found := store.market_locks()) != known:
            known = found
            yield MarketLocks(message.ts, {lock.ticker: lock.until for lock in found})
        yield message


class MarketLockService:
    """What a person says of a market to everything that trades here: `MarketLockService(resources).lock(...)`."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def _stores(self, *, create: bool) -> list[Store]:
        """Open the state files of all homes. That of the account is made where it shall take a lock."""
        resources = self._resources
        others = [store for home in resources.homes[1:] if (store := resources.remembered(home)) is not None]
        has_key = bool(resources.home.account)
        own = resources.store if create and (has_key or not others) else resources.remembered() if has_key else None
        return [*([own] if own is not None else []), *others]

    def lock(self, ticker: str, lasts_s: float, reason: str) -> MarketLock:
        """Nothing is opened in this market for so long. A market that is not listed is refused."""
        try:
            self._resources.client.market(ticker)
        except UnreachableError as error:
            self._resources.note(f"locked without a look whether there is such a market: {error.message}")
        now = self._resources.clock.now()
        lock = MarketLock(ticker, Ts(now + int(lasts_s * 1000)), reason, now)
        for store in self._stores(create=True):
            store.lock_market(lock)
        return lock

    def unlock(self, ticker: str) -> bool:
        """End it before its time; whether there was one."""
        ended = [store.unlock_market(ticker) for store in self._stores(create=False)]
        return any(ended)

    def now(self) -> list[MarketLock]:
        """Those that hold, by market; of several homes the longest."""
        found: dict[str, MarketLock] = {}
        for lock in (lock for store in self._stores(create=False) for lock in store.market_locks()):
            known = found.setdefault(lock.ticker, lock)
            found[lock.ticker] = max(known, lock, key=lambda each: each.until)
        return [found[ticker] for ticker in sorted(found) if found[ticker].until > self._resources.clock.now()]
