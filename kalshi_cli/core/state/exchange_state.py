"""Pauses of the exchange, and loss of access to the account: state changes, each with one alert.

While trading is paused cancels still work; while the exchange is paused they are rejected, and are sent again when it
resumes. An announced pause is not an incident.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from kalshi_cli.base.units import Ts, format_ts, pluralize
from kalshi_cli.core.model.effects import AlertRaised, Effect
from kalshi_cli.core.model.exchange import ExchangeStatus
from kalshi_cli.core.model.messages import AccountVisibility, ExchangeChange, Message
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.state import EngineState

SEVERITY = {"EXCHANGE_PAUSED": "critical", "TRADING_PAUSED": "warning"}
"""The severity of a pause that was not announced: in a pause of trading, cancels still work."""

Reactions = dict[type[Message], Callable[[Any], list[Effect]]]


CLOSED_RECHECK_MS = 30_000
"""The delay before a cancel is retried that the exchange currently rejects: in a closed or paused market, whose orders
it cancels itself, or on a paused exchange. The status of the order is polled meanwhile."""


def is_closed(code: str) -> bool:
    """Return whether a cancel was rejected because no cancel is possible there now."""
    return code in ("market_inactive", "exchange_is_paused")


def exchange_reactions(state: EngineState, resumed: Callable[[], None]) -> Reactions:
    """Return the engine's handlers of these messages; `resumed` is called when the exchange resumes."""
    return {
        ExchangeChange: lambda message: _on_exchange(state, message, resumed),
        AccountVisibility: lambda message: _on_sight(state, message),
    }


def pause_of(status: ExchangeStatus | None, shard: int) -> str:
    """Return `EXCHANGE_PAUSED`, `TRADING_PAUSED` or an empty string, for a shard."""
    if status is None:
        return ""
    parts = [part for part in status.shards if part.exchange_index == shard]
    if not (status.exchange_active and all(part.exchange_active for part in parts)):
        return "EXCHANGE_PAUSED"
    return "" if status.trading_active and all(part.trading_active for part in parts) else "TRADING_PAUSED"


def pause_text(status: ExchangeStatus) -> str:
    """Return what is paused now, until when, and what that rejects; empty while everything trades."""
    paused = {shard: pause for shard in sorted(shards(status)) if (pause := pause_of(status, shard))}
    if len(paused) == len(shards(status)) and len(set(paused.values())) == 1:
        return _words(status, next(iter(paused.values())))
    return "; ".join(f"Shard {shard}: {_words(status, pause)}" for shard, pause in paused.items())


def _words(status: ExchangeStatus, pause: str) -> str:
    resume = status.estimated_resume
    when = f"until about {format_ts(resume)}" if resume is not None else "until it resumes"
    if pause == "TRADING_PAUSED":
        return f"Trading is paused {when}: new orders are rejected, cancels still work"
    return f"The exchange is paused {when}: new orders and cancels are rejected until it resumes"


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
    """Return the shards that a status names, or the first shard if it names none."""
    return {part.exchange_index for part in status.shards} if status is not None and status.shards else {0}


def _told(message: ExchangeChange, shard: int, pause: str) -> AlertRaised:
    subject = f"shard {shard}"
    if not pause:
        return AlertRaised(message.ts, "info", "EXCHANGE_RESUMED", subject, "Orders and cancels are accepted again")
    tier = "info" if message.is_announced else SEVERITY[pause]
    return AlertRaised(message.ts, tier, pause, subject, _words(message.status, pause))


def _on_sight(state: EngineState, message: AccountVisibility) -> list[Effect]:
    """Report that the account cannot be read, or that it can be read again."""
    was, state.blind_since = state.blind_since, message.blind_since
    if message.blind_since is not None and was is None:
        since = format_ts(message.blind_since)
        orders = _may_be_live(state.orders.live(), message.ts)
        text = f"The account has been unreadable since {since} ({message.reason}); {orders}"
        return [AlertRaised(message.blind_since, "critical", "BLIND", "account", text)]
    if message.blind_since is None and was is not None:
        text = f"The account can be read again, after {(message.ts - was) // 1000} s"
        return [AlertRaised(message.ts, "info", "SIGHTED", "account", text)]
    return []


def _may_be_live(live: Sequence[Order], now: Ts) -> str:
    """Return how many orders may be resting, as the status counts them, and how many are unconfirmed.

    It says until when at the latest they rest, if each of them expires.
    """
    resting = [order.expires for order in live if order.rests_at(now)]
    unconfirmed = sum(not order.order_id for order in live)
    known = [expires for expires in resting if expires is not None]
    until = f" until {format_ts(max(known))} at the latest" if known and len(known) == len(resting) else ""
    parts = [
        f"{pluralize(len(resting), 'order')} may be resting{until}" if resting else "",
        pluralize(unconfirmed, "unconfirmed order") if unconfirmed else "",
    ]
    said = ", ".join(filter(None, parts))
    return f"{said}: cancel on the web site" if said else "no order is live"
