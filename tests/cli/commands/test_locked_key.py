"""A key that is locked to a subaccount: learnt once, and everything is of that subaccount, as the exchange has it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from support.served import KEY_ID, ME, TWO_SIDED, Ended, Served, program, served, set_variables

from kalshi_cli.base.units import Ts, dollars
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.simulator.protocol.replies import Request, Response

ASKS_FOR_KEYS = "/trade-api/v2/api_keys"

TAKER = f"""
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.strategies.base import Strategy
from kalshi_cli.base.units import cents, contracts

class Taker(Strategy):
    name = "taker"
    def on_tick(self, view):
        if not view.position("{TWO_SIDED}") and not view.orders("{TWO_SIDED}"):
            yield Place("{TWO_SIDED}", BID, cents(47), contracts(2), fair=cents(90), reason="take")
"""


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        yield one


def locked(exchange: Served) -> int:
    """From now on the key is one of a new subaccount, which has fifty dollars; its number."""
    key = load_pem_private_key(exchange.key_path.read_bytes(), None).public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def made() -> int:
        number: int = exchange.exchange.add_subaccount(ME) or 0
        exchange.exchange.deposit(ME, dollars(50), subaccount=number)
        exchange.exchange.register_key(ME, KEY_ID, pem, subaccount=number)
        return number

    found: int = exchange.call(made)
    assert found
    return found


def paths(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the exchange is asked for from now on."""
    seen: list[str] = []
    handle = exchange.exchange.handle

    def noting(request: Request, now: Ts) -> Response:
        seen.append(request.path)
        return handle(request, now)

    monkeypatch.setattr(exchange.exchange, "handle", noting)
    return seen


def held(exchange: Served, subaccount: int) -> int:
    found: int = exchange.call(lambda: exchange.exchange.position(ME, TWO_SIDED, subaccount))
    return found


def buy(price: str, *words: str) -> Ended:
    order = ("--side", "yes", "--action", "buy", "--count", "3", "--price", price)
    return program("order", "place", TWO_SIDED, *order, *words, "--json")


def test_an_order_is_placed_and_known_as_one_of_the_keys_subaccount(exchange: Served) -> None:
    number = locked(exchange)
    ended = buy("0.41")
    assert ended.code == 0, ended.err
    assert ended.json["subaccount"] == number
    assert [row["subaccount"] for row in program("order", "list", "--json").json] == [number]
    assert program("cancel-all", "--no-halt").code == 0
    assert program("order", "list", "--json").json == []


def test_a_key_of_no_subaccount_places_in_the_primary_one(exchange: Served) -> None:
    assert buy("0.41").json["subaccount"] == 0


@pytest.mark.parametrize("is_locked", [True, False])
def test_the_exchange_is_asked_for_the_key_once(
    exchange: Served, monkeypatch: pytest.MonkeyPatch, is_locked: bool
) -> None:
    number = locked(exchange) if is_locked else 0
    seen = paths(exchange, monkeypatch)
    for price in ("0.40", "0.41"):
        assert buy(price).json["subaccount"] == number
    assert seen.count(ASKS_FOR_KEYS) == 1


def test_what_the_configuration_says_is_not_asked_for(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    number = locked(exchange)
    monkeypatch.setenv("KALSHI_EXCHANGE__SUBACCOUNT", str(number))
    seen = paths(exchange, monkeypatch)
    assert buy("0.41").json["subaccount"] == number
    assert seen.count(ASKS_FOR_KEYS) == 0


def test_an_order_for_another_subaccount_is_refused_here(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    number = locked(exchange)
    seen = paths(exchange, monkeypatch)
    for other in (0, number + 1):
        ended = buy("0.41", "--subaccount", str(other))
        assert (ended.code, ended.error["code"]) == (3, "KEY_SUBACCOUNT")
        assert f"restricted to subaccount {number}" in ended.error["message"]
    assert not any(path.endswith("/portfolio/events/orders") for path in seen)
    assert buy("0.41", "--subaccount", str(number)).code == 0


def test_what_is_closed_is_the_keys_own(exchange: Served) -> None:
    exchange.submit(ME, TWO_SIDED, BID, "0.4700", "5")
    number = locked(exchange)
    exchange.submit(ME, TWO_SIDED, BID, "0.4700", "3", subaccount=number)
    ended = program("flatten", "--json")
    assert ended.code == 0, ended.err
    assert (held(exchange, number), held(exchange, 0)) == (0, 500)


def test_positions_are_counted_once(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    number = locked(exchange)
    exchange.submit(ME, TWO_SIDED, BID, "0.4700", "3", subaccount=number)
    ended = program("positions", "--json")
    assert [(row["subaccount"], row["position"]) for row in ended.json] == [(number, "3.00")]
    assert TWO_SIDED not in ended.err, "and its fills explain it"
    monkeypatch.setenv("KALSHI_RISK__MAX_POSITION", "5")
    assert program("check", "positions").code == 0
    monkeypatch.setenv("KALSHI_RISK__MAX_POSITION", "2")
    assert program("check", "positions").code == 2, "and the limit is looked at"


def test_the_health_check_says_which_subaccount_it_is(exchange: Served) -> None:
    assert "locked" not in program("health-check").out
    exchange.leave_no_trace()
    number = locked(exchange)
    assert f"the key is restricted to subaccount {number}" in program("health-check").out


def test_a_loop_trades_in_the_keys_subaccount_with_a_group_there(exchange: Served) -> None:
    number = locked(exchange)
    (exchange.home / "taker.py").write_text(TAKER)
    words = ("--strategy", "./taker.py:Taker", "--ticker", TWO_SIDED, "--interval", "0.2s", "--duration", "1.5s")
    ended = program("trade", *words)
    assert ended.code == 0, ended.err
    assert (held(exchange, number), held(exchange, 0)) == (200, 0)
    assert "DRIFT" not in ended.err
    again = program("trade", *words)
    assert again.code == 0, again.err
    assert held(exchange, number) == 200, "the start knew what is held"
