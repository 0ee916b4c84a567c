"""Check every request that is sent and the state after every step, and report violations as text."""

from __future__ import annotations

import math
from collections import Counter

from kalshi_cli.base.units import ONE_DOLLAR, Money, Ts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import (
    AlertRaised,
    Effect,
    FillBooked,
    OrderChanged,
    OrderRefused,
    SettlementBooked,
    StateChanged,
    SubmitOrder,
)
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.messages import AccountSnapshot
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.back_off import API_GUARD
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.simulator.model.records import RESTING
from kalshi_cli.store.sqlite_store import Store
from verification import invariants
from verification.limits import Slack, within_limits
from verification.simulate.admission import Admission
from verification.simulate.exchange import ME, TICKERS
from verification.simulate.sent import Sent
from verification.simulate.stage import Stage
from verification.simulate.stops import Stops

CALL_MS = 10_000
"""A call, with its waits for the pace and its tries, takes no longer; so long after a decision it may still leave."""

LATE_S = 30.0
"""So late a request may still arrive (F04)."""


FOUND_MS = 20_000
"""A fill that no message told is found within ten seconds, reads that are five seconds behind included."""

_DENIED = {"SELF_CROSS": "F28", "POSITION_LIMIT": "F61", "EXPOSURE": "F61", "ORDER_RATE": "F62", "PRICE_COLLAR": "F62"}
_TOLD = {"DAILY_LOSS": "F63", "API_GUARD": "F05 guard", "LATE_ORDER": "F04 told"}
"""Rows that the program itself says it has reached."""


