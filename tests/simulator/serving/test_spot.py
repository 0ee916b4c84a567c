"""The simulated world's spot over real sockets, in the formats of the venues, and the reader that listens to it."""

from __future__ import annotations

import json
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import pytest
from support.exchange import T0, make_exchange
from support.served import SteadyClock, eventually
from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, Request

from kalshi_cli.base.clock import Clock, SystemClock
from kalshi_cli.core.model.messages import SpotPrice, SpotUnavailable
from kalshi_cli.feeds.spot.binance import BINANCE, BINANCE_US
from kalshi_cli.feeds.spot.coinbase import COINBASE
from kalshi_cli.feeds.spot.kraken import KRAKEN
from kalshi_cli.feeds.spot.reader import MAX_ERRORS, MAX_FRAME, SpotReader, SpotTimings, VenueSource
from kalshi_cli.feeds.spot.venue import TradingPair, Venue
from kalshi_cli.simulator.protocol.replies import Request as Ask
from kalshi_cli.simulator.serving.controls import ControlError, Controls, read_command
from kalshi_cli.simulator.serving.server import SimServer
from kalshi_cli.simulator.serving.spot import SpotVenues
from kalshi_cli.simulator.world.families import BTC
from kalshi_cli.simulator.world.underlyings import PricePath

NOWHERE = "ws://127.0.0.1:1"
QUICK = SpotTimings(look_s=0.05, silence_s=0.4, first_pause_s=0.05, longest_pause_s=0.2, poll_every_s=0.1)
PATIENT = msgspec.structs.replace(QUICK, silence_s=600.0)
"""A busy machine may be silent for a second, and that is no error."""
PATH = PricePath(1, BTC)


