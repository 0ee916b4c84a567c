"""Exits on scripted messages: when they sell, how far, how often, and when they must not. Percent are of the cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest
from support.values import HOUR, NOW, make_book, make_engine, make_fill, make_market, make_order

from kalshi_cli.base.units import Money, Qty, Ts, cents, contracts
from kalshi_cli.core.engine.strategy_runner import Watches
from kalshi_cli.core.model.effects import AlertRaised, CancelOrder, Effect, OrderRefused, SubmitOrder
from kalshi_cli.core.model.exchange import ExchangeStatus, TradingState
from kalshi_cli.core.model.intents import Amend, Intent, Place
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import (
    AccountVisibility,
    BookSnapshot,
    ExchangeChange,
    FeedGap,
    Filled,
    MarketChange,
    OrderAccepted,
    OrderRejected,
    OrderState,
    OrderUnknown,
    StateCommand,
    Tick,
    WaitingChanges,
)
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.risk.exits import REST_MS, STEP_MS, STEPS, STUCK_MS
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext

COOLDOWN_MS = 600_000
HALF = RiskLimits(min_edge=None, stop_loss_pct=50, max_order_cost=None, cooldown_after_loss_ms=COOLDOWN_MS)
"""Sold below half of what it cost."""

TICKER = "KXA-1"


class Wishes:
    """A strategy that wants what the test put there, once; or raises."""

    is_hedged = False
    watches: Watches = "depth"

    def __init__(self, name: str = "s") -> None:
        self.name = name
        self.wants: list[Intent] = []
        self.fails = False

    def on_book(self, view: StrategyContext, ticker: str) -> None: ...
    def on_trade(self, view: StrategyContext, trade: object) -> None: ...
    def on_fill(self, view: StrategyContext, fill: Fill) -> None: ...
    def on_tick(self, view: StrategyContext) -> Iterable[Intent]:
        if self.fails:
            raise ValueError("a bug")
        wants, self.wants = self.wants, []
        return wants


class Exits:
    """An engine in which strategy `s` holds `held` contracts at `price` cents (below zero: NO), and a book 40/44."""

    def __init__(
        self, *, held: int = 10, price: int = 40, limits: RiskLimits = HALF, others: Sequence[Wishes] = ()
    ) -> None:
        self.strategy = Wishes()
        self.engine = make_engine(self.strategy, *others, limits=limits)
        self.book(40, 44)
        if held:
            self.hold("s", held, price)

    @property
    def now(self) -> Ts:
        return self.engine.state.now

    def hold(self, strategy: str, held: int, price: int, subaccount: int = 0) -> None:
        """Its order, accepted and filled."""
        number = f"{strategy}{subaccount}{price}{held}"
        side = BID if held > 0 else ASK
        intent = Place(TICKER, side, cents(price), contracts(abs(held)), tif=TimeInForce.IOC, subaccount=subaccount)
        self.engine.state.orders.add(
            make_order(number, order_id=number, side=side, price=intent.price, qty=intent.qty, strategy=strategy,
                             tif=TimeInForce.IOC, status=OrderStatus.RESTING, subaccount=subaccount)
        )  # fmt: skip
        self.fill(number, side, price, abs(held), subaccount)

    def fill(self, number: str, side: Side, price: int, qty: int, subaccount: int = 0) -> None:
        fill = make_fill(f"t-{number}-{self.now}-{price}", order_id=number, client_order_id=number, side=side,
                               price=cents(price), qty=contracts(qty), ts=self.now, subaccount=subaccount)  # fmt: skip
        self.engine.step(Filled(self.now, fill))

    def book(self, bid: int | None, ask: int | None, size: int = 100) -> list[Effect]:
        """The book is this now."""
        bids = ((cents(bid), contracts(size)),) if bid is not None else ()
        asks = ((cents(ask), contracts(size)),) if ask is not None else ()
        return self.engine.step(BookSnapshot(self.now, TICKER, bids, asks))

    def tick(self, after_ms: int = STEP_MS) -> list[Effect]:
        """So much later, with the same book as fresh as it was."""
        now = Ts(self.now + after_ms)
        book = self.engine.state.books[TICKER]
        if book.is_usable:
            book.ts = now
        return self.engine.step(Tick(now))

    def answer(self, sent: Order, filled: int) -> None:
        """The exchange's reply to an order that is over, and its fills."""
        name = sent.client_order_id
        self.engine.step(OrderAccepted(self.now, name, f"x-{name}", contracts(filled), Qty(0)))
        if filled:
            fill = make_fill(f"t-{name}", order_id=f"x-{name}", client_order_id=name, side=sent.side,
                                   price=sent.price, qty=contracts(filled), ts=self.now)  # fmt: skip
            self.engine.step(Filled(self.now, fill))

    def owned(self, strategy: str = "s") -> int:
        return self.engine.state.owned(TICKER, strategy) // 100


def sent(effects: Iterable[Effect]) -> list[Order]:
    return [effect.order for effect in effects if isinstance(effect, SubmitOrder)]


def codes(effects: Iterable[Effect]) -> list[str]:
    return [effect.code for effect in effects if isinstance(effect, AlertRaised)]


def denied(effects: Iterable[Effect]) -> list[str]:
    return [effect.code for effect in effects if isinstance(effect, OrderRefused)]


def terms(order: Order) -> tuple[Side, int, int]:
    return order.side, order.price, order.qty


# -- when -------------------------------------------------------------------------------------------------------------


def test_what_is_worth_less_than_the_floor_is_sold_at_the_best_price_a_second_later() -> None:
    exits = Exits()
    assert sent(exits.book(19, 44)) == [], "not at once"
    effects = exits.tick()
    (order,) = sent(effects)
    assert terms(order) == (ASK, cents(19), contracts(10))
    assert (order.tif, order.reduce_only, order.strategy, order.reason) == (TimeInForce.IOC, True, "s", "stop-loss")
    assert codes(effects) == ["STOP_LOSS"]
    exits.answer(order, 10)
    assert (exits.owned(), sent(exits.tick())) == (0, [])


