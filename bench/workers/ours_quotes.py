"""Quotes through the whole engine of a backtest: strategy, risk, orders, ledger, fees, equity each second."""

from collections.abc import Callable, Iterator
from itertools import count

from bench.quotes import BUY_AT, SELL_AT, SIZE, quotes
from bench.worker import serve
from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.compiled.rows import pack
from kalshi_cli.core.engine.strategy_runner import Watches
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, FeedState, MarketChange, Message, PublicTrade, Tick
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.services.research.backtest import backtest
from kalshi_cli.services.research.recorded_run import set_up
from kalshi_cli.services.trading.reports.run_summary import RunPlan
from kalshi_cli.strategies.base import Strategy, StrategyParams

TICKER = "KXA-26MAY01-T1"
PLAN = RunPlan(
    run_id="bench", pid=1, strategy="bands", env="sim", mode="backtest", words="a measurement", markets=1,
    duration_s=None, status_every_s=60.0, stop_budget_s=10.0,
)  # fmt: skip


class Bands(Strategy):
    """Buys low and sells high."""

    name = "bands"

    def __init__(self, watches: Watches) -> None:
        super().__init__(StrategyParams())
        self.watches = watches  # type: ignore[misc]

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        book = view.book(ticker)
        ask, bid = book.best_ask, book.best_bid
        if ask is not None and ask <= cents(BUY_AT):
            if not view.position(ticker):
                yield Place(ticker, BID, ask, contracts(SIZE), fair=cents(50), tif=TimeInForce.IOC)
        elif bid is not None and bid >= cents(SELL_AT) and view.position(ticker):
            yield Place(ticker, ASK, bid, contracts(SIZE), tif=TimeInForce.IOC, reduce_only=True)


def feed(quote_count: int, trade_every: int) -> Iterator[Message]:
    """Each quote as the changes of a book with one level a side."""
    made = quotes(quote_count, trade_every)
    start, book = Ts(made[0].ts), OrderBook(TICKER)
    market = Market(
        ticker=TICKER, event_ticker="KXA-26MAY01", title="?", status=MarketStatus.ACTIVE, grid=CENT_GRID,
        yes_bid=None, yes_bid_size=Qty(0), yes_ask=None, yes_ask_size=Qty(0), last=None, volume=Qty(0),
        volume_24h=Qty(0), open_interest=Qty(0), open_time=start, close_time=Ts(made[-1].ts + 86_400_000),
    )  # fmt: skip
    yield FeedState(start, True)
    yield MarketChange(start, market, FeeSchedule())
    yield BookSnapshot(start, TICKER, (), ())
    book.load((), (), start)
    next_tick = start + 1_000
    for number, quote in enumerate(made):
        ts = Ts(quote.ts)
        if ts >= next_tick:
            yield Tick(Ts(next_tick))
            next_tick += 1_000
        if quote.trade:
            at = book.best_ask or cents(quote.ask)
            yield PublicTrade(ts, TICKER, f"t{number}", at, contracts(quote.trade), BID)
        changes: list[tuple[Side, Price, int]] = []
        for side, price, size in ((BID, cents(quote.bid), quote.bid_size), (ASK, cents(quote.ask), quote.ask_size)):
            changes += [(side, old, -qty) for old, qty in book.levels(side) if old != price]
            changes.append((side, price, contracts(size) - book.qty_at(side, price)))
        changes.sort(key=lambda change: change[2] > 0)  # removals first, so that no state in between is crossed
        changes = [change for change in changes if change[2]]
        for place, (side, price, by) in enumerate(changes, 1):
            book.apply(side, price, Qty(by), ts)
            yield BookDelta(ts, TICKER, side, price, Qty(by), has_more=place < len(changes))


made_feeds: dict[tuple[int, int, bool], list[object]] = {}


def work(watches: Watches, *, is_compiled: bool, trade_every: int = 0) -> Callable[[int], Callable[[], str]]:
    def prepare(quote_count: int) -> Callable[[], str]:
        key = quote_count, trade_every, is_compiled
        if key not in made_feeds:
            messages = feed(quote_count, trade_every)
            made_feeds[key] = list(pack(messages)) if is_compiled else list(messages)
        ids = count(1)
        engine, venue, drive = set_up(
            RiskLimits(), [Bands(watches)], cash=dollars(10_000), new_id=lambda: f"c{next(ids)}", references={},
            order_expiry_s=None, latency_ms=0, is_compiled=is_compiled,
        )  # fmt: skip

        def run() -> str:
            backtest(PLAN, engine, made_feeds[key], venue, ManualClock(Ts(0)), drive)  # type: ignore[arg-type]
            fills = [each for each in engine.state.ledger.entries if isinstance(each, Fill)]
            return f"{len(fills)} {sum(fill.price * fill.qty // 10_000 for fill in fills)}"

        return run

    return prepare


works = {
    "quotes": work("price", is_compiled=True),
    "quotes, each one seen": work("top", is_compiled=True),
    "quotes, reference engine": work("price", is_compiled=False),
    "quotes and trades": work("price", is_compiled=True, trade_every=100),
}
works["quotes"](100)()  # the loop is loaded, or compiled
serve({name.replace(" ", "_"): each for name, each in works.items()}, str)
