"""What to do about a code: one table for alerts, checks and halts.

A code is stable and says what happened; here it gets the runbook to read, the command to look closer, and what it is
about (one of `config_sections.EVENTS`), by which sinks choose. A code that is not here is an error to be looked into.
"""

from __future__ import annotations

import msgspec


class Remedy(msgspec.Struct, frozen=True):
    """`runbook` is a file of runbooks/ without its ending, `command` one of ours."""

    runbook: str
    command: str
    event: str = "error"


def remedy_of(code: str) -> Remedy:
    """What to do about it; for a code that nobody listed, what one does first."""
    return REMEDIES.get(code, UNLISTED)


UNLISTED = Remedy("halted", "kalshi status")

_ORDER = Remedy("unknown-order", "kalshi order reconcile")
_FEED = Remedy("feed-stale", "kalshi check feed")
_STRANGERS = Remedy("strangers", "kalshi order list")
_GUARD = Remedy("guard-tripped", "kalshi status")
_PAUSE = Remedy("exchange-paused", "kalshi exchange", "state")
_POSITION = Remedy("position-limit", "kalshi positions", "check")
_LOOK = Remedy("could-not-look", "kalshi health-check", "check")
_LOOP = Remedy("heartbeat-lost", "kalshi status", "check")
_EXECUTION = Remedy("execution", "kalshi execution", "check")
_SCHEMA = Remedy("schema", "kalshi check schema", "check")
_KILL = Remedy("kill-switch", "kalshi order list", "emergency_stop")

