"""What is told, when and how often: one rule at a time, then all of them under whatever may happen."""

from __future__ import annotations

from collections import defaultdict
from itertools import count, pairwise
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.effects import AlertRaised
from kalshi_cli.core.monitoring.alert_board import Board
from kalshi_cli.core.monitoring.check_report import Breach, Measure
from kalshi_cli.core.monitoring.incidents import (
    ENDS,
    HALT,
    INHIBITS,
    MAX_REPEAT_ALERTS,
    MAX_SUBJECTS,
    OTHER_SUBJECTS,
    QUIET_WINDOWS,
    REDUCING,
    RESUMED_MS,
    STOPS,
    AlertPolicy,
    AlertSilence,
    Incident,
)
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.core.monitoring.runbook_index import REMEDIES
from kalshi_cli.notify.notice_text import alert_key

SECOND, MINUTE, HOUR = 1_000, 60_000, 3_600_000
POLICY = AlertPolicy(group_ms=5 * MINUTE, repeat_ms=4 * HOUR, stale_ms=24 * HOUR)
T0 = Ts(1_780_000_000_000)
CHECK = "check positions"
QUIET = QUIET_WINDOWS * POLICY.group_ms


class Desk:
    """A board, the time, and everything that was told."""

    def __init__(self) -> None:
        ids = count(1)
        self.board = Board(POLICY, "prod", lambda: f"n{next(ids)}")
        self.board.shards = 1
        self.now = T0
        self.told: list[Notice] = []
        self.stoppers: list[Incident] = []

    def later(self, ms: int) -> list[str]:
        self.now = Ts(self.now + ms)
        return self.decide()

    def decide(self) -> list[str]:
        decision = self.board.decide(self.now)
        self.told += decision.notices
        self.stoppers += decision.stoppers
        return [f"{notice.kind} {notice.code} {notice.subject} {notice.count}" for notice in decision.notices]

    def holds(self, *subjects: str, code: str = "POSITION_LIMIT", severity: str = "critical") -> list[str]:
        """A check finds these, and no others."""
        return self.finds(*(breach(subject, code, severity) for subject in subjects))

    def finds(self, *breaches: Breach, source: str = CHECK) -> list[str]:
        self.board.observe(source, breaches, self.now)
        return self.decide()

    def stops(self, code: str = "DAILY_LOSS", source: str = HALT) -> list[str]:
        """Trading is halted, or only reduces."""
        self.board.stopped_by(source, breach("account", code), self.now, self.now)
        return self.decide()

    def resumes(self) -> list[str]:
        """A person does, and no loop stops again."""
        self.board.resumed(self.now)
        return self.decide() + self.later(RESUMED_MS)

    def happens(self, code: str, subject: str = "KXA", tier: str = "warning", **more: Any) -> list[str]:
        self.board.happen(
            AlertRaised(**{"ts": self.now, "tier": tier, "code": code, "subject": subject, "text": "so", **more}),
            self.now,
        )
        return self.decide()

    def silence(self, code: str, subject: str = "*", for_ms: int = HOUR) -> None:
        self.board.silences = [AlertSilence(code, subject, Ts(self.now + for_ms), "", self.now)]

    def matter(self, code: str, subject: str) -> Incident:
        return self.board.matters[code][subject]


def breach(subject: str = "KXA", code: str = "POSITION_LIMIT", severity: str = "critical", **more: str) -> Breach:
    return Breach(**{"subject": subject, "code": code, "severity": severity, "value": "12", "limit": "10", **more})


@pytest.fixture
def desk() -> Desk:
    return Desk()


# -- what holds until it does not ---------------------------------------------------------------------------------


def test_the_first_is_told_at_once_and_not_again_while_it_holds(desk: Desk) -> None:
    assert desk.holds("KXA") == ["firing POSITION_LIMIT KXA 1"]
    desk.now = Ts(desk.now + MINUTE)
    assert desk.holds("KXA") == []


def test_a_notice_says_what_was_found_what_is_wanted_and_what_to_do(desk: Desk) -> None:
    desk.holds("KXA")
    (notice,) = desk.told
    assert (notice.value, notice.limit, notice.text, notice.since) == ("12", "10", "12, limit 10", T0)
    assert (notice.runbook, notice.command, notice.tier) == ("position-limit", "kalshi positions", "critical")
    desk.finds(breach(code="HALF_SAID", limit=""), source="check pnl")
    assert desk.told[-1].text == "12"


@pytest.mark.parametrize(
    ("label", "unit", "limit", "bound", "counted_in"),
    [
        ("day_loss_pct", "%", "80", "limit 80 %", "%"),
        ("api_p99_ms", "ms", "50", "limit 50 ms", "ms"),
        ("cash_usd", "", "100:", "expected $100 or more", "$"),
        ("slippage_cents", "", "1", "limit 1 cents", "cents"),
        ("feed_gaps", "", "5", "limit 5 feed gaps", "feed gaps"),
    ],
)
def test_a_notice_says_what_its_numbers_are_counted_in(
    desk: Desk, label: str, unit: str, limit: str, bound: str, counted_in: str
) -> None:
    desk.finds(*Measure(label=label, value=93 if limit != "100:" else 9, unit=unit, crit=limit).breach("API_SLOW", "x"))
    (notice,) = desk.told
    assert (notice.limit, notice.unit) == (limit, counted_in)
    assert notice.text.endswith(f"{unit}, {bound}")


def test_a_unit_that_is_in_the_limit_already_is_not_said_twice(desk: Desk) -> None:
    desk.finds(
        breach(value="$60.00", limit="$50.00", unit="$"),
        breach("KXB", value="93 (116 %)", limit="80", unit="contracts"),
    )
    assert desk.told[0].text == "$60.00, limit $50.00"
    assert desk.matter("POSITION_LIMIT", "KXB").text == "93 (116 %), limit 80 contracts"


def test_what_still_holds_is_reminded_after_each_repeat_interval(desk: Desk) -> None:
    desk.holds("KXA")
    assert desk.later(4 * HOUR - 1) == []
    assert desk.later(1) == ["reminder POSITION_LIMIT KXA 1"]
    assert desk.later(4 * HOUR) == ["reminder POSITION_LIMIT KXA 1"]


def test_its_end_is_told_once(desk: Desk) -> None:
    desk.holds("KXA")
    assert desk.holds() == ["resolved POSITION_LIMIT KXA 1"]
    assert desk.holds() == []
    assert desk.later(4 * HOUR) == []
    assert desk.board.matters == {}


def test_what_comes_after_the_first_is_told_together_when_its_window_closes(desk: Desk) -> None:
    desk.holds("KXA")
    desk.now = Ts(desk.now + MINUTE)
    assert desk.holds("KXA", "KXB", "KXC") == []
    assert desk.later(4 * MINUTE) == ["firing POSITION_LIMIT KXB 2"]
    assert desk.told[-1].subjects == ("KXB", "KXC")


def test_what_came_together_is_told_together(desk: Desk) -> None:
    assert desk.holds("KXA", "KXB") == ["firing POSITION_LIMIT KXA 2"]


def test_the_end_of_one_of_several_waits_for_the_window_and_that_of_the_last_does_not(desk: Desk) -> None:
    desk.holds("KXA", "KXB")
    assert desk.holds("KXB") == []
    assert desk.later(5 * MINUTE) == ["resolved POSITION_LIMIT KXA 1"]
    assert desk.holds() == ["resolved POSITION_LIMIT KXB 1"]


def test_what_began_and_ended_within_a_window_ends_with_the_others(desk: Desk) -> None:
    desk.holds("KXA")
    desk.holds("KXA", "KXB")
    assert desk.holds() == ["resolved POSITION_LIMIT KXA 2"]


def test_what_began_and_ended_within_a_window_is_told_as_past_where_others_hold(desk: Desk) -> None:
    desk.holds("KXA")
    desk.holds("KXA", "KXB")
    desk.holds("KXA")
    assert desk.later(5 * MINUTE) == ["event POSITION_LIMIT KXB 1"]
    assert desk.told[-1].text.endswith(" (already resolved)")
    assert desk.holds() == ["resolved POSITION_LIMIT KXA 1"]


