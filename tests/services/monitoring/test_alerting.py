"""What is told, to whom, and that nothing is lost or told twice: over a real state file, in virtual time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from support.alerting import DOWN, EVERYTHING, GONE, PHONE, T0, TAKEN, AlertProgram, breach

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Ts, cents, contracts
from kalshi_cli.cli.commands.alerts import ends_due, repeats_due, undelivered
from kalshi_cli.config.schema import AlertChannel
from kalshi_cli.core.model.effects import OrderChanged, StateChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.monitoring.alert_board import Decision
from kalshi_cli.core.monitoring.incidents import AlertSilence
from kalshi_cli.core.monitoring.runbook_index import runbook_for
from kalshi_cli.net.delivery import DeliveryResult
from kalshi_cli.services.monitoring.alert_rows import alerts_view
from kalshi_cli.store.alert_tables import MAX_WAITING, AlertStore
from kalshi_cli.store.pause import pause, remove_pause_file
from kalshi_cli.store.records import Halt, RunGroup
from kalshi_cli.views.alerts import AlertRow

Open = Callable[..., AlertProgram]


@pytest.fixture
def desk_of(tmp_path: Path) -> Iterator[Open]:
    opened: list[AlertProgram] = []

    def open_desk(**more: Any) -> AlertProgram:
        opened.append(AlertProgram(tmp_path, **more))
        return opened[-1]

    yield open_desk
    for each in opened:
        each.close()


def test_a_breach_is_told_once_and_its_end_once(desk_of: Open) -> None:
    desk = desk_of()
    assert desk.check(breach()) == ["[sim] CRITICAL POSITION_LIMIT KXA"]
    assert desk.check(breach()) == []
    assert desk.check() == ["[sim] RESOLVED CRITICAL POSITION_LIMIT KXA"]
    assert desk.check() == []


def test_an_end_that_waits_says_from_when_it_will_be_sent(desk_of: Open) -> None:
    desk, rows = desk_of(), list[AlertRow]()

    def end_due() -> Ts | None:
        rows.append(*alerts_view(desk.alerting.overview(), {}).alerts)
        return rows[-1].end_due

    desk.check(breach())
    assert end_due() is None
    desk.check()
    assert end_due() is None, "it was sent"
    assert len(desk.check(breach())) == 1
    assert desk.check() == []
    due = end_due()
    assert due == desk.clock.now() + 600_000
    assert next(ends_due(rows, desk.clock.now())).startswith("Over: POSITION_LIMIT KXA. The loop or the next check")
    desk.clock.advance(600)
    assert next(ends_due(rows, desk.clock.now())).endswith("sends its end now")
    assert desk.check() == ["[sim] RESOLVED CRITICAL POSITION_LIMIT KXA"]
    assert end_due() is None


def test_an_alert_that_returns_again_and_again_says_when_it_was_sent_and_when_it_will_be(desk_of: Open) -> None:
    desk = desk_of()

    def row() -> AlertRow:
        (found,) = alerts_view(desk.alerting.overview(), {}).alerts
        return found

    for _ in range(2):
        assert len(desk.check(breach())) == 1
        assert row().next_due is None
        desk.clock.advance(30)
        desk.check()
    sent = Ts(desk.clock.now() - 30_000)
    assert desk.check(breach()) == []
    held = row()
    assert (held.state, held.told, held.last_sent, held.next_due) == ("firing", sent, sent, sent + 300_000)
    assert (held.is_held_back, undelivered([held])) == (True, [])
    (line,) = repeats_due([held], desk.clock.now())
    assert line.startswith("Held back, because it returns again and again: POSITION_LIMIT KXA, last sent ")
    desk.clock.advance(270)
    (line,) = repeats_due([held], desk.clock.now())
    assert line.endswith("sends it again now")
    assert len(desk.check(breach())) == 1
    assert (row().told, row().next_due) == (desk.clock.now(), None)


def test_what_a_loop_recorded_is_told(desk_of: Open) -> None:
    desk = desk_of()
    desk.record("DRIFT", tier="critical")
    assert desk.tell() == ["[sim] CRITICAL DRIFT KXA"]
    assert desk.tell() == []


def test_an_alert_of_before_alerting_was_there_is_not_told(desk_of: Open, tmp_path: Path) -> None:
    desk = desk_of()
    assert desk.tell() == []
    desk.record("DRIFT")
    assert len(desk.tell()) == 1


# -- whom ---------------------------------------------------------------------------------------------------------


def test_each_sink_hears_what_it_asked_for_by_tier_or_by_event(desk_of: Open) -> None:
    sinks = {
        "pager": AlertChannel(url="https://example.com/a", tiers=("critical",)),
        "chat": AlertChannel(url="https://example.com/b", tiers=(), events=("state",)),
        "phone": PHONE,
    }
    desk = desk_of(sinks=sinks)
    desk.record("DRIFT", tier="critical")
    desk.record("POST_ONLY_CROSS")
    desk.record("SIGHTED", "account", tier="info")
    desk.tell()
    heard = {name: sorted(title.split()[2] for title in desk.receiver.titles(name)) for name in sinks}
    assert heard == {"pager": ["DRIFT"], "chat": ["SIGHTED"], "phone": ["DRIFT", "POST_ONLY_CROSS"]}


def test_a_sink_that_is_added_later_hears_of_what_fires(desk_of: Open) -> None:
    deaf = desk_of(sinks={"pager": AlertChannel(url="https://example.com/a", tiers=("critical",))})
    assert deaf.check(breach(severity="warning")) == []
    desk = desk_of(clock=deaf.clock)
    assert desk.check(breach(severity="warning")) == ["[sim] WARNING POSITION_LIMIT KXA"]
    assert desk.check(breach(severity="warning")) == []


def test_a_silence_is_kept_in_the_file_and_seen_by_every_program(desk_of: Open) -> None:
    desk, other = desk_of(), desk_of()
    until = Ts(desk.clock.now() + 3_600_000)
    other.store.alert_book.silence(AlertSilence("POSITION_*", "KX*", until, "known", desk.clock.now()))
    assert desk.check(breach()) == []
    assert [matter.code for matter in desk.alerting.overview().matters] == ["POSITION_LIMIT"]
    assert desk.alerting.overview().hushed == {("POSITION_LIMIT", "KXA")}
    assert other.store.alert_book.unsilence("POSITION_*", "KX*") == 1
    assert desk.check(breach()) == ["[sim] CRITICAL POSITION_LIMIT KXA"]


def test_the_counts_of_a_list_agree_with_its_rows(desk_of: Open) -> None:
    desk, now = desk_of(), T0
    desk.check(breach())
    desk.store.alert_book.silence(AlertSilence("POSITION_LIMIT", "KXB", Ts(now + 3_600_000), "", now))
    desk.check(breach(), breach("KXB"))
    desk.record("FILLS_MISSED")
    found = alerts_view(desk.alerting.overview(), {})
    assert sorted((row.subject, row.state, row.silenced) for row in found.alerts if row.code == "POSITION_LIMIT") == [
        ("KXA", "firing", False), ("KXB", "firing", True),
    ]  # fmt: skip
    assert (found.firing, found.held_back, found.firing + found.ended) == (2, 1, len(found.alerts))


def test_a_silence_until_over_is_removed_from_the_file_with_its_alert(desk_of: Open) -> None:
    desk = desk_of()
    desk.check(breach())
    now = desk.clock.now()
    desk.store.alert_book.silence(AlertSilence("POSITION_LIMIT", "*", Ts(now + 3_600_000), "", now, until_over=True))
    assert desk.check(breach()) == []
    assert [each.until_over for each in desk.alerting.overview().silences] == [True]
    assert desk.check() == ["[sim] RESOLVED CRITICAL POSITION_LIMIT KXA"]
    assert desk.alerting.overview().silences == ()


# -- that it arrives ----------------------------------------------------------------------------------------------


def test_a_sink_that_is_down_for_ten_minutes_gets_it_afterwards_and_once(desk_of: Open) -> None:
    desk = desk_of()
    desk.receiver.answers["phone"] = lambda: DOWN
    desk.record("DRIFT", tier="critical")
    for _ in range(120):
        assert desk.tell() == []
        desk.clock.advance(5)
    tries = len(desk.receiver.tries)
    assert 3 <= tries <= 10, "it is asked less and less often"
    del desk.receiver.answers["phone"]
    told = []
    for _ in range(16 * 12):
        told += desk.tell()
        desk.clock.advance(5)
    assert "[sim] CRITICAL DRIFT KXA" in told
    assert len(told) == len(set(told))


def test_between_two_tries_there_are_fifteen_minutes_at_most(desk_of: Open) -> None:
    desk, times = desk_of(give_up_s=20 * 3_600.0), []
    desk.receiver.answers["phone"] = lambda: times.append(desk.clock.now()) or DOWN
    desk.record("DRIFT")
    for _ in range(10 * 60):
        desk.tell()
        desk.clock.advance(60)
    pauses = [(after - before) // 1_000 for before, after in pairwise(times)]
    assert max(pauses) <= 15 * 60
    assert pauses == sorted(pauses)


def test_a_sink_that_says_when_is_asked_no_sooner(desk_of: Open) -> None:
    desk = desk_of()
    desk.receiver.answers["phone"] = lambda: DeliveryResult(outcome="retry", text="HTTP 429", retry_after_s=120.0)
    desk.record("DRIFT")
    desk.tell()
    desk.clock.advance(119)
    desk.tell()
    assert len(desk.receiver.tries) == 1
    desk.clock.advance(2)
    desk.tell()
    assert len(desk.receiver.tries) == 2


def test_what_is_given_up_is_a_dead_letter_that_a_person_sees_and_can_wake(desk_of: Open) -> None:
    desk = desk_of(give_up_s=600.0)
    desk.receiver.answers["phone"] = lambda: DOWN
    desk.record("DRIFT")
    for _ in range(60):
        desk.tell()
        desk.clock.advance(60)
    (letter, *_) = reversed(desk.alerting.overview().dead)
    assert (letter.notice.code, letter.sink, letter.error) == ("DRIFT", "phone", "connection refused")
    del desk.receiver.answers["phone"]
    assert desk.store.alert_book.retry_dead(desk.clock.now()) >= 1
    desk.alerting.deliver(10.0)
    assert "[sim] WARNING DRIFT KXA" in desk.receiver.titles()
    assert desk.alerting.overview().dead == ()


@pytest.mark.parametrize("answer", [GONE, DeliveryResult(outcome="refused", text="HTTP 401")])
def test_what_a_sink_will_never_take_is_dead_at_once_and_the_other_hears_of_it(
    desk_of: Open, answer: DeliveryResult
) -> None:
    desk = desk_of(sinks={"phone": PHONE, "mail": AlertChannel(url="https://example.com/m", tiers=())}, fallback="mail")
    desk.receiver.answers["phone"] = lambda: answer
    desk.record("DRIFT")
    desk.tell()
    assert [letter.sink for letter in desk.alerting.overview().dead] == ["phone"]
    assert desk.receiver.titles("mail") == ["[sim] WARNING DRIFT KXA"]


def test_the_other_sink_hears_of_what_failed_twice(desk_of: Open) -> None:
    desk = desk_of(sinks={"phone": PHONE, "mail": AlertChannel(url="https://example.com/m", tiers=())}, fallback="mail")
    desk.receiver.answers["phone"] = lambda: DOWN
    desk.record("DRIFT")
    desk.tell()
    assert desk.receiver.titles("mail") == []
    desk.clock.advance(6)
    desk.tell()
    assert desk.receiver.titles("mail") == ["[sim] WARNING DRIFT KXA"]
    desk.clock.advance(60)
    desk.tell()
    assert len(desk.receiver.titles("mail")) == 1, "and not again"


def test_a_slow_sink_comes_last(desk_of: Open) -> None:
    desk = desk_of(sinks={"slow": PHONE, "quick": PHONE})
    desk.receiver.answers["slow"] = lambda: DOWN
    desk.record("DRIFT")
    desk.tell()
    desk.clock.advance(6)
    desk.record("LATE_ORDER")
    desk.tell()
    assert [name for name, _ in desk.receiver.tries] == ["slow", "quick", "quick", "slow"]


def test_that_a_sink_does_not_deliver_is_an_alert_of_its_own_until_it_does(desk_of: Open) -> None:
    desk = desk_of(sinks={"phone": PHONE, "mail": PHONE})
    desk.receiver.answers["phone"] = lambda: DOWN
    desk.record("DRIFT")
    for _ in range(10):
        desk.tell()
        desk.clock.advance(30)
    assert "[sim] WARNING ALERT_UNDELIVERED phone" in desk.receiver.titles("mail")
    del desk.receiver.answers["phone"]
    for _ in range(20):
        desk.tell()
        desk.clock.advance(30)
    assert "[sim] RESOLVED WARNING ALERT_UNDELIVERED phone" in desk.receiver.titles("mail")
    assert desk.alerting.deliver(10.0) == 0


def test_a_letter_for_a_sink_that_nobody_has_any_more_ends_as_a_dead_one(desk_of: Open) -> None:
    desk = desk_of()
    desk.receiver.answers["phone"] = lambda: DOWN
    desk.record("DRIFT")
    desk.tell()
    other = desk_of(sinks={}, clock=desk.clock)
    desk.clock.advance(86_400 + 1)
    other.tell()
    assert [letter.error for letter in other.alerting.overview().dead] == ["there is no such channel any more"]


def test_what_waits_is_bounded_and_the_least_goes_first(desk_of: Open) -> None:
    desk = desk_of(sinks={f"s{n}": EVERYTHING for n in range(10)})
    for name in desk.sinks:
        desk.receiver.answers[name] = lambda: DOWN
    desk.record("LATE_ORDER", tier="critical")
    for number in range(MAX_WAITING // 10 + 20):
        desk.alerting.observe("check x", [breach("KXA", f"CODE_{number}", "warning")])
    waiting = desk.alerting.overview().waiting
    assert len(waiting) == MAX_WAITING
    assert desk.alerting.overview().dropped > 0
    assert sum(letter.tier == "critical" for letter in waiting) == 10


# -- once ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("behind_ms", [0, 200])
def test_two_programs_that_deliver_at_once_send_one_copy(desk_of: Open, behind_ms: int) -> None:
    one = desk_of()
    two = desk_of(clock=ManualClock(Ts(one.clock.now() - behind_ms)), receiver=one.receiver)
    one.record("DRIFT")

    def meanwhile() -> DeliveryResult:
        two.tell()
        return TAKEN

    one.receiver.answers["phone"] = meanwhile
    one.tell()
    two.tell()
    assert len(one.receiver.tries) == 1


def test_two_programs_that_look_at_once_decide_once(desk_of: Open) -> None:
    one = desk_of()
    two = desk_of(clock=one.clock, receiver=one.receiver)
    one.record("DRIFT", tier="critical")
    one.store.between = two.alerting.look  # type: ignore[attr-defined]
    assert one.tell() + two.tell() == ["[sim] CRITICAL DRIFT KXA"]
    one.clock.advance(5 * 3_600)
    assert one.tell() == [], "it was not counted twice either"


class Killed(BaseException):
    """The end of a process."""


def test_who_dies_after_the_send_may_send_the_same_notice_again_and_never_loses_it(desk_of: Open) -> None:
    one = desk_of()
    two = desk_of(clock=one.clock, receiver=one.receiver)
    one.record("DRIFT")

    def die() -> DeliveryResult:
        raise Killed

    one.receiver.answers["phone"] = die
    with pytest.raises(Killed):
        one.tell()
    del one.receiver.answers["phone"]
    assert two.tell() == [], "until the claim of the dead one runs out"
    two.clock.advance(31)
    assert two.tell() == ["[sim] WARNING DRIFT KXA"]
    first, second = (notice.notice_id for _, notice in one.receiver.tries)
    assert first == second


def test_who_dies_while_deciding_has_decided_nothing(desk_of: Open) -> None:
    one = desk_of(on_critical="pause")
    two = desk_of(clock=one.clock, receiver=one.receiver, on_critical="pause")
    one.record("DRIFT", tier="critical")

    def die(_matter: object) -> None:
        raise Killed

    one.stop = die
    with pytest.raises(Killed):
        one.alerting.look()
    assert two.tell() == ["[sim] CRITICAL DRIFT KXA", "[sim] WARNING PAUSED_BY_ALERT account"]


def test_a_clock_that_is_set_back_holds_up_nothing(desk_of: Open) -> None:
    desk = desk_of()
    desk.receiver.answers["phone"] = lambda: DOWN
    desk.record("DRIFT")
    desk.tell()
    del desk.receiver.answers["phone"]
    desk.clock.set(Ts(desk.clock.now() - 7_200_000))
    assert desk.tell() == ["[sim] WARNING DRIFT KXA"]


def test_ten_thousand_alerts_are_three_notices_at_most(desk_of: Open) -> None:
    desk = desk_of()
    with desk.store.together():
        for number in range(9_999):
            desk.record("BOOK_DISPUTED", f"KX{number}")
    told = desk.tell()
    desk.record("BOOK_DISPUTED", "KXLAST")
    for _ in range(60):
        told += desk.tell()
        desk.clock.advance(60)
    assert 1 <= len(told) <= 3
    assert "+9998 more" in told[0] or "more" in told[-1]


# -- when what stopped trading is over ----------------------------------------------------------------------------


def stop_trading(desk: AlertProgram, state: TradingState, code: str) -> None:
    """As a guard of the loop does: the trading state, and an alert of the same code."""
    desk.store.record(StateChanged(desk.clock.now(), state, code, "a limit"))
    desk.record(code, "account", tier="critical")


def later(desk: AlertProgram, seconds: float = 60.0) -> list[str]:
    """Return what is told within that time, with a look every three seconds."""
    told = []
    for _ in range(int(seconds) // 3):
        desk.clock.advance(3.0)
        told += desk.tell()
    return told


RESOLVED = "[sim] RESOLVED CRITICAL {} account"

GUARDS = [
    (TradingState.REDUCING, "DAILY_LOSS"), (TradingState.REDUCING, "DRAWDOWN"), (TradingState.REDUCING, "API_GUARD"),
    (TradingState.HALTED, "DOUBLE_ORDER"), (TradingState.HALTED, "ID_CLASH"),
]  # fmt: skip


@pytest.mark.parametrize("policy", ["none", "pause", "flatten"])
@pytest.mark.parametrize(("state", "code"), GUARDS)
def test_a_stop_is_resolved_once_and_only_after_a_person_resumed(
    desk_of: Open, policy: str, state: TradingState, code: str
) -> None:
    desk = desk_of(on_critical=policy)
    stop_trading(desk, state, code)
    assert desk.tell()[0] == f"[sim] CRITICAL {code} account"
    assert later(desk) == []
    desk.close()
    again = desk_of(on_critical=policy, clock=desk.clock, receiver=desk.receiver)
    again.alerting.begin(again.store.alert_book.last_alert())
    assert later(again) == [], "another loop began"
    again.resume()
    assert again.tell() == [], "the loop may stop again at its next tick"
    assert later(again) == [RESOLVED.format(code)]


@pytest.mark.parametrize("policy", ["none", "pause", "flatten"])
def test_a_limit_that_is_still_exceeded_after_a_resume_is_told_again_and_not_resolved(
    desk_of: Open, policy: str
) -> None:
    desk = desk_of(on_critical=policy)
    paused = ["[sim] WARNING PAUSED_BY_ALERT account"] if policy == "flatten" else []
    for _ in range(3):
        stop_trading(desk, TradingState.REDUCING, "DAILY_LOSS")
        assert desk.tell() == ["[sim] CRITICAL DAILY_LOSS account", *paused]
        assert later(desk) == []
        desk.resume()
        desk.clock.advance(2.0)
    assert later(desk) == [RESOLVED.format("DAILY_LOSS")]


def test_a_pause_by_a_person_and_a_graver_halt_resolve_nothing(desk_of: Open, tmp_path: Path) -> None:
    desk = desk_of()
    stop_trading(desk, TradingState.REDUCING, "DAILY_LOSS")
    desk.tell()
    pause(tmp_path, "lunch")
    assert later(desk) == []
    desk.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", desk.clock.now()))
    assert later(desk) == ["[sim] CRITICAL CANCEL_ALL account"]
    desk.resume()
    assert sorted(later(desk)) == [RESOLVED.format("CANCEL_ALL"), RESOLVED.format("DAILY_LOSS")]


@pytest.mark.parametrize("policy", ["pause", "flatten"])
def test_what_a_check_found_and_stopped_trading_is_resolved_once_it_is_over_and_a_person_resumed(
    desk_of: Open, policy: str
) -> None:
    desk = desk_of(on_critical=policy)
    desk.check(breach())
    assert desk.check() == []
    desk.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", desk.clock.now()))
    assert later(desk) == ["[sim] CRITICAL CANCEL_ALL account"], "another stop on top resumes nothing"
    desk.resume()
    assert desk.tell() == ["[sim] RESOLVED CRITICAL POSITION_LIMIT KXA"]


def test_what_a_person_resumed_while_it_held_is_resolved_when_it_is_over(desk_of: Open) -> None:
    desk = desk_of(on_critical="pause")
    desk.check(breach())
    desk.resume()
    assert desk.check(breach()) == []
    assert desk.check() == ["[sim] RESOLVED CRITICAL POSITION_LIMIT KXA"]


def test_where_no_alert_stops_trading_an_end_waits_for_nobody(desk_of: Open, tmp_path: Path) -> None:
    desk = desk_of(on_critical="none")
    pause(tmp_path, "lunch")
    desk.check(breach())
    assert desk.check() == ["[sim] RESOLVED CRITICAL POSITION_LIMIT KXA"]


# -- what stops a loop --------------------------------------------------------------------------------------------


def test_what_is_critical_stops_trading_where_that_is_wished_and_that_is_told(desk_of: Open) -> None:
    desk = desk_of(on_critical="pause")
    assert desk.check(breach()) == ["[sim] CRITICAL POSITION_LIMIT KXA", "[sim] WARNING PAUSED_BY_ALERT account"]
    assert [matter.code for matter in desk.stopped] == ["POSITION_LIMIT"]
    assert desk.store.alert_book.mark("flatten") == 0
    desk.check(breach())
    assert len(desk.stopped) == 1


@pytest.mark.parametrize("code", ["DAILY_LOSS", "DRAWDOWN"])
def test_a_loss_that_made_trading_reduce_only_is_not_paused_so_that_exits_go_on(desk_of: Open, code: str) -> None:
    desk = desk_of(on_critical="pause")
    stop_trading(desk, TradingState.REDUCING, code)
    assert desk.tell() == [f"[sim] CRITICAL {code} account"]
    later(desk)
    assert desk.alerting.trading() is TradingState.REDUCING
    if code == "DAILY_LOSS":
        desk.store.alert_book.silence(AlertSilence(code, "*", Ts(T0 + 3_600_000), "", T0))
        desk.check(breach("account", "DAY_LOSS"), source="check pnl")
        assert desk.stopped == [], "a check finds the same loss"
    desk.record("DRIFT", tier="critical")
    desk.tell()
    assert [each.code for each in desk.stopped] == ["DRIFT"], "anything else still pauses"


def test_a_pause_by_an_alert_says_that_nothing_manages_positions_and_how_to_close_them(desk_of: Open) -> None:
    texts = {}
    for policy in ("pause", "flatten"):
        desk = desk_of(on_critical=policy)
        desk.record("DRIFT", policy, tier="critical")
        desk.tell()
        (stop,) = [each for each in desk.alerting.overview().matters if each.code == "PAUSED_BY_ALERT"]
        texts[policy] = stop.text
        desk.resume()
    assert "Nothing manages open positions: kalshi flatten closes them." in texts["pause"]
    assert "Nothing manages" not in texts["flatten"], "the loop closes them"


@pytest.mark.parametrize("policy", ["pause", "flatten"])
def test_a_pause_by_a_rejected_key_leads_to_its_runbook_and_not_to_flatten(desk_of: Open, policy: str) -> None:
    desk = desk_of(on_critical=policy)
    desk.record("CREDENTIALS", tier="critical")
    desk.tell()
    (stop,) = [each for each in desk.alerting.overview().matters if each.code == "PAUSED_BY_ALERT"]
    assert "kalshi flatten" not in stop.text
    assert "use the web site until it is accepted again" in stop.text
    remedy = runbook_for(stop.code, stop.text)
    assert (remedy.runbook, remedy.command, remedy.event) == (
        "credentials-refused", "kalshi health-check", "emergency_stop",
    )  # fmt: skip


def test_the_stop_by_a_triggered_group_names_it_by_its_short_id(desk_of: Open) -> None:
    desk = desk_of(on_critical="pause")
    desk.record("GROUP_TRIGGERED", "0123456789", tier="critical")
    assert desk.tell() == ["[sim] CRITICAL GROUP_TRIGGERED 01234567", "[sim] WARNING PAUSED_BY_ALERT account"]
    (stop,) = [each for each in desk.alerting.overview().matters if each.code == "PAUSED_BY_ALERT"]
    assert stop.text.startswith("after GROUP_TRIGGERED 01234567. ")


def test_each_stop_after_a_resume_is_told_and_closes_again_and_what_comes_on_top_of_one_does_not(desk_of: Open) -> None:
    desk = desk_of(on_critical="flatten")
    for number in range(3):
        desk.record("DRIFT", f"KX{number}", tier="critical")
        tier = "CRITICAL" if number else "WARNING"  # the notice of its cause waits for the window
        assert f"[sim] {tier} PAUSED_BY_ALERT account" in desk.tell()
        assert desk.store.alert_book.mark("flatten") == desk.clock.now()
        desk.store.alert_book.set_mark("flatten", 0)
        for _ in range(20):
            desk.record("DRIFT", f"KX{number}", tier="critical")
            desk.clock.advance(1.0)
            assert [title for title in desk.tell() if "PAUSED" in title] == []
        assert desk.store.alert_book.mark("flatten") == 0, "a storm closes nothing twice"
        desk.resume()


def test_a_group_that_stays_triggered_after_a_kill_switch_stops_the_loop_again_once(desk_of: Open) -> None:
    desk = desk_of(on_critical="pause")
    group = breach("0123456789", "GROUP_TRIGGERED", "critical")
    told = desk.check(group, source="check orders")
    assert told == ["[sim] CRITICAL GROUP_TRIGGERED 01234567", "[sim] WARNING PAUSED_BY_ALERT account"]
    desk.check(replace(group, severity="warning"), source="check orders")
    desk.resume()
    desk.clock.advance(60.0)
    assert desk.check(group, source="check orders") == []
    assert desk.store.halt().state is TradingState.ACTIVE, "the user was told, and resumed"


@pytest.mark.parametrize("how", ["resume", "pause file"])
def test_a_channel_for_critical_alerts_hears_of_every_stop(desk_of: Open, tmp_path: Path, how: str) -> None:
    desk = desk_of(on_critical="pause", sinks={"phone": AlertChannel(url=PHONE.url, tiers=("critical",))})
    told = []
    for _ in range(6):
        desk.record("GROUP_TRIGGERED", "0123456789", tier="critical")
        told.append(desk.tell())
        desk.clock.advance(1.0)
        desk.check(breach("0123456789", "GROUP_TRIGGERED", "warning"), source="check orders")
        if how == "resume":
            desk.resume()
        else:
            remove_pause_file(tmp_path)
            desk.tell()
        desk.clock.advance(1.0)
        desk.check(source="check orders")
        desk.clock.advance(1.0)
    assert len(desk.stopped) == 6
    assert told == [["[sim] CRITICAL GROUP_TRIGGERED 01234567"]] * 6


def test_a_stop_by_a_silenced_alert_is_critical_itself(desk_of: Open) -> None:
    desk = desk_of(on_critical="pause")
    desk.store.alert_book.silence(AlertSilence("POSITION_LIMIT", "*", Ts(T0 + 3_600_000), "", T0))
    assert desk.check(breach()) == ["[sim] CRITICAL PAUSED_BY_ALERT account"]


def test_a_resume_of_a_clock_that_was_ahead_makes_no_event_new_forever(desk_of: Open) -> None:
    desk = desk_of(on_critical="none")
    desk.store.alert_book.set_mark("last_resume", T0 + 3_600_000)
    for number in range(5):
        desk.record("DRIFT", tier="critical")
        assert len(desk.tell()) == (number == 0)
        desk.clock.advance(1.0)


class LateBook(AlertStore):
    """`meanwhile` happens once, after alerting looked whether trading is stopped and before its transaction."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def decide(self, *given: Any) -> Decision:
        self.meanwhile, meanwhile = (lambda: None), self.meanwhile
        meanwhile()
        return super().decide(*given)


