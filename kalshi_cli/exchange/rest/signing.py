"""The API key, read from its file or given as PEM text, and the three headers of a signed request.

The signature covers `timestamp + METHOD + path`, with the path from the host root without the query. RSA keys sign with
PSS (SHA-256, salt of 32 bytes), Ed25519 keys plainly; the parsed key decides, never the first line of the PEM.

With `exchange.presign`, signatures of the order path are made while the program is idle, because an RSA one costs more
than the rest of a create, and does not cover the body.
"""

from __future__ import annotations

import base64
import math
import threading
from collections import deque
from collections.abc import Callable, Generator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import CredentialsError, Distrust, refuse
from kalshi_cli.base.file_trust import read_secret
from kalshi_cli.base.text import mask
from kalshi_cli.base.units import Ts

PrivateKey = RSAPrivateKey | Ed25519PrivateKey

_HASH = hashes.SHA256()
_PSS = padding.PSS(mgf=padding.MGF1(_HASH), salt_length=32)
_MAX_FILE_LENGTH = 64 * 1024
_MIN_RSA_LENGTH = 2048
_PART_OF_KEY = 24  # minimum characters of a line that is concealed

READY = 3
"""Signatures that are kept ready: a strategy rarely sends more orders in one step."""

MAX_AGE_S = 2.0
"""A ready signature is never used at this age or later."""

RENEW_S = 1.0
"""A signature of this age is replaced by a new one at the next idle moment."""

MAX_SKEW_MS = 1_000
"""With a larger difference of the clocks, as far as response dates tell, nothing is signed ahead or used."""

NEVER = math.inf
"""A monotonic time that does not come."""

_MAX_STEP_MS = 100
"""The wall clock and the monotonic clock differ by less over two seconds unless one of them was set."""


def load_key(path: Path, distrust: Distrust = refuse) -> PrivateKey:
    """Read an RSA or Ed25519 key (PEM, PKCS#1 or PKCS#8); CredentialsError if it is missing or not a usable key.

    Like ssh, refuse a key file that other users can read, unless `distrust` only warns.
    """
    hint = "use the .key or .pem file from Kalshi"
    try:
        pem = read_secret(path, _MAX_FILE_LENGTH + 1, partial(_refused, path), distrust, instead=hint)
    except CredentialsError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise _refused(path, "file not found", "download the key again, or correct the path") from error
        raise
    if len(pem) > _MAX_FILE_LENGTH:
        raise _refused(path, "file too large for a key", hint)
    return parse_key(pem, path)


def parse_key(pem: bytes, source: Path | str) -> PrivateKey:
    """Return the key of a PEM text and conceal its lines; CredentialsError, naming `source`, if it is not usable."""
    key = _parse(source, pem)
    for line in pem.split():
        if len(line) >= _PART_OF_KEY:
            mask(line.decode("ascii", "replace"))
    return key


def _refused(source: Path | str, why: str, hint: str) -> CredentialsError:
    return CredentialsError(f"Cannot use the private key {source}: {why}", hint=hint, code="private_key")


def _parse(source: Path | str, pem: bytes) -> PrivateKey:
    try:
        # OpenSSL's check of the primes takes 33 ms (RSA-4096: 240 ms) at each start. The key is the user's own, and
        # `_check_signs` finds in 0.3 ms a damaged key, whose signatures could reveal it.
        key = serialization.load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    except TypeError as error:
        hint = f"openssl pkey -in {source} -out key.pem, then chmod 600 key.pem"
        raise _refused(source, "protected by a passphrase", hint) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused(source, "not a PEM private key", "use the .key or .pem file from Kalshi") from error
    if isinstance(key, RSAPrivateKey):
        if key.key_size < _MIN_RSA_LENGTH:
            raise _refused(source, f"RSA key of {key.key_size} bits is too short", "create a new key on kalshi.com")
        _check_signs(source, key)
        return key
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise _refused(source, "neither RSA nor Ed25519", "create a new key on kalshi.com")


def _check_signs(source: Path | str, key: RSAPrivateKey) -> None:
    """Verify one signature, which proves that the parts of the key belong together."""
    try:
        key.public_key().verify(key.sign(b"kalshi", _PSS, _HASH), b"kalshi", _PSS, _HASH)
    except (InvalidSignature, ValueError) as error:
        raise _refused(source, "damaged", "download the key again") from error


class SignedHeaders(NamedTuple):
    """The three headers of a signed request, as they are sent, and the time in them."""

    ts: Ts
    headers: tuple[tuple[bytes, bytes], ...]


