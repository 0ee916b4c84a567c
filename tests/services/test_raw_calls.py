"""Raw pages are one whole list or an error; a halt stops what could trade."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from support.simulation import Simulation

from kalshi_cli.base.errors import HaltedError, RefusedError, UnreachableError, UsageError
from kalshi_cli.exchange.wire.values import ResponseFormatError
from kalshi_cli.services import raw_calls


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Simulation]:
    made = Simulation(tmp_path)
    yield made
    made.close()


def pages(world: Simulation, *bodies: bytes) -> bytes:
    """All pages of a list that answers these, one after the other."""
    left = iter(bodies)
    world.wire.before = lambda _: httpx.Response(200, content=next(left))
    return raw_calls.all_pages(world.client, "/portfolio/fills", {"limit": ["2"]})


def test_lists_are_joined_and_the_rest_is_that_of_the_last_page(world: Simulation) -> None:
    whole = pages(
        world,
        b'{"fills":[{"price":0.10},{"price":1.50}],"other":[1],"as_of":1,"cursor":"a"}',
        b'{"fills":[{"price":"2"}],"other":[],"as_of":2,"cursor":""}',
    )
    assert whole == b'{"fills":[{"price":0.10},{"price":1.50},{"price":"2"}],"other":[1],"as_of":2,"cursor":""}', (
        "every value as it came, to the digit"
    )


def test_the_other_name_of_a_cursor_is_followed_too(world: Simulation) -> None:
    assert pages(world, b'{"x":[1],"next_cursor":"a"}', b'{"x":[2]}') == b'{"x":[1,2],"next_cursor":""}'
    assert len(world.wire.sent) == 2


def test_a_list_that_repeats_itself_is_an_error_and_not_a_long_list(world: Simulation) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        pages(world, *[b'{"fills":[1],"cursor":"same"}'] * 5)
    assert caught.value.code == "cursor_loop"
    assert len(world.wire.sent) == 2


def test_a_list_without_end_is_an_error(world: Simulation) -> None:
    with pytest.raises(ResponseFormatError) as caught:
        pages(world, *(b'{"fills":[1],"cursor":"%d"}' % number for number in range(raw_calls.MAX_PAGES + 9)))
    assert caught.value.code == "too_many_pages"


@pytest.mark.parametrize("body", [b"[1,2]", b"<html>", b'"text"', b'{"fills":'])
def test_what_is_no_page_is_an_error(world: Simulation, body: bytes) -> None:
    with pytest.raises(ResponseFormatError):
        pages(world, body)


def test_a_page_that_fails_fails_the_list(world: Simulation) -> None:
    def second_fails(request: httpx.Request) -> httpx.Response:
        if "cursor" in str(request.url):
            raise httpx.ReadTimeout("no answer")
        return httpx.Response(200, content=b'{"fills":[1],"cursor":"a"}')

    world.wire.before = second_fails
    with pytest.raises(UnreachableError):
        raw_calls.all_pages(world.client, "/portfolio/fills", {})


# -- while halted -------------------------------------------------------------------------------------------------

ALLOWED = (
    "POST /portfolio/target_balance_allocation",
    "POST /portfolio/subaccounts",
    "PUT /portfolio/subaccounts/netting",
    "POST /portfolio/intra_exchange_instance_transfer",
    "POST /account/api_usage_level/upgrade",
    "PUT /portfolio/order_groups/g/trigger",
    "POST /portfolio/order_groups/create",
    "POST /portfolio/events/orders/o/decrease",
    "DELETE /portfolio/events/orders",
    "DELETE /portfolio/events/orders/o",
    "DELETE /communications/rfqs/r",
    "GET /portfolio/orders",
)
STOPPED = (
    "POST /portfolio/events/orders",
    "POST /portfolio/events/orders/batched",
    "POST /portfolio/events/orders/o/amend",
    "POST /portfolio/%65vents/orders",
    "PUT /portfolio/order_groups/g/reset",
    "PUT /portfolio/order_groups/g/limit",
    "POST /communications/rfqs",
    "PUT /communications/rfqs/r/quotes/q/accept",
    "POST /something/new",
)


@pytest.mark.parametrize("line", [*ALLOWED, *STOPPED])
def test_a_halt_stops_what_could_trade_and_nothing_else(world: Simulation, line: str) -> None:
    def refuse(_reviewed: object) -> None:
        raise HaltedError("trading is halted")

    client = world.connect(before_create=refuse)
    world.wire.before = lambda _: httpx.Response(200, content=msgspec.json.encode({}))
    method, path = line.split()
    if line in ALLOWED:
        raw_calls.call(client, method, path, {})
        assert len(world.wire.sent) == 1
        return
    with pytest.raises(RefusedError) as caught:
        raw_calls.call(client, method, path, {})
    assert (caught.value.code, caught.value.exit_code) == ("HALTED", 3)
    assert world.wire.sent == []


# -- the route that is judged is the one that is reached ----------------------------------------------------------

LEADS_ELSEWHERE = (
    "/account/%2e%2e/portfolio/events/orders",
    "/account/%2E./portfolio/events/orders",
    "/account/..%2fportfolio/events/orders",
    "/account/%2f..%2Fportfolio/events/orders",
    "/account/%5c..%5cportfolio/events/orders",
    "/account/%252e%252e/portfolio/events/orders",
    "/account/%25%32%65/portfolio/events/orders",
    "/account/../portfolio/events/orders",
    "/account/./../portfolio",
    "/account//portfolio/events/orders",
    "/account/\\portfolio",
    "/account/x%00/y",
    "/account/x%0d%0aHost:evil/y",
    "/account/x%1b/y",
    "/account/x%7f",
    "/account/x%3b..",
    "/account/x%3fy",
    "/account/x%23y",
    "/account/x%e2%80%ae",
    "/account/x%20y",
    "/account/x%",
    "/account/x%4",
    "/account/x%zz",
    "/account/x%u002e",
    "/account/x\x00y",
    "/account/x\ny",
    "/account/x\x85y",
    "/account/x．．",
)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize("path", LEADS_ELSEWHERE)
def test_a_path_that_a_server_may_read_otherwise_is_refused(world: Simulation, method: str, path: str) -> None:
    before = len(world.wire.sent)
    for root in ("", "/trade-api/v2"):
        with pytest.raises(UsageError):
            raw_calls.call(world.client, method, root + path, {})
    assert len(world.wire.sent) == before


def test_an_encoded_letter_is_sent_as_the_letter_that_was_judged(world: Simulation) -> None:
    reached: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        reached.append(request.url.raw_path)
        return httpx.Response(200, content=b"{}")

    world.wire.before = answer
    raw_calls.call(world.client, "GET", "/%70ortfolio/%7e%2Dorders", {})
    raw_calls.call(world.client, "GET", "/%74rade-api/v2/portfolio/orders", {})
    assert reached == [b"/trade-api/v2/portfolio/~-orders", b"/trade-api/v2/portfolio/orders"]
