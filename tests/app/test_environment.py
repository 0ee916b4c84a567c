"""The composition root: one account, put together from a configuration, on the simulated exchange."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.served import eventually

from kalshi_cli.app.backtests import run_backtests
from kalshi_cli.app.environment import Environment, opened
from kalshi_cli.app.trading import RecordRequest, RunModes, TradeRequest
from kalshi_cli.base.clock import Clock, SystemClock
from kalshi_cli.base.errors import (
    AnotherInstanceError,
    CredentialsError,
    HaltedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from kalshi_cli.base.units import Price, cents, contracts, dollars
from kalshi_cli.config.config import Config
from kalshi_cli.config.schema import RiskConfig, SimulatorConfig, TradeConfig
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.monitoring.check_report import Verdict
from kalshi_cli.services.account.portfolio import KEYS, account_pnl, account_portfolio
from kalshi_cli.services.account.recovery import reconcile
from kalshi_cli.services.markets import market_query
from kalshi_cli.services.monitoring.health import health_of, worst
from kalshi_cli.services.orders.cancel import CancelScope, find_order
from kalshi_cli.services.orders.cancel_all import cancel_everything
from kalshi_cli.services.orders.place import OrderTicket, open_order_entry
from kalshi_cli.services.resources import Resources
from kalshi_cli.services.trading.halts import TradingControl
from kalshi_cli.services.trading.reports.run_summary import RunPlan, RunSummary
from kalshi_cli.services.trading.reports.status import run_status, shown_account
from kalshi_cli.store.lock import lock
from kalshi_cli.store.records import Heartbeat
from kalshi_cli.store.sqlite_store import Store


class Desk:
    """Environments of one state directory, one after the other, as commands have them."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.said: list[str] = []

    def environment(self, machine: Clock | None = None, **changes: Any) -> Environment:
        return Environment(Config(**({"state": self.state} | changes)), self.said.append, machine=machine)

    @contextmanager
    def app(self, **changes: Any) -> Iterator[Resources]:
        with self.environment(**changes) as environment:
            yield environment.open()


@pytest.fixture
def desk(tmp_path: Path, begin: Callable[[Path], None]) -> Desk:
    begin(tmp_path / "state")
    return Desk(tmp_path / "state")


def busy_market(app: Resources) -> tuple[str, Price]:
    """A market that stays open for a while, and a price far from trading."""
    markets = [m for m in app.client.markets(status="open") if (m.yes_bid or 0) > 2_000 and m.yes_ask is not None]
    market = max(markets, key=lambda m: m.close_time)
    return market.ticker, cents(5)


def place(app: Resources, **changes: Any) -> Any:
    ticker, price = busy_market(app)
    fields: dict[str, Any] = {"ticker": ticker, "outcome": "yes", "action": "buy", "qty": contracts(2), "price": price}
    ticket = OrderTicket(**(fields | changes))
    orders = open_order_entry(app)
    return orders.send(*orders.propose(ticket))


def test_looking_creates_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path / "nowhere")
    with desk.app() as app:
        assert run_status(app).is_running is False
        assert app.remembered() is None
    assert not desk.state.exists()


def test_an_order_lives_from_one_command_to_the_next(desk: Desk) -> None:
    with desk.app() as app:
        order = place(app, client_order_id="mine")
    with desk.app() as app:
        found = find_order(app, "mine")
        assert (found.order_id, found.status) == (order.order_id, OrderStatus.RESTING)
        assert find_order(app, order.order_id).order_id == order.order_id
        outcome = cancel_everything(app, CancelScope())
        assert (outcome.canceled, outcome.remaining) == (1, 0)
    with desk.app() as app:
        assert find_order(app, "mine").status is OrderStatus.CANCELED
        assert reconcile(app) == ([], [])


def test_a_halt_lasts_until_somebody_resumes(desk: Desk) -> None:
    with desk.app() as app:
        assert TradingControl(app).halt("MANUAL", "test")
    with desk.app() as app, pytest.raises(RefusedError, match=r"halted since .* \(MANUAL\): test") as caught:
        place(app)
    assert caught.value.code == "HALTED"
    with desk.environment() as environment, pytest.raises(HaltedError):
        RunModes(environment).trade(TradeRequest(strategies=("spike",)), lambda _plan: None, lambda _summary: None)
    with desk.app() as app:
        before = TradingControl(app).resume("looked into it")
        assert (before.state, before.code) == (TradingState.HALTED, "MANUAL")
        assert run_status(app).halt.state is TradingState.ACTIVE
        assert place(app).status is OrderStatus.RESTING


