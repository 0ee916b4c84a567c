"""What `kalshi state` prints. Rules as in `rows`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kalshi_cli.base.units import Money
from kalshi_cli.views.formats import Prose
from kalshi_cli.views.row import Row

if TYPE_CHECKING:
    from kalshi_cli.app.rebuild import Rebuilt


class RebuiltView(Row, frozen=True, kw_only=True):
    """A state file made anew: what was wrong, where the old one is, and what the exchange told of the account.

    `open_orders` may still trade; `state` is the trading state, with why it is so. `kept_notices` are those that nobody
    had got: they are sent from the new file; `kept_locks` are markets that are locked still.
    """

    why: Prose
    kept: str
    state: str
    code: str
    reason: Prose
    open_orders: int
    fills: int
    settlements: int
    open_positions: int
    cash: Money | None
    kept_notices: int
    kept_locks: int


def rebuilt_view(rebuilt: Rebuilt) -> RebuiltView:
    return RebuiltView(
        why=Prose(rebuilt.why),
        kept=rebuilt.kept,
        state=rebuilt.halt.state.value,
        code=rebuilt.halt.code,
        reason=Prose(rebuilt.halt.reason),
        open_orders=rebuilt.orders,
        fills=rebuilt.fills,
        settlements=rebuilt.settlements,
        open_positions=rebuilt.positions,
        cash=rebuilt.cash,
        kept_notices=rebuilt.notices,
        kept_locks=rebuilt.locks,
    )
