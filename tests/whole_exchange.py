"""The whole exchange, as tables: what of the specification is left out and why, what is still to come, every call.

Whoever adds a method to the client adds a line to CALLS; `test_whole_exchange` fails until it is there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from conformance import Operation
from virtual import DAY_MS, OTHER, T0, TICKER, Virtual

from kalshi_cli.core.model import BID, Order, OrderStatus
from kalshi_cli.exchange.calls import Calls
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.sim.listing import SimOptions
from kalshi_cli.units import Ts, cents, contracts, dollars

EXCLUDED = {
    "POST /api_keys": "a key is made on the web site, where its owner is; none of ours can make more",
    "POST /api_keys/generate": "as above; the private key would pass through this program",
    "DELETE /api_keys/{api_key}": "as above",
    "GET /fcm/orders": "for futures commission merchants only",
    "GET /fcm/positions": "for futures commission merchants only",
}
"""Operations that neither the client nor the simulated exchange has, and why."""

TO_COME: dict[str, str] = {
    "methods": "all",
    "call DELETE /communications/quotes/{quote_id}": "E",
    "call DELETE /communications/rfqs/{rfq_id}": "E",
    "call DELETE /communications/rfqs/{rfq_id}/quotes/{quote_id}": "E",
    "call DELETE /portfolio/events/orders/batched": "AB",
    "call DELETE /portfolio/order_groups/{order_group_id}": "AB",
    "call GET /communications/block-trade-proposals": "E",
    "call GET /communications/id": "E",
    "call GET /communications/quotes": "E",
    "call GET /communications/quotes/{quote_id}": "E",
    "call GET /communications/rfqs": "E",
    "call GET /communications/rfqs/{rfq_id}": "E",
    "call GET /communications/rfqs/{rfq_id}/quotes/{quote_id}": "E",
    "call GET /events": "D",
    "call GET /events/fee_changes": "D",
    "call GET /events/multivariate": "E",
    "call GET /events/{event_ticker}/metadata": "D",
    "call GET /historical/cutoff": "D",
    "call GET /historical/fills": "D",
    "call GET /historical/markets": "D",
    "call GET /historical/markets/{ticker}": "D",
    "call GET /historical/markets/{ticker}/candlesticks": "D",
    "call GET /historical/orders": "D",
    "call GET /historical/positions": "D",
    "call GET /historical/trades": "D",
    "call GET /incentive_programs": "E",
    "call GET /live_data/batch": "E",
    "call GET /live_data/events/{event_ticker}": "E",
    "call GET /live_data/milestone/{milestone_id}": "E",
    "call GET /live_data/milestone/{milestone_id}/game_stats": "E",
    "call GET /live_data/weather/{city}": "E",
    "call GET /live_data/weather/{city}/calibrations": "E",
    "call GET /live_data/{type}/milestone/{milestone_id}": "E",
    "call GET /markets/candlesticks": "D",
    "call GET /milestones": "E",
    "call GET /milestones/{milestone_id}": "E",
    "call GET /multivariate_event_collections": "E",
    "call GET /multivariate_event_collections/{collection_ticker}": "E",
    "call GET /portfolio/order_groups": "AB",
    "call GET /portfolio/order_groups/{order_group_id}": "AB",
    "call GET /portfolio/orders/queue_positions": "AB",
    "call GET /portfolio/orders/{order_id}/queue_position": "AB",
    "call GET /search/filters_by_sport": "E",
    "call GET /search/tags_by_categories": "E",
    "call GET /series": "D",
    "call GET /series/fee_changes": "D",
    "call GET /series/{series_ticker}/events/{ticker}/candlesticks": "D",
    "call GET /series/{series_ticker}/events/{ticker}/forecast_percentile_history": "D",
    "call GET /series/{series_ticker}/markets/{ticker}/candlesticks": "D",
    "call GET /structured_targets": "E",
    "call GET /structured_targets/{structured_target_id}": "E",
    "call POST /communications/block-trade-proposals": "E",
    "call POST /communications/block-trade-proposals/{block_trade_proposal_id}/accept": "E",
    "call POST /communications/quotes": "E",
    "call POST /communications/rfqs": "E",
    "call POST /multivariate_event_collections/{collection_ticker}": "E",
    "call POST /portfolio/events/orders/batched": "AB",
    "call POST /portfolio/events/orders/{order_id}/amend": "AB",
    "call POST /portfolio/events/orders/{order_id}/decrease": "AB",
    "call POST /portfolio/order_groups/create": "AB",
    "call PUT /communications/quotes/{quote_id}/accept": "E",
    "call PUT /communications/quotes/{quote_id}/confirm": "E",
    "call PUT /communications/rfqs/{rfq_id}/quotes/{quote_id}/accept": "E",
    "call PUT /communications/rfqs/{rfq_id}/quotes/{quote_id}/confirm": "E",
    "call PUT /portfolio/order_groups/{order_group_id}/limit": "AB",
    "call PUT /portfolio/order_groups/{order_group_id}/reset": "AB",
    "call PUT /portfolio/order_groups/{order_group_id}/trigger": "AB",
    "route DELETE /communications/quotes/{quote_id}": "E",
    "route DELETE /communications/rfqs/{rfq_id}": "E",
    "route DELETE /communications/rfqs/{rfq_id}/quotes/{quote_id}": "E",
    "route DELETE /portfolio/order_groups/{order_group_id}": "AB",
    "route GET /communications/block-trade-proposals": "E",
    "route GET /communications/id": "E",
    "route GET /communications/quotes": "E",
    "route GET /communications/quotes/{quote_id}": "E",
    "route GET /communications/rfqs": "E",
    "route GET /communications/rfqs/{rfq_id}": "E",
    "route GET /communications/rfqs/{rfq_id}/quotes/{quote_id}": "E",
    "route GET /events/{event_ticker}/metadata": "D",
    "route GET /historical/cutoff": "D",
    "route GET /historical/fills": "D",
    "route GET /historical/markets": "D",
    "route GET /historical/markets/{ticker}": "D",
    "route GET /historical/markets/{ticker}/candlesticks": "D",
    "route GET /historical/orders": "D",
    "route GET /historical/positions": "D",
    "route GET /historical/trades": "D",
    "route GET /incentive_programs": "E",
    "route GET /live_data/batch": "E",
    "route GET /live_data/events/{event_ticker}": "E",
    "route GET /live_data/milestone/{milestone_id}": "E",
    "route GET /live_data/milestone/{milestone_id}/game_stats": "E",
    "route GET /live_data/weather/{city}": "E",
    "route GET /live_data/weather/{city}/calibrations": "E",
    "route GET /live_data/{type}/milestone/{milestone_id}": "E",
    "route GET /milestones": "E",
    "route GET /milestones/{milestone_id}": "E",
    "route GET /multivariate_event_collections": "E",
    "route GET /multivariate_event_collections/{collection_ticker}": "E",
    "route GET /portfolio/order_groups": "AB",
    "route GET /portfolio/order_groups/{order_group_id}": "AB",
    "route GET /search/filters_by_sport": "E",
    "route GET /search/tags_by_categories": "E",
    "route GET /series/{series_ticker}/events/{ticker}/candlesticks": "D",
    "route GET /series/{series_ticker}/events/{ticker}/forecast_percentile_history": "D",
    "route GET /series/{series_ticker}/markets/{ticker}/candlesticks": "D",
    "route GET /structured_targets": "E",
    "route GET /structured_targets/{structured_target_id}": "E",
    "route POST /communications/block-trade-proposals": "E",
    "route POST /communications/block-trade-proposals/{block_trade_proposal_id}/accept": "E",
    "route POST /communications/quotes": "E",
    "route POST /communications/rfqs": "E",
    "route POST /multivariate_event_collections/{collection_ticker}": "E",
    "route POST /portfolio/events/orders/{order_id}/amend": "AB",
    "route POST /portfolio/events/orders/{order_id}/decrease": "AB",
    "route POST /portfolio/order_groups/create": "AB",
    "route PUT /communications/quotes/{quote_id}/accept": "E",
    "route PUT /communications/quotes/{quote_id}/confirm": "E",
    "route PUT /communications/rfqs/{rfq_id}/quotes/{quote_id}/accept": "E",
    "route PUT /communications/rfqs/{rfq_id}/quotes/{quote_id}/confirm": "E",
    "route PUT /portfolio/order_groups/{order_group_id}/limit": "AB",
    "route PUT /portfolio/order_groups/{order_group_id}/reset": "AB",
    "route PUT /portfolio/order_groups/{order_group_id}/trigger": "AB",
    "frame multivariate_market_lifecycle": "E",
    "frame order_group_updates": "A",
    "frame quote_accepted": "E",
    "frame quote_created": "E",
    "frame quote_executed": "E",
    "frame rfq_created": "E",
    "frame rfq_deleted": "E",
    "channel communications": "E",
    "channel multivariate_market_lifecycle": "E",
    "channel order_group_updates": "A",
}
"""What is missing yet -> which part of issue 3 is at it: `route METHOD PATH`, `call METHOD PATH`, `frame TYPE`,
`channel NAME`, and `methods` while calls are being added to the client. Empty in the end."""

A_UUID = "11111111-2222-4333-8444-555555555555"

NOT_CALLS = {"close", "request", "refresh_limits", "clock_skew_ms", "notices"}
"""Public names of the client that are no call of their own."""


class Stage:
    """A small exchange in which there is one of everything, and a client whose every request is checked."""

    def __init__(self, folder: Path) -> None:
        self.world = Virtual(folder, options=SimOptions(read_rate=100_000, write_rate=100_000, shards=2))
        self.client = self.world.client
        self.world.market()
        self.world.quote(BID, 30, who="alice")
        self.world.take(BID, 44, 5)
        self.world.clock.advance(1.0)

    @property
    def seen(self) -> set[Operation]:
        """What the client asked for."""
        return self.world.checked.seen

    def resting(self) -> Order:
        """An order of the client's, on the book."""
        accepted = self.client.create_order(self.new_order())
        return self.client.order(accepted.order_id)

    def subaccount(self) -> int:
        """The number of a new one; it needs the Advanced tier."""
        self.client.upgrade_tier()
        return self.client.create_subaccount()

    def transfer(self) -> str:
        """The id of a transfer to the other shard."""
        return self.client.transfer_to_shard(dollars(1), from_shard=0, to_shard=1, client_transfer_id=A_UUID)

    def new_order(self) -> Order:
        now = self.world.clock.now()
        return Order(
            client_order_id=self.world.new_id(),
            ticker=TICKER,
            side=BID,
            price=cents(20),
            qty=contracts(5),
            status=OrderStatus.SUBMITTED,
            created=now,
            updated=now,
            expires=Ts(T0 + DAY_MS // 2),
        )


CALLS: dict[str, Callable[[Stage], object]] = {
    # status
    "exchange_status": lambda s: s.client.exchange_status(),
    "schedule": lambda s: s.client.schedule(),
    "user_data_timestamp": lambda s: s.client.user_data_timestamp(),
    "limits": lambda s: s.client.limits(),
    "endpoint_costs": lambda s: s.client.endpoint_costs(),
    # markets
    "markets": lambda s: [*s.client.markets(status="open"), *s.client.markets(tickers=[TICKER, OTHER])],
    "market": lambda s: s.client.market(TICKER),
    "event": lambda s: s.client.event("KXSIM-26JUN"),
    "series": lambda s: s.client.series("KXSIM"),
    "orderbook": lambda s: s.client.orderbook(TICKER, depth=3),
    "orderbooks": lambda s: s.client.orderbooks([TICKER, OTHER]),
    "trades": lambda s: s.client.trades(TICKER, min_ts=T0),
    # orders
    "create_order": lambda s: s.client.create_order(s.new_order()),
    "cancel_order": lambda s: s.client.cancel_order(s.resting()),
    "cancel_all": lambda s: s.client.cancel_all(),
    "orders": lambda s: s.client.orders(status="resting", ticker=TICKER, min_ts=T0),
    "order": lambda s: s.client.order(s.resting().order_id),
    # portfolio
    "fills": lambda s: s.client.fills(TICKER, T0),
    "positions": lambda s: s.client.positions(),
    "settlements": lambda s: s.client.settlements(T0),
    "balance": lambda s: s.client.balance(),
    "payouts": lambda s: s.client.payouts(TICKER, "KXSIM-26JUN", T0),
    # funds
    "subaccount_balances": lambda s: s.client.subaccount_balances(),
    "create_subaccount": lambda s: s.subaccount(),
    "netting": lambda s: s.client.netting(),
    "set_netting": lambda s: s.client.set_netting(0, enabled=False),
    "transfer_to_subaccount": lambda s: s.client.transfer_to_subaccount(
        dollars(1), client_transfer_id=A_UUID, from_subaccount=0, to_subaccount=s.subaccount()
    ),
    "subaccount_transfers": lambda s: (CALLS["transfer_to_subaccount"](s), s.client.subaccount_transfers())[1],
    "transfer_to_shard": lambda s: s.transfer(),
    "shard_transfers": lambda s: (s.transfer(), s.client.shard_transfers())[1],
    "shard_transfer": lambda s: s.client.shard_transfer(s.transfer()),
    "allocation": lambda s: s.client.allocation(),
    "set_allocation": lambda s: s.client.set_allocation({0: 60, 1: 40}, "max"),
    "resting_value": lambda s: s.client.resting_value(),
    "deposits": lambda s: s.client.deposits(),
    "withdrawals": lambda s: (s.world.exchange.withdraw("alice", dollars(1)), s.client.withdrawals())[1],
    "api_keys": lambda s: s.client.api_keys(),
    "volume_progress": lambda s: s.client.volume_progress(),
    "upgrade_tier": lambda s: s.client.upgrade_tier(),
}
"""Every method of the client, called as a user would. Lists are read to their end."""


class Driven(NamedTuple):
    """What one call asked for, and what went wrong."""

    seen: set[Operation]
    error: str


@cache
def driven(name: str) -> Driven:
    """Call one method on a stage of its own."""
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            found = CALLS[name](stage)
            if isinstance(found, Iterator):
                list(found)
        except Exception as error:
            return Driven(stage.seen, f"{type(error).__name__}: {error}")
        finally:
            stage.world.close()
    return Driven(stage.seen, "")


def client_methods() -> set[str]:
    """Every public name of the client that is a call."""
    groups = [group for group in KalshiClient.__mro__ if issubclass(group, Calls)]
    return {name for group in groups for name in vars(group) if not name.startswith("_")} - NOT_CALLS
