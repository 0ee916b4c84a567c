"""The start of a run: reconcile the local account with the exchange before any strategy acts.

The rules, in this order:

1. If the account cannot be read completely, wait for it; after `UNREAD_S` the run does not start.
2. If an order is unconfirmed, wait up to `PROOF_S` for its outcome, which is long enough for every order of a loop. If
   the outcome stays unknown, the run does not start. An order with a longer expiry keeps its full exposure reserved.
3. If fills do not explain the position in a market of this run, read all fills again; if the difference stays, the run
   does not start. In other markets it is a warning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from msgspec.structs import replace

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import CredentialsError, ExchangeError, OutcomeUnknownError, RefusedError, UnreachableError
from kalshi_cli.base.units import Money, Qty, Ts, format_ts, pluralize, show_money, show_price, show_qty
from kalshi_cli.core.account.reconciliation import drift, provable_at
from kalshi_cli.core.account.strategy_positions import UNOWNED_STRATEGY
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import AlertRaised, Effect, FillBooked, OrderChanged, SettlementBooked
from kalshi_cli.core.model.messages import AccountSnapshot
from kalshi_cli.core.model.orders import Fill, Order
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.services.account import recovery
from kalshi_cli.store.records import Heartbeat
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.store.state_store import OrderStore
from kalshi_cli.views.formats import format_time
from kalshi_cli.views.order_text import order_sentence, order_words
from kalshi_cli.views.orders import order_row
from kalshi_cli.views.own_terms import in_own_terms

UNREAD_S = 60.0
"""Seconds that a start waits for an account that cannot be read."""

PROOF_S = 120.0
"""Seconds that a start waits for unconfirmed orders: the order expiry of a loop (90 s by default) and a margin."""

DRIFT_S = 15.0
"""Seconds that a start waits for positions and fills to agree: either may lag behind the other."""

MAX_LINES = 20


class AccountDifferences:
    """The differences between the local account and the exchange, as lines to show."""

    def __init__(self, orders: Iterable[Order]) -> None:
        self._before = {_name(order): order for order in orders}
        self._after: dict[str, Order] = {}
        self._repaired: dict[str, str] = {}
        self._met: dict[str, Qty] = {}
        self.fills: list[FillBooked] = []
        self.settlements: list[Settlement] = []
        self.latest: AccountSnapshot | None = None

    def hear(self, snapshot: AccountSnapshot, effects: Iterable[Effect]) -> None:
        """Add one read of the account and the repairs that followed from it."""
        self.latest = snapshot
        for effect in effects:
            if isinstance(effect, FillBooked):
                self.fills.append(effect)
                self._met.setdefault(effect.fill.order_id, effect.held_before)
            elif isinstance(effect, SettlementBooked):
                self.settlements.append(effect.settlement)
            elif isinstance(effect, OrderChanged):
                self._after[_name(effect.order)] = effect.order
                if effect.repaired:
                    self._repaired[_name(effect.order)] = effect.repaired

    @property
    def orders(self) -> list[tuple[str, Order]]:
        """Return the orders that differed, each with the kind of difference."""
        found = [(self._kind(name, order), order) for name, order in self._after.items()]
        return [(kind, order) for kind, order in found if kind]

    def _kind(self, name: str, order: Order) -> str:
        if name in self._repaired:
            return "repaired"
        before = self._before.get(name)
        if before is None:
            return "external" if order.is_foreign and order.status.is_live else ""
        if recovery.is_in_doubt(before):
            return "" if recovery.is_in_doubt(order) else recovery.reconciliation_result(order)
        if not order.status.is_live:
            return "ended"
        return "changed" if _reported(order) != _reported(before) else ""

    def unchanged(self, orders: Iterable[Order]) -> list[Order]:
        """Return those of the orders that were on file before and did not differ."""
        told = {_name(order) for _, order in self.orders}
        return [order for order in orders if _name(order) in self._before.keys() - told]

    def summary(self) -> str:
        """Return one line: `Reconciled: 3 fills, 1 settlement, 1 order adopted`."""
        kinds = [kind for kind, _ in self.orders]
        booked = ((len(self.fills), "fill"), (len(self.settlements), "settlement"))
        parts = [pluralize(many, what) for many, what in booked if many]
        parts += [f"{pluralize(kinds.count(kind), 'order')} {kind.replace('_', ' ')}" for kind in dict.fromkeys(kinds)]
        return "Reconciled: " + (", ".join(parts) if parts else "no differences")

    def lines(self, held: Callable[[Order], Qty]) -> list[str]:
        """Return a line for each difference, at most `MAX_LINES`; `held` returns the position in the order's market."""
        found = [
            _order_line(kind, order, self._repaired.get(_name(order), ""), self._met.get(order.order_id, held(order)))
            for kind, order in self.orders
        ]
        found += [
            f"  settled {each.ticker}: {each.result}, paid {show_money(each.revenue)}" for each in self.settlements
        ]
        found += [_fill_line(fill) for fill in self.fills]
        rest = len(found) - MAX_LINES
        return found[:MAX_LINES] + ([f"  ... and {rest} more"] if rest > 0 else [])


