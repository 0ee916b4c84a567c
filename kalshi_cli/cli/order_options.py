"""Options, confirmations and answers that the order commands share."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

import typer

from kalshi_cli.base.errors import RateLimitedError, UnreachableError
from kalshi_cli.base.local_time import show_times
from kalshi_cli.cli.options import agreed, flags_of, form_of, open_app, show_view
from kalshi_cli.cli.parameters import DryRun, Yes, choice_option, duration_option, flag, option, subaccount_option
from kalshi_cli.cli.screen.output import Format, chosen_fields, default_format, info, write_sentence

if TYPE_CHECKING:
    from kalshi_cli.base.units import Ts
    from kalshi_cli.services.orders.place import OrderTicket
    from kalshi_cli.services.orders.service import OrderService
    from kalshi_cli.services.plans import PlanningService
    from kalshi_cli.services.resources import Resources
    from kalshi_cli.views.orders import OrderChangeView, OrderRow
    from kalshi_cli.views.plans import AmendPlan, Plan

    P = TypeVar("P", bound=Plan[Any])
    R = TypeVar("R")

TIFS = ("gtc", "ioc", "fok")
STPS = ("taker", "maker")

ExpiresIn = Annotated[Any, duration_option("--expires-in", "Cancel at the exchange after this time.")]

_TERMS: dict[str, tuple[Any, Any, Any]] = {
    "tif": (str, choice_option("--tif", TIFS, "Good till canceled, immediate or cancel, or fill or kill."), "gtc"),
    "post_only": (bool, flag("--post-only", "Reject if it would take liquidity"), False),
    "reduce_only": (bool, flag("--reduce-only", "Only reduce a position; requires --tif ioc"), False),
    "expires_in": (*get_args(ExpiresIn), None),
    "client_order_id": (
        str,
        option("--client-order-id", "ID", "Your own id (letters, digits, -, _); used for one order only"),
        "",
    ),
    "group": (str, option("--group", "ID", "Add the order to this order group"), ""),
    "stp": (
        str,
        choice_option("--stp", STPS, "Self-trade prevention: which order is canceled, taker or maker."),
        "taker",
    ),
    "cancel_on_pause": (bool, flag("--cancel-on-pause", "Cancel when trading pauses"), False),
    "subaccount": (int | None, subaccount_option("Place the order in this subaccount."), None),
    "yes": (*get_args(Yes), False),
    "dry_run": (*get_args(DryRun), False),
}
"""The options of every command that places one order: name -> type, option and default."""


def takes_order_terms(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of `_TERMS` in place of its `**terms`."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    terms = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[kind, term], default=default)
        for name, (kind, term, default) in _TERMS.items()
    ]
    parameters = [each for each in own if each.kind is not inspect.Parameter.VAR_KEYWORD]
    command.__signature__ = inspect.Signature([*parameters, *terms])  # type: ignore[attr-defined]
    return command


def order_ticket(
    ticker: str, side: str, action: str, count: Any, price: Any, *,
    tif: str, stp: str, expires_in: Any, client_order_id: str, group: str, **same: Any,
) -> OrderTicket:  # fmt: skip
    """Return the order that was typed."""
    from kalshi_cli.services.orders.place import SELF_TRADE_PREVENTIONS, TIMES_IN_FORCE, OrderTicket

    return OrderTicket(
        ticker=ticker.upper(),
        outcome=side,  # type: ignore[arg-type]
        action=action,  # type: ignore[arg-type]
        qty=count,
        price=price,
        tif=TIMES_IN_FORCE[tif],
        self_trade_prevention=SELF_TRADE_PREVENTIONS[stp],
        expires_in_s=expires_in,
        client_order_id=client_order_id or None,
        order_group_id=group,
        **same,
    )


def executed(resources: Resources, service: PlanningService, plan: Plan[R], question: str, *, yes: bool) -> R:
    """Execute a plan after `consented`, and return the result."""
    return service.execute(consented(resources, service, plan, question, yes=yes))


def consented(resources: Resources, service: PlanningService, plan: P, question: str, *, yes: bool) -> P:
    """Show the plan and ask for confirmation on prod; return the plan to execute.

    The user may take minutes to answer, so the plan is renewed after a question.
    """
    is_asked = agreed(resources, question, *plan.facts, *plan.warnings, yes=yes)
    return service.renew(plan) if is_asked else plan


@contextmanager
def open_orders(ctx: typer.Context, *, is_rehearsal: bool = False) -> Iterator[tuple[Resources, OrderService]]:
    """Open the account that a command needs, and the service of its orders."""
    from kalshi_cli.services.orders.service import OrderService

    with open_app(ctx) as resources:
        yield resources, OrderService(resources, is_rehearsal=is_rehearsal)


@contextmanager
def unsent(words: str) -> Iterator[None]:
    """End the message of a failed connection with `words`, which say that nothing was sent.

    An UnreachableError means that nothing is outstanding; after a request that may have arrived the error is another.
    """
    try:
        yield
    except (RateLimitedError, UnreachableError) as error:
        if error.code == "never_arrived":  # it was sent, and its message says what became of it
            raise
        raise type(error)(f"{error.message}. {words}", hint=error.hint, code=error.code) from error


def is_terse(ctx: typer.Context) -> bool:
    """Return whether a result is one sentence: on a terminal, without `-v` and without a format."""
    flags = flags_of(ctx)
    return not flags.wants_data and not flags.verbose and default_format() is Format.TABLE


def is_for_people(ctx: typer.Context) -> bool:
    """Return whether the output is a table, on a terminal or in a pipe, and not JSON, NDJSON or CSV."""
    return form_of(ctx) in (Format.TABLE, Format.PLAIN)


def shows_side_in_words(ctx: typer.Context) -> bool:
    """Return whether the chosen fields are for a terminal, and the side has no action beside it: `sell YES`."""
    names = chosen_fields()
    return form_of(ctx) is Format.TABLE and "side" in names and "action" not in names


def shows_every_field(ctx: typer.Context) -> bool:
    """Return whether stdout is text with every field, also those that a table leaves to the notices on stderr."""
    return form_of(ctx) is Format.PLAIN and not chosen_fields()


def note_halt(ctx: typer.Context, resources: Resources) -> None:
    """Say on a terminal that trading is halted, paused or reduce-only."""
    from kalshi_cli.services.trading.halts import TradingControl, describe, resume_hint

    if is_terse(ctx) and (halt := TradingControl(resources).now()).state.value != "active":
        info(f"{describe(halt)}; {resume_hint(halt)}")


def note_pause(ctx: typer.Context, resources: Resources) -> None:
    """Say on a terminal that the exchange, or trading there, is paused."""
    from kalshi_cli.services.trading.reports.live_events import exchange_pause

    if is_terse(ctx) and (text := exchange_pause(resources)):
        info(show_times(text))


def show_order(ctx: typer.Context, order: OrderRow, now: Ts) -> None:
    """Show an order: one sentence on a terminal, all fields with `-v`, with a format or in a pipe."""
    flags_of(ctx).order_id = order.order_id or ""
    if is_terse(ctx):
        from kalshi_cli.views.order_text import order_sentence

        write_sentence(order_sentence(order))
    else:
        show_view(ctx, order, title=order.ticker, now=now)


def show_change(
    ctx: typer.Context, orders: OrderService, order: OrderChangeView, now: Ts, plan: AmendPlan | None = None
) -> None:
    """Show a changed order as `show_order` does, and say what changed."""
    flags_of(ctx).order_id = order.order_id or ""
    if is_terse(ctx):
        from kalshi_cli.views.order_text import change_sentence

        write_sentence(change_sentence(orders.in_own_terms([order])[0], plan))
    else:
        show_view(ctx, order, title=order.ticker, now=now)
