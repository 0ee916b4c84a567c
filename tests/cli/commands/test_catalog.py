"""`catalogue` and searching as a person meets them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.served import FINE, TWO_SIDED, Served, bare_variables, finish, program, served, set_variables, start

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.store.lock import lock


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path) as exchange:
        set_variables(monkeypatch, exchange.home, exchange.variables())
        yield exchange


def test_a_refresh_makes_a_catalogue_that_is_searched_and_tells_its_age(one: Served) -> None:
    before = program("markets", "--search", "rain york 1.0", "--json")
    assert before.json == []
    assert "kalshi catalog refresh" in before.err
    done = program("catalog", "refresh", "--json")
    assert done.json | {"seconds": 0} == {
        "read": "everything", "resumed": False, "series": 2, "events": 2, "markets": 5, "seconds": 0
    }  # fmt: skip
    after = program("markets", "--search", "rain year t1", "--json")
    assert [row["ticker"] for row in after.json] == [TWO_SIDED]
    assert "Catalog as of" in after.err
    assert program("catalog", "refresh", "--json").json["read"] == "changes"


def test_an_old_catalog_that_has_no_match_is_not_taken_for_a_wrong_spelling(
    one: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("catalog", "refresh")
    assert "Check the spelling" in program("markets", "--search", "snow").err
    monkeypatch.setattr("kalshi_cli.cli.commands.market_list.OLD_MS", -1)
    shown = program("markets", "--search", "snow").err
    assert "No matching markets in an old catalog, which misses newer markets: `kalshi catalog refresh`" in shown
    assert "Check the spelling" not in shown


def test_prices_are_of_now_and_offline_those_of_then(one: Served) -> None:
    program("catalog", "refresh")
    one.submit("maker", FINE, BID, "0.0330", "10")
    assert program("markets", "--search", "wind", "--json").json[0]["yes_bid"] == "0.0330"
    then = program("markets", "--search", "wind", "--offline", "--json").json[0]
    assert then["yes_bid"] == "0.0310"
    assert then["as_of"].endswith("Z")


def test_a_price_is_as_old_as_when_it_was_read_though_the_catalogue_was_refreshed_since(one: Served) -> None:
    program("catalog", "refresh")
    status = program("catalog", "status", "--json").json
    with sqlite3.connect(status["path"]) as file:
        file.execute("UPDATE entries SET seen = 1780000000000 WHERE ticker = ?", (FINE,))
    offline = program("markets", "--offline", "--json")
    as_of = {row["ticker"]: row["as_of"] for row in offline.json}
    assert as_of == dict.fromkeys(as_of, status["as_of"]) | {FINE: "2026-05-28T20:26:40Z"}
    assert "prices as of its `as_of` time" in offline.err


def test_offline_works_while_the_exchange_is_away(one: Served) -> None:
    program("catalog", "refresh")
    one.vanish()
    assert program("markets", "--offline", "--json").json != []
    assert program("markets", "--search", "wind", "--json").code == 6


def test_events_and_series_are_searched_too(one: Served) -> None:
    program("catalog", "refresh")
    assert [row["event_ticker"] for row in program("events", "--search", "york wind", "--json").json] == [
        "KXWIND-40JAN01"
    ]
    assert [row["ticker"] for row in program("series", "--search", "york wi", "--json").json] == ["KXWIND"]


def test_words_that_nothing_has_together_find_what_has_some(one: Served) -> None:
    program("catalog", "refresh")
    found = program("markets", "--search", "wind zebra", "--json")
    assert [row["ticker"] for row in found.json] == [FINE]
    assert "No exact match" in found.err


def test_status_tells_what_there_is_and_clear_deletes_it(one: Served) -> None:
    nothing = program("catalog", "status", "--json")
    assert (nothing.json["as_of"], nothing.json["markets"], nothing.json["search"]) == (None, 0, None)
    assert "kalshi catalog refresh" in nothing.err
    program("catalog", "refresh")
    there = program("catalog", "status", "--json").json
    assert (there["markets"], there["events"], there["series"], there["search"]) == (5, 2, 2, "words")
    assert 0 <= there["age_s"] < 60
    assert Path(there["path"]).stat().st_mode & 0o777 == 0o600
    assert "Deleted" in program("catalog", "clear").err
    assert not Path(there["path"]).exists()
    assert "No local catalog to delete" in program("catalog", "clear").err


def test_a_broken_catalogue_stops_no_command(one: Served) -> None:
    program("catalog", "refresh")
    path = Path(program("catalog", "status", "--json").json["path"])
    for content in (b"garbage" * 1000, b"", path.read_bytes()[:5000]):
        path.write_bytes(content)
        assert [row["ticker"] for row in program("markets", "--search", "wind above", "--json").json] == [FINE]
        assert program("catalog", "status").code == 0
        assert program("markets", "--offline").code == 2
    assert program("catalog", "refresh", "--json").json["markets"] == 5


@pytest.mark.parametrize("words", [("markets", "--search", "x"), ("catalog", "status"), ("catalog", "clear")])
def test_reading_makes_no_catalogue(one: Served, words: tuple[str, ...]) -> None:
    program(*words)
    assert not list(one.state.rglob("catalogue*"))


def test_two_refreshes_at_once_are_refused_with_the_one_that_runs(one: Served) -> None:
    path = Path(program("catalog", "status", "--json").json["path"])
    with lock(path.with_suffix(".lock"), SystemClock()):
        ended = program("catalog", "refresh")
    assert ended.code == 10
    assert "Another process is refreshing the catalog (pid" in ended.err


def test_an_exchange_that_is_away_leaves_the_catalogue_as_it_was(one: Served) -> None:
    program("catalog", "refresh")
    one.vanish()
    ended = program("catalog", "refresh")
    assert (ended.code, ended.out) == (6, "")
    assert program("catalog", "status", "--json").json["markets"] == 5
    assert program("markets", "--offline", "--search", "wind", "--json").json != []


def test_sim_reset_forgets_the_catalogue_of_the_simulated_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_variables(monkeypatch, tmp_path, bare_variables(tmp_path))
    program("catalog", "refresh")
    assert program("markets", "--offline", "--json").json != []
    assert program("sim", "reset").code == 0
    assert program("markets", "--offline", "--json").code == 2


def test_a_client_of_another_host_leaves_the_catalogue_of_this_one_alone(
    one: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    program("catalog", "refresh")
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("KALSHI_REST_URL", "http://127.0.0.1:1")
        assert program("catalog", "refresh").code == 6
        assert program("markets", "--offline").code == 2
        assert program("catalog", "status", "--json").json["path"].endswith("sim/catalogue-127.0.0.1:1.db")
    assert program("catalog", "status", "--json").json["markets"] == 5


def test_each_environment_has_its_own(one: Served) -> None:
    program("catalog", "refresh")
    variables = {name: value for name, value in one.variables().items() if "URL" not in name and "KEY" not in name}
    ended = finish(start(["catalog", "status", "--env", "prod", "--json"], variables, one.home))
    assert ended.json["markets"] == 0
    assert ended.json["path"].endswith("prod/catalogue.db")
