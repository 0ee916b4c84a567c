"""A daily loss with a real loop and a real webhook: only a resume that lasts closes its incident."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from subprocess import Popen

import pytest
from support.receivers import Receiver, receiving
from support.served import KEY_ID, ME, TWO_SIDED, Served, eventually, program, said, start

from kalshi_cli.base.units import dollars
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.services.trading.loop_limit import loop_limit
from kalshi_cli.store.sqlite_store import Store

RESUMED_S = 1.5
QUICK = f"""
from kalshi_cli.core.monitoring import incidents
from kalshi_cli.services.monitoring import alert_dispatcher
incidents.RESUMED_MS, alert_dispatcher.REST_LOOKS = {RESUMED_S * 1000:.0f}, 1
"""
"""For a loop that will not stop again: its stop must stay away for less than thirty seconds."""

TICKS_S = 0.7
"""Three ticks of a loop and more, in which nothing else is sent."""


@pytest.fixture
def phone() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def told(phone: Receiver) -> list[tuple[str, float]]:
    """The kind and the time of each notice about the daily loss."""
    notices = [(json.loads(asked.body), asked.at) for asked in list(phone.asked)]
    return [(notice["kind"], at) for notice, at in notices if notice["code"] == "DAILY_LOSS"]


def kinds(phone: Receiver) -> list[str]:
    return [kind for kind, _ in told(phone)]


def has_begun(process: Popen[str]) -> bool:
    found = program("status", "--json").json
    return bool(found["running"] and found["pid"] == process.pid and found["uptime_s"])


def run_until(exchange: Served, phone: Receiver, *wanted: str, max_loss: str = "0.50", first: str = "") -> None:
    """Run a loop until these were told of the daily loss, and for a few ticks more."""
    words = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.2s")
    loop = start(words, {**exchange.variables(), "KALSHI_RISK__MAX_DAILY_LOSS": max_loss}, exchange.home, first=first)
    try:
        eventually(lambda: (kinds(phone) == list(wanted) and has_begun(loop)) or loop.poll() is not None)
        time.sleep(TICKS_S)
        assert kinds(phone) == list(wanted), said(loop)
    finally:
        loop.terminate()
        loop.communicate(timeout=60)


@pytest.mark.parametrize("policy", ["pause", "flatten"])
def test_a_daily_loss_is_resolved_once_and_after_a_resume_that_lasts(
    exchange: Served, phone: Receiver, policy: str
) -> None:
    path = exchange.home / "config.yaml"
    path.write_text(
        f"alerts:\n  on_critical: {policy}\n  repeat_s: 3600\n  channels: {{phone: {{url: '{phone.url('200')}'}}}}\n"
    )
    path.chmod(0o600)
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "30")
    exchange.submit(ME, TWO_SIDED, BID, "0.4700", "90")  # bought dear: it closes at 44 cents
    run_until(exchange, phone, "firing")
    run_until(exchange, phone, "firing")
    assert program("resume", "--reason", "looked into").code == 0
    run_until(exchange, phone, "firing", "firing")
    begun = time.monotonic()
    assert program("resume", "--reason", "a higher limit").code == 0
    run_until(exchange, phone, "firing", "firing", "resolved", max_loss="100", first=QUICK)
    assert told(phone)[-1][1] - begun > RESUMED_S
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        assert store.halt().state.value == "active"


def test_a_higher_limit_counts_after_a_restart_and_then_a_resume_and_not_before(exchange: Served) -> None:
    """The steps of `runbook daily-loss`."""
    path = exchange.home / "config.yaml"
    path.write_text("alerts:\n  on_critical: pause\n")
    path.chmod(0o600)
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "30")
    exchange.submit(ME, TWO_SIDED, BID, "0.4700", "90")
    words = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.2s")

    def state() -> str:
        found = program("status", "--json").json
        return "paused" if found["paused"] else str(found["state"])

    def loop(max_loss: str) -> Popen[str]:
        return start(words, {**exchange.variables(), "KALSHI_RISK__MAX_DAILY_LOSS": max_loss}, exchange.home)

    first = loop("0.50")
    try:
        eventually(lambda: state() == "reducing" or first.poll() is not None)
        resumed = " ".join(program("resume", "--reason", "raised in the file").err.split())
        assert "raise it in the configuration, `kalshi stop`, start the loop again, `kalshi resume" in resumed
        eventually(lambda: state() == "reducing" or first.poll() is not None)
        assert first.poll() is None, said(first)
        assert program("check", "heartbeat", "--json", "--no-notify").json["breaches"][0]["code"] == "DAILY_LOSS"
        _, _, rows = program("check", "all", "--no-notify").out.partition("\n")
        assert rows.count("The loss of the day was") == 1, rows
    finally:
        first.terminate()
        first.communicate(timeout=60)
    second = loop("100")
    try:
        eventually(lambda: has_begun(second) or second.poll() is not None)
        assert state() == "reducing", "a restart alone ends no stop"
        assert program("resume", "--reason", "a higher limit").code == 0
        time.sleep(TICKS_S)
        assert state() == "active", said(second)
    finally:
        second.terminate()
        second.communicate(timeout=60)


def test_a_limit_of_one_command_names_its_variable_and_the_limit_of_the_loop(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = exchange.home / "config.yaml"
    path.write_text("risk: {max_daily_loss: 25}\n")
    path.chmod(0o600)
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "30")
    exchange.submit(ME, TWO_SIDED, BID, "0.4700", "90")
    words = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.2s")

    def has_saved_its_limit() -> bool:
        if not program("status", "--json").json["cycles"]:
            return False
        with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
            return loop_limit(store.alert_book) == dollars(25)

    loop = start(words, exchange.variables(), exchange.home)
    try:
        eventually(lambda: has_saved_its_limit() or loop.poll() is not None)
        monkeypatch.setenv("KALSHI_RISK__MAX_DAILY_LOSS", "0.5")
        refused = program("buy", TWO_SIDED, "1", "@0.16")
        monkeypatch.delenv("KALSHI_RISK__MAX_DAILY_LOSS")
        assert refused.code == 3
        text = " ".join(program("status").out.split()) + refused.err
        assert "(risk.max_daily_loss, variable KALSHI_RISK__MAX_DAILY_LOSS)" in text
        assert "that of the running loop is $25.00" in text, text
        assert "restart" not in text
        resumed = program("resume", "--reason", "a limit of one command")
        assert resumed.code == 0
        assert "kalshi stop" not in resumed.err
        time.sleep(TICKS_S)
        assert program("status", "--json").json["state"] == "active"
    finally:
        loop.terminate()
        loop.communicate(timeout=60)
