"""The trading loop of a backtest over compiled book changes: the same trades as `runner.run`, several times as fast."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kalshi_cli.base.units import Ts
from kalshi_cli.compiled.books import CompiledBooks
from kalshi_cli.compiled.loop import AFTER_ROW, END
from kalshi_cli.compiled.rows import BookRows, TapeItem, pack
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.messages import (
    BookChanged,
    BookDelta,
    BookSnapshot,
    FeedGap,
    FeedState,
    MarketChange,
    Message,
    PublicTrade,
)
from kalshi_cli.services.research.backtest import Drive
from kalshi_cli.services.runner import RecorderProtocol, VenueProtocol, process_messages
from kalshi_cli.simulator.paper.venue import PaperVenue

_TO_ORDERS = (BookDelta, BookSnapshot, PublicTrade, FeedGap, FeedState, MarketChange)
"""Messages after which the venue's orders or their queue positions may differ."""


NewBook = Callable[[str], OrderBook]


def compiled_drive() -> tuple[Drive, tuple[NewBook, NewBook]]:
    """Return a trading loop for one backtest, and what creates the books of its engine and of its venue."""
    compiled = CompiledBooks()

    def drive(
        feed: Iterable[TapeItem],
        engine: TradingEngine,
        venue: VenueProtocol,
        store: RecorderProtocol,
        done: Callable[[Message], None],
    ) -> None:
        if not isinstance(venue, PaperVenue):
            raise TypeError("the compiled loop needs the paper venue")
        run_compiled(pack(feed), engine, venue, store, done, compiled)

    return drive, (compiled.engine_book, compiled.venue_book)


def run_compiled(
    tape: Iterable[TapeItem],
    engine: TradingEngine,
    venue: PaperVenue,
    store: RecorderProtocol,
    done: Callable[[Message], None],
    compiled: CompiledBooks,
) -> None:
    """Drive the loop until the tape ends. The engine and the venue have the books of `compiled`.

    `done` is called for each message, after all of its effects; of rows, only for those at which the engine decided.
    """
    compiled.watch(engine.watches, is_timed=engine.exits.are_used)
    for item in tape:
        if isinstance(item, BookRows):
            _replay(item, engine, venue, store, done, compiled)
        else:
            _process(item, engine, venue, store, compiled)
            done(item)


def _replay(
    batch: BookRows,
    engine: TradingEngine,
    venue: PaperVenue,
    store: RecorderProtocol,
    done: Callable[[Message], None],
    compiled: CompiledBooks,
) -> None:
    at, state, is_timed = 0, engine.state, engine.exits.are_used
    while True:
        before = at
        at, why = compiled.advance(batch, at)
        if at > before:
            state.feed_ts = Ts(compiled.last_ts)
        if why == AFTER_ROW:
            ticker = compiled.judged_market
            changed = BookChanged(state.feed_ts, ticker)
            if effects := engine.step(changed):
                venue.observe(changed)  # its time; nothing is due, or the loop would have stopped before that row
                process_messages((), engine, venue, store, effects)
                compiled.wake_at(venue.wake, venue.now)
            compiled.force(engine.due_books)
            if is_timed:
                compiled.look_again(ticker, _look_again_at(engine, ticker))
            done(changed)
            continue
        compiled.show_venue(venue.markets)
        if why == END:
            return
        delta = batch.delta(at)
        at += 1
        _process(delta, engine, venue, store, compiled)
        if not delta.has_more:
            compiled.judged(delta.ticker)
            if is_timed:
                compiled.look_again(delta.ticker, _look_again_at(engine, delta.ticker))
        done(delta)


def _look_again_at(engine: TradingEngine, ticker: str) -> Ts:
    """Return the time from which the next end of a group must be judged: the memory of the best prices rolls on."""
    return engine.exits.look_again_at(ticker) if engine.hooks.may_ask() else Ts(0)


def _process(
    message: Message, engine: TradingEngine, venue: PaperVenue, store: RecorderProtocol, compiled: CompiledBooks
) -> None:
    """Process a message like `runner.run`, and tell the compiled books what may have changed."""
    replies = (*venue.observe(message),)
    if replies:
        process_messages((*replies, message), engine, venue, store)
    elif effects := engine.step(message):
        process_messages((), engine, venue, store, effects)
    if replies or isinstance(message, _TO_ORDERS):
        compiled.arm(venue.markets)
    compiled.wake_at(venue.wake, venue.now)
    compiled.force(engine.due_books)
