"""What a decoding struct requires, told of a body that lacks it. With real routes: tests/desk/test_schema.py."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from kalshi_cli.core.drift import missing


class Wanted(msgspec.Struct):
    price: str | int
    anything: msgspec.Raw
    extra: Any = None


@pytest.mark.parametrize("anything", [None, 1, "text", [], {"a": {}}])
def test_what_is_passed_on_unread_may_be_anything(anything: object) -> None:
    assert missing({"price": "0.47", "anything": anything, "extra": anything}, Wanted, "m") == []


def test_a_missing_field_of_several_types_names_them_all() -> None:
    (breach,) = missing({"anything": 1}, Wanted, "m")
    assert (breach.subject, breach.code, breach.severity) == ("m.price", "MISSING_FIELD", "critical")
    assert set(breach.limit.split(" or ")) == {"string", "number"}
