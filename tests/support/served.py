"""A small hand-made exchange behind real sockets, and the program run against it as a person would.

Nothing in it moves by itself: fixed markets that close in 2040, fixed books, ids that count. Only the time is real.
"""

from __future__ import annotations

import functools
import io
import itertools
import json
import os
import pty
import re
import select
import shutil
import socket
import sqlite3
import ssl
import subprocess
import termios
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import ExitCode
from kalshi_cli.base.units import Price, Ts, dollars, parse_price, parse_qty, parse_ts
from kalshi_cli.cli.exit_codes import exit_codes_of
from kalshi_cli.cli.main import main, root
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.exchange.rest.rate_limits import KNOWN_COSTS, NUMBERS, RateLimiter
from kalshi_cli.exchange.wire.account import ApiLimits, TokenBucketLimits
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import (
    EventSpec,
    ExchangeOptions,
    MarketSpec,
    NewOrder,
    OrderReceipt,
    SeriesSpec,
)
from kalshi_cli.simulator.model.price_grids import STRUCTURES
from kalshi_cli.simulator.protocol.replies import Request, Response
from kalshi_cli.simulator.serving.server import SimServer
from kalshi_cli.store.shared_counters import SharedCounters
from support.places import ROOT
from support.processes import INTERPRETED, start_program
from support.specification import SPECS, check_answered, check_asked, operation

TWO_SIDED = "KXRAIN-40JAN01-T1.0"
ONE_SIDED = "KXRAIN-40JAN01-T2.0"
EMPTY = "KXRAIN-40JAN01-T3.0"
FINE = "KXWIND-40JAN01-T5"
CLOSED = "KXRAIN-24JUN01-T1.0"

PACE = 100_000
"""Tokens a second, of reads and of writes: no test of commands comes near."""

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of addresses without TLS: otherwise each reads all certificates, 20 ms of CPU time."""

KEY_ID = "00000000-0000-4000-8000-0000000a11ce"
ME = "alice"
OPENED, CLOSES, CLOSED_AT = (parse_ts(f"{day}T15:00:00Z") for day in ("2024-01-01", "2040-01-01", "2024-06-01"))

FINE_GRID = STRUCTURES["tapered_deci_cent"]


class SteadyClock(SystemClock):
    """The exchange's clock: the machine's, with times that all end in 5 milliseconds and so are all of one width.

    Never ahead of it by itself: what happens on the exchange now must not be to come for the program.
    `shift_s` sets it ahead of the machine's (behind where negative), whenever a test likes.
    """

    shift_s = 0.0

    def now(self) -> Ts:
        return Ts((super().now() - 5) // 10 * 10 + 5 + int(self.shift_s * 1000))


class CheckedExchange(SimulatedExchange):
    """Holds what it is asked for, and what it answers, against the specification; `served` shows the problems."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.problems: list[str] = []

    def handle(self, request: Request, now: Ts) -> Response:
        response = super().handle(request, now)
        # What was refused may be what a person typed: `kalshi api` sends anything.
        if SPECS.exists() and response.status < 300:
            try:
                asked = operation(request.method, request.path)
                check_asked(asked, tuple((name, tuple(values)) for name, values in request.query.items()), request.body)
                check_answered(asked, response.status, response.body)
            except AssertionError as problem:
                self.problems.append(str(problem))
        return response


