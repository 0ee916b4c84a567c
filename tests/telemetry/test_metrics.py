"""What Prometheus reads, over a real socket; and that the dashboard and the rules ask for nothing else."""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from support.places import ROOT
from support.served import eventually

from kalshi_cli.base.units import Money, Qty, Ts
from kalshi_cli.config.schema import TIERS
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.monitoring.runbook_index import REMEDIES, runbook_for
from kalshi_cli.telemetry.metrics import Metrics, MetricsEndpoint, MetricsServer, MetricsSnapshot

SCRIPTS = ROOT / "scripts"
RUNBOOK = SCRIPTS.parent / "runbooks/execution.md"
RULES = SCRIPTS / "prometheus/kalshi.rules.yml"
DASHBOARD = SCRIPTS / "grafana/kalshi.json"


def reading(**changes: Any) -> MetricsSnapshot:
    fields: dict[str, Any] = {
        "completed": Ts(1_780_000_000_500), "cycles": 7, "state": TradingState.REDUCING, "is_blind": False,
        "balance": Money(1_234_560_000), "day_net": Money(-1_500_000), "win_rate": 0.25, "open_positions": 3,
        "run_net": Money(-2_500_000), "largest_position": Qty(1_250), "exposure": Money(40_000_000),
        "live_orders": 5, "unknown_orders": 1, "feed_age_s": 0.5, "feed_lag_s": 0.03,
    }  # fmt: skip
    return MetricsSnapshot(**(fields | changes))


def used(metrics: Metrics) -> Metrics:
    """Every counter counted once."""
    metrics.read(reading())
    metrics.traded("spike", is_first=True, kept=Money(100_000), qty=Qty(1_000))
    metrics.traded("spike", is_first=False, kept=Money(-300_000), qty=Qty(1_000))
    metrics.traded("", is_first=True, kept=None, qty=Qty(100))
    metrics.feed_messages.inc()
    metrics.feed_gaps.inc()
    metrics.orders.labels("submitted").inc()
    metrics.denied.labels("MIN_EDGE").inc()
    metrics.alerts.labels("critical").inc()
    metrics.placement_seconds.observe(0.2)
    metrics.answered("POST", "/portfolio/events/orders", 201, 0.02)
    return metrics


@pytest.fixture
def served() -> Iterator[tuple[Metrics, MetricsServer]]:
    metrics = Metrics(env="sim", mode="paper")
    server = MetricsServer(metrics.registry, 0)
    yield metrics, server
    server.stop()


