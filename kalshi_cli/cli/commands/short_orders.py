"""`kalshi buy` and `kalshi sell`: the short forms of `kalshi order place`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from kalshi_cli.base.units import Price, Qty, price_from_user, qty_from_user
from kalshi_cli.cli.commands.orders import place_order
from kalshi_cli.cli.options import CommandGroup, ticker
from kalshi_cli.cli.order_options import takes_order_terms

app = CommandGroup("Buy and sell contracts.")


def price_after_at(text: str) -> Price:
    """Read `@0.24`, `0.24`, `24c` or `@24c` as a price. ValueError for anything else."""
    return price_from_user(text.strip().removeprefix("@"))


def _count(text: str) -> Qty:
    try:
        return qty_from_user(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _price(text: str) -> Price:
    try:
        return price_after_at(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Count = Annotated[Any, typer.Argument(parser=_count, metavar="COUNT", help="Number of contracts.", show_default=False)]
LimitPrice = Annotated[
    Any, typer.Argument(parser=_price, metavar="@PRICE", help="Limit price: @0.24 or @24c.", show_default=False)
]
No = Annotated[bool, typer.Option("--no", help="Trade NO instead of YES; the price is that of NO.")]


@app.command("buy")
@takes_order_terms
def buy(
    ctx: typer.Context,
    name: Annotated[str, ticker()],
    count: Count,
    price: LimitPrice,
    no: No = False,
    **terms: Any,
) -> None:
    """Buy contracts at a limit price.

    Buy YES contracts, or NO contracts with `--no`. This is the short form of `kalshi order place` and takes the same
    options; every risk limit applies.

    \b
    kalshi buy KXHIGHNY-26NOV21-B53.5 10 @0.24
    kalshi buy KXHIGHNY-26NOV21-B53.5 5 @70c --no --dry-run
    """
    place_order(ctx, name, "no" if no else "yes", "buy", count, price, **terms)


@app.command("sell")
@takes_order_terms
def sell(
    ctx: typer.Context,
    name: Annotated[str, ticker()],
    count: Count,
    price: LimitPrice,
    no: No = False,
    **terms: Any,
) -> None:
    """Sell contracts at a limit price.

    Sell YES contracts, or NO contracts with `--no`. A sale of contracts that you do not hold opens a short position:
    it buys the other outcome. This is the short form of `kalshi order place` and takes the same options.

    \b
    kalshi sell KXHIGHNY-26NOV21-B53.5 10 @0.30
    kalshi sell KXHIGHNY-26NOV21-B53.5 5 @70c --no --dry-run
    """
    place_order(ctx, name, "no" if no else "yes", "sell", count, price, **terms)
