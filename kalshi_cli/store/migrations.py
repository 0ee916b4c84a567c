"""The schema of the files, as an ordered list of migrations. `PRAGMA user_version` counts the completed ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

Execute = Callable[[str], object]
Migration = Callable[[Execute], None]


def step(statements: Iterable[str]) -> Migration:
    """Return the migration that runs these statements."""

    def take(execute: Execute) -> None:
        for statement in statements:
            execute(statement)

    return take


def steps_of(path: Path) -> tuple[tuple[str, ...], ...]:
    """Return the statements of each migration in a file like `state.sql`."""
    steps = re.split(r"^-- step .*\n", path.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return tuple(tuple(filter(None, map(_statement, body.split("\n\n")))) for body in steps)


def _statement(lines: str) -> str:
    code = (line for line in lines.strip().split("\n") if not line.startswith("--"))
    return "\n".join(code).removesuffix(";")


STATE = tuple(map(step, steps_of(Path(__file__).with_name("state.sql"))))
JOURNAL = (step(("CREATE TABLE journal (key TEXT PRIMARY KEY, value BLOB NOT NULL)",)),)
