"""The parts of a backtest: a fill is free while the recording shows a fee waiver."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import msgspec
import pytest
from support.trading import PLAN
from support.values import make_market

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Ts, cents, contracts, dollars
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import BookSnapshot, MarketChange, Message, Tick
from kalshi_cli.core.model.order_terms import BID, TimeInForce
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.research.backtest import backtest
from kalshi_cli.services.research.recorded_run import set_up
from kalshi_cli.strategies.base import Strategy, StrategyParams

T0 = Ts(1_780_000_000_000)


class Buyer(Strategy):
    """Buys a contract at the ask at each tick."""

    name = "buyer"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        for ticker in view.tickers:
            yield Place(ticker, BID, cents(44), contracts(1), tif=TimeInForce.IOC, reason="an offer")


@pytest.mark.parametrize("waived_s", [None, 0, 5, 100])
def test_a_fill_is_free_while_its_market_has_a_fee_waiver(waived_s: int | None) -> None:
    ids = itertools.count(1)
    engine, venue, drive = set_up(
        RiskLimits(min_edge=None), [Buyer(StrategyParams())], cash=dollars(1_000), new_id=lambda: f"c{next(ids)}",
        references={}, order_expiry_s=90.0, latency_ms=0, is_compiled=False,
    )  # fmt: skip
    waived = None if waived_s is None else Ts(T0 + waived_s * 1000)
    market = msgspec.structs.replace(make_market(), fee_waiver_until=waived)
    book = BookSnapshot(T0, market.ticker, ((cents(40), contracts(90)),), ((cents(44), contracts(90)),))
    ticks = (Tick(Ts(T0 + second * 1000)) for second in range(10))
    feed: list[Message] = [MarketChange(T0, market, FeeSchedule()), book, *ticks]
    report = backtest(PLAN, engine, feed, venue, ManualClock(T0), drive)
    free = [fill.ts < (waived or 0) for fill in report.fills]
    assert [fill.fee == 0 for fill in report.fills] == free
    assert len(free) > 7
    assert any(free) == (waived_s in (5, 100))
    assert all(free) == (waived_s == 100)
