"""Protective exits: stop-loss and take-profit orders for the positions of strategies. The strategies are not called.

A position whose mark falls below `stop_loss_pct` percent of its cost is sold, and so is one with a bid at
`take_profit_pct` percent or more. First the strategy's own orders in that market are canceled, and other strategies'
orders that quote the closing price. Then reduce-only, immediate-or-cancel orders follow, each at the current best
price: one per second, each at most `max_close_slippage` below the one before, ten in a row, and again after a minute's
pause. While external quotes are further apart than `max_spread`, or have just fallen by more than that, the first order
of a stop-loss waits up to ten seconds for quotes to return.

Nothing is sent, and an alert is raised, if the best bid is one cent or less, the book is unreliable, an order of the
strategy in this market is unconfirmed, or other orders already close the position. Meanwhile the strategy opens nothing
there; after a loss, the cooldown control applies too.

Each check decides anew from the position and its value, so a restart continues an exit. A position that the exchange
netted between two strategies cannot be sold. A strategy whose markets offset each other (`is_hedged`) is excluded,
because one leg of a basket always falls. Percentages refer to the price paid: for NO, one dollar less the YES price.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable

import msgspec

from kalshi_cli.base import units
from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.account.ledger import Position
from kalshi_cli.core.model.effects import AlertRaised, Effect, OrderRefused, SubmitOrder
from kalshi_cli.core.model.intents import Amend, Place
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.risk.review import is_raise
from kalshi_cli.core.state.exchange_state import pause_of
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState, closing_price

STEP_MS = 1_000
"""The delay before the first order of an exit, and between its orders."""

STEPS = 10
"""The orders, or seconds without a bid at the price, after which an exit pauses."""

REST_MS = 60_000

STUCK_MS = 10_000
"""How long a stop-loss may sell nothing before an alert, and how long a close waits for quotes to return."""

A_CENT = units.cents(1)

A_SPREAD = units.cents(2)
"""A position that lost at most this per contract, and has an ask at its cost or more, has only lost the spread."""

STOP_LOSS, TAKE_PROFIT = "stop-loss", "take-profit"
"""The reasons of the orders."""

BLOCKED_BY_EXIT = "SELF_CROSS", "another strategy closes the opposite side"

_CODES = {STOP_LOSS: "STOP_LOSS", TAKE_PROFIT: "TAKE_PROFIT"}

_Key = tuple[str, str, int]
"""Strategy, market, subaccount."""


def is_spread(position: Position, worth: Money, offered: Money | None) -> bool:
    """Return whether a position lost only the spread: its value fell a little, and it is offered at its cost or more.

    In a cheap market the spread is a large part of the cost. Selling each new position at once would pay it again and
    again.
    """
    is_small = position.cost - worth <= A_SPREAD * abs(position.qty)
    return is_small and offered is not None and offered >= position.cost


class Liquidation(msgspec.Struct):
    """An exit in progress. Prices are those of the side held."""

    reason: str
    since: Ts
    next_at: Ts
    steps: int = 0
    last: Price | None = None
    is_begun: bool = False
    is_stuck: bool = False


class _QuoteHistory(msgspec.Struct):
    """The best bid and ask of a market: now, the best since `since`, and the best of the ten seconds before that."""

    since: Ts
    shown: tuple[Price, Price]
    best: tuple[Price, Price]
    before: tuple[Price, Price]

    def show(self, now: Ts, shown: tuple[Price, Price]) -> None:
        """Update with the book's best prices; the previous ones count for as long as they were shown."""
        elapsed = now - self.since
        if abs(elapsed) >= STUCK_MS:
            self.before = self.best if elapsed < 2 * STUCK_MS else self.shown
            self.best, self.since = self.shown, now
        self.shown = shown
        self.best = max(self.best[0], shown[0]), min(self.best[1], shown[1])

    def fell(self, now: Ts, side: Side) -> Price:
        """Return how far the best price of a side is below its recent best."""
        self.show(now, self.shown)
        if side is BID:
            return Price(max(self.best[0], self.before[0]) - self.shown[0])
        return Price(self.shown[1] - min(self.best[1], self.before[1]))


