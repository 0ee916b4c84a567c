"""Quotes by the desk: reviewed like orders, sent once, and their end known or said to be unknown."""

from __future__ import annotations

import httpx
import msgspec
import pytest
from support.every_call import accepted, answered, wanted
from support.simulation import TICKER, Simulation

from kalshi_cli.base.errors import (
    ExchangeError,
    HaltedError,
    KalshiError,
    OutcomeUnknownError,
    RefusedError,
    UnreachableError,
    UsageError,
)
from kalshi_cli.base.units import cents, contracts, dollars
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account.recovery import reconcile_unknown
from kalshi_cli.services.orders import quotes
from kalshi_cli.services.orders.cancel import CancelScope
from kalshi_cli.services.orders.kill_switch import KillSwitch
from kalshi_cli.services.trading.halts import refuse_if_halted
from kalshi_cli.store.records import Halt


def lose_reply(request: httpx.Request) -> None:
    if request.method == "PUT":
        raise httpx.ReadTimeout("no reply", request=request)


def lose_request(request: httpx.Request) -> httpx.Response | None:
    if request.method == "PUT":
        raise httpx.ReadTimeout("lost on the way", request=request)
    return None


def puts(sim: Simulation) -> int:
    return sum(1 for method, _ in sim.wire.sent if method == "PUT")


def propose(
    sim: Simulation, ids: tuple[str, str], side: str = "no", limits: RiskLimits | None = None
) -> quotes.QuoteTrade:
    return quotes.propose_accept(sim.desk(limits), *ids, side)


def test_what_an_acceptance_costs_is_known_before(sim: Simulation) -> None:
    sim.market()
    deal = propose(sim, answered(sim))
    order = deal.proposals[0].submit.order
    assert (order.side.value, order.price, order.qty) == ("bid", cents(45), contracts(10))
    assert deal.proposals[0].cost == dollars("4.50")
    no = propose(sim, (deal.rfq.rfq_id, deal.quote.quote_id), "yes")  # type: ignore[union-attr]
    order = no.proposals[0].submit.order
    assert (order.side.value, order.price) == ("ask", cents(40))
    assert puts(sim) == 0


def test_an_accepted_quote_is_followed_to_its_execution(sim: Simulation) -> None:
    sim.market()
    deal = propose(sim, answered(sim, confirms_ms=1_000))
    quote = quotes.accept(sim.desk(), deal, "no")
    assert quote.status == "accepted"
    done = quotes.follow(sim.client, sim.clock, quotes.quote_row(quote), 60)
    assert done.status == "executed"
    assert sim.exchange.position("alice", TICKER) == contracts(10)


def test_a_follower_gives_up_when_its_time_is_over(sim: Simulation) -> None:
    sim.market()
    deal = propose(sim, answered(sim))
    quote = quotes.accept(sim.desk(), deal, "no")
    assert quotes.follow(sim.client, sim.clock, quotes.quote_row(quote), 5).status == "accepted"
    assert quotes.follow(sim.client, sim.clock, quotes.quote_row(quote), 60).reason == "not_confirmed"


def test_an_answer_that_is_lost_is_looked_for_and_nothing_is_sent_twice(sim: Simulation) -> None:
    sim.market()
    deal = propose(sim, answered(sim))
    sim.wire.after = lose_reply
    assert quotes.accept(sim.desk(), deal, "no").status == "accepted"
    assert puts(sim) == 1


def test_what_is_not_seen_accepted_stays_unknown(sim: Simulation) -> None:
    sim.market()
    rfq, quote = answered(sim)
    deal = propose(sim, (rfq, quote))
    sim.wire.before = lose_request
    with pytest.raises(OutcomeUnknownError, match=quote) as found:
        quotes.accept(sim.desk(), deal, "no")
    assert f"kalshi rfq quotes {rfq}" in found.value.hint
    assert puts(sim) == 1


def test_a_quote_that_is_cancelled_meanwhile_was_provably_not_accepted(sim: Simulation) -> None:
    sim.market()
    rfq, quote = answered(sim)
    deal = propose(sim, (rfq, quote))

    def lose_and_cancel(request: httpx.Request) -> httpx.Response | None:
        if request.method == "PUT":
            record = sim.exchange._state.talks.quotes[quote]
            sim.exchange._quotes.delete_quote("bob", record, sim.clock.now())
        return lose_request(request)

    sim.wire.before = lose_and_cancel
    with pytest.raises(UnreachableError, match="canceled") as found:
        quotes.accept(sim.desk(), deal, "no")
    assert found.value.code == "never_arrived"
    assert sim.store.live_orders() == ()


