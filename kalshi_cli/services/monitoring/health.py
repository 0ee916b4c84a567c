"""Health checks before trading: one result each, with its latency and a hint if it is not OK."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from shutil import disk_usage
from urllib.parse import urlsplit

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ConfigError, CredentialsError, KalshiError, RefusedError, UnreachableError
from kalshi_cli.base.text import is_loopback
from kalshi_cli.base.units import Ts, pluralize, show_money
from kalshi_cli.config.config import Config, refuse_other_hosts
from kalshi_cli.config.hosts import OtherHost
from kalshi_cli.config.schema import HeartbeatConfig
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.monitoring.check_report import Verdict
from kalshi_cli.core.monitoring.feed_check import pause_words
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.wire.replies import SET_CLOCK
from kalshi_cli.services.account.key_lock import learn_key
from kalshi_cli.services.monitoring.alerting import AlertOverview
from kalshi_cli.services.resources import Resources
from kalshi_cli.services.trading.halts import describe, resume_hint
from kalshi_cli.services.trading.reports.status import RunStatus, first_steps, run_status
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.alerts import ADD_CHANNEL, NO_CHANNEL

SKEW_WARN_MS, SKEW_CRITICAL_MS = 1_000, 5_000
STREAM_WITHIN_S, HANG_UP_S = 5.0, 0.5
RESPOND_WITHIN_S = 3.0
"""Time limit of each check that asks the exchange; after the first without a response, no other waits for it."""

STREAM_AFTER_SILENCE_S = 1.0
"""Time limit of the stream if the exchange has not responded to a request: it most likely does not either."""

WAITING_WARN_MS = 60_000
METRICS_HINT = (
    "end the program that has the port; the loop tries it again. Or set another metrics.port and restart the loop"
)
DISK_WARN, DISK_CRITICAL = 1_000_000_000, 100_000_000


class HealthResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one check, with a hint if it is not OK."""

    check: str
    verdict: Verdict
    detail: str
    hint: str = ""
    latency_ms: float | None = None
    is_unreachable: bool = False


CheckResult = tuple[Verdict, str, str]
"""The verdict, the detail and the hint of a check."""

Check = Callable[[], CheckResult]


def examine(name: str, clock: Clock, check: Check) -> HealthResult:
    """Run one check and return its result. A CredentialsError is CRITICAL, any other known error UNKNOWN."""
    started, is_unreachable = clock.monotonic(), False
    try:
        verdict, detail, hint = check()
    except CredentialsError as error:
        verdict, detail, hint = Verdict.CRITICAL, error.message, error.hint
    except KalshiError as error:
        verdict, detail, hint = Verdict.UNKNOWN, error.message, error.hint
        is_unreachable = isinstance(error, UnreachableError)
    took = round((clock.monotonic() - started) * 1000, 1)
    return HealthResult(
        check=name, verdict=verdict, detail=detail, hint=hint, latency_ms=took, is_unreachable=is_unreachable
    )


def worst(findings: list[HealthResult]) -> Verdict:
    """Return the worst verdict, in the order CRITICAL, UNKNOWN, WARNING, OK."""
    ranking = (Verdict.CRITICAL, Verdict.UNKNOWN, Verdict.WARNING)
    return next((verdict for verdict in ranking if any(f.verdict is verdict for f in findings)), Verdict.OK)


def require_ready_to_trade(client: KalshiClient, home: Path, tell: Callable[[str], None]) -> None:
    """Check the exchange, the clock and the disk before a loop starts; report warnings to `tell`.

    Raises CredentialsError for a clock that would invalidate every signature, RefusedError for other critical results
    and UnreachableError if the exchange does not respond.
    """
    looks: tuple[tuple[Check, type[KalshiError], str], ...] = (
        (lambda: exchange(client), RefusedError, "exchange-paused"),
        (lambda: clock_skew(client), CredentialsError, "clock-skew"),
        (lambda: disk(home), RefusedError, "disk-full"),
    )
    for look, kind, runbook in looks:
        verdict, detail, hint = look()
        if verdict is Verdict.CRITICAL:
            unfit = kind(f"Not ready to trade: {detail}", hint=hint, code="UNFIT")
            unfit.runbook = runbook
            raise unfit
        if verdict is not Verdict.OK:
            tell(f"Warning: {detail}; {hint}")