class ProtectiveExits:
    """The exits of the strategies `names`, without the `hedged`. `place` and `cancel` belong to the engine."""

    def __init__(
        self,
        state: EngineState,
        limits: RiskLimits,
        names: Iterable[str],
        place: Callable[[Place, str], SubmitOrder | OrderRefused],
        cancel: Callable[[Order, str], list[Effect]],
        hedged: Container[str] = (),
    ) -> None:
        self._state = state
        self._limits = limits
        used = limits.stop_loss_pct, limits.take_profit_pct, limits.max_spread
        self.are_used = used != (None, None, None)
        """A change of a book can matter, because an exit or a limit on the spread is configured."""
        self.sell = used[:2] != (None, None)
        """Positions are sold at a price, so that each change of a book and all time matters."""
        self._names = sorted(names)
        self._watched = [name for name in self._names if name not in hedged]
        self._place = place
        self._cancel = cancel
        self._walks: dict[_Key, Liquidation] = {}
        self._waiting: dict[tuple[str, str], tuple[Ts, Ts]] = {}
        """Strategies that wait to close in a market without a clear price: the start of the wait, and the last
        attempt."""
        self._tops: dict[str, _QuoteHistory] = {}
        self._ways: dict[tuple[str, Side], Ts] = {}
        """Sides of markets on which no strategy may open until a time, because another strategy closes against them."""

    def refusal_reason(self, strategy: str, intent: Place) -> tuple[str, str] | None:
        """Return why a strategy's order must not be sent, None if it may.

        The position is being closed; or the order would close too far from the mark, or while the price is unclear.
        """
        if intent.reduce_only:
            return self._too_far(intent) or self._too_early(strategy, intent)
        if self._is_way(intent.ticker, intent.side):
            return BLOCKED_BY_EXIT
        for (name, ticker, _), walk in self._walks.items():
            if (name, ticker) == (strategy, intent.ticker):
                return _CODES[walk.reason], "the position is being closed"
        return None

    def blocks_exit(self, before: Order, intent: Amend) -> bool:
        """Return whether an amend would move or enlarge an order on a side that another strategy closes against."""
        return self._is_way(before.ticker, before.side) and is_raise(before, intent)

    def _is_way(self, ticker: str, side: Side) -> bool:
        return 0 < self._ways.get((ticker, side), 0) - self._state.now <= 2 * STUCK_MS

    def cancel_opposing_quotes(self, strategy: str, intent: Place) -> list[Effect]:
        """Cancel other strategies' orders that a close would trade with, and block their return for a while.

        Otherwise no strategy could close while another one makes the market.
        """
        other = intent.side.opposite
        live = [order for order in self._state.orders.live(intent.ticker) if order.side is other]
        met = [order for order in live if (order.price - intent.price) * other.sign >= 0]
        theirs = [order for order in met if order.strategy in self._names and order.strategy != strategy]
        if theirs:
            self._ways[intent.ticker, other] = Ts(self._state.now + STUCK_MS)
        return [effect for order in theirs for effect in self._cancel(order, BLOCKED_BY_EXIT[1])]

    def _too_far(self, intent: Place) -> tuple[str, str] | None:
        """Return an objection if a close is too far from the mark. At the best price, a strategy can always close."""
        most, ticker = self._limits.max_close_slippage, intent.ticker
        if most is None or not isinstance(intent.side, Side) or not isinstance(intent.price, int):
            return None  # the review reports invalid values
        at = self._state.external_mark(ticker, Qty(-intent.side.sign))
        if at is None or (intent.price - at) * intent.side.sign <= most:
            return None
        price, limit, shown = map(units.show_price, (intent.price, most, at))
        return "SLIPPAGE", f"{price} is more than {limit} from the closing price ({shown})"

    def _too_early(self, strategy: str, intent: Place) -> tuple[str, str] | None:
        """Return an objection while the price is unclear: a close waits like the first order of a stop-loss."""
        key, now = (strategy, intent.ticker), self._state.now
        began, asked = self._waiting.pop(key, (now, now))
        if intent.ticker not in self._state.books or not isinstance(intent.side, Side):
            return None
        if not self._is_unclear(intent.ticker, intent.side.opposite):
            return None
        began = began if abs(now - asked) <= STUCK_MS else now
        self._waiting[key] = began, now
        return ("SPREAD", f"closing waits {STUCK_MS // 1000} s") if now - began < STUCK_MS else None

    def look(self, ticker: str = "") -> list[Effect]:
        """Check the positions in one market, or in all, and sell those that are due."""
        effects: list[Effect] = []
        self._remember(ticker)
        if not self.sell:
            return effects
        for name in self._watched:
            ledger = self._state.by_strategy.get(name)
            held = () if ledger is None else ledger.holdings(ticker) if ticker else ledger.positions.values()
            for position in held:
                effects += self._look_at(name, position)
        return effects

    def _look_at(self, strategy: str, traded: Position) -> list[Effect]:
        key = strategy, traded.ticker, traded.subaccount
        walk, now = self._walks.get(key), self._state.now
        position = self._state.share(traded.ticker, strategy, traded.subaccount)
        owned = self._state.owned(position.ticker, strategy, position.subaccount) if position.qty else Qty(0)
        if owned * position.qty <= 0:  # flat, or its cost is unknown because fills are in transit
            self._walks.pop(key, None)
            return []
        if not self._is_priced(position.ticker):
            return self._stuck(key, "the market is not trading, or its order book is unreliable")
        reason = self._due(position)
        if not reason:
            self._walks.pop(key, None)
            return []
        is_ahead = walk is not None and walk.next_at - now > REST_MS + STUCK_MS  # the clock was set back
        if walk is None or walk.reason != reason or is_ahead:
            walk = self._walks[key] = Liquidation(reason, now, Ts(now + STEP_MS))
        is_time, live = now >= walk.next_at, self._state.orders.live(position.ticker)
        own = [o for o in live if o.strategy == strategy or (is_time and self._is_in_the_way(o, position))]
        if own:
            canceled = [effect for order in own for effect in self._cancel(order, reason)]
            return canceled + self._stuck(key, f"an order of {own[0].strategy} there has not ended yet")
        return self._step(key, walk, position, owned) if is_time else []

    def _is_in_the_way(self, order: Order, position: Position) -> bool:
        """Return whether another of our strategies quotes the closing price: self-trades are not possible."""
        best = self._best_for(position)
        is_opposite = order.side is (BID if position.qty > 0 else ASK)
        reaches = best is not None and (order.price - best) * order.side.sign >= 0
        return order.strategy in self._names and is_opposite and reaches

    def _is_priced(self, ticker: str) -> bool:
        """Return whether the market trades and its book is reliable enough to price an order."""
        state, limit = self._state, self._limits.max_book_age_ms
        market, age = state.markets.get(ticker), state.book_age_ms(ticker)
        if market is None or age is None or state.books[ticker].is_crossed or (limit is not None and age > limit):
            return False
        is_open = market.status is MarketStatus.ACTIVE and state.now < market.close_time - self._limits.close_margin_ms
        return is_open and not pause_of(state.exchange, market.exchange_index)

    def _due(self, position: Position) -> str:
        """Return the reason to sell a position now, empty without one. Exact integer comparison."""
        stop, take = self._limits.stop_loss_pct, self._limits.take_profit_pct
        best, book = self._best_for(position), self._state.books[position.ticker]
        bid, ask = (best, book.best_ask) if position.qty > 0 else (book.best_bid, best)
        last = self._state.markets[position.ticker].last
        worth = position.value(closing_price(bid, ask, last, position.qty))
        is_low = stop is not None and worth is not None and worth * 100 < position.cost * stop
        if worth is not None and is_low and not self._is_spread(position, worth):
            return STOP_LOSS
        paid = position.value(best)
        return TAKE_PROFIT if take is not None and paid is not None and paid * 100 >= position.cost * take else ""

    def _is_spread(self, position: Position, worth: Money) -> bool:
        offered = self._state.best_external_price(position.ticker, ASK if position.qty > 0 else BID)
        return is_spread(position, worth, position.value(offered))

    def _best_for(self, position: Position) -> Price | None:
        """Return the best external price, on the YES scale, at which the position can be closed."""
        return self._state.best_external_price(position.ticker, BID if position.qty > 0 else ASK)

    def _remember(self, ticker: str) -> None:
        book = self._state.books.get(ticker)
        if book is None or self._limits.max_spread is None:
            return
        bid, ask = book.best_bid, book.best_ask
        shown = Price(0) if bid is None else bid, Price(units.ONE_DOLLAR) if ask is None else ask
        if ticker not in self._tops:
            self._tops[ticker] = _QuoteHistory(self._state.now, shown, shown, shown)
        self._tops[ticker].show(self._state.now, shown)

    def look_again_at(self, ticker: str) -> Ts:
        """Return the time from which `look` changes something even if the best prices stay, where nothing is sold."""
        top = self._tops.get(ticker)
        return Ts(0) if top is None else Ts(top.since + STUCK_MS)

    def _is_unclear(self, ticker: str, side: Side) -> bool:
        """Return whether the price is unclear.

        External quotes are further apart than `max_spread`, or the best one on this side just fell by more: a party
        that takes all other quotes could set the remaining one.
        """
        bid, ask = self._state.best_external_price(ticker, BID), self._state.best_external_price(ticker, ASK)
        most, tops = self._limits.max_spread, self._tops.get(ticker)
        if most is None:
            return False
        is_wide = (units.ONE_DOLLAR if ask is None else ask) - (0 if bid is None else bid) > most
        return is_wide or (tops is not None and tops.fell(self._state.now, side) > most)

    def _step(self, key: _Key, walk: Liquidation, position: Position, owned: Qty) -> list[Effect]:
        """Send one order if the bid is high enough; otherwise only lower the price."""
        strategy, ticker, subaccount = key
        if self._state.waiting_changes.get(ticker):
            return []  # the newest book has arrived and comes next
        best, is_long = self._best_for(position), position.qty > 0
        pays = None if best is None else best if is_long else Price(units.ONE_DOLLAR - best)
        if best is None or pays is None or pays <= A_CENT:
            return self._stuck(key, "the best bid is one cent or less")
        is_first = walk.reason == STOP_LOSS and not walk.steps and self._state.now < walk.since + STUCK_MS
        if is_first and self._is_unclear(ticker, BID if is_long else ASK):
            when = f"when quotes return to normal within risk.max_spread, or {STUCK_MS // 1000} s after it was due"
            return self._begun(key, walk, position, when)
        if walk.steps == STEPS:
            walk.steps, walk.last, walk.next_at = 0, None, Ts(self._state.now + REST_MS)
            return self._stuck(key, f"{STEPS} attempts did not sell all of it; next attempt in {REST_MS // 1000} s")
        most = self._limits.max_close_slippage
        reach = pays if walk.last is None or most is None else Price(walk.last - most)
        side = ASK if is_long else BID
        qty = self._count(ticker, subaccount, side, best, owned)
        if qty <= 0:
            is_netted = self._state.held(ticker, subaccount) * side.sign >= 0
            why = "other orders there already close it, or order limits allow none"
            return [] if is_netted else self._stuck(key, why)
        walk.steps, walk.next_at, walk.last = walk.steps + 1, Ts(self._state.now + STEP_MS), max(pays, reach)
        if pays < reach:
            return self._stuck(key, f"no bid at {units.show_price(reach)} or better")
        intent = Place(
            ticker, side, best, qty, reason=walk.reason, tif=TimeInForce.IOC, reduce_only=True, subaccount=subaccount
        )
        told = self._begun(key, walk, position, "now")
        verdict = self._place(intent, strategy)
        if isinstance(verdict, OrderRefused):
            return [*told, verdict, *self._stuck(key, f"{verdict.code} {verdict.detail}")]
        return [*told, verdict]

    def _count(self, ticker: str, subaccount: int, side: Side, best: Price, owned: Qty) -> Qty:
        """Return the quantity of the next order.

        It is the strategy's position, at most what the account has beyond other closing orders, within the order
        limits.
        """
        held = self._state.held(ticker, subaccount)
        bids, asks = self._state.orders.worst_case(ticker, subaccount)
        room = max(0, -side.sign * held - (bids if side is BID else asks))
        qty, limits = min(abs(owned), room), self._limits
        if limits.max_order_qty is not None:
            qty = min(qty, limits.max_order_qty)
        if limits.max_order_cost is not None:
            qty = min(qty, limits.max_order_cost // (best if side is BID else units.ONE_DOLLAR - best))
        return Qty(qty)

    def _begun(self, key: _Key, walk: Liquidation, position: Position, when: str) -> list[Effect]:
        """Raise an alert when the first order of an exit is sent or starts to wait."""
        if walk.is_begun:
            return []
        walk.is_begun = True
        strategy, ticker, _ = key
        side = "YES" if position.qty > 0 else "NO"
        worth = position.value(self._best_for(position)) or Money(0)
        count, cost = units.show_qty(Qty(abs(position.qty))), units.show_money(position.cost)
        text = (
            f"{count} {side} of {strategy} cost {cost}, now worth {units.show_money(worth)}: selling {when}; "
            f"{strategy} opens nothing there meanwhile"
        )
        tier = "warning" if walk.reason == STOP_LOSS else "info"
        return [AlertRaised(self._state.now, tier, _CODES[walk.reason], ticker, text)]

    def _stuck(self, key: _Key, why: str) -> list[Effect]:
        """Raise an alert once for a stop-loss that sells nothing."""
        walk, (strategy, ticker, _) = self._walks.get(key), key
        if walk is None or walk.reason != STOP_LOSS or walk.is_stuck or self._state.now - walk.since < STUCK_MS:
            return []
        walk.is_stuck = True
        text = f"the position of {strategy} is below risk.stop_loss_pct and could not be sold: {why}. Trying again"
        return [AlertRaised(self._state.now, "critical", "STOP_LOSS_STUCK", ticker, text)]
