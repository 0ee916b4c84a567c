"""Heartbeat pings to a dead man's switch (protocol of healthchecks.io), which raises an alarm when they stop.

The thread only sends what a completed cycle gives it. It has no timer: when a loop hangs, the pings end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar, dataclass

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.text import redact, safe_text
from kalshi_cli.net.address_guard import AddressError, Resolve, parse_web_address, resolve_here
from kalshi_cli.net.delivery import DeliveryResult
from kalshi_cli.net.guarded_client import PinnedHttpClient

PING_S = 5.0
"""Time limit of one ping."""

MAX_REASON_LENGTH = 1_000

Ping = tuple[str, str]
"""The suffix of the address, and the body."""


@dataclass(eq=False, repr=False)
class HeartbeatPinger:
    """The pings of one run. `tell` gets a warning when a ping is not delivered, once until the next success.

    Raises AddressError for an address that is not allowed.
    """

    url: InitVar[str]
    run_id: str
    every_s: float
    clock: Clock
    tell: Callable[[str], None]
    _: KW_ONLY
    allow_private: InitVar[bool] = False
    resolve: Resolve = resolve_here

    def __post_init__(self, url: str, allow_private: bool) -> None:
        self._address = parse_web_address(url, allow_private=allow_private)
        self._next_at: float | None = None
        self._waiting: Ping | None = None
        self._is_over = self._has_told = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Report the start of a run."""
        self._hand_over("/start", "")

    def success(self) -> None:
        """Report a cycle completed with fresh data; at most one ping in `every_s` is sent."""
        now = self.clock.monotonic()
        if self._next_at is None or now >= self._next_at:
            self._next_at = now + self.every_s
            self._hand_over("", "")

    def fail(self, reason: str) -> None:
        """Report a failure at once; the next success is sent at once as well."""
        self._next_at = None
        self._hand_over("/fail", safe_text(redact(reason), MAX_REASON_LENGTH))

    def close(self) -> None:
        """Wait for the last ping, within its time limit."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(2 * PING_S)

    def _hand_over(self, suffix: str, body: str) -> None:
        """Give a ping to the thread; it replaces one that still waits."""
        with self._changed:
            self._waiting = (suffix, body)
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._send_all, name="heartbeat", daemon=True)
            self._thread.start()

    def _send_all(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting is not None or self._is_over)
                ping, self._waiting = self._waiting, None
            if ping is None:
                return
            self._send(*ping)

    def _send(self, suffix: str, body: str) -> None:
        path, _, query = self._address.target.partition("?")
        target = f"{path.rstrip('/')}{suffix}?{query + '&' if query else ''}rid={self.run_id}"
        sink = PinnedHttpClient(msgspec.structs.replace(self._address, target=target), self.clock, self.resolve)
        outcome = sink.send(body.encode(), {"Content-Type": "text/plain; charset=utf-8"}, within_s=PING_S)
        if outcome.outcome == "delivered":
            self._has_told = False
        elif not self._has_told:
            self._has_told = True
            self.tell(f"Warning: heartbeat not delivered: {redact(outcome.text)}")


def try_connection(
    url: str, clock: Clock, *, allow_private: bool = False, resolve: Resolve = resolve_here
) -> DeliveryResult:
    """Connect to the host of the pings, with TLS, and send nothing: a ping would say that a loop is alive.

    Raises AddressError for an address that is not allowed.
    """
    address = parse_web_address(url, allow_private=allow_private)
    return PinnedHttpClient(address, clock, resolve).connect(within_s=PING_S)


__all__ = ["AddressError", "HeartbeatPinger", "try_connection"]
