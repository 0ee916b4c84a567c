"""One signal interrupts a write; its twin does not interrupt what follows."""

from __future__ import annotations

import signal
import threading

import pytest

from kalshi_cli.base.twin_signals import TWIN_S, twins_ignored


def press() -> None:
    signal.raise_signal(signal.SIGINT)


def test_a_signal_interrupts_once_until_its_twin_is_over() -> None:
    at = [0.0]
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), twins_ignored(lambda: at[0]):
        press()
    press()  # also after the write
    at[0] = TWIN_S
    with pytest.raises(KeyboardInterrupt):
        press()
    assert signal.getsignal(signal.SIGINT) is before


def test_without_a_signal_and_in_other_threads_the_handlers_stay() -> None:
    before = signal.getsignal(signal.SIGINT)
    found: list[object] = []

    def write() -> None:
        with twins_ignored(lambda: 0.0):
            found.append(signal.getsignal(signal.SIGINT))

    other = threading.Thread(target=write)
    other.start()
    other.join()
    write()
    assert found[0] is before
    assert found[1] is not before
    assert signal.getsignal(signal.SIGINT) is before
