"""Random order traffic of one account among others, and its two ledgers: the exchange's own, and ours.

The account trades with the real client, straight into the simulated exchange, in virtual time. What it learns it learns
as the program does: from replies, from the stream, and from pages of REST, in between and instead of each other. An act
takes a `MarketSelection`, so that hypothesis can draw what a fixed seed draws otherwise. After every act both sides
must agree.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import Any, Protocol, TypeVar

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, dollars, notional
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.open_amends import worse_case_terms
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.market import fees
from kalshi_cli.core.model.effects import AmendOrder, CancelOrder, FillBooked, ResyncBook, SettlementBooked, SubmitOrder
from kalshi_cli.core.model.markets import FeeSchedule, FeeType
from kalshi_cli.core.model.messages import (
    AmendEnded,
    CancelFailed,
    GroupChange,
    MarketChange,
    Message,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderState,
)
from kalshi_cli.core.model.order_terms import ASK, BID, SelfTradePrevention, Side, TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.account_snapshot import account_snapshot
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.exchange.rest.rate_limits import RateLimiter
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.stream.sequencing import BOOK, StreamSession
from kalshi_cli.exchange.wire.account import ApiLimits as Pace
from kalshi_cli.exchange.wire.account import TokenBucketLimits
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.simulator.exchange import STREAM_PATH, SimulatedExchange
from kalshi_cli.simulator.model.listing import (
    EventSpec,
    ExchangeOptions,
    MarketSpec,
    NewOrder,
    OrderReceipt,
    SeriesSpec,
)
from kalshi_cli.simulator.model.price_grids import STRUCTURES
from kalshi_cli.simulator.serving.in_process_transport import SimTransport
from kalshi_cli.simulator.stream.connection import Connection
from support.simulation import KEY, T0

T = TypeVar("T")

FEES = (
    FeeSchedule(FeeType.WITH_MAKER),
    FeeSchedule(multiplier=500),
    FeeSchedule(FeeType.WITH_COMBO_MAKER),
    FeeSchedule(),
    FeeSchedule(FeeType.WITH_MAKER, 1500),
    FeeSchedule(multiplier=0),
)
GRIDS = (
    "linear_cent",
    "center_deci_edge_centi_cent",
    "center_centi_edge_centi_cent",
    "tapered_deci_cent",
    "center_half_edge_quint_cent",
)
WISHES = (433, 987, 4_730, 4_955, 4_990, 5_035, 5_110, 9_377)
"""Prices to be snapped to the grid: few, so that orders meet."""
COUNTS = (1, 3, 37, 100, 250, 999, 4_321)
KINDS = (
    *("plain",) * 3,
    *("post_only", "group") * 2,
    *("fok", "ioc", "reduce_only", "expiring", "on_pause"),
)
ALICE, OTHERS = "alice", ("bob", "carol")
SHARDS, SUBACCOUNTS = 2, 2
OVERLAP_MS = 60_000
CHANNELS = (BOOK, "fill", "user_orders", "order_group_updates")
UNLIMITED = Pace("prestige", TokenBucketLimits(10**9, 10**9), TokenBucketLimits(10**9, 10**9))

FeeOf = Callable[..., Money]


class Choice(Protocol):
    """Who decides."""

    def pick(self, options: Sequence[T]) -> T: ...


class Seeded:
    """A fixed seed decides."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def pick(self, options: Sequence[T]) -> T:
        return self._rng.choice(options)


def ids_in_order() -> Iterator[str]:
    """Ids that sort by their age."""
    return (f"{number:08d}-0000-4000-8000-000000000000" for number in count(1))


def scattered_ids() -> Iterator[str]:
    """Ids as real ones are: their order says nothing."""
    rng = random.Random(3)
    return (str(uuid.UUID(int=rng.getrandbits(128), version=4)) for _ in count())


