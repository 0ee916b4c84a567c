"""What is written down, and what comes back."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import msgspec
import pytest
from support.values import NOW, Open, full_fill, full_order, full_settlement

from kalshi_cli.base.errors import HaltedError, StateFileError
from kalshi_cli.base.units import Money, Qty, Ts, contracts
from kalshi_cli.core.model.effects import (
    AlertRaised,
    CancelOrder,
    CloseOrder,
    Effect,
    FillBooked,
    OrderChanged,
    OrderRefused,
    ResyncBook,
    SettlementBooked,
    StateChanged,
    SubmitOrder,
)
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import ASK, TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.store import sqlite_store
from kalshi_cli.store.records import Halt, Heartbeat, RecoveredState
from kalshi_cli.store.sqlite_store import Store

replace = msgspec.structs.replace

FULL, NORMAL = 2, 1


def durability(store: Store) -> int:
    """`PRAGMA synchronous` as the last write left it."""
    return int(store._database.read("PRAGMA synchronous")[0][0])


def look(path: Path, sql: str) -> list[tuple[object, ...]]:
    """What another program sees in the file, now."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


# -- what is kept -------------------------------------------------------------------------------------------------


def test_an_empty_store_remembers_nothing_and_trades(open_store: Open) -> None:
    store = open_store()
    nothing = Halt(TradingState.ACTIVE, "", "", Ts(0))
    assert store.load() == RecoveredState(orders=(), fills=(), settlements=(), halt=nothing)
    assert store.last_cycle() is None
    assert store.denials(Ts(0)) == {}
    assert store.alerts() == ()
    assert store.order("c1") is None


def test_everything_recorded_comes_back_after_a_restart(open_store: Open) -> None:
    order = full_order(order_id="o1", status=OrderStatus.RESTING, filled=contracts(2), fees=Money(17_500), code="x")
    bare = full_order("c2", expires=None, fair=None, strategy="", reason="", post_only=False, reduce_only=False)
    with open_store() as store:
        store.record(SubmitOrder(full_order()))
        store.record(SubmitOrder(bare))
        store.record(OrderChanged(order))
        store.record(FillBooked(full_fill()))
        store.record(SettlementBooked(full_settlement()))
        store.record(StateChanged(NOW, TradingState.HALTED, "DAILY_LOSS", "lost 100"))
    memory = open_store().load()
    assert memory.orders == (order, bare)
    assert memory.fills == (full_fill(),)
    assert memory.settlements == (full_settlement(),)
    assert memory.halt == Halt(TradingState.HALTED, "DAILY_LOSS", "lost 100", NOW)


@pytest.mark.parametrize(
    ("kind", "table", "own"),
    [
        (Order, "orders", {"key"}),
        (Fill, "fills", set()),
        (Settlement, "settlements", set()),
        (Halt, "halt", {"id"}),
        (Heartbeat, "cycle", {"id"}),
        (AlertRaised, "alerts", {"id"}),
    ],
)
def test_every_field_has_its_column(
    open_store: Open, path: Path, kind: type[msgspec.Struct], table: str, own: set[str]
) -> None:
    open_store()
    columns = {str(row[1]) for row in look(path, f"PRAGMA table_info({table})")}
    assert columns == set(kind.__struct_fields__) | own


def test_what_need_not_be_kept_is_not(open_store: Open, path: Path) -> None:
    store = open_store()
    for effect in (ResyncBook("T", "gap"), CancelOrder(full_order(), "why"), Effect()):
        store.record(effect)
    assert look(path, "SELECT COUNT(*) FROM orders") == [(0,)]


# -- intents and orders -------------------------------------------------------------------------------------------


def test_an_intent_is_committed_before_record_returns(open_store: Open, path: Path) -> None:
    store = open_store()
    store.record(SubmitOrder(full_order()))
    assert look(path, "SELECT client_order_id, status, price, qty FROM orders") == [("c1", "submitted", 4700, 1000)]


def test_what_cannot_be_learned_again_waits_for_the_disk_and_the_rest_does_not(open_store: Open) -> None:
    store = open_store()
    waits: list[Effect] = [
        SubmitOrder(full_order("c2")),
        FillBooked(full_fill()),
        SettlementBooked(full_settlement()),
        StateChanged(NOW, TradingState.HALTED, "X", ""),
    ]
    for effect in waits:
        store.record(OrderChanged(full_order(status=OrderStatus.RESTING)))
        assert durability(store) == NORMAL
        store.record(effect)
        assert durability(store) == FULL
    store.record(AlertRaised(NOW, "info", "X", "s", "t"))
    assert durability(store) == NORMAL
    store.set_halt(Halt(TradingState.ACTIVE, "", "", NOW))
    assert durability(store) == FULL


