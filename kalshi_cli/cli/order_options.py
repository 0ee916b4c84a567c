"""What the commands on orders share: words, options, and the questions on prod."""

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
    """An option that takes the number of a subaccount."""
    return typer.Option("--subaccount", min=0, max=HIGHEST_SUBACCOUNT, metavar="N", help=text)


def order_argument() -> Any:
    """The argument that names an order."""
    return typer.Argument(metavar="ID", help="Order id, or your own.", show_default=False)


Yes = Annotated[bool, typer.Option("--yes", help="Do not ask (prod asks).")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, send nothing.")]


def consented(resources: Resources, service: PlanningService, plan: P, question: str, *, yes: bool) -> P:
    """Show the plan and ask, where the environment wants that; return what to execute.

    The question may have stood for minutes: the plan is made again then.
    """
    is_asked = agreed(resources, question, *plan.facts, *plan.warnings, yes=yes)
    return service.renew(plan) if is_asked else plan
