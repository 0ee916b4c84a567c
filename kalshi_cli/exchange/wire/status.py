"""Exchange status, trading hours, and how far its data trails, as JSON."""

from __future__ import annotations

import msgspec

from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import ExchangeStatus, ShardStatus
from kalshi_cli.exchange.wire.values import Moment, maybe_ts, read, ts_of


# -- the exchange -------------------------------------------------------------------------------------------------
class _Shard(msgspec.Struct, gc=False):
    exchange_index: int
    exchange_active: bool
    trading_active: bool
    intra_exchange_transfers_active: bool
    description: str = ""


class _Status(msgspec.Struct, gc=False):
    exchange_active: bool
    trading_active: bool
    exchange_estimated_resume_time: Moment | None = None
    intra_exchange_transfers_active: bool | None = None
    exchange_index_statuses: list[_Shard] | None = None


class OpenHours(msgspec.Struct, frozen=True):
    """From when to when the exchange is open: "HH:MM", Eastern time."""

    open_time: str
    close_time: str


class Week(msgspec.Struct, frozen=True, kw_only=True):
    """The opening hours of a week, valid from `start_time` to `end_time` (as the exchange writes them)."""

    start_time: str = ""
    end_time: str = ""
    monday: tuple[OpenHours, ...] = ()
    tuesday: tuple[OpenHours, ...] = ()
    wednesday: tuple[OpenHours, ...] = ()
    thursday: tuple[OpenHours, ...] = ()
    friday: tuple[OpenHours, ...] = ()
    saturday: tuple[OpenHours, ...] = ()
    sunday: tuple[OpenHours, ...] = ()


class Schedule(msgspec.Struct, frozen=True):
    """When the exchange is open, and the announced maintenance windows as (start, end)."""

    weeks: tuple[Week, ...]
    maintenance: tuple[tuple[Ts, Ts], ...]


class _Window(msgspec.Struct, gc=False):
    start_datetime: Moment
    end_datetime: Moment


class _Schedule(msgspec.Struct, gc=False):
    standard_hours: list[Week] | None = None
    maintenance_windows: list[_Window] | None = None


class _ScheduleBody(msgspec.Struct):
    schedule: _Schedule


class _AsOf(msgspec.Struct):
    as_of_time: Moment


def _status(wire: _Status) -> ExchangeStatus:
    return ExchangeStatus(
        exchange_active=wire.exchange_active,
        trading_active=wire.trading_active,
        estimated_resume=maybe_ts(wire.exchange_estimated_resume_time),
        transfers_active=wire.intra_exchange_transfers_active,
        shards=tuple(
            ShardStatus(
                exchange_index=shard.exchange_index,
                description=shard.description,
                exchange_active=shard.exchange_active,
                trading_active=shard.trading_active,
                transfers_active=shard.intra_exchange_transfers_active,
            )
            for shard in wire.exchange_index_statuses or ()
        ),
    )


def _schedule(wire: _Schedule) -> Schedule:
    windows = [(ts_of(window.start_datetime), ts_of(window.end_datetime)) for window in wire.maintenance_windows or ()]
    return Schedule(tuple(wire.standard_hours or ()), tuple(sorted(windows)))


_status_body = msgspec.json.Decoder(_Status)
_schedule_body = msgspec.json.Decoder(_ScheduleBody)
_as_of_body = msgspec.json.Decoder(_AsOf)


def read_status(body: bytes) -> ExchangeStatus:
    """`GET /exchange/status`; a 503 or 504 may carry the same body."""
    return read(_status_body, _status, body, "the exchange's status")


def read_schedule(body: bytes) -> Schedule:
    """`GET /exchange/schedule`."""
    return read(_schedule_body, lambda wire: _schedule(wire.schedule), body, "the schedule")


def read_user_data_timestamp(body: bytes) -> Ts:
    """`GET /exchange/user_data_timestamp`: up to when balance, orders, fills and positions are valid."""
    return read(_as_of_body, lambda wire: ts_of(wire.as_of_time), body, "the age of the account's data")
