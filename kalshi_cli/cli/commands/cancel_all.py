"""`kalshi cancel-all`: the kill switch."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base import errors
from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import pluralize
from kalshi_cli.cli.kill_signals import KillSignals
from kalshi_cli.cli.options import asks, flags_of, load_config, show_view
from kalshi_cli.cli.parameters import CommandGroup, duration_option, flag, option
from kalshi_cli.cli.screen.output import info, prompt, warn

if TYPE_CHECKING:
    from kalshi_cli.services.orders.cancel import CancelScope
    from kalshi_cli.services.orders.cancel_all import KillRun
    from kalshi_cli.services.resources import Resources

app = CommandGroup()

NEEDED = ("env", "state", "credentials", "exchange.rest_url")
"""The parts of the configuration that this command needs; errors elsewhere do not stop it."""


@app.command("cancel-all")
def cancel_all(
    ctx: typer.Context,
    event: Annotated[str | None, option("--event", "EVENT", "Only orders of this event.")] = None,
    pattern: Annotated[str | None, option("--ticker", "GLOB", "Only tickers that match this pattern.")] = None,
    within: Annotated[Any, duration_option("--within", "Give up after this time (60s).")] = None,
    no_halt: Annotated[bool, flag("--no-halt", "Do not halt trading.")] = False,
    flatten: Annotated[bool, flag("--flatten", "Close all positions afterwards.")] = False,
    yes: Annotated[bool, flag("--yes", "Skip the confirmation on prod.")] = False,
) -> None:
    """Halt trading and cancel all orders (kill switch).

    Halt trading for every program and across restarts, cancel every order on the account, and verify with a fresh
    order list that none remains. It works with a damaged state file and with configuration errors in sections that it
    does not need. To trade again: `kalshi resume --reason TEXT`.

    It asks only on a terminal, on prod or with `display.confirm`, and without `--yes`: it halts trading, shows the
    orders, and then asks before it cancels them, unless there are none. If you answer no, no order is canceled, trading
    stays halted, and the exit code is 3.

    Order groups are triggered first, so that no program can keep placing orders in them (not with `--no-halt` or a
    scope), and no other program on this account can write meanwhile. Orders of other programs are canceled too, and
    counted. With `--event` or `--ticker`, trading is not halted; 4 if no order matches and the name does not exist.

    Exit code 0 only when no order remains; 7 when orders may be live; 8 when the halt could not be saved, or a file
    of the state directory prevented every cancel and no order is known to be live; the message says which. A damaged
    state file prevents nothing. The first Ctrl-C (or SIGTERM) waits until the exchange has answered the cancels and
    then ends with 7; a second one ends at once.

    With `--flatten`, the positions of the primary subaccount are closed afterwards, as `kalshi flatten` does, once no
    order remains. If that cannot be verified, no position is closed.

    \b
    kalshi cancel-all
    kalshi cancel-all --flatten
    kalshi cancel-all --ticker 'KXBTC*' --no-halt --json
    """
    is_everything = event is None and pattern is None
    if flatten and (no_halt or not is_everything):
        raise errors.UsageError(
            "--flatten cannot be combined with --no-halt, --event or --ticker",
            hint="to close one position, run `kalshi close TICKER`",
        )
    with KillSignals(SystemClock().monotonic) as signals:
        config = load_config(ctx, NEEDED, distrust=_warn)
        lock = None
        if is_everything and not no_halt:
            from kalshi_cli.services.orders.halt_marker import write_halt_marker

            lock = write_halt_marker(config, SystemClock().now())
        from kalshi_cli.app.environment import opened
        from kalshi_cli.cli.screen.progress import progress
        from kalshi_cli.services.orders.cancel import CancelScope
        from kalshi_cli.services.orders.cancel_all import KillRun

        scope = CancelScope(event=(event or "").upper(), ticker=(pattern or "").upper())
        with opened(config, warn, info, _warn) as resources, _with_a_key(resources):
            _introduce(resources)
            shown = partial(progress, "canceled", resources.clock.monotonic)
            with KillRun(resources, scope, lock, within, interrupts=signals, progress=shown) as kill:
                if not yes and asks(resources) and sys.stdin.isatty():
                    _ask(resources, scope, signals, is_halted=None if lock is None else kill.halted)
                kill.run()
                unclosed = _show(ctx, resources, kill, flatten=flatten, yes=yes)
            if is_everything and not flatten and kill.error is None and not flags_of(ctx).wants_data:
                _name_positions(resources)
        error = kill.error or unclosed
        if error is not None:
            raise error


def _show(
    ctx: typer.Context, resources: Resources, kill: KillRun, *, flatten: bool, yes: bool
) -> errors.KalshiError | None:
    """Close the positions where that was asked for, and show the result; return the error of the close."""
    view, unclosed = kill.view, None
    if flatten:
        from msgspec.structs import asdict, replace

        from kalshi_cli.cli.commands.close import flattened

        view, unclosed = flattened(resources, view, may_close=kill.halted and kill.outcome.is_clean, yes=yes)
        kill.keep()
        view = replace(view, **asdict(kill.view))
    show_view(ctx, view, title="cancel-all")
    return unclosed


def _name_positions(resources: Resources) -> None:
    """Say how many positions stay open by the state file, which has the fills up to the cancels by now."""
    from kalshi_cli.services.orders.cancel_all import open_positions

    if count := open_positions(resources):
        stay = "stays" if count == 1 else "stay"
        info(f"{pluralize(count, 'position')} {stay} open; to close all positions: `kalshi flatten`")


def _ask(resources: Resources, scope: CancelScope, signals: KillSignals, *, is_halted: bool | None) -> None:
    """Show the orders that will be canceled, and ask. RefusedError where the answer is no: no order was canceled.

    Where no order rests, nothing is asked.
    Without a request for a halt, `is_halted` is omitted (None).
    """
    from kalshi_cli.services.orders.cancel_all import describe_resting

    if resources.config.read_only:
        return  # refused by the run itself
    signals.let_go()  # Ctrl-C ends the question at once: no cancel is on its way yet
    facts = describe_resting(resources, scope)
    for fact in facts or ["no resting orders to cancel"]:
        warn(f"{resources.config.env}: {fact}")
    answer = prompt("Cancel these orders? [y/N]") if facts else "y"
    signals.hold()
    if answer.lower() in ("y", "yes"):
        return
    state, resume = "", ""
    if is_halted:
        state, resume = "; trading stays halted", "; to trade again: `kalshi resume --reason TEXT`"
    elif is_halted is not None:
        state = "; trading is NOT halted, because the halt could not be written"
    raise errors.RefusedError(
        f"Not confirmed: no order was canceled{state}",
        hint=f"to cancel them, run it again and answer y, or add --yes{resume}",
        code="not_confirmed",
    )


def _introduce(resources: Resources) -> None:
    """Show each host that is not the environment's own, the ignored configuration errors, and what they leave open."""
    config = resources.config
    for other in config.other_hosts:
        if other.setting in NEEDED:
            warn(f"Not a host of {config.env}: {other}")
    for problem in config.problems:
        info(f"Ignored configuration problem: {problem}")
    is_unread = any(problem.path == ("file",) for problem in config.problems)
    if is_unread and not config.alerts.channels:
        warn("The alert channels of the unread file are unknown: no notice of this run is sent")
    if is_unread and config.state is None:
        warn(
            f"The state directory of the unread file is unknown; {resources.state_dir} is used. "
            "A loop with another one is NOT halted: run this again with --state DIR"
        )


