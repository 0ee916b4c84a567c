"""A private key pasted where it does not belong: recognised, refused, and neither shown nor kept."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from support.served import Served, Terminal, program, served, set_variables

from kalshi_cli.base.text import MIN_KEY_LINE_LENGTH, holds_private_key, redact

RSA = rsa.generate_private_key(65_537, 2048)
KEYS = {
    "pkcs1": RSA.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()),
    "pkcs8": RSA.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "ed25519": Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "ec": ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    ),
}
PUBLIC = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def body(name: str) -> list[str]:
    """The base64 lines of a key, without its header."""
    return KEYS[name].decode().splitlines()[1:-1]


def shapes(name: str) -> dict[str, str]:
    lines = body(name)
    return {
        "whole": KEYS[name].decode(),
        "lines": "\n".join(lines),
        "crlf": "\r\n".join(lines) + "\r\n",
        "spaces": " ".join(lines),
        "joined": "".join(lines),
        "first": lines[0],
        **({"second": lines[1]} if len(lines) > 2 else {}),
    }


GIVEN = [pytest.param(text, id=f"{name}-{shape}") for name in KEYS for shape, text in shapes(name).items()]


def leaked(text: str, secret: str) -> list[str]:
    """Parts of a key, of sixteen characters, in a text."""
    parts = {piece[i : i + 16] for piece in secret.split() for i in range(0, len(piece) - 15, 4)}
    return [part for part in parts if part in text and "-----" not in part]


def kept(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("text", GIVEN)
def test_a_key_is_recognised_and_hidden(text: str) -> None:
    assert holds_private_key(text)
    for said in (f"the key {text} cannot be used", repr(text), f"['{text}']"):
        assert leaked(redact(said), text) == []


@pytest.mark.parametrize(
    "text",
    [
        PUBLIC,
        "00000000-0000-4000-8000-00000000cafe",
        hashlib.sha256(b"x").hexdigest(),
        "/Users/JohnSmith2024/Library/ApplicationSupport/kalshi/Projects/Strategies/Momentum17/config",
        "https://hooks.example.com/services/T0AB1CD2E/B0AB1CD2E/" + base64.b64encode(bytes(range(60))).decode(),
        "KXHIGHTEMPERATURENEWYORKCITY26NOV22B55KXHIGHTEMPERATURENEWYORK26NOV22",
        "checked positions with the web site and every order of the night by hand and by eye",
        "cursor=" + base64.b64encode(hashlib.sha512(b"page").digest()).decode(),
    ],
)
def test_what_is_no_private_key_may_be_given(text: str) -> None:
    assert not holds_private_key(text)


@pytest.mark.parametrize("start", ["MC4CAQAw", "MHcCAQEE", "MIGHAgEA", "MIIEpQIBA"])
def test_eight_characters_after_the_start_of_a_key_are_enough(start: str) -> None:
    assert holds_private_key(start + "x" * 8)
    assert not holds_private_key(start + "x" * 7)


@given(st.binary(min_size=48, max_size=48))
def test_every_line_of_random_bytes_is_hidden_or_has_fewer_kinds_of_characters(line: bytes) -> None:
    text = base64.b64encode(hashlib.sha512(line).digest()[:48]).decode()
    assert len(text) >= MIN_KEY_LINE_LENGTH
    assert redact(text) == "[hidden]"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("exchange")) as found:
        yield found


LINES = (
    ("init", "--config", "new.yaml", "--force", "--env", "demo", "--key-id", "{}", "--key", "key.pem"),
    ("init", "--config", "new.yaml", "--force", "--env", "demo", "--key-id", "id", "--key", "{}"),
    ("init", "--config", "new.yaml", "--force", "--sink", "{}"),
    ("resume", "--reason", "{}"),
    ("lock", "KXA", "--for", "2h", "--reason", "{}"),
    ("order", "show", "{}"),
    ("order", "place", "KXA", "--side", "yes", "--action", "buy", "--count", "1", "--price", "0.5",
     "--client-order-id", "{}"),
    ("alerts", "silence", "{}", "--for", "2h"),
    ("check", "positions", "--notify", "{}"),
    ("api", "POST", "/portfolio/subaccounts", "-f", "{}"),
    ("--state", "{}", "status"),
    ("--config", "{}", "status"),
    ("{}",),
)  # fmt: skip


@pytest.mark.parametrize("shape", ["whole", "lines", "joined", "first", "second"])
@pytest.mark.parametrize("words", LINES, ids=lambda words: " ".join(words[:3]))
def test_a_key_on_the_command_line_is_refused_and_goes_nowhere(
    one: Served, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], shape: str
) -> None:
    set_variables(monkeypatch, one.home, one.variables())
    text = shapes("pkcs8")[shape]
    for extra in ((), ("--json",), ("-v",)):
        ended = program(*(word.format(text) for word in words), *extra)
        assert ended.code == (3 if words[0] == "check" else 2)
        assert "A private key is on the command line" in ended.err
        assert leaked(ended.out + ended.err, text) == []
    assert leaked(kept(one.state), text) == []


FIELDS = (
    "credentials.sim.key_id", "credentials.sim.private_key_path", "alerts.channels.main.url",
    "alerts.channels.main.url_file", "heartbeat.url", "exchange.rest_url", "day_zone", "references.KXA",
    "strategies.spike.size", "risk.max_position", "logs.folder",
)  # fmt: skip


@pytest.mark.parametrize("shape", ["whole", "lines", "spaces", "first", "second"])
@pytest.mark.parametrize("field", FIELDS)
def test_a_key_in_any_field_of_the_configuration_is_refused_unseen(
    one: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, field: str, shape: str
) -> None:
    text = shapes("pkcs1")[shape]
    set_variables(monkeypatch, tmp_path, {"HOME": str(tmp_path), "KALSHI_STATE": str(tmp_path / "state")})
    tree = '"' + text.replace("\n", "\\n") + '"'
    for name in reversed(field.split(".")):
        tree = f"{{{name}: {tree}}}"
    (tmp_path / "config.yaml").write_text(f"{tree}\n")
    (tmp_path / "config.yaml").chmod(0o600)
    for line in (("config", "check"), ("config", "show"), ("status", "-v"), ("balance", "--json")):
        ended = program(*line)
        assert ended.code == 2
        assert "contains a private key" in ended.err
        assert leaked(ended.out + ended.err, text) == []
    monkeypatch.setenv("KALSHI_REST_URL", one.server.rest_url)  # else the kill switch starts an exchange of its own
    ended = program("cancel-all", "--no-halt", "--yes")
    assert leaked(ended.out + ended.err, text) == []


@pytest.mark.parametrize("name", ["KALSHI_API_KEY_ID", "KALSHI_PRIVATE_KEY_PATH", "KALSHI_HEARTBEAT__URL"])
@pytest.mark.parametrize("shape", ["whole", "lines", "second"])
def test_a_key_in_a_variable_is_refused_unseen(
    one: Served, monkeypatch: pytest.MonkeyPatch, name: str, shape: str
) -> None:
    text = shapes("pkcs8")[shape]
    set_variables(monkeypatch, one.home, one.variables() | {name: text})
    ended = program("balance", "-v")
    assert (ended.code, "contains a private key" in ended.err) == (2, True)
    assert leaked(ended.out + ended.err, text) == []


def test_a_key_in_a_batch_is_refused_unseen(one: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    set_variables(monkeypatch, one.home, one.variables())
    text = body("pkcs8")[0]
    (tmp_path / "orders").write_text(f'{{"ticker": "{text}"}}\n')
    ended = program("order", "batch", tmp_path / "orders", "--dry-run")
    assert (ended.code, leaked(ended.out + ended.err, text)) == (2, [])
    assert "holds a private key" in ended.err


@pytest.mark.parametrize("question", ["API key id", "Private key file", "Alert channel URL"])
def test_a_key_pasted_as_an_answer_ends_init_and_nothing_is_written(tmp_path: Path, question: str) -> None:
    key = tmp_path / "key.pem"
    key.write_bytes(KEYS["pkcs8"])
    key.chmod(0o600)
    others = {name: text for name, text in os.environ.items() if not name.startswith("KALSHI_")}
    env = {**others, "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    path = tmp_path / "made.yaml"
    terminal = Terminal("init", "--config", str(path), env={**env, "COLUMNS": "200"})
    answers = {
        "Exchange: sim": "demo", "API key id": "abc", "Private key file": str(key),
        "Maximum loss per day": "", "Maximum total loss": "", "in one market": "",
    }  # fmt: skip
    for asked, reply in answers.items():
        if asked == question:
            break
        terminal.answer(asked, reply)
    terminal.answer(question, "\n".join(body("pkcs1")))
    assert terminal.finish() == 2
    said = terminal.text.partition("error: ")[2]  # the terminal itself echoes what is typed, before that
    assert said.startswith("The answer is a private key")
    assert leaked(said, KEYS["pkcs1"].decode()) == []
    assert not path.exists()


def test_a_public_key_may_be_sent(one: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    set_variables(monkeypatch, one.home, one.variables())
    ended = program("api", "POST", "/api_keys", "-f", f"public_key={PUBLIC}", "--dry-run")
    assert (ended.code, "Dry run" in ended.err) == (0, True)
    assert not holds_private_key(quote(PUBLIC))
