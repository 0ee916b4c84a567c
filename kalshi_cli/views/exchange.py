"""Views of the exchange: status, hours, maintenance. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow


class ShardStatusRow(OutputRow, frozen=True, kw_only=True):
    """The status of one shard."""

    exchange_index: int
    description: TruncatableText
    exchange_active: bool
    trading_active: bool
    transfers_active: bool


class HoursRow(OutputRow, frozen=True, kw_only=True):
    """The opening hours of a day of the week, in Eastern time."""

    day: str
    hours: str


class MaintenanceRow(OutputRow, frozen=True, kw_only=True):
    """A maintenance window.

    `kind` is announced (by the exchange) or weekly (Thursdays 03:00 to 05:00 Eastern time, announced or not).
    """

    kind: str
    starts: Ts
    ends: Ts


class ExchangeView(OutputRow, frozen=True, kw_only=True):
    """The exchange: pauses of the exchange and of each shard, opening hours, and coming maintenance."""

    exchange_active: bool
    trading_active: bool
    transfers_active: bool | None
    estimated_resume: Ts | None
    hours_today: TruncatableText | None
    next_maintenance: Ts | None
    maintenance_ends: Ts | None
    maintenance_kind: str | None
    shards: tuple[ShardStatusRow, ...]
    maintenance: tuple[MaintenanceRow, ...]
    hours: tuple[HoursRow, ...]

    screen = (
        "exchange_active", "trading_active", "transfers_active", "estimated_resume", "hours_today", "next_maintenance",
        "maintenance_ends", "maintenance_kind",
    )  # fmt: skip
