"""The API key: read from its file, and three headers a request.

The signature covers `timestamp + METHOD + path`, the path from the host root without the query. RSA keys sign with PSS
(SHA-256, salt of 32 bytes), Ed25519 keys plainly; the parsed key decides which, never the PEM's first line.
"""

from __future__ import annotations

import base64
from collections.abc import Generator
from functools import partial
from pathlib import Path

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

PrivateKey = RSAPrivateKey | Ed25519PrivateKey

_HASH = hashes.SHA256()
_PSS = padding.PSS(mgf=padding.MGF1(_HASH), salt_length=32)
_MAX_FILE_LENGTH = 64 * 1024
_MIN_RSA_LENGTH = 2048
_PART_OF_KEY = 24  # characters of a line of the file that are nothing else


def load_key(path: Path, distrust: Distrust = refuse) -> PrivateKey:
    """Read an RSA or Ed25519 key (PEM, PKCS#1 or PKCS#8); CredentialsError where it is missing, not ours or not a key.

    As ssh does: a key that others may read is refused, not merely warned about, unless `distrust` does only that.
    """
    hint = "give the .key or .pem file that Kalshi made"
    try:
        pem = read_secret(path, _MAX_FILE_LENGTH + 1, partial(_refused, path), distrust, instead=hint)
    except CredentialsError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise _refused(path, "there is no such file", "download the key again, or correct the path") from error
        raise
    if len(pem) > _MAX_FILE_LENGTH:
        raise _refused(path, "it is far too long for a key", hint)
    key = _parse(path, pem)
    for line in pem.split():
        if len(line) >= _PART_OF_KEY:
            mask(line.decode("ascii", "replace"))
    return key


def _refused(path: Path, why: str, hint: str) -> CredentialsError:
    return CredentialsError(f"the private key {path} cannot be used: {why}", hint=hint, code="private_key")


def _parse(path: Path, pem: bytes) -> PrivateKey:
    try:
        # OpenSSL's check that the primes are prime costs 33 ms (RSA-4096: 240) at each start. The file is the user's
        # own, and what a damaged key could do to us (send signatures that give it away) the check below finds for 0.3.
        key = serialization.load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=True)
    except TypeError as error:
        raise _refused(
            path, "it is protected by a passphrase", f"openssl pkey -in {path} -out key.pem, then chmod 600 key.pem"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _refused(path, "it is not a private key in PEM form", "give the file that Kalshi made") from error
    if isinstance(key, RSAPrivateKey):
        if key.key_size < _MIN_RSA_LENGTH:
            raise _refused(path, f"RSA of {key.key_size} bits is too short", "make a new key on kalshi.com")
        _check_signs(path, key)
        return key
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise _refused(path, "it is neither RSA nor Ed25519", "make a new key on kalshi.com")


def _check_signs(path: Path, key: RSAPrivateKey) -> None:
    """One signature, verified: its parts belong together."""
    try:
        key.public_key().verify(key.sign(b"kalshi", _PSS, _HASH), b"kalshi", _PSS, _HASH)
    except (InvalidSignature, ValueError) as error:
        raise _refused(path, "it is damaged", "download the key again") from error


class Signer(httpx.Auth):
    """A key, its id and a clock: makes the three headers, fresh for every attempt, from the final URL."""

    def __init__(self, key_id: str, key: PrivateKey, clock: Clock) -> None:
        if not (key_id.isascii() and key_id.isprintable() and key_id.strip() == key_id != ""):
            raise CredentialsError("the API key id is not one", hint="it looks like 8-4-4-4-12 hexadecimal digits")
        self.key_id = key_id
        self._key = key
        self._clock = clock

    def __repr__(self) -> str:
        return f"Signer({type(self._key).__name__}, ...{self.key_id[-4:]})"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Sign a request as it leaves: so no caller can forget to, and a repeated one is signed anew."""
        request.headers.update(self.headers(request.method, request.url.raw_path.decode()))
        yield request

    def headers(self, method: str, path: str) -> dict[str, str]:
        """For a request to `path`: from the host root (`/trade-api/v2/...`), whatever follows a `?` is left out."""
        timestamp = str(self._clock.now())
        message = f"{timestamp}{method}{path.partition('?')[0]}".encode()
        if isinstance(self._key, RSAPrivateKey):
            signature = self._key.sign(message, _PSS, _HASH)
        else:
            signature = self._key.sign(message)
        return {
            "KALSHI-ACCESS-KEY": self.key_id,
            "KALSHI-ACCESS-TIMESTAMP": timestamp,
            "KALSHI-ACCESS-SIGNATURE": base64.b64encode(signature).decode(),
        }
