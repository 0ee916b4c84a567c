"""What closes is judged by both positions: that of the strategy which asks, and that of the account."""

from __future__ import annotations

from typing import Any

import pytest
from support.values import HOUR, NOW, Scripted, make_book, make_engine, make_fill, make_order

from kalshi_cli.base.units import Money, Qty, Ts, cents, contracts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AmendOrder, CancelOrder, OrderRefused, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Amend, Place
from kalshi_cli.core.model.messages import Filled, OrderAccepted, Tick
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import RiskLimits

FREE = RiskLimits(min_edge=None, max_exposure=None, max_position=None, max_orders_per_minute=None)


class Two:
    """A loop of the strategies `one` and `two`, with a book of 40 to 44."""

    def __init__(self, limits: RiskLimits = FREE) -> None:
        self.who = {name: Scripted(name) for name in ("one", "two")}
        self.engine: TradingEngine = make_engine(*self.who.values(), limits=limits)
        self.engine.step(make_book())
        self._count = 0

    def holds(self, owner: str, qty: int, price: int = 42) -> None:
        """A fill of this owner's; of nobody's here where the name is empty."""
        self._count += 1
        name = f"{owner}-{self._count}"
        side: Side = BID if qty > 0 else ASK
        if owner:
            order = make_order(
                name, order_id=f"o-{name}", side=side, qty=contracts(abs(qty)), strategy=owner, tif=TimeInForce.IOC
            )
            self.engine.state.orders.add(order)
        fill = make_fill(
            name, order_id=f"o-{name}", side=side, price=cents(price), qty=contracts(abs(qty)), client_order_id=name
        )
        self.engine.step(Filled(NOW, fill))

    def asks(self, owner: str, *wants: Any) -> list[str]:
        """What became of each: sent, amended, or the code of what refused it."""
        self.who[owner].wants += wants
        words = {SubmitOrder: "sent", AmendOrder: "amended"}
        effects = [
            each
            for each in self.engine.step(Tick(self.engine.state.now))
            if isinstance(each, SubmitOrder | AmendOrder | OrderRefused)
        ]
        return [each.code if isinstance(each, OrderRefused) else words[type(each)] for each in effects]

    def rests(self, owner: str, side: Side, price: int, qty: int) -> str:
        """An order of this owner's is on the book; its id."""
        self._count += 1
        name = f"{owner}-{self._count}"
        order = make_order(
            name, order_id=f"o-{name}", side=side, price=cents(price), qty=contracts(qty), strategy=owner,
            status=OrderStatus.RESTING,
        )  # fmt: skip
        self.engine.state.orders.add(order)
        return order.order_id


def ask(qty: int, price: int = 43, **changes: Any) -> Place:
    return Place("KXA-1", ASK, cents(price), contracts(qty), **changes)


def out(qty: int) -> Place:
    """An order that only reduces."""
    return ask(qty, 40, tif=TimeInForce.IOC, reduce_only=True)


@pytest.mark.parametrize("of", ["", "two"])
def test_a_strategy_that_holds_nothing_closes_nothing_whoever_else_holds_the_other_side(of: str) -> None:
    loop = Two()
    loop.holds(of, 10)
    loop.engine.state.trading = TradingState.REDUCING
    assert loop.asks("one", ask(5)) == ["REDUCING"]
    assert loop.asks("one", out(5)) == ["REDUCING"]


def test_it_closes_only_as_much_as_it_holds_itself_with_what_it_has_resting_there() -> None:
    loop = Two()
    loop.holds("one", 5)
    loop.holds("two", 10)
    loop.engine.state.trading = TradingState.REDUCING
    assert loop.asks("one", ask(6)) == ["REDUCING"]
    assert loop.asks("one", out(6)) == ["REDUCING"]
    assert loop.asks("one", ask(5)) == ["sent"]
    assert loop.asks("one", ask(1)) == ["REDUCING"], "the five that rest close all of it"
    assert loop.asks("one", out(1)) == ["REDUCING"]
    assert loop.asks("two", ask(10)) == ["sent"]


def test_what_the_account_does_not_hold_is_not_closed_either() -> None:
    loop = Two()
    loop.holds("one", 5)
    loop.holds("two", -5)
    loop.engine.state.trading = TradingState.REDUCING
    assert loop.asks("one", ask(5)) == ["REDUCING"]
    assert loop.asks("one", out(5)) == ["REDUCING"]


def test_what_only_reduces_is_cut_to_the_account_where_another_holds_part_of_the_other_side() -> None:
    loop = Two()
    loop.holds("one", 5)
    loop.holds("two", -2)
    loop.engine.state.trading = TradingState.REDUCING
    assert loop.asks("one", ask(5)) == ["REDUCING"], "it would leave the account short"
    assert loop.asks("one", out(5)) == ["sent"]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (RiskLimits(min_edge=None, max_daily_loss=Money(-1)), "DAILY_LOSS"),
        (RiskLimits(min_edge=None, max_live_orders=0), "LIVE_ORDERS"),
        (RiskLimits(min_edge=None, max_churn=contracts(1)), "CHURN"),
        (RiskLimits(min_edge=None, max_orders_per_minute=0), "ORDER_RATE"),
        (RiskLimits(min_edge=None, max_position=contracts(1)), "POSITION_LIMIT"),
    ],
)
def test_no_limit_of_the_account_is_passed_by_what_closes_the_position_of_another(
    limits: RiskLimits, code: str
) -> None:
    loop = Two(limits)
    loop.holds("two", 10)
    loop.engine.day_net  # noqa: B018 - counts the day
    assert loop.asks("one", ask(5)) == [code]
    assert loop.asks("two", ask(5)) == ["sent"]


