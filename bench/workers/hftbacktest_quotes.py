"""The same quotes and decisions through hftbacktest: its exchange model, and a strategy compiled with numba.

It does less: it has no risk limits, no fee schedule of Kalshi (a share of the value instead) and no ledger of orders,
fills and markets. It sums position, balance and fee of one instrument.
"""

from collections.abc import Callable

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    LIMIT,
    LOCAL_EVENT,
    SELL_EVENT,
    TRADE_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest.order import IOC
from hftbacktest.types import event_dtype
from numba import njit

from bench.quotes import BUY_AT, EVERY_MS, SELL_AT, SIZE, quotes
from bench.worker import serve

NS = 1_000_000
Event = tuple[int, int, int, float, float, int, int, float]


@njit  # type: ignore[untyped-decorator]
def trade(backtest):  # type: ignore[no-untyped-def]
    """Buy low and sell high: decide once after each quote but the first and the last, as they come at fixed times."""
    number = 0
    while backtest.elapse(EVERY_MS * NS) == 0:
        depth, position = backtest.depth(0), backtest.position(0)
        if depth.best_ask_tick <= BUY_AT:
            if position == 0:
                number += 1
                backtest.submit_buy_order(0, number, depth.best_ask, SIZE, IOC, LIMIT, False)
        elif depth.best_bid_tick >= SELL_AT and position > 0:
            number += 1
            backtest.submit_sell_order(0, number, depth.best_bid, SIZE, IOC, LIMIT, False)
        backtest.clear_inactive_orders(0)


def events(count: int, trade_every: int) -> list[Event]:
    """Each quote as the changes of a book with one level a side, removals first."""
    made: list[Event] = []
    shown = {BUY_EVENT: 0, SELL_EVENT: 0}
    for quote in quotes(count, trade_every):
        new = {BUY_EVENT: (quote.bid, quote.bid_size), SELL_EVENT: (quote.ask, quote.ask_size)}
        changes = [(DEPTH_EVENT | side, at, 0) for side, at in shown.items() if at and at != new[side][0]]
        changes += [(DEPTH_EVENT | side, at, size) for side, (at, size) in new.items()]
        if quote.trade:
            changes.insert(0, (TRADE_EVENT | BUY_EVENT, shown[SELL_EVENT] or quote.ask, quote.trade))
        ns = quote.ts * NS
        made += [(kind | EXCH_EVENT | LOCAL_EVENT, ns, ns, at / 100, size, 0, 0, 0.0) for kind, at, size in changes]
        shown = {side: at for side, (at, _) in new.items()}
    return made


def work(trade_every: int) -> Callable[[int], Callable[[], str]]:
    def prepare(count: int) -> Callable[[], str]:
        data = np.array(events(count, trade_every), event_dtype)
        asset = (
            BacktestAsset().data(data).linear_asset(1.0).constant_order_latency(1, 1).risk_adverse_queue_model()
            .no_partial_fill_exchange().trading_value_fee_model(0.0, 0.07).tick_size(0.01).lot_size(1.0)
        )  # fmt: skip
        backtest = HashMapMarketDepthBacktest([asset])

        def run() -> str:
            trade(backtest)
            state = backtest.state_values(0)
            assert len(data)  # hftbacktest keeps only the address of the array, so it must live as long as the run
            return f"{state.num_trades} {round(state.trading_value * 100)}"

        return run

    return prepare


works = {"quotes": work(0), "quotes_and_trades": work(100)}
works["quotes"](100)()  # the strategy is compiled
serve(works, str)
