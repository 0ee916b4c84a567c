"""The whole exchange, as tables: what of the specification is left out and why, and every call.

Whoever adds a method to the client adds a line to CALLS; `test_whole_exchange` fails until it is there.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec
from conformance import Operation
from talk_stage import TALK_CALLS
from virtual import DAY_MS, OTHER, T0, TICKER, Virtual

from kalshi_cli.base.units import Ts, cents, contracts, dollars
from kalshi_cli.core.model.messages import AmendEnded
from kalshi_cli.core.model.order_terms import BID, Tif
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.endpoints.base import Calls
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.sim.listing import SimOptions

EXCLUDED = {
    "POST /api_keys": "a key is made on the web site, where its owner is; none of ours can make more",
    "POST /api_keys/generate": "as above; the private key would pass through this program",
    "DELETE /api_keys/{api_key}": "as above",
    "GET /fcm/orders": "for futures commission merchants only",
    "GET /fcm/positions": "for futures commission merchants only",
}
"""Operations that neither the client nor the simulated exchange has, and why."""

A_UUID = "11111111-2222-4333-8444-555555555555"

NOT_CALLS = {
    "close", "request", "refresh_limits", "pace", "largest_batch",
    "clock_skew_ms", "measure_clock_skew", "latest_there", "notices", "bound_reads", "reading_within", "check_path",
    "whose",
}  # fmt: skip
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

    @property
    def end(self) -> Ts:
        """An hour from the beginning."""
        return Ts(T0 + 3_600_000)

    def old(self) -> KalshiClient:
        """The client, a hundred days after the first market paid out, in which it traded: all of it is history."""
        self.client.create_order(msgspec.structs.replace(self.new_order(), price=cents(44)))
        self.world.exchange.settle(TICKER, cents(0), self.world.clock.now())
        self.world.clock.advance(100.0)
        self.world.exchange.advance(self.world.clock.now())
        self.world.clock.advance(100 * 86_400.0)
        return self.client

    def amended(self) -> AmendEnded:
        """An order of the client's, at another price."""
        before = self.resting()
        return self.client.amend_order(before, msgspec.structs.replace(before, price=cents(21)))

    def group(self) -> OrderGroup:
        """A new one, on the other shard."""
        return self.client.create_order_group(contracts(100), exchange_index=1)

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
    "event_page": lambda s: s.client.event_page("", "open"),
    "market_page": lambda s: s.client.market_page("", "open"),
    "events": lambda s: s.client.events("open", "KXSIM", min_close=T0, min_updated=T0, with_markets=True),
    "multivariate_events": lambda s: s.client.multivariate_events("KXSIM", with_markets=True),
    "event_metadata": lambda s: s.client.event_metadata("KXSIM-26JUN"),
    "event_fee_changes": lambda s: s.client.event_fee_changes("KXSIM-26JUN"),
    "series_list": lambda s: s.client.series_list("Financials", "Tag", T0, with_volume=True, with_metadata=True),
    "series_fee_changes": lambda s: s.client.series_fee_changes("KXSIM", with_past=True),
    "forecast_history": lambda s: s.client.forecast_history("KXSIM", "KXSIM-26JUN", [5000, 9000], T0, s.end, 60),
    # history
    "historical_cutoff": lambda s: s.client.historical_cutoff(),
    "candles": lambda s: s.client.candles("KXSIM", TICKER, T0, s.end, 1, with_previous=True),
    "batch_candles": lambda s: s.client.batch_candles([TICKER, OTHER], T0, s.end, 60, with_previous=True),
    "event_candles": lambda s: s.client.event_candles("KXSIM", "KXSIM-26JUN", T0, s.end, 1440),
    "historical_candles": lambda s: s.old().historical_candles(TICKER, T0, s.end, 60),
    "historical_markets": lambda s: s.old().historical_markets(series="KXSIM"),
    "historical_markets_of": lambda s: s.old().historical_markets_of("KXSIM-26JUN"),
    "historical_market": lambda s: s.old().historical_market(TICKER),
    "historical_trades": lambda s: s.old().historical_trades(TICKER, T0, s.end),
    "historical_fills": lambda s: s.old().historical_fills(TICKER, T0, 0),
    "historical_orders": lambda s: s.old().historical_orders(TICKER, T0, 0),
    "historical_positions": lambda s: s.old().historical_positions(TICKER, "KXSIM-26JUN", 0),
    "all_trades": lambda s: s.old().all_trades(TICKER),
    "all_fills": lambda s: s.old().all_fills(),
    "all_orders": lambda s: s.old().all_orders(event="KXSIM-26JUN"),
    "all_positions": lambda s: s.old().all_positions(),
    "all_candles": lambda s: s.client.all_candles(s.old().market(TICKER), T0, s.end, 60),
    # orders
    "create_order": lambda s: s.client.create_order(s.new_order()),
    "close_order": lambda s: s.client.close_order(
        msgspec.structs.replace(s.new_order(), tif=Tif.IOC, reduce_only=True, expires=None)
    ),
    "cancel_order": lambda s: s.client.cancel_order(s.resting()),
    "cancel_all": lambda s: s.client.cancel_all(),
    "orders": lambda s: s.client.orders(status="resting", ticker=TICKER, min_ts=T0),
    "order": lambda s: s.client.order(s.resting().order_id),
    "create_orders": lambda s: s.client.create_orders([s.new_order(), s.new_order()]),
    "cancel_orders": lambda s: s.client.cancel_orders([s.resting(), s.resting()]),
    "amend_order": lambda s: s.amended(),
    "decrease_order": lambda s: s.client.decrease_order(s.resting(), to=contracts(2)),
    "queue_position": lambda s: s.client.queue_position(s.resting().order_id),
    "queue_positions": lambda s: (s.resting(), s.client.queue_positions([TICKER, OTHER]))[1],
    # order groups
    "create_order_group": lambda s: s.group(),
    "order_groups": lambda s: (s.group(), s.client.order_groups())[1],
    "order_group": lambda s: s.client.order_group(s.group().group_id),
    "limit_order_group": lambda s: s.client.limit_order_group(s.group(), contracts(9)),
    "trigger_order_group": lambda s: s.client.trigger_order_group(s.group()),
    "reset_order_group": lambda s: s.client.reset_order_group(s.group()),
    "delete_order_group": lambda s: s.client.delete_order_group(s.group()),
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
    **TALK_CALLS,
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
