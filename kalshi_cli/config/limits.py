"""Risk limits of a configuration, in the form that the engine reads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import partial
from zoneinfo import ZoneInfo

from kalshi_cli.config.config import Config
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.trading_day import day_start


def limits_of(config: Config) -> RiskLimits:
    """Return the limits from `risk`, `strategies` and `day_zone`, with seconds converted to milliseconds."""
    risk = config.risk
    same = {name: getattr(risk, name) for name in RiskLimits.__struct_fields__ if name in risk.__struct_fields__}
    return RiskLimits(
        **same,
        max_order_qty=risk.max_order_count,
        min_time_to_close_ms=int(risk.min_time_to_close_s * 1000),
        cooldown_after_loss_ms=int(risk.cooldown_after_loss_s * 1000),
        max_book_age_ms=None if risk.max_book_age_s is None else int(risk.max_book_age_s * 1000),
        close_margin_ms=int(risk.close_margin_s * 1000),
        allotments=config.allotments,
        daily_loss_source=_source(config, "risk.max_daily_loss"),
        day_start=partial(day_start, zone=ZoneInfo(config.day_zone)),
    )


def _source(config: Config, path: str) -> str:
    """Return the origin of a setting of a variable or an option; "" for one of the file and for a default."""
    return config.origins[path] if path in limits_of_this_program(config) else ""


def limits_of_this_program(config: Config) -> Mapping[str, object]:
    """Return the limits and ranges that do not come from the file, by path: those of variables and options."""
    return {
        path: getattr(getattr(config, path.split(".")[0]), path.split(".")[1])
        for path, origin in sorted(config.origins.items())
        if path.startswith(("risk.", "checks.")) and not origin.startswith(("file ", "default"))
    }


def digest_of(limits: Mapping[str, object]) -> int:
    """Return a number that identifies the limits, never 0; the state file keeps that of the last loop."""
    return int.from_bytes(hashlib.sha256(repr(dict(limits)).encode()).digest()[:6], "big") + 1
