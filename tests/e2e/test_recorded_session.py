"""A loop that records itself into a lake, and a backtest of that recording: the same decisions at the same messages.

Fills may differ, and the report says why: another latency, simulated queue positions, and no market impact.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kalshi_cli.base.units import Price, Ts, contracts, dollars
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.messages import StateCommand
from kalshi_cli.core.model.order_terms import BID, TimeInForce
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.exchange.live.families import EventFamilyCache
from kalshi_cli.exchange.live.live_feed import LiveFeed
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.exchange.stream.sequencing import Said
from kalshi_cli.lake.lake import Lake, open_lake
from kalshi_cli.services.account.recovery import load_engine
from kalshi_cli.services.markets.market_query import run_markets
from kalshi_cli.services.research.backtest import BacktestReport, BacktestRequest, backtest_notes
from kalshi_cli.services.research.journal import JournalRecorder
from kalshi_cli.services.research.recorded_run import over_recordings
from kalshi_cli.services.runner import process_messages
from kalshi_cli.services.trading.reports.run_summary import StrategyResults
from kalshi_cli.services.trading.start import reconcile_at_start
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.strategies.base import Strategy, StrategyParams
from verification.replay.compare import LOOSE, PLAN
from verification.strategies.stage import ME, REFERENCES, Stage

MINUTES = 3.0


class Decision(NamedTuple):
    """What the strategy saw at a change of the book, and whether it wanted to buy."""

    ts: Ts
    top: tuple[Price | None, int, Price | None, int]
    buys: bool


class Buyer(Strategy):
    """Buys a contract at the ask where prices and sizes say so. Its position and its orders decide nothing."""

    name = "buyer"
    watches = "top"

    def __init__(self) -> None:
        super().__init__(StrategyParams())
        self.decisions: dict[str, list[Decision]] = defaultdict(list)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        book = view.book(ticker)
        top = bid, bid_size, ask, ask_size = book.top
        buys = bid is not None and ask is not None and (bid + ask + bid_size + ask_size) // 100 % 5 == 0
        made, before = Decision(book.ts, top, buys), self.decisions[ticker]
        if before and before[-1] == made:
            return  # Another order or fill in this market, and the same book.
        before.append(made)
        if buys and ask is not None:
            yield Place(ticker, BID, ask, contracts(1), tif=TimeInForce.IOC, reason="the numbers say so")


def live(lake: Lake, home: Path, seed: int) -> tuple[Buyer, list[Fill]]:
    """Trade on the simulated exchange for some virtual minutes, and record the stream of the loop into a lake."""
    stage, strategy, said = Stage(seed), Buyer(), []  # type: ignore[var-annotated]
    families = EventFamilyCache(stage.client)
    stage.client.refresh_limits()
    markets = run_markets(stage.client, stage.now(), (), "")
    recorder = JournalRecorder(lake, stage, stage, said.append)
    for market in markets:
        recorder.watch(market, families.fees(market), families.family(market))
    take = stage.stream._sequencer.on_frame

    def on_frame(raw: bytes | str, recv_ts: Ts) -> list[Said]:
        recorder.frame(raw)
        return take(raw, recv_ts)

    stage.stream._sequencer.on_frame = on_frame  # type: ignore[method-assign]
    recorder.connected(use_yes_price=True)
    stage.stream.connect(market.ticker for market in markets)
    store = Store.open(home / "state.db", account=ME, environment="sim")
    engine = load_engine(
        stage.client, store, stage, LOOSE, markets=markets,
        fees={market.ticker: families.fees(market) for market in markets}, new_id=stage.new_id,
        families={market.event_ticker: families.family(market) for market in markets}, references=REFERENCES,
        strategies=[strategy], order_expiry_s=90.0,
        agree=lambda *parts: reconcile_at_start(*parts, tell=said.append, note=said.append),
    )  # fmt: skip
    venue = LiveVenue(
        stage.client, stage.stream, stage, live=engine.state.orders.live, known=engine.state.orders.by_order_id,  # type: ignore[arg-type]
        since=engine.state.last_entry, elsewhere=engine.state.untraded_held_markets, tell=said.append,
    )  # fmt: skip
    feed = LiveFeed(
        stage.stream, stage.client, stage, markets=markets, interval_s=1.0, charge=families.fees_anew,  # type: ignore[arg-type]
        tell=said.append,
    )  # fmt: skip
    StrategyResults(engine)
    is_over = False
    for message in feed:
        process_messages((*venue.observe(message), message), engine, venue, store)
        if stage.monotonic() >= MINUTES * 60 and not is_over:
            is_over = True
            feed.request(StateCommand(stage.now(), None, "the end"))
    recorder.close()
    fills = [entry for entry in engine.state.ledger.entries if isinstance(entry, Fill)]
    store.close()
    stage.client.close()
    assert not engine.failed
    return strategy, fills


def replayed(lake: Lake) -> tuple[Buyer, BacktestReport]:
    """Backtest the recording."""
    strategy = Buyer()
    ids = iter(range(1_000_000))
    report = over_recordings(
        BacktestRequest(strategies=("buyer",), files=(), lake=lake.root, latency_ms=80), PLAN, LOOSE, [strategy],
        cash=dollars(10_000), new_id=lambda: f"b{next(ids)}", references=REFERENCES, order_expiry_s=90.0,
        interval_s=2.0,
    )  # fmt: skip
    return strategy, report


def decided(strategy: Buyer, until: Ts) -> dict[str, list[Decision]]:
    """Return the decision at the end of each matching event that changed the top of a book, before a time.

    The live loop may see the end of an event only with the next frame, and then decide within it as well.
    """
    found: dict[str, list[Decision]] = {}
    for ticker, decisions in strategy.decisions.items():
        last = {each.ts: each for each in decisions if each.ts < until}
        kept = found.setdefault(ticker, [])
        for each in last.values():
            if not kept or kept[-1].top != each.top:
                kept.append(each)
    return found


def test_a_backtest_of_a_recorded_loop_decides_the_same_at_the_same_messages(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake", is_new=True)
    traded, fills = live(lake, tmp_path, 1)
    tested, report = replayed(lake)
    assert report.holes == 0
    end = min(max(each.ts for found in one.decisions.values() for each in found) for one in (traded, tested))
    assert decided(tested, end) == decided(traded, end)
    made = [each for found in decided(traded, end).values() for each in found]
    assert len(made) > 100
    assert sum(each.buys for each in made) > 10
    assert fills
    assert report.fills
    reasons = "latency 80ms, proportional queue positions, no market impact"
    ticks = "ticks come at other moments than in a run (--phases 4 shows how much that changes)"
    line = f"Fills are simulated ({reasons}), and {ticks}: live results differ for these reasons"
    assert backtest_notes(report)[0] == line
