"""An order as the exchange states it: the fields that a read and the `user_order` channel share."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Money, Ts, parse_money
from kalshi_cli.core.model.order_terms import StpMode
from kalshi_cli.core.model.orders import Order
from kalshi_cli.exchange.wire.scalars import book_side, no_negative, order_status, outcome_price, reduced, yes_cost


class OrderFields(msgspec.Struct, gc=False):
    """Everything but the times, which the two sources write differently."""

    order_id: str
    ticker: str
    status: str
    yes_price_dollars: str
    initial_count_fp: str
    fill_count_fp: str
    remaining_count_fp: str
    taker_fees_dollars: str
    maker_fees_dollars: str
    taker_fill_cost_dollars: str
    maker_fill_cost_dollars: str
    client_order_id: str
    """Always there, empty on orders that were not placed by API. Without it an order of ours would not be found."""
    book_side: str | None = None
    outcome_side: str | None = None
    exchange_index: int = 0
    order_group_id: str | None = None
    subaccount_number: int | None = None
    self_trade_prevention_type: str | None = None
    cancel_order_on_pause: bool = False


def order_of(wire: OrderFields, *, created: Ts, updated: Ts, expires: Ts | None, why: str = "") -> Order:
    """The order on the YES scale; ValueError where a field is wrong. `why` is the reason of the last update."""
    status = order_status(wire.status, why)
    side = book_side(wire.book_side, wire.outcome_side)
    initial, filled = no_negative(wire.initial_count_fp), no_negative(wire.fill_count_fp)
    return Order(
        client_order_id=wire.client_order_id,
        order_id=wire.order_id,
        ticker=wire.ticker,
        side=side,
        price=outcome_price(wire.yes_price_dollars),
        qty=initial,
        filled=filled,
        reduced=reduced(status, initial, filled, no_negative(wire.remaining_count_fp)),
        status=status,
        created=created,
        updated=updated,
        expires=expires,
        exchange_index=wire.exchange_index,
        fees=Money(parse_money(wire.taker_fees_dollars) + parse_money(wire.maker_fees_dollars)),
        fill_cost=yes_cost(side, filled, wire.taker_fill_cost_dollars, wire.maker_fill_cost_dollars),
        code=why,
        order_group_id=wire.order_group_id or "",
        subaccount=wire.subaccount_number or 0,
        self_trade_prevention=_STP_MODES.get(wire.self_trade_prevention_type or ""),
        cancel_on_pause=wire.cancel_order_on_pause,
    )


_STP_MODES = {mode.value: mode for mode in StpMode}
"""A mode that the exchange adds later reads as none."""