class Traffic:
    """Alice, two others, and everything that alice believes.

    `ledger` and `fee_of` are hers, and `hears` says which messages reach her: a test hands in wrong ones to see that
    they are found out. `new_ids` are what the exchange gives out. `seen` counts what took effect, by name.
    """

    def __init__(
        self,
        choice: Choice,
        *,
        ledger: Callable[[], Ledger] = Ledger,
        fee_of: FeeOf = fees.trade_fee,
        hears: Callable[[Message], bool] = lambda _message: True,
        new_ids: Callable[[], Iterator[str]] = ids_in_order,
    ) -> None:
        self.seen: Counter[str] = Counter()
        ids, our_ids = new_ids(), count(1)
        self.new_id: Callable[[], str] = lambda: f"ours-{next(our_ids)}"
        self.clock = ManualClock(T0)
        self._hears = hears
        self.precision = choice.pick((fees.DIRECT, fees.INTERMEDIARY))
        options = ExchangeOptions(read_rate=0, write_rate=0, shards=SHARDS, balance_precision=self.precision)
        self.exchange = SimulatedExchange(new_id=lambda: next(ids), options=options)
        self.charged: dict[str, FeeSchedule] = {}
        self.deposited: dict[tuple[int, int], Money] = {}
        self._open_accounts()
        self._connect_program(ledger, fee_of)
        for _ in range(4):
            self.list_market(choice)
        self.exchange.set_shuffle(choice.pick((None, 7)), self.now)
        self.reconnect()
        self.read_account()
        self.total = self.wealth()

    @property
    def now(self) -> Ts:
        return self.clock.now()

    def _open_accounts(self) -> None:
        shards = range(SHARDS)
        for name in OTHERS:
            self.exchange.add_account(name, dollars(10_000), shards=shards)
        self.exchange.add_account(ALICE, Money(0), shards=shards)
        assert self.exchange.add_subaccount(ALICE) == 1
        for subaccount in range(SUBACCOUNTS):
            for shard in shards:
                cash = dollars((200, 20)[subaccount])
                self.exchange.deposit(ALICE, cash, subaccount=subaccount, exchange_index=shard)
                self.deposited[subaccount, shard] = cash
        pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        self.exchange.register_key(ALICE, "alice-key", pem)

    def _connect_program(self, ledger: Callable[[], Ledger], fee_of: FeeOf) -> None:
        self.signer = Signer("alice-key", KEY, self.clock)
        self.client = KalshiClient(
            "http://localhost/trade-api/v2",
            clock=self.clock,
            rng=random.Random(1),
            signer=self.signer,
            transport=SimTransport(self.exchange, self.clock),
            limiter=RateLimiter(self.clock, UNLIMITED),
        )
        state = EngineState(now=self.now)
        self.engine = TradingEngine(state, RiskLimits(), (), new_id=self.new_id, order_expiry_s=None)
        self.orders = state.orders
        self.venue = LiveVenue(self.client, None, self.clock, live=self.orders.live, since=T0)
        self.ledgers: defaultdict[tuple[int, int], Ledger] = defaultdict(ledger)
        self._fee_of = fee_of
        self._rounding: dict[str, fees.RoundingAccumulator] = {}
        self._unchecked: list[Fill] = []
        self.sequencer = StreamSession(channels=CHANNELS)
        self.stream: Connection | None = None
        self.groups: list[OrderGroup] = []
        self.since = T0
        self.listed = 0
        self.act = ""

    def close(self) -> None:
        self.client.close()

    # -- what the program learns --------------------------------------------------------------------------------------

    def step(self, messages: Iterable[Message]) -> None:
        """Let the engine know, and book what it books: each purse of the account is a ledger of its own."""
        for message in filter(self._hears, messages):
            self._count(message)
            for effect in self.engine.step(message):
                if isinstance(effect, FillBooked):
                    self._unchecked.append(effect.fill)
                elif isinstance(effect, SettlementBooked):
                    self._book_fills()
                    settlement = effect.settlement
                    for ledger in self.ledgers.values():
                        if ledger.holdings(settlement.ticker):
                            ledger.settle(settlement)
                elif isinstance(effect, ResyncBook) and self.stream is not None:  # it sends crossing orders on purpose
                    self.sequencer.resync([effect.ticker])

    def _count(self, message: Message) -> None:
        if isinstance(message, OrderAccepted):
            kind = "nothing" if not message.filled else "partly" if message.remaining else "all"
            self.seen[f"create filled {kind}"] += 1
        elif isinstance(message, OrderRejected):
            self.seen[f"create refused: {message.code}"] += 1
        elif isinstance(message, AmendEnded):
            self.seen["amend refused" if message.code else "amend confirmed"] += 1
        elif isinstance(message, OrderCanceled):
            self.seen["cancel confirmed"] += 1
        elif isinstance(message, CancelFailed):
            self.seen["cancel refused"] += 1
        elif isinstance(message, OrderState):
            self.seen[f"order told: {message.order.code or message.order.status}"] += 1
        elif isinstance(message, GroupChange):
            is_by_hand = message.change != "triggered" or self.act == "group_change"
            self.seen[f"group {message.change}" if is_by_hand else "group tripped by trading"] += 1

    def _book_fills(self) -> None:
        """In the order in which they happened: a list is newest first, and a stream may be shuffled."""
        mirror = self.exchange._state.members[ALICE].mirror
        assert mirror is not None
        numbers = {(fill.trade_id, fill.order_id): fill.number for fill in mirror.fills} if self._unchecked else {}
        for fill in sorted(self._unchecked, key=lambda fill: numbers[fill.key]):
            order = self.orders.by_order_id(fill.order_id)
            assert order is not None, "a fill of nobody's"
            self.ledgers[order.subaccount, order.exchange_index].book(fill)
            self.seen["taker fill" if fill.is_taker else "maker fill"] += 1
            self._check_fee(fill)
        self._unchecked.clear()

    def _check_fee(self, fill: Fill) -> None:
        """The fee is what the schedule says, with what the balance was rounded by, order by order."""
        leg = fill.price if fill.side is BID else Price(ONE_DOLLAR - fill.price)
        due = self._fee_of(self.charged[fill.ticker], fill.price, fill.qty, is_taker=fill.is_taker)
        order = self._rounding.setdefault(fill.order_id, fees.RoundingAccumulator(self.precision))
        charge = order.charge(Money(-notional(leg, fill.qty)), due)
        self.seen["rounding rebated"] += charge.rebate > 0
        self.seen["rounding charged"] += charge.rounding_fee > 0
        assert fill.fee == charge.net, f"{fill} should have cost {charge}"

    def listen(self) -> None:
        """Take all that the stream has, and answer it."""
        self.exchange.advance(self.now)
        while self.stream is not None:
            for text in tuple(self.stream.outbox):
                said = self.sequencer.on_frame(text, self.now)
                self.step(message for message in said if isinstance(message, Message))
            self.stream.outbox.clear()
            if not self.sequencer.outbox:
                return
            for command in self.sequencer.outbox:
                self.stream.receive(command.decode(), self.now)
            self.sequencer.outbox.clear()

    def read_account(self) -> None:
        """Read everything over REST, as the program does at a start, after a reconnect, and now and then."""
        snapshot = account_snapshot(self.client, self.clock, since=self.since, live=self.orders.live())
        self.since = Ts(max(T0, snapshot.as_of - OVERLAP_MS))
        self.step([snapshot])
        self.seen["account read"] += 1

    def reconnect(self) -> None:
        """A stream from now on; what it missed is read."""
        headers = {name.lower(): value for name, value in self.signer.headers("GET", STREAM_PATH).items()}
        stream = self.exchange.connect(headers, STREAM_PATH, self.now)
        assert isinstance(stream, Connection)
        self.stream = stream
        self.sequencer.connect()
        self.listen()

    def hang_up(self) -> None:
        if self.stream is not None:
            self.stream.close()
            self.stream = None
            self.sequencer.forget()

    # -- the world ----------------------------------------------------------------------------------------------------

    def list_market(self, choice: Choice) -> str:
        """One more market of one more event, with the next fees and grid, on the next shard."""
        number = self.listed
        self.listed += 1
        series, event = f"KXS{number}", f"KXS{number}-A"
        ticker, structure = f"{event}-T1", GRIDS[number % len(GRIDS)]
        schedule = FEES[number % len(FEES)]
        self.exchange.list_series(SeriesSpec(ticker=series, title="Any", fees=schedule))
        self.exchange.list_event(EventSpec(event_ticker=event, series_ticker=series, title="Any"), self.now)
        lasts_s = choice.pick((120, 900, 86_400, 86_400))
        spec = MarketSpec(
            ticker=ticker,
            event_ticker=event,
            title="Any?",
            open_time=self.now,
            close_time=Ts(self.now + lasts_s * 1000),
            settlement_timer_s=10,
            exchange_index=number % SHARDS,
            price_structure=structure,
            grid=STRUCTURES[structure],
        )
        self.exchange.list_market(spec, self.now)
        self.charged[ticker] = schedule
        self.step([MarketChange(self.now, self.client.market(ticker), schedule)])
        self.sequencer.follow([ticker])
        self.seen["market listed"] += 1
        return ticker

    def wealth(self) -> Money:
        """Cash of everybody, fees taken, and a dollar for every pair that is open: nothing makes it more or less."""
        exchange, everything = self.exchange, self.exchange.fees_collected()
        for name in exchange.accounts():
            everything = Money(everything + exchange.cash(name))
            for subaccount in exchange.subaccounts(name):
                for ticker in exchange.tickers(""):
                    everything = Money(everything + max(0, exchange.position(name, ticker, subaccount)) * ONE_DOLLAR)
        return everything

    # -- both sides ---------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Hear of everything; then the two sides must agree, to the micro-dollar."""
        if self.stream is None or self.engine.state.last_entry < self._last_payout():
            self.read_account()
        self.listen()
        self._book_fills()
        self._check_money()
        self._check_orders()
        self._check_books()
        assert self.wealth() == self.total, "money came from nowhere, or went there"

    def _last_payout(self) -> Ts:
        markets = self.exchange._state.markets.values()
        return max((market.settled for market in markets if market.settled is not None), default=Ts(0))

    def _check_money(self) -> None:
        exchange, all_fees, net = self.exchange, 0, Counter[tuple[int, str]]()
        for (subaccount, shard), purse in exchange._state.members[ALICE].purses.items():
            ours = self.ledgers[subaccount, shard]
            cash = exchange.cash(ALICE, subaccount, shard)
            assert cash == self.deposited[subaccount, shard] + ours.cash, f"cash of {subaccount} on {shard}"
            assert cash >= -self.precision * 100, "deep in debt"
            assert set(ours.positions) <= {(subaccount, ticker) for ticker in purse.holdings}
            for ticker, theirs in purse.holdings.items():
                mine = ours.position(ticker, subaccount)
                assert mine.qty == exchange.position(ALICE, ticker, subaccount), ticker
                stated = (theirs.qty, theirs.cost, theirs.realized, theirs.fees)
                assert (mine.qty, mine.cost, mine.realized, mine.fees) == stated, f"{ticker} of {subaccount}"
                net[subaccount, ticker] += theirs.qty
                all_fees += theirs.fees
        assert self.engine.state.ledger.fees == all_fees
        assert {key: held.qty for key, held in self.engine.state.ledger.positions.items() if held.qty} == {
            key: qty for key, qty in net.items() if qty
        }
        for ticker in exchange.tickers(""):
            held = [
                exchange.position(name, ticker, subaccount)
                for name in exchange.accounts()
                for subaccount in exchange.subaccounts(name)
            ]
            assert sum(held) == 0, f"contracts of {ticker} that nobody is short of"

    def _check_orders(self) -> None:
        ours = {self._terms(order): order.status for order in self.orders.live()}
        live = (order for order in self.exchange._state.live.values() if order.account == ALICE)
        theirs = {self._terms(order): OrderStatus.RESTING for order in live}
        assert ours == theirs

    @staticmethod
    def _terms(order: Any) -> tuple[Any, ...]:
        """What both sides say of an order that rests."""
        group = order.order_group_id if isinstance(order, Order) else order.group_id
        return (
            order.order_id,
            order.client_order_id,
            order.ticker,
            order.side,
            order.price,
            order.filled,
            order.remaining,
            order.expires,
            order.subaccount,
            order.exchange_index,
            group,
        )

    def _check_books(self) -> None:
        for ticker in self.exchange.tickers(""):
            bid, ask = self.exchange.top(ticker)
            assert bid is None or ask is None or bid[0] < ask[0], f"{ticker} is crossed"
            book = self.engine.state.books[ticker]
            if self.stream is not None and ticker in self.sequencer.tickers:
                assert book.is_usable, book.unusable_reason
                for side in (BID, ASK):
                    assert book.levels(side) == self.exchange.levels(ticker, side), f"our book of {ticker}"


