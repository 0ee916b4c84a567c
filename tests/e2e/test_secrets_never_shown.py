"""Mark every secret, run every command and every failure: no eight characters of a secret come out anywhere.

The private key, the addresses of sinks (https, Slack, Telegram, mail, a file, --notify) and of the heartbeat may be in
the configuration, in their own files and at their own receivers. The id of the key opens nothing; it names the account:
so it may be in the state file and in what `keys` lists, and nowhere else.
"""

from __future__ import annotations

import importlib
import io
import logging
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from support.fault_proxy import Action, Fault, fault_proxy
from support.notice_receiver import Receiver, receiving
from support.served import ME, TWO_SIDED, Served, served, set_variables

from kalshi_cli.base import text
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.cli.main import main
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.store.lock import lock

SHORTEST = 8
KEY_ID = "4f1w9b7p-83q2-4h65-t0e8-6r2f91k7m350"
"""No hexadecimal number: a part of one can be in the random id of an order by chance."""

MARKED_SECRETS = {
    "webhook": "Wq7Zt2Xv9Jm4Rk6Bn1Lp",
    "token": "Tf3Hs8Yd5Gc2Vb7Nx4Qe",
    "slack": "Sa9Ku6Mw3Pz8Ej1Ri5Od",
    "telegram": "Gh2Bv7Cx4Lf9Ty6Un3Ws8Aq1Zk5Jm0Pd7Re",
    "mail": "Mp4Xn9Qb6Yt1Kc8Ds5Fh",
    "file": "Fu8Lj3Wz7Ea2Hv6Rg9Ti",
    "heartbeat": "Hk5Dc1Sm8Ny4Jp7Vf2Xo",
    "notify": "Nb6Gw3Te9Qa7Zu2Li5Rk",
}


def marked(name: str) -> str:
    return MARKED_SECRETS[name]


class Watch:
    """All that came out, by where; and what must not be in it."""

    def __init__(self, one: Served) -> None:
        self.home = one.home
        lines = [line for line in one.key_path.read_text().split() if len(line) > 24]
        self.secrets = {**MARKED_SECRETS, "key id": KEY_ID, **{f"key line {n}": line for n, line in enumerate(lines)}}
        self.own = {one.home / "key.pem", one.home / "hook.url", one.home / "config.yaml"}
        self.heard: dict[str, str] = {}

    def hear(self, where: str, text: str) -> None:
        self.heard[where] = self.heard.get(where, "") + text

    def leaks(self) -> list[str]:
        """Which eight characters of which secret are where."""
        found = []
        files = {path: path.read_bytes().decode("latin-1") for path in self.home.rglob("*") if path.is_file()}
        everywhere = {**self.heard, **{str(path): said for path, said in files.items() if path not in self.own}}
        for where, said in everywhere.items():
            lowered = said.lower()
            for name, secret in self.secrets.items():
                if name == "key id" and ("state.db" in where or where.startswith("keys")):
                    continue
                parts = (secret[at : at + SHORTEST].lower() for at in range(len(secret) - SHORTEST + 1))
                found += [f"{name}: {part} in {where}" for part in parts if part in lowered]
        return found


class Everything(logging.Handler):
    """Whatever any library logs at the level at which it is switched on here: the one of a program that is run."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(logging.INFO)
        self.watch = watch

    def emit(self, record: logging.LogRecord) -> None:
        self.watch.hear(f"log {record.name}", f"{record.getMessage()} {record.exc_info}\n")


STRATEGY = """
from urllib.request import urlopen
from kalshi_cli.strategies.base import Strategy

class Teller(Strategy):
    name = "teller"

    def on_tick(self, view):
        raise RuntimeError("cannot post to {url}, with {mail} and {key}" + " and so on" * 300 + "{token}")
