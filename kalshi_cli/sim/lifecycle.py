"""The life of markets and of the exchange: listing, opening and closing by the clock, pauses, settlement."""

from __future__ import annotations

from kalshi_cli.sim.accounts import payout
from kalshi_cli.sim.agenda import Agenda
from kalshi_cli.sim.floor import Floor
from kalshi_cli.sim.listing import EventSpec, MarketSpec, SeriesSpec
from kalshi_cli.sim.member import Member, Purse
from kalshi_cli.sim.records import (
    BookCleared,
    EventListed,
    HoldingRecord,
    MarketChanged,
    MarketRecord,
    OrderRecord,
    SettlementRecord,
)
from kalshi_cli.sim.state import State
from kalshi_cli.units import ONE_DOLLAR, Money, Price, Qty, Ts

CLOSE_CANCEL_MS = 1_000
"""Orders leave a closed market this long after its close; until then even cancels are refused."""


KEEP_SETTLED_MS = 3_600_000
"""A settled market can be read for so long; the world lists thousands a day."""


class Lifecycle:
    """What happens to markets without anybody placing an order."""

    def __init__(self, state: State, floor: Floor, agenda: Agenda) -> None:
        self.state = state
        self.floor = floor
        self.agenda = agenda

    def restart(self) -> None:
        """After a restore: put everything that will fall due on the agenda again."""
        for order in self.state.live.values():
            self.agenda.put(order.expires, "expire", order.order_id)
        for ticker, market in self.state.markets.items():
            self._plan(ticker, market)

    def _plan(self, ticker: str, market: MarketRecord) -> None:
        if market.settled is not None:
            self.agenda.put(Ts(market.settled + KEEP_SETTLED_MS), "drop", ticker)
            return
        if market.determined is not None:
            self.agenda.put(Ts(market.determined + market.spec.settlement_timer_s * 1000), "pay", ticker)
        if not market.is_cleared:
            self.agenda.put(Ts(market.close_time + CLOSE_CANCEL_MS), "close", ticker)

    # -- listing --

    def list_series(self, spec: SeriesSpec) -> None:
        self.state.series[spec.ticker] = spec
        self.state.touch(f"series/{spec.ticker}", spec)

    def list_event(self, spec: EventSpec) -> None:
        self.state.series[spec.series_ticker]  # an event of no series is a mistake of the caller
        self.state.events[spec.event_ticker] = spec
        self.state.touch(f"event/{spec.event_ticker}", spec)
        self.state.happened.append(EventListed(spec.event_ticker))

    def list_market(self, spec: MarketSpec, now: Ts) -> None:
        self.state.events[spec.event_ticker]  # a market of no event is a mistake of the caller
        if spec.ticker in self.state.markets:
            raise ValueError(f"{spec.ticker} is listed already")
        market = MarketRecord(
            spec=spec,
            market_id=self.state.new_id(),
            number=len(self.state.markets),
            close_time=spec.close_time,
            created=now,
            updated=now,
        )
        self.state.add_market(market)
        self._plan(spec.ticker, market)
        self._changed(market, "created", now)

    # -- pauses --

    def pause(self, kind: str, now: Ts) -> None:
        """`trading`: no new orders. `exchange`: no cancels either. Orders that asked for it are cancelled."""
        if kind not in ("trading", "exchange"):
            raise ValueError(f"a pause is of trading or of the exchange, not {kind!r}")
        switches = self.state.switches
        switches.is_trading, switches.is_active = False, kind != "exchange"
        self.state.touch("state", switches)
        for order in [order for order in self.state.live.values() if order.cancel_on_pause]:
            self.floor.release(order, "HaltCancel", now)

    def resume(self) -> None:
        self.state.switches.is_trading = self.state.switches.is_active = True
        self.state.touch("state", self.state.switches)

    def pause_market(self, ticker: str, now: Ts) -> None:
        market = self.state.markets[ticker]
        market.is_paused = True
        self._changed(market, "deactivated", now)

    def resume_market(self, ticker: str, now: Ts) -> None:
        """Reactivate: all resting orders are cancelled first, as on the real exchange."""
        market = self.state.markets[ticker]
        for order in self._orders(ticker):
            self.floor.release(order, "HaltCancel", now)
        market.is_paused = False
        self._changed(market, "activated", now)

    def set_close_time(self, ticker: str, close_time: Ts, now: Ts) -> None:
        market = self.state.markets[ticker]
        market.close_time = close_time
        self._plan(ticker, market)
        self._changed(market, "close_date_updated", now)

    # -- settlement --

    def settle(self, ticker: str, value: Price, now: Ts, expiration_value: str = "") -> None:
        """Determine what one YES pays. Again before the payout, it is amended; after it, refused.

        Whole cents only: the wire states the value of a settlement in cents.
        """
        market = self.state.markets[ticker]
        if not 0 <= value <= ONE_DOLLAR or value % 100:
            raise ValueError(f"a settlement value is whole cents from 0 to 100, not {value}")
        if market.settled is not None:
            raise ValueError(f"{ticker} is settled already")
        if now < market.close_time:
            self.set_close_time(ticker, now, now)
        self._clear(market, now)
        market.is_amended = market.determined is not None
        market.value, market.expiration_value, market.determined = value, expiration_value, now
        self._plan(ticker, market)
        self._changed(market, "determined", now)

    def advance(self, now: Ts) -> None:
        """Do all that fell due."""
        while (entry := self.agenda.take(now)) is not None:
            what, which = entry
            if what == "expire":
                order = self.state.live.get(which)
                if order is not None:
                    self.floor.release(order, "ExpiryCancel", now)
                continue
            market = self.state.markets.get(which)
            if market is None:
                continue
            if what == "close" and now >= market.close_time + CLOSE_CANCEL_MS:
                self._clear(market, now)
            elif what == "pay" and self._is_payable(market, now):
                self._pay(market, now)
            elif what == "drop":
                self._drop(which)

    def _is_payable(self, market: MarketRecord, now: Ts) -> bool:
        if market.settled is not None or market.determined is None:
            return False
        return now >= market.determined + market.spec.settlement_timer_s * 1000

    def _clear(self, market: MarketRecord, now: Ts) -> None:
        """Cancel everything in a closed market. The stream says it with one empty snapshot, as recorded in May 2026."""
        if market.is_cleared:
            return
        for order in self._orders(market.spec.ticker):
            self.floor.release(order, "CloseCancel", now, is_told=False)
        market.is_cleared = True
        self.state.touch_market(market, now)
        self.state.happened.append(BookCleared(market.spec.ticker))

    def _pay(self, market: MarketRecord, now: Ts) -> None:
        for member in self.state.members.values():
            for purse in member.purses.values():
                holding = purse.holdings.get(market.spec.ticker)
                if holding is not None:
                    self._pay_purse(member, purse, holding, market, now)
        market.settled = now
        self._plan(market.spec.ticker, market)
        self._changed(market, "settled", now)

    def _drop(self, ticker: str) -> None:
        """Forget a market that settled long ago, unless a person ever held something in it."""
        readers = [member for member in self.state.members.values() if member.mirror is not None]
        if not any(ticker in purse.holdings for member in readers for purse in member.purses.values()):
            self.state.drop_market(ticker)

    def _pay_purse(self, member: Member, purse: Purse, holding: HoldingRecord, market: MarketRecord, now: Ts) -> None:
        value = market.value
        assert value is not None
        paid = payout(holding, value)
        if holding.qty and member.mirror is not None:
            is_long = holding.qty > 0
            settlement = SettlementRecord(
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

    def _orders(self, ticker: str) -> list[OrderRecord]:
        return [order for member in self.state.members.values() for order in member.orders(ticker)]

    def _changed(self, market: MarketRecord, change: str, now: Ts) -> None:
        self.state.touch_market(market, now)
        self.state.happened.append(MarketChanged(change, market.spec.ticker, now))
