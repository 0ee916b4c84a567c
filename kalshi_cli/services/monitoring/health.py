"""Is everything in place to trade? One line each, with how long it took and what to do where it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import disk_usage
from typing import TYPE_CHECKING

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import ConfigError, CredentialsError, KalshiError, RefusedError
from kalshi_cli.base.units import Ts, format_ts, pluralize, show_money
from kalshi_cli.config.config import refuse_other_hosts
from kalshi_cli.config.hosts import OtherHost
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.monitoring.check_report import Verdict
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.services.account.key_lock import learn_key
from kalshi_cli.services.monitoring.alerting import AlertOverview
from kalshi_cli.services.resources import Resources
from kalshi_cli.store.records import Heartbeat
from kalshi_cli.store.sqlite_store import Store

if TYPE_CHECKING:
    import random

SKEW_WARN_MS, SKEW_CRITICAL_MS = 1_000, 5_000
STREAM_WITHIN_S, HANG_UP_S = 5.0, 0.5
WAITING_WARN_MS = 60_000
DISK_WARN, DISK_CRITICAL = 1_000_000_000, 100_000_000


class HealthResult(msgspec.Struct, frozen=True, kw_only=True):
    """One check: what was found, and the remedy where it is not OK."""

    check: str
    verdict: Verdict
    detail: str
    hint: str = ""
    latency_ms: float | None = None


Check = Callable[[], tuple[Verdict, str, str]]


def examine(name: str, clock: Clock, check: Check) -> HealthResult:
    """Run one check; a known error is a finding too: CRITICAL for credentials, UNKNOWN where it could not look."""
    started = clock.monotonic()
    try:
        verdict, detail, hint = check()
    except CredentialsError as error:
        verdict, detail, hint = Verdict.CRITICAL, error.message, error.hint
    except KalshiError as error:
        verdict, detail, hint = Verdict.UNKNOWN, error.message, error.hint
    took = round((clock.monotonic() - started) * 1000, 1)
    return HealthResult(check=name, verdict=verdict, detail=detail, hint=hint, latency_ms=took)


def worst(findings: list[HealthResult]) -> Verdict:
    """CRITICAL beats UNKNOWN beats WARNING beats OK."""
    ranking = (Verdict.CRITICAL, Verdict.UNKNOWN, Verdict.WARNING)
    return next((verdict for verdict in ranking if any(f.verdict is verdict for f in findings)), Verdict.OK)


def require_ready_to_trade(client: KalshiClient, home: Path, tell: Callable[[str], None]) -> None:
    """What a loop must know before it starts: the exchange answers, the clock is right, there is room on the disk.

    A warning is told; what is critical is an error: CredentialsError for a clock that would spoil every signature.
    An exchange that does not answer is UnreachableError.
    """
    looks: tuple[Check, ...] = (lambda: exchange(client), lambda: clock_skew(client), lambda: disk(home))
    for look in looks:
        verdict, detail, hint = look()
        if verdict is Verdict.CRITICAL:
            kind = CredentialsError if look is looks[1] else RefusedError
            raise kind(f"not fit to trade: {detail}", hint=hint, code="UNFIT")
        if verdict is not Verdict.OK:
            tell(f"warning: {detail}; {hint}")


def require_synced_clock(client: KalshiClient) -> None:
    """CredentialsError where the replies so far tell that our clock is too far off to sign or date an order."""
    skew = client.clock_skew_ms
    if skew is not None and skew > SKEW_CRITICAL_MS:
        skew = client.measure_clock_skew()
    if skew is None or abs(skew) <= SKEW_CRITICAL_MS:
        return
    way = "ahead of" if skew > 0 else "behind"
    raise CredentialsError(
        f"not fit to trade: your clock is {abs(skew) / 1000:.1f} s {way} the exchange",
        hint="set the clock: sudo timedatectl set-ntp true",
        code="CLOCK",
    )


# -- the checks; each answers (verdict, detail, hint) ---------------------------------------------------------------


def hosts(env: str, others: Sequence[OtherHost]) -> tuple[Verdict, str, str]:
    """Name the hosts that are not the environment's own. They are allowed, and they see every request."""
    named = ", ".join(map(str, others))
    return Verdict.OK, f"not a host of {env}: {named}", ""


