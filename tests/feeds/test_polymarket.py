"""Polymarket's answers and the map of a person: read as documented, and refused in one safe line where they are not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.hostile_text import HOSTILE, harmful
from support.polymarket import OTHER, TOKEN, book, market

from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.feeds.fair_values import SourceError
from kalshi_cli.feeds.market_map import MAX_PAIRS, MarketPair, read_map
from kalshi_cli.feeds.polymarket import read_best, read_quote, read_token

HEADING = "ticker,polymarket,side\n"


def bytes_of(value: object) -> bytes:
    return json.dumps(value).encode()


# -- the map ------------------------------------------------------------------------------------------------------


def test_a_map_has_tokens_and_slugs_and_may_have_remarks() -> None:
    text = f'{HEADING}# rain\n\nkxrain-1 , {TOKEN}, YES\n"KXRAIN-2",will-it-rain,no\n'
    assert read_map(text.encode()) == (
        [MarketPair("KXRAIN-1", TOKEN, True), MarketPair("KXRAIN-2", "will-it-rain", False)],
        [],
    )


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("KXRAIN-1,x", "2 values instead of 3"),
        ("KXRAIN-1,x,yes,more", "4 values instead of 3"),
        ("KX/RAIN,x,yes", "invalid ticker"),
        (",x,yes", "invalid ticker"),
        ("KXRAIN-1,X?a=b,yes", "not a Polymarket token id or slug"),
        (f"KXRAIN-1,{'9' * 201},yes", "not a Polymarket"),
        ("KXRAIN-1,x,maybe", "side must be yes or no"),
        ("KXRAIN-0,x,no", "appears twice"),
        ('KXRAIN-1,"x,yes', "unexpected end"),
    ],
)
def test_a_line_that_is_no_pair_is_named_and_the_others_are_read(line: str, why: str) -> None:
    pairs, problems = read_map(f"{HEADING}KXRAIN-0,a,yes\n{line}\nKXRAIN-9,b,no\n".encode())
    assert [pair.ticker for pair in pairs] == ["KXRAIN-0", "KXRAIN-9"]
    (problem,) = problems
    assert problem.startswith("line 3: ")
    assert why in problem


@pytest.mark.parametrize("body", [b"", b"# only\n", b"ticker,side\n", b"\xff\xfe", b'"', b" " * 2_000_001])
def test_what_is_no_map_at_all_is_refused(body: bytes) -> None:
    with pytest.raises(SourceError):
        read_map(body)


@pytest.mark.parametrize("first", ["ticker,token,side", "KXRAIN-1,x,yes", "ticker;polymarket;side", ""])
def test_a_wrong_heading_is_shown_with_the_right_one(first: str) -> None:
    with pytest.raises(SourceError, match=f"^the first line is '{first}', and must be ticker,polymarket,side$"):
        read_map(f"{first}\n".encode())


def test_a_map_in_yaml_says_the_same_and_its_values_are_text() -> None:
    text = f"""
        # rain
        - ticker: kxrain-1
          polymarket: {TOKEN}
          side: YES
        - {{side: no, ticker: KXRAIN-2, polymarket: will-it-rain}}
    """
    assert read_map(text.encode(), is_yaml=True) == (
        [MarketPair("KXRAIN-1", TOKEN, True), MarketPair("KXRAIN-2", "will-it-rain", False)],
        [],
    )


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ("{ticker: KX-1, polymarket: x}", "the fields are ticker, polymarket; they must be ticker, polymarket, side"),
        ("{ticker: KX-1, token: x, side: no}", "the fields are ticker, token, side; they must be"),
        ("{ticker: KX-1, ticker: KX-2, polymarket: x, side: no}", "the fields are ticker, ticker,"),
        ("{ticker: KX-1, polymarket: [x], side: no}", "every field must be text"),
        ("KX-1", "the fields are none"),
        ("{? [a, b] : x}", "the fields are ?; they must be"),
        ("{ticker: KX-1, polymarket: x, side: maybe}", "side must be yes or no, not 'maybe'"),
        ("{ticker: KX-0, polymarket: x, side: no}", "KX-0 appears twice"),
    ],
)
def test_an_item_that_is_no_pair_is_named_by_its_line_and_the_others_are_read(item: str, why: str) -> None:
    pair = "{{ticker: KX-{}, polymarket: x, side: no}}"
    pairs, problems = read_map(f"- {pair.format(0)}\n- {item}\n- {pair.format(9)}\n".encode(), is_yaml=True)
    assert [each.ticker for each in pairs] == ["KX-0", "KX-9"]
    (problem,) = problems
    assert problem.startswith(f"line 2: {why}")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected a list of ticker, polymarket, side"),
        ("ticker: KX-1", "expected a list"),
        ("ticker,polymarket,side\nKX-1,x,yes\n", "expected a list"),
        ("- a\n- [\n", r"not plain YAML \(line 3\)"),
        ("[" * 400, r"not plain YAML \(line 1\): nested deeper than"),
        ("- \x00", "not plain YAML"),
        ("- !!python/object/apply:os.system [ls]", ""),
    ],
)
def test_what_is_no_yaml_list_is_refused_and_nothing_in_it_is_run(text: str, why: str) -> None:
    if not why:
        assert read_map(text.encode(), is_yaml=True)[0] == []
        return
    with pytest.raises(SourceError, match=why):
        read_map(text.encode(), is_yaml=True)


def test_a_map_has_a_bound() -> None:
    lines = [f"KX-{number},x,yes\n" for number in range(MAX_PAIRS + 1)]
    assert len(read_map((HEADING + "".join(lines[:-1])).encode())[0]) == MAX_PAIRS
    with pytest.raises(SourceError, match="more than"):
        read_map((HEADING + "".join(lines)).encode())


def test_hostile_maps_are_refused_harmlessly() -> None:
    for text in HOSTILE:
        for line in (f"{text},x,yes", f"KX-1,{text},yes", f"KX-1,x,{text}"):
            _, problems = read_map(f"{HEADING}{line}\n".encode("utf-8", "replace"))
            assert harmful("".join(problems)) == ""
        for item in (f"- {{{text}: 1}}", f"- {{ticker: {text}, polymarket: x, side: yes}}", text):
            try:
                said = "".join(read_map(item.encode("utf-8", "replace"), is_yaml=True)[1])
            except SourceError as error:
                said = str(error)
            assert harmful(said) == ""


# -- the wire -----------------------------------------------------------------------------------------------------


def test_the_best_prices_are_found_in_whatever_order_they_come() -> None:
    answer = book(TOKEN, [("0.50", "5"), ("0.55", "30.129")], [("0.60", "7"), ("0.58", "80")])
    expected = ((cents(55), contracts(30) + 12), (cents(58), contracts(80)), Ts(1_750_000_000_000))
    assert read_best(bytes_of(answer), TOKEN) == expected
    for side in ("bids", "asks"):
        answer[side].reverse()
    assert read_best(bytes_of(answer), TOKEN) == expected


def test_prices_finer_than_ours_are_rounded_against_us_and_empty_levels_are_none() -> None:
    answer = book(TOKEN, [("0.55559", "1"), ("0.9", "0")], [("0.55561", "1")], timestamp="")
    assert read_best(bytes_of(answer), TOKEN) == ((5_555, 100), (5_557, 100), None)
    assert read_best(bytes_of(book(TOKEN, [], [])), TOKEN)[:2] == (None, None)


@pytest.mark.parametrize(
    "answer",
    [
        book(OTHER, [], []),
        book(TOKEN, [("-0.5", "1")], []),
        book(TOKEN, [("1.5", "1")], []),
        book(TOKEN, [("NaN", "1")], []),
        book(TOKEN, [("0.5", "1e9")], []),
        book(TOKEN, [], []) | {"bids": None},
        book(TOKEN, [], []) | {"asks": [["0.5", "1"]]},
        {},
        [],
        None,
    ],
)
def test_a_book_that_cannot_be_is_refused(answer: Any) -> None:
    with pytest.raises(SourceError):
        read_best(bytes_of(answer), TOKEN)


def test_a_slug_stands_for_its_outcome_yes() -> None:
    assert read_token(bytes_of([market("rain", (TOKEN, OTHER))]), "rain") == TOKEN


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [market("snow", (TOKEN, OTHER))],
        [market("rain", (TOKEN, OTHER)), market("rain", (TOKEN, OTHER))],
        [market("rain", (TOKEN, OTHER), ("No", "Yes"))],
        [market("rain", (TOKEN, OTHER), ("Lakers", "Celtics"))],
        [market("rain", ("0x1", OTHER))],
        [market("rain", (TOKEN, OTHER)) | {"clobTokenIds": "[]"}],
        [market("rain", (TOKEN, OTHER)) | {"outcomes": "Yes"}],
        {"error": "no"},
    ],
)
def test_a_market_whose_yes_cannot_be_told_is_refused(answer: Any) -> None:
    with pytest.raises(SourceError):
        read_token(bytes_of(answer), "rain")


def test_a_token_of_the_other_outcome_is_turned_over_and_a_slug_is_asked_for_first() -> None:
    asked = []

    def gamma(path: str) -> bytes:
        asked.append(path)
        return bytes_of([market("rain", (TOKEN, OTHER))])

    def clob(path: str) -> bytes:
        asked.append(path)
        return bytes_of(book(TOKEN, [("0.40", "30")], [("0.45", "20")]))

    turned = read_quote(MarketPair("KX-1", "rain", False), clob, gamma).quote
    assert (turned.bid, turned.ask) == ((cents(55), contracts(20)), (cents(60), contracts(30)))
    straight = read_quote(MarketPair("KX-1", TOKEN, True), clob, gamma).quote
    assert (straight.bid, straight.ask) == ((cents(40), contracts(30)), (cents(45), contracts(20)))
    assert asked == ["/markets?slug=rain", f"/book?token_id={TOKEN}", f"/book?token_id={TOKEN}"]


@given(st.binary(max_size=60) | st.recursive(st.none() | st.text() | st.floats(), st.lists).map(bytes_of))
def test_any_bytes_are_refused_in_one_safe_line(body: bytes) -> None:
    for read in (lambda: read_best(body, TOKEN), lambda: read_token(body, "rain")):
        with pytest.raises(SourceError) as refused:
            read()
        assert harmful(str(refused.value)) == ""
        assert "\n" not in str(refused.value)
