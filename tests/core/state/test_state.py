"""What traded counts from the reply on, though its fills come later; and what a strategy may see."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from support.values import NOW, make_engine, make_fill, make_market, make_order, make_settlement, make_state

from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.strategy_runner import Watches
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.effects import OrderRefused, StateChanged, SubmitOrder
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.messages import Filled, MarksUpdate, OrderAccepted, OrderState
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState, mark, mark_source
from kalshi_cli.core.state.view import StrategyContext

OPEN = RiskLimits(min_edge=None, max_book_age_ms=None, max_position=contracts(15), max_exposure=None)


def place(engine: TradingEngine, side: Side = BID, qty: int = 10, strategy: str = "one") -> SubmitOrder | OrderRefused:
    return engine.place(Place("KXA-1", side, cents(42), contracts(qty)), strategy)


def filled_at_once(limits: RiskLimits = OPEN) -> TradingEngine:
    """An order of ten was filled by its reply; the fill itself is still on its way."""
    engine = make_engine(limits=limits)
    submit = place(engine)
    assert isinstance(submit, SubmitOrder)
    engine.step(OrderAccepted(NOW, submit.order.client_order_id, "o1", contracts(10), Qty(0)))
    assert engine.state.orders.live() == []
    assert engine.state.ledger.position("KXA-1").qty == 0
    return engine


def test_what_a_reply_says_was_traded_counts_before_the_fill_comes() -> None:
    engine = filled_at_once()
    assert engine.state.held("KXA-1") == contracts(10)
    denied = place(engine)
    assert isinstance(denied, OrderRefused)
    assert denied.code == "POSITION_LIMIT"
    assert isinstance(place(engine, ASK), SubmitOrder), "the other way is allowed"


def test_it_counts_as_exposure_too() -> None:
    engine = filled_at_once(msgspec.structs.replace(OPEN, max_position=None, max_exposure=dollars(5)))
    assert engine.state.exposure("KXA-1") == engine.state.total_exposure() == dollars("4.20")
    denied = place(engine)
    assert isinstance(denied, OrderRefused)
    assert denied.code == "EXPOSURE"


def test_what_a_reply_says_was_traded_is_held_and_rests_no_more() -> None:
    """Ten YES were bought at 42 for sure: an ask at 40 sells eight of them at a loss of 16 cents, and opens nothing."""
    engine = filled_at_once()
    engine.state.orders.add(
        make_order("out", order_id="o2", side=ASK, price=cents(40), qty=contracts(8), post_only=True)
    )
    assert engine.state.exposure("KXA-1") == dollars("4.20"), "not $4.80, which eight NO would cost"
    engine.state.orders.add(
        make_order("more", order_id="o3", side=ASK, price=cents(40), qty=contracts(10), post_only=True)
    )
    assert engine.state.exposure("KXA-1") == dollars("5.00"), "eight NO at 60, and 20 cents lost on the ten"


def test_what_a_reply_says_was_traded_is_held_by_its_subaccount_and_no_other() -> None:
    engine = filled_at_once()
    engine.state.orders.add(
        make_order("out", order_id="o2", side=ASK, price=cents(40), qty=contracts(8), post_only=True, subaccount=1)
    )
    assert engine.state.exposure("KXA-1") == dollars("9.00"), "ten YES at 42 here, eight NO at 60 there"


def test_what_a_reply_says_was_closed_is_at_risk_no_more() -> None:
    engine = make_engine(limits=OPEN)
    engine.step(Filled(NOW, make_fill(price=cents(40), qty=contracts(10))))
    submit = place(engine, ASK, qty=4)
    assert isinstance(submit, SubmitOrder)
    engine.step(OrderAccepted(NOW, submit.order.client_order_id, "o2", contracts(4), Qty(0)))
    assert engine.state.exposure("KXA-1") == dollars("2.40"), "six of ten are left"


def test_the_fill_takes_its_place_and_counts_once() -> None:
    engine = filled_at_once()
    exposure = engine.state.exposure("KXA-1")
    fill = make_fill(price=cents(42), client_order_id="id1")
    for _ in range(2):
        engine.step(Filled(NOW, fill))
        assert engine.state.orders.untold() == []
        assert engine.state.held("KXA-1") == engine.state.ledger.position("KXA-1").qty == contracts(10)
        assert engine.state.exposure("KXA-1") == exposure


def test_a_strategy_sees_its_own_trades_from_the_reply_on() -> None:
    engine = filled_at_once()
    assert StrategyContext(engine.state, "one").position("KXA-1") == contracts(10)
    assert StrategyContext(engine.state, "two").position("KXA-1") == 0
    engine.step(Filled(NOW, make_fill(client_order_id="id1")))
    assert StrategyContext(engine.state, "one").position("KXA-1") == contracts(10)


def test_a_strategy_knows_what_it_paid_once_the_fill_came_and_no_more_of_what_others_closed() -> None:
    engine = filled_at_once()
    view = StrategyContext(engine.state, "one")
    assert view.cost("KXA-1") is None, "the price is not known yet"
    assert StrategyContext(engine.state, "two").cost("KXA-1") == 0
    engine.step(Filled(NOW, make_fill(price=cents(42), client_order_id="id1")))
    assert view.cost("KXA-1") == dollars("4.20")
    by_hand = make_fill("t2", order_id="theirs", side=ASK, price=cents(50), qty=contracts(4))
    engine.step(Filled(NOW, by_hand))
    assert view.position("KXA-1") == contracts(6)
    assert view.cost("KXA-1") == dollars("2.52")


def test_old_fills_of_a_foreign_order_are_not_waited_for() -> None:
    engine = make_engine(limits=OPEN)
    foreign = make_order("", order_id="theirs", filled=contracts(4))
    engine.step(OrderState(NOW, foreign))
    assert engine.state.orders.live() != []
    assert engine.state.held("KXA-1") == 0


@given(st.lists(st.sampled_from(["accept", "fill1", "fill2", "state"]), max_size=8), st.sampled_from([BID, ASK]))
def test_held_is_never_less_than_what_was_said_to_have_traded(news: list[str], side: Side) -> None:
    """In whatever order reply, statement and two fills come, and however often."""
    engine = make_engine(limits=OPEN)
    submit = place(engine, side)
    assert isinstance(submit, SubmitOrder)
    order, said, booked = submit.order, 0, 0
    for kind in news:
        if kind == "accept":
            engine.step(OrderAccepted(NOW, order.client_order_id, "o1", contracts(10), Qty(0)))
            said = 10
        elif kind == "state":
            stated = msgspec.structs.replace(
                order, order_id="o1", filled=contracts(6), status=OrderStatus.RESTING, updated=Ts(NOW + 1)
            )
            engine.step(OrderState(Ts(NOW + 1), stated))
            said = max(said, 6)
        else:
            qty = {"fill1": 6, "fill2": 4}[kind]
            fill = make_fill(kind, side=side, qty=contracts(qty), client_order_id=order.client_order_id)
            if not engine.state.ledger.is_booked(fill):
                booked += qty
            engine.step(Filled(NOW, fill))
        assert engine.state.held("KXA-1") == side.sign * contracts(max(said, booked))
        event(f"untold: {said > booked}")


def test_the_view_snaps_to_the_grid_of_a_market_it_knows() -> None:
    view = StrategyContext(make_state(), "one")
    assert view.snap("KXA-1", BID, 4_050) == cents(40)
    assert view.snap("KXA-1", ASK, 4_050) == cents(41)
    assert view.snap("KXZ", BID, 4_050) is None


def test_a_view_of_a_market_that_is_not_traded_is_empty() -> None:
    view = StrategyContext(make_state(), "one")
    assert (view.book("KXZ").is_usable, view.market("KXZ"), view.orders("KXZ"), view.position("KXZ")) == (
        False,
        None,
        [],
        0,
    )
    assert view.tickers == ["KXA-1"]


def test_a_fill_is_told_to_its_own_strategy_only() -> None:
    told: list[str] = []

    class Listener:
        is_hedged = False
        watches: Watches = "depth"

        def __init__(self, name: str) -> None:
            self.name = name

        def on_book(self, view: StrategyContext, ticker: str) -> None: ...
        def on_trade(self, view: StrategyContext, trade: object) -> None: ...
        def on_tick(self, view: StrategyContext) -> None: ...

        def on_fill(self, view: StrategyContext, fill: object) -> None:
            told.append(self.name)

    engine = make_engine(Listener("two"), Listener("one"), limits=OPEN)
    submit = place(engine)
    assert isinstance(submit, SubmitOrder)
    engine.step(Filled(NOW, make_fill(client_order_id=submit.order.client_order_id)))
    assert told == ["one"]


def test_the_ledger_gives_back_what_was_booked_market_by_market_in_order() -> None:
    state = EngineState(now=NOW)
    later, early = make_fill("t2", ts=Ts(NOW + 5)), make_fill("t1", ts=NOW)
    other = make_fill("t3", ticker="KXB-1", ts=Ts(NOW + 1))
    settled = make_settlement()
    for fill in (later, early, other, early):
        state.ledger.book(fill)
    state.ledger.settle(settled)
    assert state.ledger.entries == [early, later, settled, other]
    assert state.ledger.position("KXA-1").realized == Money(12_000_000)


@pytest.mark.parametrize(
    ("qty", "bid", "ask", "last", "worth"),
    [
        (10, 40, 44, 42, 40),
        (-10, 40, 44, 42, 44),
        (10, None, 2, 44, 2),
        (10, None, 99, 44, 44),
        (-10, 98, None, 56, 98),
        (-10, 1, None, 56, 56),
        (10, None, 2, None, 2),
        (10, None, None, 44, 44),
        (10, None, None, None, None),
    ],
)
def test_what_nobody_takes_is_worth_no_more_than_others_ask_for_it(
    qty: int, bid: int | None, ask: int | None, last: int | None, worth: int | None
) -> None:
    """The last price can be far from where the market went since; from a book and from the market's quotes alike."""

    def price(at: int | None) -> Price | None:
        return None if at is None else cents(at)

    def levels(at: int | None) -> list[tuple[Price, Qty]]:
        return [] if at is None else [(cents(at), contracts(1))]

    book = OrderBook("KXA-1")
    book.load(levels(bid), levels(ask), NOW)
    stale = make_market(last=price(last))
    quoted = make_market(yes_bid=price(bid), yes_ask=price(ask), last=price(last))
    assert mark(book, stale, contracts(qty)) == mark(None, quoted, contracts(qty)) == price(worth)


