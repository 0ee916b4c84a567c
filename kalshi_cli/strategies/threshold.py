"""Buy below one price, sell above another: the simplest opinion that one can have of a market."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, about, within

RETRY_MS = 3_000
"""After an order in a market the next one is not before this, whatever became of it."""


class ThresholdParams(StrategyParams, frozen=True):
    """Prices in ten-thousandths of a dollar inside; typed as dollars or cents (`buy_below=0.3`, `buy_below=30c`)."""

    buy_below: Annotated[Price, within(1, 9_999, "buy YES where it is offered at this or less")] = cents(30)
    sell_above: Annotated[Price, within(1, 9_999, "sell YES where this or more is bid for it")] = cents(70)
    fair: Annotated[Price | None, about("what YES is worth, in between; without it, the middle of the two prices")] = (
        None
    )
    size: Annotated[Qty, within(1, 1_000_000, "contracts an order")] = contracts(5)
    max_position: Annotated[Qty, within(1, 10_000_000, "contracts held in one market at most, long or short")] = (
        contracts(10)
    )
    min_price: Annotated[Price, within(1, 5_000, "no entry nearer than this to 0 or 1")] = cents(5)


class Threshold(Strategy):
    """Take offers at `buy_below` or less and bids at `sell_above` or more, up to `max_position` either way.

    What was bought below is sold above, and the other way round. There is no stop: what never comes back is held until
    it settles. The belief is yours: `fair`, or the middle of the two prices, in every market of the run alike, so name
    the market that you mean.
    """

    name = "threshold"
    Params = ThresholdParams
    params: ThresholdParams

    def __init__(self, params: ThresholdParams) -> None:
        super().__init__(params)
        middle = Price((params.buy_below + params.sell_above) // 2)
        self._fair = params.fair if params.fair is not None else middle
        if not params.buy_below < self._fair < params.sell_above:
            raise UsageError(
                "strategy threshold: buy_below, fair and sell_above do not rise in this order",
                hint="for example --param buy_below=30c --param fair=50c --param sell_above=70c", code="bad_parameter",
            )  # fmt: skip
        self._again: dict[str, Ts] = {}

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        book, params, held = view.book(ticker), self.params, view.position(ticker)
        if view.orders(ticker) or 0 < self._again.get(ticker, 0) - view.now <= RETRY_MS:
            return
        ask, bid = book.best_ask, book.best_bid
        if ask is not None and ask <= params.buy_below:
            side, price = BID, ask
        elif bid is not None and bid >= params.sell_above:
            side, price = ASK, bid
        else:
            return
        closing = abs(held) if held * side.sign < 0 else 0
        if closing:
            qty, reason = Qty(closing), "back across"
        elif params.min_price <= price <= ONE_DOLLAR - params.min_price:
            qty = Qty(min(view.size(ticker, side, price, self._fair, params.size), params.max_position - abs(held)))
            reason = f"at {price / 100:g}c, worth {self._fair / 100:g}c"
        else:
            return
        if qty > 0:
            self._again[ticker] = Ts(view.now + RETRY_MS)
            yield Place(
                ticker, side, price, qty, fair=self._fair, reason=reason, tif=TimeInForce.IOC, reduce_only=closing > 0
            )
