"""The measures of a backtest agree with each other and with its summary."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from support.backtests import START, TICKERS, Loser, losing, messages_of, ran

from kalshi_cli import testing
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import MarketChange, Message
from kalshi_cli.services.research.backtest import backtest_view
from kalshi_cli.services.research.report.measures import ratio_rows
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import StrategyParams
from kalshi_cli.views.runs import BacktestView


@pytest.fixture(scope="module")
def view() -> BacktestView:
    return backtest_view(losing())


def test_a_strategy_that_loses_is_shown_losing(view: BacktestView) -> None:
    assert view.fills > 20
    assert view.net < 0 < view.fees
    assert view.total_return == pytest.approx(view.net / 1_000_000_000)
    assert view.max_drawdown >= -view.net
    assert view.curve[-1].net == view.net
    assert view.curve[-1].drawdown == -view.net, "it never gained, so that the peak is zero"


def test_the_parts_add_up_to_the_net(view: BacktestView) -> None:
    for rows in (view.rows, view.by_hour, view.by_price, view.by_time_to_close):
        assert sum(row.net for row in rows) == view.net
        assert sum(row.fees for row in rows) == view.fees
    assert [row.part for row in view.by_time_to_close] == ["under 1m", "1m to 5m", "5m to 15m"][
        : len(view.by_time_to_close)
    ]


def test_the_parts_of_several_strategies_add_up_to_the_net(view: BacktestView) -> None:
    assert view.by_strategy == (), "of one strategy there is nothing to split"
    report = losing()
    names = {key: "one" if number % 3 else "two" for number, key in enumerate(report.facts.strategies)}
    shared = msgspec.structs.replace(report, facts=msgspec.structs.replace(report.facts, strategies=names))
    rows = backtest_view(shared).by_strategy
    assert [row.part for row in rows] == ["one", "two"]
    assert (sum(row.net for row in rows), sum(row.fees for row in rows)) == (view.net, view.fees)


def test_every_trade_is_listed_in_time_with_what_it_realized(view: BacktestView) -> None:
    assert len(view.trades) == view.fills
    assert [row.time for row in view.trades] == sorted(row.time for row in view.trades)
    assert {row.strategy for row in view.trades} == {"loser"}
    assert {row.event_ticker for row in view.trades} == {"KXSIM-26JUN", "KXOTHER-26JUN"}
    assert sum(row.fee for row in view.trades) == view.fees
    held = {row.ticker: row.position_after for row in view.trades}
    settled = sum(row.realized for row in view.rows) - sum(row.realized for row in view.trades)
    assert (settled == 0) == (not any(held.values()))
    first = view.trades[0]
    assert first.to_close_s == pytest.approx((START + 300_000 - first.time) / 1000)


def test_shares_are_of_contracts(view: BacktestView) -> None:
    made = sum(row.count for row in view.trades if not row.is_taker)
    count = sum(row.count for row in view.trades)
    assert view.maker_share == made / count == 0.0
    assert view.fill_rate is not None
    assert 0 < view.fill_rate <= 1
    assert (view.markets, view.markets_traded) == (2, 2)
    assert (view.started, view.ended) == (START, START + 300_000)
    assert 0 < view.highest_exposure <= 2 * 5_000_000


def test_a_fill_pays_the_fee_in_force_at_its_time() -> None:
    """The fee of both markets is waived after 150 seconds: the recording says so with a new schedule."""

    def changed() -> Iterator[Message]:
        is_old = True
        for message in messages_of(1, has_result=False):
            if is_old and message.ts >= START + 150_000:
                is_old = False
                for ticker in TICKERS:
                    market = testing.market(ticker=ticker, close_time=Ts(START + 300_000))
                    yield MarketChange(message.ts, market, FeeSchedule(multiplier=0))
            yield message

    trades = backtest_view(ran(changed(), Loser(StrategyParams()))).trades
    early = [row for row in trades if row.time < START + 150_000]
    late = [row for row in trades if row.time > START + 151_000]
    assert min(len(early), len(late)) > 5
    assert all(row.fee > 0 for row in early)
    assert not any(row.fee for row in late)


def test_a_run_without_a_fill_has_no_shares() -> None:
    view = backtest_view(ran(messages_of(1, 5), registry.make("spike", {})))
    assert (view.fills, view.maker_share, view.fill_rate, view.trades, view.by_hour) == (0, None, None, (), ())
    assert {row.note for row in view.ratios} == {"needs 20 observations"}


def test_a_ratio_says_why_it_is_missing() -> None:
    rows = list(ratio_rows([Money(5)] * 30, []))
    assert [(row.measure, row.per, row.observations, row.note) for row in rows] == [
        ("sharpe", "day", 30, "all observations are equal"),
        ("sharpe", "event", 0, "needs 20 observations"),
        ("sortino", "day", 30, "no observation is a loss"),
        ("sortino", "event", 0, "needs 20 observations"),
    ]
    full = next(iter(ratio_rows([Money(3), Money(-1)] * 10, [])))
    assert (full.value, full.standard_error, full.note) == (pytest.approx(0.487340), pytest.approx(0.223607), None)
