"""A watch ends when trading has ended in every market, and not because a close was announced that then moved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
import pytest
from support.long_listing import market_body

from kalshi_cli.app.watching import OVER_S, WatchSession
from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.messages import MarketChange, Message, Quote, StateCommand, Tick
from kalshi_cli.exchange.wire.markets import read_market
from kalshi_cli.services.markets.watch_board import WatchBoard

NOW = Ts(1_780_000_000_000)
ONE: Market = read_market(msgspec.json.encode({"market": market_body(1)}))
TWO: Market = read_market(msgspec.json.encode({"market": market_body(2)}))


def over(market: Market, status: MarketStatus = MarketStatus.CLOSED) -> Market:
    return msgspec.structs.replace(market, status=status)


def watch(
    markets: Iterable[Market], changes: dict[int, Market], duration_s: float | None = None
) -> tuple[WatchSession, list[Quote], int]:
    """The session, its quotes and the seconds that it lasted: a tick a second, and a signal after a minute."""
    clock = ManualClock(NOW)

    def feed() -> Iterator[Message]:
        for second in range(60):
            if second in changes:
                yield MarketChange(clock.now(), changes[second])
            yield Tick(clock.now())
            clock.advance(1)
        yield StateCommand(clock.now(), None, "SIGINT")

    session = WatchSession(WatchBoard(markets, NOW, is_streamed=True), feed(), clock, duration_s)
    quotes = [told for told in session if isinstance(told, Quote)]
    return session, quotes, int(clock.monotonic())


@pytest.mark.parametrize("status", [MarketStatus.CLOSED, MarketStatus.FINALIZED])
def test_a_watch_of_markets_that_are_over_says_so_and_ends(status: MarketStatus) -> None:
    session, quotes, seconds = watch([over(ONE, status), over(TWO, status)], {})
    assert (session.is_over, seconds) == (True, 0)
    assert [quote.ticker for quote in quotes] == [ONE.ticker, TWO.ticker]


def test_a_watch_ends_some_seconds_after_its_last_market_closed() -> None:
    session, quotes, seconds = watch([ONE, TWO], {3: over(ONE), 20: over(TWO)})
    assert (session.is_over, session.stopped_by, seconds) == (True, "", 20 + OVER_S)
    assert [quote.ticker for quote in quotes] == [ONE.ticker, TWO.ticker]


def test_a_watch_goes_on_where_the_close_had_moved() -> None:
    session, quotes, seconds = watch([ONE], {3: over(ONE), 8: ONE})
    assert (session.is_over, session.stopped_by, seconds) == (False, "SIGINT", 60)
    assert len(quotes) == 2


def test_a_watch_of_an_open_market_ends_with_its_duration() -> None:
    session, _, seconds = watch([over(ONE), TWO], {}, duration_s=15)
    assert (session.is_over, session.stopped_by, seconds) == (False, "", 15)
