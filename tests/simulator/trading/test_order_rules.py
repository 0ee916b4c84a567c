"""Rules of single orders: times in force, self-trade prevention, reduce-only, every grid, fees, and the switches."""

from __future__ import annotations

from typing import Any

import pytest
from support.exchange import ORDERS, T0, TICKER, Caller, make_exchange, make_market, order, quote

from kalshi_cli.base.units import Money, Price, Ts, dollars, format_price
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.simulator.model.listing import ExchangeOptions, OrderReceipt
from kalshi_cli.simulator.model.price_grids import STRUCTURES
from kalshi_cli.simulator.protocol.replies import RejectionError

IOC = {"time_in_force": "immediate_or_cancel"}
FOK = {"time_in_force": "fill_or_kill"}
FINEST = STRUCTURES["center_centi_edge_centi_cent"]
MAKER_STP = {"self_trade_prevention_type": "maker"}


def caller(fees: FeeSchedule | None = None, **options: Any) -> Caller:
    return Caller(make_exchange(ExchangeOptions(**({"read_rate": 0, "write_rate": 0} | options)), fees=fees))


@pytest.fixture
def alice() -> Caller:
    return caller()


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["code"]


def read(alice: Caller, order_id: str) -> dict[str, Any]:
    found: dict[str, Any] = alice.get(f"/portfolio/orders/{order_id}")["order"]
    return found


def hold(alice: Caller, side: Side, count: str, price: str = "0.5") -> None:
    """Alice gets a position: long by buying, short by selling."""
    quote(alice.exchange, side.opposite, price, count)
    alice.place(side.value, price, count, **IOC)


# -- self-trade prevention --


@pytest.mark.parametrize("side", [BID, ASK])
def test_taker_at_cross_keeps_what_it_took_before_it_met_itself(alice: Caller, side: Side) -> None:
    """Somebody's better offer, then an own one: the first trades, the rest of the order goes, the own offer stays."""
    better, own = ("0.49", "0.50") if side is BID else ("0.51", "0.50")
    quote(alice.exchange, side.opposite, better, "2")
    _, resting = alice.place(side.opposite.value, own, "5")
    _, made = alice.place(side.value, own, "4")
    assert (made["fill_count"], made["remaining_count"]) == ("2.00", "0.00")
    assert read(alice, made["order_id"])["status"] == "canceled"
    assert [one[0] for one in alice.exchange.resting("alice")] == [resting["order_id"]]


@pytest.mark.parametrize("side", [BID, ASK])
def test_maker_takes_the_own_offer_away_and_goes_on(alice: Caller, side: Side) -> None:
    first, own, third = ("0.49", "0.50", "0.51") if side is BID else ("0.51", "0.50", "0.49")
    stream = alice.connect()
    stream.send("subscribe", channels=["user_orders"])
    quote(alice.exchange, side.opposite, first, "1")
    _, resting = alice.place(side.opposite.value, own, "5", **MAKER_STP)
    quote(alice.exchange, side.opposite, third, "1")
    _, made = alice.place(side.value, third, "4", **MAKER_STP)
    assert (made["fill_count"], made["remaining_count"]) == ("2.00", "2.00")
    assert read(alice, resting["order_id"])["status"] == "canceled"
    reasons = {frame["msg"]["order_id"]: frame["msg"].get("last_update_reason") for frame in stream.frames()}
    assert reasons[resting["order_id"]] == "SelfTradeCancel"
    assert alice.exchange.position("alice", TICKER) == 200 * side.sign


@pytest.mark.parametrize(("stp", "status"), [({}, 409), (MAKER_STP, 201)])
def test_a_fok_counts_only_what_it_may_meet(alice: Caller, stp: dict[str, str], status: int) -> None:
    alice.place("ask", "0.50", "5")
    quote(alice.exchange, ASK, "0.51", "5")
    assert alice.place("bid", "0.51", "5", **FOK, **stp)[0] == status
    assert len(alice.exchange.resting("alice")) == (1 if status == 409 else 0)


# -- reduce-only --


