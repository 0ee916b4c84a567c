"""The state of the screen as styled lines, without a terminal: pure functions of what the event stream said.

A row is text with the id of what it shows, so that a key can act on the selected row.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import NamedTuple

from msgspec.structs import replace
from rich.text import Text

from kalshi_cli.base.local_time import local_time
from kalshi_cli.base.text import MIN_NAME_WIDTH, safe_text, shorten_name, shorten_title
from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, show_exact, show_money, show_price, show_qty
from kalshi_cli.views.live import LiveEvent, LiveFillRow, LiveSettlementRow
from kalshi_cli.views.order_text import effect_words
from kalshi_cli.views.orders import LiveOrderRow
from kalshi_cli.views.own_terms import fill_terms, held_by_market, order_terms
from kalshi_cli.views.positions import FillPart

MIN_TEXT_WIDTH = 8
"""The least width of a text, other than the name of a market, that is cut: less of it says nothing."""

_NAMES = ("ticker", "subject")


class Row(NamedTuple):
    """A line of a list: what it shows in columns, and the market and order that a key would act on.

    `title` is that of the market, or all of an alert; a list shows that of its selected row below it, because the
    column is often too narrow. `name` tells rows of the same market apart.
    """

    cells: tuple[str, ...]
    ticker: str = ""
    order_id: str = ""
    style: str = ""
    title: str = ""
    name: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Return what the row is about, to find it again when its numbers have changed."""
        return self.name or self.ticker or self.cells[0], self.order_id


class Column(NamedTuple):
    """A column: its heading, its width (0 takes what is left), and whether it holds numbers.

    `short` is the width of its short words, where the columns that matter have no room; 0 if it has none.
    """

    name: str
    width: int
    is_number: bool = False
    short: int = 0


class Panel(NamedTuple):
    """A list of the screen: title, columns, the rows of a state, and the words for an empty list.

    The first `least` columns are the ones that matter: the names of markets are cut for them where room is short. With
    `has_texts` the title of the selected row is shown in full, in lines of its own.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: Callable[[LiveEvent], list[Row]]
    empty: str
    least: int
    has_texts: bool = False


def _exact(amount: Money | None) -> str:
    return "—" if amount is None else show_exact(amount)


def tone(gain: Money | None) -> str:
    """Return the color of a gain or a loss."""
    return "" if not gain else "green" if gain > 0 else "red"


def time_of_day(ts: Ts) -> str:
    """Return a time as HH:MM:SS, in the time zone of the screen."""
    return f"{local_time(ts):%H:%M:%S}"


def _titles(state: LiveEvent) -> Mapping[str, str]:
    """Return the titles of markets as far as the state has them."""
    followed = {each.ticker: each.title for each in state.markets or ()}
    return followed | {each.ticker: each.title for each in state.positions or () if each.title}


def _positions(state: LiveEvent) -> list[Row]:
    return [
        Row(
            (
                each.ticker, f"{show_qty(each.count)} {each.side.upper()}", show_money(each.unrealized, signed=True),
                show_price(each.average_price), show_price(each.mark), show_money(each.value),
                show_money(each.max_payout), each.title or "",
            ),
            ticker=each.ticker,
            style=tone(each.unrealized),
            title=each.title or "",
            name=f"{each.ticker} {each.subaccount}",
        )
        for each in state.positions or ()
    ]  # fmt: skip


def _orders(state: LiveEvent) -> list[Row]:
    held, titles = held_by_market(state.positions or ()), _titles(state)
    return [
        Row(
            (
                each.ticker, terms.words, show_price(terms.price),
                f"{show_qty(each.filled)}/{show_qty(each.count)}", effect_words(each) or "", each.status.lower(),
                "" if each.expires is None else time_of_day(each.expires), each.strategy or "manual",
                (each.order_id or "not confirmed")[:8],
            ),
            ticker=each.ticker,
            order_id=order_key(each),
            title=titles.get(each.ticker, ""),
        )
        for each, terms in ((order, order_terms(order, held)) for order in state.orders or ())
    ]  # fmt: skip


def order_key(order: LiveOrderRow) -> str:
    """Return the id that a key acts on: the exchange's, or before a confirmation the client order id."""
    return order.order_id or order.client_order_id or ""


def order_of(state: LiveEvent, key: str) -> LiveOrderRow | None:
    """Return the live order with this key; None if it is no longer live."""
    return next((each for each in state.orders or () if order_key(each) == key), None)


