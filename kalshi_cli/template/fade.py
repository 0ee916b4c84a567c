"""Fade: buy markets whose YES price is low, once each. Replace this with the idea of your strategy."""

from collections.abc import Iterator
from typing import Annotated

from kalshi_cli.strategies.api import (
    BID,
    Intent,
    Place,
    Price,
    Qty,
    Strategy,
    StrategyContext,
    StrategyParams,
    cents,
    contracts,
    within,
)


class FadeParams(StrategyParams, frozen=True):
    """Parameters of `fade`; users set them with `--param limit=20c`."""

    limit: Annotated[Price, within(1, 4_900, "buy when the YES ask is at or below this")] = cents(20)
    edge: Annotated[Price, within(1, 5_000, "fair value above the price")] = cents(5)
    size: Annotated[Qty, within(1, 1_000_000, "contracts per order")] = contracts(5)


class Fade(Strategy):
    """Buy YES at an ask of `limit` or less, once per market, and keep it until the market settles.

    The fair value is assumed to be `edge` above the price. Explain here why that is true, and when it is wrong.
    To sell earlier, yield `exit_at_best(view, ticker, held, reason)` of the same module from `on_tick`.
    """

    name = "fade"
    watches = "price"  # on_book is called when a best price changed; also "top" (with sizes) or "depth" (every level)
    Params = FadeParams
    params: FadeParams

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        """Buy if the ask is low enough and the strategy has no position or order in this market."""
        ask = view.book(ticker).best_ask
        if ask is None or ask > self.params.limit or view.position(ticker) or view.orders(ticker):
            return
        fair = Price(ask + self.params.edge)
        qty = view.size(ticker, BID, ask, fair, self.params.size)
        if qty:
            yield Place(ticker, BID, ask, qty, fair=fair, reason="cheap")