def test_an_intent_whose_id_is_on_file_is_refused_and_the_first_stays(open_store: Open) -> None:
    store = open_store()
    store.record(SubmitOrder(full_order()))
    with pytest.raises(StateFileError, match="c1") as caught:
        store.record(SubmitOrder(full_order(qty=contracts(99))))
    assert caught.value.code == "state_duplicate_intent"
    assert store.live_orders() == (full_order(),)
    store.record(SubmitOrder(full_order("c2")))
    assert len(store.live_orders()) == 2


def test_an_order_is_found_by_either_id(open_store: Open) -> None:
    store = open_store()
    order = full_order(order_id="o1", status=OrderStatus.FILLED)
    store.record(SubmitOrder(full_order()))
    store.record(OrderChanged(order))
    assert store.order("c1") == store.order("o1") == order
    assert store.order("") is None
    assert store.live_orders() == ()
    assert store.orders(NOW) == store.orders(Ts(0), order.ticker) == (order,)
    assert store.orders(Ts(NOW + 1)) == store.orders(Ts(0), "OTHER") == ()


def test_foreign_orders_without_an_id_of_ours_are_kept_apart(open_store: Open) -> None:
    store = open_store()
    foreign = [full_order("", order_id=f"o{n}", is_foreign=True, status=OrderStatus.RESTING) for n in range(3)]
    for order in foreign:
        store.record(OrderChanged(order))
    assert store.live_orders() == tuple(foreign)


def test_a_second_order_under_an_id_of_ours_is_kept_beside_the_first(open_store: Open) -> None:
    store = open_store()
    ours = full_order(order_id="o1", status=OrderStatus.RESTING)
    twin = replace(ours, order_id="o2", is_foreign=True)
    for order in (ours, twin, ours, twin):
        store.record(OrderChanged(order))
    assert store.live_orders() == (ours, twin)


def test_an_order_that_another_program_of_ours_placed_stays_one_row_and_ours(open_store: Open) -> None:
    one_shot, loop = open_store(), open_store()
    placed = full_order(order_id="o1", status=OrderStatus.RESTING)
    one_shot.record(SubmitOrder(full_order()))
    one_shot.record(OrderChanged(placed))
    seen = replace(placed, is_foreign=True, strategy="", fair=None, reason="", status=OrderStatus.FILLED)
    loop.record(OrderChanged(seen))
    assert loop.orders() == (replace(placed, status=OrderStatus.FILLED),)


def test_an_order_first_seen_as_foreign_becomes_ours_when_its_program_writes_it(open_store: Open) -> None:
    one_shot, loop = open_store(), open_store()
    placed = full_order(order_id="o1", status=OrderStatus.RESTING)
    one_shot.record(SubmitOrder(full_order()))
    loop.record(OrderChanged(replace(placed, is_foreign=True, strategy="")))
    one_shot.record(OrderChanged(placed))
    assert loop.orders() == (placed,)


def test_what_one_program_knows_to_be_over_is_not_made_live_by_one_whose_stream_trails(open_store: Open) -> None:
    loop, command = open_store(), open_store()
    unknown = full_order(status=OrderStatus.UNKNOWN)
    loop.record(OrderChanged(unknown))
    over = replace(unknown, status=OrderStatus.CANCELED, order_id="o1")
    command.record(OrderChanged(over))
    resting = replace(over, status=OrderStatus.RESTING, code="Late")
    loop.record(OrderChanged(resting))
    assert loop.order("c1") == over
    raised = replace(resting, qty=Qty(resting.qty + 100))
    loop.record(OrderChanged(raised))
    assert loop.order("c1") == raised, "somebody raised it elsewhere: what is left of it may trade"


