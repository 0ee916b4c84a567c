"""Write the generated parts of the documentation: `python scripts/pages.py`. Tests compare them with their sources.

- docs/views.md: every field of every view, with its type and its meaning, from `kalshi_cli/views` and
  `scripts/view_fields.yaml`.
- docs/write-a-strategy.md: the strategy that `kalshi strategies new fade` writes, from `kalshi_cli/template`.
- tests/support/python_page.py: the examples of docs/python.md, for the type check.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import msgspec
import yaml

import kalshi_cli.views
from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.views.formats import (
    ExactMoney,
    ExchangeJson,
    MaxMoney,
    MinGain,
    Ratio,
    ShortId,
    SignedMoney,
    TradingStateCell,
    TruncatableText,
    Verdict,
    without_none,
)
from kalshi_cli.views.live import LiveEvent
from kalshi_cli.views.row import OutputRow

ROOT = Path(__file__).parents[1]
VIEWS = ROOT / "docs/views.md"
STRATEGIES = ROOT / "docs/write-a-strategy.md"
TEMPLATE = ROOT / "kalshi_cli/template/fade.py"
PYTHON = ROOT / "docs/python.md"
TYPED = ROOT / "tests/support/python_page.py"
MEANINGS: dict[str, str] = yaml.safe_load((ROOT / "scripts/view_fields.yaml").read_text())
"""A field, or `View.field` where one view differs -> its meaning."""

SAMPLE = re.compile(r"(<!-- template:[^\n]*-->\n```python\n).*?(```\n<!-- end of the template -->)", re.DOTALL)

EXAMPLES = re.compile(r"(# -- docs/python.md --\n).*?(# -- end of the page --\n)", re.DOTALL)

KINDS: dict[Any, str] = {
    Price: "price",
    Qty: "count",
    Money: "money",
    ExactMoney: "money",
    MaxMoney: "money",
    MinGain: "money",
    SignedMoney: "money",
    Ts: "time",
    Ratio: "number (share)",
    float: "number",
    int: "integer",
    bool: "boolean",
    str: "text",
    TruncatableText: "text",
    ShortId: "text",
    Verdict: "text",
    TradingStateCell: "text",
    ExchangeJson: "any JSON of the exchange",
}

HEAD = """# JSON fields

The fields of every view: the JSON of the command line (`--json`), and the structs that the [Python library](python.md)
returns. `make reference` writes this page from the program.

| type | in JSON | in Python |
|---|---|---|
| price | text, dollars with four decimals: `"0.4700"` | integer, 1/10,000 dollar |
| count | text, contracts with two decimals: `"10.00"` | integer, 1/100 contract |
| money | text, dollars with six decimals: `"12.345600"` | integer, 1/1,000,000 dollar |
| time | text, RFC 3339 in UTC: `"2026-11-21T14:00:00.250Z"` | integer, milliseconds since 1970 |
| number (share) | number: 0.5 is 50% | float |

A whole second has no fraction: `"2026-11-21T14:00:00Z"`. The `fromdate` of jq does not read fractions; remove them with
`.time | sub("[.][0-9]+"; "") | fromdate`.

CSV has the same fields and values, each in quotes: a missing value is empty, and text that a spreadsheet would run as a
formula begins with an apostrophe. A list of texts is JSON, a list of objects is left out: use JSON for those. An object
with a field `rows` becomes these rows, an order book one line per level, from the highest price down. So do `alerts`
with its `alerts`, a `check` with its `breaches`, and `strategies show` with its parameters: where there are none, CSV
has only the heading, and `--fields` chooses fields of these rows. Use JSON for the status and summary of a check.

`--fields ticker,yes_bid` prints only these fields, in this order, in every format; [cli.md](cli.md) links each command
to its fields. Fields of an object inside another one cannot be chosen, except those of `rows`.

