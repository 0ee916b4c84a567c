"""The composition root: with `loops`, the only place that knows environments and modes.

A mode is a choice of clock, feed and venue, made here and nowhere else:

    prod, demo        system clock    stream               the exchange
    sim               its own clock   stream, loopback     the simulated exchange, a process of its own
    --paper           system clock    stream               simulated fills against the real books
    backtest          manual clock    recordings           simulated fills against the recorded books
"""

from __future__ import annotations

import os
import random
import uuid
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from kalshi_cli.base.clock import Clock, SystemClock
from kalshi_cli.base.errors import (
    CredentialsError,
    Distrust,
    KalshiError,
    RefusedError,
    StateError,
    UnreachableError,
    refuse,
)
from kalshi_cli.config.config import Config, log_folder, state_dir
from kalshi_cli.config.hosts import refuse_other_hosts
from kalshi_cli.config.limits import limits_of
from kalshi_cli.core.account.order_index import OWN_ID
from kalshi_cli.core.model.effects import Alert, Effect, GroupSwitched
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.limits import Limits
from kalshi_cli.desk import cancel
from kalshi_cli.desk.account import reconcile_unknown
from kalshi_cli.desk.catalogue import open_catalogue
from kalshi_cli.desk.halts import refuse_if_halted
from kalshi_cli.desk.key_lock import lock_of
from kalshi_cli.desk.listing import Families
from kalshi_cli.desk.place import Aloud, OrderDesk
from kalshi_cli.desk.refusals import sent
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.call import Timeouts
from kalshi_cli.exchange.rest.rate_limits import NUMBERS, RateLimiter
from kalshi_cli.exchange.rest.signing import Signer, load_key
from kalshi_cli.store.catalog.entries import Catalogue
from kalshi_cli.store.lock import lock, no_kill
from kalshi_cli.store.shared_counters import SharedNumbers
from kalshi_cli.store.sqlite_store import SqliteStore
from kalshi_cli.store.state_store import Glance, Notebook, Store

if TYPE_CHECKING:
    from httpx import BaseTransport

    from kalshi_cli.config.hosts import OtherHost
    from kalshi_cli.desk.journal import Journal
    from kalshi_cli.exchange.wire.groups import OrderGroup
    from kalshi_cli.sim.announcement import Address, Announcement
    from kalshi_cli.sim.controls import Report
    from kalshi_cli.simulator import Simulator


