"""What a loop writes down of its feed, for `status`."""

from __future__ import annotations

from collections.abc import Iterator

from trade_run import Run
from virtual import TICKER, Virtual

from kalshi_cli.core.messages import FeedGap, Message, Tick


def test_a_cycle_says_which_open_market_has_no_book_and_why_and_that_it_has_one_again(virtual: Virtual) -> None:
    run = Run(virtual)
    said: list[str] = []

    def feed() -> Iterator[Message]:
        yield from run.ticks(1)
        for message in (FeedGap(virtual.clock.now(), (TICKER,), "error 11"), virtual.client.orderbook(TICKER)):
            yield message
            yield Tick(virtual.clock.now())
            cycle = virtual.store.last_cycle()
            assert cycle is not None
            said.append(cycle.no_book)

    run.over(feed())
    assert said == [f"{TICKER}: error 11", ""]
