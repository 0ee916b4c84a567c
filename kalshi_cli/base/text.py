"""Makes outside text safe to show, and text with secrets safe to keep.

Text from the exchange, a file or a user passes `safe_text` before it reaches a terminal, a log or a webhook. Text that
goes into a log or a traceback passes `redact`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from itertools import pairwise

LONGEST = 2_000
"""Maximum characters kept of one piece of outside text; far above any title or rule that the exchange has published."""

MASK = "[hidden]"

SHORT_ID_LENGTH = 8
"""Characters that a shortened id has at least; commands accept it."""


NAME_MARK = " – "
"""Stands between the title of a market and the name of its YES, where titles of other markets are the same."""


MIN_NAME_WIDTH = 14
"""The least width of the name of a market that is cut: less of it says nothing."""


def shorten_name(text: str, width: int) -> str:
    """Return the name of a market in at most this width: what follows the date tells it from its neighbors.

    Words after the name, as in the subject of an alert, are cut before the name is.
    """
    plain = safe_text(text)
    if len(plain.partition(" ")[0]) < width < len(plain):
        return f"{plain[: width - 1]}…"
    tail = (width - 1) * 2 // 3
    return plain if len(plain) <= width or tail < 1 else f"{plain[: width - 1 - tail]}…{plain[-tail:]}"


def shorten_title(text: str, width: int) -> str:
    """Return a title in at most `width` characters, which are all of the name of YES at its end if that fits."""
    if len(text) <= width:
        return text
    title, mark, name = text.rpartition(NAME_MARK)
    if mark and len(name) == width:
        return name
    room = max(0, width - 1)
    tail = name if mark and len(name) < room else ""
    start = title if tail else name or text
    return f"{start[: room - len(tail)]}…{tail}" if width > 0 else ""


def safe_text(text: str, limit: int = LONGEST) -> str:
    """Return one line without control, bidi, zero-width or unassigned characters, at most `limit` characters long.

    Every kind of white space becomes a space. Characters of the Unicode category Other (C0 and C1 controls, format
    characters, surrogates) are removed, so an escape sequence becomes the harmless text of its parameters.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else " " if c.isspace() else "" for c in text)


def safe_lines(text: str, limit: int = LONGEST) -> str:
    """Clean text like `safe_text`, but keep line breaks: for rules and other text shown as paragraphs."""
    return "\n".join(safe_text(line, limit) for line in text[:limit].splitlines())


def one_line(text: str, limit: int = LONGEST) -> str:
    r"""Return a message as one line of at most `limit` characters, with control characters escaped.

    Line breaks, C0 and C1 controls, bidi and other format characters appear as `\n`, `\x1b`, `\u202e`, so that
    outside text in a message cannot start a line of its own, and the reader sees the attempt.
    """
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)[:limit]


def _escaped(char: str) -> str:
    return " " if unicodedata.category(char) == "Zs" else char.encode("unicode_escape").decode()


@cache  # compiled when first needed: all patterns of this file take 2 ms, a thirtieth of `kalshi --help`
def _patterns() -> list[tuple[re.Pattern[str], str]]:
    """Return what is hidden in a text, and what is put in its place."""
    patterns = (
        (r"-----BEGIN [A-Z ]+-----.*?(?:-----END [A-Z ]+-----|\Z)", MASK),
        (r"(KALSHI-ACCESS-(?:SIGNATURE|KEY)[\"']?\s*[:=,]\s*(?:b?[\"'])?)(?!\[hidden)[^\s\"',;}\]]+", rf"\1{MASK}"),
        (r"(Authorization[\"']?\s*[:=,]\s*(?:b?[\"'])?(?:Bearer |Basic )?)(?!\[hidden)[^\s\"',;}\]]+", rf"\1{MASK}"),
        (r"(hooks\.slack\.com/(?:services|workflows|triggers)/)[^\s\"'<>]+", rf"\1{MASK}"),
        (r"(discord(?:app)?\.com/api/webhooks/)[^\s\"'<>]+", rf"\1{MASK}"),
        # The number before the colon may be hidden already, as part of a configured address.
        (r"(?<![A-Za-z0-9])(bot)?(?:\d{6,12}|\[hidden\]):[A-Za-z0-9_-]{30,}", rf"\1{MASK}"),
        (r"(hc-ping\.com/|/ping/)[0-9a-f-]{8,}[^\s\"'<>]*", rf"\1{MASK}"),
        (r"(://)[^/\s:@]+:[^/\s@]+@", rf"\1{MASK}@"),
    )
    return [(re.compile(pattern, re.IGNORECASE | re.DOTALL), put) for pattern, put in patterns]


_IN_EVERY_PATTERN = frozenset(" :/=,")
"""Every pattern needs one of these characters to match."""

_concealed: set[str] = set()
_MIN_SECRET_LENGTH = 6  # a shorter one would hide ordinary words
_MIN_TOKEN_LENGTH = 8  # a part of an address is often an ordinary word, such as `services`


