"""`kalshi alerts` on a terminal: what a person decides by is there on a narrow one too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from msgspec.structs import replace

from kalshi_cli.base.errors import ExitCode
from kalshi_cli.base.units import Ts
from kalshi_cli.cli.commands.alerts import MAX_ENDED, MAX_ENDED_LENGTH, brief, undelivered
from kalshi_cli.cli.main import main
from kalshi_cli.cli.screen.brief import AlertLine, AlertsScreen
from kalshi_cli.cli.screen.output import Format
from kalshi_cli.cli.screen.render import render_one, render_rows
from kalshi_cli.cli.screen.tables import draw_rows
from kalshi_cli.store.alert_tables import AlertChannelState
from kalshi_cli.views.alerts import AlertChannelRow, AlertRow, AlertsView
from kalshi_cli.views.formats import TruncatableText

Capture = pytest.CaptureFixture[str]

ROW = AlertRow(
    tier="critical", code="ORDER_UNKNOWN_LONG", subject=TruncatableText("account"), state="firing",
    since=Ts(1_780_000_000_000), count=1, told=Ts(1_780_000_000_000), waiting=0, silenced=False, source="loop",
    value=TruncatableText(""), limit=TruncatableText(""), unit="",
    text=TruncatableText("an order whose fate is not known, and has not been for a long time"),
)  # fmt: skip


def view_of(*alerts: AlertRow) -> AlertsView:
    return AlertsView(
        firing=1, held_back=0, ended=0, undelivered=0, dead=0, dropped=0, letters=(), silences=(), sinks=(),
        alerts=alerts,
    )  # fmt: skip


@pytest.mark.parametrize("subject", ["account", "KXHIGHNY-26NOV21-B53.5", "kcli-0123456789abcdef0123456789abcdef"])
@pytest.mark.parametrize("width", [40, 60, 80, 100, 120])
def test_what_happened_to_what_and_since_when_is_shown_on_a_narrow_screen(
    width: int, subject: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    draw_rows(AlertRow, [replace(ROW, subject=TruncatableText(subject))], "", Ts(1_780_000_100_000))
    out = capsys.readouterr().out
    assert set(f"ORDER_UNKNOWN_LONG firing 1m ago {ROW.text}".split()) <= set(out.split())
    assert subject[:16] in out
    assert "delivered" in out
    assert max(len(line.rstrip()) for line in out.splitlines()) <= max(width, 2 + len("subject: ") + len(subject))


def test_a_piped_list_fits_a_log_and_writes_each_finding_once_at_the_end_of_its_line(capsys: Capture) -> None:
    found = "5016ms, over and over"
    render_rows(AlertRow, [replace(ROW, value=TruncatableText(found), text=TruncatableText(found))], Format.PLAIN)
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.split() == ["since", "severity", "state", "code", "subject", "delivered", "text"]
    assert (line.count(found), line.endswith(found)) == (1, True)


def test_a_piped_list_of_channels_names_each_once(capsys: Capture) -> None:
    channel = AlertChannelRow.of(AlertChannelState(sink="phone"), address="https://a.example/…", hears="critical")
    render_rows(AlertChannelRow, [channel], Format.PLAIN)
    heading, line = capsys.readouterr().out.splitlines()
    assert (heading.split()[0], "sink" in heading, line.count("phone")) == ("channel", False, 1)
    render_rows(AlertChannelRow, [channel], Format.CSV)
    assert '"sink"' in capsys.readouterr().out


def test_csv_is_the_list_of_the_alerts(capsys: Capture) -> None:
    render_one(view_of(ROW), Format.CSV)
    heading, line = capsys.readouterr().out.splitlines()
    assert heading.startswith('"tier","code","subject","state","since"')
    assert line.startswith('"critical","ORDER_UNKNOWN_LONG","account","firing","2026-')


@pytest.mark.parametrize(("what", "near"), [("FEED_DWN", "FEED_DOWN"), ("nonsense", "did you mean")])
def test_a_silence_of_no_alert_is_refused_with_the_nearest(
    what: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["alerts", "silence", what, "--for", "2h"]) == ExitCode.USAGE
    assert near in capsys.readouterr().err


@pytest.mark.parametrize(
    ("what", "code", "subject"),
    [("FEED_*", "FEED_*", "*"), ("*", "*", "*"), ("position_limit:KXNEVER*", "POSITION_LIMIT", "KXNEVER*")],
)
def test_a_silence_may_cover_codes_like_it_and_any_subject(
    what: str, code: str, subject: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("KALSHI_STATE", str(tmp_path / "state"))
    assert main(["alerts", "silence", what, "--for", "2h"]) == ExitCode.OK
    assert capsys.readouterr().out == ""
    assert main(["alerts", "silence", what, "--for", "2h", "--json"]) == ExitCode.OK
    silence = json.loads(capsys.readouterr().out)
    assert (silence["code"], silence["subject"]) == (code, subject)


def test_an_acknowledged_alert_is_silenced_until_it_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("KALSHI_STATE", str(tmp_path / "state"))
    assert main(["alerts", "ack", "HEARTBEAT_LOST"]) == ExitCode.USAGE
    assert "kalshi alerts silence CODE --until-over" in capsys.readouterr().err
    assert main(["alerts", "silence", "HEARTBEAT_LOST"]) == ExitCode.USAGE
    assert "--until-over" in capsys.readouterr().err
    words = ["alerts", "silence", "HEARTBEAT_LOST", "--until-over"]
    assert main(words) == ExitCode.USAGE
    assert "No active alert matches" in capsys.readouterr().err
    main(["check", "heartbeat"])
    capsys.readouterr()
    assert main([*words, "--json"]) == ExitCode.OK
    assert json.loads(capsys.readouterr().out)["until_over"] is True


def test_the_last_lines_say_what_was_not_delivered_and_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text("alerts: {channels: {phone: {url: 'http://127.0.0.1:1/'}}}\n")
    config.chmod(0o600)
    monkeypatch.setenv("KALSHI_STATE", str(tmp_path / "state"))
    main(["alerts", "--config", str(config)])
    assert "runbook" not in capsys.readouterr().err
    main(["check", "heartbeat", "--config", str(config)])
    capsys.readouterr()
    assert main(["alerts", "--config", str(config)]) == ExitCode.OK
    lines = capsys.readouterr().err.splitlines()
    assert lines[-2:] == ["Active, and not delivered: HEARTBEAT_LOST", "What to do: kalshi runbook HEARTBEAT_LOST"]


def test_on_a_terminal_ended_alerts_are_few_and_brief_and_active_ones_complete() -> None:
    long = TruncatableText("It failed. And then more happened")
    ended = [replace(ROW, state="over", since=Ts(number), text=long) for number in range(MAX_ENDED + 2)]
    shown = brief(view_of(replace(ROW, text=long), *ended)).alerts
    named = "ORDER_UNKNOWN_LONG account: "
    assert [(each.state, each.alert) for each in shown[-2:]] == [
        ("over", f"{named}It failed"), ("firing", f"{named}{long}"),
    ]  # fmt: skip
    assert sorted(each.since for each in shown[:-1]) == list(range(2, MAX_ENDED + 2)), "the newest"
    assert AlertsScreen.__struct_fields__[-1] == "alerts", "a small terminal shows the end"
    group = replace(ROW, code="GROUP_TRIGGERED", subject=TruncatableText("0123456789"))
    assert brief(view_of(group)).alerts[0].alert.startswith("GROUP_TRIGGERED 01234567: ")
    cut = brief(view_of(replace(ended[0], text=TruncatableText("x" * 200)))).alerts[0].alert
    assert cut == f"{named}{'x' * (MAX_ENDED_LENGTH - 1)}…"
    silent = brief(view_of(replace(ROW, silenced=True))).alerts[0]
    assert silent.state == "firing (held back)"


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_severity_and_the_subject_of_an_alert_are_shown_at_any_width(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    row = replace(ROW, subject=TruncatableText("KXHIGHNY-26NOV21-B53.5"))
    draw_rows(AlertLine, brief(view_of(row)).alerts, "", Ts(1_780_000_100_000))
    head, *lines = capsys.readouterr().out.splitlines()
    assert {"severity", "since", "delivered", "alert"} <= set(head.split())
    words = " ".join(" ".join(lines).split())
    assert words.startswith("critical ")
    assert {"KXHIGHNY-26NOV21-B53.5:", "ORDER_UNKNOWN_LONG", *ROW.text.split()} <= set(words.split())
    assert max(len(line.rstrip()) for line in lines) <= width


def test_the_hint_of_a_narrow_list_names_the_channel_as_its_column_does(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    row = AlertChannelRow.of(AlertChannelState(sink="phone"), address="https://example.com/…", hears="critical warning")
    draw_rows(AlertChannelRow, [row], "", Ts(1_780_000_100_000))
    shown = capsys.readouterr()
    assert shown.out.split()[0] == "channel"
    assert "To see them: --fields channel," in " ".join(shown.err.split())


def test_an_alert_whose_code_was_delivered_for_another_subject_is_undelivered_with_its_own() -> None:
    waits = replace(ROW, told=None)
    assert undelivered([waits, replace(waits, subject=TruncatableText("KXA"))]) == ["ORDER_UNKNOWN_LONG"]
    kxa = replace(waits, subject=TruncatableText("KXA"))
    assert undelivered([ROW, kxa, replace(waits, code="DRIFT")]) == ["ORDER_UNKNOWN_LONG KXA", "DRIFT"]
    assert undelivered([ROW]) == []
