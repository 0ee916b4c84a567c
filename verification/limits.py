"""I-RISK: compare an account's positions and resting orders on the exchange with the limits of the program.

It reads the exchange's own records, as `invariants` does, and computes without `core.exposure`, `core.worst_case`,
`core.ledger` or `core.budget`. `within_limits` checks a moment, `objections` an order that is about to be sent.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.matching.member import SimAccount
from verification.invariants import Truth, truth

HOUR_MS = 3_600_000

Losses = tuple[int, int]
"""What is lost in a market if it settles NO, and if YES; below zero it is won."""


class Open(NamedTuple):
    """What may still trade of an order. `owner` is the strategy; empty where it is of nobody here."""

    order_id: str
    ticker: str
    side: Side
    price: Price
    qty: Qty
    owner: str = ""


class Slack(NamedTuple):
    """What orders that nobody here could know of may have added: money, contracts, orders."""

    money: int = 0
    qty: int = 0
    orders: int = 0
    unseen: frozenset[str] = frozenset()
    """The exchange's ids of those of them that no read of the account has shown yet."""


NO_SLACK = Slack()


def losses(held: int, cost: int, orders: Iterable[Open]) -> Losses:
    """The most that can be lost in one market from now on, whichever of the orders fill and when.

    Who bids loses at NO, who asks at YES. An order that loses at the outcome for which the position was bought closes
    it: that gives the win away, or more. What closing earns is in the balance then, and makes up for nothing.
    """
    return _lost(held, cost, orders, BID), _lost(held, cost, orders, ASK)


