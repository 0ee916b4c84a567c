"""What an account holds, gained and does: positions and P&L from the exchange, what runs from the state file."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import msgspec

from kalshi_cli.app import App
from kalshi_cli.base.units import Money, Ts
from kalshi_cli.config.config import state_dir
from kalshi_cli.core.account.pnl import Pnl, curve, total
from kalshi_cli.core.state.trading_day import day_of
from kalshi_cli.desk import portfolio
from kalshi_cli.desk.status import Status, read_status
from kalshi_cli.store.state_store import Store


def portfolio_of(app: App) -> portfolio.Portfolio:
    """Positions and P&L as of now."""
    found = portfolio.read(app.learn_key())
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


def status_of(app: App, *, is_paper: bool = False) -> Status:
    """What runs here and how it is doing, from the state file; nothing is asked of the exchange."""
    return shown(app, is_paper=is_paper)[0]


def shown(app: App, *, is_paper: bool = False) -> tuple[Status, Store | None]:
    """The status that is shown, and the state file that it is of.

    That of the account; of trading on paper where that was asked for, or nothing else ever was done here, or the one
    loop that runs now is on paper. Which it is then, and what it is not, is its `preface`.
    """
    account, paper = _look(app, "", None), _look(app, "paper", "paper")
    if is_paper:
        return paper
    preface = _why_paper(account, paper)
    if preface:
        return msgspec.structs.replace(paper[0], preface=preface), paper[1]
    return msgspec.structs.replace(account[0], preface=_beside(account[0], paper[0])), account[1]


def account_status(app: App) -> Status:
    """That of the account, whatever is traded on paper."""
    return _look(app, "", None)[0]


def _look(app: App, mode: str, account: str | None) -> tuple[Status, Store | None]:
    home, now = state_dir(app.config, mode), app.clock.now()
    store, day = app.remembered(home, account), day_of(now, ZoneInfo(app.config.day_zone))
    name = mode or ("sim" if app.config.env == "sim" else "live")
    return read_status(home, store, app.config.env, day, now, mode=name, is_at_exchange=not mode), store


def _why_paper(account: tuple[Status, Store | None], paper: tuple[Status, Store | None]) -> str:
    """Why trading on paper is shown to somebody who did not ask for it; "" where it is not."""
    (status, store), (on_paper, _) = account, paper
    if on_paper.is_running and not status.is_running:
        return (
            "this is trading on paper, the only loop that runs now, not the account; "
            f"of the account itself: {status.in_short}"
        )
    is_unused = store is None or not (status.cycle or store.orders() or store.fills())
    if on_paper.cycle is not None and not status.is_running and is_unused:
        return f"this is trading on paper, the only thing that ran here, not the account; of that: {status.in_short}"
    return ""


def _beside(account: Status, paper: Status) -> str:
    """Where somebody may be waiting to see what just ran on paper."""
    if (
        account.is_running
        or paper.cycle is None
        or (account.cycle is not None and account.cycle.completed >= paper.cycle.completed)
    ):
        return ""
    return "this is the account; what ran last ran on paper: --paper shows it"