def test_what_another_program_stopped_trading_for_in_that_moment_is_not_resolved(desk_of: Open) -> None:
    desk = desk_of(on_critical="pause")
    other = desk_of(on_critical="pause", clock=desk.clock, receiver=desk.receiver)
    late = desk.alerting.book = LateBook(desk.store._database)
    late.meanwhile = lambda: other.check(breach())
    stops = ["[sim] CRITICAL POSITION_LIMIT KXA", "[sim] WARNING PAUSED_BY_ALERT account"]
    assert desk.check() == stops, "it is over, and nobody resumed"
    desk.resume()
    assert desk.tell() == ["[sim] RESOLVED CRITICAL POSITION_LIMIT KXA"]


def test_trading_that_could_not_be_paused_is_told_and_not_said_to_be(desk_of: Open) -> None:
    desk = desk_of(on_critical="flatten")
    desk.stop = lambda _cause: None
    assert desk.check(breach())[1:] == ["[sim] CRITICAL PAUSE_FAILED account"]
    assert desk.store.alert_book.mark("flatten") == 0
    desk.record("DRIFT", tier="critical")
    assert [title for title in desk.tell() if "PAUSE" in title] == [], "and not with each"


def test_a_stop_that_something_explained_is_remembered_by_the_file(desk_of: Open, tmp_path: Path) -> None:
    one = desk_of(on_critical="pause")
    one.store.set_halt(Halt(TradingState.REDUCING, "DAILY_LOSS", "lost", one.clock.now()))
    one.tell()
    remove_pause_file(tmp_path)
    one.stopped.clear()
    one.check(breach("account", "DAY_LOSS"))
    one.store.set_halt(Halt(TradingState.ACTIVE, "RESUMED", "", one.clock.now()))
    other = desk_of(on_critical="pause", clock=one.clock, receiver=one.receiver)
    other.check(breach("account", "DAY_LOSS"))
    assert (one.stopped, [matter.code for matter in other.stopped]) == ([], ["DAY_LOSS"])


