"""Rules of a session's money: the program's accounts against the exchange's own, strategy by strategy."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from kalshi_cli.base.units import ONE_DOLLAR, Money, Qty
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.market.baskets import EventRelation, min_payout
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.risk.budget import at_risk
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import mark
from kalshi_cli.views.runs import StrategyPartRow
from verification import invariants
from verification.invariants import Booked
from verification.limits import within_limits
from verification.strategies.stage import ME, START_CASH, Stage, live_orders

ARBITRAGE = "arbitrage"
MOST_LOST = 100
"""What a basket may lose a contract by its own parameters (`max_repair_loss`), in ten-thousandths of a dollar."""


def stays_inside(stage: Stage, limits: RiskLimits, engine: TradingEngine) -> list[str]:
    """At this moment: the account's limits and every budget hold, and no order of ours could trade with another."""
    wrong = within_limits(stage.exchange, ME, limits)
    for name, allotment in limits.allotments.items():
        risk = at_risk(engine.state, name)
        if allotment.budget is not None and risk > allotment.budget:
            wrong.append(f"{name} can lose {risk}, its budget is {allotment.budget}")
    bids: dict[str, int] = {}
    asks: dict[str, int] = {}
    for ticker, sign, price in live_orders(stage):
        if sign > 0:
            bids[ticker] = max(price, bids.get(ticker, 0))
        else:
            asks[ticker] = min(price, asks.get(ticker, ONE_DOLLAR))
    return wrong + [f"own orders cross in {ticker}" for ticker in bids if bids[ticker] >= asks.get(ticker, ONE_DOLLAR)]


def account_agrees(stage: Stage, engine: TradingEngine) -> list[str]:
    """At the end: positions, their cost, profit and fees, and the cash, are the exchange's own to the micro-dollar."""
    found = invariants.truth(stage.exchange, ME)
    ledger = engine.state.ledger
    ours = {
        position.ticker: Booked(position.qty, position.cost, position.realized, position.fees)
        for position in ledger.positions.values()
    }
    trades = Counter(fill.trade_id for fill in found.fills)
    return [
        *invariants.books_agree(stage.exchange, ME, ours, Money(START_CASH + ledger.cash)),
        *invariants.cash_adds_up(stage.exchange, found, START_CASH),
        *(f"trade {trade_id} was with ourselves" for trade_id, sides in trades.items() if sides > 1),
    ]


def parts_agree(stage: Stage, engine: TradingEngine, parts: Iterable[StrategyPartRow]) -> list[str]:
    """What each strategy gained, and people beside them, as the exchange's own fills say; and together, the account.

    Counted without a ledger: what the fills of each owner paid and brought, and what is left at its price.
    """
    found, state = invariants.truth(stage.exchange, ME), engine.state
    paid = {settlement.ticker: settlement.value for settlement in found.settlements}
    flow: Counter[str] = Counter()
    held: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for fill in found.fills:
        order = state.orders.get(fill.client_order_id) or state.orders.by_order_id(fill.order_id)
        owner = order.strategy if order is not None else ""
        flow[owner] -= fill.side.sign * fill.price * fill.qty + fill.fee
        held[fill.ticker][owner] += fill.side.sign * fill.qty
    for ticker, owners in held.items():
        price = paid.get(ticker)
        if price is None:
            price = mark(state.books.get(ticker), state.seen(ticker), Qty(owners.total()))
        for owner, qty in owners.items():
            if qty and price is None:
                return [f"nobody knows what {ticker} is worth"]
            flow[owner] += qty * (price or 0)
    said = {part.strategy: part.net for part in parts}
    wrong = [
        f"{owner or 'people'} gained {said.get(owner, 0)}, by the exchange's fills {flow[owner]}"
        for owner in sorted(said.keys() | flow.keys())
        if said.get(owner, 0) != flow[owner]
    ]
    worth = 0
    for holding in stage.exchange._state.members[ME].holdings():
        price = mark(state.books.get(holding.ticker), state.seen(holding.ticker), holding.qty)
        if holding.qty and price is not None:
            worth += abs(holding.qty) * (price if holding.qty > 0 else ONE_DOLLAR - price)
    account = stage.exchange.cash(ME) + worth - START_CASH
    if sum(said.values()) != account:
        wrong.append(f"the parts make {sum(said.values())}, the account gained {account}")
    return wrong


def baskets(stage: Stage, engine: TradingEngine) -> tuple[int, list[str]]:
    """How many complete baskets `arbitrage` holds, and those that lose in the worst outcome more than it may."""
    ledger = engine.state.by_strategy.get(ARBITRAGE) or Ledger()
    events: defaultdict[str, list[str]] = defaultdict(list)
    for position in ledger.positions.values():
        if position.qty:
            events[engine.state.event_of(position.ticker)].append(position.ticker)
    complete, lost = 0, []
    for event, tickers in events.items():
        markets = [market for ticker in tickers if (market := engine.state.seen(ticker)) is not None]
        positions = [ledger.position(ticker) for ticker in tickers]
        kin = EventRelation(is_exclusive=engine.state.family(event).is_exclusive)
        legs = [(market, BID if each.qty > 0 else ASK) for market, each in zip(markets, positions, strict=True)]
        pays, sizes = min_payout(kin, legs), {abs(each.qty) for each in positions}
        if not pays or len(sizes) > 1:
            continue  # not whole: it is being repaired
        complete += 1
        qty = sizes.pop()
        left = pays * qty - sum(each.cost + each.fees for each in positions)
        if left < -MOST_LOST * qty:
            lost.append(f"a basket of {event} ({', '.join(tickers)}) loses {-left} at worst")
    return complete, lost
