"""`kalshi buy` and `kalshi sell`: the short forms of `kalshi order place`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import takewhile
from typing import Annotated, Any

import typer

from kalshi_cli.base.errors import KalshiError, UsageError
from kalshi_cli.base.short_order import price_after_at, refuse_dollars, refuse_outcome, refuse_swapped
from kalshi_cli.base.units import ONE_DOLLAR, Price, qty_from_user, show_price
from kalshi_cli.cli.commands.orders import place_order
from kalshi_cli.cli.options import open_services
from kalshi_cli.cli.parameters import CommandGroup, HelpCommand, argument, flag, takes_order_terms, ticker, typed_by

app = CommandGroup("Buy and sell contracts.")

HALF = Price(5_000)
"""The price of an example without a quote."""

QUOTE_S = 2.0
"""The longest time of the read of the prices in a hint."""


class ShortOrderCommand(HelpCommand):
    """A command whose hint about a missing count or price also has the best prices, on a terminal."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words. UsageError for a negative count, and for the `--side` of `kalshi order place`."""
        _refuse_other_order(ctx.command_path, args)
        for word in args[: args.index("--")] if "--" in args else args:
            if word[:1] == "-" and word[1:2].isdigit():
                raise UsageError(
                    f"Counts, prices and durations must be greater than zero, not {word}", hint=_usage(ctx)
                )
            if word.partition("=")[0] == "--side":
                raise UsageError(f"No such option: --side. `{ctx.command_path}` trades YES", hint="for NO, add --no")
        return super().parse_args(ctx, args)

    def usage_hint(self, ctx: Any, given: Mapping[str, Any]) -> str:
        name = given.get("name")
        if not (isinstance(name, str) and sys.stderr.isatty()):
            return super().usage_hint(ctx, given)
        for option in (param for param in self.params if not param.expose_value):
            option.handle_parse_result(ctx, given, [])  # an --env behind the missing value counts too
        with suppress(KalshiError), open_services(ctx) as kalshi:
            book = kalshi.markets.best_prices(name.upper(), QUOTE_S)
            bid, ask, outcome = book.best_bid, book.best_ask, "YES"
            if given.get("no"):
                bid, ask, outcome = _of_no(ask), _of_no(bid), "NO"
            wanted = ask if ctx.info_name == "buy" else bid
            example = (
                f"{ctx.command_path} {name.upper()} {given.get('count') or 10} @{(wanted or HALF) / ONE_DOLLAR:.2f}"
            )
            return (
                f"{name.upper()} has best bid {_shown(bid)}, best ask {_shown(ask)} ({outcome}); for example "
                f"`{example}{' --no' if outcome == 'NO' else ''}`; see `{ctx.command_path} -h`"
            )
        return super().usage_hint(ctx, given)


def _refuse_other_order(path: str, args: list[str]) -> None:
    """Refuse words in another order than market, count, price, with the right line; and an outcome as a word."""
    words = list(takewhile(lambda word: not word.startswith("-"), args))
    refuse_outcome(path, words)
    if len(words) == 3:
        refuse_swapped(f"{path} {words[0]}", *words[1:])
        refuse_dollars(f"{path} {words[0]}", *words[1:])
    if len(words) == 2 and "@" in words[1][1:]:
        line = " ".join((path, words[0], words[1].replace("@", " @", 1)))
        raise UsageError(f"The count and the price are two words: {words[1]}", hint=f"`{line}`")
    if len(words) > 1 and words[0].replace(".", "", 1).isdigit() and not words[1].lstrip("@$")[:1].isdigit():
        line = " ".join((path, words[1], words[0], *words[2:]))
        raise UsageError(f"The market comes before the count: {words[0]} {words[1]}", hint=f"`{line}`")


def _of_no(price: Price | None) -> Price | None:
    return None if price is None else Price(ONE_DOLLAR - price)


def _shown(price: Price | None) -> str:
    return "none" if price is None else show_price(price)


def _usage(ctx: Any) -> str:
    return f"see `{ctx.command_path} -h`"


def short_order(documented: Callable[[], None]) -> Callable[..., None]:
    """Return the command of an action: the name of the function that is documented."""

    def place(
        ctx: typer.Context,
        name: Annotated[str, ticker()],
        count: Annotated[Any, argument("COUNT", "Number of contracts.", parser=typed_by(qty_from_user))],
        price: Annotated[Any, argument("@PRICE", "Limit price: @0.24 or @24c.", parser=typed_by(price_after_at))],
        no: Annotated[bool, flag("--no", "Trade NO instead of YES; the price is that of NO.")] = False,
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

    Sell YES contracts, or NO contracts with `--no`. A sale of contracts that you do not hold buys the
    other outcome. This is the short form of `kalshi order place` and takes the same options.

    \b
    kalshi sell KXHIGHNY-26NOV21-B53.5 10 @0.30
    kalshi sell KXHIGHNY-26NOV21-B53.5 5 @70c --no --dry-run
    """
