"""Views of strategies and their parameters. Rules as in `row`."""

from __future__ import annotations

from typing import ClassVar

from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow


class StrategyRow(OutputRow, frozen=True, kw_only=True):
    """A strategy in a list."""

    name: str
    about: TruncatableText
    where: str

    shown: ClassVar[tuple[str, ...]] = ("name", "about")
    wraps = True


class ParameterRow(OutputRow, frozen=True, kw_only=True):
    """A parameter of a strategy."""

    name: str
    default: str
    minimum: str
    maximum: str
    help: TruncatableText

    wraps = True


class StrategyView(StrategyRow, frozen=True, kw_only=True):
    """A strategy; `hears` are its data inputs, `rows` its parameters."""

    hears: tuple[str, ...]
    rows: tuple[ParameterRow, ...]

    shown = ()


class NewStrategyView(OutputRow, frozen=True, kw_only=True):
    """The two files that were written."""

    name: str
    code: str
    test: str
