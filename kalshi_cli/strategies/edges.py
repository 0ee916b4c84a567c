"""What an order promises after its fee, where a strategy has a belief of its own."""

from __future__ import annotations

from kalshi_cli.core.fees import estimate
from kalshi_cli.core.model import BID, Side
from kalshi_cli.core.state import View
from kalshi_cli.units import Price, contracts


def edge_after_fee(view: View, ticker: str, side: Side, price: Price, fair: Price, *, is_taker: bool) -> int:
    """Of one contract at this price, in ten-thousandths of a dollar; below zero where it costs more than it is worth.

    `fair` is what one YES is worth. The fee is rounded up.
    """
    fee = -(-estimate(view.fees(ticker), price, contracts(1), is_taker=is_taker) // 100)
    return (fair - price if side is BID else price - fair) - fee
