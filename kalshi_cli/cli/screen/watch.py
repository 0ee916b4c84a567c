"""The screens of `watch`, `orderbook --watch` and `status --watch`. Imported only when one is drawn.

A stale price is shown as an em dash, with STALE and its age.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.text import Text

from kalshi_cli.base.local_time import local_time
from kalshi_cli.base.text import MIN_NAME_WIDTH, safe_text, shorten_name, shorten_title
from kalshi_cli.base.units import Ts, pluralize, show_price, show_qty
from kalshi_cli.cli.screen.live import REDRAW_MS, screen
from kalshi_cli.cli.screen.output import wrap
from kalshi_cli.cli.screen.render import levels_of
from kalshi_cli.cli.screen.tables import GAP, ladder, one_grid
from kalshi_cli.core.model.messages import PublicTrade
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.views.formats import format_clock
from kalshi_cli.views.order_book import BookView, book_view
from kalshi_cli.views.row import Outcome, own_price
from kalshi_cli.views.watch import side_prices

if TYPE_CHECKING:
    from kalshi_cli.app.watching import WatchSession
    from kalshi_cli.core.market.order_book import OrderBook
    from kalshi_cli.services.markets.watch_board import WatchBoard, WatchedMarket
    from kalshi_cli.views.runs import StatusView

ViewOf = Callable[["OrderBook", int], BookView]
"""Returns the best levels of an order book, at the prices of an outcome."""

LEAVE = "Ctrl-C leaves"

MIN_TRADES = 3
"""The least number of lines for trades."""


def show_board(watching: WatchSession, env: str, side: Outcome = "yes") -> None:
    """Draw the markets until the session ends."""
    with screen() as (console, draw):
        for now in _moments(watching):
            draw(draw_board(watching.board, env, now, console.width, console.height, side))


def show_ladder(watching: WatchSession, env: str, depth: int, view_of: ViewOf) -> None:
    """Draw the order book of the watched market until the session ends."""
    with screen() as (console, draw):
        for now in _moments(watching):
            draw(draw_ladder(watching.board, env, now, depth, console.width, console.height, view_of))


def _moments(watching: WatchSession) -> Iterator[Ts]:
    """Yield the times to draw: at once, then not too often."""
    drawn = 0
    for _ in watching:
        if abs(watching.now - drawn) >= REDRAW_MS:
            drawn = watching.now
            yield Ts(drawn)


# -- the board ----------------------------------------------------------------------------------------------------


class _Column(NamedTuple):
    """A column of the screen. On a narrow screen the columns with the highest `rank` are left out first."""

    label: str
    rank: int
    cells: list[Text]

    @property
    def width(self) -> int:
        """Return the width of the widest cell."""
        return max((cell_len(self.label), *(cell.cell_len for cell in self.cells)))


def draw_board(board: WatchBoard, env: str, now: Ts, width: int, height: int, side: Outcome = "yes") -> RenderableType:
    """Return the header, the markets, with their titles where there is room, and as many trades as fit."""
    lines = list(board.lines.values())
    most = max(2, height - MIN_TRADES - 5)
    shown = lines if len(lines) <= most else lines[: most - 1]
    columns = _columns(board, shown, now, side)
    fitting = _fit(columns, width)
    hidden = [column.label for column in columns if column not in fitting]
    heading = _cut(Text(f"Prices of {side.upper()}   {LEAVE}", style="dim"), width)
    parts = [_head(board, env, now, width), heading]
    if hidden:
        parts += _hidden_lines(hidden, width, height - 4 - min(len(lines), most))
    labels, *rows = _table(fitting)
    parts.append(labels)
    has_titles = len(parts) + 2 * len(lines) + 1 + MIN_TRADES <= height
    for line, row in zip(shown, rows, strict=True):
        parts.append(_cut(row, width))
        if has_titles:
            parts.append(Text(f"  {shorten_title(safe_text(line.title), width - 2)}", style="dim"))
    if len(shown) < len(lines):
        left = f"... {len(lines) - len(shown)} more; use a taller terminal"
        parts.append(_cut(Text(left, style="dim"), width))
    room = height - len(parts) - 1
    trades = list(board.trades)[-max(0, room) :] if room > 0 else []
    return Group(*parts, Text(), *(_trade(trade, width, side) for trade in reversed(trades)))


def _head(board: WatchBoard, env: str, now: Ts, width: int) -> Text:
    since = f"{local_time(board.since):%H:%M:%S}"
    head = Text(f"{env}  {format_clock(now)}  ", style="bold")
    if board.is_live:
        head.append(f"Stream live since {since}", style="green")
    else:
        head.append(f"NO STREAM since {since}: {safe_text(board.state.removeprefix('no stream: '))}", style="red")
    return _cut(head, width)


def _hidden_lines(labels: Sequence[str], width: int, room: int) -> list[Text]:
    """Return the note of the columns without room: wrapped if that takes at most `room` lines, else cut to one."""
    text = f"Hidden, too narrow: {', '.join(labels)}"
    wrapped = wrap(text, width).splitlines()
    return [_cut(Text(line, style="dim"), width) for line in (wrapped if len(wrapped) <= room else [text])]


def _cut(text: Text, width: int) -> Text:
    """Cut the text to one line."""
    text.truncate(width, overflow="ellipsis")
    return text


def _columns(board: WatchBoard, lines: Sequence[WatchedMarket], now: Ts, side: Outcome) -> list[_Column]:
    stale = {line.ticker: board.stale_since(line, now) for line in lines}
    fresh = {line.ticker: line.heard is not None and stale[line.ticker] is None and not line.is_over for line in lines}

    quotes = {
        line.ticker: side_prices(side, line.bid, line.bid_size, line.ask, line.ask_size, line.last) for line in lines
    }

    def price(name: str, style: str) -> list[Text]:
        return [
            Text(show_price(getattr(quote, name) if fresh[ticker] else None), style=style)
            for ticker, quote in quotes.items()
        ]

    def size(name: str, of: str) -> list[Text]:
        return [
            Text(
                show_qty(getattr(quote, name)) if fresh[ticker] and getattr(quote, of) is not None else "", style="dim"
            )
            for ticker, quote in quotes.items()
        ]

    return [
        _Column("ticker", 0, [Text(safe_text(line.ticker)) for line in lines]),
        _Column("bid size", 5, size("bid_size", "bid")),
        _Column("bid", 1, price("bid", "green")),
        _Column("ask", 1, price("ask", "red")),
        _Column("ask size", 5, size("ask_size", "ask")),
        _Column(
            "last",
            3,
            [Text(show_price(quote.last), style="" if fresh[ticker] else "dim") for ticker, quote in quotes.items()],
        ),
        _Column(
            "volume", 6, [Text(show_qty(line.volume), style="" if fresh[line.ticker] else "dim") for line in lines]
        ),
        _Column("changed", 2, [_age(line, stale[line.ticker], now, side) for line in lines]),
    ]


def _table(columns: Sequence[_Column]) -> list[Text]:
    """Return the labels and the rows of the columns, each in one line."""
    parts = []
    for column in columns:
        cells = [Text(column.label, style="bold"), *column.cells]
        for cell in cells:
            cell.align("left" if column.rank in (0, 2) else "right", column.width)
        parts.append(cells)
    return [Text(" " * GAP, no_wrap=True).join(row) for row in zip(*parts, strict=True)]


def _fit(columns: list[_Column], width: int) -> list[_Column]:
    while len(columns) > 1 and sum(column.width for column in columns) + GAP * (len(columns) - 1) > width:
        worst = max(column.rank for column in columns)
        columns = [column for column in columns if column.rank < worst]
    return columns


def _age(line: WatchedMarket, stale: Ts | None, now: Ts, side: Outcome) -> Text:
    """Return the time since the last change, or the reason that hides it: ended, stale, waiting or paused."""
    if line.is_over:
        return Text(_status(line, side), style="yellow")
    if stale is not None:
        return Text(f"STALE {_ago(stale, now)}", style="bold red")
    if line.heard is None:
        return Text("waiting", style="yellow")
    if line.status != "active":
        return Text(_status(line, side), style="yellow")
    return Text(_ago(line.changed, now) if line.changed is not None else "", style="dim")


def _status(line: WatchedMarket, side: Outcome) -> str:
    """Return the status in words, with the payout of the outcome if it is known."""
    word = "paused" if line.status == "inactive" else safe_text(line.status)
    return word if line.value is None else f"{word} at {show_price(own_price(side, line.value))}"


def _ago(ts: Ts, now: Ts) -> str:
    seconds = max(0, now - ts) // 1000
    return f"{seconds}s" if seconds < 100 else f"{seconds // 60}m" if seconds < 6000 else f"{seconds // 3600}h"


def _trade(trade: PublicTrade, width: int, side: Outcome) -> Text:
    """Return a trade in one line; where it does not fit, in fewer words and with a shorter ticker."""
    is_bought = trade.taker_side is BID
    taker = "YES" if is_bought else "NO"
    count, price = show_qty(trade.qty), show_price(own_price(side, trade.price))
    time, ticker = f"{local_time(trade.ts):%H:%M:%S}  ", safe_text(trade.ticker)
    whole, room = len(ticker), width - len(time) - GAP
    short = f"{count} at {price}"
    choices = (f"{count} traded at {price}, taker bought {taker}", whole), (f"{short}, {taker} taker", MIN_NAME_WIDTH)
    words = next((text for text, least in choices if min(least, whole) + len(text) <= room), short)
    ticker = shorten_name(ticker, max(MIN_NAME_WIDTH, room - len(words)))
    line = Text.assemble((time, "dim"), f"{ticker}{'':{GAP}}", (words, "green" if is_bought else "red"))
    return _cut(line, width)


# -- the ladder ---------------------------------------------------------------------------------------------------


def draw_ladder(
    board: WatchBoard, env: str, now: Ts, depth: int, width: int, height: int, view_of: ViewOf = book_view
) -> RenderableType:
    """Return one order book, as deep as the screen is high; `view_of` is for the prices of YES or of NO."""
    line = next(iter(board.lines.values()))
    stale = board.stale_since(line, now)
    view = view_of(line.book, min(depth, max(1, (height - 5) // 2)))
    side = view.outcome
    name = Text.assemble((f"{safe_text(line.ticker)}  {side.upper()}", "bold"), (f"   {LEAVE}", "dim"))
    head = [_head(board, env, now, width), _cut(name, width)]
    if line.is_over:
        return Group(*head, Text(f"{_status(line, side)}: trading has ended", style="yellow"))
    if stale is not None:
        return Group(*head, Text(f"STALE since {format_clock(stale)}: prices hidden", style="red"))
    if line.heard is None:
        return Group(*head, Text("Waiting for the order book", style="yellow"))
    bids, asks = levels_of("bid", view.bids), levels_of("ask", view.asks)
    last = None if line.last is None else own_price(side, line.last)
    status = Text(f"last {show_price(last)}   volume {show_qty(line.volume)}   {_status(line, side)}", style="dim")
    if not bids and not asks:
        return Group(*head, status, Text("No quotes", style="yellow"))
    return Group(*head, status, ladder(view, bids, asks, width))


# -- the status ---------------------------------------------------------------------------------------------------


def draw_status(view: StatusView, notes: Sequence[str], now: Ts, width: int, height: int) -> RenderableType:
    """Return the time, which shows that the screen is alive, what needs the user, and the status.

    A line about a problem is wrapped. So is a value, if the screen is tall enough for all of them; else it is cut.
    """
    grid, whole = one_grid(view, now, width=width), one_grid(view, now)
    warnings = [line for note in notes for line in wrap(safe_text(note), width).splitlines()]
    if len(Console(width=width).render_lines(whole)) + len(warnings) < height:
        grid = whole
    hidden = grid.row_count + len(warnings) - (height - 1)
    missing = f"  ({pluralize(hidden, 'line')} hidden)" if hidden > 0 else ""
    title = f"status  {format_clock(now)}{missing}   {LEAVE}"
    return Group(_cut(Text(title, style="bold"), width), *(Text(line, style="yellow") for line in warnings), grid)
