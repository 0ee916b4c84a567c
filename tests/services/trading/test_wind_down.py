"""Whatever ends a run: exit 7 where orders of it may be live, its own exit code where they are all canceled."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest
from support.simulation import T0, Simulation, intend
from support.trading import TradingSession
from support.values import make_order

from kalshi_cli.base.errors import (
    CredentialsError,
    ExitCode,
    HaltedError,
    KalshiError,
    OutcomeUnknownError,
    StateFileError,
    TerminationRequested,
    UnreachableError,
)
from kalshi_cli.base.units import contracts
from kalshi_cli.core.model.effects import OrderChanged
from kalshi_cli.core.model.messages import Message
from kalshi_cli.core.model.order_terms import ASK
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.services.trading.reports.status import RunStatus, read_status, status_notes
from kalshi_cli.services.trading.stop_signals import RunEnd, StopSignals
from kalshi_cli.services.trading.wind_down import cancel_left, left_on_file, starting, tell_live
from kalshi_cli.store.records import Heartbeat

CAUSES = {
    "refused key": (CredentialsError("the key was refused", hint="make another key"), ExitCode.CREDENTIALS),
    "gone": (UnreachableError("the exchange is gone"), ExitCode.UNREACHABLE),
    "state file": (StateFileError("disk full"), ExitCode.STATE),
    "halted": (HaltedError("somebody halted"), ExitCode.HALTED),
    "known": (KalshiError("something known"), ExitCode.FAILED),
    "file": (OSError("no such device"), ExitCode.FAILED),
    "bug": (LookupError("lost my way"), ExitCode.BUG),
}


def status(sim: Simulation) -> RunStatus:
    return read_status(sim.path.parent, sim.store, "sim", "2026-05-28", sim.clock.now())


def ended_by(
    sim: Simulation, error: BaseException, before: Callable[[], None], noted: list[str] | None = None
) -> BaseException:
    """What a run raises that has an order resting when this ends it; its notices go to `noted`."""
    run = TradingSession(sim, stop_budget_s=1.0)

    def feed() -> Iterator[Message]:
        yield from run.ticks(2)
        assert len(sim.exchange.resting("alice")) == 1
        before()
        raise error

    with pytest.raises(BaseException) as caught:  # noqa: PT011 - its kind is what is asked for
        run.over(feed())
    if noted is not None:
        noted += run.noted
    return caught.value


@pytest.mark.parametrize("cause", CAUSES)
def test_whatever_ends_a_run_exit_7_comes_first_where_an_order_may_be_live(sim: Simulation, cause: str) -> None:
    (error, _), noted = CAUSES[cause], list[str]()
    raised = ended_by(sim, error, lambda: sim.exchange.pause("exchange", sim.clock.now()), noted)
    assert "None of them is live" not in noted
    assert isinstance(raised, OutcomeUnknownError)
    assert raised.message == f"Orders of this run may still be live: 1; the run ended by: {error}"
    assert "web site" in raised.hint
    assert ("make another key" in raised.hint) is (cause == "refused key")
    assert len(sim.exchange.resting("alice")) == 1
    found = status(sim)
    assert (found.ended_in_order, found.stopped_by, found.exit_code) == (False, str(error), 7)
    assert found.resting_orders == 1
    assert "1 order may be resting until canceled" in "".join(status_notes(found, sim.clock.now()))


def test_a_run_that_a_rejected_key_ended_names_the_web_site_once_and_first(sim: Simulation) -> None:
    hint = "cancel unwanted orders on the web site (Portfolio, Orders); check the API key id and the private key"
    error = CredentialsError("rejected (401)", hint=hint)
    raised = ended_by(sim, error, lambda: sim.exchange.pause("exchange", sim.clock.now()))
    assert isinstance(raised, OutcomeUnknownError)
    assert raised.hint == f"{hint}; then run `kalshi order reconcile`, or `kalshi cancel-all`"


def test_a_run_that_a_wrong_clock_ended_says_first_to_set_it_and_once(sim: Simulation) -> None:
    error = CredentialsError("expired", hint="set the clock: now", code="header_timestamp_expired")
    raised = ended_by(sim, error, lambda: sim.exchange.pause("exchange", sim.clock.now()))
    assert isinstance(raised, OutcomeUnknownError)
    assert raised.hint.startswith("set the clock: now; then run `kalshi order reconcile`, or `kalshi cancel-all`.")
    assert raised.hint.count("web site") == 1


@pytest.mark.parametrize("cause", CAUSES)
def test_whatever_ends_a_run_it_is_told_by_its_own_code_where_all_is_canceled(sim: Simulation, cause: str) -> None:
    (error, code), noted = CAUSES[cause], list[str]()
    assert ended_by(sim, error, lambda: None, noted) is error
    assert sim.exchange.resting("alice") == []
    at = noted.index("Stopping: canceling 1 own order, for up to 1 s")
    assert noted[at + 1] == "None of them is live"
    found = status(sim)
    assert (found.ended_in_order, found.stopped_by, found.exit_code) == (True, str(error), code)


def test_a_run_whose_end_cannot_be_written_down_is_exit_7_where_an_order_may_be_live(sim: Simulation) -> None:
    """The state file fails at the last moment, after the cancels did: that must not hide what is live."""
    said: list[str] = []
    for live, kind in ((2, OutcomeUnknownError), (0, StateFileError), (None, StateFileError)):
        end = RunEnd(said.append)
        if live is not None:
            end.count_with(lambda live=live: live)  # type: ignore[misc]
        with pytest.raises(kind), end:
            raise StateFileError("disk full")
    assert said == []


@pytest.mark.parametrize(
    "error", [HaltedError("somebody halted"), TerminationRequested(), StateFileError("locked")], ids=repr
)
def test_a_run_whose_orders_cannot_be_counted_is_exit_7(error: BaseException) -> None:
    """The state file is locked at that moment: whether an order is live is not known."""

    def live() -> int:
        raise StateFileError("the state file is locked")

    said: list[str] = []
    end = RunEnd(said.append)
    end.count_with(live)
    with pytest.raises(OutcomeUnknownError, match="Orders of this run may still be live") as caught, end:
        raise error
    assert "the state file is locked" in caught.value.message
    assert said == []


# -- before the loop begins ----------------------------------------------------------------------------------------


CYCLE = Heartbeat(
    run_id="run-2", pid=7, mode="live", strategy="bidder", started=T0, completed=T0, cycles=0, is_running=False
)


def begin(sim: Simulation, error: BaseException, cancel: Callable[[], None] | None) -> tuple[BaseException, list[str]]:
    """A start that this ends; what it raises and what a person is told."""
    said: list[str] = []
    signals = StopSignals(sim.clock)
    with (
        pytest.raises(BaseException) as caught,  # noqa: PT011 - its kind is what is asked for
        starting(sim.store, sim.clock, signals, CYCLE, cancel, said.append),
    ):
        raise error
    assert signals.is_passed_on, "another signal does not cut the cancels off"
    return caught.value, said


def left(sim: Simulation, *names: str) -> Callable[[], None]:
    """Orders that an earlier run of another strategy left at the exchange; how a start cancels them."""
    sim.market(39, 44)
    for name in names:
        sim.client.create_order(intend(sim, name, strategy="of-before"))
    return lambda: cancel_left(
        sim.client, sim.store, sim.clock, sim.new_id, 2.0, tell=sim.said.append,
        note=sim.said.append,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code"), [(TerminationRequested(), 143), (KeyboardInterrupt(), 130), (HaltedError("halted"), 9)], ids=repr
)
def test_a_start_that_ends_cancels_what_an_earlier_run_left_and_writes_down_its_end(
    sim: Simulation, error: BaseException, code: int
) -> None:
    cancel = left(sim, "a", "b")
    raised, _ = begin(sim, error, cancel)
    assert type(raised) is type(error)
    assert sim.exchange.resting("alice") == []
    assert left_on_file(sim.store) == []
    found = status(sim)
    assert (found.ended_in_order, found.exit_code, found.cycle and found.cycle.run_id) == (True, code, "run-2")


def test_a_start_that_ends_is_exit_7_where_what_an_earlier_run_left_cannot_be_canceled(sim: Simulation) -> None:
    cancel = left(sim, "a", "b")
    sim.exchange.pause("exchange", sim.clock.now())
    raised, said = begin(sim, TerminationRequested(), cancel)
    assert isinstance(raised, OutcomeUnknownError)
    assert raised.message == "Orders of this run may still be live: 2"
    assert len([line for line in said if line.startswith("STILL LIVE")]) == 2
    found = status(sim)
    assert (found.ended_in_order, found.exit_code, found.resting_orders) == (False, 7, 2)


@pytest.mark.parametrize(
    ("position", "words"),
    [(None, "sell 3 YES KXA-1 at $0.40"), (10, "sell 3 YES KXA-1 at $0.40"), (0, "buy 3 NO KXA-1 at $0.60")],
)
def test_an_order_left_live_is_named_in_own_terms_by_its_short_id_or_its_whole_client_id(
    position: int | None, words: str
) -> None:
    said: list[str] = []
    order = make_order("kcli-0123456789", order_id="2597b999-0000", side=ASK, filled=contracts(7))
    held = None if position is None else (lambda _: contracts(position))
    tell_live([order, msgspec.structs.replace(order, order_id="")], said.append, held)
    assert said[:-1] == [
        f"STILL LIVE {words}: order 2597b999",
        f"MAY BE LIVE {words}: client order id kcli-0123456789",
    ]


def test_an_order_that_a_read_shows_after_the_time_is_up_is_canceled_all_the_same(sim: Simulation) -> None:
    cancel = left(sim, "a")
    sim.wire.before = lambda request: sim.clock.advance(1.0) if request.method == "GET" else None
    raised, said = begin(sim, TerminationRequested(), cancel)
    assert (type(raised), said) == (TerminationRequested, ["No order of this run is live"])
    assert sim.exchange.resting("alice") == []


def test_a_second_interrupt_ends_the_cancels_of_a_start_at_once(sim: Simulation) -> None:
    left(sim, "a")

    def interrupted() -> None:
        raise KeyboardInterrupt

    raised, _ = begin(sim, TerminationRequested(), interrupted)
    assert isinstance(raised, OutcomeUnknownError)
    found = status(sim)
    assert (found.stopped_by, found.exit_code) == ("interrupted again while stopping", 7)


@pytest.mark.parametrize("error", [HaltedError("halted"), TerminationRequested()], ids=repr)
def test_a_start_that_ends_is_exit_7_where_the_state_file_cannot_be_read(
    sim: Simulation, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    cancel = left(sim, "a")

    def locked() -> tuple[Order, ...]:
        raise StateFileError("the state file is locked")

    monkeypatch.setattr(sim.store, "live_orders", locked)
    raised, _ = begin(sim, error, cancel)
    assert isinstance(raised, OutcomeUnknownError)
    assert "the state file is locked" in raised.message
    assert len(sim.exchange.resting("alice")) == 1
    monkeypatch.undo()
    assert (status(sim).ended_in_order, status(sim).exit_code) == (False, 7)


def test_a_start_on_paper_counts_no_orders_where_the_state_file_cannot_be_read(
    sim: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sim.store, "live_orders", lambda: pytest.fail("paper has no orders at the exchange"))
    assert type(begin(sim, TerminationRequested(), None)[0]) is TerminationRequested


@pytest.mark.parametrize("is_canceled", [True, False])
def test_a_bug_in_the_cancels_of_a_start_hides_no_result(sim: Simulation, is_canceled: bool) -> None:
    cancel = left(sim, "a")

    def broken() -> None:
        if is_canceled:
            cancel()
        raise LookupError("lost my way")

    raised, said = begin(sim, TerminationRequested(), broken)
    assert type(raised) is (TerminationRequested if is_canceled else OutcomeUnknownError)
    assert "While stopping: LookupError: lost my way" in said
    assert status(sim).exit_code == (143 if is_canceled else 7)


def test_an_order_that_a_person_placed_is_not_of_the_run(sim: Simulation) -> None:
    sim.market(39, 44)
    sim.place()
    raised, said = begin(sim, TerminationRequested(), lambda: pytest.fail("nothing to cancel"))
    assert (type(raised), said) == (TerminationRequested, ["No order of this run is live"])
    assert len(sim.exchange.resting("alice")) == 1


def test_a_start_on_paper_has_nothing_at_the_exchange_to_answer_for(sim: Simulation) -> None:
    order = msgspec.structs.replace(intend(sim, "paper"), status=OrderStatus.RESTING, order_id="p-1")
    sim.store.record(OrderChanged(order))
    raised, _ = begin(sim, TerminationRequested(), None)
    assert type(raised) is TerminationRequested
    assert status(sim).exit_code == 143


def test_a_loop_that_began_answers_for_its_end_itself(sim: Simulation) -> None:
    def begun() -> None:
        signals = StopSignals(sim.clock)
        with starting(sim.store, sim.clock, signals, CYCLE, None, sim.said.append):
            signals.pass_to(lambda _command: None)
            raise UnreachableError("gone")

    with pytest.raises(UnreachableError):
        begun()
    assert sim.store.last_cycle() is None
