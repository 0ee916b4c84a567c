"""`python -m kalshi_cli`, and the `kalshi` script."""

from __future__ import annotations

import os
import signal
import sys

PR_SET_DUMPABLE = 4
MAX_DIGITS = 4_300
"""The most digits of an integer in a text, also where PYTHONINTMAXSTRDIGITS allows more: time grows by the square."""


def protect_memory() -> None:
    """Keep keys out of files: no core dump, no reading of this process by another, no log of TLS keys."""
    os.environ.pop("SSLKEYLOGFILE", None)
    sys.set_int_max_str_digits(MAX_DIGITS)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass  # a system without this limit
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def run() -> None:
    """Run the command line of this process and end it with the exit code."""
    from kalshi_cli.base.clock import SystemClock  # before what takes long to load

    started_s = SystemClock().monotonic()
    protect_memory()
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # httpx's own command line: a sixth of a start
    # A service or a shell (`>&-`) may start us without these; then Python has None in their place.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - as long as the process lives
    from kalshi_cli.base.errors import TerminationRequested
    from kalshi_cli.cli.kill_signals import hold_early

    def terminate(_number: int, _frame: object) -> None:
        raise TerminationRequested

    for number in (signal.SIGTERM, signal.SIGHUP):  # what `nohup` ignores stays ignored
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, terminate)
    hold_early(sys.argv[1:])
    from kalshi_cli.cli.main import exit_code_after, main

    try:
        code = main(started_s=started_s)
    except KeyboardInterrupt as interrupt:  # in the moment after the command was done
        code = exit_code_after(interrupt)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # nothing is left to stop; Python would end by the raw signal
    sys.exit(code)


if __name__ == "__main__":
    run()
