"""`kalshi portfolio` on a terminal: money, positions and limits, on one screen of 80x24 for up to five positions."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from kalshi_cli.base.text import safe_text, shorten_title
from kalshi_cli.base.units import Money, Ts, adds_up, pluralize, show_money, show_price, show_qty, show_sum
from kalshi_cli.cli.screen.output import ROUNDED, info, wrap, write_out
from kalshi_cli.cli.screen.tables import hidden_line
from kalshi_cli.views.formats import Ratio, SignedMoney, format_time, style, to_text
from kalshi_cli.views.order_text import effect_words
from kalshi_cli.views.own_terms import held_by_market, order_terms
from kalshi_cli.views.portfolio import HoldingRow, LimitUsageRow, PortfolioView
from kalshi_cli.views.positions import mark_note

GAP = 2
TWO_COLUMNS = 66
"""From this width on, the money is shown in two columns."""

LEAST_LIMITS = 3
"""Limits that are shown however many positions there are."""

LEAST_SUBJECT = 20
"""The least room for the market of a limit beside its numbers."""

OF_ACCOUNT = ("EXPOSURE", "DAILY_LOSS")
"""Limits of the whole account, which stand beside the money."""

NEARLY_USED = 0.9
"""The share from which on the use of a limit is shown in color."""

Fact = tuple[str, str, str]
"""A name, a value and its color."""


def portfolio_lines(view: PortfolioView, title: str, now: Ts | None, width: int, height: int) -> list[Text]:
    """Return the screen in lines of `width`: at most `height` of them, if the positions leave room for that.

    Orders and limits take the room that is left, the most used limits first.
    """
    head = Text(safe_text(f"{title}, {format_time(view.as_of, now)}"), style="bold")
    lines = [
        head,
        *_money_lines(view, width),
        *_estimate_lines(view),
        *_unpriced_lines(view),
        Text(),
        *position_lines(view.positions, width),
    ]
    others = [use for use in view.limits if use.limit_code not in OF_ACCOUNT]
    lines += order_lines(view, width, height - len(lines) - (LEAST_LIMITS + 3 if others else 2))
    if others:
        lines.append(Text())
        lines += limit_lines(others, width, max(LEAST_LIMITS, height - len(lines) - 2))
    for each in lines:
        each.truncate(width, overflow="ellipsis")
    return lines


def draw_portfolio(view: PortfolioView, title: str, now: Ts | None, positions: str = "kalshi positions") -> None:
    """Print the screen; where the output is no terminal, with every limit. `positions` is their command."""
    console = Console(highlight=False, emoji=False, markup=False)
    notices = _notices(view, console.width, positions)
    below = sum(len(wrap(line, console.width).splitlines()) for line in notices) + 1  # the prompt needs a line
    height = console.height - below if console.is_terminal else len(view.limits) + 1_000
    with console.capture() as drawn:
        console.print(Text("\n").join(portfolio_lines(view, title, now, console.width, height)), no_wrap=True)
    write_out(drawn.get())
    info(*notices)


def _notices(view: PortfolioView, width: int, positions: str) -> list[str]:
    """Return the lines below the screen: the columns without room, and that sums are rounded."""
    notices = []
    if hidden := hidden_columns(view.positions, width):
        names = [name for name, label in HIDDEN_FIELDS.items() if label in hidden]
        notices.append(hidden_line(hidden, ("ticker", "side", *names), positions))
    if not adds_up(view.realized_today, view.unrealized_today, -view.fees_today):
        notices.append(ROUNDED)
    return notices


def _money_lines(view: PortfolioView, width: int) -> list[Text]:
    cash, value, equity = show_sum(view.cash, view.positions_value)
    left: list[Fact] = [
        ("cash", cash, ""),
        ("positions value", value, ""),
        ("equity", equity, ""),
        ("unrealized", *_gain(view.unrealized)),
        ("resting orders", str(view.resting_orders), ""),
    ]
    gained, color = _gain(view.pnl_today)
    share = "" if view.pnl_today_share is None else f" ({to_text(Ratio)(view.pnl_today_share)})"
    limits = {use.limit_code: use for use in view.limits}
    right: list[Fact] = [
        ("P&L today", f"{gained}{share}, fees {show_money(view.fees_today)}", color),
        ("realized today", f"{_gain(view.realized_today)[0]}, unrealized {_gain(view.unrealized_today)[0]}", ""),
        ("closing orders", f"{view.wins_today} won, {view.losses_today} lost today", ""),
        ("exposure", _of_limit(limits.get("EXPOSURE")) or f"{show_money(view.exposure)}, no limit", ""),
        ("daily loss", _of_limit(limits.get("DAILY_LOSS")) or "no limit", ""),
    ]
    names, values = (max(len(fact[part]) for fact in left) for part in (0, 1))
    lefts = [_fact(fact, names, values) for fact in left]
    rights = [_fact(fact, max(len(name) for name, *_ in right)) for fact in right]
    if width < TWO_COLUMNS:
        return [*lefts, *rights]
    return [Text("   ").join(pair) for pair in zip(lefts, rights, strict=True)]


def _estimate_lines(view: PortfolioView) -> list[Text]:
    """Return the line that says how much of the amounts above is an estimate; none without one."""
    guessed = [row for row in view.positions if row.mark_source == "estimate"]
    if not guessed:
        return []
    value = Money(sum(row.value or 0 for row in guessed))
    gain = Money(sum(row.unrealized or 0 for row in guessed))
    text = f"estimate: {show_money(value)} of value and equity, {show_money(gain, signed=True)} of P&L: no bids there"
    return [Text(text, style="yellow")]


def _unpriced_lines(view: PortfolioView) -> list[Text]:
    """Return the line that names the positions whose price at midnight is unknown; none without one."""
    if not view.unpriced_at_open:
        return []
    tickers = safe_text(", ".join(view.unpriced_at_open))
    return [Text(f"P&L today counts no gain of these, their prices at midnight are unknown: {tickers}", style="yellow")]


def _fact(fact: Fact, name_width: int, value_width: int = 0) -> Text:
    name, value, color = fact
    return Text.assemble((name.ljust(name_width + GAP), "dim"), (value.rjust(value_width), color))


def _gain(amount: SignedMoney | None) -> tuple[str, str]:
    return to_text(SignedMoney | None)(amount), style("", SignedMoney, amount)


def used_percent(use: LimitUsageRow) -> str:
    """Return the use of a limit in percent, with one decimal place."""
    return f"{use.used_share:.1%}"


def _of_limit(use: LimitUsageRow | None) -> str:
    return "" if use is None else safe_text(f"{use.used} of {use.limit} ({used_percent(use)})")


# -- positions ----------------------------------------------------------------------------------------------------

HIDDEN_FIELDS = {
    "cost": "cost", "value": "value", "max_payout": "max payout", "mark": "closing price", "average_price": "avg price",
}  # fmt: skip
"""The columns that a narrow terminal leaves out, by their fields in `kalshi positions`.