def test_a_halt_between_the_review_and_the_request_stops_it(sim: Simulation) -> None:
    sim.market()
    deal = propose(sim, answered(sim))

    def halted(_reviewed: object) -> None:
        raise HaltedError("halted meanwhile")

    sim.client = sim.connect(before_create=halted)
    with pytest.raises(RefusedError) as found:
        quotes.accept(sim.desk(), deal, "no")
    assert found.value.code == "HALTED"
    assert puts(sim) == 0
    refuse_if_halted(sim.store)  # nothing else halted it
    assert sim.store.live_orders() == (), "nothing has left, and nothing counts"


# -- what was agreed on counts before it trades -----------------------------------------------------------------------

TEN = RiskLimits(max_position=contracts(10))


def later(sim: Simulation, seconds: int) -> None:
    for _ in range(seconds):
        sim.clock.advance(1)
        sim.exchange.advance(sim.clock.now())


def test_what_an_acceptance_may_trade_is_on_file_before_the_request_leaves(sim: Simulation) -> None:
    sim.market()
    deal = propose(sim, answered(sim))
    seen: list[Order] = []

    def look(request: httpx.Request) -> None:
        if request.method == "PUT":
            seen.extend(sim.store.live_orders())

    sim.wire.before = look
    quotes.accept(sim.desk(), deal, "no")
    (order,) = seen
    assert (order.status, order.ticker, order.price, order.qty) == (
        OrderStatus.UNKNOWN,
        TICKER,
        cents(45),
        contracts(10),
    )


@pytest.mark.parametrize("confirms_ms", [10_000, None], ids=["it trades", "it lapses"])
def test_an_accepted_quote_counts_in_every_limit_until_it_traded_or_never_will(
    sim: Simulation, confirms_ms: int | None
) -> None:
    sim.market()
    quotes.accept(sim.desk(), propose(sim, answered(sim, confirms_ms=confirms_ms)), "no")
    with pytest.raises(RefusedError) as found:
        sim.place(TEN, price=cents(44))
    assert found.value.code == "POSITION_LIMIT"
    later(sim, 62)
    traded = contracts(10) if confirms_ms else 0
    assert sim.exchange.position("alice", TICKER) == traded
    known, unknown = reconcile_unknown(sim.client, sim.store, sim.clock, TEN, sim.new_id)
    assert ([order.status for order in known], unknown) == ([OrderStatus.NEVER_ARRIVED], [])
    if traded:
        with pytest.raises(RefusedError, match="POSITION_LIMIT"):
            sim.place(TEN, price=cents(44))
    else:
        assert sim.place(TEN, price=cents(44)).filled == contracts(10)


def test_before_its_time_is_over_no_read_says_that_it_never_trades(sim: Simulation) -> None:
    sim.market()
    deal = propose(sim, answered(sim, confirms_ms=29_900))

    def slow(request: httpx.Request) -> None:
        if request.method == "PUT":
            sim.clock.advance(4)

    sim.wire.before = slow
    quotes.accept(sim.desk(), deal, "no")
    later(sim, 43)
    _, unknown = reconcile_unknown(sim.client, sim.store, sim.clock, TEN, sim.new_id)
    assert len(unknown) == 1
    later(sim, 2)
    assert sim.exchange.position("alice", TICKER) == contracts(10), "it could"


def test_a_refused_acceptance_counts_for_nothing(sim: Simulation) -> None:
    sim.market()
    deal = propose(sim, answered(sim))
    body = b'{"error": {"code": "insufficient_balance", "message": "no"}}'
    sim.wire.before = lambda request: httpx.Response(400, content=body) if request.method == "PUT" else None
    with pytest.raises(ExchangeError):
        quotes.accept(sim.desk(), deal, "no")
    assert sim.store.live_orders() == ()


def test_a_halt_on_file_stops_an_acceptance(sim: Simulation) -> None:
    sim.market()
    deal = propose(sim, answered(sim))
    sim.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "test", sim.clock.now()))
    with pytest.raises(RefusedError) as found:
        quotes.accept(sim.desk(), deal, "no")
    assert (found.value.code, puts(sim)) == ("HALTED", 0)


