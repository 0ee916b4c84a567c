"""Deleting an order group where no usable answer comes."""

from __future__ import annotations

import httpx
import pytest
from support.simulation import Simulation

from kalshi_cli.base.errors import NotFoundError, OutcomeUnknownError
from kalshi_cli.base.units import contracts
from kalshi_cli.exchange.wire.groups import OrderGroup


def test_a_delete_that_happened_without_an_answer_is_done_when_the_group_is_gone(sim: Simulation) -> None:
    group = sim.client.create_order_group(contracts(50))

    def lost(request: httpx.Request) -> None:
        if request.method == "DELETE":
            sim.wire.after = lambda _request: None
            raise httpx.ReadError("reset", request=request)

    sim.wire.after = lost
    sim.client.delete_order_group(group)
    assert sim.client.order_groups() == []
    assert [method for method, _ in sim.wire.sent].count("DELETE") == 2


def test_a_delete_of_a_group_that_never_was_says_so(sim: Simulation) -> None:
    with pytest.raises(NotFoundError, match="No order group"):
        sim.client.delete_order_group(OrderGroup(group_id="00000000-0000-4000-8000-00000000dead"))


def test_a_delete_that_is_never_answered_stays_unknown(sim: Simulation) -> None:
    group = sim.client.create_order_group(contracts(50))
    sim.wire.before = lambda request: httpx.Response(503) if request.method == "DELETE" else None
    with pytest.raises(OutcomeUnknownError):
        sim.client.delete_order_group(group)
