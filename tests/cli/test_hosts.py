"""A key signs for the hosts of its environment, for this machine, and for those that were allowed by name."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.places import SHARED
from support.served import KEY_ID, TWO_SIDED, Ended, Served, program, served, set_variables

from kalshi_cli.base.errors import ConfigError, HostError
from kalshi_cli.base.text import is_loopback
from kalshi_cli.config.config import HOSTS
from kalshi_cli.config.hosts import OWN_HOSTS, named_hosts
from kalshi_cli.config.sources import load
from kalshi_cli.store.sqlite_store import Store

pytestmark = pytest.mark.usefixtures("same_clock")

NAME = socket.gethostname().lower()
"""A name of this machine that is neither localhost nor a loopback address."""

API = SHARED / "kalshi" / "API.md"
BUY = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "2", "--price", "0.41")


class Visitors:
    """A port of this machine that counts who connects, and hangs up."""

    def __init__(self) -> None:
        self.count = 0
        self._socket = socket.create_server(("", 0))
        self.port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.count += 1
            connection.close()

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@contextmanager
def visited() -> Iterator[Visitors]:
    try:
        socket.getaddrinfo(NAME, None)
    except OSError:
        pytest.skip(f"the name of this machine, {NAME}, does not resolve")
    found = Visitors()
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def there() -> Iterator[Visitors]:
    with visited() as found:
        yield found


@pytest.fixture(params=["sim", "demo", "prod"])
def exchange(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """An exchange on this machine that stands for the one of each environment."""
    with served(tmp_path) as one:
        set_variables(monkeypatch, tmp_path, {**one.variables(), "KALSHI_ENV": request.param})
        yield one


@pytest.fixture
def prod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path) as one:
        set_variables(monkeypatch, tmp_path, {**one.variables(), "KALSHI_ENV": "prod"})
        yield one


def assert_refused(ended: Ended, host: str, origin: str, code: int = 2) -> None:
    assert ended.code == code, ended.err
    assert ended.out == ""
    lines = [line for line in ended.err.splitlines() if line.startswith(("error:", "hint:"))]
    assert len(lines) == 2, ended.err
    for words in (host, origin, f"--allow-host {host}", "nothing was sent there"):
        assert words in " ".join(lines), ended.err


# -- which hosts --------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not API.exists(), reason="shared/kalshi/API.md, the description of the exchange, is not here")
def test_the_hosts_are_those_of_the_description_of_the_exchange() -> None:
    section = API.read_text("utf-8").partition("## 1. Environments")[2].partition("\n* ")[0]
    rows = [row.split("|") for row in section.splitlines() if row.startswith("|") and "://" in row]
    for env, column in (("prod", 2), ("demo", 3)):
        listed = {re.sub(r".*://([^/]+)/.*", r"\1", row[column]) for row in rows if "other product" not in row[1]}
        assert listed == set(OWN_HOSTS[env])


@pytest.mark.parametrize("env", ["demo", "prod"])
def test_the_default_addresses_are_on_hosts_of_their_own(env: str) -> None:
    assert load(None, {}, {"env": env}).other_hosts == ()
    assert all(any(f"//{host}/" in address for host in OWN_HOSTS[env]) for address in HOSTS[env])


def test_the_hosts_of_one_environment_are_not_those_of_the_other() -> None:
    assert not set(OWN_HOSTS["demo"]) & set(OWN_HOSTS["prod"])


@pytest.mark.parametrize("host", ["127.0.0.1", "127.255.255.254", "::1", "localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    ["", "128.0.0.1", "0.0.0.0", "::", "::2", "localhost.example.com", "127.0.0.1.example.com", "::ffff:8.8.8.8"],
)
def test_not_this_machine(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("texts", "hosts"),
    [
        (["a.example,b.example", "c.example"], ("a.example", "b.example", "c.example")),
        ([" A.example , ,a.example"], ("a.example",)),
        (["10.0.0.1", "fd00::1"], ("10.0.0.1", "fd00::1")),
        ([""], ()),
    ],
)
def test_hosts_are_named_one_by_one_or_with_commas(texts: list[str], hosts: tuple[str, ...]) -> None:
    assert named_hosts(texts) == hosts


@pytest.mark.parametrize("text", ["https://a.example", "a.example:443", "a.example/path", "*", "*.example", "a b", "."])
def test_what_is_no_host_cannot_be_allowed(text: str) -> None:
    with pytest.raises(ConfigError, match="must be hosts such as"):
        load(None, {"KALSHI_ALLOW_HOSTS": text}, {})
    assert load(None, {"KALSHI_ALLOW_HOSTS": text}, {}, needed=("env",)).allow_hosts == ()


@pytest.mark.parametrize("text", ["allow_hosts: [a.example]", "exchange: {allow_hosts: a.example}"])
def test_a_file_allows_no_host(text: str, tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="--allow-host"):
        load(path, {}, {})
    with pytest.raises(ConfigError, match="--allow-host"):
        load(None, {"KALSHI_EXCHANGE__ALLOW_HOSTS": "a.example"}, {})


# -- what is refused ----------------------------------------------------------------------------------------------

ASKS = (
    "markets", "balance", "exchange", "order list", "trade --strategy spike --duration 1s", "record X --out x.jsonl",
    "watch X", "health-check", "check api", "check exchange", "api GET /portfolio/balance", "catalog refresh",
    "close X", "scan spread", "config check", "order reconcile",
)  # fmt: skip


@pytest.mark.parametrize("line", ASKS)
def test_nothing_is_sent_to_another_host(
    prod: Served, there: Visitors, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_REST_URL", f"https://{NAME}:{there.port}/trade-api/v2")
    ended = program(*line.split())
    plugin = line.startswith(("check", "health"))
    assert ended.code == (3 if plugin else 2), ended.err
    assert NAME in ended.out + ended.err
    assert "variable KALSHI_REST_URL" in ended.out + ended.err
    assert there.count == 0


def test_each_environment_refuses_and_the_option_or_the_variable_allows(
    exchange: Served, there: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sim key too: the variables give the key of whatever environment is in use."""
    monkeypatch.setenv("KALSHI_REST_URL", f"https://{NAME}:{there.port}/trade-api/v2")
    assert_refused(program("balance"), NAME, "variable KALSHI_REST_URL")
    assert_refused(program("balance", "--allow-host", "other.example"), NAME, "variable KALSHI_REST_URL")
    assert there.count == 0
    assert program("balance", "--allow-host", "other.example", "--allow-host", NAME).code == 6
    assert program("--allow-host", f"other.example,{NAME.upper()}", "balance").code == 6
    monkeypatch.setenv("KALSHI_ALLOW_HOSTS", f"other.example,{NAME}")
    assert program("balance").code == 6
    assert there.count >= 3


