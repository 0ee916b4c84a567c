"""The two streams. Data goes to stdout, everything else to stderr, and nothing goes anywhere but through here."""

from __future__ import annotations

import os
import sys
from enum import StrEnum

from kalshi_cli.text import safe_lines


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
    """Data, as it is, to stdout."""
    sys.stdout.write(text)
    if flush:
        sys.stdout.flush()


_is_quiet = False


def set_quiet(is_quiet: bool) -> None:
    """Whether remarks are kept back: --quiet of this invocation."""
    global _is_quiet
    _is_quiet = is_quiet


def note(text: str) -> None:
    """A remark for a person, to stderr; nothing with --quiet."""
    if not _is_quiet:
        tell(text)


def tell(text: str) -> None:
    """What a person must know, made safe, to stderr; after what stdout has so far."""
    sys.stdout.flush()
    sys.stderr.write(safe_lines(text) + "\n")
    sys.stderr.flush()


def ask(question: str) -> str:
    """The line that a person types after a question on stderr; "" at the end of input."""
    sys.stderr.write(safe_lines(question) + " ")
    sys.stderr.flush()
    return sys.stdin.readline().strip()
