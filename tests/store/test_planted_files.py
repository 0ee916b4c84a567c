"""Something else in the place of a file: it is told what it is, and nothing waits for it. A child that hangs is killed
by its alarm, and fails the test."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from support.values import NOW, Child, Open, full_order

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import RefusedError, StateFileError
from kalshi_cli.base.files import OtherKindError, open_regular, read_regular
from kalshi_cli.core.model.effects import SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.store.alert_tables import recover_notices
from kalshi_cli.store.database import Database
from kalshi_cli.store.halt_file import FILE, read_halt_file, write_halt_file
from kalshi_cli.store.lock import KILL_LOCK, KillLock, holder, lock, no_kill
from kalshi_cli.store.pause import FILE as PAUSE
from kalshi_cli.store.pause import pause, read_pause
from kalshi_cli.store.quarantine import quarantine, recover_locks
from kalshi_cli.store.records import Halt
from kalshi_cli.store.shared_counters import SharedCounters

HALT = Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", NOW)
CLOCK = ManualClock(NOW)

KINDS: dict[str, Callable[[Path], None]] = {
    "a FIFO": os.mkfifo,
    "a directory": lambda path: (path / "something").mkdir(parents=True),
    "a symbolic link": lambda path: path.symlink_to("/dev/zero"),
}
PARTS = ("", "-wal", "-shm", "-journal")


def refused(code: str, match: str, what: Callable[[], object]) -> None:
    with pytest.raises(StateFileError, match=match) as caught:
        what()
    assert caught.value.code == code


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "flags", [os.O_RDONLY, os.O_WRONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC]
)
def test_only_a_regular_file_is_opened(tmp_path: Path, in_child: Child, kind: str, flags: int) -> None:
    planted = tmp_path / "planted"
    KINDS[kind](planted)

    def look() -> None:
        with pytest.raises(OtherKindError) as caught:
            open_regular(planted, flags | os.O_NOFOLLOW)
        assert caught.value.strerror == f"it is {kind}, not a regular file"
        with pytest.raises(OtherKindError):
            open_regular(planted, flags)  # a link is followed, and leads to a device

    assert in_child(look) == 0


def test_a_regular_file_is_opened_through_a_link_where_that_is_wished_and_no_child_inherits_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular(tmp_path / "link") == b"text"
    assert read_regular(tmp_path / "link", 2) == b"te"
    file = open_regular(tmp_path / "new", os.O_WRONLY | os.O_CREAT)
    assert (os.get_inheritable(file), os.get_blocking(file)) == (False, True)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    os.close(file)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "missing")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", PARTS)
def test_sqlite_is_not_asked_to_open_anything_else(
    open_store: Open, path: Path, in_child: Child, part: str, kind: str
) -> None:
    with open_store() as store:
        store.record(SubmitOrder(full_order()))
    planted = path.with_name(path.name + part)
    planted.unlink(missing_ok=True)
    KINDS[kind](planted)

    def look() -> None:
        for create in (True, False):
            what = rf"{planted.name} cannot be used: it is {kind}, not a regular file"
            refused("state_unusable", what, lambda create=create: open_store(create=create))  # type: ignore[misc]
        kept = quarantine(path, "aside")
        assert not os.path.lexists(planted)
        assert kept is not None
        assert recover_notices(kept) == ([], False) == recover_locks(kept)
        open_store().set_halt(HALT)

    assert in_child(look) == 0


STEPS = (lambda execute: execute("CREATE TABLE a (b)"), lambda execute: execute("CREATE TABLE c (d)"))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["state.db.format1", "state.db.format1.{pid}"])
def test_a_copy_that_cannot_be_kept_is_an_error_of_the_state_file(
    path: Path, in_child: Child, kind: str, name: str
) -> None:
    Database(path, STEPS[:1]).close()

    def look() -> None:
        KINDS[kind](path.with_name(name.format(pid=os.getpid())))
        if kind == "a directory":
            refused("state_unwritable", "Cannot keep a copy", lambda: Database(path, STEPS))
        else:  # it gives way to the copy
            Database(path, STEPS).close()
            assert path.with_name("state.db.format1").is_file()

    assert in_child(look) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_small_files_of_a_state_directory_are_not_waited_for(tmp_path: Path, in_child: Child, kind: str) -> None:
    for name in (FILE, PAUSE, "trade.lock", KILL_LOCK, "pace"):
        KINDS[kind](tmp_path / name)

    def look() -> None:
        found = read_halt_file(tmp_path)
        assert found is not None
        assert found.is_final
        refused("state_unwritable", f"it is {kind}", lambda: write_halt_file(tmp_path, HALT))
        assert read_pause(tmp_path) is not None
        pause(tmp_path, "there is one already")
        with pytest.raises(StateFileError, match=f"it is {kind}"):
            holder(tmp_path / "trade.lock")
        for taken in (lock(tmp_path / "trade.lock", CLOCK), no_kill(tmp_path, CLOCK)):
            refused("state_unwritable", f"it is {kind}", taken.__enter__)
        switch = KillLock(tmp_path)
        switch.hold(NOW)
        switch.release()
        refused("state_unwritable", f"it is {kind}", SharedCounters(tmp_path / "pace", 3, CLOCK).held().__enter__)

    assert in_child(look) == 0


# -- the lock of the kill switches ----------------------------------------------------------------------------------


def test_kill_switches_hold_their_lock_together_and_nothing_is_lifted_before_the_last_is_gone(tmp_path: Path) -> None:
    switches = [KillLock(tmp_path) for _ in range(3)]
    for switch in switches:
        switch.hold(NOW)
        switch.hold(NOW)  # once is enough
    while switches:
        with pytest.raises(RefusedError, match=f"pid {os.getpid()}, since 2026-") as caught, no_kill(tmp_path, CLOCK):
            raise AssertionError
        assert caught.value.code == "KILL_RUNS"
        switches.pop().release()
    with no_kill(tmp_path, CLOCK):
        late = KillLock(tmp_path)
        late.hold(NOW)  # waits for nobody
    with no_kill(tmp_path, CLOCK):
        pass
    late.hold(NOW)
    with pytest.raises(RefusedError), no_kill(tmp_path, CLOCK):
        pass
    late.release()


def test_where_nothing_ran_there_is_no_lock_and_none_is_made(tmp_path: Path) -> None:
    KillLock(tmp_path / "sim").hold(NOW)
    with no_kill(tmp_path / "sim", CLOCK):
        pass
    assert not (tmp_path / "sim").exists()


def test_the_file_of_the_lock_does_not_grow_for_ever_and_says_nothing_of_who_has_ended(tmp_path: Path) -> None:
    for _ in range(200):
        switch = KillLock(tmp_path)
        switch.hold(NOW)
        switch.release()
    assert 0 < (tmp_path / KILL_LOCK).stat().st_size < 5_000
    (tmp_path / KILL_LOCK).write_bytes(b'{"pid": 4194305}\n{"pid": -1}\nnonsense\n{"pid": 99999999999999999999}\n')
    switch = KillLock(tmp_path)
    switch.hold(NOW)
    text = (tmp_path / KILL_LOCK).read_bytes()
    (tmp_path / KILL_LOCK).write_bytes(b"\n".join(text.splitlines()[:-1]))
    with pytest.raises(RefusedError, match="pid unknown"), no_kill(tmp_path, CLOCK):
        pass
    switch.release()
