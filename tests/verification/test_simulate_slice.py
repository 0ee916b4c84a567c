"""A short slice of the fault simulation (`make simulate`), and that its checker is not vacuous."""

from __future__ import annotations

import pytest

import verification.simulate.session as session
from kalshi_cli.exchange.endpoints import orders
from verification.simulate.plan import draw
from verification.simulate.regressions import seeds
from verification.simulate.report import ROWS, Tally
from verification.simulate.shrink import shrink

SLICE = range(2, 6)


@pytest.fixture(scope="module")
def played() -> list[session.Result]:
    return [session.run(seed) for seed in SLICE]


def test_every_invariant_holds_in_a_slice_of_sessions_full_of_faults(played: list[session.Result]) -> None:
    tally = Tally()
    for each in played:
        tally.add(each)
    assert [(failed.seed, failed.violations) for failed in tally.failed] == []
    assert sum(tally.fired.values()) >= 10 * tally.sessions
    assert tally.events >= 100 * tally.sessions
    assert len([row for row in ROWS if tally.hits[row]]) > 30


def test_a_seed_plays_the_same_session_again(played: list[session.Result]) -> None:
    once, again = played[1], session.run(SLICE[1])
    assert (once.fired, once.hits, once.counts, once.events) == (again.fired, again.hits, again.counts, again.events)


@pytest.mark.parametrize("seed", [seed for seed in seeds() if seed not in SLICE])
def test_what_was_found_once_stays_mended(seed: int) -> None:
    assert session.run(seed).violations == []


def test_where_an_order_without_an_answer_is_sent_again_sessions_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders, "CREATE", orders.CREATE._replace(is_harmless_twice=True))  # type: ignore[attr-defined]
    assert any(session.run(seed).violations for seed in (7, *range(1, 10)))  # 7 fails soon


def test_a_plan_shrinks_to_the_faults_that_matter() -> None:
    assert shrink(20, lambda faults: {3, 11} <= faults) == {3, 11}
    assert len(draw(7, {0, 2}).faults) == 2
