"""Tickers completed in a shell: from the catalogue alone, whatever was typed, and never a word of complaint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.processes import run_program
from support.served import FINE, ONE_SIDED, TWO_SIDED, Served, bare_variables, program, served, set_variables

from kalshi_cli.base.units import Ts
from kalshi_cli.cli.completion import MAX_TITLE_LENGTH, completions
from kalshi_cli.cli.global_options import GlobalOptions
from kalshi_cli.cli.main import ENTRIES, root
from kalshi_cli.config.sources import load
from kalshi_cli.store.catalog.entries import Entry, Kind, RefreshProgress
from kalshi_cli.store.catalog.sqlite_catalog import catalogue_path, open_catalogue

TICKERS = ["KXRAIN-24JUN01-T1.0", TWO_SIDED, ONE_SIDED, "KXRAIN-40JAN01-T3.0", FINE]
"""Of the served exchange, closed ones too."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An exchange whose listing is in the catalogue, and which nobody asks any more."""
    with served(tmp_path_factory.mktemp("exchange")) as one:
        with pytest.MonkeyPatch.context() as variables:
            set_variables(variables, one.home, one.variables())
            assert program("catalog", "refresh").code == 0
        yield one


@pytest.fixture
def one(shared: Served, monkeypatch: pytest.MonkeyPatch) -> Served:
    set_variables(monkeypatch, shared.home, shared.variables())
    return shared


def offered(kind: str, typed: str, flags: GlobalOptions | None = None) -> list[str]:
    return [each if isinstance(each, str) else each[0] for each in completions(kind, flags or GlobalOptions(), typed)]


def in_bash(line: str) -> subprocess.CompletedProcess[str]:
    """What bash is told for the last word of the line."""
    words = line.split(" ")
    shell = {"_KALSHI_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    return run_program((), {**os.environ, **shell}, Path.cwd())


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("kalshi market KXW", [FINE]),
        ("kalshi orderbook KXRAIN-40JAN01-T1.0 KXRAIN-40JAN01-T2", [ONE_SIDED]),
        ("kalshi watch KXW", [FINE]),
        ("kalshi fills --ticker KXW", [FINE]),
        ("kalshi order place KXW", [FINE]),
        ("kalshi trade --ticker KXRAIN-40JAN01-T1.0,KXW", [f"{TWO_SIDED},{FINE}"]),
        ("kalshi markets --series KXR", ["KXRAIN"]),
        ("kalshi markets --event KXW", ["KXWIND-40JAN01"]),
        ("kalshi event KXW", ["KXWIND-40JAN01"]),
        ("kalshi market kxw", ["kxw" + FINE[3:]]),
        ("kalshi market NOTHING", []),
        ("kalshi catal", ["catalog"]),
        ("kalshi markets --offl", ["--offline"]),
        ("kalshi markets --status un", ["unopened"]),
        ("kalshi --env d", ["demo"]),
        ("kalshi balance --format nd", ["ndjson"]),
        ("kalshi balance --fields total,ca", ["total,cash"]),
        ("kalshi trade --strategy spike,cry", ["spike,crypto-ta"]),
        ("kalshi strategies mean", ["mean-reversion"]),
        ("kalshi runbook kill", ["kill-switch"]),
        ("kalshi schema Orderb", ["OrderbookView"]),
        ("kalshi schema order li", ["list"]),
        ("kalshi schema order list ", []),
        ("kalshi markets --tz America/New", ["America/New_York"]),
        ("kalshi order cancel xyz", []),
    ],
)
def test_bash_is_told_what_fits(one: Served, line: str, found: list[str]) -> None:
    done = in_bash(line)
    assert (done.stdout.split(), done.stderr) == (found, "")


@pytest.mark.parametrize(
    "line", ["kalshi watch --list m", "kalshi top --list m", "kalshi watchlist m", "kalshi watchlist remove m"]
)
def test_the_name_of_a_watchlist_is_offered(one: Served, line: str) -> None:
    program("watchlist", "add", "mine", TWO_SIDED)
    done = in_bash(line)
    assert (done.stdout.split(), done.stderr) == (["mine"], "")


def test_a_close_is_offered_the_positions_that_the_state_file_knows(one: Served) -> None:
    words = ("--side", "yes", "--action", "buy", "--count", "1", "--price")
    assert in_bash("kalshi close KX").stdout.split() == sorted(TICKERS), "without a position, any market"
    assert program("order", "place", TWO_SIDED, *words, "0.47", "--yes").code == 0
    assert program("order", "place", FINE, *words, "0.02", "--yes").code == 0
    assert in_bash("kalshi close ").stdout.split() == [TWO_SIDED]
    assert in_bash("kalshi close kxr").stdout.split() == ["kxr" + TWO_SIDED[3:]]
    assert in_bash("kalshi close KXW").stdout.split() == [FINE], "a position from elsewhere may be there"
    assert in_bash("kalshi order place KX").stdout.split() == sorted(TICKERS)
    assert program("close", TWO_SIDED, "--yes").code == 0
    assert in_bash("kalshi close KX").stdout.split() == sorted(TICKERS)


