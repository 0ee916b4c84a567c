"""The list of the order requests that a run sent."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AmendOrder, Effect, SubmitOrder
from kalshi_cli.views.runs import SentOrderRow

MAX_SENT = 1_000
"""Order requests that a report lists, at most: the first ones."""


class SentOrderList:
    """The first order requests that a run sent."""

    def __init__(self) -> None:
        self._rows: list[SentOrderRow] = []

    def add(self, effect: Effect, now: Ts) -> None:
        """Keep an order that is placed or amended at this time."""
        if len(self._rows) < MAX_SENT and isinstance(effect, SubmitOrder | AmendOrder):
            is_amend = isinstance(effect, AmendOrder)
            order = effect.wanted if isinstance(effect, AmendOrder) else effect.order
            self._rows.append(
                SentOrderRow(
                    time=now, ticker=order.ticker, strategy=order.strategy, is_amend=is_amend,
                    book_side=order.side, price=order.price, count=order.qty,
                )
            )  # fmt: skip

    @property
    def rows(self) -> tuple[SentOrderRow, ...]:
        """Return the requests in the order in which they were sent."""
        return tuple(self._rows)
