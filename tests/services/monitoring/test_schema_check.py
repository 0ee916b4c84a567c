"""`check schema` from the inside: every field that the program needs is dropped once, and found."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from support.every_call import CLOSE, COLLECTION, FullExchange, Reference, answered, legs, proposed, with_game
from support.simulation import KEY, OTHER, TICKER

from kalshi_cli.base.errors import HaltedError, KalshiError
from kalshi_cli.base.units import cents, dollars
from kalshi_cli.core.monitoring.check_report import Breach, Verdict
from kalshi_cli.core.monitoring.schema_drift import missing
from kalshi_cli.exchange import route_samples
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.route_samples import SAMPLES, Sample
from kalshi_cli.exchange.wire.values import capture_bodies
from kalshi_cli.services.monitoring.schema_check import SchemaCheck, examine
from kalshi_cli.simulator.model.listing import EventSpec, MarketSpec, SeriesSpec
from kalshi_cli.simulator.serving.in_process_transport import SimTransport

BY_ROUTE = {sample.route: sample for sample in SAMPLES}
KNOWN = route_samples.known_fields()

Edit = Callable[[httpx.Request, httpx.Response], httpx.Response | None]


class Tampering(httpx.BaseTransport):
    """Passes requests on, and answers through `edit`: another response, or None for the true one."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner
        self.edit: Edit = lambda _request, _response: None
        self.sent: list[str] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(f"{request.method} {request.url.path.removeprefix('/trade-api/v2')}")
        response = self._inner.handle_request(request)
        response.read()
        return self.edit(request, response) or response


class World(NamedTuple):
    """An exchange with data, and a client of it whose answers can be tampered with."""

    full: FullExchange
    wire: Tampering
    client: KalshiClient

    def examined(self, *routes: str) -> list[Breach]:
        """What is found when these routes are asked, after those they need."""
        run = SchemaCheck(self.client, self.full.sim.clock, KNOWN, within_s=1e9)
        run.read(tuple(sample for route in routes for sample in chain(BY_ROUTE[route])))
        return list(run.report().breaches)

    def whole(self, **changes: Any) -> Any:
        options = {"is_keyed": True, "is_public_only": False, "is_real_money": False, "frames": None}
        return examine(self.client, self.full.sim.clock, within_s=1e9, **{**options, **changes})


def chain(sample: Sample) -> tuple[Sample, ...]:
    """What must be read first, and the sample itself."""
    return (*chain(BY_ROUTE[sample.needs]), sample) if sample.needs else (sample,)


def build(folder: Path, prepare: Callable[[FullExchange], object]) -> World:
    full = FullExchange(folder)
    prepare(full)
    clock = full.sim.clock
    wire = Tampering(SimTransport(full.sim.exchange, clock))  # unchecked: probes are in no specification
    client = connected(wire, full)
    return World(full, wire, client)


def connected(wire: Tampering, full: FullExchange, **options: Any) -> KalshiClient:
    clock, rng = full.sim.clock, random.Random(1)
    signer = Signer("alice-key", KEY, clock)
    return KalshiClient("http://localhost/trade-api/v2", clock=clock, rng=rng, signer=signer, transport=wire, **options)


def one_of_everything(full: FullExchange) -> None:
    full.resting()
    full.group()
    with_game(full.sim)
    full.client.create_combo(COLLECTION, legs())
    full.client.transfer_to_subaccount(
        dollars(1),
        client_transfer_id="11111111-2222-4333-8444-555555555555",
        from_subaccount=0,
        to_subaccount=full.subaccount(),
    )
    full.transfer()
    full.sim.exchange.withdraw("alice", dollars(1))
    answered(full.sim)
    proposed(full.sim)