def test_the_line_says_which_file_named_the_host(prod: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KALSHI_REST_URL")
    path = prod.home / "config.yaml"
    path.write_text("exchange: {rest_url: 'https://elsewhere.example/trade-api/v2'}\n")
    path.chmod(0o600)
    assert_refused(program("balance"), "elsewhere.example", f"file {path}")


@pytest.mark.parametrize("line", [f"record {TWO_SIDED} --out x.jsonl", f"watch {TWO_SIDED} --duration 1s"])
def test_the_stream_is_not_opened_on_another_host(
    prod: Served, there: Visitors, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_WS_URL", f"wss://{NAME}:{there.port}/trade-api/ws/v2")
    assert_refused(program(*line.split()), NAME, "exchange.ws_url, variable KALSHI_WS_URL")
    assert there.count == 0


@pytest.mark.parametrize("mode", ["--live", "--paper"])
def test_a_loop_does_not_start_with_the_stream_on_another_host(
    prod: Served, there: Visitors, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_WS_URL", f"wss://{NAME}:{there.port}/trade-api/ws/v2")
    ended = program("trade", "--strategy", "spike", mode, "--yes", "--duration", "1s")
    assert_refused(ended, NAME, "exchange.ws_url, variable KALSHI_WS_URL")
    assert there.count == 0


# -- the kill switch ----------------------------------------------------------------------------------------------


def test_the_kill_switch_halts_and_sends_nothing_to_another_host(
    prod: Served, there: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    Store.open(prod.state / "prod" / "state.db", account=KEY_ID, environment="prod").close()
    monkeypatch.setenv("KALSHI_REST_URL", f"https://{NAME}:{there.port}/trade-api/v2")
    assert_refused(program("cancel-all"), NAME, "variable KALSHI_REST_URL")
    assert there.count == 0
    assert (prod.state / "prod" / ".halted").exists()


def test_the_kill_switch_says_what_may_be_live_where_it_could_not_cancel(
    prod: Served, there: Visitors, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = program(*BUY, "--yes", "--json").json["order_id"]
    monkeypatch.setenv("KALSHI_REST_URL", f"https://{NAME}:{there.port}/trade-api/v2")
    ended = program("cancel-all")
    assert_refused(ended, NAME, "variable KALSHI_REST_URL", code=7)
    assert "NOTHING WAS CANCELED, and 1 order of the state file may be live: " in ended.err
    assert order in ended.err
    assert there.count == 0


def test_the_kill_switch_needs_no_stream(prod: Served, there: Visitors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_WS_URL", f"wss://{NAME}:{there.port}/trade-api/ws/v2")
    monkeypatch.setenv("KALSHI_ALLOW_HOSTS", "no host")
    assert program("cancel-all").code == 0
    assert there.count == 0


# -- what is shown ------------------------------------------------------------------------------------------------

OTHER = "127.0.0.1 (exchange.rest_url, variable KALSHI_REST_URL)"
WRITES = (
    BUY, ("api", "DELETE", "/portfolio/order_groups/x"), ("subaccounts", "create"),
    ("order", "group", "create", "--limit", "5"), ("trade", "--strategy", "spike", "--live"),
    ("transfer", "send", "--amount", "1", "--from", "0", "--to", "1"), ("rfq", "create", TWO_SIDED, "--count", "1"),
)  # fmt: skip


@pytest.mark.parametrize("words", WRITES, ids=" ".join)
def test_every_question_shows_a_host_that_is_not_the_environments_own(prod: Served, words: tuple[str, ...]) -> None:
    ended = program(*words)
    assert (ended.code, "Not confirmed" in ended.err) == (3, True), ended.err
    assert OTHER in ended.err


def test_the_kill_switch_shows_it_also_to_the_quiet(prod: Served) -> None:
    ended = program("cancel-all", "--quiet")
    assert ended.code == 0, ended.err
    assert OTHER in ended.err


def test_a_health_check_shows_it(prod: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {row["check"]: row for row in program("health-check", "--json").json}
    assert OTHER in rows["host"]["detail"]
    assert "exchange.ws_url, variable KALSHI_WS_URL" in rows["host"]["detail"]
    monkeypatch.setenv("KALSHI_ENV", "sim")
    assert "host" not in {row["check"] for row in program("health-check", "--json").json}


def test_the_settings_show_the_hosts_that_were_allowed(prod: Served) -> None:
    shown = {row["path"]: row["value"] for row in program("config", "show", "--json", "--allow-host", "b.example").json}
    assert shown["allow_hosts"] == "b.example"
    assert "allow_hosts" not in program("config", "show").out


def test_a_refused_host_is_an_error_of_the_configuration() -> None:
    assert issubclass(HostError, ConfigError)
