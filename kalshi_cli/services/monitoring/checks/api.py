"""Check that the exchange responds in time, accepts the key and agrees with the local clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from kalshi_cli.base import errors
from kalshi_cli.base.units import Ts
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, report
from kalshi_cli.core.monitoring.request_traffic import (
    LONG,
    MIN_REQUESTS,
    RequestMinute,
    failing,
    only_failures,
    readable,
)
from kalshi_cli.services.monitoring.checks.readings import CheckData, could_not_read, measured, run_part

FIRST = "api_p99_ms"

FRESH_MINUTES = 3
"""Minutes for which the measurements of a loop are current, with the one that has begun."""

WINDOW = f"in the last {FRESH_MINUTES} minutes"

BLIND_MS = 300_000
"""Time for which a request stays in the percentile of a loop: `BLIND` reported those before the account was read."""

AT_LIMIT = Breach(
    subject="requests",
    value="the exchange refuses requests for the rate limit (429): stop other programs of this key, or let them ask "
    "less often; `kalshi limits` shows the limit",
    limit="a response",
    severity="unknown",
    code="COULD_NOT_LOOK",
)


def examine(readings: CheckData) -> CheckReport:
    """Make a few requests and add the counts of a loop in the last hour.

    A failure rate is a breach if both of its windows exceed the range. If no request of the last minutes got a usable
    response the check is critical, however few there were; if only the requests of this check failed, it is `unknown`.
    """
    breaches, is_reached = _probe(readings)
    now, own = readings.clock.now(), readings.seen.take()
    of_loop: list[RequestMinute] = []
    timed: list[RequestMinute] = []
    judged: list[RequestMinute] = []

    def look() -> list[Breach]:
        store = readings.loop.store
        if store is not None:
            of_loop[:] = store.traffic(Ts(now - LONG[-1] * 60_000))
            alerts = store.alerts(Ts(now - LONG[-1] * 60_000))
            judged[:] = readable(of_loop, alerts)
            was_blind = any(alert.code == "SIGHTED" and alert.ts >= now - BLIND_MS for alert in alerts)
            timed[:] = [] if was_blind else of_loop
        return []

    breaches += run_part("requests of the loop", look)
    slow = _slowest(readings, own, timed, now)
    breaches += [
        breach for measure in slow for breach in measure.breach("API_SLOW", "requests", f"{measure.value:g}ms {WINDOW}")
    ]
    bound = readings.checks.api_errors_pct
    failures, rates = failing([*judged, *own], now, bound.warn or "", bound.crit or "")
    if not failures and is_reached:
        failures = _unanswered(own, of_loop, now, is_doubted=bool(breaches))
    skew = _skew(readings)
    if not any(breach.code in ("CREDENTIALS", "CLOCK") for breach in breaches):  # They explain the failures.
        breaches = _merged(breaches, failures)
    if not any(breach.code == "CLOCK" for breach in breaches):
        breaches += [breach for measure in skew for breach in measure.breach("CLOCK", "clock")]
    measures = [*slow, *rates, *skew]
    return report("api", _summary(measures, [*own, *of_loop]), breaches, measures)


def _probe(readings: CheckData) -> tuple[list[Breach], bool]:
    """Make the check's own requests; return their breaches, and whether the requests left this machine."""
    try:
        return readings.once("probes", lambda: _asked(readings)), True
    except errors.UnreachableError as error:
        return [could_not_read("requests", error)], isinstance(error, errors.NoAnswerError)
    except errors.KalshiError as error:
        return [could_not_read("requests", error)], True


def _unanswered(
    own: list[RequestMinute], of_loop: list[RequestMinute], now: Ts, *, is_doubted: bool
) -> tuple[Breach, ...]:
    """Return a breach if no request got a usable response, of all requests or (`unknown`) only of this check."""
    if only_failures([*of_loop, *own], now):
        value, severity, code = "no request of the last minutes got a usable response", "critical", "API_ERRORS"
    elif only_failures(own, now) and not is_doubted:
        value, severity, code = "no request of this check got a usable response", "unknown", "COULD_NOT_LOOK"
    else:
        return ()
    return (Breach(subject="requests", value=value, limit="a response", severity=severity, code=code),)


def _merged(breaches: list[Breach], failures: Sequence[Breach]) -> list[Breach]:
    """Return all breaches; failures while the rate limit is reached name it instead of a breach of its own."""
    if not failures or AT_LIMIT not in breaches:
        return [*breaches, *failures]
    named = (msgspec.structs.replace(each, value=f"{each.value}; {AT_LIMIT.value}") for each in failures)
    return [*(each for each in breaches if each != AT_LIMIT), *named]


def _asked(readings: CheckData) -> list[Breach]:
    """Make cheap requests, alternately with and without the key, until this run has made MIN_REQUESTS requests.

    Raises UnreachableError if a request got no response at all: further requests would only wait. It stops at the rate
    limit as well; then the check is `unknown`.
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
        except errors.CredentialsError as error:
            refused["key"] = _of_key(error)
            if error.status == 0:
                probes.remove(client.balance)  # Without a key nothing is sent.
        except errors.RateLimitedError as error:
            return [*refused.values(), AT_LIMIT if error.status == 429 else could_not_read("requests", error)]
        except errors.ExchangeError:
            continue
        except errors.UnreachableError as error:
            if not error.code.startswith("http_"):
                raise
    return list(refused.values())


def _of_key(error: errors.CredentialsError) -> Breach:
    """Return a critical breach for a rejected key or clock, and an `unknown` one for a missing key."""
    if error.status not in (401, 403):
        return could_not_read("key", error)
    if error.is_clock:
        return Breach(subject="clock", value=error.message, limit="a response", severity="critical", code="CLOCK")
    return Breach(subject="key", value=error.message, limit="a response", severity="critical", code="CREDENTIALS")


def _slowest(readings: CheckData, own: list[RequestMinute], of_loop: list[RequestMinute], now: Ts) -> list[Measure]:
    """Return the slower p99 latency: of this check, or of a loop in the last minutes."""
    fresh = [each for each in of_loop if each.minute > now // 60_000 - FRESH_MINUTES]
    times = [each.p99_ms for each in (*own, *fresh[-1:]) if each.p99_ms is not None]
    return [measured("api_p99_ms", max(times), readings.checks.api_p99_ms, "ms")] if times else []


def _skew(readings: CheckData) -> list[Measure]:
    """Return the difference to the exchange's clock, from the dates of its responses, which have whole seconds."""
    try:
        skew_ms = readings.client.clock_skew_ms
    except errors.KalshiError:
        return []
    if skew_ms is None:
        return []
    return [measured("clock_skew_s", round(abs(skew_ms) / 1000, 1), readings.checks.clock_skew_s, "s")]


def _summary(measures: list[Measure], minutes: list[RequestMinute]) -> str:
    value = {measure.label: measure.value for measure in measures}
    said = [f"p99 {value['api_p99_ms']:g} ms {WINDOW}"] if "api_p99_ms" in value else []
    failures, requests = sum(each.failures for each in minutes), sum(each.requests for each in minutes)
    said.append(f"{failures} of {requests} requests in the last hour failed")
    if "clock_skew_s" in value:
        said.append(f"clock difference {value['clock_skew_s']:g} s")
    return ", ".join(said)