@pytest.mark.parametrize("side", [BID, ASK])
def test_reduce_only_closes_what_there_is_and_no_more(alice: Caller, side: Side) -> None:
    hold(alice, side, "3.25")
    quote(alice.exchange, side, "0.5", "10")
    _, made = alice.place(side.opposite.value, "0.5", "10", reduce_only=True, **IOC)
    assert made["fill_count"] == "3.25"
    assert alice.exchange.position("alice", TICKER) == 0
    assert read(alice, made["order_id"])["status"] == "canceled", "10 were asked for"


def test_reduce_only_with_nothing_to_reduce_fills_nothing_and_says_why(alice: Caller) -> None:
    stream = alice.connect()
    stream.send("subscribe", channels=["user_orders"])
    quote(alice.exchange, BID, "0.5", "10")
    status, made = alice.place("ask", "0.5", "1", reduce_only=True, **IOC)
    assert (status, made["fill_count"], made["remaining_count"]) == (201, "0.00", "0.00")
    assert stream.frames()[-1]["msg"]["last_update_reason"] == "ReduceOnlyCancel"
    strict = caller(reduce_only_refused=True)
    assert code(strict.place("ask", "0.5", "1", reduce_only=True, **IOC)) == (400, "invalid_order")
    hold(strict, BID, "1")
    quote(strict.exchange, BID, "0.5", "1")
    assert strict.place("ask", "0.5", "1", reduce_only=True, **IOC)[1]["fill_count"] == "1.00"


@pytest.mark.parametrize("tif", [{}, FOK])
def test_reduce_only_is_for_ioc_alone(alice: Caller, tif: dict[str, str]) -> None:
    hold(alice, BID, "3")
    assert code(alice.place("ask", "0.5", "3", reduce_only=True, **tif)) == (400, "invalid_order")


# -- time in force --


