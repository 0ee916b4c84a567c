"""What `-q` leaves on stderr: the error alone, so that a script can parse it."""

from __future__ import annotations

import io
import json

import pytest
from support.served import EMPTY, ME, TWO_SIDED, Served, program

from kalshi_cli.core.model.order_terms import ASK, BID


def test_a_command_that_warns_and_ends_well_leaves_stderr_empty(exchange: Served) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3")  # an order of another program
    buy = ("buy", TWO_SIDED, "2", "@0.10", "--client-order-id", "a")
    commands = (
        (*buy, "--dry-run"),
        buy,
        ("order", "amend", "a", "--price", "0.09", "--dry-run"),
        ("order", "amend", "a", "--price", "0.09"),
        ("order", "decrease", "a", "--to", "1"),
        ("close", TWO_SIDED, "--dry-run"),
        ("close", TWO_SIDED),
        ("positions",),
        ("cancel", "a"),
    )
    for number, words in enumerate(commands):
        exchange.submit(ME, TWO_SIDED, BID, f"0.0{number + 1}00", "1")
        ended = program("-q", *words, "--json")
        assert (ended.code, ended.err) == (0, ""), words
    exchange.submit(ME, TWO_SIDED, BID, "0.2000", "1")
    warned = program("buy", EMPTY, "1", "@0.05", "--json").err
    assert "FOREIGN_ACTIVITY" in warned
    assert "This market has no quotes" in warned


@pytest.mark.parametrize(
    "words",
    [
        ("buy", TWO_SIDED, "1", "@0.10", "--client-order-id", "a"),
        ("buy", EMPTY, "1", "@0.10", "--post-only", "--client-order-id", "a"),
        ("order", "amend", "a", "--price", "0.60", "--count", "1"),
        ("cancel", "nothing-of-this-name"),
        ("close", TWO_SIDED, "--count", "7"),
        ("resume",),
    ],
)
def test_an_error_is_the_only_line(exchange: Served, words: tuple[str, ...]) -> None:
    exchange.submit("maker", TWO_SIDED, ASK, "0.4500", "3")
    exchange.submit(ME, TWO_SIDED, BID, "0.4500", "3")
    assert program("buy", TWO_SIDED, "1", "@0.10", "--client-order-id", "a").code == 0
    exchange.submit(ME, TWO_SIDED, BID, "0.2000", "1")
    ended = program("-q", *words, "--json")
    assert ended.code != 0
    assert json.loads(ended.err)["error"]["exit_code"] == ended.code


def test_an_order_that_nobody_can_confirm_leaves_the_error_alone(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_ENV", "prod")
    line = {"ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": 1, "price": "0.10"}
    exchange.submit(ME, TWO_SIDED, BID, "0.2000", "1")
    for words, typed in ((("buy", TWO_SIDED, "1", "@0.10"), ""), (("order", "batch", "-"), json.dumps(line))):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
        ended = program("-q", *words, "--json")
        assert json.loads(ended.err)["error"]["code"] == "not_confirmed", ended
