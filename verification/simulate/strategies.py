"""Strategies that cause trouble: they quote, take, cancel and order more than allowed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence

from kalshi_cli.base.units import Price, Qty, Ts, cents, contracts
from kalshi_cli.core.engine.strategy_runner import Watches
from kalshi_cli.core.model.inputs import Input
from kalshi_cli.core.model.intents import Cancel, Intent, Place
from kalshi_cli.core.model.messages import FairValue, Message, NewsSignal, PublicTrade, SpotPrice, Tick
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.strategies.spike import Spike, SpikeParams


class Dicey(Strategy):
    """Base: draws from dice of its own."""

    def __init__(self, dice: random.Random) -> None:
        super().__init__(StrategyParams())
        self.dice = dice

    def fair(self, side: Side, price: int) -> Price:
        """A belief that makes the price look good."""
        return Price(max(1, min(9_999, price + side.sign * 900)))

    def place(
        self,
        view: StrategyContext,
        ticker: str,
        side: Side,
        price: int,
        qty: int,
        tif: TimeInForce = TimeInForce.GTC,
        *,
        post_only: bool = False,
    ) -> Iterator[Intent]:
        at = view.snap(ticker, side, price)
        if at is not None and 0 < at < 10_000:
            size, fair = contracts(qty), self.fair(side, at)
            yield Place(ticker, side, at, size, fair=fair, reason=self.name, tif=tif, post_only=post_only)


class Quoter(Dicey):
    """Rests on both sides, inside the spread where there is room, and takes back what is no longer the best."""

    name = "quoter"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        for ticker in view.tickers:
            book = view.book(ticker)
            bid, ask = book.best_bid, book.best_ask
            if bid is None or ask is None:
                continue
            for order in view.orders(ticker):
                if self.dice.random() < 0.3:
                    yield Cancel(order.client_order_id, "moved")
            if len(view.orders(ticker)) < 3 and self.dice.random() < 0.5:
                edge, only = cents(1) if ask - bid >= cents(3) else 0, self.dice.random() < 0.5
                yield from self.place(view, ticker, BID, bid + edge, self.dice.randint(1, 8), post_only=only)
                yield from self.place(view, ticker, ASK, ask - edge, self.dice.randint(1, 8), post_only=only)


class Taker(Dicey):
    """Meets what rests, now and then, up to a position; and sells again."""

    name = "taker"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        for ticker in view.tickers:
            if self.dice.random() < 0.75:
                continue
            side = BID if view.position(ticker) < contracts(10) * self.dice.choice((1, -1)) else ASK
            book = view.book(ticker)
            price = book.best_ask if side is BID else book.best_bid
            if price is not None:
                tif = self.dice.choice((TimeInForce.IOC, TimeInForce.IOC, TimeInForce.GTC))
                yield from self.place(view, ticker, side, price, self.dice.randint(1, 12), tif)


class Churner(Dicey):
    """Places far from the market and cancels at the next book."""

    name = "churner"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        for order in view.orders():
            yield Cancel(order.client_order_id, "churn")
        for ticker in view.tickers[:1]:
            bid = view.book(ticker).best_bid
            if bid is not None:
                yield from self.place(view, ticker, BID, max(100, bid - cents(2)), 1)


class Flooder(Dicey):
    """Wants as much as it can get, on one side, and again at every tick: the limits must hold it."""

    name = "flooder"

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        for ticker in view.tickers:
            book = view.book(ticker)
            if book.best_bid is not None and self.dice.random() < 0.5:
                for _ in range(2):
                    yield from self.place(view, ticker, BID, book.best_bid, self.dice.randint(5, 25))


class Troubled(Strategy):
    """Another strategy that fails when the plan says so: it raises, or yields what is no intent."""

    def __init__(self, inner: Strategy, trouble: Callable[[], str]) -> None:
        super().__init__(inner.params)
        self._inner = inner
        self._trouble = trouble

    @property
    def name(self) -> str:  # type: ignore[override]
        return self._inner.name

    @property
    def is_hedged(self) -> bool:  # type: ignore[override]
        return self._inner.is_hedged

    @property
    def watches(self) -> Watches:  # type: ignore[override]
        return self._inner.watches

    @property
    def waiting(self) -> str:  # type: ignore[override]
        return self._inner.waiting

    def inputs(self) -> tuple[Input, ...]:
        return self._inner.inputs()

    def on_book(self, view: StrategyContext, ticker: str) -> Iterable[Intent] | None:
        return self._inner.on_book(view, ticker)

    def on_trade(self, view: StrategyContext, trade: PublicTrade) -> Iterable[Intent] | None:
        return self._inner.on_trade(view, trade)

    def on_fill(self, view: StrategyContext, fill: Fill) -> Iterable[Intent] | None:
        return self._inner.on_fill(view, fill)

    def on_spot(self, view: StrategyContext, spot: SpotPrice) -> Iterable[Intent] | None:
        return self._inner.on_spot(view, spot)

    def on_fair(self, view: StrategyContext, fair: FairValue) -> Iterable[Intent] | None:
        return self._inner.on_fair(view, fair)

    def on_signal(self, view: StrategyContext, signal: NewsSignal) -> Iterable[Intent] | None:
        return self._inner.on_signal(view, signal)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        trouble = self._trouble()
        if trouble == "raise":
            raise ValueError("a mistake in a strategy")
        if trouble == "nonsense":
            ticker = view.tickers[0]
            yield Place(ticker, BID, float("nan"), contracts(1), fair=cents(50))  # type: ignore[arg-type]
            yield Place(ticker, BID, cents(40), Qty(-500), fair=cents(50))
            yield Place("KXNONE", BID, cents(40), 2.5, fair=cents(50))  # type: ignore[arg-type]
            yield Place(ticker, ASK, Price(10_001), contracts(10_000), fair=Price(-1))
        yield from self._inner.on_tick(view) or ()


def make(name: str, dice: random.Random) -> Strategy:
    """The strategy of this name."""
    if name == "spike":
        return Spike(SpikeParams(move=cents(1), move_pct=0.5, window_s=10, hold_s=8, rest_s=5, cooldown_s=2))
    for kind in (Quoter, Taker, Churner, Flooder):
        if kind.name == name:
            return kind(dice)
    return registry.make(name, LIVELY.get(name, {}))


LIVELY: dict[str, dict[str, object]] = {
    "mean-reversion": {
        "window": 30,
        "sample_s": "0.2",
        "entry_z": "0.5",
        "min_move": "1c",
        "hold_s": 10,
        "cooldown_s": 2,
    },
    "threshold": {"buy_below": "45c", "sell_above": "55c"},
    "market-maker": {"run": 50, "jump": "20c", "calm_s": 1, "pause_s": 1, "life_s": 10},
    "model-edge": {"source": "of the proof", "edge": "2c"},
    "news": {"source": "of the proof", "edge": "2c", "half_life_s": 10},
    "crypto-ta": {"series": "KXSIM:BTC", "bar_s": 1, "min_bars": 5, "vol_bars": 10, "horizon_s": 86_400},
}
"""Parameters with which a strategy of the program does something within a minute; what it orders expires within the
session, as all else there does: doubt about an order lasts at least that long."""


def outside(feed: Iterable[Message], markets: Sequence[str], seed: int) -> Iterator[Message]:
    """What the feed brings and, before each tick, what strategies hear from outside: it is worth nothing."""
    dice, spot = random.Random(seed + 31), 860_000_000
    for number, message in enumerate(feed):
        if isinstance(message, Tick):
            now, spot = message.ts, spot + dice.randint(-2_000_000, 2_000_000)
            yield SpotPrice(now, "BTC", spot, "proof", 1_000_000)
            for ticker in markets:
                yield FairValue(now, ticker, cents(dice.randint(20, 80)), "proof", Ts(now + 20_000))
            if dice.random() < 0.3:
                side = dice.choice((BID, ASK))
                yield NewsSignal(now, f"{seed}-{number}", dice.choice(markets), side, dice.randint(3_000, 10_000))
        yield message
