"""Routes: their cost, their permissions, the method that answers, and the lookup by path."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.matching.member import MAX_SUBACCOUNT, SimAccount
from kalshi_cli.simulator.matching.mirror import DelayedView
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.protocol.replies import Json, Query, RejectionError, flat, invalid

B = TypeVar("B")
Subaccount = Annotated[int, msgspec.Meta(ge=0, le=MAX_SUBACCOUNT)]
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
_JSON_NAMES = {int: "number", float: "number", str: "string", bool: "bool", list: "array", dict: "object"}


class RouteCall(msgspec.Struct, frozen=True):
    """A request on its route: account, parameters, time. `path` has the values of the path parameters.

    `lock` is the only subaccount that a restricted key may name.
    """

    account: str | None
    query: Query
    path: tuple[str, ...]
    body: bytes
    now: Ts
    lock: int | None = None
    is_old: bool = False
    """The request is for the historical tier."""

    @property
    def caller(self) -> str:
        """Return the account of a private route."""
        assert self.account is not None
        return self.account

    def read(self, kind: type[B], called: str = "", *, bare: bool = False) -> B:
        """Return the body as this struct; an error names it, as `called`, unless it is `bare`."""
        try:
            return msgspec.json.decode(self.body, type=prepared(kind))
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise flat(str(error) if bare else f"{called or kind.__name__.lstrip('_')}: {error}") from error

    def subaccount(self, usual: int | None) -> int | None:
        """Return the `subaccount` of the query, else that of the key, else `usual`.

        A restricted key may name no other subaccount than its own (403).
        """
        return self.allowed(self.query.number("subaccount", most=MAX_SUBACCOUNT), usual)

    def allowed(self, named: int | None, usual: int | None) -> int | None:
        """Return the subaccount of a request that named this one, or None for none.

        A restricted key may name no other subaccount than its own (403).
        """
        if self.lock is None:
            return usual if named is None else named
        if named not in (None, self.lock):
            raise RejectionError(403, "forbidden", f"this API key is restricted to subaccount {self.lock}")
        return self.lock


Answer = Callable[[RouteCall], Json | None]
M = TypeVar("M", bound=Callable[..., Json | None])


class Route(msgspec.Struct, frozen=True):
    """A route. `cost` is in tokens; with `is_per_item` it applies to each item of the batch in the body.

    `shard` is the shard whose write bucket pays. With `is_routed` it is the one that the request names; if it names
    none, all shards pay (API.md section 8).
    """

    method: str
    path: str
    operation: str
    answer: Answer
    is_private: bool = False
    is_write: bool = False
    cost: int = DEFAULT_COST
    is_per_item: bool = False
    success: int = 200
    shard: int = 0
    is_routed: bool = False

    @property
    def takes_body(self) -> bool:
        """Return whether a request must have a body; the exchange wants `{}` even without content."""
        return self.method in ("POST", "PUT") or self.is_per_item

    def price(self, body: bytes) -> int:
        """Return the tokens for this request; an empty batch costs one item."""
        return self.cost * max(1, len(batch_items(body))) if self.is_per_item else self.cost

    def payers(self, query: Query, body: bytes, shards: int) -> Iterable[int]:
        """Return the shards whose write buckets pay for this request."""
        if not self.is_routed or shards == 1:
            return (self.shard,)
        named = query.number("exchange_index", least=-1)
        if named is None and body:
            value = decode_body(body).get("exchange_index")
            named = value if isinstance(value, int) else None
        return range(shards) if named is None or named < 0 else (named,)


def route(method: str, path: str, operation: str, **options: Any) -> Callable[[M], M]:
    """Declare a route that a method of `Routes` answers; `options` are the other fields of `Route`."""

    def declare(answer: M) -> M:
        answer.__dict__.setdefault("routes", []).append(Route(method, path, operation, answer, **options))
        return answer

    return declare


public = partial(route, "GET")
private = partial(route, "GET", is_private=True)
write = partial(route, is_private=True, is_write=True)


class Routes:
    """A table of endpoints. Its methods declare routes and return the body of a success, or None for no body."""

    _declared: ClassVar[list[tuple[str, Route]]]

    def __init_subclass__(cls) -> None:
        """Keep the declared routes with the names of their methods, fixed paths before parameters."""
        found = [
            (name, declared)
            for name, method in vars(cls).items()
            for declared in getattr(method, "__dict__", {}).get("routes", ())
        ]
        cls._declared = sorted(found, key=lambda each: each[1].path.replace(":", "~"))

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """Return the routes of these endpoints, fixed paths before parameters."""
        return [msgspec.structs.replace(declared, answer=getattr(self, name)) for name, declared in self._declared]

    def _member(self, call: RouteCall) -> SimAccount:
        return self._state.members[call.caller]

    def _mirror(self, call: RouteCall) -> DelayedView:
        """Return the current read view of the caller."""
        mirror = self._member(call).mirror
        assert mirror is not None
        return mirror.at(call.now)


class Router:
    """Finds the route of a method and path, and the values of its path parameters."""

    def __init__(self, tables: Iterable[Route]) -> None:
        self._plain: dict[tuple[str, str], Route] = {}
        self._routes: dict[tuple[str, int], list[tuple[list[str], Route]]] = {}
        self._costs: list[Json] = []
        costs = Route("GET", "/account/endpoint_costs", "GetAccountEndpointCosts", self.endpoint_costs)
        for route in (costs, *tables):
            parts = route.path.split("/")
            if ":" in route.path:
                self._routes.setdefault((route.method, len(parts)), []).append((parts, route))
            else:
                self._plain[route.method, route.path] = route
            if route.cost != DEFAULT_COST:
                shown = {"method": route.method, "path": BASE + route.path, "cost": route.cost}
                self._costs.append(shown)
        self._legacy = [(method, path.split("/")) for method, path in LEGACY]

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
        """Return the route of a request and the values of its path parameters, or None."""
        if (plain := self._plain.get((method, path))) is not None:
            return plain, ()
        parts = path.split("/")
        for pattern, route in self._routes.get((method, len(parts)), ()):
            if _matches(pattern, parts):
                return route, tuple(part for name, part in zip(pattern, parts, strict=True) if name[:1] == ":")
        return None

    def is_legacy(self, method: str, path: str) -> bool:
        """Return whether a request is for an order route of before June 2026."""
        parts = path.split("/")
        return any(method == known and _matches(pattern, parts) for known, pattern in self._legacy)

    def endpoint_costs(self, _: RouteCall) -> Json:
        """Return the costs of the endpoints that differ from the default."""
        return {"default_cost": DEFAULT_COST, "endpoint_costs": self._costs}


def _matches(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(
        name[:1] == ":" or name == part for name, part in zip(pattern, parts, strict=True)
    )


def check_subaccount(member: SimAccount, number: int) -> None:
    """Refuse a subaccount that does not exist."""
    if not 0 <= number <= member.record.subaccounts:
        raise invalid("subaccount")


def batch_items(body: bytes) -> list[Json]:
    """Return the `orders` of a batch."""
    items = decode_body(body).get("orders")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise invalid("orders is required")
    return items


def decode_body(body: bytes) -> Json:
    """Return the JSON object of a body."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise flat(f"invalid JSON: {error}") from error
    if not isinstance(decoded, dict):
        raise flat(f"json: cannot unmarshal {json_name(decoded)} into Go value of type CreateOrderV2Request")
    return decoded


def json_name(value: object) -> str:
    """Return the name of a JSON type in the exchange's messages."""
    return _JSON_NAMES.get(type(value), "null")
