"""Authentication and rate limits: signatures, the clock window, scopes of keys, the token buckets."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.model import listing, records
from kalshi_cli.simulator.protocol.replies import HttpError, RejectionError, too_many

KEY, TIMESTAMP, SIGNATURE = "kalshi-access-key", "kalshi-access-timestamp", "kalshi-access-signature"

_CHILDREN = (
    (r"GET /portfolio/balance", "read::portfolio_balance"),
    (r"GET /communications/block-trade-proposals", "read::block_trade_accept"),
    (r"POST /communications/block-trade-proposals/[^/]+/accept", "write::block_trade_accept"),
    (r"(POST|PUT|DELETE) /(portfolio/(events/orders|order_groups)|communications)(/.*)?", "write::trade"),
    (r"POST /portfolio/(subaccounts/transfer|intra_exchange_instance_transfer)", "write::transfer"),
)
"""Calls that a narrower scope also allows; the first match counts."""


class ServerTokenBucket:
    """Tokens that refill continuously, up to a capacity. It counts thousandths, so no fraction is lost."""

    def __init__(self, rate: int, capacity: int, now: Ts) -> None:
        self.rate = rate
        self._capacity = capacity
        self._level = capacity * 1000
        self._filled = now

    def has(self, cost: int, now: Ts) -> bool:
        """Return whether there are enough tokens now. A rate of 0 means no limit."""
        elapsed = max(0, now - self._filled)
        self._filled = now
        self._level = min(self._capacity * 1000, self._level + self.rate * elapsed)
        return self.rate == 0 or self._level >= cost * 1000

    def pay(self, cost: int) -> None:
        """Take tokens."""
        self._level -= cost * 1000


class Authenticator:
    """Verifies requests with registered public keys, and charges the buckets of their accounts.

    `rates` returns the tokens per second of an account, read and write; `capacities` the sizes of its buckets.
    """

    def __init__(
        self,
        options: listing.ExchangeOptions,
        rates: Callable[[str], tuple[int, int]],
        capacities: Callable[[str], tuple[int, int]],
    ) -> None:
        self._options = options
        self._rates = rates
        self._capacities = capacities
        self._keys: dict[str, tuple[records.KeyRecord, RSAPublicKey | Ed25519PublicKey]] = {}
        self._buckets: dict[tuple[str, bool, int], ServerTokenBucket] = {}

    def admit(self, key: records.KeyRecord) -> None:
        """Accept signatures of this key; ValueError if it is neither RSA nor Ed25519."""
        parsed = load_pem_public_key(key.public_key)
        if not isinstance(parsed, (RSAPublicKey, Ed25519PublicKey)):
            raise ValueError(f"Key {key.key_id} is neither RSA nor Ed25519")
        self._keys[key.key_id] = (key, parsed)

    def dismiss(self, key_id: str) -> None:
        """Reject signatures of this key from now on."""
        self._keys.pop(key_id, None)

    def account(self, method: str, path: str, headers: dict[str, str], now: Ts) -> str | None:
        """Return the account that signed a request, or None for an unsigned one; refuse (401) an invalid signature."""
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
        """Return the subaccount that the key is restricted to, if any; refuse (403) a call outside its scopes."""
        record, _ = self._keys[headers[KEY]]
        check_scope(record, method, path)
        return record.subaccount

    def charge(self, account: str | None, cost: int, now: Ts, *, is_write: bool, shards: Iterable[int] = (0,)) -> None:
        """Take tokens from the read bucket, or the write buckets of shards; refuse (429) if one has too few.

        Calls without a key are not limited, because the real limits of those are not published.
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
    """Return the refusal of a request without a signature."""
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


def check_scope(key: records.KeyRecord, method: str, path: str) -> None:
    """Refuse (403) a call that no scope of the key allows; `path` follows `/trade-api/v2`."""
    parent = "read" if method == "GET" else "write"
    called = f"{method} {path}"
    child = next((scope for pattern, scope in _CHILDREN if re.fullmatch(pattern, called)), parent)
    if not {parent, child} & set(key.scopes):
        raise RejectionError(403, "forbidden", f"this API key lacks the scope {child}")
