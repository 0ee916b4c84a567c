"""Drift: what the exchange really sends, held against what this program reads and what the specification lists.

It only reads, with two exceptions: probes of the legacy order routes, which were switched off with 410 in June 2026. A
route that answers them again would mean that the other end is not the exchange we were made for. No probe can act:

    DELETE /portfolio/orders/{nil}   a cancel opens nothing, and no order has the nil id
    POST   /portfolio/orders {}      no ticker, no side, no count: refused by whoever reads it. Not where money is real

The batch routes are not probed: an empty `ids` could be read as "all". Nor is anything where writes are refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import (
    CredentialsError,
    ExchangeError,
    HaltedError,
    KalshiError,
    NotFoundError,
    RateLimitedError,
    RefusedError,
    UnreachableError,
)
from kalshi_cli.base.units import pluralize
from kalshi_cli.core.monitoring.check_report import Breach, CheckReport, Measure, verdict_of
from kalshi_cli.core.monitoring.schema_drift import KnownSchema, missing, unfamiliar
from kalshi_cli.exchange import route_samples
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.route_samples import Sample
from kalshi_cli.exchange.stream.frames import FRAMES
from kalshi_cli.exchange.wire.values import ResponseFormatError, capture_bodies
from kalshi_cli.services.resources import Resources

if TYPE_CHECKING:
    import random

NIL = "00000000-0000-0000-0000-000000000000"
CANCEL_PROBE, CREATE_PROBE = ("DELETE", f"/portfolio/orders/{NIL}"), ("POST", "/portfolio/orders")

Frames = Callable[[str], list[bytes]]
"""The first frames of the stream, with a market's ticker to subscribe to; raises where there is no stream."""


LISTEN_S = 4.0
"""How long the stream may take to connect and to answer."""
QUIET_S = 0.5
"""Frames that follow the last answer by themselves: snapshots, the first changes."""
MAX_FRAMES = 500


