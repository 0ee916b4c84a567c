"""What each market, each event and the whole account can still lose: every live order in its worst combination.

Kept up as orders and fills come: a question costs the markets of one event, however many others are held. Fees of what
is not filled yet are in it; those that were charged are not, because they cannot be lost again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from kalshi_cli.base.units import Money
from kalshi_cli.core.account import worst_case
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.order_index import OrderRegistry
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import FeeSchedule

CLASSIC = FeeSchedule()
"""What most series charge: taken where the schedule of a market was not read."""


class Exposures:
    """Of all markets in which anything is held or rests. `extra` is one more order on top of the live ones."""

    def __init__(
        self, ledger: Ledger, orders: OrderRegistry, fees: Mapping[str, FeeSchedule], event_of: Callable[[str], str]
    ) -> None:
        self._ledger = ledger
        self._orders = orders
        self._fees = fees
        self._event_of = event_of
        self._markets: dict[str, dict[int, worst_case.OutcomeLosses]] = {}
        self._events: dict[str, dict[str, None]] = {}
        self._placed: dict[str, str] = {}
        self._total = 0
        self._news: set[str] = set()

    def look_again(self, tickers: Iterable[str]) -> None:
        """Something else of these markets changed: how they charge, or of which event they are."""
        self._news.update(tickers)

    def market(self, ticker: str, extra: Place | None = None) -> Money:
        """The most that a market can lose, over all subaccounts: the worst of each, none netted with another."""
        return Money(sum(outcomes.worst for outcomes in self._outcomes(ticker, extra).values()))

    def event(self, event_ticker: str, *, is_exclusive: bool, extra: Place | None = None) -> Money:
        """The most that the markets of an event can lose together; see `event_max_loss`."""
        by_subaccount: dict[int, list[worst_case.OutcomeLosses]] = {}
        self._catch_up()
        tickers = dict(self._events.get(event_ticker, {}))
        if extra is not None and self._event_of(extra.ticker) == event_ticker:
            tickers[extra.ticker] = None
        for ticker in tickers:
            for subaccount, outcomes in self._outcomes(ticker, extra).items():
                by_subaccount.setdefault(subaccount, []).append(outcomes)
        return Money(sum(worst_case.event_max_loss(each, is_exclusive=is_exclusive) for each in by_subaccount.values()))

    @property
    def events(self) -> list[str]:
        """Those in which anything is at risk, or could be."""
        self._catch_up()
        return list(self._events)

    def total(self, extra: Place | None = None) -> Money:
        """The sum of all markets."""
        self._catch_up()
        if extra is None:
            return Money(self._total)
        return Money(self._total - self.market(extra.ticker) + self.market(extra.ticker, extra))

    def _outcomes(self, ticker: str, extra: Place | None) -> dict[int, worst_case.OutcomeLosses]:
        """By subaccount."""
        self._catch_up()
        known = self._markets.get(ticker, {})
        if extra is None or extra.ticker != ticker:
            return known
        fee = estimate(self._schedule(ticker), extra.price, extra.qty, is_taker=not extra.post_only)
        live = worst_case.LiveOrderRisk(extra.side, extra.price, extra.qty, fee)
        return {**known, extra.subaccount: self._count(ticker, extra.subaccount, live)}

    def _schedule(self, ticker: str) -> FeeSchedule:
        return self._fees.get(ticker, CLASSIC)

    def _catch_up(self) -> None:
        """Count the markets in which anything happened since."""
        if not (self._news or self._orders.moved or self._ledger.moved):
            return
        for ticker in self._news | self._orders.moved | self._ledger.moved:
            self._recount(ticker)
        for news in (self._news, self._orders.moved, self._ledger.moved):
            news.clear()

    def _recount(self, ticker: str) -> None:
        was = self._markets.pop(ticker, {})
        self._total -= sum(outcomes.worst for outcomes in was.values())
        placed = self._placed.pop(ticker, None)
        if placed is not None:
            del self._events[placed][ticker]
            if not self._events[placed]:
                del self._events[placed]
        numbers = {position.subaccount for position in self._ledger.holdings(ticker) if position.qty}
        numbers.update(order.subaccount for order in self._orders.live(ticker))
        numbers.update(order.subaccount for order, _ in self._orders.untold(ticker))
        if numbers:
            found = {number: self._count(ticker, number) for number in numbers}
            event = self._event_of(ticker)
            self._markets[ticker], self._placed[ticker] = found, event
            self._events.setdefault(event, {})[ticker] = None
            self._total += sum(outcomes.worst for outcomes in found.values())

    def _count(self, ticker: str, subaccount: int, *extra: worst_case.LiveOrderRisk) -> worst_case.OutcomeLosses:
        """One subaccount in one market. What traded and is in no fill yet was charged its fee already."""
        position, schedule = self._ledger.position(ticker, subaccount), self._schedule(ticker)
        live = [
            worst_case.live_part(order, schedule)
            for order in self._orders.live(ticker)
            if order.subaccount == subaccount
        ]
        held, cost = position.qty, position.cost
        for order, qty in self._orders.untold(ticker):
            if order.subaccount == subaccount:
                held, cost = worst_case.after_trade(held, cost, order.side, order.price, qty)
        return worst_case.max_loss(held, cost, (*live, *extra))
