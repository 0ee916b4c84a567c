"""Local sources of fair values: a file, or the output of a command; and the age of a web page."""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from pathlib import Path

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.files import OtherKindError, open_regular
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Ts
from kalshi_cli.feeds.fair_values import MAX_BYTES, FairValuePage, SourceError

COMMAND_S = 30.0
"""Time limit of a command."""
MAX_AHEAD_S = 60.0
"""Tolerance for a modification time in the future; such a file would look fresh for that long."""
PASSED = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
"""Environment variables that every program of the user gets, besides LC_*."""
_LOOK_S = 0.1
_CHUNK = 64 * 1024


def read_file(path: Path, machine: Clock) -> FairValuePage:
    """Return the content and the age of a file. Raises SourceError if it is missing, too long or being written.

    The age is the time since its last modification: a file that is no longer written gets old, however often it is
    read. Text without a final line end counts as incomplete, unless it is JSON, which marks its own end.
    """
    try:
        descriptor = open_regular(path)
    except OtherKindError:
        raise SourceError("not a file") from None
    except OSError as error:
        raise SourceError(f"cannot be opened ({error.strerror})") from None
    try:
        before = os.fstat(descriptor)
        with open(descriptor, "rb", closefd=False) as file:
            body = file.read(MAX_BYTES + 1)
        after = os.fstat(descriptor)
    except OSError as error:
        raise SourceError(f"cannot be read ({error.strerror})") from None
    finally:
        os.close(descriptor)
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise SourceError("the file is being written")
    if body.lstrip()[:1] not in (b"{", b"[") and not body.endswith((b"\n", b"\r")):
        raise SourceError("the last line is incomplete")
    age_s = machine.now() / 1000 - after.st_mtime
    if age_s < -MAX_AHEAD_S:
        raise SourceError("its modification time is in the future")
    return FairValuePage(body, max(0.0, age_s))


def age_of(headers: Mapping[str, str], now: Ts) -> float:
    """Return the age of a web response in seconds by its headers; 0 if they have none.

    The age is `Date` less `Last-Modified` (without `Date`, `now` is used), and at least the `Age` in a cache.
    """
    ages = [0.0]
    if re.fullmatch("[0-9]{1,300}", headers.get("age", "")):
        ages.append(float(headers["age"]))
    made, said = (_date(headers.get(name, "")) for name in ("last-modified", "date"))
    if made is not None:
        ages.append((now / 1000 if said is None else said) - made)
    return max(ages)


def _date(text: str) -> float | None:
    """Return an HTTP date in seconds since 1970, None if it is invalid. Without a zone it is in UTC."""
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def argv_of(text: str) -> list[str]:
    """Return the words of a command, quoted as in a shell; no shell runs it. Raises SourceError if it is invalid."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SourceError(f"invalid command: {safe_text(str(error), 100)}") from None
    if not words:
        raise SourceError("the command is empty")
    return words


def child_environment(ours: Mapping[str, str], named: Collection[str] = ()) -> dict[str, str]:
    """Return the environment variables for a program of the user: the common ones and those in `named`.

    Variables that start with KALSHI_ are never passed, even if named: they hold the key of the account.
    """
    return {
        name: value
        for name, value in ours.items()
        if (name in PASSED or name.startswith("LC_") or name in named) and not name.upper().startswith("KALSHI_")
    }


def run_command(
    argv: Sequence[str],
    environment: Mapping[str, str],
    clock: Clock,
    stopping: threading.Event,
    *,
    within_s: float = COMMAND_S,
) -> FairValuePage:
    """Return the output of a command. Raises SourceError if it fails, times out, writes too much or `stopping` is set.

    The command has no input, and its stderr is discarded. If it is killed, so is its whole process group.
    """
    try:
        running = subprocess.Popen(  # noqa: S603 (the user configured the command; no shell runs it)
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True, env=environment,
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise SourceError(f"the command cannot be started: {safe_text(str(error), 100)}") from None
    assert running.stdout is not None
    ends = clock.monotonic() + within_s
    try:
        body = _all_of(running.stdout.fileno(), lambda: stopping.is_set() or clock.monotonic() >= ends)
        while running.poll() is None:
            if stopping.wait(0.01) or clock.monotonic() >= ends:
                raise SourceError("the command does not end")
    finally:
        if running.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(running.pid, signal.SIGKILL)
        running.stdout.close()
        running.wait()
    if running.returncode != 0:
        raise SourceError(f"the command ended with exit code {running.returncode}")
    return FairValuePage(body)


def _all_of(descriptor: int, is_over: Callable[[], bool]) -> bytes:
    body = b""
    while not is_over():
        if not select.select([descriptor], [], [], _LOOK_S)[0]:
            continue
        chunk = os.read(descriptor, _CHUNK)
        if not chunk:
            return body
        body += chunk
        if len(body) > MAX_BYTES:
            raise SourceError(f"the command's output exceeds {MAX_BYTES} bytes")
    raise SourceError("the command timed out")
