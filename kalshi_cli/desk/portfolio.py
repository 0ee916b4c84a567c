"""Positions and P&L of an account, folded from its fills and settlements by the one ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from kalshi_cli.core import pnl
from kalshi_cli.core.ledger import Ledger, Position
from kalshi_cli.core.model import ExchangePosition, Fill, Market, Settlement
from kalshi_cli.core.state import mark
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.units import Money, Price, Qty, Ts

KEYS = ("market", "event", "series", "strategy", "day")


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """Everything booked, the ledger of it, and the markets behind what is still open."""

    fills: tuple[Fill, ...]
    settlements: tuple[Settlement, ...]
    ledger: Ledger
    markets: dict[str, Market]
    stated: dict[str, ExchangePosition]

    @property
    def entries(self) -> list[pnl.Entry]:
        return pnl.in_order((*self.fills, *self.settlements))

    @property
    def open_positions(self) -> list[Position]:
        """What is held, by ticker."""
        return [position for _, position in sorted(self.ledger.positions.items()) if position.qty]

    @property
    def marks(self) -> dict[str, Price | None]:
        """What each open position could be closed at, else the last price; None where there is neither."""
        return {held.ticker: mark(None, self.markets.get(held.ticker), held.qty) for held in self.open_positions}

    @property
    def drifting(self) -> list[str]:
        """Markets where the fills add up to something else than the exchange states."""
        ours = {held.ticker: held.qty for held in self.open_positions}
        theirs = {ticker: stated.position for ticker, stated in self.stated.items() if stated.position}
        return sorted(t for t in ours.keys() | theirs.keys() if ours.get(t, 0) != theirs.get(t, 0))


def read(client: KalshiClient) -> Portfolio:
    """Read it from the exchange: all fills ever, settlements and positions, and the markets of what is open."""
    # They come newest first, and what happened within one millisecond is folded in the order given.
    fills, settlements = tuple(client.all_fills())[::-1], tuple(client.settlements())[::-1]
    ledger = pnl.fold((*fills, *settlements))
    held = [ticker for ticker, position in ledger.positions.items() if position.qty]
    found = Portfolio(
        fills=fills,
        settlements=settlements,
        ledger=ledger,
        markets={market.ticker: market for market in client.markets(tickers=held)} if held else {},
        stated={position.ticker: position for position in client.positions()},
    )
    return msgspec.structs.replace(found, stated=_of_all_subaccounts(client, found.stated)) if found.drifting else found


def _of_all_subaccounts(client: KalshiClient, primary: dict[str, ExchangePosition]) -> dict[str, ExchangePosition]:
    """Fills are of all subaccounts, positions of the primary one: the others are asked where the two differ."""
    stated = dict(primary)
    for number in sorted({balance.subaccount for balance in client.subaccount_balances()} - {0}):
        for other in client.positions(subaccount=number):
            known = stated.get(other.ticker)
            stated[other.ticker] = other if known is None else _together(known, other)
    return stated


def _together(one: ExchangePosition, other: ExchangePosition) -> ExchangePosition:
    return ExchangePosition(
        ticker=one.ticker,
        position=Qty(one.position + other.position),
        exposure=Money(one.exposure + other.exposure),
        realized=Money(one.realized + other.realized),
        fees=Money(one.fees + other.fees),
        traded=Money(one.traded + other.traded),
        updated=max(one.updated, other.updated),
    )


def grouped(
    portfolio: Portfolio,
    by: str,
    *,
    since: Ts | None,
    zone: ZoneInfo,
    now: Ts,
    strategy_of: Callable[[Fill], str],
    event_of: Callable[[str], str],
    series_of: Callable[[str], str],
) -> dict[str, pnl.Pnl]:
    """P&L by one of KEYS. Days are days of `zone`; what is open counts for today.

    With `strategy`, every strategy has its own ledger, as if each had an account: the parts still add up, because
    profit and loss is linear in what was traded.
    """
    if by == "strategy":
        return _by_strategy(portfolio, since, strategy_of)
    keys: dict[str, Callable[[str, pnl.Entry | None], str]] = {
        "market": lambda ticker, _: ticker,
        "event": lambda ticker, _: event_of(ticker),
        "series": lambda ticker, _: series_of(ticker),
        "day": lambda _, entry: day_of(entry.ts if entry is not None else now, zone),
    }
    return pnl.parts(portfolio.entries, portfolio.marks, keys[by], since=since)


def day_of(ts: Ts, zone: ZoneInfo) -> str:
    """The trading day of a moment, as YYYY-MM-DD."""
    return datetime.fromtimestamp(ts / 1000, zone).strftime("%Y-%m-%d")


def day_start(ts: Ts, zone: ZoneInfo) -> Ts:
    """Midnight before `ts` in the zone; on two days of the year it is 23 or 25 hours before the next."""
    local = datetime.fromtimestamp(ts / 1000, zone)
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)  # where clocks go back at midnight
    return Ts(int(midnight.timestamp() * 1000))


def _by_strategy(portfolio: Portfolio, since: Ts | None, strategy_of: Callable[[Fill], str]) -> dict[str, pnl.Pnl]:
    # One mark a market for all: two strategies against each other add up to nothing, whatever the mark is.
    marks: dict[str, Price | None] = {fill.ticker: fill.price for fill in portfolio.fills}
    marks |= portfolio.marks
    names = sorted({strategy_of(fill) for fill in portfolio.fills})
    return {
        name or "(none)": pnl.total(
            pnl.parts(_entries_of(portfolio, name, strategy_of), marks, lambda t, _: t, since=since).values()
        )
        for name in names
    }


def _entries_of(portfolio: Portfolio, name: str, strategy_of: Callable[[Fill], str]) -> Iterable[pnl.Entry]:
    fills = [fill for fill in portfolio.fills if strategy_of(fill) == name]
    traded = {fill.ticker for fill in fills}
    return [*fills, *(settlement for settlement in portfolio.settlements if settlement.ticker in traded)]
