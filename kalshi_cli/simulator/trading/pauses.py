"""Pauses: of the exchange, of trading, of one shard, of one market; and the weekly maintenance.

Each stands by itself and ends by itself; where several hold at once the strictest counts.
"""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.matching.state import SimulatorState
from kalshi_cli.simulator.model.calendar import maintenance
from kalshi_cli.simulator.trading.order_gateway import OrderGateway

KINDS = ("trading", "exchange")


class PauseController:
    """Resting orders survive a pause unless they asked not to; those of a market do not survive its reactivation."""

    def __init__(self, state: SimulatorState, floor: OrderGateway) -> None:
        self.state = state
        self.floor = floor

    def pause(self, kind: str, now: Ts, *, shard: int | None = None, until: Ts | None = None) -> None:
        """`trading`: no new orders. `exchange`: no cancels either. Orders that asked for it are cancelled.

        Of one shard, or of all of them; `until` is when it ends by itself, and what the status announces.
        """
        if kind not in KINDS:
            raise ValueError(f"a pause is of trading or of the exchange, not {kind!r}")
        if shard is not None and not 0 <= shard < self.state.options.shards:
            raise ValueError(f"there is no shard {shard}")
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
        """One shard goes on, or everything does, maintenance or not; markets that were paused by themselves stay so."""
        switches = self.state.switches
        if shard is None:
            self._reopen_whole()
            switches.maintenance_until = None
        for at in list(switches.paused_shards) if shard is None else [shard]:
            self._reopen_shard(at)
        self.state.touch("state", switches)

    def pause_market(self, ticker: str, now: Ts) -> None:
        market = self.state.markets[ticker]
        market.is_paused = True
        for order in self.state.orders_in(ticker):
            if order.cancel_on_pause:
                self.floor.release(order, "HaltCancel", now)
        self.state.change_market(market, "deactivated", now)

    def resume_market(self, ticker: str, now: Ts) -> None:
        """Reactivate: all resting orders are cancelled first, as on the real exchange."""
        market = self.state.markets[ticker]
        for order in self.state.orders_in(ticker):
            self.floor.release(order, "HaltCancel", now)
        market.is_paused = False
        self.state.change_market(market, "activated", now)

    def advance(self, now: Ts) -> bool:
        """End the pauses that are over; begin the maintenance that is due: True, because then the streams end too."""
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
        """What asked to be cancelled in a pause: on one shard, or on all of them."""
        for order in [order for order in self.state.live.values() if order.cancel_on_pause]:
            if shard in (None, order.exchange_index):
                self.floor.release(order, "HaltCancel", now)
