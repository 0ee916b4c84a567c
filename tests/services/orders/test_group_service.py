"""Order groups from Python: each write is a plan that sends nothing before it is executed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from support.served import Served

from kalshi_cli import Kalshi
from kalshi_cli.base.errors import NotFoundError, RefusedError, UsageError
from kalshi_cli.base.units import contracts
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.services.orders.group_service import OrderGroupService
from kalshi_cli.store.records import RunGroup


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


def test_the_first_characters_name_a_group_and_its_trigger_is_listed(groups: OrderGroupService) -> None:
    group = groups.execute(groups.plan_create(contracts(100))).order_group_id
    assert [row.is_triggered for row in groups.list()] == [None], "no loop made this group"
    groups._resources.store.save_order_group(RunGroup(group, 0))
    assert [row.is_triggered for row in groups.list()] == [False]
    plan = groups.plan_trigger(group[:8])
    assert plan.terms == {"order_group_id": group}
    groups.execute(plan)
    assert ([row.is_triggered for row in groups.list()], groups.get(group[:8]).is_triggered) == ([True], True)
    groups.execute(groups.plan_reset(group[:8]))
    assert not groups.get(group).is_triggered
    with pytest.raises(NotFoundError):
        groups.plan_reset(group[:5])


def test_an_ambiguous_beginning_of_a_group_id_is_refused(groups: OrderGroupService) -> None:
    client = groups._resources.client
    twins = [OrderGroup(group_id=f"abcdef{number}", exchange_index=0) for number in range(2)]
    client.order_groups = lambda *_: twins  # type: ignore[method-assign]
    with pytest.raises(UsageError) as caught:
        groups.plan_delete("abcdef")
    assert caught.value.code == "AMBIGUOUS_ID"
