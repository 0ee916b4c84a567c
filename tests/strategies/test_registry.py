"""Finding a strategy by name, path or entry point, and checking its parameters."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import py_compile
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Annotated

import msgspec
import pytest
from support.tape import TICKER, StrategyHarness, submitted_orders

from kalshi_cli.base.errors import ExitCode, UsageError
from kalshi_cli.base.units import Price, Qty, cents, contracts
from kalshi_cli.core.account.sizing import RESERVED, Sizing
from kalshi_cli.core.model.intents import Intent, Place
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.state.view import StrategyContext
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams, within
from kalshi_cli.strategies.config_section import section_problems
from kalshi_cli.strategies.spike import Spike


class FadeParams(StrategyParams, frozen=True):
    edge: Price = cents(2)
    size: Qty = contracts(5)
    fair: Price = cents(50)


class Fade(Strategy):
    """Buy when the ask is well below fair."""

    name, Params = "fade", FadeParams

    def on_book(self, view: StrategyContext, ticker: str) -> Iterator[Intent]:
        ask, fair = view.book(ticker).best_ask, self.params.fair
        if ask is not None and fair - ask >= self.params.edge and not view.orders(ticker):
            yield Place(ticker, BID, ask, self.params.size, fair=fair, reason="cheap against fair")


FADE = dedent('''
    """The strategy of the manual, in a file of its own."""

    from __future__ import annotations

    from dataclasses import dataclass

    from kalshi_cli.core.model.intents import Place
    from kalshi_cli.core.model.order_terms import BID
    from kalshi_cli.strategies.base import Strategy, StrategyParams
    from kalshi_cli.base.units import Price, Qty, cents, contracts


    class Params(StrategyParams):
        edge: Price = cents(2)
        size: Qty = contracts(5)


    @dataclass
    class Belief:
        fair: Price = cents(50)


    class Fade(Strategy):
        """Buy when the ask is well below fair."""

        name, Params = "fade", Params

        def on_book(self, view, ticker):
            ask, fair = view.book(ticker).best_ask, Belief().fair
            if ask is not None and fair - ask >= self.params.edge:
                yield Place(ticker, BID, ask, self.params.size, fair=fair, reason="cheap against fair")
''')


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "fade.py"
    path.write_text(FADE)
    path.chmod(0o644)
    yield path
    sys.modules.pop("kalshi_strategy_fade", None)


def refusal(spec: str, **given: object) -> UsageError:
    with pytest.raises(UsageError) as caught:
        registry.make(spec, given)
    assert caught.value.exit_code is ExitCode.USAGE
    return caught.value


def test_the_built_in_strategy_is_found_by_name() -> None:
    assert registry.load("spike") is Spike


@pytest.mark.parametrize("suffix", [":Fade", ""])
def test_a_file_is_loaded_and_trades(file: Path, suffix: str) -> None:
    strategy = registry.make(f"{file}{suffix}", {"edge": "5c", "size": "2.5"})
    played = StrategyHarness(strategy)
    (order,) = submitted_orders(played.book(40, 44))
    assert (order.side, order.price, order.qty) == (BID, cents(44), Qty(250))
    assert (order.fair, order.strategy, order.reason) == (cents(50), "fade", "cheap against fair")
    assert submitted_orders(played.book(43, 46)) == []


def test_the_strategy_of_the_manual_needs_no_more_than_is_written_there() -> None:
    played = StrategyHarness(Fade(registry.params_from(Fade, {"fair": "$0.60"})))
    (order,) = submitted_orders(played.book(40, 44))
    assert (order.ticker, order.price, order.fair) == (TICKER, cents(44), cents(60))


class ZeroParams(StrategyParams, frozen=True):
    """Parameters of which two may be zero."""

    skew: Annotated[Price, within(0, 500, "shift")] = cents(1)
    most: Annotated[Qty, within(0, 1_000, "contracts")] = contracts(1)
    limit: Qty | None = None
    edge: Annotated[Price, within(1, 500, "edge")] = cents(1)
    fair: Price = cents(50)


class Zero(Strategy):
    """A strategy with such parameters."""

    name = "zero"
    Params = ZeroParams


def test_a_price_or_a_count_may_be_zero_if_its_range_says_so() -> None:
    assert registry.params_from(Zero, {"skew": "0c", "most": "0"}) == ZeroParams(skew=Price(0), most=Qty(0))
    assert registry.params_from(Zero, {"skew": "0", "limit": "2.5"}) == ZeroParams(skew=Price(0), limit=Qty(250))
    assert registry.settings([Zero(ZeroParams(limit=Qty(250)))])["limit"] == "2.5"
    for name, problem in (("edge", "0c is outside 0.01c to 5c"), ("fair", "0c is out of range")):
        with pytest.raises(UsageError, match=problem):
            registry.params_from(Zero, {name: "0c"})


def test_hooks_that_are_not_overridden_do_nothing() -> None:
    class Idle(Strategy):
        name = "idle"

    played = StrategyHarness(Idle(StrategyParams()))
    played.book(40, 44)
    played.trade(44, 5, ASK)
    assert played.tick() == []


def test_an_entry_point_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "offered_strategy.py").write_text(FADE)
    made = tmp_path / "offered-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: offered\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text("[kalshi_cli.strategies]\noffered = offered_strategy:Fade\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert registry.load("offered").name == "fade"


def test_an_unknown_name_says_what_is_near() -> None:
    error = refusal("spyke")
    assert (error.code, "did you mean spike?" in error.message) == ("unknown_strategy", True)
    assert "did you mean" not in refusal("zzz").message


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("my-fade", "./my_fade.py"), ("my_fade", "./my_fade.py"), ("own/fade", "own/fade.py"), ("spkie", "spike")],
)
def test_a_file_beside_is_suggested_where_its_name_was_typed_without_the_end(
    typed: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("own").mkdir()
    for path in ("my_fade.py", "own/fade.py"):
        Path(path).write_text(FADE)
    assert refusal(typed).message == f"Unknown strategy: '{typed}'; did you mean {meant}?"


def test_a_file_that_raises_anything_while_loading_is_refused(file: Path) -> None:
    file.write_text("raise BaseException('no more')")
    assert "BaseException: no more" in refusal(f"{file}:Fade").message


def test_a_file_that_everybody_may_write_is_refused_unread(file: Path) -> None:
    file.write_text("raise SystemExit('it ran')")
    file.chmod(0o646)
    error = refusal(f"{file}:Fade")
    assert error.code == "unsafe_strategy"
    assert f"chmod go-w {file}" in error.hint


def test_a_link_is_judged_by_the_file_behind_it(file: Path, tmp_path: Path) -> None:
    file.chmod(0o666)
    link = tmp_path / "link.py"
    link.symlink_to(file)
    assert refusal(f"{link}:Fade").code == "unsafe_strategy"


@pytest.mark.parametrize("suffix", [":Fade", ""])
def test_a_file_is_known_by_its_path_and_its_content(file: Path, suffix: str) -> None:
    before = registry.fingerprint(f"{file}{suffix}")
    assert before == f"{file.resolve()} (sha256 {hashlib.sha256(file.read_bytes()).hexdigest()[:16]})"
    file.write_text(file.read_text() + "\n")
    assert registry.fingerprint(f"{file}{suffix}") != before
    assert registry.fingerprint("spike") == registry.fingerprint("some-entry-point") == ""


def planted_bytecode(file: Path, text: str) -> Path:
    """Leave bytecode of another text beside a file, as fresh as Python could wish."""
    source = file.read_bytes()
    file.write_text(text)
    stat = file.stat()
    by_time = py_compile.PycInvalidationMode.TIMESTAMP
    planted = Path(py_compile.compile(str(file), doraise=True, invalidation_mode=by_time) or "")
    with planted.open("r+b") as bytecode:
        bytecode.seek(12)
        bytecode.write(len(source).to_bytes(4, "little"))
    file.write_bytes(source)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    return planted


def test_the_source_runs_whose_hash_is_shown_and_no_bytecode_beside_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = planted_bytecode(file, FADE.replace('"fade"', '"planted"'))
    spec = importlib.util.spec_from_file_location("imported", file)
    assert spec is not None
    assert spec.loader is not None
    found = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "imported", found)
    spec.loader.exec_module(found)
    assert found.Fade.name == "planted", "an import would have run the planted bytecode"
    assert registry.load(f"{file}:Fade").name == "fade"
    planted.unlink()
    assert registry.load(str(file)).name == "fade"
    assert list(planted.parent.iterdir()) == [], "nor is bytecode written"


def test_the_hash_shown_is_that_of_what_was_loaded(file: Path) -> None:
    before = registry.describe(f"{file}:Fade").where
    file.write_text("# another text\n")
    assert registry.fingerprint(f"{file}:Fade") == before
    assert hashlib.sha256(FADE.encode()).hexdigest()[:16] in before


def test_a_strategy_file_has_a_largest_size(file: Path) -> None:
    file.write_text(FADE + "#" * (registry.MAX_SOURCE - len(FADE)))
    assert registry.load(str(file)).name == "fade"
    file.write_text(FADE + "#" * (registry.MAX_SOURCE - len(FADE) + 1))
    assert refusal(str(file)).code == "bad_strategy"


@pytest.mark.parametrize("name", ["Price", "Place", "contracts", "Strategy"])
def test_what_is_no_strategy_is_refused(file: Path, name: str) -> None:
    assert "is not a strategy" in refusal(f"{file}:{name}").message


def test_a_strategy_without_a_name_is_refused(file: Path) -> None:
    file.write_text(FADE.replace('name, Params = "fade", Params', "Params = Params"))
    assert "is not a strategy" in refusal(f"{file}:Fade").message


def test_a_name_that_the_file_does_not_hold_is_refused(file: Path) -> None:
    error = refusal(f"{file}:Nothing")
    assert (error.message, error.hint) == ("fade.py has no class Nothing", "it has Fade")


def test_a_misspelled_hook_is_refused_with_the_name_that_was_meant(file: Path) -> None:
    file.write_text(file.read_text() + "\n    def on_boook(self, view, ticker):\n        pass\n")
    error = refusal(str(file))
    assert error.message == "Strategy fade: on_boook is not a hook; did you mean on_book?"


def test_a_part_of_the_book_that_does_not_exist_is_refused(file: Path) -> None:
    file.write_text(file.read_text() + '\n    watches = "prices"\n')
    error = refusal(str(file))
    assert error.message == "Strategy fade: watches = 'prices' is not a part of an order book"
    assert error.hint == "choose one of price, top, depth"


@pytest.mark.parametrize(
    ("name", "meant"), [("on_orderbook", "; did you mean on_book?"), ("on_quote", ""), ("on_start", "")]
)
def test_a_method_that_looks_like_a_hook_and_is_called_by_nothing_is_refused(file: Path, name: str, meant: str) -> None:
    file.write_text(file.read_text() + f"\n    def {name}(self, view, ticker):\n        pass\n")
    error = refusal(str(file))
    assert error.message.startswith(f"Strategy fade: {name} is not a hook{meant}")
    assert error.hint is not None
    assert "the hooks are on_book, on_trade, on_fill, on_spot, on_fair, on_signal, on_tick" in error.hint


def test_a_method_that_the_strategy_calls_itself_may_have_any_name(file: Path) -> None:
    own = "    def on_start(self): ...\n\n    def on_tick(self, view):\n        [self.on_start() for _ in [1]]"
    file.write_text(f"{file.read_text()}\n{own}\n\n    def start(self):\n        pass\n")
    assert registry.load(str(file)).name == "fade"


def test_printing_while_a_file_is_loaded_goes_to_stderr(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    start = "    def __init__(self, params):\n        super().__init__(params)\n        print('start')\n"
    file.write_text(f"{file.read_text()}\n{start}\nprint('debug')\n")
    registry.make_all([str(file)], {}, {})
    assert capsys.readouterr() == ("", "debug\nstart\n")


def test_a_strategy_without_a_docstring_is_described_by_the_start_of_its_module(file: Path) -> None:
    class_doc = '"""Buy when the ask is well below fair."""'
    assert class_doc in FADE
    assert registry.describe(str(file)).about == "Buy when the ask is well below fair."
    file.write_text(FADE.replace(class_doc, "").replace("of its own.", "of its own.\n\nMore."))
    assert registry.describe(str(file)).about == "The strategy of the manual, in a file of its own."


def test_a_file_whose_runs_differ_is_named_with_its_calls(file: Path) -> None:
    registry.load(str(file))
    assert registry.warnings(str(file)) == registry.warnings("spike") == ()
    file.write_text(f"{file.read_text()}\nimport time\nSTART = time.time()\n")
    registry.load(f"{file}:Fade")
    assert registry.warnings(f"{file}:Fade") == (
        f"{file} calls time.time: the same recording gives another result each time. Use view.now for the time, and "
        "random.Random(7) of `random` for numbers",
    )


def test_a_file_that_reads_files_in_a_hook_is_named_with_its_calls(file: Path) -> None:
    hook = "    def on_tick(self, view):\n        return open('rows.csv').readlines() and None\n"
    file.write_text(f"{file.read_text()}\n{hook}")
    registry.load(str(file))
    assert registry.warnings(str(file)) == (
        f"{file} reads a file (open in on_tick): its rows may be of the future in a backtest. "
        "Request data inputs with inputs(), and read a table of parameters in __init__",
    )


def test_a_file_that_reads_the_network_in_a_hook_is_named_with_its_calls(file: Path) -> None:
    hook = "    def on_tick(self, view):\n        return urlopen('https://a.example') and None\n"
    file.write_text(f"{file.read_text()}\n{hook}\nfrom urllib.request import urlopen\n")
    registry.load(str(file))
    assert registry.warnings(str(file)) == (
        f"{file} reads the network (urllib.request.urlopen in on_tick): a backtest gets the answers of today, and a "
        "run waits for each. Request data inputs with inputs()",
    )


@pytest.mark.parametrize(
    ("text", "code"), [("1 / 0", "bad_strategy"), ("Fade = 1", "unknown_strategy"), ("", "bad_strategy")]
)
def test_an_entry_point_that_does_not_load_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, code: str
) -> None:
    name = f"broken_strategy_{len(text)}"
    (tmp_path / f"{name}.py").write_text(text)
    made = tmp_path / "broken-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text(f"[kalshi_cli.strategies]\nbroken = {name}:Fade\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert refusal("broken").code == code


def test_a_file_of_none_or_two_strategies_needs_a_name(file: Path) -> None:
    file.write_text("")
    assert "contains 0 strategies" in refusal(str(file)).message
    file.write_text(FADE + "\n\nclass Second(Fade):\n    name = 'second'\n")
    assert "contains 2 strategies" in refusal(str(file)).message


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    assert refusal(f"{tmp_path / 'nowhere.py'}:Fade").code == "unknown_strategy"


@pytest.mark.parametrize("text", ["def (", "import nothing_of_that_name", "1 / 0"])
def test_a_file_that_does_not_load_is_a_usage_error_that_says_why(file: Path, text: str) -> None:
    file.write_text(text)
    error = refusal(f"{file}:Fade")
    assert error.code == "bad_strategy"
    assert any(kind in error.message for kind in ("SyntaxError", "ModuleNotFoundError", "ZeroDivisionError"))
    assert "kalshi_strategy_fade" not in sys.modules


# -- parameters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("typed", ["3c", "0.03", "$0.03", 0.03])
def test_a_price_is_typed_as_dollars_or_cents(typed: object) -> None:
    strategy = registry.make("spike", {"move": typed, "window_s": "10", "size": 2})
    assert isinstance(strategy, Spike)
    assert (strategy.params.move, strategy.params.window_s, strategy.params.size) == (cents(3), 10.0, contracts(2))


def test_every_problem_is_told_at_once() -> None:
    error = refusal("spike", move="3", sise="5", hold_s="0", window_s="soon", size="-1", stop="0.95")
    for part in (
        "move: prices are in dollars; did you mean 0.03?",
        "sise: no such parameter; did you mean size?",
        "hold_s: 0 is outside 1 to 86400",
        "window_s: use a number from 1 to 3600, not soon",
        "size: the count must be greater than zero",
        "stop: 0.95 is outside 0.1c to 90c",
    ):
        assert part in error.message
    assert (error.code, "kalshi strategies spike" in error.hint) == ("bad_parameter", True)


def test_a_whole_number_is_asked_for_where_a_fraction_is_typed() -> None:
    class Levels(StrategyParams, frozen=True):
        levels: Annotated[int, within(1, 50, "levels")] = 3

    class Ladder(Strategy):
        name = "ladder"
        Params = Levels

    with pytest.raises(UsageError, match=r"levels: use a whole number from 1 to 50, not 2\.5"):
        registry.params_from(Ladder, {"levels": "2.5"})


def test_a_parameter_like_no_other_has_no_suggestion() -> None:
    assert refusal("spike", zzz="1").message == "Strategy spike: zzz: no such parameter"


def test_the_annotations_are_resolved_as_often_for_many_parameters_as_for_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time takes a millisecond, and every start makes its strategies."""
    asked: list[str] = []
    fields = msgspec.structs.fields
    monkeypatch.setattr(msgspec.structs, "fields", lambda kind: (asked.append(kind.__name__), fields(kind))[1])
    registry.make("spike", {})
    registry.make("market-maker", {})
    assert asked.count("MarketMakerParams") == asked.count("SpikeParams") == 2


