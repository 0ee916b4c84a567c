"""The terms of an order: its side, time in force and self-trade prevention."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, show_price, show_qty


class Side(StrEnum):
    """A side of the YES-scale order book."""

    BID = "bid"
    ASK = "ask"

    @property
    def opposite(self) -> Side:
        """Return the other side."""
        return Side.ASK if self is Side.BID else Side.BID

    @property
    def sign(self) -> int:
        """Return +1 for a bid and -1 for an ask: the sign of a fill's effect on the position."""
        return 1 if self is Side.BID else -1


BID, ASK = Side.BID, Side.ASK


class TimeInForce(StrEnum):
    """Time in force, with the exchange's values."""

    GTC = "good_till_canceled"
    IOC = "immediate_or_cancel"
    FOK = "fill_or_kill"


class SelfTradePrevention(StrEnum):
    """Self-trade prevention: which of two own orders is canceled, with the exchange's values."""

    TAKER = "taker_at_cross"
    MAKER = "maker"


def other_outcome(side: Side, price: Price) -> tuple[Side, Price]:
    """Return the same order for the other outcome: a NO bid at q is a YES ask at one dollar less q."""
    return side.opposite, Price(ONE_DOLLAR - price)


def leg_price(side: Side, price: Price) -> Price:
    """Return the price of the contract that a side buys: YES for a bid, NO (one dollar less) for an ask."""
    return price if side is BID else Price(ONE_DOLLAR - price)


class OwnTerms(NamedTuple):
    """An order or a fill as the user means it; `price` is that of `side`."""

    action: Literal["buy", "sell"]
    side: Literal["yes", "no"]
    price: Price

    @property
    def words(self) -> str:
        """Return the words of a table: `buy NO`."""
        return f"{self.action} {self.side.upper()}"

    @property
    def verb(self) -> str:
        """Return what a fill did: `bought` or `sold`."""
        return "bought" if self.action == "buy" else "sold"

    def text(self, qty: Qty, ticker: str = "") -> str:
        """Return an order or a fill in words: `buy 15 YES TICKER at $0.30`."""
        what = f"{self.side.upper()} {ticker}" if ticker else self.side.upper()
        return f"{self.action} {show_qty(qty)} {what} at {show_price(self.price)}"


def own_terms(book_side: Side, price: Price, held: Qty | None) -> OwnTerms:
    """Return the terms of an order or a fill; `price` is on the YES scale, `held` the position before it.

    One that reduces the position sells the outcome that is held; any other buys. With an unknown position (None), the
    terms are those of YES.
    """
    is_bid = book_side is BID
    if held is None:
        return OwnTerms("buy" if is_bid else "sell", "yes", price)
    is_closing = held < 0 if is_bid else held > 0
    is_yes = is_bid is not is_closing
    return OwnTerms(
        "sell" if is_closing else "buy", "yes" if is_yes else "no", price if is_yes else Price(ONE_DOLLAR - price)
    )
