"""The routes that amend and decrease resting orders, and the queue positions (API.md sections 5.6 and 5.7)."""

from __future__ import annotations

from kalshi_cli.base.units import Ts, format_qty
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.protocol.replies import Json, RejectionError, invalid
from kalshi_cli.simulator.protocol.routing import RouteCall, decode_body, private, write
from kalshi_cli.simulator.protocol.shapes import show
from kalshi_cli.simulator.rest.order_writes import Fields, GatewayRoutes, read_count, read_price, receipt_json
from kalshi_cli.simulator.trading.amends import KEEP, Amendment, OrderAmends
from kalshi_cli.simulator.trading.order_gateway import BalanceKey, OrderGateway

_ORDER = "/portfolio/events/orders/:order_id"


class ChangeRoutes(GatewayRoutes):
    """Routes that amend and decrease orders."""

    def __init__(self, state: SimulatorState, gateway: OrderGateway) -> None:
        super().__init__(state, gateway)
        self._amends = OrderAmends(state, gateway)

    @write("POST", f"{_ORDER}/amend", "AmendOrderV2", is_routed=True)
    def amend(self, call: RouteCall) -> Json:
        """Amend an order."""
        fields = Fields(decode_body(call.body), "AmendOrderV2Request")
        expires, ticker = fields.whole("expiration_time"), fields.text("ticker")
        wish = Amendment(
            ticker=ticker,
            side=fields.choice("side", Side),
            price=read_price(fields.text("price")),
            qty=read_count(fields.text("count")),
            expires=KEEP if expires is None else Ts(expires * 1000) or None,
            client_order_id=fields.text("client_order_id", is_required=False),
            updated_client_order_id=fields.text("updated_client_order_id", is_required=False),
        )
        found = self._state.live.get(call.path[0])
        if found is not None and found.account == call.caller and fields.whole("exchange_index") is None:
            ticker = found.ticker  # report the mismatch instead of a 404 for another shard
        outcome = self._amends.amend(call.caller, call.path[0], wish, call.now, self._balance_key(call, fields, ticker))
        shown = receipt_json(outcome.receipt)
        if not outcome.has_counts:
            shown = {name: value for name, value in shown.items() if name in ("order_id", "client_order_id", "ts_ms")}
        return shown

    @write("POST", f"{_ORDER}/decrease", "DecreaseOrderV2", is_routed=True)
    def decrease(self, call: RouteCall) -> Json:
        """Decrease an order."""
        fields = Fields(decode_body(call.body), "DecreaseOrderV2Request")
        by, to = fields.text("reduce_by", is_required=False), fields.text("reduce_to", is_required=False)
        if bool(by) is bool(to):
            raise invalid("exactly one of reduce_by and reduce_to")
        count = read_count(by or to)
        if count < 0 or (by and count == 0):
            raise RejectionError(400, "invalid_order_size")
        taken, left = (count, None) if by else (None, count)
        key = self._balance_key(call, fields, fields.text("market_ticker", is_required=False))
        order = self._amends.decrease(call.caller, call.path[0], call.now, taken, left, key)
        return show(order, "order_id remaining_count", "client_order_id") | {"ts_ms": call.now}

    def _balance_key(self, call: RouteCall, fields: Fields, ticker: str) -> BalanceKey:
        """Return the subaccount (in the query) and the shard (in the body, by number or by market)."""
        return call.subaccount(0) or 0, self.shard(fields.whole("exchange_index"), ticker)

    @private("/portfolio/orders/queue_positions", "GetOrderQueuePositions")
    def queue_positions(self, call: RouteCall) -> Json:
        """Return the queue positions of all resting orders of one subaccount, without the lag of other reads."""
        query, owner = call.query, call.subaccount(0)
        tickers, event = query.many("market_tickers"), query.text("event_ticker")
        resting = {order.order_id: order.ticker for order in self._member(call).orders(None, owner)}
        found = (
            (order, ahead)
            for ticker in dict.fromkeys(resting.values())
            if (not tickers or ticker in tickers) and event in (None, self._state.markets[ticker].spec.event_ticker)
            for order, ahead in self._state.books[ticker].queue()
        )
        return {
            "queue_positions": [
                show(order, "order_id market_ticker") | {"queue_position_fp": format_qty(ahead)}
                for order, ahead in found
                if order.order_id in resting
            ]
        }
