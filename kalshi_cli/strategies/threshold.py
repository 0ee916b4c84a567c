"""Threshold: buy below one price, sell above another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from kalshi_cli.base.units import Price, Qty, cents, contracts, show_price
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, about, parameter_error, within
from kalshi_cli.strategies.order_edges import OrderThrottle, is_inside


class ThresholdParams(StrategyParams, frozen=True):
    """Parameters of `threshold`. Prices are ten-thousandths of a dollar, entered as `0.30` or `30c`."""

    buy_below: Annotated[Price, within(1, 9_999, "buy YES at this ask or less")] = cents(30)
    sell_above: Annotated[Price, within(1, 9_999, "sell YES at this bid or more")] = cents(70)
    fair: Annotated[Price | None, about("fair value of YES, between the two prices; default: their middle")] = None
    size: Annotated[Qty, within(1, 1_000_000, "contracts per order")] = contracts(5)
    max_position: Annotated[Qty, within(1, 10_000_000, "maximum contracts per market, long or short")] = contracts(10)
    min_price: Annotated[Price, within(1, 5_000, "no entry closer than this to $0 or $1")] = cents(5)


class Threshold(Strategy):
    """Buy YES at asks of `buy_below` or less, and sell at bids of `sell_above` or more, up to `max_position`.

    A position opened at one price is closed at the other. There is no stop: a position whose market never returns is
    kept until it settles. The fair value is `fair`, or the middle of the two prices, and it is the same for every
    market of the run, so select the markets with care.
    """

    name = "threshold"
    watches = "price"
    Params = ThresholdParams
    params: ThresholdParams

    def __init__(self, params: ThresholdParams) -> None:
        super().__init__(params)
        middle = Price((params.buy_below + params.sell_above) // 2)
        self._fair = params.fair if params.fair is not None else middle
        if not params.buy_below < self._fair < params.sell_above:
            problem = "buy_below, fair and sell_above must be in rising order"
            raise parameter_error("threshold", problem, "--param buy_below=30c --param fair=50c --param sell_above=70c")
        self._throttle = OrderThrottle()

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """Decide again at unchanged prices once the pause after an order is over."""
        for ticker in view.tickers:
            if view.book(ticker).is_decidable and self._throttle.has_ended(view, ticker):
                yield from self.on_book(view, ticker)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        book, params = view.book(ticker), self.params
        ask, bid = book.best_ask, book.best_bid
        if ask is not None and ask <= params.buy_below:
            side, price = BID, ask
        elif bid is not None and bid >= params.sell_above:
            side, price = ASK, bid
        else:
            return
        if self._throttle.is_waiting(view, ticker) or view.orders(ticker):
            return
        held = view.position(ticker)
        closing = abs(held) if held * side.sign < 0 else 0
        if closing:
            qty, reason = Qty(closing), "crossed back"
        elif is_inside(price, params.min_price):
            room = params.max_position - abs(held)
            qty = Qty(min(view.size(ticker, side, price, self._fair, params.size), room) if room > 0 else 0)
            reason = ""
        else:
            return
        if qty > 0:
            reason = reason or f"at {show_price(price)}, fair value {show_price(self._fair)}"
            place = Place(
                ticker, side, price, qty, fair=self._fair, reason=reason, tif=TimeInForce.IOC, reduce_only=closing > 0
            )
            yield from self._throttle.send(view, place)
