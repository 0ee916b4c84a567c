"""One order, typed by a person: reviewed, written down, sent once, and its end known or said to be unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from virtual import OTHER, T0, TICKER, Virtual, ticket

from kalshi_cli.base.errors import (
    CredentialsError,
    ExchangeError,
    ExitCode,
    KalshiError,
    OutcomeUnknownError,
    RateLimitedError,
    RefusedError,
    StateError,
    UnreachableError,
    UsageError,
)
from kalshi_cli.base.units import Money, Price, cents, contracts, dollars
from kalshi_cli.core.account.order_index import OWN_ID
from kalshi_cli.core.model.effects import Alert, OrderChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.messages import OrderState
from kalshi_cli.core.model.order_terms import ASK, BID, Tif
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import Limits
from kalshi_cli.desk.account import reconcile_unknown
from kalshi_cli.desk.halts import refuse_if_halted
from kalshi_cli.desk.place import RESOLVE_S, Aloud
from kalshi_cli.sim.listing import NewOrder, Receipt, SimOptions
from kalshi_cli.sim.transport import SimTransport
from kalshi_cli.store.records import PAUSED, Halt


def lose_reply(request: httpx.Request) -> None:
    if request.method == "POST":
        raise httpx.ReadTimeout("no reply", request=request)


def lose_request(request: httpx.Request) -> httpx.Response | None:
    if request.method == "POST":
        raise httpx.ReadTimeout("lost on the way", request=request)
    return None


def reconcile(virtual: Virtual) -> tuple[list[Any], list[Any]]:
    return reconcile_unknown(virtual.client, virtual.store, virtual.clock, Limits(), virtual.new_id)


@pytest.mark.parametrize("end", [httpx.ReadError, httpx.WriteError, httpx.WriteTimeout, httpx.RemoteProtocolError])
def test_a_connection_that_breaks_once_it_was_made_leaves_one_request_and_a_doubt(
    virtual: Virtual, end: type[httpx.TransportError]
) -> None:
    def break_off(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            raise end("broken off", request=request)
        return None

    virtual.market()
    virtual.wire.before = break_off
    with pytest.raises(OutcomeUnknownError):
        virtual.place()
    assert virtual.wire.posts() == 1


def test_an_order_rests_and_is_on_file(virtual: Virtual) -> None:
    virtual.market(40, 44)
    order = virtual.place()
    assert (order.status, order.side, order.price, order.remaining) == (
        OrderStatus.RESTING,
        BID,
        cents(40),
        contracts(10),
    )
    assert virtual.exchange.resting("alice") == [(order.order_id, BID, cents(40), contracts(10))]
    assert virtual.store.order(order.client_order_id) == order
    assert order.strategy == ""
    assert order.expires is None, "a person's order stays until it is cancelled"


def test_an_order_that_takes_is_filled_and_booked(virtual: Virtual) -> None:
    virtual.market(40, 44)
    order = virtual.place(price=cents(45), tif=Tif.IOC)
    assert (order.status, order.filled) == (OrderStatus.FILLED, contracts(10))
    (fill,) = virtual.store.fills()
    assert (fill.price, fill.qty) == (cents(44), contracts(10))
    assert order.fees == fill.fee > 0


def test_the_intent_is_on_file_before_the_request_leaves(virtual: Virtual) -> None:
    seen: list[OrderStatus] = []

    def look(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            seen.extend(order.status for order in virtual.store.live_orders())
        return None

    virtual.market()
    virtual.wire.before = look
    virtual.place()
    assert seen == [OrderStatus.SUBMITTED]


def test_the_proposal_says_cost_fee_and_worst_loss(virtual: Virtual) -> None:
    virtual.market(40, 44)
    _, proposal = virtual.desk().propose(ticket(outcome="no", price=cents(58)))
    assert (proposal.cost, proposal.worst_loss) == (dollars("5.80"), Money(proposal.cost + proposal.fee))
    assert proposal.fee > 0
    _, patient = virtual.desk().propose(ticket(post_only=True))
    assert (patient.cost, patient.fee) == (dollars(4), Money(0))
    assert virtual.wire.posts() == 0, "a proposal sends nothing"


@pytest.mark.parametrize(
    ("outcome", "action", "typed", "side", "price"),
    [
        ("yes", "buy", 40, BID, 40),
        ("yes", "sell", 45, ASK, 45),
        ("no", "buy", 55, ASK, 45),
        ("no", "sell", 60, BID, 40),
    ],
)
def test_no_is_yes_from_the_other_side(
    virtual: Virtual, outcome: Any, action: Any, typed: int, side: Any, price: int
) -> None:
    virtual.market(39, 46)
    order = virtual.place(outcome=outcome, action=action, price=cents(typed))
    assert (order.side, order.price) == (side, cents(price))
    assert virtual.exchange.resting("alice")[0][1:3] == (side, cents(price))


@pytest.mark.parametrize(
    ("outcome", "typed", "near"), [("yes", 4_050, "$0.40 and $0.41"), ("no", 4_001, "$0.40 and $0.41")]
)
def test_a_price_between_the_steps_is_refused_with_its_neighbours(
    virtual: Virtual, outcome: Any, typed: int, near: str
) -> None:
    virtual.market()
    with pytest.raises(UsageError) as caught:
        virtual.place(outcome=outcome, price=Price(typed))
    assert (caught.value.code, caught.value.exit_code) == ("OFF_GRID_PRICE", ExitCode.USAGE)
    assert near in caught.value.hint
    assert virtual.wire.posts() == 0


# -- refused here ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "limits", "changes"),
    [
        ("PRICE_COLLAR", {"price_collar": Price(100)}, {"price": cents(46)}),
        ("ORDER_SIZE", {"max_order_qty": contracts(9)}, {}),
        ("ORDER_COST", {"max_order_cost": dollars(3)}, {}),
        ("ORDER_RATE", {"max_orders_per_minute": 0}, {}),
        ("POSITION_LIMIT", {"max_position": contracts(9)}, {}),
        ("EXPOSURE", {"max_exposure": dollars(3)}, {}),
        ("BAD_FLAGS", {}, {"reduce_only": True}),
        ("BAD_FLAGS", {}, {"post_only": True, "tif": Tif.IOC}),
        ("MARKET_CLOSING", {"close_margin_ms": 90_000_000}, {}),
        ("SELF_CROSS", {}, {"action": "sell", "price": cents(41)}),
    ],
)
def test_a_control_refuses_and_nothing_is_sent(
    virtual: Virtual, code: str, limits: dict[str, Any], changes: dict[str, Any]
) -> None:
    virtual.market(40, 44)
    if code == "SELF_CROSS":
        virtual.place(price=cents(41))
    before = virtual.wire.posts()
    with pytest.raises(RefusedError) as caught:
        virtual.place(Limits(**limits), **changes)
    assert (caught.value.code, caught.value.exit_code) == (code, ExitCode.REFUSED)
    assert caught.value.hint
    assert virtual.wire.posts() == before
    assert virtual.store.denials(T0) == {"": {code: 1}}, "`why` can tell"


def test_a_halt_refuses(virtual: Virtual) -> None:
    virtual.market()
    virtual.store.set_halt(Halt(TradingState.HALTED, "MANUAL", "test", T0))
    with pytest.raises(RefusedError) as caught:
        virtual.place()
    assert caught.value.code == "HALTED"
    virtual.store.set_halt(Halt(TradingState.REDUCING, "MANUAL", "test", T0))
    with pytest.raises(RefusedError) as caught:
        virtual.place()
    assert caught.value.code == "REDUCING"
    assert virtual.wire.posts() == 0


def test_a_paused_market_is_refused_here(virtual: Virtual) -> None:
    virtual.market()
    virtual.exchange.pause_market(TICKER, virtual.clock.now())
    with pytest.raises(RefusedError) as caught:
        virtual.place()
    assert caught.value.code == "MARKET_NOT_OPEN"


def test_orders_of_other_programs_count_against_the_limits(virtual: Virtual) -> None:
    virtual.market()
    virtual.quote(BID, 39, 8, who="alice")
    with pytest.raises(RefusedError) as caught:
        virtual.place(Limits(max_position=contracts(15)))
    assert caught.value.code == "POSITION_LIMIT"


@pytest.mark.parametrize(
    ("halt", "code", "says", "way"),
    [
        (
            Halt(TradingState.HALTED, "DAILY_LOSS", "lost $25.10", T0),
            "HALTED",
            "trading is halted since 2026-05-28T20:26:40Z: DAILY_LOSS lost $25.10",
            "find out why, then: kalshi resume --reason TEXT",
        ),
        (
            Halt(TradingState.HALTED, PAUSED, "the jobs report", T0),
            "HALTED",
            "trading is paused since 2026-05-28T20:26:40Z: PAUSED the jobs report",
            "nothing new is placed until: kalshi resume --reason TEXT",
        ),
        (
            Halt(TradingState.REDUCING, "API_GUARD", "no answers", T0),
            "REDUCING",
            "trading is reducing since 2026-05-28T20:26:40Z: API_GUARD no answers",
            "only what makes a position smaller is taken until: kalshi resume --reason TEXT",
        ),
    ],
    ids=["halted", "paused", "reducing"],
)
def test_whoever_is_refused_for_a_halt_is_told_which_since_when_why_and_what_ends_it(
    virtual: Virtual, halt: Halt, code: str, says: str, way: str
) -> None:
    virtual.market()
    reviewed = virtual.desk().propose(ticket())
    virtual.store.set_halt(halt)
    for refused in (lambda: virtual.desk().propose(ticket()), lambda: virtual.desk().send(*reviewed)):
        with pytest.raises(RefusedError) as caught:
            refused()
        assert (caught.value.code, caught.value.hint) == (code, way)
        assert says in caught.value.message


def test_an_id_that_was_used_is_refused_before_anything_is_read(virtual: Virtual) -> None:
    virtual.market()
    virtual.place(client_order_id="mine")
    reads = len(virtual.wire.sent)
    with pytest.raises(RefusedError) as caught:
        virtual.place(client_order_id="mine")
    assert (caught.value.code, len(virtual.wire.sent)) == ("DUPLICATE_ID", reads)


# -- refused there --------------------------------------------------------------------------------------------------


def test_too_little_cash_is_the_exchanges_no(tmp_path: Path) -> None:
    virtual = Virtual(tmp_path, cash=dollars(3))
    try:
        virtual.market()
        with pytest.raises(ExchangeError) as caught:
            virtual.place()
        assert (caught.value.code, caught.value.exit_code) == ("insufficient_balance", ExitCode.REJECTED)
        (order,) = virtual.store.orders()
        assert order.status is OrderStatus.REJECTED
        assert virtual.store.live_orders() == ()
    finally:
        virtual.close()


def test_a_market_that_paused_in_between_is_the_exchanges_no(virtual: Virtual) -> None:
    virtual.market()
    desk = virtual.desk()
    proposed = desk.propose(ticket())
    virtual.exchange.pause_market(TICKER, virtual.clock.now())
    with pytest.raises(ExchangeError) as caught:
        desk.send(*proposed)
    assert caught.value.exit_code is ExitCode.REJECTED
    assert "nothing was placed" in caught.value.message


def answer(status: int, body: bytes) -> Any:
    return lambda request: httpx.Response(status, content=body) if request.method == "POST" else None


def never_left(request: httpx.Request) -> httpx.Response | None:
    if request.method == "POST":
        raise httpx.ConnectError("refused", request=request)
    return None


@pytest.mark.parametrize(
    ("fault", "kind", "exit_code"),
    [
        (never_left, UnreachableError, ExitCode.UNREACHABLE),
        (answer(429, b'{"error": "too many requests"}'), RateLimitedError, ExitCode.UNREACHABLE),
        (answer(403, b'{"error": {"code": "forbidden", "message": "scope"}}'), CredentialsError, ExitCode.CREDENTIALS),
    ],
)
def test_an_order_that_provably_never_left_has_its_own_exit_code(
    virtual: Virtual, fault: Any, kind: type[KalshiError], exit_code: ExitCode
) -> None:
    virtual.market()
    virtual.wire.before = fault
    with pytest.raises(kind) as caught:
        virtual.place()
    assert caught.value.exit_code is exit_code
    assert virtual.store.live_orders() == ()


# -- nobody knows ---------------------------------------------------------------------------------------------------


def test_a_lost_reply_is_resolved_to_the_one_real_order(virtual: Virtual) -> None:
    virtual.market()
    virtual.wire.after = lose_reply
    started = virtual.clock.monotonic()
    order = virtual.place()
    assert virtual.clock.monotonic() - started <= RESOLVE_S
    assert order.status is OrderStatus.RESTING
    assert [order_id for order_id, *_ in virtual.exchange.resting("alice")] == [order.order_id]
    assert virtual.wire.posts() == 1, "never sent a second time"


def test_a_lost_reply_of_a_fill_is_resolved_with_its_fill(virtual: Virtual) -> None:
    virtual.market()
    virtual.wire.after = lose_reply
    order = virtual.place(price=cents(44), tif=Tif.IOC)
    assert (order.status, order.filled) == (OrderStatus.FILLED, contracts(10))
    assert len(virtual.store.fills()) == 1


def test_reads_that_trail_the_order_are_waited_for(tmp_path: Path) -> None:
    virtual = Virtual(tmp_path, options=SimOptions(read_rate=0, write_rate=0, read_lag_ms=3_000))
    try:
        virtual.market()
        virtual.clock.advance(5)
        virtual.wire.after = lose_reply
        assert virtual.place().status is OrderStatus.RESTING
        assert len(virtual.exchange.resting("alice")) == 1
    finally:
        virtual.close()


def test_a_request_that_never_arrived_is_unknown_until_a_late_look(virtual: Virtual) -> None:
    virtual.market()
    virtual.wire.before = lose_request
    started = virtual.clock.monotonic()
    with pytest.raises(OutcomeUnknownError) as caught:
        virtual.place(client_order_id="mine")
    assert RESOLVE_S <= virtual.clock.monotonic() - started <= RESOLVE_S + 3
    assert caught.value.exit_code is ExitCode.UNKNOWN_OUTCOME
    assert "mine" in caught.value.message
    assert "kalshi order reconcile" in caught.value.hint
    assert virtual.wire.posts() == 1
    assert [order.status for order in virtual.store.live_orders()] == [OrderStatus.UNKNOWN], "its exposure stays"

    known, doubtful = reconcile(virtual)
    assert (known, [order.client_order_id for order in doubtful]) == ([], ["mine"]), "too early to be sure"
    virtual.clock.advance(60)
    known, doubtful = reconcile(virtual)
    assert ([order.status for order in known], doubtful) == ([OrderStatus.NEVER_ARRIVED], [])
    assert virtual.store.live_orders() == ()
    assert reconcile(virtual) == ([], []), "a second time there is nothing left to find"


def test_a_fresh_look_that_never_comes_ends_as_unknown_not_as_unreachable(virtual: Virtual) -> None:
    """Exit code 6 would say that nothing is outstanding."""
    virtual.market()

    def overloaded(request: httpx.Request) -> httpx.Response | None:
        if virtual.wire.posts():
            return httpx.Response(429, content=b'{"error": "too many requests"}')
        return None

    virtual.wire.before = overloaded
    virtual.wire.after = lose_reply
    desk = virtual.desk()
    proposed = desk.propose(ticket())

    def lose_then_overload(request: httpx.Request) -> httpx.Response | None:
        return None if request.method == "POST" else overloaded(request)

    virtual.wire.before = lose_then_overload
    with pytest.raises(OutcomeUnknownError):
        desk.send(*proposed)
    assert len(virtual.exchange.resting("alice")) == 1
    virtual.wire.before = lambda _: None
    known, doubtful = reconcile(virtual)
    assert ([order.status for order in known], doubtful) == ([OrderStatus.RESTING], [])


def test_an_order_that_arrives_late_is_found_as_live(virtual: Virtual) -> None:
    virtual.market()
    held: list[httpx.Request] = []

    def delay(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            held.append(request)
            raise httpx.ReadTimeout("slow", request=request)
        return None

    virtual.wire.before = delay
    with pytest.raises(OutcomeUnknownError):
        virtual.place()
    virtual.wire.before = lambda _: None
    virtual.clock.advance(-RESOLVE_S)  # the signature is of the time it was sent; it arrives within its window
    assert virtual.wire.handle_request(held[0]).status_code == 201
    virtual.clock.advance(RESOLVE_S)
    known, _ = reconcile(virtual)
    assert [order.status for order in known] == [OrderStatus.RESTING]


class Full:
    """A store whose disk is full for one kind of effect."""

    def __init__(self, store: Any, kind: type) -> None:
        self._store = store
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def record(self, effect: Any) -> None:
        if isinstance(effect, self._kind):
            raise StateError("disk full")
        self._store.record(effect)


def test_what_cannot_be_written_down_is_not_sent(virtual: Virtual) -> None:
    virtual.market()
    virtual.store = Full(virtual.store, SubmitOrder)  # type: ignore[assignment]
    with pytest.raises(StateError):
        virtual.place()
    assert virtual.wire.posts() == 0


def test_what_was_sent_and_cannot_be_written_down_is_said_to_be_in_doubt(virtual: Virtual) -> None:
    virtual.market()
    store = virtual.store
    virtual.store = Full(store, OrderChanged)  # type: ignore[assignment]
    with pytest.raises(OutcomeUnknownError, match="mine was sent"):
        virtual.place(client_order_id="mine")
    virtual.store = store
    known, _ = reconcile(virtual)
    assert [order.client_order_id for order in known] == ["mine"], "the intent was on file, so it is found again"


def test_a_halt_that_comes_while_an_order_waits_for_its_next_try_refuses_it(virtual: Virtual) -> None:
    """The first try is refused for pace; before the second, another process has halted the account."""
    engine, proposal = virtual.desk().propose(ticket())
    halted = Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", virtual.clock.now())
    virtual.client = virtual.connect(before_create=lambda reviewed: refuse_if_halted(virtual.store, reviewed))

    def slow_down(request: httpx.Request) -> httpx.Response | None:
        if request.method != "POST":
            return None
        virtual.store.set_halt(halted)
        return httpx.Response(429, content=b'{"error": "too many requests"}')

    virtual.wire.before = slow_down
    with pytest.raises(RefusedError, match="trading is halted") as caught:
        virtual.desk().send(engine, proposal)
    assert caught.value.exit_code == 3
    assert virtual.exchange.resting("alice") == []
    assert virtual.wire.posts() == 1


# -- one id, two orders ---------------------------------------------------------------------------------------------


def stranger(virtual: Virtual, client_order_id: str, **changes: Any) -> str:
    """An order of this account that is not on file here; the exchange's id."""
    fields: dict[str, Any] = {"side": BID, "price": cents(40), "qty": contracts(10)}
    order = NewOrder(ticker=TICKER, client_order_id=client_order_id, **(fields | changes))
    receipt = virtual.exchange.submit("alice", order, virtual.clock.now())
    assert isinstance(receipt, Receipt)
    return receipt.order_id