@pytest.mark.parametrize("source", ["", " "])
@pytest.mark.parametrize("name", ["model-edge", "news"])
def test_a_data_input_needs_a_source_where_it_is_read(name: str, source: str) -> None:
    with pytest.raises(UsageError, match=f"Strategy {name}: source: required"):
        registry.require_sources([registry.make(name, {"source": source})])
    registry.require_sources([registry.make(name, {"source": "-"}), registry.make("market-maker", {})])


def test_a_parameter_without_a_default_must_be_given() -> None:
    class Needy(Strategy):
        name = "needy"

        class Params(StrategyParams, frozen=True):
            level: int

    with pytest.raises(UsageError, match="level: required"):
        registry.params_from(Needy, {})
    assert registry.parameters(Needy)[0].default == ""
    assert registry.params_from(Needy, {"level": "4"}) == Needy.Params(level=4)


@pytest.mark.parametrize("typed", ["yes", "on", "2", ""])
def test_a_switch_is_true_or_false(typed: str) -> None:
    class Switched(Strategy):
        name = "switched"

        class Params(StrategyParams, frozen=True):
            passive: bool = False

    for text, value in (("true", True), ("False", False), ("1", True), (True, True)):
        assert registry.params_from(Switched, {"passive": text}) == Switched.Params(passive=value)
    with pytest.raises(UsageError, match=f"passive: use true or false, not {typed}"):
        registry.params_from(Switched, {"passive": typed})


