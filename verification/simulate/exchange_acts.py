"""Actions of the exchange: pauses, closes, settlements, other prices, triggered groups."""

from __future__ import annotations

from contextlib import suppress

from kalshi_cli.base.units import Price, Ts
from kalshi_cli.core.model.markets import FeeSchedule, FeeType, MarketStatus
from kalshi_cli.simulator.protocol.replies import HttpError
from verification.simulate.exchange import ME, TICKERS
from verification.simulate.plan import EXCHANGE, Fault
from verification.simulate.stage import Stage
from verification.simulate.world import World

_OPEN = (MarketStatus.ACTIVE, MarketStatus.INACTIVE)


class ExchangeActs:
    """Does them, as the plan says."""

    def __init__(self, stage: Stage, world: World) -> None:
        self._stage = stage
        self._world = world
        for fault in stage.faults.starts(EXCHANGE):
            stage.timeline.at(fault.at, lambda fault=fault: self._begin(fault))  # type: ignore[misc]

    def _begin(self, fault: Fault) -> None:
        stage = self._stage
        if stage.faults.is_over or not stage.faults.use(fault):
            return
        stage.fired(fault, {"exchange"})
        getattr(self, f"_{fault.kind}")(fault, stage.timeline.now())

    def _ticker(self, fault: Fault) -> str:
        return TICKERS[fault.size % len(TICKERS)]

    def _trading_pause(self, fault: Fault, now: Ts) -> None:
        self._stage.hit("F47")
        self._stage.exchange.pause("trading", now, until=Ts(now + 2_000 + fault.size * 8))

    def _exchange_pause(self, fault: Fault, now: Ts) -> None:
        self._stage.hit("F47")
        self._stage.exchange.pause("exchange", now, until=Ts(now + 2_000 + fault.size * 8))

    def _market_pause(self, fault: Fault, now: Ts) -> None:
        """And reactivation, which cancels everything that rests there."""
        stage, ticker = self._stage, self._ticker(fault)
        if stage.exchange.status(ticker) is not MarketStatus.ACTIVE:
            return
        stage.exchange.pause_market(ticker, now)

        def again() -> None:
            if list(stage.exchange._state.members[ME].orders(ticker)):
                stage.hit("F30")
            stage.exchange.resume_market(ticker, stage.timeline.now())

        stage.timeline.after(1 + fault.size / 100, again)

    def _early_close(self, fault: Fault, now: Ts) -> None:
        stage, ticker = self._stage, self._ticker(fault)
        if stage.exchange.status(ticker) in _OPEN:
            stage.hit("F45")
            stage.exchange.set_close_time(ticker, Ts(now + 500 + fault.size * 12), now)

    def _settle(self, fault: Fault, now: Ts) -> None:
        """Determined, perhaps disputed and amended, then paid."""
        stage, ticker = self._stage, self._ticker(fault)
        if stage.exchange.status(ticker) not in (*_OPEN, MarketStatus.CLOSED):
            return
        value = Price((0, 10_000, 5_500)[fault.size % 3])
        stage.exchange.settle(ticker, value, now)
        if fault.size % 4 == 0:
            stage.exchange.dispute(ticker, now)
        if fault.size % 4 < 2:

            def amend() -> None:
                status = stage.exchange.status(ticker)
                if status in (MarketStatus.DETERMINED, MarketStatus.DISPUTED):
                    stage.exchange.settle(ticker, Price(10_000 - value), stage.timeline.now())

            stage.timeline.after(3, amend)

    def _group(self, fault: Fault, now: Ts) -> None:
        """Somebody triggers an order group of the account, or trading trips it."""
        state = self._stage.exchange._state
        groups = [group for group in state.members[ME].groups.values() if not group.is_triggered]
        if groups:
            self._stage.hit("F27")
            self._stage.exchange._gateway.groups.trigger(groups[fault.size % len(groups)], now)
            self._stage.exchange.advance(now)

    def _fees(self, fault: Fault, now: Ts) -> None:
        self._stage.hit("F48")
        kind = (FeeType.WITH_MAKER, FeeType.QUADRATIC)[fault.size % 2]
        event = self._ticker(fault).rpartition("-")[0]
        self._stage.exchange.set_event_fees(event, FeeSchedule(kind, (1_000, 500, 2_000)[fault.size % 3]), now)

    def _grid(self, fault: Fault, now: Ts) -> None:
        ticker = self._ticker(fault)
        if self._stage.exchange.status(ticker) in _OPEN:
            self._stage.hit("F49")
            structure = ("deci_cent", "tapered_deci_cent")[fault.size % 2]
            self._stage.exchange.set_grid(ticker, structure, now)

    def _shuffle(self, fault: Fault, now: Ts) -> None:
        """Channels are told in another order than it happened, and replies before or after them."""
        self._stage.hit("F24")
        self._stage.exchange.set_shuffle(fault.size, now)
        self._stage.timeline.after(8, lambda: self._stage.exchange.set_shuffle(None, self._stage.timeline.now()))

    def _drain(self, fault: Fault, _now: Ts) -> None:
        """Other programs of the account read as much as it may, for some seconds."""
        stage, until = self._stage, self._stage.timeline.seconds + 2 + fault.size / 200

        def read() -> None:
            with suppress(HttpError):
                while True:
                    stage.exchange._gate.charge(ME, 10, stage.timeline.now(), is_write=False)
            if stage.timeline.seconds < until:
                stage.timeline.after(0.05, read)

        read()

    def _burst(self, fault: Fault, _now: Ts) -> None:
        """Much at once."""
        self._stage.hit("F36")
        for _ in range(10 + fault.size % 20):
            self._world.act()
