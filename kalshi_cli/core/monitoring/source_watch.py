"""Outside data sources of a loop (models, news, spot prices): their age, and alerts for stale ones."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.check_report import Breach, Measure

STALE, ANSWERS = "SOURCE_STALE", "SOURCE_ANSWERS"


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """An outside source, as its loop sees it.

    `answered` is the time of its last usable response, or the start of the loop without one. It is stale after
    `limit_s` without one. `problem` describes the failures since then.
    """

    name: str
    answered: Ts
    limit_s: float
    problem: str = ""

    def age_s(self, now: Ts) -> float:
        """Return the seconds since its last usable response."""
        return max(0.0, (now - self.answered) / 1000)

    def is_stale(self, now: Ts) -> bool:
        """Return whether it has not responded for longer than its limit."""
        return self.age_s(now) > self.limit_s

    def text(self, now: Ts) -> str:
        """Return its age and problem as text: `no usable response for 312 s: it cannot be opened`."""
        said = f"no usable response for {self.age_s(now):.0f} s"
        return f"{said}: {self.problem}" if self.problem else said


def _oldest_by_name(sources: Iterable[Source]) -> dict[str, Source]:
    """Return each source by name; of two with one name, the older."""
    return {source.name: source for source in sorted(sources, key=lambda source: -source.answered)}


def model_age(sources: Iterable[Source], now: Ts, warn: str, crit: str) -> tuple[list[Breach], Measure | None]:
    """Return a breach for each stale source, and the age of the source nearest to its limit.

    Without a range, an age beyond the limit of its source is a warning.
    """
    breaches: list[Breach] = []
    nearest: tuple[float, Measure] | None = None
    for source in sources:
        bound = warn or ("" if crit else f"{source.limit_s:g}")
        measure = Measure(label="model_age", value=round(source.age_s(now), 1), unit="s", warn=bound, crit=crit)
        breaches += measure.breach(STALE, source.name, source.text(now))
        used = source.age_s(now) / source.limit_s
        if nearest is None or used > nearest[0]:
            nearest = (used, measure)
    return breaches, nearest[1] if nearest is not None else None


class SourceWatch:
    """A watch that raises an alert for each source that stops responding, and ends it when it responds again.

    `recorded` are the stored alerts, newest first: those that an earlier run left open are ended here.
    """

    def __init__(self, recorded: Iterable[AlertRaised]) -> None:
        newest: dict[str, str] = {}
        for alert in recorded:
            if alert.code in (STALE, ANSWERS):
                newest.setdefault(alert.subject, alert.code)
        self._stale = {name for name, code in newest.items() if code == STALE}

    def look(self, sources: Iterable[Source], now: Ts) -> list[AlertRaised]:
        """Return the alerts for changes since the last call."""
        known = _oldest_by_name(sources)
        stale = {name: source for name, source in known.items() if source.is_stale(now)}
        alerts = [
            AlertRaised(now, "warning", STALE, name, f"{source.text(now)}; the limit is {source.limit_s:g} s")
            for name, source in stale.items()
            if name not in self._stale
        ]
        for name in sorted(self._stale - stale.keys()):
            text = "it responds again" if name in known else "this loop does not use it"
            alerts.append(AlertRaised(now, "info", ANSWERS, name, text))
        self._stale = set(stale)
        return alerts

    def stopped(self, now: Ts) -> list[AlertRaised]:
        """Return the ends of open alerts, because the loop stops."""
        alerts = [AlertRaised(now, "info", ANSWERS, name, "the loop has stopped") for name in sorted(self._stale)]
        self._stale = set()
        return alerts
