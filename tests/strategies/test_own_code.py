"""The code of a strategy file: calls whose results differ between two runs, and its output."""

from __future__ import annotations

import sys
import threading

import pytest

from kalshi_cli.strategies.own_code import stdout_to_stderr, unrepeatable_calls


@pytest.mark.parametrize(
    ("code", "calls"),
    [
        ("import random\nrandom.random()\nrandom.random()", ("random.random",)),
        ("from random import choice as c\nc([1])", ("random.choice",)),
        ("import time as t\nt.monotonic()", ("time.monotonic",)),
        ("from datetime import UTC, datetime\ndatetime.now(UTC)", ("datetime.datetime.now",)),
        ("import datetime\ndatetime.date.today()", ("datetime.date.today",)),
        ("from random import Random\nRandom()", ("random.Random",)),
        ("from random import Random\nRandom(7).random()", ()),
        ("import random\nrandom.seed(7)\nrandom.random()", ()),
        ("import random\nrandom.seed()\nrandom.random()", ("random.seed", "random.random")),
        ("import time\nfrom datetime import datetime\ntime.strftime('%H')\ndatetime.fromtimestamp(1)", ()),
        ("def time(): ...\ntime()\nview.time.time()", ()),
    ],
)
def test_calls_that_read_the_clock_or_unseeded_numbers_are_found(code: str, calls: tuple[str, ...]) -> None:
    assert unrepeatable_calls(code.encode()) == calls


def test_print_goes_to_stderr_in_the_main_thread_and_elsewhere_stdout_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with stdout_to_stderr():
        print("hook")
    assert capsys.readouterr() == ("", "hook\n")
    found = []

    def other() -> None:
        before = sys.stdout
        with stdout_to_stderr():
            found.append(sys.stdout is before)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found == [True]