def require_synced_clock(client: KalshiClient) -> None:
    """Raise CredentialsError if the responses so far show that the local clock is too far off to sign an order."""
    skew = client.clock_skew_ms
    if skew is not None and skew > SKEW_CRITICAL_MS:
        skew = client.measure_clock_skew()
    if skew is None or abs(skew) <= SKEW_CRITICAL_MS:
        return
    raise CredentialsError(f"Not ready to trade: {_clock_text(skew)}", hint=SET_CLOCK, code="CLOCK")


def _clock_text(skew_ms: int) -> str:
    return f"your clock is {abs(skew_ms) / 1000:.1f} s {'ahead of' if skew_ms > 0 else 'behind'} the exchange"


# -- the checks; each returns (verdict, detail, hint) ---------------------------------------------------------------


def hosts(env: str, others: Sequence[OtherHost]) -> CheckResult:
    """Return the hosts that do not belong to the environment. They are allowed, and they see every request."""
    named = ", ".join(map(str, others))
    return Verdict.OK, f"not a host of {env}: {named}", ""


def exchange(client: KalshiClient) -> CheckResult:
    """Check that the REST API responds and that trading is open."""
    status = client.exchange_status()
    if not status.exchange_active:
        return Verdict.WARNING, "exchange paused; even cancels are rejected", "see `kalshi exchange`"
    if not status.trading_active:
        return Verdict.WARNING, "trading paused: cancels work, new orders are rejected", "see `kalshi exchange`"
    return Verdict.OK, "open for trading", ""


def clock_skew(client: KalshiClient) -> CheckResult:
    """Check the local clock against the exchange: signatures carry the time and are rejected beyond five seconds."""
    skew = client.measure_clock_skew()
    if skew is None:
        return Verdict.UNKNOWN, "the exchange sent no Date header", "try again"
    # The Date header has whole seconds: a skew within one second is indistinguishable from none.
    if abs(skew) > SKEW_WARN_MS + 1_000:
        verdict = Verdict.CRITICAL if abs(skew) > SKEW_CRITICAL_MS else Verdict.WARNING
        return verdict, _clock_text(skew), SET_CLOCK
    return Verdict.OK, "difference below one second", ""


def account(client: KalshiClient) -> CheckResult:
    """Check the key with a signed read of the balance; the detail names the subaccount of a restricted key."""
    balance = client.balance()
    whose = "" if client.lock is None else f"; the key is restricted to subaccount {client.lock}"
    return Verdict.OK, f"cash {show_money(balance.cash)}{whose}", ""


def limits(client: KalshiClient) -> CheckResult:
    """Return the API rate limits of this account."""
    found = client.limits()
    rates = f"{found.read.refill_rate} read and {found.write.refill_rate} write tokens per second"
    return Verdict.OK, f"{found.usage_tier}: {rates}", ""


def disk(path: Path) -> CheckResult:
    """Check the free disk space: an order that cannot be saved is not sent."""
    at = next(folder for folder in (path, *path.parents) if folder.exists())
    return free_space(disk_usage(at).free, at)


def free_space(free: int, at: Path) -> CheckResult:
    """Judge the free bytes of the file system of a path."""
    if free >= DISK_WARN:
        return Verdict.OK, f"{_size(free)} free", ""
    hint = f"free disk space at {at}"
    if free < DISK_CRITICAL:
        return Verdict.CRITICAL, f"{_size(free)} free, {_size(DISK_CRITICAL)} needed", hint
    return Verdict.WARNING, f"{_size(free)} free, {_size(DISK_WARN)} recommended", hint


def _size(count: int) -> str:
    """Return bytes as text, rounded down: less than a limit never looks like the limit."""
    return f"{count // 100_000_000 / 10:.1f} GB" if count >= DISK_WARN else f"{count // 1_000_000} MB"


def key(signer: Signer | None, env: str, *, presign: bool = False) -> CheckResult:
    """Check that an API key is configured, private to its owner and able to sign; recommend Ed25519.

    `presign` is the setting `exchange.presign`.
    """
    if signer is None:
        hint = "set KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY_PATH, or `credentials` in the configuration"
        return Verdict.CRITICAL, f"no API key configured for {env}", hint
    signer.headers("GET", "/trade-api/v2/portfolio/balance")
    notes = [
        "" if signer.has_fast_key else "RSA; an Ed25519 key signs faster",
        "idle loops sign orders ahead (exchange.presign)" if presign else "",
    ]
    return Verdict.OK, "; ".join(filter(None, ("readable by its owner only, well-formed", *notes))), ""


