"""Where a table of probabilities is read from on this machine: a file, or what a command writes. And how old it is."""

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
"""How long a command may take."""
MAX_AHEAD_S = 60.0
"""A file that was changed later than this from now would look fresh for as long."""
PASSED = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")
"""Variables that every program of the user gets, beside LC_*."""
_LOOK_S = 0.1
_CHUNK = 64 * 1024


def read_file(path: Path, machine: Clock) -> FairValuePage:
    """The whole file, or SourceError: missing, too long, or somebody is writing it at this moment.

    How old it is says its time of change, by the machine's clock: a file that nobody writes any more grows old, however
    often it is read. Text that does not end with a line's end is taken for half written, unless it is JSON, which says
    itself where it ends.
    """
    try:
        descriptor = open_regular(path)
    except OtherKindError:
        raise SourceError("it is not a file") from None
    except OSError as error:
        raise SourceError(f"it cannot be opened ({error.strerror})") from None
    try:
        before = os.fstat(descriptor)
        with open(descriptor, "rb", closefd=False) as file:
            body = file.read(MAX_BYTES + 1)
        after = os.fstat(descriptor)
    except OSError as error:
        raise SourceError(f"it cannot be read ({error.strerror})") from None
    finally:
        os.close(descriptor)
    if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size):
        raise SourceError("it is being written")
    if body.lstrip()[:1] not in (b"{", b"[") and not body.endswith((b"\n", b"\r")):
        raise SourceError("its last line has no end: half written, or empty")
    age_s = machine.now() / 1000 - after.st_mtime
    if age_s < -MAX_AHEAD_S:
        raise SourceError("its time of change is in the future")
    return FairValuePage(body, max(0.0, age_s))


def age_of(headers: Mapping[str, str], now: Ts) -> float:
    """How old in seconds a web server says that its answer is; 0 where it does not say.

    `Last-Modified` against its own `Date`, so that its clock does not matter, or else against `now`; and at least its
    `Age` in a cache.
    """
    ages = [0.0]
    if re.fullmatch("[0-9]{1,300}", headers.get("age", "")):
        ages.append(float(headers["age"]))
    made, said = (_date(headers.get(name, "")) for name in ("last-modified", "date"))
    if made is not None:
        ages.append((now / 1000 if said is None else said) - made)
    return max(ages)


def _date(text: str) -> float | None:
    """Seconds since 1970; None where it is no date. One without a zone is in UTC, as every date of HTTP."""
    try:
        found = parsedate_to_datetime(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def argv_of(text: str) -> list[str]:
    """The words of a command, quoted as in a shell; no shell runs it. SourceError where they cannot be told apart."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SourceError(f"the command cannot be read: {safe_text(str(error), 100)}") from None
    if not words:
        raise SourceError("the command is empty")
    return words


def child_environment(ours: Mapping[str, str], named: Collection[str] = ()) -> dict[str, str]:
    """Return the variables that a program of the user gets: those of every program, and those that are `named`.

    The rest stays here, and whatever begins with KALSHI_ does even where it is named: the key of the account is there.
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
    """What it writes until it ends well; SourceError where it fails, takes too long, writes too much, or we stop.

    It has no input, and its errors are not shown. Where it is ended, all that it started in its process group is.
    """
    try:
        running = subprocess.Popen(  # noqa: S603 (what a person configured, without a shell)
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            env=environment,
        )
    except (OSError, ValueError) as error:
        raise SourceError(f"the command does not start: {safe_text(str(error), 100)}") from None
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
        raise SourceError(f"the command ended with {running.returncode}")
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
            raise SourceError(f"the command writes more than {MAX_BYTES} bytes")
    raise SourceError("the command takes too long")
