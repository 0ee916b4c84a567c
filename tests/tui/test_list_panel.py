"""What a list of the screen says where it has no row."""

from __future__ import annotations

import pytest

from kalshi_cli.app.list_prices import empty_rows
from kalshi_cli.tui import picture
from kalshi_cli.tui.list_panel import FOCUSED, ListPanel, market_hint, select_hint, title_of, titles_line
from kalshi_cli.views.live import LiveEvent

ORDERS = next(each for each in picture.PANELS if each.name == "orders")


def test_a_list_that_is_not_read_yet_does_not_say_that_it_is_empty() -> None:
    assert select_hint("an order to change", "orders", ListPanel(ORDERS)) == "Not read yet"
    assert select_hint("an order to change", "orders", None) == "Select an order to change: 2, then the arrow keys"


@pytest.mark.parametrize("focused", range(len(picture.PANELS)))
def test_a_narrow_screen_shows_the_title_of_the_focused_list_whole_and_the_key_of_each(focused: int) -> None:
    titles = [title_of(panel) for panel in picture.PANELS]
    titles[focused] = FOCUSED + titles[focused]
    shown = titles_line(titles, 42)
    assert len(shown) <= 42
    assert titles[focused] in shown
    assert all(f"{key} " in shown for key in range(1, len(titles) + 1))


def test_titles_are_cut_to_one_length_where_there_is_no_room() -> None:
    titles = ["1 Positions", "2 Orders", "3 Fills", "5 Alerts", "▸6 Markets"]
    assert titles_line(titles, 42) == "1 Posi… 2 Orde… 3 Fills 5 Aler… ▸6 Markets"
    assert titles_line(titles, 60) == "1 Positions  2 Orders  3 Fills  5 Alerts  ▸6 Markets"


FOUND = LiveEvent(
    positions=(), markets=empty_rows(("KXBTC-1", "KXBTC-2"), "Bitcoin above?") + empty_rows(("KXRAIN-1",), "Rain?")
)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("bitcoin", "No rows here contain: bitcoin. 2 markets found: 6. Esc shows all rows"),
        ("rain", "No rows here contain: rain. 1 market found: 6. Esc shows all rows"),
        ("snow", "No rows here contain: snow. Esc shows all rows"),
        ("", "No open positions"),
    ],
)
def test_a_list_without_a_match_says_how_many_markets_the_search_found_and_where(words: str, said: str) -> None:
    positions = ListPanel(picture.PANELS[0])
    positions.show(FOUND, words)
    assert positions.empty == said


def test_the_hint_for_an_order_names_a_list_with_a_market_else_how_to_find_one() -> None:
    lists = [ListPanel(panel) for panel in picture.PANELS]
    assert market_hint(lists) == f"No market to select for the order. {picture.FIND_MARKETS}"
    lists[-1].show(FOUND, "")
    assert market_hint(lists) == "Select a market for the order: 6, then the arrow keys"
    lists[0].rows = lists[-1].rows
    assert market_hint(lists) == "Select a market for the order: 1, then the arrow keys"