def reconcile_at_start(
    client: KalshiClient,
    store: OrderStore,
    clock: Clock,
    engine: TradingEngine,
    *,
    tell: Callable[[str], None],
    note: Callable[[str], None],
    last: Heartbeat | None = None,
) -> None:
    """Read and repair the local account by the rules above; report each difference to `tell`.

    If the `last` run was killed, also say what became of its orders. Raises UnreachableError (exit code 6),
    OutcomeUnknownError (7) or RefusedError (3, code DRIFT) if waiting fails.
    """
    differences = AccountDifferences(engine.state.orders.live())
    read = partial(_read_patiently, client, store, clock, engine, tell)
    try:
        differences.hear(*read())
        until = clock.monotonic() + PROOF_S
        recovery.wait_until_resolved(client, store, clock, engine, until=until, note=tell, heard=differences.hear)
        unexplained = _unexplained(read, clock, engine, differences)
    finally:
        ledger = engine.state.ledger
        lines = differences.lines(lambda order: ledger.position(order.ticker, order.subaccount).qty)
        for line in (differences.summary(), *lines):
            (tell if lines else note)(line)
        has_unowned = any(_is_unowned(booked.fill, engine.state) for booked in differences.fills)
        _tell_unowned(engine.state, tell if has_unowned else note)
        if last is not None and last.is_running:
            for line in _left_by_killed(last, differences, engine, clock.now()):
                tell(line)
    _refuse_doubt(recovery.unconfirmed_orders(engine), clock.now(), tell)
    _refuse_drift(unexplained, engine, tell)


def _is_unowned(fill: Fill, state: EngineState) -> bool:
    order = state.orders.by_order_id(fill.order_id)
    return order is None or not order.strategy


def _tell_unowned(state: EngineState, tell: Callable[[str], None]) -> None:
    """Report the open positions without a strategy. One may have opened them that an older state file does not know."""
    shares = (state.share(each.ticker, UNOWNED_STRATEGY, each.subaccount) for each in state.ledger.positions.values())
    costs = [share.cost for share in shares if share.qty]
    if costs:
        belong = "belongs" if len(costs) == 1 else "belong"
        tell(
            f"{pluralize(len(costs), 'open position')} ({show_money(Money(sum(costs)))}) {belong} to no strategy: "
            "no exits, no stop loss; to close one: `kalshi close TICKER`"
        )


def _left_by_killed(last: Heartbeat, differences: AccountDifferences, engine: TradingEngine, now: Ts) -> Iterator[str]:
    """Yield that the last run was killed, and those of its orders that still rest; `differences` has the others."""
    killed = f"The last run (pid {last.pid}) was killed; its last cycle was on {format_time(last.completed, now)}."
    if differences.latest is None:
        yield f"{killed} Its orders are unknown: the account could not be read. `kalshi order list`"
        return
    resting = [order for order in engine.state.orders.live() if order.strategy and not order.is_foreign]
    ended = sum(kind == "ended" for kind, _ in differences.orders)
    ends = f"; {pluralize(ended, 'order')} ended (above)" if ended else ""
    if not resting:
        yield f"{killed} None of its orders is resting{ends}"
        return
    yield f"{killed} This run takes over {pluralize(len(resting), 'order')}{ends}. To cancel one: `kalshi cancel ID`"
    unchanged = differences.unchanged(resting)
    for order in unchanged[:MAX_LINES]:
        yield _order_line("still resting", order, "", engine.state.ledger.position(order.ticker, order.subaccount).qty)
    if len(unchanged) > MAX_LINES:
        yield f"  ... and {len(unchanged) - MAX_LINES} more: `kalshi order list`"


def report_killed_loop(store: Store, last: Heartbeat | None, now: Ts) -> None:
    """Record that the last loop was killed and that this one continues, unless a check's alert about it was sent.

    A service manager starts the next loop within seconds, before a check finds that none runs.
    """
    if last is None or not last.is_running or store.alert_book.is_sent("HEARTBEAT_LOST"):
        return
    text = (
        f"the last one (pid {last.pid}) was killed, or could not write the state file; last cycle at "
        f"{format_ts(last.completed)}. A new loop runs and has taken over its orders and positions"
    )
    store.record(AlertRaised(now, "warning", "LOOP_KILLED", "the loop", text))