def _warn(error: errors.KalshiError) -> None:
    """Warn about a file that other users may write. Every other command refuses it; the kill switch goes on."""
    warn(f"warning: {error.message}; continuing anyway. Afterwards: {error.hint}")


@contextmanager
def _with_a_key(resources: Resources) -> Iterator[None]:
    """Handle a key that cannot be loaded, a host that is refused, and a simulated exchange that does not start.

    No order can be canceled then, and only the files of this machine say what may be live. OutcomeUnknownError (7, not
    5 or 2) where they show a live or unconfirmed order or a running loop, or cannot be read. An order that another
    program placed may be live in any case.
    """
    try:
        yield
    except (errors.CredentialsError, errors.HostError, errors.UnreachableError, errors.StateFileError) as error:
        from kalshi_cli.services.orders.cancel_all import left_here
        from kalshi_cli.services.orders.kill_switch import WEB_SITE

        what = left_here(resources)
        if not what and not isinstance(error, errors.CredentialsError | errors.HostError):
            raise
        hint = f"{error.hint or 'fix the key'}; then run this again, or cancel {WEB_SITE} now"
        if not what:
            text = "NOTHING WAS CANCELED, and orders of other programs may be live; none is on record here"
            raise type(error)(f"{error.message}; {text}", hint=hint, code=error.code) from error
        raise errors.OutcomeUnknownError(
            f"{error.message}; NOTHING WAS CANCELED, and {what}", hint=hint, code=error.code
        ) from error