def test_a_halt_holds_where_the_state_file_is_broken_and_goes_with_it_into_a_new_one(desk: Desk) -> None:
    path = desk.state / "sim" / "state.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("this is no database, and longer than a header of one hundred bytes has to be " * 3)
    with desk.app() as app:
        assert TradingControl(app).halt("MANUAL", "test")
    assert "The halt is saved next to the state file" in desk.said[0]
    path.unlink()
    with desk.app() as app:
        assert run_status(app).halt.code == "MANUAL", "also where there is no state file"
        with pytest.raises(RefusedError, match=r"halted since .* \(MANUAL\): test") as caught:
            place(app)
        assert caught.value.code == "HALTED"
    path.unlink()
    with desk.app() as app:
        assert TradingControl(app).resume("looked into it").code == "MANUAL"
        assert place(app).status is OrderStatus.RESTING


def test_read_only_refuses_writes(desk: Desk) -> None:
    with desk.app(read_only=True) as app, pytest.raises(RefusedError) as caught:
        open_order_entry(app)
    assert caught.value.code == "READ_ONLY"


def test_pnl_adds_up_by_every_key(desk: Desk) -> None:
    with desk.app(risk=RiskConfig(price_collar=None)) as app:
        ticker, _ = busy_market(app)
        ask = app.client.market(ticker).yes_ask
        assert ask is not None
        order = place(app, price=Price(9_900))
        assert order.filled == contracts(2)
        assert account_portfolio(app).drifting == []
        for key in KEYS:
            whole, parts = account_pnl(app, key, None)
            assert sum(part.net for part in parts.values()) == whole.net
            assert whole.fees == order.fees
        balance = app.client.balance()
        assert balance.cash == dollars(1_000) - order.fill_cost - order.fees


def test_the_account_is_healthy(desk: Desk) -> None:
    with desk.app() as app:
        findings = health_of(app)
    names = ["exchange", "clock", "key", "account", "limits", "stream", "state", "disk", "feeds", "sinks"]
    assert [finding.check for finding in findings] == names
    assert worst(findings) is Verdict.OK, findings


def test_without_a_key_every_check_says_so_and_none_raises(desk: Desk) -> None:
    config = Config(state=desk.state, env="demo")
    closed = msgspec.structs.replace(
        config,
        exchange=msgspec.structs.replace(config.exchange, rest_url="http://127.0.0.1:9", ws_url="ws://127.0.0.1:9"),
    )
    with opened(closed, desk.said.append) as app:
        findings = {finding.check: finding for finding in health_of(app)}
        assert findings["key"].verdict is Verdict.CRITICAL
        assert findings["exchange"].verdict is Verdict.UNKNOWN
        assert findings["clock"].detail == "not checked: the exchange does not respond", "it would wait once more"
        assert findings["clock"].verdict is Verdict.UNKNOWN
        assert worst(list(findings.values())) is Verdict.CRITICAL
        with pytest.raises(CredentialsError):
            _ = app.account


def test_a_second_loop_is_refused(desk: Desk) -> None:
    with (
        desk.environment() as environment,
        lock(desk.state / "sim" / "trade.lock", environment.clock),
        pytest.raises(AnotherInstanceError),
    ):
        RunModes(environment).trade(TradeRequest(strategies=("spike",)), lambda _plan: None, lambda _summary: None)


@pytest.mark.parametrize("fills", ["", "paper"])
def test_a_loop_runs_on_the_simulated_exchange_and_ends_by_its_duration(desk: Desk, fills: Any) -> None:
    banners: list[RunPlan] = []
    shown: list[RunSummary] = []
    trade = TradeConfig(status_every_s=0.5, stop_budget_s=5.0)
    request = TradeRequest(strategies=("spike",), fills=fills, interval_s=0.2, duration_s=1.2, params={"move": "1c"})
    with desk.environment(trade=trade) as environment:
        summary = RunModes(environment).trade(request, banners.append, shown.append)
    assert (summary.stopped_by, summary.live_orders, summary.env) == ("duration", 0, "sim")
    assert summary.cycles >= 2
    assert summary.mode == ("paper" if fills else "sim")
    assert banners[0].words.startswith("PAPER" if fills else "SIMULATED")
    with desk.app() as app:
        status = run_status(app)
        assert status.is_running is False
        assert (desk.state / ("sim-paper" if fills else "sim") / "state.db").exists()
        assert fills or (status.cycle is not None and status.cycle.cycles == summary.cycles)
        assert cancel_everything(app, CancelScope()).canceled == 0, "it left nothing behind"


