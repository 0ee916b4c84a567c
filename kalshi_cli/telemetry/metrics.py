"""What Prometheus reads: numbers of one run, on this machine only.

Gauges are made from the latest completed cycle when somebody asks; what is not known is not there, and never 0. No
label has more than a few dozen values: no tickers, no ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import DOLLAR, Money, Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.net.loopback_server import LoopbackServer, refuse

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

_STATUSES = ("acknowledged", *(status.value for status in OrderStatus if status is not OrderStatus.RESTING))
_TIERS = ("critical", "warning", "info")
_FAILURES = (0, 401, 403, 429, 500, 503)

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_SLOW = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)


class MetricsSnapshot(msgspec.Struct, frozen=True, kw_only=True):
    """A run as it stood when a cycle was completed."""

    completed: Ts
    cycles: int
    state: TradingState
    is_blind: bool
    balance: Money | None
    day_net: Money
    win_rate: float | None
    open_positions: int
    live_orders: int
    unknown_orders: int
    feed_age_s: float | None
    feed_lag_s: float | None


class Metrics:
    """The registry of one run, and what counts into it."""

    def __init__(self, **run: str) -> None:
        """`run` says which one: version, environment, mode, strategy."""
        # When a counter began would be a second series for each, and nobody looks.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        self.registry.register(_Latest(self, {name: safe_text(value) for name, value in run.items()}))
        self.latest: MetricsSnapshot | None = None
        self.trades = self._counter("trading_trades", "Fills booked")
        self.orders = self._counter("trading_orders", "Orders, by what became of them", "status")
        self.denied = self._counter("trading_denied", "Orders that a control refused", "code")
        self.alerts = self._counter("trading_alerts", "Alerts", "tier")
        self.feed_gaps = self._counter("trading_feed_gaps", "Times that messages were missed")
        self.requests = self._counter(
            "trading_api_requests", "Requests to the exchange; status 0: no answer", "route", "status"
        )
        self.request_seconds = self._histogram(
            "trading_api_request_seconds", "From the request to its answer", _FAST, "route"
        )
        # A series that is born at 1 never increased: Prometheus has to see the 0 first.
        for status in _STATUSES:
            self.orders.labels(status)
        for tier in _TIERS:
            self.alerts.labels(tier)
        self.placement_seconds = self._histogram(
            "trading_placement_seconds", "From the decision to the acknowledgement of an order", _FAST
        )
        self.message_age_seconds = self._histogram(
            "trading_message_age_seconds", "Age of the oldest message about a book, by cycle", _SLOW
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self.registry)

    def read(self, reading: MetricsSnapshot) -> None:
        """A cycle was completed."""
        self.latest = reading
        if reading.feed_lag_s is not None:
            self.message_age_seconds.observe(reading.feed_lag_s)

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """A request came back, or with status 0 did not. Its class is the verb and the first part of the path."""
        route = f"{method} /{path.split('/', 2)[1]}"
        for failure in _FAILURES:
            self.requests.labels(route, str(failure))
        self.requests.labels(route, str(status)).inc()
        self.request_seconds.labels(route).observe(seconds)


class _Latest(Collector):
    """Gauges of the latest cycle."""

    def __init__(self, metrics: Metrics, run: dict[str, str]) -> None:
        self._metrics = metrics
        self._run = run

    def collect(self) -> Iterator[GaugeMetricFamily]:
        about = GaugeMetricFamily("trading_run", "Always 1: which run this is", labels=list(self._run))
        about.add_metric(list(self._run.values()), 1)
        yield about
        now = self._metrics.latest
        if now is None:
            return
        states = GaugeMetricFamily("trading_state", "1 for the trading state that holds", labels=["state"])
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
        ("trading_win_rate", "Share of closing trades of this run that made money", now.win_rate),
        ("trading_open_positions", "Positions that are not flat", now.open_positions),
        ("trading_live_orders", "Orders that may still trade", now.live_orders),
        ("trading_unknown_orders", "Orders in doubt, which count as live", now.unknown_orders),
        ("trading_blind", "1 while the account cannot be read", float(now.is_blind)),
        ("trading_cycles", "Completed cycles of this run", now.cycles),
        ("trading_last_cycle_timestamp_seconds", "When a cycle was last completed", now.completed / 1000),
        ("trading_feed_age_seconds", "Since the stream last said something", now.feed_age_s),
    )


# -- answering ----------------------------------------------------------------------------------------------------


class MetricsServer(LoopbackServer):
    """Answers `GET /metrics`."""

    def __init__(self, registry: CollectorRegistry, port: int) -> None:
        super().__init__(_guarded(make_wsgi_app(registry)), port, "metrics")


def _guarded(app: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        if environ.get("PATH_INFO") != "/metrics":
            return refuse(start, "404 Not Found")
        return app(environ, start)

    return answer
