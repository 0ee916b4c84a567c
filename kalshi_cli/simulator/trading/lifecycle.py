"""The life of markets: listing, opening and closing by the clock, changes of their terms, settlement."""

from __future__ import annotations

from zlib import crc32

import msgspec

from kalshi_cli.base.units import ONE_DOLLAR, Money, Price, Qty, Ts
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.simulator.matching.collateral import payout
from kalshi_cli.simulator.matching.member import AccountBalance, SimAccount
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model import records
from kalshi_cli.simulator.model.agenda import EventQueue
from kalshi_cli.simulator.model.listing import EventSpec, MarketSpec, SeriesSpec
from kalshi_cli.simulator.model.price_grids import STRUCTURES
from kalshi_cli.simulator.trading.order_gateway import OrderGateway


def linger_ms(ticker: str) -> int:
    """Return how long after its close the orders of a market leave it: 6 to 8 seconds, as recorded in May 2026.

    Until then even cancels are refused, also where the result is known earlier.
    """
    return 6_000 + crc32(ticker.encode()) % 2_000


KEEP_SETTLED_MS = 3_600_000
"""A settled market can be read for so long; the world lists thousands a day."""


class Lifecycle:
    """What happens to markets without anybody placing an order."""

    def __init__(self, state: SimulatorState, floor: OrderGateway, agenda: EventQueue) -> None:
        self.state = state
        self.floor = floor
        self.agenda = agenda
        self._old = EventQueue()
        self.paid: list[str] = []
        """Markets that paid since somebody looked; whoever looks empties it."""

    def restart(self) -> None:
        """After a restore: put everything that will fall due on the agenda again."""
        for order in self.state.live.values():
            self.agenda.put(order.expires, "expire", order.order_id)
        for ticker, market in self.state.markets.items():
            self._plan(ticker, market)
            if market.settled is not None:
                self._old.put(Ts(market.settled + KEEP_SETTLED_MS), "drop", ticker)

    def _plan(self, ticker: str, market: records.MarketRecord) -> None:
        if market.settled is not None:
            return
        if market.determined is not None:
            self.agenda.put(Ts(market.determined + market.spec.settlement_timer_s * 1000), "pay", ticker)
        if not market.is_cleared:
            self.agenda.put(Ts(market.close_time + linger_ms(ticker)), "close", ticker)

    # -- listing --

    def list_series(self, spec: SeriesSpec) -> None:
        self.state.series[spec.ticker] = spec
        self.state.touch(f"series/{spec.ticker}", spec)

    def list_event(self, spec: EventSpec) -> None:
        self.state.series[spec.series_ticker]  # an event of no series is a mistake of the caller
        self.state.events[spec.event_ticker] = spec
        self.state.touch(f"event/{spec.event_ticker}", spec)
        self.state.happened.append(records.EventListed(spec.event_ticker))

    def list_market(self, spec: MarketSpec, now: Ts) -> None:
        self.state.events[spec.event_ticker]  # a market of no event is a mistake of the caller
        if spec.ticker in self.state.markets:
            raise ValueError(f"{spec.ticker} is listed already")
        if not 0 <= spec.exchange_index < self.state.options.shards:
            raise ValueError(
                f"{spec.ticker} cannot be on shard {spec.exchange_index}: there are {self.state.options.shards}"
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
        market = self.state.markets[ticker]
        market.close_time = close_time
        market.is_cleared = market.is_cleared and close_time <= now
        self._plan(ticker, market)
        self.state.change_market(market, "close_date_updated", now)

    def set_grid(self, ticker: str, structure: str, now: Ts) -> None:
        """Another price structure, while the market trades. KeyError where there is none of that name.

        A finer one keeps all that rests. What a coarser one has no place for is cancelled: UNVERIFIED, the exchange
        speaks of finer ones only.
        """
        market = self.state.markets[ticker]
        market.spec = msgspec.structs.replace(market.spec, price_structure=structure, grid=STRUCTURES[structure])
        for order in self.state.orders_in(ticker):
            if not market.spec.grid.is_valid(order.price):
                self.floor.release(order, "HaltCancel", now)
        self.state.change_market(market, "price_level_structure_updated", now)

    def set_terms(
        self, ticker: str, now: Ts, *, yes_sub_title: str | None = None, floor_strike: float | None = None
    ) -> None:
        """Another name of the YES side, another strike; None leaves it."""
        market = self.state.markets[ticker]
        spec = market.spec
        market.spec = msgspec.structs.replace(
            spec,
            yes_sub_title=spec.yes_sub_title if yes_sub_title is None else yes_sub_title,
            floor_strike=spec.floor_strike if floor_strike is None else floor_strike,
        )
        self.state.change_market(market, "metadata_updated", now)

    def set_event_fees(self, event_ticker: str, fees: FeeSchedule | None) -> None:
        """From the next fill on the event charges like this; None is as its series does."""
        event = self.state.events[event_ticker] = msgspec.structs.replace(self.state.events[event_ticker], fees=fees)
        self.state.touch(f"event/{event_ticker}", event)
        self.state.happened.append(records.EventFeesChanged(event_ticker))
        markets = self.state.markets.items()
        self.state.reserve_again(t for t, market in markets if market.spec.event_ticker == event_ticker)

    # -- settlement --

    def settle(self, ticker: str, value: Price, now: Ts, expiration_value: str = "") -> None:
        """Determine what one YES pays. Another value before the payout amends it; after the payout it is refused.

        Whole cents only: the wire states the value of a settlement in cents.
        """
        market = self.state.markets[ticker]
        if not 0 <= value <= ONE_DOLLAR or value % 100:
            raise ValueError(f"a settlement value is whole cents from 0 to 100, not {value}")
        if market.settled is not None:
            raise ValueError(f"{ticker} is settled already")
        if now < market.close_time:
            self.set_close_time(ticker, now, now)
        market.is_amended = market.determined is not None and (market.is_amended or value != market.value)
        market.is_disputed = False
        market.value, market.expiration_value, market.determined = value, expiration_value, now
        self._plan(ticker, market)
        self.state.change_market(market, "determined", now)

    def dispute(self, ticker: str, now: Ts) -> None:
        """Hold the payout until the market is settled again, with the same value or another.

        Nothing is sent: no lifecycle message says it.
        """
        market = self.state.markets[ticker]
        if market.determined is None or market.settled is not None:
            raise ValueError(f"{ticker} is {market.status(now).value}: only what is determined can be disputed")
        market.is_disputed = True
        self.state.touch_market(market, now)

    def advance(self, now: Ts) -> Ts | None:
        """Do what is due first, as of the moment at which it fell due, which is told; None where nothing is by `now`.

        However late somebody looks, an order ends when it expires and a market pays when its timer is over. Whoever
        calls goes on until there is nothing: what is done may make something else due.
        """
        due = self.agenda.due(now)
        while due is not None and (entry := self.agenda.take(due)) is not None:
            what, which = entry
            if what == "expire":
                order = self.state.live.get(which)
                if order is not None and order.expires is not None and due >= order.expires:
                    self.floor.release(order, "ExpiryCancel", due)
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
        """Before anything else that time does: what became of a market is told before the market is forgotten."""
        while (entry := self._old.take(now)) is not None:
            if entry[1] in self.state.markets:
                self._drop(entry[1])

    def _is_payable(self, market: records.MarketRecord, now: Ts) -> bool:
        if market.settled is not None or market.determined is None or market.is_disputed:
            return False
        return now >= market.determined + market.spec.settlement_timer_s * 1000

    def _clear(self, market: records.MarketRecord, now: Ts) -> None:
        """Cancel everything in a closed market. The stream says it with one empty snapshot, as recorded in May 2026."""
        if market.is_cleared:
            return
        for order in self.state.orders_in(market.spec.ticker):
            self.floor.release(order, "CloseCancel", now, is_told=False)
        market.is_cleared = True
        self.state.touch_market(market, now)
        self.state.happened.append(records.BookCleared(market.spec.ticker))

    def _pay(self, market: records.MarketRecord, now: Ts) -> None:
        self._clear(market, now)  # where the timer is shorter than orders linger
        for member in self.state.members.values():
            for purse in member.purses.values():
                holding = purse.holdings.get(market.spec.ticker)
                if holding is not None:
                    self._pay_purse(member, purse, holding, market, now)
        market.settled = now
        self.paid.append(market.spec.ticker)
        self._plan(market.spec.ticker, market)
        self.state.change_market(market, "settled", now)

    def _drop(self, ticker: str) -> None:
        """Forget a market that settled long ago, unless somebody with a key ever had an order in it."""
        readers = [member for member in self.state.members.values() if member.mirror is not None]
        if not any(ticker in member.markets for member in readers):
            self.state.drop_market(ticker)

    def _pay_purse(
        self,
        member: SimAccount,
        purse: AccountBalance,
        holding: records.PositionRecord,
        market: records.MarketRecord,
        now: Ts,
    ) -> None:
        value = market.value
        assert value is not None
        paid = payout(holding, value)
        if holding.qty and member.mirror is not None:
            is_long = holding.qty > 0
            settlement = records.SettlementRecord(
                number=member.settlements,
                account=member.record.name,
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
                subaccount=holding.subaccount,
                exchange_index=holding.exchange_index,
            )
            member.settlements += 1
            self.state.show(member, f"settlement/{member.record.name}/{settlement.number}", settlement, now)
        purse.record.cash = Money(purse.record.cash + paid)
        holding.realized = Money(holding.realized + paid - holding.cost)
        holding.qty, holding.cost, holding.is_settled = Qty(0), Money(0), True
        self.state.touch_purse(member, purse, now)
        self.state.touch_holding(member, holding, now)
        if member.mirror is not None:
            self.state.happened.append(holding)
