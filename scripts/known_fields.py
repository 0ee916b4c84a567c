"""Write `kalshi_cli/exchange/known_fields.json` from the exchange's published specifications.

    python scripts/known_fields.py ../shared/kalshi

Only `kalshi check schema` needs the list: it reports fields that are not in it. Run this for a newer specification, and
read the difference.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

OUT = Path(__file__).parents[1] / "kalshi_cli" / "exchange" / "known_fields.json"


class Listing:
    """The objects of one specification: fields, the object inside of a field, and the values of closed lists."""

    def __init__(self, spec: dict[str, Any], objects: dict[str, Any]) -> None:
        self._spec = spec
        self.objects = objects

    def name_of(self, schema: dict[str, Any], inline: str) -> str | None:
        """Record the object of a schema or of its list items, and return its name (`inline` without one)."""
        schema, name = self.resolved(schema, inline)
        if schema.get("type") == "array":
            return self.name_of(schema.get("items", {}), inline)
        fields = self._fields(schema)
        if not fields:
            return None
        if name not in self.objects:
            self.objects[name] = {}  # before its fields, because an object can contain itself
            self.objects[name] = {field: self._field(each, f"{name}.{field}") for field, each in sorted(fields.items())}
        return name

    def _field(self, schema: dict[str, Any], inline: str) -> dict[str, Any]:
        inner = self.name_of(schema, inline)
        if inner is not None:
            return {"of": inner}
        resolved, _ = self.resolved(schema, inline)
        if resolved.get("type") == "array":
            resolved, _ = self.resolved(resolved.get("items", {}), inline)
        values = [resolved["const"]] if "const" in resolved else resolved.get("enum", [])
        texts = [value for value in values if isinstance(value, str)]
        return {"values": texts} if texts else {}

    def _fields(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return the properties of an object, including those of its parts and alternatives."""
        found = dict(schema.get("properties", {}))
        for part in (*schema.get("allOf", ()), *schema.get("oneOf", ()), *schema.get("anyOf", ())):
            found |= self._fields(self.resolved(part, "")[0])
        return found

    def resolved(self, schema: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
        """Return the schema behind a reference, and its name; a reference with only a description added counts too."""
        while True:
            wrapped = schema.get("allOf", [])
            if "$ref" not in schema and len(wrapped) == 1 and "properties" not in schema:
                schema = wrapped[0]
            if "$ref" not in schema:
                return schema, name
            name = schema["$ref"].rpartition("/")[2]
            target: Any = self._spec
            for part in schema["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            schema = target


def replies(spec: dict[str, Any], objects: dict[str, Any]) -> dict[str, str]:
    """Return `GET /path/{parameter}` -> the object of its response."""
    listing, found = Listing(spec, objects), {}
    for path, node in spec["paths"].items():
        for status, reply in node.get("get", {}).get("responses", {}).items():
            content = listing.resolved(reply, "")[0].get("content", {}).get("application/json")
            if status == "200" and content:
                name = listing.name_of(content["schema"], f"GET {path}")
                if name is not None:
                    found[f"GET {path}"] = name
    return found


def frames(spec: dict[str, Any], objects: dict[str, Any]) -> dict[str, list[str]]:
    """Return the type of a message -> the objects that it can be."""
    listing = Listing(spec, objects)
    found: dict[str, list[str]] = {}
    for title, message in spec["components"]["messages"].items():
        name = listing.name_of(message.get("payload", {}), title)
        kind = objects.get(name, {}).get("type", {}).get("values", [])
        if name is not None and kind:
            found.setdefault(kind[0], []).append(name)
    return found


def listed(specs: Path) -> str:
    """Return the whole file, from the specifications in this folder."""
    openapi, asyncapi = (
        yaml.load((specs / name).read_text(), Loader=yaml.CSafeLoader) for name in ("openapi.yaml", "asyncapi.yaml")
    )
    objects: dict[str, Any] = {}
    answers = replies(openapi, objects)
    told = frames(asyncapi, stream_objects := {})
    stream = {f"stream {name}": _prefixed(fields) for name, fields in stream_objects.items()}
    parts = {
        "replies": answers,
        "frames": {kind: [f"stream {name}" for name in names] for kind, names in told.items()},
        "objects": {name: fields for name, fields in (objects | stream).items() if fields},
    }
    return "{\n" + ",\n".join(f"{json.dumps(part)}: {{\n{_lines(each)}\n}}" for part, each in parts.items()) + "\n}\n"


def _lines(each: dict[str, Any]) -> str:
    """Return one entry per line, so that a newer specification gives a readable difference."""
    return ",\n".join(f"{json.dumps(name)}: {json.dumps(each[name])}" for name in sorted(each))


def _prefixed(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the references of the stream's objects, which have names of their own."""
    return {name: ({"of": f"stream {each['of']}"} if "of" in each else each) for name, each in fields.items()}


if __name__ == "__main__":
    OUT.write_text(listed(Path(sys.argv[1])))