def exchange(client: KalshiClient) -> tuple[Verdict, str, str]:
    """REST answers, and trading is on."""
    status = client.exchange_status()
    if not status.exchange_active:
        return Verdict.WARNING, "exchange paused: nothing works, not even cancels", "see `kalshi exchange`"
    if not status.trading_active:
        return Verdict.WARNING, "trading paused: cancels work, new orders do not", "see `kalshi exchange`"
    return Verdict.OK, "open for trading", ""


def clock_skew(client: KalshiClient) -> tuple[Verdict, str, str]:
    """Signatures carry the time; beyond five seconds they are refused."""
    skew = client.measure_clock_skew()
    if skew is None:
        return Verdict.UNKNOWN, "the exchange sent no Date header", "try again"
    side = "ahead of" if skew > 0 else "behind"
    detail = f"{abs(skew) / 1000:.1f} s {side} the exchange"
    # The Date header has whole seconds: a skew within one second cannot be told from none.
    if abs(skew) > SKEW_CRITICAL_MS:
        return Verdict.CRITICAL, f"your clock is {detail}", "set the clock: sudo timedatectl set-ntp true"
    if abs(skew) > SKEW_WARN_MS + 1_000:
        return Verdict.WARNING, f"your clock is {detail}", "set the clock: sudo timedatectl set-ntp true"
    return Verdict.OK, "within a second", ""


def account(client: KalshiClient) -> tuple[Verdict, str, str]:
    """The key works: a signed read of the balance. A key of one subaccount says which."""
    balance = client.balance()
    whose = "" if client.lock is None else f"; the key is locked to subaccount {client.lock}"
    return Verdict.OK, f"cash {show_money(balance.cash)}{whose}", ""


def limits(client: KalshiClient) -> tuple[Verdict, str, str]:
    """The rate limits of this account."""
    found = client.limits()
    return (
        Verdict.OK,
        f"{found.usage_tier}: {found.read.refill_rate} read and {found.write.refill_rate} write tokens a second",
        "",
    )


def disk(path: Path) -> tuple[Verdict, str, str]:
    """An intent that cannot be written down is not sent."""
    at = next(folder for folder in (path, *path.parents) if folder.exists())
    free = disk_usage(at).free
    detail = f"{free / 1e9:.1f} GB free"
    if free < DISK_CRITICAL:
        return Verdict.CRITICAL, detail, f"make room on the disk of {at}"
    if free < DISK_WARN:
        return Verdict.WARNING, detail, f"make room on the disk of {at}"
    return Verdict.OK, detail, ""


def key(signer: Signer | None, env: str) -> tuple[Verdict, str, str]:
    """There is a key, it is ours alone, and it can sign."""
    if signer is None:
        hint = "set KALSHI_API_KEY_ID and KALSHI_PRIVATE_KEY_PATH, or credentials in the configuration"
        return Verdict.CRITICAL, f"no API key is configured for {env}", hint
    signer.headers("GET", "/trade-api/v2/portfolio/balance")
    return Verdict.OK, "readable by its owner only, and it signs", ""


def needs_key() -> tuple[Verdict, str, str]:
    """In place of a check that could only repeat what is wrong with the key."""
    return Verdict.UNKNOWN, "needs the key", "see the line above about the key"


def stream(
    ws_url: str, signer: Signer | None, clock: Clock, rng: random.Random, *, within_s: float = STREAM_WITHIN_S
) -> tuple[Verdict, str, str]:
    """The WebSocket lets this key in and answers a subscription, within so many seconds, hanging up included."""
    if not ws_url:
        return Verdict.OK, "no address of a stream is configured", ""
    if signer is None:
        return Verdict.UNKNOWN, "the stream needs an API key", "see the line above about the key"
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
        probe.stop(HANG_UP_S)  # where nobody answers, its thread may go on for a while
    if probe.failure is not None:
        raise probe.failure
    if not was_live:
        return Verdict.CRITICAL, f"no answer within {within_s:.0f} s", "is a firewall in the way of wss?"
    return Verdict.OK, "connected and subscribed", ""


