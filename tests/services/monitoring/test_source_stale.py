"""An outside source that stops answering a loop: an alert, `status`, `why`, `check feed`, and the end of all that."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import pytest
from support.receivers import receiving
from support.served import KEY_ID, TWO_SIDED, Ended, Served, eventually, finish, program, served, start
from support.served import set_variables as exported

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Ts
from kalshi_cli.core.monitoring.source_watch import Source
from kalshi_cli.store.lock import lock
from kalshi_cli.store.records import Heartbeat
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.store.state_store import pack_sources

FAIR = f"{TWO_SIDED},0.42\n"
"""Between the best prices: nothing is traded on it."""


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("sources")) as found:
        yield found


@pytest.fixture
def variables(one: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    found = one.variables(home=tmp_path)
    exported(monkeypatch, tmp_path, found)
    return found


def check(*words: str) -> Ended:
    return program("check", "feed", "--no-notify", "--json", "-w", "600", "-c", "900", *words)


def found(ended: Ended) -> list[tuple[str, str, str]]:
    return [(each["severity"], each["code"], each["subject"]) for each in ended.json["breaches"]]


def firing(name: str) -> str:
    """The tier of the alert about this source; empty where none is firing."""
    rows = program("alerts", "--json").json["alerts"]
    found = (row for row in rows if (row["code"], row["subject"], row["state"]) == ("SOURCE_STALE", name, "firing"))
    return next((row["tier"] for row in found), "")


@contextmanager
def looped(variables: dict[str, str], home: Path, source: str) -> Iterator[subprocess.Popen[str]]:
    """A loop in another process whose strategy asks that model every second."""
    params = [f"source={source}", "every_s=1", "valid_s=1"]
    words = ["trade", "--strategy", "model-edge", "--ticker", TWO_SIDED, "--interval", "0.2s"]
    loop = start([*words, *(word for param in params for word in ("--param", param))], variables, home)
    try:
        yield loop
    finally:
        loop.send_signal(signal.SIGTERM)
        finish(loop)


class Model:
    """A model of each kind, which lives until it is told to die."""

    def __init__(self, home: Path) -> None:
        self.table = home / "fair.csv"
        self.over = threading.Event()
        self.table.write_text(FAIR)

    def command(self) -> tuple[str, str, AbstractContextManager[object]]:
        code = f"print(open('{self.table}').read())"
        return f'command:{sys.executable} -S -c "{code}"', f"model {Path(sys.executable).name}", nullcontext()

    def file(self) -> tuple[str, str, AbstractContextManager[object]]:
        @contextmanager
        def written() -> Iterator[None]:
            thread = threading.Thread(target=self._write)
            thread.start()
            try:
                yield
            finally:
                self.over.set()
                thread.join()

        return str(self.table), "model fair.csv", written()

    def _write(self) -> None:
        while not self.over.wait(0.2):
            if self.table.exists():
                os.utime(self.table)

    def die(self) -> None:
        self.table.unlink()

    def revive(self) -> None:
        self.table.write_text(FAIR)


@pytest.mark.parametrize("kind", ["command", "file"])
def test_a_model_that_dies_is_told_everywhere_and_so_is_its_end(
    variables: dict[str, str], tmp_path: Path, kind: str
) -> None:
    model = Model(tmp_path)
    source, name, living = getattr(model, kind)()
    with living, looped(variables, tmp_path, source):
        eventually(lambda: any(each["label"] == "model_age" for each in check().json["measures"]))
        eventually(lambda: check().code == 0)
        assert firing(name) == ""
        model.die()
        eventually(lambda: found(check()) == [("warning", "SOURCE_STALE", name)])
        ended = check()
        assert (ended.code, ended.json["runbook"]) == (1, "source-stale")
        assert "no usable response for" in ended.json["breaches"][0]["value"]
        assert eventually(lambda: firing(name)) == "warning"
        assert eventually(lambda: program("status", "--json").json["stale_sources"])[0].startswith(f"{name}: no usable")
        assert program("status", "--json").json["sources"] == [name]
        remarks = program("why", "--json").json["remarks"]
        assert any(remark.startswith(f"External source is stale: {name}") for remark in remarks)
        model.revive()
        eventually(lambda: check().code == 0)
        eventually(lambda: not firing(name))
        assert program("status", "--json").json["stale_sources"] == []


def test_a_web_address_that_dies_is_stale(variables: dict[str, str], tmp_path: Path) -> None:
    with receiving() as receiver:
        receiver.reply = FAIR.encode()
        with looped(variables, tmp_path, receiver.url("200/fair.csv")):
            eventually(lambda: any(each["label"] == "model_age" for each in check().json["measures"]))
            eventually(lambda: check().code == 0)
            receiver.reply = b"<html>Bad gateway</html>"
            eventually(lambda: found(check()) == [("warning", "SOURCE_STALE", "model 127.0.0.1")])


def test_a_model_that_never_answered_is_stale_and_of_a_loop_that_is_killed_nothing_looks_fresh(
    variables: dict[str, str], tmp_path: Path
) -> None:
    with looped(variables, tmp_path, str(tmp_path / "never.csv")) as loop:
        eventually(lambda: found(check()) == [("warning", "SOURCE_STALE", "model never.csv")])
        eventually(lambda: firing("model never.csv"))
        loop.kill()
        loop.wait()
        ended = check()
        assert {each["label"] for each in ended.json["measures"]} == set(), "no loop: nothing has an age"
        status = program("status", "--json").json
        assert (status["sources"], status["stale_sources"]) == ([], [])
    model = Model(tmp_path)
    source, name, _ = model.command()
    with looped(variables, tmp_path, source):
        eventually(lambda: program("status", "--json").json["sources"] == [name])
        eventually(lambda: not firing("model never.csv"))


def test_an_orderly_end_of_the_loop_ends_the_alert(variables: dict[str, str], tmp_path: Path) -> None:
    with looped(variables, tmp_path, str(tmp_path / "never.csv")):
        eventually(lambda: firing("model never.csv"))
    eventually(lambda: not firing("model never.csv"))


# -- by what a loop wrote down ------------------------------------------------------------------------------------


@pytest.fixture
def store(variables: dict[str, str], tmp_path: Path) -> Iterator[Store]:
    """The state file of an account that a loop holds."""
    home = tmp_path / "state" / "sim"
    with (
        lock(home / "trade.lock", SystemClock()),
        Store.open(home / "state.db", account=KEY_ID, environment="sim") as found,
    ):
        yield found


def beat(store: Store, *sources: Source, ago_s: float = 0.0, text: str | None = None) -> None:
    now = SystemClock().now()
    store.beat(
        Heartbeat(
            run_id="r", pid=os.getpid(), mode="sim", strategy="model-edge", started=Ts(now - 3_600_000),
            completed=Ts(now - int(ago_s * 1000)), cycles=10, is_running=True, feed_age_ms=500,
            sources=pack_sources(sources) if text is None else text,
        )
    )  # fmt: skip


def source(name: str, ago_s: float, limit_s: float = 60.0) -> Source:
    return Source(name=name, answered=Ts(SystemClock().now() - int(ago_s * 1000)), limit_s=limit_s)


def test_the_age_goes_on_while_the_loop_writes_nothing_down(store: Store) -> None:
    beat(store, source("model a", 35.0), ago_s=35.0)
    assert found(check()) == []
    beat(store, source("model a", 75.0), ago_s=75.0)
    assert found(check()) == [("warning", "SOURCE_STALE", "model a")]


def test_a_configured_range_takes_the_place_of_the_limits(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    beat(store, source("model a", 30.0), source("news b", 5.0, 1.0))
    assert found(check()) == [("warning", "SOURCE_STALE", "news b")]
    monkeypatch.setenv("KALSHI_CHECKS__MODEL_AGE__CRIT", "20")
    assert found(check()) == [("critical", "SOURCE_STALE", "model a")]


def test_sources_that_cannot_be_read_are_unknown(store: Store) -> None:
    beat(store, text="[{")
    ended = check()
    assert (ended.code, found(ended)) == (3, [("unknown", "STATE_UNUSABLE", "feed")])
