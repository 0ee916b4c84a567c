"""Check the feed of the running loop; without a loop, check that the stream accepts a connection."""

from __future__ import annotations

from msgspec.structs import replace

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import Ts, pluralize
from kalshi_cli.config.config import Config
from kalshi_cli.config.schema import MAX_INTERVAL_S, CheckRange
from kalshi_cli.core.monitoring import feed_check
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, Verdict, breach, report
from kalshi_cli.core.monitoring.request_traffic import GAP_MINUTES, gaps
from kalshi_cli.core.monitoring.source_watch import model_age
from kalshi_cli.services.monitoring.checks.readings import CheckData, LoopRecord, from_the_future, measured
from kalshi_cli.store.records import Heartbeat

FIRST = "feed_age_s"

NEW_MS = 30_000
"""Time after the opening of a market, or the start of the loop, in which an order book may be missing."""

MAX_GAPS = 5
"""Gaps within GAP_MINUTES above which the stream counts as unstable."""


def examine(readings: CheckData) -> CheckReport:
    """Check the feed by the last saved cycle; the age of the cycle adds to the age of the last message.

    A silent feed is no incident while the exchange is paused.
    """
    loop = readings.loop
    if loop.who is None:
        return _tried(readings)
    pulse = loop.pulse
    if pulse is None:
        return _starting(readings, loop.who.started)
    measures = _measures(readings, loop, pulse)
    missing, no_book = feed_check.without_books(pulse.no_book)
    breaches = [each for measure in measures for each in measure.breach(_CODES[measure.label], "stream")]
    breaches += [
        *_in_time(readings, pulse, missing),
        *feed_check.account_unreadable_breach(loop.alerts),
        *from_the_future("loop", pulse.completed, readings.clock.now()),
    ]
    measures.append(Measure(label="no_book", value=no_book))
    summary = _summary(measures, is_polled=is_polled(pulse, readings.config))
    why = _pause(readings) if breaches else ""
    if why:
        summary += f"; {why}"
    # A pause of the exchange does not excuse a stale external source.
    bound = readings.checks.model_age
    stale, age = model_age(pulse.listened_to, _as_of(pulse, readings.clock.now()), bound.warn or "", bound.crit or "")
    if age is not None:
        measures.append(age)
        summary += f"; {pluralize(len(pulse.listened_to), 'external source')}, {len(stale)} stale"
    return report("feed", summary, [*feed_check.excused_by_pause(breaches, why), *stale], measures)


def _starting(readings: CheckData, started: Ts | None) -> CheckReport:
    """Report a loop without a completed cycle; it is `unknown` after NEW_MS."""
    summary = "The loop has not completed a cycle yet"
    if started is not None and readings.clock.now() - started < NEW_MS:
        return report("feed", summary)
    wanted = f"a cycle within {NEW_MS // 1000} s"
    return report("feed", summary, [breach("unknown", "COULD_NOT_LOOK", "stream", summary, wanted)])


_CODES = {"feed_age_s": "FEED_STALE", "feed_lag_ms": "FEED_LATE", "feed_gaps": "FEED_GAPS"}


def feed_age(pulse: Heartbeat, now: Ts, config: Config, bound: CheckRange) -> Measure:
    """Return the age of the loop's last message in seconds: that of the last cycle adds to the age within it."""
    age_s = (_as_of(pulse, now) - pulse.completed) / 1000
    if pulse.feed_age_ms is not None:
        age_s += pulse.feed_age_ms / 1000
    elif not is_polled(pulse, config):
        age_s = (now - pulse.started) / 1000
    return measured(FIRST, round(age_s, 1), bound, "s")


def _measures(readings: CheckData, loop: LoopRecord, pulse: Heartbeat) -> list[Measure]:
    now, checks = readings.clock.now(), readings.checks
    measures = [feed_age(pulse, now, readings.config, checks.feed_age_s)]
    if pulse.feed_lag_ms is not None:
        measures.append(measured("feed_lag_ms", pulse.feed_lag_ms, checks.feed_lag_ms, "ms"))
    if loop.store is not None:
        found = gaps(loop.store.traffic(Ts(now - GAP_MINUTES * 60_000)), now)
        measures.append(Measure(label="feed_gaps", value=found, warn=str(MAX_GAPS)))
    return measures


def _as_of(pulse: Heartbeat, now: Ts) -> Ts:
    """Return the time for which the last cycle is valid: until the next one is due at the latest."""
    return Ts(max(pulse.completed, now - MAX_INTERVAL_S * 1000))


def is_polled(pulse: Heartbeat, config: Config) -> bool:
    """Return whether order books are polled with each cycle because no key is configured for the stream."""
    return pulse.feed_age_ms is None and not config.credential.key_id


def _in_time(readings: CheckData, pulse: Heartbeat, missing: list[Breach]) -> list[Breach]:
    """Turn a missing order book into a note if its market or the loop is younger than NEW_MS."""
    now = readings.clock.now()
    young = {each.subject for each in missing} if now - pulse.started < NEW_MS else set[str]()
    if missing and not young:
        try:
            markets = readings.public.markets(tickers=[each.subject for each in missing])
            young = {market.ticker for market in markets if now - market.open_time < NEW_MS}
        except KalshiError:
            pass  # The breach stays if the opening time is unknown.
    return [replace(each, severity="note") if each.subject in young else each for each in missing]


def _pause(readings: CheckData) -> str:
    """Return why the exchange is paused; "" if it is open or does not respond."""
    try:
        return feed_check.pause_words(readings.exchange_status)
    except KalshiError:
        return ""


def _summary(measures: list[Measure], *, is_polled: bool) -> str:
    value = {measure.label: measure.value for measure in measures}
    said = ["order books are polled" if is_polled else f"last message {value['feed_age_s']:g} s ago"]
    if "feed_lag_ms" in value:
        said.append(f"{value['feed_lag_ms']:g} ms delay")
    said.append(f"{pluralize(int(value.get('feed_gaps', 0)), 'gap')} in {GAP_MINUTES} minutes")
    return ", ".join([*said, f"{value['no_book']:g} markets without an order book"])


def _tried(readings: CheckData) -> CheckReport:
    """Check that the stream accepts a connection, while no loop runs."""
    why = _pause(readings)  # This comes first: the stream uses the remaining time.
    verdict, detail, hint = readings.stream
    summary = f"no trading loop is running; stream: {detail}"
    if verdict is Verdict.OK:
        return report("feed", summary)
    severity = "unknown" if verdict is Verdict.UNKNOWN else "critical"
    code = "COULD_NOT_LOOK" if verdict is Verdict.UNKNOWN else "FEED_DOWN"
    found = [breach(severity, code, "stream", detail, hint or "a response")]
    return report("feed", f"{summary}; {why}" if why else summary, feed_check.excused_by_pause(found, why))