class Signer(httpx.Auth):
    """Makes the three headers from a key, its id and a clock, anew for every attempt."""

    def __init__(self, key_id: str, key: PrivateKey, clock: Clock) -> None:
        if not (key_id.isascii() and key_id.isprintable() and key_id.strip() == key_id != ""):
            raise CredentialsError("Invalid API key id", hint="it has the form 8-4-4-4-12 hexadecimal digits")
        self.key_id = key_id
        self._key = key
        self._clock = clock

    def __repr__(self) -> str:
        return f"Signer({type(self._key).__name__}, ...{self.key_id[-4:]})"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign a request as it leaves, so that no caller can forget to, and a repeated one is signed anew."""
        request.headers.update(self.headers(request.method, request.url.raw_path.decode()))
        yield request

    @property
    def has_fast_key(self) -> bool:
        """Return whether the key is Ed25519, whose signature takes a ninth of the time of RSA-2048 (2026-11)."""
        return isinstance(self._key, Ed25519PrivateKey)

    def headers(self, method: str, path: str) -> dict[str, str]:
        """Return the headers of a request to `path`, from the host root (`/trade-api/v2/...`); the query is ignored."""
        return {name.decode(): value.decode() for name, value in self.sign(method, path).headers}

    def sign(self, method: str, path: str) -> SignedHeaders:
        """Return the same headers as `headers`, and their time."""
        now = self._clock.now()
        timestamp = str(now)
        message = f"{timestamp}{method}{path.partition('?')[0]}".encode()
        if isinstance(self._key, RSAPrivateKey):
            signature = self._key.sign(message, _PSS, _HASH)
        else:
            signature = self._key.sign(message)
        return SignedHeaders(
            now,
            (
                (b"KALSHI-ACCESS-KEY", self.key_id.encode()),
                (b"KALSHI-ACCESS-TIMESTAMP", timestamp.encode()),
                (b"KALSHI-ACCESS-SIGNATURE", base64.b64encode(signature)),
            ),
        )


class _Ready(NamedTuple):
    """A signature, and the monotonic time at which it was begun."""

    since: float
    signed: SignedHeaders


class ReadySignatures:
    """Signatures of one method and path, made ahead. Threads may share it.

    Each is used at most once and is younger than two seconds when the request is written. Where anything is in doubt,
    None makes the caller sign at once: no signature is ready, a clock was set, or the exchange's clock may differ by a
    second or more.

    `sign` makes one with the time of `clock`. `skew_ms` returns how far that clock can differ from the exchange's, in
    either direction, or None while that is unknown.
    """

    def __init__(self, clock: Clock, sign: Callable[[], SignedHeaders], skew_ms: Callable[[], int | None]) -> None:
        self._clock = clock
        self._sign = sign
        self._skew_ms = skew_ms
        self._ready: deque[_Ready] = deque()
        self._lock = threading.Lock()

    def make(self) -> float:
        """Make at most one signature; return the monotonic time at which the next one is due."""
        now = self._clock.monotonic()
        if not self._is_in_step():
            return now + RENEW_S
        with self._lock:
            due = self._ready[0].since + RENEW_S if len(self._ready) >= READY else now
        if due > now:
            return due
        made = _Ready(now, self._sign())
        with self._lock:
            self._ready.append(made)
            while len(self._ready) > READY:
                self._ready.popleft()
        return now

    def take(self) -> tuple[SignedHeaders | None, float]:
        """Return a signature that no other call gets, and the monotonic time at which it is too old.

        Return (None, NEVER) where no good one is left, or with any doubt about the clocks.
        """
        is_in_step = self._is_in_step()
        with self._lock:
            while self._ready:
                since, signed = self._ready.popleft()
                if is_in_step and self._is_good(since, signed.ts):
                    return signed, since + MAX_AGE_S
        return None, NEVER

    def _is_good(self, since: float, ts: Ts) -> bool:
        """Return whether a signature is young by both clocks, and neither was set since it was made."""
        age_ms, wall_age_ms = (self._clock.monotonic() - since) * 1000, self._clock.now() - ts
        is_young = 0 <= age_ms < MAX_AGE_S * 1000 and 0 <= wall_age_ms < MAX_AGE_S * 1000
        return is_young and abs(age_ms - wall_age_ms) <= _MAX_STEP_MS

    def _is_in_step(self) -> bool:
        skew_ms = self._skew_ms()
        return skew_ms is not None and skew_ms <= MAX_SKEW_MS