def reducing_between_tries(sim: Simulation, before: TradingState) -> list[str]:
    """The first request is refused for pace, and a guard trips before the second; the account was `before`."""
    sent: list[str] = []
    now = sim.clock.now()
    sim.store.set_halt(Halt(before, "DAILY_LOSS", "test", now))

    def busy(request: httpx.Request) -> httpx.Response | None:
        is_talk = "/communications/" in request.url.path and request.method in ("PUT", "POST")
        if not is_talk or sent.append(request.url.path) or len(sent) > 1:
            return None
        sim.store.set_halt(Halt(TradingState.REDUCING, "DAILY_LOSS", "test", now))
        return httpx.Response(429, content=b'{"error": "too many requests"}')

    sim.client = sim.connect(before_create=lambda reviewed: refuse_if_halted(sim.store, reviewed))
    sim.wire.before = busy
    return sent


def test_a_guard_that_trips_between_two_tries_stops_an_acceptance(sim: Simulation) -> None:
    sim.market()
    deal = propose(sim, answered(sim))
    sent = reducing_between_tries(sim, TradingState.ACTIVE)
    with pytest.raises(RefusedError) as found:
        quotes.accept(sim.desk(), deal, "no")
    assert (found.value.code, len(sent)) == ("REDUCING", 1)
    assert sim.store.live_orders() == (), "nothing was taken, and nothing counts"


def test_a_guard_that_trips_between_two_tries_stops_a_confirmation(sim: Simulation) -> None:
    sim.market()
    rfq_id, quote_id = accepted(sim)
    deal = quotes.propose_confirm(sim.desk(), quote_id, rfq_id)
    sent = reducing_between_tries(sim, TradingState.ACTIVE)
    with pytest.raises(RefusedError) as found:
        quotes.confirm(sim.desk(), deal)
    assert (found.value.code, len(sent)) == ("REDUCING", 1)


def test_a_guard_that_trips_between_two_tries_stops_a_quote(sim: Simulation) -> None:
    sim.market()
    rfq_id = wanted(sim)
    bid = cents(40)
    deal = quotes.propose_quote(sim.desk(), rfq_id, bid, None, post_only=False, subaccount=None)
    sent = reducing_between_tries(sim, TradingState.ACTIVE)
    with pytest.raises(RefusedError) as found:
        quotes.create(sim.desk(), deal, bid, None, rest=False)
    assert (found.value.code, len(sent)) == ("REDUCING", 1)


def test_what_was_reviewed_as_reducing_is_tried_again_while_only_that_is_taken(sim: Simulation) -> None:
    sim.market()
    sim.place(action="buy", qty=contracts(10), price=cents(44))
    ids = answered(sim)
    sim.store.set_halt(Halt(TradingState.REDUCING, "DAILY_LOSS", "test", sim.clock.now()))
    deal = propose(sim, ids, "yes")  # to meet the YES bid is to sell what is held
    sent = reducing_between_tries(sim, TradingState.REDUCING)
    quotes.accept(sim.desk(), deal, "yes")
    assert len(sent) == 2


@pytest.mark.parametrize(("within_s", "is_clean"), [(30.0, False), (120.0, True)])
def test_the_kill_switch_is_not_done_while_an_accepted_quote_may_trade(
    sim: Simulation, within_s: float, is_clean: bool
) -> None:
    sim.market()
    quotes.accept(sim.desk(), propose(sim, answered(sim)), "no")
    outcome = KillSwitch(
        sim.client,
        sim.clock,
        CancelScope(),
        tell=sim.said.append,
        live=sim.store.live_orders,
        look_up=lambda: reconcile_unknown(sim.client, sim.store, sim.clock, TEN, sim.new_id),
    ).run(within_s)
    assert outcome.is_clean is is_clean
    assert [order.reason.split()[0] for order in outcome.in_doubt] == ([] if is_clean else ["quote"])


def test_what_may_trade_is_found_on_both_sides_of_a_quote_and_until_when(sim: Simulation) -> None:
    sim.market()
    assert quotes.accepted_quotes(sim.client, sim.said.append) == ()
    rfq, mine = accepted(sim)
    assert quotes.accepted_quotes(sim.client, sim.said.append) == (), "only we can confirm it"
    sim.client.confirm_quote(mine, rfq)
    _, taken = deal = answered(sim)
    sim.client.accept_quote(taken, "no", deal[0])
    found = quotes.accepted_quotes(sim.client, sim.said.append)
    assert [quote.quote_id for quote in found] == [taken, mine]
    assert {quotes.execution_deadline(quote) for quote in found} == {sim.clock.now() + 60_000}


