"""Whoever has no command line watches over an account through one service, and gets views."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.opened import resources_of
from support.served import served

from kalshi_cli.app.environment import opened
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.config.sources import load
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.monitoring.check_report import breach
from kalshi_cli.services.monitoring.check_notices import keep_sent
from kalshi_cli.services.monitoring.service import MonitoringService
from kalshi_cli.store.records import PAUSED, Halt


@pytest.fixture(scope="module")
def monitoring(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MonitoringService]:
    with served(tmp_path_factory.mktemp("monitoring")) as one, resources_of(one) as resources:
        yield MonitoringService(resources)


def test_a_check_returns_what_it_found(monitoring: MonitoringService) -> None:
    found = monitoring.check("balance", is_told=False)
    assert (found.check, found.status, found.exit_code, found.checks) == ("balance", "OK", 0, ())


def test_what_is_shown_of_a_check_is_what_it_returns(monitoring: MonitoringService) -> None:
    shown: list[str] = []
    found = monitoring.check("positions", is_told=False, show=lambda whole, _: shown.append(whole.summary))
    assert shown == [found.summary]


def test_a_silence_lasts_until_it_is_ended(monitoring: MonitoringService) -> None:
    made = monitoring.silence("FEED_DOWN", "*", 60.0, "router is replaced")
    assert [row.until for row in monitoring.alerts().silences] == [made.until]
    assert monitoring.unsilence("FEED_DOWN", "*")
    assert not monitoring.unsilence("FEED_DOWN", "*"), "there is none any more"
    for lasts in ("1h", float("nan"), None):
        with pytest.raises(UsageError, match="lasts_s must be a number"):
            monitoring.silence("FEED_DOWN", "*", lasts)  # type: ignore[arg-type]
    for lasts in (0, -60.0, 30 * 86_400 + 1):
        with pytest.raises(UsageError, match="A silence lasts at most 30d") as caught:
            monitoring.silence("FEED_DOWN", "*", lasts)
        assert caught.value.hint == "the duration must be more than zero and at most 30d"
    assert monitoring.alerts().silences == ()
    for act in (lambda: monitoring.silence("FEED_DOWM", "*", 60.0), lambda: monitoring.unsilence("FEED_DOWM", "*")):
        with pytest.raises(UsageError, match="Unknown alert code: FEED_DOWM"):
            act()


@pytest.mark.parametrize(
    ("reason", "codes", "names"),
    [
        ("alert DAILY_LOSS account", ["FEED_DOWN", "PAUSED"], ["FEED_DOWN", "daily-loss"]),
        ("alert DAILY_LOSS account", ["DAILY_LOSS", "PAUSED"], ["DAILY_LOSS"]),
        ("alert DAILY_LOSS account", ["FEED_DOWN"], ["FEED_DOWN"]),
        ("lunch", ["FEED_DOWN", "PAUSED"], ["FEED_DOWN", "PAUSED"]),
    ],
)
def test_during_a_pause_by_an_alert_the_runbook_is_that_of_the_alert(
    tmp_path: Path, reason: str, codes: list[str], names: list[str]
) -> None:
    with served(tmp_path) as one, resources_of(one) as resources:
        resources.store.set_halt(Halt(TradingState.HALTED, PAUSED, reason, resources.clock.now()))
        assert MonitoringService(resources).runbook_names(codes) == names


def test_without_channels_nothing_is_sent(monitoring: MonitoringService) -> None:
    assert monitoring.send_test_notices() == []
    with pytest.raises(UsageError):
        monitoring.send_test_notices("phone")


def test_a_channel_counts_what_it_received_while_the_state_file_could_not_be_written(tmp_path: Path) -> None:
    with served(tmp_path) as one:
        variables = {**one.variables(), "KALSHI_ALERTS__CHANNELS__PHONE__URL": "http://127.0.0.1:9/"}
        with opened(load(None, variables, {}), list[str]().append) as resources:
            for at, subject in ((Ts(70_000), "a"), (Ts(60_000), "b")):
                full = breach("critical", "DISK_SPACE", subject, "0.00 GB free", "1")
                keep_sent(resources.home, "check disk", full, at, ["phone"])
            (channel,) = MonitoringService(resources).alerts().sinks
            assert (channel.channel, channel.last_delivered) == ("phone", 70_000)


def test_execution_is_of_the_state_file_alone(monitoring: MonitoringService) -> None:
    assert monitoring.execution("market").orders == 0


def test_a_runbook_needs_no_account() -> None:
    assert MonitoringService.runbook("DAILY_LOSS") in MonitoringService.runbooks()
