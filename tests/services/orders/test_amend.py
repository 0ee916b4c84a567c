"""An order that rests, changed by a person: reviewed, written down, sent once; its end is known or said to be not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.simulation import TICKER, Simulation

from kalshi_cli.base.errors import (
    CredentialsError,
    ExchangeError,
    NotFoundError,
    OutcomeUnknownError,
    RefusedError,
    UsageError,
)
from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.account.open_amends import is_amend_open
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account.recovery import reconcile_unknown
from kalshi_cli.services.orders import amend
from kalshi_cli.services.orders.amend import AmendRequest
from kalshi_cli.store.records import Halt


def change(sim: Simulation, order_id: str, limits: RiskLimits | None = None, **wanted: Any) -> Order:
    """Amend as a person would."""
    desk = sim.desk(limits)
    engine, proposal = amend.propose(desk, sim.client.order(order_id), AmendRequest(**wanted))
    return amend.send(desk, engine, proposal)


def decrease(sim: Simulation, order_id: str, **how: Qty) -> Order:
    return amend.decrease(sim.client, sim.clock, sim.client.order(order_id), **how)


def resting(sim: Simulation) -> list[tuple[Any, ...]]:
    return [found[1:] for found in sim.exchange.resting("alice")]


def calls(sim: Simulation, verb: str) -> int:
    return sum(1 for method, path in sim.wire.sent if method == "POST" and path.endswith(f"/{verb}"))


@pytest.fixture
def mine(sim: Simulation) -> str:
    """Ten bid at 40, resting; the market is 40 at 44."""
    sim.market()
    found: str = sim.place().order_id
    return found


# -- amend ----------------------------------------------------------------------------------------------------------


def test_price_and_size_change_and_are_on_file(sim: Simulation, mine: str) -> None:
    order = change(sim, mine, price=cents(41), qty=contracts(12))
    assert (order.price, order.remaining, order.status) == (cents(41), contracts(12), OrderStatus.RESTING)
    assert resting(sim) == [(BID, cents(41), contracts(12))]
    assert sim.store.order(mine) == order


def test_the_price_is_that_of_the_outcome_that_was_typed(sim: Simulation, mine: str) -> None:
    assert change(sim, mine, outcome="no", price=cents(59)).price == cents(41)
    with pytest.raises(UsageError, match=r"\$0\.595 is off the price grid"):
        change(sim, mine, outcome="no", price=Price(5_950))


def test_the_count_is_what_shall_be_left_whatever_has_filled(sim: Simulation, mine: str) -> None:
    sim.exchange.cancel_all("maker", sim.clock.now(), TICKER)
    sim.quote(ASK, 44)
    sim.take(ASK, 40, 4)
    order = change(sim, mine, qty=contracts(8))
    assert (order.filled, order.remaining, order.qty) == (contracts(4), contracts(8), contracts(12))
    assert resting(sim) == [(BID, cents(40), contracts(8))]


def test_an_expiry_is_set_and_taken_away(sim: Simulation, mine: str) -> None:
    order = change(sim, mine, expires_in_s=600)
    assert order.expires == (sim.clock.now() + 600_000) // 1000 * 1000
    assert sim.client.order(mine).expires == order.expires
    assert change(sim, mine, expires_in_s=0.0).expires is None
    assert sim.client.order(mine).expires is None
    sim.clock.advance(700)
    sim.exchange.advance(sim.clock.now())
    assert len(resting(sim)) == 1, "it is not cancelled at the old expiry"


def test_an_amend_that_takes_is_filled_and_booked(sim: Simulation, mine: str) -> None:
    order = change(sim, mine, price=cents(45))
    assert (order.status, order.filled) == (OrderStatus.FILLED, contracts(10))
    (fill,) = sim.store.fills()
    assert (fill.price, fill.qty) == (cents(44), contracts(10))


def test_an_amend_of_nothing_is_said_to_be_one(sim: Simulation, mine: str) -> None:
    with pytest.raises(UsageError, match=r"10 left at \$0\.40"):
        change(sim, mine, price=cents(40), qty=contracts(10))
    assert calls(sim, "amend") == 0


@pytest.mark.parametrize(
    ("code", "limits", "wanted"),
    [
        ("POSITION_LIMIT", {"max_position": contracts(12)}, {"qty": contracts(13)}),
        ("EXPOSURE", {"max_exposure": dollars(4)}, {"price": cents(41)}),
        ("ORDER_SIZE", {"max_order_qty": contracts(12)}, {"qty": contracts(13)}),
        ("PRICE_COLLAR", {"price_collar": Price(100)}, {"price": cents(46)}),
        ("BAD_COUNT", {}, {"qty": Qty(0)}),
    ],
)
def test_a_control_refuses_and_nothing_is_sent(
    sim: Simulation, mine: str, code: str, limits: dict[str, Any], wanted: dict[str, Any]
) -> None:
    with pytest.raises(RefusedError) as caught:
        change(sim, mine, RiskLimits(**limits), **wanted)
    assert (caught.value.code, calls(sim, "amend")) == (code, 0)
    assert caught.value.hint
    assert resting(sim) == [(BID, cents(40), contracts(10))]


def test_nothing_is_amended_while_halted_but_a_decrease_passes(sim: Simulation, mine: str) -> None:
    sim.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "test", sim.clock.now()))
    with pytest.raises(RefusedError) as caught:
        change(sim, mine, price=cents(41))
    assert caught.value.code == "HALTED"
    assert decrease(sim, mine, to=contracts(3)).remaining == contracts(3)


def test_a_halt_between_the_review_and_the_request_stops_it(sim: Simulation, mine: str) -> None:
    desk = sim.desk()
    engine, proposal = amend.propose(desk, sim.client.order(mine), AmendRequest(price=cents(41)))
    sim.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "test", sim.clock.now()))
    with pytest.raises(RefusedError):
        amend.send(desk, engine, proposal)
    assert calls(sim, "amend") == 0


def test_an_order_that_is_over_cannot_be_changed(sim: Simulation, mine: str) -> None:
    sim.exchange.cancel("alice", mine, sim.clock.now())
    with pytest.raises(RefusedError, match="is canceled"):
        change(sim, mine, price=cents(41))
    with pytest.raises(RefusedError, match="is canceled"):
        decrease(sim, mine, to=contracts(1))


def test_what_the_exchange_refuses_leaves_the_order_as_it_was(sim: Simulation, mine: str) -> None:
    refuse(sim, "amend", 400, "insufficient_balance")
    with pytest.raises(ExchangeError) as caught:
        change(sim, mine, price=cents(41))
    assert caught.value.code == "insufficient_balance"
    found = sim.store.order(mine)
    assert found is not None
    assert (found.status, found.price, found.code) == (OrderStatus.RESTING, cents(40), "")


def test_an_order_of_another_program_can_be_amended(sim: Simulation) -> None:
    sim.market()
    theirs = sim.quote(BID, 39, 8, who="alice")
    order = change(sim, theirs, qty=contracts(5))
    assert (order.remaining, order.is_foreign) == (contracts(5), True)


def test_the_intent_is_on_file_as_the_worse_of_both_before_the_request_leaves(sim: Simulation, mine: str) -> None:
    seen: list[Order] = []

    def look(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/amend"):
            seen.extend(sim.store.live_orders())
        return None

    sim.wire.before = look
    change(sim, mine, price=cents(42), qty=contracts(5))
    (order,) = seen
    assert is_amend_open(order)
    assert (order.price, order.remaining) == (cents(42), contracts(10))


# -- faults of the wire -----------------------------------------------------------------------------------------------


def refuse(sim: Simulation, verb: str, status: int, code: str = "internal", times: int = 99) -> None:
    """Something answers in the place of the exchange, which gets nothing."""
    seen = iter(range(1_000))
    body = b'{"error": {"code": "%s", "message": "no"}}' % code.encode()

    def before(request: httpx.Request) -> httpx.Response | None:
        if not request.url.path.endswith(f"/{verb}") or next(seen) >= times:
            return None
        return httpx.Response(status, content=body)

    sim.wire.before = before


def lose_request(sim: Simulation, verb: str) -> None:
    def before(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith(f"/{verb}"):
            raise httpx.ReadTimeout("lost on the way", request=request)
        return None

    sim.wire.before = before


def lose_reply(sim: Simulation, verb: str) -> None:
    def after(request: httpx.Request) -> None:
        if request.url.path.endswith(f"/{verb}"):
            raise httpx.ReadTimeout("no reply", request=request)

    sim.wire.after = after


def cut_reply(sim: Simulation, verb: str) -> None:
    def after(request: httpx.Request) -> None:
        if request.url.path.endswith(f"/{verb}"):
            raise httpx.RemoteProtocolError("peer closed the connection", request=request)

    sim.wire.after = after


@pytest.mark.parametrize("fault", [lose_reply, cut_reply])
@pytest.mark.parametrize(
    ("wanted", "left"),
    [
        ({"price": cents(41), "qty": contracts(12)}, [(BID, cents(41), contracts(12))]),
        ({"qty": contracts(4)}, [(BID, cents(40), contracts(4))]),
        ({"price": cents(44)}, []),
        ({"expires_in_s": 600}, [(BID, cents(40), contracts(10))]),
    ],
)
def test_a_lost_reply_is_resolved_by_reading(
    sim: Simulation, mine: str, fault: Callable[[Simulation, str], None], wanted: dict[str, Any], left: list[Any]
) -> None:
    fault(sim, "amend")
    order = change(sim, mine, **wanted)
    assert calls(sim, "amend") == 1
    assert resting(sim) == left
    assert order.status is (OrderStatus.RESTING if left else OrderStatus.FILLED)
    assert sim.store.order(mine) == order


@pytest.mark.parametrize(
    "fault",
    [lose_request, lambda sim, verb: refuse(sim, verb, 500), lambda sim, verb: refuse(sim, verb, 503)],
)
def test_an_amend_without_an_answer_reserves_the_worse_of_both_until_a_late_look(
    sim: Simulation, mine: str, fault: Callable[[Simulation, str], None]
) -> None:
    fault(sim, "amend")
    with pytest.raises(OutcomeUnknownError) as caught:
        change(sim, mine, price=cents(42), qty=contracts(5))
    assert caught.value.exit_code == 7
    assert mine in caught.value.message
    assert "kalshi order reconcile" in caught.value.hint
    assert calls(sim, "amend") == 1
    sim.wire.before = lambda _: None
    with pytest.raises(RefusedError, match="EXPOSURE"):  # 4.20 may be live, not 4.00
        sim.place(RiskLimits(max_exposure=dollars("4.50")), qty=contracts(1), price=cents(39))
    known, open_ = reconcile_unknown(sim.client, sim.store, sim.clock, RiskLimits(), sim.new_id)
    assert ([], [mine]) == (known, [order.order_id for order in open_])
    sim.clock.advance(60)
    known, open_ = reconcile_unknown(sim.client, sim.store, sim.clock, RiskLimits(), sim.new_id)
    assert open_ == []
    assert [(order.order_id, order.price, order.remaining) for order in known] == [(mine, cents(40), contracts(10))]


def test_an_amend_in_doubt_can_be_ended_by_a_cancel_and_not_by_another_amend(sim: Simulation, mine: str) -> None:
    lose_request(sim, "amend")
    with pytest.raises(OutcomeUnknownError):
        change(sim, mine, price=cents(42))
    sim.wire.before = lambda _: None
    with pytest.raises(RefusedError) as caught:
        change(sim, mine, price=cents(43))
    assert caught.value.code == "NOT_RESTING"
    sim.exchange.cancel("alice", mine, sim.clock.now())
    known, open_ = reconcile_unknown(sim.client, sim.store, sim.clock, RiskLimits(), sim.new_id)
    assert (open_, [order.status for order in known]) == ([], [OrderStatus.CANCELED])


def test_an_order_that_was_canceled_before_the_amend_came_is_said_to_be_over(sim: Simulation, mine: str) -> None:
    def cancel_first(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/amend"):
            sim.exchange.cancel("alice", mine, sim.clock.now())
        return None

    sim.wire.before = cancel_first
    with pytest.raises(ExchangeError, match="is now canceled"):
        change(sim, mine, price=cents(41))
    found = sim.store.order(mine)
    assert found is not None
    assert found.status is OrderStatus.CANCELED


# -- decrease -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("how", "left"), [({"by": contracts(3)}, 7), ({"to": contracts(3)}, 3)])
def test_a_decrease_takes_off_as_much(sim: Simulation, mine: str, how: dict[str, Qty], left: int) -> None:
    assert decrease(sim, mine, **how).remaining == contracts(left)
    assert resting(sim) == [(BID, cents(40), contracts(left))]


@pytest.mark.parametrize("how", [{"by": contracts(10)}, {"by": contracts(11)}, {"to": contracts(11)}, {"to": Qty(0)}])
def test_a_decrease_leaves_less_but_something(sim: Simulation, mine: str, how: dict[str, Qty]) -> None:
    with pytest.raises(UsageError, match="10 contracts are left") as caught:
        decrease(sim, mine, **how)
    assert "kalshi order cancel" in caught.value.hint
    assert calls(sim, "decrease") == 0


def test_a_repeated_decrease_has_the_code_of_an_amend_to_the_same_terms(sim: Simulation, mine: str) -> None:
    decrease(sim, mine, to=contracts(3))
    with pytest.raises(UsageError, match="already has 3 contracts left") as caught:
        decrease(sim, mine, to=contracts(3))
    assert (caught.value.code, calls(sim, "decrease")) == ("same_terms", 1)
    decrease(sim, mine, to=contracts(1))
    with pytest.raises(UsageError, match="already has 1 contract left"):
        decrease(sim, mine, to=contracts(1))
    with pytest.raises(UsageError, match="1 contract is left on order"):
        decrease(sim, mine, by=contracts(2))


@pytest.mark.parametrize("fault", [lose_reply, cut_reply])
@pytest.mark.parametrize("how", [{"by": contracts(3)}, {"to": contracts(7)}])
def test_a_decrease_whose_reply_is_lost_happens_once(
    sim: Simulation, mine: str, fault: Callable[[Simulation, str], None], how: dict[str, Qty]
) -> None:
    fault(sim, "decrease")
    assert decrease(sim, mine, **how).remaining == contracts(7)
    assert resting(sim) == [(BID, cents(40), contracts(7))]
    assert calls(sim, "decrease") == (1 if "by" in how else 3)


@pytest.mark.parametrize("how", [{"by": contracts(3)}, {"to": contracts(7)}])
def test_a_decrease_that_got_lost_is_unknown(sim: Simulation, mine: str, how: dict[str, Qty]) -> None:
    lose_request(sim, "decrease")
    with pytest.raises(OutcomeUnknownError, match=mine):
        decrease(sim, mine, **how)
    assert resting(sim) == [(BID, cents(40), contracts(10))]


def test_a_decrease_to_is_repeated_through_a_short_outage(sim: Simulation, mine: str) -> None:
    refuse(sim, "decrease", 503, times=2)
    assert decrease(sim, mine, to=contracts(7)).remaining == contracts(7)
    assert calls(sim, "decrease") == 3


def test_a_refusal_of_the_second_attempt_does_not_hide_that_the_first_was_taken(sim: Simulation, mine: str) -> None:
    lose_reply(sim, "decrease")
    seen = iter(range(1_000))

    def before(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/decrease") and next(seen) > 0:
            return httpx.Response(400, content=b'{"error": {"code": "invalid_order_size", "message": "no"}}')
        return None

    sim.wire.before = before
    assert decrease(sim, mine, to=contracts(7)).remaining == contracts(7)


@pytest.mark.parametrize(("status", "kind"), [(400, ExchangeError), (404, NotFoundError), (403, CredentialsError)])
def test_a_refusal_of_a_decrease_is_a_refusal(sim: Simulation, mine: str, status: int, kind: type[Exception]) -> None:
    refuse(sim, "decrease", status, "not_found" if status == 404 else "forbidden")
    begun = sim.clock.monotonic()
    with pytest.raises(kind):
        decrease(sim, mine, by=contracts(1))
    assert sim.clock.monotonic() - begun < 2, "one look, no waiting"


def test_an_order_that_filled_before_the_decrease_came_is_said_to_be_over(sim: Simulation, mine: str) -> None:
    def fill_first(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/decrease") and sim.exchange.resting("alice"):
            sim.exchange.cancel_all("maker", sim.clock.now(), TICKER)
            sim.take(ASK, 40, 10)
        return None

    sim.wire.before = fill_first
    with pytest.raises(ExchangeError, match="is now filled"):
        decrease(sim, mine, by=contracts(1))


def test_the_moment_of_an_expiry_is_a_whole_second(sim: Simulation, mine: str) -> None:
    sim.clock.advance(0.4)
    order = change(sim, mine, expires_in_s=1.9)
    assert order.expires == Ts((sim.clock.now() + 1_900) // 1000 * 1000)