def test_parameters_are_listed_as_a_person_types_them() -> None:
    listed = {parameter.name: parameter for parameter in registry.parameters(Spike)}
    assert (listed["move"].default, listed["move"].minimum, listed["move"].maximum) == ("3c", "0.1c", "50c")
    assert (listed["size"].default, listed["hold_s"].default) == ("5", "120")
    assert all(parameter.help for parameter in listed.values())
    for name, parameter in listed.items():
        registry.params_from(Spike, {name: parameter.default})


# -- several ----------------------------------------------------------------------------------------------------------


def several(specs: list[str], configured: dict[str, dict[str, object]] | None = None, **given: str) -> list[Strategy]:
    return registry.make_all(specs, configured or {}, {name.replace("__", "."): value for name, value in given.items()})


def refused(specs: list[str], **given: str) -> UsageError:
    with pytest.raises(UsageError) as caught:
        several(specs, {}, **given)
    return caught.value


def test_several_are_asked_in_the_order_in_which_they_are_named(file: Path) -> None:
    assert [made.name for made in several([str(file), "spike"])] == ["fade", "spike"]
    assert [made.name for made in several(["spike", str(file)])] == ["spike", "fade"]


def test_the_settings_of_a_run_are_as_a_user_types_them() -> None:
    one = registry.make_all(["threshold"], {}, {"buy_below": "0.25", "size": "2"})
    assert registry.settings(one)["buy_below"] == "25c"
    assert (registry.settings(one)["size"], registry.settings(one)["fair"]) == ("2", "")
    assert registry.make("threshold", {k: v for k, v in registry.settings(one).items() if v}).params == one[0].params
    two = registry.make_all(["threshold", "spike"], {}, {"spike.size": "3"})
    assert registry.settings(two)["spike.size"] == "3"
    assert "size" not in registry.settings(two)


