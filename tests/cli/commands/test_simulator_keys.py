"""`kalshi sim serve --key --accounts`: who can sign for what, over real sockets."""

from __future__ import annotations

import json
import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from support.served import bare_variables, eventually, finish, program, set_variables, start

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import dollars
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.signing import Signer, load_key

Serve = Callable[..., dict[str, Any]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begin: Callable[[Path], None]) -> Path:
    """An exchange whose account has no key yet."""
    set_variables(monkeypatch, tmp_path, bare_variables(tmp_path))
    begin(tmp_path / "state")
    (tmp_path / "state" / "sim" / "exchange" / "key.pem").unlink()
    return tmp_path


@pytest.fixture
def serve(home: Path) -> Iterator[Serve]:
    """Serve the exchange of the state directory with these options; the last one is stopped first."""
    running: list[Any] = []

    def begin(*options: str) -> dict[str, Any]:
        for process in running:
            process.terminate()
            finish(process)
        running[:] = [start(["sim", "serve", *options], bare_variables(home) | {"KALSHI_SIM__EXECUTE_MS": "100"}, home)]
        assert running[0].stdout is not None
        found: dict[str, Any] = json.loads(running[0].stdout.readline())
        return found

    yield begin
    for process in running:
        process.terminate()
        finish(process)


def cash(address: dict[str, Any], key_id: str, path: str | Path) -> int:
    """What the account that this key signs for has."""
    clock = SystemClock()
    signer = Signer(key_id, load_key(Path(path)), clock)
    client = KalshiClient(address["rest_url"], clock=clock, rng=random.Random(1), signer=signer)
    try:
        return client.balance().cash
    finally:
        client.close()


def write(path: Path, key: Any) -> Path:
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.chmod(0o600)
    return path


def test_an_rsa_key_is_served_by_default(serve: Serve) -> None:
    address = serve()
    [account] = address["accounts"]
    [key] = account["keys"]
    assert (key["key_id"], key["private_key_path"]) == (address["key_id"], address["private_key_path"])
    assert key["key_type"] == "rsa"
    assert "BEGIN RSA PRIVATE KEY" in Path(key["private_key_path"]).read_text()
    assert stat.S_IMODE(os.stat(key["private_key_path"]).st_mode) == 0o600
    assert cash(address, address["key_id"], address["private_key_path"]) == dollars(1_000)


