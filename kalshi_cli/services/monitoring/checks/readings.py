"""What the checks of one run look at: each thing is read once, when the first of them asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar, cast

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import CredentialsError, ExchangeError, KalshiError, StateFileError, UnreachableError
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.config.config import Config
from kalshi_cli.config.schema import CheckRange
from kalshi_cli.core.model.exchange import ExchangeStatus
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.model.positions import Balance, ExchangePosition
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, Verdict, report
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.funds import SubaccountBalance
from kalshi_cli.exchange.wire.values import ResponseFormatError
from kalshi_cli.services.account.portfolio import Portfolio, read
from kalshi_cli.services.resources import Home
from kalshi_cli.store.halt_file import read_marker_files
from kalshi_cli.store.lock import LockHolder, holder
from kalshi_cli.store.records import NO_HALT, AccountHigh, Halt, Heartbeat
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.telemetry.request_counts import RequestCounters

T = TypeVar("T")

LOCK = "trade.lock"
"""The file that a loop holds while it runs; it is left behind by every one that was started."""


class LoopRecord(msgspec.Struct, frozen=True, kw_only=True):
    """The loop that a check is about: who holds its lock now, and what it wrote last. `mode` is "" at the
    exchange.
    """

    mode: str
    home: Path
    store: Store | None
    who: LockHolder | None
    cycle: Heartbeat | None
    halt: Halt

    @property
    def is_of_account(self) -> bool:
        """It trades at the exchange, and looks after the account's orders."""
        return not self.mode

    @property
    def pulse(self) -> Heartbeat | None:
        """The last cycle of the run that holds the lock now; None where none runs, or while it starts."""
        cycle = self.cycle
        is_its_own = cycle is not None and self.who is not None and cycle.pid == self.who.pid and cycle.is_running
        return cycle if is_its_own else None


class CheckData:
    """One look at the account and at what is remembered of it, for one check or for all.

    What could not be read is not tried again in this run: each further try would only wait. After the first read that
    got no answer the exchange is not asked anything more. `connect`, `connect_unsigned`, `learn_key`, `remembered` and
    `find_loop`, given the state file, are asked once, when they are needed; `remember` makes a state file.
    `try_stream` connects for so many seconds at most, and says how that went; `try_routes` asks each route in use once,
    as well; `seen` counts what this run asks.
    """

    def __init__(
        self,
        config: Config,
        limits: RiskLimits,
        clock: Clock,
        *,
        connect: Callable[[], KalshiClient],
        connect_unsigned: Callable[[], KalshiClient],
        learn_key: Callable[[], object],
        remembered: Callable[[], Store | None],
        remember: Callable[[], Store],
        find_loop: Callable[[Store | None], LoopRecord],
        try_stream: Callable[[float], tuple[Verdict, str, str]],
        try_routes: Callable[[float], CheckReport],
        seen: RequestCounters,
        within_s: float,
        is_stop_allowed: bool = False,
        is_accepted: bool = False,
    ) -> None:
        self.config = config
        self.checks = config.checks
        self.limits = limits
        self.clock = clock
        self.is_stop_allowed = is_stop_allowed
        self.is_accepted = is_accepted
        self._connect = connect
        self._connect_unsigned = connect_unsigned
        self._learn_key = learn_key
        self._remembered = remembered
        self._remember = remember
        self._find_loop = find_loop
        self._try_stream = try_stream
        self._try_routes = try_routes
        self.seen = seen
        self._until = clock.monotonic() + within_s
        self._found: dict[str, object] = {}
        self._silent: UnreachableError | None = None

    def once(self, name: str, look: Callable[[], T]) -> T:
        """What a read brings, or its error, again for whoever asks under the same name."""
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
        """Read these again, once they are asked for."""
        for name in names:
            self._found.pop(name, None)

    @property
    def left_s(self) -> float:
        """How long this run may still look."""
        return self._until - self.clock.monotonic()

    @property
    def client(self) -> KalshiClient:
        """The exchange; UnreachableError where it did not answer before, or no time is left to ask it."""
        return self._asked("client", self._connect)

    @property
    def account(self) -> KalshiClient:
        """The same, once it is known what time it is there, by which a reply that something on the way kept shows; and
        which subaccount the key is locked to: it names that in what it asks.
        """
        client = self.client
        self.once("clock", client.measure_clock_skew)
        self.once("key", self._learn_key)
        return client

    @property
    def public(self) -> KalshiClient:
        """The same without a key, for what needs none: what is wrong with the key is told where that is needed."""
        return self._asked("public client", self._connect_unsigned)

    def _asked(self, name: str, connect: Callable[[], KalshiClient]) -> KalshiClient:
        if self._silent is not None:
            raise self._silent
        if self.left_s <= 0:
            raise UnreachableError("no time was left to look", code="too_slow")
        return self.once(name, connect)

    # -- the account, as the exchange states it -------------------------------------------------------------------

    @property
    def portfolio(self) -> Portfolio:
        """Every fill and settlement, and what they add up to."""
        return self.once("portfolio", lambda: read(self.account))

    @property
    def balance(self) -> Balance:
        """Cash of the primary subaccount."""
        return self.once("balance", lambda: self.account.balance())

    @property
    def cash(self) -> Money:
        """Cash of all subaccounts and shards."""
        return Money(sum(each.balance for each in self.pockets)) if self.pockets else self.balance.cash

    @property
    def subaccounts(self) -> tuple[int, ...]:
        """Those that hold cash or have resting orders; the primary one, or that of the key, is always among them."""
        cash = {each.subaccount for each in self.pockets}
        return tuple(sorted({self.account.lock or 0} | cash | {order.subaccount for order in self.resting}))

    @property
    def positions(self) -> dict[tuple[int, str], ExchangePosition]:
        """By subaccount and market."""

        def look() -> dict[tuple[int, str], ExchangePosition]:
            found = {}
            for number in self.subaccounts:
                for position in self.account.positions(subaccount=number or None):
                    found[number, position.ticker] = position
            return found

        return self.once("positions", look)

    @property
    def resting(self) -> tuple[Order, ...]:
        """All resting orders, of all subaccounts, whoever placed them."""
        return self.once("resting", lambda: tuple(self.account.orders(status="resting")))

    @property
    def exchange_status(self) -> ExchangeStatus:
        """Whether the exchange and trading are up."""
        return self.once("exchange status", lambda: self.public.exchange_status())

    @property
    def pockets(self) -> tuple[SubaccountBalance, ...]:
        """Cash by subaccount and shard; nothing where this account or key has no subaccounts to show."""

        def look() -> tuple[SubaccountBalance, ...]:
            try:
                return tuple(self.account.subaccount_balances())
            except ExchangeError as error:
                if error.status not in (403, 404):  # a key of one subaccount may not look at the others
                    raise
            return ()

        return self.once("pockets", look)

    @property
    def stream(self) -> tuple[Verdict, str, str]:
        """Whether the stream lets us in and answers, in words, and what to do where it does not."""
        return self.once("stream", lambda: self._try_stream(self.left_s))

    @property
    def routes(self) -> CheckReport:
        """Whether each route in use still answers what we read."""
        return self._try_routes(self.left_s)

    # -- what is remembered here ----------------------------------------------------------------------------------

    @property
    def store(self) -> Store | None:
        """The state file of the account; None where there is none yet."""
        return self.once("store", self._remembered)

    def best(self, gained: Money, ts: Ts) -> AccountHigh:
        """The most that the account was ever seen to have gained, with what it has now; a state file is made for it."""
        return self.once("best", lambda: (self.store or self._remember()).update_account_high(gained, ts))

    @property
    def loop(self) -> LoopRecord:
        """The loop that should run here."""
        return self.once("loop", lambda: self._find_loop(self.store))


