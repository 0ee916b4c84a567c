"""Round trips add up to the ledger, contract by contract."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.ledger_entries import fill, settlement
from support.simulation import T0

from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, cents, contracts, dollars
from kalshi_cli.core.account.pnl import LedgerEntry, group_by, total
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.services.research.report.measures import hour_of, parts, price_band, time_to_close
from kalshi_cli.services.research.report.round_trips import round_trips


def test_a_round_trip_worked_by_hand() -> None:
    """Ten at 40 and ten at 50; fifteen sold at 60: the first ten gain 20 cents each, five gain 10, five stay."""
    trips = round_trips(
        [
            fill(0, BID, cents(40), 1_000, 100_000),
            fill(1, BID, cents(50), 1_000, 50_000),
            fill(2, ASK, cents(60), 1_500, 30_000),
        ],
        {"KXA-1": cents(45)},
    )
    assert [(trip.qty, trip.entry, trip.exit, trip.end, trip.gross, trip.fees) for trip in trips] == [
        (1_000, cents(40), cents(60), "traded", dollars(2), 120_000),
        (500, cents(50), cents(60), "traded", dollars("0.50"), 35_000),
        (500, cents(50), cents(45), "open", dollars("-0.25"), 25_000),
    ]
    assert [trip.traded_value for trip in trips] == [dollars(10), dollars("5.50"), dollars("2.50")]


def test_a_sale_of_yes_is_a_purchase_of_no_that_settles() -> None:
    (trip,) = round_trips([fill(0, ASK, cents(30), 500), settlement(1, Price(0))], {})
    assert (trip.side, trip.entry, trip.exit, trip.end) == (ASK, cents(70), cents(100), "settled")
    assert (trip.gross, trip.traded_value) == (dollars("1.50"), dollars("3.50"))


def test_a_position_without_a_price_counts_at_cost() -> None:
    (trip,) = round_trips([fill(0, BID, cents(30), 500, 700)], {"KXA-1": None})
    assert (trip.exit, trip.gross, trip.net) == (None, 0, -700)


steps = st.lists(
    st.tuples(
        st.sampled_from([BID, ASK, "settle"]), st.integers(1, 9_999), st.integers(1, 900), st.integers(-500, 90_000),
        st.sampled_from(["KXA-1", "KXA-2", "KXB-1"]),
    ),
    max_size=25,
)  # fmt: skip


def booked(script: list[tuple[Any, int, int, int, str]]) -> list[LedgerEntry]:
    """Fills and settlements; a market that settled trades no more."""
    entries: list[LedgerEntry] = []
    over: set[str] = set()
    for at, (kind, price, qty, fee, ticker) in enumerate(script):
        if ticker in over:
            continue
        if kind == "settle":
            over.add(ticker)
            entries.append(settlement(at, ONE_DOLLAR if price % 2 else Price(0), ticker))
        else:
            entries.append(fill(at, kind, Price(price), qty, fee, ticker))
    return entries


@given(steps, st.integers(0, 10_000))
def test_round_trips_add_up_to_the_profit_and_loss_of_each_market(script: list[Any], at: int) -> None:
    entries = booked(script)
    marks: dict[str, Price | None] = {ticker: Price(at) for ticker in ("KXA-1", "KXA-2", "KXB-1")}
    trips = round_trips(entries, marks)
    by_market = group_by(entries, marks, lambda ticker, _: ticker)
    for ticker, part in by_market.items():
        mine = [trip for trip in trips if trip.ticker == ticker]
        assert sum(trip.net for trip in mine) == part.net
        assert sum(trip.fees for trip in mine) == part.fees
    bought = sum(trip.qty for trip in trips) + sum(trip.qty for trip in trips if trip.end == "traded")
    assert bought == sum(entry.qty for entry in entries if isinstance(entry, Fill))
    for key in (hour_of, price_band, lambda trip: time_to_close(trip, None)):
        rows = parts(trips, key)
        assert sum(row.net for row in rows) == total(by_market.values()).net
        assert sum(row.count for row in rows) == sum(trip.qty for trip in trips)


def test_parts_are_named_by_what_held_at_the_opening() -> None:
    at = Ts(T0 // 86_400_000 * 86_400_000 + 13 * 3_600_000 + 59 * 60_000)
    (trip,) = round_trips([fill(at - T0, ASK, cents(91), int(contracts(1)))], {})
    assert hour_of(trip) == "13:00"
    assert price_band(trip) == "$0.00 to $0.10", "a sale of YES at 91 buys NO at 9"
    left = [0, 59_999, 60_000, 900_000, 8 * 86_400_000]
    named = [time_to_close(trip, Ts(at + ms)) for ms in left]
    assert named == ["under 1m", "under 1m", "1m to 5m", "15m to 1h", "over 7d"]
    assert time_to_close(trip, Ts(253_402_300_799_000)) == time_to_close(trip, None) == "unknown"
