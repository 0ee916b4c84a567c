"""The portfolio summary: cash, positions, exposure against limits, and today's profit and loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.units import Money, Price, Qty, Ts, format_money, format_qty, show_money
from kalshi_cli.core.account.closing_orders import closing_by_order
from kalshi_cli.core.account.exposure import CLASSIC
from kalshi_cli.core.account.ledger import Position, max_payout
from kalshi_cli.core.account.pnl import ProfitAndLoss, count_closings, group_by, total
from kalshi_cli.core.model.markets import FeeSchedule, Market
from kalshi_cli.core.model.orders import Order, OrderStatus, as_typed
from kalshi_cli.core.model.positions import MarkSource
from kalshi_cli.core.monitoring.limits_check import LimitUsage, MarketExposure, uses
from kalshi_cli.core.state.trading_day import day_start
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.families import MAX_SERIES
from kalshi_cli.services.account.opening import opening_marks
from kalshi_cli.services.account.portfolio import Portfolio, account_portfolio, mark_sources
from kalshi_cli.services.resources import Resources
from kalshi_cli.views.formats import Ratio, SignedMoney
from kalshi_cli.views.orders import LiveOrderRow, order_row
from kalshi_cli.views.portfolio import HoldingRow, LimitUsageRow, PortfolioView
from kalshi_cli.views.positions import position_row

if TYPE_CHECKING:
    from kalshi_cli.store.sqlite_store import Store


def portfolio_summary(resources: Resources) -> PortfolioView:
    """Return the portfolio as of now, of all subaccounts; the cash is that of the primary account.

    The orders are read before the positions, so that a trade between the two reads counts twice rather than not at all.
    """
    orders = list(resources.client.all_orders(status="resting"))
    store = None
    with suppress(StateFileError):  # the exchange knows everything
        store = resources.remembered()
    return summary_of(resources, orders, account_portfolio(resources), None, store)


def summary_of(
    resources: Resources, orders: Sequence[Order], found: Portfolio, cash: Money | None, store: Store | None
) -> PortfolioView:
    """Return the summary of resting orders and of a portfolio that was read after them; reads the cash if not given."""
    cash = resources.client.balance().cash if cash is None else cash
    now = resources.clock.now()
    midnight = day_start(now, ZoneInfo(resources.config.day_zone))
    today, unpriced = pnl_today(found, midnight, resources.client, store)
    wins, losses = count_closings(found.entries, midnight)
    listed = _markets(resources, found, orders)
    exposures = market_exposures(found.open_positions, orders, _fees(resources, listed, orders))
    marks = found.marks
    sources = mark_sources(found.open_positions, found.markets)
    rows = [
        holding_row(each, marks[each.ticker], found.markets.get(each.ticker), sources[each.ticker])
        for each in found.open_positions
    ]
    value = found.value
    return PortfolioView(
        cash=cash,
        positions_value=value,
        total=Money(cash + value),
        cost=Money(sum(row.cost for row in rows)),
        unrealized=SignedMoney(Money(sum(row.unrealized or 0 for row in rows))),
        exposure=Money(sum(each.outcomes.worst for each in exposures)),
        resting_orders=len(orders),
        pnl_today=SignedMoney(today.net),
        realized_today=SignedMoney(today.realized),
        unrealized_today=SignedMoney(today.unrealized),
        fees_today=today.fees,
        pnl_today_share=share_gained(today.net, Money(cash + value)),
        wins_today=wins,
        losses_today=losses,
        unpriced_at_open=unpriced,
        as_of=now,
        positions=tuple(rows),
        orders=live_orders(on_file(orders, store), found.open_positions),
        limits=tuple(usage_row(each) for each in _limits(resources, listed, exposures, today)),
    )


def live_orders(orders: Sequence[Order], positions: Iterable[Position]) -> tuple[LiveOrderRow, ...]:
    """Return live orders, listed newest first, with what those that rest would close of these positions."""
    held = {(each.subaccount, each.ticker): each.qty for each in positions}
    closing = closing_by_order([each for each in orders if each.status is OrderStatus.RESTING], held)
    return tuple(
        LiveOrderRow.of(order_row(each), strategy=each.strategy, closing=closing.get(each.order_id)) for each in orders
    )


def on_file(orders: Iterable[Order], store: Store | None) -> list[Order]:
    """Return orders with the strategies and the typed outcomes that the state file has for them."""
    found = []
    for order in orders:
        known = store.order(order.client_order_id or order.order_id) if store is not None else None
        found.append(order if known is None else replace(as_typed(order, known), strategy=known.strategy))
    return found


def pnl_since(found: Portfolio, start: Ts | None) -> ProfitAndLoss:
    """Return the profit and loss since a moment, or of all time, open positions at their closing prices."""
    counted = total(group_by(found.entries, found.marks, lambda ticker, _: ticker, since=start).values())
    for each in found.closed if start is None else ():
        each.add_to(counted)
    return counted


def pnl_today(
    found: Portfolio, midnight: Ts, client: KalshiClient, store: Store | None
) -> tuple[ProfitAndLoss, tuple[str, ...]]:
    """Return the profit and loss since midnight, as the daily loss limit counts it, and markets without a price then.

    In such a market a loss of the open position counts in full and a gain not at all: it may be yesterday's.
    """
    held = found.ledger.held_before(midnight)
    opening = opening_marks(client, store, midnight, held)
    today = total(
        group_by(found.entries, found.marks, lambda ticker, _: ticker, since=midnight, opening=opening).values()
    )
    unpriced = tuple(sorted(held.keys() - opening.keys()))
    for ticker in unpriced:
        gains = (each.unrealized(found.marks.get(ticker)) or 0 for each in found.ledger.holdings(ticker) if each.qty)
        today.add(unrealized=-max(0, sum(gains)))
    return today, unpriced


def share_gained(net: Money, total: Money) -> Ratio | None:
    """Return a gain as a share of the total before it; None if that was nothing or less."""
    before = total - net
    return Ratio(net / before) if before > 0 else None


def market_exposures(
    positions: Iterable[Position], orders: Iterable[Order], fees: Mapping[str, FeeSchedule]
) -> list[MarketExposure]:
    """Return what each subaccount holds and has resting in each market; `fees` by ticker, else the most common ones."""
    held = {(position.subaccount, position.ticker): position for position in positions}
    resting: dict[tuple[int, str], list[Order]] = {}
    for order in orders:
        resting.setdefault((order.subaccount, order.ticker), []).append(order)
    flat = (Qty(0), Money(0))
    exposures = []
    for key in sorted(held.keys() | resting.keys()):
        qty, cost = (held[key].qty, held[key].cost) if key in held else flat
        subaccount, ticker = key
        exposures.append(
            MarketExposure(
                ticker=ticker, subaccount=subaccount, qty=qty, cost=cost, orders=tuple(resting.get(key, ())),
                fees=fees.get(ticker, CLASSIC),
            )
        )  # fmt: skip
    return exposures


def _markets(resources: Resources, found: Portfolio, orders: Sequence[Order]) -> dict[str, Market]:
    """Return the markets of positions and of resting orders."""
    missing = sorted({order.ticker for order in orders} - found.markets.keys())
    read = resources.client.markets(tickers=missing) if missing else ()
    return {**found.markets, **{market.ticker: market for market in read}}


def _fees(resources: Resources, markets: Mapping[str, Market], orders: Sequence[Order]) -> dict[str, FeeSchedule]:
    """Return the fees of the markets with resting orders, of the first MAX_SERIES series."""
    kin = resources.families
    charging = [markets[ticker] for ticker in sorted({order.ticker for order in orders} & markets.keys())]
    wanted = sorted({kin.event(market.event_ticker).series_ticker for market in charging})[:MAX_SERIES]
    return {each.ticker: kin.fees(each) for each in charging if kin.event(each.event_ticker).series_ticker in wanted}


def _limits(
    resources: Resources, markets: Mapping[str, Market], exposures: Sequence[MarketExposure], today: ProfitAndLoss
) -> list[LimitUsage]:
    """Return the usage of every limit that is set, the most used first. Reads events only where a limit needs them."""
    limits = resources.limits
    families = {}
    if limits.max_event_exposure is not None or limits.max_category_exposure is not None:
        families = {ticker: resources.families.family(market) for ticker, market in markets.items()}
    used = uses(exposures, limits, families)
    if limits.max_daily_loss is not None:
        lost = Money(max(0, -today.net))
        used.append(
            LimitUsage(
                code="DAILY_LOSS", subject="account", used=lost, limit=limits.max_daily_loss,
                shown=show_money(lost), shown_limit=show_money(limits.max_daily_loss),
            )
        )  # fmt: skip
    return sorted(used, key=lambda use: -use.pct)


def usage_row(use: LimitUsage) -> LimitUsageRow:
    """Return the use of a limit as a row."""
    exact: Callable[[Any], str] = {"$": format_money, "contracts": format_qty}.get(use.unit, str)
    return LimitUsageRow(
        limit_code=use.code,
        subject=use.subject,
        used=use.shown,
        limit=use.shown_limit,
        used_share=Ratio(use.share),
        unit="dollars" if use.unit == "$" else use.unit,
        used_value=exact(use.used),
        limit_value=exact(use.limit),
    )


def holding_row(
    position: Position, mark: Price | None, market: Market | None, source: MarkSource | None = None
) -> HoldingRow:
    """Return an open position with the title of its market."""
    return HoldingRow.of(
        position_row(position, mark, source=source),
        title=market.full_title if market is not None else None,
        max_payout=max_payout(position.qty, market.settlement_value if market is not None else None),
    )
