"""The shell around every command: where it catches, what it says, what it ends with."""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from support.processes import run_program, start_program
from support.served import Served, program

import kalshi_cli
from kalshi_cli.base import errors
from kalshi_cli.base.errors import ExitCode, KalshiError
from kalshi_cli.cli import main as shell
from kalshi_cli.cli.global_options import GlobalOptions
from kalshi_cli.cli.main import BASIC_SECTIONS, ENTRIES, NOTHING_OUTSTANDING, SECTIONS, main, report, root, summary
from kalshi_cli.cli.parameters import HelpCommand, HelpGroup
from kalshi_cli.cli.unknown_commands import ORDER_FORMS, OTHER_NAMES, is_harmless

Capture = pytest.CaptureFixture[str]

pytestmark = pytest.mark.usefixtures("home")


def run(*words: str, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kalshi_cli", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **more)  # type: ignore[call-overload]


# -- help and version ---------------------------------------------------------------------------------------------


def every_command() -> list[tuple[str, ...]]:
    """All command lines there are, groups too."""
    found: list[tuple[str, ...]] = [()]
    for name in ENTRIES:
        found.append((name,))
        command = root().get_command(None, name)
        if isinstance(command, HelpGroup):
            found += [(name, each) for each in command.commands]
    return found


def test_help_works_everywhere_and_creates_nothing(capsys: Capture, home: Path) -> None:
    wrong = []
    for words in every_command():
        for option in ("-h", "--help"):
            code, shown = main([*words, option]), capsys.readouterr()
            is_told = shown.out.startswith(f"Usage: {' '.join(['kalshi', *words])} ") and "--format" in shown.out
            if (code, is_told, shown.err, list(home.iterdir())) != (0, True, "", []):
                wrong.append((*words, option))
    assert wrong == []


def test_only_the_help_of_kalshi_explains_the_global_options(capsys: Capture) -> None:
    assert main(["order", "decrease", "-h"]) == 0
    short = capsys.readouterr().out
    assert "--format FORMAT, --json, --fields FIELDS" in " ".join(short.split())
    assert "see `kalshi -h`" in short
    assert "plain when piped" not in short
    assert main(["-h"]) == 0
    assert "plain when piped" in capsys.readouterr().out


def test_another_name_of_a_command_leads_to_one_that_exists_and_sends_no_order() -> None:
    known = {" ".join(words) for words in every_command()}
    for typed, meant in OTHER_NAMES.items():
        words = meant.split()[1:]
        command = next((name for end in (2, 1) if (name := " ".join(words[:end])) in known), "")
        assert command, meant
        assert is_harmless(command)
        assert typed not in known


def test_a_form_of_an_order_is_suggested_and_sends_nothing_as_it_is(exchange: Served) -> None:
    for typed, form in ORDER_FORMS.items():
        assert f"did you mean `{form}`?" in program(typed).err
        assert program(*form.split()[1:]).code == ExitCode.USAGE, "its words are no values"
    assert program("amend", "2597b999", "0.13").code == ExitCode.USAGE
    ended = program("order", "amend", "2597b999", "0.13")
    assert ended.code == ExitCode.USAGE
    assert "--price 0.13" in ended.err


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("markets -o json", "write --json, or --format with csv, ndjson, table or plain"),
        ("markets --output json", "write --json, or --format with csv, ndjson, table or plain"),
        ("backtest spike tape --output a.html", "did you mean --out?"),
        ("api -X POST /markets", "write the method as a word: `kalshi api POST PATH`"),
        ("api -XPOST /markets", "write the method as a word: `kalshi api POST PATH`"),
        ("api --method GET /markets", "write the method as a word: `kalshi api POST PATH`"),
        ("order ls", "did you mean `kalshi order list`?"),
        ("order view 2597b999", "did you mean `kalshi order show ID`?"),
        ("order delete 2597b999", "did you mean `kalshi order cancel ID`?"),
        ("version", "did you mean `kalshi --version`?"),
        ("-V", "for the version: `kalshi --version`; for more detail: -v"),
        ("help", "see `kalshi -h`"),
        ("ls", "did you mean `kalshi markets`?"),
        ("ls orders", "did you mean `kalshi order list`?"),
        ("login", "did you mean `kalshi init`?"),
        ("auth login", "did you mean `kalshi init`?"),
        ("auth status", "did you mean `kalshi health-check`?"),
        ("strategies list", "to list them: `kalshi strategies`"),
        ("config view", "did you mean `kalshi config show`?"),
        ("config get env", "did you mean `kalshi config show`?"),
        ("get markets", "did you mean `kalshi markets`?"),
        ("get orders", "did you mean `kalshi order list`?"),
        ("get cancel-all", "to halt trading and cancel all orders: `kalshi cancel-all`; only to stop new orders: "),
        ("get buy", "did you mean buy? See `kalshi buy -h`"),
        ("get", "see `kalshi -h`"),
    ],
)
def test_a_habit_from_another_program_has_a_hint(line: str, hint: str, capsys: Capture) -> None:
    assert main(line.split()) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert f"hint: {hint}" in " ".join(shown.err.split())


