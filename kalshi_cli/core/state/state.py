"""What the engine knows, and the read-only view of it that strategies and controls get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.account.exposure import Exposures
from kalshi_cli.core.account.ledger import Ledger, Position
from kalshi_cli.core.account.order_index import OrderRegistry
from kalshi_cli.core.account.strategy_positions import UNOWNED_STRATEGY, LossStreak, StrategyPositions
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.exchange import ExchangeStatus, TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.messages import FairValue, Quote, ReferencePrice, SpotPrice
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.state.back_off import BackOff
from kalshi_cli.core.state.order_rate import SentOrder, SentOrders

AHEAD_MS = 5_000
"""What is from longer than this after now was heard before the clock was set back: nobody knows how old it is."""
MINUTE_MS = 60_000


class EngineState:
    """Books, orders, positions and the trading state of one account. Only the engine changes it."""

    def __init__(
        self,
        *,
        markets: Iterable[Market] = (),
        fees: Mapping[str, FeeSchedule] | None = None,
        references: Mapping[str, str] | None = None,
        families: Mapping[str, Family] | None = None,
        lock: int | None = None,
        are_own_in_books: bool = True,
        now: Ts,
    ) -> None:
        self.now = now
        self.lock = lock
        """The subaccount that the key is locked to; None where it may name any."""
        self.are_own_in_books = are_own_in_books
        """The books show our own quotes, too; not where fills are simulated beside books that others make."""
        self.trading = TradingState.ACTIVE
        self.markets: dict[str, Market] = {market.ticker: market for market in markets}
        self.books: dict[str, OrderBook] = {ticker: OrderBook(ticker) for ticker in self.markets}
        self.valued: dict[str, Market] = {}
        """Markets that are held but not traded here, as they were last read: for their price, and for nothing else."""
        self.fees: dict[str, FeeSchedule] = dict(fees or {})
        self.orders = orders = OrderRegistry()
        self.ledger = Ledger()
        self.exposures = Exposures(self.ledger, orders, self.fees, self.event_of)
        self.cash_besides: Money | None = None
        """The balance without what the ledger booked; None until the account was read."""
        self.by_strategy: dict[str, Ledger] = {}
        """The fills of each strategy's own orders. What it still holds of them is `owned`."""
        self._shares: dict[str, tuple[list[int], StrategyPositions]] = {}
        self.indexes: dict[str, ReferencePrice] = {}
        self.references: dict[str, str] = dict(references or {})
        self.families: dict[str, Family] = dict(families or {})
        """By event; what is not here is of no known series, of no category, and not exclusive."""
        self.spots: dict[str, SpotPrice] = {}
        """The newest outside price by symbol."""
        self.fairs: dict[str, FairValue] = {}
        """What outside models said last, by market."""
        self.triggered_groups: set[str] = set()
        self.groups: dict[int, str] = {}
        """The order group of this run on each shard; empty where it uses none. The desk sets it."""
        self.exchange: ExchangeStatus | None = None
        """As far as it is known: pauses of the exchange, of trading, of a shard."""
        self.blind_since: Ts | None = None
        """The account cannot be read since then; None while it can."""
        self.account_read: Ts | None = None
        """When the account was last read in full; None before that."""
        self.is_feed_live = False
        self.feed_ts = Ts(0)
        """The time of the newest message about any book, the exchange's where it gave one: messages that come late do
        not make a book look fresh, nor do other channels. A stream that lives says something every few seconds."""
        self.quotes: dict[str, Quote] = {}
        """What the ticker channel said last."""
        self.last_entry = Ts(0)
        """The time of the newest fill or settlement booked: where the next read of the account begins."""
        self.sent = SentOrders()
        """Of the last minute."""
        self.back_off: BackOff | None = None
        """The pace of strategies' orders while API_GUARD holds; None while it does not."""
        self.strategies: Collection[str] = ()
        """Those of this run."""
        self.locks: dict[str, Ts] = {}
        """Markets that a person locked, and until when: nothing is opened there."""
        self.best_gained: Money | None = None
        """The most that the account ever gained, since the last resume out of reducing: where a drawdown is counted
        from. None until it is known."""
        self.day_net: Money | None = None
        """What the trading day has brought so far, what is open included; None until it was counted."""

    def index_of(self, ticker: str) -> str | None:
        """The outside index behind a market, by the longest configured prefix of its ticker."""
        found = max((prefix for prefix in self.references if ticker.startswith(prefix)), key=len, default=None)
        return self.references[found] if found is not None else None

    def book_age_ms(self, ticker: str) -> int | None:
        """How old the book's truth is; None where it is unusable.

        A quiet market is not a stale one: while the stream lives, an unchanged book is as fresh as its last message.
        What is from after now dates from before the clock was set back, and is as far off.
        """
        book = self.books.get(ticker)
        if book is None or not book.is_usable:
            return None
        heard = (book.ts, self.feed_ts) if self.is_feed_live else (book.ts,)
        return min(abs(self.now - ts) for ts in heard)

    def count_sent(self, sent: SentOrder) -> None:
        """Count an order or an amend that was, or is about to be, sent."""
        self.sent.add(sent, self.now)

    def take_back(self, order: Order) -> None:
        """An order that was added and counted has not left: it counts no more."""
        self.orders.take_back(order.client_order_id)
        self.sent.take_back(order)

    def sent_last_minute(self, ticker: str | None = None, *, asked_by: str = "") -> Counter[str]:
        """Return tenths of orders that were sent within the last minute, by strategy; see `SentOrders`."""
        return self.sent.by_strategy(self.now, ticker, asked_by)

    @property
    def cash(self) -> Money | None:
        """The balance of the last account read, moved on by what was booked since; None before the first."""
        return None if self.cash_besides is None else Money(self.cash_besides + self.ledger.cash)

    @property
    def home(self) -> int:
        """The subaccount that is meant where none is named: the primary one, or that of the key."""
        return self.lock or 0

    def held(self, ticker: str, subaccount: int = 0) -> Qty:
        """The position of a subaccount, with what its orders traded whose fills are still on their way."""
        untold = self.orders.untold(ticker)
        traded = sum(order.side.sign * qty for order, qty in untold if order.subaccount == subaccount)
        return Qty(self.ledger.position(ticker, subaccount).qty + traded)

    def record_own_fill(self, strategy: str, fill: Fill) -> bool:
        """Book a fill with the strategy whose order it was; whether it is new."""
        return self.by_strategy.setdefault(strategy, Ledger()).book(fill)

    def losses(self, strategy: str, ticker: str) -> LossStreak:
        """What a strategy lost there by closing what was still its own."""
        return self._booked_shares(ticker).losses(strategy)

    def owned(self, ticker: str, strategy: str, subaccount: int | None = None) -> Qty:
        """What a strategy holds in a subaccount, or over all of them, with what its orders traded whose fills are still
        on their way.

        Never more than the account holds: what a person closed is gone for the strategy, too (see
        `core/account/strategy_positions.py`).
        """
        shares, untold = self._booked_shares(ticker), self.orders.untold(ticker)
        if untold:
            shares = shares.with_trades(
                (order.subaccount, order.strategy or UNOWNED_STRATEGY, order.side.sign * qty, order.price)
                for order, qty in untold
            )
        return shares.of(strategy, subaccount)

    def share(self, ticker: str, strategy: str, subaccount: int) -> Position:
        """What of a strategy's fills the account still holds in a subaccount, and what that cost; of fills alone."""
        own = self.by_strategy.get(strategy) or Ledger()
        if own.changes(ticker) == self.ledger.changes(ticker):  # nobody else ever traded there
            return own.position(ticker, subaccount)
        shares = self._booked_shares(ticker)
        qty, cost = shares.of(strategy, subaccount), shares.cost_of(strategy, subaccount)
        return Position(ticker, qty, cost, subaccount=subaccount)

    def _booked_shares(self, ticker: str) -> StrategyPositions:
        ledgers = [self.ledger, *self.by_strategy.values()]
        changes = [ledger.changes(ticker) for ledger in ledgers]
        counted, shares = self._shares.get(ticker, ([], None))
        if shares is None or counted != changes:
            shares = StrategyPositions(self.ledger.entries_of(ticker), self._owner_of)
            self._shares[ticker] = changes, shares
        return shares

    def _owner_of(self, fill: Fill) -> str:
        return next((name for name, ledger in self.by_strategy.items() if ledger.is_booked(fill)), UNOWNED_STRATEGY)

    def subaccounts(self, ticker: str) -> set[int]:
        """Those that hold anything in a market, or have live orders there."""
        found = {position.subaccount for position in self.ledger.holdings(ticker) if position.qty}
        found.update(order.subaccount for order in self.orders.live(ticker))
        found.update(order.subaccount for order, _ in self.orders.untold(ticker))
        return found

    def most_held(self, ticker: str, *, besides: int) -> Qty:
        """What the other subaccounts hold at most, on whichever side, once their live orders filled; nothing nets."""
        total = 0
        for number in self.subaccounts(ticker) - {besides}:
            held, (longest, shortest) = self.held(ticker, number), self.orders.worst_case(ticker, number)
            total += max(held + longest, shortest - held)
        return Qty(total)

    def exposure(self, ticker: str, extra: Place | None = None) -> Money:
        """The most that this market can still lose, over all subaccounts: the worst of each, none netted with another.

        `extra` is one more order on top of the live ones. Never below zero.
        """
        return self.exposures.market(ticker, extra)

    def event_exposure(self, event_ticker: str, extra: Place | None = None) -> Money:
        """The most that the markets of an event can still lose together; of an exclusive one, in its worst outcome."""
        is_exclusive = self.family(event_ticker).is_exclusive
        return self.exposures.event(event_ticker, is_exclusive=is_exclusive, extra=extra)

    def category_exposure(self, category: str) -> Money:
        """The sum of all events of a category; those whose category nobody read count in each."""
        counted = (event for event in self.exposures.events if self.family(event).category in ("", category))
        return Money(sum(self.event_exposure(event) for event in counted))

    def total_exposure(self, extra: Place | None = None) -> Money:
        """The sum over all markets in which anything is held or rests."""
        return self.exposures.total(extra)

    def event_of(self, ticker: str) -> str:
        """The event of a market; of one that was never read, what its ticker begins with."""
        market = self.seen(ticker)
        return market.event_ticker if market is not None else ticker.rpartition("-")[0] or ticker

    def marks(self) -> dict[str, Price | None]:
        """What each held market is worth, as `mark` says; None where nothing is known of it.

        One mark for a market: where subaccounts hold both sides, that of the larger.
        """
        held = self.net_held().items()
        return {ticker: mark(self.books.get(ticker), self.seen(ticker), qty) for ticker, qty in held}

    def net_held(self) -> dict[str, Qty]:
        """What is held in each market, all subaccounts together."""
        net: dict[str, Qty] = {}
        for position in self.ledger.positions.values():
            if position.qty:
                net[position.ticker] = Qty(net.get(position.ticker, 0) + position.qty)
        return net

    def best_external_price(self, ticker: str, side: Side) -> Price | None:
        """The best price of a side that somebody else quotes: what rests there of this account buys nothing from it."""
        own: dict[Price, int] = {}
        for order in self.orders.live(ticker) if self.are_own_in_books else ():
            if order.side is side and order.status is OrderStatus.RESTING:
                own[order.price] = own.get(order.price, 0) + order.remaining
        return self.books[ticker].best_excluding(side, own)

    def held_up(self, ticker: str, qty: Qty) -> Money:
        """How much better a net position looks in a book of this run for our own quotes, against the rule of `mark` at
        what others quote. Nothing where no price is left without them: what it is worth is not known then.
        """
        book, market = self.books.get(ticker), self.seen(ticker)
        is_settled = market is not None and market.settlement_value is not None
        if book is None or not book.is_usable or is_settled:
            return Money(0)
        last = market.last if market is not None else None
        others = _closing(self.best_external_price(ticker, BID), self.best_external_price(ticker, ASK), last, qty)
        with_own = mark(book, market, qty)
        return Money(max(0, qty * (with_own - others)) if with_own is not None and others is not None else 0)

    def family(self, event_ticker: str) -> Family:
        """What is known of an event; of one that nobody read, that it is one."""
        return self.families.get(event_ticker) or Family(event_ticker=event_ticker)

    def seen(self, ticker: str) -> Market | None:
        """A market as it was last read, also one that is only held."""
        return self.markets.get(ticker) or self.valued.get(ticker)

    def untraded_held_markets(self) -> list[str]:
        """Markets that are held but not traded here; those with the most at stake first."""
        held: dict[str, int] = {}
        for position in self.ledger.positions.values():
            if position.qty and position.ticker not in self.markets:
                held[position.ticker] = held.get(position.ticker, 0) + position.cost
        return sorted(held, key=lambda ticker: (-held[ticker], ticker))


def mark(book: OrderBook | None, market: Market | None, qty: Qty) -> Price | None:
    """The price at which a position of `qty` could be closed now.

    Where nobody bids for a long, nobody pays more than others ask, whatever the last price was: the lower of the two. A
    short that nobody offers is at the higher of last price and best bid.
    """
    if market is not None and market.settlement_value is not None:
        return market.settlement_value
    bid = ask = None
    if book is not None and book.is_usable:
        bid, ask = book.best_bid, book.best_ask
    elif market is not None:
        bid, ask = market.yes_bid, market.yes_ask
    return _closing(bid, ask, market.last if market is not None else None, qty)


def _closing(bid: Price | None, ask: Price | None, last: Price | None, qty: Qty) -> Price | None:
    closing, other, worse = (bid, ask, min) if qty > 0 else (ask, bid, max)
    return closing if closing is not None else worse((at for at in (last, other) if at is not None), default=None)
