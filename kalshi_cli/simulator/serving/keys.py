"""The keys that sign for the accounts of a served exchange: read from files and named."""

from __future__ import annotations

from pathlib import Path

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.files import read_regular
from kalshi_cli.simulator.model.key_pairs import KeyType as KeyType
from kalshi_cli.simulator.model.key_pairs import new_key_pair as new_key_pair
from kalshi_cli.simulator.model.seeded_random import stable_id

KINDS: tuple[KeyType, ...] = ("rsa", "ed25519")
LARGEST_FILE = 1 << 16
_HINT = "give rsa, ed25519, or a PEM file with an RSA or Ed25519 key, public or private"


class ServedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that signs for an account. It has no file if only its public half is known."""

    key_id: str
    key_type: KeyType
    private_key_path: str | None


class ServedAccount(msgspec.Struct, frozen=True, kw_only=True):
    """An account of a served exchange; `key_id` and `private_key_path` are those of its first key."""

    account: str
    user_id: str
    key_id: str
    private_key_path: str | None
    keys: tuple[ServedKey, ...]


class ReadKey(msgspec.Struct, frozen=True):
    """The content of a key file: the public key in PEM format, and whether the private key is there too."""

    public_key: bytes
    key_type: KeyType
    is_private: bool


def read_key(path: Path) -> ReadKey:
    """Read a PEM file with an RSA or Ed25519 key, private or public. UsageError for anything else."""
    try:
        pem = read_regular(path, LARGEST_FILE)
    except OSError as error:
        raise UsageError(
            f"Cannot read the key {path}: {error.strerror or error}", hint=_HINT, code="bad_key"
        ) from error
    is_private = b"PRIVATE KEY" in pem
    try:
        key = load_pem_private_key(pem, None).public_key() if is_private else load_pem_public_key(pem)
    except TypeError as error:
        raise UsageError(
            f"The key {path} is encrypted", hint="give the public key or the decrypted file", code="bad_key"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{path} has no key in PEM format", hint=_HINT, code="bad_key") from error
    if not isinstance(key, rsa.RSAPublicKey | Ed25519PublicKey):
        raise UsageError(f"The key {path} is neither RSA nor Ed25519", hint=_HINT, code="bad_key")
    kind: KeyType = "rsa" if isinstance(key, rsa.RSAPublicKey) else "ed25519"
    return ReadKey(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), kind, is_private)


def key_id_of(public_key: bytes) -> str:
    """Return the id of a key, which is always the same for the same key."""
    return stable_id("key", public_key.decode())