def test_what_is_back_after_its_end_was_told_is_told_and_then_only_believed_over_when_it_is_quiet(desk: Desk) -> None:
    desk.holds("KXA")
    desk.later(MINUTE)
    desk.holds()
    assert desk.holds("KXA") == ["firing POSITION_LIMIT KXA 1"]
    retold = [minute for minute in range(1, 21) if desk.later(MINUTE) + desk.holds() + desk.holds("KXA")]
    assert retold == [5, 10, 20], "it is critical, and told ever less often"
    desk.holds()
    assert desk.later(QUIET - SECOND) == []
    assert desk.later(SECOND) == ["resolved POSITION_LIMIT KXA 1"]


def test_a_silence_until_over_ends_with_the_alert_and_covers_no_later_one(desk: Desk) -> None:
    desk.holds("KXA")
    desk.later(MINUTE)
    until = Ts(desk.now + 7 * 24 * HOUR)
    desk.board.silences = [AlertSilence("POSITION_LIMIT", "*", until, "", desk.now, until_over=True)]
    desk.now = Ts(desk.now + POLICY.repeat_ms)
    assert desk.holds("KXA") == [], "no reminder"
    assert desk.holds("KXA", "KXB") == ["firing POSITION_LIMIT KXB 1"]
    desk.now = Ts(desk.now + POLICY.group_ms)
    assert desk.holds("KXB") == ["resolved POSITION_LIMIT KXA 1"]
    assert desk.board.silences == []
    desk.now = Ts(desk.now + POLICY.group_ms)
    assert desk.holds("KXA", "KXB") == ["firing POSITION_LIMIT KXA 1"]


LOST = "HEARTBEAT_LOST"


def test_a_loop_that_dies_again_and_again_is_told_of_with_its_window_then_less_often_and_so_is_its_end(
    desk: Desk,
) -> None:
    """Killed four times within five minutes, with a check after each death and each restart."""
    told = []
    for _ in range(3):
        told += [desk.holds("the loop", code=LOST), desk.later(30 * SECOND), desk.holds(), desk.later(30 * SECOND)]
    told.append(desk.holds("the loop", code=LOST))
    firing, resolved = [f"firing {LOST} the loop 1"], [f"resolved {LOST} the loop 1"]
    assert [each for each in told if each] == [firing, resolved, firing]
    assert desk.later(3 * MINUTE - SECOND) == [], "the window of the second notice is open"
    assert desk.later(SECOND) == firing
    assert desk.later(20 * MINUTE) == [], "it stayed dead, and the phone knows"
    desk.holds()
    assert desk.later(QUIET) == resolved


def test_what_dies_all_day_is_told_ever_less_often(desk: Desk) -> None:
    for _ in range(24 * 60):
        desk.holds("the loop", code=LOST)
        desk.later(30 * SECOND)
        desk.holds()
        desk.later(30 * SECOND)
    at = [(notice.ts - T0) // MINUTE for notice in desk.told]
    assert at[:8] == [0, 0, 1, 6, 11, 21, 41, 81]
    assert len(desk.told) <= 3 + 6 + 24 // 4


def test_a_return_that_was_over_before_it_was_due_is_only_told_as_over(desk: Desk) -> None:
    for _ in range(3):
        desk.holds("the loop", code=LOST)
        desk.holds()
    assert desk.later(5 * MINUTE) == []
    assert desk.later(5 * MINUTE) == [f"resolved {LOST} the loop 1"]


def test_a_critical_one_that_is_back_while_its_end_waits_for_another_is_told(desk: Desk) -> None:
    desk.holds("KXA", "KXB", code=LOST)
    desk.later(MINUTE)
    assert desk.holds("KXB", code=LOST) == desk.later(SECOND) == [], "its end waits for the window"
    assert desk.holds("KXA", "KXB", code=LOST) == [f"firing {LOST} KXA 1"]


def test_the_program_of_a_loop_does_not_tell_that_the_loop_is_lost(desk: Desk) -> None:
    desk.board.is_heard = lambda _tier, _event: False
    desk.holds("the loop", code=LOST)
    desk.board.is_heard = lambda _tier, _event: True
    desk.board.is_loop_here = True
    assert desk.later(MINUTE) == []
    desk.board.end_code(LOST, desk.now)
    assert desk.later(HOUR) == []


def test_a_lost_loop_that_was_told_is_over_once_a_loop_is_here(desk: Desk) -> None:
    desk.holds("the loop", code=LOST)
    desk.board.is_loop_here = True
    desk.board.end_code(LOST, desk.now)
    assert desk.decide() == [f"resolved {LOST} the loop 1"]


def test_what_is_back_long_after_is_new(desk: Desk) -> None:
    desk.holds("KXA")
    desk.holds()
    desk.later(5 * HOUR)
    assert desk.holds("KXA") == ["firing POSITION_LIMIT KXA 1"]
    assert desk.holds() == ["resolved POSITION_LIMIT KXA 1"]


def test_what_becomes_graver_is_told_at_once_and_only_once(desk: Desk) -> None:
    desk.holds("KXA", severity="warning")
    assert desk.holds("KXA", severity="critical") == ["firing POSITION_LIMIT KXA 1"]
    assert desk.holds("KXA", severity="warning") == desk.holds("KXA", severity="critical") == []
    assert [notice.tier for notice in desk.told] == ["warning", "critical"]


def test_a_note_is_no_alert(desk: Desk) -> None:
    assert desk.holds("KXA", severity="note") == []
    assert desk.board.matters == {}


# -- not having been able to look ---------------------------------------------------------------------------------


def test_who_could_not_look_ends_nothing_and_is_told_of_at_the_second_time(desk: Desk) -> None:
    unknown = breach("positions", "COULD_NOT_LOOK", "unknown")
    desk.holds("KXA")
    assert desk.finds(unknown) == []
    assert desk.finds(unknown) == ["firing COULD_NOT_LOOK positions 1"]
    assert desk.finds(unknown) == []
    assert desk.holds("KXA") == ["resolved COULD_NOT_LOOK positions 1"]


def test_a_check_that_could_look_again_was_never_blind(desk: Desk) -> None:
    unknown = breach("positions", "COULD_NOT_LOOK", "unknown")
    for _ in range(3):
        assert desk.finds(unknown) == []
        assert desk.holds() == []
    assert desk.board.matters == {}


def test_a_check_that_was_blind_before_and_misses_one_look_says_nothing_of_it(desk: Desk) -> None:
    unknown = breach("positions", "COULD_NOT_LOOK", "unknown")
    assert [desk.finds(unknown) for _ in range(2)][-1] == ["firing COULD_NOT_LOOK positions 1"]
    assert desk.holds() == ["resolved COULD_NOT_LOOK positions 1"]
    assert desk.finds(unknown) == []
    assert desk.holds() == []
    assert desk.matter("COULD_NOT_LOOK", "positions").is_resolved


def test_a_check_ends_only_what_is_its_own(desk: Desk) -> None:
    desk.holds("KXA")
    assert desk.finds(source="check pnl") == []
    assert desk.matter("POSITION_LIMIT", "KXA").is_firing


# -- what a loop records ------------------------------------------------------------------------------------------


def test_an_event_is_told_at_once_and_again_only_after_the_repeat_interval_with_how_often(desk: Desk) -> None:
    assert desk.happens("DRIFT") == ["event DRIFT KXA 1"]
    for _ in range(7):
        assert desk.happens("DRIFT") == []
    assert desk.later(5 * MINUTE) == []
    assert desk.later(4 * HOUR) == ["event DRIFT KXA 7"]
    assert desk.later(4 * HOUR) == []
    assert desk.board.matters == {}


def test_the_same_of_another_is_told_with_the_window(desk: Desk) -> None:
    desk.happens("DRIFT")
    assert desk.happens("DRIFT", "KXB") == []
    assert desk.later(5 * MINUTE) == ["event DRIFT KXB 1"]


def test_news_is_told_with_each_window(desk: Desk) -> None:
    assert desk.happens("TRADE_EXECUTED", tier="info") == ["event TRADE_EXECUTED KXA 1"]
    desk.happens("TRADE_EXECUTED", tier="info")
    desk.happens("TRADE_EXECUTED", tier="info")
    assert desk.later(5 * MINUTE) == ["event TRADE_EXECUTED KXA 2"]


def test_a_waiting_event_keeps_the_worst_that_was_said_of_it(desk: Desk) -> None:
    desk.happens("DRIFT", "KXB")
    desk.happens("DRIFT", tier="warning")
    assert desk.happens("DRIFT", tier="critical") == ["event DRIFT KXA 2"]
    assert desk.told[-1].tier == "critical"


def test_what_can_end_lasts_until_its_end_is_recorded(desk: Desk) -> None:
    assert desk.happens("BLIND", "account", "critical") == ["firing BLIND account 1"]
    assert desk.later(4 * HOUR) == ["reminder BLIND account 1"]
    assert desk.happens("SIGHTED", "account", "info", text="seen again") == ["resolved BLIND account 1"]
    assert desk.told[-1].text == "over: seen again"


def test_an_end_without_a_beginning_is_news(desk: Desk) -> None:
    assert desk.happens("SIGHTED", "account", "info") == ["event SIGHTED account 1"]


def test_a_pause_of_the_exchange_follows_one_of_trading(desk: Desk) -> None:
    desk.happens("TRADING_PAUSED", "shard 0", "critical")
    told = desk.happens("EXCHANGE_PAUSED", "shard 0", "critical")
    assert told == ["firing EXCHANGE_PAUSED shard 0 1", "resolved TRADING_PAUSED shard 0 1"]
    assert desk.happens("EXCHANGE_RESUMED", "shard 0", "info") == ["resolved EXCHANGE_PAUSED shard 0 1"]


def test_a_new_loop_ends_what_the_last_one_left_open_unless_it_says_so_again(desk: Desk) -> None:
    desk.happens("BLIND", "account", "critical")
    desk.board.end("loop", desk.now)
    assert desk.happens("BLIND", "account", "critical") == []
    desk.board.end("loop", desk.now)
    assert desk.decide() == ["resolved BLIND account 1"]


def test_what_nobody_told_in_its_time_is_no_news(desk: Desk) -> None:
    assert desk.happens("DRIFT", ts=Ts(T0 - 25 * HOUR)) == []
    assert desk.matter("DRIFT", "KXA").hushed == 1
    assert desk.happens("DRIFT", ts=Ts(T0 - 23 * HOUR)) == ["event DRIFT KXA 1"]


def test_an_event_of_what_fires_says_nothing_new(desk: Desk) -> None:
    desk.holds("KXA", code="DRIFT")
    assert desk.happens("DRIFT") == []
    assert desk.later(4 * HOUR) == ["reminder DRIFT KXA 1"]


def test_a_breach_that_was_told_as_an_event_is_told_when_it_ends(desk: Desk) -> None:
    desk.happens("DRIFT")
    assert desk.holds("KXA", code="DRIFT", severity="warning") == []
    assert desk.holds() == ["resolved DRIFT KXA 1"]
    assert desk.happens("DRIFT") == []
    assert desk.later(5 * MINUTE) == ["event DRIFT KXA 1"]


def test_a_breach_is_told_though_long_ago_it_was_an_event(desk: Desk) -> None:
    desk.happens("DRIFT")
    desk.later(HOUR)
    desk.happens("DRIFT")
    desk.now = Ts(desk.now + 3 * HOUR)
    assert desk.holds("KXA", code="DRIFT", severity="warning") == ["firing DRIFT KXA 1"]


def test_a_breach_that_is_graver_than_the_event_was_is_told(desk: Desk) -> None:
    desk.happens("DRIFT")
    assert desk.holds("KXA", code="DRIFT") == ["firing DRIFT KXA 1"]


# -- what nobody is told of ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "explained"),
    [("EXCHANGE_PAUSED", "FEED_DOWN"), ("TRADING_PAUSED", "BOOK_DISPUTED"), ("BLIND", "UNANSWERED")],
)
def test_what_a_greater_cause_explains_is_not_told(desk: Desk, cause: str, explained: str) -> None:
    assert Desk().happens(explained) != []
    desk.happens(cause, "shard 0", "critical")
    assert desk.happens(explained) == []
    desk.happens("SIGHTED" if cause == "BLIND" else "EXCHANGE_RESUMED", "shard 0", "info")
    assert sorted(notice.code for notice in desk.told) == sorted([cause, cause, explained]), "when that is over"


