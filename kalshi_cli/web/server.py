"""The web server of an account: its page, the JSON API and the event stream, behind the rules of `access`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from html import escape
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kalshi_cli.app.event_source import EventSource, OpenAccount
from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.base.checked import exact_json
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ExitCode, KalshiError, UsageError
from kalshi_cli.base.text import redact, safe_text
from kalshi_cli.base.units import format_ts
from kalshi_cli.views.formats import to_machine
from kalshi_cli.views.frames import to_dict
from kalshi_cli.views.live import LiveEvent
from kalshi_cli.views.order_text import outcome_text
from kalshi_cli.views.own_terms import held_by_market
from kalshi_cli.views.plans import Plan
from kalshi_cli.web.access import COOKIE, Access, Refusal
from kalshi_cli.web.executions import AccountBusyError, PlanExecutions
from kalshi_cli.web.hints import CHANGE_HINT, for_program
from kalshi_cli.web.openapi import openapi
from kalshi_cli.web.reads import READS, Read, ReadQuery
from kalshi_cli.web.statuses import HTTP_STATUSES, status_of
from kalshi_cli.web.writes import plan, rows_of

PAGE = Path(__file__).parent / "page"
FILES = {"": "index.html", "page.js": "page.js", "page.css": "page.css", "icon.svg": "icon.svg"}
"""The files of the page, by their path; nothing else is served from a folder."""

HEADERS = (
    (b"content-security-policy", b"default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)

MAX_BODY = 16_384
"""Bytes of a request."""

MAX_REQUESTS = 64
"""Requests that are answered at a time; a further one is answered with 503."""

MAX_WAITING = 32
"""Requests to the account that wait; a further one is answered with 503."""

BODY_S = 10.0
"""Seconds within which a request must be complete."""

MAX_STREAMS = 16
FRAME_S = 0.2
STILL_S = 5.0
"""Seconds after which a stream without news gets a comment, so that a dead connection is noticed."""

NOTHING: Mapping[str, str] = MappingProxyType({})

T = TypeVar("T")


class WebOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The options of a server: `may_stop` pause, cancel and kill; `may_write` everything. `is_secure`: behind TLS."""

    may_stop: bool = False
    may_write: bool = False
    is_secure: bool = False


class AccountThread:
    """An account that one thread works with, one call after the other; `call` waits without blocking the server."""

    def __init__(self, open_account: OpenAccount, name: str) -> None:
        self._open = open_account
        self._executor = ThreadPoolExecutor(1, name)
        self._kalshi: Kalshi | None = None
        self._waiting = 0

    async def call(self, what: Callable[[Kalshi], T]) -> T:
        """Return the result of `what`, called with the account in its thread."""
        if self._waiting >= MAX_WAITING:
            raise AccountBusyError(
                "Too many requests wait for the account; this one was not begun, and sent nothing",
                hint="send it again in a second",
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, partial(self._call, what))
        finally:
            self._waiting -= 1

    def _call(self, what: Callable[[Kalshi], T]) -> T:
        if self._kalshi is None:
            self._kalshi = self._open()
        return what(self._kalshi)

    def close(self) -> None:
        """Close the account after the call in progress."""

        def close() -> None:
            if self._kalshi is not None:
                self._kalshi.close()

        self._executor.submit(close).result()
        self._executor.shutdown()


