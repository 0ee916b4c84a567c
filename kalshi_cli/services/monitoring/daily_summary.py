"""Alerts about the trading day, from the state file: trades, big wins, the drawdown of the day, the daily summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from kalshi_cli.base.units import Money, Qty, Ts, pluralize, show_money, show_price, show_qty
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.pnl import (
    LedgerEntry,
    build_ledger,
    closes,
    closing_key,
    count_closings,
    group_by,
    sort_by_time,
    total,
)
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.model.order_terms import OwnTerms, own_terms
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.monitoring.alert_board import Board
from kalshi_cli.core.monitoring.check_report import Breach
from kalshi_cli.core.state.trading_day import day_start
from kalshi_cli.services.account.portfolio import positions_before
from kalshi_cli.store.alert_tables import AlertStore
from kalshi_cli.store.sqlite_store import Store

LATE_MS = 600_000
"""Time after midnight before a day is summarized: fills from before midnight may still arrive."""

Heard = Callable[[str, str], bool]
"""Returns whether any channel receives a severity or an event."""


def fill_alerts(
    book: AlertStore, begin: int, limit: int, big_win: Money | None, *, is_heard: bool
) -> list[AlertRaised]:
    """Return alerts for the entries booked after `begin`: trades if a channel receives them, and gains of `big_win`."""
    booked = sorted(
        (entry for _, entry in book.numbered_after(begin, limit)), key=lambda entry: isinstance(entry, Settlement)
    )
    found = _trades(book, [entry for entry in booked if isinstance(entry, Fill)]) if is_heard else []
    if big_win is not None and big_win > 0:
        found += _big_wins(book, booked, big_win)
    return found


def _big_wins(book: AlertStore, booked: Sequence[LedgerEntry], big_win: Money) -> Iterator[AlertRaised]:
    """Yield an alert for each closing order or settlement whose gain reaches `big_win` with these new entries.

    The fills of an order count together, also those of earlier looks: a close often trades in many small steps.
    """
    gains: dict[str, list[tuple[LedgerEntry, Money | None]]] = {}
    steps: dict[tuple[str, str], list[LedgerEntry]] = {}
    for entry in booked:
        steps.setdefault(closing_key(entry), []).append(entry)
    for key, step in steps.items():
        ticker, last = key[0], max(step, key=lambda entry: entry.ts)
        if ticker not in gains:
            gains[ticker] = result_of_close(book.entries_of(ticker))
        own = [(entry, gain or 0) for entry, gain in gains[ticker] if closing_key(entry) == key]
        before = sum(gain for entry, gain in own if entry.ts <= last.ts and entry not in step)
        won = before + sum(gain for entry, gain in own if entry in step)
        if before < big_win <= won:
            is_paid, are_several = isinstance(last, Settlement), len(own) > 1
            text = f"{'settled' if is_paid else 'closed'}, gain {show_money(Money(won))}"
            fees = "after the fees of its fills so far" if are_several and not is_paid else "after its fee"
            yield AlertRaised(last.ts, "info", "BIG_WIN", ticker, f"{text} {fees}")


def result_of_close(entries: Iterable[LedgerEntry]) -> list[tuple[LedgerEntry, Money | None]]:
    """Return each trade or settlement of a market with its realized gain after fees; None if it closed nothing."""
    ledger = Ledger()
    found: list[tuple[LedgerEntry, Money | None]] = []
    for entry in sort_by_time(entries):
        before, is_closing = ledger.realized, closes(ledger, entry)
        if isinstance(entry, Settlement):
            ledger.settle(entry)
        else:
            ledger.book(entry)
        fee = 0 if isinstance(entry, Settlement) else entry.fee
        found.append((entry, Money(ledger.realized - before - fee) if is_closing else None))
    return found


def _trades(book: AlertStore, fills: Sequence[Fill]) -> list[AlertRaised]:
    """Return an alert for each fill, in the terms of the user: a sale of what was held, or a purchase of YES or NO."""
    entries = sort_by_time(each for ticker in {fill.ticker for fill in fills} for each in book.entries_of(ticker))
    held = positions_before(each for each in entries if isinstance(each, Fill))
    return [_trade(fill, own_terms(fill.side, fill.price, held.get(fill.key, Qty(0)))) for fill in fills]


def _trade(fill: Fill, terms: OwnTerms) -> AlertRaised:
    what, how = f"{terms.verb} {show_qty(fill.qty)} {terms.side.upper()}", "taker" if fill.is_taker else "maker"
    text = f"{what} at {show_price(terms.price)} ({how}, fee {show_money(fill.fee)})"
    return AlertRaised(fill.ts, "info", "TRADE_EXECUTED", fill.ticker, text)


class TradingDaySummary(msgspec.Struct, frozen=True, kw_only=True):
    """The trading day: its best result, its result now, and a summary of the last day if due.

    `is_today`: a loop completed a cycle today.
    """

    start: Ts
    is_today: bool
    best: Money
    now: Money | None
    summarized: Ts
    summary: AlertRaised | None


class DailySummary:
    """The trading day of an account, from its state file. `look` reads, `tell` is part of the transaction."""

    def __init__(self, book: AlertStore, store: Store, drawdown: Money, zone: ZoneInfo) -> None:
        self._book = book
        self._store = store
        self._drawdown = drawdown
        self._zone = zone

    def look(self, now: Ts, is_heard: Heard) -> TradingDaySummary:
        """Return the trading day as of now."""
        start, cycle = day_start(now, self._zone), self._store.last_cycle()
        is_today = cycle is not None and cycle.completed >= start
        pnl = cycle.day_pnl if cycle is not None and is_today else None
        best = self._book.mark("best") if self._book.mark("best_day") == start else 0
        summarized = Ts(self._book.mark("summarized"))
        summary = None
        if 0 < summarized < start <= now - LATE_MS and is_heard("info", "daily_summary"):
            summary = self._summary(summarized, start)
        return TradingDaySummary(
            start=start,
            is_today=is_today,
            best=Money(max(best, pnl or 0)),
            now=pnl,
            summarized=summarized,
            summary=summary,
        )

    def tell(self, board: Board, day: TradingDaySummary, now: Ts) -> None:
        """Put the drawdown of the day on the board while it lasts, and the summary once a day."""
        book = self._book
        if book.mark("best_day") != day.start or book.mark("best") < day.best:
            book.set_mark("best_day", day.start)
            book.set_mark("best", day.best)
        fall = day.best - day.now if day.now is not None else 0
        if day.now is not None:
            board.observe("trading day", self._breaches(fall, day), now, event="drawdown_warning")
        elif not day.is_today:  # The day of the drawdown is over, even if no loop runs to say so.
            board.end("trading day", now)
        is_due = not day.summarized or day.start <= now - LATE_MS
        if day.summarized < day.start and is_due and book.mark("summarized") == day.summarized:
            book.set_mark("summarized", day.start)
            if day.summary is not None:
                board.happen(day.summary, now)

    def _breaches(self, fall: int, day: TradingDaySummary) -> list[Breach]:
        if not 0 < self._drawdown <= fall:
            return []
        value = f"{show_money(Money(fall))} below the day's high of {show_money(day.best)}"
        limit = show_money(self._drawdown)
        return [Breach(subject="account", value=value, limit=limit, severity="warning", code="DAY_DRAWDOWN")]

    def _summary(self, since: Ts, until: Ts) -> AlertRaised | None:
        """Return the summary from midnight to midnight, of several days if none was summarized; None without trades."""
        entries: list[LedgerEntry] = [entry for entry in self._store.history.entries(since) if entry.ts < until]
        moved = {entry.ticker for entry in entries if entry.ts >= since}
        if not moved:
            return None
        won, lost = count_closings(entries, since)
        day = total(group_by(entries, {}, lambda ticker, _: ticker, since=since).values())
        held = sum(1 for position in build_ledger(entries).positions.values() if position.qty)
        trades = sum(1 for entry in entries if entry.ts >= since and isinstance(entry, Fill))
        closed = f"{won} of {pluralize(won + lost, 'closing order')} won" if won + lost else "no closing orders"
        text = (
            f"realized {show_money(Money(day.realized - day.fees))} after fees of {show_money(day.fees)}, "
            f"{pluralize(trades, 'trade')}, {closed}, {pluralize(held, 'open position')}"
        )
        date = datetime.fromtimestamp(since / 1000, self._zone).date().isoformat()
        return AlertRaised(until, "info", "DAILY_SUMMARY", date, text)
