"""Problems of the data feed, and those that a pause of the exchange excuses."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kalshi_cli.base.units import format_ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import ExchangeStatus
from kalshi_cli.core.monitoring.check_report import Breach, breach, critical, note, warning
from kalshi_cli.core.state.exchange_state import SEVERITY, pause_of, shards

_NEXT, _MORE = re.compile(r"; (?=\S+: |and \d+ more$)"), re.compile(r"and \d+ more")
_SIGHT = ("BLIND", "SIGHTED")


def without_books(no_book: str) -> tuple[list[Breach], int]:
    """Return a breach for each market in `Heartbeat.no_book`, and the count including unnamed markets."""
    parts = [part for part in _NEXT.split(no_book) if part]
    more = int(parts.pop().split()[1]) if parts and _MORE.fullmatch(parts[-1]) else 0
    breaches = [
        warning("BOOK_MISSING", ticker, reason, "a reliable order book")
        for ticker, _, reason in (part.partition(": ") for part in parts)
    ]
    return breaches, len(breaches) + more


def account_unreadable_breach(alerts: Iterable[AlertRaised]) -> list[Breach]:
    """Return a breach if the last alert says that the account cannot be read."""
    last = max((alert for alert in alerts if alert.code in _SIGHT), key=lambda alert: alert.ts, default=None)
    if last is None or last.code != "BLIND":
        return []
    return [critical("BLIND", last.subject, last.text, "an account that can be read")]


def pause_words(status: ExchangeStatus) -> str:
    """Return the reason for a quiet feed, empty if at least one shard is open."""
    pauses = {pause_of(status, shard) for shard in shards(status)}
    return "" if "" in pauses else "the exchange is paused" if "EXCHANGE_PAUSED" in pauses else "trading is paused"


def excused_by_pause(breaches: Iterable[Breach], why: str) -> list[Breach]:
    """Return the breaches as notes if there is a reason for a quiet feed."""
    if not why:
        return list(breaches)
    return [note(each.code, each.subject, f"{each.value} ({why})", each.limit) for each in breaches]


_WORDS = {"EXCHANGE_PAUSED": "paused, cancels are rejected too", "TRADING_PAUSED": "trading paused; cancels work"}


def pauses(status: ExchangeStatus, planned: str) -> list[Breach]:
    """Return a breach for each paused shard, or a note if the pause is `planned` (its description, or empty).

    Codes, subjects and severities equal those of a loop's alerts about the same pause.
    """
    resume = status.estimated_resume
    when = f", until about {format_ts(resume)}" if resume is not None else ""
    why = f" ({planned})" if planned else ""
    return [
        breach(
            "note" if planned else SEVERITY[code], code, f"shard {shard}", f"{_WORDS[code]}{when}{why}",
            "open for trading",
        )
        for shard in sorted(shards(status))
        if (code := pause_of(status, shard))
    ]  # fmt: skip