def test_nothing_is_known_of_a_market_without_book_and_quotes() -> None:
    assert mark(None, None, contracts(1)) is None
    assert mark_source(None, contracts(1)) is None
    assert mark_source(make_market(last=None, yes_bid=None, yes_ask=None), contracts(1)) is None


@pytest.mark.parametrize(
    ("qty", "quotes", "source"),
    [
        (10, {"yes_bid": cents(40)}, "quote"),
        (10, {"yes_ask": cents(40)}, "estimate"),
        (-10, {"yes_ask": cents(40)}, "quote"),
        (-10, {"yes_bid": cents(40)}, "estimate"),
        (10, {"last": cents(40)}, "estimate"),
        (10, {"yes_bid": cents(40), "settlement_value": cents(0)}, "settlement"),
    ],
)
def test_a_closing_price_that_nobody_bids_is_an_estimate(qty: int, quotes: dict[str, Price], source: str) -> None:
    fields: dict[str, Any] = {"yes_bid": None, "yes_ask": None, "last": None, **quotes}
    market = make_market(**fields)
    assert mark_source(market, contracts(qty)) == source


def test_what_is_held_but_not_traded_has_a_price_and_nothing_else() -> None:
    engine = make_engine(limits=msgspec.structs.replace(OPEN, max_daily_loss=dollars(1)))
    state = engine.state
    for number, (ticker, qty) in enumerate((("KXA-1", 1), ("KXB-1", 1), ("KXC-1", 9), ("KXD-1", 1))):
        state.ledger.book(make_fill(f"t{number}", ticker=ticker, qty=contracts(qty)))
    state.ledger.book(make_fill("gone", ticker="KXD-1", side=ASK, qty=contracts(1)))
    assert state.untraded_held_markets() == ["KXC-1", "KXB-1"], (
        "the most at stake first; none that is traded here, or flat"
    )
    effects = engine.step(MarksUpdate(NOW, (make_market("KXC-1", yes_bid=cents(20)),)))
    assert state.day_net == -dollars("1.80")
    assert [effect.code for effect in effects if isinstance(effect, StateChanged)] == ["DAILY_LOSS"]
    assert (list(state.books), list(state.markets)) == (["KXA-1"], ["KXA-1"])


