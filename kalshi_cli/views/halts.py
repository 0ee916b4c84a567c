"""Views of the trading state after `pause`, `resume` and `stop`. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import TradingStateCell, TruncatableText
from kalshi_cli.views.row import OutputRow, names


class HaltView(OutputRow, frozen=True, kw_only=True):
    """The trading state as it is now."""

    state: TradingStateCell
    paused: bool
    code: str | None
    reason: TruncatableText | None
    since: Ts | None

    named = names(state="standing", paused="is_pause")


class ResumeView(OutputRow, frozen=True, kw_only=True):
    """The trading state after a resume, with the reason that was given, and what it was before."""

    state: TradingStateCell
    code: str
    reason: TruncatableText
    since: Ts
    was: TradingStateCell
    was_code: str | None
    was_reason: TruncatableText | None
    was_since: Ts | None

    named = names(was="standing", was_code="code", was_reason="reason", was_since="since")


class StopView(OutputRow, frozen=True, kw_only=True):
    """Which loops were sent which signal, and have ended; and what may rest all the same, by the state file."""

    signal: str | None
    pids: tuple[int, ...]
    resting_orders: int
    resting_until: Ts | None
