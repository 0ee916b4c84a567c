"""The table of REST routes: what each costs, who may call it, and what answers it."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from kalshi_cli.sim.floor import Floor
from kalshi_cli.sim.reads import Call, Reads
from kalshi_cli.sim.replies import Json
from kalshi_cli.sim.state import State
from kalshi_cli.sim.writes import Writes, batch_items

BASE = "/trade-api/v2"
DEFAULT_COST = 10
LEGACY = (
    ("POST", "/portfolio/orders"),
    ("POST", "/portfolio/orders/batched"),
    ("DELETE", "/portfolio/orders/batched"),
    ("DELETE", "/portfolio/orders/:order_id"),
    ("POST", "/portfolio/orders/:order_id/amend"),
    ("POST", "/portfolio/orders/:order_id/decrease"),
)


class Route(msgspec.Struct, frozen=True):
    """`cost` is in tokens; with `is_per_item` it is for each item of the batch in the body."""

    method: str
    path: str
    operation: str
    answer: Callable[[Call], Json | None]
    is_private: bool = False
    is_write: bool = False
    cost: int = DEFAULT_COST
    is_per_item: bool = False
    success: int = 200

    def price(self, body: bytes) -> int:
        """Tokens for this request; an empty batch still costs one item."""
        return self.cost * max(1, len(batch_items(body))) if self.is_per_item else self.cost


class Router:
    """Finds the route of a method and path, and the values of the path's parameters."""

    def __init__(self, state: State, floor: Floor) -> None:
        self._routes: dict[tuple[str, int], list[tuple[list[str], Route]]] = {}
        self._costs: list[Json] = []
        for route in (*_public(Reads(state), self), *_private(Reads(state)), *_writes(Writes(state, floor))):
            parts = route.path.split("/")
            self._routes.setdefault((route.method, len(parts)), []).append((parts, route))
            if route.cost != DEFAULT_COST:
                shown = {"method": route.method, "path": BASE + route.path, "cost": route.cost}
                self._costs.append(shown)
        self._legacy = [(method, path.split("/")) for method, path in LEGACY]

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
        parts = path.split("/")
        for pattern, route in self._routes.get((method, len(parts)), ()):
            if _matches(pattern, parts):
                return route, tuple(part for name, part in zip(pattern, parts, strict=True) if name[:1] == ":")
        return None

    def is_legacy(self, method: str, path: str) -> bool:
        """The order routes of before June 2026."""
        parts = path.split("/")
        return any(method == known and _matches(pattern, parts) for known, pattern in self._legacy)

    def endpoint_costs(self, _: Call) -> Json:
        return {"default_cost": DEFAULT_COST, "endpoint_costs": self._costs}


def _matches(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(
        name[:1] == ":" or name == part for name, part in zip(pattern, parts, strict=True)
    )


def _public(reads: Reads, router: Router) -> list[Route]:
    return [
        Route("GET", "/exchange/status", "GetExchangeStatus", reads.status),
        Route("GET", "/exchange/schedule", "GetExchangeSchedule", reads.schedule),
        Route("GET", "/exchange/user_data_timestamp", "GetUserDataTimestamp", reads.user_data_timestamp),
        Route("GET", "/account/endpoint_costs", "GetAccountEndpointCosts", router.endpoint_costs),
        Route("GET", "/markets", "GetMarkets", reads.markets),
        Route("GET", "/markets/orderbooks", "GetMarketOrderbooks", reads.orderbooks),
        Route("GET", "/markets/trades", "GetTrades", reads.trades),
        Route("GET", "/markets/:ticker", "GetMarket", reads.market),
        Route("GET", "/markets/:ticker/orderbook", "GetMarketOrderbook", reads.orderbook),
        Route("GET", "/events", "GetEvents", reads.events),
        Route("GET", "/events/:event_ticker", "GetEvent", reads.event),
        Route("GET", "/series", "GetSeriesList", reads.series_list),
        Route("GET", "/series/:series_ticker", "GetSeries", reads.series),
    ]


def _private(reads: Reads) -> list[Route]:
    return [
        Route("GET", "/account/limits", "GetAccountApiLimits", reads.limits, is_private=True),
        Route("GET", "/portfolio/orders", "GetOrders", reads.orders, is_private=True),
        Route("GET", "/portfolio/orders/:order_id", "GetOrder", reads.order, is_private=True, cost=2),
        Route(
            "GET",
            "/portfolio/orders/:order_id/queue_position",
            "GetOrderQueuePosition",
            reads.queue_position,
            is_private=True,
        ),
        Route("GET", "/portfolio/fills", "GetFills", reads.fills, is_private=True),
        Route("GET", "/portfolio/positions", "GetPositions", reads.positions, is_private=True),
        Route("GET", "/portfolio/settlements", "GetSettlements", reads.settlements, is_private=True),
        Route("GET", "/portfolio/balance", "GetBalance", reads.balance, is_private=True),
    ]


def _writes(writes: Writes) -> list[Route]:
    orders = "/portfolio/events/orders"

    def route(method: str, path: str, operation: str, answer: Callable[[Call], Json | None], cost: int) -> Route:
        return Route(method, path, operation, answer, is_private=True, is_write=True, cost=cost)

    create = route("POST", orders, "CreateOrderV2", writes.create, 10)
    create_batch = route("POST", f"{orders}/batched", "BatchCreateOrdersV2", writes.create_batch, 10)
    cancel_all = route("DELETE", orders, "CancelAllOrdersV2", writes.cancel_all, 2)
    cancel_batch = route("DELETE", f"{orders}/batched", "BatchCancelOrdersV2", writes.cancel_batch, 2)
    cancel = route("DELETE", f"{orders}/:order_id", "CancelOrderV2", writes.cancel, 2)
    return [
        msgspec.structs.replace(create, success=201),
        msgspec.structs.replace(create_batch, success=201, is_per_item=True),
        msgspec.structs.replace(cancel_all, success=204),
        msgspec.structs.replace(cancel_batch, is_per_item=True),
        cancel,
    ]
