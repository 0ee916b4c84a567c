"""`kalshi scan`: what is worth a look among all open markets, net of fees."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import nsmallest
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

from kalshi_cli.base.units import Money, Qty, qty_from_user
from kalshi_cli.cli.options import (
    CommandGroup,
    choice_option,
    duration_option,
    money_option,
    open_app,
    price_option,
    show_list,
)
from kalshi_cli.cli.screen.output import info

if TYPE_CHECKING:
    from kalshi_cli.core.market.opportunities import ScannedMarket
    from kalshi_cli.services.research.scan import OpenFamily
    from kalshi_cli.services.resources import Resources
    from kalshi_cli.views.row import OutputRow

app = CommandGroup("What is worth a look among all open markets, net of fees. Nothing is traded.")

T = TypeVar("T")
WIDTHS = ("cents", "percent", "keeps")


# -- what every look takes, and shows -----------------------------------------------------------------------------


def _volume(text: str) -> Qty:
    """Contracts; 0 for what did not trade, too."""
    try:
        return Qty(0) if text.strip() == "0" else qty_from_user(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Series = Annotated[str, typer.Option("--series", metavar="SERIES", help="Only this series, like KXBTCD.")]
Event = Annotated[str, typer.Option("--event", metavar="EVENT", help="Only this event.")]
MinVolume = Annotated[
    Any,
    typer.Option(
        "--min-volume", parser=_volume, metavar="COUNT", help="Only those that traded at least this in the last day."
    ),
]
Limit = Annotated[int, typer.Option("--limit", min=1, max=10_000, help="At most so many rows.")]


class ScanContext(NamedTuple):
    """The open events, as they are read, and how many rows are wanted of them."""

    desk: Resources
    families: Iterator[OpenFamily]
    limit: int

    @property
    def markets(self) -> Iterator[ScannedMarket]:
        return (listed for family in self.families for listed in family.markets)

    def best(self, found: Iterable[T | None], order: Callable[[T], Any]) -> list[T]:
        """The first of them in this order, with a remark where there are more. Holds no more than are shown."""
        some = nsmallest(self.limit + 1, (each for each in found if each is not None), key=order)
        return _cut(some, self.limit)


def _cut(found: list[T], limit: int) -> list[T]:
    if len(found) > limit:
        info(f"the list was cut at {limit}; see more with --limit N")
    return found[:limit]


class ScanOutput(NamedTuple):
    """The rows of a look, and what is said where there are none."""

    of: type[OutputRow]
    rows: Iterable[OutputRow]
    empty: str


def run_scan(name: str, *, traded: str = "0") -> Callable[[Callable[..., Any]], None]:
    """`kalshi scan NAME`, of what a function finds: it gets a Look and the options of its own. All take the same scope;
    `traded` is what a market must have traded where nobody says."""

    def add(find: Callable[..., Any]) -> None:
        def command(ctx: typer.Context, series: str, event: str, min_volume: Qty, limit: int, **own: Any) -> None:
            from kalshi_cli.cli.screen.prompts import progress
            from kalshi_cli.services.research.scan import ScanScope, read_families

            with open_app(ctx) as desk:
                now, scope = desk.clock.now(), ScanScope(series.upper(), event.upper(), min_volume)
                families = read_families(desk.client, scope, now, lambda found: progress(found, "reading events"))
                shown = find(ScanContext(desk, families, limit), **own)
                show_list(ctx, shown.of, shown.rows, empty=shown.empty, now=desk.clock.now())

        _, *own = signature(find, eval_str=True).parameters.values()
        shared = {"series": (Series, ""), "event": (Event, ""), "min_volume": (MinVolume, traded), "limit": (Limit, 20)}
        of_context = Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        scope = [
            Parameter(each, Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for each, (kind, default) in shared.items()
        ]
        own = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in own]
        command.__signature__ = Signature([of_context, *own, *scope])  # type: ignore[attr-defined]
        app.command(name, help=find.__doc__)(command)

    return add


# -- the looks ----------------------------------------------------------------------------------------------------


@run_scan("arbitrage")
def arbitrage(
    look: ScanContext,
    min_profit: Annotated[Any, money_option("--min-profit", text="Only baskets that leave at least this.")] = None,
) -> ScanOutput:
    """Markets of one event that, bought together, pay more than they cost whatever happens.

    NO of several markets of which at most one comes true; YES of a lower threshold and NO of a higher one.
    The list's prices choose; the books of what they choose are read then. Prices move while you look, and nothing buys
    all legs at once: one that misses leaves a position. The strategy `arbitrage` takes the thinnest leg first.

    \b
    kalshi scan arbitrage
    kalshi scan arbitrage --min-profit 1.00 --json
    kalshi scan arbitrage --series KXHIGHNY
    """
    from kalshi_cli.services.research.scan import MAX_BOOKS, find_arbitrage
    from kalshi_cli.views.scan import ArbitrageRow, arbitrage_row

    found, unread = find_arbitrage(look.desk.client, look.families, min_profit or Money(0))
    if unread:
        info(f"{unread} more events may have some: only {MAX_BOOKS} books were read; narrow it with --series")
    if found:
        info("prices move, and legs are not bought at once: one that misses leaves a position")
    best = look.best(found, lambda each: (-each.basket.net, each.event.event_ticker))
    return ScanOutput(ArbitrageRow, [arbitrage_row(*each) for each in best], "no basket pays after fees")


@run_scan("spread", traded="1")
def spread(
    look: ScanContext, sort: Annotated[str, choice_option("--sort", choices=WIDTHS, text="What is widest.")] = "cents"
) -> ScanOutput:
    """The widest spreads of what trades, and what a maker of both sides keeps of them after maker fees.

    \b
    kalshi scan spread
    kalshi scan spread --sort keeps --min-volume 1000 --limit 10
    """
    from kalshi_cli.core.market import opportunities
    from kalshi_cli.views.scan import SpreadRow

    def order(found: opportunities.SpreadMatch) -> tuple[float, int, str]:
        width = {"cents": found.width, "percent": found.share, "keeps": found.keeps}[sort]
        return -width, -found.listed.market.volume_24h, found.listed.market.ticker

    best = look.best(map(opportunities.spread, look.markets), order)
    return ScanOutput(SpreadRow, map(SpreadRow.of, best), "no market fits")


@run_scan("movers")
def movers(look: ScanContext) -> ScanOutput:
    """The largest changes since a day ago: the last trade against the last one then, as the exchange tells them.

    \b
    kalshi scan movers
    kalshi scan movers --min-volume 500 --format csv
    """
    from kalshi_cli.core.market import opportunities
    from kalshi_cli.views.scan import MoverRow

    def order(found: opportunities.PriceMove) -> tuple[int, int, str]:
        return -abs(found.change), -found.listed.market.volume_24h, found.listed.market.ticker

    return ScanOutput(
        MoverRow, map(MoverRow.of, look.best(map(opportunities.move, look.markets), order)), "nothing moved"
    )


@run_scan("cheap")
def cheap(
    look: ScanContext, below: Annotated[Any, price_option("--below", text="Sides offered for less than this.")] = "5c"
) -> ScanOutput:
    """YES or NO offered for next to nothing, with how much of it there is and what part of the price the fee is.

    \b
    kalshi scan cheap
    kalshi scan cheap --below 2c --series KXBTCD
    """
    from kalshi_cli.core.market import opportunities
    from kalshi_cli.views.scan import CheapRow

    def order(found: opportunities.LowPriceMatch) -> tuple[int, int, str, str]:
        return found.price, -found.listed.market.volume_24h, found.listed.market.ticker, found.side

    found = (each for listed in look.markets for each in opportunities.cheap(listed, below))
    return ScanOutput(CheapRow, map(CheapRow.of, look.best(found, order)), "nothing is that cheap")


@run_scan("closing")
def closing(
    look: ScanContext,
    within: Annotated[Any, duration_option("--within", text="That close so soon.")] = "1h",
    margin: Annotated[Any, price_option("--margin", text="At least so far from zero and from one dollar.")] = "5c",
) -> ScanOutput:
    """Markets that close soon and are not decided yet, the next one first.

    \b
    kalshi scan closing
    kalshi scan closing --within 24h --margin 20c --json
    """
    from kalshi_cli.core.market.opportunities import is_undecided
    from kalshi_cli.views.scan import ClosingRow

    now, within_ms = look.desk.clock.now(), int(within * 1000)
    found = (each for each in look.markets if is_undecided(each.market, now, within_ms, margin))
    best = look.best(found, lambda each: (each.market.close_time, each.market.ticker))
    return ScanOutput(ClosingRow, (ClosingRow.of(each.market) for each in best), "nothing closes that soon")


# -- another venue ------------------------------------------------------------------------------------------------


def _rate(text: str) -> int:
    """From 0 to 1, in ten-thousandths."""
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise typer.BadParameter(f"{text[:20]!r} is not a rate from 0 to 1, like 0.07")
    return round(rate * 10_000)


@app.command("cross-venue")
def cross_venue(
    ctx: typer.Context,
    table: Annotated[
        Path, typer.Option("--map", metavar="FILE", help="Which market is which, CSV or YAML: docs/scan.md.")
    ],
    min_edge: Annotated[Any, price_option("--min-edge", text="Only where a contract leaves at least this.")] = None,
    fee: Annotated[
        Any,
        typer.Option(
            "--polymarket-fee",
            parser=_rate,
            metavar="RATE",
            help="Their taker fee: RATE * count * price * (1 - price).",
        ),
    ] = "0.07",
    clob_url: Annotated[str, typer.Option(metavar="URL", help="Where books are, instead of Polymarket's.")] = "",
    gamma_url: Annotated[str, typer.Option(metavar="URL", help="Where markets are, instead of Polymarket's.")] = "",
    limit: Limit = 200,
) -> None:
    """The same questions on Polymarket, both ways, after the fees of both. Its public prices are read, nothing else.

    The map is yours: two questions that read alike may settle by different rules.

    \b
    kalshi scan cross-venue --map pairs.csv
    kalshi scan cross-venue --map pairs.csv --min-edge 2c --polymarket-fee 0.04 --json
    """
    from kalshi_cli.base.errors import NotFoundError
    from kalshi_cli.cli.screen.prompts import progress
    from kalshi_cli.services.research.cross_venue import compare_venues, venue_row
    from kalshi_cli.services.research.polymarket import listener, pairs_of
    from kalshi_cli.views.scan import VenueRow

    with open_app(ctx) as desk:
        pairs = pairs_of(desk, table)
        found = compare_venues(
            desk.client, desk.families, pairs, listener(desk, clob_url, gamma_url), fee, desk.clock.now(),
            lambda some: progress(some, "reading Polymarket", len(some)), desk.tell,
        )  # fmt: skip
        if pairs and not found:
            raise NotFoundError(f"none of the {len(pairs)} markets of the map can be compared")
        now = desk.clock.now()
        ways = [(each, [way.each for way in (each.buy, each.sell) if way is not None]) for each in found]
        wide = [each for each, edges in ways if min_edge is None or max(edges, default=-1) >= min_edge]
        rows = [venue_row(each, now) for each in _cut(wide, limit)]
        show_list(ctx, VenueRow, rows, empty="no pair fits", now=now)
