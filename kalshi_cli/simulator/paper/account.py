"""The account of the paper venue: its cash, its ledger, and complete snapshots."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kalshi_cli.base.units import Money, Price, Qty, Ts, notional
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.model.messages import AccountSnapshot
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Balance, ExchangePosition, Settlement


class PaperAccount:
    """A paper account. `start` is the cash before the `fills` and `settlements` of earlier runs."""

    def __init__(self, start: Money, fills: Iterable[Fill], settlements: Iterable[Settlement]) -> None:
        self._start = start
        self._last_fill: dict[str, tuple[Money, Ts]] = {}
        self.ledger = Ledger()
        for fill in fills:
            self.book(fill)
        for settlement in settlements:
            self.ledger.settle(settlement)

    @property
    def cash(self) -> Money:
        """Return the cash, including reservations for resting orders."""
        return Money(self._start + self.ledger.cash)

    def book(self, fill: Fill) -> None:
        """Book a fill."""
        self.ledger.book(fill)
        traded, _ = self._last_fill.get(fill.ticker, (Money(0), Ts(0)))
        self._last_fill[fill.ticker] = Money(traded + notional(fill.price, fill.qty)), fill.ts

    def snapshot(self, now: Ts, orders: Iterable[Order], mark: Callable[[str, Qty], Price | None]) -> AccountSnapshot:
        """Return the account as the exchange would state it; `mark` values a position."""
        positions = []
        value = 0
        for position in self.ledger.positions.values():
            if position.qty:
                traded, updated = self._last_fill[position.ticker]
                value_now = position.value(mark(position.ticker, position.qty))
                value += position.cost if value_now is None else value_now
                positions.append(
                    ExchangePosition(
                        ticker=position.ticker,
                        position=position.qty,
                        exposure=position.cost,
                        realized=position.realized,
                        fees=position.fees,
                        traded=traded,
                        updated=updated,
                    )
                )
        return AccountSnapshot(
            ts=now,
            as_of=now,
            since=now,
            orders=tuple(orders),
            fills=(),
            settlements=(),
            positions=tuple(positions),
            balance=Balance(cash=self.cash, portfolio_value=Money(value), ts=now),
        )
