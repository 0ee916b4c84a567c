"""`python -m bench.growth`: CPU seconds of commands by the number of fills in the state file.

The history is 500 fills a day in markets of 25, each settled at the end of its day; the last day is the one before
today. One market is live, with fills, a position and resting orders of today, on a simulated exchange.
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import verification  # isort: skip # noqa: F401 - finds tests/support

from support import served
from support.served import KEY_ID, ME, TWO_SIDED, Served
from tabulate import tabulate

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.simulator.model.records import FillRecord, SettlementRecord
from kalshi_cli.store import rows
from kalshi_cli.store.sqlite_store import MAX_PLACEMENTS, Store

PER_DAY, PER_MARKET = 500, 25
DAY_MS = 86_400_000
STRATEGIES = ("market-maker", "spike", "threshold", "")
CONFIG = "risk:\n  max_daily_loss: 100000\n  stop_loss_pct: 50\n"
ORDER = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "1", "--price", "0.05")
LOOP = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED)
COMMANDS: dict[str, tuple[str, ...]] = {
    "order place": (*ORDER, "--yes"),
    "start of a loop": (*LOOP, "--duration", "1s"),
    "start of a loop, no tables": (*LOOP, "--duration", "1.1s"),
    "status": ("status",),
    "pnl": ("pnl",),
    "pnl --by strategy": ("pnl", "--by", "strategy"),
    "portfolio": ("portfolio",),
    "positions": ("positions",),
    "check pnl": ("check", "pnl"),
    "check positions": ("check", "positions"),
    "check drift": ("check", "drift"),
    "check all": ("check", "all"),
}

FIRST = ("start of a loop", "check drift")
"""Commands that save how far they came; their first run is a row of its own."""


def history(fills: int, now: Ts) -> Iterator[tuple[Order, Fill]]:
    """Yield fills with their orders, oldest first; every market ends flat or settled."""
    days = -(-fills // PER_DAY)
    first = now // DAY_MS * DAY_MS - days * DAY_MS
    for number in range(fills):
        day, place = divmod(number, PER_DAY)
        ts = Ts(first + day * DAY_MS + place * (DAY_MS // (PER_DAY + 50)))
        ticker = f"KXOLD-{day:05}-{place // PER_MARKET}"
        name, price = f"{number:08}-0000-4000-8000-000000000000", Price(1_000 + 100 * (number * 7 % 80))
        terms = {"ticker": ticker, "side": BID, "price": price, "qty": Qty(100)}
        order = Order(
            client_order_id=f"kcli-{name}", order_id=f"o-{name}", status=OrderStatus.FILLED, created=ts, updated=ts,
            filled=Qty(100), strategy=STRATEGIES[number % 4], fair=price, **terms,
        )  # fmt: skip
        yield (
            order,
            Fill(
                trade_id=f"t-{name}", order_id=order.order_id, fee=Money(17_500), is_taker=True, ts=ts,
                client_order_id=order.client_order_id, **terms,
            ),
        )  # fmt: skip


def fill_file(path: Path, fills: int, now: Ts) -> None:
    """Write the history into a state file, in one transaction."""
    connection = sqlite3.connect(path)
    with connection:
        settled: dict[str, Ts] = {}
        latest = max(0, fills - MAX_PLACEMENTS)
        for number, (order, fill) in enumerate(history(fills, now)):
            connection.execute(rows.INSERT_INTENT, (order.client_order_id, *rows.row(order)))
            connection.execute(rows.ADD_INTENT, (order.client_order_id,))
            connection.execute(rows.BOOK_FILL, rows.row(fill))
            if number >= latest:
                connection.execute(rows.ADD_PLACEMENT, (order.client_order_id, 50))
            settled[fill.ticker] = Ts((fill.ts // DAY_MS + 1) * DAY_MS - 60_000)
        for number, (ticker, ts) in enumerate(settled.items()):
            won = number % 2 == 0
            paid = Settlement(
                ticker=ticker, event_ticker=ticker.rpartition("-")[0], result="yes" if won else "no",
                value=Price(10_000 * won), yes_qty=Qty(100 * PER_MARKET), no_qty=Qty(0),
                revenue=Money(1_000_000 * PER_MARKET * won), fee=Money(0), ts=ts,
            )  # fmt: skip
            connection.execute(rows.PUT_SETTLEMENT, rows.row(paid))
    connection.close()


def fill_exchange(exchange: Served, path: Path) -> None:
    """Show the fills and settlements of the state file on the exchange, as those before all of its own."""
    connection = sqlite3.connect(path)
    mirror = exchange.exchange._state.members[ME].mirror
    assert mirror is not None
    old = [rows.read(Fill, found) for found in connection.execute(rows.FILLS, (0,)) if found[2].startswith("KXOLD")]
    fills = [
        FillRecord(
            number=-number, trade_id=fill.trade_id, order_id=fill.order_id, client_order_id=fill.client_order_id,
            ticker=fill.ticker, side=fill.side, price=fill.price, qty=fill.qty, fee=fill.fee, is_taker=fill.is_taker,
            position=Qty(0), ts=fill.ts, account=ME,
        )
        for number, fill in enumerate(reversed(old), 1)
    ]  # fmt: skip
    paid = [rows.read(Settlement, found) for found in connection.execute(rows.SETTLEMENTS, (0,))]
    settlements = [
        SettlementRecord(
            number=-number, ticker=one.ticker, event_ticker=one.event_ticker, result=one.result, value=one.value,
            yes_qty=one.yes_qty, yes_cost=Money(0), no_qty=one.no_qty, no_cost=Money(0), revenue=one.revenue,
            fee=one.fee, ts=one.ts, account=ME,
        )
        for number, one in enumerate(reversed(paid), 1)
    ]  # fmt: skip
    connection.close()

    def show() -> None:
        mirror.fills[:0], mirror.settlements[:0] = fills[::-1], settlements[::-1]

    exchange.call(show)


def cpu(home: Path, variables: dict[str, str], words: tuple[str, ...]) -> tuple[float, int]:
    """Run a command; return its CPU seconds and its exit code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KALSHI_")}
    done = subprocess.run(
        [sys.executable, "-m", "kalshi_cli", *words], env=kept | variables, cwd=home, capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if os.environ.get("GROWTH_SHOW"):
        print(words, done.returncode, done.stdout[-2_000:], done.stderr[-2_000:], file=sys.stderr)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.returncode


def measure(fills: int, home: Path, commands: dict[str, tuple[str, ...]], rounds: int) -> dict[str, str]:
    """Return by command the least CPU seconds of some rounds; an exit code that is not 0 is shown with it."""
    served.SPECS = Path("-")  # holding answers against the specification is not what is measured
    with served.served(home) as exchange:
        exchange.trade_a_little()
        config = home / "config.yaml"
        config.write_text(CONFIG)
        variables = exchange.variables() | {"KALSHI_CONFIG": str(config)}
        assert cpu(home, variables, ("order", "reconcile"))[1] == 0
        print(f"writing {fills:,} fills ...", file=sys.stderr, flush=True)
        fill_file(next(exchange.state.rglob("state.db")), fills, exchange.clock.now())
        fill_exchange(exchange, next(exchange.state.rglob("state.db")))
        found = {"size, MB": f"{next(exchange.state.rglob('state.db')).stat().st_size / 1e6:.1f}"}
        if commands == COMMANDS:
            first, code = cpu(home, variables, ("order", "reconcile"))
            found["first start"] = f"{first:.2f}" + (f" (exit {code})" if code else "")
        with Store.open(next(exchange.state.rglob("state.db")), account=KEY_ID, environment="sim") as store:
            store.close_markets(exchange.clock.now(), fills)  # a start closes a thousand at most
        for name, words in commands.items():
            print(f"{fills:,} fills: {name} ...", file=sys.stderr, flush=True)
            more = {"KALSHI_LOGS__ENABLED": "false"} if "no tables" in name else {}
            runs = [cpu(home, variables | more, words) for _ in range(rounds)]
            codes = {code for _, code in runs} - {0}
            shown = f" (exit {', '.join(map(str, sorted(codes)))})" if codes else ""
            if name in FIRST:
                found[f"{name}, first time"] = f"{runs[0][0]:.2f}{shown}"
            found[name] = f"{min(cost for cost, _ in runs):.2f}{shown}"
        return found


def main() -> None:
    """Measure and print one column for each number of fills."""
    parser = argparse.ArgumentParser(prog="bench.growth", description=__doc__)
    parser.add_argument("--fills", default="1000,10000,100000,1000000", help="numbers of fills, with commas")
    parser.add_argument("--only", default="", help="only these commands, with commas")
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    only = [name for name in asked.only.split(",") if name]
    commands = {name: words for name, words in COMMANDS.items() if not only or name in only}
    columns = {}
    for fills in map(int, asked.fills.split(",")):
        with tempfile.TemporaryDirectory() as scratch:
            columns[fills] = measure(fills, Path(scratch), commands, asked.rounds)
    names = list(next(iter(columns.values())))
    table = [[name, *(column[name] for column in columns.values())] for name in names]
    print(tabulate(table, headers=["CPU seconds", *(f"{fills:,} fills" for fills in columns)], disable_numparse=True))


if __name__ == "__main__":
    main()
