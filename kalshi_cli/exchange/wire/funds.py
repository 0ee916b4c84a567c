"""The REST bodies of where money lies and how it moves, both ways. Strict, as `wire` is: every amount is exact.

Three units meet here: `balance` is dollars as text, `amount_cents` whole cents, and the `amount` that a transfer
between shards sends is in centi-cents ($0.0001), while the same field comes back as dollars.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Ts, parse_money, show_money
from kalshi_cli.exchange.wire.values import Page, integer_cents, read, seconds

PRIMARY = 0
MOST_SUBACCOUNTS = 64
"""The primary account and 63 numbered ones."""
MOST_SHARD = 100
CENT = 10_000
CENTI_CENT = 100
"""In units of Money."""

_encode = msgspec.json.Encoder().encode


# -- what display needs -------------------------------------------------------------------------------------------


class SubaccountBalance(msgspec.Struct, frozen=True):
    """Cash of one subaccount on one shard."""

    subaccount: int
    exchange_index: int
    balance: Money
    updated: Ts


class Netting(msgspec.Struct, frozen=True):
    """Whether YES and NO of one market cancel out in this subaccount."""

    subaccount: int
    exchange_index: int
    enabled: bool


class SubaccountTransfer(msgspec.Struct, frozen=True):
    """Cash moved between two subaccounts on one shard."""

    transfer_id: str
    from_subaccount: int
    to_subaccount: int
    exchange_index: int
    amount: Money
    created: Ts


class ShardTransfer(msgspec.Struct, frozen=True):
    """Cash moved between two shards. `source` and `destination` are instances: event_contract or margined.

    `status` is pending or complete: the exchange moves it after it has answered.
    """

    transfer_id: str
    source: str
    destination: str
    from_shard: int
    to_shard: int
    amount: Money
    status: str
    created: Ts


class Allocation(msgspec.Struct, frozen=True):
    """How the exchange spreads free cash over the shards, by itself, in percent; no shares: it does not.

    `reservation` is what it leaves for resting orders: max, sum or none.
    """

    shares: dict[int, int]
    reservation: str


class CashMovement(msgspec.Struct, frozen=True):
    """A deposit or a withdrawal. `status`: pending, applied, failed or returned; `kind`: ach, wire, crypto, ..."""

    movement_id: str
    status: str
    kind: str
    amount: Money
    fee: Money
    created: Ts
    finalized: Ts | None


class RestingValue(msgspec.Struct, frozen=True):
    """What the resting orders are worth, in all and by shard."""

    total: Money
    shards: dict[int, Money]


# -- what we send -------------------------------------------------------------------------------------------------


def shard_transfer_body(
    amount: Money, *, from_shard: int, to_shard: int, from_subaccount: int, to_subaccount: int, client_transfer_id: str
) -> bytes:
    """The body of `POST /portfolio/intra_exchange_instance_transfer`.

    The id (since 15 October 2026) is for primary accounts only, so it is left out where another is named.
    """
    body: dict[str, object] = {
        "source": "event_contract",
        "destination": "event_contract",
        "amount": _whole(amount, CENTI_CENT, "$0.0001"),
        "source_exchange_shard": _within(from_shard, MOST_SHARD, "shard"),
        "destination_exchange_shard": _within(to_shard, MOST_SHARD, "shard"),
    }
    if from_subaccount or to_subaccount:
        body["source_subaccount"] = _subaccount(from_subaccount)
        body["destination_subaccount"] = _subaccount(to_subaccount)
    elif client_transfer_id:
        body["client_transfer_id"] = client_transfer_id
    return _encode(body)


def subaccount_transfer_body(
    amount: Money, *, client_transfer_id: str, from_subaccount: int, to_subaccount: int, exchange_index: int
) -> bytes:
    """The body of `POST /portfolio/subaccounts/transfer`."""
    return _encode(
        {
            "client_transfer_id": client_transfer_id,
            "from_subaccount": _subaccount(from_subaccount),
            "to_subaccount": _subaccount(to_subaccount),
            "amount_cents": _whole(amount, CENT, "a cent"),
            "exchange_index": _within(exchange_index, MOST_SHARD, "shard"),
        }
    )


def subaccount_body(exchange_index: int) -> bytes:
    """The body of `POST /portfolio/subaccounts`."""
    return _encode({"exchange_index": _within(exchange_index, MOST_SHARD, "shard")} if exchange_index else {})


def netting_body(subaccount: int, *, enabled: bool) -> bytes:
    """The body of `PUT /portfolio/subaccounts/netting`."""
    return _encode({"subaccount_number": _subaccount(subaccount), "enabled": enabled})


def allocation_body(shares: dict[int, int], reservation: str) -> bytes:
    """The body of `POST /portfolio/target_balance_allocation`; no shares switch the rebalancing off.

    The exchange refuses shares that do not add up to 100.
    """
    listed = [
        {"exchange_index": _within(shard, MOST_SHARD, "shard"), "percent": _within(percent, 100, "percentage")}
        for shard, percent in sorted(shares.items())
    ]
    return _encode({"allocations": listed} | ({"resting_margin_reservation": reservation} if reservation else {}))


def _whole(amount: Money, unit: int, name: str) -> int:
    if amount <= 0 or amount % unit:
        raise UsageError(
            f"an amount is above zero and in steps of {name}, not {show_money(amount)}", hint="like --amount 25.00"
        )
    return amount // unit


def _subaccount(number: int) -> int:
    return _within(number, MOST_SUBACCOUNTS - 1, "subaccount")


def _within(number: int, most: int, name: str) -> int:
    if not 0 <= number <= most:
        raise UsageError(f"there is no {name} {number}", hint=f"a {name} is a number from 0 to {most}")
    return number


# -- what comes back ----------------------------------------------------------------------------------------------


class _SubaccountBalance(msgspec.Struct):
    subaccount_number: int
    exchange_index: int
    balance: str
    updated_ts: int


class _SubaccountBalances(msgspec.Struct):
    subaccount_balances: list[_SubaccountBalance]


class _Created(msgspec.Struct):
    subaccount_number: int


class _Netting(msgspec.Struct):
    subaccount_number: int
    enabled: bool
    exchange_index: int = 0


class _NettingBody(msgspec.Struct):
    netting_configs: list[_Netting]


class _SubaccountTransfer(msgspec.Struct):
    transfer_id: str
    from_subaccount: int
    to_subaccount: int
    amount_cents: int
    created_ts: int
    exchange_index: int = 0


class _SubaccountTransfers(msgspec.Struct):
    transfers: list[_SubaccountTransfer]
    cursor: str | None = None


class _TransferId(msgspec.Struct):
    transfer_id: str


class _ShardTransfer(msgspec.Struct):
    transfer_id: str
    source: str
    destination: str
    source_exchange_shard: int
    destination_exchange_shard: int
    amount: str
    status: str
    created_ts: int


class _ShardTransfers(msgspec.Struct):
    transfers: list[_ShardTransfer]
    cursor: str | None = None


class _OneShardTransfer(msgspec.Struct):
    transfer: _ShardTransfer


class _Share(msgspec.Struct):
    exchange_index: int
    percent: int


class _Allocation(msgspec.Struct):
    allocations: list[_Share] | None = None
    resting_margin_reservation: str = "sum"


class _CashMovement(msgspec.Struct):
    id: str
    status: str
    type: str
    amount_cents: int
    fee_cents: int
    created_ts: int
    finalized_ts: int | None = None


class _Deposits(msgspec.Struct):
    deposits: list[_CashMovement] | None = None
    cursor: str | None = None


class _Withdrawals(msgspec.Struct):
    withdrawals: list[_CashMovement] | None = None
    cursor: str | None = None


class _ShardValue(msgspec.Struct):
    exchange_index: int
    balance: str


class _RestingValue(msgspec.Struct):
    total_resting_order_value: int
    resting_order_value_breakdown: list[_ShardValue] | None = None


def _subaccount_transfer(wire: _SubaccountTransfer) -> SubaccountTransfer:
    return SubaccountTransfer(
        transfer_id=wire.transfer_id,
        from_subaccount=wire.from_subaccount,
        to_subaccount=wire.to_subaccount,
        exchange_index=wire.exchange_index,
        amount=integer_cents(wire.amount_cents),
        created=seconds(wire.created_ts),
    )


def _shard_transfer(wire: _ShardTransfer) -> ShardTransfer:
    return ShardTransfer(
        transfer_id=wire.transfer_id,
        source=wire.source,
        destination=wire.destination,
        from_shard=wire.source_exchange_shard,
        to_shard=wire.destination_exchange_shard,
        amount=parse_money(wire.amount),
        status=wire.status,
        created=seconds(wire.created_ts),
    )


def _movement(wire: _CashMovement) -> CashMovement:
    return CashMovement(
        movement_id=wire.id,
        status=wire.status,
        kind=wire.type,
        amount=integer_cents(wire.amount_cents),
        fee=integer_cents(wire.fee_cents),
        created=seconds(wire.created_ts),
        finalized=None if wire.finalized_ts is None else seconds(wire.finalized_ts),
    )


def _resting_value(wire: _RestingValue) -> RestingValue:
    """The total is in whole cents, cut off; where there are parts, their sum is exact."""
    parts = {each.exchange_index: parse_money(each.balance) for each in wire.resting_order_value_breakdown or ()}
    total = Money(sum(parts.values())) if parts else integer_cents(wire.total_resting_order_value)
    return RestingValue(total, parts)


def _named(transfer_id: str) -> str:
    if not transfer_id:
        raise ValueError("a transfer without an id")
    return transfer_id


_balances_body = msgspec.json.Decoder(_SubaccountBalances)
_created_body = msgspec.json.Decoder(_Created)
_netting_body = msgspec.json.Decoder(_NettingBody)
_subaccount_transfers_body = msgspec.json.Decoder(_SubaccountTransfers)
_transfer_id_body = msgspec.json.Decoder(_TransferId)
_shard_transfers_body = msgspec.json.Decoder(_ShardTransfers)
_shard_transfer_body = msgspec.json.Decoder(_OneShardTransfer)
_allocation_body = msgspec.json.Decoder(_Allocation)
_deposits_body = msgspec.json.Decoder(_Deposits)
_withdrawals_body = msgspec.json.Decoder(_Withdrawals)
_resting_body = msgspec.json.Decoder(_RestingValue)


def read_subaccount_balances(body: bytes) -> list[SubaccountBalance]:
    """`GET /portfolio/subaccounts/balances`: one for each subaccount and shard."""
    return read(
        _balances_body,
        lambda w: [
            SubaccountBalance(b.subaccount_number, b.exchange_index, parse_money(b.balance), seconds(b.updated_ts))
            for b in w.subaccount_balances
        ],
        body,
        "the balances of subaccounts",
    )


def read_created(body: bytes) -> int:
    """The number of the new one, from `POST /portfolio/subaccounts`."""
    return read(_created_body, lambda w: _within(w.subaccount_number, MOST_SUBACCOUNTS - 1, "subaccount"), body, "it")


def read_netting(body: bytes) -> list[Netting]:
    """`GET /portfolio/subaccounts/netting`."""
    return read(
        _netting_body,
        lambda w: [Netting(n.subaccount_number, n.exchange_index, n.enabled) for n in w.netting_configs],
        body,
        "netting",
    )


def read_subaccount_transfers(body: bytes) -> Page[SubaccountTransfer]:
    """`GET /portfolio/subaccounts/transfers`."""
    return read(
        _subaccount_transfers_body,
        lambda w: Page([_subaccount_transfer(t) for t in w.transfers], w.cursor or ""),
        body,
        "transfers",
    )


def read_transfer_id(body: bytes) -> str:
    """`POST /portfolio/intra_exchange_instance_transfer`."""
    return read(_transfer_id_body, lambda w: _named(w.transfer_id), body, "the transfer")


def read_shard_transfers(body: bytes) -> Page[ShardTransfer]:
    """`GET /portfolio/intra_exchange_instance_transfers`."""
    return read(
        _shard_transfers_body,
        lambda w: Page([_shard_transfer(t) for t in w.transfers], w.cursor or ""),
        body,
        "transfers",
    )


def read_shard_transfer(body: bytes) -> ShardTransfer:
    """`GET /portfolio/intra_exchange_instance_transfers/{transfer_id}`."""
    return read(_shard_transfer_body, lambda w: _shard_transfer(w.transfer), body, "the transfer")


def read_allocation(body: bytes) -> Allocation:
    """`GET /portfolio/target_balance_allocation`."""
    return read(
        _allocation_body,
        lambda w: Allocation(
            {share.exchange_index: share.percent for share in w.allocations or ()}, w.resting_margin_reservation
        ),
        body,
        "the allocation",
    )


def read_deposits(body: bytes) -> Page[CashMovement]:
    """`GET /portfolio/deposits`."""
    return read(
        _deposits_body, lambda w: Page([_movement(d) for d in w.deposits or ()], w.cursor or ""), body, "deposits"
    )


def read_withdrawals(body: bytes) -> Page[CashMovement]:
    """`GET /portfolio/withdrawals`."""
    return read(
        _withdrawals_body,
        lambda w: Page([_movement(d) for d in w.withdrawals or ()], w.cursor or ""),
        body,
        "withdrawals",
    )


def read_resting_value(body: bytes) -> RestingValue:
    """`GET /portfolio/summary/total_resting_order_value`."""
    return read(
        _resting_body,
        _resting_value,
        body,
        "the value of resting orders",
    )
