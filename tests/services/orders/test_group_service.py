"""Order groups from Python: each write is a plan that sends nothing before it is executed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.served import Served

from kalshi_cli import Kalshi
from kalshi_cli.base.errors import NotFoundError, RefusedError
from kalshi_cli.base.units import contracts
from kalshi_cli.services.orders.group_service import OrderGroupService


@pytest.fixture
def groups(exchange: Served) -> Iterator[OrderGroupService]:
    with Kalshi.open(env="sim") as kalshi:
        yield kalshi.order_groups


def test_a_group_is_made_changed_and_deleted(groups: OrderGroupService) -> None:
    plan = groups.plan_create(contracts(100))
    assert "100 contracts within 15 seconds" in plan.facts[0]
    assert groups.list() == []
    made = groups.execute(plan)
    group = made.order_group_id
    assert [row.order_group_id for row in groups.list()] == [group]
    limit = groups.plan_limit(group, contracts(50))
    assert limit.terms == {"order_group_id": group, "limit": "50.00"}
    assert (groups.get(group).limit, groups.execute(limit).done) == (contracts(100), "limit set")
    assert groups.get(group).limit == contracts(50)
    assert groups.execute(groups.plan_trigger(group)).done == "triggered"
    assert groups.execute(groups.plan_reset(group)).done == "reset"
    assert groups.execute(groups.plan_delete(group)).done == "deleted"
    assert groups.list() == []
    with pytest.raises(NotFoundError):
        groups.plan_delete(group)


def test_a_changed_plan_of_a_group_is_refused(groups: OrderGroupService) -> None:
    group = groups.execute(groups.plan_create(contracts(100))).order_group_id
    plan = groups.plan_limit(group, contracts(50))
    plan.terms["limit"] = "500.00"
    with pytest.raises(RefusedError) as caught:
        groups.execute(plan)
    assert caught.value.code == "PLAN_CHANGED"
    assert groups.get(group).limit == contracts(100)


def test_writes_that_are_switched_off_are_refused_before_the_exchange_is_asked(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_READ_ONLY", "1")
    with Kalshi.open(env="sim") as kalshi, pytest.raises(RefusedError) as caught:
        kalshi.order_groups.plan_delete("any")
    assert caught.value.code == "READ_ONLY"
