"""One message in, effects out: what the loop decides, and what it never does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
import pytest
from support.values import (
    NOW,
    make_balance,
    make_book,
    make_engine,
    make_fill,
    make_market,
    make_order,
    make_settlement,
    make_state,
)

from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.account.order_index import MAX_ENDED_ORDERS
from kalshi_cli.core.account.reconciliation import NEVER_ARRIVED_MARGIN_MS
from kalshi_cli.core.engine.book_validity import CROSSED_MS
from kalshi_cli.core.engine.engine import CANCEL_AGAIN_MS, TradingEngine
from kalshi_cli.core.engine.strategy_runner import MAX_INTENTS, Watches
from kalshi_cli.core.model.effects import (
    AlertRaised,
    CancelOrder,
    Effect,
    FillBooked,
    OrderChanged,
    OrderGroupStateChanged,
    OrderRefused,
    ResyncBook,
    SettlementBooked,
    StateChanged,
    SubmitOrder,
)
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Cancel, Intent, Place
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.messages import (
    AccountSnapshot,
    AccountVisibility,
    BookDelta,
    CancelFailed,
    FeedGap,
    FeedState,
    Filled,
    GroupChange,
    MarketChange,
    Message,
    OrderAccepted,
    OrderCanceled,
    OrderNeverArrived,
    OrderRejected,
    OrderState,
    OrderUnknown,
    PublicTrade,
    Quote,
    ReferencePrice,
    Settled,
    StateCommand,
    Tick,
    WaitingChanges,
)
from kalshi_cli.core.model.order_terms import ASK, BID, SelfTradePrevention
from kalshi_cli.core.model.orders import Fill, OrderStatus
from kalshi_cli.core.model.positions import ExchangePosition
from kalshi_cli.core.state.exchange_state import CLOSED_RECHECK_MS
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.order_rate import AN_ORDER
from kalshi_cli.core.state.view import StrategyContext

Hook = Callable[[StrategyContext], Iterable[Any]]


class Probe:
    """A strategy that answers each hook with whatever the test put in, and remembers what it was asked."""

    name = "probe"
    is_hedged = False
    watches: Watches = "depth"

    def __init__(self, answer: Hook | None = None) -> None:
        self.answer = answer
        self.asked: list[str] = []
        self.view: StrategyContext | None = None

    def _reply(self, view: StrategyContext, what: str) -> Iterable[Intent] | None:
        self.asked.append(what)
        self.view = view
        return self.answer(view) if self.answer else None

    def on_book(self, view: StrategyContext, ticker: str) -> Iterable[Intent] | None:
        return self._reply(view, f"book {ticker}")

    def on_trade(self, view: StrategyContext, trade: PublicTrade) -> Iterable[Intent] | None:
        return self._reply(view, f"trade {trade.trade_id}")

    def on_fill(self, view: StrategyContext, fill: Fill) -> Iterable[Intent] | None:
        return self._reply(view, f"fill {fill.trade_id}")

    def on_tick(self, view: StrategyContext) -> Iterable[Intent] | None:
        return self._reply(view, "tick")


def bid(qty: int = 10, price: int = 40, **changes: Any) -> Place:
    return Place("KXA-1", BID, cents(price), contracts(qty), **changes)


def once(*intents: Intent) -> Hook:
    """Answer with these the first time only."""
    left = [intents]
    return lambda _: left.pop() if left else ()


def delta(side: Any = BID, price: int = 40, change: int = 1, ts: int = NOW + 1, *, has_more: bool = False) -> BookDelta:
    return BookDelta(Ts(ts), "KXA-1", side, cents(price), contracts(change), has_more)


def kinds(effects: Iterable[Effect]) -> list[str]:
    return [type(effect).__name__ for effect in effects]


def submitted(engine: TradingEngine, message: Message) -> str:
    effects = [effect for effect in engine.step(message) if isinstance(effect, SubmitOrder)]
    return effects[0].order.client_order_id


@pytest.fixture
def live() -> tuple[TradingEngine, str]:
    """An engine with one resting order of the probe, order id o1."""
    engine = make_engine(Probe(once(bid())))
    order = submitted(engine, make_book())
    engine.step(OrderAccepted(NOW, order, "o1", Qty(0), contracts(10)))
    return engine, order


# -- books ----------------------------------------------------------------------------------------------------------


def test_a_strategy_sees_each_change_of_a_book_that_can_be_believed() -> None:
    probe = Probe()
    engine = make_engine(probe)
    engine.step(delta())
    assert probe.asked == [], "no snapshot yet"
    engine.step(make_book())
    engine.step(delta())
    engine.step(make_book(ticker="KXOTHER-1"))
    engine.step(BookDelta(NOW, "KXOTHER-1", BID, cents(1), contracts(1)))
    assert probe.asked == ["book KXA-1", "book KXA-1"]


def test_nobody_decides_in_the_middle_of_a_matching_event() -> None:
    probe = Probe()
    engine = make_engine(probe)
    engine.step(make_book())
    engine.step(delta(BID, 45, has_more=True))
    assert len(probe.asked) == 1
    engine.step(delta(ASK, 44, -100))
    assert len(probe.asked) == 2


def test_an_order_waits_for_the_changes_that_have_arrived_already() -> None:
    engine = make_engine(limits=RiskLimits(min_edge=None))

    def asked() -> str:
        verdict = engine.place(bid(1), "")
        return verdict.code + " " + verdict.detail if isinstance(verdict, OrderRefused) else "sent"

    engine.step(make_book())
    engine.step(WaitingChanges(NOW, {"KXA-1": 3, "KXA-2": 9}))
    waits = "STALE_BOOK {} of the order book waited during an earlier step"
    assert asked() == waits.format("3 newer changes")
    engine.step(make_book())
    engine.step(delta(has_more=True))
    assert asked() == waits.format("1 newer change")
    engine.step(delta())
    assert asked() == "sent"
    engine.step(delta())
    assert asked() == "sent", "what comes later did not wait"
    engine.step(WaitingChanges(NOW, {"KXA-1": 3}))
    engine.step(FeedGap(NOW, ("KXA-1",), "a lost message"))
    engine.step(make_book())
    assert asked().startswith("STALE_BOOK 2 newer")
    engine.step(FeedGap(NOW, (), "the feed discards what waits"))
    engine.step(make_book())
    assert asked() == "sent"


def test_a_crossed_book_waits_and_then_is_thrown_away() -> None:
    probe = Probe()
    engine = make_engine(probe)
    engine.step(make_book())
    assert engine.step(delta(BID, 45)) == []
    assert engine.step(delta(BID, 39, ts=NOW + 1 + CROSSED_MS)) == []
    effects = engine.step(delta(BID, 38, ts=NOW + 2 + CROSSED_MS))
    assert effects[0] == ResyncBook("KXA-1", "crossed")
    assert kinds(effects) == ["ResyncBook", "AlertRaised"]
    assert not engine.state.books["KXA-1"].is_usable
    assert len(probe.asked) == 1


def test_a_book_that_uncrosses_is_believed_again() -> None:
    probe = Probe()
    engine = make_engine(probe)
    engine.step(make_book())
    engine.step(delta(BID, 45))
    engine.step(delta(BID, 45, -1))
    assert len(probe.asked) == 2
    engine.step(delta(BID, 45, ts=NOW + 5_000))
    assert engine.state.books["KXA-1"].is_usable, "the clock of an earlier crossing does not count"


def test_an_impossible_delta_asks_for_a_fresh_snapshot() -> None:
    engine = make_engine(Probe())
    engine.step(make_book())
    assert kinds(engine.step(delta(BID, 40, -101))) == ["ResyncBook", "AlertRaised"]


def test_a_gap_makes_books_unusable_until_a_snapshot() -> None:
    engine = make_engine(state=make_state(make_market(), make_market("KXA-2")))
    for ticker in ("KXA-1", "KXA-2"):
        engine.step(make_book(ticker=ticker))
    engine.step(FeedGap(NOW, ("KXA-1", "KXZ"), "seq"))
    assert [engine.state.books[t].is_usable for t in ("KXA-1", "KXA-2")] == [False, True]
    engine.step(FeedGap(NOW, (), "overflow"))
    assert not engine.state.books["KXA-2"].is_usable, "no tickers means all"
    engine.step(make_book())
    assert engine.state.books["KXA-1"].is_usable


def test_the_rest_of_the_feed_is_noticed() -> None:
    probe = Probe()
    engine = make_engine(probe, state=make_state(references={"KX": "OTHER", "KXA": "BRTI"}))
    assert kinds(engine.step(FeedState(NOW, is_live=False, reason="silent"))) == ["AlertRaised"]
    assert engine.step(FeedState(NOW, is_live=True)) == []
    engine.step(Quote(Ts(NOW + 5), "KXA-1", None, Qty(0), None, Qty(0), None, Qty(0)))
    assert engine.state.feed_ts == NOW, "other channels do not make a book fresh"
    engine.step(PublicTrade(Ts(NOW + 6), "KXA-1", "t9", cents(40), contracts(1), BID))
    engine.step(Tick(Ts(NOW + 7)))
    assert probe.asked == ["trade t9", "tick"]
    engine.step(ReferencePrice(NOW, "BRTI", 123))
    assert probe.view is not None
    assert probe.view.reference("KXA-1") == 123, "the longest prefix wins"
    assert probe.view.reference("ZZZ") is None


def test_markets_come_and_change() -> None:
    engine = make_engine()
    engine.step(MarketChange(NOW, make_market("KXA-2"), FeeSchedule(multiplier=500)))
    engine.step(MarketChange(NOW, make_market("KXA-2")))
    assert engine.state.fees["KXA-2"].multiplier == 500, "kept where there is no news"
    engine.step(make_book(ticker="KXA-2"))
    assert engine.state.books["KXA-2"].best_bid == cents(40)


def test_time_is_the_messages_and_only_a_tick_turns_it_back() -> None:
    engine = make_engine()
    engine.step(make_book(ts=NOW + 10_000_000))
    engine.step(make_book(ts=NOW))
    assert engine.state.now == NOW + 10_000_000
    engine.step(Tick(NOW))
    assert engine.state.now == NOW


def test_an_unheard_of_message_is_ignored() -> None:
    assert make_engine().step(Message(NOW)) == []


# -- intents --------------------------------------------------------------------------------------------------------


def test_an_approved_intent_counts_as_live_before_it_is_sent() -> None:
    engine = make_engine(Probe(once(bid(), bid())), limits=RiskLimits(min_edge=None, max_position=contracts(15)))
    effects = engine.step(make_book())
    assert kinds(effects) == ["SubmitOrder", "OrderRefused"]
    assert isinstance(effects[1], OrderRefused)
    assert effects[1].code == "POSITION_LIMIT", "the first order of the same breath is counted"
    assert engine.tally.denied == {"POSITION_LIMIT": 1}
    assert (engine.tally.intents, engine.tally.orders) == (2, 1)


def test_a_strategy_that_raises_is_taken_out_and_its_orders_cancelled() -> None:
    def answer(view: StrategyContext) -> Iterator[Intent]:
        if not view.orders():
            yield bid()
        else:
            raise ZeroDivisionError("oops")

    probe, other = Probe(answer), Probe()
    other.name = "other"
    engine = make_engine(probe, other)
    order = submitted(engine, make_book())
    engine.step(OrderAccepted(NOW, order, "o1", Qty(0), contracts(10)))
    effects = engine.step(delta())
    assert kinds(effects) == ["AlertRaised", "CancelOrder"]
    assert isinstance(effects[0], AlertRaised)
    assert (effects[0].code, effects[0].tier) == ("STRATEGY_FAILED", "critical")
    assert "nothing is traded" not in effects[0].text
    asked = len(probe.asked)
    engine.step(delta())
    assert len(probe.asked) == asked
    assert other.asked[-1] == "book KXA-1", "others go on"


@pytest.mark.parametrize("nonsense", ["buy!", None, 7])
def test_a_strategy_that_yields_nonsense_is_taken_out(nonsense: Any) -> None:
    effects = make_engine(Probe(once(nonsense))).step(make_book())
    assert kinds(effects) == ["AlertRaised"]
    assert isinstance(effects[0], AlertRaised)
    assert effects[0].text.endswith("; no strategy is enabled now, so nothing is traded until a new run")


def test_an_endless_answer_is_cut() -> None:
    def endless(_: StrategyContext) -> Iterator[Intent]:
        for _number in range(100 * MAX_INTENTS):  # so that the test of an engine without a limit ends, too
            yield bid(qty=0)

    effects = make_engine(Probe(endless)).step(make_book())
    assert kinds(effects) == ["OrderRefused"] * MAX_INTENTS + ["AlertRaised"]


def test_cancels_go_out_once_until_they_fail_or_time_passes() -> None:
    def answer(view: StrategyContext) -> list[Intent]:
        return [Cancel(order.client_order_id, "x") for order in view.orders()] or [bid()]

    engine = make_engine(Probe(answer), limits=RiskLimits(min_edge=None, max_position=contracts(10)))
    order = submitted(engine, make_book())
    assert engine.step(delta()) == [], "it has no id yet"
    engine.step(OrderAccepted(NOW, order, "o1", Qty(0), contracts(10)))
    assert kinds(engine.step(delta())) == ["CancelOrder"]
    assert engine.step(delta()) == [], "asked already"
    engine.step(CancelFailed(NOW, "o1", order, "not_found"))
    assert kinds(engine.step(delta())) == ["CancelOrder"], "a 404 is not proof: ask again"
    assert engine.step(delta(ts=NOW + 2)) == []
    assert kinds(engine.step(delta(ts=NOW + 1 + CANCEL_AGAIN_MS))) == ["CancelOrder"]
    assert kinds(engine.step(OrderCanceled(NOW, "o1", order))) == ["OrderChanged"]
    assert kinds(engine.step(delta())) == ["SubmitOrder"]


def test_a_strategy_cannot_cancel_what_is_not_its_own() -> None:
    engine = make_engine(Probe(once(Cancel("c1"), Cancel("unheard of"))))
    engine.state.orders.add(make_order("c1", order_id="o9", strategy="other"))
    assert engine.step(make_book()) == []


def test_a_person_places_without_a_strategy_and_without_an_expiry() -> None:
    engine = make_engine()
    engine.step(make_book())
    verdict = engine.place(bid(), client_order_id="typed-1")
    assert isinstance(verdict, SubmitOrder)
    assert (verdict.order.client_order_id, verdict.order.expires) == ("typed-1", None)


@pytest.mark.parametrize("later_ms", [0, 61_000])
def test_an_order_that_was_taken_back_before_it_left_counts_nowhere(later_ms: int) -> None:
    engine = make_engine(limits=RiskLimits(max_position=contracts(10), max_book_age_ms=None))
    engine.step(make_book())
    first = engine.place(bid(qty=10), client_order_id="typed-1")
    assert isinstance(first, SubmitOrder)
    assert isinstance(engine.place(bid(qty=10)), OrderRefused), "it counts"
    engine.step(Tick(Ts(NOW + later_ms)))
    engine.state.sent_last_minute()
    engine.take_back(first.order)
    assert (engine.state.orders.live(), engine.state.sent_last_minute()) == ([], {})
    again = engine.place(bid(qty=10), client_order_id="typed-1")
    assert isinstance(again, SubmitOrder)
    assert again.order.created == NOW + later_ms
    assert engine.state.sent_last_minute() == {"": AN_ORDER}


# -- orders and fills -----------------------------------------------------------------------------------------------


def test_a_refusal_and_an_unknown_are_told_apart() -> None:
    engine = make_engine()
    engine.step(make_book())
    first, second = (engine.place(bid(), "probe") for _ in range(2))
    assert isinstance(first, SubmitOrder)
    assert isinstance(second, SubmitOrder)
    assert kinds(engine.step(OrderRejected(NOW, first.order.client_order_id, "invalid_price"))) == ["OrderChanged"]
    effects = engine.step(OrderUnknown(NOW, second.order.client_order_id, "timeout"))
    assert kinds(effects) == ["OrderChanged", "AlertRaised"]
    assert isinstance(effects[1], AlertRaised)
    assert effects[1].text == "buy 10 YES KXA-1 at $0.40 may be live: timeout"
    assert engine.tally.rejected == 1
    assert [order.status for order in engine.state.orders.live()] == [OrderStatus.UNKNOWN]
    assert engine.step(OrderUnknown(NOW, "never heard of", "x")) == []


def test_a_reviewed_order_that_was_not_sent_counts_as_refused() -> None:
    """A halt or the state file can come between the review and the request; `kalshi why` counts it in the same way."""
    engine = make_engine()
    engine.step(make_book())
    for code in ("HALTED", "not_sent", "invalid_price"):
        verdict = engine.place(bid(), "probe")
        assert isinstance(verdict, SubmitOrder)
        engine.step(OrderRejected(NOW, verdict.order.client_order_id, code))
    tally = engine.tally
    assert (tally.intents, tally.orders, tally.rejected, tally.denied) == (3, 1, 1, {"HALTED": 1, "not_sent": 1})


def test_a_fill_is_booked_once_and_told_to_its_strategy(live: tuple[TradingEngine, str]) -> None:
    engine, order = live
    fill = make_fill(client_order_id=order, qty=contracts(4), fee=Money(100))
    effects = engine.step(Filled(NOW, fill))
    assert kinds(effects) == ["FillBooked", "OrderChanged"]
    assert effects[0] == FillBooked(fill, engine.state.orders.get(order)), "in one step, with what it made of its order"
    assert engine.step(Filled(NOW, fill)) == []
    assert engine.state.ledger.position("KXA-1").qty == contracts(4)
    assert engine.tally.fills == engine.tally.maker_fills == 1
    assert engine.tally.win_rate is None, "nothing was closed"


def test_the_fills_of_two_orders_of_ours_that_traded_with_one_another_are_both_booked_from_a_read(
    live: tuple[TradingEngine, str],
) -> None:
    engine, order = live
    bought = make_fill(client_order_id=order, qty=contracts(4))
    sold = make_fill(order_id="o2", side=ASK, qty=contracts(4), subaccount=1)
    engine.step(Filled(NOW, bought))
    read = snapshot(fills=(bought, sold))
    assert [each.fill for each in engine.step(read) if isinstance(each, FillBooked)] == [sold]
    assert [engine.state.ledger.position("KXA-1", number).qty for number in (0, 1)] == [contracts(4), contracts(-4)]
    assert not any(isinstance(each, FillBooked) for each in engine.step(read))


def test_out_of_sight_of_the_account_cancels_go_out_and_orders_do_not() -> None:
    probe = Probe(lambda _: [bid()])
    engine = make_engine(probe)
    order = submitted(engine, make_book())
    engine.step(OrderAccepted(NOW, order, "o1", Qty(0), contracts(10)))
    engine.step(AccountVisibility(NOW, Ts(NOW - 15_000), "timeout"))
    (denied,) = engine.step(delta())
    assert isinstance(denied, OrderRefused)
    assert denied.code == "BLIND"
    probe.answer = lambda _: [Cancel(order)]
    assert kinds(engine.step(delta())) == ["CancelOrder"]
    engine.step(AccountVisibility(NOW, None))
    probe.answer = lambda _: [bid()]
    assert kinds(engine.step(delta())) == ["SubmitOrder"]


def test_closing_fills_are_won_or_lost_after_their_fee(live: tuple[TradingEngine, str]) -> None:
    engine, _ = live
    for name in ("x", "y"):
        engine.state.orders.add(make_order(name, order_id=name, side=ASK, strategy="probe"))
    engine.step(Filled(NOW, make_fill("a", price=cents(40), qty=contracts(10))))
    engine.step(Filled(NOW, make_fill("b", side=ASK, price=cents(42), qty=contracts(5), is_taker=True, order_id="x")))
    engine.step(Filled(NOW, make_fill("c", side=ASK, price=cents(40), qty=contracts(5), order_id="y")))
    assert (engine.tally.won, engine.tally.lost, engine.tally.win_rate) == (1, 1, 0.5)
    assert (engine.tally.maker_fills, engine.tally.taker_fills) == (2, 1)


def test_a_fill_before_its_order_is_known_is_credited_later() -> None:
    probe = Probe(once(bid()))
    engine = make_engine(probe)
    order = submitted(engine, make_book())
    engine.step(OrderUnknown(NOW, order, "timeout"))
    assert kinds(engine.step(Filled(NOW, make_fill(order_id="o1", qty=contracts(3))))) == ["FillBooked"]
    assert engine.state.ledger.position("KXA-1").qty == contracts(3), "the account has it at once"
    assert probe.view is not None
    assert probe.view.position("KXA-1") == 0
    engine.step(OrderAccepted(NOW, order, "o1", contracts(3), contracts(7)))
    assert probe.view.position("KXA-1") == contracts(3)
    assert probe.asked[-1] == "fill t1"
    known = engine.state.orders.get(order)
    assert known is not None
    assert known.filled == contracts(3), "counted once"


def test_a_persons_fill_belongs_to_no_strategy() -> None:
    probe = Probe()
    engine = make_engine(probe)
    engine.state.orders.add(make_order("typed", order_id="o1"))
    assert kinds(engine.step(Filled(NOW, make_fill(order_id="o1")))) == ["FillBooked", "OrderChanged"]
    assert probe.asked == []


def test_a_settlement_pays_once(live: tuple[TradingEngine, str]) -> None:
    engine, _ = live
    engine.step(Filled(NOW, make_fill()))
    assert kinds(engine.step(Settled(NOW, make_settlement()))) == ["SettlementBooked"]
    assert engine.step(Settled(NOW, make_settlement())) == []
    known = engine.state.last_entry
    anew = msgspec.structs.replace(make_settlement(), ts=Ts(known + 5_000))
    assert engine.step(Settled(NOW, anew)) == []
    assert engine.state.last_entry == known, "or one that is dated anew at each read would hide every drift"
    assert engine.state.ledger.realized == Money(6_000_000)
    assert engine.tally.won == 1
    view = StrategyContext(engine.state, "probe")
    assert view.position("KXA-1") == 0
    assert kinds(engine.step(Settled(NOW, make_settlement(ticker="KXB-1")))) == ["SettlementBooked"]
    assert engine.tally.won == 1, "nothing was held there"


# -- the account ----------------------------------------------------------------------------------------------------


def snapshot(**changes: Any) -> AccountSnapshot:
    fields: dict[str, Any] = {
        "as_of": NOW,
        "since": Ts(0),
        "orders": (),
        "fills": (),
        "settlements": (),
        "positions": (),
        "balance": make_balance(),
    }
    return AccountSnapshot(NOW, **(fields | changes))


def stated(qty: int, ticker: str = "KXA-1") -> ExchangePosition:
    zero = Money(0)
    return ExchangePosition(
        ticker=ticker, position=contracts(qty), exposure=zero, realized=zero, fees=zero, traded=zero, updated=NOW
    )


def test_the_account_repairs_what_we_missed_and_twice_changes_nothing() -> None:
    engine = make_engine()
    found = snapshot(
        orders=(
            make_order("", order_id="o7"),
            make_order("c1", order_id="o1", qty=contracts(20), filled=contracts(10)),
        ),
        fills=(make_fill(),),
        settlements=(make_settlement(ticker="KXB-1"),),
        positions=(stated(10),),
    )
    effects = engine.step(found)
    assert sorted(set(kinds(effects))) == ["AlertRaised", "FillBooked", "OrderChanged", "SettlementBooked"]
    assert [effect.code for effect in effects if isinstance(effect, AlertRaised)] == ["FOREIGN_ACTIVITY"] * 2
    assert engine.cash == Money(1_000_000_000)
    assert [order.is_foreign for order in engine.state.orders.live()] == [True, True]
    assert engine.step(found) == []


def test_an_unknown_order_ends_only_by_a_fresh_read_after_its_own_end() -> None:
    engine = make_engine(Probe(once(bid())))
    order = submitted(engine, make_book())
    engine.step(OrderUnknown(NOW, order, "timeout"))
    expires = NOW + 90_000
    for as_of in (NOW, NOW + NEVER_ARRIVED_MARGIN_MS, expires):
        assert engine.step(snapshot(as_of=Ts(as_of))) == []
        assert engine.state.orders.live(), "not there yet is not never there"
    assert kinds(engine.step(snapshot(as_of=Ts(expires + 1)))) == ["OrderChanged"]
    assert engine.state.orders.live() == []
    assert engine.step(OrderNeverArrived(NOW, order)) == []


def test_an_unknown_order_without_expiry_ends_after_the_margin() -> None:
    engine = make_engine()
    engine.state.orders.add(make_order("c1", status=OrderStatus.UNKNOWN))
    assert engine.step(snapshot(as_of=Ts(NOW + NEVER_ARRIVED_MARGIN_MS))) == []
    assert kinds(engine.step(snapshot(as_of=Ts(NOW + NEVER_ARRIVED_MARGIN_MS + 1)))) == ["OrderChanged"]


def test_a_late_order_is_adopted_as_ours() -> None:
    engine = make_engine(Probe(once(bid())))
    order = submitted(engine, make_book())
    engine.step(OrderUnknown(NOW, order, "timeout"))
    engine.step(snapshot(as_of=Ts(NOW + 200_000)))
    late = make_order(order, order_id="o1", updated=Ts(NOW + 300_000))
    engine.step(snapshot(orders=(late,)))
    assert [(o.order_id, o.is_foreign) for o in engine.state.orders.live()] == [("o1", False)]


def test_resting_orders_missing_from_a_list_stay_live(live: tuple[TradingEngine, str]) -> None:
    engine, order = live
    engine.step(OrderState(NOW, make_order(order, order_id="o1")))
    assert engine.step(snapshot(as_of=Ts(NOW + 10_000_000))) == []
    assert len(engine.state.orders.live()) == 1


def test_drift_that_stays_is_an_alert() -> None:
    engine = make_engine()
    assert engine.step(snapshot(positions=(stated(3),))) == [], "a fill may be on its way"
    effects = engine.step(snapshot(positions=(stated(3),)))
    assert kinds(effects) == ["AlertRaised"]
    assert isinstance(effects[0], AlertRaised)
    assert (effects[0].code, effects[0].text) == ("DRIFT", "0 in the state file, 3 on the exchange")
    engine.step(snapshot())
    assert engine.step(snapshot(positions=(stated(3),))) == [], "it starts over once it was gone"


def test_a_difference_is_told_once_until_it_changes() -> None:
    engine = make_engine()
    told = [kinds(engine.step(snapshot(positions=(stated(qty),)))) for qty in (3, 3, 3, 4, 4, 4)]
    assert told == [[], ["AlertRaised"], [], [], ["AlertRaised"], []]


def test_a_snapshot_older_than_our_newest_fill_is_no_drift() -> None:
    engine = make_engine()
    engine.step(Filled(NOW, make_fill(ts=Ts(NOW + 1))))
    lagging = snapshot(as_of=NOW)
    assert engine.step(lagging) == []
    assert engine.step(lagging) == []
    assert engine.step(snapshot(as_of=Ts(NOW + 1))) == []
    assert kinds(engine.step(snapshot(as_of=Ts(NOW + 2)))) == ["AlertRaised"]


# -- commands -------------------------------------------------------------------------------------------------------


def test_a_stop_cancels_own_orders_and_asks_no_strategy_again(live: tuple[TradingEngine, str]) -> None:
    engine, _ = live
    engine.state.orders.add(make_order("typed", order_id="o8"))
    effects = engine.step(StateCommand(NOW, None, "SIGINT"))
    assert [e.order.order_id for e in effects if isinstance(e, CancelOrder)] == ["o1"]
    assert engine.is_stopping
    assert engine.step(delta()) == []


@pytest.mark.parametrize("state", [None, TradingState.HALTED])
def test_a_stop_and_a_halt_cancel_what_another_strategy_left(
    live: tuple[TradingEngine, str], state: TradingState | None
) -> None:
    """Of a run that was killed: nobody else would take it back, and it counts as live when this one ends."""
    engine, _ = live
    engine.state.orders.add(make_order("before", order_id="o7", strategy="of-before"))
    effects = engine.step(StateCommand(NOW, state, "SIGTERM"))
    assert [e.order.order_id for e in effects if isinstance(e, CancelOrder)] == ["o1", "o7"]


def test_a_halt_is_an_effect_and_cancels(live: tuple[TradingEngine, str]) -> None:
    engine, _ = live
    effects = engine.step(StateCommand(NOW, TradingState.HALTED, "cancel-all", "told to"))
    assert kinds(effects) == ["StateChanged", "CancelOrder"]
    assert isinstance(effects[0], StateChanged)
    assert effects[0].state is TradingState.HALTED
    assert engine.step(StateCommand(NOW, TradingState.HALTED, "again")) == []
    assert engine.step(delta()) == [], "strategies sleep"
    assert kinds(engine.step(StateCommand(NOW, TradingState.ACTIVE, "resume", "checked"))) == ["StateChanged"]


# -- memory, and what a strategy sees -------------------------------------------------------------------------------


def test_recall_knows_whose_an_old_fill_is_after_more_orders_than_are_remembered() -> None:
    over = {"strategy": "s", "status": OrderStatus.CANCELED}
    held = make_order("c", order_id="o1", **over)
    later = [make_order(f"c{n}", order_id=f"x{n}", created=Ts(NOW + n), **over) for n in range(MAX_ENDED_ORDERS)]
    engine = make_engine()
    engine.recall([held, *later], [make_fill(), make_fill("t2", order_id="typed")])
    assert engine.state.orders.by_order_id("o1") is None
    assert engine.state.owned("KXA-1", "s") == contracts(10)


def test_recall_gives_back_orders_positions_and_whose_they_are() -> None:
    probe = Probe()
    engine = make_engine(probe)
    mine = make_order("c1", order_id="o1", strategy="probe", filled=contracts(10), status=OrderStatus.FILLED)
    typed = make_order("c2", order_id="o2", filled=contracts(1))
    fills = [make_fill(), make_fill("t2", order_id="o2", qty=contracts(1)), make_fill("t3", order_id="gone")]
    engine.recall([mine, typed], [*fills, fills[0], make_settlement(ticker="KXB-1")])
    engine.step(Tick(NOW))
    assert probe.view is not None
    assert probe.view.position("KXA-1") == contracts(10)
    assert engine.state.ledger.position("KXA-1").qty == contracts(21)
    assert engine.state.last_entry == NOW + 3_600_000
    assert engine.step(Filled(NOW, fills[0])) == [], "booked before the restart"


def test_a_fill_booked_before_its_order_had_an_id_is_credited_after_a_restart() -> None:
    """Killed between the two: the strategy's budget and position counted without it (seed 20009 of the simulation)."""
    engine = make_engine(Probe())
    unanswered = make_order("c1", strategy="probe", status=OrderStatus.SUBMITTED)
    fill = make_fill(order_id="o1", client_order_id="")
    engine.recall([unanswered], [fill])
    assert engine.state.owned("KXA-1", "probe") == 0, "nobody knows yet"
    engine.step(OrderAccepted(NOW, "c1", "o1", contracts(10), Qty(0)))
    assert engine.state.owned("KXA-1", "probe") == contracts(10)


