"""Views of the trading state after `pause`, `resume` and `stop`. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import TradingStateCell, TruncatableText
from kalshi_cli.views.row import OutputRow, names


class HaltView(OutputRow, frozen=True, kw_only=True):
    """The current trading state."""

    state: TradingStateCell
    paused: bool
    code: str | None
    reason: TruncatableText | None
    since: Ts | None

    named = names(state="standing", paused="is_pause")


class ResumeView(OutputRow, frozen=True, kw_only=True):
    """The trading state after a resume, with its reason, and the state before."""

    state: TradingStateCell
    code: str
    reason: TruncatableText
    since: Ts
    was: TradingStateCell
    was_paused: bool
    was_code: str | None
    was_reason: TruncatableText | None
    was_since: Ts | None

    named = names(was="standing", was_paused="is_pause", was_code="code", was_reason="reason", was_since="since")


class StopView(OutputRow, frozen=True, kw_only=True):
    """The loops that were signaled and have ended, and the orders that may still rest by the state file."""

    signal: str | None
    pids: tuple[int, ...]
    resting_orders: int
    resting_until: Ts | None
