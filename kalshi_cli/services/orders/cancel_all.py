"""The kill switch of an account, with what its state file knows where that can be read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import msgspec

from kalshi_cli.base.errors import CredentialsError, StateFileError
from kalshi_cli.base.units import pluralize
from kalshi_cli.core.model.orders import Order
from kalshi_cli.exchange.rest.rate_limits import Priority
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.services.account.recovery import reconcile
from kalshi_cli.services.orders import cancel, kill_switch, quotes
from kalshi_cli.services.resources import Resources
from kalshi_cli.services.trading.run_order_groups import note_group
from kalshi_cli.store.lock import holder

MAX_IDS = 5
"""Orders that are named where nothing could be canceled."""


def cancel_everything(
    resources: Resources,
    scope: cancel.CancelScope,
    within_s: float = kill_switch.DEADLINE_S,
    *,
    with_groups: bool = False,
    progress: Callable[[int, int], None] = lambda _gone, _known: None,
    answered: Callable[[], None] = lambda: None,
) -> kill_switch.KillSwitchResult:
    """The kill switch, without the halt; `with_groups` triggers the order groups first.

    Whatever the state file would tell is asked for once, and done without where it cannot be read.
    """
    if scope.is_everything:
        resources.limiter.rank = Priority.KILL
    groups: list[OrderGroup] = []
    ours: set[str] | None = None
    known: tuple[Order, ...] = ()
    with suppress(StateFileError):  # said already, when the halt could not be written
        groups = [OrderGroup(group_id=g.group_id, exchange_index=g.exchange_index) for g in resources.store.groups()]
        known = resources.store.live_orders()
        ours = {order.order_id for order in known if not order.is_foreign}

    def live() -> tuple[Order, ...]:
        nonlocal known
        if ours is not None:
            with suppress(StateFileError):
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
        resources.limiter.allow_other_writers()
    if ours is not None:
        for group_id in outcome.triggered:
            note_group(resources, group_id, is_triggered=True)
    if scope.is_everything and (outcome.is_clean or (outcome.in_doubt and not outcome.remaining_orders)):
        outcome = msgspec.structs.replace(outcome, agreed=quotes.accepted_quotes(resources.client, resources.note))
    return outcome


def left_here(resources: Resources) -> str:
    """Say what may be live by the files of this machine alone; empty where they show no order and no loop."""
    try:
        who, store = holder(resources.state_dir / "trade.lock"), resources.remembered()
        live = store.live_orders() if store is not None else ()
    except (CredentialsError, StateFileError) as unread:
        return f"the state file cannot tell what is live: {unread.message}"
    if not live and who is None:
        return ""
    names = ", ".join(order.client_order_id or order.order_id for order in live[:MAX_IDS])
    loop = f"; a loop is running ({who})" if who is not None else ""
    return f"{pluralize(len(live), 'order')} of the state file may be live{': ' * bool(names)}{names}{loop}"
