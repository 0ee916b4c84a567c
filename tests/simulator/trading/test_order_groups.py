"""Order groups: the rolling window, what triggers, what a triggered group refuses (API.md section 5.9)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exchange import ORDERS, T0, Caller, create_body, killed, make_exchange, make_market, order, quote

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.order_terms import ASK, TimeInForce
from kalshi_cli.simulator.matching.matching_engine import GROUP_WINDOW_MS
from kalshi_cli.simulator.model.journal import MemoryJournal
from kalshi_cli.simulator.model.listing import ExchangeOptions

GROUPS = "/portfolio/order_groups"
FAR_TICKER = "KXSIM-26JUN-T9.00"


def caller(journal: MemoryJournal | None = None, **options: Any) -> Caller:
    return Caller(make_exchange(ExchangeOptions(**({"read_rate": 0, "write_rate": 0} | options)), journal))


@pytest.fixture
def alice() -> Caller:
    return caller()


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["code"]


def create(alice: Caller, limit: int = 10, **body: Any) -> str:
    status, made = alice("POST", f"{GROUPS}/create", {"contracts_limit": limit} | body)
    assert status == 201
    return str(made["order_group_id"])


def rest(alice: Caller, group: str, price: str = "0.50", count: str = "5", side: str = "bid", **changes: Any) -> str:
    status, made = alice.place(side, price, count, order_group_id=group, **changes)
    assert status == 201, made
    return str(made["order_id"])


def take(alice: Caller, count: str, price: str = "0.01") -> None:
    alice.exchange.submit("bob", order(ASK, price, count, tif=TimeInForce.IOC), alice.now)


def orders_in(alice: Caller, group: str) -> list[str]:
    found: list[str] = alice.get(f"{GROUPS}/{group}")["orders"]
    return found


def put(alice: Caller, group: str, what: str, body: Any = None, **query: Any) -> int:
    return alice("PUT", f"{GROUPS}/{group}/{what}", {} if body is None else body, query=query)[0]


# -- making and reading --


def test_a_group_is_made_listed_and_read_with_its_orders(alice: Caller) -> None:
    assert alice.get(GROUPS) == {}, "an account with none is answered without the key"
    status, made = alice("POST", f"{GROUPS}/create", {"contracts_limit_fp": "12.50"})
    group = made["order_group_id"]
    assert (status, made) == (201, {"order_group_id": group, "subaccount": 0, "exchange_index": 0})
    mine = rest(alice, group)
    alice.place("bid", "0.40", "1")
    shown = {"contracts_limit_fp": "12.50", "is_auto_cancel_enabled": True, "exchange_index": 0}
    assert alice.get(GROUPS) == {"order_groups": [{"id": group} | shown]}
    assert alice.get(f"{GROUPS}/{group}") == shown | {"orders": [mine]}
    assert alice.get(f"/portfolio/orders/{mine}")["order"]["order_group_id"] == group
    alice("DELETE", f"{ORDERS}/{mine}")
    assert orders_in(alice, group) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"contracts_limit": 0},
        {"contracts_limit": 1_000_001},
        {"contracts_limit_fp": "0.99"},
        {"contracts_limit": 5, "contracts_limit_fp": "6.00"},
        {"contracts_limit": 5, "subaccount": 1},
    ],
)
def test_a_limit_is_one_to_a_million_said_once_or_twice_the_same(alice: Caller, body: dict[str, Any]) -> None:
    assert code(alice("POST", f"{GROUPS}/create", body)) == (400, "invalid_parameters")
    assert alice.get(GROUPS) == {}


def test_both_ways_of_saying_a_limit_may_agree(alice: Caller) -> None:
    group = create(alice, 5, contracts_limit_fp="5.00")
    assert alice.get(f"{GROUPS}/{group}")["contracts_limit_fp"] == "5.00"


def test_an_account_has_only_so_many_groups() -> None:
    alice = caller(max_order_groups=2)
    first, _ = create(alice), create(alice)
    assert code(alice("POST", f"{GROUPS}/create", {"contracts_limit": 1})) == (400, "invalid_parameters")
    assert alice("DELETE", f"{GROUPS}/{first}")[0] == 200
    create(alice)
    create(Caller(alice.exchange, "bob"))


def test_reads_of_a_group_lag(alice: Caller) -> None:
    alice = caller(read_lag_ms=500)
    group = create(alice)
    rest(alice, group)
    assert alice("GET", f"{GROUPS}/{group}")[0] == 404
    assert alice.get(GROUPS) == {}
    alice.now = Ts(T0 + 500)
    assert len(orders_in(alice, group)) == 1
    alice("DELETE", f"{GROUPS}/{group}")
    assert len(orders_in(alice, group)) == 1, "as it was half a second ago"
    alice.now = Ts(T0 + 1_000)
    assert alice("GET", f"{GROUPS}/{group}")[0] == 404
    assert alice.get(GROUPS) == {}


# -- the window --


def test_a_group_whose_limit_is_hit_is_triggered_with_all_its_orders(alice: Caller) -> None:
    group = create(alice, 10)
    stream = alice.connect()
    stream.send("subscribe", channels=["order_group_updates", "user_orders"])
    top = rest(alice, group, "0.50", "10")
    lower, ask = rest(alice, group, "0.40", "5"), rest(alice, group, "0.70", "5", "ask")
    _, other = alice.place("bid", "0.30", "1")
    stream.frames()
    take(alice, "9.99")
    assert set(orders_in(alice, group)) == {top, lower, ask}
    take(alice, "0.01")
    assert orders_in(alice, group) == []
    assert [one[0] for one in alice.exchange.resting("alice")] == [other["order_id"]]
    frames = stream.frames()
    events = [one["msg"]["event_type"] for one in frames if one["type"] == "order_group_updates"]
    ended = {one["msg"]["order_id"]: one["msg"]["status"] for one in frames if one["type"] == "user_order"}
    assert events == ["triggered"]
    assert ended == {top: "executed", lower: "canceled", ask: "canceled"}
    assert {one["msg"]["order_group_id"] for one in frames if one["type"] == "user_order"} == {group}


@pytest.mark.parametrize(("trips", "count", "is_triggered"), [("reached", "10", True), ("exceeded", "10", False)])
def test_a_group_trips_at_its_limit_or_only_beyond_it(trips: str, count: str, is_triggered: bool) -> None:
    alice = caller(group_trips=trips)
    group = create(alice, 10)
    rest(alice, group, count="20")
    take(alice, count)
    assert (orders_in(alice, group) == []) is is_triggered
    take(alice, "0.01")
    assert orders_in(alice, group) == []


def test_the_window_rolls_with_each_fill(alice: Caller) -> None:
    """Not a grid of 15 seconds: 6, then 3 after 10 seconds; the 6 are out of sight 15 seconds after they were."""
    group = create(alice, 10)
    rest(alice, group, count="100")
    take(alice, "6")
    alice.now = Ts(T0 + 10_000)
    take(alice, "3")
    alice.now = Ts(T0 + GROUP_WINDOW_MS)
    take(alice, "6.99")
    assert len(orders_in(alice, group)) == 1, "6 have left: 9.99"
    alice.now = Ts(T0 + 10_000 + GROUP_WINDOW_MS - 1)
    take(alice, "0.01")
    assert orders_in(alice, group) == [], "3 are still in it"


def test_what_an_order_takes_counts_and_its_remainder_does_not_rest(alice: Caller) -> None:
    group = create(alice, 10)
    quote(alice.exchange, ASK, "0.50", "12")
    _, made = alice.place("bid", "0.50", "20", order_group_id=group)
    assert (made["fill_count"], made["remaining_count"]) == ("12.00", "0.00")
    assert alice.get(f"/portfolio/orders/{made['order_id']}")["order"]["status"] == "canceled"


def test_an_amendment_that_trades_counts(alice: Caller) -> None:
    group = create(alice, 10)
    mine = rest(alice, group, "0.40", "20")
    quote(alice.exchange, ASK, "0.50", "10")
    body = {"ticker": create_body("bid", "0.5", "1")["ticker"], "side": "bid", "price": "0.50", "count": "20"}
    assert alice("POST", f"{ORDERS}/{mine}/amend", body)[1]["remaining_count"] == "0.00"
    assert orders_in(alice, group) == []


def test_other_orders_and_other_groups_do_not_count(alice: Caller) -> None:
    group, other = create(alice, 10), create(alice, 100)
    rest(alice, group, "0.30")
    rest(alice, other, "0.50", "20")
    alice.place("bid", "0.49", "20")
    take(alice, "30")
    assert len(orders_in(alice, group)) == 1
    assert len(orders_in(alice, other)) == 0, "it was filled whole"


# -- triggered --


@pytest.mark.parametrize("name", ["order_group_triggered", "invalid_order"])
def test_a_triggered_group_takes_no_order_until_it_is_reset(name: str) -> None:
    alice = caller(triggered_group_code=name)
    group = create(alice, 10)
    rest(alice, group, count="10")
    take(alice, "10")
    answer = alice.place("bid", "0.50", "1", order_group_id=group)
    assert code(answer) == (400, name)
    assert put(alice, group, "reset") == 200
    rest(alice, group, count="9.99")
    take(alice, "9.99")
    rest(alice, group, count="1")
    assert len(orders_in(alice, group)) == 1, "it counts from zero after the reset"


def test_a_refused_order_leaves_its_client_order_id_unused(alice: Caller) -> None:
    group = create(alice)
    put(alice, group, "trigger")
    assert alice.place("bid", "0.50", "1", order_group_id=group, client_order_id="again")[0] == 400
    assert alice.place("bid", "0.50", "1", client_order_id="again")[0] == 201


def test_a_group_is_triggered_by_hand_once(alice: Caller) -> None:
    group = create(alice)
    stream = alice.connect()
    stream.send("subscribe", channels=["order_group_updates"])
    rest(alice, group)
    assert put(alice, group, "trigger") == 200
    assert orders_in(alice, group) == []
    assert put(alice, group, "trigger") == 200
    assert put(alice, group, "reset") == 200
    assert put(alice, group, "limit", {"contracts_limit": 7}) == 200
    assert alice("DELETE", f"{GROUPS}/{group}")[0] == 200
    told = [frame["msg"] for frame in stream.frames()]
    assert [one["event_type"] for one in told] == ["triggered", "reset", "limit_updated", "deleted"]
    assert told[2]["contracts_limit_fp"] == "7.00"


def test_a_lower_limit_may_trigger_at_once(alice: Caller) -> None:
    group = create(alice, 10)
    rest(alice, group, count="20")
    take(alice, "6")
    put(alice, group, "limit", {"contracts_limit": 7})
    assert len(orders_in(alice, group)) == 1
    put(alice, group, "limit", {"contracts_limit_fp": "6.00"})
    assert orders_in(alice, group) == []
    assert alice.place("bid", "0.5", "1", order_group_id=group)[0] == 400


def test_a_lower_limit_forgets_what_left_the_window(alice: Caller) -> None:
    group = create(alice, 10)
    rest(alice, group, count="20")
    take(alice, "6")
    alice.now = Ts(T0 + GROUP_WINDOW_MS)
    put(alice, group, "limit", {"contracts_limit": 1})
    assert len(orders_in(alice, group)) == 1


def test_the_window_is_fifteen_seconds(alice: Caller) -> None:
    group = create(alice, 10)
    rest(alice, group, count="20")
    take(alice, "6")
    alice.now = Ts(T0 + 14_999)
    take(alice, "3.99")
    assert len(orders_in(alice, group)) == 1
    take(alice, "0.01")
    assert orders_in(alice, group) == [], "the 6 are still in it, and the limit is met"


def test_what_was_matched_fifteen_seconds_ago_is_out(alice: Caller) -> None:
    group = create(alice, 10)
    rest(alice, group, count="20")
    take(alice, "6")
    alice.now = Ts(T0 + 15_000)
    take(alice, "4")
    assert len(orders_in(alice, group)) == 1


def test_a_deleted_group_takes_its_orders_along_and_is_gone(alice: Caller) -> None:
    group = create(alice)
    rest(alice, group)
    _, kept = alice.place("bid", "0.30", "1")
    assert alice("DELETE", f"{GROUPS}/{group}") == (200, {})
    assert [one[0] for one in alice.exchange.resting("alice")] == [kept["order_id"]]
    assert alice.place("bid", "0.50", "1", order_group_id=group)[0] == 404
    assert put(alice, group, "reset") == 404
    assert alice("DELETE", f"{GROUPS}/{group}")[0] == 404


# -- whose, and where --


def test_other_accounts_do_not_find_a_group(alice: Caller) -> None:
    group, bob = create(alice), Caller(alice.exchange, "bob")
    assert bob("GET", f"{GROUPS}/{group}")[0] == 404
    assert put(bob, group, "trigger") == 404
    assert code(bob.place("bid", "0.5", "1", order_group_id=group)) == (404, "not_found")


def test_a_group_belongs_to_one_shard_and_one_subaccount() -> None:
    alice = caller(shards=3)
    alice.exchange.list_market(make_market(FAR_TICKER, exchange_index=2), T0)
    alice.exchange.deposit("alice", alice.exchange.cash("bob"), exchange_index=2)
    one = alice.exchange.add_subaccount("alice")
    assert code(alice("POST", f"{GROUPS}/create", {"contracts_limit": 1, "exchange_index": 3})) == (404, "not_found")
    group = create(alice, exchange_index=2)
    assert alice.get(f"{GROUPS}/{group}")["exchange_index"] == 2
    assert code(alice.place("bid", "0.5", "1", order_group_id=group)) == (404, "not_found"), "a market of shard 0"
    rest(alice, group, ticker=FAR_TICKER)
    assert put(alice, group, "trigger") == 404, "shard 0 is asked"
    assert put(alice, group, "trigger", exchange_index=2, subaccount=one) == 404
    assert put(alice, group, "trigger", exchange_index=2) == 200
    theirs = create(alice, subaccount=one)
    assert [row["id"] for row in alice.get(GROUPS, subaccount=one)["order_groups"]] == [theirs]
    assert len(alice.get(GROUPS)["order_groups"]) == 2
    assert alice("GET", f"{GROUPS}/{theirs}", query={"subaccount": 0})[0] == 404


def test_groups_and_what_they_counted_survive_a_restart() -> None:
    journal = MemoryJournal()
    alice = caller(journal)
    group, gone, tripped = create(alice, 10), create(alice), create(alice)
    rest(alice, group, count="20")
    take(alice, "6")
    put(alice, tripped, "trigger")
    alice("DELETE", f"{GROUPS}/{gone}")
    again = Caller(killed(journal))
    assert [row["id"] for row in again.get(GROUPS)["order_groups"]] == [group, tripped]
    assert again.place("bid", "0.5", "1", order_group_id=tripped)[0] == 400
    take(again, "4")
    assert orders_in(again, group) == []


# -- the window as a property --

steps = st.lists(st.tuples(st.integers(0, 6_000), st.integers(1, 700)), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(steps)
def test_a_group_trips_at_the_first_fill_that_fills_its_window(entries: list[tuple[int, int]]) -> None:
    """Against the plainest reckoning: all fills of the last 15 seconds, added up anew at each."""
    alice = caller()
    alice.exchange.deposit("alice", alice.exchange.cash("bob"))
    group = create(alice, 10)
    mine = rest(alice, group, "0.01", "1000")
    fills: list[tuple[int, int]] = []
    for wait, qty in entries:
        alice.now = Ts(alice.now + wait)
        take(alice, f"{qty // 100}.{qty % 100:02d}")
        fills.append((alice.now, qty))
        inside = sum(size for ts, size in fills if alice.now - ts < 15_000)
        is_live = any(one[0] == mine for one in alice.exchange.resting("alice"))
        assert is_live is (inside < 1000)
        if not is_live:
            return


def test_the_window_property_sees_a_window_that_does_not_roll() -> None:
    """Not vacuous: 9 at once, 9 after 15 seconds do not trip, and would if the first were still counted."""
    alice = caller()
    group = create(alice, 10)
    rest(alice, group, "0.01", "1000")
    take(alice, "9")
    alice.now = Ts(T0 + 14_999)
    counted = sum(qty for _, qty in alice.exchange._state.groups[group].matched)
    assert counted == 900
    alice.now = Ts(T0 + 15_000)
    take(alice, "9")
    assert len(orders_in(alice, group)) == 1


def test_a_pause_of_the_whole_exchange_takes_no_write_of_a_group_and_one_of_trading_all(alice: Caller) -> None:
    """API.md section 1: in an exchange pause nothing goes, no cancel either."""
    group = create(alice)
    rest(alice, group)

    def answers() -> list[tuple[int, str]]:
        asked = [
            alice("PUT", f"{GROUPS}/{group}/limit", {"contracts_limit": 20}),
            alice("PUT", f"{GROUPS}/{group}/reset", {}),
            alice("POST", f"{GROUPS}/create", {"contracts_limit": 1}),
            alice("PUT", f"{GROUPS}/{group}/trigger", {}),
            alice("DELETE", f"{GROUPS}/{group}"),
        ]
        return [(status, body.get("error", {}).get("code", "")) for status, body in asked]

    alice.exchange.pause("exchange", T0)
    assert answers() == [(409, "exchange_is_paused")] * 5
    assert len(orders_in(alice, group)) == 1
    alice.exchange.resume(T0)
    alice.exchange.pause("trading", T0)
    assert [status for status, _ in answers()] == [200, 200, 201, 200, 200]
