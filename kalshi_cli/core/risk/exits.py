"""Exits: what a strategy holds is closed where it lost, or gained, a share of its cost. No strategy is asked.

A position that is marked below `stop_loss_pct` percent of what it cost is sold, one that somebody takes at
`take_profit_pct` percent or more as well: the strategy's own orders in that market are taken back first, and what
another strategy of ours quotes at the price to sell at; then orders go that are reduce-only and immediate or cancelled,
each at the best price of that moment. A walk is bounded: an order a second, each at most `max_close_slippage` below the
one before, ten of them; then it rests for a minute and begins again. While others quote further apart than
`max_spread`, or pay by more than that less than a moment ago, the first order of a stop-loss waits for up to ten
seconds: those who quoted may be back. Where nobody pays
more than a cent, the book cannot be believed, an order of the strategy in this market is in doubt, or the orders of
others close the position already, nothing is sent, and somebody is told. Meanwhile the strategy opens nothing there,
and after a loss not for its cooldown, which is a control of its own.

Every look decides anew from what is held and what it is worth, so a restart goes on where it was. What the exchange has
netted between two strategies is not there to be sold. A strategy whose markets pay for one another (`is_hedged`) is
left alone: of a basket one part always falls. Percentages are of what was paid: of a NO, of one dollar less the price.
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
from kalshi_cli.core.state.state import EngineState, mark

STEP_MS = 1_000
"""From the moment that an exit is due to its first order, and from one order to the next."""

STEPS = 10
"""Orders, or seconds in which nobody met the price, after which a walk rests."""

REST_MS = 60_000

STUCK_MS = 10_000
"""How long a stop-loss may have sold nothing until somebody is told, and how long any close waits for those who quoted.
"""

A_CENT = units.cents(1)

A_SPREAD = units.cents(2)
"""A contract that lost no more, and that others still offer at what it cost or more, has only paid the spread."""

STOP_LOSS, TAKE_PROFIT = "stop-loss", "take-profit"
"""The reasons of the orders."""

BLOCKED_BY_EXIT = "SELF_CROSS", "another strategy closes against it"

_CODES = {STOP_LOSS: "STOP_LOSS", TAKE_PROFIT: "TAKE_PROFIT"}

_Key = tuple[str, str, int]
"""Strategy, market, subaccount."""


def is_spread(position: Position, worth: Money, offered: Money | None) -> bool:
    """What it lost is the spread that was paid for it: it is `worth` less, and offered at what it cost or more.

    In a cheap market the spread is much of the cost, and whoever sold at once what was just bought would pay it again
    and again.
    """
    is_small = position.cost - worth <= A_SPREAD * abs(position.qty)
    return is_small and offered is not None and offered >= position.cost


class Liquidation(msgspec.Struct):
    """One exit on its way. Prices are those of what is held."""

    reason: str
    since: Ts
    next_at: Ts
    steps: int = 0
    last: Price | None = None
    is_begun: bool = False
    is_stuck: bool = False


class _QuoteHistory(msgspec.Struct):
    """Best bid and best ask of a market: now, the best of both since `since`, and of about ten seconds before that."""

    since: Ts
    shown: tuple[Price, Price]
    best: tuple[Price, Price]
    before: tuple[Price, Price]

    def show(self, now: Ts, shown: tuple[Price, Price]) -> None:
        """What the book showed until now counts as long as it stood."""
        elapsed = now - self.since
        if abs(elapsed) >= STUCK_MS:
            self.before = self.best if elapsed < 2 * STUCK_MS else self.shown
            self.best, self.since = self.shown, now
        self.shown = shown
        self.best = max(self.best[0], shown[0]), min(self.best[1], shown[1])

    def fell(self, now: Ts, side: Side) -> Price:
        """How much worse the best price on this side is than it was a moment ago."""
        self.show(now, self.shown)
        if side is BID:
            return Price(max(self.best[0], self.before[0]) - self.shown[0])
        return Price(self.shown[1] - min(self.best[1], self.before[1]))


class ProtectiveExits:
    """Closes what the strategies `names` hold, without the `hedged`; `place` and `cancel` are the engine's."""

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
        self._names = sorted(names)
        self._watched = [name for name in self._names if name not in hedged]
        self._place = place
        self._cancel = cancel
        self._walks: dict[_Key, Liquidation] = {}
        self._waiting: dict[tuple[str, str], tuple[Ts, Ts]] = {}
        """Strategies that want to close in a market without a clear price: since when, and when they last asked."""
        self._tops: dict[str, _QuoteHistory] = {}
        self._ways: dict[tuple[str, Side], Ts] = {}
        """Sides of markets on which no strategy opens anything until then, because another one closes against it."""

    def refusal_reason(self, strategy: str, intent: Place) -> tuple[str, str] | None:
        """Why a strategy's order may not go: what it holds there is being closed; or it would close at a price that is
        too far from what the position is worth, or at a moment in which nobody says what that is.
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
        """It would bring an order back to where another strategy closes, or make it larger there."""
        return self._is_way(before.ticker, before.side) and is_raise(before, intent)

    def _is_way(self, ticker: str, side: Side) -> bool:
        return 0 < self._ways.get((ticker, side), 0) - self._state.now <= 2 * STUCK_MS

    def cancel_opposing_quotes(self, strategy: str, intent: Place) -> list[Effect]:
        """A close would trade with what other strategies of ours quote: that is taken back, and does not come again
        before the close had its time. Otherwise none gets out as long as another one makes the market.
        """
        other = intent.side.opposite
        live = [order for order in self._state.orders.live(intent.ticker) if order.side is other]
        met = [order for order in live if (order.price - intent.price) * other.sign >= 0]
        theirs = [order for order in met if order.strategy in self._names and order.strategy != strategy]
        if theirs:
            self._ways[intent.ticker, other] = Ts(self._state.now + STUCK_MS)
        return [effect for order in theirs for effect in self._cancel(order, BLOCKED_BY_EXIT[1])]

    def _too_far(self, intent: Place) -> tuple[str, str] | None:
        """Measured from the best price for it, so at that price a strategy always gets out."""
        most, ticker = self._limits.max_close_slippage, intent.ticker
        if most is None or not isinstance(intent.side, Side) or not isinstance(intent.price, int):
            return None  # what is wrong with it says the review
        at = mark(self._state.books.get(ticker), self._state.seen(ticker), Qty(-intent.side.sign))
        if at is None or (intent.price - at) * intent.side.sign <= most:
            return None
        return (
            "SLIPPAGE",
            f"price={units.format_price(intent.price)} mark={units.format_price(at)} limit={units.format_price(most)}",
        )

    def _too_early(self, strategy: str, intent: Place) -> tuple[str, str] | None:
        """The price is not clear: a close waits as the first order of a stop-loss does, for those who may be back."""
        key, now = (strategy, intent.ticker), self._state.now
        began, asked = self._waiting.pop(key, (now, now))
        if intent.ticker not in self._state.books or not isinstance(intent.side, Side):
            return None
        if not self._is_unclear(intent.ticker, intent.side.opposite):
            return None
        began = began if abs(now - asked) <= STUCK_MS else now
        self._waiting[key] = began, now
        return ("SPREAD", f"a close waits {STUCK_MS // 1000} s") if now - began < STUCK_MS else None

    def look(self, ticker: str = "") -> list[Effect]:
        """What is held in one market, or in all: sell what must be sold."""
        effects: list[Effect] = []
        self._remember(ticker)
        if self._limits.stop_loss_pct is None and self._limits.take_profit_pct is None:
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
        if owned * position.qty <= 0:  # flat, or its fills are on their way: what it cost is not known yet
            self._walks.pop(key, None)
            return []
        if not self._is_priced(position.ticker):
            return self._stuck(key, "its market does not trade, or its order book cannot be trusted")
        reason = self._due(position)
        if not reason:
            self._walks.pop(key, None)
            return []
        is_ahead = walk is not None and walk.next_at - now > REST_MS + STUCK_MS  # by a clock that was set back
        if walk is None or walk.reason != reason or is_ahead:
            walk = self._walks[key] = Liquidation(reason, now, Ts(now + STEP_MS))
        is_time, live = now >= walk.next_at, self._state.orders.live(position.ticker)
        own = [o for o in live if o.strategy == strategy or (is_time and self._is_in_the_way(o, position))]
        if own:
            canceled = [effect for order in own for effect in self._cancel(order, reason)]
            return canceled + self._stuck(key, f"an order of {own[0].strategy} there is not over yet")
        return self._step(key, walk, position, owned) if is_time else []

    def _is_in_the_way(self, order: Order, position: Position) -> bool:
        """Another strategy of ours quotes the price to sell at, and nobody trades with themselves."""
        best = self._best_for(position)
        is_opposite = order.side is (BID if position.qty > 0 else ASK)
        reaches = best is not None and (order.price - best) * order.side.sign >= 0
        return order.strategy in self._names and is_opposite and reaches

    def _is_priced(self, ticker: str) -> bool:
        """It trades, and its book is one that an order may be priced from."""
        state, limit = self._state, self._limits.max_book_age_ms
        market, age = state.markets.get(ticker), state.book_age_ms(ticker)
        if market is None or age is None or state.books[ticker].is_crossed or (limit is not None and age > limit):
            return False
        is_open = market.status is MarketStatus.ACTIVE and state.now < market.close_time - self._limits.close_margin_ms
        return is_open and not pause_of(state.exchange, market.exchange_index)

    def _due(self, position: Position) -> str:
        """The reason to sell it now; empty where there is none. Exact: its worth times 100 against percent of cost."""
        stop, take = self._limits.stop_loss_pct, self._limits.take_profit_pct
        best = self._best_for(position)
        worth = position.value(best if best is not None else self._unpaid(position))
        is_low = stop is not None and worth is not None and worth * 100 < position.cost * stop
        if worth is not None and is_low and not self._is_spread(position, worth):
            return STOP_LOSS
        paid = position.value(best)
        return TAKE_PROFIT if take is not None and paid is not None and paid * 100 >= position.cost * take else ""

    def _is_spread(self, position: Position, worth: Money) -> bool:
        offered = self._state.best_external_price(position.ticker, ASK if position.qty > 0 else BID)
        return is_spread(position, worth, position.value(offered))

    def _best_for(self, position: Position) -> Price | None:
        """The best price on the YES scale that somebody else pays for it."""
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

    def _is_unclear(self, ticker: str, side: Side) -> bool:
        """Others quote so far apart that the price is none, as the control `max_spread` counts; or their best price on
        this side is by as much worse than a moment ago: whoever takes all others away names the one that is left.
        """
        bid, ask = self._state.best_external_price(ticker, BID), self._state.best_external_price(ticker, ASK)
        most, tops = self._limits.max_spread, self._tops.get(ticker)
        if most is None:
            return False
        is_wide = (units.ONE_DOLLAR if ask is None else ask) - (0 if bid is None else bid) > most
        return is_wide or (tops is not None and tops.fell(self._state.now, side) > most)

    def _unpaid(self, position: Position) -> Price | None:
        """What it is marked at where nobody buys it, as `mark` does: no better than others sell at."""
        book, market = self._state.books[position.ticker], self._state.markets[position.ticker]
        other, worse = (book.best_ask, min) if position.qty > 0 else (book.best_bid, max)
        return worse((at for at in (market.last, other) if at is not None), default=None)

    def _step(self, key: _Key, walk: Liquidation, position: Position, owned: Qty) -> list[Effect]:
        """One order, where somebody pays enough; else only the price gives way."""
        strategy, ticker, subaccount = key
        best, is_long = self._best_for(position), position.qty > 0
        pays = None if best is None else best if is_long else Price(units.ONE_DOLLAR - best)
        if best is None or pays is None or pays <= A_CENT:
            return self._stuck(key, "nobody pays more than a cent for it")
        is_first = walk.reason == STOP_LOSS and not walk.steps and self._state.now < walk.since + STUCK_MS
        if is_first and self._is_unclear(ticker, BID if is_long else ASK):
            when = f"once others quote as before, within risk.max_spread, or {STUCK_MS // 1000} s after it was due"
            return self._begun(key, walk, position, when)
        if walk.steps == STEPS:
            walk.steps, walk.last, walk.next_at = 0, None, Ts(self._state.now + REST_MS)
            return self._stuck(key, f"{STEPS} steps did not sell all of it; the next in {REST_MS // 1000} s")
        most = self._limits.max_close_slippage
        reach = pays if walk.last is None or most is None else Price(walk.last - most)
        side = ASK if is_long else BID
        qty = self._count(ticker, subaccount, side, best, owned)
        if qty <= 0:
            is_netted = self._state.held(ticker, subaccount) * side.sign >= 0
            why = "other orders there close it already, or the limits of one order allow none"
            return [] if is_netted else self._stuck(key, why)
        walk.steps, walk.next_at, walk.last = walk.steps + 1, Ts(self._state.now + STEP_MS), max(pays, reach)
        if pays < reach:
            return self._stuck(key, f"nobody pays {units.show_price(reach)}")
        intent = Place(
            ticker, side, best, qty, reason=walk.reason, tif=TimeInForce.IOC, reduce_only=True, subaccount=subaccount
        )
        told = self._begun(key, walk, position, "now")
        verdict = self._place(intent, strategy)
        if isinstance(verdict, OrderRefused):
            return [*told, verdict, *self._stuck(key, f"{verdict.code} {verdict.detail}")]
        return [*told, verdict]

    def _count(self, ticker: str, subaccount: int, side: Side, best: Price, owned: Qty) -> Qty:
        """Of what the strategy holds, as much as the account holds beyond the orders that close it already, and no more
        than the limits of one order allow.
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
        """Somebody hears of an exit when its first order goes, or waits for the spread."""
        if walk.is_begun:
            return []
        walk.is_begun = True
        strategy, ticker, _ = key
        side = "YES" if position.qty > 0 else "NO"
        worth = position.value(self._best_for(position)) or Money(0)
        count, cost = units.show_qty(Qty(abs(position.qty))), units.show_money(position.cost)
        text = (
            f"{count} {side} of {strategy} cost {cost} and are worth "
            f"{units.show_money(worth)}: they are being sold {when}, and {strategy} opens nothing there meanwhile"
        )
        tier = "warning" if walk.reason == STOP_LOSS else "info"
        return [AlertRaised(self._state.now, tier, _CODES[walk.reason], ticker, text)]

    def _stuck(self, key: _Key, why: str) -> list[Effect]:
        """A stop-loss that sells nothing is told once."""
        walk, (strategy, ticker, _) = self._walks.get(key), key
        if walk is None or walk.reason != STOP_LOSS or walk.is_stuck or self._state.now - walk.since < STUCK_MS:
            return []
        walk.is_stuck = True
        text = f"what {strategy} holds is below risk.stop_loss_pct and is not sold: {why}. It is tried on"
        return [AlertRaised(self._state.now, "critical", "STOP_LOSS_STUCK", ticker, text)]
