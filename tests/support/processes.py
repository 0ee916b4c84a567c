"""Starts the program in a process of its own, from a fork server where that makes no difference."""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

Ran = subprocess.CompletedProcess[str]

PROGRAM = Path(sys.executable).with_name("kalshi")
SERVER = Path(__file__).with_name("fork_server.py")

OURS = dict(os.environ)
"""The variables of the tests, before any test changes them: the fork server imports the program with these."""
INTERPRETER = ("PYTHON", "LC_", "LANG", "LD_", "MALLOC_")
AT_START = (*INTERPRETER, "FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "TERMINAL_WIDTH")
"""Variables that the interpreter or the imports of the program read: with others than OURS, the start is fresh."""
INTERPRETED = {name: value for name, value in OURS.items() if name.startswith(INTERPRETER)}
"""How the interpreter of the tests was started: `make` sets some, a machine has a LANG, a checkout a PYTHONPATH."""

BACKGROUND = [sys.executable, "-m", "kalshi_cli.app.background"]
SERVE = """
import sys
import msgspec
from kalshi_cli.app.background import Settings, serve
sys.exit(serve(msgspec.json.decode(sys.argv[3], type=Settings)))
"""
"""How the program starts the background server of an exchange, and what that does; a fork has imported all of it."""
MODULE = """
import runpy, sys
sys.argv[:3] = sys.argv[2:3]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
sys.exit()
"""
"""What `python -m NAME` does, of a module that is not the program but imports it."""


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(AT_START)}


LONGEST_IMPORT_S = 60.0


def address_of(pid: int) -> str:
    """Where a fork server takes requests from its forks."""
    return f"\0kalshi-forks-{pid}"


