"""The runbook and command for each code: one table for alerts, checks and halts.

A code is stable and says what happened. The table gives the runbook to read, the command to run, and the event (one of
`config_sections.EVENTS`) by which alert channels filter. An unlisted code is a general error.
"""

from __future__ import annotations

import re

import msgspec


class Remedy(msgspec.Struct, frozen=True):
    """The remedy for a code. `runbook` is a file of runbooks/ without its suffix, `command` a kalshi command."""

    runbook: str
    command: str
    event: str = "error"


def runbook_for(code: str, text: str = "") -> Remedy:
    """Return the remedy for a code; for an unlisted code, the general one.

    An error that ended a loop has many causes: its runbook is the one that the text of the alert names, if any. An
    alert that paused trading names its cause, whose runbook and command come first.
    """
    remedy = REMEDIES.get(code, DEFAULT_RUNBOOK)
    if code == "LOOP_FAILED" and (named := _NAMED.search(text)):
        return msgspec.structs.replace(remedy, runbook=named[1])
    if code == "PAUSED_BY_ALERT" and (named := _CAUSE.match(text)):
        cause = REMEDIES.get(named[1], remedy)
        return msgspec.structs.replace(cause, event=remedy.event)
    return remedy


_NAMED = re.compile(r"`kalshi runbook ([a-z-]+)`$")
_CAUSE = re.compile(r"after ([A-Z_]+) ")


DEFAULT_RUNBOOK = Remedy("halted", "kalshi status")

EXIT_CODES = {"5": "credentials-refused", "7": "unknown-order", "8": "state-file", "9": "halted"}
"""The runbook of each exit code that has one."""

