"""A list of the terminal screen, with a selected row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import Static

from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import pluralize
from kalshi_cli.tui import picture
from kalshi_cli.tui.key_line import KeyLine
from kalshi_cli.views.live import LiveEvent

FOCUSED = "▸"
"""The mark of the focused list, before its title."""

MARKETS_KEY = picture.PANELS.index(picture.MARKETS) + 1
"""The key of the list of markets, which has those that a search found."""

LEAST_TITLE = 3
"""The length of the shortest titles: a key, a space and an ellipsis."""


def title_of(panel: picture.Panel, state: LiveEvent | None = None) -> str:
    """Return the title of a list with the key that goes to it, that of alerts with the number that fire."""
    count = picture.firing(state) if state is not None and panel.name == "alerts" else 0
    return f"{picture.PANELS.index(panel) + 1} {panel.title}" + (f" ({count})" if count else "")


def titles_line(titles: Sequence[str], width: int) -> str:
    """Return the titles of lists in one line. Without room, all but that of the focused list are cut to one length."""
    if len("  ".join(titles)) <= width:
        return "  ".join(titles)
    shown = list(titles)
    for most in range(max(map(len, titles)), LEAST_TITLE - 1, -1):
        shown = [each if each.startswith(FOCUSED) else picture.cell(each, min(most, len(each))) for each in titles]
        if len(" ".join(shown)) <= width:
            break
    return " ".join(shown)


def select_hint(what: str, name: str, focused: object) -> str:
    """Say how to select something of a list, which may have the focus already or be empty."""
    panel = next(each for each in picture.PANELS if each.name == name)
    if not (isinstance(focused, ListPanel) and focused.panel.name == name):
        return f"Select {what}: {picture.PANELS.index(panel) + 1}, then the arrow keys"
    return f"Select {what} with the arrow keys" if focused.rows else focused.empty


def market_hint(lists: Iterable[ListPanel]) -> str:
    """Say how to select a market for an order: in a list that has some, else how to find one."""
    with_rows = {each.panel.name for each in lists if each.rows}
    for number, panel in enumerate(picture.PANELS, 1):
        if panel.name in with_rows & {"positions", "markets"}:
            return f"Select a market for the order: {number}, then the arrow keys"
    return f"No market to select for the order. {picture.FIND_MARKETS}"


class ListPanel(Static, can_focus=True):
    """A list with a selected row. Drawn as lines, because a table widget costs ten times as much a frame."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "move(-10)", show=False),
        Binding("pagedown", "move(10)", show=False),
        Binding("home", "move(-100000)", show=False),
        Binding("end", "move(100000)", show=False),
    ]

    def __init__(self, panel: picture.Panel) -> None:
        super().__init__(id=panel.name, markup=False)
        self.panel = panel
        self.border_title = title_of(panel)
        self.rows: list[picture.Row] = []
        self.cursor = 0
        self._key: tuple[str, str] | None = None
        self._shown: object = None
        self._is_read = False
        self._words = ""
        self._matches = 0
        """The markets of the list of markets that contain the words."""

    @property
    def selected(self) -> picture.Row | None:
        """Return the selected row; None if it has vanished.

        A key must not act on the row that took its place.
        """
        row = self.rows[self.cursor] if self.cursor < len(self.rows) else None
        return row if row is not None and row.key == self._key else None

    def show(self, state: LiveEvent, words: str) -> None:
        """Show the rows of a state that contain the words; draw only what changed."""
        self.rows, self._words = picture.matching(self.panel.rows(state), words), safe_text(words.strip(), 30)
        is_sought = not self.rows and self._words and self.panel is not picture.MARKETS
        self._matches = len(picture.matching(picture.MARKETS.rows(state), words)) if is_sought else 0
        self._is_read = getattr(state, self.panel.name) is not None
        keys = [row.key for row in self.rows]
        if self._key is None and keys:
            self._key = keys[0]
        if self._key in keys:
            self.cursor = keys.index(self._key)
        self.cursor = max(0, min(self.cursor, len(self.rows) - 1))
        self.draw()

    @property
    def empty(self) -> str:
        """Return the text of a list without rows: not read yet, no row, or none with these words, but some markets."""
        if not self._is_read:
            return "Not read yet"
        if not self._words:
            return self.panel.empty
        found = f" {pluralize(self._matches, 'market')} found: {MARKETS_KEY}." if self._matches else ""
        return f"No rows here contain: {self._words}.{found} Esc shows all rows"

    def draw(self) -> None:
        """Draw the part of the list around the selected row."""
        width, height = self.content_size
        shown = (self.rows, self.cursor, self._key, self.has_focus, width, height, self._is_read, self.empty)
        if width <= 0 or height <= 0 or shown == self._shown or not self.display:
            return
        self._shown = shown
        title = self.selected.title if self.has_focus and self.selected is not None else ""
        texts = picture.text_lines(title, width, height) if self.panel.has_texts else []
        room = max(1, height - 1 - len(texts))
        first = max(0, min(self.cursor - room // 2, len(self.rows) - room))
        selected = self.cursor - first if self.has_focus and self.selected is not None else None
        lines = picture.list_lines(
            self.panel._replace(empty=self.empty), self.rows[first : first + room], width, selected
        )
        place = f"{self.cursor + 1}/{len(self.rows)}" if len(self.rows) > room else ""
        if self._words and self.rows:
            place = " ".join(filter(None, (f"only with {self._words}, Esc shows all", place)))
        self.border_subtitle = picture.below("" if texts else title, place, width) or None
        self.update(Text("\n", no_wrap=True).join([*lines, *texts]))

    def action_move(self, by: int) -> None:
        """Select another row."""
        self.cursor = max(0, min(self.cursor + by, len(self.rows) - 1))
        self._key = self.rows[self.cursor].key if self.rows else None
        self.draw()

    def on_focus(self) -> None:
        """Mark the selected row, and show the keys that act on it."""
        self.draw()
        for line in self.screen.query(KeyLine):
            line.keep_those_of(self.panel.name)

    def on_blur(self) -> None:
        """Remove the mark."""
        self.draw()