@pytest.mark.parametrize(
    ("qty", "side", "others", "last", "held_up"),
    [
        (10, BID, 20, None, 20), (10, BID, 41, None, 0), (10, BID, None, 30, 10), (10, BID, None, None, 0),
        (-10, ASK, 60, None, 20), (-10, ASK, 39, None, 0), (-10, ASK, None, 50, 10), (-10, ASK, None, None, 0),
    ],
)  # fmt: skip
def test_a_position_is_held_up_by_what_we_quote_better_than_others(
    qty: int, side: Side, others: int | None, last: int | None, held_up: int
) -> None:
    """We quote 40 c for five on the side that would close it. Without others there the last price counts, as in `mark`;
    without that either nobody knows."""
    state = make_state(make_market(last=None if last is None else cents(last)))
    state.orders.add(make_order(side=side, order_id="o1", price=cents(40), qty=contracts(5)))
    there = ((cents(40), contracts(5)),) + (((cents(others), contracts(9)),) if others is not None else ())
    state.books["KXA-1"].load(there if side is BID else (), () if side is BID else there, NOW)
    assert state.held_up("KXA-1", contracts(qty)) == cents(held_up) * contracts(10)


def test_what_is_settled_or_has_no_book_is_held_up_by_nobody() -> None:
    state = make_state(make_market(settlement_value=cents(0)))
    state.orders.add(make_order(side=BID, order_id="o1", price=cents(40), qty=contracts(5)))
    state.books["KXA-1"].load(((cents(40), contracts(5)), (cents(20), contracts(5))), (), NOW)
    assert state.held_up("KXA-1", contracts(10)) == 0
    assert state.held_up("KXB-1", contracts(10)) == 0
    state.markets["KXA-1"] = make_market()
    assert state.held_up("KXA-1", contracts(10)) == cents(20) * contracts(10), "the companion"


@pytest.mark.parametrize(("qty", "side", "others"), [(10, BID, 20), (-10, ASK, 60)])
def test_an_own_quote_does_not_raise_the_mark_of_a_position(qty: int, side: Side, others: int) -> None:
    state = make_state(make_market(last=None))
    state.orders.add(make_order(side=side, order_id="o1", price=cents(40), qty=contracts(5)))
    there = ((cents(40), contracts(5)), (cents(others), contracts(9)))
    state.books["KXA-1"].load(there if side is BID else (), () if side is BID else there, NOW)
    assert state.external_mark("KXA-1", contracts(qty)) == cents(others)
    state.books["KXA-1"].apply(side, cents(40), contracts(1), NOW)
    assert state.external_mark("KXA-1", contracts(qty)) == cents(40), "a contract of someone else counts"
