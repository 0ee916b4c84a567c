"""The `kalshi` program: the list of commands, and the only place that catches every exception."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from errno import EBADF
from functools import cache
from importlib import import_module
from itertools import pairwise
from signal import SIGINT
from typing import Any, cast

import typer
from typer.core import TyperOption
from typer.main import get_group, get_install_completion_arguments

from kalshi_cli.base.errors import ExitCode, KalshiError, TerminationRequested, UsageError, cut_off
from kalshi_cli.base.text import conceal_key, holds_private_key, one_line, redact, safe_lines, safe_text
from kalshi_cli.cli.global_options import TAKES_VALUE, GlobalOptions
from kalshi_cli.cli.parameters import HelpGroup
from kalshi_cli.cli.screen import output
from kalshi_cli.cli.screen.help_text import write_list
from kalshi_cli.cli.unknown_options import option_hint

SECTIONS: dict[str, tuple[str, ...]] = {
    "Get started": ("init", "health-check", "config", "sim", "runbook"),
    "Markets": (
        "markets", "market", "orderbook", "trades", "candles", "watch", "watchlist", "scan", "events", "event",
        "series", "series-info", "exchange",
    ),
    "Orders": ("buy", "sell", "cancel", "order", "close", "flatten", "cancel-all", "resume", "lock", "unlock"),
    "Portfolio": (
        "portfolio", "balance", "positions", "fills", "settlements", "pnl", "execution", "export", "top", "serve",
    ),
    "Automated trading": ("trade", "strategies", "status", "why", "pause", "stop"),
    "Research": ("record", "backtest", "data", "optimize"),
    "Monitoring": ("check", "alerts", "state"),
    "Account and funds": ("transfer", "allocation", "subaccounts", "deposits", "withdrawals", "keys", "limits"),
    "Advanced": (
        "rfq", "quote", "combos", "catalog", "live", "milestones", "incentives", "targets", "tags", "api", "schema",
    ),
}  # fmt: skip
"""Every command, in the order of the help."""

_FILES: dict[str, tuple[str, ...]] = {
    "cash_history": ("deposits", "withdrawals", "keys"),
    "close": ("flatten",),
    "events": ("event", "series", "series-info"),
    "halts": ("resume", "pause", "stop"),
    "health": ("health-check",),
    "history": ("trades", "candles"),
    "lake": ("data",),
    "locks": ("lock", "unlock"),
    "market": ("exchange",),
    "market_data": ("live", "milestones", "incentives", "targets", "tags"),
    "markets": ("orderbook",),
    "orders": ("cancel", "order"),
    "portfolio": ("balance", "positions", "fills", "settlements", "pnl"),
    "runs": ("trade", "status", "record", "backtest"),
    "short_orders": ("buy", "sell"),
    "simulator": ("sim",),
}
"""The commands that are not in a file of `commands` with their own name. A file is imported when its command runs."""

BASIC_SECTIONS = 4
"""The number of sections that `kalshi` prints without a command."""

_FILE_OF = {name: file for file, names in _FILES.items() for name in names}
ENTRIES = {name: _FILE_OF.get(name, name.replace("-", "_")) for names in SECTIONS.values() for name in names}
"""Every command, and the file in `commands` that implements it."""

ALIASES = {"doctor": "health-check", "catalogue": "catalog"}
"""Other names of commands, which the help does not list."""

EXAMPLES = """\b
Examples:
  kalshi markets --search "high temp" --limit 10
  kalshi orderbook TICKER --env prod
  kalshi buy TICKER 10 @0.24 --dry-run
  kalshi positions
  kalshi trade --strategy spike --duration 10m

