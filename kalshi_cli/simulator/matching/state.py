"""The state of the simulated exchange, with the changes that are not yet saved and not yet published."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.simulator.matching import member as accounts
from kalshi_cli.simulator.matching.candles import BarRecord, CandleBuilder
from kalshi_cli.simulator.matching.collateral import FeeTerms
from kalshi_cli.simulator.matching.mirror import DelayedView, Mirrored
from kalshi_cli.simulator.matching.order_book import MatchingBook
from kalshi_cli.simulator.model import calendar, records
from kalshi_cli.simulator.model.journal import ExchangeJournal
from kalshi_cli.simulator.model.listing import CollectionSpec, EventSpec, ExchangeOptions, SeriesSpec
from kalshi_cli.simulator.model.quote_records import BlockRecord, QuoteRecord, RfqRecord, RfqRecords
from kalshi_cli.simulator.model.transfer_records import Account, MovementRecord, TermsRecord, TransferRecord

TRADES_KEPT = 2_000
"""Stored public trades of each market; the journal overwrites the oldest."""


class SimulatorState:
    """The tables. `touch` marks a record as changed; `commit` saves the changes, then returns what may be published."""

    def __init__(self, new_id: Callable[[], str], options: ExchangeOptions, journal: ExchangeJournal | None) -> None:
        self.new_id = new_id
        self.options = options
        self.switches = records.StateRecord()
        self.series: dict[str, SeriesSpec] = {}
        self.events: dict[str, EventSpec] = {}
        self.markets: dict[str, records.MarketRecord] = {}
        self.books: dict[str, MatchingBook] = {}
        self.shards: dict[str, int] = {}
        self.keys: dict[str, records.KeyRecord] = {}
        self.funds: dict[str, Account] = {}
        self.talks = RfqRecords()
        self.collections: dict[str, CollectionSpec] = {}
        self.members: dict[str, accounts.SimAccount] = {}
        self.live: dict[str, records.OrderRecord] = {}
        self.trades: dict[str, deque[records.TradeRecord]] = {}
        self.candles = CandleBuilder(self.touch, self.forget)
        self.fee_changes: list[records.FeeChangeRecord] = []
        self.trade_count = 0
        self.order_count = 0
        self.groups: dict[str, records.GroupRecord] = {}
        self.group_count = 0
        self.traded_groups: dict[str, None] = {}
        self.happened: list[records.Happening] = []
        self._observed = 0
        self._untold: set[str] = set()
        self._terms: dict[FeeSchedule, FeeTerms] = {}
        self._journal = journal
        self._waiting: list[records.OrderRecord] = []
        self._dirty: dict[str, msgspec.Struct | None] = {}
        self._must_save = False
        self._encode = msgspec.msgpack.Encoder().encode

    def terms(self, ticker: str, now: Ts | None = None) -> FeeTerms:
        """Return the fees of a fill at `now`; without a time, the fees without a waiver, for reservations."""
        schedule, waived = self.fees_of(ticker), self.markets[ticker].spec.fee_waiver_until
        if now is not None and waived is not None and now < waived:
            schedule = msgspec.structs.replace(schedule, multiplier=0)
        found = self._terms.get(schedule)
        if found is None:
            options = self.options
            found = self._terms[schedule] = FeeTerms(
                schedule, options.flat_fee, options.balance_precision, options.holds_fees
            )
        return found

    def fees_of(self, ticker: str) -> FeeSchedule:
        """Return the fees of the event if it has its own, else those of the series."""
        event = self.events[self.markets[ticker].spec.event_ticker]
        return event.fees or self.series[event.series_ticker].fees

    def shard_of(self, ticker: str) -> int:
        """Return the shard of a market; for an event or a series, that of its newest market."""
        return self.shards.get(ticker, 0)

    # -- changes --

    def touch(self, key: str, record: msgspec.Struct) -> None:
        """Set `key` to `record`."""
        self._dirty[key] = record

    def show(self, member: accounts.SimAccount, key: str, record: Mirrored, now: Ts) -> None:
        """Set `key` to a record of this account; with an API key it is saved before anything is published."""
        self._dirty[key] = record
        if member.mirror is not None:
            self._must_save = True
            member.mirror.put(record, now)

    def keep(self, key: str, record: msgspec.Struct) -> None:
        """Set `key` to `record`, and save it before anything is published."""
        self._dirty[key] = record
        self._must_save = True

    def funds_of(self, account: str) -> Account:
        """Return the deposits, transfers and settings of an account."""
        return self.funds.setdefault(account, Account(account))

    def forget(self, key: str) -> None:
        """Delete a key."""
        self._dirty[key] = None

    def touch_order(self, order: records.OrderRecord, now: Ts) -> None:
        """Save and publish a change of an order."""
        member = self.members[order.account]
        member.markets.add(order.ticker)
        order.updated = now
        if order.status != records.RESTING and member.mirror is None:
            self.forget(f"order/{order.order_id}")  # an ended order of an account without a key cannot be read
            return
        self.show(member, f"order/{order.order_id}", order, now)
        if member.mirror is not None and order.order_id not in self._untold:
            self._untold.add(order.order_id)
            self.happened.append(order)

    def touch_account(self, member: accounts.SimAccount) -> None:
        """Save a change of an account."""
        self.touch(f"account/{member.record.name}", member.record)
        self._must_save = self._must_save or member.mirror is not None

    def touch_own(self, record: records.BalanceRecord | records.GroupRecord | records.PositionRecord, now: Ts) -> None:
        """Save a change of a balance, an order group or a position."""
        record.updated = now
        self.show(self.members[record.account], accounts.journal_key(record), record, now)

    def touch_group(self, group: records.GroupRecord, event_type: str, now: Ts) -> None:
        """Publish a change of an order group; a deleted one is forgotten."""
        self.touch_own(group, now)
        if group.is_deleted:
            self.forget(accounts.journal_key(group))
            del self.groups[group.group_id], self.members[group.account].groups[group.group_id]
        self.happened.append(records.GroupChanged(event_type, group.group_id, group.limit, group.account, now))

    def add_subaccount(self, member: accounts.SimAccount, now: Ts) -> int | None:
        """Open a subaccount without money; return its number, or None if all 63 exist.

        It exists on every shard at once and cannot be removed.
        """
        if member.record.subaccounts >= accounts.MAX_SUBACCOUNT:
            return None
        member.record.subaccounts += 1
        self.touch_account(member)
        for shard in range(self.options.shards):
            self.touch_own(member.purse(member.record.subaccounts, shard).record, now)
        return member.record.subaccounts

    def touch_market(self, market: records.MarketRecord, now: Ts) -> None:
        """Save a change of a market."""
        market.updated = now
        self.touch(f"market/{market.spec.ticker}", market)

    def change_market(self, market: records.MarketRecord, change: str, now: Ts) -> None:
        """Save and publish a change of a market, in the wire's words."""
        self.touch_market(market, now)
        self.happened.append(records.MarketChanged(change, market.spec.ticker, now))

    def orders_in(self, ticker: str) -> list[records.OrderRecord]:
        """Return the resting orders of a market."""
        return [order for member in self.members.values() for order in member.orders(ticker)]

    def reserve_again(self, tickers: Iterable[str]) -> None:
        """Update the reservations in these markets after a change of fees."""
        purses = [purse for member in self.members.values() for purse in member.purses.values()]
        for ticker in tickers:
            for purse in purses:
                if purse.resting.get(ticker):
                    purse.reserve(ticker, self.terms(ticker))

    def add_trade(self, trade: records.TradeRecord) -> None:
        """Save a public trade."""
        self.trades[trade.ticker].append(trade)
        self.touch(f"trade/{trade.number % TRADES_KEPT}/{trade.ticker}", trade)

    def observe(self) -> None:
        """Update the candles while the books still match what happened."""
        self.candles.observe(self.happened[self._observed :], self.books, self.markets)
        self._observed = len(self.happened)

    def commit(self, *, everything: bool) -> list[records.Happening]:
        """Save the changes (all of them, if any must be saved), then return what may be published."""
        self.observe()
        if self._journal is not None and self._dirty and (self._must_save or everything):
            self._journal.save({k: None if r is None else self._encode(r) for k, r in self._dirty.items()})
            self._dirty.clear()
        elif self._journal is None:
            self._dirty.clear()
        self._must_save = False
        happened, self.happened, self._observed = self.happened, [], 0
        self._untold.clear()
        return happened

    def show_all(self) -> None:
        """Let reads catch up at once after the clock was set back."""
        for member in self.members.values():
            if member.mirror is not None:
                member.mirror.at(Ts(calendar.FAR))

    # -- starting again --

    def restore(self) -> bool:
        """Rebuild the tables from the journal in the order of their references; return False if it is empty."""
        items = self._journal.load() if self._journal else {}
        tables = self._tables()
        found: dict[str, list[msgspec.Struct]] = {name: [] for name in tables}
        for key, raw in items.items():
            name = key.partition("/")[0]
            found[name].append(msgspec.msgpack.decode(raw, type=prepared(tables[name][0])))
        for name, (_, take) in tables.items():
            for record in sorted(found[name], key=_age):
                take(record)
        for order in sorted(self._waiting, key=lambda order: order.place):
            self.add_live(order)
        self._waiting.clear()
        self.reserve_again(self.markets)
        return bool(items)

    def _tables(self) -> dict[str, tuple[type[msgspec.Struct], Callable[[Any], None]]]:
        """Return the type and the reader of each kind of journal key, in the order of a restore."""
        return {
            "state": (records.StateRecord, self._take_switches),
            "series": (SeriesSpec, lambda one: self.series.update({one.ticker: one})),
            "event": (EventSpec, lambda one: self.events.update({one.event_ticker: one})),
            "market": (records.MarketRecord, self.add_market),
            "collection": (CollectionSpec, lambda one: self.collections.update({one.ticker: one})),
            "account": (records.AccountRecord, lambda one: self.members.update({one.name: accounts.SimAccount(one)})),
            "purse": (records.BalanceRecord, self._take_own),
            "key": (records.KeyRecord, self.add_key),
            "movement": (MovementRecord, lambda one: self.funds_of(one.account).take(one)),
            "transfer": (TransferRecord, lambda one: self.funds_of(one.account).take(one)),
            "terms": (TermsRecord, lambda one: self.funds_of(one.account).take(one)),
            "group": (records.GroupRecord, self._take_own),
            "holding": (records.PositionRecord, self._take_own),
            "order": (records.OrderRecord, self._take_own),
            "fill": (records.FillRecord, self._take_own),
            "settlement": (records.SettlementRecord, self._take_own),
            "trade": (records.TradeRecord, self._take_trade),
            "bar": (BarRecord, self.candles.take),
            "fees": (records.FeeChangeRecord, self.fee_changes.append),
            "rfq": (RfqRecord, self.talks.take),
            "quote": (QuoteRecord, self.talks.take),
            "block": (BlockRecord, self.talks.take),
        }

    def _take_switches(self, switches: records.StateRecord) -> None:
        self.switches = switches

    def _take_trade(self, trade: records.TradeRecord) -> None:
        self.trades[trade.ticker].append(trade)
        self.trade_count = max(self.trade_count, trade.number + 1)

    def _take_own(self, record: Mirrored) -> None:
        member = self.members[record.account]
        match record:
            case records.GroupRecord():
                self.group_count = max(self.group_count, record.number + 1)
                self.add_group(record)
            case records.BalanceRecord():
                member.purses[record.subaccount, record.exchange_index] = accounts.AccountBalance(record)
            case records.OrderRecord():
                self._take_order(record)
            case records.FillRecord():
                member.fills = record.number + 1
            case records.PositionRecord():
                member.purse(record.subaccount, record.exchange_index).holdings[record.ticker] = record
                member.markets.add(record.ticker)
            case records.SettlementRecord():
                member.settlements = record.number + 1
        if member.mirror is not None:
            member.mirror.put(record, Ts(0))

    def _take_order(self, order: records.OrderRecord) -> None:
        self.members[order.account].markets.add(order.ticker)
        self.order_count = max(self.order_count, order.rank + 1, order.place + 1)
        if order.client_order_id:
            self.members[order.account].client_ids[order.client_order_id] = order.order_id
        if order.status == records.RESTING:
            self._waiting.append(order)

    def add_market(self, market: records.MarketRecord) -> None:
        """Add a market with an empty book."""
        ticker = market.spec.ticker
        self.markets[ticker] = market
        self.books[ticker] = MatchingBook()
        self.trades[ticker] = deque(maxlen=TRADES_KEPT)
        event = market.spec.event_ticker
        for name in (ticker, event, self.events[event].series_ticker):
            self.shards[name] = market.spec.exchange_index

    def drop_market(self, ticker: str) -> None:
        """Forget a market with its trades and positions, and its event after its last market."""
        market = self.markets.pop(ticker)
        self.forget(f"market/{ticker}")
        for trade in self.trades.pop(ticker):
            self.forget(f"trade/{trade.number % TRADES_KEPT}/{ticker}")
        self.candles.drop(ticker)
        del self.books[ticker]
        del self.shards[ticker]
        for member in self.members.values():
            member.markets.discard(ticker)
            for purse in member.purses.values():
                if ticker in purse.holdings:
                    self.forget(accounts.journal_key(purse.holdings[ticker]))
                purse.drop(ticker)
        event = market.spec.event_ticker
        if all(other.spec.event_ticker != event for other in self.markets.values()):
            del self.events[event]
            self.shards.pop(event, None)
            self.forget(f"event/{event}")

    def add_live(self, order: records.OrderRecord) -> None:
        """Rest an order: in the book, among the live orders, and with its owner."""
        self.live[order.order_id] = order
        self.books[order.ticker].rest(order)
        self.members[order.account].add_live(order)

    def add_group(self, group: records.GroupRecord) -> None:
        """Add an order group."""
        self.groups[group.group_id] = group
        self.members[group.account].groups[group.group_id] = group

    def drop_key(self, key: records.KeyRecord) -> None:
        """Forget an API key, also after a restart; its account stays readable."""
        del self.keys[key.key_id]
        self.forget(f"key/{key.key_id}")
        self._must_save = True

    def add_key(self, key: records.KeyRecord) -> None:
        """Add an API key, and make its account readable."""
        self.keys[key.key_id] = key
        member = self.members[key.account]
        if member.mirror is None:
            member.mirror = DelayedView(self.options.read_lag_ms)
            purses = (purse.record for purse in member.purses.values())
            owned: list[Mirrored] = [*purses, *member.groups.values(), *member.holdings(), *member.orders()]
            for record in owned:
                member.mirror.put(record, Ts(0))


def _age(record: msgspec.Struct) -> int:
    """Return the sort key of a record: orders by rank, other numbered records by number."""
    return int(getattr(record, "rank", getattr(record, "number", 0)))
