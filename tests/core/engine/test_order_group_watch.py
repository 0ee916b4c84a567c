"""The order group that every order of a run is in: who fills it in, and what follows when it is triggered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from support.values import NOW, hold_position, make_book, make_engine, make_fill

from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AlertRaised, Effect, OrderGroupStateChanged, OrderRefused, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.messages import Filled, GroupChange, OrderRejected
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus

INTENT = Place("KXA-1", BID, cents(40), contracts(1), fair=cents(60))


@pytest.fixture
def engine() -> TradingEngine:
    made = make_engine()
    made.state.trading = TradingState.ACTIVE
    made.step(make_book())
    made.state.groups[0] = "g0"
    return made


def codes(effects: list[Effect]) -> list[str]:
    return [effect.code for effect in effects if isinstance(effect, AlertRaised)]


def test_an_order_of_a_strategy_joins_the_group_of_its_shard(engine: TradingEngine) -> None:
    sent = engine.place(INTENT, "s")
    assert isinstance(sent, SubmitOrder)
    assert sent.order.order_group_id == "g0"


def test_a_group_that_the_strategy_names_itself_is_kept(engine: TradingEngine) -> None:
    sent = engine.place(msgspec.structs.replace(INTENT, order_group_id="own"), "s")
    assert isinstance(sent, SubmitOrder)
    assert sent.order.order_group_id == "own"


@pytest.mark.parametrize("intent", [INTENT, msgspec.structs.replace(INTENT, subaccount=2)])
def test_an_order_of_a_person_or_of_another_subaccount_joins_none(engine: TradingEngine, intent: Place) -> None:
    sent = engine.place(intent, "s" if intent.subaccount else "")
    assert isinstance(sent, SubmitOrder)
    assert sent.order.order_group_id == ""


def test_a_shard_without_a_group_leaves_the_order_without_one(engine: TradingEngine) -> None:
    engine.state.groups = {3: "g3"}
    sent = engine.place(INTENT, "s")
    assert isinstance(sent, SubmitOrder)
    assert sent.order.order_group_id == ""


def test_a_market_that_is_not_known_is_still_refused_as_such(engine: TradingEngine) -> None:
    refused = engine.place(msgspec.structs.replace(INTENT, ticker="KXNO"), "s")
    assert isinstance(refused, OrderRefused)
    assert refused.code == "UNKNOWN_MARKET"


def test_a_group_that_tripped_takes_no_order_of_the_run_and_is_written_down(engine: TradingEngine) -> None:
    effects = engine.step(GroupChange(Ts(NOW + 1), "g0", "triggered"))
    assert OrderGroupStateChanged("g0", True) in effects
    assert codes(effects) == ["GROUP_TRIGGERED"]
    refused = engine.place(INTENT, "s")
    assert isinstance(refused, OrderRefused)
    assert refused.code == "GROUP_TRIGGERED"


def test_the_alert_has_the_whole_id_and_its_text_the_short_one(engine: TradingEngine) -> None:
    group = "11111111-0000-4000-8000-000000000000"
    [alert, _] = engine.step(GroupChange(Ts(NOW + 1), group, "triggered"))
    assert isinstance(alert, AlertRaised)
    assert alert.subject == group
    assert alert.text.endswith(": kalshi resume --reason TEXT --reset-groups")
    engine.state.groups = {0: group}
    refused = engine.place(INTENT, "s")
    assert isinstance(refused, OrderRefused)
    assert refused.detail == "order group 11111111 is triggered"


def test_a_trigger_told_twice_is_one_alert(engine: TradingEngine) -> None:
    engine.step(GroupChange(Ts(NOW + 1), "g0", "triggered"))
    assert engine.step(GroupChange(Ts(NOW + 2), "g0", "triggered")) == []


def test_a_reset_lets_the_run_go_on_and_is_written_down(engine: TradingEngine) -> None:
    engine.step(GroupChange(Ts(NOW + 1), "g0", "triggered"))
    assert engine.step(GroupChange(Ts(NOW + 2), "g0", "reset")) == [OrderGroupStateChanged("g0", False)]
    assert isinstance(engine.place(INTENT, "s"), SubmitOrder)


def test_a_group_of_the_run_that_somebody_deletes_is_as_good_as_triggered(engine: TradingEngine) -> None:
    effects = engine.step(GroupChange(Ts(NOW + 1), "g0", "deleted"))
    assert codes(effects) == ["GROUP_TRIGGERED"]
    assert isinstance(engine.place(INTENT, "s"), OrderRefused)


def test_a_strange_group_that_is_deleted_is_forgotten(engine: TradingEngine) -> None:
    engine.step(GroupChange(Ts(NOW + 1), "other", "triggered"))
    assert engine.step(GroupChange(Ts(NOW + 2), "other", "deleted")) == [OrderGroupStateChanged("other", False)]
    assert engine.state.triggered_groups == set()


@pytest.mark.parametrize("change", ["created", "limit_updated"])
def test_other_changes_of_a_group_mean_nothing(engine: TradingEngine, change: str) -> None:
    assert engine.step(GroupChange(Ts(NOW + 1), "g0", change)) == []


@pytest.mark.parametrize(
    ("code", "detail"), [("order_group_triggered", ""), ("not_found", "not found: order group"), ("bad", "Order Group")]
)
def test_without_the_stream_a_trigger_is_learned_from_the_first_refusal(
    engine: TradingEngine, code: str, detail: str
) -> None:
    sent = engine.place(INTENT, "s")
    assert isinstance(sent, SubmitOrder)
    effects = engine.step(OrderRejected(Ts(NOW + 1), sent.order.client_order_id, code, detail))
    assert codes(effects) == ["GROUP_TRIGGERED"]
    (alert,) = [each for each in effects if isinstance(each, AlertRaised)]
    assert alert.text.endswith(f". An order was rejected: {code} {detail}".rstrip()), "the text that this rests on"
    assert isinstance(engine.place(INTENT, "s"), OrderRefused)


def test_a_group_that_is_not_found_and_is_not_of_the_run_is_not_triggered(engine: TradingEngine) -> None:
    engine.state.groups = {0: "mistyped"}
    sent = engine.place(INTENT, "s")
    assert isinstance(sent, SubmitOrder)
    engine.state.groups = {0: "g0"}
    name = sent.order.client_order_id
    assert codes(engine.step(OrderRejected(Ts(NOW + 1), name, "not_found", "404 not found: order group"))) == []
    assert engine.state.triggered_groups == set()


@pytest.mark.parametrize(("group", "code"), [("g0", "insufficient_balance"), ("", "order_group_triggered")])
def test_any_other_refusal_says_nothing_of_the_group(engine: TradingEngine, group: str, code: str) -> None:
    engine.state.groups = {0: group} if group else {}
    sent = engine.place(INTENT, "s")
    assert isinstance(sent, SubmitOrder)
    effects = engine.step(OrderRejected(Ts(NOW + 1), sent.order.client_order_id, code, "KXGROUPSTAGE-1"))
    assert codes(effects) == []
    assert engine.state.orders.get(sent.order.client_order_id).status is OrderStatus.REJECTED  # type: ignore[union-attr]


# -- simulated fills, without a group -------------------------------------------------------------------------------


def simulated(limit: int | None = 500, **terms: Any) -> tuple[TradingEngine, Callable[[int, int], list[Effect]]]:
    """Return an engine whose run has no groups, and a fill of its order after milliseconds."""
    made = make_engine()
    made.state.trading = TradingState.ACTIVE
    made.state.simulated_group_limit = None if limit is None else contracts(limit)
    made.step(make_book())
    strategy = terms.pop("strategy", "s")
    if terms.get("reduce_only"):
        hold_position(made.state, qty=contracts(10), side=ASK)
    sent = made.place(msgspec.structs.replace(INTENT, **terms), strategy)
    assert isinstance(sent, SubmitOrder)
    name = sent.order.client_order_id

    def fill(after_ms: int, count: int) -> list[Effect]:
        ts = Ts(NOW + after_ms)
        one = make_fill(f"f{after_ms}", client_order_id=name, order_id="", qty=contracts(count), ts=ts)
        return made.step(Filled(ts, one))

    return made, fill


def test_a_simulated_run_says_once_where_the_exchange_would_have_stopped_it() -> None:
    engine, fill = simulated()
    assert [codes(fill(0, 300)), codes(fill(4_000, 199))] == [[], []]
    [alert] = [effect for effect in fill(4_001, 1) if isinstance(effect, AlertRaised)]
    assert (alert.code, alert.tier, alert.subject) == ("GROUP_LIMIT", "warning", "KXA-1")
    assert alert.text.startswith("500 contracts traded within 15 s, and trade.group_limit is 500: live, ")
    assert codes(fill(5_000, 900)) == []
    assert engine.state.triggered_groups == set(), "the simulation goes on"


def test_contracts_older_than_fifteen_seconds_do_not_count() -> None:
    _, fill = simulated()
    assert [codes(fill(0, 300)), codes(fill(14_999, 199)), codes(fill(15_000, 300))] == [[], [], []]
    assert codes(fill(15_001, 1)) == ["GROUP_LIMIT"]


@pytest.mark.parametrize(
    ("limit", "terms"),
    [
        (None, {}),
        (500, {"strategy": ""}),
        (500, {"subaccount": 2}),
        (500, {"reduce_only": True, "tif": TimeInForce.IOC}),
    ],
)
def test_fills_that_no_group_would_count_are_not_counted(limit: int | None, terms: dict[str, Any]) -> None:
    _, fill = simulated(limit, **terms)
    assert codes(fill(0, 900)) == []
