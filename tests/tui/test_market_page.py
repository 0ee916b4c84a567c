"""The page of a market, apart from its screen; with one: tests/tui/test_app.py."""

from __future__ import annotations

from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.app.market_history import MarketHistory
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.tui.market_page import MarketPage
from kalshi_cli.views.live import LiveEvent


def test_a_page_that_opens_or_closes_shows_nothing_and_ends_nothing() -> None:
    page = MarketPage("KXRAIN-40JAN01-T1.0", MarketHistory(Kalshi.open, "KXRAIN-40JAN01-T1.0", SystemClock()))
    page.show(LiveEvent())
