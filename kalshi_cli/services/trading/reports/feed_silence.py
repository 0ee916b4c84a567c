"""The words of `kalshi status` about an exchange that sends no messages."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.config.schema import CheckRange
from kalshi_cli.core.monitoring.check_report import Measure, Verdict
from kalshi_cli.views.formats import TradingStateCell
from kalshi_cli.views.runs import StatusView


def with_silence(view: StatusView, bound: CheckRange, now: Ts) -> StatusView:
    """Return an active status whose state says for how long no message came, if that is outside of `bound`.

    The last cycle states the age of the last message. The time since then counts as far as the next cycle is late.
    """
    if view.state != "active" or view.feed_age_s is None or view.last_cycle is None or view.started is None:
        return view
    average_ms = (view.last_cycle - view.started) / max(1, view.cycles or 0)
    age_s = view.feed_age_s + max(0.0, now - view.last_cycle - average_ms) / 1000
    measure = Measure(label="feed_age_s", value=age_s, warn=bound.warn or "", crit=bound.crit or "")
    if measure.verdict is Verdict.OK:
        return view
    return msgspec.structs.replace(view, state=TradingStateCell(f"active, but no message for {age_s:.0f} s"))
