"""Why no orders were traded: order requests of strategies, refusals by rule, and the outcome of the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import OrderRefused
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Order, OrderStatus, is_refused_here
from kalshi_cli.core.risk.controls import NO_FAIR_VALUE
from kalshi_cli.services.trading.halts import describe
from kalshi_cli.services.trading.reports.status import RunStatus, disabled_strategy_text
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.formats import TruncatableText, format_time
from kalshi_cli.views.why import RefusedOrdersRow, StrategyFunnelRow, WhyView

RULE_OF_CODE = {
    "API_GUARD": "kalshi check api: strategies wait between orders until you resume",
    "BAD_FLAGS": "the strategy: reduce_only needs tif=TimeInForce.IOC, post_only TimeInForce.GTC",
    "BAD_INTENT": "the strategy: its order request is not valid",
    "BLIND": "the account cannot be read: kalshi health-check",
    "BUDGET": "strategies.NAME.budget",
    "CATEGORY_EXPOSURE": "risk.max_category_exposure",
    "CHURN": "risk.max_churn",
    "COOLDOWN": "risk.cooldown_after_loss_s",
    "DAILY_LOSS": "risk.max_daily_loss",
    "EVENT_EXPOSURE": "risk.max_event_exposure",
    "EXPOSURE": "risk.max_exposure",
    "GROUP_TRIGGERED": "kalshi resume --reason TEXT --reset-groups",
    "HALTED": "kalshi status",
    "LIVE_ORDERS": "risk.max_live_orders",
    "LOCKED": "kalshi lock; to unlock: kalshi unlock TICKER",
    "MARKET_CLOSING": "risk.min_time_to_close_s, risk.close_margin_s",
    "MARKET_EXPOSURE": "risk.max_market_exposure",
    "MARKET_NOT_OPEN": "kalshi market TICKER",
    "MARKET_RATE": "risk.max_market_orders_per_minute",
    "MIN_EDGE": "risk.min_edge; the edge found is too small",
    "NOT_CLOSING": "the strategy has no position to close, or another strategy holds the opposite side",
    "NOT_RESTING": "the strategy: the order to amend is no longer resting, or an earlier amend is unconfirmed",
    "OFF_GRID_PRICE": "the strategy: its price is off the market's price grid",
    "OPEN_POSITIONS": "risk.max_open_positions",
    "ORDER_COST": "risk.max_order_cost",
    "ORDER_RATE": "risk.max_orders_per_minute",
    "ORDER_SIZE": "risk.max_order_count",
    "POSITION_LIMIT": "risk.max_position",
    "PRICE_COLLAR": "risk.price_collar",
    "REDUCING": "kalshi status",
    "SELF_CROSS": "the strategy: it could trade against itself or another of your strategies",
    "SLIPPAGE": "risk.max_close_slippage",
    "SPREAD": "risk.max_spread",
    "STATE_MOVED": "another kalshi command changed the state file first; the strategy decides again",
    "STALE_BOOK": "risk.max_book_age_s, newer changes that waited, or the feed: kalshi status",
    "STALE_DECISION": "trade.decision_limit_s, or a slow strategy",
    "STOP_LOSS": "risk.stop_loss_pct: the position is being closed",
    "TAKE_PROFIT": "risk.take_profit_pct: the position is being closed",
    "halted": "kalshi status",
    "kill_switch": "the kill switch ran while the order waited: kalshi status",
    "not_sent": "the loop ended before it sent the order",
}
"""The setting, command or other cause behind each denial code."""

REJECTION_CAUSES = {
    "available_balance_too_low": "cash: kalshi balance",
    "exchange_is_paused": "the exchange: kalshi exchange",
    "insufficient_balance": "cash on the shard of the market: kalshi balance",
    "invalid_order": "the price moved: post-only would have taken liquidity, or there was no position to reduce",
    "market_inactive": "kalshi market TICKER",
    "trading_is_paused": "the exchange: kalshi exchange",
}
"""The cause behind the exchange's own error codes (API.md, errors), for the codes that a user can act on."""

NO_FAIR = ("MIN_EDGE", NO_FAIR_VALUE)
"""Code and detail of a refusal in `core/risk/controls.py` for lack of a fair value; no risk.min_edge would help."""


def funnel(store: Store | None, status: RunStatus, since: Ts, ticker: str = "") -> WhyView:
    """Return the order funnel since a time, from the state file; refusals count from the minute of `since`."""
    denied_to = store.denials(since, ticker) if store is not None else {}
    denials = sum((Counter(codes) for codes in denied_to.values()), Counter[str]())
    latest = (
        {denied.code: denied for denied in reversed(store.last_denials(since, ticker))} if store is not None else {}
    )
    found = store.orders(since, ticker) if store is not None else ()
    requested = [order for order in found if order.strategy and order.created >= since]
    orders = [order for order in requested if not is_refused_here(order)]
    withheld = [order for order in requested if is_refused_here(order)]
    for order in withheld:  # accepted by the risk limits, then never sent: a halt or the state file came first
        denied_to[order.strategy] = Counter(denied_to.get(order.strategy, {})) + Counter([order.code])
        denials[order.code] += 1
        latest[order.code] = _latest_of(order, latest.get(order.code))
    amends = {name: count for name, count in (store.amends(since, ticker) if store is not None else {}).items() if name}
    states = Counter(_stage(order) for order in orders)
    return WhyView(
        mode=status.mode,
        since=since,
        ticker=ticker or None,
        intents=sum(denials.values()) + len(orders) + sum(amends.values()),
        denied=sum(denials.values()),
        sent=len(orders),
        amends=sum(amends.values()),
        rejected=states["rejected"],
        in_doubt=states["in_doubt"],
        live=states["live"],
        ended=states["ended"],
        filled=sum(1 for order in orders if order.filled),
        rows=(
            *(_refusal(code, count, latest.get(code)) for code, count in _most_frequent_first(denials)),
            *_rejections(orders),
        ),
        strategies=tuple(_by_strategy(denied_to, orders, amends, status)),
        remarks=(*_remarks(status, wanted=bool(denials or orders or amends)), *([MANUAL] if "" in denied_to else ())),
    )


