"""One loop per account; the kernel lets go of the lock however its holder ends."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
from pathlib import Path
from typing import Any

import pytest
from support.values import NOW, Child, fork

from kalshi_cli.base.clock import ManualClock, SystemClock
from kalshi_cli.base.errors import AnotherInstanceError, ExitCode, StateFileError
from kalshi_cli.store.lock import LockHolder, holder, lock


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "trade.lock"


def test_a_second_holder_is_refused_and_told_who_the_first_is(file: Path) -> None:
    clock = ManualClock(NOW)
    with lock(file, clock):
        with pytest.raises(AnotherInstanceError, match=rf"pid {os.getpid()}, since 2026-") as caught, lock(file, clock):
            pass
        assert caught.value.exit_code is ExitCode.INSTANCE
        assert holder(file) == LockHolder(os.getpid(), NOW)
    with lock(file, clock):
        pass


def test_nobody_holds_a_lock_that_is_missing_or_released(file: Path) -> None:
    assert holder(file) is None
    assert not file.exists()
    with lock(file, ManualClock(NOW)):
        pass
    assert file.exists()
    assert holder(file) is None


def test_a_lock_that_cannot_be_written_on_a_full_disk_is_an_error_of_the_state(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    told = f"Cannot write {file}: No space left on device"
    with pytest.raises(StateFileError, match=told) as caught, lock(file, ManualClock(NOW)):
        pytest.fail("the lock was taken")
    assert "kalshi check disk" in caught.value.hint
    assert holder(file) is None


def test_the_lock_is_released_when_the_work_raises(file: Path) -> None:
    with pytest.raises(RuntimeError), lock(file, ManualClock(NOW)):
        raise RuntimeError
    assert holder(file) is None


def test_a_killed_holder_holds_nothing(file: Path) -> None:
    ready, told = os.pipe()

    def hold() -> None:
        with lock(file, ManualClock(NOW)):
            os.write(told, b"!")
            signal.pause()

    child = fork(hold)
    assert os.read(ready, 1) == b"!"
    assert holder(file) == LockHolder(child, NOW)
    with pytest.raises(AnotherInstanceError, match=f"pid {child}"), lock(file, ManualClock(NOW)):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready)
    os.close(told)
    assert holder(file) is None
    with lock(file, ManualClock(NOW)):
        assert holder(file) == LockHolder(os.getpid(), NOW)


def test_of_many_that_start_at_once_exactly_one_runs_while_others_look_on(file: Path) -> None:
    go_read, go_write = os.pipe()
    done_read, done_write = os.pipe()

    def arrive() -> None:
        os.close(done_write)
        os.read(go_read, 1)
        try:
            with lock(file, SystemClock()):
                os.read(done_read, 1)  # until the parent has seen all others refused
        except AnotherInstanceError:
            os._exit(10)

    children = {fork(arrive) for _ in range(30)}
    os.write(go_write, b"!" * 30)
    refused: set[Any] = set()
    while len(refused) < 29:
        holder(file)
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid:
            assert os.waitstatus_to_exitcode(status) == 10
            refused.add(pid)
    (winner,) = children - refused
    assert holder(file) is not None
    os.write(done_write, b"!")
    assert os.waitstatus_to_exitcode(os.waitpid(winner, 0)[1]) == 0
    for end in (go_read, go_write, done_read, done_write):
        os.close(end)


def test_a_look_at_the_lock_does_not_keep_anybody_from_taking_it(file: Path, in_child: Child) -> None:
    with lock(file, ManualClock(NOW)):
        pass

    def look_on() -> None:
        for _ in range(20_000):
            holder(file)

    child = fork(look_on)
    for _ in range(300):
        with lock(file, SystemClock()):
            pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_where_the_file_system_has_no_locks_nothing_starts(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As some network drives answer; whoever went on there could not know of another loop."""

    def refuse(_file: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    file.parent.mkdir()
    file.touch()
    monkeypatch.setattr(fcntl, "flock", refuse)
    for what in (lambda: lock(file, ManualClock(NOW)).__enter__(), lambda: holder(file)):
        with pytest.raises(StateFileError, match="cannot be locked: No locks available") as caught:
            what()
        assert caught.value.code == "state_no_locks"
        assert "--state" in caught.value.hint


@pytest.mark.parametrize("text", ["", "{", '{"pid": "x"}', "\x00" * 300])
def test_a_lock_file_with_nonsense_in_it_still_locks(file: Path, text: str) -> None:
    file.parent.mkdir()
    file.write_text(text)
    with file.open("r+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert holder(file) == LockHolder()
        with pytest.raises(AnotherInstanceError, match="pid unknown"), lock(file, ManualClock(NOW)):
            pass
    with lock(file, ManualClock(NOW)):
        assert holder(file) == LockHolder(os.getpid(), NOW)


def test_the_lock_file_is_private_and_never_a_link(file: Path, tmp_path: Path) -> None:
    with lock(file, ManualClock(NOW)):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    link = tmp_path / "link.lock"
    link.symlink_to(file)
    with pytest.raises(StateFileError), lock(link, ManualClock(NOW)):
        pass
    with pytest.raises(StateFileError):
        holder(link)
