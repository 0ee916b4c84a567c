"""The valid prices of a market."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price
from kalshi_cli.core.model.order_terms import ASK, BID, Side


class PriceBand(msgspec.Struct, frozen=True, gc=False):
    """A range of valid prices: `start` to `end`, both included, in steps of `step`."""

    start: Price
    end: Price
    step: Price


class PriceGrid(msgspec.Struct, frozen=True, gc=False):
    """The valid prices of a market, from its `price_ranges` (not from the label of the structure)."""

    bands: tuple[PriceBand, ...]

    def is_valid(self, price: Price) -> bool:
        """Return whether a price is on the grid and strictly between $0 and $1."""
        return 0 < price < ONE_DOLLAR and any(
            band.start <= price <= band.end and (price - band.start) % band.step == 0 for band in self.bands
        )

    def snap(self, side: Side, price: Price) -> Price | None:
        """Return the nearest valid price that is no worse for us: down for bids, up for asks; None without one."""
        found: list[int] = []
        for band in self.bands:
            if side is BID:
                top = min(price, band.end, ONE_DOLLAR - 1)
                at = top - (top - band.start) % band.step
            else:
                low = max(price, band.start, 1)
                at = low + (band.start - low) % band.step
            if band.start <= at <= band.end and 0 < at < ONE_DOLLAR:
                found.append(at)
        if not found:
            return None
        return Price(max(found) if side is BID else min(found))

    def nearest(self, price: Price) -> tuple[Price | None, Price | None]:
        """Return the valid prices just below and just above, for an error message."""
        return self.snap(BID, price), self.snap(ASK, price)


CENT_GRID = PriceGrid((PriceBand(Price(0), ONE_DOLLAR, Price(100)),))
