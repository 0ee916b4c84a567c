"""Orders from Python: each write is a plan that is shown, and executed once as it was shown."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from support.fault_proxy import Fault, fault_proxy
from support.served import EMPTY, ME, ONE_SIDED, TWO_SIDED, Served

from kalshi_cli import AmendRequest, Kalshi, OrderTicket
from kalshi_cli.base.errors import ExitCode, NotFoundError, RefusedError, UsageError
from kalshi_cli.base.units import cents, contracts, dollars
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.services.orders import cancel, service
from kalshi_cli.services.orders.service import OrderService
from kalshi_cli.views.frames import to_dicts
from kalshi_cli.views.plans import OrderPlan


@pytest.fixture
def kalshi(exchange: Served) -> Iterator[Kalshi]:
    with Kalshi.open(env="sim") as opened:
        yield opened


def buy(kalshi: Kalshi, ticker: str = TWO_SIDED, **changes: Any) -> OrderPlan:
    terms: dict[str, Any] = {"side": "yes", "action": "buy", "count": "10", "price": "0.41"}
    return kalshi.orders.plan_place(ticker, **(terms | changes))


def test_a_plan_says_what_it_costs_and_sends_nothing(kalshi: Kalshi, exchange: Served) -> None:
    plan = buy(kalshi)
    assert (plan.cost, plan.max_payout) == (dollars("4.10"), dollars(10))
    assert plan.max_loss == plan.cost + plan.fees > plan.cost
    assert (plan.warnings, plan.unknown_orders) == ((), 0)
    assert "buy 10 YES at $0.41" in plan.facts[0]
    assert exchange.resting() == []
    assert "This market has no quotes" in buy(kalshi, EMPTY).warnings[0]


def test_a_plan_that_closes_a_position_says_how_much_and_what_it_brings(kalshi: Kalshi, exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3")
    plan = buy(kalshi, action="sell", count="4", price="0.48")
    assert (plan.closing, plan.proceeds) == (contracts(3), dollars("1.44"))
    assert (plan.cost, plan.max_payout) == (dollars("2.08"), dollars(4)), "as if all of it were bought"
    assert (buy(kalshi).closing, buy(kalshi).proceeds) == (0, 0)
    line = OrderTicket(ticker=TWO_SIDED, outcome="yes", action="sell", qty=contracts(2), price=cents(48))
    batch = kalshi.orders.plan_batch([line, line])
    assert (batch.closing, batch.proceeds) == (contracts(3), dollars("1.44"))
    assert "closes 3 contracts: proceeds $1.44 or more, cost $0.52, " in batch.facts[1]
    totals = [
        sum(getattr(row, name) for row in batch.orders)
        for name in ("cost", "max_fees", "max_loss", "max_payout", "closing", "proceeds")
    ]
    assert totals == [
        dollars("0.52"), batch.fees, dollars("0.52") + batch.fees, dollars(1), batch.closing, batch.proceeds
    ], "the rows of --json add up to the totals of the text"  # fmt: skip
    batch = kalshi.orders.plan_batch([line])
    assert batch.facts[1].startswith("closes 2 contracts: proceeds $0.96 or more, fee up to ")
    assert batch.facts[1].endswith(", no new risk")


def test_what_was_planned_is_placed_once_and_seen(kalshi: Kalshi, exchange: Served) -> None:
    plan = buy(kalshi)
    order = kalshi.orders.execute(plan)
    assert (order.status, order.client_order_id) == ("resting", plan.order.client_order_id)
    assert [(side, price, qty) for _, side, price, qty in exchange.resting()] == [(BID, cents(41), contracts(10))]
    with pytest.raises(RefusedError, match="executed already"):
        kalshi.orders.execute(plan)
    assert [row.order_id for row in kalshi.orders.list()] == [order.order_id]
    with pytest.raises(UsageError, match="one of resting"):
        kalshi.orders.list("open")  # type: ignore[arg-type]
    assert kalshi.orders.get(order.order_id or "").price == cents(41)
    assert [row.ahead for row in kalshi.orders.queue()] == [contracts(350)]
    assert kalshi.orders.reconcile(wait_s=0) == []
    (row,) = to_dicts([order])
    assert (row["price"], row["count"]) == ("0.4100", "10.00")


def test_a_list_says_what_each_resting_order_would_close_once_those_before_it_have_filled(
    kalshi: Kalshi, exchange: Served
) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "10")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "10")
    for price, count in (("0.7000", "3"), ("0.6000", "8"), ("0.7000", "4")):
        exchange.submit(ME, TWO_SIDED, ASK, price, count)
    exchange.submit(ME, TWO_SIDED, BID, "0.0200", "5")

    def effects() -> list[tuple[int, int, int | None]]:
        return sorted((row.price, row.remaining, row.closing) for row in kalshi.orders.list())

    bid = (cents(2), contracts(5), 0)
    asks = [(cents(60), contracts(8)), (cents(70), contracts(3)), (cents(70), contracts(4))]
    closing = [contracts(8), contracts(2), 0]
    assert effects() == [bid, *((*each, closed) for each, closed in zip(asks, closing, strict=True))]
    exchange.submit(ME, TWO_SIDED, ASK, "0.4000", "12")
    now_no = (cents(2), contracts(5), contracts(2))
    assert effects() == [now_no, *((*each, 0) for each in asks)], "the position turned over"
    assert {row.closing for row in kalshi.orders.list("executed")} == {None}


def test_a_list_has_the_orders_that_were_placed_in_a_period(kalshi: Kalshi, exchange: Served) -> None:
    first = exchange.submit(ME, TWO_SIDED, BID, "0.0200", "5").order_id
    time.sleep(0.03)  # the times of the exchange end in 5 milliseconds
    second = exchange.submit(ME, TWO_SIDED, BID, "0.0300", "5").order_id
    at = kalshi.orders.get(second).created

    def ids(**period: Any) -> set[str | None]:
        return {row.order_id for row in kalshi.orders.list("all", **period)}

    assert ids(since=at) == ids(since=at, until=at + 1) == {second}
    assert ids(until=at) == {first}
    with pytest.raises(UsageError, match="is not before until"):
        ids(since=at, until=at)


def test_a_second_plan_with_a_used_client_order_id_is_refused_also_if_it_was_made_before(
    kalshi: Kalshi, exchange: Served
) -> None:
    line = OrderTicket(
        ticker=TWO_SIDED, outcome="yes", action="buy", qty=contracts(1), price=cents(40), client_order_id="mine"
    )
    other = msgspec.structs.replace(line, client_order_id="other")
    first, second = buy(kalshi, client_order_id="mine"), buy(kalshi, client_order_id="mine")
    lines = kalshi.orders.plan_batch([line, other])
    placed = kalshi.orders.execute(first)
    with pytest.raises(RefusedError) as caught:
        kalshi.orders.execute(second)
    assert (caught.value.code, caught.value.exit_code) == ("DUPLICATE_ID", ExitCode.REFUSED)
    assert "kalshi order show mine" in caught.value.hint
    outcome = kalshi.orders.execute(lines)
    assert [(row.status, row.code) for row in outcome.rows] == [("denied", "DUPLICATE_ID"), ("resting", None)]
    assert outcome.error is not None
    assert outcome.error.exit_code is ExitCode.REFUSED
    assert [each for each, *_ in exchange.resting()] == [placed.order_id, outcome.rows[1].order_id]


def test_two_plans_that_pass_a_limit_only_alone_are_not_both_sent(kalshi: Kalshi, exchange: Served) -> None:
    line = OrderTicket(ticker=TWO_SIDED, outcome="yes", action="buy", qty=contracts(60), price=cents(40))
    plans = [buy(kalshi, count="60"), buy(kalshi, count="60")]
    lines = kalshi.orders.plan_batch([line])
    kalshi.orders.execute(plans[0])
    with pytest.raises(RefusedError) as caught:
        kalshi.orders.execute(plans[1])
    assert caught.value.code == "POSITION_LIMIT"
    assert [row.code for row in kalshi.orders.execute(lines).rows] == ["POSITION_LIMIT"]
    assert len(exchange.resting()) == 1


def test_the_newest_of_several_equal_orders_is_named(kalshi: Kalshi, exchange: Served) -> None:
    for _ in range(2):
        kalshi.orders.execute(buy(kalshi, count="4", price="0.45"))
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "1")  # fills a part of the older order
    assert "0 of 4 filled). This is a second order" in buy(kalshi, count="4", price="0.45").warnings[-1]


def test_a_changed_plan_is_not_sent(kalshi: Kalshi, exchange: Served) -> None:
    plan = buy(kalshi)
    more = msgspec.structs.replace(plan, orders=(msgspec.structs.replace(plan.order, count=contracts(99)),))
    with pytest.raises(RefusedError) as caught:
        kalshi.orders.execute(more)
    assert (caught.value.code, exchange.resting()) == ("PLAN_CHANGED", [])


def test_a_plan_that_is_older_is_reviewed_again_under_the_same_id(
    kalshi: Kalshi, exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "REVIEW_AGAIN_S", -1.0)
    kept, denied = buy(kalshi), buy(kalshi)
    assert kalshi.orders.execute(kept).client_order_id == kept.order.client_order_id
    kalshi.trading.execute(kalshi.trading.plan_lock(TWO_SIDED, 60, "looking into it"))
    with pytest.raises(RefusedError) as caught:
        kalshi.orders.execute(denied)
    assert caught.value.code == "LOCKED"
    assert len(exchange.resting()) == 1


def test_a_halt_after_the_plan_stops_it(kalshi: Kalshi, exchange: Served) -> None:
    plan = buy(kalshi)
    kalshi.trading.execute(kalshi.trading.plan_halt("test"))
    with pytest.raises(RefusedError) as caught:
        kalshi.orders.execute(plan)
    assert (caught.value.code, exchange.resting()) == ("HALTED", [])


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"count": 10}, "count must be a text"),
        ({"price": 0.41}, "price must be a text"),
        ({"price": "41"}, "price: prices are in dollars"),
        ({"side": "maybe"}, "side must be one of yes, no"),
        ({"tif": "day"}, "tif must be one of gtc, ioc, fok"),
        ({"client_order_id": ""}, "client_order_id is empty"),
        ({"client_order_id": " "}, "client_order_id is empty"),
        ({"client_order_id": "v1.0"}, "client_order_id must have only letters, digits, - and _"),
        ({"client_order_id": "a b\nc"}, "client_order_id must have only letters, digits, - and _"),
        ({"side": "No"}, "side must be one of yes, no"),
        ({"action": "BUY"}, "action must be one of buy, sell"),
        ({"stp": "both"}, "stp must be one of taker, maker"),
        ({"ticker": None}, "ticker must be a text"),
        ({"count": "1_0"}, "count: invalid count"),
        ({"price": cents(46)}, "price must be a text, not 4600"),
    ],
)
def test_terms_that_are_not_clear_are_refused(kalshi: Kalshi, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        buy(kalshi, **changes)


def test_a_ticket_with_an_empty_id_is_refused() -> None:
    with pytest.raises(UsageError, match="client_order_id is empty"):
        OrderTicket(
            ticker=TWO_SIDED, outcome="yes", action="buy", qty=contracts(1), price=cents(40), client_order_id=""
        )


def test_a_cancel_says_on_request_what_is_canceled(kalshi: Kalshi, exchange: Served) -> None:
    order_id = kalshi.orders.execute(buy(kalshi, side="no", price="0.55")).order_id or ""
    exchange.submit("maker", TWO_SIDED, BID, "0.4500", "4")
    plain = kalshi.orders.plan_cancel(order_id)
    assert plain.facts == (f"sim: cancel 1 order: {order_id[:8]}",)
    plan = kalshi.orders.plan_cancel(order_id, "nowhere", is_described=True)
    assert plan.facts == (
        f"sim: cancel 2 orders: {order_id[:8]}, nowhere",
        f"Order {order_id[:8]} on {TWO_SIDED} (buy 6 NO at $0.55), 4 of 10 filled",
        "No live or recent order has the id nowhere",
    )
    kalshi.orders.execute(plan)
    again = kalshi.orders.plan_cancel(order_id, is_described=True)
    assert again.facts[1:] == (f"Order {order_id} is canceled: nothing to cancel",)
    assert [each.nothing_rests for each in (plain, plan, again)] == [False, False, True]


def test_an_order_of_unknown_status_is_not_said_to_have_ended(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = exchange.submit(ME, TWO_SIDED, BID, "0.2000", "3").order_id

    def renamed(body: Any) -> Any:
        return {"order": body["order"] | {"status": "paused"}}

    with fault_proxy(exchange.server.rest_url) as proxy:
        proxy.faults.append(Fault("rewrite", "GET", f"/orders/{order_id}", edit=renamed))
        monkeypatch.setenv("KALSHI_REST_URL", proxy.moved(exchange.server.rest_url))
        with Kalshi.open(env="sim") as kalshi:
            facts = kalshi.orders.plan_cancel(order_id, is_described=True).facts
    assert facts[1:] == (f"Order {order_id[:8]} on {TWO_SIDED} (buy 3 YES at $0.20), 0 of 3 filled",)
    assert proxy.faults[0].hits == 1


def test_a_decimal_is_a_clear_term(kalshi: Kalshi) -> None:
    assert buy(kalshi, count=Decimal("2.5"), price=Decimal("0.4")).cost == dollars(1)


def test_a_decreased_order_is_returned_as_the_exchange_lists_it(
    kalshi: Kalshi, exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_id = kalshi.orders.execute(buy(kalshi, price="0.45")).order_id or ""
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "2")
    row = kalshi.orders.execute(kalshi.orders.plan_decrease(order_id, to=contracts(4)))
    listed = kalshi.orders.get(order_id)
    assert {name: getattr(row, name) for name in listed.__struct_fields__} == msgspec.structs.asdict(listed)
    assert (row.count, row.filled, row.remaining) == (contracts(6), contracts(2), contracts(4))
    assert row.remaining_before == contracts(8)
    monkeypatch.setattr(cancel, "WORDS_S", 0.0)
    row = kalshi.orders.execute(kalshi.orders.plan_decrease(order_id, to=contracts(3)))
    assert (row.remaining, row.status) == (contracts(3), "resting"), "a read that fails hides nothing"


def test_an_amend_and_a_decrease_are_planned_first(kalshi: Kalshi, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = kalshi.orders.execute(buy(kalshi)).order_id or ""
    plan = kalshi.orders.plan_amend(order_id, AmendRequest(price=cents(42)))
    assert (plan.order.price_before, plan.order.price, plan.cost) == (cents(41), cents(42), dollars("4.20"))
    assert "YES: best bid $0.44, best ask $0.47" in plan.facts
    assert "NO: best bid $0.53, best ask $0.56" in kalshi.orders.plan_new_terms(order_id, side="no", price="57c").facts
    assert kalshi.orders.execute(plan).price == cents(42)
    less = kalshi.orders.plan_decrease(order_id, to=contracts(4))
    assert (less.order.remaining, less.to) == (contracts(10), contracts(4))
    assert kalshi.orders.execute(less).remaining == contracts(4)
    with pytest.raises(UsageError):
        kalshi.orders.plan_decrease(order_id)
    with pytest.raises(UsageError, match=r"to must be a whole number or None, not 4\.5"):
        kalshi.orders.plan_decrease(order_id, to=4.5)  # type: ignore[arg-type]
    monkeypatch.setattr(service, "REVIEW_AGAIN_S", -1.0)
    late = kalshi.orders.plan_amend(order_id, AmendRequest(price=cents(43)))
    kalshi.orders.execute(kalshi.orders.plan_decrease(order_id, to=contracts(3)))
    with pytest.raises(RefusedError) as caught:
        kalshi.orders.execute(late)
    assert caught.value.code == "PLAN_CHANGED", "three are left of it, and four were shown"


def test_a_batch_and_a_cancel_say_what_became_of_each(kalshi: Kalshi, exchange: Served) -> None:
    tickets = [
        OrderTicket(ticker=TWO_SIDED, outcome="yes", action="buy", qty=contracts(count), price=cents(40))
        for count in (1, 1_000_000)
    ]
    plan = kalshi.orders.plan_batch(tickets)
    assert [(row.status, row.cost) for row in plan.orders] == [("dry_run", dollars("0.40")), ("denied", None)]
    assert plan.cost == dollars("0.40")
    outcome = kalshi.orders.execute(plan)
    assert [(row.status, row.cost) for row in outcome.rows] == [("resting", dollars("0.40")), ("denied", None)]
    assert isinstance(outcome.error, RefusedError)
    assert outcome.errors == (None, outcome.error)
    order_id = outcome.rows[0].order_id or ""
    done = kalshi.orders.execute(kalshi.orders.plan_cancel(order_id, "nowhere"))
    assert [row.canceled for row in done.rows] == [True, False]
    assert isinstance(done.error, NotFoundError)
    assert exchange.resting() == []


def test_a_close_shows_the_positions_it_is_about(kalshi: Kalshi, exchange: Served) -> None:
    exchange.submit("maker", ONE_SIDED, ASK, "0.2000", "5")
    exchange.submit(ME, ONE_SIDED, BID, "0.2000", "5")
    plan = kalshi.orders.plan_close(ONE_SIDED.lower())
    assert [(row.ticker, row.count, row.price) for row in plan.positions] == [(ONE_SIDED, contracts(5), cents(12))]
    outcome = kalshi.orders.execute(plan)
    assert (outcome.error, [row.left for row in outcome.rows]) == (None, [0])


def test_a_close_takes_a_count_of_one_position(kalshi: Kalshi, exchange: Served) -> None:
    exchange.submit("maker", ONE_SIDED, ASK, "0.2000", "5")
    exchange.submit(ME, ONE_SIDED, BID, "0.2000", "5")
    plan = kalshi.orders.plan_close(ONE_SIDED, count=contracts(2))
    assert ([row.count for row in plan.positions], plan.facts[0].startswith(f"{ONE_SIDED}: 2 of 5 YES")) == (
        [200],
        True,
    )
    assert [(row.closed, row.left) for row in kalshi.orders.execute(plan).rows] == [(200, 300)]
    with pytest.raises(UsageError, match="you hold 3 YES"):
        kalshi.orders.plan_close(ONE_SIDED, count=contracts(4))
    with pytest.raises(UsageError, match="needs a ticker"):
        kalshi.orders.plan_close(count=contracts(2))


def test_a_reviewed_close_is_refused_before_anybody_is_asked(kalshi: Kalshi, exchange: Served) -> None:
    exchange.submit("maker", ONE_SIDED, ASK, "0.2000", "5")
    exchange.submit(ME, ONE_SIDED, BID, "0.2000", "5")
    assert kalshi.orders.plan_close(ONE_SIDED, is_reviewed=True).positions
    exchange.submit(ME, ONE_SIDED, ASK, "0.3000", "1")
    with pytest.raises(RefusedError) as caught:
        kalshi.orders.plan_close(ONE_SIDED, is_reviewed=True)
    assert caught.value.code == "NOT_CLOSING"
    assert kalshi.orders.plan_close(ONE_SIDED).positions, "a plan alone is not reviewed"
    assert kalshi.orders.plan_close(TWO_SIDED, is_reviewed=True).positions == ()


def test_an_empty_ticker_does_not_close_every_position(kalshi: Kalshi) -> None:
    for empty in ("", " "):
        with pytest.raises(UsageError, match="would mean every position"):
            kalshi.orders.plan_close(empty)
    for part in ({"count": contracts(1)}, {"cancel_orders": True}):
        with pytest.raises(UsageError, match="needs a ticker"):
            kalshi.orders.plan_close(**part)
    assert kalshi.orders.plan_close().positions == ()


def test_the_kill_switch_halts_cancels_and_lets_a_person_resume(
    kalshi: Kalshi, exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    kalshi.orders.execute(buy(kalshi))
    scoped = kalshi.orders.plan_cancel_all(ticker="KXWIND*")
    assert not scoped.halts
    assert kalshi.orders.execute(scoped).rows[0].canceled == 0
    plan = kalshi.orders.plan_cancel_all()
    assert "halt trading, and cancel every order" in plan.facts[0]
    assert len(exchange.resting()) == 1, "a plan does nothing"
    outcome = kalshi.orders.execute(plan)
    assert outcome.error is None
    assert [(row.canceled, row.remaining, row.halted) for row in outcome.rows] == [(1, 0, True)]
    assert kalshi.trading.halt().code == "CANCEL_ALL"
    kalshi.trading.execute(kalshi.trading.plan_resume("it was a test"))
    assert kalshi.orders.execute(buy(kalshi)).status == "resting"
    with pytest.raises(UsageError, match="empty scope"):
        kalshi.orders.plan_cancel_all(event=" ")
    with pytest.raises(UsageError, match="would mean every order"):
        kalshi.orders.plan_cancel_all(ticker="")


def test_a_rehearsal_executes_nothing(kalshi: Kalshi, exchange: Served) -> None:
    orders = OrderService(kalshi._resources, is_rehearsal=True)
    plan = orders.plan_place(TWO_SIDED, side="yes", action="buy", count="1", price="0.40")
    with pytest.raises(RefusedError, match="rehearsal"):
        orders.execute(plan)
    assert exchange.resting() == []


def test_a_cancel_names_orders(kalshi: Kalshi) -> None:
    with pytest.raises(UsageError, match="No order to cancel"):
        kalshi.orders.plan_cancel()
    for wrong in (None, "", " ", 7):
        with pytest.raises(UsageError, match="order_id must be a text"):
            kalshi.orders.plan_cancel("one", wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError, match="order_id must be a text"):
            kalshi.orders.get(wrong)  # type: ignore[arg-type]


def test_a_call_with_a_value_of_another_kind_is_a_usage_error(kalshi: Kalshi) -> None:
    calls: list[Callable[[Any], object]] = [
        kalshi.orders.plan_ticket,
        lambda wrong: kalshi.orders.plan_batch([wrong]),
        lambda wrong: kalshi.orders.plan_amend("one", wrong),
        lambda wrong: kalshi.orders.plan_close(policy=wrong),
        lambda wrong: kalshi.markets.list(limit=wrong),
        lambda wrong: list(kalshi.account.deposits(limit=wrong)),
        lambda wrong: kalshi.account.pnl(by=wrong),
        lambda wrong: kalshi.quotes.plan_accept("rfq", "quote", wrong),
        lambda wrong: kalshi.quotes.plan_create("rfq", wrong),
        lambda wrong: kalshi.quotes.plan_request(TWO_SIDED, wrong),
        lambda wrong: kalshi.order_groups.plan_create(wrong),
        lambda wrong: kalshi.account.plan_transfer(wrong, from_shard=0, to_shard=1),
        lambda wrong: kalshi.account.plan_subaccount_transfer(wrong, from_subaccount=0, to_subaccount=1),
        lambda wrong: kalshi.paper.fills(limit=wrong),
        lambda wrong: kalshi.paper.orders(status=wrong),
    ]
    for call in calls:
        for wrong in ("YES", 2.5, True):
            with pytest.raises(UsageError):
                call(wrong)
    with pytest.raises(UsageError) as caught:
        kalshi.account.pnl(by="bogus")  # type: ignore[arg-type]
    assert "by must be one of" in caught.value.message
    assert caught.value.hint == "", "a grouping is no number of contracts"
    with pytest.raises(UsageError, match="limit must be a whole number, zero or more, not -1"):
        kalshi.markets.list(limit=-1)
    with pytest.raises(RefusedError, match="unknown plan"):
        kalshi.orders.execute("plan")  # type: ignore[arg-type]


def test_a_batch_without_an_order_is_refused(kalshi: Kalshi) -> None:
    with pytest.raises(UsageError, match="The batch has no orders"):
        kalshi.orders.plan_batch([])


def test_only_the_thread_that_opened_an_account_writes_and_closes_it(kalshi: Kalshi, exchange: Served) -> None:
    late, ended = buy(kalshi), kalshi.orders.plan_cancel("an-id")
    assert elsewhere(lambda: kalshi.orders.plan_cancel("an-id")) is None
    assert elsewhere(lambda: kalshi.orders.plan_cancel_all()) is None
    plans = [lambda: kalshi.orders.execute(late), lambda: kalshi.orders.execute(ended)]
    found = [elsewhere(call) for call in (lambda: buy(kalshi), *plans, kalshi.close)]
    assert [type(error) for error in found] == [UsageError] * 4
    assert all("another thread" in str(error) for error in found)
    assert exchange.resting() == []
    assert kalshi.orders.execute(late).status == "resting", "the refused attempts used nothing up"


def test_an_account_that_other_threads_have_read_is_closed_where_it_was_opened(
    kalshi: Kalshi, exchange: Served
) -> None:
    kalshi.orders.execute(buy(kalshi))
    reads = (kalshi.trading.status, kalshi.orders.list, lambda: list(kalshi.markets.list(search="test")))
    found = [elsewhere(read) for read in reads]
    assert found == [None] * 3
    kalshi.close()
    assert [type(elsewhere(read)) for read in reads] == [UsageError] * 3


def elsewhere(call: Callable[[], object]) -> BaseException | None:
    """Return what a call raises in a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call).exception()


def test_a_closed_account_answers_nothing(kalshi: Kalshi, exchange: Served) -> None:
    plan = buy(kalshi)
    kalshi.account.balance()
    kalshi.close()
    kalshi.close()
    calls: list[Callable[[], object]] = [
        kalshi.account.balance,
        kalshi.markets.list,
        kalshi.orders.list,
        kalshi.paper.positions,
        kalshi.trading.status,
        lambda: buy(kalshi),
        lambda: kalshi.orders.execute(plan),
    ]
    for call in calls:
        with pytest.raises(UsageError, match="This account is closed") as caught:
            call()
        assert caught.value.hint == "open it again with Kalshi.open()"
    assert exchange.resting() == []


def test_completion_offers_no_method_of_the_command_line(kalshi: Kalshi) -> None:
    offered = {name for name in dir(kalshi.orders) if not name.startswith("_")}
    assert not offered & {"as_meant", "entry", "held", "in_own_terms", "renew"}
    assert {"plan_place", "plan_cancel", "execute", "list"} <= offered
