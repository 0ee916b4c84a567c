"""What the program remembers, in the domain's words. `sqlite.py` is the one implementation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

import msgspec

from kalshi_cli.base.errors import ExitCode, HaltedError, StateError
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.model.effects import Alert, Denied, Effect
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.monitoring.request_traffic import Minute
from kalshi_cli.core.monitoring.source_watch import Source

if TYPE_CHECKING:
    from kalshi_cli.store.alerting import AlertBook

EVER = Ts(0)
"""Since the beginning."""

RESUMED = "resumed"
"""The mark that a person resumed, for alerting, which looks now and then: the loop may have stopped again by then."""

PAUSED = "PAUSED"
"""The code of a halt that is only a pause: a loop goes on after it by itself, and may be started into it."""

BY_ALERT = "alert "
"""How the reason of a pause begins that an alert made, and no person."""


class Halt(msgspec.Struct, frozen=True):
    """The durable trading state, and why it is what it is."""

    state: TradingState
    code: str
    reason: str
    since: Ts

    @property
    def is_pause(self) -> bool:
        """A halt that waits for its end, and needs no person to look into anything."""
        return self.state is TradingState.HALTED and self.code == PAUSED

    @property
    def is_final(self) -> bool:
        """A halt that only a person ends: what runs under a service manager must not be restarted."""
        return self.state is TradingState.HALTED and self.code != PAUSED

    @property
    def is_wrong(self) -> bool:
        """A halt, trading that only reduces, a pause by an alert: nobody paused it on purpose."""
        is_on_purpose = self.is_pause and not self.reason.startswith(BY_ALERT)
        return self.state is not TradingState.ACTIVE and not is_on_purpose


class MovedError(HaltedError):
    """Not written down, so not to be sent: the review knew less than the state file does. Review it again.

    With the code REDUCING trading became stricter since, with LOCKED its market was locked; with STATE_MOVED other
    programs began or amended `orders`, and against them the limits were not held.
    """

    def __init__(self, message: str, *, code: str, orders: tuple[Order, ...] = ()) -> None:
        super().__init__(message, hint="kalshi status", code=code)
        self.orders = orders


class Cycle(msgspec.Struct, frozen=True, kw_only=True):
    """The last completed pass of a trade loop: what `status` and `check heartbeat` read."""

    run_id: str
    pid: int
    mode: str
    strategy: str
    started: Ts
    completed: Ts
    cycles: int
    is_running: bool
    feed_age_ms: int | None = None
    cash: Money | None = None
    day_pnl: Money | None = None
    feed_lag_ms: int | None = None
    """How late the latest message about a book came in this cycle; None where none came."""
    no_book: str = ""
    """Open markets of the run without a book that can be believed, and why."""
    waiting: str = ""
    """Strategies that cannot decide yet, and what they lack."""
    gained: Money | None = None
    """What the account ever gained: realized, less fees, and what is open. No deposit or withdrawal is in it."""
    stopped_by: str = ""
    """What ended the run, once it ended in good order: a signal, a command, its time, an error."""
    exit_code: int | None = None
    """What the program ended with then; None while it runs, where it was killed, and of a run of an older version."""
    sources: str = ""
    """The outside sources that the loop listens to, in JSON; `listened_to` reads them."""

    @property
    def listened_to(self) -> tuple[Source, ...]:
        """The outside sources, as of this cycle."""
        if not self.sources:
            return ()
        try:
            return msgspec.json.decode(self.sources, type=tuple[Source, ...])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise StateError(f"the sources of the last cycle cannot be read: {error}") from error

    @property
    def ended_in_order(self) -> bool:
        """Whether the run wrote down its end, and none of its orders may have been live then."""
        return not self.is_running and self.exit_code != ExitCode.UNKNOWN_OUTCOME


def pack_sources(sources: tuple[Source, ...]) -> str:
    """Return what `Cycle.sources` holds of them."""
    return msgspec.json.encode(sources).decode() if sources else ""


class Best(msgspec.Struct, frozen=True):
    """The most that the account was ever seen to have gained, and when: where a drawdown is counted from."""

    gained: Money
    ts: Ts


class CashBase(msgspec.Struct, frozen=True):
    """Cash that neither trading nor deposits and withdrawals explain, as it was then: what was there before them."""

    cash: Money
    ts: Ts


class KeyLock(msgspec.Struct, frozen=True):
    """The only subaccount that an API key may touch; None where it may touch any."""

    key_id: str
    subaccount: int | None


class MarketLock(msgspec.Struct, frozen=True):
    """A market in which nothing is opened until then, because a person said so."""

    ticker: str
    until: Ts
    reason: str
    since: Ts


class RunGroup(msgspec.Struct, frozen=True):
    """An order group that a run made at the exchange: one on each shard, taken up again after a crash."""

    group_id: str
    exchange_index: int
    is_triggered: bool = False


class Undelivered(msgspec.Struct, frozen=True):
    """Alerts that a sink did not take, and what it said last."""

    sink: str
    count: int
    error: str


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a start needs: what we meant, what we hold, and how far we have read."""

    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    settlements: tuple[Settlement, ...]
    halt: Halt
    locks: tuple[MarketLock, ...] = ()
    best: Best | None = None
    api_guard_at: Ts | None = None
    """The time at which API_GUARD tripped, if no resume came since; `halt` names the first cause only."""


NO_HALT = Halt(TradingState.ACTIVE, "", "", EVER)
"""The trading state where nobody ever moved it."""


