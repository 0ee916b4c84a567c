"""The line of a screen that names its keys."""

from __future__ import annotations

from collections.abc import Sequence

from textual.widgets import Static

GAP = "  "

KEYS_SHOWN = (
    "/ search", "Enter market", "o order", "e change", "c cancel", "x close", "p pause", "K kill", "? keys", "q quit",
)  # fmt: skip
"""The keys below the lists; a narrow terminal leaves out the first ones."""

PAGE_KEYS = ("l lock", "? keys", "o order", "x close", "c cancel all", "K kill", "Esc back")
"""The keys below a market page, in the same order."""

ALWAYS = ("K kill", "? keys")
"""The keys that are left out after all others."""

OF_LIST = {"positions": ("x close",), "orders": ("e change", "c cancel"), "markets": ("o order",)}
"""The keys that act on the rows of a list; they are left out before ALWAYS."""


class KeyLine(Static):
    """The keys of a screen, in as many words as there is room for."""

    def __init__(self, keys: Sequence[str]) -> None:
        super().__init__(id="keys", markup=False)
        self._keys = keys
        self._kept: Sequence[str] = ()

    def on_resize(self) -> None:
        """Show the keys for which there is room."""
        self.update(fitting(self._keys, self.size.width, self._kept))

    def keep_those_of(self, list_name: str) -> None:
        """Show the keys that act on this list before others."""
        self._kept = (*OF_LIST.get(list_name, ()), *ALWAYS)
        self.on_resize()


def fitting(keys: Sequence[str], width: int, kept: Sequence[str] = ()) -> str:
    """Return the keys in one line; those without room are left out, the first ones first, and those of `kept` last."""
    shown = list(keys)
    for key in sorted(keys, key=lambda each: kept.index(each) if each in kept else -1):
        if len(GAP.join(shown)) <= width or len(shown) == 1:
            break
        shown.remove(key)
    return GAP.join(shown)
