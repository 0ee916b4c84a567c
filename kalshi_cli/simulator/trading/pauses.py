"""Pauses of the exchange, of trading, of one shard or one market, and the weekly maintenance.

Each pause has its own end; the strictest one applies.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.calendar import maintenance
from kalshi_cli.simulator.trading.order_gateway import OrderGateway

KINDS = ("trading", "exchange")


class PauseController:
    """Pauses and resumes. Resuming a market cancels its orders; other pauses cancel only orders that ask for it."""

    def __init__(self, state: SimulatorState, gateway: OrderGateway) -> None:
        self.state = state
        self.gateway = gateway

    def pause(self, kind: str, now: Ts, *, shard: int | None = None, until: Ts | None = None) -> None:
        """Pause trading (no new orders) or the exchange (no cancels either), on one shard or on all.

        Orders with cancel-on-pause are canceled. `until` is the end of the pause, which the status announces.
        """
        if kind not in KINDS:
            raise ValueError(f"Invalid pause {kind!r}; use trading or exchange")
        if shard is not None and not 0 <= shard < self.state.options.shards:
            raise ValueError(f"No shard {shard}")
        switches = self.state.switches
        if shard is None:
            switches.is_trading, switches.is_active, switches.resumes = False, kind != "exchange", until
        else:
            switches.paused_shards = {**switches.paused_shards, shard: kind}
            others = {at: end for at, end in switches.shard_resumes.items() if at != shard}
            switches.shard_resumes = others if until is None else {**others, shard: until}
        self.state.touch("state", switches)
        self._cancel_halted(shard, now)

    def resume(self, shard: int | None = None) -> None:
        """Resume one shard or everything, also during maintenance; paused markets stay paused."""
        switches = self.state.switches
        if shard is None:
            self._reopen_whole()
            switches.maintenance_until = None
        for at in list(switches.paused_shards) if shard is None else [shard]:
            self._reopen_shard(at)
        self.state.touch("state", switches)

    def pause_market(self, ticker: str, now: Ts) -> None:
        """Pause one market."""
        market = self.state.markets[ticker]
        market.is_paused = True
        for order in self.state.orders_in(ticker):
            if order.cancel_on_pause:
                self.gateway.engine.release(order, "HaltCancel", now)
        self.state.change_market(market, "deactivated", now)

    def resume_market(self, ticker: str, now: Ts) -> None:
        """Resume one market; all its resting orders are canceled first, as on the real exchange."""
        market = self.state.markets[ticker]
        for order in self.state.orders_in(ticker):
            self.gateway.engine.release(order, "HaltCancel", now)
        market.is_paused = False
        self.state.change_market(market, "activated", now)

    def advance(self, now: Ts) -> bool:
        """End pauses that are over and start the maintenance that is due.

        Return True for a start, which also ends the streams.
        """
        switches = self.state.switches
        before = msgspec.structs.replace(switches)
        if switches.resumes is not None and now >= switches.resumes:
            self._reopen_whole()
        for shard in [shard for shard, end in switches.shard_resumes.items() if now >= end]:
            self._reopen_shard(shard)
        if switches.maintenance_until is not None and now >= switches.maintenance_until:
            switches.maintenance_until = None
        if switches != before:
            self.state.touch("state", switches)
        start, end = maintenance(now)
        if not self.state.options.maintenance or now < start or switches.maintained == start:
            return False
        switches.maintained, switches.maintenance_until = start, end
        self.state.touch("state", switches)
        self._cancel_halted(None, now)
        return True

    def _reopen_whole(self) -> None:
        switches = self.state.switches
        switches.is_trading, switches.is_active, switches.resumes = True, True, None

    def _reopen_shard(self, shard: int) -> None:
        switches = self.state.switches
        switches.paused_shards = {at: kind for at, kind in switches.paused_shards.items() if at != shard}
        switches.shard_resumes = {at: end for at, end in switches.shard_resumes.items() if at != shard}

    def _cancel_halted(self, shard: int | None, now: Ts) -> None:
        """Cancel the orders with cancel-on-pause, on one shard or on all."""
        for order in [order for order in self.state.live.values() if order.cancel_on_pause]:
            if shard in (None, order.exchange_index):
                self.gateway.engine.release(order, "HaltCancel", now)
