"""Lives of markets, pauses of every kind, maintenance, and the order of messages."""

from __future__ import annotations

import json
from typing import Any

import pytest
from support.exchange import (
    DAY,
    KEYS,
    ORDERS,
    T0,
    TICKER,
    Caller,
    Listener,
    make_exchange,
    make_market,
    new_ids,
    public_pem,
    quote,
    signed,
)

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, dollars, parse_ts
from kalshi_cli.core.model.markets import FeeSchedule, FeeType, MarketStatus
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.calendar import HOUR, MINUTE
from kalshi_cli.simulator.model.journal import MemoryJournal
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.simulator.protocol.replies import Request
from kalshi_cli.simulator.trading.lifecycle import linger_ms

OTHER = "KXSIM-26JUN-T4.00"
THURSDAY = parse_ts("2026-11-26T08:00:00Z")
"""Three in the morning in New York, in winter."""


@pytest.fixture
def alice() -> Caller:
    return Caller(make_exchange())


def reasons(listener: Listener) -> list[tuple[str, str]]:
    return [
        (frame["msg"]["status"], frame["msg"].get("last_update_reason", ""))
        for frame in listener.frames()
        if frame["type"] == "user_order"
    ]


def status_of(alice: Caller, ticker: str = TICKER) -> str:
    return str(alice.get(f"/markets/{ticker}")["market"]["status"])


# -- settlement --


