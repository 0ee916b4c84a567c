"""The order groups of a run, one on each shard: one request cancels all its orders, even if this program fails.

A group is saved in the state file when it is created. A start after a crash reuses it; a graceful stop deletes it. A
triggered group is kept until the user resets it: a restart must not undo that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from kalshi_cli.base.errors import ExchangeError, KalshiError, NotFoundError, RefusedError, StateFileError
from kalshi_cli.base.text import SHORT_ID_LENGTH
from kalshi_cli.base.units import Qty
from kalshi_cli.core.model.effects import OrderGroupStateChanged
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.services.resources import Resources
from kalshi_cli.services.trading.refusals import translate_halt
from kalshi_cli.store.lock import no_kill
from kalshi_cli.store.records import RunGroup
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.formats import short_ids

GONE = 410

RESET_GROUPS = "`kalshi resume --reason TEXT --reset-groups`"


@dataclass(eq=False, repr=False)
class RunOrderGroups:
    """The order groups of one run. `limit` is the contracts that may match within 15 seconds, None for no groups."""

    client: KalshiClient
    store: Store
    state: EngineState
    limit: Qty | None
    tell: Callable[[str], None]

    def open(self, markets: Iterable[Market]) -> None:
        """Reuse or create a group for the shard of each market.

        Raises the exchange's error if a group cannot be created: nothing is traded on a shard without its group.
        """
        for shard in sorted({market.exchange_index for market in markets} - self.state.groups.keys()):
            if self.limit is None:
                return
            group_id = self._reused(shard, self.limit) or self._created(shard, self.limit)
            if group_id:
                self.state.groups[shard] = group_id

    def admit(self, markets: Iterable[Market]) -> list[Market]:
        """Return the new markets whose shard has a group or needs none. The rest is found and tried again later."""
        admitted: list[Market] = []
        for market in markets:
            try:
                self.open((market,))
            except KalshiError:
                continue  # `open` has shown the error.
            admitted.append(market)
        return admitted

    def close(self, live: Iterable[Order]) -> None:
        """Delete the groups on the exchange if no order of this run is live; the next start reuses the others."""
        if any(order.strategy for order in live):
            return
        for shard, group_id in tuple(self.state.groups.items()):
            if group_id in self.state.triggered_groups:
                self.tell(_until_reset(group_id, shard))
                continue
            del self.state.groups[shard]
            try:
                self.client.delete_order_group(OrderGroup(group_id=group_id, exchange_index=shard))
            except NotFoundError:
                pass
            except KalshiError as error:
                self.tell(f"Order group {group_id} is kept for the next start: {error.message}")
                return  # A stop has a time budget; the next start reuses the remaining groups.
            self.store.forget_group(group_id)

    def _reused(self, shard: int, limit: Qty) -> str:
        """Return the group that an earlier run left on this shard; "" without one, or if it was deleted."""
        for kept in self.store.groups():
            if kept.exchange_index != shard:
                continue
            try:
                found = self.client.order_group(kept.group_id)
            except NotFoundError:
                self.store.forget_group(kept.group_id)
                continue
            if kept.is_triggered:
                self.state.triggered_groups.add(kept.group_id)
                self.tell(_until_reset(kept.group_id, shard))
            elif found.limit != limit:
                self.client.limit_order_group(found, limit)
            return kept.group_id
        return ""

    def _created(self, shard: int, limit: Qty) -> str:
        """Create a group and return its id; "" if this exchange has no order groups."""
        try:
            group = self.client.create_order_group(limit, exchange_index=shard)
        except KalshiError as error:
            if isinstance(error, NotFoundError) or (isinstance(error, ExchangeError) and error.status == GONE):
                self.tell("This exchange has no order groups: orders are placed without one, and cancel-all is slower")
                self.limit = None
                return ""
            self.tell(
                f"No order group could be created on shard {shard}, so nothing is traded there: {error.message}"
                " (trade.group_limit: null trades without order groups)"
            )
            raise
        self.store.save_order_group(RunGroup(group.group_id, shard))
        return group.group_id


def _until_reset(group_id: str, shard: int) -> str:
    name = group_id[:SHORT_ID_LENGTH]
    return f"Order group {name} was triggered: no strategy can place orders on shard {shard} until {RESET_GROUPS}"


def resume_command(*, resets: object) -> str:
    """Return the command that lets a loop trade again, in backquotes; with `resets` it resets its groups too."""
    return RESET_GROUPS if resets else "`kalshi resume --reason TEXT`"


def note_group(resources: Resources, group_id: str, *, is_triggered: bool) -> None:
    """Save that the user triggered or reset an order group: the next start reads it if a run created the group."""
    try:
        store = resources.remembered()
        if store is not None:
            store.record(OrderGroupStateChanged(group_id, is_triggered))
    except StateFileError as error:
        where = "saved only in a file name beside the state file" if is_triggered else "not saved"
        resources.tell(f"This is {where}: {error.message}")


def reset_group(resources: Resources, group: OrderGroup) -> None:
    """Reset a triggered order group. Raises RefusedError while trading is halted or `cancel-all` runs."""
    with no_kill(resources.state_dir, resources.machine):
        try:
            translate_halt(resources.store, lambda: resources.client.reset_order_group(group))
        except RefusedError as error:
            hint = f"first resume; both in one step: {RESET_GROUPS}"
            raise RefusedError(error.message, hint=hint, code=error.code) from error
    note_group(resources, group.group_id, is_triggered=False)


def reset_groups_of_loops(resources: Resources, group_ids: Sequence[str]) -> None:
    """Reset triggered groups; forget those that the exchange no longer has.

    Of several errors the first is raised, after the other groups.
    """
    failed: KalshiError | None = None
    for group_id, name in zip(group_ids, short_ids(group_ids), strict=True):
        try:
            reset_group(resources, resources.client.order_group(group_id))
        except NotFoundError:
            if (store := resources.remembered()) is not None:
                store.forget_group(group_id)
            resources.note(f"Order group {name} no longer exists on the exchange and was forgotten")
        except KalshiError as error:
            said, text = error.message, f"Trading is active, but order group {name} was not reset: {error.message}"
            error.reword(lambda each, said=said, text=text: text if each == said else each)  # type: ignore[misc]
            if failed is not None:  # the first one is raised, and says so itself
                resources.tell(text)
            failed = failed or error
        else:
            resources.note(f"Order group {name} was reset and accepts orders again")
    if failed is not None:
        raise failed