def only_weather(full: FullExchange) -> None:
    """One open market, of an event that a chart follows."""
    exchange, now, event = full.sim.exchange, full.sim.clock.now(), "KXHIGHNY-26JUN01"
    for ticker in (TICKER, OTHER):
        exchange.settle(ticker, cents(0), now)
    exchange.follow(Reference())
    exchange.list_series(SeriesSpec(ticker="KXHIGHNY", title="High", category="Climate and Weather"))
    exchange.list_event(EventSpec(event_ticker=event, series_ticker="KXHIGHNY", title="High", strike_date=CLOSE), now)
    market = MarketSpec(ticker=f"{event}-T60", event_ticker=event, title="High", open_time=now, close_time=CLOSE)
    exchange.list_market(market, now)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, World]]:
    """A busy day, an account whose only trades are long ago, and an exchange with one market on a temperature."""
    made = {
        "busy": build(tmp_path_factory.mktemp("busy"), one_of_everything),
        "old": build(tmp_path_factory.mktemp("old"), lambda full: full.old()),
        "weather": build(tmp_path_factory.mktemp("weather"), only_weather),
    }
    yield made
    for world in made.values():
        world.full.sim.close()


# -- what is looked at --------------------------------------------------------------------------------------------


def test_the_simulated_exchange_sends_all_that_is_read_and_nothing_that_is_not_listed(worlds: dict[str, World]) -> None:
    for world in worlds.values():
        report = world.whole()
        assert report.breaches == ()
        assert report.verdict is Verdict.OK


def test_every_sample_had_something_to_look_at(bodies: dict[str, Body]) -> None:
    """Else the tests below would look at empty lists."""
    assert set(bodies) == set(BY_ROUTE)


@pytest.fixture(scope="module")
def bodies(worlds: dict[str, World]) -> dict[str, Body]:
    """One answer of each route, from the world in which it holds most."""
    return collected(worlds)


class Body(NamedTuple):
    """An answer, the struct it is read as, the path that was asked, and the world that gave it."""

    struct: type
    raw: bytes
    asked: str
    world: World


def collected(worlds: dict[str, World]) -> dict[str, Body]:
    found: dict[str, Body] = {}
    for world in worlds.values():
        items: dict[str, Any] = {}
        for sample in SAMPLES:
            if sample.needs and items.get(sample.needs) is None:
                continue
            with capture_bodies() as seen:
                items[sample.route] = first(sample, world, items.get(sample.needs))
            if seen and (sample.route not in found or len(seen[-1][1]) > len(found[sample.route].raw)):
                found[sample.route] = Body(*seen[-1], world.wire.sent[-1], world)
    return found


def first(sample: Sample, world: World, needed: Any) -> Any:
    try:
        answer = sample.take(world.client, needed, world.full.sim.clock.now())
    except KalshiError:
        return None
    items = list(answer) if isinstance(answer, Iterator) else answer
    return next(iter(items), None) if isinstance(items, list) else items


# -- dropped, changed, added --------------------------------------------------------------------------------------

Path_ = tuple[str | int, ...]