def test_a_late_loop_explains_a_stale_feed_which_is_told_if_the_loop_is_back_and_it_still_stands(desk: Desk) -> None:
    late, stale = breach("the loop", "CYCLE_LATE", "warning"), breach("stream", "FEED_STALE")
    desk.finds(late, source="check heartbeat")
    assert desk.finds(stale, source="check feed") == []
    desk.finds(source="check heartbeat")
    assert desk.finds(stale, source="check feed") == ["firing FEED_STALE stream 1"]


def test_a_look_that_excuses_a_condition_does_not_end_it_until_no_strict_look_found_it_for_an_hour(desk: Desk) -> None:
    strict, excused = breach("the loop", "HEARTBEAT_LOST"), breach("the loop", "HEARTBEAT_LOST", "note")
    assert desk.finds(excused) == []
    assert desk.finds(strict) == ["firing HEARTBEAT_LOST the loop 1"]
    assert desk.finds(excused) == desk.finds(strict) == []
    desk.now = Ts(desk.now + HOUR + 1)
    assert desk.finds(excused) == ["resolved HEARTBEAT_LOST the loop 1"]


def test_an_end_repeats_what_was_found_and_not_what_to_do_about_it(desk: Desk) -> None:
    desk.finds(breach(value="lost $3.52 today. To trade again: kalshi resume", limit=""))
    desk.finds()
    assert desk.told[-1].text == "over; it was: lost $3.52 today"


def test_an_event_that_was_explained_for_a_day_is_no_news(desk: Desk) -> None:
    desk.happens("EXCHANGE_PAUSED", "shard 0", "critical")
    desk.happens("FEED_DOWN")
    desk.board.loop_seen = Ts(desk.now + 25 * HOUR)
    desk.later(25 * HOUR)
    desk.happens("EXCHANGE_RESUMED", "shard 0", "info")
    assert "FEED_DOWN" not in [notice.code for notice in desk.told]


def test_what_a_loop_said_explains_nothing_once_the_loop_is_gone(desk: Desk) -> None:
    desk.happens("BLIND", "account", "critical")
    desk.now = Ts(desk.now + 10 * MINUTE)
    desk.board.loop_seen = Ts(desk.now - 5 * MINUTE)
    assert desk.finds(breach("requests", "API_ERRORS")) == []
    desk.now = Ts(desk.now + 1)
    assert desk.finds(breach("requests", "API_ERRORS")) == ["firing API_ERRORS requests 1"]


def test_what_a_check_said_explains_nothing_once_the_check_is_gone(desk: Desk) -> None:
    desk.finds(breach("shard 0", "EXCHANGE_PAUSED"), source="check exchange")
    assert desk.finds(breach("requests", "API_ERRORS")) == []
    desk.now = Ts(desk.now + HOUR)
    assert desk.finds(breach("requests", "API_ERRORS")) == []
    desk.now = Ts(desk.now + 1)
    assert desk.finds(breach("requests", "API_ERRORS")) == ["firing API_ERRORS requests 1"]


def test_what_is_silenced_explains_nothing(desk: Desk) -> None:
    desk.silence("EXCHANGE_PAUSED")
    desk.happens("EXCHANGE_PAUSED", "shard 0", "critical")
    assert desk.happens("FEED_DOWN") == ["event FEED_DOWN KXA 1"]