def test_the_environment_on_the_line_chooses_the_catalogue(one: Served) -> None:
    assert in_bash("kalshi --env sim market KXW").stdout.split() == [FINE]
    done = in_bash("kalshi --env prod market KXW")
    assert (done.stdout.split(), done.stderr) == ([], "")
    assert offered("market", "KXW", GlobalOptions(state=one.home / "elsewhere")) == []


@pytest.mark.parametrize("typed", ["", "K", "KXRAIN"])
def test_everything_that_begins_so_is_offered(one: Served, typed: str) -> None:
    assert offered("market", typed) == sorted(each for each in TICKERS if each.startswith(typed))


def garbage(one: Served) -> None:
    catalogue_path(load(None, os.environ, {})).write_bytes(b"garbage" * 999)


def bad_configuration(one: Served) -> None:
    (one.home / "config.yaml").write_text("env: [\n")


def no_state(one: Served) -> None:
    os.environ["KALSHI_STATE"] = "/dev/null/nowhere"


@pytest.mark.parametrize("spoil", [garbage, bad_configuration, no_state])
def test_whatever_is_wrong_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil) -> None:
    with served(tmp_path) as one:
        set_variables(monkeypatch, one.home, one.variables())
        assert program("catalog", "refresh").code == 0
        monkeypatch.setenv("KALSHI_STATE", os.environ["KALSHI_STATE"])
        spoil(one)
        done = in_bash("kalshi market KXW")
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_shell_that_asks_nonsense_hears_nothing(one: Served) -> None:
    shell = {"_KALSHI_COMPLETE": "complete_bash", "COMP_WORDS": "kalshi market", "COMP_CWORD": "second"}
    done = run_program((), {**os.environ, **shell}, Path.cwd())
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_completing_creates_nothing_and_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, tmp_path, {**bare_variables(tmp_path), "KALSHI_REST_URL": "http://127.0.0.1:9"})
    done = in_bash("kalshi market KX")
    assert (done.stdout.strip(), done.stderr) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_hostile_listing_reaches_no_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """zsh evaluates what it is given."""
    set_variables(monkeypatch, tmp_path, bare_variables(tmp_path))
    catalogue = open_catalogue(load(None, os.environ, {}), create=True)
    assert catalogue is not None
    bad = '"\'`$(touch pwned)\\";{}[red]\x1b[31m\n' + "x" * 200
    entries = [
        Entry(kind=Kind.MARKET, ticker="KXGOOD-1", title=bad),
        Entry(kind=Kind.MARKET, ticker="KX$(touch pwned)", title="fine"),
        Entry(kind=Kind.MARKET, ticker="KX*", title="fine"),
    ]
    catalogue.put(entries, RefreshProgress(started=Ts(1), since=None))
    catalogue.close()
    (value, title), *rest = completions("market", GlobalOptions(), "KX")  # type: ignore[str-unpack]
    assert (value, rest) == ("KXGOOD-1", [])
    assert title.startswith("touch pwnedred31mxxx")
    assert len(title) <= MAX_TITLE_LENGTH
    zsh = {"_KALSHI_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "kalshi market KX"}
    done = run_program((), {**os.environ, **zsh}, Path.cwd())
    assert not set("$`\\") & set(done.stdout)


def test_what_completion_imports_is_little(one: Served) -> None:
    program = (
        "import sys, json\nfrom kalshi_cli.cli.completion import completions\n"
        "from kalshi_cli.cli.global_options import GlobalOptions\n"
        "assert completions('market', GlobalOptions(), 'KXW')\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    heavy = {"httpx", "rich", "cryptography", "websocket", "uvicorn", "asyncio", "kalshi_cli.app", "tabulate", "yaml"}
    assert heavy & set(json.loads(done.stdout)) == set()


def test_every_parameter_that_names_a_ticker_completes_it(one: Served) -> None:
    """A metavar that completion does not know would be silent for ever: all of them are looked at."""
    without: list[str] = []
    with root().make_context("kalshi", ["--help"], resilient_parsing=True) as ctx:
        for name in ENTRIES:
            pending = [(name, ctx.command.get_command(ctx, name))]  # type: ignore[attr-defined]
            while pending:
                path, command = pending.pop()
                for inner in getattr(command, "commands", {}).items():
                    pending.append((f"{path} {inner[0]}", inner[1]))
                for param in command.params:
                    metavar = getattr(param, "metavar", None) or ""
                    says_ticker = any(word in metavar for word in ("TICKER", "EVENT", "SERIES", "MARKET", "GLOB"))
                    if says_ticker and "shell_complete" not in vars(param):
                        without.append(f"{path} {param.name} {metavar}")
    assert without == []
