"""Fills that the exchange shows late, dated before one that is booked already: the next start finds them too."""

from __future__ import annotations

import pytest
from virtual import TICKER, Virtual

from kalshi_cli.base.units import contracts
from kalshi_cli.core.model.effects import FillBooked
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.state.limits import Limits
from kalshi_cli.desk.account import load_engine


@pytest.mark.parametrize("minutes", [0.5, 5, 55])
def test_a_start_books_a_fill_that_is_older_than_the_last_one_booked(virtual: Virtual, minutes: float) -> None:
    virtual.quote(BID, 40, 3, who="alice")
    virtual.take(ASK, 40, 3)
    virtual.clock.advance(minutes * 60)
    virtual.quote(BID, 41, 5, who="alice")
    virtual.take(ASK, 41, 5)
    virtual.clock.advance(10)
    newest, oldest = virtual.client.fills(TICKER)
    virtual.store.record(FillBooked(newest, None))
    engine = load_engine(
        virtual.client, virtual.store, virtual.clock, Limits(),
        markets=[virtual.client.market(TICKER)], fees={}, new_id=virtual.new_id,
    )  # fmt: skip
    assert {fill.trade_id for fill in virtual.store.fills()} == {newest.trade_id, oldest.trade_id}
    assert engine.state.ledger.position(TICKER).qty == contracts(8)
