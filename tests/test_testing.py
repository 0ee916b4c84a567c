"""The harness for authors of strategies plays books with one level or many."""

from __future__ import annotations

from collections.abc import Iterator

from support.tape import TICKER, StrategyHarness, submitted_orders

from kalshi_cli.base.units import cents, contracts
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams


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
