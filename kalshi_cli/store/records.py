"""What the state file keeps beside orders, fills and positions: halts, cycles, locks."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.errors import ExitCode, HaltedError, StateFileError
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.monitoring.source_watch import Source

ALL_TIME = Ts(0)
"""Since the beginning."""
PAUSED = "PAUSED"
"""The code of a halt that is only a pause: a loop goes on after it by itself, and may be started into it."""
ALERT_REASON_PREFIX = "alert "
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
    def standing(self) -> str:
        """Return what people call it."""
        return "paused" if self.is_pause else self.state.value

    @property
    def is_final(self) -> bool:
        """A halt that only a person ends: what runs under a service manager must not be restarted."""
        return self.state is TradingState.HALTED and self.code != PAUSED

    @property
    def is_wrong(self) -> bool:
        """A halt, trading that only reduces, a pause by an alert: nobody paused it on purpose."""
        is_on_purpose = self.is_pause and not self.reason.startswith(ALERT_REASON_PREFIX)
        return self.state is not TradingState.ACTIVE and not is_on_purpose


class ConcurrentChangeError(HaltedError):
    """Not written down, so not to be sent: the review knew less than the state file does. Review it again.

    With the code REDUCING trading became stricter since, with LOCKED its market was locked; with STATE_MOVED other
    programs began or amended `orders`, and against them the limits were not held.
    """

    def __init__(self, message: str, *, code: str = "", orders: tuple[Order, ...] = ()) -> None:
        super().__init__(message, hint="kalshi status", code=code)
        self.orders = orders


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
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
            raise StateFileError(f"the sources of the last cycle cannot be read: {error}") from error

    @property
    def ended_in_order(self) -> bool:
        """Whether the run wrote down its end, and none of its orders may have been live then."""
        return not self.is_running and self.exit_code != ExitCode.UNKNOWN_OUTCOME


class AccountHigh(msgspec.Struct, frozen=True):
    """The most that the account was ever seen to have gained, and when: where a drawdown is counted from."""

    gained: Money
    ts: Ts


class CashBaseline(msgspec.Struct, frozen=True):
    """Cash that neither trading nor deposits and withdrawals explain, as it was then: what was there before them."""

    cash: Money
    ts: Ts


class KeyRestriction(msgspec.Struct, frozen=True):
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


class RecoveredState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a start needs: what we meant, what we hold, and how far we have read."""

    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    settlements: tuple[Settlement, ...]
    halt: Halt
    locks: tuple[MarketLock, ...] = ()
    best: AccountHigh | None = None
    api_guard_at: Ts | None = None
    """The time at which API_GUARD tripped, if no resume came since; `halt` names the first cause only."""


NO_HALT = Halt(TradingState.ACTIVE, "", "", ALL_TIME)
"""The trading state where nobody ever moved it."""
