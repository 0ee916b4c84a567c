"""A loop whose key is locked to a subaccount: what it holds there is what the exchange states."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.simulation import KEY, TICKER, Simulation
from support.trading import TradingLoop

from kalshi_cli.base.units import contracts, dollars
from kalshi_cli.core.model.order_terms import ASK


def lock(sim: Simulation) -> int:
    number = sim.exchange.add_subaccount("alice")
    assert number is not None
    sim.exchange.deposit("alice", dollars(100), subaccount=number)
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    sim.exchange.register_key("alice", "alice-key", pem, subaccount=number)
    return number


@pytest.mark.parametrize("is_known", [True, False])
def test_its_position_is_explained_where_the_lock_is_known(sim: Simulation, is_known: bool) -> None:
    number = lock(sim)
    if is_known:
        sim.client.lock = number
    sim.market(38, 44)
    loop = TradingLoop(sim)
    loop.ticks(1)
    assert sim.take(ASK, 40, 10) == contracts(10)
    loop.ticks(30)
    assert sim.exchange.position("alice", TICKER, number) > 0
    codes = {alert.code for alert in sim.store.alerts()}
    assert ("DRIFT" in codes) is not is_known
