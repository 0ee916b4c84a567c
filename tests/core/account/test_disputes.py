"""F77: what the exchange's own records say of orders of which a reply said something false."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.values import NOW, make_balance, make_book, make_fill, make_order, make_state

from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.account.reconciliation import NEVER_ARRIVED_MARGIN_MS, disputes
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AlertRaised, Effect, OrderChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.messages import (
    AccountSnapshot,
    Filled,
    OrderAccepted,
    OrderCanceled,
    OrderRepaired,
    OrderState,
    OrderUnknown,
)
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.monitoring.order_check import Resting, differing
from kalshi_cli.core.state.limits import RiskLimits

FRESH = Ts(NOW + NEVER_ARRIVED_MARGIN_MS + 1)
FALSE, TRUE = "false-id", "true-id"


@pytest.fixture
def engine() -> TradingEngine:
    ids = iter(f"own{n}" for n in range(1, 100))
    engine = TradingEngine(make_state(), RiskLimits(min_edge=None), (), new_id=lambda: next(ids), order_expiry_s=None)
    engine.step(make_book())
    return engine


def place(engine: TradingEngine, lasts_s: float = 0) -> Order:
    verdict = engine.place(Place("KXA-1", BID, cents(40), contracts(10), expires_in_s=lasts_s), "fade")
    assert isinstance(verdict, SubmitOrder), verdict
    return verdict.order


def acknowledged(
    engine: TradingEngine, order_id: str = FALSE, filled: int = 0, left: int = 10, *, lasts_s: float = 0
) -> Order:
    order = place(engine, lasts_s)
    engine.step(OrderAccepted(NOW, order.client_order_id, order_id, contracts(filled), contracts(left)))
    return ours(engine, order.client_order_id)


def ours(engine: TradingEngine, name: str = "own1") -> Order:
    found = engine.state.orders.get(name)
    assert found is not None
    return found


def record(order_id: str = TRUE, name: str = "own1", **changes: Any) -> Order:
    return make_order(name, order_id=order_id, **changes)


def read(*orders: Order, as_of: int = FRESH, **fields: Any) -> AccountSnapshot:
    parts: dict[str, Any] = {"fills": (), "settlements": (), "positions": (), "balance": make_balance()}
    return AccountSnapshot(Ts(FRESH + 1), as_of=Ts(as_of), since=Ts(0), orders=orders, **(parts | fields))


def repairs(effects: list[Effect]) -> list[str]:
    return [effect.repaired for effect in effects if isinstance(effect, OrderChanged) and effect.repaired]


def codes(effects: list[Effect]) -> list[str]:
    return [effect.code for effect in effects if isinstance(effect, AlertRaised)]


def test_a_false_id_is_repaired_by_a_fresh_read_and_both_count_until_then(engine: TradingEngine) -> None:
    acknowledged(engine)
    effects = engine.step(read(record(), as_of=FRESH - 1))
    assert (repairs(effects), codes(effects)) == ([], [])
    assert [order.order_id for order in engine.disputed] == [FALSE]
    assert engine.state.orders.worst_case("KXA-1") == (contracts(20), 0)
    assert [effect for effect in effects if isinstance(effect, OrderChanged)] == [], "which of the two is not known"
    effects = engine.step(read(record()))
    assert repairs(effects) == [f"the order id was {FALSE}, is {TRUE}"]
    assert codes(effects) == ["ORDER_REPAIRED"]
    assert engine.disputed == ()
    assert engine.state.orders.worst_case("KXA-1") == (contracts(10), 0)
    assert (ours(engine).order_id, ours(engine).strategy, ours(engine).is_foreign) == (TRUE, "fade", False)
    assert engine.state.orders.by_order_id(FALSE) is None
    assert engine.state.trading is TradingState.ACTIVE
    assert repairs(engine.step(read(record()))) == []


@pytest.mark.parametrize("is_met_first", [True, False])
def test_fills_under_the_true_id_are_attached_and_credited(engine: TradingEngine, is_met_first: bool) -> None:
    acknowledged(engine, filled=10, left=0)
    over = record(status=OrderStatus.FILLED, filled=contracts(10))
    if is_met_first:
        engine.step(OrderState(NOW, over))
    fill = make_fill("t1", order_id=TRUE, client_order_id="", qty=contracts(10))
    effects = engine.step(read(over, fills=(fill,)))
    assert repairs(effects) == [f"the order id was {FALSE}, is {TRUE}"]
    assert engine.state.orders.untold() == []
    assert (ours(engine).filled, ours(engine).status) == (contracts(10), OrderStatus.FILLED)
    assert engine.state.by_strategy["fade"].position("KXA-1").qty == contracts(10)


@pytest.mark.parametrize(("status", "left"), [(OrderStatus.RESTING, 10), (OrderStatus.CANCELED, 0)])
def test_a_false_fill_count_is_lowered(engine: TradingEngine, status: OrderStatus, left: int) -> None:
    acknowledged(engine, TRUE, filled=10, left=0)
    reduced = contracts(10 - left)
    effects = engine.step(read(record(status=status, reduced=reduced)))
    assert repairs(effects)[0].startswith("filled was 10, is 0")
    assert (ours(engine).filled, ours(engine).status, ours(engine).remaining) == (0, status, contracts(left))
    assert engine.state.orders.untold() == []
    assert engine.disputed == ()


def test_a_fill_count_that_its_fills_or_the_record_explain_is_left(engine: TradingEngine) -> None:
    acknowledged(engine, TRUE, filled=10, left=0)
    engine.step(Filled(NOW, make_fill("t1", order_id=TRUE, qty=contracts(10))))
    effects = engine.step(read(record()))
    assert (repairs(effects), codes(effects)) == ([], []), "a repair would change nothing, and be told at each read"
    assert ours(engine).filled == contracts(10)


def test_an_order_that_a_reply_ended_and_that_rests_comes_back(engine: TradingEngine) -> None:
    acknowledged(engine, TRUE)
    engine.step(OrderCanceled(NOW, TRUE, "own1"))
    assert engine.state.orders.live() == []
    effects = engine.step(read(record()))
    assert repairs(effects) == ["remaining was 0, is 10, status was canceled, is resting"]
    assert engine.state.orders.live() == [ours(engine)]
    empty = record(reduced=contracts(10))
    engine.step(OrderCanceled(NOW, TRUE, "own1"))
    assert repairs(engine.step(read(empty))) == [], "nothing of it can trade"


def test_terms_that_a_reply_dated_later_are_repaired(engine: TradingEngine) -> None:
    acknowledged(engine, TRUE)
    engine.step(OrderState(NOW, record(reduced=contracts(7), updated=Ts(NOW + 1))))
    assert ours(engine).remaining == contracts(3)
    late = read(record(updated=Ts(NOW - 1)), as_of=FRESH + 1)
    assert repairs(engine.step(late)) == ["remaining was 3, is 10"]
    assert repairs(engine.step(late)) == []


def test_an_order_that_the_exchange_never_had_is_in_doubt_and_then_ended(engine: TradingEngine) -> None:
    acknowledged(engine, lasts_s=10)
    (text,) = repairs(engine.step(read()))
    assert text == f"the order id was {FALSE}, is none, status was resting, is unknown"
    assert engine.state.orders.worst_case("KXA-1") == (contracts(10), 0)
    engine.step(read())
    assert ours(engine).status is OrderStatus.NEVER_ARRIVED
    assert engine.state.orders.live() == []


@pytest.mark.parametrize("lasts_s", [0, 3_600])
def test_an_acknowledged_order_that_may_rest_is_not_ended_because_a_list_lacks_it(
    engine: TradingEngine, lasts_s: float
) -> None:
    acknowledged(engine, lasts_s=lasts_s)
    assert repairs(engine.step(read())) == []
    assert [order.client_order_id for order in engine.disputed] == ["own1"]
    assert (ours(engine).order_id, ours(engine).status) == (FALSE, OrderStatus.RESTING)


def test_an_order_of_which_the_same_read_has_a_fill_was_there(engine: TradingEngine) -> None:
    acknowledged(engine, TRUE, lasts_s=10)
    fill = make_fill("t1", order_id=TRUE, qty=contracts(10))
    assert repairs(engine.step(read(fills=(fill,)))) == []
    assert (ours(engine).order_id, ours(engine).filled) == (TRUE, contracts(10))


def test_a_record_under_our_id_of_another_market_or_side_is_not_the_order(engine: TradingEngine) -> None:
    acknowledged(engine, lasts_s=10)
    (text,) = repairs(engine.step(read(record(side=ASK))))
    assert "is none" in text


def test_an_id_that_the_exchange_gives_to_another_order_is_repaired_at_once(engine: TradingEngine) -> None:
    """F21: nothing has to be waited for, since the exchange itself says whose id it is."""
    acknowledged(engine)
    theirs = record(FALSE, "somebody", side=ASK, price=cents(60))
    effects = engine.step(read(theirs, record(), as_of=NOW))
    assert repairs(effects) == [f"the order id was {FALSE}, is {TRUE}"]
    met = engine.state.orders.by_order_id(FALSE)
    assert met is not None
    assert (met.is_foreign, met.side) == (True, ASK)
    assert (ours(engine).side, ours(engine).price) == (BID, cents(40))


def names_on_file(effects: list[Effect]) -> list[tuple[str, str]]:
    return [(each.order.client_order_id, each.order.order_id) for each in effects if isinstance(each, OrderChanged)]


@pytest.mark.parametrize("is_a_read", [True, False])
def test_one_false_record_that_renames_our_order_is_undone_by_the_next_true_one(
    engine: TradingEngine, is_a_read: bool
) -> None:
    """Otherwise it stays without id, and nothing but its expiry or the kill switch ends it."""
    acknowledged(engine, TRUE)
    true, false = record(), record(TRUE, "somebody", side=ASK)
    engine.step(OrderState(NOW, true))
    effects = engine.step(read(false) if is_a_read else OrderState(NOW, false))
    assert f"the order id was {TRUE}, is none, status was resting, is unknown" in repairs(effects)
    assert set(names_on_file(effects)) == {("own1", ""), ("somebody", TRUE)}
    assert len(engine.state.orders.live()) == 2, "both count until it is known"
    effects = engine.step(read(true) if is_a_read else OrderState(NOW, true))
    assert f"the order id was none, is {TRUE}, status was unknown, is resting" in repairs(effects)
    assert codes(effects) == ["ORDER_REPAIRED"]
    assert engine.state.orders.live() == [ours(engine)]
    assert (ours(engine).order_id, ours(engine).side, ours(engine).strategy) == (TRUE, BID, "fade")
    assert engine.state.orders.get("somebody") is None
    assert repairs(engine.step(read(true))) == []


def test_an_order_met_under_our_id_while_ours_had_a_false_one_is_ours(engine: TradingEngine) -> None:
    acknowledged(engine, FALSE)
    engine.step(OrderState(NOW, record()))
    engine.step(Filled(NOW, make_fill("t1", order_id=TRUE, client_order_id="", qty=contracts(4))))
    engine.step(OrderState(NOW, record(FALSE, "somebody", side=ASK)))
    effects = engine.step(OrderState(NOW, record(filled=contracts(4))))
    assert (ours(engine).order_id, ours(engine).filled, ours(engine).is_foreign) == (TRUE, contracts(4), False)
    assert engine.state.by_strategy["fade"].position("KXA-1").qty == contracts(4)
    assert ("own1", TRUE) in names_on_file(effects)


def test_an_order_of_the_other_side_under_the_id_of_one_in_doubt_is_no_answer(engine: TradingEngine) -> None:
    order = place(engine)
    engine.step(OrderUnknown(NOW, order.client_order_id, "timeout"))
    engine.step(OrderState(NOW, record("o2", side=ASK)))
    effects = engine.step(OrderState(NOW, record("o3", side=ASK)))
    assert codes(effects) == ["ID_CLASH"]
    assert (ours(engine).order_id, ours(engine).status) == ("", OrderStatus.UNKNOWN)


def test_a_message_about_another_order_does_not_change_ours(engine: TradingEngine) -> None:
    acknowledged(engine)
    engine.step(Filled(NOW, make_fill("t1", order_id=FALSE, client_order_id="", side=ASK, qty=contracts(1))))
    engine.step(OrderState(NOW, record(FALSE, "somebody", side=ASK, filled=contracts(1))))
    assert (ours(engine).order_id, ours(engine).status, ours(engine).filled) == ("", OrderStatus.UNKNOWN, 0)
    met = engine.state.orders.by_order_id(FALSE)
    assert met is not None
    assert met.filled == contracts(1)


def test_a_reply_with_the_id_of_an_order_that_we_know_is_no_acknowledgement(engine: TradingEngine) -> None:
    acknowledged(engine, TRUE)
    acknowledged(engine, TRUE)
    assert (ours(engine, "own2").order_id, ours(engine, "own2").status) == ("", OrderStatus.UNKNOWN)
    assert ours(engine).order_id == TRUE


def test_a_record_that_is_another_order_of_ours_repairs_nothing(engine: TradingEngine) -> None:
    first, second = acknowledged(engine, FALSE), acknowledged(engine, TRUE)
    assert engine.step(OrderRepaired(NOW, first, record(name=""))) == []
    gone = msgspec.structs.replace(second, order_id="before")
    assert engine.step(OrderRepaired(NOW, gone, None)) == [], "it is known otherwise by now"
    assert engine.step(OrderRepaired(NOW, msgspec.structs.replace(gone, client_order_id="nobody"), None)) == []


@pytest.mark.parametrize("is_reversed", [False, True])
def test_two_orders_whose_ids_were_swapped_by_replies_get_their_own(engine: TradingEngine, is_reversed: bool) -> None:
    acknowledged(engine, FALSE), acknowledged(engine, TRUE)
    records = [record(TRUE, "own1"), record(FALSE, "own2")]
    effects = engine.step(read(*(reversed(records) if is_reversed else records)))
    assert (ours(engine, "own1").order_id, ours(engine, "own2").order_id) == (TRUE, FALSE)
    assert {ours(engine, name).status for name in ("own1", "own2")} == {OrderStatus.RESTING}
    assert engine.state.orders.worst_case("KXA-1") == (contracts(20), 0)
    written = {effect.order.client_order_id: effect.order for effect in effects if isinstance(effect, OrderChanged)}
    assert (written["own1"].order_id, written["own2"].order_id) == (TRUE, FALSE)
    assert engine.disputed == ()


def test_a_file_with_one_id_for_two_orders_is_loaded_with_one_of_them_in_doubt(engine: TradingEngine) -> None:
    """kill -9 between two repairs leaves it so."""
    twins = [record(TRUE, "own1", created=Ts(NOW - 2)), record(TRUE, "own2", created=Ts(NOW - 1))]
    engine.recall(twins, ())
    assert (ours(engine, "own1").order_id, ours(engine, "own2").order_id) == (TRUE, "")
    assert ours(engine, "own2").status is OrderStatus.UNKNOWN
    engine.step(read(record(FALSE, "own1"), record(TRUE, "own2")))
    assert (ours(engine, "own1").order_id, ours(engine, "own2").order_id) == (FALSE, TRUE)


@pytest.mark.parametrize("lasts_s", [0, 10])
def test_an_order_that_was_shown_is_never_ended_by_a_list_that_lacks_it(engine: TradingEngine, lasts_s: float) -> None:
    """Not even after its expiry: the exchange had it, so that it may have traded, and only its record says how far."""
    expires = acknowledged(engine, lasts_s=lasts_s).expires
    engine.step(OrderState(NOW, record(FALSE, expires=expires)))
    assert repairs(engine.step(read())) == []
    assert engine.disputed == ()
    assert engine.state.orders.worst_case("KXA-1") == (contracts(10), 0)


def test_orders_of_others_in_doubt_or_being_amended_are_no_dispute(engine: TradingEngine) -> None:
    engine.step(OrderState(NOW, make_order("web", order_id="f1")))
    order = place(engine)
    engine.step(OrderUnknown(NOW, order.client_order_id, "timeout"))
    assert list(disputes(engine.state.orders, read(make_order("web", order_id="f2")))) == []


# -- two orders of one intent -----------------------------------------------------------------------------------------


def test_a_second_order_halts_once_the_exchange_has_shown_the_first(engine: TradingEngine) -> None:
    """Until then the id in the reply may be false; and the second is on file only once that is known."""
    acknowledged(engine, "o1")
    second = record("o2")
    effects = engine.step(OrderState(NOW, second))
    assert (codes(effects), [e for e in effects if isinstance(e, OrderChanged)]) == ([], [])
    effects = engine.step(OrderState(NOW, record("o1")))
    assert codes(effects) == ["DOUBLE_ORDER"]
    assert "o2" in [effect.order.order_id for effect in effects if isinstance(effect, OrderChanged)]
    assert engine.state.trading is TradingState.HALTED
    assert codes(engine.step(OrderState(NOW, second))) == []


def test_second_orders_that_are_kept_in_mind_are_limited(
    engine: TradingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kalshi_cli.core.risk.guards.MAX_WATCHED", 1)
    acknowledged(engine, "o1")
    for order_id in ("o2", "o3"):
        engine.step(OrderState(NOW, record(order_id)))
    effects = engine.step(OrderState(NOW, record("o1")))
    assert [effect.subject for effect in effects if isinstance(effect, AlertRaised)] == ["o3"]


# -- the check ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({"order_id": FALSE}, "is stored, but is order true-id"),
        ({"filled": contracts(10), "status": OrderStatus.FILLED}, "has 10 filled in the state file, 0 on the exchange"),
        (
            {"status": OrderStatus.CANCELED, "reduced": contracts(10)},
            "is canceled in the state file, but rests on the exchange",
        ),
        ({}, ""),
        ({"order_id": ""}, ""),
        ({"status": OrderStatus.FILLED, "qty": contracts(5)}, ""),
        ({"order_id": FALSE, "is_foreign": True}, ""),
        ({"order_id": FALSE, "updated": Ts(NOW + 1)}, ""),
    ],
)
def test_an_order_that_is_on_file_otherwise_than_at_the_exchange_is_seen(known: dict[str, Any], text: str) -> None:
    filed = record(**({"order_id": TRUE, "updated": Ts(NOW - 1)} | known))  # type: ignore[arg-type]
    found = differing([Resting(record(), filed), Resting(record(), None)], (), NOW)
    assert [(breach.code, breach.severity) for breach in found] == [("ORDER_DIFFERS", "critical")] * bool(text)
    assert all(text in breach.value for breach in found)


def test_an_order_that_the_exchange_does_not_know_is_seen() -> None:
    (breach,) = differing((), [record(FALSE, updated=Ts(NOW - 1))], NOW)
    assert "the exchange has no order with its id" in breach.value
