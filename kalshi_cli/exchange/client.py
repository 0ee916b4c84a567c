"""Client of the exchange's REST interface: one method per endpoint, core objects in and out."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

import httpx

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.exchange.endpoints import funds, groups, programs, quotes, status, tiers
from kalshi_cli.exchange.rest import call, rate_limits, signing


class KalshiClient(
    tiers.FullHistoryReads,
    status.ExchangeEndpoints,
    groups.OrderGroupEndpoints,
    funds.FundsEndpoints,
    quotes.RfqEndpoints,
    programs.MarketDataEndpoints,
):
    """The REST client. Every method may raise the errors of `kalshi_cli.base.errors`; private ones need a signer.

    `before_create` is called before each attempt of a request that could trade, with the trading state that it was
    reviewed for, and may raise, because a halt can come at any time. `on_answer` is called after each attempt
    (`rest.OnAnswer`). `machine` is the clock that signs, if `clock` is another one; the clock skew is measured against
    it. With `presign`, creates use the signatures of `sign_ahead`.
    """

    def __init__(
        self,
        rest_url: str,
        *,
        clock: Clock,
        rng: random.Random,
        signer: signing.Signer | None = None,
        transport: httpx.BaseTransport | None = None,
        limiter: rate_limits.RateLimiter | None = None,
        timeouts: call.Timeouts | None = None,
        is_read_only: bool = False,
        before_create: Callable[[TradingState], None] = lambda _reviewed: None,
        on_notice: Callable[[str, str], None] = lambda _route, _notice: None,
        on_answer: call.OnAnswer = lambda *_answer: None,
        machine: Clock | None = None,
        presign: bool = False,
    ) -> None:
        limiter = limiter or rate_limits.RateLimiter(clock)
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
            presign=presign,
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
        """Close the connections."""
        self._rest.close()

    @property
    def notices(self) -> dict[str, str]:
        """Return the routes that announced their end in a header, with the notice."""
        return dict(self._rest.notices)

    def limit_reads(self, seconds: float) -> None:
        """Limit the total time of every later GET, for a caller with work at fixed intervals."""
        self._rest.read_total_s = min(seconds, self._rest.read_total_s)

    def reading_within(self, seconds: float) -> AbstractContextManager[None]:
        """Limit the total time of all reads of this thread inside the block; beyond it they raise UnreachableError."""
        return self._rest.reading_within(seconds)

    def sign_ahead(self) -> float:
        """Make a signature for a later create, where that is configured; a loop calls this while it has nothing to do.

        Return the monotonic time at which it is due again: now if more are missing, infinity if none are made ahead.
        """
        return self._rest.sign_ahead()

    @property
    def clock_skew_ms(self) -> int | None:
        """Return how far this machine's clock is ahead of the exchange's (negative: behind), to about half a second.

        It is measured by the `Date` of responses; None until there was one.
        """
        return self._rest.exchange_clock.skew_ms

    def max_server_time(self, at_s: float) -> Ts:
        """Return the latest time that the exchange's clock can have shown at the monotonic time `at_s`.

        Response dates are compared with the machine's clock. A simulated exchange may run on another time, that of
        `clock`.
        """
        ahead_ms = 0 if self._machine is self._clock else self._clock.now() - self._machine.now()
        return Ts(self._rest.exchange_clock.latest(at_s) + ahead_ms)

    @staticmethod
    def check_path(path: str) -> str:
        """Return an API path without its root; raise UsageError for any other text."""
        path = _plain(path).removeprefix(rate_limits.API_ROOT)
        if not _PATH.fullmatch(path) or any(part.strip(".") == "" for part in path[1:].split("/")):
            hint = "for example /portfolio/balance, with fields as -f NAME=VALUE"
            raise UsageError(f"Invalid path: {path[:80]!r}", hint=hint)
        return path

    def request(self, method: str, path: str, params: call.Params | None = None, body: bytes = b"") -> bytes:
        """Send a raw, signed request; `path` may start with `/trade-api/v2`.

        A POST or PUT with an unknown outcome is never repeated. A halt stops requests that could trade, and no cancel.
        """
        if method not in METHODS:
            raise UsageError(f"Invalid method: {method[:20]!r}", hint=f"one of {', '.join(METHODS)}")
        path = self.check_path(path)
        is_public = not path.startswith(("/portfolio", "/account", "/api_keys", "/communications", "/fcm"))
        return self._rest.call(
            method, path, _retry(method, path), params=params, body=body, is_public=is_public, if_unknown=_LOOK_FIRST
        )


METHODS = ("GET", "POST", "PUT", "DELETE")

_PATH = re.compile(r"(/[\w.~:@+-]+)+", re.ASCII)
_MAY_BE_ENCODED = re.compile(r"[\w~:@+-]", re.ASCII)
"""Excludes dot, slash and backslash, which lead to another route, the percent sign, which is decoded again, and
controls."""
_LOOK_FIRST = "check whether it happened before you repeat it: a GET with `kalshi api`, or `kalshi order reconcile`"
_NO_TRADE = re.compile(
    r"/account/.*|/api_keys.*|/portfolio/(subaccounts|intra_exchange_instance_transfer|target_balance_allocation).*"
    r"|/portfolio/order_groups/(create|[^/]+/trigger)|/portfolio/events/orders/[^/]+/decrease"
)


def _plain(path: str) -> str:
    """Return the path as a server decodes it, so that the checked route is the requested one.

    UsageError for an encoded character that no path of the exchange needs.
    """

    def decoded(found: re.Match[str]) -> str:
        char = chr(int(found[1], 16)) if found[1] else "%"
        if not _MAY_BE_ENCODED.fullmatch(char):
            raise UsageError(f"Encoded character in the path: {found[0]}", hint="write the path without % signs")
        return char

    return re.sub("%([0-9A-Fa-f]{2}|)", decoded, path)


def _retry(method: str, path: str) -> call.RetryPolicy:
    """Return the retry policy of a raw call. A write that is not known to be harmless is stopped by a halt."""
    if method == "GET":
        return call.READ
    if method == "DELETE":
        return call.CANCEL
    return call.ONCE if _NO_TRADE.fullmatch(path) else call.CREATE
