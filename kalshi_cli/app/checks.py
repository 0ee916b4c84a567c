"""The composition of a check: what it looks through, its turn, and who hears of what it found."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from importlib import import_module

import msgspec

from kalshi_cli.app import App
from kalshi_cli.app.check_notices import BUSY_MS, Book, tell_sinks
from kalshi_cli.app.health import check_schema
from kalshi_cli.base.errors import CredentialsError, KalshiError, UnreachableError
from kalshi_cli.config.config import state_dir
from kalshi_cli.config.schema import Bound
from kalshi_cli.config.values import RangeText
from kalshi_cli.core.monitoring.check_report import CheckReport, Verdict, cause_of, report, worst_first
from kalshi_cli.core.monitoring.error_check import SHOWN_ONLY
from kalshi_cli.desk import health
from kalshi_cli.desk.checks.readings import LOCK, Loop, Readings, in_doubt, loop_at
from kalshi_cli.desk.checks.turns import Turns
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.store.sqlite_store import Store

LOOKING, KNOWING = 0.6, 0.7
"""The part of its time in which a check may begin to look, and after which what is known by then has to do; the rest is
for those who must hear of it."""

LONGER = {"schema": 0.2}
"""Who asks for one thing after the other may look for so much longer, and has no more than a few to tell after it."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for: one check or, as "all", several; bounds in place of the configured; which loop; whom to tell.

    `notify` is the address of a sink for this run; without `is_told` nobody hears of it.
    """

    name: str
    checks: tuple[str, ...]
    within_s: float
    warn: RangeText | None = None
    crit: RangeText | None = None
    is_paper: bool = False
    is_stop_allowed: bool = False
    is_accepted: bool = False
    is_public_only: bool = False
    notify: str = ""
    is_told: bool = True

    def part_s(self, part: float) -> float:
        """LOOKING or KNOWING in seconds."""
        return self.within_s * (part + LONGER.get(self.name, 0.0))


Show = Callable[[CheckReport, Sequence[CheckReport]], None]


def run_checks(app: App, wanted: Wanted, show: Show, leave: Callable[[Verdict], None]) -> Verdict:
    """Look, show what was found, and tell those who must hear of it; the verdict does not depend on the telling.

    A look that is held up, by whatever, ends with what is known by then, in a thread of its own; `leave` then ends this
    process.
    """
    until = app.machine.monotonic() + wanted.within_s
    turns = Turns(app.state_dir / "checks", wanted.name, app.machine, app.tell)
    with turns.taken() as turn:
        if not turn.is_ours:
            whole, past = turns.skipped(turn)
            show(whole, ())
            if wanted.is_told and past.was_skipped:
                tell_sinks(
                    app,
                    _book(app, wanted),
                    {turns.source: whole.breaches},
                    wanted.notify,
                    until,
                    is_doubt_new=True,
                    may_stop=True,
                )
            return whole.verdict
        known: list[CheckReport] = []
        verdicts: list[Verdict] = []
        concluding = threading.Lock()

        def conclude() -> Verdict:
            """Once, by whoever is first: who looked, or the time that is over."""
            with concluding:
                if not verdicts:
                    verdicts.append(_conclude(app, wanted, turns, known, show, until))
            return verdicts[0]

        timer = threading.Timer(wanted.part_s(KNOWING), lambda: leave(conclude()))
        timer.daemon = True
        timer.start()
        try:
            _look(app, wanted, known)
        finally:
            timer.cancel()
        return conclude()


def _conclude(
    app: App, wanted: Wanted, turns: Turns, known: Sequence[CheckReport], show: Show, until: float
) -> Verdict:
    """What of the wanted is not known by now is in doubt."""
    reports, late = list(known), UnreachableError("no time was left to look", code="too_slow")
    reports += [in_doubt(name, late) for name in wanted.checks[len(reports) :]]
    whole = reports[0] if wanted.checks == (wanted.name,) else _together(reports)
    show(whole, () if len(reports) == 1 else reports)
    findings = {
        f"check {each.check}": tuple(breach for breach in each.breaches if breach.code not in SHOWN_ONLY)
        for each in reports
    }
    past = turns.looked(whole.verdict)
    if past.was_skipped:
        findings[turns.source] = ()
    if wanted.is_told:
        tell_sinks(
            app,
            _book(app, wanted),
            findings,
            wanted.notify,
            until,
            is_doubt_new=not past.is_doubted,
            may_stop=not (wanted.warn or wanted.crit),
        )
    return whole.verdict


def _book(app: App, wanted: Wanted) -> Book:
    """Whose alerts it is about: the account's, or of trading on paper, which needs no account."""
    paper = Book(state_dir(app.config, "paper"), "paper")
    if wanted.is_paper:
        return paper
    try:
        return Book(app.state_dir, app.account)
    except CredentialsError:
        return paper if (paper.home / "state.db").exists() else Book(app.state_dir, "")


