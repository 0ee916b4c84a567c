"""`kalshi cancel-all`: the kill switch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.errors import (
    CredentialsError,
    HostError,
    KalshiError,
    OutcomeUnknownError,
    RefusedError,
    StateFileError,
    UnreachableError,
    UsageError,
)
from kalshi_cli.base.units import format_ts, pluralize
from kalshi_cli.cli.kill_signals import KillSignals
from kalshi_cli.cli.options import CommandGroup, duration_option, load_config, show_view
from kalshi_cli.cli.screen.output import info, warn

if TYPE_CHECKING:
    from kalshi_cli.config.config import Config
    from kalshi_cli.services.orders.kill_switch import KillSwitchResult
    from kalshi_cli.services.resources import Resources
    from kalshi_cli.store.lock import KillLock
    from kalshi_cli.views.orders import CancelAllView

app = CommandGroup()

NEEDED = ("env", "state", "credentials", "exchange.rest_url")
"""Of the configuration; whatever else is wrong with it must not stop this."""

HALT_WAITS_MS = 1_000
"""How long the halt waits for another program that writes the state file; it is on file beside that already."""

MAX_IDS = 5


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
        does_halt, lock = is_everything and not no_halt, None
        if does_halt:
            from kalshi_cli.services.orders.halt_marker import write_halt_marker

            lock = write_halt_marker(config, SystemClock().now())
        from msgspec.structs import asdict, replace

        from kalshi_cli.app.environment import opened
        from kalshi_cli.cli.commands.close import flattened
        from kalshi_cli.services.orders.kill_alert import telling

        with opened(config, warn, info, _warn) as desk, _with_a_key(desk):
            _introduce(config)
            halted = lock is not None and _halted(desk, lock)
            with telling(desk, does_halt=does_halt) as cancels_are_out:
                kill = _Kill(desk, signals, lock, event, pattern, within)
                outcome = kill.run()
                cancels_are_out()
                outcome, halted = kill.kept(outcome, halted=halted)
                unclosed: KalshiError | None = None
                view = _view(outcome, halted=halted)
                if flatten:
                    view, unclosed = flattened(desk, view, may_close=halted and outcome.is_clean, yes=yes)
                    outcome, halted = kill.kept(outcome, halted=halted)
                    view = replace(view, **asdict(_view(outcome, halted=halted)))
                show_view(ctx, view, title="cancel-all")
            home = desk.state_dir
        if not outcome.is_clean:
            raise _unclean(outcome, halt=f"; {_UNHALTED}" if does_halt and not halted else "")
    if does_halt and not halted:
        raise StateFileError(
            f"{pluralize(outcome.canceled, 'order')} canceled, and nothing rests; but {_UNHALTED}",
            hint=f"end what trades here (kalshi stop), see that {home} can be written, then: kalshi cancel-all",
        )
    if unclosed is not None:
        raise unclosed


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
def _with_a_key(desk: Resources) -> Iterator[None]:
    """Answer for a key that cannot be loaded, a host that is refused, a simulated exchange that does not start.

    Nothing can be canceled then, and only files tell.

    Where they show a live or unconfirmed order, or a loop that runs, or cannot be read, that ends with 7, not 5 or 2.
    """
    try:
        yield
    except (CredentialsError, HostError, UnreachableError) as error:
        from kalshi_cli.services.orders.cancel_all import left_here

        what = left_here(desk)
        if not what:
            raise
        raise OutcomeUnknownError(
            f"{error.message}; NOTHING WAS CANCELED, and {what}",
            hint=f"{error.hint or 'mend the key'}; then run this again, or cancel on the web site now",
            code=error.code,
        ) from error


def _halted(desk: Resources, lock: KillLock) -> bool:
    """Write the halt, lock it against a resume, and return whether it could be written."""
    from kalshi_cli.services.orders.halt_marker import CODE, REASON
    from kalshi_cli.services.trading.halts import TradingControl

    desk.stack.callback(lock.release)
    is_written = TradingControl(desk).halt(CODE, REASON, busy_ms=HALT_WAITS_MS)
    lock.hold(desk.machine.now())  # a resume may have had it, or there was no state directory yet
    if is_written:
        info("trading is halted; when all is well: kalshi resume --reason TEXT")
    return is_written


class _Kill:
    """The cancels of one `cancel-all`, all within one deadline."""

    def __init__(
        self,
        desk: Resources,
        signals: KillSignals,
        lock: KillLock | None,
        event: str | None,
        pattern: str | None,
        within: float | None,
    ) -> None:
        from kalshi_cli.services.orders.cancel import CancelScope
        from kalshi_cli.services.orders.kill_switch import DEADLINE_S

        if desk.config.read_only:
            raise RefusedError(
                "nothing can be canceled while KALSHI_READ_ONLY is set", hint="unset it and run this again"
            )
        self._desk = desk
        self._signals = signals
        self._lock = lock
        self._scope = CancelScope(event=(event or "").upper(), ticker=(pattern or "").upper())
        self._until = desk.machine.monotonic() + (within or DEADLINE_S)

    def run(self) -> KillSwitchResult:
        """Cancel and verify, until the deadline; after it, cancel once and verify nothing."""
        from kalshi_cli.cli.screen.progress import progress
        from kalshi_cli.services.orders.cancel_all import cancel_everything

        desk = self._desk
        if self._lock is not None:
            self._lock.hold(desk.machine.now())  # a resume may have had it when the halt was written
        with progress("canceled", desk.clock.monotonic) as show:
            return cancel_everything(
                desk, self._scope, max(0.0, self._until - desk.machine.monotonic()),
                with_groups=self._lock is not None, progress=show, answered=self._signals.let_go,
            )  # fmt: skip

    def kept(self, outcome: KillSwitchResult, *, halted: bool) -> tuple[KillSwitchResult, bool]:
        """Return what is left, and whether the halt holds.

        Where something lifted it, an order may have been placed since: it is written again, and everything is canceled
        and verified once more. Where it is lifted a second time nothing is verified.
        """
        from msgspec.structs import replace

        from kalshi_cli.services.orders.halt_marker import CODE, REASON
        from kalshi_cli.services.trading.halts import TradingControl

        halts, times = TradingControl(self._desk), 0
        while halted and not halts.holds(busy_ms=HALT_WAITS_MS):
            warn("the halt is GONE: something lifted it while this ran; writing it again")
            halted, times = halts.halt(CODE, REASON, busy_ms=HALT_WAITS_MS), times + 1
            if times > 1:
                outcome = replace(outcome, is_verified=False)
                break
            if halted:
                self._signals.hold()
                again = self.run()
                outcome = replace(
                    again, canceled=outcome.canceled + again.canceled, seconds=outcome.seconds + again.seconds
                )
        if outcome.is_clean:
            self._signals.close()
        return outcome, halted


def _view(outcome: KillSwitchResult, *, halted: bool) -> CancelAllView:
    from kalshi_cli.views.orders import CancelAllView

    remaining = outcome.remaining if outcome.is_verified else None  # zero is said of a list, never of silence
    return CancelAllView(canceled=outcome.canceled, remaining=remaining, halted=halted, seconds=outcome.seconds)


_UNHALTED = "the halt could NOT be written: whatever trades here may place again"


def _unclean(outcome: KillSwitchResult, *, halt: str) -> OutcomeUnknownError:
    ids = ", ".join(order.order_id for order in outcome.remaining_orders[:MAX_IDS])
    more = f" and {outcome.remaining - MAX_IDS} more" if outcome.remaining > MAX_IDS else ""
    if outcome.is_verified:
        what = f"{pluralize(outcome.remaining, 'order')} still resting: {ids}{more}"
    else:
        some = pluralize(outcome.remaining, "order") if ids else "orders"
        what = f"it could not be verified; {some} may rest{': ' * bool(ids)}{ids}{more}"
        if not outcome.is_answered:
            what += "; the exchange itself answered no cancel of this run"
        if outcome.unexplained:
            names = ", ".join(order.order_id for order in outcome.unexplained[:MAX_IDS])
            what += (
                f"; nothing shows that {pluralize(len(outcome.unexplained), 'order')} of the state file ended: {names}"
            )
    hint = "run it again; else cancel on the web site"
    if outcome.unexplained:
        hint = "kalshi order reconcile, then run this again; else cancel on the web site"
    if outcome.agreed:
        from kalshi_cli.services.orders.quotes import execution_deadline

        names = ", ".join(f"{quote.quote_id} on {quote.ticker}" for quote in outcome.agreed[:MAX_IDS])
        what = f"{pluralize(len(outcome.agreed), 'accepted quote')} may still trade, and cannot be canceled: {names}"
        hint = (
            f"they trade before {format_ts(max(map(execution_deadline, outcome.agreed)))} or never; then run this again"
        )
    if outcome.in_doubt:
        from kalshi_cli.core.account.reconciliation import provable_at

        names = ", ".join(order.client_order_id for order in outcome.in_doubt[:MAX_IDS])
        what += f"; {len(outcome.in_doubt)} of our own got no answer and may still arrive: {names}"
        last = format_ts(max(provable_at(order) for order in outcome.in_doubt))
        hint = f"kalshi order reconcile: what never arrived is proven so after {last}; then run this again"
    return OutcomeUnknownError(f"after {outcome.seconds:.0f} s: {what}{halt}", hint=hint)
