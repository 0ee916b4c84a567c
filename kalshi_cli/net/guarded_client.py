"""Sends bytes to a checked web address, or reads from it, and contacts nothing else, within a deadline.

No redirects, no proxies, no cookies, and TLS is always verified. The name is resolved once and checked
(`address_guard.py`), and the connection goes to a checked IP address: a later change of the name has no effect.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple

import certifi
import httpx

from kalshi_cli.base.clock import Clock
from kalshi_cli.net.address_guard import AddressError, Resolve, WebAddress, checked_addresses
from kalshi_cli.net.deadline_transport import DeadlineTransport
from kalshi_cli.net.delivery import CONNECT_S, TOTAL_S, DeliveryResult, Outcome, classify_response

_PLAIN = {"Accept-Encoding": "identity"}
"""Responses here are small, so nothing is decompressed."""

MAX_TRIED = 3
"""Addresses of one name that are tried, one after the other."""


class Answer(NamedTuple):
    """Result of a request.

    `is_whole` is true if `read` got all of a 200, or `ask` all of any response; then `body` and `headers`, by
    lower-case name, are set.
    """

    delivery: DeliveryResult
    is_whole: bool = False
    body: bytes = b""
    headers: Mapping[str, str] = {}
    status: int = 0


class PinnedHttpClient:
    """A client of one address. It is thread-safe; each call has its own connection."""

    def __init__(self, address: WebAddress, clock: Clock, resolve: Resolve) -> None:
        self._address = address
        self._clock = clock
        self._resolve = resolve

    def __repr__(self) -> str:
        return f"PinnedHttpClient({self._address.host!r})"

    def send(
        self, body: bytes, headers: Mapping[str, str], *, method: str = "POST", within_s: float = TOTAL_S
    ) -> DeliveryResult:
        """Send once. Nothing of the response but its status is read."""
        return self._ask(method, body, headers, within_s, 0).delivery

    def connect(self, *, within_s: float = TOTAL_S) -> DeliveryResult:
        """Resolve, connect and complete the TLS handshake, and close the connection; no request is sent."""
        try:
            return self._ask("HEAD", b"", {}, within_s, 0, before_write=_stop_connected).delivery
        except _ConnectedError:
            return DeliveryResult(outcome="delivered", text=f"{self._address.host} accepts connections")

    def read(self, most: int, *, within_s: float = TOTAL_S) -> Answer:
        """Return the response to a GET; a body of more than `most` bytes is refused."""
        return self._ask("GET", b"", {}, within_s, most)

    def ask(self, method: str, body: bytes, headers: Mapping[str, str], most: int, *, within_s: float) -> Answer:
        """Send a request and return its response; a body of more than `most` bytes is refused."""
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
        before_write: Callable[[], None] | None = None,
    ) -> Answer:
        what = method if before_write is None else "connection"
        address, where = self._address, f"{what} to {self._address.host}"
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
            return _no_answer("refused", f"{where} refused: {error}")
        except OSError:
            return _no_answer("retry", f"{where} failed: the host name cannot be resolved")
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
                "before_write": before_write,
            },
        )
        try:
            response = transport.handle_request(request)
            try:
                return self._answer(response, where, most, is_any_status=is_any_status)
            finally:
                response.close()
        except httpx.TimeoutException:
            return _no_answer("retry", f"{where} failed: timeout")
        except httpx.ConnectError as error:
            # The text of a TLS error about the certificate is not repeated.
            is_tls = isinstance(error.__cause__, ssl.SSLError)
            why = "certificate does not match this host" if is_tls else "no connection"
            return _no_answer("retry", f"{where} failed: {why}")
        except httpx.RequestError:
            return _no_answer("retry", f"{where} failed: connection lost, or not an HTTP server")
        finally:
            transport.close()

    def _answer(self, response: httpx.Response, where: str, most: int, *, is_any_status: bool) -> Answer:
        """Return the result of a response, and its body where one is wanted."""
        status, headers = response.status_code, dict(response.headers.items())
        delivery = classify_response(where, status, headers.get("retry-after", ""), self._clock.now())
        if not most or (status != 200 and not is_any_status):
            return Answer(delivery)
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            return _no_answer("refused", f"{where} failed: unrequested content encoding")
        assert isinstance(response.stream, httpx.SyncByteStream)
        kept = b""
        for part in response.stream:
            kept += part
            if len(kept) > most:
                return _no_answer("refused", f"{where} failed: response larger than {most} bytes")
        return Answer(delivery, True, kept, headers, status)

    @property
    def _url(self) -> httpx.URL:
        """Return the URL from its checked parts, so that no second parser can read the text differently."""
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
        """Return a context that trusts the authorities of this machine and certifi's."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unlike the default context, ignores SSLKEYLOGFILE
        context.load_default_certs()
        context.load_verify_locations(certifi.where())
        return context


class _ConnectedError(Exception):
    """Ends an exchange before anything of the request is written."""


def _stop_connected() -> None:
    raise _ConnectedError


def _no_answer(outcome: Outcome, text: str) -> Answer:
    return Answer(DeliveryResult(outcome=outcome, text=text))