class Checker:
    """Of one session, over all its processes."""

    def __init__(self, stage: Stage, limits: RiskLimits, history: invariants.BookHistory) -> None:
        self._stage = stage
        self._history = history
        self._limits = limits
        self._start = stage.exchange.cash(ME)
        self._wealth = invariants.wealth(stage.exchange)
        self._is_dirty = True
        self._engine: TradingEngine | None = None
        self._before: dict[str, Order] = {}
        self._posts: Counter[str] = Counter()
        self._twins: dict[str, float] = {}
        self._buckets = {
            "read": invariants.Bucket("read", 200, 200),
            "write": invariants.Bucket("write", 100, 100),
        }
        self._late: dict[str, Ts] = {}
        self._unseen: dict[str, Ts] = {}
        self._observer: Store | None = None
        self.lost: dict[str, float] = {}
        self._has_halted = False
        self.admission = Admission(stage, limits)
        self.stops = Stops(stage)
        self.slack = 0
        self.slack_qty = 0
        self.slack_orders = 0
        self.others_placed = 0
        self.violations: list[str] = []

    def touch(self) -> None:
        """Something happened at the exchange."""
        self._is_dirty = True

    def say(self, found: list[str]) -> None:
        """Keep what is new of it."""
        at = self._stage.timeline.seconds
        for text in found:
            if len(self.violations) < 20 and all(text not in known for known in self.violations):
                self.violations.append(f"{at:.2f} s: {text}")

    # -- requests ---------------------------------------------------------------------------------------------------

    def leaves(self, sent: Sent, who: str) -> None:
        """A request is about to go out."""
        self._stage.events += 1
        self._pace(sent)
        self.say(self.stops.leaves(sent, who))
        for name in sent.names:
            self._create(name, who, is_closing=sent.is_closing)
        # A contract more or less is worth a dollar at most, where it takes a hedge away.
        money = max(self.slack, self.slack_qty * ONE_DOLLAR)
        slack = Slack(money, self.slack_qty, self.slack_orders, frozenset(self._unseen))
        self.say(self.admission.leaves(sent, slack))

    def _create(self, name: str, who: str, *, is_closing: bool) -> None:
        self._posts[name] += 1
        store = self._file()
        if store.halt().state is TradingState.HALTED and not is_closing:
            self.say([f"I-HALT {who} sends {name} although trading is halted"])
        order = store.order(name)
        if order is None:
            self.say([f"I-ONCE {name} is sent, and not on file"])
        elif who == "loop" and self._engine is not None and order.strategy:
            self._book_age(order)
        if not is_closing:
            self._unnoticed_twin(name)

    def _pace(self, sent: Sent) -> None:
        is_write = sent.method != "GET" and "/portfolio/" in sent.path
        cost = 10 * max(1, len(sent.names)) if sent.method != "DELETE" else 2
        if sent.method == "GET" and sent.path.rpartition("/")[0].endswith("/portfolio/orders"):
            cost = 2
        bucket = self._buckets["write" if is_write else "read"]
        self.say(bucket.take(cost, self._stage.timeline.seconds))

    def _book_age(self, order: Order) -> None:
        """I-TIME, T9: the book from which it was priced existed, and no longer ago than allowed."""
        assert self._engine is not None
        limit = self._limits.max_book_age_ms
        book = self._engine.state.books.get(order.ticker)
        if limit is None or book is None:
            return
        levels = (tuple(book.levels(BID)), tuple(book.levels(ASK)))
        age = self._history.age_ms(order.ticker, levels, self._stage.timeline.now())
        if age is None:
            self.say(
                [f"I-BOOK {order.client_order_id} is priced from a book of {order.ticker} that never was: {levels}"]
            )
        elif age > limit + CALL_MS + 2_000:
            self.say([f"I-TIME {order.client_order_id} is priced from a book that ended {age} ms ago"])

    def _unnoticed_twin(self, sent: str) -> None:
        """F09 under the narrower rule: found within one reconcile, and then halted. Nothing looser."""
        for name, seen in self._twins.items():
            if seen < 0:
                self.say([f"I-ONCE {sent} is sent although {name} was seen to be on the exchange twice (F09)"])

    def never_left(self, sent: Sent) -> None:
        """It provably did not arrive, or was refused for pace: it may be sent again."""
        for name in sent.names:
            self._posts[name] -= 1

    refused = never_left

    def arrived(self, sent: Sent, status: int) -> None:
        """The exchange handled it."""
        self._is_dirty = True
        if status == 429:
            self._stage.count["429 by the exchange"] += 1
            self._stage.hit("F41" if sent.method == "GET" else "")
            self.never_left(sent)
        if sent.method == "DELETE":
            self._canceled(sent, status)

    def _canceled(self, sent: Sent, status: int) -> None:
        """F50: without its shard an order is not found, though it rests."""
        order_id = sent.path.rpartition("/")[2]
        if status == 404 and order_id in self._stage.exchange._state.live:
            self.say([f"F50 the cancel of {order_id} did not find it, and it rests"])
        if status == 200 and self._stage.plan.shards > 1 and TICKERS[-1] in str(sent.request.url):
            self._stage.hit("F50 canceled")

    def answered(self, sent: Sent, status: int) -> None:
        """The client was told."""

    def landed(self, sent: Sent, delay_s: float) -> None:
        """A create was taken after the client had given up: it must still have been reserved for, so long (F04)."""
        self.say(self.stops.landed(sent, delay_s) if delay_s < LATE_S else [])
        order = self._engine.state.orders.get(sent.name) if self._engine is not None else None
        if order is not None and delay_s < LATE_S and order.status is OrderStatus.NEVER_ARRIVED:
            self.say([f"I-ONCE {sent.name} landed after {delay_s:.0f} s, and was given up before that"])

    def twice(self, sent: Sent, first: int, second: int, told: str = "") -> None:
        """The network delivered a create twice; the reply that came told of the order `told`."""
        if (first, second) == (201, 201):
            self._twins.setdefault(sent.name, self._stage.timeline.seconds)
            self._stage.hit("F09 accepted twice")
            self._excuse(sent.name, told)
        elif first >= 400 and second == 201:
            self.misled(sent)
        elif first == 201:
            self._stage.hit("F09")

    def misled(self, sent: Sent) -> None:
        """Of two copies one was taken, and the reply that came tells of the other, which was refused for good.

        The program lets go of it, as it must; its next read of the account finds it.
        """
        self._late[sent.name] = self._stage.timeline.now()
        self._excuse(sent.name)

    def _excuse(self, name: str, told: str = "") -> None:
        """Orders that no reservation can cover, because nobody here could know of them: all but the one told of."""
        for order in invariants.truth(self._stage.exchange, ME).named(name):
            if order.order_id == told:
                continue
            leg = order.price if order.side is BID else 10_000 - order.price
            self.excuse(leg * order.qty, order.qty)
            self._unseen[order.order_id] = self._stage.timeline.now()  # no budget can have room for it before a read

    def excuse(self, money: int, qty: int, orders: int = 1) -> None:
        """Orders of others: so much may be there before anybody here can know of it."""
        self.slack += money
        self.slack_qty += qty
        self.slack_orders += orders

    # -- the program ------------------------------------------------------------------------------------------------

    def begins(self, engine: TradingEngine) -> None:
        """A loop starts: what it remembers is what it is held to from now on."""
        self._engine = engine
        self._before = self._orders(engine)
        self.say(self.stops.begins())

    def ended_well(self) -> None:
        """The loop ended in good order."""
        assert self._engine is not None
        self.say(self.stops.ended(self._engine))

    def ends(self) -> None:
        """There is no loop. What it saw twice and had not written down, the next one knows once it sees it."""
        self._engine = None
        self._twins = {name: max(seen, 0.0) for name, seen in self._twins.items()}

    @staticmethod
    def _orders(engine: TradingEngine) -> dict[str, Order]:
        index = engine.state.orders
        found = {name: tracked.order for name, tracked in index._by_client_id.items()}
        return found | {tracked.order.order_id: tracked.order for tracked in index._by_order_id.values()}

    def recorded(self, effect: Effect) -> None:
        """It is on file."""
        self._is_dirty = True
        if isinstance(effect, SubmitOrder):
            is_guarded = self._file().halt().code == API_GUARD
            self.say(self.admission.decided(effect, frozenset(self._unseen), self._engine, is_guarded=is_guarded))
            self._stage.count["sent under API_GUARD"] += is_guarded and bool(effect.order.strategy)
            self._stage.count["intents"] += 1
        elif isinstance(effect, StateChanged) and effect.state is TradingState.HALTED:
            self._has_halted = True
            self.stops.moved(effect.state)
        elif isinstance(effect, AlertRaised) and effect.code == "DOUBLE_ORDER":
            self._unseen.pop(effect.subject, None)  # the stream told of it before a read: it counts from here on
            if self._has_halted:
                self._noticed(effect.subject)
        elif isinstance(effect, FillBooked):
            self._stage.count["fills booked"] += 1
        elif isinstance(effect, SettlementBooked):
            self._stage.hit("F46")
        elif isinstance(effect, OrderRefused):
            self._stage.count[f"denied {effect.code}"] += 1
            self._stage.hit(_DENIED.get(effect.code, ""))
        elif isinstance(effect, OrderChanged):
            self._stage.hit("F30" if effect.order.status is OrderStatus.EXPIRED else "")
            if "insufficient_balance" in effect.order.code and effect.order.ticker == TICKERS[-1]:
                self._stage.hit("F50")
            self._stage.hit("F29" if effect.order.status is OrderStatus.REJECTED and effect.order.post_only else "")
        if isinstance(effect, AlertRaised | StateChanged):
            self._stage.count[f"told {effect.code}"] += 1
            self._stage.hit(_TOLD.get(effect.code, "") if isinstance(effect, AlertRaised) else "")

    def _noticed(self, order_id: str) -> None:
        """Trading was halted, and a person told of this order, which is there besides another under its name."""
        name = invariants.truth(self._stage.exchange, ME).orders[order_id].client_order_id
        if name in self._twins:
            self._twins[name] = math.inf
            self._stage.hit("F09 noticed and halted")

    def looked(self, snapshot: AccountSnapshot) -> None:
        """A read of the account was taken: what was there twice before it is known now, or never will be."""
        self._late = {name: at for name, at in self._late.items() if at >= snapshot.as_of}
        self._unseen = {order_id: at for order_id, at in self._unseen.items() if at >= snapshot.as_of}
        for name, seen in self._twins.items():
            shown = [order for order in snapshot.orders if order.client_order_id == name]
            if 0 <= seen < math.inf and len(shown) > 1:
                self._twins[name] = -1.0

    def ticked(self) -> None:
        """An interval of the loop is over."""
        if self._engine is not None:
            self.say(self.stops.tick(self._engine))

    # -- after every step -------------------------------------------------------------------------------------------

    def step(self) -> None:
        """All that holds at every moment."""
        self._stage.events += 1
        self.stops.stepped()
        self.admission.step()
        engine = self._engine
        if not self._is_dirty or engine is None:
            return
        self._is_dirty = False
        exchange = self._stage.exchange
        found = invariants.truth(exchange, ME)
        orders = self._orders(engine)
        fills = [entry for entry in engine.state.ledger.entries if hasattr(entry, "trade_id")]
        self.say(invariants.once(found, self._twins))
        self.say(invariants.sent_once(self._posts))
        self.say(invariants.fills_are_real(found, fills))  # type: ignore[arg-type]
        self.say(invariants.orders_add_up(found, orders.values()))
        self.say(invariants.statuses_follow(self._before, orders))
        excused = self._twins.keys() | self._late.keys()
        known = {id(order): order for order in orders.values() if order.client_order_id not in excused}
        self.say(invariants.nothing_hidden(found, known.values()))
        self.say(invariants.contracts(exchange))
        self.say(invariants.cash_adds_up(exchange, found, self._start))
        if invariants.wealth(exchange) != self._wealth:
            self.say(["I-CASH money came from nowhere, or went there"])
        self._within_limits()
        self._note_statuses(orders)
        self._before = orders

    def _within_limits(self) -> None:
        exchange = self._stage.exchange
        self.say(within_limits(exchange, ME, self._limits, Slack(self.slack, self.slack_qty, self.slack_orders)))

    def _note_statuses(self, orders: dict[str, Order]) -> None:
        for name, order in orders.items():
            was = self._before.get(name)
            if was is None or was.status is order.status:
                continue
            if order.status is OrderStatus.NEVER_ARRIVED and name in self.lost:
                self._stage.hit("F03")
            if order.status is OrderStatus.UNKNOWN:
                self._stage.count["unknown"] += 1
            if was.status is OrderStatus.NEVER_ARRIVED:
                self._stage.hit("F04 after it was given up")

    def caught_up(self) -> None:
        """The loop ended, and ran without a fault for long enough: it has found by itself what had been traded."""
        found, until = invariants.truth(self._stage.exchange, ME), self._stage.timeline.now() - FOUND_MS
        found = found._replace(fills=[fill for fill in found.fills if fill.ts < until])
        self._stage.count["caught up by the loop"] += 1
        self.say(invariants.fills_are_all_booked(found, self._file().fills()))

    # -- when all is quiet ------------------------------------------------------------------------------------------

    def quiet(self, engine: TradingEngine) -> None:
        """Everything is delivered: nothing is in doubt, and both sides say the same, to the micro-dollar."""
        exchange, store = self._stage.exchange, self._file()
        found = invariants.truth(exchange, ME)
        memory = store.load()
        orders = list(store.orders())
        self.say(invariants.once(found, self._twins))
        self.say(invariants.every_intent_ended(orders))
        self.say(invariants.fills_are_real(found, memory.fills))
        self.say(invariants.fills_are_all_booked(found, memory.fills))
        self.say(invariants.settlements_are_all_booked(found, memory.settlements))
        self.say(invariants.orders_add_up(found, orders))
        self.say(invariants.orders_agree(found, orders))
        self.say(invariants.written_first(self._posts, {order.client_order_id for order in orders}))
        ledger = engine.state.ledger
        ours = {
            held.ticker: invariants.Booked(held.qty, held.cost, held.realized, held.fees)
            for held in ledger.positions.values()
        }
        self.say(invariants.books_agree(exchange, ME, ours, Money(self._start + ledger.cash)))
        profit = {held.ticker: held.realized - held.fees for held in ledger.positions.values()}
        self.say(invariants.profit_is_cash(memory.fills, memory.settlements, profit))  # type: ignore[arg-type]
        resting = [order for order in found.orders.values() if order.status == RESTING]
        self._stage.count["resting at the end"] += len(resting)

    def _file(self) -> Store:
        """The state file, seen from outside of the program."""
        if self._observer is None:
            path = self._stage.home / "sim" / "state.db"
            self._observer = Store.open(path, account="alice-key", environment="sim")
        return self._observer

    def halted_state(self) -> TradingState:
        """As the state file has it."""
        return self._file().halt().state

    def forget_file(self) -> None:
        """The state file is gone, or an old one: nobody can be held to what was in it."""
        self._posts = Counter()
        self._has_halted = False
        self.admission.forget()
        self.stops.forget()

    def close(self) -> None:
        """Let go of the file."""
        if self._observer is not None:
            self._observer.close()
            self._observer = None
