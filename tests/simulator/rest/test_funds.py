"""The money routes of the simulated exchange: what moves arrives once and nothing is lost on the way.

Every answer is checked against the specification by the caller.
"""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exchange import T0, TICKER, Caller, make_exchange, new_ids, order, quote

from kalshi_cli.base.units import Money, Ts, dollars
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.journal import MemoryJournal
from kalshi_cli.simulator.model.listing import ExchangeOptions, OrderReceipt
from kalshi_cli.simulator.protocol.replies import RejectionError

BETWEEN = "/portfolio/intra_exchange_instance_transfer"
ALLOCATION = "/portfolio/target_balance_allocation"
FREE = {"read_rate": 0, "write_rate": 0}


def exchange_of(shards: int = 4, journal: MemoryJournal | None = None, **changes: Any) -> SimulatedExchange:
    options = ExchangeOptions(**{**FREE, "shards": shards, "subaccounts_need_advanced": False, **changes})
    return make_exchange(options, journal)


def uid(number: int = 1) -> str:
    return str(uuid.UUID(int=number))


def shards(call: Caller, **query: Any) -> dict[int, str]:
    found = call.get("/portfolio/balance", **query)["balance_breakdown"]
    return {one["exchange_index"]: one["balance"] for one in found}


def between(call: Caller, source: int, target: int, centi_cents: int, **more: Any) -> tuple[int, Any]:
    body = {
        "source": "event_contract",
        "destination": "event_contract",
        "amount": centi_cents,
        "source_exchange_shard": source,
        "destination_exchange_shard": target,
    }
    return call("POST", BETWEEN, body | more)


def to_subaccount(call: Caller, source: int, target: int, cents: int, transfer_id: str, **more: Any) -> tuple[int, Any]:
    body = {
        "client_transfer_id": transfer_id,
        "from_subaccount": source,
        "to_subaccount": target,
        "amount_cents": cents,
    }
    return call("POST", "/portfolio/subaccounts/transfer", body | more)


def later(call: Caller, ms: int) -> None:
    call.now = Ts(call.now + ms)
    call.exchange.advance(call.now)


# -- between shards -----------------------------------------------------------------------------------------------


def test_a_transfer_between_shards_is_accepted_first_and_done_a_moment_later() -> None:
    alice = Caller(exchange_of())
    status, body = between(alice, 0, 2, 250_000)
    assert status == 200
    assert alice.get(f"{BETWEEN}s/{body['transfer_id']}")["transfer"] == {
        "transfer_id": body["transfer_id"],
        "source": "event_contract",
        "destination": "event_contract",
        "source_exchange_shard": 0,
        "destination_exchange_shard": 2,
        "amount": "25.0000",
        "status": "pending",
        "created_ts": T0 // 1000,
    }
    assert shards(alice) == {0: "1000.0000", 1: "0.0000", 2: "0.0000", 3: "0.0000"}
    later(alice, 250)
    assert alice.get(f"{BETWEEN}s")["transfers"][0]["status"] == "complete"
    assert shards(alice) == {0: "975.0000", 1: "0.0000", 2: "25.0000", 3: "0.0000"}


def test_what_is_on_its_way_cannot_be_spent_or_sent_again() -> None:
    exchange = exchange_of()
    alice = Caller(exchange)
    assert between(alice, 0, 2, 9_000_000)[0] == 200
    assert between(alice, 0, 3, 9_000_000)[1]["error"]["code"] == "insufficient_balance"
    status, body = alice.place("bid", "0.50", "300")
    assert (status, body["error"]["code"]) == (400, "insufficient_balance")
    assert alice.place("bid", "0.50", "150")[0] == 201, "what is left can be"


def test_what_resting_orders_need_stays_where_it_is() -> None:
    alice = Caller(exchange_of())
    alice.place("bid", "0.50", "1900")
    assert between(alice, 0, 1, 1_000_000)[1]["error"]["code"] == "insufficient_balance"
    assert between(alice, 0, 1, 100_000)[0] == 200


