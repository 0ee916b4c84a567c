"""The end of a run, whatever ended it: cancel what its strategies left live, wait for the answers, say what stays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import KalshiError, StateFileError
from kalshi_cli.base.text import safe_text
from kalshi_cli.base.units import show_price, show_qty
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import CancelOrder
from kalshi_cli.core.model.messages import FeedGap, Message, StateCommand, Tick
from kalshi_cli.core.model.orders import Order
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.services.account.recovery import restore_engine
from kalshi_cli.services.runner import RecorderProtocol, VenueProtocol
from kalshi_cli.services.trading.stop_signals import StopSignals, exit_code_of, truthful
from kalshi_cli.store.records import Heartbeat
from kalshi_cli.store.sqlite_store import Store

MAX_WHY_LENGTH = 200

LAST_S = 2.0
"""An order that the last read has just shown is asked for once, for so long after that read."""

MAX_TOLD = 20
"""Orders that are named one by one when a run ends with them live."""

Tell = Callable[[str], None]


def own_live(engine: TradingEngine) -> list[Order]:
    """Return the orders of strategies that may be live; those that a person placed stay when a run ends."""
    return [order for order in engine.state.orders.live() if order.strategy]


def left_on_file(store: Store) -> list[Order]:
    """Return the orders of strategies that may be live by the state file: those of a run that was killed, too."""
    return [order for order in store.live_orders() if order.strategy and not order.is_foreign]


def tell_live(orders: Sequence[Order], tell: Tell) -> None:
    """Name the orders that a run leaves behind, and say what to do about them."""
    for order in orders[:MAX_TOLD]:
        what = f"{order.side.value} {show_qty(order.remaining)} at {show_price(order.price)} {order.ticker}"
        name = f"order {order.order_id}" if order.order_id else f"client order id {order.client_order_id}"
        tell(f"{'STILL LIVE' if order.order_id else 'MAY BE LIVE'} {what}: {name}")
    if orders:
        more = f"and {len(orders) - MAX_TOLD} more; " if len(orders) > MAX_TOLD else ""
        tell(f"{more}next: kalshi cancel-all (it halts), or kalshi order reconcile, kalshi order cancel ID")


class WindDown:
    """Cancels the live orders of an engine, through its venue, within a budget of seconds.

    A cancel that is refused or not answered is sent again until the budget is over. `begun` is called first.
    """

    def __init__(
        self,
        engine: TradingEngine,
        venue: VenueProtocol,
        recorder: RecorderProtocol,
        clock: Clock,
        budget_s: float,
        *,
        tell: Tell,
        note: Tell,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        self._engine = engine
        self._venue = venue
        self._recorder = recorder
        self._clock = clock
        self._budget_s = budget_s
        self._tell = tell
        self._note = note
        self._begun = begun
        self._can_record = True
        self._asked: set[str] = set()
        self._complaints: set[str] = set()

    def run(self, cause: BaseException | None = None) -> None:
        """Cancel, wait for the answers, and look for orders whose outcome is unknown. `cause` is what ended the run."""
        if isinstance(cause, StateFileError):
            self._can_record = False  # it may fail slowly, and the cancels have no time for that
            self._complain(cause)
        until = self._clock.monotonic() + self._budget_s
        self._begun()
        if live := own_live(self._engine):
            self._note(f"stopping: canceling {len(live)} own, for up to {self._budget_s:g} s")
        self._withdraw(until)
        heard: Message = FeedGap(self._clock.now(), (), "stopping")
        while own_live(self._engine) and self._clock.monotonic() < until:
            self._withdraw(until, heard)
            self._clock.sleep(0.2)
            heard = Tick(self._clock.now())

    def _withdraw(self, until: float, *heard: Message) -> None:
        """Ask for the cancels, whatever else fails: what cannot be written down is found again at the next start."""
        for message in heard:
            try:
                self._take(self._venue.observe(message))
            except KalshiError as error:
                self._complain(error)
        last = self._clock.monotonic() + LAST_S
        for effect in self._engine.step(StateCommand(self._clock.now(), None, "stopping")):
            is_new = isinstance(effect, CancelOrder) and effect.order.order_id not in self._asked
            if self._clock.monotonic() >= (max(until, last) if is_new else until):
                continue
            if isinstance(effect, CancelOrder):
                self._asked.add(effect.order.order_id)
            try:
                self._take(self._venue.perform(effect))
            except KalshiError as error:
                self._complain(error)

    def _take(self, replies: Iterable[Message]) -> None:
        """Take replies while stopping: the engine hears them all; the store, until it fails once."""
        for reply in replies:
            for effect in self._engine.step(reply):
                if self._can_record:
                    try:
                        self._recorder.record(effect)
                    except KalshiError as error:
                        self._can_record = False
                        self._complain(error)

    def _complain(self, error: KalshiError) -> None:
        if error.message not in self._complaints:
            self._complaints.add(error.message)
            self._tell(f"while stopping: {error.message}")


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
    """Cancel the orders that earlier runs left, by a fresh read of the account, for a run that ends before its loop."""
    state = EngineState(lock=client.lock, now=clock.now())
    engine = restore_engine(
        store.load(), state, RiskLimits(), (), new_id=new_id, order_expiry_s=None, on_file=store.order
    )
    orders = engine.state.orders
    venue = LiveVenue(
        client, None, clock, live=orders.live, known=orders.by_order_id, since=engine.state.last_entry, tell=tell
    )
    WindDown(engine, venue, store, clock, budget_s, tell=tell, note=note).run()


@contextmanager
def starting(
    store: Store, clock: Clock, signals: StopSignals, cycle: Heartbeat, cancel: Callable[[], None] | None, tell: Tell
) -> Iterator[None]:
    """Put the end of a start in order, whatever ends it: cancel what earlier runs left live, and write the end down.

    Once `signals` are passed on to the loop, that answers for the end of the run itself.
    `cycle` is the row of this run. `cancel` cancels; None where nothing of this run can be at the exchange (on paper).
    Raises OutcomeUnknownError in place of what ended it where orders may be live.
    """
    try:
        yield
    except BaseException as error:
        if signals.is_passed_on:
            raise
        signals.pass_to(lambda _command: None)  # whatever it asks for is being done; a second SIGINT ends it at once
        why = signals.heard or str(error) or type(error).__name__
        failure = error
        try:
            if cancel is not None and left_on_file(store):
                cancel()
        except KeyboardInterrupt as interrupt:
            why, failure = "interrupted again while it was stopping", interrupt
        except KalshiError as trouble:
            tell(f"while stopping: {trouble.message}")
        except Exception as bug:  # it must not hide what is live
            tell(f"while stopping: {type(bug).__name__}: {bug}")
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
