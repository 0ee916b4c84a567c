"""Baselines for the built-in strategies; users cannot select them."""

from __future__ import annotations

import random
from collections.abc import Iterator

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams

EVERY_MS, HOLD_MS = 20_000, 120_000
SIZE = contracts(5)


class Nothing(Strategy):
    """Never trades."""

    name = "nothing"


class Random(Strategy):
    """Takes a side of some market every 20 seconds, and leaves it two minutes later, for no reason.

    The controls want a belief that is better than the price: it claims one, six cents away.
    """

    name = "random"

    def __init__(self, dice: random.Random) -> None:
        super().__init__(StrategyParams())
        self._dice = dice
        self._next = Ts(0)
        self._leave: dict[str, Ts] = {}

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        for ticker in view.tickers:
            held, book = view.position(ticker), view.book(ticker)
            if held and view.now >= self._leave.get(ticker, 0):
                side, price = (ASK, book.best_bid) if held > 0 else (BID, book.best_ask)
                if price is not None:
                    yield Place(ticker, side, price, Qty(abs(held)), tif=TimeInForce.IOC, reduce_only=True)
        if view.now < self._next:
            return
        self._next = Ts(view.now + EVERY_MS)
        ticker, side = self._dice.choice(view.tickers), self._dice.choice((BID, ASK))
        book = view.book(ticker)
        price = book.best_ask if side is BID else book.best_bid
        if price is None or view.position(ticker) or not cents(10) <= price <= ONE_DOLLAR - cents(10):
            return
        self._leave[ticker] = Ts(view.now + HOLD_MS)
        fair = Price(price + side.sign * cents(6))
        yield Place(ticker, side, price, SIZE, fair=fair, reason="dice", tif=TimeInForce.IOC)