def test_what_lasts_is_told_once_there_is_somebody_to_hear_it(desk: Desk) -> None:
    desk.board.is_heard = lambda tier, _event: tier == "critical"
    assert desk.holds("KXA", severity="warning") == []
    assert desk.happens("DRIFT") == ["event DRIFT KXA 1"], "an event is over: whoever comes later missed it"
    desk.board.is_heard = lambda _tier, _event: True
    assert desk.holds("KXA", severity="warning") == ["firing POSITION_LIMIT KXA 1"]


def test_what_ended_before_anybody_could_hear_it_is_not_told(desk: Desk) -> None:
    desk.board.is_heard = lambda _tier, _event: False
    assert desk.holds("KXA") == []
    assert len(desk.stoppers) == 1, "it stops all the same"
    assert desk.holds() == []
    desk.board.is_heard = lambda _tier, _event: True
    assert desk.later(5 * MINUTE) == []


def test_a_clock_that_is_set_back_mutes_nothing(desk: Desk) -> None:
    desk.holds("KXA")
    desk.silence("DRIFT", for_ms=10 * HOUR)
    desk.now = Ts(desk.now - 8 * HOUR)
    assert desk.holds("KXA", "KXB") == ["firing POSITION_LIMIT KXB 1"]
    assert desk.later(4 * HOUR) == ["reminder POSITION_LIMIT KXA 2"]
    assert desk.happens("DRIFT") == ["event DRIFT KXA 1"]
    desk.holds("KXA", "KXB", "KXC")
    desk.holds()
    desk.board.loop_seen = desk.now
    desk.now = Ts(desk.now - 8 * HOUR)
    desk.happens("BLIND", "account", "critical")
    desk.now = Ts(desk.now + 6 * MINUTE)
    assert desk.happens("UNANSWERED") == ["event UNANSWERED KXA 1"], "that a loop was there in the future says nothing"
    desk.later(4 * HOUR)
    assert "POSITION_LIMIT" not in desk.board.matters


def test_what_still_holds_when_its_cause_is_over_is_told_then(desk: Desk) -> None:
    desk.happens("EXCHANGE_PAUSED", "shard 0", "critical")
    assert desk.holds("feed", code="FEED_STALE", severity="warning") == []
    assert desk.happens("EXCHANGE_RESUMED", "shard 0", "info") == ["resolved EXCHANGE_PAUSED shard 0 1"]
    assert desk.finds(breach("feed", "FEED_STALE", value="30")) == ["firing FEED_STALE feed 1"]
    assert desk.told[-1].value == "30"
    assert desk.holds() == ["resolved FEED_STALE feed 1"]


def test_what_went_with_its_cause_is_never_told(desk: Desk) -> None:
    desk.stops()
    assert desk.finds(breach("loop", "DAILY_LOSS"), source="check heartbeat") == []
    assert desk.finds(breach("account", "DAY_LOSS"), source="check pnl") == []
    assert desk.resumes() == ["resolved DAILY_LOSS account 1"]
    assert desk.later(6 * MINUTE) == []
    assert desk.finds(source="check heartbeat") == desk.finds(source="check pnl") == []


def test_a_kill_switch_is_told_each_time_and_explains_that_its_groups_are_triggered(desk: Desk) -> None:
    for _ in range(4):
        assert desk.stops("CANCEL_ALL") == ["firing CANCEL_ALL account 1"]
        assert desk.happens("GROUP_TRIGGERED", "group", "critical") == []
        assert desk.resumes() == ["resolved CANCEL_ALL account 1"]
        desk.later(SECOND)
    assert desk.happens("GROUP_TRIGGERED", "group", "critical") == ["event GROUP_TRIGGERED group 1"]


@pytest.mark.parametrize(("code", "source"), [("DAILY_LOSS", REDUCING), ("API_GUARD", REDUCING), ("ID_CLASH", HALT)])
def test_a_stop_that_comes_back_soon_after_a_resume_is_told_again_and_resolved_once(
    desk: Desk, code: str, source: str
) -> None:
    for _ in range(3):
        assert desk.stops(code, source) == [f"firing {code} account 1"]
        desk.later(MINUTE)
        desk.board.resumed(desk.now)
        assert desk.decide() == desk.later(RESUMED_MS - 1) == []
    assert desk.later(1) == [f"resolved {code} account 1"]


def test_a_stop_is_sent_at_once_in_the_window_of_an_earlier_event_of_its_code(desk: Desk) -> None:
    desk.stops("CANCEL_ALL")
    assert desk.happens("API_GUARD", "requests", "critical") == ["event API_GUARD requests 1"]
    desk.later(MINUTE)
    desk.board.resumed(desk.now)
    assert desk.stops("API_GUARD", REDUCING) == ["firing API_GUARD account 1"]
    assert desk.stops("API_GUARD", REDUCING) == []


def test_a_reduce_only_state_that_becomes_a_halt_under_the_same_code_is_told(desk: Desk) -> None:
    """A guard trips again during a pause."""
    desk.stops("API_GUARD", REDUCING)
    desk.later(MINUTE)
    assert desk.stops("API_GUARD", HALT) == ["firing API_GUARD account 1"]
    assert desk.later(HOUR) == desk.stops("API_GUARD", HALT) == []
    assert desk.resumes() == ["resolved API_GUARD account 1"]


def test_a_stop_that_another_one_replaced_still_holds(desk: Desk) -> None:
    desk.stops("DAILY_LOSS", REDUCING)
    assert desk.stops("CANCEL_ALL") == ["firing CANCEL_ALL account 1"]
    assert desk.later(HOUR) == []
    assert desk.resumes() == ["resolved CANCEL_ALL account 1", "resolved DAILY_LOSS account 1"]


def test_what_stopped_trading_is_resolved_after_a_resume_and_what_did_not_at_once(desk: Desk) -> None:
    desk.holds("KXA")
    desk.finds(breach("feed", "FEED_STALE"), source="check feed")
    desk.board.is_stopped = True
    assert desk.finds(source="check feed") == ["resolved FEED_STALE feed 1"]
    assert desk.holds() == []
    assert desk.later(5 * HOUR) == []
    desk.board.is_stopped = False
    assert desk.decide() == ["resolved POSITION_LIMIT KXA 1"]


def test_of_many_that_are_back_three_are_told_at_once_and_the_others_together(desk: Desk) -> None:
    many = [f"KX{number}" for number in range(8)]
    desk.holds(*many)
    desk.holds()
    told = [desk.holds(*many[: number + 1]) for number in range(8)]
    assert [len(each) for each in told] == [1, 1, 1, 0, 0, 0, 0, 0]
    assert desk.later(5 * MINUTE) == ["firing POSITION_LIMIT KX3 5"]


def test_a_warning_that_is_back_waits_for_its_window(desk: Desk) -> None:
    desk.holds("KXA", severity="warning")
    desk.holds()
    assert desk.holds("KXA", severity="warning") == []


def test_an_end_says_that_it_is_over(desk: Desk) -> None:
    desk.holds("KXA")
    desk.holds()
    assert desk.told[-1].text == "over; it was: 12, limit 10"


def test_what_was_over_before_its_cause_is_never_told(desk: Desk) -> None:
    desk.happens("EXCHANGE_PAUSED", "shard 0", "critical")
    desk.holds("feed", code="FEED_STALE")
    assert desk.holds() == []
    desk.happens("EXCHANGE_RESUMED", "shard 0", "info")
    assert desk.later(HOUR) == []


def test_a_halt_is_told_whatever_holds_and_explains_what_the_strategies_do(desk: Desk) -> None:
    desk.happens("BLIND", "account", "critical")
    assert desk.stops() == ["firing DAILY_LOSS account 1"]
    assert desk.happens("DAILY_LOSS", "today", "critical") == []
    assert desk.happens("STRATEGY_FAILED", "spike", "critical") == []
    assert desk.resumes() == ["resolved DAILY_LOSS account 1"]
    assert desk.happens("STRATEGY_FAILED", "fade", "critical") == ["event STRATEGY_FAILED fade 1"]


def test_while_trading_only_reduces_the_feed_is_still_worth_a_word(desk: Desk) -> None:
    desk.stops(source=REDUCING)
    assert desk.finds(breach("day", "DAY_LOSS"), source="check pnl") == []
    assert desk.happens("DAILY_LOSS", "today", "critical") == []
    assert desk.happens("FEED_DOWN") == ["event FEED_DOWN KXA 1"]


