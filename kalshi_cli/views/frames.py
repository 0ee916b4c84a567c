"""Views as plain dictionaries and as data frames."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.views.formats import to_machine
from kalshi_cli.views.plans import PlanOutcome
from kalshi_cli.views.row import OutputRow


def to_dict(view: OutputRow) -> dict[str, Any]:
    """Return one view as `--json` shows it: prices, counts and money as exact texts, times as RFC 3339.

    UsageError for a list.
    """
    if not isinstance(view, OutputRow):
        raise UsageError(
            f"to_dict takes one view, not a {type(view).__name__}",
            hint=f"use to_dicts({'outcome.rows' if isinstance(view, PlanOutcome) else 'views'})",
        )
    plain: dict[str, Any] = msgspec.to_builtins(to_machine(type(view))(view))
    return plain


def to_dicts(views: Iterable[OutputRow]) -> list[dict[str, Any]]:
    """Return each view of a list like `to_dict`. UsageError for a single view, and for the outcome of a plan."""
    if isinstance(views, OutputRow | PlanOutcome):
        hint = "use to_dicts(outcome.rows)" if isinstance(views, PlanOutcome) else "use to_dict(view)"
        raise UsageError(f"to_dicts takes a list of views, not one {type(views).__name__}", hint=hint)
    return [to_dict(view) for view in views]


def to_polars(views: Iterable[OutputRow], of: type[OutputRow] | None = None) -> Any:
    """Return the views as a polars data frame, with the columns of `to_dicts`.

    An empty list has the columns of `of`, such as `kalshi_cli.views.positions.PositionRow`, and none without it.
    """
    polars, rows = _library("polars"), to_dicts(views)
    return polars.DataFrame(rows) if rows else polars.DataFrame(schema=dict.fromkeys(_names(of), polars.String))


def to_pandas(views: Iterable[OutputRow], of: type[OutputRow] | None = None) -> Any:
    """Return the views as a pandas data frame, like `to_polars`."""
    pandas, rows = _library("pandas"), to_dicts(views)
    return pandas.DataFrame(rows) if rows else pandas.DataFrame(columns=_names(of))


def _names(of: type[OutputRow] | None) -> list[str]:
    return [field.name for field in msgspec.structs.fields(of)] if of is not None else []


def _library(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise UsageError(f"{name} is not installed", hint=f"pip install {name}", code="not_installed") from error
