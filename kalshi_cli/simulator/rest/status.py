"""The status and the hours of the exchange."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.simulator.model.calendar import DAY, maintenance
from kalshi_cli.simulator.protocol.replies import Json
from kalshi_cli.simulator.protocol.routing import RouteCall, Routes, public
from kalshi_cli.simulator.protocol.shapes import rfc3339

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class StatusRoutes(Routes):
    """Routes for the status and the hours of the exchange."""

    @public("/exchange/status", "GetExchangeStatus")
    def status(self, _: RouteCall) -> Json:
        """Return the status; the fields at the top are those of shard 0."""
        shown = self._flags(0)
        resumes = self._state.switches.reopens([0])
        if resumes is not None:
            shown["exchange_estimated_resume_time"] = rfc3339(resumes)
        shards = range(self._state.options.shards)
        return shown | {
            "exchange_index_statuses": [
                {"exchange_index": shard, "description": "simulated"} | self._flags(shard) for shard in shards
            ]
        }

    def _flags(self, shard: int) -> Json:
        pause = self._state.switches.pause_of(shard)
        return {
            "exchange_active": pause != "exchange",
            "trading_active": not pause,
            "intra_exchange_transfers_active": pause != "exchange",
        }

    @public("/exchange/schedule", "GetExchangeSchedule")
    def schedule(self, call: RouteCall) -> Json:
        """Return the hours: always open, except during the weekly maintenance if it is enabled."""
        day = [{"open_time": "00:00", "close_time": "23:59"}]
        start = Ts(call.now // (7 * DAY) * 7 * DAY)
        hours = {"start_time": rfc3339(start), "end_time": rfc3339(Ts(start + 364 * DAY))}
        begins, ends = maintenance(call.now)
        window = {"start_datetime": rfc3339(begins), "end_datetime": rfc3339(ends)}
        windows = [window] if self._state.options.maintenance else []
        return {"schedule": {"standard_hours": [hours | dict.fromkeys(_DAYS, day)], "maintenance_windows": windows}}
