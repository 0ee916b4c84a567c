"""The fields that `--fields` chose, as views with only these. Imported only where fields were chosen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, cast

from msgspec import Struct, defstruct
from msgspec.structs import fields

from kalshi_cli.views.formats import ExchangeJson, inner_row, to_machine
from kalshi_cli.views.row import OutputRow


def has_all(of: type[Struct], names: Iterable[str]) -> bool:
    """Return whether a view has all of these fields."""
    return set(names) <= set(of.__struct_fields__)


@cache
def picked(of: type[Struct], names: tuple[str, ...], *, has_cells: bool) -> type[OutputRow]:
    """Return a view with these fields of another one, in this order; a field that it lacks is missing.

    With `has_cells`, a list of objects becomes one value, its JSON, for the cell of a table.
    """
    kinds = {field.name: field.type for field in fields(of)}
    if has_cells:
        kinds = {name: ExchangeJson if inner_row(kind) else kind for name, kind in kinds.items()}
    given = {name: getattr(of, name, "") for name in ("wraps", "rows_title")}
    kind = defstruct(
        of.__name__,
        [(name, kinds.get(name, str | None)) for name in names],
        bases=(OutputRow,),
        namespace={"vital": names, "wraps": bool(given["wraps"]), "rows_title": given["rows_title"]},
        frozen=True,
        kw_only=True,
    )
    return cast("type[OutputRow]", kind)


def pick(row: Struct, kind: type[OutputRow]) -> OutputRow:
    """Return a row as the picked view."""
    of, values = {field.name: field.type for field in fields(type(row))}, dict[str, Any]()
    for field in fields(kind):
        value = getattr(row, field.name, None)
        is_cell = field.type is ExchangeJson and inner_row(of.get(field.name)) is not None
        values[field.name] = to_machine(of[field.name])(value) if is_cell else value
    return kind(**values)


def pick_rows(
    of: type[Struct], rows: Iterable[Struct], names: tuple[str, ...], *, has_cells: bool
) -> tuple[type[OutputRow], Iterable[OutputRow]]:
    """Return rows with only these fields. An iterator stays one, so that each row is printed when it comes."""
    kind = picked(of, names, has_cells=has_cells)
    found = (pick(row, kind) for row in rows)
    return kind, list(found) if isinstance(rows, Sequence) else found
