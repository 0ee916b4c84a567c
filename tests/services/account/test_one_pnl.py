"""One definition of profit and loss: what the tables of a loop and what alerts say is what `kalshi pnl` says."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.simulation import DAY_MS, OTHER, T0, TICKER

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, cents, parse_money
from kalshi_cli.core.account.pnl import LedgerEntry, group_by, sort_by_time, total
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.state.trading_day import day_of
from kalshi_cli.services.monitoring.daily_summary import result_of_close
from kalshi_cli.telemetry.tables import DAYS, Tables
from kalshi_cli.telemetry.trade_book import PastEntries, TradeBook

UTC = ZoneInfo("UTC")
TRADES = st.lists(
    st.tuples(
        st.sampled_from([TICKER, OTHER]), st.sampled_from([BID, ASK]), st.integers(1, 99), st.integers(1, 900),
        st.integers(0, 3 * DAY_MS), st.integers(-100, 20_000),
    ),
    min_size=1, max_size=10, unique_by=lambda trade: trade[4],
)  # fmt: skip
"""No two at one time: then there is no telling which of them closed what the other had opened."""


def entries_of(trades: list[tuple[Any, ...]], settled_at: int | None = None) -> list[LedgerEntry]:
    """Fills, and both markets settled, one YES and one NO, where that is wanted."""
    found: list[LedgerEntry] = [
        Fill(
            trade_id=f"t{number}", order_id=f"o{number}", ticker=ticker, side=side, price=cents(price), qty=Qty(qty),
            ts=Ts(T0 + after_ms), fee=Money(fee), is_taker=True,
        )
        for number, (ticker, side, price, qty, after_ms, fee) in enumerate(trades)
    ]  # fmt: skip
    if settled_at is not None:
        found += [settlement(TICKER, ONE_DOLLAR, settled_at), settlement(OTHER, Price(0), settled_at)]
    return found


def settlement(ticker: str, value: Price, at: int) -> Settlement:
    return Settlement(
        ticker=ticker, event_ticker="KXSIM-26JUN", result="yes" if value else "no", value=value, yes_qty=Qty(0),
        no_qty=Qty(0), revenue=Money(0), fee=Money(0), ts=Ts(T0 + at),
    )  # fmt: skip


def day(ts: Ts) -> str:
    return day_of(ts, UTC)


def written(folder: Path, entries: list[LedgerEntry], before: int = 0) -> dict[str, tuple[str, Money, Money]]:
    """The days as a loop leaves them that learned of the entries in this order, the first ones before it began."""
    book = TradeBook(
        Tables(folder, lambda text: pytest.fail(text)), lambda _any_id: None, day,
        since=lambda _ts: pytest.fail("all days are known"), closed=lambda _ticker: (),
    )  # fmt: skip
    book.open(PastEntries(entries[:before], ""))
    book.write_days(T0, Money(0), None)
    for entry in entries[before:]:
        book.book(entry)
        book.write_days(Ts(T0 + 4 * DAY_MS), Money(0), None)
    with (folder / DAYS).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert all(parse_money(row["net"]) == parse_money(row["realized"]) - parse_money(row["fees"]) for row in rows)
    return {row["day"]: (row["trades"], parse_money(row["realized"]), parse_money(row["fees"])) for row in rows}


def by_day(entries: list[LedgerEntry]) -> dict[str, tuple[str, Money, Money]]:
    """As `kalshi pnl --by day` has it."""
    made = group_by(entries, {}, lambda _, entry: day(entry.ts) if entry is not None else "")
    counted = {name: sum(day(e.ts) == name for e in entries if isinstance(e, Fill)) for name in made}
    return {name: (str(counted[name]), each.realized, each.fees) for name, each in made.items()}


@given(TRADES, st.booleans(), st.integers(0, 12), st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_the_days_of_the_table_are_those_of_pnl_in_whatever_order_a_loop_hears(
    tmp_path_factory: pytest.TempPathFactory,
    trades: list[tuple[Any, ...]],
    is_settled: bool,
    before: int,
    dice: random.Random,
) -> None:
    entries = entries_of(trades, 3 * DAY_MS + 1 if is_settled else None)
    wanted = by_day(entries)
    dice.shuffle(entries)
    found = written(tmp_path_factory.mktemp("days"), entries, before)
    assert {name: row for name, row in found.items() if name in wanted} == wanted
    assert all(row == ("0", 0, 0) for name, row in found.items() if name not in wanted)


def test_a_fill_that_comes_late_changes_what_a_later_day_made(tmp_path: Path) -> None:
    """Ten bought at 40 and sold at 43 the day after; then it turns out that ten more had been bought at 44."""
    first, sold, late = entries_of(
        [(TICKER, BID, 40, 1000, 0, 0), (TICKER, ASK, 43, 1000, DAY_MS, 0), (TICKER, BID, 44, 1000, 1, 0)]
    )
    assert written(tmp_path / "in time", [first, sold])[day(sold.ts)] == ("1", Money(300_000), Money(0))
    found = written(tmp_path / "late", [first, sold, late])
    assert (found[day(first.ts)], found[day(sold.ts)]) == (("2", 0, 0), ("1", Money(100_000), Money(0)))


def test_a_settlement_that_is_amended_takes_its_money_along(tmp_path: Path) -> None:
    bought, won, lost = (
        *entries_of([(TICKER, BID, 40, 1000, 0, 0)]),
        settlement(TICKER, ONE_DOLLAR, DAY_MS),
        settlement(TICKER, Price(0), 2 * DAY_MS),
    )
    found = written(tmp_path, [bought, won, lost])
    assert (found[day(won.ts)][1], found[day(lost.ts)][1]) == (0, Money(-4_000_000))


@given(TRADES, st.booleans())
def test_what_closings_won_and_openings_cost_in_fees_is_what_was_realized(
    trades: list[tuple[Any, ...]], is_settled: bool
) -> None:
    entries = entries_of(trades, 3 * DAY_MS + 1 if is_settled else None)
    whole = total(group_by(entries, {}, lambda ticker, _: ticker).values())
    gains = result_of_close(sort_by_time(entries))
    won = sum(gain for _, gain in gains if gain is not None)
    opening_fees = sum(entry.fee for entry, gain in gains if gain is None and isinstance(entry, Fill))
    assert won - opening_fees == whole.realized - whole.fees