def test_the_settings_of_a_run_show_no_secret() -> None:
    secret = "https://hooks.slack.com/services/T00000000/B00000000/abcdefghijklmnopqrstuvwx"
    (made,) = registry.make_all(["model-edge"], {}, {"source": secret})
    assert "abcdefghijkl" not in registry.settings([made])["source"]


def test_a_parameter_goes_to_the_only_one_that_has_it(file: Path) -> None:
    fade, spike = several([str(file), "spike"], edge="4c", move="5c")
    assert (fade.params.edge, spike.params.move) == (cents(4), cents(5))


def test_a_parameter_of_several_must_say_whose_it_is(file: Path) -> None:
    error = refused([str(file), "spike"], size="2")
    assert error.message == "--param size: several strategies have it (fade, spike)"
    assert error.hint == "name the strategy: --param fade.size=2"
    fade, spike = several([str(file), "spike"], spike__size="2")
    assert (fade.params.size, spike.params.size) == (contracts(5), contracts(2))


def test_a_file_is_meant_by_its_name_or_by_its_path(file: Path) -> None:
    for whose in ("fade", str(file)):
        (fade,) = several([str(file)], {}, **{f"{whose}.edge": "7c"})
        assert fade.params.edge == cents(7)


def test_a_parameter_of_nobody_is_a_usage_error(file: Path) -> None:
    assert refused([str(file), "spike"], zzz="1").message == "--param zzz: no strategy has it (fade, spike)"
    assert refused(["spike"], fade__edge="1c").message == "--param fade.edge: fade is not running (spike)"
    assert "no such parameter" in refused(["spike"], zzz="1").message
    assert "no such parameter" in refused(["spike"], spike__zzz="1").message


