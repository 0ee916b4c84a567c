"""Reconcile the saved state with the account on the exchange: one path for start-up and repair."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

from msgspec.structs import asdict

from kalshi_cli.base import errors
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Ts, format_ts, pluralize
from kalshi_cli.core.account.closed_markets import ClosedMarket
from kalshi_cli.core.account.open_amends import is_amend_open
from kalshi_cli.core.account.pnl import sort_by_time
from kalshi_cli.core.account.reconciliation import provable_at
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.engine.strategy_runner import StrategyProtocol
from kalshi_cli.core.engine.tally import RunCounters
from kalshi_cli.core.model.effects import AlertRaised, Effect, OrderChanged
from kalshi_cli.core.model.markets import Family, FeeSchedule, Market
from kalshi_cli.core.model.messages import AccountSnapshot, Message
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.state.back_off import API_GUARD, back_off_of
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.account_snapshot import account_snapshot
from kalshi_cli.services.account.key_lock import learn_key
from kalshi_cli.services.account.opening import use_opening_marks
from kalshi_cli.services.resources import Resources
from kalshi_cli.store.lock import holder
from kalshi_cli.store.records import RecoveredState
from kalshi_cli.store.state_store import OrderStore
from kalshi_cli.views.orders import ReconciledRow, order_row
from kalshi_cli.views.plans import PlanOutcome

OVERLAP_MS = 3_600_000
"""The time before the last booked fill from which fills are read again; each is booked once, by its trade id."""

LOOK_EVERY_S = 1.0
"""The pause between two reads while waiting for the outcome of an order."""

STORE_WAIT_MS = 1_000
"""The longest wait for another program that writes the state file, before a reply is recorded."""

MAX_CLOSED = 1_000
"""The most markets that one start closes, about a second of work; the rest is left to the next one."""

EXTERNAL = ("FOREIGN_ACTIVITY", "OTHER_INSTANCE")
"""The codes of alerts about external orders."""

MANY = 100
"""The number of repairs above which they are committed together: one commit each would take seconds."""


def load_engine(
    client: KalshiClient,
    store: OrderStore,
    clock: Clock,
    limits: RiskLimits,
    *,
    markets: Iterable[Market],
    fees: Mapping[str, FeeSchedule],
    new_id: Callable[[], str],
    strategies: Sequence[StrategyProtocol] = (),
    references: Mapping[str, str] | None = None,
    families: Mapping[str, Family] | None = None,
    order_expiry_s: float | None = None,
    agree: Callable[[KalshiClient, OrderStore, Clock, TradingEngine], object] | None = None,
) -> TradingEngine:
    """Return an engine that has the saved state and agrees with the exchange: load, reconcile, repair.

    `agree` reconciles, by default with one read; before a strategy acts it is `start.agree`.
    """
    store.close_markets(clock.now(), MAX_CLOSED)
    memory = store.load()
    engine = restore_engine(
        memory,
        EngineState(
            markets=markets, fees=fees, references=references, families=families, lock=client.lock, now=clock.now()
        ),
        limits,
        strategies,
        new_id=new_id,
        order_expiry_s=order_expiry_s,
        on_file=store.order,
        closed=store.closed_market,
    )
    _catch_up(store, memory, engine)
    engine.is_starting = True
    use_opening_marks(engine.state, client, store)
    (agree or read_account)(client, store, clock, engine)
    use_opening_marks(engine.state, None, store)
    engine.is_starting = False
    engine.tally = RunCounters()  # events from before this run do not count for it
    return engine


def _catch_up(store: OrderStore, memory: RecoveredState, engine: TradingEngine) -> None:
    """Update orders on file from the fills on file.

    Another program may have booked the fill of an order that it did not know; no other event would report its end.
    """
    for before in memory.orders:
        after = engine.state.orders.by_order_id(before.order_id)
        if after is not None and (after.filled, after.status) != (before.filled, before.status):
            store.record(OrderChanged(after))


def restore_engine(
    memory: RecoveredState,
    state: EngineState,
    limits: RiskLimits,
    strategies: Sequence[StrategyProtocol],
    *,
    new_id: Callable[[], str],
    order_expiry_s: float | None,
    on_file: Callable[[str], Order | None] = lambda _any_id: None,
    closed: Callable[[str], ClosedMarket | None] = lambda _ticker: None,
) -> TradingEngine:
    """Return the engine as the state file left it.

    `on_file` looks up orders, and `closed` closed markets, that the engine does not remember.
    """
    engine = TradingEngine(
        state, limits, strategies, new_id=new_id, order_expiry_s=order_expiry_s, on_file=on_file, closed=closed
    )
    state.carry(memory.closed)
    engine.recall(memory.orders, sort_by_time((*memory.fills, *memory.settlements)))
    for ticker in state.markets if memory.closed else ():
        engine.reopen(ticker)  # the controls of a market in use need its whole history
    state.trading = memory.halt.state
    cause = memory.halt.code if memory.api_guard_at is None else API_GUARD
    state.back_off = back_off_of(cause, state.now)
    state.locks = {lock.ticker: lock.until for lock in memory.locks}
    state.best_gained = memory.best.gained if memory.best is not None else None
    return engine


def engine_on_file(
    memory: RecoveredState,
    client: KalshiClient,
    store: OrderStore,
    clock: Clock,
    limits: RiskLimits,
    new_id: Callable[[], str],
) -> TradingEngine:
    """Return the engine as the state file left it, without a market and a strategy: to look up and end orders."""
    return restore_engine(
        memory,
        EngineState(lock=client.lock, now=clock.now()),
        limits,
        (),
        new_id=new_id,
        order_expiry_s=None,
        on_file=store.order,
        closed=store.closed_market,
    )


def read_account(
    client: KalshiClient,
    store: OrderStore,
    clock: Clock,
    engine: TradingEngine,
    *,
    since: Ts | None = None,
    lookup: Sequence[Order] = (),
    expected: Collection[str] = (),
) -> tuple[AccountSnapshot, list[Effect]]:
    """Read the whole account and repair differences; return the snapshot and the repairs, which are saved.

    Alerts of the `expected` codes are not saved. At a start, those about past orders are one warning: of kalshi with
    another state file, which an older copy of this one does not know; for a state file without a fill, of anyone.
    """
    past = () if not engine.is_starting else ("OTHER_INSTANCE",) if engine.state.last_entry else EXTERNAL
    start = since if since is not None else Ts(max(0, engine.state.last_entry - OVERLAP_MS))
    orders = [*engine.state.orders.looked_for(), *lookup]
    known = engine.state.orders.by_order_id
    snapshot = account_snapshot(client, clock, since=start, live=orders, known=known)
    effects = engine.step(snapshot)
    effects = _past_orders_together(engine.state, effects, past)
    with store.together() if len(effects) > MANY else nullcontext():
        for effect in effects:
            if not (isinstance(effect, AlertRaised) and effect.code in expected):
                store.record(effect)
    return snapshot, effects


def _past_orders_together(state: EngineState, effects: list[Effect], codes: Collection[str]) -> list[Effect]:
    """Replace the alerts of these codes about orders that are over by one: they are the account's history."""

    def is_past(effect: Effect) -> bool:
        if not (isinstance(effect, AlertRaised) and effect.code in codes):
            return False
        order = state.orders.by_order_id(effect.subject)
        return order is not None and not order.status.is_live

    past = {effect.code for effect in effects if isinstance(effect, AlertRaised) and is_past(effect)}
    if not past:
        return effects
    orders = pluralize(sum(map(is_past, effects)), "order")
    text = (
        f"{orders} that this state file did not know, all over: their fills count, none can trade, and no strategy"
        " closes what they opened (`kalshi positions`). Expected after a new, rebuilt or older state file; otherwise"
        " kalshi trades on another machine: `kalshi runbook strangers`"
    )
    alert = AlertRaised(state.now, "warning", max(past), "account", text)
    return [*(effect for effect in effects if not is_past(effect)), alert]


