"""The API keys of an account: list, register, generate and delete (API.md section 2)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.key_pairs import KeyType, new_key_pair
from kalshi_cli.simulator.model.records import KeyRecord
from kalshi_cli.simulator.protocol.gate import Authenticator
from kalshi_cli.simulator.protocol.replies import Json, existing, invalid, matching, not_found, refusing
from kalshi_cli.simulator.protocol.routing import RouteCall, Routes, Subaccount, check_subaccount, private, route
from kalshi_cli.simulator.protocol.shapes import show

Scope = Literal[
    "read", "write", "read::block_trade_accept", "read::portfolio_balance", "write::trade", "write::transfer",
    "write::block_trade_accept", "write::fcm_risk",
]  # fmt: skip
MAX_KEYS = 100
"""The most keys of one account. The real limit is not published."""


class _NewKey(msgspec.Struct, kw_only=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    scopes: tuple[Scope, ...] = ("read", "write")
    subaccount: Subaccount | None = None


class _Registered(_NewKey, kw_only=True):
    public_key: str


class _Generated(_NewKey, kw_only=True):
    key_type: KeyType = "rsa"


class ApiKeyRoutes(Routes):
    """Routes that list, create and delete API keys."""

    def __init__(self, state: SimulatorState, gate: Authenticator) -> None:
        super().__init__(state)
        self._gate = gate

    @private("/api_keys", "GetApiKeys")
    def api_keys(self, call: RouteCall) -> Json:
        """Return all keys of the account."""
        return {
            "api_keys": [{"api_key_id": key.key_id} | show(key, "name scopes", "subaccount") for key in self._own(call)]
        }

    @route("POST", "/api_keys", "CreateApiKey", is_private=True, success=201)
    def create(self, call: RouteCall) -> Json:
        """Register a public key of the caller."""
        body = call.read(_Registered, bare=True)
        return {"api_key_id": self._add(call, body, body.public_key.encode())}

    @route("POST", "/api_keys/generate", "GenerateApiKey", is_private=True, success=201)
    def generate(self, call: RouteCall) -> Json:
        """Generate a key pair, and return the private key once."""
        body = call.read(_Generated, bare=True)
        private_key, public_key = new_key_pair(body.key_type)
        key_id = self._add(call, body, public_key)
        return {"api_key_id": key_id, "private_key": private_key.decode(), "key_type": body.key_type}

    @route("DELETE", "/api_keys/:api_key", "DeleteApiKey", is_private=True, success=204)
    def delete(self, call: RouteCall) -> None:
        """Delete a key of the account."""
        key = existing(self._state.keys.get(call.path[0]))
        if key.account != call.account:
            raise not_found()
        self._gate.dismiss(key.key_id)
        self._state.drop_key(key)

    def _add(self, call: RouteCall, wanted: _NewKey, public_key: bytes) -> str:
        if "write" in wanted.scopes and "read" not in wanted.scopes:
            raise invalid("the scope write needs read")
        if wanted.subaccount is not None:
            check_subaccount(self._member(call), wanted.subaccount)
        if len(self._own(call)) >= MAX_KEYS:
            raise invalid(f"at most {MAX_KEYS} keys")
        key = KeyRecord(
            key_id=self._state.new_id(),
            account=call.caller,
            public_key=public_key,
            name=wanted.name,
            scopes=wanted.scopes,
            subaccount=call.allowed(wanted.subaccount, None),
        )
        with refusing(invalid("public_key is neither an RSA nor an Ed25519 key in PEM format")):
            self._gate.admit(key)
        self._state.add_key(key)
        self._state.keep(f"key/{key.key_id}", key)
        return key.key_id

    def _own(self, call: RouteCall) -> list[KeyRecord]:
        return list(matching(self._state.keys.values(), account=call.caller))
