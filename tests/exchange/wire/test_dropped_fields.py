"""F52: every field of every reply about money is dropped, nulled and renamed in turn; nothing is ever guessed.

What is left after a drop is the same value, because nobody reads that field, or one typed error. Where a missing field
has a meaning of its own, it is listed here with that meaning.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.simulation import OTHER, TICKER, Simulation, ticket

from kalshi_cli.base.errors import KalshiError, OutcomeUnknownError
from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.values import ResponseFormatError

Read = Callable[[KalshiClient], Any]


def traded_on(market: Market) -> tuple[Any, ...]:
    """Of a market, what an order depends on; titles and rules are for people."""
    return (
        market.ticker, market.status, market.grid, market.yes_bid, market.yes_ask, market.last, market.open_time,
        market.close_time, market.exchange_index, market.settlement_value,
    )  # fmt: skip


READS: dict[str, tuple[Read, tuple[str, ...]]] = {
    "/portfolio/orders": (lambda client: list(client.orders()), ("orders", "0")),
    "/portfolio/fills": (lambda client: list(client.fills()), ("fills", "0")),
    "/portfolio/positions": (lambda client: list(client.positions()), ("market_positions", "0")),
    "/portfolio/settlements": (lambda client: list(client.settlements()), ("settlements", "0")),
    "/portfolio/balance": (lambda client: client.balance(), ()),
    "/exchange/user_data_timestamp": (lambda client: client.user_data_timestamp(), ()),
    "/exchange/status": (lambda client: client.exchange_status(), ()),
    f"/markets/{TICKER}": (lambda client: traded_on(client.market(TICKER)), ("market",)),
}

HAS_A_MEANING = {
    "/portfolio/orders": {
        "expiration_time": "good till cancelled",
        "order_group_id": "in no group",
        "subaccount_number": "the primary one",
        "exchange_index": "the first shard",
        "self_trade_prevention_type": "not said",
        "cancel_order_on_pause": "no",
        "created_time": "not said: that of the last change stands in",
        "last_update_time": "not said: that of its making stands in",
    },
    "/portfolio/fills": {"subaccount_number": "the primary one"},
    "/portfolio/balance": {"balance_breakdown": "not said"},
    f"/markets/{TICKER}": {"exchange_index": "the first shard"},
    "/exchange/status": {
        "exchange_estimated_resume_time": "not said",
        "intra_exchange_transfers_active": "not said",
        "exchange_index_statuses": "one shard",
    },
}
"""Optional in the published specification, each with what its absence says."""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulation]:
    """An account with a resting order in a group's stead, fills, a position, and a settlement."""
    made = Simulation(Path(tmp_path_factory.mktemp("dropped")))
    for ticker in (TICKER, OTHER):
        made.market(39, 44, ticker=ticker)
        made.place(ticker=ticker, price=cents(44), qty=contracts(3))
    made.exchange.settle(OTHER, cents(30), made.clock.now())
    made.clock.advance(7_200)
    made.exchange.advance(made.clock.now())
    made.place(price=cents(38), qty=contracts(10), expires_in_s=3_600)
    made.take(ASK, 38, 4)
    yield made
    made.close()


