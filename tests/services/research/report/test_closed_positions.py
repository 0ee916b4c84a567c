"""The measures of closed positions, worked by hand."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.ledger_entries import fill, settlement
from support.simulation import T0

from kalshi_cli.base.units import Money, Price, Ts, cents, contracts, dollars
from kalshi_cli.core.account.pnl import LedgerEntry, group_by, total
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.services.research.report.closed_positions import (
    closed_nets,
    held_ms,
    position_fields,
    time_in_market,
)
from kalshi_cli.services.research.report.round_trips import round_trips

FIVE, TEN = contracts(5), contracts(10)


def test_a_position_lasts_from_its_first_contract_until_none_is_left() -> None:
    """Bought 10 and 5 at 40, sold 15 at 50 and 45; then NO until it settles; then one that stays open."""
    entries: list[LedgerEntry] = [
        fill(0, BID, cents(40), TEN, 10_000),
        fill(1, BID, cents(40), FIVE, 10_000),
        fill(2, ASK, cents(50), TEN, 10_000),
        fill(3, ASK, cents(45), FIVE, 10_000),
        fill(4, ASK, cents(30), TEN, 70_000),
        settlement(5, cents(100)),
        fill(6, BID, cents(40), TEN, 10_000),
        fill(7, ASK, cents(90), FIVE, 10_000),
    ]
    nets = closed_nets(round_trips(entries, {"KXA-1": cents(40)}))
    assert nets == [dollars("1.25") - 40_000, dollars(-7) - 70_000], "the half that was sold of an open one is none"


def test_a_fill_that_turns_a_position_ends_one_and_begins_another() -> None:
    entries = [
        fill(0, BID, cents(40), FIVE),
        fill(1, ASK, cents(50), TEN, 20_000),
        fill(2, BID, cents(60), FIVE),
    ]
    assert closed_nets(round_trips(entries, {})) == [dollars("0.50") - 10_000, dollars("-0.50") - 10_000]


def test_gains_and_losses() -> None:
    assert position_fields([Money(300), Money(-100), Money(101), Money(0)]) == {
        "closed_positions": 4, "winning_positions": 2, "position_win_rate": 0.5, "profit_factor": 4.01,
        "average_win": 200, "average_loss": -50,
    }  # fmt: skip
    nothing = {"profit_factor": None, "average_win": None, "average_loss": None}
    assert position_fields([]) == {
        "closed_positions": 0, "winning_positions": 0, "position_win_rate": None, **nothing,
    }  # fmt: skip
    assert position_fields([Money(5)]) == {
        "closed_positions": 1, "winning_positions": 1, "position_win_rate": 1.0, **nothing, "average_win": 5,
    }  # fmt: skip
    assert position_fields([Money(-5)]) == {
        "closed_positions": 1, "winning_positions": 0, "position_win_rate": 0.0, "profit_factor": 0.0,
        "average_win": None, "average_loss": -5,
    }  # fmt: skip
    assert position_fields([Money(0)])["profit_factor"] is None, "nothing was lost"


def test_time_with_a_position_counts_once_whatever_the_number_of_markets() -> None:
    entries = [
        fill(10, BID, cents(40), FIVE),
        fill(20, BID, cents(40), FIVE, ticker="KXB-1"),
        fill(30, ASK, cents(40), FIVE),
        fill(40, ASK, cents(40), FIVE, ticker="KXB-1"),
        fill(80, BID, cents(40), FIVE),
    ]
    trips = round_trips(entries, {})
    assert held_ms(trips, Ts(T0 + 100)) == 30 + 20
    late = round_trips([fill(80, BID, cents(40), FIVE), settlement(500, Price(0))], {})
    assert held_ms(late, Ts(T0 + 100)) == 20, "a result that comes after the end adds no time"
    run = (trips, Ts(T0), Ts(T0 + 100), ())
    assert time_in_market([run]) == 0.5
    assert time_in_market([run, ([], Ts(T0), Ts(T0 + 100), ())]) == 0.25
    assert time_in_market([([], None, None, ()), ([], Ts(T0), Ts(T0), ())]) is None
    assert time_in_market([([], Ts(T0), Ts(T0 + 1), ())]) == 0.0


def test_the_time_between_two_recordings_counts_nowhere() -> None:
    trips = round_trips([fill(10, BID, cents(40), FIVE), fill(40, ASK, cents(40), FIVE)], {})
    pauses = [(Ts(T0 + 30), Ts(T0 + 50)), (Ts(T0 + 60), Ts(T0 + 80))]
    assert held_ms(trips, Ts(T0 + 100), pauses) == 20
    assert time_in_market([(trips, Ts(T0), Ts(T0 + 100), pauses)]) == 20 / 60


@given(st.lists(st.tuples(st.sampled_from([BID, ASK]), st.integers(1, 99), st.integers(1, 500)), max_size=20))
def test_closed_positions_add_up_to_the_net_of_the_ledger(trades: list[tuple[Side, int, int]]) -> None:
    entries = [fill(at, side, cents(price), qty, qty * 7) for at, (side, price, qty) in enumerate(trades)]
    to_end: list[LedgerEntry] = [*entries, settlement(len(trades), cents(100))]
    found = group_by(to_end, {}, lambda ticker, _: ticker)
    assert sum(closed_nets(round_trips(to_end, {}))) == total(found.values()).net
