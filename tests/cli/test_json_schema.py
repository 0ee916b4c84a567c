"""The JSON of the golden files against the schema of the views that each command is said to print."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from support.served import command_of

from kalshi_cli.cli.fields import views_of
from kalshi_cli.views.schema import schema_of

GOLDEN = Path(__file__).parent / "golden"
SHOWN = re.compile(r"^\$ kalshi (.*) --format (json|ndjson)\n((?:.+\n)*)", re.MULTILINE)
"""A command line, its format, and what it printed."""


def closed(schema: Any) -> Any:
    """The schema without any field that it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    more = {"additionalProperties": False} if "properties" in schema else {}
    return {name: closed(each) for name, each in schema.items()} | more


def fits(printed: Any, command: str) -> bool:
    validators = [Draft202012Validator(closed(schema_of(view))) for view in views_of(command)]
    return any(validator.is_valid(printed) for validator in validators)


def test_what_each_command_prints_as_json_fits_the_schema_of_its_views() -> None:
    wrong, commands = [], set()
    for path in sorted(GOLDEN.glob("*.txt")):
        for line, form, text in SHOWN.findall(path.read_text()):
            command = command_of(line.split())
            if command == "api":  # prints what the exchange says
                continue
            plain = re.sub(r"\[exit \d+\]\n", "", text).replace("…", "0")  # what differs from run to run
            printed = [json.loads(plain)] if form == "json" and plain else list(map(json.loads, plain.splitlines()))
            rows = [row for each in printed for row in (each if isinstance(each, list) else [each])]
            wrong += [f"{path.name}: {line}: {row}" for row in rows if not fits(row, command)]
            commands |= {command} if rows else set()
    assert not wrong, "\n".join(wrong)
    assert len(commands) > 70
    assert not fits({"done": "deleted", "subject": "x", "more": 1}, "catalog clear"), "a field without a schema"