@pytest.mark.parametrize("later", [OrderStatus.EXPIRED, OrderStatus.FILLED])
def test_an_end_on_file_stays_as_the_first_program_recorded_it(open_store: Open, later: OrderStatus) -> None:
    """A read shows an expired order as canceled, and the stream of another program tells why: it is one end."""
    loop, command = open_store(), open_store()
    loop.record(OrderChanged(full_order(order_id="o1", status=OrderStatus.UNKNOWN)))
    over = full_order(order_id="o1", status=OrderStatus.CANCELED)
    command.record(OrderChanged(over))
    told = replace(over, status=later, code="ExpiryCancel", filled=over.qty)
    loop.record(OrderChanged(told))
    assert loop.order("c1") == replace(told, status=OrderStatus.CANCELED), "its reason and late fills are kept"
    raised = replace(told, qty=Qty(told.qty + 100))
    loop.record(OrderChanged(raised))
    assert loop.order("c1") == raised, "increased elsewhere since then: it ended once more"
    repaired = replace(raised, status=OrderStatus.CANCELED)
    loop.record(OrderChanged(repaired, "a fresh read proved it"))
    assert loop.order("c1") == repaired


def test_load_gives_the_orders_that_are_live_or_belong_to_an_open_position(open_store: Open) -> None:
    store = open_store()
    over = {"status": OrderStatus.FILLED, "ticker": "A"}
    store.record(OrderChanged(full_order("old", order_id="1", updated=Ts(NOW - 9), **over)))
    store.record(OrderChanged(full_order("live", order_id="2", updated=Ts(NOW - 9), status=OrderStatus.UNKNOWN)))
    store.record(OrderChanged(full_order("held", order_id="3", updated=NOW, **over)))
    assert {order.client_order_id for order in store.load().orders} == {"live"}
    store.record(FillBooked(full_fill(order_id="3", ticker="A", client_order_id="held")))
    assert {order.client_order_id for order in store.load().orders} == {"live", "held"}
    store.record(SettlementBooked(full_settlement("A")))
    later = Ts(NOW + 9 * 86_400_000)
    store.record(FillBooked(full_fill("t2", order_id="4", ticker="B", client_order_id="", ts=later)))
    store.close_markets(later, 9)
    assert {order.client_order_id for order in store.load().orders} == {"live"}
    assert len(store.load().fills) == 1


def test_load_gives_the_orders_begun_last_whatever_became_of_them(open_store: Open) -> None:
    """A restart resets no order rate: also where nothing was held and nothing rests (seed 341 of the simulation)."""
    store = open_store()
    for number in range(1_002):
        order = full_order(f"c{number}", created=Ts(NOW - number))
        store.record(SubmitOrder(order))
        store.record(OrderChanged(replace(order, status=OrderStatus.CANCELED)))
    remembered = {order.client_order_id for order in open_store().load().orders}
    assert remembered == {f"c{number}" for number in range(2, 1_002)}


def test_hostile_text_is_kept_as_text(open_store: Open) -> None:
    store = open_store()
    order = full_order("'; DROP TABLE orders; --", ticker="T'); --", reason='"\x00%_\u202e', strategy="123")
    store.record(SubmitOrder(order))
    assert store.order(order.client_order_id) == order
    assert store.orders(Ts(0), "%") == ()


# -- fills, settlements -------------------------------------------------------------------------------------------


def test_a_fill_is_booked_once_and_the_first_account_of_it_stays(open_store: Open) -> None:
    store = open_store()
    store.record(FillBooked(full_fill()))
    store.record(FillBooked(full_fill(qty=contracts(9))))
    store.record(FillBooked(full_fill("t0", ts=Ts(NOW - 1))))
    assert store.fills() == (full_fill("t0", ts=Ts(NOW - 1)), full_fill())
    assert store.fills(NOW) == (full_fill(),)


def test_two_orders_of_ours_that_trade_with_one_another_have_a_fill_each(open_store: Open) -> None:
    store = open_store()
    bought, sold = full_fill(), full_fill(order_id="o2", side=ASK, subaccount=3)
    for each in (bought, sold, sold, bought):
        store.record(FillBooked(each))
    assert open_store().fills() == (bought, sold)


