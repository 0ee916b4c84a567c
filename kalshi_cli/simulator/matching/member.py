"""A member while the exchange runs: its purses, what it holds and has resting in each, and what it may read."""

from __future__ import annotations

from collections.abc import Iterator

from kalshi_cli.base.units import Money, Qty, Ts
from kalshi_cli.simulator.matching.collateral import FeeTerms, collateral, order_need
from kalshi_cli.simulator.matching.mirror import DelayedView
from kalshi_cli.simulator.model.records import AccountRecord, BalanceRecord, GroupRecord, OrderRecord, PositionRecord

NONE = Qty(0)
MAX_SUBACCOUNT = 63
"""Subaccounts are numbered 1 to 63; 0 is the primary one (API.md section 5.14)."""


class AccountBalance:
    """One subaccount on one shard: its cash, and what it holds and has resting in the markets of that shard.

    An order is paid from the purse of its subaccount on its market's shard, and from no other (API.md section 5.13).
    """

    def __init__(self, record: BalanceRecord) -> None:
        self.record = record
        self.holdings: dict[str, PositionRecord] = {}
        self.resting: dict[str, dict[str, OrderRecord]] = {}
        self.reserved: dict[str, Money] = {}
        self.reserved_total = Money(0)

    @property
    def free(self) -> Money:
        """Cash that no resting order holds back."""
        return Money(self.record.cash - self.reserved_total)

    def holding(self, ticker: str) -> PositionRecord:
        found = self.holdings.get(ticker)
        if found is None:
            record = self.record
            found = self.holdings[ticker] = PositionRecord(
                account=record.account,
                subaccount=record.subaccount,
                exchange_index=record.exchange_index,
                ticker=ticker,
            )
        return found

    def held(self, ticker: str) -> Qty:
        found = self.holdings.get(ticker)
        return found.qty if found else NONE

    def orders(self, ticker: str | None = None) -> Iterator[OrderRecord]:
        if ticker is not None:
            yield from self.resting.get(ticker, {}).values()
        else:
            for orders in self.resting.values():
                yield from orders.values()

    def reserve(self, ticker: str, terms: FeeTerms, moved: OrderRecord | None = None, was: Qty = NONE) -> None:
        """Reckon again what the resting orders of a market need.

        Where only one order `moved`, from `was` to what remains of it, and nothing is held, that one is enough: an
        account may have thousands of orders.
        """
        before = self.reserved.get(ticker, Money(0))
        if moved is None or self.held(ticker):
            need = collateral(self.orders(ticker), self.held(ticker), terms)
        else:
            after = order_need(moved, moved.remaining, terms, is_taker=False)
            need = Money(before + after - order_need(moved, was, terms, is_taker=False))
        self.reserved_total = Money(self.reserved_total + need - before)
        self.reserved[ticker] = need

    def drop(self, ticker: str) -> None:
        """Forget a market."""
        self.resting.pop(ticker, None)
        self.reserved_total = Money(self.reserved_total - self.reserved.pop(ticker, Money(0)))
        self.holdings.pop(ticker, None)


class SimAccount:
    """An account. Only accounts with a key are ever read, so only they have a mirror."""

    def __init__(self, record: AccountRecord) -> None:
        self.record = record
        self.purses: dict[tuple[int, int], AccountBalance] = {}
        self.client_ids: dict[str, str] = {}
        self.groups: dict[str, GroupRecord] = {}
        self.open_orders = 0
        self.cancels_until: dict[int, Ts] = {}
        self.fills = 0
        self.settlements = 0
        self.mirror: DelayedView | None = None
        self.markets: set[str] = set()
        """Where it ever had an order or a position, as far as the exchange knows those markets."""

    def purse(self, subaccount: int, exchange_index: int) -> AccountBalance:
        """Of a subaccount on a shard; an empty one where there was none yet."""
        found = self.purses.get((subaccount, exchange_index))
        if found is None:
            record = BalanceRecord(account=self.record.name, subaccount=subaccount, exchange_index=exchange_index)
            found = self.purses[subaccount, exchange_index] = AccountBalance(record)
        return found

    def purse_of(self, order: OrderRecord) -> AccountBalance:
        """The one that pays for this order."""
        return self.purse(order.subaccount, order.exchange_index)

    def has_subaccount(self, number: int) -> bool:
        return 0 <= number <= self.record.subaccounts

    def orders(self, ticker: str | None = None, subaccount: int | None = None) -> Iterator[OrderRecord]:
        """What rests, of one market and one subaccount or of all."""
        for purse in self.purses.values():
            if subaccount in (None, purse.record.subaccount):
                yield from purse.orders(ticker)

    def add_live(self, order: OrderRecord) -> None:
        """It rests now."""
        self.purse_of(order).resting.setdefault(order.ticker, {})[order.order_id] = order
        self.open_orders += 1

    def forget_live(self, order: OrderRecord) -> None:
        """It rests no longer."""
        del self.purse_of(order).resting[order.ticker][order.order_id]
        self.open_orders -= 1

    def holdings(self) -> Iterator[PositionRecord]:
        for purse in self.purses.values():
            yield from purse.holdings.values()

    def held(self, ticker: str) -> Qty:
        """Over all subaccounts; plus is YES."""
        return Qty(sum(purse.held(ticker) for purse in self.purses.values()))

    def cash(self, subaccount: int | None = None, exchange_index: int | None = None) -> Money:
        """Of one subaccount, of one shard, or (None) of all of them."""
        return Money(
            sum(
                purse.record.cash
                for (number, shard), purse in self.purses.items()
                if subaccount in (None, number) and exchange_index in (None, shard)
            )
        )


def group_key(record: GroupRecord) -> str:
    return f"group/{record.group_id}"


def purse_key(record: BalanceRecord) -> str:
    return f"purse/{record.account}/{record.subaccount}/{record.exchange_index}"


def holding_key(record: PositionRecord) -> str:
    """Of the primary subaccount as it was before there were others, so that older journals go on."""
    suffix = f"/{record.subaccount}" if record.subaccount else ""
    return f"holding/{record.account}/{record.ticker}{suffix}"