class Served:
    """The exchange, its server, and the variables that lead the program to it."""

    def __init__(self, home: Path, clock_window_ms: int = 5_000, **options: Any) -> None:
        self.home = home
        self.state = home / "state"
        self.clock = SteadyClock()
        self.exchange = _listed(self.clock.now(), clock_window_ms, **options)
        self.key_path = home / "key.pem"
        key = Ed25519PrivateKey.generate()
        self.exchange.register_key(
            ME, KEY_ID, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        )
        self.key_path.touch(mode=0o600)
        self.key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.server = SimServer(self.exchange, self.clock)
        self.kept: socket.socket | None = None
        self._has_limits = "read_rate" in options
        self.spare_the_wait(self.state)

    def is_real(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From now on the program takes it for the real exchange."""
        monkeypatch.setenv("KALSHI_ENV", "prod")
        self.spare_the_wait(self.state, "prod")

    def spare_the_wait(self, state: Path, env: str = "sim") -> None:
        """Leave in a state directory what a program does that asked for the limits: those of a new account are low."""
        if self._has_limits:
            return
        plenty = TokenBucketLimits(PACE, PACE)
        (state / env).mkdir(parents=True, exist_ok=True)
        pace = SharedCounters(state / env / "pace", NUMBERS, self.clock)
        RateLimiter(self.clock, shared=pace).configure(ApiLimits("prime", plenty, plenty), KNOWN_COSTS)
        pace.close()

    def variables(self, rest_url: str = "", ws_url: str = "", home: Path | None = None) -> dict[str, str]:
        """What a person would export; with other addresses, the way leads through a proxy. `home` is a new one: for a
        test that shares the exchange and not the state."""
        if home is not None:
            self.spare_the_wait(home / "state")
        return {
            "KALSHI_REST_URL": rest_url or self.server.rest_url,
            "KALSHI_WS_URL": ws_url or self.server.ws_url,
            "KALSHI_API_KEY_ID": KEY_ID,
            "KALSHI_PRIVATE_KEY_PATH": str(self.key_path),
            **bare_variables(home or self.home),
        }

    def vanish(self) -> None:
        """Stop, and keep the port: a server of another test may be given one that is free, and answer."""
        port = urlsplit(self.server.rest_url).port
        self.server.stop()
        self.kept = socket.socket()
        self.kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # the last connections may linger
        self.kept.bind(("127.0.0.1", port))

    def leave_no_trace(self) -> None:
        """As on a machine where the program never ran."""
        shutil.rmtree(self.state)

    def call(self, what: Callable[[], Any]) -> Any:
        """Something done to the exchange, in its own thread."""
        return self.server.call(what)

    def resting(self) -> list[tuple[str, Side, Price, int]]:
        """The account's live orders, as the exchange has them."""
        found: list[tuple[str, Side, Price, int]] = self.call(lambda: self.exchange.resting(ME))
        return found

    def submit(self, who: str, ticker: str, side: Side, price: str, count: str, **more: Any) -> OrderReceipt:
        """An order of the world's, past signatures and limits; it must be taken."""
        order = NewOrder(ticker=ticker, side=side, price=parse_price(price), qty=parse_qty(count), **more)
        receipt = self.call(lambda: self.exchange.submit(who, order, self.clock.now()))
        assert isinstance(receipt, OrderReceipt), receipt
        return receipt

    def retitle(self, ticker: str, title: str) -> None:
        """Give a market another title, as whoever lists it could."""
        market = self.exchange._state.markets[ticker]
        self.call(lambda: setattr(market, "spec", msgspec.structs.replace(market.spec, title=title)))

    def trade_a_little(self) -> None:
        """Gives the account a past: 6 YES at a loss, 20 NO, one resting order on each side."""
        self.submit("maker", TWO_SIDED, ASK, "0.4500", "10")
        self.submit(ME, TWO_SIDED, BID, "0.4500", "10", client_order_id="first")
        self.submit(ME, TWO_SIDED, ASK, "0.4400", "4", client_order_id="second")
        self.submit(ME, ONE_SIDED, ASK, "0.1200", "20", client_order_id="third")
        self.submit(ME, TWO_SIDED, BID, "0.4000", "5", client_order_id="low")
        self.submit(ME, TWO_SIDED, ASK, "0.5500", "2.5", client_order_id="high")


def bare_variables(home: Path) -> dict[str, str]:
    """A home of its own, a terminal of a fixed width without colours, and an interpreter like that of the tests."""
    return {
        **INTERPRETED,  # without, each start in these would be fresh, half a second of processor time each
        "KALSHI_STATE": str(home / "state"),
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "share"),
        "NO_COLOR": "1",
        "COLUMNS": "120",
    }


@contextmanager
def served(home: Path, clock_window_ms: int = 5_000, **options: Any) -> Iterator[Served]:
    """The exchange, answering; it takes signatures that are not older or newer than the window, and has no limits of
    pace unless `options` say so."""
    one = Served(home, clock_window_ms, **options)
    one.server.start()
    try:
        yield one
    finally:
        one.server.stop()
        if one.kept is not None:
            one.kept.close()
    assert one.exchange.problems == []


PAUSES = {
    "exchange.rest.call._FIRST_PAUSE_S": 0.005,
    "exchange.endpoints.groups.BETWEEN_S": 0.01,
    "services.monitoring.checks.readings.AGAIN_S": 0.01,
    "services.monitoring.schema_check.QUIET_S": 0.1,
    "services.orders.quotes._PAUSE_S": 0.02,
}
"""Seconds between two tries of the program in this process, and between two reads that shall agree."""


def set_variables(monkeypatch: pytest.MonkeyPatch, home: Path, variables: dict[str, str]) -> None:
    """Exactly these of ours, and `home` as the working directory.

    In this process, what the program tries again it tries soon (`PAUSES`).
    """
    for name, seconds in PAUSES.items():
        monkeypatch.setattr(f"kalshi_cli.{name}", seconds)
    for name in [name for name in os.environ if name.startswith("KALSHI_")]:
        monkeypatch.delenv(name)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home)


# -- running the program ------------------------------------------------------------------------------------------


