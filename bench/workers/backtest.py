"""A backtest over tapes already in memory: `compiled:NAME` or `reference:NAME`, for one strategy by name.

The measured part is the whole run, from a new engine to its report: books, queue positions, orders, risk, ledger, fees.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

from bench.worker import serve
from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Price, Ts, contracts, dollars
from kalshi_cli.compiled.rows import TapeItem, pack
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.messages import BookDelta, Message
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.exchange.stream.sequencing import recorded_frames
from kalshi_cli.feeds.replay import Replay
from kalshi_cli.services.research.backtest import backtest
from kalshi_cli.services.research.recorded_run import set_up
from kalshi_cli.services.trading.reports.run_summary import RunPlan
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.strategies.order_edges import OrderThrottle

PLAN = RunPlan(
    run_id="bench", pid=1, strategy="any", env="sim", mode="backtest", words="a measurement", markets=1,
    duration_s=None, status_every_s=60.0, stop_budget_s=10.0,
)  # fmt: skip
LIMITS = RiskLimits(max_daily_loss=None, max_drawdown=None)
REQUIRED = {"model-edge": {"source": "none"}, "news": {"source": "none"}}


class Nothing(Strategy):
    """Never trades."""

    name = "nothing"


class Imbalance(Strategy):
    """Takes the side of the best prices that shows ten times the size of the other: the plainest use of `top`."""

    name = "imbalance"
    watches = "top"

    def __init__(self, params: StrategyParams) -> None:
        super().__init__(params)
        self._throttle = OrderThrottle(10_000)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        bid, bid_qty, ask, ask_qty = view.book(ticker).top
        if bid is None or ask is None:
            return
        if bid_qty > 10 * ask_qty:
            side, price = BID, ask
        elif ask_qty > 10 * bid_qty:
            side, price = ASK, bid
        else:
            return
        if not self._throttle.is_waiting(view, ticker) and not view.orders(ticker):
            fair = Price(price + side.sign * 500)
            yield from self._throttle.send(
                view, Place(ticker, side, price, contracts(1), fair=fair, tif=TimeInForce.IOC)
            )


def read(paths: list[str]) -> Iterator[Message]:
    for path in paths:
        feed = Replay([Path(path)], new_decoder=lambda flag: recorded_frames(use_yes_price=flag))
        yield from feed


QUICK = "--quick"
messages = list(read([path for path in sys.argv[1:] if path != QUICK]))
tapes: dict[int, tuple[list[Message], list[TapeItem]]] = {}


def tape_of(changes: int) -> tuple[list[Message], list[TapeItem]]:
    """The first messages, with so many changes."""
    if changes not in tapes:
        found, left = [], changes
        for message in messages:
            found.append(message)
            left -= isinstance(message, BookDelta)
            if not left:
                break
        tapes[changes] = found, list(pack(found))
    return tapes[changes]


def work(name: str, *, is_compiled: bool) -> Callable[[int], Callable[[], str]]:
    def prepare(changes: int) -> Callable[[], str]:
        tape = tape_of(changes)[is_compiled]
        ids = count(1)

        def run() -> str:
            plain = {"nothing": Nothing, "imbalance": Imbalance}.get(name)
            strategy = plain(StrategyParams()) if plain else registry.make(name, REQUIRED.get(name, {}))
            engine, venue, drive = set_up(
                LIMITS, [strategy], cash=dollars(10_000), new_id=lambda: f"c{next(ids)}", references={},
                order_expiry_s=90.0, latency_ms=150, is_compiled=is_compiled,
            )  # fmt: skip
            summary = backtest(PLAN, engine, tape, venue, ManualClock(Ts(0)), drive).summary  # type: ignore[arg-type]
            return f"{summary.orders} orders, {summary.fills} fills, net {summary.net}"

        return run

    return prepare


def seconds_to_first_use(is_cache_empty: bool) -> float:
    """How long a new process takes from importing the loop to its first stop."""
    code = (
        "import time; t = time.perf_counter()\n"
        "from kalshi_cli.core.model.messages import BookDelta; from kalshi_cli.compiled.books import CompiledBooks\n"
        "from kalshi_cli.compiled.rows import pack; from kalshi_cli.core.model.order_terms import BID\n"
        "compiled = CompiledBooks()\n"
        "for rows in pack([BookDelta(1, 'A', BID, 5_000, 1)]): compiled.advance(rows, 0)\n"
        "print(time.perf_counter() - t)"
    )
    with tempfile.TemporaryDirectory() as empty:
        environment = {**os.environ, **({"NUMBA_CACHE_DIR": empty} if is_cache_empty else {})}
        for _ in range(1 if is_cache_empty or QUICK in sys.argv else 2):  # a first start may have to compile it
            ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    return float(ran.stdout)


names = ("nothing", "imbalance", *registry.BUILT_IN)
works = {
    f"{kind}:{name}": work(name, is_compiled=kind == "compiled") for name in names for kind in ("compiled", "reference")
}
compiled_s = 0.0 if QUICK in sys.argv else seconds_to_first_use(is_cache_empty=True)
print(compiled_s, seconds_to_first_use(is_cache_empty=False), flush=True)
works["compiled:nothing"](1)()
serve({**works, "changes": lambda _count: lambda: sum(isinstance(each, BookDelta) for each in messages)}, str)
