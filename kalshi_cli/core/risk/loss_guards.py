"""Guards of the capital: the loss of a trading day, and the fall from the best the account was ever seen at."""

from __future__ import annotations

from collections.abc import Callable

from kalshi_cli.base.units import Money, Ts, show_money
from kalshi_cli.core.model.effects import Effect
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.trading_day import TradingDayTotals

LOSS_CONFIRM_MS = 15_000
"""How long a loss that our own quotes hide must show at every look: an order on its way looks like one for a moment.
More than the oldest book that is traded on by default, and than the longest way from one read of the account to the
next."""

Tighten = Callable[[TradingState, str, str, str], list[Effect]]
"""The state to move to, a code, what it is about, and why."""


class Lasting:
    """Whether something is so for `LOSS_CONFIRM_MS`, at every look since."""

    def __init__(self, state: EngineState) -> None:
        self._state = state
        self._since: Ts | None = None

    def look(self, *, is_so: bool) -> bool:
        if not is_so:
            self._since = None
            return False
        if self._since is None or self._since > self._state.now:  # by a clock that was set back
            self._since = self._state.now
        return self._state.now - self._since >= LOSS_CONFIRM_MS


class _CapitalGuard:
    """A guard that holds what was lost against a limit; None is no limit."""

    def __init__(self, state: EngineState, limit: Money | None, tighten: Tighten, day: TradingDayTotals) -> None:
        self._state = state
        self._limit = limit
        self._tighten = tighten
        self._day = day
        self._hidden = Lasting(state)


class LossLimit(_CapitalGuard):
    """DAILY_LOSS: the trading day lost more than it may. Only what makes a position smaller is still sent.

    At once with the best prices of the books as they are; at what others quote, where that lasts.
    """

    def count(self) -> Money:
        net = self._state.day_net = self._day.net()
        return net

    def check(self) -> list[Effect]:
        if self._limit is None:
            return []
        lost, hidden = -self.count(), self._day.held_up()
        if self._hidden.look(is_so=lost + hidden > self._limit):
            lost += hidden
        if lost <= self._limit or self._state.trading is not TradingState.ACTIVE:
            return []
        text = (
            f"lost {show_money(Money(lost))} today, the limit is {show_money(self._limit)} (risk.max_daily_loss); only "
            "orders that close are sent. `kalshi resume --reason TEXT` ends it, tomorrow or with another limit"
        )
        return self._tighten(TradingState.REDUCING, "DAILY_LOSS", "account", text)


class Drawdown(_CapitalGuard):
    """DRAWDOWN: the account is further below the best it was seen at than it may be, whatever day it is.

    Counted as `check pnl` does: realized less fees, and what is open at what it could be closed at; money that came or
    went is in neither. The best is at what others quote; the fall from it as the day's loss is. The best is kept in the
    state file, and begins again when a person resumes.
    """

    def check(self) -> list[Effect]:
        if self._limit is None:
            return []
        fall = self._fall(self._limit)
        if fall <= self._limit or self._state.trading is not TradingState.ACTIVE:
            return []
        text = (
            f"{show_money(fall)} below the best it was seen at, the limit is {show_money(self._limit)} "
            "(risk.max_drawdown); only orders that close are sent. `kalshi resume --reason TEXT` counts from there on"
        )
        return self._tighten(TradingState.REDUCING, "DRAWDOWN", "account", text)

    def accept(self) -> None:
        """A person trades on from here: a fall that was too deep is counted from here on."""
        if self._limit is not None and self._fall(self._limit) > self._limit:
            self._state.best_gained = None

    def _fall(self, limit: Money) -> Money:
        """What has no price counts at its cost, and then this is not remembered as the best."""
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
