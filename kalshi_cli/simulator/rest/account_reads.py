"""The GET endpoints of an account. They read its delayed view, which may lag behind the matching engine.

Without `subaccount`, positions and the balance are those of the primary subaccount; orders, fills and settlements are
those of all subaccounts (API.md section 5.8).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from operator import itemgetter

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, format_money, format_qty, notional
from kalshi_cli.simulator.matching.collateral import collateral
from kalshi_cli.simulator.matching.mirror import DelayedView
from kalshi_cli.simulator.model.records import BalanceRecord, OrderRecord, PositionRecord
from kalshi_cli.simulator.protocol import shapes
from kalshi_cli.simulator.protocol.replies import Json, existing, matching, not_found
from kalshi_cli.simulator.protocol.routing import RouteCall, private
from kalshi_cli.simulator.rest.historical import TieredRoutes


class AccountReads(TieredRoutes):
    """Orders, fills, settlements, positions and the balance of an account."""

    @private("/portfolio/orders", "GetOrders")
    @private("/historical/orders", "GetHistoricalOrders")
    def orders(self, call: RouteCall) -> Json:
        """Return the orders of the tier; orders that ended before the cutoff are history."""
        query, cutoff = call.query, self.cutoff(call.now)
        status = query.one_of("status", ("resting", "canceled", "executed"))
        ticker, events = query.text("ticker"), set(query.many("event_ticker", most=10))
        low, high = query.window()
        subaccount, shard = call.subaccount(None), query.number("exchange_index")
        orders = reversed(self._mirror(call).orders.values())
        found = (
            order
            for order in matching(orders, ticker=ticker, status=status, subaccount=subaccount, exchange_index=shard)
            if cutoff.has_order(order) is call.is_old
            and (not events or self.event_of(order.ticker) in events)
            and low <= order.created <= high
        )
        return query.listing("orders", found, partial(self._order, call), lambda order: -order.rank)

    @private("/portfolio/orders/:order_id", "GetOrder", cost=2)
    def order(self, call: RouteCall) -> Json:
        """Return one order of the live tier."""
        order = existing(self._mirror(call).orders.get(call.path[0]))
        if call.lock not in (None, order.subaccount) or self.cutoff(call.now).has_order(order):
            raise not_found()
        return {"order": self._order(call, order)}

    @private("/portfolio/orders/:order_id/queue_position", "GetOrderQueuePosition")
    def queue_position(self, call: RouteCall) -> Json:
        """Return the number of contracts ahead of a resting order."""
        order = existing(self._state.live.get(call.path[0]))
        if order.account != call.account or call.lock not in (None, order.subaccount):
            raise not_found()
        return {"queue_position_fp": format_qty(self._state.books[order.ticker].ahead_of(order))}

    @private("/portfolio/fills", "GetFills")
    @private("/historical/fills", "GetFillsHistorical")
    def fills(self, call: RouteCall) -> Json:
        """Return the fills of the tier; fills from before the cutoff are history."""
        cutoff = self.cutoff(call.now)
        query, (low, high) = call.query, call.query.window()
        tickers, order_id = set(query.many("ticker")), query.text("order_id")
        subaccount, shard = call.subaccount(None), query.number("exchange_index")
        fills = reversed(self._mirror(call).fills)
        found = (
            fill
            for fill in matching(fills, order_id=order_id, subaccount=subaccount, exchange_index=shard)
            if cutoff.has_moment(fill.ts) is call.is_old
            and low <= fill.ts <= high
            and (not tickers or fill.ticker in tickers)
        )
        return query.listing("fills", found, shapes.fill_json)

    @private("/portfolio/settlements", "GetSettlements")
    def settlements(self, call: RouteCall) -> Json:
        """Return the settlements."""
        query, (low, high) = call.query, call.query.window()
        ticker, event, subaccount = query.text("ticker"), query.text("event_ticker"), call.subaccount(None)
        settlements = reversed(self._mirror(call).settlements)
        asked = matching(settlements, ticker=ticker, event_ticker=event, subaccount=subaccount)
        found = (settlement for settlement in asked if low <= settlement.ts <= high)
        return query.listing("settlements", found, shapes.settlement_json)

    @private("/portfolio/positions", "GetPositions")
    @private("/historical/positions", "GetHistoricalPositions")
    def positions(self, call: RouteCall) -> Json:
        """Return the positions of the tier; those of an event that settled before the cutoff are history."""
        query, everything = call.query, self._mirror(call).holdings.values()
        usual = "all" if call.is_old else "unsettled"
        shown = query.one_of("settlement_status", ("unsettled", "settled", "all")) or usual
        live = self.live_events(everything, call.now)
        ticker, event, counted = query.text("ticker"), query.text("event_ticker"), query.many("count_filter")
        subaccount, shard = call.subaccount(0), query.number("exchange_index")
        is_settled = None if shown == "all" else shown == "settled"
        holdings = (
            (place, holding)
            for place, holding in enumerate(everything)
            if (self.event_of(holding.ticker, holding.ticker) in live) is not call.is_old
            and event in (None, self.event_of(holding.ticker))
            and ticker in (None, holding.ticker)
            and subaccount == holding.subaccount
            and shard in (None, holding.exchange_index)
            and is_settled in (None, holding.is_settled)
            and (not counted or ("position" in counted and holding.qty) or ("total_traded" in counted))
        )
        found, cursor = query.page(holdings, itemgetter(0))
        by_event: dict[str, list[PositionRecord]] = {}
        for _, holding in found:
            by_event.setdefault(self.event_of(holding.ticker), []).append(holding)
        return {
            "cursor": cursor,
            "market_positions": [shapes.position_json(holding) for _, holding in found],
            "event_positions": [shapes.event_position_json(event, held) for event, held in by_event.items()],
        }

    @private("/portfolio/balance", "GetBalance")
    def balance(self, call: RouteCall) -> Json:
        """Return the balance of one subaccount, on one shard or on all shards."""
        mirror, subaccount = self._mirror(call), call.subaccount(0)
        shard = call.query.number("exchange_index")
        purses = list(matching(mirror.purses.values(), subaccount=subaccount))
        asked = list(matching(purses, exchange_index=shard))
        held = matching(mirror.holdings.values(), subaccount=subaccount, exchange_index=shard)
        spent = self._held_back(mirror, subaccount or 0) if self._state.options.is_balance_net else {}
        cash = _cash(asked, spent)
        shown: Json = {
            "balance": cash // 10_000,
            "balance_dollars": exact(cash),
            "portfolio_value": self._value(held) // 10_000,
            "updated_ts": max((purse.updated for purse in asked), default=call.now) // 1000,
        }
        if call.lock is None:
            shown["balance_breakdown"] = [
                {"exchange_index": index, "balance": exact(_cash(matching(purses, exchange_index=index), spent))}
                for index in range(self._state.options.shards)
            ]
        return shown

    # -- parts --

    def _order(self, call: RouteCall, order: OrderRecord) -> Json:
        return shapes.order_json(order, self._member(call).record.user_id, self._state.options.asks_read_as)

    def _held_back(self, mirror: DelayedView, subaccount: int) -> dict[int, int]:
        """Return the cash that the resting orders of a subaccount need, by shard."""
        orders: dict[str, list[OrderRecord]] = {}
        for order in matching(mirror.resting.values(), subaccount=subaccount):
            orders.setdefault(order.ticker, []).append(order)
        found: dict[int, int] = {}
        for ticker, resting in orders.items():
            holding = mirror.holdings.get((subaccount, ticker))
            need = collateral(resting, holding.qty if holding else Qty(0), self._state.terms(ticker))
            shard = resting[0].exchange_index
            found[shard] = found.get(shard, 0) + need
        return found

    def _value(self, holdings: Iterable[PositionRecord]) -> Money:
        """Value positions at the last price: 2 contracts at 0.99 were shown as 198 cents (recorded in June 2026)."""
        total = 0
        for holding in holdings:
            last = self._state.markets[holding.ticker].last
            if holding.qty and last is not None:
                price = last if holding.qty > 0 else Price(ONE_DOLLAR - last)
                total += notional(price, Qty(abs(holding.qty)))
        return Money(total)


def exact(money: Money) -> str:
    """Return dollars with the precision of a balance, rounded down."""
    return format_money(Money(money // 100 * 100))[:-2]


def _cash(purses: Iterable[BalanceRecord], spent: dict[int, int]) -> Money:
    """Add up the cash of purses, less what is spent on the shard of each."""
    return Money(sum(purse.cash - spent.get(purse.exchange_index, 0) for purse in purses))
