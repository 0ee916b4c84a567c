"""Connections of the web server that make way."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack, closing

import uvicorn
from uvicorn.server import ServerState

from kalshi_cli.web.connections import MAX_CONNECTIONS, WebConnection


async def _app(scope: object, receive: object, send: object) -> None:
    raise AssertionError("no request was sent")


def test_a_connection_that_made_way_does_not_count_while_it_closes() -> None:
    """A burst of visitors is accepted in one turn."""

    async def burst() -> int:
        loop, state = asyncio.get_running_loop(), ServerState()
        config = uvicorn.Config(_app, lifespan="off")
        config.load()
        server = await loop.create_server(
            lambda: WebConnection(config=config, server_state=state, app_state={}), "127.0.0.1", 0, backlog=512
        )
        most = 0
        with ExitStack() as stack:
            for _ in range(2 * MAX_CONNECTIONS):
                stack.enter_context(closing(socket.create_connection(server.sockets[0].getsockname())))
            for _ in range(50):
                await asyncio.sleep(0)
                most = max(most, len(state.connections))
        server.close()
        while state.connections:
            await asyncio.sleep(0.01)
        return most

    assert 0 < asyncio.run(burst()) < MAX_CONNECTIONS
