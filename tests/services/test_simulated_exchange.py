"""The simulated exchange of a state directory, between processes."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from uuid import uuid4

import msgspec
import pytest
from support.served import start

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import AnotherInstanceError, StateFileError, UsageError
from kalshi_cli.base.units import Price, Ts, contracts, dollars
from kalshi_cli.config.schema import SimulatorConfig
from kalshi_cli.core.model.order_terms import BID, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.services import simulated_exchange
from kalshi_cli.services.simulated_exchange import ACCOUNT, KEY_ID, SimulatorLauncher
from kalshi_cli.simulator.serving.announcement import Address
from kalshi_cli.simulator.serving.in_process_transport import SimTransport

CLOCK = SystemClock()

SERVE = dedent("""
    import sys
    from pathlib import Path
    from uuid import uuid4

    from kalshi_cli.base.clock import SystemClock
    from kalshi_cli.config.schema import SimulatorConfig
    from kalshi_cli.services.simulated_exchange import SimulatorLauncher

    simulator = SimulatorLauncher(Path(sys.argv[1]), SimulatorConfig(), SystemClock(), lambda: str(uuid4()))
    simulator.serve(lambda address: print("ready", flush=True))
    sys.exit()
""")


def simulator(folder: Path) -> SimulatorLauncher:
    return SimulatorLauncher(folder / "sim" / "exchange", SimulatorConfig(), CLOCK, lambda: str(uuid4()))


@pytest.fixture
def begun(begin: Callable[[Path], None], tmp_path: Path) -> None:
    """It is there already."""
    begin(tmp_path)


@pytest.fixture
def serve(begun: None, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Serve it from another process; killed at the end whatever happens."""
    running: list[subprocess.Popen[str]] = []

    def serving() -> subprocess.Popen[str]:
        process = start([str(tmp_path / "sim" / "exchange")], dict(os.environ), tmp_path, first=SERVE)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield serving
    for process in running:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def served_client(address: Address, sim: SimulatorLauncher) -> KalshiClient:
    signer = Signer(*sim.credentials(), CLOCK)
    return KalshiClient(address.rest_url, clock=CLOCK, rng=random.Random(1), signer=signer)


def intent(ticker: str, price: Price, tif: TimeInForce) -> Order:
    now = CLOCK.now()
    return Order(
        client_order_id=str(uuid4()),
        ticker=ticker,
        side=BID,
        price=price,
        qty=contracts(2),
        tif=tif,
        status=OrderStatus.SUBMITTED,
        created=now,
        updated=now,
    )


def test_nobody_serves_it_at_first(tmp_path: Path) -> None:
    assert simulator(tmp_path).serving() is None
    assert not (tmp_path / "sim" / "exchange").exists(), "looking creates nothing"


def test_another_process_finds_it_and_may_not_open_it(
    tmp_path: Path, serve: Callable[[], subprocess.Popen[str]]
) -> None:
    process, sim = serve(), simulator(tmp_path)
    address = sim.serving()
    assert address is not None
    assert (address.pid, address.key_id, Path(address.private_key_path)) == (process.pid, KEY_ID, sim.key_path)
    with served_client(address, sim) as client:
        assert client.balance().cash == dollars(1_000)
    with pytest.raises(AnotherInstanceError), sim.open():
        pass
    with pytest.raises(AnotherInstanceError):
        sim.reset()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 1)])
def test_a_signal_ends_it_in_good_order(
    tmp_path: Path, serve: Callable[[], subprocess.Popen[str]], number: signal.Signals, code: int
) -> None:
    process = serve()
    process.send_signal(number)
    assert process.wait(60) in (code, -number)
    assert simulator(tmp_path).serving() is None
    assert not (tmp_path / "sim" / "exchange" / "address.json").exists()


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, serve: Callable[[], subprocess.Popen[str]]) -> None:
    process, sim = serve(), simulator(tmp_path)
    address = sim.serving()
    assert address is not None
    with served_client(address, sim) as client:
        markets = client.markets(status="open")
        market = max((m for m in markets if (m.yes_ask or 0) > Price(2_000)), key=lambda m: m.close_time)
        taken = client.create_order(intent(market.ticker, Price(9_900), TimeInForce.IOC))
        rested = client.create_order(intent(market.ticker, Price(100), TimeInForce.GTC))
        cash, fills = client.balance().cash, {fill.trade_id: fill for fill in client.fills()}
    assert taken.filled == contracts(2)
    process.kill()
    process.wait()
    assert (tmp_path / "sim" / "exchange" / "address.json").exists(), "it had no time to take it away"
    assert sim.serving() is None, "the address of a dead process is ignored"
    with sim.open() as (exchange, _):
        signer = Signer(*sim.credentials(), CLOCK)
        transport = SimTransport(exchange, CLOCK)
        with KalshiClient(
            "http://localhost/trade-api/v2", clock=CLOCK, rng=random.Random(1), signer=signer, transport=transport
        ) as client:
            assert client.balance().cash == cash
            assert {fill.trade_id: fill for fill in client.fills()} == fills
            assert client.order(rested.order_id).status is OrderStatus.RESTING
            assert client.order(taken.order_id).filled == contracts(2)
        assert exchange.position(ACCOUNT, market.ticker) == contracts(2)


