"""The calls of a program in Python: wrong arguments are refused first, and errors name arguments, not options."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cache, wraps
from types import FunctionType, GeneratorType, NoneType, SimpleNamespace
from typing import Any, Literal, TypeVar, cast, get_origin, get_type_hints

import msgspec

from kalshi_cli.base.checked import LISTS, check_kind, kinds_of
from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.views.row import OutputRow

T = TypeVar("T")

_OPTION = re.compile(r"`[^`]*`|\bkalshi .*$|--([a-z][a-z-]*)", re.MULTILINE)
"""An option, or a command, which is for a terminal and stays as it is."""


@cache
def in_python(service: type[T]) -> type[T]:
    """Return a service whose public calls raise errors in the words of Python."""
    calls = {
        name: _reworded(call)
        for base in reversed(service.__mro__)
        for name, call in vars(base).items()
        if isinstance(call, FunctionType | staticmethod) and not name.startswith("_")
    }
    named = {name: getattr(service, name) for name in ("__doc__", "__module__", "__qualname__")}
    return cast("type[T]", type(service.__name__, (service,), calls | named))


def _reworded(call: Any) -> Any:
    if isinstance(call, staticmethod):
        return staticmethod(_reworded(call.__func__))
    signature = inspect.signature(call)

    @wraps(call)
    def reworded(*args: Any, **kwargs: Any) -> Any:
        try:
            given = signature.bind(*args, **kwargs).arguments
        except TypeError:  # the call itself is wrong, and Python says how
            return call(*args, **kwargs)
        _check(call, signature, given)
        try:
            found = call(*args, **kwargs)
        except Exception as error:
            _explain(error, call, signature, given)
            raise
        return rows(found, given) if isinstance(found, GeneratorType) else found

    def rows(found: Iterator[Any], given: Mapping[str, Any]) -> Iterator[Any]:
        try:
            yield from found
        except Exception as error:
            _explain(error, call, signature, given)
            raise

    return reworded


@cache
def _declared(call: Callable[..., Any]) -> dict[str, Any]:
    """Return the types of the arguments of a call, without those that only type checkers know."""
    found = {}
    for name, kind in call.__annotations__.items():
        with suppress(NameError):
            declared = SimpleNamespace(__annotations__={name: kind})
            found[name] = get_type_hints(declared, vars(sys.modules[call.__module__]))[name]
    return found


def _values(signature: inspect.Signature, name: str, value: Any) -> list[tuple[str, Any]]:
    """Return the values of an argument with their name: of `*order_ids` each is an order_id."""
    if signature.parameters[name].kind is inspect.Parameter.VAR_POSITIONAL:
        return [(name.removesuffix("s"), each) for each in value]
    return [(name, value)]


_OWN_CHECKS = "kalshi_cli.services.research.service"
"""The service whose calls check every argument themselves, and accept more than the declared types."""


def _check(call: Callable[..., Any], signature: inspect.Signature, given: Mapping[str, Any]) -> None:
    """Raise UsageError for a wrong text, number or switch, before the call can guess a meaning for it.

    Files, functions, tables and lists may fit without being of the declared type: those are only tried. A text is
    refused where a list is declared, because its letters would be the items.
    """
    if call.__module__ == _OWN_CHECKS:
        return
    declared = _declared(call)
    for argument in filter(declared.__contains__, given):
        kinds = kinds_of(declared[argument])
        is_list = str not in kinds and any(get_origin(kind) in LISTS for kind in kinds)
        for name, value in _values(signature, argument, given[argument]):
            if all(map(_is_plain, kinds)) or (is_list and isinstance(value, str | bytes)):
                check_kind(name, value, declared[argument])
            if isinstance(value, str) and "\0" in value:
                raise UsageError(f"{name} must not have a NUL character: {value!r:.60}")


def _is_plain(kind: Any) -> bool:
    kind = getattr(kind, "__supertype__", kind)  # of a NewType
    return kind in (str, int, float, bool, NoneType) or get_origin(kind) is Literal


def _explain(
    error: Exception, call: Callable[..., Any], signature: inspect.Signature, given: Mapping[str, Any]
) -> None:
    """Reword an error of kalshi; of another one, raise UsageError if an argument is not of its declared type."""
    if isinstance(error, KalshiError):
        requests = (each for each in given.values() if isinstance(each, msgspec.Struct))
        fields = (name for each in requests if not isinstance(each, OutputRow) for name in each.__struct_fields__)
        names = sorted({*signature.parameters, *fields})
        error.reword(lambda text: with_arguments(text, names))
        return
    for argument in filter(_declared(call).__contains__, given):
        for name, value in _values(signature, argument, given[argument]):
            check_kind(name, value, _declared(call)[argument])


def with_arguments(text: str, names: Iterable[str]) -> str:
    """Return a text with these arguments instead of their options: `count` for --count."""

    def argument(found: re.Match[str]) -> str:
        option = (found[1] or "-").replace("-", "_")
        named = next((name for name in names if name in (option, f"{option}_s", f"{option}_shard")), "")
        return f"`{named}`" if named else found[0]

    return _OPTION.sub(argument, text)
