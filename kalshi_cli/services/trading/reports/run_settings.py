"""The settings of a run or a backtest that its report keeps, so that two reports can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_type_hints

from kalshi_cli.base.version import __version__
from kalshi_cli.config.config import Config
from kalshi_cli.config.schema import RiskConfig
from kalshi_cli.config.values import show
from kalshi_cli.strategies.registry import fingerprint


def run_settings(config: Config, strategies: Sequence[str], interval_s: float) -> dict[str, str]:
    """Return the version of kalshi, the interval, the checksums of strategy files, and limits that were changed.

    Files have their name without a folder, so that the same code has the same text on every machine.
    """
    code = [Path(text).name for text in map(fingerprint, strategies) if text]
    kinds, default = get_type_hints(RiskConfig, include_extras=True), RiskConfig()
    limits = {name: getattr(config.risk, name) for name in RiskConfig.__struct_fields__}
    return {
        "kalshi": __version__,
        "interval": f"{interval_s:g}s",
        **({"code": ", ".join(code)} if code else {}),
        **{
            f"risk.{name}": "off" if value is None else show(kinds[name], value)
            for name, value in limits.items()
            if value != getattr(default, name)
        },
    }