def test_nor_is_a_lock_or_blindness() -> None:
    loop = Two()
    loop.holds("two", 10)
    state = loop.engine.state
    state.locks["KXA-1"] = Ts(NOW + HOUR)
    assert loop.asks("one", ask(5)) == ["LOCKED"]
    assert loop.asks("two", ask(5)) == ["sent"]
    state.locks.clear()
    state.blind_since = NOW
    assert loop.asks("one", out(1)) == ["BLIND"]
    assert loop.asks("two", out(6)) == ["BLIND"], "beside what rests it is more than two holds"
    assert loop.asks("two", out(5)) == ["sent"]


def test_what_only_reduces_is_refused_where_the_strategy_itself_has_nothing_to_reduce() -> None:
    loop = Two()
    loop.holds("two", 10)
    assert loop.asks("one", out(5)) == ["NOT_CLOSING"]


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (RiskLimits(min_edge=Money(0)), "MIN_EDGE"),  # type: ignore[arg-type]
        (RiskLimits(min_edge=None, max_spread=cents(3)), "SPREAD"),
        (RiskLimits(min_edge=None, min_time_to_close_ms=2 * HOUR), "MARKET_CLOSING"),
        (RiskLimits(min_edge=None, price_collar=cents(2)), "PRICE_COLLAR"),
    ],
)
def test_what_is_asked_of_strategies_alone_asks_only_what_the_strategy_holds(limits: RiskLimits, code: str) -> None:
    """Another that quotes the same side, or holds the other one, keeps nobody in a position."""
    fair = cents(44) if code == "PRICE_COLLAR" else None
    loop = Two(limits)
    loop.holds("one", 5)
    loop.holds("two", -5)
    loop.rests("two", ASK, 44, 10)
    assert loop.asks("two", ask(1, 41, fair=fair)) == [code]
    assert loop.asks("one", ask(5, 41, fair=fair)) == ["sent"]


def test_a_cooldown_holds_up_no_exit_where_another_holds_the_other_side() -> None:
    loop = Two(RiskLimits(min_edge=None, cooldown_after_loss_ms=60_000))
    loop.holds("one", 6, price=43)
    loop.holds("one", -1, price=41)
    loop.holds("two", -5)
    assert loop.asks("one", Place("KXA-1", BID, cents(41), contracts(1))) == ["COOLDOWN"]
    assert loop.asks("one", ask(5)) == ["sent"]


def test_while_reducing_only_quotes_stay_that_close_what_their_strategy_holds() -> None:
    loop = Two()
    loop.holds("", 10)
    loop.holds("one", 5)
    kept, more, other = (loop.rests(*args) for args in (("one", ASK, 43, 3), ("one", ASK, 44, 3), ("two", ASK, 44, 1)))
    loop.engine.state.trading = TradingState.REDUCING
    gone = [each.order.order_id for each in loop.engine.step(Tick(NOW)) if isinstance(each, CancelOrder)]
    assert gone == [more, other]
    assert kept not in gone


def test_an_amend_that_raises_closes_only_what_its_strategy_holds() -> None:
    loop = Two()
    loop.holds("two", 10)
    loop.holds("one", 5)
    order_id = loop.rests("one", ASK, 44, 5)
    loop.engine.state.trading = TradingState.REDUCING
    assert loop.asks("one", Amend(order_id, cents(44), contracts(6))) == ["REDUCING"]
    assert loop.asks("one", Amend(order_id, cents(43), contracts(5))) == ["amended"]


def test_a_person_closes_what_the_account_holds_whoever_bought_it() -> None:
    loop = Two()
    loop.holds("two", 10)
    loop.engine.state.trading = TradingState.REDUCING
    assert isinstance(loop.engine.place(ask(10)), SubmitOrder)
    assert isinstance(loop.engine.place(ask(1)), OrderRefused)


def test_what_was_accepted_and_traded_counts_before_its_fills_are_here() -> None:
    loop = Two()
    loop.holds("", 10)
    loop.who["one"].wants.append(Place("KXA-1", BID, cents(44), contracts(5), tif=TimeInForce.IOC))
    (sent,) = [each for each in loop.engine.step(Tick(NOW)) if isinstance(each, SubmitOrder)]
    loop.engine.step(OrderAccepted(NOW, sent.order.client_order_id, "o1", contracts(5), Qty(0)))
    loop.engine.state.trading = TradingState.REDUCING
    assert loop.asks("one", out(5)) == ["sent"]
