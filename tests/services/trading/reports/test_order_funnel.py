"""`why`: the funnel from what strategies wanted to what was traded, from the state file."""

from __future__ import annotations

import os
from typing import Any

from msgspec.structs import replace
from support.simulation import TICKER, Simulation

from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.model.effects import AlertRaised, AmendOrder, OrderChanged, OrderRefused
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.monitoring.order_check import judged
from kalshi_cli.core.risk.controls import min_edge
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.services.trading.reports.order_funnel import funnel
from kalshi_cli.services.trading.reports.status import read_status
from kalshi_cli.store.lock import lock
from kalshi_cli.store.records import Halt, Heartbeat
from kalshi_cli.views.formats import format_time
from kalshi_cli.views.why import RefusedOrdersRow, WhyView

HOUR_MS = 3_600_000


def look(sim: Simulation, ticker: str = "") -> WhyView:
    now = sim.clock.now()
    status = read_status(sim.path.parent, sim.store, "sim", "2026-05-28", now)
    return funnel(sim.store, status, Ts(now - HOUR_MS), ticker)


def refused(found: WhyView, by: str = "here") -> list[RefusedOrdersRow]:
    return [row for row in found.rows if row.by == by]


def order(sim: Simulation, name: str, status: OrderStatus, filled: int = 0, **changes: object) -> None:
    now = sim.clock.now()
    known: dict[str, Any] = {
        "ticker": TICKER,
        "order_id": f"their-{name}",
        "strategy": "bidder",
        "created": now,
        "code": "",
    }
    sim.store.record(
        OrderChanged(
            Order(
                client_order_id=name, side=BID, price=cents(40), qty=contracts(2),
                status=status, filled=contracts(filled), **{"updated": now, **known, **changes},
            )
        )
    )  # fmt: skip


def test_every_intent_is_denied_or_sent_and_what_was_sent_is_in_one_place(sim: Simulation) -> None:
    now = sim.clock.now()
    for _ in range(3):
        sim.store.record(OrderRefused(now, "bidder", TICKER, "MIN_EDGE", "edge=0.0050 min=0.0100"))
    sim.store.record(OrderRefused(now, "bidder", "OTHER", "ORDER_RATE", "orders=60 max=60"))
    order(sim, "a", OrderStatus.FILLED, 2)
    order(sim, "b", OrderStatus.CANCELED, 1)
    order(sim, "c", OrderStatus.REJECTED, code="insufficient_balance")
    order(sim, "d", OrderStatus.UNKNOWN, order_id="")
    order(sim, "e", OrderStatus.RESTING)
    found = look(sim)
    assert (found.intents, found.denied, found.sent) == (9, 4, 5)
    assert (found.rejected, found.in_doubt, found.live, found.ended, found.filled) == (1, 1, 1, 2, 2)
    assert found.rejected + found.in_doubt + found.live + found.ended == found.sent
    assert [(each.code, each.count, each.ticker, each.decided_by) for each in refused(found)] == [
        ("MIN_EDGE", 3, TICKER, "risk.min_edge; the edge found is too small"),
        ("ORDER_RATE", 1, "OTHER", "risk.max_orders_per_minute"),
    ]
    assert refused(found)[0].detail == "edge=0.0050 min=0.0100"
    assert [(each.code, each.count, each.decided_by) for each in refused(found, "exchange")] == [
        ("insufficient_balance", 1, "cash on the shard of the market: kalshi balance")
    ]


def test_sent_amends_count_as_requests_like_refused_ones(sim: Simulation) -> None:
    now = sim.clock.now()
    sim.store.record(OrderRefused(Ts(now - 2 * HOUR_MS), "bidder", TICKER, "MIN_EDGE", ""))
    sim.store.record(OrderRefused(now, "bidder", TICKER, "MIN_EDGE", ""))
    for name, created, strategy in (("a", now, "bidder"), ("b", Ts(now - 2 * HOUR_MS), "bidder"), ("m", now, "")):
        order(sim, name, OrderStatus.RESTING, created=created, strategy=strategy)
        before = next(each for each in sim.store.orders() if each.client_order_id == name)
        for at in (Ts(now - 2 * HOUR_MS), now, now):
            after = replace(before, price=cents(41), updated=at)
            sim.store.record(AmendOrder(before, after, after))
    found = look(sim)
    assert (found.intents, found.denied, found.sent, found.amends) == (6, 1, 1, 4)
    assert [(each.strategy, each.intents, each.sent, each.amends) for each in found.strategies] == [("bidder", 6, 1, 4)]
    assert look(sim, "OTHER").amends == 0


