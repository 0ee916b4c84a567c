"""Pauses of the exchange and of a shard, and an account out of sight: what the state says, and who is told what."""

from __future__ import annotations

import pytest
from support.values import make_order

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.exchange import ExchangeStatus, ShardStatus
from kalshi_cli.core.model.messages import AccountVisibility, ExchangeChange
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.exchange_state import exchange_reactions, is_closed, pause_of, pause_text
from kalshi_cli.core.state.state import EngineState

NOW = Ts(1_780_000_000_000)
UP = ExchangeStatus(exchange_active=True, trading_active=True)


def shards(*states: tuple[bool, bool]) -> ExchangeStatus:
    parts = tuple(
        ShardStatus(exchange_index=n, description="", exchange_active=a, trading_active=t, transfers_active=True)
        for n, (a, t) in enumerate(states)
    )
    return ExchangeStatus(exchange_active=True, trading_active=True, shards=parts)


@pytest.mark.parametrize(
    ("status", "pauses"),
    [
        (None, ("", "")),
        (UP, ("", "")),
        (ExchangeStatus(exchange_active=True, trading_active=False), ("TRADING_PAUSED", "TRADING_PAUSED")),
        (ExchangeStatus(exchange_active=False, trading_active=False), ("EXCHANGE_PAUSED", "EXCHANGE_PAUSED")),
        (shards((True, True), (True, False)), ("", "TRADING_PAUSED")),
        (shards((False, True), (True, True)), ("EXCHANGE_PAUSED", "")),
    ],
)
def test_a_shard_is_paused_where_it_is_or_everything_is(status: ExchangeStatus | None, pauses: tuple[str, str]) -> None:
    assert (pause_of(status, 0), pause_of(status, 1)) == pauses


def test_each_change_is_told_once_for_each_shard_and_cancels_are_asked_for_again_on_resumption() -> None:
    state, resumed = EngineState(now=NOW), []
    react = exchange_reactions(state, lambda: resumed.append(True))[ExchangeChange]
    told: list[AlertRaised] = []
    for status in (shards((True, True), (False, True)), shards((True, True), (False, True)), shards((True, True)), UP):
        told += [effect for effect in react(ExchangeChange(NOW, status)) if isinstance(effect, AlertRaised)]
    assert [(alert.code, alert.subject, alert.tier) for alert in told] == [
        ("EXCHANGE_PAUSED", "shard 1", "critical"),
        ("EXCHANGE_RESUMED", "shard 1", "info"),
    ]
    assert resumed == [True]
    assert state.exchange == UP


def test_a_pause_says_until_when_if_the_exchange_does_and_an_announced_one_is_no_incident() -> None:
    react = exchange_reactions(EngineState(now=NOW), lambda: None)[ExchangeChange]
    status = ExchangeStatus(exchange_active=True, trading_active=False, estimated_resume=Ts(NOW + 60_000))
    (alert,) = react(ExchangeChange(NOW, status, is_announced=True))
    assert isinstance(alert, AlertRaised)
    assert (alert.tier, "until about 2026-05-28T20:27:40Z" in alert.text) == ("info", True)


def test_out_of_sight_is_told_once_and_so_is_its_end() -> None:
    state = EngineState(now=NOW)
    react = exchange_reactions(state, lambda: None)[AccountVisibility]
    blind = Ts(NOW - 15_000)
    told = [*react(AccountVisibility(NOW, blind, "timeout")), *react(AccountVisibility(Ts(NOW + 1), blind, "timeout"))]
    assert [(alert.code, alert.ts) for alert in told if isinstance(alert, AlertRaised)] == [("BLIND", blind)]
    assert state.blind_since == blind
    (over,) = react(AccountVisibility(Ts(NOW + 45_000), None))
    assert isinstance(over, AlertRaised)
    assert (over.code, "after 60 s" in over.text, state.blind_since) == ("SIGHTED", True, None)


def test_out_of_sight_says_until_when_own_orders_may_be_live_at_the_latest() -> None:
    def said(*expirations: Ts | None, unconfirmed: int = 0) -> str:
        state = EngineState(now=NOW)
        for number in range(unconfirmed):
            state.orders.add(make_order(client_order_id=f"u{number}", status=OrderStatus.UNKNOWN))
        for number, expires in enumerate(expirations):
            state.orders.add(make_order(client_order_id=f"o{number}", order_id=f"x{number}", expires=expires))
        (alert,) = exchange_reactions(state, lambda: None)[AccountVisibility](AccountVisibility(NOW, NOW, "timeout"))
        assert isinstance(alert, AlertRaised)
        return alert.text.split("; ")[1]

    assert said() == "no order is live"
    until = "2 orders may be resting until 2026-05-28T20:27:40Z at the latest: cancel on the web site"
    assert said(Ts(NOW + 60_000), Ts(NOW + 5_000)) == until
    assert said(Ts(NOW + 60_000), Ts(NOW + 5_000), Ts(NOW - 1)) == until, "`status` does not count an expired order"
    assert said(Ts(NOW + 60_000), None) == "2 orders may be resting: cancel on the web site"
    assert said(None, unconfirmed=1) == "1 order may be resting, 1 unconfirmed order: cancel on the web site"
    assert said(unconfirmed=2) == "2 unconfirmed orders: cancel on the web site"


@pytest.mark.parametrize(("code", "expected"), [("market_inactive", True), ("exchange_is_paused", True), ("x", False)])
def test_what_nobody_can_cancel_now_is_not_asked_for_again_and_again(code: str, expected: bool) -> None:
    assert is_closed(code) is expected


def test_a_pause_is_one_sentence_that_names_shards_only_where_they_differ() -> None:
    assert pause_text(UP) == ""
    everything = ExchangeStatus(exchange_active=False, trading_active=False, estimated_resume=Ts(NOW + 60_000))
    assert pause_text(everything).startswith("The exchange is paused until about 2026-05-28T20:27:40Z: new orders and")
    assert pause_text(shards((True, False), (True, False))).startswith("Trading is paused until it resumes")
    assert pause_text(shards((True, True), (True, False))).startswith("Shard 1: Trading is paused")