class WebApp:
    """The routes. Reads and writes have a thread each, so that the kill switch never waits for a slow list."""

    def __init__(
        self,
        open_account: OpenAccount,
        clock: Clock,
        access: Access,
        options: WebOptions,
        show_link: Callable[[], None],
    ) -> None:
        self._access = access
        self._options = options
        self._show_link = show_link
        self._reads = AccountThread(open_account, "web reads")
        self._writes = AccountThread(open_account, "web writes")
        self._source = EventSource(open_account, clock)
        self._executions = PlanExecutions(clock)
        self._state: LiveEvent | None = None
        self._parts: dict[str, tuple[int, object]] = {}
        self._version = 0
        self._streams = 0
        self.is_ending = False
        """Says whether the server is shutting down. Open event streams then end by themselves."""
        routes = [
            *(Route(f"/{path}", partial(self._file, name)) for path, name in FILES.items()),
            Route("/login", self._login),
            Route("/api/v1/logout", self._logout, methods=["POST"]),
            Route("/api/v1/openapi.json", self._openapi),
            Route("/api/v1/state", self._whole),
            Route("/api/v1/events", self._events),
            Route("/api/v1/allowed", self._allowed),
            Route("/api/v1/equity", self._equity),
            Route("/api/v1/plans", self._plan, methods=["POST"]),
            Route("/api/v1/plans/{plan_id}/execute", self._execute, methods=["POST"]),
            *(Route(f"/api/v1/{read.path}", partial(self._read, read)) for read in READS),
        ]
        handlers = {404: _no_page, 405: _wrong_method, KalshiError: _refused_or_failed, Exception: _bug}
        app = Starlette(routes=routes, exception_handlers=handlers)
        app.router.redirect_slashes = False
        self.asgi: ASGIApp = Guard(app, access)

    def start(self) -> None:
        """Start to follow the event stream."""
        self._source.start()

    def close(self) -> None:
        """Stop, and close the accounts."""
        self._source.stop()
        self._reads.close()
        self._writes.close()

    # -- the page and sessions ----------------------------------------------------------------------------------------

    async def _file(self, name: str, _request: Request) -> Response:
        return FileResponse(PAGE / name)

    async def _login(self, request: Request) -> Response:
        opened = self._access.open_session(request.query_params.get("link", ""))
        if isinstance(opened, Refusal):
            if not self._access.has_link:  # it expired unused, and the terminal shows no other
                self._show_link()
            return _refusal_page(opened) if "text/html" in request.headers.get("accept", "") else refused(opened)
        self._show_link()
        reply = RedirectResponse("/", 303)
        reply.set_cookie(COOKIE, opened, httponly=True, samesite="strict", secure=self._options.is_secure, path="/")
        return reply

    async def _logout(self, request: Request) -> Response:
        self._access.close_session(request.headers)
        return _json({})

    # -- reads --------------------------------------------------------------------------------------------------------

    async def _read(self, read: Read, request: Request) -> Response:
        query = ReadQuery(request.query_params.multi_items())

        def call(kalshi: Kalshi) -> object:
            found = read.call(kalshi, request.path_params, query)
            query.finish()
            return found

        found: Any = await self._reads.call(call)
        write = to_machine(read.view)
        if not read.is_list:
            return _json(write(found))
        rows, after = query.part(found)
        answer = _json([write(row) for row in rows])
        if after is not None:
            there = request.url.include_query_params(offset=after)
            answer.headers["Link"] = f'<{there.path}?{there.query}>; rel="next"'
        return answer

    async def _openapi(self, _request: Request) -> Response:
        return _json(openapi())

    async def _allowed(self, _request: Request) -> Response:
        return _json({"stop": self._options.may_stop or self._options.may_write, "write": self._options.may_write})

    async def _equity(self, _request: Request) -> Response:
        return _json([value / 1_000_000 for value in self._source.equity])

    async def _whole(self, _request: Request) -> Response:
        self._look()
        return _json({name: value for name, (_, value) in self._parts.items()})

    async def _events(self, _request: Request) -> Response:
        if self._streams >= MAX_STREAMS:
            return refused(Refusal(503, "too_many_streams", f"{MAX_STREAMS} pages are open already"))
        return StreamingResponse(self._stream(), media_type="text/event-stream")

    async def _stream(self) -> AsyncIterator[bytes]:
        """Yield the parts that changed; a slow visitor gets the latest values only."""
        self._streams += 1
        seen, still_s = 0, 0.0
        try:
            while not self.is_ending:
                self._look()
                new = {name: value for name, (version, value) in self._parts.items() if version > seen}
                seen = self._version
                still_s = 0.0 if new else still_s + FRAME_S
                if new:
                    yield b"data: " + msgspec.json.encode(new) + b"\n\n"
                elif still_s >= STILL_S:
                    still_s = 0.0
                    yield b": still here\n\n"
                await asyncio.sleep(FRAME_S)
        finally:
            self._streams -= 1

    def _look(self) -> None:
        """Take the newest state, and count a version for each part that differs."""
        newest = self._source.newest()
        if newest is None or newest == self._state:
            return
        before, self._state = self._state, newest
        for field in msgspec.structs.fields(LiveEvent):
            value = getattr(newest, field.name)
            if value is not None and (before is None or value != getattr(before, field.name)):
                self._version += 1
                self._parts[field.name] = (self._version, to_machine(field.type)(value))

    # -- writes -------------------------------------------------------------------------------------------------------

    async def _plan(self, request: Request) -> Response:
        body = await _body(request)
        options = self._options
        service, made, amounts = await self._writes.call(
            lambda kalshi: plan(kalshi, body, may_stop=options.may_stop, may_write=options.may_write)
        )
        self._executions.add(service, made)
        return _json(
            {
                "plan_id": made.plan_id,
                "subject": safe_text(made.subject),
                "facts": [safe_text(fact) for fact in made.facts],
                "warnings": [safe_text(_words_for(request)(warning)) for warning in made.warnings],
                "expires": format_ts(made.expires),
                "digest": made.digest,
                **(to_dict(amounts) if amounts is not None else {}),
            }
        )

    async def _execute(self, request: Request) -> Response:
        async def run(service: str, made: Plan[Any]) -> Response:
            outcome = await self._writes.call(lambda kalshi: getattr(kalshi, service).execute(made))
            self._source.refresh()
            rows = rows_of(made, outcome)
            if (error := getattr(outcome, "error", None)) is not None:
                return _failed(request, error, rows=rows)
            held = held_by_market((self._state.positions if self._state is not None else None) or ())
            said = {"done": made.subject, "result": outcome_text(outcome, held, made) or f"Done: {made.subject}"}
            return _json({name: safe_text(words) for name, words in said.items()} | {"rows": rows})

        body = await _body(request)
        digest = body.get("digest") if isinstance(body, dict) else None
        return await self._executions.execute(request.path_params["plan_id"], digest, run)


