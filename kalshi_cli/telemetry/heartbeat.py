"""Pings for a dead man's switch elsewhere, in the words of Healthchecks: it raises the alarm when they stop.

The thread here only carries what a completed cycle handed it. It has no timer of its own: a loop that hangs hands it
nothing, and so the pings end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar, dataclass

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.text import redact, safe_text
from kalshi_cli.net.address_guard import AddressError, Resolve, parse_web_address, resolve_here
from kalshi_cli.net.guarded_client import PinnedHttpClient

PING_S = 5.0
"""One ping, whatever the other side does."""

MAX_REASON_LENGTH = 1_000

Ping = tuple[str, str]
"""What is appended to the address, and the body."""


@dataclass(eq=False, repr=False)
class HeartbeatPinger:
    """The pings of one run. `tell` hears of one that did not arrive, and not again before one did.

    AddressError where nothing is ever sent to that address.
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
        """A run begins: until its first success it is not alive."""
        self._hand_over("/start", "")

    def success(self) -> None:
        """A cycle was completed with fresh data. Of many, one in `every_s` is sent."""
        now = self.clock.monotonic()
        if self._next_at is None or now >= self._next_at:
            self._next_at = now + self.every_s
            self._hand_over("", "")

    def fail(self, reason: str) -> None:
        """It is not well, and at once; the next success is sent at once too."""
        self._next_at = None
        self._hand_over("/fail", safe_text(redact(reason), MAX_REASON_LENGTH))

    def close(self) -> None:
        """Wait for the last ping, for as long as one may take."""
        with self._changed:
            self._is_over = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(2 * PING_S)

    def _hand_over(self, suffix: str, body: str) -> None:
        """The latest wins: one that waits for a slow one before it is old news."""
        with self._changed:
            self._waiting = (suffix, body)
            self._changed.notify()
        if self._thread is None:
            self._thread = threading.Thread(target=self._carry, name="heartbeat", daemon=True)
            self._thread.start()

    def _carry(self) -> None:
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
            self.tell(f"warning: the heartbeat did not arrive: {redact(outcome.text)}")


__all__ = ["AddressError", "HeartbeatPinger"]
