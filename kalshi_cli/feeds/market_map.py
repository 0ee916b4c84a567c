"""The user's map of Kalshi markets to tokens or slugs of Polymarket that ask the same question. CSV or YAML."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from kalshi_cli.base import plain_yaml
from kalshi_cli.base.text import safe_text
from kalshi_cli.feeds.fair_values import TICKER, SourceError, text_of, wrong_heading

if TYPE_CHECKING:
    from yaml.nodes import Node

MAX_BYTES = 200_000
"""Size limit of a map."""
MAX_PAIRS = 200
"""Markets in a map, at most; each takes one or two requests."""

FIELDS = ["ticker", "polymarket", "side"]

TOKEN = re.compile(r"[0-9]{1,78}")
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,199}")


class MarketPair(NamedTuple):
    """A market of Kalshi and its token or slug of Polymarket. `is_yes`: both pay in the same case, else in opposite."""

    ticker: str
    polymarket: str
    is_yes: bool


Line = tuple[int, Callable[[], list[str]]]
"""The number of a line, and a function that returns its fields or raises SourceError."""


def read_map(body: bytes, *, is_yaml: bool = False) -> tuple[list[MarketPair], list[str]]:
    """Return the pairs of a map, and an error for each invalid line. Raises SourceError if nothing is readable.

    A map is CSV with the heading `ticker,polymarket,side`, where empty lines and lines that start with # are ignored,
    or a YAML list of these fields.
    """
    pairs: dict[str, MarketPair] = {}
    problems = []
    for number, fields in (_yaml_lines if is_yaml else _csv_lines)(text_of(body, MAX_BYTES)):
        try:
            pair = _pair(*fields())
            if pair.ticker in pairs:
                raise SourceError(f"{pair.ticker} appears twice")
        except SourceError as error:
            problems.append(f"line {number}: {error}")
            continue
        pairs[pair.ticker] = pair
    if len(pairs) + len(problems) > MAX_PAIRS:
        raise SourceError(f"more than {MAX_PAIRS} markets")
    return list(pairs.values()), problems


def _csv_lines(text: str) -> Iterator[Line]:
    lines = [(at, line) for at, line in enumerate(text.splitlines(), 1) if line.strip() and not line.startswith("#")]
    heading = lines[0][1] if lines else ""
    if [name.lower() for name in _split(heading)] != FIELDS:
        raise wrong_heading(heading, ",".join(FIELDS))
    for number, line in lines[1:]:
        yield number, partial(_cells, line)


def _cells(line: str) -> list[str]:
    cells = _split(line)
    if len(cells) != len(FIELDS):
        raise SourceError(f"{len(cells)} values instead of {len(FIELDS)}")
    return cells


def _split(line: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True, strict=True), [])]
    except csv.Error as error:
        raise SourceError(safe_text(str(error), 100)) from None


def _yaml_lines(text: str) -> Iterator[Line]:
    """Yield the entries of a YAML list; every value is read as text, though YAML makes `yes` a boolean."""
    from yaml.nodes import SequenceNode

    try:
        document = plain_yaml.compose(text)
    except plain_yaml.PlainYamlError as error:
        line = f" (line {error.line})" if error.line is not None else ""
        raise SourceError(f"not plain YAML{line}: {safe_text(str(error), 100)}") from None
    if not isinstance(document, SequenceNode):
        raise SourceError(f"expected a list of {', '.join(FIELDS)}")
    for node in document.value:
        yield node.start_mark.line + 1, partial(_named, node)


def _named(node: Node) -> list[str]:
    from yaml.nodes import MappingNode, ScalarNode

    keys = [key for key, _ in node.value] if isinstance(node, MappingNode) else []
    names = [key.value if isinstance(key, ScalarNode) else "?" for key in keys]
    if sorted(names) != sorted(FIELDS):
        found = safe_text(", ".join(names), 100) or "none"
        raise SourceError(f"the fields are {found}; they must be {', '.join(FIELDS)}")
    values = {name.value: value for name, value in node.value}
    if not all(isinstance(value, ScalarNode) for value in values.values()):
        raise SourceError("every field must be text")
    return [values[name].value.strip() for name in FIELDS]


def _pair(ticker: str, polymarket: str, side: str) -> MarketPair:
    if not TICKER.fullmatch(ticker.upper()):
        raise SourceError(f"invalid ticker: {safe_text(ticker, 40)!r}")
    if not TOKEN.fullmatch(polymarket) and not _SLUG.fullmatch(polymarket):
        raise SourceError(f"not a Polymarket token id or slug: {safe_text(polymarket, 40)!r}")
    if side.lower() not in ("yes", "no"):
        raise SourceError(f"side must be yes or no, not {safe_text(side, 40)!r}")
    return MarketPair(ticker.upper(), polymarket, side.lower() == "yes")
