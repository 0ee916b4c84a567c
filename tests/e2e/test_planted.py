"""FIFOs, directories, links and sockets in the place of the program's own files: the kill switch, and whatever else
looks at them, ends in its time. Real processes: one that hangs is killed with its whole group, and fails the test."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from support.processes import start_program
from support.served import ME, TWO_SIDED, Ended, Served, program, served, set_variables

from kalshi_cli.core.model.order_terms import BID

WITHIN_S = 60.0
"""Nothing here takes more than a few seconds: what takes longer hangs."""

PROMPT = "from kalshi_cli.services.orders import cancel; cancel.MARGIN_MS = -1_000\n"
"""This exchange's lists do not trail: the proof that nothing rests is not waited for, five seconds each time."""

SEVERAL = """
import json, sys
from kalshi_cli.cli.main import main
print(json.dumps([int(main(words)) for words in json.loads(sys.argv[1])]))
sys.exit()
"""


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path, shards=1) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        yield one


def run(*words: str) -> Ended:
    """One command in a process group of its own."""
    return _ended(words, PROMPT)


def run_several(*lines: str) -> tuple[list[int], str]:
    """Several command lines in one process: what each ended with, and what they wrote."""
    ended = _ended([json.dumps([line.split() for line in lines])], SEVERAL)
    assert ended.code == 0, ended.err
    return json.loads(ended.out.splitlines()[-1]), ended.out + ended.err


def _ended(words: Sequence[str], first: str) -> Ended:
    with start_program(words, os.environ, Path.cwd(), first=first, start_new_session=True) as process:
        try:
            out, err = process.communicate(timeout=WITHIN_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            raise AssertionError(f"{words} hangs; {err}") from None
    return Ended(process.returncode, out, err)


# -- what is planted ----------------------------------------------------------------------------------------------


def _socket(path: Path) -> None:
    """Short names only: the kernel takes 107 characters, so it is bound from within the directory."""
    before = os.getcwd()
    os.chdir(path.parent)
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(before)


KINDS: dict[str, Callable[[Path], None]] = {
    "fifo": os.mkfifo,
    "directory": lambda path: (path / "something").mkdir(parents=True),
    "link to nowhere": lambda path: path.symlink_to("/nowhere/at/all"),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "socket": _socket,
}

BESIDE = (".pause", "trade.lock", "kill.lock", "pace", "catalogue.db")
STATE = ("state.db", "state.db-wal", "state.db-shm", "state.db-journal")


def plant(home: Path, name: str, kind: str) -> None:
    path = home / name
    path.parent.mkdir(exist_ok=True)
    if path.is_dir():
        path.rename(path.with_name("moved-away"))
    path.unlink(missing_ok=True)
    KINDS[kind](path)


@pytest.fixture
def home(exchange: Served) -> Path:
    """The state directory of an account that traded here, with an order that rests."""
    words = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "2", "--price", "0.41")
    assert program(*words, "--json").code == 0
    exchange.submit(ME, TWO_SIDED, BID, "0.3900", "1")
    assert len(exchange.resting()) == 2
    return exchange.state / "sim"


