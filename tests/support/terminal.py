"""The installed program on a terminal."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PROGRAM = Path(sys.executable).parent / "kalshi"


class Terminal:
    """The installed program on a terminal, and a person who answers what it asks."""

    def __init__(self, *words: str, env: dict[str, str]) -> None:
        ours, theirs = pty.openpty()
        self.screen = ours
        self.process = subprocess.Popen([str(PROGRAM), *words], stdin=theirs, stdout=theirs, stderr=theirs, env=env)
        os.close(theirs)
        self.text = ""

    def answer(self, question: str, answer: str) -> None:
        self._read_until(lambda: question in self.text)
        assert question in self.text, self.text
        self.text = ""
        os.write(self.screen, f"{answer}\n".encode())

    def finish(self) -> int:
        self._read_until(lambda: False)
        os.close(self.screen)
        return self.process.wait(60)

    def _read_until(self, is_done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not is_done() and time.monotonic() < deadline:
            if not select.select([self.screen], [], [], 1)[0]:
                continue
            try:
                self.text += os.read(self.screen, 65_536).decode(errors="replace")
            except OSError:  # Linux: the other end was closed
                return
