"""Views of cash: balances, transfers, settlements, and permissions of the account."""

from __future__ import annotations

from kalshi_cli.base.units import Money, Price, Qty, Ts
from kalshi_cli.core.account.ledger import Position, max_payout
from kalshi_cli.core.model.markets import DETERMINED, Market
from kalshi_cli.views.formats import SignedMoney, TruncatableText
from kalshi_cli.views.row import OutputRow, names


class ShardCashRow(OutputRow, frozen=True, kw_only=True):
    """Cash on one shard and its resting orders. An order is paid from the shard of its market."""

    exchange_index: int
    cash: Money
    resting_value: Money | None


class BalanceView(OutputRow, frozen=True, kw_only=True):
    """Cash, positions and resting orders of the account.

    `portfolio_value` is at closing prices, as in `portfolio`; `reported_value` is the exchange's, at last prices.
    `reserved` is the cash that resting orders need for the contracts that they would open, at their limits and before
    fees; an order that closes a position needs none. `available` is the cash less that. `resting_value` is the
    exchange's: it counts orders that close a position too.
    """

    cash: Money
    portfolio_value: Money
    total: Money
    as_of: Ts
    resting_value: Money | None
    reported_value: Money
    shards: tuple[ShardCashRow, ...]
    reserved: Money
    available: Money

    screen = ("cash", "reserved", "available", "portfolio_value", "total", "as_of", "reported_value")


class SettlementRow(OutputRow, frozen=True, kw_only=True):
    """A settled market. `value` is the payout of one YES.

    The costs and `revenue` are those of the contracts held to the end, `fee` all trading fees of the market. `net` is
    the result of the whole market, as in `kalshi pnl`: `revenue` less `cost` and `fee`, and `sold_before`, the result
    of contracts that were sold before, without fees.
    """

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
    net: SignedMoney | None
    exchange_index: int
    time: Ts
    cost: Money | None
    sold_before: SignedMoney | None

    named = names(yes_count="yes_qty", no_count="no_qty", time="ts")
    shown = ("ticker", "result", "net", "time", "revenue", "fee", "yes_count", "no_count")


class UpcomingRow(OutputRow, frozen=True, kw_only=True):
    """An open position and its settlement times. `pays` is the most that it can still pay, `state` the market's status.

    Once the result is known, `pays` is the payout: $0 for a position that lost. It comes after a
    short wait whose end the exchange does not name.
    """

    ticker: str
    event_ticker: str | None
    title: TruncatableText | None
    subaccount: int
    side: str
    count: Qty
    cost: Money
    pays: Money
    state: str | None
    close_time: Ts | None
    expected_time: Ts | None

    shown = ("ticker", "side", "count", "pays", "expected_time", "state", "cost", "close_time", "title")
    vital = ("side", "count", "pays", "expected_time", "state")
    headings = names(pays="max payout")


def upcoming_row(position: Position, market: Market | None) -> UpcomingRow:
    """Return an open position with the times of its market."""
    return UpcomingRow.of(
        position,
        event_ticker=market.event_ticker if market else None,
        title=market.full_title if market else None,
        side="yes" if position.qty > 0 else "no",
        count=Qty(abs(position.qty)),
        pays=max_payout(position.qty, market.settlement_value if market else None),
        state=market.status.value if market else None,
        close_time=market.close_time if market else None,
        expected_time=_expected(market) if market else None,
    )


def _expected(market: Market) -> Ts | None:
    """Return when the market is expected to be determined, which says nothing any more once it is."""
    return market.settlement_ts if market.status in DETERMINED else market.expected_expiration_time


class CashMovementRow(OutputRow, frozen=True, kw_only=True):
    """A deposit or a withdrawal; `applied` ones are in the balance."""

    id: str
    type: str
    status: str
    amount: Money
    fee: Money
    created: Ts
    finalized: Ts | None

    named = names(id="movement_id", type="kind")
    shown = ("created", "type", "status", "amount", "fee", "finalized", "id")


class SubaccountRow(OutputRow, frozen=True, kw_only=True):
    """Cash of a subaccount (0 is the primary one) on one shard."""

    subaccount: int
    exchange_index: int
    balance: Money
    updated: Ts


class NettingRow(OutputRow, frozen=True, kw_only=True):
    """A subaccount, and whether its YES and NO positions net."""

    subaccount: int
    exchange_index: int
    enabled: bool


class NewSubaccountView(OutputRow, frozen=True, kw_only=True):
    """The number of a new subaccount."""

    subaccount: int


class SubaccountTransferRow(OutputRow, frozen=True, kw_only=True):
    """A transfer between subaccounts."""

    transfer_id: str
    from_subaccount: int
    to_subaccount: int
    exchange_index: int
    amount: Money
    created: Ts

    shown = ("created", "from_subaccount", "to_subaccount", "exchange_index", "amount", "transfer_id")


class SubaccountMoveView(OutputRow, frozen=True, kw_only=True):
    """The result of a transfer between subaccounts.

    `status`: applied, applied_before (the id was used before; nothing moved now), or dry_run.
    """

    client_transfer_id: str
    from_subaccount: int
    to_subaccount: int
    exchange_index: int
    amount: Money
    status: str


class TransferRow(OutputRow, frozen=True, kw_only=True):
    """A transfer between shards.

    The instances are products of the exchange. `status`: pending, complete, or dry_run.
    """

    transfer_id: str | None
    from_instance: str
    from_shard: int
    to_instance: str
    to_shard: int
    amount: Money
    status: str
    created: Ts | None

    named = names(from_instance="source", to_instance="destination")
    shown = ("created", "from_shard", "to_shard", "amount", "status", "transfer_id")


class AllocationRow(OutputRow, frozen=True, kw_only=True):
    """The share of free cash on one shard."""

    exchange_index: int
    percent: int


class AllocationView(OutputRow, frozen=True, kw_only=True):
    """The allocation of free cash to the shards by the exchange; inactive without rows."""

    active: bool
    resting_margin_reservation: str
    rows: tuple[AllocationRow, ...]


class KeyRow(OutputRow, frozen=True, kw_only=True):
    """An API key. `subaccount`, if any, is the only one that it may use."""

    api_key_id: str
    name: TruncatableText
    scopes: tuple[str, ...]
    subaccount: int | None


class KeysView(OutputRow, frozen=True, kw_only=True):
    """The API keys. After `region_expires` they cannot trade sports, elections and entertainment."""

    region_expires: Ts | None
    rows: tuple[KeyRow, ...]

    named = names(rows="keys")


class GrantRow(OutputRow, frozen=True, kw_only=True):
    """A granted API tier and its source."""

    exchange_instance: str
    level: str
    source: str
    expires: Ts | None


class CostRow(OutputRow, frozen=True, kw_only=True):
    """The token cost of a request."""

    method: str
    path: str
    cost: int


class GoalRow(OutputRow, frozen=True, kw_only=True):
    """The contracts in thirty days that earn a tier, and that keep it."""

    level: str
    to_earn: Qty
    to_keep: Qty

    named = names(to_earn="earn", to_keep="keep")


class LimitsView(OutputRow, frozen=True, kw_only=True):
    """API rate limits: rates in tokens a second, capacities in tokens.

    `default_cost` is the cost of every request not listed in `costs`.
    """

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
