"""Exchange status, trading hours, and the lag of its data, as JSON."""

from __future__ import annotations

import msgspec
from msgspec import field

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import ExchangeStatus, ShardStatus
from kalshi_cli.exchange.wire import values
from kalshi_cli.exchange.wire.values import Moment, convert, ts_of


# -- the exchange -------------------------------------------------------------------------------------------------
class _Shard(msgspec.Struct, gc=False):
    exchange_index: int
    exchange_active: bool
    trading_active: bool
    transfers_active: bool = field(name="intra_exchange_transfers_active")
    description: str = ""


class _Status(msgspec.Struct, gc=False):
    exchange_active: bool
    trading_active: bool
    estimated_resume: Moment | None = field(name="exchange_estimated_resume_time", default=None)
    transfers_active: bool | None = field(name="intra_exchange_transfers_active", default=None)
    shards: list[_Shard] | None = field(name="exchange_index_statuses", default=None)


class TradingHours(msgspec.Struct, frozen=True):
    """Opening and closing time: "HH:MM", Eastern time."""

    open_time: str
    close_time: str


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """Opening hours of a week, valid from `start_time` to `end_time` (as the exchange writes them)."""

    start_time: str = ""
    end_time: str = ""
    monday: tuple[TradingHours, ...] = ()
    tuesday: tuple[TradingHours, ...] = ()
    wednesday: tuple[TradingHours, ...] = ()
    thursday: tuple[TradingHours, ...] = ()
    friday: tuple[TradingHours, ...] = ()
    saturday: tuple[TradingHours, ...] = ()
    sunday: tuple[TradingHours, ...] = ()


class Schedule(msgspec.Struct, frozen=True):
    """Opening hours, and the announced maintenance windows as (start, end)."""

    weeks: tuple[Week, ...]
    maintenance: tuple[tuple[Ts, Ts], ...]


class _Window(msgspec.Struct, gc=False):
    start_datetime: Moment
    end_datetime: Moment


class _Schedule(msgspec.Struct, gc=False):
    standard_hours: list[Week] | None = None
    maintenance_windows: list[_Window] | None = None


def _status(wire: _Status) -> ExchangeStatus:
    return convert(ExchangeStatus, wire, shards=tuple(convert(ShardStatus, shard) for shard in wire.shards or ()))


def _schedule(wire: _Schedule) -> Schedule:
    windows = [(ts_of(window.start_datetime), ts_of(window.end_datetime)) for window in wire.maintenance_windows or ()]
    return Schedule(tuple(wire.standard_hours or ()), tuple(sorted(windows)))


read_status = values.whole(_Status, _status, "the exchange's status")
"""`GET /exchange/status`; a 503 or 504 may carry the same body."""
read_schedule = values.single("schedule", _Schedule, _schedule, "the schedule")
"""`GET /exchange/schedule`."""
read_user_data_timestamp = values.single("as_of_time", Moment, ts_of, "the age of the account's data")
"""`GET /exchange/user_data_timestamp`: time up to which balance, orders, fills and positions are valid."""
