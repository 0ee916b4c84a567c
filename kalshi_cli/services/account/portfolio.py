"""Positions and profit and loss of an account, computed from its fills and settlements by the one ledger."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Literal, get_args
from zoneinfo import ZoneInfo

import msgspec

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.account import pnl
from kalshi_cli.core.account.closed_markets import FillOwners
from kalshi_cli.core.account.ledger import Ledger, Position, in_trading_order
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import ExchangePosition, MarkSource, Settlement
from kalshi_cli.core.state.state import mark, mark_source
from kalshi_cli.core.state.trading_day import day_of, day_start
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.account_snapshot import external_markets
from kalshi_cli.services.account.key_lock import learn_key
from kalshi_cli.services.account.opening import opening_marks
from kalshi_cli.services.resources import Resources
from kalshi_cli.store.records import ALL_TIME, NEVER, ClosedResult
from kalshi_cli.views.positions import PositionRow, SubaccountPositionRow, position_row

if TYPE_CHECKING:
    from kalshi_cli.store.sqlite_store import Store

PnlGroup = Literal["market", "event", "series", "strategy", "day", "month"]
KEYS: tuple[str, ...] = get_args(PnlGroup)

OVERLAP_MS = 3_600_000
PAID_LATE_MS = 86_400_000 + OVERLAP_MS
"""The time before the newest booking on file from which fills, and settlements, are read from the exchange again."""

MONTH_LENGTH = len("2026-11")


class Portfolio(msgspec.Struct, frozen=True, kw_only=True):
    """The bookings of an account, their ledger, and the markets of open positions."""

    fills: tuple[Fill, ...]
    settlements: tuple[Settlement, ...]
    ledger: Ledger
    markets: dict[str, Market]
    stated: dict[tuple[int, str], ExchangePosition]
    closed: tuple[ClosedResult, ...] = ()
    """The results of markets whose bookings are not here."""
    orders: tuple[Order, ...] | None = None
    """The orders of the fills, as far as the state file knows them; None if it was not used."""

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

    def before(self, until: Ts) -> Portfolio:
        """Return the bookings before a time, and the positions then. Their prices then are unknown."""
        fills = tuple(fill for fill in self.fills if fill.ts < until)
        settlements = tuple(settlement for settlement in self.settlements if settlement.ts < until)
        ledger = pnl.build_ledger((*fills, *settlements))
        return msgspec.structs.replace(self, fills=fills, settlements=settlements, ledger=ledger, markets={})

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
    return {name: mark(None, markets.get(name), qty) for name, qty in _net(positions).items()}


def mark_sources(positions: Iterable[Position], markets: Mapping[str, Market]) -> dict[str, MarkSource | None]:
    """Return where the closing price of each market with a position comes from; None without prices."""
    return {name: mark_source(markets.get(name), qty) for name, qty in _net(positions).items()}


def _net(positions: Iterable[Position]) -> dict[str, Qty]:
    net: dict[str, Qty] = {}
    for held in positions:
        net[held.ticker] = Qty(net.get(held.ticker, 0) + held.qty)
    return net


def closing_value(positions: Iterable[Position], marks: Mapping[str, Price | None]) -> Money:
    """Return the value of positions at their closing prices; one without a price counts at its cost."""
    values = ((position.cost, position.value(marks[position.ticker])) for position in positions)
    return Money(sum(cost if value is None else value for cost, value in values))


def read(
    client: KalshiClient,
    store: Store | None = None,
    since: Ts = NEVER,
    *,
    by_market: bool = False,
    also: Iterable[str] = (),
) -> Portfolio:
    """Return the bookings and positions of the account, and the markets of open positions.

    With a state file, only newer bookings are read from the exchange, and markets that are closed and had no booking
    since `since` are only results, `by_market` or summed up, except for those in `also`. Everything is read from the
    exchange where the file cannot be read or does not explain the positions.
    """
    if store is not None:
        with suppress(StateFileError):
            found = _read_newer(client, store, since, also, by_market=by_market)
            if found is not None and not found.drifting:
                return found
    # They come newest first; entries of the same millisecond keep the given order.
    return _portfolio(client, tuple(client.all_fills())[::-1], tuple(client.settlements())[::-1])


def _read_newer(
    client: KalshiClient, store: Store, since: Ts, also: Iterable[str], *, by_market: bool
) -> Portfolio | None:
    """Return the portfolio from the state file and what is newer; None without anything on file."""
    newest = store.history.newest()
    if not newest:
        return None
    late = tuple(client.all_fills(min_ts=Ts(newest - OVERLAP_MS)))[::-1]
    paid = tuple(client.settlements(min_ts=Ts(newest - PAID_LATE_MS)))[::-1]
    moved = {fill.ticker for fill in late} | {settlement.ticker for settlement in paid} | set(also)
    known = store.history.counted(since, moved, by_market=by_market)
    newer = {fill.key for fill in late}
    return _portfolio(
        client,
        (*(fill for fill in known.fills if fill.key not in newer), *late),  # the exchange lists them as they traded
        (*known.settlements, *paid),
        subaccounts=store.history.subaccounts(),
        closed=known.closed,
        orders=known.orders,
    )


def _portfolio(
    client: KalshiClient,
    fills: tuple[Fill, ...],
    settlements: tuple[Settlement, ...],
    *,
    subaccounts: Iterable[int] = (),
    closed: tuple[ClosedResult, ...] = (),
    orders: tuple[Order, ...] | None = None,
) -> Portfolio:
    """Return the portfolio of these bookings; reads the positions and the markets of open positions."""
    ledger = pnl.build_ledger((*fills, *settlements))
    held = sorted({position.ticker for position in ledger.positions.values() if position.qty})
    subaccounts = sorted({client.lock or 0, *subaccounts} | {number for number, _ in ledger.positions})
    return Portfolio(
        fills=fills,
        settlements=settlements,
        closed=closed,
        orders=orders,
        ledger=ledger,
        markets=markets_without_own(client, held),
        stated={
            (number, position.ticker): position
            for number in subaccounts
            for position in client.positions(subaccount=number or None)
        },
    )


def markets_held(store: Store) -> list[str]:
    """Return the markets with a position by the state file."""
    known = store.history.counted(NEVER)
    held = pnl.build_ledger((*known.fills, *known.settlements)).positions.values()
    return sorted({each.ticker for each in held if each.qty})


def markets_without_own(client: KalshiClient, tickers: Sequence[str]) -> dict[str, Market]:
    """Return markets with positions; their best prices leave out the resting orders of the account."""
    own = client.all_orders(status="resting") if tickers else ()
    return {market.ticker: market for market in external_markets(client, tickers, own)}


def group_pnl(
    portfolio: Portfolio,
    by: str,
    *,
    since: Ts | None,
    until: Ts | None = None,
    openings: Mapping[Ts, Mapping[str, Price]] | None = None,
    zone: ZoneInfo,
    now: Ts,
    strategy_of: Callable[[Fill], str],
    event_of: Callable[[str], str],
    series_of: Callable[[str], str],
) -> dict[str, pnl.ProfitAndLoss]:
    """Return profit and loss by one of KEYS. Days are days of `zone`.

    `openings` has the closing prices at the start of trading days. Each day has the change of the unrealized P&L
    between those that are known; a change over several days counts on the last of them. Without any, open positions
    count for today.

    `until` is a past time. Later bookings do not count, and neither does unrealized P&L: the prices then are unknown.

    With `strategy`, every strategy has its own ledger, like a separate account. The parts still add up, because profit
    and loss is linear in the fills; without unrealized P&L they may not.
    """
    if until is not None:
        portfolio, openings = portfolio.before(until), None
    openings = openings or {}
    opening = openings.get(since, {}) if since is not None else {}
    if by == "strategy":
        # One mark per market: two opposite strategies add up to zero, whatever the mark.
        last = {fill.ticker: fill.price for fill in portfolio.fills} if until is None else {}
        return _by_strategy(portfolio, since, strategy_of, opening, {**last, **portfolio.marks})
    keys: dict[str, Callable[[str, pnl.LedgerEntry | None], str]] = {
        "market": lambda ticker, _: ticker,
        "event": lambda ticker, _: event_of(ticker),
        "series": lambda ticker, _: series_of(ticker),
        "day": lambda _, entry: day_of(entry.ts if entry is not None else now, zone),
        "month": lambda _, entry: day_of(entry.ts if entry is not None else now, zone)[:MONTH_LENGTH],
    }
    found = pnl.group_by(portfolio.entries, portfolio.marks, keys[by], since=since, opening=opening)
    if by in ("day", "month"):
        for start, change in _carried(portfolio.ledger, openings, since):
            day_before = day_of(Ts(start - 1), zone)
            for name, amount in ((day_before, change), (day_of(now, zone), -change)):
                found.setdefault(name if by == "day" else name[:MONTH_LENGTH], pnl.ProfitAndLoss()).add(
                    unrealized=amount
                )
    whole: dict[str, pnl.ProfitAndLoss] = {}
    for each in portfolio.closed if since is None else ():
        each.add_to(whole.setdefault(keys[by](each.ticker, None), pnl.ProfitAndLoss()))
    for name, part in found.items():
        whole[name] = pnl.total((whole.get(name, pnl.ProfitAndLoss()), part))
    return whole


def _carried(ledger: Ledger, openings: Mapping[Ts, Mapping[str, Price]], since: Ts | None) -> Iterator[tuple[Ts, int]]:
    """Yield the start of each trading day, and the change of the unrealized P&L by then since the one before."""
    last: dict[str, int] = {}
    for start in sorted(openings):
        marks = openings[start]
        for ticker in {*marks, *(ticker for ticker, carried in last.items() if carried)}:
            carried = ledger.before(ticker, start).unrealized(marks)
            if carried is not None and carried != last.get(ticker, 0):
                if since is None or start > since:
                    yield start, carried - last.get(ticker, 0)
                if since is None or start >= since:
                    last[ticker] = carried


def _by_strategy(
    portfolio: Portfolio,
    since: Ts | None,
    strategy_of: Callable[[Fill], str],
    opening: Mapping[str, Price],
    marks: Mapping[str, Price | None],
) -> dict[str, pnl.ProfitAndLoss]:
    names = sorted({strategy_of(fill) for fill in portfolio.fills} | {each.strategy for each in portfolio.closed})
    found = {
        name or "(none)": pnl.total(
            pnl.group_by(
                _entries_of(portfolio, name, strategy_of), marks, lambda t, _: t, since=since, opening=opening
            ).values()
        )
        for name in names
    }
    for each in portfolio.closed if since is None else ():
        each.add_to(found[each.strategy or "(none)"])
    return found


def _entries_of(portfolio: Portfolio, name: str, strategy_of: Callable[[Fill], str]) -> Iterable[pnl.LedgerEntry]:
    fills = [fill for fill in portfolio.fills if strategy_of(fill) == name]
    traded = {fill.ticker for fill in fills}
    return [*fills, *(settlement for settlement in portfolio.settlements if settlement.ticker in traded)]


def positions_before(fills: Iterable[Fill]) -> dict[tuple[str, str], Qty]:
    """Return the position that each fill met, by the key of the fill; `fills` is the whole history, oldest first.

    A market trades no more once it is settled, so settlements do not matter here.
    """
    held = FillCounter()
    return {fill.key: held.before(fill) for fill in in_trading_order(fills)}


def typed_outcomes(resources: Resources, fills: Iterable[Fill]) -> dict[str, Literal["yes", "no"]]:
    """Return the outcomes typed with the orders of fills, by order id; empty if the state file cannot be read."""
    found: dict[str, Literal["yes", "no"]] = {}
    with suppress(StateFileError):
        store = resources.remembered()
        for fill in {each.order_id: each for each in fills}.values() if store is not None else ():
            order = store.order(fill.order_id) if store is not None else None
            if order is not None and order.outcome and (order.ticker, order.side) == (fill.ticker, fill.side):
                found[fill.order_id] = order.outcome
    return found


class FillCounter:
    """The positions that fills made, counted one fill after the other."""

    def __init__(self) -> None:
        self._held: dict[tuple[int, str], int] = {}

    def before(self, fill: Fill) -> Qty:
        """Return the position that this fill met, negative for NO, and count the fill."""
        place = (fill.subaccount, fill.ticker)
        held = self._held.get(place, 0)
        self._held[place] = held + (fill.qty if fill.side is BID else -fill.qty)
        return Qty(held)


class PastPositions:
    """The positions that the orders of the account met, from the whole history of its fills, oldest first."""

    def __init__(self, fills: Iterable[Fill]) -> None:
        self._after: dict[tuple[int, str], list[tuple[Ts, str, Qty]]] = {}
        counter = FillCounter()
        for fill in in_trading_order(fills):
            after = Qty(counter.before(fill) + fill.side.sign * fill.qty)
            self._after.setdefault((fill.subaccount, fill.ticker), []).append((fill.ts, fill.order_id, after))

    def when_placed(self, place: tuple[int, str], order_id: str | None, created: Ts) -> Qty:
        """Return the position in a market when an order was placed, negative for NO; its own fills do not count."""
        found = self._after.get(place, [])
        at = bisect_right(found, created, key=lambda each: each[0])
        return next((after for _, its_order, after in reversed(found[:at]) if its_order != order_id), Qty(0))


def account_portfolio(resources: Resources, since: Ts = NEVER) -> Portfolio:
    """Return the current positions and profit and loss; bookings of closed markets only since `since`."""
    client, store = learn_key(resources), None
    with suppress(StateFileError):  # the exchange knows everything
        store = resources.remembered()
    return _checked(resources, read(client, store, since))


def _checked(resources: Resources, found: Portfolio) -> Portfolio:
    for ticker in found.drifting:
        resources.tell(f"Warning: the fills of {ticker} do not add up to the position that the exchange reports")
    return found


def position_rows(found: Portfolio, subaccount: int | None = None) -> list[PositionRow]:
    """Return the open positions as rows with closing prices, of all subaccounts unless one is given."""
    marks, sources = found.marks, mark_sources(found.open_positions, found.markets)
    held = [each for each in found.open_positions if subaccount is None or each.subaccount == subaccount]
    kind = SubaccountPositionRow if any(each.subaccount for each in held) else PositionRow
    return [position_row(each, marks[each.ticker], kind, sources[each.ticker]) for each in held]


def account_pnl(
    resources: Resources, by: str, since: Ts | None, until: Ts | None = None
) -> tuple[pnl.ProfitAndLoss, dict[str, pnl.ProfitAndLoss]]:
    """Return total profit and loss, and its parts by one of `KEYS`."""
    start = history_start(by, since, until)
    client, store = learn_key(resources), resources.remembered()
    found = _checked(resources, read(client, store, start, by_market=by in ("market", "event", "series")))
    orders = found.orders if found.orders is not None or store is None else store.orders()
    return group_account_pnl(resources, found, orders or (), by, since, store, until=until)


def history_start(by: str, since: Ts | None, until: Ts | None) -> Ts:
    """Return the time since when the bookings of closed markets are needed, which keep no results by time."""
    if since is not None:
        return since
    return ALL_TIME if by in ("day", "month") or until is not None else NEVER


def group_account_pnl(
    resources: Resources,
    found: Portfolio,
    orders: Iterable[Order],
    by: str,
    since: Ts | None,
    store: Store | None,
    *,
    until: Ts | None = None,
) -> tuple[pnl.ProfitAndLoss, dict[str, pnl.ProfitAndLoss]]:
    """Return total profit and loss of a portfolio, and its parts by one of `KEYS`; `orders` name the strategies.

    Unrealized P&L is left out if `until` is past: the prices then are unknown.
    """
    events = {each.ticker: each.event_ticker for each in found.closed if each.event_ticker}

    @cache
    def event_of(ticker: str) -> str:
        return events.get(ticker) or resources.client.market(ticker).event_ticker

    zone, now = ZoneInfo(resources.config.day_zone), resources.clock.now()
    end = until if until is not None and until <= now else None
    today, openings = day_start(now, zone), store.history.opening_marks() if store is not None and end is None else {}
    if end is None:
        openings |= {today: opening_marks(resources.client, store, today, found.ledger.held_before(today))}
    parts = group_pnl(
        found, by,
        since=since, until=end, openings=openings, zone=zone, now=now,
        strategy_of=FillOwners(orders).strategy,
        event_of=event_of,
        series_of=lambda ticker: resources.families.event(event_of(ticker)).series_ticker,
    )  # fmt: skip
    return pnl.total(parts.values()), parts


def account_curve(found: Portfolio, now: Ts, since: Ts | None, until: Ts | None) -> Sequence[tuple[Ts, Money]]:
    """Return the gain of an account over a period; open positions count at its end, unless that is past."""
    if until is not None and until <= now:
        found, now = found.before(until), until
    return pnl.curve(found.entries, found.marks, now, since=since)
