"""The exchange's REST interface: one method an endpoint, core objects in and out."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

import httpx

from kalshi_cli.clock import Clock
from kalshi_cli.errors import UsageError
from kalshi_cli.exchange.market_calls import MarketCalls
from kalshi_cli.exchange.order_calls import OrderCalls
from kalshi_cli.exchange.portfolio_calls import PortfolioCalls
from kalshi_cli.exchange.ratelimit import API_ROOT, RateLimiter
from kalshi_cli.exchange.rest import CREATE, READ, Params, Rest, Timeouts
from kalshi_cli.exchange.signing import Signer
from kalshi_cli.exchange.status_calls import StatusCalls

if TYPE_CHECKING:
    import random


class KalshiClient(MarketCalls, StatusCalls, OrderCalls, PortfolioCalls):
    """The client. Every method may raise the errors of `kalshi_cli.errors`; private ones need a signer.

    `before_create` is called before each attempt to place an order, and may raise: a halt can come at any time.
    """

    def __init__(
        self,
        rest_url: str,
        *,
        clock: Clock,
        rng: random.Random,
        signer: Signer | None = None,
        transport: httpx.BaseTransport | None = None,
        limiter: RateLimiter | None = None,
        timeouts: Timeouts | None = None,
        is_read_only: bool = False,
        before_create: Callable[[], None] = lambda: None,
    ) -> None:
        limiter = limiter or RateLimiter(clock)
        rest = Rest(
            rest_url,
            clock=clock,
            rng=rng,
            signer=signer,
            transport=transport,
            limiter=limiter,
            timeouts=timeouts or Timeouts(),
            is_read_only=is_read_only,
            before_create=before_create,
        )
        super().__init__(rest, clock, limiter)

    def __enter__(self) -> KalshiClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the connections."""
        self._rest.close()

    @property
    def clock_skew_ms(self) -> int | None:
        """How far this machine's clock is ahead of the exchange's (minus: behind), within about half a second.

        From the `Date` of the replies; None until there was one.
        """
        return self._rest.clock_skew_ms

    def request(self, method: str, path: str, params: Params | None = None, body: bytes = b"") -> bytes:
        """A raw, signed call; `path` follows `/trade-api/v2`. Writes are never repeated on an unknown outcome."""
        path = path.removeprefix(API_ROOT)
        if not path.startswith("/") or "?" in path or "#" in path or ".." in path:
            raise UsageError(f"not a path: {path[:80]!r}", hint="like /portfolio/balance, with fields given as -f k=v")
        retry = READ if method == "GET" else CREATE
        is_public = not path.startswith(("/portfolio", "/account", "/api_keys", "/communications", "/fcm"))
        return self._rest.call(method, path, retry, params=params, body=body, is_public=is_public)
