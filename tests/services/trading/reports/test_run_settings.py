"""The settings that the report of a run or a backtest keeps."""

from __future__ import annotations

import msgspec
import pytest

from kalshi_cli.base.units import dollars
from kalshi_cli.config.config import Config
from kalshi_cli.core.account.sizing import Sizing, StrategyAllocation
from kalshi_cli.services.trading.reports.run_settings import run_settings

KELLY = StrategyAllocation(budget=dollars(3), sizing=Sizing(kind="kelly", fraction=0.5))


def settings_of(config: Config) -> dict[str, str]:
    found = run_settings(config, ["spike"], ["spike"], 2.0)
    assert found.pop("kalshi")
    assert found.pop("interval") == "2s"
    return found


def test_settings_of_the_default_are_left_out() -> None:
    assert settings_of(Config()) == {}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"allotments": {"spike": KELLY, "news": KELLY}}, {
            "strategies.spike.budget": "$3.00",
            "strategies.spike.sizing": "kelly, fraction 0.5, max_fraction 0.05",
        }),
        ({"day_zone": "UTC"}, {"day_zone": "UTC"}),
        ({"references": {"KXB": "X", "KXA": "Y"}}, {"references": "KXA Y, KXB X"}),
        ({"trade": msgspec.structs.replace(Config().trade, group_limit=None, order_expiry_s=30.0, stop_budget_s=9.0)}, {
            "trade.group_limit": "off", "trade.order_expiry_s": "30.0",
        }),
        ({"risk": msgspec.structs.replace(Config().risk, max_spread=None)}, {"risk.max_spread": "off"}),
    ],
)  # fmt: skip
def test_each_setting_that_decides_orders_is_named(changes: dict[str, object], expected: dict[str, str]) -> None:
    assert settings_of(msgspec.structs.replace(Config(), **changes)) == expected
