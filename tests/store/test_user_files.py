"""Watchlists and price alerts on disk: whole or not at all, and no change lost."""

from __future__ import annotations

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.files import write_atomically
from kalshi_cli.store.user_files import BUSY, Watchlists, price_alert_file, watchlist_file

CLOCK = SystemClock()


def put(home: Path, name: str, *tickers: str) -> None:
    with watchlist_file(home).changing(CLOCK, 10.0) as draft:
        draft.value = Watchlists({**draft.value.lists, name: tickers})


def test_a_missing_file_is_empty_and_reading_creates_nothing(tmp_path: Path) -> None:
    assert watchlist_file(tmp_path / "new").read() == Watchlists()
    assert price_alert_file(tmp_path / "new").read().alerts == ()
    assert list(tmp_path.iterdir()) == []


def test_what_was_written_is_read_again_by_the_owner_only(tmp_path: Path) -> None:
    home = tmp_path / "a" / "b"
    put(home, "nfl", "KXA-1", "KXB-1")
    assert watchlist_file(home).read().lists == {"nfl": ("KXA-1", "KXB-1")}
    path = home / "watchlists.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    assert sorted(each.name for each in home.iterdir()) == ["watchlists.json", "watchlists.lock"], "no draft is left"


def test_an_error_in_a_change_leaves_the_file(tmp_path: Path) -> None:
    put(tmp_path, "nfl", "KXA-1")
    with suppress(LookupError), watchlist_file(tmp_path).changing(CLOCK, 1.0) as draft:
        draft.value = Watchlists()
        raise LookupError
    assert watchlist_file(tmp_path).read().lists == {"nfl": ("KXA-1",)}


def test_changes_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    threads = [threading.Thread(target=put, args=(tmp_path, f"list{n}", "KXA-1")) for n in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(watchlist_file(tmp_path).read().lists) == 8


def test_a_held_file_is_busy_and_not_waited_for_without_end(tmp_path: Path) -> None:
    second = watchlist_file(tmp_path).changing(CLOCK, 0.0)
    with watchlist_file(tmp_path).changing(CLOCK, 1.0), pytest.raises(StateFileError) as caught:
        second.__enter__()
    assert caught.value.code == BUSY


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"lists": {"a": 1}}', b"\xff", b"[" * 100_000])
def test_a_damaged_file_is_an_error_that_says_what_to_do_and_stays(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "watchlists.json"
    path.write_bytes(content)
    with pytest.raises(StateFileError, match="damaged"):
        watchlist_file(tmp_path).read()
    with pytest.raises(StateFileError, match="damaged"):
        put(tmp_path, "nfl", "KXA-1")
    assert path.read_bytes() == content


@pytest.mark.parametrize("name", ["watchlists.json", "watchlists.lock"])
def test_a_planted_fifo_or_link_is_refused_without_waiting(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(StateFileError):
        put(tmp_path, "nfl", "KXA-1")
    (tmp_path / name).unlink()
    (tmp_path / name).symlink_to(tmp_path / "other")
    with pytest.raises(StateFileError):
        put(tmp_path, "nfl", "KXA-1")
    assert not (tmp_path / "other").exists()


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateFileError):
        put(tmp_path / "file", "nfl", "KXA-1")


def test_a_failed_write_leaves_the_old_content_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(path, b"x")
    assert [each.name for each in tmp_path.iterdir()] == ["folder"]
