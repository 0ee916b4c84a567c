"""Two tiers make one list: nothing twice, nothing lost, newest first; wherever the line lies and when it moves."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from kalshi_cli.base.units import Ts
from kalshi_cli.exchange.endpoints.tiers import newest_first


class Item(NamedTuple):
    key: int
    ts: Ts
    tier: str = "live"


def merged(live: list[Item], historical: list[Item]) -> list[Item]:
    return newest_first(live, historical, lambda item: item.key, lambda item: item.ts)


past = st.lists(st.integers(0, 30), max_size=40).map(
    lambda moments: [Item(key, Ts(ts)) for key, ts in enumerate(sorted(moments, reverse=True))]
)


@given(past, st.integers(0, 32), st.integers(0, 32), st.integers(0, 3))
def test_nothing_is_lost_or_twice_wherever_the_cutoff_lies_and_when_it_moves_between_the_reads(
    everything: list[Item], cutoff: int, moved_by: int, overlap: int
) -> None:
    live = [item for item in everything if item.ts >= cutoff]
    later = cutoff + moved_by
    historical = [item._replace(tier="historical") for item in everything if item.ts < later + overlap]
    found = merged(live, historical)
    assert [item.key for item in found] == [item.key for item in everything]
    assert all(item.tier == "live" for item in found if item.ts >= cutoff)


def test_read_the_other_way_round_a_cutoff_that_moves_loses_what_it_passed() -> None:
    everything = [Item(1, Ts(9)), Item(2, Ts(5))]
    historical = [item for item in everything if item.ts < 4]
    live = [item for item in everything if item.ts >= 6]
    assert [item.key for item in merged(live, historical)] == [1]


def test_at_equal_times_the_order_stays_as_it_was_read() -> None:
    live = [Item(3, Ts(5)), Item(2, Ts(5))]
    assert [item.key for item in merged(live, [Item(1, Ts(5)), Item(2, Ts(5))])] == [3, 2, 1]
