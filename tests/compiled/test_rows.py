"""A tape of rows is the feed that it was made of."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.compiled import rows
from kalshi_cli.compiled.rows import BookRows, from_columns, pack
from kalshi_cli.core.model.messages import BookDelta, Message, Tick
from kalshi_cli.core.model.order_terms import ASK, BID

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


STEPS = st.lists(st.tuples(st.integers(-2, 3), st.integers(0, 2), st.integers(1, 9_999)), max_size=30)
"""Milliseconds since the row above, market, price."""


@given(STEPS, st.integers(-1, 20), st.integers(2, 12))
def test_rows_of_whole_milliseconds_are_placed_in_time(
    made: list[tuple[int, int, int]], after: int, limit: int
) -> None:
    pauses, market, price = (np.array(column, np.int64) for column in zip(*[*made, (1, 0, 1)], strict=True))
    ts = np.maximum(np.cumsum(pauses) + 10, 0)
    delta = np.arange(len(ts)) - 5
    found = from_columns(("A", "B", "C"), ts, ts, market, np.zeros(len(ts)), price, delta)
    plain = list(found)
    assert [(each.ts, each.price, each.delta) for each in plain] == list(zip(ts, price, delta, strict=True))
    first, last = found.place(Ts(after), limit)
    latest = np.maximum.accumulate(ts).tolist()
    groups = Counter(latest)
    if max(groups[at] for at in latest[:-1] or [latest[-1]]) >= limit or first == last:
        return
    assert first == bisect_right(latest, after)
    assert last == latest.index(latest[-1])
    placed = list(found.cut(first, last))
    keys = list(zip(latest[first:last], market.tolist()[first:last], strict=True))
    assert [(each.ts, each.ticker, each.delta) for each in placed] == [
        (at, "ABC"[code], by) for (at, code), by in zip(keys, delta[first:last], strict=True)
    ]
    assert [each.has_more for each in placed] == [key in keys[at + 1 :] for at, key in enumerate(keys)]
    assert [*found.cut(0, first), *found.cut(last, len(found))] == plain[:first] + plain[last:], "left as they were"


@given(STEPS, st.integers(0, 12))
def test_no_row_is_placed_where_a_millisecond_has_too_many(made: list[tuple[int, int, int]], most: int) -> None:
    market = np.array([code for _, code, _ in made] + [0] * 12)
    ts = np.array([5] * len(made) + [6] * 12)
    found = from_columns(("A", "B", "C"), ts, ts, market, market * 0, market * 0 + 1, market)
    first, last = found.place(Ts(1), most + 1)
    has_room = 0 < len(made) <= most and most >= 12
    assert (first, last) == ((0, len(made)) if has_room else (len(ts), len(ts)))


@given(STEPS, st.sampled_from((1, 10, 100)), st.integers(0, 60))
def test_rows_are_found_by_price_and_time(made: list[tuple[int, int, int]], step: int, ts: int) -> None:
    market, price = (np.array([row[at] for row in made], np.int64) for at in (1, 2))
    found = from_columns(("A", "B", "C"), market, np.arange(len(made)) * 2, market, market * 0, price, market)
    first: dict[tuple[str, int], int] = {}
    for at, (_, code, each) in enumerate(made):
        if each % step:
            first.setdefault(("ABC"[code], each), at)
    assert found.off_step(Price(step)) == [(at, *key) for key, at in first.items()]
    assert found.count_before(Ts(ts)) == sum(2 * at < ts for at in range(len(made)))
