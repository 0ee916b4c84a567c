"""Makers of the world that answer RFQs, and the collections for combos.

A member that is alone on the simulated exchange gets quotes this way soon after an RFQ, and a confirmation soon after
an acceptance. A quoter uses the middle of the book, or with an empty side the fair value by the reference; for a combo,
the product of the fair values of its legs.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts
from kalshi_cli.core.model import markets, order_terms, price_grid
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model import listing, quote_records
from kalshi_cli.simulator.model.seeded_random import SeededRandom

Chance = Callable[[str], float | None]
"""Returns the probability of YES of a market by its reference, or None if it is unknown."""

_LEAST, _MOST = 0.002, 0.998
_SOONEST_MS, _LATEST_MS = 300, 1_500
_A_LOOK = 50
"""The most requests that are answered at once."""


class RfqMakerStyle(msgspec.Struct, frozen=True, kw_only=True):
    """The style of a quoter: `margin` on each side in dollars, `confirms_ms` until it confirms."""

    account: str
    margin: float
    confirms_ms: int


MAKER_STYLES = (
    RfqMakerStyle(account="quoter-1", margin=0.012, confirms_ms=800),
    RfqMakerStyle(account="quoter-2", margin=0.025, confirms_ms=400),
)

_COMBO_FEES = markets.FeeSchedule(markets.FeeType.WITH_COMBO_MAKER, 1000)
_GAMES = ("KXNBAGAME", "KXMLBGAME")
COMBO_SERIES = tuple(
    listing.SeriesSpec(
        ticker=ticker, title=title, category="Exotics", frequency="custom", tags=("Combos",), fees=_COMBO_FEES
    )
    for ticker, title in (("KXMVESPORTSMULTIGAME", "Games combined"), ("KXMVECROSSCATEGORY", "Events combined"))
)
_LEGS = {
    "KXMVESPORTSMULTIGAME": _GAMES,
    "KXMVECROSSCATEGORY": (*_GAMES, "KXHIGHNY", "KXINX", "KXFEDDECISION", "KXBTCD", "KXETHD"),
}


def collections(opens: Ts) -> list[listing.CollectionSpec]:
    """Return the collections for combos, for a year from `opens`."""
    return [
        listing.CollectionSpec(
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
    """An account that quotes each RFQ once."""

    def __init__(self, exchange: SimulatedExchange, seed: int, style: RfqMakerStyle) -> None:
        self._exchange = exchange
        self._seed = seed
        self._style = style

    def answer(self, chance: Chance, now: Ts) -> None:
        """Quote the open RFQs that have waited long enough."""
        for rfq in self._exchange.unanswered(self._style.account)[:_A_LOOK]:
            rng = SeededRandom(self._seed, self._style.account, rfq.ticker, rfq.number)
            if now < rfq.created + rng.between(_SOONEST_MS, _LATEST_MS):
                continue
            fair = self._fair(rfq.ticker, chance)
            if fair is not None:
                self._quote(rfq, fair, rng, now)

    def _quote(self, rfq: quote_records.RfqRecord, fair: float, rng: SeededRandom, now: Ts) -> None:
        grid, margin = self._exchange.grid(rfq.ticker), self._style.margin * rng.between(0.7, 1.3)
        yes, no = _bid(grid, fair - margin), _bid(grid, 1 - fair - margin)
        if (yes, no) != (quote_records.DECLINED, quote_records.DECLINED):
            # A refusal is fine: the market is paused or about to close.
            account, thinks = self._style.account, self._style.confirms_ms
            self._exchange.quote(account, rfq.rfq_id, yes, no, now, confirms_ms=thinks)

    def _fair(self, ticker: str, chance: Chance) -> float | None:
        legs, (bid, ask) = self._exchange.legs(ticker), self._exchange.top(ticker)
        fair: float | None = 1.0
        if not legs:
            fair = chance(ticker) if bid is None or ask is None else (bid[0] + ask[0]) / 2 / ONE_DOLLAR
        for leg in legs:
            known = chance(leg.market_ticker) if leg.value is None else leg.value / ONE_DOLLAR
            if known is None or fair is None:
                return None
            fair *= known if leg.side == "yes" else 1 - known
        return None if fair is None else min(max(fair, _LEAST), _MOST)


def _bid(grid: price_grid.PriceGrid, dollars: float) -> Price:
    """Return a price on the grid, rounded down, or DECLINED. Grids are symmetric in YES and NO."""
    return grid.snap(order_terms.BID, Price(int(dollars * ONE_DOLLAR))) or quote_records.DECLINED
