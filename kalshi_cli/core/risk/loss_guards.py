"""Guards of the capital: the daily loss, and the drawdown from the account high."""

from __future__ import annotations

from collections.abc import Callable

from kalshi_cli.base.units import Money, Ts, show_money
from kalshi_cli.core.model.effects import Effect
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.trading_day import TradingDayTotals

LOSS_CONFIRM_MS = 15_000
"""How long a loss that our own quotes hide must last: an order in transit looks like one for a moment. It exceeds the
default maximum book age and the longest time between two account reads."""

_REDUCE_ONLY = "Only closing orders are sent; open positions stay until a strategy or `kalshi flatten` closes them"

RESUME_ADVICE = (
    "To trade again: `kalshi resume --reason TEXT` tomorrow; today, first raise the limit, and restart a loop that is "
    "running"
)

Tighten = Callable[[TradingState, str, str, str], list[Effect]]
"""Arguments: the new trading state, a code, a subject and the reason."""


class Lasting:
    """A condition that counts only after it was true at every check for `LOSS_CONFIRM_MS`."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._since: Ts | None = None

    def look(self, *, is_so: bool) -> bool:
        """Note the condition; return whether it has lasted."""
        if not is_so:
            self._since = None
            return False
        if self._since is None or self._since > self._state.now:  # the clock was set back
            self._since = self._state.now
        return self._state.now - self._since >= LOSS_CONFIRM_MS


class _CapitalGuard:
    """A guard that compares a loss with a limit; None is no limit."""

    def __init__(self, state: EngineState, limit: Money | None, tighten: Tighten, day: TradingDayTotals) -> None:
        self._state = state
        self._limit = limit
        self._tighten = tighten
        self._day = day
        self._hidden = Lasting(state)


class LossLimit(_CapitalGuard):
    """DAILY_LOSS: the trading day lost more than the limit. Only reducing orders are sent then.

    A loss at the books' own best prices counts at once; a loss at external prices counts if it lasts.
    """

    def __init__(self, state: EngineState, limits: RiskLimits, tighten: Tighten, day: TradingDayTotals) -> None:
        super().__init__(state, limits.max_daily_loss, tighten, day)
        self._source = ", ".join(filter(None, ("risk.max_daily_loss", limits.daily_loss_source)))
        self._advice = limits.daily_loss_advice or RESUME_ADVICE

    def count(self) -> Money:
        """Return the P&L of the day, and store it in the state."""
        net = self._state.day_net = self._day.net()
        return net

    def check(self) -> list[Effect]:
        """Restrict trading to reducing orders if the day's loss exceeds the limit."""
        if self._limit is None:
            return []
        lost, hidden = -self.count(), self._day.held_up()
        own = ""
        if self._hidden.look(is_so=lost + hidden > self._limit):
            lost += hidden
            own = f" ({show_money(hidden)} of it at prices without your own orders)" if hidden else ""
        if lost <= self._limit or self._state.trading is not TradingState.ACTIVE:
            return []
        unpriced = ", ".join(sorted(self._day.unpriced))
        doubt = f" (price at midnight unknown, so no gain counts: {unpriced})" if unpriced else ""
        if at_cost := self._day.count_at_cost():  # A loop that starts reads its fills before its prices.
            doubt += f" (open positions without a price, counted at cost: {at_cost})"
        text = (
            f"The loss of the day was {show_money(Money(lost))}{own}{doubt}; the limit is {show_money(self._limit)} "
            f"({self._source}). {_REDUCE_ONLY}. {self._advice}"
        )
        return self._tighten(TradingState.REDUCING, "DAILY_LOSS", "account", text)


class Drawdown(_CapitalGuard):
    """DRAWDOWN: the account is further below its high than the limit allows, on whatever day.

    It is counted like `check pnl`: realized profit less fees, plus open positions at their marks; deposits and
    withdrawals do not count. The high uses external prices; the fall from it is measured like the day's loss. The high
    is kept in the state file and starts again when the user resumes.
    """

    def check(self) -> list[Effect]:
        """Restrict trading to reducing orders if the drawdown exceeds the limit."""
        if self._limit is None:
            return []
        fall = self._fall(self._limit)
        if fall <= self._limit or self._state.trading is not TradingState.ACTIVE:
            return []
        text = (
            f"{show_money(fall)} below the account high; the limit is {show_money(self._limit)} (risk.max_drawdown). "
            f"{_REDUCE_ONLY}. `kalshi resume --reason TEXT` restarts the measurement from there"
        )
        return self._tighten(TradingState.REDUCING, "DRAWDOWN", "account", text)

    def accept(self) -> None:
        """Restart the measurement if the drawdown exceeds the limit, because the user resumed trading."""
        if self._limit is not None and self._fall(self._limit) > self._limit:
            self._state.best_gained = None

    def _fall(self, limit: Money) -> Money:
        """Return the drawdown. A position without a price counts at cost, and the high is then not updated."""
        gained, is_certain = self._day.net_since_first_fill()
        hidden, best = self._day.held_up(), self._state.best_gained
        if is_certain and (best is None or gained - hidden > best):
            best = self._state.best_gained = Money(gained - hidden)
        if best is None:
            return Money(0)
        fall = best - gained
        if self._hidden.look(is_so=fall + hidden > limit):
            fall += hidden
        return Money(max(0, fall))
