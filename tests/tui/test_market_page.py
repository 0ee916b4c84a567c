"""The page of a market, apart from its screen; with one: tests/tui/test_app.py."""

from __future__ import annotations

import asyncio

import pytest
from textual.app import App

from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.app.market_history import MarketHistory
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import UnreachableError
from kalshi_cli.tui.market_page import MarketPage
from kalshi_cli.views.live import LiveEvent


def test_a_page_that_opens_or_closes_shows_nothing_and_ends_nothing() -> None:
    page = MarketPage("KXRAIN-40JAN01-T1.0", MarketHistory(Kalshi.open, "KXRAIN-40JAN01-T1.0", SystemClock()))
    page.show(LiveEvent())


@pytest.mark.parametrize("part", ["*", "#title", "#chart", "#ladder", "#trades", "#own"])
def test_a_page_that_closes_shows_what_is_still_there(part: str) -> None:
    def nobody(*_: object) -> Kalshi:
        raise UnreachableError("Nobody answers")

    async def run() -> None:
        app: App[None] = App()
        async with app.run_test():
            page = MarketPage("KXRAIN-40JAN01-T1.0", MarketHistory(nobody, "KXRAIN-40JAN01-T1.0", SystemClock()))
            await app.push_screen(page)
            await page.query(part).remove()
            page.show(LiveEvent())

    asyncio.run(run())
