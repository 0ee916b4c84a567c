"""The resident memory of a process with the parts of a loop, which follows many markets with full books."""

import sys
from itertools import count
from pathlib import Path

import msgspec

import kalshi_cli.app.trading  # the whole program of a loop
from bench import loopback
from bench.worker import serve
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Ts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.markets import Family
from kalshi_cli.core.model.messages import BookSnapshot, FeedState
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.exchange.stream.frames import decode_frame, to_message
from kalshi_cli.exchange.wire.markets import read_markets
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.strategies import registry

file, folder, markets = sys.argv[1:]
assert kalshi_cli.app.trading
snapshot = Path(file).read_bytes().splitlines()[0]
clock = SystemClock()
followed = read_markets(loopback.markets_page()).items[: int(markets)]
families = {market.event_ticker: Family(event_ticker=market.event_ticker) for market in followed}
numbers = count()
engine = TradingEngine(
    EngineState(markets=list(followed), families=families, now=clock.now()),
    RiskLimits(),
    [registry.make("market-maker", {})],
    new_id=lambda: f"c{next(numbers)}",
    order_expiry_s=90.0,
)
store = Store.open(Path(folder) / "memory.db", account="bench", environment="bench")
engine.step(FeedState(clock.now(), True))
for market in followed:
    frame = decode_frame(snapshot)
    message = frame and to_message(frame, recv_ts=Ts(0), use_yes_price=False)
    assert isinstance(message, BookSnapshot)
    for effect in engine.step(msgspec.structs.replace(message, ticker=market.ticker, ts=clock.now())):
        store.record(effect)
serve({"memory": lambda _count: lambda: None})
