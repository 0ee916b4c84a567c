"""The folder of saved reports: its list, a report, and names and links that lead elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest
from support.backtests import losing

from kalshi_cli.base.errors import KalshiError, NotFoundError
from kalshi_cli.base.units import show_money
from kalshi_cli.services.research.backtest import backtest_view
from kalshi_cli.services.research.report import report_folder
from kalshi_cli.services.research.report.report_folder import CURVE_COLUMNS, earlier_report, list_reports, read_report
from kalshi_cli.views.formats import to_machine
from kalshi_cli.views.runs import BacktestView


@pytest.fixture(scope="module")
def view() -> BacktestView:
    return backtest_view(losing())


def save(view: BacktestView, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(to_machine(BacktestView)(view)))
    return path


def test_folders_and_files_are_listed_the_newest_first(view: BacktestView, tmp_path: Path) -> None:
    os.utime(save(view, tmp_path / "monday" / "report.json"), (1_000, 1_000))
    os.utime(save(view, tmp_path / "tuesday.json"), (2_000, 2_000))
    (tmp_path / "notes.txt").write_text("not a report")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.json").write_text("{")
    os.utime(tmp_path / "broken.json", (500, 500))
    found = list_reports(tmp_path).reports
    assert [row.name for row in found] == ["tuesday", "monday", "broken"]
    assert [(row.strategy, row.net, row.fills) for row in found[:2]] == [(view.strategy, view.net, view.fills)] * 2
    assert (found[1].modified, found[1].problem) == (1_000_000, None)
    assert "not a report" in (found[2].problem or "")
    assert found[2].net is None


def test_a_folder_that_does_not_exist_has_no_reports(tmp_path: Path) -> None:
    assert list_reports(tmp_path / "none").reports == ()
    with pytest.raises(KalshiError, match="Cannot read"):
        list_reports(Path(__file__))


def test_the_report_that_a_new_one_replaces_is_named(view: BacktestView, tmp_path: Path) -> None:
    assert earlier_report(tmp_path / "monday") == ""
    file = save(view, tmp_path / "monday" / "report.json")
    os.utime(file, (1_000, 1_000))
    net = show_money(view.net, signed=True)
    expected = f"the report of {view.strategy} of 1970-01-01T00:16:40Z, with net {net}"
    assert earlier_report(tmp_path / "monday") == expected
    file.write_text("{")
    os.utime(file, (1_000, 1_000))
    assert earlier_report(tmp_path / "monday") == "the report.json of 1970-01-01T00:16:40Z"


def test_a_report_is_shown_with_its_first_trades_and_a_thin_curve(
    view: BacktestView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_folder, "MAX_TRADES", 3)
    long = msgspec.structs.replace(
        view,
        curve=tuple(
            msgspec.structs.replace(view.curve[0], time=view.curve[0].time + number, net=(number * 7_919) % 10_007)
            for number in range(10 * CURVE_COLUMNS)
        ),
    )
    save(long, tmp_path / "run" / "report.json")
    found = read_report(tmp_path, "run")
    assert found.trades == view.trades[:3]
    assert found.fills == view.fills
    assert CURVE_COLUMNS <= len(found.curve) <= 4 * CURVE_COLUMNS
    assert max(row.net for row in found.curve) == max(row.net for row in long.curve)


@pytest.mark.parametrize(
    "name", ["../secret", "..", "", ".", "/etc/passwd", "a/b", "a\x00b", ".hidden", "x" * 101, "nowhere", "link", "dir"]
)
def test_a_name_never_leads_out_of_the_folder(view: BacktestView, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "reports"
    save(view, tmp_path / "secret.json")
    save(view, tmp_path / "secret" / "report.json")
    save(view, folder / "a" / "b.json")
    save(view, folder / ".hidden.json")
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    (folder / "dir").symlink_to(tmp_path / "secret")
    with pytest.raises(NotFoundError):
        read_report(folder, name)
    assert list_reports(folder).reports == ()


def test_reports_of_another_shape_or_size_are_refused(
    view: BacktestView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(view, tmp_path / "run.json")
    saved = json.loads(path.read_text())
    changes: list[dict[str, object]] = [{"net": "<b>"}, {"trades": [{}]}, {"curve": "x"}, {"rows": None}]
    for changed in changes:
        path.write_text(json.dumps({**saved, **changed}))
        with pytest.raises(KalshiError, match="not a report"):
            read_report(tmp_path, "run")
    path.write_text("[" * 100_000)
    with pytest.raises(KalshiError, match="not a report"):
        read_report(tmp_path, "run")
    assert "not a report" in (list_reports(tmp_path).reports[0].problem or "")
    monkeypatch.setattr(report_folder, "MAX_BYTES", 1_000)
    with pytest.raises(KalshiError, match="longer than"):
        read_report(tmp_path, "run")
    assert "too long" in (list_reports(tmp_path).reports[0].problem or "")
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(NotFoundError):
        read_report(tmp_path, "run")