def test_an_order_met_on_the_stream_before_its_reply_is_one_order_after_a_restart() -> None:
    """Its intent was committed by one program; another met it on the stream as foreign."""
    engine = make_engine()
    met = make_order("c1", order_id="o1", is_foreign=True)
    engine.recall([met, make_order("c1", status=OrderStatus.SUBMITTED)], [])
    assert [(order.order_id, order.is_foreign) for order in engine.state.orders.live()] == [("o1", False)]


def test_a_restart_does_not_reset_the_order_rate() -> None:
    engine = make_engine()
    old = make_order("c0", created=Ts(NOW - 60_000))
    foreign = make_order("c9", order_id="o9", is_foreign=True)
    engine.recall([make_order("c2"), foreign, old, make_order("c1", created=Ts(NOW - 5))], [])
    assert engine.state.sent_last_minute() == {"": 2 * AN_ORDER}
    engine.step(Tick(Ts(NOW + 59_995)))
    assert engine.state.sent_last_minute() == {"": AN_ORDER}


def test_what_must_not_rest_is_cancelled_until_it_is_gone(live: tuple[TradingEngine, str]) -> None:
    engine, order = live
    engine.step(StateCommand(NOW, TradingState.HALTED, "cancel-all"))
    engine.step(CancelFailed(NOW, "o1", order, "unanswered"))
    assert kinds(engine.step(Tick(Ts(NOW + 1)))) == ["CancelOrder"]
    assert engine.step(Tick(Ts(NOW + 2))) == [], "asked already"
    assert kinds(engine.step(Tick(Ts(NOW + 1 + CANCEL_AGAIN_MS)))) == ["CancelOrder"]
    engine.step(OrderCanceled(NOW, "o1", order))
    assert engine.step(Tick(Ts(NOW + 9_000))) == []


