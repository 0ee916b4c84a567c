"""`kalshi data download` against an exchange on a socket: what a user gets, and each mistake in one line."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import pytest
from support.served import CLOSED, ONE_SIDED, TWO_SIDED, Served, finish, program, start

from kalshi_cli.base.errors import ExitCode
from kalshi_cli.base.units import Price, Ts, format_ts
from kalshi_cli.lake.lake import open_lake
from kalshi_cli.lake.tables import FORMAT

GIVEN = {"--series": "kxrain", "--since": "2024-01-01", "--lake": "lake"}


def download(**changed: str) -> tuple[str, ...]:
    given = GIVEN | {f"--{name}": value for name, value in changed.items()}
    return "data", "download", *(word for option in given.items() for word in option)


DOWNLOAD = download()


def recent(exchange: Served) -> tuple[str, ...]:
    """A download of the last day: one of years takes seconds, and a minute at the rate without a key."""
    return download(since=format_ts(Ts(exchange.clock.now() - 86_400_000)))


@pytest.fixture
def traded(exchange: Served) -> Served:
    """The account traded three minutes ago, and an old market paid out."""
    exchange.clock.shift_s = -180
    exchange.trade_a_little()
    exchange.clock.shift_s = 0
    exchange.call(lambda: exchange.exchange.settle(CLOSED, Price(0), exchange.clock.now()))
    exchange.call(lambda: exchange.exchange.advance(exchange.clock.now()))
    return exchange


def test_a_download_continues_and_is_listed(traded: Served, tmp_path: Path) -> None:
    (row,) = program(*download(since="2024-05-25", until="2024-06-08"), "--json").json
    assert (row["series"], row["markets"], row["trades"]) == ("KXRAIN", 4, 0)
    words = recent(traded)
    first = program(*words, "--own", "--json")
    assert first.code == ExitCode.OK, first.err
    (row,) = first.json
    assert (row["series"], row["markets"], row["trades"], row["own_fills"]) == ("KXRAIN", 3, 3, 3)
    lake = open_lake(Path("lake"))
    assert {each["market"] for each in lake.rows("trades")} == {TWO_SIDED, ONE_SIDED}
    (row,) = program(*words, "--own", "--json").json
    assert (row["trades"], row["own_fills"], row["known"] >= 2) == (0, 0, True)
    (row,) = program("data", "list", "--lake", "lake", "--json").json
    assert (row["trades"], row["own_fills"]) == (3, 3)
    assert program("data", "check", "--lake", "lake").code == ExitCode.OK


@pytest.mark.parametrize(
    ("changed", "code", "text"),
    [
        ({"series": "KXNONE"}, ExitCode.REJECTED, "No series KXNONE"),
        ({"series": "kxrain,KXNONE"}, ExitCode.REJECTED, "No series KXNONE"),
        ({"series": ","}, ExitCode.USAGE, "--series names no series"),
        ({"since": "2040-01-01"}, ExitCode.USAGE, "is in the future"),
        ({"until": "2023-01-01"}, ExitCode.USAGE, "is not before until"),
    ],
)
def test_a_mistake_is_one_line_and_makes_no_lake(
    exchange: Served, tmp_path: Path, changed: dict[str, str], code: ExitCode, text: str
) -> None:
    ended = program(*download(**changed))
    assert ended.code == code
    assert text in ended.err
    assert "hint:" in ended.err
    assert len(ended.err.splitlines()) <= 2, ended.err
    assert not Path("lake").exists()


def test_a_lake_of_a_later_format_is_refused(exchange: Served, tmp_path: Path) -> None:
    open_lake(Path("lake"), is_new=True)
    Path("lake/lake.json").write_text(json.dumps({"format": FORMAT + 1}))
    ended = program(*DOWNLOAD)
    assert ended.code == ExitCode.STATE
    assert f"has format {FORMAT + 1}" in ended.err


def test_own_fills_need_a_key(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KALSHI_API_KEY_ID")
    monkeypatch.delenv("KALSHI_PRIVATE_KEY_PATH")
    assert program(*DOWNLOAD, "--own").code == ExitCode.CREDENTIALS
    assert not Path("lake").exists()
    assert program(*recent(exchange)).code == ExitCode.OK


def test_a_full_disk_is_one_line_and_leaves_a_usable_lake(traded: Served, tmp_path: Path) -> None:
    """A limit on the size of files stands for the disk."""
    open_lake(Path("lake"), is_new=True)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))
    try:
        ended = program(*recent(traded))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (ended.code, "Cannot write to the lake" in ended.err) == (ExitCode.STATE, True), ended.err
    assert open_lake(Path("lake")).rows("trades") == []
    assert program(*recent(traded)).code == ExitCode.OK
    assert len(open_lake(Path("lake")).rows("trades")) == 3


def test_a_killed_download_leaves_nothing_half_written(traded: Served, tmp_path: Path) -> None:
    """It is killed in the middle of its changes: the next one completes or removes them."""
    code = (
        "import os, signal, kalshi_cli.lake.transaction as t\n"
        "real = os.replace\n"
        "def replace(a, b):\n"
        "    real(a, b)\n"
        "    if str(b).endswith('.parquet'):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "os.replace = replace"
    )
    process = start(recent(traded), traded.variables(), tmp_path, first=code)
    assert finish(process).code == -9
    assert program(*recent(traded)).code == ExitCode.OK
    rows = open_lake(Path("lake")).rows("trades")
    assert len(rows) == len({row["trade_id"] for row in rows}) == 3
    assert program("data", "check", "--lake", "lake").code == ExitCode.OK