REMEDIES: dict[str, Remedy] = {
    # the loop
    "ORDER_UNKNOWN": _ORDER,
    "ORDER_UNKNOWN_LONG": _ORDER,
    "ORDER_REPAIRED": _ORDER,
    "LATE_ORDER": _STRANGERS,
    "FILLS_MISSING": Remedy("drift", "kalshi check drift"),
    "FEE_MISMATCH": Remedy("drift", "kalshi check drift"),
    "DRIFT": Remedy("drift", "kalshi check drift"),
    "DOUBLE_ORDER": _GUARD,
    "DUPLICATE_ID": _GUARD,
    "ID_CLASH": _GUARD,
    "FOREIGN_ACTIVITY": _STRANGERS,
    "OTHER_INSTANCE": _STRANGERS,
    "STRATEGY_FAILED": _GUARD,
    "STRATEGY_FLOOD": _GUARD,
    "STRATEGY_HUNG": _GUARD,
    "STRATEGY_STUCK": _GUARD,
    "BAD_INTENT": _GUARD,
    "UNANSWERED": Remedy("api-guard", "kalshi check api"),
    "API_GUARD": Remedy("api-guard", "kalshi check api"),
    "POST_ONLY_CROSS": _FEED,
    "FEED_DOWN": _FEED,
    "BOOK_IMPOSSIBLE": _FEED,
    "BOOK_DISPUTED": _FEED,
    "BLIND": Remedy("feed-stale", "kalshi health-check"),
    "SIGHTED": Remedy("feed-stale", "kalshi status", "state"),
    "SOURCE_STALE": Remedy("source-stale", "kalshi check feed"),
    "SOURCE_ANSWERS": Remedy("source-stale", "kalshi status", "state"),
    "GROUP_TRIGGERED": Remedy("group-triggered", "kalshi order group list"),
    "DAILY_LOSS": Remedy("daily-loss", "kalshi pnl --by day", "emergency_stop"),
    "STOP_LOSS": Remedy("stop-loss", "kalshi positions", "drawdown_warning"),
    "STOP_LOSS_STUCK": Remedy("stop-loss", "kalshi positions", "emergency_stop"),
    "TAKE_PROFIT": Remedy("", "kalshi fills", "trade_executed"),
    "TRADING_PAUSED": _PAUSE,
    "EXCHANGE_PAUSED": _PAUSE,
    "EXCHANGE_RESUMED": _PAUSE,
    "ROUTE_ENDS": _SCHEMA,
    "CANCEL_ALL": _KILL,
    "CLOCK": Remedy("clock-skew", "kalshi health-check"),
    "LOOP_FAILED": Remedy("heartbeat-lost", "kalshi status"),
    # alerting
    "HALTED": Remedy("halted", "kalshi status", "emergency_stop"),
    "PAUSED": Remedy("halted", "kalshi status", "check"),
    "REBUILT": Remedy("state-file", "kalshi status", "emergency_stop"),
    "PAUSED_BY_ALERT": Remedy("halted", "kalshi alerts", "emergency_stop"),
    "PAUSE_FAILED": Remedy("disk-full", "kalshi pause", "emergency_stop"),
    "FLATTENED": Remedy("position-limit", "kalshi positions", "emergency_stop"),
    "FLATTEN_FAILED": Remedy("position-limit", "kalshi positions", "emergency_stop"),
    "ALERT_UNDELIVERED": Remedy("alert-undelivered", "kalshi alerts"),
    "TRADE_EXECUTED": Remedy("", "kalshi fills", "trade_executed"),
    "BIG_WIN": Remedy("", "kalshi pnl", "big_win"),
    "DAILY_SUMMARY": Remedy("", "kalshi pnl --by day", "daily_summary"),
    "DAY_DRAWDOWN": Remedy("daily-loss", "kalshi pnl --by day", "drawdown_warning"),
    # checks
    "POSITION_LIMIT": _POSITION,
    "EVENT_EXPOSURE": _POSITION,
    "CATEGORY_EXPOSURE": _POSITION,
    "EXPOSURE": _POSITION,
    "LIVE_ORDERS": Remedy("position-limit", "kalshi order list"),
    "DAY_LOSS": Remedy("daily-loss", "kalshi pnl --by day", "drawdown_warning"),
    "DRAWDOWN": Remedy("daily-loss", "kalshi pnl --by day", "drawdown_warning"),
    "HEARTBEAT_LOST": _LOOP,
    "CYCLE_LATE": _LOOP,
    "FEED_STALE": Remedy("feed-stale", "kalshi health-check", "check"),
    "FEED_LATE": Remedy("feed-stale", "kalshi health-check", "check"),
    "FEED_GAPS": Remedy("feed-stale", "kalshi health-check", "check"),
    "BOOK_MISSING": Remedy("feed-stale", "kalshi status", "check"),
    "API_SLOW": Remedy("api-guard", "kalshi exchange", "check"),
    "API_ERRORS": Remedy("api-guard", "kalshi exchange", "check"),
    "ORDER_STALE": Remedy("unknown-order", "kalshi order list", "check"),
    "ORDER_DIFFERS": Remedy("unknown-order", "kalshi order reconcile", "check"),
    "REJECT_RATE": Remedy("execution", "kalshi check orders", "check"),
    "STRATEGY_OUT": Remedy("guard-tripped", "kalshi status", "check"),
    "RECENT_ERRORS": Remedy("guard-tripped", "kalshi alerts", "check"),
    "NO_ORDERS": Remedy("execution", "kalshi why", "check"),
    "DENIED_RATE": Remedy("execution", "kalshi why", "check"),
    "FILL_RATE": _EXECUTION,
    "PLACEMENT_SLOW": _EXECUTION,
    "SLIPPAGE": _EXECUTION,
    "EXECUTION_DROP": _EXECUTION,
    "LOW_BALANCE": Remedy("low-balance", "kalshi balance", "check"),
    "FILL_DIFFERS": Remedy("drift", "kalshi check drift", "check"),
    "FILLS_NOT_THERE": Remedy("drift", "kalshi check drift", "check"),
    "SETTLEMENT_MISSING": Remedy("drift", "kalshi check drift", "check"),
    "CASH_DRIFT": Remedy("drift", "kalshi check drift", "check"),
    "EDGE_DRIFT": Remedy("drift", "kalshi pnl --by strategy", "check"),
    "CREDENTIALS": Remedy("credentials-refused", "kalshi health-check", "check"),
    "STATE_UNUSABLE": Remedy("state-file", "kalshi health-check", "check"),
    "COULD_NOT_LOOK": _LOOK,
    "CHECK_SKIPPED": Remedy("could-not-look", "kalshi check all", "check"),
    "MISSING_FIELD": _SCHEMA,
    "CHANGED_TYPE": _SCHEMA,
    "UNREADABLE": _SCHEMA,
    "GONE": _SCHEMA,
    "DEPRECATED": _SCHEMA,
    "LEGACY_LIVES": _SCHEMA,
    "LEGACY_ANSWERS": _SCHEMA,
    "NOT_REACHED": _SCHEMA,
    "REFUSED": _SCHEMA,
    "NO_KEY": _SCHEMA,
    "UNKNOWN_FIELD": _SCHEMA,
    "NEW_VALUE": _SCHEMA,
    "NEW_MESSAGE": _SCHEMA,
}