@pytest.mark.parametrize("answer", ["unanswered", "market_inactive"])
def test_a_cancel_is_asked_for_again_soon_after_the_clock_was_set_back(
    live: tuple[TradingEngine, str], answer: str
) -> None:
    engine, order = live
    engine.step(StateCommand(NOW, TradingState.HALTED, "cancel-all"))
    engine.step(CancelFailed(NOW, "o1", order, answer))
    engine.step(Tick(Ts(NOW + 1)))
    assert kinds(engine.step(Tick(Ts(NOW - 3_600_000)))) == ["CancelOrder"]
    assert engine.step(Tick(Ts(NOW - 3_599_999))) == [], "asked already"


def test_a_cancel_that_a_closed_market_takes_from_nobody_waits_half_a_minute(live: tuple[TradingEngine, str]) -> None:
    engine, order = live
    engine.step(StateCommand(NOW, TradingState.HALTED, "cancel-all"))
    engine.step(CancelFailed(NOW, "o1", order, "market_inactive"))
    assert engine.step(Tick(Ts(NOW + CLOSED_RECHECK_MS))) == []
    assert kinds(engine.step(Tick(Ts(NOW + CLOSED_RECHECK_MS + CANCEL_AGAIN_MS)))) == ["CancelOrder"]


def test_a_reset_of_a_group_that_never_tripped_is_no_news() -> None:
    assert make_engine().step(GroupChange(NOW, "g1", "reset")) == []


