"""A comparison of parameters, best first."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from support.lake import lake_of
from support.recordings import T0, Tape
from support.tapes import SETUP, swinging_tapes

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts, cents, dollars
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.research.backtest import BacktestRequest
from kalshi_cli.services.research.search.space import sweep_variants
from kalshi_cli.services.research.search.windows import FEW_FILLS
from kalshi_cli.services.research.sweep import compare_variants, jobs_note, refusal_notes, unknown_notes
from kalshi_cli.services.research.tape_runs import run_tape


def test_variants_are_sorted_by_score_whatever_the_number_of_jobs(tmp_path: Path) -> None:
    tapes = swinging_tapes(tmp_path)[:2]
    request = BacktestRequest(strategies=("threshold",), files=tapes)
    variants = sweep_variants(["threshold"], {"buy_below": "10c,35c", "sell_above": "50c,90c"})
    assert variants[0] == {"buy_below": "10c", "sell_above": "50c"}
    found = compare_variants(SETUP, request, variants, 1)
    assert found == compare_variants(SETUP, request, variants, 2)
    scores = [variant.score for variant in found]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > scores[-1]
    best = BacktestRequest(strategies=("threshold",), files=(tapes[0],), params=found[0].params)
    second = BacktestRequest(strategies=("threshold",), files=(tapes[1],), params=found[0].params)
    nets = [run_tape(SETUP, each).summary.net for each in (best, second)]
    assert found[0].result.net == sum(nets)


def test_the_result_of_all_recordings_decides_between_equal_scores(tmp_path: Path) -> None:
    """The median of three recordings is that of the two in which nothing is bought at 10c, where one has no trade."""
    tapes = swinging_tapes(tmp_path)[:1]
    quiet = [Tape().snapshot(ticker=f"KXQ-{number}").delta(1_000, ticker=f"KXQ-{number}") for number in range(2)]
    files = (*tapes, *(tape.write(tmp_path / f"quiet-{number}.jsonl") for number, tape in enumerate(quiet)))
    request = BacktestRequest(strategies=("threshold",), files=files)
    variants = sweep_variants(["threshold"], {"buy_below": "10c,35c", "sell_above": "50c,90c"})
    found = compare_variants(SETUP, request, variants, 1)
    assert {variant.score for variant in found} == {0}
    results = [variant.result.score for variant in found]
    assert results == sorted(results, reverse=True)
    assert results[0] > results[-1]


def test_variants_over_a_lake_are_those_over_its_files(tmp_path: Path) -> None:
    tapes = swinging_tapes(tmp_path)[:2]
    variants = sweep_variants(["threshold"], {"buy_below": "10c,35c", "sell_above": "50c"})
    of_files = BacktestRequest(strategies=("threshold",), files=tapes)
    of_lake = BacktestRequest(strategies=("threshold",), files=(), lake=lake_of(tmp_path, *tapes).root)
    found = compare_variants(SETUP, of_lake, variants, 1)
    assert found == compare_variants(SETUP, of_files, variants, 1)
    assert found[0].result.fills > 0


def test_a_comparison_leaves_out_recordings_without_data_of_the_period(tmp_path: Path) -> None:
    tapes, told = swinging_tapes(tmp_path)[:2], list[str]()
    variants = sweep_variants(["threshold"], {"buy_below": "10c,35c", "sell_above": "50c"})
    cut = BacktestRequest(strategies=("threshold",), files=tapes, until=Ts(T0 + 86_400_000))
    found = compare_variants(SETUP, cut, variants, 1, tell=told.append)
    first = BacktestRequest(strategies=("threshold",), files=tapes[:1])
    assert found == compare_variants(SETUP, first, variants, 1)
    assert [text.rpartition(": ")[2] for text in told] == [tapes[1].name], "once, not for each variant"


def test_a_variant_whose_every_request_was_refused_says_so(tmp_path: Path) -> None:
    request = BacktestRequest(strategies=("threshold",), files=swinging_tapes(tmp_path)[:1])
    setup = replace(SETUP, limits=RiskLimits(min_edge=cents(25)))
    variants = sweep_variants(["threshold"], {"buy_below": "35c", "fair": "36c,60c", "sell_above": "90c"})
    found = {variant.params["fair"]: variant for variant in compare_variants(setup, request, variants, 1)}
    assert (found["36c"].result.orders, found["60c"].refused) == (0, "")
    assert found["60c"].result.orders > 0
    assert found["36c"].refused.startswith("Warning: nothing was traded: no order was sent, ")
    assert "by MIN_EDGE" in found["36c"].refused


def test_each_variant_says_in_short_why_it_shows_little(tmp_path: Path) -> None:
    request = BacktestRequest(strategies=("threshold",), files=swinging_tapes(tmp_path)[:1])
    setup = replace(SETUP, limits=RiskLimits(min_edge=cents(25)))
    variants = sweep_variants(["threshold"], {"buy_below": "35c", "fair": "36c,61c", "sell_above": "90c"})
    found = {variant.params["fair"]: variant for variant in compare_variants(setup, request, variants, 1)}
    assert found["36c"].result.doubt == "no fills, MIN_EDGE"
    assert found["61c"].result.doubt == "few fills"
    assert replace(found["61c"].result, fills=FEW_FILLS).doubt is None


def test_refusals_are_named_once_for_each_code_by_the_variant_with_the_most(tmp_path: Path) -> None:
    request = BacktestRequest(strategies=("threshold",), files=swinging_tapes(tmp_path)[:1])
    setup = replace(SETUP, limits=RiskLimits(max_exposure=dollars(1)))
    variants = sweep_variants(["threshold"], {"buy_below": "35c", "fair": "60c", "size": "2,3", "sell_above": "90c"})
    found = compare_variants(setup, request, variants, 1)
    denied = {variant.params["size"]: variant.denied["EXPOSURE"] for variant in found}
    (note,) = refusal_notes(found)
    most = max(denied, key=denied.__getitem__)
    assert f"size={most}" in note
    assert f": Refused {denied[most]} by EXPOSURE (risk.max_exposure); first " in note
    assert refusal_notes(replace(variant, refused="Warning: nothing was traded") for variant in found) == []


def test_what_the_data_does_not_say_names_the_values_and_bounds_that_it_is_of(tmp_path: Path) -> None:
    request = BacktestRequest(strategies=("threshold",), files=swinging_tapes(tmp_path)[:1])
    (variant,) = compare_variants(SETUP, request, [{}], 1)
    of_all, of_some = "result of 1 of 1 market", "price to close 3 contracts"
    found = [
        replace(variant, fill_model=model, notices=notices)
        for model, notices in (
            ("pessimistic", (of_all, of_some)),
            ("optimistic", (of_all,)),
            ("pessimistic", (of_all,)),
        )
    ]
    values = ["half=2c", "half=2c", "half=4c"]
    assert unknown_notes(found, values) == [f"Unknown: {of_all}", f"Unknown for half=2c (pessimistic): {of_some}"]
    one_bound = [replace(each, fill_model="optimistic") for each in found]
    assert unknown_notes(one_bound, values)[1] == f"Unknown for half=2c: {of_some}"
    many = [*[one_bound[0]] * 5, one_bound[1]]
    assert unknown_notes(many, list("abcdef"))[1] == f"Unknown for a, b, c and 2 more: {of_some}"


def test_a_bad_value_is_refused_before_anything_runs(tmp_path: Path) -> None:
    request = BacktestRequest(strategies=("threshold",), files=(tmp_path / "none.jsonl",))
    with pytest.raises(UsageError, match="buy_below"):
        compare_variants(SETUP, request, sweep_variants(["threshold"], {"buy_below": "10c,2000c"}), 1)


@pytest.mark.parametrize(("after", "complete"), [(1, None), (2, 1), (5, 2), (6, 3)])
def test_an_interruption_leaves_the_variants_that_are_complete_on_all_recordings(
    tmp_path: Path, after: int, complete: int | None
) -> None:
    request = BacktestRequest(strategies=("threshold",), files=swinging_tapes(tmp_path)[:2])
    variants = sweep_variants(["threshold"], {"buy_below": "10c,20c,35c"})

    def interrupt(done: int, _known: int) -> None:
        if done == after:
            raise KeyboardInterrupt

    if complete is None:
        with pytest.raises(KeyboardInterrupt):
            compare_variants(SETUP, request, variants, 1, interrupt)
    else:
        found = compare_variants(SETUP, request, variants, 1, interrupt)
        whole = compare_variants(SETUP, request, variants[:complete], 1)
        assert found == whole


def test_a_recording_that_changes_during_a_comparison_is_named(tmp_path: Path) -> None:
    tape, told = swinging_tapes(tmp_path)[0], list[str]()
    request = BacktestRequest(strategies=("threshold",), files=(tape,))
    variants = [{"buy_below": "30c"}, {"buy_below": "40c"}]
    compare_variants(SETUP, request, variants, 1, tell=told.append)
    assert told == []

    def record_on(_done: int, _known: int) -> None:
        tape.write_bytes(tape.read_bytes() + b"\n")

    compare_variants(SETUP, request, variants, 1, record_on, told.append)
    assert [f"Warning: {tape.name} changed during the comparison" in line for line in told] == [True]


def test_many_runs_say_before_how_to_keep_them(tmp_path: Path) -> None:
    request = BacktestRequest(strategies=("threshold",), files=swinging_tapes(tmp_path)[:1])
    told: list[str] = []
    variants = sweep_variants(["threshold"], {"buy_below": ",".join(f"{price}c" for price in range(1, 51))})

    def interrupt(_done: int, _known: int) -> None:
        assert told
        raise KeyboardInterrupt

    assert len(compare_variants(SETUP, request, variants, 1, interrupt, told.append)) == 1
    assert told[0].startswith(
        "50 runs: 50 variants over 1 recording. Ctrl-C shows the variants that are complete by then"
    )
    told.clear()
    compare_variants(SETUP, request, variants[:1], 1, tell=told.append)
    assert told == []


def test_the_other_cores_of_a_machine_are_named_as_far_as_there_are_runs_for_them() -> None:
    assert jobs_note(174, 2) == ["The 174 runs use 1 of 2 cores: --jobs 2 is faster, with the same results"]
    assert "--jobs 3 " in jobs_note(3, 8)[0]
    assert jobs_note(174, 1) == jobs_note(1, 8) == []
