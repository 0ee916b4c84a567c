"""`kalshi scan` against a hand-made exchange and a Polymarket on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.hostile_text import HOSTILE, harmful
from support.polymarket import OTHER, TOKEN, Polymarket, book, market, polymarket
from support.served import ME, ONE_SIDED, OPENED, TWO_SIDED, Ended, Served, program, served, set_variables

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.services.markets import scan as market_scan
from kalshi_cli.simulator.model.listing import EventSpec, MarketSpec

DAY_MS = 86_400_000


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """Without a key: market data is everybody's."""
    with served(tmp_path) as one:
        variables = one.variables()
        del variables["KALSHI_API_KEY_ID"], variables["KALSHI_PRIVATE_KEY_PATH"]
        set_variables(monkeypatch, one.home, variables)
        yield one


@pytest.fixture
def theirs() -> Iterator[Polymarket]:
    with polymarket() as found:
        yield found


def tickers(ended: Ended) -> list[str]:
    assert ended.code == 0, ended.err
    return [row["ticker"] for row in ended.json]


def listed(one: Served, event: str, names: tuple[str, ...], *, in_s: int = 86_400, is_exclusive: bool = False) -> None:
    """Markets of KXRAIN that close so soon."""
    now = one.clock.now()
    closes = Ts(now + in_s * 1000)

    def add() -> None:
        spec = EventSpec(event_ticker=event, series_ticker="KXRAIN", title="Rain", mutually_exclusive=is_exclusive)
        one.exchange.list_event(spec, now)
        for name in names:
            one.exchange.list_market(
                MarketSpec(
                    ticker=name, event_ticker=event, title="Rain?", open_time=OPENED, close_time=closes,
                    expected_expiration_time=closes, rules_primary="If it rains.",
                ),
                now,
            )  # fmt: skip
        one.exchange.advance(now)

    one.call(add)


# -- arbitrage ----------------------------------------------------------------------------------------------------


def test_a_ladder_whose_higher_rung_is_dearer_is_found_with_its_legs(one: Served) -> None:
    assert program("scan", "arbitrage", "--json").json == []
    one.submit("maker", ONE_SIDED, BID, "0.6000", "50")
    ended = program("scan", "arbitrage", "--json")
    (row,) = ended.json
    assert (row["kind"], row["count"], row["cost"]) == ("ladder", "50.00", "43.500000")
    assert {(leg["ticker"], leg["side"], leg["price"]) for leg in row["orders"]} == {
        (TWO_SIDED, "yes", "0.4700"),
        (ONE_SIDED, "no", "0.4000"),
    }
    assert float(row["profit"]) == pytest.approx(50 - 43.5 - float(row["fees"]))
    assert "legs do not fill together" in ended.err


def test_no_of_several_that_exclude_each_other_is_found_down_to_the_second_level(one: Served) -> None:
    names = ("KXRAIN-X-A", "KXRAIN-X-B")
    listed(one, "KXRAIN-X", names, is_exclusive=True)
    for name in names:
        one.submit("maker", name, BID, "0.7000", "10")
        one.submit("maker", name, BID, "0.6500", "10")
    (row,) = program("scan", "arbitrage", "--json").json
    assert (row["event_ticker"], row["kind"], row["count"]) == ("KXRAIN-X", "no", "20.00")


def test_markets_that_do_not_exclude_each_other_are_no_basket(one: Served) -> None:
    names = ("KXRAIN-X-A", "KXRAIN-X-B")
    listed(one, "KXRAIN-X", names)
    for name in names:
        one.submit("maker", name, BID, "0.7000", "10")
    assert program("scan", "arbitrage", "--json").json == []


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (("--min-profit", "4.00"), 1),
        (("--min-profit", "5.00"), 0),
        (("--event", "kxrain-40jan01"), 1),
        (("--series", "KXWIND"), 0),
        (("--min-volume", "1"), 0),
    ],
)
def test_a_basket_is_shown_within_the_scope_that_was_asked_for(one: Served, words: tuple[str, ...], rows: int) -> None:
    one.submit("maker", ONE_SIDED, BID, "0.6000", "50")
    assert len(program("scan", "arbitrage", *words, "--json").json) == rows


def test_only_books_of_what_may_pay_are_read(one: Served) -> None:
    asked: list[str] = []
    real = one.exchange.handle

    def handle(request: Any, now: Ts) -> Any:
        asked.append(request.path.rpartition("/")[2])
        return real(request, now)

    one.exchange.handle = handle  # type: ignore[method-assign]
    program("scan", "arbitrage")
    assert "orderbooks" not in asked
    one.submit("maker", ONE_SIDED, BID, "0.6000", "50")
    program("scan", "arbitrage")
    assert asked.count("orderbooks") == 1


