"""The terms of an order: its side, time in force and self-trade prevention."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal, NamedTuple

from kalshi_cli.base.errors import UsageError
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


_BOOK_SIDES = {("yes", "buy"): BID, ("yes", "sell"): ASK, ("no", "buy"): ASK, ("no", "sell"): BID}


def book_terms(outcome: str, action: str, price: Price) -> tuple[Side, Price]:
    """Return the side and the price on the YES book of an order as typed: buying NO at q is an ask at $1 less q.

    UsageError for any other word, "YES" and "No" included: no word may stand for the opposite order.
    """
    side = _BOOK_SIDES.get((outcome, action))
    if side is None:
        raise UsageError(f"Unknown order: {action!r} {outcome!r}", hint="use buy or sell, and yes or no")
    return side, outcome_price(outcome, price)


def outcome_price(outcome: str, price: Price) -> Price:
    """Convert a price of this outcome to the YES scale, or back. UsageError for a word other than yes and no."""
    if outcome == "yes":
        return price
    if outcome == "no":
        return Price(ONE_DOLLAR - price)
    raise UsageError(f"Unknown outcome: {outcome!r}", hint="use yes or no")


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


def typed_terms(book_side: Side, price: Price, outcome: Literal["yes", "no"]) -> OwnTerms:
    """Return the terms of an order as typed for an outcome; `price` is on the YES scale."""
    own = outcome_price(outcome, price)
    return OwnTerms("buy" if (book_side is BID) is (outcome == "yes") else "sell", outcome, own)


def fill_terms(
    book_side: Side, price: Price, held: Qty | None, outcome: Literal["", "yes", "no"] | None = None
) -> OwnTerms:
    """Return the terms of a fill: those typed with its order for an `outcome`, else those of `own_terms`."""
    return typed_terms(book_side, price, outcome) if outcome else own_terms(book_side, price, held)


def own_terms(book_side: Side, price: Price, held: Qty | None) -> OwnTerms:
    """Return the terms of an order or a fill; `price` is on the YES scale, `held` the position before it.

    One that reduces the position sells the outcome that is held; any other buys. With an unknown position (None), the
    terms are those of YES.
    """
    is_bid = book_side is BID
    if held is None:
        return OwnTerms("buy" if is_bid else "sell", "yes", price)
    is_closing = held < 0 if is_bid else held > 0
    return typed_terms(book_side, price, "yes" if is_bid is not is_closing else "no")
