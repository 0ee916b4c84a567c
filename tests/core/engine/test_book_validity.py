"""Impossible books are not believed, nor those that a second view contradicts; orders left in the dark are pulled."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from support.values import HOUR, NOW, make_balance, make_book, make_engine, make_market, make_order, make_state

from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.engine.book_validity import (
    ACCOUNT_AGE_MS,
    CROSSED_MS,
    FIRST_PAUSE_MS,
    FORGET_MS,
    MAX_LEVELS,
    MAX_PAUSE_MS,
    can_trade,
    markets_without_book,
)
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.strategy_runner import Watches
from kalshi_cli.core.model.effects import AlertRaised, CancelOrder, Effect, ResyncBook
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import (
    AccountSnapshot,
    AccountStale,
    AccountVisibility,
    BookDelta,
    BookSnapshot,
    BookVerification,
    FeedGap,
    FeedState,
    MarketChange,
    PublicTrade,
    Quote,
    Tick,
)
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.positions import Balance
from kalshi_cli.core.state.limits import RiskLimits


class Watcher:
    """Rests one bid at once, and counts how often it was asked about a book."""

    name = "watcher"
    is_hedged = False
    watches: Watches = "depth"

    def __init__(self) -> None:
        self.asked = 0

    def on_book(self, _view: Any, _ticker: str) -> Iterable[Place]:
        self.asked += 1
        if self.asked == 1:
            yield Place("KXA-1", BID, cents(40), contracts(1))

    def on_trade(self, *_: Any) -> None:
        return None

    def on_fill(self, *_: Any) -> None:
        return None

    def on_tick(self, *_: Any) -> None:
        return None


def delta(side: Side, price: int, change: int, ts: int) -> BookDelta:
    return BookDelta(Ts(ts), "KXA-1", side, cents(price), contracts(change))


def check(bid: int, ask: int, *, size: int = 100, ts: int = NOW, ticker: str = "KXA-1") -> BookVerification:
    return BookVerification(Ts(ts), ticker, ((cents(bid), contracts(size)),), ((cents(ask), contracts(size)),))


def tick(engine: TradingEngine, after_ms: int) -> list[Effect]:
    return engine.step(Tick(Ts(NOW + after_ms)))


def resyncs(effects: Iterable[Effect]) -> int:
    return sum(1 for effect in effects if isinstance(effect, ResyncBook))


def alerts(effects: Iterable[Effect]) -> list[tuple[str, str]]:
    return [(effect.code, effect.text) for effect in effects if isinstance(effect, AlertRaised)]


@pytest.fixture
def engine() -> TradingEngine:
    made = make_engine()
    made.step(FeedState(NOW, is_live=True))
    made.step(make_book())
    return made


def is_usable(engine: TradingEngine) -> bool:
    return engine.state.books["KXA-1"].is_usable


# -- impossible books ---------------------------------------------------------------------------------------------


def test_an_impossible_book_is_told_once_with_both_views_of_it(engine: TradingEngine) -> None:
    engine.step(Quote(NOW, "KXA-1", cents(41), Qty(1), cents(43), Qty(1), None, Qty(0)))
    engine.step(Quote(NOW, "KXUNKNOWN", None, Qty(0), None, Qty(0), None, Qty(0)))
    effects = engine.step(delta(BID, 40, -101, NOW + 1))
    assert not is_usable(engine)
    assert resyncs(effects) == 1
    ((code, text),) = alerts(effects)
    assert code == "BOOK_IMPOSSIBLE"
    assert "impossible change: -101" in text
    assert "$0.41 and $0.43" in text


def test_a_book_that_is_crossed_and_changes_no_more_is_thrown_away_by_the_clock(engine: TradingEngine) -> None:
    engine.step(delta(BID, 45, 1, NOW + 1))
    assert tick(engine, CROSSED_MS) == []
    effects = tick(engine, CROSSED_MS + 2)
    assert (resyncs(effects), is_usable(engine)) == (1, False)
    assert "the local order book is crossed" in alerts(effects)[0][1]


def test_a_crossing_that_a_gap_ended_is_forgotten(engine: TradingEngine) -> None:
    engine.step(delta(BID, 45, 1, NOW + 1))
    engine.step(FeedGap(NOW, (), "cut"))
    assert tick(engine, CROSSED_MS + 2) == []


def test_an_exchange_that_goes_on_sending_impossible_books_is_asked_at_growing_intervals_and_told_of_once(
    engine: TradingEngine,
) -> None:
    wrong = BookSnapshot(Ts(NOW + 1), "KXA-1", ((cents(40), Qty(0)),), ())
    effects = engine.step(wrong)
    asked_at = [0]
    for second in range(1, 200):
        found = tick(engine, second * 1_000)
        effects += found
        if resyncs(found):
            asked_at.append(second)
            assert engine.step(wrong) == [], "no question follows from the answer itself"
    assert asked_at == [0, 2, 4, 8, 16, 32, 64, 124, 184]
    assert len(alerts(effects)) == 1
    engine.step(make_book())
    tick(engine, 200_000 + 2 * MAX_PAUSE_MS)
    assert alerts(engine.step(delta(BID, 40, -101, NOW + 400_000))), "after a good while it is news again"


def test_a_book_that_breaks_again_soon_is_asked_for_at_the_next_tick_without_another_alert(
    engine: TradingEngine,
) -> None:
    engine.step(delta(BID, 40, -101, NOW + 1))
    engine.step(make_book())
    tick(engine, 2 * FIRST_PAUSE_MS)
    assert engine.step(delta(BID, 40, -101, NOW + 2_001)) == []
    assert [type(effect) for effect in tick(engine, 3_000)] == [ResyncBook]


# -- a second view --------------------------------------------------------------------------------------------------


def test_a_book_that_two_reads_contradict_while_it_stands_still_is_distrusted_with_both_views(
    engine: TradingEngine,
) -> None:
    assert engine.step(check(39, 44)) == []
    assert is_usable(engine), "one difference can be a change on its way"
    effects = engine.step(check(38, 44, ts=NOW + 15_000))
    assert (resyncs(effects), is_usable(engine)) == (1, False)
    ((code, text),) = alerts(effects)
    assert code == "BOOK_DISPUTED"
    assert "bid 100 at $0.4 on the stream" in text.replace("$0.40", "$0.4")
    assert "$0.38 by REST" in text
    assert "ask" not in text, "that side agrees"
    assert engine.step(check(38, 44, ts=NOW + 30_000)) == [], "there is nothing left to compare"


def test_reads_that_agree_or_a_book_that_moves_are_no_contradiction(engine: TradingEngine) -> None:
    assert engine.step(check(39, 44)) == []
    assert engine.step(check(40, 44)) == [], "it was late"
    assert engine.step(check(39, 44)) == []
    engine.step(delta(BID, 40, 5, NOW + 1))
    assert engine.step(check(38, 44)) == [], "it moves: it may be newer"
    assert engine.step(check(38, 44, ticker="KXUNKNOWN")) == []
    assert is_usable(engine)


def test_an_empty_side_that_the_exchange_does_not_see_is_a_contradiction_too(engine: TradingEngine) -> None:
    empty = BookVerification(NOW, "KXA-1", ((cents(40), contracts(100)),), ())
    engine.step(empty)
    assert "nothing by REST" in alerts(engine.step(empty))[0][1]


def deep(*counts: int, best: int = 40) -> tuple[tuple[Any, Qty], ...]:
    """Bids at each cent below the best; where the count is zero there is none."""
    return tuple((cents(best - at), contracts(count)) for at, count in enumerate(counts) if count)


def read(*counts: int, ts: int = NOW) -> BookVerification:
    return BookVerification(Ts(ts), "KXA-1", deep(*counts), ((cents(44), contracts(100)),))


@pytest.fixture
def deeper(engine: TradingEngine) -> TradingEngine:
    engine.step(BookSnapshot(NOW, "KXA-1", deep(100, 50, 20), ((cents(44), contracts(100)),)))
    return engine


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (read(100, 30, 20), "bid 50 at $0.39 on the stream, 30 at $0.39 by REST"),
        (read(100, 0, 20), "bid 50 at $0.39 on the stream, nothing by REST"),
        (read(100, 50, 7, 3), "bid 20 at $0.38 on the stream, 7 at $0.38 by REST"),
    ],
)
def test_a_book_that_is_wrong_below_its_best_price_is_found(
    deeper: TradingEngine, theirs: BookVerification, said: str
) -> None:
    assert deeper.step(theirs) == []
    ((code, text),) = alerts(deeper.step(theirs))
    assert (code, text, is_usable(deeper)) == ("BOOK_DISPUTED", said, False)


def test_a_level_that_nobody_told_us_of_is_found(engine: TradingEngine) -> None:
    engine.step(BookSnapshot(NOW, "KXA-1", deep(100, 0, 20), ((cents(44), contracts(100)),)))
    engine.step(read(100, 50, 20))
    assert "bid nothing on the stream, 50 at $0.39 by REST" in alerts(engine.step(read(100, 50, 20)))[0][1]


def test_a_level_that_came_and_went_between_two_reads_is_no_contradiction(deeper: TradingEngine) -> None:
    """Both reads met it gone, and both times we had it: its news were on their way."""
    deeper.step(read(100, 0, 20))
    for change in (-50, 50):
        deeper.step(delta(BID, 39, change, NOW + 1))
    assert deeper.step(read(100, 0, 20)) == []
    assert is_usable(deeper)
    deeper.step(delta(BID, 40, 1, NOW + 2))
    assert deeper.step(read(101, 0, 20)), "another level that moves is no excuse"


def test_what_only_the_deeper_of_both_views_shows_is_no_contradiction(deeper: TradingEngine) -> None:
    for theirs in (read(100), read(100, 50), read(100, 50, 20, 10)):
        assert deeper.step(theirs) == []
        assert deeper.step(theirs) == []


def test_no_more_than_the_best_hundred_levels_are_compared(engine: TradingEngine) -> None:
    def book(odd: int) -> tuple[tuple[Any, Qty], ...]:
        return tuple((Price(4_000 - at), Qty(100 + (at == odd))) for at in range(MAX_LEVELS + 50))

    asks = ((cents(44), contracts(100)),)
    engine.step(BookSnapshot(NOW, "KXA-1", book(-1), asks))
    for odd, is_disputed in ((MAX_LEVELS, False), (MAX_LEVELS - 1, True)):
        engine.step(BookVerification(NOW, "KXA-1", book(odd), asks))
        assert bool(engine.step(BookVerification(NOW, "KXA-1", book(odd), asks))) is is_disputed


def test_a_book_that_was_disputed_is_believed_again_with_its_snapshot(engine: TradingEngine) -> None:
    engine.step(check(38, 44))
    engine.step(check(38, 44))
    engine.step(make_book(bid=38))
    assert is_usable(engine)
    assert engine.step(check(38, 44)) == []
    assert tick(engine, FORGET_MS * 3) == []


# -- orders in the dark -----------------------------------------------------------------------------------------------


@pytest.fixture
def resting() -> TradingEngine:
    """One order of a strategy rests, one of a person; the feed is live."""
    watcher = Watcher()
    engine = make_engine(watcher)
    engine.step(FeedState(NOW, is_live=True))
    (submit,) = engine.step(make_book())
    engine.step(order_rests(submit))
    engine.state.orders.add(make_order("person", order_id="o2"))
    return engine


def order_rests(submit: Any) -> Any:
    from kalshi_cli.core.model.messages import OrderAccepted

    return OrderAccepted(NOW, submit.order.client_order_id, "o1", Qty(0), contracts(1))


def canceled(effects: Iterable[Effect]) -> list[tuple[str, str]]:
    return [(effect.order.order_id, effect.reason) for effect in effects if isinstance(effect, CancelOrder)]


def test_quotes_are_pulled_once_nobody_has_seen_their_book_for_as_long_as_a_book_may_be_old(
    resting: TradingEngine,
) -> None:
    resting.step(FeedGap(Ts(NOW + 1_000), (), "cut"))
    assert canceled(tick(resting, 1_000)) == []
    assert canceled(tick(resting, 11_000)) == []
    assert canceled(tick(resting, 11_001)) == [("o1", "no reliable order book")]


def test_quotes_are_pulled_when_the_book_is_old_although_nobody_called_it_unusable(resting: TradingEngine) -> None:
    assert canceled(tick(resting, 10_000)) == []
    assert canceled(tick(resting, 10_001)) == [("o1", "no reliable order book")]


def test_a_book_that_dates_from_a_clock_that_was_set_back_is_no_fresh_one(resting: TradingEngine) -> None:
    """Nobody knows how old it is, until the exchange says something again: of any market, while the stream lives."""
    resting.step(FeedState(NOW, is_live=True))
    assert canceled(tick(resting, -HOUR)) == [("o1", "no reliable order book")]
    resting.step(make_book(ticker="KXB-1", ts=NOW - HOUR))
    assert resting.state.book_age_ms("KXA-1") == 0


def test_a_gap_pulls_quotes_as_soon_after_the_clock_was_set_back(resting: TradingEngine) -> None:
    resting.step(FeedGap(NOW, ("KXA-1",), "seq"))
    tick(resting, 0)
    tick(resting, -HOUR)
    assert canceled(tick(resting, 10_001 - HOUR)) == [("o1", "no reliable order book")]


def test_a_book_that_is_wrong_is_asked_for_as_soon_after_the_clock_was_set_back(engine: TradingEngine) -> None:
    engine.step(delta(BID, 40, -101, NOW))
    assert [type(effect) for effect in tick(engine, -HOUR)] == [ResyncBook]
    assert tick(engine, 1 - HOUR) == []


def test_neither_trades_nor_quotes_make_a_book_fresh(resting: TradingEngine) -> None:
    """Where only the books of a stream froze, everything else still flows."""
    late = Ts(NOW + 9_000)
    resting.step(PublicTrade(late, "KXA-1", "t1", cents(41), contracts(1), BID))
    resting.step(Quote(late, "KXA-1", cents(40), Qty(1), cents(44), Qty(1), None, Qty(0)))
    tick(resting, 10_000)
    assert resting.state.book_age_ms("KXA-1") == 10_000
    resting.step(make_book(ts=NOW + 10_000, ticker="KXOTHER"))
    assert resting.state.book_age_ms("KXA-1") == 0, "a quiet book is as fresh as the newest word about any"


def test_a_book_that_comes_back_in_time_keeps_the_quotes(resting: TradingEngine) -> None:
    resting.step(FeedGap(Ts(NOW + 1_000), (), "cut"))
    tick(resting, 1_000)
    resting.step(make_book(ts=NOW + 9_000))
    assert canceled(tick(resting, 12_000)) == []


def test_without_a_limit_for_the_age_of_books_nothing_is_pulled() -> None:
    engine = make_engine(Watcher(), limits=RiskLimits(min_edge=None, max_book_age_ms=None))
    (submit,) = engine.step(make_book())
    engine.step(order_rests(submit))
    assert canceled(tick(engine, 60_000)) == []


def test_no_quote_rests_inside_the_margin_before_the_close_also_when_the_close_moved(resting: TradingEngine) -> None:
    resting.step(make_book(ts=NOW + 2_000))
    resting.step(MarketChange(NOW, make_market(close_time=Ts(NOW + 8_000))))
    assert canceled(tick(resting, 2_999)) == []
    assert canceled(tick(resting, 3_000)) == [("o1", "the market is closing")]


def test_an_order_of_a_market_that_nobody_described_is_judged_by_its_book_alone() -> None:
    engine = make_engine(Watcher())
    engine.state.orders.add(make_order("c9", ticker="KXZ", order_id="o9", strategy="watcher"))
    assert canceled(tick(engine, 0)) == []
    assert canceled(tick(engine, HOUR // 2)) == [("o9", "no reliable order book")]


# -- after a reconnect ------------------------------------------------------------------------------------------------


def test_nobody_is_asked_before_the_account_was_read_again() -> None:
    watcher = Watcher()
    engine = make_engine(watcher)
    engine.step(AccountStale(NOW, "no answer"))
    engine.step(FeedState(NOW, is_live=True))
    assert engine.step(make_book()) == []
    assert watcher.asked == 0
    read = AccountSnapshot(
        NOW, as_of=NOW, since=Ts(0), orders=(), fills=(), settlements=(), positions=(), balance=make_balance()
    )
    engine.step(read)
    engine.step(delta(ASK, 44, 1, NOW + 1))
    assert watcher.asked == 1


# -- what `status` says -----------------------------------------------------------------------------------------------


def test_open_markets_without_a_book_are_named_with_the_reason_and_others_are_not() -> None:
    markets = [make_market(f"KXA-{n}") for n in range(8)]
    engine = make_engine(state=make_state(*markets))
    for market in markets[:2]:
        engine.step(make_book(ticker=market.ticker))
    engine.step(MarketChange(NOW, make_market("KXA-7", status=MarketStatus.CLOSED)))
    assert markets_without_book(engine.state) == "; ".join(f"KXA-{n}: no snapshot yet" for n in range(2, 7))
    engine.step(FeedGap(NOW, ("KXA-1",), "error 11 of the stream: unknown market"))
    said = markets_without_book(engine.state)
    assert said.startswith("KXA-1: error 11 of the stream: unknown market; KXA-2: no snapshot yet; ")
    assert said.endswith("; and 1 more")
    for market in markets:
        engine.step(make_book(ticker=market.ticker))
    assert markets_without_book(engine.state) == ""


def test_in_sight_is_an_account_that_is_read_and_of_open_markets_one_book_that_can_be_believed() -> None:
    engine = make_engine(state=make_state(*(make_market(f"KXA-{n}") for n in range(2))))
    assert not can_trade(engine.state, NOW, 10_000)
    engine.step(make_book(ticker="KXA-1"))
    assert not can_trade(engine.state, NOW, 10_000), "nobody has read the account"
    engine.step(account_read())
    assert can_trade(engine.state, NOW, 10_000)
    engine.step(FeedGap(NOW, ("KXA-1",), "a gap"))
    assert not can_trade(engine.state, NOW, 10_000)
    engine.step(MarketChange(NOW, make_market("KXA-0", status=MarketStatus.CLOSED)))
    engine.step(MarketChange(NOW, make_market("KXA-1", status=MarketStatus.CLOSED)))
    assert can_trade(engine.state, NOW, 10_000)  # no open market is left to be seen
    engine.step(AccountVisibility(NOW, blind_since=NOW))
    assert not can_trade(engine.state, NOW, 10_000)


def account_read() -> AccountSnapshot:
    return AccountSnapshot(
        NOW, as_of=NOW, since=NOW, orders=(), fills=(), settlements=(), positions=(),
        balance=Balance(cash=Money(0), portfolio_value=Money(0), ts=NOW),
    )  # fmt: skip


def test_an_account_or_books_that_are_too_old_are_out_of_sight() -> None:
    engine = make_engine(state=make_state(make_market("KXA-1")))
    engine.step(make_book(ticker="KXA-1"))
    engine.step(account_read())
    later = Ts(NOW + ACCOUNT_AGE_MS)
    assert can_trade(engine.state, later, None)
    assert not can_trade(engine.state, Ts(later + 1), None), "no read of the account has come since"
    assert not can_trade(engine.state, Ts(NOW - ACCOUNT_AGE_MS - 1), None), "the clock was set back"
    engine.step(Tick(Ts(NOW + 5_000)))
    assert can_trade(engine.state, later, 5_000)
    assert not can_trade(engine.state, later, 4_999), "no book is new enough"