"""


def written(watch: Watch, there: str, port: int, **more: str) -> None:
    """The configuration with all of them; the sinks are on this machine."""
    path = watch.home / "config.yaml"
    path.touch(mode=0o600)
    (watch.home / "hook.url").touch(mode=0o600)
    (watch.home / "hook.url").write_text(f"{there}/file/{marked('file')}\n")
    tiers = "tiers: [critical, warning, info], events: [trade_executed]"
    sinks = {
        "web": f"url: '{there}/web/{marked('webhook')}?token={marked('token')}'",
        "slack": f"url: 'slack://T1JJ3T3L2/A1BRTD4JD/{marked('slack')}7FQa'",
        "telegram": f"url: 'tgram://123456789:{marked('telegram')}/12315544'",
        "mail": f"url: 'mailto://bot:{marked('mail')}@127.0.0.1:{port}?from=a@example.com&to=b@example.com&mode=insecure'",
        "file": "url_file: hook.url",
    } | more
    lines = "".join(f"    {name}: {{{address}, {tiers}}}\n" for name, address in sinks.items() if address)
    heartbeat = f"heartbeat: {{url: '{there}/ping/{marked('heartbeat')}', every_s: 1}}\n"
    path.write_text(f"alerts:\n  group_s: 1\n  sinks:\n{lines}{heartbeat}metrics: {{enabled: true, port: 0}}\n")


class SecretSetup:
    """An exchange, a receiver, a configuration with every secret, and the program run against them."""

    def __init__(self, one: Served, receiver: Receiver, patch: pytest.MonkeyPatch) -> None:
        self.one, self.receiver, self.patch = one, receiver, patch
        self.watch = Watch(one)
        self.codes: list[int] = []
        self.mail_port = 9  # where nobody takes mail

    def configure(self, there: str = "", **sinks: str) -> None:
        written(self.watch, there or self.receiver.url, self.mail_port, **sinks)

    def run(self, *words: str) -> int:
        """One command line, in a process that knows no secret yet."""
        text._concealed.clear()
        out, err = io.StringIO(), io.StringIO()
        self.err = err
        with redirect_stdout(out), redirect_stderr(err):
            code = main(list(words))
        self.watch.hear(f"{words[0]} stdout", out.getvalue())
        self.watch.hear(f"{words[0]} stderr", err.getvalue())
        self.codes.append(code)
        return code

    def check(self) -> None:
        assert self.watch.leaks() == []


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SecretSetup]:
    with served(tmp_path) as one, receiving() as receiver:
        key = tmp_path / "key.pem"
        public = load_pem_private_key(key.read_bytes(), None).public_key()
        pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        one.call(lambda: one.exchange.register_key(ME, KEY_ID, pem))
        set_variables(monkeypatch, tmp_path, one.variables() | {"KALSHI_API_KEY_ID": KEY_ID})
        for module, plugin, name in (
            ("slack", "NotifySlack", "webhook_url"),
            ("telegram", "NotifyTelegram", "notify_url"),
        ):
            found = getattr(importlib.import_module(f"apprise.plugins.{module}"), plugin)
            monkeypatch.setattr(found, name, f"{receiver.url}/chat/")
        monkeypatch.setattr(subprocess, "Popen", no_child)
        here = SecretSetup(one, receiver, monkeypatch)
        real: Callable[..., Any] = one.exchange.handle

        def overheard(request: Any, now: Any) -> Any:
            headers = {name: value for name, value in request.headers.items() if name != "kalshi-access-key"}
            here.watch.hear("exchange", f"{request.path} {request.query} {headers} {request.body!r}")
            return real(request, now)

        one.exchange.handle = overheard  # type: ignore[method-assign]
        here.configure()
        listening = Everything(here.watch)
        logging.getLogger().addHandler(listening)
        yield here
        logging.getLogger().removeHandler(listening)


def no_child(*words: object, **_more: object) -> None:
    raise AssertionError(f"a child process, whose command line everybody can read: {words}")


@contextmanager
def nobody() -> Iterator[str]:
    """An address at which nobody listens, and nobody else begins to meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


def teller(setup: SecretSetup) -> str:
    """A strategy that fails with every secret in what it says."""
    said = {
        "url": f"{setup.receiver.url}/web/{marked('webhook')}?token={marked('token')}",
        "mail": marked("mail"), "token": marked("token"), "key": "".join(setup.one.key_path.read_text().split()[3:4]),
    }  # fmt: skip
    written = setup.one.home / "teller.py"
    setup.watch.own |= {written, Path(cache_from_source(str(written)))}  # a person's file, and Python's copy of it
    (setup.one.home / "teller.py").write_text(STRATEGY.format(**said))
    return "./teller.py"


TRADE = ("trade", "--ticker", TWO_SIDED, "--interval", "0.1s", "--duration", "0.6s", "-v")
CHECKS = ("all", "errors", "heartbeat", "schema")