def test_that_a_check_found_the_halt_too_is_not_told(desk: Desk) -> None:
    desk.stops()
    assert desk.finds(breach("loop", "HALTED"), source="check heartbeat") == []
    assert Desk().finds(breach("loop", "HALTED"), source="check heartbeat") == ["firing HALTED loop 1"]


def test_a_silence_covers_codes_and_subjects_like_it_until_its_time(desk: Desk) -> None:
    desk.silence("POSITION_*", "KXA*")
    assert desk.holds("KXA-1") == []
    assert desk.holds("KXA-1", "KXB") == ["firing POSITION_LIMIT KXB 1"]
    assert desk.happens("DRIFT", "KXA-1") == ["event DRIFT KXA-1 1"]
    assert desk.later(HOUR) == ["firing POSITION_LIMIT KXA-1 1"]


def test_a_silence_holds_back_reminders_and_not_the_end(desk: Desk) -> None:
    desk.holds("KXA")
    desk.silence("POSITION_LIMIT", for_ms=8 * HOUR)
    assert desk.later(4 * HOUR) == []
    assert desk.holds() == ["resolved POSITION_LIMIT KXA 1"]


# -- what stops a loop --------------------------------------------------------------------------------------------


def test_what_is_critical_stops_once_when_it_begins(desk: Desk) -> None:
    desk.holds("KXA")
    desk.holds("KXA")
    assert [matter.subject for matter in desk.stoppers] == ["KXA"]
    desk.holds("KXA", "KXB")
    assert [matter.subject for matter in desk.stoppers] == ["KXA", "KXB"], "before anybody is told of it"


def test_a_warning_that_becomes_critical_stops_whether_it_was_told_or_waits_to_be(desk: Desk) -> None:
    desk.finds(breach("KXA", severity="warning"))
    assert desk.finds(breach("KXA", severity="warning"), breach("KXB", severity="warning")) == []
    assert desk.stoppers == []
    desk.finds(breach("KXA", severity="warning"), breach("KXB"))
    desk.finds(breach("KXA"), breach("KXB"))
    assert [matter.subject for matter in desk.stoppers] == ["KXB", "KXA"]


def test_what_is_critical_and_back_stops_and_is_told_though_its_end_was_not(desk: Desk) -> None:
    desk.finds(breach("KXA"), breach("KXB", severity="warning"))
    desk.later(MINUTE)
    assert desk.finds(breach("KXB", severity="warning")) == [], "its end waits for the window"
    assert desk.finds(breach("KXA"), breach("KXB", severity="warning")) == ["firing POSITION_LIMIT KXA 1"]
    assert [matter.subject for matter in desk.stoppers] == ["KXA", "KXA"]


def test_what_is_critical_and_flaps_beside_another_is_told_a_handful_of_times(desk: Desk) -> None:
    for _ in range(24 * 60):
        desk.holds("KXA", "KXB")
        desk.later(30 * SECOND)
        desk.holds("KXB")
        desk.later(30 * SECOND)
    assert len(desk.told) <= 3 + 6 + 24 // 4 * 2, "after 5, 10, 20, 40, 80 and 160 minutes, then every 4 hours"


NOT_FOUND_OUT = (
    "CHECK_SKIPPED", "COULD_NOT_LOOK", "CONFIG_ERROR", "API_SLOW", "API_ERRORS", "API_GUARD", "UNANSWERED",
    "FEED_STALE", "FEED_LATE", "FEED_DOWN", "FEED_GAPS", "BOOK_MISSING", "BOOK_DISPUTED", "CLOCK", "RECENT_ERRORS",
    "EXCHANGE_PAUSED", "TRADING_PAUSED", "BLIND", "STATE_UNUSABLE", "CANCEL_ALL", "HALTED", "HEARTBEAT_LOST",
    "CYCLE_LATE", "LOOP_FAILED", "FLATTEN_FAILED", "ROUTE_ENDS", "SOMETHING_NEW",
)  # fmt: skip


@pytest.mark.parametrize("code", NOT_FOUND_OUT)
def test_what_was_not_found_out_or_the_exchange_brings_about_stops_nothing(desk: Desk, code: str) -> None:
    desk.holds("KXA", code=code)
    desk.happens(code, "KXB", tier="critical")
    assert desk.stoppers == []


@pytest.mark.parametrize("code", ["STRATEGY_FAILED", "STRATEGY_HUNG", "STRATEGY_OUT", "STRATEGY_FLOOD", "BAD_INTENT"])
def test_a_failure_of_one_strategy_stops_no_other(desk: Desk, code: str) -> None:
    """That one is taken out, and its orders are canceled (F17)."""
    desk.holds("spike", code=code)
    desk.happens(code, "fade", tier="critical")
    assert desk.stoppers == []


def test_a_strategy_that_holds_the_loop_up_stops_trading(desk: Desk) -> None:
    desk.happens("STRATEGY_STUCK", "fade", tier="critical")
    assert [matter.code for matter in desk.stoppers] == ["STRATEGY_STUCK"]


def test_a_key_that_is_refused_stops_trading(desk: Desk) -> None:
    desk.finds(breach("key", "CREDENTIALS"), source="check api")
    desk.happens("CREDENTIALS", "spike", "critical")
    assert [matter.code for matter in desk.stoppers] == ["CREDENTIALS", "CREDENTIALS"]


def test_what_is_no_more_than_a_warning_or_unknown_or_old_stops_nothing(desk: Desk) -> None:
    desk.holds("KXA", severity="warning")
    for _ in range(3):
        desk.finds(breach(code="COULD_NOT_LOOK", severity="unknown"))
    desk.happens("LATE_ORDER", tier="critical", ts=Ts(T0 - 25 * HOUR))
    assert desk.stoppers == []
    desk.happens("ORDER_UNKNOWN_LONG", tier="critical")
    assert len(desk.stoppers) == 1


def test_a_silence_is_for_the_telling_and_holds_up_no_stop(desk: Desk) -> None:
    desk.silence("*")
    assert desk.holds("KXA") == desk.happens("DRIFT", tier="critical") == []
    desk.holds("KXA")
    assert [matter.code for matter in desk.stoppers] == ["POSITION_LIMIT", "DRIFT"], "each once"


@pytest.mark.parametrize("before", ["", "warning"])
def test_what_began_while_something_explained_it_stops_once_that_is_over_and_it_is_found_again(
    desk: Desk, before: str
) -> None:
    if before:
        desk.holds("KXA", code="DAY_LOSS", severity=before)
    desk.stops(source=REDUCING)
    for _ in range(3):
        desk.holds("KXA", code="DAY_LOSS")
    desk.resumes()
    assert [matter.code for matter in desk.stoppers] == ["DAILY_LOSS"], "nobody has found the other one since"
    desk.holds("KXA", code="DAY_LOSS")
    desk.holds("KXA", code="DAY_LOSS")
    assert [matter.code for matter in desk.stoppers] == ["DAILY_LOSS", "DAY_LOSS"]


def test_what_went_with_what_explained_it_stops_nothing(desk: Desk) -> None:
    desk.stops("CANCEL_ALL")
    desk.happens("GROUP_TRIGGERED", "group", "critical")
    desk.holds("order", code="GROUP_TRIGGERED")
    desk.holds()
    desk.resumes()
    desk.later(HOUR)
    assert desk.stoppers == []
    desk.holds("order", code="GROUP_TRIGGERED")
    assert len(desk.stoppers) == 1, "a new one does"


