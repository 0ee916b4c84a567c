"""Probabilities from outside: tables of any bytes, and sources that lie, age, hang, or are half written."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.served import eventually

from kalshi_cli.base.clock import ManualClock, SystemClock
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, parse_ts
from kalshi_cli.core.model.messages import FairValue
from kalshi_cli.feeds import fair_values
from kalshi_cli.feeds.fair_sources import age_of, argv_of, read_file, run_command
from kalshi_cli.feeds.fair_values import (
    MAX_BYTES,
    MAX_MARKETS,
    FairReader,
    FairValueEntry,
    FairValuePage,
    FairValueTable,
    SourceError,
    probability,
    read_table,
)

NOW = Ts(1_780_000_000_000)
UNTIL = "2026-06-01T00:00:00Z"


# -- tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        f"ticker,probability,until\nKXA-1,0.45\nKXA-2, 0.5 ,{UNTIL}\n",
        f'KXA-1,"0.45",\r\n\r\nkxa-2,.5,{UNTIL}',
        f"\ufeffTicker, Probability\nKXA-1,4.5e-1\nKXA-2,0.50000,{UNTIL}\n",
        json.dumps(
            [{"ticker": "KXA-1", "probability": 0.45}, {"ticker": "KXA-2", "probability": "0.5", "until": UNTIL}]
        ),
    ],
)
def test_a_table_is_read_however_it_is_written(body: str) -> None:
    table = read_table(body.encode())
    assert table.fairs == {
        "KXA-1": FairValueEntry(Price(4_500)),
        "KXA-2": FairValueEntry(Price(5_000), parse_ts(UNTIL)),
    }
    assert table.junk == 0


def test_json_may_be_one_object_by_ticker() -> None:
    assert read_table(b' {"KXA-1": 0.1, "KXA-2": 1, "KXA-3": 0}').fairs == {
        "KXA-1": FairValueEntry(Price(1_000)), "KXA-2": FairValueEntry(ONE_DOLLAR), "KXA-3": FairValueEntry(Price(0)),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("1", 10_000), ("1.000", 10_000), ("0.12345", 1_234), ("0.12355", 1_236), ("0.29", 2_900), ("1e-4", 1)],
)
def test_a_probability_becomes_the_nearest_price_exactly(text: str, value: int) -> None:
    """Half a step goes to the even one. 0.29 x 10,000 is not 2,900 in floats."""
    assert probability(text) == value


@pytest.mark.parametrize(
    "value",
    ["", "45%", "45", "1.0001", "-0.1", "nan", "inf", "Infinity", "0,45", "0x1", "٠.٥", "1e9999", "0." + "1" * 99, True,
     None, 2, -1, [], 10**400],
)  # fmt: skip
def test_what_is_no_probability_is_refused(value: object) -> None:
    with pytest.raises(SourceError, match="not a probability"):
        probability(value)


def test_lines_that_cannot_be_read_are_counted_and_the_others_stay() -> None:
    table = read_table(b"KXA-1,0.45\nKXA-2\nKXA-3,maybe\n,0.5\nKXA-4,0.5,tomorrow\nKXA-5,0.5,2026-06-01T00:00:00\n")
    assert list(table.fairs) == ["KXA-1"]
    assert (table.junk, table.first_junk) == (5, "line 2: expected a ticker, a probability and an optional time")


@pytest.mark.parametrize(
    "heading", ["ticker,probabilty", "ticker,edge", "probability,ticker", "time,ticker,probability"]
)
def test_a_wrong_heading_is_shown_with_the_right_one_and_nothing_below_is_taken_for_a_probability(heading: str) -> None:
    with pytest.raises(SourceError) as caught:
        read_table(f"{heading}\nKXA-1,0.45\n".encode())
    right = "ticker,probability or ticker,probability,until"
    assert str(caught.value) == f"the first line is {heading!r}, and must be {right}"


@pytest.mark.parametrize("body", ["AKIAIOSFODNN7EXAMPLE,%s\n", "KXA-1,0.5\nAKIAIOSFODNN7EXAMPLE,%s\n", "name,%s,x\n"])
def test_of_a_file_that_is_no_table_no_secret_is_told(body: str) -> None:
    """A link to a file with keys: what is told of it stands in a log."""
    secret = "wJalrXUtnFEMI7MDENGbPxRfiCYEXAMPLEKEY"
    try:
        said = read_table((body % secret).encode()).first_junk
    except SourceError as error:
        said = str(error)
    assert said
    assert secret[:13] not in said


@pytest.mark.parametrize("heading", ["", "Ticker, Probability\n", "ticker,probability,until\n", "\n"])
def test_a_table_may_have_a_heading(heading: str) -> None:
    assert read_table(f"{heading}KXA-1,0.45\n".encode()) == FairValueTable({"KXA-1": FairValueEntry(Price(4_500))})


def test_of_a_ticker_that_is_there_twice_the_last_line_counts() -> None:
    assert read_table(b"KXA-1,0.45\nKXA-1,0.46\n").fairs == {"KXA-1": FairValueEntry(Price(4_600))}


def test_a_table_has_a_size() -> None:
    lines = [f"KXA-{number},0.5\n" for number in range(MAX_MARKETS + 1)]
    assert len(read_table("".join(lines[:-1]).encode()).fairs) == MAX_MARKETS
    for body in ("".join(lines).encode(), b"\n" * (MAX_BYTES + 1)):
        with pytest.raises(SourceError, match=r"more than|larger than"):
            read_table(body)


def read_or_refuse(body: bytes) -> FairValueTable:
    """The table; where there is none, an empty one with why not as its junk."""
    try:
        return read_table(body)
    except SourceError as error:
        return FairValueTable({}, 1, str(error))


@given(
    st.one_of(
        st.binary(max_size=200),
        st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.text(alphabet='KX-1,.05"{}[]:\n\0e', max_size=60).map(str.encode),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        ).map(lambda found: json.dumps(found).encode()),
    )
)
def test_any_bytes_are_a_table_or_one_typed_error(body: bytes) -> None:
    table = read_or_refuse(body)
    assert table.first_junk.isprintable()
    for fair, until in table.fairs.values():
        assert 0 <= fair <= ONE_DOLLAR
        assert until is None or isinstance(until, int)


def test_json_as_deep_as_a_well_is_no_reason_to_fall_in() -> None:
    for body in (b"[" * 200_000, b'{"A":' * 100_000, b'[{"ticker": "A-1", "probability": ' + b"9" * 5_000 + b"}]"):
        assert read_or_refuse(body).fairs == {}


# -- how long it holds --------------------------------------------------------------------------------------------


class Desk:
    """A reader by hand, of whatever is set as its page."""

    def __init__(self, body: str = "KXA-1,0.45\n", age_s: float = 0.0, **options: float) -> None:
        self.clock = ManualClock(NOW)
        self.page: FairValuePage | SourceError = FairValuePage(body.encode(), age_s)
        self.heard: list[FairValue] = []
        self.said: list[str] = []
        self.run: set[str] = set()
        self.reader = FairReader(
            "fair.csv", self._fetch, self.clock, self.heard.append, every_s=1,
            valid_s=options.get("valid_s", 100), tell=self.said.append, tickers=lambda: self.run,
        )  # fmt: skip

    def _fetch(self) -> FairValuePage:
        if isinstance(self.page, SourceError):
            raise self.page
        return self.page

    def read(self, page: FairValuePage | SourceError | None = None, *, after: float = 0.0) -> list[FairValue]:
        self.clock.advance(after)
        self.page = self.page if page is None else page
        before = len(self.heard)
        self.reader.read()
        return self.heard[before:]


def test_a_probability_holds_for_so_long_after_it_was_made() -> None:
    assert Desk().read() == [FairValue(NOW, "KXA-1", Price(4_500), "fair.csv", Ts(NOW + 100_000))]
    [aged] = Desk(age_s=30).read()
    assert aged.until == NOW + 70_000


def test_a_source_that_nobody_writes_any_more_is_not_made_fresh_by_reading_it() -> None:
    desk = Desk()
    first = desk.read()[0].until
    assert desk.read(FairValuePage(b"KXA-1,0.45\n", 60.0), after=60)[0].until == first
    assert desk.read(FairValuePage(b"KXA-1,0.45\n", 101.0), after=41) == []
    assert desk.said == ["fair.csv: fair values are 101 s old and valid for 100 s; not used"]


def test_the_source_itself_may_end_it_earlier_but_not_later() -> None:
    for minutes, ends_ms in ((1, 60_000), (10, 100_000)):
        ends = f"2026-05-28T20:{26 + minutes}:40Z"
        assert parse_ts(ends) == NOW + minutes * 60_000
        assert Desk(f"KXA-1,0.45,{ends}\n").read()[0].until == NOW + ends_ms


def test_what_is_wrong_is_told_once_and_not_for_every_read() -> None:
    desk = Desk("KXA-1,0.45\njunk\n")
    for _ in range(5):
        assert len(desk.read(after=1)) == 1
    assert desk.said == ["fair.csv: 1 line cannot be read; first error: line 2: expected a ticker, a probability "
                         "and an optional time"]  # fmt: skip
    for number in range(100):
        desk.read(SourceError(f"trouble {number}"), after=1)
    assert len(desk.said) == 2, "and not more often than once a minute"
    assert "no update: trouble" in desk.said[1]


def test_a_table_without_markets_or_of_times_that_are_over_is_told() -> None:
    assert Desk("\n").read() == []
    desk = Desk("KXA-1,0.45,2020-01-01T00:00:00Z\n")
    desk.read()
    assert desk.said == ["fair.csv: 1 market past their end time"]


def test_a_table_of_which_no_market_is_in_the_run_is_told() -> None:
    for run, said in (
        ({"KXB-1"}, ["fair.csv: none of its markets is in this run, for example KXA-1"]),
        ({"KXB-1", "KXA-1"}, []),
        (set(), []),
    ):
        desk = Desk()
        desk.run = run
        assert len(desk.read()) == 1
        assert desk.said == said


def ages(desk: Desk) -> tuple[float, str, bool]:
    state, now = desk.reader.source.state, desk.clock.now()
    return state.age_s(now), state.problem, state.is_stale(now)


def test_the_age_of_its_last_usable_answer_grows_until_there_is_another() -> None:
    desk = Desk()
    assert desk.reader.source.state.name == "model fair.csv"
    desk.read(after=50)
    assert ages(desk) == (0, "", False)
    desk.read(SourceError("the command ended with 1"), after=100)
    assert ages(desk) == (100, "the command ended with 1", False)
    desk.read(after=1)
    assert ages(desk) == (101, "the command ended with 1", True)
    desk.read(FairValuePage(b"KXA-1,0.45\n", 30.0))
    assert ages(desk) == (30, "", False), "the age of what it says counts, not that of the read"


@pytest.mark.parametrize(
    ("body", "age_s", "problem"),
    [
        ("KXA-1,9\n", 0.0, "cannot be read"),
        ("\n", 0.0, "no markets listed"),
        ("KXA-1,0.45,2020-01-01T00:00:00Z\n", 0.0, "past their end time"),
        ("KXB-1,0.45\n", 0.0, "none of its markets is in this run"),
        ("KXA-1,0.45\n", 101.0, "101 s old"),
    ],
)
def test_an_answer_that_moves_nothing_is_no_usable_one(body: str, age_s: float, problem: str) -> None:
    desk = Desk()
    desk.run = {"KXA-1"}
    desk.read(FairValuePage(body.encode(), age_s), after=101)
    assert (ages(desk)[0], ages(desk)[2], problem in ages(desk)[1]) == (101, True, True)
    desk.read(FairValuePage(b"KXA-1,0.45\nKXB-1,0.45\njunk\n"))
    assert ages(desk) == (0, "", False), "one market of the run is enough"


def test_a_source_that_is_not_asked_now_is_not_stale() -> None:
    clock, looked = SystemClock(), [0]

    def look() -> bool:
        looked[0] += 1
        return False

    reader = FairReader(
        "f", lambda: FairValuePage(b""), clock, lambda _: None, every_s=0.01, valid_s=0.02, is_open=look
    )
    time.sleep(0.1)
    assert reader.source.state.is_stale(clock.now())
    with reader.run_in_thread(threading.Event()):
        eventually(lambda: looked[0] > 1)
        assert reader.source.state.age_s(clock.now()) < 0.1


def test_it_reads_in_a_thread_while_a_window_is_open_and_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fair_values, "MAX_READ_S", 60.0)
    heard: list[FairValue] = []
    asked, is_open, stopping = [0], [False], threading.Event()

    def fetch() -> FairValuePage:
        asked[0] += 1
        return FairValuePage(b"KXA-1,0.45\n")

    looked = [0]

    def look() -> bool:
        looked[0] += 1
        return is_open[0]

    reader = FairReader("f", fetch, SystemClock(), heard.append, every_s=0.01, valid_s=60, is_open=look)
    with reader.run_in_thread(stopping):
        eventually(lambda: looked[0] > 3)
        assert asked == [0], "outside of the window nobody is asked"
        is_open[0] = True
        eventually(lambda: len(heard) > 2)
    assert not [thread for thread in threading.enumerate() if thread.name == "fairs-f"]


# -- files --------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "fair.csv"
    path.write_text("KXA-1,0.45\n")
    return path


def test_how_old_a_file_is_says_its_time_of_change(file: Path) -> None:
    os.utime(file, (1_000, NOW / 1000 - 30))
    assert read_file(file, ManualClock(NOW)) == FairValuePage(b"KXA-1,0.45\n", pytest.approx(30))  # type: ignore[arg-type]


def test_a_file_from_the_future_would_stay_fresh_for_ever_and_is_refused(file: Path) -> None:
    os.utime(file, (1_000, NOW / 1000 + 30))
    assert read_file(file, ManualClock(NOW)).age_s == 0
    os.utime(file, (1_000, NOW / 1000 + 90))
    with pytest.raises(SourceError, match="future"):
        read_file(file, ManualClock(NOW))


@pytest.mark.parametrize("half", ["KXA-1,0.45\nKXA-2,0.4", "", '{"KXA-1": 0.4', '[{"ticker": "KXA-1"'])
def test_a_file_that_is_half_written_says_nothing(file: Path, half: str) -> None:
    file.write_text(half)
    with pytest.raises(SourceError, match=r"incomplete|invalid JSON"):
        read_table(read_file(file, SystemClock()).body)


def test_json_needs_no_end_of_line(file: Path) -> None:
    file.write_text('{"KXA-1": 0.45}')
    assert read_table(read_file(file, SystemClock()).body).fairs == {"KXA-1": FairValueEntry(Price(4_500))}


def test_what_is_no_file_is_refused_and_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, why in (("missing", "No such file"), ("pipe", "not a file"), (".", "not a file|directory")):
        with pytest.raises(SourceError, match=why):
            read_file(tmp_path / name, SystemClock())


def test_a_file_that_is_too_long_is_not_read_to_its_end(file: Path) -> None:
    file.write_bytes(b"\n" * (MAX_BYTES + 1_000))
    body = read_file(file, SystemClock()).body
    assert len(body) == MAX_BYTES + 1
    with pytest.raises(SourceError, match="larger"):
        read_table(body)


# -- commands -----------------------------------------------------------------------------------------------------


def run(code: str, within_s: float = 60.0, stopping: threading.Event | None = None) -> FairValuePage:
    return run_command(
        [sys.executable, "-S", "-c", code], {}, SystemClock(), stopping or threading.Event(), within_s=within_s
    )


def test_a_command_says_what_it_writes() -> None:
    assert run("print('KXA-1,0.45')") == FairValuePage(b"KXA-1,0.45\n", 0.0)


def test_no_shell_reads_the_words_of_a_command() -> None:
    assert argv_of("""model.py 'a b' "$(touch x)" ; rm""") == ["model.py", "a b", "$(touch x)", ";", "rm"]
    for text in ("", "  ", "model 'half"):
        with pytest.raises(SourceError, match="command"):
            argv_of(text)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("print('KXA-1,0.45'); raise SystemExit(3)", "exit code 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "exit code -9"),
        ("import sys\nwhile True: sys.stdout.write('x' * 100_000)", "exceeds"),
    ],
)
def test_a_command_that_fails_says_nothing(code: str, why: str) -> None:
    with pytest.raises(SourceError, match=why):
        run(code)


def test_a_command_that_does_not_start_says_so() -> None:
    with pytest.raises(SourceError, match="cannot be started"):
        run_command(["/nonexistent/model"], {}, SystemClock(), threading.Event())


@pytest.mark.parametrize("code", ["import time; time.sleep(600)", "import os, time; os.close(1); time.sleep(600)"])
def test_a_command_that_hangs_is_ended(code: str) -> None:
    with pytest.raises(SourceError, match=r"timed out|does not end"):
        run(code, within_s=0.3)


def test_a_command_is_ended_with_its_children_when_the_run_ends(tmp_path: Path) -> None:
    stopping, errors = threading.Event(), []
    mark = tmp_path / "child"
    code = f"""