def test_everything_that_goes_well(setup: SecretSetup) -> None:
    for words in (
        "config show", "config show --json", "config path", "config check", "health-check", "alerts", "status --json",
        "alerts test", "alerts silence FEED_DOWN --for 1h --reason none", "alerts retry", "why", "keys", "balance -v",
        "runbook", "markets --limit 1 --json", "order reconcile", "pause --reason lunch", "resume --reason back",
        *(f"check {name} -v" for name in CHECKS), f"check balance --notify {setup.receiver.url}/n/{marked('notify')}",
        f"check pnl --crit @0:100 --notify {setup.receiver.url}/n/{marked('notify')} --json",
        f"order place {TWO_SIDED} --side yes --action buy --count 1 --price 0.47", "api GET /portfolio/balance",
    ):  # fmt: skip
        assert setup.run(*words.split()) in (0, 1, 2, 3), words
    scraped: list[str] = []

    def scrape(got: Any) -> None:
        found = re.search(r"http://127.0.0.1:\d+/metrics", setup.err.getvalue())
        if got.path.startswith("/ping/") and found and not scraped:
            with urlopen(found[0], timeout=30) as page:
                scraped.append(page.read().decode())

    setup.receiver.before_answer = scrape
    assert setup.run(*TRADE, "--strategy", "spike") == 0
    setup.watch.hear("metrics", scraped[0])
    paths = " ".join(setup.receiver.paths)
    for name in ("webhook", "file", "heartbeat", "notify", "slack", "telegram"):
        assert marked(name) in paths, f"{name} reached the one to whom it belongs"
    setup.check()


@pytest.mark.parametrize("how", ["taken", "404", "500", "nobody", "tls"])
def test_a_loop_whose_strategy_tells_all_it_knows(how: str, setup: SecretSetup) -> None:
    """The exception goes to stderr, the log, the state file, the alerts, the pings, and to `why`."""
    with nobody() as unheard, receiving(int(how) if how.isdecimal() else 200) as answering:
        there = {"nobody": unheard, "tls": setup.receiver.url.replace("http:", "https:")}.get(how, answering.url)
        setup.configure(there)
        assert setup.run(*TRADE, "--strategy", teller(setup)) in (0, 1)
        for words in ("alerts --json", "why", "status", "check errors", "alerts retry -v", "alerts test --json"):
            setup.run(*words.split(), *(("--notify", f"{there}/{marked('notify')}") if words == "check errors" else ()))
        bodies = "".join(got.body for got in answering.received)
    setup.watch.hear("bodies that sinks were sent", bodies)
    assert "STRATEGY_FAILED" in setup.watch.heard["alerts stdout"]
    assert f"code {setup.one.home / 'teller.py'} (sha256 " in setup.watch.heard["trade stderr"]
    assert how != "taken" or "STRATEGY_FAILED" in bodies
    setup.check()


ACTIONS: tuple[Action, ...] = ("status", "garbage")


@pytest.mark.parametrize("status", [400, 401, 500])
def test_an_exchange_that_says_what_it_was_sent(status: int, setup: SecretSetup) -> None:
    """Gateways echo headers and addresses into their answers."""
    lines = setup.one.key_path.read_text().replace("\n", "\\n")
    address = f"{setup.receiver.url}/web/{marked('webhook')}?token={marked('token')}"
    said = f'"KALSHI-ACCESS-KEY: {KEY_ID}, {lines} {address}"'
    body = f'{{"error": {{"code": "odd", "message": {said}, "details": "{"x" * 260} {address}"}}}}'.encode()
    buy = f"order place {TWO_SIDED} --side yes --action buy --count 1 --price 0.47 --json"
    with fault_proxy(setup.one.server.rest_url) as proxy:
        setup.patch.setenv("KALSHI_REST_URL", proxy.moved(setup.one.server.rest_url))
        for action in ACTIONS:
            proxy.faults[:] = [
                Fault(action, method, ".*", times=10_000, status=status, body=body) for method in ("GET", "POST")
            ]
            for words in (
                "balance -v",
                "check balance --json",
                "check positions",
                "health-check",
                "positions --json",
                buy,
            ):
                setup.run(*words.split())
    assert max(setup.codes) > 3
    setup.check()


def test_an_exchange_that_is_not_there_a_clock_that_is_wrong_a_key_that_is_refused(setup: SecretSetup) -> None:
    setup.one.clock.shift_s = 120
    for words in ("balance -v", "check all", "health-check -v", "trade --strategy spike --duration 1s"):
        assert setup.run(*words.split()), "fails"
    setup.one.clock.shift_s = 0
    with nobody() as unheard:
        setup.patch.setenv("KALSHI_REST_URL", f"{unheard}/trade-api/v2")
        setup.patch.setenv("KALSHI_WS_URL", f"{unheard.replace('http', 'ws')}/ws")
        for words in ("balance -v", "check positions --json"):
            assert setup.run(*words.split()), "fails"
    setup.one.key_path.chmod(0o644)
    assert setup.run("balance", "-v") == 5
    setup.one.key_path.chmod(0o600)
    setup.one.key_path.write_text(setup.one.key_path.read_text().replace("BEGIN", "BGIN"))
    assert setup.run("balance", "-v") == 5
    setup.check()


