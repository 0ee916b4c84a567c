"""The view of a rebuilt state file. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Money
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow, names


class RebuiltView(OutputRow, frozen=True, kw_only=True):
    """A rebuilt state file: the fault, the place of the old file, and the account data from the exchange.

    `open_orders` may still trade; `state` is the trading state, with its reason. `kept_notices` are undelivered
    notices, which are sent from the new file; `kept_locks` are markets that are still locked.
    """

    why: TruncatableText
    kept: str
    state: str
    code: str
    reason: TruncatableText
    open_orders: int
    fills: int
    settlements: int
    open_positions: int
    cash: Money | None
    kept_notices: int
    kept_locks: int

    named = names(
        state="halt.state", code="halt.code", reason="halt.reason", open_orders="orders",
        open_positions="positions", kept_notices="notices", kept_locks="locks",
    )  # fmt: skip