# -- the kill switch ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names", [(".halted", *BESIDE), (*STATE, *BESIDE, "logs"), ("state.db-wal", "logs/kalshi.jsonl")], ids=str
)
def test_fifos_in_the_place_of_other_files_hold_up_no_kill_switch(
    exchange: Served, home: Path, names: tuple[str, ...]
) -> None:
    for name in names:
        plant(home, name, "fifo")
    ended = run("cancel-all", "--json")
    assert exchange.resting() == []
    assert (ended.code, ended.json["remaining"], ended.json["halted"]) == (0, 0, True), ended.err
    for name in names:
        (home / name).unlink()  # the halt does not hang on what anybody planted
    if "state.db" not in names:
        assert program("status", "--json").json["state"] == "halted"
    again = program("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "2", "--price", "0.41")
    assert again.code == 3, again.err


@pytest.mark.parametrize("kind", KINDS)
def test_where_the_halt_can_be_written_nowhere_everything_is_canceled_and_it_ends_with_8(
    exchange: Served, home: Path, kind: str
) -> None:
    for name in (".halted", *STATE, *BESIDE, "logs"):
        plant(home, name, kind)
    ended = run("cancel-all", "--json")
    assert exchange.resting() == []
    assert (ended.code, ended.json["remaining"], ended.json["halted"]) == (8, 0, False), ended.err
    assert "the halt could NOT be saved" in ended.err


@pytest.mark.parametrize("kind", ["fifo", "link to nowhere"])
def test_a_state_directory_that_is_none_holds_up_no_kill_switch(exchange: Served, home: Path, kind: str) -> None:
    plant(home.parent, home.name, kind)
    ended = run("cancel-all", "--json")
    assert exchange.resting() == []
    assert (ended.code, ended.json["halted"]) == (8, False), ended.err


@pytest.mark.parametrize("kind", ["fifo", "directory"])
def test_a_key_or_a_configuration_that_is_no_file_is_said_at_once(
    exchange: Served, home: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(Path.cwd(), "config.yaml", kind)
    ended = run("cancel-all", "--json")
    assert (ended.code, ended.error["code"]) == (2, "config"), ended.err
    assert "NOTHING WAS DONE" in ended.error["message"]
    exchange.key_path.rename("kept.pem")
    plant(Path.cwd(), "key.pem", kind)
    ended = run("--env", "sim", "cancel-all", "--json")
    assert (ended.code, ended.error["code"]) == (7, "private_key"), ended.err
    assert "NOTHING WAS CANCELED, and 1 order of the state file may be live" in ended.error["message"]
    monkeypatch.setenv("KALSHI_PRIVATE_KEY_PATH", str(Path("kept.pem").absolute()))
    assert run("--env", "sim", "cancel-all", "--json").code == 0
    assert exchange.resting() == []


# -- whatever else looks at the files -------------------------------------------------------------------------------


PLACE = f"order place {TWO_SIDED} --side yes --action buy --count 1 --price 0.40"
TRADE = f"trade --strategy spike --ticker {TWO_SIDED} --interval 0.1s --duration 0.3s --json"
LOOKS = ("status", "check all", "check heartbeat", "health-check", "pause", "stop", PLACE, TRADE, "resume --reason x")


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("fifo", (".halted", ".pause")),
        ("fifo", STATE),
        ("fifo", ("trade.lock",)),
        ("fifo", ("kill.lock", "pace")),
        ("directory", STATE),
        ("directory", ("trade.lock", "kill.lock", "pace")),
    ],
    ids=str,
)
def test_nothing_that_looks_at_them_hangs_or_meets_a_bug(
    exchange: Served, home: Path, kind: str, names: tuple[str, ...]
) -> None:
    for name in names:
        plant(home, name, kind)
    codes, text = run_several(*LOOKS)
    assert 70 not in codes, text
    assert "Traceback" not in text
    by_command = dict(zip(LOOKS, codes, strict=True))
    is_unread = bool({"state.db", "trade.lock"} & set(names))
    assert by_command["status"] == (8 if is_unread else 0), text
    assert by_command[TRADE] == (8 if is_unread else 9 if ".halted" in names else 0), text
    if is_unread:
        assert f"it is a {kind.upper() if kind == 'fifo' else kind}, not a regular file" in text
    if "kill.lock" in names:
        assert by_command["resume --reason x"] == 8, "nobody can know whether a kill switch runs"


@pytest.mark.parametrize("kind", ["fifo", "socket"])
@pytest.mark.parametrize(
    "names", [("logs",), ("logs/kalshi.jsonl", "logs/trades.csv", "logs/daily_pnl.csv"), ("logs/daily_pnl.draft",)]
)
def test_a_loop_trades_on_without_its_log_and_tables_and_says_so_once(
    exchange: Served, home: Path, names: tuple[str, ...], kind: str
) -> None:
    for name in names:
        plant(home, name, kind)
    codes, text = run_several(TRADE)
    assert codes == [0], text
    assert text.count("cannot write the log") == (names[0] != "logs/daily_pnl.draft"), text
    assert text.count("cannot be kept") <= 1, text
