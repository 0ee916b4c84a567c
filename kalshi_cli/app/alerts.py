"""Alerting of an account, composed: its state file, its sinks, its clock, and what stops its trading."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from kalshi_cli.app import App
from kalshi_cli.app.sinks import refuse_unusable_sinks
from kalshi_cli.base.errors import ExchangeError, KalshiError, StateError, UsageError
from kalshi_cli.base.units import show_qty
from kalshi_cli.config.config import state_dir
from kalshi_cli.config.schema import Sink
from kalshi_cli.core.model.effects import Alert
from kalshi_cli.core.monitoring.incidents import Matter
from kalshi_cli.core.monitoring.notices import Notice
from kalshi_cli.core.monitoring.runbook_index import remedy_of
from kalshi_cli.desk.alerting import Alerting, Overview, Terms
from kalshi_cli.desk.close import CloseDesk, ClosePlan, Closing, Walk, close_all
from kalshi_cli.desk.courier import Courier
from kalshi_cli.net.delivery import Delivery
from kalshi_cli.notify.notifier import Notifier
from kalshi_cli.store.pause import pause
from kalshi_cli.store.records import BY_ALERT
from kalshi_cli.store.sqlite_store import SqliteStore

WAIT_S = 0.2
DIRECTLY_S = 4.0


@contextmanager
def alerting(
    app: App,
    *,
    home: Path | None = None,
    account: str = "",
    more: Mapping[str, Sink] | None = None,
    busy_ms: int | None = None,
) -> Iterator[Alerting]:
    """Alerting with a connection of its own, for the thread that enters it: of the account, or of another home.

    `more` are sinks for this time only. The state file is made where there is none; another program that writes to it
    is waited for, for `busy_ms` at most.
    """
    home = home or app.state_dir
    sinks = {**app.config.alerts.sinks, **(more or {})}

    def stop(cause: Matter) -> None:
        try:
            pause(home, f"{BY_ALERT}{cause.code} {cause.subject}")
        except StateError as error:  # it is told all the same
            app.tell(f"trading could NOT be paused because of {cause.code}: {error.message}")

    whose, env = account or app.account, app.config.env
    with SqliteStore.open(home / "state.db", account=whose, environment=env, busy_ms=busy_ms) as store:
        terms = _terms(app, sinks)
        yield Alerting(store.alert_book, store, terms, Notifier(sinks, app.machine), app.clock, app.new_id, stop)


def _terms(app: App, sinks: Mapping[str, Sink]) -> Terms:
    config = app.config
    return Terms(alerts=config.alerts, sinks=sinks, env=config.env, zone=ZoneInfo(config.day_zone))


def of_loop(app: App, *, is_paper: bool) -> AbstractContextManager[Alerting]:
    """That of the account, or of trading on paper."""
    home = state_dir(app.config, "paper") if is_paper else app.state_dir
    return alerting(app, home=home, account="paper" if is_paper else "")


def overview(app: App, *, is_paper: bool) -> Overview:
    """What is kept, as it is now; without a state file nothing is, and none is made."""
    home = state_dir(app.config, "paper") if is_paper else app.state_dir
    if not (home / "state.db").exists():
        return Overview()
    with of_loop(app, is_paper=is_paper) as found:
        return found.overview()


def try_sinks(app: App, only: str = "") -> dict[str, Delivery]:
    """Send a test notice to each sink now, or to one of them; what became of each. Needs no state file.

    ConfigError where a sink cannot be used.
    """
    sinks = app.config.alerts.sinks
    if only and only not in sinks:
        raise UsageError(f"there is no sink {only}", hint=f"alerts.sinks has: {', '.join(sinks) or 'none'}")
    refuse_unusable_sinks(app.config)
    notifier, now = Notifier(sinks, app.machine), app.clock.now()
    notice = Notice(
        notice_id=app.new_id(), kind="test", tier="info", event="state", code="TEST", subject="alerts",
        text="somebody tries the sinks: kalshi alerts test", env=app.config.env, since=now, ts=now,
        command="kalshi alerts",
    )  # fmt: skip
    return {name: notifier.deliver(name, notice) for name in ([only] if only else sinks)}


def courier(app: App, *, is_paper: bool) -> Courier:
    """Tells what a loop writes down. On paper there is nothing at the exchange to be closed.

    ConfigError where a sink cannot be used.
    """
    refuse_unusable_sinks(app.config)
    return Courier(
        partial(of_loop, app, is_paper=is_paper), app.clock, app.tell, None if is_paper else partial(flatten, app),
        partial(tell_directly, app),
    )  # fmt: skip


def tell_directly(app: App, alert: Alert, within_s: float = DIRECTLY_S) -> None:
    """Deliver an alert that the state file cannot hold to every channel that wants it, within `within_s` seconds."""
    remedy, sinks, now = remedy_of(alert.code), app.config.alerts.sinks, app.clock.now()
    notice = Notice(
        notice_id=app.new_id(), kind="event", tier=alert.tier, event=remedy.event, code=alert.code,
        subject=alert.subject, text=f"{alert.text}; the state file cannot be used", env=app.config.env, since=alert.ts,
        ts=now, runbook=remedy.runbook, command=remedy.command,
    )  # fmt: skip
    notifier, failing = Notifier(sinks, app.machine), []

    def deliver(name: str) -> None:
        delivery = notifier.deliver(name, notice, within_s)
        if delivery.outcome != "delivered":
            failing.append(f"{name}: {delivery.text}")

    threads = [
        threading.Thread(target=deliver, args=(name,), daemon=True) for name in _terms(app, sinks).hearers(notice)
    ]
    for thread in threads:
        thread.start()
    until = app.machine.monotonic() + within_s + 1
    for thread in threads:
        thread.join(max(0.0, until - app.machine.monotonic()))
    if failing:
        app.tell(f"not delivered: {'; '.join(failing)}")


def flatten(app: App) -> bool:
    """Close all positions because an alert said so, as `kalshi flatten` does, and return whether none is left.

    The loop takes its own orders back first, because trading is paused; that is waited for as long as a stop may take.
    What came of it is recorded as an alert. KalshiError where not even that could be done; StateError where the state
    file did not let it: it is worth another try.
    """
    with App(app.config, app.tell, app.note) as own:
        until = own.machine.monotonic() + app.config.trade.stop_budget_s
        while any(order.strategy for order in own.store.live_orders()) and own.machine.monotonic() < until:
            own.machine.sleep(WAIT_S)
        closings, errors = _close_everything(own)
        busy = next((error for error in errors if isinstance(error, StateError)), None)
        if busy is not None:
            raise busy
        own.store.record(_flattened(own, closings, errors))
        return not errors


def _close_everything(app: App) -> tuple[list[Closing], list[KalshiError]]:
    """What is held in the primary subaccount, then in each of the others, whatever became of the ones before.

    A key that is locked to a subaccount closes that one.
    """
    closings: list[Closing] = []
    errors: list[KalshiError] = []

    def close(subaccount: int | None) -> None:
        def planned() -> tuple[CloseDesk, list[ClosePlan]]:
            closer = CloseDesk(app.order_desk(), Walk(), app.note, subaccount)
            return closer, closer.plans()

        done, error = close_all(planned, lambda _plans: None)
        closings.extend(done)
        errors.extend([error] if error is not None else [])

    close(None)
    if app.client.lock is not None:
        return closings, errors
    try:
        others = {pocket.subaccount for pocket in app.client.subaccount_balances()} - {0}
    except KalshiError as error:
        # a key of one subaccount may not look at the others
        if not (isinstance(error, ExchangeError) and error.status in (403, 404)):
            errors.append(KalshiError(f"what other subaccounts hold is not known: {error.message}"))
        return closings, errors
    for subaccount in sorted(others):
        close(subaccount)
    return closings, errors


def _flattened(app: App, closings: Sequence[Closing], errors: Sequence[KalshiError]) -> Alert:
    done = ", ".join(_name(closing.plan) for closing in closings if closing.is_done)
    text = f"closed {done}" if done else "nothing was closed" if closings or errors else "nothing was held"
    if not errors:
        return Alert(app.clock.now(), "warning", "FLATTENED", "account", text)
    left = ", ".join(
        f"{show_qty(each.left)} {each.plan.outcome.upper()} of {_name(each.plan)}" for each in closings if each.left
    )
    reasons = dict.fromkeys(error.message for error in errors)
    text = "; ".join([text, *([f"left: {left}"] if left else []), *reasons])
    return Alert(app.clock.now(), "critical", "FLATTEN_FAILED", "account", text)


def _name(plan: ClosePlan) -> str:
    return f"{plan.market.ticker} in subaccount {plan.subaccount}" if plan.subaccount else plan.market.ticker
