"""The invariants between this program and the exchange (docs/reliability.md), checked from outside of both.

Each check takes the simulated exchange with the name of an account, and the program's records (orders, fills and
settlements from its state file, or its live engine). It returns violations as text, and nothing if there are none.

The exchange is read from its own records, without the lag of its reads. No code of `core.ledger`, `core.risk` or
`core.state` is used: exposure, cash and profit are computed here a second time, in another way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.records import RESTING, FillRecord, OrderRecord, SettlementRecord

_S = OrderStatus
MAY_FOLLOW: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.DENIED: frozenset(),
    _S.SUBMITTED: frozenset(set(_S) - {_S.DENIED, _S.SUBMITTED}),
    _S.UNKNOWN: frozenset({_S.RESTING, _S.FILLED, _S.CANCELED, _S.EXPIRED, _S.REJECTED, _S.NEVER_ARRIVED}),
    # Asked to be amended, it counts as the worse of both until that is known.
    _S.RESTING: frozenset({_S.FILLED, _S.CANCELED, _S.EXPIRED, _S.UNKNOWN}),
    # Late delivery: what was given up can turn out to exist.
    _S.REJECTED: frozenset({_S.RESTING, _S.FILLED, _S.CANCELED, _S.EXPIRED, _S.UNKNOWN}),
    _S.NEVER_ARRIVED: frozenset({_S.RESTING, _S.FILLED, _S.CANCELED, _S.EXPIRED, _S.UNKNOWN}),
    _S.FILLED: frozenset(),
    _S.CANCELED: frozenset(),
    _S.EXPIRED: frozenset(),
}
"""Which status an order of ours may have after which."""


class Truth(NamedTuple):
    """What the exchange holds of an account at this moment, whatever its reads show."""

    account: str
    orders: dict[str, OrderRecord]
    fills: list[FillRecord]
    settlements: list[SettlementRecord]

    def named(self, client_order_id: str) -> list[OrderRecord]:
        """The orders under this id of ours."""
        return [order for order in self.orders.values() if order.client_order_id == client_order_id]


def truth(exchange: SimulatedExchange, account: str) -> Truth:
    """Every order, fill and settlement of an account that has a key."""
    member = exchange._state.members[account]
    mirror = member.mirror
    assert mirror is not None, f"nobody reads {account}"
    found = Truth(account, dict(mirror.orders), list(mirror.fills), list(mirror.settlements))
    for _, record in mirror._pending:
        match record:
            case OrderRecord():
                found.orders[record.order_id] = record
            case FillRecord():
                found.fills.append(record)
            case SettlementRecord():
                found.settlements.append(record)
    for live in member.orders():
        found.orders[live.order_id] = live
    return found


# -- I-ONCE ---------------------------------------------------------------------------------------------------------


def once(found: Truth, may_be_twice: Collection[str] = ()) -> list[str]:
    """At most one order at the exchange under one client order id.

    `may_be_twice` are ids which the network delivered twice while the exchange refuses only ids of open orders: that
    cannot be excluded from one side (F09), and must be found within one reconcile instead.
    """
    named = Counter(order.client_order_id for order in found.orders.values() if order.client_order_id)
    return [
        f"I-ONCE {count} orders on the exchange under the client order id {name}"
        for name, count in named.items()
        if count > 1 and name not in may_be_twice
    ]


def sent_once(posts: Mapping[str, int]) -> list[str]:
    """At most one POST per intent. `posts` leaves out those that provably did not arrive or were refused for pace."""
    return [f"I-ONCE {count} requests were sent that could place {name}" for name, count in posts.items() if count > 1]


def written_first(posts: Iterable[str], on_file: Collection[str]) -> list[str]:
    """Whatever was sent is on file."""
    return [f"I-ONCE {name} was sent, and is not on file" for name in posts if name not in on_file]


def every_intent_ended(orders: Iterable[Order]) -> list[str]:
    """Once all is quiet: nothing is in doubt any more."""
    doubtful = (_S.UNKNOWN, _S.SUBMITTED)
    return [
        f"I-ONCE {order.client_order_id} is still {order.status.value}" for order in orders if order.status in doubtful
    ]


# -- I-FILL, I-ORDER ------------------------------------------------------------------------------------------------


def fills_are_real(found: Truth, fills: Iterable[Fill]) -> list[str]:
    """Each fill that we booked happened, just so, and is booked once."""
    real = {_key(fill): fill for fill in found.fills}
    wrong, seen = [], set()
    for fill in fills:
        theirs = real.get(_key(fill))
        if _key(fill) in seen:
            wrong.append(f"I-FILL {fill.trade_id} is booked twice")
        seen.add(_key(fill))
        if theirs is None:
            wrong.append(f"I-FILL {fill.trade_id} is booked and never happened")
        elif _terms(fill) != _terms(theirs):
            wrong.append(f"I-FILL {fill.trade_id} is booked as {_terms(fill)}, and was {_terms(theirs)}")
    return wrong


def _key(fill: Fill | FillRecord) -> tuple[str, str]:
    """Two of our own orders that trade with one another have a fill each, of one trade."""
    return (fill.trade_id, fill.order_id)


def _terms(fill: Fill | FillRecord) -> tuple[object, ...]:
    return (fill.order_id, fill.ticker, fill.side, fill.price, fill.qty, fill.fee, fill.is_taker, fill.subaccount)


def fills_are_all_booked(found: Truth, fills: Iterable[Fill]) -> list[str]:
    """Once everything is delivered."""
    booked = {_key(fill) for fill in fills}
    return [
        f"I-FILL {fill.trade_id} of order {fill.order_id} happened and is not booked"
        for fill in found.fills
        if _key(fill) not in booked
    ]


def settlements_are_all_booked(found: Truth, settlements: Iterable[Settlement]) -> list[str]:
    """Once everything is delivered: each market once, as it was paid."""
    booked = Counter(settlement.ticker for settlement in settlements)
    values = {settlement.ticker: settlement.value for settlement in settlements}
    paid = {settlement.ticker: settlement.value for settlement in found.settlements}
    wrong = [f"I-PNL {ticker} was paid, and is booked {booked[ticker]} times" for ticker in paid if booked[ticker] != 1]
    wrong += [f"I-PNL {ticker} is booked as settled and was not" for ticker in booked if ticker not in paid]
    wrong += [
        f"I-PNL {ticker} paid {value}, booked is {values[ticker]}"
        for ticker, value in paid.items()
        if values.get(ticker, value) != value
    ]
    return wrong


def orders_add_up(found: Truth, orders: Iterable[Order]) -> list[str]:
    """Counts of each order: nothing below zero, nothing filled beyond what was asked for, on either side."""
    traded: Counter[str] = Counter()
    for fill in found.fills:
        traded[fill.order_id] += fill.qty
    wrong = [
        f"I-ORDER the exchange counts {order.filled} filled of {order.order_id}, its fills are {traded[order.order_id]}"
        for order in found.orders.values()
        if order.filled != traded[order.order_id]
    ]
    for order in orders:
        left = order.qty - order.filled - order.reduced
        if min(order.qty, order.filled, order.reduced, left) < 0:
            wrong.append(
                f"I-ORDER {order.client_order_id}: {order.qty} asked for, {order.filled} filled, {order.reduced} off"
            )
        theirs = found.orders.get(order.order_id)
        if theirs is not None and order.filled > theirs.filled:
            wrong.append(f"I-ORDER {order.client_order_id}: {order.filled} filled, the exchange says {theirs.filled}")
    return wrong


def statuses_follow(before: Mapping[str, Order], after: Mapping[str, Order]) -> list[str]:
    """An order of ours moves only along the graph, what was filled stays filled, and no order is forgotten."""
    wrong = [f"I-ORDER {name} was forgotten" for name in before if name not in after]
    for name, now in after.items():
        was = before.get(name)
        if was is None or was is now:
            continue
        # A read that trails our own amend may bring the earlier, larger size back: that counts too much, never too
        # little, and the next fresh read ends it.
        is_raised = was.status is OrderStatus.FILLED and now.qty > was.qty
        if now.status is not was.status and now.status not in MAY_FOLLOW[was.status] and not is_raised:
            wrong.append(f"I-ORDER {name} went from {was.status.value} to {now.status.value}")
        if now.filled < was.filled:
            wrong.append(f"I-ORDER {name}: filled fell from {was.filled} to {now.filled}")
        if was.order_id and now.order_id != was.order_id:
            wrong.append(f"I-ORDER {name} was order {was.order_id} and is now {now.order_id}")
    return wrong


def nothing_hidden(found: Truth, known: Iterable[Order]) -> list[str]:
    """An order of ours that rests at the exchange counts as live here, with at least what is left of it there.

    This holds at every moment, whatever was lost on the way: an order is released only by proof. `known` are all our
    orders. One that the exchange has under an id of ours a second time is not asked about here, but by `once`.
    """
    wrong = []
    named = {order.client_order_id: order for order in found.orders.values()}
    for order in known:
        if order.is_foreign:
            continue
        theirs = found.orders.get(order.order_id) if order.order_id else named.get(order.client_order_id)
        if theirs is not None and theirs.status == RESTING and not order.status.is_live:
            wrong.append(
                f"I-ONCE {order.client_order_id} rests at the exchange ({theirs.order_id}) and counts as "
                f"{order.status.value} here"
            )
    return wrong


def orders_agree(found: Truth, known: Iterable[Order]) -> list[str]:
    """Once everything is delivered: the same orders rest, with the same left of them, and what is over is over."""
    wrong = []
    ours = {order.order_id: order for order in known if order.order_id}
    for theirs in found.orders.values():
        mine = ours.get(theirs.order_id)
        if mine is None:
            if theirs.status == RESTING:
                wrong.append(f"I-RECON order {theirs.order_id} rests and is not known here")
            continue
        if mine.status.is_live != (theirs.status == RESTING):
            wrong.append(f"I-RECON order {theirs.order_id} is {theirs.status} there and {mine.status.value} here")
        elif mine.status.is_live and mine.remaining != theirs.remaining:
            wrong.append(f"I-RECON {theirs.remaining} rest of order {theirs.order_id}, {mine.remaining} here")
        if mine.filled != theirs.filled:
            wrong.append(f"I-RECON {theirs.filled} filled of order {theirs.order_id}, {mine.filled} here")
    named = {order.client_order_id for order in found.orders.values()}
    for order in known:
        is_there = order.order_id in found.orders or order.client_order_id in named
        if not is_there and order.status not in (_S.NEVER_ARRIVED, _S.REJECTED, _S.DENIED):
            wrong.append(f"I-RECON {order.client_order_id} is {order.status.value} here and not on the exchange")
    return wrong


# -- I-CONTRACT, I-CASH, on the exchange's side ---------------------------------------------------------------------


def contracts(exchange: SimulatedExchange) -> list[str]:
    """In each market the positions of all members add up to nothing, and those above zero to the open interest."""
    wrong = []
    state = exchange._state
    held: dict[str, list[int]] = {ticker: [] for ticker in state.markets}
    for member in state.members.values():
        for holding in member.holdings():
            if holding.qty:
                held[holding.ticker].append(holding.qty)
    for ticker, market in state.markets.items():
        if sum(held[ticker]):
            wrong.append(f"I-CONTRACT positions in {ticker} add up to {sum(held[ticker])}")
        long = sum(qty for qty in held[ticker] if qty > 0)
        if long != market.open_interest and market.settled is None:
            wrong.append(f"I-CONTRACT {long} long in {ticker}, open interest {market.open_interest}")
    return wrong


def wealth(exchange: SimulatedExchange) -> Money:
    """All cash, all fees ever collected, and a dollar for each pair: what trading and settling cannot change."""
    state = exchange._state
    cash = sum(exchange.cash(name) for name in exchange.accounts())
    pairs = sum(max(0, holding.qty) * ONE_DOLLAR for member in state.members.values() for holding in member.holdings())
    return Money(cash + pairs + exchange.fees_collected())


def cash_adds_up(exchange: SimulatedExchange, found: Truth, start: Money) -> list[str]:
    """The account's cash follows from its fills and payouts, trade by trade, to the micro-dollar."""
    cash, held = int(start), Counter[str]()
    for fill in sorted(found.fills, key=lambda fill: fill.number):
        cash += _cash_of(fill, held[fill.ticker])
        held[fill.ticker] += fill.side.sign * fill.qty
    cash += sum(paid.yes_qty * paid.value + paid.no_qty * (ONE_DOLLAR - paid.value) for paid in found.settlements)
    actual = exchange.cash(found.account)
    return [] if cash == actual else [f"I-CASH {actual} at the exchange, its own fills and payouts make {cash}"]


