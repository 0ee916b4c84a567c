"""The facts that are shown before strategies trade with real money."""

from __future__ import annotations

from collections.abc import Sequence

from kalshi_cli.base.units import Money, Qty, pluralize, show_money, show_qty
from kalshi_cli.config.config import Config
from kalshi_cli.services.account.key_lock import learn_key
from kalshi_cli.services.markets.market_query import run_markets
from kalshi_cli.services.resources import Resources

MAX_TICKERS = 8
"""Markets that are named."""

_NOT_SET = "not set"


def live_briefing(resources: Resources, strategies: Sequence[str], tickers: Sequence[str], series: str) -> list[str]:
    """Return what a live run would use: host, balance, limits, budgets and markets, one a line. Reads the exchange."""
    client = learn_key(resources)
    held = client.balance()
    markets = run_markets(client, resources.clock.now(), tickers, series, resources.tell)
    names = ", ".join(market.ticker for market in markets[:MAX_TICKERS])
    more = f" and {len(markets) - MAX_TICKERS} more" if len(markets) > MAX_TICKERS else ""
    return [
        f"Host: {resources.config.rest_url}",
        f"Balance: {show_money(held.cash)} cash, {show_money(held.portfolio_value)} in positions",
        *limit_lines(resources.config, strategies),
        f"{pluralize(len(markets), 'market')}: {names}{more}",
    ]


def limit_lines(config: Config, strategies: Sequence[str]) -> list[str]:
    """Return the main risk limits, and the budget of each strategy that runs."""
    risk = config.risk
    limits = {
        "exposure": _money(risk.max_exposure),
        "daily loss": _money(risk.max_daily_loss),
        "drawdown": _money(risk.max_drawdown),
        "order cost": _money(risk.max_order_cost),
        "contracts per order": _count(risk.max_order_count),
        "contracts per market": _count(risk.max_position),
    }
    budgets = {
        name: _money(config.allotments[name].budget if name in config.allotments else None) for name in strategies
    }
    return [
        "Limits: " + ", ".join(f"{name} {value}" for name, value in limits.items()),
        "Budgets: " + ", ".join(f"{name} {value}" for name, value in budgets.items()),
    ]


def _money(limit: Money | None) -> str:
    return _NOT_SET if limit is None else show_money(limit)


def _count(limit: Qty | None) -> str:
    return _NOT_SET if limit is None else show_qty(limit)
