"""The map of a person: which market of Kalshi asks the same as which token or slug of Polymarket. CSV or YAML."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from kalshi_cli.base import plain_yaml
from kalshi_cli.base.text import safe_text
from kalshi_cli.feeds.fair_values import TICKER, SourceError, wrong_heading

if TYPE_CHECKING:
    from yaml.nodes import Node

MAX_BYTES = 200_000
"""Of a map."""
MAX_PAIRS = 200
"""Of a map: one or two requests each."""

FIELDS = ["ticker", "polymarket", "side"]

TOKEN = re.compile(r"[0-9]{1,78}")
_SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,199}")


class MarketPair(NamedTuple):
    """A market of Kalshi, and the token or the slug of Polymarket that asks the same. `is_yes`: they pay alike; else
    one pays where the other does not.
    """

    ticker: str
    polymarket: str
    is_yes: bool


Line = tuple[int, Callable[[], list[str]]]
"""Its number, and how its fields are read; SourceError where they are others."""


def read_map(body: bytes, *, is_yaml: bool = False) -> tuple[list[MarketPair], list[str]]:
    """CSV with the heading `ticker,polymarket,side`, without lines that are empty or begin with #; or a YAML list of
    those fields.

    The pairs, and what is wrong with each line that is none. SourceError where nothing of it can be read.
    """
    if len(body) > MAX_BYTES:
        raise SourceError(f"it is longer than {MAX_BYTES} bytes")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise SourceError("it is not text in UTF-8") from None
    pairs: dict[str, MarketPair] = {}
    problems = []
    for number, fields in (_yaml_lines if is_yaml else _csv_lines)(text):
        try:
            pair = _pair(*fields())
            if pair.ticker in pairs:
                raise SourceError(f"{pair.ticker} is there twice")
        except SourceError as error:
            problems.append(f"line {number}: {error}")
            continue
        pairs[pair.ticker] = pair
    if len(pairs) + len(problems) > MAX_PAIRS:
        raise SourceError(f"it has more than {MAX_PAIRS} markets")
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
    """Every value is text here: elsewhere in YAML `yes` is a truth and a token a number."""
    from yaml.nodes import SequenceNode

    try:
        document = plain_yaml.compose(text)
    except plain_yaml.PlainYamlError as error:
        line = f" (line {error.line})" if error.line is not None else ""
        raise SourceError(f"it is not plain YAML{line}: {safe_text(str(error), 100)}") from None
    if not isinstance(document, SequenceNode):
        raise SourceError(f"it is not a list of {', '.join(FIELDS)}")
    for node in document.value:
        yield node.start_mark.line + 1, partial(_named, node)


def _named(node: Node) -> list[str]:
    from yaml.nodes import MappingNode, ScalarNode

    keys = [key for key, _ in node.value] if isinstance(node, MappingNode) else []
    names = [key.value if isinstance(key, ScalarNode) else "?" for key in keys]
    if sorted(names) != sorted(FIELDS):
        found = safe_text(", ".join(names), 100) or "none"
        raise SourceError(f"its fields are {found}, and must be {', '.join(FIELDS)}")
    values = {name.value: value for name, value in node.value}
    if not all(isinstance(value, ScalarNode) for value in values.values()):
        raise SourceError("each of its fields must be text")
    return [values[name].value.strip() for name in FIELDS]


def _pair(ticker: str, polymarket: str, side: str) -> MarketPair:
    if not TICKER.fullmatch(ticker.upper()):
        raise SourceError(f"not a ticker: {safe_text(ticker, 40)!r}")
    if not TOKEN.fullmatch(polymarket) and not _SLUG.fullmatch(polymarket):
        raise SourceError(f"neither a token id nor a slug of Polymarket: {safe_text(polymarket, 40)!r}")
    if side.lower() not in ("yes", "no"):
        raise SourceError(f"the side is yes or no, not {safe_text(side, 40)!r}")
    return MarketPair(ticker.upper(), polymarket, side.lower() == "yes")
