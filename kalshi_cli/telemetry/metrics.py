"""Prometheus metrics of one run, served on this machine only.

Gauges show the latest completed cycle at the time of a scrape; an unknown value is absent, never 0. No label has more
than a few dozen values: no tickers, no ids.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    make_wsgi_app,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import DOLLAR, ONE_DOLLAR, Money, Qty, Ts, contracts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.net.loopback_server import LoopbackServer, refuse

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

CENT = ONE_DOLLAR // 100
_STATUSES = ("acknowledged", *(status.value for status in OrderStatus if status is not OrderStatus.RESTING))
_TIERS = ("critical", "warning", "info")
_FAILURES = (0, 401, 403, 429, 500, 503)

MANUAL = "manual"
"""The strategy of fills that no strategy caused."""

_CENTS = (-10.0, -5.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 5.0, 10.0)
_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

RETRY_S = 10.0
"""Seconds between two tries to open a port that another program has."""


class MetricsSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a run when a cycle was completed."""

    completed: Ts
    cycles: int
    state: TradingState
    is_blind: bool
    balance: Money | None
    day_net: Money
    win_rate: float | None
    run_net: Money
    open_positions: int
    largest_position: Qty
    exposure: Money
    live_orders: int
    unknown_orders: int
    feed_age_s: float | None
    feed_lag_s: float | None


