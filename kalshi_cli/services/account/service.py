"""Use cases about the account: every method returns views of what it has and did, and raises one of our errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kalshi_cli.base.units import Money, Qty, Ts
from kalshi_cli.core.account import pnl
from kalshi_cli.core.account.tax_lots import tax_lots
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.call import Params
from kalshi_cli.services import raw_calls
from kalshi_cli.services.account.cash import allocation_view, balance
from kalshi_cli.services.account.portfolio import account_pnl, account_portfolio, positions_before
from kalshi_cli.services.account.rebuild import StateRebuild, rebuild
from kalshi_cli.services.account.summary import portfolio_summary
from kalshi_cli.services.resources import Resources
from kalshi_cli.views import cash
from kalshi_cli.views.exports import FillExport, LotExport, fill_export
from kalshi_cli.views.portfolio import PortfolioView
from kalshi_cli.views.positions import (
    AccountFillRow,
    PnlView,
    PositionRow,
    SubaccountPositionRow,
    fill_row,
    pnl_view,
    position_row,
)


class AccountService:
    """Cash, positions, fills, settlements, profit and loss, and what the account may do. Tickers are in capitals."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    @property
    def _client(self) -> KalshiClient:
        return self._resources.client

    # -- what it has ----------------------------------------------------------------------------------------------

    def balance(self, subaccount: int | None = None) -> cash.BalanceView:
        """Return cash by shard, positions and resting orders; of the primary account unless one is named."""
        return balance(self._client, subaccount)

    def positions(self, subaccount: int | None = None) -> Sequence[PositionRow]:
        """Return the open positions at the price they could be closed at, of all subaccounts unless one is named."""
        found = account_portfolio(self._resources)
        marks = found.marks
        held = [each for each in found.open_positions if subaccount is None or each.subaccount == subaccount]
        kind = SubaccountPositionRow if any(each.subaccount for each in held) else PositionRow
        return [position_row(each, marks[each.ticker], kind) for each in held]

    def portfolio(self) -> PortfolioView:
        """Return cash, positions, exposure against limits and today's profit and loss, with totals."""
        return portfolio_summary(self._resources)

    def upcoming_settlements(self, ticker: str = "", event: str = "") -> Sequence[cash.UpcomingRow]:
        """Return the open positions by the time at which they are decided."""
        found = account_portfolio(self._resources)
        held = [(position, found.markets.get(position.ticker)) for position in found.open_positions]
        rows = [
            cash.upcoming_row(position, market)
            for position, market in held
            if ticker in ("", position.ticker) and event in ("", market.event_ticker if market else "")
        ]
        return sorted(rows, key=lambda row: (row.close_time is None, row.close_time, row.ticker))

    # -- what it did ----------------------------------------------------------------------------------------------

    def fills(self, ticker: str = "", since: Ts | None = None, limit: int | None = 50) -> Sequence[AccountFillRow]:
        """Return the trades of the account from both tiers, newest first.

        Which outcome a trade bought or sold follows from the position before it, so the whole history is read.
        """
        page = self._client.all_fills(ticker or None, since, limit)
        is_whole = since is None and (limit is None or len(page) < limit)
        history = page if is_whole else self._client.all_fills(ticker or None)
        before = positions_before(history[::-1])
        return [fill_row(fill, before.get(fill.key, Qty(0))) for fill in page]

    def settlements(self, ticker: str = "", event: str = "", since: Ts | None = None) -> Iterator[cash.SettlementRow]:
        """Return the settled markets, newest first, read as they are iterated over."""
        for paid in self._client.payouts(ticker=ticker or None, event=event or None, min_ts=since):
            yield cash.SettlementRow.of(
                paid.settlement,
                yes_cost=paid.yes_cost,
                no_cost=paid.no_cost,
                net=paid.net,
                exchange_index=paid.exchange_index,
            )

    def pnl(self, by: str = "market", since: Ts | None = None) -> PnlView:
        """Return profit and loss: the whole, and its parts by one of `portfolio.KEYS`."""
        return pnl_view(*account_pnl(self._resources, by, since))

    def equity_curve(self, since: Ts | None = None) -> Sequence[tuple[Ts, Money]]:
        """Return what the account had gained over time."""
        found = account_portfolio(self._resources)
        return pnl.curve(found.entries, found.marks, self._resources.clock.now(), since=since)

    # -- exports --------------------------------------------------------------------------------------------------

    def fill_export(self, since: Ts | None = None) -> Sequence[FillExport]:
        """Return every trade, oldest first, with the strategy and fair value of its order where that is known."""
        store = self._resources.remembered()
        orders = {order.order_id: order for order in store.orders()} if store is not None else {}
        return [fill_export(fill, orders.get(fill.order_id)) for fill in self._client.all_fills(None, since)[::-1]]

    def tax_lots(
        self, since: Ts | None = None, until: Ts | None = None, *, with_open: bool = True
    ) -> Sequence[LotExport]:
        """Return lots, first in, first out: those closed in the period, and the open ones `with_open`."""
        found = tax_lots(account_portfolio(self._resources).entries)
        end = float("inf") if until is None else until
        return [
            LotExport.of(lot)
            for lot in found
            if ((since or 0) <= lot.closed < end if lot.closed is not None else with_open)
        ]

    # -- money in and out -----------------------------------------------------------------------------------------

    def deposits(self, limit: int | None = 50) -> Iterator[cash.CashMovementRow]:
        """Return the money that came in."""
        return map(cash.CashMovementRow.of, self._client.deposits(limit))

    def withdrawals(self, limit: int | None = 50) -> Iterator[cash.CashMovementRow]:
        """Return the money that went out."""
        return map(cash.CashMovementRow.of, self._client.withdrawals(limit))

    def allocation(self) -> cash.AllocationView:
        """Return how the exchange spreads free cash over the shards."""
        return allocation_view(self._client.allocation())

    def set_allocation(self, shares: dict[int, int], reservation: str = "") -> cash.AllocationView:
        """Replace the shares, in percent by shard; return those in force then."""
        self._client.set_allocation(shares, reservation)
        return self.allocation()

    # -- what it may do -------------------------------------------------------------------------------------------

    def api_keys(self) -> cash.KeysView:
        """Return the API keys, and until when they may trade some categories."""
        return cash.KeysView.of(self._client.api_keys())

    def limits(self) -> cash.LimitsView:
        """Return tier, buckets, grants, costs and volume; no volume where the exchange has not computed any yet."""
        client = self._client
        progress = max(client.volume_progress(), key=lambda progress: progress.computed, default=None)
        found, costs = client.limits(), client.endpoint_costs()
        return cash.LimitsView(
            usage_tier=found.usage_tier,
            read_rate=found.read.refill_rate,
            read_capacity=found.read.bucket_capacity,
            write_rate=found.write.refill_rate,
            write_capacity=found.write.bucket_capacity,
            default_cost=costs.default,
            volume_30d=None if progress is None else progress.volume,
            volume_computed=None if progress is None else progress.computed,
            grants=tuple(
                cash.GrantRow.of(grant, expires=None if grant.expires_ts is None else Ts(grant.expires_ts * 1000))
                for grant in found.grants
            ),
            costs=tuple(map(cash.CostRow.of, sorted(costs.exceptions, key=lambda each: (each.path, each.method)))),
            goals=() if progress is None else tuple(map(cash.GoalRow.of, progress.goals)),
        )

    def upgrade_tier(self) -> cash.LimitsView:
        """Ask for the Advanced API tier; return the limits then."""
        self._client.upgrade_tier()
        return self.limits()

    # -- the state file -------------------------------------------------------------------------------------------

    def rebuild(self) -> StateRebuild:
        """Make an unusable state file anew from the exchange; trading stays halted."""
        return rebuild(self._resources)

    # -- raw calls ------------------------------------------------------------------------------------------------

    def raw_call(
        self, method: str, path: str, params: Params, body: bytes = b"", *, with_all_pages: bool = False
    ) -> bytes:
        """Send a signed call and return the answer as it came; of a list, on request, all pages as one object.

        RefusedError where a halt forbids it: nothing was sent.
        """
        if with_all_pages:
            return raw_calls.all_pages(self._client, path, params)
        return raw_calls.call(self._client, method, path, params, body)

    def check_raw_path(self, path: str) -> None:
        """Raise UsageError where a raw call must not go to this path."""
        self._client.check_path(path)
