"""Every public exception survives pickling, as `concurrent.futures` and tests in several processes need it."""

from __future__ import annotations

import importlib
import inspect
import pickle
import re
from collections.abc import Iterator

import pytest
from support.places import ROOT

SAMPLES: dict[str, object] = {"int": 7, "float": 7.5, "str": "text", "bool": True, "Json": {"error": "text"}}
"""A value for each type that exceptions take, by the name in the annotation."""


def exceptions() -> Iterator[type[Exception]]:
    """Yield the public exceptions of the package."""
    for path in sorted((ROOT / "kalshi_cli").rglob("*.py")):
        names = re.findall(r"^class (\w+)", path.read_text(), re.MULTILINE)
        if not any(name.endswith(("Error", "Warning", "Exit")) and name[0] != "_" for name in names):
            continue
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for kind in (getattr(module, name) for name in names if name[0] != "_"):
            if issubclass(kind, Exception):
                yield kind


def made(kind: type[Exception]) -> Exception:
    """Make one with a different sample for each argument that it takes."""
    if kind.__init__ in (Exception.__init__, ValueError.__init__):
        return kind("text")
    args, options = [], {}
    for name, parameter in list(inspect.signature(kind.__init__).parameters.items())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        wanted = str(parameter.annotation).partition(" |")[0]
        value = SAMPLES.get(wanted)
        value = f"{value} of {name}" if wanted == "str" else value
        if value is None and parameter.default is not parameter.empty:
            continue
        if parameter.kind is parameter.KEYWORD_ONLY:
            options[name] = value
        else:
            args.append(value)
    return kind(*args, **options)


@pytest.mark.parametrize("kind", [*exceptions()], ids=lambda kind: kind.__name__)
def test_an_exception_is_the_same_after_pickling(kind: type[Exception]) -> None:
    error = made(kind)
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), vars(copy)) == (kind, str(error), vars(error))
