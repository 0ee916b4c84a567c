"""Views of closing positions. Prices are those of the position's outcome."""

from __future__ import annotations

from kalshi_cli.base.units import Money, Price, Qty
from kalshi_cli.views.formats import MaxMoney, MinGain, SignedMoney, TruncatableText
from kalshi_cli.views.orders import CancelAllView
from kalshi_cli.views.row import Outcome, OutputRow, names


def no_position(ticker: str) -> str:
    """Say that there is nothing to close in a market."""
    return f"No open position in {ticker}"


class PlanRow(OutputRow, frozen=True, kw_only=True):
    """A position and the expected proceeds of closing it, before fees.

    `count` is the number of contracts to close: the whole position, unless fewer were asked for. `fillable` is the
    number of contracts in the book within the price limit. `fees` is the highest fee, and `pnl` the least profit or
    loss after it, if all of it is closed at the worst price; missing where the cost is unknown.
    """

    ticker: str
    side: Outcome
    count: Qty
    price: Price | None
    worst_price: Price | None
    fillable: Qty
    expected: Money
    least: Money
    fees: MaxMoney
    pnl: MinGain | None = None
    detail: TruncatableText | None

    named = names(
        ticker="market.ticker", side="outcome", count="qty", price="own_touch", worst_price="own_worst",
        fees="fee", detail="refusal.message",
    )  # fmt: skip
    shown = (
        "ticker", "side", "count", "price", "worst_price", "expected", "fees", "least", "pnl", "fillable", "detail",
    )  # fmt: skip
    vital = ("side", "count", "worst_price", "pnl")


class CloseRow(OutputRow, frozen=True, kw_only=True):
    """The result for a position: the contracts that were closed, and those that it still has.

    `proceeds` are before fees, and `net` is the profit or loss of the closed contracts after these fees. Both, as
    `average_price` and `fees`, are missing where the fills could not be read; `net` also where the cost is unknown.
    """

    ticker: str
    side: Outcome
    closed: Qty
    left: Qty
    average_price: Price | None
    fees: Money | None
    detail: TruncatableText | None
    proceeds: Money | None = None
    net: SignedMoney | None = None

    named = names(
        ticker="plan.market.ticker", side="plan.outcome", average_price="own_average",
        detail="error.message",
    )  # fmt: skip
    shown = ("ticker", "side", "closed", "left", "detail", "proceeds", "fees", "net", "average_price")
    vital = ("closed", "left", "proceeds", "net")
    headings = names(net="P&L after fees")
    wraps = True


class FlattenView(CancelAllView, frozen=True, kw_only=True):
    """The result of the kill switch, and of each position closed after it."""

    positions: tuple[CloseRow, ...]
