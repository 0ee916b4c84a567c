"""The alerts that were sent and are open, beside the state file: another state file continues them."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from support.alerting import AlertProgram, breach

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.monitoring.incidents import HALT, Incident
from kalshi_cli.services.monitoring.open_alerts import FILE, SentBreach
from kalshi_cli.store.records import Halt


def rebuilt(desk: AlertProgram) -> AlertProgram:
    """Another program after the state file was lost."""
    desk.close()
    for path in desk.path.parent.glob("state.db*"):
        path.unlink()
    return AlertProgram(desk.path.parent, clock=desk.clock)


def kept(desk: AlertProgram) -> list[str]:
    path = desk.path.parent / "checks" / FILE
    return [each.code for each in msgspec.json.decode(path.read_bytes(), type=list[Incident])]


def test_a_loop_that_starts_on_a_rebuilt_file_ends_the_alerts_of_the_last_one(tmp_path: Path) -> None:
    desk = AlertProgram(tmp_path)
    desk.record("BLIND", "account", tier="critical")
    desk.tell()
    desk.check(breach("heartbeat", "HEARTBEAT_LOST"), source="check heartbeat")
    assert kept(desk) == ["BLIND", "HEARTBEAT_LOST"]
    desk = rebuilt(desk)
    desk.alerting.begin(0)
    titles = desk.tell()
    assert titles == ["[sim] RESOLVED CRITICAL BLIND account", "[sim] RESOLVED CRITICAL HEARTBEAT_LOST heartbeat"]
    assert (kept(desk), desk.tell()) == ([], [])


def test_an_alert_that_no_channel_received_is_sent_from_the_rebuilt_file(tmp_path: Path) -> None:
    desk = AlertProgram(tmp_path)
    desk.check(breach("KXB"))
    desk.alerting.observe("check balance", [breach("account", "LOW_BALANCE")])  # nothing is delivered
    desk = rebuilt(desk)
    assert desk.check(breach("account", "LOW_BALANCE"), source="check balance") == [
        "[sim] CRITICAL LOW_BALANCE account"
    ]


def test_an_order_that_only_the_lost_file_knew_is_unconfirmed_no_longer(tmp_path: Path) -> None:
    desk = AlertProgram(tmp_path)
    desk.record("ORDER_UNKNOWN", "kcli-1")
    desk.tell()
    assert rebuilt(desk).tell() == ["[sim] RESOLVED WARNING ORDER_UNKNOWN kcli-1"]


def test_an_alert_is_sent_where_the_file_cannot_be_written(tmp_path: Path) -> None:
    desk = AlertProgram(tmp_path)
    (tmp_path / "checks").write_text("no directory")
    assert desk.check(breach()) == ["[sim] CRITICAL POSITION_LIMIT KXA"]
    assert desk.check() == ["[sim] RESOLVED CRITICAL POSITION_LIMIT KXA"]


SENT = Incident(
    code="POSITION_LIMIT", subject="KXB", source="check positions", tier="critical", event="", text="", since=Ts(1),
    seen=Ts(1), lasts=True, is_known=True, told=Ts(1),
)  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"\x00\xff", b"null", b"[1]", b"{}", b"\0" * 9, b'[{"code":"\xff"}]',
        b'[{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
        msgspec.json.encode([msgspec.structs.replace(SENT, tier="severe")]),
        msgspec.json.encode([msgspec.structs.replace(SENT, ticket_tier="severe")]),
    ],
)  # fmt: skip
def test_alerts_are_sent_and_end_whatever_the_file_has(tmp_path: Path, content: bytes) -> None:
    desk = AlertProgram(tmp_path)
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks" / FILE).write_bytes(content)
    assert desk.check(breach()) == ["[sim] CRITICAL POSITION_LIMIT KXA"]
    assert kept(desk) == ["POSITION_LIMIT"]
    assert desk.check() == ["[sim] RESOLVED CRITICAL POSITION_LIMIT KXA"]


def test_an_old_file_that_could_not_be_written_for_hours_ends_nothing_again(tmp_path: Path) -> None:
    desk = AlertProgram(tmp_path)
    desk.check(breach())
    (tmp_path / "checks" / f".{FILE}.{os.getpid()}").mkdir()  # in the place of its draft
    assert desk.check() == ["[sim] RESOLVED CRITICAL POSITION_LIMIT KXA"]
    desk.clock.advance(100_000)
    assert [desk.check(), desk.check(), kept(desk)] == [[], [], ["POSITION_LIMIT"]]


def test_a_halt_that_was_sent_without_the_state_file_is_not_sent_again_with_others(tmp_path: Path) -> None:
    desk = AlertProgram(tmp_path)
    desk.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", desk.clock.now()))
    sent = [("check disk", breach("state.db", "STATE_UNUSABLE")), (HALT, breach("account", "CANCEL_ALL"))]
    desk.alerting.take_over([SentBreach(source, each, desk.clock.now(), "phone") for source, each in sent])
    assert desk.check(source="check disk") == ["[sim] RESOLVED CRITICAL STATE_UNUSABLE state.db"]


def test_a_channel_that_received_an_alert_without_the_state_file_says_when(tmp_path: Path) -> None:
    desk = AlertProgram(tmp_path)
    then, later = desk.clock.now(), Ts(desk.clock.now() + 60_000)
    for at in (later, then):
        found = breach(f"state.db {at}", "STATE_UNUSABLE")
        desk.alerting.take_over([SentBreach("check disk", found, at, "phone")])
    (channel,) = desk.alerting.overview().sinks
    assert (channel.sink, channel.last_delivered, channel.failures) == ("phone", later, 0)


def test_a_rebuilt_file_lists_the_open_alerts_before_anything_is_decided(tmp_path: Path) -> None:
    desk = AlertProgram(tmp_path)
    desk.store.set_halt(Halt(TradingState.HALTED, "PAUSED", "lunch", desk.clock.now()))
    desk.check(breach())
    desk.record("ORDER_UNKNOWN", "kcli-1")
    desk.tell()
    told = {each.code: each.told for each in desk.alerting.overview().matters}
    desk = rebuilt(desk)
    listed = desk.alerting.overview().matters
    assert {each.code: each.told for each in listed} == told
    assert {each.code for each in listed if each.is_firing} == {"PAUSED", "POSITION_LIMIT"}
    desk.store.set_halt(Halt(TradingState.HALTED, "PAUSED", "lunch", desk.clock.now()))
    desk.check(breach())
    desk.resume()
    desk.check(breach())
    desk.clock.advance(31)
    assert "[sim] RESOLVED CRITICAL PAUSED account" in desk.check(breach())
    listed = desk.alerting.overview().matters
    assert {each.code: each.told for each in listed if each.code != "ORDER_UNKNOWN"} == {
        code: told[code] for code in ("PAUSED", "POSITION_LIMIT")
    }


def test_an_end_that_waits_in_the_rebuilt_file_is_sent_once(tmp_path: Path) -> None:
    desk = AlertProgram(tmp_path)
    desk.check(breach())
    desk.alerting.observe("check positions", [])  # its end is not delivered
    (waiting,) = desk.store.alert_book.letters("waiting")
    desk = rebuilt(desk)
    desk.store.alert_book.post(waiting.notice, waiting.sink, waiting.created)
    assert [desk.check(), desk.check(), kept(desk)] == [["[sim] RESOLVED CRITICAL POSITION_LIMIT KXA"], [], []]