@pytest.mark.parametrize("width", [40, 48, 60, 64, 72, 80])
@pytest.mark.parametrize("words", ["top", "buy", "alerts add", "close", "lock", "sim pause", "cancel-all"])
def test_help_fits_a_narrow_terminal_and_keeps_the_names_of_options_whole(
    words: str, width: int, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def options(columns: int) -> tuple[str, set[str]]:
        monkeypatch.setenv("COLUMNS", str(columns))
        assert main([*words.split(), "-h"]) == 0
        shown = capsys.readouterr().out
        return shown, set(re.findall(r"(?<![\w-])--[\w-]*", shown))

    shown, names = options(width)
    assert names == options(100)[1]
    lines = [line for line in shown.splitlines() if not line.startswith("  kalshi ")]  # examples are copied whole
    assert [line for line in lines if len(line) > width] == []


def test_every_command_says_what_it_does() -> None:
    tree = root()
    for words in every_command()[1:]:
        command = tree.get_command(None, words[0])
        for name in words[1:]:
            command = command.commands[name]
        assert isinstance(command, HelpCommand | HelpGroup), words
        assert command.help, words
        assert command.help.strip().split("\n")[0].endswith((".", ",", "?", ":")) or "\n" in command.help, words


def test_without_arguments_the_first_groups_are_shown_and_with_h_all(capsys: Capture) -> None:
    assert main([]) == 0
    short = capsys.readouterr().out
    assert main(["-h"]) == 0
    whole = capsys.readouterr().out
    assert all(f"\n  {name} " in whole for name in ENTRIES)
    assert [title for title in SECTIONS if f"\n{title}:\n" in short] == list(SECTIONS)[:BASIC_SECTIONS]
    assert "Everything: kalshi -h" in short
    assert "--config" not in short
    assert "Examples:" in short
    assert "Examples:" in whole


def every_list_line() -> list[tuple[str, str]]:
    """Every command with its line in a list, groups and their commands."""
    found = [(name, summary(name)) for name in ENTRIES]
    for name in ENTRIES:
        pending = [(name, root().get_command(None, name))]
        while pending:
            path, command = pending.pop()
            for inner, each in getattr(command, "commands", {}).items():
                found.append((f"{path} {inner}", each.get_short_help_str(200)))
                pending.append((f"{path} {inner}", each))
    return found


VERBS = """
Accept Add Allow Block Buy Cancel Change Check Close Compare Confirm Create Decrease Delete Determine Download End
Explain Export Find Halt Hold Import Inject List Make Manage Move Open Pause Place Print Quote Read Rebuild Record
Reduce Remove Request Reset Retry Run Scan Search Sell Send Serve Set Show Shuffle Silence Start Stop Stream Test
Trigger Watch
"""


def is_good(line: str) -> bool:
    """Whether it fits into a list and begins with a verb."""
    return 0 < len(line) <= 60 and line.split()[0].strip(",") in VERBS.split() and not line.endswith(".")


def test_a_line_in_a_list_fits_and_begins_with_a_verb() -> None:
    lines = every_list_line()
    assert [(name, line) for name, line in lines if not is_good(line)] == []
    assert len(lines) > 150
    assert not any(map(is_good, ("", "Show " + 60 * "x", "The orders", "Show the orders.")))


def test_a_line_read_from_the_source_is_that_of_the_command() -> None:
    for name in ENTRIES:
        command = root().get_command(None, name)
        first = (command.help or "").split("\n\n")[0]
        assert " ".join(summary(name).split()) == " ".join(first.split()).rstrip("."), name


def test_a_group_without_a_command_shows_its_help(capsys: Capture) -> None:
    assert main(["config"]) == 0
    assert "Usage: kalshi config" in capsys.readouterr().out


def test_version_names_python_and_platform(capsys: Capture) -> None:
    assert main(["--version"]) == 0
    out = capsys.readouterr().out
    assert out == f"kalshi {kalshi_cli.__version__} (Python {platform.python_version()}, {platform.platform()})\n"


@pytest.mark.parametrize("words", [["--version", "--json"], ["--json", "--version"], ["--version", "--format=ndjson"]])
def test_version_is_an_object_for_scripts(words: list[str], capsys: Capture) -> None:
    assert main(words) == 0
    versions = {"version": kalshi_cli.__version__, "python": platform.python_version(), "platform": platform.platform()}
    assert json.loads(capsys.readouterr().out) == versions


def test_the_shell_completes_command_names() -> None:
    done = run(env={**os.environ, "_KALSHI_COMPLETE": "complete_bash", "COMP_WORDS": "kalshi conf", "COMP_CWORD": "1"})
    assert done.stdout.split() == ["config"]


# -- usage --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["makrets"], "did you mean `kalshi markets`?"),
        (["markets", "--limit", "x"], "'x' is not a whole number"),
        (["api", "POST", "/orders", "--input", "missing.json"], "Cannot read missing.json: No such file"),
        (["orders"], "did you mean `kalshi order list`?"),
        (["order", "get", "abc"], "did you mean `kalshi order show ID`?"),
        (["order", "history"], "did you mean `kalshi order list --status all`?"),
        (["config", "shwo"], "did you mean `kalshi config show`?"),
        (["cancl-all"], "cancel all orders: `kalshi cancel-all`"),
        (["canel-all"], "cancel all orders: `kalshi cancel-all`"),
        (["Cancel-Al"], "cancel all orders: `kalshi cancel-all`"),
        (["killl"], "cancel all orders: `kalshi cancel-all`"),
        (["order", "canel-all"], "cancel all orders: `kalshi cancel-all`"),
        (["fils"], "did you mean `kalshi fills`?"),
        (["flaten"], "did you mean flatten? See `kalshi flatten -h`"),
        (["clos"], "did you mean close? See `kalshi close -h`"),
        (["resum"], "did you mean resume? See `kalshi resume -h`"),
        (["buuy", "X", "1"], "did you mean buy? See `kalshi buy -h`"),
        (["order", "cancl", "x"], "did you mean cancel? See `kalshi order cancel -h`"),
        (["zzzzzz"], "see `kalshi -h`"),
        (["completion"], "see `kalshi -h`"),
        (["config", "show", "--fromat", "json"], "did you mean --format?"),
        (["config", "show", "--columns", "env"], "choose fields with --fields"),
        (["markets", "--fieds", "ticker"], "did you mean --fields?"),
        (["close", "KX", "5"], "`kalshi close TICKER --count 5`"),
        (["pnl", "--today"], "or --since 24h"),
        (["order", "list", "--ndjson"], "use --format ndjson"),
        (["order", "list", "--csv"], "use --format csv"),
        (["positions", "--limit", "5"], "this list has no limit"),
        (["buy", "KX", "10", "@37c", "--limit"], "every order has a limit price"),
        (["buy", "KX", "10", "@37c", "--ioc"], "did you mean --tif ioc?"),
        (["sell", "KX", "10", "@37c", "--fok"], "did you mean --tif fok?"),
        (["buy", "KX", "10", "--market"], "there are no market orders"),
        (["buy", "--ticker", "KX", "--count", "1"], "write `kalshi buy TICKER COUNT @PRICE`"),
        (["buy", "KX", "10", "@37c", "--postonly"], "did you mean --post-only?"),
        (["help", "buy"], "did you mean `kalshi buy -h`?"),
        (["help", "frobnicate"], "see `kalshi -h`"),
        (["buy", "KX", "yes", "10", "@37c"], "without --no it trades YES: `kalshi buy KX 10 @37c`"),
        (["sell", "KX", "10", "@37c", "no"], "for NO: `kalshi sell KX 10 @37c --no`"),
        (["buy", "10", "KXHIGH-26NOV21-B53.5", "@37c"], "`kalshi buy KXHIGH-26NOV21-B53.5 10 @37c`"),
        (["close", "KX", "--max-slippage", "1.5"], "a distance is between $0 and $0.9999"),
        (["config", "show", "surplus"], "see `kalshi config show -h`"),
        (["config", "show", "--format", "jsn"], "did you mean json?"),
        (["config", "show", "--env", "prdo"], "did you mean prod?"),
        (["order", "place", "KX", "--side", "yes", "--action", "buy", "--count", "1", "--price", "47"], "0.47"),
        (
            ["order", "place", "KX", "--side", "yes", "--action", "buy", "--count", "0", "--price", "0.47"],
            "greater than zero",
        ),
    ],
)
def test_a_wrong_line_ends_with_2_and_says_what_was_meant(words: list[str], said: str, capsys: Capture) -> None:
    assert main(words) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith("error: ")
    assert said in shown.err
    assert "Traceback" not in shown.err


