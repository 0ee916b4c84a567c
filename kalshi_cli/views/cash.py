"""What the commands about money print: where it lies, how it moved, what the account may do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts, notional
from kalshi_cli.core.account.ledger import Position
from kalshi_cli.core.model.markets import Market
from kalshi_cli.views.formats import Gain, Prose
from kalshi_cli.views.markets import full_title
from kalshi_cli.views.row import Row

if TYPE_CHECKING:
    from kalshi_cli.desk.funds import Allowances, Holdings, Move
    from kalshi_cli.exchange.wire.account import ApiKeys, Payout
    from kalshi_cli.exchange.wire.funds import (
        Allocation,
        CashMovement,
        ShardTransfer,
        SubaccountTransfer,
    )


class ShardRow(Row, frozen=True, kw_only=True):
    """Cash on one shard (an order is paid from the shard of its market), and its resting orders."""

    exchange_index: int
    cash: Money
    resting_value: Money | None


class BalanceView(Row, frozen=True, kw_only=True):
    cash: Money
    portfolio_value: Money
    total: Money
    as_of: Ts
    resting_value: Money | None
    shards: tuple[ShardRow, ...]


def balance_view(found: Holdings) -> BalanceView:
    balance, resting = found
    by_shard = resting.shards if resting is not None else {}
    return BalanceView.of(
        balance,
        total=balance.cash + balance.portfolio_value,
        as_of=balance.ts,
        resting_value=None if resting is None else resting.total,
        shards=tuple(
            ShardRow(exchange_index=shard, cash=cash, resting_value=by_shard.get(shard))
            for shard, cash in sorted(balance.shards.items())
        ),
    )


class SettlementRow(Row, frozen=True, kw_only=True):
    """A market paid out; `value` is what one YES paid, `net` what was won or lost on it, fees included."""

    ticker: str
    event_ticker: str
    result: str
    value: Price
    yes_count: Qty
    yes_cost: Money | None
    no_count: Qty
    no_cost: Money | None
    revenue: Money
    fee: Money
    net: Gain | None
    exchange_index: int
    time: Ts

    shown = ("ticker", "result", "net", "time", "revenue", "fee", "yes_count", "no_count")


def settlement_row(paid: Payout) -> SettlementRow:
    settlement = paid.settlement
    return SettlementRow.of(
        settlement,
        yes_count=settlement.yes_qty,
        yes_cost=paid.yes_cost,
        no_count=settlement.no_qty,
        no_cost=paid.no_cost,
        net=paid.net,
        exchange_index=paid.exchange_index,
        time=settlement.ts,
    )


class UpcomingRow(Row, frozen=True, kw_only=True):
    """A position and when it is decided; `pays` is what it brings at best; `state` is the market's."""

    ticker: str
    event_ticker: str | None
    title: Prose | None
    subaccount: int
    side: str
    count: Qty
    cost: Money
    pays: Money
    state: str | None
    close_time: Ts | None
    expected_time: Ts | None

    shown = ("ticker", "side", "count", "close_time", "cost", "pays", "expected_time", "state", "title")


def upcoming_row(position: Position, market: Market | None) -> UpcomingRow:
    return UpcomingRow.of(
        position,
        event_ticker=market.event_ticker if market else None,
        title=full_title(market) if market else None,
        side="yes" if position.qty > 0 else "no",
        count=Qty(abs(position.qty)),
        pays=notional(ONE_DOLLAR, Qty(abs(position.qty))),
        state=market.status.value if market else None,
        close_time=market.close_time if market else None,
        expected_time=market.expected_expiration_time if market else None,
    )


class MovementRow(Row, frozen=True, kw_only=True):
    """A deposit or a withdrawal; `applied` ones are in the balance."""

    id: str
    type: str
    status: str
    amount: Money
    fee: Money
    created: Ts
    finalized: Ts | None

    shown = ("created", "type", "status", "amount", "fee", "finalized", "id")


def movement_row(movement: CashMovement) -> MovementRow:
    return MovementRow.of(movement, id=movement.movement_id, type=movement.kind)


class SubaccountRow(Row, frozen=True, kw_only=True):
    """Cash of one subaccount (0 is the primary one) on one shard."""

    subaccount: int
    exchange_index: int
    balance: Money
    updated: Ts


class NettingRow(Row, frozen=True, kw_only=True):
    subaccount: int
    exchange_index: int
    enabled: bool


class NewSubaccountView(Row, frozen=True, kw_only=True):
    subaccount: int