def _read_patiently(
    client: KalshiClient,
    store: OrderStore,
    clock: Clock,
    engine: TradingEngine,
    tell: Callable[[str], None],
    since: Ts | None = None,
) -> tuple[AccountSnapshot, list[Effect]]:
    """Return a complete read of the account; raise the error of the last attempt after `UNREAD_S`."""
    until = clock.monotonic() + UNREAD_S
    pause = recovery.LOOK_EVERY_S
    has_warned = False
    while True:
        try:
            return recovery.read_account(client, store, clock, engine, since=since)
        except CredentialsError:
            raise
        except (ExchangeError, UnreachableError) as error:
            if clock.monotonic() + pause > until:
                raise UnreachableError(
                    f"Not started: the account could not be read for {UNREAD_S:.0f} s. {error.message}",
                    hint=error.hint,
                    code=error.code,
                ) from error
            if not has_warned:
                tell(f"Cannot read the account yet; waiting before trading starts: {error.message}")
            has_warned = True
        clock.sleep(pause)
        pause = min(2 * pause, 10.0)


def _unexplained(
    read: Callable[..., tuple[AccountSnapshot, list[Effect]]],
    clock: Clock,
    engine: TradingEngine,
    differences: AccountDifferences,
) -> dict[str, str]:
    """Return by market the positions that fills do not explain, after reading all fills again for `DRIFT_S`."""
    until = clock.monotonic() + DRIFT_S
    while True:
        assert differences.latest is not None
        found = _wrong_positions(engine, differences.latest)
        if not found or clock.monotonic() >= until:
            return found
        clock.sleep(recovery.LOOK_EVERY_S)
        differences.hear(*read(since=Ts(0)))


def _wrong_positions(engine: TradingEngine, snapshot: AccountSnapshot) -> dict[str, str]:
    """Return by market the positions that differ from the exchange's, and orders that lack fills."""
    positions, home = engine.state.ledger.positions.values(), engine.state.home  # A read covers this subaccount only.
    held = {position.ticker: position.qty for position in positions if position.subaccount == home}
    found = {
        order.ticker: f"fills are missing for {show_qty(qty)} contracts that order {_name(order)} traded"
        for order, qty in engine.state.orders.untold()
    }
    for ticker, (ours, theirs) in drift(held, snapshot).items():
        found[ticker] = f"local fills add up to {show_qty(ours)}, the exchange reports {show_qty(theirs)}"
    return found


def _refuse_doubt(doubtful: list[Order], now: Ts, tell: Callable[[str], None]) -> None:
    due = [order for order in doubtful if provable_at(order) - now <= 0]
    if due:
        names = ", ".join(order.client_order_id for order in due[:5])
        raise OutcomeUnknownError(
            f"Not started: orders stay unconfirmed after a fresh read of the account: {names}",
            hint="run `kalshi order reconcile`",
        )
    for order in doubtful:
        until = format_ts(provable_at(order))
        tell(f"Unconfirmed until {until}, full exposure reserved: {order.client_order_id} {order.ticker}")


def _refuse_drift(found: dict[str, str], engine: TradingEngine, tell: Callable[[str], None]) -> None:
    traded = [f"{ticker}: {text}" for ticker, text in found.items() if ticker in engine.state.markets]
    if traded:
        raise RefusedError(
            f"Not started: position cannot be explained. {'; '.join(traded[:5])}",
            hint="see `kalshi fills --ticker TICKER`, or trade other markets with --ticker",
            code="DRIFT",
        )
    for ticker, text in found.items():
        tell(f"Warning: position cannot be explained, so {ticker} is not traded: {text}")


def _name(order: Order) -> str:
    return order.client_order_id or order.order_id


def _reported(order: Order) -> Order:
    """Return the order without what differs between a reply and the exchange's own record: its times."""
    # The exchange keeps an expiration in whole seconds (2026-11-24).
    return replace(order, created=Ts(0), updated=Ts(0), expires=order.expires and Ts(order.expires // 1000 * 1000))


def _order_line(kind: str, order: Order, repaired: str, held: Qty) -> str:
    """Return an order as the user means it; `held` is the position that it met, or meets."""
    row = in_own_terms(order_row(order), {(order.subaccount, order.ticker): held})
    text = f"  {kind.replace('_', ' ')}: {order_sentence(row) if order.order_id else order_words(row)}"
    return f"{text}; an earlier reply was wrong: {repaired}" if repaired else text


def _fill_line(booked: FillBooked) -> str:
    fill, terms = booked.fill, booked.terms
    what = f"{terms.verb} {show_qty(fill.qty)} {terms.side.upper()} {fill.ticker}"
    return f"  {what} at {show_price(terms.price)} on {format_ts(fill.ts)}"