def _fills(state: LiveEvent) -> list[Row]:
    """Return fills and settlements, the newest first."""
    titles = _titles(state)
    fills = [
        (
            each.time,
            Row(
                (
                    time_of_day(each.time), each.ticker, part.words, show_price(part.price), show_qty(part.count),
                    _exact(part.fee), "taker" if each.is_taker else "maker", each.strategy or "manual",
                ),
                ticker=each.ticker,
                title=titles.get(each.ticker, ""),
                name=f"{each.trade_id} {each.order_id} {number}",
            ),
        )
        for each in state.fills or ()
        for number, part in reversed(list(enumerate(_parts(each))))
    ]  # fmt: skip
    settled = [(each.time, _settlement(each)) for each in state.settlements or ()]
    return [row for _, row in sorted([*settled, *fills], key=itemgetter(0), reverse=True)]


def _settlement(settled: LiveSettlementRow) -> Row:
    held, net = Qty(settled.yes_count + settled.no_count), f"P&L {show_money(settled.net, signed=True)}"
    words = f"settled {settled.result.upper()}"
    return Row(
        (
            time_of_day(settled.time), settled.ticker, words, show_price(_payout(settled)), show_qty(held), "", "", net,
        ),
        ticker=settled.ticker,
        style=tone(settled.net) or "bold",
        title=settled.text,
        name=f"{settled.ticker} settled {settled.time}",
    )  # fmt: skip


def _payout(settled: LiveSettlementRow) -> Price | None:
    """Return the payout of a contract of the side held; None where subaccounts held both."""
    if settled.yes_count and settled.no_count:
        return None
    return settled.value if settled.yes_count else Price(ONE_DOLLAR - settled.value)


def news(before: LiveEvent, now: LiveEvent) -> list[str]:
    """Return lines for what came since without a key: fills of resting manual orders, and settlements."""
    return [*new_fills(before, now), *new_settlements(before, now)]


def new_fills(before: LiveEvent, now: LiveEvent) -> list[str]:
    """Return a line for each manual order that rested and filled since; none for the fills of the first read.

    What an order took at once is in the result of its own key.
    """
    if before.fills is None:
        return []
    known = {each.trade_id for each in before.fills}
    counts: dict[tuple[str, str, str, Price], int] = {}
    for fill in reversed(now.fills or ()):
        if fill.trade_id in known or fill.is_taker or fill.strategy:
            continue
        for part in _parts(fill):
            key = (fill.order_id, fill.ticker, part.words, part.price)
            counts[key] = counts.get(key, 0) + part.count
    return [
        f"Order {order_id[:8]} on {ticker} filled: {words}, {show_qty(Qty(count))} at {show_price(price)}"
        for (order_id, ticker, words, price), count in counts.items()
    ]


def new_settlements(before: LiveEvent, now: LiveEvent) -> list[str]:
    """Return a line for each settlement that came since; none for those of the first read."""
    known = before.settlements
    return [each.text for each in reversed(now.settlements or ()) if known is not None and each not in known]


def _parts(fill: LiveFillRow) -> list[FillPart]:
    """Return the parts of a fill; whole, in the terms typed or else in those of YES, from a loop that lacks them.

    The first part of an older loop, which does not say the fees of parts, has all of the fee.
    """
    terms = fill_terms(fill.book_side, fill.price, None, fill.typed_side)
    first, *others = fill.parts or (FillPart(words=terms.words, price=terms.price, count=fill.count),)
    return [first if first.fee is not None else replace(first, fee=fill.fee), *others]


def _strategies(state: LiveEvent) -> list[Row]:
    rows = [
        Row(
            (
                each.strategy or "manual", show_money(each.net, signed=True), show_money(each.realized, signed=True),
                show_money(each.unrealized, signed=True), show_money(each.fees), show_money(each.at_risk),
                str(each.live_orders),
            ),
            style=tone(each.net),
        )
        for each in state.strategies or ()
    ]  # fmt: skip
    denied = state.run.denied if state.run is not None else {}
    return [*rows, *(Row((f"refused {code}", str(count)), style="yellow") for code, count in sorted(denied.items()))]


def has_strategies(state: LiveEvent) -> bool:
    """Return whether a strategy runs, or has numbers to show."""
    return bool(_strategies(state)) or (state.run is not None and state.run.running)