class SubaccountTransferRow(Row, frozen=True, kw_only=True):
    transfer_id: str
    from_subaccount: int
    to_subaccount: int
    exchange_index: int
    amount: Money
    created: Ts

    shown = ("created", "from_subaccount", "to_subaccount", "exchange_index", "amount", "transfer_id")


def subaccount_transfer_row(transfer: SubaccountTransfer) -> SubaccountTransferRow:
    return SubaccountTransferRow.of(transfer)


class SubaccountMoveView(Row, frozen=True, kw_only=True):
    """`status`: applied, applied_before (the id was used already; nothing moved now), or dry_run."""

    client_transfer_id: str
    from_subaccount: int
    to_subaccount: int
    exchange_index: int
    amount: Money
    status: str


class TransferRow(Row, frozen=True, kw_only=True):
    """A transfer between shards; the instances are products of the exchange. `status`: pending, complete, dry_run."""

    transfer_id: str | None
    from_instance: str
    from_shard: int
    to_instance: str
    to_shard: int
    amount: Money
    status: str
    created: Ts | None

    shown = ("created", "from_shard", "to_shard", "amount", "status", "transfer_id")


def transfer_row(transfer: ShardTransfer) -> TransferRow:
    return TransferRow.of(transfer, from_instance=transfer.source, to_instance=transfer.destination)


def unsent_row(move: Move) -> TransferRow:
    return TransferRow.of(
        move,
        transfer_id=None,
        from_instance="event_contract",
        to_instance="event_contract",
        status="dry_run",
        created=None,
    )


class ShareRow(Row, frozen=True, kw_only=True):
    exchange_index: int
    percent: int


class AllocationView(Row, frozen=True, kw_only=True):
    """How the exchange spreads free cash over the shards by itself; not active where there are no rows."""

    active: bool
    resting_margin_reservation: str
    rows: tuple[ShareRow, ...]


def allocation_view(allocation: Allocation) -> AllocationView:
    return AllocationView(
        active=bool(allocation.shares),
        resting_margin_reservation=allocation.reservation,
        rows=tuple(ShareRow(exchange_index=at, percent=share) for at, share in sorted(allocation.shares.items())),
    )


class KeyRow(Row, frozen=True, kw_only=True):
    """An API key; `subaccount`, where there is one, is the only one it may touch."""

    api_key_id: str
    name: Prose
    scopes: tuple[str, ...]
    subaccount: int | None


class KeysView(Row, frozen=True, kw_only=True):
    """After `region_expires` API keys cannot trade sports, elections and entertainment."""

    region_expires: Ts | None
    rows: tuple[KeyRow, ...]


def keys_view(keys: ApiKeys) -> KeysView:
    rows = tuple(KeyRow.of(key, name=Prose(key.name)) for key in keys.keys)
    return KeysView(region_expires=keys.region_expires, rows=rows)


class GrantRow(Row, frozen=True, kw_only=True):
    exchange_instance: str
    level: str
    source: str
    expires: Ts | None


class CostRow(Row, frozen=True, kw_only=True):
    method: str
    path: str
    cost: int


class GoalRow(Row, frozen=True, kw_only=True):
    """Contracts in thirty days that earn a tier, and that keep it."""

    level: str
    to_earn: Qty
    to_keep: Qty


class LimitsView(Row, frozen=True, kw_only=True):
    """Rates are tokens a second, capacities tokens; `default_cost` is that of every request not listed in `costs`."""

    usage_tier: str
    read_rate: int
    read_capacity: int
    write_rate: int
    write_capacity: int
    default_cost: int
    volume_30d: Qty | None
    volume_computed: Ts | None
    grants: tuple[GrantRow, ...]
    costs: tuple[CostRow, ...]
    goals: tuple[GoalRow, ...]


def limits_view(found: Allowances) -> LimitsView:
    limits, costs, progress = found
    return LimitsView(
        usage_tier=limits.usage_tier,
        read_rate=limits.read.refill_rate,
        read_capacity=limits.read.bucket_capacity,
        write_rate=limits.write.refill_rate,
        write_capacity=limits.write.bucket_capacity,
        default_cost=costs.default,
        volume_30d=None if progress is None else progress.volume,
        volume_computed=None if progress is None else progress.computed,
        grants=tuple(
            GrantRow.of(grant, expires=None if grant.expires_ts is None else Ts(grant.expires_ts * 1000))
            for grant in limits.grants
        ),
        costs=tuple(CostRow.of(each) for each in sorted(costs.exceptions, key=lambda each: (each.path, each.method))),
        goals=tuple(
            GoalRow(level=goal.level, to_earn=goal.earn, to_keep=goal.keep)
            for goal in (progress.goals if progress is not None else ())
        ),
    )
