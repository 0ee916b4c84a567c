"""`kalshi serve` as a process: its page, its API and its event stream, over real sockets."""

from __future__ import annotations

import inspect
import json
import re
import socket
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from support.backtests import save_report
from support.hostile_text import TITLE, harmful
from support.places import ROOT
from support.read_only import code, is_possible
from support.served import EMPTY, ME, NO_TLS, TWO_SIDED, Served, eventually, finish, program, said, start
from support.web_page import Page, common_page

from kalshi_cli.base.units import format_money
from kalshi_cli.cli.commands.orders import STATUSES
from kalshi_cli.services.markets.service import MarketService
from kalshi_cli.web.openapi import openapi
from kalshi_cli.web.reads import ORDER_STATUSES, READS
from kalshi_cli.web.statuses import HTTP_STATUSES
from kalshi_cli.web.writes import WRITES

TOKEN = "x" * 40


@pytest.fixture
def page(exchange: Served, request: pytest.FixtureRequest) -> Iterator[Page]:
    exchange.trade_a_little()
    made = Page(exchange, *getattr(request, "param", ()))
    yield made
    made.close()


@pytest.fixture(scope="module")
def common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """For tests that change nothing."""
    with common_page(tmp_path_factory.mktemp("common"), "--allow-writes") as made:
        yield made


def test_every_read_returns_what_its_description_says(page: Page, exchange: Served) -> None:
    described = openapi()
    assert page.get("openapi.json").json() == described
    components = described["components"]["schemas"]
    program("watchlist", "add", "rain", TWO_SIDED, EMPTY)
    save_report(exchange.state / "sim" / "reports" / "monday" / "report.json")
    names = {"runbooks": "kill-switch", "watchlists": "rain", "reports": "monday"}
    for read in READS:
        name = names.get(read.path.partition("/")[0])
        reply = page.get(read.path.format(ticker=TWO_SIDED, name=name, order_id=exchange.resting()[0][0]))
        assert reply.status_code == 200, (read.path, reply.text)
        rows = reply.json() if read.is_list else [reply.json()]
        validator = OAS31Validator(components[read.view.__name__])
        assert rows or read.path in ("settlements", "candles", "alerts"), read.path
        for row in rows:
            validator.validate(row)


def test_the_statuses_of_errors_are_in_the_description_and_on_the_page_of_the_api() -> None:
    words = {int(status): each.words for status, each in HTTP_STATUSES.items()}
    page = (ROOT / "docs" / "screens.md").read_text()
    assert all(f"| {status} | {meaning} |" in page for status, meaning in words.items())
    del words[405]  # an operation has its method
    listed = {
        path: {
            int(status): reply["description"] for status, reply in operation["responses"].items() if status[0] in "45"
        }
        for path, operations in openapi()["paths"].items()
        for operation in operations.values()
    }
    assert listed["/plans"] == listed["/plans/{plan_id}/execute"] == words
    assert listed["/orders/{order_id}"].keys() == words.keys() - {403, 409}
    assert listed["/status"].keys() == words.keys() - {403, 404, 409}
    assert listed["/events"].keys() == {401, 421, 429, 500, 503}


def test_a_hostile_title_does_nothing_in_an_answer(page: Page, exchange: Served) -> None:
    exchange.retitle(TWO_SIDED, TITLE)
    for path in (f"markets/{TWO_SIDED}", "markets", "portfolio"):
        reply = page.get(path)
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"].startswith("application/json")
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert harmful(reply.text) == "", path
        assert "onerror" in reply.text, "it arrives, as text"


