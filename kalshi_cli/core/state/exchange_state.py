"""Whether the exchange works and can be read: what the venue noticed becomes state, and somebody is told once.

Two kinds of pause. While trading is paused cancels work, so nothing that rests is lost sight of; while the exchange is
paused not even they do, and each is asked for again when it resumes. A pause that was announced is no incident.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kalshi_cli.base.units import format_ts
from kalshi_cli.core.model.effects import AlertRaised, Effect
from kalshi_cli.core.model.exchange import ExchangeStatus
from kalshi_cli.core.model.messages import AccountVisibility, ExchangeChange, Message
from kalshi_cli.core.state.state import EngineState

Reactions = dict[type[Message], Callable[[Any], list[Effect]]]


CLOSED_RECHECK_MS = 30_000
"""How long a cancel waits that the exchange takes from nobody: of a market that is closed or paused, whose orders it
cancels itself, or of an exchange that is paused. What became of the order is polled meanwhile."""


def is_closed(code: str) -> bool:
    """Whether a cancel was refused because nobody can cancel there now."""
    return code in ("market_inactive", "exchange_is_paused")


def exchange_reactions(state: EngineState, resumed: Callable[[], None]) -> Reactions:
    """How the engine answers these messages; `resumed` is called when the exchange goes on."""
    return {
        ExchangeChange: lambda message: _on_exchange(state, message, resumed),
        AccountVisibility: lambda message: _on_sight(state, message),
    }


def pause_of(status: ExchangeStatus | None, shard: int) -> str:
    """`EXCHANGE_PAUSED`, `TRADING_PAUSED`, or empty: of the whole exchange, or of this shard of it."""
    if status is None:
        return ""
    parts = [part for part in status.shards if part.exchange_index == shard]
    if not (status.exchange_active and all(part.exchange_active for part in parts)):
        return "EXCHANGE_PAUSED"
    return "" if status.trading_active and all(part.trading_active for part in parts) else "TRADING_PAUSED"


def _on_exchange(state: EngineState, message: ExchangeChange, resumed: Callable[[], None]) -> list[Effect]:
    was, state.exchange = state.exchange, message.status
    effects: list[Effect] = []
    for shard in shards(was) | shards(message.status):
        before, now = pause_of(was, shard), pause_of(message.status, shard)
        if before != now:
            effects.append(_told(message, shard, now))
        if before and not now:
            resumed()
    return effects


def shards(status: ExchangeStatus | None) -> set[int]:
    """Those that it speaks of; one that speaks of none speaks of the first."""
    return {part.exchange_index for part in status.shards} if status is not None and status.shards else {0}


def _told(message: ExchangeChange, shard: int, pause: str) -> AlertRaised:
    subject = f"shard {shard}"
    if not pause:
        return AlertRaised(message.ts, "info", "EXCHANGE_RESUMED", subject, "orders and cancels are taken again")
    resume = message.status.estimated_resume
    when = f"until about {format_ts(resume)}" if resume is not None else "until it resumes"
    text = {
        "TRADING_PAUSED": f"trading is paused {when}: no new orders; cancels still work",
        "EXCHANGE_PAUSED": f"the exchange is paused {when}: no new orders, and no cancel is taken before it resumes",
    }[pause]
    return AlertRaised(message.ts, "info" if message.is_announced else "critical", pause, subject, text)


def _on_sight(state: EngineState, message: AccountVisibility) -> list[Effect]:
    """The account cannot be read, for so long that somebody must know; or it can again."""
    was, state.blind_since = state.blind_since, message.blind_since
    if message.blind_since is not None and was is None:
        live = len(state.orders.live())
        text = f"it cannot be read since {format_ts(message.blind_since)} ({message.reason}); {live} orders may be live"
        text += "; on the web site they can be canceled"
        return [AlertRaised(message.blind_since, "critical", "BLIND", "account", text)]
    if message.blind_since is None and was is not None:
        text = f"it can be read again, after {(message.ts - was) // 1000} s"
        return [AlertRaised(message.ts, "info", "SIGHTED", "account", text)]
    return []
