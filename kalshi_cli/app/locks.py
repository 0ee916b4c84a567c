"""Locking markets for what runs in an environment, whether on the account or on paper."""

from __future__ import annotations

from kalshi_cli.app import App
from kalshi_cli.base.errors import UnreachableError
from kalshi_cli.base.units import Ts
from kalshi_cli.config.config import state_dir
from kalshi_cli.store.records import MarketLock
from kalshi_cli.store.sqlite_store import Store


class Locks:
    """What a person says of a market to everything that trades here: `Locks(app).lock(...)`."""

    def __init__(self, app: App) -> None:
        self.app = app

    def _stores(self, *, create: bool) -> list[Store]:
        """The state files of the account and of paper. That of the account is made where it shall take a lock."""
        app = self.app
        paper = app.remembered(state_dir(app.config, "paper"), "paper")
        has_key = app.is_simulated or bool(app.config.credential.key_id)
        own = app.store if create and (has_key or paper is None) else app.remembered() if has_key else None
        return [store for store in (own, paper) if store is not None]

    def lock(self, ticker: str, lasts_s: float, reason: str) -> MarketLock:
        """Nothing is opened in this market for so long. A market that is not listed is refused."""
        try:
            self.app.client.market(ticker)
        except UnreachableError as error:
            self.app.note(f"locked without a look whether there is such a market: {error.message}")
        now = self.app.clock.now()
        lock = MarketLock(ticker, Ts(now + int(lasts_s * 1000)), reason, now)
        for store in self._stores(create=True):
            store.lock_market(lock)
        return lock

    def unlock(self, ticker: str) -> bool:
        """End it before its time; whether there was one."""
        ended = [store.unlock_market(ticker) for store in self._stores(create=False)]
        return any(ended)

    def now(self) -> list[MarketLock]:
        """Those that hold, by market; of the account and of paper the longer one."""
        found: dict[str, MarketLock] = {}
        for lock in (lock for store in self._stores(create=False) for lock in store.market_locks()):
            known = found.setdefault(lock.ticker, lock)
            found[lock.ticker] = max(known, lock, key=lambda each: each.until)
        return [found[ticker] for ticker in sorted(found) if found[ticker].until > self.app.clock.now()]
