"""What a restricted API key may do, and what it is told otherwise."""

from __future__ import annotations

import uuid

import pytest
from support.exchange import ED_KEY, KEYS, Caller, create_body, make_exchange, public_pem

from kalshi_cli.base.units import dollars
from kalshi_cli.simulator.model.listing import ExchangeOptions

ORDERS = "/portfolio/events/orders"
A_TRANSFER = {
    "client_transfer_id": str(uuid.UUID(int=1)),
    "from_subaccount": 0,
    "to_subaccount": 1,
    "amount_cents": 100,
}


def caller(*scopes: str, subaccount: int | None = None) -> Caller:
    """Alice with a key that may do no more than this. She has a subaccount with ten dollars."""
    exchange = make_exchange(ExchangeOptions(read_rate=0, write_rate=0, shards=2))
    exchange.add_subaccount("alice")
    exchange.deposit("alice", dollars(10), subaccount=1)
    key_id = KEYS["alice"][0]
    exchange.register_key(
        "alice", key_id, public_pem(ED_KEY), scopes=scopes or ("read", "write"), subaccount=subaccount
    )
    return Caller(exchange)


CASES = {
    "a reader reads": (("read",), "GET", "/portfolio/orders", None, 200),
    "a reader places nothing": (("read",), "POST", ORDERS, create_body("bid", "0.10", "1"), 403),
    "a reader cancels nothing": (("read",), "DELETE", ORDERS, None, 403),
    "a reader moves nothing": (("read",), "POST", "/portfolio/subaccounts/transfer", A_TRANSFER, 403),
    "a trader places": (("read", "write::trade"), "POST", ORDERS, create_body("bid", "0.10", "1"), 201),
    "a trader moves nothing": (
        ("read", "write::trade"), "POST", "/portfolio/subaccounts/transfer", A_TRANSFER, 403,
    ),
    "who moves money moves it": (("write::transfer",), "POST", "/portfolio/subaccounts/transfer", A_TRANSFER, 200),
    "who moves money places nothing": (("write::transfer",), "POST", ORDERS, create_body("bid", "0.10", "1"), 403),
    "who may see the balance sees it": (("read::portfolio_balance",), "GET", "/portfolio/balance", None, 200),
    "who may see the balance sees no order": (("read::portfolio_balance",), "GET", "/portfolio/orders", None, 403),
    "a writer writes": (("read", "write"), "DELETE", ORDERS, None, 204),
    "the public needs no scope": (("write::transfer",), "GET", "/markets", None, 200),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_key_does_what_its_scopes_allow(case: str) -> None:
    scopes, method, path, body, expected = CASES[case]
    status, answer = caller(*scopes)(method, path, body)
    assert status == expected, answer


def test_a_key_of_one_subaccount_means_that_one_and_names_no_other() -> None:
    alice = caller(subaccount=1)
    assert alice.get("/portfolio/balance")["balance"] == 1_000
    assert "balance_breakdown" not in alice.get("/portfolio/balance"), "as the specification says of such a key"
    assert alice("GET", "/portfolio/balance", query={"subaccount": 0})[0] == 403
    assert alice.get("/portfolio/balance", subaccount=1)["balance"] == 1_000
    found = alice.get("/portfolio/subaccounts/balances")["subaccount_balances"]
    assert {one["subaccount_number"] for one in found} == {1}
    assert alice("PUT", "/portfolio/subaccounts/netting", {"subaccount_number": 0, "enabled": False})[0] == 403
    assert alice("POST", "/portfolio/subaccounts/transfer", A_TRANSFER)[0] == 403
    assert alice("POST", "/portfolio/subaccounts", {})[0] == 403
    allocation = {"allocations": [{"exchange_index": 0, "percent": 100}]}
    assert alice("POST", "/portfolio/target_balance_allocation", allocation)[0] == 403


def test_a_restricted_key_is_listed_as_one() -> None:
    found = caller("read", "write::trade", subaccount=1).get("/api_keys")["api_keys"]
    assert [(key["scopes"], key["subaccount"]) for key in found] == [(["read", "write::trade"], 1)]
