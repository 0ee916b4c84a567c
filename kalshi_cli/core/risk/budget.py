"""The maximum loss of one strategy, and the control that limits it to its budget."""

from __future__ import annotations

from kalshi_cli.base.units import Money
from kalshi_cli.core.account.exposure import schedule_of
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.sizing import NO_ALLOTMENT
from kalshi_cli.core.account.strategy_positions import UNOWNED_STRATEGY
from kalshi_cli.core.account.worst_case import LiveOrderRisk, live_part, max_loss
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.risk.exposure_controls import Objection, exceeded
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState


def budget(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """Refuse an order that raises a strategy's maximum loss above its budget."""
    limit = limits.allotments.get(strategy, NO_ALLOTMENT).budget
    if limit is None:
        return None
    return exceeded("BUDGET", f"strategy {strategy}", at_risk(state, strategy), at_risk(state, strategy, intent), limit)


def at_risk(state: EngineState, strategy: str, extra: Place | None = None) -> Money:
    """Return the maximum loss of a strategy's positions with its live orders in their worst combination.

    Only its own positions count; other positions in the same market reduce nothing. `extra` adds one more order.
    `UNOWNED_STRATEGY` has what belongs to no strategy.
    """
    lives: dict[tuple[str, int], list[LiveOrderRisk]] = {}
    ledger = state.ledger if strategy == UNOWNED_STRATEGY else state.by_strategy.get(strategy, Ledger())
    for subaccount, ticker in ledger.positions:
        if state.share(ticker, strategy, subaccount).qty:
            lives.setdefault((ticker, subaccount), [])
    for order in state.orders.live():
        if order.strategy == strategy:
            part = live_part(order, schedule_of(state.fees, order.ticker))
            lives.setdefault((order.ticker, order.subaccount), []).append(part)
    for order, qty in state.orders.untold():
        if order.strategy == strategy:
            lives.setdefault((order.ticker, order.subaccount), []).append(LiveOrderRisk(order.side, order.price, qty))
    if extra is not None:
        fee = estimate(schedule_of(state.fees, extra.ticker), extra.price, extra.qty, is_taker=not extra.post_only)
        part = LiveOrderRisk(extra.side, extra.price, extra.qty, fee)
        lives.setdefault((extra.ticker, extra.subaccount), []).append(part)
    worst = 0
    for (ticker, subaccount), live in lives.items():
        held = state.share(ticker, strategy, subaccount)
        worst += max_loss(held.qty, held.cost, live).worst
    return Money(worst)
