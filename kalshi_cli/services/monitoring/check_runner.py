"""The run of a check: the data it reads, the lock against overlapping runs, and the notices about its findings."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import msgspec

from kalshi_cli.base.errors import KalshiError, UnreachableError
from kalshi_cli.base.file_trust import doubt_folder
from kalshi_cli.base.units import Ts
from kalshi_cli.config.config import log_folder
from kalshi_cli.config.limits import digest_of, limits_of_this_program
from kalshi_cli.config.schema import CheckRange
from kalshi_cli.core.monitoring.check_report import (
    Breach,
    CheckReport,
    Verdict,
    cause_of,
    critical,
    report,
    sort_by_severity,
)
from kalshi_cli.core.monitoring.error_check import SHOWN_ONLY
from kalshi_cli.services.monitoring import health
from kalshi_cli.services.monitoring.alerting import LOOP_LIMITS
from kalshi_cli.services.monitoring.check_notices import BUSY_MS, Findings, tell_sinks, would_stop
from kalshi_cli.services.monitoring.check_turns import CheckRunLock
from kalshi_cli.services.monitoring.checks.readings import KNOWING, LOCK, CheckData, CheckRequest, in_doubt
from kalshi_cli.services.resources import Home, Resources

ALL = (
    "disk",
    "heartbeat",
    "errors",
    "execution",
    "exchange",
    "positions",
    "pnl",
    "orders",
    "balance",
    "drift",
    "api",
    "feed",
)
"""The checks of "all", in this order: first those without requests; last `feed`, which may wait for a stream."""


BY_LIMITS = ("check positions", "check pnl")
"""The checks that compare the account with the configured limits."""

RANGE_OF_THIS_RUN = "its -w or -c range applies to this run only"

CONFIGURATION = "configuration"
"""The source, and the subject, of an error that lets no check start."""

UNUSABLE = "STATE_UNUSABLE"

UNMANAGED = "a loop was trading here or may have been, and orders and positions may be unmanaged"

Show = Callable[[CheckReport, Sequence[CheckReport]], None]


def run_checks(resources: Resources, wanted: CheckRequest, show: Show, leave: Callable[[Verdict], None]) -> Verdict:
    """Run the checks, show the report and send notices; the verdict does not depend on the notices.

    If a check hangs, a timer thread reports what is known by then and calls `leave`, which ends this process.
    """
    until, began = resources.machine.monotonic() + wanted.within_s, resources.clock.now()
    turns = CheckRunLock(resources.state_dir / "checks", wanted.name, resources.machine, resources.tell)
    with turns.taken() as turn:
        if not turn.is_ours:
            whole, past = turns.skipped(turn)
            show(whole, ())
            if wanted.is_told and past.was_skipped:
                found = {turns.source: whole.breaches}
                home = _home(resources, wanted)
                tell_sinks(resources, home, found, wanted.notify, until, is_doubt_new=True)
            return whole.verdict
        known: list[CheckReport] = []
        verdicts: list[Verdict] = []
        concluding = threading.Lock()

        def conclude() -> Verdict:
            """Report once, from the check or from the timer, whichever is first."""
            with concluding:
                if not verdicts:
                    verdicts.append(_conclude(resources, wanted, turns, known, show, until, began))
            return verdicts[0]

        timer = threading.Timer(wanted.part_s(KNOWING), lambda: leave(conclude()))
        timer.daemon = True
        timer.start()
        try:
            _look(resources, wanted, known)
        finally:
            timer.cancel()
        return conclude()


def _conclude(
    resources: Resources,
    wanted: CheckRequest,
    turns: CheckRunLock,
    known: Sequence[CheckReport],
    show: Show,
    until: float,
    began: Ts,
) -> Verdict:
    """Report the known results; checks without a result are `unknown`."""
    reports, late = list(known), UnreachableError("Timed out before this could be checked", code="too_slow")
    reports += [in_doubt(name, late) for name in wanted.checks[len(reports) :]]
    whole = reports[0] if wanted.checks == (wanted.name,) else _together(reports)
    show(whole, () if len(reports) == 1 else reports)
    findings = {
        f"check {each.check}": tuple(breach.as_sent for breach in each.breaches if breach.code not in SHOWN_ONLY)
        for each in reports
    }
    findings[CONFIGURATION] = ()  # This check could start.
    past = turns.looked(whole.verdict)
    _raise_unmanaged(resources, wanted, findings, is_again=past.is_doubted)
    if past.was_skipped:
        findings[turns.source] = ()
    if wanted.is_told:
        is_new, home = not past.is_doubted, _home(resources, wanted)
        why = RANGE_OF_THIS_RUN if wanted.warn or wanted.crit else ""
        own = {} if why else _judged_by_other_limits(resources, home, findings)
        tell_sinks(
            resources, home, {source: found for source, found in findings.items() if source not in own},
            wanted.notify, until, is_doubt_new=is_new, only_here=why, began=began,
        )  # fmt: skip
        if own:
            named = ", ".join(f"{path} ({resources.config.origins[path]})" for path in _limits_here(resources))
            why = f"the loop does not have this limit: {named}"
            resources.tell(f"Trading is not paused, because {why}")
            tell_sinks(resources, home, own, wanted.notify, until, is_doubt_new=is_new, only_here=why)
    return whole.verdict


def _limits_here(resources: Resources) -> Mapping[str, object]:
    """Return the limits that this program has from variables and options."""
    return limits_of_this_program(resources.config)


def _judged_by_other_limits(resources: Resources, home: Home, findings: Findings) -> Findings:
    """Return the findings that would stop trading by limits of this program that the last loop did not have.

    A limit of a variable that was set for one command must not stop a loop. Limits of the file, and those that the loop
    had too, stop it; so do all if no loop is on record.
    """
    found = {source: each for source, each in findings.items() if source in BY_LIMITS and would_stop({source: each})}
    if not (found and _limits_here(resources)) or resources.config.alerts.on_critical == "none":
        return {}
    try:
        store = resources.remembered(home, BUSY_MS)
    except KalshiError:
        return {}
    of_loop = store.alert_book.mark(LOOP_LIMITS) if store is not None else 0
    return found if of_loop not in (0, digest_of(_limits_here(resources))) else {}


def _raise_unmanaged(
    resources: Resources, wanted: CheckRequest, findings: dict[str, tuple[Breach, ...]], *, is_again: bool
) -> None:
    """Make notices about an unusable state file critical, unless it is known that no loop was trading.

    The file would say that a loop was killed; without it, no other finding does. A file that is only locked gets a
    second look, because another program may write to it for a moment.
    """
    is_unusable = any(each.code == UNUSABLE for found in findings.values() for each in found)
    if not is_unusable or not _may_be_unmanaged(resources, _home(resources, wanted), is_again=is_again):
        return
    for source, found in findings.items():
        findings[source] = tuple(
            msgspec.structs.replace(each, severity="critical", value=f"{each.value}; {UNMANAGED}")
            if each.code == UNUSABLE
            else each
            for each in found
        )


def _may_be_unmanaged(resources: Resources, home: Home, *, is_again: bool) -> bool:
    """Return whether a loop was trading by the state file, or was ever started where the file does not say."""
    if not os.path.exists(home.folder / LOCK):  # Path.exists raises in the directory of another user.
        return False
    try:
        with resources.open_store(home, create=False, busy_ms=BUSY_MS) as store:
            cycle = store.last_cycle()
    except KalshiError as error:
        return is_again or error.code != "state_locked"
    return cycle is not None and cycle.is_running


def could_not_start(resources: Resources, name: str, error: KalshiError, notify: str, until: float) -> None:
    """Send that a check could not start, the second time in a row, to every channel that could be read.

    It is critical: no check can start, so nothing watches the account. The state file is used only where it exists, in
    a folder that no other user can write.
    """
    turns = CheckRunLock(resources.state_dir / "checks", name, resources.machine, resources.tell)
    home = resources.home
    if not turns.looked(Verdict.UNKNOWN).is_doubted:
        return
    value = f"no check can run: {error.message}"
    found = {CONFIGURATION: [critical("CONFIG_ERROR", CONFIGURATION, value, "a valid configuration")]}
    is_saved = (home.folder / "state.db").exists() and doubt_folder(home.folder) is None
    tell_sinks(resources, home, found, notify, until, is_doubt_new=False, is_saved=is_saved)


def _home(resources: Resources, wanted: CheckRequest) -> Home:
    """Return the home whose alerts change: the account's, or without a key another home that has a state file."""
    if wanted.home is not None or resources.home.account:
        return wanted.home or resources.home
    return next(
        (home for home in resources.homes if home.account and (home.folder / "state.db").exists()), resources.home
    )


