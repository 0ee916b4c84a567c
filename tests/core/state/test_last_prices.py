"""A position of a backtest keeps the last known price of its market; live, the prices of the read market count."""

from __future__ import annotations

import msgspec
import pytest

from kalshi_cli.base.units import Price, Qty, cents, contracts
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import Quote
from kalshi_cli.core.state.last_prices import LastPrices
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.testing import T0, market

LONG, SHORT = contracts(1), Qty(-contracts(1))


@pytest.fixture
def state() -> EngineState:
    listed = msgspec.structs.replace(market(), last=None, yes_bid=None, yes_ask=None)
    state = EngineState(markets=[listed], now=T0)
    state.last_prices = LastPrices()
    (book,) = state.books.values()
    book.load([(cents(40), contracts(1))], [(cents(44), contracts(1))], T0)
    return state


def close(state: EngineState, status: MarketStatus = MarketStatus.CLOSED) -> None:
    ((ticker, open_market),) = state.markets.items()
    state.markets[ticker] = msgspec.structs.replace(open_market, status=status)


def marks(state: EngineState) -> tuple[Price | None, Price | None]:
    (ticker,) = state.markets
    return state.mark_of(ticker, LONG), state.mark_of(ticker, SHORT)


def test_the_quotes_before_the_close_stay_when_the_orders_are_canceled(state: EngineState) -> None:
    (book,) = state.books.values()
    assert marks(state) == (cents(40), cents(44))
    state.keep_prices(book)
    close(state)
    book.load([(cents(1), contracts(1))], [], T0)
    state.keep_prices(book)
    assert marks(state) == (cents(40), cents(44))


def test_a_lost_book_keeps_its_prices_until_it_is_renewed(state: EngineState) -> None:
    (book,) = state.books.values()
    state.keep_prices(book)
    book.invalidate("lost")
    state.keep_prices(book)
    assert marks(state) == (cents(40), cents(44))
    state.keep_prices(book, is_lost=False)
    assert marks(state) == (None, None)


def test_without_a_book_the_ticker_channel_gives_the_price(state: EngineState) -> None:
    (book,) = state.books.values()
    state.quotes[book.ticker] = Quote(T0, book.ticker, cents(20), Qty(1), None, Qty(0), cents(30), Qty(1))
    book.load([(cents(10), contracts(1))], [], T0)
    assert marks(state) == (cents(10), cents(30))
    book.invalidate("lost")
    assert marks(state) == (cents(20), cents(30))


def test_live_prices_are_those_of_the_market_that_is_read_again(state: EngineState) -> None:
    (book,) = state.books.values()
    state.last_prices = None
    state.keep_prices(book)
    book.load([], [], T0)
    assert marks(state) == (None, None)
    state.markets[book.ticker] = msgspec.structs.replace(market(), last=cents(33))
    assert marks(state) == (cents(33), cents(33))
