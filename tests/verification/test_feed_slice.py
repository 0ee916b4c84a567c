"""A slice of `python -m verification.feed`: no order is priced from a book that is wrong, old or gone."""

from __future__ import annotations

import pytest

from verification.feed.books import FAULTS, many_deltas, many_gaps, nth_loop
from verification.feed.outages import BOUNDS, Kind, outage
from verification.feed.soak import GAP_EVERY, soak
from verification.feed.stage import WrongBookError


def test_each_fault_on_the_nth_book_frame_ends_with_the_exchanges_book_and_no_decision_on_another() -> None:
    found = nth_loop(acts=6)
    assert found.runs > 5 * len(FAULTS)
    assert found.gaps > found.runs / 2
    assert found.decisions > 10 * found.runs


def test_through_many_gaps_no_decision_is_priced_from_a_book_that_is_not_the_exchanges() -> None:
    found = many_gaps(60)
    assert found.gaps >= 60
    assert found.decisions > found.gaps
    assert found.refusals > 0, "the strategy wanted orders while there was no book"


def test_the_proof_about_gaps_fails_for_a_program_whose_books_hear_of_none() -> None:
    with pytest.raises(WrongBookError):
        many_gaps(60, is_blind=True)


def test_a_book_after_many_changes_is_the_exchanges_level_by_level() -> None:
    assert many_deltas(600).deltas >= 600


@pytest.mark.parametrize("kind", BOUNDS)
def test_a_stream_that_died_is_noticed_whatever_it_still_says_and_there_is_trading_again(kind: Kind) -> None:
    found = outage(kind, 0.02, seed=1)
    assert found.again >= found.noticed >= 0


def test_messages_that_go_through_leave_nothing_behind_but_gaps() -> None:
    found = soak(GAP_EVERY + 1_000)
    assert found.gaps == 1