class Metrics:
    """The registry of one run with its counters and histograms."""

    def __init__(self, **run: str) -> None:
        """Create the metrics of a run; `run` has its version, environment, mode and strategy as labels."""
        # Creation times would add a second, unused series for each counter.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.registry.register(_Latest(self, {name: safe_text(value) for name, value in run.items()}))
        self.latest: MetricsSnapshot | None = None
        ProcessCollector(registry=self.registry)
        self.trades = self._counter("trading_trades", "Fills recorded", "strategy")
        self.orders_filled = self._counter("trading_orders_filled", "Orders with a first fill", "strategy")
        self.expected = Gauge(
            "trading_expected_pnl_usd", "Edge of the fills of this run against their fair values, after fees",
            ("strategy",), registry=self.registry,
        )  # fmt: skip
        self.slippage_cents = self._histogram(
            "trading_slippage_cents", "Cost of a contract beyond its fair value, with the fee, per fill", _CENTS
        )
        self.feed_messages = self._counter("trading_feed_messages", "Messages taken from the stream and other inputs")
        self.orders = self._counter("trading_orders", "Orders by outcome", "status")
        self.denied = self._counter("trading_denied", "Orders refused by a risk control", "code")
        self.alerts = self._counter("trading_alerts", "Alerts by severity", "tier")
        self.feed_gaps = self._counter("trading_feed_gaps", "Missed-message gaps in the feed")
        self.requests = self._counter(
            "trading_api_requests", "Requests to the exchange; status 0 means no response", "route", "status"
        )
        self.request_seconds = self._histogram("trading_api_request_seconds", "Request latency", _FAST, "route")
        # Prometheus must see a series at 0 first: one that starts at 1 shows no increase.
        for status in _STATUSES:
            self.orders.labels(status)
        for strategy in (*filter(None, safe_text(run.get("strategy", "")).split(",")), MANUAL):
            self.trades.labels(strategy)
            self.orders_filled.labels(strategy)
            self.expected.labels(strategy)
        for tier in _TIERS:
            self.alerts.labels(tier)
        self.placement_seconds = self._histogram(
            "trading_placement_seconds", "Latency from decision to order acknowledgment", _FAST
        )
        self.message_age_seconds = self._histogram(
            "trading_message_age_seconds", "Age of the oldest order book message, per cycle", _SLOW
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def traded(self, strategy: str, *, is_first: bool, kept: Money | None, qty: Qty) -> None:
        """Count a fill; `is_first` of its order, `kept` is its edge after the fee, None without a fair value."""
        strategy = safe_text(strategy) or MANUAL
        self.trades.labels(strategy).inc()
        if is_first:
            self.orders_filled.labels(strategy).inc()
        if kept is not None:
            self.expected.labels(strategy).inc(kept / DOLLAR)
            self.slippage_cents.observe(-kept / qty / CENT)

    def read(self, reading: MetricsSnapshot) -> None:
        """Take the snapshot of a completed cycle."""
        self.latest = reading
        if reading.feed_lag_s is not None:
            self.message_age_seconds.observe(reading.feed_lag_s)

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request (status 0: no response) under its verb and the first part of its path."""
        route = f"{method} /{path.split('/', 2)[1]}"
        for failure in _FAILURES:
            self.requests.labels(route, str(failure))
        self.requests.labels(route, str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)


class _Latest(Collector):
    """The gauges of the latest cycle."""

    def __init__(self, metrics: Metrics, run: dict[str, str]) -> None:
        self._metrics = metrics
        self._run = run

    def collect(self) -> Iterator[GaugeMetricFamily]:
        about = GaugeMetricFamily("trading_run", "Always 1; labels describe this run", labels=list(self._run))
        about.add_metric(list(self._run.values()), 1)
        yield about
        now = self._metrics.latest
        if now is None:
            return
        states = GaugeMetricFamily("trading_state", "1 for the current trading state", labels=["state"])
        for state in TradingState:
            states.add_metric([state.value], float(now.state is state))
        yield states
        for name, text, value in _gauges(now):
            if value is not None:
                yield GaugeMetricFamily(name, text, value=value)


def _gauges(now: MetricsSnapshot) -> Iterable[tuple[str, str, float | None]]:
    return (
        ("trading_balance_usd", "Cash", None if now.balance is None else now.balance / DOLLAR),
        ("trading_daily_pnl_usd", "Net profit and loss since midnight", now.day_net / DOLLAR),
        ("trading_win_rate", "Share of closing fills and settlements of this run with a gain", now.win_rate),
        ("trading_run_pnl_usd", "Net profit and loss of this run, open positions included", now.run_net / DOLLAR),
        ("trading_open_positions", "Open positions", now.open_positions),
        ("trading_largest_position_contracts", "Largest position", now.largest_position / contracts(1)),
        ("trading_exposure_usd", "Maximum loss of all positions and live orders", now.exposure / DOLLAR),
        ("trading_live_orders", "Live orders", now.live_orders),
        ("trading_unknown_orders", "Unconfirmed orders, counted as live", now.unknown_orders),
        ("trading_blind", "1 while the account cannot be read", float(now.is_blind)),
        ("trading_cycles", "Completed cycles of this run", now.cycles),
        ("trading_last_cycle_timestamp_seconds", "Time of the last completed cycle", now.completed / 1000),
        ("trading_feed_age_seconds", "Time since the last stream message", now.feed_age_s),
    )


# -- server -------------------------------------------------------------------------------------------------------


class MetricsServer(LoopbackServer):
    """A server for `GET /metrics`."""

    def __init__(self, registry: CollectorRegistry, port: int) -> None:
        super().__init__(_guarded(make_wsgi_app(registry)), port, "metrics")


class MetricsEndpoint:
    """The metrics of a run on its port. While another program has the port, it tries again every `retry_s`.

    `failed` gets the cause of the first failure; `recovered` is called once the port is open after all.
    """

    def __init__(
        self,
        registry: CollectorRegistry,
        port: int,
        failed: Callable[[str], None],
        recovered: Callable[[], None],
        retry_s: float = RETRY_S,
    ) -> None:
        self._registry, self._port, self._recovered, self._retry_s = registry, port, recovered, retry_s
        self._server: MetricsServer | None = None
        self._is_over = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            self._server = MetricsServer(registry, port)
        except OSError as error:
            failed(error.strerror or str(error))
            self._thread = threading.Thread(target=self._retry, name="metrics-port", daemon=True)
            self._thread.start()

    @property
    def port(self) -> int | None:
        """Return the port, None while it is not available."""
        return self._server.port if self._server is not None else None

    def _retry(self) -> None:
        while self._server is None and not self._is_over.wait(self._retry_s):
            with suppress(OSError):
                self._server = MetricsServer(self._registry, self._port)
                self._recovered()

    def stop(self) -> None:
        """Stop serving, or trying to."""
        self._is_over.set()
        if self._thread is not None:
            self._thread.join()
        if self._server is not None:
            self._server.stop()


def _guarded(app: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != "/metrics":
            return refuse(start, "404 Not Found")
        return app(environ, start)

    return answer
