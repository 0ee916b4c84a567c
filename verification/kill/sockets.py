"""The real command in its own process, over sockets, against programs that place orders as fast as allowed.

Measured at the exchange, from the moment before the process of `kalshi cancel-all` starts, so every figure includes the
start of Python.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from support.served import KEY_ID, ME, TWO_SIDED, CheckedExchange, Served, eventually, finish, served, start

from kalshi_cli.base.units import Ts, contracts
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.signing import Signer, load_key
from kalshi_cli.simulator.protocol.replies import Request, Response
from kalshi_cli.store.records import RunGroup
from kalshi_cli.store.sqlite_store import Store
from verification.kill.result import Line

ORDERS = 1_000


@dataclass
class Log:
    """When what arrived, in seconds of this machine's monotonic clock."""

    creates: list[float] = field(default_factory=list)
    triggers: list[float] = field(default_factory=list)
    refused: int = 0
    left: int = -1
    command_s: float = 0.0
    code: int = -1


def _listen(exchange: CheckedExchange, log: Log) -> None:
    """Note each request that reaches the exchange."""
    inner = exchange.handle

    def handle(request: Request, now: Ts) -> Response:
        at = time.monotonic()
        response = inner(request, now)
        if request.method == "POST" and request.path.endswith("/events/orders"):
            log.creates.append(at)
        elif request.path.endswith("/trigger"):
            log.triggers.append(at)
        log.refused += response.status == 429
        return response

    exchange.handle = handle  # type: ignore[method-assign]


def once(number: int) -> tuple[Log, float]:
    """One press of the switch; the log, and when it was pressed."""
    log = Log()
    with (
        tempfile.TemporaryDirectory() as folder,
        served(Path(folder), read_rate=200, write_rate=100, read_lag_ms=500, shards=1) as exchange,
    ):
        groups = fill(exchange, number, 1 + number % 4)
        _listen(exchange.exchange, log)
        placers = [_placer(exchange, name) for name in (groups[0], "")]
        try:
            eventually(lambda: len(log.creates) > 10)
            pressed = time.monotonic()
            ended = finish(start(["cancel-all", "--json"], exchange.variables(), exchange.home))
            log.command_s = time.monotonic() - pressed
            time.sleep(1.0)  # whoever still places would do it now
            log.code, log.left = ended.code, len(exchange.resting())
        finally:
            for process in placers:
                process.kill()
                process.wait()
        if log.code:
            sys.stderr.write(ended.err)
    return log, pressed


def _placer(exchange: Served, group: str) -> subprocess.Popen[bytes]:
    root = Path(__file__).parents[2]
    others = {name: value for name, value in os.environ.items() if not name.startswith("KALSHI_")}
    variables = {**others, **exchange.variables(), "PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}"}
    return subprocess.Popen([sys.executable, "-m", "verification.kill.placer", group], env=variables, cwd=exchange.home)


def fill(exchange: Served, number: int, groups: int) -> list[str]:
    """A thousand orders at rest, in groups that the state file knows in every other run."""
    with _client(exchange) as client:
        made = [client.create_order_group(contracts(1_000)).group_id for _ in range(groups)]
    for n in range(ORDERS):
        exchange.submit(ME, TWO_SIDED, BID, f"0.{5 + n % 30:02}", "1", group_id=made[n % groups])
    time.sleep(1.0)  # reads show it, and the buckets are full
    home = exchange.state / "sim"
    with Store.open(home / "state.db", account=KEY_ID, environment="sim") as store:
        for group_id in made if number % 2 else made[:1]:
            store.save_order_group(RunGroup(group_id, 0))
    return made


def _client(exchange: Served) -> KalshiClient:
    signer = Signer(KEY_ID, load_key(exchange.key_path), exchange.clock)
    return KalshiClient(exchange.server.rest_url, clock=exchange.clock, rng=random.Random(1), signer=signer)


def lines(repeats: int) -> list[Line]:
    """T5 as a person meets it."""
    runs = [once(number) for number in range(repeats)]
    what = f"T5 kalshi cancel-all, {ORDERS} grouped orders, 2 programs placing"
    creates = [max(log.creates) - pressed for log, pressed in runs]
    return [
        Line(f"{what}: last create arrived", max(creates), 0.25, repeats),
        Line(f"{what}: groups triggered", max(max(log.triggers) - pressed for log, pressed in runs), 1.0, repeats),
        Line(f"{what}: command done", max(log.command_s for log, _ in runs), 2.0, repeats),
        Line(f"{what}: not proven empty", sum(bool(log.code or log.left) for log, _ in runs), 0, repeats, "runs"),
        Line(f"{what}: answers 429", sum(log.refused for log, _ in runs), 0, repeats, "429s"),
    ]