def test_where_too_many_books_would_be_read_the_best_looking_are(one: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    for event, price in (("KXRAIN-X", "0.5500"), ("KXRAIN-Y", "0.7000")):
        listed(one, event, (f"{event}-A", f"{event}-B"), is_exclusive=True)
        for name in ("A", "B"):
            one.submit("maker", f"{event}-{name}", BID, price, "10")
    both = program("scan", "arbitrage", "--json")
    assert [row["event_ticker"] for row in both.json] == ["KXRAIN-Y", "KXRAIN-X"]
    monkeypatch.setattr(market_scan, "MAX_BOOKS", 3)
    few = program("scan", "arbitrage", "--json")
    assert [row["event_ticker"] for row in few.json] == ["KXRAIN-Y"]
    assert "Only 3 order books were read; 1 more events" in few.err


# -- one market ---------------------------------------------------------------------------------------------------


def test_the_widest_spread_comes_first_and_what_does_not_trade_is_left_out(one: Served) -> None:
    assert tickers(program("scan", "spread", "--json")) == [], "nothing has traded"
    widest = program("scan", "spread", "--min-volume", "0", "--json")
    assert tickers(widest) == [TWO_SIDED, "KXWIND-40JAN01-T5"]
    by_share = program("scan", "spread", "--min-volume", "0", "--sort", "percent", "--json")
    assert tickers(by_share) == ["KXWIND-40JAN01-T5", TWO_SIDED]
    cut = program("scan", "spread", "--min-volume", "0", "--limit", "1", "--json")
    assert tickers(cut) == [TWO_SIDED]
    assert "Showing" not in cut.err, "a limit of the user's own"


def test_a_scan_that_is_cut_says_so_and_all_is_all(one: Served) -> None:
    names = tuple(f"KXRAIN-S-{number}" for number in range(24))
    listed(one, "KXRAIN-S", names, in_s=1_800)
    for name in names:
        one.submit(ME, name, BID, "0.4000", "1")
        one.submit("maker", name, ASK, "0.6000", "1")
    cut = program("scan", "closing", "-q", "--json")
    assert (len(cut.json), "use --limit N or --all" in cut.err) == (20, True)
    whole = program("scan", "closing", "--all", "--json")
    assert (tickers(whole), whole.err) == (sorted(names), "")


def test_what_moved_since_yesterday_is_shown_with_its_change(one: Served) -> None:
    one.submit(ME, TWO_SIDED, BID, "0.4700", "10")
    assert tickers(program("scan", "movers", "--json")) == []
    one.clock.shift_s = DAY_MS / 1000 + 3_600
    one.submit(ME, TWO_SIDED, ASK, "0.4400", "10")
    (row,) = program("scan", "movers", "--json").json
    assert (row["previous"], row["last"], row["change"], row["volume_24h"]) == ("0.4700", "0.4400", "-0.0300", "10.00")


def test_a_side_that_costs_next_to_nothing_is_shown_with_its_fee(one: Served) -> None:
    (row,) = program("scan", "cheap", "--json").json
    assert (row["ticker"], row["side"], row["price"], row["count"]) == ("KXWIND-40JAN01-T5", "yes", "0.0350", "80.00")
    assert row["fee_share"] == pytest.approx(float(row["fee"]) / (0.035 * 80))
    assert program("scan", "cheap", "--below", "3c", "--json").json == []


def test_what_closes_soon_and_is_undecided_is_shown(one: Served) -> None:
    names = ("KXRAIN-S-A", "KXRAIN-S-B")
    listed(one, "KXRAIN-S", names, in_s=1_800)
    one.submit("maker", names[0], BID, "0.4000", "10")
    one.submit("maker", names[0], ASK, "0.6000", "10")
    one.submit("maker", names[1], BID, "0.0100", "10")
    one.submit("maker", names[1], ASK, "0.0200", "10")
    assert tickers(program("scan", "closing", "--json")) == [names[0]]
    assert tickers(program("scan", "closing", "--margin", "1c", "--json")) == list(names)
    assert tickers(program("scan", "closing", "--within", "10m", "--json")) == []


def test_a_series_that_is_not_there_is_said_to_be_none(one: Served) -> None:
    ended = program("scan", "spread", "--series", "KXNOTHING", "--json")
    assert ended.code == 4
    assert ended.error["code"] == "not_found"


# -- another venue ------------------------------------------------------------------------------------------------


def map_of(one: Served, *lines: str) -> Path:
    path = one.home / "pairs.csv"
    path.write_text("\n".join(("ticker,polymarket,side", *lines)) + "\n")
    return path


def test_both_ways_are_compared_after_the_fees_of_both(one: Served, theirs: Polymarket) -> None:
    theirs.books[TOKEN] = book(TOKEN, [("0.55", "30"), ("0.54", "500")], [("0.58", "80")])
    path = map_of(one, f"{TWO_SIDED},{TOKEN},yes")
    free = program("scan", "cross-venue", "--map", path, *theirs.options, "--polymarket-fee", "0", "--json")
    dear = program("scan", "cross-venue", "--map", path, *theirs.options, "--json")
    (row,), (charged,) = free.json, dear.json
    assert (row["kalshi_ask"], row["polymarket_bid"], row["buy_count"]) == ("0.4700", "0.5500", "30.00")
    kalshi_fee = 0.07 * 0.47 * 0.53
    assert float(row["buy_edge"]) == pytest.approx(0.55 - 0.47 - kalshi_fee, abs=0.0002)
    assert float(charged["buy_edge"]) == pytest.approx(float(row["buy_edge"]) - 0.07 * 0.55 * 0.45, abs=0.0002)
    assert float(row["sell_edge"]) < 0
    assert row["age_s"] > 0


def test_all_pairs_are_listed_or_as_many_as_wanted(one: Served, theirs: Polymarket) -> None:
    for token in (TOKEN, OTHER):
        theirs.books[token] = book(token, [("0.55", "30")], [("0.58", "80")])
    words = ("scan", "cross-venue", "--map", map_of(one, f"{TWO_SIDED},{TOKEN},yes", f"{ONE_SIDED},{OTHER},yes"))
    first = program(*words, *theirs.options, "--limit", "1", "--json")
    assert (len(first.json), "Showing" in first.err) == (1, False)
    both = program(*words, *theirs.options, "--all", "--json")
    assert (len(both.json), "Showing the first" in both.err) == (2, False)


def test_a_map_may_be_yaml_and_a_wrong_heading_names_the_file(one: Served, theirs: Polymarket) -> None:
    theirs.books[TOKEN] = book(TOKEN, [("0.55", "30")], [("0.58", "80")])
    path = one.home / "pairs.yaml"
    path.write_text(f"- {{ticker: {TWO_SIDED}, polymarket: {TOKEN}, side: yes}}\n")
    (row,) = program("scan", "cross-venue", "--map", path, *theirs.options, "--json").json
    assert (row["ticker"], row["side"], row["polymarket_bid"]) == (TWO_SIDED, "yes", "0.5500")
    path = one.home / "pairs.csv"
    path.write_text(f"ticker,token,side\n{TWO_SIDED},{TOKEN},yes\n")
    ended = program("scan", "cross-venue", "--map", path, *theirs.options, "--json")
    found = "Cannot read the map pairs.csv: the first line is 'ticker,token,side', and must be ticker,polymarket,side"
    assert (ended.code, ended.error["message"], ended.error["hint"]) == (2, found, "see docs/scan.md")


def test_a_token_of_the_other_outcome_is_turned_over(one: Served, theirs: Polymarket) -> None:
    theirs.books[TOKEN] = book(TOKEN, [("0.40", "30")], [("0.45", "20")])
    (row,) = program(
        "scan", "cross-venue", "--map", map_of(one, f"{TWO_SIDED},{TOKEN},no"), *theirs.options, "--json"
    ).json
    assert (row["polymarket_bid"], row["polymarket_ask"], row["buy_count"]) == ("0.5500", "0.6000", "20.00")


def test_a_slug_is_looked_up_and_only_edges_that_are_wide_enough_are_shown(one: Served, theirs: Polymarket) -> None:
    theirs.markets["will-it-rain"] = [market("will-it-rain", (TOKEN, OTHER))]
    theirs.books[TOKEN] = book(TOKEN, [("0.55", "30")], [])
    path = map_of(one, "# what is not ours to settle", "", f"{TWO_SIDED},will-it-rain,yes")
    (row,) = program("scan", "cross-venue", "--map", path, *theirs.options, "--min-edge", "2c", "--json").json
    assert (row["polymarket"], row["polymarket_ask"], row["sell_edge"]) == ("will-it-rain", None, None)
    assert program("scan", "cross-venue", "--map", path, *theirs.options, "--min-edge", "20c", "--json").json == []


def test_junk_in_the_map_is_named_line_by_line_and_nothing_is_asked(one: Served, theirs: Polymarket) -> None:
    path = map_of(one, f"{TWO_SIDED},{TOKEN},yes", "KX RAIN,x,yes", f"{ONE_SIDED},../../etc,yes", f"{ONE_SIDED},x,up")
    ended = program("scan", "cross-venue", "--map", path, *theirs.options, "--json")
    assert ended.code == 2
    assert ended.error["code"] == "bad_map"
    for line in (3, 4, 5):
        assert f"pairs.csv: line {line}: " in ended.err
    assert theirs.asked == []


@pytest.mark.parametrize("text", ["", "ticker;polymarket;side\n", "\x00\xff", "a,b\n" * 3])
def test_what_is_no_map_is_refused(one: Served, theirs: Polymarket, text: str) -> None:
    path = one.home / "pairs.csv"
    path.write_bytes(text.encode("latin-1"))
    ended = program("scan", "cross-venue", "--map", path, *theirs.options, "--json")
    assert (ended.code, ended.error["code"]) == (2, "bad_map")
    assert program("scan", "cross-venue", "--map", one.home / "none.csv").code == 2


def test_pairs_that_cannot_be_compared_are_told_and_the_others_shown(one: Served, theirs: Polymarket) -> None:
    theirs.books[TOKEN] = book(TOKEN, [("0.55", "30")], [])
    theirs.books[OTHER] = book(TOKEN, [], [])
    theirs.markets["teams"] = [market("teams", (TOKEN, OTHER), ("Lakers", "Celtics"))]
    path = map_of(
        one, f"{TWO_SIDED},{TOKEN},yes", f"{ONE_SIDED},{OTHER},yes", "KXRAIN-40JAN01-T3.0,teams,yes",
        "KXWIND-40JAN01-T5,nobody,yes", f"KXNOTHING-1,{TOKEN},yes", "KXNOTHING-2,1234,yes",
        f"KXRAIN-24JUN01-T1.0,{TOKEN},yes",
    )  # fmt: skip
    ended = program("scan", "cross-venue", "--map", path, *theirs.options, "--json")
    assert tickers(ended) == [TWO_SIDED]
    for said in (
        "a different token",
        "Lakers, Celtics",
        "no market nobody",
        "KXNOTHING-1: no such market",
        "no order book for it",
        "not open (",
    ):
        assert said in ended.err
    alone = program("scan", "cross-venue", "--map", map_of(one, f"KXNOTHING-1,{TOKEN},yes"), *theirs.options)
    assert alone.code == 4


@pytest.mark.parametrize("status", [500, 429])
def test_a_venue_that_does_not_answer_is_asked_once(one: Served, theirs: Polymarket, status: int) -> None:
    theirs.status = status
    path = map_of(one, f"{TWO_SIDED},{TOKEN},yes", f"{ONE_SIDED},{OTHER},yes")
    assert program("scan", "cross-venue", "--map", path, *theirs.options).code == 6
    assert len(theirs.asked) == 1


def test_nothing_points_elsewhere_and_nothing_is_endless(one: Served, theirs: Polymarket) -> None:
    path = map_of(one, f"{TWO_SIDED},{TOKEN},yes")
    theirs.status, theirs.location = 302, theirs.url + "/elsewhere"
    ended = program("scan", "cross-venue", "--map", path, *theirs.options)
    assert "not followed" in ended.err
    theirs.status, theirs.location, theirs.raw = 200, "", b" " * 2_000_001
    assert "larger than 2000000 bytes" in program("scan", "cross-venue", "--map", path, *theirs.options).err
    assert all("/elsewhere" not in path for path in theirs.asked)


@pytest.mark.parametrize(
    "url", ["http://example.com", "http://169.254.169.254", "https://user@example.com", "ftp://x", "https://x.com/?a"]
)
def test_an_address_that_nobody_should_be_asked_at_is_refused(one: Served, url: str) -> None:
    path = map_of(one, f"{TWO_SIDED},{TOKEN},yes")
    assert program("scan", "cross-venue", "--map", path, "--clob-url", url).code == 2


@pytest.mark.parametrize("rate", ["-1", "1.5", "nan", "much"])
def test_a_fee_that_is_no_rate_is_refused(one: Served, rate: str) -> None:
    path = map_of(one, f"{TWO_SIDED},{TOKEN},yes")
    assert program("scan", "cross-venue", "--map", path, f"--polymarket-fee={rate}").code == 2


def test_what_the_other_venue_writes_is_harmless(one: Served, theirs: Polymarket) -> None:
    path = map_of(one, f"{TWO_SIDED},rain,yes")
    seen = ""
    for text in HOSTILE[::160]:
        theirs.markets["rain"] = [market("rain", (TOKEN, OTHER), (text, "No"))]
        ended = program("scan", "cross-venue", "--map", path, *theirs.options)
        assert ended.code == 4
        seen += ended.err
    assert harmful(seen) == ""
    assert "use a token id in the map" in seen
