"""Profit and loss in parts: they add up to the whole, which is what the account gained."""

from __future__ import annotations

from itertools import permutations

from hypothesis import event, given
from hypothesis import strategies as st
from support.values import NOW, make_fill, make_settlement

from kalshi_cli.base.units import Money, Price, Ts, cents, contracts, dollars
from kalshi_cli.core.account import pnl
from kalshi_cli.core.account.ledger import max_payout
from kalshi_cli.core.model.order_terms import ASK, BID

trades = st.lists(
    st.tuples(st.sampled_from(["KXA-1", "KXA-2", "KXB-1"]), st.sampled_from([BID, ASK]), st.integers(1, 99),
              st.integers(1, 20), st.integers(0, 500)),
    max_size=20,
)  # fmt: skip


@given(trades=trades, marks=st.tuples(*[st.integers(1, 99)] * 3), settled=st.booleans())
def test_parts_by_any_key_add_up_to_the_change_of_the_account(
    trades: list[tuple[str, str, int, int, int]], marks: tuple[int, ...], settled: bool
) -> None:
    entries: list[pnl.LedgerEntry] = [
        make_fill(f"t{n}", ticker=ticker, side=side, price=cents(price), qty=contracts(qty), fee=Money(fee), ts=NOW + n)
        for n, (ticker, side, price, qty, fee) in enumerate(trades)
    ]
    if settled:
        entries.append(make_settlement(ticker="KXA-1"))
    prices = dict(zip(["KXA-1", "KXA-2", "KXB-1"], map(cents, marks), strict=True))
    ledger = pnl.build_ledger(entries)
    held = sum(position.value(prices[ticker]) or 0 for (_, ticker), position in ledger.positions.items())
    change_of_account = ledger.cash + held
    keys = {
        "market": lambda ticker, _: ticker,
        "event": lambda ticker, _: ticker[:3],
        "minute": lambda _, entry: str(entry.ts // 5 if entry else "open"),
    }
    for key in keys.values():
        found = pnl.group_by(entries, prices, key)
        assert pnl.total(found.values()).net == change_of_account
    event("several parts" if len({trade[0] for trade in trades}) > 1 else "one part or none")


def test_a_round_trip_in_two_markets_is_counted_where_it_was_made() -> None:
    entries = [
        make_fill("a", ticker="KXA-1", price=cents(40), fee=Money(10)),
        make_fill("b", ticker="KXA-1", side=ASK, price=cents(45), ts=NOW + 1, fee=Money(20)),
        make_fill("c", ticker="KXB-1", price=cents(30), ts=NOW + 2),
        make_fill("a", ticker="KXA-1"),
    ]
    found = pnl.group_by(entries, {"KXB-1": cents(28)}, lambda ticker, _: ticker)
    assert (found["KXA-1"].realized, found["KXA-1"].fees, found["KXA-1"].net) == (500_000, 30, 499_970)
    assert (found["KXB-1"].unrealized, found["KXB-1"].net) == (-200_000, -200_000)


def test_counting_since_a_moment_still_knows_what_was_paid_before() -> None:
    entries = [
        make_fill("a", price=cents(40), fee=Money(99)),
        make_fill("b", side=ASK, price=cents(45), ts=Ts(NOW + 10), fee=Money(1)),
    ]
    found = pnl.group_by(entries, {}, lambda ticker, _: ticker, since=Ts(NOW + 10))
    assert (found["KXA-1"].realized, found["KXA-1"].fees) == (500_000, 1)


def test_a_position_without_a_price_has_no_unrealized_profit() -> None:
    assert pnl.group_by([make_fill()], {"KXA-1": None}, lambda ticker, _: ticker)["KXA-1"].unrealized == 0
    assert pnl.build_ledger([make_fill()]).unrealized({"KXA-1": None}) is None
    assert pnl.build_ledger([make_fill()]).unrealized({"KXA-1": Price(5_000)}) == 1_000_000


@given(trades=trades, mark=st.integers(1, 99), after=st.integers(0, 25))
def test_the_curve_ends_where_the_whole_is(trades: list[tuple[str, str, int, int, int]], mark: int, after: int) -> None:
    entries = [
        make_fill(
            f"t{n}", ticker=ticker, side=side, price=cents(price), qty=contracts(qty), fee=Money(fee), ts=NOW + n // 2
        )
        for n, (ticker, side, price, qty, fee) in enumerate(trades)
    ]
    marks = dict.fromkeys(["KXA-1", "KXA-2", "KXB-1"], cents(mark))
    for since in (None, Ts(NOW + after)):
        points = pnl.curve(entries, marks, Ts(NOW + 99), since=since)
        whole = pnl.total(pnl.group_by(entries, marks, lambda ticker, _: ticker, since=since).values())
        counted = [entry for entry in entries if since is None or entry.ts >= since]
        assert bool(points) == bool(counted)
        if points:
            assert points[-1] == (NOW + 99, whole.net)
            assert points[0][1] == 0
            assert [ts for ts, _ in points] == sorted(ts for ts, _ in points)


def test_the_curve_has_a_point_for_each_moment_of_booking_and_one_at_the_marks() -> None:
    """Ten contracts at 40 cents: half of them sold at 50, after which the rest is worth 45."""
    entries = [
        make_fill("a", price=cents(40), fee=Money(10_000)),
        make_fill("b", side=ASK, price=cents(50), qty=contracts(5), ts=Ts(NOW + 1)),
        make_fill("c", side=ASK, price=cents(50), qty=contracts(0), fee=Money(10_000), ts=Ts(NOW + 1)),
    ]
    marks, ends = {"KXA-1": cents(45)}, Ts(NOW + 9)
    sold = (NOW + 1, 480_000)
    assert pnl.curve(entries, marks, ends) == [(NOW, 0), (NOW, -10_000), sold, (ends, 730_000)]
    assert pnl.curve(entries, marks, ends, since=Ts(NOW + 1)) == [(NOW + 1, 0), (NOW + 1, 490_000), (ends, 740_000)]
    assert pnl.curve(entries, {}, ends) == [(NOW, 0), (NOW, -10_000), sold, (ends, 480_000)], "without a price"
    assert pnl.curve(entries, marks, ends, since=ends) == []


def test_closing_trades_and_settlements_are_won_or_lost_after_their_fee() -> None:
    entries: list[pnl.LedgerEntry] = [
        make_fill("a", price=cents(40), qty=contracts(30)),
        make_fill("b", side=ASK, price=cents(45), ts=Ts(NOW + 1), fee=Money(20)),
        make_fill("c", side=ASK, price=cents(41), ts=Ts(NOW + 2), fee=Money(100_000)),
        make_settlement(ts=Ts(NOW + 3)),
        make_fill("d", ticker="KXB-1", price=cents(30)),
        make_settlement(ticker="KXC-1"),
    ]
    found = pnl.group_by(entries, {}, lambda ticker, _: ticker)
    assert (found["KXA-1"].wins, found["KXA-1"].losses) == (2, 1)
    assert (found["KXB-1"].wins, found["KXB-1"].losses) == (0, 0)
    whole = pnl.total(found.values())
    assert (whole.wins, whole.losses) == (2, 1)
    late = pnl.total(pnl.group_by(entries, {}, lambda ticker, _: ticker, since=Ts(NOW + 3)).values())
    assert (late.wins, late.losses) == (1, 0)


def test_a_position_that_was_open_at_the_start_counts_with_its_change_since() -> None:
    entries: list[pnl.LedgerEntry] = [
        make_fill("a", price=cents(40)),
        make_fill("b", ticker="KXB-1", price=cents(60)),
        make_fill("c", ticker="KXA-2", price=cents(10), ts=Ts(NOW + 1)),
    ]
    marks = {"KXA-1": cents(45), "KXB-1": cents(50), "KXA-2": cents(12)}
    opening = {"KXA-1": cents(48), "KXA-2": cents(90)}
    found = pnl.group_by(entries, marks, lambda ticker, _: ticker, since=Ts(NOW + 1), opening=opening)
    gains = {ticker: part.net for ticker, part in found.items()}
    assert gains == {"KXA-1": -300_000, "KXB-1": -1_000_000, "KXA-2": 200_000}, "no price of KXB-1; KXA-2 came later"
    assert pnl.build_ledger(entries).held_before(Ts(NOW + 1)) == {"KXA-1": contracts(10), "KXB-1": contracts(10)}


def test_a_closing_order_counts_once_by_the_sum_of_its_fills() -> None:
    entries: list[pnl.LedgerEntry] = [
        make_fill("a", price=cents(40), qty=contracts(30)),
        make_fill("b", order_id="o2", side=ASK, price=cents(45), ts=Ts(NOW + 1), fee=Money(20)),
        make_fill("c", order_id="o2", side=ASK, price=cents(39), ts=Ts(NOW + 2)),
        make_fill("c", order_id="o2", side=ASK, price=cents(39), ts=Ts(NOW + 2)),
        make_fill("d", order_id="o3", side=ASK, price=cents(40), qty=contracts(5), ts=Ts(NOW + 3)),
        make_settlement(ts=Ts(NOW + 4)),
        make_fill("e", ticker="KXB-1", price=cents(30)),
    ]
    assert pnl.count_closings(entries, NOW) == (2, 1), "o2 won 40 cents, o3 won nothing, the rest settled at a dollar"
    assert pnl.count_closings(entries, Ts(NOW + 2)) == (1, 2), "what o2 closed since then lost"
    assert pnl.count_closings(entries, Ts(NOW + 5)) == (0, 0)


def test_closing_fills_without_an_order_id_count_each() -> None:
    entries = [make_fill("a", price=cents(40), qty=contracts(20))]
    entries += [make_fill(f"t{n}", order_id="", side=ASK, price=cents(45), ts=Ts(NOW + n)) for n in (1, 2)]
    assert pnl.count_closings(entries, NOW) == (2, 0)


def test_fills_of_one_moment_count_as_the_ledger_books_them_however_they_come() -> None:
    """An order that crosses zero at several prices, with trade ids that say nothing about their order."""
    sold = [
        make_fill("z", order_id="o2", side=ASK, price=cents(45), qty=contracts(7), ts=Ts(NOW + 1), is_taker=True),
        make_fill("a", order_id="o2", side=ASK, price=cents(44), qty=contracts(5), ts=Ts(NOW + 1), is_taker=True),
        make_fill("b", order_id="o2", side=ASK, price=cents(43), qty=contracts(5), ts=Ts(NOW + 1), is_taker=True),
    ]
    for came in permutations(sold):
        entries: list[pnl.LedgerEntry] = [make_fill("t", price=cents(44)), *came]
        whole = pnl.total(pnl.group_by(entries, {}, lambda ticker, _: ticker).values())
        assert (whole.wins, whole.losses) == (1, 1), "7 sold at 45 won, 3 at 44 did not, the rest opened"
        assert pnl.sort_by_time(entries)[1:] == sold, "the best price for the taker first"


def test_fills_of_one_moment_stay_together_by_market() -> None:
    bought = [
        make_fill(f"{ticker}{price}", ticker=ticker, price=cents(price), is_taker=True)
        for ticker, prices in (("KXA-1", (43, 45)), ("KXB-1", (42, 44)))
        for price in prices
    ]
    for came in permutations(bought):
        assert pnl.sort_by_time(came) == bought


def test_the_most_that_a_position_can_pay_is_what_its_result_pays_once_that_is_known() -> None:
    assert max_payout(contracts(-10), None) == dollars(10)
    assert max_payout(contracts(10), Price(0)) == max_payout(contracts(-10), Price(10_000)) == 0
    assert max_payout(contracts(-10), cents(30)) == dollars(7)