def test_two_strategies_never_trade_with_each_other() -> None:
    """F28: the second one's offer would meet the first one's bid."""
    second = Probe()
    second.name = "second"
    engine = make_engine(Probe(once(bid(price=42))), second)
    submitted(engine, make_book())
    second.answer = once(Place("KXA-1", ASK, cents(42), contracts(1)), Place("KXA-1", ASK, cents(43), contracts(1)))
    first, other = [effect for effect in engine.step(delta()) if isinstance(effect, OrderRefused | SubmitOrder)]
    assert isinstance(first, OrderRefused)
    assert first.code == "SELF_CROSS"
    assert isinstance(other, SubmitOrder)
    assert other.order.self_trade_prevention is SelfTradePrevention.TAKER, "and the exchange is told, too"


def test_an_order_of_a_failed_strategy_is_cancelled_once_it_has_an_id() -> None:
    def answer(_: StrategyContext) -> Iterator[Intent]:
        yield bid()
        raise ZeroDivisionError("oops")

    engine = make_engine(Probe(answer))
    effects = engine.step(make_book())
    assert kinds(effects) == ["SubmitOrder", "AlertRaised"]
    assert isinstance(effects[0], SubmitOrder)
    order = effects[0].order.client_order_id
    engine.step(OrderAccepted(NOW, order, "o1", Qty(0), contracts(10)))
    assert kinds(engine.step(Tick(NOW))) == ["CancelOrder"]


