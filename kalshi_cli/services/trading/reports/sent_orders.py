"""The lists of the order requests that a run sent, and of their fills."""

from __future__ import annotations

from kalshi_cli.core.model.effects import AmendOrder, Effect, FillBooked, SubmitOrder
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.views.runs import RunFillRow, SentOrderRow

MAX_SENT = 1_000
"""Order requests, and fills, that a report lists, at most: the first ones."""


class SentOrderList:
    """The first order requests that a run sent, and the first fills of its strategies."""

    def __init__(self) -> None:
        self._rows: list[SentOrderRow] = []
        self._fills: list[RunFillRow] = []

    def add(self, effect: Effect, state: EngineState) -> None:
        """Keep an order that is placed or amended now, or the fill of one."""
        if isinstance(effect, FillBooked):
            self._add_fill(effect, state)
        elif len(self._rows) < MAX_SENT and isinstance(effect, SubmitOrder | AmendOrder):
            is_amend = isinstance(effect, AmendOrder)
            order = effect.wanted if isinstance(effect, AmendOrder) else effect.order
            self._rows.append(
                SentOrderRow(
                    time=state.now, ticker=order.ticker, strategy=order.strategy, is_amend=is_amend,
                    book_side=order.side, price=order.price, count=order.qty,
                )
            )  # fmt: skip

    def _add_fill(self, effect: FillBooked, state: EngineState) -> None:
        fill = effect.fill
        order = state.orders.find(fill.order_id, fill.client_order_id)
        if order is not None and order.strategy and len(self._fills) < MAX_SENT:
            self._fills.append(
                RunFillRow(
                    time=fill.ts, ticker=fill.ticker, strategy=order.strategy, book_side=fill.side, price=fill.price,
                    count=fill.qty,
                )
            )  # fmt: skip

    @property
    def filled(self) -> tuple[RunFillRow, ...]:
        """Return the fills in the order in which they were booked."""
        return tuple(self._fills)

    @property
    def rows(self) -> tuple[SentOrderRow, ...]:
        """Return the requests in the order in which they were sent."""
        return tuple(self._rows)