@pytest.mark.parametrize("words", [["--json", "orderbook"], ["config", "show", "--format=json", "--nonsense"]])
def test_with_json_an_error_is_one_object_on_stderr(words: list[str], capsys: Capture) -> None:
    assert main(words) == ExitCode.USAGE
    shown = capsys.readouterr()
    assert shown.out == ""
    error = json.loads(shown.err)["error"]
    assert set(error) == {"code", "message", "hint", "exit_code"}
    assert (error["code"], error["exit_code"]) == ("usage", 2)


def test_after_two_dashes_nothing_is_an_option(capsys: Capture) -> None:
    assert main(["strategies", "--", "--json"]) == ExitCode.USAGE
    assert capsys.readouterr().err.startswith("error: Unknown strategy: '--json'")


def test_escapes_on_the_command_line_do_not_reach_the_terminal(capsys: Capture) -> None:
    assert main(["\x1b[31mmarkets\x9b2J"]) == ExitCode.USAGE
    assert not set(capsys.readouterr().err) & {"\x1b", "\x9b"}


# -- global options -----------------------------------------------------------------------------------------------


def shown_env(capsys: Capture, *words: str) -> str:
    assert main([*words]) == 0
    return {row["path"]: row for row in json.loads(capsys.readouterr().out)}["env"]["value"]


