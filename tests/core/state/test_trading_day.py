"""I-DAY: what the day has brought is a function of what was booked, and of nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from support.values import NOW, make_fill, make_market, make_settlement, make_state

from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.account.pnl import group_by, total
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.state.limits import DAY_MS, RiskLimits, utc_midnight
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.core.state.trading_day import TradingDayTotals

MIDNIGHT = utc_midnight(NOW)


def count(
    *entries: Fill | Settlement, now: int = NOW, opening: dict[str, Price] | None = None
) -> tuple[EngineState, TradingDayTotals]:
    """The day of these entries; `opening` has the prices at its midnight."""
    state = make_state()
    state.now = Ts(now)
    prices = opening or {}
    state.opening_marks = lambda _start, held: {ticker: prices[ticker] for ticker in held if ticker in prices}
    day = TradingDayTotals(state, RiskLimits())
    for entry in entries:
        book(state, day, entry)
    return state, day


def book(state: EngineState, day: TradingDayTotals, entry: Fill | Settlement) -> None:
    if state.ledger.settle(entry) if isinstance(entry, Settlement) else state.ledger.book(entry):
        day.booked(entry)


def test_what_was_realized_before_midnight_is_not_of_today() -> None:
    bought = make_fill("t1", ts=Ts(MIDNIGHT - 2), fee=Money(10))
    half = make_fill("t2", ts=Ts(MIDNIGHT - 1), side=ASK, price=cents(10), qty=contracts(5), fee=Money(10))
    rest = make_fill("t3", ts=MIDNIGHT, side=ASK, price=cents(30), qty=contracts(5), fee=Money(7))
    _, day = count(bought, half, rest)
    assert day.net() == Money(-500_000 - 7), "five contracts at ten cents less than they cost, and the fee of today"


def test_the_next_day_begins_at_nothing() -> None:
    loss = (make_fill("t1"), make_fill("t2", side=ASK, price=cents(10)))
    state, day = count(*loss)
    assert day.net() == Money(-3_000_000)
    state.now = Ts(MIDNIGHT + DAY_MS)
    assert day.net() == 0


def test_what_is_open_counts_at_what_it_could_be_sold_for() -> None:
    state, day = count(make_fill())
    state.books["KXA-1"].load([(cents(31), contracts(1))], [(cents(50), contracts(1))], NOW)
    assert day.net() == Money(-900_000)


def test_a_book_that_cannot_be_trusted_for_a_moment_changes_nothing() -> None:
    """The quotes that the market had at the start are older than the last book."""
    state, day = count(make_fill())
    state.books["KXA-1"].load([(cents(31), contracts(1))], [(cents(50), contracts(1))], NOW)
    day.net()
    state.books["KXA-1"].invalidate("gap")
    assert day.net() == Money(-900_000)
    state.books["KXA-1"].load([(cents(35), contracts(1))], [], NOW)
    assert day.net() == Money(-500_000)


def test_without_a_book_the_quotes_of_the_market_count_and_without_a_market_the_cost() -> None:
    _, day = count(make_fill(), make_fill("t2", ticker="KXELSEWHERE", price=cents(99)))
    assert day.net() == Money(0), "bid at 40, which is what it cost"


def test_a_fill_of_yesterday_that_comes_late_is_of_yesterday() -> None:
    state, day = count(make_fill("t1"))
    day.net()
    late = make_fill("t0", ticker="KXB-1", ts=Ts(MIDNIGHT - 1), fee=Money(500))
    book(state, day, late)
    assert day.net() == 0
    book(state, day, make_fill("t2", ticker="KXB-1", fee=Money(20)))
    assert day.net() == -20


def test_a_result_that_is_amended_today_takes_the_old_one_out_of_yesterday() -> None:
    bought = make_fill("t1", ts=Ts(MIDNIGHT - 9))
    state, day = count(bought, make_settlement(ts=Ts(MIDNIGHT - 5)))
    assert day.net() == 0
    book(state, day, make_settlement(ts=Ts(MIDNIGHT + 5), value=Price(0), result="no"))
    assert day.net() == Money(-4_000_000), "what was won yesterday never was; what is lost is of today"


# -- a position that was carried over midnight ----------------------------------------------------------------------

YESTERDAY = Ts(MIDNIGHT - 9)


def bid(state: EngineState, price: int) -> None:
    """Ten contracts of 40 cents can be sold at this price."""
    state.books["KXA-1"].load([(cents(price), contracts(1))], [], state.now)


def test_what_an_open_position_lost_before_midnight_is_of_yesterday() -> None:
    state, day = count(make_fill(ts=YESTERDAY), opening={"KXA-1": cents(22)})
    bid(state, 22)
    assert day.net() == 0, "nothing has moved since midnight"
    bid(state, 25)
    assert day.net() == Money(300_000)


def test_what_an_open_position_gained_before_midnight_hides_no_loss_of_today() -> None:
    state, day = count(make_fill(ts=YESTERDAY), opening={"KXA-1": cents(90)})
    bid(state, 45)
    assert day.net() == Money(-4_500_000)


def test_a_carried_position_that_is_sold_today_counts_from_midnight() -> None:
    sold = make_fill("t2", side=ASK, price=cents(25), fee=Money(70), ts=MIDNIGHT)
    _, day = count(make_fill(ts=YESTERDAY), sold, opening={"KXA-1": cents(22)})
    assert day.net() == Money(300_000 - 70)


def test_a_run_over_midnight_counts_from_the_last_prices_that_it_saw_before() -> None:
    state, day = count(make_fill(ts=YESTERDAY), now=MIDNIGHT - 1_000)
    bid(state, 22)
    assert day.net() == Money(-1_800_000)
    bid(state, 30)
    state.now = Ts(MIDNIGHT + 1_000)
    assert day.net() == Money(800_000)
    assert state.opening == (MIDNIGHT, {"KXA-1": cents(22)}), "for the other programs"


def test_prices_of_hours_before_midnight_are_not_those_of_midnight() -> None:
    state, day = count(make_fill(ts=Ts(MIDNIGHT - DAY_MS)), now=MIDNIGHT - 3_600_001, opening={"KXA-1": cents(35)})
    bid(state, 22)
    day.net()
    state.now = MIDNIGHT
    assert day.net() == Money(-1_300_000)


def test_without_a_price_at_midnight_a_loss_counts_and_a_gain_does_not() -> None:
    state, day = count(make_fill(ts=YESTERDAY), make_fill("t2", ticker="KXB-1", price=cents(60)))
    bid(state, 90)
    assert (day.net(), day.unpriced) == (0, {"KXA-1"}), "the gain may be of yesterday"
    bid(state, 22)
    assert day.net() == Money(-1_800_000)
    state.now = Ts(MIDNIGHT + DAY_MS)
    day.net()
    state.now = Ts(MIDNIGHT + DAY_MS + 1)
    assert day.unpriced == {"KXA-1", "KXB-1"}, "nothing was seen shortly before that midnight either"


def test_a_clock_that_is_set_back_over_midnight_takes_no_price_of_later_for_that_of_the_day() -> None:
    state, day = count(make_fill(ts=Ts(MIDNIGHT - 2 * DAY_MS)), opening={"KXA-1": cents(35)})
    bid(state, 90)
    day.net()
    state.now = Ts(MIDNIGHT - 1)
    assert day.net() == Money(5_500_000)


def test_a_fill_of_before_midnight_that_comes_late_has_the_price_of_midnight() -> None:
    state, day = count(opening={"KXA-1": cents(22)})
    bid(state, 22)
    assert day.net() == 0
    book(state, day, make_fill(ts=YESTERDAY))
    assert day.net() == 0


entries = st.lists(
    st.builds(
        lambda number, market, side, price, qty, fee, ts, is_settled: (
            make_settlement(ticker=market, value=Price(price * 100), ts=Ts(ts))
            if is_settled
            else make_fill(
                f"t{number}", ticker=market, side=side, price=cents(price), qty=Qty(qty), fee=Money(fee), ts=Ts(ts)
            )
        ),
        st.integers(0, 50),
        st.sampled_from(["KXA-1", "KXB-1"]),
        st.sampled_from([BID, ASK]),
        st.integers(1, 99),
        st.integers(1, 500),
        st.integers(0, 9_999),
        st.sampled_from([MIDNIGHT + at for at in (-DAY_MS, -1, 0, 1, DAY_MS - 1)]),
        st.sampled_from([False, False, False, True]),
    ),
    max_size=12,
    unique_by=lambda entry: entry.ts if isinstance(entry, Settlement) else entry.trade_id,
)


@settings(deadline=None)
@given(entries, st.randoms(use_true_random=False), st.lists(st.integers(0, 11), max_size=4))
def test_the_day_is_the_same_in_any_order_and_however_often_it_was_looked_at(
    booked: list[Any], chance: Any, looks: list[int]
) -> None:
    """The same as a restart that reads everything at once, and as the one definition of profit and loss."""
    opening = {"KXA-1": cents(30), "KXB-1": cents(55)}
    state, day = count(opening=opening)
    shuffled = booked[:]
    chance.shuffle(shuffled)
    for number, entry in enumerate(shuffled):
        book(state, day, entry)
        if number in looks:
            day.net()
    restarted, again = count(*booked, opening=opening)
    assert day.net() == again.net()
    folded = group_by(state.ledger.entries, state.marks(), lambda ticker, _: ticker, since=MIDNIGHT, opening=opening)
    assert day.net() == total(folded.values()).net
    assert restarted.ledger.realized == state.ledger.realized
    event(f"a day of {'something' if day.net() else 'nothing'}")


@pytest.mark.parametrize("value", [0, 10_000])
def test_a_settled_position_counts_at_its_value_before_it_is_paid(value: int) -> None:
    state, day = count(make_fill())
    state.markets["KXA-1"] = make_market(status=MarketStatus.DETERMINED, settlement_value=Price(value))
    assert day.net() == Money((value - 4_000) * 1_000)


def test_a_result_counts_even_while_the_last_book_is_remembered() -> None:
    state, day = count(make_fill())
    state.books["KXA-1"].load([(cents(31), contracts(1))], [], NOW)
    day.net()
    state.books["KXA-1"].invalidate("closed")
    state.markets["KXA-1"] = make_market(status=MarketStatus.DETERMINED, settlement_value=Price(0))
    assert day.net() == Money(-4_000_000)


def test_a_market_that_is_held_but_not_traded_gives_a_mark() -> None:
    state, day = count(make_fill(ticker="KXB-1"))
    assert day.net() == 0
    state.valued["KXB-1"] = make_market("KXB-1", yes_bid=cents(25))
    assert day.net() == Money(-1_500_000)
