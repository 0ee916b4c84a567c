"""A recording in a file that is cut to a period, in contrast to the whole recording."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.recordings import T0, TICKER, Tape, play

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Price, Ts, format_ts
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import (
    BookDelta,
    BookSnapshot,
    FairValue,
    FeedGap,
    FeedState,
    MarketChange,
    Message,
    PublicTrade,
    Quote,
    RecordingEnded,
)
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.feeds.period import TapePeriod
from kalshi_cli.feeds.recorded_results import MarketResult

BOOK = {"0.4000": "5.00"}
OTHER = "KXB-26MAY01-T1"

moves = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["delta", "other", "quote", "snapshot", "skip", "reconnect"])),
    max_size=40,
)


def tape_of(steps: Iterable[tuple[int, str]], skew_ms: int = 77) -> Tape:
    tape = Tape(skew_ms=skew_ms).watch(close_in_s=90).snapshot(yes=BOOK).snapshot(yes=BOOK, ticker=OTHER)
    for after_ms, kind in steps:
        match kind:
            case "quote":
                tape.quote()
            case "snapshot":
                tape.snapshot(yes={"0.3000": "2.00", "0.3100": "1.00"})
            case "skip":
                tape.skip(2)
            case "reconnect":
                tape.reconnect().snapshot(yes=BOOK)
            case _:
                tape.delta(after_ms, ticker=OTHER if kind == "other" else TICKER)
    return tape


def books_at(messages: Iterable[Message], before: int) -> dict[str, tuple[object, ...]]:
    """The usable books before a time."""
    books: dict[str, OrderBook] = {}
    for each in messages:
        if each.ts >= before:
            break
        if isinstance(each, BookSnapshot):
            books.setdefault(each.ticker, OrderBook(each.ticker)).load(each.bids, each.asks, each.ts)
        elif isinstance(each, BookDelta):
            books[each.ticker].apply(each.side, each.price, each.delta, each.ts)
        elif isinstance(each, FeedGap):
            for ticker in each.tickers:
                if ticker in books:
                    books[ticker].invalidate(each.reason)
    return {name: (*book.levels(BID), *book.levels(ASK)) for name, book in books.items() if book.is_usable}


@settings(max_examples=60)
@given(moves, st.integers(-300, 300), st.integers(0, 60), st.integers(1, 60))
def test_a_period_has_its_messages_and_the_books_at_its_start(
    steps: list[tuple[int, str]], skew_ms: int, since_ms: int, for_ms: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = tape_of(steps, skew_ms).write(Path(folder) / "a.jsonl")
        whole, since = play(path, interval_s=1000), Ts(T0 + since_ms)
        until = Ts(since + for_ms)
        cut = play(path, interval_s=1000, period=(period := TapePeriod(since, until)))
    ends = [type(messages.pop()) for messages in (whole, cut) if messages]
    assert ends == [RecordingEnded] * (1 + period.has_messages)
    inside = [each for each in whole if since <= each.ts < until]
    assert [each for each in cut if isinstance(each, BookDelta | Quote)] == [
        each for each in inside if isinstance(each, BookDelta | Quote)
    ]
    assert period.has_messages == bool(cut) == bool(inside)
    assert all(since <= each.ts < until for each in cut)
    if not cut:
        return
    assert books_at(cut, until) == books_at(whole, until)
    short = len(cut) - len(inside)
    state = [each for each in cut[:short] if isinstance(each, BookSnapshot)]
    assert {each.ticker: (*each.bids, *each.asks) for each in state} == books_at(whole, since)


def swinging(folder: Path) -> Path:
    """A recording of a delta and a ticker each second; the third delta is lost."""
    tape = Tape().watch(close_in_s=4).snapshot(yes=BOOK, no={"0.5600": "5.00"})
    for second in range(1, 8):
        tape.skip(second == 3).delta(1_000).quote()
    return tape.write(folder / "tape.jsonl")


def test_what_is_over_at_the_start_is_not_told_again(tmp_path: Path) -> None:
    """Neither the gap nor the earlier prices; a market that closed is closed, and time begins with the period."""
    clock = ManualClock(Ts(0))
    since = Ts(T0 + 5_000)
    beside = tmp_path / "fairs.csv"
    text = "time,ticker,probability\n"
    beside.write_text(text + "".join(f"{format_ts(Ts(T0 + ms))},{TICKER},0.5\n" for ms in (1_000, 5_500, 6_500)))
    cut = play(swinging(tmp_path), beside, period=TapePeriod(since, Ts(T0 + 6_500)), clock=clock)
    kinds = [type(each) for each in cut]
    assert FeedState in kinds[:2]
    assert FeedGap not in kinds
    assert BookSnapshot not in kinds, "the book is unusable since the gap"
    assert [each.ts - T0 for each in cut if isinstance(each, FairValue)] == [5_500]
    statuses = [each.market.status for each in cut if isinstance(each, MarketChange)]
    assert statuses == [MarketStatus.CLOSED]
    assert clock.now() == T0 + 6_000
    assert not [each for each in cut if isinstance(each, PublicTrade)]


@pytest.mark.parametrize("until_s", [3, None])
def test_a_market_with_a_known_result_is_paid_after_the_period(tmp_path: Path, until_s: int | None) -> None:
    results = {
        TICKER: MarketResult(result="yes", value=Price(10_000)),
        "KXZ-1": MarketResult(result="no", value=Price(0)),
    }
    until = None if until_s is None else Ts(T0 + until_s * 1000)
    cut = play(swinging(tmp_path), results=results, period=TapePeriod(Ts(T0 + 1_000), until))
    paid = [each.market for each in cut if isinstance(each, MarketChange) and each.market.result]
    assert [each.ticker for each in paid] == [TICKER]


def test_a_period_without_messages_says_where_the_recording_is(tmp_path: Path) -> None:
    path = swinging(tmp_path)
    found = []
    for since_s, until_s in ((-9, -3), (100, 200), (2.2, 2.8)):
        period = TapePeriod(Ts(T0 + int(since_s * 1000)), Ts(T0 + int(until_s * 1000)))
        assert not play(path, period=period)
        found.append(period.missing())
    begin, end, two, three = (format_ts(Ts(T0 + ms)) for ms in (0, 7_000, 2_000, 3_000))
    assert found[0] == f"it begins {begin}"
    assert found[1] == f"it covers {begin} to {end}"
    assert found[2] == f"nothing came between {two} and {three}"
    assert str(TapePeriod(Ts(T0), None)) == f"from {begin}"
    assert str(TapePeriod(None, Ts(T0))) == f"to before {begin}"
