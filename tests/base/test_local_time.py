"""Times for people: local, to the second, with their zone; commands and names stay as they are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kalshi_cli.base.local_time import plain_time, set_time_zone, show_times
from kalshi_cli.base.units import parse_ts


@pytest.fixture(autouse=True)
def new_york() -> Iterator[None]:
    set_time_zone("America/New_York")
    yield
    set_time_zone("UTC")


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("last cycle at 2026-11-23T05:52:04.891Z, expected", "last cycle at 2026-11-23 00:52:04 EST, expected"),
        ("since 2026-06-11T06:29:30Z: why", "since 2026-06-11 02:29:30 EDT: why"),
        ("the fills since 2026-11-23T09:10Z match", "the fills since 2026-11-23 04:10 EST match"),
        (
            "Refused 2 by STALE_BOOK (or the feed: kalshi status); first 2026-06-11T06:29:30.164Z KXA-1",
            "Refused 2 by STALE_BOOK (or the feed: kalshi status); first 2026-06-11 02:29:30 EDT KXA-1",
        ),
        (
            "from 2026-11-26T08:00:00Z to 2026-11-26T10:00:00Z",
            "from 2026-11-26 03:00:00 EST to 2026-11-26 05:00:00 EST",
        ),
    ],
)
def test_a_sentence_has_local_times_to_the_second(written: str, shown: str) -> None:
    assert show_times(written) == shown


@pytest.mark.parametrize(
    "text",
    [
        "nothing to change",
        "run `kalshi fills --since 2026-11-23T05:52:04.891Z` again",
        "What to do: kalshi fills --since 2026-11-23T05:52:04.891Z",
        "state.db.unusable-2026-11-23T05:52:04.891Z",
        "invalid time: '2026-11-23T05:52:04.891Z'",
        "the month 13: 2026-13-23T05:52:04Z",
        "no zone: 2026-11-23T05:52:04",
        "another zone: 2026-11-23T05:52:04+02:00Z",
    ],
)
def test_commands_names_quoted_and_invalid_times_stay(text: str) -> None:
    assert show_times(text) == text


def test_plain_text_has_utc_unless_the_user_asks_for_a_zone() -> None:
    ts = parse_ts("2026-11-23T05:52:04.891Z")
    assert plain_time(ts) == "2026-11-23T05:52:04.891Z", "a setting does not change what scripts read"
    set_time_zone("Asia/Tokyo", is_asked=True)
    assert plain_time(ts) == "2026-11-23T14:52:04.891+09:00"
    assert plain_time(parse_ts("2026-11-23T05:52:04Z")) == "2026-11-23T14:52:04+09:00"
