"""The line of a screen that names its keys."""

from __future__ import annotations

from collections.abc import Sequence

from textual.events import Resize
from textual.widgets import Static

GAP = "  "

KEYS_SHOWN = (
    "/ search", "Enter market", "o order", "e change", "c cancel", "x close", "p pause", "K kill", "? keys", "q quit",
)  # fmt: skip
"""The keys below the lists; a narrow terminal leaves out the first ones."""


class KeyLine(Static):
    """The keys of a screen, in as many words as there is room for."""

    def __init__(self, *keys: str) -> None:
        super().__init__(id="keys", markup=False)
        self._keys = keys

    def on_resize(self, event: Resize) -> None:
        """Show the keys for which there is room."""
        self.update(last_ones(self._keys, event.size.width))


def last_ones(keys: Sequence[str], width: int) -> str:
    """Return the keys in one line; those without room are left out, the first ones first."""
    shown = list(keys)
    while len(GAP.join(shown)) > width and len(shown) > 1:
        shown.pop(0)
    return GAP.join(shown)
