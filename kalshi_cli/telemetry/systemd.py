"""What a service manager is told (sd_notify): that it began, that it goes on, that it ends.

A few bytes to a datagram socket whose name is in NOTIFY_SOCKET. Whoever listens or does not, nothing waits for it.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.text import safe_text

STATUS_EVERY_S = 10.0


class SystemdNotifier:
    """Told of completed cycles only: a loop that hangs is restarted by the watchdog of its unit."""

    def __init__(self, environ: Mapping[str, str], pid: int, clock: Clock) -> None:
        """Of the process `pid`: a watchdog that is meant for another one is not ours."""
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._clock = clock
        self._is_ready = False
        self._told_at: float | None = None
        self._beaten_at: float | None = None
        usec = environ.get("WATCHDOG_USEC", "")
        is_ours = environ.get("WATCHDOG_PID", str(pid)) == str(pid)
        self._beat_every_s = int(usec) / 2_000_000 if usec.isdecimal() and is_ours else None

    def beat(self, status: str) -> None:
        """A cycle was completed. The first one says that the service is up."""
        now, words = self._clock.monotonic(), list[str]()
        if not self._is_ready:
            self._is_ready = True
            words.append("READY=1")
        if self._beat_every_s is not None and _is_over(self._beat_every_s, self._beaten_at, now):
            self._beaten_at = now
            words.append("WATCHDOG=1")
        if words or _is_over(STATUS_EVERY_S, self._told_at, now):
            self._told_at = now
            self._send([*words, f"STATUS={safe_text(status, 200)}"])

    def stopping(self) -> None:
        """The end has begun; it may take as long as the stop budget."""
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
            return  # nobody listens, or not fast enough


def _is_over(seconds: float, since: float | None, now: float) -> bool:
    return since is None or now - since >= seconds
