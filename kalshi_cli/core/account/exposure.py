"""The maximum loss of each market, each event and the account, with live orders in their worst combination.

It is updated as orders and fills arrive, so a query costs only the markets of one event. Fees of open orders are
included; charged fees are not, because they cannot be lost again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from kalshi_cli.base.units import Money
from kalshi_cli.core.account import worst_case
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.order_index import OrderRegistry
from kalshi_cli.core.market.fees import estimate
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import FeeSchedule

CLASSIC = FeeSchedule()
"""The most common fee schedule, assumed for a market of a series whose schedule was not read."""


def schedule_of(fees: Mapping[str, FeeSchedule], ticker: str) -> FeeSchedule:
    """Return the fee schedule of a market; where it was not read, that of a market of the same series.

    A series has one schedule, which a few of its events override.
    """
    if (known := fees.get(ticker)) is not None:
        return known
    series = ticker.partition("-")[0] + "-"
    return next((fees[name] for name in fees if name.startswith(series)), CLASSIC)


def subaccounts(ledger: Ledger, orders: OrderRegistry, ticker: str) -> set[int]:
    """Return the subaccounts that have a position or live orders in a market."""
    found = {position.subaccount for position in ledger.holdings(ticker) if position.qty}
    found.update(order.subaccount for order in orders.live(ticker))
    found.update(order.subaccount for order, _ in orders.untold(ticker))
    return found


class Exposures:
    """The maximum losses of all markets with a position or a live order. `extra` adds one more order."""

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

    def refresh(self, tickers: Iterable[str]) -> None:
        """Recount markets whose fee schedule or event changed."""
        self._news.update(tickers)

    def market(self, ticker: str, extra: Place | None = None) -> Money:
        """Return the maximum loss of a market, summed over subaccounts, which do not net."""
        return Money(sum(outcomes.worst for outcomes in self._outcomes(ticker, extra).values()))

    def event(self, event_ticker: str, *, is_exclusive: bool, extra: Place | None = None) -> Money:
        """Return the maximum loss of an event's markets together; see `event_max_loss`."""
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
    def tickers(self) -> Collection[str]:
        """Return the markets with a position or a live order."""
        self._catch_up()
        return self._markets.keys()

    @property
    def events(self) -> list[str]:
        """Return the events with a position or a live order."""
        self._catch_up()
        return list(self._events)

    def total(self, extra: Place | None = None) -> Money:
        """Return the sum over all markets."""
        self._catch_up()
        if extra is None:
            return Money(self._total)
        return Money(self._total - self.market(extra.ticker) + self.market(extra.ticker, extra))

    def _outcomes(self, ticker: str, extra: Place | None) -> dict[int, worst_case.OutcomeLosses]:
        """Return the outcome losses of a market by subaccount."""
        self._catch_up()
        known = self._markets.get(ticker, {})
        if extra is None or extra.ticker != ticker:
            return known
        fee = estimate(schedule_of(self._fees, ticker), extra.price, extra.qty, is_taker=not extra.post_only)
        live = worst_case.LiveOrderRisk(extra.side, extra.price, extra.qty, fee)
        return {**known, extra.subaccount: self._count(ticker, extra.subaccount, live)}

    def _catch_up(self) -> None:
        """Recount the markets that changed since the last call."""
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
        numbers = subaccounts(self._ledger, self._orders, ticker)
        if numbers:
            found = {number: self._count(ticker, number) for number in numbers}
            event = self._event_of(ticker)
            self._markets[ticker], self._placed[ticker] = found, event
            self._events.setdefault(event, {})[ticker] = None
            self._total += sum(outcomes.worst for outcomes in found.values())

    def _count(self, ticker: str, subaccount: int, *extra: worst_case.LiveOrderRisk) -> worst_case.OutcomeLosses:
        """Return the outcome losses of one subaccount in one market. Traded contracts without a fill have no fee."""
        position, schedule = self._ledger.position(ticker, subaccount), schedule_of(self._fees, ticker)
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
