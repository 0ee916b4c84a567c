"""An httpx transport straight into the simulated exchange: the same client, without sockets, with any clock."""

from __future__ import annotations

from urllib.parse import parse_qs

import httpx

from kalshi_cli.base.clock import Clock
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.protocol.replies import Request


class SimTransport(httpx.BaseTransport):
    """Use as `httpx.Client(transport=SimTransport(exchange, clock))`; the host of the URL does not matter."""

    def __init__(self, exchange: SimulatedExchange, clock: Clock) -> None:
        self._exchange = exchange
        self._clock = clock

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path, _, query = request.url.raw_path.decode("ascii").partition("?")
        answer = self._exchange.handle(
            Request(
                method=request.method,
                path=path,
                query=parse_qs(query, keep_blank_values=True),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=request.read(),
            ),
            self._clock.now(),
        )
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body, request=request)
