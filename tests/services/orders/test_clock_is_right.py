"""T19: with a clock that is far off no loop begins, and whoever asked is told how far."""

from __future__ import annotations

from email.utils import formatdate

import httpx
import pytest
from support.simulation import Simulation

from kalshi_cli.base.errors import CredentialsError, RefusedError
from kalshi_cli.services.monitoring import health
from kalshi_cli.services.monitoring.runbooks import runbook_of_error


def shift(sim: Simulation, ahead_s: float) -> None:
    """Our clock is so far ahead of the dates of the exchange's answers."""

    def dated(request: httpx.Request) -> httpx.Response:
        answer = sim.checked.handle_request(request)
        answer.headers["date"] = formatdate(sim.clock.now() / 1000 - ahead_s, usegmt=True)
        return answer

    sim.wire.before = dated


@pytest.mark.parametrize(("ahead_s", "words"), [(8, "ahead of"), (-8, "behind")])
def test_a_clock_that_is_seconds_off_is_refused_with_how_far(sim: Simulation, ahead_s: float, words: str) -> None:
    shift(sim, ahead_s)
    with pytest.raises(CredentialsError, match=rf"your clock is [78]\.\d s {words}") as caught:
        health.require_ready_to_trade(sim.client, sim.path.parent, sim.said.append)
    assert caught.value.exit_code == 5
    assert runbook_of_error(caught.value) == "clock-skew"


def test_a_loop_that_is_not_ready_leads_to_the_runbook_of_its_cause(
    sim: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "DISK_WARN", 10**18)
    monkeypatch.setattr(health, "DISK_CRITICAL", 10**18)
    with pytest.raises(RefusedError, match=r"free, .* needed") as full:
        health.require_ready_to_trade(sim.client, sim.path.parent, sim.said.append)
    assert runbook_of_error(full.value) == "disk-full"


@pytest.mark.parametrize(("ahead_s", "warnings"), [(0, 0), (3.5, 1), (-3.5, 1)])
def test_one_that_is_a_little_off_is_told_at_most(sim: Simulation, ahead_s: float, warnings: int) -> None:
    shift(sim, ahead_s)
    health.require_ready_to_trade(sim.client, sim.path.parent, sim.said.append)
    assert len([text for text in sim.said if "clock" in text]) == warnings
