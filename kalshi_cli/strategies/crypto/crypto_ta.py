"""Trade the hourly Bitcoin and Ether thresholds on a chance of its own, from outside prices and indicators."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.model.inputs import Input, SpotInput
from kalshi_cli.core.model.intents import Cancel, Intent, Place
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import SpotPrice
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, about, above, within
from kalshi_cli.strategies.crypto.bars import Bars
from kalshi_cli.strategies.crypto.probability import chance, tilt
from kalshi_cli.strategies.order_edges import edge_after_fee, exit_at_best

RETRY_MS = 3_000
"""After an order in a market the next one is not before this, whatever became of it."""

_KIN = re.compile(r"(D|[0-9]*H|[0-9]+M)?")
"""What a series of the price at the close adds to the name of its coin; others ask for its highest price, for one."""

_SPOT_UNIT, _SIZE_UNIT = 10_000, 100_000_000


class CryptoTaParams(StrategyParams, frozen=True):
    """Prices in ten-thousandths of a dollar inside; typed as dollars or cents (`min_edge=0.03`, `min_edge=3c`)."""

    series: Annotated[str, about("the coin behind a series, and behind it with D, H or 15M, as SERIES:COIN,...")] = (
        "KXBTC:BTC,KXETH:ETH"
    )
    min_edge: Annotated[Price, within(1, 5_000, "trade at this edge after fees, or more")] = cents(3)
    size: Annotated[Qty, within(1, 1_000_000, "contracts an order")] = contracts(5)
    max_markets: Annotated[int, within(1, 100, "markets of one coin with orders or positions")] = 4
    max_age_s: Annotated[float, above(0, 300, "no outside price so young: do nothing")] = 10.0
    bar_s: Annotated[float, within(0.25, 300, "seconds of a bar of the outside price")] = 10.0
    min_bars: Annotated[int, within(5, 1_000, "do nothing before so many bars")] = 30
    vol_bars: Annotated[int, within(10, 5_000, "the volatility is that of so many bars")] = 360
    vol_factor: Annotated[
        float, within(0.1, 10, "of the volatility that was seen: more makes every chance less certain")
    ] = 1.1
    max_tilt: Annotated[float, within(0, 1, "standard deviations that the indicators may move the outcome")] = 0.05
    horizon_s: Annotated[float, within(60, 86_400, "leave alone what closes later than this")] = 3_600.0
    exit_s: Annotated[float, within(0, 3_600, "get out so long before the close")] = 120.0
    slippage: Annotated[
        Price, within(1, 9_999, "... but give way by no more than this against its chance, after fees")
    ] = cents(10)
    rest_s: Annotated[float, within(1, 3_600, "take back what does not fill in this time")] = 20.0
    min_price: Annotated[Price, within(1, 5_000, "no entry nearer than this to 0 or 1")] = cents(5)


class CryptoTa(Strategy):
    """Buy what is cheaper, sell what is dearer than its chance, by more than the fees and `min_edge`.

    The chance starts from the normal model: the outside price, its realized volatility, and the time that is left. RSI,
    MACD and VWAP of bars of that price then move it by at most `max_tilt` standard deviations: with them in a trend,
    against them in a range. A position is closed when the market pays what it is worth, and before the close for at
    most `slippage` less. Without a fresh outside price nothing is opened, and what rests is taken back.
    """

    name = "crypto-ta"
    Params = CryptoTaParams
    params: CryptoTaParams

    def __init__(self, params: CryptoTaParams) -> None:
        super().__init__(params)
        self._coins = _coins(params.series)
        self._bars = {coin: Bars(params.bar_s, params.vol_bars) for coin in self._coins.values()}
        self._again: dict[str, Ts] = {}

    def inputs(self) -> tuple[Input, ...]:
        return tuple(SpotInput(symbol=coin) for coin in self._bars)

    def on_spot(self, view: StrategyContext, spot: SpotPrice) -> None:  # noqa: ARG002
        bars = self._bars.get(spot.symbol)
        if bars is not None:  # a price without a size counts as one coin: then VWAP is a mean over prices
            size = 1.0 if spot.size is None else spot.size / _SIZE_UNIT
            bars.add(spot.ts, spot.price / _SPOT_UNIT, size)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        if self._coin(ticker) is not None:
            yield from self._decide(view, ticker)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """A price that grows old is noticed also where no book moves."""
        for ticker in view.tickers:
            if self._coin(ticker) is not None:
                yield from self._decide(view, ticker)
        least, counts = self.params.min_bars, {coin: bars.count for coin, bars in self._bars.items()}
        traded = {self._coin(ticker) for ticker in view.tickers}
        few = [coin for coin, count in counts.items() if coin in traded and count < least]
        self.waiting = ", ".join(f"{counts[coin]} of {least} bars of {coin}" for coin in few)

    def fair(self, view: StrategyContext, ticker: str) -> Price | None:
        """What one YES is worth; None where that is not known, or not any of its business."""
        market, coin = view.market(ticker), self._coin(ticker)
        bounds = None if market is None else _bounds(market)
        if market is None or coin is None or bounds is None:
            return None
        left_s, spot, bars = (
            (market.close_time - view.now) / 1000,
            view.spot(coin, self.params.max_age_s),
            self._bars[coin],
        )
        if spot is None or bars.count < self.params.min_bars or not 0 < left_s <= self.params.horizon_s:
            return None
        signals = bars.signals
        push = 0.0 if signals is None else tilt(signals, self.params.max_tilt)
        found = chance(spot / _SPOT_UNIT, *bounds, left_s, bars.vol * self.params.vol_factor, push)
        return Price(max(1, min(ONE_DOLLAR - 1, round(found * ONE_DOLLAR))))

    def _decide(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        fair, orders, held = self.fair(view, ticker), view.orders(ticker), view.position(ticker)
        market = view.market(ticker)
        if fair is None or market is None:
            yield from (Cancel(order.client_order_id, reason="no fresh outside price") for order in orders)
            return
        is_late = market.close_time - view.now <= self.params.exit_s * 1000
        for order in orders:
            why = "close is near" if is_late else self._why_not(view, order, fair)
            if why:
                yield Cancel(order.client_order_id, reason=why)
        if orders or 0 < self._again.get(ticker, 0) - view.now <= RETRY_MS:  # not after a clock was set back
            return
        intent = self._leave(view, ticker, held, fair, is_late=is_late) if held else None
        if not held and not is_late:
            intent = self._enter(view, ticker, fair)
        if intent is not None:
            self._again[ticker] = Ts(view.now + RETRY_MS)
            yield intent

    def _why_not(self, view: StrategyContext, order: Order, fair: Price) -> str:
        """Why an order should not rest any more; empty where it should."""
        if view.now - order.created > self.params.rest_s * 1000:
            return "not filled in time"
        return "" if self._edge(view, order.ticker, order.side, order.price, fair) > 0 else "the edge is gone"

    def _enter(self, view: StrategyContext, ticker: str, fair: Price) -> Place | None:
        """Take what is offered too cheap or bid too dear; what of it is not there rests for a while."""
        book, params = view.book(ticker), self.params
        offers = [(BID, book.best_ask), (ASK, book.best_bid)]
        found = [(self._edge(view, ticker, side, at, fair), side, at) for side, at in offers if at is not None]
        edge, side, price = max(found, key=lambda one: one[0], default=(-1, BID, Price(0)))
        if edge < params.min_edge or not params.min_price <= price <= ONE_DOLLAR - params.min_price:
            return None
        if self._busy(view, ticker) >= params.max_markets:
            return None
        qty = view.size(ticker, side, price, fair, params.size)
        reason = f"worth {fair / 100:g}c, edge {edge / 100:g}c"
        return Place(ticker, side, price, qty, fair=fair, reason=reason) if qty else None

    def _leave(self, view: StrategyContext, ticker: str, held: Qty, fair: Price, *, is_late: bool) -> Place | None:
        """Close where the market pays what the position is worth; before the close also for a little less. What nobody
        pays as much for is worth more at the settlement.
        """
        reason = "close is near" if is_late else f"worth {fair / 100:g}c, the edge is gone"
        place = exit_at_best(view, ticker, held, reason, fair)
        least = -self.params.slippage if is_late else 0
        if place is None or self._edge(view, ticker, place.side, place.price, fair) < least:
            return None
        return place

    def _edge(self, view: StrategyContext, ticker: str, side: Side, price: Price, fair: Price) -> int:
        return edge_after_fee(view, ticker, side, price, fair, is_taker=True)

    def _busy(self, view: StrategyContext, ticker: str) -> int:
        """How many other markets of the same coin have orders or positions: they win and lose together."""
        coin = self._coin(ticker)
        others = (other for other in view.tickers if other != ticker and self._coin(other) == coin)
        return sum(bool(view.position(other) or view.orders(other)) for other in others)

    def _coin(self, ticker: str) -> str | None:
        series = ticker.partition("-")[0]
        names = (name for name in self._coins if series.startswith(name) and _KIN.fullmatch(series, len(name)))
        return next((self._coins[name] for name in names), None)


def _coins(series: str) -> dict[str, str]:
    """Coin by series. UsageError where the text says something else."""
    pairs = [part.strip().partition(":")[::2] for part in series.split(",")]
    if len(pairs) > 20 or not all(name.isalnum() and coin.isalnum() for name, coin in pairs):
        raise UsageError(
            f"strategy crypto-ta: series: {series!r:.100} is not SERIES:COIN,...",
            hint="for example KXBTC:BTC,KXETH:ETH", code="bad_parameter",
        )  # fmt: skip
    return dict(pairs)


def _bounds(market: Market) -> tuple[float, float] | None:
    """YES where the index ends in [low, high); None where the market is no threshold. Recordings may lack the type."""
    floor, cap, kind = market.floor_strike, market.cap_strike, market.strike_type
    if kind in ("greater", "greater_or_equal", "") and floor is not None:
        return (floor, math.inf) if not (kind == "" and cap is not None) else (floor, cap)
    if kind in ("less", "less_or_equal") and cap is not None:
        return -math.inf, cap
    if kind == "between" and floor is not None and cap is not None:
        return floor, cap
    return None
