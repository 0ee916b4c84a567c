"""Views as dictionaries and data frames."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.frames import to_dict, to_dicts, to_pandas, to_polars
from kalshi_cli.views.locks import LockRow
from kalshi_cli.views.plans import PlanOutcome

LOCK = LockRow(ticker="KX-1", until=Ts(60_000), since=Ts(0), reason=TruncatableText("news"))


def test_views_become_what_json_shows() -> None:
    assert to_dicts([LOCK, LOCK]) == 2 * [
        {"ticker": "KX-1", "until": "1970-01-01T00:01:00Z", "since": "1970-01-01T00:00:00Z", "reason": "news"}
    ]
    assert to_dicts([]) == []
    assert to_dict(LOCK) == to_dicts([LOCK])[0]


def test_one_view_is_not_taken_for_a_list() -> None:
    with pytest.raises(UsageError, match="not one LockRow") as caught:
        to_dicts(LOCK)  # type: ignore[arg-type]
    assert "to_dict(view)" in (caught.value.hint or "")
    with pytest.raises(UsageError) as caught:
        to_dict([LOCK])  # type: ignore[arg-type]
    assert "to_dicts(views)" in caught.value.hint


@pytest.mark.parametrize("convert", [to_dict, to_dicts, to_polars])
def test_the_outcome_of_a_plan_has_its_views_in_rows(convert: Callable[[Any], object]) -> None:
    with pytest.raises(UsageError, match="PlanOutcome") as caught:
        convert(PlanOutcome(rows=(LOCK,)))
    assert caught.value.hint == "use to_dicts(outcome.rows)"


def test_an_enumeration_becomes_plain_text() -> None:
    lock = msgspec.structs.replace(LOCK, ticker=MarketStatus.ACTIVE)
    assert type(to_dict(lock)["ticker"]) is str
    assert to_dict(lock)["ticker"] == "active"


def test_a_frame_of_no_views_has_the_columns_of_their_type() -> None:
    names = ["ticker", "until", "since", "reason"]
    assert to_polars([LOCK], LockRow).columns == to_polars([], LockRow).columns == names
    assert to_polars([], LockRow).filter(ticker="KX-1").is_empty()
    assert to_polars([]).columns == []


def test_a_library_that_is_missing_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, make in (("polars", to_polars), ("pandas", to_pandas)):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(UsageError, match=f"{name} is not installed") as caught:
            make([LOCK])
        assert caught.value.hint == f"pip install {name}"
