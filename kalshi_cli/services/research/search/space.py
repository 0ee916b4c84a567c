"""The parameters that a search varies: ranges, lists and single values, from texts such as `edge=1c..5c`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any, NamedTuple, get_type_hints

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Price, Qty
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy

MAX_VARIANTS = 1_000
"""Variants of one sweep, at most."""

MAX_GRID = 100_000
"""Points of a grid, at most."""


class ParameterRange(msgspec.Struct, frozen=True, kw_only=True):
    """The values that a parameter may take: `choices`, or numbers from `low` to `high`.

    Numbers are in the unit of the type: a hundredth of a cent for a price, a hundredth of a contract for a quantity.
    A `step` of 0 means any number between the two.
    """

    name: str
    type: str = "choice"
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 0
    step: float = 0

    def text_of(self, number: float) -> str:
        """Return a number as a user types it."""
        return _TYPES[self.type].show(number)

    @property
    def size(self) -> int:
        """Return how many values it has; 0 means any number between two."""
        if self.type == "choice":
            return len(self.choices)
        return int((self.high - self.low) / self.step + 1e-9) + 1 if self.step else 0

    def values(self) -> list[str]:
        """Return all values as a user types them. UsageError for a range without a step."""
        if self.type == "choice":
            return list(self.choices)
        if not self.step:
            raise UsageError(
                f"{self.name}: a grid needs a step",
                hint=f"--param {self.name}={self.text_of(self.low)}..{self.text_of(self.high)}/STEP",
                code="bad_parameter",
            )
        return [self.text_of(self.low + number * self.step) for number in range(self.size)]


class _Type(NamedTuple):
    read: Callable[[str], float]
    show: Callable[[float], str]
    coarse: float
    """The default step, where both ends are multiples of it."""
    fine: float
    """The default step otherwise; 0 for any number."""


def _hundredths(number: float) -> str:
    return f"{number / 100:.2f}".rstrip("0").rstrip(".")


_TYPES = {
    "price": _Type(registry.read_price, lambda number: f"{_hundredths(number)}c", 100, 1),
    "qty": _Type(registry.read_qty, _hundredths, 100, 1),
    "int": _Type(int, lambda number: f"{number:.0f}", 1, 1),
    "float": _Type(float, lambda number: f"{number:.6g}", 0, 0),
}

_TYPE_OF: dict[Any, str] = {
    Price: "price", Price | None: "price", Qty: "qty", Qty | None: "qty", int: "int", float: "float",
}  # fmt: skip


def type_of(kind: type[Strategy], name: str) -> str:
    """Return the type of a parameter: price, qty, int, float, bool or text."""
    hint = get_type_hints(kind.Params).get(name)
    return "bool" if hint is bool else _TYPE_OF.get(hint, "text")


def read_space(
    kind: type[Strategy], given: Sequence[str], spec: str = ""
) -> tuple[tuple[ParameterRange, ...], dict[str, str]]:
    """Return the ranges to search and the fixed values, from `NAME`, `NAME=A..B[/STEP]`, `NAME=A,B`, `NAME=VALUE`.

    UsageError for an unknown name, a value that the strategy refuses, and if nothing is to be searched; its hint names
    the strategy by `spec`, as the user typed it.
    """
    ranges: dict[str, ParameterRange] = {}
    fixed: dict[str, str] = {}
    known = {parameter.name: parameter for parameter in registry.parameters(kind)}
    for text in given:
        name, equals, value = (part.strip() for part in text.partition("="))
        name = name.removeprefix(f"{kind.name}.")
        if name not in known:
            _raise_problems(kind, spec, {name: value})
        if name in ranges or name in fixed:
            raise _bad(name, "given twice", f"--param {name}=A,B,C")
        if not equals:
            low, high = known[name].minimum, known[name].maximum
            if type_of(kind, name) != "bool" and not (low and high):
                raise _bad(name, "has no declared range", f"--param {name}=LOW..HIGH")
            value = f"{low}..{high}"
        found = _read_range(kind, name, value)
        if isinstance(found, str):
            _raise_problems(kind, spec, {name: found})
            fixed[name] = found
        else:
            _raise_problems(kind, spec, *({name: each} for each in _ends(found)))
            ranges[name] = found
    if not ranges:
        names = ", ".join(known) or "it has no parameters"
        raise UsageError(
            f"No parameter of {kind.name} to search: {names}",
            hint="for example --param NAME=1c..5c, --param NAME=1,2,3, or --param NAME for its declared range",
            code="bad_parameter",
        )
    return tuple(ranges.values()), fixed


def _ends(found: ParameterRange) -> tuple[str, ...]:
    return found.choices if found.type == "choice" else (found.text_of(found.low), found.text_of(found.high))


def _read_range(kind: type[Strategy], name: str, value: str) -> ParameterRange | str:
    """Return the range of a text, or the text itself if it is a single value."""
    type_name = type_of(kind, name)
    if type_name == "bool" and value == "..":
        return ParameterRange(name=name, choices=("false", "true"))
    if ".." in value and type_name in _TYPES:
        return _numbers(name, type_name, value)
    choices = split_values(kind, name, value)
    return ParameterRange(name=name, choices=tuple(choices)) if len(choices) > 1 else value


def _numbers(name: str, type_name: str, value: str) -> ParameterRange:
    of = _TYPES[type_name]
    ends, _, step_text = (part.strip() for part in value.partition("/"))
    if type_name == "price" and step_text.isdecimal() and int(step_text):
        raise _bad(name, f"step {step_text} has no unit", f"--param {name}={ends}/{step_text}c")
    try:
        low, high = (of.read(part.strip()) for part in ends.split(".."))
    except ValueError as error:
        raise _bad(name, f"{value}: {error}", f"--param {name}=LOW..HIGH/STEP") from None
    try:
        step = of.read(step_text) if step_text else None
    except ValueError as error:
        raise _bad(name, f"step {step_text}: {error}", f"--param {name}={ends}/{_step_of(type_name)}") from None
    if step is None:
        low = min(-(-low // of.coarse) * of.coarse, high) if of.coarse and high - low >= of.coarse else low
        step = of.coarse if of.coarse and low % of.coarse == 0 else of.fine
    if not low < high or step < 0 or (step_text and not step):
        raise _bad(name, f"{value} is not a range", f"--param {name}=LOW..HIGH/STEP")
    if step_text and step > high - low:
        raise _bad(
            name, f"step {step_text} is larger than the range {ends}", f"--param {name}={ends}/{_step_of(type_name)}"
        )
    if step:
        high = low + int((high - low) / step + 1e-9) * step
    return ParameterRange(name=name, type=type_name, low=low, high=high, step=step)


def _step_of(type_name: str) -> str:
    """Return an example of a step."""
    return "1c" if type_name == "price" else "1"


def split_values(kind: type[Strategy], name: str, value: str) -> list[str]:
    """Return the values of a list such as `1c,2c,3c`; the text of a text parameter is one value."""
    if type_of(kind, name) == "text":
        return [value]
    return list(dict.fromkeys(part.strip() for part in value.split(","))) if "," in value else [value]


def sweep_variants(specs: Sequence[str], given: Mapping[str, str]) -> list[dict[str, str]]:
    """Return every combination of the listed values, in the order given.

    UsageError for more than MAX_VARIANTS, and for a range, which only a search takes.
    """
    kinds = {spec: registry.load(spec) for spec in specs}
    lists = []
    for name, value in given.items():
        whose, _, plain = name.rpartition(".")
        kind = next(
            (kind for spec, kind in kinds.items()
             if whose in ("", spec, kind.name) and plain in kind.Params.__struct_fields__),
            None,
        )  # fmt: skip
        if kind is not None and ".." in value and type_of(kind, plain) in _TYPES:
            raise _bad(name, f"{value} is a range, which `kalshi optimize` searches", f"--param {name}=A,B,C")
        lists.append([value] if kind is None else split_values(kind, plain, value))
    if (count := prod(map(len, lists))) > MAX_VARIANTS:
        raise UsageError(
            f"{count} combinations of parameters exceed the limit of {MAX_VARIANTS}",
            hint="list fewer values, or use `kalshi optimize`",
            code="bad_parameter",
        )
    return [dict(zip(given, values, strict=True)) for values in product(*lists)]


def grid_points(ranges: Sequence[ParameterRange]) -> list[dict[str, str]]:
    """Return every combination of the values of all ranges. UsageError for more than MAX_GRID."""
    values = [each.values() for each in ranges]
    if (count := prod(map(len, values))) > MAX_GRID:
        raise UsageError(
            f"The grid has {count} points; the limit is {MAX_GRID}", hint="use --sampler tpe", code="bad_parameter"
        )
    return [dict(zip((each.name for each in ranges), point, strict=True)) for point in product(*values)]


def _bad(name: str, problem: str, example: str) -> UsageError:
    return UsageError(f"--param {name}: {problem}", hint=f"for example {example}", code="bad_parameter")


def _raise_problems(kind: type[Strategy], spec: str, *values: Mapping[str, str]) -> None:
    registry.refuse_problems(kind, (problem for each in values for problem in registry.values_of(kind, each)[1]), spec)