def test_a_stale_address_of_another_process_is_ignored(begun: None, tmp_path: Path) -> None:
    sim = simulator(tmp_path)
    with sim.open():
        assert sim.serving() is None, "open, but not served"
        with sim.announce("http://127.0.0.1:1/x", "ws://127.0.0.1:1/y") as address:
            assert sim.serving() == address
            stale = msgspec.structs.replace(address, pid=os.getpid() + 1)
            (sim.folder / "address.json").write_bytes(msgspec.json.encode(stale))
            assert sim.serving() is None
            (sim.folder / "address.json").write_bytes(b"{half")
            assert sim.serving() is None


def test_a_one_shot_command_waits_for_another(begun: None, tmp_path: Path) -> None:
    sim = simulator(tmp_path)
    holds, seen = threading.Event(), []

    def first() -> None:
        with simulator(tmp_path).open():
            holds.set()
            CLOCK.sleep(0.3)
            seen.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    holds.wait()
    with sim.open() as (exchange, _):
        seen.append("second")
        assert ACCOUNT in exchange.accounts()
    thread.join()
    assert seen == ["first", "second"]


def test_it_is_as_it_was_left(begun: None, tmp_path: Path) -> None:
    sim = simulator(tmp_path)
    with sim.open() as (exchange, _):
        known = set(exchange.tickers(""))
        exchange.add_account("mark", dollars(1))
    with sim.open() as (exchange, _):
        assert known <= set(exchange.tickers(""))
        assert exchange.cash("mark") == dollars(1)
        assert exchange.cash(ACCOUNT) == dollars(1_000)


def test_a_reset_forgets_everything_but_not_while_it_is_open(
    begin: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulated_exchange, "WAIT_S", 0.2)
    sim = simulator(tmp_path)
    sim.reset()
    assert not sim.folder.exists(), "a reset of nothing makes nothing"
    begin(tmp_path)
    with sim.open() as (exchange, _):
        exchange.add_account("mark", dollars(1))
        with pytest.raises(AnotherInstanceError):
            simulator(tmp_path).reset()
    sim.reset()
    assert [path.name for path in sim.folder.iterdir()] == ["lock"]
    with sim.open() as (exchange, _):
        assert "mark" not in exchange.accounts()


def test_the_key_is_readable_by_its_owner_only_and_stays(tmp_path: Path) -> None:
    sim = simulator(tmp_path)
    old = os.umask(0)
    try:
        _, key = sim.credentials()
    finally:
        os.umask(old)
    assert stat.S_IMODE(sim.key_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(sim.folder.stat().st_mode) == 0o700
    _, again = simulator(tmp_path).credentials()
    message = b"the same key"
    again.public_key().verify(key.sign(message), message)  # type: ignore[call-arg]
    assert [path.name for path in sim.folder.iterdir()] == ["key.pem"], "no draft is left"


def test_a_folder_that_cannot_be_made_is_a_state_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(StateFileError, match=r"key\.pem"):
        simulator(tmp_path / "file").credentials()


def test_time_passes_while_nobody_looks(begun: None, tmp_path: Path) -> None:
    sim = simulator(tmp_path)
    with sim.open() as (exchange, world):
        soon = Ts(CLOCK.now() + 3 * 3_600_000)
        before = set(exchange.tickers())
        world.advance(soon)
        assert set(exchange.tickers()) - before, "markets close, and others open"


def test_an_exchange_keeps_the_seed_it_was_made_with(tmp_path: Path) -> None:
    def made(seed: int, *, is_chosen: bool) -> SimulatorLauncher:
        return SimulatorLauncher(
            tmp_path / "x", SimulatorConfig(seed=seed), CLOCK, lambda: str(uuid4()), is_seed_chosen=is_chosen
        )

    with made(7, is_chosen=True).open() as (exchange, _):
        first = exchange.tickers()[0]
    with made(1, is_chosen=False).open() as (exchange, _):
        assert first in exchange.tickers()
    with pytest.raises(UsageError, match="created with seed 7, not 8"), made(8, is_chosen=True).open():
        pass
    assert (tmp_path / "x" / "seed").read_text() == "7"


def test_a_switch_that_is_chosen_reaches_the_exchange(tmp_path: Path) -> None:
    options = SimulatorConfig(inactive_status=409, hang_up="close", flat_fee=dollars("0.02"))
    made = SimulatorLauncher(tmp_path / "sim" / "exchange", options, CLOCK, lambda: str(uuid4()))
    with made.open() as (exchange, _):
        assert (exchange.options.inactive_status, exchange.options.hang_up) == (409, "close")
        assert exchange.options.flat_fee == dollars("0.02")
