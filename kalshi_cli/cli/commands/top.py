"""`kalshi top`: the terminal screen of an account."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.base.files import open_regular
from kalshi_cli.cli.options import account_opener, flags_of, require_extra
from kalshi_cli.cli.parameters import CommandGroup, flag, watchlist_option
from kalshi_cli.cli.screen.output import Format, info, write_out

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kalshi_cli.app.environment import Environment
    from kalshi_cli.app.kalshi import Kalshi
    from kalshi_cli.views.live import TopRow

app = CommandGroup("Watch and steer trading on one screen.")

STATUS_EVERY_MS = 5_000
START_S = 60.0
"""Seconds that a loop may take until it publishes events; the screen opens then in any case."""

MAX_LINES = 10


@app.command("top")
def top(
    ctx: typer.Context,
    plain: Annotated[bool, flag("--plain", "Print lines instead of a screen: for a screen reader or a pipe.")] = False,
    list_name: Annotated[str, watchlist_option()] = "",
) -> None:
    """Watch and steer trading on one screen.

    Show the running loop, or the account where none runs: equity, positions, live orders, fills, P&L by strategy,
    alerts and prices, and act on them with keys. `?` lists the keys. Leaving the screen does not stop a loop. With
    `--list` it opens with the list of markets, those of the watchlist first, also if no loop follows them.

    \b
    kalshi top
    kalshi top --list nfl
    kalshi top --plain
    """
    if flags_of(ctx).form not in (None, Format.TABLE, Format.PLAIN):
        raise UsageError("The screen has no such output format", hint="kalshi status --watch --format ndjson")
    open_account = account_opener(ctx)
    if plain:
        from kalshi_cli.tui.plain import lines

        with open_account() as kalshi:
            tickers = kalshi.markets.watchlist(list_name) if list_name else ()
            for text in lines(kalshi.trading.events(), STATUS_EVERY_MS, lambda: _prices(kalshi, tickers)):
                write_out(text + "\n", flush=True)
        return
    _require_terminal()
    from kalshi_cli.tui.app import TopApp

    tickers = ()
    if list_name:
        with open_account() as kalshi:
            tickers = kalshi.markets.watchlist(list_name)
    TopApp(open_account, SystemClock(), tickers).run_to_end()


def _prices(kalshi: Kalshi, tickers: Sequence[str]) -> tuple[TopRow, ...]:
    """Return the prices of a watchlist; rows that say why where they cannot be read."""
    from kalshi_cli.app.list_prices import empty_rows

    try:
        return kalshi.trading.best_prices(tickers) if tickers else ()
    except KalshiError as error:
        return empty_rows(tickers, f"cannot be read: {error.message}")


def _require_terminal() -> None:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("The screen needs a terminal", hint="kalshi top --plain prints lines")
    require_extra("screens", "textual")


def open_on_screen(ctx: typer.Context, environment: Environment) -> None:
    """Run this `kalshi trade` again as a loop in the background, without its screen, and follow it.

    The loop has a session of its own, so that neither a closed terminal nor the end of the screen ends it.
    """
    _require_terminal()
    from kalshi_cli.tui.app import TopApp

    folder = environment.homes[0].folder
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    output = folder / "loop.out"
    words = [word for word in sys.argv[1:] if word != "--screen"]
    with open(open_regular(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "w") as file:
        loop = subprocess.Popen(  # noqa: S603 - the words of this command line
            [sys.executable, "-m", "kalshi_cli", *words, *([] if "--yes" in words else ["--yes"])],
            stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip
    clock = SystemClock()
    until = clock.monotonic() + START_S
    while loop.poll() is None and clock.monotonic() < until and not _is_published(environment):
        clock.sleep(0.05)
    if loop.poll() is not None:
        lines = output.read_text("utf-8", "replace").strip().splitlines()[-MAX_LINES:]
        raise KalshiError("The loop ended at its start", more=lines, hint=f"its whole output is in {output}")
    TopApp(account_opener(ctx), clock).run_to_end()
    if loop.poll() is None:
        info(f"The loop goes on (pid {loop.pid}); its output is in {output}. Stop it with `kalshi stop`")


def _is_published(environment: Environment) -> bool:
    return any(home.events is not None and home.events.exists() for home in environment.homes)
