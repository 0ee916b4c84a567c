"""The writes of the JSON API: their fields, and what an execution replies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from support.served import EMPTY, KEY_ID, TWO_SIDED, Served, program
from support.web_page import Page

from kalshi_cli.store.records import RunGroup
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.web.hints import for_program
from kalshi_cli.web.openapi import openapi
from kalshi_cli.web.writes import WRITES

ORDER = {"do": "place", "ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": "3", "price": "0.10"}


@pytest.fixture
def page(exchange: Served) -> Iterator[Page]:
    exchange.trade_a_little()
    made = Page(exchange, "--allow-writes")
    yield made
    made.close()


def test_a_resume_after_a_kill_warns_of_the_order_groups_and_resets_them_on_request(
    page: Page, exchange: Served
) -> None:
    group_id = program("order", "group", "create", "--limit", "10", "--json").json["order_group_id"]
    with Store.open(exchange.state / "sim" / "state.db", account=KEY_ID, environment="sim") as store:
        store.save_order_group(RunGroup(group_id, 0))
    assert page.do(do="kill").status_code == 200
    resume = {"do": "resume", "reason": "checked"}
    (warning,) = page.post("plans", resume).json()["warnings"]
    assert "This leaves 1 triggered order group" in warning
    assert for_program(warning).endswith('{"do": "resume", "reason": "TEXT", "reset_groups": true}')
    assert page.post("plans", {**resume, "reset_groups": "perhaps"}).status_code == 400
    plan = page.post("plans", {**resume, "reset_groups": True}).json()
    assert plan["warnings"] == []
    assert any("Reset 1 triggered order group" in fact for fact in plan["facts"])
    assert page.do(**resume, reset_groups=True).json()["rows"][0]["state"] == "active"
    assert program("order", "group", "show", group_id, "--json").json["is_triggered"] is False


def described(name: str) -> dict[str, Any]:
    body = openapi()["paths"]["/plans"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    (found,) = (each for each in body["oneOf"] if each["properties"]["do"]["const"] == name)
    return found


def test_an_order_takes_the_options_of_the_command(page: Page) -> None:
    order = page.do(**ORDER, post_only="true", expires_in="10m", cancel_on_pause="true").json()["rows"][0]
    assert (order["status"], order["expires"] is None) == ("resting", False)
    ask = page.get(f"markets/{TWO_SIDED}/orderbook").json()["best_ask"]
    crossing = page.do(**(ORDER | {"price": ask}), post_only="true")
    error = crossing.json()["error"]
    assert (crossing.status_code, error["exit_code"], error["code"]) == (422, 4, "invalid_order")
    assert "post only cross" in error["details"]
    refused = page.post("plans", ORDER | {"reduce_only": "true"})
    assert refused.json()["error"]["code"] == "BAD_FLAGS", "it needs tif ioc"
    for wrong in ({"post_only": "yes"}, {"expires_in": "10"}, {"stp": "both"}):
        reply = page.post("plans", ORDER | wrong)
        assert (reply.status_code, next(iter(wrong)) in reply.json()["error"]["message"]) == (400, True), reply.text


def test_the_plan_of_an_order_has_its_amounts_as_a_dry_run_has_them(page: Page) -> None:
    bid = page.get(f"markets/{TWO_SIDED}/orderbook").json()["best_bid"]
    amounts = ("cost", "max_fees", "max_loss", "max_payout", "closing", "proceeds")
    for change in (
        {},
        {"side": "no", "count": "9"},
        {"tif": "ioc", "reduce_only": "true", "action": "sell", "price": bid},
    ):
        terms = ORDER | change
        options = [f"--{name}={terms[name]}" for name in ("side", "action", "count", "price", "tif") if name in terms]
        dry = program(
            "order", "place", TWO_SIDED, *options, *["--reduce-only"] * ("tif" in terms), "--dry-run", "--json"
        )
        planned = page.post("plans", terms).json()
        assert {name: planned[name] for name in amounts} == {name: dry.json[name] for name in amounts}
        body = openapi()["paths"]["/plans"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
        OAS31Validator(body).validate(planned)
    assert "cost" not in page.post("plans", {"do": "pause", "reason": "news"}).json()
    order_id = page.do(**ORDER).json()["rows"][0]["order_id"]
    planned = page.post("plans", {"do": "amend", "order_id": order_id, "side": "yes", "price": "0.11"}).json()
    assert (planned["cost"], planned["max_payout"]) == ("0.330000", "3.000000")


def test_a_wrong_field_is_named_and_so_is_a_missing_one(page: Page) -> None:
    for change, says in (
        ({"qty": 3}, "place has no field 'qty'"),
        ({"prices": "0.24"}, "place has no field 'prices'; did you mean price?"),
        ({"price": None, "side": None}, "place is missing: side, price"),
        ({"ticker": 7}, "ticker must be a text of at most 200 characters, not 7"),
        ({"ticker": ["A"]}, "ticker must be a text of at most 200 characters, not ['A']"),
        ({"post_only": 1}, "post_only must be true or false, not 1"),
        ({"count": True}, "count must be a text or a number of at most 200 characters, not true"),
        ({"do": None}, "`do` is missing"),
    ):
        error = page.post("plans", ORDER | change).json()["error"]
        assert error["message"].startswith(says)
    assert page.post("plans", [1]).json()["error"]["message"] == "The request must be an object"


def test_a_json_number_is_read_as_it_was_typed_and_one_that_is_not_exact_is_refused(page: Page) -> None:
    order = page.do(**ORDER | {"count": 3, "price": 0.10, "post_only": True}).json()["rows"][0]
    assert (order["count"], order["price"]) == ("3.00", "0.1000")
    for wrong in ({"price": 0.1 + 0.2}, {"price": 47}, {"count": 2.345}, {"count": 1e30}, {"count": True}):
        reply = page.post("plans", ORDER | wrong)
        assert (reply.status_code, next(iter(wrong)) in reply.json()["error"]["message"]) == (400, True), reply.text


def test_an_order_is_decreased(page: Page, exchange: Served) -> None:
    order = page.do(**ORDER).json()["rows"][0]["order_id"]
    assert page.do(do="decrease", order_id=order, to="2").json()["rows"][0]["remaining"] == "2.00"
    assert page.do(do="decrease", order_id=order, by="1").json()["rows"][0]["remaining"] == "1.00"
    for wrong in ({}, {"by": "1", "to": "1"}, {"by": "x"}):
        assert page.post("plans", {"do": "decrease", "order_id": order, **wrong}).status_code == 400
    assert (order, 100) in [(name, qty) for name, _, _, qty in exchange.resting()]


def test_a_reconcile_is_a_plan(page: Page) -> None:
    reply = page.do(do="reconcile")
    assert (reply.status_code, reply.json()["rows"]) == (200, [])


def test_the_enumerations_of_the_description_are_those_of_the_program(page: Page) -> None:
    place = described("place")["properties"]
    assert place["side"] == {"enum": ["yes", "no"]}
    for name, field in place.items():
        for value in field.get("enum", ()):
            assert page.post("plans", ORDER | {name: value}).json().get("error", {}).get("exit_code", 3) != 2, name
        if "enum" in field:
            assert page.post("plans", ORDER | {name: "odd"}).status_code == 400, name


def test_every_execution_says_what_it_did_in_a_sentence_and_in_rows(page: Page, exchange: Served) -> None:
    order_id = page.do(**ORDER).json()["rows"][0]["order_id"]
    requests: list[dict[str, str]] = [
        ORDER,
        {"do": "amend", "order_id": order_id, "side": "yes", "price": "0.11"},
        {"do": "decrease", "order_id": order_id, "to": "1"},
        {"do": "cancel", "order_id": order_id},
        {"do": "reconcile"},
        {"do": "close", "ticker": TWO_SIDED, "count": "1"},
        {"do": "lock", "ticker": TWO_SIDED, "for": "1h", "reason": "news"},
        {"do": "unlock", "ticker": TWO_SIDED},
        {"do": "watch", "list": "rain", "tickers": f"{TWO_SIDED} {EMPTY}"},
        {"do": "unwatch", "list": "rain", "tickers": ""},
        {"do": "pause", "reason": "a test"},
        {"do": "resume", "reason": "a test"},
        {"do": "kill"},
    ]
    assert {each["do"] for each in requests} == set(WRITES)
    specification = openapi()
    schema = specification["paths"]["/plans/{plan_id}/execute"]["post"]["responses"]["200"]
    rows = schema["content"]["application/json"]["schema"]["properties"]["rows"]
    resting = len(exchange.resting())
    for request in requests:
        reply = page.do(**request)
        assert reply.status_code == 200, reply.text
        assert reply.json()["result"], request
        assert reply.json()["rows"] or request["do"] == "reconcile", request
        OAS31Validator({**rows, "components": specification["components"]}).validate(reply.json()["rows"])
        if request["do"] == "lock":
            assert reply.json()["rows"][0]["reason"] == "news"
    assert reply.json()["result"] == f"Trading is halted; canceled {resting} orders, 0 left"


def test_a_cancel_of_a_canceled_order_is_a_conflict_and_has_its_row(page: Page) -> None:
    order_id = page.do(**ORDER).json()["rows"][0]["order_id"]
    assert page.do(do="cancel", order_id=order_id).status_code == 200
    again = page.do(do="cancel", order_id=order_id)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_canceled")
    (row,) = again.json()["rows"]
    assert (row["order_id"], row["canceled"], row["code"]) == (order_id, False, "already_canceled")
    OAS31Validator(openapi()["components"]["schemas"]["Error"]).validate(again.json())
    assert page.do(do="cancel", order_id="nothing").status_code == 404
