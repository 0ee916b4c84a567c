"""A pause: a file beside the state file, that anybody can make, and that every program sees before it orders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.values import NOW, Open, full_order

from kalshi_cli.base.errors import HaltedError, StateFileError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AmendOrder, CloseOrder, StateChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import TimeInForce
from kalshi_cli.store.pause import FILE, pause, read_pause, remove_pause_file
from kalshi_cli.store.records import PAUSED, Halt


def test_a_pause_holds_up_intents_and_amends_and_no_close(path: Path, open_store: Open) -> None:
    store = open_store()
    pause(path.parent, "lunch")
    with pytest.raises(HaltedError):
        store.record(SubmitOrder(full_order()))
    with pytest.raises(HaltedError):
        store.record(AmendOrder(full_order(), full_order(), full_order()))
    store.record(CloseOrder(full_order("c2", reduce_only=True, tif=TimeInForce.IOC, strategy="")))
    assert remove_pause_file(path.parent)
    store.record(SubmitOrder(full_order()))


def test_a_pause_is_a_halt_with_a_code_of_its_own_while_its_file_is_there(path: Path, open_store: Open) -> None:
    store = open_store()
    before = store.halt()
    pause(path.parent, "lunch")
    halt = store.halt()
    assert (halt.state, halt.code, halt.reason, halt.is_pause, halt.is_final) == (
        TradingState.HALTED, PAUSED, "lunch", True, False,
    )  # fmt: skip
    assert store.load().halt == halt
    pause(path.parent, "a second one")
    assert store.halt() == halt, "the first one stays"
    assert remove_pause_file(path.parent)
    assert store.halt() == before
    assert not remove_pause_file(path.parent)


def test_a_halt_counts_before_a_pause_and_outlasts_it(path: Path, open_store: Open) -> None:
    store = open_store()
    halt = Halt(TradingState.HALTED, "DAILY_LOSS", "lost 100", NOW)
    pause(path.parent, "lunch")
    store.set_halt(halt)
    assert store.halt() == halt
    assert halt.is_final
    remove_pause_file(path.parent)
    assert store.halt() == halt


def test_an_engine_that_follows_a_pause_writes_nothing_that_would_outlast_it(path: Path, open_store: Open) -> None:
    store = open_store()
    pause(path.parent, "lunch")
    followed = store.halt()
    store.record(StateChanged(NOW, followed.state, followed.code, followed.reason))
    remove_pause_file(path.parent)
    assert store.halt().state is TradingState.ACTIVE
    store.record(StateChanged(Ts(NOW + 5), TradingState.ACTIVE, "", ""))
    assert open_store().halt().state is TradingState.ACTIVE


def test_an_engine_that_follows_what_is_on_file_does_not_make_it_younger(open_store: Open) -> None:
    store = open_store()
    store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", NOW))
    store.record(StateChanged(Ts(NOW + 9_000), TradingState.HALTED, "CANCEL_ALL", "kill switch"))
    assert store.halt().since == NOW


def test_whoever_touches_the_file_pauses(tmp_path: Path) -> None:
    for make in (Path.touch, Path.mkdir, lambda path: path.symlink_to("/nowhere")):
        path = tmp_path / make.__name__.strip("<>") / FILE
        path.parent.mkdir()
        make(path)
        found = read_pause(path.parent)
        assert found is not None
        assert (found.state, found.reason) == (TradingState.HALTED, "")


def test_a_reason_is_shown_without_what_could_move_a_terminal(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\x1b[31mred\x07 \xff" + b"x" * 10_000)
    found = read_pause(tmp_path)
    assert found is not None
    assert "\x1b" not in found.reason
    assert "\x07" not in found.reason
    assert len(found.reason) <= 200


def test_what_cannot_be_found_out_is_an_error_and_no_permission(tmp_path: Path) -> None:
    """Somebody's typo must not trade."""
    (tmp_path / "home").touch()
    with pytest.raises(StateFileError, match="Cannot check"):
        read_pause(tmp_path / "home")
    with pytest.raises(StateFileError, match="Cannot create"):
        pause(tmp_path / "home", "")
    with pytest.raises(StateFileError, match="Cannot remove"):
        remove_pause_file(tmp_path / "home")


def test_a_pause_is_private_and_on_a_full_disk_an_empty_file_is_enough(tmp_path: Path) -> None:
    pause(tmp_path / "new" / "home", "why")
    path = tmp_path / "new" / "home" / FILE
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text() == "why"
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert os.listdir(path.parent) == [FILE]
