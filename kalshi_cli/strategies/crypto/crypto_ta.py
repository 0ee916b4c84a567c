"""Crypto technical analysis: trade hourly Bitcoin and Ether thresholds on outside prices and indicators."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, cents, contracts, show_price
from kalshi_cli.core.model.inputs import Input, SpotInput
from kalshi_cli.core.model.intents import Cancel, Intent, Place
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import SpotPrice
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies import order_edges
from kalshi_cli.strategies.base import Strategy, StrategyParams, about, above, parameter_error, within
from kalshi_cli.strategies.crypto.bars import Bars
from kalshi_cli.strategies.crypto.probability import chance, tilt

_KIN = re.compile(r"(D|[0-9]*H|[0-9]+M)?")
"""The suffixes of series about the price at the close; other series ask, for example, about the highest price."""

_SPOT_UNIT, _SIZE_UNIT = 10_000, 100_000_000


class CryptoTaParams(StrategyParams, frozen=True):
    """Parameters of `crypto-ta`. Prices are ten-thousandths of a dollar, entered as `0.03` or `3c`."""

    series: Annotated[str, about("coin of each series, also with D, H or 15M appended, as SERIES:COIN,...")] = (
        "KXBTC:BTC,KXETH:ETH"
    )
    min_edge: Annotated[Price, within(1, 5_000, "minimum edge to trade, after fees")] = cents(3)
    size: Annotated[Qty, within(1, 1_000_000, "contracts per order")] = contracts(5)
    max_markets: Annotated[int, within(1, 100, "maximum markets per coin with orders or positions")] = 4
    max_age_s: Annotated[float, above(0, 300, "do nothing if the outside price is older than this")] = 10.0
    bar_s: Annotated[float, within(0.25, 300, "bar length of the outside price, in seconds")] = 10.0
    min_bars: Annotated[int, within(5, 1_000, "minimum number of bars before trading")] = 30
    vol_bars: Annotated[int, within(10, 5_000, "number of bars used for the volatility")] = 360
    vol_factor: Annotated[
        float, within(0.1, 10, "multiplier of the measured volatility; higher makes every probability less certain")
    ] = 1.1
    max_tilt: Annotated[float, within(0, 1, "maximum shift by indicators, in standard deviations")] = 0.05
    horizon_s: Annotated[float, within(60, 86_400, "skip markets that close later than this")] = 3_600.0
    exit_s: Annotated[float, within(0, 3_600, "exit this long before the close")] = 120.0
    slippage: Annotated[
        Price, within(1, 9_999, "... but give up no more than this against the fair value, after fees")
    ] = cents(10)
    rest_s: Annotated[float, within(1, 3_600, "cancel orders not filled in this time")] = 20.0
    min_price: Annotated[Price, within(1, 5_000, "no entry closer than this to $0 or $1")] = cents(5)


class CryptoTa(Strategy):
    """Trade contracts whose price differs from the model's probability by more than `min_edge` after fees.

    The probability comes from the normal model: outside price, realized volatility and time left. RSI, MACD and VWAP of
    price bars then shift it by at most `max_tilt` standard deviations: with the indicators in a trend, against them in
    a range. A position is closed when the bid reaches its fair value, and near the close for at most `slippage` less.
    Without a current outside price, nothing is opened and resting orders are canceled.
    """

    name = "crypto-ta"
    watches = "price"
    Params = CryptoTaParams
    params: CryptoTaParams

    def __init__(self, params: CryptoTaParams) -> None:
        super().__init__(params)
        self._coins = _coins(params.series)
        self._bars = {coin: Bars(params.bar_s, params.vol_bars) for coin in self._coins.values()}
        self._throttle = order_edges.OrderThrottle()

    def inputs(self) -> tuple[Input, ...]:
        return tuple(SpotInput(symbol=coin) for coin in self._bars)

    def on_spot(self, view: StrategyContext, spot: SpotPrice) -> Iterator[Intent]:
        bars = self._bars.get(spot.symbol)
        if bars is not None:  # without a size, a price counts as one coin, so that VWAP is a mean of prices
            size = 1.0 if spot.size is None else spot.size / _SIZE_UNIT
            bars.add(spot.ts, spot.price / _SPOT_UNIT, size)
        return self._decide_all(view, spot.symbol)

    def _decide_all(self, view: StrategyContext, coin: str) -> Iterator[Intent]:
        """Decide in the markets of a coin whose books can be relied on."""
        for ticker in view.tickers:
            if self._coin(ticker) == coin and view.book(ticker).is_decidable:
                yield from self._decide(view, ticker)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        if self._coin(ticker) is not None:
            yield from self._decide(view, ticker)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """Decide without a new book too, because an outside price can become stale."""
        for ticker in view.tickers:
            if self._coin(ticker) is not None:
                yield from self._decide(view, ticker)
        least, counts = self.params.min_bars, {coin: bars.count for coin, bars in self._bars.items()}
        traded = {self._coin(ticker) for ticker in view.tickers}
        few = [coin for coin, count in counts.items() if coin in traded and count < least]
        self.waiting = ", ".join(f"{counts[coin]} of {least} bars of {coin}" for coin in few)

    def fair(self, view: StrategyContext, ticker: str) -> Price | None:
        """Return the fair value of YES, None if it is unknown or the market is not covered."""
        market, coin = view.market(ticker), self._coin(ticker)
        bounds = None if market is None else _bounds(market)
        if market is None or coin is None or bounds is None:
            return None
        left_s, bars = (market.close_time - view.now) / 1000, self._bars[coin]
        spot = view.spot(coin, self.params.max_age_s)
        if spot is None or bars.count < self.params.min_bars or not 0 < left_s <= self.params.horizon_s:
            return None
        signals = bars.signals
        push = 0.0 if signals is None else tilt(signals, self.params.max_tilt)
        found = chance(spot / _SPOT_UNIT, *bounds, left_s, bars.vol * self.params.vol_factor, push)
        return Price(max(1, min(ONE_DOLLAR - 1, round(found * ONE_DOLLAR))))

    def _decide(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        fair, orders, held = self.fair(view, ticker), view.orders(ticker), view.position(ticker)
        market, params = view.market(ticker), self.params
        if fair is None or market is None:
            yield from order_edges.cancel_all(orders, "no current outside price")
            return
        is_late = market.close_time - view.now <= params.exit_s * 1000
        for order in orders:
            why = "market closes soon" if is_late else order_edges.cancel_reason(view, order, fair, params.rest_s)
            if why:
                yield Cancel(order.client_order_id, reason=why)
        if orders:
            return
        if held:
            reason = "market closes soon" if is_late else f"fair value {show_price(fair)}, edge is gone"
            max_loss = params.slippage if is_late else Price(0)
            yield from self._throttle.send(view, order_edges.exit_at_fair(view, ticker, held, reason, fair, max_loss))
        elif not is_late:
            yield from self._throttle.send(view, self._enter(view, ticker, fair))

    def _enter(self, view: StrategyContext, ticker: str, fair: Price) -> Place | None:
        """Return an order that takes the better side; its unfilled part rests for a while."""
        book, params = view.book(ticker), self.params
        offers = (BID, book.best_ask), (ASK, book.best_bid)
        found = order_edges.best_entry(view, ticker, fair, offers, params.min_price)
        if found is None or found[0] < params.min_edge:
            return None
        edge, side, price = found
        # Markets of one coin win and lose together.
        same = (other for other in view.tickers if other != ticker and self._coin(other) == self._coin(ticker))
        if order_edges.count_active(view, same) >= params.max_markets:
            return None
        qty = view.size(ticker, side, price, fair, params.size)
        reason = f"fair value {show_price(fair)}, edge {show_price(Price(edge))}"
        return Place(ticker, side, price, qty, fair=fair, reason=reason) if qty else None

    def _coin(self, ticker: str) -> str | None:
        series = ticker.partition("-")[0]
        names = (name for name in self._coins if series.startswith(name) and _KIN.fullmatch(series, len(name)))
        return next((self._coins[name] for name in names), None)


def _coins(series: str) -> dict[str, str]:
    """Return the coin by series. Raises UsageError for invalid text."""
    pairs = [part.strip().partition(":")[::2] for part in series.split(",")]
    if len(pairs) > 20 or not all(name.isalnum() and coin.isalnum() for name, coin in pairs):
        raise parameter_error("crypto-ta", f"series: {series!r:.100} is not SERIES:COIN,...", "KXBTC:BTC,KXETH:ETH")
    return dict(pairs)


def _bounds(market: Market) -> tuple[float, float] | None:
    """Return the range [low, high) of index values that settle YES, None if the market is not a threshold.

    Recordings may lack the strike type.
    """
    floor, cap, kind = market.floor_strike, market.cap_strike, market.strike_type
    if kind in ("greater", "greater_or_equal", "") and floor is not None:
        return (floor, math.inf) if not (kind == "" and cap is not None) else (floor, cap)
    if kind in ("less", "less_or_equal") and cap is not None:
        return -math.inf, cap
    if kind == "between" and floor is not None and cap is not None:
        return floor, cap
    return None
