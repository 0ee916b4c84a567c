"""What can be listed on the simulated exchange: series, events, markets; and the switches of the exchange itself."""

from __future__ import annotations

import msgspec

from kalshi_cli.core.model import CENT_GRID, FeeSchedule, PriceGrid, Side, Tif
from kalshi_cli.units import Money, Price, Qty, Ts


class SeriesSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A family of events, and how it charges. `settlement_sources` are (name, url) pairs."""

    ticker: str
    title: str
    category: str = "Financials"
    frequency: str = "custom"
    tags: tuple[str, ...] = ()
    fees: FeeSchedule = FeeSchedule()
    settlement_sources: tuple[tuple[str, str], ...] = ()


class EventSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A group of markets. `fees`, where not None, replaces the schedule of the series."""

    event_ticker: str
    series_ticker: str
    title: str
    sub_title: str = ""
    mutually_exclusive: bool = False
    strike_date: Ts | None = None
    fees: FeeSchedule | None = None


class MarketSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One yes/no question. Its event, and the event's series, must be listed first. Times are milliseconds.

    `exchange_index` is the shard it trades on; its event and series are shown on the shard of their newest market.
    """

    ticker: str
    event_ticker: str
    title: str
    yes_sub_title: str = ""
    no_sub_title: str = ""
    strike_type: str = "custom"
    floor_strike: float | None = None
    cap_strike: float | None = None
    exchange_index: int = 0
    price_structure: str = "linear_cent"
    grid: PriceGrid = CENT_GRID
    open_time: Ts
    close_time: Ts
    expected_expiration_time: Ts | None = None
    latest_expiration_time: Ts | None = None
    settlement_timer_s: int = 60
    can_close_early: bool = False
    early_close_condition: str = ""
    rules_primary: str = ""
    rules_secondary: str = ""


class SimOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How the exchange behaves where the real one is not certain, or not always the same.

    `client_ids`: "forever" refuses any id ever used by the account (seen on the wire); "open_only" refuses only the id
    of an order that still rests (what the FIX page says). `read_lag_ms`: portfolio reads show the account as it was
    then. `shards` is the number of matching engines; members have cash on each. Rates are tokens a second (a bucket
    holds one second's worth); 0 switches the limit off.
    """

    client_ids: str = "forever"
    read_lag_ms: int = 0
    shards: int = 1
    clock_window_ms: int = 5_000
    read_rate: int = 200
    write_rate: int = 100
    usage_tier: str = "basic"
    outbox_limit: int = 10_000
    ticker_every_ms: int = 1_000


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the matching engine takes it. `expires` is milliseconds.

    Where it meets an order of its own account it stops, or with `stp_maker` cancels that one and goes on.
    `exchange_index` None goes to whatever shard the market is on.
    """

    ticker: str
    side: Side
    price: Price
    qty: Qty
    tif: Tif = Tif.GTC
    post_only: bool = False
    reduce_only: bool = False
    expires: Ts | None = None
    client_order_id: str = ""
    stp_maker: bool = False
    cancel_on_pause: bool = False
    subaccount: int = 0
    exchange_index: int | None = None
    group_id: str = ""


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What a new order did at once. `cost` and `fees` are of what filled; `remaining` is what rests now."""

    order_id: str
    client_order_id: str
    filled: Qty
    remaining: Qty
    cost: Money
    fees: Money
    ts: Ts


class Refusal(msgspec.Struct, frozen=True):
    """Why an order or a cancel was refused: the HTTP status and the exchange's code, in its own words."""

    status: int
    code: str
    details: str = ""
