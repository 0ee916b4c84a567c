"""What a strategy may see as its position: its own fills, as far as the account still holds them."""

from __future__ import annotations

import random

import pytest
from hypothesis import event, given
from hypothesis import strategies as st
from support.values import NOW, make_engine, make_fill, make_order, make_settlement, make_state

from kalshi_cli.base.units import Money, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.strategy_positions import StrategyPositions
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import SubmitOrder
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.messages import Filled, OrderAccepted, Settled
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Fill, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.view import StrategyContext

OPEN = RiskLimits(min_edge=None, max_book_age_ms=None, max_position=None, max_exposure=None, price_collar=None)
NAMES = ("one", "two")
TICKER = "KXA-1"

trades = st.lists(
    st.tuples(st.sampled_from([*NAMES, "a person"]), st.sampled_from([BID, ASK]), st.integers(1, 9)), max_size=12
)


class Account:
    """One engine; whoever trades, and what each would hold by its own fills alone."""

    def __init__(self) -> None:
        self.engine = make_engine(limits=OPEN)
        self.own = dict.fromkeys((*NAMES, "a person"), 0)
        self.fills: list[Fill] = []
        self.learn(self.engine)

    def learn(self, engine: TradingEngine) -> None:
        """Each strategy has one old order for each of its fills to come: only whose it is matters."""
        for name in NAMES:
            for side in (BID, ASK):
                engine.state.orders.add(
                    make_order(
                        f"{name}-{side}", order_id=f"o-{name}-{side}", side=side, strategy=name,
                        status=OrderStatus.CANCELED,
                    )
                )  # fmt: skip

    def trade(self, who: str, side: Side, qty: int, subaccount: int = 0, price: int = 40) -> None:
        number = len(self.fills)
        fill = make_fill(
            f"t{number}", order_id=f"o-{who}-{side}", client_order_id="", side=side, qty=contracts(qty),
            ts=Ts(NOW + number), subaccount=subaccount, price=cents(price),
        )  # fmt: skip
        self.fills.append(fill)
        self.own[who] += side.sign * contracts(qty)
        self.engine.step(Filled(fill.ts, fill))

    @property
    def held(self) -> Qty:
        return self.engine.state.held(TICKER)

    def seen(self, engine: TradingEngine | None = None) -> list[Qty]:
        return [StrategyContext((engine or self.engine).state, name).position(TICKER) for name in NAMES]

    def restarted(self, fills: list[Fill]) -> TradingEngine:
        engine = make_engine(limits=OPEN)
        self.learn(engine)
        engine.recall([], fills)
        return engine


@given(trades, st.randoms(use_true_random=False))
def test_strategies_never_see_more_than_the_account_holds_nor_are_turned_over_by_others(
    script: list[tuple[str, Side, int]], dice: random.Random
) -> None:
    account = Account()
    for who, side, qty in script:
        before = account.seen()
        account.trade(who, side, qty)
        seen = account.seen()
        assert min(0, account.held) <= sum(seen) <= max(0, account.held)
        for name, was, now in zip(NAMES, before, seen, strict=True):
            if name != who:
                assert min(0, was) <= now <= max(0, was), "others only take from it, and never turn it over"
            else:
                assert min(0, side.sign * contracts(qty)) <= now - was <= max(0, side.sign * contracts(qty))
        if not any(each == "a person" for each, _, _ in script):
            assert seen == [account.own[name] for name in NAMES], "nobody else trades"
    heard = list(account.fills)
    dice.shuffle(heard)
    assert account.seen(account.restarted(heard)) == account.seen(), "in whatever order it was heard of"
    event(f"taken: {account.seen() != [account.own[name] for name in NAMES]}")


@pytest.mark.parametrize(("side", "other"), [(BID, ASK), (ASK, BID)])
def test_what_a_person_closed_is_gone_for_the_strategy_and_does_not_come_back(side: Side, other: Side) -> None:
    account = Account()
    account.trade("one", side, 10)
    assert account.seen() == [side.sign * contracts(10), 0]
    account.trade("a person", other, 4)
    assert account.seen() == [side.sign * contracts(6), 0]
    account.trade("a person", other, 6)
    assert account.seen() == [0, 0]
    account.trade("a person", side, 10)
    assert (account.seen(), account.held) == ([0, 0], side.sign * contracts(10)), "it is that person's now"
    account.trade("two", side, 3)
    assert account.seen() == [0, side.sign * contracts(3)]


def test_a_person_who_holds_as_well_sells_their_own_first() -> None:
    account = Account()
    account.trade("one", BID, 10)
    account.trade("a person", BID, 5)
    account.trade("a person", ASK, 5)
    assert account.seen() == [contracts(10), 0]


def test_of_several_strategies_the_first_by_name_gives_first() -> None:
    account = Account()
    account.trade("two", BID, 10)
    account.trade("one", BID, 10)
    account.trade("a person", ASK, 12)
    assert account.seen() == [0, contracts(8)]


def test_a_subaccount_is_closed_by_itself() -> None:
    account = Account()
    account.trade("one", BID, 10)
    account.trade("a person", ASK, 4, subaccount=3)
    assert account.seen() == [contracts(10), 0], "nothing nets across subaccounts"


def test_a_settlement_ends_it_also_where_the_fill_is_heard_of_after_it() -> None:
    account = Account()
    account.engine.step(Settled(NOW, make_settlement()))
    account.trade("one", BID, 10)
    assert (account.seen(), account.held) == ([0, 0], 0)


