"""The report of `kalshi backtest` in its files and formats, on a recording of the simulated exchange's wire."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.examples import with_fade
from support.recordings import T0, Tape
from support.served import TWO_SIDED, Served, program, served, set_variables
from support.tapes import scheduler_here, swinging_tape

from kalshi_cli.base.units import Ts, format_ts

FADE = ("backtest", "tape.jsonl", "--strategy", "./fade.py:Fade", "--param", "limit=30c")


@pytest.fixture
def exchange(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with served(tmp_path) as one:
        set_variables(monkeypatch, one.home, one.variables())
        with_fade(one)
        yield one


@pytest.mark.usefixtures("exchange")
def test_one_run_writes_a_page_a_folder_and_json_that_agree() -> None:
    pytest.importorskip("pyarrow", reason="the extra research is not installed")
    ended = program(*FADE, "--html", "report.html", "--out", "run", "--json", "--fills", "both")
    assert ended.code == 0, ended.err
    report = ended.json
    assert json.loads(Path("run/report.json").read_text()) == report
    assert report["fills"] == len(report["trades"]) > 0
    assert [bound["fill_model"] for bound in report["bounds"]] == ["pessimistic", "optimistic"]
    assert report["fill_model"] == "pessimistic"
    assert report["bounds"][0]["net"] == report["net"]
    assert report["curve"][-1]["net"] == report["net"]
    assert Path("report.html").read_text().count("<svg") >= 4
    assert report["unknown"][0] in ended.err
    assert "replace" not in ended.err
    again = program(*FADE, "--html", "report.html", "--out", "run", "--json", "--fills", "both")
    assert (again.code, again.json) == (0, report), "a script may repeat it"
    assert "Wrote report.html in place of an earlier file" in again.err
    assert f"They replace the report of {report['strategy']} of " in again.err


@pytest.mark.usefixtures("exchange")
def test_a_backtest_warns_of_a_strategy_that_reads_a_file_or_the_network_in_a_hook() -> None:
    assert " reads " not in program(*FADE, "--json").err
    hook = "    def look(self):\n        open('rows.csv')\n        requests.get('https://a.example')\n"
    Path("fade.py").write_text(
        f"{Path('fade.py').read_text()}\n{hook}\ntry:\n    import requests\nexcept ImportError: ...\n"
    )
    ended = program(*FADE, "--json")
    assert ended.code == 0
    assert "./fade.py reads a file (open in look): its rows may be of the future in a backtest" in ended.err
    assert "./fade.py reads the network (requests.get in look): a backtest gets the answers of today" in ended.err


@pytest.mark.usefixtures("exchange")
def test_a_screen_shows_the_parts_and_says_where_the_trades_are() -> None:
    ended = program(*FADE, "--format", "table")
    assert ended.code == 0
    assert "\nby market\nmarket" in ended.out
    assert "\nby hour (UTC)\n" in ended.out
    assert "by price" in ended.out
    assert "\ntrades\n" not in ended.out, "no table of them"
    assert "--html FILE, --out DIR or --json" in ended.err
    assert program(*FADE, "--format", "csv").out.startswith('"key","realized"')


@pytest.mark.usefixtures("exchange")
def test_a_long_backtest_shows_how_much_of_its_recordings_it_has_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """With both bounds, the recording is read twice."""
    monkeypatch.setattr("kalshi_cli.cli.screen.progress.EVERY_S", 0.0)
    tape = Tape().watch().snapshot(yes={"0.4000": "5.00"}, no={"0.5600": "2.50"})
    for _ in range(3_000):
        tape.delta(5, "yes", "0.4000", "1.00")
    size = tape.write(Path("long.jsonl")).stat().st_size // 1000
    for words, known in (((), size), (("--fills", "both"), 2 * size)):
        ended = program("backtest", "long.jsonl", "--strategy", "spike", *words)
        shown = [line for line in ended.err.splitlines() if "kB of recordings" in line]
        counts = [int(line.split()[0]) for line in shown]
        assert counts == sorted(counts)
        assert 0.6 * known < counts[-1] <= known
        assert abs(int(shown[-1].split()[2]) - known) <= 1
    assert "kB of recordings" not in program("backtest", "long.jsonl", "--strategy", "spike", "--jobs", "1").err


@pytest.mark.usefixtures("exchange")
def test_a_backtest_over_the_lake_shows_how_much_recorded_time_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow", reason="the extra research is not installed")
    monkeypatch.setattr("kalshi_cli.cli.screen.progress.EVERY_S", 0.0)
    tape = Tape().watch().snapshot(yes={"0.4000": "5.00"}, no={"0.5600": "2.50"})
    for _ in range(200):
        tape.delta(100, "yes", "0.4000", "1.00")
    assert program("data", "import", str(tape.write(Path("long.jsonl"))), "--lake", "lake").code == 0
    half = format_ts(Ts(T0 + 10_000))
    for words, known in (((), 20), (("--fills", "both"), 40), (("--since", half), 10), (("--until", half), 9)):
        ended = program("backtest", "--strategy", "spike", "--lake", "lake", *words)
        assert ended.code == 0, ended.err
        shown = [line.split() for line in ended.err.splitlines() if f"of {known} seconds of recordings" in line]
        counts = [int(line[0]) for line in shown]
        assert counts == sorted(counts)
        assert (len(set(counts)) > 5, counts[-1]) == (True, known), words


@pytest.mark.usefixtures("exchange")
def test_what_the_data_does_not_say_is_said_once() -> None:
    for form in ("plain", "table"):
        ended = program(*FADE, "--format", form)
        assert (ended.out + ended.err).count("result of 1 of 1 market (--results gives it)") == 1, form


@pytest.mark.usefixtures("exchange")
def test_saved_reports_are_compared() -> None:
    for name, latency in (("a.json", "0ms"), ("b.json", "recorded")):
        ended = program(*FADE, "--latency", latency, "--json")
        assert ended.json["latency"] == latency
        Path(name).write_text(ended.out)
    rows = {row["measure"]: row for row in program("backtest", "compare", "a.json", "b.json", "--json").json}
    assert (rows["latency"]["a"], rows["latency"]["b"]) == ("0ms", "recorded")
    assert rows["fills"]["difference"] is not None
    shown = program("backtest", "compare", "a.json", "b.json", "--format", "table").out
    assert re.search(r"^measure +a\.json \(backtest\) +b\.json \(backtest\) +difference", shown, re.MULTILINE)
    words = shown.split()
    assert words[words.index("balance") + 1] == "$1,000.00"
    plain = program("backtest", "compare", "a.json", "b.json", "--format", "plain").out
    assert "%" in plain[plain.index("total return") :].splitlines()[0], "rounded, as on a screen"


@pytest.mark.usefixtures("exchange")
def test_a_comparison_keeps_its_difference_and_its_headings(monkeypatch: pytest.MonkeyPatch) -> None:
    report = program(*FADE, "--json").json
    for name, price in (("a.json", "0.3000"), ("another-report.json", "0.2500")):
        report["sent"][0]["price"] = price
        report["recordings"] = [f"tapes/recording-of-the-day-of-{name}l.gz"]
        Path(name).write_text(json.dumps(report))
    words = ("backtest", "compare", "a.json", "another-report.json")
    title = "First orders that differ (1), UTC, YES prices"
    for columns in ("80", "48"):
        monkeypatch.setenv("COLUMNS", columns)
        shown = program(*words, "--format", "table")
        assert f"\n\n{title}\n" in shown.out, columns
        assert "difference" in shown.out
        assert "Hidden" not in shown.err
        assert max(map(len, shown.out.splitlines())) <= int(columns)
    plain = program(*words, "--format", "plain").out.splitlines()
    second = plain.index(title) + 1
    assert plain[second].split()[0] == "market"
    assert "difference" not in plain[second], "it would be empty"


@pytest.mark.usefixtures("exchange")
def test_a_backtest_plays_several_phases_of_its_ticks() -> None:
    usual, several = program(*FADE, "--json").json, program(*FADE, "--phases", "3", "--json").json
    assert usual["phase_nets"] == []
    assert (len(several["phase_nets"]), several["phase_nets"][0]) == (3, usual["net"])
    assert several | {"phase_nets": []} == usual
    assert program(*FADE, "--phases", "3", "--jobs", "1", "--json").json["phase_nets"] == several["phase_nets"]
    both = program(*FADE, "--phases", "3", "--fills", "both", "--json").json
    worst = program(*FADE, "--phases", "3", "--fills", "pessimistic", "--json").json
    assert both["phase_nets"] == worst["phase_nets"]
    assert [bound["fill_model"] for bound in both["bounds"]] == ["pessimistic", "optimistic"]
    assert both["bounds"] == program(*FADE, "--fills", "both", "--json").json["bounds"]
    values = program(*FADE[:-1], "limit=20c,30c", "--phases", "3")
    assert (values.code, "--phases shows one run" in values.err) == (2, True)


@pytest.mark.usefixtures("exchange")
def test_a_comparison_of_values_says_what_the_recording_does_not() -> None:
    ended = program(*FADE[:-2], "--param", "limit=20c,30c")
    used = os.cpu_count() or 1
    assert ("The 2 runs use 1 of" in ended.err) == (used > 1)
    assert "runs use 1 of" not in program(*FADE[:-2], "--param", "limit=20c,30c", "--jobs", "1").err
    assert "Unknown: result of 1 of 1 market (--results gives it)" in ended.err


LIMITED = ("swing.jsonl", "--param", "buy_below=35c", "--param", "fair=60c", "--param", "size=2,3")
"""With a maximum exposure of $0.50, most order requests of these values are refused."""


@pytest.mark.usefixtures("exchange")
def test_a_comparison_and_a_search_warn_that_a_limit_decided_the_best_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_RISK__MAX_EXPOSURE", "0.50")
    swinging_tape(Path("swing.jsonl"), 0, 20, 70)
    single = program("backtest", *LIMITED[:-1], "size=2", "--strategy", "threshold", "--jobs", "1", "--json")
    asked, refused = single.json["intents"], single.json["denied"]["EXPOSURE"]
    begin = f"Warning: EXPOSURE (risk.max_exposure) refused {refused} of {asked} order requests"
    assert f"{begin}: the result shows this rule more than the strategy" in single.err
    compared = program("backtest", *LIMITED, "--strategy", "threshold", "--json")
    (row,) = [row for row in compared.json if row["params"] == "size=2"]
    assert (row["intents"], row["denied_by"]) == (asked, single.json["denied"])
    given = {name: text for name, text in single.json["params"].items() if name != "size"}
    assert row["fixed"] == " ".join(f"{name}={text}" for name, text in given.items() if text)
    assert {"buy_below=35c", "fair=60c"} < set(row["fixed"].split()), "and those that were not given"
    settings = single.json["settings"] | {"starting cash": "$1,000.00"}
    assert row["settings"] == settings | {"recordings": "swing.jsonl"}
    assert row["settings"]["risk.max_exposure"] == "0.500000"
    made_with = f"Made with {row['fixed']}, kalshi "
    assert made_with in compared.err
    assert f"{begin} of the best variant: the result shows this rule" in compared.err
    if find_spec("optuna"):
        with scheduler_here() as here:
            few = ("--sampler", "grid", "--windows", "1", "--holdout", "0", "--scheduler", here.address)
            searched = program("optimize", "threshold", *LIMITED, *few, "--json")
        assert f"{begin} of the best variant: the result" in searched.err
        assert made_with in searched.err
        assert (searched.json["fixed"], searched.json["settings"]) == (
            row["fixed"],
            settings | {"window 1": "swing.jsonl"},
        )


@pytest.mark.usefixtures("exchange")
def test_a_search_says_once_what_the_recordings_do_not() -> None:
    pytest.importorskip("optuna", reason="the extra research is not installed")
    search = ("optimize", "threshold", "tape.jsonl", "--param", "buy_below=20c,30c", "--sampler", "grid")
    with scheduler_here() as here:
        few = ("--windows", "1", "--holdout", "0", "--scheduler", here.address)
        for form in ("plain", "table", "json"):
            ended = program(*search, *few, "--format", form)
            assert ended.code == 0, ended.err
            assert (ended.out + ended.err).count("result of 1 of 1 market (--results gives it)") == 1 + (form == "json")
    assert "result of 1 of 1 market" in str(ended.json["unknown"])


@pytest.mark.usefixtures("exchange")
def test_a_comparison_runs_both_bounds_of_each_value_and_names_its_assumptions() -> None:
    single = {
        (limit, fills): program(*FADE[:-2], "--param", f"limit={limit}", "--fills", fills, "--json").json["net"]
        for limit in ("20c", "30c")
        for fills in ("pessimistic", "optimistic")
    }
    rows = program(*FADE[:-2], "--param", "limit=20c,30c", "--fills", "both", "--latency", "150ms", "--json").json
    assert {(row["params"].removeprefix("limit="), row["fill_model"]): row["net"] for row in rows} == single
    assert [row["fill_model"] for row in rows] == ["pessimistic", "optimistic"] * 2
    assert {row["latency"] for row in rows} == {"150ms"}
    assert rows[0]["score"] >= rows[2]["score"]
    table = program(*FADE[:-2], "--param", "limit=20c,30c", "--format", "table")
    assert "proportional" in table.out


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("option", [("--html", "a.html"), ("--out", "run"), ("--plot",)])
def test_a_file_of_one_run_is_refused_for_a_comparison(option: tuple[str, ...]) -> None:
    ended = program(*FADE[:-2], "--param", "limit=20c,30c", *option)
    assert (ended.code, ended.out) == (2, "")
    assert f"{option[0]} shows one run, not a comparison" in ended.err
    assert not any(map(Path.exists, (Path("a.html"), Path("run"))))


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize("option", [("--series", "KXA,KXB"), ("--lake", "lake")])
def test_a_file_is_not_mixed_with_recordings_of_the_lake(option: tuple[str, ...]) -> None:
    ended = program(*FADE, *option)
    assert ended.code == 2
    assert "choose from the lake, not from files such as tape.jsonl" in ended.err
    pytest.importorskip("optuna", reason="the extra research is not installed")
    searched = program("optimize", "threshold", "tape.jsonl", "--param", "buy_below=20c..30c", *option)
    assert searched.code == 2
    assert "choose from the lake, not from files such as tape.jsonl" in searched.err


@pytest.mark.usefixtures("exchange")
def test_a_part_of_the_markets_of_a_file_is_named_as_typed() -> None:
    whole, part = program(*FADE, "--json").json, program(*FADE, "--ticker", "kxtape", "--json").json
    assert part["settings"] == whole["settings"] | {"markets": "KXTAPE"}
    assert part == whole | {"settings": part["settings"]}
    Path("results.json").write_text("[]")
    paid = program(*FADE, "--results", "results.json", "--json").json
    assert paid["settings"] == whole["settings"] | {"results": "results.json"}
    other = program(*FADE, "--ticker", "KXB-1")
    assert (other.code, "No market KXB-1 in tape.jsonl" in other.err) == (2, True)


@pytest.mark.usefixtures("exchange")
def test_a_file_is_cut_by_time_and_an_empty_period_is_one_line() -> None:
    for times, said in (
        (("--until", "2001-01-02"), "No recorded data to before 2001-01-0"),
        (("--since", "2001-01-02", "--until", "2001-01-01"), "is not before until"),
    ):
        ended = program(*FADE, *times)
        assert (ended.code, said in ended.err) == (2, True)
    whole, cut = program(*FADE, "--json").json, program(*FADE, "--since", "2001-01-01T00:00:00Z", "--json").json
    assert cut["settings"] == whole["settings"] | {"since": "2001-01-01T00:00:00Z"}
    assert cut == whole | {"settings": cut["settings"]}
    pytest.importorskip("optuna", reason="the extra research is not installed")
    searched = program("optimize", "threshold", "tape.jsonl", "--param", "buy_below=20c..30c", "--until", "2001-01-02")
    assert (searched.code, "No recorded data to before 2001-01-0" in searched.err) == (2, True)


@pytest.mark.usefixtures("exchange")
def test_recordings_without_data_of_the_period_are_left_out_of_separate_runs() -> None:
    swinging_tape(Path("later.jsonl"), 40_000, 20, 70)
    for words in (("--jobs", "1"), ("--param", "size=1,2")):
        ended = program(*FADE, "later.jsonl", "--until", "2100-01-01", *words)
        assert ended.code == 0
        assert "Left out 1 of 2 recordings without data to before 2100-01-0" in ended.err
        assert "later.jsonl" in ended.err


@pytest.mark.usefixtures("exchange")
def test_a_lake_without_a_folder_and_missing_results_are_named() -> None:
    ended = program("backtest", "--lake", "--strategy", "spike")
    assert (ended.code, "--lake needs a value; --strategy looks like an option" in ended.err) == (2, True)
    assert "omit --lake" in ended.err
    ended = program(*FADE, "--results", "none.json")
    assert (ended.code, "Results file not found: none.json" in ended.err) == (2, True)
    assert "kalshi record" not in ended.err


@pytest.mark.usefixtures("exchange")
def test_the_json_of_a_run_has_nothing_that_the_strategy_prints() -> None:
    printing = "    def on_tick(self, view):\n        print('debug')\n"
    Path("noisy.py").write_text(
        f"from kalshi_cli.strategies.api import Strategy\nclass Noisy(Strategy):\n    name = 'noisy'\n{printing}"
    )
    Path("noisy.py").chmod(0o644)
    words = ("--strategy", "./noisy.py", "--ticker", TWO_SIDED, "--duration", "0.5s", "--json")
    for ended in (program("trade", *words), program("backtest", "tape.jsonl", *words[:2], "--json")):
        assert ended.json["strategy"] == "./noisy.py"
        assert "debug\n" in ended.err


@pytest.mark.usefixtures("exchange")
def test_a_cut_is_reported_in_utc_with_the_zone_of_typed_times() -> None:
    ended = program(*FADE, "--since", "2026-01-01 12:00:00 UTC", "--tz", "America/Chicago", "--json")
    assert ended.json["fills"] > 0
    assert "Recordings are cut from 2026-01-01 12:00:00 UTC; a time that was typed without a zone is in" in ended.err


@pytest.mark.usefixtures("exchange")
def test_a_run_is_compared_with_a_backtest() -> None:
    run = program("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--duration", "0.5s", "--json")
    assert "No orders were requested. `kalshi strategies NAME`" in run.err
    Path("run.json").write_text(run.out)
    Path("backtest.json").write_text(program(*FADE, "--json").out)
    rows = {row["measure"]: row for row in program("backtest", "compare", "run.json", "backtest.json", "--json").json}
    assert (rows["strategy"]["a"], rows["strategy"]["b"]) == ("spike", "./fade.py:Fade")
    assert rows["orders"]["a"] == "0"
    assert rows["markets"]["a"] == "1"
    assert "max_drawdown" not in rows, "a summary of a run does not have it"


@pytest.mark.usefixtures("exchange")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("tape.jsonl",), "Missing option --strategy"),
        ((*FADE[1:], "--html", "report.pdf"), "must end in .html"),
        ((*FADE[1:], "--html", "none/report.html"), "its folder does not exist"),
        ((*FADE[1:], "--out", "tape.jsonl"), "is not a folder"),
        ((*FADE[1:], "--latency", "5"), "--latency 5 has no unit"),
        ((*FADE[1:], "--latency", "5"), "did you mean 5ms?"),
        ((*FADE[1:], "--latency", "fast"), "use recorded, 150ms or 1s"),
        ((*FADE[1:], "--latency", "2m"), "at most 60s"),
        ((*FADE[1:], "--latency", "1s", "--latency-ms", "5"), "cannot be combined"),
        ((*FADE[1:], "--fills", "lucky"), "lucky"),
        (("compare", "a.json"), "compare takes two reports"),
        (("compare", "tape.jsonl", "tape.jsonl"), "is not a report of a backtest"),
    ],
)
def test_a_wrong_option_is_refused_before_the_run(words: tuple[str, ...], said: str) -> None:
    ended = program("backtest", *words)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err


BREAKS = """
from kalshi_cli.strategies.api import Strategy, StrategyParams
class BreaksParams(StrategyParams, frozen=True):
    after: int = 0