def unconfirmed_orders(engine: TradingEngine) -> list[Order]:
    """Return the orders whose existence or terms are unconfirmed, or whose last reply may have been false."""
    return [*(order for order in engine.state.orders.live() if is_in_doubt(order)), *engine.disputed]


def is_in_doubt(order: Order) -> bool:
    """Return whether the order, or an amend of it, is unconfirmed."""
    return order.status in _IN_DOUBT and (not order.order_id or is_amend_open(order))


def reconciliation_result(order: Order) -> str:
    """Return the outcome of an unconfirmed order in one word, for output and scripts."""
    if order.status in _IN_DOUBT:
        return "still_unknown"
    return {OrderStatus.NEVER_ARRIVED: "never_arrived", OrderStatus.REJECTED: "refused"}.get(order.status, "adopted")


def reconcile_unknown(
    client: KalshiClient,
    store: OrderStore,
    clock: Clock,
    limits: RiskLimits,
    new_id: Callable[[], str],
    *,
    wait_s: float = 0.0,
    note: Callable[[str], None] = lambda _text: None,
    repaired: Callable[[Order, str], None] = lambda _order, _text: None,
) -> tuple[list[Order], list[Order]]:
    """Return orders that were unconfirmed or wrong on file: those that are known now, and those that still are not.

    Makes complete, fresh reads: one, and more for up to `wait_s` while the proof of an order is due within that time.
    `note` shows what is waited for, `repaired` takes each order that was wrong on file.
    """
    store.close_markets(clock.now(), MAX_CLOSED)
    memory = store.load()
    names = {order.client_order_id or order.order_id: order for order in memory.orders if order.status in _IN_DOUBT}
    engine = engine_on_file(memory, client, store, clock, limits, new_id)
    use_opening_marks(engine.state, client, store)
    until = clock.monotonic() + wait_s

    def hear(_snapshot: AccountSnapshot, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, OrderChanged) and effect.repaired:
                names[effect.order.client_order_id] = effect.order
                repaired(effect.order, effect.repaired)

    hear(*read_account(client, store, clock, engine))
    if wait_s:
        wait_until_resolved(client, store, clock, engine, until=until, note=note, heard=hear)
    disputed = {order.client_order_id: order for order in engine.disputed}
    known = engine.state.orders
    found = (known.get(old.client_order_id) or known.by_order_id(old.order_id) for old in (names | disputed).values())
    orders = [order for order in found if order is not None]
    open_ = [order for order in orders if order.status in _IN_DOUBT or order.client_order_id in disputed]
    return [order for order in orders if order not in open_], open_