def loop_at(home: Home, store: Store | None) -> LoopRecord:
    """Return what a home knows of its loop."""
    return LoopRecord(
        mode="" if home.is_at_exchange else home.name,
        home=home.folder,
        store=store,
        who=holder(home.folder / LOCK),
        cycle=store.last_cycle() if store is not None else None,
        halt=store.halt() if store is not None else read_marker_files(home.folder) or NO_HALT,
    )


def measured(label: str, value: float, bound: CheckRange, unit: str = "") -> Measure:
    """A number with its configured thresholds."""
    return Measure(label=label, value=value, unit=unit, warn=bound.warn or "", crit=bound.crit or "")


def could_not_read(subject: str, error: KalshiError) -> Breach:
    """What could not be looked at, and why."""
    kinds = ((CredentialsError, "CREDENTIALS"), (StateFileError, "STATE_UNUSABLE"))
    code = next((code for kind, code in kinds if isinstance(error, kind)), "COULD_NOT_LOOK")
    return Breach(subject=subject, value=error.message, limit="an answer", severity="unknown", code=code)


def in_doubt(check: str, error: KalshiError) -> CheckReport:
    """The outcome of a check that could not look at all."""
    return report(check, error.message, [could_not_read(check, error)])


def run_part(subject: str, look: Callable[[], Iterable[Breach]]) -> list[Breach]:
    """The breaches of a part of a check; where that part could not be looked at, that one."""
    try:
        return list(look())
    except KalshiError as error:
        return [could_not_read(subject, error)]


AHEAD_MS = 5_000
"""What was written down so much later than now was written by a clock that was set back since."""


def from_the_future(subject: str, written: Ts, now: Ts) -> list[Breach]:
    """Nobody knows how old that is."""
    if written - now <= AHEAD_MS:
        return []
    value = f"written down {(written - now) / 1000:.0f} s ahead of now: was the clock set back?"
    return [Breach(subject=subject, value=value, limit="a time that is past", severity="unknown", code="CLOCK")]


AGAIN_S = 0.5


def confirm_by_second_read(readings: CheckData, look: Callable[[], list[Breach]], *names: str) -> list[Breach]:
    """What two looks in a row find, where the first finds anything: what moved between two of its reads is no breach.

    `names` are what is read again for the second. Where the second could not look at something, the first stands.
    """
    first = look()
    if not any(breach.severity in ("critical", "warning") for breach in first):
        return first
    readings.clock.sleep(AGAIN_S)
    readings.forget(*names)
    second = run_part("second look", look)
    doubts = [breach for breach in second if breach.severity == "unknown"]
    keys = {(breach.code, breach.subject) for breach in first}
    again = {(breach.code, breach.subject): breach for breach in second if (breach.code, breach.subject) in keys}
    if not doubts:
        return list(again.values())
    standing = [again.get((breach.code, breach.subject), breach) for breach in first]
    return [*standing, *(breach for breach in doubts if breach not in standing)]