kalshi COMMAND -h shows options and examples. Exit codes: docs/cli.md.
"""
_BARE = "kalshi.is_bare"
_JSON = "kalshi.wants_json"


@cache
def _commands(file: str) -> Any:
    """Import a file of commands and return its group."""
    return get_group(import_module(f"kalshi_cli.cli.commands.{file}").app)


@cache
def _source(file: str) -> str:
    """Return the text of a file of commands."""
    with open(f"{os.path.dirname(__file__)}/commands/{file}.py", encoding="utf-8") as source:  # pathlib takes twice
        return source.read()


def summary(name: str) -> str:
    """Return the line of a command in the list: the first sentence of its docstring or of its group's help.

    It is read from the source text, because importing every command takes longer than anything else in `kalshi -h`.
    """
    text = _source(ENTRIES[name])
    command = text.find(f'@app.command("{name}"')
    if command >= 0:
        return text[text.index('"""', command) + 3 :].partition("\n")[0].removesuffix(".")
    group = text.index("\napp = CommandGroup(")
    return text[text.index('"', group) + 1 :].partition(".")[0]


class Root(HelpGroup):
    """The `kalshi` command. It lists every command without an import and loads one when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(ENTRIES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        name = ALIASES.get(cmd_name, cmd_name)
        if name not in ENTRIES:
            return None
        group = _commands(ENTRIES[name])
        return group.commands.get(name, group)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        ctx.meta[_BARE] = not args
        ctx.meta[_JSON] = _wants_json(args)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        shown = list(SECTIONS.items())[: BASIC_SECTIONS if ctx.meta.get(_BARE) else None]
        for title, entries in shown:
            with formatter.section(title):
                write_list(formatter, [(name, summary(name)) for name in entries])

    def format_options(self, ctx: Any, formatter: Any) -> None:
        if not ctx.meta.get(_BARE):
            super().format_options(ctx, formatter)
            return
        self.format_commands(ctx, formatter)
        formatter.write("\nRunning trading: kalshi status, check, why, pause, resume, stop\n")
        formatter.write("Strategies: kalshi strategies, record, backtest, optimize, trade\n")
        formatter.write("Price alerts: kalshi alerts. Everything: kalshi -h\n")


def _print_version(ctx: typer.Context, param: typer.CallbackParam, value: bool) -> None:  # noqa: ARG001 - a callback
    if value:
        import platform

        from kalshi_cli.base.version import __version__

        python, system = platform.python_version(), platform.platform()
        if ctx.meta[_JSON]:
            import json

            output.write_out(json.dumps({"version": __version__, "python": python, "platform": system}) + "\n")
        else:
            output.write_out(f"kalshi {__version__} (Python {python}, {system})\n")
        raise typer.Exit(0)


def root() -> Root:
    """Return the command tree. Each command is loaded when it is called."""
    version = TyperOption(
        param_decls=["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Show version, Python and platform",
    )
    install, show = cast("list[TyperOption]", get_install_completion_arguments())
    install.help, show.help = "Install shell completion", "Print the shell completion script"
    return Root(
        name="kalshi",
        params=[version, install, show],
        help="Trade Kalshi event contracts from the command line.",
        epilog=EXAMPLES,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        rich_markup_mode=None,
    )


# -- the one try/except -------------------------------------------------------------------------------------------

PLUGINS = ("check", "health-check", "doctor")
"""Monitoring plug-ins: their exit codes are 0 to 3, and 3 is "could not find out"."""
PLUGIN_UNKNOWN = 3

CliUsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""The base of the parser's errors, for which typer has no public name."""


