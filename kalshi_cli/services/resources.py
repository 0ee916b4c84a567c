"""Clock, connections and files of an account, opened, and where they are large imported, when first used."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import CredentialsError, KalshiError, StateFileError, UsageError
from kalshi_cli.config.config import Config, refuse_unread_limits
from kalshi_cli.config.limits import limits_of
from kalshi_cli.core.model.effects import AlertRaised, Effect
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.families import EventFamilyCache
from kalshi_cli.exchange.rest.call import OnAnswer, Timeouts
from kalshi_cli.exchange.rest.rate_limits import NUMBERS, RateLimiter
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.services.raw_calls import ENDED
from kalshi_cli.telemetry.request_counts import RequestCounters

if TYPE_CHECKING:
    import random

    from httpx import BaseTransport

    from kalshi_cli.store.catalog.sqlite_catalog import Catalogue
    from kalshi_cli.store.sqlite_store import Store

OnEffect: TypeAlias = "Callable[[Effect, Store | None], None]"
"""Takes an effect that was saved, and the state file that holds it, where there is one."""

RefuseOrder: TypeAlias = "Callable[[Store, TradingState], None]"
"""Raises where an order that was reviewed for this trading state may not be sent; called before each attempt."""


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """A state folder and its account; `account` is "" where no API key names one.

    `name` is the mode of the loops that run here.
    """

    folder: Path
    account: str
    name: str
    is_at_exchange: bool = True
    events: Path | None = None
    """The socket on which the loop publishes its events; None if every allowed path is too long."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Resources:
    """The clock, connections and files of an account. `stack` closes whatever is opened here."""

    config: Config
    homes: tuple[Home, ...]
    """Every home of the configuration; the first is the account's own."""
    stack: ExitStack
    clock: Clock
    """The exchange's time; `machine` is the clock of this computer."""
    machine: Clock
    rng: random.Random
    run_id: str
    new_id: Callable[[], str]
    new_order_id: Callable[[], str]
    sign: Callable[[], Signer | None]
    """Loads the key; called once, with the first connection. `find_rest_url` and `find_ws_url` may start a server."""
    find_rest_url: Callable[[], str]
    find_ws_url: Callable[[], str]
    needs_confirmation: bool
    """True if writes move real money."""
    refuse_order: RefuseOrder
    tell: Callable[[str], None]
    """Shows a warning; `note` shows a remark."""
    note: Callable[[str], None]
    on_effect: OnEffect
    on_answer: OnAnswer
    traffic: RequestCounters
    """Counts the calls that `on_answer` takes."""
    thread: int = field(default_factory=threading.get_ident)
    """The thread that opened the account, the only one that writes and closes it; any thread may read."""
    ended: threading.Event = field(default_factory=threading.Event)
    """Set once the account is closed for good; then nothing is opened any more."""
    host: str = ""
    """The name of this computer, which notices carry."""
    transport: BaseTransport | None = None
    """Carries requests instead of sockets, for a caller with the exchange in its own process."""
    _catalogues: list[Catalogue] = field(default_factory=list)
    """The market catalog once it was opened."""

    # -- the account and its files --------------------------------------------------------------------------------

    @property
    def home(self) -> Home:
        """Return the home of the account."""
        return self.homes[0]

    def find_home(self, *, is_at_exchange: bool) -> Home:
        """Return the first home whose trading is, or is not, at the exchange."""
        return next(home for home in self.homes if home.is_at_exchange is is_at_exchange)

    @property
    def state_dir(self) -> Path:
        """Return the folder of the account's state; it is created when something is written."""
        return self.home.folder

    @property
    def account(self) -> str:
        """Return the name of the account: the key id, because the exchange does not name the account otherwise."""
        if not self.home.account:
            raise CredentialsError(
                f"No API key configured for {self.config.env}",
                hint="set KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY_PATH, or `credentials` in the configuration",
            )
        return self.home.account

    @cached_property
    def limits(self) -> RiskLimits:
        """Return the risk limits of the configuration."""
        return limits_of(self.config)

    def open_store(
        self,
        home: Home,
        *,
        create: bool = True,
        busy_ms: int | None = None,
        is_reported: bool = False,
        is_handed_over: bool = False,
    ) -> Store:
        """Open the state file of a home; the caller closes it. With `is_reported`, `on_effect` takes its effects.

        A write waits at most `busy_ms` for another program, where that is given. Another thread may close it where it
        `is_handed_over`.
        """
        from kalshi_cli.store.sqlite_store import Store

        path, account, env = home.folder / "state.db", home.account or self.account, self.config.env
        on_record = self.on_effect if is_reported else None
        store = Store.open(
            path,
            account=account,
            environment=env,
            create=create,
            busy_ms=busy_ms,
            on_record=on_record,
            is_handed_over=is_handed_over,
        )
        if store.kept_copy is not None:
            self.note(
                f"The state file {path} now has the format of this version; older versions cannot open it. "
                f"A copy as it was: {store.kept_copy}"
            )
        return store

    @property
    def store(self) -> Store:
        """Open or create the state file of this account, for the thread that opened the account."""
        self.require_open()
        return self._own_store

    @cached_property
    def _own_store(self) -> Store:
        store = self.open_store(self.home, is_reported=True)
        self.stack.callback(store.close)
        return store

    def require_open(self) -> None:
        """Raise UsageError after the end of the account, or in a thread that did not open it."""
        self._refuse_if_ended()
        if self.thread != threading.get_ident():
            raise UsageError("This account was opened by another thread", hint="open one Kalshi for each thread")

    def _refuse_if_ended(self) -> None:
        if self.ended.is_set():
            raise UsageError("This account is closed", hint="open it again with Kalshi.open()")

    def remembered(self, home: Home | None = None, busy_ms: int | None = None) -> Store | None:
        """Open the state file of this account, or of another home, if it exists; reading creates nothing.

        It stays open for the next call of this thread, unless the file was replaced: a screen asks every few seconds.
        """
        self._refuse_if_ended()
        home = home or self.home
        key = (home.folder, home is self.home, busy_ms, threading.get_ident())
        try:
            status = os.lstat(home.folder / "state.db")
        except OSError:
            return None
        identity = (status.st_dev, status.st_ino)
        known, store = self._remembered.get(key, (None, None))
        if store is not None and known == identity:
            return store
        if store is not None:
            store.close()
            del self._remembered[key]
        try:
            store = self.open_store(
                home, create=False, busy_ms=busy_ms, is_reported=home is self.home, is_handed_over=True
            )
        except StateFileError as error:
            if error.code == "state_missing":
                return None
            raise
        self.stack.callback(store.close)
        self._remembered[key] = identity, store
        return store

    @cached_property
    def _remembered(self) -> dict[tuple[object, ...], tuple[tuple[int, int], Store]]:
        """The state files that `remembered` opened, with the identity of the file, by home and thread."""
        return {}

    @property
    def catalogue(self) -> Catalogue | None:
        """Open the local market catalog, if it exists by now; reading creates nothing."""
        from kalshi_cli.store.catalog.sqlite_catalog import open_catalogue

        if not self._catalogues and (found := open_catalogue(self.config)) is not None:
            self.stack.callback(found.close)
            self._catalogues.append(found)
        return self._catalogues[0] if self._catalogues else None

    # -- the exchange ---------------------------------------------------------------------------------------------

    @cached_property
    def signer(self) -> Signer | None:
        """Load the key of this account; None where none is configured."""
        return self.sign()

    @property
    def rest_url(self) -> str:
        """Return the address of the exchange for requests."""
        return self.find_rest_url()

    @property
    def ws_url(self) -> str:
        """Return the address of the stream."""
        return self.find_ws_url()

    @cached_property
    def limiter(self) -> RateLimiter:
        """Return the rate limiter of this account, shared with other programs on an existing state directory."""
        if self.signer is None or not os.path.isdir(self.state_dir):
            return RateLimiter(self.clock)
        from kalshi_cli.store.shared_counters import SharedCounters

        pace = SharedCounters(self.state_dir / "pace", NUMBERS, self.machine)
        self.stack.callback(pace.close)
        return RateLimiter(self.clock, shared=pace, tell=self.note)

    @property
    def client(self) -> KalshiClient:
        """Connect to the REST API; no request that could trade is sent after a halt."""
        self._refuse_if_ended()
        return self._own_client

    @cached_property
    def _own_client(self) -> KalshiClient:
        return self.connected(self._refuse, self._announced)

    @cached_property
    def public(self) -> KalshiClient:
        """Connect without the key, for public data: a refused key says nothing about the exchange."""
        return self.connected(self._refuse, self._announced, is_signed=False)

    @cached_property
    def families(self) -> EventFamilyCache:
        """Return the look-up of events, series and their fees."""
        return EventFamilyCache(self.client)

    def _refuse(self, reviewed: TradingState) -> None:
        refuse_unread_limits(self.config)  # a raw request too
        self.refuse_order(self.store, reviewed)

    def connected(
        self,
        before_create: Callable[[TradingState], None],
        on_notice: Callable[[str, str], None] = lambda _route, _notice: None,
        *,
        is_signed: bool = True,
    ) -> KalshiClient:
        """Make a client. An unsigned one calls public routes only, whatever the key."""
        exchange = self.config.exchange
        client = KalshiClient(
            self.rest_url,
            clock=self.clock,
            rng=self.rng,
            signer=self.signer if is_signed else None,
            transport=self.transport,
            limiter=self.limiter if is_signed else RateLimiter(self.clock),
            timeouts=Timeouts(exchange.connect_timeout_s, exchange.read_timeout_s, exchange.total_timeout_s),
            is_read_only=self.config.read_only,
            before_create=before_create,
            machine=self.machine,
            on_notice=on_notice,
            on_answer=self.on_answer,
            presign=exchange.presign,
        )
        client.lock = exchange.subaccount
        self.stack.callback(client.close)
        return client

    def _announced(self, route: str, notice: str) -> None:
        """Warn that a route in use was or will be switched off; save the warning where there is a state file."""
        if ENDED.fullmatch(route):
            return  # only a raw call goes there, and its error says enough
        text = f"The exchange announces: {notice}. Check for a newer version of kalshi"
        alert = AlertRaised(self.clock.now(), "critical", "ROUTE_ENDS", route, text)
        self.tell(f"CRITICAL {alert.code} {route}: {text}")
        with suppress(KalshiError):  # the notice was shown, and the command goes on
            store = self.remembered()
            if store is not None:
                store.record(alert)
