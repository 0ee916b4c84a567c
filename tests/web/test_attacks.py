"""Attacks on `kalshi serve`: slow and silent visitors, many readers, odd hosts and paths, secrets in logs."""

from __future__ import annotations

import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import httpx
import pytest
from support.served import NO_TLS, Served, eventually, finish, said
from support.web_page import Page

from kalshi_cli.web.access import COOKIE
from kalshi_cli.web.connections import MAX_CONNECTIONS, REQUEST_S

TOKEN = "x" * 40


@pytest.fixture
def page(exchange: Served, request: pytest.FixtureRequest) -> Iterator[Page]:
    tokens = exchange.home / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text(TOKEN + "\n")
    made = Page(exchange, "--allow-stop", "--token-file", tokens, first=getattr(request, "param", ""))
    yield made
    made.close()


def connect(page: Page) -> socket.socket:
    host, port = page.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=60)


def ask(page: Page, raw: str) -> tuple[int, str]:
    """Send bytes and return the status and the whole answer; 0 where the server hangs up."""
    with closing(connect(page)) as made:
        made.sendall(raw.replace("\n", "\r\n").encode("latin-1"))
        answer = b""
        while b"\r\n\r\n" not in answer and (chunk := made.recv(65_536)):
            answer += chunk
    text = answer.decode("latin-1")
    return int(text.split()[1]) if text else 0, text


def test_visitors_who_send_nothing_keep_nobody_out(page: Page) -> None:
    with ExitStack() as stack:
        silent = [stack.enter_context(closing(connect(page))) for _ in range(2 * MAX_CONNECTIONS)]
        for each in silent[::2]:
            try:
                each.sendall(b"GET /api/v1/portfolio HTTP/1.1\r\nHost: ")  # half a head
            except OSError:  # it made way already
                continue
        started = time.monotonic()
        assert page.get("status").status_code == 200
        assert page.do(do="pause", reason="a test").status_code == 200, "the stop button works"
        assert time.monotonic() - started < REQUEST_S


SHORT = "from kalshi_cli.web import connections, server; connections.REQUEST_S = server.BODY_S = 0.5"


@pytest.mark.parametrize("page", [SHORT], indirect=True)
def test_a_visitor_who_sends_half_a_request_is_hung_up_on(page: Page) -> None:
    with closing(connect(page)) as silent:
        silent.sendall(b"GET /api/v1/portfolio HTTP/1.1\r\nHost: ")
        assert silent.recv(10) == b"", "it was closed"


@pytest.mark.parametrize("page", ["from kalshi_cli.web import server; server.MAX_REQUESTS = 2"], indirect=True)
def test_a_request_above_the_limit_is_told_in_json_that_nothing_was_sent(page: Page) -> None:
    host = page.address.removeprefix("http://")
    head = f"POST /api/v1/plans HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 900\r\n\r\n["
    with ExitStack() as stack:

        def is_full() -> bool:
            """Keep one request more waiting for its body; it may be refused itself while another is answered."""
            stack.enter_context(closing(connect(page))).sendall(head.encode())
            return page.get("status").status_code == 503

        eventually(is_full)
        reply = page.post("plans/any/execute", {"digest": "any"})
        error = reply.json()["error"]
        assert (reply.status_code, error["code"], error["exit_code"]) == (503, "too_many_requests", 6)
        assert "sent nothing" in error["message"]
    eventually(lambda: page.get("status").status_code == 200)


@pytest.mark.parametrize("page", ["from kalshi_cli.web import server; server.MAX_WAITING = 0"], indirect=True)
def test_a_request_that_would_wait_too_long_is_told_when_to_come_again(page: Page) -> None:
    reply = page.get("status")
    assert (reply.status_code, reply.json()["error"]["exit_code"]) == (503, 6)
    assert reply.headers["retry-after"] == "1"


@pytest.mark.parametrize("page", [SHORT], indirect=True)
def test_a_body_that_never_ends_is_refused(page: Page) -> None:
    host = page.address.removeprefix("http://")
    head = f"POST /api/v1/plans HTTP/1.1\nHost: {host}\nAuthorization: Bearer {TOKEN}\nContent-Type: application/json\n"
    started = time.monotonic()
    status, text = ask(page, head + "Content-Length: 900\n\n[")
    assert status == 400
    assert "not complete" in text or time.monotonic() - started >= 0.5
    status, _ = ask(page, head + "Content-Length: 99999999999\n\n" + "[" * 20_000)
    assert status == 400
    status, _ = ask(page, head + "Transfer-Encoding: chunked\n\n4000\n" + "[" * 0x4000 + "\n4000\n" + "[" * 0x4000)
    assert status == 400
    status, _ = ask(page, head + "X: " + "y" * 200_000 + "\n\n")
    assert status in (0, 400, 431)
    assert ask(page, f"GET /api/v1/status HTTP/1.1\nHost: {host}\nAuthorization: Bearer {TOKEN}\n\n")[0] == 200