def main(argv: Sequence[str] | None = None, *, started_s: float | None = None, held: Sequence[int] = ()) -> int:
    """Run one command line and return its exit code. Nothing is raised; a traceback is shown only for a bug.

    `started_s` is the start of the program on the monotonic clock: the time limit of a check counts from it. `held` are
    the signals that arrived while the program was loading.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    flags = GlobalOptions(started_s=started_s)
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # the terminal may not have this character, nor the input a valid one
    try:
        if held:
            raise KeyboardInterrupt if held[0] == SIGINT else TerminationRequested
        return _run(words, flags)
    except BrokenPipeError:
        return ExitCode.OK
    except (KeyboardInterrupt, typer.Abort) as error:
        if (left := cut_off(error)) is not None:
            return report(left, words, is_verbose=flags.verbose)
        code = exit_code_after(error)
        if not _wants_json(words):
            output.warn(_SIGNALED[code])
        return _after_signal(code, words)
    except Exception as error:
        if "_KALSHI_COMPLETE" in os.environ:
            return ExitCode.FAILED  # an error message would overwrite the command line that is being typed
        return report(error, words, is_verbose=flags.verbose, order_id=flags.order_id, may_send=flags.may_write)
    finally:
        output.close_out()
        output.set_quiet(False)
        output.set_fields(())
        output.set_command(None)


_SIGNALED: dict[int, str] = {ExitCode.INTERRUPTED: "interrupted", ExitCode.TERMINATED: "terminated"}
"""Exit codes of a command that a signal ended, gracefully or not -> their codes in an error."""

NOTHING_OUTSTANDING = "no request is outstanding: nothing was sent, or each request was answered"
"""The hint of these errors: where a request was cut off, the exit code is 7."""


def _after_signal(code: int, words: Sequence[str]) -> int:
    """Return the exit code of a command; where a signal ended it and errors are JSON, write the error."""
    if code in _SIGNALED and _wants_json(words):
        _write_error(_SIGNALED[code], "The command was " + _SIGNALED[code], NOTHING_OUTSTANDING, code)
    return code


def exit_code_after(interrupt: BaseException) -> ExitCode:
    """Return the exit code of the program after an interrupt."""
    if cut_off(interrupt) is not None:
        return ExitCode.UNKNOWN_OUTCOME
    return ExitCode.TERMINATED if isinstance(interrupt, TerminationRequested) else ExitCode.INTERRUPTED


def _run(words: Sequence[str], flags: GlobalOptions) -> int:
    if "_KALSHI_COMPLETE" in os.environ:
        root().main(args=list(words), prog_name="kalshi", obj=flags)
    if torn := [word for word in words if not word.isascii() and not _is_utf8(word)]:
        raise UsageError(
            f"An argument is not valid UTF-8: {torn[0][:40]!r}", hint="type it again without the invalid characters"
        )
    if keys := [word for word in words if holds_private_key(word)]:
        conceal_key("\n".join(keys))
        raise UsageError(
            "A private key is on the command line; it was not used, stored or shown",
            hint="give the path of the key file, and create a new key: this one is in the history of the shell",
            code="private_key",
        )
    try:
        with root().make_context("kalshi", list(words), obj=flags) as ctx:
            code = int(ctx.command.invoke(ctx) or 0)
    except typer.Exit as end:
        code = end.exit_code
    try:
        output.flush_out()
    except OSError as error:
        if not code:
            raise
        output.warn(f"error: {_known(error).message}")  # and the code of the command stays: it says more
    if not code and flags.may_write and not output.has_reader():
        raise _output_lost("Nothing reads standard output")
    return _after_signal(code, words)


def _is_utf8(word: str) -> bool:
    """Return whether the word is valid UTF-8. Python decodes invalid bytes to lone surrogates."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def report(
    error: Exception, words: Sequence[str], *, is_verbose: bool, order_id: str = "", may_send: bool = False
) -> int:
    """Print the error, as lines or as one JSON object, and return the exit code.

    Of a lost output, the JSON object has the `order_id` that was in it, and the hint says what stays of a command that
    `may_send` an order.
    """
    known = _known(error)
    command = _command(words)
    code = PLUGIN_UNKNOWN if command in PLUGINS else int(known.exit_code)
    hint = _STAYS_SENT if known.code == OUTPUT_LOST and (may_send or command == "trade") else known.hint
    if command == "check":
        from kalshi_cli.cli.commands.check import show_unknown

        with suppress(OSError):  # a full disk; the exit code is still right
            show_unknown(words[words.index("check") + 1 :], known.message, is_json=_wants_json(words))
    trace = _trace(error) if is_verbose or isinstance(known, _BugError) else ""
    if _wants_json(words):
        about = order_id if known.code == OUTPUT_LOST else known.order_id
        more = {"details": getattr(known, "details", ""), "order_id": about, "problems": known.more, "traceback": trace}
        _write_error(known.code, known.message, hint, code, **{name: each for name, each in more.items() if each})
        return code
    if trace:
        output.warn(*trace.splitlines())
    output.warn(*f"error: {known.message}".split("\n"))
    if hint:
        output.warn(f"hint: {hint}")
    return code