def sent(client_order_id: str, ticker: str, shard: int) -> Order:
    return Order(
        client_order_id=client_order_id, ticker=ticker, side=BID, price=cents(47), qty=contracts(1),
        status=OrderStatus.SUBMITTED, created=T0, updated=T0, exchange_index=shard,
    )  # fmt: skip


def test_where_a_market_an_order_and_a_group_are_is_read_from_the_file_and_a_pause_mutes_no_other_shard(
    desk_of: Open,
) -> None:
    desk = desk_of()
    for shard, ticker in enumerate(("KXA", "KXB")):
        desk.store.record(SubmitOrder(sent(f"id-{ticker}", ticker, shard)))
    desk.store.save_order_group(RunGroup("group-1", 1))
    book = desk.store.alert_book
    assert [book.shard_of(each) for each in ("KXA", "KXB", "id-KXB", "group-1", "KXC")] == [0, 1, 1, 1, None]
    desk.alerting.record_loop_presence(2)
    desk.record("EXCHANGE_PAUSED", "shard 1", tier="critical")
    desk.tell()
    for code, subject in {"BOOK_DISPUTED": "KXB", "ORDER_UNKNOWN": "id-KXB", "POST_ONLY_CROSS": "KXA"}.items():
        desk.record(code, subject)
    assert desk.tell() == ["[sim] WARNING POST_ONLY_CROSS KXA"]
    assert desk.alerting.overview().hushed == {("BOOK_DISPUTED", "KXB"), ("ORDER_UNKNOWN", "id-KXB")}