def test_an_id_that_exists_with_the_same_terms_is_taken_for_ours(virtual: Virtual) -> None:
    """409: what a first request that arrived, and whose reply was lost, would look like."""
    virtual.market()
    desk = virtual.desk()
    proposed = desk.propose(ticket(client_order_id="mine"))
    order_id = stranger(virtual, "mine")
    order = desk.send(*proposed)
    assert (order.order_id, order.status) == (order_id, OrderStatus.RESTING)
    assert virtual.store.halt().state is TradingState.ACTIVE


@pytest.mark.parametrize(
    "other", [{"price": cents(39)}, {"qty": contracts(9)}, {"side": ASK, "price": cents(60)}, {"ticker": OTHER}]
)
def test_an_id_that_exists_with_other_terms_halts_and_ends_as_unknown(virtual: Virtual, other: dict[str, Any]) -> None:
    virtual.market()
    desk = virtual.desk()
    proposed = desk.propose(ticket(client_order_id="mine"))
    fields: dict[str, Any] = {"ticker": TICKER, "side": BID, "price": cents(40), "qty": contracts(10)}
    order = NewOrder(client_order_id="mine", **(fields | other))
    assert isinstance(virtual.exchange.submit("alice", order, virtual.clock.now()), Receipt)
    with pytest.raises(OutcomeUnknownError) as caught:
        desk.send(*proposed)
    assert caught.value.exit_code is ExitCode.UNKNOWN_OUTCOME
    assert "mine" in caught.value.message
    assert (caught.value.code, virtual.store.halt().code) == ("ID_CLASH", "ID_CLASH")
    assert virtual.store.halt().state is TradingState.HALTED
    assert "ID_CLASH" in [alert.code for alert in virtual.store.alerts()]
    assert virtual.wire.posts() == 1


