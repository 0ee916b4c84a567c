"""Requests for quotes on the simulated exchange: the whole story, who may see what, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from support.exchange import DAY, ORDERS, T0, TICKER, Caller, make_exchange, make_market, order, quote, total

from kalshi_cli.base.units import Price, Ts, dollars
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.journal import MemoryJournal
from kalshi_cli.simulator.model.listing import EventSpec, ExchangeOptions, OrderReceipt, SeriesSpec
from kalshi_cli.simulator.model.quote_records import QuoteRecord

RFQS, QUOTES = "/communications/rfqs", "/communications/quotes"
COMBO = "KXMVESIM-S1-A"


class Deal:
    """Alice asks, bob quotes; the clock is theirs together."""

    def __init__(self, options: ExchangeOptions | None = None, journal: MemoryJournal | None = None) -> None:
        self.exchange = make_exchange(options, journal)
        self.alice, self.bob = Caller(self.exchange), Caller(self.exchange, "bob")

    def wait(self, ms: int) -> None:
        self.alice.now = self.bob.now = Ts(self.alice.now + ms)
        self.exchange.advance(self.alice.now)

    def ask(self, ticker: str = TICKER, **more: Any) -> str:
        size = {} if {"contracts_fp", "target_cost_dollars"} & set(more) else {"contracts_fp": "10.00"}
        body = {"market_ticker": ticker, "rest_remainder": False} | size | more
        status, made = self.alice("POST", RFQS, body)
        assert status == 201, made
        return str(made["id"])

    def answer(self, rfq: str, yes: str = "0.40", no: str = "0.55", **more: Any) -> str:
        body = {"rfq_id": rfq, "yes_bid": yes, "no_bid": no, "rest_remainder": False} | more
        status, made = self.bob("POST", QUOTES, body)
        assert status == 201, made
        return str(made["id"])

    def accept(self, rfq: str, its_quote: str, side: str) -> None:
        status, body = self.alice("PUT", f"{RFQS}/{rfq}/quotes/{its_quote}/accept", {"accepted_side": side})
        assert (status, body) == (204, None)

    def confirm(self, rfq: str, its_quote: str) -> None:
        assert self.bob("PUT", f"{RFQS}/{rfq}/quotes/{its_quote}/confirm", {}) == (204, None)

    def quote_of(self, rfq: str, its_quote: str, who: Caller | None = None) -> Any:
        return (who or self.alice).get(f"{RFQS}/{rfq}/quotes/{its_quote}")["quote"]

    def done(self, side: str = "no", **more: Any) -> tuple[str, str]:
        """The whole story, up to the moment after the execution."""
        rfq = self.ask(**more)
        its_quote = self.answer(rfq)
        self.accept(rfq, its_quote, side)
        self.confirm(rfq, its_quote)
        self.wait(15_000)
        return rfq, its_quote

    def holds(self, who: str) -> int:
        return self.exchange.position(who, TICKER)


def code(answer: tuple[int, Any]) -> tuple[int, str]:
    return answer[0], answer[1]["error"]["code"]


def with_combo() -> Deal:
    deal = Deal()
    deal.exchange.list_series(SeriesSpec(ticker="KXMVESIM", title="Combos"))
    deal.exchange.list_event(EventSpec(event_ticker="KXMVESIM-S1", series_ticker="KXMVESIM", title="Two"), T0)
    deal.exchange.list_market(make_market(COMBO, event_ticker="KXMVESIM-S1"), T0)
    return deal


# -- the story ----------------------------------------------------------------------------------------------------


def test_who_accepts_the_no_bid_buys_yes_from_the_maker() -> None:
    deal = Deal()
    before = total(deal.exchange)
    rfq, its_quote = deal.done("no")
    assert (deal.holds("alice"), deal.holds("bob")) == (1_000, -1_000)
    fills = deal.alice.get("/portfolio/fills")["fills"]
    assert [(fill["book_side"], fill["yes_price_dollars"], fill["is_taker"]) for fill in fills] == [
        ("bid", "0.4500", True)
    ]
    assert deal.bob.get("/portfolio/fills")["fills"][0]["is_taker"] is False
    shown = deal.quote_of(rfq, its_quote)
    assert (shown["status"], shown["accepted_side"]) == ("executed", "no")
    assert shown["rfq_creator_order_id"] == fills[0]["order_id"]
    assert total(deal.exchange) == before


def test_who_accepts_the_yes_bid_sells_yes_to_the_maker() -> None:
    deal = Deal()
    deal.done("yes")
    assert (deal.holds("alice"), deal.holds("bob")) == (-1_000, 1_000)
    assert deal.alice.get("/portfolio/fills")["fills"][0]["yes_price_dollars"] == "0.4000"


def test_an_executed_request_is_closed() -> None:
    deal = Deal()
    rfq, _ = deal.done()
    shown = deal.alice.get(f"{RFQS}/{rfq}")["rfq"]
    assert (shown["status"], shown["cancellation_reason"]) == ("closed", "executed")
    assert code(
        deal.bob("POST", QUOTES, {"rfq_id": rfq, "yes_bid": "0.4", "no_bid": "0.5", "rest_remainder": False})
    ) == (
        400,
        "rfq_closed",
    )


def test_the_orders_enter_the_book_fifteen_seconds_after_the_confirmation_and_not_before() -> None:
    deal = Deal()
    rfq = deal.ask()
    its_quote = deal.answer(rfq)
    deal.accept(rfq, its_quote, "no")
    deal.wait(29_000)
    deal.confirm(rfq, its_quote)
    deal.wait(14_999)
    assert deal.holds("alice") == 0
    assert deal.quote_of(rfq, its_quote)["status"] == "confirmed"
    deal.wait(1)
    assert deal.holds("alice") == 1_000


def test_a_combo_has_three_seconds_and_one() -> None:
    deal = with_combo()
    rfq = deal.ask(COMBO)
    its_quote = deal.answer(rfq)
    deal.accept(rfq, its_quote, "no")
    deal.wait(2_999)
    deal.confirm(rfq, its_quote)
    deal.wait(1_000)
    assert deal.exchange.position("alice", COMBO) == 1_000


def test_an_unconfirmed_quote_lapses_and_the_request_stays_open() -> None:
    deal = Deal()
    rfq = deal.ask()
    its_quote = deal.answer(rfq)
    deal.accept(rfq, its_quote, "no")
    deal.wait(30_000)
    shown = deal.quote_of(rfq, its_quote)
    assert (shown["status"], shown["cancellation_reason"]) == ("cancelled", "not_confirmed")
    status, body = deal.bob("PUT", f"{RFQS}/{rfq}/quotes/{its_quote}/confirm", {})
    assert (status, body["code"]) == (400, "expired"), "a flat body, not one under error"
    assert deal.alice.get(f"{RFQS}/{rfq}")["rfq"]["status"] == "open"
    another = deal.answer(rfq)
    deal.accept(rfq, another, "no")
    deal.confirm(rfq, another)
    deal.wait(15_000)
    assert deal.holds("alice") == 1_000


def test_the_deprecated_routes_do_the_same() -> None:
    deal = Deal()
    rfq = deal.ask()
    its_quote = deal.answer(rfq)
    assert deal.bob.get(f"{QUOTES}/{its_quote}")["quote"]["status"] == "open"
    assert deal.alice("PUT", f"{QUOTES}/{its_quote}/accept", {"accepted_side": "no"}) == (204, None)
    assert deal.bob("PUT", f"{QUOTES}/{its_quote}/confirm", {}) == (204, None)
    deal.wait(15_000)
    assert deal.holds("alice") == 1_000


def test_who_rests_at_a_better_price_is_met_first() -> None:
    deal = Deal()
    rfq = deal.ask()
    its_quote = deal.answer(rfq)
    deal.accept(rfq, its_quote, "no")
    deal.confirm(rfq, its_quote)
    quote(deal.exchange, ASK, "0.43", "4", deal.alice.now)
    deal.wait(15_000)
    prices = [(fill["yes_price_dollars"], fill["count_fp"]) for fill in deal.alice.get("/portfolio/fills")["fills"]]
    assert sorted(prices) == [("0.4300", "4.00"), ("0.4500", "6.00")]
    assert deal.bob.get("/portfolio/orders", status="resting")["orders"] == [], "the maker's rest did not go"


@pytest.mark.parametrize("rests", [True, False])
def test_what_is_left_of_the_maker_rests_only_where_it_said_so(rests: bool) -> None:
    deal = Deal()
    rfq = deal.ask()
    its_quote = deal.answer(rfq, rest_remainder=rests)
    deal.accept(rfq, its_quote, "no")
    deal.confirm(rfq, its_quote)
    quote(deal.exchange, ASK, "0.43", "4", deal.alice.now)
    deal.wait(15_000)
    left = [one["remaining_count_fp"] for one in deal.bob.get("/portfolio/orders", status="resting")["orders"]]
    assert left == (["4.00"] if rests else [])


def test_what_is_left_of_the_requester_rests_only_where_it_said_so() -> None:
    for rests, left in ((True, 1), (False, 0)):
        deal = Deal()
        rfq = deal.ask(rest_remainder=rests)
        its_quote = deal.answer(rfq)
        deal.accept(rfq, its_quote, "no")
        deal.confirm(rfq, its_quote)
        crossing = order(BID, "0.45", "4")
        assert isinstance(deal.exchange.submit("maker", crossing, deal.alice.now), OrderReceipt)
        deal.wait(15_000)
        assert deal.holds("alice") == 600, "the maker's order met another bid first"
        assert len(deal.alice.get("/portfolio/orders", status="resting")["orders"]) == left


def test_a_post_only_maker_is_cancelled_rather_than_crossed() -> None:
    deal = Deal()
    rfq = deal.ask()
    its_quote = deal.answer(rfq, post_only=True)
    deal.accept(rfq, its_quote, "no")
    deal.confirm(rfq, its_quote)
    quote(deal.exchange, BID, "0.46", "4", deal.alice.now)
    deal.wait(15_000)
    shown = deal.quote_of(rfq, its_quote)
    assert (shown["status"], shown["cancellation_reason"]) == ("cancelled", "PostOnlyCrossCancel")
    assert deal.holds("alice") == 0


def test_an_execution_without_enough_cash_changes_nothing() -> None:
    deal = Deal()
    rfq = deal.ask(contracts_fp="2000.00")
    its_quote = deal.answer(rfq)
    deal.accept(rfq, its_quote, "no")
    assert code(deal.bob("PUT", f"{RFQS}/{rfq}/quotes/{its_quote}/confirm", {})) == (400, "insufficient_balance")
    other = Deal()
    rfq = other.ask(contracts_fp="1000.00")
    its_quote = other.answer(rfq)
    other.accept(rfq, its_quote, "no")
    other.confirm(rfq, its_quote)
    other.alice("POST", ORDERS, {
        "ticker": TICKER, "side": "bid", "price": "0.30", "count": "2500", "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
    })  # fmt: skip
    other.wait(15_000)
    shown = other.quote_of(rfq, its_quote)
    assert (shown["status"], shown["cancellation_reason"]) == ("cancelled", "insufficient_balance")
    assert other.bob.get("/portfolio/orders", status="resting")["orders"] == []
    assert other.alice.get(f"{RFQS}/{rfq}")["rfq"]["status"] == "open"


# -- sizes --------------------------------------------------------------------------------------------------------


def test_a_target_cost_buys_what_was_recorded_in_july_2026() -> None:
    deal = with_combo()
    rfq = deal.ask(COMBO, target_cost_dollars="10.00")
    status, _ = deal.bob("POST", QUOTES, {"rfq_id": rfq, "yes_bid": "0", "no_bid": "0.7450", "rest_remainder": False})
    assert status == 400, "not on the cents of this market"
    deal.exchange.set_grid(COMBO, "center_deci_edge_centi_cent", T0)
    shown = deal.quote_of(rfq, deal.answer(rfq, "0", "0.7450"))
    assert (shown["no_contracts_fp"], shown["yes_contracts_fp"]) == ("37.27", "0.00")
    assert shown["rfq_target_cost_dollars"] == "10.0000"


def test_a_target_cost_without_fees_buys_more() -> None:
    deal = Deal()
    rfq = deal.ask(target_cost_dollars="9.00", target_cost_excludes_fees=True)
    assert deal.quote_of(rfq, deal.answer(rfq))["no_contracts_fp"] == "20.00"


def test_the_fees_of_a_target_cost_are_never_forgotten() -> None:
    for target in ("0.50", "3.3333", "17.00", "400.01"):
        deal = Deal()
        deal.done(target_cost_dollars=target)
        spent = dollars(1_000) - deal.exchange.cash("alice")
        assert 0 < spent <= dollars(target)
        assert spent > dollars(target) - 10_000, "a contract's hundredth more would have fitted"


# -- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"contracts_fp": "10.00", "target_cost_dollars": "5.00"}, (400, "invalid_parameters")),
        ({}, (400, "invalid_parameters")),
        ({"contracts_fp": "0.00"}, (400, "invalid_parameters")),
        ({"contracts_fp": "ten"}, (400, "invalid_parameters")),
        ({"contracts": 9, "contracts_fp": "10.00"}, (400, "invalid_parameters")),
        ({"contracts_fp": "1.00", "target_cost_excludes_fees": True}, (400, "invalid_parameters")),
        ({"contracts_fp": "1.00", "subaccount": 3}, (400, "invalid_parameters")),
        ({"contracts_fp": "1.00", "market_ticker": "KXNOT"}, (404, "not_found")),
    ],
)
def test_a_request_that_makes_no_sense_is_refused(changes: dict[str, Any], expected: tuple[int, str]) -> None:
    body = {"market_ticker": TICKER, "rest_remainder": False} | changes
    assert code(Deal().alice("POST", RFQS, body)) == expected


def test_a_second_request_on_a_market_is_a_conflict_or_replaces_the_first() -> None:
    deal = Deal()
    first = deal.ask()
    body = {"market_ticker": TICKER, "rest_remainder": False, "contracts_fp": "5.00"}
    assert deal.alice("POST", RFQS, body)[0] == 409
    second = deal.ask(contracts_fp="5.00", replace_existing=True)
    found = deal.alice.get(RFQS, status="open", user_filter="self")["rfqs"]
    assert [rfq["id"] for rfq in found] == [second]
    assert deal.alice.get(f"{RFQS}/{first}")["rfq"]["cancellation_reason"] == "deleted"


@pytest.mark.parametrize(("yes", "no"), [("0.60", "0.41"), ("0", "0"), ("0.405", "0.50"), ("1.00", "0")])
def test_a_quote_that_makes_no_sense_is_refused(yes: str, no: str) -> None:
    deal = Deal()
    rfq = deal.ask()
    body = {"rfq_id": rfq, "yes_bid": yes, "no_bid": no, "rest_remainder": False}
    assert code(deal.bob("POST", QUOTES, body)) == (400, "invalid_parameters")
    assert deal.bob("POST", QUOTES, body | {"yes_bid": "0.60", "no_bid": "0.40"})[0] == 201


def test_members_cannot_quote_their_own_requests_or_accept_quotes_of_others() -> None:
    deal = Deal()
    rfq = deal.ask()
    body = {"rfq_id": rfq, "yes_bid": "0.40", "no_bid": "0.50", "rest_remainder": False}
    assert code(deal.alice("POST", QUOTES, body)) == (400, "invalid_parameters")
    its_quote = deal.answer(rfq)
    path = f"{RFQS}/{rfq}/quotes/{its_quote}"
    assert code(deal.bob("PUT", f"{path}/accept", {"accepted_side": "no"})) == (404, "not_found")
    assert code(deal.alice("PUT", f"{path}/confirm", {})) == (404, "not_found")
    assert code(deal.alice("PUT", f"{RFQS}/other/quotes/{its_quote}/accept", {"accepted_side": "no"})) == (
        404,
        "not_found",
    )


def test_a_side_that_is_not_bid_for_cannot_be_accepted() -> None:
    deal = Deal()
    rfq = deal.ask()
    its_quote = deal.answer(rfq, "0", "0.55")
    answer = deal.alice("PUT", f"{RFQS}/{rfq}/quotes/{its_quote}/accept", {"accepted_side": "yes"})
    assert code(answer) == (400, "invalid_parameters")


def test_after_the_confirmation_neither_side_can_withdraw() -> None:
    deal = Deal()
    rfq = deal.ask()
    its_quote = deal.answer(rfq)
    deal.accept(rfq, its_quote, "no")
    deal.confirm(rfq, its_quote)
    assert code(deal.alice("DELETE", f"{RFQS}/{rfq}")) == (404, "not_found")
    assert code(deal.bob("DELETE", f"{RFQS}/{rfq}/quotes/{its_quote}")) == (404, "not_found")
    assert code(deal.bob("PUT", f"{RFQS}/{rfq}/quotes/{its_quote}/confirm", {})) == (404, "not_found")
    deal.wait(15_000)
    assert deal.holds("alice") == 1_000


def test_an_accepted_quote_cannot_be_withdrawn_and_stays_accepted() -> None:
    deal = Deal()
    rfq = deal.ask()
    its_quote = deal.answer(rfq)
    assert code(deal.bob("PUT", f"{RFQS}/{rfq}/quotes/{its_quote}/confirm", {})) == (404, "not_found"), "not accepted"
    deal.accept(rfq, its_quote, "no")
    for path in (f"{RFQS}/{rfq}/quotes/{its_quote}", f"{QUOTES}/{its_quote}"):
        assert code(deal.bob("DELETE", path)) == (404, "not_found")
    assert deal.quote_of(rfq, its_quote)["status"] == "accepted"
    deal.confirm(rfq, its_quote)
    deal.wait(15_000)
    assert deal.holds("alice") == 1_000


def test_one_quote_is_accepted_at_a_time() -> None:
    deal = Deal()
    rfq = deal.ask()
    first = deal.answer(rfq)
    second = deal.exchange.quote("maker", rfq, Price(4_100), Price(5_500), deal.alice.now)
    assert isinstance(second, QuoteRecord)
    deal.accept(rfq, first, "no")
    path = f"{RFQS}/{rfq}/quotes/{second.quote_id}/accept"
    assert code(deal.alice("PUT", path, {"accepted_side": "no"})) == (400, "invalid_parameters")
    assert code(deal.alice("PUT", path.replace(second.quote_id, first), {"accepted_side": "no"}))[0] == 400
    deal.wait(30_000)
    deal.accept(rfq, second.quote_id, "no")


def test_who_cannot_pay_cannot_accept() -> None:
    deal = Deal()
    rfq = deal.ask(contracts_fp="3000.00")
    its_quote = deal.answer(rfq)
    answer = deal.alice("PUT", f"{RFQS}/{rfq}/quotes/{its_quote}/accept", {"accepted_side": "no"})
    assert code(answer) == (400, "insufficient_balance")
    assert deal.quote_of(rfq, its_quote)["status"] == "open"


def test_nothing_is_asked_during_a_pause() -> None:
    deal = Deal()
    rfq = deal.ask()
    its_quote = deal.answer(rfq)
    deal.exchange.pause("trading", deal.alice.now)
    answer = deal.alice("PUT", f"{RFQS}/{rfq}/quotes/{its_quote}/accept", {"accepted_side": "no"})
    assert code(answer) == (409, "trading_is_paused")


# -- what is kept -------------------------------------------------------------------------------------------------


def test_a_new_quote_replaces_the_makers_earlier_one() -> None:
    deal = Deal()
    rfq = deal.ask()
    first, second = deal.answer(rfq), deal.answer(rfq, "0.41", "0.55")
    assert deal.quote_of(rfq, first)["status"] == "cancelled"
    open_ones = deal.alice.get(QUOTES, rfq_id=rfq, status="open", rfq_user_filter="self")["quotes"]
    assert [one["id"] for one in open_ones] == [second]


def test_a_cancelled_quote_is_forgotten_after_a_while() -> None:
    deal = Deal()
    rfq = deal.ask()
    its_quote = deal.answer(rfq)
    assert deal.bob("DELETE", f"{RFQS}/{rfq}/quotes/{its_quote}") == (204, None)
    assert deal.quote_of(rfq, its_quote)["status"] == "cancelled"
    deal.wait(60_000)
    assert deal.alice("GET", f"{RFQS}/{rfq}/quotes/{its_quote}")[0] == 404


def test_deleting_a_request_takes_its_quotes_along() -> None:
    deal = Deal()
    rfq = deal.ask()
    its_quote = deal.answer(rfq)
    assert deal.alice("DELETE", f"{RFQS}/{rfq}") == (204, None)
    assert deal.quote_of(rfq, its_quote)["status"] == "cancelled"
    assert deal.alice("DELETE", f"{RFQS}/{rfq}")[0] == 404


def test_a_request_ends_with_its_market() -> None:
    deal = Deal()
    rfq = deal.ask()
    deal.wait(DAY)
    assert deal.alice.get(f"{RFQS}/{rfq}")["rfq"]["cancellation_reason"] == "expired"


def test_an_accepted_quote_survives_a_restart_and_executes() -> None:
    journal = MemoryJournal()
    deal = Deal(journal=journal)
    rfq = deal.ask()
    its_quote = deal.answer(rfq)
    deal.accept(rfq, its_quote, "no")
    deal.confirm(rfq, its_quote)
    again = SimulatedExchange(new_id=iter([f"{n:036d}" for n in range(900, 990)]).__next__, journal=journal)
    assert again.restore()
    again.advance(Ts(T0 + 15_000))
    assert again.position("alice", TICKER) == 1_000
    assert Caller(again).get(f"{RFQS}/{rfq}/quotes/{its_quote}")["quote"]["status"] == "executed"


# -- who may see what ---------------------------------------------------------------------------------------------


def test_everyone_sees_a_request_but_not_its_owner() -> None:
    deal = Deal()
    rfq = deal.ask()
    mine, theirs = (who.get(f"{RFQS}/{rfq}")["rfq"] for who in (deal.alice, deal.bob))
    assert mine["creator_id"] == theirs["creator_id"] == deal.alice.get("/communications/id")["communications_id"]
    assert "creator_user_id" in mine
    assert not {"creator_user_id", "creator_subaccount"} & set(theirs)


def test_an_obscured_requester_is_known_only_after_the_execution() -> None:
    deal = Deal()
    rfq = deal.ask(obscure_creator_id=True)
    its_quote = deal.answer(rfq)
    assert deal.bob.get(f"{RFQS}/{rfq}")["rfq"]["creator_id"] == ""
    assert deal.quote_of(rfq, its_quote, deal.bob)["rfq_creator_id"] == ""
    deal.accept(rfq, its_quote, "no")
    deal.confirm(rfq, its_quote)
    deal.wait(15_000)
    assert deal.quote_of(rfq, its_quote, deal.bob)["rfq_creator_id"] != ""


def test_a_quote_is_private_between_maker_and_requester() -> None:
    deal = Deal()
    rfq, its_quote = deal.done()
    mine, theirs = deal.quote_of(rfq, its_quote, deal.bob), deal.quote_of(rfq, its_quote, deal.alice)
    assert {"creator_order_id", "creator_user_id", "post_only"} <= set(mine)
    assert not {"creator_order_id", "creator_user_id", "creator_subaccount", "post_only"} & set(theirs)
    assert not {"rfq_creator_order_id", "rfq_creator_user_id", "rfq_creator_subaccount"} & set(mine)
    bobs_request = deal.bob("POST", RFQS, {"market_ticker": TICKER, "rest_remainder": True, "contracts_fp": "1"})[1][
        "id"
    ]
    third = deal.exchange.quote("maker", bobs_request, 4000, 5000, deal.bob.now)  # type: ignore[arg-type]
    assert deal.alice("GET", f"{RFQS}/{bobs_request}/quotes/{third.quote_id}")[0] == 404  # type: ignore[union-attr]
    assert deal.alice.get(QUOTES, rfq_id=bobs_request)["quotes"] == []
    assert len(deal.bob.get(QUOTES, rfq_id=bobs_request)["quotes"]) == 1


# -- the channel --------------------------------------------------------------------------------------------------


def test_the_channel_tells_requests_to_all_and_quotes_to_the_two_concerned() -> None:
    deal = Deal()
    ears = {name: caller.connect() for name, caller in (("alice", deal.alice), ("bob", deal.bob))}
    for ear in ears.values():
        ear.send("subscribe", channels=["communications"])
    deal.done()
    deal.bob("POST", RFQS, {"market_ticker": TICKER, "rest_remainder": True, "contracts_fp": "1"})
    heard = {name: ear.frames() for name, ear in ears.items()}
    story = ["rfq_created", "quote_created", "quote_accepted", "quote_executed", "rfq_deleted", "rfq_created"]
    assert [frame["type"] for frame in heard["alice"]] == story == [frame["type"] for frame in heard["bob"]]
    assert [frame["seq"] for frame in heard["alice"]] == list(range(1, 7))
    ids = {name: frames[3]["msg"]["order_id"] for name, frames in heard.items()}
    assert ids["alice"] != ids["bob"]
    assert deal.alice.get(f"/portfolio/orders/{ids['alice']}")["order"]["client_order_id"]
    assert heard["alice"][0]["msg"]["creator_id"] == ""


def test_a_subscription_to_own_requests_excludes_those_of_others() -> None:
    deal = Deal()
    ear = deal.bob.connect()
    ear.send("subscribe", channels=["communications"], user_filter="self")
    rfq = deal.ask()
    assert ear.frames() == []
    deal.answer(rfq)
    assert [frame["type"] for frame in ear.frames()] == ["quote_created"]


def test_each_request_falls_into_exactly_one_share() -> None:
    deal = Deal()
    ears = [deal.bob.connect() for _ in range(3)]
    for key, ear in enumerate(ears):
        ear.send("subscribe", channels=["communications"], shard_factor=3, shard_key=key)
    for number in range(12):
        ticker = f"KXSIM-26JUN-T{20 + number}"
        deal.exchange.list_market(make_market(ticker), T0)
        deal.ask(ticker)
    heard = [[frame["msg"]["id"] for frame in ear.frames()] for ear in ears]
    assert sum(len(one) for one in heard) == len({one for ids in heard for one in ids}) == 12
    assert sum(map(bool, heard)) > 1, "all of them fell to one listener"


# -- the pace -----------------------------------------------------------------------------------------------------


def test_requests_pay_from_the_bucket_of_shard_one() -> None:
    deal = Deal(ExchangeOptions(read_rate=0, write_rate=20, shards=2))
    rfq = deal.ask()
    assert deal.alice("DELETE", f"{RFQS}/{rfq}")[0] == 204
    assert deal.alice("DELETE", f"{RFQS}/{rfq}")[0] == 429
    assert deal.alice.place("bid", "0.30", "1", exchange_index=0)[0] == 201, "orders have a bucket of their own"


def test_quotes_are_cheap() -> None:
    deal = Deal()
    costs = {
        (line["method"], line["path"].removeprefix("/trade-api/v2")): line["cost"]
        for line in deal.alice.get("/account/endpoint_costs")["endpoint_costs"]
    }
    scoped = f"{RFQS}/:rfq_id/quotes/:quote_id"
    for line in (("POST", QUOTES), ("GET", scoped), ("DELETE", scoped), ("GET", f"{QUOTES}/:quote_id")):
        assert costs[line] == 2
    assert ("PUT", f"{scoped}/accept") not in costs


# -- block trades -------------------------------------------------------------------------------------------------

BLOCKS = "/communications/block-trade-proposals"


def test_a_block_trade_happens_past_the_book_once_both_have_accepted() -> None:
    deal = Deal()
    quote(deal.exchange, ASK, "0.30", "100")
    before = total(deal.exchange)
    users = {who: deal.exchange._state.members[who].record.user_id for who in ("alice", "bob")}
    body = {
        "buyer_user_id": users["alice"],
        "seller_user_id": users["bob"],
        "market_ticker": TICKER,
        "price_centi_cents": 4_500,
        "centicount": 1_000,
        "maker_side": "no",
        "expiration_ts": "2027-01-01T00:00:00Z",
    }
    status, made = deal.bob("POST", BLOCKS, body)
    assert status == 201
    path = f"{BLOCKS}/{made['block_trade_proposal_id']}/accept"
    assert deal.alice("POST", path, {}) == (204, None)
    assert deal.holds("alice") == 0, "one party is not enough"
    assert deal.bob("POST", path, {}) == (204, None)
    assert (deal.holds("alice"), deal.holds("bob")) == (1_000, -1_000)
    assert deal.alice.get("/markets/trades", is_block_trade="true")["trades"][0]["yes_price_dollars"] == "0.4500"
    assert deal.alice.get("/markets/trades", is_block_trade="false")["trades"] == []
    assert deal.alice.get("/portfolio/fills")["fills"][0]["is_taker"] is True
    shown = deal.alice.get(BLOCKS, status="executed")["block_trade_proposals"][0]
    assert shown["seller_user_id"] == "", "who the other one is, nobody is told"
    assert deal.alice.get("/portfolio/orders", status="resting")["orders"] == []
    assert total(deal.exchange) == before
    assert deal.alice("POST", path, {})[0] == 400


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"market_ticker": "KXNONE"}, (400, "invalid_parameters")),
        ({"seller_user_id": "nobody"}, (400, "invalid_parameters")),
        ({}, (400, "trading_is_paused")),
    ],
)
def test_a_block_trade_is_refused_with_a_status_that_is_declared(
    changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    deal = Deal()
    users = {who: deal.exchange._state.members[who].record.user_id for who in ("alice", "bob")}
    body = {
        "buyer_user_id": users["alice"],
        "seller_user_id": users["bob"],
        "market_ticker": TICKER,
        "price_centi_cents": 4_500,
        "centicount": 1_000,
        "maker_side": "no",
        "expiration_ts": "2027-01-01T00:00:00Z",
    }
    _, made = deal.bob("POST", BLOCKS, body)
    accept = f"{BLOCKS}/{made['block_trade_proposal_id']}/accept"
    deal.alice("POST", accept, {})
    if not changes:
        deal.exchange.pause("trading", deal.alice.now)
        assert code(deal.bob("POST", accept, {})) == expected
    assert code(deal.bob("POST", BLOCKS, body | changes)) == expected
