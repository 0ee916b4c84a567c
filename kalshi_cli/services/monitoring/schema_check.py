"""Schema drift: compares what the exchange sends with what this program reads and what the specification lists.

The check only reads, with two exceptions: probes of the legacy order routes, which answer 410 since June 2026. Any
other answer means that the server is not the exchange this program was written for. No probe can have an effect:

    DELETE /portfolio/orders/{nil}   a cancel opens no position, and no order has the nil id
    POST   /portfolio/orders {}      without ticker, side and count every server rejects it. Never sent with real money

The batch routes are not probed: an empty `ids` could mean "all". Nothing is probed where writes are disabled.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import msgspec

from kalshi_cli.base import errors
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import pluralize
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, breach, critical, note, verdict_of
from kalshi_cli.core.monitoring.schema_drift import KnownSchema, missing, unfamiliar
from kalshi_cli.exchange import route_samples
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.route_samples import Sample
from kalshi_cli.exchange.stream.frames import FRAMES
from kalshi_cli.exchange.wire.values import ResponseFormatError, capture_bodies
from kalshi_cli.services.resources import Resources

NIL = "00000000-0000-0000-0000-000000000000"
CANCEL_PROBE, CREATE_PROBE = ("DELETE", f"/portfolio/orders/{NIL}"), ("POST", "/portfolio/orders")

Frames = Callable[[str], list[bytes]]
"""Returns the first frames of the stream after a subscription to a market; raises if there is no stream."""


LISTEN_S = 4.0
"""Seconds that the stream may take to connect and to respond."""
QUIET_S = 0.5
"""Seconds to wait after the last response for frames that follow it: snapshots, the first changes."""
MAX_FRAMES = 500


class _FirstFrames:
    """Collects the frames of a stream."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def connected(self, *, use_yes_price: bool) -> None: ...

    def frame(self, raw: bytes | str) -> None:
        if len(self.heard) < MAX_FRAMES:
            self.heard.append(raw.encode() if isinstance(raw, str) else raw)


def first_frames(ws_url: str, signer: Signer, clock: Clock, rng: random.Random, ticker: str) -> list[bytes]:
    """Return the frames of the stream until every channel is granted, plus `QUIET_S`; at most `LISTEN_S`.

    Raises UnreachableError if the stream does not respond, CredentialsError if it rejects the key.
    """
    from kalshi_cli.exchange.stream.reader import Stream  # Loading the library is slow.

    kept = _FirstFrames()
    stream = Stream(ws_url, signer, clock, rng, tickers=[ticker] if ticker else [], tap=kept)
    stream.start()
    try:
        until = clock.monotonic() + LISTEN_S
        while not stream.is_live and stream.failure is None and clock.monotonic() < until:
            clock.sleep(0.05)
        if stream.is_live:
            clock.sleep(QUIET_S)
        elif stream.failure is None and not kept.heard:
            hint = "check that wss connections are allowed"
            raise errors.UnreachableError(f"No response on the stream within {LISTEN_S:.0f} s", hint=hint)
    finally:
        stream.stop()
    if stream.failure is not None:
        raise stream.failure
    return kept.heard


