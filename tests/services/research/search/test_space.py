"""Ranges, lists and single values of parameters, from what a user types."""

from __future__ import annotations

from typing import Annotated

import pytest

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Price, Qty, cents, contracts
from kalshi_cli.services.research.search.space import ParameterRange, grid_points, read_space, sweep_variants
from kalshi_cli.strategies import registry
from kalshi_cli.strategies.base import Strategy, StrategyParams, within
from kalshi_cli.strategies.mean_reversion import MeanReversion
from kalshi_cli.strategies.threshold import Threshold


def only(*given: str) -> ParameterRange:
    (found,), _ = read_space(Threshold, given)
    return found


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("buy_below=20c..23c", ["20c", "21c", "22c", "23c"]),
        ("buy_below=0.20..0.21", ["20c", "21c"]),
        ("buy_below=20c..21c/0.5c", ["20c", "20.5c", "21c"]),
        ("buy_below=20c..23c/2c", ["20c", "22c"]),
        ("threshold.buy_below=30c,20c,30c", ["30c", "20c"]),
        ("size=1..3", ["1", "2", "3"]),
        ("size=1.5..1.52", ["1.5", "1.51", "1.52"]),
        ("size=9998..10000", ["9998", "9999", "10000"]),
    ],
)
def test_a_range_has_these_values(text: str, values: list[str]) -> None:
    assert only(text).values() == values
    assert only(text).size == len(values)


def test_a_name_alone_is_the_declared_range() -> None:
    values = only("buy_below").values()
    assert (values[0], values[-1], len(values)) == ("1c", "99c", 99)


class LeanParams(StrategyParams, frozen=True):
    """Parameters that may be zero."""

    skew: Annotated[Price, within(0, 500, "shift per contract")] = cents(1)
    most: Annotated[Qty, within(0, 500, "contracts")] = contracts(1)


class Lean(Strategy):
    """A strategy with such parameters."""

    name = "lean"
    Params = LeanParams


def test_a_range_begins_at_zero_where_the_parameter_may_be_zero() -> None:
    ranges, _ = read_space(Lean, ["skew=0c..2c", "most"])
    assert [found.values() for found in ranges] == [["0c", "1c", "2c"], ["0", "1", "2", "3", "4", "5"]]


def test_single_values_are_fixed_and_every_value_of_a_range_is_valid() -> None:
    ranges, fixed = read_space(Threshold, ["buy_below=10c..12c", "size=3"])
    assert fixed == {"size": "3"}
    for point in grid_points(ranges):
        registry.make("threshold", {**fixed, **point})


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ([], "No parameter of threshold to search"),
        (["size=3"], "No parameter of threshold to search"),
        (["by_below=1c..2c"], "did you mean buy_below"),
        (["size=1..20000"], "outside"),
        (["buy_below=1c..200c"], "out of range"),
        (["buy_below=3c..2c"], "not a range"),
        (["buy_below=1c..2c/0c"], "not a range"),
        (["buy_below=0c..2c"], "0c is outside 0.01c to 99.99c"),
        (["buy_below=2c..8c/2"], "^--param buy_below: step 2 has no unit"),
        (["buy_below=2c..8c/0.5"], "^--param buy_below: step 0.5 is larger than the range 2c..8c"),
        (["buy_below=2c..8c/two"], "^--param buy_below: step two: invalid price"),
        (["size=1..2/0"], "size"),
        (["buy_below=1c..x"], "buy_below"),
        (["buy_below=1c..2c..3c"], "buy_below"),
        (["buy_below=1c,x"], "buy_below"),
        (["fair"], "no declared range"),
        (["size=1..2", "size=3"], "given twice"),
    ],
)
def test_a_bad_range_is_one_clear_error(given: list[str], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        read_space(Threshold, given)


@pytest.mark.parametrize("given", ["2c..8c/2", "2c..8c / 2", "0.02..0.08/2"])
def test_a_step_without_a_unit_is_refused_with_the_right_form(given: str) -> None:
    with pytest.raises(UsageError) as refused:
        read_space(Threshold, [f"buy_below={given}"])
    assert refused.value.hint == f"for example --param buy_below={given.partition('/')[0].strip()}/2c"
    (found,), _ = read_space(Threshold, [refused.value.hint.removeprefix("for example --param ")])
    assert found.values() == ["2c", "4c", "6c", "8c"]
    (narrow,), _ = read_space(Threshold, ["buy_below=2c..2.5c"])
    assert narrow.values() == ["2c"], "without a step, nothing is refused"


def test_a_grid_needs_steps_and_has_a_limit() -> None:
    (free,), _ = read_space(MeanReversion, ["entry_z=1..3"])
    assert free.size == 0
    with pytest.raises(UsageError, match="a grid needs a step"):
        grid_points([free])
    (stepped,), _ = read_space(MeanReversion, ["entry_z=1..2/0.5"])
    assert stepped.values() == ["1", "1.5", "2"]
    wide, _ = read_space(Threshold, ["buy_below", "sell_above", "min_price=1c..20c"])
    with pytest.raises(UsageError, match="The grid has"):
        grid_points(wide)


def test_a_problem_names_the_strategy_as_it_was_typed() -> None:
    with pytest.raises(UsageError, match="foo: no such parameter") as refused:
        read_space(Threshold, ["foo=1c..2c"], "./mine.py")
    assert refused.value.hint == "see `kalshi strategies ./mine.py` for names, ranges and defaults"


def test_a_range_in_a_comparison_is_refused_with_the_command_that_takes_it() -> None:
    with pytest.raises(UsageError, match=r"10c..20c/5c is a range, which `kalshi optimize` searches") as refused:
        sweep_variants(["threshold"], {"buy_below": "10c..20c/5c"})
    assert refused.value.hint == "for example --param buy_below=A,B,C"


def test_a_sweep_lists_combinations_in_order_and_leaves_text_alone() -> None:
    found = sweep_variants(["threshold"], {"buy_below": "1c,2c", "size": "5", "min_price": "1c,3c"})
    assert [(each["buy_below"], each["min_price"]) for each in found] == [
        ("1c", "1c"), ("1c", "3c"), ("2c", "1c"), ("2c", "3c"),
    ]  # fmt: skip
    text = {"source": "command:model a,b"}
    assert sweep_variants(["model-edge"], text) == [text]
    assert len(sweep_variants(["threshold", "spike"], {"threshold.buy_below": "1c,2c", "move": "3c,4c"})) == 4
    with pytest.raises(UsageError, match="exceed the limit of 1000"):
        sweep_variants(["threshold"], dict.fromkeys(("buy_below", "sell_above"), ",".join(f"{n}c" for n in range(40))))