class Spot:
    """A served world, and where its venues are."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.venues = SpotVenues(1, lambda _coin, at: PATH.at(at))
        self.faults = self.venues.faults
        self.server = SimServer(
            make_exchange(), clock or SystemClock(), on_advance=lambda _now: None, spots=self.venues
        )

    def source(self, venue: Venue, *, ws_url: str = "", symbol: str = "BTC") -> VenueSource:
        at = f"{urlsplit(self.server.rest_url).netloc}/spot/{venue.name}"
        return VenueSource(venue, venue.pair_of(symbol), ws_url or f"ws://{at}", f"http://{at}")


class Heard:
    """What a reader brought and told."""

    def __init__(self) -> None:
        self.prices: list[SpotPrice] = []
        self.lost: list[SpotUnavailable] = []
        self.told: list[str] = []

    def take(self, message: SpotPrice | SpotUnavailable) -> None:
        if isinstance(message, SpotPrice):
            self.prices.append(message)
        else:
            self.lost.append(message)

    def since(self) -> Callable[[], list[SpotPrice]]:
        """What comes from now on."""
        before = len(self.prices)
        return lambda: self.prices[before:]

    def has_said(self, words: str) -> bool:
        return any(words in text for text in self.told)


@pytest.fixture(scope="module")
def served_spot() -> Iterator[Spot]:
    served = Spot()
    served.server.start()
    yield served
    served.server.stop()


@pytest.fixture
def spot(served_spot: Spot) -> Spot:
    """Nothing is wrong with it when a test begins."""
    served_spot.faults.clear()
    return served_spot


@contextmanager
def reading(
    *sources: VenueSource, max_age_s: float = 0.8, pace: SpotTimings = QUICK
) -> Iterator[tuple[SpotReader, Heard]]:
    heard = Heard()
    reader = SpotReader(
        "BTC", sources, SystemClock(), random.Random(1), heard.take,
        max_age_s=max_age_s, tell=heard.told.append, pace=pace,
    )  # fmt: skip
    with reader.run_in_thread():
        yield reader, heard


@pytest.mark.parametrize("venue", [COINBASE, KRAKEN, BINANCE, BINANCE_US], ids=lambda venue: venue.name)
def test_the_worlds_price_comes_in_the_format_of_each_venue_by_stream_and_by_rest(spot: Spot, venue: Venue) -> None:
    source = spot.source(venue)
    with reading(source, pace=PATIENT) as (reader, heard):
        eventually(lambda: len(heard.prices) >= 3)
    for price in heard.prices:
        assert (price.symbol, price.venue) == ("BTC", venue.name)
        assert price.price == round(PATH.at(price.ts) * 100) * 100
        assert price.size
    assert not reader.errors
    [found] = venue.read_answer(httpx.get(source.rest_url + venue.rest_path(source.pair)).content, source.pair)
    assert found.price == round(PATH.at(found.ts) * 100) * 100


def test_what_a_venue_does_not_know_is_refused_as_it_would_refuse_it(spot: Spot) -> None:
    for venue in (COINBASE, KRAKEN):
        source = VenueSource(
            venue, TradingPair("BTC", "BTC-NIL"), spot.source(venue).ws_url, spot.source(venue).rest_url
        )
        with reading(source, max_age_s=0.2) as (reader, heard):
            eventually(lambda reader=reader, name=venue.name: reader.errors[name, "refused"] >= 2)  # type: ignore[misc]
            assert heard.prices == []
    assert httpx.get(spot.server.rest_url.replace("/trade-api/v2", "/spot/nobody/x")).status_code == 404


def test_a_stream_that_is_cut_comes_back(spot: Spot) -> None:
    with reading(spot.source(COINBASE)) as (reader, heard):
        eventually(lambda: heard.prices)
        spot.faults["coinbase"] = "cut"
        eventually(lambda: reader.errors["coinbase", "lost"] >= 2)
        spot.faults.clear()
        later = heard.since()
        eventually(later)


def test_a_venue_that_falls_silent_is_left_for_the_next_and_taken_again(spot: Spot) -> None:
    with reading(spot.source(COINBASE), spot.source(KRAKEN)) as (reader, heard):
        eventually(lambda: reader.venue == "coinbase")
        spot.faults["coinbase"] = "freeze"
        eventually(lambda: heard.prices[-1].venue == "kraken")
        eventually(lambda: heard.has_said("the price of kraken"))
        eventually(lambda: reader.errors["coinbase", "lost"])
        spot.faults.clear()
        eventually(lambda: heard.prices[-1].venue == "coinbase")


def test_a_coin_without_a_believed_price_is_stale_until_there_is_one_again(spot: Spot) -> None:
    clock = SystemClock()
    with reading(spot.source(COINBASE), max_age_s=0.5) as (reader, heard):
        eventually(lambda: heard.prices and not reader.source.state.is_stale(clock.now()))
        spot.faults["coinbase"] = "junk"
        eventually(lambda: reader.source.state.is_stale(clock.now()))
        eventually(lambda: reader.source.state.problem == "no price: no venue has a current one")
        spot.faults.clear()
        eventually(lambda: not reader.source.state.is_stale(clock.now()))
        eventually(lambda: reader.source.state.problem == "")


def test_junk_is_counted_and_a_connection_of_nothing_else_is_given_up(spot: Spot) -> None:
    spot.faults["coinbase"] = "junk"
    with reading(spot.source(COINBASE), spot.source(BINANCE), pace=PATIENT) as (reader, heard):
        eventually(lambda: reader.errors["coinbase", "lost"] >= 1)
        assert reader.errors["coinbase", "junk"] >= MAX_ERRORS
        eventually(lambda: heard.prices)
        assert {price.venue for price in heard.prices} == {"binance"}


def test_a_wrong_price_is_not_believed_against_two_others_and_two_that_differ_are_both_not(spot: Spot) -> None:
    three = (spot.source(COINBASE), spot.source(KRAKEN), spot.source(BINANCE))
    spot.faults["coinbase"] = "wrong"
    with reading(*three) as (_, heard):
        eventually(lambda: heard.prices and heard.prices[-1].venue == "kraken")
    with reading(*three[:2]) as (reader, heard):
        eventually(lambda: heard.has_said("the venues disagree"))
        eventually(lambda: reader.venue is None and heard.lost)
        assert {lost.symbol for lost in heard.lost} == {"BTC"}, "what was believed before is not for ten seconds more"
        spot.faults.clear()
        eventually(lambda: reader.venue == "coinbase")


def test_without_any_stream_the_venues_are_read_over_rest(spot: Spot) -> None:
    sources = [spot.source(venue, ws_url=NOWHERE) for venue in (COINBASE, KRAKEN, BINANCE)]
    with reading(*sources, max_age_s=0.4) as (reader, heard):
        eventually(lambda: len(heard.prices) >= 2)
        eventually(lambda: reader.errors["coinbase", "lost"])
        spot.faults["coinbase"] = "junk"
        eventually(lambda: reader.errors["coinbase", "junk"])
        eventually(lambda: heard.prices[-1].venue == "kraken")


def test_a_stream_with_only_old_prices_is_abandoned_with_a_notice() -> None:
    """Trades that go on and on, all of an hour ago: nothing would say that nothing is traded on them."""
    clock = SteadyClock()
    clock.shift_s = -3_600
    late = Spot(clock)
    late.server.start()
    try:
        with reading(late.source(COINBASE)) as (reader, heard):
            eventually(lambda: reader.errors["coinbase", "lost"] >= 2)
            eventually(lambda: heard.has_said("no venue has a current one"))
            assert heard.prices == []
    finally:
        late.server.stop()


def test_rest_is_left_alone_while_a_stream_gives_prices(spot: Spot) -> None:
    with reading(spot.source(COINBASE, ws_url=NOWHERE), spot.source(KRAKEN), max_age_s=60.0) as (reader, heard):
        eventually(lambda: len(heard.prices) >= 4)
        assert {price.venue for price in heard.prices} == {"kraken"}
        eventually(lambda: reader.errors["coinbase", "lost"])


# -- servers that are no venue ------------------------------------------------------------------------------------


@contextmanager
def hostile(after: bytes, *, shakes: bool = True) -> Iterator[str]:
    """A server that takes the handshake (or not), sends these bytes, and then says nothing."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            kept.append(peer)
            try:
                if shakes:
                    protocol = WSConnection(ConnectionType.SERVER)
                    protocol.receive_data(peer.recv(65_536))
                    assert isinstance(next(protocol.events()), Request)
                    peer.sendall(protocol.send(AcceptConnection()))
                peer.sendall(after)
            except OSError:
                continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for peer in kept:
            peer.close()
        thread.join(30)


