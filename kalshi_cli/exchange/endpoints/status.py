"""Endpoints of the exchange itself, and of the account's rate limits."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import ExchangeStatus
from kalshi_cli.exchange import wire
from kalshi_cli.exchange.endpoints.base import Endpoints
from kalshi_cli.exchange.rest.call import ANY_SUCCESS, READ
from kalshi_cli.exchange.rest.exchange_clock import STANDS_STILL_S

FAR_AHEAD_MS = 5_000
"""The exchange rejects a signature whose time is further off."""


class ExchangeEndpoints(Endpoints):
    """Status, schedule, clock and rate limits."""

    def exchange_status(self) -> ExchangeStatus:
        """Return whether the exchange and trading are up."""
        # During maintenance the same body comes with 503 or 504.
        body = self._rest.call("GET", "/exchange/status", READ, is_public=True, answered=(*ANY_SUCCESS, 503, 504))
        return wire.status.read_status(body)

    def measure_clock_skew(self) -> int | None:
        """Return how far this machine's clock is ahead of the exchange's, by a fresh read; None without a date.

        A cached response looks like a clock that is ahead. So such a clock is measured again after the date must have
        moved on: NoAnswerError if it did not.
        """
        self.exchange_status()
        if (self._rest.exchange_clock.skew_ms or 0) > FAR_AHEAD_MS:
            self._clock.sleep(STANDS_STILL_S)
            self.exchange_status()
        return self._rest.exchange_clock.skew_ms

    def schedule(self) -> wire.status.Schedule:
        """Return opening hours and announced maintenance."""
        return wire.status.read_schedule(self._public("/exchange/schedule"))

    def user_data_timestamp(self) -> Ts:
        """Return the time up to which account reads are complete. They lag the matching engine.

        It is never later than the exchange's clock can show by now, because no read covers the future.
        """
        as_of = wire.status.read_user_data_timestamp(self._public("/exchange/user_data_timestamp"))
        return min(as_of, Ts(self._clock.now() + self._rest.exchange_clock.most_ahead_ms))

    def limits(self) -> wire.account.ApiLimits:
        """Return the account's tier and rate limits."""
        return wire.account.read_limits(self._get("/account/limits"))

    def endpoint_costs(self) -> wire.account.RequestCosts:
        """Return the costs of requests."""
        return wire.account.read_costs(self._public("/account/endpoint_costs"))

    def refresh_limits(self) -> wire.account.ApiLimits:
        """Read limits and costs, and use them from now on."""
        limits = self.limits()
        self.pace(limits, self.endpoint_costs())
        return limits

    def pace(self, limits: wire.account.ApiLimits, costs: wire.account.RequestCosts) -> None:
        """Use these limits and costs from now on."""
        self._limiter.configure(limits, costs)