def _cash_of(fill: FillRecord | Fill, held: int) -> int:
    """What a fill does to the cash: what closes a pair brings the dollar back, what opens is paid for."""
    signed = fill.side.sign * fill.qty
    closing = min(fill.qty, abs(held)) if signed * held < 0 else 0
    leg = fill.price if signed > 0 else ONE_DOLLAR - fill.price
    return (ONE_DOLLAR - leg) * closing - leg * (fill.qty - closing) - fill.fee


# -- I-PNL, T11 -----------------------------------------------------------------------------------------------------


class Booked(NamedTuple):
    """A position of the primary account as the program's ledger has it, to the micro-dollar."""

    qty: Qty
    cost: Money
    realized: Money
    fees: Money


def books_agree(exchange: SimulatedExchange, account: str, ours: Mapping[str, Booked], cash: Money) -> list[str]:
    """Once everything is delivered: position, cost, profit and fees of every market, and the cash moved, are equal.

    `cash` is what our ledger says that trading did to the balance since the account was opened with `start`.
    """
    wrong = []
    theirs = {
        holding.ticker: Booked(holding.qty, holding.cost, holding.realized, holding.fees)
        for holding in exchange._state.members[account].holdings()
    }
    nothing = Booked(Qty(0), Money(0), Money(0), Money(0))
    for ticker in sorted(theirs.keys() | ours.keys()):
        mine, stated = ours.get(ticker, nothing), theirs.get(ticker, nothing)
        if mine != stated:
            wrong.append(f"I-PNL {ticker}: {tuple(mine)} here, {tuple(stated)} at the exchange (T11)")
    actual = exchange.cash(account)
    if cash != actual:
        wrong.append(f"I-CASH {cash} here, {actual} at the exchange (T11)")
    return wrong


