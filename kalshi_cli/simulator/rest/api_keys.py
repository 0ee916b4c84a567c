"""The API keys of an account: list, register, generate and delete (API.md section 2)."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.records import KeyRecord
from kalshi_cli.simulator.protocol.gate import Authenticator
from kalshi_cli.simulator.protocol.replies import Json, invalid, not_found, refusing
from kalshi_cli.simulator.protocol.routing import RouteCall, Routes, check_subaccount, private, route

Scope = Literal[
    "read", "write", "read::block_trade_accept", "read::portfolio_balance", "write::trade", "write::transfer",
    "write::block_trade_accept", "write::fcm_risk",
]  # fmt: skip
MAX_KEYS = 100
"""Keys of one account. The real limit is not published."""


class _NewKey(msgspec.Struct, kw_only=True):
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    scopes: tuple[Scope, ...] = ("read", "write")
    subaccount: Annotated[int, msgspec.Meta(ge=0, le=63)] | None = None


class _Registered(_NewKey, kw_only=True):
    public_key: str


class _Generated(_NewKey, kw_only=True):
    key_type: Literal["rsa", "ed25519"] = "rsa"


class ApiKeyRoutes(Routes):
    """API keys are listed, made and deleted."""

    def __init__(self, state: SimulatorState, gate: Authenticator) -> None:
        super().__init__(state)
        self._gate = gate

    @private("/api_keys", "GetApiKeys")
    def api_keys(self, call: RouteCall) -> Json:
        """Return all keys of the account."""
        keys = []
        for key in self._own(call):
            shown: Json = {"api_key_id": key.key_id, "name": key.name, "scopes": list(key.scopes)}
            keys.append(shown | ({} if key.subaccount is None else {"subaccount": key.subaccount}))
        return {"api_keys": keys}

    @route("POST", "/api_keys", "CreateApiKey", is_private=True, success=201)
    def create(self, call: RouteCall) -> Json:
        """Register a public key that the caller made."""
        body = call.read(_Registered, bare=True)
        return {"api_key_id": self._add(call, body, body.public_key.encode())}

    @route("POST", "/api_keys/generate", "GenerateApiKey", is_private=True, success=201)
    def generate(self, call: RouteCall) -> Json:
        """Make a key pair and hand over the private key, once."""
        body = call.read(_Generated, bare=True)
        made: rsa.RSAPrivateKey | Ed25519PrivateKey = (
            Ed25519PrivateKey.generate() if body.key_type == "ed25519" else rsa.generate_private_key(65_537, 2048)
        )
        public = made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        form = PrivateFormat.PKCS8 if body.key_type == "ed25519" else PrivateFormat.TraditionalOpenSSL
        private = made.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
        return {"api_key_id": self._add(call, body, public), "private_key": private, "key_type": body.key_type}

    @route("DELETE", "/api_keys/:api_key", "DeleteApiKey", is_private=True, success=204)
    def delete(self, call: RouteCall) -> None:
        """Let a key of the account sign no longer."""
        key = self._state.keys.get(call.path[0])
        if key is None or key.account != call.account:
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
        return [key for key in self._state.keys.values() if key.account == call.account]
