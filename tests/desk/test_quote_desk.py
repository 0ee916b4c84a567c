"""Quotes by the desk: reviewed like orders, sent once, and their end known or said to be unknown."""

from __future__ import annotations

import httpx
import pytest
from talk_stage import accepted, answered, wanted
from virtual import TICKER, Virtual

from kalshi_cli.base.errors import (
    ExchangeError,
    HaltedError,
    KalshiError,
    OutcomeUnknownError,
    RefusedError,
    UnreachableError,
)
from kalshi_cli.base.units import cents, contracts, dollars
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.limits import Limits
from kalshi_cli.desk import quotes
from kalshi_cli.desk.account import reconcile_unknown
from kalshi_cli.desk.cancel import Scope
from kalshi_cli.desk.halts import refuse_if_halted
from kalshi_cli.desk.kill import KillSwitch
from kalshi_cli.store.records import Halt


def lose_reply(request: httpx.Request) -> None:
    if request.method == "PUT":
        raise httpx.ReadTimeout("no reply", request=request)


def lose_request(request: httpx.Request) -> httpx.Response | None:
    if request.method == "PUT":
        raise httpx.ReadTimeout("lost on the way", request=request)
    return None


def puts(virtual: Virtual) -> int:
    return sum(1 for method, _ in virtual.wire.sent if method == "PUT")


def propose(virtual: Virtual, ids: tuple[str, str], side: str = "no", limits: Limits | None = None) -> quotes.Deal:
    return quotes.propose_accept(virtual.desk(limits), *ids, side)


def test_what_an_acceptance_costs_is_known_before(virtual: Virtual) -> None:
    virtual.market()
    deal = propose(virtual, answered(virtual))
    order = deal.proposals[0].submit.order
    assert (order.side.value, order.price, order.qty) == ("bid", cents(45), contracts(10))
    assert deal.proposals[0].cost == dollars("4.50")
    no = propose(virtual, (deal.rfq.rfq_id, deal.quote.quote_id), "yes")  # type: ignore[union-attr]
    order = no.proposals[0].submit.order
    assert (order.side.value, order.price) == ("ask", cents(40))
    assert puts(virtual) == 0


def test_an_accepted_quote_is_followed_to_its_execution(virtual: Virtual) -> None:
    virtual.market()
    deal = propose(virtual, answered(virtual, confirms_ms=1_000))
    quote = quotes.accept(virtual.desk(), deal, "no")
    assert quote.status == "accepted"
    done = quotes.follow(virtual.client, virtual.clock, quote, 60)
    assert done.status == "executed"
    assert virtual.exchange.position("alice", TICKER) == contracts(10)


def test_a_follower_gives_up_when_its_time_is_over(virtual: Virtual) -> None:
    virtual.market()
    deal = propose(virtual, answered(virtual))
    quote = quotes.accept(virtual.desk(), deal, "no")
    assert quotes.follow(virtual.client, virtual.clock, quote, 5).status == "accepted"
    assert quotes.follow(virtual.client, virtual.clock, quote, 60).reason == "not_confirmed"


def test_an_answer_that_is_lost_is_looked_for_and_nothing_is_sent_twice(virtual: Virtual) -> None:
    virtual.market()
    deal = propose(virtual, answered(virtual))
    virtual.wire.after = lose_reply
    assert quotes.accept(virtual.desk(), deal, "no").status == "accepted"
    assert puts(virtual) == 1


def test_what_is_not_seen_accepted_stays_unknown(virtual: Virtual) -> None:
    virtual.market()
    rfq, quote = answered(virtual)
    deal = propose(virtual, (rfq, quote))
    virtual.wire.before = lose_request
    with pytest.raises(OutcomeUnknownError, match=quote) as found:
        quotes.accept(virtual.desk(), deal, "no")
    assert f"kalshi rfq quotes {rfq}" in found.value.hint
    assert puts(virtual) == 1


def test_a_quote_that_is_cancelled_meanwhile_was_provably_not_accepted(virtual: Virtual) -> None:
    virtual.market()
    rfq, quote = answered(virtual)
    deal = propose(virtual, (rfq, quote))

    def lose_and_cancel(request: httpx.Request) -> httpx.Response | None:
        if request.method == "PUT":
            record = virtual.exchange._state.talks.quotes[quote]
            virtual.exchange._quotes.retract("bob", record, virtual.clock.now())
        return lose_request(request)

    virtual.wire.before = lose_and_cancel
    with pytest.raises(UnreachableError, match="cancelled") as found:
        quotes.accept(virtual.desk(), deal, "no")
    assert found.value.code == "never_arrived"
    assert virtual.store.live_orders() == ()