_CODES: tuple[tuple[Remedy, str], ...] = (
    (Remedy("", "kalshi fills", "trade_executed"), "TAKE_PROFIT TRADE_EXECUTED"),
    (Remedy("", "kalshi pnl", "big_win"), "BIG_WIN"),
    (Remedy("", "kalshi pnl --by day", "daily_summary"), "DAILY_SUMMARY"),
    (Remedy("alert-undelivered", "kalshi alerts"), "ALERT_UNDELIVERED"),
    (Remedy("api-guard", "kalshi check api"), "UNANSWERED API_GUARD"),
    (Remedy("api-guard", "kalshi exchange", "check"), "API_SLOW API_ERRORS"),
    (Remedy("clock-skew", "kalshi health-check"), "CLOCK"),
    (Remedy("could-not-look", "kalshi health-check", "check"), "COULD_NOT_LOOK"),
    (Remedy("could-not-look", "kalshi check all", "check"), "CHECK_SKIPPED"),
    (Remedy("could-not-look", "kalshi config check", "check"), "CONFIG_ERROR"),
    (Remedy("credentials-refused", "kalshi health-check", "check"), "CREDENTIALS"),
    (Remedy("daily-loss", "kalshi pnl --by day", "emergency_stop"), "DAILY_LOSS"),
    (Remedy("daily-loss", "kalshi pnl --by day", "drawdown_warning"), "DAY_DRAWDOWN DAY_LOSS DAY_FALL DRAWDOWN"),
    (Remedy("disk-full", "kalshi pause", "emergency_stop"), "PAUSE_FAILED"),
    (Remedy("disk-full", "kalshi check disk", "check"), "DISK_SPACE DISK_INODES"),
    (Remedy("drift", "kalshi check drift"), "FILLS_MISSING FEE_MISMATCH DRIFT"),
    (
        Remedy("drift", "kalshi check drift", "check"),
        "FILL_DIFFERS FILLS_NOT_THERE SETTLEMENT_MISSING CASH_DRIFT RECOUNT",
    ),
    (Remedy("drift", "kalshi pnl --by strategy", "check"), "EDGE_DRIFT"),
    (Remedy("exchange-paused", "kalshi exchange", "state"), "TRADING_PAUSED EXCHANGE_PAUSED EXCHANGE_RESUMED"),
    (Remedy("execution", "kalshi check orders", "check"), "REJECT_RATE"),
    (Remedy("execution", "kalshi why", "check"), "NO_ORDERS DENIED_RATE"),
    (Remedy("execution", "kalshi execution", "check"), "FILL_RATE PLACEMENT_SLOW SLIPPAGE EXECUTION_DROP TAKER_SHARE"),
    (Remedy("execution", "kalshi pnl --by strategy", "check"), "WIN_RATE"),
    (Remedy("feed-stale", "kalshi check feed"), "POST_ONLY_CROSS FEED_DOWN BOOK_IMPOSSIBLE BOOK_DISPUTED"),
    (Remedy("feed-stale", "kalshi health-check"), "BLIND"),
    (Remedy("feed-stale", "kalshi status", "state"), "SIGHTED"),
    (Remedy("feed-stale", "kalshi health-check", "check"), "FEED_STALE FEED_LATE FEED_GAPS"),
    (Remedy("feed-stale", "kalshi status", "check"), "BOOK_MISSING"),
    (Remedy("group-triggered", "kalshi order group list"), "GROUP_TRIGGERED"),
    (Remedy("group-triggered", "kalshi fills --paper"), "GROUP_LIMIT"),
    (
        Remedy("guard-tripped", "kalshi status"),
        "DOUBLE_ORDER DUPLICATE_ID ID_CLASH STRATEGY_FAILED STRATEGY_FLOOD STRATEGY_HUNG STRATEGY_STUCK BAD_INTENT",
    ),
    (Remedy("guard-tripped", "kalshi status", "check"), "STRATEGY_OUT"),
    (Remedy("recent-errors", "kalshi alerts", "check"), "RECENT_ERRORS"),
    (Remedy("halted", "kalshi status", "emergency_stop"), "HALTED"),
    (Remedy("halted", "kalshi status", "check"), "PAUSED"),
    (Remedy("halted", "kalshi alerts", "emergency_stop"), "PAUSED_BY_ALERT"),
    (Remedy("heartbeat-lost", "kalshi status"), "LOOP_FAILED LOOP_KILLED"),
    (Remedy("heartbeat-lost", "kalshi status", "check"), "HEARTBEAT_LOST CYCLE_LATE"),
    (Remedy("kill-switch", "kalshi order list", "emergency_stop"), "CANCEL_ALL CANCEL_ALL_RESULT"),
    (Remedy("low-balance", "kalshi balance", "check"), "LOW_BALANCE"),
    (Remedy("position-limit", "kalshi positions", "emergency_stop"), "FLATTENED FLATTEN_FAILED"),
    (
        Remedy("position-limit", "kalshi positions", "check"),
        "POSITION_LIMIT OPEN_POSITIONS MARKET_EXPOSURE EVENT_EXPOSURE CATEGORY_EXPOSURE EXPOSURE",
    ),
    (Remedy("position-limit", "kalshi order list"), "LIVE_ORDERS"),
    (Remedy("price-alert", "kalshi alerts prices", "price_alert"), "PRICE_ALERT FILL_ALERT"),
    (Remedy("price-alert", "kalshi alerts prices"), "PRICE_ALERT_BLIND"),
    (Remedy("price-alert", "kalshi alerts prices", "state"), "PRICE_ALERT_SIGHTED"),
    (
        Remedy("schema", "kalshi check schema", "check"),
        "ROUTE_ENDS MISSING_FIELD CHANGED_TYPE UNREADABLE GONE DEPRECATED LEGACY_LIVES LEGACY_ANSWERS "
        "NOT_REACHED REFUSED NO_KEY UNKNOWN_FIELD NEW_VALUE NEW_MESSAGE",
    ),
    (Remedy("source-stale", "kalshi check feed"), "SOURCE_STALE"),
    (Remedy("source-stale", "kalshi status", "state"), "SOURCE_ANSWERS"),
    (Remedy("state-file", "kalshi status", "emergency_stop"), "REBUILT"),
    (Remedy("state-file", "kalshi health-check", "check"), "STATE_UNUSABLE"),
    (Remedy("stop-loss", "kalshi positions", "drawdown_warning"), "STOP_LOSS"),
    (Remedy("stop-loss", "kalshi positions", "emergency_stop"), "STOP_LOSS_STUCK"),
    (Remedy("strangers", "kalshi order list"), "LATE_ORDER FOREIGN_ACTIVITY OTHER_INSTANCE"),
    (Remedy("unknown-order", "kalshi order reconcile"), "ORDER_UNKNOWN ORDER_UNKNOWN_LONG ORDER_REPAIRED"),
    (Remedy("unknown-order", "kalshi order list", "check"), "ORDER_STALE"),
    (Remedy("unknown-order", "kalshi order reconcile", "check"), "ORDER_DIFFERS"),
)
"""Remedies and the codes that they apply to."""

REMEDIES = {code: remedy for remedy, codes in _CODES for code in codes.split()}