def ask(port: int, path: str = "/metrics", host: str | None = None) -> tuple[int, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path, headers={"Host": host} if host is not None else {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def samples(text: str) -> dict[str, float]:
    """name{labels} -> value."""
    return {
        sample.name + "".join(f"{{{key}={value}}}" for key, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_scrape_has_the_run_as_of_its_latest_cycle(served: tuple[Metrics, MetricsServer]) -> None:
    metrics, server = served
    used(metrics)
    status, text = ask(server.port)
    found = samples(text)
    assert status == 200
    assert {
        "trading_balance_usd": 1234.56, "trading_daily_pnl_usd": -1.5, "trading_win_rate": 0.25,
        "trading_open_positions": 3, "trading_live_orders": 5, "trading_unknown_orders": 1, "trading_blind": 0,
        "trading_trades_total{strategy=spike}": 2, "trading_trades_total{strategy=manual}": 1,
        "trading_orders_filled_total{strategy=spike}": 1,
        "trading_expected_pnl_usd{strategy=spike}": pytest.approx(-0.2),
        "trading_slippage_cents_bucket{le=-1.0}": 1, "trading_slippage_cents_bucket{le=2.0}": 1,
        "trading_slippage_cents_bucket{le=5.0}": 2, "trading_run_pnl_usd": -2.5,
        "trading_largest_position_contracts": 12.5, "trading_exposure_usd": 40, "trading_feed_messages_total": 1,
        "trading_state{state=reducing}": 1, "trading_state{state=active}": 0,
        "trading_orders_total{status=submitted}": 1, "trading_denied_total{code=MIN_EDGE}": 1,
        "trading_alerts_total{tier=critical}": 1, "trading_last_cycle_timestamp_seconds": 1_780_000_000.5,
        "trading_api_requests_total{route=POST /portfolio}{status=201}": 1, "trading_run{env=sim}{mode=paper}": 1,
        "trading_placement_seconds_count": 1, "trading_message_age_seconds_sum": 0.03,
        "trading_api_request_seconds_count{route=POST /portfolio}": 1,
    }.items() <= found.items()  # fmt: skip


def test_every_tier_status_and_failure_is_there_from_zero_so_that_the_first_is_an_increase() -> None:
    def counted(name: str, **labels: str) -> float | None:
        return metrics.registry.get_sample_value(name, labels)

    metrics = Metrics(env="sim", strategy="spike,news")
    for strategy in ("spike", "news", "manual"):
        assert counted("trading_trades_total", strategy=strategy) == 0
    for tier in TIERS:
        assert counted("trading_alerts_total", tier=tier) == 0
    for status in ("submitted", "acknowledged", "unknown", "rejected", "filled", "canceled", "expired"):
        assert counted("trading_orders_total", status=status) == 0
    metrics.answered("GET", "/portfolio/balance", 200, 0.01)
    for failure in ("0", "401", "403", "429", "503"):
        assert counted("trading_api_requests_total", route="GET /portfolio", status=failure) == 0
    assert counted("trading_api_requests_total", route="GET /portfolio", status="200") == 1


def test_what_is_not_known_is_not_there_and_never_zero(served: tuple[Metrics, MetricsServer]) -> None:
    metrics, server = served
    unknown = {"trading_balance_usd", "trading_win_rate", "trading_feed_age_seconds"}
    assert not unknown & samples(ask(server.port)[1]).keys(), "before the first cycle"
    assert "trading_daily_pnl_usd" not in samples(ask(server.port)[1])
    metrics.read(reading(balance=None, win_rate=None, feed_age_s=None, feed_lag_s=None))
    found = samples(ask(server.port)[1])
    assert not unknown & found.keys()
    assert found["trading_message_age_seconds_count"] == 0
    assert found["trading_daily_pnl_usd"] == -1.5


@pytest.mark.parametrize(("host", "status"), [
    ("evil.example", 403), ("evil.example:9090", 403), ("127.0.0.1.evil.example", 403), ("", 403),
    ("localhost:9090", 200), ("127.0.0.1", 200),
])  # fmt: skip
def test_only_a_name_of_this_machine_is_answered(served: tuple[Metrics, MetricsServer], host: str, status: int) -> None:
    assert ask(served[1].port, host=host)[0] == status


def test_there_is_one_page(served: tuple[Metrics, MetricsServer]) -> None:
    assert ask(served[1].port, "/")[0] == 404


def test_it_listens_on_this_machine_only_and_a_port_in_use_is_an_error(served: tuple[Metrics, MetricsServer]) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", served[1].port))
    with pytest.raises(OSError, match="in use"):
        MetricsServer(Metrics().registry, served[1].port)


def test_a_port_that_another_program_has_is_tried_until_it_is_free() -> None:
    said: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        endpoint = MetricsEndpoint(Metrics(env="sim").registry, port, said.append, lambda: said.append("free"), 0.02)
        assert (endpoint.port, said) == (None, ["Address already in use"])
        time.sleep(0.1)
        assert said == ["Address already in use"], "it warns once"
    eventually(lambda: said == ["Address already in use", "free"])
    assert ask(port)[0] == 200
    endpoint.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(port)


def test_a_run_that_ends_no_longer_waits_for_its_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoint = MetricsEndpoint(Metrics().registry, taken.getsockname()[1], lambda _: None, lambda: None, 60)
        began = time.monotonic()
        endpoint.stop()
        assert time.monotonic() - began < 10


def test_whoever_drips_bytes_holds_up_neither_another_nor_the_end() -> None:
    server = MetricsServer(Metrics(env="sim").registry, 0)
    is_over = threading.Event()
    with socket.create_connection(("127.0.0.1", server.port)) as slow:
        slow.sendall(b"GET /")

        def drip() -> None:
            with suppress(OSError):
                while not is_over.wait(0.1):
                    slow.sendall(b"a")

        dripping, stopping = threading.Thread(target=drip), threading.Thread(target=server.stop, daemon=True)
        dripping.start()
        stopping.start()
        stopping.join(20)
        is_over.set()
        dripping.join()
    assert not stopping.is_alive()


def test_whoever_says_nothing_or_nonsense_stops_no_other(
    served: tuple[Metrics, MetricsServer], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_connection(("127.0.0.1", served[1].port)) as nonsense:
        nonsense.sendall(b"\x00\x01\r\n\r\n")
        with socket.create_connection(("127.0.0.1", served[1].port)):
            assert ask(served[1].port)[0] == 200
    assert capsys.readouterr().err == ""


# -- the dashboard and the rules --------------------------------------------------------------------------------------


def names(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:trading|process)_\w+", expression))


def known() -> set[str]:
    """Every name that the program has."""
    metrics = used(Metrics(env="sim"))
    return {sample.name for family in metrics.registry.collect() for sample in family.samples}


def rules() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    return found


def test_orders_that_are_refused_send_everybody_to_one_command() -> None:
    """A check finds it and a rule does: who is called must not be told to look in two places."""
    (found,) = [rule["annotations"] for rule in rules() if rule["alert"] == "KalshiOrdersRejected"]
    remedy = runbook_for("REJECT_RATE")
    assert (found["command"], found["runbook"]) == (remedy.command, remedy.runbook)
    step = next(line for line in RUNBOOK.read_text().splitlines() if "**Rejections**" in line)
    assert f"**Rejections**: `{remedy.command}`" in step


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]] + [rule["expr"] for rule in rules()]


@pytest.mark.parametrize("expression", expressions())
def test_every_metric_that_is_asked_for_exists(expression: str) -> None:
    assert names(expression)
    assert names(expression) <= known()


def test_a_metric_that_does_not_exist_is_noticed() -> None:
    assert names("rate(trading_wishes_total[5m])") - known() == {"trading_wishes_total"}


def test_every_rule_names_a_runbook_a_command_and_what_to_do_with_it() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in ("page", "notify")
        assert (SCRIPTS.parent / "runbooks" / f"{rule['annotations']['runbook']}.md").exists(), rule["alert"]
        assert rule["annotations"]["command"].startswith("kalshi ")
    assert len({rule["alert"] for rule in rules()}) == len(rules())
    assert "api-guard" in {remedy.runbook for remedy in REMEDIES.values()}


def test_failures_of_the_api_are_judged_in_two_windows_each() -> None:
    windows = {rule["alert"]: re.findall(r"\[(\w+)\]", rule["expr"]) for rule in rules()}
    assert windows["KalshiApiFails"] == ["2m", "2m", "10m", "10m"]
    assert windows["KalshiApiFailsAtTimes"] == ["15m", "15m", "1h", "1h"]


def test_panels_have_names_places_and_ids_of_their_own() -> None:
    board = json.loads(DASHBOARD.read_text())
    spots = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len({panel["id"] for panel in board["panels"]}) == len(spots) == len(set(spots))
    assert all(panel["title"] for panel in board["panels"])
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in board["panels"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed here")
def test_prometheus_itself_takes_rules_and_dashboard_and_the_rules_speak_when_they_should(tmp_path: Path) -> None:
    records = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(expressions())]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": records}]}))
    for words in (["check", "rules", RULES, tmp_path / "panels.yml"], ["test", "rules", "kalshi.rules.test.yml"]):
        done = subprocess.run(["promtool", *words], cwd=RULES.parent, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
