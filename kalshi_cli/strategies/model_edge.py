"""Trade on the probabilities of somebody else's model: a file, a command, or a web address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.model.inputs import FairInput, Input
from kalshi_cli.core.model.intents import Cancel, Intent, Place
from kalshi_cli.core.model.messages import FairValue
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, about, within
from kalshi_cli.strategies.order_edges import edge_after_fee, exit_at_best

RETRY_MS = 3_000
"""After an order in a market the next one is not before this, whatever became of it."""


class ModelEdgeParams(StrategyParams, frozen=True):
    """Prices in ten-thousandths of a dollar inside; typed as dollars or cents (`edge=0.03`, `edge=3c`)."""

    source: Annotated[str, about("must be given: a CSV or JSON file, an https address, or `command:PROGRAM ARGUMENTS`")]
    every_s: Annotated[float, within(1, 86_400, "read them again so often")] = 30.0
    valid_s: Annotated[float, within(1, 604_800, "they hold for so long after they were made")] = 300.0
    before_close_s: Annotated[float, within(0, 604_800, "read and open only so long before a close; 0: always")] = 0.0
    edge: Annotated[Price, within(1, 5_000, "open at this edge after fees, or more")] = cents(3)
    exit_edge: Annotated[
        Price, within(0, 5_000, "close at so much less than what the position is worth, after fees")
    ] = Price(0)
    size: Annotated[Qty, within(1, 1_000_000, "contracts an order")] = contracts(5)
    max_held: Annotated[Qty, within(1, 10_000_000, "contracts held in one market at most")] = contracts(25)
    take: Annotated[bool, about("true: take what others offer; false: rest at the best price, post-only")] = True
    rest_s: Annotated[float, within(1, 3_600, "take back what does not fill in this time")] = 30.0
    min_price: Annotated[Price, within(1, 5_000, "no entry nearer than this to 0 or 1")] = cents(5)
    on_stale: Annotated[
        Literal["hold", "close"], about("what is held when no probability is valid: hold, or close")
    ] = "hold"


class ModelEdge(Strategy):
    """Buy YES or NO where the model's fair value beats the price by `edge` after the fee, up to `max_held` a market.

    Closes when the market pays what the position is worth, and that is also when the model changed its mind. Without a
    valid probability nothing is opened and what rests is taken back; `on_stale` says what becomes of what is held.
    How large an order is, is `size`, or what the configuration says of sizing: this is where Kelly's is at home.
    """

    name = "model-edge"
    Params = ModelEdgeParams
    params: ModelEdgeParams

    def __init__(self, params: ModelEdgeParams) -> None:
        super().__init__(params)
        if not params.source.strip():
            raise UsageError(
                "strategy model-edge: source: names nothing",
                hint="for example --param source=fair.csv", code="bad_parameter",
            )  # fmt: skip
        self._again: dict[str, Ts] = {}

    def inputs(self) -> tuple[Input, ...]:
        params = self.params
        return (
            FairInput(
                source=params.source,
                every_s=params.every_s,
                valid_s=params.valid_s,
                before_close_s=params.before_close_s,
            ),
        )

    def on_fair(self, view: StrategyContext, fair: FairValue) -> Iterator[Intent]:
        if fair.ticker in view.tickers:
            yield from self._decide(view, fair.ticker)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        yield from self._decide(view, ticker)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """A probability that is over is noticed also where no book moves."""
        for ticker in view.tickers:
            yield from self._decide(view, ticker)

    def _decide(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        fair, orders, held = view.fair(ticker), view.orders(ticker), view.position(ticker)
        for order in orders:
            why = "no valid probability" if fair is None else self._why_not(view, order, fair)
            if why:
                yield Cancel(order.client_order_id, reason=why)
        if orders or 0 < self._again.get(ticker, 0) - view.now <= RETRY_MS:  # not after a clock was set back
            return
        intent = self._leave(view, ticker, held, fair) if held else None
        if intent is None and fair is not None and self._is_open(view, ticker):
            intent = self._enter(view, ticker, held, fair)
        if intent is not None:
            self._again[ticker] = Ts(view.now + RETRY_MS)
            yield intent

    def _why_not(self, view: StrategyContext, order: Order, fair: Price) -> str:
        """Why an order should not rest any more; empty where it should."""
        if view.now - order.created > self.params.rest_s * 1000:
            return "not filled in time"
        return "" if self._edge(view, order.ticker, order.side, order.price, fair) > 0 else "the edge is gone"

    def _is_open(self, view: StrategyContext, ticker: str) -> bool:
        market, before_s = view.market(ticker), self.params.before_close_s
        return market is not None and (not before_s or market.close_time - view.now <= before_s * 1000)

    def _enter(self, view: StrategyContext, ticker: str, held: Qty, fair: Price) -> Place | None:
        """The better of the two sides; never against what is held."""
        book, params = view.book(ticker), self.params
        if not book.is_usable:
            return None
        prices = [(BID, book.best_ask), (ASK, book.best_bid)]
        if not params.take:
            prices = [(BID, book.best_bid), (ASK, book.best_ask)]
        found = [
            (self._edge(view, ticker, side, at, fair), side, at)
            for side, at in prices
            if at is not None and held * side.sign >= 0
        ]
        edge, side, price = max(found, key=lambda one: one[0], default=(-1, BID, Price(0)))
        if edge < params.edge or not params.min_price <= price <= ONE_DOLLAR - params.min_price:
            return None
        qty = Qty(min(view.size(ticker, side, price, fair, params.size), params.max_held - abs(held)))
        if qty <= 0:
            return None
        reason = f"worth {fair / 100:g}c, edge {edge / 100:g}c"
        return Place(ticker, side, price, qty, fair=fair, reason=reason, post_only=not params.take)

    def _leave(self, view: StrategyContext, ticker: str, held: Qty, fair: Price | None) -> Place | None:
        """Close where the market pays what the position is worth; without a belief, as `on_stale` says."""
        if fair is None:
            return exit_at_best(view, ticker, held, "no valid probability") if self.params.on_stale == "close" else None
        place = exit_at_best(view, ticker, held, f"worth {fair / 100:g}c, the edge is gone", fair)
        if place is None:
            return None
        edge = edge_after_fee(view, ticker, place.side, place.price, fair, is_taker=True)
        return place if edge >= -self.params.exit_edge else None

    def _edge(self, view: StrategyContext, ticker: str, side: Side, price: Price, fair: Price) -> int:
        return edge_after_fee(view, ticker, side, price, fair, is_taker=self.params.take)