@pytest.mark.parametrize(("value", "result", "paid"), [(10_000, "yes", 10), (0, "no", 0), (6_300, "scalar", 6.3)])
def test_a_market_pays_after_its_timer_and_leaves_the_positions(
    alice: Caller, value: int, result: str, paid: float
) -> None:
    quote(alice.exchange, ASK, "0.5", "10")
    alice.place("bid", "0.5", "10")
    before = alice.exchange.cash("alice")
    alice.exchange.settle(TICKER, Price(value), T0)
    alice.exchange.advance(Ts(T0 + 59_999))
    assert (status_of(alice), alice.exchange.cash("alice")) == ("determined", before)
    alice.now = Ts(T0 + 60_000)
    market = alice.get(f"/markets/{TICKER}")["market"]
    assert (market["status"], market["result"]) == ("finalized", result)
    assert alice.exchange.cash("alice") - before == int(paid * 1_000_000)
    assert alice.get("/portfolio/positions")["market_positions"] == []
    [settled] = alice.get("/portfolio/settlements")["settlements"]
    assert (settled["market_result"], settled["value"], settled["revenue"]) == (result, value // 100, int(paid * 100))


def test_a_dispute_holds_the_payout_until_it_is_settled_again(alice: Caller) -> None:
    quote(alice.exchange, ASK, "0.5", "10")
    alice.place("bid", "0.5", "10")
    before = alice.exchange.cash("alice")
    alice.exchange.settle(TICKER, ONE_DOLLAR, T0)
    alice.exchange.dispute(TICKER, T0)
    alice.now = Ts(T0 + DAY)
    assert status_of(alice) == "disputed"
    assert alice.exchange.cash("alice") == before
    alice.exchange.settle(TICKER, ONE_DOLLAR, alice.now)
    assert status_of(alice) == "determined", "the result stands"
    alice.now = Ts(T0 + DAY + 60_000)
    assert status_of(alice) == "finalized"
    assert alice.exchange.cash("alice") == before + dollars(10)


def test_an_amended_result_is_the_one_that_pays(alice: Caller) -> None:
    listener = alice.connect()
    listener.send("subscribe", channels=["market_lifecycle_v2"])
    quote(alice.exchange, ASK, "0.5", "10")
    alice.place("bid", "0.5", "10")
    before = alice.exchange.cash("alice")
    alice.exchange.settle(TICKER, ONE_DOLLAR, T0)
    alice.exchange.settle(TICKER, Price(0), Ts(T0 + 30_000))
    alice.now = Ts(T0 + 60_000)
    assert status_of(alice) == "amended", "the timer starts anew"
    alice.now = Ts(T0 + 90_000)
    assert status_of(alice) == "finalized"
    assert alice.exchange.cash("alice") == before
    told = [(frame["msg"]["event_type"], frame["msg"].get("result")) for frame in listener.frames()]
    assert told == [
        ("close_date_updated", None), ("determined", "yes"), ("determined", "no"), ("settled", None),
    ]  # fmt: skip


def test_only_what_is_determined_can_be_disputed_and_only_what_is_not_paid_settled(alice: Caller) -> None:
    with pytest.raises(ValueError, match="active"):
        alice.exchange.dispute(TICKER, T0)
    alice.exchange.settle(TICKER, ONE_DOLLAR, T0)
    alice.exchange.advance(Ts(T0 + 60_000))
    with pytest.raises(ValueError, match="finalized"):
        alice.exchange.dispute(TICKER, Ts(T0 + 60_000))
    with pytest.raises(ValueError, match="already settled"):
        alice.exchange.settle(TICKER, ONE_DOLLAR, Ts(T0 + 60_000))


def test_a_close_that_moves_out_again_opens_the_market_and_closes_it_once_more(alice: Caller) -> None:
    alice.exchange.set_close_time(TICKER, T0, T0)
    alice.exchange.advance(Ts(T0 + 9_000))
    assert status_of(alice) == "closed"
    alice.exchange.set_close_time(TICKER, Ts(T0 + HOUR), Ts(T0 + 9_000))
    alice.now = Ts(T0 + 10_000)
    assert alice.place("bid", "0.4", "1")[0] == 201
    alice.exchange.advance(Ts(T0 + HOUR + linger_ms(TICKER)))
    assert alice.exchange.resting("alice") == []


# -- terms that change --


def test_a_finer_grid_keeps_resting_orders_and_a_coarser_one_those_on_its_steps(alice: Caller) -> None:
    alice.place("bid", "0.4", "1")
    alice.exchange.set_grid(TICKER, "deci_cent", T0)
    assert alice.place("bid", "0.401", "1")[0] == 201
    assert len(alice.exchange.resting("alice")) == 2
    alice.exchange.set_grid(TICKER, "linear_cent", T0)
    assert [price for _, _, price, _ in alice.exchange.resting("alice")] == [4_000]
    assert alice.place("bid", "0.401", "1")[1]["error"]["code"] == "invalid_price"


def test_higher_fees_reserve_more_cash_for_resting_orders(alice: Caller) -> None:
    def refusal(fees: FeeSchedule | None) -> str | None:
        alice("DELETE", ORDERS)
        alice.exchange.set_event_fees("KXSIM-26JUN", None, T0)
        alice.place("bid", "0.5", "1900")
        alice.exchange.set_event_fees("KXSIM-26JUN", fees, T0)
        return alice.place("bid", "0.01", "4600")[1].get("error", {}).get("code")

    assert refusal(None) is None
    assert refusal(FeeSchedule(FeeType.WITH_MAKER, 1000)) == "insufficient_balance"


# -- pauses --


@pytest.mark.parametrize(
    ("kind", "create", "cancel"),
    [("trading", "trading_is_paused", None), ("exchange", "exchange_is_paused", "exchange_is_paused")],
)
def test_a_pause_of_one_shard_leaves_the_others_alone(kind: str, create: str, cancel: str | None) -> None:
    alice = Caller(make_exchange(ExchangeOptions(shards=2, read_rate=0, write_rate=0)))
    exchange = alice.exchange
    exchange.deposit("alice", dollars(100), exchange_index=1)
    exchange.list_market(make_market(OTHER, exchange_index=1), T0)
    _, here = alice.place("bid", "0.4", "1", cancel_order_on_pause=True)
    _, there = alice.place("bid", "0.4", "1", ticker=OTHER)
    exchange.pause(kind, T0, shard=1)
    shown = alice.get("/exchange/status")
    flags = [(one["exchange_active"], one["trading_active"]) for one in shown["exchange_index_statuses"]]
    assert flags == [(True, True), (kind == "trading", False)]
    assert shown["trading_active"], "the fields at the top are those of shard 0"
    assert alice.place("bid", "0.4", "1")[0] == 201
    status, body = alice.place("bid", "0.4", "1", ticker=OTHER)
    assert (status, body["error"]["code"]) == (409, create)
    assert alice("DELETE", f"{ORDERS}/{here['order_id']}")[0] == 200
    status, body = alice("DELETE", f"{ORDERS}/{there['order_id']}", query={"market_ticker": OTHER})
    assert (body.get("error", {}).get("code") if status != 200 else None) == cancel
    exchange.resume(T0, shard=1)
    assert alice.place("bid", "0.4", "1", ticker=OTHER)[0] == 201


def test_a_pause_cancels_what_asked_for_it_where_it_is(alice: Caller) -> None:
    listener = alice.connect()
    alice.exchange.list_market(make_market(OTHER), T0)
    for ticker in (TICKER, OTHER):
        alice.place("bid", "0.4", "1", ticker=ticker)
        alice.place("bid", "0.3", "1", ticker=ticker, cancel_order_on_pause=True)
    listener.send("subscribe", channels=["user_orders"])
    alice.exchange.pause_market(TICKER, T0)
    assert reasons(listener) == [("canceled", "HaltCancel")]
    alice.exchange.pause("trading", T0)
    assert reasons(listener) == [("canceled", "HaltCancel")]
    assert len(alice.exchange.resting("alice")) == 2


def test_a_reactivated_market_has_nothing_resting(alice: Caller) -> None:
    alice.place("bid", "0.4", "1")
    alice.exchange.pause_market(TICKER, T0)
    assert status_of(alice) == "inactive"
    assert alice.place("bid", "0.4", "1")[1]["error"]["code"] == "trading_is_paused"
    assert len(alice.exchange.resting("alice")) == 1
    alice.exchange.resume_market(TICKER, T0)
    assert alice.exchange.resting("alice") == []


def test_a_pause_with_an_end_announces_it_and_ends_even_after_a_restart() -> None:
    journal = MemoryJournal()
    alice = Caller(make_exchange(ExchangeOptions(), journal))
    alice.exchange.pause("exchange", T0, until=Ts(T0 + MINUTE))
    assert alice.get("/exchange/status")["exchange_estimated_resume_time"] == "2026-05-28T20:27:40Z"
    ids = new_ids(1_000)
    again = SimulatedExchange(new_id=lambda: next(ids), journal=journal)
    again.restore()
    alice = Caller(again)
    assert not alice.get("/exchange/status")["exchange_active"]
    alice.now = Ts(T0 + MINUTE)
    shown = alice.get("/exchange/status")
    assert shown["exchange_active"]
    assert "exchange_estimated_resume_time" not in shown


def test_maintenance_is_announced_pauses_trading_and_ends_the_streams_once(alice: Caller) -> None:
    alice = Caller(make_exchange(ExchangeOptions(maintenance=True, hang_up="close")))
    exchange = alice.exchange
    exchange.set_close_time(TICKER, Ts(THURSDAY + 30 * DAY), T0)
    alice.now = Ts(THURSDAY - 1)
    exchange.advance(alice.now)
    exchange.resume(alice.now)  # that of the weeks before
    [window] = alice.get("/exchange/schedule")["schedule"]["maintenance_windows"]
    assert window == {"start_datetime": "2026-11-26T08:00:00Z", "end_datetime": "2026-11-26T10:00:00Z"}
    listener = alice.connect()
    _, resting = alice.place("bid", "0.4", "1")
    alice.now = THURSDAY
    assert alice.place("bid", "0.4", "1")[1]["error"]["code"] == "trading_is_paused"
    assert listener.connection.hung_up == "close"
    assert alice("DELETE", f"{ORDERS}/{resting['order_id']}")[0] == 200, "cancels work"
    listener = alice.connect()
    exchange.resume(alice.now)
    alice.now = Ts(THURSDAY + MINUTE)
    assert alice.place("bid", "0.4", "1")[0] == 201, "who ended it by hand is not paused again"
    assert listener.connection.hung_up == ""
    alice.now = Ts(THURSDAY + 7 * DAY)
    assert not alice.get("/exchange/status")["trading_active"]
    alice.now = Ts(THURSDAY + 7 * DAY + 2 * HOUR)
    assert alice.get("/exchange/status")["trading_active"]


def test_without_the_switch_there_is_no_maintenance(alice: Caller) -> None:
    alice.exchange.set_close_time(TICKER, Ts(THURSDAY + DAY), T0)
    alice.now = Ts(THURSDAY + MINUTE)
    assert alice.place("bid", "0.4", "1")[0] == 201
    assert alice.get("/exchange/schedule")["schedule"]["maintenance_windows"] == []


# -- pauses beside each other --


def three_shards(journal: MemoryJournal | None = None) -> Caller:
    return Caller(make_exchange(ExchangeOptions(shards=3, read_rate=0, write_rate=0), journal))


def trading(alice: Caller) -> list[tuple[bool, bool]]:
    """(exchange, trading) of each shard."""
    shown = alice.get("/exchange/status")["exchange_index_statuses"]
    return [(one["exchange_active"], one["trading_active"]) for one in shown]


OPEN, HALTED, SHUT = (True, True), (True, False), (False, False)


def test_the_end_of_one_shards_pause_ends_no_other() -> None:
    alice = three_shards()
    alice.exchange.pause("exchange", T0)
    alice.exchange.pause("trading", T0, shard=1, until=Ts(T0 + MINUTE))
    alice.now = Ts(T0 + MINUTE)
    assert trading(alice) == [SHUT] * 3
    alice.exchange.resume(alice.now)
    assert trading(alice) == [OPEN] * 3


def test_a_pause_without_end_takes_no_end_from_another_shard_and_gives_it_none() -> None:
    alice = three_shards()
    alice.exchange.pause("trading", T0, shard=1, until=Ts(T0 + MINUTE))
    alice.exchange.pause("exchange", T0, shard=2)
    alice.now = Ts(T0 + MINUTE - 1)
    assert trading(alice) == [OPEN, HALTED, SHUT]
    alice.now = Ts(T0 + MINUTE)
    assert trading(alice) == [OPEN, OPEN, SHUT]


def test_the_strictest_pause_counts_and_announces_the_last_end() -> None:
    alice = three_shards()
    alice.exchange.pause("trading", T0, until=Ts(T0 + 2 * MINUTE))
    alice.exchange.pause("exchange", T0, shard=0, until=Ts(T0 + MINUTE))
    assert trading(alice) == [SHUT, HALTED, HALTED]
    announced = alice.get("/exchange/status")["exchange_estimated_resume_time"]
    assert parse_ts(announced) == T0 + 2 * MINUTE
    alice.exchange.pause("exchange", T0, shard=0)
    assert "exchange_estimated_resume_time" not in alice.get("/exchange/status"), "nobody knows"


def test_maintenance_in_a_pause_without_end_neither_softens_nor_ends_it() -> None:
    alice = Caller(make_exchange(ExchangeOptions(maintenance=True)))
    alice.exchange.pause("exchange", T0)
    for moment in (THURSDAY, Ts(THURSDAY + 2 * HOUR)):
        alice.now = moment
        assert set(trading(alice)) == {SHUT}


# -- two clocks --


def test_signatures_and_the_date_are_of_the_machine_and_all_else_of_the_world() -> None:
    ahead = 2 * HOUR
    ids = new_ids()
    moved = SimulatedExchange(new_id=lambda: next(ids), offset_ms=lambda: ahead)
    moved.add_account("alice", dollars(10))
    moved.register_key("alice", KEYS["alice"][0], public_pem(KEYS["alice"][1]))
    path = "/trade-api/v2/exchange/user_data_timestamp"
    now = Ts(T0 + ahead)
    by_machine = moved.handle(Request("GET", path, headers=signed("alice", "GET", path, T0)), now)
    assert by_machine.status == 200
    assert json.loads(by_machine.body)["as_of_time"] == "2026-05-28T22:26:40Z"
    assert by_machine.headers["date"] == "Thu, 28 May 2026 20:26:40 GMT"
    assert moved.handle(Request("GET", path, headers=signed("alice", "GET", path, now)), now).status == 401


@pytest.mark.parametrize(("past", "future"), [(30_000, 5_000), (5_000, 300_000)])
def test_how_old_and_how_early_a_signature_may_be_are_two_switches(past: int, future: int) -> None:
    exchange = make_exchange(ExchangeOptions(clock_past_ms=past, clock_future_ms=future))
    path = "/trade-api/v2/portfolio/balance"

    def answer(age_ms: int) -> int:
        return exchange.handle(Request("GET", path, headers=signed("alice", "GET", path, T0 - age_ms)), T0).status

    assert [answer(age) for age in (past, past + 1, -future, -future - 1)] == [200, 401, 200, 401]


# -- the order of messages --


def busy(seed: int | None) -> tuple[list[dict[str, Any]], list[int]]:
    """What a stream with several channels hears of twenty trades, and how long each reply was held back."""
    alice = Caller(make_exchange())
    listener = alice.connect()
    listener.send("subscribe", channels=["orderbook_delta", "fill", "user_orders", "trade"], market_tickers=[TICKER])
    alice.exchange.set_shuffle(seed, T0)
    frames, late = [], []
    for _ in range(20):
        quote(alice.exchange, ASK, "0.5", "1")
        quote(alice.exchange, ASK, "0.51", "2")
        frames += listener.frames()
        alice.place("bid", "0.51", "3")
        arrived = listener.frames()
        late.append(len(arrived))
        frames += arrived
        alice.exchange.advance(T0)
        frames += listener.frames()
    return frames, late


def test_a_shuffle_keeps_each_subscription_in_order_and_nothing_else() -> None:
    plain, before_reply = busy(None)
    mixed, with_seed = busy(7)
    assert busy(7) == (mixed, with_seed), "the same seed, the same order"
    assert busy(8)[0] != mixed
    assert set(before_reply) == {before_reply[0]}, "without it everything is told before the reply"
    assert 0 in with_seed, "a reply came before what it caused"
    assert any(with_seed), "and what it caused before the reply"

    def of_each(frames: list[dict[str, Any]]) -> dict[int, list[Any]]:
        found: dict[int, list[Any]] = {}
        for frame in frames:
            found.setdefault(frame["sid"], []).append((frame["type"], frame.get("seq"), frame["msg"]))
        return found

    assert of_each(mixed) == of_each(plain)
    assert [frame["sid"] for frame in mixed] != [frame["sid"] for frame in plain]


def test_an_answer_to_a_command_never_overtakes_what_waits() -> None:
    alice = Caller(make_exchange())
    listener = alice.connect()
    listener.send("subscribe", channels=["orderbook_delta"], market_tickers=[TICKER])
    alice.exchange.set_shuffle(3, T0)
    last = 1
    for _ in range(12):
        alice.place("bid", "0.3", "1")
        command = {"sids": [1], "action": "get_snapshot", "market_tickers": [TICKER]}
        for frame in listener.send("update_subscription", 9, **command):
            assert frame["seq"] == last + 1
            last += 1
    assert last == 25


def test_the_status_of_a_market_follows_from_time_and_hand(alice: Caller) -> None:
    exchange = alice.exchange
    assert exchange.status(TICKER) is MarketStatus.ACTIVE
    exchange.advance(Ts(T0 + DAY))
    assert exchange.status(TICKER) is MarketStatus.CLOSED


# -- looked at late --


def test_what_fell_due_in_a_gap_is_done_as_of_its_moment(alice: Caller) -> None:
    """Recorded in review: an order that ended at 06:35:54 was told to have changed at 09:26."""
    expires = T0 // 1000 + 54
    _, placed = alice.place("bid", "0.4", "1", expiration_time=expires)
    _, resting = alice.place("bid", "0.3", "1")
    alice.now = Ts(T0 + DAY + 3 * HOUR)

    def changed(order_id: str) -> int:
        return parse_ts(alice.get(f"/portfolio/orders/{order_id}")["order"]["last_update_time"])

    assert changed(placed["order_id"]) == expires * 1000
    assert changed(resting["order_id"]) == T0 + DAY + linger_ms(TICKER)


def test_a_payout_is_as_old_as_its_timer_however_late_it_is_looked_at(alice: Caller) -> None:
    quote(alice.exchange, ASK, "0.5", "10")
    alice.place("bid", "0.5", "10")
    alice.exchange.settle(TICKER, ONE_DOLLAR, Ts(T0 + 1_000))
    alice.now = Ts(T0 + 10 * DAY)
    [settled] = alice.get("/portfolio/settlements")["settlements"]
    assert parse_ts(settled["settled_time"]) == T0 + 61_000
    assert parse_ts(alice.get(f"/markets/{TICKER}")["market"]["settlement_ts"]) == T0 + 61_000


def test_a_bar_of_an_expiry_in_a_gap_shows_the_book_of_then(alice: Caller) -> None:
    alice.place("bid", "0.4", "1", expiration_time=T0 // 1000 + 90)
    alice.place("bid", "0.3", "1")
    alice.now = Ts(T0 + 2 * DAY)
    asked = {"start_ts": T0 // 1000, "end_ts": alice.now // 1000, "period_interval": 1}
    bars = alice.get(f"/series/KXSIM/markets/{TICKER}/candlesticks", **asked)["candlesticks"]
    assert {bar["yes_bid"]["close_dollars"] for bar in bars[2:]} == {"0.3000"}, "also the last: the clearing is no bar"
    assert bars[-1]["end_period_ts"] * 1000 < T0 + DAY + MINUTE


def test_a_market_with_orders_of_a_readable_account_is_never_forgotten(alice: Caller) -> None:
    alice.exchange.list_market(make_market(OTHER), T0)
    _, placed = alice.place("bid", "0.4", "1")
    alice("DELETE", f"{ORDERS}/{placed['order_id']}")
    for ticker in (TICKER, OTHER):
        alice.exchange.settle(ticker, ONE_DOLLAR, T0)
    for passed in (MINUTE, DAY):
        alice.now = Ts(T0 + passed)
        assert status_of(alice) == "finalized"
    assert alice("GET", f"/markets/{OTHER}")[0] == 404, "nobody with a key had anything there"
