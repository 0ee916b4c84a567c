"""The loop: what comes first, and what does not happen when something before it failed."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from kalshi_cli.base.errors import HaltedError, KalshiError, StateFileError
from kalshi_cli.base.units import Price, Qty, Ts
from kalshi_cli.core.model.effects import AlertRaised, AmendOrder, Effect, ResyncBook, SubmitOrder
from kalshi_cli.core.model.messages import (
    AccountVisibility,
    AmendEnded,
    ExternalOrders,
    Message,
    OrderRejected,
    Quote,
    Tick,
)
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.services.runner import MAX_CASCADE, NOT_SENT, process_messages, run


def said(ts: int) -> Quote:
    return Quote(Ts(ts), "T", None, Qty(0), None, Qty(0), None, Qty(0))


class Parts:
    """Engine, venue and store in one; everything that is asked of it is written into one list, in order."""

    def __init__(self, *, replies: int = 1, fail_at: int | None = None, due: Iterable[Message] = ()) -> None:
        self.log: list[str] = []
        self._replies = replies
        self._fail_at = fail_at
        self._due = tuple(due)

    def step(self, message: Message) -> list[Effect]:
        self.log.append(f"step {type(message).__name__} {message.ts}")
        return [ResyncBook(f"{message.ts}", "x")] if type(message) is Tick else []

    def observe(self, message: Message) -> Iterable[Message]:
        self.log.append(f"observe {message.ts}")
        return self._due

    def perform(self, effect: Effect) -> Iterable[Message]:
        assert isinstance(effect, ResyncBook)
        self.log.append(f"perform {effect.ticker}")
        return [said(int(effect.ticker) * 10 + n) for n in range(self._replies)]

    def record(self, effect: Effect) -> None:
        assert isinstance(effect, ResyncBook | AlertRaised)
        if self._fail_at is not None and len([line for line in self.log if line.startswith("record")]) >= self._fail_at:
            raise StateFileError("disk full")
        self.log.append(f"record {getattr(effect, 'ticker', '')}")


class Loop(Parts):
    """Every message sets off another; so many that a loop without a limit ends, too, and its test fails."""

    def step(self, message: Message) -> list[Effect]:
        self.log.append("step")
        return [ResyncBook("1", "again")] if len(self.log) < 10 * MAX_CASCADE else []


def test_replies_go_through_the_engine_before_the_next_message() -> None:
    parts = Parts(replies=2)
    done: list[int] = []
    run([Tick(Ts(1)), Tick(Ts(2))], parts, parts, parts, lambda message: done.append(message.ts))
    assert parts.log == [
        "observe 1",
        "step Tick 1",
        "record 1",
        "perform 1",
        "step Quote 10",
        "step Quote 11",
        "observe 2",
        "step Tick 2",
        "record 2",
        "perform 2",
        "step Quote 20",
        "step Quote 21",
    ]
    assert done == [1, 2]


def test_what_became_due_is_heard_before_the_message_that_made_it_due() -> None:
    parts = Parts(replies=0, due=[said(7)])
    run([Tick(Ts(8))], parts, parts, parts)
    assert parts.log[:3] == ["observe 8", "step Quote 7", "step Tick 8"]


def test_an_effect_that_cannot_be_recorded_is_not_performed() -> None:
    parts = Parts(fail_at=0)
    with pytest.raises(StateFileError):
        run([Tick(Ts(1)), Tick(Ts(2))], parts, parts, parts)
    assert parts.log == ["observe 1", "step Tick 1"], "nothing was performed, and nothing went on"


class Many(Parts):
    """A tick sets off three effects."""

    def step(self, message: Message) -> list[Effect]:
        self.log.append(f"step {type(message).__name__} {message.ts}")
        return [ResyncBook(f"{n}", "x") for n in (1, 2, 3)] if type(message) is Tick else []


def test_what_was_answered_before_a_failure_is_still_taken() -> None:
    """The second effect cannot be recorded: it is not performed, nor the third; but the reply to the first counts."""
    parts = Many(fail_at=1)
    with pytest.raises(StateFileError):
        process_messages([Tick(Ts(7))], parts, parts, parts)
    assert parts.log == ["step Tick 7", "record 1", "perform 1", "step Quote 10"]


class TwoOrders(Parts):
    """A tick sets off an order, something else, and another order, or an amend; each reply sets off something."""

    last: SubmitOrder | AmendOrder

    def step(self, message: Message) -> list[Effect]:
        self.log.append(f"step {type(message).__name__} {message.ts}")
        if type(message) is Tick:
            return [order("1"), ResyncBook("2", "x"), self.last]
        return [ResyncBook(f"{message.ts}", "x")] if message.ts < 100 else []

    def perform(self, effect: Effect) -> Iterable[Message]:
        return super().perform(named(effect))

    def record(self, effect: Effect) -> None:
        super().record(named(effect))


def named(effect: Effect) -> Effect:
    """What the log shows of an order or an amend."""
    if isinstance(effect, SubmitOrder | AmendOrder):
        return ResyncBook((effect.order if isinstance(effect, SubmitOrder) else effect.before).ticker, "")
    return effect


def order(ticker: str) -> SubmitOrder:
    return SubmitOrder(
        Order(
            client_order_id=ticker, ticker=ticker, side=BID, price=Price(1), qty=Qty(1), status=OrderStatus.SUBMITTED,
            created=Ts(1), updated=Ts(1),
        )
    )  # fmt: skip


def amend(ticker: str) -> AmendOrder:
    before = order(ticker).order
    return AmendOrder(before, before, before)


def lines(*numbers: int) -> list[str]:
    return [f"{verb} {number}" for number in numbers for verb in ("record", "perform")]


@pytest.mark.parametrize("last", [order("3"), amend("3")], ids=["order", "amend"])
def test_an_order_is_sent_after_all_that_the_one_before_it_set_off(last: SubmitOrder | AmendOrder) -> None:
    parts = TwoOrders()
    parts.last = last
    process_messages([Tick(Ts(7)), said(200)], parts, parts, parts)
    assert parts.log == [
        "step Tick 7", *lines(1, 2),
        "step Quote 10", *lines(10), "step Quote 20", *lines(20), "step Quote 100", "step Quote 200",
        *lines(3), "step Quote 30", *lines(30), "step Quote 300", "step Quote 200",
    ]  # fmt: skip


def test_an_order_is_not_sent_where_what_the_one_before_it_set_off_fails() -> None:
    parts = TwoOrders(fail_at=2)
    parts.last = order("3")
    with pytest.raises(StateFileError):
        process_messages([Tick(Ts(7)), said(200)], parts, parts, parts)
    heard = ["step Quote 10", "step Quote 20", "step Quote 200"]
    assert parts.log == ["step Tick 7", *lines(1, 2), *heard, "step OrderRejected 1"], "and the engine knows of it"


class Deciding(Parts):
    """Every message but the end of an order sets off an order, and an amend; the state file takes the first order."""

    def __init__(self, ends_at: str) -> None:
        super().__init__()
        self.heard: list[Message] = []
        self._ends_at = ends_at

    def step(self, message: Message) -> list[Effect]:
        self.heard.append(message)
        is_end = isinstance(message, OrderRejected | AmendEnded)
        return [] if is_end else [order(f"o{message.ts}"), amend(f"a{message.ts}")]

    def record(self, effect: Effect) -> None:
        self._fail("record", effect)

    def perform(self, effect: Effect) -> Iterable[Message]:
        self._fail("perform", effect)
        return [said(2)]

    def _fail(self, verb: str, effect: Effect) -> None:
        if f"{verb} {getattr(named(effect), 'ticker', '')}" == self._ends_at:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("ends_at", "unsent"),
    [
        ("record o1", ["o1", "a1", "o9", "a9"]),
        ("perform o1", ["a1", "o9", "a9"]),
        ("record o2", ["o2", "a2", "a1", "o9", "a9"]),
    ],
)
def test_what_was_not_sent_before_a_failure_is_not_taken_for_live(ends_at: str, unsent: list[str]) -> None:
    """An order is in doubt only where it was recorded and its request begun."""
    parts = Deciding(ends_at)
    with pytest.raises(KeyboardInterrupt):
        process_messages([Tick(Ts(1)), said(9)], parts, parts, parts)
    ended = [message for message in parts.heard if isinstance(message, OrderRejected | AmendEnded)]
    names = [each.client_order_id if isinstance(each, OrderRejected) else each.order.ticker for each in ended]
    assert sorted(names) == sorted(unsent)
    assert {each.code for each in ended} == {NOT_SENT}


def test_a_loop_that_feeds_itself_is_ended() -> None:
    parts = Loop()
    with pytest.raises(KalshiError, match=f"more than {MAX_CASCADE}"):
        process_messages([Tick(Ts(1))], parts, parts, parts)
    assert parts.log.count("step") == MAX_CASCADE


def test_a_long_cascade_that_ends_is_let_through() -> None:
    parts = Parts(replies=MAX_CASCADE - 1)
    process_messages([Tick(Ts(1))], parts, parts, parts)
    assert len(parts.log) == MAX_CASCADE + 2
    one_more = Parts(replies=MAX_CASCADE)
    with pytest.raises(KalshiError):
        process_messages([Tick(Ts(1))], one_more, one_more, one_more)


class Moved(Parts):
    """A tick sets off an amend, and the state file does not take it."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Message] = []

    def step(self, message: Message) -> list[Effect]:
        self.heard.append(message)
        return [amend("1")] if type(message) is Tick else []

    def record(self, effect: Effect) -> None:
        raise HaltedError("halted meanwhile", code="halted")


