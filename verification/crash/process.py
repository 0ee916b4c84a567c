"""A process of the program, seen from the outside."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STUCK_S = 40.0
"""After so long a process is taken to hang; that is a violation, whatever it was doing."""


@dataclass
class Started:
    """A process of the program; `code` is None while it runs, and minus the signal where one ended it."""

    pid: int
    out: Path
    err: Path
    ask: Callable[..., dict[str, Any]]
    """Asks the nursery that forked it."""
    code: int | None = None

    def poll(self) -> int | None:
        if self.code is None:
            self.code = self.ask(poll=self.pid)["code"]
        return self.code

    def kill(self) -> None:
        """SIGKILL, now; its process id is ours until it was waited for."""
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self, within_s: float = STUCK_S) -> int:
        """Its exit code. AssertionError, and it is killed, where it does not end."""
        until = time.monotonic() + within_s
        while (code := self.poll()) is None:
            if time.monotonic() > until:
                self.kill()
                raise AssertionError(f"it hangs: {self.err.read_text()[-500:]}")
            time.sleep(0.005)
        return code