@pytest.mark.parametrize(("status", "is_told"), [(403, False), (404, False), (500, True)])
def test_a_key_that_may_not_look_at_quotes_holds_up_nothing(sim: Simulation, status: int, is_told: bool) -> None:
    sim.wire.before = lambda _request: httpx.Response(status, content=b"{}")
    assert quotes.accepted_quotes(sim.client, sim.said.append) == ()
    assert any("Unknown whether quotes" in text for text in sim.said) is is_told


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (RiskLimits(max_order_qty=contracts(9)), "ORDER_SIZE"),
        (RiskLimits(max_order_cost=dollars("4.49")), "ORDER_COST"),
        (RiskLimits(max_position=contracts(9)), "POSITION_LIMIT"),
        (RiskLimits(max_exposure=dollars("4.49")), "EXPOSURE"),
        (RiskLimits(price_collar=cents(0)), "PRICE_COLLAR"),
    ],
)
def test_every_control_of_an_order_holds_for_an_acceptance(sim: Simulation, limits: RiskLimits, code: str) -> None:
    sim.market()
    ids = answered(sim)
    with pytest.raises(RefusedError) as found:
        propose(sim, ids, limits=limits)
    assert found.value.code == code
    assert propose(sim, ids, limits=RiskLimits()).proposals, "it was the limit"


def test_the_makers_confirmation_is_reviewed_and_followed(sim: Simulation) -> None:
    sim.market()
    rfq, quote = accepted(sim)
    with pytest.raises(RefusedError) as found:
        quotes.propose_confirm(sim.desk(RiskLimits(max_order_qty=contracts(9))), quote, rfq)
    assert found.value.code == "ORDER_SIZE"
    deal = quotes.propose_confirm(sim.desk(), quote, rfq)
    order = deal.proposals[0].submit.order
    assert (order.side.value, order.price) == ("ask", cents(45)), "a bid for NO at 55 is an ask at 45"
    sim.wire.after = lose_reply
    confirmed = quotes.confirm(sim.desk(), deal)
    sim.wire.after = lambda _request: None
    assert quotes.follow(sim.client, sim.clock, quotes.quote_row(confirmed), 30).status == "executed"
    assert puts(sim) == 1


def test_a_bid_on_a_cost_is_reviewed_at_the_most_it_could_mean(sim: Simulation) -> None:
    sim.market()
    rfq = wanted(sim)
    record = sim.exchange._state.talks.rfqs[rfq]
    record.qty, record.target = None, dollars(6)
    deal = quotes.propose_quote(sim.desk(), rfq, cents(40), None, post_only=False, subaccount=0)
    assert deal.tickets[0].qty == contracts(10), "six dollars buy ten NO at 60 cents"
    made = quotes.create(sim.desk(), deal, cents(40), None, rest=False)
    assert sim.client.quote(made, rfq).qty("yes") <= contracts(10)


def test_only_what_is_ours_and_ready_goes_on(sim: Simulation) -> None:
    sim.market()
    rfq, quote = answered(sim)
    for wrong in (
        lambda: quotes.propose_confirm(sim.desk(), quote, rfq),
        lambda: quotes.propose_quote(sim.desk(), rfq, cents(40), None, post_only=False, subaccount=0),
        lambda: quotes.propose_quote(sim.desk(), rfq, cents(60), cents(50), post_only=False, subaccount=0),
    ):
        with pytest.raises(KalshiError):
            wrong()
    assert puts(sim) == 0


@pytest.mark.parametrize("side", ["", "YES", "both"])
def test_a_quote_that_was_accepted_on_no_known_side_is_not_confirmed(
    sim: Simulation, monkeypatch: pytest.MonkeyPatch, side: str
) -> None:
    sim.market()
    rfq, quote = accepted(sim)
    read = sim.client.quote
    monkeypatch.setattr(sim.client, "quote", lambda *ids: msgspec.structs.replace(read(*ids), accepted_side=side))
    with pytest.raises(UnreachableError, match="names no side of the accepted quote"):
        quotes.propose_confirm(sim.desk(), quote, rfq)
    with pytest.raises(UsageError, match="side must be one of yes, no"):
        quotes.propose_accept(sim.desk(), rfq, quote, side)
    assert puts(sim) == 0
