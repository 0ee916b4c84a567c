"""The life of markets: listing, opening and closing by the clock, changes of their terms, settlement."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.simulator.matching.collateral import payout
from kalshi_cli.simulator.matching.member import AccountBalance, SimAccount
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model import event_queue, listing, price_grids, records
from kalshi_cli.simulator.trading.order_gateway import OrderGateway


def linger_ms(ticker: str) -> int:
    """Return how long after its close the orders of a market leave it: 6 to 8 seconds, as recorded in May 2026.

    Until then even cancels are refused, also where the result is known earlier.
    """
    return 6_000 + crc32(ticker.encode()) % 2_000


KEEP_SETTLED_MS = 3_600_000
"""The time for which a settled market can be read; the world lists thousands a day."""


class Lifecycle:
    """The changes of markets that do not follow from orders."""

    def __init__(self, state: SimulatorState, gateway: OrderGateway, queue: event_queue.EventQueue) -> None:
        self.state = state
        self.gateway = gateway
        self.queue = queue
        self._old = event_queue.EventQueue()
        self.paid: list[str] = []
        """The markets that paid since `ComboService` last emptied this list."""

    def restart(self) -> None:
        """Put everything that will be due into the queue after a restore."""
        for order in self.state.live.values():
            self.queue.put(order.expires, "expire", order.order_id)
        for ticker, market in self.state.markets.items():
            self._plan(ticker, market)
            if market.settled is not None:
                self._old.put(Ts(market.settled + KEEP_SETTLED_MS), "drop", ticker)

    def _plan(self, ticker: str, market: records.MarketRecord) -> None:
        if market.settled is not None:
            return
        if market.determined is not None:
            self.queue.put(Ts(market.determined + market.spec.settlement_timer_s * 1000), "pay", ticker)
        if not market.is_cleared:
            self.queue.put(Ts(market.close_time + linger_ms(ticker)), "close", ticker)

    # -- listing --

    def list_series(self, spec: listing.SeriesSpec) -> None:
        """List a series, or replace it."""
        self.state.series[spec.ticker] = spec
        self.state.touch(f"series/{spec.ticker}", spec)

    def list_event(self, spec: listing.EventSpec) -> None:
        """List an event; KeyError for an unknown series."""
        self.state.series[spec.series_ticker]  # raises KeyError for an unknown series
        self.state.events[spec.event_ticker] = spec
        self.state.touch(f"event/{spec.event_ticker}", spec)
        self.state.happened.append(records.EventListed(spec.event_ticker))

    def list_market(self, spec: listing.MarketSpec, now: Ts) -> None:
        """List a market; KeyError for an unknown event, ValueError for a listed ticker or an unknown shard."""
        self.state.events[spec.event_ticker]  # raises KeyError for an unknown event
        if spec.ticker in self.state.markets:
            raise ValueError(f"{spec.ticker} is already listed")
        if not 0 <= spec.exchange_index < self.state.options.shards:
            raise ValueError(
                f"{spec.ticker} cannot be on shard {spec.exchange_index} of {self.state.options.shards} shards"
            )
        market = records.MarketRecord(
            spec=spec,
            market_id=self.state.new_id(),
            number=max((market.number for market in self.state.markets.values()), default=-1) + 1,
            close_time=spec.close_time,
            created=now,
            updated=now,
        )
        self.state.add_market(market)
        self._plan(spec.ticker, market)
        self.state.change_market(market, "created", now)

    # -- changes --

    def set_close_time(self, ticker: str, close_time: Ts, now: Ts) -> None:
        """Move the close of a market."""
        market = self.state.markets[ticker]
        market.close_time = close_time
        market.is_cleared = market.is_cleared and close_time <= now
        self._plan(ticker, market)
        self.state.change_market(market, "close_date_updated", now)

    def set_grid(self, ticker: str, structure: str, now: Ts) -> None:
        """Change the price structure of a market while it trades; KeyError for an unknown name.

        A finer one keeps all resting orders. A coarser one cancels orders between its prices: UNVERIFIED, the exchange
        mentions finer ones only.
        """
        market = self.state.markets[ticker]
        market.spec = msgspec.structs.replace(
            market.spec, price_structure=structure, grid=price_grids.STRUCTURES[structure]
        )
        for order in self.state.orders_in(ticker):
            if not market.spec.grid.is_valid(order.price):
                self.gateway.engine.release(order, "HaltCancel", now)
        self.state.change_market(market, "price_level_structure_updated", now)

    def set_terms(
        self, ticker: str, now: Ts, *, yes_sub_title: str | None = None, floor_strike: float | None = None
    ) -> None:
        """Change the name of the YES side or the strike; None leaves it."""
        market = self.state.markets[ticker]
        terms = {"yes_sub_title": yes_sub_title, "floor_strike": floor_strike}
        changes: dict[str, Any] = {name: value for name, value in terms.items() if value is not None}
        market.spec = msgspec.structs.replace(market.spec, **changes)
        self.state.change_market(market, "metadata_updated", now)

    def set_event_fees(self, event_ticker: str, fees: FeeSchedule | None) -> None:
        """Set the fees of an event from its next fill on; None means those of its series."""
        event = self.state.events[event_ticker] = msgspec.structs.replace(self.state.events[event_ticker], fees=fees)
        self.state.touch(f"event/{event_ticker}", event)
        self.state.happened.append(records.EventFeesChanged(event_ticker))
        markets = self.state.markets.items()
        self.state.reserve_again(t for t, market in markets if market.spec.event_ticker == event_ticker)

    # -- settlement --

    def settle(self, ticker: str, value: Price, now: Ts, expiration_value: str = "") -> None:
        """Determine the payout of one YES. Another value before the payout amends it; ValueError after the payout.

        The value must be whole cents, because the wire states settlement values in cents.
        """
        market = self.state.markets[ticker]
        if not 0 <= value <= ONE_DOLLAR or value % 100:
            raise ValueError(f"Invalid settlement value {value}; use whole cents from 0 to 100")
        if market.settled is not None:
            raise ValueError(f"{ticker} is already settled")
        if now < market.close_time:
            self.set_close_time(ticker, now, now)
        market.is_amended = market.determined is not None and (market.is_amended or value != market.value)
        market.is_disputed = False
        market.value, market.expiration_value, market.determined = value, expiration_value, now
        self._plan(ticker, market)
        self.state.change_market(market, "determined", now)

    def dispute(self, ticker: str, now: Ts) -> None:
        """Hold the payout until the market is settled again, with the same value or another. No message is sent."""
        market = self.state.markets[ticker]
        if market.determined is None or market.settled is not None:
            raise ValueError(f"{ticker} is {market.status(now).value}; only a determined market can be disputed")
        market.is_disputed = True
        self.state.touch_market(market, now)

    def advance(self, now: Ts) -> Ts | None:
        """Do what is due first, and return when it was due; None where nothing is due by `now`.

        However late the call, an order ends when it expires and a market pays when its timer ends. Call again until it
        returns None: one event can make another due.
        """
        due = self.queue.due(now)
        while due is not None and (entry := self.queue.take(due)) is not None:
            what, which = entry
            if what == "expire":
                order = self.state.live.get(which)
                if order is not None and order.expires is not None and due >= order.expires:
                    self.gateway.engine.release(order, "ExpiryCancel", due)
                continue
            market = self.state.markets.get(which)
            if market is None:
                continue
            if what == "close" and due >= market.close_time + linger_ms(which):
                self._clear(market, due)
            elif what == "pay" and self._is_payable(market, due):
                self._pay(market, due)
                self._old.put(Ts(now + KEEP_SETTLED_MS), "drop", which)
        return due

    def forget_old(self, now: Ts) -> None:
        """Forget markets that settled long ago. Call it before other timed work, which publishes changes."""
        while (entry := self._old.take(now)) is not None:
            if entry[1] in self.state.markets:
                self._drop(entry[1])

    def _is_payable(self, market: records.MarketRecord, now: Ts) -> bool:
        if market.settled is not None or market.determined is None or market.is_disputed:
            return False
        return now >= market.determined + market.spec.settlement_timer_s * 1000

    def _clear(self, market: records.MarketRecord, now: Ts) -> None:
        """Cancel everything in a closed market. The stream sends one empty snapshot for it, as recorded in May 2026."""
        if market.is_cleared:
            return
        for order in self.state.orders_in(market.spec.ticker):
            self.gateway.engine.release(order, "CloseCancel", now, is_published=False)
        market.is_cleared = True
        self.state.touch_market(market, now)
        self.state.happened.append(records.BookCleared(market.spec.ticker))

    def _pay(self, market: records.MarketRecord, now: Ts) -> None:
        self._clear(market, now)  # the settlement timer may be shorter than the time that orders linger
        for member in self.state.members.values():
            for purse in member.purses.values():
                if market.spec.ticker in purse.holdings:
                    self._pay_purse(member, purse, market, now)
        market.settled = now
        self.paid.append(market.spec.ticker)
        self._plan(market.spec.ticker, market)
        self.state.change_market(market, "settled", now)

    def _drop(self, ticker: str) -> None:
        """Forget a market that settled long ago, unless an account with a key ever had an order in it."""
        readers = [member for member in self.state.members.values() if member.mirror is not None]
        if not any(ticker in member.markets for member in readers):
            self.state.drop_market(ticker)

    def _pay_purse(self, member: SimAccount, purse: AccountBalance, market: records.MarketRecord, now: Ts) -> None:
        """Pay one subaccount for its position in a determined market."""
        value, holding = market.value, purse.holding(market.spec.ticker)
        assert value is not None
        paid = payout(holding, value)
        if holding.qty and member.mirror is not None:
            is_long = holding.qty > 0
            settlement = records.SettlementRecord(
                number=member.settlements,
                ticker=holding.ticker,
                event_ticker=market.spec.event_ticker,
                result=market.result,
                value=value,
                yes_qty=Qty(max(0, holding.qty)),
                yes_cost=holding.cost if is_long else Money(0),
                no_qty=Qty(max(0, -holding.qty)),
                no_cost=Money(0) if is_long else holding.cost,
                revenue=paid,
                fee=holding.fees,
                ts=now,
                **{name: getattr(holding, name) for name in records.OwnedRecord.__struct_fields__},
            )
            member.settlements += 1
            self.state.show(member, f"settlement/{member.record.name}/{settlement.number}", settlement, now)
        purse.record.cash = Money(purse.record.cash + paid)
        holding.realized = Money(holding.realized + paid - holding.cost)
        holding.qty, holding.cost, holding.is_settled = Qty(0), Money(0), True
        self.state.touch_own(purse.record, now)
        self.state.touch_own(holding, now)
        if member.mirror is not None:
            self.state.happened.append(holding)


class FeeChanges:
    """Announces fee changes and applies them when they are due."""

    def __init__(self, state: SimulatorState, life: Lifecycle) -> None:
        self._state = state
        self._life = life

    def announce(self, series_ticker: str, event_ticker: str, fees: FeeSchedule | None, at: Ts) -> None:
        """Announce the fees of a series from `at` on, or of one event, where None ends its override.

        Raises KeyError for an unknown series or event, ValueError for a series without fees.
        """
        self._state.series[series_ticker]
        if event_ticker:
            self._state.events[event_ticker]
        elif fees is None:
            raise ValueError("A series must have fees")
        change = records.FeeChangeRecord(
            id=self._state.new_id(),
            number=len(self._state.fee_changes),
            series_ticker=series_ticker,
            event_ticker=event_ticker,
            fees=fees,
            scheduled=at,
        )
        self._state.fee_changes.append(change)
        self._touch(change)

    def advance(self, now: Ts) -> None:
        """Apply the changes that are due, in the order of their time."""
        due = [change for change in self._state.fee_changes if not change.is_done and change.scheduled <= now]
        for change in sorted(due, key=lambda change: change.scheduled):
            change.is_done = True
            self._touch(change)
            if not change.event_ticker:
                self._set_series(change)
            elif change.event_ticker in self._state.events:
                self._life.set_event_fees(change.event_ticker, change.fees)

    def _set_series(self, change: records.FeeChangeRecord) -> None:
        state = self._state
        assert change.fees is not None
        series = msgspec.structs.replace(state.series[change.series_ticker], fees=change.fees)
        state.series[change.series_ticker] = series
        state.touch(f"series/{series.ticker}", series)
        of_events = {event.event_ticker for event in state.events.values() if event.series_ticker == series.ticker}
        state.reserve_again(t for t, market in state.markets.items() if market.spec.event_ticker in of_events)

    def _touch(self, change: records.FeeChangeRecord) -> None:
        self._state.touch(f"fees/{change.number}", change)
