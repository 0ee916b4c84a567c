"""The state of the engine, which only the engine changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.account.closed_markets import StrategyResult
from kalshi_cli.core.account.exposure import Exposures, subaccounts
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
from kalshi_cli.core.model.positions import MarkSource, Settlement
from kalshi_cli.core.state.back_off import BackOff
from kalshi_cli.core.state.last_prices import LastPrices
from kalshi_cli.core.state.order_rate import SentOrder, SentOrders

OpeningMarks = Callable[[Ts, Mapping[str, Qty]], Mapping[str, Price]]
"""Returns the closing prices at the start of a trading day, as far as known, of the net positions carried into it."""


class _CountedPositions:
    """The positions of the strategies in a market, counted as its entries arrive.

    `revision` is that of the ledger; `owners` has the counted fills, because a fill can get its owner later.
    """

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.count = 0
        self.owners: dict[tuple[str, str], str] = {}
        self.positions = StrategyPositions()


class EngineState:
    """Books, orders, positions and the trading state of one account. Only the engine changes it."""

    simulated_group_limit: Qty | None = None
    """The limit of the order groups that a run with simulated fills would have live; None in live trading."""
    day_net: Money | None = None
    """The P&L of the trading day, open positions included; None until counted."""
    strategies: Collection[str] = ()
    """The strategies of this run."""
    empty_sizes: int = 0
    """The number of calls of `view.size` that returned 0 contracts."""
    last_prices: LastPrices | None = None
    """The last prices of a backtest; None where markets are read again, whose prices are newer."""

    opening: tuple[Ts, dict[str, Price]] = (Ts(0), {})
    """The start of the trading day, and the closing prices then of the positions carried into it."""
    opening_marks: OpeningMarks = staticmethod(lambda _start, _held: {})
    """Finds those of these prices that this engine did not see itself."""

    def __init__(
        self,
        *,
        markets: Iterable[Market] = (),
        fees: Mapping[str, FeeSchedule] | None = None,
        references: Mapping[str, str] | None = None,
        families: Mapping[str, Family] | None = None,
        lock: int | None = None,
        are_own_in_books: bool = True,
        new_book: Callable[[str], OrderBook] = OrderBook,
        now: Ts,
    ) -> None:
        self.now = now
        self.lock = lock
        """The subaccount that the API key is restricted to; None if it may use any."""
        self.are_own_in_books = are_own_in_books
        """True if the books contain our own quotes. They do not where fills are simulated against a recorded book."""
        self.trading = TradingState.ACTIVE
        self.markets: dict[str, Market] = {market.ticker: market for market in markets}
        self.new_book = new_book
        """Creates the book of a market; a compiled backtest has its own kind."""
        self.books: dict[str, OrderBook] = {ticker: new_book(ticker) for ticker in self.markets}
        self.valued: dict[str, Market] = {}
        """Markets with a position that this run does not trade, as last read; used only for their price."""
        self.fees: dict[str, FeeSchedule] = dict(fees or {})
        self.orders = orders = OrderRegistry()
        self.ledger = Ledger()
        self.exposures = Exposures(self.ledger, orders, self.fees, self.event_of)
        self.cash_besides: Money | None = None
        """The balance without what the ledger booked; None until the account was read."""
        self.by_strategy: dict[str, Ledger] = {}
        """The fills of each strategy's own orders. `owned` is the position that remains of them."""
        self._shares: dict[str, _CountedPositions] = {}
        self.indexes: dict[str, ReferencePrice] = {}
        self.references: dict[str, str] = dict(references or {})
        self.families: dict[str, Family] = dict(families or {})
        """By event. An event that is missing here has no known series, no category, and is not exclusive."""
        self.spots: dict[str, SpotPrice] = {}
        """The newest outside price by symbol."""
        self.spot_ages: dict[str, float] = {}
        """The largest age of an outside price that a strategy accepts, in seconds, by symbol."""
        self.fairs: dict[str, FairValue] = {}
        """The newest fair value of outside models, by market."""
        self.triggered_groups: set[str] = set()
        self.groups: dict[int, str] = {}
        """The order group of this run on each shard, empty without one. The trading service sets it."""
        self.exchange: ExchangeStatus | None = None
        """The last known status of the exchange and its shards."""
        self.blind_since: Ts | None = None
        """The time since which the account cannot be read; None while it can."""
        self.account_read: Ts | None = None
        """The time of the last complete account read; None before the first."""
        self.is_feed_live = False
        self.feed_ts = Ts(0)
        """The time of the newest message about any book, the exchange's time if it sent one. Late messages and other
        channels do not make a book look fresh. A live stream sends something every few seconds."""
        self.waiting_changes: dict[str, int] = {}
        """The changes of order books that have arrived and are not applied yet, by market, as the feed counted them."""
        self.quotes: dict[str, Quote] = {}
        """The last message of the ticker channel by market."""
        self.last_entry = Ts(0)
        """The time of the newest booked fill or settlement, where the next account read begins."""
        self.sent = SentOrders()
        """Orders sent in the last minute."""
        self.back_off: BackOff | None = None
        """The back-off of strategy orders while API_GUARD is active, otherwise None."""
        self.locks: dict[str, Ts] = {}
        """Locked markets and the end of each lock: no order may open a position there."""
        self.best_gained: Money | None = None
        """The account high since the last resume from REDUCING, from which a drawdown is measured; None until known."""

    def index_of(self, ticker: str) -> str | None:
        """Return the reference index of a market, by the longest configured prefix of its ticker."""
        found = max((prefix for prefix in self.references if ticker.startswith(prefix)), key=len, default=None)
        return self.references[found] if found is not None else None

    def book_age_ms(self, ticker: str) -> int | None:
        """Return the age of a book in milliseconds; None if it is unusable.

        A quiet market is not stale: while the stream is live, an unchanged book is as fresh as the last message. A time
        in the future is from before the clock was set back and counts as equally old.
        """
        book = self.books.get(ticker)
        if book is None or not book.is_usable:
            return None
        heard = (book.ts, self.feed_ts) if self.is_feed_live else (book.ts,)
        return min(abs(self.now - ts) for ts in heard)

    def count_sent(self, sent: SentOrder) -> None:
        """Count an order or an amend that was sent or is about to be sent."""
        self.sent.add(sent, self.now)

    def take_back(self, order: Order) -> None:
        """Stop counting an order that was added but not sent."""
        self.orders.take_back(order.client_order_id)
        self.sent.take_back(order)

    def sent_last_minute(self, ticker: str | None = None, *, asked_by: str = "") -> Counter[str]:
        """Return tenths of orders sent within the last minute, by strategy; see `SentOrders`."""
        return self.sent.by_strategy(self.now, ticker, asked_by)

    @property
    def cash(self) -> Money | None:
        """Return the balance of the last account read plus later bookings; None before the first read."""
        return None if self.cash_besides is None else Money(self.cash_besides + self.ledger.cash)

    @property
    def home(self) -> int:
        """Return the default subaccount: the primary one, or that of the API key."""
        return self.lock or 0

    def held(self, ticker: str, subaccount: int = 0) -> Qty:
        """Return the position of a subaccount, including traded contracts whose fills are in transit."""
        untold = self.orders.untold(ticker)
        traded = sum(order.side.sign * qty for order, qty in untold if order.subaccount == subaccount)
        return Qty(self.ledger.position(ticker, subaccount).qty + traded)

    def record_own_fill(self, strategy: str, fill: Fill) -> bool:
        """Book a fill with its strategy; return whether it is new."""
        ledger = self.by_strategy.setdefault(strategy, Ledger())
        if not ledger.has(fill.ticker):  # its market may have settled before the strategy's first fill was known
            for entry in self.ledger.entries_of(fill.ticker):
                if isinstance(entry, Settlement):
                    ledger.settle(entry)
        is_new = ledger.book(fill)
        counted = self._shares.get(fill.ticker)
        if counted is not None and fill.key in counted.owners:  # counted before its owner was known
            del self._shares[fill.ticker]
        return is_new

    def carry(self, results: Iterable[StrategyResult], sign: int = 1) -> None:
        """Add the results of closed markets to the ledgers, or take them out again with the sign -1."""
        for result in results:
            realized, fees = Money(sign * result.realized), Money(sign * result.fees)
            self.ledger.carry(realized, fees)
            if result.strategy:
                self.by_strategy.setdefault(result.strategy, Ledger()).carry(realized, fees)

    def losses(self, strategy: str, ticker: str) -> LossStreak:
        """Return a strategy's losses in a market from closing its own positions."""
        return self._booked_shares(ticker).losses(strategy)

    def owned(self, ticker: str, strategy: str, subaccount: int | None = None) -> Qty:
        """Return a strategy's position in a subaccount or over all, including contracts whose fills are in transit.

        It never exceeds the account's position: what the user closed is gone for the strategy too (see
        `core/account/strategy_positions.py`).
        """
        untold = self.orders.untold(ticker)
        if not untold and not self.ledger.changes(ticker):
            return Qty(0)  # without any trade there; strategies ask this at every call
        shares = self._booked_shares(ticker)
        if untold:
            shares = shares.with_trades(
                (order.subaccount, order.strategy or UNOWNED_STRATEGY, order.side.sign * qty, order.price)
                for order, qty in untold
            )
        return shares.of(strategy, subaccount)

    def share(self, ticker: str, strategy: str, subaccount: int) -> Position:
        """Return a strategy's remaining position in a subaccount and its cost, from booked fills only."""
        own = self.by_strategy.get(strategy) or Ledger()
        if own.changes(ticker) == self.ledger.changes(ticker):  # no other party traded there
            return own.position(ticker, subaccount)
        shares = self._booked_shares(ticker)
        qty, cost = shares.of(strategy, subaccount), shares.cost_of(strategy, subaccount)
        return Position(ticker, qty, cost, subaccount=subaccount)

    def _booked_shares(self, ticker: str) -> StrategyPositions:
        """Return the positions of the strategies in a market; only entries since the last call are counted."""
        revision = self.ledger.revisions(ticker)
        counted = self._shares.get(ticker)
        if counted is None or counted.revision != revision:
            counted = self._shares[ticker] = _CountedPositions(revision)
        entries = self.ledger.entries_of(ticker, counted.count)
        owners = {entry.key: self._owner_of(entry) for entry in entries if isinstance(entry, Fill)}
        counted.positions.count(entries, lambda fill: owners[fill.key])
        counted.owners |= owners
        counted.count += len(entries)
        return counted.positions

    def _owner_of(self, fill: Fill) -> str:
        return next((name for name, ledger in self.by_strategy.items() if ledger.is_booked(fill)), UNOWNED_STRATEGY)

    def subaccounts(self, ticker: str) -> set[int]:
        """Return the subaccounts with a position or live orders in a market."""
        return subaccounts(self.ledger, self.orders, ticker)

    def most_held(self, ticker: str, *, besides: int) -> Qty:
        """Return the largest total position of the other subaccounts after their live orders fill; they do not net."""
        total = 0
        for number in self.subaccounts(ticker) - {besides}:
            held, (longest, shortest) = self.held(ticker, number), self.orders.worst_case(ticker, number)
            total += max(held + longest, shortest - held)
        return Qty(total)

    def exposure(self, ticker: str, extra: Place | None = None) -> Money:
        """Return the maximum loss of a market, summed over subaccounts, which do not net.

        `extra` adds one more order. Never negative.
        """
        return self.exposures.market(ticker, extra)

    def event_exposure(self, event_ticker: str, extra: Place | None = None) -> Money:
        """Return the maximum loss of an event's markets together, in the worst outcome of an exclusive event."""
        is_exclusive = self.family(event_ticker).is_exclusive
        return self.exposures.event(event_ticker, is_exclusive=is_exclusive, extra=extra)

    def category_exposure(self, category: str) -> Money:
        """Return the sum over a category's events; an event of unknown category counts in each."""
        counted = (event for event in self.exposures.events if self.family(event).category in ("", category))
        return Money(sum(self.event_exposure(event) for event in counted))

    def total_exposure(self, extra: Place | None = None) -> Money:
        """Return the sum over all markets with a position or a live order."""
        return self.exposures.total(extra)

    def event_of(self, ticker: str) -> str:
        """Return the event of a market, derived from the ticker if the market was never read."""
        market = self.seen(ticker)
        return market.event_ticker if market is not None else ticker.rpartition("-")[0] or ticker

    def marks(self) -> dict[str, Price | None]:
        """Return the mark of each open position by external quotes; None if no price is known.

        Each market has one mark: if subaccounts have both sides, the mark of the larger.
        """
        return {ticker: self.external_mark(ticker, qty) for ticker, qty in self.net_held().items()}

    def external_mark(self, ticker: str, qty: Qty) -> Price | None:
        """Return the mark of a position without own quotes, which a close cannot trade with.

        While an order is in transit, the book and our records can disagree, so this can be off for a moment.
        """
        book, market = self.books.get(ticker), self.seen(ticker)
        is_settled = market is not None and market.settlement_value is not None
        if book is None or not book.is_usable or is_settled or not self.are_own_in_books:
            return self.mark_of(ticker, qty)
        last = market.last if market is not None else None
        return closing_price(self.best_external_price(ticker, BID), self.best_external_price(ticker, ASK), last, qty)

    def mark_of(self, ticker: str, qty: Qty) -> Price | None:
        """Return the mark of a position with own quotes, by `mark`; in a backtest at least its last fill's price."""
        found = mark(*self.priced(ticker), qty)
        if found is not None or self.last_prices is None:
            return found
        fills = (entry for entry in reversed(self.ledger.entries_of(ticker)) if isinstance(entry, Fill))
        return next((fill.price for fill in fills), None)

    def keep_prices(self, book: OrderBook, *, is_lost: bool = True) -> None:
        """Keep the best prices of a book before it is lost or emptied; forget older ones if it is renewed."""
        if self.last_prices is not None and book.ticker in self.markets:
            self.last_prices.keep(self.markets[book.ticker], book, is_lost=is_lost)

    def priced(self, ticker: str) -> tuple[OrderBook | None, Market | None]:
        """Return the book and the market whose prices value a position."""
        book, market = self.books.get(ticker), self.seen(ticker)
        if self.last_prices is None or market is None:
            return book, market
        return self.last_prices.priced(market, book, self.quotes.get(ticker))

    def net_held(self) -> dict[str, Qty]:
        """Return the net position of each market over all subaccounts."""
        net: dict[str, Qty] = {}
        for position in self.ledger.positions.values():
            if position.qty:
                net[position.ticker] = Qty(net.get(position.ticker, 0) + position.qty)
        return net

    def external_book(self, ticker: str) -> OrderBook:
        """Return the order book of a market without the account's own orders; empty for a market that is not traded.

        While an order is in transit, the book and our records can disagree, so this can be off for a moment.
        """
        book = self.books.get(ticker) or OrderBook(ticker)
        own = self.orders.live(ticker) if self.are_own_in_books else ()
        return book.without(own) if own else book

    def best_external_price(self, ticker: str, side: Side) -> Price | None:
        """Return the best price of a side without the account's own resting orders."""
        own: dict[Price, int] = {}
        for order in self.orders.live(ticker) if self.are_own_in_books else ():
            if order.side is side and order.status is OrderStatus.RESTING:
                own[order.price] = own.get(order.price, 0) + order.remaining
        return self.books[ticker].best_excluding(side, own)

    def held_up(self, ticker: str, qty: Qty) -> Money:
        """Return how much our own quotes raise the value of a net position, compared with external quotes alone.

        0 if no external price is left, because the value is then unknown.
        """
        with_own, others = self.mark_of(ticker, qty), self.external_mark(ticker, qty)
        return Money(max(0, qty * (with_own - others)) if with_own is not None and others is not None else 0)

    def family(self, event_ticker: str) -> Family:
        """Return the family of an event, or one with defaults if the event was never read."""
        return self.families.get(event_ticker) or Family(event_ticker=event_ticker)

    def seen(self, ticker: str) -> Market | None:
        """Return a market as last read, including one that is only valued."""
        return self.markets.get(ticker) or self.valued.get(ticker)

    def order_words(self, order: Order) -> str:
        """Return an order as typed, else by its position; one that ended in the terms of YES."""
        held = self.held(order.ticker, order.subaccount) if order.status.is_live else None
        return order.terms(held).text(order.qty, order.ticker)

    def untraded_held_markets(self) -> list[str]:
        """Return markets with a position that are not traded here, those with the highest cost first."""
        held: dict[str, int] = {}
        for position in self.ledger.positions.values():
            if position.qty and position.ticker not in self.markets:
                held[position.ticker] = held.get(position.ticker, 0) + position.cost
        return sorted(held, key=lambda ticker: (-held[ticker], ticker))


