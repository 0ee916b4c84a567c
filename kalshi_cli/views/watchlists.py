"""Views of watchlists. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.views.row import OutputRow


class WatchlistRow(OutputRow, frozen=True, kw_only=True):
    """A watchlist: its name and its markets, in the order in which they were added."""

    name: str
    tickers: tuple[str, ...]

    vital = ("tickers",)
    wraps = True
