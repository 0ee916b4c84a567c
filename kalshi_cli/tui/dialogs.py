"""The dialogs of the screen: consent to a plan, a typed answer, and the keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from kalshi_cli.base.text import safe_text

BOX = """
{name} {{ align: center middle; }}
{name} Vertical {{ width: 76; max-width: 100%; height: auto; max-height: 100%; border: thick $accent; padding: 0 1; }}
"""

KEYS = (
    ("1 to 6", "positions, orders, fills, strategies, alerts, markets"),
    ("Tab", "go to the next list"),
    ("arrows, j, k", "select a row"),
    ("/", "show only rows that contain the words; Esc shows all"),
    ("Enter", "market page: chart, depth, trades, own orders and fills"),
    ("c", "cancel the selected order, at once"),
    ("x", "close the selected position; shows the plan and asks"),
    ("l", "lock the market for an hour: no new positions; asks"),
    ("p", "pause trading, at once"),
    ("r", "resume trading; asks for the reason"),
    ("f", "close every position; asks for the word flatten"),
    ("K", "halt, and cancel every order; asks for the word kill"),
    ("q", "leave the screen; a running strategy goes on"),
    ("", ""),
    ("loop", "a running kalshi trade"),
    ("severity", "how urgent an alert is: critical, warning or info"),
)


class ConfirmDialog(ModalScreen[bool]):
    """Shows a plan and asks for consent. Only `y` agrees."""

    CSS = BOX.format(name="ConfirmDialog")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,enter,q", "answer(False)", "No"),
    ]

    def __init__(self, words: str, facts: Sequence[str], warnings: Sequence[str]) -> None:
        super().__init__()
        self._words, self._facts, self._warnings = words, facts, warnings

    def compose(self) -> ComposeResult:
        """Lay out the plan."""
        with Vertical():
            yield Static(Text(f"{safe_text(self._words)}?", style="bold"))
            for fact in self._facts:
                yield Static(Text(safe_text(fact)))
            for warning in self._warnings:
                yield Static(Text(f"Warning: {safe_text(warning)}", style="bold red"))
            yield Static(Text("y yes   n no", style="dim"))

    def action_answer(self, answer: bool) -> None:
        """Close with the answer."""
        self.dismiss(answer)


class TextDialog(ModalScreen[str]):
    """Asks for a line of text; Esc gives None."""

    CSS = BOX.format(name="TextDialog")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """Lay out question and answer."""
        with Vertical():
            yield Static(Text(self._question, style="bold"))
            yield Input()
            yield Static(Text("Enter confirms   Esc cancels", style="dim"))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Close with the text."""
        event.stop()
        self.dismiss(event.value.strip())

    def on_input_changed(self, event: Input.Changed) -> None:
        """Keep the text from the search of the screen below."""
        event.stop()

    def action_cancel(self) -> None:
        """Close without a text."""
        self.dismiss(None)


class HelpDialog(ModalScreen[None]):
    """Lists the keys."""

    CSS = BOX.format(name="HelpDialog")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,question_mark", "dismiss", "Close")]

    def compose(self) -> ComposeResult:
        """Lay out the keys."""
        with Vertical():
            yield Static(Text("\n").join(Text.assemble((f"{keys:>13}  ", "bold"), words) for keys, words in KEYS))