def mark_source(market: Market | None, qty: Qty, book: OrderBook | None = None) -> MarkSource | None:
    """Return where the mark of a position of `qty` comes from, by the book or the market's quotes; None without one."""
    if market is None or mark(book, market, qty) is None:
        return None
    if market.settlement_value is not None:
        return "settlement"
    bid, ask = _quotes(book, market)
    return "estimate" if (bid if qty > 0 else ask) is None else "quote"


def mark(book: OrderBook | None, market: Market | None, qty: Qty) -> Price | None:
    """Return the closing price of a position of `qty`: the payout once it is known, else the best price that closes it.

    Without a bid, a long is marked at the lower of the last price and the ask. Without an ask, a short is marked at the
    higher of the last price and the bid.
    """
    if market is not None and market.settlement_value is not None:
        return market.settlement_value
    return closing_price(*_quotes(book, market), market.last if market is not None else None, qty)


def _quotes(book: OrderBook | None, market: Market | None) -> tuple[Price | None, Price | None]:
    """Return the best bid and ask of a usable book, else those of the market."""
    if book is not None and book.is_usable:
        return book.best_bid, book.best_ask
    return (None, None) if market is None else (market.yes_bid, market.yes_ask)


def closing_price(bid: Price | None, ask: Price | None, last: Price | None, qty: Qty) -> Price | None:
    """Return the closing side's price, or without one the worse of the last price and the other side."""
    closing, other, worse = (bid, ask, min) if qty > 0 else (ask, bid, max)
    return closing if closing is not None else worse((at for at in (last, other) if at is not None), default=None)