def wait_until_resolved(
    client: KalshiClient,
    store: OrderStore,
    clock: Clock,
    engine: TradingEngine,
    *,
    until: float,
    note: Callable[[str], None],
    heard: Callable[[AccountSnapshot, list[Effect]], None] = lambda _snapshot, _effects: None,
) -> list[Order]:
    """Read until no order is unconfirmed whose proof is due before `until` (monotonic seconds); return the rest.

    A failed read is tried again later. `heard` takes the repairs of each read.
    """
    noted, is_blind = 0, False
    while True:
        left_ms = (until - clock.monotonic()) * 1000
        doubtful = unconfirmed_orders(engine)
        due = [order for order in doubtful if provable_at(order) - clock.now() <= left_ms]
        if not due or left_ms <= 0:
            return doubtful
        if len(due) != noted:
            noted = len(due)
            last = max(provable_at(order) for order in due)
            seconds = max(1, (last - clock.now()) // 1000 + 1)
            names = ", ".join(order.client_order_id for order in due[:5])
            note(f"Waiting up to {seconds} s for the outcome of {names}")
        clock.sleep(LOOK_EVERY_S)
        try:
            heard(*read_account(client, store, clock, engine))
            is_blind = False
        except errors.CredentialsError:
            raise
        except (errors.ExchangeError, errors.UnreachableError) as error:
            if not is_blind:
                note(f"Cannot read the account: {error.message}")
            is_blind = True


_IN_DOUBT = frozenset({OrderStatus.UNKNOWN, OrderStatus.SUBMITTED})


def reconcile(
    resources: Resources, wait_s: float = 0.0, repaired: Callable[[Order, str], None] = lambda _order, _text: None
) -> tuple[list[Order], list[Order]]:
    """Look up every unconfirmed order: return those that are known now, and those that still are not.

    Waits up to `wait_s` where the proof of a missing order is due within that time. `repaired` takes the false
    statements of earlier replies about an order.
    """
    return reconcile_unknown(
        learn_key(resources, resources.store), resources.store, resources.clock, resources.limits, resources.new_id,
        wait_s=wait_s, note=resources.note, repaired=repaired,
    )  # fmt: skip


@contextmanager
def outcome_unknown_if_unread(resources: Resources) -> Iterator[None]:
    """Turn the error of a failed read into OutcomeUnknownError while the state file has an unconfirmed order.

    The read that failed was to prove what became of it: "unreachable" alone would say that nothing is outstanding.
    """
    try:
        yield
    except (errors.ExchangeError, errors.UnreachableError) as error:
        names = ", ".join(order.client_order_id or order.order_id for order in unconfirmed_on_file(resources)[:5])
        if not names:
            raise
        raise errors.OutcomeUnknownError(
            f"Still unconfirmed, may be live: {names}; the account could not be read: {error.message}",
            hint=f"run `kalshi order reconcile` again. {error.hint}".strip(),
        ) from error


def unconfirmed_on_file(resources: Resources) -> list[Order]:
    """Return the orders that are unconfirmed by the state file; none where it cannot be read."""
    try:
        store = resources.remembered()
        return [order for order in store.live_orders() if order.status in _IN_DOUBT] if store is not None else []
    except (errors.CredentialsError, errors.StateFileError):
        return []


def record_reports(resources: Resources, reports: Sequence[Message]) -> None:
    """Write what replies said about orders on file to the state file, so that `kalshi status` agrees at once.

    Without a running loop nothing else would: a loop reads these orders itself. A failure is only a notice, because the
    writes are done, and every later read of the account repairs the file.
    """
    try:
        if not reports or holder(resources.state_dir / "trade.lock") is not None:
            return
        store = resources.remembered(busy_ms=STORE_WAIT_MS)
        if store is None:
            return
        engine = engine_on_file(
            store.load(), resources.client, store, resources.clock, resources.limits, resources.new_id
        )
        for effect in (effect for report in reports for effect in engine.step(report)):
            if isinstance(effect, OrderChanged) and not effect.order.is_foreign:
                store.record(effect)
    except errors.KalshiError as error:
        resources.note(
            f"The state file was not updated: {error.message}. `kalshi status` may show the orders as before until "
            "`kalshi order reconcile`"
        )


def reconciled_rows(resources: Resources, wait_s: float) -> list[ReconciledRow]:
    """Look up every unconfirmed order like `reconcile`, and return a row of each; those still unknown come last.

    OutcomeUnknownError where the exchange cannot be read while an order is unconfirmed.
    """
    false: dict[str, str] = {}

    def repaired(order: Order, text: str) -> None:
        false[order.client_order_id] = text
        resources.tell(f"repaired: order {order.client_order_id} on {order.ticker}: {text}")

    with outcome_unknown_if_unread(resources):
        settled, open_ = reconcile(resources, wait_s, repaired)
    return [
        reconciled_row(order, false.get(order.client_order_id, ""), is_open=is_open)
        for orders, is_open in ((settled, False), (open_, True))
        for order in orders
    ]


def reconcile_outcome(rows: Sequence[ReconciledRow]) -> PlanOutcome[ReconciledRow]:
    """Return the rows of a reconcile with an OutcomeUnknownError where an order is still unconfirmed."""
    open_ = [row for row in rows if row.found == "still_unknown"]
    if not open_:
        return PlanOutcome(rows=tuple(rows))
    last = max(row.provable_at for row in open_ if row.provable_at is not None)
    error = errors.OutcomeUnknownError(
        f"Still unconfirmed, may be live: {', '.join(row.client_order_id or '' for row in open_[:5])}",
        hint=f"run this again after {format_ts(last)}, when an order that never arrived can be proven absent",
    )
    return PlanOutcome(rows=tuple(rows), error=error)


def reconciled_row(order: Order, repaired: str = "", *, is_open: bool = False) -> ReconciledRow:
    """Return an order with its result, and the time of its proof where it is still unconfirmed."""
    found = "still_unknown" if is_open else reconciliation_result(order)
    if repaired and found == "adopted":
        found = "repaired"
    due = provable_at(order) if found == "still_unknown" else None
    return ReconciledRow(**asdict(order_row(order)), found=found, provable_at=due, repaired=repaired or None)
