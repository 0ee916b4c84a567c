"""REST bodies of the account: positions, balance, settlements, limits, API keys."""

from __future__ import annotations

from functools import partial
from typing import Annotated, NamedTuple

import msgspec
from msgspec import field

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, cents, parse_money
from kalshi_cli.core.model.positions import Balance, ExchangePosition, Settlement
from kalshi_cli.exchange.wire import values


# -- positions, balance, settlements ------------------------------------------------------------------------------
class _Position(msgspec.Struct, gc=False):
    ticker: str
    position: Annotated[str, values.Unit(values.count)] = field(name="position_fp")
    traded: values.Dollars = field(name="total_traded_dollars")
    exposure: values.Dollars = field(name="market_exposure_dollars")
    realized: values.Dollars = field(name="realized_pnl_dollars")
    fees: values.Dollars = field(name="fees_paid_dollars")
    updated: values.Moment = field(name="last_updated_ts")


class _Balance(msgspec.Struct):
    cash: values.Dollars = field(name="balance_dollars")  # `balance` is the same in whole cents, cut off
    portfolio_value: values.Cents
    ts: values.Seconds = field(name="updated_ts")
    balance_breakdown: list[values.ShardAmount] | None = None


class _Settlement(msgspec.Struct, gc=False):
    ticker: str
    event_ticker: str
    result: str = field(name="market_result")
    yes_qty: values.Count = field(name="yes_count_fp")
    no_qty: values.Count = field(name="no_count_fp")
    revenue: values.Cents
    ts: values.Moment = field(name="settled_time")
    fee: values.Dollars = field(name="fee_cost")
    value: int | None = None
    yes_total_cost_dollars: str | None = None
    no_total_cost_dollars: str | None = None
    exchange_index: int = 0


def _balance(wire: _Balance) -> Balance:
    return values.convert(Balance, wire, shards=values.by_shard(wire.balance_breakdown))


def _payout(wire: _Settlement) -> Price:
    if wire.value is None:
        known = {"yes": ONE_DOLLAR, "no": Price(0)}.get(wire.result)
        if known is None:
            raise ValueError(f"settlement of {wire.ticker}: result {wire.result[:20]!r} without a value")
        return known
    if not 0 <= wire.value <= 100:
        raise ValueError(f"settlement of {wire.ticker}: a value of {wire.value} cents")
    return cents(wire.value)


def _settlement(wire: _Settlement) -> Settlement:
    return values.convert(Settlement, wire, value=_payout(wire))


read_positions = values.paged(
    "market_positions", _Position, partial(values.convert, ExchangePosition), "positions", is_required=True
)
"""`GET /portfolio/positions`."""
read_balance = values.whole(_Balance, _balance, "the balance")
"""`GET /portfolio/balance`."""
read_settlements = values.paged("settlements", _Settlement, _settlement, "settlements", is_required=True)
"""`GET /portfolio/settlements`."""


class Payout(NamedTuple):
    """A settlement with the cost of its contracts, for display."""

    settlement: Settlement
    yes_cost: Money | None
    no_cost: Money | None
    exchange_index: int


def _paid(wire: _Settlement) -> Payout:
    costs = (wire.yes_total_cost_dollars, wire.no_total_cost_dollars)
    yes, no = (None if cost is None else parse_money(cost) for cost in costs)
    return Payout(_settlement(wire), yes, no, wire.exchange_index)


read_payouts = values.paged("settlements", _Settlement, _paid, "settlements", is_required=True)
"""`GET /portfolio/settlements`, with the costs."""


# -- limits -------------------------------------------------------------------------------------------------------
class TokenBucketLimits(msgspec.Struct, frozen=True):
    """A token bucket of the exchange: tokens per second, and its capacity."""

    refill_rate: int
    bucket_capacity: int


class Grant(msgspec.Struct, frozen=True):
    """A tier granted to the account, by volume or manually, until `expires_ts` (Unix seconds) or permanently."""

    exchange_instance: str
    level: str
    source: str
    expires_ts: int | None = None


class ApiLimits(msgspec.Struct, frozen=True):
    """Rate limits of the account (`GET /account/limits`)."""

    usage_tier: str
    read: TokenBucketLimits
    write: TokenBucketLimits
    grants: tuple[Grant, ...] = ()


class EndpointCost(msgspec.Struct, frozen=True):
    """Tokens that a request costs. Path parameters are written `:name`."""

    method: str
    path: str
    cost: int


class RequestCosts(msgspec.Struct, frozen=True, rename={"default": "default_cost", "exceptions": "endpoint_costs"}):
    """Request costs (`GET /account/endpoint_costs`): the default and its exceptions."""

    default: int
    exceptions: tuple[EndpointCost, ...]


def _limits(limits: ApiLimits) -> ApiLimits:
    if min(limits.read.refill_rate, limits.read.bucket_capacity) < 1:
        raise ValueError("a read limit of zero")
    if min(limits.write.refill_rate, limits.write.bucket_capacity) < 1:
        raise ValueError("a write limit of zero")
    return limits


def _costs(costs: RequestCosts) -> RequestCosts:
    if costs.default < 0 or any(each.cost < 0 for each in costs.exceptions):
        raise ValueError("a negative cost")
    return costs


read_limits = values.whole(ApiLimits, _limits, "the rate limits")
"""`GET /account/limits`."""
read_costs = values.whole(RequestCosts, _costs, "the endpoint costs")
"""`GET /account/endpoint_costs`."""


class ApiKey(msgspec.Struct, frozen=True):
    """A key of the account. With a `subaccount` it may use that one only."""

    api_key_id: str
    name: str
    scopes: tuple[str, ...]
    subaccount: int | None = None


class ApiKeys(msgspec.Struct, frozen=True):
    """All API keys.

    After `region_expires` they cannot trade sports, elections and entertainment; None: never attested.
    """

    keys: tuple[ApiKey, ...] = field(name="api_keys")
    region_expires: values.OptionalTsOfSeconds = field(name="api_key_region_expiration_ts")


class TierVolumeGoal(msgspec.Struct, frozen=True):
    """Contracts in thirty days that earn a tier, and that keep it."""

    level: str
    earn: values.QtyOfCount = field(name="earn_volume_goal_fp")
    keep: values.QtyOfCount = field(name="keep_volume_goal_fp")


class VolumeProgress(msgspec.Struct, frozen=True):
    """Contracts traded in the thirty days before `computed`, and the goals of the tiers."""

    computed: values.TsOfSeconds = field(name="computed_ts")
    volume: values.QtyOfCount = field(name="trailing_30d_volume_fp")
    goals: Annotated[tuple[TierVolumeGoal, ...], values.many(TierVolumeGoal)]


read_api_keys = values.whole(*values.of(ApiKeys), "the API keys")
"""`GET /api_keys`."""
read_volume_progress = values.listed(
    "volume_progress", *values.of(VolumeProgress), "the volume progress", is_required=True
)
"""`GET /account/api_usage_level/volume_progress`; empty until the exchange has computed it once."""