def test_a_halt_between_the_review_and_the_request_stops_it(virtual: Virtual) -> None:
    virtual.market()
    deal = propose(virtual, answered(virtual))

    def halted(_reviewed: object) -> None:
        raise HaltedError("halted meanwhile")

    virtual.client = virtual.connect(before_create=halted)
    with pytest.raises(RefusedError) as found:
        quotes.accept(virtual.desk(), deal, "no")
    assert found.value.code == "HALTED"
    assert puts(virtual) == 0
    refuse_if_halted(virtual.store)  # nothing else halted it
    assert virtual.store.live_orders() == (), "nothing has left, and nothing counts"


# -- what was agreed on counts before it trades -----------------------------------------------------------------------

TEN = Limits(max_position=contracts(10))


def later(virtual: Virtual, seconds: int) -> None:
    for _ in range(seconds):
        virtual.clock.advance(1)
        virtual.exchange.advance(virtual.clock.now())


def test_what_an_acceptance_may_trade_is_on_file_before_the_request_leaves(virtual: Virtual) -> None:
    virtual.market()
    deal = propose(virtual, answered(virtual))
    seen: list[Order] = []

    def look(request: httpx.Request) -> None:
        if request.method == "PUT":
            seen.extend(virtual.store.live_orders())

    virtual.wire.before = look  # type: ignore[assignment]
    quotes.accept(virtual.desk(), deal, "no")
    (order,) = seen
    assert (order.status, order.ticker, order.price, order.qty) == (
        OrderStatus.UNKNOWN,
        TICKER,
        cents(45),
        contracts(10),
    )


@pytest.mark.parametrize("confirms_ms", [10_000, None], ids=["it trades", "it lapses"])
def test_an_accepted_quote_counts_in_every_limit_until_it_traded_or_never_will(
    virtual: Virtual, confirms_ms: int | None
) -> None:
    virtual.market()
    quotes.accept(virtual.desk(), propose(virtual, answered(virtual, confirms_ms=confirms_ms)), "no")
    with pytest.raises(RefusedError) as found:
        virtual.place(TEN, price=cents(44))
    assert found.value.code == "POSITION_LIMIT"
    later(virtual, 62)
    traded = contracts(10) if confirms_ms else 0
    assert virtual.exchange.position("alice", TICKER) == traded
    known, unknown = reconcile_unknown(virtual.client, virtual.store, virtual.clock, TEN, virtual.new_id)
    assert ([order.status for order in known], unknown) == ([OrderStatus.NEVER_ARRIVED], [])
    if traded:
        with pytest.raises(RefusedError, match="POSITION_LIMIT"):
            virtual.place(TEN, price=cents(44))
    else:
        assert virtual.place(TEN, price=cents(44)).filled == contracts(10)


def test_before_its_time_is_over_no_read_says_that_it_never_trades(virtual: Virtual) -> None:
    virtual.market()
    deal = propose(virtual, answered(virtual, confirms_ms=29_900))

    def slow(request: httpx.Request) -> None:
        if request.method == "PUT":
            virtual.clock.advance(4)

    virtual.wire.before = slow  # type: ignore[assignment]
    quotes.accept(virtual.desk(), deal, "no")
    later(virtual, 43)
    _, unknown = reconcile_unknown(virtual.client, virtual.store, virtual.clock, TEN, virtual.new_id)
    assert len(unknown) == 1
    later(virtual, 2)
    assert virtual.exchange.position("alice", TICKER) == contracts(10), "it could"


def test_a_refused_acceptance_counts_for_nothing(virtual: Virtual) -> None:
    virtual.market()
    deal = propose(virtual, answered(virtual))
    body = b'{"error": {"code": "insufficient_balance", "message": "no"}}'
    virtual.wire.before = lambda request: httpx.Response(400, content=body) if request.method == "PUT" else None
    with pytest.raises(ExchangeError):
        quotes.accept(virtual.desk(), deal, "no")
    assert virtual.store.live_orders() == ()


