"""The program in its own process that can be killed, forked from a parent that has already loaded it."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from verification.crash.points import Death, arm
from verification.crash.process import Started


class Nursery:
    """A process without threads that has the program loaded, and forks children who run it. Make it before threads."""

    def __init__(self) -> None:
        here, there = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            here.close()
            try:
                _serve(there)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        there.close()
        self._wire = here.makefile("rw")
        self._runs = 0

    def start(self, words: list[str], variables: dict[str, str], home: Path, death: Death) -> Started:
        """Run `kalshi WORDS` with these variables and no others of ours, to die as it is told."""
        self._runs += 1
        out, err = home / f"{self._runs}.out", home / f"{self._runs}.err"
        out.touch()
        err.touch()
        asked: dict[str, Any] = {"words": words, "variables": variables, "home": str(home)}
        pid = self.ask(**asked, out=str(out), err=str(err), death=death.as_dict())["pid"]
        return Started(pid, out, err, self.ask)

    def ask(self, **request: Any) -> dict[str, Any]:
        self._wire.write(json.dumps(request) + "\n")
        self._wire.flush()
        answer: dict[str, Any] = json.loads(self._wire.readline())
        return answer

    def close(self) -> None:
        """End the nursery; whoever still runs was killed before."""
        self._wire.close()
        os.waitpid(self.pid, 0)


def _serve(wire: socket.socket) -> None:
    """Until the other end closes."""
    _load()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lines = wire.makefile("rw")
    while line := lines.readline():
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = {"code": os.waitstatus_to_exitcode(status) if pid else None}
        else:
            child = os.fork()
            if child == 0:
                wire.close()
                _live(request)
            answer = {"pid": child}
        lines.write(json.dumps(answer) + "\n")
        lines.flush()


def _load() -> None:
    """Everything the commands here import."""


def _live(request: dict[str, Any]) -> None:
    """Become the program. Never returns."""
    code = 99
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, path in ((1, request["out"]), (2, request["err"])):
            os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600), number)
        for name in [name for name in os.environ if name.startswith("KALSHI_")]:
            del os.environ[name]
        os.environ.update(request["variables"])
        os.chdir(request["home"])
        sys.argv = ["kalshi", *request["words"]]
        arm(Death(**request["death"]))
        from kalshi_cli.__main__ import run

        run()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 98
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
