"""Makers of the world's that answer requests for quotes, and the collections from which its combos are made.

Whoever is alone on the simulated exchange gets quotes this way, a moment after asking, and a confirmation a moment
after accepting. A quoter takes the middle of the book, or where a side is empty what the market is worth by its
reference; of a combo, the product of what its legs are worth.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.price_grid import PriceGrid
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import CollectionSpec, SeriesSpec
from kalshi_cli.simulator.model.quote_records import DECLINED, RfqRecord
from kalshi_cli.simulator.model.seeded_random import SeededRandom

Chance = Callable[[str], float | None]
"""How likely a market ends as YES by its reference; None where nobody knows."""

_LEAST, _MOST = 0.002, 0.998
_SOONEST_MS, _LATEST_MS = 300, 1_500
_A_LOOK = 50
"""Requests answered in one look, at most."""


class RfqMakerStyle(msgspec.Struct, frozen=True, kw_only=True):
    """How a quoter quotes: `margin` is taken on each side, in dollars; `confirms_ms` is how long it thinks it over."""

    account: str
    margin: float
    confirms_ms: int


MANNERS = (
    RfqMakerStyle(account="quoter-1", margin=0.012, confirms_ms=800),
    RfqMakerStyle(account="quoter-2", margin=0.025, confirms_ms=400),
)

_COMBO_FEES = FeeSchedule(FeeType.WITH_COMBO_MAKER, 1000)
_GAMES = ("KXNBAGAME", "KXMLBGAME")
COMBO_SERIES = tuple(
    SeriesSpec(ticker=ticker, title=title, category="Exotics", frequency="custom", tags=("Combos",), fees=_COMBO_FEES)
    for ticker, title in (("KXMVESPORTSMULTIGAME", "Games combined"), ("KXMVECROSSCATEGORY", "Events combined"))
)
_LEGS = {
    "KXMVESPORTSMULTIGAME": _GAMES,
    "KXMVECROSSCATEGORY": (*_GAMES, "KXHIGHNY", "KXINX", "KXFEDDECISION", "KXBTCD", "KXETHD"),
}


def collections(opens: Ts) -> list[CollectionSpec]:
    """What the world's members may combine, for a year from `opens`."""
    return [
        CollectionSpec(
            ticker=f"{series.ticker}-R",
            series_ticker=series.ticker,
            title=series.title,
            description="Pick a side of markets of different events; all must come true.",
            leg_series=_LEGS[series.ticker],
            opens=opens,
            closes=Ts(opens + 365 * 86_400_000),
        )
        for series in COMBO_SERIES
    ]


class RfqMaker:
    """One account that quotes what is asked for, once."""

    def __init__(self, exchange: SimulatedExchange, seed: int, manner: RfqMakerStyle) -> None:
        self._exchange = exchange
        self._seed = seed
        self._manner = manner

    def answer(self, chance: Chance, now: Ts) -> None:
        """Quote the open requests that have waited long enough."""
        for rfq in self._exchange.unanswered(self._manner.account)[:_A_LOOK]:
            dice = SeededRandom(self._seed, self._manner.account, rfq.ticker, rfq.number)
            if now < rfq.created + dice.between(_SOONEST_MS, _LATEST_MS):
                continue
            fair = self._fair(rfq.ticker, chance)
            if fair is not None:
                self._quote(rfq, fair, dice, now)

    def _quote(self, rfq: RfqRecord, fair: float, dice: SeededRandom, now: Ts) -> None:
        grid, margin = self._exchange.grid(rfq.ticker), self._manner.margin * dice.between(0.7, 1.3)
        yes, no = _bid(grid, fair - margin), _bid(grid, 1 - fair - margin)
        if (yes, no) != (DECLINED, DECLINED):
            # A refusal is fine: the market is paused or about to close, and there is nothing to be had.
            account, thinks = self._manner.account, self._manner.confirms_ms
            self._exchange.quote(account, rfq.rfq_id, yes, no, now, confirms_ms=thinks)

    def _fair(self, ticker: str, chance: Chance) -> float | None:
        legs = self._exchange.legs(ticker)
        if not legs:
            known = self._middle(ticker)
            known = chance(ticker) if known is None else known
            return None if known is None else min(max(known, _LEAST), _MOST)
        product = 1.0
        for leg in legs:
            known = chance(leg.market_ticker) if leg.value is None else leg.value / ONE_DOLLAR
            if known is None:
                return None
            product *= known if leg.side == "yes" else 1 - known
        return min(max(product, _LEAST), _MOST)

    def _middle(self, ticker: str) -> float | None:
        bid, ask = self._exchange.top(ticker)
        return None if bid is None or ask is None else (bid[0] + ask[0]) / 2 / ONE_DOLLAR


def _bid(grid: PriceGrid, dollars: float) -> Price:
    """On the grid, rounded down; nothing where there is no such price. Every grid is the same seen from NO."""
    return grid.snap(BID, Price(int(dollars * ONE_DOLLAR))) or DECLINED