def test_a_halt_on_file_stops_an_acceptance(virtual: Virtual) -> None:
    virtual.market()
    deal = propose(virtual, answered(virtual))
    virtual.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "test", virtual.clock.now()))
    with pytest.raises(RefusedError) as found:
        quotes.accept(virtual.desk(), deal, "no")
    assert (found.value.code, puts(virtual)) == ("HALTED", 0)


def reducing_between_tries(virtual: Virtual, before: TradingState) -> list[str]:
    """The first request is refused for pace, and a guard trips before the second; the account was `before`."""
    sent: list[str] = []
    now = virtual.clock.now()
    virtual.store.set_halt(Halt(before, "DAILY_LOSS", "test", now))

    def busy(request: httpx.Request) -> httpx.Response | None:
        is_talk = "/communications/" in request.url.path and request.method in ("PUT", "POST")
        if not is_talk or sent.append(request.url.path) or len(sent) > 1:
            return None
        virtual.store.set_halt(Halt(TradingState.REDUCING, "DAILY_LOSS", "test", now))
        return httpx.Response(429, content=b'{"error": "too many requests"}')

    virtual.client = virtual.connect(before_create=lambda reviewed: refuse_if_halted(virtual.store, reviewed))
    virtual.wire.before = busy
    return sent


def test_a_guard_that_trips_between_two_tries_stops_an_acceptance(virtual: Virtual) -> None:
    virtual.market()
    deal = propose(virtual, answered(virtual))
    sent = reducing_between_tries(virtual, TradingState.ACTIVE)
    with pytest.raises(RefusedError) as found:
        quotes.accept(virtual.desk(), deal, "no")
    assert (found.value.code, len(sent)) == ("REDUCING", 1)
    assert virtual.store.live_orders() == (), "nothing was taken, and nothing counts"


def test_a_guard_that_trips_between_two_tries_stops_a_confirmation(virtual: Virtual) -> None:
    virtual.market()
    rfq_id, quote_id = accepted(virtual)
    deal = quotes.propose_confirm(virtual.desk(), quote_id, rfq_id)
    sent = reducing_between_tries(virtual, TradingState.ACTIVE)
    with pytest.raises(RefusedError) as found:
        quotes.confirm(virtual.desk(), deal)
    assert (found.value.code, len(sent)) == ("REDUCING", 1)


def test_a_guard_that_trips_between_two_tries_stops_a_quote(virtual: Virtual) -> None:
    virtual.market()
    rfq_id = wanted(virtual)
    bid = cents(40)
    deal = quotes.propose_quote(virtual.desk(), rfq_id, bid, None, post_only=False, subaccount=None)
    sent = reducing_between_tries(virtual, TradingState.ACTIVE)
    with pytest.raises(RefusedError) as found:
        quotes.create(virtual.desk(), deal, bid, None, rest=False)
    assert (found.value.code, len(sent)) == ("REDUCING", 1)


def test_what_was_reviewed_as_reducing_is_tried_again_while_only_that_is_taken(virtual: Virtual) -> None:
    virtual.market()
    virtual.place(action="buy", qty=contracts(10), price=cents(44))
    ids = answered(virtual)
    virtual.store.set_halt(Halt(TradingState.REDUCING, "DAILY_LOSS", "test", virtual.clock.now()))
    deal = propose(virtual, ids, "yes")  # to meet the YES bid is to sell what is held
    sent = reducing_between_tries(virtual, TradingState.REDUCING)
    quotes.accept(virtual.desk(), deal, "yes")
    assert len(sent) == 2


@pytest.mark.parametrize(("within_s", "is_clean"), [(30.0, False), (120.0, True)])
def test_the_kill_switch_is_not_done_while_an_accepted_quote_may_trade(
    virtual: Virtual, within_s: float, is_clean: bool
) -> None:
    virtual.market()
    quotes.accept(virtual.desk(), propose(virtual, answered(virtual)), "no")
    outcome = KillSwitch(
        virtual.client,
        virtual.clock,
        Scope(),
        tell=virtual.said.append,
        live=virtual.store.live_orders,
        look_up=lambda: reconcile_unknown(virtual.client, virtual.store, virtual.clock, TEN, virtual.new_id),
    ).run(within_s)
    assert outcome.is_clean is is_clean
    assert [order.reason.split()[0] for order in outcome.in_doubt] == ([] if is_clean else ["quote"])


