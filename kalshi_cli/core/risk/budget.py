"""What one strategy has at risk, and the control that holds it to its budget."""

from __future__ import annotations

from kalshi_cli.base.units import Money, format_money
from kalshi_cli.core.account.exposure import CLASSIC
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.sizing import NO_ALLOTMENT
from kalshi_cli.core.account.worst_case import LiveOrderRisk, live_part, max_loss
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.risk.exposure_controls import Objection
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState


def budget(state: EngineState, limits: RiskLimits, intent: Place, strategy: str) -> Objection | None:
    """A strategy puts at risk no more than its budget; what does not add to its risk always passes."""
    limit = limits.allotments.get(strategy, NO_ALLOTMENT).budget
    if limit is None:
        return None
    before, after = at_risk(state, strategy), at_risk(state, strategy, intent)
    if after <= before or after <= limit:
        return None
    return "BUDGET", f"worst_loss={format_money(after)} limit={format_money(limit)}"


def at_risk(state: EngineState, strategy: str, extra: Place | None = None) -> Money:
    """The most that what a strategy holds can still lose, with all its live orders in their worst combination.

    Its own holdings alone, of each market and subaccount; what others hold there takes nothing off. `extra` is one more
    order on top of the live ones.
    """
    lives: dict[tuple[str, int], list[LiveOrderRisk]] = {}
    for subaccount, ticker in state.by_strategy.get(strategy, Ledger()).positions:
        if state.share(ticker, strategy, subaccount).qty:
            lives.setdefault((ticker, subaccount), [])
    for order in state.orders.live():
        if order.strategy == strategy:
            part = live_part(order, state.fees.get(order.ticker, CLASSIC))
            lives.setdefault((order.ticker, order.subaccount), []).append(part)
    for order, qty in state.orders.untold():
        if order.strategy == strategy:
            lives.setdefault((order.ticker, order.subaccount), []).append(LiveOrderRisk(order.side, order.price, qty))
    if extra is not None:
        fee = estimate(state.fees.get(extra.ticker, CLASSIC), extra.price, extra.qty, is_taker=not extra.post_only)
        part = LiveOrderRisk(extra.side, extra.price, extra.qty, fee)
        lives.setdefault((extra.ticker, extra.subaccount), []).append(part)
    worst = 0
    for (ticker, subaccount), live in lives.items():
        held = state.share(ticker, strategy, subaccount)
        worst += max_loss(held.qty, held.cost, live).worst
    return Money(worst)
