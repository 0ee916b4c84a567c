"""Books that were read together are not given out after a pause in which the others may have changed."""

from __future__ import annotations

from pathlib import Path

from virtual import OTHER, TICKER, Virtual

from kalshi_cli.core.model.messages import BookSnapshot, FeedGap, Tick
from kalshi_cli.exchange.live.live_feed import LiveFeed


def test_the_second_book_of_a_read_is_read_again_after_a_suspension(tmp_path: Path) -> None:
    virtual = Virtual(tmp_path)
    try:
        for ticker in (TICKER, OTHER):
            virtual.market(ticker=ticker)
        markets = list(virtual.client.markets(tickers=[TICKER, OTHER]))
        messages = iter(LiveFeed(None, virtual.client, virtual.clock, markets=markets))
        first = next(message for message in messages if isinstance(message, BookSnapshot))
        virtual.clock.advance(60)
        following = [type(next(messages)) for _ in range(2)]
        assert following == [Tick, FeedGap], "what was read before the pause is gone"
        again = {}
        for message in messages:
            if isinstance(message, BookSnapshot):
                again[message.ticker] = message.ts
            if isinstance(message, Tick):
                break
        assert again.keys() == {TICKER, OTHER}
        assert min(again.values()) > first.ts
    finally:
        virtual.close()
