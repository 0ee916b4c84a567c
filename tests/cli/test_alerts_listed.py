"""`kalshi alerts` on a terminal: what a person decides by is there on a narrow one too."""

from __future__ import annotations

from pathlib import Path

import pytest

from kalshi_cli.cli.main import main
from kalshi_cli.cli.rows.alerts import AlertRow
from kalshi_cli.cli.screen.cells import Prose
from kalshi_cli.cli.screen.tables import draw_rows
from kalshi_cli.errors import ExitCode
from kalshi_cli.units import Ts

ROW = AlertRow(
    tier="critical", code="HEARTBEAT_LOST", subject="account", state="firing",
    since=Ts(1_780_000_000_000), count=1, told=Ts(1_780_000_000_000), waiting=0, silenced=False, source="loop",
    text=Prose("an order whose fate is not known, and has not been for a long time"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("width", "wanted"),
    [(80, "state code subject since"), (100, "state code subject since told"), (120, "state code subject since told")],
)
def test_what_holds_since_when_and_who_was_told_is_shown_on_a_narrow_screen(
    width: int, wanted: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    draw_rows(AlertRow, [ROW], "", Ts(1_780_000_100_000))
    words = capsys.readouterr().out.splitlines()[0].split()
    assert " ".join(words).startswith(wanted)
    assert words[-1] == "text"


@pytest.mark.parametrize(("what", "near"), [("FEED_DWN", "FEED_DOWN"), ("nonsense", "did you mean")])
def test_a_silence_of_no_alert_is_refused_with_the_nearest(
    what: str, near: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["alerts", "silence", what, "--for", "2h"]) == ExitCode.USAGE
    assert near in capsys.readouterr().err


@pytest.mark.parametrize("what", ["FEED_*", "*", "position_limit:KXNEVER*"])
def test_a_silence_may_cover_codes_like_it_and_any_subject(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_STATE", str(tmp_path / "state"))
    assert main(["alerts", "silence", what, "--for", "2h"]) == ExitCode.OK