A field marked "or null" is `null` if the value is missing or does not apply. Adding a field is a compatible change;
renaming or removing one is not.
"""


def views() -> Iterator[tuple[str, list[type[msgspec.Struct]]]]:
    """Yield each module of views with the views that it defines, in the order of the source."""
    for found in pkgutil.iter_modules(kalshi_cli.views.__path__):
        module = importlib.import_module(f"kalshi_cli.views.{found.name}")
        own = [
            kind
            for kind in vars(module).values()
            if isinstance(kind, type) and issubclass(kind, OutputRow) and kind.__module__ == module.__name__
        ]
        own = [kind for kind in own if msgspec.structs.fields(kind)]
        if own:
            yield found.name, own


def type_name(kind: Any) -> str:
    """Return the name of a field's type for readers."""
    bare = without_none(kind)
    if bare != kind:
        return f"{type_name(bare)} or null"
    if kind in KINDS:
        return KINDS[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        return ", ".join(f"`{each}`" for each in args)
    if origin is tuple and args[1:] == (...,):
        return f"list of {type_name(args[0])}"
    if origin is tuple:
        return "list: " + ", ".join(type_name(each) for each in args)
    if origin is dict:
        return f"object of {type_name(args[1])}"
    if isinstance(kind, type) and issubclass(kind, Enum):
        return ", ".join(f"`{each.value}`" for each in kind)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return f"[{kind.__name__}](#{kind.__name__.lower()})"
    return getattr(kind, "__name__", str(kind))


def meaning(view: type[msgspec.Struct], field: str) -> str | None:
    """Return the meaning of a field: that of the view, of a view that it extends, or of every view."""
    for kind in view.__mro__:
        if f"{kind.__name__}.{field}" in MEANINGS:
            return MEANINGS[f"{kind.__name__}.{field}"]
    return MEANINGS.get(field)


def undescribed() -> list[str]:
    """List the fields without a meaning."""
    return [
        f"{view.__name__}.{field.name}"
        for view in (*(view for _, kinds in views() for view in kinds), *parts())
        for field in msgspec.structs.fields(view)
        if meaning(view, field.name) is None
    ]


def parts() -> list[type[msgspec.Struct]]:
    """Return the objects inside views that are no views themselves, in the order of their first use."""
    found: dict[type[msgspec.Struct], None] = {}

    def search(kind: Any) -> None:
        for inner in get_args(kind):
            search(inner)
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and not issubclass(kind, OutputRow):
            found[kind] = None

    search(LiveEvent)  # what the event stream gives, in Python and over HTTP
    for view in (LiveEvent, *(view for _, kinds in views() for view in kinds)):
        for field in msgspec.structs.fields(view):
            search(field.type)
    return list(found)


def views_page() -> str:
    """Return docs/views.md."""
    page = [HEAD]
    for module, kinds in views():
        page.append(f"## {module.replace('_', ' ').capitalize()}\n")
        page += map(_described, kinds)
    page.append("## Parts of other objects\n")
    page += map(_described, parts())
    return "\n".join(page)


def _described(kind: type[msgspec.Struct]) -> str:
    """Return the heading, the text and the fields of an object."""
    rows = [
        f"| `{field.name}` | {type_name(field.type)} | {meaning(kind, field.name) or _label(field.name)} |"
        for field in msgspec.structs.fields(kind)
    ]
    text = " ".join(kind.__doc__.split()) + "\n" if kind.__doc__ and kind.__doc__ != OutputRow.__doc__ else ""
    table = "\n".join(["| field | type | meaning |", "|---|---|---|", *rows]) + "\n"
    return "\n".join(part for part in (f"### {kind.__name__}\n", text, table) if part)


def strategies_page() -> str:
    """Return docs/write-a-strategy.md with the template as it is now."""
    return SAMPLE.sub(lambda found: found[1] + TEMPLATE.read_text() + found[2], STRATEGIES.read_text())


def typed_examples() -> str:
    """Return the file of the type check with the examples as they are now."""
    blocks = "\n".join(re.findall(r"```python\n(.*?)```", PYTHON.read_text(), re.DOTALL))
    return EXAMPLES.sub(lambda found: found[1] + blocks + found[2], TYPED.read_text())


def _label(name: str) -> str:
    return name.replace("_", " ")


if __name__ == "__main__":
    VIEWS.write_text(views_page())
    STRATEGIES.write_text(strategies_page())
    TYPED.write_text(typed_examples())