class Acts(Traffic):
    """What may happen, one thing at a time. Every public method here is an act that takes a Choice."""

    def do(self, name: str, choice: Choice) -> None:
        """One act a moment later, and what follows."""
        self.clock.advance(0.05)
        self.exchange.advance(self.now)
        if len(self.exchange.tickers()) < 3:
            self.list_market(choice)
        self.act = name
        getattr(self, name)(choice)
        self.seen[name] += 1
        self.check()

    # -- orders of ours --

    def place(self, choice: Choice) -> None:
        self._send(self._draft(choice))

    def place_batch(self, choice: Choice) -> None:
        """Several of one side at once."""
        first = self._draft(choice)
        orders = [first, *(self._draft(choice, first.ticker, first.side) for _ in range(2))]
        for order in orders:
            self.orders.add(order)
        self.step(self.venue.submit_batch([SubmitOrder(order) for order in orders]))

    def amend(self, choice: Choice) -> None:
        what = choice.pick(("price", "size", "both", "expiry", "price across", "price across"))
        live = self.orders.live()
        if not live:
            return
        offers = {order.order_id: self.exchange.levels(order.ticker, order.side.opposite, 1) for order in live}
        if what == "price across":
            crossing = [order for order in live if offers[order.order_id]]
            live = [order for order in crossing if order.post_only] or crossing or live
        before = choice.pick(live)
        left, price, expires = before.remaining, before.price, before.expires
        if what in ("price", "both"):
            price = choice.pick(self._prices(before.ticker))
        if what in ("size", "both"):
            left = Qty(choice.pick(COUNTS))
        if what == "price across" and offers[before.order_id]:
            price = offers[before.order_id][0][0]
        if what == "expiry":
            expires = None if before.expires else self._soon(choice)
        wanted = msgspec.structs.replace(
            before, price=price, qty=Qty(before.filled + left), reduced=Qty(0), expires=expires
        )
        doubtful = worse_case_terms(before, wanted, self.now)
        self.orders.mark_unconfirmed(doubtful)
        self.seen[f"amend of {what}"] += 1
        self.step(self.venue.perform(AmendOrder(before, wanted, doubtful)))

    def decrease(self, choice: Choice) -> None:
        order = self._live(choice)
        if order is None:
            return
        less = Qty(choice.pick((1, order.remaining // 2, order.remaining)))
        how = {"by": less} if choice.pick((True, False)) else {"to": Qty(order.remaining - less)}
        self._ask(f"decrease {next(iter(how))}", lambda: self._decreased(self.client.decrease_order(order, **how)))

    def _decreased(self, order: Order) -> None:
        self.step([OrderState(order.updated, order)])

    def cancel(self, choice: Choice) -> None:
        order = self._live(choice)
        if order is not None:
            self.step(self.venue.perform(CancelOrder(order, "an act")))

    def cancel_batch(self, choice: Choice) -> None:
        live = self.orders.live()
        if live:
            self._ask("batch of cancels", lambda: self.step(self.client.cancel_orders(live[: choice.pick((1, 3, 50))])))

    def cancel_all(self, choice: Choice) -> None:
        had = len(self.orders.live())
        subaccount = choice.pick((None, 0, 1))
        self._ask("cancel all", lambda: self.client.cancel_all(subaccount))
        self.listen()
        self.seen["cancel all took some"] += len(self.orders.live()) < had

    # -- orders of others --

    def other(self, choice: Choice) -> None:
        """Somebody else rests an order, or takes what rests: ours too."""
        tickers = self.exchange.tickers()
        ticker = choice.pick(tickers)
        new = NewOrder(
            ticker=ticker,
            side=choice.pick((BID, ASK)),
            price=choice.pick(self._prices(ticker)),
            qty=Qty(choice.pick(COUNTS)),
            tif=choice.pick((TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC)),
            stp_maker=choice.pick((True, False)),
        )
        receipt = self.exchange.submit(choice.pick(OTHERS), new, self.now)
        self.seen["other placed"] += isinstance(receipt, OrderReceipt)

    def hit(self, choice: Choice) -> None:
        """Somebody else trades with an order of ours, if none of the others is before it."""
        order = self._live(choice)
        if order is None:
            return
        new = NewOrder(
            ticker=order.ticker,
            side=order.side.opposite,
            price=order.price,
            qty=Qty(choice.pick(COUNTS)),
            tif=TimeInForce.IOC,
        )
        self.exchange.submit(choice.pick(OTHERS), new, self.now)

    def take(self, choice: Choice) -> None:
        """We take what others have, best price first, or a little more than that."""
        offered = [
            (ticker, side, price, qty)
            for ticker in self.exchange.tickers()
            for side in (BID, ASK)
            for price, qty in self.exchange.levels(ticker, side, 3)
        ]
        if offered:
            ticker, side, price, qty = choice.pick(offered)
            wanted = Qty(max(1, qty * choice.pick((1, 2, 3)) // 2))
            self._send(self._draft(choice, ticker, side.opposite, price, wanted))

    def other_leaves(self, choice: Choice) -> None:
        self.exchange.cancel_all(choice.pick(OTHERS), self.now, choice.pick(self.exchange.tickers()))

    # -- groups --

    def group_new(self, choice: Choice) -> None:
        limit, shard = Qty(choice.pick((100, 300, 5_000))), choice.pick(range(SHARDS))
        subaccount = choice.pick((0, 0, 1))
        self.groups.append(self.client.create_order_group(limit, subaccount=subaccount, exchange_index=shard))

    def group_change(self, choice: Choice) -> None:
        if not self.groups:
            return
        group = choice.pick(self.groups)
        what = choice.pick(("trigger", "reset", "reset", "limit", "delete"))
        if what == "trigger":
            self.client.trigger_order_group(group)
        elif what == "reset":
            self.client.reset_order_group(group)
        elif what == "limit":
            self.client.limit_order_group(group, Qty(choice.pick((100, 5_000))))
        else:
            self.client.delete_order_group(group)
            self.groups.remove(group)

    # -- the exchange --

    def pause(self, choice: Choice) -> None:
        """A pause of one shard or of all, and what is tried meanwhile."""
        kind, shard = choice.pick(("trading", "exchange")), choice.pick((None, 0, 1))
        had = len(self.orders.live())
        self.exchange.pause(kind, self.now, shard=shard)
        self.check()
        self.seen["orders gone at a pause"] += had - len(self.orders.live())
        self.seen[f"pause of {kind}"] += 1
        for attempt in (self.place, self.amend, self.cancel):
            attempt(choice)
            self.check()
        self.exchange.resume(self.now, shard=shard)

    def halt(self, choice: Choice) -> None:
        """One market stops, and starts again: what rested in it is gone."""
        ticker = choice.pick(self.exchange.tickers())
        self.exchange.pause_market(ticker, self.now)
        self.check()
        self._send(self._draft(choice, ticker))
        self.check()
        self.exchange.resume_market(ticker, self.now)

    def settle(self, choice: Choice) -> None:
        """Determined yes, no or in between; perhaps disputed and held up, and amended before it pays."""
        ticker = choice.pick(self.exchange.tickers())
        self.exchange.settle(ticker, choice.pick((ONE_DOLLAR, Price(0), Price(3_700))), self.now)
        if choice.pick((True, False)):
            self._pass(5)
            self.exchange.dispute(ticker, self.now)
            self._pass(30)
            self.seen["disputed, not paid"] += self.exchange._state.markets[ticker].settled is None
            self.exchange.settle(ticker, choice.pick((ONE_DOLLAR, Price(6_100))), self.now)
        self._pass(choice.pick((1, 11)))
        self.check()
        self._pass(11)
        market = self.exchange._state.markets[ticker]
        assert market.settled is not None
        self.sequencer.unsubscribe_markets([ticker])
        held = [ledger for ledger in self.ledgers.values() if ledger.holdings(ticker)]
        self.seen[f"settled {market.result}"] += bool(held)

    def close_early(self, choice: Choice) -> None:
        """A close a moment away: orders stay for a second after it, and even a cancel is refused."""
        ticker = choice.pick(self.exchange.tickers())
        had = len(self.orders.live(ticker))
        self.exchange.set_close_time(ticker, Ts(self.now + 100), self.now)
        self._pass(0.5)
        for order in self.orders.live(ticker)[:1]:
            self.step(self.venue.perform(CancelOrder(order, "too late")))
        self.check()
        self._pass(2)
        self.seen["orders gone at the close"] += had

    def wait(self, choice: Choice) -> None:
        self._pass(choice.pick((1, 5, 16, 70, 300)))

    def change_fees(self, choice: Choice) -> None:
        ticker, schedule = choice.pick(self.exchange.tickers()), choice.pick(FEES)
        self.exchange.set_event_fees(ticker.rpartition("-")[0], schedule, self.now)
        self.charged[ticker] = schedule

    def change_grid(self, choice: Choice) -> None:
        ticker = choice.pick(self.exchange.tickers())
        self.exchange.set_grid(
            ticker, choice.pick(("linear_cent", "deci_cent", "center_centi_edge_centi_cent")), self.now
        )

    # -- how we hear of it --

    def lose_stream(self, choice: Choice) -> None:
        """REST alone for a while."""
        self.hang_up()

    def find_stream(self, choice: Choice) -> None:
        if self.stream is None:
            self.reconnect()
            self.read_account()

    def read_back(self, choice: Choice) -> None:
        """What the exchange states about the account over REST is what it keeps, and what we keep."""
        self.read_account()
        for subaccount in range(SUBACCOUNTS):
            stated = {p.ticker: p for p in self.client.positions("all", subaccount)}
            for (number, _), ledger in self.ledgers.items():
                for (_, ticker), ours in ledger.positions.items() if number == subaccount else ():
                    theirs = stated[ticker]
                    assert (theirs.position, theirs.realized, theirs.fees) == (ours.qty, ours.realized, ours.fees)
                    assert theirs.exposure == ours.cost
            balance = self.client.balance(subaccount)
            assert balance.shards == {n: self.exchange.cash(ALICE, subaccount, n) for n in range(SHARDS)}
            assert balance.cash == self.exchange.cash(ALICE, subaccount)

    # -- parts --

    def _pass(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.exchange.advance(self.now)

    def _prices(self, ticker: str) -> list[Price]:
        grid = self.exchange.grid(ticker)
        found = [grid.snap(BID, Price(wish)) for wish in WISHES]
        return sorted({price for price in found if price is not None})

    def _soon(self, choice: Choice) -> Ts:
        return Ts((self.now // 1000 + choice.pick((2, 20, 200))) * 1000)

    def _live(self, choice: Choice) -> Order | None:
        live = self.orders.live()
        return choice.pick(live) if live else None

    def _send(self, order: Order) -> None:
        self.orders.add(order)
        self.step(self.venue.perform(SubmitOrder(order)))

    def _draft(
        self,
        choice: Choice,
        ticker: str | None = None,
        side: Side | None = None,
        price: Price | None = None,
        qty: Qty | None = None,
    ) -> Order:
        ticker = ticker or choice.pick(self.exchange.tickers() or self.exchange.tickers(""))
        shard, subaccount = self.exchange._state.shard_of(ticker), choice.pick((0, 0, 1))
        kind = choice.pick(KINDS)
        joined = [g for g in self.groups if (g.subaccount, g.exchange_index) == (subaccount, shard)]
        order = Order(
            client_order_id=self.new_id(),
            ticker=ticker,
            side=side or choice.pick((BID, ASK)),
            price=price or choice.pick(self._prices(ticker)),
            qty=qty or Qty(choice.pick(COUNTS)),
            status=OrderStatus.SUBMITTED,
            created=self.now,
            updated=self.now,
            tif={"fok": TimeInForce.FOK, "ioc": TimeInForce.IOC, "reduce_only": TimeInForce.IOC}.get(
                kind, TimeInForce.GTC
            ),
            post_only=kind == "post_only",
            reduce_only=kind == "reduce_only",
            expires=self._soon(choice) if kind == "expiring" else None,
            cancel_on_pause=kind == "on_pause",
            order_group_id=choice.pick(joined).group_id if kind == "group" and joined else "",
            exchange_index=shard,
            subaccount=subaccount,
            self_trade_prevention=choice.pick((SelfTradePrevention.TAKER, SelfTradePrevention.MAKER)),
        )
        self.seen[f"sent {kind}"] += 1
        return order

    def _ask(self, what: str, call: Callable[[], None]) -> None:
        """A write that the exchange may refuse."""
        try:
            call()
        except KalshiError as error:
            self.seen[f"{what} refused: {error.code}"] += 1
        else:
            self.seen[what] += 1