First those that follow from the quantity and the prices.
"""


def position_lines(rows: Sequence[HoldingRow], width: int) -> list[Text]:
    """Return lines for each position: its market with the title, a note if any, and its numbers under headings."""
    if not rows:
        return [Text("No open positions")]
    cells = [_cells(row) for row in rows]
    widths = _fitted(cells, width)
    gap = GAP if sum(widths.values()) + GAP * len(widths) <= width else 1
    lines = [Text("".join(" " * gap + name.rjust(wide) for name, wide in widths.items()), style="bold")]
    for row, line in zip(rows, cells, strict=True):
        where = f" (subaccount {row.subaccount})" if row.subaccount else ""
        name = safe_text(row.ticker + where)
        title = shorten_title(safe_text(row.title or ""), max(0, width - len(name) - GAP))
        lines.append(Text.assemble((name, "bold"), " " * GAP, (title, "")))
        if note := mark_note(row):
            lines.append(Text(" " * gap + note, style="yellow"))
        numbers = ((name, line[name].rjust(wide)) for name, wide in widths.items())
        lines.append(Text.assemble(*((" " * gap + text, _color(name, row)) for name, text in numbers)))
    return lines


def hidden_columns(rows: Sequence[HoldingRow], width: int) -> list[str]:
    """Return the columns for which this width has no room."""
    cells = [_cells(row) for row in rows]
    return [name for name in cells[0] if name not in _fitted(cells, width)] if cells else []


def _fitted(cells: Sequence[dict[str, str]], width: int) -> dict[str, int]:
    """Return the columns that fit, with their widths."""
    widths = {name: max(len(name), *(len(line[name]) for line in cells)) for name in cells[0]}
    for name in HIDDEN_FIELDS.values():
        if sum(widths.values()) + len(widths) > width:
            del widths[name]
    return widths


def _cells(row: HoldingRow) -> dict[str, str]:
    return {
        "quantity": f"{show_qty(row.count)} {row.side.upper()}",
        "avg price": show_price(row.average_price),
        "closing price": show_price(row.mark),
        "cost": show_money(row.cost),
        "value": show_money(row.value),
        "unrealized": _gain(row.unrealized)[0],
        "max payout": show_money(row.max_payout),
    }


def _color(name: str, row: HoldingRow) -> str:
    return _gain(row.unrealized)[1] if name == "unrealized" else ""


# -- orders and limits --------------------------------------------------------------------------------------------


def order_lines(view: PortfolioView, width: int, height: int) -> list[Text]:
    """Return the resting orders with what each closes or opens, below an empty line, in at most `height` lines.

    Where a ticker and its price do not fit beside each other, the price is below. The last line counts the rest. Where
    there is no room for an order, one line says where to find them, however small the height.
    """
    if not view.orders:
        return []
    held = held_by_market(view.positions)
    terms = [order_terms(each, held).text(each.remaining) for each in view.orders]
    pairs = zip(view.orders, terms, strict=True)
    cells = [(safe_text(each.ticker), text, effect_words(each) or "") for each, text in pairs]
    ticker, order = (max(len(row[column]) for row in cells) for column in (0, 1))
    is_wide = GAP + ticker + GAP + order < width  # the mark of a cut effect takes one more
    between, each_takes = (f"{'':{GAP}}", 1) if is_wide else (f"\n{'':{2 * GAP}}", 2)
    room = len(cells) if len(cells) * each_takes + 2 <= height else (height - 3) // each_takes
    if room < 1:
        found = Text(f"{pluralize(len(view.orders), 'resting order')}: `kalshi order list`", style="dim")
        return [Text(), found] if height > 1 else [found]
    rows = [f"  {name:<{ticker}}{between}{text:<{order}}  {effect}" for name, text, effect in cells[:room]]
    lines = [Text(), Text("resting orders", style="bold"), *(Text(line) for row in rows for line in row.split("\n"))]
    if rest := len(view.orders) - room:
        lines.append(Text(f"  and {rest} more: `kalshi order list`", style="dim"))
    return lines


def limit_lines(rows: Sequence[LimitUsageRow], width: int, height: int) -> list[Text]:
    """Return a heading and the most used limits, in at most `height` lines, of which the last counts the rest.

    Where a line does not fit, its subject is cut, or is below the rest where little of it would be left.
    """
    cells = [(used_percent(use), safe_text(f"{use.used} of {use.limit}"), safe_text(use.subject)) for use in rows]
    share, amounts, subject = (max(map(len, column)) for column in zip(*cells, strict=True))
    left = width - share - amounts - max(len(use.limit_code) for use in rows) - 4 * GAP
    is_below = left < min(subject, LEAST_SUBJECT)
    subject, each_takes = (0, 2) if is_below else (min(subject, left), 1)
    room = len(rows) if len(rows) * each_takes < height else max(1, (height - 2) // each_takes)
    shown, rest = rows[:room], rows[room:]
    lines = [Text("limits, the most used first", style="bold")]
    for use, (used, amount, what) in zip(shown, cells, strict=False):
        middle = "" if is_below else f"{shorten_title(what, subject):<{subject}}  "
        texts = [f"  {used:>{share}}  {amount:<{amounts}}  {middle}{use.limit_code}"]
        texts += [f"{'':{2 * GAP}}{what}"] if is_below else []
        lines += (Text(text, style="yellow" if use.used_share >= NEARLY_USED else "") for text in texts)
    if rest:
        most = used_percent(rest[0])
        lines.append(Text(f"  and {len(rest)} more, used {most} at most; -v shows all", style="dim"))
    return lines
