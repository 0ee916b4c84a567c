"""What remains of a closed market, and what opens it again in a running engine."""

from __future__ import annotations

import pytest
from support.values import NOW, make_engine, make_fill, make_order, make_settlement, make_state

from kalshi_cli.base.units import Money, Price, Ts, cents, contracts
from kalshi_cli.core.account.closed_markets import (
    ClosedMarket,
    ClosedTotals,
    FillOwners,
    StrategyResult,
    closing_results,
    closing_totals,
)
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import FillBooked, SettlementBooked
from kalshi_cli.core.model.messages import Filled, OrderState, Settled
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.state.limits import RiskLimits

OLD = Ts(NOW - 9 * 86_400_000)


def order(name: str, strategy: str = "", **changes: object) -> Order:
    return make_order(
        name, order_id=f"o-{name}", strategy=strategy, status=OrderStatus.FILLED, filled=contracts(10), created=OLD,
        updated=OLD, **changes,
    )  # fmt: skip


def fill(name: str, side: object = BID, price: int = 40, **changes: object) -> Fill:
    known: dict[str, object] = {"order_id": f"o-{name}", "client_order_id": name, "ts": OLD, "fee": Money(100)}
    return make_fill(f"t-{name}", side=side, price=cents(price), **(known | changes))


BOUGHT, SOLD = fill("a"), fill("b", ASK, 45, ts=Ts(OLD + 1))
ORDERS = (order("a", "one"), order("b", "one", side=ASK))
PAID = make_settlement(ts=Ts(OLD + 2), value=Price(10_000))


def test_each_strategy_has_its_result() -> None:
    other = fill("c", ASK, 50)
    orders = (ORDERS[0], order("c", "two", side=ASK))
    assert closing_results([BOUGHT, other, PAID], orders) == (
        StrategyResult("one", Money(6_000_000), Money(100), wins=1),
        StrategyResult("two", Money(-5_000_000), Money(100), losses=1),
    )


def test_a_flat_market_needs_no_settlement() -> None:
    assert closing_results([BOUGHT, SOLD], ORDERS) == (StrategyResult("one", Money(500_000), Money(200), wins=1),)


def test_a_market_without_fills_has_an_empty_result() -> None:
    assert closing_results([PAID], ()) == (StrategyResult("", Money(0), Money(0)),)


@pytest.mark.parametrize(
    ("entries", "orders"),
    [
        pytest.param([BOUGHT], ORDERS[:1], id="a position is left"),
        pytest.param([BOUGHT, fill("b", ASK, ts=Ts(OLD + 1))], (order("a", "one"), order("b", "two")), id="two sides"),
        pytest.param([BOUGHT, SOLD], (order("a", "one"), order("b")), id="closed by the user"),
        pytest.param([BOUGHT, SOLD], (*ORDERS, make_order("x", order_id="x")), id="a live order"),
        pytest.param([BOUGHT, SOLD], (ORDERS[0], order("c", "one")), id="a fill is missing"),
    ],
)
def test_an_open_market_has_none(entries: list[Fill | Settlement], orders: tuple[Order, ...]) -> None:
    assert closing_results(entries, orders) is None


def test_shares_that_cancel_out_in_the_account_are_open() -> None:
    # The user closes for "one", which then trades back: its fills are flat, but its position is not.
    steps = [("a", BID, "one"), ("b", ASK, ""), ("c", ASK, "one"), ("d", BID, "two"), ("e", BID, ""), ("f", ASK, "two")]
    entries = [fill(name, side, ts=Ts(OLD + number)) for number, (name, side, _) in enumerate(steps)]
    orders = [order(name, strategy) for name, _, strategy in steps]
    whole = Ledger()
    for entry in entries:
        whole.add(entry)
    assert whole.position("KXA-1").qty == 0
    assert closing_results(entries[:4], orders[:4]) is None
    assert closing_results(entries, orders) is not None


def test_the_own_order_names_the_owner_first() -> None:
    own, met = order("a", "one"), make_order("", order_id="o-a", is_foreign=True, created=Ts(0))
    assert FillOwners([met, own]).strategy(fill("a")) == "one"
    assert FillOwners([own]).strategy(fill("a", client_order_id="")) == "one"
    assert FillOwners([own]).strategy(fill("z")) == ""


