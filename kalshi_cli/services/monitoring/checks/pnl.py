"""Check the loss of the trading day and the drawdown of the account."""

from __future__ import annotations

from contextlib import suppress
from zoneinfo import ZoneInfo

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.units import DOLLAR, Money, Ts, show_money
from kalshi_cli.config.schema import CheckRange
from kalshi_cli.config.values import RangeText
from kalshi_cli.core.account.pnl import count_closings
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, report
from kalshi_cli.core.state.trading_day import day_start
from kalshi_cli.services.account.portfolio import Portfolio
from kalshi_cli.services.account.summary import pnl_since, pnl_today, share_gained
from kalshi_cli.services.monitoring.checks.readings import AGAIN_S, MONTH_MS, CheckData, measured, run_part
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.formats import format_time

FIRST = "day_loss_pct"

MIN_CLOSES = 50
"""Fewer closes give no meaningful win rate: of 50, chance alone moves it by seven points."""


def examine(readings: CheckData) -> CheckReport:
    """Check the result of the day (of `day_zone`) and the drawdown from the highest result ever seen.

    Both come from the exchange's fills and settlements, with open positions at their closing prices. Deposits and
    withdrawals do not count.
    """
    found, now = _whole(readings), readings.clock.now()
    midnight = day_start(now, ZoneInfo(readings.config.day_zone))
    today, unpriced = pnl_today(found, midnight, readings.account, _store(readings))
    wins, losses = count_closings(found.entries, midnight)
    day = today.net
    breaches, measures = _day(readings, day)
    fallen, day_fall = _day_fall(readings, found, day)
    won, win_rate = _win_rate(readings, _closes(readings, found, Ts(now - MONTH_MS)))
    breaches += [*fallen, *won]
    measures += [*day_fall, *win_rate]
    said = [] if any(each.code == "DAY_LOSS" for each in breaches) else [f"today {show_money(day, signed=True)}"]
    if wins or losses:
        said.append(f"closing orders: {wins} won, {losses} lost")
    if unpriced:
        said.append(f"no price at midnight, so no gain counts today: {', '.join(unpriced)}")
    gained = pnl_since(found, None).net
    falls: list[tuple[Measure, str]] = []

    def fall() -> tuple[Breach, ...]:
        high = readings.best(gained, now)
        below = Money(max(0, high.gained - gained))
        measure = measured("drawdown_usd", below / DOLLAR, _bound(readings))
        text = f"{show_money(below)} below the high of"
        falls.append((measure, f"{text} {format_time(high.ts, None)}"))
        return measure.breach("DRAWDOWN", "account", f"{text} {show_money(high.gained, signed=True)}")

    doubts = _doubts(found)
    breaches += doubts or run_part("drawdown", fall)  # An uncertain result must not be saved as the high.
    said += (text for _, text in falls)
    drawdown = [measure for measure, _ in falls]
    return report(
        "pnl", "; ".join(said), breaches, [*measures, *drawdown, Measure(label="day_net_usd", value=day / DOLLAR)]
    )


def _store(readings: CheckData) -> Store | None:
    with suppress(StateFileError):  # the exchange knows everything
        return readings.store
    return None


def _bound(readings: CheckData) -> CheckRange:
    """Return the configured range; without a critical one, the drawdown limit of a loop is critical."""
    bound, limit = readings.checks.drawdown_usd, readings.limits.max_drawdown
    return bound if bound.crit or limit is None else CheckRange(warn=bound.warn, crit=RangeText(f"{limit / DOLLAR:f}"))


def _whole(readings: CheckData) -> Portfolio:
    """Return the portfolio; read it again if a trade between two reads made fills and positions differ."""
    if readings.portfolio.drifting:
        readings.clock.sleep(AGAIN_S)
        readings.forget("portfolio")
    return readings.portfolio


def _day_fall(readings: CheckData, found: Portfolio, net: Money) -> tuple[list[Breach], list[Measure]]:
    """Return the loss of the day in percent of what the account was worth before it, cash and open positions."""
    measures: list[Measure] = []

    def look() -> tuple[Breach, ...]:
        held = sum(position.value(found.marks.get(position.ticker)) or 0 for position in found.open_positions)
        gained = share_gained(net, Money(readings.cash + held))
        if gained is None:
            return ()
        fall = round(max(0.0, -100 * gained), 2)
        measures.append(measured("day_fall_pct", fall, readings.checks.day_fall_pct, "%"))
        return measures[0].breach("DAY_FALL", "account", f"{fall:g}% of the account lost today")

    return run_part("account value", look), measures


def _closes(readings: CheckData, found: Portfolio, start: Ts) -> tuple[int, int]:
    """Return the wins and losses since a moment: of the bookings that were read, and of all other closed markets."""
    month = pnl_since(found, start)
    wins, losses = (0, 0)
    if found.closed and readings.store is not None:
        wins, losses = readings.store.history.closes(start, found.ledger.tickers)
    return month.wins + wins, month.losses + losses


def _win_rate(readings: CheckData, month: tuple[int, int]) -> tuple[tuple[Breach, ...], list[Measure]]:
    """Return the share of closes (closing fills and settlements) that won; none from fewer than MIN_CLOSES."""
    wins, losses = month
    closed = wins + losses
    if closed < MIN_CLOSES:
        return (), []
    measure = measured("win_rate_pct", round(100 * wins / closed, 1), readings.checks.win_rate_pct, "%")
    text = f"{wins} of {closed} closes of the last 30 days won ({measure.value:g}%)"
    return measure.breach("WIN_RATE", "closing trades", text), [measure]


def _day(readings: CheckData, net: Money) -> tuple[list[Breach], list[Measure]]:
    limit = readings.limits.max_daily_loss
    if limit is None:
        return [], []
    lost = Money(max(0, -net))
    pct = round(100 * lost / limit, 1) if limit else (100.1 if lost else 0.0)  # Any loss exceeds a limit of zero.
    measure = measured("day_loss_pct", pct, readings.checks.day_loss_pct, "%")
    text = f"lost {show_money(lost)} ({pct:g}% of the limit {show_money(limit)})"
    return list(measure.breach("DAY_LOSS", "account", text)), [measure]


def _doubts(found: Portfolio) -> list[Breach]:
    """Return an `unknown` breach for each market whose result is incomplete."""
    unmarked = [position.ticker for position in found.open_positions if found.marks.get(position.ticker) is None]
    return [
        Breach(subject=ticker, value=why, limit="a response", severity="unknown", code="COULD_NOT_LOOK")
        for tickers, why in (
            (found.drifting, "fills do not add up to the position"),
            (unmarked, "no price available; valued at cost"),
        )
        for ticker in tickers
    ]