def test_what_is_given_goes_before_what_is_configured(file: Path) -> None:
    configured: dict[str, dict[str, object]] = {"fade": {"edge": "3c", "size": "3"}, str(file): {"size": "4"}}
    (fade,) = several([str(file)], configured, edge="9c")
    assert (fade.params.edge, fade.params.size) == (cents(9), contracts(4))


def test_one_strategy_is_run_once_whatever_it_is_called(file: Path) -> None:
    error = refused(["spike", "spike"])
    assert (error.message, error.code) == ("Strategy spike is given twice", "strategy_twice")
    assert refused([f"{file}:Fade", str(file)]).message == f"Strategy fade is given twice: {file}:Fade, {file}"


def test_no_parameter_is_called_what_every_strategy_is_given(file: Path) -> None:
    file.write_text(FADE.replace("size: Qty", "budget: Qty").replace("params.size", "params.budget"))
    error = refusal(f"{file}:Fade")
    assert (error.message, error.code) == ("Strategy fade has a reserved parameter name: budget", "bad_strategy")


def test_what_every_strategy_is_given_is_listed_as_it_is_configured() -> None:
    sizing = Sizing()
    listed = {parameter.name: parameter.default for parameter in registry.ALLOTTED}
    assert listed == {
        "budget": "",
        "sizing.kind": sizing.kind,
        "sizing.fraction": f"{sizing.fraction:g}",
        "sizing.max_fraction": f"{sizing.max_fraction:g}",
    }
    assert {name.partition(".")[0] for name in listed} == set(RESERVED)


