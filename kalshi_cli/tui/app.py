"""The screen of `kalshi top`: lists, a market page, and keys that act through plans."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from msgspec.structs import replace
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.events import Resize
from textual.screen import Screen
from textual.widgets import Input, Static

from kalshi_cli.app.event_source import EventSource, OpenWithNotes
from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.app.list_prices import ListPrices, aged, merged
from kalshi_cli.app.market_history import MarketHistory
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ExitCode, KalshiError, TerminationRequested
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Money, show_money
from kalshi_cli.tui import actions, picture
from kalshi_cli.tui.actions import Action, ActionThread, AnyPlan, Execute, close_plan, control, lock_plan, orders
from kalshi_cli.tui.curve import chart
from kalshi_cli.tui.dialogs import ConfirmDialog, HelpDialog, TextDialog, WordDialog, reason_of, word_reader
from kalshi_cli.tui.head import attention, halt_text, header
from kalshi_cli.tui.key_line import KEYS_SHOWN, KeyLine
from kalshi_cli.tui.list_panel import FOCUSED, ListPanel, market_hint, select_hint, title_of, titles_line
from kalshi_cli.tui.market_page import HIGH, MarketPage
from kalshi_cli.tui.ordered_keys import OrderedKeysApp
from kalshi_cli.tui.questions import Changes, Consent, Question, change_of
from kalshi_cli.tui.typed_orders import OrderDialog, Prompt, TypedOrder, TypedTexts, amend_prompt, order_prompt
from kalshi_cli.views.live import LiveEvent, TopRow
from kalshi_cli.views.own_terms import held_by_market, order_terms

FRAME_S = 0.2
"""Seconds between two frames."""

WIDE = 120
"""From this width on, and HIGH lines, all lists are shown at once."""

FRAME_WIDTH = 6
"""Columns of a frame that its title cannot use."""

WIDEST = 160
"""From this width on, positions and alerts need no whole row of the screen."""

NOTE_S, ERROR_S = 15.0, 60.0
"""Seconds for which the result of an action is shown, and one that failed."""

LOCK_S = 3600.0


class TopApp(OrderedKeysApp):
    """The terminal screen of an account."""

    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Screen { layout: vertical; }
    #head { height: auto; min-height: 3; max-height: 5; }
    #curve { height: 1; }
    #curve.high { height: 4; }
    #lists { height: 1fr; layout: vertical; }
    #lists.wide { layout: grid; grid-size: 2 3; }
    #lists.rows { grid-size: 2 4; }
    #lists.rows #positions, #lists.rows #alerts, #lists.manual #alerts, #lists.manual.rows #markets { column-span: 2; }
    ListPanel { border: round $surface-lighten-2; border-title-color: $foreground; height: 1fr; }
    ListPanel:focus { border: round $accent; }
    #search { display: none; height: 1; border: none; }
    #search.open { display: block; }
    #said { height: auto; min-height: 1; max-height: 8; }
    #keys { height: 1; dock: bottom; color: $text-muted; }
    #title { height: 1; }
    #warning { height: auto; max-height: 2; display: none; }
    #chart { height: 15%; min-height: 3; max-height: 8; }
    #depth { height: 1fr; min-height: 8; }
    #ladder { width: 1fr; height: 100%; }
    #trades { width: 38; height: 100%; margin-left: 1; }
    #own { height: auto; max-height: 60%; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(n), f"focus_list('{panel.name}')", show=False) for n, panel in enumerate(picture.PANELS, 1)),
        Binding("question_mark", "help", "Help"),
        Binding("enter", "market", "Market"),
        Binding("slash", "search", "Search"),
        Binding("escape", "leave", show=False),
        Binding("p", "pause", "Pause"),
        Binding("r", "resume", "Resume"),
        Binding("o", "order", "Order"),
        Binding("e", "amend", "Change"),
        Binding("c", "cancel", "Cancel"),
        Binding("x", "close", "Close"),
        Binding("l", "lock", "Lock"),
        Binding("f", "flatten", "Flatten"),
        Binding("K", "kill", "Kill"),
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(self, open_account: OpenWithNotes, clock: Clock, tickers: Sequence[str] = ()) -> None:
        super().__init__()
        self._open, self._clock, self._tickers = open_account, clock, tickers
        self._typed = TypedTexts()
        self._list = ListPrices(open_account, tickers, clock, self._tell_from_thread)
        self._listed: tuple[TopRow, ...] = ()
        self._followed: tuple[TopRow, ...] = ()
        self._source = EventSource(open_account, clock)
        self._actions = ActionThread(open_account, self._tell_from_thread)
        self._stops = ActionThread(open_account, self._tell_from_thread)  # a kill waits for no other action or answer
        self._is_over = threading.Event()
        self._from_thread: deque[Callable[[], object]] = deque()
        """Calls from the thread of actions; the next frame makes them."""
        self._state = LiveEvent()
        self._numbers_came = clock.monotonic()
        self._words = ""
        self._note = Text()
        self._has_news, self._note_ends = False, math.inf
        """Says whether the lists must be drawn; and the monotonic second at which the note below them is removed."""

    def compose(self) -> ComposeResult:
        """Lay out the main screen."""
        yield Static(id="head", markup=False)
        yield Static(id="curve", markup=False)
        with Container(id="lists"):
            # Alerts come last, so that they may have a row of their own.
            yield from (ListPanel(panel) for panel in sorted(picture.PANELS, key=lambda each: each.name == "alerts"))
        yield Input(placeholder="words that a row must contain", id="search", compact=True)
        yield Static(id="said", markup=False)
        yield KeyLine(KEYS_SHOWN)

    def on_mount(self) -> None:
        """Start the threads and the frames."""
        if not self.is_headless and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            # An exception out of the usual handler would end the loop in the middle of a frame.
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hang_up)
        self.query_one("#markets" if self._tickers else "#positions").focus()
        for each in (self._source, self._stops, self._actions, self._list):
            each.start()
        self.set_interval(FRAME_S, self._frame)

    def on_unmount(self) -> None:
        """Stop the threads."""
        self._is_over.set()
        for each in (self._source, self._stops, self._actions, self._list):
            each.stop()

    def run_to_end(self) -> None:
        """Run until the user leaves; what was asked before is done. TerminationRequested after SIGHUP."""
        self.run()
        self._stops.finish()
        self._actions.finish()
        if self.return_code:
            raise TerminationRequested

    def _hang_up(self) -> None:
        self._end_without_terminal()
        self.exit(return_code=ExitCode.TERMINATED)

    def _end_without_terminal(self) -> None:
        """End the process if its terminal was closed: textual 8.2.8 would read and write there for ever."""
        if self.is_headless or os.isatty(0):
            return
        self._is_over.set()
        self._stops.finish()
        self._actions.finish()
        os._exit(ExitCode.TERMINATED)

    def on_resize(self, event: Resize) -> None:
        """Show all lists where there is room, else the focused one."""
        is_wide = event.size.width >= WIDE and event.size.height >= HIGH
        self._base.query_one("#lists").set_class(is_wide, "wide")
        self._base.query_one("#lists").set_class(is_wide and event.size.width < WIDEST, "rows")
        self._base.query_one("#curve").set_class(is_wide and event.size.height >= HIGH + 6, "high")
        self._choose_lists()

    def on_descendant_focus(self) -> None:
        """Show the list that has the focus."""
        self._choose_lists()

    def _choose_lists(self) -> None:
        lists = self._base.query(ListPanel)
        is_wide = self._base.query_one("#lists").has_class("wide")
        focused = next((each for each in lists if each.has_focus), None)
        if focused is None and not is_wide:
            return
        panels = [each for each in picture.PANELS if each.name != "strategies" or picture.has_strategies(self._state)]
        self._base.query_one("#lists").set_class(len(panels) < len(picture.PANELS), "manual")
        titles = [
            (FOCUSED if focused and panel is focused.panel else "") + title_of(panel, self._state) for panel in panels
        ]
        line = titles_line(titles, self.size.width - FRAME_WIDTH)
        for each in lists:
            each.display = each is focused or (is_wide and each.panel in panels)
            each.border_title = title_of(each.panel, self._state) if is_wide else line

    def _frame(self) -> None:
        """Draw what changed; times are drawn anew each time, because a number grows old by itself."""
        self._end_without_terminal()
        if not self.screen_stack or not self._base.query("#said"):  # the app is closing
            return
        for _ in range(len(self._from_thread)):  # a question that must wait comes again in the next frame
            self._from_thread.popleft()()
        if self._clock.monotonic() >= self._note_ends:
            self._note_ends = math.inf
            self._say(Text())
        if (newest := self._newest()) is not None:
            has_other_titles = picture.titled(newest) != picture.titled(self._state)
            for words in picture.news(self._state, newest):
                self._add(words)
            self._state = newest
            if has_other_titles:
                self._choose_lists()
        pages = [each for each in self.screen_stack if isinstance(each, MarketPage)]
        for page in pages:
            page.warn(self._warning())
            if newest is not None:
                page.show(self._state)
        self._has_news = self._has_news or newest is not None
        if not pages:
            self._draw_lists(self._has_news)
            self._has_news = False

    @property
    def _base(self) -> Screen[object]:
        """Return the screen with the lists, which goes on behind a question."""
        return self.screen_stack[0]

    def _warning(self) -> Text:
        """Return the most important thing to know."""
        if self._source.problem:
            return Text(f"PROBLEM: {safe_text(self._source.problem)}", style="bold red")
        return attention(self._state, self._clock.monotonic() - self._numbers_came)

    def _draw_lists(self, has_news: bool) -> None:
        """Draw the main screen; its head whenever it differs, because its age grows."""
        width = self.size.width
        head = Text("\n", no_wrap=True).join(header(self._state, self._source.now, self._warning(), width))
        if (line := self._base.query_one("#head", Static)).content != head:  # an update lays out the whole screen
            line.update(head)
        if has_news:
            curve = self._base.query_one("#curve", Static)
            lines = chart(self._source.equity, width, curve.content_size.height, lambda v: show_money(Money(v)))
            curve.update(Text("\n", no_wrap=True).join(lines))
        for each in self._base.query(ListPanel):
            if has_news:
                each.show(self._state, self._words)
            else:
                each.draw()

    def _newest(self) -> LiveEvent | None:
        """Return the state if it changed, with the markets of the watchlist first."""
        state, listed = self._source.newest(), self._list.newest()
        if state is not None:
            self._followed = state.markets or ()
            if state.run and (not self._state.run or state.run.time != self._state.run.time):
                self._numbers_came = self._clock.monotonic()  # a failed read keeps the time
        if listed is not None:
            self._listed = listed
        markets = merged(self._listed, aged(self._followed, self._clock.monotonic() - self._numbers_came))
        if state is None and markets == (self._state.markets or ()):
            return None
        return replace(state or self._state, markets=markets)

    # -- keys ---------------------------------------------------------------------------------------------------------

    def action_focus_list(self, name: str) -> None:
        """Go to a list."""
        found = self._base.query_one(f"#{name}", ListPanel)
        found.display = True
        found.focus()

    def action_help(self) -> None:
        """Show the keys."""
        widths = {each.panel.name: each.content_size.width for each in self._base.query(ListPanel) if each.display}
        found = (
            picture.hidden_columns(panel, panel.rows(self._state), widths.get(panel.name, max(widths.values())))
            for panel in picture.PANELS
        )
        self.push_screen(HelpDialog([words for words in found if words]))

    def action_leave(self) -> None:
        """Close the page, or the search."""
        if isinstance(self.screen, MarketPage):
            self._source.follow()
            self.pop_screen()
        else:
            self._end_search("")

    def action_search(self) -> None:
        """Ask for words that rows must contain."""
        search = self._base.query_one("#search", Input).add_class("open")
        search.value = self._words
        search.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while the user types."""
        self._words = event.value
        for each in self._base.query(ListPanel):
            each.show(self._state, self._words)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Keep the filter and go back to the list."""
        self._end_search(event.value)

    def _end_search(self, words: str) -> None:
        self._words = words
        self._list.search(words.strip())
        self._base.query_one("#search", Input).remove_class("open")
        shown = next((each for each in self._base.query(ListPanel) if each.display), None)
        if shown is not None:
            shown.focus()
            shown.show(self._state, words)

    def _selected(self) -> picture.Row | None:
        if isinstance(self.screen, MarketPage):
            return picture.Row((), ticker=self.screen.ticker)
        focused = self.focused
        return focused.selected if isinstance(focused, ListPanel) else None

    def action_market(self) -> None:
        """Open the page of the selected market."""
        row = self._selected()
        if row is not None and row.ticker and not isinstance(self.screen, MarketPage):
            self._source.follow(row.ticker)
            self.push_screen(MarketPage(row.ticker, MarketHistory(self._open, row.ticker, self._clock)))

    def action_pause(self) -> None:
        """Pause after showing the plan."""
        self._do("pause trading", lambda kalshi: kalshi.trading.plan_pause("from kalshi top"), control, key="p")

    def action_resume(self) -> None:
        """Ask for the reason, then resume after showing the plan: any typed text is a reason."""
        halted = halt_text(self._state.run) if self._state.run else "Resume trading"
        if not halted:
            self._tell("Trading is already active", is_error=False)
            return

        def resume(reason: str | None) -> None:
            if reason:
                self._do("resume trading", actions.resuming(reason), control, key="r")

        self.push_screen(TextDialog(f"{halted}. Why is it safe to trade again?", reason_of), resume)

    def action_order(self) -> None:
        """Ask for an order in the selected market, and place it after showing the plan."""
        row = self._selected()
        if row is not None and row.ticker:
            self._ask_order(order_prompt(row.ticker), "o")
        else:
            self._tell(market_hint(self._base.query(ListPanel)), is_error=False)

    def action_amend(self) -> None:
        """Ask for the new terms of the selected order, and change it after showing the plan."""
        row = self._selected()
        order = picture.order_of(self._state, row.order_id) if row and row.order_id else None
        if order is None:
            self._tell(select_hint("an order to change", "orders", self.focused), is_error=False)
            return
        self._ask_order(amend_prompt(order, order_terms(order, held_by_market(self._state.positions or ()))), "e")

    def _ask_order(self, prompt: Prompt, key: str) -> None:
        def act(typed: TypedOrder | None) -> None:
            if typed is not None:
                self._do(typed.words, typed.plan, self._typed.keep(prompt.name, typed.text), key=key)

        prices = ListPrices(self._open, (prompt.ticker,), self._clock)
        self.push_screen(OrderDialog(prompt, prices, lambda: self._state, self._typed.of(prompt.name)), act)

    def action_cancel(self) -> None:
        """Cancel the selected order after showing it; on a market page all orders of the market."""
        row = self._selected()
        ids = [] if row is None else [row.order_id] if row.order_id else self._orders_of(row.ticker)
        if row is None or not ids:
            hint = select_hint("an order to cancel", "orders", self.focused)
            self._tell("No live orders in this market" if isinstance(self.screen, MarketPage) else hint, is_error=False)
            return
        words = f"cancel {len(ids)} orders of {row.ticker}" if len(ids) > 1 else f"cancel order {ids[0][:8]}"
        if len(ids) == 1 and row.cells:
            words += ": {}, {} at {}, {} filled".format(*row.cells)
        self._do(words, lambda kalshi: kalshi.orders.plan_cancel(*ids), orders, key="c")

    def _orders_of(self, ticker: str) -> list[str]:
        if not isinstance(self.screen, MarketPage):
            return []
        found = (each for each in self._state.orders or () if each.ticker == ticker)
        return [name for each in found if (name := picture.order_key(each))]

    def action_close(self) -> None:
        """Close the selected position after showing the plan."""
        row = self._selected()
        if row is not None and row.ticker:
            self._do(f"close {row.ticker}", lambda kalshi: close_plan(kalshi, row.ticker), orders, key="x")
        else:
            self._tell(select_hint("a position to close", "positions", self.focused), is_error=False)

    def action_lock(self) -> None:
        """Lock the selected market for an hour."""
        row = self._selected()
        if row is not None and row.ticker:
            self._do(
                f"lock {row.ticker} for 1h", lambda kalshi: lock_plan(kalshi, row.ticker, LOCK_S), control, key="l"
            )

    def action_flatten(self) -> None:
        """Close every position, after the user saw the plan and typed the word."""
        what, question = "close EVERY position", Question(self._clock, self._is_over)
        dialog = WordDialog(what, "flatten", self._clock, "f")

        def plan(kalshi: Kalshi) -> AnyPlan:
            try:
                return close_plan(kalshi, None)
            except KalshiError:
                self._from_thread.append(dialog.close_without_plan)
                raise

        def ask(_words: str, made: AnyPlan) -> Consent:
            self._from_thread.append(lambda: dialog.show_plan(made, self._changes(made)))
            return question.wait(made)

        self.push_screen(dialog, question.take)
        self._actions.do(Action(what, plan, orders, ask, "f"))

    def action_kill(self) -> None:
        """Halt trading and cancel every order, after the user typed the word."""
        what = f"halt trading and cancel EVERY order ({len(self._state.orders or ())} now)"

        def act(typed: str | None) -> None:
            if typed is not None:
                self._do(what, lambda kalshi: kalshi.orders.plan_cancel_all(), orders, key="")
            else:
                self._tell(f"Not done: {what}", is_error=False)

        self.push_screen(TextDialog(f"This will {what}. Type kill to do it", word_reader("kill"), is_word=True), act)

    def _do(self, words: str, plan: Callable[[Kalshi], AnyPlan], execute: Execute, *, key: str) -> None:
        """Plan and execute; with a `key`, ask first: the key asks again when the plan has expired."""
        self._tell(f"{words} ...", is_error=False)
        thread = self._actions if key else self._stops
        thread.do(Action(words, plan, execute, partial(self._ask, key) if key else None, key))

    # -- answers ------------------------------------------------------------------------------------------------------

    def _ask(self, key: str, words: str, plan: AnyPlan) -> Consent:
        """Show a plan and wait for the answer; called by the thread of actions."""
        question = Question(self._clock, self._is_over)
        self._from_thread.append(lambda: self._show_question(question, key, words, plan))
        return question.wait(plan)

    def _show_question(self, question: Question, key: str, words: str, plan: AnyPlan) -> None:
        """Show a plan. While the user types into a text box it waits: its keys must not answer."""
        if question.is_closed:
            return
        if isinstance(self.screen, WordDialog):  # its own plan waits for the end of this question
            question.take(False)
        elif isinstance(self.focused, Input):
            if not question.has_told:
                self._tell(f"{words}: plan ready. Enter or Esc leaves the text box and shows it", is_error=False)
                question.has_told = True
            self._from_thread.append(lambda: self._show_question(question, key, words, plan))
        else:
            dialog = ConfirmDialog(words, self._clock, key)
            dialog.show_plan(plan, self._changes(plan))
            self.push_screen(dialog, question.take)

    def _changes(self, plan: AnyPlan) -> Changes:
        """Return the function that compares the positions of a plan with those of the screen."""
        before = self._state.positions or ()
        return lambda: change_of(plan, before, self._state.positions or ())

    def _tell_from_thread(self, words: str, is_error: bool) -> None:
        self._source.refresh()
        self._from_thread.append(lambda: self._tell(words, is_error=is_error))

    def _tell(self, words: str, *, is_error: bool) -> None:
        ends = self._clock.monotonic() + (ERROR_S if is_error else NOTE_S)
        self._note_ends = math.inf if words.endswith(" ...") else ends
        self._say(Text(safe_text(words), style="bold red" if is_error else "bold"))

    def _add(self, words: str) -> None:
        """Add a line to the note: news must not replace the result of an action."""
        ends = self._clock.monotonic() + NOTE_S
        self._note_ends = max(self._note_ends, ends) if self._note else ends
        self._say(Text("\n").join(filter(None, (self._note, Text(safe_text(words), style="bold")))))

    def _say(self, words: Text) -> None:
        """Show a note on the main screen and on a market page, where it covers nothing."""
        self._note = words
        for screen in self.screen_stack:
            for found in screen.query("#said").results(Static):
                found.update(words)
