"""Whether the exchange stands still, and whether that was to be expected."""

from __future__ import annotations

from kalshi_cli.base.units import format_ts
from kalshi_cli.core.checks import Breach
from kalshi_cli.core.model import ExchangeStatus
from kalshi_cli.core.surroundings import pause_of, shards

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
        Breach(
            subject=f"shard {shard}", value=f"{_WORDS[code]}{when}{why}", limit="open for trading",
            severity="note" if planned else _SEVERITY[code], code=code,
        )
        for shard in sorted(shards(status))
        if (code := pause_of(status, shard))
    ]  # fmt: skip
