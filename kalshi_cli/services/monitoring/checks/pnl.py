"""What the trading day lost, and how far the account is below the best it ever was."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from kalshi_cli.base.units import DOLLAR, Money, Ts, show_money
from kalshi_cli.config.schema import CheckRange
from kalshi_cli.config.values import RangeText
from kalshi_cli.core.account.pnl import group_by, total
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, report
from kalshi_cli.core.state.trading_day import day_start
from kalshi_cli.services.account.portfolio import Portfolio
from kalshi_cli.services.monitoring.checks.readings import AGAIN_S, CheckData, measured, run_part

FIRST = "day_loss_pct"


def examine(readings: CheckData) -> CheckReport:
    """The day, of `day_zone`, from the exchange's fills and settlements with what is open at what it could be closed
    at; and the drawdown from the best that this check or a loop ever saw. Money that came or went is in neither.
    """
    found, now = _whole(readings), readings.clock.now()
    day = _net(found, day_start(now, ZoneInfo(readings.config.day_zone)))
    breaches, measures = _day(readings, day)
    summary = f"today {show_money(day, signed=True)}"
    gained = _net(found, None)
    falls: list[Measure] = []

    def fall() -> tuple[Breach, ...]:
        best = readings.best(gained, now).gained
        falls.append(measured("drawdown_usd", max(0, best - gained) / DOLLAR, _bound(readings)))
        below = Money(max(0, best - gained))
        return falls[0].breach("DRAWDOWN", "account", f"{show_money(below)} below {show_money(best, signed=True)}")

    doubts = _doubts(found)
    breaches += doubts or run_part("drawdown", fall)  # what is not certain is not remembered as the best
    if falls:
        summary += f", ${falls[0].value:,.2f} below the best"
    return report("pnl", summary, breaches, [*measures, *falls, Measure(label="day_net_usd", value=day / DOLLAR)])


def _bound(readings: CheckData) -> CheckRange:
    """Where nothing else is said of the check, what stops a loop is critical here: there may be none that runs."""
    bound, limit = readings.checks.drawdown_usd, readings.limits.max_drawdown
    return bound if bound.crit or limit is None else CheckRange(warn=bound.warn, crit=RangeText(f"{limit / DOLLAR:f}"))


def _whole(readings: CheckData) -> Portfolio:
    """Fills and positions that agree; what trades between the two reads is read again."""
    if readings.portfolio.drifting:
        readings.clock.sleep(AGAIN_S)
        readings.forget("portfolio")
    return readings.portfolio


def _net(found: Portfolio, since: Ts | None) -> Money:
    return total(group_by(found.entries, found.marks, lambda ticker, _: ticker, since=since).values()).net


def _day(readings: CheckData, net: Money) -> tuple[list[Breach], list[Measure]]:
    limit = readings.limits.max_daily_loss
    if limit is None:
        return [], []
    lost = Money(max(0, -net))
    pct = round(100 * lost / limit, 1) if limit else (100.1 if lost else 0.0)  # a limit of nothing is crossed by a cent
    measure = measured("day_loss_pct", pct, readings.checks.day_loss_pct, "%")
    text = f"{show_money(lost)} lost ({pct:g} % of {show_money(limit)})"
    return list(measure.breach("DAY_LOSS", "account", text)), [measure]


def _doubts(found: Portfolio) -> list[Breach]:
    """A number that leaves something out must not look like one that does not."""
    unmarked = [position.ticker for position in found.open_positions if found.marks.get(position.ticker) is None]
    return [
        Breach(subject=ticker, value=why, limit="an answer", severity="unknown", code="COULD_NOT_LOOK")
        for tickers, why in (
            (found.drifting, "its fills do not add up to its position"),
            (unmarked, "nothing says what it is worth; counted at cost"),
        )
        for ticker in tickers
    ]
