"""The routes that change an order which rests, and of places in the queue (API.md sections 5.6 and 5.7)."""

from __future__ import annotations

from kalshi_cli.base.units import Ts, format_qty
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.protocol.replies import Json, RejectionError, invalid
from kalshi_cli.simulator.protocol.routing import RouteCall, decode_body, private, write
from kalshi_cli.simulator.rest.order_writes import Fields, FloorRoutes, read_count, read_price, receipt_json
from kalshi_cli.simulator.trading.amends import KEEP, Amendment, OrderAmends
from kalshi_cli.simulator.trading.order_gateway import OrderGateway, Pocket

_ORDER = "/portfolio/events/orders/:order_id"


class ChangeRoutes(FloorRoutes):
    """Orders are amended and decreased."""

    def __init__(self, state: SimulatorState, floor: OrderGateway) -> None:
        super().__init__(state, floor)
        self._amends = OrderAmends(state, floor)

    @write("POST", f"{_ORDER}/amend", "AmendOrderV2", is_routed=True)
    def amend(self, call: RouteCall) -> Json:
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
            ticker = found.ticker  # the mismatch is told, not hidden behind a 404 of another shard
        outcome = self._amends.amend(call.caller, call.path[0], wish, call.now, self._pocket(call, fields, ticker))
        shown = receipt_json(outcome.receipt)
        if not outcome.has_counts:
            shown = {name: value for name, value in shown.items() if name in ("order_id", "client_order_id", "ts_ms")}
        return shown

    @write("POST", f"{_ORDER}/decrease", "DecreaseOrderV2", is_routed=True)
    def decrease(self, call: RouteCall) -> Json:
        fields = Fields(decode_body(call.body), "DecreaseOrderV2Request")
        by, to = fields.text("reduce_by", is_required=False), fields.text("reduce_to", is_required=False)
        if bool(by) is bool(to):
            raise invalid("exactly one of reduce_by and reduce_to")
        count = read_count(by or to)
        if count < 0 or (by and count == 0):
            raise RejectionError(400, "invalid_order_size")
        taken, left = (count, None) if by else (None, count)
        pocket = self._pocket(call, fields, fields.text("market_ticker", is_required=False))
        order = self._amends.decrease(call.caller, call.path[0], call.now, taken, left, pocket)
        shown: Json = {"order_id": order.order_id, "remaining_count": format_qty(order.remaining), "ts_ms": call.now}
        return shown | ({"client_order_id": order.client_order_id} if order.client_order_id else {})

    def _pocket(self, call: RouteCall, fields: Fields, ticker: str) -> Pocket:
        """The subaccount is in the query, the shard in the body: by name, or by the market."""
        return call.subaccount(0) or 0, self.shard(fields.whole("exchange_index"), ticker)

    @private("/portfolio/orders/queue_positions", "GetOrderQueuePositions")
    def queue_positions(self, call: RouteCall) -> Json:
        """The places of all resting orders of one subaccount, as the matching engine has them."""
        query, owner = call.query, call.subaccount(0)
        tickers, event = query.many("market_tickers"), query.text("event_ticker")
        resting = {order.order_id: order.ticker for order in self._member(call).orders(None, owner)}
        shown = []
        for ticker in dict.fromkeys(resting.values()):
            spec = self._state.markets[ticker].spec
            if (tickers and ticker not in tickers) or event not in (None, spec.event_ticker):
                continue
            for order, ahead in self._state.books[ticker].queue():
                if order.order_id in resting:
                    place = {"market_ticker": ticker, "queue_position_fp": format_qty(ahead)}
                    shown.append({"order_id": order.order_id} | place)
        return {"queue_positions": shown}
