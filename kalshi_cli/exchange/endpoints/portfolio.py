"""Endpoints of the account's fills, positions, settlements and balance."""

from __future__ import annotations

from collections.abc import Iterator

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.core.model.positions import Balance, ExchangePosition, Settlement
from kalshi_cli.exchange import wire
from kalshi_cli.exchange.endpoints.base import Endpoints, seconds


class PortfolioEndpoints(Endpoints):
    """The account's money and positions."""

    def fills(self, ticker: str | None = None, min_ts: Ts | None = None, max_ts: Ts | None = None) -> Iterator[Fill]:
        """Return the account's fills, newest first, without client order ids."""
        params = {"ticker": ticker, "min_ts": seconds(min_ts), "max_ts": seconds(max_ts)}
        return self._pages("/portfolio/fills", params, wire.orders.read_fills)

    def positions(
        self, settlement_status: str | None = None, subaccount: int | None = None, ticker: str | None = None
    ) -> Iterator[ExchangePosition]:
        """Return positions of the live tier, of the primary account (or that of the key) unless another is given.

        They are those of unsettled markets; `settlement_status` may request settled ones, or all.
        """
        params = {"settlement_status": settlement_status, "subaccount": self.whose(subaccount), "ticker": ticker}
        return self._pages("/portfolio/positions", params, wire.account.read_positions)

    def settlements(self, min_ts: Ts | None = None, max_ts: Ts | None = None) -> Iterator[Settlement]:
        """Return settlements."""
        params = {"min_ts": seconds(min_ts), "max_ts": seconds(max_ts)}
        return self._pages("/portfolio/settlements", params, wire.account.read_settlements)

    def payouts(
        self, ticker: str | None = None, event: str | None = None, min_ts: Ts | None = None
    ) -> Iterator[wire.account.Payout]:
        """Return settlements with their costs, newest first, of all subaccounts."""
        params = {"ticker": ticker, "event_ticker": event, "min_ts": seconds(min_ts)}
        return self._pages("/portfolio/settlements", params, wire.account.read_payouts)

    def balance(self, subaccount: int | None = None, exchange_index: int | None = None) -> Balance:
        """Return cash, in total and by shard, and the value of positions; by default of the primary account."""
        params = {"subaccount": self.whose(subaccount), "exchange_index": exchange_index}
        return wire.account.read_balance(self._get("/portfolio/balance", params))
