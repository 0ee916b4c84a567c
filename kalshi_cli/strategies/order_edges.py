"""What an order promises after its fee, where a strategy has a belief of its own; and the order that gets out."""

from __future__ import annotations

from kalshi_cli.base.units import Price, Qty, contracts
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.state.view import StrategyContext


def edge_after_fee(view: StrategyContext, ticker: str, side: Side, price: Price, fair: Price, *, is_taker: bool) -> int:
    """Of one contract at this price, in ten-thousandths of a dollar; below zero where it costs more than it is worth.

    `fair` is what one YES is worth. The fee is rounded up.
    """
    fee = -(-estimate(view.fees(ticker), price, contracts(1), is_taker=is_taker) // 100)
    return (fair - price if side is BID else price - fair) - fee


def exit_at_best(view: StrategyContext, ticker: str, held: Qty, reason: str, fair: Price | None = None) -> Place | None:
    """All that is held, sold or bought back at once at the best price that is there; None where nobody quotes one."""
    book = view.book(ticker)
    side, price = (ASK, book.best_bid) if held > 0 else (BID, book.best_ask)
    if price is None:
        return None
    return Place(ticker, side, price, Qty(abs(held)), fair=fair, reason=reason, tif=TimeInForce.IOC, reduce_only=True)
