"""What an event charges may change while it is recorded: a backtest pays from then on what a loop would pay."""

from __future__ import annotations

import itertools
import json
import signal
from pathlib import Path
from typing import Any

from support.served import TWO_SIDED, eventually, finish, served, start

from kalshi_cli.core.model.markets import FeeSchedule

EVENT = TWO_SIDED.rpartition("-")[0]


def charged(tape: Path) -> list[Any]:
    """The multipliers that the recording says so far, in thousandths; a last line may be in parts."""
    lines = tape.read_text().split("\n")[:-1] if tape.exists() else []
    notes = [json.loads(line).get("note", {}) for line in lines]
    return [note["fees"]["multiplier"] for note in notes if note.get("event") == "watch_market" and note["fees"]]


def test_a_recording_says_what_its_markets_charge_from_a_change_on(tmp_path: Path) -> None:
    tape, multipliers = tmp_path / "tape.jsonl", itertools.cycle((3000, 4000))
    with served(tmp_path) as exchange:
        process = start(["record", TWO_SIDED, "--out", tape], exchange.variables(), tmp_path)

        def is_told() -> bool:
            fees = FeeSchedule(multiplier=next(multipliers))
            exchange.call(lambda: exchange.exchange.set_event_fees(EVENT, fees, exchange.clock.now()))
            return {*charged(tape)} >= {3000, 4000}

        try:
            eventually(is_told)
        finally:
            process.send_signal(signal.SIGINT)
            ended = finish(process)
    assert ended.code == 130, ended.err
