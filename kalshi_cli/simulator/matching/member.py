"""A member of the running exchange: its balances, positions and resting orders."""

from __future__ import annotations

from collections.abc import Iterator

from kalshi_cli.base.units import Money, Qty, Ts
from kalshi_cli.simulator.matching.collateral import FeeTerms, collateral, order_need
from kalshi_cli.simulator.matching.mirror import DelayedView
from kalshi_cli.simulator.model import records

NONE = Qty(0)
MAX_SUBACCOUNT = 63
"""Subaccounts are numbered 1 to 63; 0 is the primary one (API.md section 5.14)."""


class AccountBalance:
    """A subaccount on a shard: its cash, and its positions and resting orders in the markets of that shard.

    An order is paid from the balance of its subaccount on the shard of its market (API.md section 5.13).
    """

    def __init__(self, record: records.BalanceRecord) -> None:
        self.record = record
        self.holdings: dict[str, records.PositionRecord] = {}
        self.resting: dict[str, dict[str, records.OrderRecord]] = {}
        self.reserved: dict[str, Money] = {}
        self.reserved_total = Money(0)

    @property
    def free(self) -> Money:
        """Return the cash that no resting order reserves."""
        return Money(self.record.cash - self.reserved_total)

    def holding(self, ticker: str) -> records.PositionRecord:
        """Return the position in a market, which may be new and empty."""
        found = self.holdings.get(ticker)
        if found is None:
            owner = {name: getattr(self.record, name) for name in records.OwnedRecord.__struct_fields__}
            found = self.holdings[ticker] = records.PositionRecord(ticker=ticker, **owner)
        return found

    def held(self, ticker: str) -> Qty:
        """Return the signed size of the position in a market."""
        found = self.holdings.get(ticker)
        return found.qty if found else NONE

    def orders(self, ticker: str | None = None) -> Iterator[records.OrderRecord]:
        """Yield the resting orders of one market, or of all markets."""
        for orders in self.resting.values() if ticker is None else (self.resting.get(ticker, {}),):
            yield from orders.values()

    def reserve(
        self, ticker: str, terms: FeeTerms, moved: records.OrderRecord | None = None, was: Qty | None = None
    ) -> None:
        """Update the cash that the resting orders of a market reserve.

        If only one order changed (`moved`, from `was` to its remaining size) and there is no position, only that order
        is counted: an account may have thousands.
        """
        before = self.reserved.get(ticker, Money(0))
        if moved is None or was is None or self.held(ticker):
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
    """An account. Only accounts with a key can be read, so only they have a delayed view (`mirror`)."""

    def __init__(self, record: records.AccountRecord) -> None:
        self.record = record
        self.purses: dict[tuple[int, int], AccountBalance] = {}
        self.client_ids: dict[str, str] = {}
        self.groups: dict[str, records.GroupRecord] = {}
        self.open_orders = 0
        self.cancels_until: dict[int, Ts] = {}
        self.fills = 0
        self.settlements = 0
        self.mirror: DelayedView | None = None
        self.markets: set[str] = set()
        """The existing markets in which it ever had an order or a position."""

    def purse(self, subaccount: int, exchange_index: int) -> AccountBalance:
        """Return the balance of a subaccount on a shard, which may be new and empty."""
        found = self.purses.get((subaccount, exchange_index))
        if found is None:
            record = records.BalanceRecord(
                account=self.record.name, subaccount=subaccount, exchange_index=exchange_index
            )
            found = self.purses[subaccount, exchange_index] = AccountBalance(record)
        return found

    def purse_of(self, order: records.OrderRecord) -> AccountBalance:
        """Return the balance that pays for an order."""
        return self.purse(order.subaccount, order.exchange_index)

    def has_subaccount(self, number: int) -> bool:
        """Return whether a subaccount with this number exists; 0 is the primary one."""
        return 0 <= number <= self.record.subaccounts

    def orders(self, ticker: str | None = None, subaccount: int | None = None) -> Iterator[records.OrderRecord]:
        """Yield the resting orders, of one market and subaccount or of all."""
        for purse in self.purses.values():
            if subaccount in (None, purse.record.subaccount):
                yield from purse.orders(ticker)

    def add_live(self, order: records.OrderRecord) -> None:
        """Add an order that rests now."""
        self.purse_of(order).resting.setdefault(order.ticker, {})[order.order_id] = order
        self.open_orders += 1

    def forget_live(self, order: records.OrderRecord) -> None:
        """Remove an order that no longer rests."""
        del self.purse_of(order).resting[order.ticker][order.order_id]
        self.open_orders -= 1

    def holdings(self) -> Iterator[records.PositionRecord]:
        """Yield all positions."""
        for purse in self.purses.values():
            yield from purse.holdings.values()

    def held(self, ticker: str) -> Qty:
        """Return the size of the position over all subaccounts; positive is YES."""
        return Qty(sum(purse.held(ticker) for purse in self.purses.values()))

    def cash(self, subaccount: int | None = None, exchange_index: int | None = None) -> Money:
        """Return the cash of one subaccount and one shard, or (None) of all."""
        held = [purse.record for purse in self.purses.values() if subaccount in (None, purse.record.subaccount)]
        return Money(sum(record.cash for record in held if exchange_index in (None, record.exchange_index)))


def journal_key(record: records.BalanceRecord | records.GroupRecord | records.PositionRecord) -> str:
    """Return the journal key of a record; a position of the primary subaccount has no suffix."""
    match record:
        case records.GroupRecord():
            return f"group/{record.group_id}"
        case records.BalanceRecord():
            return f"purse/{record.account}/{record.subaccount}/{record.exchange_index}"
    suffix = f"/{record.subaccount}" if record.subaccount else ""
    return f"holding/{record.account}/{record.ticker}{suffix}"