class Forks:
    """A socket to the process of support/fork_server.py."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._turn = threading.Lock()

    def fork(self, request: dict[str, Any], fds: Sequence[int]) -> int:
        """The process id of a fork whose exit status comes through the last of the descriptors."""
        with self._turn:
            socket.send_fds(self.connection, [json.dumps(request).encode()], fds)
            (pid,) = struct.unpack("i", self.connection.recv(4))
        return int(pid)


class ForkServer(Forks):
    """The process of support/fork_server.py, started by the tests."""

    def __init__(self) -> None:
        connection, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        super().__init__(connection)
        ours = str(SERVER.parents[2])  # the package that the tests import, whichever is installed
        path = os.pathsep.join(filter(None, (ours, OURS.get("PYTHONPATH"))))
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, SERVER, str(theirs.fileno())], pass_fds=[theirs.fileno()],
                env={**OURS, "PYTHONPATH": path}, cwd=SERVER.parent,
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        self._is_ready = False
        atexit.register(self.close)

    def wait(self) -> ForkServer:
        """Wait until it forks."""
        assert self.connection.recv(16) == b"ready", "the fork server could not import the program"
        self._is_ready = True
        return self

    def close(self) -> None:
        if not self._is_ready:
            self.wait()  # closed with something unread, the socket would fail at the other end
        self.connection.close()
        self.process.wait()


_servers: list[Forks] = []
_origins: list[int] = []
_starting = threading.Lock()


def _server() -> Forks:
    with _starting:
        if not _servers and _origins:
            _servers.append(Forks(_connected(address_of(_origins[0]))))
        elif not _servers:
            _servers.append(ForkServer().wait())
        return _servers[0]


def _connected(address: str) -> socket.socket:
    """A connection to a fork server, which may still be importing the program."""
    end = time.monotonic() + LONGEST_IMPORT_S
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            connection.connect(address)
        except ConnectionRefusedError:
            connection.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.05)
        else:
            return connection


SHORT_CUT = """#!{python} -SE
import os, sys
sys.path[0] = {support!r}
import processes
processes.route({origin})
words = [str(processes.PROGRAM), *sys.argv[1:]]
program = processes.ForkedProgram("", words, env=os.environ, cwd=os.getcwd(), stdin=0, stdout=1, stderr=2)
sys.exit(program.wait())
"""
"""A `kalshi` for scripts: the interpreter imports nothing of the program, and a fork runs it."""


def write_short_cut(folder: Path) -> Path:
    """Write a `kalshi` for scripts into a folder, which then comes first in PATH; return the folder."""
    server = _server()
    origin = server.process.pid if isinstance(server, ForkServer) else _origins[0]
    file = folder / "kalshi"
    file.write_text(SHORT_CUT.format(python=sys.executable, support=str(SERVER.parent), origin=origin))
    file.chmod(0o755)
    return folder


FRESH = subprocess.Popen
"""The class of the standard library, which starts what it is asked to."""


class ForkedProgram(FRESH[str]):
    """The program as a fork: a `Popen` whose child is another's, so that its exit status comes through a pipe.

    It overrides three steps of the standard library's class, which have been the same from Python 3.3 on.
    """

    def __init__(self, first: str, *args: Any, **more: Any) -> None:
        self._first = first
        super().__init__(*args, **more)

    def _execute_child(self, args: list[str], *rest: Any) -> None:
        cwd, environment, streams = rest[4], rest[5], rest[9:15]
        self._status, theirs = os.pipe()
        request = {
            "words": args, "cwd": os.fspath(cwd), "environment": dict(environment),
            "start_new_session": bool(rest[-2]), "first": self._first,
        }  # fmt: skip
        try:
            self.pid = _server().fork(request, [streams[0], streams[3], streams[5], theirs])
        finally:
            os.close(theirs)
            self._close_pipe_fds(*streams)  # type: ignore[attr-defined]
        self._child_created = True

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if wait_flags & os.WNOHANG and not select.select([self._status], [], [], 0)[0]:
            return 0, 0
        status = os.read(self._status, 4)
        os.close(self._status)
        return self.pid, struct.unpack("i", status)[0] if status else 1 << 8

    def _internal_poll(self, *_args: Any, **_more: Any) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self._wait(timeout=0)  # type: ignore[attr-defined]
        return self.returncode


class RoutedPopen(FRESH[Any]):
    """Starts what it is asked to; the background server of an exchange by a fork, which takes a fifth of the time."""

    def __new__(cls, args: Any, *_more: Any, **options: Any) -> Any:
        if (
            not isinstance(args, list)
            or args[:3] != BACKGROUND
            or _read_at_start(options["env"]) != _read_at_start(OURS)
        ):
            return super().__new__(cls)
        return ForkedProgram(SERVE, args, **options)


def route(*origin: int) -> None:
    """From now on, fork the background servers that this process starts; a fork names the process that it is from."""
    _origins[:] = origin
    subprocess.Popen = RoutedPopen  # type: ignore[misc]


def start_program(
    words: Sequence[str | Path],
    environment: Mapping[str, str],
    cwd: Path,
    *,
    is_fresh: bool = False,
    first: str = "",
    stdin: int | IO[str] = subprocess.DEVNULL,
    stdout: int | IO[str] = subprocess.PIPE,
    stderr: int | IO[str] = subprocess.PIPE,
    start_new_session: bool = False,
) -> subprocess.Popen[str]:
    """Start the installed program; by a new interpreter where `is_fresh`, or where a variable asks for one.

    `first` is code that a fork runs before the program, or in its place where it ends the process.
    """
    line = [str(PROGRAM), *map(str, words)]
    options: dict[str, Any] = {
        "env": environment, "cwd": cwd, "text": True,
        "stdin": stdin, "stdout": stdout, "stderr": stderr, "start_new_session": start_new_session,
    }  # fmt: skip
    if is_fresh or _read_at_start(environment) != _read_at_start(OURS):
        assert not first, "a fresh interpreter runs the program only"
        return subprocess.Popen(line, **options)
    return ForkedProgram(first, line, **options)


def run_module(name: str, *words: str, cwd: Path) -> Ran:
    """Run `python -m NAME WORDS` in a fork to its end, within five minutes."""
    options: dict[str, Any] = {"env": OURS, "cwd": cwd, "text": True, "stdin": subprocess.DEVNULL}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with ForkedProgram(MODULE, [sys.executable, "-m", name, *words], **options, **pipes) as process:
        try:
            out, err = process.communicate(timeout=300)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Ran(process.args, process.returncode, out, err)


def run_program(words: Sequence[str | Path], environment: Mapping[str, str], cwd: Path, **more: Any) -> Ran:
    """Run the installed program to its end, within a minute; the exit code and what it wrote."""
    with start_program(words, environment, cwd, **more) as process:
        try:
            out, err = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return Ran(process.args, process.returncode, out, err)
