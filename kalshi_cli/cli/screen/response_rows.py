"""The rows of an API response, for `kalshi api` with `--format csv|ndjson` or `--fields`. Imported only for these."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.text import csv_line, csv_text, safe_text
from kalshi_cli.cli.screen.output import Format

Row = dict[str, Any]


def rows_of(answer: bytes, names: Sequence[str] = ()) -> list[Row]:
    """Return the objects of the one list of a response; without a list, the object itself or the only one in it.

    If all fields `names` are plain values of the response itself, it is the only row. UsageError if the response has
    several lists, or no object.
    """
    try:
        whole = msgspec.json.decode(answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError("The response is not JSON, so it has no rows", hint="remove --format and --fields") from error
    if isinstance(whole, dict) and names and not any(isinstance(whole.get(name, []), list | dict) for name in names):
        return [whole]
    if isinstance(whole, dict):
        lists = [name for name, value in whole.items() if isinstance(value, list)]
        if len(lists) > 1:
            raise UsageError(
                f"The response has {len(lists)} lists: {', '.join(map(safe_text, lists))}",
                hint=f"choose one with jq: `--json | jq .{safe_text(lists[0])}`",
            )
        only = next(iter(whole.values())) if len(whole) == 1 else None
        whole = whole[lists[0]] if lists else [only if isinstance(only, dict) else whole]
    if not isinstance(whole, list) or not all(isinstance(row, dict) for row in whole):
        raise UsageError("The response has no list of objects, so it has no rows", hint="use --json")
    return whole


def document_lines(answer: bytes) -> bytes:
    """Return the objects of a response that is a list with at most a cursor, one a line; else the response in one line.

    Numbers keep their digits. A response that is not JSON is returned unchanged.
    """
    try:
        rows = _listed(answer)
        return b"\n".join(msgspec.json.format(row, indent=-1) for row in ([answer] if rows is None else rows))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return answer


def _listed(answer: bytes) -> list[msgspec.Raw] | None:
    """Return the objects of a response that is a list with at most a cursor; None for any other one."""
    if not answer.lstrip().startswith(b"{"):
        parts = [msgspec.Raw(answer)]
    else:
        whole = msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
        parts = [value for name, value in whole.items() if not name.endswith("cursor")]
    if len(parts) != 1 or not bytes(parts[0]).lstrip().startswith(b"["):
        return None
    rows = msgspec.json.decode(parts[0], type=list[msgspec.Raw])
    return rows if all(bytes(row).startswith(b"{") for row in rows) else None


def row_lines(rows: Sequence[Row], names: Sequence[str], form: Format) -> Iterator[str]:
    """Yield the fields `names` of rows, or all: as CSV, as NDJSON, and in any other format as a JSON list.

    UsageError for a field that no row has.
    """
    known = list(dict.fromkeys(name for row in rows for name in row))
    if rows and (unknown := [name for name in names if name not in known]):
        raise UsageError(
            f"Unknown field: {unknown[0] or '(empty)'}", hint=f"Fields: {', '.join(map(safe_text, known))}"
        )
    picked = [{name: row.get(name) for name in names} if names else row for row in rows]
    columns = list(names) or known
    if form is Format.CSV:
        yield csv_line(csv_text(safe_text(name)) for name in columns) if columns else ""
        yield from (csv_line(_cell(row.get(name)) for name in columns) for row in picked)
    elif form is Format.NDJSON:
        yield from (f"{_json(row)}\n" for row in picked)
    else:
        lines = ",\n  ".join(map(_json, picked))
        yield f"[\n  {lines}\n]\n" if lines else "[]\n"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _cell(value: Any) -> str:
    """Return the cell of a value: a number as it is, a list or an object as JSON, nothing for null."""
    if value is None:
        return ""
    text = safe_text(value) if isinstance(value, str) else _json(value)
    return text if _NUMBER.fullmatch(text) else csv_text(text)


_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
