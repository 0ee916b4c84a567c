"""Signals that ask a program to stop, and the second one that `timeout` sends at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

TWIN_S = 1.0
"""`timeout` sends its signal to the program and then to its process group: within this time the second is the same."""


@contextmanager
def twins_ignored(monotonic: Callable[[], float]) -> Iterator[None]:
    """Let one signal interrupt a write, and ignore those that follow within TWIN_S, also after the write.

    Otherwise the second one would interrupt the report of what the first left unknown. A later one interrupts again.
    Only the main thread can change handlers; elsewhere, no signal interrupts anything.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = {each: handler for each in STOPS if is_main and callable(handler := signal.getsignal(each))}
    heard_s: float | None = None

    def restore() -> None:
        for number, handler in before.items():
            if signal.getsignal(number) is receive:
                signal.signal(number, handler)

    def receive(number: int, frame: FrameType | None) -> None:
        nonlocal heard_s
        now = monotonic()
        if heard_s is not None and now - heard_s < TWIN_S:
            return
        if heard_s is not None:
            restore()
        heard_s = now
        before[signal.Signals(number)](number, frame)

    for number in before:
        signal.signal(number, receive)
    try:
        yield
    finally:
        if heard_s is None:
            restore()
