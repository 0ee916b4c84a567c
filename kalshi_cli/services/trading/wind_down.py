"""The end of a run: cancel the live orders of its strategies, wait for the outcomes, report what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import KalshiError, StateFileError
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import Qty, pluralize, show_money, show_qty
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import CancelOrder
from kalshi_cli.core.model.messages import AccountSnapshot, FeedGap, Message, StateCommand, Tick
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.services.account.opening import use_opening_marks
from kalshi_cli.services.account.recovery import engine_on_file
from kalshi_cli.services.runner import RecorderProtocol, VenueProtocol
from kalshi_cli.services.trading.stop_signals import StopSignals, exit_code_of, truthful
from kalshi_cli.store.records import Heartbeat
from kalshi_cli.store.sqlite_store import Store
from kalshi_cli.views.formats import short_ids

MAX_WHY_LENGTH = 200

LAST_S = 2.0
"""Seconds beyond the budget in which an order that the last read revealed is still canceled, once."""

MAX_TOLD = 20
"""Orders, or positions, that are listed one by one when a run ends with them."""

Tell = Callable[[str], None]


def own_live(engine: TradingEngine) -> list[Order]:
    """Return the orders of strategies that may be live; manual orders stay when a run ends."""
    return [order for order in engine.state.orders.live() if order.strategy]


def left_on_file(store: Store) -> list[Order]:
    """Return the orders of strategies that may be live by the state file, also those of a killed run."""
    return [order for order in store.live_orders() if order.strategy and not order.is_foreign]


def tell_live(orders: Sequence[Order], tell: Tell, held: Callable[[Order], Qty] | None = None) -> None:
    """List the orders that a run leaves behind, with the commands that end them.

    `held` returns the position in an order's market; without it untyped orders have the terms of YES.
    """
    ids = short_ids([order.order_id for order in orders])
    for order, order_id in list(zip(orders, ids, strict=True))[:MAX_TOLD]:
        terms = order.terms(held(order) if held is not None else None)
        name = f"order {order_id}" if order_id else f"client order id {order.client_order_id}"
        tell(f"{'STILL LIVE' if order_id else 'MAY BE LIVE'} {terms.text(order.remaining, order.ticker)}: {name}")
    if orders:
        more = f"and {len(orders) - MAX_TOLD} more; " if len(orders) > MAX_TOLD else ""
        tell(
            f"{more}next: `kalshi cancel-all` (halts trading), or `kalshi order reconcile` and `kalshi order cancel ID`"
        )


def tell_unbooked(engine: TradingEngine, tell: Tell, *, is_account_read: bool) -> None:
    """Say that the state file may lack fills at the end of a run, and what books them."""
    lacking = len(engine.state.orders.untold())
    if lacking:
        what = f"Fills of {pluralize(lacking, 'order')} are not in the state file yet"
    elif not is_account_read:
        what = "The account was not read while stopping, so fills may be missing from the state file"
    else:
        return
    tell(f"{what}. The next start books them; to book them now, run `kalshi order reconcile`")


def list_open_positions(engine: TradingEngine, note: Tell, *, is_at_exchange: bool) -> None:
    """List the positions that stay open after a run; those on the exchange with the command that closes them.

    After a run on paper, name the commands that show its account.
    """
    positions = engine.state.ledger.positions.values()
    found = sorted((position for position in positions if position.qty), key=lambda position: position.ticker)
    for position in found[:MAX_TOLD]:
        side, count = "YES" if position.qty > 0 else "NO", show_qty(Qty(abs(position.qty)))
        text = f"Open position: {count} {side} {position.ticker}, cost {show_money(position.cost)}"
        note(f"{text}. To close: `kalshi close {position.ticker}`" if is_at_exchange else text)
    if len(found) > MAX_TOLD:
        command = "kalshi positions" if is_at_exchange else "kalshi positions --paper"
        note(f"and {len(found) - MAX_TOLD} more open positions: `{command}`")
    if not is_at_exchange and (found or engine.tally.fills):
        note("The paper account: `kalshi fills --paper`, also positions, pnl and portfolio")


@dataclass(eq=False, repr=False)
class WindDown:
    """Cancels the live orders of an engine through its venue, within a budget of seconds.

    A cancel that is rejected or gets no response is sent again until the budget is used up. `begun` is called first.
    """

    engine: TradingEngine
    venue: VenueProtocol
    recorder: RecorderProtocol
    clock: Clock
    budget_s: float
    _: KW_ONLY
    tell: Tell
    note: Tell
    begun: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._can_record = True
        self._asked: set[str] = set()
        self._complaints: set[str] = set()
        self.is_account_read = False
        """True once the account was read while stopping."""

    def run(self, cause: BaseException | None = None) -> None:
        """Cancel, wait for the outcomes and look for unconfirmed orders. `cause` is the error that ended the run."""
        if isinstance(cause, StateFileError):
            self._can_record = False  # A broken state file may fail slowly; the cancels cannot wait for it.
            self._complain(cause)
        until = self.clock.monotonic() + self.budget_s
        self.begun()
        if live := own_live(self.engine):
            self.note(f"Stopping: canceling {pluralize(len(live), 'own order')}, for up to {self.budget_s:g} s")
        self._withdraw(until)
        heard: Message = FeedGap(self.clock.now(), (), "stopping")
        # A graceful stop reads the account once even if nothing is live: a fill that the stream did not bring, because
        # the process was suspended or the order filled just before its cancel, is booked before the run ends.
        is_over = cause is not None and not own_live(self.engine)
        while not is_over and self.clock.monotonic() < until:
            self._withdraw(until, heard)
            is_over = not own_live(self.engine)
            if not is_over:
                self.clock.sleep(0.2)
                heard = Tick(self.clock.now())
        if live and isinstance(cause, Exception) and not own_live(self.engine):  # an error shows no summary
            self.note("None of them is live")

    def _withdraw(self, until: float, *heard: Message) -> None:
        """Send the cancels whatever else fails: the next start finds again what could not be saved."""
        for message in heard:
            try:
                replies = tuple(self.venue.observe(message))
                self.is_account_read |= any(isinstance(reply, AccountSnapshot) for reply in replies)
                self._take(replies)
            except KalshiError as error:
                self._complain(error)
        last = self.clock.monotonic() + LAST_S
        for effect in self.engine.step(StateCommand(self.clock.now(), None, "stopping")):
            is_new = isinstance(effect, CancelOrder) and effect.order.order_id not in self._asked
            if self.clock.monotonic() >= (max(until, last) if is_new else until):
                continue
            if isinstance(effect, CancelOrder):
                self._asked.add(effect.order.order_id)
            try:
                self._take(self.venue.perform(effect))
            except KalshiError as error:
                self._complain(error)

    def _take(self, replies: Iterable[Message]) -> None:
        """Process replies while stopping: all go to the engine, and to the store until it fails once."""
        for reply in replies:
            for effect in self.engine.step(reply):
                if self._can_record:
                    try:
                        self.recorder.record(effect)
                    except KalshiError as error:
                        self._can_record = False
                        self._complain(error)

    def _complain(self, error: KalshiError) -> None:
        if error.message not in self._complaints:
            self._complaints.add(error.message)
            self.tell(f"While stopping: {error.message}")


def cancel_left(
    client: KalshiClient,
    store: Store,
    clock: Clock,
    new_id: Callable[[], str],
    budget_s: float,
    *,
    tell: Tell,
    note: Tell,
) -> None:
    """Cancel the orders that earlier runs left, after a fresh read of the account; for a run that never looped."""
    engine = engine_on_file(store.load(), client, store, clock, RiskLimits(), new_id)
    use_opening_marks(engine.state, client, store)
    orders = engine.state.orders
    venue = LiveVenue(
        client, None, clock, live=orders.live, known=orders.by_order_id, since=engine.state.last_entry, tell=tell
    )
    WindDown(engine, venue, store, clock, budget_s, tell=tell, note=note).run()


@contextmanager
def starting(
    store: Store, clock: Clock, signals: StopSignals, cycle: Heartbeat, cancel: Callable[[], None] | None, tell: Tell
) -> Iterator[None]:
    """End a start that fails gracefully: cancel the live orders of earlier runs and save the end of this run.

    Once `signals` go to the loop, the loop handles its own end. `cycle` is the row of this run. `cancel` cancels the
    orders; None on paper, where no order is on the exchange. Raises OutcomeUnknownError instead of the original error
    if orders may be live.
    """
    try:
        yield
    except BaseException as error:
        if signals.is_passed_on:
            raise
        signals.pass_to(lambda _command: None)  # The stop is in progress; a second SIGINT ends it at once.
        why = signals.heard or str(error) or type(error).__name__
        failure = error
        try:
            if cancel is not None and left_on_file(store):
                cancel()
        except KeyboardInterrupt as interrupt:
            why, failure = "interrupted again while stopping", interrupt
        except KalshiError as trouble:
            tell(f"While stopping: {trouble.message}")
        except Exception as bug:  # A bug must not hide orders that are live.
            tell(f"While stopping: {type(bug).__name__}: {bug}")
        try:
            left = left_on_file(store) if cancel is not None else []
            tell_live(left, tell)
            failure = truthful(failure, len(left), tell)
        except StateFileError as uncounted:
            failure = truthful(failure, uncounted, tell)
        with suppress(StateFileError):
            code = exit_code_of(failure)
            ended = {"completed": clock.now(), "stopped_by": safe_text(why, MAX_WHY_LENGTH), "exit_code": code}
            store.beat(msgspec.structs.replace(cycle, **ended))
        if failure is error:
            raise
        raise failure from error