def test_a_visitor_who_hangs_up_within_a_body_leaves_nothing_on_the_terminal(page: Page) -> None:
    host = page.address.removeprefix("http://")
    head = f"POST /api/v1/plans HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n"
    with closing(connect(page)) as made:
        made.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 900\r\n\r\n[".encode())
    assert page.get("status").status_code == 200
    page.process.send_signal(signal.SIGINT)
    assert finish(page.process).err.splitlines()[1:] == ["interrupted"], "after the line of the start"


def test_an_interrupt_ends_the_server_in_one_line_although_pages_are_open(page: Page) -> None:
    with page.visitor.stream("GET", "/api/v1/events") as opened:
        chunks = opened.iter_bytes()  # kept, because a reader that is dropped hangs up
        assert next(chunks)
        started = time.monotonic()
        page.process.send_signal(signal.SIGINT)
        ended = finish(page.process)
    assert time.monotonic() - started < 5
    assert ended.err.splitlines()[1:] == ["interrupted"], "after the line of the start"


@pytest.mark.parametrize("page", ["from kalshi_cli.web import server; server.MAX_STREAMS = 4"], indirect=True)
def test_the_number_of_event_readers_is_limited_and_others_are_served(page: Page) -> None:
    with ExitStack() as stack:
        readers = [stack.enter_context(page.visitor.stream("GET", "/api/v1/events")) for _ in range(4)]
        lines = [each.iter_lines() for each in readers]  # kept, because a reader that is dropped hangs up
        assert all(next(each) for each in lines)
        more = stack.enter_context(page.visitor.stream("GET", "/api/v1/events"))
        assert more.status_code == 503
        assert json.loads(more.read())["error"]["code"] == "too_many_streams"
        assert page.get("status").status_code == 200
    eventually(lambda: _opens_a_stream(page))


def _opens_a_stream(page: Page) -> bool:
    with page.visitor.stream("GET", "/api/v1/events") as stream:
        return stream.status_code == 200


def test_hosts_that_are_almost_right_are_refused(page: Page) -> None:
    host = page.address.removeprefix("http://")
    for wrong in (
        f"Host: evil.example\nHost: {host}", f"Host: {host}\nHost: evil.example", f"Host: {host}.", "Host: ", "X: y",
        f"Host: {host}@evil.example", f"Host: evil.example\nX-Forwarded-Host: {host}", f"Host: {host}/",
        f"Host: {host.replace('127.0.0.1', '127.1')}", f"Host: user@{host}",
    ):  # fmt: skip
        status, text = ask(page, f"GET /api/v1/status HTTP/1.1\n{wrong}\nAuthorization: Bearer {TOKEN}\n\n")
        assert status in (400, 421), (wrong, text)
    status, _ = ask(page, "GET http://evil.example/api/v1/status HTTP/1.1\nHost: evil.example\n\n")
    assert status == 421
    assert ask(page, f"GET /api/v1/status HTTP/1.1\nHost: {host}\nAuthorization: Bearer {TOKEN}\n\n")[0] == 200


def test_writes_of_other_sites_are_refused_whatever_their_form(page: Page) -> None:
    cookie = f"{COOKIE}={page.visitor.cookies[COOKIE]}"
    plan = json.dumps({"do": "kill"})
    for headers in (
        {"cookie": cookie},
        {"cookie": cookie, "origin": "null"},
        {"cookie": cookie, "origin": "https://evil.example"},
        {"cookie": cookie, "origin": f"{page.address}.evil.example"},
        {"cookie": cookie, "origin": page.address.upper()},
        {"cookie": cookie, "origin": f"{page.address}/"},
        {"cookie": cookie, "referer": page.address},
        {"cookie": cookie, "sec-fetch-site": "same-origin"},
    ):
        reply = httpx.post(
            f"{page.address}/api/v1/plans", content=plan, headers={"content-type": "application/json", **headers}
        )
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "foreign_origin"), headers
    own = {"cookie": cookie, "origin": page.address}
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        reply = httpx.post(
            f"{page.address}/api/v1/plans", content=plan, headers={**own, "content-type": kind}, verify=NO_TLS
        )
        assert reply.status_code == 400, kind
    for method in ("PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        assert page.visitor.request(method, "/api/v1/plans").status_code in (404, 405)
    assert page.get("plans").status_code in (404, 405), "a link cannot write"
    options = httpx.options(f"{page.address}/api/v1/plans", headers={"origin": "https://evil.example"})
    assert "access-control-allow-origin" not in options.headers


PATHS = (
    "/page.js/../../server.py", "/..%2fserver.py", "/%2e%2e/server.py", "/page/index.html", "//page.js",
    "/page.js%00", "/page.css/", "/..\\server.py", "/api/v1/../../etc/passwd", "/.git/config",
    "/api/v1/reports/..%2f..%2fstate.db",
    "/api/v1/runbooks/..%2f..%2fREADME", "/api/v1/watchlists/..%2f..", "/api/v1/markets/..%2forders", "/PAGE.JS",
)  # fmt: skip


def test_no_path_leads_to_a_file(page: Page) -> None:
    host = page.address.removeprefix("http://")
    for path in PATHS:
        status, text = ask(page, f"GET {path} HTTP/1.1\nHost: {host}\nAuthorization: Bearer {TOKEN}\n\n")
        assert status in (400, 404), (path, text)
        assert "import" not in text, path


def test_no_secret_reaches_a_log_or_an_answer(page: Page, exchange: Served) -> None:
    secrets = [TOKEN, page.visitor.cookies[COOKIE], page.link().rpartition("=")[2]]
    page.get("status")
    page.get("nonsense")
    httpx.get(f"{page.address}/api/v1/status", headers={"authorization": f"Bearer {TOKEN}x"}, verify=NO_TLS)
    httpx.get(f"{page.address}/login", params={"link": secrets[2] + "x"}, verify=NO_TLS)
    ask(page, f"GET /login?link={secrets[2]} HTTP/9.9\nAuthorization: Bearer {TOKEN}\n\n")
    answers = "".join(page.get(path).text for path in ("status", "openapi.json", "state", "allowed", "alerts"))
    logs = "".join(
        path.read_bytes().decode("utf-8", "replace")
        for path in exchange.home.rglob("*")
        if path.is_file() and path.name not in ("tokens", "serve.out")
    )
    assert "status" in logs or logs, "there is a log to look into"
    for secret in secrets:
        assert secret not in logs
        assert secret not in answers
        assert secret not in said(page.process)
    key = exchange.key_path.read_text().splitlines()[1]
    assert key not in answers