def test_a_command_beside_a_loop_speaks_to_the_same_exchange(desk: Desk) -> None:
    """Two apps at once, both over sockets."""
    with desk.environment() as environment:
        first = environment.open()
        second_saw: list[Any] = []

        def look(_plan: RunPlan) -> None:
            def other() -> None:
                with desk.app() as second:
                    assert second.ws_url == first.ws_url
                    second_saw.append((second.client.balance().cash, place(second).status))

            thread = threading.Thread(target=other)
            thread.start()
            thread.join(60)

        RunModes(environment).trade(
            TradeRequest(strategies=("spike",), interval_s=0.2, duration_s=0.3), look, lambda _summary: None
        )
    assert second_saw == [(dollars(1_000), OrderStatus.RESTING)]


class Interrupted(SystemClock):
    """Time in which something happens while somebody waits for the third time."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self._act = act
        self.waits = 0

    def sleep(self, seconds: float) -> None:
        self.waits += 1
        if self.waits == 3:
            self._act()
        super().sleep(seconds)


def test_a_command_waits_for_a_server_that_is_starting(desk: Desk) -> None:
    with desk.environment() as starting, ExitStack() as served:
        exchange, world = served.enter_context(starting.simulator.open())
        server = starting.simulator.server(exchange, world)

        def serve() -> None:
            server.start()
            served.callback(server.stop)
            served.enter_context(starting.simulator.announce(server.rest_url, server.ws_url))

        clock = Interrupted(serve)
        with desk.environment(clock) as command:
            assert command.open().client.balance().cash == dollars(1_000)
        assert clock.waits >= 3, "it did wait"


def test_a_command_does_not_wait_for_ever_for_a_server_that_starts(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kalshi_cli.app.background.START_WITHIN_S", 0.1)
    with (
        desk.environment() as starting,
        desk.app() as command,
        starting.simulator.open(),
        pytest.raises(UnreachableError, match="does not respond") as told,
    ):
        command.client.balance()
    assert "kalshi sim stop" in told.value.hint


# -- which of account and paper a status is of ------------------------------------------------------------------------


def ran_on_paper(desk: Desk) -> None:
    (desk.state / "sim-paper").mkdir(parents=True, exist_ok=True)
    now = SystemClock().now()
    with Store.open(desk.state / "sim-paper" / "state.db", account="paper", environment="sim") as store:
        store.beat(
            Heartbeat(
                run_id="p", pid=1, mode="paper", strategy="spike", started=now, completed=now, cycles=1,
                is_running=False, cash=dollars(1_000),
            )
        )  # fmt: skip


def test_a_status_is_of_the_account_though_a_loop_on_paper_ran_last(desk: Desk) -> None:
    with desk.app() as app:
        place(app)
    ran_on_paper(desk)
    with desk.app() as app:
        status, store = shown_account(app)
        assert (status.mode, status.resting_orders, status.cycle) == ("sim", 1, None)
        assert status.preface == "Showing the account. The last run was on paper; use --paper to see it"
        assert store is not None
        assert len(store.orders()) == 1
        on_paper, store = shown_account(app, app.find_home(is_at_exchange=False))
        assert (on_paper.mode, on_paper.resting_orders, on_paper.preface) == ("paper", 0, "")
        assert store is not None
        assert store.orders() == ()


def test_where_only_paper_ever_ran_that_is_the_status_and_it_says_so(desk: Desk) -> None:
    with desk.app() as app:
        assert (run_status(app).mode, run_status(app).preface) == ("sim", "")
    ran_on_paper(desk)
    with desk.app() as app:
        assert app.store.orders() == (), "an empty state file, as a health-check leaves it"
        status = run_status(app)
        assert status.mode == "paper"
        assert status.preface.startswith("Showing paper trading, the only trading so far")


def test_while_the_only_loop_runs_on_paper_it_is_shown_with_what_the_account_is_in(desk: Desk) -> None:
    with desk.app() as app:
        place(app)
        assert TradingControl(app).halt("MANUAL", "test")
    ran_on_paper(desk)
    with desk.app() as app, lock(desk.state / "sim-paper" / "trade.lock", app.machine):
        status = run_status(app)
        assert (status.mode, status.halt.state) == ("paper", TradingState.ACTIVE), "the halt is of the account"
        assert "the only loop that is running" in status.preface
        assert "(MANUAL): test" in status.preface
        assert "1 order may be resting" in status.preface
        assert run_status(app, app.home).halt.code == TradingControl(app).now().code == "MANUAL"
        with lock(desk.state / "sim" / "trade.lock", app.machine):
            assert (run_status(app).mode, run_status(app).preface) == ("sim", "")


def test_a_recording_can_be_tested_against(desk: Desk, tmp_path: Path) -> None:
    from kalshi_cli.services.research.backtest import BacktestRequest

    path = tmp_path / "tape.jsonl"
    with desk.app() as app:
        ticker, _ = busy_market(app)
    with desk.environment() as environment:
        assert RunModes(environment).record(RecordRequest(tickers=(ticker,), path=path, duration_s=1.0)).lines > 3
    with desk.environment() as environment:
        request = BacktestRequest(strategies=("spike",), files=(path,))
        first, second = (run_backtests(environment, request) for _ in range(2))
        assert msgspec.structs.replace(first.summary) == second.summary
        assert first == second
        assert first.summary.mode == "backtest"


def test_a_recording_of_series_adds_markets_that_open_later(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tape.jsonl"
    monkeypatch.setattr(market_query, "MAX_MARKETS", 1)

    def open_more() -> None:  # after the start, however long it takes
        eventually(lambda: any(line.startswith("Recording 1 market") for line in desk.said))
        monkeypatch.setattr(market_query, "MAX_MARKETS", 50)

    monkeypatch.setattr("kalshi_cli.exchange.live.live_feed.DISCOVER_EVERY_S", 0.2)
    with desk.environment() as environment:
        request = RecordRequest(series="KXHIGHNY,KXETHD", path=path, duration_s=7.0)
        more = threading.Thread(target=open_more)
        more.start()
        recorded = RunModes(environment).record(request)
        more.join()
        with pytest.raises(NotFoundError, match="No market of KXNONE, KXNOWHERE is open"):
            RunModes(environment).record(msgspec.structs.replace(request, series="KXNONE,KXNOWHERE"))
    assert {ticker.partition("-")[0] for ticker in recorded.tickers} == {"KXHIGHNY", "KXETHD"}
    assert len(set(recorded.tickers)) == len(recorded.tickers)
    lines = path.read_text().splitlines()
    assert sum("watch_market" in line for line in lines[:5]) == 1, "it began with one market"
    for ticker in recorded.tickers:
        first = {
            kind: next(number for number, line in enumerate(lines) if kind in line and ticker in line)
            for kind in ("watch_market", "orderbook_snapshot")
        }
        assert first["watch_market"] < first["orderbook_snapshot"]


def test_a_reset_forgets_the_exchange_and_what_was_traded_there(desk: Desk) -> None:
    with desk.app(sim=SimulatorConfig(seed=3)) as app:
        place(app, client_order_id="mine")
    with desk.environment() as environment:
        with lock(desk.state / "sim" / "trade.lock", environment.clock), pytest.raises(AnotherInstanceError):
            environment.reset()
        environment.reset()
    with desk.app() as app:
        assert app.remembered() is None
        assert list(app.client.orders()) == []


def test_a_pause_reaches_what_trades_on_paper_too_and_so_does_its_end(desk: Desk) -> None:
    homes = [desk.state / "sim", desk.state / "sim-paper"]
    homes[1].mkdir(parents=True)
    with desk.app() as app:
        assert TradingControl(app).pause("lunch").reason == "lunch"
        assert [(home / ".pause").exists() for home in homes] == [True, True]
        assert run_status(app).halt.is_pause
        assert TradingControl(app).stop() == []
        assert TradingControl(app).resume("had lunch").is_pause
        assert [(home / ".pause").exists() for home in homes] == [False, False]
        assert not run_status(app).halt.is_pause