def test_an_order_that_is_known_by_now_is_not_told_as_unconfirmed_and_blocks_no_other_one(desk_of: Open) -> None:
    desk = desk_of()
    for name in ("soon", "long"):
        desk.store.record(SubmitOrder(sent(name, "KXA", 0)))
    desk.record("ORDER_UNKNOWN", "soon")
    desk.store.record(OrderChanged(replace(sent("soon", "KXA", 0), order_id="1", status=OrderStatus.RESTING)))
    assert desk.tell() == []
    desk.clock.advance(60)
    desk.record("ORDER_UNKNOWN", "long")
    assert desk.tell() == ["[sim] WARNING ORDER_UNKNOWN long"]
    desk.alerting.begin(desk.store.alert_book.last_alert())
    assert desk.tell() == [], "a start of the loop confirms nothing"
    desk.store.record(OrderChanged(replace(sent("long", "KXA", 0), order_id="2", status=OrderStatus.FILLED)))
    assert desk.tell() == ["[sim] RESOLVED WARNING ORDER_UNKNOWN long"]


def test_a_loop_that_starts_ends_neither_what_it_raised_itself_nor_what_its_watches_end(desk_of: Open) -> None:
    desk = desk_of()
    for code, subject in {"EXCHANGE_PAUSED": "shard 0", "PRICE_ALERT_BLIND": "KXA", "BLIND": "account"}.items():
        desk.record(code, subject)
        desk.tell()
    last = desk.store.alert_book.last_alert()
    desk.record("EXCHANGE_PAUSED", "shard 0")
    desk.alerting.begin(last)
    assert desk.tell() == ["[sim] RESOLVED WARNING BLIND account"]
    for code, subject in {"EXCHANGE_RESUMED": "shard 0", "PRICE_ALERT_SIGHTED": "KXA"}.items():
        desk.record(code, subject, "info")
    assert sorted(desk.tell()) == [
        "[sim] RESOLVED WARNING EXCHANGE_PAUSED shard 0", "[sim] RESOLVED WARNING PRICE_ALERT_BLIND KXA",
    ]  # fmt: skip