def test_every_key_of_every_account_signs_for_its_own(serve: Serve, tmp_path: Path) -> None:
    mine = write(tmp_path / "mine.pem", rsa.generate_private_key(65_537, 2048))
    other = Ed25519PrivateKey.generate()
    write(tmp_path / "other.pem", other)
    public = tmp_path / "public.pem"
    public.write_bytes(other.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    address = serve("--key", str(mine), "--key", "rsa", "--key", "ed25519", "--key", str(public), "--accounts", "3")
    first, second, third = address["accounts"]
    assert [account["account"] for account in address["accounts"]] == ["trader", "trader-2", "trader-3"]
    assert len({account["user_id"] for account in address["accounts"]}) == 3
    assert [key["key_type"] for key in first["keys"]] == ["rsa", "rsa", "ed25519", "ed25519"]
    assert first["keys"][0]["private_key_path"] == str(mine)
    assert address["private_key_path"] == str(mine)
    assert first["keys"][3]["private_key_path"] is None, "only its public half is known"
    assert [key["key_type"] for key in second["keys"]] == ["rsa", "ed25519"]
    files = {key["key_id"]: key["private_key_path"] or tmp_path / "other.pem" for key in first["keys"]}
    files |= {key["key_id"]: key["private_key_path"] for one in (second, third) for key in one["keys"]}
    assert len(files) == 8, "every key has an id of its own"
    assert all(cash(address, key_id, path) == dollars(1_000) for key_id, path in files.items())


def test_a_state_directory_with_an_ed25519_key_goes_on_working(serve: Serve, home: Path) -> None:
    own = home / "state" / "sim" / "exchange" / "key.pem"
    own.parent.mkdir(parents=True, exist_ok=True)
    write(own, Ed25519PrivateKey.generate())
    before = own.read_bytes()
    address = serve()
    [key] = address["accounts"][0]["keys"]
    assert key["key_type"] == "rsa", "third-party clients may know no other"
    assert own.read_bytes() == before
    assert cash(address, "00000000-0000-4000-8000-00000000cafe", own) == dollars(1_000)
    assert cash(address, key["key_id"], key["private_key_path"]) == dollars(1_000)
    assert program("balance", "--json").json["cash"] == "1000.000000"
    again = serve("--key", "ed25519")
    assert again["private_key_path"] == str(own)
    assert cash(again, key["key_id"], key["private_key_path"]) == dollars(1_000), "keys of earlier runs stay valid"


def encrypted(path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "No such file"),
    "junk": (lambda path: path.write_text("junk"), "no key in PEM format"),
    "curve": (lambda path: write(path, ec.generate_private_key(ec.SECP256R1())), "neither RSA nor Ed25519"),
    "encrypted": (encrypted, "is encrypted"),
    "folder": (lambda path: path.mkdir(), "a directory"),
    "fifo": (lambda path: os.mkfifo(path), "a FIFO"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_without_a_key_is_refused_with_a_next_step(case: str, tmp_path: Path) -> None:
    make, text = BAD_FILES[case]
    make(tmp_path / "key.pem")
    ended = program("sim", "serve", "--key", str(tmp_path / "key.pem"), "-q")
    assert ended.code == 2
    error, hint = ended.err.splitlines()
    assert text in error
    assert hint.startswith("hint: give ")


class Party:
    """One account of a served exchange, which signs its own requests."""

    def __init__(self, address: dict[str, Any], number: int) -> None:
        account = address["accounts"][number]
        signer = Signer(account["key_id"], load_key(Path(account["private_key_path"])), SystemClock())
        self.http = httpx.Client(base_url=address["rest_url"], auth=signer, timeout=30)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.http.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def held(self, ticker: str) -> str:
        found = self.call("GET", f"/portfolio/positions?ticker={ticker}")["market_positions"]
        return found[0]["position_fp"] if found else "0.00"


def test_two_accounts_trade_with_each_other_through_book_rfq_and_quote(serve: Serve) -> None:
    address = serve("--accounts", "2")
    one, two = Party(address, 0), Party(address, 1)
    try:
        markets = one.call("GET", "/markets?series_ticker=KXINX&limit=50")["markets"]
        market = max(markets, key=lambda found: float(found["yes_ask_dollars"]) - float(found["yes_bid_dollars"]))
        ticker = market["ticker"]
        order = {
            "ticker": ticker,
            "count": "1.00",
            "time_in_force": "good_till_canceled",
            "self_trade_prevention_type": "taker_at_cross",
        }
        inside = f"{float(market['yes_bid_dollars']) + 0.01:.4f}"
        resting = two.call("POST", "/portfolio/events/orders", order | {"side": "ask", "price": inside})
        one.call("POST", "/portfolio/events/orders", order | {"side": "bid", "price": "0.9900"})
        eventually(lambda: one.held(ticker) == "1.00")
        eventually(lambda: float(two.held(ticker)) == -1.0, 30)
        assert resting["order_id"] in {f["order_id"] for f in two.call("GET", "/portfolio/fills")["fills"]}
        rfq = one.call(
            "POST", "/communications/rfqs", {"market_ticker": ticker, "contracts_fp": "2.00", "rest_remainder": False}
        )["id"]
        body = {"rfq_id": rfq, "yes_bid": "0.0100", "no_bid": "0.0100", "rest_remainder": False}
        quote = two.call("POST", "/communications/quotes", body)["id"]
        path = f"/communications/rfqs/{rfq}/quotes/{quote}"
        one.call("PUT", f"{path}/accept", {"accepted_side": "no"})
        two.call("PUT", f"{path}/confirm", {})
        eventually(lambda: one.call("GET", path)["quote"]["status"] == "executed")
        assert float(one.held(ticker)) == 3.0
    finally:
        one.http.close()
        two.http.close()
