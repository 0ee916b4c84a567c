"""What `kalshi pause`, `resume` and `stop` print where a format is asked for. Rules as in `rows`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import Prose, Standing
from kalshi_cli.views.row import Row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kalshi_cli.desk.status import Status
    from kalshi_cli.store.records import Halt


def standing(halt: Halt) -> Standing:
    """What a halt is called."""
    return Standing("paused" if halt.is_pause else halt.state.value)


class HaltView(Row, frozen=True, kw_only=True):
    """The trading state as it is now."""

    state: Standing
    paused: bool
    code: str | None
    reason: Prose | None
    since: Ts | None


def halt_view(halt: Halt) -> HaltView:
    return HaltView(
        state=standing(halt),
        paused=halt.is_pause,
        code=halt.code or None,
        reason=Prose(halt.reason) if halt.reason else None,
        since=halt.since or None,
    )


class ResumeView(Row, frozen=True, kw_only=True):
    """The trading state after a resume, with the reason that was given, and what it was before."""

    state: Standing
    code: str
    reason: Prose
    since: Ts
    was: Standing
    was_code: str | None
    was_reason: Prose | None
    was_since: Ts | None


def resume_view(before: Halt, reason: str, now: Ts) -> ResumeView:
    return ResumeView(
        state=Standing("active"),
        code="RESUMED",
        reason=Prose(reason),
        since=now,
        was=standing(before),
        was_code=before.code or None,
        was_reason=Prose(before.reason) if before.reason else None,
        was_since=before.since or None,
    )


class StopView(Row, frozen=True, kw_only=True):
    """Which loops were sent which signal, and have ended; and what may rest all the same, by the state file."""

    signal: str | None
    pids: tuple[int, ...]
    resting_orders: int
    resting_until: Ts | None


def stop_view(stopped: Sequence[int], status: Status) -> StopView:
    return StopView(
        signal="SIGTERM" if stopped else None,
        pids=tuple(stopped),
        resting_orders=status.resting_orders,
        resting_until=status.resting_until,
    )
