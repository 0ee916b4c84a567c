"""A slice of `make kill` in virtual time, and that its lines can fail."""

from __future__ import annotations

import pytest

from kalshi_cli.services.orders import cancel
from verification.kill import exact, pace
from verification.kill.exact import BASIC, Account, Measured, with_account
from verification.kill.result import Line


def kept(lines: list[Line]) -> list[str]:
    return [str(line) for line in lines if not line.passes]


def test_grouped_orders_are_gone_and_proven_so_within_two_seconds_at_the_slowest_tier() -> None:
    assert kept(exact.grouped(2, 200)) == []


@pytest.mark.parametrize("has_cancel_all", [True, False])
def test_without_groups_the_sweep_keeps_to_the_floor_of_the_tokens_and_meets_no_429(has_cancel_all: bool) -> None:
    assert kept(exact.swept("Basic", 100, 1, has_cancel_all=has_cancel_all)) == []


def test_three_busy_programs_of_one_account_meet_no_429_and_the_loop_goes_first() -> None:
    assert kept(pace.lines(20.0)) == []


def test_three_programs_that_do_not_share_their_pace_meet_it_at_once() -> None:
    refused, _ = pace.three_programs(5.0, is_shared=False)
    assert refused > 5


def test_without_the_groups_and_the_cancel_of_everything_two_seconds_are_not_enough() -> None:
    def act(account: Account) -> Measured:
        account.has_cancel_all = False
        account.fill(200, 2)
        return account.kill(None)

    run = with_account(BASIC, 1, act)
    assert run.is_proven
    assert run.outcome.seconds > 2.0
    assert run.progress == sorted(run.progress)
    assert len(run.progress) > 3


def test_a_list_that_is_believed_before_the_reads_have_caught_up_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proof of the proof: an order that only the matching engine knows, and a list that is believed too soon.

    Of a part of the orders, because the cancel of everything must be answered besides.
    """

    def act(account: Account) -> Measured:
        account.fill(0, 0)
        account.sim.quote(exact.BID, 7, 1, who="alice")
        return account.kill(None, cancel.CancelScope(ticker="*"))

    assert with_account(BASIC, 1, act).is_proven
    monkeypatch.setattr(cancel, "MARGIN_MS", -60_000)
    assert not with_account(BASIC, 1, act).is_proven
