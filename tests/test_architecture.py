"""The rules of the design, enforced by walking the syntax tree of every file. A rule that is not a test is a wish.

A rule takes a module and yields what is wrong with it. Each has companions below which prove that it catches what it
should, and lets pass what looks alike.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pytest
from support.places import ROOT
from support.sources import nodes_of, parsed


@dataclass(frozen=True)
class Module:
    """A file of ours: its path from the root of the repository, and its text."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return parsed(self.text)

    @property
    def name(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    def nodes(self, *kinds: type[ast.AST]) -> Iterator[Any]:
        return nodes_of(self.text, *kinds)

    @cached_property
    def imports(self) -> list[str]:
        """Dotted names imported when it runs, also inside functions; `from a import b` gives a.b."""
        skipped = {
            id(inner)
            for node in self.nodes(ast.If)
            if ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
            for statement in node.body
            for inner in ast.walk(statement)
        }
        found = []
        for node in self.nodes(ast.Import, ast.ImportFrom):
            if id(node) in skipped:
                continue
            if isinstance(node, ast.Import):
                found += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                package = self.name.split(".")[: -node.level] if node.level else []
                base = ".".join([*package, *([node.module] if node.module else [])])
                found += [f"{base}.{alias.name}" for alias in node.names]
        return found

    @cached_property
    def names(self) -> dict[str, str]:
        """What each imported name stands for: `from time import sleep as nap` gives nap -> time.sleep."""
        known = {}
        for node in self.nodes(ast.Import, ast.ImportFrom):
            if isinstance(node, ast.Import):
                known.update(
                    {a.asname or a.name.split(".")[0]: a.name if a.asname else a.name.split(".")[0] for a in node.names}
                )
            elif isinstance(node, ast.ImportFrom):
                known.update({a.asname or a.name: f"{node.module or ''}.{a.name}" for a in node.names})
        return known

    def dotted(self, node: ast.AST) -> str:
        """`datetime.now` -> datetime.datetime.now, through whatever the name was imported as; "" for anything else."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id, "")
        if isinstance(node, ast.Attribute):
            before = self.dotted(node.value)
            return f"{before}.{node.attr}" if before else ""
        return ""


Rule = Callable[[Module], Iterator[str]]


# -- who may know whom --------------------------------------------------------------------------------------------

BASE = ("base",)
CONFIG = (*BASE, "core", "config")
NET = (*CONFIG, "net")
SIBLINGS = ("exchange", "simulator", "feeds", "lake", "store", "notify", "telemetry")

MAY_IMPORT: dict[str, tuple[str, ...]] = {
    "base": BASE,
    "core": (*BASE, "core"),
    "views": (*BASE, "core", "views"),
    "config": CONFIG,
    "net": NET,
    "strategies": (*BASE, "core", "strategies"),
    **{part: (*NET, part) for part in SIBLINGS},
    "compiled": (*BASE, "core", "simulator", "compiled"),
    "testing": (*BASE, "core", "strategies", "simulator", "services"),
    "template": (*BASE, "core", "strategies", "testing"),
    "services": (*NET, "strategies", *SIBLINGS, "compiled", "views", "services"),
    "app": (*NET, "strategies", *SIBLINGS, "views", "services", "app"),
    "cli": (*BASE, "views", "services", "app", "cli"),
    "tui": (*BASE, "views", "services", "app", "tui"),
    "web": (*BASE, "views", "services", "app", "web"),
    "__main__": ("cli", "base"),
    "__init__": BASE,
}
"""Layer -> the layers it may import. Imports for annotations only do not count."""

MAY_ALSO_IMPORT: dict[str, tuple[str, ...]] = {
    "kalshi_cli/cli/options.py": ("config",),
    "kalshi_cli/cli/completion.py": ("config",),
    "kalshi_cli/cli/commands/config.py": ("config",),
    "kalshi_cli/cli/commands/init.py": ("config",),
    "kalshi_cli/cli/commands/runs.py": ("config",),
    "kalshi_cli/cli/commands/check.py": ("core",),
    "kalshi_cli/cli/commands/serve.py": ("web",),
    "kalshi_cli/cli/commands/top.py": ("tui",),
    "kalshi_cli/cli/screen/render.py": ("core",),
    "kalshi_cli/cli/screen/watch.py": ("core",),
}
"""File of the command line -> layers that it still needs besides; this list only shrinks."""

ROOMS: dict[str, tuple[tuple[str, ...], ...]] = {
    "core": (("model",), ("market",), ("account",), ("state",), ("risk",), ("engine", "monitoring")),
    "simulator": tuple(
        tuple(group.split())
        for group in ("model paper", "matching", "protocol", "trading", "rest stream", "exchange", "world", "serving")
    ),
    "services": (
        ("runner", "raw_calls", "simulated_exchange"),
        ("resources",),
        ("plans",),
        ("setup", "markets", "account"),
        ("trading",),
        ("monitoring",),
        ("orders", "research"),
    ),
    "exchange": (("wire",), ("rest",), ("endpoints", "stream"), ("client",), ("live",), ("route_samples",)),
}
"""Package -> its rooms and files, in the order in which they may import: each only those before it, and itself."""

EXCEPTIONS = {("kalshi_cli.simulator.exchange", "kalshi_cli.exchange.wire.values")}
"""The simulated exchange speaks the wire."""


def layers(module: Module) -> Iterator[str]:
    parts = module.name.split(".")
    if parts[0] != "kalshi_cli":
        return
    layer = parts[1] if len(parts) > 1 else "__init__"
    if layer not in MAY_IMPORT:
        yield f"{layer} has no place in the layers"
        return
    for name in module.imports:
        target = name.split(".")
        if target[0] != "kalshi_cli" or len(target) == 1:
            continue
        if any(module.name == who and name.startswith(what) for who, what in EXCEPTIONS):
            continue
        if target[1] not in (*MAY_IMPORT[layer], *MAY_ALSO_IMPORT.get(module.path, ())):
            yield f"{layer} imports {name}"


def rooms(module: Module) -> Iterator[str]:
    """Inside a package, a room imports only what stands before it; siblings do not know each other."""
    parts = module.name.split(".")
    if parts[0] != "kalshi_cli" or len(parts) < 3 or parts[1] not in ROOMS:
        return
    place = {room: number for number, group in enumerate(ROOMS[parts[1]]) for room in group}
    if parts[2] not in place:
        yield f"{parts[2]} has no place among the rooms of {parts[1]}"
        return
    for name in module.imports:
        target = name.split(".")
        if target[:2] != parts[:2] or len(target) < 3 or target[2] == parts[2]:
            continue
        if place.get(target[2], 0) >= place[parts[2]]:
            yield f"{parts[1]}.{parts[2]} imports {name}"


LIBRARIES: dict[str, tuple[str, ...]] = {
    "sqlite3": ("kalshi_cli/store/database.py", "kalshi_cli/store/sqlite_store.py"),
    "httpx": (
        "kalshi_cli/net/",
        "kalshi_cli/exchange/",
        "kalshi_cli/feeds/spot/",
        "kalshi_cli/simulator/serving/in_process_transport.py",
    ),
    "websocket": ("kalshi_cli/net/",),
    "requests": ("kalshi_cli/notify/pinned_plugins.py",),
    "smtplib": ("kalshi_cli/notify/pinned_plugins.py",),
    "cryptography": ("kalshi_cli/exchange/", "kalshi_cli/simulator/", "kalshi_cli/services/simulated_exchange.py"),
    "uvicorn": ("kalshi_cli/simulator/serving/server.py", "kalshi_cli/web/"),
    "starlette": ("kalshi_cli/web/",),
    "textual": ("kalshi_cli/tui/",),
    "wsproto": ("kalshi_cli/simulator/",),
    "yaml": ("kalshi_cli/base/plain_yaml.py", "kalshi_cli/feeds/market_map.py"),
    "typer": ("kalshi_cli/cli/",),
    "rich": ("kalshi_cli/cli/", "kalshi_cli/tui/"),
    "tabulate": ("kalshi_cli/cli/screen/render.py",),
    "apprise": ("kalshi_cli/notify/apprise_channels.py",),
    "optuna": ("kalshi_cli/services/research/search/",),
    "dask": ("kalshi_cli/services/research/search/",),
    "distributed": ("kalshi_cli/services/research/search/",),
    "sqlalchemy": ("kalshi_cli/services/research/search/",),
    "httpcore": (),
    "click": (),
}
"""A library -> where it may be imported. Typer may carry its own click: nobody imports either."""


def libraries(module: Module) -> Iterator[str]:
    if not module.path.startswith("kalshi_cli/"):
        return
    for name in module.imports:
        where = LIBRARIES.get(name.split(".")[0])
        if where is not None and not module.path.startswith(where):
            yield f"imports {name}"


IMPURE = re.compile(
    r"(asyncio|http|httpx|io|logging|multiprocessing|os|pathlib|platform|queue|random|shutil|signal|socket|sqlite3"
    r"|subprocess|sys|tempfile|threading|time|urllib|websocket)(\.|$)"
)


def pure_core(module: Module) -> Iterator[str]:
    """core decides; it neither reads, writes, waits, logs nor throws dice."""
    if not module.path.startswith(("kalshi_cli/core/", "kalshi_cli/simulator/matching/order_book.py")):
        return
    yield from (f"imports {name}" for name in module.imports if IMPURE.match(name))
    for call in module.nodes(ast.Call):
        if isinstance(call.func, ast.Name) and call.func.id in ("open", "input"):
            yield f"calls {call.func.id}()"


def clients(module: Module) -> Iterator[str]:
    """A front end asks services; it never calls the HTTP client of what it opened."""
    if not module.path.startswith("kalshi_cli/cli/"):
        return
    for node in module.nodes(ast.Attribute):
        if node.attr in ("client", "public"):
            yield f"uses {ast.unparse(node)}"


# -- what only one place may do -----------------------------------------------------------------------------------

AMBIENT = re.compile(
    r"time\.(time|monotonic|perf_counter|process_time|sleep|gmtime|localtime|ctime|asctime)(_ns)?"
    r"|datetime\.(datetime|date)\.(now|utcnow|today)"
    r"|random\.([a-z]\w*|SystemRandom)|uuid\.uuid[14]|secrets\..*|os\.(urandom|getrandom)"
)


FRONT_ENDS = ("kalshi_cli/app/", "kalshi_cli/cli/", "kalshi_cli/__main__.py")
"""Where a program begins, and where it may make a clock."""


def ambient(module: Module) -> Iterator[str]:
    """Time, randomness and ids are handed in; only the clock and the composition root take them from the machine."""
    if not module.path.startswith("kalshi_cli/") or module.path.startswith(
        ("kalshi_cli/base/clock.py", "kalshi_cli/app/")
    ):
        return
    for node in module.nodes(ast.Attribute, ast.Name):
        if AMBIENT.fullmatch(name := module.dotted(node)):
            yield f"uses {name}"
    for call in module.nodes(ast.Call):
        if module.dotted(call.func) == "random.Random" and not call.args and not call.keywords:
            yield "makes an unseeded random.Random()"
        if module.dotted(call.func).endswith(".SystemClock") and not module.path.startswith(FRONT_ENDS):
            yield "makes a SystemClock()"


MODES = frozenset({"paper", "live", "sim", "simulated", "backtest", "prod", "demo", "dry_run"})
IS_MODE = re.compile(r"(is_|in_)?(paper|sim|simulated|simulation|backtest|backtesting|prod|production|demo|dry_run)")


NAMED_MODES = frozenset({"paper", "sim", "prod", "demo"})
MAY_NAME_MODES = ("kalshi_cli/app/", "kalshi_cli/cli/", "kalshi_cli/config/")
"""The composition, the flags of a command, and what a configuration may say."""


def mode_names(module: Module) -> Iterator[str]:
    """Only app/ names a mode; what differs by mode is given to everything else as a value."""
    if not module.path.startswith("kalshi_cli/") or module.path.startswith(MAY_NAME_MODES):
        return
    for text in module.nodes(ast.Constant):
        if text.value in NAMED_MODES:
            yield f"names the mode {text.value!r}"


def modes(module: Module) -> Iterator[str]:
    """Only app/ asks which mode it is. A command may look at its own flags."""
    if not module.path.startswith("kalshi_cli/") or module.path.startswith("kalshi_cli/app/"):
        return
    for node in module.nodes(ast.Compare):
        sides = [node.left, *node.comparators]
        constants = [side.value for side in sides if isinstance(side, ast.Constant)]
        if any(isinstance(operator, ast.Eq | ast.NotEq) for operator in node.ops) and MODES & set(constants):
            yield f"compares with a mode: {ast.unparse(node)}"
    for node in module.nodes(ast.MatchValue):
        if isinstance(node.value, ast.Constant) and node.value.value in MODES:
            yield f"matches a mode: {ast.unparse(node)}"
    if module.path.startswith("kalshi_cli/cli/"):
        return
    for node in module.nodes(ast.If, ast.IfExp, ast.While):
        for claim in _claims(node.test):
            name = claim.id if isinstance(claim, ast.Name) else claim.attr if isinstance(claim, ast.Attribute) else ""
            if IS_MODE.fullmatch(name):
                yield f"branches on a mode: {ast.unparse(node.test)}"


WHOLE = frozenset({"resources", "environment", "desk", "store", "journal", "signals"})
WHOLE_TYPES = frozenset({"Resources", "Environment"})
"""What is complete once it is made: by the names that variables of it have, and by its types."""


def complete(module: Module) -> Iterator[str]:
    """Nothing is attached to resources, a store or a journal from outside: their constructors take what they need."""
    if not module.path.startswith("kalshi_cli/"):
        return
    names = WHOLE | {
        each.arg
        for function in module.nodes(ast.FunctionDef, ast.AsyncFunctionDef)
        for each in (*function.args.args, *function.args.kwonlyargs)
        if each.annotation is not None and ast.unparse(each.annotation) in WHOLE_TYPES
    }
    for node in module.nodes(ast.Attribute):
        if isinstance(node.ctx, ast.Store | ast.Del) and _last_name(node.value) in names:
            yield f"sets {ast.unparse(node)}"
    for call in module.nodes(ast.Call):
        if ast.unparse(call.func) in ("setattr", "delattr") and _last_name(call.args[0]) in names:
            yield f"sets an attribute: {ast.unparse(call)}"


def _last_name(node: ast.expr) -> str:
    """Return `store` for each of store, self.store and self._store."""
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    return name.lstrip("_")


def _claims(test: ast.expr) -> Iterator[ast.expr]:
    """What is asked for its truth: the parts of `a and not b`."""
    if isinstance(test, ast.BoolOp):
        for part in test.values:
            yield from _claims(part)
    elif isinstance(test, ast.UnaryOp):
        yield from _claims(test.operand)
    else:
        yield test


def streams(module: Module) -> Iterator[str]:
    """stdout and stderr are written in one place; the template is a file of the user."""
    if not module.path.startswith("kalshi_cli/") or module.path == "kalshi_cli/cli/screen/output.py":
        return
    if module.path.startswith("kalshi_cli/template/"):
        return
    for call in module.nodes(ast.Call):
        name = ast.unparse(call.func)
        if name in ("print", "pprint", "typer.echo", "typer.secho") or re.fullmatch(
            r"sys\.std(out|err)\.write\w*", name
        ):
            yield f"writes with {name}"


BROAD = {
    "kalshi_cli/base/errors.py": 1,  # the text of an error of a strategy, whose own code makes it
    "kalshi_cli/cli/main.py": 1,  # the one place that catches
    "kalshi_cli/core/engine/strategy_runner.py": 1,  # the guard around a strategy
    "kalshi_cli/strategies/registry.py": 1,  # the guard around the file of a strategy
    "kalshi_cli/strategies/own_code.py": 1,  # the guard around the constructor and the inputs of a strategy
    "kalshi_cli/simulator/serving/server.py": 3,  # an error of the server's thread is handed to whoever waits
    "kalshi_cli/notify/notifier.py": 1,  # a sink that fails must not stop trading
    "kalshi_cli/services/trading/wind_down.py": 1,  # a bug in the cancels must not hide what is live
    "kalshi_cli/net/dialing.py": 1,  # an error of the thread that looks a name up is raised in the caller's
    "kalshi_cli/exchange/endpoints/read_ahead.py": 1,  # an error of the reading thread is raised in the caller's
}
"""How many handlers of a file may catch everything."""


def broad_except(module: Module) -> Iterator[str]:
    """Nobody else catches everything, unless to clean up and raise again."""
    if not module.path.startswith("kalshi_cli/"):
        return
    broad = []
    for node in module.nodes(ast.ExceptHandler):
        kind = ast.unparse(node.type) if node.type else ""
        again = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
        if (not kind or re.search(r"\b(Base)?Exception\b", kind)) and not again:
            broad.append(f"catches {kind or 'everything'} (line {node.lineno})")
    yield from broad if len(broad) > BROAD.get(module.path, 0) else ()


COUNTS_MONEY = re.compile(
    r"kalshi_cli/(core/(market/(order_book|fees)|account/(ledger|order_index|pnl|reconciliation)|risk/(review|controls))"
    r"|sim/(accounts|matcher))\.py"
)


def no_floats(module: Module) -> Iterator[str]:
    """Where money is counted there is no float and no true division."""
    if not COUNTS_MONEY.fullmatch(module.path):
        return
    for node in module.nodes(ast.BinOp, ast.AugAssign, ast.Call, ast.Constant):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div):
            yield f"divides: {ast.unparse(node)}"
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "float":
            yield f"makes a float: {ast.unparse(node)}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield f"has the float {node.value}"


# -- size and words -----------------------------------------------------------------------------------------------

LONGEST_FILE, LONGEST_FUNCTION = 500, 70


def size(module: Module) -> Iterator[str]:
    if not module.path.startswith("kalshi_cli/"):
        return
    if (lines := module.text.count("\n")) > LONGEST_FILE:
        yield f"has {lines} lines; split it"
    for node in module.nodes(ast.FunctionDef, ast.AsyncFunctionDef):
        length = node.end_lineno - node.lineno + 1
        if length > LONGEST_FUNCTION:
            yield f"{node.name} has {length} lines; split it"


VAGUE = re.compile(r"(^|_|(?<=[a-z]))([Mm]anagers?|[Hh]andlers?|[Hh]elpers?|[Uu]tils?)(?=$|_|[A-Z0-9])")
VAGUE_SOMEWHERE = re.compile("manager|handler|helper|util", re.IGNORECASE)
"""Without one of these in its text a file need not be parsed."""

VAGUE_MODULES = frozenset({"data", "info", "process", "common", "misc"})


def names(module: Module) -> Iterator[str]:
    """Words that say nothing about what a thing is."""
    file = module.name.split(".")[-1]
    if module.path.startswith("kalshi_cli/") and (VAGUE.search(file) or file in VAGUE_MODULES):
        yield f"the file is called {file}"
    if not VAGUE_SOMEWHERE.search(module.text):
        return
    for node in module.nodes(ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef):
        if node.name.startswith("test_"):
            continue  # a sentence
        if VAGUE.search(node.name):
            yield f"{node.name} is called that"


UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|NotImplemented" + r"Error)\b")


def unfinished(module: Module) -> Iterator[str]:
    yield from (f"says {found.group()}" for found in UNFINISHED.finditer(module.text))


def no_mocks(module: Module) -> Iterator[str]:
    """A test does not replace our own code. Making a limit smaller (a name in capitals) is not that."""
    if not module.path.startswith("tests/") or not re.search("mock|setattr|delattr", module.text):
        return
    yield from (f"imports {name}" for name in module.imports if re.match(r"(unittest\.mock|mock|pytest_mock)\b", name))
    for node in module.nodes(ast.Call):
        called = node.func
        if not (isinstance(called, ast.Attribute) and called.attr in ("setattr", "delattr")):
            continue
        if not re.search(r"(monkeypatch|patcher)$", ast.unparse(called.value)):
            continue
        target, *rest = node.args
        if isinstance(target, ast.Constant):
            owner, _, attribute = str(target.value).rpartition(".")
        else:
            owner = module.dotted(target)
            attribute = rest[0].value if rest and isinstance(rest[0], ast.Constant) else ""  # type: ignore[assignment]
        parts = owner.split(".")
        is_ours = parts[0] == "kalshi_cli" and not any(part in ("time", "os", "sys", "socket") for part in parts)
        if is_ours and attribute and not str(attribute).isupper():
            yield f"replaces {owner}.{attribute}"


NAMED_ONCE = ("kalshi_cli/core/", "kalshi_cli/views/", "kalshi_cli/services/")


def named_twice(modules: list[Module]) -> list[str]:
    """One name, one meaning: no two public classes of these share one."""
    places: dict[str, list[str]] = {}
    for module in modules:
        if module.path.startswith(NAMED_ONCE):
            for node in module.tree.body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(module.path)
    return [f"{name}: {', '.join(found)}" for name, found in places.items() if len(found) > 1]


# -- the tests ----------------------------------------------------------------------------------------------------

DECODERS = ("Decoder", "decode", "convert")
WITHOUT_STRUCTS = {
    "Any", "Decimal", "None", "Raw", "bool", "bytes", "datetime", "dict", "float", "int", "list", "msgspec", "set",
    "str", "tuple",
}  # fmt: skip


def decoded_types(module: Module) -> Iterator[str]:
    """A type with structs is prepared before it is decoded: see base/struct_types.py."""
    if not module.path.startswith("kalshi_cli/") or module.path == "kalshi_cli/base/struct_types.py":
        return
    for call in module.nodes(ast.Call):
        name = ast.unparse(call.func)
        if not name.startswith("msgspec.") or name.rpartition(".")[2] not in DECODERS:
            continue
        kinds = [each.value for each in call.keywords if each.arg == "type"]
        kinds += call.args[0 if name.endswith("Decoder") else 1 :]
        for kind in kinds:
            text = ast.unparse(kind)
            if not text.startswith("prepared(") and not set(re.findall(r"\w+", text)) <= WITHOUT_STRUCTS:
                yield f"decodes {text} without prepared(...)"


RULES: dict[str, Rule] = {
    "layers": layers,
    "rooms": rooms,
    "clients": clients,
    "libraries": libraries,
    "pure core": pure_core,
    "ambient": ambient,
    "modes": modes,
    "mode names": mode_names,
    "complete": complete,
    "streams": streams,
    "broad except": broad_except,
    "no floats": no_floats,
    "decoded types": decoded_types,
    "size": size,
    "names": names,
    "unfinished": unfinished,
    "no mocks": no_mocks,
}


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    paths = sorted((*ROOT.glob("kalshi_cli/**/*.py"), *ROOT.glob("tests/**/*.py")))
    return [Module(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


def test_no_exception_of_a_command_is_stale(modules: list[Module], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file on a list of exceptions breaks its rule without it: a list that may only shrink does."""
    by_path = {module.path: module for module in modules}
    allowed = dict(MAY_ALSO_IMPORT)
    monkeypatch.setitem(globals(), "MAY_ALSO_IMPORT", {})
    assert [path for path in allowed if not list(layers(by_path[path]))] == []


def test_the_walk_sees_the_whole_tree(modules: list[Module]) -> None:
    found = {module.path for module in modules}
    assert {
        "kalshi_cli/base/units.py",
        "kalshi_cli/core/engine/strategy_runner.py",
        "kalshi_cli/simulator/exchange.py",
        "tests/test_architecture.py",
    } <= found
    assert len(found) > 60


@pytest.mark.parametrize("rule", RULES)
def test_every_file_keeps_the_rule(rule: str, modules: list[Module]) -> None:
    wrong = [f"{module.path}: {what}" for module in modules for what in RULES[rule](module)]
    assert wrong == []


def test_no_public_class_name_is_used_twice(modules: list[Module]) -> None:
    assert named_twice(modules) == []


def test_a_name_that_is_used_twice_is_caught() -> None:
    plan, other, private = "class Plan: pass", "kalshi_cli/services/trading/reports/run_summary.py", "class _Plan: pass"
    assert named_twice([Module("kalshi_cli/views/close.py", plan), Module(other, plan)]) != []
    assert named_twice([Module("kalshi_cli/services/orders/close.py", private), Module(other, private)]) == []
    assert named_twice([Module("kalshi_cli/simulator/model/listing.py", plan), Module(other, plan)]) == [], (
        "not a layer of the rule"
    )


CORE, CLI, STREAM = (
    "kalshi_cli/core/market/order_book.py",
    "kalshi_cli/cli/commands/markets.py",
    "kalshi_cli/exchange/stream/reader.py",
)
TEST = "tests/core/market/test_order_book.py"

CAUGHT = [
    ("layers", CORE, "from kalshi_cli.exchange import wire"),
    ("layers", CORE, "from kalshi_cli import exchange"),
    ("layers", CORE, "def f():\n    import kalshi_cli.store.sqlite_store as s"),
    ("layers", STREAM, "from kalshi_cli.feeds.recorder import Recorder"),
    ("layers", "kalshi_cli/feeds/replay.py", "from kalshi_cli.exchange.wire.values import read_market"),
    ("layers", "kalshi_cli/simulator/exchange.py", "from kalshi_cli.exchange.client import KalshiClient"),
    ("rooms", "kalshi_cli/core/account/pnl.py", "from kalshi_cli.core.risk.review import review"),
    ("rooms", "kalshi_cli/core/engine/engine.py", "from kalshi_cli.core.monitoring import notices"),
    ("rooms", "kalshi_cli/core/odd/pnl.py", ""),
    ("layers", "kalshi_cli/base/units.py", "from kalshi_cli.core.model.markets import Side"),
    ("layers", "kalshi_cli/strategies/fade.py", "from kalshi_cli.store.state_store import Store"),
    ("layers", "kalshi_cli/services/orders/place.py", "from kalshi_cli.app.environment import Environment"),
    ("layers", CLI, "def f():\n    from kalshi_cli.store.sqlite_store import Store"),
    ("layers", CLI, "from kalshi_cli.core.model.markets import Market"),
    ("layers", CLI, "def f():\n    from kalshi_cli.strategies import registry"),
    ("layers", "kalshi_cli/cli/commands/init.py", "from kalshi_cli.core.model.markets import Market"),
    ("clients", CLI, "found = kalshi.resources.client.markets()"),
    ("clients", CLI, "def f(desk):\n    ask(lambda: desk.public)"),
    ("layers", CORE, "from ...exchange import wire"),
    ("decoded types", CORE, "msgspec.json.decode(body, type=list[Fill])"),
    ("decoded types", CORE, "msgspec.convert(value, Fill)"),
    ("decoded types", CORE, "read = msgspec.json.Decoder(Fill).decode"),
    ("layers", "kalshi_cli/views/why.py", "from kalshi_cli.services.trading.reports.order_funnel import funnel"),
    ("layers", "kalshi_cli/views/halts.py", "from kalshi_cli.store.records import Halt"),
    ("layers", "kalshi_cli/store/records.py", "from kalshi_cli.views.halts import HaltView"),
    ("layers", "kalshi_cli/oddments.py", ""),
    ("libraries", CLI, "def f():\n    import httpx"),
    ("libraries", CLI, "from sqlite3 import connect"),
    ("libraries", "kalshi_cli/store/rows.py", "import sqlite3"),
    ("libraries", CLI, "import click"),
    ("libraries", CLI, "from websocket import create_connection"),
    ("pure core", CORE, "import threading"),
    ("pure core", CORE, "def f():\n    from time import sleep"),
    ("pure core", CORE, "open('x')"),
    ("ambient", STREAM, "import time\ntime.monotonic()"),
    ("ambient", STREAM, "from time import sleep as nap\nnap(1)"),
    ("ambient", STREAM, "import datetime as d\nd.datetime.now()"),
    ("ambient", STREAM, "from datetime import datetime\nf = datetime.utcnow"),
    ("ambient", STREAM, "import random\nrandom.choice([1])"),
    ("ambient", STREAM, "from random import Random\nRandom()"),
    ("ambient", STREAM, "import uuid\nuuid.uuid4()"),
    ("ambient", STREAM, "from secrets import token_hex\ntoken_hex()"),
    ("ambient", STREAM, "import os\nos.urandom(8)"),
    ("modes", CORE, "if mode == 'paper': pass"),
    ("modes", CLI, "x = 1 if env == 'prod' else 2"),
    ("modes", CORE, "while ready and not self.is_simulated: pass"),
    ("modes", CORE, "match mode:\n    case 'backtest': pass"),
    ("modes", "kalshi_cli/services/orders/place.py", "if dry_run: pass"),
    ("mode names", "kalshi_cli/services/trading/halts.py", "home = state_dir(config, 'paper')"),
    ("mode names", "kalshi_cli/services/resources.py", "fills = {'prod': 1}"),
    ("ambient", "kalshi_cli/services/resources.py", "from kalshi_cli.base.clock import SystemClock\nSystemClock()"),
    ("complete", "kalshi_cli/app/trading.py", "resources.journal = journal"),
    ("complete", "kalshi_cli/app/trading.py", "self._resources.store = store"),
    ("complete", "kalshi_cli/services/trading/halts.py", "def f(own: Resources): own.clock, own.rng = clock, rng"),
    (
        "complete",
        "kalshi_cli/services/trading/halts.py",
        "with open_store() as store:\n    store.on_record = journal.note",
    ),
    ("complete", "kalshi_cli/cli/commands/orders.py", "setattr(desk, 'clock', clock)"),
    ("streams", CORE, "print(1)"),
    ("streams", CLI, "import sys\nsys.stdout.write('x')"),
    ("broad except", CORE, "try: pass\nexcept Exception: pass"),
    ("broad except", CORE, "try: pass\nexcept: pass"),
    ("broad except", CORE, "try: pass\nexcept (ValueError, BaseException) as e: raise ValueError from e"),
    ("broad except", "kalshi_cli/cli/main.py", "try: pass\nexcept Exception: pass\nexcept: pass"),
    ("no floats", CORE, "a = 1 / 2"),
    ("no floats", CORE, "a /= 2"),
    ("no floats", CORE, "float('1')"),
    ("no floats", CORE, "a = 0.5"),
    ("size", CORE, "\n" * 501),
    ("size", CORE, "def f():\n" + "    pass\n" * 70),
    ("names", CORE, "class OrderManager: pass"),
    ("names", CORE, "def book_helper(): pass"),
    ("names", "kalshi_cli/core/utils.py", ""),
    ("names", "kalshi_cli/core/data.py", ""),
    ("unfinished", CORE, "# TO" + "DO: later"),
    ("unfinished", TEST, "raise NotImplemented" + "Error"),
    ("no mocks", TEST, "from unittest.mock import Mock"),
    ("no mocks", TEST, "import unittest.mock"),
    ("no mocks", TEST, "from kalshi_cli.core import book\nmonkeypatch.setattr(book, 'apply', None)"),
    ("no mocks", TEST, "monkeypatch.setattr('kalshi_cli.core.market.order_book.OrderBook', None)"),
    (
        "no mocks",
        TEST,
        "from kalshi_cli.core.market.order_book import OrderBook\nmonkeypatch.delattr(OrderBook, 'load')",
    ),
]

LET_PASS = [
    ("layers", "kalshi_cli/cli/commands/init.py", "from kalshi_cli.config import sources"),
    ("clients", CLI, "found = kalshi.markets.get(client_order_id)"),
    ("clients", "kalshi_cli/services/markets/service.py", "found = self._resources.client.markets()"),
    ("layers", "kalshi_cli/simulator/exchange.py", "from kalshi_cli.exchange.wire.values import read_order"),
    (
        "layers",
        CLI,
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from kalshi_cli.exchange.wire.values import X",
    ),
    ("layers", "kalshi_cli/app/environment.py", "from kalshi_cli.store.sqlite_store import Store"),
    ("libraries", "kalshi_cli/store/sqlite_store.py", "import sqlite3"),
    ("ambient", "kalshi_cli/base/clock.py", "import time\ntime.time()"),
    ("ambient", STREAM, "def f(clock, time):\n    clock.sleep(1)\n    time.time()"),
    ("ambient", STREAM, "import random\ndef f(r: random.Random): return random.Random(7)"),
    ("ambient", STREAM, "from datetime import datetime\ndatetime.fromtimestamp(0)"),
    ("modes", "kalshi_cli/app/trading.py", "if is_paper: pass"),
    ("modes", CORE, "if self.is_live: pass"),
    ("modes", "kalshi_cli/simulator/paper/venue.py", "if paper is None or paper.orders: pass"),
    ("modes", CLI, "if dry_run: pass"),
    ("mode names", "kalshi_cli/app/environment.py", "home = state_dir(config, 'paper')"),
    ("mode names", CLI, "flags = {'env': 'sim'}"),
    ("mode names", CORE, "text = 'trading on paper'"),
    ("ambient", CLI, "from kalshi_cli.base.clock import SystemClock\nSystemClock()"),
    (
        "complete",
        "kalshi_cli/services/resources.py",
        "class Resources:\n    def __init__(self, store): self.store = store",
    ),
    ("complete", "kalshi_cli/app/trading.py", "store = resources.store\nresources.store.record(alert)"),
    ("streams", "kalshi_cli/cli/screen/output.py", "import sys\nsys.stdout.write('x')"),
    ("broad except", CORE, "try: pass\nexcept BaseException:\n    close()\n    raise"),
    ("broad except", CORE, "try: pass\nexcept ValueError: pass"),
    ("broad except", "kalshi_cli/cli/main.py", "try: pass\nexcept Exception: pass"),
    ("no floats", CORE, "a = 7 // 2"),
    ("decoded types", CORE, "msgspec.json.decode(body, type=prepared(list[Fill]))\nmsgspec.json.decode(body)"),
    ("decoded types", CORE, "msgspec.convert(value, dict[str, Any], strict=False)"),
    ("no floats", "kalshi_cli/core/engine/tally.py", "a = 1 / 2"),
    ("size", CORE, "def f():\n" + "    pass\n" * 69),
    ("names", CORE, "def utility_of(): pass\nclass Handle: pass"),
    ("no mocks", TEST, "from kalshi_cli.exchange import rest\nmonkeypatch.setattr(rest, 'LONGEST_REPLY', 10)"),
    ("no mocks", TEST, "import os\nmonkeypatch.setattr(os, 'geteuid', None)\nmonkeypatch.setenv('A', 'b')"),
]


@pytest.mark.parametrize(("rule", "path", "text"), CAUGHT)
def test_the_rule_catches(rule: str, path: str, text: str) -> None:
    assert list(RULES[rule](Module(path, text))) != []


@pytest.mark.parametrize(("rule", "path", "text"), LET_PASS)
def test_the_rule_lets_pass(rule: str, path: str, text: str) -> None:
    assert list(RULES[rule](Module(path, text))) == []


def test_every_rule_has_a_companion_that_proves_it() -> None:
    assert {rule for rule, _, _ in CAUGHT} == set(RULES)