_TIERS = {"critical": "bold red", "warning": "yellow"}


def _alerts(state: LiveEvent) -> list[Row]:
    return [
        Row(
            (time_of_day(each.time), each.state or "", each.tier, each.code, each.short_subject, each.text),
            ticker=_ticker_in(each.subject),
            style="dim" if each.state == "over" else _TIERS.get(each.tier.lower(), ""),
            title=f"{each.code} {each.short_subject}: {each.text}",
            name=f"{each.time} {each.code} {each.subject}",
        )
        for each in state.alerts or ()
    ]


def _ticker_in(subject: str) -> str:
    """Return the market that the subject of an alert begins with, such as `KXA-1 subaccount 2`; "" without one."""
    word = subject.partition(" ")[0]
    return word if word.isupper() and "-" in word else ""


def firing(state: LiveEvent) -> int:
    """Return the number of alerts that fire."""
    return sum(each.state == "firing" for each in state.alerts or ())


def titled(state: LiveEvent) -> tuple[int, bool]:
    """Return the parts of a state on which the titles of lists depend."""
    return firing(state), has_strategies(state)


def _markets(state: LiveEvent) -> list[Row]:
    return [
        Row(
            (
                each.ticker, show_price(each.bid), show_qty(each.bid_count), show_price(each.ask),
                show_qty(each.ask_count), each.title,
            ),
            ticker=each.ticker,
            title=each.title,
        )
        for each in state.markets or ()
    ]  # fmt: skip


def _number(name: str, width: int) -> Column:
    return Column(name, width, is_number=True)


FIND_MARKETS = "To find some: /, after `kalshi catalog refresh`, or `kalshi top --list NAME`"

PANELS = (
    Panel(
        "positions", "Positions",
        (Column("ticker", 34), _number("quantity", 10), _number("unrealized", 10), _number("avg price", 9),
         _number("closing price", 13), _number("value", 9), _number("max payout", 10), Column("title", 0)),
        _positions, "No open positions", 4,
    ),
    Panel(
        "orders", "Orders",
        (Column("ticker", 34), Column("side", 8), _number("price", 8), _number("filled", 9), Column("effect", 26),
         Column("status", 9), Column("expires", 8), Column("strategy", 12), Column("order id", 0)),
        _orders, "No live orders", 5,
    ),
    Panel(
        "fills", "Fills",
        (Column("time", 8, short=5), Column("ticker", 34), Column("side", 17, short=8), _number("price", 8),
         _number("quantity", 8),
         _number("fee", 9), Column("liquidity", 9), Column("strategy", 0)),
        _fills, "No fills in the last day", 5,
    ),
    Panel(
        "strategies", "P&L by strategy",
        (Column("strategy", 18), _number("net", 10), _number("realized", 10), _number("unrealized", 10),
         _number("fees", 8), _number("at risk", 9), _number("orders", 6)),
        _strategies, "No strategy is running: `kalshi pnl --by strategy` has the past", 1,
    ),
    Panel(
        "alerts", "Alerts",
        (Column("time", 8), Column("state", 6), Column("severity", 8), Column("code", 18), Column("subject", 34),
         Column("text", 0)),
        _alerts, "No alerts in the last day", 6, has_texts=True,
    ),
    Panel(
        "markets", "Markets",
        (Column("ticker", 34), _number("bid", 8), _number("quantity", 8), _number("ask", 8), _number("quantity", 8),
         Column("title", 0)),
        _markets, f"No markets. {FIND_MARKETS}", 5,
    ),
)  # fmt: skip

MARKETS = PANELS[-1]


def cell(text: str, width: int, *, is_number: bool = False) -> str:
    """Return a cell of exactly this width. Text from outside is made safe; a cut text ends in an ellipsis."""
    plain = safe_text(text)
    if len(plain) > width:
        plain = plain[: width - 1] + "…" if width > 0 else ""
    return plain.rjust(width) if is_number else plain.ljust(width)