def needs_key(failed: str) -> CheckResult:
    """Return the result of a check that would only repeat the problem with the key, which the check `failed` named."""
    return Verdict.UNKNOWN, "not checked: requires a valid API key", f"see the line `{failed}` above"


def needs_exchange(failed: str) -> CheckResult:
    """Return the result of a check that would only wait again for an exchange silent in the check `failed`."""
    return Verdict.UNKNOWN, "not checked: the exchange does not respond", f"see the line `{failed}` above"


def stream(
    ws_url: str, signer: Signer | None, clock: Clock, rng: random.Random, *, within_s: float = STREAM_WITHIN_S
) -> CheckResult:
    """Check that the WebSocket accepts the key and confirms a subscription; takes at most `within_s` in all."""
    if not ws_url:
        return Verdict.OK, "no stream address configured", ""
    if signer is None:
        return Verdict.UNKNOWN, "the stream requires an API key", "see the line `key` above"
    from kalshi_cli.exchange.stream.reader import Stream, StreamTimings

    wait_s = max(within_s - HANG_UP_S, 0.1)
    probe = Stream(ws_url, signer, clock, rng, channels=("market_lifecycle_v2",), pace=StreamTimings(connect_s=wait_s))
    probe.start()
    try:
        until = clock.monotonic() + wait_s
        while not probe.is_live and probe.failure is None and clock.monotonic() < until:
            clock.sleep(0.05)
        was_live = probe.is_live
    finally:
        probe.stop(HANG_UP_S)  # Without a response its thread may continue for a while.
    if probe.failure is not None:
        raise probe.failure
    if not was_live:
        return Verdict.CRITICAL, f"no response within {within_s:.0f} s", "check whether a firewall blocks wss"
    return Verdict.OK, "connected and subscribed", ""


def feeds(status: RunStatus, now: Ts, config: Config, pause: str = "") -> CheckResult:
    """Check the age of the running loop's feed as `check feed` does, its order books, and that it is not stalled.

    Without a loop, check that the last one was not killed: nothing manages what it left.
    `pause` says why the exchange is quiet, which excuses silence; it does not excuse a loop that completes no cycle.
    """
    from kalshi_cli.services.monitoring.checks.feed import NEW_MS, feed_age, is_polled

    if status.is_abandoned and status.cycle is not None:
        last = f"its last cycle was {(now - status.cycle.completed) / 1000:.0f} s ago"
        return Verdict.WARNING, f"the last loop was killed; {last}", "see `kalshi runbook heartbeat-lost`"
    if not status.is_running:
        return Verdict.OK, "no trading loop is running, so there is no feed", ""
    if status.blind_since is not None:
        seconds = (now - status.blind_since) / 1000
        return (
            Verdict.CRITICAL,
            f"the loop could not read the account for {seconds:.0f} s",
            "see `kalshi runbook BLIND`",
        )
    pulse = status.running
    if pulse is None:
        is_new = status.locked_since is not None and now - status.locked_since < NEW_MS
        hint = "" if is_new else "run `kalshi status`"
        return Verdict.OK if is_new else Verdict.UNKNOWN, "the loop has not completed a cycle yet", hint
    age, is_stalled = feed_age(pulse, now, config, config.checks.feed_age_s), status.stalled_since is not None
    last = f"last {'poll of order books' if is_polled(pulse, config) else 'message'} {age.value:g} s ago"
    parts = [
        f"the loop is stalled, last cycle {(now - pulse.completed) / 1000:.0f} s ago" if is_stalled else "",
        "".join(f"{last} ({breach.bound})" for breach in age.breach("FEED_STALE", "stream")),
        f"no usable order book: {pulse.no_book}" if pulse.no_book else "",
    ]
    detail = "; ".join(filter(None, parts))
    if is_stalled:
        return max(Verdict.WARNING, age.verdict), detail, "see `kalshi runbook heartbeat-lost`"
    if not detail:
        return Verdict.OK, last, ""
    if pause:
        return Verdict.OK, f"{detail}; {pause}", ""
    return max(Verdict.WARNING, age.verdict), detail, "run `kalshi check feed`"


