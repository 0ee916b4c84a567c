"""What `kalshi strategies new` writes: a strategy that trades, and a test of it that passes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from support.places import ROOT
from support.served import program
from support.simulation import TICKER, Simulation
from support.tape import T0, StrategyHarness, submitted_orders
from support.trading import TradingLoop
from support.unreadable import unreadable_directory

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.core.model.effects import OrderRefused
from kalshi_cli.core.model.inputs import SpotInput
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.messages import SpotPrice
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.research.strategies import TEMPLATE, write_strategy
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy
from kalshi_cli.testing import market, refused_requests


def run_test(file: Path) -> subprocess.CompletedProcess[str]:
    # Without bytecode: a file of the same size, changed within its second, would be taken for the one before it.
    words = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", file.name]
    return subprocess.run(words, cwd=file.parent, capture_output=True, text=True, timeout=120, check=False)


def test_its_own_test_passes_as_it_is_and_fails_when_the_strategy_is_spoiled(tmp_path: Path) -> None:
    code, test = write_strategy("my-idea", tmp_path)
    ended = run_test(test)
    assert (ended.returncode, "4 passed" in ended.stdout) == (0, True), ended.stdout
    code.write_text(code.read_text().replace("ask > self.params.limit", "ask < self.params.limit"))
    assert run_test(test).returncode == 1


def test_its_own_test_also_runs_without_pytest_as_the_next_step_says(tmp_path: Path) -> None:
    code, test = write_strategy("my-idea", tmp_path)
    words = [sys.executable, "-B", test.name]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stdout.count(" passed\n")) == (0, 4), ended.stderr
    code.write_text(code.read_text().replace("ask > self.params.limit", "ask < self.params.limit"))
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, "AssertionError" in ended.stderr or "ValueError" in ended.stderr) == (1, True)


def test_it_trades_on_the_simulated_exchange(tmp_path: Path) -> None:
    code, _ = write_strategy("my-idea", tmp_path)
    sim = Simulation(tmp_path)
    sim.market(17, 19)
    loop = TradingLoop(sim, registry.make(str(code), {"size": "7"}), limits=RiskLimits())
    loop.ticks(5)
    assert (loop.engine.state.held(TICKER), loop.live) == (contracts(7), [])
    (order,) = sim.client.orders(status=None)
    assert (order.side, order.price, order.qty) == (BID, cents(19), contracts(7))
    sim.close()


def test_it_leaves_a_market_alone_that_is_dearer(tmp_path: Path) -> None:
    code, _ = write_strategy("my-idea", tmp_path)
    sim = Simulation(tmp_path)
    sim.market(19, 21)
    loop = TradingLoop(sim, registry.make(str(code), {}), limits=RiskLimits())
    loop.ticks(5)
    assert loop.engine.state.held(TICKER) == 0
    sim.close()


def test_the_command_says_what_it_wrote_and_what_is_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ended = program("strategies", "new", "my-idea", "--dir", "ideas", "--json")
    assert ended.code == 0, ended.err
    assert ended.json == {"name": "my-idea", "code": "ideas/my_idea.py", "test": "ideas/test_my_idea.py"}
    for step in (f"{sys.executable} ideas/test_my_idea.py", "--strategy ideas/my_idea.py", "trade --strategy"):
        assert step in ended.err
    shown = program("strategies", "ideas/my_idea.py", "--json").json
    assert (shown["name"], shown["hears"]) == ("my-idea", ["books"])
    assert [row["name"] for row in shown["rows"]][:3] == ["limit", "edge", "size"]


@pytest.mark.parametrize("there", ["my_idea.py", "test_my_idea.py"])
def test_nothing_is_overwritten(there: str, tmp_path: Path) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(UsageError, match="already exists"):
        write_strategy("my-idea", tmp_path)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(there, "mine")]


def test_not_through_a_link_that_leads_nowhere_either(tmp_path: Path) -> None:
    (tmp_path / "my_idea.py").symlink_to(tmp_path / "elsewhere.py")
    with pytest.raises(UsageError, match="already exists"):
        write_strategy("my-idea", tmp_path)


@pytest.mark.parametrize(
    "name",
    ["", "My", "a b", "9lives", "a--b", "-a", "a-", "../up", "a/b", "a.py", "ä", "x" * 300, "a_b"],
)
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Invalid strategy name"):
        write_strategy(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["spike", "new", "show", "place", "strategy", "fade-params", "class", "random", "msgspec"]
)
def test_a_name_that_means_something_else_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        write_strategy(name, tmp_path)
    assert caught.value.code == "bad_name"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["fade", "a", "x2", "buy-the-dip-3"])
def test_other_names_are_taken(name: str, tmp_path: Path) -> None:
    code, _ = write_strategy(name, tmp_path)
    assert registry.load(str(code)).name == name


def test_a_careless_umask_does_not_make_a_file_that_is_refused(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        code, _ = write_strategy("my-idea", tmp_path / "deep" / "er")
    finally:
        os.umask(before)
    assert registry.load(str(code)).name == "my-idea"


def test_the_page_of_strategies_shows_the_template() -> None:
    """`make reference` writes it again."""
    found = re.search(r"```python\n(.*?)```", (ROOT / "docs/write-a-strategy.md").read_text(), re.DOTALL)
    assert found is not None
    assert found[1] == (TEMPLATE / "fade.py").read_text()


def of_page(name: str, folder: Path, **given: object) -> Strategy:
    """Return a strategy that the page shows, by the name of its test."""
    text = (ROOT / "docs/write-a-strategy.md").read_text()
    found = re.search(rf"<!-- test: {name} -->\n```python\n(.*?)```", text, re.DOTALL)
    assert found is not None
    (folder / f"{name}.py").write_text(found[1])
    return registry.make(str(folder / f"{name}.py"), given)


def rebound(folder: Path, markets: Sequence[Market] = (), **given: object) -> StrategyHarness:
    """Return a harness with the strategy that the page shows for leaving a position."""
    return StrategyHarness(of_page("exit", folder, **given), markets=markets or [market()])


@pytest.mark.parametrize(
    ("spot", "late_s", "side"), [(80_100, 0, BID), (79_900, 0, ASK), (80_010, 0, None), (80_100, 6, None)]
)
def test_the_strategy_of_the_page_follows_the_spot_price(
    spot: int, late_s: int, side: Side | None, tmp_path: Path
) -> None:
    lead = of_page("spot", tmp_path)
    assert lead.inputs() == (SpotInput(symbol="BTC"),)
    played = StrategyHarness(lead, markets=[market(floor_strike=80_000.0)])
    played.book(48, 50)
    price = SpotPrice(Ts(played.now - late_s * 1000), "BTC", spot * 10_000, "coinbase", None)
    assert [order.side for order in submitted_orders(played.play(price))] == ([side] if side else [])


@pytest.mark.parametrize(
    ("changes", "later_s", "count"),
    [
        ({}, 0, 1),
        ({"status": MarketStatus.INITIALIZED}, 0, 0),
        ({"close_time": Ts(T0 + 60_000)}, 0, 0),
        ({}, 11, 0),  # the book is old
    ],
)
def test_the_strategy_of_the_page_requests_no_order_that_would_be_refused(
    changes: dict[str, Any], later_s: int, count: int, tmp_path: Path
) -> None:
    played = StrategyHarness(of_page("spot", tmp_path), markets=[market(floor_strike=80_000.0, **changes)])
    played.book(48, 50)
    price = SpotPrice(Ts(played.now + later_s * 1000), "BTC", 80_100 * 10_000, "coinbase", None)
    effects = played.play(price)
    assert (len(submitted_orders(effects)), [each for each in effects if isinstance(each, OrderRefused)]) == (count, [])


@pytest.mark.parametrize(("left_s", "count"), [(62, 1), (61, 0)])  # the book comes a second later
def test_the_strategy_of_the_page_buys_nothing_in_the_last_minute(left_s: int, count: int, tmp_path: Path) -> None:
    played = rebound(tmp_path, markets=[market(close_time=Ts(T0 + left_s * 1000))])
    assert len(submitted_orders(played.book(22, 24))) == count


@pytest.mark.parametrize(("bid", "ask", "reason"), [(30, 32, "gain"), (17, 19, "stop")])
def test_the_strategy_of_the_page_leaves_its_position(bid: int, ask: int, reason: str, tmp_path: Path) -> None:
    played = rebound(tmp_path)
    (entry,) = submitted_orders(played.book(22, 24))
    played.tick()
    assert (entry.side, played.position) == (BID, contracts(5))
    played.book(23, 25)
    assert submitted_orders(played.tick()) == []
    played.book(bid, ask)
    (order,) = submitted_orders(played.tick())
    played.tick()
    assert (order.side, order.reason, order.reduce_only, played.position) == (ASK, reason, True, 0)


@pytest.mark.parametrize(("bid", "ask", "reason"), [(60, 62, "gain"), (74, 76, "stop"), (71, 73, "")])
def test_the_strategy_of_the_page_leaves_a_position_of_no(bid: int, ask: int, reason: str, tmp_path: Path) -> None:
    """It sold YES at 70, so NO cost 30; it brings 38, 24 or 27."""
    played = StrategyHarness(of_page("exit-no", tmp_path))
    (entry,) = submitted_orders(played.book(70, 72))
    played.tick()
    assert (entry.side, played.position) == (ASK, -contracts(5))
    played.book(bid, ask)
    orders = submitted_orders(played.tick())
    played.tick()
    assert [(order.side, order.price, order.reason) for order in orders] == [(BID, cents(ask), reason)] * bool(reason)
    assert played.position == (0 if reason else -contracts(5))
    assert refused_requests(played.effects) == []


def test_the_strategy_of_the_page_needs_an_edge_after_the_fee(tmp_path: Path) -> None:
    assert submitted_orders(rebound(tmp_path, fair="27c").book(22, 24)) == []


def test_it_is_in_the_wheel() -> None:
    """The wheel is the package with all of its files."""
    built = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert built["packages"] == ["kalshi_cli"]
    assert {"exclude", "only-include"} & set(built) == set()
    assert TEMPLATE.relative_to(ROOT / "kalshi_cli") == Path("template")


def test_an_unreadable_working_directory_is_one_clear_line(tmp_path: Path) -> None:
    with unreadable_directory(tmp_path):
        with pytest.raises(UsageError, match=r"Cannot write fade\.py: Permission denied") as caught:
            write_strategy("fade", Path())
        with pytest.raises(UsageError, match="Unknown strategy: 'fade'"):
            registry.load("fade")
    assert "--dir" in caught.value.hint
