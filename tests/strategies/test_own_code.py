"""The code of a strategy file: calls whose results differ between two runs, and its output."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest

from kalshi_cli.base.errors import UsageError
from kalshi_cli.core.model.inputs import SpotInput
from kalshi_cli.services.research.strategies import describe_strategy
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams
from kalshi_cli.strategies.config_section import section_problems
from kalshi_cli.strategies.own_code import construct, file_reads, network_reads, stdout_to_stderr, unrepeatable_calls


@pytest.mark.parametrize(
    ("code", "calls"),
    [
        ("import random\nrandom.random()\nrandom.random()", ("random.random",)),
        ("from random import choice as c\nc([1])", ("random.choice",)),
        ("import time as t\nt.monotonic()", ("time.monotonic",)),
        ("from datetime import UTC, datetime\ndatetime.now(UTC)", ("datetime.datetime.now",)),
        ("import datetime\ndatetime.date.today()", ("datetime.date.today",)),
        ("from random import Random\nRandom()", ("random.Random",)),
        ("from random import Random\nRandom(7).random()", ()),
        ("import random\nrandom.seed(7)\nrandom.random()", ()),
        ("import random\nrandom.seed()\nrandom.random()", ("random.seed", "random.random")),
        ("import time\nfrom datetime import datetime\ntime.strftime('%H')\ndatetime.fromtimestamp(1)", ()),
        ("def time(): ...\ntime()\nview.time.time()", ()),
    ],
)
def test_calls_that_read_the_clock_or_unseeded_numbers_are_found(code: str, calls: tuple[str, ...]) -> None:
    assert unrepeatable_calls(code.encode()) == calls


def test_calls_that_read_a_file_in_a_hook_are_found() -> None:
    cases = {
        "open(self.path)": "open",
        "open('rows.csv', 'r+')": "open",
        "open('rows.log', 'a')": "",
        "open('rows.log', mode='wb')": "",
        "self.open(view)": "",
        "view.open(ticker)": "",
        "Path('rows.csv').open()": "pathlib.Path.open",
        "(FOLDER / 'rows.csv').read_text()": "Path.read_text",
        "self.path.read_bytes()": "Path.read_bytes",
        "pd.read_csv('rows.csv')": "pandas.read_csv",
        "scan_parquet('rows.parquet')": "polars.scan_parquet",
        "self.read_signal(view)": "",
        "sqlite3.connect('rows.db').execute('SELECT 1')": "sqlite3.connect",
        "gzip.open('rows.csv.gz')": "gzip.open",
        "np.load('rows.npy')": "numpy.load",
    }
    start = (
        "import gzip, sqlite3\nfrom pathlib import Path\nimport numpy as np, pandas as pd\n"
        "from polars import scan_parquet\n"
    )
    for call, name in cases.items():
        fixed = f"{call}\nclass Fade:\n    def __init__(self): {call}\n"
        assert file_reads(f"{start}{fixed}".encode()) == (), f"{call}: read once, before the first message"
        found = file_reads(f"{start}{fixed}    def on_book(self, view, ticker): {call}\n".encode())
        assert found == ((f"{name} in on_book",) if name else ()), call


def test_calls_that_read_the_network_in_a_hook_are_found() -> None:
    cases = {
        "requests.get('https://a.example')": "requests.get",
        "httpx.Client().get('https://a.example')": "httpx.Client.get",
        "urlopen('https://a.example')": "urllib.request.urlopen",
        "urllib.request.urlopen('https://a.example')": "urllib.request.urlopen",
        "http.client.HTTPSConnection('a.example')": "http.client.HTTPSConnection",
        "socket.create_connection(('a.example', 80))": "socket.create_connection",
        "socket.socket().connect(('a.example', 80))": "socket.socket.connect",
        "socket.gethostname()": "",
        "self.requests.get('a')": "",
        "view.get('a')": "",
    }
    start = "import http.client, httpx, requests, socket, urllib.request\nfrom urllib.request import urlopen\n"
    for call, name in cases.items():
        fixed = f"{call}\nclass Fade:\n    def __init__(self): {call}\n"
        assert network_reads(f"{start}{fixed}".encode()) == (), f"{call}: read once, before the first message"
        found = network_reads(f"{start}{fixed}    def on_book(self, view, ticker): {call}\n".encode())
        assert {each.removesuffix(" in on_book") for each in found} >= ({name} if name else set()), call
        assert bool(found) == bool(name), call


def test_print_goes_to_stderr_in_the_main_thread_and_elsewhere_stdout_is_left(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with stdout_to_stderr():
        print("hook")
    assert capsys.readouterr() == ("", "hook\n")
    found = []

    def other() -> None:
        before = sys.stdout
        with stdout_to_stderr():
            found.append(sys.stdout is before)

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert found == [True]


class TakesNothing(Strategy):
    name, Params = "fade", StrategyParams

    def __init__(self) -> None:
        super().__init__(StrategyParams())


class ForgetsParams(Strategy):
    name, Params = "fade", StrategyParams

    def __init__(self, params: StrategyParams) -> None:
        self.seen = params


class Exits(Strategy):
    name, Params = "fade", StrategyParams

    def __init__(self, params: StrategyParams) -> None:
        super().__init__(params)
        raise SystemExit(0)


class Quits(Exits):
    def __init__(self, params: StrategyParams) -> None:
        raise BaseException("quits")


class Refuses(Strategy):
    name, Params = "fade", StrategyParams

    def __init__(self, params: StrategyParams) -> None:
        super().__init__(params)
        raise UsageError("two sources", hint="give one", code="bad_parameter")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (TakesNothing, "TypeError: TakesNothing.__init__() takes 1 positional argument but 2 were given"),
        (ForgetsParams, "AttributeError: 'ForgetsParams' object has no attribute 'params'"),
        (Exits, "SystemExit: 0"),
        (Quits, "BaseException: quits"),
    ],
)
def test_a_strategy_that_cannot_be_created_is_a_usage_error_with_the_signature(
    kind: type[Strategy], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        construct(kind, StrategyParams())
    assert caught.value.message == f"Cannot create strategy fade: {message}"
    assert (caught.value.code, "super().__init__(params)" in caught.value.hint) == ("bad_strategy", True)


def test_a_refusal_of_a_strategy_keeps_its_own_words() -> None:
    with pytest.raises(UsageError, match="two sources") as caught:
        construct(Refuses, StrategyParams())
    assert caught.value.code == "bad_parameter"


def test_a_run_refuses_a_file_whose_strategy_cannot_be_created(tmp_path: Path) -> None:
    file = tmp_path / "fade.py"
    file.write_text(
        "from kalshi_cli.strategies.api import Strategy, StrategyParams\n"
        "class Fade(Strategy):\n    name, Params = 'fade', StrategyParams\n    def __init__(self): ...\n"
    )
    with pytest.raises(UsageError, match=r"Cannot create strategy fade: TypeError"):
        registry.make_all([str(file)], {}, {})


def lead(body: str) -> str:
    return (
        "from kalshi_cli.strategies.api import *\n\n\nclass Lead(Strategy):\n"
        "    name, Params = 'lead', StrategyParams\n\n"
        f"    def inputs(self):\n        {body}\n\n    def on_spot(self, view, spot):\n        return ()\n"
    )


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ('return ("BTC",)', "returned 'BTC', which is not a data input"),
        ('return SpotInput(symbol="BTC")', "returned SpotInput(symbol='BTC'), which is not a tuple of data inputs"),
        ('return "BTC"', "returned 'BTC', which is not a tuple of data inputs"),
        ("return (Input(),)", "returned Input(), which is not a data input"),
        ("pass", "returned None, which is not a tuple of data inputs"),
        ("return self.missing", "raised AttributeError: 'Lead' object has no attribute 'missing'"),
    ],
)
def test_wrong_data_inputs_are_refused_with_the_right_line(tmp_path: Path, body: str, problem: str) -> None:
    file = tmp_path / "lead.py"
    file.write_text(lead(body))
    for use in (
        lambda: registry.make(str(file), {}),
        lambda: registry.make_all([str(file)], {}, {}),
        lambda: describe_strategy(str(file)),
    ):
        with pytest.raises(UsageError) as caught:
            use()
        assert caught.value.message == f"Strategy lead: inputs() {problem}"
        assert 'return (SpotInput(symbol="BTC"),)' in caught.value.hint
        assert caught.value.code == "bad_strategy"
    problems, _ = section_problems({str(file): {}}, ())
    assert problems == [f'strategies."{file}": inputs() {problem}']
    file.write_text(lead('return [SpotInput(symbol="BTC")]'))
    assert registry.make(str(file), {}).inputs() == [SpotInput(symbol="BTC")]


@pytest.mark.parametrize(
    ("hook", "kind"), [("on_spot", "SpotInput"), ("on_fair", "FairInput"), ("on_signal", "SignalInput")]
)
def test_a_hook_of_outside_data_without_inputs_is_refused(tmp_path: Path, hook: str, kind: str) -> None:
    file = tmp_path / "lead.py"
    file.write_text(lead("return ()").replace("def inputs", "def others").replace("on_spot", hook))
    with pytest.raises(UsageError, match=f"{hook} is never called, because inputs\\(\\) requests no data") as caught:
        registry.load(str(file))
    assert f"return ({kind}(" in caught.value.hint


def test_a_strategy_that_cannot_be_created_with_its_defaults_is_still_described(tmp_path: Path) -> None:
    file = tmp_path / "lead.py"
    start = "    def __init__(self, params):\n        open('missing.csv')\n\n    def inputs"
    file.write_text(lead("return ()").replace("    def inputs", start))
    assert describe_strategy(str(file)).name == "lead"
