"""Arbitrage: buy baskets of one event's markets that pay more than they cost in every outcome."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Annotated

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Price, Qty, Ts, cents, contracts, show_price
from kalshi_cli.core.market import baskets
from kalshi_cli.core.market.baskets import Basket, BasketLeg
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce, leg_price
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies.base import Strategy, StrategyParams, about, parameter_error, within

AGAIN_MS = 1_000
"""The shortest time between two repairs of a basket."""

MAX_DOUBLED = 9
"""After each basket that had to be sold again, the pause in the event doubles, at most this many times."""


class ArbitrageParams(StrategyParams, frozen=True):
    """Parameters of `arbitrage`. Prices are ten-thousandths of a dollar, entered as `0.01` or `1c`."""

    min_edge: Annotated[Price, within(1, 5_000, "minimum profit per contract of the basket, after fees")] = cents(1)
    size: Annotated[Qty, within(1, 1_000_000, "maximum contracts per leg")] = contracts(5)
    max_legs: Annotated[int, within(2, 20, "maximum markets per basket")] = 6
    max_repair_loss: Annotated[
        Price, within(1, 5_000, "complete a basket while it loses no more than this per contract")
    ] = cents(1)
    repair_s: Annotated[float, within(0, 60, "time to complete a basket before closing it")] = 3.0
    retry_s: Annotated[float, within(1, 3_600, "pause in the event after the first leg missed")] = 10.0
    exhaustive: Annotated[
        str,
        about("events in which one market must settle YES, as PREFIX:MARKETS,... (you are responsible for this)"),
    ] = ""


class _Event(msgspec.Struct):
    """An event of this run: its markets, their books, and their relation."""

    markets: list[Market]
    books: list[OrderBook]
    kin: baskets.EventRelation
    rungs: list[list[int]]


class _Plan(msgspec.Struct):
    """A basket in progress.

    `qty` is the quantity that its first leg filled, 0 until then. Repairs happen from `again` until `until`.
    """

    basket: Basket
    qty: Qty = Qty(0)
    again: Ts = Ts(0)
    until: Ts = Ts(0)


class Arbitrage(Strategy):
    """Buy complete baskets: the leg with the least quantity first, then the others in the quantity that it filled.

    A basket is a set of markets of one event that pays at least a known amount in every outcome, such as NO of all
    markets of an exclusive event. The strategy has at most one basket per event and keeps it until its markets settle.
    A missing leg is bought at a worse price for `repair_s` seconds, losing up to `max_repair_loss`; an incomplete
    basket is then sold. The state is derived from positions and costs, so a restart continues a basket.
    """

    name = "arbitrage"
    watches = "price"
    is_hedged = True
    Params = ArbitrageParams
    params: ArbitrageParams

    def __init__(self, params: ArbitrageParams) -> None:
        super().__init__(params)
        self._exhaustive = _counts(params.exhaustive)
        self._events: dict[str, _Event] = {}
        self._tops: dict[str, tuple[Price | None, Price | None]] = {}
        self._plans: dict[str, _Plan] = {}
        self._held: set[str] = set()
        self._quiet: dict[str, Ts] = {}
        self._broken: dict[str, int] = {}
        """The number of baskets per event that were incomplete and sold."""

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        """Act only if a best price changed: most messages end here."""
        market, book = view.market(ticker), view.book(ticker)
        if market is None:
            return
        if ticker not in self._tops:
            self._update_events(view)
        name, tops = market.event_ticker, (book.best_bid, book.best_ask)
        has_moved, self._tops[ticker] = self._tops[ticker] != tops, tops
        if name in self._plans or (has_moved and name not in self._held):
            yield from self._look(view, name)

    def on_fill(self, view: StrategyContext, fill: Fill) -> Iterator[Intent]:
        market = view.market(fill.ticker)
        if market is not None and market.event_ticker in self._events:
            yield from self._look(view, market.event_ticker)

    def on_tick(self, view: StrategyContext) -> Iterator[Intent]:
        """Continue a basket without a new book, and notice new or removed markets."""
        self._update_events(view)
        for name in self._events:
            yield from self._look(view, name)

    def _update_events(self, view: StrategyContext) -> None:
        """Group the markets of this run by event; a new event may contain a basket of an earlier run."""
        found: dict[str, list[Market]] = {}
        for ticker in view.tickers:
            market = view.market(ticker)
            if market is not None:
                found.setdefault(market.event_ticker, []).append(market)
                self._tops.setdefault(ticker, (None, None))
        for name, markets in found.items():
            known, tickers = self._events.get(name), [market.ticker for market in markets]
            kin = baskets.EventRelation(
                is_exclusive=view.family(tickers[0]).is_exclusive, exhaustive=self._count_of(name)
            )
            if known is None or known.markets != markets or known.kin != kin:
                self._events[name] = _Event(
                    markets, [view.book(ticker) for ticker in tickers], kin, baskets.threshold_chains(markets)
                )
            if known is None and any(view.position(ticker) or view.orders(ticker) for ticker in tickers):
                self._held.add(name)

    def _count_of(self, name: str) -> int:
        prefix = max((known for known in self._exhaustive if name.startswith(known)), key=len, default="")
        return self._exhaustive.get(prefix, 0)

    def _look(self, view: StrategyContext, name: str) -> Iterator[Intent]:
        event = self._events[name]
        if name in self._plans or name in self._held:
            yield from self._tend(view, name, event)
        elif view.now >= self._quiet.get(name, 0):
            yield from self._enter(view, name, event)

    def _enter(self, view: StrategyContext, name: str, event: _Event) -> Iterator[Intent]:
        bids, asks = [book.best_bid for book in event.books], [book.best_ask for book in event.books]
        if not baskets.may_pay(event.kin, event.rungs, bids, asks):
            return
        offers = [
            baskets.offer(market, book, view.fees(market.ticker))
            for market, book in zip(event.markets, event.books, strict=True)
            if market.status is MarketStatus.ACTIVE and not book.is_crossed
        ]
        basket = self._best(event, offers, self.params.size)
        if basket is None:
            return
        most = min(view.size(*_terms(leg, basket), self.params.size) for leg in basket.legs)
        if most != self.params.size:
            basket = self._best(event, offers, most)
        if basket is not None:
            self._plans[name] = _Plan(basket)
            first, *others = (_place(leg, basket, basket.qty) for leg in basket.legs)
            yield msgspec.structs.replace(first, needs=tuple(others))

    def _best(self, event: _Event, offers: Sequence[baskets.MarketOffer], most: Qty) -> Basket | None:
        params = self.params
        found = baskets.find(event.kin, offers, at_least=params.min_edge, most=most, max_legs=params.max_legs)
        return found[0] if found else None

    def _tend(self, view: StrategyContext, name: str, event: _Event) -> Iterator[Intent]:
        """Continue or close a basket. Wait while an order of this event may still trade or is unconfirmed."""
        if any(view.orders(market.ticker) for market in event.markets):
            return
        held = {market.ticker: view.position(market.ticker) for market in event.markets}
        plan = self._plans.get(name)
        if not any(held.values()):
            if name in self._held:
                self._broken[name] = min(self._broken.get(name, 0) + 1, MAX_DOUBLED)
            self._quiet[name] = Ts(view.now + int(self.params.retry_s * 1000 * 2 ** self._broken.get(name, 0)))
            self._plans.pop(name, None)
            self._held.discard(name)
            return
        self._held.add(name)
        if plan is not None and self._is_under_way(view, plan, held):
            yield from self._go_on(view, event, plan, held)
            return
        self._plans.pop(name, None)
        if _is_open(event, [ticker for ticker, qty in held.items() if qty]):
            yield from self._even_out(view, event, held)

    def _is_under_way(self, view: StrategyContext, plan: _Plan, held: Mapping[str, Qty]) -> bool:
        if not plan.qty:
            return True
        is_short = any(abs(held[leg.ticker]) < plan.qty for leg in plan.basket.legs)
        return is_short and view.now < plan.until

    def _go_on(self, view: StrategyContext, event: _Event, plan: _Plan, held: Mapping[str, Qty]) -> Iterator[Intent]:
        """Order the other legs at their original prices; after that, complete missing quantities at current prices."""
        first, *others = plan.basket.legs
        if not plan.qty:
            plan.qty = Qty(abs(held[first.ticker]))
            plan.again = Ts(view.now + AGAIN_MS)
            plan.until = Ts(view.now + int(self.params.repair_s * 1000))
            for leg in others:
                yield _place(leg, plan.basket, plan.qty)
        elif view.now >= plan.again:
            plan.again = Ts(view.now + AGAIN_MS)
            yield from self._complete(view, event, plan, held)

    def _complete(self, view: StrategyContext, event: _Event, plan: _Plan, held: Mapping[str, Qty]) -> Iterator[Intent]:
        """Buy the missing quantities, if they are on offer and the basket does not lose too much per contract."""
        pays, together = plan.basket.pays, 0
        worth: dict[str, int] = {}
        wanted: list[tuple[BasketLeg, Qty, Price]] = []
        for leg in plan.basket.legs:
            have = abs(held[leg.ticker])
            qty = Qty(plan.qty - have)
            if qty <= 0:
                paid = _paid(view, [leg.ticker])
                if paid is None:
                    return
                together += -(-paid // have)
                worth[leg.ticker] = _now(view, leg.ticker, leg.side)
                continue
            sweep = view.book(leg.ticker).cost(leg.side, qty)
            if sweep.worst is None or sweep.filled < qty:
                return
            fee = estimate(view.fees(leg.ticker), sweep.worst, qty, is_taker=True) + baskets.A_CENT
            worth[leg.ticker] = leg_price(leg.side, sweep.worst)
            together += worth[leg.ticker] + -(-fee // qty)
            wanted.append((leg, qty, sweep.worst))
        if pays - together < -self.params.max_repair_loss or not _is_open(event, [leg.ticker for leg, *_ in wanted]):
            return
        for leg, qty, price in wanted:
            # The fair value is what it adds to the rest, which alone would only bring its current bids.
            adds = pays - sum(value for ticker, value in worth.items() if ticker != leg.ticker)
            fair = leg_price(leg.side, _bounded(adds))
            yield Place(leg.ticker, leg.side, price, qty, fair=fair, reason="complete basket", tif=TimeInForce.IOC)

    def _even_out(self, view: StrategyContext, event: _Event, held: Mapping[str, Qty]) -> Iterator[Intent]:
        """Keep complete baskets and sell the rest at the best price.

        A basket also counts as complete if its bids do not exceed its guaranteed payout.
        """
        legs = [(market, BID if held[market.ticker] > 0 else ASK) for market in event.markets if held[market.ticker]]
        even = Qty(min(abs(held[market.ticker]) for market, _ in legs))
        paid = _paid(view, [market.ticker for market, _ in legs], even)
        if paid is None:
            return
        pays = baskets.min_payout(event.kin, legs)
        brings = sum(_now(view, market.ticker, side) for market, side in legs)
        is_whole = pays * even - paid >= -self.params.max_repair_loss * even or brings <= pays > 0
        for market, side in legs:
            excess = Qty(abs(held[market.ticker]) - (even if is_whole else 0))
            book = view.book(market.ticker)
            price = book.best_bid if side is BID else book.best_ask
            if excess and price is not None:
                reason = "more contracts in this leg than in the others" if is_whole else "incomplete basket"
                yield Place(
                    market.ticker, side.opposite, price, excess, reason=reason, tif=TimeInForce.IOC, reduce_only=True
                )


def _is_open(event: _Event, tickers: Collection[str]) -> bool:
    """Return whether all of these markets are active."""
    return all(market.status is MarketStatus.ACTIVE for market in event.markets if market.ticker in tickers)


def _terms(leg: BasketLeg, basket: Basket) -> tuple[str, Side, Price, Price]:
    """Return the terms of a leg's order.

    The fair value of a leg is the payout of the basket less the prices of the other legs. `risk.min_edge` thus checks
    the edge of the whole basket.
    """
    fair = leg.price + leg.side.sign * (basket.edge + -(-leg.fee // basket.qty))
    return leg.ticker, leg.side, leg.price, _bounded(fair)


def _bounded(value: int) -> Price:
    return Price(max(0, min(ONE_DOLLAR, value)))


def _place(leg: BasketLeg, basket: Basket, qty: Qty) -> Place:
    ticker, side, price, fair = _terms(leg, basket)
    reason = f"{basket.kind} of {len(basket.legs)} earns {show_price(basket.edge)}"
    return Place(ticker, side, price, qty, fair=fair, reason=reason, tif=TimeInForce.IOC)


def _paid(view: StrategyContext, tickers: Iterable[str], qty: Qty | None = None) -> int | None:
    """Return the cost of `qty` contracts of each market, or of all of them, with taker fees; None if unknown."""
    total = 0
    for ticker in tickers:
        cost, held = view.cost(ticker), abs(view.position(ticker))
        if cost is None or not held:
            return None
        part = held if qty is None else qty
        fee = estimate(view.fees(ticker), Price(cost // held), Qty(part), is_taker=True)
        total += -(-cost * part // held) + fee
    return total


def _now(view: StrategyContext, ticker: str, side: Side) -> int:
    """Return the bid for one contract that was bought on a side, 0 without one."""
    book = view.book(ticker)
    price = book.best_bid if side is BID else book.best_ask
    return 0 if price is None else leg_price(side, price)


def _counts(exhaustive: str) -> dict[str, int]:
    """Return the number of markets by event prefix. Raises UsageError for invalid text."""
    found: dict[str, int] = {}
    for part in exhaustive.split(",") if exhaustive.strip() else ():
        prefix, _, count = part.strip().rpartition(":")
        if not prefix.replace("-", "").isalnum() or not (count.isascii() and count.isdigit() and 1 < int(count) <= 100):
            raise parameter_error(
                "arbitrage",
                f"exhaustive: {part.strip()!r:.100} is not PREFIX:MARKETS",
                "KXFEDDECISION:5, an event in which exactly one of five markets must settle YES",
            )
        found[prefix] = int(count)
    return found
