"""Sending bytes to a web address that was checked, or reading from one, and to nothing else, within a deadline.

No redirects, no proxies, no cookies, TLS always verified. The name is resolved once, judged (`address_guard.py`), and
the connection goes to an address that was judged: a name that stands for another machine a moment later is harmless.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import certifi
import httpcore

from kalshi_cli.base.clock import Clock
from kalshi_cli.net.address_guard import AddressError, Resolve, WebAddress, checked_addresses
from kalshi_cli.net.deadline_transport import DeadlineBackend
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
        try:
            with (
                httpcore.ConnectionPool(
                    ssl_context=self._tls, network_backend=_Pinned(found[:MAX_TRIED], ends_at, self._clock)
                ) as pool,
                pool.stream(
                    method,
                    self._url,
                    headers=list({"Host": self._host_header, "User-Agent": "kalshi-cli", **_PLAIN, **headers}.items()),
                    content=body,
                    extensions={
                        "timeout": {"connect": CONNECT_S, "read": within_s, "write": within_s, "pool": within_s}
                    },
                ) as response,
            ):
                said = {name.decode("ascii", "replace").lower(): value for name, value in response.headers}
                wanted = said.get("retry-after", b"").decode("ascii", "replace")
                delivery = classify_response(where, response.status, wanted, self._clock.now())
                if not most or (response.status != 200 and not is_any_status):
                    return Answer(delivery)
                if said.get("content-encoding", b"identity").strip().lower() not in (b"", b"identity"):
                    text = f"{where} failed: it answers in an encoding that was not asked for"
                    return Answer(DeliveryResult(outcome="refused", text=text))
                kept = b""
                for part in response.iter_stream():
                    kept += part
                    if len(kept) > most:
                        text = f"{where} failed: it answers with more than {most} bytes"
                        return Answer(DeliveryResult(outcome="refused", text=text))
                told = {name: value.decode("ascii", "replace") for name, value in said.items()}
                return Answer(delivery, True, kept, told, response.status)
        except httpcore.TimeoutException:
            return Answer(DeliveryResult(outcome="retry", text=f"{where} failed: timeout"))
        except httpcore.ConnectError as error:
            # TLS errors arrive as this one; what they say of a certificate is not ours to repeat.
            is_tls = isinstance(error.__cause__, ssl.SSLError) or "ssl" in str(error).lower()
            why = "its certificate does not prove that it is this host" if is_tls else "no connection"
            return Answer(DeliveryResult(outcome="retry", text=f"{where} failed: {why}"))
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.UnsupportedProtocol):
            return Answer(
                DeliveryResult(outcome="retry", text=f"{where} failed: the connection broke, or it does not speak HTTP")
            )

    @property
    def _url(self) -> httpcore.URL:
        """From the parts that were checked, so that no second reader understands the text otherwise."""
        address = self._address
        return httpcore.URL(
            scheme=b"https" if address.is_tls else b"http",
            host=address.host.encode("ascii"),
            port=address.port,
            target=address.target.encode("ascii"),
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


class _Pinned(DeadlineBackend):
    """Connects to these addresses, whatever name it is given, and lets nothing last beyond a moment."""

    def __init__(self, addresses: tuple[str, ...], ends_at: float, clock: Clock) -> None:
        super().__init__(clock)
        self._addresses = addresses
        self.local.deadline, self.local.before_write, self.local.has_written = ends_at, None, False

    def connect_tcp(
        self,
        host: str,  # noqa: ARG002 (the name was resolved already, once)
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        failure: Exception = httpcore.ConnectError("no address")
        for address in self._addresses:
            try:
                return super().connect_tcp(address, port, self.left(timeout), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def left_to_write(self, timeout: float | None) -> float | None:
        return self.left(timeout)
