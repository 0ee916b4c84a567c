"""A loop whose key is locked to a subaccount: what it holds there is what the exchange states."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from virtual import KEY, TICKER, Virtual
from virtual_loop import Loop

from kalshi_cli.base.units import contracts, dollars
from kalshi_cli.core.model.order_terms import ASK


def lock(virtual: Virtual) -> int:
    number = virtual.exchange.add_subaccount("alice")
    assert number is not None
    virtual.exchange.deposit("alice", dollars(100), subaccount=number)
    pem = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    virtual.exchange.register_key("alice", "alice-key", pem, subaccount=number)
    return number


@pytest.mark.parametrize("is_known", [True, False])
def test_its_position_is_explained_where_the_lock_is_known(virtual: Virtual, is_known: bool) -> None:
    number = lock(virtual)
    if is_known:
        virtual.client.lock = number
    virtual.market(38, 44)
    loop = Loop(virtual)
    loop.ticks(1)
    assert virtual.take(ASK, 40, 10) == contracts(10)
    loop.ticks(30)
    assert virtual.exchange.position("alice", TICKER, number) > 0
    codes = {alert.code for alert in virtual.store.alerts()}
    assert ("DRIFT" in codes) is not is_known
