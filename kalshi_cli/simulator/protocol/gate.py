"""Who is asking, and may they ask now: signatures, the clock window, the token buckets."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.simulator.model.records import KeyRecord
from kalshi_cli.simulator.protocol.replies import HttpError, RejectionError, too_many
from kalshi_cli.simulator.protocol.scopes import check_scope

KEY, TIMESTAMP, SIGNATURE = "kalshi-access-key", "kalshi-access-timestamp", "kalshi-access-signature"


class ServerTokenBucket:
    """Tokens that refill continuously, up to a capacity. Counted in thousandths, so no fraction is lost."""

    def __init__(self, rate: int, capacity: int, now: Ts) -> None:
        self.rate = rate
        self._capacity = capacity
        self._level = capacity * 1000
        self._filled = now

    def has(self, cost: int, now: Ts) -> bool:
        """Whether there is enough now. A rate of 0 is no limit."""
        elapsed = max(0, now - self._filled)
        self._filled = now
        self._level = min(self._capacity * 1000, self._level + self.rate * elapsed)
        return self.rate == 0 or self._level >= cost * 1000

    def pay(self, cost: int) -> None:
        self._level -= cost * 1000


class Authenticator:
    """Verifies requests against registered public keys, and charges the buckets of their accounts.

    `rates` returns an account's tokens a second, read and write; `capacities` how many its buckets hold.
    """

    def __init__(
        self,
        options: ExchangeOptions,
        rates: Callable[[str], tuple[int, int]],
        capacities: Callable[[str], tuple[int, int]],
    ) -> None:
        self._options = options
        self._rates = rates
        self._capacities = capacities
        self._keys: dict[str, tuple[KeyRecord, RSAPublicKey | Ed25519PublicKey]] = {}
        self._buckets: dict[tuple[str, bool, int], ServerTokenBucket] = {}

    def admit(self, key: KeyRecord) -> None:
        """Let this key sign; ValueError where it is neither RSA nor Ed25519."""
        parsed = load_pem_public_key(key.public_key)
        if not isinstance(parsed, (RSAPublicKey, Ed25519PublicKey)):
            raise ValueError(f"key {key.key_id} is neither RSA nor Ed25519")
        self._keys[key.key_id] = (key, parsed)

    def dismiss(self, key_id: str) -> None:
        """Let this key sign no longer."""
        self._keys.pop(key_id, None)

    def account(self, method: str, path: str, headers: dict[str, str], now: Ts) -> str | None:
        """The account that signed this, None where nobody did; a WireError (401) where the signature is no good."""
        if not any(name in headers for name in (KEY, TIMESTAMP, SIGNATURE)):
            return None
        if not headers.get(SIGNATURE):
            raise missing_signature()
        record, key = self._keys.get(headers.get(KEY, ""), (None, None))
        if record is None or key is None:
            raise RejectionError(401, "authentication_error", "NOT_FOUND", "authentication_error")
        stamp = headers.get(TIMESTAMP, "")
        is_number = stamp.isascii() and stamp.isdigit() and len(stamp) <= 16
        age = now - int(stamp) if is_number else 0
        if not is_number or not -self._options.clock_future_ms <= age <= self._options.clock_past_ms:
            raise RejectionError(401, "header_timestamp_expired")
        if not _is_signed(key, headers[SIGNATURE], f"{stamp}{method}{path}".encode()):
            raise RejectionError(401, "authentication_error", "INCORRECT_API_KEY_SIGNATURE", "authentication_error")
        return record.account

    def permit(self, headers: dict[str, str], method: str, path: str) -> int | None:
        """The only subaccount that the key of this request may name, None: any; a WireError (403) without the scope."""
        record, _ = self._keys[headers[KEY]]
        check_scope(record, method, path)
        return record.subaccount

    def charge(self, account: str | None, cost: int, now: Ts, *, is_write: bool, shards: Iterable[int] = (0,)) -> None:
        """Take tokens from the account's read bucket, or its write buckets of shards; 429 where one has not enough.

        Calls without a key are not limited: the real limits of those are not published.
        """
        if account is None:
            return
        known = self._options.shards
        buckets = [
            self._bucket((account, is_write, shard), now)
            for shard in dict.fromkeys(shard if 0 <= shard < known else 0 for shard in shards)
        ]
        if not all(bucket.has(cost, now) for bucket in buckets):
            raise too_many()
        for bucket in buckets:
            bucket.pay(cost)

    def _bucket(self, key: tuple[str, bool, int], now: Ts) -> ServerTokenBucket:
        account, is_write, _ = key
        bucket, rate = self._buckets.get(key), self._rates(account)[is_write]
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[key] = ServerTokenBucket(rate, self._capacities(account)[is_write], now)
        return bucket


def missing_signature() -> HttpError:
    return RejectionError(401, "signature_is_missing_from_headers")


def _is_signed(key: RSAPublicKey | Ed25519PublicKey, signature: str, text: bytes) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
        if isinstance(key, RSAPublicKey):
            key.verify(raw, text, PSS(MGF1(hashes.SHA256()), PSS.DIGEST_LENGTH), hashes.SHA256())
        else:
            key.verify(raw, text)
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True
