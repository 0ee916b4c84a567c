"""`kalshi scan`: trading opportunities among all open markets, net of fees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from kalshi_cli.base.units import Qty, qty_from_user
from kalshi_cli.cli.options import open_services, show_list
from kalshi_cli.cli.parameters import (
    LIMIT_OR_ALL,
    All,
    CommandGroup,
    Limit,
    choice_option,
    duration_option,
    money_option,
    option,
    price_option,
    typed_by,
)
from kalshi_cli.cli.screen.output import info, warn

if TYPE_CHECKING:
    from kalshi_cli.services.markets.scan import MarketScan
    from kalshi_cli.views.row import OutputRow

app = CommandGroup(
    "Scan all markets for opportunities, net of fees.\n\n"
    "Scan all open markets for trading opportunities, net of fees. A scan never places an order."
)

WIDTHS = ("cents", "percent", "profit")


# -- shared by all scans ------------------------------------------------------------------------------------------


def _volume(text: str) -> Qty:
    """Return a number of contracts; 0 includes markets that did not trade."""
    return Qty(0) if text.strip() == "0" else qty_from_user(text)


Series = Annotated[str, option("--series", "SERIES", "Only this series, such as KXBTCD")]
Event = Annotated[str, option("--event", "EVENT", "Only this event")]
MinVolume = Annotated[
    Any,
    option(
        "--min-volume", "COUNT", "Only markets with at least this volume in the last 24 hours", parser=typed_by(_volume)
    ),
]


class ScanOutput(NamedTuple):
    """The rows of a scan, and the notice if there are none."""

    of: type[OutputRow]
    rows: Sequence[OutputRow]
    empty: str


def run_scan(name: str, *, traded: str = "0") -> Callable[[Callable[..., Any]], None]:
    """Add `kalshi scan NAME`, which prints what a function finds. The function gets the scan and its own options.

    All scans take the same filters; `traded` is the default of `--min-volume`.
    """

    def add(find: Callable[..., Any]) -> None:
        def command(
            ctx: typer.Context, series: str, event: str, min_volume: Qty, limit: int, everything: bool, **own: Any
        ) -> None:
            from kalshi_cli.cli.screen.prompts import progress

            most = None if everything else limit
            with open_services(ctx) as kalshi:
                scan = kalshi.markets.scan(
                    series=series.upper(), event=event.upper(), min_volume=min_volume, limit=most,
                    progress=lambda found: progress(found, "Reading events"),
                )  # fmt: skip
                shown = find(scan, **own)
                show_list(ctx, shown.of, shown.rows, limit=most, more=LIMIT_OR_ALL, empty=shown.empty, now=kalshi.now)

        _, *own = signature(find, locals={"MarketScan": Any}, eval_str=True).parameters.values()
        shared: dict[str, tuple[Any, object]] = {
            "series": (Series, ""), "event": (Event, ""), "min_volume": (MinVolume, traded), "limit": (Limit, 20),
            "everything": (All, False),
        }  # fmt: skip
        of_context = Parameter("ctx", Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        scope = [
            Parameter(each, Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for each, (kind, default) in shared.items()
        ]
        own = [each.replace(kind=Parameter.KEYWORD_ONLY) for each in own]
        command.__signature__ = Signature([of_context, *own, *scope])  # type: ignore[attr-defined]
        app.command(name, help=find.__doc__)(command)

    return add


# -- the scans ---------------------------------------------------------------------------------------------------


@run_scan("arbitrage")
def arbitrage(
    scan: MarketScan,
    min_profit: Annotated[Any, money_option("--min-profit", "Only baskets with at least this profit")] = None,
) -> ScanOutput:
    """Find baskets that pay more than they cost.

    Find markets of one event that, bought together, pay more than they cost in every outcome: NO in several markets of
    which at most one can resolve YES, or YES at a lower threshold with NO at a higher one. Candidates are selected from
    list prices; then their order books are read. Prices move while you look and the legs do not fill together, so a
    leg that misses leaves an open position.

    The strategy `arbitrage` trades these baskets; it takes the leg with the smallest size first.

    \b
    kalshi scan arbitrage
    kalshi scan arbitrage --min-profit 1.00 --json
    kalshi scan arbitrage --series KXHIGHNY
    """
    from kalshi_cli.services.markets.scan import MAX_BOOKS
    from kalshi_cli.views.scan import ArbitrageRow

    rows, unread = scan.arbitrage(min_profit)
    if unread:
        warn(
            f"Only {MAX_BOOKS} order books were read; {unread} more events may have opportunities. "
            "Narrow the scan with --series"
        )
    if rows:
        info("Prices move and legs do not fill together: a leg that misses leaves an open position")
    return ScanOutput(ArbitrageRow, rows, "No basket is profitable after fees")


@run_scan("spread", traded="1")
def spread(
    scan: MarketScan,
    sort: Annotated[
        str,
        choice_option(
            "--sort", WIDTHS, "Rank by spread in cents, spread in percent, or maker profit", old={"keeps": "profit"}
        ),
    ] = "cents",
) -> ScanOutput:
    """Find the widest spreads in traded markets.

    Find the widest spreads among markets that traded in the last 24 hours. It shows the profit per contract of a maker
    who fills on both sides, after maker fees.

    \b
    kalshi scan spread
    kalshi scan spread --sort profit --min-volume 1000 --limit 10
    """
    from kalshi_cli.views.scan import SpreadRow

    return ScanOutput(SpreadRow, scan.spreads(sort), "No matching markets")  # type: ignore[arg-type]


@run_scan("movers")
def movers(scan: MarketScan) -> ScanOutput:
    """Find the largest price changes in 24 hours.

    The change is the last trade against the last trade a day ago, as the exchange reports them.

    \b
    kalshi scan movers
    kalshi scan movers --min-volume 500 --format csv
    """
    from kalshi_cli.views.scan import MoverRow

    return ScanOutput(MoverRow, scan.movers(), "No price changes")


@run_scan("cheap")
def cheap(
    scan: MarketScan, below: Annotated[Any, price_option("--below", "Only asks below this price")] = "5c"
) -> ScanOutput:
    """Find low-priced YES and NO asks.

    Find YES or NO contracts with a very low ask, with the size at that price and the fee as a share of the price.

    \b
    kalshi scan cheap
    kalshi scan cheap --below 2c --series KXBTCD
    """
    from kalshi_cli.views.scan import CheapRow

    return ScanOutput(CheapRow, scan.cheap(below), "No asks below that price")


@run_scan("closing")
def closing(
    scan: MarketScan,
    within: Annotated[Any, duration_option("--within", "Only markets that close within this time")] = "1h",
    margin: Annotated[Any, price_option("--margin", "Only prices at least this far from $0 and $1")] = "5c",
) -> ScanOutput:
    """Find undecided markets that close soon.

    The next market to close comes first.

    \b
    kalshi scan closing
    kalshi scan closing --within 24h --margin 20c --json
    """
    from kalshi_cli.views.scan import ClosingRow

    return ScanOutput(ClosingRow, scan.closing(within, margin), "No undecided markets close that soon")


# -- another venue ------------------------------------------------------------------------------------------------


def _rate(text: str) -> int:
    """Return a rate from 0 to 1 in ten-thousandths."""
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= 1:
        raise typer.BadParameter(f"{text[:20]!r} is not a rate from 0 to 1, such as 0.07")
    return round(rate * 10_000)


@app.command("cross-venue")
def cross_venue(
    ctx: typer.Context,
    table: Annotated[Path, option("--map", "FILE", "CSV or YAML file that pairs markets (docs/scan.md)")],
    min_edge: Annotated[
        Any, price_option("--min-edge", "Only pairs that leave at least this much per contract")
    ] = None,
    fee: Annotated[
        Any,
        option(
            "--polymarket-fee", "RATE", "Polymarket taker fee rate: RATE x count x price x (1 - price)", parser=_rate
        ),
    ] = "0.07",
    clob_url: Annotated[str, option("--clob-url", "URL", "Polymarket order book URL, instead of the default")] = "",
    gamma_url: Annotated[str, option("--gamma-url", "URL", "Polymarket market data URL, instead of the default")] = "",
    limit: Limit = 200,
    everything: All = False,
) -> None:
    """Compare prices with Polymarket, after fees.

    Compare mapped questions on Kalshi and Polymarket in both directions, after the fees of both venues. Only
    Polymarket's public prices are read. You supply the map, because two questions that read alike may settle under
    different rules.

    \b
    kalshi scan cross-venue --map pairs.csv
    kalshi scan cross-venue --map pairs.csv --min-edge 2c --polymarket-fee 0.04 --json
    """
    from kalshi_cli.cli.screen.prompts import progress
    from kalshi_cli.views.scan import VenueRow

    with open_services(ctx) as kalshi:
        found = kalshi.markets.compare_polymarket(
            table, fee_rate=fee, min_edge=min_edge, clob_url=clob_url, gamma_url=gamma_url,
            progress=lambda some: progress(some, "Reading Polymarket", len(some)),
        )  # fmt: skip
        most = None if everything else limit
        show_list(ctx, VenueRow, found, limit=most, more=LIMIT_OR_ALL, empty="No matching pairs", now=kalshi.now)