def _lost(held: int, cost: int, orders: Iterable[Open], loser: Side) -> int:
    winning = abs(held) if held * loser.sign < 0 else 0
    gain = winning * ONE_DOLLAR - cost
    lost = -gain if winning else cost
    legs = sorted(((_leg(order), order.qty) for order in orders if order.side is loser), reverse=True)
    opening = max(0, sum(qty for _, qty in legs) - winning)
    for leg, qty in legs:  # the dearest open: that is the worst
        opened = min(opening, qty)
        opening -= opened
        closed = qty - opened
        lost += leg * opened
        lost += max(leg * closed, gain * closed // winning) if winning else 0
    return lost


def _leg(order: Open) -> int:
    """What a contract of it costs."""
    return order.price if order.side is BID else ONE_DOLLAR - order.price


def of_event(markets: Iterable[Losses], *, is_exclusive: bool) -> int:
    """Of one event: every market at its worst; or, where one can win at most, the worst winner, none among them."""
    known = list(markets)
    if not is_exclusive:
        return sum(max(0, *each) for each in known)
    outcomes = [[if_no for if_no, _ in known]]
    for winner in range(len(known)):
        outcomes.append([if_yes if at == winner else if_no for at, (if_no, if_yes) in enumerate(known)])
    return max(0, *(sum(outcome) for outcome in outcomes))


class Stakes:
    """What an account has at the exchange: positions and orders by subaccount and market; `wanted` comes on top."""

    def __init__(self, exchange: SimulatedExchange, account: str, wanted: Open | None = None) -> None:
        self._state = exchange._state
        self._member: SimAccount = self._state.members[account]
        self._losses: dict[tuple[int, str], Losses] = {}
        held: dict[tuple[int, str], tuple[int, int]] = {}
        orders: defaultdict[tuple[int, str], list[Open]] = defaultdict(list)
        for holding in self._member.holdings():
            if holding.qty:
                held[holding.subaccount, holding.ticker] = holding.qty, holding.cost
        for order in self._member.orders():
            if wanted is None or order.order_id != wanted.order_id:
                orders[order.subaccount, order.ticker].append(
                    Open(order.order_id, order.ticker, order.side, order.price, order.remaining)
                )
        if wanted is not None:
            orders[0, wanted.ticker].append(wanted)
        for key in held.keys() | orders.keys():
            self._losses[key] = losses(*held.get(key, (0, 0)), orders[key])

    def event(self, event: str) -> int:
        """What one event can lose; nothing nets between subaccounts."""
        is_exclusive = self._state.events[event].mutually_exclusive
        found: defaultdict[int, list[Losses]] = defaultdict(list)
        for (subaccount, ticker), lost in self._losses.items():
            if self.event_of(ticker) == event:
                found[subaccount].append(lost)
        return sum(of_event(markets, is_exclusive=is_exclusive) for markets in found.values())

    def category(self, category: str) -> int:
        """What all events of a category can lose."""
        return sum(self.event(event) for event in self._state.events if self.category_of(event) == category)

    def market(self, ticker: str) -> int:
        """What one market can lose; nothing nets between subaccounts."""
        return sum(max(0, *lost) for (_, of), lost in self._losses.items() if of == ticker)

    @property
    def tickers(self) -> set[str]:
        """The markets in which anything is held or rests."""
        return {ticker for _, ticker in self._losses}

    @property
    def total(self) -> int:
        """What all markets can lose."""
        return sum(max(0, *each) for each in self._losses.values())

    def event_of(self, ticker: str) -> str:
        return self._state.markets[ticker].spec.event_ticker

    def category_of(self, event: str) -> str:
        return self._state.series[self._state.events[event].series_ticker].category


def furthest(exchange: SimulatedExchange, account: str, ticker: str) -> Qty:
    """How far from zero the position of a market can come, if the orders of one side all fill."""
    member = exchange._state.members[account]
    worst = 0
    for purse in member.purses.values():
        held = purse.held(ticker)
        bids = sum(order.remaining for order in purse.orders(ticker) if order.side.sign > 0)
        asks = sum(order.remaining for order in purse.orders(ticker) if order.side.sign < 0)
        worst += max(held + bids, asks - held, 0)
    return Qty(worst)


def within_limits(exchange: SimulatedExchange, account: str, limits: RiskLimits, slack: Slack = NO_SLACK) -> list[str]:
    """What the account really holds and has resting stays inside the limits, at every moment.

    Only of what no close can raise: of an exclusive event, and so of a category, one leg may pay for another, and what
    closes a leg is never refused. The number of orders and what was traded grow with closes, too. All of these
    `objections` asks of each order that opens.
    """
    wrong, stakes = [], Stakes(exchange, account)
    if limits.max_exposure is not None and stakes.total > limits.max_exposure + slack.money:
        wrong.append(f"I-RISK the account can lose {stakes.total}, the limit is {limits.max_exposure} (+{slack.money})")
    if limits.max_event_exposure is not None:
        for event in exchange._state.events.values():
            lost = 0 if event.mutually_exclusive else stakes.event(event.event_ticker)
            if lost > limits.max_event_exposure + slack.money:
                wrong.append(
                    f"I-RISK {event.event_ticker} can lose {lost}, the limit is {limits.max_event_exposure} "
                    f"(+{slack.money})"
                )
    if limits.max_market_exposure is not None:
        for ticker in stakes.tickers:
            lost = stakes.market(ticker)
            if lost > limits.max_market_exposure + slack.money:
                wrong.append(
                    f"I-RISK {ticker} can lose {lost}, the limit is {limits.max_market_exposure} (+{slack.money})"
                )
    if limits.max_open_positions is not None and len(stakes.tickers) > limits.max_open_positions + slack.orders:
        wrong.append(
            f"I-RISK {len(stakes.tickers)} markets with positions or orders, the limit is "
            f"{limits.max_open_positions} (+{slack.orders})"
        )
    if limits.max_position is not None:
        for ticker in exchange._state.markets:
            worst = furthest(exchange, account, ticker)
            if worst > limits.max_position + slack.qty:
                wrong.append(f"I-RISK {ticker} can come to {worst}, the limit is {limits.max_position} (+{slack.qty})")
    return wrong


# -- of an order that is about to leave -----------------------------------------------------------------------------


def opens(exchange: SimulatedExchange, account: str, wanted: Open, owners: Mapping[str, str]) -> bool:
    """Whether it could do anything but make the position smaller, if all that rests on its side fills first.

    That of the account, and that of its strategy by the strategy's own fills and orders.
    """
    member = exchange._state.members[account]
    side = [order for order in member.orders(wanted.ticker) if order.side is wanted.side]
    before = sum(order.remaining for order in side if order.order_id != wanted.order_id)
    if before + wanted.qty > max(0, -wanted.side.sign * member.held(wanted.ticker)):
        return True
    return bool(wanted.owner) and opens_own(exchange, account, wanted, owners)


def opens_own(
    exchange: SimulatedExchange,
    account: str,
    wanted: Open,
    owners: Mapping[str, str],
    untold: frozenset[str] = frozenset(),
) -> bool:
    """Whether it could do anything but make what its strategy's own fills came to smaller, its own orders first.

    Not where others traded in the market: what they closed of it is gone for the strategy, and how much that was is not
    the exchange's to say. Without `untold` orders on its side, as `own_held`.
    """
    held = own_held(exchange, account, wanted, owners, untold)
    if held is None:
        return False
    resting = exchange._state.members[account].orders(wanted.ticker)
    own = [order for order in resting if owners.get(order.client_order_id) == wanted.owner]
    left_out = untold | {wanted.order_id}
    before = sum(o.remaining for o in own if o.side is wanted.side and o.order_id not in left_out)
    return before + wanted.qty > max(0, -wanted.side.sign * held)


def own_held(
    exchange: SimulatedExchange,
    account: str,
    wanted: Open,
    owners: Mapping[str, str],
    untold: frozenset[str] = frozenset(),
) -> int | None:
    """What the strategy's own fills in the market came to, signed; None where others traded there.

    Without the fills of `untold` orders on the side of `wanted`, by exchange id: they leave less for it to close.
    """
    fills = [fill for fill in truth(exchange, account).fills if fill.ticker == wanted.ticker]
    if any(not owners.get(fill.client_order_id) for fill in fills):
        return None
    own = [fill for fill in fills if owners[fill.client_order_id] == wanted.owner]
    return sum(f.side.sign * f.qty for f in own if f.side is not wanted.side or f.order_id not in untold)


def objections(
    exchange: SimulatedExchange,
    account: str,
    limits: RiskLimits,
    wanted: Open,
    now: Ts,
    owners: Mapping[str, str],
    slack: Slack = NO_SLACK,
) -> list[str]:
    """What must have kept back an order, or an amend, that opens anything. `owners` has strategies by client order id.

    `now` is the moment of the decision. Each rule asks whether this order adds to something that is beyond its limit
    with it: what was beyond it before, because a close took a hedge away or a market settled, is nobody's fault here.
    """
    if not opens(exchange, account, wanted, owners):
        return []
    found = truth(exchange, account)
    before, after = Stakes(exchange, account), Stakes(exchange, account, wanted)
    event = after.event_of(wanted.ticker)
    category = after.category_of(event)
    member = exchange._state.members[account]
    count = 1 + sum(order.order_id != wanted.order_id for order in member.orders())
    churned = _churned(found, member, wanted, now)
    risk, with_it = _budget(found, member, wanted, owners, slack.unseen)
    allotment = limits.allotments.get(wanted.owner)
    rules = (
        (
            f"{wanted.ticker} can lose",
            before.market(wanted.ticker),
            after.market(wanted.ticker),
            limits.max_market_exposure,
            slack.money,
        ),
        ("open positions:", len(before.tickers), len(after.tickers), limits.max_open_positions, slack.orders),
        (f"{event} can lose", before.event(event), after.event(event), limits.max_event_exposure, slack.money),
        (
            f"{category} can lose",
            before.category(category),
            after.category(category),
            limits.max_category_exposure,
            slack.money,
        ),
        ("live orders:", 0, count, limits.max_live_orders, slack.orders),
        (f"{wanted.ticker} can churn", 0, churned, limits.max_churn, slack.qty),
        (f"{wanted.owner} can lose", risk, with_it, allotment.budget if allotment else None, 0),
    )
    return [
        f"I-RISK {what} {used} with {wanted}, the limit is {limit} (+{more})"
        for what, was, used, limit, more in rules
        if limit is not None and used > limit + more and used > was
    ]


def _churned(found: Truth, member: SimAccount, wanted: Open, now: Ts) -> int:
    """Traded in this market within an hour, with everything that rests there filled."""
    traded = sum(fill.qty for fill in found.fills if fill.ticker == wanted.ticker and fill.ts > now - HOUR_MS)
    resting = sum(order.remaining for order in member.orders(wanted.ticker) if order.order_id != wanted.order_id)
    return traded + resting + wanted.qty


def _budget(
    found: Truth, member: SimAccount, wanted: Open, owners: Mapping[str, str], unseen: frozenset[str]
) -> tuple[Money, Money]:
    """Reckon what the strategy of an order can lose before it, and with it.

    With all that the exchange has of the strategy, or without what is `unseen`, whichever speaks for the order.
    """
    either = []
    # Of an unseen order the stream may have told, so the program may rightly count it, or not: neither is held against
    # it. Beyond the budget in both is beyond it in whatever the program knew.
    for without in (frozenset[str](), unseen) if unseen else (unseen,):
        before, after = (budget_used(found, member, wanted.owner, owners, extra, without) for extra in (None, wanted))
        either.append((before, after))
    return min(either, key=lambda each: each[1] if each[1] > each[0] else 0)


def budget_used(
    found: Truth,
    member: SimAccount,
    owner: str,
    owners: Mapping[str, str],
    wanted: Open | None = None,
    without: frozenset[str] = frozenset(),
) -> Money:
    """What the strategy `owner` can lose with what its own fills came to, at average cost, and its own orders.

    Markets in which others traded on the account count for nothing: what they closed is gone for the strategy, too,
    and how much of whose that was is not the exchange's to say. So is what is settled. `without` has the exchange's ids
    of orders that are reckoned as if they had never come there.
    """
    settled = {settlement.ticker for settlement in found.settlements}
    held: dict[str, tuple[int, int]] = {}
    mixed = set()
    for fill in sorted(found.fills, key=lambda fill: fill.number):
        if fill.order_id in without:
            continue
        by = owners.get(fill.client_order_id, "")
        if not by:
            mixed.add(fill.ticker)
        elif by == owner:
            leg = fill.price if fill.side is BID else ONE_DOLLAR - fill.price
            held[fill.ticker] = _moved(*held.get(fill.ticker, (0, 0)), fill.side.sign * fill.qty, leg)
    orders: defaultdict[str, list[Open]] = defaultdict(list)
    for order in member.orders():
        is_replaced = wanted is not None and order.order_id == wanted.order_id
        if not is_replaced and order.order_id not in without and owners.get(order.client_order_id) == owner:
            orders[order.ticker].append(Open(order.order_id, order.ticker, order.side, order.price, order.remaining))
    if wanted is not None:
        orders[wanted.ticker].append(wanted)
    counted = (held.keys() | orders.keys()) - mixed - settled
    return Money(sum(max(0, *losses(*held.get(ticker, (0, 0)), orders[ticker])) for ticker in counted))


def _moved(held: int, cost: int, change: int, leg: int) -> tuple[int, int]:
    """A position after a trade, at average cost."""
    closed = min(abs(held), abs(change)) if held * change < 0 else 0
    kept = cost - cost * closed // abs(held) if held else 0
    return held + change, kept + leg * (abs(change) - closed)
