"""Two thousand texts that somebody could give a market to hurt whoever reads it, and what must be left of them."""

from __future__ import annotations

import csv
import io
import itertools
import json
import random
import re
from collections.abc import Iterator

MARKUP = ("[red]", "[/]", "[/red]", "[link=https://evil.example]x[/link]", "[bold blink]", "\\[", "[[", "]", ":boom:")
ESCAPES = (
    "\x1b[2J", "\x1b[31m", "\x1b[1;1H", "\x1b]0;title\x07", "\x1b]8;;https://evil.example\x1b\\x\x1b]8;;\x1b\\",
    "\x1b]52;c;cm0gLXJm\x07", "\x1bP+q544e\x1b\\", "\x9b31m", "\x9d0;t\x9c", "\x1b[?1049h", "\x1bc", "\x90q\x9c",
)  # fmt: skip
CONTROLS = tuple(map(chr, (*range(32), *range(0x7F, 0xA0))))
INVISIBLE = tuple(map(chr, (
    0x00AD, 0x061C, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x200F, 0x2028, 0x2029, 0x202A, 0x202B, 0x202C, 0x202D,
    0x202E, 0x2060, 0x2066, 0x2067, 0x2068, 0x2069, 0xFEFF, 0xFFF9, 0xE0001, 0xE0041, 0xE000, 0xFFFE, 0x10FFFF,
)))  # fmt: skip
FORMULAS = (
    "=1+1", "+1", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "\r=1", " =1", "\x00=1", "\u200b=1", "=HYPERLINK()",
    "＝1", "\ufeff@x", "\n=1", '"=1', "'=1", "%=1", "\xa0=1", "\u2003-1", "\x1b=1",
)  # fmt: skip
MENTIONS = ("@everyone", "@here", "<!channel>", "<!here>", "<@U024BE7LH>", "<#C024BE7LR>", "<https://evil.example|x>")
LINES = ("\n", "\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", '\n{"event":"fill"}', "\nOK - fine", "\nerror: none")
MONITORING = ("|", " | a=1;;", "|'x'=0;;;;", "a=1;2;3|", "\n|x=1")
FOREIGN = (
    "'; DROP TABLE orders; --", '" OR ""="', "%", "_", "%s%n%x", "{0}", "{ts}", "${HOME}", "$(reboot)", "`reboot`",
    "\\", "\\u0000", "\\x1b[2J", "!!python/object/apply:os.system [x]", "*alias", "&anchor", "key: value", "- item",
    "# remark", '{"a":', "]}", "\"", "'", "</script>", "<img src=x onerror=x>", "&lt;", "../../etc/passwd", "C:\\NUL",
    "--yes", "-", "null", "NaN", "1e999", "0x7f", "", " ", "—",
)  # fmt: skip
WIDE = (
    "日本語",
    "e" + "\u0301" * 60,
    "\u0e01" + "\u0e33" * 40,
    "👩‍👩‍👧‍👦",
    "🇺🇸",
    "ﷺ" * 20,
    "𝕏",
    "ｗｉｄｅ",
    "A\ufe0f",
    "\u0300",
)
LONE = ("\ud800", "\udfff", "\udc80x")
"""Halves of a pair, which no UTF-8 and so no answer of an exchange has; an argument or a file name can."""

TITLE = "".join(
    (*MARKUP, *ESCAPES, *INVISIBLE, "<img src=x onerror=document.title='bad'>", "{{7*7}}", "</script>", "end")
)
"""A title with every kind of trouble for a terminal and a page; its last word is plain."""

HUGE = "x\x1b[31m\u202e|=" * 15_000
"""100,000 characters and more."""

PIECES = (*MARKUP, *ESCAPES, *CONTROLS, *INVISIBLE, *FORMULAS, *MENTIONS, *LINES, *MONITORING, *FOREIGN, *WIDE)


def _made() -> list[str]:
    chance = random.Random(74)
    made = dict.fromkeys((*PIECES, *(f"Rain {piece} today" for piece in PIECES)))
    while len(made) < 2_000:
        made["".join(chance.choices((*PIECES, "rain", " ", "7"), k=chance.randint(2, 6)))] = None
    return list(made)


HOSTILE = tuple(_made())


def endless() -> Iterator[str]:
    """All of them, again and again, with a huge one now and then."""
    return itertools.cycle((*HOSTILE, HUGE))


def harmful(text: str) -> str:
    """What must not reach a terminal: whatever does not print, but for line ends."""
    return "".join(sorted({c for c in text if c != "\n" and not c.isprintable()}))


_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def formulas(text: str) -> list[str]:
    """Cells of a CSV file that a spreadsheet would run. ValueError where its lines are of several lengths."""
    rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    if len({len(row) for row in rows}) > 1:
        raise ValueError("lines of several lengths")
    cells = itertools.chain.from_iterable(rows)
    return [c for c in cells if c.lstrip()[:1] in tuple("=+-@\t\r＝＋－＠") and c.strip() and not _NUMBER.fullmatch(c)]


def check_output(text: str, form: str) -> None:
    """AssertionError where the output of a command in this format could do harm, or cannot be read."""
    assert harmful(text) == ""
    if form == "json" and text:
        json.loads(text)
    elif form == "ndjson":
        assert all(isinstance(json.loads(line), (dict, list)) for line in text.splitlines())
    elif form == "csv":
        assert formulas(text) == []