def test_fills_of_orders_that_nobody_knows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kalshi_cli.core.engine.unowned_fills.MAX_UNOWNED", 2)
    engine = make_engine()
    for number in range(5):
        engine.step(Filled(NOW, make_fill(f"t{number}", order_id=f"o{number}")))
    assert list(engine._unowned.by_order) == ["o3", "o4"]
    assert engine.state.ledger.position("KXA-1").qty == contracts(50), "the account has them all the same"


def test_the_view_shows_and_cannot_surprise() -> None:
    engine = make_engine(Probe())
    view = StrategyContext(engine.state, "probe")
    engine.step(make_book())
    assert view.now == NOW
    assert view.tickers == ["KXA-1"]
    assert view.book("KXA-1").best_bid == cents(40)
    assert not view.book("KXZ").is_usable
    assert view.market("KXZ") is None
    assert view.position("KXA-1") == 0
    assert view.snap("KXA-1", BID, 4_199) == cents(41)
    assert view.snap("KXZ", BID, 4_199) is None


def test_marks_are_the_price_one_could_leave_at() -> None:
    engine = make_engine(state=make_state(make_market(), make_market("KXA-2"), make_market("KXA-3")))
    state = engine.state
    engine.step(make_book())
    for number, (ticker, side) in enumerate([("KXA-1", BID), ("KXA-2", ASK), ("KXA-3", BID), ("KXGONE-1", BID)]):
        state.ledger.book(make_fill(f"t{number}", ticker=ticker, side=side))
    assert state.marks() == {"KXA-1": cents(40), "KXA-2": cents(44), "KXA-3": cents(40), "KXGONE-1": None}
    state.books["KXA-1"].load((), ((cents(44), contracts(1)),), NOW)
    state.markets["KXA-2"] = make_market("KXA-2", settlement_value=Price(10_000))
    state.ledger.book(make_fill("close", ticker="KXA-3", side=ASK))
    assert state.marks() == {"KXA-1": cents(42), "KXA-2": Price(10_000), "KXGONE-1": None}
    assert make_engine().step(Filled(NOW, make_fill())) == [FillBooked(make_fill())]