def test_a_fill_and_what_it_made_of_its_order_are_one_step(open_store: Open) -> None:
    """Else a crash in between leaves a filled order that rests on file for ever: nobody asks about it again."""
    store = open_store()
    store.record(SubmitOrder(full_order()))
    filled = full_order(order_id="o1", status=OrderStatus.FILLED, filled=contracts(10))
    store._database._connection.execute(
        "CREATE TRIGGER no_order BEFORE INSERT ON orders BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    with pytest.raises(StateFileError):
        store.record(FillBooked(full_fill(), filled))
    assert (store.fills(), store.live_orders()) == ((), (full_order(),))
    store._database._connection.execute("DROP TRIGGER no_order")
    store.record(FillBooked(full_fill(), filled))
    assert (store.fills(), store.orders()) == ((full_fill(),), (filled,))


def test_a_settlement_is_one_per_market_and_an_amended_one_replaces_it(open_store: Open) -> None:
    store = open_store()
    amended = full_settlement(result="no", revenue=Money(0))
    for settlement in (full_settlement(), full_settlement(), amended, full_settlement("B", ts=NOW)):
        store.record(SettlementBooked(settlement))
    assert store.settlements() == (full_settlement("B", ts=NOW), amended)


# -- the halt -----------------------------------------------------------------------------------------------------


def test_another_program_sees_a_halt_at_once(open_store: Open) -> None:
    loop, switch = open_store(), open_store()
    assert loop.halt().state is TradingState.ACTIVE
    halt = Halt(TradingState.HALTED, "KILL_SWITCH", "a person said so", NOW)
    switch.set_halt(halt)
    assert loop.halt() == halt


def test_no_intent_begins_after_another_program_committed_a_halt(open_store: Open) -> None:
    loop, switch = open_store(), open_store()
    loop.record(SubmitOrder(full_order("before")))
    switch.set_halt(Halt(TradingState.HALTED, "KILL_SWITCH", "", NOW))
    with pytest.raises(HaltedError):
        loop.record(SubmitOrder(full_order("after")))
    assert switch.order("after") is None
    switch.set_halt(Halt(TradingState.ACTIVE, "RESUMED", "", NOW))
    loop.record(SubmitOrder(full_order("after")))
    assert switch.order("after") is not None


def test_a_close_is_written_down_while_halted_and_only_once(open_store: Open) -> None:
    store = open_store()
    store.set_halt(Halt(TradingState.HALTED, "KILL_SWITCH", "", NOW))
    out = full_order("out", reduce_only=True, tif=TimeInForce.IOC, strategy="")
    with pytest.raises(HaltedError):
        store.record(SubmitOrder(out))
    assert store.order("out") is None
    store.record(CloseOrder(out))
    assert store.order("out") == out
    with pytest.raises(StateFileError, match="already on record"):
        store.record(CloseOrder(out))


ACTIVE, REDUCING, HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED


@pytest.mark.parametrize("has_looked", [False, True])
@pytest.mark.parametrize(("strict", "looser"), [(HALTED, ACTIVE), (HALTED, REDUCING), (REDUCING, ACTIVE)])
def test_an_engine_loosens_nothing_that_another_program_wrote_in_the_instant_before(
    open_store: Open, strict: TradingState, looser: TradingState, has_looked: bool
) -> None:
    """Also where it has seen that: between its look and its write somebody may have resumed and halted again."""
    loop, switch = open_store(), open_store()
    halt = Halt(strict, "KILL_SWITCH", "", NOW)
    switch.set_halt(halt)
    if has_looked:
        assert loop.halt() == halt
    loop.record(StateChanged(NOW, looser, "LATE", ""))
    assert switch.halt() == loop.halt() == halt


def test_an_engine_tightens_and_a_person_loosens(open_store: Open) -> None:
    """Not vacuous: what the engine writes down counts, where it is the stricter."""
    loop, person = open_store(), open_store()
    for state in (REDUCING, HALTED):
        loop.record(StateChanged(NOW, state, "GUARD", ""))
        assert person.halt() == Halt(state, "GUARD", "", NOW)
    for state in (REDUCING, ACTIVE):
        person.set_halt(Halt(state, "RESUMED", "", NOW))
        assert loop.halt().state is state


def test_a_trip_of_api_guard_is_kept_beside_another_first_cause_until_a_resume(open_store: Open) -> None:
    loop, person = open_store(), open_store()
    loop.record(StateChanged(NOW, REDUCING, "DAILY_LOSS", ""))
    assert person.load().api_guard_at is None
    loop.record(StateChanged(Ts(NOW + 5), REDUCING, "API_GUARD", ""))
    assert (person.halt().code, person.load().api_guard_at) == ("DAILY_LOSS", NOW + 5)
    person.set_halt(Halt(HALTED, "KILL_SWITCH", "", NOW))
    assert loop.load().api_guard_at == NOW + 5
    person.set_halt(Halt(ACTIVE, "RESUMED", "", NOW))
    assert loop.load().api_guard_at is None


def test_a_person_can_always_resume(open_store: Open) -> None:
    store, person = open_store(), open_store()
    store.record(StateChanged(NOW, TradingState.HALTED, "DAILY_LOSS", ""))
    person.set_halt(Halt(TradingState.ACTIVE, "RESUMED", "looked into it", NOW))
    assert store.halt().state is TradingState.ACTIVE


# -- heartbeat, refusals, alerts ----------------------------------------------------------------------------------


def cycle(number: int = 1) -> Heartbeat:
    return Heartbeat(
        run_id="r", pid=7, mode="paper", strategy="fade", started=NOW, completed=NOW, cycles=number, is_running=True
    )


def test_the_last_cycle_is_the_one_that_is_kept(open_store: Open) -> None:
    store = open_store()
    store.beat(cycle(1))
    last = replace(cycle(2), is_running=False, cash=Money(-5), day_pnl=Money(7))
    store.beat(last)
    assert open_store().last_cycle() == last


def test_refusals_are_counted_by_code_and_market_and_seen_by_others_after_a_heartbeat(open_store: Open) -> None:
    store, other = open_store(), open_store()
    for n in range(5):
        store.record(OrderRefused(Ts(NOW + n), "fade", "A", "MIN_EDGE", f"edge={n}"))
    store.record(OrderRefused(Ts(NOW + 60_000), "fade", "B", "STALE_BOOK", "age_ms=1"))
    assert other.denials(Ts(0)) == {}
    store.beat(cycle())
    assert other.denials(Ts(0)) == {"fade": {"MIN_EDGE": 5, "STALE_BOOK": 1}}
    store.record(OrderRefused(Ts(NOW + 9), "fade", "A", "MIN_EDGE", "edge=9"))
    assert store.denials(Ts(0), "A") == {"fade": {"MIN_EDGE": 6}}
    assert store.denials(Ts(NOW + 60_000)) == {"fade": {"STALE_BOOK": 1}}
    latest = OrderRefused(Ts(NOW + 9), "fade", "A", "MIN_EDGE", "edge=9")
    assert store.last_denials(NOW, "A") == (latest,)
    assert [denied.code for denied in store.last_denials(NOW)] == ["STALE_BOOK", "MIN_EDGE"]


def test_closing_writes_what_was_only_counted(open_store: Open) -> None:
    with open_store() as store:
        store.record(OrderRefused(NOW, "", "A", "HALTED", ""))
    assert open_store().denials(Ts(0)) == {"": {"HALTED": 1}}


def test_refusals_and_alerts_are_bounded_and_the_oldest_go(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("MAX_DENIALS", "MAX_ALERTS", "MAX_UNWRITTEN_DENIALS"):
        monkeypatch.setattr(sqlite_store, limit, 10)
    store = open_store()
    for n in range(35):
        store.record(OrderRefused(Ts(NOW + n * 60_000), "fade", "A", f"C{n}", ""))
        store.record(AlertRaised(Ts(NOW + n), "info", f"C{n}", "s", "t"))
    assert len(store._unwritten) < 10
    assert set(store.denials(Ts(0))["fade"]) == {f"C{n}" for n in range(25, 35)}
    assert [alert.code for alert in store.alerts()] == [f"C{n}" for n in reversed(range(25, 35))]
    assert store.alerts(Ts(NOW + 34)) == (AlertRaised(Ts(NOW + 34), "info", "C34", "s", "t"),)


def test_a_store_stays_in_the_thread_that_opened_it(open_store: Open) -> None:
    store, raised = open_store(), []

    def elsewhere() -> None:
        try:
            store.record(SubmitOrder(full_order()))
        except sqlite3.ProgrammingError as error:
            raised.append(error)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert raised
    assert store.live_orders() == ()


def test_a_row_that_makes_no_sense_is_damage_not_a_crash(open_store: Open, path: Path) -> None:
    store = open_store()
    store.record(SubmitOrder(full_order()))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE orders SET status = 'asleep'")
    connection.commit()
    connection.close()
    with pytest.raises(StateFileError, match="asleep") as caught:
        store.orders()
    assert caught.value.code == "state_damaged"
