"""Check that the trading loop runs and completes its cycles."""

from __future__ import annotations

from msgspec.structs import replace

from kalshi_cli.base.units import Ts, format_ts, pluralize
from kalshi_cli.core.account.pnl import build_ledger
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, critical, report, warning
from kalshi_cli.core.monitoring.feed_check import account_unreadable_breach
from kalshi_cli.services.monitoring.checks.readings import CheckData, LoopRecord, from_the_future, measured
from kalshi_cli.services.trading.halts import state_word
from kalshi_cli.services.trading.reports.status import alert_of_pause, halt_runbook, stalled_since
from kalshi_cli.store.database import is_full
from kalshi_cli.store.records import NO_HALT, Halt

FIRST = "cycle_age_s"


def examine(readings: CheckData) -> CheckReport:
    """Check the age of the last cycle that was completed while the account could be read.

    No loop is critical, unless the last one stopped gracefully and that is allowed. A halt and a reduce-only state are
    critical under their own codes, a pause by an alert under that of the alert; a manual pause is a warning.
    """
    loop = readings.loop
    name = f"the loop{loop.mode and ' on ' + loop.mode}"
    measures: list[Measure] = []
    if loop.who is None:
        summary, breaches = _stopped(readings, loop, name)
    else:
        # While a loop starts, its age counts from its start: the saved row belongs to the previous run.
        pulse = loop.pulse
        since = pulse.completed if pulse is not None else loop.who.started
        verb = "completed a cycle" if pulse is not None else "started"
        summary, breaches, measures = _running(readings, f"{name} (pid {loop.who.pid}) {verb}", name, since)
    halts = _halt(loop, name)
    # During a halt no loop can start, so the halt comes first; but a killed loop may have left orders.
    is_ended_by_halt = loop.who is None and loop.halt.is_final and (loop.cycle is None or not loop.cycle.is_running)
    return report("heartbeat", summary, [*halts, *breaches] if is_ended_by_halt else [*breaches, *halts], measures)


def _running(readings: CheckData, said: str, name: str, since: Ts | None) -> tuple[str, list[Breach], list[Measure]]:
    """Return the age of a running loop's last cycle or start; `unknown` if its lock has no time."""
    if since is None:
        value = f"{said}, at an unknown time: its lock file has none"
        return value, [Breach(subject=name, value=value, limit="a time", severity="unknown", code="COULD_NOT_LOOK")], []
    now = readings.clock.now()
    age = max(0.0, (now - since) / 1000)
    measure = measured("cycle_age_s", age, readings.checks.cycle_age_s, "s")
    late, loop = measure.breach("CYCLE_LATE", name, f"{age:.0f} s"), readings.loop
    # `kalshi status` calls a loop stalled before the first threshold by default.
    if not late and stalled_since(loop.who, loop.pulse, loop.alerts, now) is not None:
        late = (warning("CYCLE_LATE", name, f"{age:.0f} s: the loop is stalled", "a cycle every few seconds"),)
    if is_full(loop.home):
        value = f"{age:.0f} s, and the disk of {loop.home} is full"
        late = tuple(replace(each, value=value, runbook="disk-full") for each in late)
    breaches = [*late, *account_unreadable_breach(loop.alerts), *from_the_future(name, since, now)]
    return f"{said} {age:.0f} s ago", breaches, [measure]


def _stopped(readings: CheckData, loop: LoopRecord, name: str) -> tuple[str, list[Breach]]:
    cycle = loop.cycle
    if cycle is None:
        allowed = "" if readings.wanted.is_stop_allowed else " (if you run none: --allow-stopped)"
        what = f"has no run on record{allowed}"
    elif cycle.is_running:
        what = f"was killed, or could not write the state file; last cycle at {format_ts(cycle.completed)}"
    else:
        code = f"exit code {cycle.exit_code}" if cycle.exit_code is not None else ""
        why = ": ".join(filter(None, (code, cycle.stopped_by)))
        what = f"stopped at {format_ts(cycle.completed)}" + (f" ({why})" if why else "")
    if held := _open_positions(loop):
        what += f"; {pluralize(held, 'open position')}"
    lost = critical("HEARTBEAT_LOST", name, what, "a running loop")
    is_in_order = cycle is None or cycle.ended_in_order
    if is_in_order and readings.wanted.is_stop_allowed:
        return f"no trading loop is running: {name} {what}", [replace(lost, severity="note")]
    return f"{name} {what}", [lost]


def _open_positions(loop: LoopRecord) -> int:
    """Return the number of open positions by the state file of a loop: nothing manages them."""
    known = loop.store.history.counted() if loop.store is not None else None
    ledger = build_ledger((*known.fills, *known.settlements) if known is not None else ())
    return sum(1 for position in ledger.positions.values() if position.qty)


def _halt(loop: LoopRecord, name: str) -> list[Breach]:
    """Return a breach if the loop completes its cycles but may not trade: critical, or a warning for a manual pause.

    A pause by an alert has the code of the alert. A reduce-only state or a halt below a pause is named as well.
    """
    halt = loop.halt
    if halt.state is TradingState.ACTIVE:
        return []
    found = [_breach(halt, name)]
    below = loop.store.stop_under_pause() if halt.is_pause and loop.store is not None else NO_HALT
    if below.state is not TradingState.ACTIVE and below.code != found[0].code:
        found.append(_breach(below, name))
    return found


def _breach(halt: Halt, name: str) -> Breach:
    what = state_word(halt) if halt.is_pause else f"{state_word(halt)} by {halt.code}"
    why = halt.reason.split(". ")[0]  # The rest says what to do, as the runbook does.
    said = f"{what} since {format_ts(halt.since)}: {why}".rstrip(": ")
    by_alert, runbook = alert_of_pause(halt), halt_runbook(halt)
    return Breach(
        subject=name, value=said, limit="active", severity="critical" if halt.is_wrong else "warning",
        code=by_alert or halt.code or "HALTED", runbook=runbook, sent_as=halt.code if by_alert else "",
    )  # fmt: skip
