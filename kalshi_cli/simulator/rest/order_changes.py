"""The routes that change an order which rests, and of places in the queue (API.md sections 5.6 and 5.7)."""

from __future__ import annotations

from collections.abc import Callable

from kalshi_cli.base.units import Ts, format_qty
from kalshi_cli.core.model.order_terms import Side
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.listing import OrderRejection
from kalshi_cli.simulator.protocol.replies import Json, nested, refused
from kalshi_cli.simulator.protocol.routing import Route, RouteCall, decode_body
from kalshi_cli.simulator.rest.order_writes import Fields, Writes, read_count, read_price, receipt_json
from kalshi_cli.simulator.trading.amends import KEEP, Amendment, OrderAmends
from kalshi_cli.simulator.trading.order_gateway import OrderGateway, Pocket

_ORDER = "/portfolio/events/orders/:order_id"


class ChangeRoutes:
    """Every method answers the body of a 200."""

    def __init__(self, state: SimulatorState, floor: OrderGateway) -> None:
        self._state = state
        self._amends = OrderAmends(state, floor)
        self._writes = Writes(state, floor)

    def routes(self) -> list[Route]:
        """The table of these endpoints."""

        def write(path: str, operation: str, answer: Callable[[RouteCall], Json]) -> Route:
            return Route("POST", f"{_ORDER}/{path}", operation, answer, is_private=True, is_write=True, is_routed=True)

        queue = "/portfolio/orders/queue_positions"
        return [
            write("amend", "AmendOrderV2", self.amend),
            write("decrease", "DecreaseOrderV2", self.decrease),
            Route("GET", queue, "GetOrderQueuePositions", self.queue_positions, is_private=True),
        ]

    def amend(self, call: RouteCall) -> Json:
        assert call.account is not None
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
        if found is not None and found.account == call.account and fields.whole("exchange_index") is None:
            ticker = found.ticker  # the mismatch is told, not hidden behind a 404 of another shard
        outcome = self._amends.amend(call.account, call.path[0], wish, call.now, self._pocket(call, fields, ticker))
        if isinstance(outcome, OrderRejection):
            raise refused(outcome)
        shown = receipt_json(outcome.receipt)
        if not outcome.has_counts:
            shown = {name: value for name, value in shown.items() if name in ("order_id", "client_order_id", "ts_ms")}
        return shown

    def decrease(self, call: RouteCall) -> Json:
        assert call.account is not None
        fields = Fields(decode_body(call.body), "DecreaseOrderV2Request")
        by, to = fields.text("reduce_by", is_required=False), fields.text("reduce_to", is_required=False)
        if bool(by) is bool(to):
            raise nested(400, "invalid_parameters", "exactly one of reduce_by and reduce_to")
        count = read_count(by or to)
        if count < 0 or (by and count == 0):
            raise nested(400, "invalid_order_size")
        outcome = self._amends.decrease(
            call.account,
            call.path[0],
            call.now,
            by=count if by else None,
            to=count if to else None,
            pocket=self._pocket(call, fields, fields.text("market_ticker", is_required=False)),
        )
        if isinstance(outcome, OrderRejection):
            raise refused(outcome)
        shown: Json = {
            "order_id": outcome.order_id,
            "remaining_count": format_qty(outcome.remaining),
            "ts_ms": call.now,
        }
        if outcome.client_order_id:
            shown["client_order_id"] = outcome.client_order_id
        return shown

    def _pocket(self, call: RouteCall, fields: Fields, ticker: str) -> Pocket:
        """The subaccount is in the query, the shard in the body: by name, or by the market."""
        return call.subaccount(0) or 0, self._writes.shard(fields.whole("exchange_index"), ticker)

    def queue_positions(self, call: RouteCall) -> Json:
        """The places of all resting orders of one subaccount, as the matching engine has them."""
        assert call.account is not None
        query, owner = call.query, call.subaccount(0)
        tickers, event = query.many("market_tickers"), query.text("event_ticker")
        resting = {order.order_id: order.ticker for order in self._state.members[call.account].orders(None, owner)}
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
