"""The kill switch of an account: halt, cancel all orders, and compare with the state file where it can be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from typing import Protocol

import msgspec

from kalshi_cli.base import errors
from kalshi_cli.base.units import Qty, Ts, format_ts, pluralize
from kalshi_cli.core.account.pnl import build_ledger
from kalshi_cli.core.account.reconciliation import provable_at
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.monitoring.error_check import ALL_CANCELED
from kalshi_cli.exchange.rest.rate_limits import Priority
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.services.account.recovery import reconcile, reconcile_unknown
from kalshi_cli.services.markets.known_names import require_known
from kalshi_cli.services.orders import cancel, kill_switch, quotes
from kalshi_cli.services.orders.halt_marker import CODE, REASON
from kalshi_cli.services.orders.kill_alert import telling
from kalshi_cli.services.resources import Resources
from kalshi_cli.services.trading.halts import TradingControl
from kalshi_cli.services.trading.run_order_groups import note_group
from kalshi_cli.store.lock import KillLock, holder
from kalshi_cli.views.formats import short_ids
from kalshi_cli.views.order_text import canceled_count
from kalshi_cli.views.orders import CancelAllView

MAX_IDS = 5
"""The number of order ids in messages about orders that may be live."""

MAX_SHOWN = 10
"""Orders that are shown before the question."""

HALT_WAITS_MS = 1_000
"""The longest wait for another program that writes the state file; the halt is already in its marker file."""

UPDATE_WITHIN_S = 3.0
"""The longest time of the reads that bring the state file up to date after a verified cancel."""

_UNHALTED = "the halt could NOT be saved; a running program may place orders again"

Progress = Callable[[int, int], None]
"""Takes the number of orders that are gone and the number of all orders."""


def cancel_everything(
    resources: Resources,
    scope: cancel.CancelScope,
    within_s: float = kill_switch.DEADLINE_S,
    *,
    with_groups: bool = False,
    progress: Callable[[int, int], None] = lambda _gone, _known: None,
    answered: Callable[[], None] = lambda: None,
) -> kill_switch.KillSwitchResult:
    """Cancel everything in scope without halting; `with_groups` triggers the order groups first.

    The state file is read once; where it cannot be read, the cancels go on without it.
    """
    limiter = resources.limiter
    rank, limiter.rank = limiter.rank, Priority.KILL if scope.is_everything else limiter.rank
    groups: list[OrderGroup] = []
    ours: set[str] | None = None
    known: tuple[Order, ...] = ()
    with suppress(errors.StateFileError):  # already reported when the halt could not be written
        groups = [OrderGroup(group_id=g.group_id, exchange_index=g.exchange_index) for g in resources.store.groups()]
        known = resources.store.live_orders()
        ours = {order.order_id for order in known if not order.is_foreign}

    def live() -> tuple[Order, ...]:
        nonlocal known
        if ours is not None:
            with suppress(errors.StateFileError):
                known = resources.store.live_orders()
        return known

    switch = kill_switch.KillSwitch(
        resources.client, resources.clock, scope, tell=resources.note, progress=progress, live=live,
        look_up=lambda: reconcile(resources), answered=answered,
        is_ours=None if ours is None else lambda order: order.order_id in ours,
    )  # fmt: skip
    try:
        outcome = switch.run(within_s, groups if with_groups else None)
    finally:
        limiter.rank = rank  # what follows, such as closing positions, holds up no other program
        limiter.allow_other_writers()
    if ours is not None:
        fields = ("over", "remaining_orders", "in_doubt", "unexplained")
        named = {field: _in_own_terms(resources, getattr(outcome, field)) for field in fields}
        outcome = msgspec.structs.replace(outcome, **named)
    if outcome.over:
        names = ", ".join(map(describe_order, outcome.over[:MAX_IDS]))
        more = f" and {len(outcome.over) - MAX_IDS} more" if len(outcome.over) > MAX_IDS else ""
        resources.note(f"Already over before a cancel, and not counted: {names}{more}")
    if ours is not None:
        for group_id in outcome.triggered:
            note_group(resources, group_id, is_triggered=True)
    if scope.is_everything and (outcome.is_clean or (outcome.in_doubt and not outcome.remaining_orders)):
        outcome = msgspec.structs.replace(outcome, agreed=quotes.accepted_quotes(resources.client, resources.note))
    return outcome


def update_state_file(resources: Resources, scope: cancel.CancelScope) -> None:
    """Write the verified end of canceled orders to the state file, from one read of the account.

    Where no loop runs, or a stalled one, nothing else would, and `kalshi status` would count them as resting. A failure
    is only a notice: the cancels are verified, and every later read of the account repairs the file.
    """
    try:
        store = resources.remembered(busy_ms=HALT_WAITS_MS)
        if store is None or not any(order.order_id and scope.holds(order) for order in store.live_orders()):
            return
        with resources.client.reading_within(UPDATE_WITHIN_S):
            reconcile_unknown(resources.client, store, resources.clock, resources.limits, resources.new_id)
    except errors.KalshiError as error:
        resources.note(
            f"The state file was not updated: {error.message}. `kalshi status` may count the canceled orders until "
            "`kalshi order reconcile`"
        )


def describe_resting(resources: Resources, scope: cancel.CancelScope) -> list[str]:
    """Return what a run would cancel, in lines: the number of resting orders and the first of them; empty for none.

    An order that was not typed here has the terms that follow from the position, or those of YES where positions cannot
    be read. Reads the exchange for a few seconds at most; where that fails, says so.
    """
    try:
        with resources.client.reading_within(kill_switch.FIRST_LOOK_S):
            listed = resources.client.orders(status="resting", event=scope.event or None)
            found = [order for order in listed if scope.holds(order)]
    except errors.KalshiError as error:
        return [f"the resting orders could not be listed ({error.message}); all of them will be canceled"]
    if not found:
        return []
    lines = [f"{pluralize(len(found), 'resting order')} will be canceled"]
    shown = cancel.with_typed(resources, found[:MAX_SHOWN])
    held: dict[tuple[int, str], Qty] | None = None
    with suppress(errors.KalshiError), resources.client.reading_within(cancel.WORDS_S):
        held = cancel.held(resources, {order.subaccount for order in shown if not order.outcome})
    for order, name in zip(shown, short_ids([order.order_id for order in shown]), strict=True):
        known = None if held is None else held.get((order.subaccount, order.ticker), Qty(0))
        lines.append(f"  {describe_order(order, known, name)}")
    if len(found) > MAX_SHOWN:
        lines.append(f"  and {len(found) - MAX_SHOWN} more")
    return lines


def left_here(resources: Resources) -> str:
    """Describe the orders that may be live by the files of this machine alone; "" without an order or a loop."""
    try:
        who, store = holder(resources.state_dir / "trade.lock"), resources.remembered()
        live = store.live_orders() if store is not None else ()
    except (errors.CredentialsError, errors.StateFileError) as unread:
        return f"the state file cannot show which orders are live: {unread.message}"
    if not live and who is None:
        return ""
    names = ", ".join(map(describe_order, _in_own_terms(resources, live[:MAX_IDS])))
    more = f" and {len(live) - MAX_IDS} more" if len(live) > MAX_IDS else ""
    orders = [f"{pluralize(len(live), 'order')} of the state file may be live: {names}{more}"] if live else []
    return "; ".join([*orders, *([f"a loop is running ({who})"] if who is not None else [])])


def open_positions(resources: Resources) -> int:
    """Return the number of open positions by the state file; 0 where it does not exist or cannot be read."""
    return sum(1 for qty in (_held_on_file(resources) or {}).values() if qty)


def _held_on_file(resources: Resources) -> dict[tuple[int, str], Qty] | None:
    """Return the positions of the state file by subaccount and market; None where it cannot be read."""
    with suppress(errors.KalshiError):
        store = resources.remembered(busy_ms=HALT_WAITS_MS)
        if store is not None:
            known = store.history.counted()
            ledger = build_ledger((*known.fills, *known.settlements))
            return {key: position.qty for key, position in ledger.positions.items()}
    return None


def _in_own_terms(resources: Resources, orders: Sequence[Order]) -> tuple[Order, ...]:
    """Return orders with the outcomes typed here, else those that follow from the positions of the state file."""
    typed = cancel.with_typed(resources, orders)
    held = _held_on_file(resources) if typed else None
    if held is None:
        return tuple(typed)
    sides = [order.terms(held.get((order.subaccount, order.ticker), Qty(0))).side for order in typed]
    return tuple(msgspec.structs.replace(order, outcome=side) for order, side in zip(typed, sides, strict=True))


def describe_order(order: Order, held: Qty | None = None, name: str = "") -> str:
    """Return the terms of an order as typed, and `name`, else the id by which the exchange's web site and API know it.

    Terms that were not typed here follow from the position `held`; where that is not known, they are those of YES.
    """
    known = name or order.order_id or f"no exchange id, client order id {order.client_order_id}"
    return f"{order.ticker} {order.terms(held).text(order.remaining)} ({known})"


class Interrupts(Protocol):
    """The way in which a front end delays interrupts while cancels are under way."""

    def hold(self) -> None:
        """Delay interrupts again: there is more to cancel."""

    def let_go(self) -> None:
        """Allow interrupts: the exchange has answered every cancel."""

    def close(self) -> None:
        """End the delay: no outcome is open any more."""


class NoInterrupts(Interrupts):
    """Delays no interrupt."""

    def hold(self) -> None: ...

    def let_go(self) -> None: ...

    def close(self) -> None: ...


class KillRun:
    """The kill switch, run within one deadline: `with KillRun(...) as kill: kill.run()`.

    It writes the halt first where a `lock` is given, which keeps others from lifting it, and ends after the alert
    channels were notified. `progress` opens the display of how many orders are gone.
    """

    def __init__(
        self,
        resources: Resources,
        scope: cancel.CancelScope,
        lock: KillLock | None,
        within_s: float | None = None,
        *,
        interrupts: Interrupts | None = None,
        progress: Callable[[], AbstractContextManager[Progress]] = lambda: nullcontext(lambda _gone, _known: None),
    ) -> None:
        self.halted = False
        self._resources = resources
        self._scope = scope
        self._lock = lock
        self._within_s = within_s or kill_switch.DEADLINE_S
        self._interrupts = interrupts or NoInterrupts()
        self._progress = progress
        self._stack = ExitStack()
        self._send_result: Callable[[str], None] = lambda _text: None
        self._told = self._on_file = ""
        self._unknown: errors.NotFoundError | None = None
        self._until = self._started_s = 0.0
        self._since = Ts(0)

    def __enter__(self) -> KillRun:
        self._started_s = self._resources.machine.monotonic()
        self._since = Ts(self._resources.clock.now() - cancel.CLOCK_MS)
        if self._lock is not None:
            self.halted = self._halt(self._lock)
        self._send_result = self._stack.enter_context(telling(self._resources, does_halt=self._lock is not None))
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            if exc[1] is None or not self._told:
                self._tell_result(exc[1])
            if exc[0] is None and self.outcome.is_clean:
                with suppress(KeyboardInterrupt):  # the cancels are verified and shown: an interrupt only ends this
                    update_state_file(self._resources, self._scope)
        finally:  # a front end that goes on, such as `serve`, must not keep the lock of the kill switch
            self._stack.__exit__(*exc)  # type: ignore[arg-type]

    def _tell_result(self, failure: object = None) -> None:
        """Send a notice of what the cancels achieved, unless it was sent; `failure` ended the run before its result."""
        if failure is None and self.error is None:
            over = f" ({len(self.outcome.over)} more were already over)" if self.outcome.over else ""
            text = f"the kill switch canceled {self._canceled}{over}, {ALL_CANCELED}"
        elif failure is None and self.outcome.is_clean:
            text = f"the kill switch: {self.error}"
        else:
            error = failure or self.error
            why = error.message if isinstance(error, errors.KalshiError) else "it was interrupted"
            left = left_here(self._resources) if failure is not None else ""
            text = f"the kill switch did NOT verify that all orders are canceled; orders may be live: {why}"
            text += f"; {left}" if left else ""
        if text != self._told:
            self._told = text
            self._send_result(text)

    def _halt(self, lock: KillLock) -> bool:
        """Write the halt, lock it against a resume, and return whether it could be written."""
        resources = self._resources
        resources.stack.callback(lock.release)
        is_written = TradingControl(resources).halt(CODE, REASON, busy_ms=HALT_WAITS_MS)
        lock.hold(resources.machine.now())  # a resume may have held it, or the state directory did not exist yet
        if is_written:
            resources.note("Trading is halted")
        return is_written

    def run(self) -> None:
        """Cancel and verify, then check that the halt is still on file. ReadOnlyError where writes are switched off."""
        if self._resources.config.read_only:
            raise errors.ReadOnlyError("Cannot cancel: KALSHI_READ_ONLY is set", hint="unset it and run this again")
        self._until = self._resources.machine.monotonic() + self._within_s
        self.outcome = self._cancel()
        self.keep()
        seconds = round(self._resources.machine.monotonic() - self._started_s, 3)  # with the wait for a locked file
        self.outcome = msgspec.structs.replace(self.outcome, seconds=seconds)
        if not (self.outcome.is_answered or self.outcome.remaining_orders or self.outcome.in_doubt):
            self._on_file = left_here(self._resources)  # no list names the orders
        if self.outcome.is_minimum:
            self._resources.note("The orders could not be listed before the first cancel: more may have been canceled")
        elif self.outcome.is_clean and not (self.outcome.canceled or self.outcome.over):
            self._explain_none()
        if self.halted and not self.outcome.triggered:  # with triggered groups, the line about them names the command
            self._resources.note("To trade again, run `kalshi resume --reason TEXT`")
        self._tell_result()

    def _explain_none(self) -> None:
        """Say why this run canceled nothing. Of a scope, find out whether the exchange knows its names."""
        if self._scope.is_everything:
            self._resources.note(self._why_none())
            return
        try:
            require_known(self._resources.client, event=self._scope.event, ticker=self._scope.ticker)
        except errors.NotFoundError as error:
            message, hint = f"{error.message}; nothing was canceled", "to see the orders that rest: `kalshi order list`"
            self._unknown = errors.NotFoundError(message, hint=hint, code=error.code, status=error.status)
        except errors.KalshiError as error:
            self._resources.tell(
                "No matching order was resting. Check the spelling: the exchange could not be asked whether "
                f"{' and '.join(filter(None, (self._scope.event, self._scope.ticker)))} exists ({error.message})"
            )
        else:
            self._resources.tell("No matching order was resting")

    def _why_none(self) -> str:
        """Return why this run canceled nothing: a loop that saw the halt was first, or no order was resting."""
        with suppress(errors.KalshiError):
            is_watched = self._lock is not None and holder(self._resources.state_dir / "trade.lock") is not None
            store = self._resources.remembered() if is_watched else None
            ended = store.orders(self._since) if store is not None else ()
            if any(order.strategy and order.status is OrderStatus.CANCELED for order in ended):
                return "No order was left to cancel: the running loop canceled its orders first"
        return "No order was resting"

    def _cancel(self) -> kill_switch.KillSwitchResult:
        """Cancel and verify, until the deadline; after it, cancel once and verify nothing."""
        resources = self._resources
        if self._lock is not None:
            self._lock.hold(resources.machine.now())  # a resume may have held it when the halt was written
        with self._progress() as show:
            return cancel_everything(
                resources, self._scope, max(0.0, self._until - resources.machine.monotonic()),
                with_groups=self._lock is not None, progress=show, answered=self._interrupts.let_go,
            )  # fmt: skip

    def keep(self) -> None:
        """Check that the halt is still on file.

        Where something lifted it, an order may have been placed since: the halt is written again, and everything is
        canceled and verified once more. Where it is lifted a second time nothing counts as verified.
        """
        control, times = TradingControl(self._resources), 0
        while self.halted and not control.holds(busy_ms=HALT_WAITS_MS):
            self._resources.tell("The halt is GONE: another program lifted it during this run; writing it again")
            self.halted, times = control.halt(CODE, REASON, busy_ms=HALT_WAITS_MS), times + 1
            if times > 1:
                self.outcome = msgspec.structs.replace(self.outcome, is_verified=False)
                break
            if self.halted:
                self._interrupts.hold()
                before, again = self.outcome, self._cancel()
                self.outcome = msgspec.structs.replace(
                    again,
                    canceled=before.canceled + again.canceled,
                    is_minimum=before.is_minimum or again.is_minimum,
                    over=before.over or again.over,
                )
        if self.outcome.is_clean:
            self._interrupts.close()

    @property
    def _canceled(self) -> str:
        return canceled_count(self.outcome.canceled, is_minimum=self.outcome.is_minimum)

    @property
    def view(self) -> CancelAllView:
        """Return the result as shown."""
        outcome = self.outcome
        remaining = outcome.remaining if outcome.is_verified else None  # only a verified list can show zero
        return CancelAllView(
            canceled=outcome.canceled,
            is_minimum=outcome.is_minimum,
            already_over=len(outcome.over),
            remaining=remaining,
            halted=self.halted,
            seconds=outcome.seconds,
        )

    @property
    def error(self) -> errors.KalshiError | None:
        """Return why this is no success; None for a success.

        Orders may be live, the halt is not on file, or the exchange knows no market or event of the scope's name.
        """
        is_unhalted = self._lock is not None and not self.halted
        if not self.outcome.is_clean:
            known = f"; {self._on_file}" if self._on_file else ""
            halt = known + (f"; {_UNHALTED}" if is_unhalted else "")
            return _unclean(self.outcome, halt=halt, now=self._resources.clock.now())
        if is_unhalted:
            return errors.StateFileError(
                f"{self._canceled} canceled and none remains, but {_UNHALTED}",
                hint=f"stop the trading program (`kalshi stop`), check that {self._resources.state_dir} is "
                "writable, then run `kalshi cancel-all` again",
            )
        return self._unknown


def _unclean(outcome: kill_switch.KillSwitchResult, *, halt: str, now: Ts) -> errors.OutcomeUnknownError:
    ids = ", ".join(map(describe_order, outcome.remaining_orders[:MAX_IDS]))
    more = f" and {outcome.remaining - MAX_IDS} more" if outcome.remaining > MAX_IDS else ""
    if outcome.is_verified:
        what = f"{pluralize(outcome.remaining, 'order')} still resting: {ids}{more}"
    else:
        some = pluralize(outcome.remaining, "order") if ids else "orders"
        what = f"not verified: {some} may remain{': ' * bool(ids)}{ids}{more}"
        if not outcome.is_answered and outcome.triggered:
            groups = pluralize(len(outcome.triggered), "order group")
            what += (
                f". The exchange triggered {groups}, and {pluralize(outcome.canceled, 'order')} ended with that; it "
                "answered no cancel, so orders outside of the groups may be live"
            )
        elif not outcome.is_answered:
            what += "; the exchange answered no cancel of this run"
        if outcome.unexplained:
            names = ", ".join(map(describe_order, outcome.unexplained[:MAX_IDS]))
            what += (
                f"; no read shows the end of {pluralize(len(outcome.unexplained), 'order')} of the state file: {names}"
            )
    hint = "run it again; if that fails, cancel the orders on the web site"
    if outcome.unexplained:
        hint = "run `kalshi order reconcile`, then this again; if that fails, cancel the orders on the web site"
    if outcome.agreed:
        names = ", ".join(f"{quote.quote_id} on {quote.ticker}" for quote in outcome.agreed[:MAX_IDS])
        what = f"{pluralize(len(outcome.agreed), 'accepted quote')} may still trade and cannot be canceled: {names}"
        last = format_ts(max(map(quotes.execution_deadline, outcome.agreed)))
        hint = f"they trade before {last} or not at all; run this again after that"
    if outcome.in_doubt:
        names = ", ".join(map(describe_order, outcome.in_doubt[:MAX_IDS]))
        what += (
            f"; {pluralize(len(outcome.in_doubt), 'order')} of your own got no response and may still arrive: {names}"
        )
        due, when = max(provable_at(order) for order in outcome.in_doubt), ""
        if due > now:
            when = f" after {format_ts(due)}, when an order that never arrived can be proven absent"
        hint = f"run `kalshi order reconcile`{when}; then run this again"
    return errors.OutcomeUnknownError(f"After {outcome.seconds:.0f} s: {what}{halt}", hint=hint)
