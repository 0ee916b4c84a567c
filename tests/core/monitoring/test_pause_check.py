"""Which pauses are an incident: a pause of all, of one shard, with and without a plan."""

from __future__ import annotations

from typing import Any

import pytest

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import ExchangeStatus, ShardStatus
from kalshi_cli.core.model.messages import ExchangeChange
from kalshi_cli.core.monitoring.feed_check import pauses
from kalshi_cli.core.state.exchange_state import exchange_reactions
from kalshi_cli.core.state.state import EngineState

NOW = Ts(1_767_225_600_000)


def status(*shards: tuple[bool, bool], exchange: bool = True, trading: bool = True, **more: Any) -> ExchangeStatus:
    """The whole, and shards as (exchange is active, trading is active)."""
    parts = tuple(
        ShardStatus(
            exchange_index=at, description="", exchange_active=active, trading_active=trades, transfers_active=True
        )
        for at, (active, trades) in enumerate(shards)
    )
    return ExchangeStatus(exchange_active=exchange, trading_active=trading, shards=parts, **more)


def found(of: ExchangeStatus, planned: str = "") -> list[tuple[str, str, str]]:
    return [(breach.subject, breach.severity, breach.code) for breach in pauses(of, planned)]


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (status(), []),
        (status((True, True), (True, True)), []),
        (status(trading=False), [("shard 0", "warning", "TRADING_PAUSED")]),
        (status(exchange=False, trading=False), [("shard 0", "critical", "EXCHANGE_PAUSED")]),
        (status((True, True), (True, False)), [("shard 1", "warning", "TRADING_PAUSED")]),
        (status((False, False), (True, True)), [("shard 0", "critical", "EXCHANGE_PAUSED")]),
    ],
)
def test_what_takes_no_cancels_is_critical_and_what_takes_no_orders_a_warning(
    of: ExchangeStatus, expected: list[tuple[str, str, str]]
) -> None:
    assert found(of) == expected
    assert [severity for _, severity, _ in found(of, "weekly maintenance")] == ["note"] * len(expected)


def test_a_loop_and_the_check_give_a_pause_the_same_severity() -> None:
    for of in (status(trading=False), status(exchange=False, trading=False), status((True, True), (True, False))):
        told = exchange_reactions(EngineState(now=NOW), lambda: None)[ExchangeChange](ExchangeChange(NOW, of))
        said = [(each.subject, each.tier, each.code) for each in told if isinstance(each, AlertRaised)]
        assert said == found(of)


def test_a_pause_says_until_when_and_why_where_that_is_known() -> None:
    resumes = Ts(1_767_225_600_000)
    (breach,) = pauses(status(trading=False, estimated_resume=resumes), "weekly maintenance")
    assert breach.value == "trading paused; cancels work, until about 2026-01-01T00:00:00Z (weekly maintenance)"
    (bare,) = pauses(status(trading=False), "")
    assert bare.value == "trading paused; cancels work"