def test_an_event_that_waits_for_its_window_is_not_sent_once_the_order_is_known(desk_of: Open) -> None:
    desk = desk_of()
    for name in ("first", "soon", "long"):
        desk.store.record(SubmitOrder(sent(name, "KXA", 0)))
    desk.record("ORDER_UNKNOWN_LONG", "first", "critical")
    assert desk.tell() == ["[sim] CRITICAL ORDER_UNKNOWN_LONG first"]
    desk.record("ORDER_UNKNOWN_LONG", "soon", "critical")
    desk.record("ORDER_UNKNOWN_LONG", "long", "critical")
    assert desk.tell() == [], "they wait for the window"
    desk.store.record(OrderChanged(replace(sent("soon", "KXA", 0), status=OrderStatus.NEVER_ARRIVED)))
    desk.clock.advance(300)
    assert desk.tell() == ["[sim] CRITICAL ORDER_UNKNOWN_LONG long"]
    assert desk.receiver.taken[-1][1].subjects == ("long",)


@pytest.mark.parametrize(("policy", "severity"), [("none", "critical"), ("pause", "warning"), ("pause", "unknown")])
def test_nothing_else_stops_trading(desk_of: Open, policy: str, severity: str) -> None:
    desk = desk_of(on_critical=policy)
    for _ in range(3):
        desk.check(breach(severity=severity))
    assert desk.stopped == []


