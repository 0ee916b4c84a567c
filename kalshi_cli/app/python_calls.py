"""The calls of a program in Python: an error names arguments instead of options, and a wrong argument by its name."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache, wraps
from types import GeneratorType, SimpleNamespace
from typing import Any, TypeVar, cast, get_type_hints

import msgspec

from kalshi_cli.base.checked import check_kind
from kalshi_cli.base.errors import KalshiError
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
        if inspect.isfunction(call) and not name.startswith("_")
    }
    named = {name: getattr(service, name) for name in ("__doc__", "__module__", "__qualname__")}
    return cast("type[T]", type(service.__name__, (service,), calls | named))


def _reworded(call: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(call)
    def reworded(*args: Any, **kwargs: Any) -> Any:
        try:
            found = call(*args, **kwargs)
        except Exception as error:
            _explain(error, call, args, kwargs)
            raise
        return rows(found, args, kwargs) if isinstance(found, GeneratorType) else found

    def rows(found: Iterator[Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Any]:
        try:
            yield from found
        except Exception as error:
            _explain(error, call, args, kwargs)
            raise

    return reworded


def _explain(error: Exception, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Reword an error of kalshi; of another one, raise UsageError if an argument is not of its declared type."""
    parameters = inspect.signature(call).parameters
    try:
        given = inspect.signature(call).bind(*args, **kwargs).arguments
    except TypeError:  # the call itself is wrong, and Python says how
        return
    if isinstance(error, KalshiError):
        requests = (each for each in given.values() if isinstance(each, msgspec.Struct))
        fields = (name for each in requests if not isinstance(each, OutputRow) for name in each.__struct_fields__)
        names = sorted({*parameters, *fields})
        error.reword(lambda text: with_arguments(text, names))
        return
    for name in filter(call.__annotations__.__contains__, given):
        declared = SimpleNamespace(__annotations__={name: call.__annotations__[name]})
        try:
            kind = get_type_hints(declared, vars(sys.modules[call.__module__]))[name]
        except NameError:  # imported for type checkers only
            continue
        for each in given[name] if parameters[name].kind is inspect.Parameter.VAR_POSITIONAL else (given[name],):
            check_kind(name, each, kind)


def with_arguments(text: str, names: Iterable[str]) -> str:
    """Return a text with these arguments instead of their options: `count` for --count."""

    def argument(found: re.Match[str]) -> str:
        option = (found[1] or "-").replace("-", "_")
        named = next((name for name in names if name in (option, f"{option}_s", f"{option}_shard")), "")
        return f"`{named}`" if named else found[0]

    return _OPTION.sub(argument, text)
