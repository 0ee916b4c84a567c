"""The arbitrage strategy: the legs it sends, in which order, and what becomes of a basket that is only half there."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.tape import NO_LIMITS, T0, StrategyHarness, market, submitted_orders

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Money, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.account.sizing import Sizing, StrategyAllocation
from kalshi_cli.core.model.effects import Effect, OrderRefused, SubmitOrder
from kalshi_cli.core.model.markets import Family, FeeSchedule, MarketStatus
from kalshi_cli.core.model.messages import BookSnapshot, Filled, MarketChange, OrderUnknown
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.arbitrage import Arbitrage

EVENT = "KXE-26"
A, B, C = (f"{EVENT}-{name}" for name in "ABC")
CLEAR = ((20, 22), (20, 22), (20, 22))
GOOD = ((45, 46), (40, 41), (30, 31))
"""The bids are 115 cents, and three fees about 5."""


def arbitrage(**given: object) -> Arbitrage:
    strategy = registry.make("arbitrage", given)
    assert isinstance(strategy, Arbitrage)
    return strategy


class Played:
    """A tape of one event with three markets; prices in cents, counts in contracts."""

    def __init__(
        self,
        *,
        tickers: tuple[str, ...] = (A, B, C),
        exclusive: bool = True,
        limits: RiskLimits = NO_LIMITS,
        latency_ms: int = 0,
        before: tuple[tuple[Order, Fill], ...] = (),
        **given: Any,
    ) -> None:
        self.tickers = tickers
        self.tape = StrategyHarness(arbitrage(**given), limits=limits, latency_ms=latency_ms)
        self.tape.recall([order for order, _ in before], [fill for _, fill in before])
        for _, fill in before:
            self.tape.venue.ledger.book(fill)
        family = Family(event_ticker=EVENT, series_ticker="KXE", is_exclusive=exclusive)
        for ticker in tickers:
            strike = ticker.rpartition("-T")[2]
            terms = {"strike_type": "greater", "floor_strike": float(strike)} if strike.isdigit() else {}
            listed = market(ticker, event_ticker=EVENT, **terms)
            self.tape.play(MarketChange(T0, listed, FeeSchedule(), family))

    def book(
        self, ticker: str, bid: int | None, ask: int | None, size: float = 100, after: float = 0.0
    ) -> list[Effect]:
        self.tape.at += after
        qty = Qty(int(size * 100))
        bids, asks = (((cents(price), qty),) if price else () for price in (bid, ask))
        return self.tape.play(BookSnapshot(self.tape.now, ticker, bids, asks))

    def books(self, *quotes: tuple[int | None, int | None], size: float = 100, after: float = 0.1) -> list[Effect]:
        """All books at once, the first `after` seconds later."""
        effects: list[Effect] = []
        for place, (ticker, quote) in enumerate(zip(self.tickers, quotes, strict=True)):
            effects += self.book(ticker, *quote, size=size, after=after if place == 0 else 0.001)
        return effects

    def tick(self, after: float = 1.0) -> list[Effect]:
        return self.tape.tick(after)

    def held(self) -> list[int]:
        """In contracts, as the strategy sees it."""
        view = StrategyContext(self.tape.engine.state, "arbitrage")
        return [view.position(ticker) // 100 for ticker in self.tickers]

    def cash(self) -> Money:
        return self.tape.engine.state.ledger.cash

    def worst(self) -> Money:
        """What is left of everything in the worst outcome of an exclusive event of which nothing need win."""
        ledger = self.tape.engine.state.ledger
        held = [ledger.position(ticker).qty for ticker in self.tickers]
        losers = sum(-qty for qty in held if qty < 0) * ONE_DOLLAR
        winners = [qty * ONE_DOLLAR for qty in held]
        return Money(self.cash() + losers + min(0, *winners))


def terms(effects: list[Effect]) -> list[tuple[str, str, int, int]]:
    return [
        (order.ticker.rpartition("-")[2], order.side.value, order.price // 100, order.qty // 100)
        for order in submitted_orders(effects)
    ]


def half_filled(**given: Any) -> Played:
    """NO of A is held, the orders for B and C were submitted_orders when those bids had just gone."""
    played = Played(latency_ms=150, **given)
    played.books(*GOOD)
    played.tick(0.2)
    played.book(B, 30, 41)
    played.book(C, 24, 31)
    played.tick(0.2)
    assert played.held() == [-5, 0, 0]
    return played


# -- a basket from end to end -----------------------------------------------------------------------------------------


def test_the_thinnest_leg_goes_first_and_the_others_for_what_it_filled() -> None:
    played = Played()
    played.book(A, 45, 46)
    played.book(B, 40, 41, size=3)
    (first,) = submitted_orders(played.book(C, 30, 31))
    assert (first.ticker, first.side, first.price, first.qty) == (B, ASK, cents(40), contracts(3))
    assert (first.tif, first.reduce_only, first.post_only) == (TimeInForce.IOC, False, False)
    assert first.reason == "no of 3 earns $0.0911"
    rest = submitted_orders(played.tick(0.1))
    assert sorted((o.ticker, o.price // 100, o.qty) for o in rest) == [(A, 45, contracts(3)), (C, 30, contracts(3))]
    played.tick(0.1)
    assert played.held() == [-3, -3, -3]
    assert played.worst() > 0
    assert submitted_orders([effect for _ in range(20) for effect in played.tick()]) == [], "and is held"


def test_a_first_leg_that_fills_in_part_makes_a_smaller_basket() -> None:
    played = Played(latency_ms=50)
    played.books(*GOOD)
    played.book(A, 45, 46, size=2)
    for _ in range(3):
        played.tick(0.1)
    assert terms(played.tape.effects)[1:] == [("B", "ask", 40, 2), ("C", "ask", 30, 2)]
    assert played.held() == [-2, -2, -2]


def test_a_first_leg_that_misses_ends_it_and_the_event_is_left_alone_for_a_while() -> None:
    played = Played(retry_s="10", latency_ms=50)
    assert terms(played.books(*GOOD)) == [("A", "ask", 45, 5)]
    assert submitted_orders(played.book(A, 44, 46)) == []
    assert submitted_orders(played.tick(0.1)) == []
    assert played.held() == [0, 0, 0]
    assert submitted_orders(played.books(*CLEAR)) == []
    assert submitted_orders(played.books(*GOOD)) == []
    assert len(submitted_orders(played.tick(11))) == 1


def test_each_leg_is_worth_what_the_basket_pays_less_what_the_others_cost() -> None:
    played = Played()
    played.books(*GOOD)
    played.tick(0.1)
    orders = submitted_orders(played.tape.effects)
    assert len(orders) == 3
    for order in orders:
        others = sum(ONE_DOLLAR - other.price for other in orders if other is not order)
        worth = 2 * ONE_DOLLAR - others
        assert order.fair is not None
        assert 0 < order.fair - (ONE_DOLLAR - worth) < cents(5), "and the fees of the others, which are no part of it"
        assert order.price - order.fair > 911, "it leaves 9.11 cents, after its own fee"


def test_the_basket_as_a_whole_must_leave_the_margin_of_the_risk_limits() -> None:
    played = Played(limits=RiskLimits(min_edge=cents(9), max_book_age_ms=None))
    played.books(*GOOD)
    played.tick(0.1)
    played.tick(0.1)
    assert played.held() == [-5, -5, -5]
    strict = Played(limits=RiskLimits(min_edge=cents(10), max_book_age_ms=None))
    effects = strict.books(*GOOD)
    assert [effect.code for effect in effects if isinstance(effect, OrderRefused)] == ["MIN_EDGE"]
    assert not [effect for _ in range(5) for effect in strict.tick() if isinstance(effect, OrderRefused)], (
        "not every second"
    )


def with_(limits: RiskLimits = NO_LIMITS, **changes: Any) -> RiskLimits:
    return msgspec.structs.replace(limits, **changes)


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (with_(max_spread=cents(20)), "SPREAD"),
        (with_(max_exposure=dollars(4)), "EXPOSURE"),
        (with_(max_orders_per_minute=2), "ORDER_RATE"),
        (with_(max_live_orders=2), "LIVE_ORDERS"),
        (with_(allotments={"arbitrage": StrategyAllocation(budget=dollars(4))}), "BUDGET"),
    ],
)
def test_no_leg_is_bought_where_a_control_would_refuse_a_later_one(limits: RiskLimits, code: str) -> None:
    """It would have to be sold again at a loss, and that again and again."""
    wide = ((45, 46), (40, 41), (30, 55))
    assert submitted_orders(Played().books(*wide)), "it is a bargain"
    played = Played(limits=limits)
    for _ in range(30):
        played.books(*wide)
        played.tick()
    denied = [effect.code for effect in played.tape.effects if isinstance(effect, OrderRefused)]
    assert submitted_orders(played.tape.effects) == []
    assert set(denied) == {code}


def test_a_locked_market_keeps_its_whole_event_from_being_bought() -> None:
    played = Played()
    played.tape.engine.state.locks[C] = Ts(T0 + 3_600_000)
    assert submitted_orders(played.books(*GOOD)) == []
    (denied,) = (effect for effect in played.tape.effects if isinstance(effect, OrderRefused))
    assert (denied.ticker, denied.code) == (C, "LOCKED")
    assert denied.detail.endswith(f"needed by {A}")


def test_an_event_that_is_not_exclusive_or_too_dear_is_left_alone() -> None:
    assert submitted_orders(Played(exclusive=False).books(*GOOD)) == []
    assert submitted_orders(Played().books((40, 41), (33, 34), (30, 31))) == []
    assert submitted_orders(Played(min_edge="10c").books(*GOOD)) == []
    assert submitted_orders(Played(max_legs=2).books(*GOOD)) == []


def test_all_yes_are_bought_only_where_the_operator_vouches_for_it() -> None:
    cheap = ((28, 30), (28, 30), (28, 30))
    assert submitted_orders(Played().books(*cheap)) == []
    assert submitted_orders(Played(exhaustive="KXE:4").books(*cheap)) == []
    assert submitted_orders(Played(exhaustive="KXE:4,KXF:3").books(*cheap)) == []
    played = Played(exhaustive="KX:9,KXE:3")
    played.books(*cheap)
    played.tick(0.1)
    played.tick(0.1)
    assert played.held() == [5, 5, 5]
    assert submitted_orders(played.tick()) == []


def test_a_ladder_is_a_pair_of_yes_and_no() -> None:
    low, high = f"{EVENT}-T10", f"{EVENT}-T20"
    played = Played(tickers=(low, high), exclusive=False)
    played.books((48, 50), (60, 62))
    played.tick(0.1)
    played.tick(0.1)
    assert played.held() == [5, -5]
    assert submitted_orders(played.books((60, 62), (48, 50))) == [], "in profit, and held for what may come on top"


def test_a_share_of_the_money_is_that_of_the_dearest_leg() -> None:
    """Five dollars pay for six NO of C at 70 cents and its fee; and for nothing while the balance is not known."""
    share = StrategyAllocation(sizing=Sizing(kind="fraction", fraction=0.05))
    played = Played(limits=RiskLimits(min_edge=None, max_book_age_ms=None, allotments={"arbitrage": share}))
    assert submitted_orders(played.books(*GOOD)) == []
    played.tape.engine.state.cash_besides = dollars(100)
    assert terms(played.tick()) == [("A", "ask", 45, 6)]


def test_a_paused_market_is_in_no_basket() -> None:
    played = Played()
    paused = market(A, event_ticker=EVENT, status=MarketStatus.INACTIVE)
    played.tape.play(MarketChange(played.tape.now, paused))
    played.tick()
    assert not [effect for effect in played.books(*GOOD) if isinstance(effect, SubmitOrder | OrderRefused)], (
        "nor asked for"
    )


def test_messages_that_leave_the_best_prices_alone_are_not_looked_at() -> None:
    played = Played()
    looked: list[str] = []
    strategy = played.tape.engine.hooks._running[0].strategy
    inner = strategy._look  # type: ignore[attr-defined]
    strategy._look = lambda view, name: looked.append(name) or inner(view, name)  # type: ignore[attr-defined]
    played.books(*CLEAR)
    assert len(looked) == 3
    played.books(*CLEAR, size=77)
    assert len(looked) == 3
    played.books((21, 22), *CLEAR[1:])
    assert len(looked) == 4


# -- a basket that is only half there ---------------------------------------------------------------------------------


def test_what_is_missing_is_bought_dearer_up_to_the_loss_that_is_allowed() -> None:
    played = half_filled(max_repair_loss="8c", repair_s="5")
    played.tick(1)
    orders = [order for order in submitted_orders(played.tape.effects) if order.reason == "complete basket"]
    assert [(o.ticker, o.price, o.qty) for o in orders] == [(B, cents(30), contracts(5)), (C, cents(24), contracts(5))]
    played.tick(0.2)
    assert played.held() == [-5, -5, -5]
    assert 0 > played.worst() >= -5 * 80_000
    assert submitted_orders(played.tick(30)) == []


def test_a_price_that_came_back_completes_the_basket_without_a_loss() -> None:
    played = half_filled()
    played.book(B, 40, 41)
    played.book(C, 30, 31, after=1)
    played.tick(0.2)
    assert played.held() == [-5, -5, -5]
    assert played.worst() > 0


def test_what_would_lose_more_is_sold_at_the_best_price_once_the_time_is_over() -> None:
    played = half_filled(repair_s="3")
    assert submitted_orders(played.tick(1)) == []
    assert submitted_orders(played.tick(1)) == []
    (out,) = submitted_orders(played.tick(1))
    assert (out.ticker, out.side, out.price, out.qty) == (A, BID, cents(46), contracts(5))
    assert (out.tif, out.reduce_only, out.reason) == (TimeInForce.IOC, True, "incomplete basket")
    played.tick(0.2)
    assert played.held() == [0, 0, 0]
    assert played.worst() == played.cash() < 0


def test_an_event_whose_baskets_break_is_tried_ever_more_rarely() -> None:
    """A leg that is quoted and never there: each try costs the way to the bid and two fees."""
    played = Played(latency_ms=150, repair_s="0", retry_s="10")
    tries: list[float] = []
    while len(tries) < 4:
        if not submitted_orders(played.books(*GOOD, after=1.0) + played.tick(0.01)):
            assert played.tape.at < 300
            continue
        tries.append(played.tape.at)
        played.tick(0.2)
        played.book(B, 30, 41)
        played.book(C, 24, 31)
        for _ in range(3):
            played.tick()
        assert played.held() == [0, 0, 0]
    waited = [later - sooner for sooner, later in pairwise(tries)]
    assert [round(each, -1) for each in waited] == [20, 40, 80]


def test_a_leg_that_filled_in_part_leaves_a_smaller_basket_and_the_rest_is_sold() -> None:
    played = Played(repair_s="2", latency_ms=50)
    played.books(*GOOD)
    played.tick(0.1)
    played.book(B, 40, 41, size=3)
    played.tick(0.1)
    assert played.held() == [-5, -3, -5]
    played.book(B, 15, 41)
    played.tick(1)
    played.tick(2)
    played.tick(0.1)
    assert played.held() == [-3, -3, -3]
    assert {o.reason for o in submitted_orders(played.tape.effects) if o.reduce_only} == {
        "more contracts in this leg than in the others"
    }


def test_what_nobody_buys_waits_for_somebody_who_does() -> None:
    played = half_filled(repair_s="0")
    played.book(A, 45, None)
    assert submitted_orders(played.tick(5)) == []
    played.book(A, 45, 50)
    (out,) = submitted_orders(played.tick(1))
    assert (out.ticker, out.price) == (A, cents(50))


def test_an_order_of_unknown_fate_is_waited_for() -> None:
    played = Played()
    (first,) = submitted_orders(played.books(*GOOD))
    played.tape.venue._on_the_way.clear()
    played.tape.engine.step(OrderUnknown(played.tape.now, first.client_order_id, "no answer"))
    assert [submitted_orders(played.tick(10)) for _ in range(10)] == [[]] * 10


def test_a_market_that_stopped_trading_is_not_sold_into() -> None:
    played = half_filled(repair_s="0")
    paused = market(A, event_ticker=EVENT, status=MarketStatus.CLOSED)
    played.tape.play(MarketChange(played.tape.now, paused))
    assert submitted_orders(played.tick(5)) == []


# -- after a restart --------------------------------------------------------------------------------------------------


def earlier(ticker: str, price: int, qty: int, side: Side = ASK) -> tuple[Order, Fill]:
    ids = {"client_order_id": f"old-{ticker}", "order_id": f"o-{ticker}", "ticker": ticker, "side": side}
    common: dict[str, Any] = {**ids, "price": cents(price), "qty": contracts(qty)}
    order = Order(
        **common, status=OrderStatus.FILLED, filled=contracts(qty), created=T0, updated=T0, strategy="arbitrage"
    )
    return order, Fill(trade_id=f"t-{ticker}", fee=Money(0), is_taker=True, ts=Ts(T0 - 60_000), **common)


def restarted(*before: tuple[Order, Fill], **given: Any) -> Played:
    return Played(before=before, **given)


def test_a_whole_basket_of_an_earlier_run_is_held() -> None:
    played = restarted(earlier(A, 45, 5), earlier(B, 40, 5), earlier(C, 30, 5))
    assert submitted_orders(played.books((45, 46), (44, 45), (30, 31)) + played.tick() + played.tick()) == []
    assert submitted_orders(played.books((10, 11), (10, 11), (10, 11)) + played.tick()) == [], "nor sold when that pays"
    assert played.held() == [-5, -5, -5]


@pytest.mark.parametrize("limits", [with_(stop_loss_pct=50), with_(take_profit_pct=130)])
def test_neither_stop_loss_nor_take_profit_tears_a_basket_apart(limits: RiskLimits) -> None:
    """One market of it always falls, and the others rise by as much."""
    played = Played(limits=limits)
    played.books(*GOOD)
    played.tick(0.1)
    played.tick(0.1)
    sure = played.worst()
    for _ in range(15):
        played.books((85, 86), (10, 11), (3, 4))
        played.tick()
    assert played.held() == [-5, -5, -5]
    assert played.worst() == sure > 0


def test_half_a_basket_of_an_earlier_run_is_sold() -> None:
    played = restarted(earlier(A, 45, 5), earlier(B, 40, 5))
    played.books((45, 46), (40, 41), (30, 31))
    played.tick()
    played.tick(0.1)
    assert terms(played.tape.effects) == [("A", "bid", 46, 5), ("B", "bid", 41, 5)]
    assert played.held() == [0, 0, 0]


def test_what_is_left_of_a_basket_of_which_a_market_paid_is_not_torn_apart() -> None:
    """A settled NO and is gone: of B and C at most one can win, and nobody pays as much as that is worth."""
    played = restarted(earlier(B, 40, 5), earlier(C, 30, 5))
    played.books((None, None), (53, 54), (46, 47))
    assert submitted_orders(played.tick() + played.tick()) == []


def test_a_person_who_sells_a_leg_leaves_the_rest_to_be_sold() -> None:
    played = restarted(earlier(A, 45, 5), earlier(B, 40, 5), earlier(C, 30, 5))
    played.books(*GOOD)
    _, by_hand = earlier(A, 45, 5, BID)
    changed = {"trade_id": "by hand", "order_id": "theirs", "client_order_id": "", "ts": played.tape.now}
    fill = msgspec.structs.replace(by_hand, **changed)
    played.tape.venue.ledger.book(fill)
    played.tape.play(Filled(played.tape.now, fill))
    played.tick()
    played.tick(0.1)
    assert played.held() == [0, 0, 0]


# -- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["KXE", "KXE:", ":3", "KXE:1", "KXE:x", "KXE:101", "KX E:3", "KXE:3,"])
def test_what_is_exhaustive_is_a_list_of_prefixes_with_the_number_of_markets(text: str) -> None:
    with pytest.raises(UsageError, match="exhaustive"):
        arbitrage(exhaustive=text)


# -- whatever the books do --------------------------------------------------------------------------------------------

quotes = st.tuples(st.integers(20, 60), st.integers(1, 3), st.sampled_from([0.5, 2.0, 5.0, 100.0]))
steps = st.one_of(
    st.tuples(st.just("book"), st.integers(0, 2), quotes),
    st.tuples(st.just("tick"), st.sampled_from([0.1, 1.0, 5.0]), st.none()),
)


def play(played: Played, script: Any) -> None:
    for kind, first, second in script:
        if kind == "tick":
            played.tick(first)
        else:
            bid, spread, size = second
            played.book(played.tickers[first], bid, bid + spread, size=size, after=0.2)


def assert_bounded(played: Played) -> str:
    """After books that stand still long enough: nothing, a whole basket, or what is worth more than others pay."""
    for _ in range(12):
        played.tick(1)
    held = played.held()
    if not any(held):
        return "nothing" if not submitted_orders(played.tape.effects) else "flat again"
    view = StrategyContext(played.tape.engine.state, "arbitrage")
    legs = [ticker for ticker in played.tickers if view.position(ticker)]
    sizes = {abs(view.position(ticker)) for ticker in legs}
    assert len(sizes) == 1, held
    (qty,) = sizes
    assert qty <= contracts(5)
    paid = sum(view.cost(ticker) or 0 for ticker in legs)
    fees = len(legs) * 20_000 * qty // 100
    pays = (len(legs) - 1) * ONE_DOLLAR
    if pays * qty - paid >= -cents(1) * qty - fees:
        return "whole"
    assert 0 < sum(ONE_DOLLAR - (view.book(ticker).best_ask or 0) for ticker in legs) <= pays, held
    return "kept"


@settings(max_examples=60, deadline=None)
@given(st.lists(steps, min_size=5, max_size=40), st.sampled_from([0, 150, 1_500]))
def test_it_ends_with_nothing_or_with_a_whole_basket(script: Any, latency_ms: int) -> None:
    played = Played()
    played.tape.venue._latency_ms = latency_ms
    play(played, [*script])
    for ticker in played.tickers:
        played.book(ticker, 30, 32, after=0.1)
    event(assert_bounded(played))


later = st.tuples(st.integers(5, 60), st.integers(1, 6), st.sampled_from([5.0, 100.0]))


def loss_allowed(played: Played, moved: dict[str, tuple[int, int]]) -> int:
    """What repairs may lose, with a cent a leg; and of every NO that was bought the way from its price to the best that
    there is now, with fees, which are under 1.8 cents for each contract traded."""
    allowed = contracts(5) * cents(1) + 3 * 10_000
    for fill in played.tape.engine.state.ledger.entries:
        if isinstance(fill, Fill) and fill.side is ASK:
            allowed += fill.qty * (max(0, cents(moved[fill.ticker][1]) - fill.price) + 2 * 180)
    return allowed


@settings(max_examples=40, deadline=None)
@given(st.tuples(later, later, later))
def test_half_a_basket_loses_no_more_than_the_way_to_the_prices_of_now(books: Any) -> None:
    """After its first leg every book moves once, anywhere, and then stands still."""
    played = Played(latency_ms=150)
    played.books(*GOOD)
    played.tick(0.2)
    moved = {}
    for ticker, (bid, spread, size) in zip(played.tickers, books, strict=True):
        moved[ticker] = bid, bid + spread
        played.book(ticker, bid, bid + spread, size=size, after=0.01)
    assert played.held()[0] == -5
    outcome = assert_bounded(played)
    assert -played.worst() <= loss_allowed(played, moved)
    event(f"{outcome}, {'at a loss' if played.worst() < 0 else 'at a gain'}")