def test_a_state_file_that_is_held_or_broken(setup: SecretSetup) -> None:
    assert setup.run("order", "reconcile") == 0
    home = setup.one.state / "sim"
    with lock(home / "trade.lock", SystemClock()):
        assert setup.run(*TRADE, "--strategy", "spike") == 10
    for path in home.glob("state.db*"):
        path.unlink()
    (home / "state.db").write_bytes(b"no database" * 1_000)
    for words in ("alerts -v", "alerts retry", "check all", "check errors", "status", "why -v", "order reconcile -v"):
        assert setup.run(*words.split()), words
    assert setup.run(*TRADE, "--strategy", "spike") == 8
    setup.check()


@pytest.mark.parametrize("more", [(), ("-v",), ("--json",)])
def test_a_bug_that_has_it_all_in_its_message(more: tuple[str, ...], setup: SecretSetup) -> None:
    secrets = f"{'x' * 290} {marked('webhook')} {setup.receiver.url}/web/{marked('webhook')} {KEY_ID} {marked('mail')}"

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError(secrets, setup.one.key_path.read_text())

    setup.patch.setattr(KalshiClient, "balance", broken)
    assert setup.run("balance", *more) == 70
    assert "ZeroDivisionError" in setup.err.getvalue()
    setup.check()


WRONG = (
    "risk: {{max_position: '{0}'}}",
    "trade: {{interval_s: '{0}'}}",
    "env: '{0}'",
    "day_zone: '{0}'",
    "alerts: '{0}'",
    "alerts: {{sinks: '{0}'}}",
    "alerts: {{sinks: {{web: '{0}'}}}}",
    "alerts: {{sinks: {{web: {{tiers: ['{0}']}}}}}}",
    "alerts: {{sinks: {{web: {{urls: '{0}'}}}}}}",
    "alerts: {{fallback: '{0}'}}",
    "alerts: {{sinks: {{'{0}': {{url: 'https://a.example/'}}}}}}",
    "metrics: {{port: '{0}'}}",
    "heartbeat: {{every_s: '{0}'}}",
    "heartbeat: {{url: 'ftp://{0}'}}",
    "exchange: {{rest_url: '{0}'}}",
    "checks: {{cash_usd: {{warn: '{0}'}}}}",
    "references: {{KX: ['{0}']}}",
    "alerts: *{1}",
    "alerts: !{1} x",
    "alerts: {{url: [{0}",
    "'{0}': 1",
)


@pytest.mark.parametrize("shape", WRONG)
def test_a_secret_in_the_wrong_place_of_a_configuration(shape: str, setup: SecretSetup) -> None:
    for secret in (
        f"https://a.example/{marked('webhook')}?token={marked('token')}",
        f"slack://T1/A1/{marked('slack')}",
    ):
        (setup.one.home / "config.yaml").write_text(shape.format(secret, marked("mail")) + "\n")
        for words in ("config check -v", "config check --json", "config show", "alerts", "check balance --json"):
            setup.run(*words.split())
    assert any(setup.codes) or "url:" in shape, "what is wrong is found before it is used"
    setup.check()


def test_setting_up(setup: SecretSetup) -> None:
    new = setup.one.home / "new" / "config.yaml"
    setup.watch.own |= {new, new.with_name("config.yaml.before")}
    words = ("init", "--config", str(new), "--env", "sim", "--sink", f"{setup.receiver.url}/web/{marked('webhook')}")
    setup.run(*words, "-v")
    setup.run(*words, "-v")
    setup.run("init", "--force", "--config", str(new), "--sink", f"ftp://{marked('webhook')}")
    assert new.exists()
    setup.check()


# -- and the tests would notice ---------------------------------------------------------------------------------------


def test_without_the_redactor_the_same_run_is_full_of_them(setup: SecretSetup) -> None:
    class Deaf(set[str]):
        def add(self, _secret: str) -> None: ...

    setup.patch.setattr(text, "_concealed", Deaf())
    setup.run(*TRADE, "--strategy", teller(setup))
    setup.run("alerts", "--json")
    places = " ".join(setup.watch.leaks())
    for where in ("trade stderr", "alerts stdout", "state.db", "kalshi.jsonl"):
        assert where in places
    for name in ("webhook", "token", "mail"):  # lines of a key are hidden wherever text is, by their look
        assert name in places


@pytest.mark.parametrize("name", [*MARKED_SECRETS, "key id"])
def test_eight_characters_are_enough_to_be_found(name: str, setup: SecretSetup) -> None:
    (setup.one.home / "state" / "x.log").write_text(f"-{setup.watch.secrets[name][5:13].upper()}-")
    assert [leak for leak in setup.watch.leaks() if leak.startswith(f"{name}: ")]
    (setup.one.home / "state" / "x.log").write_text(f"-{setup.watch.secrets[name][5:12]}-")
    assert setup.watch.leaks() == []