def mask(secret: str) -> None:
    """Hide this value in `redact` from now on, for the whole process. Call it where a secret is read."""
    if len(secret) >= _MIN_SECRET_LENGTH:
        _concealed.add(secret)


def conceal_address(url: str) -> None:
    """Hide a secret address: the whole of it, and every part that could be a secret, however it is written.

    Libraries rewrite addresses (`slack://A/B/C` is sent to hooks.slack.com/services/A/B/C) and quote them in errors.
    """
    from urllib.parse import unquote, urlsplit

    if re.fullmatch("[a-z]*(://)?", url):
        return  # only a scheme, which many addresses share
    mask(url)
    try:
        parts = urlsplit(url)
    except ValueError:
        return  # not an address that anything can be sent to
    login, _, host = parts.netloc.rpartition("@")
    for piece in login.split(":"):
        mask(piece)
        mask(unquote(piece))
    for piece in re.split("[/?&=#,:;]", f"{host}/{parts.path}?{parts.query}#{parts.fragment}"):
        if len(piece) >= _MIN_TOKEN_LENGTH and "." not in piece and re.search("[A-Z0-9]", piece):
            mask(piece)
            mask(unquote(piece))


# -- a private key in the wrong place -----------------------------------------------------------------------------

MIN_KEY_LINE_LENGTH = 60
"""Characters; a full line of a PEM file has 64 or 76."""
_MIN_CHANGES = 0.4  # changes of case or kind per character: base64 of random bytes has 0.64, a long path 0.2

_KEY_BEGINS = (
    r"-----BEGIN [A-Z ]*PRIVATE KEY"  # or the base64 of PKCS#1 and PKCS#8: RSA, Ed25519, elliptic curves
    r"|(?<![A-Za-z0-9+/])(?:MII[A-Za-z0-9+/]{3}IBA|MC4CAQAw|MHcCAQEE|MIGHAgEA)[A-Za-z0-9+/]{8,}"
)
_SHORTEST_KEY = 16
"""Characters of the shortest text that `_KEY_BEGINS` finds."""
_BREAK = r"(?:\\[nr]|\s)+"
_KEY_LINES = (
    rf"[A-Za-z0-9+/]{{{MIN_KEY_LINE_LENGTH},}}={{0,2}}(?:{_BREAK}[A-Za-z0-9+/]{{{MIN_KEY_LINE_LENGTH},}}={{0,2}})*"
    rf"(?:{_BREAK}(?:[A-Za-z0-9+/]{{16,75}}={{0,2}}|[A-Za-z0-9+/]{{1,75}}={{1,2}}))?"
)


def holds_private_key(text: str) -> bool:
    """Return whether a text contains a private key or lines of one, with or without the PEM header."""
    if len(text) < _SHORTEST_KEY:
        return False
    found = re.fullmatch(_KEY_LINES, text.strip())
    return re.search(_KEY_BEGINS, text) is not None or (found is not None and _is_random(text))


def conceal_key(text: str) -> None:
    """Hide each line of a private key that was entered in the wrong place."""
    for piece in re.findall(r"[A-Za-z0-9+/]{24,}", text):
        mask(piece)


def _is_random(text: str) -> bool:
    kinds = ["A" if c.isupper() else "a" if c.islower() else "0" if c.isdigit() else "+" for c in text]
    changes = sum(before != after for before, after in pairwise(kinds))
    return {"A", "a", "0"} <= set(kinds) and changes >= _MIN_CHANGES * len(kinds)


def _hidden_key(found: re.Match[str]) -> str:
    return MASK if re.match(_KEY_BEGINS, found[0]) or _is_random(found[0]) else found[0]


def redact(text: str) -> str:
    """Hide concealed values, private keys, signatures, tokens and the secret part of webhook addresses."""
    for secret in sorted(_concealed, key=len, reverse=True):
        text = text.replace(secret, MASK)
    if len(text) >= MIN_KEY_LINE_LENGTH:
        text = re.sub(_KEY_LINES, _hidden_key, text)
    if _IN_EVERY_PATTERN.isdisjoint(text):
        return text  # a ticker, a price or an id: the usual case in a log
    for pattern, put in _patterns():
        text = pattern.sub(put, text)
    return text


_FORMULA = tuple("=+-@\t\r＝＋－＠")


def csv_text(text: str) -> str:
    """Return a table cell as text: a value that a spreadsheet would run as a formula gets an apostrophe."""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def csv_line(cells: Iterable[str]) -> str:
    """Return a line of a CSV file with every cell quoted."""
    return '"' + '","'.join([cell.replace('"', '""') for cell in cells]) + '"\n'


def is_loopback(host: str) -> bool:
    """Return whether the host is this machine: 127.0.0.0/8, ::1 or localhost."""
    import ipaddress

    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    return found == ipaddress.IPv6Address("::1") or (found.version == 4 and found.is_loopback)
