"""Drift told of a body: what a decoding struct requires, what nobody has listed. With real routes: test_schema.py."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
import pytest

from kalshi_cli.core.monitoring.schema_drift import MAX_ITEMS, MAX_TEXT, KnownField, KnownSchema, missing, unfamiliar


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


# -- every kind of value, right and wrong -------------------------------------------------------------------------


class Inner(msgspec.Struct):
    name: str


class Outer(msgspec.Struct, kw_only=True):
    text: str = ""
    count: int = 0
    ratio: float = 0.0
    flag: bool = False
    at: datetime | None = None
    one: Inner | None = None
    many: list[Inner] = []
    tail: tuple[Inner, ...] = ()
    pair: tuple[str, Inner] | None = None
    named: dict[str, Inner] = {}


RIGHT: dict[str, Any] = {
    "text": "a",
    "count": 1,
    "ratio": 1,
    "flag": True,
    "at": "2026-06-01T12:00:00Z",
    "one": {"name": "a"},
    "many": [{"name": "a"}],
    "tail": [{"name": "a"}],
    "pair": ["a", {"name": "a"}],
    "named": {"k": {"name": "a"}},
}


def test_what_is_all_there_and_of_its_type_is_no_drift() -> None:
    assert missing(RIGHT, Outer, "o") == []
    assert missing(RIGHT | {"at": None, "one": None, "pair": None}, Outer, "o") == []


@pytest.mark.parametrize(
    ("field", "value", "subject", "code", "said", "limit"),
    [
        ("text", 1, "o.text", "CHANGED_TYPE", "number", "string"),
        ("text", None, "o.text", "CHANGED_TYPE", "null", "string"),
        ("text", [], "o.text", "CHANGED_TYPE", "list", "string"),
        ("count", True, "o.count", "CHANGED_TYPE", "boolean", "number"),
        ("count", 1.5, "o.count", "CHANGED_TYPE", "number", "number"),
        ("ratio", "1", "o.ratio", "CHANGED_TYPE", "string '1'", "number"),
        ("flag", 1, "o.flag", "CHANGED_TYPE", "number", "boolean"),
        ("flag", {}, "o.flag", "CHANGED_TYPE", "object", "boolean"),
        ("at", "noon", "o.at", "CHANGED_TYPE", "string 'noon'", "time or null"),
        ("at", "2026-06-01T12:00:00", "o.at", "CHANGED_TYPE", "string '2026-06-01T12:00:00'", "time or null"),
        ("one", [], "o.one", "CHANGED_TYPE", "list", "object or null"),
        ("one", {}, "o.one.name", "MISSING_FIELD", "absent", "string"),
        ("many", {}, "o.many", "CHANGED_TYPE", "object", "list"),
        ("many", [{"name": "a"}, {}, {}], "o.many[].name", "MISSING_FIELD", "absent", "string"),
        ("tail", [{}], "o.tail[].name", "MISSING_FIELD", "absent", "string"),
        ("pair", ["a"], "o.pair", "CHANGED_TYPE", "list", "list or null"),
        ("pair", ["a", {}], "o.pair[].name", "MISSING_FIELD", "absent", "string"),
        ("named", [], "o.named", "CHANGED_TYPE", "list", "object"),
        ("named", {"k": {}}, "o.named.k.name", "MISSING_FIELD", "absent", "string"),
    ],
)  # fmt: skip
def test_what_is_not_as_it_is_read_is_critical_and_said_once(
    field: str, value: object, subject: str, code: str, said: str, limit: str
) -> None:
    (breach,) = missing(RIGHT | {field: value}, Outer, "o")
    assert (breach.subject, breach.code, breach.value, breach.severity) == (subject, code, said, "critical")
    assert sorted(breach.limit.split(" or ")) == sorted(limit.split(" or "))


def test_of_a_long_list_only_the_first_are_looked_at() -> None:
    good = [{"name": "a"}] * MAX_ITEMS
    assert missing({"many": [*good, {}]}, Outer, "o") == []
    assert len(missing({"many": [*good[1:], {}]}, Outer, "o")) == 1


# -- what the published specification has -------------------------------------------------------------------------

KNOWN = KnownSchema(
    replies={},
    frames={},
    objects={
        "Order": {
            "status": KnownField(values=("resting", "executed")),
            "legs": KnownField(of="Leg"),
            "tags": KnownField(values=("a", "b")),
            "side": KnownField(values=("yes", "no")),
        },
        "Leg": {"side": KnownField(values=("yes", "no"))},
        "Quote": {"side": KnownField(), "status": KnownField(values=("open",))},
    },
)


def told(body: object, *names: str) -> list[tuple[str, str, str]]:
    found = unfamiliar(body, KNOWN, names, "o")
    assert {breach.severity for breach in found} <= {"note"}
    return [(breach.code, breach.subject, breach.value) for breach in found]


def test_what_is_listed_is_no_note() -> None:
    assert told({"status": "resting", "legs": [{"side": "yes"}, {"side": "no"}], "tags": ["a", "b"]}, "Order") == []


def test_a_field_or_a_value_that_nobody_listed_is_a_note_said_once() -> None:
    assert told({"colour": "red"}, "Order") == [("UNKNOWN_FIELD", "o.colour", "string 'red'")]
    assert told({"status": "held"}, "Order") == [("NEW_VALUE", "o.status", "held")]
    assert told({"status": "h" * 100}, "Order") == [("NEW_VALUE", "o.status", "h" * MAX_TEXT)]
    assert told([{"legs": [{"side": "maybe"}, {"side": "maybe"}]}], "Order") == [
        ("NEW_VALUE", "o[].legs[].side", "maybe")
    ]
    assert told({"tags": ["a", "z"]}, "Order") == [("NEW_VALUE", "o.tags", "z")]


def test_what_is_no_text_is_no_new_value_and_what_is_no_object_has_no_fields() -> None:
    assert told({"status": 1, "legs": None}, "Order") == []


def test_of_several_objects_any_reading_will_do() -> None:
    assert told({"status": "open", "side": "anything"}, "Order", "Quote") == []
    assert told({"status": "held"}, "Order", "Quote") == [("NEW_VALUE", "o.status", "held")]
    assert told({"status": "open"}, "Nothing") == [("UNKNOWN_FIELD", "o.status", "string 'open'")]