def bodies(one: Simulation, path: str) -> Any:
    """What the exchange answers there, as it is."""
    found: list[Any] = []

    def listen(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith(path):
            return None
        response = one.checked.handle_request(request)
        found.append(json.loads(response.read()))
        return httpx.Response(response.status_code, json=found[-1])

    one.wire.before = listen
    READS[path][0](one.client)
    one.wire.before = lambda _: None
    return found[0]


def item_of(body: Any, where: tuple[str, ...]) -> Any:
    for step in where:
        body = body[int(step)] if step.isdigit() else body[step]
    return body


def answer(one: Simulation, path: str, body: Any) -> Any:
    """What the client makes of this body; a typed error is an answer too."""
    one.wire.before = lambda request: httpx.Response(200, json=body) if request.url.path.endswith(path) else None
    try:
        return READS[path][0](one.client)
    except ResponseFormatError as error:
        return error
    finally:
        one.wire.before = lambda _: None


def changed(one: Simulation, path: str, change: Callable[[Any, str], None]) -> dict[str, Any]:
    """Field -> what came of it, for each field of the item whose change had any effect."""
    where = READS[path][1]
    whole = bodies(one, path)
    as_it_is = answer(one, path, whole)
    assert not isinstance(as_it_is, KalshiError)
    found = {}
    for field in item_of(whole, where):
        body = json.loads(json.dumps(whole))
        change(item_of(body, where), field)
        outcome = answer(one, path, body)
        if isinstance(outcome, ResponseFormatError) or outcome != as_it_is:
            found[field] = outcome
    return found


def drop(item: Any, field: str) -> None:
    del item[field]


def null(item: Any, field: str) -> None:
    item[field] = None


@pytest.mark.parametrize("change", [drop, null])
@pytest.mark.parametrize("path", READS)
def test_without_a_field_of_money_there_is_an_error_and_no_guess(
    one: Simulation, path: str, change: Callable[[Any, str], None]
) -> None:
    found = changed(one, path, change)
    guessed = {field for field, outcome in found.items() if not isinstance(outcome, ResponseFormatError)}
    assert guessed <= HAS_A_MEANING.get(path, {}).keys()
    refused = found.keys() - guessed
    assert refused, "some field is needed"
    for field in refused & {"client_order_id", "yes_price_dollars", "fill_count_fp", "position_fp", "balance_dollars"}:
        assert field in str(found[field]) or change is null


def test_what_money_depends_on_is_among_the_fields_that_are_needed(one: Simulation) -> None:
    """The companion: were nothing read, nothing could be missing."""
    needed = {path: changed(one, path, drop).keys() for path in READS}
    assert needed["/portfolio/orders"] >= {
        "order_id", "client_order_id", "ticker", "status", "yes_price_dollars", "initial_count_fp", "fill_count_fp",
        "remaining_count_fp", "taker_fees_dollars", "maker_fees_dollars", "taker_fill_cost_dollars",
        "maker_fill_cost_dollars",
    }  # fmt: skip
    assert needed["/portfolio/fills"] >= {
        "trade_id", "order_id", "ticker", "count_fp", "yes_price_dollars", "is_taker", "fee_cost", "created_time",
    }  # fmt: skip
    assert needed["/portfolio/positions"] >= {"ticker", "position_fp", "fees_paid_dollars"}
    assert needed["/portfolio/settlements"] >= {"ticker", "market_result", "revenue", "settled_time", "value"}
    assert needed["/portfolio/balance"] >= {"balance_dollars"}
    assert needed["/exchange/user_data_timestamp"] == {"as_of_time"}


@pytest.mark.parametrize("path", READS)
def test_a_word_of_tomorrow_is_unknown_or_an_error_and_never_a_crash(one: Simulation, path: str) -> None:
    def rename(item: Any, field: str) -> None:
        if isinstance(item[field], str):
            item[field] = "of_tomorrow"

    for field, outcome in changed(one, path, rename).items():
        if field == "status" and path == "/portfolio/orders":
            assert outcome[0].status is OrderStatus.UNKNOWN
            assert outcome[0].status.is_live, "which counts"


@pytest.mark.parametrize("field", ["order_id", "fill_count", "remaining_count", "ts_ms"])
def test_a_reply_to_a_create_that_lacks_a_field_leaves_the_outcome_open(one: Simulation, field: str) -> None:
    desk = one.desk()
    _, proposal = desk.propose(ticket(price=cents(20), client_order_id=f"lacks-{field}"))

    def cut(request: httpx.Request) -> httpx.Response | None:
        if request.method != "POST":
            return None
        body = json.loads(one.checked.handle_request(request).read())
        del body[field]
        return httpx.Response(201, json=body)

    one.wire.before = cut
    try:
        with pytest.raises(OutcomeUnknownError):
            one.client.create_order(proposal.submit.order)
    finally:
        one.wire.before = lambda _: None
    found = [order for order in one.client.orders(min_ts=Ts(0)) if order.client_order_id == f"lacks-{field}"]
    assert len(found) == 1, "and it is there"
