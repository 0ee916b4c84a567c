"""Alerting over a real state file in virtual time, and a sink that takes, refuses or hangs as a test says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Ts
from kalshi_cli.config.schema import AlertChannel, AlertsConfig
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.core.monitoring.incidents import Incident
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.net.delivery import DeliveryResult
from kalshi_cli.services.monitoring.alerting import Alerting, AlertTerms
from kalshi_cli.services.monitoring.open_alerts import FILE, OpenAlerts
from kalshi_cli.services.trading.halts import resume
from kalshi_cli.store.pause import pause
from kalshi_cli.store.records import ALERT_REASON_PREFIX, ALL_TIME, Heartbeat
from kalshi_cli.store.sqlite_store import Store
from support.state_files import new_state_file

T0 = Ts(1_780_000_000_000)
TAKEN = DeliveryResult(outcome="delivered", text="taken")
DOWN = DeliveryResult(outcome="retry", text="connection refused")
GONE = DeliveryResult(outcome="gone", text="HTTP 410")
PHONE = AlertChannel(url="https://example.com/hook")
EVERYTHING = AlertChannel(url="https://example.com/all", tiers=("critical", "warning", "info"))

_ids = count(1)


class Sinks:
    """Takes everything, unless `answers` says otherwise for a sink."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Notice]] = []
        self.tries: list[tuple[str, Notice]] = []
        self.answers: dict[str, Callable[[], DeliveryResult]] = {}

    def deliver(self, name: str, notice: Notice, within_s: float = 5.0) -> DeliveryResult:
        assert within_s > 0
        self.tries.append((name, notice))
        answer = self.answers.get(name, lambda: TAKEN)()
        if answer.outcome == "delivered":
            self.taken.append((name, notice))
        return answer

    def titles(self, name: str = "phone") -> list[str]:
        return [notice.title for sink, notice in self.taken if sink == name]


class WatchedStore(Store):
    """`between` happens after alerting has read what is new, `summing` after it saw that a day is over; both before it
    decides."""

    between: Callable[[], None] = staticmethod(lambda: None)
    summing: Callable[[], None] = staticmethod(lambda: None)

    def last_cycle(self) -> Heartbeat | None:
        self.between()
        return super().last_cycle()

    def fills(self, since: Ts = ALL_TIME) -> tuple[Fill, ...]:
        self.summing()
        return super().fills(since)


class AlertProgram:
    """One program that tells; another one on the same file is `AlertDesk(folder, clock=..., sinks=...)`."""

    def __init__(
        self,
        folder: Path,
        *,
        clock: ManualClock | None = None,
        sinks: Mapping[str, AlertChannel] | None = None,
        receiver: Sinks | None = None,
        **policy: Any,
    ) -> None:
        policy = {"on_critical": "none"} | policy
        self.clock = clock or ManualClock(T0)
        self.path = new_state_file(folder / "state.db")
        self.store = WatchedStore.open(self.path, account="alice", environment="sim")
        self.receiver = receiver or Sinks()
        self.stopped: list[Incident] = []
        self.stop: Callable[[Incident], None] = lambda _cause: pause(folder, ALERT_REASON_PREFIX)
        self.sinks = wanted = {"phone": PHONE} if sinks is None else dict(sinks)
        terms = AlertTerms(
            alerts=AlertsConfig(channels=wanted, **policy), sinks=wanted, env="sim", zone=ZoneInfo("America/New_York")
        )
        self.alerting = Alerting(
            self.store.alert_book, self.store, terms, self.receiver, self.clock,
            lambda: f"notice-{next(_ids)}", self._stop,
            OpenAlerts(self.store.alert_book, folder / "checks" / FILE),
        )  # fmt: skip

    def _stop(self, cause: Incident) -> None:
        self.stopped.append(cause)
        self.stop(cause)

    def record(self, code: str, subject: str = "KXA", tier: str = "warning", text: str = "so it is") -> None:
        """As a loop does."""
        self.store.record(AlertRaised(self.clock.now(), tier, code, subject, text))

    def tell(self) -> list[str]:
        """Look and deliver once; the titles that arrived."""
        before = len(self.receiver.taken)
        self.alerting.look()
        self.alerting.deliver(10.0)
        return [notice.title for _, notice in self.receiver.taken[before:]]

    def check(self, *breaches: Breach, source: str = "check positions", began: Ts | None = None) -> list[str]:
        """A check that began to read at `began` found this; the titles that arrived."""
        before = len(self.receiver.taken)
        self.alerting.observe(source, breaches, began)
        self.alerting.deliver(10.0)
        return [notice.title for _, notice in self.receiver.taken[before:]]

    def resume(self) -> None:
        """As a person does."""
        resume(self.path.parent, self.store, "looked into", self.clock)

    def close(self) -> None:
        self.store.close()


def breach(subject: str = "KXA", code: str = "POSITION_LIMIT", severity: str = "critical", **more: str) -> Breach:
    return Breach(**{"subject": subject, "code": code, "severity": severity, "value": "12", "limit": "10", **more})
