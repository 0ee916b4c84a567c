"""The dialogs of the screen: consent to a plan, a typed answer, and the keys."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import Key
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Static

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.text import safe_text
from kalshi_cli.tui.actions import error_text
from kalshi_cli.tui.questions import Change, Changes, seconds_left, total_of
from kalshi_cli.views.plans import AmendPlan, OrderPlan, Plan

BOX = """
{name} {{ align: center middle; }}
{name} Vertical {{ width: 80; max-width: 100%; height: auto; max-height: 100%; border: thick $accent; padding: 0 1; }}
{name} #plan {{ width: 100%; height: auto; max-height: 50vh; }}
"""

SCROLL = (
    Binding("up,pageup", "scroll_plan(-1)", show=False),
    Binding("down,pagedown", "scroll_plan(1)", show=False),
)

AGAIN_S = 0.2
"""Seconds until a question looks again at the time and at the positions."""

WORD_S = 3.0
"""Seconds for which a wrong word is answered."""

LAST_S = 10.0
"""Seconds before the end of a plan from which the time left is shown in red."""

QUIET_S = 1.0
"""Seconds without a key before `y` agrees to a plan: longer than between two letters of typed text."""

KEYS = (
    ("K", "halt, and cancel every order; asks for the word kill"),
    ("p", "pause trading; asks for y"),
    ("1 to 6", "positions, orders, fills, strategies, alerts, markets"),
    ("Tab", "go to the next list"),
    ("arrows, j, k", "select a row"),
    ("/", "show only rows with the words; Enter finds markets too; Esc shows all"),
    ("Enter", "market page: chart, depth, trades, own orders and fills"),
    ("o", "order in the selected market: buy 10 @0.32, --no for NO; asks for y"),
    ("e", "change price, or price and count, of the selected order; asks for y"),
    ("c", "cancel the selected order; asks for y"),
    ("x", "close the selected position; shows the plan and asks for y"),
    ("l", "lock the market for an hour: no new positions; asks"),
    ("r", "resume trading; asks for the reason, then for y"),
    ("f", "close every position; shows the plan, asks for the word flatten"),
    ("y", "agree to the plan shown; a second after the last key at the earliest"),
    ("q, Ctrl-C", "leave the screen; a running strategy goes on"),
    ("", ""),
    ("loop", "a running kalshi trade"),
    ("severity", "how urgent an alert is: critical, warning or info"),
)


def parts(screen: Screen[Any], name: str) -> list[Static]:
    """Return the part of a screen with this name; none before it is laid out, and none once it goes.

    Parts come one by one after their screen and go one by one before it: what a thread sends in between is not shown.
    """
    return list(screen.query(f"#{name}").results(Static))


class PlanDialog(ModalScreen[bool]):
    """Shows a plan, the seconds in which it may be executed, and what has changed since; the base of both questions."""

    answers: ClassVar[str]
    """The keys that answer, as shown below the plan."""
    back: ClassVar[str]
    """The key that goes back, as shown once the plan has expired or is no longer true."""

    def __init__(self, words: str, clock: Clock, key: str) -> None:
        super().__init__()
        self.plan: Plan[Any] | None = None
        self._words, self._clock, self._key = words, clock, key
        self._changes: Changes = Change
        self._quiet_since = clock.monotonic()
        """The monotonic second of the last key, or at which the plan was shown."""
        self._early, self._early_ends = "", 0.0
        """An answer to a key that came too early, and the monotonic second until which it is shown."""

    def compose(self) -> ComposeResult:
        """Lay out the plan."""
        with Vertical():
            yield Static(Text(f"{safe_text(self._question)}?", style="bold"))
            with VerticalScroll(id="plan", can_focus=False):
                yield Static(Text("Reading ..."), id="facts")
            yield Static(id="changed")
            yield Static(id="left")
            yield from self.answer_parts()

    def answer_parts(self) -> ComposeResult:
        """Lay out where the user answers."""
        yield Static(id="answers")

    @property
    def _question(self) -> str:
        """Return the words; of an order the first fact, which says the same and names the environment."""
        return self.plan.facts[0] if isinstance(self.plan, OrderPlan | AmendPlan) else self._words

    def on_mount(self) -> None:
        """Count from when the plan is on the screen, and look at it again all the time."""
        self._quiet_since = self._clock.monotonic()
        self._draw_plan()
        self.set_interval(AGAIN_S, self._look)
        self._look()

    def show_plan(self, plan: Plan[Any], changes: Changes) -> None:
        """Show the plan; `changes` says what has changed since."""
        self.plan, self._changes = plan, changes
        self._quiet_since = self._clock.monotonic()
        self._early_ends = 0.0
        self._draw_plan()
        self._look()

    def _draw_plan(self) -> None:
        if self.plan is None:
            return
        facts = [
            Text(safe_text(each)) for each in (total_of(self.plan), *self.plan.facts) if each and each != self._question
        ]
        warnings = [Text(f"Warning: {safe_text(each)}", style="bold red") for each in self.plan.warnings]
        for part in parts(self, "facts"):
            part.update(Text("\n").join([*facts, *warnings]))

    @property
    def _is_quiet(self) -> bool:
        return self._clock.monotonic() - self._quiet_since >= QUIET_S

    def _left_s(self) -> float:
        return 0.0 if self.plan is None else seconds_left(self.plan, self._clock.now())

    def _look(self) -> None:
        """Show what time has changed."""
        change = self._changes()
        self._say("changed", f"No longer true. {change.words}" if change.words else "", "bold red")
        if self.plan is None:
            return
        left_s = self._left_s()
        if left_s <= 0:
            self._say("left", f"Expired: nothing was sent. Esc, then {self._key} again for a new plan", "bold red")
        else:
            self._say("left", f"{math.ceil(left_s)} s left", "dim" if left_s > LAST_S else "bold red")
        is_early = self._clock.monotonic() < self._early_ends
        words = self.back if change.is_void or left_s <= 0 else self.answers
        self._say("answers", self._early if is_early else words, "bold" if is_early else "dim")

    def _say(self, part: str, words: str, style: str) -> None:
        for found in parts(self, part):
            found.display = bool(words)
            found.update(Text(safe_text(words), style=style))

    def _may_agree(self) -> bool:
        """Return whether the plan may be agreed to now."""
        return self.plan is not None and self._left_s() > 0 and not self._changes().is_void and self._is_quiet

    def action_answer(self, answer: bool) -> None:
        """Close with the answer."""
        self.dismiss(answer)

    def action_scroll_plan(self, pages: int) -> None:
        """Show another part of a long plan."""
        self.query_one("#plan", VerticalScroll).scroll_relative(y=pages * 5, animate=False)


class ConfirmDialog(PlanDialog):
    """Shows a plan and asks for consent. Only `y` agrees, and only after QUIET_S without any key.

    The plan may open while the user types something else: no letter of that may agree to it.
    """

    CSS = BOX.format(name="ConfirmDialog")
    answers, back = "y yes   n no", "n back"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n,escape,enter,q", "answer(False)", "No"),
        *SCROLL,
    ]

    def on_key(self, event: Key) -> None:
        """Agree to `y` after a pause; any other key, and an early `y`, begin the pause again."""
        if event.key == "y" and self._may_agree():
            self.dismiss(True)
            return
        is_early = event.key == "y" and self._left_s() > 0 and not self._is_quiet
        self._quiet_since = self._clock.monotonic()
        if is_early:
            self._early, self._early_ends = "Wait a second, then y to agree   n no", self._quiet_since + QUIET_S
        self._look()


class WordDialog(PlanDialog):
    """Shows a plan and asks for a word. Opens before the plan is made, so that the word has a place at once.

    Enter agrees only after the plan has been on the screen for QUIET_S.
    """

    CSS = BOX.format(name="WordDialog")
    answers, back = "Enter confirms   Esc cancels", "Esc back"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "answer(False)", "No"), *SCROLL]

    def __init__(self, words: str, word: str, clock: Clock, key: str) -> None:
        super().__init__(words, clock, key)
        self._word = word

    def answer_parts(self) -> ComposeResult:
        """Lay out where the user answers."""
        yield Static(Text(f"Type {self._word} to do it", style="bold"))
        yield Input()
        yield Static(id="answers")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Agree to the word."""
        event.stop()
        is_word = is_typed(self._word, event.value)
        if is_word and self._may_agree():
            self.dismiss(True)
            return
        self._early = "Read the plan first, then Enter" if is_word else f"The word is {self._word}"
        if not is_word or self.plan is None or not self._is_quiet:
            self._early_ends = self._clock.monotonic() + WORD_S
        self._look()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Keep the text from the search of the screen below."""
        event.stop()

    def close_without_plan(self) -> None:
        """Close, because no plan could be made."""
        if self.is_current:
            self.dismiss(False)


def is_typed(word: str, text: str) -> bool:
    """Return whether a text is this word, in any case. A space before it is part of a sentence typed by mistake."""
    return text.rstrip().lower() == word


def reason_of(text: str) -> str:
    """Return the text. UsageError for none."""
    if not text:
        raise UsageError("Type a reason")
    return text


def word_reader(word: str) -> Callable[[str], str]:
    """Return a function that takes only this word."""

    def read(text: str) -> str:
        if not is_typed(word, text):
            raise UsageError(f"The word is {word}")
        return text

    return read


class TextDialog(ModalScreen[Any]):
    """Asks for a line of text and closes with what `read` makes of it; a UsageError of it is shown. Esc gives None.

    After an error the text stays, to be corrected; with `is_word` the word may also be typed anew behind it. The text
    box begins with `typed`.
    """

    CSS = BOX.format(name="TextDialog")
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "cancel", "Cancel")]

    def __init__(
        self, question: str, read: Callable[[str], object] = str, *, is_word: bool = False, typed: str = ""
    ) -> None:
        super().__init__()
        self._question, self._read, self._is_word, self._typed = question, read, is_word, typed
        self._wrong = ""
        """The text that was refused last."""

    def compose(self) -> ComposeResult:
        """Lay out question and answer."""
        with Vertical():
            yield Static(Text(self._question, style="bold"))
            yield from self.fact_parts()
            yield Input(self._typed)
            yield Static(id="refused")
            yield Static(Text("Enter confirms   Esc cancels", style="dim"))

    def fact_parts(self) -> ComposeResult:
        """Lay out facts between question and answer; none here."""
        yield from ()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Close with the text, or say why it cannot be used."""
        event.stop()
        texts = (event.value, event.value.removeprefix(self._wrong)) if self._is_word else (event.value.strip(),)
        for text in texts:
            try:
                self.dismiss(self._read(text))
                return
            except UsageError as error:
                said = error_text(error)
        self._wrong = event.value
        for part in parts(self, "refused"):
            part.update(Text(safe_text(said[:1].upper() + said[1:]), style="bold red"))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Keep the text from the search of the screen below."""
        event.stop()

    def action_cancel(self) -> None:
        """Close without a text."""
        self.dismiss(None)


class HelpDialog(ModalScreen[None]):
    """Lists the keys, and the columns for which the terminal is too narrow."""

    CSS = (
        BOX.format(name="HelpDialog").replace("Vertical", "VerticalScroll")
        + """
HelpDialog Horizontal { height: auto; }
HelpDialog .keys { width: 15; padding-right: 2; text-align: right; text-style: bold; }
HelpDialog .words { width: 1fr; }
"""
    )
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter,question_mark", "dismiss", "Close"), *SCROLL]

    def __init__(self, hidden: Sequence[str] = ()) -> None:
        super().__init__()
        self._hidden = hidden

    def compose(self) -> ComposeResult:
        """Lay out the keys."""
        with VerticalScroll(can_focus=False) as box:
            box.border_subtitle = "arrow keys scroll, Esc closes"
            for keys, words in KEYS:
                yield Horizontal(Static(keys, classes="keys"), Static(words, classes="words"))
            if self._hidden:
                yield Static(Text(f"Hidden, the terminal is too narrow: {'; '.join(self._hidden)}", style="bold"))

    def action_scroll_plan(self, pages: int) -> None:
        """Show another part of the keys."""
        self.query_one(VerticalScroll).scroll_relative(y=pages * 5, animate=False)
