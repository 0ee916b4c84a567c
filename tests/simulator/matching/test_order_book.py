from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.simulator.matching.order_book import MatchingBook
from kalshi_cli.simulator.model.records import OrderRecord

_counter = iter(range(1_000_000_000))


def make_order(side: Side, price: int, qty: int, account: str = "a", **changes: object) -> OrderRecord:
    rank = next(_counter)
    values: dict[str, object] = {
        "order_id": f"o{rank}",
        "account": account,
        "client_order_id": "",
        "ticker": "T",
        "side": side,
        "price": Price(price),
        "qty": Qty(qty),
        "remaining": Qty(qty),
        "created": Ts(0),
        "updated": Ts(0),
        "rank": rank,
    }
    return OrderRecord(**(values | changes))  # type: ignore[arg-type]


def enter(book: MatchingBook, order: OrderRecord) -> list[tuple[OrderRecord, int]]:
    """Match an order and rest what is left: what a market does all day."""
    plan = book.plan(order, order.remaining)
    for resting, qty in plan.meets:
        book.reduce(resting, qty)
    for own in plan.removes:
        book.reduce(own, own.remaining)
    order.remaining = Qty(order.remaining - plan.qty)
    if order.remaining and not plan.is_stopped:
        book.rest(order)
    return [(resting, int(qty)) for resting, qty in plan.meets]


def test_a_better_price_is_met_first_and_at_the_resting_price() -> None:
    book = MatchingBook()
    dear, cheap = make_order(ASK, 5300, 100), make_order(ASK, 5200, 100)
    enter(book, dear)
    enter(book, cheap)
    met = enter(book, make_order(BID, 9900, 150, "b"))
    assert met == [(cheap, 100), (dear, 50)]
    assert book.top(ASK) == (5300, 50)


def test_at_one_price_the_earlier_order_is_met_first() -> None:
    book = MatchingBook()
    first, second = make_order(BID, 4000, 100), make_order(BID, 4000, 100)
    enter(book, first)
    enter(book, second)
    assert enter(book, make_order(ASK, 4000, 120, "b")) == [(first, 100), (second, 20)]
    assert book.ahead_of(second) == 0


def test_a_plan_changes_nothing() -> None:
    book = MatchingBook()
    enter(book, make_order(ASK, 5200, 100))
    book.plan(make_order(BID, 5200, 50, "b"), Qty(50))
    assert book.levels(ASK) == [(5200, 100)]


def test_meeting_an_own_order_stops_the_taker_by_default() -> None:
    book = MatchingBook()
    enter(book, make_order(ASK, 5100, 30, "b"))
    own = make_order(ASK, 5200, 100, "a")
    enter(book, own)
    plan = book.plan(make_order(BID, 5300, 100, "a"), Qty(100))
    assert (plan.qty, plan.is_stopped, plan.removes) == (30, True, [])


def test_with_maker_prevention_the_own_order_goes_and_matching_goes_on() -> None:
    book = MatchingBook()
    own, other = make_order(ASK, 5100, 30, "a"), make_order(ASK, 5200, 40, "b")
    enter(book, own)
    enter(book, other)
    plan = book.plan(make_order(BID, 5300, 100, "a", stp_maker=True), Qty(100))
    assert (plan.removes, plan.qty, plan.is_stopped) == ([own], 40, False)


orders = st.lists(
    st.tuples(
        st.sampled_from([BID, ASK]),
        st.integers(40, 60).map(lambda cent: cent * 100),
        st.integers(1, 300),
        st.sampled_from("abc"),
        st.booleans(),
    ),
    max_size=40,
)


@given(orders)
def test_the_book_is_never_crossed_and_nothing_is_lost(entries: list[tuple[Side, int, int, str, bool]]) -> None:
    book = MatchingBook()
    for side, price, qty, account, stp_maker in entries:
        order = make_order(side, price, qty, account, stp_maker=stp_maker)
        before = sum(qty for _, qty in book.levels(side.opposite))
        own = sum(o.remaining for o in book.orders(side.opposite) if o.account == account)
        met = enter(book, order)
        after = sum(qty for _, qty in book.levels(side.opposite))
        gone = before - after - sum(qty for _, qty in met)
        assert 0 <= gone <= own
        bid, ask = book.top(BID), book.top(ASK)
        assert bid is None or ask is None or bid[0] < ask[0]
    for side in (BID, ASK):
        assert all(qty > 0 for _, qty in book.levels(side))
        assert sum(o.remaining for o in book.orders(side)) == sum(qty for _, qty in book.levels(side))


@given(orders)
def test_every_trade_respects_price_then_time(entries: list[tuple[Side, int, int, str, bool]]) -> None:
    book = MatchingBook()
    for side, price, qty, account, _ in entries:
        order = make_order(side, price, qty, account)
        queue = list(book.orders(side.opposite))
        met = enter(book, order)
        assert [resting for resting, _ in met] == queue[: len(met)], "somebody was passed over"
        for resting, _ in met[:-1]:
            assert resting.remaining == 0, "the next was met before the first was done"
        keys = [(-r.price if side.opposite is BID else r.price, r.rank) for r in queue]
        assert keys == sorted(keys), "the queue itself is out of order"


def test_the_priority_property_meets_several_orders() -> None:
    """Not vacuous: an entry of the kind generated above meets more than one resting order."""
    book = MatchingBook()
    for account in "ab":
        enter(book, make_order(ASK, 5000, 10, account))
    assert len(enter(book, make_order(BID, 5000, 20, "c"))) == 2
