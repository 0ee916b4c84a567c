"""What an API key may do: its scopes, and the one subaccount that it may be restricted to (API.md section 2)."""

from __future__ import annotations

import re

from kalshi_cli.simulator.model.records import KeyRecord
from kalshi_cli.simulator.protocol.replies import RejectionError

_CHILDREN = (
    (r"GET /portfolio/balance", "read::portfolio_balance"),
    (r"GET /communications/block-trade-proposals", "read::block_trade_accept"),
    (r"POST /communications/block-trade-proposals/[^/]+/accept", "write::block_trade_accept"),
    (r"(POST|PUT|DELETE) /(portfolio/(events/orders|order_groups)|communications)(/.*)?", "write::trade"),
    (r"POST /portfolio/(subaccounts/transfer|intra_exchange_instance_transfer)", "write::transfer"),
)
"""Calls that a narrower scope allows too; the first that fits."""


def check_scope(key: KeyRecord, method: str, path: str) -> None:
    """A WireError (403) where no scope of the key allows this call; `path` follows `/trade-api/v2`."""
    parent = "read" if method == "GET" else "write"
    called = f"{method} {path}"
    child = next((scope for pattern, scope in _CHILDREN if re.fullmatch(pattern, called)), parent)
    if not {parent, child} & set(key.scopes):
        raise RejectionError(403, "forbidden", f"this API key lacks the scope {child}")
