"""The first orders that differ in two saved reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

from kalshi_cli.base.units import Ts, format_ts, show_price, show_qty
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.services.trading.reports.sent_orders import MAX_SENT
from kalshi_cli.views.backtests import ComparisonRow
from kalshi_cli.views.runs import SentOrderRow

ORDER = "order "
"""The beginning of a measure that is the first order request of a market that differs."""

SAME_TIME_MS = 5_000
"""The most by which equal order requests differ in time: ticks come at other moments in a backtest than in a run."""


def order_rows(reports: Sequence[Mapping[str, Any]]) -> list[ComparisonRow]:
    """Return for each market the first order requests that differ, by time; none if a report has no list of them."""
    if not all("sent" in each for each in reports):
        return []
    cuts = [each["sent"][-1].time for each in reports if len(each["sent"]) >= MAX_SENT]
    found = first_differences(reports[0]["sent"], reports[1]["sent"], min(cuts, default=None))
    return [
        ComparisonRow(measure=ORDER + each.ticker, a=_text(each.a), b=_text(each.b), difference=None) for each in found
    ]


def without_dates(row: ComparisonRow) -> ComparisonRow:
    """Return a row of `order_rows` for a terminal: the market, and the orders with the time of day."""
    a, b = (None if text is None else text[11:19] + text[text.index(" ") :] for text in (row.a, row.b))
    return ComparisonRow(measure=row.measure.removeprefix(ORDER), a=a, b=b, difference=None)


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
    return min(row.time for row in _known(rows))


def _known(rows: Sequence[SentOrderRow | None]) -> Iterator[SentOrderRow]:
    return (row for row in rows if row is not None)