def profit_is_cash(fills: Sequence[Fill], settlements: Sequence[Settlement], profit: Mapping[str, Money]) -> list[str]:
    """Of each market that is flat again: what was made less the fees is what its cash flows add up to.

    `profit` is realized less fees by market, as the program reports it.
    """
    flow, held = Counter[str](), Counter[str]()
    for fill in fills:
        flow[fill.ticker] -= fill.side.sign * fill.price * fill.qty + fill.fee
        held[fill.ticker] += fill.side.sign * fill.qty
    for settlement in settlements:
        flow[settlement.ticker] += held[settlement.ticker] * settlement.value
        held[settlement.ticker] = 0
    return [
        f"I-PNL {ticker}: {amount} reported, its cash flows are {flow[ticker]}"
        for ticker, amount in profit.items()
        if not held[ticker] and amount != flow[ticker]
    ]


# -- I-HALT, I-RATE -------------------------------------------------------------------------------------------------


class Bucket:
    """The exchange's bucket, counted along: a level below zero is a window with more tokens than it allows."""

    def __init__(self, name: str, capacity: float, refill: float) -> None:
        self._name = name
        self._capacity = capacity
        self._refill = refill
        self._level = capacity
        self._at = 0.0

    def take(self, cost: float, at: float) -> list[str]:
        """A request of this price left at this moment (seconds, never going back)."""
        self._level = min(self._capacity, self._level + (at - self._at) * self._refill) - cost
        self._at = at
        if self._level < -1e-6:
            return [f"I-RATE {self._name}: {-self._level:.1f} tokens more than the bucket holds"]
        return []


# -- I-BOOK, I-TIME -------------------------------------------------------------------------------------------------

Levels = tuple[tuple[tuple[Price, Qty], ...], tuple[tuple[Price, Qty], ...]]
"""Bids and asks, best first."""


class BookHistory:
    """Every state that the book of a market was ever in, and until when. Fed with what the exchange itself tells."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[Levels, Ts]] = {}
        self._until: dict[str, dict[Levels, Ts]] = {}

    def put(self, ticker: str, levels: Levels, now: Ts) -> None:
        """From now on it is like this."""
        was = self._since.get(ticker)
        if was is not None and was[0] == levels:
            return
        if was is not None:
            self._until.setdefault(ticker, {})[was[0]] = now
        self._since[ticker] = (levels, now)

    def age_ms(self, ticker: str, levels: Levels, now: Ts) -> int | None:
        """How long ago the book was last like this; 0 while it is, None where it never was."""
        current = self._since.get(ticker)
        if current is not None and current[0] == levels:
            return 0
        ended = self._until.get(ticker, {}).get(levels)
        return None if ended is None else max(0, now - ended)
