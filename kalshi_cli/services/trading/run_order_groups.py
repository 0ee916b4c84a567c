"""One order group on each shard that a run trades: one request takes all its orders away, whatever is wrong here.

A group is kept in the state file from the moment it exists, so that a start after a crash takes it up again, and an
orderly stop deletes it. One that was triggered is kept until a person resets it: a restart must not undo that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kalshi_cli.base.errors import ExchangeError, KalshiError, NotFoundError, StateFileError
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

GONE = 410


class RunOrderGroups:
    """The order groups of one run. `limit` is in contracts that may match within 15 seconds, None for no groups."""

    def __init__(
        self, client: KalshiClient, store: Store, state: EngineState, limit: Qty | None, tell: Callable[[str], None]
    ) -> None:
        self._client = client
        self._store = store
        self._state = state
        self._limit = limit
        self._tell = tell

    def open(self, markets: Iterable[Market]) -> None:
        """A group for the shard of each market, taken up again or made. Raises what the exchange answers: without its
        group nothing is traded there.
        """
        for shard in sorted({market.exchange_index for market in markets} - self._state.groups.keys()):
            if self._limit is None:
                return
            group_id = self._taken_up(shard, self._limit) or self._made(shard, self._limit)
            if group_id:
                self._state.groups[shard] = group_id

    def admit(self, markets: Iterable[Market]) -> list[Market]:
        """Those of newly found markets that have a group, or need none. The others are found, and tried, again."""
        admitted: list[Market] = []
        for market in markets:
            try:
                self.open((market,))
            except KalshiError:
                continue  # told already
            admitted.append(market)
        return admitted

    def close(self, live: Iterable[Order]) -> None:
        """Delete them at the exchange once nothing of this run is live; a start takes up what is left."""
        if any(order.strategy for order in live):
            return
        for shard, group_id in tuple(self._state.groups.items()):
            if group_id in self._state.triggered_groups:
                self._tell(_until_reset(group_id, shard))
                continue
            del self._state.groups[shard]
            try:
                self._client.delete_order_group(OrderGroup(group_id=group_id, exchange_index=shard))
            except NotFoundError:
                pass
            except KalshiError as error:
                self._tell(f"order group {group_id} stays for the next start: {error.message}")
                return  # a stop has its budget; the start after it takes up what is left
            self._store.forget_group(group_id)

    def _taken_up(self, shard: int, limit: Qty) -> str:
        """The group that an earlier run left on this shard; "" where there is none, or somebody deleted it."""
        for kept in self._store.groups():
            if kept.exchange_index != shard:
                continue
            try:
                found = self._client.order_group(kept.group_id)
            except NotFoundError:
                self._store.forget_group(kept.group_id)
                continue
            if kept.is_triggered:
                self._state.triggered_groups.add(kept.group_id)
                self._tell(_until_reset(kept.group_id, shard))
            elif found.limit != limit:
                self._client.limit_order_group(found, limit)
            return kept.group_id
        return ""

    def _made(self, shard: int, limit: Qty) -> str:
        """A new group; "" where this exchange has no order groups at all."""
        try:
            group = self._client.create_order_group(limit, exchange_index=shard)
        except ExchangeError as error:
            if isinstance(error, NotFoundError) or error.status == GONE:
                self._tell("this exchange has no order groups: orders go without one, and cancel-all is slower")
                self._limit = None
                return ""
            self._tell(_refusal(shard, error))
            raise
        except KalshiError as error:
            self._tell(_refusal(shard, error))
            raise
        self._store.save_order_group(RunGroup(group.group_id, shard))
        return group.group_id


def _until_reset(group_id: str, shard: int) -> str:
    return (
        f"order group {group_id} was triggered: no strategy can place on shard {shard} until"
        f" kalshi order group reset {group_id}"
    )


def _refusal(shard: int, error: KalshiError) -> str:
    return (
        f"no order group could be made on shard {shard}, so nothing is traded there: {error.message}"
        " (trade.group_limit: null trades without groups)"
    )


def note_group(resources: Resources, group_id: str, *, is_triggered: bool) -> None:
    """Keep that a person switched an order group: where a run made it, the next start must know."""
    try:
        store = resources.remembered()
        if store is not None:
            store.record(OrderGroupStateChanged(group_id, is_triggered))
    except StateFileError as error:
        resources.tell(f"the state file does not know of it: {error.message}")


def reset_group(resources: Resources, group: OrderGroup) -> None:
    """Let orders into a group again that was triggered: not while trading is halted or a kill switch runs."""
    with no_kill(resources.state_dir, resources.machine):
        translate_halt(resources.store, lambda: resources.client.reset_order_group(group))
    note_group(resources, group.group_id, is_triggered=False)


def reset_group_by_id(resources: Resources, group_id: str) -> None:
    """Read a triggered order group and let it accept orders again; see `reset_group`."""
    reset_group(resources, resources.client.order_group(group_id))
