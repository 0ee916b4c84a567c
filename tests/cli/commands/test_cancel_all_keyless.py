"""cancel-all with a key that cannot be loaded: 7 unless the files here rule out that anything is live."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served import KEY_ID, TWO_SIDED, Ended, Served, program, served, set_variables
from support.values import make_order

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import cents
from kalshi_cli.core.model.effects import OrderChanged
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.store.lock import lock
from kalshi_cli.store.sqlite_store import Store


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path, shards=1) as one:
        set_variables(monkeypatch, tmp_path, one.variables())
        yield one


@pytest.fixture
def home(exchange: Served) -> Path:
    """The state directory of an account with a state file, and without orders."""
    found = exchange.state / "sim"
    Store.open(found / "state.db", account=KEY_ID, environment="sim").close()
    return found


def buy() -> str:
    words = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "2", "--price", "0.41")
    return str(program(*words, "--json").json["client_order_id"])


def without_its_key(exchange: Served, *words: str) -> Ended:
    exchange.key_path.write_text("no key")
    ended = program("cancel-all", "--json", *words)
    assert (ended.out, ended.error["code"]) == ("", "private_key")
    return ended


def is_in_doubt(ended: Ended, text: str) -> None:
    assert ended.code == 7, ended.err
    assert "NOTHING WAS CANCELED" in ended.error["message"]
    assert text in ended.error["message"]
    assert "web site" in ended.error["hint"]


@pytest.mark.parametrize("words", [(), ("--no-halt",), ("--ticker", "KX*")], ids=str)
def test_a_live_order_on_file_is_named(exchange: Served, home: Path, words: tuple[str, ...]) -> None:
    buy()
    text = "1 order of the state file may be live: KXRAIN-40JAN01-T1.0 buy 2 YES at $0.41 ("
    is_in_doubt(without_its_key(exchange, *words), text)


def test_a_live_order_of_no_is_named_as_typed(exchange: Served, home: Path) -> None:
    words = ("--side", "no", "--action", "buy", "--count", "2", "--price", "0.41")
    assert program("order", "place", TWO_SIDED, *words, "--json").code == 0
    text = f"1 order of the state file may be live: {TWO_SIDED} buy 2 NO at $0.41 ("
    is_in_doubt(without_its_key(exchange), text)


def test_a_live_order_of_a_strategy_is_named_by_the_position(exchange: Served, home: Path) -> None:
    order = make_order(order_id="o1", strategy="spike", ticker=TWO_SIDED, side=ASK, price=cents(30))
    with Store.open(home / "state.db", account=KEY_ID, environment="sim") as store:
        store.record(OrderChanged(order))
    text = f"1 order of the state file may be live: {TWO_SIDED} buy 10 NO at $0.70 (o1)"
    is_in_doubt(without_its_key(exchange), text)


def test_a_loop_that_runs_may_have_orders(exchange: Served, home: Path) -> None:
    with lock(home / "trade.lock", SystemClock()):
        is_in_doubt(without_its_key(exchange), "a loop is running (pid ")


def test_a_state_file_that_cannot_be_read_rules_out_nothing(exchange: Served, home: Path) -> None:
    (home / "state.db").write_bytes(b"no database" * 500)
    is_in_doubt(without_its_key(exchange), "the state file cannot show which orders are live")


def test_without_a_key_id_the_state_file_cannot_be_asked(
    exchange: Served, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    buy()
    monkeypatch.delenv("KALSHI_API_KEY_ID")
    ended = program("cancel-all", "--json")
    assert (ended.code, ended.error["code"]) == (7, "credentials"), ended.err
    assert "the state file cannot show which orders are live" in ended.error["message"]


@pytest.mark.parametrize("is_new", [True, False], ids=["never ran here", "nothing live"])
def test_where_nothing_is_known_to_be_live_it_ends_with_5(exchange: Served, home: Path, is_new: bool) -> None:
    if is_new:
        exchange.leave_no_trace()
    ended = without_its_key(exchange)
    assert ended.code == 5
    assert "; NOTHING WAS CANCELED, and orders of other programs may be live" in ended.error["message"]
    assert "cancel on the web site (kalshi.com, Portfolio, Orders) now" in ended.error["hint"]
