"""`kalshi buy` and `kalshi sell`: the short forms of `kalshi order place`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import KalshiError
from kalshi_cli.base.units import Price, price_from_user, qty_from_user, show_price
from kalshi_cli.cli.commands.orders import place_order
from kalshi_cli.cli.options import CommandGroup, HelpCommand, open_services, ticker, typed_by
from kalshi_cli.cli.order_options import takes_order_terms

app = CommandGroup("Buy and sell contracts.")

QUOTE_S = 2.0
"""The longest time of the read of the prices in a hint."""


def price_after_at(text: str) -> Price:
    """Read `@0.24`, `0.24`, `24c` or `@24c` as a price. ValueError for anything else."""
    return price_from_user(text.strip().removeprefix("@"))


class ShortOrderCommand(HelpCommand):
    """A command whose hint about a missing count or price also has the best prices, on a terminal."""

    def usage_hint(self, ctx: Any, given: Mapping[str, Any]) -> str:
        hint, name = super().usage_hint(ctx, given), given.get("name")
        if not (isinstance(name, str) and sys.stderr.isatty()):
            return hint
        for option in (param for param in self.params if not param.expose_value):
            option.handle_parse_result(ctx, given, [])  # an --env behind the missing value counts too
        with suppress(KalshiError), open_services(ctx) as kalshi:
            book = kalshi.markets.best_prices(name.upper(), QUOTE_S)
            bid, ask = (show_price(price) if price is not None else "none" for price in (book.best_bid, book.best_ask))
            return f"{name.upper()} has best bid {bid}, best ask {ask} (YES); {hint}"
        return hint


def short_order(documented: Callable[[], None]) -> Callable[..., None]:
    """Return the command of an action: the name of the function that is documented."""

    def place(
        ctx: typer.Context,
        name: Annotated[str, ticker()],
        count: Annotated[
            Any,
            typer.Argument(
                parser=typed_by(qty_from_user), metavar="COUNT", help="Number of contracts.", show_default=False
            ),
        ],
        price: Annotated[
            Any,
            typer.Argument(
                parser=typed_by(price_after_at),
                metavar="@PRICE",
                help="Limit price: @0.24 or @24c.",
                show_default=False,
            ),
        ],
        no: Annotated[bool, typer.Option("--no", help="Trade NO instead of YES; the price is that of NO.")] = False,
        **terms: Any,
    ) -> None:
        place_order(ctx, name, "no" if no else "yes", documented.__name__, count, price, **terms)

    place.__doc__ = documented.__doc__
    return takes_order_terms(place)


@app.command("buy", cls=ShortOrderCommand)
@short_order
def buy() -> None:
    """Buy contracts at a limit price.

    Buy YES contracts, or NO contracts with `--no`. This is the short form of `kalshi order place` and takes the same
    options; every risk limit applies.

    \b
    kalshi buy KXHIGHNY-26NOV21-B53.5 10 @0.24
    kalshi buy KXHIGHNY-26NOV21-B53.5 5 @70c --no --dry-run
    """


@app.command("sell", cls=ShortOrderCommand)
@short_order
def sell() -> None:
    """Sell contracts at a limit price.

    Sell YES contracts, or NO contracts with `--no`. A sale of contracts that you do not hold opens a short position:
    it buys the other outcome. This is the short form of `kalshi order place` and takes the same options.

    \b
    kalshi sell KXHIGHNY-26NOV21-B53.5 10 @0.30
    kalshi sell KXHIGHNY-26NOV21-B53.5 5 @70c --no --dry-run
    """
