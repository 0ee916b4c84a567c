"""Endpoints of order groups: orders that are canceled together after too many matches in a short time."""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress

from kalshi_cli.base.errors import NotFoundError, OutcomeUnknownError
from kalshi_cli.base.units import Qty
from kalshi_cli.exchange import wire
from kalshi_cli.exchange.endpoints.base import Endpoints, missing, quote_part, understood
from kalshi_cli.exchange.rest.call import CANCEL, ONCE, RETRY_RESET, Params, RetryPolicy
from kalshi_cli.exchange.wire.values import read_done

_GROUPS = "/portfolio/order_groups"

LOOKS = 4
BETWEEN_S = 0.25
"""Reads do not show a new group for a moment (about 0.4 s, June 2026)."""

_LOOK = "kalshi order group list"


class OrderGroupEndpoints(Endpoints):
    """The account's order groups. A group belongs to one shard and one subaccount."""

    def order_groups(self, subaccount: int | None = None) -> list[wire.groups.OrderGroup]:
        """Return every group, of all subaccounts unless one is given."""
        subaccount = self.whose(subaccount)
        return wire.groups.read_groups(self._get(_GROUPS, {"subaccount": subaccount}), subaccount or 0)

    def order_group(self, group_id: str, subaccount: int | None = None) -> wire.groups.OrderGroup:
        """Return one group with the ids of its orders."""
        owner = self.whose(subaccount) or 0
        path = f"{_GROUPS}/{quote_part(group_id)}"
        with _named(group_id):
            body = self._seen(path, {"subaccount": owner or None})
        return wire.groups.read_group(body, group_id, owner)

    def create_order_group(
        self, limit: Qty, *, subaccount: int | None = None, exchange_index: int = 0
    ) -> wire.groups.OrderGroup:
        """Create a group. OutcomeUnknownError if it may exist: a second request would make two."""
        subject = "creating the order group"
        body = wire.groups.create_body(limit, self.whose(subaccount) or 0, exchange_index)
        reply = self._rest.call("POST", f"{_GROUPS}/create", ONCE, subject=subject, body=body, if_unknown=_LOOK)
        with understood(subject):
            return wire.groups.read_created(reply, limit)

    def limit_order_group(self, group: wire.groups.OrderGroup, limit: Qty) -> None:
        """Set another limit. A lower one may trigger the group at once; a halt stops any but a lower one."""
        is_lower = group.limit is not None and limit <= group.limit
        self._put(group, "limit", wire.groups.limit_body(limit), retry=CANCEL if is_lower else RETRY_RESET)

    def trigger_order_group(self, group: wire.groups.OrderGroup) -> None:
        """Cancel all orders of the group, and refuse new ones until it is reset."""
        self._put(group, "trigger")

    def reset_order_group(self, group: wire.groups.OrderGroup) -> None:
        """Accept orders again, and count matches from zero. A halt stops it."""
        self._put(group, "reset", retry=RETRY_RESET)

    def delete_order_group(self, group: wire.groups.OrderGroup) -> None:
        """Cancel all orders of the group and delete it."""
        path = f"{_GROUPS}/{quote_part(group.group_id)}"
        subject = f"deleting order group {group.group_id}"

        def delete(retry: RetryPolicy) -> None:
            reply = self._rest.call("DELETE", path, retry, subject=subject, params=_whose(group), if_unknown=_LOOK)
            _done(reply, subject)

        try:
            with _named(group.group_id):
                delete(ONCE)
        except OutcomeUnknownError:
            with suppress(NotFoundError):  # it did happen
                delete(CANCEL)

    def _put(self, group: wire.groups.OrderGroup, verb: str, body: bytes = b"", *, retry: RetryPolicy = CANCEL) -> None:
        """Change a group. Repeating is harmless: each request sets a state and adds nothing."""
        path = f"{_GROUPS}/{quote_part(group.group_id)}/{verb}"
        subject = f"changing order group {group.group_id} ({verb})"
        with _named(group.group_id):
            reply = self._rest.call(
                "PUT", path, retry, subject=subject, params=_whose(group), body=body, if_unknown=_LOOK
            )
        _done(reply, subject)

    def _seen(self, path: str, params: Params) -> bytes:
        for _ in range(LOOKS - 1):
            try:
                return self._get(path, params)
            except NotFoundError:
                self._clock.sleep(BETWEEN_S)
        return self._get(path, params)


def _done(reply: bytes, subject: str) -> None:
    with understood(subject):
        read_done(reply, subject)


def _named(group_id: str) -> AbstractContextManager[None]:
    hint = "see `kalshi order group list`; for a group of another subaccount add --subaccount N"
    return missing(f"No order group {group_id}", hint)


def _whose(group: wire.groups.OrderGroup) -> dict[str, str | int | None]:
    return {"subaccount": group.subaccount or None, "exchange_index": group.exchange_index or None}
