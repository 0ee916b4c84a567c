"""Money is never moved twice: lost requests, lost replies, repeated ids, and what is said where nobody knows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.simulation import T0, Simulation

from kalshi_cli.base.errors import ExchangeError, OutcomeUnknownError, RefusedError, UnreachableError, UsageError
from kalshi_cli.base.units import Money, Ts, dollars
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.services.account import cash
from kalshi_cli.simulator.model.listing import EventSpec, ExchangeOptions, MarketSpec
from kalshi_cli.views.cash import BalanceView

OURS = "11111111-2222-4333-8444-555555555555"
OTHER_ID = "11111111-2222-4333-8444-666666666666"
OPTIONS = ExchangeOptions(read_rate=0, write_rate=0, shards=4, subaccounts_need_advanced=False)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Simulation]:
    made = Simulation(tmp_path, options=OPTIONS)
    yield made
    made.close()


def move(**changes: Any) -> cash.ShardMove:
    fields: dict[str, Any] = {"amount": dollars(25), "from_shard": 0, "to_shard": 2, "client_transfer_id": OURS}
    return cash.ShardMove(**(fields | changes))


def is_transfer(request: httpx.Request) -> bool:
    return request.method == "POST" and "transfer" in request.url.path


def lose_reply(request: httpx.Request) -> None:
    if is_transfer(request):
        raise httpx.ReadError("the connection dropped")


def lose_request(request: httpx.Request) -> httpx.Response | None:
    if is_transfer(request):
        raise httpx.ReadTimeout("no answer")
    return None


def never_connect(request: httpx.Request) -> httpx.Response | None:
    if is_transfer(request):
        raise httpx.ConnectError("refused")
    return None


def on_shard_2(world: Simulation) -> int:
    world.clock.advance(1)
    world.exchange.advance(world.clock.now())
    return world.exchange.cash("alice", 0, 2)


# -- between shards -----------------------------------------------------------------------------------------------


def test_a_transfer_is_sent_once_and_watched_until_it_is_complete(world: Simulation) -> None:
    done = cash.transfer(world.client, world.clock, move())
    assert (done.status, done.amount, done.from_shard, done.to_shard) == ("complete", dollars(25), 0, 2)
    assert world.wire.posts() == 1
    assert on_shard_2(world) == dollars(25)


def test_a_transfer_that_takes_long_is_shown_as_pending(tmp_path: Path) -> None:
    world = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, shards=4, transfer_ms=60_000))
    assert cash.transfer(world.client, world.clock, move()).status == "pending"
    world.close()


def test_a_lost_reply_is_found_in_the_list_and_nothing_is_sent_again(world: Simulation) -> None:
    world.wire.after = lose_reply
    done = cash.transfer(world.client, world.clock, move())
    assert (done.status, done.amount) == ("complete", dollars(25))
    assert world.wire.posts() == 1
    assert on_shard_2(world) == dollars(25)


def test_a_lost_request_ends_in_doubt_and_names_the_way_out(world: Simulation) -> None:
    world.wire.before = lose_request
    with pytest.raises(OutcomeUnknownError) as caught:
        cash.transfer(world.client, world.clock, move())
    assert caught.value.exit_code == 7
    assert "kalshi transfer list" in caught.value.hint
    assert f"--client-transfer-id {OURS}" in caught.value.hint
    assert world.wire.posts() == 1, "sent once"
    assert world.clock.now() >= T0 + 10_000, "and looked for"


@pytest.mark.parametrize("fault", [lose_request, lose_reply], ids=["the first never arrived", "the first did"])
def test_sent_again_under_the_same_id_the_money_moves_once(world: Simulation, fault: Any) -> None:
    world.wire.before, world.wire.after = (fault, lambda _: None) if fault is lose_request else (lambda _: None, fault)
    if fault is lose_request:
        with pytest.raises(OutcomeUnknownError):
            cash.transfer(world.client, world.clock, move())
    else:
        cash.transfer(world.client, world.clock, move())
    world.wire.before, world.wire.after = lambda _: None, lambda _: None
    cash.transfer(world.client, world.clock, move())
    assert on_shard_2(world) == dollars(25)


def test_two_ids_move_it_twice(world: Simulation) -> None:
    cash.transfer(world.client, world.clock, move())
    cash.transfer(world.client, world.clock, move(client_transfer_id=OTHER_ID))
    assert on_shard_2(world) == dollars(50)


def test_a_transfer_of_before_is_not_taken_for_the_lost_one(world: Simulation) -> None:
    cash.transfer(world.client, world.clock, move(client_transfer_id=OTHER_ID))
    world.wire.before = lose_request
    with pytest.raises(OutcomeUnknownError):
        cash.transfer(world.client, world.clock, move())


def test_between_numbered_subaccounts_no_id_is_promised(world: Simulation) -> None:
    world.exchange.add_subaccount("alice")
    world.wire.before = lose_request
    with pytest.raises(OutcomeUnknownError) as caught:
        cash.transfer(world.client, world.clock, move(to_subaccount=1))
    assert "client-transfer-id" not in caught.value.hint


def test_a_transfer_that_never_left_is_no_doubt(world: Simulation) -> None:
    world.wire.before = never_connect
    with pytest.raises(UnreachableError):
        cash.transfer(world.client, world.clock, move())


def test_nothing_is_sent_where_the_transfers_of_before_cannot_be_read(world: Simulation) -> None:
    def fail(request: httpx.Request) -> httpx.Response | None:
        if request.method == "GET":
            raise httpx.ReadTimeout("no answer")
        return None

    world.wire.before = fail
    with pytest.raises(UnreachableError):
        cash.transfer(world.client, world.clock, move())
    assert world.wire.posts() == 0


def test_money_that_is_not_there_is_refused_with_the_way_to_look(world: Simulation) -> None:
    with pytest.raises(ExchangeError) as caught:
        cash.transfer(world.client, world.clock, move(amount=dollars(10_001)))
    assert caught.value.code == "insufficient_balance"
    assert "kalshi balance" in caught.value.hint


def test_money_is_not_moved_to_where_it_is() -> None:
    with pytest.raises(UsageError):
        move(to_shard=0)
    with pytest.raises(UsageError) as caught:
        move(to_shard=0, to_subaccount=1)
    assert "kalshi subaccounts transfer --from 0 --to 1 --exchange-index 0 --amount 25.00" in caught.value.hint


def test_the_facts_say_what_lies_there_now(world: Simulation) -> None:
    assert cash.describe_transfer(world.client, move()) == [
        "move $25.00 from shard 0 to shard 2",
        "available: shard 0 $10,000.00, shard 2 $0.00",
    ]


# -- between subaccounts ------------------------------------------------------------------------------------------


def to_first(world: Simulation, transfer_id: str = OURS) -> bool:
    return world.client.transfer_to_subaccount(
        dollars(5), client_transfer_id=transfer_id, from_subaccount=0, to_subaccount=1
    )


def test_a_transfer_between_subaccounts_goes_again_under_its_id_and_is_applied_once(world: Simulation) -> None:
    world.exchange.add_subaccount("alice")
    faults = iter([lose_reply])
    world.wire.after = lambda request: next(faults, lambda _: None)(request) if is_transfer(request) else None
    assert to_first(world) is False, "the second attempt is told that the first was applied"
    assert world.wire.posts() == 2
    assert world.exchange.cash("alice", 1) == dollars(5)


def test_an_id_that_was_used_before_moves_nothing(world: Simulation) -> None:
    world.exchange.add_subaccount("alice")
    assert [to_first(world), to_first(world)] == [True, False]
    assert world.exchange.cash("alice", 1) == dollars(5)
    assert to_first(world, OTHER_ID) is True
    assert world.exchange.cash("alice", 1) == dollars(10)


def test_a_conflict_that_is_none_of_the_id_is_a_refusal(world: Simulation) -> None:
    def paused(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(409, json={"error": {"code": "exchange_is_paused", "message": "paused"}})

    world.exchange.add_subaccount("alice")
    world.wire.before = paused
    with pytest.raises(ExchangeError) as caught:
        to_first(world)
    assert caught.value.code == "exchange_is_paused"


@pytest.mark.parametrize("body", [b"<html>hello</html>", b'"ok"'], ids=["a page", "a word"])
def test_an_answer_that_says_nothing_is_a_doubt(world: Simulation, body: bytes) -> None:
    world.exchange.add_subaccount("alice")
    world.wire.before = lambda _: httpx.Response(200, content=body)
    with pytest.raises(OutcomeUnknownError) as caught:
        to_first(world)
    assert OURS in caught.value.hint


def test_an_answer_without_an_id_is_a_doubt(world: Simulation) -> None:
    def nameless(request: httpx.Request) -> httpx.Response | None:
        return httpx.Response(200, json={}) if is_transfer(request) and request.method == "POST" else None

    world.wire.before = nameless
    with pytest.raises(OutcomeUnknownError):
        cash.transfer(world.client, world.clock, move())
    world.wire.before = lambda request: httpx.Response(201, json={}) if request.method == "POST" else None
    with pytest.raises(OutcomeUnknownError, match="the new subaccount"):
        world.client.create_subaccount()


# -- the rest -----------------------------------------------------------------------------------------------------


def cash_by_shard(found: BalanceView) -> dict[int, Money]:
    return {row.exchange_index: row.cash for row in found.shards}


def test_a_balance_shows_what_lies_where(world: Simulation) -> None:
    cash.transfer(world.client, world.clock, move())
    world.exchange.add_subaccount("alice")
    to_first(world)
    held = cash.balance(world.client, world.clock, None)
    assert cash_by_shard(held) == {0: dollars(9_970), 1: 0, 2: dollars(25), 3: 0}
    assert held.resting_value is not None
    first = cash.balance(world.client, world.clock, 1)
    assert cash_by_shard(first) == {0: dollars(5), 1: 0, 2: 0, 3: 0}
    assert first.resting_value is None, "the exchange tells it of all subaccounts together"


def test_only_orders_that_open_a_position_reserve_cash(sim: Simulation) -> None:
    sim.quote(ASK, 44, 10)
    sim.quote(BID, 44, 10, who="alice")
    sim.quote(ASK, 70, 10, who="alice")
    closes = cash.balance(sim.client, sim.clock, None)
    assert (closes.reserved, closes.available) == (0, closes.cash)
    sim.quote(ASK, 80, 5, who="alice")
    sim.quote(BID, 10, 10, who="alice")
    opens = cash.balance(sim.client, sim.clock, None)
    assert (opens.reserved, opens.available) == (dollars(2), closes.cash - dollars(2)), "5 NO at $0.20, 10 YES at $0.10"


def test_an_account_that_may_not_ask_for_the_resting_value_still_has_a_balance(world: Simulation) -> None:
    def forbidden(request: httpx.Request) -> httpx.Response | None:
        refused = {"error": {"code": "forbidden", "message": "FCM members only"}}
        return httpx.Response(403, json=refused) if "summary" in request.url.path else None

    world.wire.before = forbidden
    held = cash.balance(world.client, world.clock, None)
    assert (held.cash, held.resting_value) == (dollars(10_000), None)


def test_the_time_of_a_balance_is_that_of_its_reading(world: Simulation) -> None:
    before = cash.balance(world.client, world.clock, None).as_of
    world.clock.advance(140)
    after = cash.balance(world.client, world.clock, None).as_of
    assert after - before >= 140_000, "not that of the last change of the account"


@pytest.mark.parametrize(
    ("typed", "off"),
    [
        ([], False),
        (["0=100"], True),
        (["0=60"], False),
        (["0=60", "0=40"], False),
        (["0:100"], False),
        (["x=1"], False),
    ],
    ids=str,
)
def test_an_allocation_that_cannot_be_meant_is_refused(typed: list[str], off: bool) -> None:
    with pytest.raises(UsageError):
        cash.wanted_allocation(typed, "", off=off)


def test_an_allocation_reads_as_it_was_typed(world: Simulation) -> None:
    wanted = cash.wanted_allocation(["0=60", "2=40"], "max", off=False)
    world.client.set_allocation(wanted.shares, wanted.reservation)
    assert world.client.allocation() == wanted
    world.client.set_allocation(cash.wanted_allocation([], "", off=True).shares)
    assert world.client.allocation().shares == {}


def test_an_order_without_money_on_its_shard_names_the_shard_and_the_way_to_move_money(world: Simulation) -> None:
    """RELIABILITY F50."""
    name = "KXSHARD-26JUN-T1"
    world.exchange.list_event(EventSpec(event_ticker="KXSHARD-26JUN", series_ticker="KXSIM", title="On shard 2"), T0)
    spec = MarketSpec(
        ticker=name,
        event_ticker="KXSHARD-26JUN",
        title="Above 1?",
        open_time=T0,
        close_time=Ts(T0 + 86_400_000),
        exchange_index=2,
    )
    world.exchange.list_market(spec, T0)
    with pytest.raises(ExchangeError) as caught:
        world.place(ticker=name)
    assert caught.value.code == "insufficient_balance"
    assert "shard 2" in caught.value.hint
    assert "kalshi transfer --from 0 --to 2 --amount" in caught.value.hint
    cash.transfer(world.client, world.clock, move())
    assert world.place(ticker=name).order_id


def test_reading_only_moves_no_money(world: Simulation) -> None:
    reader = world.connect(is_read_only=True)
    writes = (
        lambda: cash.transfer(reader, world.clock, move()),
        lambda: reader.transfer_to_subaccount(dollars(1), client_transfer_id=OURS, from_subaccount=0, to_subaccount=1),
        lambda: reader.create_subaccount(),
        lambda: reader.set_netting(0, enabled=False),
        lambda: reader.set_allocation({0: 100}),
        lambda: reader.upgrade_tier(),
    )
    for write in writes:
        with pytest.raises(RefusedError):
            write()
    assert all(method == "GET" for method, _ in world.wire.sent)