class Guard:
    """Asks `access` about every request, limits their number, and adds the security headers to every reply."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access
        self._serving = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name for name, _ in HEADERS}
                message["headers"] = [*(each for each in message["headers"] if each[0] not in names), *HEADERS]
            await send(message)

        refusal = self._judge(Request(scope))
        if refusal is not None:
            await refused(refusal)(scope, receive, send_guarded)
            return
        self._serving += 1
        try:
            await self._app(scope, receive, send_guarded)
        finally:
            self._serving -= 1

    def _judge(self, request: Request) -> Refusal | None:
        if self._serving >= MAX_REQUESTS:
            words = f"{MAX_REQUESTS} requests are being answered; this one was not begun, and sent nothing"
            return Refusal(503, "too_many_requests", words, "send it again in a second", 1)
        refusal = self._access.judge_address(request.headers)
        if refusal is None and _needs_session(request.url.path):
            refusal = self._access.judge(request.method, request.headers)
        return refusal


def _needs_session(path: str) -> bool:
    """Return whether a path shows or changes anything of the account: all but the login and the empty page."""
    return path != "/login" and path.lstrip("/") not in FILES


async def _body(request: Request) -> object:
    """Return the JSON body of a request."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise UsageError("The body must be application/json", hint="send the header Content-Type: application/json")
    body = b""
    try:
        async with asyncio.timeout(BODY_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY:
                    raise UsageError(f"The body is longer than {MAX_BODY} bytes")
    except (TimeoutError, ClientDisconnect) as error:  # after a disconnect the response is not read
        raise UsageError(f"The body was not complete within {BODY_S:g} s") from error
    try:
        msgspec.json.decode(body)  # refuses what Python takes for JSON, such as NaN
        found: object = exact_json(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise UsageError(f"The body is not JSON: {error}") from error
    return found


def _words_for(request: Request) -> Callable[[str], str]:
    """Return the translation of commands in a text: a program has a token; the page has words of its own."""
    return for_program if "authorization" in request.headers else str


def _failed(request: Request, error: KalshiError, **more: object) -> Response:
    """Return an error as JSON, with its HTTP status; `more` has the results of the parts of a plan.

    The words name requests for a program, which has a token, and commands for the page, which has words of its own.
    """
    words = _words_for(request)
    message, details = words(error.message), getattr(error, "details", "")
    texts = {"details": details, "order_id": error.order_id}
    reply = _problem(status_of(error), error.code, message, words(error.hint), error.exit_code, texts, **more)
    if isinstance(error, AccountBusyError):
        reply.headers["Retry-After"] = "1"
    return reply


async def _refused_or_failed(request: Request, error: Exception) -> Response:
    """Return the error that a request raised as JSON."""
    assert isinstance(error, KalshiError)
    return _failed(request, error)


async def _no_page(_request: Request, _error: Exception) -> Response:
    hint = "see /api/v1/openapi.json"
    return _problem(HTTPStatus.NOT_FOUND, "no_page", "There is no such page", hint, ExitCode.USAGE)


async def _wrong_method(request: Request, error: Exception) -> Response:
    headers = getattr(error, "headers", None) or {}
    allowed = ", ".join(sorted(headers.get("Allow", "").split(", ")))
    reply = _problem(
        HTTPStatus.METHOD_NOT_ALLOWED,
        "wrong_method",
        f"{request.method} is not possible here",
        f"use {allowed.replace(', ', ' or ')}{'' if 'POST' in allowed else CHANGE_HINT}",
        ExitCode.USAGE,
    )
    reply.headers["Allow"] = allowed
    return reply


async def _bug(_request: Request, error: Exception) -> Response:
    message = f"A bug in kalshi: {type(error).__name__}"
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "bug", message, "please report it", ExitCode.BUG)


def refused(refusal: Refusal) -> Response:
    """Return the reply to a request that is not served."""
    code = HTTP_STATUSES[refusal.status].unbegun
    reply = _problem(refusal.status, refusal.code, refusal.message, refusal.hint, code)
    if refusal.retry_after_s:
        reply.headers["Retry-After"] = str(refusal.retry_after_s)
    return reply


def _refusal_page(refusal: Refusal) -> Response:
    """Return a refusal as a page, for a browser that opened a link."""
    hint = f"<p>To log in, {escape(refusal.hint)}.</p>" if refusal.hint else ""
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>kalshi</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="page.css">'
        f"</head><body><main><h1>Not logged in</h1><p>{escape(refusal.message)}.</p>{hint}</main></body></html>"
    )
    return Response(page, refusal.status, media_type="text/html")