class Breaks(Strategy):
    name, Params = "breaks", BreaksParams
    def on_book(self, view, ticker):
        return [1 / self.params.after] and []
"""


@pytest.fixture
def breaks(exchange: Served) -> str:
    """A strategy that fails with its default."""
    code = Path("breaks.py")
    code.write_text(BREAKS)
    code.chmod(0o600)
    swinging_tape(Path("swing.jsonl"), 0, 20, 70)
    return "./breaks.py"


def test_a_failing_strategy_ends_neither_the_others_nor_their_report(breaks: str) -> None:
    both = program("backtest", "swing.jsonl", "--strategy", f"threshold,{breaks}", "--json")
    assert both.json["fills"] > 0
    assert both.code == 1
    assert "Strategy failed: breaks: ZeroDivisionError: division by zero (line 8 of " in both.err
    alone = program("backtest", "swing.jsonl", "--strategy", breaks, "--json")
    assert (alone.code, alone.out) == (1, "")


def test_a_value_with_which_the_strategy_fails_ends_no_comparison(breaks: str) -> None:
    ended = program("backtest", "swing.jsonl", "--strategy", breaks, "--param", "after=0,1,2", "--json")
    assert sorted(row["params"] for row in ended.json) == ["after=1", "after=2"]
    assert ended.code == 1
    assert "Strategy failed: after=0: breaks: ZeroDivisionError" in ended.err
