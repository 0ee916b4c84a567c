"""The order book against a naive one, under mirroring, and its refusal to be priced from once it lost the thread."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from support.places import SHARED
from support.values import make_order

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, cents, contracts, notional, parse_price, parse_qty
from kalshi_cli.core.market.order_book import FillEstimate, OrderBook, PriceLevel, book_without, follow
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, FeedGap, Level, Tick
from kalshi_cli.core.model.order_terms import ASK, BID, Side


def levels(*rows: tuple[int, int]) -> list[Level]:
    """(cents, contracts) pairs."""
    return [(cents(price), contracts(qty)) for price, qty in rows]


def book(bids: list[Level], asks: list[Level]) -> OrderBook:
    made = OrderBook("T")
    made.load(bids, asks, Ts(1))
    return made


BIDS, ASKS = levels((45, 3), (47, 10), (46, 5)), levels((53, 7), (52, 2), (60, 100))


class NaiveBook:
    """Two plain dictionaries, sorted anew for every question; None once something impossible happened."""

    def __init__(self, bids: list[Level], asks: list[Level]) -> None:
        self.sides: dict[Side, dict[Price, int]] | None = {BID: dict(bids), ASK: dict(asks)}

    def apply(self, side: Side, price: Price, delta: int) -> None:
        if self.sides is None:
            return
        at = self.sides[side]
        at[price] = at.get(price, 0) + delta
        if at[price] < 0 or not 0 < price < 10_000:
            self.sides = None
        elif at[price] == 0:
            del at[price]

    def levels(self, side: Side) -> list[tuple[Price, int]]:
        if self.sides is None:
            return []
        return sorted(self.sides[side].items(), reverse=side is BID)


few_prices = st.integers(1, 12).map(lambda tick: Price(tick * 700))
snapshots = st.dictionaries(few_prices, st.integers(1, 3).map(Qty), max_size=8).map(lambda at: list(at.items()))
deltas = st.tuples(st.sampled_from([BID, ASK]), few_prices, st.integers(-3, 3).map(Qty))
wild_deltas = st.tuples(st.sampled_from([BID, ASK]), st.sampled_from([-1, 0, 1, 9_999, 10_000]).map(Price), st.just(1))


def assert_equal(book: OrderBook, naive: NaiveBook) -> None:
    bids, asks = naive.levels(BID), naive.levels(ASK)
    assert book.is_usable == (naive.sides is not None) == (not book.unusable_reason)
    assert book.levels(BID) == bids
    assert book.levels(ASK) == asks
    assert book.best_bid == (bids[0][0] if bids else None)
    assert book.best_ask == (asks[0][0] if asks else None)
    assert book.bid == (bids[0] if bids else None)
    assert book.ask == (asks[0] if asks else None)
    assert book.is_crossed == bool(bids and asks and bids[0][0] >= asks[0][0])


@given(snapshots, snapshots, st.lists(deltas | wild_deltas, max_size=40))
def test_after_any_snapshot_and_deltas_it_equals_a_naive_book(
    bids: list[Level], asks: list[Level], changes: list[tuple[Side, Price, Qty]]
) -> None:
    fast, naive = book(bids, asks), NaiveBook(bids, asks)
    assert_equal(fast, naive)
    for ts, (side, price, delta) in enumerate(changes, start=2):
        fast.apply(side, price, delta, Ts(ts))
        naive.apply(side, price, delta)
        assert_equal(fast, naive)
    event(f"usable at the end: {fast.is_usable}")


small_steps = st.lists(st.tuples(st.sampled_from([BID, ASK]), few_prices, st.integers(1, 3)), max_size=60)


@given(snapshots, snapshots, small_steps)
def test_deltas_that_never_go_below_zero_keep_it_usable(
    bids: list[Level], asks: list[Level], steps: list[tuple[Side, Price, int]]
) -> None:
    """Each step adds, or takes away no more than there is: the long way to the same book."""
    fast, naive = book(bids, asks), NaiveBook(bids, asks)
    for ts, (side, price, size) in enumerate(steps, start=2):
        standing = fast.qty_at(side, price)
        delta = Qty(-min(size, standing) if standing and size != 2 else size)
        fast.apply(side, price, delta, Ts(ts))
        naive.apply(side, price, delta)
        assert_equal(fast, naive)
        assert fast.is_usable
        assert fast.ts == ts


def mirror(rows: list[Level]) -> list[Level]:
    return [(Price(ONE_DOLLAR - price), qty) for price, qty in rows]


@given(snapshots, snapshots, st.lists(deltas, max_size=20), st.integers(1, 30).map(Qty))
def test_the_no_book_is_the_yes_book_seen_from_the_other_side(
    bids: list[Level], asks: list[Level], changes: list[tuple[Side, Price, Qty]], qty: Qty
) -> None:
    yes, no = book(bids, asks), book(mirror(asks), mirror(bids))
    for side, price, delta in changes:
        yes.apply(side, price, delta, Ts(2))
        no.apply(side.opposite, Price(ONE_DOLLAR - price), delta, Ts(2))
    assert yes.is_usable == no.is_usable
    assert (yes.spread, yes.is_crossed) == (no.spread, no.is_crossed)
    for side in Side:
        assert yes.levels(side) == mirror(no.levels(side.opposite))
        ours, theirs = yes.cost(side, qty), no.cost(side.opposite, qty)
        assert ours.filled == theirs.filled
        assert ours.notional == notional(ONE_DOLLAR, ours.filled) - theirs.notional


@given(snapshots, snapshots, st.sampled_from([BID, ASK]), st.integers(0, 30).map(Qty))
def test_a_sweep_takes_contract_by_contract_from_the_best(
    bids: list[Level], asks: list[Level], side: Side, qty: Qty
) -> None:
    made = book(bids, asks)
    one_by_one = [price for price, standing in made.levels(side.opposite) for _ in range(standing)][:qty]
    sweep = made.cost(side, qty)
    assert sweep.filled == len(one_by_one)
    assert sweep.notional == sum(one_by_one)
    assert sweep.worst == (one_by_one[-1] if one_by_one else None)
    if sweep.average is None:
        assert not one_by_one
    else:
        against_us = notional(sweep.average, sweep.filled) - sweep.notional
        assert 0 <= against_us * side.sign < sweep.filled


# -- by example ---------------------------------------------------------------------------------------------------


def test_a_new_book_is_unusable_and_has_no_prices() -> None:
    made = OrderBook("T")
    assert (made.ticker, made.ts) == ("T", 0)
    assert not made.is_usable
    assert made.unusable_reason == "no snapshot yet"
    assert (made.bid, made.ask, made.mid, made.spread) == (None, None, None, None)
    assert made.cost(BID, contracts(1)) == FillEstimate(Qty(0), Money(0), None, None)


def test_a_snapshot_gives_the_best_prices_whatever_the_order_of_its_levels() -> None:
    made = book(BIDS, ASKS)
    assert made.bid == PriceLevel(cents(47), contracts(10))
    assert made.ask == PriceLevel(cents(52), contracts(2))
    assert made.mid == Price(4_950)
    assert made.spread == cents(5)
    assert made.levels(BID, 2) == levels((47, 10), (46, 5))
    assert made.levels(ASK, 0) == []
    assert made.qty_at(BID, cents(46)) == contracts(5)
    assert made.qty_at(ASK, cents(46)) == 0


def test_the_middle_between_two_ticks_is_rounded_down() -> None:
    assert book([(Price(4_701), Qty(1))], [(Price(4_704), Qty(1))]).mid == 4_702


def test_one_side_alone_has_no_middle_and_is_not_crossed() -> None:
    for one_sided in (book(BIDS, []), book([], ASKS), book([], [])):
        assert one_sided.is_usable
        assert (one_sided.mid, one_sided.spread, one_sided.is_crossed) == (None, None, False)


def test_a_locked_book_counts_as_crossed_but_stays_usable() -> None:
    made = book(BIDS, ASKS)
    made.apply(BID, cents(52), contracts(1), Ts(2))
    assert made.is_crossed
    assert made.spread == 0
    assert made.is_usable
    made.apply(ASK, cents(52), -contracts(2), Ts(2))  # type: ignore[arg-type]
    assert not made.is_crossed
    assert made.best_ask == cents(53)


def test_a_sweep_pays_the_depth_and_may_fall_short() -> None:
    made = book(BIDS, ASKS)
    assert made.cost(BID, contracts(3)) == FillEstimate(
        contracts(3), notional(cents(157), contracts(1)), cents(53), Price(5_234)
    )
    assert made.cost(ASK, contracts(18)).average == Price(4_638)
    assert made.cost(ASK, contracts(1_000)).filled == contracts(18)
    assert made.cost(BID, contracts(2)).worst == cents(52)


def test_a_level_below_zero_makes_it_unusable_and_empty() -> None:
    made = book(BIDS, ASKS)
    made.apply(ASK, cents(52), -contracts(3), Ts(5))  # type: ignore[arg-type]
    assert not made.is_usable
    assert made.unusable_reason == "impossible change: -3.00 at 0.5200"
    assert (made.best_bid, made.best_ask, made.levels(BID)) == (None, None, [])


def test_an_unusable_book_ignores_deltas_until_the_next_snapshot() -> None:
    made = book(BIDS, ASKS)
    made.invalidate("gap")
    made.apply(BID, cents(47), contracts(1), Ts(9))
    assert (made.is_usable, made.unusable_reason, made.best_bid, made.ts) == (False, "gap", None, 1)
    made.load(BIDS, [], Ts(10))
    assert (made.is_usable, made.unusable_reason, made.best_bid, made.ts) == (True, "", cents(47), 10)
    assert made.best_ask is None


@pytest.mark.parametrize(
    "bad",
    [
        [(Price(0), Qty(1))],
        [(ONE_DOLLAR, Qty(1))],
        [(cents(50), Qty(0))],
        [(cents(50), Qty(-1))],
        levels((5, 1), (5, 2)),
    ],
)
def test_an_impossible_snapshot_leaves_it_unusable(bad: list[Level]) -> None:
    for bids, asks in ((bad, ASKS), (BIDS, bad)):
        made = book(BIDS, ASKS)
        made.load(bids, asks, Ts(2))
        assert not made.is_usable
        assert "snapshot with" in made.unusable_reason
        assert (made.best_bid, made.best_ask, made.levels(BID), made.levels(ASK)) == (None, None, [], [])


def test_a_change_by_nothing_changes_nothing() -> None:
    made = book(BIDS, ASKS)
    made.apply(BID, cents(20), Qty(0), Ts(2))
    made.apply(BID, cents(47), Qty(0), Ts(2))
    assert made.is_usable
    assert made.levels(BID) == levels((47, 10), (46, 5), (45, 3))


# -- recorded -----------------------------------------------------------------------------------------------------


def test_a_recorded_half_minute_never_breaks_and_agrees_with_the_ticker_channel() -> None:
    """Real frames of production: at the ticker's time our best prices and counts are the ticker's."""
    path = SHARED / "data" / "ws" / "kxbtc15m-20260511T0531Z.jsonl.gz"
    if not path.exists():
        pytest.skip("the recorded exchange data is not beside the repository")
    books: dict[str, OrderBook] = {}
    tops: dict[str, dict[int, tuple[PriceLevel | None, PriceLevel | None]]] = {}
    tickers = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            frame = json.loads(line).get("frame", {})
            body = frame.get("msg", {})
            ticker = body.get("market_ticker")
            if frame.get("type") == "orderbook_snapshot":
                made = books[ticker] = OrderBook(ticker)
                yes, no = (
                    [(parse_price(price), parse_qty(qty)) for price, qty in body.get(key, [])]
                    for key in ("yes_dollars_fp", "no_dollars_fp")
                )
                made.load(yes, mirror(no), Ts(0))
            elif frame.get("type") == "orderbook_delta":
                price, is_yes, ts = parse_price(body["price_dollars"]), body["side"] == "yes", Ts(body["ts_ms"])
                made = books[ticker]
                made.apply(
                    BID if is_yes else ASK,
                    price if is_yes else Price(ONE_DOLLAR - price),
                    parse_qty(body["delta_fp"]),
                    ts,
                )
                assert made.is_usable, made.unusable_reason
                tops.setdefault(ticker, {})[ts] = (made.bid, made.ask)
            elif frame.get("type") == "ticker":
                tickers.append(body)
    compared = 0
    for body in tickers:
        seen = [top for ts, top in tops.get(body["market_ticker"], {}).items() if ts <= body["ts_ms"]]
        if seen and None not in seen[-1]:
            bid, ask = seen[-1]
            assert bid == (parse_price(body["yes_bid_dollars"]), parse_qty(body["yes_bid_size_fp"]))
            assert ask == (parse_price(body["yes_ask_dollars"]), parse_qty(body["yes_ask_size_fp"]))
            compared += 1
    assert compared > 20


def test_the_best_besides_our_own_is_where_more_stands_than_ours() -> None:
    made = book(BIDS, ASKS)
    assert made.best_excluding(BID, {}) == cents(47)
    assert made.best_excluding(BID, {cents(47): contracts(9)}) == cents(47)
    assert made.best_excluding(BID, {cents(47): contracts(10)}) == cents(46)
    assert made.best_excluding(BID, {cents(47): contracts(10), cents(46): contracts(6)}) == cents(45)
    assert made.best_excluding(BID, dict(BIDS)) is None
    assert made.best_excluding(BID, {cents(46): contracts(5)}) == cents(47), "what is behind the best hides nothing"
    assert made.best_excluding(ASK, {cents(52): contracts(2)}) == cents(53)
    assert made.best_excluding(ASK, {cents(20): contracts(5)}) == cents(52), "placed, and not in the book yet"
    assert book([], []).best_excluding(BID, {cents(47): contracts(1)}) is None


def test_a_book_without_own_orders_has_what_others_quote_and_no_more() -> None:
    seen = BookSnapshot(
        Ts(1),
        "KXA-1",
        bids=((cents(40), contracts(5)), (cents(39), contracts(9))),
        asks=((cents(44), contracts(7)), (cents(46), contracts(3))),
    )
    own = [
        make_order(price=cents(40), qty=contracts(5)),
        make_order("c2", price=cents(39), qty=contracts(2)),
        make_order("c3", price=cents(38), qty=contracts(2)),
        make_order("c4", ticker="KXB-1", price=cents(39), qty=contracts(2)),
        make_order("c6", side=ASK, price=cents(46), qty=contracts(3)),
        make_order("c5", side=ASK, price=cents(44), qty=contracts(8)),
    ]
    book = book_without(seen, own)
    assert (book.levels(BID), book.levels(ASK)) == ([(cents(39), contracts(7))], [])


def test_books_follow_what_messages_say_of_them() -> None:
    books: dict[str, OrderBook] = {}
    for message in (
        BookDelta(Ts(1), "A", BID, cents(40), contracts(1)),  # of a book that no snapshot began
        BookSnapshot(Ts(2), "A", ((cents(40), contracts(5)),), ()),
        BookSnapshot(Ts(2), "B", ((cents(30), contracts(5)),), ()),
        BookDelta(Ts(3), "A", BID, cents(41), contracts(2)),
        FeedGap(Ts(4), ("B", "C"), "lost"),
        Tick(Ts(5)),
    ):
        follow(books, message)
    assert (books["A"].best_bid, books["A"].ts) == (cents(41), Ts(3))
    assert books["B"].unusable_reason == "lost"
    assert books.keys() == {"A", "B"}
