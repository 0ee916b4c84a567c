"""The limits of trading, as configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.account.sizing import StrategyAllocation

DAY_MS = 86_400_000


def utc_midnight(ts: Ts) -> Ts:
    """Return midnight UTC before a time: the start of the trading day without a configured zone."""
    return Ts(ts - ts % DAY_MS)


class RiskLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of the risk controls. None disables a limit; zero allows nothing."""

    max_position: Qty | None = Qty(10_000)
    max_open_positions: int | None = None
    max_market_exposure: Money | None = None
    max_event_exposure: Money | None = None
    max_category_exposure: Money | None = None
    max_exposure: Money | None = Money(500_000_000)
    max_order_qty: Qty | None = Qty(10_000)
    max_order_cost: Money | None = Money(100_000_000)
    price_collar: Price | None = Price(1_000)
    max_orders_per_minute: int | None = 60
    max_market_orders_per_minute: int | None = None
    max_live_orders: int | None = None
    max_churn: Qty | None = None
    min_edge: Price | None = Price(200)
    max_spread: Price | None = None
    min_time_to_close_ms: int = 0
    cooldown_after_loss_ms: int = 0
    max_book_age_ms: int | None = 10_000
    close_margin_ms: int = 5_000
    max_daily_loss: Money | None = Money(100_000_000)
    daily_loss_source: str = ""
    """The variable or option that set `max_daily_loss`, for alerts; empty for the configuration file or the default."""
    daily_loss_advice: str = ""
    """The advice in the alert of a daily loss on how to trade again; empty for the usual advice."""
    max_drawdown: Money | None = None
    max_api_errors: int | None = 10
    stop_loss_pct: int | None = None
    take_profit_pct: int | None = None
    max_close_slippage: Price | None = Price(1_000)
    allotments: Mapping[str, StrategyAllocation] = {}
    """Budgets by strategy name."""
    day_start: Callable[[Ts], Ts] = utc_midnight
    """Returns the midnight before a time in the zone of the trading day. A pure function, created where zones are
    known."""
