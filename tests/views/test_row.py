"""A view of a source: fields by name or by path, what is empty is missing, what is inside becomes views."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from types import SimpleNamespace

import msgspec
import pytest

import kalshi_cli.views as all_views
from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import Ratio, TruncatableText, cell, columns, to_plain, to_text
from kalshi_cli.views.orders import OrderRow, ReconciledRow
from kalshi_cli.views.row import OutputRow, names


class Leg(OutputRow, frozen=True, kw_only=True):
    ticker: str


class Trip(OutputRow, frozen=True, kw_only=True):
    count: int
    city: str | None
    reason: TruncatableText | None
    since: Ts | None
    legs: tuple[Leg, ...]

    named = names(count="qty", city="home.city")


def source(**more: object) -> SimpleNamespace:
    given = {"qty": 3, "home": None, "reason": "", "since": Ts(0), "legs": [SimpleNamespace(ticker="KX")]}
    return SimpleNamespace(**(given | more))


def test_a_field_is_found_by_its_name_or_where_the_view_says() -> None:
    found = Trip.of(source(home=SimpleNamespace(city="NY"), reason="why", since=Ts(7)))
    assert found == Trip(count=3, city="NY", reason=TruncatableText("why"), since=Ts(7), legs=(Leg(ticker="KX"),))


def test_what_is_empty_or_behind_nothing_is_missing() -> None:
    found = Trip.of(source())
    assert (found.city, found.reason, found.since) == (None, None, None)


def test_what_is_given_wins() -> None:
    assert Trip.of(source(), count=9, legs=()).count == 9


def test_a_view_is_its_own_view() -> None:
    leg = Leg(ticker="KX")
    assert Leg.of(leg) is leg


def test_a_view_of_a_kind_of_it_keeps_its_fields() -> None:
    class LongTrip(Trip, frozen=True, kw_only=True):
        shown = ("city",)

    found = Trip.of(source())
    assert msgspec.structs.asdict(LongTrip.of(found)) == msgspec.structs.asdict(found)


def test_a_field_that_the_source_lacks_is_a_mistake() -> None:
    with pytest.raises(AttributeError):
        Leg.of(SimpleNamespace())


def every(kind: type[OutputRow] = OutputRow) -> Iterator[type[OutputRow]]:
    for narrower in kind.__subclasses__():
        yield narrower
        yield from every(narrower)


def test_a_path_is_of_a_field_of_the_view() -> None:
    """Only MARKET is shared by rows that do not have all of its fields."""
    for module in pkgutil.iter_modules(all_views.__path__):
        import_module(f"{all_views.__name__}.{module.name}")
    unknown = {
        f"{kind.__name__}.{name}"
        for kind in every()
        if kind.__module__ != "kalshi_cli.views.scan"
        for name in kind.named
        if name not in kind.__struct_fields__
    }
    assert unknown == set()


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [(0.5, "50.0%"), (0.0, "0.0%"), (0.01, "1.0%"), (0.000332, "0.03%"), (-0.00023, "-0.02%"), (-1e-9, "0.00%")],
)
def test_a_small_ratio_has_two_decimals(ratio: float, shown: str) -> None:
    """A return of 0.03% is not shown as 0.0%, and a rounded loss not as -0.0%."""
    assert to_text(Ratio)(Ratio(ratio)) == shown


@pytest.mark.parametrize(
    ("of", "field", "value", "shown"),
    [
        (ReconciledRow, "found", "never_arrived", "not on the exchange"),
        (ReconciledRow, "found", "still_unknown", "still unconfirmed"),
        (OrderRow, "status", "never_arrived", "not on the exchange"),
        (OrderRow, "status", "not_sent", "not sent"),
        (OrderRow, "status", "dry_run", "dry run"),
        (OrderRow, "self_trade_prevention", "taker_at_cross", "taker"),
    ],
)
def test_a_table_has_words_for_stable_values(of: type[OutputRow], field: str, value: str, shown: str) -> None:
    (column,) = [each for each in columns(of) if each.name == field]
    assert cell(column, value, None) == shown
    assert to_plain(column)(value) == value, "scripts read the stable value"
