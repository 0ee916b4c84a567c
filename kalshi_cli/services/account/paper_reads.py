"""The paper account for people: positions, fills, and profit and loss, read from its state file."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

from kalshi_cli.base.checked import check_choice, check_limit, check_period
from kalshi_cli.base.errors import StateFileError, UsageError
from kalshi_cli.base.units import Money, Ts, is_within
from kalshi_cli.core.account import pnl
from kalshi_cli.core.account.ledger import in_trading_order
from kalshi_cli.core.model.orders import Fill, OrderStatus
from kalshi_cli.services.account.portfolio import (
    KEYS,
    PnlGroup,
    Portfolio,
    account_curve,
    group_account_pnl,
    history_start,
    position_rows,
    positions_before,
)
from kalshi_cli.services.account.summary import pnl_since, summary_of
from kalshi_cli.services.resources import Resources
from kalshi_cli.store.lock import holder
from kalshi_cli.store.records import ALL_TIME, NEVER, CountedHistory
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.orders import ListedOrderRow, order_row
from kalshi_cli.views.portfolio import PortfolioView
from kalshi_cli.views.positions import AccountFillRow, PnlView, PositionRow, fill_row, pnl_view

_STATUSES = {
    "resting": (OrderStatus.RESTING,),
    "canceled": (OrderStatus.CANCELED, OrderStatus.EXPIRED),
    "executed": (OrderStatus.FILLED,),
}
_NOTHING = CountedHistory(fills=(), settlements=(), orders=(), closed=())


class PaperAccountService:
    """The account of paper trading; each method is that of `AccountService` with the same name.

    It is empty before the first paper run. Positions are paid out at the start of a paper run, or while one trades
    their market.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def positions(self, subaccount: int | None = None) -> Sequence[PositionRow]:
        """Return the open positions with closing prices, which are read from the exchange."""
        return position_rows(self._portfolio(), subaccount)

    def fills(
        self, ticker: str = "", since: Ts | None = None, limit: int | None = 50, *, until: Ts | None = None
    ) -> Sequence[AccountFillRow]:
        """Return the simulated trades, newest first; `until` is exclusive."""
        check_limit(limit)
        check_period(since, until)
        history = [entry for entry in self._entries() if ticker in ("", entry.ticker)]
        before = positions_before(history)
        newest = [fill for fill in reversed(history) if is_within(fill.ts, since, until)]
        return [fill_row(fill, before[fill.key]) for fill in newest[:limit]]

    def orders(
        self, status: str = "resting", ticker: str = "", *, since: Ts | None = None, until: Ts | None = None
    ) -> list[ListedOrderRow]:
        """Return the paper orders, newest first; `ticker` may be a pattern. Resting ones end with their loop.

        `status` is resting, canceled, executed or all.
        """
        check_period(since, until)
        wanted = _STATUSES.get(check_choice("status", status, ("all", *_STATUSES)), ())
        home, store = self._resources.find_home(is_at_exchange=False), self._store()
        is_running = holder(home.folder / "trade.lock") is not None
        found = store.orders() if store is not None else ()
        return [
            ListedOrderRow.of(order_row(order))
            for order in reversed(found)
            if (status == "all" or order.status in wanted)
            and (is_running or status != "resting")
            and fnmatchcase(order.ticker, ticker or "*")
            and is_within(order.created, since, until)
        ]

    def pnl(self, by: PnlGroup = "market", since: Ts | None = None, *, until: Ts | None = None) -> PnlView:
        """Return total profit and loss, and its parts by one of `portfolio.KEYS`; `until` is exclusive.

        If `until` is past, unrealized P&L is left out: the prices then are unknown.
        """
        if by not in KEYS:
            raise UsageError(f"Profit and loss cannot be grouped by {by!r}", hint=f"one of {', '.join(KEYS)}")
        check_period(since, until)
        found = self._portfolio(history_start(by, since, until), by_market=by in ("market", "event", "series"))
        orders, store = found.orders or (), self._store()
        return pnl_view(*group_account_pnl(self._resources, found, orders, by, since, store, until=until))

    def equity_curve(self, since: Ts | None = None, *, until: Ts | None = None) -> Sequence[tuple[Ts, Money]]:
        """Return the gain of the paper account over time; at its end, unless that is past, with unrealized P&L."""
        check_period(since, until)
        return account_curve(self._portfolio(ALL_TIME), self._resources.clock.now(), since, until)

    def portfolio(self) -> PortfolioView:
        """Return cash, positions, exposure against limits and today's profit and loss, with totals."""
        found, home = self._portfolio(), self._resources.find_home(is_at_exchange=False)
        is_running, store = holder(home.folder / "trade.lock") is not None, self._store()
        saved = store.load().orders if store is not None and is_running else ()  # paper orders end with their loop
        resting = [order for order in reversed(saved) if order.status is OrderStatus.RESTING]
        gained = pnl_since(found, None)
        cost = sum(position.cost for position in found.open_positions)
        cash = Money(self._resources.config.sim.starting_cash + gained.realized - gained.fees - cost)
        return summary_of(self._resources, resting, found, cash, store)

    def _store(self) -> Store | None:
        return self._resources.remembered(self._resources.find_home(is_at_exchange=False))

    def _entries(self) -> list[Fill]:
        store = self._store()
        found = store.history.entries(ALL_TIME) if store else ()
        return in_trading_order(entry for entry in found if isinstance(entry, Fill))

    def _portfolio(self, since: Ts = NEVER, *, by_market: bool = False) -> Portfolio:
        store = self._store()
        known = store.history.counted(since, by_market=by_market) if store is not None else _NOTHING
        ledger = pnl.build_ledger((*known.fills, *known.settlements))
        held = sorted({position.ticker for position in ledger.positions.values() if position.qty})
        markets = self._resources.client.markets(tickers=held) if held else ()
        return Portfolio(
            fills=known.fills, settlements=known.settlements, closed=known.closed, orders=known.orders, ledger=ledger,
            markets={market.ticker: market for market in markets}, stated={},
        )  # fmt: skip


def paper_notice(resources: Resources) -> str:
    """Return that the last run was on paper, for a command that shows the account of the exchange; "" otherwise."""
    with suppress(StateFileError):  # the exchange answers without a state file
        paper, own = resources.remembered(resources.find_home(is_at_exchange=False)), resources.remembered()
        last, real = (store.last_cycle() if store is not None else None for store in (paper, own))
        if last is not None and (real is None or real.completed < last.completed):
            return "This is the account at the exchange. The last run was on paper; use --paper to see it"
    return ""
