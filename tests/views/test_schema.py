"""The schema of a view and what `--json` prints of it agree."""

from __future__ import annotations

from enum import Enum
from types import NoneType
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec
import pytest
from jsonschema import Draft202012Validator

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.views.formats import ExchangeJson, Ratio, Verdict, to_machine, without_none
from kalshi_cli.views.orders import OrderRow
from kalshi_cli.views.schema import all_views, schema_of

VALUES: dict[Any, Any] = {
    Price: Price(4_700), Qty: Qty(1_050), Money: Money(-12_345_600), Ts: Ts(1_781_159_360_000), Ratio: 0.5,
    float: 1.5, int: 3, bool: True, Verdict: "OK", ExchangeJson: {"a": [1, "x"]},
}  # fmt: skip


def sample(kind: Any, *, is_empty: bool) -> Any:
    """Return a value of this type; where `is_empty`, nothing wherever nothing is allowed."""
    if (bare := without_none(kind)) != kind:
        return None if is_empty else sample(bare, is_empty=is_empty)
    if kind in VALUES:
        return VALUES[kind]
    origin, args = get_origin(kind), get_args(kind)
    if isinstance(kind, TypeVar):
        return {"a": 1}
    if origin is Literal:
        return args[0]
    if origin is tuple and args[1:] == (...,):
        return () if is_empty else (sample(args[0], is_empty=is_empty),)
    if origin is tuple:
        return tuple(sample(arg, is_empty=is_empty) for arg in args)
    if origin is dict:
        return {} if is_empty else {"key": sample(args[1], is_empty=is_empty)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return kind(**{each.name: sample(each.type, is_empty=is_empty) for each in msgspec.structs.fields(kind)})
    while hasattr(kind, "__supertype__"):
        kind = kind.__supertype__
        if kind in VALUES:
            return VALUES[kind]
    assert kind in (str, NoneType), kind
    return "text"


@pytest.mark.parametrize("name", all_views())
def test_what_is_printed_of_a_view_fits_its_schema(name: str) -> None:
    view = all_views()[name]
    schema = schema_of(view)
    Draft202012Validator.check_schema(schema)
    printed = [msgspec.to_builtins(to_machine(view)(sample(view, is_empty=is_empty))) for is_empty in (False, True)]
    errors = [error.message for each in printed for error in Draft202012Validator(schema).iter_errors(each)]
    assert errors == []


def test_a_price_printed_as_a_number_does_not_fit() -> None:
    printed = to_machine(OrderRow)(sample(OrderRow, is_empty=False)) | {"price": 0.47}
    assert not Draft202012Validator(schema_of(OrderRow)).is_valid(printed)
    assert len(all_views()) > 90
