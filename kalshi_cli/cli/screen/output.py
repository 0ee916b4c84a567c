"""The only access to stdout and stderr: data goes to stdout, everything else to stderr."""

from __future__ import annotations

import errno
import io
import os
import re
import select
import sys
import textwrap
from contextlib import suppress
from enum import StrEnum
from typing import TextIO

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.local_time import show_times
from kalshi_cli.base.text import LONGEST, conceal_key, holds_private_key, one_line, redact

ROUNDED = "Amounts are rounded to the cent, so sums can be off by a few cents. --json has every decimal"
"""The notice of a screen whose amounts do not add up as shown."""


class Format(StrEnum):
    """Output formats. TABLE is for a terminal, PLAIN for a pipe, the rest for programs."""

    TABLE = "table"
    PLAIN = "plain"
    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"


def default_format() -> Format:
    """Return TABLE for a capable terminal, PLAIN otherwise."""
    return Format.TABLE if sys.stdout.isatty() and os.environ.get("TERM") != "dumb" else Format.PLAIN


def write_out(text: str, *, flush: bool = False) -> None:
    """Write data to stdout. With `flush` it is visible at once; BrokenPipeError means that there is no reader.

    Without `flush`, data without a reader is dropped: neither the work of a command nor its exit code depend on one.
    """
    try:
        _write_all(text)
        if flush:
            sys.stdout.flush()
    except BrokenPipeError:
        _note_reader(False)
        _drop(sys.stdout)
        if flush:
            raise
    except OSError as error:
        raise _unwritten(error) from error


def _write_all(text: str) -> None:
    """Write a text to stdout, all of it or with an error.

    With PYTHONUNBUFFERED Python drops the rest of a write of which only the first part fits on the disk.
    """
    unbuffered = getattr(sys.stdout, "buffer", None)
    if not isinstance(unbuffered, io.RawIOBase):
        sys.stdout.write(text)
        return
    left = memoryview(text.encode(sys.stdout.encoding, sys.stdout.errors or "strict"))
    while left:
        written = unbuffered.write(left)
        if written is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        left = left[written:]


def write_sentence(text: str, *, flush: bool = False) -> None:
    """Write a sentence to stdout, with local times; a terminal breaks it between words. `flush` as in `write_out`."""
    width = _columns_of(sys.stdout) if sys.stdout.isatty() else 0
    write_out(f"{wrap(show_times(one_line(text)), width)}\n", flush=flush)


def flush_out() -> None:
    """Flush stdout. A reader that has gone is not an error, a full disk is."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _note_reader(False)
        _drop(sys.stdout)
    except OSError as error:
        raise _unwritten(error) from error


STDOUT = "standard output"
"""The file name in the error of output that could not be written."""


def _unwritten(error: OSError) -> OSError:
    """Return the error with the name of the stream: a bare `No space left on device` leaves open which file it is."""
    return OSError(error.errno, error.strerror, STDOUT)


def close_out() -> None:
    """Flush stdout at the end; drop what cannot be written."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop(sys.stdout)
    _note_reader(True)


def require_reader() -> None:
    """Raise BrokenPipeError if the reader of stdout has closed it; a write would find out only with the next line."""
    try:
        stdout = sys.stdout.fileno()
    except (OSError, ValueError):  # not a file
        return
    poll = select.poll()
    poll.register(stdout, 0)
    if any(events & select.POLLERR for _, events in poll.poll(0)):
        raise BrokenPipeError


_has_reader = True


def has_reader() -> bool:
    """Return whether this command dropped no output because the reader of stdout had gone."""
    return _has_reader


def _note_reader(is_there: bool) -> None:
    global _has_reader
    _has_reader = is_there


def _drop(stream: TextIO) -> None:
    """Discard all further output, so that Python's last flush does not change the exit code."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


MAX_ANSWER_LENGTH = 10_000
"""The longest answer, in characters."""

_is_quiet = False


def set_quiet(is_quiet: bool) -> None:
    """Switch notices off or on (--quiet)."""
    global _is_quiet
    _is_quiet = is_quiet


_fields: tuple[str, ...] = ()


def set_fields(names: tuple[str, ...]) -> None:
    """Set the fields that views print, in their order (--fields); all, if empty."""
    global _fields
    _fields = names


def chosen_fields() -> tuple[str, ...]:
    """Return the fields that views print; empty means all."""
    return _fields


_command: str | None = None


def set_command(path: str | None) -> None:
    """Set the running command, such as `kalshi fills`, for notices that ask to run it again; "" if it must not be."""
    global _command
    _command = path


def command_to_repeat() -> str | None:
    """Return the running command; "" for one that must not run again, such as an order, and None outside of one."""
    return _command


def info(*lines: str) -> None:
    """Write notices to stderr, one line each; nothing with --quiet."""
    if not _is_quiet:
        warn(*lines)


def warn(*lines: str, is_wrapped: bool = True) -> None:
    """Write warnings and errors to stderr, after the output on stdout so far.

    Each argument becomes one line without secrets; quoted text from outside cannot start a second line. Unless they
    are for a program, lines have local times, and a terminal breaks them between words.
    """
    with suppress(OSError):  # the final flush reports it
        flush_out()
    try:
        shown = (one_line(redact(line), LONGEST if is_wrapped else sys.maxsize) for line in lines)
        if is_wrapped:
            width = _columns_of(sys.stderr)
            shown = (wrap(show_times(line), width) for line in shown)
        sys.stderr.write("".join(f"{line}\n" for line in shown))
        sys.stderr.flush()
    except (OSError, ValueError):  # a full disk or a closed terminal must not stop the cancels
        _drop(sys.stderr)


def _columns_of(stream: TextIO) -> int:
    """Return the columns of the terminal at a stream; 0 without a terminal, or without a known size."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return 0


