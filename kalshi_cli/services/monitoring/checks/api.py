"""Does the exchange answer, soon enough, with our key, and at our time?"""

from __future__ import annotations

from collections.abc import Callable

from kalshi_cli.base.errors import (
    CredentialsError,
    ExchangeError,
    KalshiError,
    NoAnswerError,
    RateLimitedError,
    UnreachableError,
)
from kalshi_cli.base.units import Ts
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, report
from kalshi_cli.core.monitoring.request_traffic import LONG, MIN_REQUESTS, RequestMinute, failing, only_failures
from kalshi_cli.services.monitoring.checks.readings import CheckData, could_not_read, measured, run_part

FIRST = "api_p99_ms"

FRESH_MINUTES = 2
"""Minutes after which what a loop measured is no news."""


def examine(readings: CheckData) -> CheckReport:
    """A few reads of our own, and what a loop counted in the last hour.

    A share of failures is critical, or a warning, where both of its windows are beyond the range. Where nobody got a
    usable answer in the last minutes it is critical, however few requests there were. Where only this check got none,
    it could not find out.
    """
    breaches, is_reached = _probe(readings)
    now, own = readings.clock.now(), readings.seen.take()
    of_loop: list[RequestMinute] = []

    def look() -> list[Breach]:
        store = readings.loop.store
        of_loop[:] = store.traffic(Ts(now - LONG[-1] * 60_000)) if store is not None else ()
        return []

    breaches += run_part("what the loop saw", look)
    slow = _slowest(readings, own, of_loop, now)
    breaches += [breach for measure in slow for breach in measure.breach("API_SLOW", "requests")]
    bound = readings.checks.api_errors_pct
    failures, errors = failing([*of_loop, *own], now, bound.warn or "", bound.crit or "")
    if not failures and is_reached:
        failures = _unanswered(own, of_loop, now, is_doubted=bool(breaches))
    skew = _skew(readings)
    breaches += [*failures, *(breach for measure in skew for breach in measure.breach("CLOCK", "clock"))]
    measures = [*slow, *errors, *skew]
    return report("api", _summary(measures, [*own, *of_loop]), breaches, measures)


def _probe(readings: CheckData) -> tuple[list[Breach], bool]:
    """Return what the check's own requests found, and whether they left this machine."""
    try:
        return readings.once("probes", lambda: _asked(readings)), True
    except UnreachableError as error:
        return [could_not_read("requests", error)], isinstance(error, NoAnswerError)
    except KalshiError as error:
        return [could_not_read("requests", error)], True


def _unanswered(
    own: list[RequestMinute], of_loop: list[RequestMinute], now: Ts, *, is_doubted: bool
) -> tuple[Breach, ...]:
    """Return that nobody got a usable answer; or that only this check got none, unless that is said already."""
    if only_failures([*of_loop, *own], now):
        value, severity, code = "no request of the last minutes got a usable answer", "critical", "API_ERRORS"
    elif only_failures(own, now) and not is_doubted:
        value, severity, code = "no request of this check got a usable answer", "unknown", "COULD_NOT_LOOK"
    else:
        return ()
    return (Breach(subject="requests", value=value, limit="an answer", severity=severity, code=code),)


def _asked(readings: CheckData) -> list[Breach]:
    """Reads that cost little, in turn with and without the key, until there are enough to say something: with the tries
    of what failed, and with what other checks of this run asked.

    UnreachableError where one got no answer at all: each further one would only wait. Past the rate limit none follows
    either, and then it is not known how the exchange answers.
    """
    client = readings.client
    probes: list[Callable[[], object]] = [client.exchange_status, client.balance]
    refused: dict[str, Breach] = {}
    for number in range(MIN_REQUESTS):
        is_enough = number >= len(probes) and readings.seen.requests >= MIN_REQUESTS
        if is_enough or readings.left_s <= 0:
            break
        try:
            probes[number % len(probes)]()
        except CredentialsError as error:
            refused["key"] = _of_key(error)
            if error.status == 0:
                probes.remove(client.balance)  # without a key nothing is sent
        except RateLimitedError as error:
            return [*refused.values(), could_not_read("requests", error)]
        except ExchangeError:
            continue
        except UnreachableError as error:
            if not error.code.startswith("http_"):
                raise
    return list(refused.values())


def _of_key(error: CredentialsError) -> Breach:
    """A key that is refused is critical; that there is none leaves it open."""
    if error.status not in (401, 403):
        return could_not_read("key", error)
    return Breach(subject="key", value=error.message, limit="an answer", severity="critical", code="CREDENTIALS")


def _slowest(readings: CheckData, own: list[RequestMinute], of_loop: list[RequestMinute], now: Ts) -> list[Measure]:
    """The worse of what we measured, and of what a loop did just before."""
    fresh = [each for each in of_loop if each.minute >= now // 60_000 - FRESH_MINUTES]
    times = [each.p99_ms for each in (*own, *fresh[-1:]) if each.p99_ms is not None]
    return [measured("api_p99_ms", max(times), readings.checks.api_p99_ms, "ms")] if times else []


def _skew(readings: CheckData) -> list[Measure]:
    """Between our clock and that of the exchange, as the dates of its answers tell it; they have whole seconds."""
    try:
        skew_ms = readings.client.clock_skew_ms
    except KalshiError:
        return []
    if skew_ms is None:
        return []
    return [measured("clock_skew_s", round(abs(skew_ms) / 1000, 1), readings.checks.clock_skew_s, "s")]


def _summary(measures: list[Measure], minutes: list[RequestMinute]) -> str:
    value = {measure.label: measure.value for measure in measures}
    said = [f"p99 {value['api_p99_ms']:g} ms"] if "api_p99_ms" in value else []
    failures, requests = sum(each.failures for each in minutes), sum(each.requests for each in minutes)
    said.append(f"{failures} of {requests} requests in the last hour without a usable answer")
    if "clock_skew_s" in value:
        said.append(f"clock within {value['clock_skew_s']:g} s")
    return ", ".join(said)
