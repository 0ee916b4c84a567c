"""Views of the report of a backtest. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.views.formats import Ratio, SignedMoney, TruncatableText
from kalshi_cli.views.row import OutputRow, names


class RatioRow(OutputRow, frozen=True, kw_only=True):
    """A ratio per observation, not annualized, with its standard error; both are missing with the reason in `note`."""

    measure: str
    per: str
    observations: int
    value: float | None
    standard_error: float | None
    note: str | None


class ProfitPartRow(OutputRow, frozen=True, kw_only=True):
    """Profit of the contracts that were opened in one part: an hour of the day, a price band, a time to close.

    The parts of one kind add up to the net of the run.
    """

    part: str
    round_trips: int
    count: Qty
    gross: SignedMoney
    fees: Money
    net: SignedMoney


class RecordingPartRow(OutputRow, frozen=True, kw_only=True):
    """The result of one recording, where each is a run of its own."""

    recording: str
    started: Ts | None
    orders: int
    fills: int
    fees: Money
    net: SignedMoney
    max_drawdown: Money

    named = names(
        started="facts.started", orders="summary.orders", fills="summary.fills", fees="summary.fees", net="summary.net"
    )
    vital = ("recording", "fills", "net")


class BacktestTradeRow(OutputRow, frozen=True, kw_only=True):
    """A simulated fill; `price` is on the YES scale, `realized` the profit of the contracts that it closed."""

    time: Ts
    ticker: str
    event_ticker: str
    strategy: str
    book_side: Side
    price: Price
    count: Qty
    fee: Money
    is_taker: bool
    realized: SignedMoney
    position_after: Qty
    to_close_s: float | None
    order_id: str


class BacktestSettlementRow(OutputRow, frozen=True, kw_only=True):
    """A position that a result paid: `position` is positive for YES, `realized` the payout less the cost."""

    time: Ts
    ticker: str
    result: str
    position: Qty
    payout: Money
    realized: SignedMoney


class EquityRow(OutputRow, frozen=True, kw_only=True):
    """The profit of the run at a time, and its distance below the highest profit so far."""

    time: Ts
    net: SignedMoney
    drawdown: Money


class FillBoundRow(OutputRow, frozen=True, kw_only=True):
    """The results of a run under one fill model."""

    fill_model: str
    orders: int
    fills: int
    fees: Money
    net: SignedMoney
    total_return: Ratio | None
    max_drawdown: Money

    named = names(orders="summary.orders", fills="summary.fills", fees="summary.fees", net="summary.net")


class ComparisonRow(OutputRow, frozen=True, kw_only=True):
    """A measure in two reports, as in their JSON, and the second less the first where both are numbers."""

    measure: str
    a: str | None
    b: str | None
    difference: str | None


class SavedReportRow(OutputRow, frozen=True, kw_only=True):
    """A saved report of a backtest. Its results are missing, with the reason in `problem`, if it cannot be read."""

    name: str
    modified: Ts
    bytes: int
    strategy: str | None = None
    started: Ts | None = None
    ended: Ts | None = None
    fills: int | None = None
    net: SignedMoney | None = None
    problem: TruncatableText | None = None


class ReportFolderView(OutputRow, frozen=True, kw_only=True):
    """The folder of saved reports (`web.reports`), the newest report first."""

    folder: TruncatableText
    reports: tuple[SavedReportRow, ...]
