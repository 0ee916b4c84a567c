"""Guards that count: requests and orders that fail in a row, and the fall from the best. Each only up to its limit."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from support.values import NOW, make_balance, make_book, make_engine, make_fill, make_market, make_state

from kalshi_cli.base.units import Money, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AlertRaised, Effect, StateChanged, SubmitOrder
from kalshi_cli.core.model.exchange import ExchangeStatus, TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import (
    AccountSnapshot,
    BookSnapshot,
    ExchangeChange,
    FeedGap,
    Filled,
    MarksUpdate,
    OrderAccepted,
    OrderRejected,
    OrderUnknown,
    ReadFailed,
    StateCommand,
    Tick,
)
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.risk.loss_guards import LOSS_CONFIRM_MS
from kalshi_cli.core.state.limits import RiskLimits

ACTIVE, REDUCING, HALTED = TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED
FOUR = RiskLimits(min_edge=None, max_api_errors=4, max_orders_per_minute=None)


def moves(effects: Iterable[Effect]) -> list[tuple[TradingState, str]]:
    return [(effect.state, effect.code) for effect in effects if isinstance(effect, StateChanged)]


def text(effects: Iterable[Effect]) -> str:
    (said,) = [effect.text for effect in effects if isinstance(effect, AlertRaised)]
    return said


@pytest.fixture
def engine() -> TradingEngine:
    engine = make_engine(limits=FOUR)
    engine.step(make_book())
    return engine


def place(engine: TradingEngine) -> Order:
    verdict = engine.place(Place("KXA-1", BID, cents(40), contracts(1)), "s")
    assert isinstance(verdict, SubmitOrder), verdict
    return verdict.order


def refused(engine: TradingEngine, code: str, detail: str = "") -> list[Effect]:
    return engine.step(OrderRejected(engine.state.now, place(engine).client_order_id, code, detail))


def unread(engine: TradingEngine) -> list[Effect]:
    return engine.step(ReadFailed(engine.state.now, "503\x1b[31m from the exchange"))


def read() -> AccountSnapshot:
    return AccountSnapshot(
        NOW, as_of=NOW, since=Ts(0), orders=(), fills=(), settlements=(), positions=(), balance=make_balance()
    )


# -- API_GUARD --------------------------------------------------------------------------------------------------------


def test_reads_that_fail_in_a_row_reduce_until_a_person_resumes(engine: TradingEngine) -> None:
    assert [moves(unread(engine)) for _ in range(3)] == [[]] * 3
    effects = unread(engine)
    assert moves(effects) == [(REDUCING, "API_GUARD")]
    assert "4 requests in a row got no usable response" in text(effects)
    assert "\x1b" not in text(effects)
    assert moves(unread(engine)) == [], "once"
    engine.step(StateCommand(NOW, ACTIVE, "RESUMED", "it is well"))
    assert [moves(unread(engine)) for _ in range(4)][-1] == [(REDUCING, "API_GUARD")], "counted anew"


def test_a_read_that_succeeds_begins_the_count_again(engine: TradingEngine) -> None:
    for _ in range(3):
        unread(engine)
    engine.step(read())
    assert [moves(unread(engine)) for _ in range(4)] == [[], [], [], [(REDUCING, "API_GUARD")]]


def test_an_exchange_that_is_paused_and_says_so_need_not_answer(engine: TradingEngine) -> None:
    engine.step(ExchangeChange(NOW, ExchangeStatus(exchange_active=False, trading_active=False)))
    assert [moves(unread(engine)) for _ in range(30)] == [[]] * 30


def test_orders_without_an_answer_and_failed_reads_are_one_count(engine: TradingEngine) -> None:
    for number in range(2):
        engine.step(OrderUnknown(NOW, place(engine).client_order_id, f"timeout {number}"))
    unread(engine)
    assert moves(unread(engine)) == [(REDUCING, "API_GUARD")]


def test_orders_that_are_refused_in_a_row_reduce(engine: TradingEngine) -> None:
    assert [moves(refused(engine, "invalid_order", "no such flag")) for _ in range(3)] == [[]] * 3
    effects = refused(engine, "insufficient_balance")
    assert moves(effects) == [(REDUCING, "API_GUARD")]
    assert "the exchange rejected 4 orders in a row (insufficient_balance" in text(effects)


def test_an_order_that_is_taken_begins_the_count_of_refusals_again(engine: TradingEngine) -> None:
    for _ in range(3):
        refused(engine, "invalid_order")
    order = place(engine)
    engine.step(OrderAccepted(NOW, order.client_order_id, "o", Qty(0), order.qty))
    assert [moves(refused(engine, "invalid_order")) for _ in range(4)] == [[], [], [], [(REDUCING, "API_GUARD")]]


@pytest.mark.parametrize(
    ("code", "detail"),
    [
        ("invalid_order", "post only cross"), ("fill_or_kill_insufficient_resting_volume", ""), ("market_inactive", ""),
        ("trading_is_paused", ""), ("order_group_triggered", ""), ("rate_limited", ""), ("unreachable", ""),
        ("STALE_DECISION", ""), ("halted", ""),
    ],
)  # fmt: skip
def test_a_refusal_that_a_sound_program_meets_as_well_is_not_counted(
    engine: TradingEngine, code: str, detail: str
) -> None:
    assert [moves(refused(engine, code, detail)) for _ in range(12)] == [[]] * 12


def test_without_the_limit_only_creates_in_a_row_are_counted() -> None:
    engine = make_engine(limits=RiskLimits(min_edge=None, max_api_errors=None))
    engine.step(make_book())
    assert [moves(unread(engine)) for _ in range(30)] == [[]] * 30
    for number in range(3):
        effects = engine.step(OrderUnknown(NOW, place(engine).client_order_id, f"timeout {number}"))
    assert moves(effects) == [(REDUCING, "API_GUARD")]


# -- DRAWDOWN ---------------------------------------------------------------------------------------------------------


def falling(limit: int | None = 2_000_000) -> TradingEngine:
    """Ten contracts bought at 40 c; every cent that the bid moves is 10 c. The limit is two dollars."""
    limits = RiskLimits(min_edge=None, max_daily_loss=None, max_drawdown=None if limit is None else Money(limit))
    engine = make_engine(limits=limits)
    engine.step(make_book())
    engine.step(Filled(NOW, make_fill(order_id="old", qty=contracts(10))))
    return engine


def at(engine: TradingEngine, bid: int) -> list[Effect]:
    """The bid is this now, and time passes."""
    engine.step(make_book(bid, bid + 4, ts=engine.state.now))
    return engine.step(Tick(Ts(engine.state.now + 1)))


def test_a_fall_from_the_best_beyond_the_limit_reduces_although_the_day_won() -> None:
    engine = falling()
    assert [moves(at(engine, bid)) for bid in (40, 70, 50)] == [[]] * 3, "two dollars are not more than two"
    effects = at(engine, 49)
    assert moves(effects) == [(REDUCING, "DRAWDOWN")]
    assert "$2.10 below the account high" in text(effects)
    assert engine.state.trading is REDUCING
    assert moves(at(engine, 30)) == [], "once"


def test_without_a_limit_nothing_falls() -> None:
    engine = falling(limit=None)
    assert [moves(at(engine, bid)) for bid in (90, 2)] == [[]] * 2
    assert engine.state.best_gained is None


def test_it_is_counted_on_what_was_realized_as_well() -> None:
    engine = falling()
    at(engine, 40)
    effects = engine.step(Filled(NOW, make_fill("t2", side=ASK, price=cents(19), qty=contracts(10), is_taker=True)))
    assert moves(effects) == [(REDUCING, "DRAWDOWN")]


def test_a_person_who_resumes_has_it_counted_from_there() -> None:
    engine = falling()
    at(engine, 70)
    at(engine, 49)
    assert moves(engine.step(StateCommand(NOW, ACTIVE, "RESUMED", "seen"))) == [(ACTIVE, "RESUMED")]
    assert moves(at(engine, 30)) == []
    assert moves(at(engine, 28)) == [(REDUCING, "DRAWDOWN")]


def test_the_end_of_a_pause_forgets_no_best() -> None:
    engine = falling()
    at(engine, 70)
    engine.step(StateCommand(NOW, HALTED, "PAUSED", "lunch"))
    at(engine, 55)
    assert moves(engine.step(StateCommand(NOW, ACTIVE, "RESUMED", "back"))) == [(ACTIVE, "RESUMED")]
    assert moves(at(engine, 49)) == [(REDUCING, "DRAWDOWN")]


def test_the_best_of_an_earlier_run_counts() -> None:
    engine = falling()
    engine.state.best_gained = Money(5_000_000)
    assert moves(at(engine, 69)) == [(REDUCING, "DRAWDOWN")]


def test_what_nobody_knows_a_price_of_is_no_best() -> None:
    """Held in a market that is not traded here, and not read yet: it counts at what it cost."""
    engine = falling()
    engine.step(Filled(NOW, make_fill("t2", order_id="x", ticker="KXB-1", qty=contracts(100))))
    at(engine, 40)
    assert engine.state.best_gained is None or engine.state.best_gained <= 0
    before = engine.state.best_gained
    at(engine, 90)
    assert engine.state.best_gained == before, "it may be much less"
    known = make_market("KXB-1", status=MarketStatus.ACTIVE, yes_bid=cents(40))
    engine.step(MarksUpdate(NOW, (known,)))
    assert engine.state.best_gained == Money(5_000_000), "the companion"


def test_a_gap_is_no_fall() -> None:
    engine = falling()
    at(engine, 70)
    engine.step(BookSnapshot(engine.state.now, "KXA-1", ((cents(0), contracts(1)),), ()))
    assert moves(engine.step(Tick(Ts(engine.state.now + 1)))) == []


def test_what_a_loop_writes_down_as_gained_is_what_a_drawdown_is_counted_from() -> None:
    """In a gap the last price stands, not that of the listing; and what has no price is no gain at all."""
    engine = falling()
    at(engine, 10)
    assert engine.gained == Money(-3_000_000)
    engine.step(FeedGap(engine.state.now, ("KXA-1",), "seq"))
    assert engine.gained == Money(-3_000_000)
    engine.step(Filled(NOW, make_fill("t2", order_id="x", ticker="KXB-1", qty=contracts(100))))
    assert engine.gained is None


# -- what our own quotes hide -----------------------------------------------------------------------------------------

LOSS = RiskLimits(min_edge=None, max_daily_loss=Money(1_500_000), max_drawdown=None)
FALL = RiskLimits(min_edge=None, max_daily_loss=None, max_drawdown=Money(1_500_000))
STEP_MS = 2_000


class Quoting:
    """Ten contracts bought at 40 c, and a bid of our own for five at 40 c. Others bid 20 c for a hundred."""

    def __init__(self, limits: RiskLimits, *, are_own_in_books: bool = True) -> None:
        self.engine = make_engine(limits=limits, state=make_state(are_own_in_books=are_own_in_books))
        self.book(own=0, others=100)
        self.engine.step(Filled(NOW, make_fill(order_id="old", qty=contracts(10))))
        self.order = self.quote()

    def quote(self) -> Order:
        verdict = self.engine.place(Place("KXA-1", BID, cents(40), contracts(5)), "s")
        assert isinstance(verdict, SubmitOrder), verdict
        name = verdict.order.client_order_id
        self.engine.step(OrderAccepted(self.engine.state.now, name, f"x-{name}", Qty(0), contracts(5)))
        return verdict.order

    def book(self, *, own: int, others: int = 0) -> None:
        """At 40 c there stand so many of ours and of others."""
        top = ((cents(40), contracts(own + others)),) if own + others else ()
        bids, asks = (*top, (cents(20), contracts(100))), ((cents(44), contracts(100)),)
        self.engine.step(BookSnapshot(self.engine.state.now, "KXA-1", bids, asks))

    def look(self, after_ms: int = STEP_MS) -> list[tuple[TradingState, str]]:
        return moves(self.engine.step(Tick(Ts(self.engine.state.now + after_ms))))


@pytest.mark.parametrize(("limits", "code"), [(LOSS, "DAILY_LOSS"), (FALL, "DRAWDOWN")])
def test_a_loss_that_only_our_own_bid_hides_is_found_once_it_lasts(limits: RiskLimits, code: str) -> None:
    run = Quoting(limits)
    run.look(0)
    run.book(own=5)
    assert run.look(0) == []
    assert run.look(LOSS_CONFIRM_MS - 1) == [], "it may be an order on its way"
    effects = run.engine.step(Tick(Ts(run.engine.state.now + 1)))
    assert moves(effects) == [(REDUCING, code)]
    assert "$2.00" in text(effects)
    assert ("was $2.00 ($2.00 of it at prices without your own orders)" in text(effects)) is (code == "DAILY_LOSS")
    assert run.engine.day_net == dollars(-2), "what is shown is what a close could pay"
    assert run.look() == [], "once"


@pytest.mark.parametrize(("limits", "code"), [(LOSS, "DAILY_LOSS"), (FALL, "DRAWDOWN")])
def test_a_loss_that_is_hidden_is_found_as_soon_after_the_clock_was_set_back(limits: RiskLimits, code: str) -> None:
    run = Quoting(limits)
    run.look(0)
    run.book(own=5)
    run.look(0)
    assert run.look(-3_600_000) == []
    run.book(own=5)
    assert run.look(LOSS_CONFIRM_MS) == [(REDUCING, code)]


@pytest.mark.parametrize(("limits", "code"), [(LOSS, "DAILY_LOSS"), (FALL, "DRAWDOWN")])
def test_without_a_bid_of_ours_the_same_prices_act_at_once(limits: RiskLimits, code: str) -> None:
    run = Quoting(limits)
    run.look(0)
    run.book(own=0)
    assert run.look(0) == [(REDUCING, code)]


@pytest.mark.parametrize("limits", [LOSS, FALL])
def test_where_others_bid_beside_us_nothing_is_lost(limits: RiskLimits) -> None:
    run = Quoting(limits)
    run.book(own=5, others=1)
    assert [run.look(LOSS_CONFIRM_MS) for _ in range(4)] == [[]] * 4


@pytest.mark.parametrize("limits", [LOSS, FALL])
def test_a_quote_that_the_book_does_not_show_yet_stops_nothing(limits: RiskLimits) -> None:
    """Five of others stand there. Each of our quotes is ours before the book shows it: then all five look like ours."""
    run = Quoting(limits)
    for _ in range(3 * LOSS_CONFIRM_MS // STEP_MS):
        run.book(own=0, others=5)
        assert run.engine.state.held_up("KXA-1", contracts(10)) == Money(2_000_000), "so it looks for a moment"
        assert run.look() == []
        run.book(own=5, others=5)
        assert run.look() == []


@pytest.mark.parametrize("limits", [LOSS, FALL])
def test_while_the_book_is_unknown_what_it_hides_is_too(limits: RiskLimits) -> None:
    run = Quoting(limits)
    run.book(own=0, others=5)
    run.look()
    run.engine.step(FeedGap(run.engine.state.now, ("KXA-1",), "seq"))
    assert [run.look(LOSS_CONFIRM_MS) for _ in range(4)] == [[]] * 4


@pytest.mark.parametrize("limits", [LOSS, FALL])
def test_on_paper_our_quotes_are_in_no_book_and_hide_nothing(limits: RiskLimits) -> None:
    run = Quoting(limits, are_own_in_books=False)
    run.book(own=0, others=5)
    assert [run.look(LOSS_CONFIRM_MS) for _ in range(4)] == [[]] * 4


def test_who_resumes_while_our_bid_still_hides_the_loss_of_the_day_is_stopped_again_at_once() -> None:
    run = Quoting(LOSS)
    run.book(own=5)
    assert [run.look(LOSS_CONFIRM_MS) for _ in range(2)] == [[], [(REDUCING, "DAILY_LOSS")]]
    effects = run.engine.step(StateCommand(run.engine.state.now, ACTIVE, "RESUMED", "seen"))
    assert moves(effects) == [(ACTIVE, "RESUMED"), (REDUCING, "DAILY_LOSS")]


def test_a_fall_that_our_bid_hid_is_accepted_by_who_resumes() -> None:
    run = Quoting(FALL)
    run.look(0)
    run.book(own=5)
    assert [run.look(LOSS_CONFIRM_MS) for _ in range(2)] == [[], [(REDUCING, "DRAWDOWN")]]
    assert moves(run.engine.step(StateCommand(run.engine.state.now, ACTIVE, "RESUMED", "seen"))) == [
        (ACTIVE, "RESUMED")
    ]
    assert [run.look(LOSS_CONFIRM_MS) for _ in range(3)] == [[]] * 3
    assert run.engine.gained == Money(-2_000_000)


def test_the_best_is_what_others_pay_not_what_we_bid_ourselves() -> None:
    run = Quoting(FALL)
    state = run.engine.state
    found: list[Money | None] = []
    state.best_gained = None
    for others in (0, 1):
        run.book(own=5, others=others)
        run.look()
        found.append(state.best_gained)
    assert found == [Money(-2_000_000), Money(0)]


def test_before_any_best_is_known_nothing_has_fallen() -> None:
    """Held in a market that nobody read yet, and what our own bid hides elsewhere: there is nothing to fall from."""
    run = Quoting(FALL)
    run.engine.step(Filled(NOW, make_fill("t9", order_id="x", ticker="KXB-1", qty=contracts(1))))
    run.engine.state.best_gained = None
    run.book(own=5)
    assert [run.look(LOSS_CONFIRM_MS) for _ in range(3)] == [[]] * 3
    assert run.engine.state.best_gained is None
