"""Views of execution quality. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.views.formats import Ratio, SignedMoney
from kalshi_cli.views.row import OutputRow


class ExecutionRow(OutputRow, frozen=True, kw_only=True):
    """The execution quality of some orders.

    The number of samples stands after each number: `fill_rate` of `judged` orders, placement of `timed`, `maker_share`
    of `contracts`, edges and `slippage` (per contract) of `valued_fills`, `slippage_to_best` of `compared_fills`; null
    without samples.
    """

    key: str
    orders: int
    orders_filled: int
    judged: int
    fill_rate: Ratio | None
    timed: int
    placement_median_ms: int | None
    placement_p99_ms: int | None
    avg_fill_time_s: float | None
    fills: int
    contracts: Qty
    maker_share: Ratio | None
    valued_fills: int
    edge_at_order: Price | None
    edge_kept: Price | None
    edge_total: SignedMoney
    slippage: Price | None
    compared_fills: int
    slippage_to_best: Price | None

    shown = (
        "key", "orders", "fill_rate", "placement_p99_ms", "fills", "edge_at_order", "edge_kept", "maker_share",
        "placement_median_ms", "slippage_to_best", "edge_total", "avg_fill_time_s",
    )  # fmt: skip


class ExecutionView(ExecutionRow, frozen=True, kw_only=True):
    """Total execution quality, its parts, and recent orders against earlier ones; `worse` names significant declines.

    An order counts for `fill_rate` once it is `within_s` old, and as filled where it traded by then.
    """

    since: Ts
    within_s: float
    rows: tuple[ExecutionRow, ...]
    trend: tuple[ExecutionRow, ...]
    worse: tuple[str, ...]

    screen = (
        "since", "orders", "orders_filled", "fill_rate", "avg_fill_time_s", "placement_median_ms", "placement_p99_ms",
        "fills", "contracts", "maker_share", "edge_at_order", "edge_kept", "edge_total", "slippage_to_best", "worse",
    )  # fmt: skip
