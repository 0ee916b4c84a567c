"""Views of locked markets. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow


class LockRow(OutputRow, frozen=True, kw_only=True):
    """A market in which no position can be opened `until` then, with the time and the reason of the lock."""

    ticker: str
    until: Ts
    since: Ts
    reason: TruncatableText
