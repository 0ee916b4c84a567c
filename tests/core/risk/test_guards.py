"""Guards: what stops a run, or is told, before it costs more. Each has a companion in which it stays silent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from support.values import NOW, make_balance, make_book, make_engine, make_fill, make_order, make_state

from kalshi_cli.base.units import Money, Qty, Ts, cents, contracts
from kalshi_cli.core.account.order_index import OWN_ID
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.strategy_runner import Watches
from kalshi_cli.core.model.effects import (
    AlertRaised,
    CancelOrder,
    Effect,
    FillBooked,
    OrderChanged,
    OrderRefused,
    ResyncBook,
    StateChanged,
    SubmitOrder,
)
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import (
    AccountSnapshot,
    Filled,
    Message,
    OrderAccepted,
    OrderNeverArrived,
    OrderRejected,
    OrderState,
    OrderUnknown,
    StateCommand,
    Tick,
)
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import ExchangePosition
from kalshi_cli.core.risk.guards import MAX_WATCHED, UNCONFIRMED_ALERT_MS
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext

ACTIVE, REDUCING, HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED


class Quiet:
    """A strategy whose orders the test places, and which is told of nothing but its fills."""

    name = "quiet"
    is_hedged = False
    watches: Watches = "depth"

    def __init__(self) -> None:
        self.answers: list[Place] = []

    def on_book(self, view: StrategyContext, ticker: str) -> None: ...
    def on_trade(self, view: StrategyContext, trade: object) -> None: ...
    def on_tick(self, view: StrategyContext) -> None: ...
    def on_fill(self, view: StrategyContext, fill: Fill) -> Iterable[Place]:
        return self.answers


def codes(effects: Iterable[Effect], tier: str = "") -> list[str]:
    return [effect.code for effect in effects if isinstance(effect, AlertRaised) and tier in ("", effect.tier)]


def alert(effects: Iterable[Effect], code: str) -> AlertRaised:
    (found,) = [effect for effect in effects if isinstance(effect, AlertRaised) and effect.code == code]
    return found


def moves(effects: Iterable[Effect]) -> list[tuple[TradingState, str]]:
    return [(effect.state, effect.code) for effect in effects if isinstance(effect, StateChanged)]


def hold(engine: TradingEngine, fill: Fill) -> None:
    """The strategy traded this in an earlier run."""
    engine.step(Filled(NOW, fill))
    engine.state.record_own_fill("quiet", fill)


def place(engine: TradingEngine, qty: int = 10, price: int = 40, **changes: Any) -> Order:
    """An order of the strategy, sent and not answered yet."""
    verdict = engine.place(Place("KXA-1", changes.pop("side", BID), cents(price), contracts(qty), **changes), "quiet")
    assert isinstance(verdict, SubmitOrder), verdict
    return verdict.order


def rest(engine: TradingEngine, order_id: str = "o1", **changes: Any) -> Order:
    order = place(engine, **changes)
    engine.step(OrderAccepted(engine.state.now, order.client_order_id, order_id, Qty(0), order.qty))
    return order


@pytest.fixture
def engine() -> TradingEngine:
    engine = make_engine(Quiet())
    engine.step(make_book())
    return engine


def tick(engine: TradingEngine, after_ms: int = 1) -> list[Effect]:
    return engine.step(Tick(Ts(engine.state.now + after_ms)))


# -- F04: late delivery -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end", [lambda id_: OrderNeverArrived(NOW, id_), lambda id_: OrderRejected(NOW, id_, "unreachable", "dns")]
)
def test_an_order_that_was_given_up_and_is_there_after_all_counts_again_and_is_told(
    engine: TradingEngine, end: Any
) -> None:
    order = place(engine)
    engine.step(end(order.client_order_id))
    assert engine.state.orders.worst_case("KXA-1") == (0, 0)
    effects = engine.step(OrderState(NOW, make_order(order.client_order_id, order_id="o1")))
    assert alert(effects, "LATE_ORDER").tier == "critical"
    assert alert(effects, "LATE_ORDER").subject == order.client_order_id
    assert engine.state.orders.worst_case("KXA-1") == (contracts(10), 0), "limits hold with it"
    known = engine.state.orders.get(order.client_order_id)
    assert known is not None
    assert (known.status, known.strategy, known.is_foreign) == (OrderStatus.RESTING, "quiet", False)
    assert codes(engine.step(OrderState(NOW, make_order(order.client_order_id, order_id="o1")))) == [], "once"


def test_a_fill_of_an_order_that_was_given_up_is_late_delivery_too(engine: TradingEngine) -> None:
    order = place(engine)
    engine.step(OrderNeverArrived(NOW, order.client_order_id))
    fill = make_fill(order_id="o1", client_order_id=order.client_order_id, qty=contracts(4))
    assert "LATE_ORDER" in codes(engine.step(Filled(NOW, fill)))


def test_what_was_given_up_and_is_over_without_a_trade_is_no_news(engine: TradingEngine) -> None:
    """The exchange may list an order that it refused."""
    order = place(engine)
    engine.step(OrderRejected(NOW, order.client_order_id, "invalid_order"))
    gone = make_order(order.client_order_id, order_id="o1", status=OrderStatus.CANCELED, reduced=contracts(10))
    assert codes(engine.step(OrderState(NOW, gone))) == []


# -- F05: the API guard -----------------------------------------------------------------------------------------------


def unknown(engine: TradingEngine, reason: str = "") -> list[Effect]:
    order = place(engine, qty=1)
    return engine.step(OrderUnknown(engine.state.now, order.client_order_id, reason or f"{order.client_order_id}: 503"))


def test_three_creates_in_a_row_without_an_answer_stop_new_orders_and_not_what_closes(engine: TradingEngine) -> None:
    hold(engine, make_fill(qty=contracts(5)))
    assert moves(unknown(engine)) == moves(unknown(engine)) == []
    effects = unknown(engine)
    assert moves(effects) == [(REDUCING, "API_GUARD")]
    assert "kalshi resume --reason" in alert(effects, "API_GUARD").text
    kinds = [type(effect).__name__ for effect in effects]
    assert kinds.index("StateChanged") < kinds.index("AlertRaised"), "on file before anything else"
    denied = engine.place(Place("KXA-1", BID, cents(40), contracts(1)), "quiet")
    assert isinstance(denied, OrderRefused)
    assert denied.code == "REDUCING"
    engine.step(Tick(Ts(NOW + 1_000)))
    assert isinstance(engine.place(Place("KXA-1", ASK, cents(42), contracts(5)), "quiet"), SubmitOrder)
    assert engine.state.trading is REDUCING


def test_an_accepted_order_begins_the_count_again(engine: TradingEngine) -> None:
    unknown(engine), unknown(engine)
    rest(engine)
    assert moves(unknown(engine)) == moves(unknown(engine)) == []
    assert moves(unknown(engine)) == [(REDUCING, "API_GUARD")]


def test_a_person_who_resumes_begins_the_count_again(engine: TradingEngine) -> None:
    unknown(engine), unknown(engine), unknown(engine)
    engine.step(StateCommand(NOW, ACTIVE, "resume", "it is well"))
    assert moves(unknown(engine)) == moves(unknown(engine)) == []
    assert moves(unknown(engine)) == [(REDUCING, "API_GUARD")]


def test_one_batch_without_an_answer_is_one_failure_however_many_orders_it_had(engine: TradingEngine) -> None:
    for _ in range(5):
        assert moves(unknown(engine, "a batch of 5 orders: timeout")) == []


def test_a_guard_never_loosens_a_halt(engine: TradingEngine) -> None:
    orders = [place(engine, qty=1) for _ in range(3)]
    engine.step(StateCommand(NOW, HALTED, "cancel-all"))
    effects = [
        effect
        for order in orders
        for effect in engine.step(OrderUnknown(NOW, order.client_order_id, order.client_order_id))
    ]
    assert (moves(effects), engine.state.trading) == ([(HALTED, "API_GUARD")], HALTED)
    text = alert(effects, "API_GUARD").text
    assert "trading is halted now, so no closing orders either" in text, "told all the same"
    assert "strategies send" not in text


def test_what_a_guard_finds_in_a_pause_is_a_halt_when_the_pause_is_over(engine: TradingEngine) -> None:
    """A pause is a halt to the engine; the state file tells them apart, and must hear of both."""
    order = rest(engine)
    engine.step(OrderState(NOW, make_order(order.client_order_id, order_id="o1")))
    engine.step(StateCommand(NOW, HALTED, "PAUSED", "lunch"))
    effects = engine.step(OrderState(NOW, make_order(order.client_order_id, order_id="o2")))
    assert moves(effects) == [(HALTED, "DOUBLE_ORDER")]


def test_a_guard_is_on_file_before_the_order_that_made_it_speak(engine: TradingEngine) -> None:
    """After a crash in between the order is known, and known orders make no guard speak."""
    first = rest(engine, "o1")
    engine.step(OrderState(NOW, make_order(first.client_order_id, order_id="o1")))
    clash = place(engine, price=39)
    given_up = place(engine, price=38)
    engine.step(OrderNeverArrived(NOW, given_up.client_order_id))
    late = make_fill("t7", order_id="o7", client_order_id=given_up.client_order_id, price=cents(38), qty=contracts(1))
    upsets: list[tuple[str, Message]] = [
        ("LATE_ORDER", Filled(NOW, late)),
        ("FOREIGN_ACTIVITY", OrderState(NOW, make_order("them", order_id="o5"))),
        ("DOUBLE_ORDER", OrderState(NOW, make_order(first.client_order_id, order_id="o2"))),
        ("ID_CLASH", OrderState(NOW, make_order(clash.client_order_id, order_id="o3", price=cents(1)))),
    ]
    for code, message in upsets:
        effects = engine.step(message)
        told = effects.index(alert(effects, code))
        written = [at for at, effect in enumerate(effects) if isinstance(effect, OrderChanged | FillBooked)]
        assert written, code
        assert told < min(written), code
        assert all(at < told for at, effect in enumerate(effects) if isinstance(effect, StateChanged)), code


def test_the_third_answer_that_stays_away_is_on_file_after_its_guard(engine: TradingEngine) -> None:
    unknown(engine), unknown(engine)
    kinds = [type(effect) for effect in unknown(engine)]
    assert kinds.index(StateChanged) < kinds.index(OrderChanged)


def test_reducing_cancels_what_adds_risk_and_leaves_what_closes_and_what_people_placed(engine: TradingEngine) -> None:
    hold(engine, make_fill(order_id="old", qty=contracts(10)))
    rest(engine, "adds", price=39)
    rest(engine, "closes", side=ASK, price=45, qty=6)
    rest(engine, "too much", side=ASK, price=46, qty=6)
    engine.place(Place("KXA-1", BID, cents(38), contracts(1)), client_order_id="typed")
    engine.step(OrderAccepted(NOW, "typed", "typed", Qty(0), contracts(1)))
    effects = engine.step(StateCommand(NOW, REDUCING, "pause"))
    assert [effect.order.order_id for effect in effects if isinstance(effect, CancelOrder)] == ["adds", "too much"]
    assert {effect.reason for effect in effects if isinstance(effect, CancelOrder)} == {"reducing"}


def test_reducing_cancels_an_adding_order_of_a_strategy_that_is_no_longer_run(engine: TradingEngine) -> None:
    left = make_order("left", order_id="o-left", strategy="retired", status=OrderStatus.RESTING)
    engine.recall([left], [])
    effects = engine.step(StateCommand(NOW, REDUCING, "pause"))
    assert [effect.order.order_id for effect in effects if isinstance(effect, CancelOrder)] == ["o-left"]


def test_a_closing_order_stays_only_if_it_closes_after_what_people_have_there_too(engine: TradingEngine) -> None:
    hold(engine, make_fill(order_id="old", qty=contracts(10)))
    engine.place(Place("KXA-1", ASK, cents(45), contracts(6)), client_order_id="typed")
    engine.step(OrderAccepted(NOW, "typed", "typed", Qty(0), contracts(6)))
    rest(engine, "o2", side=ASK, price=46, qty=5)
    effects = engine.step(StateCommand(NOW, REDUCING, "pause"))
    assert [effect.order.order_id for effect in effects if isinstance(effect, CancelOrder)] == ["o2"]


# -- F08, F09: one id, two orders -------------------------------------------------------------------------------------


def test_the_order_that_we_sent_is_adopted_where_the_exchange_says_that_its_id_exists(engine: TradingEngine) -> None:
    order = place(engine)
    engine.step(OrderUnknown(NOW, order.client_order_id, "409 order_already_exists"))
    effects = engine.step(OrderState(NOW, make_order(order.client_order_id, order_id="o1")))
    assert (codes(effects), engine.state.trading) == ([], ACTIVE)


@pytest.mark.parametrize(
    "other", [{"price": cents(41)}, {"qty": contracts(11)}, {"side": ASK, "price": cents(60)}, {"ticker": "KXB-1"}]
)
def test_an_order_of_other_terms_under_our_id_stops_everything(engine: TradingEngine, other: dict[str, Any]) -> None:
    order = place(engine)
    engine.step(OrderUnknown(NOW, order.client_order_id, "409 order_already_exists"))
    effects = engine.step(OrderState(NOW, make_order(order.client_order_id, order_id="o9", **other)))
    assert moves(effects) == [(HALTED, "ID_CLASH")]
    assert alert(effects, "ID_CLASH").subject == "o9"
    bids, asks = engine.state.orders.worst_case("KXA-1")
    assert bids + asks > 0, "what is there counts"


def test_a_clash_on_another_market_still_lets_ours_end_as_never_arrived(engine: TradingEngine) -> None:
    order = place(engine)
    engine.step(OrderUnknown(NOW, order.client_order_id, "409 order_already_exists"))
    stranger = make_order(order.client_order_id, order_id="o9", ticker="KXB-1")
    engine.step(snapshot(as_of=NOW + 600_000, orders=(stranger,)))
    known = engine.state.orders.get(order.client_order_id)
    assert known is not None
    assert known.status is OrderStatus.NEVER_ARRIVED


def test_a_reduce_only_order_may_be_cut_to_the_position(engine: TradingEngine) -> None:
    hold(engine, make_fill(order_id="old", qty=contracts(10)))
    order = place(engine, side=ASK, price=42, reduce_only=True, tif=TimeInForce.IOC)
    cut = make_order(order.client_order_id, order_id="o1", side=ASK, price=cents(42), qty=contracts(7))
    assert moves(engine.step(OrderState(NOW, cut))) == []


def test_a_second_order_under_one_id_stops_everything_within_one_read(engine: TradingEngine) -> None:
    order = rest(engine)
    first = make_order(order.client_order_id, order_id="o1")
    twin = make_order(order.client_order_id, order_id="o2")
    effects = engine.step(snapshot(orders=(first, twin)))
    assert moves(effects) == [(HALTED, "DOUBLE_ORDER")]
    assert alert(effects, "DOUBLE_ORDER").subject == "o2"
    assert engine.state.orders.worst_case("KXA-1") == (contracts(20), 0)
    canceled = {effect.order.order_id for effect in effects if isinstance(effect, CancelOrder)}
    assert canceled == {"o1", "o2"}, "both are the strategy's"
    assert codes(engine.step(snapshot(orders=(first, twin)))) == [], "told once"


# -- F26, F60: what others did ----------------------------------------------------------------------------------------


def snapshot(as_of: int = NOW, **fields: Any) -> AccountSnapshot:
    parts: dict[str, Any] = {"orders": (), "fills": (), "settlements": (), "positions": (), "balance": make_balance()}
    return AccountSnapshot(NOW, as_of=Ts(as_of), since=Ts(0), **(parts | fields))


@pytest.mark.parametrize(
    ("client_id", "code"),
    [("", "FOREIGN_ACTIVITY"), ("web-7", "FOREIGN_ACTIVITY"), (f"{OWN_ID}123", "OTHER_INSTANCE")],
)
def test_an_order_of_others_is_told_once_counts_and_is_never_cancelled(
    engine: TradingEngine, client_id: str, code: str
) -> None:
    foreign = make_order(client_id, order_id="f1", qty=contracts(30))
    effects = engine.step(OrderState(NOW, foreign))
    assert codes(effects, "critical") == [code]
    assert alert(effects, code).subject == "f1"
    assert alert(effects, code).text.startswith("buy 30 YES KXA-1 at $0.40: placed by ")
    assert codes(engine.step(OrderState(Ts(NOW + 1), make_order(client_id, order_id="f1", qty=contracts(40))))) == []
    assert engine.state.orders.worst_case("KXA-1") == (contracts(40), 0)
    effects = engine.step(StateCommand(NOW, HALTED, "cancel-all")) + engine.step(StateCommand(NOW, None, "SIGTERM"))
    assert not any(isinstance(effect, CancelOrder) for effect in effects)


@pytest.mark.parametrize(
    ("held", "changes", "words"),
    [
        (0, {}, "buy 10 NO KXA-1 at $0.60"),
        (10, {}, "sell 10 YES KXA-1 at $0.40"),
        (0, {"status": OrderStatus.FILLED, "filled": contracts(10)}, "sell 10 YES KXA-1 at $0.40"),
    ],
)
def test_an_alert_names_an_order_as_the_position_shows_that_it_is_meant(
    engine: TradingEngine, held: int, changes: dict[str, Any], words: str
) -> None:
    if held:
        hold(engine, make_fill(qty=contracts(held)))
    effects = engine.step(OrderState(NOW, make_order("web", order_id="f1", side=ASK, **changes)))
    text = alert(effects, "FOREIGN_ACTIVITY").text
    assert text.startswith(f"{words}: placed by ")
    assert text.endswith("It is over: its fills count" if changes else "counts toward the limits and is not canceled")


def test_an_order_of_others_that_is_over_and_never_traded_is_no_news(engine: TradingEngine) -> None:
    gone = make_order("web-7", order_id="f1", status=OrderStatus.CANCELED, reduced=contracts(10))
    assert codes(engine.step(OrderState(NOW, gone))) == []


def test_the_same_id_of_others_twice_is_their_matter(engine: TradingEngine) -> None:
    for order_id in ("f1", "f2"):
        effects = engine.step(OrderState(NOW, make_order("web-7", order_id=order_id)))
        assert codes(effects) == ["FOREIGN_ACTIVITY"]
    assert engine.state.trading is ACTIVE


def test_an_order_that_is_on_file_here_is_not_a_strangers() -> None:
    """`kalshi order place` beside the loop: its intent was committed before it was sent."""
    filed = make_order(f"{OWN_ID}typed", status=OrderStatus.SUBMITTED)
    asked: list[str] = []

    def on_file(any_id: str) -> Order | None:
        asked.append(any_id)
        return filed if any_id == filed.client_order_id else None

    engine = TradingEngine(make_state(), RiskLimits(), (), new_id=lambda: "n", order_expiry_s=None, on_file=on_file)
    effects = engine.step(OrderState(NOW, make_order(filed.client_order_id, order_id="o1")))
    assert codes(effects) == []
    assert engine.state.orders.live()[0].is_foreign is False
    engine.step(OrderState(Ts(NOW + 1), make_order(filed.client_order_id, order_id="o1", filled=contracts(1))))
    assert asked == [filed.client_order_id], "looked up once"
    assert codes(engine.step(OrderState(NOW, make_order("web", order_id="f1")))) == ["FOREIGN_ACTIVITY"]


def test_a_second_order_under_an_id_that_is_on_file_is_double_all_the_same() -> None:
    filed = make_order("typed", order_id="o1")
    engine = TradingEngine(
        make_state(), RiskLimits(), (), new_id=lambda: "n", order_expiry_s=None, on_file={"typed": filed}.get
    )
    engine.step(OrderState(NOW, filed))
    effects = engine.step(OrderState(NOW, make_order("typed", order_id="o2")))
    assert moves(effects) == [(HALTED, "DOUBLE_ORDER")]


def test_a_second_order_is_double_also_where_the_state_file_alone_remembers_the_first() -> None:
    filed = make_order("typed", order_id="o1", status=OrderStatus.CANCELED)
    engine = TradingEngine(
        make_state(), RiskLimits(), (), new_id=lambda: "n", order_expiry_s=None, on_file={"typed": filed}.get
    )
    effects = engine.step(OrderState(NOW, make_order("typed", order_id="o2")))
    assert moves(effects) == [(HALTED, "DOUBLE_ORDER")]


def test_two_orders_under_one_id_of_this_program_are_double_also_where_no_file_remembers_either(
    engine: TradingEngine,
) -> None:
    assert moves(engine.step(OrderState(NOW, make_order(f"{OWN_ID}9", order_id="o1")))) == []
    assert moves(engine.step(OrderState(NOW, make_order(f"{OWN_ID}9", order_id="o1", filled=contracts(1))))) == []
    assert moves(engine.step(OrderState(NOW, make_order("web", order_id="o3")))) == []
    assert moves(engine.step(OrderState(NOW, make_order("web", order_id="o4")))) == [], "not our id, not our business"
    assert moves(engine.step(OrderState(NOW, make_order(f"{OWN_ID}9", order_id="o2")))) == [(HALTED, "DOUBLE_ORDER")]


def test_a_fill_that_is_nobodys_after_half_a_minute_is_told_once(engine: TradingEngine) -> None:
    engine.step(Filled(NOW, make_fill(order_id="f1", client_order_id=f"{OWN_ID}9")))
    engine.step(Filled(NOW, make_fill("t2", order_id="f1")))
    engine.step(Filled(NOW, make_fill("t3", order_id="f2")))
    assert codes(tick(engine)) == [], "its order's reply may be on its way"
    effects = tick(engine, UNCONFIRMED_ALERT_MS)
    assert {(a.code, a.subject) for a in effects if isinstance(a, AlertRaised) and a.code != "BOOK_UNWATCHED"} >= {
        ("OTHER_INSTANCE", "f1"),
        ("FOREIGN_ACTIVITY", "f2"),
    }
    assert "FOREIGN_ACTIVITY" not in codes(tick(engine, UNCONFIRMED_ALERT_MS))
    assert engine.state.ledger.position("KXA-1").qty == contracts(30), "it counts"


def test_a_fill_waits_for_an_order_of_ours_that_may_be_its_own(engine: TradingEngine) -> None:
    order = place(engine)
    engine.step(OrderUnknown(NOW, order.client_order_id, "timeout"))
    engine.step(Filled(NOW, make_fill(order_id="o1")))
    assert "FOREIGN_ACTIVITY" not in codes(tick(engine, UNCONFIRMED_ALERT_MS + 1))
    engine.step(OrderState(NOW, make_order(order.client_order_id, order_id="o1", filled=contracts(10))))
    assert "FOREIGN_ACTIVITY" not in codes(tick(engine, UNCONFIRMED_ALERT_MS))


def test_what_others_did_long_before_is_not_told_when_a_lost_file_is_rebuilt() -> None:
    engine = make_engine()
    engine.recall((), ())
    engine.step(snapshot(fills=(make_fill("t1", order_id="f1", ts=Ts(NOW - 5_000)),)))
    assert "FOREIGN_ACTIVITY" not in codes(tick(engine, UNCONFIRMED_ALERT_MS + 1))


def test_what_others_did_while_nobody_ran_is_told() -> None:
    engine = make_engine()
    engine.recall((), [make_fill("t0", order_id="x", ts=Ts(NOW - 9_000))])
    engine.step(snapshot(fills=(make_fill("t1", order_id="f1", ts=Ts(NOW - 5_000)),)))
    assert "FOREIGN_ACTIVITY" in codes(tick(engine, UNCONFIRMED_ALERT_MS + 1))


def test_no_more_strangers_are_watched_than_fit(engine: TradingEngine) -> None:
    for number in range(MAX_WATCHED + 5):
        engine.step(Filled(NOW, make_fill(f"t{number:04}", order_id=f"f{number}", qty=Qty(1))))
    assert codes(tick(engine, UNCONFIRMED_ALERT_MS + 1)).count("FOREIGN_ACTIVITY") == MAX_WATCHED


# -- F01, F25: doubts that last ---------------------------------------------------------------------------------------


def test_an_order_in_doubt_for_half_a_minute_is_told_once(engine: TradingEngine) -> None:
    order = place(engine)
    engine.step(OrderUnknown(NOW, order.client_order_id, "timeout"))
    assert codes(tick(engine, UNCONFIRMED_ALERT_MS)) == []
    found = alert(tick(engine), "ORDER_UNKNOWN_LONG")
    assert (found.tier, found.subject) == ("critical", order.client_order_id)
    assert "kalshi order reconcile" in found.text
    assert "ORDER_UNKNOWN_LONG" not in codes(tick(engine))


def test_fills_that_stay_away_for_half_a_minute_are_told_once(engine: TradingEngine) -> None:
    order = place(engine)
    engine.step(OrderAccepted(NOW, order.client_order_id, "o1", contracts(4), contracts(6)))
    assert codes(tick(engine)) == codes(tick(engine, UNCONFIRMED_ALERT_MS)) == []
    effects = tick(engine)
    assert alert(effects, "FILLS_MISSING").subject == order.client_order_id
    assert "FILLS_MISSING" not in codes(tick(engine))
    engine.step(Filled(NOW, make_fill(order_id="o1", qty=contracts(4))))
    assert "FILLS_MISSING" not in codes(tick(engine, 2 * UNCONFIRMED_ALERT_MS))


# -- F29: a book that post-only orders contradict ---------------------------------------------------------------------


def cross(engine: TradingEngine, price: int = 43, **changes: Any) -> list[Effect]:
    order = place(engine, price=price, post_only=True, **changes)
    return engine.step(OrderRejected(engine.state.now, order.client_order_id, "invalid_order", "x: post only cross"))


def test_three_post_only_orders_refused_at_one_price_make_the_book_suspect(engine: TradingEngine) -> None:
    assert not [e for _ in range(2) for e in cross(engine) if isinstance(e, ResyncBook)]
    assert not [e for e in cross(engine, price=42) if isinstance(e, ResyncBook)], "another price"
    effects = cross(engine)
    assert [effect.ticker for effect in effects if isinstance(effect, ResyncBook)] == ["KXA-1"]
    assert codes(effects) == ["POST_ONLY_CROSS"]
    denied = engine.place(Place("KXA-1", BID, cents(40), contracts(1)), "quiet")
    assert isinstance(denied, OrderRefused)
    assert denied.code == "STALE_BOOK"
    engine.step(make_book())
    assert cross(engine)[1:] == [], "a fresh book begins again"


def test_refusals_further_apart_than_a_minute_are_no_pattern(engine: TradingEngine) -> None:
    for _ in range(4):
        assert "POST_ONLY_CROSS" not in codes(cross(engine))
        engine.step(make_book(ts=engine.state.now + 31_000))


def test_a_cancel_for_crossing_counts_like_a_refusal(engine: TradingEngine) -> None:
    found: list[Effect] = []
    for number in range(3):
        order = rest(engine, f"o{number}", price=43, post_only=True, qty=1)
        gone = make_order(
            order.client_order_id, order_id=f"o{number}", price=cents(43), qty=contracts(1), reduced=contracts(1),
            status=OrderStatus.CANCELED, code="PostOnlyCrossCancel", updated=Ts(NOW + 1), post_only=True,
        )  # fmt: skip
        found += engine.step(OrderState(NOW, gone))
    assert codes(found) == ["POST_ONLY_CROSS"]


def test_a_market_without_a_book_cannot_be_read_again(engine: TradingEngine) -> None:
    foreign = make_order("", order_id="f1", ticker="KXZ-1", post_only=True, status=OrderStatus.RESTING)
    engine.step(OrderState(NOW, foreign))
    for number in range(4):
        name = f"f{number}"
        engine.step(OrderState(NOW, make_order("", order_id=name, ticker="KXZ-1", post_only=True)))
        gone = make_order(
            "", order_id=name, ticker="KXZ-1", post_only=True, status=OrderStatus.CANCELED, code="PostOnlyCrossCancel"
        )
        assert not any(isinstance(effect, ResyncBook) for effect in engine.step(OrderState(NOW, gone)))


# -- F48: other fees than expected ------------------------------------------------------------------------------------


def filled(engine: TradingEngine, *fees: int) -> list[Effect]:
    """An order that fills in parts of one contract, charged so; schedule: no maker fees, 7 % of takers."""
    engine.state.fees["KXA-1"] = FeeSchedule()
    order = rest(engine, qty=len(fees))
    found: list[Effect] = []
    for number, fee in enumerate(fees):
        fill = make_fill(f"t{number}", order_id="o1", qty=contracts(1), fee=Money(fee))
        assert order.strategy
        found += engine.step(Filled(NOW, fill))
    return found


def test_a_charge_of_more_than_a_cent_beside_the_estimate_is_told_when_the_order_is_over(engine: TradingEngine) -> None:
    effects = filled(engine, 60_000, 60_000)
    assert alert(effects, "FEE_MISMATCH").text == "KXA-1: charged $0.12, expected $0.00"


@pytest.mark.parametrize("fees", [(10_000,), (5_000, 5_100), (0, 0, 0)])
def test_rounding_is_no_mismatch(engine: TradingEngine, fees: tuple[int, ...]) -> None:
    assert "FEE_MISMATCH" not in codes(filled(engine, *fees))


@pytest.mark.parametrize(("waived_ms", "is_alert"), [(1, False), (0, True)])
def test_a_fill_while_fees_are_waived_is_expected_to_cost_nothing(
    engine: TradingEngine, waived_ms: int, is_alert: bool
) -> None:
    market = msgspec.structs.replace(engine.state.markets["KXA-1"], fee_waiver_until=Ts(NOW + waived_ms))
    engine.state.markets["KXA-1"] = market
    engine.state.fees["KXA-1"] = FeeSchedule()
    order = rest(engine, qty=10)
    fill = make_fill(order_id="o1", qty=contracts(10), is_taker=True, fee=Money(0))
    assert order.strategy
    assert ("FEE_MISMATCH" in codes(engine.step(Filled(NOW, fill)))) is is_alert


def test_fees_of_others_and_of_markets_without_a_schedule_are_not_compared(engine: TradingEngine) -> None:
    rest(engine, qty=1)
    assert "FEE_MISMATCH" not in codes(
        engine.step(Filled(NOW, make_fill(order_id="o1", qty=contracts(1), fee=Money(99_000))))
    )
    engine.state.fees["KXA-1"] = FeeSchedule()
    engine.step(OrderState(NOW, make_order("", order_id="f1", qty=contracts(1))))
    assert "FEE_MISMATCH" not in codes(
        engine.step(Filled(NOW, make_fill("t2", order_id="f1", qty=contracts(1), fee=Money(99_000))))
    )


def test_no_more_orders_are_compared_than_fit(engine: TradingEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    fit = 20
    monkeypatch.setattr("kalshi_cli.core.risk.guards.MAX_WATCHED", fit)
    engine.state.fees["KXA-1"] = FeeSchedule()
    engine.limits = RiskLimits(min_edge=None, max_orders_per_minute=None, max_position=None, max_exposure=None)
    for number in range(fit + 1):
        rest(engine, f"o{number}", qty=2)
        engine.step(Filled(NOW, make_fill(f"a{number:04}", order_id=f"o{number}", qty=contracts(1), fee=Money(99_000))))
    rest_of = make_fill("b1", order_id="o1", qty=contracts(1), fee=Money(99_000))
    assert "FEE_MISMATCH" in codes(engine.step(Filled(NOW, rest_of)))
    rest_of = make_fill("b0", order_id="o0", qty=contracts(1), fee=Money(99_000))
    assert "FEE_MISMATCH" not in codes(engine.step(Filled(NOW, rest_of))), "the oldest was let go"


# -- F63: the day's loss ----------------------------------------------------------------------------------------------


def losing(*strategies: Any, limit: int | None = 1_000_000) -> TradingEngine:
    """Ten contracts bought at 40 c; every cent that the bid falls is 10 c. The limit is a dollar."""
    limits = RiskLimits(min_edge=None, max_daily_loss=None if limit is None else Money(limit), price_collar=None)
    engine = make_engine(*strategies, limits=limits)
    engine.step(make_book())
    engine.step(Filled(NOW, make_fill(order_id="old", qty=contracts(10))))
    return engine


def test_the_day_is_counted_at_what_could_be_sold_now() -> None:
    engine = losing()
    engine.step(make_book(30, 34))
    tick(engine)
    assert engine.state.day_net == Money(-1_000_000)
    assert engine.state.trading is ACTIVE, "at the limit, not beyond it"


def test_a_loss_beyond_the_limit_reduces_durably_and_still_lets_close() -> None:
    engine = losing()
    engine.step(make_book(29, 34))
    effects = tick(engine)
    assert moves(effects) == [(REDUCING, "DAILY_LOSS")]
    text = alert(effects, "DAILY_LOSS").text
    assert "$1.10" in text
    assert "risk.max_daily_loss" in text
    assert "kalshi resume" in text
    assert moves(tick(engine)) == [], "once"
    denied = engine.place(Place("KXA-1", BID, cents(29), contracts(1)))
    assert isinstance(denied, OrderRefused)
    assert denied.code == "DAILY_LOSS"
    assert isinstance(engine.place(Place("KXA-1", ASK, cents(34), contracts(10))), SubmitOrder)


@pytest.mark.parametrize("is_priced", [True, False])
def test_a_loss_before_the_prices_arrive_says_that_open_positions_count_at_cost(is_priced: bool) -> None:
    engine = make_engine(limits=RiskLimits(max_daily_loss=Money(1_000_000)))
    ticker = "KXA-1" if is_priced else "KXB-1"
    bought = make_fill("t1", order_id="old", ticker=ticker, qty=contracts(10), fee=Money(2_000_000))
    text = alert(engine.step(Filled(NOW, bought)), "DAILY_LOSS").text
    assert ("(open positions without a price, counted at cost: 1); the limit is" in text) is not is_priced


def test_resumed_beyond_the_limit_it_trips_again_at_once() -> None:
    engine = losing()
    engine.step(make_book(29, 34))
    tick(engine)
    assert moves(engine.step(StateCommand(NOW, ACTIVE, "resume", "let me"))) == [
        (ACTIVE, "resume"),
        (REDUCING, "DAILY_LOSS"),
    ]


def test_without_a_limit_nothing_is_counted() -> None:
    engine = losing(limit=None)
    engine.step(make_book(1, 2))
    assert moves(tick(engine)) == []
    assert engine.state.day_net is None
    assert engine.day_net == Money(-3_900_000), "until somebody asks: ten contracts, each 39 cents below its cost"


def test_what_a_loop_shows_of_its_day_is_what_its_limit_counts() -> None:
    engine = losing()
    engine.step(make_book(33, 34))
    tick(engine)
    assert engine.day_net == engine.state.day_net == Money(-700_000)


def test_the_fill_that_crosses_the_limit_stops_the_strategy_before_it_can_answer() -> None:
    """No create begins after the commit that records the breach."""
    quiet = Quiet()
    quiet.answers = [Place("KXA-1", BID, cents(10), contracts(1))]
    engine = losing(quiet)
    rest(engine, "o1", price=39)
    effects = engine.step(
        Filled(NOW, make_fill("t9", order_id="o1", qty=contracts(1), price=cents(39), fee=Money(999_999)))
    )
    assert moves(effects) == []
    assert any(isinstance(effect, SubmitOrder) for effect in effects), "companion: below the limit it is asked"
    engine.step(make_book(30, 34))
    order = place(engine, price=29)
    engine.step(OrderAccepted(NOW, order.client_order_id, "o2", Qty(0), contracts(10)))
    effects = engine.step(
        Filled(NOW, make_fill("t10", order_id="o2", qty=contracts(1), price=cents(29), fee=Money(9_999)))
    )
    assert moves(effects) == [(REDUCING, "DAILY_LOSS")]
    assert not any(isinstance(effect, SubmitOrder) for effect in effects)
    assert any(isinstance(effect, OrderRefused) and effect.code == "DAILY_LOSS" for effect in effects)
    assert "o2" in [effect.order.order_id for effect in effects if isinstance(effect, CancelOrder)]


def test_a_read_of_the_account_is_counted_once_all_of_it_is_booked() -> None:
    """The newest fill comes first: until the others are there, the day looks worse than it is."""
    quiet = Quiet()
    quiet.answers = [Place("KXA-1", BID, cents(10), contracts(1))]
    engine = losing(quiet)
    rest(engine, "o1", price=39)
    sold = make_fill("t3", order_id="x", side=ASK, price=cents(1), qty=contracts(10), ts=Ts(NOW + 3))
    bought = make_fill("t2", order_id="o1", price=cents(39), qty=contracts(1), ts=Ts(NOW + 2))
    gained = make_fill("t4", order_id="x", price=cents(1), qty=contracts(30), ts=Ts(NOW + 4))
    stated = ExchangePosition(
        ticker="KXA-1", position=contracts(31), exposure=Money(0), realized=Money(0), fees=Money(0),
        traded=Money(0), updated=NOW,
    )  # fmt: skip
    effects = engine.step(snapshot(fills=(sold, bought, gained), positions=(stated,)))
    assert moves(effects) == []
    assert sum(isinstance(effect, SubmitOrder) for effect in effects) == 1, "and then the strategy is told"
    assert engine.state.trading is ACTIVE


def test_a_loss_that_a_read_brings_stops_the_strategy_before_it_is_told() -> None:
    quiet = Quiet()
    quiet.answers = [Place("KXA-1", BID, cents(10), contracts(1))]
    engine = losing(quiet)
    rest(engine, "o1", price=39)
    bought = make_fill("t2", order_id="o1", price=cents(39), qty=contracts(1), fee=Money(2_000_000))
    effects = engine.step(snapshot(fills=(bought,)))
    assert moves(effects) == [(REDUCING, "DAILY_LOSS")]
    assert not any(isinstance(effect, SubmitOrder) for effect in effects)
    assert any(isinstance(effect, OrderRefused) for effect in effects)


def test_a_message_about_an_unknown_order_moves_nothing(engine: TradingEngine) -> None:
    silent: tuple[Message, ...] = (
        OrderRejected(NOW, "nobody", "x"),
        OrderNeverArrived(NOW, "nobody"),
        OrderAccepted(NOW, "nobody", "o", Qty(0), Qty(0)),
    )
    for message in silent:
        assert engine.step(message) == []