def test_an_order_that_kalshi_withheld_was_not_sent_and_not_rejected_by_the_exchange(sim: Simulation) -> None:
    later = Ts(sim.clock.now() + 1)
    sim.store.record(OrderRefused(sim.clock.now(), "bidder", TICKER, "HALTED", "state=halted"))
    for name, code in (("a", "HALTED"), ("b", "STATE_MOVED"), ("c", "kill_switch"), ("d", "order_group_triggered")):
        order(sim, name, OrderStatus.REJECTED, code=code, reason=f"why {name}", updated=later)
    order(sim, "e", OrderStatus.FILLED, 2)
    found = look(sim)
    assert (found.intents, found.denied, found.sent, found.rejected) == (6, 4, 2, 1)
    assert [(each.code, each.count, each.detail) for each in refused(found)] == [
        ("HALTED", 2, "why a"),
        ("STATE_MOVED", 1, "why b"),
        ("kill_switch", 1, "why c"),
    ]
    assert all(each.decided_by for each in refused(found))
    assert [(each.code, each.count) for each in refused(found, "exchange")] == [("order_group_triggered", 1)]
    (part,) = found.strategies
    assert (part.intents, part.denied, part.sent) == (6, 4, 2)
    assert part.denied_by == {"HALTED": 2, "STATE_MOVED": 1, "kill_switch": 1}
    reached = judged(sim.store.orders(found.since))
    assert len(reached) == found.sent, "`kalshi check orders` counts the same orders"


def test_an_order_without_a_fair_value_is_up_to_the_strategy_and_not_to_the_smallest_edge(sim: Simulation) -> None:
    now = sim.clock.now()
    order = Place(TICKER, BID, cents(40), contracts(1))
    objection = min_edge(EngineState(now=now), RiskLimits(min_edge=cents(1)), order, "s")
    assert objection is not None
    sim.store.record(OrderRefused(now, "bidder", TICKER, *objection))
    (refusal,) = look(sim).rows
    assert "gave no fair value" in refusal.decided_by
    assert "min_edge" not in refusal.decided_by


def test_one_market_alone_and_nothing_of_before_or_of_a_person(sim: Simulation) -> None:
    now = sim.clock.now()
    sim.store.record(OrderRefused(now, "bidder", "OTHER", "ORDER_RATE", ""))
    order(sim, "mine", OrderStatus.RESTING, strategy="")
    order(sim, "old", OrderStatus.RESTING, created=Ts(now - 2 * HOUR_MS))
    order(sim, "new", OrderStatus.RESTING)
    found = look(sim, TICKER)
    assert (found.ticker, found.intents, found.denied, found.sent) == (TICKER, 1, 0, 1)


def test_what_else_keeps_a_loop_from_trading_is_said(sim: Simulation) -> None:
    assert look(sim).remarks == ("No trading loop is running",)
    now = sim.clock.now()
    with lock(sim.path.parent / "trade.lock", sim.clock):
        assert look(sim).remarks == (
            "The loop has not completed a cycle yet",
            "No strategy requested an order: its conditions were not met",
        )
        sim.store.beat(
            Heartbeat(
                run_id="r", pid=os.getpid(), mode="live", strategy="bidder", started=now, completed=now, cycles=1,
                is_running=True, no_book=f"{TICKER} no snapshot yet",
            )
        )  # fmt: skip
        assert look(sim).remarks[0] == f"No usable order book: {TICKER} no snapshot yet"
        sim.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", now))
        assert look(sim).remarks[0].startswith("Trading has been halted since ")


