"""Our fills and positions against the exchange's: what differs is named, what is only new is not."""

from __future__ import annotations

from typing import Any

from support.values import HOUR, NOW, make_fill, make_settlement

from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts, dollars
from kalshi_cli.core.account.pnl import build_ledger
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.monitoring.account_drift import (
    LATE_SETTLEMENT_MS,
    AccountHistory,
    Compared,
    Verified,
    cash_drift,
    compare,
    compare_entries,
)

LATER = Ts(NOW + 2 * HOUR)


def held(ours: AccountHistory, theirs: AccountHistory, there: int = 0) -> Compared:
    """Compared two hours later, when everything of then should be known; `there` is contracts in KXA-1."""
    return compare(ours, theirs, {(0, "KXA-1"): contracts(there)}, read_until=LATER, now=LATER)


def codes(compared: Compared) -> list[str]:
    return [breach.code for breach in compared.breaches]


def fill(trade_id: str = "t1", **changes: Any) -> Fill:
    return make_fill(trade_id, **changes)


def test_two_sides_that_agree_differ_in_nothing() -> None:
    books = AccountHistory(fills=[fill()])
    found = held(books, books, there=10)
    assert (found.breaches, found.unread) == ((), ())
    assert found.ledger.position("KXA-1").qty == contracts(10)


def test_a_fill_that_we_lack_is_named_and_the_position_differs_too() -> None:
    found = held(AccountHistory(), AccountHistory(fills=[fill()]), there=10)
    assert codes(found) == ["FILLS_MISSING", "DRIFT"]
    assert found.breaches[0].value == "missing in the state file: buy 10 YES at $0.40, fee $0.00 (trade t1)"
    assert "trade t1" in found.breaches[0].value
    assert (found.breaches[1].value, found.breaches[1].limit) == ("state file 0", "exchange 10")


def test_a_fill_that_only_we_have_is_named() -> None:
    assert codes(held(AccountHistory(fills=[fill()]), AccountHistory())) == ["FILLS_NOT_THERE", "DRIFT"]


def test_one_contract_of_one_fill_is_a_difference_and_so_is_a_cent_of_its_fee() -> None:
    for changes in ({"qty": Qty(contracts(10) + 1)}, {"fee": Money(10_000)}, {"price": cents(41)}, {"side": ASK}):
        found = held(AccountHistory(fills=[fill(**changes)]), AccountHistory(fills=[fill()]), there=10)
        assert "FILL_DIFFERS" in codes(found)


def test_a_position_that_no_fill_explains_differs() -> None:
    books = AccountHistory(fills=[fill(), fill("t2", ticker="KXB-1", subaccount=3)])
    found = compare(books, books, {(0, "KXA-1"): contracts(9)}, read_until=LATER, now=LATER)
    assert [breach.subject for breach in found.breaches] == ["KXA-1", "KXB-1 (subaccount 3)"]
    assert set(codes(found)) == {"DRIFT"}


def test_what_is_newer_than_what_was_read_is_no_difference() -> None:
    old, new = fill(), fill("t2", ts=NOW + HOUR)
    paid = make_settlement(ticker="KXA-1", ts=Ts(NOW + HOUR + 1))
    theirs = AccountHistory(fills=[old, new], settlements=[paid])
    found = compare(AccountHistory(fills=[old]), theirs, {}, read_until=NOW, now=LATER)
    assert (found.breaches, len(found.unread)) == ((), 2)
    assert found.ledger.realized == dollars(12)


def test_a_fill_of_ours_that_their_list_does_not_show_yet_is_no_difference() -> None:
    ours = AccountHistory(fills=[fill(ts=NOW + 1)])
    assert compare(ours, AccountHistory(), {(0, "KXA-1"): contracts(10)}, read_until=NOW, now=LATER).breaches == ()


def test_a_settlement_may_become_readable_a_day_late_and_not_later() -> None:
    books, paid = AccountHistory(fills=[fill()]), make_settlement(ts=NOW)
    theirs = AccountHistory(fills=[fill()], settlements=[paid])
    late = Ts(NOW + LATE_SETTLEMENT_MS)
    found = compare(books, theirs, {}, read_until=late, now=Ts(late - 1))
    assert (found.breaches, len(found.unread)) == ((), 1)
    found = compare(books, theirs, {}, read_until=late, now=late)
    assert codes(found) == ["SETTLEMENT_MISSING", "DRIFT"]


def test_a_settlement_that_was_amended_long_ago_is_one_that_we_lack() -> None:
    ours = AccountHistory(fills=[fill()], settlements=[make_settlement()])
    theirs = AccountHistory(
        fills=[fill()], settlements=[make_settlement(result="no", value=Price(0), ts=Ts(NOW + HOUR + 1))]
    )
    amended = Ts(LATER + LATE_SETTLEMENT_MS)
    found = compare(ours, theirs, {}, read_until=amended, now=amended)
    assert codes(found) == ["SETTLEMENT_MISSING"]
    found = compare(ours, theirs, {}, read_until=LATER, now=LATER)
    assert (found.breaches, len(found.unread), found.ledger.realized) == ((), 1, -dollars(4))


def test_a_settlement_that_both_have_is_fine() -> None:
    books = AccountHistory(fills=[fill()], settlements=[make_settlement()])
    assert held(books, books).breaches == ()


def test_cash_is_what_was_there_what_came_and_what_trading_did() -> None:
    ledger = build_ledger(
        [fill(fee=Money(70_000)), fill("t2", side=ASK, price=cents(45), qty=contracts(4), ts=NOW + 1)]
    )
    # $100 before, $20 paid in, 10 bought at 40 cents, 4 sold at 45, 7 cents of fees.
    cash = Money(dollars(100) + dollars(20) - dollars(4) + Money(1_800_000) - Money(70_000))
    assert cash_drift(ledger, cash, dollars(20), dollars(100)) == 0
    assert cash_drift(ledger, Money(cash + 10_000), dollars(20), dollars(100)) == 10_000


def test_only_entries_within_the_time_are_compared_and_either_side_may_have_more() -> None:
    fills = [fill(f"t{ts}", ticker=f"KX{ts}", ts=Ts(NOW + ts)) for ts in (-1, 0, 10)]
    paid = [make_settlement(ticker=f"KX{ts}", ts=Ts(NOW + ts)) for ts in (-1, 0, 10)]
    all_, none = AccountHistory(fills=fills, settlements=paid), AccountHistory()
    for ours, theirs, wanted in (
        (all_, none, [("FILLS_NOT_THERE", "KX0")]),
        (none, all_, [("FILLS_MISSING", "KX0"), ("SETTLEMENT_MISSING", "KX0")]),
        (all_, all_, []),
    ):
        found, unread = compare_entries(
            ours, theirs, read_until=Ts(2**50), now=Ts(2**50), since=NOW, until=Ts(NOW + 10)
        )  # fmt: skip
        assert ([(each.code, each.subject) for each in found], unread) == (wanted, [])


def test_the_verified_time_grows_and_begins_anew_after_a_gap() -> None:
    known = Verified(Ts(100), Ts(200))
    assert known.extend(Ts(200), Ts(300)) == Verified(Ts(100), Ts(300))
    assert known.extend(Ts(50), Ts(300)) == Verified(Ts(50), Ts(300))
    assert known.extend(Ts(201), Ts(300)) == Verified(Ts(201), Ts(300))
