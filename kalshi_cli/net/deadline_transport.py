"""The one HTTP transport: pooled connections, no redirects, no proxies from the environment, a total deadline."""

from __future__ import annotations

import os
import re
import ssl
import threading
from collections.abc import Iterable
from typing import Any

import certifi
import httpcore
import httpx

from kalshi_cli.base.clock import Clock
from kalshi_cli.net.dialing import connect_in_turn

IDLE_S = 30.0
"""A connection idle for longer is not reused: a write on one that the server just closed has an unknown outcome."""

CONNECT_S = 10.0
"""Default connect timeout."""
_MAX_CONNECTIONS = 8
_NOT_SENT = "timed out before anything was sent"


class DeadlineTransport(httpx.HTTPTransport):
    """httpx's transport with a `deadline` for a whole exchange, and a `before_write` hook that may still refuse it.

    httpx bounds each receive only, so a server that sends a byte now and then could hold a call for ever. The deadline
    (monotonic seconds, per thread) is checked before each receive and before the first byte is written: a process that
    was suspended while connecting sends nothing, and raises ConnectTimeout. `before_write` is called at the same point,
    the last at which the request can be withheld; its exception is passed on.
    """

    def __init__(self, clock: Clock, *, is_tls: bool) -> None:
        context = _tls_context() if is_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        super().__init__(verify=context, trust_env=False)
        self._backend = DeadlineBackend(clock)
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_CONNECTIONS,
            keepalive_expiry=IDLE_S,
            retries=0,
            network_backend=self._backend,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        local = self._backend.local
        local.deadline = request.extensions.get("deadline")
        local.before_write, local.has_written = request.extensions.get("before_write"), False
        return super().handle_request(request)


def _tls_context() -> ssl.SSLContext:
    """Return a verifying context from the system's certificate directory, which loads 18 ms faster than a bundle."""
    directory = ssl.get_default_verify_paths().capath
    if directory and os.path.isdir(directory):
        with os.scandir(directory) as entries:
            if any(re.fullmatch(r"[0-9a-f]{8}\.\d", entry.name) for entry in entries):
                return client_context(capath=directory)
    return client_context(cafile=certifi.where())


def client_context(*, cafile: str | None = None, capath: str | None = None) -> ssl.SSLContext:
    """Return a verifying context; ssl.create_default_context would write TLS keys to SSLKEYLOGFILE."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_flags |= ssl.VERIFY_X509_TRUSTED_FIRST
    context.load_verify_locations(cafile, capath)
    return context


class DeadlineBackend(httpcore.SyncBackend):
    """Connections on which no read lasts beyond `local.deadline`, a monotonic time per thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.local = threading.local()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        ends_at = None if timeout is None else self._clock.monotonic() + timeout

        def left_s() -> float:
            left = self.left(None if ends_at is None else max(0.001, ends_at - self._clock.monotonic()))
            return CONNECT_S if left is None else left

        def connect(address: str, within_s: float) -> httpcore.NetworkStream:
            return super(DeadlineBackend, self).connect_tcp(address, port, within_s, local_address, socket_options)

        try:
            return DeadlineStream(connect_in_turn(host, port, left_s, connect), self)
        except httpcore.ReadTimeout as error:
            raise httpcore.ConnectTimeout(_NOT_SENT) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error

    def about_to_write(self) -> None:
        """Check the deadline and call `before_write`, once, before the first byte of a request."""
        if self.local.has_written:
            return
        deadline: float | None = self.local.deadline
        if deadline is not None and self._clock.monotonic() >= deadline:
            raise httpcore.ConnectTimeout(_NOT_SENT)
        if self.local.before_write is not None:
            self.local.before_write()
        self.local.has_written = True

    def left_to_write(self, timeout: float | None) -> float | None:
        """Return the time that a write may take; a write that has begun is not cut short."""
        return timeout

    def left(self, timeout: float | None) -> float | None:
        """Return the part of `timeout` that the deadline leaves."""
        deadline: float | None = getattr(self.local, "deadline", None)
        if deadline is None:
            return timeout
        left = deadline - self._clock.monotonic()
        if left <= 0:
            raise httpcore.ReadTimeout("the request exceeded its time limit")
        return left if timeout is None else min(timeout, left)


class DeadlineStream(httpcore.NetworkStream):
    """A connection that observes the deadline of its backend."""

    def __init__(self, stream: httpcore.NetworkStream, backend: DeadlineBackend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._backend.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._backend.about_to_write()
        self._stream.write(buffer, self._backend.left_to_write(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        return DeadlineStream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
