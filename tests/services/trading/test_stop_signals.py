"""Signals, and what they mean before a loop began, while it runs, and when it is told twice."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from support.simulation import T0, Simulation, ticket

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import OutcomeUnknownError, TerminationRequested
from kalshi_cli.core.model.messages import StateCommand
from kalshi_cli.services.trading.stop_signals import PauseSignal, RunEnd, StopSignals, in_flight
from kalshi_cli.store.pause import FILE, pause, read_pause


def test_signals_ask_for_a_stop_and_are_given_back() -> None:
    asked: list[StateCommand] = []
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with StopSignals(ManualClock(T0), asked.append) as signals:
        assert signals.heard == ""
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGHUP)
        assert signals.heard == "SIGTERM"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)  # what is live is being told: a third must not cut it off
    assert [(command.source, command.state) for command in asked] == [("SIGTERM", None), ("SIGHUP", None)]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_the_first_interrupt_is_a_request_and_the_second_is_not() -> None:
    asked: list[StateCommand] = []
    with StopSignals(ManualClock(T0), asked.append):
        signal.raise_signal(signal.SIGINT)
        assert [command.source for command in asked] == ["SIGINT"]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("number", "kind"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, TerminationRequested), (signal.SIGHUP, TerminationRequested)],
    ids=str,
)
def test_before_there_is_anything_to_put_in_order_a_signal_ends_it(
    number: signal.Signals, kind: type[BaseException]
) -> None:
    with pytest.raises(kind), StopSignals(ManualClock(T0)):
        signal.raise_signal(number)


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        asked: list[StateCommand] = []
        with StopSignals(ManualClock(T0), asked.append):
            signal.raise_signal(signal.SIGHUP)
        assert asked == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_sigusr1_pauses_and_ends_a_pause_whoever_made_it(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with PauseSignal(tmp_path):
        signal.raise_signal(signal.SIGUSR1)
        found = read_pause(tmp_path)
        assert found is not None
        assert found.reason == "SIGUSR1"
        signal.raise_signal(signal.SIGUSR1)
        assert read_pause(tmp_path) is None
        pause(tmp_path, "a person")
        signal.raise_signal(signal.SIGUSR1)
        assert read_pause(tmp_path) is None
    assert signal.getsignal(signal.SIGUSR1) is before


def test_a_pause_that_cannot_be_made_is_said_and_interrupts_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").touch()
    with PauseSignal(tmp_path / "home"):
        signal.raise_signal(signal.SIGUSR1)
    assert FILE in capfd.readouterr().err


def test_ctrl_c_while_an_order_is_on_the_way_says_that_it_may_be_live(sim: Simulation) -> None:
    sim.market()
    desk = sim.desk()
    engine, proposal = desk.propose(ticket(client_order_id="mine"))

    def interrupt(_request: object) -> None:
        raise KeyboardInterrupt

    sim.wire.after = interrupt
    with pytest.raises(OutcomeUnknownError, match="order mine was being sent"), in_flight("order mine"):
        desk.send(engine, proposal)
    assert len(sim.exchange.resting("alice")) == 1, "and so it is"
    (order,) = sim.store.live_orders()
    assert order.client_order_id == "mine"


# -- after a run ----------------------------------------------------------------------------------------------------


def end(live: int | None) -> list[str]:
    """What a person is told who presses Ctrl-C once more while a run that is over is being put away."""
    said: list[str] = []
    run = RunEnd(said.append)
    if live is not None:
        run.count_with(lambda: live)
    with pytest.raises((KeyboardInterrupt, OutcomeUnknownError)) as caught, run:
        raise KeyboardInterrupt
    return [*said, type(caught.value).__name__, str(caught.value)]


def test_whoever_interrupts_the_end_of_a_run_is_told_what_is_live() -> None:
    assert end(0) == ["No order of this run is live", "KeyboardInterrupt", ""]
    assert end(2) == ["OutcomeUnknownError", "Orders of this run may still be live: 2"]


def test_before_a_run_is_over_nothing_is_said_of_what_is_live() -> None:
    assert end(None) == ["KeyboardInterrupt", ""]