def _look(app: App, wanted: Wanted, known: list[CheckReport]) -> None:
    """One after the other; what each found is `known` at once."""
    readings = Readings(
        app.config, app.limits, app.clock,
        connect=lambda: _bounded(app.client, wanted.within_s * LOOKING / 2), learn_key=app.learn_key,
        connect_unsigned=lambda: _bounded(app.public, wanted.within_s * LOOKING / 2),
        remembered=lambda: app.remembered(busy_ms=BUSY_MS), remember=lambda: app.store,
        find_loop=lambda: _loop(app, wanted, readings.store), within_s=wanted.part_s(LOOKING),
        try_stream=lambda within_s: health.stream(
            app.ws_url, app.signer, app.clock, app.rng, within_s=min(within_s, health.STREAM_WITHIN_S)
        ),
        try_routes=lambda within_s: check_schema(app, is_public_only=wanted.is_public_only, within_s=within_s),
        seen=app.journal.traffic, is_stop_allowed=wanted.is_stop_allowed, is_accepted=wanted.is_accepted,
    )  # fmt: skip
    for name in wanted.checks:
        known.append(_examined(readings, name, wanted))  # noqa: PERF401 - another thread looks on


def _examined(readings: Readings, name: str, wanted: Wanted) -> CheckReport:
    check = import_module(f"kalshi_cli.desk.checks.{name}")
    if wanted.warn or wanted.crit:
        configured: Bound = getattr(readings.config.checks, check.FIRST)
        bound = Bound(warn=wanted.warn or configured.warn, crit=wanted.crit or configured.crit)
        readings.checks = msgspec.structs.replace(readings.config.checks, **{check.FIRST: bound})
    try:
        found: CheckReport = check.examine(readings)
    except KalshiError as error:
        return in_doubt(name, error)
    return found


def _together(reports: Sequence[CheckReport]) -> CheckReport:
    """The outcome of all: the worst of them."""
    bad = (Verdict.CRITICAL, Verdict.UNKNOWN, Verdict.WARNING)
    named = {verdict: [each.check for each in reports if each.verdict is verdict] for verdict in bad}
    fine = sum(each.verdict is Verdict.OK for each in reports)
    parts = [f"{verdict.name}: {', '.join(names)}" for verdict, names in named.items() if names]
    breaches = [breach for each in reports for breach in each.breaches]
    measures = [measure for each in reports for measure in each.measures]
    lead = cause_of(worst_first(breaches)) if breaches else None
    of = next((each.check for each in reports if lead in each.breaches), "")
    return report("all", "; ".join([f"{fine} of {len(reports)} OK", *parts]), breaches, measures, of=of)


def _bounded(client: KalshiClient, seconds: float) -> KalshiClient:
    """The client; one read that takes too long must leave time to say so."""
    client.bound_reads(seconds)
    return client


def _loop(app: App, wanted: Wanted, store: Store | None) -> Loop:
    """The loop on paper where that was asked for, or only that was ever started; else that on the account."""
    home = state_dir(app.config, "paper")
    paper = loop_at(home, app.remembered(home, "paper", BUSY_MS), "paper")
    if wanted.is_paper:
        return paper
    live = loop_at(app.state_dir, store, "")
    was_started = live.cycle is not None or (live.home / LOCK).exists()  # and if it never got to a cycle
    is_only_paper = not was_started and (paper.who or paper.cycle) is not None
    return paper if is_only_paper else live
