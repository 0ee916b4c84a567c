"""Views of strategies and their parameters. Rules as in `row`."""

from __future__ import annotations

from typing import ClassVar

from kalshi_cli.views.formats import Prose
from kalshi_cli.views.row import Row


class StrategyRow(Row, frozen=True, kw_only=True):
    name: str
    about: Prose
    where: str

    shown: ClassVar[tuple[str, ...]] = ("name", "about")
    wraps = True


class ParameterRow(Row, frozen=True, kw_only=True):
    name: str
    default: str
    minimum: str
    maximum: str
    help: Prose

    wraps = True


class StrategyView(StrategyRow, frozen=True, kw_only=True):
    """One strategy; `hears` is what it is called for, `rows` are its parameters."""

    hears: tuple[str, ...]
    rows: tuple[ParameterRow, ...]

    shown = ()


class NewStrategyView(Row, frozen=True, kw_only=True):
    """Two files that were written."""

    name: str
    code: str
    test: str
