"""The strategy registry: from a name on the command line to a strategy with checked parameters.

A name is looked up as a built-in strategy, a path (`./fade.py:Fade`), and an entry point of the group
`kalshi_cli.strategies`, in this order.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

import msgspec

from kalshi_cli.base.errors import UsageError, named
from kalshi_cli.base.file_trust import doubt_file
from kalshi_cli.base.files import open_regular, read_regular
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.text import redact
from kalshi_cli.base.units import Price, Qty, is_zero, price_from_user, qty_from_user
from kalshi_cli.core.account.sizing import RESERVED
from kalshi_cli.core.engine.strategy_runner import Watches
from kalshi_cli.strategies.base import Strategy, StrategyParams, parameter_error
from kalshi_cli.strategies.own_code import check_hooks, construct, section_of, stdout_to_stderr, warnings_of

BUILT_IN = {
    "arbitrage": "kalshi_cli.strategies.arbitrage:Arbitrage",
    "crypto-ta": "kalshi_cli.strategies.crypto.crypto_ta:CryptoTa",
    "market-maker": "kalshi_cli.strategies.market_maker:MarketMaker",
    "mean-reversion": "kalshi_cli.strategies.mean_reversion:MeanReversion",
    "model-edge": "kalshi_cli.strategies.model_edge:ModelEdge",
    "news": "kalshi_cli.strategies.news:News",
    "spike": "kalshi_cli.strategies.spike:Spike",
    "threshold": "kalshi_cli.strategies.threshold:Threshold",
}

GROUP = "kalshi_cli.strategies"

MAX_SOURCE = 1_000_000
"""The largest strategy file, in bytes."""

NEAR = 0.7
"""The similarity at which a name in the configuration counts as a misspelling."""


class Parameter(msgspec.Struct, frozen=True):
    """A parameter of a strategy, as `kalshi strategies NAME` lists it."""

    name: str
    default: str
    minimum: str
    maximum: str
    help: str


ALLOTTED = (
    Parameter("budget", "", "0", "", "maximum dollars at risk, including all its orders; set in the configuration"),
    Parameter("sizing.kind", "fixed", "", "", "fixed (its own size), fraction or kelly; set in the configuration"),
    Parameter("sizing.fraction", "0.25", "0", "1", "fraction of the balance or budget; fraction of the Kelly stake"),
    Parameter("sizing.max_fraction", "0.05", "0", "1", "maximum cost of one order, as a fraction of balance or budget"),
)
"""Settings that every strategy has beside its parameters; see `core/account/sizing.py`."""


class StrategyDescription(msgspec.Struct, frozen=True):
    """A strategy for display: `where` is the location of its code, `hears` its data inputs."""

    name: str
    where: str
    about: str
    hears: tuple[str, ...] = ()


CALLED_FOR = {
    "on_book": "books",
    "on_trade": "trades",
    "on_fill": "own fills",
    "on_spot": "outside prices",
    "on_fair": "fair values",
    "on_signal": "news",
    "on_tick": "time",
}
"""The data that each hook receives."""


def describe(spec: str) -> StrategyDescription:
    """Return the full description of a strategy: its docstring, or else the first paragraph of its module's."""
    kind = load(spec)
    about = kind.__doc__ or (sys.modules[kind.__module__].__doc__ or "").strip().partition("\n\n")[0]
    return StrategyDescription(
        name=kind.name,
        where=BUILT_IN.get(spec) or fingerprint(spec) or f"{kind.__module__}:{kind.__qualname__}",
        about=" ".join(about.split()),
        hears=tuple(what for hook, what in CALLED_FOR.items() if getattr(kind, hook) is not getattr(Strategy, hook)),
    )


def all_strategies() -> list[StrategyDescription]:
    """Return the built-in strategies, each with its summary, and installed ones, without running their code."""
    found = []
    for name, where in BUILT_IN.items():
        first = (load(name).__doc__ or "").partition("\n\n")[0]
        found.append(StrategyDescription(name, where, " ".join(first.split())))
    for point in sorted(_installed(), key=lambda point: point.name):
        if point.name not in BUILT_IN:
            package = f"{point.dist.name} {point.dist.version}" if point.dist is not None else "an installed package"
            found.append(StrategyDescription(point.name, point.value, f"of {package}"))
    return found


