"""The GET endpoints of an account: its mirror, which may lag behind the matching engine.

Without `subaccount`, positions and the balance are those of the primary one, and orders, fills and settlements are of
all of them (API.md section 5.8).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, format_money, format_qty, notional
from kalshi_cli.simulator.matching.collateral import collateral
from kalshi_cli.simulator.matching.mirror import DelayedView
from kalshi_cli.simulator.model.records import BalanceRecord, OrderRecord, PositionRecord
from kalshi_cli.simulator.protocol import shapes
from kalshi_cli.simulator.protocol.replies import Json, newest, not_found
from kalshi_cli.simulator.protocol.routing import RouteCall, private
from kalshi_cli.simulator.rest.historical import TieredRoutes


class AccountReads(TieredRoutes):
    """Orders, fills, settlements, positions and the balance of an account."""

    @private("/portfolio/orders", "GetOrders")
    @private("/historical/orders", "GetHistoricalOrders")
    def orders(self, call: RouteCall) -> Json:
        """Those of the history ended before the cutoff."""
        query = call.query
        status = query.one_of("status", ("resting", "canceled", "executed"))
        ticker, events = query.text("ticker"), set(query.many("event_ticker", most=10))
        low, high = query.window()
        subaccount, shard = call.subaccount(None), query.number("exchange_index")

        def wanted(order: OrderRecord) -> bool:
            if ticker not in (None, order.ticker) or status not in (None, order.status):
                return False
            if subaccount not in (None, order.subaccount) or shard not in (None, order.exchange_index):
                return False
            if events and self._event_of(order.ticker) not in events:
                return False
            return low <= order.created <= high

        orders, cutoff = reversed(self._mirror(call).orders.values()), self.cutoff(call.now)
        found = (order for order in orders if cutoff.has_order(order) is call.is_old and wanted(order))
        return query.listing("orders", found, partial(self._order, call), lambda order: -order.rank)

    @private("/portfolio/orders/:order_id", "GetOrder", cost=2)
    def order(self, call: RouteCall) -> Json:
        order = self._mirror(call).orders.get(call.path[0])
        if order is None or call.lock not in (None, order.subaccount) or self.cutoff(call.now).has_order(order):
            raise not_found()
        return {"order": self._order(call, order)}

    @private("/portfolio/orders/:order_id/queue_position", "GetOrderQueuePosition")
    def queue_position(self, call: RouteCall) -> Json:
        order = self._state.live.get(call.path[0])
        if order is None or order.account != call.account or call.lock not in (None, order.subaccount):
            raise not_found()
        return {"queue_position_fp": format_qty(self._state.books[order.ticker].ahead_of(order))}

    @private("/portfolio/fills", "GetFills")
    @private("/historical/fills", "GetFillsHistorical")
    def fills(self, call: RouteCall) -> Json:
        """Those of the history are from before the cutoff."""
        cutoff = self.cutoff(call.now)
        query, (low, high) = call.query, call.query.window()
        tickers, order_id = set(query.many("ticker")), query.text("order_id")
        subaccount, shard = call.subaccount(None), query.number("exchange_index")
        found = (
            fill
            for fill in reversed(self._mirror(call).fills)
            if cutoff.has_moment(fill.ts) is call.is_old
            and low <= fill.ts <= high
            and (not tickers or fill.ticker in tickers)
            and order_id in (None, fill.order_id)
            and subaccount in (None, fill.subaccount)
            and shard in (None, fill.exchange_index)
        )
        return query.listing("fills", found, shapes.fill_json, newest)

    @private("/portfolio/settlements", "GetSettlements")
    def settlements(self, call: RouteCall) -> Json:
        query, (low, high) = call.query, call.query.window()
        ticker, event, subaccount = query.text("ticker"), query.text("event_ticker"), call.subaccount(None)
        found = (
            one
            for one in reversed(self._mirror(call).settlements)
            if low <= one.ts <= high
            and ticker in (None, one.ticker)
            and event in (None, one.event_ticker)
            and subaccount in (None, one.subaccount)
        )
        return query.listing("settlements", found, shapes.settlement_json, newest)

    @private("/portfolio/positions", "GetPositions")
    @private("/historical/positions", "GetHistoricalPositions")
    def positions(self, call: RouteCall) -> Json:
        """Those of the history settled before the cutoff, whole events at a time."""
        query = call.query
        usual = "all" if call.is_old else "unsettled"
        shown = query.one_of("settlement_status", ("unsettled", "settled", "all")) or usual
        live = self.live_events(self._mirror(call).holdings.values(), call.now)
        ticker, event, counted = query.text("ticker"), query.text("event_ticker"), query.many("count_filter")
        subaccount, shard = call.subaccount(0), query.number("exchange_index")
        holdings = [
            (place, holding)
            for place, holding in enumerate(self._mirror(call).holdings.values())
            if shown in ("all", "settled" if holding.is_settled else "unsettled")
            and (self.event_of(holding) in live) is not call.is_old
            and holding.subaccount == subaccount
            and shard in (None, holding.exchange_index)
            and ticker in (None, holding.ticker)
            and event in (None, self._event_of(holding.ticker))
            and (not counted or ("position" in counted and holding.qty) or ("total_traded" in counted))
        ]
        found, cursor = query.page(holdings, lambda item: item[0])
        by_event: dict[str, list[PositionRecord]] = {}
        for _, holding in found:
            by_event.setdefault(self._event_of(holding.ticker), []).append(holding)
        return {
            "cursor": cursor,
            "market_positions": [shapes.position_json(holding) for _, holding in found],
            "event_positions": [shapes.event_position_json(event, held) for event, held in by_event.items()],
        }

    @private("/portfolio/balance", "GetBalance")
    def balance(self, call: RouteCall) -> Json:
        """Of one subaccount (the primary one), on one shard or all of them."""
        mirror, subaccount = self._mirror(call), call.subaccount(0)
        shard = call.query.number("exchange_index")
        purses = [purse for purse in mirror.purses.values() if purse.subaccount == subaccount]
        asked = [purse for purse in purses if shard in (None, purse.exchange_index)]
        held = (
            holding
            for holding in mirror.holdings.values()
            if holding.subaccount == subaccount and shard in (None, holding.exchange_index)
        )
        spent = self._held_back(mirror, subaccount or 0) if self._state.options.is_balance_net else {}
        cash = Money(_cash(asked) - sum(spent.get(purse.exchange_index, 0) for purse in asked))
        shown: Json = {
            "balance": cash // 10_000,
            "balance_dollars": exact(cash),
            "portfolio_value": self._value(held) // 10_000,
            "updated_ts": max((purse.updated for purse in asked), default=call.now) // 1000,
        }
        if call.lock is None:
            shown["balance_breakdown"] = [
                {
                    "exchange_index": index,
                    "balance": exact(
                        Money(_cash(p for p in purses if p.exchange_index == index) - spent.get(index, 0))
                    ),
                }
                for index in range(self._state.options.shards)
            ]
        return shown

    # -- parts --

    def _order(self, call: RouteCall, order: OrderRecord) -> Json:
        return shapes.order_json(order, self._member(call).record.user_id, self._state.options.asks_read_as)

    def _held_back(self, mirror: DelayedView, subaccount: int) -> dict[int, int]:
        """What the resting orders of a subaccount need, by shard."""
        orders: dict[str, list[OrderRecord]] = {}
        for order in mirror.resting.values():
            if order.subaccount == subaccount:
                orders.setdefault(order.ticker, []).append(order)
        found: dict[int, int] = {}
        for ticker, resting in orders.items():
            holding = mirror.holdings.get((subaccount, ticker))
            need = collateral(resting, holding.qty if holding else Qty(0), self._state.terms(ticker))
            shard = resting[0].exchange_index
            found[shard] = found.get(shard, 0) + need
        return found

    def _value(self, holdings: Iterator[PositionRecord]) -> Money:
        """Positions at the last price: 2 contracts at 0.99 were shown as 198 cents (recorded in June 2026)."""
        total = 0
        for holding in holdings:
            last = self._state.markets[holding.ticker].last
            if holding.qty and last is not None:
                price = last if holding.qty > 0 else Price(ONE_DOLLAR - last)
                total += notional(price, Qty(abs(holding.qty)))
        return Money(total)

    def _event_of(self, ticker: str) -> str:
        """ "" for a market that is long gone."""
        market = self._state.markets.get(ticker)
        return market.spec.event_ticker if market else ""


def exact(money: Money) -> str:
    """Dollars to the precision of a balance, rounded down."""
    return format_money(Money(money // 100 * 100))[:-2]


def _cash(purses: Iterable[BalanceRecord]) -> Money:
    return Money(sum(purse.cash for purse in purses))
