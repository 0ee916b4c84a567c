"""REST bodies of balances and cash movements, in both directions. Every amount is exact.

Three units are in use: `balance` is dollars as text, `amount_cents` whole cents, and the `amount` sent in a transfer
between shards is in centi-cents ($0.0001), while the same field is returned as dollars.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import field

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, show_money
from kalshi_cli.exchange.wire import values

PRIMARY = 0
MAX_SUBACCOUNTS = 64
"""The primary account and 63 numbered ones."""
MAX_SHARD = 100
CENT = 10_000
CENTI_CENT = 100
"""In units of Money."""


# -- objects ------------------------------------------------------------------------------------------------------


class SubaccountBalance(msgspec.Struct, frozen=True):
    """Cash of one subaccount on one shard."""

    subaccount: int = field(name="subaccount_number")
    exchange_index: int
    balance: values.MoneyOfDollars
    updated: values.TsOfSeconds = field(name="updated_ts")


class Netting(msgspec.Struct, frozen=True):
    """Netting of YES and NO of one market in this subaccount: on or off."""

    subaccount: int = field(name="subaccount_number")
    exchange_index: Annotated[int, values.Wire(int, 0)]
    enabled: bool


class SubaccountTransfer(msgspec.Struct, frozen=True):
    """Cash moved between two subaccounts on one shard."""

    transfer_id: str
    from_subaccount: int
    to_subaccount: int
    exchange_index: Annotated[int, values.Wire(int, 0)]
    amount: values.MoneyOfCents = field(name="amount_cents")
    created: values.TsOfSeconds = field(name="created_ts")


class ShardTransfer(msgspec.Struct, frozen=True):
    """Cash moved between two shards. `source` and `destination` are instances: event_contract or margined.

    `status` is pending or complete: the exchange moves the cash after it has answered.
    """

    transfer_id: str
    source: str
    destination: str
    from_shard: int = field(name="source_exchange_shard")
    to_shard: int = field(name="destination_exchange_shard")
    amount: values.MoneyOfDollars
    status: str
    created: values.TsOfSeconds = field(name="created_ts")


class Allocation(msgspec.Struct, frozen=True):
    """Automatic distribution of free cash over the shards in percent; without shares it is off.

    `reservation` is what is kept for resting orders: max, sum or none.
    """

    shares: dict[int, int]
    reservation: str


class CashMovement(msgspec.Struct, frozen=True):
    """A deposit or a withdrawal. `status`: pending, applied, failed or returned; `kind`: ach, wire, crypto, ..."""

    movement_id: str = field(name="id")
    status: str
    kind: str = field(name="type")
    amount: values.MoneyOfCents = field(name="amount_cents")
    fee: values.MoneyOfCents = field(name="fee_cents")
    created: values.TsOfSeconds = field(name="created_ts")
    finalized: values.OptionalTsOfSeconds = field(name="finalized_ts")


class RestingValue(msgspec.Struct, frozen=True):
    """Value of the resting orders, in total and by shard."""

    total: Money
    shards: dict[int, Money]


# -- requests -----------------------------------------------------------------------------------------------------


def shard_transfer_body(
    amount: Money, *, from_shard: int, to_shard: int, from_subaccount: int, to_subaccount: int, client_transfer_id: str
) -> bytes:
    """Return the body of `POST /portfolio/intra_exchange_instance_transfer`.

    The id (since 15 October 2026) is for primary accounts only, so it is left out if a subaccount is named.
    """
    body: dict[str, object] = {
        "source": "event_contract",
        "destination": "event_contract",
        "amount": _whole(amount, CENTI_CENT, "$0.0001"),
        "source_exchange_shard": _within(from_shard, MAX_SHARD, "shard"),
        "destination_exchange_shard": _within(to_shard, MAX_SHARD, "shard"),
    }
    if from_subaccount or to_subaccount:
        body["source_subaccount"] = _subaccount(from_subaccount)
        body["destination_subaccount"] = _subaccount(to_subaccount)
    elif client_transfer_id:
        body["client_transfer_id"] = client_transfer_id
    return values.body_of(body)


def subaccount_transfer_body(
    amount: Money, *, client_transfer_id: str, from_subaccount: int, to_subaccount: int, exchange_index: int
) -> bytes:
    """Return the body of `POST /portfolio/subaccounts/transfer`."""
    return values.body_of(
        {
            "client_transfer_id": client_transfer_id,
            "from_subaccount": _subaccount(from_subaccount),
            "to_subaccount": _subaccount(to_subaccount),
            "amount_cents": _whole(amount, CENT, "a cent"),
            "exchange_index": _within(exchange_index, MAX_SHARD, "shard"),
        }
    )


def subaccount_body(exchange_index: int) -> bytes:
    """Return the body of `POST /portfolio/subaccounts`."""
    return values.body_of({}, exchange_index=_within(exchange_index, MAX_SHARD, "shard"))


def netting_body(subaccount: int, *, enabled: bool) -> bytes:
    """Return the body of `PUT /portfolio/subaccounts/netting`."""
    return values.body_of({"subaccount_number": _subaccount(subaccount), "enabled": enabled})


def allocation_body(shares: dict[int, int], reservation: str) -> bytes:
    """Return the body of `POST /portfolio/target_balance_allocation`; no shares turn the allocation off.

    The exchange refuses shares that do not add up to 100.
    """
    listed = [
        {"exchange_index": _within(shard, MAX_SHARD, "shard"), "percent": _within(percent, 100, "percentage")}
        for shard, percent in sorted(shares.items())
    ]
    return values.body_of({"allocations": listed}, resting_margin_reservation=reservation)


def _whole(amount: Money, unit: int, name: str) -> int:
    if amount <= 0 or amount % unit:
        raise UsageError(
            f"The amount must be greater than zero and in steps of {name}, not {show_money(amount)}",
            hint="for example --amount 25.00",
        )
    return amount // unit


def _subaccount(number: int) -> int:
    return _within(number, MAX_SUBACCOUNTS - 1, "subaccount")


def _within(number: int, most: int, name: str) -> int:
    if not 0 <= number <= most:
        raise UsageError(f"No {name} {number}", hint=f"a {name} is a number from 0 to {most}")
    return number


# -- responses ----------------------------------------------------------------------------------------------------


class _Share(msgspec.Struct):
    exchange_index: int
    percent: int


class _Allocation(msgspec.Struct):
    allocations: list[_Share] | None = None
    resting_margin_reservation: str = "sum"


class _RestingValue(msgspec.Struct):
    total_resting_order_value: int
    resting_order_value_breakdown: list[values.ShardAmount] | None = None


def _allocation(wire: _Allocation) -> Allocation:
    shares = {share.exchange_index: share.percent for share in wire.allocations or ()}
    return Allocation(shares, wire.resting_margin_reservation)


def _resting_value(wire: _RestingValue) -> RestingValue:
    """Convert the value. The total is in whole cents, cut off; with parts, their sum is exact."""
    parts = values.by_shard(wire.resting_order_value_breakdown)
    total = Money(sum(parts.values())) if parts else values.integer_cents(wire.total_resting_order_value)
    return RestingValue(total, parts)


def _named(transfer_id: str) -> str:
    if not transfer_id:
        raise ValueError("a transfer without an id")
    return transfer_id


_TRANSFER, _MOVEMENT = values.of(ShardTransfer), values.of(CashMovement)

read_subaccount_balances = values.listed(
    "subaccount_balances", *values.of(SubaccountBalance), "the balances of subaccounts", is_required=True
)
"""`GET /portfolio/subaccounts/balances`: one for each subaccount and shard."""
read_created = values.single("subaccount_number", int, _subaccount, "the new subaccount")
"""Number of the new subaccount, from `POST /portfolio/subaccounts`."""
read_netting = values.listed("netting_configs", *values.of(Netting), "netting", is_required=True)
"""`GET /portfolio/subaccounts/netting`."""
read_subaccount_transfers = values.paged("transfers", *values.of(SubaccountTransfer), "transfers", is_required=True)
"""`GET /portfolio/subaccounts/transfers`."""
read_transfer_id = values.single("transfer_id", str, _named, "the transfer")
"""`POST /portfolio/intra_exchange_instance_transfer`."""
read_shard_transfers = values.paged("transfers", *_TRANSFER, "transfers", is_required=True)
"""`GET /portfolio/intra_exchange_instance_transfers`."""
read_shard_transfer = values.single("transfer", *_TRANSFER, "the transfer")
"""`GET /portfolio/intra_exchange_instance_transfers/{transfer_id}`."""
read_allocation = values.whole(_Allocation, _allocation, "the allocation")
"""`GET /portfolio/target_balance_allocation`."""
read_deposits = values.paged("deposits", *_MOVEMENT, "deposits")
"""`GET /portfolio/deposits`."""
read_withdrawals = values.paged("withdrawals", *_MOVEMENT, "withdrawals")
"""`GET /portfolio/withdrawals`."""
read_resting_value = values.whole(_RestingValue, _resting_value, "the value of resting orders")
"""`GET /portfolio/summary/total_resting_order_value`."""
