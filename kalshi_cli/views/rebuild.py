"""The view of a state file that was made anew. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Money
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow, names


class RebuiltView(OutputRow, frozen=True, kw_only=True):
    """A state file made anew: what was wrong, where the old one is, and what the exchange told of the account.

    `open_orders` may still trade; `state` is the trading state, with why it is so. `kept_notices` are those that nobody
    had got: they are sent from the new file; `kept_locks` are markets that are locked still.
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
