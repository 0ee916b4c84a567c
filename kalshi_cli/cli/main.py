"""`kalshi`: the list of commands, and the one place that catches."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from itertools import pairwise
from typing import Any, NamedTuple

import typer
from typer.core import TyperOption
from typer.main import get_group, get_install_completion_arguments

from kalshi_cli.base.errors import ExitCode, KalshiError, OutcomeUnknownError, TerminationRequested, UsageError
from kalshi_cli.base.text import conceal_key, holds_private_key, one_line, redact, safe_lines, safe_text
from kalshi_cli.cli.options import GlobalOptions, HelpGroup
from kalshi_cli.cli.screen.output import close_out, flush_out, set_quiet, warn, write_out


class CommandEntry(NamedTuple):
    """A command: the file in this package that has it, and its line in the list."""

    file: str
    summary: str


SECTIONS: dict[str, dict[str, CommandEntry]] = {
    "Market data": {
        "markets": CommandEntry("markets", "List markets."),
        "market": CommandEntry("market", "One market on one screen."),
        "events": CommandEntry("events", "List events."),
        "event": CommandEntry("events", "An event and its markets."),
        "series": CommandEntry("events", "List series."),
        "series-info": CommandEntry("events", "A series, with all it has."),
        "orderbook": CommandEntry("markets", "The book of a market: bids and implied asks."),
        "trades": CommandEntry("history", "Public trades of a market."),
        "candles": CommandEntry("history", "Prices by the minute, hour or day; a chart."),
        "exchange": CommandEntry("market", "Whether the exchange and trading are up."),
        "watch": CommandEntry("watch", "Markets as they move, from the stream."),
        "catalogue": CommandEntry("catalog", "The local list, for search and completion."),
        "scan": CommandEntry("scan", "What is worth a look among all markets, net of fees."),
    },
    "More market data": {
        "milestones": CommandEntry("market_data", "Games and other things that events follow from."),
        "live": CommandEntry("market_data", "What is known right now of an event or a game."),
        "incentives": CommandEntry("market_data", "Rewards for trading."),
        "targets": CommandEntry("market_data", "Teams and others that markets are about."),
        "tags": CommandEntry("market_data", "Categories of series, and sports."),
    },
    "Orders": {
        "buy": CommandEntry("short_orders", "Buy contracts: kalshi buy TICKER 10 @0.24."),
        "sell": CommandEntry("short_orders", "Sell contracts: kalshi sell TICKER 10 @0.30."),
        "cancel": CommandEntry("orders", "Cancel orders by id."),
        "order": CommandEntry("orders", "Place, list and cancel orders."),
        "cancel-all": CommandEntry("cancel_all", "The kill switch: halt and cancel everything."),
        "close": CommandEntry("close", "Out of a position, at bounded prices."),
        "flatten": CommandEntry("close", "Out of every position."),
    },
    "Quotes and combos": {
        "rfq": CommandEntry("rfq", "Ask makers for quotes, and accept one."),
        "quote": CommandEntry("quote", "Quote what others ask for."),
        "combos": CommandEntry("combos", "Markets made of markets."),
    },
    "Portfolio": {
        "portfolio": CommandEntry("portfolio", "Show cash, positions, risk and today's P&L."),
        "balance": CommandEntry("portfolio", "Cash by shard, and what the positions are worth."),
        "positions": CommandEntry("portfolio", "What is held, and at what price it could be closed."),
        "fills": CommandEntry("portfolio", "Trades of the account."),
        "settlements": CommandEntry("portfolio", "Markets that paid out."),
        "pnl": CommandEntry("portfolio", "Profit and loss, in parts that add up."),
        "execution": CommandEntry("execution", "How soon orders are placed, and what of their edge is kept."),
        "export": CommandEntry("export", "Fills, profit and loss, tax lots: for a spreadsheet."),
    },
    "Funds": {
        "transfer": CommandEntry("transfer", "Move cash between shards."),
        "allocation": CommandEntry("allocation", "Let the exchange spread cash over the shards."),
        "subaccounts": CommandEntry("subaccounts", "Pockets of the account."),
        "deposits": CommandEntry("cash_history", "Money that came in."),
        "withdrawals": CommandEntry("cash_history", "Money that went out."),
    },
    "Trading": {
        "trade": CommandEntry("runs", "Run strategies until stopped."),
        "backtest": CommandEntry("runs", "Run a strategy over recordings."),
        "record": CommandEntry("runs", "Write the stream of some markets to a file."),
        "status": CommandEntry("runs", "What runs here, and how it is doing."),
        "why": CommandEntry("why", "Why nothing was traded: what was wanted, and what refused it."),
        "pause": CommandEntry("halts", "No new orders until resume."),
        "resume": CommandEntry("halts", "Leave a halt or a pause."),
        "stop": CommandEntry("halts", "Stop the running loop in good order."),
        "lock": CommandEntry("locks", "Open nothing in a market for a while."),
        "unlock": CommandEntry("locks", "End a lock before its time."),
        "strategies": CommandEntry("strategies", "The strategies and their parameters; a new one."),
    },
    "Operations": {
        "init": CommandEntry("init", "Set up: environment, key, limits, whom to tell."),
        "health-check": CommandEntry("health", "Is everything in place to trade?"),
        "doctor": CommandEntry("health", "Another name for health-check."),
        "runbook": CommandEntry("runbook", "What to do, step by step; needs no network."),
        "limits": CommandEntry("limits", "How fast the account may ask."),
        "keys": CommandEntry("cash_history", "API keys, and what each may do."),
        "api": CommandEntry("api", "A signed raw call."),
        "check": CommandEntry("check", "Monitoring checks of the account, the loop and the exchange."),
        "alerts": CommandEntry("alerts", "What is firing, undelivered or silenced."),
        "state": CommandEntry("state", "The state file, made anew."),
        "sim": CommandEntry("simulator", "The simulated exchange."),
        "config": CommandEntry("config", "Show, find and check the configuration."),
    },
}
"""Every command. A file is imported when its command runs, so that the list costs nothing."""

ENTRIES = {name: entry for section in SECTIONS.values() for name, entry in section.items()}

EXAMPLES = """\b
Examples:
  kalshi markets --status open --limit 10
  kalshi orderbook TICKER --env prod
  kalshi order place TICKER --side yes --action buy --count 10 --price 0.24
  kalshi positions --json
  kalshi trade --strategy spike --duration 10m
