"""What is recorded together is committed together: all of it at the end, or nothing."""

from __future__ import annotations

import pytest
from support.values import Open, full_fill, full_order

from kalshi_cli.core.model.effects import FillBooked, OrderChanged


def test_all_of_it_is_on_file_for_everybody_at_the_end_and_nothing_before(open_store: Open) -> None:
    store, other = open_store(), open_store()
    with store.together():
        store.record(OrderChanged(full_order()))
        store.record(FillBooked(full_fill()))
        assert other.fills() == ()
    assert len(other.fills()) == len(other.orders()) == 1
    store.record(FillBooked(full_fill("another")))
    assert len(other.fills()) == 2, "and what comes after is committed by itself again"


def test_where_it_breaks_off_nothing_of_it_is_on_file(open_store: Open) -> None:
    store, other = open_store(), open_store()

    def break_off() -> None:
        with store.together():
            store.record(FillBooked(full_fill()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert store.fills() == other.fills() == ()
    store.record(FillBooked(full_fill()))
    assert len(other.fills()) == 1