def test_what_a_reply_says_was_traded_is_closed_as_well() -> None:
    """A person closed what the strategy's reply told of, before its fill came."""
    engine = make_engine(limits=OPEN)
    submit = engine.place(Place(TICKER, BID, make_fill().price, contracts(10)), "one")
    assert isinstance(submit, SubmitOrder)
    engine.step(OrderAccepted(NOW, submit.order.client_order_id, "mine", contracts(10), Qty(0)))
    assert StrategyContext(engine.state, "one").position(TICKER) == contracts(10), "companion: it is held"
    engine.step(Filled(NOW, make_fill("closing", order_id="theirs", side=ASK)))
    assert StrategyContext(engine.state, "one").position(TICKER) == 0


prices = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from([BID, ASK]), st.integers(1, 9), st.integers(1, 99)), max_size=12
)


@given(prices)
def test_as_long_as_nobody_else_trades_its_share_cost_what_its_own_fills_say(
    script: list[tuple[str, Side, int, int]],
) -> None:
    account = Account()
    for who, side, qty, price in script:
        account.trade(who, side, qty, price=price)
    for name in NAMES:
        own = account.engine.state.by_strategy.get(name) or Ledger()
        position, share = own.position(TICKER), account.engine.state.share(TICKER, name, 0)
        assert (share.qty, share.cost) == (position.qty, position.cost)


@pytest.mark.parametrize("rest", [0, 6])
def test_what_it_holds_after_somebody_closed_its_position_cost_what_it_paid_since(rest: int) -> None:
    """Of ten at 40 a person closed four, or all; it sells what it had left, and ten more at 30: NO for 70 each."""
    account = Account()
    account.trade("one", BID, 10, price=40)
    account.trade("a person", ASK, 10 - rest, price=40)
    share = account.engine.state.share(TICKER, "one", 0)
    assert (share.qty, share.cost) == (contracts(rest), dollars("0.40") * rest)
    account.trade("one", ASK, rest + 10, price=30)
    share = account.engine.state.share(TICKER, "one", 0)
    assert (share.qty, share.cost) == (-contracts(10), dollars(7))
    assert StrategyContext(account.engine.state, "one").cost(TICKER) == dollars(7)


@pytest.mark.parametrize(("price", "is_loss"), [(39, True), (40, False), (41, False)])
@pytest.mark.parametrize("is_short", [False, True])
def test_a_loss_is_what_is_closed_below_its_cost(price: int, is_short: bool, is_loss: bool) -> None:
    account, (opens, closes) = Account(), (ASK, BID) if is_short else (BID, ASK)
    account.trade("one", opens, 10, price=60 if is_short else 40)
    account.trade("one", closes, 5, price=100 - price if is_short else price)
    state = account.engine.state
    assert state.losses("one", TICKER).at == (account.fills[-1].ts if is_loss else None)
    assert state.losses("two", TICKER).at is None
    account.trade("one", closes, 5, price=45 if is_short else 55)
    assert state.losses("one", TICKER).at == (account.fills[-2].ts if is_loss else None), "a gain takes no loss back"


def test_what_a_person_closed_is_no_loss_of_the_strategy_and_what_it_loses_afterwards_is() -> None:
    """By its own fills alone it closes at a loss where it opens, and opens where it closes at a loss."""
    account = Account()
    state = account.engine.state
    account.trade("one", BID, 10, price=40)
    account.trade("a person", ASK, 10, price=20)
    account.trade("one", ASK, 10, price=30)
    assert state.losses("one", TICKER).at is None
    account.trade("one", BID, 10, price=31)
    assert state.losses("one", TICKER).at == account.fills[-1].ts
    for fills in (account.fills, account.fills[::-1]):
        assert account.restarted(fills).state.losses("one", TICKER).at == account.fills[-1].ts, "a restart remembers it"


steps = st.lists(
    st.tuples(
        st.sampled_from([*NAMES, "a person", "later", "settled"]), st.sampled_from([BID, ASK]), st.integers(1, 9),
        st.integers(1, 99), st.integers(0, 1), st.sampled_from([0, 0, 0, 3]),
    ),
    max_size=14,
)  # fmt: skip


@given(steps)
def test_counted_as_they_arrive_or_all_at_once_they_are_the_same(
    script: list[tuple[str, Side, int, int, int, int]],
) -> None:
    """Late entries, owners that become known later, and amended settlements included."""
    state = make_state()
    for number, (who, side, qty, price, subaccount, late) in enumerate(script):
        ts = Ts(NOW + 10 * (number - late))
        if who == "settled":
            state.ledger.settle(make_settlement(ts=ts, value=cents(price)))
        else:
            entry = make_fill(
                f"t{number}", side=side, qty=contracts(qty), price=cents(price), ts=ts, subaccount=subaccount,
                fee=Money(100 * price),
            )  # fmt: skip
            state.ledger.book(entry)
            if who == "later":
                state.owned(TICKER, "one")
            if who != "a person":
                state.record_own_fill("one" if who == "later" else who, entry)
        entries = state.ledger.entries_of(TICKER)
        whole = StrategyPositions(entries, state._owner_of)
        for name in (*NAMES, ""):
            assert state.owned(TICKER, name) == whole.of(name)
            assert state.losses(name, TICKER) == whole.losses(name)
            for place in (0, 1):
                assert state._booked_shares(TICKER).cost_of(name, place) == whole.cost_of(name, place)