def test_an_amend_that_the_state_file_does_not_take_leaves_the_order_as_it_was() -> None:
    parts = Moved()
    process_messages([Tick(Ts(7))], parts, parts, parts)
    before = amend("1").before
    assert parts.heard[1:] == [ExternalOrders(Ts(1), ()), AmendEnded(Ts(1), before, "HALTED", "halted meanwhile")]
    assert parts.log == [], "and nothing was sent"


def test_an_account_out_of_sight_is_reported_before_the_next_cancel_waits_for_its_timeout() -> None:
    class Hanging(Parts):
        """The first of two cancels fails and shows that the account is out of sight."""

        def step(self, message: Message) -> list[Effect]:
            self.log.append(f"step {type(message).__name__}")
            if isinstance(message, AccountVisibility):
                return [AlertRaised(Ts(1), "critical", "BLIND", "account", "why")]
            return [ResyncBook("1", "x"), ResyncBook("2", "x")] if type(message) is Tick else []

        def perform(self, effect: Effect) -> Iterable[Message]:
            self.log.append(f"perform {getattr(effect, 'ticker', 'alert')}")
            is_first = isinstance(effect, ResyncBook) and effect.ticker == "1"
            return [said(1), AccountVisibility(Ts(1), Ts(0), "why")] if is_first else []

    parts = Hanging()
    process_messages([Tick(Ts(1))], parts, parts, parts)
    assert [line for line in parts.log if not line.startswith("record")] == [
        "step Tick", "perform 1", "step AccountVisibility", "perform alert", "perform 2", "step Quote",
    ]  # fmt: skip