def test_an_id_that_rests_already_is_refused_before_anything_is_sent(virtual: Virtual) -> None:
    virtual.market()
    stranger(virtual, "mine")
    with pytest.raises(RefusedError) as caught:
        virtual.place(client_order_id="mine")
    assert (caught.value.code, virtual.wire.posts()) == ("DUPLICATE_ID", 0)


def test_an_order_that_the_network_delivered_twice_halts_at_the_next_read(tmp_path: Path) -> None:
    """Where only the ids of open orders are refused, a second copy of an order that filled at once fills again."""
    virtual = Virtual(tmp_path, options=SimOptions(read_rate=0, write_rate=0, client_ids="open_only"))
    try:
        virtual.market(40, 44)
        inner = SimTransport(virtual.exchange, virtual.clock)
        again: list[int] = []

        def twice(request: httpx.Request) -> None:
            if request.method == "POST":
                again.append(inner.handle_request(request).status_code)

        virtual.wire.after = twice
        assert virtual.place(price=cents(44), tif=Tif.IOC).status is OrderStatus.FILLED
        assert again == [201], "the exchange took both"
        virtual.wire.after = lambda _request: None
        with pytest.raises(RefusedError) as caught:
            virtual.place()
        assert caught.value.code == "HALTED"
        assert virtual.store.halt().code == "DOUBLE_ORDER"
        assert "DOUBLE_ORDER" in [alert.code for alert in virtual.store.alerts()]
        assert len(virtual.store.fills()) == 2, "what the second one traded counts"
    finally:
        virtual.close()