def feeds(cycle: Heartbeat | None, *, is_running: bool) -> tuple[Verdict, str, str]:
    """How old the running loop's last message of the stream is."""
    if not is_running or cycle is None:
        return Verdict.OK, "no loop is running, so nothing is fed", ""
    if cycle.no_book:
        return Verdict.WARNING, f"no usable book: {cycle.no_book}", "kalshi check feed"
    if cycle.feed_age_ms is None:
        return Verdict.OK, "books are read, not streamed", ""
    return Verdict.OK, f"last message {cycle.feed_age_ms / 1000:.1f} s before the last cycle", ""


def sinks(names: Sequence[str], told: AlertOverview, now: Ts) -> tuple[Verdict, str, str]:
    """Who is told when something is wrong, and whether what was to be told got there."""
    if not names:
        return Verdict.OK, "none: nobody is told when something is wrong", "alerts.sinks in the configuration"
    lost = {letter.sink for letter in told.dead}
    late = {letter.sink for letter in told.waiting if now - letter.created > WAITING_WARN_MS}
    failing = {each.sink: each.error for each in told.sinks if each.failures and each.sink in names}
    wrong = [
        f"undelivered to {', '.join(sorted(lost))}" if lost else "",
        *(f"{name} failed: {error or 'no answer'}" for name, error in sorted(failing.items())),
        f"waiting for over a minute: {', '.join(sorted(late))}" if late else "",
    ]
    if any(wrong):
        return Verdict.WARNING, "; ".join(filter(None, wrong)), "kalshi alerts; kalshi runbook alert-undelivered"
    return Verdict.OK, f"{', '.join(names)}; try: kalshi alerts test", ""


def state(store: Store) -> tuple[Verdict, str, str]:
    """The state file can be read, and nothing in it needs a person."""
    halt = store.halt()
    if halt.state is not TradingState.ACTIVE:
        text = f"trading is {halt.state.value} since {format_ts(halt.since)}: {halt.code} {halt.reason}"
        return Verdict.WARNING, text, "find out why, then: kalshi resume --reason TEXT"
    doubtful = [order for order in store.live_orders() if order.status is OrderStatus.UNKNOWN]
    if doubtful:
        return Verdict.CRITICAL, f"{pluralize(len(doubtful), 'order')} in doubt", "kalshi order reconcile"
    return Verdict.OK, "readable, nothing in doubt", ""


# -- all of them ---------------------------------------------------------------------------------------------------

NEED_KEY = ("account", "limits", "stream")


def health_of(resources: Resources) -> list[HealthResult]:
    """Every check, in the order in which things depend on each other. What is wrong with the key is told once."""
    refuse_other_hosts(resources.config, "exchange.rest_url", "exchange.ws_url")
    checks: dict[str, Check] = {
        "host": lambda: hosts(resources.config.env, resources.config.other_hosts),
        "exchange": lambda: exchange(resources.public),
        "clock": lambda: clock_skew(resources.public),
        "key": lambda: key(resources.signer, resources.config.env),
        "account": lambda: account(learn_key(resources)),
        "limits": lambda: limits(resources.client),
        "stream": lambda: stream(resources.ws_url, resources.signer, resources.clock, resources.rng),
        "state": lambda: state(resources.store),
        "disk": lambda: disk(resources.state_dir),
        "feeds": lambda: _feeds(resources),
        "sinks": lambda: _sinks(resources),
    }
    if not resources.config.other_hosts:
        del checks["host"]
    findings: list[HealthResult] = []
    for name, check in checks.items():
        is_refused = any(each.check in ("key", "account") and each.verdict is Verdict.CRITICAL for each in findings)
        is_held_up = is_refused and name in NEED_KEY
        findings.append(examine(name, resources.clock, needs_key if is_held_up else check))
    return findings


def _feeds(resources: Resources) -> tuple[Verdict, str, str]:
    from kalshi_cli.services.trading.status import run_status

    status = run_status(resources)
    return feeds(status.cycle, is_running=status.is_running)


def _sinks(resources: Resources) -> tuple[Verdict, str, str]:
    """Usable as far as this machine can tell; nothing is sent."""
    from kalshi_cli.services.monitoring.alert_channels import require_usable_channels
    from kalshi_cli.services.monitoring.alerts import overview

    try:
        require_usable_channels(resources.config, resources.machine)
    except ConfigError as error:
        return Verdict.CRITICAL, error.message, error.hint
    names = tuple(resources.config.alerts.channels)
    return sinks(names, overview(resources) if names else AlertOverview(), resources.clock.now())
