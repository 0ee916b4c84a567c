"""`kalshi cancel-all`: the kill switch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import (
    CredentialsError,
    HostError,
    KalshiError,
    OutcomeUnknownError,
    UnreachableError,
    UsageError,
)
from kalshi_cli.cli.kill_signals import KillSignals
from kalshi_cli.cli.options import CommandGroup, duration_option, load_config, show_view
from kalshi_cli.cli.screen.output import info, warn

if TYPE_CHECKING:
    from kalshi_cli.config.config import Config
    from kalshi_cli.services.resources import Resources

app = CommandGroup()

NEEDED = ("env", "state", "credentials", "exchange.rest_url")
"""Of the configuration; whatever else is wrong with it must not stop this."""


@app.command("cancel-all")
def cancel_all(
    ctx: typer.Context,
    event: Annotated[str | None, typer.Option(metavar="EVENT", help="Only orders of this event.")] = None,
    pattern: Annotated[str | None, typer.Option("--ticker", metavar="GLOB", help="Only tickers like this.")] = None,
    within: Annotated[Any, duration_option("--within", text="Give up after this (60s).")] = None,
    no_halt: Annotated[bool, typer.Option("--no-halt", help="Let trading go on afterwards.")] = False,
    flatten: Annotated[bool, typer.Option("--flatten", help="Then close every position.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before --flatten (prod asks).")] = False,
) -> None:
    """The kill switch: halt for good, cancel everything, believe only a fresh list. Exit 0 only if nothing rests.

    Order groups are triggered first, so that no program can go on placing in them (not with --no-halt or a scope), and
    nothing else of this account writes meanwhile. Orders of other programs are canceled too, and counted. It asks
    nothing, and works with a broken state file and with a configuration that is wrong wherever this command does not
    need it. A scoped cancel does not halt.
    It ends with 7 where orders may be live; with 8 where all is canceled and the halt not written. The first Ctrl-C (or
    SIGTERM) waits until the exchange has answered the cancels and then ends with 7; a second one ends it at once.
    With --flatten positions of the primary subaccount are closed as `kalshi flatten` does, once it is proven that
    nothing rests; where it is not, nothing is closed.

    \b
    kalshi cancel-all
    kalshi cancel-all --flatten
    kalshi cancel-all --ticker 'KXBTC*' --no-halt --json
    """
    _refuse_empty(event, pattern)
    is_everything = event is None and pattern is None
    if flatten and (no_halt or not is_everything):
        raise UsageError(
            "--flatten halts and closes everything", hint="without --no-halt and a scope; for one: kalshi close TICKER"
        )
    with KillSignals() as signals:
        config = load_config(ctx, NEEDED, distrust=_warn)
        lock = None
        if is_everything and not no_halt:
            from kalshi_cli.services.orders.halt_marker import write_halt_marker

            lock = write_halt_marker(config, SystemClock().now())
        from msgspec.structs import asdict, replace

        from kalshi_cli.app.environment import opened
        from kalshi_cli.cli.commands.close import flattened
        from kalshi_cli.cli.screen.progress import progress
        from kalshi_cli.services.orders.cancel import CancelScope
        from kalshi_cli.services.orders.cancel_all import KillRun

        scope = CancelScope(event=(event or "").upper(), ticker=(pattern or "").upper())
        with opened(config, warn, info, _warn) as resources, _with_a_key(resources):
            _introduce(config)
            shown = partial(progress, "canceled", resources.clock.monotonic)
            with KillRun(resources, scope, lock, within, interrupts=signals, progress=shown) as kill:
                kill.run()
                view = kill.view
                unclosed: KalshiError | None = None
                if flatten:
                    view, unclosed = flattened(
                        resources, view, may_close=kill.halted and kill.outcome.is_clean, yes=yes
                    )
                    kill.keep()
                    view = replace(view, **asdict(kill.view))
                show_view(ctx, view, title="cancel-all")
        error = kill.error or unclosed
        if error is not None:
            raise error


def _refuse_empty(*scopes: str | None) -> None:
    """Raise where a scope is given and empty."""
    if any(scope is not None and not scope.strip() for scope in scopes):
        raise UsageError("an empty scope would mean every order", hint="leave the option out to cancel everything")


def _introduce(config: Config) -> None:
    """Show a host that is not the environment's own, and what of the configuration is not used."""
    for other in config.other_hosts:
        if other.setting in NEEDED:
            warn(f"not a host of {config.env}: {other}")
    for problem in config.problems:
        info(f"ignored: {problem}")


def _warn(error: KalshiError) -> None:
    """Say what any other command would refuse: files that others may write do not stop the kill switch."""
    warn(f"warning: {error.message}; done all the same. Then: {error.hint}")


@contextmanager
def _with_a_key(resources: Resources) -> Iterator[None]:
    """Answer for a key that cannot be loaded, a host that is refused, a simulated exchange that does not start.

    Nothing can be canceled then, and only files tell.

    Where they show a live or unconfirmed order, or a loop that runs, or cannot be read, that ends with 7, not 5 or 2.
    """
    try:
        yield
    except (CredentialsError, HostError, UnreachableError) as error:
        from kalshi_cli.services.orders.cancel_all import left_here

        what = left_here(resources)
        if not what:
            raise
        raise OutcomeUnknownError(
            f"{error.message}; NOTHING WAS CANCELED, and {what}",
            hint=f"{error.hint or 'mend the key'}; then run this again, or cancel on the web site now",
            code=error.code,
        ) from error