import os, pathlib, time
if os.fork() == 0:
    pathlib.Path({str(mark)!r}).write_text(str(os.getpid()) + "\\n")
time.sleep(600)"""

    def follow() -> None:
        try:
            run(code, 600.0, stopping)
        except SourceError as error:
            errors.append(str(error))

    thread = threading.Thread(target=follow)
    thread.start()
    child = int(eventually(lambda: mark.exists() and mark.read_text().strip()))
    stopping.set()
    thread.join(60)
    assert errors == ["the command timed out"]
    eventually(lambda: not _runs(child))


def _runs(pid: int) -> bool:
    """A child whose parent was ended too is only waiting to be buried by whoever does that here."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


# -- the web ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "age_s"),
    [
        ({}, 0),
        ({"age": "30"}, 30),
        ({"age": "-1"}, 0),
        ({"date": "Thu, 28 May 2026 20:26:40 GMT"}, 0),
        ({"last-modified": "Thu, 28 May 2026 20:25:40 GMT", "date": "Thu, 28 May 2026 20:26:40 GMT"}, 60),
        ({"last-modified": "Thu, 28 May 2026 20:25:40 -0000", "date": "Thu, 28 May 2026 20:26:40 GMT"}, 60),
        ({"last-modified": "Thu, 28 May 2026 19:26:40 GMT"}, 3_600),
        ({"last-modified": "Thu, 28 May 2026 19:26:40 GMT", "date": "today"}, 3_600),
        ({"last-modified": "Thu, 28 May 2026 21:26:40 GMT"}, 0),
        ({"age": "9" * 12}, 999_999_999_999),
        ({"last-modified": "yesterday", "date": "today"}, 0),
        ({"last-modified": "Thu, 28 May 2026 20:26:40 GMT", "date": "Thu, 28 May 2026 20:25:40 GMT", "age": "5"}, 5),
    ],
)
def test_how_old_a_web_page_is_says_its_server(headers: dict[str, str], age_s: float) -> None:
    """What was made an hour ago must not pass for new because its server does not say what time it is there."""
    assert age_of(headers, NOW) == age_s
