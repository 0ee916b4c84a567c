"""The catalogue's file: what is found in it, how it grows and shrinks, and that a bad one is nobody's trouble."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.units import Ts
from kalshi_cli.store.catalog.entries import CatalogFilter, Entry, Kind, RefreshProgress
from kalshi_cli.store.catalog.sqlite_catalog import Catalogue, delete_catalogue

NOW = Ts(1_780_000_000_000)
FIRST = RefreshProgress(started=NOW, since=None)
Make = Callable[..., Catalogue]


def market(ticker: str, title: str = "Rain above 1 inch?", **more: object) -> Entry:
    known: dict[str, object] = {"parent": ticker.rpartition("-")[0], "closes": Ts(NOW + 1000), "body": b"{}"}
    return Entry(kind=Kind.MARKET, ticker=ticker, title=title, **{**known, **more})  # type: ignore[arg-type]


def event(ticker: str, series: str, title: str = "") -> Entry:
    return Entry(kind=Kind.EVENT, ticker=ticker, parent=series, title=title)


LISTING = (
    event("KXRAIN-40JAN01", "KXRAIN", "Rain on New Year"),
    event("KXBTCD-40JAN01", "KXBTCD", "Bitcoin on New Year"),
    market("KXRAIN-40JAN01-T1.0", kin="Rain on New Year Weather"),
    market("KXRAIN-40JAN01-T2.0", "Rain above 2 inches?", kin="Rain on New Year Weather"),
    market("KXBTCD-40JAN01-T86249.99", "Bitcoin price today? ($86,250 or above)", kin="Crypto"),
    market("KXBTCD-40JAN01-T90000", "Sérgio's bitcoin?", kin="Crypto", closes=Ts(NOW - 1)),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "catalogue.db"


@pytest.fixture(params=[True, False], ids=["words", "letters"])
def catalogue(request: pytest.FixtureRequest, path: Path) -> Catalogue:
    made = Catalogue.open(path, "sim", create=True, can_index=request.param)
    assert made is not None
    made.put(LISTING, FIRST)
    made.finish(FIRST, forget_over_before=Ts(0), most=1_000)
    assert made.extent().is_indexed is request.param
    return made


def found(catalogue: Catalogue, text: str, most: int = 10, **more: object) -> list[str]:
    return [each.ticker for each in catalogue.search(Kind.MARKET, text, most=most, **more)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "tickers"),
    [
        ("bitc pri", {"KXBTCD-40JAN01-T86249.99"}),
        ("WEATHER 2", {"KXRAIN-40JAN01-T2.0"}),
        ("kxrain-40jan01", {"KXRAIN-40JAN01-T1.0", "KXRAIN-40JAN01-T2.0"}),
        ("86,250", {"KXBTCD-40JAN01-T86249.99"}),
        ("btcd", {"KXBTCD-40JAN01-T86249.99", "KXBTCD-40JAN01-T90000"}),
        ("tcoin ABOVE", {"KXBTCD-40JAN01-T86249.99"}),
        ("crypto", {"KXBTCD-40JAN01-T86249.99", "KXBTCD-40JAN01-T90000"}),
        ("weather bitcoin", set()),
        ("nothing-like-it", set()),
        ("--- \"' * ( :", set()),
        ("_", set()),
        ("", {entry.ticker for entry in LISTING if entry.kind is Kind.MARKET}),
    ],
)
def test_a_search_finds_words_and_parts_of_them_in_tickers_and_titles(
    catalogue: Catalogue, text: str, tickers: set[str]
) -> None:
    assert set(found(catalogue, text)) == tickers


def test_accents_do_not_hide_a_word(path: Path) -> None:
    one = Catalogue.open(path, "sim", create=True)
    assert one is not None
    one.put(LISTING, FIRST)
    assert found(one, "sergio") == ["KXBTCD-40JAN01-T90000"]


def test_what_only_some_words_fit_is_found_where_that_is_enough(catalogue: Catalogue) -> None:
    assert len(found(catalogue, "weather bitcoin", needs_all=False)) == 4


def test_a_search_can_be_narrowed(catalogue: Catalogue) -> None:
    assert found(catalogue, "", narrow=CatalogFilter(series="KXBTCD", open_at=NOW)) == ["KXBTCD-40JAN01-T86249.99"]
    assert found(catalogue, "above", narrow=CatalogFilter(parent="KXRAIN-40JAN01"), most=1) != []
    assert found(catalogue, "bitcoin", narrow=CatalogFilter(parent="KXRAIN-40JAN01")) == []


def test_a_ticker_counts_more_than_a_title(path: Path) -> None:
    one = Catalogue.open(path, "sim", create=True)
    assert one is not None
    one.put([market("A-1", "gold rain"), market("RAIN-1", "something else entirely")], FIRST)
    assert found(one, "rain") == ["RAIN-1", "A-1"]


def test_a_beginning_of_a_word_counts_more_than_its_middle(path: Path) -> None:
    one = Catalogue.open(path, "sim", create=True)
    assert one is not None
    one.put([market("KXNBA-1", "Celtics", closes=Ts(NOW)), market("B-1", "NBA final"), market("C-1", "other")], FIRST)
    assert found(one, "nba") == ["B-1", "KXNBA-1"]
    assert found(one, "nba", most=1) == ["B-1"]


def test_equal_matches_come_day_by_day_in_the_order_of_the_exchange(path: Path) -> None:
    one = Catalogue.open(path, "sim", create=True)
    assert one is not None
    strikes = {"T47": "46° or below", "B47.5": "47° to 48°", "B49.5": "49° to 50°", "T54": "55° or above"}
    listed = [
        market(f"KXHIGHNY-26NOV{day}-{strike}", f"{words}: High temp on Nov {day}?", closes=Ts(NOW + day))
        for day in (23, 24)
        for strike, words in strikes.items()
    ]
    one.put([*listed[4:], *listed[:4]], FIRST)
    for words in ("high temp", "high 26nov", "igh temp"):
        assert found(one, words) == [each.ticker for each in listed], words


def test_the_side_that_a_search_names_comes_before_the_other_of_its_event(path: Path) -> None:
    one = Catalogue.open(path, "sim", create=True)
    assert one is not None
    one.put([market(f"KXNBAGAME-1-{name}", f"Lakers at Celtics: {name}") for name in ("Celtics", "Lakers")], FIRST)
    assert found(one, "lakers") == ["KXNBAGAME-1-Lakers", "KXNBAGAME-1-Celtics"]
    assert found(one, "celtics") == ["KXNBAGAME-1-Celtics", "KXNBAGAME-1-Lakers"]


def test_changed_words_are_found_and_old_ones_are_not(catalogue: Catalogue) -> None:
    catalogue.put([market("KXRAIN-40JAN01-T1.0", "Snow above 1 inch?")], FIRST)
    assert found(catalogue, "snow") == ["KXRAIN-40JAN01-T1.0"]
    assert "KXRAIN-40JAN01-T1.0" not in found(catalogue, "inch weather")


def test_a_full_refresh_forgets_what_it_did_not_meet_and_one_of_changes_does_not(catalogue: Catalogue) -> None:
    changes = RefreshProgress(started=Ts(NOW + 10), since=NOW)
    catalogue.put([market("NEW-1")], changes)
    catalogue.finish(changes, forget_over_before=Ts(0), most=1_000)
    assert catalogue.extent().markets == 5
    full = RefreshProgress(started=Ts(NOW + 20), since=None)
    catalogue.put([market("NEW-1")], full)
    catalogue.finish(full, forget_over_before=Ts(0), most=1_000)
    assert found(catalogue, "") == ["NEW-1"]
    assert found(catalogue, "rain bitcoin", needs_all=False) == ["NEW-1"]  # the index forgot them, too


def test_settled_markets_age_out_and_the_size_is_bounded(catalogue: Catalogue) -> None:
    old = market("OLD-1", is_over=True, closes=Ts(NOW - 100))
    young = market("YOUNG-1", is_over=True, closes=Ts(NOW - 10))
    catalogue.put([old, young], FIRST)
    catalogue.finish(FIRST, forget_over_before=Ts(NOW - 50), most=1_000)
    assert {"OLD-1", "YOUNG-1"} & set(found(catalogue, "")) == {"YOUNG-1"}
    catalogue.finish(FIRST, forget_over_before=Ts(0), most=4)
    assert catalogue.extent().markets + catalogue.extent().events == 4
    assert "YOUNG-1" not in found(catalogue, "")


def test_how_far_a_refresh_came_is_kept(path: Path) -> None:
    half = RefreshProgress(started=NOW, since=None, step=3, cursor="next")
    one = Catalogue.open(path, "sim", create=True)
    assert one is not None
    one.put(LISTING, half)
    one.close()
    again = Catalogue.open(path, "sim")
    assert again is not None
    assert (again.extent().unfinished, again.extent().as_of) == (half, None)
    again.finish(half, forget_over_before=Ts(0), most=1_000)
    assert (again.extent().unfinished, again.extent().as_of) == (None, NOW)


# -- completions --------------------------------------------------------------------------------------------------


def test_a_few_tickers_are_completed_with_their_titles(catalogue: Catalogue) -> None:
    assert catalogue.completions(Kind.EVENT, "KXR", 10) == [("KXRAIN-40JAN01", "Rain on New Year")]
    assert catalogue.completions(Kind.EVENT, "KXX", 10) == []


def test_many_tickers_are_completed_to_where_they_part(path: Path) -> None:
    one = Catalogue.open(path, "sim", create=True)
    assert one is not None
    one.put([market(f"KXAB-{a}{b:02d}") for a in "PQ" for b in range(30)], FIRST)
    assert one.completions(Kind.MARKET, "KX", 20) == [("KXAB-P", ""), ("KXAB-Q", "")]
    assert len(one.completions(Kind.MARKET, "KX", 60)) == 60


# -- a cache is nobody's trouble ----------------------------------------------------------------------------------


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database" * 1000)


def foreign_tables(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE music (title TEXT)")


def newer(path: Path) -> None:
    Catalogue.open(path, "sim", create=True).close()  # type: ignore[union-attr]
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")


def of_another(path: Path) -> None:
    Catalogue.open(path, "prod https://elsewhere", create=True).close()  # type: ignore[union-attr]


def empty(path: Path) -> None:
    path.touch()


BAD = [garbage, foreign_tables, newer, of_another, empty]


@pytest.mark.parametrize("spoil", BAD)
def test_a_bad_file_counts_as_missing_and_is_left_alone_by_readers(path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(path)
    before = path.read_bytes()
    assert Catalogue.open(path, "sim") is None
    assert path.read_bytes() == before or spoil is empty


@pytest.mark.parametrize("spoil", BAD)
def test_a_bad_file_is_replaced_by_a_refresh(path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(path)
    made = Catalogue.open(path, "sim", create=True)
    assert made is not None
    assert made.extent().markets == 0
    made.put(LISTING, FIRST)
    assert found(made, "bitcoin") != []


def test_a_good_file_is_kept_by_a_refresh(path: Path) -> None:
    first = Catalogue.open(path, "sim", create=True)
    assert first is not None
    first.put(LISTING, FIRST)
    first.close()
    again = Catalogue.open(path, "sim", create=True)
    assert again is not None
    assert again.extent().markets == 4


def test_reading_creates_nothing(tmp_path: Path) -> None:
    assert Catalogue.open(tmp_path / "state" / "catalogue.db", "sim") is None
    assert list(tmp_path.iterdir()) == []


def test_damage_is_told_as_a_state_error_and_can_be_thrown_away(path: Path) -> None:
    one = Catalogue.open(path, "sim", create=True)
    assert one is not None
    one.put([market(f"M-{number}", f"Question {number}?", body=b"x" * 900) for number in range(500)], FIRST)
    one.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * (len(whole) - 8192))
    broken = Catalogue.open(path, "sim")
    assert broken is not None, "damage in the middle is met only by whoever reads there"
    with pytest.raises(StateFileError):
        broken.search(Kind.MARKET, "", most=500)
    broken.discard()
    assert not path.exists()


def test_deleting_says_whether_there_was_one(path: Path, catalogue: Catalogue) -> None:
    catalogue.close()
    assert delete_catalogue(path)
    assert not delete_catalogue(path)
    assert list(path.parent.iterdir()) == []
