"""Closing positions: never more than is held, never past the bound, nothing left resting, and doubt ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from support.simulation import DAY_MS, OTHER, T0, TICKER, Simulation, ticket

from kalshi_cli.base.errors import (
    HaltedError,
    KalshiError,
    NotFoundError,
    OutcomeUnknownError,
    RefusedError,
    UsageError,
)
from kalshi_cli.base.units import Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.model.effects import SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.orders.close import ClosePolicy, CloseResult, PositionCloser, describe_plan, usual_slippage
from kalshi_cli.services.orders.flatten import failure
from kalshi_cli.services.trading.halts import refuse_if_halted
from kalshi_cli.simulator.model.listing import ExchangeOptions, MarketSpec, NewOrder, OrderReceipt
from kalshi_cli.store.records import Halt


def hold(sim: Simulation, qty: int, *, ticker: str = TICKER, subaccount: int = 0) -> None:
    """Alice comes to hold so many YES (below zero: NO), from bob; the book is empty as it was."""
    side, price = (BID, 50) if qty > 0 else (ASK, 50)
    order = NewOrder(ticker=ticker, side=side.opposite, price=cents(price), qty=contracts(abs(qty)))
    assert isinstance(sim.exchange.submit("bob", order, sim.clock.now()), OrderReceipt)
    take = NewOrder(
        ticker=ticker,
        side=side,
        price=cents(price),
        qty=contracts(abs(qty)),
        tif=TimeInForce.IOC,
        subaccount=subaccount,
    )
    receipt = sim.exchange.submit("alice", take, sim.clock.now())
    assert isinstance(receipt, OrderReceipt), receipt
    assert receipt.filled == contracts(abs(qty))


def position(sim: Simulation, ticker: str = TICKER, subaccount: int | None = None) -> Qty:
    """As the exchange has it."""
    found: dict[str, Qty] = {each.ticker: each.position for each in sim.client.positions(subaccount=subaccount)}
    return found.get(ticker, Qty(0))


def desk(sim: Simulation, *, limits: RiskLimits | None = None, subaccount: int = 0, **walk: Any) -> PositionCloser:
    return PositionCloser(sim.desk(limits), ClosePolicy(**walk), sim.said.append, subaccount)


def close(sim: Simulation, ticker: str = TICKER, **walk: Any) -> CloseResult:
    closer = desk(sim, **walk)
    (closing,) = closer.close(closer.plans(ticker))
    return closing


def halt(sim: Simulation, state: TradingState = TradingState.HALTED) -> None:
    sim.store.set_halt(Halt(state, "CANCEL_ALL", "kill switch", sim.clock.now()))


def each_post(sim: Simulation, act: Callable[[int], object]) -> None:
    """Do something after the exchange took the n-th order, before its answer is read."""
    count = iter(range(1, 1000))

    def after(request: httpx.Request) -> None:
        if request.method == "POST":
            act(next(count))

    sim.wire.after = after


def why(closing: CloseResult) -> str:
    """The code of what kept something open; "" where nothing did."""
    return closing.error.code if closing.error is not None else ""


def exit_code(*closings: CloseResult) -> int:
    """What the command would end with."""
    error = failure(closings)
    return 0 if error is None else int(error.exit_code)


def sent_orders(sim: Simulation) -> list[Any]:
    """Every order of a walk that was written down, in the order of their making."""
    return sorted((order for order in sim.store.orders() if order.reason == "close"), key=lambda each: each.created)


@pytest.mark.parametrize(("held", "side"), [(30, ASK), (-30, BID)])
def test_a_position_is_closed_at_the_best_price_with_one_order_that_can_only_close(
    sim: Simulation, held: int, side: Side
) -> None:
    hold(sim, held)
    sim.market(40, 44)
    closing = close(sim)
    assert (closing.closed, closing.left, closing.error) == (contracts(30), 0, None)
    assert closing.average == cents(40 if held > 0 else 44)
    assert closing.fees
    assert closing.proceeds == dollars("12.00" if held > 0 else "16.80")
    assert closing.net == closing.proceeds - dollars(15) - closing.fees, "bought at 50 cents"
    assert position(sim) == 0
    (order,) = sent_orders(sim)
    assert (order.side, order.tif, order.reduce_only, order.qty) == (side, TimeInForce.IOC, True, contracts(30))
    assert sim.exchange.resting("alice") == []


@pytest.mark.parametrize("held", [30, -30])
def test_a_part_of_a_position_is_closed_and_no_more(sim: Simulation, held: int) -> None:
    hold(sim, held)
    for price in (40, 39):
        sim.quote(BID, price, 8)
        sim.quote(ASK, 100 - price, 8)
    closer = desk(sim)
    (plan,) = closer.plans(TICKER, contracts(12))
    assert (plan.qty, plan.size, plan.fillable) == (contracts(12), contracts(30), contracts(12))
    assert plan.least == dollars("4.20"), "twelve at 35 cents"
    (closing,) = closer.close([plan])
    assert (closing.closed, closing.left, closing.error, closing.is_done) == (contracts(12), contracts(18), None, True)
    assert position(sim) == contracts(18 if held > 0 else -18)
    assert [order.qty for order in sent_orders(sim)] == [contracts(12), contracts(4)]
    assert all(order.reduce_only for order in sent_orders(sim))
    assert exit_code(closing) == 0


def test_a_part_that_cannot_be_closed_is_a_failure(sim: Simulation) -> None:
    hold(sim, 30)
    sim.quote(BID, 40, 8)
    closer = desk(sim)
    (closing,) = closer.close(closer.plans(TICKER, contracts(12)))
    assert (closing.closed, closing.left, why(closing), closing.is_done) == (
        contracts(8), contracts(22), "not_filled", False,
    )  # fmt: skip
    assert (exit_code(closing), position(sim)) == (1, contracts(22))


def test_a_part_is_never_more_than_is_still_held(sim: Simulation) -> None:
    hold(sim, 30)
    sim.quote(BID, 40, 50)
    closer = desk(sim)
    plans = closer.plans(TICKER, contracts(12))
    gone = NewOrder(ticker=TICKER, side=ASK, price=cents(40), qty=contracts(25), tif=TimeInForce.IOC)
    sim.exchange.submit("alice", gone, sim.clock.now())  # another program sells 25
    (closing,) = closer.close(plans)
    assert (closing.closed, closing.left, closing.error) == (contracts(5), 0, None)
    assert position(sim) == 0


@pytest.mark.parametrize(
    ("held", "count", "says"),
    [
        (30, contracts(31), "Cannot close 31: you hold 30 YES of"),
        (-30, contracts(31), "Cannot close 31: you hold 30 NO of"),
        (0, contracts(1), "Cannot close 1: you hold no contracts of"),
        (30, Qty(0), "Cannot close 0: you hold 30 YES"),
        (30, contracts(-1), "Cannot close -1: you hold 30 YES"),
    ],
)
def test_more_than_the_position_is_refused(sim: Simulation, held: int, count: Qty, says: str) -> None:
    if held:
        hold(sim, held)
    with pytest.raises(UsageError, match=says) as caught:
        desk(sim).plans(TICKER, count)
    assert caught.value.exit_code == 2


def test_the_price_gives_way_step_by_step_and_never_beyond_the_bound(sim: Simulation) -> None:
    hold(sim, 50)
    for price in (40, 39, 37, 34):
        sim.quote(BID, price, 10)
    closing = close(sim, max_slippage=cents(5))
    assert (closing.closed, closing.left) == (contracts(30), contracts(20))
    assert sim.exchange.resting("alice") == []
    prices = [order.price for order in sent_orders(sim)]
    assert prices == sorted(prices, reverse=True)
    assert min(prices) == cents(37), "34 is six cents away"
    assert exit_code(closing) == 1
    assert position(sim) == contracts(20)


def test_a_wider_bound_reaches_further(sim: Simulation) -> None:
    hold(sim, 40)
    for price in (40, 39, 37, 34):
        sim.quote(BID, price, 10)
    assert close(sim, max_slippage=cents(6)).left == 0


def test_the_limit_of_slippage_holds_for_a_person_too(sim: Simulation) -> None:
    hold(sim, 40)
    for price in (40, 39, 37, 34):
        sim.quote(BID, price, 10)
    tight = RiskLimits(max_close_slippage=cents(2))
    with pytest.raises(RefusedError, match=r"risk\.max_close_slippage \(\$0\.02\)") as caught:
        desk(sim, limits=tight, max_slippage=cents(3))
    assert caught.value.code == "SLIPPAGE"
    closer = desk(sim, limits=tight)
    assert [plan.worst for plan in closer.plans()] == [cents(38)], "what is usual is no further either"
    assert [plan.worst for plan in desk(sim, limits=RiskLimits(max_close_slippage=None)).plans()] == [cents(35)]
    assert [plan.worst for plan in desk(sim, limits=tight, max_slippage=cents(1)).plans()] == [cents(39)]


@pytest.mark.parametrize(("best", "usual"), [(99, 500), (20, 500), (12, 300), (7, 175), (4, 100), (3, 100), (1, 100)])
def test_the_usual_slippage_is_a_quarter_of_a_low_price(best: int, usual: int) -> None:
    assert usual_slippage(cents(best)) == usual


@pytest.mark.parametrize("held", [40, -40])
def test_a_contract_of_a_few_cents_is_not_sold_for_much_less(sim: Simulation, held: int) -> None:
    hold(sim, held)
    for price in (7, 6, 5, 2):
        sim.quote(BID if held > 0 else ASK, price if held > 0 else 100 - price, 10)
    (plan,) = desk(sim).plans()
    assert (plan.own_touch, plan.own_worst) == (cents(7), cents(6))
    closing = close(sim)
    assert (closing.closed, closing.left, why(closing)) == (contracts(20), contracts(20), "not_filled")
    assert close(sim, max_slippage=cents(5)).left == 0, "a chosen slippage is taken as it is"


def test_nothing_is_sold_at_one_cent_unless_a_person_asks_for_it(sim: Simulation) -> None:
    hold(sim, 10)
    sim.quote(BID, 3, 4)
    sim.quote(BID, 1, 100)
    closing = close(sim)
    assert (closing.closed, closing.left) == (contracts(4), contracts(6))
    refused = close(sim)
    assert why(refused) == "AT_A_CENT"
    assert exit_code(refused) == 3
    assert close(sim, may_reach_a_cent=True).left == 0


def test_one_cent_of_what_is_held_counts_for_no_too(sim: Simulation) -> None:
    hold(sim, -10)
    sim.quote(ASK, 99, 100)
    refused = close(sim)
    assert why(refused) == "AT_A_CENT"
    assert close(sim, may_reach_a_cent=True).left == 0


def test_an_empty_book_is_said_and_nothing_is_sent(sim: Simulation) -> None:
    hold(sim, 10)
    closing = close(sim)
    assert (why(closing), exit_code(closing)) == ("NO_BIDS", 3)
    assert sim.wire.posts() == 0


def test_a_paused_market_is_said_and_nothing_is_sent(sim: Simulation) -> None:
    hold(sim, 10)
    sim.market()
    sim.exchange.pause_market(TICKER, sim.clock.now())
    closing = close(sim)
    assert (why(closing), exit_code(closing)) == ("MARKET_NOT_OPEN", 3)
    assert closing.error is not None
    assert "shows its status, times and result; nothing was sent" in closing.error.hint
    assert sim.wire.posts() == 0


def test_a_book_that_empties_on_the_way_ends_the_walk_in_time(sim: Simulation) -> None:
    hold(sim, 30)
    sim.quote(BID, 40, 10)
    started = sim.clock.monotonic()
    closing = close(sim, within_s=8.0, tries=100)
    assert (closing.closed, closing.left) == (contracts(10), contracts(20))
    assert why(closing) == "not_filled"
    assert sim.clock.monotonic() - started < 15
    assert sim.wire.posts() == 1, "where nobody buys nothing is sent"


def test_the_number_of_tries_is_a_bound_too(sim: Simulation) -> None:
    hold(sim, 30)
    sim.quote(BID, 40, 10)
    each_post(sim, lambda _: sim.quote(BID, 40, 1) and None)
    assert close(sim, tries=3, within_s=1000.0).closed == contracts(12)
    assert sim.wire.posts() == 3


def test_a_market_that_pauses_on_the_way_leaves_the_rest_and_says_why(sim: Simulation) -> None:
    hold(sim, 30)
    sim.quote(BID, 40, 10)
    sim.quote(BID, 39, 100)
    each_post(sim, lambda _: sim.exchange.pause_market(TICKER, sim.clock.now()))
    closing = close(sim)
    assert (closing.closed, closing.left) == (contracts(10), contracts(20))
    assert why(closing) == "MARKET_NOT_OPEN"
    assert exit_code(closing) == 1, "a part was closed; nothing at all would have been 3"
    assert sim.wire.posts() == 1


def test_what_another_program_sold_meanwhile_is_not_sold_again(sim: Simulation) -> None:
    """The reduce-only flag is not all there is to it: the count is read before each order."""
    hold(sim, 30)
    sim.quote(BID, 40, 10)

    def also_sold(number: int) -> None:
        if number == 1:
            sim.quote(BID, 39, 15)
            sim.quote(ASK, 39, 15, who="alice")
            sim.quote(BID, 39, 100)

    each_post(sim, also_sold)
    closing = close(sim)
    assert (closing.closed, closing.left) == (contracts(15), 0)
    assert position(sim) == 0
    assert [order.qty for order in sent_orders(sim)] == [contracts(30), contracts(5)]


def test_what_another_program_adds_is_not_closed_without_being_asked_for(sim: Simulation) -> None:
    hold(sim, 10)
    closer = desk(sim)
    sim.market(40, 44)
    plans = closer.plans(TICKER)
    sim.quote(BID, 44, 5, who="alice")
    (closing,) = closer.close(plans)
    assert (closing.closed, closing.left) == (contracts(10), contracts(5))
    assert why(closing) == "position_moved"


def test_a_position_that_turned_over_meanwhile_is_left_alone(sim: Simulation) -> None:
    hold(sim, 10)
    closer = desk(sim)
    sim.market(40, 44)
    plans = closer.plans(TICKER)
    sim.quote(ASK, 40, 15, who="alice")
    (closing,) = closer.close(plans)
    assert (closing.closed, closing.left, sim.wire.posts()) == (0, 0, 0)
    assert position(sim) == contracts(-5)


def fails(request: httpx.Request) -> httpx.Response | None:
    """Orders are answered with a 503, after which nobody knows whether they are there."""
    return httpx.Response(503, content=b"{}") if request.method == "POST" else None


def test_an_order_that_was_taken_and_not_answered_is_found_and_the_walk_goes_on(sim: Simulation) -> None:
    hold(sim, 30)
    sim.quote(BID, 40, 10)
    sim.quote(BID, 39, 100)
    lost = iter([True])

    def once(request: httpx.Request) -> None:
        if request.method == "POST" and next(lost, False):
            raise httpx.ReadTimeout("no answer", request=request)

    sim.wire.after = once
    closing = close(sim)
    assert (closing.closed, closing.left, closing.error) == (contracts(30), 0, None)
    assert next(lost, None) is None, "it really happened"


def test_an_unknown_outcome_stops_at_once_and_names_the_order(sim: Simulation) -> None:
    hold(sim, 30)
    hold(sim, 20, ticker=OTHER)
    sim.market(40, 44)
    sim.market(40, 44, ticker=OTHER)
    sim.wire.before = fails
    closer = desk(sim)
    first, second = closer.close(closer.plans())
    assert isinstance(first.error, OutcomeUnknownError)
    assert exit_code(first, second) == 7
    (order,) = sent_orders(sim)
    assert order.client_order_id in first.error.message + first.error.hint
    assert order.status is OrderStatus.UNKNOWN
    assert sim.wire.posts() == 1, "no second try, and the other position is not begun"
    assert (second.closed, second.left) == (0, contracts(20))
    assert why(second) == "not_begun"
    sim.wire.before = lambda _: None
    again = close(sim)
    assert why(again) == "NOT_CLOSING", "it may still arrive, and counts until then"


def test_an_unknown_outcome_is_told_as_such_also_after_a_part_was_closed(sim: Simulation) -> None:
    hold(sim, 30)
    sim.quote(BID, 40, 10)
    sim.quote(BID, 39, 100)

    def from_now_on(_number: int) -> None:
        sim.wire.before = fails

    each_post(sim, from_now_on)
    closing = close(sim)
    assert (closing.closed, closing.left) == (contracts(10), contracts(20))
    assert exit_code(closing) == 7
    assert sim.wire.posts() == 2


def test_a_refusal_in_one_market_does_not_hold_up_the_others(sim: Simulation) -> None:
    hold(sim, 30)
    hold(sim, -20, ticker=OTHER)
    sim.market(40, 44, ticker=OTHER)
    closer = desk(sim)
    outcome = {each.plan.market.ticker: each for each in closer.close(closer.plans())}
    assert outcome[TICKER].left == contracts(30)
    assert outcome[OTHER].is_done
    assert exit_code(*outcome.values()) == 1


def test_the_error_says_what_was_sold_and_why_each_other_position_is_left(sim: Simulation) -> None:
    hold(sim, 30)
    hold(sim, -20, ticker=OTHER)
    sim.market(40, 44, ticker=OTHER)
    closer = desk(sim)
    error = failure(closer.close(closer.plans()))
    assert error is not None
    assert error.message.splitlines() == [
        f"Not fully closed: sold 20 NO of {OTHER}",
        f"  30 YES of {TICKER} remaining: No bids for YES in {TICKER}",
    ]
    assert error.hint == f"check `kalshi orderbook {TICKER}`", "something was sent"


def test_several_positions_that_own_orders_block_have_one_hint(sim: Simulation) -> None:
    for ticker in (TICKER, OTHER):
        hold(sim, 10, ticker=ticker)
        sim.market(40, 44, ticker=ticker)
        sim.quote(ASK, 60, 1, who="alice", ticker=ticker)
    closer = desk(sim)
    *refused, remedy = closer.warnings(closer.plans())
    assert [line.partition(":")[0] for line in refused] == [TICKER, OTHER]
    assert all(line.endswith("(NOT_CLOSING)") for line in refused)
    assert remedy.startswith("NOT_CLOSING: ")
    error = failure(closer.close(closer.plans()))
    assert isinstance(error, RefusedError)
    assert error.code == "NOT_CLOSING"
    assert remedy.endswith(error.hint)
    assert error.hint == (
        "your open orders close them too; `kalshi pause` makes a running loop cancel its orders, "
        "`kalshi cancel-all --no-halt` cancels all; then close again"
    )


def test_each_reason_and_each_remedy_is_named_where_nothing_was_sold(sim: Simulation) -> None:
    hold(sim, 30)
    hold(sim, 10, ticker=OTHER)
    sim.market(40, 44, ticker=OTHER)
    sim.quote(ASK, 60, 1, who="alice", ticker=OTHER)
    closer = desk(sim)
    plans = closer.plans()
    assert [line.split(";")[0] for line in closer.warnings(plans)] == [
        f"{OTHER}: a close would be refused now. Refused: closing 10 plus 1 in open orders exceeds the position of 10 "
        "(NOT_CLOSING)"
    ]
    error = failure(closer.close(plans))
    assert isinstance(error, RefusedError)
    assert error.message.startswith("Not fully closed: nothing was sold\n")
    for line in (
        f"10 YES of {OTHER} remaining: Refused: closing 10 plus 1 in open orders exceeds the position of 10",
        f"30 YES of {TICKER} remaining: No bids for YES in {TICKER}",
    ):
        assert line in error.message
    for remedy in (f"`kalshi cancel-all --ticker {OTHER} --no-halt`", f"`kalshi orderbook {TICKER}`"):
        assert remedy in error.hint
    assert error.hint.endswith("; nothing was sent")
    assert sim.wire.posts() == 0


def test_an_order_that_filled_nothing_was_sent_all_the_same(sim: Simulation) -> None:
    hold(sim, 30)
    hold(sim, -20, ticker=OTHER)
    sim.market(40, 44, ticker=OTHER)
    closer = desk(sim, tries=1)
    plans = closer.plans()
    results = [
        msgspec.structs.replace(
            each, closed=Qty(0), left=each.plan.size, error=RefusedError("x", hint="nothing was sent")
        )
        for each in closer.close(plans)
    ]
    error = failure(results)
    assert error is not None
    assert "nothing was sent" not in error.hint


def test_own_orders_that_would_close_it_too_are_to_be_canceled_first(sim: Simulation) -> None:
    """Both could fill, and then the account would be short."""
    hold(sim, 10)
    sim.market(40, 44)
    sim.quote(ASK, 60, 1, who="alice")
    closing = close(sim)
    assert why(closing) == "NOT_CLOSING"
    assert sim.wire.posts() == 0
    sim.exchange.cancel_all("alice", sim.clock.now(), TICKER)
    assert close(sim).is_done


def test_a_review_refuses_what_the_close_would_refuse_and_sends_nothing(sim: Simulation) -> None:
    hold(sim, 10)
    (closed,) = desk(sim).plans(TICKER)
    with pytest.raises(RefusedError) as caught:
        desk(sim).review(closed)
    assert caught.value.code == "NO_BIDS"
    sim.market(40, 44)
    sim.quote(ASK, 60, 1, who="alice")
    (plan,) = desk(sim).plans(TICKER)
    with pytest.raises(RefusedError) as caught:
        desk(sim).review(plan)
    assert caught.value.code == "NOT_CLOSING"
    sim.exchange.cancel_all("alice", sim.clock.now(), TICKER)
    desk(sim).review(plan)
    assert (sim.wire.posts(), position(sim)) == (0, contracts(10))


def test_an_own_bid_is_not_met(sim: Simulation) -> None:
    hold(sim, 10)
    sim.quote(BID, 40, 5, who="alice")
    closing = close(sim)
    assert why(closing) == "NO_BIDS"
    assert position(sim) == contracts(10)


def test_limits_of_size_and_pace_hold_up_no_close(sim: Simulation) -> None:
    hold(sim, 10)
    sim.market(40, 44)
    tight = RiskLimits(
        max_order_qty=contracts(1), max_order_cost=dollars(1), max_orders_per_minute=0, max_exposure=dollars(0)
    )
    closer = PositionCloser(sim.desk(tight), ClosePolicy(), sim.said.append)
    assert closer.close(closer.plans())[0].is_done


def test_no_price_is_far_from_the_market_of_the_moment(sim: Simulation) -> None:
    """The collar of the configuration is a bound of its own."""
    hold(sim, 30)
    sim.quote(BID, 40, 10)
    limits = RiskLimits(price_collar=cents(0))
    each_post(sim, lambda _: sim.quote(BID, 39, 100) and None)
    closer = PositionCloser(sim.desk(limits), ClosePolicy(step=cents(2)), sim.said.append)
    (closing,) = closer.close(closer.plans())
    assert why(closing) == "PRICE_COLLAR"


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_a_close_passes_a_halt_and_nothing_else_does(sim: Simulation, state: TradingState) -> None:
    """Through all three gates: the review, the state file, the client."""
    sim.client = sim.connect(before_create=lambda reviewed: refuse_if_halted(sim.store, reviewed))
    hold(sim, 10)
    sim.market(40, 44)
    _, proposal = sim.desk().propose(_sell())
    halt(sim, state)
    if state is TradingState.HALTED:
        with pytest.raises(RefusedError, match="Trading has been halted since") as refused:  # the review
            sim.desk().propose(_sell())
        assert refused.value.code == "HALTED"
        assert isinstance(proposal.submit, SubmitOrder)
        with pytest.raises(HaltedError):  # the state file
            sim.store.record(proposal.submit)
        with pytest.raises(HaltedError):  # the client
            sim.client.create_order(proposal.submit.order)
        assert sim.wire.posts() == 0
    assert close(sim).is_done
    assert sim.wire.posts() == 1
    assert sim.store.halt().state is state, "the halt stays"


def _sell() -> Any:
    return ticket(action="sell", price=cents(40), tif=TimeInForce.IOC, reduce_only=True)


def test_the_client_closes_with_nothing_but_orders_that_can_only_close(sim: Simulation) -> None:
    hold(sim, 10)
    _, proposal = sim.desk().propose(_sell())
    for change in ({"reduce_only": False}, {"tif": TimeInForce.FOK}, {"tif": TimeInForce.GTC}):
        with pytest.raises(ValueError, match="more than close"):
            sim.client.close_order(msgspec.structs.replace(proposal.submit.order, **change))
    assert sim.wire.posts() == 0
    assert sim.client.close_order(proposal.submit.order).order_id


def test_the_plan_says_what_it_should_bring_and_sends_nothing(sim: Simulation) -> None:
    hold(sim, 50)
    sim.quote(BID, 40, 10)
    sim.quote(BID, 38, 20)
    sim.quote(BID, 30, 100)
    (plan,) = desk(sim).plans(TICKER)
    assert (plan.touch, plan.worst, plan.fillable) == (cents(40), cents(35), contracts(30))
    assert plan.expected == dollars("11.60")
    assert plan.least == dollars("17.50")
    assert plan.fee == dollars("0.84"), "of all 50 contracts at $0.40, the dearest price for the fee: $0.0168 each"
    assert (plan.basis, plan.pnl) == (dollars(25), dollars("-8.34"))
    told = "at least $17.50 if all of it fills, fee up to $0.84; P&L -$8.34 or better against their cost of $25.00"
    assert told in describe_plan(plan)
    (part,) = desk(sim).plans(TICKER, contracts(10))
    assert (part.basis, part.pnl) == (dollars(5), dollars("3.50") - dollars(5) - dollars("0.168"))
    assert sim.wire.posts() == 0


def test_the_plan_of_a_no_position_is_in_prices_of_no(sim: Simulation) -> None:
    hold(sim, -10)
    sim.quote(ASK, 44, 10)
    (plan,) = desk(sim).plans()
    assert plan.touch is not None
    assert plan.worst is not None
    assert (plan.own(plan.touch), plan.own(plan.worst), plan.expected) == (cents(56), cents(51), dollars("5.60"))


def test_without_a_position_there_is_no_plan_and_an_unknown_market_is_not_found(sim: Simulation) -> None:
    assert desk(sim).plans(TICKER) == []
    with pytest.raises(NotFoundError):
        desk(sim).plans("KXNONE-1")


def test_the_position_is_that_of_the_subaccount(tmp_path: Path) -> None:
    sim = Simulation(tmp_path)
    number = sim.exchange.add_subaccount("alice")
    assert number is not None
    sim.exchange.deposit("alice", dollars(100), subaccount=number)
    hold(sim, 10, subaccount=number)
    hold(sim, 7)
    sim.market(40, 44)
    closer = desk(sim, subaccount=number)
    (closing,) = closer.close(closer.plans())
    assert closing.closed == contracts(10)
    assert (position(sim), position(sim, subaccount=number)) == (contracts(7), 0)
    assert sent_orders(sim)[-1].subaccount == number
    sim.close()


@pytest.fixture
def trailing(tmp_path: Path) -> Iterator[Simulation]:
    made = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, read_lag_ms=500))
    yield made
    made.close()


def test_reads_that_trail_behind_do_not_make_it_sell_twice(trailing: Simulation) -> None:
    hold(trailing, 30)
    trailing.quote(BID, 40, 10)
    trailing.quote(BID, 39, 100)
    closing = close(trailing)
    assert (closing.closed, closing.left, closing.error) == (contracts(30), 0, None)
    assert closing.average is not None
    assert closing.proceeds == dollars("11.80"), "ten at 40 cents and twenty at 39"
    assert [order.qty for order in sent_orders(trailing)] == [contracts(30), contracts(20)]


def test_it_does_not_sell_by_a_list_that_never_catches_up(tmp_path: Path) -> None:
    sim = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, read_lag_ms=3_600_000))
    sim.clock.sleep(1)
    with pytest.raises(KalshiError, match="out of date"):
        desk(sim).plans()
    sim.close()


def test_a_close_goes_to_the_shard_of_its_market(tmp_path: Path) -> None:
    sim = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, shards=2))
    far = "KXSIM-26JUN-T9"
    spec = MarketSpec(
        ticker=far,
        event_ticker="KXSIM-26JUN",
        title="Above 9?",
        open_time=T0,
        close_time=Ts(T0 + DAY_MS),
        exchange_index=1,
    )
    sim.exchange.list_market(spec, T0)
    sim.exchange.advance(T0)
    for name in ("alice", "bob", "maker"):
        sim.exchange.deposit(name, dollars(1000), exchange_index=1)
    hold(sim, 10, ticker=far)
    hold(sim, 10)
    sim.market(40, 44, ticker=far)
    sim.market(40, 44)
    closer = desk(sim)
    assert all(closing.is_done for closing in closer.close(closer.plans()))
    assert {order.ticker: order.exchange_index for order in sent_orders(sim)} == {far: 1, TICKER: 0}
    sim.close()


@pytest.mark.parametrize("held", [30, -30])
def test_a_plan_leaves_out_the_own_bids_that_a_close_cannot_trade_with(sim: Simulation, held: int) -> None:
    hold(sim, held)
    sim.market(40, 60)
    sim.quote(BID if held > 0 else ASK, 45 if held > 0 else 55, 10, who="alice")
    (plan,) = desk(sim).plans(TICKER)
    assert plan.own_touch == cents(40)
    assert plan.expected == dollars("12.00")