def _installed() -> Any:
    """Return the entry points of installed packages. The import is slow, and most commands need none."""
    from importlib.metadata import entry_points

    return entry_points(group=GROUP)


def names() -> list[str]:
    """Return the names of all built-in and installed strategies."""
    return [*BUILT_IN, *(point.name for point in _installed())]


def load(spec: str) -> type[Strategy]:
    """Return the class that `spec` names. Raises UsageError with suggestions if there is no such strategy."""
    if spec in BUILT_IN:
        module, name = BUILT_IN[spec].split(":")
        return _checked(getattr(importlib.import_module(module), name), name)
    if ".py" in spec:
        return _from_path(spec)
    for point in _installed().select(name=spec):
        hint = f"it is {point.value} of an installed package: reinstall or remove the package"
        return _checked(_run(point.load, f"strategy {spec}", hint), spec)
    near = [*_beside(spec), *get_close_matches(spec, names(), n=1)]
    raise UsageError(
        f"Unknown strategy: {spec!r}" + (f"; did you mean {near[0]}?" if near else ""),
        hint="see `kalshi strategies`, or give a file: --strategy ./fade.py:Fade",
        code="unknown_strategy",
    )


def _beside(name: str) -> list[str]:
    """Return the files of this name in the current folder, as they would be typed."""
    files = dict.fromkeys((f"{name}.py", f"{name.replace('-', '_')}.py"))
    return [file if "/" in file else f"./{file}" for file in files if os.path.isfile(file)]


def make(spec: str, given: Mapping[str, object]) -> Strategy:
    """Return the strategy with its parameters. The error lists every problem of the parameters."""
    kind = load(spec)
    return construct(kind, params_from(kind, given, spec))


def make_all(
    specs: Sequence[str],
    configured: Mapping[str, Mapping[str, object]],
    given: Mapping[str, str],
    allotted: Collection[str] = (),
) -> list[Strategy]:
    """Return the strategies of one run in calling order.

    `configured` are parameters by spec or name. `given` overrides them: `spike.move`, or `move` if only one strategy
    has such a parameter. `allotted` are the names with a budget or sizing. Raises UsageError for one of those that no
    strategy would use, and for a strategy given twice, because its orders could not be told apart.
    """
    kinds = {spec: load(spec) for spec in specs}
    problems = misplaced_settings(kinds, allotted)
    if problems:
        raise UsageError("; ".join(problems), hint="move them there, then: kalshi config check", code="bad_parameter")
    by_name: dict[str, str] = {}
    for spec in specs:
        name = kinds[spec].name
        if name in by_name:
            raise UsageError(
                f"Strategy {name} is given twice" + (f": {by_name[name]}, {spec}" if spec != by_name[name] else ""),
                hint="give each strategy once; otherwise its orders and profit could not be told apart",
                code="strategy_twice",
            )
        by_name[name] = spec
    own = _shared_out(kinds, given)
    found = [
        (kind, params_from(kind, {**configured.get(kind.name, {}), **configured.get(spec, {}), **own[spec]}, spec))
        for spec, kind in kinds.items()
    ]
    return [construct(kind, params) for kind, params in found]


def require_sources(strategies: Iterable[Strategy]) -> None:
    """Raise UsageError for a strategy with a data input without a source; only a backtest needs none."""
    for strategy in strategies:
        if any(not getattr(wanted, "source", "-").strip() for wanted in strategy.inputs()):
            raise parameter_error(strategy.name, "source: required", f"--param {strategy.name}.source=FILE")


def misplaced_settings(kinds: Mapping[str, type[Strategy]], allotted: Collection[str]) -> list[str]:
    """Return the budgets and sizings that have no effect, because they belong under the strategy's own name."""
    return [
        f"{section_of(spec)}: budget and sizing belong under strategies.{kind.name}"
        for spec, kind in kinds.items()
        if spec in allotted and spec != kind.name
    ]