def test_booked_effects_carry_what_was_booked() -> None:
    assert make_engine().step(Settled(NOW, make_settlement())) == [SettlementBooked(make_settlement())]
    engine = make_engine(Probe(once(bid())))
    order = submitted(engine, make_book())
    changed = engine.step(OrderAccepted(NOW, order, "o1", Qty(0), contracts(10)))
    assert [effect.order.order_id for effect in changed if isinstance(effect, OrderChanged)] == ["o1"]


# -- order groups -----------------------------------------------------------------------------------------------------


def test_a_group_that_trips_is_an_alert_names_why_its_orders_went_and_takes_no_new_ones():
    engine = make_engine()
    engine.state.trading = TradingState.ACTIVE
    mine = make_order(order_id="o1", status=OrderStatus.RESTING, order_group_id="g1")
    engine.state.orders.add(mine)
    alert, _ = engine.step(GroupChange(Ts(NOW + 1), "g1", "triggered"))
    assert isinstance(alert, AlertRaised)
    assert (alert.tier, alert.code, alert.subject) == ("critical", "GROUP_TRIGGERED", "g1")
    gone = msgspec.structs.replace(mine, status=OrderStatus.CANCELED, updated=Ts(NOW + 2))
    [changed] = engine.step(OrderState(Ts(NOW + 2), gone))
    assert isinstance(changed, OrderChanged)
    assert (changed.order.status, changed.order.code) == (OrderStatus.CANCELED, "GROUP_TRIGGERED")
    again = Place("KXA-1", BID, cents(40), contracts(1), order_group_id="g1")
    refused = engine.place(again)
    assert isinstance(refused, OrderRefused)
    assert refused.code == "GROUP_TRIGGERED"
    assert engine.step(GroupChange(Ts(NOW + 3), "g1", "reset")) == [OrderGroupStateChanged("g1", is_triggered=False)]
    allowed = engine.place(again)
    assert not isinstance(allowed, OrderRefused) or allowed.code != "GROUP_TRIGGERED"