class App:
    """Everything a command needs, made when it is first asked for, closed at the end. Use it as a context manager.

    `tell` says what a person must hear, `note` what is good to know; both on stderr. `distrust` decides about a private
    key that others may use.
    """

    def __init__(
        self,
        config: Config,
        tell: Callable[[str], None],
        note: Callable[[str], None] | None = None,
        distrust: Distrust = refuse,
    ) -> None:
        self.config = config
        self.distrust = distrust
        self.tell = tell
        self.note = note or tell
        self.machine: Clock = SystemClock()
        self.rng = random.Random()
        self.stack = ExitStack()
        self.before_order: Callable[[], None] = lambda: None
        """Asked, like the halt, before each attempt to place an order; a loop refuses here what comes too late."""
        self.transport: BaseTransport | None = None
        """Carries requests in place of sockets, for a caller who has the exchange in its own process."""
        self.run_id = self.new_id()
        """Of this invocation: in every line of the log."""

    def __enter__(self) -> App:
        return self

    def __exit__(self, *exc: object) -> None:
        self.stack.close()

    @staticmethod
    def new_id() -> str:
        """An id for anything but an order: a UUID, as text."""
        return str(uuid.uuid4())

    @staticmethod
    def new_order_id() -> str:
        """A client order id: 36 characters, unique for ever, and to be known as one of this program's."""
        return f"{OWN_ID}{uuid.uuid4().hex}"

    # -- what this environment is ---------------------------------------------------------------------------------

    @property
    def is_simulated(self) -> bool:
        """Our own exchange, not one that somebody pointed us at."""
        return self.config.env == "sim" and not self.config.rest_url

    @property
    def needs_confirmation(self) -> bool:
        """Writes are real money."""
        return self.config.env == "prod"

    @property
    def other_hosts(self) -> tuple[OtherHost, ...]:
        """The hosts in use that are not the environment's own."""
        return self.config.other_hosts

    @cached_property
    def clock(self) -> Clock:
        """The exchange's time: the machine's, but for a simulated exchange whose clock somebody moved."""
        return self.simulator.clock if self.is_simulated else self.machine

    @cached_property
    def state_dir(self) -> Path:
        """Where this environment keeps its state; created when something is written."""
        return state_dir(self.config)

    @cached_property
    def simulator(self) -> Simulator:
        from kalshi_cli.simulator import Simulator

        is_chosen = self.config.origins.get("sim.seed", "default") != "default"
        folder = self.state_dir / "exchange"
        return Simulator(
            folder, self.config.sim, self.machine, self.new_id, is_seed_chosen=is_chosen, distrust=self.distrust
        )

    @cached_property
    def limits(self) -> Limits:
        return limits_of(self.config)

    # -- parts ----------------------------------------------------------------------------------------------------

    @cached_property
    def signer(self) -> Signer | None:
        """Signs with the key of this environment; None where none is configured."""
        if self.is_simulated:
            return Signer(*self.simulator.credentials(), self.machine)
        credential = self.config.credential
        if not credential.key_id and credential.private_key_path is None:
            return None
        if not credential.key_id or credential.private_key_path is None:
            missing = "key_id" if not credential.key_id else "private_key_path"
            raise CredentialsError(
                f"credentials.{self.config.env}.{missing} is missing",
                hint="set it in the configuration, or KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY_PATH",
            )
        key = load_key(credential.private_key_path.expanduser(), self.distrust)
        return Signer(credential.key_id, key, self.clock)

    @cached_property
    def limiter(self) -> RateLimiter:
        """The pace of this account, shared with the other programs that use this state directory, once there is one."""
        if self.signer is None or not os.path.isdir(self.state_dir):
            return RateLimiter(self.clock)
        pace = SharedNumbers(self.state_dir / "pace", NUMBERS, self.machine)
        self.stack.callback(pace.close)
        return RateLimiter(self.clock, shared=pace, tell=self.note)

    @cached_property
    def client(self) -> KalshiClient:
        """The REST client of this environment; nothing that could trade starts after a halt."""
        return self.connected(self._refuse_order, self._announced)

    @cached_property
    def public(self) -> KalshiClient:
        """Asks what needs no key, without one: a key that is refused says nothing about the exchange."""
        return self.connected(self._refuse_order, self._announced, is_signed=False)

    def _refuse_order(self, reviewed: TradingState) -> None:
        refuse_if_halted(self.store, reviewed)
        self.before_order()

    @cached_property
    def served(self) -> Announcement:
        """Find the server of the simulated exchange, or start one in the background."""
        from kalshi_cli.app.background import Background

        return Background(self.simulator, self.machine, self.note).find()

    @property
    def rest_url(self) -> str:
        """Return the address of the exchange for requests."""
        if self.is_simulated:
            return self.served.rest_url
        refuse_other_hosts(self.config, "exchange.rest_url")
        return self.config.rest_url

    @property
    def ws_url(self) -> str:
        """Return the address of the stream."""
        if self.is_simulated:
            return self.served.ws_url
        refuse_other_hosts(self.config, "exchange.ws_url")
        return self.config.ws_url

    def connected(
        self,
        before_create: Callable[[TradingState], None],
        on_notice: Callable[[str, str], None] = lambda _route, _notice: None,
        *,
        is_signed: bool = True,
    ) -> KalshiClient:
        """A client of its own. One that is not signed asks public routes only, whatever becomes of the key."""
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
            on_answer=lambda *answer: self.journal.requested(*answer),
        )
        client.lock = exchange.subaccount
        self.stack.callback(client.close)
        return client

    def _announced(self, route: str, notice: str) -> None:
        """A route that we use was switched off, or will be: told at once, and kept where there is a state file."""
        text = f"the exchange says of it: {notice}; look for a newer version of this program"
        alert = Alert(self.clock.now(), "critical", "ROUTE_ENDS", route, text)
        self.tell(f"CRITICAL {alert.code} {route}: {text}")
        with suppress(KalshiError):  # the notice was told, and what was asked for goes on
            store = self.remembered()
            if store is not None:
                store.record(alert)

    @property
    def account(self) -> str:
        """Whose state this is. The key id stands for the account: the exchange names no other."""
        if self.is_simulated:
            return self.simulator.account
        if not self.config.credential.key_id:
            raise CredentialsError(
                f"no API key is configured for {self.config.env}",
                hint="set KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY_PATH, or credentials in the configuration",
            )
        return self.config.credential.key_id

    @cached_property
    def store(self) -> Store:
        """The state file of this account, made on first use."""
        path, env = self.state_dir / "state.db", self.config.env
        store = SqliteStore.open(path, account=self.account, environment=env, on_record=self._note)
        self.stack.callback(store.close)
        return store

    def _note(self, effect: Effect, store: Store) -> None:
        self.journal.note(effect, store)

    @cached_property
    def journal(self) -> Journal:
        """What tells on what is sent and what becomes of it; a loop puts its own here."""
        from kalshi_cli.app.records import journal_of_command

        return journal_of_command(self)

    def remembered(
        self, home: Path | None = None, account: str | None = None, busy_ms: int | None = None
    ) -> Store | None:
        """The state file of this account, or of another home, if there is one; reading creates nothing.

        A write to it waits for another program, for `busy_ms` at most where that is given.
        """
        path = (home or self.state_dir) / "state.db"
        if not os.path.lexists(path):
            return None
        try:
            store = SqliteStore.open(
                path, account=account or self.account, environment=self.config.env, create=False, busy_ms=busy_ms
            )
        except StateError as error:
            if error.code == "state_missing":
                return None
            raise
        self.stack.callback(store.close)
        if path.parent == self.state_dir:
            store.on_record = self._note
        return store

    @cached_property
    def catalogue(self) -> Catalogue | None:
        """What is listed, as far as this machine remembers; reading creates nothing."""
        found = open_catalogue(self.config)
        if found is not None:
            self.stack.callback(found.close)
        return found

    @cached_property
    def families(self) -> Families:
        """Events and series, and what they charge."""
        return Families(self.client)

    def learn_key(self, store: Store | None = None) -> KalshiClient:
        """The client, once it knows which subaccount the key is locked to. The exchange is asked once in the life of a
        state file, which is `store` or the one that is there."""
        if self.client.lock is not None or self.signer is None:
            return self.client
        if store is None:
            with suppress(StateError):  # it is told by whoever needs the file
                store = self.remembered()
        self.client.lock = lock_of(self.client, self.signer.key_id, store, self.tell)
        return self.client

    # -- what commands do -----------------------------------------------------------------------------------------

    def order_desk(self, *, is_dry_run: bool = False) -> OrderDesk:
        """Places one order; refused at once where writes are switched off. A dry run leaves no trace."""
        if is_dry_run:
            self.learn_key()
            store = Glance(self.remembered())
            return self._order_desk(store)
        if self.config.read_only:
            raise RefusedError(
                "writes are switched off by KALSHI_READ_ONLY", hint="unset it to trade", code="READ_ONLY"
            )
        self.learn_key(self.store)
        return self._order_desk(Aloud(self.store, self.tell))

    def _order_desk(self, store: Notebook) -> OrderDesk:
        kin = self.families
        return OrderDesk(self.client, store, self.clock, self.limits, kin.fees, self.new_order_id, kin.family)

    def find_order(self, any_id: str) -> Order:
        """An order by the exchange's id or by ours."""
        return self.client.order(self._order_id(any_id))

    def _order_id(self, any_id: str) -> str:
        """The exchange's id of an order of ours; an id that is not known here is taken for the exchange's."""
        store = self.remembered()
        known = store.order(any_id) if store is not None else None
        return known.order_id if known is not None and known.order_id else any_id

    def cancel_orders(self, ids: list[str]) -> list[cancel.Canceled]:
        """Cancel these, by the exchange's ids or by ours. A broken state file holds up no cancel: only ours need it."""
        try:
            order_ids = [self._order_id(any_id) for any_id in ids]
        except StateError as error:
            self.tell(f"ids of your own are not understood: {error.message}")
            order_ids = ids
        return cancel.cancel_orders(self.client, order_ids)

    def reconcile(
        self, wait_s: float = 0.0, repaired: Callable[[Order, str], None] = lambda _order, _text: None
    ) -> tuple[list[Order], list[Order]]:
        """Look for every order in doubt: those that are known now, and those that still are not.

        For up to `wait_s`, where the proof of one that is not found falls due within that time. `repaired` hears what a
        reply had said falsely of an order.
        """
        self.learn_key(self.store)
        return reconcile_unknown(
            self.client, self.store, self.clock, self.limits, self.new_id,
            wait_s=wait_s, note=self.note, repaired=repaired,
        )  # fmt: skip

    def note_group(self, group_id: str, *, is_triggered: bool) -> None:
        """A person switched an order group: where a run made it, the next start must know."""
        try:
            store = self.remembered()
            if store is not None:
                store.record(GroupSwitched(group_id, is_triggered))
        except StateError as error:
            self.tell(f"the state file does not know of it: {error.message}")

    def reset_group(self, group: OrderGroup) -> None:
        """Let orders into a group again that was triggered: not while trading is halted or a kill switch runs."""
        with no_kill(self.state_dir, self.machine):
            sent(self.store, lambda: self.client.reset_order_group(group))
        self.note_group(group.group_id, is_triggered=False)

    def reset_simulator(self) -> None:
        """Forget the simulated exchange, and what we remember of trading there."""
        with ExitStack() as stack:
            if self.state_dir.exists():
                stack.enter_context(lock(self.state_dir / "trade.lock", self.clock))
                stack.enter_context(no_kill(self.state_dir, self.machine))
            self.simulator.reset()
            for home in (self.state_dir, state_dir(self.config, "paper")):
                tables = log_folder(self.config, home).glob("*.csv")
                for path in (*home.glob("state.db*"), *home.glob("catalogue.db*"), *tables):
                    path.unlink()

    def control(self, command: str, fields: dict[str, object]) -> Report:
        """Do something to the simulated exchange that no member can."""
        return self.simulator.control(command, fields, lambda: self.served)

    def serving(self) -> tuple[Announcement | None, Report | None]:
        """Return which process serves the simulated exchange and how that stands, without starting one."""
        found = self.simulator.serving()
        if found is None:
            return None, None
        try:
            return found, self.simulator.control("status", {}, lambda: found)
        except UnreachableError:
            if not self.simulator.has_ended(found.pid):
                raise
            return None, None

    def serve(self, ready: Callable[[Address], None], port: int, keys: list[str], accounts: int) -> None:
        """Serve the simulated exchange from this thread until a signal."""
        self.simulator.serve(ready, port, keys, accounts)
