"""Who is told of a check that cannot start, because the configuration has an error."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.notice_receiver import Receiver, receiving
from support.served import Served, program, served, set_variables

TYPO = "risk:\n  max_dayly_loss: 50\n"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("unstarted")) as one:
        yield one


@pytest.fixture
def exchange(shared: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    set_variables(monkeypatch, tmp_path, {**shared.variables(), "KALSHI_STATE": str(tmp_path / "state")})
    monkeypatch.chdir(tmp_path)
    return shared


@pytest.fixture
def phone() -> Iterator[Receiver]:
    with receiving() as one:
        yield one


def write(phone: Receiver, more: str, alerts: str = "") -> None:
    path = Path("config.yaml")
    path.write_text(f"alerts:\n  channels:\n    phone: {{url: '{phone.url}/phone', tiers: [critical]}}\n{alerts}{more}")
    path.chmod(0o600)


def told(phone: Receiver) -> list[str]:
    return [
        f"{got.path} {notice['kind']} {notice['code']}"
        for got, notice in zip(phone.received, phone.notices, strict=True)
    ]


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("name", ["balance", "all"])
def test_an_error_elsewhere_in_the_configuration_is_told_the_second_time_and_so_is_its_end(
    phone: Receiver, name: str
) -> None:
    write(phone, "")
    assert program("check", "disk").code == 0  # the state file exists from now on
    write(phone, TYPO)
    ended = [program("check", name, "--notify", f"{phone.url}/also") for _ in range(3)]
    assert [each.code for each in ended] == [3, 3, 3]
    assert sorted(told(phone)) == ["/also firing CONFIG_ERROR", "/phone firing CONFIG_ERROR"]
    for notice in phone.notices:
        assert "no check can run: " in notice["text"]
        assert "max_dayly_loss" in notice["text"]
        assert (notice["subject"], notice["tier"], notice["count"]) == ("configuration", "critical", 1)
        assert (notice["command"], notice["runbook"]) == ("kalshi config check", "could-not-look")
    write(phone, "")
    phone.received.clear()
    for _ in range(3):  # of all checks, one may find no time to look on a busy machine
        again = program("check", name)
        if "/phone resolved CONFIG_ERROR" in told(phone):
            break
    else:
        pytest.fail(f"{again.out}{again.err}")


@pytest.mark.usefixtures("exchange")
def test_a_parameter_that_no_strategy_has_is_told_as_other_errors_are(phone: Receiver) -> None:
    write(phone, "strategies: {spike: {budgt: 20}}\n")
    ended = [program("check", name) for name in ("disk", "disk", "all")]
    assert [each.code for each in ended] == [3, 3, 3]
    assert all("strategies.spike: budgt: no such parameter" in each.out for each in ended)
    assert told(phone) == ["/phone firing CONFIG_ERROR"]
    health = program("health-check", "--json")
    assert health.code == 2
    assert "strategies.spike: budgt: no such parameter" in health.out


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("error", ["  big_wynn: 5\n", "  repeat_s: soon\n"])
def test_an_error_beside_a_channel_does_not_mute_it(phone: Receiver, error: str) -> None:
    write(phone, "", alerts=error)
    assert [program("check", "balance").code for _ in range(2)] == [3, 3]
    assert told(phone) == ["/phone firing CONFIG_ERROR"]
    assert program("check", "balance").code == 3
    assert len(told(phone)) == 1, "not at every run"


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("is_env_named", [True, False])
def test_without_a_readable_file_the_channel_of_the_command_line_is_told(
    phone: Receiver, monkeypatch: pytest.MonkeyPatch, is_env_named: bool
) -> None:
    if is_env_named:
        monkeypatch.setenv("KALSHI_ENV", "sim")
    write(phone, "]")
    words = ("check", "balance", "--notify", f"{phone.url}/also")
    assert [program(*words).code for _ in range(3)] == [3, 3, 3]
    assert told(phone) == ["/also firing CONFIG_ERROR"]


@pytest.mark.usefixtures("exchange")
def test_nobody_is_told_where_that_is_wished(phone: Receiver) -> None:
    write(phone, TYPO)
    assert [program("check", "balance", "--no-notify").code for _ in range(3)] == [3, 3, 3]
    assert phone.received == []


@pytest.mark.usefixtures("exchange")
def test_a_state_directory_of_others_is_told_without_its_state_file(phone: Receiver) -> None:
    write(phone, "")
    assert program("check", "disk").code == 0
    Path("state").chmod(0o777)
    before = sorted(Path("state").rglob("state.db*"))
    assert [program("check", "balance").code for _ in range(2)] == [3, 3]
    assert told(phone) == ["/phone firing CONFIG_ERROR"]
    assert sorted(Path("state").rglob("state.db*")) == before