def _latest_of(order: Order, before: OrderRefused | None) -> OrderRefused:
    """Return the later refusal: that of this order, or the one before."""
    own = OrderRefused(order.updated, order.strategy, order.ticker, order.code, order.reason)
    return own if before is None or before.ts < own.ts else before


MANUAL = "Manual orders count only if refused; `kalshi order list --status all` shows the others"


def _by_strategy(
    denied_to: dict[str, dict[str, int]], orders: Sequence[Order], amends: dict[str, int], status: RunStatus
) -> Iterator[StrategyFunnelRow]:
    specs = status.running.strategy.split(",") if status.running is not None else []
    running = [spec for spec in specs if ".py" not in spec]  # A file names its strategy only once it is loaded.
    for name in sorted({*denied_to, *running, *amends, *(order.strategy for order in orders)}):
        codes, own = denied_to.get(name, {}), [order for order in orders if order.strategy == name]
        denied = sum(codes.values())
        yield StrategyFunnelRow(
            strategy=name or "(none)",
            intents=denied + len(own) + amends.get(name, 0),
            denied=denied,
            sent=len(own),
            amends=amends.get(name, 0),
            filled=sum(1 for order in own if order.filled),
            denied_by=dict(_most_frequent_first(codes)),
        )


def _most_frequent_first(counts: dict[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _stage(order: Order) -> str:
    if order.status is OrderStatus.REJECTED:
        return "rejected"
    if order.status in (OrderStatus.UNKNOWN, OrderStatus.SUBMITTED):
        return "in_doubt"
    return "live" if order.status.is_live else "ended"


def _refusal(code: str, count: int, latest: OrderRefused | None) -> RefusedOrdersRow:
    """Return the row of one denial code of the risk controls."""
    decided_by = RULE_OF_CODE.get(code, "")
    if latest is not None and (code, latest.detail) == NO_FAIR:
        decided_by = "the strategy gave no fair value, so its edge cannot be compared with the limit"
    return RefusedOrdersRow(
        by="here",
        code=code,
        count=count,
        ticker=latest.ticker if latest is not None else "",
        detail=TruncatableText(latest.detail if latest is not None else ""),
        last=latest.ts if latest is not None else None,
        decided_by=TruncatableText(decided_by),
    )


def _rejections(orders: Sequence[Order]) -> Iterator[RefusedOrdersRow]:
    """Yield a row for each error code with which the exchange rejected orders."""
    refused = [order for order in orders if order.status is OrderStatus.REJECTED]
    latest = {order.code: order for order in refused}
    for code, count in _most_frequent_first(Counter(order.code for order in refused)):
        yield RefusedOrdersRow(
            by="exchange",
            code=code or "(none)",
            count=count,
            ticker=latest[code].ticker,
            detail=TruncatableText(""),
            last=latest[code].updated,
            decided_by=TruncatableText(REJECTION_CAUSES.get(code, "")),
        )


def _remarks(status: RunStatus, *, wanted: bool) -> list[str]:
    remarks = []
    halt = status.halt
    if halt.state is not TradingState.ACTIVE:
        remarks.append(describe(halt))
    if not status.is_running:
        remarks.append(f"No trading loop is running{_last_run(status)}")
    elif status.cycle is None:
        remarks.append("The loop has not completed a cycle yet")
    elif status.cycle.no_book:
        remarks.append(f"No usable order book: {status.cycle.no_book}")
    if status.running is not None and status.running.waiting:
        remarks.append(f"Strategies waiting for data: {status.running.waiting}")
    remarks += [disabled_strategy_text(alert) for alert in status.failed]
    remarks += [f"External source is stale: {source}" for source in status.stale_sources]
    if status.triggered_groups:
        remarks.append(f"Order groups that accept no orders: {', '.join(status.triggered_groups)}")
    if not wanted and status.is_running and halt.state is TradingState.ACTIVE and not status.failed:
        remarks.append("No strategy requested an order: its conditions were not met")
    return remarks


def _last_run(status: RunStatus) -> str:
    """Return the end, the reason and the exit code (if not 0) of the last run, to append to a sentence."""
    if status.cycle is None or status.ended is None:
        return ""
    code = f", exit {status.exit_code}" if status.exit_code else ""
    why = status.stopped_by or "reason unknown"
    return f"; the last run ({status.cycle.strategy}) ended {format_time(status.ended, None)}: {why}{code}"
