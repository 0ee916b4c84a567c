"""Notifications to systemd (sd_notify): ready, watchdog, status and stopping.

Each is a datagram to the socket named in NOTIFY_SOCKET; sending never waits for a receiver.
"""

from __future__ import annotations

import math
import socket
from collections.abc import Mapping

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.text import safe_text

STATUS_EVERY_S = 10.0


class SystemdNotifier:
    """Notifies systemd of completed cycles only, so that the unit's watchdog restarts a loop that hangs."""

    def __init__(self, environ: Mapping[str, str], pid: int, clock: Clock) -> None:
        """Read the socket from the environment, and the watchdog interval if it is meant for the process `pid`."""
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._clock = clock
        self._is_ready = False
        self._sent_at = self._beaten_at = -math.inf
        usec = environ.get("WATCHDOG_USEC", "")
        is_for_pid = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        self._beat_every_s = int(usec) / 2_000_000 if usec.isdecimal() and is_for_pid else None

    def beat(self, status: str) -> None:
        """Report a completed cycle; the first one reports the service as ready."""
        now, words = self._clock.monotonic(), list[str]()
        if not self._is_ready:
            self._is_ready = True
            words.append("READY=1")
        if self._beat_every_s is not None and now - self._beaten_at >= self._beat_every_s:
            self._beaten_at = now
            words.append("WATCHDOG=1")
        if words or now - self._sent_at >= STATUS_EVERY_S:
            self._sent_at = now
            self._send([*words, f"STATUS={safe_text(status, 200)}"])

    def stopping(self) -> None:
        """Report that the service is stopping; that takes at most the stop budget."""
        self._send(["STOPPING=1"])

    def _send(self, words: list[str]) -> None:
        if self._address[:1] not in ("/", "@"):
            return
        name = self._address if self._address[0] == "/" else f"\0{self._address[1:]}"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
                to.setblocking(False)
                to.sendto("\n".join(words).encode(errors="replace"), name)
        except OSError:
            return  # There is no receiver, or its queue is full.
