"""The generated pages of the documentation match their sources."""

from __future__ import annotations

import importlib.util
import re
import sys
from types import ModuleType
from typing import Literal

import msgspec
import pytest
from support.places import ROOT

from kalshi_cli.base.units import Price


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("pages", ROOT / "scripts/pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["pages"] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_of_views_is_generated_from_the_views(pages: ModuleType) -> None:
    """`make reference` writes it again."""
    assert pages.VIEWS.read_text() == pages.views_page()


def test_the_page_of_strategies_shows_the_template(pages: ModuleType) -> None:
    """`make reference` writes it again."""
    assert pages.STRATEGIES.read_text() == pages.strategies_page()
    assert pages.TEMPLATE.read_text() in pages.strategies_page()


def test_every_field_of_a_view_has_a_meaning(pages: ModuleType) -> None:
    """Add the meaning of a new field to `scripts/view_fields.yaml`."""
    assert pages.undescribed() == []


def test_every_meaning_belongs_to_a_field(pages: ModuleType) -> None:
    kinds = [*(kind for _, kinds in pages.views() for kind in kinds), *pages.parts()]
    fields = {field.name for kind in kinds for field in msgspec.structs.fields(kind)}
    whole = {f"{kind.__name__}.{field.name}" for kind in kinds for field in msgspec.structs.fields(kind)}
    assert [name for name in pages.MEANINGS if name not in fields | whole] == []


def test_no_field_has_a_second_meaning_that_replaces_the_first(pages: ModuleType) -> None:
    names = re.findall(r"^([\w.]+):", (pages.ROOT / "scripts/view_fields.yaml").read_text(), re.MULTILINE)
    assert sorted(names) == sorted(pages.MEANINGS)


def test_a_meaning_of_one_view_comes_before_that_of_all(pages: ModuleType) -> None:
    from kalshi_cli.views.orders import GroupView, OrderRow

    assert pages.meaning(OrderRow, "ticker") == pages.MEANINGS["ticker"]
    assert pages.meaning(OrderRow, "status") != pages.MEANINGS["status"], "an order has its own values"
    assert pages.meaning(GroupView, "limit") != pages.MEANINGS["limit"], "a view inherits what its base says"
    assert pages.meaning(OrderRow, "no_such_field") is None


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (Price | None, "price or null"),
        (tuple[Price, ...], "list of price"),
        (tuple[Price, int], "list: price, integer"),
        (dict[str, int], "object of integer"),
        (Literal["yes", "no"], "`yes`, `no`"),
    ],
)
def test_types_are_named_for_readers(pages: ModuleType, kind: object, name: str) -> None:
    assert pages.type_name(kind) == name
