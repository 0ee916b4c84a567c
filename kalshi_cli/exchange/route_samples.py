"""Data of `kalshi check schema`: one sample read of every route in use, and the published field list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Ts
from kalshi_cli.core.monitoring.schema_drift import KnownSchema
from kalshi_cli.exchange.client import KalshiClient

FEW = 5
"""Items of a list; where the exchange fixes the page size, its first page is read."""

DAY_MS = 86_400_000


class Sample(NamedTuple):
    """A sample read.

    `take` receives the client, the first item of the response of the route `needs`, and the time. If that route
    returned no item, the sample is skipped. `may_refuse` marks routes that are not open to every key.
    """

    route: str
    take: Callable[[KalshiClient, Any, Ts], object]
    needs: str = ""
    is_private: bool = False
    may_refuse: bool = False


def known_fields() -> KnownSchema:
    """Return the fields of the published specification; `scripts/known_fields.py` writes the list."""
    return msgspec.json.decode(Path(__file__).with_name("known_fields.json").read_bytes(), type=prepared(KnownSchema))


_MARKETS, _EVENT = "GET /markets", "GET /events/{event_ticker}"
_OLD_MARKETS = "GET /historical/markets"
_ORDERS, _GROUPS = "GET /portfolio/orders", "GET /portfolio/order_groups"
_RFQS, _QUOTES = "GET /communications/rfqs", "GET /communications/quotes"
_MILESTONES, _TARGETS = "GET /milestones", "GET /structured_targets"
_COLLECTIONS = "GET /multivariate_event_collections"
_MOVES = "GET /portfolio/intra_exchange_instance_transfers"
_SUBACCOUNTS = "GET /portfolio/subaccounts"

_PUBLIC = (
    Sample("GET /exchange/status", lambda c, _, __: c.exchange_status()),
    Sample("GET /exchange/schedule", lambda c, _, __: c.schedule()),
    Sample("GET /exchange/user_data_timestamp", lambda c, _, __: c.user_data_timestamp()),
    Sample(_MARKETS, lambda c, _, __: c.markets("open", limit=FEW)),
    Sample("GET /markets/{ticker}", lambda c, market, _: c.market(market.ticker), _MARKETS),
    Sample("GET /markets/{ticker}/orderbook", lambda c, market, _: c.orderbook(market.ticker, FEW), _MARKETS),
    Sample("GET /markets/orderbooks", lambda c, market, _: c.orderbooks([market.ticker]), _MARKETS),
    Sample("GET /markets/trades", lambda c, _, __: c.trades(limit=FEW)),
    Sample("GET /events", lambda c, _, __: c.events("open", limit=FEW)),
    Sample(_EVENT, lambda c, market, _: c.event(market.event_ticker, with_markets=True), _MARKETS),
    Sample("GET /events/{event_ticker}/metadata", lambda c, event, _: c.event_metadata(event.event_ticker), _EVENT),
    Sample("GET /events/fee_changes", lambda c, event, _: c.event_fee_changes(event.event_ticker), _EVENT),
    Sample("GET /events/multivariate", lambda c, _, __: c.multivariate_events(limit=FEW)),
    Sample("GET /series/{series_ticker}", lambda c, event, _: c.series(event.series_ticker), _EVENT),
    Sample("GET /series/fee_changes", lambda c, event, _: c.series_fee_changes(event.series_ticker), _EVENT),
    Sample(
        "GET /series/{series_ticker}/markets/{ticker}/candlesticks",
        lambda c, event, now: c.candles(event.series_ticker, event.markets[0].ticker, Ts(now - DAY_MS), now, 60),
        _EVENT,
    ),
    Sample(
        "GET /series/{series_ticker}/events/{ticker}/candlesticks",
        lambda c, event, now: c.event_candles(event.series_ticker, event.event_ticker, Ts(now - DAY_MS), now, 60),
        _EVENT,
    ),
    Sample(
        "GET /markets/candlesticks",
        lambda c, market, now: c.batch_candles([market.ticker], Ts(now - DAY_MS), now, 60),
        _MARKETS,
    ),
    Sample("GET /historical/cutoff", lambda c, _, __: c.historical_cutoff()),
    Sample(_OLD_MARKETS, lambda c, _, __: c.historical_markets(limit=FEW)),
    Sample("GET /historical/markets/{ticker}", lambda c, market, _: c.historical_market(market.ticker), _OLD_MARKETS),
    Sample(
        "GET /historical/markets/{ticker}/candlesticks",
        lambda c, market, _: c.historical_candles(market.ticker, Ts(market.close_time - DAY_MS), market.close_time, 60),
        _OLD_MARKETS,
    ),
    Sample("GET /historical/trades", lambda c, _, __: c.historical_trades(limit=FEW)),
    Sample(_COLLECTIONS, lambda c, _, __: c.collections(limit=FEW)),
    Sample(
        f"{_COLLECTIONS}/{{collection_ticker}}", lambda c, found, _: c.collection(found.collection_ticker), _COLLECTIONS
    ),
    Sample(_MILESTONES, lambda c, _, __: c.milestones(limit=FEW)),
    Sample(f"{_MILESTONES}/{{milestone_id}}", lambda c, found, _: c.milestone(found.milestone_id), _MILESTONES),
    Sample("GET /live_data/milestone/{milestone_id}", lambda c, found, _: c.live_data(found.milestone_id), _MILESTONES),
    Sample("GET /live_data/batch", lambda c, found, _: c.live_datas([found.milestone_id]), _MILESTONES),
    Sample("GET /live_data/events/{event_ticker}", lambda c, event, _: c.event_live_data(event.event_ticker), _EVENT),
    Sample(
        "GET /live_data/milestone/{milestone_id}/game_stats",
        lambda c, found, _: c.game_plays(found.milestone_id),
        _MILESTONES,
    ),
    Sample("GET /incentive_programs", lambda c, _, __: c.incentives(limit=FEW)),
    Sample(_TARGETS, lambda c, _, __: c.targets(limit=FEW)),
    Sample(f"{_TARGETS}/{{structured_target_id}}", lambda c, found, _: c.target(found.target_id), _TARGETS),
    Sample("GET /search/tags_by_categories", lambda c, _, __: c.tags()),
    Sample("GET /search/filters_by_sport", lambda c, _, __: c.sport_filters()),
)


def _private(route: str, take: Callable[[KalshiClient, Any, Ts], object], needs: str = "") -> Sample:
    return Sample(route, take, needs, is_private=True)


_PRIVATE = (
    _private("GET /account/api_usage_level/volume_progress", lambda c, _, __: c.volume_progress()),
    _private("GET /portfolio/balance", lambda c, _, __: c.balance()),
    _private("GET /portfolio/positions", lambda c, _, __: c.positions()),
    _private("GET /portfolio/fills", lambda c, _, __: c.fills()),
    _private("GET /portfolio/settlements", lambda c, _, __: c.settlements()),
    _private(_ORDERS, lambda c, _, __: c.orders()),
    _private(f"{_ORDERS}/{{order_id}}", lambda c, order, _: c.order(order.order_id), _ORDERS),
    _private(f"{_ORDERS}/{{order_id}}/queue_position", lambda c, order, _: c.queue_position(order.order_id), _ORDERS),
    _private(f"{_ORDERS}/queue_positions", lambda c, order, _: c.queue_positions([order.ticker]), _ORDERS),
    _private(_GROUPS, lambda c, _, __: c.order_groups()),
    _private(f"{_GROUPS}/{{order_group_id}}", lambda c, group, _: c.order_group(group.group_id), _GROUPS),
    _private("GET /historical/fills", lambda c, _, __: c.historical_fills()),
    _private("GET /historical/orders", lambda c, _, __: c.historical_orders()),
    _private("GET /historical/positions", lambda c, _, __: c.historical_positions()),
    _private("GET /portfolio/deposits", lambda c, _, __: c.deposits(FEW)),
    _private("GET /portfolio/withdrawals", lambda c, _, __: c.withdrawals(FEW)),
    _private(_MOVES, lambda c, _, __: c.shard_transfers(FEW)),
    _private(f"{_MOVES}/{{transfer_id}}", lambda c, found, _: c.shard_transfer(found.transfer_id), _MOVES),
    _private(f"{_SUBACCOUNTS}/balances", lambda c, _, __: c.subaccount_balances()),
    _private(f"{_SUBACCOUNTS}/netting", lambda c, _, __: c.netting()),
    _private(f"{_SUBACCOUNTS}/transfers", lambda c, _, __: c.subaccount_transfers()),
    _private("GET /communications/id", lambda c, _, __: c.communications_id()),
    _private(_RFQS, lambda c, _, __: c.rfqs(limit=FEW)),
    _private(f"{_RFQS}/{{rfq_id}}", lambda c, rfq, _: c.rfq(rfq.rfq_id), _RFQS),
    _private(_QUOTES, lambda c, _, __: c.quotes(limit=FEW)),
    _private(
        f"{_RFQS}/{{rfq_id}}/quotes/{{quote_id}}", lambda c, quote, _: c.quote(quote.quote_id, quote.rfq_id), _QUOTES
    ),
    _private("GET /communications/block-trade-proposals", lambda c, _, __: c.block_trades(limit=FEW)),
    _private("GET /api_keys", lambda c, _, __: c.api_keys())._replace(may_refuse=True),
    _private("GET /portfolio/target_balance_allocation", lambda c, _, __: c.allocation())._replace(may_refuse=True),
    _private("GET /portfolio/summary/total_resting_order_value", lambda c, _, __: c.resting_value())._replace(
        may_refuse=True
    ),
    _private(
        "GET /series/{series_ticker}/events/{ticker}/forecast_percentile_history",
        lambda c, event, now: c.forecast_history(
            event.series_ticker, event.event_ticker, [5000], Ts(now - DAY_MS), now, 60
        ),
        _EVENT,
    )._replace(may_refuse=True),
)

COSTS, LIMITS = "GET /account/endpoint_costs", "GET /account/limits"

SAMPLES = (
    Sample(COSTS, lambda c, _, __: c.endpoint_costs()),
    _private(LIMITS, lambda c, _, __: c.limits()),
    *_PUBLIC,
    *_PRIVATE,
)
"""Every sample; the first two give the rate limits for the others."""

NOT_SAMPLED = {
    "GET /series": "more than ten thousand rows in one response of twenty megabytes",
    "GET /live_data/weather/{city}": "no route lists the cities",
    "GET /live_data/weather/{city}/calibrations": "no route lists the cities",
    "GET /live_data/{type}/milestone/{milestone_id}": "the older twin of /live_data/milestone/{milestone_id}",
    "GET /communications/quotes/{quote_id}": "the older twin of the route that names the RFQ",
}
"""Routes that kalshi can read and the check skips, with the reason."""
