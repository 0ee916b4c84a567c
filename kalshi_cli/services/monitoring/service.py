"""Monitoring of an account: checks, alerts, health, execution quality, runbooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from fnmatch import filter as matching
from typing import NamedTuple
from zoneinfo import ZoneInfo

from kalshi_cli.base.checked import check_choice, check_number, check_period
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.config.values import RangeText
from kalshi_cli.core.monitoring.check_report import CheckReport, Verdict
from kalshi_cli.core.monitoring.incidents import AlertSilence
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.core.monitoring.runbook_index import REMEDIES, runbook_for
from kalshi_cli.services.account.execution import executed
from kalshi_cli.services.monitoring import runbooks
from kalshi_cli.services.monitoring.alert_rows import alerts_view
from kalshi_cli.services.monitoring.alerts import alerting, open_channels, overview
from kalshi_cli.services.monitoring.check_notices import sent_directly
from kalshi_cli.services.monitoring.check_runner import ALL, run_checks
from kalshi_cli.services.monitoring.checks.readings import CheckRequest
from kalshi_cli.services.monitoring.config_check import require_usable_channels, require_valid_strategies
from kalshi_cli.services.monitoring.health import health_of, worst
from kalshi_cli.services.monitoring.price_alerts import PriceAlertService
from kalshi_cli.services.resources import Home, Resources
from kalshi_cli.services.trading.reports.status import halt_runbook, shown_account
from kalshi_cli.store.records import PAUSED
from kalshi_cli.views.alerts import AlertsView, DeliveryRow, SilenceRow
from kalshi_cli.views.checks import CheckLine, CheckView, HealthRow
from kalshi_cli.views.execution import ExecutionView
from kalshi_cli.views.formats import TruncatableText

CHECK_WITHIN_S = 13.0
RETRY_WITHIN_S = 30.0
WEEK_MS = 7 * 86_400_000
MAX_SILENCE_S = 30 * 86_400
"""Thirty days: a longer silence is forgotten."""

UNTIL_OVER_S = 7 * 86_400
"""Seven days: the longest time until an alert is over, unless another one is named."""


class HealthReport(NamedTuple):
    """The rows of the health checks, and their worst verdict."""

    rows: Sequence[HealthRow]
    verdict: Verdict


class RetriedNotices(NamedTuple):
    """The number of undeliverable notices queued again, and of notices still not delivered."""

    woken: int
    waiting: int


class MonitoringService:
    """Checks, alerts, health and execution quality of the account, or of another home."""

    runbook = staticmethod(runbooks.runbook)
    runbooks = staticmethod(runbooks.runbooks)

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    # -- checks ---------------------------------------------------------------------------------------------------

    def check(
        self,
        name: str,
        *,
        within_s: float = CHECK_WITHIN_S,
        warn: RangeText | None = None,
        crit: RangeText | None = None,
        home: Home | None = None,
        is_stop_allowed: bool = False,
        is_accepted: bool = False,
        is_public_only: bool = False,
        notify: str = "",
        is_told: bool = True,
        show: Callable[[CheckReport, Sequence[CheckReport]], None] = lambda _whole, _parts: None,
        leave: Callable[[Verdict], None] = lambda _verdict: None,
    ) -> CheckView:
        """Run a check, or "all" except `schema`, notify the alert channels and return the report.

        `warn` and `crit` replace the configured range, `notify` is one more channel. `show` gets the report before
        notices are sent. If a check hangs, another thread reports what is known by then and calls `leave`. Raises
        ConfigError for a strategy in the configuration with which a loop would not start.
        """
        check_choice("name", name, (*ALL, "schema", "all"))
        require_valid_strategies(self._resources.config)
        views: list[CheckView] = []

        def shown(whole: CheckReport, parts: Sequence[CheckReport]) -> None:
            views.append(CheckView.of(whole, checks=tuple(map(CheckLine.of, parts))))
            show(whole, parts)

        wanted = CheckRequest(
            name=name, checks=ALL if name == "all" else (name,), within_s=within_s, warn=warn, crit=crit, home=home,
            is_stop_allowed=is_stop_allowed, is_accepted=is_accepted, is_public_only=is_public_only, notify=notify,
            is_told=is_told,
        )  # fmt: skip
        run_checks(self._resources, wanted, shown, leave)
        return views[0]

    def health(self) -> HealthReport:
        """Run the health checks and return their results, each with a hint."""
        found = health_of(self._resources)
        return HealthReport([HealthRow.of(each) for each in found], worst(found))

    def execution(
        self, by: str = "strategy", since: Ts | None = None, within_s: float = 30.0, home: Home | None = None
    ) -> ExecutionView:
        """Return the execution quality since a time (default: one week), from the state file.

        `by` is strategy, market or day. An order is in time if it filled within `within_s`. Without a home it is the
        one that the status shows; a notice names it if it is not the account's.
        """
        check_period(since)
        check_choice("by", by, ("strategy", "market", "day"))
        own = self._resources
        now = own.clock.now()
        status, store = shown_account(own, home)
        if status.preface:
            own.note(status.preface)
        return executed(
            store, by, since=since or Ts(now - WEEK_MS), within_ms=int(within_s * 1000), now=now,
            zone=ZoneInfo(own.config.day_zone),
        )  # fmt: skip

    # -- alerts ---------------------------------------------------------------------------------------------------

    def alerts(self, home: Home | None = None) -> AlertsView:
        """Return active alerts, undeliverable notices, silences and the state of the channels."""
        own = self._resources
        return alerts_view(overview(own, home), own.config.alerts.channels, sent_directly(home or own.home))

    def runbook_names(self, codes: Sequence[str], home: Home | None = None) -> list[str]:
        """Return a name for `runbook` for each of these codes; during a pause by an alert, that of the alert."""
        by_alert = halt_runbook(shown_account(self._resources, home)[0].halt) if PAUSED in codes else ""
        if not by_alert:
            return list(codes)
        others = {runbook_for(code).runbook for code in codes if code != PAUSED}
        return [by_alert if code == PAUSED else code for code in codes if code != PAUSED or by_alert not in others]

    def price_alerts(self, home: Home | None = None) -> PriceAlertService:
        """Return the price and fill alerts: to add, list, remove and check them."""
        return PriceAlertService(self._resources, home)

    def silence(
        self,
        code: str,
        subject: str,
        lasts_s: float = UNTIL_OVER_S,
        reason: str = "",
        home: Home | None = None,
        *,
        until_over: bool = False,
    ) -> SilenceRow:
        """Send no notices for these alerts for `lasts_s` seconds, at most 30 days; code and subject may be patterns.

        With `until_over` only the alerts that are active now are silenced, and only until they end. Raises UsageError
        for an unknown code, or if no such alert is active: the silence would have no effect.
        """
        check_number("lasts_s", lasts_s)
        if not 0 < lasts_s <= MAX_SILENCE_S:
            hint = "the duration must be more than zero and at most 30d"
            raise UsageError(f"A silence lasts at most 30d, not {lasts_s:g} s", hint=hint)
        _require_known(code)
        with alerting(self._resources, home) as alerts:
            now = self._resources.clock.now()
            silence = AlertSilence(code, subject, Ts(now + int(lasts_s * 1000)), reason, now, until_over)
            if until_over and not any(silence.covers(matter, now) for matter in alerts.book.incidents()):
                hint = "`kalshi alerts` lists the active ones; to silence later ones too, use --for"
                raise UsageError(f"No active alert matches {code}:{subject}", hint=hint, code="no_alert")
            alerts.book.silence(silence)
            return SilenceRow.of(silence)

    def unsilence(self, code: str, subject: str, home: Home | None = None) -> bool:
        """Remove a silence; return whether one existed. Raises UsageError for an unknown code without a silence."""
        with alerting(self._resources, home) as alerts:
            was_silenced = bool(alerts.book.unsilence(code, subject))
            if not was_silenced:
                _require_known(code)
            return was_silenced

    def retry_alerts(self, home: Home | None = None, within_s: float = RETRY_WITHIN_S) -> RetriedNotices:
        """Queue undeliverable notices again, and deliver all notices that wait."""
        with alerting(self._resources, home) as alerts:
            alerts.look()
            woken = alerts.book.retry_dead(self._resources.clock.now())
            return RetriedNotices(woken, alerts.deliver(within_s))

    def send_test_notices(self, only: str = "") -> Sequence[DeliveryRow]:
        """Send a test notice to each alert channel, or to one of them. Needs no state file.

        Raises ConfigError if a channel cannot be used.
        """
        own = self._resources
        sinks = own.config.alerts.channels
        if only and only not in sinks:
            names = ", ".join(sinks) or "none"
            raise UsageError(f"Unknown alert channel: {only}", hint=f"configured in alerts.channels: {names}")
        require_usable_channels(own.config, own.machine)
        notifier, now = open_channels(own, sinks), own.clock.now()
        notice = Notice(
            notice_id=own.new_id(), kind="test", tier="info", event="state", code="TEST", subject="alerts",
            text="Test notice from `kalshi alerts test`", env=own.config.env, since=now, ts=now,
            runbook=runbooks.NO_ACTION, command="kalshi alerts",
        )  # fmt: skip
        rows = []
        for name in [only] if only else sinks:
            sent = notifier.deliver(name, notice)
            is_delivered, detail = sent.outcome == "delivered", TruncatableText(sent.text)
            rows.append(DeliveryRow(sink=name, channel=name, delivered=is_delivered, detail=detail))
        return rows


def _require_known(code: str) -> None:
    """Raise UsageError with the nearest code if this one, or a pattern, matches none."""
    if not matching(REMEDIES, code):
        near = get_close_matches(code, REMEDIES, 1, cutoff=0.0)[0]
        raise UsageError(f"Unknown alert code: {code}", hint=f"did you mean {near}?", code="no_code")
