"""Calls about the exchange itself, and about what this account may ask of it."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import ExchangeStatus
from kalshi_cli.exchange.endpoints.base import Endpoints
from kalshi_cli.exchange.rest.call import ANY_SUCCESS, READ
from kalshi_cli.exchange.rest.their_clock import STANDS_STILL_S
from kalshi_cli.exchange.wire import account as wire
from kalshi_cli.exchange.wire import status
from kalshi_cli.exchange.wire.account import ApiLimits, RequestCosts
from kalshi_cli.exchange.wire.status import Schedule

FAR_AHEAD_MS = 5_000
"""The exchange refuses what is signed at a time that is further off."""


class ExchangeEndpoints(Endpoints):
    """Up or down, when, how current, and how fast."""

    def exchange_status(self) -> ExchangeStatus:
        """Whether the exchange and trading are up."""
        # During maintenance the same body comes with 503 or 504.
        body = self._rest.call("GET", "/exchange/status", READ, is_public=True, answered=(*ANY_SUCCESS, 503, 504))
        return status.read_status(body)

    def measure_clock_skew(self) -> int | None:
        """How far this machine's clock is ahead of the exchange's, as a read of now tells it; None without a date.

        A reply that something on the way kept looks like a clock that is ahead. So such a clock is asked again, after
        its date must have moved on: NoAnswerError where it did not.
        """
        self.exchange_status()
        if (self._rest.their_clock.skew_ms or 0) > FAR_AHEAD_MS:
            self._clock.sleep(STANDS_STILL_S)
            self.exchange_status()
        return self._rest.their_clock.skew_ms

    def schedule(self) -> Schedule:
        """Opening hours and announced maintenance."""
        return status.read_schedule(self._public("/exchange/schedule"))

    def user_data_timestamp(self) -> Ts:
        """Up to when the account's reads are complete. They trail the matching engine.

        Never later than the exchange's clock can show by now: what is read has not happened yet.
        """
        as_of = status.read_user_data_timestamp(self._public("/exchange/user_data_timestamp"))
        return min(as_of, Ts(self._clock.now() + self._rest.their_clock.most_ahead_ms))

    def limits(self) -> ApiLimits:
        """The account's tier and allowances."""
        return wire.read_limits(self._get("/account/limits"))

    def endpoint_costs(self) -> RequestCosts:
        """What requests cost."""
        return wire.read_costs(self._public("/account/endpoint_costs"))

    def refresh_limits(self) -> ApiLimits:
        """Read both and pace by them from now on."""
        limits = self.limits()
        self.pace(limits, self.endpoint_costs())
        return limits

    def pace(self, limits: ApiLimits, costs: RequestCosts) -> None:
        """Ask no faster than that from now on."""
        self._limiter.configure(limits, costs)
