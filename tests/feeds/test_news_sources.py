"""News from outside: lines of any bytes, files that grow, turn over and vanish, and the end of standard input."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.served import eventually

from kalshi_cli.base.clock import ManualClock, SystemClock
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import NewsSignal
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.feeds import news_signals
from kalshi_cli.feeds.fair_values import SourceError
from kalshi_cli.feeds.news_signals import MAX_LINE, FileFollower, PipeReader, SignalReader, read_signal

NOW = Ts(1_780_000_000_000)
USUAL: dict[str, Any] = {"id": "a-1", "ticker": "KXFED-26DEC-T4", "side": "yes", "confidence": 0.6, "text": "It rains."}


def line(**changes: Any) -> bytes:
    return json.dumps({name: value for name, value in (USUAL | changes).items() if value is not None}).encode()


def read(body: bytes) -> NewsSignal:
    return read_signal(body, ManualClock(NOW))


# -- one line -----------------------------------------------------------------------------------------------------


def test_a_line_of_csv_is_told_what_a_line_should_be() -> None:
    with pytest.raises(
        SourceError, match=r"not a valid signal .one JSON object per line with id, ticker, side, confidence.: "
    ):
        read(b"id,ticker,side,confidence")


def test_a_line_is_a_signal_heard_now() -> None:
    assert read(line()) == NewsSignal(NOW, "a-1", "KXFED-26DEC-T4", BID, 6_000, "It rains.")


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"side": "NO"}, "side", ASK),
        ({"side": None, "direction": "up"}, "side", BID),
        ({"direction": "up"}, "side", BID),
        ({"side": None, "direction": "Down "}, "side", ASK),
        ({"id": 7}, "signal_id", "7"),
        ({"ticker": "kxfed*"}, "ticker", "KXFED*"),
        ({"confidence": 1}, "confidence", 10_000),
        ({"confidence": "0.55555"}, "confidence", 5_556),
        ({"text": None}, "text", ""),
        ({"text": "a\x1b[31mred\nline\u202e"}, "text", "a[31mred line"),
        ({"text": "x" * 10_000}, "text", "x" * 499 + "…"),
        ({"source": "a field of theirs"}, "signal_id", "a-1"),
    ],
)
def test_what_may_be_written_otherwise(changes: dict[str, Any], field: str, value: object) -> None:
    assert getattr(read(line(**changes)), field) == value


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{", b"{}", b"\xff\xfe", b"[" * 10_000,
        line(id=None), line(id=""), line(id=[]), line(id=10**30), line(id="\x1b"),
        line(ticker=None), line(ticker=""), line(ticker="a b"), line(ticker="*"), line(ticker="KX*FED"),
        line(side=None), line(side="maybe"), line(side=True), line(direction="down"),
        line(confidence=None), line(confidence=1.01), line(confidence=-0.1), line(confidence=True),
        line(text=7), line(text="x" * MAX_LINE),
    ],
)  # fmt: skip
def test_anything_else_is_refused(body: bytes) -> None:
    with pytest.raises(SourceError) as caught:
        read(body)
    assert str(caught.value).isprintable()


@given(
    st.one_of(
        st.binary(max_size=200),
        st.fixed_dictionaries(
            {}, optional={name: st.none() | st.text(max_size=9) | st.floats() | st.integers() | st.just(value)
                          for name, value in USUAL.items()},
        ).map(lambda found: json.dumps(found).encode()),
    )
)  # fmt: skip
def test_any_bytes_are_a_signal_or_one_typed_error(body: bytes) -> None:
    try:
        signal = read(body)
    except SourceError:
        return
    assert 0 <= signal.confidence <= 10_000
    assert signal.signal_id.isprintable()
    assert signal.text.isprintable()


@pytest.mark.parametrize(
    ("time", "ts"),
    [
        ("", NOW),
        ("2026-05-28T20:25:40Z", NOW - 60_000),
        ("2026-05-28T20:26:40.500Z", NOW),
        ("2027-01-01T00:00:00+00:00", NOW),
    ],
)
def test_a_signal_is_of_the_time_that_it_says_and_never_of_one_to_come(time: str, ts: int) -> None:
    assert read(line(time=time)).ts == ts


@pytest.mark.parametrize("time", ["yesterday", "2026-05-28T20:25:40", "1780000000", "9999999-01-01T00:00:00Z"])
def test_a_time_that_is_none_makes_it_no_signal(time: str) -> None:
    with pytest.raises(SourceError, match="time without"):
        read(line(time=time))


# -- a file that grows --------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(news_signals, "LOOK_S", 0.02)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "news.jsonl"
    path.write_bytes(b"old\n")
    return path


@pytest.fixture
def tail(file: Path) -> Iterator[FileFollower]:
    found = FileFollower(file)
    yield found
    found.close()


def add(path: Path, text: bytes) -> None:
    with path.open("ab") as writing:
        writing.write(text)


def test_only_what_is_new_counts(file: Path, tail: FileFollower) -> None:
    assert tail.look() == []
    add(file, b"one\n\n two \r\n")
    assert tail.look() == [b"one", b"two"]
    assert tail.look() == []


def test_what_was_there_before_counts_where_that_was_asked_for(file: Path) -> None:
    tail = FileFollower(file, from_start=True)
    assert tail.look() == [b"old"]
    tail.close()


def test_a_line_counts_when_its_end_is_written(file: Path, tail: FileFollower) -> None:
    add(file, b"on")
    assert tail.look() == []
    add(file, b"e\ntw")
    assert tail.look() == [b"one"]
    add(file, b"o\n")
    assert tail.look() == [b"two"]


def test_a_file_that_is_moved_away_is_read_to_its_end_and_then_the_new_one(file: Path, tail: FileFollower) -> None:
    add(file, b"last\n")
    file.rename(file.with_suffix(".1"))
    file.write_bytes(b"first\nsecond\n")
    assert tail.look() == [b"last"]
    assert tail.look() == [b"first", b"second"]


def test_what_is_longer_than_one_look_is_read_before_the_new_file(file: Path, tail: FileFollower) -> None:
    add(file, b"x" * 100_000 + b"\nlast\n")
    file.rename(file.with_suffix(".1"))
    file.write_bytes(b"first\n")
    found = [text for _ in range(5) for text in tail.look()]
    assert found[1:] == [b"last", b"first"]
    assert len(found[0]) > MAX_LINE, "long enough to be refused, whatever was left of it"


def test_a_file_that_is_emptied_is_read_from_its_start(file: Path, tail: FileFollower) -> None:
    add(file, b"one\n")
    assert tail.look() == [b"one"]
    file.write_bytes(b"")
    assert tail.look() == []
    add(file, b"two\n")
    assert tail.look() == [b"two"]


def test_a_file_may_come_later_and_vanish(file: Path) -> None:
    file.unlink()
    tail = FileFollower(file)
    assert tail.look() == []
    add(file, b"one\n")
    assert tail.look() == [b"one"], "all of a file that was not there is new"
    file.unlink()
    assert tail.look() == []
    add(file, b"two\n")
    assert tail.look() == [b"two"]
    tail.close()


def test_what_is_no_file_gives_nothing_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        assert FileFollower(path).look() == []


def test_a_line_without_end_takes_no_memory_without_end(file: Path, tail: FileFollower) -> None:
    for _ in range(20):
        add(file, b"x" * 60_000)
        assert tail.look() == []
    add(file, b"\nnext\n")
    [long, following] = tail.look()
    assert MAX_LINE < len(long) < 3 * MAX_LINE
    assert following == b"next"


# -- standard input, and the thread -------------------------------------------------------------------------------


def test_a_pipe_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    piped = PipeReader(reading)
    assert piped.look() == []
    os.write(writing, b"one\ntwo\nthr")
    assert piped.look() == [b"one", b"two"]
    os.write(writing, b"ee")
    os.close(writing)
    found: list[bytes] = []
    while (more := piped.look()) is not None:
        found += more
    assert found == [b"three"], "the last line needs no end"
    os.close(reading)


def test_what_was_in_the_file_before_the_start_is_no_news_when_the_file_is_written_anew(file: Path) -> None:
    """An editor, `sed -i`, or whoever takes the oldest lines out: the new file has all the others again."""
    old, last, new = (line(id=name) + b"\n" for name in ("old", "last", "new"))
    file.write_bytes(old + last)
    heard: list[NewsSignal] = []
    tail, reader = FileFollower(file), SignalReader(file.name, ManualClock(NOW), heard.append)
    reader.skip_existing(tail.before())
    rewritten = file.with_name("rewritten")
    rewritten.write_bytes(last + new)
    rewritten.replace(file)
    found = tail.look()
    assert len(found) == 2, "the file is another one, and is read from its start"
    for one in found:
        reader.take(one)
    assert [signal.signal_id for signal in heard] == ["new"]
    tail.close()


def test_of_a_long_file_its_end_is_known_and_of_one_that_counts_whole_nothing(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news_signals, "MAX_BEFORE", 10)
    file.write_bytes(b"first line\nsecond\nthird\n")
    for tail, before in ((FileFollower(file), [b"ond", b"third"]), (FileFollower(file, from_start=True), [])):
        assert tail.before() == before
        tail.close()
    assert FileFollower(file.with_name("missing")).before() == []


def test_junk_is_counted_and_told_at_most_once_a_minute() -> None:
    clock, heard, said = ManualClock(NOW), list[NewsSignal](), list[str]()
    reader = SignalReader("news.jsonl", clock, heard.append, said.append)
    for number in range(130):
        with pytest.raises(SourceError):
            reader.take(b"junk")
        reader.take(line(id=number))
        clock.advance(1)
    assert (len(heard), reader.junk, len(said)) == (130, 130, 3)
    assert "(121 so far)" in said[-1]


def test_a_thread_brings_every_line_and_ends_with_the_run(file: Path) -> None:
    heard: list[NewsSignal] = []
    reader = SignalReader("news", SystemClock(), heard.append)
    with reader.run_in_thread(FileFollower(file)):
        for number in range(3):
            add(file, line(id=number) + b"\njunk\n")
            eventually(lambda: len(heard) == number + 1)  # noqa: B023
    eventually(lambda: not [thread for thread in threading.enumerate() if thread.name == "signals-news"])
    assert reader.junk >= 2


def stale_after(reader: SignalReader, clock: ManualClock) -> tuple[bool, str]:
    """Whether it is stale once nothing good came for the longest that is fine, and why."""
    clock.advance(news_signals.MISSING_S + 1)
    return reader.source.state.is_stale(clock.now()), reader.source.state.problem


def test_a_file_that_is_there_is_not_stale_however_quiet_and_one_that_is_gone_is(file: Path) -> None:
    clock = ManualClock(NOW)
    reader, tail = SignalReader(file.name, clock, lambda _: None), FileFollower(file)
    stopping = threading.Event()
    turns = threading.Thread(target=reader._follow, args=(tail, stopping))
    turns.start()
    try:
        for _ in range(3):
            clock.advance(1_000)
            eventually(lambda: not reader.source.state.is_stale(clock.now()))
        file.unlink()
        eventually(lambda: reader.source.state.problem == "file not found")
        assert stale_after(reader, clock) == (True, "file not found")
        file.touch()
        eventually(lambda: reader.source.state.problem == "")
        assert not reader.source.state.is_stale(clock.now())
        add(file, b"junk\n")
        eventually(lambda: reader.junk)
        assert stale_after(reader, clock)[0]
        assert reader.source.state.problem.startswith("the last line cannot be read")
        add(file, line() + b"\n")
        eventually(lambda: reader.source.state.problem == "")
    finally:
        stopping.set()
        turns.join()


def test_standard_input_that_ended_is_stale() -> None:
    reading, writing = os.pipe()
    clock = ManualClock(NOW)
    reader = SignalReader("standard input", clock, lambda _: None)
    with reader.run_in_thread(PipeReader(reading)):
        clock.advance(1_000)
        eventually(lambda: not reader.source.state.is_stale(clock.now()))
        os.close(writing)
        eventually(lambda: reader.source.state.problem == "ended")
        assert stale_after(reader, clock) == (True, "ended")
    os.close(reading)


def test_that_standard_input_ended_is_told_and_the_thread_ends() -> None:
    reading, writing = os.pipe()
    heard, said = list[NewsSignal](), list[str]()
    with SignalReader("standard input", SystemClock(), heard.append, said.append).run_in_thread(PipeReader(reading)):
        os.write(writing, line() + b"\n")
        eventually(lambda: heard)
        os.close(writing)
        eventually(lambda: said)
    assert said == ["standard input: ended; no more signals"]
    os.close(reading)