def test_what_is_worth_the_floor_or_more_is_kept() -> None:
    exits = Exits()
    exits.book(20, 44)
    assert [sent(exits.tick()) for _ in range(3)] == [[], [], []]


def test_a_price_that_is_back_within_the_second_sells_nothing() -> None:
    exits = Exits()
    exits.book(5, 44)
    exits.book(40, 44)
    assert sent(exits.tick()) == []
    exits.book(5, 44)
    assert sent(exits.tick(STEP_MS - 1)) == [], "the second begins again"
    assert len(sent(exits.tick(1))) == 1


def test_the_cost_of_a_no_is_one_dollar_less_its_price() -> None:
    """Sold YES at 60: NO that cost 40 each. At an offer of 81 a NO brings 19."""
    exits = Exits(held=-10, price=60)
    exits.book(60, 80)
    assert sent(exits.tick()) == [], "20 is half of it"
    exits.book(60, 81)
    (order,) = sent(exits.tick())
    assert terms(order) == (BID, cents(81), contracts(10))
    exits.answer(order, 10)
    assert exits.owned() == 0


def test_a_change_of_the_book_is_enough_no_tick_is_needed() -> None:
    exits = Exits()
    exits.book(19, 44)
    exits.engine.state.now = Ts(exits.now + STEP_MS)
    assert len(sent(exits.book(19, 44))) == 1


def test_a_sale_waits_for_the_changes_that_have_arrived_already() -> None:
    exits = Exits()
    exits.engine.step(WaitingChanges(exits.now, {TICKER: 2}))
    exits.book(15, 44)
    assert exits.tick() == []
    assert sent(exits.book(18, 44))[0].price == cents(18)


@pytest.mark.parametrize("limits", [RiskLimits(min_edge=None), RiskLimits(min_edge=None, take_profit_pct=150)])
def test_without_a_floor_nothing_is_sold_at_a_loss(limits: RiskLimits) -> None:
    exits = Exits(limits=limits)
    exits.book(2, 44)
    assert sent(exits.tick()) == []


def test_a_gain_is_taken_only_at_a_price_that_takes_it() -> None:
    exits = Exits(limits=RiskLimits(min_edge=None, take_profit_pct=150))
    exits.engine.state.markets[TICKER] = make_market(last=cents(80))
    exits.book(59, 95)
    assert sent(exits.tick()) == []
    exits.book(None, 95)
    assert sent(exits.tick()) == [], "marked at 80, and nobody pays it"
    exits.book(60, 95)
    effects = exits.tick()
    (order,) = sent(effects)
    assert terms(order) == (ASK, cents(60), contracts(10))
    assert (order.reason, codes(effects)) == ("take-profit", ["TAKE_PROFIT"])
    exits.answer(order, 4)
    exits.book(59, 95)
    assert sent(exits.tick()) == [], "the rest waits for its price"
    exits.book(61, 95)
    assert [terms(order) for order in sent(exits.tick())] == [(ASK, cents(61), contracts(6))]


# -- whose ------------------------------------------------------------------------------------------------------------


def test_what_people_hold_is_left_to_them() -> None:
    exits = Exits(held=0)
    exits.hold("", 10, 40)
    exits.hold("of another run", 10, 41)
    exits.book(5, 44)
    assert sent(exits.tick()) == []


def test_of_what_a_person_sold_nothing_is_sold_again() -> None:
    exits = Exits()
    exits.fill("typed", ASK, 30, 7)
    exits.book(5, 44)
    assert [order.qty for order in sent(exits.tick())] == [contracts(3)]


@pytest.mark.parametrize("price", [40, 70])
def test_what_it_opens_after_a_person_closed_its_position_is_protected_at_its_own_cost(price: int) -> None:
    """Ten YES at 40 are gone. Sold at 40 it holds NO for 60 each, at 70 for 30: at an offer of 72 they bring 28."""
    exits = Exits()
    exits.tick()
    exits.fill("typed", ASK, 40, 10)
    exits.tick()
    exits.hold("s", -10, price)
    assert exits.owned() == -10
    exits.book(60, 72)
    assert [terms(order) for order in sent(exits.tick())] == [(BID, cents(72), contracts(10))] * (price == 40)


def test_a_strategy_that_failed_is_protected_as_well() -> None:
    exits = Exits()
    exits.strategy.fails = True
    assert codes(exits.tick()) == ["STRATEGY_FAILED"]
    exits.book(5, 44)
    assert len(sent(exits.tick())) == 1


def test_of_two_strategies_on_opposite_sides_only_what_the_account_holds_is_sold() -> None:
    """Ten YES and four NO are six YES at the exchange: it has netted the rest, which nobody can lose on any more."""
    other = Wishes("t")
    exits = Exits(others=[other])
    exits.hold("t", -4, 40)
    exits.book(5, 44)
    (order,) = sent(exits.tick())
    assert (order.strategy, order.qty) == ("s", contracts(6))
    exits.answer(order, 6)
    assert (exits.owned("s"), exits.owned("t")) == (4, -4)
    assert [sent(exits.tick()) for _ in range(15)] == [[]] * 15


def test_of_two_strategies_that_are_even_neither_is_sold() -> None:
    exits = Exits(others=[Wishes("t")])
    exits.hold("t", -10, 40)
    exits.book(5, 95)
    effects = [effect for _ in range(15) for effect in exits.tick()]
    assert (sent(effects), denied(effects)) == ([], [])


def test_two_strategies_on_one_side_each_sell_their_own() -> None:
    exits = Exits(others=[Wishes("t")])
    exits.hold("t", 3, 44)
    exits.book(5, 44)
    assert [(order.strategy, order.qty) for order in sent(exits.tick())] == [("s", contracts(10)), ("t", contracts(3))]


