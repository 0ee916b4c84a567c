"""What a list of the screen says where it has no row."""

from __future__ import annotations

import pytest

from kalshi_cli.tui import picture
from kalshi_cli.tui.list_panel import FOCUSED, ListPanel, select_hint, title_of, titles_line

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