ENDLESS = b"\x81\x7f" + (1 << 40).to_bytes(8, "big") + b"x" * (MAX_FRAME + 10)
FRAGMENTS = b"\x01\x01x" + (b"\x00\x7d" + b"x" * 125) * (MAX_FRAME // 125 + 1)


@pytest.mark.parametrize(
    ("after", "shakes"),
    [
        (ENDLESS, True), (FRAGMENTS, True), (b"\xff\xff\xff\xff", True), (b"\x81\x81mask1", True),
        (b"\x88\x02\x03\xe8", True), (b"HTTP/1.1 451 Unavailable For Legal Reasons\r\n\r\n", False),
        (b"\x00" * 100 + b"\r\n\r\n", False), (b"", True),
    ],
    ids=["endless", "fragments", "no-frame", "masked", "close", "451", "no-http", "silent"],
)  # fmt: skip
def test_whatever_a_server_sends_costs_one_connection_and_the_others_go_on(
    spot: Spot, after: bytes, shakes: bool
) -> None:
    pace = PATIENT if after else QUICK  # only silence is found by waiting
    with (
        hostile(after, shakes=shakes) as url,
        reading(spot.source(COINBASE, ws_url=url), spot.source(KRAKEN), max_age_s=60.0, pace=pace) as (reader, heard),
    ):
        eventually(lambda: reader.errors["coinbase", "lost"] >= 2)
        eventually(lambda: heard.prices)
        assert {price.venue for price in heard.prices} == {"kraken"}


def test_stream_and_rest_of_two_worlds_with_one_seed_agree() -> None:
    ask = Ask("GET", "/spot/kraken/0/public/Trades", {"pair": ["XBTUSD"]})
    one, two = (SpotVenues(7, lambda _coin, at: PATH.at(at)).read(ask, T0).body for _ in range(2))
    assert one == two
    assert SpotVenues(8, lambda _coin, at: PATH.at(at)).read(ask, T0).body != one


def test_a_command_distorts_and_restores_the_prices_of_one_venue_or_all() -> None:
    venues = SpotVenues(1, lambda _coin, at: PATH.at(at))
    world: Any = None
    controls = Controls(make_exchange(), world, spots=venues)

    def spot(**fields: Any) -> str:
        return controls.perform(read_command("spot", json.dumps(fields).encode()), T0).done

    assert spot(fault="freeze", venue="kraken") == "outside prices of kraken: freeze"
    assert venues.faults == {"kraken": "freeze"}
    spot(fault="wrong")
    assert set(venues.faults.values()) == {"wrong"}
    assert len(venues.faults) == 4
    assert spot(fault="") == "outside prices of all venues: normal"
    assert not any(venues.faults.values())
    with pytest.raises(ControlError):
        spot(fault="gone")
    with pytest.raises(ControlError):
        spot(fault="junk", venue="nobody")