def test_a_name_in_the_configuration_that_is_nearly_a_strategy_of_the_run_is_noticed(file: Path) -> None:
    run = several(["spike"])
    assert registry.likely_misspelled(["spkie", "spike", "fade", "crypto-ta"], run) == [("spkie", "spike")]
    assert registry.likely_misspelled(["spike", str(file)], run) == []


def test_a_budget_that_nobody_would_hear_of_is_refused(file: Path) -> None:
    configured = {str(file): {"edge": "3c"}}
    with pytest.raises(UsageError, match=r"budget and sizing belong under strategies\.fade"):
        registry.make_all([str(file)], configured, {}, allotted=[str(file)])
    (fade,) = registry.make_all([str(file)], configured, {}, allotted=["fade", "spike"])
    assert fade.name == "fade"


# -- the section of the configuration -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "parameters", "problem"),
    [
        ("spkie", {"move": "4c"}, "strategies.spkie: no such strategy; did you mean spike?"),
        ("crypto_ta", {}, "strategies.crypto_ta: no such strategy; did you mean crypto-ta?"),
        ("spike", {"mvoe": "4c"}, "strategies.spike: mvoe: no such parameter; did you mean move?"),
        ("spike", {"move": "$4"}, "strategies.spike: move: $4 is out of "),
        (
            "threshold",
            {"buy_below": "90c"},
            "strategies.threshold: buy_below, fair and sell_above must be in rising order",
        ),
        ("./gone.py", {}, 'strategies."./gone.py": No strategy file'),
    ],
)
def test_what_a_run_would_refuse_or_leave_unheard_is_said_of_the_configuration(
    name: str, parameters: dict[str, object], problem: str
) -> None:
    problems, own = section_problems({name: parameters}, [name])
    assert [text[: len(problem)] for text in problems] == [problem]
    assert own == []


