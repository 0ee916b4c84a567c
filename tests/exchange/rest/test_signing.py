from __future__ import annotations

import base64
import os
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from support.scripted_server import NOW

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import CredentialsError
from kalshi_cli.base.text import redact
from kalshi_cli.exchange.rest.signing import Signer, load_key, parse_key

PATH = "/trade-api/v2/portfolio/balance"


def pem(key, form=serialization.PrivateFormat.PKCS8, encryption=None) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, form, encryption or serialization.NoEncryption())


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def verify_rsa(key, signature: str, message: str) -> None:
    pss = padding.PSS(padding.MGF1(hashes.SHA256()), salt_length=32)
    key.public_key().verify(base64.b64decode(signature), message.encode(), pss, hashes.SHA256())


@pytest.mark.parametrize("form", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL])
def test_an_rsa_key_signs_the_full_path_without_the_query(tmp_path, rsa_key, clock, form):
    key = load_key(write(tmp_path / "key.pem", pem(rsa_key, form)))
    headers = Signer("my-key", key, clock).headers("GET", PATH + "?limit=5&x=y")
    assert headers["KALSHI-ACCESS-KEY"] == "my-key"
    assert headers["KALSHI-ACCESS-TIMESTAMP"] == str(NOW)
    verify_rsa(rsa_key, headers["KALSHI-ACCESS-SIGNATURE"], f"{NOW}GET{PATH}")


def test_an_ed25519_key_signs_plainly(tmp_path, clock):
    key = ed25519.Ed25519PrivateKey.generate()
    signer = Signer("my-key", load_key(write(tmp_path / "key.txt", pem(key))), clock)
    signature = base64.b64decode(signer.headers("POST", PATH)["KALSHI-ACCESS-SIGNATURE"])
    key.public_key().verify(signature, f"{NOW}POST{PATH}".encode())


def test_every_signature_has_the_time_of_its_own_attempt(rsa_key, clock):
    signer = Signer("my-key", rsa_key, clock)
    first = signer.headers("GET", PATH)
    clock.advance(3)
    second = signer.headers("GET", PATH)
    assert int(second["KALSHI-ACCESS-TIMESTAMP"]) - int(first["KALSHI-ACCESS-TIMESTAMP"]) == 3000
    verify_rsa(rsa_key, second["KALSHI-ACCESS-SIGNATURE"], f"{NOW + 3000}GET{PATH}")


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o604, 0o620, 0o610, 0o666])
def test_a_key_that_others_may_use_is_refused_with_the_line_that_helps(tmp_path, rsa_key, mode):
    path = write(tmp_path / "key.pem", pem(rsa_key), mode)
    with pytest.raises(CredentialsError) as caught:
        load_key(path)
    assert caught.value.hint == f"chmod 600 {path}"
    assert caught.value.exit_code == 5


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_of_ones_own_is_taken(tmp_path, rsa_key, mode):
    load_key(write(tmp_path / "key.pem", pem(rsa_key), mode))


def test_a_link_is_followed_before_the_permissions_are_looked_at(tmp_path, rsa_key):
    target = write(tmp_path / "key.pem", pem(rsa_key), 0o644)
    link = tmp_path / "link.pem"
    link.symlink_to(target)
    with pytest.raises(CredentialsError, match="accessible by other users"):
        load_key(link)
    target.chmod(0o600)
    load_key(link)


def test_a_key_of_another_user_is_refused(tmp_path, rsa_key, monkeypatch):
    path = write(tmp_path / "key.pem", pem(rsa_key))
    own = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: own + 1)
    with pytest.raises(CredentialsError, match="another user"):
        load_key(path)


def test_what_is_no_key_is_refused_in_one_line(tmp_path, rsa_key):
    secret = serialization.BestAvailableEncryption(b"secret")
    files = {
        "file not found": tmp_path / "missing.pem",
        "not a file": tmp_path,
        "not a PEM private key": write(tmp_path / "text", b"hello"),
        "passphrase": write(tmp_path / "locked", pem(rsa_key, encryption=secret)),
        "too large for a key": write(tmp_path / "long", b"x" * 100_000),
        "neither RSA nor Ed25519": write(tmp_path / "ec", pem(ec.generate_private_key(ec.SECP256R1()))),
        "too short": write(tmp_path / "short", pem(rsa.generate_private_key(65537, 1024))),
    }
    for why, path in files.items():
        with pytest.raises(CredentialsError, match=why) as caught:
            load_key(path)
        assert "\n" not in caught.value.message
        assert caught.value.hint


def test_a_key_whose_parts_do_not_belong_together_is_refused(tmp_path, rsa_key):
    other = rsa.generate_private_key(65537, 2048).private_numbers()
    own = rsa_key.private_numbers()
    mixed = rsa.RSAPrivateNumbers(
        own.p, own.q, other.d, own.dmp1, own.dmq1 ^ 2, own.iqmp, own.public_numbers
    ).private_key(unsafe_skip_rsa_key_validation=True)
    with pytest.raises(CredentialsError, match="damaged"):
        load_key(write(tmp_path / "key.pem", pem(mixed)))


@pytest.mark.parametrize("key_id", ["", " a", "a\n", "a\r\nX: y", "ключ"])
def test_what_cannot_be_a_key_id_is_refused(rsa_key, clock, key_id):
    with pytest.raises(CredentialsError):
        Signer(key_id, rsa_key, clock)


def test_a_signer_shows_neither_its_key_nor_its_whole_id(rsa_key, clock):
    shown = repr(Signer("11111111-2222-4333-8444-555555555555", rsa_key, clock))
    assert shown == "Signer(RSAPrivateKey, ...5555)"


def test_as_an_auth_of_httpx_it_signs_each_attempt_anew(clock: ManualClock) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    signer = Signer("id", key, clock)
    seen: list[tuple[str, bytes]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        stamp = request.headers["KALSHI-ACCESS-TIMESTAMP"]
        seen.append((stamp, base64.b64decode(request.headers["KALSHI-ACCESS-SIGNATURE"])))
        return httpx.Response(200)

    with httpx.Client(auth=signer, transport=httpx.MockTransport(answer), base_url="https://x/trade-api/v2") as client:
        client.get("/portfolio/orders", params={"limit": 5})
        clock.advance(3)
        client.get("/portfolio/orders", params={"limit": 5})
    assert [int(stamp) for stamp, _ in seen] == [NOW, NOW + 3_000]
    for stamp, signature in seen:
        key.public_key().verify(signature, f"{stamp}GET/trade-api/v2/portfolio/orders".encode())


def test_a_key_given_as_text_signs_and_is_concealed(rsa_key, clock):
    text = pem(rsa_key)
    headers = Signer("my-key", parse_key(text, "of variable KALSHI_PRIVATE_KEY"), clock).headers("GET", PATH)
    verify_rsa(rsa_key, headers["KALSHI-ACCESS-SIGNATURE"], f"{NOW}GET{PATH}")
    line = text.decode().splitlines()[2]
    assert line not in redact(f"it was {line}")


@pytest.mark.parametrize("text", [b"hello", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_a_malformed_key_given_as_text_is_one_clear_error(text):
    with pytest.raises(CredentialsError) as caught:
        parse_key(text, "of variable KALSHI_PRIVATE_KEY")
    assert caught.value.message == "Cannot use the private key of variable KALSHI_PRIVATE_KEY: not a PEM private key"
