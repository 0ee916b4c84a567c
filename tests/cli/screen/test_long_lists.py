"""Thousands of markets: listed with the memory of a page, whole or with an error, and left at any time."""

from __future__ import annotations

import csv
import gc
import io
import json
import os
import pty
import signal
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest
from support.long_listing import ServedListing, listing_served, market_body
from support.processes import start_program
from support.served import bare_variables, finish, program, set_variables, start

from kalshi_cli.cli.main import main
from kalshi_cli.cli.screen import render
from kalshi_cli.cli.screen.output import Format
from kalshi_cli.cli.screen.render import render_rows
from kalshi_cli.views.row import OutputRow

MANY, FEW = 7_000, 2_000
ALL = ("markets", "--all", "-q", "--format")
A_LITTLE = 1_200_000
"""Bytes, by which two runs of the same differ: caches, garbage not yet collected. MANY markets, held, take more."""


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Leads the program to a long listing."""

    @contextmanager
    def lead(markets: int, **more: float) -> Iterator[tuple[ServedListing, dict[str, str]]]:
        with listing_served(markets, **more) as one:  # type: ignore[arg-type]
            variables = {"KALSHI_REST_URL": one.url, **bare_variables(tmp_path)}
            set_variables(monkeypatch, tmp_path, variables)
            yield one, variables

    return lead


@pytest.fixture(scope="module")
def long_list() -> Iterator[str]:
    with listing_served(MANY) as one:
        yield one.url


@pytest.fixture(scope="module")
def broken_list() -> Iterator[str]:
    with listing_served(FEW + 500, broken_page=2) as one:
        yield one.url


@pytest.fixture
def broken(broken_list: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, tmp_path, {"KALSHI_REST_URL": broken_list, **bare_variables(tmp_path)})


@pytest.fixture
def many(long_list: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    variables = {"KALSHI_REST_URL": long_list, **bare_variables(tmp_path)}
    set_variables(monkeypatch, tmp_path, variables)
    return variables


def test_all_of_seven_thousand_come_out_as_ndjson_from_a_real_socket(many: dict[str, str], tmp_path: Path) -> None:
    ended = finish(start([*ALL, "ndjson"], many, tmp_path))
    rows = [json.loads(line) for line in ended.out.splitlines()]
    assert (ended.code, ended.err) == (0, "")
    assert [row["ticker"] for row in rows] == [market_body(number)["ticker"] for number in range(MANY)]


def peak(what: Callable[[], object], first: Callable[[], object] | None = None) -> int:
    """The most memory, in bytes, that Python held during a run, over what it held before; another run comes `first`."""
    (first or what)()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        what()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def run(*words: str) -> None:
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        assert main(list(words)) == 0


def peaks(form: str, *most: int) -> list[int]:
    """The most memory in bytes that listing so many markets takes, one after the other."""
    run("markets", "--limit", "10", "-q", "--format", form)
    found = []
    for count in most:
        gc.collect()
        tracemalloc.start()
        run("markets", "--limit", str(count), "-q", "--format", form)
        found.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return found


@pytest.mark.parametrize("form", ["ndjson", "plain"])
def test_memory_does_not_grow_with_the_list(form: str, many: dict[str, str]) -> None:
    few, some = peaks(form, FEW, MANY)
    assert some < few + A_LITTLE


def test_a_list_that_is_held_does_grow(many: dict[str, str]) -> None:
    """The companion: the measure sees what it should."""
    from support.resources import open_resources

    from kalshi_cli.config.sources import load

    with open_resources(load(None, many, {})) as app:

        def held(count: int) -> int:
            return peak(lambda: list(app.client.markets(limit=count)), lambda: list(app.client.markets(limit=10)))

        small, large = held(FEW), held(MANY)
    assert large > small + 3 * A_LITTLE


class Word(OutputRow, frozen=True, kw_only=True):
    word: str


def test_a_long_json_document_waits_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def document(count: int) -> int:
        with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
            return peak(lambda: render_rows(Word, (Word(word="x" * 100) for _ in range(count)), Format.JSON))

    monkeypatch.setattr(render, "MAX_IN_MEMORY_LENGTH", 100_000)
    assert document(20_000) < document(2_000) + 200_000
    monkeypatch.setattr(render, "MAX_IN_MEMORY_LENGTH", 100_000_000)
    assert document(20_000) > document(2_000) + 1_000_000


# -- the same, whatever its length --------------------------------------------------------------------------------


def printed(form: Format, count: int) -> str:
    out = io.StringIO()
    with redirect_stdout(out):
        render_rows(Word, (Word(word="x" * (number % 50 + 1)) for number in range(count)), form)
    return out.getvalue()


@pytest.mark.parametrize("count", [1, 2, 10, 25])
def test_a_document_of_parts_is_the_document(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = {form: printed(form, count) for form in (Format.JSON, Format.PLAIN)}
    monkeypatch.setattr(render, "MAX_IN_MEMORY_LENGTH", 1)
    monkeypatch.setattr(render, "_CHUNK", 7)
    assert printed(Format.JSON, count) == whole[Format.JSON]
    assert len(json.loads(whole[Format.JSON])) == count
    monkeypatch.setattr(render, "ALIGN_ROWS", 3)
    assert printed(Format.PLAIN, count).split() == whole[Format.PLAIN].split()


class Pair(OutputRow, frozen=True, kw_only=True):
    left: str
    right: int


def test_columns_only_become_wider_on_the_way_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(render, "ALIGN_ROWS", 2)
    rows = [Pair(left="a" * width, right=width) for width in (3, 9, 2, 4, 12, 1)]
    out = io.StringIO()
    with redirect_stdout(out):
        render_rows(Pair, rows, Format.PLAIN)
    ends = [len(line) for line in out.getvalue().splitlines()]
    assert ends[0] == ends[1] == ends[2] == ends[3] == ends[4] < ends[5] == ends[6]


def test_parts_of_the_same_width_are_the_whole_list(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Pair(left="a" * (9 - number % 9), right=10 ** (number % 7)) for number in range(40)]
    out = {}
    for size in (1_000, 10):
        monkeypatch.setattr(render, "ALIGN_ROWS", size)
        with redirect_stdout(io.StringIO()) as text:
            render_rows(Pair, rows, Format.PLAIN)
        out[size] = text.getvalue()
    assert out[10] == out[1_000]


# -- what ends it -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("broken")
@pytest.mark.parametrize("form", ["json", "ndjson", "csv", "plain"])
def test_a_page_that_fails_in_the_middle_is_an_error_and_no_short_list(form: str) -> None:
    ended = program(*ALL, form)
    assert ended.code == 6
    assert "cannot be read" in ended.err
    assert "Traceback" not in ended.err
    if form == "json":
        assert ended.out == ""
    else:
        assert 0 < ended.out.count("KXLONG") // 2 <= 1000


@pytest.mark.parametrize("form", ["json", "ndjson"])
def test_an_interrupt_in_the_middle_leaves_no_traceback_and_no_half_document(form: str, listed, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with listed(MANY, pause_s=0.3) as (one, variables), out.open("w") as stdout:
        process = start([*ALL, form], variables, tmp_path, stdout=stdout)
        one.wait_for_pages(3)
        process.send_signal(signal.SIGINT)
        ended = finish(process)
    assert ended.code == 130
    assert "Traceback" not in ended.err
    lines = out.read_text().splitlines()
    assert (lines != []) is (form == "ndjson")
    assert all(json.loads(line)["ticker"] for line in lines)


def test_a_sorted_list_holds_no_more_than_its_limit(many: dict[str, str]) -> None:
    ended = program("markets", "--sort", "volume", "--min-volume", "5", "--limit", "3", "-q", "--json")
    assert len(ended.json) == 3
    tickers = [
        row["ticker"] for row in csv.DictReader(io.StringIO(program(*ALL[:1], "--limit", "2", "--format", "csv").out))
    ]
    assert tickers == [market_body(number)["ticker"] for number in range(2)]


# -- the bar ------------------------------------------------------------------------------------------------------


def on_a_terminal(words: list[str], stdout: Path, **env: str) -> str:
    """Run the program with stderr on a terminal and stdout in a file; what the terminal saw."""
    near, far = pty.openpty()
    with stdout.open("w") as out:
        process = start_program(words, {**os.environ, **env}, stdout.parent, stdout=out, stderr=far)
    os.close(far)
    seen = b""
    with suppress(OSError):  # the other end is closed
        while chunk := os.read(near, 65536):
            seen += chunk
    os.close(near)
    assert process.wait() == 0
    return seen.decode()


def test_a_bar_on_stderr_counts_while_the_data_goes_to_its_file(many: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "rows"
    seen = on_a_terminal(["markets", "--all", "--format", "ndjson"], out, TERM="xterm")
    assert "Reading markets" in seen
    assert "KXLONG" not in seen
    assert out.read_text().count("\n") == MANY


@pytest.mark.parametrize("more", [{"TERM": "dumb"}, {"TERM": "xterm", "words": "--limit=5"}])
def test_there_is_no_bar_where_it_cannot_be_redrawn_or_nothing_takes_long(
    more: dict[str, str], many: dict[str, str], tmp_path: Path
) -> None:
    words = ["markets", more.pop("words", "--all"), "--format", "csv"]
    assert on_a_terminal(words, tmp_path / "rows", **more).count("reading") == 0