def test_a_section_that_runs_has_no_problems(file: Path) -> None:
    needs_a_source = {"edge": "2c"}
    section = {"spike": {"move": 0.04}, "model-edge": needs_a_source, str(file): {"edge": "3c"}, "fade": {}, "mine": {}}
    assert section_problems(section, ["spike", "fade"]) == ([], ["mine"])  # type: ignore[arg-type]


def test_without_running_code_only_the_built_in_strategies_are_checked(file: Path) -> None:
    section = {"spike": {"budgt": 20}, str(file): {"edgy": "3c"}, "fade": {}, "mine": {}}
    problems, own = section_problems(section, [str(file)], runs_code=False)  # type: ignore[arg-type]
    assert (problems, own) == (["strategies.spike: budgt: no such parameter"], [])
    assert not any(str(file) in str(getattr(module, "__file__", "")) for module in list(sys.modules.values()))


def test_a_budget_below_a_file_is_a_problem_of_the_section(file: Path) -> None:
    (problem,), _ = section_problems({}, [str(file)])
    assert problem.endswith("budget and sizing belong under strategies.fade")


@pytest.mark.parametrize(
    ("field", "problem"),
    [
        (
            "edge: Annotated[Price, within(cents(1), cents(10), '')] = cents(20)",
            "edge is 20c, but it must be at least 1c and at most 10c",
        ),
        ("size: Annotated[int, msgspec.Meta(ge=2)] = 1", "size is 1, but it must be at least 2\n"),
        ("size: int = 'many'", "size is many, but it must be of its type"),
    ],
)
def test_a_default_outside_its_own_range_is_refused_when_the_strategy_is_loaded(
    tmp_path: Path, field: str, problem: str
) -> None:
    code = tmp_path / "wide.py"
    code.write_text(
        "from typing import Annotated\nimport msgspec\nfrom kalshi_cli.strategies.api import *\n"
        "from kalshi_cli.strategies.base import within\n"
        f"class WideParams(StrategyParams, frozen=True):\n    {field}\n"
        "class Wide(Strategy):\n    name, Params = 'wide', WideParams\n    def on_tick(self, view): ...\n"
    )
    code.chmod(0o600)
    with pytest.raises(UsageError, match=problem) as caught:
        registry.load(f"{code}:Wide")
    assert caught.value.code == "bad_strategy"


def test_the_defaults_of_every_built_in_strategy_are_within_their_ranges() -> None:
    for name in registry.BUILT_IN:
        registry.check_defaults(registry.load(name))
