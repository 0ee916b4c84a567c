"""A recording gives the messages that the stream gave, in recorded time."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.places import SHARED
from support.recordings import T0, TICKER, Tape, new_decoder, play

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, cents, parse_price
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.messages import (
    BookDelta,
    BookSnapshot,
    FeedGap,
    FeedState,
    MarketChange,
    Message,
    Quote,
    RecordingEnded,
    ReferencePrice,
    SpotPrice,
    Tick,
)
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.feeds import recording_format
from kalshi_cli.feeds.recorded_results import MarketResult, merge_results, read_results
from kalshi_cli.feeds.replay import ENDED, LONG_SILENCE_MS, NO_CLOSE, RECONNECTED, Replay, coarsest_grid

DATA = SHARED / "data"
needs_recordings = pytest.mark.skipif(not DATA.is_dir(), reason="no recordings beside the repository (shared/data)")

BOOK: dict[str, Any] = {"yes": {"0.4000": "5.00"}, "no": {"0.5600": "5.00"}}
CLOSES = '[{"ticker":"A","result":"yes","close_time":"2026-05-13T13:00:00Z"}]'
YES = MarketResult(result="yes", value=Price(ONE_DOLLAR))


@pytest.fixture
def tape() -> Tape:
    return Tape().snapshot(**BOOK)


M = TypeVar("M", bound=Message)


def only(messages: Sequence[Message], kind: type[M]) -> list[M]:
    return [message for message in messages if isinstance(message, kind)]


# -- time ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("skew_ms", [-400, 0, 600])
def test_messages_carry_the_exchanges_time_whatever_the_recorders_clock_says(tmp_path: Path, skew_ms: int) -> None:
    tape = Tape(skew_ms).snapshot(**BOOK).delta().delta(250).delta(250)
    messages = play(tape.write(tmp_path / "a.jsonl"))
    assert [delta.ts for delta in only(messages, BookDelta)] == [T0, T0 + 250, T0 + 500]
    assert only(messages, BookSnapshot)[0].ts <= T0


def test_a_ticker_that_comes_late_does_not_turn_time_back(tmp_path: Path, tape: Tape) -> None:
    tape.delta(100).quote(at=Ts(T0 + 20)).delta(100)
    messages = play(tape.write(tmp_path / "a.jsonl"))
    assert [message.ts - T0 for message in messages if isinstance(message, BookDelta | Quote)] == [100, 100, 200]


def test_the_clock_is_moved_along(tmp_path: Path, tape: Tape) -> None:
    clock = ManualClock(Ts(0))
    path = tape.delta(100).delta(5_000).write(tmp_path / "a.jsonl")
    for message in Replay([path], new_decoder=new_decoder, clock=clock):
        assert clock.now() == message.ts
    assert clock.now() == T0 + 5_100


def test_a_tick_comes_every_interval_of_recorded_time(tmp_path: Path, tape: Tape) -> None:
    messages = play(tape.delta(500).delta(9_500).write(tmp_path / "a.jsonl"), interval_s=2)
    start = messages[0].ts
    assert [tick.ts - start for tick in only(messages, Tick)] == [2_000, 4_000, 6_000, 8_000, 10_000]
    earlier = play(tmp_path / "a.jsonl", interval_s=2, phase_ms=500)
    assert [tick.ts - start for tick in only(earlier, Tick)] == [1_500, 3_500, 5_500, 7_500, 9_500]


def test_no_ticks_are_made_up_for_the_silence_between_two_recordings(tmp_path: Path, tape: Tape) -> None:
    messages = play(tape.delta(500).delta(LONG_SILENCE_MS * 50).delta(1_000).write(tmp_path / "a.jsonl"))
    assert 1 <= len(only(messages, Tick)) < 5


def test_recordings_are_played_in_the_order_of_time_not_of_their_names(tmp_path: Path) -> None:
    later = Tape().snapshot(**BOOK, ticker="KXB-1")
    later.now = Ts(T0 + 60_000)
    later.delta(ticker="KXB-1")
    first = Tape().snapshot(**BOOK).delta().delta(1_000)
    messages = play(later.write(tmp_path / "a.jsonl"), first.write(tmp_path / "b.jsonl"))
    assert [delta.ticker for delta in only(messages, BookDelta)] == [TICKER, TICKER, "KXB-1"]
    assert [message.ts for message in messages] == sorted(message.ts for message in messages)


def test_a_recording_that_ends_before_the_others_is_a_gap_for_its_books(tmp_path: Path) -> None:
    first = Tape().snapshot(**BOOK).delta().delta(1_000)
    later = Tape().snapshot(**BOOK, ticker="KXB-1")
    later.now = Ts(T0 + 60_000)
    later.delta(ticker="KXB-1")
    files = [first.write(tmp_path / "a.jsonl"), later.write(tmp_path / "b.jsonl")]
    (gap,) = only(play(*files), FeedGap)
    assert (gap.tickers, gap.reason, gap.ts) == ((TICKER,), ENDED, T0 + 1_000)
    assert only(play(files[1]), FeedGap) == []


def test_outside_prices_come_at_the_time_of_their_own_exchange(tmp_path: Path, tape: Tape) -> None:
    spot = tmp_path / "btcusd-may.csv"
    spot.write_text(
        "exchange_ts,recv_ns,price,trade_id,event\n"
        "2026-05-28T20:26:39.999000+00:00,1,80176.97,1,last_match\n"
        "2026-05-28T20:26:40.150000+00:00,1,80177.5,2,match\n"
    )
    messages = play(tape.delta(100).delta(100).write(tmp_path / "a.jsonl"), spot)
    found = [message for message in messages if isinstance(message, BookDelta | ReferencePrice)]
    assert [message.ts - T0 for message in found] == [-1, 100, 150, 200]
    assert [(price.index, price.value) for price in only(found, ReferencePrice)] == [
        ("BRTI", 801_769_700),
        ("BRTI", 801_775_000),
    ]
    assert [(spot.symbol, spot.price, spot.ts - T0) for spot in only(messages, SpotPrice)] == [
        ("BTC", 801_769_700, -1),
        ("BTC", 801_775_000, 150),
    ]


# -- one matching event -------------------------------------------------------------------------------------------


def test_only_the_last_delta_of_one_time_may_be_decided_on(tmp_path: Path, tape: Tape) -> None:
    tape.delta().delta().delta().delta(1).delta(1).delta()
    deltas = only(play(tape.write(tmp_path / "a.jsonl")), BookDelta)
    assert [delta.has_more for delta in deltas] == [True, True, False, False, True, False]


def test_a_ticker_between_two_deltas_of_one_event_does_not_end_it(tmp_path: Path, tape: Tape) -> None:
    tape.delta().quote().delta().quote(at=Ts(T0 - 5)).delta().delta(1)
    deltas = only(play(tape.write(tmp_path / "a.jsonl")), BookDelta)
    assert [delta.has_more for delta in deltas] == [True, True, False, False]


def test_another_market_changing_at_the_same_time_is_another_event(tmp_path: Path, tape: Tape) -> None:
    tape.snapshot(**BOOK, ticker="KXB-1").delta().delta(ticker="KXB-1").delta(1)
    deltas = only(play(tape.write(tmp_path / "a.jsonl")), BookDelta)
    assert [delta.has_more for delta in deltas] == [False, False, False]


steps = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from(["delta", "delta", "quote", "other"])), min_size=1, max_size=40
)


def tape_of(moves: list[tuple[int, str]]) -> Tape:
    tape = Tape(skew_ms=77).snapshot(**BOOK).snapshot(**BOOK, ticker="KXB-1")
    for after_ms, kind in moves:
        if kind == "quote":
            tape.quote(at=Ts(tape.now - after_ms))
        else:
            tape.delta(after_ms, ticker=TICKER if kind == "delta" else "KXB-1")
    return tape


@settings(max_examples=60, deadline=None)
@given(steps)
def test_time_never_goes_back_and_every_event_ends_once(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "property.jsonl"
    messages = play(tape_of(moves).write(path))
    times = [message.ts for message in messages]
    assert times == sorted(times)
    for ticker in (TICKER, "KXB-1"):
        deltas = [delta for delta in only(messages, BookDelta) if delta.ticker == ticker]
        ends = [delta.ts for delta in deltas if not delta.has_more]
        assert ends == sorted({delta.ts for delta in deltas})


def test_that_property_meets_events_of_several_deltas_and_late_tickers(tmp_path: Path) -> None:
    moves = [(1, "delta"), (0, "quote"), (0, "delta"), (2, "quote"), (0, "other"), (0, "delta")]
    messages = play(tape_of(moves).write(tmp_path / "a.jsonl"))
    assert [delta.has_more for delta in only(messages, BookDelta) if delta.ticker == TICKER] == [True, True, False]


# -- books --------------------------------------------------------------------------------------------------------


def test_an_empty_snapshot_empties_the_book_and_is_no_gap(tmp_path: Path, tape: Tape) -> None:
    messages = play(tape.delta(100).snapshot().write(tmp_path / "a.jsonl"))
    assert only(messages, FeedGap) == []
    book = OrderBook(TICKER)
    last = only(messages, BookSnapshot)[-1]
    book.load(last.bids, last.asks, last.ts)
    assert book.is_usable
    assert (book.best_bid, book.best_ask) == (None, None)


def test_a_hole_in_the_sequence_is_a_gap(tmp_path: Path, tape: Tape) -> None:
    messages = play(tape.delta(100).skip(3).delta(100).write(tmp_path / "a.jsonl"))
    assert [gap.tickers for gap in only(messages, FeedGap)] == [(TICKER,)]


def test_sequence_numbers_start_anew_with_each_connection_and_the_books_before_it_are_gone(
    tmp_path: Path, tape: Tape
) -> None:
    tape.delta(100).delta(100).reconnect().snapshot(**BOOK).delta(100)
    messages = play(tape.write(tmp_path / "a.jsonl"))
    assert [(gap.tickers, gap.reason) for gap in only(messages, FeedGap)] == [((TICKER,), RECONNECTED)]
    assert [state.is_live for state in only(messages, FeedState)] == [True, True]
    kinds = [type(message) for message in messages if not isinstance(message, Tick | BookDelta)]
    assert kinds == [FeedState, MarketChange, BookSnapshot, FeedGap, FeedState, BookSnapshot, RecordingEnded]


def test_no_prices_are_turned_into_yes_prices_unless_the_recorder_noted_that_they_are(tmp_path: Path) -> None:
    plain = Tape().snapshot(no={"0.5600": "1.00"}).delta()
    noted = Tape().note("connected", use_yes_price=True).snapshot(no={"0.4400": "1.00"}).delta()
    for tape in (plain, noted):
        (snapshot,) = only(play(tape.write(tmp_path / "a.jsonl")), BookSnapshot)
        assert snapshot.asks[0][0] == cents(44)


# -- markets ------------------------------------------------------------------------------------------------------


def test_a_market_is_introduced_before_its_book_with_what_the_recorder_noted(tmp_path: Path) -> None:
    tape = Tape().watch(strike=80_000.5).snapshot(**BOOK).delta()
    messages = play(tape.write(tmp_path / "a.jsonl"))
    (change,) = only(messages, MarketChange)
    assert messages.index(change) < messages.index(only(messages, BookSnapshot)[0])
    market = change.market
    assert (market.ticker, market.event_ticker, market.status) == (TICKER, "KXA-26MAY01", MarketStatus.ACTIVE)
    assert (market.close_time, market.floor_strike) == (T0 + 60_000, 80_000.5)


def test_a_market_nobody_noted_closes_when_nobody_knows(tmp_path: Path, tape: Tape) -> None:
    (change,) = only(play(tape.delta().write(tmp_path / "a.jsonl")), MarketChange)
    assert change.market.close_time == NO_CLOSE


def test_the_grid_is_the_coarsest_that_holds_every_price_seen() -> None:
    assert coarsest_grid([]) is CENT_GRID
    assert coarsest_grid([cents(1), cents(99)]) is CENT_GRID
    tails = coarsest_grid([Price(10), Price(9_990)])
    assert tails.is_valid(Price(910))
    assert tails.is_valid(Price(5_000))
    assert not tails.is_valid(Price(5_010))
    assert coarsest_grid([Price(5_010)]).is_valid(Price(5_020))
    assert coarsest_grid([Price(5_001)]).is_valid(Price(5_003))


def test_a_finer_price_later_on_refines_the_grid_before_it_is_used(tmp_path: Path, tape: Tape) -> None:
    messages = play(tape.delta(100).delta(100, price="0.0110").delta(100, price="0.0120").write(tmp_path / "a.jsonl"))
    first, second = only(messages, MarketChange)
    assert not first.market.grid.is_valid(Price(110))
    assert second.market.grid.is_valid(Price(110))
    deltas = only(messages, BookDelta)
    assert messages.index(second) < messages.index(deltas[1])


def test_a_known_result_is_told_after_the_last_line_and_not_at_the_close(tmp_path: Path) -> None:
    tape = Tape().watch(close_in_s=1).snapshot(**BOOK).delta().delta(3_000)
    messages = play(tape.write(tmp_path / "a.jsonl"), results={TICKER: YES})
    closed, last = only(messages, MarketChange)[-2:]
    assert (closed.ts, closed.market.status, closed.market.result) == (T0 + 1_000, MarketStatus.CLOSED, "")
    market = last.market
    assert (last.ts, market.status, market.result) == (T0 + 3_000, MarketStatus.FINALIZED, "yes")
    assert (market.settlement_value, market.settlement_ts) == (ONE_DOLLAR, T0 + 3_000)
    assert isinstance(messages[-2], RecordingEnded)


def test_a_market_without_a_result_closes_all_the_same(tmp_path: Path) -> None:
    tape = Tape().watch(close_in_s=1).snapshot(**BOOK).delta().delta(3_000)
    last = only(play(tape.write(tmp_path / "a.jsonl")), MarketChange)[-1]
    assert (last.ts, last.market.status, last.market.result) == (T0 + 1_000, MarketStatus.CLOSED, "")


def test_a_market_that_closes_after_the_recording_ends_is_settled_at_its_close(tmp_path: Path) -> None:
    messages = play(Tape().watch().snapshot(**BOOK).delta().write(tmp_path / "a.jsonl"), results={TICKER: YES})
    assert isinstance(messages[-1], MarketChange)
    assert (messages[-1].ts, messages[-1].market.result) == (T0 + 60_000, "yes")


def test_a_result_without_a_close_time_settles_at_the_end(tmp_path: Path, tape: Tape) -> None:
    messages = play(tape.delta(100).write(tmp_path / "a.jsonl"), results={TICKER: YES})
    assert isinstance(messages[-1], MarketChange)
    assert (messages[-1].ts, messages[-1].market.result) == (T0 + 100, "yes")


@needs_recordings
def test_a_recorded_market_life_ends_with_its_known_settlement() -> None:
    files = [DATA / "ws" / "kxbtc15m-20260511T0531Z.jsonl.gz"]
    results = read_results(DATA / "results" / "kxbtc15m.json")
    first, last = only(play(*files, results=results), MarketChange)
    assert first.market.floor_strike == 80_938.41
    assert first.market.grid.is_valid(Price(9_850))
    assert not first.market.grid.is_valid(Price(4_850 + 5))
    assert (last.market.result, last.market.settlement_value) == ("no", 0)


@needs_recordings
def test_at_every_end_of_an_event_a_recorded_book_is_uncrossed() -> None:
    books: dict[str, OrderBook] = {}
    states = {True: 0, False: 0}
    for message in play(DATA / "ws" / "kxbtc15m-20260513T1259Z.jsonl.gz"):
        if isinstance(message, BookSnapshot):
            books[message.ticker] = OrderBook(message.ticker)
            books[message.ticker].load(message.bids, message.asks, message.ts)
        elif isinstance(message, BookDelta):
            books[message.ticker].apply(message.side, message.price, message.delta, message.ts)
            states[message.has_more] += books[message.ticker].is_crossed
    assert states[False] == 0
    assert states[True] > 0


# -- results ------------------------------------------------------------------------------------------------------


@needs_recordings
@pytest.mark.parametrize(
    ("name", "number"),
    [("kxbtc15m.json", 10), ("kxxrp15m-202608.json", 91), ("settled-markets-20260717.jsonl.gz", 977)],
)
def test_every_shape_of_results_is_read(name: str, number: int) -> None:
    found = read_results(DATA / "results" / name)
    assert len(found) == number
    assert {outcome.value for outcome in found.values()} == {0, ONE_DOLLAR}


def test_a_scalar_result_pays_its_settlement_value(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text('[{"ticker":"A","result":"scalar","settlement_value_dollars":"0.3500"},{"ticker":"B","result":""}]')
    assert read_results(path) == {"A": MarketResult(result="scalar", value=Price(3_500))}
    path.write_text('{"A": "YES", "B": "No"}')
    assert read_results(path) == {"A": YES, "B": MarketResult(result="no", value=Price(0))}


@pytest.mark.parametrize("paid", ["-1", "1.0001", "20"])
def test_a_payout_that_no_contract_has_is_refused(tmp_path: Path, paid: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(f'[{{"ticker":"A","result":"yes","settlement_value_dollars":"{paid}"}}]')
    with pytest.raises(UsageError, match=rf"r.json: A: a contract cannot pay {paid}, only \$0 to \$1"):
        read_results(path)


@pytest.mark.parametrize(
    ("result", "paid", "is_refused"),
    [
        ("yes", "0.0000", True), ("No", "1.0000", True), ("yes", "1.0000", False), ("no", "0", False),
        ("yes", "0.5000", False), ("scalar", "0.0000", False), ("scalar", "1.0000", False),
    ],
)  # fmt: skip
def test_a_result_with_the_payout_of_the_opposite_is_refused(
    tmp_path: Path, result: str, paid: str, *, is_refused: bool
) -> None:
    path = tmp_path / "r.json"
    path.write_text(f'[{{"ticker":"A","result":"{result}","settlement_value_dollars":"{paid}"}}]')
    if not is_refused:
        assert read_results(path)["A"].value == parse_price(paid)
        return
    said = rf"r.json: A: the result {result.lower()} contradicts its payout of \${paid} for a YES contract"
    with pytest.raises(UsageError, match=said):
        read_results(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("r.json", '{"A": "yes", "B": "no", "A": "no"}'),
        ("r.json", '[{"ticker":"A","result":"yes"},{"ticker":"A","result":"no"}]'),
        ("r.jsonl", '{"ticker":"A","result":"yes"}\n{"ticker":"A","result":"no"}\n'),
    ],
)
def test_two_results_of_a_market_in_one_file_are_refused(tmp_path: Path, name: str, text: str) -> None:
    path = tmp_path / name
    path.write_text(text.replace("no", "yes"))
    assert read_results(path)["A"] == YES
    path.write_text(text)
    with pytest.raises(UsageError, match=rf"{name}.*two results of A: yes and no"):
        read_results(path)


def test_files_whose_results_contradict_each_other_are_refused_in_any_order(tmp_path: Path) -> None:
    texts = {"yes.json": '{"A": "yes", "B": "no"}', "no.json": '{"A": "no"}', "closes.json": CLOSES}
    one, other, closes = (tmp_path / name for name in texts)
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    for files in ((one, other), (other, one)):
        with pytest.raises(UsageError, match=r"Two results of A: \w+ in .*\.json, \w+ in .*\.json"):
            merge_results(files)
    assert merge_results([closes, one]) == merge_results([one, closes])
    assert merge_results([closes, one])["A"].close_time == 1_778_677_200_000


@pytest.mark.parametrize("text", ['{"winners": {"A": "x"}}', '[{"ticker":"A","result":"maybe"}]', "[1", "nonsense"])
def test_results_that_say_something_else_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"r\.json"):
        read_results(path)


# -- damage -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"recv_ns": "x"}', b'{"recv_ns":1,"note":{"event":3}}', b"\xff\xfe"])
def test_a_line_that_is_no_recording_is_named_with_file_and_line(tmp_path: Path, tape: Tape, line: bytes) -> None:
    tape.lines.insert(1, line)
    path = tape.delta(100).write(tmp_path / "a.jsonl")
    with pytest.raises(UsageError, match=r"a\.jsonl:2: "):
        play(path)


def test_a_market_note_with_an_impossible_time_is_named(tmp_path: Path, tape: Tape) -> None:
    note = msgspec.json.encode({"event": "watch_market", "market_ticker": "KXB-1", "close_time": "soon"})
    tape.lines.append(b'{"recv_ns":1,"conn":0,"note":%s}' % note)
    with pytest.raises(UsageError, match=r"a\.jsonl:2: "):
        play(tape.snapshot(ticker="KXB-1").write(tmp_path / "a.jsonl"))


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_format, "MAX_LINE", 50)
    path = Tape().snapshot(**BOOK).write(tmp_path / "a.jsonl")
    with pytest.raises(UsageError, match=r":1: line longer than 50 bytes"):
        play(path)


def test_a_line_cut_off_by_a_crash_ends_the_recording(tmp_path: Path, tape: Tape) -> None:
    path = tape.delta(100).delta(100).write(tmp_path / "a.jsonl")
    path.write_bytes(path.read_bytes()[:-20])
    replay = Replay([path], new_decoder=new_decoder)
    assert len(only(list(replay), BookDelta)) == 1
    assert replay.cut == {"a.jsonl": T0 + 100}


def test_a_packed_file_cut_off_by_a_crash_is_read_as_far_as_it_goes(tmp_path: Path, tape: Tape) -> None:
    path = tmp_path / "a.jsonl.gz"
    for _ in range(5_000):
        tape.delta(1)
    tape.write(path)
    whole = Replay([path], new_decoder=new_decoder)
    assert len(only(list(whole), BookDelta)) == 5_000
    assert whole.cut == {}
    path.write_bytes(path.read_bytes()[:-2_000])
    replay = Replay([path], new_decoder=new_decoder)
    deltas = only(list(replay), BookDelta)
    assert 0 < len(deltas) < 5_000
    assert replay.cut == {"a.jsonl.gz": deltas[-1].ts}


@pytest.mark.parametrize("names", [("a.jsonl", "copy.jsonl.gz"), ("a.jsonl", "a.jsonl")])
def test_two_files_with_the_same_order_book_at_one_time_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    """Every change would count twice, in a book and in the fills."""
    paths = [Tape().snapshot(**BOOK).delta(100).delta(100).write(tmp_path / name) for name in names]
    with pytest.raises(UsageError) as caught:
        play(*paths)
    assert f"{names[0]} and {names[1]} both have the order book of {TICKER} at 2026-" in caught.value.message
    later = Tape()
    later.now = Ts(T0 + 150)
    later.snapshot(**BOOK).delta(100)
    with pytest.raises(UsageError, match=r"c\.jsonl"):
        play(paths[0], later.write(tmp_path / "c.jsonl"))
    after = Tape()
    after.now = Ts(T0 + 201)
    after.snapshot(**BOOK).delta(100)
    assert [gap.reason for gap in only(play(paths[0], after.write(tmp_path / "d.jsonl")), FeedGap)] == [ENDED]


def test_what_is_no_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(b"plain text\n")
    with pytest.raises(UsageError, match=r"a\.jsonl\.gz:1"):
        play(path)


def test_a_damaged_packed_file_is_refused(tmp_path: Path, tape: Tape) -> None:
    packed = bytearray(gzip.compress(b"\n".join(tape.delta(100).lines)))
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(packed)
    with pytest.raises(UsageError, match=r"a\.jsonl\.gz"):
        play(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.jsonl"):
        play(tmp_path / "gone.jsonl")


def test_outside_prices_alone_are_no_recording(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No recording"):
        play(tmp_path / "btcusd.csv")


@pytest.mark.parametrize("row", ["2026-05-28T20:26:40Z,1", "yesterday,1,2.5", "2026-05-28T20:26:40Z,1,1e5"])
def test_a_bad_row_of_outside_prices_is_named(tmp_path: Path, tape: Tape, row: str) -> None:
    spot = tmp_path / "btcusd.csv"
    spot.write_text(f"exchange_ts,recv_ns,price\n{row}\n")
    with pytest.raises(UsageError, match=r"btcusd\.csv:2"):
        play(tape.write(tmp_path / "a.jsonl"), spot)


# -- other recorders ----------------------------------------------------------------------------------------------


def test_bare_frames_are_read_and_take_their_time_from_each_other(tmp_path: Path, tape: Tape) -> None:
    lines = [msgspec.json.encode(msgspec.json.decode(line)["frame"]) for line in tape.delta(100).delta(100).lines]
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"\n\n".join(lines) + b"\n")
    messages = play(path)
    assert only(messages, BookSnapshot)[0].ts == T0 + 100
    assert [delta.ts for delta in only(messages, BookDelta)] == [T0 + 100, T0 + 200]


@needs_recordings
def test_the_recordings_of_others_are_read_without_a_gap() -> None:
    for name in ("frames-mlb-wnba-20260807.jsonl", "frames-demo-tennis-20260611-noleg.jsonl"):
        messages = play(DATA / "ws" / name)
        assert only(messages, BookDelta)
        assert only(messages, FeedGap) == []
