"""Use cases of the account: every method returns views and raises one of our errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

import msgspec

from kalshi_cli.base.checked import check_limit, check_period, check_whole
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Money, Qty, Ts, is_within, show_money
from kalshi_cli.config.config import refuse_unread_limits
from kalshi_cli.core.account.ledger import in_trading_order
from kalshi_cli.core.account.tax_lots import tax_lots
from kalshi_cli.core.model.orders import Fill
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.call import Params
from kalshi_cli.exchange.wire.funds import PRIMARY, Allocation
from kalshi_cli.services import raw_calls
from kalshi_cli.services.account.cash import (
    ShardMove,
    allocation_view,
    balance,
    check_shares,
    describe_transfer,
    transfer,
    unsent,
)
from kalshi_cli.services.account.portfolio import (
    KEYS,
    PnlGroup,
    account_curve,
    account_pnl,
    account_portfolio,
    position_rows,
    positions_before,
    typed_outcomes,
)
from kalshi_cli.services.plans import PlanningService, R, T
from kalshi_cli.store.records import ALL_TIME
from kalshi_cli.views import cash
from kalshi_cli.views.exports import FillExport, LotExport, fill_export
from kalshi_cli.views.plans import RequestPlan
from kalshi_cli.views.portfolio import PortfolioView
from kalshi_cli.views.positions import AccountFillRow, PnlView, PositionRow, fill_row, pnl_view

if TYPE_CHECKING:
    from kalshi_cli.services.account.rebuild import StateRebuild

_BY_SUBACCOUNT = attrgetter("subaccount", "exchange_index")


class AccountService(PlanningService):
    """Cash, positions, fills, settlements, profit and loss, and permissions. Tickers are in capitals."""

    @property
    def _client(self) -> KalshiClient:
        return self._resources.client

    # -- what it has ----------------------------------------------------------------------------------------------

    def balance(self, subaccount: int | None = None) -> cash.BalanceView:
        """Return cash by shard, positions and resting orders; of the primary account unless a subaccount is given."""
        return balance(self._client, self._resources.clock, subaccount)

    def positions(self, subaccount: int | None = None) -> Sequence[PositionRow]:
        """Return the open positions with closing prices, of all subaccounts unless one is given."""
        return position_rows(account_portfolio(self._resources), subaccount)

    def portfolio(self) -> PortfolioView:
        """Return cash, positions, exposure against limits and today's profit and loss, with totals."""
        from kalshi_cli.services.account.summary import portfolio_summary

        return portfolio_summary(self._resources)

    def upcoming_settlements(self, ticker: str = "", event: str = "") -> Sequence[cash.UpcomingRow]:
        """Return the open positions by the time of their settlement."""
        found = account_portfolio(self._resources)
        held = [(position, found.markets.get(position.ticker)) for position in found.open_positions]
        rows = [
            cash.upcoming_row(position, market)
            for position, market in held
            if ticker in ("", position.ticker) and event in ("", market.event_ticker if market else "")
        ]
        return sorted(rows, key=lambda row: (row.close_time is None, row.close_time, row.ticker))

    # -- what it did ----------------------------------------------------------------------------------------------

    def fills(
        self, ticker: str = "", since: Ts | None = None, limit: int | None = 50, *, until: Ts | None = None
    ) -> Sequence[AccountFillRow]:
        """Return the trades of the account from both tiers, newest first; `until` is exclusive.

        Which outcome a trade bought or sold follows from the position before it, so the whole history is read. The side
        typed with its order is in the state file.
        """
        check_limit(limit)
        check_period(since, until)
        history = in_trading_order(self._client.all_fills(ticker or None)[::-1])
        page = [fill for fill in reversed(history) if is_within(fill.ts, since, until)][:limit]
        return self._fill_rows(page, history)

    def _fill_rows(self, page: Sequence[Fill], history: Sequence[Fill]) -> Sequence[AccountFillRow]:
        before, typed = positions_before(history), typed_outcomes(self._resources, page)
        return [fill_row(fill, before.get(fill.key, Qty(0)), typed.get(fill.order_id, "")) for fill in page]

    def settlements(
        self, ticker: str = "", event: str = "", since: Ts | None = None, *, until: Ts | None = None
    ) -> Iterator[cash.SettlementRow]:
        """Return the settled markets, newest first, read as they are iterated over, with the results of `pnl`."""
        check_period(since, until)
        results = account_pnl(self._resources, "market", None)[1]
        for paid in self._client.payouts(ticker=ticker or None, event=event or None, min_ts=since):
            if until is not None and paid.settlement.ts >= until:
                continue
            net = result.net if (result := results.get(paid.settlement.ticker)) is not None else None
            cost = None if paid.yes_cost is None or paid.no_cost is None else Money(paid.yes_cost + paid.no_cost)
            gain = None if cost is None else paid.settlement.revenue - cost - paid.settlement.fee
            yield cash.SettlementRow.of(
                paid.settlement,
                yes_cost=paid.yes_cost,
                no_cost=paid.no_cost,
                net=net,
                exchange_index=paid.exchange_index,
                cost=cost,
                sold_before=None if net is None or gain is None else Money(net - gain),
            )

    def pnl(self, by: PnlGroup = "market", since: Ts | None = None, *, until: Ts | None = None) -> PnlView:
        """Return total profit and loss, and its parts by one of `portfolio.KEYS`; `until` is exclusive.

        If `until` is past, unrealized P&L is left out: the prices then are unknown.
        """
        if by not in KEYS:
            raise UsageError(f"Profit and loss cannot be grouped by {by!r}", hint=f"one of {', '.join(KEYS)}")
        check_period(since, until)
        return pnl_view(*account_pnl(self._resources, by, since, until))

    def equity_curve(self, since: Ts | None = None, *, until: Ts | None = None) -> Sequence[tuple[Ts, Money]]:
        """Return the gain of the account over time; at its end, unless that is past, with unrealized P&L."""
        check_period(since, until)
        return account_curve(account_portfolio(self._resources, ALL_TIME), self._resources.clock.now(), since, until)

    # -- exports --------------------------------------------------------------------------------------------------

    def fill_export(self, since: Ts | None = None, until: Ts | None = None) -> Sequence[FillExport]:
        """Return every fill, oldest first, with the strategy and fair value of its order where known.

        The whole history is read, as in `fills`. `until` is exclusive.
        """
        check_period(since, until)
        store = self._resources.remembered()
        orders = {order.order_id: order for order in store.orders()} if store is not None else {}
        history = in_trading_order(self._client.all_fills(None)[::-1])
        page = [fill for fill in history if is_within(fill.ts, since, until)]
        rows = self._fill_rows(page, history)
        return [fill_export(fill, orders.get(fill.order_id), row) for fill, row in zip(page, rows, strict=True)]

    def tax_lots(
        self, since: Ts | None = None, until: Ts | None = None, *, with_open: bool = True
    ) -> Sequence[LotExport]:
        """Return lots, first in, first out: those closed in the period, and the open ones `with_open`."""
        check_period(since, until)
        found = tax_lots(account_portfolio(self._resources, ALL_TIME).entries)
        return [
            LotExport.of(lot)
            for lot in found
            if (is_within(lot.closed, since, until) if lot.closed is not None else with_open)
        ]

    # -- money in and out -----------------------------------------------------------------------------------------

    def deposits(self, limit: int | None = 50) -> Iterator[cash.CashMovementRow]:
        """Return the deposits."""
        return map(cash.CashMovementRow.of, self._client.deposits(limit))

    def withdrawals(self, limit: int | None = 50) -> Iterator[cash.CashMovementRow]:
        """Return the withdrawals."""
        return map(cash.CashMovementRow.of, self._client.withdrawals(limit))

    def allocation(self) -> cash.AllocationView:
        """Return how the exchange allocates free cash to the shards."""
        return allocation_view(self._client.allocation())

    def plan_allocation(
        self, shares: dict[int, int], reservation: str = ""
    ) -> RequestPlan[cash.AllocationView, cash.AllocationView]:
        """Plan to replace the shares, in percent by shard; no shares switch the rebalancing off."""
        check_shares(shares)

        def send() -> cash.AllocationView:
            self._client.set_allocation(shares, reservation)
            return self.allocation()

        listed = ", ".join(f"shard {at} {share}%" for at, share in shares.items()) or "no rebalancing"
        terms = allocation_view(Allocation(shares, reservation or "sum"))
        return self._request("set_allocation", terms, send, listed)

    # -- subaccounts and shards -----------------------------------------------------------------------------------

    def subaccounts(self) -> Sequence[cash.SubaccountRow]:
        """Return the cash of every subaccount on every shard."""
        return sorted(map(cash.SubaccountRow.of, self._client.subaccount_balances()), key=_BY_SUBACCOUNT)

    def netting(self) -> Sequence[cash.NettingRow]:
        """Return whether positions net, for every subaccount."""
        return sorted(map(cash.NettingRow.of, self._client.netting()), key=_BY_SUBACCOUNT)

    def subaccount_transfers(self) -> Iterator[cash.SubaccountTransferRow]:
        """Return the transfers between subaccounts, read as they are iterated over."""
        return map(cash.SubaccountTransferRow.of, self._client.subaccount_transfers())

    def transfers(self, limit: int | None = 50) -> Iterator[cash.TransferRow]:
        """Return the transfers between shards, read as they are iterated over."""
        return map(cash.TransferRow.of, self._client.shard_transfers(limit))

    def transfer(self, transfer_id: str) -> cash.TransferRow:
        """Return one transfer between shards."""
        return cash.TransferRow.of(self._client.shard_transfer(transfer_id))

    def plan_subaccount(self, shard: int = 0) -> RequestPlan[dict[str, int], cash.NewSubaccountView]:
        """Plan to open the next subaccount, which cannot be closed again. Needs the Advanced API tier."""
        return self._request(
            "create_subaccount",
            {"exchange_index": shard},
            lambda: cash.NewSubaccountView(subaccount=self._client.create_subaccount(shard)),
            "a new subaccount, which cannot be closed again",
        )

    def plan_netting(
        self, subaccount: int, *, enabled: bool
    ) -> RequestPlan[dict[str, int | bool], Sequence[cash.NettingRow]]:
        """Plan to switch netting of YES and NO positions of a subaccount on or off."""

        def send() -> Sequence[cash.NettingRow]:
            self._client.set_netting(subaccount, enabled=enabled)
            return self.netting()

        terms = {"subaccount": subaccount, "enabled": enabled}
        switched = "on" if enabled else "off"
        return self._request("set_netting", terms, send, f"netting of subaccount {subaccount} {switched}")

    def plan_subaccount_transfer(
        self,
        amount: int,
        *,
        from_subaccount: int,
        to_subaccount: int,
        shard: int = 0,
        client_transfer_id: str = "",
    ) -> RequestPlan[cash.SubaccountMoveView, cash.SubaccountMoveView]:
        """Plan to move whole cents between subaccounts on one shard.

        Give `client_transfer_id` to repeat an unconfirmed transfer: the exchange applies each id once.
        """
        sum_moved = Money(check_whole("amount", amount))
        terms = cash.SubaccountMoveView(
            client_transfer_id=client_transfer_id or self._resources.new_id(),
            from_subaccount=from_subaccount,
            to_subaccount=to_subaccount,
            exchange_index=shard,
            amount=sum_moved,
            status="dry_run",
        )

        def send() -> cash.SubaccountMoveView:
            is_new = self._client.transfer_to_subaccount(
                sum_moved,
                client_transfer_id=terms.client_transfer_id,
                from_subaccount=from_subaccount,
                to_subaccount=to_subaccount,
                exchange_index=shard,
            )
            # A 409 for a new id means that an earlier, unanswered attempt of this call was applied.
            status = "applied" if is_new or not client_transfer_id else "applied_before"
            return msgspec.structs.replace(terms, status=status)

        places = f"from subaccount {from_subaccount} to subaccount {to_subaccount} on shard {shard}"
        return self._request("transfer_to_subaccount", terms, send, f"move {show_money(amount)} {places}")

    def plan_transfer(
        self,
        amount: int,
        *,
        from_shard: int,
        to_shard: int,
        from_subaccount: int = PRIMARY,
        to_subaccount: int = PRIMARY,
        client_transfer_id: str = "",
    ) -> RequestPlan[cash.TransferRow, cash.TransferRow]:
        """Plan to move cash from one shard to another; reads the balances of both.

        Give `client_transfer_id` to repeat an unconfirmed transfer: the exchange applies each id once.
        """
        move = ShardMove(
            amount=Money(check_whole("amount", amount)),
            from_shard=from_shard,
            to_shard=to_shard,
            from_subaccount=from_subaccount,
            to_subaccount=to_subaccount,
            client_transfer_id=client_transfer_id or self._resources.new_id(),
        )
        first, second = describe_transfer(self._client, move)
        return self._request(
            "transfer_to_shard",
            unsent(move),
            lambda: cash.TransferRow.of(transfer(self._client, self._resources.clock, move)),
            first,
            f"{self._env}: {second}",
        )

    # -- what it may do -------------------------------------------------------------------------------------------

    def api_keys(self) -> cash.KeysView:
        """Return the API keys, with the times until which they may trade some categories."""
        return cash.KeysView.of(self._client.api_keys())

    def limits(self) -> cash.LimitsView:
        """Return tier, buckets, grants, costs and volume; no volume before the exchange has computed it."""
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

    def plan_upgrade(self) -> RequestPlan[None, cash.LimitsView]:
        """Plan to ask for the Advanced API tier; executing it returns the limits after that."""

        def send() -> cash.LimitsView:
            self._client.upgrade_tier()
            return self.limits()

        return self._request("upgrade_tier", None, send, "the Advanced API tier, for good")

    # -- the state file -------------------------------------------------------------------------------------------

    def rebuild(self) -> StateRebuild:
        """Rebuild an unusable state file from the exchange; trading stays halted."""
        from kalshi_cli.services.account.rebuild import rebuild

        return rebuild(self._resources)

    # -- raw calls ------------------------------------------------------------------------------------------------

    def raw_get(self, path: str, params: Params, *, with_all_pages: bool = False) -> bytes:
        """Send a signed GET and return the answer unchanged, or all pages of a list as one object."""
        if with_all_pages:
            return raw_calls.all_pages(self._client, path, params)
        return raw_calls.call(self._client, "GET", path, params)

    def plan_raw_call(
        self, method: str, path: str, params: Params, body: bytes = b""
    ) -> RequestPlan[dict[str, object], bytes]:
        """Plan a signed write, whose answer is returned unchanged. No limit applies; a halt does.

        UsageError where a raw call must not go to this path.
        """
        self._client.check_path(path)
        shown = body.decode(errors="replace")[:500]
        return self._request(
            "raw_call",
            {"method": method, "path": path, "params": params, "body": body},
            lambda: raw_calls.call(self._client, method, path, params, body),
            f"{method} {path}",
            *([f"body {shown}"] if shown else []),
        )

    def _request(self, action: str, terms: T, send: Callable[[], R], *facts: str) -> RequestPlan[T, R]:
        """Plan one request; ConfigError where the variable of the read-only mode, or of a limit, is mistyped."""
        refuse_unread_limits(self._resources.config)
        return super()._request(action, terms, send, *facts)