class Ended(NamedTuple):
    """What a run of the program left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, Any]:
        """The error object on the last line of stderr."""
        found: dict[str, Any] = json.loads(self.err.splitlines()[-1])["error"]
        return found


def program(*words: str | Path, err: io.StringIO | None = None) -> Ended:
    """Run one command line in this process, with the variables of this process.

    It ends with one of the codes that docs/cli.md says of its command. `err` takes what goes to stderr.
    """
    out, err = io.StringIO(), err or io.StringIO()
    line = [str(word) for word in words]
    with redirect_stdout(out), redirect_stderr(err):
        code = main(line)
    name = command_of(line)
    assert not name or code in ANYWHERE or code in exit_codes_of(name), (
        f"{name} is not said to end with {code}: {err.getvalue()}"
    )
    last = re.search(r'{"error": {"code": "([A-Z_]+)".*"exit_code": (\d+)}}\n$', err.getvalue())
    if last and last[1] in documented_codes():
        assert last[2] in documented_codes()[last[1]], f"docs/cli.md differs: {last[0]}"
    return Ended(int(code), out.getvalue(), err.getvalue())


@functools.cache
def documented_codes() -> dict[str, list[str]]:
    """The exit codes of each rule of kalshi in the table of error codes of docs/cli.md.

    Failures, in small letters, end with 3 in a check and with 7 in the kill switch besides.
    """
    table = (ROOT / "docs/cli.md").read_text().partition("## Error codes")[2]
    return {
        code: ends.split(", ") for code, ends in re.findall(r"^\| `([A-Z_]+)` \| ([\d, ]+) \|", table, re.MULTILINE)
    }


ANYWHERE = (ExitCode.BUG, ExitCode.INTERRUPTED, ExitCode.TERMINATED)
TAKES_VALUE = ("--env", "--config", "--state", "--format", "--fields", "--allow-host")


commands = functools.cache(root)
"""The tree of the commands, to look their names up in; each run of the program makes its own."""


def command_of(words: Sequence[str]) -> str:
    """The whole name of the command in a line, like `transfer send` of `transfer`; empty where none is named."""
    command: Any = commands()
    name = []
    for before, word in itertools.pairwise(["", *words]):
        if word.startswith("-") or before in TAKES_VALUE:
            continue
        if not hasattr(command, "commands") or (found := command.get_command(None, word)) is None:
            break
        command = found
        name.append(word)
    if hasattr(command, "commands"):
        return " ".join([*name, command.default]) if command.default else ""
    return " ".join(name)


def start(
    words: Sequence[str | Path],
    variables: dict[str, str],
    cwd: Path,
    *,
    stdout: int | IO[str] = subprocess.PIPE,
    is_fresh: bool = False,
    first: str = "",
) -> subprocess.Popen[str]:
    """Start the installed program in a process of its own, with these variables and no others of ours.

    What it says on stderr goes to a file beside, so that `said` can read it while it runs. The process is a fork of one
    that has imported the program, and runs the code `first` before it, unless it must be a fresh interpreter: see
    tests/README.md.
    """
    others = {name: value for name, value in os.environ.items() if not name.startswith("KALSHI_")}
    draft = cwd / f"stderr-{uuid.uuid4()}"
    with draft.open("w") as stderr:
        process = start_program(
            words, {**others, **variables}, cwd, stdout=stdout, stderr=stderr, is_fresh=is_fresh, first=first
        )
    _said[process.pid] = draft
    return process


WATCHFUL = """
from kalshi_cli.exchange.live.live_venue import LiveVenue
LiveVenue.__init__.__kwdefaults__["every_s"] = 0.4
"""
"""For `first` of a loop: it reads the account, and whether the exchange is open, every 0.4 seconds instead of eight."""


_said: dict[int, Path] = {}


def said(process: subprocess.Popen[str]) -> str:
    """What it wrote to stderr so far."""
    return _said[process.pid].read_text()


def finish(process: subprocess.Popen[str], within_s: float = 60.0) -> Ended:
    """Wait for its end, however slow the machine; kill it rather than hang."""
    try:
        out, _ = process.communicate(timeout=within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        out, _ = process.communicate()
        raise AssertionError(f"did not end within {within_s} s; stdout: {out}; stderr: {said(process)}") from None
    return Ended(process.returncode, out or "", said(process))


def eventually(what: Callable[[], Any], within_s: float = 60.0) -> Any:
    """The first true answer; AssertionError where none comes."""
    began = time.monotonic()
    until = began + within_s
    while not (found := what()):
        now = time.monotonic()
        assert now < until, f"{what} never came true"
        time.sleep(max(0.02, 2 * (now - began)))  # asking, such as a command, takes at most a third of a core
        began = time.monotonic()
    return found


# -- the listing --------------------------------------------------------------------------------------------------


def _listed(now: Ts, clock_window_ms: int, **changes: Any) -> CheckedExchange:
    ids = (str(uuid.UUID(int=number)) for number in itertools.count(1))
    usual: dict[str, Any] = {
        "read_rate": PACE, "write_rate": PACE, "clock_past_ms": clock_window_ms,
        "clock_future_ms": clock_window_ms, "shards": 2, "transfer_ms": 0,
    }  # fmt: skip
    options = ExchangeOptions(**(usual | changes))
    exchange = CheckedExchange(new_id=lambda: next(ids), options=options)
    source = (("National Weather Service", "https://www.weather.gov/okx/"),)
    for series, title in (("KXRAIN", "Rain in New York"), ("KXWIND", "Wind in New York")):
        exchange.list_series(SeriesSpec(ticker=series, title=title, settlement_sources=source))
    for event, title in (
        ("KXRAIN-40JAN01", "Rain on New Year 2040"),
        ("KXRAIN-24JUN01", "Rain in June 2024"),
        ("KXWIND-40JAN01", "Wind on New Year 2040"),
    ):
        exchange.list_event(EventSpec(event_ticker=event, series_ticker=event.split("-")[0], title=title), now)
    for ticker in (TWO_SIDED, ONE_SIDED, EMPTY, FINE, CLOSED):
        exchange.list_market(_market(ticker), now)
    for name in (ME, "maker"):
        exchange.add_account(name, dollars(1000))
    exchange.advance(now)
    for ticker, side, price, count in (
        (TWO_SIDED, BID, "0.4400", "100"),
        (TWO_SIDED, BID, "0.4300", "250"),
        (TWO_SIDED, ASK, "0.4700", "120"),
        (TWO_SIDED, ASK, "0.4800", "300.5"),
        (ONE_SIDED, BID, "0.1200", "40"),
        (FINE, BID, "0.0310", "200"),
        (FINE, ASK, "0.0350", "80"),
    ):
        order = NewOrder(ticker=ticker, side=side, price=parse_price(price), qty=parse_qty(count))
        assert isinstance(exchange.submit("maker", order, now), OrderReceipt)
    return exchange


def _market(ticker: str) -> MarketSpec:
    event, _, strike = ticker.rpartition("-")
    what, unit = ("Rain", "inch") if ticker.startswith("KXRAIN") else ("Wind", "knots")
    return MarketSpec(
        ticker=ticker,
        event_ticker=event,
        title=f"{what} above {strike[1:]} {unit}?",
        strike_type="greater",
        floor_strike=float(strike[1:]),
        price_structure="tapered_deci_cent" if ticker == FINE else "linear_cent",
        grid=FINE_GRID if ticker == FINE else CENT_GRID,
        open_time=OPENED,
        close_time=CLOSED_AT if ticker == CLOSED else CLOSES,
        expected_expiration_time=CLOSED_AT if ticker == CLOSED else CLOSES,
        rules_primary=f"If it is more than {strike[1:]} {unit}, then the market resolves to Yes.",
    )


def written(exchange: Served) -> list[str]:
    """The status of every order in the state file; none while there is no file yet."""
    if not (path := exchange.state / "sim" / "state.db").exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'orders'").fetchone():
            return []
        return [status for (status,) in connection.execute("SELECT status FROM orders")]


class Terminal:
    """The installed program on a terminal, and a person who answers what it asks."""

    def __init__(self, *words: str, env: dict[str, str], size: tuple[int, int] = (0, 0)) -> None:
        """`size` is in columns and lines; (0, 0) says nothing of it."""
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, size[::-1])
        self.screen = ours
        self.process = start_program(words, env, Path.cwd(), stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.text = ""

    def answer(self, question: str, answer: str) -> None:
        self.read_until(question)
        os.write(self.screen, f"{answer}\n".encode())

    def read_until(self, text: str) -> None:
        """Read what it writes until the text comes."""
        since = time.monotonic()
        self._read_until(lambda: text in self.text)
        ended = f"{time.monotonic() - since:.0f} s; exit code {self.process.poll()}; {len(self.text)} characters"
        assert text in self.text, f"{ended}: {self.text[:2000]!r} ... {self.text[-2000:]!r}"
        self.text = ""

    def finish(self) -> int:
        self._read_until(lambda: False)
        os.close(self.screen)
        return self.process.wait(60)

    def _read_until(self, is_done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not is_done() and time.monotonic() < deadline:
            if not select.select([self.screen], [], [], 1)[0]:
                continue
            try:
                self.text += os.read(self.screen, 65_536).decode(errors="replace")
            except OSError:  # Linux: the other end was closed
                return
