"""Markets to a pipe, as `kalshi markets` prints them there."""

import sys
from contextlib import redirect_stdout
from pathlib import Path

from bench.worker import repeat, serve
from kalshi_cli.cli.screen.output import Format
from kalshi_cli.cli.screen.render import render_rows
from kalshi_cli.exchange.wire.markets import read_markets
from kalshi_cli.views.markets import MarketRow

rows = [MarketRow.of(market) for market in read_markets(Path(sys.argv[1]).read_bytes()).items]


def print_rows() -> None:
    with open("/dev/null", "w") as nowhere, redirect_stdout(nowhere):
        render_rows(MarketRow, rows, Format.PLAIN)


serve({"print": repeat(print_rows)})