def test_the_event_stream_begins_with_everything(common: Page) -> None:
    with common.visitor.stream("GET", "/api/v1/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        line = next(line for line in stream.iter_lines() if line.startswith("data: ") and '"run"' in line)
    found = json.loads(line.removeprefix("data: "))
    assert found["run"]["env"] == "sim"
    assert {row["ticker"] for row in found["positions"]} >= {TWO_SIDED}
    OAS31Validator({"anyOf": [{}]}).validate(found)


def test_the_page_is_served_with_strict_headers_and_nothing_remote(common: Page) -> None:
    total = 0
    for path in ("/", "/page.js", "/page.css", "/icon.svg"):
        reply = httpx.get(common.address + path, verify=NO_TLS)
        assert reply.status_code == 200
        assert reply.headers["content-security-policy"].startswith("default-src 'self'")
        assert reply.headers["x-frame-options"] == "DENY"
        assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", reply.text.replace("http://www.w3.org", ""))
        total += len(reply.content)
    assert total <= 150_000


def test_strangers_get_nothing(common: Page) -> None:
    with httpx.Client(base_url=common.address, verify=NO_TLS) as stranger:
        _strangers(common, stranger)


def _strangers(page: Page, stranger: httpx.Client) -> None:
    error = stranger.get("/api/v1/portfolio").json()["error"]
    assert error["code"] == "no_session"
    assert error["hint"] == "a program sends a line of its --token-file; see docs/screens.md"
    assert error["exit_code"] == 5
    wrong = stranger.get("/api/v1/portfolio", headers={"authorization": "Bearer no"})
    assert (wrong.status_code, wrong.json()["error"]["exit_code"]) == (401, 5)
    assert stranger.get("/", headers={"host": "evil.example"}).status_code == 421
    assert stranger.get("/api/v1/portfolio/../../../etc/passwd").status_code in (401, 404)
    assert page.visitor.get("/page/../server.py").status_code == 404
    assert stranger.get("/login", params={"link": "guess"}).status_code == 403
    foreign = page.visitor.post(
        "/api/v1/plans", json={"do": "pause", "reason": "x"}, headers={"origin": "https://evil.example"}
    )
    assert foreign.json()["error"]["code"] == "foreign_origin"
    second = stranger.get(page.link())
    assert second.status_code == 303, "a new link was shown after the first was used"
    cookie = second.headers["set-cookie"].lower()
    assert "samesite=strict" in cookie
    assert "httponly" in cookie


def test_without_an_option_nothing_can_be_changed(page: Page, exchange: Served) -> None:
    assert page.get("allowed").json() == {"stop": False, "write": False}
    for name, write in WRITES.items():
        reply = page.post("plans", {"do": name, **dict.fromkeys(write.fields, "1h")})
        assert reply.status_code == 403, name
        assert reply.json()["error"]["code"] == "not_allowed"
    assert len(exchange.resting()) == 2


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_an_amend_takes_a_price_a_count_or_both(page: Page, exchange: Served) -> None:
    (order,) = (each for each in page.get("orders").json() if each["price"] == "0.5500")
    amend = {"do": "amend", "order_id": order["order_id"], "side": "yes"}
    assert page.post("plans", amend).status_code == 400
    assert page.post("plans", {**amend, "count": "0.001"}).status_code == 400
    assert page.post("plans", {**amend, "size": "1"}).status_code == 400
    for change, wanted in (
        ({"count": "4"}, (5_500, 400)),
        ({"price": "0.56"}, (5_600, 400)),
        ({"price": "0.57", "count": "2"}, (5_700, 200)),
    ):
        assert page.do(**amend, **change).status_code == 200
        assert wanted in [(price, qty) for _, _, price, qty in exchange.resting()]
    body = openapi()["paths"]["/plans"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    (described,) = (each for each in body["oneOf"] if each["properties"]["do"]["const"] == "amend")
    assert described["required"] == ["do", "order_id", "side"]
    assert {"price", "count"} <= described["properties"].keys()


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_a_close_of_nothing_or_of_too_much_is_refused_and_a_part_is_closed(page: Page) -> None:
    refused = page.post("plans", {"do": "close", "ticker": EMPTY})
    assert (refused.status_code, refused.json()["error"]["message"]) == (409, f"No open position in {EMPTY}")
    (held,) = (each for each in page.get("positions").json() if each["ticker"] == TWO_SIDED)
    close = {"do": "close", "ticker": TWO_SIDED}
    for count in ("1000", "0", "x"):
        assert page.post("plans", {**close, "count": count}).status_code == 400
    plan = page.post("plans", {**close, "count": "1"}).json()
    assert f"{TWO_SIDED}: 1 of {float(held['count']):g} {held['side'].upper()}: " in plan["facts"][0]
    assert page.do(**close, count="1").json()["rows"][0]["closed"] == "1.00"


@pytest.mark.parametrize("page", [["--allow-stop"]], indirect=True)
def test_stop_allows_pause_cancel_and_kill_and_no_more(page: Page, exchange: Served) -> None:
    order_id = page.get("orders").json()[0]["order_id"]
    plan = page.post("plans", {"do": "cancel", "order_id": order_id}).json()
    assert f"Order {order_id[:8]} on " in plan["facts"][1], "the terms of the order, not only its id"
    canceled = page.do(do="cancel", order_id=order_id)
    assert canceled.status_code == 200
    assert canceled.json()["rows"] == [{"order_id": order_id, "canceled": True, "code": None, "detail": None}]
    assert order_id not in [each for each, *_ in exchange.resting()]
    assert page.do(do="pause", reason="a test").status_code == 200
    assert page.get("status").json()["paused"] is True
    assert page.post("plans", {"do": "resume", "reason": "x"}).status_code == 403
    assert page.do(do="kill").status_code == 200
    assert exchange.resting() == []
    assert page.get("status").json()["state"] == "halted"


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_a_write_is_planned_shown_and_executed_once(page: Page, exchange: Served) -> None:
    order = {"do": "place", "ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": "3", "price": "0.10"}
    plan = page.post("plans", order).json()
    described = openapi()["paths"]["/plans"]["post"]["responses"]["200"]["content"]["application/json"]["schema"]
    OAS31Validator({**described, "additionalProperties": False}).validate(plan)
    assert any("0.10" in fact for fact in plan["facts"])
    assert len(exchange.resting()) == 2, "a plan sends nothing"
    where = f"plans/{plan['plan_id']}/execute"
    wrong = page.post(where, {"digest": "wrong"})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (409, "WRONG_DIGEST")
    reply = page.post(where, {"digest": plan["digest"]})
    assert reply.status_code == 200
    (row,) = reply.json()["rows"]
    assert (row["ticker"], row["price"], row["remaining"]) == (TWO_SIDED, "0.1000", "3.00")
    assert row["order_id"] in [each for each, *_ in exchange.resting()]
    assert len(exchange.resting()) == 3
    again = page.post(where, {"digest": plan["digest"]})
    assert (again.status_code, again.content) == (200, reply.content)
    assert len(exchange.resting()) == 3


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_a_repeat_after_a_lost_reply_gets_the_reply_and_sends_nothing(page: Page, exchange: Served) -> None:
    order = {"do": "place", "ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": "3", "price": "0.10"}
    plan = page.post("plans", order).json()
    where = f"plans/{plan['plan_id']}/execute"
    request = page.visitor.build_request("POST", f"/api/v1/{where}", json={"digest": plan["digest"]})
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    with socket.create_connection((request.url.host, request.url.port or 80)) as visitor:
        visitor.sendall(f"POST {request.url.path} HTTP/1.1\r\n{head}\r\n".encode() + request.read())
    eventually(lambda: len(exchange.resting()) == 3)
    replies = [page.post(where, {"digest": plan["digest"]}) for _ in range(2)]
    assert {(reply.status_code, reply.content) for reply in replies} == {(200, replies[0].content)}
    assert replies[0].json()["rows"][0]["order_id"] in [each for each, *_ in exchange.resting()]
    assert len(exchange.resting()) == 3


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_an_order_takes_an_id_and_a_time_in_force(page: Page, exchange: Served) -> None:
    order = {"do": "place", "ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": "3", "price": "0.10"}
    (row,) = page.do(**order, client_order_id="daily-1").json()["rows"]
    assert (row["client_order_id"], row["status"]) == ("daily-1", "resting")
    assert page.get("orders/daily-1").json()["order_id"] == row["order_id"]
    used = page.post("plans", {**order, "client_order_id": "daily-1"})
    assert (used.status_code, used.json()["error"]["code"]) == (409, "DUPLICATE_ID")
    assert used.json()["error"]["order_id"] == row["order_id"]
    one, two = (page.post("plans", {**order, "client_order_id": "daily-2"}).json() for _ in range(2))
    replies = [page.post(f"plans/{plan['plan_id']}/execute", {"digest": plan["digest"]}) for plan in (one, two)]
    assert [reply.status_code for reply in replies] == [200, 409]
    assert replies[1].json()["error"]["code"] == "DUPLICATE_ID"
    (row,) = page.do(**order, tif="ioc").json()["rows"]
    assert (row["filled"], row["status"]) == ("0.00", "canceled")
    assert page.post("plans", {**order, "tif": "day"}).status_code == 400
    assert len(exchange.resting()) == 4


def test_bad_input_gets_one_clear_line(common: Page) -> None:
    order = {"do": "place", "ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": "-3", "price": "2"}
    bad: tuple[tuple[str, object, int], ...] = (
        ("plans", [], 400),
        ("plans", {"do": "place"}, 400),
        ("plans", {"do": 7}, 400),
        ("plans", {"do": "pause", "reason": "x" * 201}, 400),
        ("plans", {"do": "pause", "reason": "x", "more": "y"}, 400),
        ("plans", {"do": "shutdown"}, 400),
        ("plans", order, 400),
        ("plans/unknown/execute", {"digest": "x"}, 409),
    )
    for path, body, status in bad:
        reply = common.post(path, body)
        assert reply.status_code == status, (body, reply.text)
        assert set(reply.json()["error"]) == {"code", "message", "hint", "exit_code"}, body
        assert reply.json()["error"]["exit_code"] == (7 if status == 409 else 2), body
        OAS31Validator(openapi()["components"]["schemas"]["Error"]).validate(reply.json())


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_an_order_with_a_key_twice_or_an_id_that_cannot_be_shown_is_refused(page: Page, exchange: Served) -> None:
    order = {"do": "place", "ticker": TWO_SIDED, "side": "yes", "action": "buy", "count": "3", "price": "0.24"}
    before = exchange.resting()
    twice = json.dumps(order)[:-1] + ', "price": "0.25"}'
    reply = page.visitor.post("/api/v1/plans", content=twice, headers={"content-type": "application/json"})
    assert (reply.status_code, reply.json()["error"]["message"]) == (400, "Duplicate key: price")
    for wrong, says in (
        ({"client_order_id": "v1.0"}, "client_order_id must have only letters, digits, - and _"),
        ({"client_order_id": "a b\nc"}, "client_order_id must have only letters, digits, - and _"),
        ({"side": "YES"}, "side must be one of yes, no"),
        ({"count": "1_0"}, "count: invalid count"),
    ):
        reply = page.post("plans", order | wrong)
        assert reply.status_code == 400
        assert reply.json()["error"]["message"].startswith(says)
    assert exchange.resting() == before


def test_a_lock_without_a_duration_or_a_market_is_refused_at_the_plan(common: Page) -> None:
    for ticker, lasts, status, says in (
        (TWO_SIDED, "3", 400, "for: add a unit"),
        (TWO_SIDED, "abc", 400, "for: invalid duration"),
        (TWO_SIDED, "-3h", 400, "for: "),
        (TWO_SIDED, "99999d", 400, "for: "),
        ("NOPE", "3h", 404, "No market NOPE"),
    ):
        reply = common.post("plans", {"do": "lock", "ticker": ticker, "for": lasts})
        assert reply.status_code == status, lasts
        assert reply.json()["error"]["message"].startswith(says), lasts


def test_a_wrong_method_names_the_right_one(common: Page) -> None:
    change = 'to change or cancel something: POST /api/v1/plans, such as {"do": "cancel", "order_id": "ID"}'
    for method, path, allowed, hint in (
        ("DELETE", "orders/7", "GET, HEAD", f"use GET or HEAD; {change}"),
        ("GET", "plans", "POST", "use POST"),
        ("PUT", "plans", "POST", "use POST"),
    ):
        reply = common.visitor.request(method, f"/api/v1/{path}")
        assert (reply.status_code, reply.json()["error"]["code"]) == (405, "wrong_method"), method
        assert reply.headers["allow"] == allowed, method
        assert reply.json()["error"]["hint"] == hint, method
        OAS31Validator(openapi()["components"]["schemas"]["Error"]).validate(reply.json())


def test_a_history_is_read_in_periods(common: Page) -> None:
    fills = common.get("fills").json()
    newest = max(fill["time"] for fill in fills)
    for path in ("orders", "fills", "settlements", f"markets/{TWO_SIDED}/trades", f"markets/{TWO_SIDED}/candles"):
        assert common.get(f"{path}?since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z").json() == [], path
        for wrong in ("since=yesterday", "until=2026-11-01"):
            reply = common.get(f"{path}?{wrong}")
            assert (reply.status_code, reply.json()["error"]["hint"]) == (400, "such as 2026-11-01T00:00:00Z"), path
    since, until = (common.get(f"fills?{name}={newest}").json() for name in ("since", "until"))
    assert {fill["time"] for fill in since} == {newest}
    assert len(since) + len(until) == len(fills), "until is exclusive"


def test_queries_are_checked(common: Page) -> None:
    for path in (
        "orders?limit=0",
        "orders?limit=1&limit=2",
        "orders?limit=1e9",
        "orders?offset=-1",
        "orders?offset=10001",
        "positions?offset=1",
        "orders/nothing",
        "orders?nonsense=1",
        "pnl?by=color",
        f"markets/{TWO_SIDED}/candles?interval=5m",
        "orders?status=odd",
        "markets?status=odd",
        "markets/NOPE/orderbook",
    ):
        reply = common.get(path)
        assert reply.status_code in (400, 404), (path, reply.text)
        assert reply.json()["error"]["message"]
    assert common.get("orders?status=filled").json() == common.get("orders?status=executed").json() != []
    odd = common.get("orders?status=odd")
    assert (odd.status_code, odd.json()["error"]["hint"]) == (400, "one of resting, canceled, filled, executed, all")
    assert ORDER_STATUSES == STATUSES, "those of the command line"
    unknown = common.get("markets?series=nope")
    assert (unknown.status_code, unknown.json()["error"]["message"]) == (404, "No series NOPE")
    unknown = common.get("markets?event=nope")
    assert (unknown.status_code, unknown.json()["error"]["message"]) == (404, "No event NOPE")
    event = TWO_SIDED.rpartition("-")[0]
    assert {row["event_ticker"] for row in common.get(f"markets?event={event.lower()}").json()} == {event}
    too_long = common.visitor.post("/api/v1/plans", content=b"[" * 20_000, headers={"content-type": "application/json"})
    assert too_long.status_code == 400


def test_a_list_that_is_cut_names_the_next_part(common: Page) -> None:
    for path in ("orders?status=all", "fills", f"markets/{TWO_SIDED}/trades", "markets?status=open"):
        whole = common.get(path)
        assert "link" not in whole.headers, path
        assert len(whole.json()) > 1, path
        reply = common.get(f"{path}{'&' if '?' in path else '?'}limit=1")
        found = reply.json()
        while reply.links:
            assert len(found) < len(whole.json()), path
            reply = common.visitor.get(reply.links["next"]["url"])
            assert len(reply.json()) == 1, path
            found += reply.json()
        assert found == whole.json(), path


def test_the_end_of_a_list_is_no_error(common: Page) -> None:
    reply = common.get("orders?offset=10000")
    assert (reply.status_code, reply.json(), "link" in reply.headers) == (200, [], False)


def test_lists_are_as_long_as_on_the_command_line(common: Page) -> None:
    paths = openapi()["paths"]
    usual = {path: each["schema"]["default"] for path, read in paths.items() if "get" in read
             for each in read["get"].get("parameters", []) if each["name"] == "limit"}  # fmt: skip
    assert usual.pop("/orders") == 1_000
    assert set(usual.values()) == {inspect.signature(MarketService.list).parameters["limit"].default}
    assert common.get("markets").json() == common.get("markets?limit=50").json()


def test_an_order_is_found_by_either_id(common: Page) -> None:
    row = common.get("orders").json()[0]
    assert row.pop("closing") == "2.50", "the list alone says what it does to the position"
    assert common.get(f"orders/{row['order_id']}").json() == row
    missing = common.get("orders/no-such-order-id")
    assert (missing.status_code, missing.json()["error"]["exit_code"]) == (404, 4)


def test_every_action_is_in_the_table_of_the_page() -> None:
    table = (ROOT / "docs/screens.md").read_text()
    for name, write in WRITES.items():
        ((fields, option),) = re.findall(rf"^\| `{name}` \|(.*)\| `(.*)` \|$", table, re.MULTILINE)
        assert re.findall(r"`(\w+)`", fields) == [*write.fields, *write.optional], name
        assert option == ("--allow-stop" if write.is_stop else "--allow-writes"), name


def test_programs_use_a_token_of_a_private_file(exchange: Served) -> None:
    tokens = exchange.home / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text(TOKEN + "\n")
    page = Page(exchange, "--token-file", tokens)
    try:
        reply = httpx.get(
            f"{page.address}/api/v1/portfolio", headers={"authorization": f"Bearer {TOKEN}"}, verify=NO_TLS
        )
        assert reply.status_code == 200
    finally:
        page.close()


def test_an_unsafe_start_is_refused(exchange: Served) -> None:
    for name, mode, text in (("short", 0o600, "abc"), ("public", 0o644, TOKEN)):
        (exchange.home / name).touch(mode=mode)
        (exchange.home / name).write_text(text)
    for option, value, words in (
        ("--host", "0.0.0.0", "needs TLS and a token"),
        ("--tls-cert", "cert.pem", "both a certificate and a key"),
        ("--token-file", "missing", "cannot be opened"),
        ("--token-file", "short", "at least 32 characters"),
        ("--token-file", "public", "others"),
    ):
        ended = finish(start(["serve", "--port", "0", option, value], exchange.variables(), exchange.home))
        assert ended.code == 2, value
        assert words in ended.err or "access" in ended.err, value
        assert "hint:" in ended.err, value


def test_a_script_reads_the_address_of_the_api(exchange: Served) -> None:
    (exchange.home / "tokens").touch(mode=0o600)
    (exchange.home / "tokens").write_text(TOKEN)
    words = ["serve", "--port", "0", "--token-file", "tokens", "--json"]
    process = start(words, exchange.variables(), exchange.home)
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        assert "/login?link=" in told["link"]
        token = {"Authorization": f"Bearer {TOKEN}"}
        assert len(httpx.get(f"{told['api']}/markets", params={"limit": "1"}, headers=token).json()) == 1
    finally:
        process.terminate()
        finish(process)


def test_a_port_in_use_is_said(page: Page, exchange: Served) -> None:
    port = page.address.rpartition(":")[2]
    ended = finish(start(["serve", "--port", port], exchange.variables(), exchange.home))
    assert ended.code == 1
    assert "choose another port" in ended.err


def test_server_and_loop_do_not_harm_each_other(exchange: Served) -> None:
    words = ["trade", "--strategy", "market-maker", "--ticker", TWO_SIDED, "--interval", "0.3s", "--yes"]
    loop: subprocess.Popen[str] = start(words, exchange.variables(), exchange.home)
    try:
        eventually(lambda: (exchange.state / "sim" / "events.sock").exists() or loop.poll() is not None)
        page = Page(exchange)
        eventually(lambda: page.get("state").json().get("run", {}).get("running"))
        page.process.kill()
        finish(page.process)
        page.visitor.close()
        assert loop.poll() is None, said(loop)
        page = Page(exchange)
        eventually(lambda: page.get("state").json().get("run", {}).get("running"))
        loop.kill()
        finish(loop)
        eventually(lambda: page.get("state").json()["run"]["running"] is False)
        assert page.process.poll() is None
        page.close()
        assert exchange.call(lambda: exchange.exchange.resting(ME)), "the orders that the killed loop left"
    finally:
        loop.kill()
        finish(loop)


@pytest.mark.parametrize("page", [["--allow-writes"]], indirect=True)
def test_a_watchlist_is_changed_through_a_plan(page: Page) -> None:
    assert page.get("watchlists").json() == []
    assert page.do(do="watch", list="Rain", tickers=f"{TWO_SIDED.lower()} {EMPTY}").status_code == 200
    assert page.get("watchlists").json() == [{"name": "rain", "tickers": [TWO_SIDED, EMPTY]}]
    assert {row["ticker"]: row["bid"] for row in page.get("watchlists/rain").json()} == {
        TWO_SIDED: "0.4400", EMPTY: None,
    }  # fmt: skip
    assert page.post("plans", {"do": "watch", "list": "rain", "tickers": "NOPE"}).status_code == 404
    assert page.post("plans", {"do": "watch", "list": "../x", "tickers": EMPTY}).status_code == 400
    assert page.post("plans", {"do": "watch", "list": "rain", "tickers": " "}).status_code == 400
    assert page.get("watchlists/unknown").status_code == 404
    assert page.do(do="unwatch", list="rain", tickers=EMPTY).status_code == 200
    assert page.get("watchlists").json() == [{"name": "rain", "tickers": [TWO_SIDED]}]
    assert page.do(do="unwatch", list="rain", tickers="").status_code == 200
    assert page.get("watchlists").json() == []


def test_reports_are_found_by_name_and_nothing_else_is(page: Page, exchange: Served) -> None:
    assert page.get("reports").json() == {"folder": str(exchange.state / "sim" / "reports"), "reports": []}
    view = save_report(exchange.state / "sim" / "reports" / "monday.json", strategy=TITLE)
    save_report(exchange.state / "sim" / "secret.json")
    (row,) = page.get("reports").json()["reports"]
    assert (row["name"], row["fills"]) == ("monday", view.fills)
    found = page.get("reports/monday")
    assert found.json()["net"] == format_money(view.net)
    assert harmful(found.text) == ""
    for name in ("../secret", "..%2fsecret", "%2e%2e%2fsecret", "secret", "monday.json", "%00", "x" * 5_000):
        assert page.get(f"reports/{name}").status_code in (404, 400), name


@pytest.mark.skipif(not is_possible(), reason="mounting a folder read-only needs root on Linux")
def test_the_page_works_where_the_state_directory_is_mounted_read_only(exchange: Served) -> None:
    exchange.trade_a_little()
    assert program("status").code == 0
    program("watchlist", "add", "rain", TWO_SIDED)
    assert program("pause", "--reason", "a test").code == 0
    before = {path: path.stat().st_mtime_ns for path in exchange.state.rglob("*") if "pace" not in path.name}
    page = Page(exchange, "--allow-writes", first=code(exchange.state))
    try:
        for path in ("status", "portfolio", "orders", "fills", "pnl", "alerts", "watchlists", "reports"):
            reply = page.get(path)
            assert reply.status_code == 200, (path, reply.text)
        assert page.get("status").json()["paused"] is True
        eventually(lambda: page.get("state").json().get("run", {}).get("equity"))
        planned = page.post("plans", {"do": "resume", "reason": "a test"})
        if planned.status_code == 200:
            plan = planned.json()
            assert page.post(f"plans/{plan['plan_id']}/execute", {"digest": plan["digest"]}).status_code >= 400
        assert page.get("status").json()["paused"] is True
    finally:
        page.close()
    assert {path: path.stat().st_mtime_ns for path in exchange.state.rglob("*") if "pace" not in path.name} == before
