"""Books that were read together are not given out after a pause in which the others may have changed."""

from __future__ import annotations

from pathlib import Path

from support.simulation import OTHER, TICKER, Simulation

from kalshi_cli.core.model.messages import BookSnapshot, FeedGap, Tick
from kalshi_cli.exchange.live.live_feed import LiveFeed


def test_the_second_book_of_a_read_is_read_again_after_a_suspension(tmp_path: Path) -> None:
    sim = Simulation(tmp_path)
    try:
        for ticker in (TICKER, OTHER):
            sim.market(ticker=ticker)
        markets = list(sim.client.markets(tickers=[TICKER, OTHER]))
        messages = iter(LiveFeed(None, sim.client, sim.clock, markets=markets))
        first = next(message for message in messages if isinstance(message, BookSnapshot))
        sim.clock.advance(60)
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
        sim.close()