def _look(resources: Resources, wanted: CheckRequest, known: list[CheckReport]) -> None:
    """Run the checks in sequence and append each report to `known` at once."""

    def try_stream(within_s: float) -> health.CheckResult:
        within_s = min(within_s, health.STREAM_WITHIN_S)
        return health.stream(resources.ws_url, resources.signer, resources.clock, resources.rng, within_s=within_s)

    readings = CheckData(resources, wanted, _folders(resources, wanted), try_stream)
    for name in wanted.checks:
        known.append(_examined(readings, name))  # noqa: PERF401 - The timer's thread reads `known`.


def _folders(resources: Resources, wanted: CheckRequest) -> tuple[Path, ...]:
    """Return the state directory and the log directory."""
    home = _home(resources, wanted).folder
    folders = dict.fromkeys((home, log_folder(resources.config, home)))
    return tuple(folders) if resources.config.logs.folder is not None else (home,)


def _examined(readings: CheckData, name: str) -> CheckReport:
    wanted = readings.wanted
    check = import_module(f"kalshi_cli.services.monitoring.checks.{name}")
    if wanted.warn or wanted.crit:
        configured: CheckRange = getattr(readings.config.checks, check.FIRST)
        bound = CheckRange(warn=wanted.warn or configured.warn, crit=wanted.crit or configured.crit)
        readings.checks = msgspec.structs.replace(readings.config.checks, **{check.FIRST: bound})
    try:
        found: CheckReport = check.examine(readings)
    except KalshiError as error:
        return in_doubt(name, error)
    return found


def _together(reports: Sequence[CheckReport]) -> CheckReport:
    """Return one report for all checks, with the worst verdict."""
    bad = (Verdict.CRITICAL, Verdict.UNKNOWN, Verdict.WARNING)
    named = {verdict: [each.check for each in reports if each.verdict is verdict] for verdict in bad}
    fine = sum(each.verdict is Verdict.OK for each in reports)
    parts = [f"{verdict.name}: {', '.join(names)}" for verdict, names in named.items() if names]
    breaches = [breach for each in reports for breach in each.breaches]
    measures = [measure for each in reports for measure in each.measures]
    ordered = sort_by_severity(breaches)
    lead = cause_of(ordered) if ordered else None
    of = next((each.check for each in reports if lead in each.breaches), "")
    if lead is not None and lead.severity != ordered[0].severity:  # the cause is only UNKNOWN: name what it made worse
        of = f"{next(each.check for each in reports if ordered[0] in each.breaches)}, because of {of}"
    return report("all", "; ".join([f"{fine} of {len(reports)} OK", *parts]), breaches, measures, of=of)
