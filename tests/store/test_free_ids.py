"""Only the row of an order that was provably never sent gives way to a new order with its id."""

from __future__ import annotations

from typing import Any

import pytest
from support.values import Open, full_order

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.core.model.effects import OrderChanged, SubmitOrder
from kalshi_cli.core.model.orders import DUPLICATE_ID, NEVER_SENT, OrderStatus

UNSENT = {"status": OrderStatus.REJECTED, "order_id": ""}


@pytest.mark.parametrize("code", NEVER_SENT)
def test_an_order_that_was_never_sent_gives_way_once(open_store: Open, code: str) -> None:
    store = open_store()
    store.record(OrderChanged(full_order("mine", **UNSENT, code=code)))
    sent = full_order("mine", order_id="")
    store.record(SubmitOrder(sent))
    assert store.order("mine") == sent
    with pytest.raises(StateFileError):
        store.record(SubmitOrder(sent))


@pytest.mark.parametrize(
    "changes",
    [
        *({**UNSENT, "code": code} for code in ("", "invalid_order", "credentials", "read_only", DUPLICATE_ID)),
        *({**UNSENT, "code": "unreachable", "status": each} for each in OrderStatus if each != "rejected"),
        {**UNSENT, "code": "unreachable", "order_id": "o1"},
    ],
)
def test_any_other_order_keeps_its_id(open_store: Open, changes: dict[str, Any]) -> None:
    store = open_store()
    filed = full_order("mine", **changes)
    store.record(OrderChanged(filed))
    with pytest.raises(StateFileError, match="mine is already on record"):
        store.record(SubmitOrder(full_order("mine", order_id="")))
    assert store.order("mine") == filed
