"""The REST bodies of the account: orders, fills, positions, balance, settlements, limits. Strict, as `wire` is."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, cents, parse_money
from kalshi_cli.core.model.positions import Balance, ExchangePosition, Settlement
from kalshi_cli.exchange.wire.values import Moment, Page, count, integer_cents, no_negative, read, seconds, ts_of


# -- positions, balance, settlements ------------------------------------------------------------------------------
class _Position(msgspec.Struct, gc=False):
    ticker: str
    position_fp: str
    total_traded_dollars: str
    market_exposure_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str
    last_updated_ts: Moment


class _PositionsBody(msgspec.Struct):
    market_positions: list[_Position]
    cursor: str | None = None


class _Shard(msgspec.Struct):
    exchange_index: int
    balance: str


class _Balance(msgspec.Struct):
    balance_dollars: str
    portfolio_value: int
    updated_ts: int
    balance_breakdown: list[_Shard] | None = None


class _Settlement(msgspec.Struct, gc=False):
    ticker: str
    event_ticker: str
    market_result: str
    yes_count_fp: str
    no_count_fp: str
    revenue: int
    settled_time: Moment
    fee_cost: str
    value: int | None = None
    yes_total_cost_dollars: str | None = None
    no_total_cost_dollars: str | None = None
    exchange_index: int = 0


class _SettlementsBody(msgspec.Struct):
    settlements: list[_Settlement]
    cursor: str | None = None


def _position(wire: _Position) -> ExchangePosition:
    return ExchangePosition(
        ticker=wire.ticker,
        position=count(wire.position_fp),
        exposure=parse_money(wire.market_exposure_dollars),
        realized=parse_money(wire.realized_pnl_dollars),
        fees=parse_money(wire.fees_paid_dollars),
        traded=parse_money(wire.total_traded_dollars),
        updated=ts_of(wire.last_updated_ts),
    )


def _balance(wire: _Balance) -> Balance:
    return Balance(
        cash=parse_money(wire.balance_dollars),  # `balance` is the same in whole cents, cut off
        portfolio_value=integer_cents(wire.portfolio_value),
        ts=seconds(wire.updated_ts),
        shards={shard.exchange_index: parse_money(shard.balance) for shard in wire.balance_breakdown or ()},
    )


def _payout(wire: _Settlement) -> Price:
    if wire.value is None:
        known = {"yes": ONE_DOLLAR, "no": Price(0)}.get(wire.market_result)
        if known is None:
            raise ValueError(f"settlement of {wire.ticker}: result {wire.market_result[:20]!r} without a value")
        return known
    if not 0 <= wire.value <= 100:
        raise ValueError(f"settlement of {wire.ticker}: a value of {wire.value} cents")
    return cents(wire.value)


def _settlement(wire: _Settlement) -> Settlement:
    return Settlement(
        ticker=wire.ticker,
        event_ticker=wire.event_ticker,
        result=wire.market_result,
        value=_payout(wire),
        yes_qty=no_negative(wire.yes_count_fp),
        no_qty=no_negative(wire.no_count_fp),
        revenue=integer_cents(wire.revenue),
        fee=parse_money(wire.fee_cost),
        ts=ts_of(wire.settled_time),
    )


_positions_body = msgspec.json.Decoder(_PositionsBody)
_balance_body = msgspec.json.Decoder(_Balance)
_settlements_body = msgspec.json.Decoder(_SettlementsBody)


def read_positions(body: bytes) -> Page[ExchangePosition]:
    """`GET /portfolio/positions`."""
    return read(
        _positions_body, lambda w: Page([_position(p) for p in w.market_positions], w.cursor or ""), body, "positions"
    )


def read_balance(body: bytes) -> Balance:
    """`GET /portfolio/balance`."""
    return read(_balance_body, _balance, body, "the balance")


def read_settlements(body: bytes) -> Page[Settlement]:
    """`GET /portfolio/settlements`."""
    return read(
        _settlements_body, lambda w: Page([_settlement(s) for s in w.settlements], w.cursor or ""), body, "settlements"
    )


class Payout(NamedTuple):
    """A settlement with what the contracts had cost: what a person wants to see of it."""

    settlement: Settlement
    yes_cost: Money | None
    no_cost: Money | None
    exchange_index: int

    @property
    def net(self) -> Money | None:
        """What was won or lost, fees included, on what was held to the end."""
        if self.yes_cost is None or self.no_cost is None:
            return None
        return Money(self.settlement.revenue - self.yes_cost - self.no_cost - self.settlement.fee)


def _paid(wire: _Settlement) -> Payout:
    costs = (wire.yes_total_cost_dollars, wire.no_total_cost_dollars)
    yes, no = (None if cost is None else parse_money(cost) for cost in costs)
    return Payout(_settlement(wire), yes, no, wire.exchange_index)


def read_payouts(body: bytes) -> Page[Payout]:
    """`GET /portfolio/settlements`, with the costs."""
    return read(
        _settlements_body, lambda w: Page([_paid(s) for s in w.settlements], w.cursor or ""), body, "settlements"
    )


# -- limits -------------------------------------------------------------------------------------------------------
class Allowance(msgspec.Struct, frozen=True):
    """A token bucket of the exchange: tokens a second, and how many it holds."""

    refill_rate: int
    bucket_capacity: int


class Grant(msgspec.Struct, frozen=True):
    """A tier that the account was given, by volume or by hand; until `expires_ts` (Unix seconds), or for good."""

    exchange_instance: str
    level: str
    source: str
    expires_ts: int | None = None


class Limits(msgspec.Struct, frozen=True):
    """`GET /account/limits`."""

    usage_tier: str
    read: Allowance
    write: Allowance
    grants: tuple[Grant, ...] = ()


class EndpointCost(NamedTuple):
    """What a request takes from its bucket. Path parameters are written `:name`."""

    method: str
    path: str
    cost: int


class Costs(NamedTuple):
    """`GET /account/endpoint_costs`: the rule, and the exceptions from it."""

    default: int
    exceptions: tuple[EndpointCost, ...]


class _Cost(msgspec.Struct):
    method: str
    path: str
    cost: int


class _Costs(msgspec.Struct):
    default_cost: int
    endpoint_costs: list[_Cost]


def _limits(limits: Limits) -> Limits:
    if min(limits.read.refill_rate, limits.read.bucket_capacity) < 1:
        raise ValueError("a read allowance of nothing")
    if min(limits.write.refill_rate, limits.write.bucket_capacity) < 1:
        raise ValueError("a write allowance of nothing")
    return limits


def _costs(wire: _Costs) -> Costs:
    if wire.default_cost < 0 or any(each.cost < 0 for each in wire.endpoint_costs):
        raise ValueError("a negative cost")
    return Costs(wire.default_cost, tuple(EndpointCost(e.method, e.path, e.cost) for e in wire.endpoint_costs))


_limits_body = msgspec.json.Decoder(Limits)
_costs_body = msgspec.json.Decoder(_Costs)


def read_limits(body: bytes) -> Limits:
    """`GET /account/limits`."""
    return read(_limits_body, _limits, body, "the rate limits")


def read_costs(body: bytes) -> Costs:
    """`GET /account/endpoint_costs`."""
    return read(_costs_body, _costs, body, "the endpoint costs")


class ApiKey(msgspec.Struct, frozen=True):
    """A key of the account. `subaccount`, where there is one, is the only one it may touch."""

    api_key_id: str
    name: str
    scopes: tuple[str, ...]
    subaccount: int | None = None


class ApiKeys(msgspec.Struct, frozen=True):
    """All keys. After `region_expires` they cannot trade sports, elections and entertainment; None: never attested."""

    keys: tuple[ApiKey, ...]
    region_expires: Ts | None


class VolumeGoal(msgspec.Struct, frozen=True):
    """Contracts in thirty days that earn a tier, and that keep it."""

    level: str
    earn: Qty
    keep: Qty


class VolumeProgress(msgspec.Struct, frozen=True):
    """Contracts traded in the thirty days before `computed`, and what the tiers ask for."""

    computed: Ts
    volume: Qty
    goals: tuple[VolumeGoal, ...]


class _ApiKeys(msgspec.Struct):
    api_keys: list[ApiKey]
    api_key_region_expiration_ts: int | None = None


class _Goal(msgspec.Struct):
    level: str
    earn_volume_goal_fp: str
    keep_volume_goal_fp: str


class _Progress(msgspec.Struct):
    computed_ts: int
    trailing_30d_volume_fp: str
    goals: list[_Goal]


class _ProgressBody(msgspec.Struct):
    volume_progress: list[_Progress]


def _progress(wire: _Progress) -> VolumeProgress:
    goals = tuple(
        VolumeGoal(goal.level, no_negative(goal.earn_volume_goal_fp), no_negative(goal.keep_volume_goal_fp))
        for goal in wire.goals
    )
    return VolumeProgress(seconds(wire.computed_ts), no_negative(wire.trailing_30d_volume_fp), goals)


_keys_body = msgspec.json.Decoder(_ApiKeys)
_progress_body = msgspec.json.Decoder(_ProgressBody)


def read_api_keys(body: bytes) -> ApiKeys:
    """`GET /api_keys`."""
    return read(
        _keys_body,
        lambda w: ApiKeys(
            tuple(w.api_keys),
            None if w.api_key_region_expiration_ts is None else seconds(w.api_key_region_expiration_ts),
        ),
        body,
        "the API keys",
    )


def read_volume_progress(body: bytes) -> list[VolumeProgress]:
    """`GET /account/api_usage_level/volume_progress`; empty until the exchange has computed it once."""
    return read(_progress_body, lambda w: [_progress(p) for p in w.volume_progress], body, "the volume progress")
