"""`kalshi close` and `kalshi flatten`: out of a position, at bounded prices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.cli.options import CommandGroup, duration_option, note_unsent, open_app, price_option, show_list, ticker
from kalshi_cli.cli.order_options import DryRun, Yes, subaccount_option
from kalshi_cli.cli.screen.output import info, warn

if TYPE_CHECKING:
    from kalshi_cli.services.orders.close import ClosePolicy
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.services.resources import Resources
    from kalshi_cli.views.orders import CancelAllView
    from kalshi_cli.views.plans import CloseAllPlan

app = CommandGroup("Close positions.")

DEFAULT_TRIES = 10


def _slippage() -> Any:
    return price_option("--max-slippage", text="Give way at most so far from the best price (5c).")


@app.command("close")
def close(
    ctx: typer.Context,
    name: Annotated[str, ticker()],
    max_slippage: Annotated[Any, _slippage()] = None,
    step: Annotated[Any, price_option("--step", text="Give way by this at each try (1c).")] = None,
    tries: Annotated[int, typer.Option(min=1, max=100, help="Orders and looks at the book, at most.")] = DEFAULT_TRIES,
    within: Annotated[Any, duration_option("--within", text="Give up after this (30s).")] = None,
    subaccount: Annotated[int | None, subaccount_option("The position of this subaccount.")] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Close the position in one market: reduce-only orders at the best price, then step by step a little worse.

    Never beyond --max-slippage from the best price at the start, and not at one cent unless --max-slippage is given.
    Nothing rests afterwards. It works while trading is halted too. Exit 0 only if nothing is left.

    \b
    kalshi close KXHIGHNY-26NOV21-B53.5 --dry-run
    kalshi close KXHIGHNY-26NOV21-B53.5 --max-slippage 2c --json
    """
    with open_app(ctx) as resources:
        walk = walk_of(max_slippage, step, tries, within)
        close_positions(ctx, resources, walk, name.upper(), subaccount, yes=yes, dry_run=dry_run)


@app.command("flatten")
def flatten(
    ctx: typer.Context,
    max_slippage: Annotated[Any, _slippage()] = None,
    step: Annotated[Any, price_option("--step", text="Give way by this at each try (1c).")] = None,
    tries: Annotated[int, typer.Option(min=1, max=100, help="Orders and looks at each book, at most.")] = DEFAULT_TRIES,
    within: Annotated[Any, duration_option("--within", text="Give up a position after this (30s).")] = None,
    subaccount: Annotated[int | None, subaccount_option("The positions of this subaccount.")] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """Close every position, one after the other, each as `kalshi close` does. Orders that rest are left alone.

    Where it is not known what became of an order it stops at once (exit 7) and begins no other position.

    \b
    kalshi flatten --dry-run
    kalshi cancel-all && kalshi flatten --max-slippage 3c --yes
    """
    with open_app(ctx) as resources:
        walk = walk_of(max_slippage, step, tries, within)
        close_positions(ctx, resources, walk, "", subaccount, yes=yes, dry_run=dry_run)


def walk_of(max_slippage: Any = None, step: Any = None, tries: int = DEFAULT_TRIES, within: Any = None) -> ClosePolicy:
    """The walk that the options ask for."""
    from kalshi_cli.services.orders.close import ClosePolicy

    given = {"max_slippage": max_slippage, "step": step, "within_s": within}
    chosen = {name: value for name, value in given.items() if value is not None}
    return ClosePolicy(**chosen, tries=tries, may_reach_a_cent=max_slippage is not None)


def close_positions(
    ctx: typer.Context,
    resources: Resources,
    walk: ClosePolicy,
    name: str,
    subaccount: int | None,
    *,
    yes: bool,
    dry_run: bool,
) -> None:
    """Show the plan, ask on prod, close, and say what is left; raises where something is."""
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.services.trading.halts import TradingControl
    from kalshi_cli.views.close import CloseRow, PlanRow

    who = TradingControl(resources).running_loop()
    if who is not None:
        info(f"a loop runs on this account ({who}) and may trade against this; to hold it up first: kalshi pause")
    orders = OrderService(resources, is_rehearsal=dry_run)
    plan = orders.plan_close(name, walk, subaccount=subaccount)
    if dry_run:
        note_unsent()
        show_list(ctx, PlanRow, plan.positions, empty="no position")
        return
    outcome = orders.execute(confirmed(resources, orders, plan, yes=yes))
    show_list(ctx, CloseRow, outcome.rows, empty="no position")
    if outcome.error is not None:
        pairs = zip(outcome.rows, outcome.errors, strict=True)
        stuck = [row.ticker for row, error in pairs if error and error.code == "NOT_CLOSING"]
        if stuck and who is not None:
            info(
                f"orders that rest, such as the running loop's, keep {', '.join(stuck)} from being closed, and a loop "
                "replaces what is only canceled: kalshi pause takes its own back; then close again"
            )
        raise outcome.error


def flattened(
    resources: Resources, view: CancelAllView, *, may_close: bool, yes: bool
) -> tuple[CancelAllView, KalshiError | None]:
    """Return what `cancel-all --flatten` closes, and what went wrong; nothing unless it `may_close`."""
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.views.close import FlattenView

    if not may_close:
        warn("nothing was closed: first it must be certain that trading is halted and that nothing rests")
        return FlattenView.of(view, positions=()), None
    try:
        orders = OrderService(resources)
        outcome = orders.execute(confirmed(resources, orders, orders.plan_close("", walk_of()), yes=yes))
    except KalshiError as error:  # what was canceled before must be shown too
        return FlattenView.of(view, positions=()), error
    return FlattenView.of(view, positions=outcome.rows), outcome.error


def confirmed(resources: Resources, orders: OrderService, plan: CloseAllPlan, *, yes: bool) -> CloseAllPlan:
    """Show the plan, and ask on prod; return what to execute. What was shown is closed, however long it was read."""
    from kalshi_cli.cli.screen.prompts import confirm

    if not resources.needs_confirmation or yes or not plan.positions:
        for fact in plan.facts:
            info(fact)
        return plan
    confirm("close these positions?", [resources.config.env, *plan.facts], hosts=resources.other_hosts, yes=yes)
    return orders.renew(plan)