def sinks(names: Sequence[str], told: AlertOverview, now: Ts, *, is_needed: bool = False) -> CheckResult:
    """Return the alert channels, and whether notices were delivered to them.

    None is a WARNING where one `is_needed`: with real money, or with a loop on an exchange elsewhere.
    """
    if not names and is_needed:
        return Verdict.WARNING, f"{NO_CHANNEL.lower()}: no halt or failure is reported to you", ADD_CHANNEL
    if not names:
        return Verdict.OK, NO_CHANNEL.lower(), ADD_CHANNEL
    lost = {letter.sink for letter in told.dead}
    late = {letter.sink for letter in told.waiting if now - letter.created > WAITING_WARN_MS}
    failing = {each.sink: each.error for each in told.sinks if each.failures and each.sink in names}
    wrong = [
        f"undelivered: {', '.join(sorted(lost))}" if lost else "",
        *(f"{name} failed: {error or 'no response'}" for name, error in sorted(failing.items())),
        f"waiting for more than a minute: {', '.join(sorted(late))}" if late else "",
    ]
    if any(wrong):
        hint = "run `kalshi alerts`; see `kalshi runbook alert-undelivered`"
        return Verdict.WARNING, "; ".join(filter(None, wrong)), hint
    return Verdict.OK, f"{', '.join(names)}; to test: `kalshi alerts test`", ""


def strategies(config: Config) -> CheckResult:
    """Check the parameters, budgets and sizing of the built-in strategies in the configuration."""
    from kalshi_cli.services.monitoring.config_check import require_valid_strategies

    try:
        require_valid_strategies(config)
    except ConfigError as error:
        return Verdict.CRITICAL, error.message, f"correct it; a loop does not start with it. {error.hint}"
    return Verdict.OK, "valid parameters in the configuration", ""


def heartbeat(config: HeartbeatConfig, clock: Clock) -> CheckResult:
    """Check that the host of `heartbeat.url` accepts a connection. No ping is sent: only a loop says that it is alive.

    A failure is a WARNING: trading goes on, and the service that waits for the pings raises its alarm.
    """
    from kalshi_cli.telemetry.heartbeat import AddressError, try_connection

    try:
        found = try_connection(config.url, clock, allow_private=config.allow_private)
    except AddressError as error:
        return Verdict.CRITICAL, f"invalid heartbeat.url: {error}", "correct it; a loop does not start with it"
    if found.outcome != "delivered":
        hint = "check heartbeat.url, DNS and the firewall; without pings the watcher raises its alarm"
        return Verdict.WARNING, found.text, hint
    return Verdict.OK, f"{found.text}; no ping was sent", ""


def metrics(status: RunStatus, port: int) -> CheckResult:
    """Check that the running loop serves its metrics: another program may have the port. Trading needs no metrics."""
    from kalshi_cli.net.loopback_server import read_page

    if not status.is_running:
        return Verdict.OK, "no trading loop is running, so no metrics are served", ""
    try:
        page = read_page(port, "/metrics")
    except OSError as error:
        return Verdict.WARNING, f"the loop serves no metrics on port {port}: {error}", METRICS_HINT
    runs = (line for line in page.splitlines() if line.startswith("trading_run{"))
    if any(f'env="{status.env}"' in run and f'mode="{status.mode}"' in run for run in runs):
        return Verdict.OK, f"served on port {port}", ""
    return (
        Verdict.WARNING,
        f"another program has port {port} (metrics.port), so the loop serves no metrics",
        METRICS_HINT,
    )


def state(store: Store) -> CheckResult:
    """Check that the state file is readable, trading is not halted and no order is unconfirmed."""
    halt = store.halt()
    if halt.state is not TradingState.ACTIVE:
        return Verdict.WARNING, describe(halt), resume_hint(halt) + first_steps(halt)
    unknown = sum(order.status is OrderStatus.UNKNOWN for order in store.live_orders())
    if unknown:
        return Verdict.CRITICAL, pluralize(unknown, "unconfirmed order"), "run `kalshi order reconcile`"
    return Verdict.OK, "readable, no unconfirmed orders", ""


# -- all of them ---------------------------------------------------------------------------------------------------

NEED_KEY = ("account", "limits", "stream")

ASK_EXCHANGE = ("exchange", "clock", "account", "limits")
"""Checks that would only wait for the same host again; the stream has a host of its own."""


