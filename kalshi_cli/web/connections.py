"""The connections of the web server: those that send no request in time make way, so that the page always answers."""

from __future__ import annotations

import asyncio
import socket
from typing import Protocol

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

MAX_CONNECTIONS = 64
SPARE = 16
"""Connections that are kept free of visitors who send nothing."""

REQUEST_S = 10.0
"""Seconds that a connection may take for the head of a request."""

UNREAD_S = 30
"""Seconds after which a visitor that takes nothing is disconnected."""


class WebConnection(H11Protocol):
    """A connection that is closed if it waits too long without a request, or if too many others wait."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; where many wait, one ends: one that never sent a request before others, and the oldest of those."""
        super().connection_made(transport)
        self.waits_since = self.loop.time()
        self._watch = self.loop.call_later(REQUEST_S, self._look)
        waiting = [each for each in self.connections if isinstance(each, WebConnection) and not each.is_serving]
        if len(waiting) > MAX_CONNECTIONS - SPARE:
            oldest = min(waiting, key=lambda each: (each.cycle is not None, each.waits_since))
            self.connections.discard(oldest)  # uvicorn counts it until the next turn
            oldest.transport.abort()

    @property
    def is_serving(self) -> bool:
        """Return whether a request is being answered, or the connection ends."""
        return self.transport.is_closing() or (self.cycle is not None and not self.cycle.response_complete)

    def _look(self) -> None:
        now = self.loop.time()
        if self.is_serving or self.timeout_keep_alive_task is not None:  # uvicorn ends one that is kept after a reply
            self.waits_since = now
        elif now - self.waits_since >= REQUEST_S:
            self.transport.abort()
            return
        self._watch = self.loop.call_later(REQUEST_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._watch.cancel()
        super().connection_lost(exc)


class _Streaming(Protocol):
    is_ending: bool


class WebServer(uvicorn.Server):
    """A server that lets the event streams of its app end by themselves before it stops.

    uvicorn cancels a stream that is still open after the time for a graceful stop, and prints a traceback for it.
    """

    def __init__(self, config: uvicorn.Config, app: _Streaming) -> None:
        super().__init__(config)
        self._app = app

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, then stop."""
        self._app.is_ending = True
        await super().shutdown(sockets)


def drop_unread(listener: socket.socket) -> None:
    """Let the system disconnect visitors of this listener who take nothing: Linux only."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_S * 1000)
