"""The data that the checks of one run share: each item is read once, when the first check needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from kalshi_cli.base.errors import CredentialsError, ExchangeError, KalshiError, StateFileError, UnreachableError
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.config.schema import CheckRange
from kalshi_cli.config.values import RangeText
from kalshi_cli.core.account.closed_markets import FINAL_MS
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import ExchangeStatus
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.model.positions import Balance, ExchangePosition
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, Verdict, report
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.funds import SubaccountBalance
from kalshi_cli.exchange.wire.values import ResponseFormatError
from kalshi_cli.services.account.key_lock import learn_key
from kalshi_cli.services.account.portfolio import Portfolio, read
from kalshi_cli.services.monitoring.check_notices import BUSY_MS
from kalshi_cli.services.resources import Home, Resources
from kalshi_cli.store.halt_file import read_marker_files
from kalshi_cli.store.lock import LockHolder, holder
from kalshi_cli.store.records import NO_HALT, AccountHigh, Halt, Heartbeat
from kalshi_cli.store.sqlite_store import Store

T = TypeVar("T")

LOOKING, KNOWING = 0.6, 0.7
"""Fractions of a check's time: reads may begin until the first, and the report is made at the second at the latest. The
rest is for sending notices."""

LONGER = {"schema": 0.2}
"""Additional fraction for a check that makes many requests in sequence and has few notices to send."""

LOCK = "trade.lock"
"""The file that a running loop holds; it stays after the first start of a loop."""


class LoopRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The loop that a check is about: the holder of its lock and its last saved cycle. `mode` is "" on the exchange."""

    mode: str
    home: Path
    store: Store | None
    who: LockHolder | None
    cycle: Heartbeat | None
    halt: Halt

    @property
    def is_of_account(self) -> bool:
        """Return whether the loop trades on the exchange and manages the account's orders."""
        return not self.mode

    @property
    def pulse(self) -> Heartbeat | None:
        """Return the last cycle of the run that holds the lock; None if none runs, or while it starts."""
        cycle = self.cycle
        is_its_own = cycle is not None and self.who is not None and cycle.pid == self.who.pid and cycle.is_running
        return cycle if is_its_own else None

    @property
    def alerts(self) -> Sequence[AlertRaised]:
        """Return the alerts of the run that holds the lock; none before its first cycle."""
        return self.store.alerts(self.pulse.started) if self.store is not None and self.pulse is not None else ()


class CheckRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for one check, or for several as "all": its ranges, its loop and its notices.

    Without a `home` the loop is the account's, or the one of the only home in which a loop was ever started. `notify`
    is the address of one more channel for this run; without `is_told` no notice is sent.
    """

    name: str
    checks: tuple[str, ...]
    within_s: float
    warn: RangeText | None = None
    crit: RangeText | None = None
    home: Home | None = None
    is_stop_allowed: bool = False
    is_accepted: bool = False
    is_public_only: bool = False
    notify: str = ""
    is_told: bool = True

    def part_s(self, part: float) -> float:
        """Return LOOKING or KNOWING in seconds."""
        return self.within_s * (part + LONGER.get(self.name, 0.0))


class CheckData:
    """The account and the state file as read by one run, for one check or for all.

    A failed read is not repeated in this run, and after the first request without a response no request is sent: both
    would only wait. The connections, the state file and the loop are looked up once, when needed. `try_stream` connects
    for at most the given seconds and returns the result, and `seen` counts the requests of this run. `folders` are the
    directories that a loop writes to.
    """

    def __init__(
        self,
        resources: Resources,
        wanted: CheckRequest,
        folders: tuple[Path, ...],
        try_stream: Callable[[float], tuple[Verdict, str, str]],
    ) -> None:
        self.resources = resources
        self.wanted = wanted
        self.folders = folders
        self.config, self.limits, self.clock = resources.config, resources.limits, resources.clock
        self.seen = resources.traffic
        self.checks = self.config.checks
        self._try_stream = try_stream
        self._until = self.clock.monotonic() + wanted.part_s(LOOKING)
        self._found: dict[str, object] = {}
        self._silent: UnreachableError | None = None

    def once(self, name: str, look: Callable[[], T]) -> T:
        """Return the result of a read, or raise its error; later calls with the same name repeat both."""
        if name not in self._found:
            try:
                self._found[name] = look()
            except KalshiError as error:
                self._found[name] = error
                if isinstance(error, UnreachableError) and not isinstance(error, ResponseFormatError):
                    self._silent = error
        found = self._found[name]
        if isinstance(found, KalshiError):
            raise found
        return cast(T, found)

    def forget(self, *names: str) -> None:
        """Drop the results of these names, so that they are read again when needed."""
        for name in names:
            self._found.pop(name, None)

    @property
    def left_s(self) -> float:
        """Return the seconds left for reading in this run."""
        return self._until - self.clock.monotonic()

    @property
    def client(self) -> KalshiClient:
        """Return the client. Raises UnreachableError if the exchange did not respond before, or no time is left."""
        return self._asked("client", lambda: self.resources.client)

    @property
    def account(self) -> KalshiClient:
        """Return the client after reading the exchange's time and the subaccount of the key.

        The time exposes responses from a cache; requests of a restricted key must name its subaccount.
        """
        client = self.client
        self.once("clock", client.measure_clock_skew)
        self.once("key", lambda: learn_key(self.resources))
        return client

    @property
    def public(self) -> KalshiClient:
        """Return the client without a key, so that a bad key fails only the checks that need it."""
        return self._asked("public client", lambda: self.resources.public)

    def _asked(self, name: str, connect: Callable[[], KalshiClient]) -> KalshiClient:
        if self._silent is not None:
            raise self._silent
        if self.left_s <= 0:
            raise UnreachableError("Timed out before this could be checked", code="too_slow")

        def bounded() -> KalshiClient:
            client = connect()
            client.limit_reads(self.wanted.within_s * LOOKING / 2)  # one slow read leaves time for the report
            return client

        return self.once(name, bounded)

    # -- the account on the exchange ------------------------------------------------------------------------------

    @property
    def portfolio(self) -> Portfolio:
        """Return the portfolio: positions and results, and the bookings of open markets and of the last two days.

        Also those of markets that are closed and were traded both within the last 30 days and before.
        """

        def look() -> Portfolio:
            store, month = None, Ts(self.clock.now() - MONTH_MS)
            with suppress(StateFileError):  # the exchange knows everything
                store = self.store
                if store is not None and store.history.has_totals:
                    also = store.history.straddling(month)
                    return read(self.account, store, Ts(self.clock.now() - FINAL_MS), also=also)
            return read(self.account, store, month)

        return self.once("portfolio", look)

    @property
    def balance(self) -> Balance:
        """Return the balance of the primary subaccount."""
        return self.once("balance", lambda: self.account.balance())

    @property
    def cash(self) -> Money:
        """Return the cash of all subaccounts and shards."""
        return Money(sum(each.balance for each in self.pockets)) if self.pockets else self.balance.cash

    @property
    def subaccounts(self) -> tuple[int, ...]:
        """Return the subaccounts with cash or resting orders, and always the primary one or that of the key."""
        cash = {each.subaccount for each in self.pockets}
        return tuple(sorted({self.account.lock or 0} | cash | {order.subaccount for order in self.resting}))

    @property
    def positions(self) -> dict[tuple[int, str], ExchangePosition]:
        """Return the positions by subaccount and market."""

        def look() -> dict[tuple[int, str], ExchangePosition]:
            found = {}
            for number in self.subaccounts:
                for position in self.account.positions(subaccount=number or None):
                    found[number, position.ticker] = position
            return found

        return self.once("positions", look)

    @property
    def resting(self) -> tuple[Order, ...]:
        """Return the resting orders of all subaccounts, own and external."""
        return self.once("resting", lambda: tuple(self.account.orders(status="resting")))

    @property
    def exchange_status(self) -> ExchangeStatus:
        """Return whether the exchange and trading are open."""
        return self.once("exchange status", lambda: self.public.exchange_status())

    @property
    def pockets(self) -> tuple[SubaccountBalance, ...]:
        """Return the cash by subaccount and shard; empty if this account or key cannot list subaccounts."""

        def look() -> tuple[SubaccountBalance, ...]:
            try:
                return tuple(self.account.subaccount_balances())
            except ExchangeError as error:
                if error.status not in (403, 404):  # A key of one subaccount may not read the others.
                    raise
            return ()

        return self.once("pockets", look)

    @property
    def stream(self) -> tuple[Verdict, str, str]:
        """Return the verdict, detail and hint of a connection to the stream."""
        return self.once("stream", lambda: self._try_stream(self.left_s))

    # -- the state file -------------------------------------------------------------------------------------------

    @property
    def store(self) -> Store | None:
        """Return the state file of the account; None if it does not exist yet."""
        return self.once("store", lambda: self.resources.remembered(busy_ms=BUSY_MS))

    def best(self, gained: Money, ts: Ts) -> AccountHigh:
        """Save the account's result and return its highest one ever; a missing state file is created."""
        return self.once("best", lambda: (self.store or self.resources.store).update_account_high(gained, ts))

    @property
    def loop(self) -> LoopRecord:
        """Return the loop that the checks are about."""
        return self.once("loop", self._find_loop)

    def _find_loop(self) -> LoopRecord:
        """Return the requested loop, or the only one that was ever started, else the account's."""
        resources, store = self.resources, self.store
        beside = self.wanted.home or resources.homes[-1]
        other = loop_at(beside, resources.remembered(beside, BUSY_MS))
        if self.wanted.home is not None:
            return other
        own = loop_at(resources.home, store)
        was_started = own.cycle is not None or (own.home / LOCK).exists()  # The lock exists before the first cycle.
        return other if not was_started and (other.who or other.cycle) is not None else own


