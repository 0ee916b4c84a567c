"""Buy what everybody has given up on, once."""

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

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
)


class FadeParams(StrategyParams, frozen=True):
    limit: Annotated[Price, Meta(ge=1, le=4_900, description="buy where YES is offered at this or less")] = cents(20)
    edge: Annotated[Price, Meta(ge=1, le=5_000, description="what it is worth beyond its price")] = cents(5)
    size: Annotated[Qty, Meta(ge=1, le=1_000_000, description="contracts an order")] = contracts(5)


class Fade(Strategy):
    """Take an offer at `limit` or less, once a market, and hold it until the market settles.

    It believes that YES is worth `edge` more than it costs. Say here why, and when that is wrong.
    """

    name = "fade"
    Params = FadeParams
    params: FadeParams

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        ask = view.book(ticker).best_ask
        if ask is None or ask > self.params.limit or view.position(ticker) or view.orders(ticker):
            return
        fair = Price(ask + self.params.edge)
        qty = view.size(ticker, BID, ask, fair, self.params.size)
        if qty:
            yield Place(ticker, BID, ask, qty, fair=fair, reason="cheap")
