"""What a list of the screen says where it has no row."""

from __future__ import annotations

from kalshi_cli.tui import picture
from kalshi_cli.tui.list_panel import ListPanel, select_hint

ORDERS = next(each for each in picture.PANELS if each.name == "orders")


def test_a_list_that_is_not_read_yet_does_not_say_that_it_is_empty() -> None:
    assert select_hint("an order to change", "orders", ListPanel(ORDERS)) == "Not read yet"
    assert select_hint("an order to change", "orders", None) == "Select an order to change: 2, then the arrow keys"
