"""The sections of config.yaml as typed structs: settings with their bounds and defaults.

`sources.py` fills them; `config.example.yaml` explains them to users.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from kalshi_cli.base.units import DOLLAR, ONE_DOLLAR, Money, Price, Qty, cents, contracts
from kalshi_cli.config.values import RangeText

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Subaccount = Annotated[int, Meta(ge=0, le=63)]
CallSeconds = Annotated[float, Meta(gt=0, le=10, description="the proof that an order never arrived relies on it")]
"""Duration of one call with all its attempts: `core/account/reconciliation.py` allows ten seconds of
`NEVER_ARRIVED_MARGIN_MS` for it."""
MAX_INTERVAL_S = 10
IntervalSeconds = Annotated[
    float, Meta(gt=0, le=MAX_INTERVAL_S, description="account reads, halts and cancels wait for this")
]
Dollars = Annotated[Money, Meta(ge=0)]
PriceStep = Annotated[Price, Meta(ge=0, lt=ONE_DOLLAR)]
Contracts = Annotated[Qty, Meta(ge=0)]


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """An API key of one environment; its representation hides it. `private_key` is the PEM itself, from a variable."""

    key_id: str = ""

    private_key_path: Path | None = None
    private_key: str = ""

    def __repr__(self) -> str:
        return f"Credentials(key_id={masked_secret(self.key_id)!r})"


class CredentialsByEnv(msgspec.Struct, frozen=True, kw_only=True):
    """API keys by environment; a key is valid in one environment only."""

    sim: Credentials = Credentials()
    demo: Credentials = Credentials()
    prod: Credentials = Credentials()


class ExchangeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses and timeouts of the exchange. An empty address is the environment's default.

    `subaccount` is the only one that the key may use; None asks the exchange. `presign` signs orders ahead while a loop
    is idle.
    """

    rest_url: str = ""
    ws_url: str = ""
    subaccount: Subaccount | None = None
    connect_timeout_s: Seconds = 3.0
    read_timeout_s: Seconds = 5.0
    total_timeout_s: CallSeconds = 10.0
    presign: bool = False


class RiskConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Limits that every order is checked against before it is sent. None turns a limit off; zero allows nothing."""

    max_position: Contracts | None = contracts(100)
    max_open_positions: Annotated[int, Meta(ge=0, le=100_000)] | None = None
    max_market_exposure: Dollars | None = None
    max_event_exposure: Dollars | None = Money(250 * DOLLAR)
    max_category_exposure: Dollars | None = None
    max_exposure: Dollars | None = Money(500 * DOLLAR)
    max_order_count: Contracts | None = contracts(100)
    max_order_cost: Dollars | None = Money(100 * DOLLAR)
    price_collar: PriceStep | None = cents(10)
    max_daily_loss: Dollars | None = Money(100 * DOLLAR)
    max_drawdown: Dollars | None = None
    max_api_errors: Annotated[int, Meta(ge=1, le=100_000)] | None = 10
    stop_loss_pct: Annotated[int, Meta(ge=1, le=99)] | None = None
    take_profit_pct: Annotated[int, Meta(ge=101, le=10_000)] | None = None
    max_close_slippage: PriceStep | None = cents(10)
    max_orders_per_minute: Annotated[int, Meta(ge=0, le=100_000)] | None = 60
    max_market_orders_per_minute: Annotated[int, Meta(ge=0, le=100_000)] | None = 60
    max_live_orders: Annotated[int, Meta(ge=0, le=100_000)] | None = 200
    max_churn: Contracts | None = contracts(1_000)
    min_edge: PriceStep | None = cents(2)
    max_spread: PriceStep | None = cents(20)
    min_time_to_close_s: Annotated[float, Meta(ge=0, le=366 * 86_400)] = 60.0
    cooldown_after_loss_s: Annotated[float, Meta(ge=0, le=86_400)] = 60.0
    max_book_age_s: Seconds | None = 10.0
    close_margin_s: Annotated[float, Meta(ge=0, le=86_400)] = 5.0


Words = tuple[str, ...]


class TradeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Intervals and time limits of the trade loop."""

    interval_s: IntervalSeconds = 2.0
    order_expiry_s: Seconds = 90.0
    status_every_s: Seconds = 60.0
    stop_budget_s: Seconds = 10.0
    decision_limit_s: Seconds = 5.0
    strategy_limit_s: Seconds = 5.0
    suspended_after_s: Seconds = 30.0
    group_limit: Annotated[Qty, Meta(ge=contracts(1), le=contracts(1_000_000))] | None = contracts(500)
    command_variables: Words = ()


class CheckRange(msgspec.Struct, frozen=True, kw_only=True):
    """Warning and critical ranges of one value of `kalshi check`, in monitoring plug-in notation.

    `10` alerts above 10 or below 0, `10:` below 10, `~:10` above 10, `10:20` outside, `@10:20` inside; null never.
    """

    warn: RangeText | None = None
    crit: RangeText | None = None