def likely_misspelled(configured: Iterable[str], strategies: Iterable[Strategy]) -> list[tuple[str, str]]:
    """Return unknown names in the configuration, each with the similar name of a strategy of this run."""
    names = {strategy.name for strategy in strategies}
    unknown = [name for name in configured if name not in names and name not in BUILT_IN and ".py" not in name]
    return [(name, near) for name in unknown for near in get_close_matches(name, sorted(names), n=1, cutoff=NEAR)]


def _shared_out(kinds: Mapping[str, type[Strategy]], given: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Assign each parameter to its strategy."""
    own: dict[str, dict[str, str]] = {spec: {} for spec in kinds}
    for name, value in given.items():
        whose, dot, plain = name.rpartition(".")
        if dot:
            takers = [spec for spec, kind in kinds.items() if whose in (spec, kind.name)]
        elif len(kinds) == 1:
            takers = list(kinds)  # its parameters are checked later
        else:
            takers = [spec for spec, kind in kinds.items() if plain in kind.Params.__struct_fields__]
        if len(takers) != 1:
            which = ", ".join(kinds[spec].name for spec in takers or kinds)
            what = (
                f"{whose} is not running" if dot else f"{'several strategies have' if takers else 'no strategy has'} it"
            )
            raise UsageError(
                f"--param {name}: {what} ({which})",
                hint=f"name the strategy: --param {kinds[(takers or list(kinds))[0]].name}.{plain}={value}",
                code="bad_parameter",
            )
        own[takers[0]][plain] = value
    return own


def params_from(kind: type[Strategy], given: Mapping[str, object], spec: str = "") -> StrategyParams:
    """Return typed parameters from text or YAML values: prices in dollars or cents, quantities in contracts."""
    values, problems = values_of(kind, given)
    missing = required(kind) - set(given)  # once, because it resolves every annotation
    problems += [f"{name}: required" for name in kind.Params.__struct_fields__ if name in missing]
    refuse_problems(kind, problems, spec)
    return msgspec.convert(values, prepared(kind.Params))


def refuse_problems(kind: type[Strategy], problems: Iterable[str], spec: str = "") -> None:
    """Raise UsageError if there is any problem with the parameters of a strategy."""
    if text := "; ".join(problems):
        hint = f"see `kalshi strategies {spec or kind.name}` for names, ranges and defaults"
        raise UsageError(f"Strategy {kind.name}: {text}", hint=hint, code="bad_parameter")


def values_of(kind: type[Strategy], given: Mapping[str, object]) -> tuple[dict[str, Any], list[str]]:
    """Return the typed values of valid parameters, and the problems of the others."""
    known = {parameter.name: parameter for parameter in parameters(kind)}
    plain, full = get_type_hints(kind.Params), get_type_hints(kind.Params, include_extras=True)
    problems: list[str] = []
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            problems.append(f"{name}: no such parameter" + (f"; did you mean {near[0]}?" if near else ""))
            continue
        try:
            values[name] = _parse(plain[name], value, is_ranged=known[name].minimum != "")
        except msgspec.ValidationError:
            low, high = known[name].minimum, known[name].maximum
            span = f" from {low} to {high}" if low and high else ""
            problems.append(f"{name}: use {_KINDS.get(plain[name], 'a valid value')}{span}, not {str(value)[:20]}")
            continue
        except ValueError as error:
            problems.append(f"{name}: {error}")
            continue
        try:
            msgspec.convert(values[name], prepared(full[name]))
        except msgspec.ValidationError:
            problems.append(f"{name}: {value} is outside {known[name].minimum} to {known[name].maximum}")
    return values, problems


def required(kind: type[Strategy]) -> set[str]:
    """Return the names of parameters without a default."""
    return {field.name for field in msgspec.structs.fields(kind.Params) if field.required}


def parameters(kind: type[Strategy]) -> list[Parameter]:
    """Return the name, default, range and help of every parameter, as a user types them."""
    hints = get_type_hints(kind.Params, include_extras=True)
    plain = get_type_hints(kind.Params, include_extras=False)
    found = []
    for field in msgspec.structs.fields(kind.Params):
        meta = next((m for m in getattr(hints[field.name], "__metadata__", ()) if isinstance(m, msgspec.Meta)), None)
        low, high = (meta.ge if meta.ge is not None else meta.gt, meta.le) if meta else (None, None)
        default, minimum, maximum = (_show(plain[field.name], value) for value in (field.default, low, high))
        found.append(Parameter(field.name, default, minimum, maximum, (meta.description or "") if meta else ""))
    return found


def settings(strategies: Sequence[Strategy]) -> dict[str, str]:
    """Return the value of every parameter as a user types it, named `spike.move` if there are several strategies."""
    found = {}
    for strategy in strategies:
        prefix = f"{strategy.name}." if len(strategies) > 1 else ""
        for name, hint in get_type_hints(strategy.Params).items():
            found[prefix + name] = redact(_show(hint, getattr(strategy.params, name)))
    return found


_KINDS: dict[object, str] = {int: "a whole number", float: "a number"}


def read_price(text: str) -> Price:
    """Return a price or a distance between prices; whether it may be zero is said by the range of its parameter."""
    return Price(0) if is_zero(text) else price_from_user(text)


def read_qty(text: str) -> Qty:
    """Return a count; whether it may be zero is said by the range of its parameter."""
    return Qty(0) if is_zero(text) else qty_from_user(text)


def _parse(hint: object, value: object, *, is_ranged: bool) -> object:
    if hint in (Price, Price | None):
        return (read_price if is_ranged else price_from_user)(str(value))
    if hint in (Qty, Qty | None):
        return (read_qty if is_ranged else qty_from_user)(str(value))
    if hint is bool and not isinstance(value, bool) and str(value).lower() not in ("true", "false", "1", "0"):
        raise ValueError(f"use true or false, not {str(value)[:20]}")
    return msgspec.convert(value, prepared(hint), strict=False)


def _show(hint: object, value: object) -> str:
    if value is None or value is msgspec.NODEFAULT:
        return ""
    if hint in (Price, Price | None) and isinstance(value, int):
        return f"{value / 100:g}c"
    if hint in (Qty, Qty | None) and isinstance(value, int):
        return f"{value / 100:g}"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _from_path(spec: str) -> type[Strategy]:
    """Load `FILE.py:Class`. It is code that runs with all permissions of this program."""
    name = spec.partition(".py:")[2]
    path = _path_of(spec)
    source = _read_source(Path(_file_of(spec)).absolute())
    module_name = f"kalshi_strategy_{path.stem}"
    module = ModuleType(module_name)
    module.__file__ = str(path)
    sys.modules[module_name] = module  # before it runs: dataclasses and typing look their module up there

    def run() -> None:
        exec(compile(source, str(path), "exec", dont_inherit=True), vars(module))  # noqa: S102 (a strategy is code)

    try:
        _run(run, str(path), f"`python {path}` shows the error; a strategy cannot import files beside it")
    except UsageError:
        del sys.modules[module_name]
        raise
    _digests[path] = _digest(source)
    _warnings[path] = warnings_of(_file_of(spec), source)
    kinds = [kind for kind in vars(module).values() if _is_strategy(kind) and kind.__module__ == module_name]
    if not name:
        if len(kinds) != 1:
            raise UsageError(
                f"{path.name} contains {len(kinds)} strategies",
                hint="name one: FILE.py:ClassName",
                code="unknown_strategy",
            )
        return _checked(kinds[0], spec)
    if not hasattr(module, name):
        hint = f"it has {', '.join(kind.__name__ for kind in kinds)}" if kinds else "give FILE.py:ClassName"
        raise UsageError(f"{path.name} has no class {name}", hint=hint, code="unknown_strategy")
    return _checked(getattr(module, name), spec)


def _read_source(path: Path) -> bytes:
    """Read the source that will be hashed and executed, never Python's cached bytecode.

    Raises UsageError if users other than this one and root can write the file.
    """
    try:
        with open(open_regular(path), "rb") as file:
            doubt = doubt_file(path, file.fileno())
            source = b"" if doubt is not None else file.read(MAX_SOURCE + 1)
    except OSError as error:
        text = f"No strategy file {path}" + ("" if isinstance(error, FileNotFoundError) else f": {error.strerror}")
        hint = "check the path; `kalshi strategies new NAME` writes a first strategy"
        raise UsageError(text, hint=hint, code="unknown_strategy") from error
    if doubt is not None:
        raise UsageError(f"Refused the strategy {path}: {doubt.why}", hint=doubt.remedy, code="unsafe_strategy")
    if len(source) > MAX_SOURCE:
        raise UsageError(f"{path} is larger than {MAX_SOURCE:,} bytes", hint="is it Python?", code="bad_strategy")
    return source


def _run(code: Callable[[], Any], what: str, hint: str) -> Any:
    """Run a strategy's code while loading it; any error becomes a UsageError."""
    try:
        with stdout_to_stderr():
            return code()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # a script that exits would end this program with success
        raise UsageError(f"Cannot load {what}: {named(error)}", hint=hint, code="bad_strategy") from error


def fingerprint(spec: str) -> str:
    """Return the path and content hash of a strategy file: `/home/me/fade.py (sha256 1f0c...)`; empty for others.

    The hash has the first 16 digits of `sha256sum`, of the content that was executed.
    """
    if spec in BUILT_IN or ".py" not in spec:
        return ""
    path = _path_of(spec)
    return f"{path} (sha256 {_digests.get(path) or _digest(read_regular(path, MAX_SOURCE))})"


_digests: dict[Path, str] = {}
"""Hashes of the loaded strategy files: of the bytes that were executed, not of the current file."""


_warnings: dict[Path, tuple[str, ...]] = {}
"""Warnings of the loaded strategy files: of the bytes that were executed, too."""


def warnings(spec: str) -> tuple[str, ...]:
    """Return the warnings of a loaded strategy file, whose backtests may differ from each other or look ahead."""
    return _warnings.get(_path_of(spec), ()) if spec not in BUILT_IN and ".py" in spec else ()


def _digest(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()[:16]


def _path_of(spec: str) -> Path:
    return Path(_file_of(spec)).resolve()


def _file_of(spec: str) -> str:
    file, _, name = spec.partition(".py:")
    return f"{file}.py" if name else spec


def _is_strategy(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Strategy) and kind is not Strategy


def _checked(kind: Any, spec: str) -> type[Strategy]:
    if not _is_strategy(kind) or not getattr(kind, "name", ""):
        raise UsageError(
            f"{spec} is not a strategy",
            hint="subclass kalshi_cli.strategies.api.Strategy and give it a name",
            code="unknown_strategy",
        )
    checked: type[Strategy] = kind
    check_hooks(checked)
    if checked.watches not in get_args(Watches):
        raise UsageError(
            f"Strategy {checked.name}: watches = {checked.watches!r} is not a part of an order book",
            hint=f"choose one of {', '.join(get_args(Watches))}",
            code="bad_strategy",
        )
    taken = sorted(set(RESERVED).intersection(checked.Params.__struct_fields__))
    if taken:
        raise UsageError(
            f"Strategy {checked.name} has a reserved parameter name: {taken[0]}",
            hint="every strategy has this setting already; rename the parameter",
            code="bad_strategy",
        )
    if not checked.__module__.startswith("kalshi_cli."):  # a test checks the built-in ones
        check_defaults(checked)
    return checked


def check_defaults(kind: type[Strategy]) -> None:
    """Raise UsageError for a default outside the range of its own parameter."""
    full = get_type_hints(kind.Params, include_extras=True)
    for field, shown in zip(msgspec.structs.fields(kind.Params), parameters(kind), strict=True):
        if field.default is msgspec.NODEFAULT:
            continue
        try:
            msgspec.convert(field.default, prepared(full[field.name]))
        except msgspec.ValidationError:
            bounds = (("at least", shown.minimum), ("at most", shown.maximum))
            span = " and ".join(f"{word} {bound}" for word, bound in bounds if bound)
            raise UsageError(
                f"Strategy {kind.name}: the default of {field.name} is {shown.default or repr(field.default):.40}, "
                f"but it must be {span or 'of its type'}",
                hint="change the default or the range in the strategy",
                code="bad_strategy",
            ) from None
