"""`kalshi top` on a terminal: CPU at a thousand updates a second, answer to cancel on the wire, first paint."""

from __future__ import annotations

import fcntl
import itertools
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from bench.contest import ROOT, ContestError
from kalshi_cli import Kalshi
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Price, Ts, cents, contracts, dollars
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.net.local_events import EventPublisher
from kalshi_cli.services.trading.reports.live_events import PUBLISH_EVERY_S
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import EventSpec, ExchangeOptions, MarketSpec, NewOrder, SeriesSpec
from kalshi_cli.simulator.protocol.replies import Request, Response
from kalshi_cli.simulator.serving.server import SimServer
from kalshi_cli.tui.dialogs import QUIET_S
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.live import LiveEvent, TopRow
from kalshi_cli.views.orders import LiveOrderRow

UPDATES_A_SECOND = 1_000
TICKER = "KXBENCH-40JAN01-T1"
ROWS, COLUMNS = 44, 140
WITHIN_S = 30.0
_KEY_ID, _ME = "00000000-0000-4000-8000-00000000beef", "me"


class _TimedExchange(SimulatedExchange):
    """Notes when each cancel arrives."""

    canceled_at: float = 0.0

    def handle(self, request: Request, now: Ts) -> Response:
        if request.method == "DELETE":
            self.canceled_at = time.monotonic()
        return super().handle(request, now)


