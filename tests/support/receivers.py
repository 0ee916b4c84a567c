"""Real receivers on this machine: a web server that behaves as its path says, a mail server, and a notice to send."""

from __future__ import annotations

import asyncio
import http.server
import importlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from aiosmtpd.smtp import SMTP, AuthResult

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Ts
from kalshi_cli.config.schema import AlertChannel
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.notify import apprise_channels
from kalshi_cli.notify.notifier import Notifier

METADATA = "http://169.254.169.254/latest/meta-data/"
HUGE = 256 << 20
PATIENCE_S = 60.0  # for what will happen, however slow the machine
BRIEFLY_S = 0.3  # for what will not


def notice(**changes: Any) -> Notice:
    usual: dict[str, Any] = {
        "notice_id": "n-1", "kind": "firing", "tier": "critical", "event": "error", "code": "ORDER_UNKNOWN",
        "subject": "KXBTC-26NOV21", "text": "an order whose fate is not known", "env": "demo",
        "since": Ts(1_795_258_800_000), "ts": Ts(1_795_258_801_500), "value": "1", "limit": "0", "unit": "orders",
        "runbook": "unknown-order", "command": "kalshi order reconcile",
    }  # fmt: skip
    return Notice(**(usual | changes))


def notifier(resolve: Callable[[str, int], list[str]] | None = None, **sinks: AlertChannel | str) -> Notifier:
    made = {name: AlertChannel(url=sink) if isinstance(sink, str) else sink for name, sink in sinks.items()}
    return Notifier(made, SystemClock(), resolve) if resolve else Notifier(made, SystemClock())


class Asked(NamedTuple):
    """A request that arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float
    """On the monotonic clock."""


class Receiver(http.server.ThreadingHTTPServer):
    """Answers as the first part of the path says: a status, or `slow`, `huge`, `drip`, `never`, `garbage`."""

    daemon_threads = True

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.asked: list[Asked] = []
        self.ends = threading.Event()
        self.written = 0
        self.reply = b"ok"
        self.location = METADATA
        self.scheme = "https" if tls else "http"
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.server_port}/{path}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves early, or shows no good certificate, is what is tested."""


