"""`kalshi scan`: what is worth a look among all open markets, net of fees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from kalshi_cli.base.units import Qty, qty_from_user
from kalshi_cli.cli.options import (
    CommandGroup,
    choice_option,
    duration_option,
    money_option,
    open_services,
    price_option,
    show_list,
)
from kalshi_cli.cli.screen.output import info

if TYPE_CHECKING:
    from kalshi_cli.services.markets.scan import MarketScan
    from kalshi_cli.views.row import OutputRow

app = CommandGroup("What is worth a look among all open markets, net of fees. Nothing is traded.")

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


class ScanOutput(NamedTuple):
    """The rows of a look, and what is said where there are none."""

    of: type[OutputRow]
    rows: Sequence[OutputRow]
    empty: str


def run_scan(name: str, *, traded: str = "0") -> Callable[[Callable[..., Any]], None]:
    """Add `kalshi scan NAME`, which shows what a function finds: it gets the scan and the options of its own.

    All take the same scope; `traded` is what a market must have traded where nobody says.
    """

    def add(find: Callable[..., Any]) -> None:
        def command(ctx: typer.Context, series: str, event: str, min_volume: Qty, limit: int, **own: Any) -> None:
            from kalshi_cli.cli.screen.prompts import progress

            with open_services(ctx) as kalshi:
                scan = kalshi.markets.scan(
                    series=series.upper(), event=event.upper(), min_volume=min_volume, limit=limit,
                    progress=lambda found: progress(found, "reading events"),
                )  # fmt: skip
                shown = find(scan, **own)
                show_list(ctx, shown.of, shown.rows, limit=limit, empty=shown.empty, now=kalshi.now)

        _, *own = signature(find, locals={"MarketScan": Any}, eval_str=True).parameters.values()
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
    scan: MarketScan,
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
    from kalshi_cli.services.markets.scan import MAX_BOOKS
    from kalshi_cli.views.scan import ArbitrageRow

    rows, unread = scan.arbitrage(min_profit)
    if unread:
        info(f"{unread} more events may have some: only {MAX_BOOKS} books were read; narrow it with --series")
    if rows:
        info("prices move, and legs are not bought at once: one that misses leaves a position")
    return ScanOutput(ArbitrageRow, rows, "no basket pays after fees")


@run_scan("spread", traded="1")
def spread(
    scan: MarketScan, sort: Annotated[str, choice_option("--sort", choices=WIDTHS, text="What is widest.")] = "cents"
) -> ScanOutput:
    """The widest spreads of what trades, and what a maker of both sides keeps of them after maker fees.

    \b
    kalshi scan spread
    kalshi scan spread --sort keeps --min-volume 1000 --limit 10
    """
    from kalshi_cli.views.scan import SpreadRow

    return ScanOutput(SpreadRow, scan.spreads(sort), "no market fits")  # type: ignore[arg-type]


@run_scan("movers")
def movers(scan: MarketScan) -> ScanOutput:
    """The largest changes since a day ago: the last trade against the last one then, as the exchange tells them.

    \b
    kalshi scan movers
    kalshi scan movers --min-volume 500 --format csv
    """
    from kalshi_cli.views.scan import MoverRow

    return ScanOutput(MoverRow, scan.movers(), "nothing moved")


@run_scan("cheap")
def cheap(
    scan: MarketScan, below: Annotated[Any, price_option("--below", text="Sides offered for less than this.")] = "5c"
) -> ScanOutput:
    """YES or NO offered for next to nothing, with how much of it there is and what part of the price the fee is.

    \b
    kalshi scan cheap
    kalshi scan cheap --below 2c --series KXBTCD
    """
    from kalshi_cli.views.scan import CheapRow

    return ScanOutput(CheapRow, scan.cheap(below), "nothing is that cheap")


@run_scan("closing")
def closing(
    scan: MarketScan,
    within: Annotated[Any, duration_option("--within", text="That close so soon.")] = "1h",
    margin: Annotated[Any, price_option("--margin", text="At least so far from zero and from one dollar.")] = "5c",
) -> ScanOutput:
    """Markets that close soon and are not decided yet, the next one first.

    \b
    kalshi scan closing
    kalshi scan closing --within 24h --margin 20c --json
    """
    from kalshi_cli.views.scan import ClosingRow

    return ScanOutput(ClosingRow, scan.closing(within, margin), "nothing closes that soon")


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
    from kalshi_cli.cli.screen.prompts import progress
    from kalshi_cli.views.scan import VenueRow

    with open_services(ctx) as kalshi:
        found = kalshi.markets.compare_polymarket(
            table, fee_rate=fee, min_edge=min_edge, clob_url=clob_url, gamma_url=gamma_url,
            progress=lambda some: progress(some, "reading Polymarket", len(some)),
        )  # fmt: skip
        show_list(ctx, VenueRow, found, limit=limit, empty="no pair fits", now=kalshi.now)
