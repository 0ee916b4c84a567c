"""`kalshi close` and `kalshi flatten`: close positions with a slippage limit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.errors import KalshiError, RefusedError
from kalshi_cli.base.units import Qty, distance_from_user
from kalshi_cli.cli.options import agreed, asks, is_terse, note_unsent, open_app, show_list, unsent
from kalshi_cli.cli.parameters import (
    CommandGroup,
    DryRun,
    Yes,
    count_option,
    duration_option,
    flag,
    option,
    price_option,
    subaccount_option,
    ticker,
    typed_by,
)
from kalshi_cli.cli.screen.output import info, warn, write_sentence

if TYPE_CHECKING:
    from kalshi_cli.services.orders.close import ClosePolicy
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.services.resources import Resources
    from kalshi_cli.store.lock import LockHolder
    from kalshi_cli.views.orders import CancelAllView
    from kalshi_cli.views.plans import CloseAllPlan

app = CommandGroup("Close positions.")

DEFAULT_TRIES = 10


def _slippage() -> Any:
    text = "Maximum distance from the best price at the start (5c; below 20c a quarter of the price, at least 1c)."
    return option("--max-slippage", "PRICE", text, parser=typed_by(distance_from_user))


@app.command("close")
def close(
    ctx: typer.Context,
    name: Annotated[str, ticker()],
    count: Annotated[Any, count_option("--count", "Contracts to close (the whole position).")] = None,
    max_slippage: Annotated[Any, _slippage()] = None,
    step: Annotated[Any, price_option("--step", "Price change per attempt (1c).")] = None,
    tries: Annotated[int, option("--tries", "N", "Maximum number of attempts.", min=1, max=100)] = DEFAULT_TRIES,
    within: Annotated[Any, duration_option("--within", "Give up after this time (30s).")] = None,
    subaccount: Annotated[int | None, subaccount_option("Close the position of this subaccount.")] = None,
    cancel_orders: Annotated[bool, flag("--cancel-orders", "First cancel your manual orders that block it.")] = False,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Close a position, or a part of it, with a slippage limit.

    Close the position in one market, or with `--count` this many contracts of it, with reduce-only orders, first at the
    best price, then in steps to a slightly worse price. The price never goes beyond `--max-slippage` from the best
    price at the start (without it 5 cents, or below 20 cents a quarter of that price, at least 1 cent), and never to
    $0.01 unless `--max-slippage` is given. No order is left resting. Closing also works while trading is halted.
    Resting orders that close the position too, or that the close would trade against, block it: `--cancel-orders`
    cancels the manual ones first, which the plan names; those of a loop stay. Other resting orders stay too: the plan
    names those that open a position once this one is closed. Exit code 0 only if the position, or the count, is fully
    closed; without a position there is nothing to close, and the result is empty (`[]`).

    \b
    kalshi close KXHIGHNY-26NOV21-B53.5 --dry-run
    kalshi close KXHIGHNY-26NOV21-B53.5 --count 5
    kalshi close KXHIGHNY-26NOV21-B53.5 --max-slippage 2c --json
    """
    with open_app(ctx) as resources:
        walk = walk_of(max_slippage, step, tries, within)
        close_positions(
            ctx, resources, walk, name.upper(), subaccount,
            count=count, cancel_orders=cancel_orders, yes=yes, dry_run=dry_run,
        )  # fmt: skip


