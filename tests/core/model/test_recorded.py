"""The events of a recording that are not messages of the exchange."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import Tick
from kalshi_cli.core.model.recorded import LifecycleNote, RecordedConnection, RecordedInput, WatchNote


def test_an_input_keeps_its_own_time_beside_the_time_received() -> None:
    recorded = RecordedInput(Ts(20), Tick(Ts(10)))
    assert (recorded.ts, recorded.said.ts) == (20, 10)


def test_what_a_note_does_not_say_is_missing() -> None:
    assert (WatchNote(ticker="T").close_time, WatchNote(ticker="T").status) == (None, "active")
    assert LifecycleNote(ticker="T", kind="settled").detail == ""
    assert RecordedConnection(Ts(1), 2).number == 2
