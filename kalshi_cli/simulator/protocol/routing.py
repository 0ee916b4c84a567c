"""What a route is, and how the one of a request is found: what it costs, who may call it, what answers it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.matching.member import MAX_SUBACCOUNT, SimAccount
from kalshi_cli.simulator.matching.mirror import DelayedView
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.protocol.replies import Json, Query, RejectionError, flat, invalid

B = TypeVar("B")
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
    """One request on its way through a route: who, what, when. `path` holds the values of the path's parameters.

    `lock` is the only subaccount that the key may name, where it is restricted to one.
    """

    account: str | None
    query: Query
    path: tuple[str, ...]
    body: bytes
    now: Ts
    lock: int | None = None
    is_old: bool = False
    """Asks for the historical tier."""

    @property
    def caller(self) -> str:
        """The account, on a private route."""
        assert self.account is not None
        return self.account

    def read(self, kind: type[B], called: str = "", *, bare: bool = False) -> B:
        """The body as this struct; the error names it, as `called`, unless it is `bare`."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise flat(str(error) if bare else f"{called or kind.__name__.lstrip('_')}: {error}") from error

    def subaccount(self, usual: int | None) -> int | None:
        """The query's `subaccount`; without one, that of the key, else `usual`. 403 where the key may not name it."""
        return self.allowed(self.query.number("subaccount", most=MAX_SUBACCOUNT), usual)

    def allowed(self, named: int | None, usual: int | None) -> int | None:
        """The subaccount that a request means which named this one (None: none); a WireError (403) where it may not."""
        if self.lock is None:
            return usual if named is None else named
        if named not in (None, self.lock):
            raise RejectionError(403, "forbidden", f"this API key is restricted to subaccount {self.lock}")
        return self.lock


Answer = Callable[[RouteCall], Json | None]
M = TypeVar("M", bound=Callable[..., Json | None])


class Route(msgspec.Struct, frozen=True):
    """`cost` is in tokens; with `is_per_item` it is for each item of the batch in the body.

    `shard` is the one whose write bucket pays, where the exchange has so many. With `is_routed` it is the one that the
    request names; where that names none, those of all shards pay (API.md section 8).
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
        """Whether a request without a body is refused; the exchange wants `{}` where there is nothing to say."""
        return self.method in ("POST", "PUT") or self.is_per_item

    def price(self, body: bytes) -> int:
        """Tokens for this request; an empty batch still costs one item."""
        return self.cost * max(1, len(batch_items(body))) if self.is_per_item else self.cost

    def payers(self, query: Query, body: bytes, shards: int) -> Iterable[int]:
        """The shards whose write buckets pay for this request; 0 is the bucket that belongs to none."""
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
        declared = Route(method, path, operation, answer, **options)
        answer.__dict__.setdefault("routes", []).append(declared)
        return answer

    return declare


public = partial(route, "GET")
private = partial(route, "GET", is_private=True)
write = partial(route, is_private=True, is_write=True)


class Routes:
    """Answers the routes that its methods declare: the body of the success, or None where there is none."""

    def __init__(self, state: SimulatorState) -> None:
        self._state = state

    def routes(self) -> list[Route]:
        """The table of these endpoints, names before parameters."""
        found = [
            msgspec.structs.replace(declared, answer=getattr(self, name))
            for name, method in vars(type(self)).items()
            for declared in getattr(method, "__dict__", {}).get("routes", ())
        ]
        return sorted(found, key=lambda route: route.path.replace(":", "~"))

    def _member(self, call: RouteCall) -> SimAccount:
        return self._state.members[call.caller]

    def _mirror(self, call: RouteCall) -> DelayedView:
        """What reads of the caller show now."""
        mirror = self._member(call).mirror
        assert mirror is not None
        return mirror.at(call.now)


class Router:
    """Finds the route of a method and path, and the values of the path's parameters."""

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
        if (plain := self._plain.get((method, path))) is not None:
            return plain, ()
        parts = path.split("/")
        for pattern, route in self._routes.get((method, len(parts)), ()):
            if _matches(pattern, parts):
                return route, tuple(part for name, part in zip(pattern, parts, strict=True) if name[:1] == ":")
        return None

    def is_legacy(self, method: str, path: str) -> bool:
        """The order routes of before June 2026."""
        parts = path.split("/")
        return any(method == known and _matches(pattern, parts) for known, pattern in self._legacy)

    def endpoint_costs(self, _: RouteCall) -> Json:
        return {"default_cost": DEFAULT_COST, "endpoint_costs": self._costs}


def _matches(pattern: list[str], parts: list[str]) -> bool:
    return len(pattern) == len(parts) and all(
        name[:1] == ":" or name == part for name, part in zip(pattern, parts, strict=True)
    )


def check_subaccount(member: SimAccount, number: int) -> None:
    """Refuse a subaccount that the member has not."""
    if not 0 <= number <= member.record.subaccounts:
        raise invalid("subaccount")


def batch_items(body: bytes) -> list[Json]:
    """The `orders` of a batch; an empty list where there are none."""
    items = decode_body(body).get("orders")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise invalid("orders is required")
    return items


def decode_body(body: bytes) -> Json:
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise flat(f"invalid JSON: {error}") from error
    if not isinstance(decoded, dict):
        raise flat(f"json: cannot unmarshal {json_name(decoded)} into Go value of type CreateOrderV2Request")
    return decoded


def json_name(value: object) -> str:
    return _JSON_NAMES.get(type(value), "null")
