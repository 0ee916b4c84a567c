"""`kalshi watchlist`: named lists, and what refuses a wrong one."""

from __future__ import annotations

import pytest
from support.served import EMPTY, ONE_SIDED, TWO_SIDED, Served, finish, program, start

from kalshi_cli.base.errors import ExitCode

pytestmark = pytest.mark.usefixtures("exchange")


def test_a_list_grows_shrinks_and_ends() -> None:
    assert program("watchlist", "add", "Rain", TWO_SIDED.lower(), ONE_SIDED, "--json").json == {
        "name": "rain",
        "tickers": [TWO_SIDED, ONE_SIDED],
    }
    program("watchlist", "add", "rain", EMPTY, TWO_SIDED)
    whole = [{"name": "rain", "tickers": [TWO_SIDED, ONE_SIDED, EMPTY]}]
    assert program("watchlist", "--json").json == whole
    assert program("watchlist", "list", "RAIN", "--json").json == whole
    assert program("watchlist", "rain", "--json").json == whole
    assert program("watchlist", "remove", "rain", ONE_SIDED, "--json").json[0]["tickers"] == [TWO_SIDED, EMPTY]
    assert program("watchlist", "remove", "rain", "--json").json == []
    assert program("watchlist", "--json").json == []


def test_a_list_that_is_asked_for_names_the_commands_that_show_its_prices() -> None:
    program("watchlist", "add", "rain", TWO_SIDED)
    hint = "Prices: `kalshi watch --list rain` or `kalshi top --list rain`"
    assert hint in program("watchlist", "Rain").err
    assert "Prices:" not in program("watchlist").err + program("watchlist", "rain", "--json").err


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("add", "rain", "KXNONE-1"), ExitCode.REJECTED, "No market KXNONE-1; nothing was added to rain"),
        (("add", "wet", EMPTY, "KXNONE-1"), ExitCode.REJECTED, "No market KXNONE-1; nothing was added to wet"),
        (("add", "../rain", TWO_SIDED), ExitCode.USAGE, "Invalid watchlist name"),
        (("add", "", TWO_SIDED), ExitCode.USAGE, "LIST needs a value"),
        (("list", "none"), ExitCode.REJECTED, "No watchlist none"),
        (("none",), ExitCode.REJECTED, "No watchlist none"),
        (("ad", "rain", TWO_SIDED), ExitCode.USAGE, "Unknown command: kalshi watchlist ad"),
        (("remove", "none"), ExitCode.REJECTED, "No watchlist none"),
        (("remove", "wet", TWO_SIDED, EMPTY), ExitCode.REJECTED, f"Not in wet: {EMPTY}"),
    ],
)
def test_a_wrong_name_or_market_is_refused_and_nothing_is_lost(words: tuple[str, ...], code: int, says: str) -> None:
    program("watchlist", "add", "wet", TWO_SIDED)
    before = program("watchlist", "--json").json
    ended = program("watchlist", *words)
    assert says in ended.err
    assert (ended.code, ended.out) == (code, "")
    assert program("watchlist", "--json").json == before


def test_watch_follows_a_list(exchange: Served) -> None:
    program("watchlist", "add", "rain", TWO_SIDED, ONE_SIDED)
    loop = start(["watch", "--list", "rain", "--duration", "2s", "--json"], exchange.variables(), exchange.home)
    rows = finish(loop).json
    assert {row["ticker"] for row in rows if row["type"] == "quote"} == {TWO_SIDED, ONE_SIDED}


def test_a_plain_screen_prints_the_prices_of_a_list_without_a_loop(exchange: Served) -> None:
    program("watchlist", "add", "rain", TWO_SIDED)
    screen = start(["top", "--plain", "--list", "rain"], exchange.variables(), exchange.home)
    try:
        lines = (line for line in screen.stdout or () if line.startswith("Markets:"))
        assert TWO_SIDED in (line := next(lines))
        assert "$0.44" in line
        assert "$0.47" in line
    finally:
        screen.kill()
        finish(screen)