def write_markdown(text: str) -> None:
    """Write Markdown as it is to stdout, for a narrower terminal behind a pipe with its lines broken between words."""
    write_out(reflow(text, _columns_of(sys.stderr)))


def reflow(text: str, width: int) -> str:
    """Return Markdown of headings, paragraphs and lists with lines that fit; the text as it is if they do already."""
    if not 0 < width < max(map(len, text.splitlines()), default=0):
        return text
    parts: list[str] = []
    for line in text.splitlines():
        if line and parts and parts[-1] and not _BLOCK.match(line):
            parts[-1] += f" {line.strip()}"
        else:
            parts.append(line)
    return "".join(f"{_folded_block(part, width)}\n" for part in parts)


def _folded_block(text: str, width: int) -> str:
    """Break a heading, a paragraph or an item between words; a command that fits into a line stays whole."""
    mark = _BLOCK.match(text)
    indent = " " * (mark.end() if mark else 0)
    kept = re.sub(
        "`[^`]*`", lambda found: found[0].replace(" ", GLUE if len(found[0]) < width - len(indent) else " "), text
    )
    lines = textwrap.wrap(kept, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines).replace(GLUE, " ")


_BLOCK = re.compile(r" *(?:#+|[-*]|\d+\.) ")
"""The beginning of a heading or of an item of a list."""


def wrap(line: str, width: int) -> str:
    """Break a line between words, with its indentation.

    A longer word stays whole, and so does a command: the half of a copied command could be another one. A wider
    command takes several lines, with a backslash at the end of each but the last: a shell joins them.
    """
    if not 0 < width < len(line):
        return line
    whole = COMMAND.sub(lambda command: _glued(command[0], width), line)
    indent = line[: len(line) - len(line.lstrip(" "))]
    wrapped = textwrap.wrap(
        whole, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
        replace_whitespace=False, expand_tabs=False,
    )  # fmt: skip
    return "\n".join(wrapped).replace(GLUE, " ").replace(BREAK, " \\\n")


def _glued(command: str, width: int) -> str:
    """Return the command as one word; with marks where it must be broken."""
    return BREAK.join(command_lines(command, width)).replace(" ", GLUE)


def command_lines(command: str, width: int) -> list[str]:
    """Return the lines of a command, to be joined by backslashes, which would be text within quotes."""
    if len(command) <= width or {"'", '"'} & set(command):
        return [command]
    return textwrap.wrap(command, width - len(" \\"), break_long_words=False, break_on_hyphens=False)


COMMAND, GLUE = re.compile("`[^`]*`|(?<=: )kalshi .*$"), "\0"
"""A command in a sentence or at its end, and the sign for its spaces, which no line contains."""

BREAK = "\1"
"""The sign for a line break inside a command, which no line contains either."""


def prompt(question: str, default: str = "") -> str:
    """Ask a question on stderr and return the typed line, `default` for an empty line; "" at the end of input.

    UsageError for a pasted private key: its other lines would answer the next questions.
    """
    sys.stderr.write(wrap(show_times(one_line(question)), _columns_of(sys.stderr)) + " ")
    sys.stderr.flush()
    line = sys.stdin.readline(MAX_ANSWER_LENGTH)
    answer = line.strip() or (default if line else "")
    if holds_private_key(answer):
        conceal_key(answer)
        _drop_typed()
        raise UsageError(
            "The answer is a private key, or a part of one; it was not used, stored or shown",
            hint="answer with the path of the key file",
            code="private_key",
        )
    return answer


def _drop_typed() -> None:
    """Discard pasted input that was not read: the shell would run it, and keep it in its history."""
    import termios

    with suppress(OSError, ValueError, termios.error):
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