def health_of(resources: Resources, *, within_s: float = RESPOND_WITHIN_S) -> list[HealthResult]:
    """Run every check, in the order in which they depend on each other; report a problem with the key once.

    A check waits at most `within_s` for the exchange.
    """
    refuse_other_hosts(resources.config, "exchange.rest_url", "exchange.ws_url")
    findings: list[HealthResult] = []
    checks: dict[str, Check] = {
        "host": lambda: hosts(resources.config.env, resources.config.other_hosts),
        "exchange": lambda: exchange(resources.public),
        "clock": lambda: clock_skew(resources.public),
        "key": lambda: key(resources.signer, resources.config.env, presign=resources.config.exchange.presign),
        "account": lambda: account(learn_key(resources)),
        "limits": lambda: limits(resources.client),
        "stream": lambda: stream(resources.ws_url, resources.signer, resources.clock, resources.rng),
        "state": lambda: state(resources.store),
        "disk": lambda: disk(resources.state_dir),
        "feeds": lambda: _feeds(resources, findings),
        "strategies": lambda: strategies(resources.config),
        "sinks": lambda: _sinks(resources),
        "heartbeat": lambda: heartbeat(resources.config.heartbeat, resources.machine),
        "metrics": lambda: metrics(run_status(resources), resources.config.metrics.port),
    }
    if not resources.config.metrics.enabled or not resources.config.metrics.port:
        del checks["metrics"]
    if not resources.config.heartbeat.url:
        del checks["heartbeat"]
    if not resources.config.other_hosts:
        del checks["host"]
    if not (resources.config.strategies or resources.config.allotments):
        del checks["strategies"]
    for name, check in checks.items():
        is_bad = {each.check for each in findings if each.verdict is Verdict.CRITICAL}
        refused = next((each for each in ("key", "account") if each in is_bad), "")
        silent = next((each.check for each in findings if each.check in ASK_EXCHANGE and each.is_unreachable), "")
        if refused and (name in NEED_KEY or (name == "state" and not resources.home.account)):
            check = partial(needs_key, refused)
        elif silent and name in ASK_EXCHANGE:
            check = partial(needs_exchange, silent)
        elif silent and name == "stream":
            check = partial(_stream_after_silence, resources, silent)
        elif name in ASK_EXCHANGE:
            check = partial(_within, within_s, resources, check, is_public=name in ("exchange", "clock"))
        findings.append(examine(name, resources.clock, check))
    return findings


def _within(seconds: float, resources: Resources, check: Check, *, is_public: bool) -> CheckResult:
    """Run a check that asks the exchange in at most this time."""
    with (resources.public if is_public else resources.client).reading_within(seconds):
        return check()


def _stream_after_silence(resources: Resources, silent: str) -> CheckResult:
    """Check the stream for a short time; its hint names the check `silent`, which had no response either."""
    verdict, detail, hint = stream(
        resources.ws_url, resources.signer, resources.clock, resources.rng, within_s=STREAM_AFTER_SILENCE_S
    )
    if verdict is Verdict.CRITICAL:  # most likely the network, as for that line
        return Verdict.UNKNOWN, detail, f"see the line `{silent}` above"
    return verdict, detail, hint


def _feeds(resources: Resources, findings: Sequence[HealthResult]) -> CheckResult:
    """Check the feed of the running loop; ask the exchange about a pause only if its own line is a warning."""
    is_paused = any(each.check == "exchange" and each.verdict is Verdict.WARNING for each in findings)
    pause = pause_words(resources.public.exchange_status()) if is_paused else ""
    return feeds(run_status(resources), resources.clock.now(), resources.config, pause)


def _sinks(resources: Resources) -> CheckResult:
    """Check the configuration of the alert channels; nothing is sent."""
    from kalshi_cli.services.monitoring.alerts import overview
    from kalshi_cli.services.monitoring.config_check import require_usable_channels

    try:
        require_usable_channels(resources.config, resources.machine)
    except ConfigError as error:
        return Verdict.CRITICAL, error.message, error.hint
    names = tuple(resources.config.alerts.channels)
    host = urlsplit(resources.config.rest_url).hostname  # None: the simulated exchange of this machine, not asked here
    is_elsewhere = host is not None and not is_loopback(host)
    is_needed = resources.needs_confirmation or (is_elsewhere and run_status(resources).is_running)
    told = overview(resources) if names else AlertOverview()
    return sinks(names, told, resources.clock.now(), is_needed=is_needed)
