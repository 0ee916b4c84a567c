"""The reference for strategy authors in docs/write-a-strategy.md names what the API has, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from kalshi_cli.strategies import api

TEXT = (Path(__file__).parents[2] / "docs" / "write-a-strategy.md").read_text("utf-8")
UNITS = TEXT.partition("## Types and units")[2].partition("\n## ")[0]
WORD = re.compile(r"`([a-z_]+)`")


@pytest.mark.parametrize("of", [api.Place, api.Amend, api.Cancel])
def test_every_field_of_a_request_is_listed(of: type[msgspec.Struct]) -> None:
    (table,) = re.findall(rf"^\| `{of.__name__}\(`.*?\n\n", UNITS, re.M | re.S)
    listed = [word for line in table.strip().splitlines()[2:] for word in WORD.findall(line.split("|")[1])]
    assert sorted(listed) == sorted(field.name for field in msgspec.structs.fields(of))


@pytest.mark.parametrize(
    "of",
    [api.Order, api.Fill, api.PublicTrade, api.SpotPrice, api.FairValue, api.NewsSignal, api.Market, api.OrderBook],
)
def test_every_listed_field_exists(of: type) -> None:
    (row,) = re.findall(rf"^\| `{of.__name__}` .*$", UNITS, re.M)
    listed = set(WORD.findall(row.split("|")[2]))
    assert listed
    assert not [name for name in listed if not hasattr(of, name)]


def test_every_member_of_the_view_is_listed() -> None:
    read = TEXT.partition("## What a strategy reads")[2]
    for name in (name for name in dir(api.StrategyContext) if not name.startswith("_")):
        assert re.search(rf"`(view\.)?{name}[`(]", read), name
