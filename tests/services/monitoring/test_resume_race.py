"""A resume while alerting looks: what began before it pauses nothing, and what lasts pauses at the next look."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.alerting import AlertProgram, breach

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.core.model.effects import StateChanged
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.monitoring.incidents import Incident
from kalshi_cli.store.alert_tables import STOPPED
from kalshi_cli.store.records import Halt


@pytest.fixture
def program(tmp_path: Path) -> Iterator[AlertProgram]:
    made = AlertProgram(tmp_path, on_critical="pause")
    yield made
    made.close()


def stop_trading(program: AlertProgram, code: str) -> None:
    """As a guard of the loop does."""
    program.store.record(StateChanged(program.clock.now(), TradingState.REDUCING, code, "a limit"))
    program.record(code, "account", tier="critical")
    program.clock.advance(0.2)


@pytest.mark.parametrize("is_read", [True, False])
def test_a_resume_right_after_a_daily_loss_stays(program: AlertProgram, *, is_read: bool) -> None:
    stop_trading(program, "DAILY_LOSS")
    if is_read:
        program.store.between = program.resume  # type: ignore[attr-defined]
    else:
        program.resume()
    program.tell()
    assert program.alerting.trading() is TradingState.ACTIVE


def test_a_daily_loss_between_the_reading_of_a_look_and_a_resume_pauses_nothing(program: AlertProgram) -> None:
    def meanwhile() -> None:
        program.store.between = lambda: None  # type: ignore[attr-defined]
        program.clock.advance(0.1)
        stop_trading(program, "DAILY_LOSS")
        program.resume()

    program.store.between = meanwhile  # type: ignore[attr-defined]
    program.tell()
    program.clock.advance(0.5)
    program.tell()
    assert program.alerting.trading() is TradingState.ACTIVE


def test_a_loss_that_is_still_too_large_after_a_resume_stops_trading_again(program: AlertProgram) -> None:
    stop_trading(program, "DAILY_LOSS")
    program.resume()
    program.tell()
    stop_trading(program, "DAILY_LOSS")
    program.tell()
    assert program.alerting.trading() is TradingState.REDUCING


def test_a_new_event_that_no_guard_watches_pauses_even_after_a_resume_for_something_else(program: AlertProgram) -> None:
    """The loop reports it once: no later look would find it."""
    program.record("FOREIGN_ACTIVITY", tier="critical")
    program.clock.advance(0.2)
    program.resume()
    program.tell()
    assert program.alerting.trading() is TradingState.HALTED


def test_a_check_that_began_before_a_resume_pauses_only_when_the_next_one_finds_the_same(program: AlertProgram) -> None:
    began = program.clock.now()
    program.clock.advance(1.0)
    program.store.set_halt(Halt(TradingState.REDUCING, "DRAWDOWN", "a limit", program.clock.now()))
    program.resume()
    assert program.check(breach(), began=began) == ["[sim] CRITICAL POSITION_LIMIT KXA"]
    assert program.alerting.trading() is TradingState.ACTIVE
    program.clock.advance(60.0)
    assert program.check(breach(), began=program.clock.now()) == ["[sim] CRITICAL PAUSED_BY_ALERT account"]
    assert program.alerting.trading() is TradingState.HALTED
    program.resume()
    program.clock.advance(60.0)
    program.check(breach(), began=program.clock.now())
    assert program.alerting.trading() is TradingState.ACTIVE, "the user resumed while it held"


def test_a_halt_that_a_check_saw_before_the_resume_is_not_sent_after_it(program: AlertProgram) -> None:
    seen, source = breach("the loop", "CANCEL_ALL"), "check heartbeat"
    program.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", program.clock.now()))
    assert program.tell() == ["[sim] CRITICAL CANCEL_ALL account"]
    program.clock.advance(19.0)
    began = program.clock.now()
    program.clock.advance(0.3)
    program.resume()
    lost = breach("the loop", "HEARTBEAT_LOST")
    assert program.check(seen, lost, source=source, began=began) == ["[sim] CRITICAL HEARTBEAT_LOST the loop"]
    program.clock.advance(600.0)
    assert program.check(source=source, began=program.clock.now()) == [
        "[sim] RESOLVED CRITICAL CANCEL_ALL account", "[sim] RESOLVED CRITICAL HEARTBEAT_LOST the loop"
    ]  # fmt: skip
    program.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", program.clock.now()))
    assert "CANCEL_ALL" in " ".join(program.check(seen, source=source, began=program.clock.now())), "a new halt is sent"


def test_a_resume_that_did_not_end_the_pause_is_none_for_alerts(program: AlertProgram, tmp_path: Path) -> None:
    """A directory in place of the file cannot be removed: the resume ends there, as after a power cut."""

    def stop(_cause: Incident) -> None:
        (tmp_path / ".pause").mkdir()
        seconds = program.clock.now() / 1000
        os.utime(tmp_path / ".pause", (seconds, seconds))

    program.stop = stop
    program.record("FOREIGN_ACTIVITY", tier="critical")
    program.tell()
    program.clock.advance(1.0)
    with pytest.raises(StateFileError, match="Cannot remove"):
        program.resume()
    program.tell()
    assert program.store.alert_book.mark(STOPPED) > 0
    (tmp_path / ".pause").rmdir()
    program.tell()
    assert program.store.alert_book.mark(STOPPED) == 0
