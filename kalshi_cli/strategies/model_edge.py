"""Model edge: trade on the probabilities of an outside model, from a file, a command or a web address."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from kalshi_cli.base.units import Price, Qty, cents, contracts, show_price
from kalshi_cli.core.model.inputs import FairInput, Input
from kalshi_cli.core.model.intents import Cancel, Intent, Place
from kalshi_cli.core.model.messages import FairValue
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, about, within
from kalshi_cli.strategies.order_edges import OrderThrottle, best_entry, cancel_reason, exit_at_best, exit_at_fair


class ModelEdgeParams(StrategyParams, frozen=True):
    """Parameters of `model-edge`. Prices are ten-thousandths of a dollar, entered as `0.03` or `3c`."""

    source: Annotated[
        str,
        about("required, except in backtests: a CSV or JSON file, an https address, or `command:PROGRAM ARGUMENTS`"),
    ] = ""
    every_s: Annotated[float, within(1, 86_400, "how often to read it")] = 30.0
    valid_s: Annotated[float, within(1, 604_800, "how long a probability is valid")] = 300.0
    before_close_s: Annotated[
        float, within(0, 604_800, "read and open only this long before the close; 0 means always")
    ] = 0.0
    edge: Annotated[Price, within(1, 5_000, "minimum edge to open, after fees")] = cents(3)
    exit_edge: Annotated[Price, within(0, 5_000, "close at a price at most this far below fair value, after fees")] = (
        Price(0)
    )
    size: Annotated[Qty, within(1, 1_000_000, "contracts per order")] = contracts(5)
    max_held: Annotated[Qty, within(1, 10_000_000, "maximum contracts per market")] = contracts(25)
    take: Annotated[bool, about("true: take liquidity; false: rest at the best price, post-only")] = True
    rest_s: Annotated[float, within(1, 3_600, "cancel orders not filled in this time")] = 30.0
    min_price: Annotated[Price, within(1, 5_000, "no entry closer than this to $0 or $1")] = cents(5)
    on_stale: Annotated[
        Literal["hold", "close"], about("what to do with a position without a valid probability: hold or close")
    ] = "hold"


class ModelEdge(Strategy):
    """Buy YES or NO if the model's fair value beats the price by `edge` after the fee, up to `max_held` per market.

    A position is closed when the bid reaches its fair value, which includes the case that the model changed its mind.
    Without a valid probability, nothing is opened and resting orders are canceled; `on_stale` decides about the
    position. The order size is `size`, or follows the configured sizing: Kelly sizing suits this strategy.
    """

    name = "model-edge"
    watches = "price"
    Params = ModelEdgeParams
    params: ModelEdgeParams

    def __init__(self, params: ModelEdgeParams) -> None:
        super().__init__(params)
        self._throttle = OrderThrottle()

    def inputs(self) -> tuple[Input, ...]:
        names = ("source", "every_s", "valid_s", "before_close_s")
        return (FairInput(**{name: getattr(self.params, name) for name in names}),)

    def on_fair(self, view: StrategyContext, fair: FairValue) -> Iterator[Intent]:
        if fair.ticker in view.tickers:
            yield from self._decide(view, fair.ticker)

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        yield from self._decide(view, ticker)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """Decide without a new book too, because a probability can expire."""
        for ticker in view.tickers:
            yield from self._decide(view, ticker)

    def _decide(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        fair, orders, held, params = view.fair(ticker), view.orders(ticker), view.position(ticker), self.params
        for order in orders:
            why = "no valid probability"
            if fair is not None:
                why = cancel_reason(view, order, fair, params.rest_s, is_taker=params.take)
            if why:
                yield Cancel(order.client_order_id, reason=why)
        if orders:
            return
        intent = self._leave(view, ticker, held, fair) if held else None
        if intent is None and fair is not None and self._is_open(view, ticker):
            intent = self._enter(view, ticker, held, fair)
        yield from self._throttle.send(view, intent)

    def _is_open(self, view: StrategyContext, ticker: str) -> bool:
        market, before_s = view.market(ticker), self.params.before_close_s
        return market is not None and (not before_s or market.close_time - view.now <= before_s * 1000)

    def _enter(self, view: StrategyContext, ticker: str, held: Qty, fair: Price) -> Place | None:
        """Return an order on the better side, never against the position."""
        book, params = view.book(ticker), self.params
        if not book.is_usable:
            return None
        bid, ask = (book.best_ask, book.best_bid) if params.take else (book.best_bid, book.best_ask)
        offers = [(side, price) for side, price in ((BID, bid), (ASK, ask)) if held * side.sign >= 0]
        found = best_entry(view, ticker, fair, offers, params.min_price, is_taker=params.take)
        if found is None or found[0] < params.edge:
            return None
        edge, side, price = found
        qty = Qty(min(view.size(ticker, side, price, fair, params.size), params.max_held - abs(held)))
        if qty <= 0:
            return None
        reason = f"fair value {show_price(fair)}, edge {show_price(Price(edge))}"
        return Place(ticker, side, price, qty, fair=fair, reason=reason, post_only=not params.take)

    def _leave(self, view: StrategyContext, ticker: str, held: Qty, fair: Price | None) -> Place | None:
        """Return an order that closes at fair value; without a valid probability, as `on_stale` says."""
        if fair is None:
            return exit_at_best(view, ticker, held, "no valid probability") if self.params.on_stale == "close" else None
        reason = f"fair value {show_price(fair)}, edge is gone"
        return exit_at_fair(view, ticker, held, reason, fair, self.params.exit_edge)
