"""A tape of rows is the feed that it was made of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.messages import BookDelta, Message, Tick
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.kernel import rows
from kalshi_cli.kernel.rows import BookRows, from_columns, pack

DELTAS = st.builds(
    BookDelta,
    st.integers(0, 2**62).map(Ts),
    st.sampled_from(("KXA-1", "KXB-2")),
    st.sampled_from((BID, ASK)),
    st.integers(-1, 10_001).map(Price),
    st.integers(-(2**62), 2**62).map(Qty),
    st.booleans(),
)


@given(st.lists(DELTAS | st.builds(Tick, st.integers(0, 2**62).map(Ts))), st.integers(1, 4))
def test_every_message_keeps_its_place_and_its_content(feed: list[Message], most: int) -> None:
    found: list[Message] = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(rows, "MAX_ROWS", most)
        items = list(pack(feed))
    for item in items:
        if isinstance(item, BookRows):
            assert 0 < len(item.rows) <= most
            found += [item.delta(number) for number in range(len(item.rows))]
        else:
            found.append(item)
    assert found == feed
    assert list(pack(items)) == items, "rows stay rows"


COLUMNS = st.lists(st.tuples(st.integers(0, 2_500), st.integers(0, 2), st.integers(0, 1), st.integers(1, 9_999)))
"""Microseconds since the row above, market, side, price."""


@given(COLUMNS, st.booleans())
def test_columns_become_rows_whose_groups_end_with_their_last_change(
    made: list[tuple[int, int, int, int]], are_no_prices: bool
) -> None:
    pauses, market, side, price = (
        np.array(column, np.int64) for column in (zip(*made, strict=True) if made else ((), (), (), ()))
    )
    ts_us = np.cumsum(pauses) + 1_780_000_000_000_000
    delta = np.arange(len(made)) - 5
    found = from_columns(
        ("A", "B", "C"), ts_us=ts_us, market=market, side=side, price=price, delta=delta, are_no_prices=are_no_prices
    )
    groups = [(int(ts) // 1000, int(code)) for ts, code in zip(ts_us, market, strict=True)]
    assert found["has_more"].tolist() == [group in groups[at + 1 :] for at, group in enumerate(groups)]
    assert found["ts"].tolist() == [ts for ts, _ in groups]
    assert found["delta"].tolist() == delta.tolist()
    flipped = [10_000 - p if s and are_no_prices else p for p, s in zip(price.tolist(), side.tolist(), strict=True)]
    assert found["price"].tolist() == flipped


@pytest.mark.parametrize(("ts_us", "market"), [((2_000, 1_000), (0, 0)), ((1_000, 2_000), (0, 1)), ((1, 2), (-1, 0))])
def test_columns_out_of_order_or_of_an_unknown_market_are_refused(
    ts_us: tuple[int, int], market: tuple[int, int]
) -> None:
    rest = np.ones(2, np.int64)
    with pytest.raises(ValueError, match="in the order of time, and name known markets"):
        from_columns(("A",), ts_us=np.array(ts_us), market=np.array(market), side=rest, price=rest, delta=rest)
