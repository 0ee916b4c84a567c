"""The terms of an order: its side, time in force and self-trade prevention."""

from __future__ import annotations

from enum import StrEnum

from kalshi_cli.base.units import ONE_DOLLAR, Price


class Side(StrEnum):
    """A side of the one YES-scale book."""

    BID = "bid"
    ASK = "ask"

    @property
    def opposite(self) -> Side:
        return Side.ASK if self is Side.BID else Side.BID

    @property
    def sign(self) -> int:
        """+1 for a bid, -1 for an ask: what a fill does to the position."""
        return 1 if self is Side.BID else -1


BID, ASK = Side.BID, Side.ASK


class TimeInForce(StrEnum):
    """Time in force, in the exchange's words."""

    GTC = "good_till_canceled"
    IOC = "immediate_or_cancel"
    FOK = "fill_or_kill"


class SelfTradePrevention(StrEnum):
    """Which of two orders of ours that meet goes, in the exchange's words."""

    TAKER = "taker_at_cross"
    MAKER = "maker"


def other_outcome(side: Side, price: Price) -> tuple[Side, Price]:
    """The same order seen from the other outcome: a bid for NO at q is an ask for YES at one dollar less q."""
    return (ASK if side is BID else BID), Price(ONE_DOLLAR - price)
