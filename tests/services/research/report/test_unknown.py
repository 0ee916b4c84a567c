"""The lines about missing data of several runs add up."""

from __future__ import annotations

from kalshi_cli.base.units import contracts, dollars
from kalshi_cli.services.research.report.unknown import UnknownData, add_up, lines_of


def test_equal_words_add_their_numbers_and_other_words_stay() -> None:
    words = "{missing} of {markets}, {contracts} at {value}, {times}"
    one = UnknownData(
        words=words, missing=frozenset("A"), markets=frozenset("AB"), qty=contracts(2), value=dollars(1), times=1
    )
    two = UnknownData(
        words=words, missing=frozenset("AC"), markets=frozenset("AC"), qty=contracts(3), value=dollars(2), times=2
    )
    plain = UnknownData(words="no trades in {file}.jsonl")
    assert one.line == "1 of 2 markets, 2 at $1.00, 1 time"
    assert [each.line for each in add_up([one, plain, two, plain])] == [
        "2 of 3 markets, 5 at $3.00, 3 times",
        "no trades in {file}.jsonl",
    ]


def test_a_run_that_misses_nothing_counts_in_the_sum_and_has_no_line_of_its_own() -> None:
    words = "result of {missing} of {markets}"
    without = UnknownData(words=words, missing=frozenset("A"), markets=frozenset("AB"))
    complete = UnknownData(words=words, markets=frozenset("CDE"))
    assert lines_of([complete]) == ()
    assert lines_of(add_up([complete, without])) == ("result of 1 of 5 markets",)
