"""What a market charges, and the index behind it, are in its recording: a backtest knows what a loop knew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from support.recordings import T0, Tape

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Money, Qty, Ts, contracts, dollars, format_ts
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.feeds.recorder import Recorder
from kalshi_cli.feeds.recording_format import decode_line
from kalshi_cli.services.research.backtest import BacktestRequest, unknown_lines
from kalshi_cli.services.research.recorded_run import over_recordings
from kalshi_cli.services.trading.reports.run_summary import RunPlan
from kalshi_cli.strategies.base import Strategy, StrategyParams

PLAN = RunPlan(
    run_id="run-1", pid=1, strategy="taker", env="sim", mode="backtest", words="a test", markets=1,
    duration_s=None, status_every_s=60.0, stop_budget_s=10.0,
)  # fmt: skip
MARKET = Market(
    ticker="KXA-26MAY01-T1", event_ticker="KXA-26MAY01", title="?", status=MarketStatus.ACTIVE, grid=CENT_GRID,
    yes_bid=None, yes_bid_size=Qty(0), yes_ask=None, yes_ask_size=Qty(0), last=None, volume=Qty(0),
    volume_24h=Qty(0), open_interest=Qty(0), open_time=T0, close_time=Ts(T0 + 86_400_000),
)  # fmt: skip


class Taker(Strategy):
    """Buys once what is offered."""

    name = "taker"

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        ask = view.book(ticker).best_ask
        if ask is not None and not view.orders(ticker) and not view.position(ticker):
            yield Place(ticker, BID, ask, contracts(10), reason="an offer")


def paid(path: Path, fees: FeeSchedule | None) -> tuple[Money, tuple[str, ...]]:
    """Fees of buying ten at 44 cents in a backtest of a recording that knows this of the market, and what is said."""
    tape = Tape().snapshot(yes={"0.4000": "50.00"}, no={"0.5600": "50.00"})
    for _ in range(5):
        tape.delta(1_000)
    clock = ManualClock(T0)
    recorder = Recorder(path, clock)
    recorder.watch(MARKET, fees)
    recorder.connected(use_yes_price=False)
    for line in map(decode_line, tape.lines):
        clock.set(line.recv_ts)
        recorder.frame(bytes(line.frame))
    recorder.close()
    ids = count(1)
    report = over_recordings(
        BacktestRequest(strategies=("taker",), files=(path,)), PLAN, RiskLimits(min_edge=None),
        [Taker(StrategyParams())], cash=dollars(1_000), new_id=lambda: f"c{next(ids)}", references={},
        order_expiry_s=90.0, interval_s=1.0,
    )  # fmt: skip
    assert report.summary.fills == 1
    return report.summary.fees, unknown_lines(report)


@pytest.mark.parametrize(
    ("fees", "cost"),
    [(FeeSchedule(), 172_500), (FeeSchedule(multiplier=500), 86_300), (FeeSchedule(multiplier=0), 0)],
)
def test_a_backtest_pays_what_the_recording_says_that_the_market_charges(
    tmp_path: Path, fees: FeeSchedule, cost: int
) -> None:
    paid_fees, unknown = paid(tmp_path / "tape.jsonl", fees)
    assert paid_fees == cost
    assert [line.partition(" ")[0] for line in unknown] == ["result", "public"]


class Noter(Strategy):
    """Remembers what the index was, whenever the book moved."""

    name = "noter"

    def __init__(self) -> None:
        super().__init__(StrategyParams())
        self.seen: list[int | None] = []

    def on_book(self, view: StrategyContext, ticker: str) -> None:
        self.seen.append(view.reference(ticker))


def index_frame(value: str, at: int) -> dict[str, object]:
    data = {"type": "value", "id": "BRTI", "time": at, "value": value}
    msg = {"index_id": "BRTI", "received_at": at, "data": json.dumps(data)}
    return {"type": "cfbenchmarks_value", "sid": 8, "seq": 1, "msg": msg}


@pytest.mark.parametrize("where", ["stream", "file"])
def test_the_index_behind_a_market_is_known_from_the_recorded_stream_or_from_a_file_beside_it(
    tmp_path: Path, where: str
) -> None:
    """Otherwise a strategy that fades what nothing outside explains would fade what the index explained."""
    tape = Tape().snapshot(yes={"0.4000": "50.00"}, no={"0.5600": "50.00"}).delta(1_000)
    files = [tmp_path / "tape.jsonl"]
    if where == "stream":
        tape._line(frame=index_frame("85574.80", tape.now))
    else:
        files.append(tmp_path / "btcusd.csv")
        files[1].write_text(f"exchange_ts,recv_ns,price\n{format_ts(Ts(T0 + 1_001))},1,85574.80\n")
    tape.delta(1_000).write(files[0])
    noter = Noter()
    over_recordings(
        BacktestRequest(strategies=("noter",), files=tuple(files)), PLAN, RiskLimits(), [noter], cash=dollars(1_000),
        new_id=str, references={"KXA": "BRTI"}, order_expiry_s=90.0, interval_s=1.0,
    )  # fmt: skip
    assert noter.seen == [None, None, 855_748_000]


def test_where_the_recording_does_not_say_it_pays_what_most_charge_and_that_is_told(tmp_path: Path) -> None:
    cost, said = paid(tmp_path / "tape.jsonl", None)
    assert cost == paid(tmp_path / "other.jsonl", FeeSchedule())[0] > 0
    fees = "the standard fee is assumed (taker 7% of p(1-p), maker none)"
    assert said[0] == f"fees and fee waivers of 1 of 1 market; {fees}"
