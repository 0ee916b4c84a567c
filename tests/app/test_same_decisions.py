"""A strategy that hears from outside decides the same in a loop and in the backtest of what was recorded meanwhile.

Real sockets: the simulated exchange, its own spot as the venues tell it, the stream, the reader of the venues.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.served import bare_variables, program, set_variables

from kalshi_cli.app.environment import Environment
from kalshi_cli.app.inputs import run_inputs
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.config.config import Config
from kalshi_cli.config.schema import SimulatorConfig
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import Message, SpotPrice, StateCommand
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.exchange.live.live_feed import LiveFeed
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.exchange.stream.reader import Stream
from kalshi_cli.feeds.recorder import Recorder
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.services.markets.market_query import run_markets
from kalshi_cli.services.research.backtest import BacktestRequest
from kalshi_cli.services.research.recorded_run import over_recordings
from kalshi_cli.services.runner import run
from kalshi_cli.services.trading.reports.run_summary import RunPlan
from kalshi_cli.strategies.crypto.crypto_ta import CryptoTa, CryptoTaParams

HOUR_MS, HALF_MS = 3_600_000, 1_800_000
LIMITS = RiskLimits(min_edge=None, max_orders_per_minute=None, price_collar=None)
CERTAIN = CryptoTaParams(bar_s=0.25, min_bars=5, vol_bars=20, vol_factor=0.1, max_markets=20)
"""So sure of itself that it takes one side of every market at once, and that milliseconds do not change which."""
SETTLED_MS = 1_000
"""What was decided so long before the end of one run was decided in the other one, too."""
PLAN = RunPlan(
    run_id="run-1", pid=1, strategy="crypto-ta", env="sim", mode="backtest", words="a test", markets=1,
    duration_s=None, status_every_s=60.0, stop_budget_s=10.0,
)  # fmt: skip


class Noted(CryptoTa):
    """Remembers each price with what it made of it, and the first that it wanted in each market."""

    def __init__(self) -> None:
        super().__init__(CERTAIN)
        self.heard: list[tuple[Any, ...]] = []
        self.wanted: dict[str, tuple[Side, int]] = {}

    def on_spot(self, view: StrategyContext, spot: SpotPrice) -> Iterator[Intent]:
        intents = super().on_spot(view, spot)
        bars = self._bars[spot.symbol]
        self.heard.append((spot, bars.count, bars.vol, bars.signals))
        return self._noted(view, intents)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        yield from self._noted(view, super().on_book(view, ticker))

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        yield from self._noted(view, super().on_tick(view))

    def _noted(self, view: StrategyContext, intents: Iterator[Intent]) -> Iterator[Intent]:
        for intent in intents:
            if isinstance(intent, Place):
                self.wanted.setdefault(intent.ticker, (intent.side, view.now))
            yield intent


def clear_of_the_money(markets: list[Market]) -> list[Market]:
    """Two-sided markets that are not about to be worth more or less than half a dollar in turn."""
    mids = [(m, (m.yes_bid + m.yes_ask) // 2) for m in markets if m.yes_bid and m.yes_ask]
    return [market for market, mid in mids if 500 <= mid <= 4_000 or 6_000 <= mid <= 9_500]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A simulated exchange on which it is half past the hour: its hourly markets are open, and stay so."""
    set_variables(monkeypatch, tmp_path, {**bare_variables(tmp_path), "KALSHI_ENV": "sim"})
    ahead = HALF_MS + HOUR_MS - SystemClock().now() % HOUR_MS
    assert program("sim", "clock", "--forward", f"{ahead // 1000}s").code == 0
    return tmp_path


def in_a_loop(home: Path, tape: Path, strategy: Noted) -> None:
    """The strategy on the simulated exchange, until it decided in several markets, and heard much; it is recorded."""
    config = Config(state=home / "state", env="sim", sim=SimulatorConfig(speed=3))
    with ExitStack() as stack:
        environment = stack.enter_context(Environment(config, lambda _text: None))
        app, simulator = environment.open(), environment.simulator
        exchange, world = stack.enter_context(simulator.open(takes_over=True))
        server = simulator.server(exchange, world)
        server.start()
        stack.callback(server.stop)
        stack.enter_context(simulator.announce(server.rest_url, server.ws_url))
        markets = clear_of_the_money(run_markets(app.client, app.clock.now(), (), "KXBTCD"))
        recorder = Recorder(tape, app.clock)
        stack.callback(recorder.close)
        for market in markets:
            recorder.watch(market)
        assert app.signer is not None
        stream = Stream(
            app.ws_url, app.signer, app.clock, app.rng, tickers=[market.ticker for market in markets], tap=recorder
        )
        stream.start()
        stack.callback(stream.stop)
        feed = LiveFeed(stream, app.client, app.clock, markets=markets, interval_s=1.0)
        engine = load_engine(
            app.client, app.store, app.clock, LIMITS, markets=markets, fees={}, new_id=app.new_order_id,
            strategies=[strategy], order_expiry_s=90.0,
        )  # fmt: skip
        venue = LiveVenue(app.client, stream, app.clock, live=engine.state.orders.live, since=engine.state.last_entry)

        def bring(message: Message) -> None:
            recorder.heard(message)
            feed.enqueue(message)

        until = app.clock.monotonic() + 60.0

        def done(message: Message) -> None:
            settled = [ts for _, ts in strategy.wanted.values() if message.ts - ts > 2 * SETTLED_MS]
            if (len(settled) >= 2 and len(strategy.heard) >= 60) or app.clock.monotonic() > until:
                feed.request(StateCommand(app.clock.now(), None, "enough"))

        stack.enter_context(run_inputs(app, [strategy], bring, lambda: markets))
        run(feed, engine, venue, app.store, done)


def settled(strategy: Noted) -> dict[str, Side]:
    """What was decided well before the end."""
    end = strategy.heard[-1][0].ts
    return {ticker: side for ticker, (side, ts) in strategy.wanted.items() if end - ts > SETTLED_MS}


def test_crypto_ta_hears_and_decides_the_same_in_a_loop_and_in_the_backtest_of_its_recording(home: Path) -> None:
    live, again, tape = Noted(), Noted(), home / "tape.jsonl.gz"
    in_a_loop(home, tape, live)
    ids = iter(range(1_000_000))
    request = BacktestRequest(strategies=("crypto-ta",), files=(tape,))
    over_recordings(
        request, PLAN, LIMITS, [again], cash=Config().sim.starting_cash,
        new_id=lambda: f"c{next(ids)}", references={}, order_expiry_s=90.0, interval_s=1.0, inputs=again.inputs(),
    )  # fmt: skip
    assert len(live.heard) >= 60
    assert again.heard[: len(live.heard)] == live.heard, "every price, and every bar and indicator made of it"
    in_loop, in_backtest = settled(live), settled(again)
    assert len(in_loop) >= 2, "the loop decided something"
    assert in_backtest.items() >= in_loop.items()
    assert live.wanted.keys() >= in_backtest.keys()
