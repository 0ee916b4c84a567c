"""The page of a market: depth, chart, public trades, own position, orders and fills."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.screen import Screen
from textual.widgets import Static

from kalshi_cli.app.market_history import MarketHistory
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Price, show_price
from kalshi_cli.tui import market_picture
from kalshi_cli.tui.curve import chart
from kalshi_cli.tui.dialogs import parts
from kalshi_cli.tui.head import place_mark
from kalshi_cli.tui.key_line import PAGE_KEYS, KeyLine
from kalshi_cli.views.live import LiveEvent

HIGH = 30
"""From this height on, lists are shown in full."""

MIN_WIDTH = 64
"""On a narrower screen, such as that of a phone, the depth has the room of the public trades."""

NO_BOOK = "No order book: the loop does not follow this market, or it is not reliable"
READING = "Reading the order book ..."
NO_LOOP = "No order book: no strategy is running on paper"


def no_book(state: LiveEvent) -> str:
    """Say why there is no order book: without a loop it is read from the exchange, but not for an account on paper.

    Such an account has no host while no loop runs.
    """
    if state.run is None or (state.run.host and not state.run.running):
        return READING
    return NO_BOOK if state.run.running else NO_LOOP


class MarketPage(Screen[None]):
    """A market: its depth, best prices, our position, orders and fills."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "app.leave", "Back")]

    def __init__(self, ticker: str, history: MarketHistory) -> None:
        super().__init__()
        self.ticker = ticker
        self._history = history
        self._middles: list[int] = []

    def compose(self) -> ComposeResult:
        """Lay out the page."""
        yield Static(id="title", markup=False)
        yield Static(id="warning", markup=False)
        yield Static(id="chart", markup=False)
        with Horizontal(id="depth"):
            yield Static(id="ladder", markup=False)
            yield Static(id="trades", markup=False)
        yield Static(id="said", markup=False)  # above the lists, which may be cut: a refusal is shown in full
        yield Static(id="own", markup=False)
        yield KeyLine(PAGE_KEYS)

    def on_mount(self) -> None:
        """Start to read trades and prices."""
        self._history.start()

    def on_unmount(self) -> None:
        """Stop reading."""
        self._history.stop()

    def warn(self, words: Text) -> None:
        """Show what the head of the lists warns of, such as old numbers or a halt."""
        for line in parts(self, "warning"):
            line.display = bool(words)
            if line.content != (marked := Text.assemble(words)):  # with its style, which a comparison leaves out
                line.update(marked)

    def show(self, state: LiveEvent) -> None:
        """Show the market in a state, in the parts that are there; nothing before the page opens."""
        if not self.is_attached:
            return
        title = next((each.title for each in state.markets or () if each.ticker == self.ticker), "")
        book = next((each for each in state.books or () if each.ticker == self.ticker), None)
        head = Text(no_wrap=True)
        if state.run is not None:
            head.append(place_mark(state.run)).append("  ")
        head.append(self.ticker, style="bold")
        if book is not None:
            if book.mid is not None and self._middles[-1:] != [book.mid]:
                self._middles = [*self._middles, int(book.mid)][-500:]
            head.append(f"  chance {market_picture.odds(book.mid)}")
        head.append(f"  {safe_text(title)}")
        head.truncate(self.size.width, overflow="ellipsis")
        for part in parts(self, "title"):
            part.update(head)
        for part in parts(self, "trades"):
            part.display = self.app.size.width >= MIN_WIDTH
        self._show("chart", self._chart)
        self._show(
            "ladder",
            lambda width, height: market_picture.ladder(book, width, height) if book else [Text(no_book(state))],
        )
        self._show("trades", self._trades)
        most = 8 if self.app.size.height >= HIGH else 2
        self._show("own", lambda width, _height: market_picture.own_lines(state, self.ticker, width, most))

    def _show(self, name: str, draw: Callable[[int, int], Sequence[Text]]) -> None:
        """Draw a part of the page into its room."""
        for part in parts(self, name):
            part.update(Text("\n", no_wrap=True).join(draw(*part.content_size)))

    def _chart(self, width: int, height: int) -> Sequence[Text]:
        points = (*self._history.newest.closes, *self._middles)
        return chart(points, width, max(1, height), lambda value: show_price(Price(value)))

    def _trades(self, _width: int, height: int) -> Sequence[Text]:
        found = self._history.newest
        if found.problem:
            return [Text(f"Trades cannot be read: {safe_text(found.problem)}", style="bold red")]
        return market_picture.trade_lines(found.trades, height)