def test_what_may_trade_is_found_on_both_sides_of_a_quote_and_until_when(virtual: Virtual) -> None:
    virtual.market()
    assert quotes.agreed(virtual.client, virtual.said.append) == ()
    rfq, mine = accepted(virtual)
    assert quotes.agreed(virtual.client, virtual.said.append) == (), "only we can confirm it"
    virtual.client.confirm_quote(mine, rfq)
    _, taken = deal = answered(virtual)
    virtual.client.accept_quote(taken, "no", deal[0])
    found = quotes.agreed(virtual.client, virtual.said.append)
    assert [quote.quote_id for quote in found] == [taken, mine]
    assert {quotes.trades_by(quote) for quote in found} == {virtual.clock.now() + 60_000}


@pytest.mark.parametrize(("status", "is_told"), [(403, False), (404, False), (500, True)])
def test_a_key_that_may_not_look_at_quotes_holds_up_nothing(virtual: Virtual, status: int, is_told: bool) -> None:
    virtual.wire.before = lambda _request: httpx.Response(status, content=b"{}")
    assert quotes.agreed(virtual.client, virtual.said.append) == ()
    assert any("not known" in text for text in virtual.said) is is_told


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (Limits(max_order_qty=contracts(9)), "ORDER_SIZE"),
        (Limits(max_order_cost=dollars("4.49")), "ORDER_COST"),
        (Limits(max_position=contracts(9)), "POSITION_LIMIT"),
        (Limits(max_exposure=dollars("4.49")), "EXPOSURE"),
        (Limits(price_collar=cents(0)), "PRICE_COLLAR"),
    ],
)
def test_every_control_of_an_order_holds_for_an_acceptance(virtual: Virtual, limits: Limits, code: str) -> None:
    virtual.market()
    ids = answered(virtual)
    with pytest.raises(RefusedError) as found:
        propose(virtual, ids, limits=limits)
    assert found.value.code == code
    assert propose(virtual, ids, limits=Limits()).proposals, "it was the limit"


def test_the_makers_confirmation_is_reviewed_and_followed(virtual: Virtual) -> None:
    virtual.market()
    rfq, quote = accepted(virtual)
    with pytest.raises(RefusedError) as found:
        quotes.propose_confirm(virtual.desk(Limits(max_order_qty=contracts(9))), quote, rfq)
    assert found.value.code == "ORDER_SIZE"
    deal = quotes.propose_confirm(virtual.desk(), quote, rfq)
    order = deal.proposals[0].submit.order
    assert (order.side.value, order.price) == ("ask", cents(45)), "a bid for NO at 55 is an ask at 45"
    virtual.wire.after = lose_reply
    confirmed = quotes.confirm(virtual.desk(), deal)
    virtual.wire.after = lambda _request: None
    assert quotes.follow(virtual.client, virtual.clock, confirmed, 30).status == "executed"
    assert puts(virtual) == 1


def test_a_bid_on_a_cost_is_reviewed_at_the_most_it_could_mean(virtual: Virtual) -> None:
    virtual.market()
    rfq = wanted(virtual)
    record = virtual.exchange._state.talks.rfqs[rfq]
    record.qty, record.target = None, dollars(6)
    deal = quotes.propose_quote(virtual.desk(), rfq, cents(40), None, post_only=False, subaccount=0)
    assert deal.tickets[0].qty == contracts(10), "six dollars buy ten NO at 60 cents"
    made = quotes.create(virtual.desk(), deal, cents(40), None, rest=False)
    assert virtual.client.quote(made, rfq).qty("yes") <= contracts(10)


def test_only_what_is_ours_and_ready_goes_on(virtual: Virtual) -> None:
    virtual.market()
    rfq, quote = answered(virtual)
    for wrong in (
        lambda: quotes.propose_confirm(virtual.desk(), quote, rfq),
        lambda: quotes.propose_quote(virtual.desk(), rfq, cents(40), None, post_only=False, subaccount=0),
        lambda: quotes.propose_quote(virtual.desk(), rfq, cents(60), cents(50), post_only=False, subaccount=0),
    ):
        with pytest.raises(KalshiError):
            wrong()
    assert puts(virtual) == 0
