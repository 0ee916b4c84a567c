"""`kalshi close` and `kalshi flatten`: out of a position, at bounded prices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kalshi_cli.cli.options import CommandGroup, duration_option, note_unsent, open_app, price_option, show_list, ticker
from kalshi_cli.cli.order_options import DryRun, Yes, subaccount_option
from kalshi_cli.cli.screen.output import info, warn

if TYPE_CHECKING:
    from kalshi_cli.base.errors import KalshiError
    from kalshi_cli.services.orders.close import ClosePlan, ClosePolicy, PositionCloser
    from kalshi_cli.services.resources import Resources
    from kalshi_cli.views.orders import CancelAllView

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
    with open_app(ctx) as desk:
        walk = walk_of(max_slippage, step, tries, within)
        close_positions(ctx, desk, walk, name.upper(), subaccount, yes=yes, dry_run=dry_run)


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
    with open_app(ctx) as desk:
        walk = walk_of(max_slippage, step, tries, within)
        close_positions(ctx, desk, walk, "", subaccount, yes=yes, dry_run=dry_run)


def walk_of(max_slippage: Any = None, step: Any = None, tries: int = DEFAULT_TRIES, within: Any = None) -> ClosePolicy:
    """The walk that the options ask for."""
    from kalshi_cli.services.orders.close import ClosePolicy

    given = {"max_slippage": max_slippage, "step": step, "within_s": within}
    chosen = {name: value for name, value in given.items() if value is not None}
    return ClosePolicy(**chosen, tries=tries, may_reach_a_cent=max_slippage is not None)


def close_positions(
    ctx: typer.Context,
    desk: Resources,
    walk: ClosePolicy,
    name: str,
    subaccount: int | None,
    *,
    yes: bool,
    dry_run: bool,
) -> None:
    """Show the plan, ask on prod, close, and say what is left; raises where something is."""
    from kalshi_cli.services.orders.close import failure
    from kalshi_cli.services.trading.halts import TradingControl
    from kalshi_cli.views.close import CloseRow, PlanRow

    who = TradingControl(desk).running_loop()
    if who is not None:
        info(f"a loop runs on this account ({who}) and may trade against this; to hold it up first: kalshi pause")
    closer, plans = planned(desk, walk, name, subaccount, dry_run=dry_run)
    if dry_run:
        note_unsent()
        show_list(ctx, PlanRow, plans, empty="no position")
        return
    confirm_plans(desk, plans, yes=yes)
    closings = closer.close(plans)
    show_list(ctx, CloseRow, closings, empty="no position")
    if (error := failure(closings)) is not None:
        stuck = [each.plan.market.ticker for each in closings if each.error and each.error.code == "NOT_CLOSING"]
        if stuck and who is not None:
            info(
                f"orders that rest, such as the running loop's, keep {', '.join(stuck)} from being closed, and a loop "
                "replaces what is only canceled: kalshi pause takes its own back; then close again"
            )
        raise error


def flattened(
    desk: Resources, view: CancelAllView, *, may_close: bool, yes: bool
) -> tuple[CancelAllView, KalshiError | None]:
    """What `cancel-all --flatten` closes, and what went wrong; nothing unless it `may_close`."""
    from kalshi_cli.services.orders.close import close_all
    from kalshi_cli.views.close import CloseRow, FlattenView

    if not may_close:
        warn("nothing was closed: first it must be certain that trading is halted and that nothing rests")
        return FlattenView.of(view, positions=()), None
    closings, error = close_all(lambda: planned(desk, walk_of()), lambda plans: confirm_plans(desk, plans, yes=yes))
    return FlattenView.of(view, positions=tuple(map(CloseRow.of, closings))), error


def planned(
    desk: Resources, walk: ClosePolicy, name: str = "", subaccount: int | None = None, *, dry_run: bool = False
) -> tuple[PositionCloser, list[ClosePlan]]:
    """What is held, and the desk that closes it."""
    from kalshi_cli.services.orders.close import PositionCloser
    from kalshi_cli.services.orders.place import order_desk

    closer = PositionCloser(order_desk(desk, is_rehearsal=dry_run), walk, info, subaccount)
    return closer, closer.plans(name)


def confirm_plans(desk: Resources, plans: Sequence[ClosePlan], *, yes: bool) -> None:
    """Say what would be done; on prod a person must agree to it."""
    from kalshi_cli.cli.screen.prompts import confirm

    facts = [_fact(plan) for plan in plans]
    if not desk.needs_confirmation or yes or not plans:
        for fact in facts:
            info(fact)
        return
    confirm("close these positions?", [desk.config.env, *facts], hosts=desk.other_hosts, yes=yes)


def _fact(plan: ClosePlan) -> str:
    from kalshi_cli.base.units import show_money, show_price, show_qty

    what = f"{plan.market.ticker}: {show_qty(plan.qty)} {plan.outcome.upper()}"
    if plan.touch is None or plan.worst is None:
        return f"{what}, not now: {plan.refusal}"
    return (
        f"{what} at {show_price(plan.own(plan.touch))} now, at worst {show_price(plan.own(plan.worst))}; "
        f"{show_money(plan.expected)} for {show_qty(plan.fillable)} in the book, "
        f"all of it at worst {show_money(plan.least)}, fees about {show_money(plan.fee)}"
    )
