"""Options, and the confirmation, that the order commands share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from kalshi_cli.cli.options import agreed

if TYPE_CHECKING:
    from kalshi_cli.services.plans import PlanningService
    from kalshi_cli.services.resources import Resources
    from kalshi_cli.views.plans import Plan

    P = TypeVar("P", bound=Plan[Any])

TIFS = ("gtc", "ioc", "fok")
STPS = ("taker", "maker")

HIGHEST_SUBACCOUNT = 63


def subaccount_option(text: str) -> Any:
    """Return an option that takes the number of a subaccount."""
    return typer.Option("--subaccount", min=0, max=HIGHEST_SUBACCOUNT, metavar="N", help=text)


def order_argument() -> Any:
    """Return the argument that names an order."""
    return typer.Argument(metavar="ID", help="Order id or client order id", show_default=False)


Yes = Annotated[bool, typer.Option("--yes", help="Skip the confirmation on prod")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, without sending it")]


def consented(resources: Resources, service: PlanningService, plan: P, question: str, *, yes: bool) -> P:
    """Show the plan and ask for confirmation on prod; return the plan to execute.

    The user may take minutes to answer, so the plan is made again after a question.
    """
    is_asked = agreed(resources, question, *plan.facts, *plan.warnings, yes=yes)
    return service.renew(plan) if is_asked else plan
