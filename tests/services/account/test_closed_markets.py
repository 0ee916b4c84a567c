"""A start that reads only what is open knows as much as one that reads and counts all of history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.state_files import new_state_file
from support.values import NOW, make_fill, make_market, make_order, make_settlement

from kalshi_cli.base.units import Money, Price, Ts, cents, contracts
from kalshi_cli.core.account.closed_markets import FINAL_MS, ClosedMarket
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import Effect, FillBooked, OrderChanged, SettlementBooked
from kalshi_cli.core.model.messages import Filled, Message, Settled
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.risk.budget import at_risk
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.trading_day import TradingDayTotals
from kalshi_cli.services.account.recovery import restore_engine
from kalshi_cli.store.records import RecoveredState
from kalshi_cli.store.sqlite_store import Store

TICKERS = ("KXA-1", "KXA-2", "KXB-1")
OWNERS = ("one", "two", "a person", "nobody")
STRATEGIES = ("", "one", "two")
DAY_MS = 86_400_000
HOUR_MS = 3_600_000


class Trade(NamedTuple):
    """A fill; `late` is how long before the newest booking it happened."""

    ticker: str
    owner: str
    side: Side
    qty: int
    price: int
    fee: int
    subaccount: int
    late: int


class Payout(NamedTuple):
    """A settlement, or an amended one."""

    ticker: str
    value: int
    late: int


class Pause(NamedTuple):
    """Time that passes, after which final markets are closed."""

    ms: int


late = st.sampled_from([0, 0, 0, 1_000, 5 * HOUR_MS, 3 * DAY_MS])
trades = st.builds(
    Trade,
    st.sampled_from(TICKERS),
    st.sampled_from(OWNERS),
    st.sampled_from([BID, ASK]),
    st.integers(1, 5),
    st.integers(1, 99),
    st.integers(0, 70_000),
    st.sampled_from([0, 0, 0, 1]),
    late,
)
payouts = st.builds(Payout, st.sampled_from(TICKERS), st.sampled_from([0, 3_700, 10_000]), late)
pauses = st.builds(Pause, st.sampled_from([1_000, 6 * HOUR_MS, 2 * DAY_MS + 1, 5 * DAY_MS]))
histories = st.lists(st.one_of(trades, trades, payouts, pauses), max_size=30)


class History:
    """A state file, written as a loop writes it, and the time."""

    def __init__(self, path: Path) -> None:
        self.store = Store.open(new_state_file(path), account="account-1", environment="sim")
        self.now = NOW
        self.number = 0
        self.fills: list[Fill] = []

    def play(self, steps: list[Trade | Payout | Pause]) -> None:
        for step in steps:
            self.now = Ts(self.now + 60_000)
            if isinstance(step, Pause):
                self.now = Ts(self.now + step.ms)
                self.store.close_markets(self.now, 100)
                continue
            message = self.message(step)
            if isinstance(message, Filled):
                self.store.record(FillBooked(message.fill, None))
            else:
                self.store.record(SettlementBooked(message.settlement))

    def message(self, step: Trade | Payout) -> Filled | Settled:
        ts = Ts(max(0, self.now - step.late))
        if isinstance(step, Payout):
            settled = make_settlement(ticker=step.ticker, value=Price(step.value), ts=ts)
            return Settled(ts, settled)
        self.number += 1
        name = f"{self.number}"
        fill = make_fill(
            f"t{name}", order_id=f"o{name}", client_order_id=f"c{name}", ticker=step.ticker, side=step.side,
            qty=contracts(step.qty), price=cents(step.price), fee=Money(step.fee), subaccount=step.subaccount, ts=ts,
        )  # fmt: skip
        self.fills.append(fill)
        order = make_order(
            f"c{name}", order_id=f"o{name}", ticker=step.ticker, side=step.side, qty=fill.qty, filled=fill.qty,
            price=fill.price, status=OrderStatus.FILLED, created=ts, updated=ts, subaccount=step.subaccount,
            strategy=step.owner if step.owner in STRATEGIES else "", is_foreign=step.owner == "a person",
        )  # fmt: skip
        if step.owner != "nobody":
            self.store.record(OrderChanged(order))
        return Filled(ts, fill)

    def engine(self, memory: RecoveredState, closed: Callable[[str], ClosedMarket | None]) -> TradingEngine:
        state = EngineState(markets=[make_market(TICKERS[0])], now=self.now)
        state.valued = {ticker: make_market(ticker, yes_bid=cents(30)) for ticker in TICKERS[1:]}
        return restore_engine(
            memory, state, RiskLimits(), (), new_id=lambda: "id", order_expiry_s=None, on_file=self.store.order,
            closed=closed,
        )  # fmt: skip

    def short(self) -> TradingEngine:
        """The engine of a start: open markets, and the results of the others."""
        return self.engine(self.store.load(), self.store.closed_market)

    def whole(self) -> TradingEngine:
        """The engine that counts everything."""
        store = self.store
        memory = RecoveredState(
            orders=store.orders(), fills=store.fills(), settlements=store.settlements(), halt=store.halt()
        )
        return self.engine(memory, lambda _ticker: None)


def facts(engine: TradingEngine) -> dict[str, Any]:
    """Everything that limits, budgets, guards and reports take from history."""
    state = engine.state
    day = TradingDayTotals(state, engine.limits)
    named = {name: state.by_strategy[name] for name in STRATEGIES if name in state.by_strategy}
    places = [(ticker, name, number) for ticker in TICKERS for name in STRATEGIES for number in (0, 1)]
    return {
        "realized": state.ledger.realized,
        "fees": state.ledger.fees,
        "cash": state.ledger.cash,
        "by strategy": {n: (x.realized, x.fees, x.cash) for n, x in named.items() if x.realized or x.fees or x.cash},
        "held": {key: each for key, each in state.ledger.positions.items() if each.qty},
        "exposure": state.total_exposure(),
        "day": day.net(),
        "guarded day": engine.day_net,
        "gained": day.net_since_first_fill(),
        "at risk": {name: at_risk(state, name) for name in STRATEGIES},
        "owned": {place: state.owned(*place) for place in places},
        "cost": {place: (each.qty, each.cost) for place in places if (each := state.share(*place)).qty},
        "losses": {name: state.losses(name, TICKERS[0]) for name in STRATEGIES},
        "untold": sorted((order.order_id, qty) for order, qty in state.orders.untold()),
        "last": state.last_entry,
    }


@pytest.fixture(scope="module")
def numbers() -> Iterator[int]:
    return iter(range(10**9))


@given(st.data())
@settings(max_examples=80)
def test_open_markets_and_results_are_all_of_history(
    tmp_path_factory: pytest.TempPathFactory, numbers: Iterator[int], data: st.DataObject
) -> None:
    history = History(tmp_path_factory.getbasetemp() / f"closed-{next(numbers)}" / "state.db")
    history.play(data.draw(histories, "history"))
    history.store.close_markets(history.now, 100)
    closed = {ticker for ticker in TICKERS if history.store.closed_market(ticker) is not None}
    event(f"{len(closed)} closed")
    short, whole = history.short(), history.whole()
    assert facts(short) == facts(whole)
    again: st.SearchStrategy[Any] = st.sampled_from(history.fills) if history.fills else trades
    news: list[Any] = data.draw(st.lists(st.one_of(trades, payouts, again), max_size=4), "news")
    for step in news:
        history.now = Ts(history.now + 60_000)
        message: Message = Filled(step.ts, step) if isinstance(step, Fill) else history.message(step)
        told = [_booked(engine.step(message)) for engine in (short, whole)]
        assert told[0] == told[1]
        for effect in told[0]:
            history.store.record(effect)
    assert facts(short) == facts(whole)
    assert facts(history.short()) == facts(history.whole())
    history.store.close()


def _booked(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if isinstance(effect, FillBooked | SettlementBooked)]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    one = History(tmp_path / "state.db")
    yield one
    one.store.close()


BOUGHT = Trade("KXB-1", "one", BID, 2, 40, 100, 0, 0)
LATER = Pause(FINAL_MS + 1)
NEWS = Trade("KXA-1", "two", BID, 1, 50, 0, 0, 0)
PAID = Payout("KXB-1", 10_000, 0)


def test_a_closed_market_is_not_read_at_a_start(history: History) -> None:
    history.play([BOUGHT, PAID, LATER, NEWS, LATER])
    memory = history.store.load()
    assert {fill.ticker for fill in memory.fills} == {"KXA-1"}
    assert memory.settlements == ()
    assert {order.ticker for order in memory.orders} == {"KXA-1"}
    assert [(each.strategy, each.realized, each.fees) for each in memory.closed] == [("one", 1_200_000, 100)]
    assert facts(history.short()) == facts(history.whole())


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([BOUGHT, LATER, NEWS, LATER], id="a position is left"),
        pytest.param([BOUGHT, PAID, Pause(FINAL_MS - 10 * 60_000), NEWS, Pause(1)], id="it is not two days old"),
        pytest.param([BOUGHT, PAID, LATER], id="nothing newer was booked"),
        pytest.param(
            [BOUGHT, BOUGHT._replace(owner="two", side=ASK), LATER, NEWS, LATER], id="two strategies hold both sides"
        ),
    ],
)
def test_what_is_not_final_stays_open(history: History, steps: list[Trade | Payout | Pause]) -> None:
    history.play(steps)
    assert history.store.closed_market("KXB-1") is None
    assert "KXB-1" in {fill.ticker for fill in history.store.load().fills}


@pytest.mark.parametrize(
    "order",
    [
        make_order("c9", ticker="KXB-1", status=OrderStatus.RESTING, order_id="o9"),
        make_order("c1", ticker="KXB-1", status=OrderStatus.FILLED, order_id="o1", filled=contracts(3)),
    ],
    ids=["an order is live", "a fill is missing"],
)
def test_a_market_with_an_open_order_stays_open(history: History, order: Order) -> None:
    history.play([BOUGHT, PAID])
    history.store.record(OrderChanged(order))
    history.play([LATER, NEWS, LATER])
    assert history.store.closed_market("KXB-1") is None


@pytest.mark.parametrize(
    "entry",
    [
        FillBooked(make_fill("late", order_id="late", ticker="KXB-1", ts=Ts(NOW + 1)), None),
        SettlementBooked(make_settlement(ticker="KXB-1", value=Price(0), ts=Ts(NOW + 9 * DAY_MS))),
        OrderChanged(make_order("c7", order_id="o7", ticker="KXB-1", filled=contracts(1), status=OrderStatus.CANCELED)),
    ],
    ids=["fill", "settlement", "traded order"],
)
def test_what_changes_a_closed_market_opens_it_in_the_same_transaction(history: History, entry: Effect) -> None:
    history.play([BOUGHT, PAID, LATER, NEWS, LATER])
    assert history.store.load().closed != ()
    history.store.record(entry)
    memory = history.store.load()
    assert {fill.ticker for fill in memory.fills} == {"KXA-1", "KXB-1"}
    assert memory.closed == ()


def test_a_fill_of_a_closed_market_is_booked_once(history: History) -> None:
    history.play([BOUGHT, PAID, LATER, NEWS, LATER])
    engine, old = history.short(), history.fills[0]
    before = facts(engine)
    assert engine.step(Filled(old.ts, old)) == []
    assert facts(engine) == before


def test_a_settlement_of_a_closed_market_is_booked_once(history: History) -> None:
    history.play([BOUGHT, PAID, LATER, NEWS, LATER])
    engine = history.short()
    (paid,) = history.store.settlements()
    assert isinstance(paid, Settlement)
    assert engine.step(Settled(paid.ts, paid)) == []


def test_a_heartbeat_closes_markets_too(history: History) -> None:
    from kalshi_cli.store.records import Heartbeat

    history.play([BOUGHT, PAID, Pause(0), NEWS])
    history.now = Ts(history.now + FINAL_MS)
    history.play([NEWS])
    beat = Heartbeat(
        run_id="r", pid=1, mode="sim", strategy="one", started=NOW, completed=history.now, cycles=1, is_running=True
    )
    history.store.beat(beat)
    assert history.store.closed_market("KXB-1") is not None


def test_an_order_may_be_saved_again_in_a_market_that_is_open_again(history: History) -> None:
    history.play([BOUGHT, PAID, LATER, NEWS, LATER])
    order = make_order("c7", order_id="o7", ticker="KXB-1", filled=contracts(1), status=OrderStatus.CANCELED)
    for updated in range(3):
        history.store.record(OrderChanged(msgspec.structs.replace(order, updated=Ts(NOW + updated))))
    assert "KXB-1" in {fill.ticker for fill in history.store.load().fills}
