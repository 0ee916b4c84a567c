"""A strategy that quotes against the external book does not follow its own orders."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.simulation import Simulation
from support.trading import TradingLoop

from kalshi_cli.strategies.api import (
    BID,
    Amend,
    Intent,
    Place,
    Price,
    Strategy,
    StrategyContext,
    StrategyParams,
    cents,
    contracts,
)


class PennyParams(StrategyParams, frozen=True):
    """Parameters of `penny`."""

    is_external: bool


class Penny(Strategy):
    """Bid one cent more than the best bid that it sees."""

    name = "penny"
    Params = PennyParams
    params: PennyParams

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        """Follow the best bid."""
        best = (view.external_book if self.params.is_external else view.book)(ticker).best_bid
        orders = view.orders(ticker)
        price = Price((best or 0) + 100)
        if not orders:
            yield Place(ticker, BID, price, contracts(2))
        elif orders[0].status == "resting" and orders[0].price != price:
            yield Amend(orders[0].order_id, price, contracts(2))


@pytest.mark.parametrize(("is_external", "after"), [(True, [41, 41, 41, 38]), (False, [41, 42, 43, 44])])
def test_a_quote_against_the_external_book_does_not_outbid_itself(
    sim: Simulation, is_external: bool, after: list[int]
) -> None:
    sim.market(40, 60)
    loop = TradingLoop(sim, Penny(PennyParams(is_external=is_external)))
    found = []
    for is_last in (False, False, False, True):
        if is_last:
            sim.market(37, 60)
        loop.ticks(1)
        found.append([order.price for order in loop.live])
    assert found == [[cents(price)] for price in after]