@app.command("flatten")
def flatten(
    ctx: typer.Context,
    max_slippage: Annotated[Any, _slippage()] = None,
    step: Annotated[Any, price_option("--step", "Price change per attempt (1c).")] = None,
    tries: Annotated[
        int, option("--tries", "N", "Maximum number of attempts per position.", min=1, max=100)
    ] = DEFAULT_TRIES,
    within: Annotated[Any, duration_option("--within", "Give up on a position after this time (30s).")] = None,
    subaccount: Annotated[int | None, subaccount_option("Close the positions of this subaccount.")] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Close all positions with a slippage limit.

    Close every position, one after the other, as `kalshi close` does. Resting orders are not canceled. If the outcome
    of an order is unknown, it stops at once (exit code 7) and closes no further position.

    \b
    kalshi flatten --dry-run
    kalshi cancel-all && kalshi flatten --max-slippage 3c --yes
    """
    with open_app(ctx) as resources:
        walk = walk_of(max_slippage, step, tries, within)
        if not dry_run:
            _await_paused_loop(resources)
        close_positions(ctx, resources, walk, None, subaccount, yes=yes, dry_run=dry_run)


def _await_paused_loop(resources: Resources) -> None:
    """Wait a few seconds for the cancels of a loop that was paused just now: its orders can block a close."""
    from kalshi_cli.services.orders.flatten import CANCELS_S, await_cancels
    from kalshi_cli.services.trading.halts import TradingControl

    if not TradingControl(resources).is_loop_paused():
        return
    store = resources.remembered()
    if store is not None and not await_cancels(store, resources.machine, CANCELS_S):
        warn("The paused loop still has live orders, which can block a close; then run it again in a few seconds")


def walk_of(max_slippage: Any = None, step: Any = None, tries: int = DEFAULT_TRIES, within: Any = None) -> ClosePolicy:
    """Return the policy that the options ask for."""
    from kalshi_cli.services.orders.close import ClosePolicy

    given = {"max_slippage": max_slippage, "step": step, "within_s": within}
    chosen = {name: value for name, value in given.items() if value is not None}
    return ClosePolicy(**chosen, tries=tries, may_reach_a_cent=max_slippage is not None)


def close_positions(
    ctx: typer.Context,
    resources: Resources,
    walk: ClosePolicy,
    name: str | None,
    subaccount: int | None,
    *,
    count: Qty | None = None,
    cancel_orders: bool = False,
    yes: bool,
    dry_run: bool,
) -> None:
    """Show the plan, ask on prod, close, and show the result. Raise where a position is left."""
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.services.trading.halts import TradingControl
    from kalshi_cli.views.close import CloseRow, PlanRow
    from kalshi_cli.views.order_text import close_sentence

    who = TradingControl(resources).running_loop()
    if who is not None:
        info(
            f"A trading loop is running on this account ({who}) and may trade against this. "
            "To pause it first: kalshi pause"
        )
    orders = OrderService(resources, is_rehearsal=dry_run)
    # On a terminal a close that would be refused ends before its plan is shown; data has a row for each position. The
    # plan of a flatten warns of each refusal.
    is_reviewed = not name or (is_terse(ctx) and not dry_run)
    plan_close = partial(orders.plan_close, name, walk, count=count, subaccount=subaccount, cancel_orders=cancel_orders)
    try:
        with unsent("No order was sent"):
            plan = plan_close(is_reviewed=is_reviewed)
    except RefusedError as error:
        _explain_blocked([name] if name and error.code == "NOT_CLOSING" else [], who)
        raise
    if dry_run:
        in_words = is_terse(ctx) and plan.positions
        note_unsent(*(plan.facts if in_words else plan.cancels))
        if not in_words:
            show_list(ctx, PlanRow, plan.positions, empty=_none_open(name))
        info(*plan.warnings)
        if name and plan.positions and plan.positions[0].detail is None:
            _warn_if_refused(lambda: plan_close(is_reviewed=True))
        return
    outcome = orders.execute(confirmed(resources, orders, plan, yes=yes))
    if is_terse(ctx) and outcome.rows and outcome.error is None:
        for row in outcome.rows:
            write_sentence(close_sentence(row))
    else:
        show_list(ctx, CloseRow, outcome.rows, empty=_none_open(name))
    if outcome.error is not None:
        pairs = zip(outcome.rows, outcome.errors, strict=True)
        _explain_blocked([row.ticker for row, error in pairs if error and error.code == "NOT_CLOSING"], who)
        raise outcome.error


def _none_open(ticker: str | None) -> str:
    from kalshi_cli.views.close import no_position

    return no_position(ticker) if ticker else "No open positions"


def _warn_if_refused(review: Callable[[], object]) -> None:
    """Warn where the first order of a close would be refused now."""
    try:
        review()
    except RefusedError as error:
        info(f"A close would be refused now. {error.message}", f"hint: {error.hint}")


def _explain_blocked(tickers: Sequence[str], who: LockHolder | None) -> None:
    """Say how to close these positions while a trading loop runs, `who`, whose orders may block the close."""
    if tickers and who is not None:
        info(
            f"Your own resting orders (for example the running loop's) block closing {', '.join(tickers)}, and a "
            "loop replaces orders that are only canceled. Run `kalshi pause` (the loop cancels its own orders), "
            "then close again"
        )


def flattened(
    resources: Resources, view: CancelAllView, *, may_close: bool, yes: bool
) -> tuple[CancelAllView, KalshiError | None]:
    """Close every position for `cancel-all --flatten`, unless not `may_close`; return the result and the error."""
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.views.close import FlattenView

    if not may_close:
        warn("No position was closed: first it must be verified that trading is halted and no order remains")
        return FlattenView.of(view, positions=()), None
    try:
        orders = OrderService(resources)
        outcome = orders.execute(confirmed(resources, orders, orders.plan_close(policy=walk_of()), yes=yes))
    except KalshiError as error:  # what was canceled before must be shown too
        return FlattenView.of(view, positions=()), error
    return FlattenView.of(view, positions=outcome.rows), outcome.error


def confirmed(resources: Resources, orders: OrderService, plan: CloseAllPlan, *, yes: bool) -> CloseAllPlan:
    """Show the plan, and ask on prod; return the plan to execute, which stays as it was shown."""
    if not asks(resources) or yes or not plan.positions:
        info(*plan.facts, *plan.warnings)
        return plan
    facts = [resources.config.env, *plan.facts, *plan.warnings]
    agreed(resources, "Close these positions with real money?", *facts, yes=yes)
    return orders.renew(plan)