def test_a_repeated_id_stands_for_the_same_transfer_and_moves_the_money_once() -> None:
    alice = Caller(exchange_of())
    first = between(alice, 0, 1, 10_000, client_transfer_id=uid())
    assert between(alice, 0, 1, 10_000, client_transfer_id=uid()) == first
    later(alice, 1_000)
    assert between(alice, 0, 1, 10_000, client_transfer_id=uid()) == first, "also when it is complete"
    assert between(alice, 0, 1, 20_000, client_transfer_id=uid())[0] == 409, "the id is not for another amount"
    later(alice, 1_000)
    assert shards(alice)[1] == "1.0000"
    between(alice, 0, 1, 10_000)
    between(alice, 0, 1, 10_000)
    later(alice, 1_000)
    assert shards(alice)[1] == "3.0000", "without an id each one is one"


def test_the_exchange_can_also_answer_a_repeated_id_with_a_conflict() -> None:
    alice = Caller(exchange_of(repeated_transfer="conflict", transfer_ms=0))
    assert between(alice, 0, 1, 10_000, client_transfer_id=uid())[0] == 200
    assert between(alice, 0, 1, 10_000, client_transfer_id=uid())[0] == 409
    assert shards(alice)[1] == "1.0000"


REFUSED = {
    "nothing": {"amount": 0},
    "less than nothing": {"amount": -5},
    "a fraction": {"amount": 1.5},
    "text": {"amount": "5"},
    "to where it is": {"destination_exchange_shard": 0},
    "to no shard": {"destination_exchange_shard": 4},
    "from no shard": {"source_exchange_shard": 101},
    "to no subaccount": {"destination_subaccount": 1},
    "to subaccount 64": {"destination_subaccount": 64},
    "to the margined exchange": {"destination": "margined"},
    "to another exchange": {"destination": "elsewhere"},
    "under an id that is none": {"client_transfer_id": "mine"},
    "more than there is": {"amount": 10_000_001},
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_transfer_that_cannot_be_is_refused_and_moves_nothing(what: str) -> None:
    alice = Caller(exchange_of())
    changes = {"source_exchange_shard": 0, "destination_exchange_shard": 1, "amount": 10_000} | REFUSED[what]  # type: ignore[operator]
    status, _ = alice("POST", BETWEEN, {"source": "event_contract", "destination": "event_contract"} | changes)
    assert status == 400
    later(alice, 1_000)
    assert shards(alice) == {0: "1000.0000", 1: "0.0000", 2: "0.0000", 3: "0.0000"}
    assert alice.get(f"{BETWEEN}s")["transfers"] == []


def test_an_id_is_for_primary_accounts_only() -> None:
    exchange = exchange_of(transfer_ms=0)
    alice = Caller(exchange)
    exchange.add_subaccount("alice")
    named = {"destination_subaccount": 1}
    assert between(alice, 0, 1, 10_000, client_transfer_id=uid(), **named)[0] == 400
    assert between(alice, 0, 1, 10_000, **named)[0] == 200
    assert shards(alice, subaccount=1)[1] == "1.0000"


def test_an_unknown_transfer_and_a_transfer_of_another_account_are_not_found() -> None:
    exchange = exchange_of()
    transfer_id = between(Caller(exchange), 0, 1, 10_000)[1]["transfer_id"]
    for who, name in (("alice", "nothing"), ("bob", transfer_id)):
        assert Caller(exchange, who)("GET", f"{BETWEEN}s/{name}")[0] == 404


def test_nothing_moves_while_the_exchange_is_paused() -> None:
    exchange = exchange_of()
    exchange.pause("exchange", T0)
    assert between(Caller(exchange), 0, 1, 10_000)[1]["error"]["code"] == "exchange_is_paused"


def test_a_transfer_on_its_way_survives_the_end_of_the_process() -> None:
    journal = MemoryJournal()
    exchange = exchange_of(journal=journal)
    transfer_id = between(Caller(exchange), 0, 2, 9_000_000)[1]["transfer_id"]
    ids = new_ids(9_000)
    again = SimulatedExchange(new_id=lambda: next(ids), options=exchange.options, journal=journal)
    assert again.restore()
    alice = Caller(again)
    assert alice.place("bid", "0.50", "300")[1]["error"]["code"] == "insufficient_balance", "it is still held back"
    later(alice, 250)
    assert alice.get(f"{BETWEEN}s/{transfer_id}")["transfer"]["status"] == "complete"
    assert shards(alice)[2] == "900.0000"
    assert [one["amount_cents"] for one in alice.get("/portfolio/deposits")["deposits"]] == [100_000]


# -- between subaccounts ------------------------------------------------------------------------------------------


def test_subaccounts_are_numbered_and_have_a_balance_on_every_shard() -> None:
    alice = Caller(exchange_of(2))
    assert alice("POST", "/portfolio/subaccounts", {}) == (201, {"subaccount_number": 1})
    assert alice("POST", "/portfolio/subaccounts", {"exchange_index": 1}) == (201, {"subaccount_number": 2})
    assert alice("POST", "/portfolio/subaccounts", {"exchange_index": 2})[0] == 400
    found = alice.get("/portfolio/subaccounts/balances")["subaccount_balances"]
    assert [(one["subaccount_number"], one["exchange_index"], one["balance"]) for one in found] == [
        (0, 0, "1000.0000"),
        (0, 1, "0.0000"),
        (1, 0, "0.0000"),
        (1, 1, "0.0000"),
        (2, 0, "0.0000"),
        (2, 1, "0.0000"),
    ]


def test_there_are_sixty_three_subaccounts_at_most() -> None:
    alice = Caller(exchange_of())
    numbers = [alice("POST", "/portfolio/subaccounts", {})[1]["subaccount_number"] for _ in range(63)]
    assert numbers == list(range(1, 64))
    assert alice("POST", "/portfolio/subaccounts", {})[0] == 400


def test_a_transfer_between_subaccounts_is_done_at_once_and_an_id_that_comes_again_is_a_conflict() -> None:
    exchange = exchange_of()
    exchange.add_subaccount("alice")
    alice = Caller(exchange)
    assert to_subaccount(alice, 0, 1, 500, uid()) == (200, {})
    assert to_subaccount(alice, 0, 1, 500, uid())[0] == 409
    assert to_subaccount(alice, 1, 0, 100, uid())[0] == 409, "whatever is asked under it"
    assert exchange.cash("alice", 1) == dollars(5)
    assert to_subaccount(alice, 0, 1, 500, uid(2))[0] == 200
    assert exchange.cash("alice", 1) == dollars(10)
    assert [one["amount_cents"] for one in alice.get("/portfolio/subaccounts/transfers")["transfers"]] == [500, 500]
    assert alice.get(f"{BETWEEN}s")["transfers"] == [], "these are not transfers between shards"


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_cents": 0},
        {"amount_cents": -1},
        {"amount_cents": 100_001},
        {"amount_cents": "5"},
        {"to_subaccount": 0},
        {"to_subaccount": 2},
        {"to_subaccount": 64},
        {"exchange_index": 1, "amount_cents": 1},
        {"exchange_index": 9},
        {"client_transfer_id": "mine"},
        {"client_transfer_id": None},
    ],
    ids=str,
)
def test_a_transfer_between_subaccounts_that_cannot_be_is_refused(changes: dict[str, Any]) -> None:
    exchange = exchange_of()
    exchange.add_subaccount("alice")
    body = {"client_transfer_id": uid(), "from_subaccount": 0, "to_subaccount": 1, "amount_cents": 100} | changes
    assert Caller(exchange)("POST", "/portfolio/subaccounts/transfer", body)[0] == 400
    assert exchange.cash("alice", 0) == dollars(1000)


