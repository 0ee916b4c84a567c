"""API keys made, used and deleted over the simulated exchange's own routes."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from support import exchange as support_exchange
from support.exchange import RSA_KEY, Caller, make_exchange, public_pem

from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.journal import MemoryJournal


@pytest.fixture
def alice() -> Caller:
    return Caller(make_exchange())


def as_owner(
    monkeypatch: pytest.MonkeyPatch, exchange: SimulatedExchange, key_id: str, key: Any, *, is_rsa: bool = False
) -> Caller:
    """Somebody who signs with this key; the builder signs for `bob` with RSA."""
    who = "bob" if is_rsa else "alice"
    monkeypatch.setitem(support_exchange.KEYS, who, (key_id, key))
    monkeypatch.setattr(support_exchange, "RSA_KEY" if is_rsa else "ED_KEY", key)
    return Caller(exchange, who)


@pytest.mark.parametrize(("key_type", "kind"), [("rsa", RSAPrivateKey), ("ed25519", Ed25519PrivateKey)])
def test_a_generated_key_signs_for_its_account(
    alice: Caller, monkeypatch: pytest.MonkeyPatch, key_type: str, kind: type
) -> None:
    status, made = alice("POST", "/api_keys/generate", {"name": "second", "key_type": key_type})
    assert (status, made["key_type"]) == (201, key_type)
    key = load_pem_private_key(made["private_key"].encode(), None)
    assert isinstance(key, kind)
    deposits = alice.get("/portfolio/balance")
    owner = as_owner(monkeypatch, alice.exchange, made["api_key_id"], key, is_rsa=key_type == "rsa")
    assert owner.get("/portfolio/balance") == deposits
    assert owner("DELETE", f"/api_keys/{made['api_key_id']}")[0] == 204
    assert owner("GET", "/portfolio/balance")[0] == 401


def test_a_registered_key_keeps_its_scopes_and_is_listed(alice: Caller) -> None:
    body = {"name": "reader", "public_key": public_pem(RSA_KEY).decode(), "scopes": ["read"]}
    status, made = alice("POST", "/api_keys", body)
    assert status == 201
    listed = {key["api_key_id"]: key for key in alice.get("/api_keys")["api_keys"]}
    assert listed[made["api_key_id"]]["scopes"] == ["read"]
    assert made["api_key_id"] not in {
        key["api_key_id"] for key in Caller(alice.exchange, "bob").get("/api_keys")["api_keys"]
    }


def test_a_key_of_another_account_is_not_found(alice: Caller) -> None:
    assert alice("DELETE", "/api_keys/bob-key")[0] == 404
    assert Caller(alice.exchange, "bob").get("/portfolio/balance")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "no key"},
        {"name": "junk", "public_key": "junk"},
        {"name": "curve", "public_key": public_pem(ec.generate_private_key(ec.SECP256R1())).decode()},
        {"name": "write alone", "public_key": public_pem(RSA_KEY).decode(), "scopes": ["write"]},
        {"name": "scope", "public_key": public_pem(RSA_KEY).decode(), "scopes": ["everything"]},
        {"name": "pocket", "public_key": public_pem(RSA_KEY).decode(), "subaccount": 7},
    ],
)
def test_what_is_no_key_is_a_400(alice: Caller, body: dict[str, Any]) -> None:
    before = alice.get("/api_keys")
    assert alice("POST", "/api_keys", body)[0] == 400
    assert alice.get("/api_keys") == before


def test_keys_are_limited(alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kalshi_cli.simulator.rest.api_keys.MAX_KEYS", 2)
    body = {"name": "one more", "key_type": "ed25519"}
    assert [alice("POST", "/api_keys/generate", body)[0] for _ in range(2)] == [201, 400]


def test_made_and_deleted_keys_survive_a_restart() -> None:
    journal = MemoryJournal()
    alice = Caller(make_exchange(journal=journal))
    kept, gone = (
        alice("POST", "/api_keys/generate", {"name": name, "key_type": "ed25519"})[1]["api_key_id"] for name in "ab"
    )
    alice("DELETE", f"/api_keys/{gone}")
    again = SimulatedExchange(new_id=lambda: "x", options=alice.exchange.options, journal=journal)
    again.restore()
    ids = {key["api_key_id"] for key in Caller(again).get("/api_keys")["api_keys"]}
    assert kept in ids
    assert gone not in ids
