from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from support.scripted_server import HANG, NOW, ScriptedServer, Step

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.call import Timeouts
from kalshi_cli.exchange.rest.signing import Signer


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
def patience() -> dict[str, float]:
    """How long a client waits for a reply: little only where none will come, for a busy machine may take its time."""
    return {"read": 10.0}


@pytest.fixture
def serve(patience: dict[str, float]) -> Iterator[Callable[..., ScriptedServer]]:
    servers: list[ScriptedServer] = []

    def start(*steps: Step) -> ScriptedServer:
        if HANG in steps:
            patience["read"] = 0.4
        servers.append(ScriptedServer(steps))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def connect(
    rsa_key: rsa.RSAPrivateKey, clock: ManualClock, patience: dict[str, float]
) -> Iterator[Callable[..., KalshiClient]]:
    """A client of a scripted server: real sockets, and pauses that cost no time."""
    clients: list[KalshiClient] = []

    def make(url: str, **options: object) -> KalshiClient:
        settings = {
            "clock": clock,
            "rng": random.Random(1),
            "signer": Signer("key-id", rsa_key, clock),
            "timeouts": Timeouts(connect=10, read=patience["read"], total=10),
            **options,
        }
        clients.append(KalshiClient(url, **settings))  # type: ignore[arg-type]
        return clients[-1]

    yield make
    for client in clients:
        client.close()
