"""An account opened from Python: chosen as the command line chooses it, opened when used, closed at the end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.served import TWO_SIDED, Served, set_variables

from kalshi_cli import Kalshi
from kalshi_cli.base.errors import ConfigError, CredentialsError, NotFoundError, UsageError
from kalshi_cli.base.units import Price, Ts


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, tmp_path, {"KALSHI_STATE": str(tmp_path / "state"), "HOME": str(tmp_path)})


def test_what_is_given_wins_over_file_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("env: demo\nread_only: true\n")
    monkeypatch.setenv("KALSHI_ENV", "prod")
    with Kalshi.open(env="sim", config=file, state=tmp_path / "here") as kalshi:
        config = kalshi.orders._resources.config
    assert (config.env, config.read_only, config.state) == ("sim", True, tmp_path / "here")


def test_a_wrong_configuration_lists_its_problems(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("risk: {max_order_count: many}\n")
    with pytest.raises(ConfigError, match="max_order_count"):
        Kalshi.open(config=str(tmp_path / "mine.yaml"))
    with pytest.raises(ConfigError):
        Kalshi.open(env="production")


def test_opening_reads_no_key_and_writes_nothing(tmp_path: Path) -> None:
    with Kalshi.open(env="prod") as kalshi:
        assert repr(kalshi) == "<Kalshi: prod>"
        assert kalshi.trading.status().state == "active"
        assert kalshi.orders is kalshi.orders, "made once"
        with pytest.raises(CredentialsError):
            kalshi.orders.list()
    assert repr(kalshi) == "<Kalshi: prod, closed>"
    assert not (tmp_path / "state").exists()


def test_warnings_go_where_they_are_wanted(
    exchange: Served, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    with Kalshi.open(warn=said.append) as kalshi:
        kalshi._resources.tell("odd")
    with Kalshi.open() as kalshi, caplog.at_level(logging.INFO, "kalshi_cli"):
        kalshi._resources.tell("odder")
        kalshi._resources.note("quiet")
    assert said == ["odd"]
    assert [(each.levelname, each.message) for each in caplog.records] == [("WARNING", "odder"), ("INFO", "quiet")]


def test_a_wrong_value_of_a_read_or_a_lock_is_a_usage_error(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_variables(monkeypatch, tmp_path, exchange.variables())
    with Kalshi.open() as kalshi:
        account, markets, text = kalshi.account, kalshi.markets, "24h"
        wrong: list[Callable[[], object]] = [
            lambda: kalshi.monitoring.check("balanc"),
            lambda: kalshi.monitoring.execution(since=text),  # type: ignore[arg-type]
            lambda: markets.candles(TWO_SIDED, interval="5m"),
            lambda: markets.candles(TWO_SIDED, since=text),  # type: ignore[arg-type]
            lambda: markets.trades(TWO_SIDED, since=text),  # type: ignore[arg-type]
            lambda: account.fills(since=text),  # type: ignore[arg-type]
            lambda: account.pnl(since=text),  # type: ignore[arg-type]
            lambda: account.equity_curve(since=text),  # type: ignore[arg-type]
            lambda: list(account.settlements(since=text)),  # type: ignore[arg-type]
            lambda: kalshi.paper.fills(since=text),  # type: ignore[arg-type]
            lambda: kalshi.paper.pnl(since=text),  # type: ignore[arg-type]
            lambda: kalshi.paper.pnl(until=text),  # type: ignore[arg-type]
            lambda: kalshi.paper.equity_curve(since=text),  # type: ignore[arg-type]
            lambda: kalshi.research.data_export("trades", "x.csv", since=text),  # type: ignore[arg-type]
            lambda: kalshi.trading.plan_lock(TWO_SIDED, "3h"),  # type: ignore[arg-type]
            lambda: kalshi.trading.plan_lock(None, 60.0),  # type: ignore[arg-type]
            lambda: kalshi.monitoring.price_alerts().add(TWO_SIDED, above="60c"),  # type: ignore[arg-type]
            lambda: kalshi.monitoring.price_alerts().add(TWO_SIDED, below=0.6),  # type: ignore[arg-type]
            lambda: kalshi.monitoring.price_alerts().add(None, above=Price(6000)),  # type: ignore[arg-type]
            lambda: kalshi.monitoring.price_alerts().add(TWO_SIDED, above=Price(6000), side="YES"),  # type: ignore[arg-type]
            lambda: kalshi.trading.plan_resume(None),  # type: ignore[arg-type]
            lambda: kalshi.trading.plan_pause(None),  # type: ignore[arg-type]
            lambda: kalshi.trading.events(TWO_SIDED),
            lambda: kalshi.trading.best_prices(TWO_SIDED),
            lambda: markets.order_books(TWO_SIDED),
            lambda: markets.no_order_books(TWO_SIDED),
            lambda: markets.candles_of_markets(TWO_SIDED),
            lambda: markets.add_to_watchlist("mine", TWO_SIDED),
            lambda: markets.remove_from_watchlist("mine", TWO_SIDED),
            lambda: markets.plan_watchlist_addition("mine", TWO_SIDED),
            lambda: markets.plan_watchlist_removal("mine", TWO_SIDED),
        ]
        for call in wrong:
            with pytest.raises(UsageError, match="must be"):
                call()
        with pytest.raises(NotFoundError):
            kalshi.trading.plan_lock("NOPE", 60.0)


@pytest.mark.parametrize("name", ["fills", "fill_export", "tax_lots", "pnl", "equity_curve"])
def test_a_period_that_ends_before_it_begins_is_no_empty_list(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    set_variables(monkeypatch, tmp_path, exchange.variables())
    with Kalshi.open() as kalshi, pytest.raises(UsageError, match="is not before"):
        getattr(kalshi.account, name)(since=kalshi.now, until=Ts(kalshi.now - 1))


def test_another_thread_monitors_and_keeps_watchlists_and_executes_no_plan(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    set_variables(monkeypatch, tmp_path, exchange.variables())
    with Kalshi.open() as kalshi, ThreadPoolExecutor(1) as other:
        monitoring, markets = kalshi.monitoring, kalshi.markets
        made = other.submit(monitoring.silence, "FEED_DOWN", "*", 60).result()
        assert [row.until for row in monitoring.alerts().silences] == [made.until]
        alerts = monitoring.price_alerts()
        alert = other.submit(alerts.add, TWO_SIDED, above=Price(9900)).result()
        assert alerts.list() == [alert]
        assert other.submit(monitoring.check, "balance").result().status == "OK"
        assert other.submit(markets.add_to_watchlist, "mine", [TWO_SIDED]).result() in markets.watchlists()
        assert other.submit(markets.remove_from_watchlist, "mine").result() is None
        pause = other.submit(kalshi.trading.plan_pause, "x").result()
        with pytest.raises(UsageError, match="opened by another thread"):
            other.submit(kalshi.trading.execute, pause).result()
        assert kalshi.trading.halt().state == "active"