def test_orders_outside_of_the_group_keep_their_own_reason():
    engine = make_engine()
    engine.step(GroupChange(Ts(NOW + 1), "g1", "triggered"))
    for name, group, code in (("c1", "g2", ""), ("c2", "g1", "ExpiryCancel")):
        mine = make_order(name, order_id=name, status=OrderStatus.RESTING, order_group_id=group)
        engine.state.orders.add(mine)
        gone = msgspec.structs.replace(mine, status=OrderStatus.CANCELED, updated=Ts(NOW + 2), code=code)
        [changed] = engine.step(OrderState(Ts(NOW + 2), gone))
        assert isinstance(changed, OrderChanged)
        assert changed.order.code == code


def test_a_position_without_a_bid_is_marked_at_the_last_price_of_the_stream_as_commands_mark_it() -> None:
    engine = make_engine(state=make_state(make_market(last=cents(43))))
    engine.state.ledger.book(make_fill())
    engine.step(make_book())
    engine.state.books["KXA-1"].load((), ((cents(44), contracts(1)),), NOW)
    assert engine.state.marks() == {"KXA-1": cents(43)}
    engine.step(Quote(Ts(NOW + 1), "KXA-1", None, Qty(0), cents(44), contracts(1), cents(38), Qty(0)))
    assert engine.state.marks() == {"KXA-1": cents(38)}
    engine.step(Quote(Ts(NOW + 2), "KXA-1", None, Qty(0), cents(44), contracts(1), None, Qty(0)))
    assert engine.state.marks() == {"KXA-1": cents(38)}, "a quote without a last price changes none"
