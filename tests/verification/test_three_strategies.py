"""Three strategies on one account, in the seeded world: none of them starves another."""

from __future__ import annotations

from collections import Counter

import pytest

from kalshi_cli.core.model.effects import Effect, OrderRefused, SubmitOrder
from kalshi_cli.core.risk.controls import NO_FAIR_VALUE
from verification.strategies import session

THREE = ("spike", "market-maker", "crypto-ta")


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[session.Result, list[Effect]]:
    """Three minutes of a world in which spikes come."""
    seen: list[Effect] = []
    played = session._Session(THREE, 3, tmp_path_factory.mktemp("home"))
    try:
        played.store.on_record = lambda effect, _store: seen.append(effect)
        played.play(3.0)
        return played.result(3.0), seen
    finally:
        played.close()


def test_the_exits_of_spike_go_out(played: tuple[session.Result, list[Effect]]) -> None:
    _, seen = played
    assert not [each for each in seen if isinstance(each, OrderRefused) and each.detail == NO_FAIR_VALUE]
    exits = [each.order for each in seen if isinstance(each, SubmitOrder) and each.order.reason == "target"]
    assert {order.strategy for order in exits} == {"spike"}
    assert len(exits) > 5


def test_the_market_maker_trades(played: tuple[session.Result, list[Effect]]) -> None:
    result, _ = played
    assert result.wrong == []
    assert result.fills_of.get("market-maker", 0) > 0


def test_the_order_rate_refuses_nearly_nothing(played: tuple[session.Result, list[Effect]]) -> None:
    _, seen = played
    denied = Counter(each.code for each in seen if isinstance(each, OrderRefused))
    sent = sum(isinstance(each, SubmitOrder) for each in seen)
    assert denied["ORDER_RATE"] + denied["MARKET_RATE"] < sent / 20, (denied, sent)