def loop_at(home: Home, store: Store | None) -> LoopRecord:
    """Return the loop of a home."""
    return LoopRecord(
        mode="" if home.is_at_exchange else home.name,
        home=home.folder,
        store=store,
        who=holder(home.folder / LOCK),
        cycle=store.last_cycle() if store is not None else None,
        halt=store.halt() if store is not None else read_marker_files(home.folder) or NO_HALT,
    )


def measured(label: str, value: float, bound: CheckRange, unit: str = "") -> Measure:
    """Return a measure with its configured range."""
    return Measure(label=label, value=value, unit=unit, warn=bound.warn or "", crit=bound.crit or "")


def could_not_read(subject: str, error: KalshiError) -> Breach:
    """Return an `unknown` breach for a failed read."""
    kinds = ((CredentialsError, "CREDENTIALS"), (StateFileError, "STATE_UNUSABLE"))
    code = next((code for kind, code in kinds if isinstance(error, kind)), "COULD_NOT_LOOK")
    if isinstance(error, CredentialsError) and error.is_clock:
        code = "CLOCK"
    runbook = "disk-full" if error.code == "state_full" else ""
    value, limit = error.message, "a response"
    if isinstance(error, StateFileError):
        value, limit = "; ".join(filter(None, (error.message, error.hint))), "a usable file"
    return Breach(subject=subject, value=value, limit=limit, severity="unknown", code=code, runbook=runbook)


def in_doubt(check: str, error: KalshiError) -> CheckReport:
    """Return the report of a check whose reads failed."""
    breach = could_not_read(check, error)
    return report(check, breach.value, [breach])


def run_part(subject: str, look: Callable[[], Iterable[Breach]]) -> list[Breach]:
    """Return the breaches of a part of a check; if its reads fail, an `unknown` breach."""
    try:
        return list(look())
    except KalshiError as error:
        return [could_not_read(subject, error)]


AHEAD_MS = 5_000
"""Tolerance for saved times in the future; beyond it the clock was set back since."""


def from_the_future(subject: str, written: Ts, now: Ts) -> list[Breach]:
    """Return an `unknown` breach if a saved time is in the future: its age cannot be determined."""
    if written - now <= AHEAD_MS:
        return []
    value = f"recorded {(written - now) / 1000:.0f} s in the future; was the clock set back?"
    return [Breach(subject=subject, value=value, limit="a time in the past", severity="unknown", code="CLOCK")]


AGAIN_S = 0.5

MONTH_MS = 30 * 86_400_000


def confirm_by_second_read(readings: CheckData, look: Callable[[], list[Breach]], *names: str) -> list[Breach]:
    """Return the breaches that two reads in a row find: a change between two reads is no breach.

    `names` are read again for the second. If a part of the second read fails, the first result stays.
    """
    first = look()
    if not any(breach.severity in ("critical", "warning") for breach in first):
        return first
    readings.clock.sleep(AGAIN_S)
    readings.forget(*names)
    second = run_part("second read", look)
    doubts = [breach for breach in second if breach.severity == "unknown"]
    keys = {(breach.code, breach.subject) for breach in first}
    again = {(breach.code, breach.subject): breach for breach in second if (breach.code, breach.subject) in keys}
    if not doubts:
        return list(again.values())
    standing = [again.get((breach.code, breach.subject), breach) for breach in first]
    return [*standing, *(breach for breach in doubts if breach not in standing)]
