"""Entry point of `python -m kalshi_cli` and of the `kalshi` script."""

from __future__ import annotations

import gc
import os
import signal
import sys

PR_SET_DUMPABLE = 4
MAX_DIGITS = 4_300
"""Maximum digits of an integer in text, even where PYTHONINTMAXSTRDIGITS allows more: conversion time grows
quadratically."""


def protect_memory() -> None:
    """Keep keys out of files: disable core dumps, reads by other processes, and logging of TLS keys."""
    os.environ.pop("SSLKEYLOGFILE", None)
    sys.set_int_max_str_digits(MAX_DIGITS)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass  # this platform has no such limit
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def run() -> None:
    """Run the command line and end the process with its exit code.

    A signal while the program loads waits until it is loaded: an interrupted import would print a traceback.
    """
    # Signals that `nohup` ignores stay ignored.
    stops = [
        each for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is not signal.SIG_IGN
    ]
    held: list[int] = []
    for number in stops:
        signal.signal(number, lambda number, _frame: held.append(number))
    from kalshi_cli.base.clock import SystemClock  # imported before the slow modules, to measure their start

    started_s = SystemClock().monotonic()
    gc.disable()  # imports make no garbage, and looking for it takes a twentieth of a start; `load_config` enables it
    protect_memory()
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # httpx's own command line: a sixth of a start
    # A service or a shell (`>&-`) may start the process without these streams; Python then sets them to None.
    # Output to a stdout that is closed is lost: it fails as on a full disk, because this file is open for reading.
    for name, mode, flags in (("stdin", "r", os.O_RDONLY), ("stdout", "w", os.O_RDONLY), ("stderr", "w", os.O_WRONLY)):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, flags), mode))
    from kalshi_cli.base.errors import TerminationRequested
    from kalshi_cli.cli.kill_signals import install
    from kalshi_cli.cli.main import exit_code_after, main

    def terminate(_number: int, _frame: object) -> None:
        raise TerminationRequested

    interrupt = signal.default_int_handler
    try:
        install({each: interrupt if each is signal.SIGINT else terminate for each in stops}, sys.argv[1:], held)
        code = main(started_s=started_s, held=held)
    except KeyboardInterrupt as error:  # interrupted just before the command began, or just after it finished
        code = exit_code_after(error)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the work is done: a signal must not replace the exit code
    sys.exit(code)


if __name__ == "__main__":
    run()