# -- what others do -------------------------------------------------------------------------------------------------


def test_an_order_of_another_program_is_told_of_once(virtual: Virtual) -> None:
    virtual.market()
    stranger(virtual, "web")
    stranger(virtual, f"{OWN_ID}0", price=cents(39))
    virtual.place()
    virtual.place()
    told = [(alert.code, alert.tier) for alert in virtual.store.alerts()]
    assert sorted(told) == [("FOREIGN_ACTIVITY", "critical"), ("OTHER_INSTANCE", "critical")]


def test_a_person_hears_what_is_critical_while_their_order_is_placed(virtual: Virtual) -> None:
    virtual.market()
    stranger(virtual, "web")
    said: list[str] = []
    desk = virtual.desk()
    desk.store = Aloud(virtual.store, said.append)
    order = desk.send(*desk.propose(ticket()))
    (line,) = said
    assert line.startswith("CRITICAL FOREIGN_ACTIVITY ")
    assert desk.store.order(order.client_order_id) == order
    assert [alert.code for alert in virtual.store.alerts()] == ["FOREIGN_ACTIVITY"], "and it is on file"


def test_a_loop_beside_a_person_knows_the_persons_order_from_the_file(virtual: Virtual) -> None:
    virtual.market()
    engine = virtual.desk().engine([virtual.client.market(TICKER)])
    typed = virtual.place()
    effects = engine.step(OrderState(virtual.clock.now(), virtual.client.order(typed.order_id)))
    assert not [effect for effect in effects if isinstance(effect, Alert)]
    known = engine.state.orders.by_order_id(typed.order_id)
    assert known is not None
    assert (known.is_foreign, known.client_order_id) == (False, typed.client_order_id)