def test_the_statistics_of_a_market_count_over_the_whole_account() -> None:
    orders = (order("a", "one", fair=cents(50)), order("b", "two", side=ASK))
    # Ten contracts bought at a fair 50 cents paid a dollar; their deviation is half a dollar.
    assert closing_totals([BOUGHT, SOLD, PAID], orders) == ClosedTotals(
        "KXA", OLD, Ts(OLD + 2), wins=1, losses=0, bets=1, earned=5_000_000.0, deviation=5_000_000.0
    )


def test_a_flat_market_without_fair_values_has_no_edge_and_is_its_own_event() -> None:
    assert closing_totals([SOLD, BOUGHT], ORDERS) == ClosedTotals("KXA-1", OLD, Ts(OLD + 1), wins=1, losses=0)


# -- a running engine ---------------------------------------------------------------------------------------------

CLOSED = ClosedMarket(
    ORDERS, (BOUGHT, SOLD), (StrategyResult("one", Money(500_000), Money(200)), StrategyResult("", Money(0), Money(0)))
)


def running() -> TradingEngine:
    state = make_state()
    engine = TradingEngine(
        state, RiskLimits(), (), new_id=lambda: "id", order_expiry_s=None,
        closed=lambda ticker: CLOSED if ticker == "KXA-1" else None,
    )  # fmt: skip
    state.carry(CLOSED.results)
    assert engine.day_net == 0
    return engine


def results(engine: TradingEngine) -> tuple[int, int, int, int]:
    state = engine.state
    return state.ledger.realized, state.ledger.fees, state.by_strategy["one"].realized, engine.day_net


def test_the_result_of_a_closed_market_counts() -> None:
    assert results(running()) == (500_000, 200, 500_000, 0)


def test_opening_a_market_changes_no_result() -> None:
    engine = running()
    engine.reopen("KXA-1")
    assert results(engine) == (500_000, 200, 500_000, 0)
    assert engine.state.ledger.carried == 0
    assert len(engine.state.ledger.entries) == 2
    engine.reopen("KXA-1")
    assert len(engine.state.ledger.entries) == 2


def test_a_late_fill_counts_with_the_history_of_its_market() -> None:
    engine = running()
    late = fill("late", ASK, 50, client_order_id="", order_id="elsewhere", ts=NOW)
    assert FillBooked(late, None) in engine.step(Filled(NOW, late))
    assert engine.state.ledger.position("KXA-1").qty == contracts(-10)
    unrealized = engine.state.ledger.unrealized(engine.state.marks())
    assert unrealized is not None
    assert engine.day_net == unrealized - 100
    assert results(engine)[0] == 500_000


@pytest.mark.parametrize("entry", [BOUGHT, SOLD])
def test_a_fill_of_a_closed_market_is_not_booked_again(entry: Fill) -> None:
    engine = running()
    assert engine.step(Filled(entry.ts, entry)) == []
    assert results(engine) == (500_000, 200, 500_000, 0)


def test_an_amended_result_counts_with_the_history_of_its_market() -> None:
    engine = running()
    assert engine.step(Settled(PAID.ts, PAID)) == [SettlementBooked(PAID)]
    assert results(engine)[0] == 500_000


def test_an_old_order_that_is_reported_again_lacks_no_fill() -> None:
    engine = running()
    engine.step(OrderState(NOW, ORDERS[0]))
    assert engine.state.orders.untold() == []
    found = engine.state.orders.get("a")
    assert found is not None
    assert (found.strategy, found.is_foreign) == ("one", False)


def test_an_engine_without_closed_markets_opens_nothing() -> None:
    engine = make_engine()
    engine.reopen("KXA-1")
    assert not engine.state.ledger.has("KXA-1")


def test_the_first_fill_of_a_strategy_may_be_heard_of_after_the_settlement() -> None:
    engine = make_engine()
    engine.state.orders.add(ORDERS[0])
    engine.step(Settled(PAID.ts, PAID))
    engine.step(Filled(BOUGHT.ts, BOUGHT))
    own = engine.state.by_strategy["one"]
    assert (own.position("KXA-1").qty, own.realized) == (0, engine.state.ledger.realized)
