"""What the commands on orders share: words, options, and the questions on prod."""

from __future__ import annotations

from typing import Annotated, Any

import typer

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
