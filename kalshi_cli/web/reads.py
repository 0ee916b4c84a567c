"""The reads of the JSON API: a path, the view that it returns, and the service that is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, NamedTuple

from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.base.checked import from_text
from kalshi_cli.base.errors import NotFoundError, UsageError
from kalshi_cli.base.units import Ts, parse_ts
from kalshi_cli.services.markets.service import INTERVALS
from kalshi_cli.services.monitoring.runbooks import runbook, runbooks
from kalshi_cli.views.alerts import AlertsView
from kalshi_cli.views.backtests import ReportFolderView
from kalshi_cli.views.cash import BalanceView, SettlementRow
from kalshi_cli.views.exchange import ExchangeView
from kalshi_cli.views.live import TopRow
from kalshi_cli.views.market_history import CandleRow, PublicTradeRow
from kalshi_cli.views.markets import MarketRow, MarketView
from kalshi_cli.views.order_book import OrderbookView
from kalshi_cli.views.orders import ListedOrderRow, OrderRow
from kalshi_cli.views.portfolio import PortfolioView
from kalshi_cli.views.positions import AccountFillRow, PnlView, PositionRow
from kalshi_cli.views.row import OutputRow
from kalshi_cli.views.runbooks import RunbookRow, RunbookView
from kalshi_cli.views.runs import BacktestView, StatusView
from kalshi_cli.views.watchlists import WatchlistRow

MAX_ROWS = 1_000
USUAL_ROWS = 50
"""The rows of a list where no `limit` is given, as on the command line; of `orders`, MAX_ROWS."""
MAX_OFFSET = 10_000
"""The rows that a request may skip: they are read again each time."""
USUAL_DEPTH = 20

ORDER_STATUSES = ("resting", "canceled", "filled", "executed", "all")
MARKET_STATUSES = ("unopened", "open", "paused", "closed", "settled", "all")


PERIOD = ("since", "until")
"""The parameters of a history: from this time on, and before that one."""

PART = ("limit", "offset")
"""The parameters of every list that is given in parts."""


class ReadQuery:
    """The parameters of a request, by name; each is taken once, and an unknown one is refused."""

    def __init__(self, given: Iterable[tuple[str, str]]) -> None:
        self._given: dict[str, str] = {}
        for name, value in given:
            if name in self._given:
                raise UsageError(f"Duplicate parameter: {name:.60}", hint="give each parameter once")
            self._given[name] = value
        self._offset = 0
        self._limit: int | None = None

    def text(self, name: str, default: str = "") -> str:
        """Take a text."""
        return self._given.pop(name, default)

    def period(self) -> dict[str, Ts | None]:
        """Take `since` and `until`, times with a zone."""
        given, hint = {name: self.text(name) for name in PERIOD}, "such as 2026-11-01T00:00:00Z"
        return {name: from_text(name, parse_ts, text, hint) if text else None for name, text in given.items()}

    def choice(self, name: str, choices: Iterable[str], default: str) -> str:
        """Take one of several texts."""
        given = self.text(name, default)
        if given not in choices:
            raise UsageError(f"Invalid {name}: {given}", hint=f"one of {', '.join(choices)}")
        return given

    def rows(self, usual: int = USUAL_ROWS) -> int:
        """Take `limit` and `offset`; return how many rows to read, one more than the part of the list can show."""
        self._limit = self.number("limit", usual)
        self._offset = self.number("offset", 0, lowest=0, highest=MAX_OFFSET)
        return self._offset + self._limit + 1

    def part(self, rows: Iterable[Any]) -> tuple[list[Any], int | None]:
        """Return the part of a list that was asked for, and the offset of the next part; None for the last one."""
        if self._limit is None:
            return list(rows), None
        after = self._offset + self._limit
        found = list(islice(rows, self._offset, after + 1))
        return found[: self._limit], after if len(found) > self._limit and after <= MAX_OFFSET else None

    def number(self, name: str, default: int, *, lowest: int = 1, highest: int = MAX_ROWS) -> int:
        """Take a whole number from `lowest` to `highest`."""
        given = self._given.pop(name, str(default))
        if not given.isascii() or not given.isdigit() or not lowest <= int(given[:9]) <= highest:
            raise UsageError(f"{name} must be a whole number from {lowest} to {highest}, not {given!r}")
        return int(given)

    def finish(self) -> None:
        """Refuse what was not taken."""
        if self._given:
            raise UsageError(f"Unknown parameter {sorted(self._given)[0]!r}", hint="see /api/v1/openapi.json")


class Read(NamedTuple):
    """A read of the API. `call` takes the account, the names in the path and the query."""

    path: str
    words: str
    view: type[OutputRow]
    is_list: bool
    parameters: tuple[str, ...]
    call: Callable[[Kalshi, Mapping[str, str], ReadQuery], Any]


def _orders(kalshi: Kalshi, _names: Mapping[str, str], query: ReadQuery) -> list[ListedOrderRow]:
    query.rows(MAX_ROWS)
    status = query.choice("status", ORDER_STATUSES, "resting")
    return kalshi.orders.list(status, ticker=query.text("ticker").upper(), **query.period())  # type: ignore[arg-type]


def _fills(kalshi: Kalshi, _names: Mapping[str, str], query: ReadQuery) -> list[AccountFillRow]:
    return list(kalshi.account.fills(query.text("ticker").upper(), limit=query.rows(), **query.period()))


def _settlements(kalshi: Kalshi, _names: Mapping[str, str], query: ReadQuery) -> list[SettlementRow]:
    period = query.period()
    found = kalshi.account.settlements(query.text("ticker").upper(), since=period["since"], until=period["until"])
    return list(islice(found, query.rows()))


def _markets(kalshi: Kalshi, _names: Mapping[str, str], query: ReadQuery) -> list[MarketRow]:
    found = kalshi.markets.list(
        status=query.choice("status", MARKET_STATUSES, "open"),
        search=query.text("search"),
        series=query.text("series").upper(),
        event=query.text("event").upper(),
        limit=query.rows(),
    )
    return list(found)


def _book(kalshi: Kalshi, names: Mapping[str, str], query: ReadQuery) -> OrderbookView:
    return kalshi.markets.order_books([names["ticker"].upper()], query.number("depth", USUAL_DEPTH))[0]


def _trades(kalshi: Kalshi, names: Mapping[str, str], query: ReadQuery) -> list[PublicTradeRow]:
    return list(kalshi.markets.trades(names["ticker"].upper(), limit=query.rows(), **query.period()))


def _candles(kalshi: Kalshi, names: Mapping[str, str], query: ReadQuery) -> list[CandleRow]:
    interval = query.choice("interval", INTERVALS, "1h")
    return list(kalshi.markets.candles(names["ticker"].upper(), interval, **query.period()))


def _watchlist(kalshi: Kalshi, names: Mapping[str, str], _query: ReadQuery) -> tuple[TopRow, ...]:
    name = names["name"].lower()
    if name not in (each.name for each in kalshi.markets.watchlists()):
        raise NotFoundError(f"No watchlist {name}", hint="see /api/v1/watchlists")
    return kalshi.trading.best_prices(kalshi.markets.watchlist(name))


def _runbook(_kalshi: Kalshi, names: Mapping[str, str], _query: ReadQuery) -> RunbookView:
    found = runbook(names["name"])
    return RunbookView.of(found, lines=tuple(found.text.splitlines()))


def _runbooks(_kalshi: Kalshi, _names: Mapping[str, str], _query: ReadQuery) -> list[RunbookRow]:
    return [RunbookRow.of(each) for each in runbooks()]


READS = (
    Read("status", "The trading loop and its state", StatusView, False, (), lambda k, _n, _q: k.trading.status()),
    Read(
        "portfolio", "Cash, positions, exposure against limits, P&L today", PortfolioView, False, (),
        lambda k, _n, _q: k.account.portfolio(),
    ),
    Read("balance", "Cash by shard", BalanceView, False, (), lambda k, _n, _q: k.account.balance()),
    Read("positions", "Open positions", PositionRow, True, (), lambda k, _n, _q: k.account.positions()),
    Read("orders", f"Orders by status: {', '.join(ORDER_STATUSES)}", ListedOrderRow, True,
         ("status", "ticker", *PERIOD, *PART), _orders),
    Read("orders/{order_id}", "An order, by its order id or client order id", OrderRow, False, (),
         lambda k, n, _q: k.orders.get(n["order_id"])),
    Read("fills", "Fills, newest first", AccountFillRow, True, ("ticker", *PERIOD, *PART), _fills),
    Read("settlements", "Settlements, newest first", SettlementRow, True, ("ticker", *PERIOD, *PART), _settlements),
    Read(
        "pnl", "P&L by market, event, series, strategy, day or month", PnlView, False, ("by",),
        lambda k, _n, q: k.account.pnl(q.text("by", "market")),  # type: ignore[arg-type]
    ),
    Read("alerts", "Alerts and alert channels", AlertsView, False, (), lambda k, _n, _q: k.monitoring.alerts()),
    Read("exchange", "Status, hours and maintenance of the exchange", ExchangeView, False, (),
         lambda k, _n, _q: k.markets.exchange()),
    Read("markets", "Markets by status and words", MarketRow, True, ("status", "search", "series", "event", *PART),
         _markets),
    Read("markets/{ticker}", "A market with rules, fees and times", MarketView, False, (),
         lambda k, n, _q: k.markets.get(n["ticker"].upper())),
    Read("markets/{ticker}/orderbook", "The order book of a market", OrderbookView, False, ("depth",), _book),
    Read("markets/{ticker}/trades", "Public trades, newest first", PublicTradeRow, True, (*PERIOD, *PART), _trades),
    Read("markets/{ticker}/candles", "Candles of a market", CandleRow, True, ("interval", *PERIOD), _candles),
    Read("watchlists", "Watchlists and their markets", WatchlistRow, True, (),
         lambda k, _n, _q: k.markets.watchlists()),
    Read("watchlists/{name}", "The best prices of the markets of a watchlist", TopRow, True, (), _watchlist),
    Read("reports", "The saved reports of backtests, the newest first", ReportFolderView, False, (),
         lambda k, _n, _q: k.research.reports()),
    Read("reports/{name}", "A saved report: its first 500 trades, and its curve for a chart", BacktestView, False, (),
         lambda k, n, _q: k.research.report(n["name"])),
    Read("runbooks", "Runbooks", RunbookRow, True, (), _runbooks),
    Read("runbooks/{name}", "A runbook, by name, alert code or exit code", RunbookView, False, (), _runbook),
)  # fmt: skip
