"""Sends the findings of a check to the configured alert channels, and to one more channel for this run."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from kalshi_cli.base.errors import KalshiError, StateFileError
from kalshi_cli.base.files import make_folder, read_regular, write_atomically
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Ts
from kalshi_cli.config.schema import AlertChannel
from kalshi_cli.core.monitoring.check_report import Breach, critical
from kalshi_cli.core.monitoring.incidents import STOPS
from kalshi_cli.core.monitoring.notices import Kind, Notice
from kalshi_cli.core.monitoring.runbook_index import runbook_for
from kalshi_cli.services.monitoring.alerting import ATTEMPT_S, Alerting, receives
from kalshi_cli.services.monitoring.alerts import alerting, open_channels
from kalshi_cli.services.monitoring.open_alerts import FILE as OPEN_ALERTS
from kalshi_cli.services.monitoring.open_alerts import TIERS, SentBreach, read_open_alerts
from kalshi_cli.services.resources import Home, Resources

Findings = Mapping[str, Sequence[Breach]]
"""Breaches by the source that found them."""

SENT = "sent-directly.json"
"""The file in the folder of the checks that says when a finding was sent without a state file."""

MAX_SENT = 100
"""The findings that it keeps."""

START = "trade"
"""The source of a loop that could not start."""

SPARE_S = 0.5
"""Seconds at the end of a check in which nothing is delivered."""

BUSY_MS = 1_000
"""Time that a check waits for another program that writes to the state file; the check has a deadline itself."""

START_S = 10.0
"""Seconds for the notice about a loop that cannot start."""


@contextmanager
def failed_start_sent(resources: Resources, home: Home, subject: str) -> Iterator[None]:
    """Open the state file of a loop within this context: if it cannot be used, send a critical LOOP_FAILED at once.

    A supervisor that starts the loop again and again sends it once per `alerts.repeat_s`, until a start succeeds.
    """
    try:
        yield
    except StateFileError as error:
        value = f"the loop could not start: {error.message}"
        found = {START: [critical("LOOP_FAILED", subject, value, "a running loop")]}
        until = resources.machine.monotonic() + START_S
        tell_sinks(resources, home, found, "", until, is_doubt_new=False, is_saved=False)
        raise
    if _sent_before(home):
        with suppress(KalshiError), alerting(resources, home) as alerts:
            _take_over(alerts, home)


def _take_over(alerts: Alerting, home: Home) -> None:
    """Continue the alerts that were sent without the state file, and forget that: the next damage is news again.

    A start that failed for that file is over.
    """
    if sent := _sent_before(home):
        alerts.take_over(list(sent.values()))
    if any(each.source == START for each in sent.values()):
        alerts.observe(START, [])
    for path in _sent_paths(home):
        with suppress(OSError):
            path.unlink(missing_ok=True)


def tell_sinks(
    resources: Resources,
    home: Home,
    findings: Findings,
    notify: str,
    until: float,
    *,
    is_doubt_new: bool,
    only_here: str = "",
    is_saved: bool = True,
    began: Ts | None = None,
) -> None:
    """Send findings once, remind, resolve. Never raises; a line on stderr names the notices that were not delivered.

    If the state file is unusable, a file of its own says what was sent since, and the file of open alerts what was sent
    before: a finding is sent again after `alerts.repeat_s`, and at every run if no such file can be written; a first
    `unknown` is not sent. The first check with a usable file takes these over, and so sends the end of what it no
    longer finds. Without channels and without a state file, nothing is saved. If `only_here` says why these findings
    are those of this run only, and a critical one would stop trading, nothing is saved either, and the notices are
    events, without an end: a later run that may stop trading must find it new. `is_saved` is False where the state file
    is not to be touched. `began` is when the check began to read.
    """
    more = {f"notify-{hashlib.sha256(notify.encode()).hexdigest()[:8]}": AlertChannel(url=notify)} if notify else {}
    sinks = {**resources.config.alerts.channels, **more}
    if not (sinks or (is_saved and (home.folder / "state.db").exists())):
        return
    if only_here and resources.config.alerts.on_critical != "none" and would_stop(findings):
        _send_directly(resources, sinks, findings, until, only_here, is_doubt_new=is_doubt_new, kind="event")
        return
    before = _sent_before(home)
    try:
        if is_saved:
            _tell_through_history(resources, home, findings, more, until, began)
            return
    except KalshiError as error:
        is_said = any(error.message in each.value for found in findings.values() for each in found)
        why = "" if is_said else f": {error.message}"
        resources.tell(f"Alert history unavailable, so this alert may be a repeat{why}")
    now, repeat_ms = resources.clock.now(), resources.config.alerts.repeat_s * 1000
    sent_at = {key: each.at for key, each in before.items()} | _sent_by_state_file(home, sinks)
    recent = {key for key, at in sent_at.items() if 0 <= now - at < repeat_ms}
    known = recent if _keep_sent(home, []) else None  # the notice says how often it is repeated
    why = "the state file cannot be used"
    sent = _send_directly(resources, sinks, findings, until, why, is_doubt_new=is_doubt_new, known=known)
    _keep_sent(home, sent)


def _tell_through_history(
    resources: Resources,
    home: Home,
    findings: Findings,
    more: Mapping[str, AlertChannel],
    until: float,
    began: Ts | None,
) -> None:
    with alerting(resources, home, more=more, busy_ms=BUSY_MS) as alerts:
        now = resources.clock.now()
        _take_over(alerts, home)
        for source, breaches in findings.items():
            alerts.observe(source, breaches, began)
        alerts.deliver(until - SPARE_S - resources.machine.monotonic())
        states = alerts.book.sinks()
        _warn(resources, [f"{each.sink}: {each.error}" for each in states if (each.last_failed or 0) >= now])


def keep_sent(home: Home, source: str, breach: Breach, at: Ts, channels: Sequence[str]) -> None:
    """Save that these channels received an alert without the state file: the next check does not send it again."""
    _keep_sent(home, [SentBreach(source, breach, at, name) for name in channels])


def sent_directly(home: Home) -> dict[str, Ts]:
    """Return when each channel last received an alert that the state file does not know yet."""
    return {each.sink: each.at for each in sorted(_sent_before(home).values(), key=lambda each: each.at)}


def _sent_paths(home: Home) -> tuple[Path, Path]:
    """Return the file in the state directory, and one in the temporary directory for when that disk is full."""
    folder = home.folder.absolute()
    name = f"kalshi-{os.geteuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]}"
    return folder / "checks" / SENT, Path(tempfile.gettempdir()) / name / SENT


def _keep_sent(home: Home, sent: Sequence[SentBreach]) -> bool:
    """Add the findings that were sent to those of the file; return whether a file could keep them."""
    known = {**_sent_before(home), **{each.key: each for each in sent}}
    newest = sorted(known.values(), key=lambda each: -each.at)[:MAX_SENT]
    for path in _sent_paths(home):
        with suppress(OSError):
            make_folder(path.parent)
            if _is_own(path.parent):
                write_atomically(path, msgspec.json.encode(newest))
                return True
    return False


def _is_own(folder: Path) -> bool:
    """Return whether a folder belongs to this user and no other user can write to it: another could hide an alert."""
    found = os.lstat(folder)
    return found.st_uid == os.geteuid() and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o022


def _sent_before(home: Home) -> dict[tuple[str, ...], SentBreach]:
    """Return the findings that were sent without a state file, by their keys."""
    found: list[SentBreach] = []
    for path in _sent_paths(home):
        with suppress(OSError, ValueError, RecursionError):  # also bytes that are no text
            if _is_own(path.parent):
                found += msgspec.json.decode(read_regular(path), type=prepared(list[SentBreach]))
    newest_last = sorted((each for each in found if each.tier in TIERS), key=lambda each: each.at)
    return {each.key: each for each in newest_last}


def would_stop(findings: Findings) -> bool:
    """Return whether a finding stops trading, if that is configured."""
    return any(each.severity == "critical" and each.code in STOPS for found in findings.values() for each in found)


def _sent_by_state_file(home: Home, sinks: Collection[str]) -> dict[tuple[str, ...], Ts]:
    """Return when open alerts were last sent through the state file, by the keys of a SentBreach for each channel."""
    return {
        (sink, each.tier, each.code, each.subject): each.last_sent
        for each in read_open_alerts(home.folder / "checks" / OPEN_ALERTS)
        for sink in sinks
    }


def _warn(resources: Resources, failing: Sequence[str]) -> None:
    if failing:
        resources.tell(f"Not delivered: {'; '.join(failing)}")


def _send_directly(
    resources: Resources,
    sinks: Mapping[str, AlertChannel],
    findings: Findings,
    until: float,
    why: str,
    *,
    is_doubt_new: bool,
    known: Collection[tuple[str, ...]] | None = None,
    kind: Kind = "firing",
) -> list[SentBreach]:
    """Send the findings that are not in `known`; return those that were delivered."""
    notifier, failing = open_channels(resources, sinks), []
    sent: list[SentBreach] = []
    severities = ("critical", "warning") if is_doubt_new else ("critical", "warning", "unknown")
    again = f"most every {resources.config.alerts.repeat_s / 60:g} minutes"
    if known is None:
        again = "every run" if kind == "event" else "every run, without an end,"
    for source, breaches in by_cause(findings, severities):
        notice = _notice(resources, source, breaches, f"repeated at {again} because {why}", kind)
        for name in [name for name, sink in sinks.items() if receives(sink, notice.tier, notice.event)]:
            finding = SentBreach(source.split(", ")[0], breaches[0], notice.ts, name)
            if finding.key in (known or ()):
                continue
            left_s = until - SPARE_S - resources.machine.monotonic()
            delivery = notifier.deliver(name, notice, min(left_s, ATTEMPT_S)) if left_s > 0 else None
            if delivery is None or delivery.outcome != "delivered":
                failing.append(f"{name}: {delivery.text if delivery is not None else 'no time left'}")
            else:
                sent.append(finding)
    _warn(resources, failing)
    return sent


def by_cause(findings: Findings, severities: Collection[str]) -> list[tuple[str, list[Breach]]]:
    """Return the breaches of these severities with their sources, those with the same first finding together.

    A damaged state file is found by most checks, and is one notice.
    """
    causes: dict[tuple[str, str, str], tuple[list[str], list[Breach]]] = {}
    for source, found in findings.items():
        if breaches := [each for each in found if each.severity in severities]:
            first = breaches[0]
            sources, together = causes.setdefault((first.severity, first.code, first.value), ([], []))
            sources.append(source)
            together.extend(breaches)
    return [(", ".join(sources), together) for sources, together in causes.values()]


def _notice(resources: Resources, source: str, breaches: Sequence[Breach], why: str, kind: Kind) -> Notice:
    first, now = breaches[0], resources.clock.now()
    remedy = runbook_for(first.code)
    return Notice(
        notice_id=resources.new_id(), kind=kind, tier="critical" if first.severity == "critical" else "warning",
        event=remedy.event, code=first.code, subject=first.subject,
        text=f"{source}: {first.value}, {first.bound}; {why}",
        env=resources.config.env, since=now, ts=now, value=first.value, limit=first.limit, unit=first.unit,
        count=len(breaches),
        subjects=tuple(breach.subject for breach in breaches[:5]), runbook=remedy.runbook, command=remedy.command,
    )  # fmt: skip
