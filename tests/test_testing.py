"""The harness for authors of strategies plays books with one level or many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.tape import TICKER, StrategyHarness, submitted_orders

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Price, cents, contracts
from kalshi_cli.core.model.intents import Amend, Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.testing import amended_orders, market, refused_requests


class Deep(Strategy):
    """Buys at the third bid, if there is one."""

    name = "deep"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        levels = view.book(ticker).levels(BID, 3)
        if len(levels) == 3:
            yield Place(ticker, BID, *levels[2])


def test_a_book_has_the_levels_that_a_test_gives() -> None:
    tape = StrategyHarness(Deep(StrategyParams()))
    assert tape.book(bid=40, ask=44) == []
    (order,) = submitted_orders(tape.book(bids=[(40, 100), (39, 250), (38, 7)], asks=[(44, 20), (45, 60)]))
    assert (order.price, order.qty) == (cents(38), contracts(7))
    book = tape.engine.state.books[TICKER]
    assert book.levels(ASK, 5) == [(cents(44), contracts(20)), (cents(45), contracts(60))]
    tape.book(ask=44)
    assert (book.best_bid, book.best_ask) == (None, cents(44))


class Follower(Strategy):
    """Keeps one bid a cent above the best bid of others."""

    name = "follower"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        best = view.external_book(ticker).best_bid
        if best is None:
            return
        price = Price(best + cents(1))
        for order in view.orders(ticker):
            if order.price != price:
                yield Amend(order.order_id, price, order.remaining)
        if not view.orders(ticker):
            yield Place(ticker, BID, price, contracts(2))


@pytest.mark.parametrize("are_own_in_books", [False, True])
def test_a_test_sees_amends_and_plays_books_with_or_without_own_orders(are_own_in_books: bool) -> None:
    tape = StrategyHarness(Follower(StrategyParams()), are_own_in_books=are_own_in_books)
    (order,) = submitted_orders(tape.book(bid=40, ask=50))
    assert order.price == cents(41)
    seen = tape.book(ask=50, bids=[(41, 2), (40, 100)])
    assert [amended.price for amended in amended_orders(seen)] == ([] if are_own_in_books else [cents(42)])


class Crosser(Strategy):
    """Quotes at the best bid, and sells to its own quote."""

    name = "crosser"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        best = view.book(ticker).best_bid
        if best is not None:
            yield Place(ticker, ASK if view.orders(ticker) else BID, best, contracts(2))


def test_a_test_sees_what_was_refused() -> None:
    tape = StrategyHarness(Crosser(StrategyParams()))
    assert refused_requests(tape.book(bid=40, ask=50)) == []
    tape.tick()
    (refused,) = refused_requests(tape.book(bid=40, ask=51))
    assert (refused.code, refused.strategy) == ("SELF_CROSS", "crosser")


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"bid": 50, "ask": 40}, "A bid of 50c and an ask of 40c would trade with each other"),
        ({"bid": 40, "ask": 40}, "would trade with each other"),
        ({"bids": [(30, 1), (45, 1)], "asks": [(60, 1), (44, 1)]}, "A bid of 45c and an ask of 44c"),
        ({"bid": 0}, "0 is not a price from 1 to 99 cents"),
        ({"ask": 100}, "100 is not a price"),
        ({"bid": cents(17)}, "1700 is not a price"),
        ({"bid": 17.0}, "17.0 is not a price"),
        ({"bid": True}, "True is not a price"),
        ({"bid": 17, "size": 0}, "0 is not a number of contracts"),
    ],
)
def test_an_impossible_book_is_refused(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        StrategyHarness().book(**given)


def test_an_impossible_trade_is_refused() -> None:
    with pytest.raises(UsageError, match="120 is not a price"):
        StrategyHarness().trade(120, 5, BID)


class Lower(Strategy):
    """Buys the market of an event whose ask is lower than that of each other one."""

    name = "lower"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        asks = {each: view.book(each).best_ask for each in view.siblings(ticker)}
        known = {each: ask for each, ask in asks.items() if ask is not None}
        if len(known) == len(asks) > 1:
            lowest = min(known, key=lambda each: known[each])
            yield Place(lowest, BID, known[lowest], contracts(3))


def test_a_harness_plays_several_markets() -> None:
    tape = StrategyHarness(
        Lower(StrategyParams()), markets=[market(), market("KXA-2"), market("KXB-1", event_ticker="KXB")]
    )
    assert tape.book(bid=20, ask=44) == []
    assert tape.book(bid=5, ask=10, ticker="KXB-1") == []
    (order,) = submitted_orders(tape.book(bid=28, ask=30, ticker="KXA-2"))
    assert (order.ticker, order.price) == ("KXA-2", cents(30))
    tape.tick()
    assert (tape.position, tape.position_in("KXA-2"), tape.position_in("KXB-1")) == (0, contracts(3), 0)
    with pytest.raises(UsageError, match="has no market KXC-1") as caught:
        tape.trade(20, 1, BID, ticker="KXC-1")
    assert caught.value.hint is not None
    assert 'market("KXC-1")' in caught.value.hint
