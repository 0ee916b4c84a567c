"""What is shown before strategies trade with real money."""

from __future__ import annotations

from kalshi_cli.base.units import contracts, dollars
from kalshi_cli.config.config import Config
from kalshi_cli.config.schema import RiskConfig
from kalshi_cli.core.account.sizing import StrategyAllocation
from kalshi_cli.services.trading.reports.briefing import limit_lines


def test_limits_and_budgets_are_named_with_their_values() -> None:
    config = Config(
        risk=RiskConfig(max_exposure=dollars(500), max_position=contracts(100), max_daily_loss=None),
        allotments={"spike": StrategyAllocation(budget=dollars(25))},
    )
    limits, budgets = limit_lines(config, ["spike", "fade"])
    assert "exposure $500.00" in limits
    assert "contracts per market 100" in limits
    assert "daily loss not set" in limits
    assert budgets == "Budgets: spike $25.00, fade not set"
