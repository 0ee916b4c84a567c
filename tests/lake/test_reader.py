"""The replay of a lake is the replay of the recordings that it was made of."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.lake import ALL, add, content, lake_of, play_lake
from support.places import SHARED
from support.recordings import T0, TICKER, Tape, play

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Price, Qty, Ts, format_ts
from kalshi_cli.compiled.rows import from_columns
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.messages import (
    BookDelta,
    BookSnapshot,
    FairValue,
    FeedGap,
    MarketChange,
    Message,
    NewsSignal,
    SpotPrice,
    SpotUnavailable,
)
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.core.model.recorded import ChangeRows
from kalshi_cli.feeds.recorder import Recorder
from kalshi_cli.feeds.recording_format import decode_line
from kalshi_cli.lake.arrays import FIRST, LOST, SNAPSHOT, BookArrays, arrays
from kalshi_cli.lake.changes import NewRows
from kalshi_cli.lake.coverage import CoveredTimes, count_holes
from kalshi_cli.lake.lake import Lake
from kalshi_cli.lake.reader import Selection, recordings, streams

BOOK: dict[str, Any] = {"yes": {"0.4000": "5.00"}, "no": {"0.5600": "5.00"}}
OTHER = "KXB-26MAY01-T1"
NEWS_ABOUT = (TICKER, "KXZ-26MAY01-T1")
"""Markets that the exchange tells news of: one that is recorded, and one of a series that is not."""
CAPTURES = [
    path
    for name in ("kxbtc15m-20260511T0531Z", "kxbtc15m-20260513T1752Z-holed")
    if (path := SHARED / "data" / "ws" / f"{name}.jsonl.gz").exists()
]
"""The short one and the one with a hole; the test of the recordings themselves reads all of them."""
needs_recordings = pytest.mark.skipif(not CAPTURES, reason="no recordings beside the repository")

moves = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(
            ["delta", "delta", "delta", "quote", "other", "snapshot", "skip", "reconnect", "empty", "trade", "news"]
        ),
    ),
    max_size=40,
)


def tape_of(steps: Iterable[tuple[int, str]], start_ms: int = 0, skew_ms: int = 77) -> Tape:
    tape = Tape(skew_ms=skew_ms)
    tape.now = Ts(T0 + start_ms)
    tape.watch(close_in_s=90).snapshot(**BOOK).snapshot(**BOOK, ticker=OTHER)
    for number, (after_ms, kind) in enumerate(steps):
        match kind:
            case "quote":
                tape.quote(at=Ts(tape.now - after_ms))
            case "snapshot":
                tape.snapshot(yes={"0.3000": "2.00", "0.3100": "1.00"})
            case "empty":
                tape.snapshot(ticker=OTHER)
            case "skip":
                tape.skip(2)
            case "news":
                told = NEWS_ABOUT[number % len(NEWS_ABOUT)]
                tape.news("market_lifecycle_v2", event_type="determined", market_ticker=told, result="yes")
            case "reconnect":
                tape.reconnect().snapshot(**BOOK)
            case "trade":
                msg: dict[str, Any] = {
                    "trade_id": f"t{number}",
                    "market_ticker": TICKER,
                    "yes_price_dollars": "0.4100",
                    "count_fp": "2.00",
                }
                msg |= {"taker_book_side": "bid", "ts_ms": tape.now}
                tape._line(frame={"type": "trade", "sid": 3, "seq": number + 1, "msg": msg})
            case _:
                tape.delta(after_ms, price="0.4010", ticker=OTHER if kind == "other" else TICKER)
    return tape


@settings(max_examples=20)
@given(moves, st.integers(-300, 300), st.integers(-1, 20), st.integers(1, 40))
def test_the_lake_replays_what_the_file_replays(
    steps: list[tuple[int, str]], skew_ms: int, since_ms: int, for_ms: int
) -> None:
    """Rows begin and end where messages do."""
    with tempfile.TemporaryDirectory() as folder:
        path = tape_of(steps, skew_ms=skew_ms).write(Path(folder) / "a.jsonl")
        lake, played = lake_of(Path(folder), path), play(path)
        assert play_lake(lake) == played
        assert play_rows(lake) == played
        assert same_books(arrays(lake, ALL), played)
        for session in lake.sessions():
            since = min(session.from_us // 1000 + since_ms, session.to_us // 1000)
            chosen = Selection(since=Ts(since), until=Ts(since + for_ms))
            event(f"recordings: {len(recordings(lake, chosen))}")
            if recordings(lake, chosen):
                assert play_rows(lake, chosen) == play_lake(lake, chosen)


def test_news_of_markets_is_no_new_connection(tmp_path: Path) -> None:
    """Rows of the whole recording (its connection) are written after the news of a market."""
    path = tape_of([(1, "news"), (1, "delta"), (1, "other"), (1, "news")]).write(tmp_path / "a.jsonl")
    lake = lake_of(tmp_path, path)
    assert [session.series for session in lake.sessions()] == [("KXA", "KXB", "KXZ")]
    for chosen in (ALL, Selection(series=("KXA", "KXB"))):
        assert play_lake(lake, chosen) == play(path)
        assert not [each for each in play_lake(lake, chosen) if isinstance(each, FeedGap)]


@settings(max_examples=12)
@given(moves, moves, st.integers(-20, 90_000))
def test_two_recordings_of_different_markets_replay_in_the_order_of_time(
    first: list[tuple[int, str]], second: list[tuple[int, str]], after_ms: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        other = tape_of(second, start_ms=after_ms)
        other.lines = [line.replace(b"KXA-", b"KXC-").replace(b"KXB-", b"KXD-") for line in other.lines]
        files = [tape_of(first).write(Path(folder) / "a.jsonl"), other.write(Path(folder) / "b.jsonl.gz")]
        lake = lake_of(Path(folder), *files)
        played = play(*files)
        assert play_lake(lake) == played
        assert play_rows(lake) == played


def play_rows(lake: Lake, chosen: Selection = ALL) -> list[Message]:
    """The messages of a replay with rows, each row as a message."""
    found: list[Message] = []
    for each in play_lake(lake, chosen, from_columns):
        found += list(each) if isinstance(each, ChangeRows) else [each]
    return found


def same_books(columns: BookArrays, messages: list[Message]) -> bool:
    """Whether the columns lead to the same books as the messages."""
    return books_of_columns(columns) == books_of(messages)


def books_of(messages: Iterable[Message]) -> dict[str, object]:
    books: dict[str, OrderBook] = {}
    for message in messages:
        if isinstance(message, BookSnapshot):
            books.setdefault(message.ticker, OrderBook(message.ticker)).load(message.bids, message.asks, message.ts)
        elif isinstance(message, BookDelta):
            books[message.ticker].apply(message.side, message.price, message.delta, message.ts)
        elif isinstance(message, FeedGap):
            for ticker in message.tickers:
                books[ticker].invalidate(message.reason)
    return {name: (book.is_usable, book.levels(BID), book.levels(ASK)) for name, book in books.items()}


def books_of_columns(columns: BookArrays) -> dict[str, object]:
    books: dict[str, list[Any]] = {ticker: [False, {}, {}] for ticker in columns.markets}
    names = ("codes", "side", "price", "delta", "flags")
    for code, side, price, delta, flags in zip(*(getattr(columns, name).tolist() for name in names), strict=True):
        book = books[columns.markets[code]]
        if flags & (FIRST | LOST):
            book[:] = [bool(flags & FIRST), {}, {}]
        if book[0] and delta:
            levels = book[1 + side]
            levels[price] = levels.get(price, 0) + delta
            if not levels[price]:
                del levels[price]
    return {
        name: (usable, sorted(bids.items(), reverse=True), sorted(asks.items()))
        for name, (usable, bids, asks) in books.items()
    }


def test_the_columns_have_the_promised_types_and_a_time_that_never_goes_back(tmp_path: Path) -> None:
    tape = tape_of([(1, "delta"), (2, "other"), (0, "empty"), (1, "reconnect"), (3, "delta")])
    columns = arrays(lake_of(tmp_path, tape.write(tmp_path / "a.jsonl")), ALL)
    kinds = {name: str(getattr(columns, name).dtype) for name in columns.__struct_fields__ if name != "markets"}
    assert kinds == {
        "ts_us": "int64", "codes": "int32", "side": "int8", "price": "int32", "delta": "int64", "seq": "int64",
        "flags": "uint8",
    }  # fmt: skip
    assert (np.diff(columns.ts_us) >= 0).all()
    assert [int(flags) for flags in columns.flags if flags & SNAPSHOT] == [3, 1, 3, 1, 3, 3, 1]


def test_the_columns_of_two_recordings_are_one_after_the_other_each_with_its_own_time(tmp_path: Path) -> None:
    first, second = Tape(), Tape()
    first.watch().snapshot(**BOOK).delta(10).delta(-6)  # the exchange's time went back
    second.now = Ts(T0 + 7)
    second.watch(ticker=OTHER).snapshot(**BOOK, ticker=OTHER).delta(1, ticker=OTHER)
    lake = lake_of(tmp_path, first.write(tmp_path / "a.jsonl"), second.write(tmp_path / "b.jsonl"))
    columns = arrays(lake, ALL)
    assert ((columns.ts_us - T0 * 1000) / 1000).tolist() == [0, 0, 0, 10, 10, 10, 7, 7, 7, 8]
    assert columns.codes.tolist() == [0] * 6 + [1] * 4
    assert columns.flags.tolist() == [LOST, 3, 1, 0, 0, LOST, LOST, 3, 1, 0]
    earlier = arrays(lake, Selection(until=Ts(T0 + 8)))
    assert ((earlier.ts_us - T0 * 1000) / 1000).tolist() == [0, 0, 0, 0, 7, 7, 7]
    assert earlier.flags.tolist() == [LOST, 3, 1, LOST, LOST, 3, 1]


def test_a_market_with_fees_and_all_inputs_comes_back_as_recorded(tmp_path: Path) -> None:
    market = Market(
        ticker=TICKER, event_ticker="KXA", title="Will it, really?", status=MarketStatus.ACTIVE, grid=CENT_GRID,
        yes_bid=None, yes_bid_size=Qty(0), yes_ask=None, yes_ask_size=Qty(0), last=None, volume=Qty(0),
        volume_24h=Qty(0), open_interest=Qty(0), open_time=T0, close_time=Ts(T0 + 60_000), floor_strike=80_000.5,
    )  # fmt: skip
    clock, path = ManualClock(Ts(T0 + 123)), tmp_path / "a.jsonl"
    recorder = Recorder(path, clock)
    recorder.watch(market, FeeSchedule(multiplier=500), Family(event_ticker="KXA", series_ticker="KXA"))
    recorder.connected(use_yes_price=False)
    said = (
        SpotPrice(Ts(T0 - 7), "BTC", 800_000_000, "coinbase", 5), SpotUnavailable(Ts(T0 + 1), "BTC"),
        FairValue(Ts(T0 + 2), TICKER, Price(4_400), "model", Ts(T0 + 900)),
        NewsSignal(Ts(T0 + 3), "KX*", "n1", ASK, 7_000, "rain"),
    )  # fmt: skip
    for number, line in enumerate(tape_of([(5, "delta"), (5, "delta"), (5, "delta"), (5, "delta")]).lines[1:]):
        clock.set(decode_line(line).recv_ts)
        recorder.frame(bytes(decode_line(line).frame))
        if number < len(said):
            recorder.heard(said[number])
    recorder.close()
    lake = lake_of(tmp_path, path)
    assert play_lake(lake) == play(path)
    assert [message for message in play_lake(lake) if type(message) in map(type, said)] == list(said)
    (row,) = lake.rows("markets")
    assert (row["fee_type"], row["fee_multiplier"], row["strike"]) == ("quadratic", 500, 80_000.5)


def test_a_csv_of_prices_comes_between_the_messages_as_beside_the_file(tmp_path: Path) -> None:
    tape = tape_of([(1_000, "delta"), (1_000, "delta")]).write(tmp_path / "a.jsonl")
    spot = tmp_path / "btcusd.csv"
    rows = (f"{format_ts(Ts(T0 + at))},1,{80_000 + at}.5" for at in range(-500, 2_500, 300))
    spot.write_text("exchange_ts,recv_ns,price\n" + "\n".join(rows) + "\n")
    lake = lake_of(tmp_path, tape, spot)
    assert play_lake(lake) == play(tape, spot)
    before = content(lake)
    assert (add(lake, spot).rows, content(lake)) == (0, before)
    spot.write_text(spot.read_text() + f"{format_ts(Ts(T0 + 9_000))},1,80000\n")
    assert add(lake, spot).rows == 2  # the new price, for the index and the coin
    assert add(lake, spot).rows == 0


def test_only_the_selected_series_and_markets_are_replayed(tmp_path: Path) -> None:
    path = tape_of([(1, "delta"), (1, "other"), (0, "skip"), (1, "delta"), (0, "snapshot"), (4, "delta")])
    lake = lake_of(tmp_path, path.write(tmp_path / "a.jsonl"))
    for chosen in (Selection(series=("KXB",)), Selection(markets=(OTHER,))):
        messages = play_lake(lake, chosen)
        tickers = {getattr(message, "ticker", OTHER) for message in messages}
        assert tickers == {OTHER}
        assert [gap.tickers for gap in messages if isinstance(gap, FeedGap)] == [(OTHER,)]
        assert arrays(lake, chosen).markets == (OTHER,)


@pytest.mark.parametrize("at_ms", [2, 3, 4, 9, 30])
def test_a_replay_that_starts_later_starts_with_the_books_of_then(tmp_path: Path, at_ms: int) -> None:
    steps = [(1, "delta"), (1, "other"), (1, "snapshot"), (1, "delta"), (5, "delta"), (20, "delta"), (3, "other")]
    path = tape_of(steps).write(tmp_path / "a.jsonl")
    lake, since = lake_of(tmp_path, path), Ts(T0 + at_ms)
    chosen = Selection(since=since)
    messages = play_lake(lake, chosen)
    assert books_of(messages) == books_of(play(path))
    assert same_books(arrays(lake, chosen), messages)
    assert min(message.ts for message in messages) >= since
    late = [each for each in play(path) if isinstance(each, BookDelta) and each.ts >= since]
    assert [each for each in messages if isinstance(each, BookDelta)] == late
    early = play_lake(lake, Selection(until=since))
    assert [each for each in early if isinstance(each, BookDelta)] == [
        each for each in play(path) if isinstance(each, BookDelta) and each.ts < since
    ]


# -- imports ------------------------------------------------------------------------------------------------------


def test_the_same_recording_twice_adds_nothing(tmp_path: Path) -> None:
    path = tape_of([(1, "delta")] * 9).write(tmp_path / "a.jsonl")
    lake = lake_of(tmp_path, path)
    before = content(lake)
    packed = tape_of([(1, "delta")] * 9).write(tmp_path / "again.jsonl.gz")
    for again in (path, packed):
        found = add(lake, again)
        assert (found.rows, found.changes, found.session) == (0, 0, None)
        assert found.known > 0
        assert content(lake) == before


def test_a_recording_that_was_imported_cut_short_is_completed(tmp_path: Path) -> None:
    whole = tape_of([(1, "delta"), (1, "other"), (2, "quote")] * 9)
    cut = Tape()
    cut.lines = whole.lines[:17]
    lake = lake_of(tmp_path, cut.write(tmp_path / "cut.jsonl"))
    path = whole.write(tmp_path / "whole.jsonl")
    had = lake.coverage("book")
    found = add(lake, path)
    assert found.known > 0
    assert found.changes > 0
    assert books_of(play_lake(lake)) == books_of(play(path))
    deltas = [each for each in play_lake(lake) if isinstance(each, BookDelta)]
    assert len(deltas) >= len([each for each in play(path) if isinstance(each, BookDelta)]) - 1
    assert {each.market for each in lake.coverage("book")} == {each.market for each in had}
    assert add(lake, path).rows == 0


@pytest.mark.parametrize("name", ["a", "z"])
def test_a_whole_recording_after_its_beginning_leaves_no_gap(tmp_path: Path, name: str) -> None:
    """One market has more changes after the beginning, and one has none."""
    whole = Tape().watch().snapshot(**BOOK).snapshot(**BOOK, ticker=OTHER).delta(5, ticker=OTHER).delta(10)
    cut = Tape()
    cut.lines = whole.lines[:]
    for after_ms in (5, 200, 300):
        whole.delta(after_ms)
    text = cut.write(tmp_path / f"{name}.jsonl").read_bytes()
    (tmp_path / f"{name}.jsonl").write_bytes(text + b'{"recv_ns": 17')
    path = whole.write(tmp_path / "m.jsonl")
    lake = lake_of(tmp_path, tmp_path / f"{name}.jsonl")
    assert count_holes(lake.coverage("book")) == 2
    assert add(lake, path).changes == 3
    played = play_lake(lake)
    assert [each for each in played if isinstance(each, FeedGap)] == []
    assert books_of(played) == books_of(play(path))
    assert count_holes(lake.coverage("book")) == 0
    assert CoveredTimes(lake.coverage("book")).missing(OTHER, T0 * 1000 + 5_000, T0 * 1000 + 520_000) == []
    before = content(lake)
    assert (add(lake, path).rows, content(lake)) == (0, before)


def test_a_recording_whose_writer_was_killed_is_read_up_to_there(tmp_path: Path) -> None:
    path = tape_of([(1, "delta")] * 9).write(tmp_path / "a.jsonl")
    path.write_bytes(path.read_bytes()[:-40])
    assert play_lake(lake_of(tmp_path, path)) == play(path)


def test_a_recording_of_several_series_is_divided_among_them(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, tape_of([(1, "delta"), (1, "other")]).write(tmp_path / "a.jsonl"))
    names = {path.name for path in (lake.root / "table=book_changes").iterdir()}
    assert names == {"series=KXA", "series=KXB"}
    assert [session.series for session in lake.sessions()] == [("KXA", "KXB")]


def test_midnight_divides_the_files_and_not_the_replay(tmp_path: Path) -> None:
    to_midnight = 86_400_000 - T0 % 86_400_000
    path = tape_of([(1, "delta"), (3_000, "delta"), (1, "other")], start_ms=to_midnight - 1_500).write(
        tmp_path / "a.jsonl"
    )
    lake = lake_of(tmp_path, path)
    assert len({folder.name for folder in (lake.root / "table=book_changes" / "series=KXA").iterdir()}) == 2
    assert play_lake(lake) == play(path)


def refused(tmp_path: Path, tape: Tape | bytes) -> str:
    """What is said about a file that is not imported; the lake stays as it was."""
    lake = lake_of(tmp_path, tape_of([(1, "delta")], start_ms=-900_000).write(tmp_path / "before.jsonl"))
    before = content(lake)
    path = tmp_path / "bad.jsonl"
    path.write_bytes(tape) if isinstance(tape, bytes) else tape.write(path)
    with pytest.raises(UsageError) as caught:
        add(lake, path)
    assert content(lake) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_in_another_format_is_refused(tmp_path: Path) -> None:
    assert "bad.jsonl has no market data" in refused(
        tmp_path, b'{"ticker":"KXA-1","bid":3}\n{"ticker":"KXA-1","bid":4}\n'
    )


def test_a_broken_line_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    tape = tape_of([(1, "delta")] * 5)
    tape.lines.insert(4, b"{")
    assert "bad.jsonl:5: " in refused(tmp_path, tape)


def test_a_clock_that_jumps_is_refused(tmp_path: Path) -> None:
    ahead = tape_of([(1, "delta")])
    ahead.now = Ts(ahead.now + 9 * 86_400_000)
    ahead.delta()
    ahead.lines[-1] = ahead.lines[-1].replace(
        b'"recv_ns":%d' % ((ahead.now + 77) * 10**6), b'"recv_ns":%d' % (T0 * 10**6)
    )
    assert "a clock jumps: the exchange's" in refused(tmp_path, ahead)


def test_a_recorders_clock_that_goes_back_is_refused(tmp_path: Path) -> None:
    back = tape_of([(1, "delta")])
    back.now = Ts(back.now - 2 * 3_600_000)
    assert "a clock jumps: the recorder's clock goes back" in refused(tmp_path, back.delta())


def test_a_market_without_a_snapshot_is_named_and_has_no_changes(tmp_path: Path) -> None:
    tape = tape_of([(1, "delta")]).delta(ticker="KXC-1").delta(ticker="KXC-1")
    found = add(lake_of(tmp_path), tape.write(tmp_path / "a.jsonl"))
    assert found.unknown_books == ("KXC-1",)
    assert (found.changes, [each.market for each in found.covered]) == (1, [TICKER, OTHER])


def test_coverage_ends_at_a_gap_a_reconnect_and_the_end(tmp_path: Path) -> None:
    tape = tape_of(
        [(5, "delta"), (0, "skip"), (5, "delta"), (0, "snapshot"), (5, "delta"), (5, "reconnect"), (5, "delta")]
    )
    lake = lake_of(tmp_path, tape.write(tmp_path / "a.jsonl"))
    found = [
        (each.market, each.first // 1000 - T0, each.last // 1000 - T0, each.ended) for each in lake.coverage("book")
    ]
    assert found == [
        (TICKER, 5, 5, "gap"), (TICKER, 15, 15, "reconnected"), (TICKER, 20, 20, "end"), (OTHER, 5, 5, "gap"),
    ]  # fmt: skip


# -- the exchange itself ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return lake_of(tmp_path_factory.mktemp("captured"), *CAPTURES)


@needs_recordings
def test_the_lake_replays_captures_of_the_exchange_as_their_files(captured: Lake) -> None:
    assert play_lake(captured) == play(*CAPTURES)


@needs_recordings
def test_books_of_the_lake_agree_with_the_ticker_channel_in_every_comparable_message(captured: Lake) -> None:
    """To the microsecond, as for the recordings themselves."""
    compared = agreed = 0
    for session in captured.sessions():
        chosen = Selection(since=Ts(session.from_us // 1000), until=Ts(session.to_us // 1000 + 1))
        found = agreement(arrays(captured, chosen), captured.rows("tickers", session=session.session))
        compared, agreed = compared + found[0], agreed + found[1]
    assert (compared, agreed) == (370, 370)


def agreement(columns: BookArrays, tickers: list[dict[str, object]]) -> tuple[int, int]:
    """How many tickers can be compared with the book at their time, and how many agree."""
    runs: dict[str, list[tuple[list[int], list[tuple[object, ...]]]]] = {}
    books: dict[str, OrderBook] = {}
    names = ("ts_us", "codes", "side", "price", "delta", "flags")
    for ts_us, code, side, price, delta, flags in zip(
        *(getattr(columns, name).tolist() for name in names), strict=True
    ):
        ticker = columns.markets[code]
        book = books.setdefault(ticker, OrderBook(ticker))
        if flags & FIRST:
            book.load((), (), Ts(0))
        if flags & LOST:
            book.invalidate("lost")
            runs.setdefault(ticker, []).append(([], []))
        if delta:
            book.apply((BID, ASK)[side], Price(price), Qty(delta), Ts(0))
        if not flags and book.is_usable:
            times, found = runs.setdefault(ticker, [([], [])])[-1]
            times.append(ts_us)
            found.append((*(book.bid or (None, 0)), *(book.ask or (None, 0))))
    compared = agreed = 0
    for row in tickers:
        at = int(str(row["ts_us"]))
        for times, found in runs.get(str(row["market"]), []):
            if not times or not times[0] <= at <= times[-1]:
                continue
            state = found[int(np.searchsorted(times, at, "right")) - 1]
            if state[0] is not None and state[2] is not None:
                compared += 1
                agreed += state == (row["bid"], row["bid_count"], row["ask"], row["ask_count"])
    return compared, agreed


def test_that_comparison_notices_a_withheld_change(tmp_path: Path) -> None:
    tape = tape_of([(1, "delta"), (1, "delta"), (1, "delta")])
    lake = lake_of(tmp_path, tape.write(tmp_path / "a.jsonl"))
    columns = arrays(lake, ALL)
    row = {"market": TICKER, "ts_us": (T0 + 2) * 1000, "bid": 4010, "bid_count": 200, "ask": 4400, "ask_count": 500}
    assert agreement(columns, [row]) == (1, 1)
    assert agreement(columns, [row | {"bid_count": 100}]) == (1, 0)


def test_market_notes_alone_are_no_data(tmp_path: Path) -> None:
    assert "no market data" in refused(tmp_path, Tape().watch())


def test_a_market_change_is_kept_with_every_series(tmp_path: Path) -> None:
    lake = lake_of(tmp_path, tape_of([(1, "delta")]).write(tmp_path / "a.jsonl"))
    changes = [message for message in play_lake(lake) if isinstance(message, MarketChange)]
    assert {message.market.ticker for message in changes} == {TICKER, OTHER}


@pytest.mark.parametrize("new_rows", [None, from_columns])
def test_the_reader_tells_how_much_of_the_recorded_time_has_passed(tmp_path: Path, new_rows: NewRows | None) -> None:
    tape, files = Tape().watch(), []
    for name in ("a", "b"):
        tape.reconnect().snapshot(**BOOK)
        for _ in range(100):
            tape.delta(1_000)
        files.append(tape.write(tmp_path / f"{name}.jsonl"))
        tape.lines.clear()
        tape.now = Ts(tape.now + 3_600_000)
    lake = lake_of(tmp_path, *files)
    chosen = Selection(since=Ts(T0 + 60_000))
    passed: list[int] = []
    for lane in streams(lake, chosen, new_rows, passed.append):
        for session in lane:
            passed.append(0)
            assert sum(1 for _ in session)
    assert sum(passed) == 40_000 + 100_000, "a part of the first one, the second one whole, and not the time between"
    assert sum(passed[: passed.index(0, 1)]) == 40_000
    assert new_rows or len(passed) > 100, "rows of changes come together"