def _problem(
    status: int, code: str, message: str, hint: str, exit_code: int, known: Mapping[str, str] = NOTHING, **more: object
) -> Response:
    """Return an error as JSON; of the texts that may be `known`, those that are not empty."""
    texts = {"message": message, "hint": hint, **{name: text for name, text in known.items() if text}}
    words = {name: safe_text(redact(text)) for name, text in texts.items()}
    return _json({"error": {"code": code, **words, "exit_code": int(exit_code)}, **more}, status)


def _json(value: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def serve(app: WebApp, listener: socket.socket, certificate: Path | None = None, key: Path | None = None) -> None:
    """Serve until a signal ends it. With `certificate` and `key`, over TLS."""
    import uvicorn

    from kalshi_cli.web.connections import WebConnection, WebServer, drop_unread

    drop_unread(listener)
    config = uvicorn.Config(
        app.asgi, lifespan="off", log_level="warning", access_log=False, server_header=False, date_header=False,
        proxy_headers=False, timeout_keep_alive=15, timeout_graceful_shutdown=1,
        http=WebConnection, ws="none", ssl_certfile=certificate, ssl_keyfile=key,
    )  # fmt: skip
    app.start()
    try:
        WebServer(config, app).run(sockets=[listener])
    finally:
        app.close()