def test_an_order_expires_at_its_second_and_not_before(alice: Caller) -> None:
    stream = alice.connect()
    stream.send("subscribe", channels=["user_orders"])
    _, made = alice.place("bid", "0.5", "1", expiration_time=T0 // 1000 + 60)
    alice.now = Ts(T0 + 59_999)
    assert read(alice, made["order_id"])["status"] == "resting"
    alice.now = Ts(T0 + 60_000)
    assert read(alice, made["order_id"])["status"] == "canceled"
    assert stream.frames()[-1]["msg"]["last_update_reason"] == "ExpiryCancel"


@pytest.mark.parametrize(("shows", "remaining"), [(False, "0.00"), (True, "5.00")])
def test_what_an_unfilled_ioc_says_is_left_is_a_switch(shows: bool, remaining: str) -> None:
    alice = caller(ioc_shows_remainder=shows)
    _, made = alice.place("bid", "0.5", "5", **IOC)
    assert (made["fill_count"], made["remaining_count"]) == ("0.00", remaining)
    quote(alice.exchange, ASK, "0.5", "2")
    assert alice.place("bid", "0.5", "5", **IOC)[1]["remaining_count"] == "0.00"
    assert alice.exchange.resting("alice") == []


def test_only_so_many_orders_rest_and_each_that_goes_makes_room() -> None:
    alice = caller(max_open_orders=3)
    ids = [alice.place("bid", "0.01", "1")[1]["order_id"] for _ in range(3)]
    assert code(alice.place("bid", "0.01", "1")) == (400, "invalid_order")
    alice("DELETE", f"{ORDERS}/{ids[0]}")
    assert alice.place("bid", "0.01", "1")[0] == 201
    body = {"ticker": TICKER, "side": "bid", "price": "0.02", "count": "1"}
    assert alice("POST", f"{ORDERS}/{ids[1]}/amend", body)[0] == 200, "an amendment makes no new order"
    alice.exchange.submit("maker", order(ASK, "0.01", "3", tif=TimeInForce.IOC), T0)
    assert alice.place("bid", "0.01", "1")[0] == 201
    alice("DELETE", ORDERS)
    assert [alice.place("bid", "0.01", "1")[0] for _ in range(4)] == [201, 201, 201, 400]


def test_a_pause_takes_the_orders_that_asked_for_it_and_only_those(alice: Caller) -> None:
    stream = alice.connect()
    stream.send("subscribe", channels=["user_orders"])
    _, gone = alice.place("bid", "0.5", "1", cancel_order_on_pause=True)
    _, kept = alice.place("bid", "0.5", "1")
    alice.exchange.pause("trading", T0)
    assert [one[0] for one in alice.exchange.resting("alice")] == [kept["order_id"]]
    last = stream.frames()[-1]["msg"]
    assert (last["order_id"], last["last_update_reason"]) == (gone["order_id"], "HaltCancel")


# -- grids and counts --


@pytest.mark.parametrize("name", sorted(STRUCTURES))
def test_every_structure_takes_its_own_prices_and_no_others(name: str) -> None:
    """The first, the last and the borders of each band; and half a step beside each of them, refused."""
    alice = caller()
    grid = STRUCTURES[name]
    alice.exchange.list_market(make_market("KXSIM-26JUN-G", price_structure=name, grid=grid), T0)
    tried = set()
    for band in grid.bands:
        for price in (band.start, band.start + band.step, band.end - band.step, band.end):
            for at in (price, price + 1, price - 1, price + band.step // 2):
                if 0 <= at <= 10_000:
                    tried.add(Price(at))
    taken = 0
    for at in sorted(tried):
        status, body = alice.place("bid", format_price(at), "0.01", ticker="KXSIM-26JUN-G")
        on_grid = 0 < at < 10_000 and any(b.start <= at <= b.end and (at - b.start) % b.step == 0 for b in grid.bands)
        assert status == (201 if on_grid else 400), (name, at)
        assert on_grid or body["error"]["code"] == "invalid_price"
        taken += on_grid
    assert taken >= 2
    assert taken < len(tried) or {band.step for band in grid.bands} == {1}


def test_hundredths_of_a_contract_at_hundredths_of_a_cent_trade_exactly(alice: Caller) -> None:
    alice.exchange.list_market(make_market("KXSIM-26JUN-G", grid=FINEST), T0)
    quote(alice.exchange, ASK, "0.3301", "0.07", ticker="KXSIM-26JUN-G")
    _, made = alice.place("bid", "0.3301", "0.03", ticker="KXSIM-26JUN-G", **IOC)
    assert (made["fill_count"], made["average_fill_price"]) == ("0.03", "0.3301")
    assert alice.exchange.cash("alice") == dollars("999.9895")
    [position] = alice.get("/portfolio/positions")["market_positions"]
    assert (position["position_fp"], position["market_exposure_dollars"]) == ("0.03", "0.009903")
    assert alice.exchange.levels("KXSIM-26JUN-G", ASK) == [(3301, 4)]


# -- money --


def test_whether_fees_are_held_back_is_a_switch() -> None:
    """Exactly the price of the contracts and nothing for the fee."""
    for holds, expected in ((True, RejectionError), (False, OrderReceipt)):
        exchange = caller(holds_fees=holds).exchange
        exchange.add_account("poor", dollars("5"))
        quote(exchange, ASK, "0.5", "10")
        assert isinstance(exchange.submit("poor", order(BID, "0.5", "10", tif=TimeInForce.IOC), T0), expected)


@pytest.mark.parametrize(("is_net", "shown"), [(False, "1000.0000"), (True, "989.8000")])
def test_whether_the_balance_is_net_of_resting_orders_is_a_switch(is_net: bool, shown: str) -> None:
    alice = caller(is_balance_net=is_net)
    alice.place("bid", "0.50", "20")
    alice.place("ask", "0.99", "20")
    body = alice.get("/portfolio/balance")
    assert body["balance_dollars"] == body["balance_breakdown"][0]["balance"] == shown
    assert body["balance"] == int(shown.replace(".", "")) // 100


def test_a_net_balance_leaves_out_what_a_held_position_covers() -> None:
    alice = caller(is_balance_net=True)
    hold(alice, BID, "10")
    cash = alice.get("/portfolio/balance")["balance_dollars"]
    alice.place("ask", "0.60", "10")
    assert alice.get("/portfolio/balance")["balance_dollars"] == cash


@pytest.mark.parametrize(
    ("asks_read_as", "expected"), [("sell_yes", ("yes", "sell", True)), ("buy_no", ("no", "buy", False))]
)
def test_how_an_ask_reads_in_the_deprecated_fields_is_a_switch(asks_read_as: str, expected: tuple[Any, ...]) -> None:
    alice = caller(asks_read_as=asks_read_as)
    stream = alice.connect()
    stream.send("subscribe", channels=["user_orders"])
    _, made = alice.place("ask", "0.5", "2")
    side, action, is_yes = expected
    shown = read(alice, made["order_id"])
    assert (shown["side"], shown["action"], shown["outcome_side"], shown["book_side"]) == (side, action, "no", "ask")
    told = {frame["type"]: frame["msg"] for frame in stream.frames()}
    assert (told["user_order"]["side"], told["user_order"]["is_yes"]) == (side, is_yes)
    _, bid = alice.place("bid", "0.1", "1")
    assert (read(alice, bid["order_id"])["side"], read(alice, bid["order_id"])["action"]) == ("yes", "buy")


# -- fees --


@pytest.mark.parametrize(
    ("schedule", "options", "taker", "maker"),
    [
        (FeeSchedule(), {}, "1.75", "0"),
        (FeeSchedule(multiplier=500), {}, "0.875", "0"),
        (FeeSchedule(multiplier=0), {}, "0", "0"),
        (FeeSchedule(FeeType.WITH_MAKER), {}, "1.75", "0.4375"),
        (FeeSchedule(FeeType.WITH_COMBO_MAKER), {}, "1.75", "0.875"),
        (FeeSchedule(FeeType.FLAT), {}, "1.75", "0"),
        (FeeSchedule(FeeType.FLAT), {"flat_fee": Money(12_345)}, "1.2345", "0"),
        (FeeSchedule(FeeType.FLAT, 500), {"flat_fee": Money(12_345)}, "0.6173", "0"),
    ],
)
def test_a_fill_of_100_at_50_cents_costs_each_side_its_fee(
    schedule: FeeSchedule, options: dict[str, Any], taker: str, maker: str
) -> None:
    exchange = caller(schedule, **options).exchange
    exchange.submit("bob", order(ASK, "0.5", "100"), T0)
    exchange.submit("alice", order(BID, "0.5", "100"), T0)
    assert exchange.cash("alice") == dollars("950") - dollars(taker)
    assert exchange.cash("bob") == dollars("950") - dollars(maker)


def test_the_event_charges_before_its_series(alice: Caller) -> None:
    alice.exchange.set_event_fees("KXSIM-26JUN", FeeSchedule(FeeType.WITH_MAKER, 2_000), T0)
    quote(alice.exchange, ASK, "0.5", "100")
    alice.place("bid", "0.5", "100")
    assert alice.exchange.cash("alice") == dollars("946.50")
    assert alice.exchange.cash("maker") == dollars("949.125")


def test_a_waiver_makes_fills_free_until_its_moment_and_is_shown(alice: Caller) -> None:
    free = "KXSIM-26JUN-W"
    alice.exchange.list_market(make_market(free, fee_waiver_until=Ts(T0 + 60_000)), T0)
    assert alice.get(f"/markets/{free}")["market"]["fee_waiver_expiration_time"] == "2026-05-28T20:27:40Z"
    quote(alice.exchange, ASK, "0.5", "200", ticker=free)
    alice.now = Ts(T0 + 59_999)
    alice.place("bid", "0.5", "100", ticker=free)
    assert alice.exchange.cash("alice") == dollars("950")
    alice.now = Ts(T0 + 60_000)
    alice.place("bid", "0.5", "100", ticker=free)
    assert alice.exchange.cash("alice") == dollars("898.25")
    assert alice.get("/portfolio/fills")["fills"][0]["fee_cost"] == "1.750000"


@pytest.mark.parametrize(("precision", "spent"), [(100, "0.0105"), (10_000, "0.02")])
def test_a_balance_is_kept_to_its_precision(precision: int, spent: str) -> None:
    exchange = caller(balance_precision=precision).exchange
    exchange.list_market(make_market("KXSIM-26JUN-G", grid=FINEST), T0)
    quote(exchange, ASK, "0.3301", "0.03", ticker="KXSIM-26JUN-G")
    exchange.submit("alice", order(BID, "0.3301", "0.03", ticker="KXSIM-26JUN-G"), T0)
    assert exchange.cash("alice") == dollars("1000") - dollars(spent)
