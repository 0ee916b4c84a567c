"""The first orders, or else the first fills, that differ in two saved reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from kalshi_cli.base.units import Ts, format_ts, show_price, show_qty
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.services.trading.reports.sent_orders import MAX_SENT
from kalshi_cli.views.backtests import ComparisonRow
from kalshi_cli.views.parsing import from_machine
from kalshi_cli.views.runs import RunFillRow, SentOrderRow

ORDER = "order "
"""The beginning of a measure that is the first order request of a market that differs."""

FILL = "fill "
"""The beginning of a measure that is the first fill of a market that differs."""

SAME_TIME_MS = 5_000
"""The most by which equal order requests, or fills, differ in time: ticks come at other moments in a backtest than in
a run."""


def order_rows(reports: Sequence[Mapping[str, Any]]) -> list[ComparisonRow]:
    """Return for each market the first order requests that differ, by time; none if a report has no list of them."""
    return _rows(ORDER, [each.get("sent") for each in reports])


def fill_rows(reports: Sequence[Mapping[str, Any]]) -> list[ComparisonRow]:
    """Return for each market the first fills that differ, by time; none if a report has no list of them."""
    return _rows(FILL, [each.get("run_fills") for each in reports])


def fills_of(report: Mapping[str, Any]) -> list[SentOrderRow] | None:
    """Return the fills of a saved report: `run_fills` of a run, `trades` of a backtest. None if it has no such list."""
    listed = report.get("run_fills" if "stopped_by" in report else "trades")
    if listed is None:
        return None
    names = RunFillRow.__struct_fields__
    rows = [{"is_amend": False, **{name: row.get(name) for name in names}} for row in listed[:MAX_SENT]]
    return list(from_machine(tuple[SentOrderRow, ...])(rows))


def _rows(kind: str, lists: Sequence[Sequence[SentOrderRow] | None]) -> list[ComparisonRow]:
    first, second = lists
    if first is None or second is None:
        return []
    cuts = [each[-1].time for each in (first, second) if len(each) >= MAX_SENT]
    found = first_differences(first, second, min(cuts, default=None))
    return [
        ComparisonRow(measure=kind + each.ticker, a=_text(each.a), b=_text(each.b), difference=None) for each in found
    ]


def without_dates(row: ComparisonRow) -> ComparisonRow:
    """Return a row of `order_rows` or `fill_rows` for a terminal: the market, and the orders with the time of day."""
    end = 23 if row.measure.startswith(FILL) else 19  # milliseconds of a fill: the next price can be as near
    a, b = (
        None if text is None else text[11:end].partition("Z")[0] + text[text.index(" ") :] for text in (row.a, row.b)
    )
    return ComparisonRow(measure=row.measure.partition(" ")[2], a=a, b=b, difference=None)


def _text(row: SentOrderRow | None) -> str | None:
    if row is None:
        return None
    action = ("amend to " if row.is_amend else "") + ("buy" if row.book_side is Side.BID else "sell")
    return f"{format_ts(row.time)} {action} {show_qty(row.count)} at {show_price(row.price)}"


class DifferingOrders(NamedTuple):
    """The first requests in a market that differ in two runs; None where one has no further request."""

    ticker: str
    a: SentOrderRow | None
    b: SentOrderRow | None


def first_differences(
    first: Sequence[SentOrderRow], second: Sequence[SentOrderRow], until: Ts | None = None
) -> list[DifferingOrders]:
    """Return for each market the first requests that differ, by time: later ones follow from them.

    Requests are equal if their terms are, and their times differ by at most SAME_TIME_MS. A request later than `until`,
    at which one of the lists was cut, is not missing in the other.
    """
    one, other = _by_market(first), _by_market(second)
    found = []
    for ticker in dict.fromkeys((*one, *other)):
        for a, b in zip_longest(one.get(ticker, ()), other.get(ticker, ())):
            if a is not None and b is not None and _terms(a) == _terms(b) and abs(a.time - b.time) <= SAME_TIME_MS:
                continue
            if until is None or _time(a, b) + SAME_TIME_MS <= until:
                found.append(DifferingOrders(ticker, a, b))
            break
    return sorted(found, key=lambda each: _time(each.a, each.b))


def _by_market(rows: Sequence[SentOrderRow]) -> Mapping[str, Sequence[SentOrderRow]]:
    found: dict[str, list[SentOrderRow]] = {}
    for row in rows:
        found.setdefault(row.ticker, []).append(row)
    return found


def _terms(row: SentOrderRow) -> tuple[object, ...]:
    return row.is_amend, row.book_side, row.price, row.count


def _time(*rows: SentOrderRow | None) -> Ts:
    return min(row.time for row in rows if row is not None)
