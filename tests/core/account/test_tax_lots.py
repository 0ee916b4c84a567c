"""Tax lots: first in, first out, and nothing lost between them and the ledger."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from kalshi_cli.base.units import Money, Price, Qty, Ts, cents, contracts
from kalshi_cli.core.account.ledger import Ledger
from kalshi_cli.core.account.tax_lots import Lot, tax_lots
from kalshi_cli.core.model.order_terms import ASK, BID, Side
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Settlement


def fill(number: int, side: Side, price: Price, qty: Qty, fee: int = 0, **changes: Any) -> Fill:
    known: dict[str, Any] = {"ticker": "KXA", "subaccount": 0, "is_taker": True}
    return Fill(
        trade_id=f"t{number}", order_id=f"o{number}", side=side, price=price, qty=qty, fee=Money(fee), ts=Ts(number),
        **{**known, **changes},
    )  # fmt: skip


def paid_out(ts: int, value: Price, ticker: str = "KXA") -> Settlement:
    return Settlement(
        ticker=ticker, event_ticker="KX", result="scalar", value=value, yes_qty=Qty(0), no_qty=Qty(0), revenue=Money(0),
        fee=Money(0), ts=Ts(ts),
    )  # fmt: skip


def seen(lot: Lot) -> tuple[object, ...]:
    return (lot.outcome, lot.qty, lot.opened, lot.closed, lot.closed_by, lot.cost, lot.proceeds, lot.fees, lot.gain)


def test_the_oldest_is_sold_first_and_a_part_of_a_lot_takes_its_part_of_cost_and_fee() -> None:
    lots = tax_lots(
        [
            fill(1, BID, cents(40), contracts(10), 100_000),
            fill(2, BID, cents(50), contracts(10), 100_000),
            fill(3, ASK, cents(60), contracts(15), 150_000),
            paid_out(9, cents(100)),
        ]
    )
    assert [seen(lot) for lot in lots] == [
        ("yes", contracts(10), 1, 3, "trade", 4_000_000, 6_000_000, 200_000, 1_800_000),
        ("yes", contracts(5), 2, 3, "trade", 2_500_000, 3_000_000, 100_000, 400_000),
        ("yes", contracts(5), 2, 9, "settlement", 2_500_000, 5_000_000, 50_000, 2_450_000),
    ]


def test_selling_through_flat_opens_a_lot_of_no() -> None:
    lots = tax_lots([fill(1, BID, cents(40), contracts(2), 20), fill(2, ASK, cents(70), contracts(5), 50)])
    assert [seen(lot) for lot in lots] == [
        ("yes", contracts(2), 1, 2, "trade", 800_000, 1_400_000, 40, 599_960),
        ("no", contracts(3), 2, None, None, 900_000, None, 30, None),
    ]


@given(
    trades=st.lists(
        st.tuples(
            st.sampled_from([BID, ASK]),
            st.integers(1, 9_999),
            st.integers(1, 2_000),
            st.integers(0, 99_999),
            st.sampled_from(["KXA", "KXB"]),
            st.integers(0, 1),
        ),
        max_size=30,
    ),
    value=st.none() | st.integers(0, 10_000),
)
def test_lots_add_up_to_the_ledger(trades: list[tuple[Side, int, int, int, str, int]], value: int | None) -> None:
    entries: list[Fill | Settlement] = [
        fill(number, side, Price(price), Qty(qty), fee, ticker=ticker, subaccount=subaccount)
        for number, (side, price, qty, fee, ticker, subaccount) in enumerate(trades, 1)
    ]
    if value is not None and trades:
        entries.append(paid_out(99, Price(value), "KXA"))
    ledger = Ledger("fifo")
    for entry in entries:
        _ = ledger.book(entry) if isinstance(entry, Fill) else ledger.settle(entry)
    lots = tax_lots(reversed(entries))
    closed = [lot for lot in lots if lot.closed is not None]
    still_open = [lot for lot in lots if lot.closed is None]
    assert sum((lot.proceeds or 0) - lot.cost for lot in closed) == ledger.realized
    assert sum(lot.fees for lot in lots) == ledger.fees
    assert sum((lot.gain or 0) + lot.fees for lot in closed) == ledger.realized
    assert sum(lot.cost for lot in still_open) == sum(position.cost for position in ledger.positions.values())
    held = sum(abs(position.qty) for position in ledger.positions.values())
    assert sum(lot.qty for lot in still_open) == held
    assert all(lot.qty > 0 for lot in lots)