def test_global_options_stand_on_either_side_of_the_command(capsys: Capture) -> None:
    assert shown_env(capsys, "--env", "demo", "--json", "config", "show") == "demo"
    assert shown_env(capsys, "config", "--env", "demo", "show", "--json") == "demo"
    assert shown_env(capsys, "config", "show", "--json", "--env=demo") == "demo"


def test_a_terminal_shows_the_default_environment(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert main(["config", "show", "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "Simulated exchange: no account, no real money. To change: kalshi init, --env\n"
    json.loads(shown.out)
    for chosen in (["-q"], ["--env", "sim"]):
        assert main(["config", "show", *chosen]) == 0
        assert capsys.readouterr().err == ""
    monkeypatch.setenv("KALSHI_ENV", "demo")
    assert main(["config", "show"]) == 0
    assert capsys.readouterr().err == ""


def test_the_default_environment_is_shown_once_a_day_and_never_in_a_pipe(
    home: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["config", "show"]) == 0
    assert capsys.readouterr().err == ""
    assert list(home.iterdir()) == []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    state = home / "state"
    (state / "sim").mkdir(parents=True, mode=0o700)
    shown = []
    for _ in range(2):
        assert main(["config", "show", "--state", str(state)]) == 0
        shown.append(capsys.readouterr().err)
    marker = state / "sim" / ".environment-shown"
    os.utime(marker, (1_000_000_000, 1_000_000_000))
    assert main(["config", "show", "--state", str(state)]) == 0
    shown.append(capsys.readouterr().err)
    assert [bool(each) for each in shown] == [True, False, True]


def test_quiet_is_of_one_invocation_only(capsys: Capture) -> None:
    main(["-q", "config", "check"])
    assert capsys.readouterr().err == ""
    main(["config", "check"])
    assert capsys.readouterr().err != ""


def test_a_variable_that_nothing_reads_is_named_by_the_check(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KALSHI_FORMAT", "json")
    assert main(["-q", "config", "check"]) == 0
    assert capsys.readouterr().err == "Nothing reads the variable KALSHI_FORMAT: see `kalshi config show`\n"
    assert main(["config", "show"]) == 0
    assert "KALSHI_FORMAT" not in capsys.readouterr().err, "a script is not told at every command"


def test_quiet_does_not_silence_errors(capsys: Capture) -> None:
    assert main(["-q", "marketz"]) == 2
    assert "error: " in capsys.readouterr().err


# -- the configuration commands -----------------------------------------------------------------------------------


def test_a_broken_configuration_lists_every_problem_and_ends_with_2(home: Path, capsys: Capture) -> None:
    (home / "config.yaml").write_text("env: dmeo\nrisk:\n  max_positon: 5\n")
    assert main(["config", "check"]) == ExitCode.USAGE
    err = capsys.readouterr().err
    assert "2 problems" in err
    assert "env" in err
    assert "did you mean max_position?" in err
    assert main(["config", "check", "--json"]) == ExitCode.USAGE
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "config"
    assert [problem.split(":")[0] for problem in error["problems"]] == ["env", "risk.max_positon"]


def test_a_good_configuration_is_ok(home: Path, capsys: Capture) -> None:
    (home / "config.yaml").write_text("env: demo\n")
    assert main(["config", "check"]) == 0
    assert capsys.readouterr().err.startswith("OK: ")


def test_the_strategies_of_the_configuration_are_checked_with_everything_else(home: Path, capsys: Capture) -> None:
    strategies = "strategies:\n  spkie: {move: 4c}\n  threshold: {buy_belwo: 4c}\n"
    (home / "config.yaml").write_text(f"alerts: {{fallback: phone}}\n{strategies}")
    assert main(["config", "check"]) == ExitCode.USAGE
    err = capsys.readouterr().err
    for problem in (
        "alerts.fallback: no such alert channel: phone",
        "strategies.spkie: no such strategy; did you mean spike?",
        "strategies.threshold: buy_belwo: no such parameter; did you mean buy_below?",
    ):
        assert problem in err


def test_a_strategy_of_ones_own_may_be_configured_by_its_name_alone(home: Path, capsys: Capture) -> None:
    (home / "config.yaml").write_text("strategies: {fade: {edge: 2c}}\n")
    assert main(["config", "check"]) == 0
    remark = "strategies.fade is kept for a strategy of your own; no built-in or installed strategy has that name"
    assert remark in capsys.readouterr().err


def test_config_path_names_the_files_and_makes_none(home: Path, capsys: Capture) -> None:
    before = sorted(home.rglob("*"))
    assert main(["config", "path", "--json", "--env", "demo", "--state", str(home / "state")]) == 0
    found = {row["what"]: row for row in json.loads(capsys.readouterr().out)}
    assert found["state"] == {"what": "state", "path": str(home / "state" / "demo"), "exists": False}
    assert sorted(home.rglob("*")) == before


def test_a_key_id_is_masked_in_what_is_shown_and_in_errors(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = "canary-0000-1111-key-id"
    monkeypatch.setenv("KALSHI_API_KEY_ID", secret)
    assert main(["config", "show", "--env", "demo"]) == 0
    assert secret not in capsys.readouterr().out
    report(RuntimeError(f"in a header: {secret}"), [], is_verbose=False)
    assert secret not in capsys.readouterr().err


@pytest.mark.parametrize("words", [["health-check"], ["doctor", "--json"]])
def test_plugins_end_with_3_where_they_cannot_find_out(words: list[str], home: Path, capsys: Capture) -> None:
    (home / "config.yaml").write_text("env: dmeo\n")
    assert main(words) == shell.PLUGIN_UNKNOWN
    assert main([*words, "--nonsense"]) == shell.PLUGIN_UNKNOWN
    assert main(["--env", "demo", *words, "--nonsense"]) == shell.PLUGIN_UNKNOWN
    assert main(["config", "check"]) == ExitCode.USAGE
    capsys.readouterr()


# -- errors -------------------------------------------------------------------------------------------------------


def every_error() -> list[type[KalshiError]]:
    return [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, KalshiError)]


@pytest.mark.parametrize("kind", every_error())
def test_an_error_is_a_message_a_hint_and_its_exit_code(kind: type[KalshiError], capsys: Capture) -> None:
    assert report(kind("it broke", hint="mend it"), [], is_verbose=False) == kind.exit_code
    assert capsys.readouterr().err == "error: it broke\nhint: mend it\n"
    assert report(kind("it broke", hint="mend it", code="x"), ["--json"], is_verbose=False) == kind.exit_code
    expected = {"code": "x", "message": "it broke", "hint": "mend it", "exit_code": int(kind.exit_code)}
    assert json.loads(capsys.readouterr().err) == {"error": expected}


def raised(secret: str) -> RuntimeError:
    """A bug, deep in a function that holds a secret."""

    def deep(private_key: str) -> None:
        raise RuntimeError(f"bad key {private_key}")

    try:
        deep(secret)
    except RuntimeError as error:
        return error
    raise AssertionError


PEM = "-----BEGIN PRIVATE KEY-----\nCANARY\n-----END PRIVATE KEY-----"


def test_a_bug_shows_a_traceback_without_locals_and_without_secrets(capsys: Capture) -> None:
    assert report(raised(PEM), [], is_verbose=False) == ExitCode.BUG
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert 'raise RuntimeError(f"bad key {private_key}")' in err
    assert "CANARY" not in err


def test_a_bug_with_json_is_one_object_with_the_traceback_inside(capsys: Capture) -> None:
    assert report(raised(PEM), ["--json"], is_verbose=False) == ExitCode.BUG
    shown = json.loads(capsys.readouterr().err)["error"]
    assert shown["code"] == "bug"
    assert "Traceback" in shown["traceback"]
    assert "CANARY" not in str(shown)


def test_verbose_shows_where_an_expected_error_came_from(home: Path, capsys: Capture) -> None:
    (home / "config.yaml").write_text("env: dmeo\n")
    assert main(["-v", "config", "show"]) == 2
    assert "Traceback" in capsys.readouterr().err
    assert main(["config", "show"]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_a_signal_ends_with_its_code_and_no_traceback(
    number: signal.Signals, code: int, said: str, flags: tuple[str, ...]
) -> None:
    words = ("--env", "sim", "order", "cancel", "-", *flags)
    with start_program(words, os.environ, Path.cwd(), stdin=subprocess.PIPE) as it:
        assert it.stdin is not None
        assert it.stderr is not None
        waits_for_input(it.pid)
        it.send_signal(number)
        err = it.stderr.read()
        assert it.wait(30) == code
    if not flags:
        assert err == f"{said}\n"
        return
    (line,) = err.splitlines()
    assert json.loads(line) == {
        "error": {"code": said, "message": f"The command was {said}", "hint": NOTHING_OUTSTANDING, "exit_code": code}
    }


def waits_for_input(pid: int) -> None:
    """Until the process sleeps in a read of a pipe."""
    import time

    for _ in range(500):
        try:
            if "pipe" in Path(f"/proc/{pid}/wchan").read_text():
                return
        except OSError:
            break
        time.sleep(0.02)
    time.sleep(1.0)


def buffered(unbuffered: str | None) -> dict[str, str]:
    """The variables of an interpreter with a buffer or without, or as this one is: the latter takes no fresh start."""
    others = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return dict(os.environ) if unbuffered is None else {**others, "PYTHONUNBUFFERED": unbuffered}


@pytest.mark.parametrize(
    ("words", "code", "said", "unbuffered"),
    [
        (["config", "show"], 0, "", ""),
        (["config", "show"], 0, "", "1"),
        (["health-check"], 0, "", None),
        (["markets", "--format", "ndjson"], 0, "", None),
        (["order", "cancel", "no-such-order"], ExitCode.REJECTED, "error: The order was not canceled", ""),
        (["order", "cancel", "no-such-order"], ExitCode.REJECTED, "error: The order was not canceled", "1"),
    ],
)
def test_a_broken_pipe_is_silent_and_changes_no_exit_code(
    words: list[str], code: int, said: str, unbuffered: str | None, home: Path, begin: Callable[[Path], None]
) -> None:
    begin(home / "state")
    env = {**buffered(unbuffered), "KALSHI_STATE": str(home / "state")}
    with start_program(("-q", "--env", "sim", *words), env, home) as it:
        assert it.stdout is not None
        assert it.stderr is not None
        it.stdout.close()
        err = it.stderr.read()
        assert it.wait(60) == code
    assert err.startswith(said)
    assert "Broken" not in err
    assert "Traceback" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_is_an_error_of_one_line(unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        done = run_program(("--env", "sim", "config", "show"), buffered(unbuffered), Path.cwd(), stdout=full)
    assert done.returncode == ExitCode.FAILED
    assert done.stderr.startswith("error: No space left on device: the output was not written\n")
    assert "then run the command again" in done.stderr
    assert "sent" not in done.stderr, "this command sends nothing"
    assert done.stderr.count("\n") == 2


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_of_which_only_the_first_part_fits_is_an_error(unbuffered: str, tmp_path: Path) -> None:
    """A short write is not an error of the system: only the next one tells that the disk is full."""
    fits = 512
    command = [sys.executable, "-m", "kalshi_cli", "--env", "sim", "config", "show", "--json"]
    with (tmp_path / "config.json").open("w") as cut:
        done = subprocess.run(
            command, stdout=cut, stderr=subprocess.PIPE, text=True, timeout=60,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONDONTWRITEBYTECODE": "1"},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (fits, fits)),
        )  # fmt: skip
    assert (tmp_path / "config.json").stat().st_size == fits, "the first part was written"
    assert done.returncode == ExitCode.FAILED
    assert json.loads(done.stderr)["error"]["message"] == "File too large: the output was not written"


@pytest.mark.parametrize("is_json", [True, False])
def test_a_closed_stdout_is_an_error_of_one_line_and_a_command_without_output_needs_none(is_json: bool) -> None:
    def run_closed(*words: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "kalshi_cli", *words, *(["--json"] if is_json else [])]
        closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
        return subprocess.run(closed, stderr=subprocess.PIPE, text=True, timeout=60, env=env)

    done = run_closed("config", "path")
    assert done.returncode == ExitCode.FAILED
    said = json.loads(done.stderr)["error"]["message"] if is_json else done.stderr.splitlines()[0]
    assert said.removeprefix("error: ") == "Standard output is closed: the output was not written"
    assert "Traceback" not in done.stderr
    if not is_json:
        assert run_closed("config", "check").returncode == 0, "it writes nothing to stdout"
        nowhere = {"KALSHI_ENV": "demo", "KALSHI_REST_URL": "http://127.0.0.1:9/trade-api/v2"}
        health = run_closed("health-check", env={**os.environ, **nowhere, "KALSHI_WS_URL": "ws://127.0.0.1:9/"})
        assert health.returncode == 2, "the exit code of a command that failed says more"
        assert "error: Standard output is closed: the output was not written\n" in health.stderr


@pytest.mark.parametrize("by_option", [True, False])
def test_the_path_of_a_missing_configuration_is_shown(
    by_option: bool, home: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = home / "missing" / "config.yaml"
    if not by_option:
        monkeypatch.setenv("KALSHI_CONFIG", str(missing))
    words = ["config", "path", "--json", *(["--config", str(missing)] if by_option else [])]
    assert main(words) == 0
    out, err = capsys.readouterr()
    rows = {row["what"]: row for row in json.loads(out)}
    assert (rows["configuration"]["path"], rows["configuration"]["exists"]) == (str(missing), False)
    assert err.startswith(f"No configuration file at {missing}")
    assert err.count("\n") == 1
    assert main(["config", "show", *words[3:]]) == ExitCode.USAGE, "every other command stops"
    assert list(home.iterdir()) == []


def test_the_bare_environment_of_cron_is_enough(home: Path) -> None:
    done = run("config", "show", "--env", "sim", env={"PATH": os.defpath}, cwd=home)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout


def test_a_terminal_that_knows_only_ascii_gets_something_it_can_show() -> None:
    done = run(
        "config", "path", "--env", "sim", "--state", "/tmp/Zürich", env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    assert done.returncode == 0, done.stderr
    assert "Z?rich" in done.stdout


def test_flags_start_out_as_not_given() -> None:
    flags = GlobalOptions()
    assert (flags.env, flags.config, flags.state, flags.form, flags.tz, flags.started_s) == (None,) * 6
    assert (flags.verbose, flags.allow_hosts) == (False, [])


def test_a_stderr_that_cannot_be_written_stops_nothing(home: Path) -> None:
    """A full log disk, a terminal that is gone: the remark is lost, the work is done, the exit code is its own."""
    with open("/dev/full", "w") as full:
        ended = run_program(("config", "path", "--json"), os.environ, home, stderr=full)
    assert ended.returncode == 0
    assert json.loads(ended.stdout)


@pytest.mark.parametrize(
    "words",
    [("cancel-all", "--ticker", ""), ("cancel-all", "--event", " "), ("trade", "--strategy", "spike", "--ticker", ",")],
)
def test_an_empty_choice_is_not_taken_for_everything(words: tuple[str, ...], home: Path, capsys: Capture) -> None:
    assert main(words) == ExitCode.USAGE
    assert " empty" in capsys.readouterr().err
    assert list(home.iterdir()) == []
