"""What is wrong with what a loop hears, and what of it is only the quiet of a pause."""

from __future__ import annotations

import re
from collections.abc import Iterable

from kalshi_cli.base.units import format_ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import ExchangeStatus
from kalshi_cli.core.monitoring.check_report import Breach, breach, critical, note, warning
from kalshi_cli.core.state.exchange_state import pause_of, shards

_NEXT, _MORE = re.compile(r"; (?=\S+: |and \d+ more$)"), re.compile(r"and \d+ more")
_SIGHT = ("BLIND", "SIGHTED")


def without_books(no_book: str) -> tuple[list[Breach], int]:
    """A breach for each market that `Heartbeat.no_book` names, and how many there are with those it does not name."""
    parts = [part for part in _NEXT.split(no_book) if part]
    more = int(parts.pop().split()[1]) if parts and _MORE.fullmatch(parts[-1]) else 0
    breaches = [
        warning("BOOK_MISSING", ticker, reason, "a book that can be believed")
        for ticker, _, reason in (part.partition(": ") for part in parts)
    ]
    return breaches, len(breaches) + more


def account_unreadable_breach(alerts: Iterable[AlertRaised]) -> list[Breach]:
    """That the loop cannot read the account, by what it said last of that."""
    last = max((alert for alert in alerts if alert.code in _SIGHT), key=lambda alert: alert.ts, default=None)
    if last is None or last.code != "BLIND":
        return []
    value = f"since {format_ts(last.ts)}: {last.text}"
    return [critical("BLIND", last.subject, value, "an account that can be read")]


def pause_words(status: ExchangeStatus) -> str:
    """Why it is quiet; "" where it should not be. One shard that goes on is not quiet."""
    pauses = {pause_of(status, shard) for shard in shards(status)}
    return "" if "" in pauses else "the exchange is paused" if "EXCHANGE_PAUSED" in pauses else "trading is paused"


def excused_by_pause(breaches: Iterable[Breach], why: str) -> list[Breach]:
    """The same as notes, where there is a reason for the quiet."""
    if not why:
        return list(breaches)
    return [note(each.code, each.subject, f"{each.value} ({why})", each.limit) for each in breaches]


_SEVERITY = {"EXCHANGE_PAUSED": "critical", "TRADING_PAUSED": "warning"}
_WORDS = {"EXCHANGE_PAUSED": "paused, cancels too", "TRADING_PAUSED": "trading is paused; cancels work"}


def pauses(status: ExchangeStatus, planned: str) -> list[Breach]:
    """A breach for each shard that is paused; a note where it is `planned` (in words; "" where nothing is).

    Codes and subjects are those under which a loop tells of the same pause.
    """
    resume = status.estimated_resume
    when = f", until about {format_ts(resume)}" if resume is not None else ""
    why = f" ({planned})" if planned else ""
    return [
        breach(
            "note" if planned else _SEVERITY[code], code, f"shard {shard}", f"{_WORDS[code]}{when}{why}",
            "open for trading",
        )
        for shard in sorted(shards(status))
        if (code := pause_of(status, shard))
    ]  # fmt: skip
