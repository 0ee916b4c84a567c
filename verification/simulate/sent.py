"""A request on its way to the exchange."""

from __future__ import annotations

from typing import NamedTuple

import httpx
import msgspec

CREATES = "/trade-api/v2/portfolio/events/orders"
BATCHES = CREATES + "/batched"
_READS = (
    "/portfolio/orders",
    "/portfolio/fills",
    "/portfolio/positions",
    "/portfolio/balance",
    "/portfolio/settlement",
)


class Sent(NamedTuple):
    """A request on its way."""

    request: httpx.Request
    method: str
    path: str
    names: tuple[str, ...]
    """The client order ids that it could place; more than one in a batch."""

    is_closing: bool
    """It can only take risk away, so that a halt does not stop it."""

    @property
    def name(self) -> str:
        """Of a single create; empty for anything else."""
        return self.names[0] if self.path == CREATES and self.names else ""

    @property
    def kinds(self) -> set[str]:
        """Which targets of a plan it is."""
        found = {"any"} | ({"get"} if self.method == "GET" else set())
        if self.name:
            found.add("create")
        elif self.names:
            found.add("batch")
        elif self.method == "DELETE":
            found.add("cancel")
        elif "cursor=" in str(self.request.url.query, "ascii"):
            found |= {"page", "read"}
        elif any(part in self.path for part in _READS):
            found.add("read")
        return found


def creates_in(request: httpx.Request) -> tuple[tuple[str, ...], bool]:
    """The client order ids of a create, or of a batch; and whether all of them can only close."""
    if request.method != "POST" or request.url.path not in (CREATES, BATCHES):
        return (), False
    body = msgspec.json.decode(request.read())
    orders = body["orders"] if request.url.path == BATCHES else [body]
    return tuple(str(order["client_order_id"]) for order in orders), all(order.get("reduce_only") for order in orders)
