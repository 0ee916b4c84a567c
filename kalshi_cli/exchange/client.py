"""The exchange's REST interface: one method an endpoint, core objects in and out."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING

import httpx

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.exchange.endpoints.funds import FundsEndpoints
from kalshi_cli.exchange.endpoints.groups import OrderGroupEndpoints
from kalshi_cli.exchange.endpoints.listings import ListingEndpoints
from kalshi_cli.exchange.endpoints.programs import MarketDataEndpoints
from kalshi_cli.exchange.endpoints.quotes import RfqEndpoints
from kalshi_cli.exchange.endpoints.status import ExchangeEndpoints
from kalshi_cli.exchange.endpoints.tiers import FullHistoryReads
from kalshi_cli.exchange.rest import call
from kalshi_cli.exchange.rest.rate_limits import API_ROOT, RateLimiter
from kalshi_cli.exchange.rest.signing import Signer

if TYPE_CHECKING:
    import random


class KalshiClient(
    FullHistoryReads,
    ExchangeEndpoints,
    OrderGroupEndpoints,
    FundsEndpoints,
    ListingEndpoints,
    RfqEndpoints,
    MarketDataEndpoints,
):
    """The client. Every method may raise the errors of `kalshi_cli.base.errors`; private ones need a signer.

    `before_create` is called before each attempt at whatever could trade, with the trading state that it was reviewed
    for, and may raise: a halt can come at any time.
    `on_answer` is told of each attempt (`rest.OnAnswer`).
    `machine` is the clock that signs, where `clock` is another one: the skew is told of it.
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
        timeouts: call.Timeouts | None = None,
        is_read_only: bool = False,
        before_create: Callable[[TradingState], None] = lambda _reviewed: None,
        on_notice: Callable[[str, str], None] = lambda _route, _notice: None,
        on_answer: call.OnAnswer = lambda *_answer: None,
        machine: Clock | None = None,
    ) -> None:
        limiter = limiter or RateLimiter(clock)
        rest = call.RestTransport(
            rest_url,
            clock=machine or clock,
            rng=rng,
            signer=signer,
            transport=transport,
            limiter=limiter,
            timeouts=timeouts or call.Timeouts(),
            is_read_only=is_read_only,
            before_create=before_create,
            on_notice=on_notice,
            on_answer=on_answer,
        )
        super().__init__(rest, clock, limiter)
        self._machine = machine or clock

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
    def notices(self) -> dict[str, str]:
        """Routes that announced their end in a header -> the notice."""
        return dict(self._rest.notices)

    def limit_reads(self, seconds: float) -> None:
        """From now on no GET takes longer in all: for whoever has something to do at intervals."""
        self._rest.read_total_s = min(seconds, self._rest.read_total_s)

    def reading_within(self, seconds: float) -> AbstractContextManager[None]:
        """Let all reads of this thread inside the block take so long together: they end in UnreachableError then."""
        return self._rest.reading_within(seconds)

    @property
    def clock_skew_ms(self) -> int | None:
        """How far this machine's clock is ahead of the exchange's (minus: behind), within about half a second.

        From the `Date` of the replies; None until there was one.
        """
        return self._rest.their_clock.skew_ms

    def max_server_time(self, at_s: float) -> Ts:
        """What the exchange's clock showed at most when our monotonic one showed `at_s`, by the dates of replies.

        Dates are by the machine's clock. A simulated exchange may live in another time: that of our `clock`.
        """
        ahead_ms = 0 if self._machine is self._clock else self._clock.now() - self._machine.now()
        return Ts(self._rest.their_clock.latest(at_s) + ahead_ms)

    @staticmethod
    def check_path(path: str) -> str:
        """Return a path of the API without its root. Raise UsageError for any other text."""
        path = _plain(path).removeprefix(API_ROOT)
        if not _PATH.fullmatch(path) or any(part.strip(".") == "" for part in path[1:].split("/")):
            raise UsageError(f"not a path: {path[:80]!r}", hint="like /portfolio/balance, with fields given as -f k=v")
        return path

    def request(self, method: str, path: str, params: call.Params | None = None, body: bytes = b"") -> bytes:
        """A raw, signed call; `path` with or without `/trade-api/v2`.

        A POST or PUT whose outcome is unknown is never repeated. A halt stops what could trade, and no cancel.
        """
        if method not in METHODS:
            raise UsageError(f"not a method: {method[:20]!r}", hint=f"one of {', '.join(METHODS)}")
        path = self.check_path(path)
        is_public = not path.startswith(("/portfolio", "/account", "/api_keys", "/communications", "/fcm"))
        return self._rest.call(
            method, path, _retry(method, path), params=params, body=body, is_public=is_public, if_unknown=_LOOK_FIRST
        )


METHODS = ("GET", "POST", "PUT", "DELETE")

_PATH = re.compile(r"(/[\w.~:@+-]+)+", re.ASCII)
_MAY_BE_ENCODED = re.compile(r"[\w~:@+-]", re.ASCII)
"""No dot, slash or backslash, which lead to another route; no percent sign, which is decoded again; no control."""
_LOOK_FIRST = "look whether it happened before sending it again: a GET of `kalshi api`, or `kalshi order reconcile`"
_NO_TRADE = re.compile(
    r"/account/.*|/api_keys.*|/portfolio/(subaccounts|intra_exchange_instance_transfer|target_balance_allocation).*"
    r"|/portfolio/order_groups/(create|[^/]+/trigger)|/portfolio/events/orders/[^/]+/decrease"
)


def _plain(path: str) -> str:
    """Return the path as a server reads it, so that the route that is judged is the one that is reached.

    UsageError for an encoded character that no path of the exchange needs.
    """

    def decoded(found: re.Match[str]) -> str:
        char = chr(int(found[1], 16)) if found[1] else "%"
        if not _MAY_BE_ENCODED.fullmatch(char):
            raise UsageError(f"an encoded character in the path: {found[0]}", hint="write the path without % signs")
        return char

    return re.sub("%([0-9A-Fa-f]{2}|)", decoded, path)


def _retry(method: str, path: str) -> call.RetryPolicy:
    """How a raw call may be repeated. Whatever is not known to be harmless could trade, and stops at a halt."""
    if method == "GET":
        return call.READ
    if method == "DELETE":
        return call.CANCEL
    return call.ONCE if _NO_TRADE.fullmatch(path) else call.CREATE
