"""Records of the state file beside orders, fills and positions: halts, heartbeats, locks."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.errors import ExitCode, HaltedError, StateFileError
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.account.closed_markets import StrategyResult
from kalshi_cli.core.account.pnl import ProfitAndLoss
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.monitoring.source_watch import Source

ALL_TIME = Ts(0)
"""The start of time: everything."""
NEVER = Ts(2**62)
"""A time after every booking: only what is open is counted."""
ALL_FILLS = 2**63 - 1
"""A number that no market's fills exceed."""
PAUSED = "PAUSED"
"""The code of a halt that is only a pause: a loop continues after it by itself, and may be started during it."""
ALERT_REASON_PREFIX = "alert "
"""The start of the reason of a pause that an alert made."""
STATE_MOVED = "STATE_MOVED"
"""The code of the error for an order whose review did not count an order of another program."""
DUPLICATE_INTENT = "state_duplicate_intent"
"""The code of the error for a new order whose client order id is on file."""


class Halt(msgspec.Struct, frozen=True):
    """The durable trading state and its reason."""

    state: TradingState
    code: str
    reason: str
    since: Ts

    @property
    def is_pause(self) -> bool:
        """Return whether it is a pause, which ends without an investigation."""
        return self.state is TradingState.HALTED and self.code == PAUSED

    @property
    def standing(self) -> str:
        """Return the state as shown: a pause is `paused`."""
        return "paused" if self.is_pause else self.state.value

    @property
    def is_final(self) -> bool:
        """Return whether only a manual resume ends it: a service manager must not restart the loop."""
        return self.state is TradingState.HALTED and self.code != PAUSED

    @property
    def alert(self) -> str:
        """Return the code of the alert that paused trading; "" for a manual pause and for any other state."""
        is_by_alert = self.is_pause and self.reason.startswith(ALERT_REASON_PREFIX)
        return self.reason.removeprefix(ALERT_REASON_PREFIX).split(" ")[0] if is_by_alert else ""

    @property
    def is_wrong(self) -> bool:
        """Return whether trading is restricted by something else than a deliberate pause."""
        return self.state is not TradingState.ACTIVE and not (self.is_pause and not self.alert)


class ConcurrentChangeError(HaltedError):
    """Not saved, so not to be sent: the state file changed after the review. Review the order again.

    REDUCING: trading became stricter. LOCKED: its market was locked. STATE_MOVED: other programs placed or amended
    `orders`, which the review did not count.
    """

    def __init__(self, message: str, *, code: str = "", orders: tuple[Order, ...] = ()) -> None:
        super().__init__(message, hint="kalshi status", code=code)
        self.orders = orders


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The last completed pass of a trade loop, which `status` and `check heartbeat` read."""

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
    """The delay of the latest order book message of this pass; None without one."""
    no_book: str = ""
    """Open markets of the run without a reliable order book, and why."""
    waiting: str = ""
    """Strategies that cannot decide yet, and the inputs that they lack."""
    gained: Money | None = None
    """The total gain of the account: realized minus fees, plus open. Without deposits and withdrawals."""
    stopped_by: str = ""
    """The cause of a graceful end of the run: a signal, a command, its time limit, an error."""
    exit_code: int | None = None
    """The exit code of the run; None while it runs, after a kill, and for a run of an older version."""
    sources: str = ""
    """The outside sources of the loop, in JSON; `listened_to` reads them."""

    @property
    def listened_to(self) -> tuple[Source, ...]:
        """Return the outside sources as of this pass."""
        if not self.sources:
            return ()
        try:
            return msgspec.json.decode(self.sources, type=prepared(tuple[Source, ...]))
        except (msgspec.MsgspecError, RecursionError) as error:
            raise StateFileError(f"Cannot read the sources of the last heartbeat: {error}") from error

    @property
    def ended_in_order(self) -> bool:
        """Return whether the run recorded its end, and none of its orders may have been live then."""
        return not self.is_running and self.exit_code != ExitCode.UNKNOWN_OUTCOME


class AccountHigh(msgspec.Struct, frozen=True):
    """The highest gain of the account and its time, from which a drawdown is measured."""

    gained: Money
    ts: Ts


class CashBaseline(msgspec.Struct, frozen=True):
    """Cash that neither trading nor deposits and withdrawals explain at that time: the cash before all of them."""

    cash: Money
    ts: Ts


class KeyRestriction(msgspec.Struct, frozen=True):
    """The only subaccount that an API key may use; None for all."""

    key_id: str
    subaccount: int | None


class MarketLock(msgspec.Struct, frozen=True):
    """A market in which the user allows no new position until then."""

    ticker: str
    until: Ts
    reason: str
    since: Ts


class RunGroup(msgspec.Struct, frozen=True):
    """An order group that a run made at the exchange: one on each shard, used again after a crash."""

    group_id: str
    exchange_index: int
    is_triggered: bool = False


class Undelivered(msgspec.Struct, frozen=True):
    """Notices that a channel did not accept, and its last error."""

    sink: str
    count: int
    error: str


class ClosedResult(msgspec.Struct, frozen=True):
    """The result of a closed market (`strategy` is empty), or of a strategy in all of them (`ticker` is empty).

    `event_ticker` is empty for a market without a settlement.
    """

    ticker: str
    event_ticker: str
    strategy: str
    realized: Money
    fees: Money
    wins: int
    losses: int

    def add_to(self, part: ProfitAndLoss) -> None:
        """Add this result to profit and loss."""
        part.add(realized=self.realized, fees=self.fees)
        part.wins += self.wins
        part.losses += self.losses


class CountedEdge(msgspec.Struct, frozen=True, kw_only=True):
    """The edge of strategies over all of history, and the time at which it was counted."""

    sigma: float | None
    fills: int
    events: int
    counted: Ts


class Recount(msgspec.Struct, frozen=True, kw_only=True):
    """The closed markets whose saved result is wrong, and the market after which the next recount goes on, or ""."""

    wrong: tuple[str, ...]
    after: str


class CountedHistory(msgspec.Struct, frozen=True, kw_only=True):
    """The part of history that a report counts entry by entry, and the results of all other markets."""

    fills: tuple[Fill, ...]
    settlements: tuple[Settlement, ...]
    orders: tuple[Order, ...]
    """The orders of the fills."""
    closed: tuple[ClosedResult, ...]


class RecoveredState(msgspec.Struct, frozen=True, kw_only=True):
    """The saved state that a start needs: order requests, positions, and how far fills were read.

    The fills and settlements are those of open markets; `closed` has the results of all others.
    """

    orders: tuple[Order, ...]
    fills: tuple[Fill, ...]
    settlements: tuple[Settlement, ...]
    halt: Halt
    closed: tuple[StrategyResult, ...] = ()
    locks: tuple[MarketLock, ...] = ()
    best: AccountHigh | None = None
    api_guard_at: Ts | None = None
    """The time at which API_GUARD tripped, unless a resume came since; `halt` names only the first cause."""


NO_HALT = Halt(TradingState.ACTIVE, "", "", ALL_TIME)
"""The trading state before it was ever changed."""
