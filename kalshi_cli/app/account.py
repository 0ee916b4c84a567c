"""What an account holds, gained and does: positions and P&L from the exchange, what runs from the state file."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec

from kalshi_cli.app import App
from kalshi_cli.config import state_dir
from kalshi_cli.core.pnl import Pnl, curve, total
from kalshi_cli.desk import portfolio
from kalshi_cli.desk.halts import gravest
from kalshi_cli.desk.status import Status, read_status
from kalshi_cli.store.base import Store
from kalshi_cli.units import Money, Ts

MODES = (("", None), ("paper", "paper"))
"""Where state is kept, and whose it is: None is the account of the key."""


def portfolio_of(app: App) -> portfolio.Portfolio:
    """Positions and P&L as of now."""
    found = portfolio.read(app.client)
    for ticker in found.drifting:
        app.tell(f"warning: the fills of {ticker} do not add up to the position that the exchange states")
    return found


def pnl_of(app: App, by: str, since: Ts | None) -> tuple[Pnl, dict[str, Pnl]]:
    """Profit and loss: the whole, and its parts by one of `portfolio.KEYS`."""
    store = app.remembered()
    strategies = {order.order_id: order.strategy for order in store.orders()} if store is not None else {}
    parts = portfolio.grouped(
        portfolio_of(app), by,
        since=since, zone=ZoneInfo(app.config.day_zone), now=app.clock.now(),
        strategy_of=lambda fill: strategies.get(fill.order_id, ""),
        event_of=lambda ticker: app.client.market(ticker).event_ticker,
        series_of=lambda ticker: app.families.event(app.client.market(ticker).event_ticker).series_ticker,
    )  # fmt: skip
    return total(parts.values()), parts


def curve_of(app: App, since: Ts | None) -> list[tuple[Ts, Money]]:
    """What the account had gained over time."""
    found = portfolio_of(app)
    return curve(found.entries, found.marks, app.clock.now(), since=since)


def loop_of(app: App) -> Store | None:
    """The state file of the loop that runs now, or that ran last: that of the account, or of trading on paper."""
    found = [app.remembered(state_dir(app.config, mode), account) for mode, account in MODES]
    stores = [store for store in found if store is not None]
    return max(stores, key=lambda store: cycle.completed if (cycle := store.last_cycle()) else 0, default=None)


def status_of(app: App) -> Status:
    """What runs here and how it is doing, from the state file; nothing is asked of the exchange.

    Of a loop and one on paper, the one that runs now, else the one that ran last; of the former whatever is at the
    exchange, and the graver halt of both.
    """
    found, now = [], app.clock.now()
    day = portfolio.day_of(now, ZoneInfo(app.config.day_zone))
    for mode, account in MODES:
        home = state_dir(app.config, mode)
        found.append(read_status(home, app.remembered(home, account), app.config.env, day, now))
    last = max(found, key=lambda status: (status.is_running, status.cycle.completed if status.cycle else 0))
    at_exchange = ("unknown_orders", "resting_orders", "resting_until", "triggered_groups", "is_abandoned")
    changes = {name: getattr(found[0], name) for name in at_exchange}
    return msgspec.structs.replace(last, halt=gravest([status.halt for status in found]), **changes)