class _Answer(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append(Asked(self.command, self.path, dict(self.headers), body, time.monotonic()))
        kind = self.path.split("/")[1]
        if kind == "never":
            self.server.ends.wait()
        elif kind == "garbage":
            self.wfile.write(b"\x00\x01 what?\r\n\r\n")
        elif kind == "drip":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            while not self.server.ends.wait(0.02):
                self.wfile.write(b"x")
        elif kind == "huge":
            self.send_response(200)
            self.send_header("Content-Length", str(HUGE))
            self.end_headers()
            while self.server.written < HUGE:
                self.server.written += self.wfile.write(bytes(1 << 20))
        else:
            if kind == "slow":
                self.server.ends.wait(0.2)
            self._plain(int(kind) if kind.isdecimal() and len(kind) == 3 else 200)

    def _plain(self, status: int) -> None:
        self.send_response(status)
        if status == 429:
            self.send_header("Retry-After", self.path.split("/")[2])
            self.send_header("X-RateLimit-Remaining", "0")
            self.send_header("X-RateLimit-Reset", "4102444800")  # in 2100
        if 300 <= status < 400:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", str(len(self.server.reply)))
        self.end_headers()
        self.wfile.write(self.server.reply)

    do_GET = do_POST  # noqa: N815 (its library's name)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    server = Receiver(tls)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.ends.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def nobody() -> Iterator[str]:
    """A web address at which nobody listens, and nobody else begins to meanwhile."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{held.getsockname()[1]}"


# -- mail ---------------------------------------------------------------------------------------------------------


class Letter(NamedTuple):
    sender: str
    to: list[str]
    content: bytes


class Mailbox:
    """What a mail server took. `refuses` is what it answers instead of taking."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.refuses = ""
        self.port = 0

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 (aiosmtpd's name)
        if self.refuses:
            return self.refuses
        self.letters.append(Letter(envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 taken"


@contextmanager
def mail_server(password: str = "") -> Iterator[Mailbox]:
    """On any free port, without TLS; with a password where one is wanted."""
    box, loop = Mailbox(), asyncio.new_event_loop()

    def authenticator(_server: Any, _session: Any, _envelope: Any, _mechanism: str, given: Any) -> AuthResult:
        return AuthResult(success=given.password == password.encode(), handled=False)  # else nothing is answered

    def session() -> SMTP:
        return SMTP(
            box,
            hostname="mail.example",
            loop=loop,
            authenticator=authenticator,
            auth_require_tls=False,
        )

    server = loop.run_until_complete(loop.create_server(session, "127.0.0.1", 0))
    box.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def end() -> None:
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    try:
        yield box
    finally:
        asyncio.run_coroutine_threadsafe(end(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


TOKEN = "0123456789abcdef"


LONG = TOKEN * 2


ADDRESSES = {
    "slack": "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ",
    "discord": "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js",
    "tgram": f"tgram://123456789:AAE{LONG}/12315544",
    "gchat": "gchat://workspace/key/token",
    "webex": f"webex://{'a' * 80}",
    "pagerduty": "pagerduty://INTEGRATION@APIKEY",
    "opsgenie": f"opsgenie://{TOKEN}",
    "pagertree": "pagertree://int_0123456789",
    "splunk": f"splunk://route@{LONG}",
    "victorops": f"victorops://route@{LONG}",
    "squadcast": f"squadcast://{LONG}",
    "signl4": "signl4://secret",
    "ilert": "ilert://il1api0123456789",
    "twilio": f"twilio://AC{LONG}:{LONG}@12345678901/12345678902",
    "vonage": f"vonage://AC012345:{TOKEN}@12345678901/12345678902",
    "nexmo": f"nexmo://AC012345:{TOKEN}@12345678901/12345678902",
    "plivo": f"plivo://{'M' * 25}@{'a' * 40}/12345678901/12345678902",
    "telnyx": "telnyx://KEY0123456789@12345678901/12345678902",
    "clicksend": "clicksend://user:key@12345678902",
    "bulksms": "bulksms://id:secret@12345678902",
    "msgbird": f"msgbird://{'a' * 25}/12345678901/12345678902",
    "seven": f"seven://{'a' * 25}/12345678902",
    "46elks": "46elks://user:pass@+12345678901/+12345678902",
    "threema": f"threema://*THEGWID@{TOKEN}/12345678902",
    "pover": f"pover://{'u' * 30}@{'a' * 30}",
    "pbul": f"pbul://{LONG}",
    "prowl": f"prowl://{'a' * 40}",
    "spush": "spush://KEY012",
}


def in_place_of_theirs(monkeypatch: pytest.MonkeyPatch, receiver: Receiver, status: str = "200") -> None:
    """The services' addresses are the receiver's; it may take its time on a busy machine."""
    for patience in ("CONNECT_S", "TOTAL_S"):
        monkeypatch.setattr(apprise_channels, patience, PATIENCE_S)

    def plugin(module: str) -> Any:
        return importlib.import_module(f"apprise.plugins.{module}")

    monkeypatch.setattr(plugin("slack").NotifySlack, "webhook_url", receiver.url(f"{status}/services"))
    monkeypatch.setattr(plugin("slack").NotifySlack, "api_url", receiver.url(status) + "/api/{}")
    monkeypatch.setattr(plugin("discord").NotifyDiscord, "notify_url", receiver.url(f"{status}/api/webhooks"))
    monkeypatch.setattr(plugin("telegram").NotifyTelegram, "notify_url", receiver.url(f"{status}/bot"))
    monkeypatch.setattr(plugin("twilio").NotifyTwilio, "notify_sms_url", receiver.url(f"{status}/sms"))
    monkeypatch.setitem(plugin("pagerduty").PAGERDUTY_API_LOOKUP, "us", receiver.url(f"{status}/enqueue"))
    monkeypatch.setitem(plugin("opsgenie").OPSGENIE_API_LOOKUP, "us", receiver.url(f"{status}/alerts"))
