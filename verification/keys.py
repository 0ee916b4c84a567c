"""A key for both sides of the connection that signs millions of requests at low cost."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from kalshi_cli.simulator.exchange import SimulatedExchange

MOST_KEPT = 10_000


class OwnKey:
    """Signs as the key it stands for, and knows its own signatures again without reckoning; any other is verified.

    Both cost more than all else that a simulated exchange does with a request.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._private = key
        self._public = key.public_key()
        self._made: dict[bytes, bytes] = {}

    def sign(self, text: bytes) -> bytes:
        """Ed25519 has one signature of a text: the one that was made before, where there is one."""
        if text not in self._made:
            if len(self._made) >= MOST_KEPT:
                self._made.clear()
            self._made[text] = self._private.sign(text)
        return self._made[text]

    def verify(self, signature: bytes, text: bytes) -> None:
        """Raises InvalidSignature where it is not one of this text by this key."""
        if self._made.get(text) != signature:
            self._public.verify(signature, text)

    def admit(self, exchange: SimulatedExchange, key_id: str) -> None:
        """The exchange holds what is signed under this id against this key, in place of its public half."""
        record, _ = exchange._gate._keys[key_id]
        exchange._gate._keys[key_id] = record, self  # type: ignore[assignment]
