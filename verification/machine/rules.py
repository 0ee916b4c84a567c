"""The rules that hypothesis chooses from: actions of a program, its exchange, its network and its user."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from pathlib import Path
from typing import ClassVar, Literal

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from support.simulation import DAY_MS, OTHER, T0, TICKER

from kalshi_cli.base.errors import AnotherInstanceError
from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, contracts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Amend, Cancel, Place
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.services.orders.cancel import CancelScope
from kalshi_cli.services.orders.kill_switch import KillSwitch
from kalshi_cli.services.runner import perform_effects, process_messages
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt
from kalshi_cli.store.lock import lock
from kalshi_cli.store.records import Halt
from verification.machine.stage import ME, Stage

_MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None

MARKETS = st.sampled_from((TICKER, OTHER))
SIDES = st.sampled_from((BID, ASK))
PRICES = st.sampled_from((35, 40, 42, 44, 48, 60, 63, 66))
COUNTS = st.sampled_from((1, 3, 8, 15))
FAULTS_OF_A_CREATE = ("lose_reply", "lose_request", "late", "twice", "garbage", "refuse", "429", "crash")
FAULTS = st.sampled_from((*FAULTS_OF_A_CREATE, "late", "late", "stale"))  # what is late must also arrive in time

LEAST = {
    **{f"{fault} on create": 2_000 for fault in FAULTS_OF_A_CREATE},
    "place": 20,
    "amend": 1_000,
    "cancel": 500,
    "fill": 500,
    "partial_fill": 500,
    "delivered late": 1_000,
    "drop frame": 500,
    "duplicate frame": 500,
    "reorder frame": 500,
    "stale read": 1_000,
    "crash": 50,
    "trip_group": 1_000,
    "foreign_trade": 500,
    "settle": 1_000,
    "dispute": 2_000,
    "kill is clean": 500,
    "halted": 500,
    "reducing": 500,
    "pause of trading": 1_000,
    "pause of exchange": 1_000,
    "exchange_cancel": 1_000,
}
"""What must be reached at least once in so many steps; less is a machine that stands still."""


class Machine(RuleBasedStateMachine):
    """One program through whatever happens to it."""

    reached: ClassVar[Counter[str]] = Counter()
    """Over all examples: how often each rule, and each rare branch, was really reached."""

    @initialize(client_ids=st.sampled_from(("forever", "open_only")), lag_ms=st.sampled_from((0, 2_000)))
    def begin(self, client_ids: Literal["forever", "open_only"], lag_ms: int) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="machine-", dir=_MEMORY))
        self.stage = Stage(self.home, client_ids=client_ids, read_lag_ms=lag_ms)

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        try:
            self.stage.settle()
        finally:
            Machine.reached += self.stage.seen
            self.stage.close()
            shutil.rmtree(self.home, ignore_errors=True)

    @invariant()
    def holds(self) -> None:
        if hasattr(self, "stage"):
            self.stage.check()

    def _did(self, what: str) -> None:
        self.stage.seen[what] += 1

    def _mine(self, at: int) -> Order | None:
        """One of the orders that rest, as the program knows them."""
        live = [
            order
            for order in self.stage.engine.state.orders.live()
            if order.strategy and order.status is OrderStatus.RESTING
        ]
        return live[at % len(live)] if live else None

    def _one_that_rests(self, at: int) -> Order | None:
        """One of ours; where there is none, one is placed inside the spread first, which a fault may still prevent."""
        if self._mine(at) is None:
            self.carry_on()
            is_long = self.stage.engine.state.ledger.position(TICKER).qty > 0
            self.place(TICKER, ASK if is_long else BID, 42, 1, TimeInForce.GTC)
            self.stage.listen()
        return self._mine(at)

    def _is_open(self, ticker: str) -> bool:
        self.stage.exchange.advance(self.stage.clock.now())  # a market may have closed since the last request
        standing = self.stage.exchange.standing()
        is_trading = standing.is_active and standing.is_trading
        return is_trading and self.stage.exchange.status(ticker) is MarketStatus.ACTIVE

    # -- the program ------------------------------------------------------------------------------------------------

    @rule(
        ticker=MARKETS,
        side=SIDES,
        price=PRICES,
        count=COUNTS,
        tif=st.sampled_from((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC)),
    )
    def place(self, ticker: str, side: Side, price: int, count: int, tif: TimeInForce) -> None:
        before = self.stage.engine.tally.orders
        fair = Price(5_000)
        self.stage.tick(
            Place(ticker, side, Price(100 * price), contracts(count), fair=fair, reason="rule", tif=tif,
                  order_group_id=self.stage.group_id)
        )  # fmt: skip
        self._did("place" if self.stage.engine.tally.orders > before else "place denied")

    @rule(side=SIDES, depth=st.sampled_from((0, 1, 4)), count=COUNTS)
    def quote(self, side: Side, depth: int, count: int) -> None:
        """An order near the market, which is likely to be taken."""
        self.place(TICKER, side, 42 - side.sign * depth, count, TimeInForce.GTC)

    @rule(at=st.integers(0, 5))
    def cancel(self, at: int) -> None:
        order = self._one_that_rests(at)
        if order is not None:
            self._did("cancel")
            self.stage.tick(Cancel(order.client_order_id, reason="rule"))

    @rule(at=st.integers(0, 5), price=PRICES, count=COUNTS)
    def amend(self, at: int, price: int, count: int) -> None:
        order, stage = self._one_that_rests(at), self.stage
        if order is None:
            return
        verdict = stage.engine.amend(Amend(order.order_id, Price(100 * price), contracts(count)))
        if not hasattr(verdict, "doubtful"):
            self._did("amend denied")
            return
        self._did("amend")

        def send() -> None:
            process_messages(
                perform_effects(verdict, stage.venue, stage.sim.store), stage.engine, stage.venue, stage.sim.store
            )

        stage.call(send)

    @rule(seconds=st.sampled_from((1, 5, 20, 70)))
    def advance_clock(self, seconds: int) -> None:
        self._did("advance_clock")
        for _ in range(min(seconds, 3)):
            self.stage.clock.advance(seconds / 3)
            self.stage.tick()

    @rule(is_stale=st.booleans())
    def reconcile(self, is_stale: bool) -> None:
        """The account is read; sometimes one of its answers is an old one."""
        self._did("reconcile")
        if is_stale:
            self.stage.next_fault = "stale"
        self.stage.read_account()

    @rule()
    def crash_and_restart(self) -> None:
        self._did("crash_and_restart")
        self.stage.crash()

    @rule()
    def second_instance(self) -> None:
        """Another process of the same account is turned away while this one holds the lock."""
        path = self.home / "trade.lock"
        with lock(path, self.stage.clock):
            try:
                with lock(path, self.stage.clock):
                    raise AssertionError("two instances hold one account")
            except AnotherInstanceError:
                self._did("second_instance")

    # -- the network ------------------------------------------------------------------------------------------------

    @rule(fault=FAULTS)
    def next_request_meets(self, fault: str) -> None:
        self._did(f"armed {fault}")
        self.stage.next_fault = fault

    @rule(ticker=MARKETS, side=SIDES, price=PRICES, count=COUNTS, fault=FAULTS)
    def place_into(self, ticker: str, side: Side, price: int, count: int, fault: str) -> None:
        self.carry_on()
        self.stage.next_fault = fault
        self.place(ticker, side, price, count, TimeInForce.GTC)

    @rule()
    def deliver_late(self) -> None:
        if self.stage.late:
            self.stage.deliver(everything=True)

    @rule()
    def deliver_next_frame(self) -> None:
        self.stage.fetch()
        if self.stage.pending:
            self._did("deliver_next_frame")
            self.stage.hear(self.stage.pending.popleft())

    @rule()
    def deliver_all_frames(self) -> None:
        self._did("deliver_all_frames")
        self.stage.listen()

    @rule(what=st.sampled_from(("drop", "duplicate", "reorder")))
    def upset_frames(self, what: str) -> None:
        stage = self.stage
        stage.fetch()
        if len(stage.pending) < 2:
            self.quotes_come_back(TICKER)
            stage.fetch()
        if len(stage.pending) < 2:
            return
        self._did(f"{what} frame")
        frame = stage.pending.popleft()
        if what == "duplicate":
            stage.pending.extendleft((frame, frame))
        elif what == "reorder":
            stage.pending.insert(1, frame)

    @rule()
    def lose_stream(self) -> None:
        self._did("lose_stream")
        self.stage.stream.close()
        self.stage.connect()

    # -- the exchange, and others ------------------------------------------------------------------------------------

    @rule(ticker=MARKETS, side=SIDES, share=st.sampled_from((1, 2, 4)))
    def fill(self, ticker: str, side: Side, share: int) -> None:
        """Somebody meets the best of this side, a part or the whole; sometimes it is ours."""
        exchange = self.stage.exchange
        if not exchange.levels(ticker, side):
            self.quotes_come_back(ticker)
        self.stage.pass_a_moment()
        levels = exchange.levels(ticker, side)
        if not self._is_open(ticker) or not levels:
            return
        price, standing = levels[0]
        taker = NewOrder(
            ticker=ticker, side=side.opposite, price=price, qty=Qty(max(1, standing // share)), tif=TimeInForce.IOC
        )
        exchange.submit("bob", taker, self.stage.clock.now())
        self._did("fill" if share == 1 else "partial_fill")

    @rule(ticker=MARKETS)
    def quotes_come_back(self, ticker: str) -> None:
        self.stage.pass_a_moment()  # a market may close in it
        if self._is_open(ticker):
            self._did("quotes_come_back")
            self.stage.sim.market(*((40, 44) if ticker == TICKER else (60, 66)), ticker=ticker)

    @rule(at=st.integers(0, 5))
    def exchange_cancel(self, at: int) -> None:
        """The exchange takes one of ours away by itself."""
        self._one_that_rests(at)
        resting = sorted(self.stage.exchange.resting(ME))
        if resting:
            self._did("exchange_cancel")
            self.stage.exchange.cancel(ME, resting[at % len(resting)][0], self.stage.clock.now())

    @rule(ticker=MARKETS, side=SIDES, price=PRICES)
    def foreign_trade(self, ticker: str, side: Side, price: int) -> None:
        """The web site trades on our account."""
        stage = self.stage
        stage.pass_a_moment()
        order = NewOrder(ticker=ticker, side=side, price=Price(100 * price), qty=contracts(2))
        receipt = stage.exchange.submit(ME, order, stage.clock.now())
        if isinstance(receipt, OrderReceipt):
            leg = 100 * price if side is BID else ONE_DOLLAR - 100 * price
            stage.slack = Money(stage.slack + leg * 200)
            stage.slack_qty += 200
            self._did("foreign_trade")

    @rule(kind=st.sampled_from(("trading", "exchange")))
    def pause(self, kind: str) -> None:
        self._did(f"pause of {kind}")
        self.stage.exchange.pause(kind, self.stage.clock.now())

    @rule()
    def pause_ends(self) -> None:
        self._did("pause ends")
        self.stage.exchange.resume(self.stage.clock.now())

    @rule(ticker=st.just(OTHER), value=st.sampled_from((0, 5_000, 10_000)), is_disputed=st.booleans())
    def settle_market(self, ticker: str, value: int, is_disputed: bool) -> None:
        stage = self.stage
        if not self._is_open(ticker):
            return
        stage.exchange.set_close_time(ticker, stage.clock.now(), stage.clock.now())
        stage.exchange.settle(ticker, Price(value), stage.clock.now())
        if is_disputed:
            stage.exchange.dispute(ticker, stage.clock.now())
            stage.clock.advance(30.0)
            stage.exchange.settle(ticker, Price(10_000 - value), stage.clock.now())
        stage.clock.advance(70.0)
        stage.exchange.advance(stage.clock.now())
        self._did("dispute" if is_disputed else "settle")

    @rule(ticker=st.just(OTHER))
    def close_market(self, ticker: str) -> None:
        stage = self.stage
        if self._is_open(ticker) and stage.exchange.close_time(ticker) >= T0 + DAY_MS:
            self._did("close_market")
            stage.exchange.set_close_time(ticker, Ts(stage.clock.now() + 4_000), stage.clock.now())
            stage.look_at_markets()

    # -- people -------------------------------------------------------------------------------------------------------

    @rule()
    def open_group(self) -> None:
        """The orders from now on are in a new one."""
        groups: list[OrderGroup] = []
        client = self.stage.sim.client
        if self.stage.call(lambda: groups.append(client.create_order_group(contracts(500)))):
            self._did("open_group")
            self.stage.group_id = groups[0].group_id

    @rule(is_reset=st.booleans())
    def trip_group(self, is_reset: bool) -> None:
        if not self.stage.group_id:
            self.open_group()
        client, group = self.stage.sim.client, OrderGroup(group_id=self.stage.group_id)
        change = client.reset_order_group if is_reset else client.trigger_order_group
        if self.stage.call(lambda: change(group)):
            self._did("reset_group" if is_reset else "trip_group")

    @rule(state=st.sampled_from((TradingState.ACTIVE, TradingState.ACTIVE, TradingState.REDUCING, TradingState.HALTED)))
    def person_decides(self, state: TradingState) -> None:
        stage = self.stage
        self._did({TradingState.ACTIVE: "resume"}.get(state, state.value))
        stage.sim.store.set_halt(Halt(state, "RULE", "a rule", stage.clock.now()))

    @rule()
    def carry_on(self) -> None:
        """Whatever stood against trading is taken away, and the books are there again."""
        stage = self.stage
        self._did("carry_on")
        stage.sim.store.set_halt(Halt(TradingState.ACTIVE, "RESUMED", "a rule", stage.clock.now()))
        stage.exchange.resume(stage.clock.now())
        stage.group_id = ""
        stage.listen()
        stage.read_account()
        stage.tick()
        for ticker in (TICKER, OTHER):
            self.quotes_come_back(ticker)
        stage.listen()

    @rule()
    def kill(self) -> None:
        """The kill switch of another process: halt for good, then everything is gone, or it does not say so."""
        stage = self.stage
        stage.sim.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "a rule", stage.clock.now()))
        outcomes: list[bool] = []

        def press() -> None:
            sim = stage.sim
            switch = KillSwitch(
                sim.client, stage.clock, CancelScope(), tell=sim.said.append,
                live=sim.store.live_orders, look_up=stage.look_up,
            )  # fmt: skip
            outcomes.append(switch.run(10.0, groups=()).is_clean)

        stage.call(press)
        if outcomes == [True]:
            assert not stage.exchange.resting(ME), "the kill switch says that nothing rests"
            self._did("kill is clean")
        self._did("kill")