def _write_error(code: str, message: str, hint: str, exit_code: int, **more: str | Sequence[str]) -> None:
    """Write an error to stderr as one JSON object on a line."""
    import json

    def safe(value: str | Sequence[str]) -> str | list[str]:
        return safe_lines(redact(value)) if isinstance(value, str) else [safe_lines(redact(each)) for each in value]

    texts = {"message": message, "hint": hint, **more}
    body = {"code": code, **{name: safe(each) for name, each in texts.items()}, "exit_code": int(exit_code)}
    output.warn(json.dumps({"error": body}), is_wrapped=False)


OUTPUT_LOST = "output_lost"
_STAYS_SENT = "only the output is lost: an order or a cancel that was sent stays sent (`kalshi order list`)"


class _BugError(KalshiError):
    exit_code = ExitCode.BUG
    default_code = "bug"


def _known(error: Exception) -> KalshiError:
    """Convert any exception to a KalshiError with a hint."""
    if isinstance(error, KalshiError):
        return error
    if isinstance(error, CliUsageError):
        return _usage(error)
    if isinstance(error, OSError) and error.filename == output.STDOUT:
        return _output_lost("Standard output is closed" if error.errno == EBADF else error.strerror or error)
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return KalshiError(f"{error.strerror or error}{where}", hint="check the path, its permissions and the disk")
    return _BugError(
        f"Bug in kalshi: {type(error).__name__}: {safe_text(redact(str(error)), 300)}",
        hint="please report it with the traceback, which contains no secrets",
    )


def _output_lost(why: object) -> KalshiError:
    return KalshiError(
        f"{why}: the output was not written",
        hint="only the output is lost: free space where it goes, or write it elsewhere, then run the command again",
        code=OUTPUT_LOST,
    )


_NUMBERS = {"int": "is not a whole number", "float": "is not a number"}
"""Words of the parser -> plain words."""


def _usage(error: Any) -> UsageError:
    """Convert an error of the parser; the hint is the nearest option or the help."""
    near = getattr(error, "possibilities", None)
    path = error.ctx.command_path if error.ctx is not None else "kalshi"
    message = (error.message if near else error.format_message()).rstrip(".")
    message = re.sub(r"is not a valid (int|float)( range)?$", lambda found: _NUMBERS[found[1]], message)
    hint = option_hint(path, getattr(error, "option_name", ""), near) or f"see `{path} -h`"
    if path in _EXTRA_WORDS and (extra := re.search(r"extra argument(?:\(s\))? \(([^\s)]+)\)", message)):
        hint = _EXTRA_WORDS[path].format(extra[1])
    return UsageError(message[:1].upper() + message[1:], hint=hint)


_EXTRA_WORDS = {
    "kalshi order amend": "write a new price as `kalshi order amend ID --price {}`",
    "kalshi lock": "write a time as `kalshi lock TICKER --for {}`",
    "kalshi fills": "for one market, write `kalshi fills --ticker {}`",
    "kalshi close": "to close a part, write `kalshi close TICKER --count {}`",
}
"""The hint of a word too many, by command."""


def _trace(error: Exception) -> str:
    """Return the stack, then one line for each error, without values of variables and without secrets."""
    entries = (redact(entry.rstrip()) for entry in traceback.format_exception(error))
    return "\n".join(entry if entry.startswith(_OF_STACK) else one_line(entry) for entry in entries)


_OF_STACK = ("  File ", "Traceback ", "\n")
"""The openings of traceback lines that quote no text from outside."""


# -- options of a command line that cannot be parsed ------------------------------------------------------


def _wants_json(words: Sequence[str]) -> bool:
    """Return whether the user asked for JSON errors: by one of several formats, which are refused, too."""
    given = list(words[: words.index("--")] if "--" in words else words)
    return any(
        word in ("--json", "--format=json", "--format=ndjson") or (word == "--format" and after in ("json", "ndjson"))
        for word, after in pairwise([*given, ""])
    )


def _command(words: Sequence[str]) -> str:
    """Return the first word that is neither an option nor the value of an option."""
    before = ""
    for word in words:
        if not word.startswith("-") and before not in TAKES_VALUE:
            return word
        before = word
    return ""
