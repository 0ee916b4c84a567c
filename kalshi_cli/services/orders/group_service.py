"""Order groups of an account: each write is planned first and then executed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kalshi_cli.base.checked import check_whole
from kalshi_cli.base.errors import NotFoundError, StateFileError, UsageError
from kalshi_cli.base.units import Qty, format_qty, pluralize, show_qty
from kalshi_cli.config.config import refuse_read_only
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.services.orders.cancel import ID_LENGTH, MIN_PREFIX
from kalshi_cli.services.plans import PlanningService
from kalshi_cli.services.trading.refusals import translate_halt
from kalshi_cli.services.trading.run_order_groups import note_group, reset_group
from kalshi_cli.views.orders import GroupActionResult, GroupRow, GroupView
from kalshi_cli.views.plans import RequestPlan

GroupPlan = RequestPlan[dict[str, str], GroupActionResult]


class OrderGroupService(PlanningService):
    """Order groups: the exchange cancels a group once more than its limit matches within 15 seconds."""

    def list(self, subaccount: int | None = None) -> Sequence[GroupRow]:
        """Return the order groups, of all subaccounts unless one is given."""
        triggered = self._triggered()
        groups = self._resources.client.order_groups(subaccount)
        return [GroupRow.of(group, is_triggered=triggered.get(group.group_id)) for group in groups]

    def get(self, group_id: str, subaccount: int | None = None) -> GroupView:
        """Return one order group with the ids of its orders."""
        group = self._read(group_id, subaccount)
        return GroupView.of(group, is_triggered=self._triggered().get(group.group_id))

    def plan_create(
        self, limit: int, *, subaccount: int | None = None, shard: int = 0
    ) -> RequestPlan[dict[str, str | int | None], GroupView]:
        """Plan a new order group for the markets of one shard; `limit` is in contracts within 15 seconds."""
        client, limit = self._resources.client, Qty(check_whole("limit", limit))
        return self._request(
            "create_order_group",
            {"limit": format_qty(limit), "subaccount": subaccount, "exchange_index": shard},
            lambda: GroupView.of(
                client.create_order_group(limit, subaccount=subaccount, exchange_index=shard), is_triggered=False
            ),
            f"an order group of {show_qty(limit)} contracts within 15 seconds",
        )

    def plan_limit(self, group_id: str, limit: int, *, subaccount: int | None = None) -> GroupPlan:
        """Plan another limit. The group is triggered at once if that much matched within the last 15 seconds.

        While trading is halted a limit can only be lowered.
        """
        most = Qty(check_whole("limit", limit))

        def send(group: OrderGroup) -> None:
            resources = self._resources
            translate_halt(resources.store, lambda: resources.client.limit_order_group(group, most))

        return self._change("limit", "limit set", group_id, subaccount, send, limit=format_qty(most))

    def plan_trigger(self, group_id: str, *, subaccount: int | None = None) -> GroupPlan:
        """Plan to cancel all orders of a group; it takes no new orders until it is reset."""

        def send(group: OrderGroup) -> None:
            self._resources.client.trigger_order_group(group)
            note_group(self._resources, group.group_id, is_triggered=True)

        return self._change("trigger", "triggered", group_id, subaccount, send)

    def plan_reset(self, group_id: str, *, subaccount: int | None = None) -> GroupPlan:
        """Plan to let a triggered group take orders again. Refused while trading is halted."""
        return self._change("reset", "reset", group_id, subaccount, lambda group: reset_group(self._resources, group))

    def plan_delete(self, group_id: str, *, subaccount: int | None = None) -> GroupPlan:
        """Plan to delete a group and to cancel all its orders."""
        return self._change("delete", "deleted", group_id, subaccount, self._resources.client.delete_order_group)

    def _change(
        self,
        action: str,
        done: str,
        group_id: str,
        subaccount: int | None,
        send: Callable[[OrderGroup], None],
        **terms: str,
    ) -> GroupPlan:
        """Plan a change of a group. Reads the group first: each write must name its shard."""
        refuse_read_only(self._resources.config)
        group = self._read(group_id, subaccount)

        def change() -> GroupActionResult:
            send(group)
            return GroupActionResult(order_group_id=group.group_id, done=done)

        fact = f"order group {group.group_id} with {pluralize(len(group.orders or ()), 'order')}"
        return self._request(f"{action}_order_group", {"order_group_id": group.group_id, **terms}, change, fact)

    def _read(self, group_id: str, subaccount: int | None) -> OrderGroup:
        """Return the group with this id, or the only one whose id begins so."""
        client = self._resources.client
        if MIN_PREFIX <= len(group_id) < ID_LENGTH:
            found = [each.group_id for each in client.order_groups(subaccount) if each.group_id.startswith(group_id)]
            if len(found) > 1:
                raise UsageError(
                    f"{group_id} is ambiguous: {pluralize(len(found), 'order group')} begin with it",
                    hint="nothing was sent; type more characters of the order group id",
                    code="AMBIGUOUS_ID",
                )
            group_id = found[0] if found else group_id
        if len(group_id) < MIN_PREFIX:
            raise NotFoundError(
                f"No order group {group_id}",
                hint=f"type at least {MIN_PREFIX} characters of its id; see `kalshi order group list`",
            )
        return client.order_group(group_id, subaccount)

    def _triggered(self) -> dict[str, bool]:
        """Return whether each group of the loop is triggered, by the state file; nothing if it is unusable."""
        try:
            store = self._resources.remembered()
            return {each.group_id: each.is_triggered for each in store.groups()} if store is not None else {}
        except StateFileError as error:
            self._resources.tell(f"The state file does not say which groups are triggered: {error.message}")
            return {}