def places(value: Any, at: Path_ = ()) -> Iterator[Path_]:
    """The path of every field of a body; of a list, those of its first item."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield (*at, name)
            yield from places(inner, (*at, name))
    elif isinstance(value, list) and value:
        yield from places(value[0], (*at, 0))


def changed(raw: bytes, at: Path_, *put: Any) -> bytes:
    """The body with another value at a path, or without what is there."""
    body = json.loads(raw)
    inner = body
    for step in at[:-1]:
        inner = inner[step]
    if put:
        inner[at[-1]] = put[0]
    else:
        del inner[at[-1]]
    return json.dumps(body).encode()


def is_readable(struct: type, raw: bytes) -> bool:
    try:
        msgspec.json.decode(raw, type=struct)
    except msgspec.ValidationError:
        return False
    return True


def subject(route: str, at: Path_) -> str:
    return route + "".join("[]" if step == 0 else f".{step}" for step in at)


def test_every_field_that_is_needed_and_dropped_on_the_way_is_critical(bodies: dict[str, Body]) -> None:
    needed = 0
    for route, body in bodies.items():
        for at in places(json.loads(body.raw)):
            raw = changed(body.raw, at)
            if is_readable(body.struct, raw):
                continue
            needed += 1
            body.world.wire.edit = instead(body.asked, raw)
            found = [b for b in body.world.examined(route) if b.code == "MISSING_FIELD"]
            body.world.wire.edit = untouched
            assert [(b.subject, b.severity) for b in found if b.subject == subject(route, at)] == [
                (subject(route, at), "critical")
            ], (route, at)
    assert needed > 300, "hardly any field was needed: the test looked at nothing"


def test_a_field_that_may_be_missing_is_not_missed(bodies: dict[str, Body]) -> None:
    optional = 0
    for route, body in bodies.items():
        for at in places(json.loads(body.raw)):
            raw = changed(body.raw, at)
            if is_readable(body.struct, raw):
                optional += 1
                assert missing(json.loads(raw), body.struct, route) == []
    assert optional > 100


@pytest.mark.parametrize("put", [None, True, 0.25, "x", [7], [["0.5"]], {}, "2026-06-11T06:29:30"], ids=repr)
def test_a_value_is_of_another_type_exactly_where_it_cannot_be_read(bodies: dict[str, Body], put: Any) -> None:
    unreadable = 0
    for route, body in bodies.items():
        for at in places(json.loads(body.raw)):
            raw = changed(body.raw, at, put)
            found = missing(json.loads(raw), body.struct, route)
            assert bool(found) is not is_readable(body.struct, raw), (route, at, put, found)
            unreadable += bool(found)
    assert unreadable > 50


def instead(asked: str, raw: bytes) -> Edit:
    """Another body for one request."""

    def edit(request: httpx.Request, response: httpx.Response) -> httpx.Response | None:
        if f"{request.method} {request.url.path.removeprefix('/trade-api/v2')}" != asked:
            return None
        return httpx.Response(response.status_code, content=raw, request=request)

    return edit


def untouched(_request: httpx.Request, _response: httpx.Response) -> None:
    return None


def examined_with(bodies: dict[str, Body], route: str, at: Path_, put: Any) -> list[Breach]:
    body = bodies[route]
    body.world.wire.edit = instead(body.asked, changed(body.raw, at, put))
    try:
        return body.world.examined(route)
    finally:
        body.world.wire.edit = untouched


def test_a_field_that_nobody_has_listed_is_a_note(bodies: dict[str, Body]) -> None:
    found = examined_with(bodies, "GET /markets", ("markets", 0, "mood"), "good")
    assert [(b.subject, b.code, b.severity) for b in found] == [
        ("GET /markets.markets[].mood", "UNKNOWN_FIELD", "note")
    ]


def test_a_new_value_of_a_closed_list_is_a_note(bodies: dict[str, Body]) -> None:
    found = examined_with(bodies, "GET /markets", ("markets", 0, "status"), "asleep")
    assert [(b.subject, b.value, b.code, b.severity) for b in found] == [
        ("GET /markets.markets[].status", "asleep", "NEW_VALUE", "note")
    ]


def test_a_number_that_no_price_can_be_is_critical_too(bodies: dict[str, Body]) -> None:
    found = examined_with(bodies, "GET /markets", ("markets", 0, "yes_bid_dollars"), "1.5000")
    assert [(b.subject, b.code) for b in found] == [("GET /markets", "UNREADABLE")]


def test_half_an_answer_is_none(bodies: dict[str, Body]) -> None:
    body = bodies["GET /markets"]
    body.world.wire.edit = instead(body.asked, body.raw[:100])
    found = body.world.examined("GET /markets")
    body.world.wire.edit = untouched
    assert [(b.code, b.severity) for b in found] == [("UNANSWERED", "unknown")]


# -- routes -------------------------------------------------------------------------------------------------------


def answering(status: int, headers: dict[str, str] | None = None, *, of: str) -> Edit:
    """Another status, or more headers, for the answers to one method and path."""

    def edit(request: httpx.Request, response: httpx.Response) -> httpx.Response | None:
        if f"{request.method} {request.url.path.removeprefix('/trade-api/v2')}" != of:
            return None
        body = response.content if status < 300 else b'{"error":{"code":"not_found","message":"some"}}'
        return httpx.Response(status, headers=headers, content=body, request=request)

    return edit


CASES: dict[str, tuple[Edit, tuple[str, str] | None]] = {
    "a route in use is gone": (answering(410, of="GET /portfolio/fills"), ("GONE", "critical")),
    "a route in use is not there": (answering(404, of="GET /portfolio/fills"), ("GONE", "critical")),
    "a market is not there": (answering(404, of=f"GET /markets/{TICKER}"), None),
    "a route announces its end": (
        answering(200, {"Sunset": "Wed, 02 Dec 2026 00:00:00 GMT"}, of="GET /portfolio/fills"),
        ("DEPRECATED", "critical"),
    ),
    "no permission": (answering(403, of="GET /portfolio/fills"), ("REFUSED", "unknown")),
    "no permission where few have it": (answering(403, of="GET /api_keys"), None),
    "a legacy create is polite": (answering(200, of="POST /portfolio/orders"), ("LEGACY_LIVES", "critical")),
    "a legacy create looks at its body": (answering(400, of="POST /portfolio/orders"), ("LEGACY_LIVES", "critical")),
    "a legacy cancel is polite": (answering(200, of=f"DELETE /portfolio/orders/{'0' * 8}-0000-0000-0000-{'0' * 12}"),
                                  ("LEGACY_LIVES", "critical")),
    "a legacy cancel knows no such order": (
        answering(404, of=f"DELETE /portfolio/orders/{'0' * 8}-0000-0000-0000-{'0' * 12}"), ("LEGACY_ANSWERS", "note")
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_route_that_is_not_as_it_was(worlds: dict[str, World], case: str) -> None:
    edit, wanted = CASES[case]
    world = build_again(worlds)
    world.wire.edit = edit
    try:
        report = world.whole()
    finally:
        world.wire.edit = untouched
    assert [(b.code, b.severity) for b in report.breaches] == ([wanted] if wanted else [])


def build_again(worlds: dict[str, World]) -> World:
    """The busy world with a new client: a client passes an announcement on once."""
    full, wire, _ = worlds["busy"]
    clock = full.sim.clock
    signer = Signer("alice-key", KEY, clock)
    client = KalshiClient(
        "http://localhost/trade-api/v2", clock=clock, rng=random.Random(1), signer=signer, transport=wire
    )
    return World(full, wire, client)


def test_an_exchange_that_does_not_answer_is_asked_once_and_unknown(worlds: dict[str, World]) -> None:
    world = worlds["busy"]

    def down(request: httpx.Request, _response: httpx.Response) -> httpx.Response:
        return httpx.Response(502, content=b"<html>bad gateway</html>", request=request)

    world.wire.edit = down
    before = len(world.wire.sent)
    report = world.whole()
    world.wire.edit = untouched
    assert report.verdict is Verdict.UNKNOWN
    assert {b.code for b in report.breaches} == {"UNANSWERED", "NOT_REACHED"}
    assert len(set(world.wire.sent[before:])) == 1


def test_without_a_key_the_account_is_unknown_unless_only_public_routes_were_wanted(worlds: dict[str, World]) -> None:
    world = worlds["busy"]
    report = world.whole(is_keyed=False)
    assert (report.verdict, [b.code for b in report.breaches]) == (Verdict.UNKNOWN, ["NO_KEY"])
    assert world.whole(is_keyed=False, is_public_only=True).verdict is Verdict.OK


# -- probes -------------------------------------------------------------------------------------------------------


def writes(world: World, **changes: Any) -> list[str]:
    before = len(world.wire.sent)
    world.whole(**changes)
    return [sent.replace("0" * 8, "0") for sent in world.wire.sent[before:] if not sent.startswith("GET ")]


def test_nothing_is_written_but_probes_that_can_do_nothing(worlds: dict[str, World]) -> None:
    world = worlds["busy"]
    nil = "DELETE /portfolio/orders/0-0000-0000-0000-00000"
    assert writes(world) == [nil, "POST /portfolio/orders"]
    assert writes(world, is_real_money=True) == [nil]
    assert writes(world, is_public_only=True) == []
    assert writes(world, is_keyed=False) == []


def test_where_writes_are_switched_off_nothing_is_probed_and_that_is_no_fault(worlds: dict[str, World]) -> None:
    full, wire, _ = worlds["busy"]

    def halted(_reviewed: object) -> None:
        raise HaltedError("halted")

    for options, sent in (({"is_read_only": True}, 0), ({"before_create": halted}, 1)):
        client = connected(wire, full, **options)
        world = World(full, wire, client)
        assert len(writes(world)) == sent
        assert world.whole().verdict is Verdict.OK


# -- time ---------------------------------------------------------------------------------------------------------


def test_what_there_was_no_time_for_is_unknown(worlds: dict[str, World]) -> None:
    world = worlds["busy"]
    run = SchemaCheck(world.client, world.full.sim.clock, KNOWN, within_s=0.0)
    run.read(SAMPLES)
    report = run.report()
    assert report.verdict is Verdict.UNKNOWN
    assert {b.code for b in report.breaches} == {"NOT_REACHED"}
    assert len(report.breaches) == len(SAMPLES)


def test_it_asks_as_fast_as_the_account_may(worlds: dict[str, World]) -> None:
    world = build_again(worlds)
    clock = world.full.sim.clock
    began, asked = clock.monotonic(), len(world.wire.sent)
    world.whole()
    # The slowest tier would need three seconds for so many.
    assert len(world.wire.sent) - asked > 60
    assert clock.monotonic() - began < 1.0


# -- the stream ---------------------------------------------------------------------------------------------------


def heard(world: World, *frames: Any) -> list[Breach]:
    run = SchemaCheck(world.client, world.full.sim.clock, KNOWN, within_s=1e9)
    run.listen(lambda _ticker: [frame if isinstance(frame, bytes) else json.dumps(frame).encode() for frame in frames])
    return list(run.report().breaches)


SUBSCRIBED = {"type": "subscribed", "id": 1, "msg": {"channel": "ticker", "sid": 1}}


def test_frames_as_they_should_be_are_no_news(worlds: dict[str, World]) -> None:
    assert heard(worlds["busy"], SUBSCRIBED, b"\n") == []


@pytest.mark.parametrize(
    ("frame", "code", "severity"),
    [
        ({"type": "subscribed", "id": 1, "msg": {"channel": "ticker"}}, "MISSING_FIELD", "critical"),
        ({"type": "subscribed", "id": 1, "msg": {"channel": "ticker", "sid": "1"}}, "CHANGED_TYPE", "critical"),
        (SUBSCRIBED | {"mood": "good"}, "UNKNOWN_FIELD", "note"),
        ({"type": "weather_report", "sid": 1}, "NEW_MESSAGE", "note"),
        (b"{", "UNREADABLE", "critical"),
    ],
)
def test_a_frame_that_is_not_as_it_was(worlds: dict[str, World], frame: Any, code: str, severity: str) -> None:
    assert [(b.code, b.severity) for b in heard(worlds["busy"], frame)] == [(code, severity)]


def test_a_silent_stream_is_unknown(worlds: dict[str, World]) -> None:
    assert [(b.code, b.severity) for b in heard(worlds["busy"])] == [("UNANSWERED", "unknown")]