def test_netting_is_kept_for_each_subaccount() -> None:
    exchange = exchange_of(1)
    exchange.add_subaccount("alice")
    alice = Caller(exchange)
    assert alice("PUT", "/portfolio/subaccounts/netting", {"subaccount_number": 1, "enabled": False}) == (200, None)
    found = alice.get("/portfolio/subaccounts/netting")["netting_configs"]
    assert [(one["subaccount_number"], one["enabled"]) for one in found] == [(0, True), (1, False)]
    assert alice("PUT", "/portfolio/subaccounts/netting", {"subaccount_number": 2, "enabled": True})[0] == 400
    assert alice("PUT", "/portfolio/subaccounts/netting", {"subaccount_number": 1, "enabled": True})[0] == 200
    found = alice.get("/portfolio/subaccounts/netting")["netting_configs"]
    assert all(one["enabled"] for one in found)


# -- nothing is lost ----------------------------------------------------------------------------------------------

MOVES = st.tuples(
    st.sampled_from(["shards", "subaccounts", "wait", "trade"]),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(0, 2),
    st.integers(1, 60_000),
)


@settings(max_examples=40, deadline=None)
@given(moves=st.lists(MOVES, min_size=1, max_size=25))
def test_whatever_moves_the_money_of_an_account_stays_the_same(moves: list[tuple[str, int, int, int, int]]) -> None:
    exchange = exchange_of(3)
    for _ in range(2):
        exchange.add_subaccount("alice")
    alice = Caller(exchange)
    for number, (kind, one, two, where, cents) in enumerate(moves):
        if kind == "shards":
            pockets = {"source_subaccount": where, "destination_subaccount": two}
            between(alice, one, two, cents * 100, **pockets)
        elif kind == "subaccounts":
            to_subaccount(alice, one, two, cents, uid(number + 1), exchange_index=where)
        elif kind == "trade":
            alice.place("bid", "0.10", str(cents // 100 + 1), subaccount=where)
        else:
            later(alice, cents)
        assert exchange.cash("alice") == dollars(1000), "what rests and what is on its way is still there"
        theirs = exchange.subaccounts("alice")
        assert all(exchange.cash("alice", pocket, shard) >= 0 for pocket in theirs for shard in range(3))


def test_the_property_above_does_move_money() -> None:
    exchange = exchange_of(3)
    exchange.add_subaccount("alice")
    alice = Caller(exchange)
    between(alice, 0, 1, 100 * 100, destination_subaccount=1)
    to_subaccount(alice, 0, 1, 200, uid(), exchange_index=0)
    later(alice, 250)
    assert (exchange.cash("alice", 1, 1), exchange.cash("alice", 1, 0)) == (dollars(1), dollars(2))


# -- the target allocation ----------------------------------------------------------------------------------------


def test_free_cash_is_spread_as_the_allocation_says_every_ten_seconds() -> None:
    alice = Caller(exchange_of(3))
    assert alice.get(ALLOCATION) == {"allocations": [], "resting_margin_reservation": "sum"}
    shares = [{"exchange_index": 0, "percent": 60}, {"exchange_index": 2, "percent": 40}]
    assert alice("POST", ALLOCATION, {"allocations": shares}) == (200, {})
    assert alice.get(ALLOCATION) == {"allocations": shares, "resting_margin_reservation": "sum"}
    later(alice, 10_000)
    assert shards(alice) == {0: "600.0000", 1: "0.0000", 2: "400.0000"}
    between(alice, 0, 1, 1_000_000)
    later(alice, 250)
    assert shards(alice)[1] == "100.0000"
    later(alice, 10_000)
    assert shards(alice) == {0: "600.0000", 1: "0.0000", 2: "400.0000"}, "what was moved away comes back"
    assert alice("POST", ALLOCATION, {"allocations": []})[0] == 200
    between(alice, 0, 1, 1_000_000)
    later(alice, 30_000)
    assert shards(alice)[1] == "100.0000", "no shares, no sweep"


def test_the_sweep_leaves_what_resting_orders_need() -> None:
    exchange = exchange_of(2)
    alice = Caller(exchange)
    alice.place("bid", "0.50", "1000")
    alice("POST", ALLOCATION, {"allocations": [{"exchange_index": 1, "percent": 100}]})
    later(alice, 10_000)
    assert dollars(490) < exchange.cash("alice", 0, 1) <= dollars(500)
    assert exchange.resting("alice"), "the order is still there"


@pytest.mark.parametrize(
    "shares",
    [
        [(0, 60), (1, 30)],
        [(0, 60), (0, 40)],
        [(0, 101)],
        [(0, -1), (1, 101)],
        [(5, 100)],
    ],
    ids=str,
)
def test_an_allocation_that_does_not_add_up_is_refused(shares: list[tuple[int, int]]) -> None:
    alice = Caller(exchange_of(2))
    body = {"allocations": [{"exchange_index": at, "percent": percent} for at, percent in shares]}
    assert alice("POST", ALLOCATION, body)[0] == 400
    assert alice.get(ALLOCATION)["allocations"] == []


# -- in and out, worth, keys, tiers -------------------------------------------------------------------------------


def test_money_from_outside_is_a_deposit_and_money_to_there_a_withdrawal() -> None:
    exchange = exchange_of(2)
    exchange.deposit("alice", dollars(50), exchange_index=1)
    assert exchange.withdraw("alice", dollars(20)) is None
    assert isinstance(exchange.withdraw("alice", dollars(2_000)), RejectionError)
    alice = Caller(exchange)
    deposits = alice.get("/portfolio/deposits")["deposits"]
    assert [(one["amount_cents"], one["status"]) for one in deposits] == [(5_000, "applied"), (100_000, "applied")]
    assert [one["amount_cents"] for one in alice.get("/portfolio/withdrawals")["withdrawals"]] == [2_000]
    assert shards(alice) == {0: "980.0000", 1: "50.0000"}
    page = alice.get("/portfolio/deposits", limit=1)
    assert page["deposits"] == deposits[:1]
    assert alice.get("/portfolio/deposits", limit=1, cursor=page["cursor"]) == {"deposits": deposits[1:], "cursor": ""}
    assert alice("GET", "/portfolio/deposits", query={"limit": 501})[0] == 400


def test_money_that_orders_hold_back_cannot_be_withdrawn() -> None:
    exchange = exchange_of()
    assert isinstance(exchange.submit("alice", order(BID, "0.50", "1900"), T0), OrderReceipt)
    assert isinstance(exchange.withdraw("alice", dollars(100)), RejectionError)


def test_resting_orders_are_worth_what_they_cost_if_they_fill() -> None:
    alice = Caller(exchange_of(2))
    alice.place("bid", "0.25", "10")
    alice.place("ask", "0.90", "5.5")
    assert alice.get("/portfolio/summary/total_resting_order_value") == {
        "total_resting_order_value": 305,
        "resting_order_value_breakdown": [
            {"exchange_index": 0, "balance": "3.0500"},
            {"exchange_index": 1, "balance": "0.0000"},
        ],
    }


def test_the_keys_of_an_account_are_listed_and_no_others() -> None:
    exchange = exchange_of()
    assert Caller(exchange).get("/api_keys")["api_keys"] == [
        {"api_key_id": "alice-key", "name": "alice-key", "scopes": ["read", "write"]}
    ]


def test_the_advanced_tier_is_for_who_traded_by_api_and_opens_subaccounts() -> None:
    exchange = make_exchange(ExchangeOptions(read_rate=200, write_rate=100))
    alice = Caller(exchange)
    upgrade = "/account/api_usage_level/upgrade"
    assert alice("POST", "/portfolio/subaccounts", {})[0] == 403
    assert alice("POST", upgrade, {})[0] == 403
    alice.place("bid", "0.10", "1")
    later(alice, 1_000)
    assert alice("POST", upgrade, {}) == (201, None)
    assert alice("POST", "/portfolio/subaccounts", {})[0] == 201
    limits = alice.get("/account/limits")
    assert limits["usage_tier"] == "advanced"
    assert limits["read"]["refill_rate"] == limits["write"]["refill_rate"] == 300
    assert [grant["level"] for grant in limits["grants"]] == ["advanced"]


def test_the_granted_tier_is_what_requests_are_held_to() -> None:
    """Thirty creates at once: three times what the Basic write bucket holds."""
    exchange = make_exchange(ExchangeOptions(read_rate=200, write_rate=100))
    alice = Caller(exchange)
    before = [alice.place("bid", "0.10", "0.01")[0] for _ in range(30)]
    assert before.count(201) == 10
    later(alice, 1_000)
    alice("POST", "/account/api_usage_level/upgrade", {})
    assert [alice.place("bid", "0.10", "0.01")[0] for _ in range(61)].count(201) == 60, "two seconds of Advanced"


def test_moving_money_costs_the_read_bucket_and_an_upgrade_thirty_of_the_write_bucket() -> None:
    exchange = make_exchange(ExchangeOptions(read_rate=100, write_rate=100, shards=2, subaccounts_need_advanced=False))
    alice = Caller(exchange)
    assert [between(alice, 0, 1, 1)[0] for _ in range(21)] == [200] * 20 + [429], "two seconds of reads"
    later(alice, 10_000)
    assert alice.place("bid", "0.10", "1")[0] == 201
    later(alice, 10_000)
    upgrades = [alice("POST", "/account/api_usage_level/upgrade", {})[0] for _ in range(4)]
    assert upgrades[0] == 201
    costs = alice.get("/account/endpoint_costs")["endpoint_costs"]
    assert {"method": "POST", "path": "/trade-api/v2/account/api_usage_level/upgrade", "cost": 30} in costs


def test_the_volume_of_thirty_days_is_counted_to_the_last_full_hour() -> None:
    exchange = exchange_of()
    quote(exchange, ASK, "0.50", "5")
    alice = Caller(exchange)
    alice.place("bid", "0.50", "3")
    progress = alice.get("/account/api_usage_level/volume_progress")["volume_progress"][0]
    assert progress["trailing_30d_volume_fp"] == "0.00"
    later(alice, 3_600_000)
    progress = alice.get("/account/api_usage_level/volume_progress")["volume_progress"][0]
    assert progress["trailing_30d_volume_fp"] == "3.00"
    assert progress["computed_ts"] % 3600 == 0
    assert [goal["level"] for goal in progress["goals"]] == ["expert", "premier", "paragon", "prime", "prestige"]


def test_money_routes_need_a_key() -> None:
    nobody = Caller(exchange_of(), who=None)
    for method, path in (
        ("GET", "/portfolio/deposits"),
        ("GET", "/api_keys"),
        ("POST", BETWEEN),
        ("GET", "/portfolio/subaccounts/balances"),
    ):
        assert nobody(method, path)[0] == 401


def test_an_order_needs_its_money_on_the_shard_of_its_market() -> None:
    """RELIABILITY F50: whatever the total is."""
    from support.exchange import make_market

    exchange = exchange_of(4, transfer_ms=0)
    ticker = f"{TICKER}B"
    exchange.list_market(make_market(ticker, exchange_index=2), T0)
    alice = Caller(exchange)
    status, body = alice.place("bid", "0.50", "10", ticker=ticker)
    assert (status, body["error"]["code"]) == (400, "insufficient_balance")
    between(alice, 0, 2, 100_000)
    assert alice.place("bid", "0.50", "10", ticker=ticker)[0] == 201
    assert exchange.cash("alice", 0, 0) == Money(dollars(990))
