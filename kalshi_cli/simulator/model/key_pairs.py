"""New key pairs, in the formats that the exchange generates."""

from __future__ import annotations

from typing import Literal

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

KeyType = Literal["rsa", "ed25519"]


def new_key_pair(kind: KeyType) -> tuple[bytes, bytes]:
    """Return a new private key and its public key in PEM format; an RSA private key is PKCS#1."""
    made: rsa.RSAPrivateKey | Ed25519PrivateKey = (
        Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65_537, 2048)
    )
    form = PrivateFormat.PKCS8 if kind == "ed25519" else PrivateFormat.TraditionalOpenSSL
    public = made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made.private_bytes(Encoding.PEM, form, NoEncryption()), public