@pytest.mark.parametrize("between", ["nothing", "found", "found and over"])
def test_what_stops_trading_again_after_a_resume_is_a_new_incident(desk: Desk, between: str) -> None:
    for _ in range(2 * MAX_REPEAT_ALERTS):
        desk.stoppers.clear()
        assert desk.happens("GROUP_TRIGGERED", "g", "critical") == ["event GROUP_TRIGGERED g 1"]
        assert [matter.subject for matter in desk.stoppers] == ["g"]
        assert desk.happens("GROUP_TRIGGERED", "g", "critical") == [], "nobody resumed in between"
        desk.later(SECOND)
        if between != "nothing":
            assert desk.holds("g", code="GROUP_TRIGGERED", severity="warning") == []
        if between == "found and over":
            assert desk.holds() == ["resolved GROUP_TRIGGERED g 1"]
        desk.board.resumed_at = desk.now
        desk.later(SECOND)
    assert {notice.tier for notice in desk.told if notice.kind == "event"} == {"critical"}


def test_a_critical_event_after_its_end_was_sent_does_not_wait_for_the_window(desk: Desk) -> None:
    desk.happens("GROUP_TRIGGERED", "g", "critical")
    desk.holds("g", code="GROUP_TRIGGERED", severity="warning")
    assert desk.holds() == ["resolved GROUP_TRIGGERED g 1"]
    desk.later(SECOND)
    assert desk.happens("GROUP_TRIGGERED", "g", "critical") == ["event GROUP_TRIGGERED g 1"]


def test_a_critical_event_that_waits_stays_critical_where_a_check_finds_a_warning(desk: Desk) -> None:
    desk.happens("GROUP_TRIGGERED", "g", "critical")
    assert desk.happens("GROUP_TRIGGERED", "h", "critical") == []
    assert desk.holds("h", code="GROUP_TRIGGERED", severity="warning") == []
    assert desk.later(POLICY.group_ms) == ["firing GROUP_TRIGGERED h 1"]
    assert desk.told[-1].tier == "critical"
    assert [matter.subject for matter in desk.stoppers] == ["g", "h"]


@pytest.mark.parametrize("code", ["PAUSED_BY_ALERT", "FLATTENED"])
def test_each_stop_by_an_alert_is_told_at_once(desk: Desk, code: str) -> None:
    for _ in range(3):
        assert desk.happens(code, "account", "critical") == [f"event {code} account 1"]
        desk.later(SECOND)
    assert desk.happens("DRIFT") != desk.happens("DRIFT") == [], "of anything else the second one waits"


def test_positions_that_stay_open_are_told_once_until_they_are_closed_or_a_person_resumes(desk: Desk) -> None:
    for _ in range(3):
        assert desk.happens("FLATTEN_FAILED", "account", "critical") == ["firing FLATTEN_FAILED account 1"]
        assert desk.happens("FLATTEN_FAILED", "account", "critical") == []
        assert desk.later(4 * HOUR) == ["reminder FLATTEN_FAILED account 1"]
        assert desk.happens("FLATTENED", "account") == ["resolved FLATTEN_FAILED account 1"]
        desk.later(5 * HOUR)
    desk.happens("FLATTEN_FAILED", "account", "critical")
    desk.board.end_code("FLATTEN_FAILED", desk.now)
    assert desk.decide() == ["resolved FLATTEN_FAILED account 1"]
    desk.happens("DRIFT")
    desk.board.end_code("DRIFT", desk.now)
    desk.board.end_code("FLATTEN_FAILED", desk.now)
    assert desk.decide() == []


# -- shards -------------------------------------------------------------------------------------------------------


@pytest.fixture
def sharded(desk: Desk) -> Desk:
    """KXA and order-0 are on shard 0, KXB on shard 1."""
    desk.board.shards = 2
    desk.board.shard_of = {"KXA": 0, "order-0": 0, "KXB": 1}.get
    return desk


@pytest.mark.parametrize("code", ["EXCHANGE_PAUSED", "TRADING_PAUSED"])
def test_a_pause_of_one_shard_explains_what_is_on_that_shard_and_nothing_else(sharded: Desk, code: str) -> None:
    sharded.happens(code, "shard 0", "critical")
    assert sharded.happens("BOOK_DISPUTED", "KXA") == sharded.happens("ORDER_UNKNOWN", "order-0") == []
    assert sharded.happens("BOOK_DISPUTED", "KXB") == ["event BOOK_DISPUTED KXB 1"]
    assert sharded.happens("POST_ONLY_CROSS", "KXNEVER") == ["event POST_ONLY_CROSS KXNEVER 1"], "nobody knows where"


def test_what_is_of_the_whole_account_is_explained_once_every_shard_is_paused(sharded: Desk) -> None:
    sharded.happens("TRADING_PAUSED", "shard 0", "critical")
    assert sharded.finds(breach("requests", "API_ERRORS")) == ["firing API_ERRORS requests 1"]
    sharded.happens("EXCHANGE_PAUSED", "shard 1", "critical")
    assert sharded.happens("FEED_DOWN", "stream") == []
    assert sharded.happens("CYCLE_LATE", "the loop") != [], "where cancels work a loop should go on"
    sharded.happens("EXCHANGE_RESUMED", "shard 0", "info")
    assert "FEED_DOWN" in [notice.code for notice in sharded.told]


def test_while_nobody_has_counted_the_shards_a_pause_explains_its_own_only(sharded: Desk) -> None:
    sharded.board.shards = 0
    sharded.happens("EXCHANGE_PAUSED", "shard 0", "critical")
    assert sharded.happens("FEED_DOWN", "KXA") == []
    assert sharded.happens("FEED_DOWN", "stream") == ["event FEED_DOWN stream 1"]


def test_that_cancels_stop_on_one_shard_is_told_while_trading_is_paused_on_another(sharded: Desk) -> None:
    sharded.happens("EXCHANGE_PAUSED", "shard 0", "critical")
    assert sharded.happens("TRADING_PAUSED", "shard 1", "critical") == ["firing TRADING_PAUSED shard 1 1"]
    told = sharded.happens("TRADING_PAUSED", "shard 0", "critical")
    assert "resolved EXCHANGE_PAUSED shard 0 1" in told, "there cancels are taken again"


# -- what a loop left behind --------------------------------------------------------------------------------------


def test_a_pause_that_a_loop_saw_which_is_gone_is_over_once_a_check_sees_an_open_exchange(desk: Desk) -> None:
    desk.happens("EXCHANGE_PAUSED", "shard 0", "critical")
    assert desk.finds(source="check exchange") == [], "the loop is there, and will say it"
    desk.now = Ts(desk.now + 5 * MINUTE + 1)
    assert desk.finds(source="check positions") == []
    assert desk.finds(breach("exchange", "COULD_NOT_LOOK", "unknown"), source="check exchange") == []
    planned = breach("shard 0", "EXCHANGE_PAUSED", "note")
    assert desk.finds(planned, source="check exchange") == [], "it is as it was, though it was to be expected"
    assert desk.finds(source="check exchange") == ["resolved EXCHANGE_PAUSED shard 0 1"]
    assert desk.later(4 * HOUR) == []


def test_while_a_loop_is_there_a_check_does_not_end_what_it_says(desk: Desk) -> None:
    desk.happens("TRADING_PAUSED", "shard 0", "critical")
    desk.board.loop_seen = desk.now = Ts(desk.now + HOUR)
    assert desk.finds(source="check exchange") == []
    assert desk.matter("TRADING_PAUSED", "shard 0").is_firing


@pytest.mark.parametrize("code", sorted({*INHIBITS, *STOPS}))
def test_the_tables_speak_of_codes_that_there_are(code: str) -> None:
    assert code in REMEDIES


# -- bounds -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subjects", [1, 40, 10_000])
@pytest.mark.parametrize("code", ["DRIFT", "BLIND"])
def test_ten_thousand_at_once_are_three_notices_at_most(desk: Desk, code: str, subjects: int) -> None:
    for number in range(10_000):
        desk.board.happen(AlertRaised(desk.now, "critical", code, f"KX{number % subjects}", "so"), desk.now)
        if number % 200 == 0:
            desk.later(1_200)
    for _ in range(60):
        desk.later(MINUTE)
    assert 1 <= len(desk.told) <= 3
    assert sum(map(len, desk.board.matters.values())) <= MAX_SUBJECTS + 1
    if code == "DRIFT" and subjects > 1:
        desk.later(4 * HOUR)
        assert sum(notice.count for notice in desk.told) == 10_000, "each is counted"


