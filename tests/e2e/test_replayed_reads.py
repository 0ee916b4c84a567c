"""Something between us and the exchange gives out old replies to reads, with their dates, while cancels fail."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.fault_proxy import Fault, FaultProxy, fault_proxy
from support.served import (
    KEY_ID,
    ME,
    TWO_SIDED,
    WATCHFUL,
    Ended,
    Served,
    SteadyClock,
    eventually,
    finish,
    program,
    said,
    served,
    set_variables,
    start,
)

from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.signing import Signer, load_key

AGE_S = 8.0
ALWAYS = 1_000_000

NOT_FOUND = b'{"error": {"code": "not_found", "message": "not found"}}'
WAYS: dict[str, Callable[[str], Fault]] = {
    "503": lambda verb: Fault("status", verb, "", times=ALWAYS),
    "500": lambda verb: Fault("status_500", verb, "", times=ALWAYS),
    "404": lambda verb: Fault("status", verb, "", times=ALWAYS, status=404, body=NOT_FOUND),
    "reset": lambda verb: Fault("reset", verb, "", times=ALWAYS),
    "hang": lambda verb: Fault("hang_request", verb, "", times=ALWAYS),
    "empty 200": lambda verb: Fault("status", verb, "", times=ALWAYS, status=200, body=b""),
}
"""How a cancel fails: the exchange sees none of it."""


class Cache:
    """A served exchange and the proxy before it, which keeps what reads were answered some seconds ago."""

    def __init__(self, exchange: Served, proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch) -> None:
        self.exchange = exchange
        self.proxy = proxy
        self.monkeypatch = monkeypatch

    def go_direct(self) -> None:
        set_variables(self.monkeypatch, self.exchange.home, self.exchange.variables())

    def go_through(self) -> None:
        set_variables(self.monkeypatch, self.exchange.home, self.variables())

    def variables(self) -> dict[str, str]:
        return self.exchange.variables(self.proxy.moved(self.exchange.server.rest_url))

    def replay(self, way: str = "", *, is_by_query: bool = False, path: str = "") -> None:
        """From now on reads are answered from what is kept, and cancels fail in this way."""
        self.proxy.faults.append(Fault("replay", "GET", path, times=ALWAYS, is_by_query=is_by_query))
        if way:
            self.proxy.faults += [WAYS[way]("DELETE"), WAYS[way]("PUT")]

    def warm(self) -> None:
        """Every read of the account, as it is before anything happens on it."""
        signer = Signer(KEY_ID, load_key(self.exchange.key_path), self.exchange.clock)
        url = self.proxy.moved(self.exchange.server.rest_url)
        with KalshiClient(url, clock=self.exchange.clock, rng=random.Random(1), signer=signer) as client:
            reads: list[Callable[[], object]] = [
                client.exchange_status, client.user_data_timestamp, client.balance, client.order_groups,
                client.schedule, client.limits, client.endpoint_costs, client.api_keys,
                lambda: list(client.orders(status="resting")), lambda: list(client.positions()),
                lambda: list(client.fills()), lambda: list(client.settlements()),
                lambda: list(client.subaccount_balances()), lambda: client.market(TWO_SIDED),
                lambda: list(client.markets(tickers=[TWO_SIDED])), lambda: client.orderbook(TWO_SIDED),
            ]  # fmt: skip
            for read in reads:
                read()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cache]:
    """What it keeps is eight seconds old, and of an account on which nothing rests. A read is repeated at once."""
    monkeypatch.setattr("kalshi_cli.exchange.rest.call.MOVES_ON_S", 0.0)
    with monkeypatch.context() as earlier:
        earlier.setattr(SteadyClock, "shift_s", -AGE_S)
        made = served(tmp_path, shards=1)
        exchange = made.__enter__()
        exchange.clock.shift_s = -AGE_S
    try:
        with fault_proxy(exchange.server.rest_url) as proxy:
            found = Cache(exchange, proxy, monkeypatch)
            found.warm()
            exchange.clock.shift_s = 0.0
            found.go_direct()
            yield found
    finally:
        made.__exit__(None, None, None)


def buy() -> str:
    words = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "2", "--price", "0.41")
    ended = program(*words, "--json")
    assert ended.code == 0, ended.err
    return str(ended.json["order_id"])


def is_not_called_gone(ended: Ended, *words: str) -> None:
    assert (ended.code, ended.json["remaining"]) == (7, None), ended.err
    for each in ("may remain", *words):
        assert each in ended.error["message"], ended.err


# -- the kill switch ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("way", "is_by_query"), [*((way, way == "hang") for way in WAYS), ("503", True)])
def test_an_empty_list_that_was_kept_is_no_proof_while_cancels_fail(cache: Cache, way: str, is_by_query: bool) -> None:
    buy()
    cache.go_through()
    cache.replay(way, is_by_query=is_by_query)
    cache.monkeypatch.setenv("KALSHI_EXCHANGE__TOTAL_TIMEOUT_S", "1")  # of the cancel that hangs
    is_not_called_gone(program("cancel-all", "--within", "0.5s", "--json"), "answered no cancel")
    assert len(cache.exchange.resting()) == 1
    cache.proxy.faults.clear()
    cache.go_through()
    assert program("cancel-all", "--json").code == 0
    assert cache.exchange.resting() == []


@pytest.mark.parametrize(("path", "way"), [("", "404"), ("/portfolio/", "503"), ("/portfolio/", "empty 200")])
def test_nor_is_it_for_orders_that_no_file_knows(cache: Cache, path: str, way: str) -> None:
    """Another program placed it; what is not of the account may even be answered by the exchange."""
    cache.exchange.submit(ME, TWO_SIDED, BID, "0.3900", "1")
    cache.go_through()
    cache.replay(way, path=path)
    is_not_called_gone(program("cancel-all", "--within", "0.5s", "--json"))
    is_not_called_gone(program("cancel-all", "--ticker", TWO_SIDED, "--within", "0.5s", "--json"))
    assert len(cache.exchange.resting()) == 1


@pytest.mark.parametrize(("scope", "way"), [(("--ticker", TWO_SIDED), "500"), (("--event", "KXRAIN-40JAN01"), "reset")])
def test_nor_for_a_part_of_the_orders(cache: Cache, scope: tuple[str, str], way: str) -> None:
    order_id = buy()
    cache.go_through()
    cache.replay(way, path=r"/portfolio/orders\?")  # lists alone, and the dates of everything else are right
    is_not_called_gone(program("cancel-all", *scope, "--within", "0.5s", "--json"))
    cache.proxy.faults[0].path = "nothing"
    cache.proxy.edits[r"/portfolio/orders\?"] = lambda _body: {"orders": [], "cursor": ""}
    is_not_called_gone(program("cancel-all", *scope, "--within", "2s", "--json"), order_id)
    assert len(cache.exchange.resting()) == 1


def test_what_answers_for_the_exchange_may_not_answer_an_old_reply_by_its_age(cache: Cache) -> None:
    cache.go_through()
    cache.proxy.headers["age"] = "1"
    is_not_called_gone(program("cancel-all", "--within", "0.5s", "--json"))
    assert "replays" in program("balance", "--json").error["message"]
    cache.proxy.headers["age"] = "0"
    assert program("cancel-all", "--json").code == 0


# -- checks -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/portfolio/"])
@pytest.mark.parametrize("check", ["orders", "positions", "balance"])
def test_no_check_says_ok_of_what_was_kept(cache: Cache, check: str, path: str) -> None:
    buy()
    cache.exchange.submit(ME, TWO_SIDED, BID, "0.3900", "1")
    cache.go_through()
    cache.replay(path=path)
    ended = program("check", check, "--no-notify", "--json")
    assert ended.code == 3, ended.out
    assert "replays" in ended.out


# -- loops --------------------------------------------------------------------------------------------------------


def test_a_loop_that_begins_on_kept_replies_does_not_blame_our_clock(cache: Cache) -> None:
    cache.go_through()
    cache.replay()
    ended = program("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--duration", "5s")
    assert ended.code == 6, ended.err
    assert "replays" in ended.err
    assert "your clock" not in ended.err


def test_a_loop_outlives_replies_that_were_kept(cache: Cache) -> None:
    words = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.2s", "--json")
    loop = start(words, cache.variables(), cache.exchange.home, first=WATCHFUL)
    eventually(lambda: program("status", "--json").json["cycles"] or loop.poll() is not None)
    cache.replay()
    eventually(lambda: "replays" in said(loop) or loop.poll() is not None)
    cache.proxy.faults.clear()
    eventually(lambda: "can be read again" in said(loop) or loop.poll() is not None)
    loop.send_signal(signal.SIGTERM)
    ended = finish(loop)
    assert ended.code == 143, ended.err
    assert "can be read again" in ended.err
    assert "your clock" not in ended.err