def test_a_position_is_sold_in_the_subaccount_that_holds_it() -> None:
    exits = Exits(held=0)
    exits.hold("s", 3, 40, subaccount=0)
    exits.hold("s", 5, 40, subaccount=2)
    exits.book(5, 44)
    exits.tick()
    found = [order for order in exits.engine.state.orders.live() if order.reason == "stop-loss"]
    assert [(order.subaccount, order.qty) for order in found] == [(0, contracts(3))], "one after the other"
    exits.answer(found[0], 3)
    (order,) = sent(exits.tick())
    assert (order.subaccount, order.qty) == (2, contracts(5))


def test_a_fill_that_is_on_its_way_is_waited_for() -> None:
    exits = Exits()
    exits.book(19, 44)
    (order,) = sent(exits.tick())
    exits.engine.step(OrderAccepted(exits.now, order.client_order_id, "x", contracts(10), Qty(0)))
    assert sent(exits.tick()) == [], "it traded all of it, as its reply says"


# -- first its own orders ----------------------------------------------------------------------------------------------


def test_its_own_orders_there_are_taken_back_first() -> None:
    exits = Exits()
    exits.strategy.wants = [Place(TICKER, BID, cents(5), contracts(2)), Place(TICKER, ASK, cents(50), contracts(10))]
    resting = sent(exits.tick())
    for number, order in enumerate(resting):
        exits.engine.step(OrderAccepted(exits.now, order.client_order_id, f"r{number}", Qty(0), order.qty))
    effects = exits.book(19, 44)
    assert [effect.order.order_id for effect in effects if isinstance(effect, CancelOrder)] == ["r0", "r1"]
    assert {effect.reason for effect in effects if isinstance(effect, CancelOrder)} == {"stop-loss"}
    assert sent(exits.tick()) == []
    over = [make_order(order.client_order_id, order_id=f"r{number}", side=order.side, price=order.price, qty=order.qty,
                        status=OrderStatus.CANCELED, reduced=order.qty, updated=exits.now)
            for number, order in enumerate(resting)]  # fmt: skip
    exits.engine.step(OrderState(exits.now, over[0]))
    assert sent(exits.tick()) == [], "not before the last of them is over"
    exits.engine.step(OrderState(exits.now, over[1]))
    assert len(sent(exits.tick())) == 1


def test_an_exit_in_doubt_is_no_reason_to_send_another() -> None:
    exits = Exits()
    exits.book(19, 44)
    (order,) = sent(exits.tick())
    exits.engine.step(OrderUnknown(exits.now, order.client_order_id, "timeout"))
    effects = [effect for _ in range(15) for effect in exits.tick()]
    assert (sent(effects), codes(effects)) == ([], ["STOP_LOSS_STUCK"])
    found = make_order(order.client_order_id, order_id="x", side=ASK, price=cents(19), filled=contracts(4),
                       reduced=contracts(6), status=OrderStatus.CANCELED, tif=TimeInForce.IOC,
                       updated=exits.now)  # fmt: skip
    exits.engine.step(OrderState(exits.now, found))
    assert [order.qty for order in sent(exits.tick())] == [contracts(6)], "what it left, once that is known"


def test_what_an_order_of_a_person_closes_already_is_not_sold_twice() -> None:
    exits = Exits()
    exits.engine.place(Place(TICKER, ASK, cents(50), contracts(7)), client_order_id="typed")
    exits.book(19, 44)
    assert [order.qty for order in sent(exits.tick())] == [contracts(3)]


def test_a_loss_that_orders_of_others_keep_from_being_sold_is_told() -> None:
    exits = Exits()
    exits.engine.place(Place(TICKER, ASK, cents(50), contracts(10)), client_order_id="typed")
    exits.book(19, 44)
    effects = [effect for _ in range(15) for effect in exits.tick()]
    assert (sent(effects), codes(effects)) == ([], ["STOP_LOSS_STUCK"])


def quoted(exits: Exits, who: Wishes, *intents: Place) -> list[str]:
    """They rest, under these ids of the exchange."""
    who.wants = list(intents)
    orders = sent(exits.tick())
    for order in orders:
        name = order.client_order_id
        exits.engine.step(OrderAccepted(exits.now, name, f"r-{name}", Qty(0), order.qty))
    return [f"r-{order.client_order_id}" for order in orders]


@pytest.mark.parametrize("held", [10, -10])
def test_what_another_strategy_quotes_at_the_price_to_sell_at_is_taken_back(held: int) -> None:
    """Its other quotes stay, and what a person quotes is theirs."""
    other = Wishes("t")
    exits = Exits(held=held, price=40 if held > 0 else 60, others=[other])
    side, at, beyond = (BID, 19, 18) if held > 0 else (ASK, 81, 82)
    far = Place(TICKER, side.opposite, cents(90 if held > 0 else 10), contracts(5))
    best, *_ = quoted(exits, other, *(Place(TICKER, side, cents(p), contracts(5)) for p in (at, beyond)), far)
    exits.book(19, 81)
    effects = exits.tick()
    assert [effect.order.order_id for effect in effects if isinstance(effect, CancelOrder)] == [best]
    over = make_order(best[2:], order_id=best, side=side, price=cents(at), qty=contracts(5),
                       status=OrderStatus.CANCELED, reduced=contracts(5), updated=exits.now)  # fmt: skip
    exits.engine.step(OrderState(exits.now, over))
    assert [order.reason for order in sent(exits.tick())] == ["stop-loss"]


def test_what_this_account_bids_itself_is_no_price_that_somebody_pays() -> None:
    """Five at 38 are ours: everybody else pays 5 cents. One more there and somebody does."""
    other = Wishes("t")
    exits = Exits(others=[other])
    quoted(exits, other, Place(TICKER, BID, cents(38), contracts(5)))
    bids = lambda count: ((cents(38), contracts(count)), (cents(5), contracts(100)))  # noqa: E731
    for count, canceled in ((6, 0), (5, 1)):
        exits.engine.step(BookSnapshot(exits.now, TICKER, bids(count), ((cents(44), contracts(9)),)))
        assert sum(isinstance(effect, CancelOrder) for effect in exits.tick()) == canceled


