"""Ranges as monitoring plug-ins write them."""

from __future__ import annotations

import math

import pytest

from kalshi_cli.base.ranges import parse_range


@pytest.mark.parametrize(
    ("text", "fine", "breached"),
    [
        ("10", [0, 5, 10], [-0.1, 10.1]),
        ("10:", [10, 1e9], [9.9, -5]),
        ("~:10", [-1e9, 10], [10.1]),
        ("10:20", [10, 15, 20], [9.9, 20.1]),
        ("@10:20", [9.9, 20.1], [10, 15, 20]),
        ("-3:", [-3, 0], [-3.1]),
        ("0", [0], [1, -1]),
        (" 1.5 ", [1.5], [1.51]),
    ],
)
def test_a_range_says_what_is_fine_with_both_its_ends(text: str, fine: list[float], breached: list[float]) -> None:
    parsed = parse_range(text)
    assert [value for value in (*fine, *breached) if parsed.is_breached(value)] == breached
    assert parsed.text == text.strip()


def test_what_is_no_number_breaches_every_range() -> None:
    assert parse_range("~:10").is_breached(math.nan)


@pytest.mark.parametrize("text", ["", "@", ":", "@:", "soon", "20:10", "1:2:3", "nan", "nan:", "10 :x"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="Invalid range"):
        parse_range(text)
