"""REST bodies of order groups."""

from __future__ import annotations

import msgspec
from msgspec import field

from kalshi_cli.base.units import Qty, format_qty
from kalshi_cli.exchange.wire.values import body_of, convert, parse_non_negative_count, whole


class OrderGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Orders that are canceled together once more than `limit` contracts of them match within 15 seconds.

    `orders` are ids, and None in a list of groups. `subaccount` is that of the request.
    """

    group_id: str
    limit: Qty | None = None
    is_auto_cancel_enabled: bool = True
    exchange_index: int = 0
    subaccount: int = 0
    orders: tuple[str, ...] | None = None


class _Created(msgspec.Struct):
    group_id: str = field(name="order_group_id")
    subaccount: int = 0
    exchange_index: int = 0


class _Group(msgspec.Struct):
    is_auto_cancel_enabled: bool
    group_id: str = field(name="id", default="")
    limit: str | None = field(name="contracts_limit_fp", default=None)
    exchange_index: int = 0
    orders: tuple[str, ...] | None = None


class _Groups(msgspec.Struct):
    order_groups: list[_Group] | None = None  # an account without groups gets `{}` (perps, 2026)


def create_body(limit: Qty, subaccount: int, exchange_index: int) -> bytes:
    """Return the body of `POST /portfolio/order_groups/create`."""
    return body_of({"contracts_limit_fp": format_qty(limit)}, subaccount=subaccount, exchange_index=exchange_index)


def limit_body(limit: Qty) -> bytes:
    """Return the body of `PUT /portfolio/order_groups/{id}/limit`."""
    return body_of({"contracts_limit_fp": format_qty(limit)})


def _made(wire: _Created, limit: Qty) -> OrderGroup:
    if not wire.group_id:
        raise ValueError("the response names no group")
    return convert(OrderGroup, wire, limit=limit, orders=())


def _group(wire: _Group, group_id: str, subaccount: int) -> OrderGroup:
    return _of(wire, group_id, subaccount, wire.orders or ())


def _groups(wire: _Groups, subaccount: int) -> list[OrderGroup]:
    return [_of(each, each.group_id, subaccount, each.orders) for each in wire.order_groups or ()]


def _of(wire: _Group, group_id: str, subaccount: int, orders: tuple[str, ...] | None) -> OrderGroup:
    if not group_id:
        raise ValueError("a group without an id")
    limit = parse_non_negative_count(wire.limit) if wire.limit else None
    return convert(OrderGroup, wire, group_id=group_id, limit=limit, subaccount=subaccount, orders=orders)


read_created = whole(_Created, _made, "a new order group")
"""The new group of the given limit."""
read_group = whole(_Group, _group, "an order group")
"""`GET /portfolio/order_groups/{id}`, whose body does not name the group; its id and subaccount are given."""
read_groups = whole(_Groups, _groups, "order groups")
"""`GET /portfolio/order_groups` of the given subaccount."""