class Notebook(Protocol):
    """The part of a store that placing an order needs."""

    def record(self, effect: Effect) -> None:
        """Commit what must survive: SubmitOrder, OrderChanged, FillBooked, SettlementBooked, StateChanged, Denied,
        Alert.

        Returns only after intents, fills, settlements and halts are on disk. Anything else is not kept. The store has
        no opinion on what follows from what: the engine decides, the store writes it down.

        HaltedError where an order may not begin any more, MovedError where it must be reviewed again first.
        """
        ...

    def together(self) -> AbstractContextManager[None]:
        """Whatever is recorded meanwhile is committed at the end, all or nothing: for what can be read again."""
        ...

    def load(self) -> Memory:
        """Orders that were live, moved since the oldest open position or were begun last; all fills and settlements."""
        ...

    def news(self) -> tuple[Order, ...]:
        """Orders begun or amended since `load`, or since the last look: those of other programs are among them."""
        ...

    def order(self, any_id: str) -> Order | None:
        """The order with this id, ours or theirs."""
        ...

    def halt(self) -> Halt:
        """The trading state as of now; another process may have changed it. Cheap: read before every send.

        HALTED with the code PAUSED while there is a pause, unless a halt is there as well.
        """
        ...


class Store(Notebook, Protocol):
    """One account of one environment. Every method may raise StateError; nothing is lost silently."""

    alert_book: AlertBook

    def set_halt(self, halt: Halt) -> None:
        """Move the durable trading state, whatever it was: what a person decided.

        One who trades on after a guard let only closing orders through counts a drawdown from there on.
        """
        ...

    def lock_market(self, lock: MarketLock) -> None:
        """Nothing is opened in this market, whatever was said of it before; what is over by `since` is forgotten."""
        ...

    def unlock_market(self, ticker: str) -> bool:
        """End it before its time; whether there was one."""
        ...

    def market_locks(self) -> tuple[MarketLock, ...]:
        """All that were set and not ended, by market; some may be over by now."""
        ...

    def keep_group(self, group: RunGroup) -> None:
        """Remember an order group of a run."""
        ...

    def forget_group(self, group_id: str) -> None:
        """It is gone at the exchange."""
        ...

    def groups(self) -> tuple[RunGroup, ...]:
        """Those that are remembered, by shard."""
        ...

    def beat(self, cycle: Cycle) -> None:
        """Write the heartbeat row of a completed cycle."""
        ...

    def add_traffic(self, minutes: Sequence[Minute]) -> None:
        """Add these counts to those of the same minutes."""
        ...

    def traffic(self, since: Ts) -> tuple[Minute, ...]:
        """What loops counted in each minute from that of `since` on, oldest first."""
        ...

    def stop_under_pause(self) -> Halt:
        """Return the halt or the reduction that holds, also where a pause covers it; ACTIVE where there is neither."""
        ...

    def last_cycle(self) -> Cycle | None:
        """The heartbeat row, if any loop ever completed a cycle here."""
        ...

    def placed(self, client_order_id: str, latency_ms: int) -> None:
        """The exchange answered for this order; so long after it had been decided on. Only informs."""
        ...

    def see_gained(self, gained: Money, ts: Ts) -> Best:
        """The account has gained so much now; the most that was ever seen, this included."""
        ...

    def cash_base(self) -> CashBase | None:
        """From where drift of the cash is counted, if it was ever looked at."""
        ...

    def set_cash_base(self, base: CashBase) -> None:
        """Count it from here on."""
        ...

    def key_lock(self, key_id: str) -> KeyLock | None:
        """What the exchange said of this key; None where it was never asked."""
        ...

    def keep_key_lock(self, lock: KeyLock) -> None:
        """Remember it: a key is made for a subaccount, and stays so."""
        ...

    def orders(self, since: Ts = EVER, ticker: str = "") -> tuple[Order, ...]:
        """Orders that changed since then, oldest first; of one market or of all."""
        ...

    def live_orders(self) -> tuple[Order, ...]:
        """Orders that may still trade, as far as was written down."""
        ...

    def fills(self, since: Ts = EVER) -> tuple[Fill, ...]:
        """Fills since then, in the order of their time."""
        ...

    def placements(self) -> dict[str, int]:
        """How long orders took to be placed (ms), by our id: the last of them."""
        ...

    def settlements(self, since: Ts = EVER) -> tuple[Settlement, ...]:
        """Settlements since then, in the order of their time."""
        ...

    def denials(self, since: Ts, ticker: str = "") -> dict[str, dict[str, int]]:
        """How often each control refused each strategy ("" is people), by code, the most frequent first, from the
        minute of `since` on; in one market or in all."""
        ...

    def last_denials(self, since: Ts, ticker: str = "") -> tuple[Denied, ...]:
        """The latest refusal of each minute and cause, newest first; at most 100."""
        ...

    def alerts(self, since: Ts = EVER) -> tuple[Alert, ...]:
        """Alerts since then, newest first; at most 1,000."""
        ...

    def undelivered(self, since: Ts, before: Ts) -> tuple[Undelivered, ...]:
        """By sink: notices that were given up since `since`, or wait since before `before`."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...


class Glance:
    """A store that is looked at and never written to: what a dry run sees. Without a state file it is empty."""

    def __init__(self, store: Store | None) -> None:
        self._store = store

    def record(self, effect: Effect) -> None:
        """Forget it."""

    def together(self) -> AbstractContextManager[None]:
        return nullcontext()

    def load(self) -> Memory:
        if self._store is not None:
            return self._store.load()
        return Memory(orders=(), fills=(), settlements=(), halt=NO_HALT)

    def news(self) -> tuple[Order, ...]:
        return self._store.news() if self._store is not None else ()

    def order(self, any_id: str) -> Order | None:
        return self._store.order(any_id) if self._store is not None else None

    def halt(self) -> Halt:
        return self._store.halt() if self._store is not None else NO_HALT
