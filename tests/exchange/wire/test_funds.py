"""The bodies of money: three units meet in them, and each is read and written as what it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Ts, contracts, dollars
from kalshi_cli.exchange.wire import account as wire_account
from kalshi_cli.exchange.wire import account as wire_tiers
from kalshi_cli.exchange.wire import funds as wire_funds
from kalshi_cli.exchange.wire.values import ResponseFormatError


def raw(body: Any) -> bytes:
    return json.dumps(body).encode()


def test_a_transfer_between_shards_is_sent_in_centi_cents_and_comes_back_in_dollars() -> None:
    sent = wire_funds.shard_transfer_body(
        dollars("25.0001"), from_shard=0, to_shard=2, from_subaccount=0, to_subaccount=0, client_transfer_id="id"
    )
    assert json.loads(sent) == {
        "source": "event_contract",
        "destination": "event_contract",
        "amount": 250_001,
        "source_exchange_shard": 0,
        "destination_exchange_shard": 2,
        "client_transfer_id": "id",
    }
    shown = {
        "transfer_id": "t",
        "source": "event_contract",
        "destination": "event_contract",
        "source_exchange_shard": 0,
        "destination_exchange_shard": 2,
        "amount": "25.0001",
        "status": "pending",
        "created_ts": 1_781_159_360,
        "something_new": 1,
    }
    read = wire_funds.read_shard_transfer(raw({"transfer": shown}))
    assert (read.amount, read.created) == (dollars("25.0001"), Ts(1_781_159_360_000))


def test_the_id_is_left_out_where_a_numbered_subaccount_is_named() -> None:
    """It is "primary accounts only" (the specification): elsewhere it would promise what it does not hold."""
    sent = wire_funds.shard_transfer_body(
        dollars(1), from_shard=0, to_shard=1, from_subaccount=0, to_subaccount=3, client_transfer_id="id"
    )
    assert "client_transfer_id" not in json.loads(sent)
    assert json.loads(sent)["destination_subaccount"] == 3


def test_a_transfer_between_subaccounts_is_sent_in_whole_cents() -> None:
    sent = wire_funds.subaccount_transfer_body(
        dollars("5.01"), client_transfer_id="id", from_subaccount=0, to_subaccount=1, exchange_index=0
    )
    assert json.loads(sent)["amount_cents"] == 501


@pytest.mark.parametrize("amount", [Money(0), Money(-1_000_000), Money(50), Money(1)])
def test_an_amount_that_the_exchange_cannot_move_is_never_rounded(amount: Money) -> None:
    with pytest.raises(UsageError):
        wire_funds.shard_transfer_body(
            amount, from_shard=0, to_shard=1, from_subaccount=0, to_subaccount=0, client_transfer_id=""
        )
    with pytest.raises(UsageError):
        wire_funds.subaccount_transfer_body(
            amount, client_transfer_id="id", from_subaccount=0, to_subaccount=1, exchange_index=0
        )


def test_part_of_a_cent_moves_between_shards_only() -> None:
    with pytest.raises(UsageError, match="steps of a cent"):
        wire_funds.subaccount_transfer_body(
            dollars("0.0050"), client_transfer_id="id", from_subaccount=0, to_subaccount=1, exchange_index=0
        )


@pytest.mark.parametrize(("number", "shard"), [(64, 0), (-1, 0), (1, 101), (1, -1)])
def test_places_that_cannot_be_are_refused_before_anything_is_sent(number: int, shard: int) -> None:
    with pytest.raises(UsageError):
        wire_funds.subaccount_transfer_body(
            dollars(1), client_transfer_id="id", from_subaccount=0, to_subaccount=number, exchange_index=shard
        )


def test_deposits_and_withdrawals_are_in_cents() -> None:
    body = {"id": "d", "status": "applied", "type": "ach", "amount_cents": 5_005, "fee_cents": 5, "created_ts": 10}
    read = wire_funds.read_deposits(raw({"deposits": [body]})).items[0]
    assert (read.amount, read.fee, read.finalized) == (dollars("50.05"), dollars("0.05"), None)
    assert wire_funds.read_withdrawals(raw({"withdrawals": [], "cursor": ""})).items == []


def test_the_worth_of_resting_orders_is_exact_where_the_parts_are_told() -> None:
    """The total is in whole cents."""
    parts = [{"exchange_index": 0, "balance": "3.1250"}, {"exchange_index": 2, "balance": "1.0000"}]
    read = wire_funds.read_resting_value(
        raw({"total_resting_order_value": 412, "resting_order_value_breakdown": parts})
    )
    assert (read.total, read.shards) == (dollars("4.125"), {0: dollars("3.125"), 2: dollars(1)})
    bare = wire_funds.read_resting_value(raw({"total_resting_order_value": 412, "resting_order_value_breakdown": []}))
    assert (bare.total, bare.shards) == (dollars("4.12"), {})


def test_an_account_without_an_allocation_has_none() -> None:
    assert wire_funds.read_allocation(raw({"resting_margin_reservation": "max"})).shares == {}


def test_a_key_may_be_locked_and_the_region_may_never_have_been_attested() -> None:
    keys = [
        {"api_key_id": "a", "name": "one", "scopes": ["read", "write::trade"], "subaccount": 2},
        {"api_key_id": "b", "name": "two", "scopes": ["read"], "subaccount": None},
    ]
    read = wire_tiers.read_api_keys(raw({"api_keys": keys, "api_key_region_expiration_ts": 1_800_000_000}))
    assert [key.subaccount for key in read.keys] == [2, None]
    assert read.region_expires == Ts(1_800_000_000_000)
    assert wire_tiers.read_api_keys(raw({"api_keys": []})).region_expires is None


def test_volume_progress_counts_contracts() -> None:
    goal = {"level": "expert", "earn_volume_goal_fp": "750.00", "keep_volume_goal_fp": "500.00"}
    body = {"computed_ts": 1_800_000_000, "trailing_30d_volume_fp": "12.50", "goals": [goal]}
    read = wire_tiers.read_volume_progress(raw({"volume_progress": [body]}))
    assert read[0].volume == 1250
    assert read[0].goals[0].earn == contracts(750)


def test_grants_may_be_for_good_or_end() -> None:
    grants = [
        {"exchange_instance": "event_contract", "level": "expert", "source": "volume", "expires_ts": 1_800_000_000},
        {"exchange_instance": "margined", "level": "prime", "source": "manual"},
    ]
    buckets = {name: {"refill_rate": 1, "bucket_capacity": 1} for name in ("read", "write")}
    read = wire_account.read_limits(raw({"usage_tier": "expert", "grants": grants, **buckets}))
    assert [grant.expires_ts for grant in read.grants] == [1_800_000_000, None]


SETTLED = {
    "ticker": "KX",
    "event_ticker": "KE",
    "market_result": "yes",
    "yes_count_fp": "3.00",
    "no_count_fp": "0.00",
    "yes_total_cost_dollars": "2.500000",
    "no_total_cost_dollars": "0.000000",
    "revenue": 300,
    "settled_time": "2026-06-25T16:05:00Z",
    "fee_cost": "0.018900",
    "value": 100,
    "exchange_index": 2,
}


def test_a_payout_says_what_its_contracts_cost() -> None:
    paid = wire_account.read_payouts(raw({"settlements": [SETTLED]})).items[0]
    assert (paid.yes_cost, paid.no_cost, paid.exchange_index) == (dollars("2.5"), 0, 2)


def test_a_payout_without_costs_has_none_rather_than_zero() -> None:
    bare = {name: value for name, value in SETTLED.items() if not name.endswith("cost_dollars")}
    paid = wire_account.read_payouts(raw({"settlements": [bare]})).items[0]
    assert (paid.yes_cost, paid.no_cost) == (None, None)


BROKEN = {
    "a balance that is a number": (
        wire_funds.read_subaccount_balances,
        {"subaccount_balances": [{"subaccount_number": 0, "exchange_index": 0, "balance": 5, "updated_ts": 1}]},
    ),
    "no balances at all": (wire_funds.read_subaccount_balances, {}),
    "an empty transfer id": (wire_funds.read_transfer_id, {"transfer_id": ""}),
    "no transfer id": (wire_funds.read_transfer_id, {}),
    "a subaccount without a number": (wire_funds.read_created, {}),
    "cents as text": (
        wire_funds.read_deposits,
        {
            "deposits": [
                {"id": "d", "status": "applied", "type": "ach", "amount_cents": "1", "fee_cents": 0, "created_ts": 1}
            ]
        },
    ),
    "an amount with seven decimals": (
        wire_funds.read_resting_value,
        {
            "total_resting_order_value": 1,
            "resting_order_value_breakdown": [{"exchange_index": 0, "balance": "0.0000001"}],
        },
    ),
    "a negative volume": (
        wire_tiers.read_volume_progress,
        {"volume_progress": [{"computed_ts": 1, "trailing_30d_volume_fp": "-1.00", "goals": []}]},
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_money_that_cannot_be_read_exactly_is_an_error(what: str) -> None:
    read, body = BROKEN[what]
    with pytest.raises(ResponseFormatError):
        read(raw(body))