class SchemaCheck:
    """A run of the check; `report` may be called at any time."""

    def __init__(self, client: KalshiClient, clock: Clock, known: KnownSchema, within_s: float) -> None:
        self._client = client
        self._clock = clock
        self._known = known
        self._until = clock.monotonic() + within_s
        self._found: dict[str, Any] = {}
        self._breaches: list[Breach] = []
        self._looked: set[str] = set()
        self._bare: set[str] = set()

    @property
    def ticker(self) -> str:
        """Return a market to subscribe to; "" without one."""
        market = self._found.get("GET /markets")
        return market.ticker if market is not None else ""

    @property
    def is_over(self) -> bool:
        """Return whether time is up or the exchange does not respond; further requests would only wait."""
        return self._clock.monotonic() >= self._until or any(b.code == "UNANSWERED" for b in self._breaches)

    # -- reads --

    def read(self, samples: Iterable[Sample]) -> None:
        """Request each route once, within the rate limits of the account."""
        for sample in samples:
            if self.is_over:
                self._add(sample.route, "NOT_REACHED", "no time left, or an earlier request failed", "a sample")
            elif sample.needs and sample.needs not in self._found:
                self._bare.add(sample.route)
            else:
                self._ask(sample)

    def _ask(self, sample: Sample) -> None:
        self._looked.add(sample.route)
        with capture_bodies() as seen:
            error = self._take(sample)
        found = [each for struct, body in seen for each in self._compared(struct, body, sample.route)]
        self._breaches += found
        if error is None or any(each.severity == "critical" for each in found):
            return
        if isinstance(error, ResponseFormatError) and all(_is_json(body) for _, body in seen):
            self._add(sample.route, "UNREADABLE", error.message, "a readable response", "critical")
        elif isinstance(error, errors.ExchangeError) and error.status == 410:
            self._add(sample.route, "GONE", "410", "a response", "critical")
        elif _is_closed(error, sample):
            self._bare.add(sample.route)
        elif isinstance(error, errors.NotFoundError):
            self._add(sample.route, "GONE", "404", "a response", "critical")
        else:
            code = "REFUSED" if isinstance(error, errors.ExchangeError) else "UNANSWERED"
            self._add(sample.route, code, error.message, "a response")

    def _take(self, sample: Sample) -> errors.KalshiError | None:
        """Request a route and keep the first item of its response for the routes that need one."""
        try:
            answer = sample.take(self._client, self._found.get(sample.needs), self._clock.now())
            items = list(islice(answer, route_samples.FEW)) if isinstance(answer, Iterator) else answer
        except errors.KalshiError as error:
            return error
        if isinstance(items, list | dict) and not items:
            self._bare.add(sample.route)
        else:
            self._found[sample.route] = items[0] if isinstance(items, list) else items
        if sample.route == route_samples.LIMITS and route_samples.COSTS in self._found:
            self._client.pace(self._found[route_samples.LIMITS], self._found[route_samples.COSTS])
        return None

    def _compared(self, struct: type, body: bytes, route: str) -> list[Breach]:
        if not _is_json(body):
            return []
        decoded = msgspec.json.decode(body)
        name = self._known.replies.get(route)
        notes = unfamiliar(decoded, self._known, (name,), route) if name else []
        return missing(decoded, struct, route) + notes

    # -- the stream --

    def listen(self, frames: Frames) -> None:
        """Compare the first frames of the stream."""
        if self.is_over:
            return
        self._looked.add("stream")
        try:
            heard = frames(self.ticker)
        except errors.KalshiError as error:
            self._add("stream", "UNANSWERED", error.message, "its first messages")
            return
        if not heard:
            self._add("stream", "UNANSWERED", "no message", "its first messages")
        for raw in heard:
            if raw.strip():
                self._breaches += self._frame(raw)

    def _frame(self, raw: bytes) -> list[Breach]:
        if not _is_json(raw):
            return [critical("UNREADABLE", "stream", "a message that is not JSON", "JSON")]
        frame = msgspec.json.decode(raw)
        kind = frame.get("type") if isinstance(frame, dict) else None
        where = f"stream {kind}"
        if not isinstance(kind, str) or kind not in self._known.frames:
            return [note("NEW_MESSAGE", where, "new message type", "not in the published specification")]
        read = missing(frame, FRAMES[kind], where) if kind in FRAMES else []
        return read + unfamiliar(frame, self._known, self._known.frames[kind], where)

    # -- retired routes, and routes that announce their end --

    def probe(self, *, is_real_money: bool) -> None:
        """Check that the legacy order routes answer 410. The module says why the probes can have no effect."""
        for method, path in (CANCEL_PROBE,) if is_real_money else (CANCEL_PROBE, CREATE_PROBE):
            if not self.is_over:
                self._probe(method, path)

    def _probe(self, method: str, path: str) -> None:
        what = f"{method} {path.replace(NIL, '{order_id}')} (legacy)"
        self._looked.add(what)
        try:
            self._client.request(method, path)
        except (errors.HaltedError, errors.RefusedError):
            self._looked.discard(what)  # Writes are disabled, so no request was sent.
        except errors.NotFoundError:
            self._add(what, "LEGACY_ANSWERS", "404", "410", "note")
        except (errors.CredentialsError, errors.RateLimitedError) as error:
            self._add(what, "REFUSED", error.message, "410")
        except errors.ExchangeError as error:
            if error.status != 410:
                self._add(what, "LEGACY_LIVES", str(error.status), "410", "critical")
        except errors.KalshiError as error:
            self._add(what, "UNANSWERED", error.message, "410")
        else:
            self._add(what, "LEGACY_LIVES", "2xx", "410", "critical")

    def _notices(self) -> list[Breach]:
        """Return the routes in use whose responses announced their end."""
        legacy = ("/portfolio/orders", f"/portfolio/orders/{NIL}")
        return [
            critical("DEPRECATED", route, notice, "a route that stays available")
            for route, notice in self._client.notices.items()
            if notice != "410 Gone" and not (route.startswith(("POST", "DELETE")) and route.endswith(legacy))
        ]

    # -- the outcome --

    def report(self) -> CheckReport:
        """Return the report, worst breaches first."""
        ranks = {"critical": 0, "unknown": 1, "note": 2}
        breaches = sorted({*self._breaches, *self._notices()}, key=lambda b: (ranks[b.severity], b.subject, b.code))
        counts = {severity: sum(b.severity == severity for b in breaches) for severity in ranks}
        optional = (
            (len(self._bare), "without data"),
            (counts["critical"], "critical"),
            (counts["unknown"], "not checked"),
        )
        parts = [f"{number} {word}" for number, word in optional if number]
        return CheckReport(
            check="schema",
            verdict=verdict_of(breaches),
            summary=", ".join([pluralize(len(self._looked), "route"), *parts, pluralize(counts["note"], "note")]),
            breaches=tuple(breaches),
            measures=(
                Measure(label="routes", value=len(self._looked)),
                Measure(label="missing", value=counts["critical"], crit="0"),
                Measure(label="unknown", value=counts["note"]),
                Measure(label="unanswered", value=counts["unknown"]),
            ),
            runbook="schema",
        )

    def without_key(self) -> None:
        """Report that the account's own routes cannot be checked without a key."""
        self._add("account routes", "NO_KEY", "no API key configured", "an API key, or --public")

    def _add(self, subject: str, code: str, value: str, limit: str, severity: str = "unknown") -> None:
        self._breaches.append(breach(severity, code, subject, value, limit))


