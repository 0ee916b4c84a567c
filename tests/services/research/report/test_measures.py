"""The measures of a backtest agree with each other and with its summary."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest
from support.backtests import START, TICKERS, Loser, losing, messages_of, ran

from kalshi_cli import testing
from kalshi_cli.base.units import Money, Ts, cents, contracts, dollars
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import BookSnapshot, MarketChange, Message, Tick
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.research.backtest import backtest_view
from kalshi_cli.services.research.report.measures import ratio_rows
from kalshi_cli.services.research.tape_runs import merge_reports
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams
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


class Sweeper(Strategy):
    """Each ten seconds, takes three levels of one side with one order; `short` takes the bids, `long` the asks."""

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        side, price, at = (BID, cents(55), 0) if self.name == "long" else (ASK, cents(45), 5_000)
        if view.now % 10_000 == at:
            yield Place(TICKERS[0], side, price, contracts(12), tif=TimeInForce.IOC, reason="sweeps")


class Long(Sweeper):
    name = "long"


class Short(Sweeper):
    name = "short"


def steps(seconds: int = 60) -> Iterator[Message]:
    """A book with five contracts at each of eight prices of a side, which its takers do not move."""
    yield MarketChange(START, testing.market(ticker=TICKERS[0], close_time=Ts(START + 900_000)), FeeSchedule())
    for second in range(seconds):
        now = Ts(START + second * 1000)
        bids, asks = ([(cents(at + step), contracts(5)) for step in range(8)] for at in (42, 51))
        yield BookSnapshot(now, TICKERS[0], tuple(bids[::-1]), tuple(asks))
        yield Tick(now)


def test_every_piece_of_an_order_belongs_to_its_strategy() -> None:
    one = backtest_view(ran(steps(), Long(StrategyParams())))
    assert one.fills > one.orders, "orders fill in several pieces"
    assert {row.strategy for row in one.trades} == {"long"}
    assert one.by_strategy == ()


def test_strategies_with_opposite_positions_add_up_to_the_net() -> None:
    """Together they hold nothing at the end."""
    view = backtest_view(ran(steps(), Long(StrategyParams()), Short(StrategyParams())))
    assert view.fills > view.orders
    assert {row.strategy for row in view.trades} == {"long", "short"}
    assert sum(row.count if row.book_side == "bid" else -row.count for row in view.trades) == 0
    assert [row.part for row in view.by_strategy] == ["long", "short"]
    assert sum(row.net for row in view.by_strategy) == view.net
    assert sum(row.fees for row in view.by_strategy) == view.fees


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


class Early(Strategy):
    """Asks for orders of markets that do not exist."""

    name = "early"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        yield Place("KXNONE-1", BID, cents(40), contracts(1), reason="asks")


def test_the_refusals_of_several_strategies_are_split() -> None:
    alone = ran(messages_of(1, 30), Early(StrategyParams()))
    assert (alone.summary.denied, alone.summary.denied_by_strategy) == ({"UNKNOWN_MARKET": 30}, ())
    both = ran(messages_of(1, 30), Early(StrategyParams()), Loser(StrategyParams()))
    (row,) = backtest_view(both).denied_by_strategy
    assert (row.strategy, row.code, row.denied) == ("early", "UNKNOWN_MARKET", 30)
    (merged,) = merge_reports([both, both], dollars(1_000)).summary.denied_by_strategy
    assert merged.denied == 60
