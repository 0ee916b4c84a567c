"""The table of REST routes: every part of the exchange adds its own."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.protocol.replies import Json
from kalshi_cli.simulator.protocol.routing import Route, RouteCall
from kalshi_cli.simulator.rest.account_reads import AccountReads
from kalshi_cli.simulator.rest.candle_reads import CandleReads
from kalshi_cli.simulator.rest.event_reads import EventReads
from kalshi_cli.simulator.rest.funds import FundsRoutes
from kalshi_cli.simulator.rest.groups import GroupRoutes
from kalshi_cli.simulator.rest.historical import DataTiers
from kalshi_cli.simulator.rest.market_reads import Reads
from kalshi_cli.simulator.rest.order_changes import ChangeRoutes
from kalshi_cli.simulator.rest.order_writes import Writes
from kalshi_cli.simulator.rest.status import Standing
from kalshi_cli.simulator.trading.order_gateway import OrderGateway


def all_routes(state: SimulatorState, floor: OrderGateway) -> list[Route]:
    """Everything that answers under `/trade-api/v2`."""
    return [
        *Standing(state).routes(),
        *CandleReads(state).routes(),  # before /markets/:ticker
        *Reads(state).routes(),
        *DataTiers(state).routes(),
        *EventReads(state).routes(),
        *FundsRoutes(state, floor).routes(),
        *ChangeRoutes(state, floor).routes(),  # before /portfolio/orders/:order_id
        *AccountReads(state).routes(),
        *GroupRoutes(state, floor).routes(),
        *_writes(Writes(state, floor)),
    ]


def _writes(writes: Writes) -> list[Route]:
    orders = "/portfolio/events/orders"

    def route(method: str, path: str, operation: str, answer: Callable[[RouteCall], Json | None], cost: int) -> Route:
        return Route(method, path, operation, answer, is_private=True, is_write=True, cost=cost)

    create = route("POST", orders, "CreateOrderV2", writes.create, 10)
    create_batch = route("POST", f"{orders}/batched", "BatchCreateOrdersV2", writes.create_batch, 10)
    cancel_all = route("DELETE", orders, "CancelAllOrdersV2", writes.cancel_all, 2)
    cancel_batch = route("DELETE", f"{orders}/batched", "BatchCancelOrdersV2", writes.cancel_batch, 2)
    cancel = route("DELETE", f"{orders}/:order_id", "CancelOrderV2", writes.cancel, 2)
    return [
        msgspec.structs.replace(create, success=201, is_routed=True),
        msgspec.structs.replace(create_batch, success=201, is_per_item=True),
        msgspec.structs.replace(cancel_all, success=204),
        msgspec.structs.replace(cancel_batch, is_per_item=True),
        msgspec.structs.replace(cancel, is_routed=True),
    ]