"""


@cache
def _commands(file: str) -> Any:
    """What a file of commands has, read off its functions once."""
    return get_group(import_module(f"kalshi_cli.cli.commands.{file}").app)


class Root(HelpGroup):
    """The top: names are known at once, commands are loaded when they are called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(ENTRIES)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The command of that name in its file, else the whole file as a group."""
        if cmd_name not in ENTRIES:
            return None
        group = _commands(ENTRIES[cmd_name].file)
        return group.commands.get(cmd_name, group)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        for title, entries in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry.summary) for name, entry in entries.items()])


def _print_version(ctx: typer.Context, param: typer.CallbackParam, value: bool) -> None:  # noqa: ARG001 - a callback
    if value:
        import platform

        from kalshi_cli import __version__

        write_out(f"kalshi {__version__} (Python {platform.python_version()}, {platform.platform()})\n")
        raise typer.Exit(0)


def root() -> Root:
    """The command tree, as far as it is known before a command is named."""
    version = TyperOption(
        param_decls=["--version"],
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_print_version,
        help="Print version, Python and platform.",
    )
    return Root(
        name="kalshi",
        params=[version, *get_install_completion_arguments()],
        help="Trade Kalshi event contracts from the command line.",
        epilog=EXAMPLES,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
        rich_markup_mode=None,
    )


# -- the one try/except -------------------------------------------------------------------------------------------

PLUGINS = ("check", "health-check", "doctor")
"""Monitoring plug-ins: they end with 0 to 3, and not being able to find out is 3."""
PLUGIN_UNKNOWN = 3

CliUsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What the parser raises for a wrong line; typer has no public name for it."""


def main(argv: Sequence[str] | None = None, *, started_s: float | None = None) -> int:
    """Run one command line; the exit code. Nothing is raised, and a traceback is shown only for a bug.

    `started_s` is when this program was started, on the monotonic clock: some commands end in time, from then on.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    flags = GlobalOptions(started_s=started_s)
    set_quiet(False)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without this character is no reason to fail
    try:
        return _run(words, flags)
    except BrokenPipeError:
        return ExitCode.OK
    except (KeyboardInterrupt, typer.Abort) as error:
        if (left := cut_off(error)) is not None:
            return report(left, words, is_verbose=flags.verbose)
        warn("terminated" if isinstance(error, TerminationRequested) else "interrupted")
        return exit_code_after(error)
    except Exception as error:
        if "_KALSHI_COMPLETE" in os.environ:
            return ExitCode.FAILED  # a word that cannot be completed is no reason to write over a command line
        return report(error, words, is_verbose=flags.verbose)
    finally:
        close_out()


def cut_off(error: BaseException) -> OutcomeUnknownError | None:
    """Find the doubt behind an interrupt: it ended a write, or kept an earlier doubt from being told."""
    chain: BaseException | None = error
    while chain is not None:
        if isinstance(chain, OutcomeUnknownError):
            return chain
        if isinstance(chain.__cause__, OutcomeUnknownError):
            return chain.__cause__
        chain = None if chain.__suppress_context__ else chain.__context__
    return None


def exit_code_after(interrupt: BaseException) -> ExitCode:
    """Return what the program ends with after an interrupt, wherever that came."""
    if cut_off(interrupt) is not None:
        return ExitCode.UNKNOWN_OUTCOME
    return ExitCode.TERMINATED if isinstance(interrupt, TerminationRequested) else ExitCode.INTERRUPTED


def _run(words: Sequence[str], flags: GlobalOptions) -> int:
    if "_KALSHI_COMPLETE" in os.environ:
        root().main(args=list(words), prog_name="kalshi", obj=flags)
    if torn := [word for word in words if not word.isascii() and not _is_utf8(word)]:
        raise UsageError(f"not UTF-8: {torn[0][:40]!r}", hint="type it again; JSON cannot hold it")
    if keys := [word for word in words if holds_private_key(word)]:
        conceal_key("\n".join(keys))
        raise UsageError(
            "a private key on the command line; it was not used, kept or shown",
            hint="name the file that holds it, and make a new key: the history of the shell has this one",
            code="private_key",
        )
    try:
        with root().make_context("kalshi", list(words), obj=flags) as ctx:
            code = int(ctx.command.invoke(ctx) or 0)
    except typer.Exit as end:
        code = end.exit_code
    flush_out()
    return code


def _is_utf8(word: str) -> bool:
    """Bytes of a command line that are none reach us as halves of characters, which nothing can write."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


