"""A process that has imported the program, and forks once for each start that a test asks for.

An interpreter takes half a second of processor time to import the program; a fork takes some milliseconds. The fork is
a process of its own in all respects: it has its own arguments, environment, working directory and streams, it runs
`kalshi_cli.__main__.run` to its end, and signals reach it. tests/README.md lists the differences to
a fresh start. A fork that starts the background server of an exchange asks for another fork, at the address of this
process. Run as a script, with the number of a socket: see `support.processes`.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import io
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from typing import Any

import processes  # type: ignore[import-not-found]  # beside this script

LONGEST = 1 << 17
"""Bytes of a request: arguments and environment."""


def import_program() -> None:
    """Import every module of the package, and what its commands import late."""
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # as the program does
    package = importlib.import_module("kalshi_cli")
    names = [module.name for module in pkgutil.walk_packages(package.__path__, "kalshi_cli.")]
    for name in [*names, "uvicorn.protocols.http.h11_impl", "uvicorn.protocols.websockets.wsproto_impl"]:
        importlib.import_module(name)


def serve(connection: socket.socket) -> dict[str, Any] | None:
    """Fork for every request until the other end closes; return the request in the fork, and None in the server."""
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes)
    running: dict[int, int] = {}  # the pipe that takes the exit status of each process
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(processes.address_of(os.getpid()))
    listener.listen(8)
    callers = [connection]  # the tests, then the forks that ask for a fork
    while True:
        watched: list[Any] = [*callers, listener, woken]
        ready, _, _ = select.select(watched, [], [])
        if woken in ready:
            os.read(woken, 4096)
            reap(running)
        if listener in ready:
            callers.append(listener.accept()[0])
        for caller in [each for each in callers if each in ready]:
            request, fds, _, _ = socket.recv_fds(caller, LONGEST, 4)
            if not request and caller is connection:
                return None
            if not request:
                callers.remove(caller)
                caller.close()
                continue
            if not (pid := os.fork()):
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for number, fd in enumerate(fds[:3]):
                    os.dup2(fd, number)
                for each in [*callers, listener]:
                    each.close()
                os.closerange(3, max([*fds, *running.values()]) + 1)
                asked: dict[str, Any] = json.loads(request)
                return asked
            running[pid] = fds.pop()
            for fd in fds:
                os.close(fd)
            caller.send(struct.pack("i", pid))


def reap(running: dict[int, int]) -> None:
    """Report every process that has ended."""
    for pid in list(running):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            pipe = running.pop(pid)
            with suppress(BrokenPipeError):  # nobody waits for it any more
                os.write(pipe, struct.pack("i", status))
            os.close(pipe)


def become(words: list[str], cwd: str, environment: dict[str, str], *, start_new_session: bool, first: str) -> None:
    """Take over what an interpreter has from its caller at a start; then run the code that the test has for it."""
    if start_new_session:
        os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = words
    sys.path[0] = os.path.dirname(words[0])
    is_buffered = not os.environ.get("PYTHONUNBUFFERED")
    for number, (name, mode) in enumerate((("stdin", "rb"), ("stdout", "wb"), ("stderr", "wb"))):
        raw: Any = open(number, mode, -1 if is_buffered or number == 0 else 0, closefd=False)  # noqa: SIM115
        before = getattr(sys, name)
        stream: Any = io.TextIOWrapper(
            raw, before.encoding, before.errors, newline=None if number == 0 else "\n",
            line_buffering=is_buffered and (number == 2 or os.isatty(number)), write_through=not is_buffered,
        )  # fmt: skip
        stream.mode = mode[0]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    processes.route(os.getppid())
    exec(first, {})


def run(request: dict[str, Any]) -> int | None:
    """Run the program; return its exit status, None where an interrupt ends it."""
    try:
        become(**request)
        importlib.import_module("kalshi_cli.__main__").run()
    except SystemExit as error:
        if error.code is None or isinstance(error.code, int):
            return error.code or 0
        print(error.code, file=sys.stderr)
        return 1
    except BaseException as error:
        sys.excepthook(type(error), error, error.__traceback__)
        return None if isinstance(error, KeyboardInterrupt) else 1
    return 0


def end(status: int | None) -> None:
    """End as an interpreter does: wait for threads, call what is registered for the end, and flush the streams.

    Its modules are not taken apart: that would write to every page, which takes a tenth of a second.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            sys.excepthook(type(error), error, error.__traceback__)
            status = 120
    if status is None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit((status or 0) & 0xFF)


def main() -> None:
    connection = socket.socket(fileno=int(sys.argv[1]))
    import_program()
    assert threading.active_count() == 1, "a fork has the threads of no other process"
    gc.collect()
    gc.freeze()  # the collector would write to, and so copy, every page that the forks share
    connection.send(b"ready")
    if (request := serve(connection)) is not None:
        end(run(request))


if __name__ == "__main__":
    main()
