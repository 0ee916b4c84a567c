"""The settings of a run or a backtest that its report keeps, so that two reports can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import get_type_hints

import msgspec

from kalshi_cli.base.units import show_money
from kalshi_cli.base.version import __version__
from kalshi_cli.config.config import Config
from kalshi_cli.config.values import show
from kalshi_cli.core.account.sizing import StrategyAllocation
from kalshi_cli.strategies.registry import fingerprint

OF_ORDERS = ("order_expiry_s", "group_limit")
"""The settings of `trade` that decide which orders are sent."""


def run_settings(config: Config, strategies: Sequence[str], names: Iterable[str], interval_s: float) -> dict[str, str]:
    """Return the version of kalshi, the interval, the checksums of strategy files, and settings that were changed.

    `names` are those of the strategies, whose budget and sizing count. Files have their name without a folder, so that
    the same code has the same text on every machine.
    """
    code = [Path(text).name for text in map(fingerprint, strategies) if text]
    found = {"kalshi": __version__, "interval": f"{interval_s:g}s"}
    if code:
        found["code"] = ", ".join(code)
    found |= {f"risk.{name}": text for name, text in changed(config.risk, config.risk.__struct_fields__)}
    found |= {f"trade.{name}": text for name, text in changed(config.trade, OF_ORDERS)}
    found |= dict(changed(config, ("day_zone",)))
    if config.references != Config().references:
        found["references"] = ", ".join(f"{prefix} {index}" for prefix, index in sorted(config.references.items()))
    for name in sorted({*names} & {*config.allotments}):
        found |= {f"strategies.{name}.{field}": text for field, text in _allotted(config.allotments[name])}
    return found


def changed(section: msgspec.Struct, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield the fields of a section that differ from the default, each with its value as it is written in the file."""
    kinds, default = get_type_hints(type(section), include_extras=True), type(section)()
    for name in names:
        value = getattr(section, name)
        if value != getattr(default, name):
            yield name, "off" if value is None else show(kinds[name], value)


def _allotted(of: StrategyAllocation) -> Iterator[tuple[str, str]]:
    if of.budget is not None:
        yield "budget", show_money(of.budget)
    if of.sizing.kind != "fixed":
        yield "sizing", f"{of.sizing.kind}, fraction {of.sizing.fraction:g}, max_fraction {of.sizing.max_fraction:g}"