def test_a_strategy_that_failed_is_why_and_not_that_it_wanted_nothing(sim: Simulation) -> None:
    now = sim.clock.now()
    with lock(sim.path.parent / "trade.lock", sim.clock):
        sim.store.beat(
            Heartbeat(
                run_id="r", pid=os.getpid(), mode="live", strategy="fade", started=now, completed=now, cycles=1,
                is_running=True,
            )
        )  # fmt: skip
        assert look(sim).remarks == ("No strategy requested an order: its conditions were not met",)
        sim.store.record(AlertRaised(now, "critical", "STRATEGY_FAILED", "fade", "LookupError: lost my way"))
        out = (
            f"Strategy fade has been disabled since {format_time(now, None)}: STRATEGY_FAILED LookupError: lost my way"
        )
        assert look(sim).remarks == (out,)


def test_what_ended_the_last_loop_is_said_where_none_runs(sim: Simulation) -> None:
    now = sim.clock.now()
    cycle = Heartbeat(
        run_id="r", pid=os.getpid(), mode="sim", strategy="bidder", started=now, completed=now, cycles=1,
        is_running=False, stopped_by="a full disk", exit_code=8,
    )  # fmt: skip
    sim.store.beat(cycle)
    ended = format_time(now, None)
    assert look(sim).remarks == (
        f"No trading loop is running; the last run (bidder) ended {ended}: a full disk, exit 8",
    )


def test_where_nothing_ever_ran_there_is_nothing_to_tell(sim: Simulation) -> None:
    status = read_status(sim.path.parent / "elsewhere", None, "sim", "2026-05-28", sim.clock.now())
    found = funnel(None, status, Ts(0))
    assert (found.intents, found.rows, found.remarks) == (0, (), ("No trading loop is running",))


def test_each_strategy_has_its_part_and_the_parts_add_up(sim: Simulation) -> None:
    now = sim.clock.now()
    for _ in range(3):
        sim.store.record(OrderRefused(now, "noisy", TICKER, "ORDER_RATE", "sent=30 share=30"))
    sim.store.record(OrderRefused(now, "noisy", "OTHER", "CHURN", ""))
    sim.store.record(OrderRefused(now, "", TICKER, "HALTED", ""))
    order(sim, "a", OrderStatus.FILLED, 2, strategy="noisy")
    order(sim, "b", OrderStatus.RESTING, strategy="calm")
    running(sim, "calm,quiet,./noise.py:Noisy")
    with lock(sim.path.parent / "trade.lock", sim.clock):
        found = look(sim)
        parts = [(each.strategy, each.intents, each.denied, each.sent, each.filled) for each in found.strategies]
        assert parts == [("(none)", 1, 1, 0, 0), ("calm", 1, 0, 1, 0), ("noisy", 5, 4, 1, 1), ("quiet", 0, 0, 0, 0)]
        assert list(found.strategies[2].denied_by.items()) == [("ORDER_RATE", 3), ("CHURN", 1)]
        assert (found.intents, found.denied, found.sent, found.filled) == (7, 5, 2, 1)
        assert [each.intents for each in look(sim, "OTHER").strategies] == [0, 1, 0]
    assert [each.strategy for each in look(sim).strategies] == ["(none)", "calm", "noisy"], "nothing runs"


def test_a_strategy_that_cannot_decide_yet_is_told_from_one_that_sees_no_edge(sim: Simulation) -> None:
    running(sim, "mean-reversion", waiting="mean-reversion: 12 of 30 samples in KXA-1")
    with lock(sim.path.parent / "trade.lock", sim.clock):
        assert look(sim).remarks[0] == ("Strategies waiting for data: mean-reversion: 12 of 30 samples in KXA-1")
        running(sim, "mean-reversion")
        assert look(sim).remarks == ("No strategy requested an order: its conditions were not met",)
    running(sim, "mean-reversion", waiting="mean-reversion: 12 of 30 samples in KXA-1")
    assert "cannot decide" not in str(look(sim).remarks), "nothing runs"


def running(sim: Simulation, strategies: str, waiting: str = "") -> None:
    now = sim.clock.now()
    sim.store.beat(
        Heartbeat(run_id="r", pid=os.getpid(), mode="live", strategy=strategies, started=now, completed=now, cycles=1,
              is_running=True, waiting=waiting)
    )  # fmt: skip
