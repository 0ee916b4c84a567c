"""A book over the arrays of the loop is the book that it stands for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.compiled import loop as c
from kalshi_cli.compiled.books import MODELS, CompiledBooks
from kalshi_cli.compiled.loop import END
from kalshi_cli.compiled.rows import BookRows, pack
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.messages import BookDelta
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.simulator.paper.market import PaperMarket
from kalshi_cli.simulator.paper.queue_position import FillModel, QueuePlace

PRICES = st.one_of(st.integers(4_990, 5_010), st.sampled_from((-1, 0, 1, 2, 9_999, 10_000))).map(Price)
LEVELS = st.lists(st.tuples(PRICES, st.integers(-1, 500).map(Qty)), max_size=6).map(tuple)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("apply"), st.sampled_from((BID, ASK)), PRICES, st.integers(-300, 300).map(Qty)),
        st.tuples(st.just("load"), LEVELS, LEVELS),
        st.tuples(st.just("invalidate"), st.just("lost")),
    ),
    max_size=30,
)


def seen(book: OrderBook) -> list[Any]:
    """Everything that a book can be asked."""
    return [
        book.ts, book.is_usable, book.unusable_reason, book.best_bid, book.best_ask, book.bid, book.ask, book.top,
        book.mid, book.spread, book.is_crossed, book.is_decidable,
        *(book.levels(side, depth) for side in (BID, ASK) for depth in (None, 1, 3)),
        *(book.qty_at(side, Price(price)) for side in (BID, ASK) for price in (0, 4_999, 5_000, 10_000)),
        *(book.cost(side, Qty(400)) for side in (BID, ASK)),
        *(book.best_excluding(side, {Price(5_000): 50}) for side in (BID, ASK)),
    ]  # fmt: skip


@pytest.mark.parametrize("new", [CompiledBooks.venue_book, CompiledBooks.engine_book])
@given(steps=STEPS)
def test_it_answers_like_a_book_of_dictionaries(
    new: Callable[[CompiledBooks, str], OrderBook], steps: list[tuple[Any, ...]]
) -> None:
    compiled = CompiledBooks()
    others = [new(compiled, f"KXB-{number}") for number in range(5)]
    mine, reference = new(compiled, "KXA-1"), OrderBook("KXA-1")
    assert new(compiled, "KXA-1") is mine
    for ts, (step, *given_) in enumerate(steps, 1):
        for book in (mine, reference):
            getattr(book, step)(*given_, *(() if step == "invalidate" else (Ts(ts),)))
        assert seen(mine) == seen(reference)
    assert all(seen(other) == seen(OrderBook(other.ticker)) for other in others), "no market touches another"


CHANGES = st.lists(st.tuples(st.sampled_from((BID, ASK)), st.integers(1, 9_999), st.integers(1, 300)), max_size=40)


@given(changes=CHANGES, removals=st.lists(st.integers(0, 39), max_size=40))
def test_the_loop_changes_both_copies_like_the_books_themselves(
    changes: list[tuple[Any, int, int]], removals: list[int]
) -> None:
    made = [BookDelta(Ts(5), "KXA-1", side, Price(price), Qty(qty), has_more=True) for side, price, qty in changes]
    for number in dict.fromkeys(removals):
        if number < len(changes):
            side, price, qty = changes[number]
            made.append(BookDelta(Ts(6), "KXA-1", side, Price(price), Qty(-qty), has_more=True))
    compiled, reference = CompiledBooks(), OrderBook("KXA-1")
    books = [compiled.venue_book("KXA-1"), compiled.engine_book("KXA-1")]
    for book in (*books, reference):
        book.load((), (), Ts(1))
    compiled.wake_at(Ts(2**62), Ts(0))
    for item in pack(made):
        assert isinstance(item, BookRows)
        assert compiled.advance(item, 0) == (len(made), END)
        compiled.show_venue({"KXA-1": PaperMarket(books[0])})
    for each in made:
        reference.apply(each.side, each.price, each.delta, each.ts)
    for book in books:
        assert seen(book) == seen(reference)


@given(
    state=st.tuples(st.integers(0, 900), st.integers(0, 900), st.integers(0, 900), st.integers(0, 3_000)),
    steps=st.lists(st.tuples(st.integers(1, 900), st.integers(0, 900), st.integers(0, 1_500)), max_size=6),
    model=st.sampled_from(FillModel),
)
def test_a_queue_shrinks_as_at_the_venue(
    state: tuple[int, int, int, int], steps: list[tuple[int, int, int]], model: FillModel
) -> None:
    queue, now = QueuePlace(Qty(0), model), state[3]
    queue.state = state
    orders = np.zeros((3, c.ORDER_FIELDS), np.int64)
    orders[:, c.O_PRICE] = 5_000, 5_000, 5_001
    orders[:, c.O_QUEUED] = 1, 0, 1
    orders[:, c.O_MODEL] = MODELS[model]
    orders[0, c.O_AHEAD :] = state
    others = orders[1:].copy()
    for by, left, pause in steps:
        now += pause
        queue.shrink(Qty(by), Qty(left), Ts(now))
        assert c._shrink(orders, 3, 0, 5_000, by, left, now)
        assert tuple(orders[0, c.O_AHEAD :].tolist()) == queue.state
    assert (orders[1:] == others).all(), "without a place in a queue, or at another price"
    assert not c._shrink(orders, 3, 1, 5_000, 1, 1, now), "of the other side"