class _Terminal:
    """`kalshi top` on a pseudo-terminal, whose output is read as fast as it comes."""

    def __init__(self, variables: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._output = b""
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "kalshi_cli", "top"], cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
            env={**os.environ, **variables, "TERM": "xterm-256color", "COLUMNS": str(COLUMNS), "LINES": str(ROWS)},
        )  # fmt: skip
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            select.select([self._ours], [], [], 1.0)
            try:
                self._output += os.read(self._ours, 65_536)
            except OSError:
                return

    def press(self, keys: str) -> None:
        os.write(self._ours, keys.encode())

    def wait_for(self, text: str) -> float:
        """Seconds from the start of the program until its output has the text."""
        _eventually(lambda: text.encode() in self._output or self.process.poll() is not None, f"no {text!r} on screen")
        if text.encode() not in self._output:
            raise ContestError(f"kalshi top ended: {self._output[-300:].decode(errors='replace')}")
        return time.monotonic() - self.started

    def forget(self) -> None:
        self._output = b""

    def cpu_s(self) -> float:
        """CPU seconds of the program so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(5)
        os.close(self._ours)


def _eventually(what: Callable[[], object], why: str) -> None:
    until = time.monotonic() + WITHIN_S
    while not what():
        if time.monotonic() > until:
            raise ContestError(why)
        time.sleep(0.002)


def measure(rounds: int, window_s: float) -> Iterator[tuple[str, str, Sequence[float], float]]:
    """Yield each figure: what it is, its unit, the value of each round, and the target."""
    if not sys.platform.startswith("linux"):
        raise ContestError("needs /proc")
    with tempfile.TemporaryDirectory() as scratch, _exchange(Path(scratch), rounds) as (exchange, variables):
        orders = _orders(variables)
        with _published(Path(scratch) / "state" / "sim" / "events.sock", orders):
            paints = []
            for _ in range(rounds - 1):
                terminal = _Terminal(variables)
                paints.append(terminal.wait_for("Positions"))
                terminal.close()
            terminal = _Terminal(variables)  # the last of them stays for the other figures
            try:
                paints.append(terminal.wait_for("Positions"))
                yield "kalshi top, start to first paint", "s", paints, 0.6
                terminal.wait_for(TICKER)
                time.sleep(2.0)
                yield "kalshi top, answer to cancel on the wire", "ms", _cancels(terminal, exchange, rounds), 50.0
                terminal.press("6")
                time.sleep(min(1.0, window_s))
                shares = []
                for _ in range(rounds):
                    before, began = terminal.cpu_s(), time.monotonic()
                    time.sleep(window_s)
                    shares.append(100 * (terminal.cpu_s() - before) / (time.monotonic() - began))
                title = f"kalshi top at {UPDATES_A_SECOND} updates a second, CPU of a core"
                yield title, "%", shares, 10.0
            finally:
                terminal.close()


def _cancels(terminal: _Terminal, exchange: _TimedExchange, rounds: int) -> list[float]:
    terminal.press("2")
    found = []
    for _ in range(rounds):
        exchange.canceled_at = 0.0
        time.sleep(0.5)
        terminal.forget()
        terminal.press("c")
        terminal.wait_for("y yes")
        time.sleep(1.5 * QUIET_S)  # the question takes no earlier answer
        pressed = time.monotonic()
        terminal.press("y")
        _eventually(lambda: exchange.canceled_at, "no cancel arrived")
        found.append(1000 * (exchange.canceled_at - pressed))
        terminal.press("j")
    return found


@contextmanager
def _exchange(folder: Path, rounds: int) -> Iterator[tuple[_TimedExchange, dict[str, str]]]:
    """An exchange with one market, and an order for each cancel."""
    ids = (str(uuid.UUID(int=number)) for number in itertools.count(1))
    clock = SystemClock()
    options = ExchangeOptions(read_rate=100_000, write_rate=100_000)
    exchange = _TimedExchange(new_id=lambda: next(ids), options=options)
    now = clock.now()
    exchange.list_series(SeriesSpec(ticker="KXBENCH", title="Bench"))
    exchange.list_event(EventSpec(event_ticker="KXBENCH-40JAN01", series_ticker="KXBENCH", title="Bench"), now)
    exchange.list_market(
        MarketSpec(
            ticker=TICKER, event_ticker="KXBENCH-40JAN01", title="Will it?", open_time=now,
            close_time=Ts(now + 86_400_000),
        ),
        now,
    )  # fmt: skip
    exchange.add_account(_ME, dollars(1000))
    key = Ed25519PrivateKey.generate()
    exchange.register_key(_ME, _KEY_ID, key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    exchange.advance(now)
    for _ in range(rounds):
        exchange.submit(_ME, NewOrder(ticker=TICKER, side=BID, price=cents(40), qty=contracts(1)), now)
    path = folder / "key.pem"
    path.touch(mode=0o600)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    server = SimServer(exchange, clock)
    server.start()
    try:
        yield exchange, {
            "KALSHI_REST_URL": server.rest_url, "KALSHI_WS_URL": server.ws_url, "KALSHI_API_KEY_ID": _KEY_ID,
            "KALSHI_PRIVATE_KEY_PATH": str(path), "KALSHI_STATE": str(folder / "state"), "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"), "KALSHI_ENV": "sim",
        }  # fmt: skip
    finally:
        server.stop()


def _orders(variables: dict[str, str]) -> tuple[LiveEvent, tuple[LiveOrderRow, ...]]:
    """The account as its event stream shows it, and its orders."""
    os.environ.update(variables)
    with Kalshi.open() as kalshi:
        event = next(iter(kalshi.trading.events()))
    return event, event.orders or ()


@contextmanager
def _published(path: Path, account: tuple[LiveEvent, tuple[LiveOrderRow, ...]]) -> Iterator[None]:
    """Publish as a loop does whose markets change a thousand times a second: all changes, five times a second."""
    event, _ = account
    assert event.run is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    publisher, is_over = EventPublisher(path), threading.Event()
    count = int(UPDATES_A_SECOND * PUBLISH_EVERY_S)
    run, clock = event.run, SystemClock()
    if run is None:
        raise ValueError("the event has no run")

    def publish() -> None:
        for number in itertools.count():
            whole: dict[str, Any] = msgspec.structs.asdict(event)
            whole["run"] = msgspec.structs.replace(run, running=True, pid=os.getpid(), time=clock.now())
            whole["markets"] = tuple(_row(market, number) for market in range(count))
            parts = {name: msgspec.json.encode(value) for name, value in whole.items() if value is not None}
            publisher.publish({name: part for name, part in parts.items() if name not in ("dropped", "silent_s")})
            if is_over.wait(PUBLISH_EVERY_S):
                return

    thread = threading.Thread(target=publish, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
        publisher.close()


def _row(market: int, number: int) -> TopRow:
    bid = Price(100 * (10 + (market + number) % 80))
    return TopRow(
        ticker=f"KXBENCH-40JAN01-T{market}", title=TruncatableText(f"Will it be above {market}?"), bid=bid,
        bid_count=contracts(number % 100 + 1), ask=Price(bid + 200), ask_count=contracts(market % 100 + 1),
    )  # fmt: skip


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, least and most."""
    return median(values), min(values), max(values)