def test_a_storm_of_breaches_is_one_notice_and_one_end(desk: Desk) -> None:
    many = [breach(f"KX{number}") for number in range(10_000)]
    assert desk.finds(*many) == [f"firing POSITION_LIMIT KX0 {MAX_SUBJECTS + 1}"]
    assert desk.finds(*many) == []
    assert desk.finds() == [f"resolved POSITION_LIMIT KX0 {MAX_SUBJECTS + 1}"]


def test_more_subjects_than_can_be_known_are_still_told_with_each_window(desk: Desk) -> None:
    for number in range(MAX_SUBJECTS + 5):
        desk.happens("DRIFT", f"KX{number}")
    desk.later(5 * MINUTE)
    assert desk.matter("DRIFT", OTHER_SUBJECTS).told is not None
    desk.happens("DRIFT", "KXNEW")
    assert desk.later(5 * MINUTE) == [f"event DRIFT {OTHER_SUBJECTS} 1"]


def test_what_flaps_for_a_day_is_a_handful_of_notices(desk: Desk) -> None:
    for _ in range(24 * 60):
        desk.holds("KXA", severity="warning")
        desk.later(30 * SECOND)
        desk.holds()
        desk.later(30 * SECOND)
    assert len(desk.told) <= 2 + 1 + 24 // 4


def test_text_from_outside_is_made_safe(desk: Desk) -> None:
    desk.holds("KX\x1b[31mA\u202e", code="POSITION_LIMIT")
    desk.happens("DRIFT", text="a\nb\x07" * 500)
    assert desk.told[0].subject == "KX[31mA"
    assert desk.told[1].text.isprintable()
    assert len(desk.told[1].text) <= 500


# -- whatever happens ---------------------------------------------------------------------------------------------

SUBJECTS = ("KXA", "KXB", "KXC")
CODES = ("POSITION_LIMIT", "DRIFT", "EDGE_DRIFT")
moves = st.one_of(
    st.tuples(st.just("hold"), st.sets(st.sampled_from(SUBJECTS)), st.sampled_from(("warning", "critical"))),
    st.tuples(st.just("happen"), st.sampled_from(CODES), st.sampled_from(SUBJECTS)),
    st.tuples(st.just("wait"), st.sampled_from((SECOND, MINUTE, 5 * MINUTE, HOUR, 4 * HOUR)), st.just("")),
    st.tuples(st.just("blind"), st.just(""), st.just("")),
)


def play(script: list[tuple[str, Any, Any]]) -> tuple[Desk, set[tuple[str, str]]]:
    """What was told, and the keys of what was raised."""
    desk, raised = Desk(), set()
    for move, what, more in script:
        if move == "hold":
            raised |= {("POSITION_LIMIT", subject) for subject in what}
            desk.holds(*sorted(what), severity=more)
        elif move == "happen":
            raised.add((what, more))
            desk.happens(what, more)
        elif move == "blind":
            desk.finds(breach("positions", "COULD_NOT_LOOK", "unknown"))
        else:
            desk.later(what)
    return desk, raised


def by_key(told: list[Notice]) -> dict[tuple[str, str], list[Notice]]:
    found: dict[tuple[str, str], list[Notice]] = defaultdict(list)
    for notice in told:
        for subject in notice.subjects:
            found[notice.code, subject].append(notice)
    return found


@given(st.lists(moves, max_size=60))
def test_whatever_is_raised_is_told(script: list[tuple[str, Any, Any]]) -> None:
    desk, raised = play(script)
    for _ in range(3):
        desk.later(4 * HOUR)
    assert raised <= set(by_key(desk.told))


@given(st.lists(moves, max_size=60))
def test_an_end_is_told_only_of_what_was_told_and_only_once(script: list[tuple[str, Any, Any]]) -> None:
    desk, _ = play(script)
    desk.holds()
    known: set[tuple[str, str]] = set()
    for notice in desk.told:
        keys = {(notice.code, subject) for subject in notice.subjects}
        if notice.kind == "resolved":
            assert (notice.code, notice.subject) in known, "others may end with it that waited to be told"
            known -= keys
        else:
            known |= keys


@given(st.lists(moves, max_size=60))
@example([("hold", {"KXA"}, ""), ("hold", set(), "")] * 2 + [
    ("happen", "POSITION_LIMIT", "KXB"), ("wait", 4 * HOUR, ""), ("wait", 5 * MINUTE, ""), ("hold", {"KXA"}, ""),
])  # fmt: skip
def test_a_key_is_told_once_a_repeat_interval_unless_it_was_said_to_be_over(script: list[tuple[str, Any, Any]]) -> None:
    desk, _ = play([(move, what, "warning" if move == "hold" else more) for move, what, more in script])
    for (_, subject), notices in by_key(desk.told).items():
        ends = [each.ts for each in notices if each.kind == "resolved" or each.text.endswith("it is over by now")]
        ends += [each.ts for each in notices if each.kind == "event" and each.subject != subject]  # told with another
        for before, after in pairwise(notice for notice in notices if notice.kind != "resolved"):
            was_over = any(before.ts <= end <= after.ts for end in ends)
            assert was_over or after.ts - before.ts >= POLICY.repeat_ms


@given(st.lists(moves, max_size=40))
def test_deciding_twice_at_one_moment_tells_nothing_more(script: list[tuple[str, Any, Any]]) -> None:
    desk, _ = play(script)
    assert desk.decide() == []


flaps = st.lists(
    st.tuples(
        st.sets(st.sampled_from(SUBJECTS)),
        st.sampled_from(("warning", "critical")),
        st.sampled_from((0, SECOND, 30 * SECOND, 2 * MINUTE, 5 * MINUTE, 7 * MINUTE, 11 * MINUTE, HOUR, 5 * HOUR)),
    ),
    max_size=40,
)


@given(flaps)
@example([({"KXA"}, "critical", 30 * SECOND), (set(), "critical", 30 * SECOND)] * 3)
@example([({"KXA"}, "critical", 30 * SECOND), (set(), "critical", 30 * SECOND)] * 3 + [({"KXA"}, "critical", 0)])
def test_the_last_that_was_told_becomes_the_truth_and_never_in_many_notices(
    script: list[tuple[set[str], str, int]],
) -> None:
    desk, truth = Desk(), set[str]()
    for subjects, tier, wait in script:
        truth = subjects
        desk.holds(*sorted(subjects), code=LOST, severity=tier)
        look = 30 * SECOND if wait <= 11 * MINUTE else 5 * MINUTE  # rarer in hours in which nothing changes
        for _ in range(0, wait, look):
            desk.later(min(wait, look))
    for _ in range(0, QUIET + 2 * POLICY.group_ms, 30 * SECOND):
        desk.later(30 * SECOND)
    last: dict[str, bool] = {}
    for notice in desk.told:
        is_firing = notice.kind != "resolved" and not notice.text.endswith("(already resolved)")
        last |= dict.fromkeys(notice.subjects, is_firing)
    assert {subject for subject, is_firing in last.items() if is_firing} == truth
    for at in {notice.ts for notice in desk.told}:
        window = [each for each in desk.told if at <= each.ts < at + POLICY.group_ms]
        assert len(window) <= 2 * (1 + MAX_REPEAT_ALERTS) + 2, "a start and an end of each, and one graver"


def test_the_scripts_do_reach_what_they_are_about() -> None:
    desk, raised = play([("hold", {"KXA"}, "warning"), ("hold", set(), "warning"), ("happen", "DRIFT", "KXB")])
    assert raised == {("POSITION_LIMIT", "KXA"), ("DRIFT", "KXB")}
    assert [notice.kind for notice in desk.told] == ["firing", "resolved", "event"]


# -- what other programs know ---------------------------------------------------------------------------------------


