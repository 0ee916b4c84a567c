"""Views of the exchange: status, hours, maintenance. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import Prose
from kalshi_cli.views.row import Row


class ShardStatusRow(Row, frozen=True, kw_only=True):
    exchange_index: int
    description: Prose
    exchange_active: bool
    trading_active: bool
    transfers_active: bool


class HoursRow(Row, frozen=True, kw_only=True):
    """Opening hours of a day of the week, Eastern time."""

    day: str
    hours: str


class MaintenanceRow(Row, frozen=True, kw_only=True):
    """`kind` is announced (by the exchange) or weekly (Thursdays 03:00 to 05:00 Eastern time, announced or not)."""

    kind: str
    starts: Ts
    ends: Ts


class ExchangeView(Row, frozen=True, kw_only=True):
    """Two kinds of pause, of the exchange and by shard; opening hours; the next maintenance, and what is to come."""

    exchange_active: bool
    trading_active: bool
    transfers_active: bool | None
    estimated_resume: Ts | None
    hours_today: Prose | None
    next_maintenance: Ts | None
    maintenance_ends: Ts | None
    maintenance_kind: str | None
    shards: tuple[ShardStatusRow, ...]
    maintenance: tuple[MaintenanceRow, ...]
    hours: tuple[HoursRow, ...]
