"""Positions and profit and loss of an account, computed from its fills and settlements by the one ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from zoneinfo import ZoneInfo

import msgspec

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.account import pnl
from kalshi_cli.core.account.ledger import Ledger, Position
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import ExchangePosition, Settlement
from kalshi_cli.core.state.state import mark
from kalshi_cli.core.state.trading_day import day_of
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.services.account.key_lock import learn_key
from kalshi_cli.services.resources import Resources

KEYS = ("market", "event", "series", "strategy", "day", "month")

MONTH_LENGTH = len("2026-11")


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """The bookings of an account, their ledger, and the markets of open positions."""

    fills: tuple[Fill, ...]
    settlements: tuple[Settlement, ...]
    ledger: Ledger
    markets: dict[str, Market]
    stated: dict[tuple[int, str], ExchangePosition]

    @property
    def entries(self) -> list[pnl.LedgerEntry]:
        """Return all fills and settlements in the order of their time."""
        return pnl.sort_by_time((*self.fills, *self.settlements))

    @property
    def open_positions(self) -> list[Position]:
        """Return the open positions by ticker and subaccount."""
        held = (position for position in self.ledger.positions.values() if position.qty)
        return sorted(held, key=lambda position: (position.ticker, position.subaccount))

    @property
    def marks(self) -> dict[str, Price | None]:
        """Return the closing price of each market with an open position; None without prices."""
        return closing_marks(self.open_positions, self.markets)

    @property
    def value(self) -> Money:
        """Return the value of the open positions."""
        return closing_value(self.open_positions, self.marks)

    @property
    def drifting(self) -> list[str]:
        """Return the markets where the fills of a subaccount do not add up to the exchange's position."""
        ours = {(held.subaccount, held.ticker): held.qty for held in self.open_positions}
        theirs = {key: stated.position for key, stated in self.stated.items() if stated.position}
        return sorted({key[1] for key in ours.keys() | theirs.keys() if ours.get(key, 0) != theirs.get(key, 0)})


def closing_marks(positions: Iterable[Position], markets: Mapping[str, Market]) -> dict[str, Price | None]:
    """Return the closing price of each market with a position, as `mark` defines it; None without prices.

    One mark per market: where subaccounts hold both sides, the mark of the larger position.
    """
    net: dict[str, int] = {}
    for held in positions:
        net[held.ticker] = net.get(held.ticker, 0) + held.qty
    return {ticker: mark(None, markets.get(ticker), Qty(qty)) for ticker, qty in net.items()}


def closing_value(positions: Iterable[Position], marks: Mapping[str, Price | None]) -> Money:
    """Return the value of positions at their closing prices; one without a price counts at its cost."""
    values = ((position.cost, position.value(marks[position.ticker])) for position in positions)
    return Money(sum(cost if value is None else value for cost, value in values))


def read(client: KalshiClient) -> Portfolio:
    """Read all fills, settlements and positions from the exchange, and the markets of open positions."""
    # They come newest first; entries of the same millisecond keep the given order.
    fills, settlements = tuple(client.all_fills())[::-1], tuple(client.settlements())[::-1]
    ledger = pnl.build_ledger((*fills, *settlements))
    held = sorted({position.ticker for position in ledger.positions.values() if position.qty})
    subaccounts = sorted({client.lock or 0} | {number for number, _ in ledger.positions})
    return Portfolio(
        fills=fills,
        settlements=settlements,
        ledger=ledger,
        markets={market.ticker: market for market in client.markets(tickers=held)} if held else {},
        stated={
            (number, position.ticker): position
            for number in subaccounts
            for position in client.positions(subaccount=number or None)
        },
    )


def group_pnl(
    portfolio: Portfolio,
    by: str,
    *,
    since: Ts | None,
    zone: ZoneInfo,
    now: Ts,
    strategy_of: Callable[[Fill], str],
    event_of: Callable[[str], str],
    series_of: Callable[[str], str],
) -> dict[str, pnl.ProfitAndLoss]:
    """Return profit and loss by one of KEYS. Days are days of `zone`; open positions count for today.

    With `strategy`, every strategy has its own ledger, like a separate account. The parts still add up, because profit
    and loss is linear in the fills.
    """
    if by == "strategy":
        return _by_strategy(portfolio, since, strategy_of)
    keys: dict[str, Callable[[str, pnl.LedgerEntry | None], str]] = {
        "market": lambda ticker, _: ticker,
        "event": lambda ticker, _: event_of(ticker),
        "series": lambda ticker, _: series_of(ticker),
        "day": lambda _, entry: day_of(entry.ts if entry is not None else now, zone),
        "month": lambda _, entry: day_of(entry.ts if entry is not None else now, zone)[:MONTH_LENGTH],
    }
    return pnl.group_by(portfolio.entries, portfolio.marks, keys[by], since=since)


def _by_strategy(
    portfolio: Portfolio, since: Ts | None, strategy_of: Callable[[Fill], str]
) -> dict[str, pnl.ProfitAndLoss]:
    # One mark per market: two opposite strategies add up to zero, whatever the mark.
    marks: dict[str, Price | None] = {fill.ticker: fill.price for fill in portfolio.fills}
    marks |= portfolio.marks
    names = sorted({strategy_of(fill) for fill in portfolio.fills})
    return {
        name or "(none)": pnl.total(
            pnl.group_by(_entries_of(portfolio, name, strategy_of), marks, lambda t, _: t, since=since).values()
        )
        for name in names
    }


def _entries_of(portfolio: Portfolio, name: str, strategy_of: Callable[[Fill], str]) -> Iterable[pnl.LedgerEntry]:
    fills = [fill for fill in portfolio.fills if strategy_of(fill) == name]
    traded = {fill.ticker for fill in fills}
    return [*fills, *(settlement for settlement in portfolio.settlements if settlement.ticker in traded)]


def positions_before(fills: Iterable[Fill]) -> dict[tuple[str, str], Qty]:
    """Return the position that each fill met, by the key of the fill; `fills` is the whole history, oldest first.

    A market trades no more once it is settled, so settlements do not matter here.
    """
    held: dict[tuple[int, str], int] = {}
    before = {}
    for fill in fills:
        place = (fill.subaccount, fill.ticker)
        now = held.get(place, 0)
        before[fill.key] = Qty(now)
        held[place] = now + (fill.qty if fill.side is BID else -fill.qty)
    return before


def account_portfolio(resources: Resources) -> Portfolio:
    """Return the current positions and profit and loss."""
    found = read(learn_key(resources))
    for ticker in found.drifting:
        resources.tell(f"Warning: the fills of {ticker} do not add up to the position that the exchange reports")
    return found


def account_pnl(
    resources: Resources, by: str, since: Ts | None
) -> tuple[pnl.ProfitAndLoss, dict[str, pnl.ProfitAndLoss]]:
    """Return total profit and loss, and its parts by one of `KEYS`."""
    store = resources.remembered()
    strategies = {order.order_id: order.strategy for order in store.orders()} if store is not None else {}
    parts = group_pnl(
        account_portfolio(resources), by,
        since=since, zone=ZoneInfo(resources.config.day_zone), now=resources.clock.now(),
        strategy_of=lambda fill: strategies.get(fill.order_id, ""),
        event_of=lambda ticker: resources.client.market(ticker).event_ticker,
        series_of=lambda ticker: resources.families.event(resources.client.market(ticker).event_ticker).series_ticker,
    )  # fmt: skip
    return pnl.total(parts.values()), parts