def test_an_alert_about_an_order_ends_when_its_outcome_is_known(desk: Desk) -> None:
    assert desk.happens("ORDER_UNKNOWN", "order-0") == ["firing ORDER_UNKNOWN order-0 1"]
    desk.now = Ts(desk.now + QUIET)
    desk.board.confirmed(lambda order: order == "order-0", desk.now)
    assert desk.matter("ORDER_UNKNOWN", "order-0").ended is None
    desk.board.confirmed(lambda order: False, desk.now)
    assert desk.matter("ORDER_UNKNOWN", "order-0").ended == desk.now


def test_an_incident_that_was_sent_before_the_board_existed_is_taken_over_once_and_its_end_is_sent(desk: Desk) -> None:
    for _ in range(2):
        desk.board.take_over(CHECK, breach("state.db", "STATE_UNUSABLE"), desk.now)
    assert desk.decide() == [], "it was sent already"
    desk.now = Ts(desk.now + MINUTE)
    assert desk.finds() == ["resolved STATE_UNUSABLE state.db 1"]


@pytest.mark.parametrize("sent", [1, 2])
def test_an_incident_that_was_sent_without_the_board_after_its_end_is_open_again_until_it_is_gone(
    desk: Desk, sent: int
) -> None:
    assert desk.holds("KXA") == ["firing POSITION_LIMIT KXA 1"]
    desk.now = Ts(desk.now + MINUTE)
    assert desk.holds() == ["resolved POSITION_LIMIT KXA 1"]
    for _ in range(sent):
        desk.now = Ts(desk.now + MINUTE)
        desk.board.take_over(CHECK, breach(), desk.now)
        assert desk.decide() == []
    assert desk.holds("KXA") == [], "it was sent already"
    desk.now = Ts(desk.now + MINUTE)
    assert desk.holds() == ["resolved POSITION_LIMIT KXA 1"]
    assert desk.holds() == desk.later(HOUR) == []


def test_a_notice_from_before_the_end_that_was_sent_opens_nothing(desk: Desk) -> None:
    desk.holds("KXA")
    sent, desk.now = Ts(desk.now + SECOND), Ts(desk.now + MINUTE)
    assert desk.holds() == ["resolved POSITION_LIMIT KXA 1"]
    desk.board.take_over(CHECK, breach(), sent)
    assert desk.holds() == [], "its end was sent after it, under the same key"


def test_an_incident_that_was_sent_without_the_board_while_its_end_waits_ends_as_if_it_continued(desk: Desk) -> None:
    for subjects in (("KXA",), (), ("KXA",), ()):
        desk.now = Ts(desk.now + MINUTE)
        desk.holds(*subjects)
    assert [notice.kind for notice in desk.told] == ["firing", "resolved", "firing"], "its end waits"
    desk.now = Ts(desk.now + MINUTE)
    desk.board.take_over(CHECK, breach(), desk.now)
    assert desk.holds() == []
    assert desk.later(QUIET) == ["resolved POSITION_LIMIT KXA 1"]


def test_an_event_that_is_sent_as_lasting_without_the_board_ends(desk: Desk) -> None:
    assert desk.happens("LOOP_FAILED", "spike", "critical") == ["event LOOP_FAILED spike 1"]
    desk.now = Ts(desk.now + MINUTE)
    desk.board.take_over("trade", breach("spike", "LOOP_FAILED"), desk.now)
    assert desk.finds(source="trade") == ["resolved LOOP_FAILED spike 1"]


@pytest.mark.parametrize("by", ["loop", "check", "order"])
@pytest.mark.parametrize("code", sorted(REMEDIES))
def test_the_end_of_every_code_has_the_key_of_its_start(desk: Desk, code: str, by: str) -> None:
    """A loop or a check reports it, or both an order whose outcome is unknown; then it is over."""
    if by == "order" and not code.startswith("ORDER_UNKNOWN"):
        return
    if by != "check":
        desk.happens(code, "order-0", "critical")
    for _ in range(2):
        desk.later(MINUTE)
        desk.finds(*([] if by == "loop" else [breach("order-0", code)]))
    desk.board.confirmed(lambda order: False, desk.now)
    for end in [end for end, ended in ENDS.items() if code in ended]:
        desk.happens(end, "order-0", "info")
    desk.finds()
    desk.later(2 * QUIET)
    told = [notice for notice in desk.told if notice.code == code]
    keys = {kind: [alert_key(each) for each in told if each.kind == kind] for kind in ("firing", "resolved")}
    assert told
    assert keys["firing"] == keys["resolved"]


# -- what a receiver that closes by key has open ----------------------------------------------------------------------

Alerts = set[tuple[str, str]]


class Tickets:
    """A receiver of these tiers that opens and closes tickets by key: PagerDuty, or a webhook."""

    def __init__(self, *tiers: str) -> None:
        self.tiers = tiers
        self.open: dict[str, Alerts] = {}

    def receive(self, notice: Notice, current: Alerts) -> None:
        named = {(notice.code, subject) for subject in notice.subjects}
        if notice.tier not in self.tiers:
            return
        if notice.kind in ("firing", "reminder"):
            self.open[alert_key(notice)] = self.open.get(alert_key(notice), set()) | named
        elif notice.kind == "resolved":
            closed = self.open.pop(alert_key(notice), set()) - named
            self.open = {key: alerts - named for key, alerts in self.open.items()}
            elsewhere = set[tuple[str, str]]().union(*self.open.values())
            assert self.tiers == ("critical",) or not (closed & current) - elsewhere, "closed while an alert is on"


findings = st.dictionaries(
    st.tuples(st.sampled_from(("POSITION_LIMIT", "API_SLOW")), st.sampled_from(SUBJECTS)),
    st.sampled_from(("warning", "critical")),
)
ticket_moves = st.one_of(
    st.tuples(st.just("find"), findings),
    st.tuples(st.just("find"), findings),
    st.tuples(st.just("happen"), st.tuples(st.sampled_from(SUBJECTS), st.sampled_from(("warning", "critical")))),
    st.tuples(st.just("wait"), st.sampled_from((SECOND, MINUTE, 5 * MINUTE, 11 * MINUTE, HOUR, 5 * HOUR))),
    st.tuples(st.just("silence"), st.sampled_from(("*", *SUBJECTS))),
    st.tuples(st.just("stop"), st.booleans()),
)
ALONE_THEN_TWO = [
    ("find", {("API_SLOW", "KXA"): "warning"}),
    ("find", {("API_SLOW", each): "warning" for each in SUBJECTS}),
    ("wait", 5 * MINUTE),
]


@given(st.lists(ticket_moves, max_size=30))
@example(ALONE_THEN_TWO)
@example([*ALONE_THEN_TWO, ("find", {("API_SLOW", "KXC"): "warning"}), ("wait", 5 * MINUTE)])
@example([
    ("find", {("API_SLOW", "KXA"): "critical", ("API_SLOW", "KXB"): "warning"}), ("wait", 5 * MINUTE),
    ("find", {("API_SLOW", "KXB"): "warning"}), ("wait", 5 * MINUTE),
])  # fmt: skip
def test_every_ticket_is_closed_once_its_alerts_are_over_and_not_before(script: list[tuple[str, Any]]) -> None:
    desk, current, read = Desk(), set[tuple[str, str]](), 0
    receivers = Tickets("critical", "warning"), Tickets("critical")
    for move, what in [*script, ("stop", False), ("wait", 5 * HOUR), ("find", {}), ("wait", 5 * HOUR)]:
        if move == "find":
            current = set(what)
            desk.finds(*(breach(subject, code, tier) for (code, subject), tier in what.items()))
        elif move == "happen":
            desk.happens("API_SLOW", *what)
        elif move == "silence":
            desk.silence("*", what)
        elif move == "stop":
            desk.board.is_stopped = what
        looks = (what // POLICY.group_ms or 1) if move == "wait" else 1
        for _ in range(looks):
            desk.later(what // looks if move == "wait" else 0)
            for notice in desk.told[read:]:
                for each in receivers:
                    each.receive(notice, current)
            read = len(desk.told)
        if move == "wait" and what == 5 * HOUR and not desk.board.is_stopped:
            assert all(alerts & current for alerts in receivers[0].open.values()), "open though its alerts are over"
    assert [each.open for each in receivers] == [{}, {}], "the second one does not receive every start"