def test_to_flatten_is_left_for_the_loop_to_do(desk_of: Open) -> None:
    desk = desk_of(on_critical="flatten")
    desk.check(breach())
    assert desk.store.alert_book.mark("flatten") == desk.clock.now()


def test_told_is_what_a_sink_took_and_not_what_waits_or_is_back_untold(tmp_path: Path) -> None:
    desk = AlertProgram(tmp_path)
    desk.receiver.answers["phone"] = lambda: DOWN
    assert desk.check(breach()) == []
    assert [matter.told for matter in desk.alerting.overview().matters] == [None], "it waits in the outbox"
    desk.receiver.answers.clear()
    desk.clock.advance(60.0)
    assert len(desk.tell()) == 1
    assert [matter.told for matter in desk.alerting.overview().matters] == [desk.clock.now()]
    desk.check(breach(), breach("KXB"))
    told = {matter.subject: matter.told for matter in desk.alerting.overview().matters}
    assert told == {"KXA": desk.clock.now(), "KXB": None}, "the other one waits for its window"
    desk.close()


@pytest.mark.parametrize("state", [TradingState.HALTED, TradingState.REDUCING])
def test_readers_see_the_end_of_a_stop_as_soon_as_trading_is_resumed(desk_of: Open, state: TradingState) -> None:
    desk = desk_of()
    desk.store.record(StateChanged(desk.clock.now(), state, "CANCEL_ALL", "kill switch"))
    halted = desk.clock.now()
    desk.clock.advance(120)
    desk.tell()
    (firing,) = desk.alerting.overview().matters
    assert (firing.is_firing, firing.since) == (True, halted), "since the halt, not since the first look"
    desk.resume()
    for matters in (desk.alerting.overview().matters, desk.store.alert_book.incidents()):
        assert [(each.code, each.is_firing) for each in matters] == [("CANCEL_ALL", False)], "before any look"
    assert later(desk) == ["[sim] RESOLVED CRITICAL CANCEL_ALL account"], "its end is sent all the same"
