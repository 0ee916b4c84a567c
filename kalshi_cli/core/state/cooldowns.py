"""The time after a loss in which a strategy opens nothing in the market of the loss."""

from __future__ import annotations

from kalshi_cli.base.units import Ts, format_ts, pluralize
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState

MAX_DOUBLED = 9
"""A cooldown doubles with each further loss, at most this many times: from one minute to eight and a half hours."""


def cooldown_reason(state: EngineState, limits: RiskLimits, ticker: str, strategy: str) -> str:
    """Return why a strategy opens nothing in a market after it has closed at a loss there; empty without a cooldown.

    The time doubles with each further loss that was not earned back: a party that makes the only prices there could
    otherwise sell high to the strategy and buy back low forever. A close whose fills are in transit also blocks,
    because its loss is unknown.
    """
    if not limits.cooldown_after_loss_ms:
        return ""
    if _is_closing_untold(state, ticker, strategy):
        return "waiting for the fills of a close"
    losses = state.losses(strategy, ticker)
    if losses.at is None:
        return ""
    doubled = min(max(0, losses.rounds - 1), MAX_DOUBLED)
    until = Ts(losses.at + limits.cooldown_after_loss_ms * 2**doubled)
    if state.now >= until:
        return ""
    return f"cooling down until {format_ts(until)} after {pluralize(losses.rounds, 'losing trade')}"


def _is_closing_untold(state: EngineState, ticker: str, strategy: str) -> bool:
    """Return whether a response reported a closing trade of the strategy whose fills are in transit."""
    untold = [order for order, _ in state.orders.untold(ticker) if order.strategy == strategy]
    if not untold:
        return False
    is_both_ways = len({order.side for order in untold}) > 1
    return is_both_ways or any(
        state.share(ticker, strategy, order.subaccount).qty * order.side.sign < 0 for order in untold
    )