def bound(warn: str | None = None, crit: str | None = None) -> CheckRange:
    """Return a range from literal text."""
    return CheckRange(warn=RangeText(warn) if warn else None, crit=RangeText(crit) if crit else None)


class ChecksConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Ranges of `kalshi check`, by value. Values without a range here are checked against `risk`."""

    limit_used_pct: CheckRange = bound(warn="80", crit="100")
    day_loss_pct: CheckRange = bound(warn="60", crit="100")
    drawdown_usd: CheckRange = bound()
    day_fall_pct: CheckRange = bound(warn="5")
    win_rate_pct: CheckRange = bound(warn="50:")
    cycle_age_s: CheckRange = bound(warn="30", crit="60")
    api_p99_ms: CheckRange = bound(warn="500", crit="4000")
    api_errors_pct: CheckRange = bound(warn="5", crit="20")
    clock_skew_s: CheckRange = bound(warn="2", crit="5")
    feed_age_s: CheckRange = bound(warn="10", crit="60")
    feed_lag_ms: CheckRange = bound(warn="2000", crit="10000")
    model_age: CheckRange = bound()
    rejected_pct: CheckRange = bound(warn="10", crit="30")
    denied_pct: CheckRange = bound(warn="80")
    no_orders_for: CheckRange = bound(warn="86400")
    fill_rate_pct: CheckRange = bound(warn="5:")
    placement_p99_ms: CheckRange = bound(warn="2000", crit="5000")
    slippage_cents: CheckRange = bound(warn="~:1", crit="~:3")
    taker_share_pct: CheckRange = bound()
    drift_usd: CheckRange = bound(warn="0.01", crit="1")
    edge_sigma: CheckRange = bound(warn="-2:", crit="-3:")
    cash_usd: CheckRange = bound()
    errors: CheckRange = bound(warn="0", crit="10")
    paused_shards: CheckRange = bound()
    disk_free_gb: CheckRange = bound(warn="1:", crit="0.1:")
    disk_free_inodes: CheckRange = bound(warn="10000:", crit="1000:")


TIERS = ("critical", "warning", "info")
"""Urgency of an alert, highest first."""

EVENTS = (
    "emergency_stop", "drawdown_warning", "error", "trade_executed", "big_win", "daily_summary", "check", "state",
    "price_alert",
)  # fmt: skip
"""Subject of an alert; every alert has one of them."""


class AlertChannel(msgspec.Struct, frozen=True, kw_only=True):
    """A recipient of alerts: those of its `tiers` (severity) and those about its `events`. Its address is a secret."""

    url: str = ""
    url_file: Path | None = None
    tiers: Words = ("critical", "warning")
    events: Words = ()
    allow_private: bool = False

    def __repr__(self) -> str:
        return f"AlertChannel(url={hidden_address(self.url)!r})"


class AlertsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Alert channels and intervals. `fallback` names the channel that receives what another did not accept."""

    channels: dict[str, AlertChannel] = {}
    fallback: str = ""
    group_s: Seconds = 300.0
    repeat_s: Seconds = 4 * 3_600.0
    give_up_s: Seconds = 86_400.0
    on_critical: Literal["none", "pause", "flatten"] = "pause"
    big_win: Dollars = Money(50 * DOLLAR)
    drawdown: Dollars = Money(50 * DOLLAR)


class HeartbeatConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Ping address of a Healthchecks-compatible service, which is a secret. A loop pings while it is alive."""

    url: str = ""
    every_s: Seconds = 60.0
    allow_private: bool = False

    def __repr__(self) -> str:
        return f"HeartbeatConfig(url={hidden_address(self.url)!r})"


class LogsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """JSON log lines and tables of a loop.

    Without a `folder` they are in `logs` in the state directory; with one, each environment has a subfolder there.
    `level` `debug` adds every refused order request and every news signal.
    """

    enabled: bool = True
    level: Literal["debug", "info"] = "info"
    folder: Path | None = None
    max_bytes: Annotated[int, Meta(ge=10_000, le=10_000_000_000)] = 20_000_000
    files: Annotated[int, Meta(ge=1, le=1_000)] = 10


class MetricsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The Prometheus endpoint of a loop, on this machine only."""

    enabled: bool = False
    port: Annotated[int, Meta(ge=0, le=65_535)] = 9_090


class WebConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The web page. `public_url` is its address for other machines, behind a proxy with TLS; alerts carry it.

    `reports` is the folder of the backtest reports that it shows; without it, `reports` in the state directory.
    """

    public_url: str = ""
    reports: Path | None = None


SPOT_VENUES = ("coinbase", "kraken", "binance", "binance_us")
"""Venues of outside prices."""


class SpotVenue(msgspec.Struct, frozen=True, kw_only=True):
    """Addresses of a venue, and its name for the pair of a COIN; empty means the venue's default."""

    ws_url: str = ""
    rest_url: str = ""
    pair: str = ""


class SpotConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Outside prices of coins: venues in order of preference, maximum age, and maximum difference."""

    venues: Words = ("coinbase", "kraken", "binance")
    max_age_s: Seconds = 10.0
    max_apart_pct: Annotated[float, Meta(gt=0, le=100)] = 1.0
    coinbase: SpotVenue = SpotVenue()
    kraken: SpotVenue = SpotVenue()
    binance: SpotVenue = SpotVenue()
    binance_us: SpotVenue = SpotVenue()


Milliseconds = Annotated[int, Meta(ge=0, le=366 * 86_400_000)]
RefusalStatus = Annotated[int, Meta(ge=400, le=499)]


class SimulatorConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The simulated exchange: its world, and a switch for each behavior of the real exchange that is not certain.

    `ExchangeOptions` in `simulator/model/listing.py` describes each switch, `docs/simulated-exchange.md` the reasons.
    """

    seed: Annotated[int, Meta(ge=0)] = 1
    speed: Annotated[float, Meta(gt=0, le=10_000)] = 1.0
    starting_cash: Dollars = Money(1_000 * DOLLAR)
    shards: Annotated[int, Meta(ge=1, le=16)] = 1
    maintenance: bool = False
    client_ids: Literal["forever", "open_only"] = "forever"
    read_lag_ms: Annotated[int, Meta(ge=0, le=60_000)] = 0
    clock_past_ms: Milliseconds = 5_000
    clock_future_ms: Milliseconds = 5_000
    usage_tier: Literal["basic", "advanced", "expert", "premier", "paragon", "prime", "prestige"] = "basic"
    read_rate: Annotated[int, Meta(ge=0, le=1_000_000)] = 200
    write_rate: Annotated[int, Meta(ge=0, le=1_000_000)] = 100
    read_capacity: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    write_capacity: Annotated[int, Meta(ge=0, le=10_000_000)] = 0
    subaccounts_need_advanced: bool = True
    inactive_status: RefusalStatus = 400
    mismatch_status: RefusalStatus = 400
    triggered_group_code: str = "order_group_triggered"
    group_trips: Literal["reached", "exceeded"] = "reached"
    is_balance_net: bool = False
    holds_fees: bool = True
    flat_fee: Dollars | None = None
    balance_precision: Annotated[int, Meta(ge=1, le=10_000)] = 100
    ioc_shows_remainder: bool = False
    asks_read_as: Literal["sell_yes", "buy_no"] = "sell_yes"
    reduce_only_refused: bool = False
    amend_shows_counts: bool = False
    post_only_amend: Literal["cancel", "refuse"] = "cancel"
    cancel_all_lasts_ms: Milliseconds = 0
    transfer_ms: Milliseconds = 250
    repeated_transfer: Literal["same_id", "conflict"] = "same_id"
    history_after_ms: Annotated[int, Meta(ge=0, le=10 * 366 * 86_400_000)] = 90 * 86_400_000
    orders_after_ms: Annotated[int, Meta(ge=0, le=10 * 366 * 86_400_000)] = 14 * 86_400_000
    sparse_candles: bool = False
    confirm_ms: Milliseconds = 30_000
    execute_ms: Milliseconds = 15_000
    fast_confirm_ms: Milliseconds = 3_000
    fast_execute_ms: Milliseconds = 1_000
    ok_has_seq: bool = False
    hang_up: Literal["reset", "close"] = "reset"
    outbox_limit: Annotated[int, Meta(ge=10, le=10_000_000)] = 10_000
    market_limit: Annotated[int, Meta(ge=1, le=10_000_000)] = 500_000
    commands_a_second: Annotated[int, Meta(ge=1, le=1_000_000)] = 10_000
    ticker_every_ms: Annotated[int, Meta(ge=1, le=60_000)] = 1_000
    max_open_orders: Annotated[int, Meta(ge=1, le=10_000_000)] = 200_000
    max_order_groups: Annotated[int, Meta(ge=1, le=10_000_000)] = 100_000


def masked_secret(secret: str) -> str:
    """Return the last four characters of a long secret, and nothing of a short one."""
    return f"…{secret[-4:]}" if len(secret) >= 12 else "…" if secret else ""


SHOWN_OF = 20
"""A part of an address of at least this length stays secret when its last four characters are shown."""


def hidden_address(url: str) -> str:
    """Return a secret address with its scheme, its host on the web, and the end of a long last part; no query."""
    scheme, sign, rest = url.partition("://")
    if not sign or scheme.startswith("mailto"):
        return f"{scheme}{sign}…" if sign else "…" if url else ""
    plain = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, _, path = plain.partition("/") if scheme in ("http", "https") and "@" not in rest else ("", "", plain)
    last = re.split(r"[/@:]", path)[-1]
    end = last[-4:] if len(last) >= SHOWN_OF else ""
    return f"{scheme}://{host}/…{end}" if host else f"{scheme}://…{end}"


class DisplayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of tables, screens and messages."""

    time_zone: str = "local"
    """`local`, or a name of the time zone database. JSON is always UTC."""
    confirm: bool = False
    """Says whether demo and sim ask for the same confirmations as prod."""
