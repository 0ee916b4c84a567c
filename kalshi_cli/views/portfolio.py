"""The whole portfolio on one screen. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.positions import MarkSource
from kalshi_cli.views.formats import Ratio, SignedMoney, TruncatableText
from kalshi_cli.views.orders import LiveOrderRow
from kalshi_cli.views.row import Outcome, OutputRow


class HoldingRow(OutputRow, frozen=True, kw_only=True):
    """An open position with the title of its market; prices are those of `side`, `mark` is the closing price.

    `mark_source` is that of `PositionRow`; a running loop leaves it out.
    """

    ticker: str
    title: TruncatableText | None
    subaccount: int
    side: Outcome
    count: Qty
    average_price: Price | None
    mark: Price | None
    cost: Money
    value: Money | None
    unrealized: SignedMoney | None
    max_payout: Money
    mark_source: MarkSource | None = None

    shown = ("ticker", "side", "count", "average_price", "mark", "value", "unrealized", "cost", "title", "max_payout")
    vital = ("side", "count", "average_price", "mark", "unrealized")


class LimitUsageRow(OutputRow, frozen=True, kw_only=True):
    """Usage of a risk limit. `used` and `limit` are texts to read, the two values are exact and in `unit`."""

    limit_code: str
    subject: str
    used: str
    limit: str
    used_share: Ratio
    unit: str
    used_value: str
    limit_value: str

    shown = piped = ("limit_code", "subject", "used", "limit", "used_share")


class PortfolioView(OutputRow, frozen=True, kw_only=True):
    """Cash, positions, exposure against limits, and today's profit and loss, with totals.

    `positions_value` is the sum of the positions at their closing prices, one without a price at its cost; `total` adds
    the cash. `exposure` is the maximum loss of all positions and resting `orders` together. `pnl_today` is
    `realized_today` and `unrealized_today`, the change of `unrealized` since the midnight of `day_zone`, less
    `fees_today`; `pnl_today_share` is its share of `total` without it, and `wins_today` and `losses_today` count
    closing orders, each once however many fills it has, and settlements. The gain of positions `unpriced_at_open`,
    those carried over midnight whose prices then are unknown, is no part of `pnl_today`.
    """

    cash: Money
    positions_value: Money
    total: Money
    cost: Money
    unrealized: SignedMoney
    exposure: Money
    resting_orders: int
    pnl_today: SignedMoney
    realized_today: SignedMoney
    unrealized_today: SignedMoney
    fees_today: Money
    pnl_today_share: Ratio | None
    wins_today: int
    losses_today: int
    unpriced_at_open: tuple[str, ...]
    as_of: Ts
    positions: tuple[HoldingRow, ...]
    orders: tuple[LiveOrderRow, ...]
    limits: tuple[LimitUsageRow, ...]

    screen = (
        "cash", "positions_value", "total", "unrealized", "resting_orders", "pnl_today", "realized_today",
        "unrealized_today", "fees_today", "as_of",
    )  # fmt: skip
