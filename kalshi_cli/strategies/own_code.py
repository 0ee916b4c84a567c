"""The code of a strategy file: its `print`, its hooks, and calls that make a backtest differ or look ahead."""

from __future__ import annotations

import ast
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, redirect_stdout
from difflib import get_close_matches
from types import CodeType
from typing import TypeVar

from kalshi_cli.base.errors import KalshiError, UsageError, named
from kalshi_cli.core.model.inputs import FairInput, SignalInput, SpotInput
from kalshi_cli.strategies.base import Strategy, StrategyParams

_CHANGING = {
    "time": ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime"),
    "datetime.datetime": ("now", "utcnow", "today"),
    "datetime.date": ("today",),
}
"""Functions that read the clock of this machine, by module or class."""

_WRITING = ("w", "a", "x", "wb", "ab", "xb", "wt", "at", "xt")
"""Modes of `open` in which nothing is read."""

_OPENING = frozenset({
    "open", "io.open", "os.open", "codecs.open", "gzip.open", "bz2.open", "lzma.open", "zipfile.ZipFile",
    "pathlib.Path.open", "sqlite3.connect", "duckdb.connect", "numpy.load", "numpy.loadtxt", "numpy.genfromtxt",
    "numpy.fromfile", "numpy.memmap",
})  # fmt: skip
"""Functions that open or read a file; those of pandas, polars and pyarrow begin with `read_` or `scan_`."""

_NETWORK = (
    "requests.", "httpx.", "aiohttp.", "urllib.request.", "urllib3.", "http.client.", "websocket.", "websockets.",
    "socket.socket", "socket.create_connection",
)  # fmt: skip
"""The beginnings of the names of functions and classes that read the network."""


def stdout_to_stderr() -> AbstractContextManager[object]:
    """Return a context in which `print` writes to stderr: stdout has the results of a command, such as `--json`.

    It replaces `sys.stdout` of the whole process, so only the main thread does it.
    """
    if threading.current_thread() is not threading.main_thread():
        return nullcontext()
    return redirect_stdout(sys.stderr)


def section_of(name: str) -> str:
    """Return the name of a strategy's section in a configuration file; a file stands in quotes there."""
    return f'strategies."{name}"' if ".py" in name else f"strategies.{name}"


def construct(kind: type[Strategy], params: StrategyParams) -> Strategy:
    """Return a strategy with its parameters. UsageError for whatever its `__init__` or its `inputs` does wrong."""
    made = _created(kind, params)
    _check_inputs(made)
    return made


def check_with_defaults(kind: type[Strategy]) -> None:
    """Raise UsageError for wrong `inputs` of a strategy, if it can be created with the defaults of its parameters."""
    try:
        made = _created(kind, kind.Params())
    except (TypeError, KalshiError):  # a parameter is required, or its default is no valid one
        return
    _check_inputs(made)


def _check_inputs(strategy: Strategy) -> None:
    found, error = _attempt(strategy.inputs)
    problem = _inputs_problem(found) if error is None else f"raised {named(error)}"
    if problem:
        raise UsageError(
            f"Strategy {strategy.name}: inputs() {problem}",
            hint='for example `return (SpotInput(symbol="BTC"),)`, with the comma; SpotInput, FairInput and '
            "SignalInput are in kalshi_cli.strategies.api",
            code="bad_strategy",
        ) from error


def _inputs_problem(found: object) -> str:
    """Return what is wrong with the data inputs that a strategy returned; empty if nothing is."""
    if not isinstance(found, tuple | list):
        return f"returned {found!r:.80}, which is not a tuple of data inputs"
    wrong = next((each for each in found if type(each) not in (SpotInput, FairInput, SignalInput)), None)
    return "" if wrong is None else f"returned {wrong!r:.80}, which is not a data input"


def _created(kind: type[Strategy], params: StrategyParams) -> Strategy:
    def create() -> Strategy:
        made = kind(params)
        made.params  # noqa: B018 - missing if `__init__` did not call that of Strategy
        return made

    made, error = _attempt(create)
    if made is None:
        raise UsageError(
            f"Cannot create strategy {kind.name}: {error and named(error)}",
            hint="its `__init__(self, params)` must begin with `super().__init__(params)`",
            code="bad_strategy",
        ) from error
    return made


_T = TypeVar("_T")


