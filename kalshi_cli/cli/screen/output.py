"""The two streams. Data goes to stdout, everything else to stderr, and nothing goes anywhere but through here."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from enum import StrEnum
from typing import TextIO

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.text import conceal_key, holds_private_key, one_line, redact


class Format(StrEnum):
    """How data is written. TABLE is for a terminal, PLAIN for a pipe, the rest for programs."""

    TABLE = "table"
    PLAIN = "plain"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


def default_format() -> Format:
    """TABLE on a terminal that can show one, PLAIN everywhere else."""
    return Format.TABLE if sys.stdout.isatty() and os.environ.get("TERM") != "dumb" else Format.PLAIN


def write_out(text: str, *, flush: bool = False) -> None:
    """Data, as it is, to stdout. With `flush` it is seen at once, and BrokenPipeError says that nobody reads any more.

    Without, what nobody reads is dropped: the work of a command and its exit code do not depend on who reads along.
    """
    try:
        sys.stdout.write(text)
        if flush:
            sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()
        if flush:
            raise


def flush_out() -> None:
    """Write what is left of stdout; a reader who has gone is no error, a full disk is."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_stdout()


def close_out() -> None:
    """The end: what could not be written until now goes nowhere, instead of complaining after the last word."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop_stdout()


def _drop_stdout() -> None:
    _drop(sys.stdout)


def _drop(stream: TextIO) -> None:
    """From now on what is written there goes nowhere, and Python's last flush does not change the exit code."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


MAX_ANSWER_LENGTH = 10_000
"""Characters that are read of an answer."""

_is_quiet = False


def set_quiet(is_quiet: bool) -> None:
    """Whether remarks are kept back: --quiet of this invocation."""
    global _is_quiet
    _is_quiet = is_quiet


def info(*lines: str) -> None:
    """Write remarks for a person to stderr, a line each; nothing with --quiet."""
    if not _is_quiet:
        warn(*lines)


def warn(*lines: str) -> None:
    """Write what a person must know to stderr, after what stdout has so far.

    Each argument is one line, without secrets: what is quoted in it from outside cannot begin another one.
    """
    with suppress(OSError):  # the end of the command finds out
        flush_out()
    try:
        sys.stderr.write("".join(f"{one_line(redact(line))}\n" for line in lines))
        sys.stderr.flush()
    except (OSError, ValueError):  # a full disk, a terminal that is gone: no reason to leave orders where they are
        _drop(sys.stderr)


def prompt(question: str) -> str:
    """Return the line that a person types after a question on stderr; "" at the end of input.

    UsageError where it is a private key, pasted by mistake: its other lines would answer what is asked next.
    """
    sys.stderr.write(one_line(question) + " ")
    sys.stderr.flush()
    answer = sys.stdin.readline(MAX_ANSWER_LENGTH).strip()
    if holds_private_key(answer):
        conceal_key(answer)
        _drop_typed()
        raise UsageError(
            "that is a private key, or a part of one; it was not used, kept or shown",
            hint="answer with the path of the file that holds it",
            code="private_key",
        )
    return answer


def _drop_typed() -> None:
    """Drop what was pasted and not read yet: the shell would take it for commands, and keep them."""
    import termios

    with suppress(OSError, ValueError, termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
