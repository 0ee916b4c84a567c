"""Sending bytes to a web address that was checked, or reading from one, and to nothing else, within a deadline.

No redirects, no proxies, no cookies, TLS always verified. The name is resolved once, judged (`address_guard.py`), and
the connection goes to an address that was judged: a name that stands for another machine a moment later is harmless.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Mapping
from typing import NamedTuple

import certifi
import httpx

from kalshi_cli.base.clock import Clock
from kalshi_cli.net.address_guard import AddressError, Resolve, WebAddress, checked_addresses
from kalshi_cli.net.deadline_transport import DeadlineTransport
from kalshi_cli.net.delivery import CONNECT_S, TOTAL_S, DeliveryResult, classify_response

_PLAIN = {"Accept-Encoding": "identity"}
"""Nothing that is read here is large, and nothing is unpacked."""

MAX_TRIED = 3
"""Addresses of one name that are tried, one after the other."""


class Answer(NamedTuple):
    """What became of a request. Of a `read` that got all of a 200, or an `ask` that got all of anything, `is_whole` is
    true and there are a `body` and `headers`, by name in lower case.
    """

    delivery: DeliveryResult
    is_whole: bool = False
    body: bytes = b""
    headers: Mapping[str, str] = {}
    status: int = 0


class PinnedHttpClient:
    """One address. Safe to use from any thread; each call has its own connection."""

    def __init__(self, address: WebAddress, clock: Clock, resolve: Resolve) -> None:
        self._address = address
        self._clock = clock
        self._resolve = resolve

    def __repr__(self) -> str:
        return f"WebSink({self._address.host!r})"

    def send(
        self, body: bytes, headers: Mapping[str, str], *, method: str = "POST", within_s: float = TOTAL_S
    ) -> DeliveryResult:
        """One attempt. What the other side answers beyond its status is not read."""
        return self._ask(method, body, headers, within_s, 0).delivery

    def read(self, most: int, *, within_s: float = TOTAL_S) -> Answer:
        """What a GET brings, at most so many bytes of it; a longer body is refused."""
        return self._ask("GET", b"", {}, within_s, most)

    def ask(self, method: str, body: bytes, headers: Mapping[str, str], most: int, *, within_s: float) -> Answer:
        """Send a request and read whatever it brings, at most so many bytes of it."""
        return self._ask(method, body, headers, within_s, most, is_any_status=True)

    def _ask(
        self,
        method: str,
        body: bytes,
        headers: Mapping[str, str],
        within_s: float,
        most: int,
        *,
        is_any_status: bool = False,
    ) -> Answer:
        address, where = self._address, f"{method} to {self._address.host}"
        ends_at = self._clock.monotonic() + within_s
        try:
            found = checked_addresses(
                address.host,
                address.port,
                self._resolve,
                allow_private=address.allow_private,
                is_encrypted=address.is_tls,
            )
        except AddressError as error:
            return Answer(DeliveryResult(outcome="refused", text=f"{where} refused: {error}"))
        except OSError:
            return Answer(DeliveryResult(outcome="retry", text=f"{where} failed: its name cannot be resolved"))
        transport = DeadlineTransport(
            self._clock,
            is_tls=address.is_tls,
            context=self._tls if address.is_tls else None,
            addresses=found[:MAX_TRIED],
        )
        request = httpx.Request(
            method,
            self._url,
            headers={"Host": self._host_header, "User-Agent": "kalshi-cli", **_PLAIN, **headers},
            content=body or None,
            extensions={
                "timeout": {"connect": CONNECT_S, "read": within_s, "write": within_s},
                "deadline": ends_at,
            },
        )
        try:
            response = transport.handle_request(request)
            try:
                return self._answer(response, where, most, is_any_status=is_any_status)
            finally:
                response.close()
        except httpx.TimeoutException:
            return Answer(DeliveryResult(outcome="retry", text=f"{where} failed: timeout"))
        except httpx.ConnectError as error:
            # A TLS error says things of the certificate that are not repeated here.
            is_tls = isinstance(error.__cause__, ssl.SSLError)
            why = "its certificate does not prove that it is this host" if is_tls else "no connection"
            return Answer(DeliveryResult(outcome="retry", text=f"{where} failed: {why}"))
        except httpx.RequestError:
            return Answer(
                DeliveryResult(outcome="retry", text=f"{where} failed: the connection broke, or it does not speak HTTP")
            )
        finally:
            transport.close()

    def _answer(self, response: httpx.Response, where: str, most: int, *, is_any_status: bool) -> Answer:
        """Read a response as far as it is wanted."""
        status, headers = response.status_code, dict(response.headers.items())
        delivery = classify_response(where, status, headers.get("retry-after", ""), self._clock.now())
        if not most or (status != 200 and not is_any_status):
            return Answer(delivery)
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            text = f"{where} failed: it answers in an encoding that was not asked for"
            return Answer(DeliveryResult(outcome="refused", text=text))
        assert isinstance(response.stream, httpx.SyncByteStream)
        kept = b""
        for part in response.stream:
            kept += part
            if len(kept) > most:
                text = f"{where} failed: it answers with more than {most} bytes"
                return Answer(DeliveryResult(outcome="refused", text=text))
        return Answer(delivery, True, kept, headers, status)

    @property
    def _url(self) -> httpx.URL:
        """From the parts that were checked, so that no second reader understands the text otherwise."""
        address = self._address
        return httpx.URL(
            scheme="https" if address.is_tls else "http",
            host=address.host,
            port=address.port,
            raw_path=address.target.encode("ascii"),
        )

    @property
    def _host_header(self) -> str:
        host = f"[{self._address.host}]" if ":" in self._address.host else self._address.host
        return host if self._address.port == (443 if self._address.is_tls else 80) else f"{host}:{self._address.port}"

    @functools.cached_property
    def _tls(self) -> ssl.SSLContext:
        """Trusts whom this machine trusts, and the usual authorities where it knows none."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # whatever SSLKEYLOGFILE says
        context.load_default_certs()
        context.load_verify_locations(certifi.where())
        return context