def examine(
    client: KalshiClient,
    clock: Clock,
    *,
    within_s: float,
    is_keyed: bool,
    is_public_only: bool,
    is_real_money: bool,
    frames: Frames | None,
) -> CheckReport:
    """Check every route once. Without a configured stream, pass None for `frames`."""
    with_account = is_keyed and not is_public_only
    run = SchemaCheck(client, clock, route_samples.known_fields(), within_s)
    run.read(sample for sample in route_samples.SAMPLES if with_account or not sample.is_private)
    if with_account:
        run.probe(is_real_money=is_real_money)
        if frames is not None:
            run.listen(frames)
    elif not is_public_only:
        run.without_key()
    return run.report()


def _is_closed(error: errors.KalshiError, sample: Sample) -> bool:
    """Return whether the route has no data for this account or is closed to this key; then it is no breach."""
    if isinstance(error, errors.NotFoundError):
        return bool(sample.needs) or sample.may_refuse
    return sample.may_refuse and isinstance(error, errors.ExchangeError) and error.status in (400, 403)


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def check_schema(resources: Resources, *, is_public_only: bool, within_s: float) -> CheckReport:
    """Check that the exchange still sends the fields this program reads, with reads and harmless probes."""
    signer, ws_url = resources.signer, resources.ws_url
    client = resources.connected(lambda _reviewed: None)  # The expected 410 of a probe must not raise an alert.
    client.limit_reads(within_s / 2)  # A read that hangs leaves time for the report.

    def frames(ticker: str) -> list[bytes]:
        assert signer is not None
        return first_frames(ws_url, signer, resources.clock, resources.rng, ticker)

    return examine(
        client,
        resources.clock,
        within_s=within_s,
        is_keyed=signer is not None,
        is_public_only=is_public_only,
        is_real_money=resources.needs_confirmation,
        frames=frames if signer is not None and ws_url else None,
    )