def line(cells: Sequence[str], columns: Sequence[Column], width: int) -> str:
    """Return the cells side by side, in `width` characters. Columns without room are left out, the last ones first.

    A number is whole or left out: a cut one would look like a smaller one.
    """
    parts: list[str] = []
    for text, column, wide in zip(cells, columns, _shown_widths(columns, width), strict=False):
        shorten = shorten_name if column.name in _NAMES else shorten_title if column.name == "title" else None
        said = shorten(safe_text(text), wide) if shorten else text
        if column.short and len(said) > wide:  # "14:05:09" -> "14:05", "buy YES (closes)" -> "buy YES…"
            words, has_effect, _ = said.partition(" (")
            said = f"{words}…" if has_effect else said.rpartition(":")[0] or said
        parts.append(cell(said, wide, is_number=column.is_number))
    return " ".join(parts)[:width]


def hidden_columns(panel: Panel, rows: Sequence[Row], width: int) -> str:
    """Return the columns of a list for which `width` has no room, after its title; empty if all are shown."""
    columns = with_room(fitted(panel.columns, rows), panel.least, width - 2)
    shown = _shown_widths(columns, width - 2)
    left_out = [column.name for column in columns[len(shown) :]]
    return f"{panel.title}: {', '.join(left_out)}" if left_out else ""


def _shown_widths(columns: Sequence[Column], width: int) -> list[int]:
    """Return the widths of the columns that have room, the first ones first."""
    widths: list[int] = []
    room = width
    for column in columns:
        wide = min(column.width or room, room)
        if wide < (column.width if column.is_number else min(column.width or MIN_TEXT_WIDTH, MIN_TEXT_WIDTH)):
            break
        widths.append(wide)
        room -= wide + 1
    return widths


def list_lines(panel: Panel, rows: Sequence[Row], width: int, selected: int | None) -> list[Text]:
    """Return the heading and a line for each row; the selected row is marked, also without color."""
    columns = with_room(fitted(panel.columns, rows), panel.least, width - 2)
    lines = [Text("  " + line([column.name for column in panel.columns], columns, width - 2), style="dim")]
    if not rows:
        lines += [Text(f"  {each}", style="dim") for each in textwrap.wrap(panel.empty, max(1, width - 2))]
    for number, row in enumerate(rows):
        mark = "> " if number == selected else "  "
        style = f"{row.style} reverse" if number == selected else row.style
        lines.append(Text(mark + line(row.cells, columns, width - 2), style=style.strip()))
    return lines


def text_lines(title: str, width: int, height: int) -> list[Text]:
    """Return the whole title of the selected row in at most half of the height; a longer one ends in an ellipsis."""
    room = max(1, width - 2)
    lines = textwrap.wrap(safe_text(title), room, max_lines=max(1, height // 2), placeholder=" …")
    return [Text(f"  {line}", style="bold") for line in lines]


def below(title: str, place: str, width: int) -> Text:
    """Return the line below a list: the title of the selected market, and the place of the row in a long list."""
    words = shorten_title(safe_text(title), max(0, width - len(place) - 4))
    return Text(words + ("  " if words and place else "") + place)


def fitted(columns: Sequence[Column], rows: Iterable[Row]) -> tuple[Column, ...]:
    """Return the columns, each only as wide as its heading and values need."""
    widest = [len(column.name) for column in columns]
    for row in rows:
        for number, text in enumerate(row.cells[: len(widest)]):
            widest[number] = max(widest[number], len(text))
    return tuple(
        column._replace(width=min(column.width, widest[number])) if column.width else column
        for number, column in enumerate(columns)
    )


def with_room(columns: Sequence[Column], least: int, width: int) -> tuple[Column, ...]:
    """Return the columns, the name of the market cut so that the first `least` columns fit in `width`, or most of them.

    At least the column after the name decides: an amount says more than the whole name. Where that is not enough for
    all of the first columns, those with short words are made short.
    """
    name = next((number for number, column in enumerate(columns) if column.name in _NAMES), len(columns))
    short = [each._replace(width=min(each.width, each.short or each.width)) for each in columns]
    for count in range(least, name + 1, -1):
        for tried in (columns, short):
            missing = sum((column.width or MIN_TEXT_WIDTH) + 1 for column in tried[:count]) - 1 - width
            if missing <= 0 or missing <= tried[name].width - MIN_NAME_WIDTH:
                cut = tried[name]._replace(width=tried[name].width - max(0, missing))
                return (*tried[:name], cut, *tried[name + 1 :])
    return tuple(columns)


def matching(rows: Iterable[Row], words: str) -> list[Row]:
    """Return the rows that contain every one of the words, in any case."""
    wanted = words.lower().split()
    return [row for row in rows if all(word in " ".join(row.cells).lower() for word in wanted)]