def report(error: Exception, words: Sequence[str], *, is_verbose: bool) -> int:
    """Say what went wrong, in one line or in one JSON object, and choose the exit code."""
    known = _known(error)
    command = _command(words)
    code = PLUGIN_UNKNOWN if command in PLUGINS else int(known.exit_code)
    if command == "check":
        from kalshi_cli.cli.commands.check import show_unknown

        with suppress(OSError):  # a full disk: the exit code says it
            show_unknown(words[words.index("check") + 1 :], known.message, is_json=_wants_json(words))
    trace = _trace(error) if is_verbose or isinstance(known, _BugError) else ""
    if _wants_json(words):
        import json

        body: dict[str, object] = {"code": known.code, "message": safe_lines(redact(known.message))}
        body |= {"hint": safe_lines(redact(known.hint)), "exit_code": code} | ({"traceback": trace} if trace else {})
        warn(json.dumps({"error": body}))
        return code
    if trace:
        warn(*trace.splitlines())
    warn(*f"error: {known.message}".split("\n"))
    if known.hint:
        warn(f"hint: {known.hint}")
    return code


class _BugError(KalshiError):
    exit_code = ExitCode.BUG
    default_code = "bug"


def _known(error: Exception) -> KalshiError:
    """Any exception as one of ours, with a hint."""
    if isinstance(error, KalshiError):
        return error
    if isinstance(error, CliUsageError):
        return _usage(error)
    if isinstance(error, OSError):
        where = f": {error.filename}" if error.filename else ""
        return KalshiError(f"{error.strerror or error}{where}", hint="check the path, its permissions and the disk")
    return _BugError(
        f"a bug in kalshi: {type(error).__name__}: {safe_text(redact(str(error)), 300)}",
        hint="please report it with the traceback; it holds no secrets",
    )


def _usage(error: Any) -> UsageError:
    """The parser's complaint, with the nearest option or the help to read."""
    near = getattr(error, "possibilities", None)
    path = error.ctx.command_path if error.ctx is not None else "kalshi"
    message = (error.message if near else error.format_message()).rstrip(".")
    return UsageError(
        message[:1].lower() + message[1:], hint=f"did you mean {near[0]}?" if near else f"see `{path} -h`"
    )


def _trace(error: Exception) -> str:
    """Return the lines of the stack, then each error in one line: without values of variables, and without secrets."""
    entries = (redact(entry.rstrip()) for entry in traceback.format_exception(error))
    return "\n".join(entry if entry.startswith(_OF_STACK) else one_line(entry) for entry in entries)


_OF_STACK = ("  File ", "Traceback ", "\n")
"""The first words of those lines of a traceback that quote no text from outside."""


# -- what must be known even of a line that cannot be parsed ------------------------------------------------------


def _wants_json(words: Sequence[str]) -> bool:
    """Were errors asked for as JSON? The last word on the format decides, as in the parser."""
    form = ""
    given = list(words[: words.index("--")] if "--" in words else words)
    for word, after in pairwise([*given, ""]):
        if word == "--json":
            form = "json"
        elif word == "--format":
            form = after
        elif word.startswith("--format="):
            form = word.removeprefix("--format=")
    return form in ("json", "ndjson")


_TAKES_VALUE = ("--env", "--config", "--state", "--format", "--allow-host")


def _command(words: Sequence[str]) -> str:
    """The first word that is neither an option nor the value of one."""
    before = ""
    for word in words:
        if not word.startswith("-") and before not in _TAKES_VALUE:
            return word
        before = word
    return ""