@pytest.mark.parametrize(
    ("held", "last", "is_low"), [(10, 19, True), (10, 20, False), (-10, 81, True), (-10, 80, False)]
)
def test_where_only_this_account_bids_the_last_price_counts(held: int, last: int, is_low: bool) -> None:
    """And a gain is taken from nobody."""
    other, limits = Wishes("t"), RiskLimits(min_edge=None, stop_loss_pct=50, take_profit_pct=110)
    exits = Exits(held=held, price=40 if held > 0 else 60, others=[other], limits=limits)
    side, price = (BID, 42) if held > 0 else (ASK, 41)
    quoted(exits, other, Place(TICKER, side, cents(price), contracts(5)))
    exits.engine.state.markets[TICKER] = make_market(last=cents(last))
    own, others = ((cents(price), contracts(5)),), ((cents(90 if held > 0 else 10), contracts(9)),)
    exits.engine.step(BookSnapshot(exits.now, TICKER, *((own, others) if held > 0 else (others, own))))
    told = codes([effect for _ in range(15) for effect in exits.tick()])
    assert told == ["STOP_LOSS_STUCK"] * is_low


# -- how far ----------------------------------------------------------------------------------------------------------


def walk(exits: Exits, prices: Sequence[int | None], filled: int = 0) -> list[int]:
    """The price of each order, in cents, as the bid moves once a second; 0 where none was sent."""
    found = []
    for price in prices:
        exits.book(price, 44)
        orders = sent(exits.tick())
        found.append(orders[0].price // 100 if orders else 0)
        for order in orders:
            exits.answer(order, filled)
    return found


def test_one_order_a_second_each_for_what_is_left() -> None:
    exits = Exits()
    exits.book(19, 44)
    qtys = []
    for _ in range(4):
        assert sent(exits.tick(STEP_MS - 1)) == [], "not within the second"
        (order,) = sent(exits.tick(1))
        qtys.append(order.qty // 100)
        exits.answer(order, 3 if len(qtys) < 4 else 1)
    assert qtys == [10, 7, 4, 1]
    assert exits.owned() == 0


def test_a_price_that_falls_faster_than_it_may_is_followed_a_step_a_second() -> None:
    exits = Exits(limits=RiskLimits(min_edge=None, stop_loss_pct=50, max_close_slippage=cents(3)))
    assert walk(exits, [19, 17, 10, 10, 10, 10]) == [19, 17, 0, 0, 10, 10]


def test_without_a_bound_of_a_step_the_best_price_is_followed_at_once() -> None:
    exits = Exits(limits=RiskLimits(min_edge=None, stop_loss_pct=50, max_close_slippage=None))
    assert walk(exits, [19, 17, 5]) == [19, 17, 5]


def test_a_walk_rests_after_its_steps_and_begins_again_from_the_price_of_then() -> None:
    exits = Exits(limits=RiskLimits(min_edge=None, stop_loss_pct=50, max_close_slippage=cents(1)))
    assert walk(exits, [19] * STEPS) == [19] * STEPS
    assert walk(exits, [2] * (REST_MS // STEP_MS)) == [0] * (REST_MS // STEP_MS)
    assert walk(exits, [2, 2]) == [2, 2]


@pytest.mark.parametrize(
    ("limit", "qty"),
    [
        ({"max_order_qty": Qty(1500)}, Qty(1500)),
        ({"max_order_qty": None, "max_order_cost": Money(8_100_000)}, Qty(1000)),
        ({"max_order_qty": None, "max_order_cost": None}, Qty(2000)),
    ],
)
def test_a_large_position_goes_in_orders_that_the_limits_of_one_allow(limit: dict[str, Any], qty: Qty) -> None:
    """Sold at 19 a contract counts as 81 cents."""
    exits = Exits(held=20, limits=RiskLimits(min_edge=None, stop_loss_pct=50, **limit))
    exits.book(19, 44)
    assert [order.qty for order in sent(exits.tick())] == [qty]


# -- books that price nothing ------------------------------------------------------------------------------------------


def test_an_empty_book_is_waited_for_and_told_once() -> None:
    exits = Exits()
    effects = exits.book(None, 5) + [effect for _ in range(30) for effect in exits.tick()]
    assert sent(effects) == []
    assert codes(effects) == ["STOP_LOSS_STUCK"]
    assert [terms(order) for order in sent(exits.book(4, 5))] == [(ASK, cents(4), contracts(10))]


@pytest.mark.parametrize("held", [10, -10])
def test_nothing_is_given_away_for_a_cent_or_for_nothing(held: int) -> None:
    exits = Exits(held=held, price=40 if held > 0 else 60)
    for bid, ask in ((1, 2), (None, 2)) if held > 0 else ((98, 99), (98, None)):
        exits.book(bid, ask)
        assert sent([effect for _ in range(20) for effect in exits.tick()]) == []


def test_without_any_price_nothing_is_known_and_nothing_is_sold() -> None:
    exits = Exits()
    exits.engine.state.markets[TICKER] = make_market(last=None)
    effects = exits.book(None, None) + [effect for _ in range(20) for effect in exits.tick()]
    assert (sent(effects), codes(effects)) == ([], [])


def test_a_gap_in_the_middle_of_a_walk_waits_for_the_snapshot() -> None:
    exits = Exits()
    assert walk(exits, [19], filled=4) == [19]
    exits.engine.step(FeedGap(exits.now, (TICKER,), "seq"))
    effects = [effect for _ in range(20) for effect in exits.tick()]
    assert (sent(effects), codes(effects)) == ([], ["STOP_LOSS_STUCK"])
    assert [terms(order) for order in sent(exits.book(18, 44))] == [(ASK, cents(18), contracts(6))]


def test_an_old_or_a_crossed_book_prices_nothing() -> None:
    exits = Exits()
    exits.book(19, 44)
    late = Ts(exits.now + 10_001)
    assert sent(exits.engine.step(Tick(late))) == [], "ten seconds are the limit"
    exits.book(19, 19)
    assert sent(exits.tick()) == []
    assert len(sent(exits.book(19, 44))) == 1, "the companion"


def test_a_market_that_does_not_trade_is_left() -> None:
    exits = Exits()
    exits.book(19, 44)
    for market in (make_market(status=MarketStatus.CLOSED), make_market(close_time=Ts(NOW + 2_000))):
        exits.engine.step(MarketChange(exits.now, market))
        assert denied(exits.tick()) + sent(exits.tick()) == []
    exits.engine.step(MarketChange(exits.now, make_market(close_time=Ts(NOW + HOUR))))
    exits.engine.step(ExchangeChange(exits.now, ExchangeStatus(exchange_active=True, trading_active=False)))
    assert denied(exits.tick()) + sent(exits.tick()) == []
    exits.engine.step(ExchangeChange(exits.now, ExchangeStatus(exchange_active=True, trading_active=True)))
    assert len(sent(exits.tick())) == 1


def test_a_position_of_a_market_that_is_not_traded_here_is_left() -> None:
    exits = Exits(held=0)
    order = make_order("b", order_id="b", ticker="KXB-1", strategy="s")
    exits.engine.state.orders.add(order)
    exits.engine.step(Filled(exits.now, make_fill("b", order_id="b", client_order_id="b", ticker="KXB-1")))
    assert [sent(exits.tick()) for _ in range(3)] == [[]] * 3


def test_without_a_limit_of_age_a_book_of_an_hour_prices() -> None:
    exits = Exits(limits=RiskLimits(min_edge=None, stop_loss_pct=50, max_book_age_ms=None))
    exits.book(19, 44)
    assert len(sent(exits.engine.step(Tick(Ts(exits.now + 600_000))))) == 1


WIDE = RiskLimits(min_edge=None, stop_loss_pct=50, max_order_cost=None, max_spread=cents(21))


@pytest.mark.parametrize(("bid", "ask"), [(5, 95), (19, 41), (5, None), (18, 19), (2, 3)])
def test_a_stop_loss_waits_for_those_who_quote_and_then_sells_all_the_same(bid: int, ask: int | None) -> None:
    exits = Exits(limits=WIDE)
    effects = exits.book(bid, ask) + [effect for _ in range(9) for effect in exits.tick()]
    assert (sent(effects), codes(effects)) == ([], ["STOP_LOSS"]), "told once"
    assert sent(exits.tick(STUCK_MS - 9 * STEP_MS - 1)) == []
    effects = exits.tick(1)
    assert [terms(order) for order in sent(effects)] == [(ASK, cents(bid), contracts(10))]
    assert codes(effects) == []


def test_only_the_first_order_of_a_walk_waits() -> None:
    exits = Exits(limits=WIDE)
    exits.book(19, 39)
    (first,) = sent(exits.tick())
    exits.answer(first, 4)
    exits.book(12, 95)
    assert [terms(order) for order in sent(exits.tick())] == [(ASK, cents(12), contracts(6))]


def test_a_no_waits_as_well() -> None:
    exits = Exits(held=-10, price=60, limits=WIDE)
    exits.book(66, 75)
    exits.tick(2 * STUCK_MS)
    exits.book(None, 85)
    assert sent([effect for _ in range(9) for effect in exits.tick()]) == []
    assert len(sent(exits.book(66, 85))) == 1, "the companion"
    exits = Exits(held=-10, price=60, limits=WIDE)
    exits.book(97, 98)
    assert sent([effect for _ in range(9) for effect in exits.tick()]) == []
    assert len(sent(exits.tick())) == 1, "the companion"


@pytest.mark.parametrize("since_ms", [0, STUCK_MS, 3_600_000])
def test_what_others_paid_a_moment_ago_counts_however_long_they_had_paid_it(since_ms: int) -> None:
    exits = Exits(limits=WIDE)
    exits.tick(since_ms)
    exits.book(2, 3)
    assert sent(exits.tick()) == []
    exits.book(40, 44)
    exits.book(18, 19)
    assert sent(exits.tick()) == []


@pytest.mark.parametrize(("step_ms", "is_sold"), [(2 * STUCK_MS, True), (STEP_MS, False)])
def test_a_price_that_fell_slowly_is_one(step_ms: int, is_sold: bool) -> None:
    exits = Exits(limits=WIDE)
    for bid in (30, 21, 15):
        exits.tick(step_ms)
        exits.book(bid, bid + 2)
    assert bool(sent(exits.tick())) == is_sold


def test_once_others_quote_close_together_again_it_is_sold_at_once_or_kept() -> None:
    for bid, ask, qtys in ((19, 39, [contracts(10)]), (40, 44, [])):
        exits = Exits(limits=WIDE)
        exits.book(5, 95)
        assert sent(exits.tick()) == []
        assert [order.qty for order in sent(exits.book(bid, ask))] == qtys


def test_what_this_account_quotes_itself_makes_no_spread_narrow() -> None:
    """Five at 42 are ours: without them nobody offers below 95. One more there and somebody does."""
    other = Wishes("t")
    exits = Exits(others=[other], limits=RiskLimits(min_edge=None, stop_loss_pct=50, max_spread=cents(23)))
    quoted(exits, other, Place(TICKER, ASK, cents(42), contracts(5)))
    for count, orders in ((5, 0), (6, 1)):
        asks = ((cents(42), contracts(count)), (cents(95), contracts(9)))
        effects = exits.engine.step(BookSnapshot(exits.now, TICKER, ((cents(19), contracts(9)),), asks))
        assert len(sent(effects + exits.tick())) == orders


def test_a_gain_is_taken_whatever_the_spread() -> None:
    exits = Exits(limits=RiskLimits(min_edge=None, take_profit_pct=150, max_spread=cents(20)))
    exits.book(60, None)
    assert len(sent(exits.tick())) == 1


# -- what else is on ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["halted", "stopping", "starting"])
def test_where_no_strategy_is_asked_nothing_is_sold_either(how: str) -> None:
    exits = Exits()
    if how == "halted":
        exits.engine.step(StateCommand(exits.now, TradingState.HALTED, "cancel-all"))
    elif how == "stopping":
        exits.engine.step(StateCommand(exits.now, None, "SIGTERM"))
    else:
        exits.engine.is_starting = True
    exits.book(19, 44)
    assert sent(exits.tick()) == []


@pytest.mark.parametrize("how", ["reducing", "blind", "brake"])
def test_what_only_holds_up_new_risk_does_not_hold_up_an_exit(how: str) -> None:
    exits = Exits()
    if how == "reducing":
        exits.engine.step(StateCommand(exits.now, TradingState.REDUCING, "DAILY_LOSS"))
    elif how == "blind":
        exits.engine.step(AccountVisibility(exits.now, exits.now, "timeout"))
    else:
        exits.engine.state.groups[0] = "g"
        exits.engine.state.triggered_groups.add("g")
    exits.book(19, 44)
    (order,) = sent(exits.tick())
    assert order.order_group_id == "", "a brake must not hold anybody in a position"


def test_an_exit_that_is_refused_is_tried_again_at_its_pace_and_told() -> None:
    exits = Exits()
    exits.engine.place(Place(TICKER, BID, cents(19), contracts(1)), client_order_id="typed")
    exits.book(19, 44)
    effects = [effect for _ in range(STEPS + 5) for effect in exits.tick()]
    assert denied(effects) == ["SELF_CROSS"] * STEPS
    assert "STOP_LOSS_STUCK" in codes(effects)
    assert sent(effects) == []


def test_an_order_that_the_exchange_refuses_is_followed_by_the_next() -> None:
    exits = Exits()
    exits.book(19, 44)
    (order,) = sent(exits.tick())
    exits.engine.step(OrderRejected(exits.now, order.client_order_id, "invalid_order"))
    assert len(sent(exits.tick())) == 1


def test_it_is_not_stuck_before_ten_seconds_and_no_gain_is() -> None:
    exits = Exits()
    exits.book(None, 5)
    assert codes(exits.tick(STUCK_MS - 1)) == []
    assert codes(exits.tick(1)) == ["STOP_LOSS_STUCK"]
    exits = Exits(limits=RiskLimits(min_edge=None, take_profit_pct=150))
    exits.strategy.wants = [Place(TICKER, BID, cents(40), contracts(1))]
    (order,) = sent(exits.tick())
    assert order.reason == ""
    exits.book(60, 95)
    assert codes([effect for _ in range(30) for effect in exits.tick()]) == [], "its own bid is in the way"


# -- afterwards --------------------------------------------------------------------------------------------------------


def wanted(exits: Exits, intent: Place, after_ms: int = STEP_MS) -> list[str]:
    """What becomes of a wish of the strategy: the codes of what refused it."""
    exits.strategy.wants = [intent]
    return denied(exits.tick(after_ms))


def test_while_it_is_sold_and_for_a_while_after_it_nothing_is_opened_there() -> None:
    exits, buy = Exits(), Place(TICKER, BID, cents(10), contracts(1))
    exits.book(19, 44)
    assert wanted(exits, buy, 1) == ["STOP_LOSS"]
    (order,) = sent(exits.tick())
    exits.answer(order, 10)
    exits.book(40, 44)
    assert wanted(exits, buy, COOLDOWN_MS - 1) == ["COOLDOWN"]
    assert wanted(exits, buy, 1) == []


def test_the_others_and_other_markets_go_on() -> None:
    other = Wishes("t")
    exits = Exits(others=[other])
    exits.engine.step(MarketChange(exits.now, make_market("KXB-1")))
    exits.book(19, 44)
    exits.engine.step(make_book(ticker="KXB-1"))
    other.wants = [Place(TICKER, BID, cents(10), contracts(1))]
    assert wanted(exits, Place("KXB-1", BID, cents(40), contracts(1)), 1) == []


def test_a_restart_in_the_middle_of_a_walk_goes_on_with_what_is_left() -> None:
    exits = Exits()
    assert walk(exits, [19], filled=4) == [19]
    again = Exits(held=0)
    orders = [exits.engine.state.orders.get(name) for name in ("s04010", "id1")]
    again.engine.recall([order for order in orders if order], exits.engine.state.ledger.entries)
    again.engine.place(Place("KXNO", BID, cents(1), contracts(1)), client_order_id="")  # its ids are others
    assert again.owned() == 6
    again.engine.state.now = exits.now
    assert wanted(again, Place(TICKER, BID, cents(10), contracts(1))) == ["COOLDOWN"], "it remembers the exit"
    again.book(18, 44)
    again.tick(1)
    assert [terms(order) for order in sent(again.tick())] == [(ASK, cents(18), contracts(6))]


def test_a_restart_with_an_exit_in_doubt_sends_no_second_one() -> None:
    exits = Exits()
    exits.book(19, 44)
    (order,) = sent(exits.tick())
    again = Exits(held=0)
    first = exits.engine.state.orders.get("s04010")
    assert first is not None
    again.engine.recall([first, order], exits.engine.state.ledger.entries)
    again.engine.state.now = exits.now
    again.book(19, 44)
    assert sent([effect for _ in range(5) for effect in again.tick()]) == []


# -- exits of the strategies themselves --------------------------------------------------------------------------------


def close(price: Any, **changes: Any) -> Place:
    fields: dict[str, Any] = {"tif": TimeInForce.IOC, "reduce_only": True, "side": ASK}
    return Place(TICKER, price=price, qty=contracts(1), **(fields | changes))


def test_a_strategy_may_not_close_far_below_what_the_position_is_worth() -> None:
    exits = Exits(limits=RiskLimits(min_edge=None, max_close_slippage=cents(5), price_collar=None))
    assert wanted(exits, close(cents(34))) == ["SLIPPAGE"]
    assert wanted(exits, close(cents(35))) == []


def test_at_the_best_price_it_always_gets_out_however_far_that_fell() -> None:
    exits = Exits(limits=RiskLimits(min_edge=None, max_close_slippage=cents(1), price_collar=None))
    exits.book(2, 90)
    assert wanted(exits, close(cents(2))) == []


def test_where_others_quote_far_apart_a_close_waits_ten_seconds_for_them_and_then_goes() -> None:
    """Those who quote go for a moment; what they leave is one cent for what was worth forty just now."""
    exits = Exits(limits=RiskLimits(min_edge=None, max_spread=cents(20), price_collar=None))
    exits.book(2, 90)
    assert [wanted(exits, close(cents(2))) for _ in range(10)] == [["SPREAD"]] * 10
    assert wanted(exits, close(cents(2))) == []
    exits.tick(STUCK_MS + 1)
    assert wanted(exits, close(cents(2))) == ["SPREAD"], "another one, a while later, waits for itself"
    exits.book(38, 42)
    assert wanted(exits, close(cents(38))) == [], "they are back"
    exits.book(2, 90)
    assert wanted(exits, close(cents(2))) == ["SPREAD"]


@pytest.mark.parametrize("is_short", [False, True])
def test_where_others_paid_far_more_a_moment_ago_a_close_waits_as_long(is_short: bool) -> None:
    """A narrow book, and all of it made by whoever wants what is held for a cent."""
    limits = RiskLimits(min_edge=None, max_spread=cents(20), price_collar=None)
    exits = Exits(limits=limits, held=-10 if is_short else 10)
    out = close(cents(99), side=BID) if is_short else close(cents(1))
    exits.book(*((98, 99) if is_short else (1, 2)))
    assert [wanted(exits, out) for _ in range(10)] == [["SPREAD"]] * 10
    assert wanted(exits, out) == []
    exits.book(40, 44)
    assert wanted(exits, close(cents(44), side=BID) if is_short else close(cents(40))) == [], "they are back"


@pytest.mark.parametrize("held", [10, -10])
def test_a_close_gets_out_past_what_another_strategy_quotes(held: int) -> None:
    """What it would meet is taken back, and does not come again for ten seconds; the rest, and a person's, stay."""
    other = Wishes("t")
    limits = RiskLimits(min_edge=None, price_collar=None)
    exits = Exits(held=held, price=40 if held > 0 else 60, limits=limits, others=[other])
    side, at, far = (BID, 42, 39) if held > 0 else (ASK, 42, 45)
    met, _ = quoted(exits, other, *(Place(TICKER, side, cents(price), contracts(5)) for price in (at, far)))
    best = cents(40 if held > 0 else 44)

    def wants(*, reduce_only: bool) -> list[Effect]:
        exits.strategy.wants = [close(best, side=side.opposite, reduce_only=reduce_only)]
        return exits.tick()

    effects = wants(reduce_only=False)
    assert (denied(effects), len(effects)) == (["SELF_CROSS"], 1), "for what may open, nobody makes way"
    effects = wants(reduce_only=True)
    assert denied(effects) == ["SELF_CROSS"]
    assert [effect.order.order_id for effect in effects if isinstance(effect, CancelOrder)] == [met]
    over = make_order(met[2:], order_id=met, side=side, price=cents(at), qty=contracts(5),
                       status=OrderStatus.CANCELED, reduced=contracts(5), updated=exits.now)  # fmt: skip
    exits.engine.step(OrderState(exits.now, over))
    back = Place(TICKER, side, cents(at), contracts(5))
    other.wants = [back]
    assert denied(exits.tick()) == ["SELF_CROSS"]
    (out,) = sent(wants(reduce_only=True))
    assert out.price == best
    exits.answer(out, 1)
    other.wants = [back]
    assert len(sent(exits.tick(STUCK_MS))) == 1


def test_where_a_person_quotes_against_a_close_the_other_strategies_quote_on() -> None:
    """A person's order is left where it is: there is no way to make, however often the close is tried."""
    other = Wishes("t")
    exits = Exits(limits=RiskLimits(min_edge=None, price_collar=None), others=[other])
    exits.engine.place(Place(TICKER, BID, cents(41), contracts(1)), client_order_id="typed")
    assert wanted(exits, close(cents(40))) == ["SELF_CROSS"]
    other.wants = [Place(TICKER, BID, cents(39), contracts(5))]
    assert len(sent(exits.tick())) == 1


def test_nor_is_what_rests_amended_to_where_another_strategy_closes() -> None:
    """It may still be made smaller, or worse for whoever it would meet."""
    other = Wishes("t")
    exits = Exits(limits=RiskLimits(min_edge=None, price_collar=None), others=[other])
    bids = (Place(TICKER, BID, cents(price), contracts(5)) for price in (42, 39))
    _, far = quoted(exits, other, *bids)
    assert wanted(exits, close(cents(40))) == ["SELF_CROSS"]
    other.wants = [Amend(far, cents(42), contracts(5)), Amend(far, cents(39), contracts(6))]
    assert denied(exits.tick()) == ["SELF_CROSS"] * 2
    other.wants = [Amend(far, cents(38), contracts(5))]
    assert denied(exits.tick()) == []
    other.wants = [Amend("nobody's", cents(42), contracts(5))]
    assert denied(exits.tick()) == ["NOT_RESTING"]


def test_an_order_does_not_go_where_one_that_it_needs_would_have_to_make_way() -> None:
    other = Wishes("t")
    exits = Exits(limits=RiskLimits(min_edge=None, price_collar=None), others=[other])
    quoted(exits, other, Place(TICKER, BID, cents(42), contracts(5)))
    assert wanted(exits, close(cents(40))) == ["SELF_CROSS"]
    back, far = Place(TICKER, BID, cents(41), contracts(5)), Place(TICKER, ASK, cents(60), contracts(5))
    other.wants = [msgspec.structs.replace(far, needs=(back,))]
    assert denied(exits.tick()) == ["SELF_CROSS"]
    other.wants = [msgspec.structs.replace(far, needs=(far,))]
    assert len(sent(exits.tick())) == 1, "beside it nothing is in the way"


@pytest.mark.parametrize("needs", [None, (None,)])
def test_what_cannot_be_needed_is_told_as_such(needs: Any) -> None:
    exits = Exits()
    assert wanted(exits, Place(TICKER, ASK, cents(60), contracts(1), needs=needs)) == ["BAD_INTENT"]


def test_without_the_limit_or_any_price_to_compare_with_it_is_not_asked() -> None:
    exits = Exits(limits=RiskLimits(min_edge=None, max_close_slippage=None, price_collar=None))
    assert wanted(exits, close(cents(2))) == []
    exits = Exits(limits=RiskLimits(min_edge=None, max_close_slippage=cents(1), price_collar=None))
    exits.engine.state.markets[TICKER] = make_market(last=None)
    exits.book(None, None)
    assert wanted(exits, close(cents(2))) == []


@pytest.mark.parametrize("wrong", [{"price": "0.4"}, {"price": cents(40), "side": "ask"}])
def test_a_close_that_is_no_order_at_all_is_told_as_such(wrong: dict[str, Any]) -> None:
    exits = Exits()
    assert wanted(exits, close(**wrong)) == ["BAD_INTENT"]


# -- a clock that is set back -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("done", [0, 1, STEPS])
def test_a_stop_loss_goes_on_within_a_minute_after_the_clock_was_set_back(done: int) -> None:
    """Due for the first time, in the middle of its walk, or while it rests."""
    exits = Exits(limits=RiskLimits(min_edge=None, stop_loss_pct=50, max_orders_per_minute=None))
    exits.book(19, 44)
    for _ in range(done):
        (order,) = sent(exits.tick())
        exits.answer(order, 0)
    exits.tick(STEP_MS if done == STEPS else 0)
    exits.tick(-HOUR)
    assert len([order for _ in range(2) for order in sent(exits.tick())]) == 1


def test_a_close_waits_ten_seconds_at_most_also_after_the_clock_was_set_back() -> None:
    exits = Exits(limits=RiskLimits(min_edge=None, max_spread=cents(20), price_collar=None))
    exits.book(2, 90)
    assert wanted(exits, close(cents(2))) == ["SPREAD"]
    exits.tick(-HOUR)
    assert [wanted(exits, close(cents(2))) for _ in range(10)] == [["SPREAD"]] * 10
    assert wanted(exits, close(cents(2))) == []


def test_what_others_paid_before_the_clock_was_set_back_is_forgotten_as_soon() -> None:
    exits = Exits(limits=RiskLimits(min_edge=None, max_spread=cents(20), price_collar=None))
    exits.tick(-HOUR)
    exits.book(2, 6)
    for _ in range(21):
        exits.tick()
    assert wanted(exits, close(cents(2))) == []


def test_nobody_makes_way_for_longer_after_the_clock_was_set_back() -> None:
    other = Wishes("t")
    exits = Exits(limits=RiskLimits(min_edge=None, price_collar=None), others=[other])
    quoted(exits, other, Place(TICKER, BID, cents(42), contracts(5)))
    assert wanted(exits, close(cents(40))) == ["SELF_CROSS"]
    exits.tick(-HOUR)
    other.wants = [Place(TICKER, BID, cents(39), contracts(5))]
    assert len(sent(exits.tick())) == 1


# -- the spread that was paid -----------------------------------------------------------------------------------------

NEAR = RiskLimits(min_edge=None, stop_loss_pct=95, max_order_cost=None)


@pytest.mark.parametrize(
    ("held", "price", "bid", "ask", "is_sold"),
    [
        (10, 10, 8, 10, False), (10, 10, 8, 12, False), (10, 10, 8, 9, True), (10, 10, 7, 10, True),
        (10, 10, 8, None, True), (-10, 90, 90, 92, False), (-10, 90, 91, 92, True), (-10, 90, 90, 93, True),
        (10, 50, 45, 50, True),
    ],
)  # fmt: skip
def test_the_spread_of_a_cheap_market_is_no_loss_until_the_price_fell_too(
    held: int, price: int, bid: int, ask: int | None, is_sold: bool
) -> None:
    """It cost 10 cents and 8 are bid: 80 percent. While others ask for 10 or more, only the spread was paid. A NO
    costs what is left of the dollar."""
    limits = msgspec.structs.replace(NEAR, max_spread=None)
    exits = Exits(held=held, price=price, limits=limits)
    exits.book(bid, ask)
    effects = [*exits.tick(), *exits.tick()]
    assert bool(sent(effects)) is is_sold
    assert codes(effects) == ["STOP_LOSS"] * is_sold


def test_what_this_account_asks_itself_does_not_say_that_only_the_spread_was_paid() -> None:
    other = Wishes("t")
    exits = Exits(price=10, limits=msgspec.structs.replace(NEAR, max_spread=None), others=[other])
    exits.book(8, None)
    quoted(exits, other, Place(TICKER, ASK, cents(10), contracts(5)))
    exits.book(8, 10, 5)
    assert len(sent(exits.tick())) == 1


def test_an_exit_that_works_is_a_warning_and_one_that_is_stuck_is_critical() -> None:
    exits = Exits()
    exits.book(19, 44)
    told = [effect for effect in exits.tick() if isinstance(effect, AlertRaised)]
    exits = Exits()
    exits.book(1, 44)
    told += [effect for _ in range(12) for effect in exits.tick() if isinstance(effect, AlertRaised)]
    assert [(alert.code, alert.tier) for alert in told] == [("STOP_LOSS", "warning"), ("STOP_LOSS_STUCK", "critical")]
