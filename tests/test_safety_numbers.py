"""The numbers that safety rests on, as they are documented: a change of one is a decision, never a slip.

What each of them does is tested elsewhere, often with the constant itself, so that its value could be anything there.
"""

from __future__ import annotations

import pytest

from kalshi_cli.core.account import reconciliation
from kalshi_cli.core.engine import book_validity, engine, strategy_runner
from kalshi_cli.core.risk import guards, loss_guards
from kalshi_cli.exchange.live import account_snapshot, dates, live_feed, live_venue
from kalshi_cli.exchange.rest import call, rate_limits
from kalshi_cli.net import deadline_transport
from kalshi_cli.services.account import recovery
from kalshi_cli.services.orders import cancel, kill_switch
from kalshi_cli.services.trading import start
from kalshi_cli.store import database

NUMBERS: dict[str, tuple[object, object]] = {
    "a request may be delivered so late": (reconciliation.NEVER_ARRIVED_MARGIN_MS, 45_000),
    "an order under our id is another one, made so long before": (reconciliation.OLDER_MS, 10_000),
    "an unanswered cancel is asked for again after": (engine.CANCEL_AGAIN_MS, 2_000),
    "creates without an answer in a row": (guards.MAX_UNANSWERED, 3),
    "post-only crossings in a minute": (guards.MAX_POST_ONLY_CROSSES, 3),
    "a doubt, or a missing fill, is told after": (guards.UNCONFIRMED_ALERT_MS, 30_000),
    "a loss behind our own quotes must last for": (loss_guards.LOSS_CONFIRM_MS, 15_000),
    "intents of one call": (strategy_runner.MAX_INTENTS, 100),
    "a book may look crossed for": (book_validity.CROSSED_MS, 1_000),
    "a start reads fills again from before": (recovery.OVERLAP_MS, 3_600_000),
    "each read begins before the last": (account_snapshot.OVERLAP_MS, 60_000),
    "settlements are read again from before": (account_snapshot.SETTLED_OVERLAP_MS, 86_400_000),
    "a start waits for a readable account": (start.UNREAD_S, 60.0),
    "a start waits for proofs": (start.PROOF_S, 120.0),
    "a start waits for positions to agree": (start.DRIFT_S, 15.0),
    "clocks of the exchange's machines differ by": (cancel.MARGIN_MS, 100),
    "the kill switch goes on for": (kill_switch.DEADLINE_S, 60.0),
    "the kill switch believes refusals of the key": (kill_switch.REFUSALS, 3),
    "whoever sent an order has heard after": (kill_switch.ANSWERED_MS, 11_000),
    "the account is read every": (live_venue.EVERY_S, 8.0),
    "the account is read while in doubt after": (live_venue.SOON_S, 1.0),
    "a loop waits for one answer": (live_venue.GET_WITHIN_S, 3.0),
    "a loop waits for one read": (live_venue.READ_WITHIN_S, 10.0),
    "an account out of sight is told after": (live_venue.UNREADABLE_AFTER_S, 20.0),
    "a read that is this old is no sight": (live_venue.STALE_SNAPSHOT_MS, 30_000),
    "the clock may be off by": ((live_venue.SKEW_TOLD_MS, live_venue.SKEW_REFUSED_MS), (1_250, 5_000)),
    "messages may come late by": (live_feed.MAX_LAG_MS, 10_000),
    "a host slept after": (live_feed.SUSPENDED_S, 30.0),
    "a time may be ahead of our clock by": (dates.MAX_AHEAD_MS, 7_000),
    "an idle connection is not used again after": (deadline_transport.IDLE_S, 30.0),
    "a whole call lasts at most": (call.Timeouts().total, 10.0),
    "a reply has at most": (call.MAX_REPLY_LENGTH, 32 * 1024 * 1024),
    "what is left to cancels and to the loop": ((rate_limits.CANCELS_IN_RESERVE, rate_limits.READS_IN_RESERVE), (5, 5)),
    "a write waits for another program for": (database.BUSY_TIMEOUT_MS, 5_000),
}


@pytest.mark.parametrize(("is_now", "documented"), NUMBERS.values(), ids=NUMBERS)
def test_a_number_that_safety_rests_on_is_what_is_documented(is_now: object, documented: object) -> None:
    assert is_now == documented


def test_the_margin_covers_a_late_delivery_a_whole_call_and_a_clock_that_is_off() -> None:
    late_ms, call_ms, clock_ms = 30_000, call.Timeouts().total * 1_000, live_venue.SKEW_REFUSED_MS
    assert late_ms + call_ms + clock_ms == reconciliation.NEVER_ARRIVED_MARGIN_MS