class _FirstFrames:
    """Keeps what a stream says."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def connected(self, *, use_yes_price: bool) -> None: ...

    def frame(self, raw: bytes | str) -> None:
        if len(self.heard) < MAX_FRAMES:
            self.heard.append(raw.encode() if isinstance(raw, str) else raw)


def first_frames(ws_url: str, signer: Signer, clock: Clock, rng: random.Random, ticker: str) -> list[bytes]:
    """Everything the stream says until every channel is granted and a moment longer; at most LISTEN_S.

    UnreachableError where it does not answer, CredentialsError where it does not let this key in.
    """
    from kalshi_cli.exchange.stream.reader import Stream  # the library takes its time to load

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
            raise UnreachableError(f"the stream did not answer within {LISTEN_S:.0f} s", hint="is wss let through?")
    finally:
        stream.stop()
    if stream.failure is not None:
        raise stream.failure
    return kept.heard


class SchemaCheck:
    """One run of the check; `report` is its outcome, whenever it is asked for."""

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
        """A market to subscribe to; "" where there is none."""
        market = self._found.get("GET /markets")
        return market.ticker if market is not None else ""

    @property
    def is_over(self) -> bool:
        """No time left, or an exchange that does not answer: each further question would only wait."""
        return self._clock.monotonic() >= self._until or any(b.code == "UNANSWERED" for b in self._breaches)

    # -- reads --

    def read(self, samples: Iterable[Sample]) -> None:
        """Ask each route once, as fast as the account may."""
        for sample in samples:
            if self.is_over:
                self._unknown(sample.route, "NOT_REACHED", "no time or no answer before it", "a look at it")
            elif sample.needs and sample.needs not in self._found:
                self._bare.add(sample.route)
            else:
                self._ask(sample)

    def _ask(self, sample: Sample) -> None:
        self._looked.add(sample.route)
        with capture_bodies() as seen:
            error = self._take(sample)
        found = [breach for struct, body in seen for breach in self._compared(struct, body, sample.route)]
        self._breaches += found
        if error is None or any(breach.severity == "critical" for breach in found):
            return
        if isinstance(error, ResponseFormatError) and all(_is_json(body) for _, body in seen):
            self._critical(sample.route, "UNREADABLE", error.message, "an answer that can be read")
        elif isinstance(error, ExchangeError) and error.status == 410:
            self._critical(sample.route, "GONE", "410", "an answer")
        elif _is_closed(error, sample):
            self._bare.add(sample.route)
        elif isinstance(error, NotFoundError):
            self._critical(sample.route, "GONE", "404", "an answer")
        else:
            code = "REFUSED" if isinstance(error, ExchangeError) else "UNANSWERED"
            self._unknown(sample.route, code, error.message, "an answer")

    def _take(self, sample: Sample) -> KalshiError | None:
        """The first item of the answer is kept for the routes that need one."""
        try:
            answer = sample.take(self._client, self._found.get(sample.needs), self._clock.now())
            items = list(islice(answer, route_samples.FEW)) if isinstance(answer, Iterator) else answer
        except KalshiError as error:
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
        """The first frames of the stream, one by one."""
        if self.is_over:
            return
        self._looked.add("stream")
        try:
            heard = frames(self.ticker)
        except KalshiError as error:
            self._unknown("stream", "UNANSWERED", error.message, "its first frames")
            return
        if not heard:
            self._unknown("stream", "UNANSWERED", "no frame", "its first frames")
        for raw in heard:
            if raw.strip():
                self._breaches += self._frame(raw)

    def _frame(self, raw: bytes) -> list[Breach]:
        if not _is_json(raw):
            return [_breach("stream", "UNREADABLE", "a frame that is no JSON", "JSON", "critical")]
        frame = msgspec.json.decode(raw)
        kind = frame.get("type") if isinstance(frame, dict) else None
        where = f"stream {kind}"
        if not isinstance(kind, str) or kind not in self._known.frames:
            return [_breach(where, "NEW_MESSAGE", "a type of message", "not in the published specification", "note")]
        read = missing(frame, FRAMES[kind], where) if kind in FRAMES else []
        return read + unfamiliar(frame, self._known, self._known.frames[kind], where)

    # -- what should be dead, and what says that it will be --

    def probe(self, *, is_real_money: bool) -> None:
        """Whether the legacy order routes answer 410. See the module for why nothing can come of it."""
        for method, path in (CANCEL_PROBE,) if is_real_money else (CANCEL_PROBE, CREATE_PROBE):
            if not self.is_over:
                self._probe(method, path)

    def _probe(self, method: str, path: str) -> None:
        what = f"{method} {path.replace(NIL, '{order_id}')} (legacy)"
        self._looked.add(what)
        try:
            self._client.request(method, path)
        except (HaltedError, RefusedError):
            self._looked.discard(what)  # writes are switched off: it was not asked
        except NotFoundError:
            self._breaches.append(_breach(what, "LEGACY_ANSWERS", "404", "410", "note"))
        except (CredentialsError, RateLimitedError) as error:
            self._unknown(what, "REFUSED", error.message, "410")
        except ExchangeError as error:
            if error.status != 410:
                self._critical(what, "LEGACY_LIVES", str(error.status), "410")
        except KalshiError as error:
            self._unknown(what, "UNANSWERED", error.message, "410")
        else:
            self._critical(what, "LEGACY_LIVES", "2xx", "410")

    def _notices(self) -> list[Breach]:
        """Routes in use that announced their end beside a polite answer."""
        legacy = ("/portfolio/orders", f"/portfolio/orders/{NIL}")
        return [
            _breach(route, "DEPRECATED", notice, "a route that stays", "critical")
            for route, notice in self._client.notices.items()
            if notice != "410 Gone" and not (route.startswith(("POST", "DELETE")) and route.endswith(legacy))
        ]

    # -- the outcome --

    def report(self) -> CheckReport:
        """The verdict, worst things first."""
        ranks = {"critical": 0, "unknown": 1, "note": 2}
        breaches = sorted({*self._breaches, *self._notices()}, key=lambda b: (ranks[b.severity], b.subject, b.code))
        counts = {severity: sum(b.severity == severity for b in breaches) for severity in ranks}
        parts = [pluralize(len(self._looked), "route")]
        if self._bare:
            parts.append(f"{len(self._bare)} without data")
        parts += [f"{number} {word}" for word, number in (("critical", counts["critical"]),) if number]
        parts += [f"{number} not looked at" for number in (counts["unknown"],) if number]
        parts.append(pluralize(counts["note"], "note"))
        return CheckReport(
            check="schema",
            verdict=verdict_of(breaches),
            summary=", ".join(parts),
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
        """The account's own routes were asked for, and there is no key."""
        self._unknown("account routes", "NO_KEY", "no API key is configured", "a key, or --public")

    def _critical(self, subject: str, code: str, value: str, limit: str) -> None:
        self._breaches.append(_breach(subject, code, value, limit, "critical"))

    def _unknown(self, subject: str, code: str, value: str, limit: str) -> None:
        self._breaches.append(_breach(subject, code, value, limit, "unknown"))


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
    """Look at every route once. `frames` is None where nobody serves a stream."""
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


def _is_closed(error: KalshiError, sample: Sample) -> bool:
    """Nothing there for this account, or not open to this key: neither says anything about the route."""
    if isinstance(error, NotFoundError):
        return bool(sample.needs) or sample.may_refuse
    return sample.may_refuse and isinstance(error, ExchangeError) and error.status in (400, 403)


def _is_json(body: bytes) -> bool:
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return False
    return True


def _breach(subject: str, code: str, value: str, limit: str, severity: str) -> Breach:
    return Breach(subject=subject, value=value, limit=limit, severity=severity, code=code)


def check_schema(resources: Resources, *, is_public_only: bool, within_s: float) -> CheckReport:
    """Whether the exchange still sends what we read; only reads, and probes that can do nothing."""
    signer, ws_url = resources.signer, resources.ws_url
    client = resources.connected(lambda _reviewed: None)  # a probe that is told "410", as it should be, is no alert
    client.limit_reads(within_s / 2)  # one that hangs leaves time to say so

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
