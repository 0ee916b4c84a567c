"""A market as styled lines: its depth, public trades, and our position, orders and fills."""

from __future__ import annotations

from collections.abc import Sequence

from rich.text import Text

from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, show_money, show_price, show_qty
from kalshi_cli.tui.picture import PANELS, hidden_columns, list_lines, time_of_day
from kalshi_cli.views.live import LiveEvent
from kalshi_cli.views.market_history import PublicTradeRow
from kalshi_cli.views.order_book import OrderbookView


def ladder(book: OrderbookView, width: int, height: int) -> list[Text]:
    """Return the depth of a book, asks above bids, with bars by size."""
    half = max(1, (height - 1) // 2)
    asks, bids = book.yes_asks[:half], book.yes_bids[:half]
    most = max((qty for _, qty in (*asks, *bids)), default=Qty(1))
    room = max(4, width - 24)
    lines = [_level(price, qty, most, room, "red") for price, qty in reversed(asks)]
    spread = "no spread" if book.spread is None else f"spread {show_price(book.spread)}, mid {show_price(book.mid)}"
    lines.append(Text(f"{'':8}{spread}", style="dim"))
    return lines + [_level(price, qty, most, room, "green") for price, qty in bids]


def _level(price: Price, qty: Qty, most: Qty, room: int, style: str) -> Text:
    bar = "█" * max(1, qty * room // most)
    return Text.assemble(f"{show_price(price):>8} {show_qty(qty):>12} ", (bar, style))


def trade_lines(trades: Sequence[PublicTradeRow], height: int) -> list[Text]:
    """Return public trades, the newest on top; green where the taker bought YES, red where it bought NO."""
    lines = [Text(f"{'time':8} {'price':>7} {'quantity':>8} taker bought", style="dim")]
    for each in trades[: max(0, height - 1)]:
        words = f"{time_of_day(each.time)} {show_price(each.price):>7} {show_qty(each.count):>8} {each.taker.upper()}"
        lines.append(Text(safe_text(words), style="green" if each.taker == "yes" else "red"))
    return lines if len(lines) > 1 else [Text("No trades read yet", style="dim")]


def own_lines(state: LiveEvent, ticker: str, width: int, most: int = 8) -> list[Text]:
    """Return our position, orders and fills in a market, `most` of each; empty lists share one line.

    The maximum payout is beside the title where its column has no room.
    """
    lines: list[Text] = []
    nothing = []
    for panel in PANELS[:3]:
        rows = [row for row in panel.rows(state) if row.ticker == ticker]
        if rows:
            more = f" ({most} of {len(rows)})" if len(rows) > most else ""
            if "max payout" in hidden_columns(panel, rows, width):
                payout = sum(each.max_payout for each in state.positions or () if each.ticker == ticker)
                more += f", max payout {show_money(Money(payout))}"
            lines += [Text(panel.title + more, style="bold"), *list_lines(panel, rows[:most], width, None)]
        else:
            nothing.append(panel.empty)
    return [*lines, Text(", ".join(nothing).capitalize(), style="dim")] if nothing else lines


def odds(price: Price | None) -> str:
    """Return a price as a chance: Price(4700) -> "47%"."""
    return "—" if price is None else f"{100 * price / ONE_DOLLAR:.0f}%"