def _attempt(call: Callable[[], _T]) -> tuple[_T | None, BaseException | None]:
    """Return the result of a call of a strategy's own code, or its error."""
    try:
        with stdout_to_stderr():
            return call(), None
    except (KalshiError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a strategy that exits would end this program with success
        return None, error


def unrepeatable_calls(source: bytes) -> tuple[str, ...]:
    """Return the calls of a module that read the clock or unseeded random numbers, such as `random.random`.

    A generator with a seed (`random.Random(7)`) does not count, and no function of `random` after `random.seed(7)`.
    """
    tree = ast.parse(source)
    full = _imports(tree)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    named = [(_full_name(call.func, full), bool(call.args)) for call in calls]
    has_seed = ("random.seed", True) in named
    return tuple(
        dict.fromkeys(name for name, has_args in named if _is_unrepeatable(name, has_args=has_args, has_seed=has_seed))
    )


def warnings_of(file: str, source: bytes) -> tuple[str, ...]:
    """Return a warning for each way in which backtests of a strategy file may differ from each other or look ahead."""
    calls, reads, requests = unrepeatable_calls(source), file_reads(source), network_reads(source)
    found = []
    if calls:
        found.append(
            f"{file} calls {', '.join(calls)}: the same recording gives another result each time. "
            "Use view.now for the time, and random.Random(7) of `random` for numbers"
        )
    if reads:
        found.append(
            f"{file} reads a file ({', '.join(reads)}): its rows may be of the future in a backtest. "
            "Request data inputs with inputs(), and read a table of parameters in __init__"
        )
    if requests:
        found.append(
            f"{file} reads the network ({', '.join(requests)}): a backtest gets the answers of today, and a run waits "
            "for each. Request data inputs with inputs()"
        )
    return tuple(found)


def file_reads(source: bytes) -> tuple[str, ...]:
    """Return the calls of a module that read a file while the strategy runs, such as `open in on_book`.

    Calls of the module itself and of `__init__` do not count: they load parameters or a model once. Nor does a file
    that is opened to be written.
    """
    return _reads_in_hooks(source, _read_by)


def network_reads(source: bytes) -> tuple[str, ...]:
    """Return the calls of a module that read the network while the strategy runs, such as `requests.get in on_tick`.

    Calls of the module itself and of `__init__` do not count, nor those of an object that was created there.
    """
    return _reads_in_hooks(source, _requested_by)


def _reads_in_hooks(source: bytes, read_by: Callable[[ast.Call, dict[str, str]], str]) -> tuple[str, ...]:
    """Return the calls to which `read_by` gives a name, each with its function, which is not `__init__`."""
    tree = ast.parse(source)
    full = {"open": "open"} | _imports(tree)
    found = []
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name != "__init__":
            calls = (node for node in ast.walk(function) if isinstance(node, ast.Call))
            found += [f"{name} in {function.name}" for call in calls if (name := read_by(call, full))]
    return tuple(dict.fromkeys(found))


def _read_by(call: ast.Call, full: dict[str, str]) -> str:
    """Return the name of a call that reads a file; empty for another one."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if method in ("read_text", "read_bytes"):
        return f"Path.{method}"
    name = _full_name(call.func, full)
    given = (*call.args, *(each.value for each in call.keywords))
    if any(isinstance(each, ast.Constant) and each.value in _WRITING for each in given):
        return ""
    function = name.rpartition(".")[2]
    return name if name in _OPENING or (name != function and function.startswith(("read_", "scan_"))) else ""


def _requested_by(call: ast.Call, full: dict[str, str]) -> str:
    """Return the name of a call that reads the network; empty for another one."""
    name = _full_name(call.func, full)
    return name if name.startswith(_NETWORK) else ""


def _imports(tree: ast.AST) -> dict[str, str]:
    """Return the full name of each imported module and function by its name in the code."""
    full: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:  # `import a.b` binds `a`
                first = each.name.partition(".")[0]
                full |= {each.asname: each.name} if each.asname else {first: first}
        elif isinstance(node, ast.ImportFrom):
            full |= {each.asname or each.name: f"{node.module}.{each.name}" for each in node.names}
    return full


def _full_name(node: ast.expr, full: dict[str, str]) -> str:
    """Return the name of a called function with its module; empty if it was not imported.

    A method of an object that was just created has the name of its class: `pathlib.Path.open` for `Path("a").open`.
    """
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call):
        made = _full_name(node.value.func, full)
        return f"{made}.{node.attr}" if made else ""
    text = ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""
    first, dot, rest = text.partition(".")
    return full[first] + dot + rest if first in full else ""


def _is_unrepeatable(name: str, *, has_args: bool, has_seed: bool) -> bool:
    module, _, function = name.rpartition(".")
    if module == "random":
        return not has_args if function == "Random" else not has_seed
    return function in _CHANGING.get(module, ())


_INPUT_OF = {
    "on_spot": 'SpotInput(symbol="BTC")',
    "on_fair": 'FairInput(source="fairs.csv", every_s=30, valid_s=300)',
    "on_signal": 'SignalInput(source="news.jsonl")',
}
"""An input that each hook of outside data needs, as an author writes it."""


def check_hooks(kind: type[Strategy]) -> None:
    """Refuse a method `on_*` that is no hook: it would never be called, and the strategy would silently not trade.

    A method that the strategy calls itself is one of its own. A hook of outside data without `inputs` is refused too.
    """
    hooks = [name for name in vars(Strategy) if name.startswith("on_")]
    methods = {name: method for name in dir(kind) if callable(method := getattr(kind, name))}
    used = {name for method in methods.values() for name in _names_in(getattr(method, "__code__", None))}
    for name in methods:
        if name.startswith("on_") and name not in hooks and name not in used:
            near = get_close_matches(name, hooks, n=1)
            raise UsageError(
                f"Strategy {kind.name}: {name} is not a hook" + (f"; did you mean {near[0]}?" if near else ""),
                hint=f"the hooks are {', '.join(hooks)}; rename the method, which nothing calls",
                code="bad_strategy",
            )
    for hook, example in _INPUT_OF.items():
        if getattr(kind, hook) is not getattr(Strategy, hook) and kind.inputs is Strategy.inputs:
            raise UsageError(
                f"Strategy {kind.name}: {hook} is never called, because inputs() requests no data",
                hint=f"add `def inputs(self): return ({example},)`; import the name from kalshi_cli.strategies.api",
                code="bad_strategy",
            )


def _names_in(code: CodeType | None) -> set[str]:
    """Return the attributes and globals that a function and those inside it use."""
    if code is None:
        return set()
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*map(_names_in, inner))
