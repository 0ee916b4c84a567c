"""The guard that a program needs before it starts worker processes: each of them runs the program's file again."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType

from kalshi_cli.base.errors import UsageError

GUARD = 'if __name__ == "__main__":'
HINT = f"put the call below `{GUARD}`, because each worker runs the file again"


def require_main_guard() -> None:
    """Raise UsageError where the file of the running program calls this and has no guard."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or getattr(main.__spec__, "name", "").endswith("__main__"):
        return  # a notebook, or `python -m package`, which workers do not run again
    frame: FrameType | None = sys._getframe()
    while frame is not None and not (frame.f_globals is main.__dict__ and frame.f_code.co_filename == file):
        frame = frame.f_back
    if frame is not None and "__name__" not in Path(file).read_text("utf-8", "replace"):
        raise UsageError(f"{file} starts worker processes without the guard `{GUARD}`", hint=HINT, code="no_main_guard")
