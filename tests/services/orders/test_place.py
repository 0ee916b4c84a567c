"""One order, typed by a person: reviewed, written down, sent once, and its end known or said to be unknown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from support.simulation import OTHER, T0, TICKER, Simulation, ticket

from kalshi_cli.base.errors import (
    CredentialsError,
    ExchangeError,
    ExitCode,
    KalshiError,
    OutcomeUnknownError,
    RateLimitedError,
    RefusedError,
    StateFileError,
    UnreachableError,
    UsageError,
)
from kalshi_cli.base.units import Money, Price, cents, contracts, dollars, show_money
from kalshi_cli.core.account.order_index import OWN_ID
from kalshi_cli.core.model.effects import AlertRaised, OrderChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.messages import OrderState
from kalshi_cli.core.model.order_terms import ASK, BID, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.account.recovery import reconcile_unknown
from kalshi_cli.services.orders.place import RESOLVE_S, NotifyingStore
from kalshi_cli.services.trading.halts import refuse_if_halted
from kalshi_cli.simulator.model.listing import ExchangeOptions, NewOrder, OrderReceipt
from kalshi_cli.simulator.serving.in_process_transport import SimTransport
from kalshi_cli.store.records import PAUSED, Halt


def lose_reply(request: httpx.Request) -> None:
    if request.method == "POST":
        raise httpx.ReadTimeout("no reply", request=request)


def lose_request(request: httpx.Request) -> httpx.Response | None:
    if request.method == "POST":
        raise httpx.ReadTimeout("lost on the way", request=request)
    return None


def reconcile(sim: Simulation) -> tuple[list[Any], list[Any]]:
    return reconcile_unknown(sim.client, sim.store, sim.clock, RiskLimits(), sim.new_id)


@pytest.mark.parametrize("end", [httpx.ReadError, httpx.WriteError, httpx.WriteTimeout, httpx.RemoteProtocolError])
def test_a_connection_that_breaks_once_it_was_made_leaves_one_request_and_a_doubt(
    sim: Simulation, end: type[httpx.TransportError]
) -> None:
    def break_off(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            raise end("broken off", request=request)
        return None

    sim.market()
    sim.wire.before = break_off
    with pytest.raises(OutcomeUnknownError):
        sim.place()
    assert sim.wire.posts() == 1


def test_an_order_rests_and_is_on_file(sim: Simulation) -> None:
    sim.market(40, 44)
    order = sim.place()
    assert (order.status, order.side, order.price, order.remaining) == (
        OrderStatus.RESTING,
        BID,
        cents(40),
        contracts(10),
    )
    assert sim.exchange.resting("alice") == [(order.order_id, BID, cents(40), contracts(10))]
    assert sim.store.order(order.client_order_id) == order
    assert order.strategy == ""
    assert order.expires is None, "a person's order stays until it is cancelled"


def test_an_order_that_takes_is_filled_and_booked(sim: Simulation) -> None:
    sim.market(40, 44)
    order = sim.place(price=cents(45), tif=TimeInForce.IOC)
    assert (order.status, order.filled) == (OrderStatus.FILLED, contracts(10))
    (fill,) = sim.store.fills()
    assert (fill.price, fill.qty) == (cents(44), contracts(10))
    assert order.fees == fill.fee > 0


def test_the_intent_is_on_file_before_the_request_leaves(sim: Simulation) -> None:
    seen: list[OrderStatus] = []

    def look(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            seen.extend(order.status for order in sim.store.live_orders())
        return None

    sim.market()
    sim.wire.before = look
    sim.place()
    assert seen == [OrderStatus.SUBMITTED]


def test_the_first_count_of_the_daily_loss_includes_open_positions(sim: Simulation) -> None:
    """The stop, its alert and the refusal state one loss: that of the account, also at a market outside the order."""
    for ticker in (TICKER, OTHER):
        sim.market(ticker=ticker)
        sim.place(price=cents(44), ticker=ticker, tif=TimeInForce.IOC)
        sim.market(10, 14, ticker=ticker)
    with pytest.raises(RefusedError) as refused:
        sim.place(RiskLimits(max_daily_loss=dollars("0.10")), price=cents(14))
    loss = Money(-sim.desk().engine([sim.client.market(TICKER)]).day_net)
    assert f"The loss of the day was {show_money(loss)}; " in sim.store.halt().reason
    assert f"-{show_money(loss)}; the loss limit" in refused.value.message
    assert loss > dollars(6)


def test_the_proposal_says_cost_fee_and_worst_loss(sim: Simulation) -> None:
    sim.market(40, 44)
    _, proposal = sim.desk().propose(ticket(outcome="no", price=cents(58)))
    assert (proposal.cost, proposal.worst_loss) == (dollars("5.80"), Money(proposal.cost + proposal.fee))
    assert proposal.fee > 0
    _, patient = sim.desk().propose(ticket(post_only=True))
    assert (patient.cost, patient.fee) == (dollars(4), Money(0))
    assert sim.wire.posts() == 0, "a proposal sends nothing"


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
    sim: Simulation, outcome: Any, action: Any, typed: int, side: Any, price: int
) -> None:
    sim.market(39, 46)
    order = sim.place(outcome=outcome, action=action, price=cents(typed))
    assert (order.side, order.price) == (side, cents(price))
    assert sim.exchange.resting("alice")[0][1:3] == (side, cents(price))


@pytest.mark.parametrize(
    ("outcome", "typed", "near"), [("yes", 4_050, "$0.40 and $0.41"), ("no", 4_001, "$0.40 and $0.41")]
)
def test_a_price_between_the_steps_is_refused_with_its_neighbours(
    sim: Simulation, outcome: Any, typed: int, near: str
) -> None:
    sim.market()
    with pytest.raises(UsageError) as caught:
        sim.place(outcome=outcome, price=Price(typed))
    assert (caught.value.code, caught.value.exit_code) == ("OFF_GRID_PRICE", ExitCode.USAGE)
    assert near in caught.value.hint
    assert sim.wire.posts() == 0


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
        ("BAD_FLAGS", {}, {"post_only": True, "tif": TimeInForce.IOC}),
        ("MARKET_CLOSING", {"close_margin_ms": 90_000_000}, {}),
        ("SELF_CROSS", {}, {"action": "sell", "price": cents(41)}),
    ],
)
def test_a_control_refuses_and_nothing_is_sent(
    sim: Simulation, code: str, limits: dict[str, Any], changes: dict[str, Any]
) -> None:
    sim.market(40, 44)
    if code == "SELF_CROSS":
        sim.place(price=cents(41))
    before = sim.wire.posts()
    with pytest.raises(RefusedError) as caught:
        sim.place(RiskLimits(**limits), **changes)
    assert (caught.value.code, caught.value.exit_code) == (code, ExitCode.REFUSED)
    assert caught.value.hint
    assert sim.wire.posts() == before
    assert sim.store.denials(T0) == {"": {code: 1}}, "`why` can tell"


def test_a_halt_refuses(sim: Simulation) -> None:
    sim.market()
    sim.store.set_halt(Halt(TradingState.HALTED, "MANUAL", "test", T0))
    with pytest.raises(RefusedError) as caught:
        sim.place()
    assert caught.value.code == "HALTED"
    sim.store.set_halt(Halt(TradingState.REDUCING, "MANUAL", "test", T0))
    with pytest.raises(RefusedError) as caught:
        sim.place()
    assert caught.value.code == "REDUCING"
    assert sim.wire.posts() == 0


def test_a_paused_market_is_refused_here(sim: Simulation) -> None:
    sim.market()
    sim.exchange.pause_market(TICKER, sim.clock.now())
    with pytest.raises(RefusedError) as caught:
        sim.place()
    assert caught.value.code == "MARKET_NOT_OPEN"


def test_orders_of_other_programs_count_against_the_limits(sim: Simulation) -> None:
    sim.market()
    sim.quote(BID, 39, 8, who="alice")
    with pytest.raises(RefusedError) as caught:
        sim.place(RiskLimits(max_position=contracts(15)))
    assert caught.value.code == "POSITION_LIMIT"


@pytest.mark.parametrize(
    ("halt", "code", "says", "way"),
    [
        (
            Halt(TradingState.HALTED, "DAILY_LOSS", "lost $25.10", T0),
            "HALTED",
            "Trading has been halted since 2026-05-28 20:26 UTC (DAILY_LOSS): lost $25.10",
            "find the cause, then run `kalshi resume --reason TEXT`; to close a position meanwhile: `kalshi close ",
        ),
        (
            Halt(TradingState.HALTED, PAUSED, "the jobs report", T0),
            "HALTED",
            "Trading has been paused since 2026-05-28 20:26 UTC: the jobs report",
            "no new orders until `kalshi resume --reason TEXT`; to close a position meanwhile: `kalshi close ",
        ),
        (
            Halt(TradingState.REDUCING, "API_GUARD", "no answers", T0),
            "REDUCING",
            "Trading has been reduce-only since 2026-05-28 20:26 UTC (API_GUARD): no answers",
            "only orders that reduce a position are accepted until `kalshi resume --reason TEXT`",
        ),
    ],
    ids=["halted", "paused", "reducing"],
)
def test_whoever_is_refused_for_a_halt_is_told_which_since_when_why_and_what_ends_it(
    sim: Simulation, halt: Halt, code: str, says: str, way: str
) -> None:
    sim.market()
    reviewed = sim.desk().propose(ticket())
    sim.store.set_halt(halt)
    for refused in (lambda: sim.desk().propose(ticket()), lambda: sim.desk().send(*reviewed)):
        with pytest.raises(RefusedError) as caught:
            refused()
        assert caught.value.code == code
        assert caught.value.hint.startswith(way)
        assert says in caught.value.message


def test_an_id_that_was_used_is_refused_before_anything_is_read(sim: Simulation) -> None:
    sim.market()
    sim.place(client_order_id="mine")
    reads = len(sim.wire.sent)
    with pytest.raises(RefusedError) as caught:
        sim.place(client_order_id="mine")
    assert (caught.value.code, len(sim.wire.sent)) == ("DUPLICATE_ID", reads)


def test_an_id_that_was_used_after_the_review_is_refused(sim: Simulation) -> None:
    sim.market()
    desk = sim.desk()
    reviewed = [desk.propose(ticket(client_order_id="mine")) for _ in range(2)]
    desk.send(*reviewed[0])
    with pytest.raises(RefusedError) as caught:
        desk.send(*reviewed[1])
    assert (caught.value.code, caught.value.hint) == ("DUPLICATE_ID", "run `kalshi order show mine`")
    assert sim.wire.posts() == 1


# -- refused there --------------------------------------------------------------------------------------------------


def test_too_little_cash_is_the_exchanges_no(tmp_path: Path) -> None:
    sim = Simulation(tmp_path, cash=dollars(3))
    try:
        sim.market()
        with pytest.raises(ExchangeError) as caught:
            sim.place()
        assert (caught.value.code, caught.value.exit_code) == ("insufficient_balance", ExitCode.REJECTED)
        (order,) = sim.store.orders()
        assert order.status is OrderStatus.REJECTED
        assert sim.store.live_orders() == ()
    finally:
        sim.close()


def test_a_market_that_paused_in_between_is_the_exchanges_no(sim: Simulation) -> None:
    sim.market()
    desk = sim.desk()
    proposed = desk.propose(ticket())
    sim.exchange.pause_market(TICKER, sim.clock.now())
    with pytest.raises(ExchangeError) as caught:
        desk.send(*proposed)
    assert caught.value.exit_code is ExitCode.REJECTED
    assert "No order was placed" in caught.value.message


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
    sim: Simulation, fault: Any, kind: type[KalshiError], exit_code: ExitCode
) -> None:
    sim.market()
    sim.wire.before = fault
    with pytest.raises(kind) as caught:
        sim.place()
    assert caught.value.exit_code is exit_code
    assert sim.store.live_orders() == ()


# -- nobody knows ---------------------------------------------------------------------------------------------------


def test_a_lost_reply_is_resolved_to_the_one_real_order(sim: Simulation) -> None:
    sim.market()
    sim.wire.after = lose_reply
    started = sim.clock.monotonic()
    order = sim.place()
    assert sim.clock.monotonic() - started <= RESOLVE_S
    assert order.status is OrderStatus.RESTING
    assert [order_id for order_id, *_ in sim.exchange.resting("alice")] == [order.order_id]
    assert sim.wire.posts() == 1, "never sent a second time"


def test_a_lost_reply_of_a_fill_is_resolved_with_its_fill(sim: Simulation) -> None:
    sim.market()
    sim.wire.after = lose_reply
    order = sim.place(price=cents(44), tif=TimeInForce.IOC)
    assert (order.status, order.filled) == (OrderStatus.FILLED, contracts(10))
    assert len(sim.store.fills()) == 1


def test_reads_that_trail_the_order_are_waited_for(tmp_path: Path) -> None:
    sim = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, read_lag_ms=3_000))
    try:
        sim.market()
        sim.clock.advance(5)
        sim.wire.after = lose_reply
        assert sim.place().status is OrderStatus.RESTING
        assert len(sim.exchange.resting("alice")) == 1
    finally:
        sim.close()


def test_a_request_that_never_arrived_is_unknown_until_a_late_look(
    sim: Simulation, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kalshi_cli.services.orders.place.RESOLVE_S", 2.5)
    sim.market()
    sim.wire.before = lose_request
    started = sim.clock.monotonic()
    with pytest.raises(OutcomeUnknownError) as caught:
        sim.place(client_order_id="mine")
    assert sim.clock.monotonic() - started == pytest.approx(2.5, abs=0.2), "a look each second, and no longer"
    assert caught.value.exit_code is ExitCode.UNKNOWN_OUTCOME
    assert "mine" in caught.value.message
    assert "kalshi order reconcile" in caught.value.hint
    assert sim.wire.posts() == 1
    assert [order.status for order in sim.store.live_orders()] == [OrderStatus.UNKNOWN], "its exposure stays"

    known, doubtful = reconcile(sim)
    assert (known, [order.client_order_id for order in doubtful]) == ([], ["mine"]), "too early to be sure"
    sim.clock.advance(60)
    known, doubtful = reconcile(sim)
    assert ([order.status for order in known], doubtful) == ([OrderStatus.NEVER_ARRIVED], [])
    assert sim.store.live_orders() == ()
    assert reconcile(sim) == ([], []), "a second time there is nothing left to find"


def test_a_fresh_look_that_never_comes_ends_as_unknown_not_as_unreachable(sim: Simulation) -> None:
    """Exit code 6 would say that nothing is outstanding."""
    sim.market()

    def overloaded(request: httpx.Request) -> httpx.Response | None:
        if sim.wire.posts():
            return httpx.Response(429, content=b'{"error": "too many requests"}')
        return None

    sim.wire.before = overloaded
    sim.wire.after = lose_reply
    desk = sim.desk()
    proposed = desk.propose(ticket())

    def lose_then_overload(request: httpx.Request) -> httpx.Response | None:
        return None if request.method == "POST" else overloaded(request)

    sim.wire.before = lose_then_overload
    with pytest.raises(OutcomeUnknownError):
        desk.send(*proposed)
    assert len(sim.exchange.resting("alice")) == 1
    sim.wire.before = lambda _: None
    known, doubtful = reconcile(sim)
    assert ([order.status for order in known], doubtful) == ([OrderStatus.RESTING], [])


def test_an_order_that_arrives_late_is_found_as_live(sim: Simulation) -> None:
    sim.market()
    held: list[httpx.Request] = []

    def delay(request: httpx.Request) -> httpx.Response | None:
        if request.method == "POST":
            held.append(request)
            raise httpx.ReadTimeout("slow", request=request)
        return None

    sim.wire.before = delay
    with pytest.raises(OutcomeUnknownError):
        sim.place()
    sim.wire.before = lambda _: None
    sim.clock.advance(-RESOLVE_S)  # the signature is of the time it was sent; it arrives within its window
    assert sim.wire.handle_request(held[0]).status_code == 201
    sim.clock.advance(RESOLVE_S)
    known, _ = reconcile(sim)
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
            raise StateFileError("disk full")
        self._store.record(effect)


def test_what_cannot_be_written_down_is_not_sent(sim: Simulation) -> None:
    sim.market()
    sim.store = Full(sim.store, SubmitOrder)  # type: ignore[assignment]
    with pytest.raises(StateFileError):
        sim.place()
    assert sim.wire.posts() == 0


def test_what_was_sent_and_cannot_be_written_down_is_said_to_be_in_doubt(sim: Simulation) -> None:
    sim.market()
    store = sim.store
    sim.store = Full(store, OrderChanged)  # type: ignore[assignment]
    with pytest.raises(OutcomeUnknownError, match="mine was sent"):
        sim.place(client_order_id="mine")
    sim.store = store
    known, _ = reconcile(sim)
    assert [order.client_order_id for order in known] == ["mine"], "the intent was on file, so it is found again"


def test_a_halt_that_comes_while_an_order_waits_for_its_next_try_refuses_it(sim: Simulation) -> None:
    """The first try is refused for pace; before the second, another process has halted the account."""
    engine, proposal = sim.desk().propose(ticket())
    halted = Halt(TradingState.HALTED, "CANCEL_ALL", "kill switch", sim.clock.now())
    sim.client = sim.connect(before_create=lambda reviewed: refuse_if_halted(sim.store, reviewed))

    def slow_down(request: httpx.Request) -> httpx.Response | None:
        if request.method != "POST":
            return None
        sim.store.set_halt(halted)
        return httpx.Response(429, content=b'{"error": "too many requests"}')

    sim.wire.before = slow_down
    with pytest.raises(RefusedError, match="Trading has been halted") as caught:
        sim.desk().send(engine, proposal)
    assert caught.value.exit_code == 3
    assert sim.exchange.resting("alice") == []
    assert sim.wire.posts() == 1


# -- one id, two orders ---------------------------------------------------------------------------------------------


def stranger(sim: Simulation, client_order_id: str, **changes: Any) -> str:
    """An order of this account that is not on file here; the exchange's id."""
    fields: dict[str, Any] = {"side": BID, "price": cents(40), "qty": contracts(10)}
    order = NewOrder(ticker=TICKER, client_order_id=client_order_id, **(fields | changes))
    receipt = sim.exchange.submit("alice", order, sim.clock.now())
    assert isinstance(receipt, OrderReceipt)
    return receipt.order_id


def test_an_id_that_exists_with_the_same_terms_is_taken_for_ours(sim: Simulation) -> None:
    """409: what a first request that arrived, and whose reply was lost, would look like."""
    sim.market()
    desk = sim.desk()
    proposed = desk.propose(ticket(client_order_id="mine"))
    order_id = stranger(sim, "mine")
    order = desk.send(*proposed)
    assert (order.order_id, order.status) == (order_id, OrderStatus.RESTING)
    assert sim.store.halt().state is TradingState.ACTIVE


@pytest.mark.parametrize(
    "other", [{"price": cents(39)}, {"qty": contracts(9)}, {"side": ASK, "price": cents(60)}, {"ticker": OTHER}]
)
def test_an_id_that_exists_with_other_terms_halts_and_ends_as_unknown(sim: Simulation, other: dict[str, Any]) -> None:
    sim.market()
    desk = sim.desk()
    proposed = desk.propose(ticket(client_order_id="mine"))
    fields: dict[str, Any] = {"ticker": TICKER, "side": BID, "price": cents(40), "qty": contracts(10)}
    order = NewOrder(client_order_id="mine", **(fields | other))
    assert isinstance(sim.exchange.submit("alice", order, sim.clock.now()), OrderReceipt)
    with pytest.raises(OutcomeUnknownError) as caught:
        desk.send(*proposed)
    assert caught.value.exit_code is ExitCode.UNKNOWN_OUTCOME
    assert "mine" in caught.value.message
    assert (caught.value.code, sim.store.halt().code) == ("ID_CLASH", "ID_CLASH")
    assert sim.store.halt().state is TradingState.HALTED
    assert "ID_CLASH" in [alert.code for alert in sim.store.alerts()]
    assert sim.wire.posts() == 1


def test_an_id_that_rests_already_is_refused_before_anything_is_sent(sim: Simulation) -> None:
    sim.market()
    stranger(sim, "mine")
    with pytest.raises(RefusedError) as caught:
        sim.place(client_order_id="mine")
    assert (caught.value.code, sim.wire.posts()) == ("DUPLICATE_ID", 0)


def test_an_order_that_the_network_delivered_twice_halts_at_the_next_read(tmp_path: Path) -> None:
    """Where only the ids of open orders are refused, a second copy of an order that filled at once fills again."""
    sim = Simulation(tmp_path, options=ExchangeOptions(read_rate=0, write_rate=0, client_ids="open_only"))
    try:
        sim.market(40, 44)
        inner = SimTransport(sim.exchange, sim.clock)
        again: list[int] = []

        def twice(request: httpx.Request) -> None:
            if request.method == "POST":
                again.append(inner.handle_request(request).status_code)

        sim.wire.after = twice
        assert sim.place(price=cents(44), tif=TimeInForce.IOC).status is OrderStatus.FILLED
        assert again == [201], "the exchange took both"
        sim.wire.after = lambda _request: None
        with pytest.raises(RefusedError) as caught:
            sim.place()
        assert caught.value.code == "HALTED"
        assert sim.store.halt().code == "DOUBLE_ORDER"
        assert "DOUBLE_ORDER" in [alert.code for alert in sim.store.alerts()]
        assert len(sim.store.fills()) == 2, "what the second one traded counts"
    finally:
        sim.close()


# -- what others do -------------------------------------------------------------------------------------------------


def test_an_order_of_another_program_is_told_of_once(sim: Simulation) -> None:
    sim.market()
    stranger(sim, "web")
    stranger(sim, f"{OWN_ID}0", price=cents(39))
    sim.place()
    sim.place()
    told = [(alert.code, alert.tier) for alert in sim.store.alerts()]
    assert sorted(told) == [("FOREIGN_ACTIVITY", "critical"), ("OTHER_INSTANCE", "critical")]


def test_of_the_orders_before_a_new_state_file_the_live_ones_are_named_and_the_others_counted(sim: Simulation) -> None:
    sim.market()
    for number in range(3):
        stranger(sim, f"{OWN_ID}{number}", price=cents(41))
        sim.take(ASK, 41, 10)
    live = stranger(sim, "web", price=cents(39))
    said: list[str] = []
    desk = sim.desk()
    desk.store = NotifyingStore(sim.store, said.append)
    desk.send(*desk.propose(ticket()))
    named, counted = said
    assert named.startswith("CRITICAL FOREIGN_ACTIVITY ")
    assert live[:8] in named
    assert counted.startswith("WARNING OTHER_INSTANCE account")
    assert "3 orders that this state file did not know, all over" in counted
    assert len(sim.store.fills()) == 3, "they count"
    stranger(sim, "web-2", price=cents(41))
    sim.take(ASK, 41, 10)
    desk.send(*desk.propose(ticket()))
    assert [line.split()[:2] for line in said[2:]] == [["CRITICAL", "FOREIGN_ACTIVITY"]], "later ones are not of before"


def test_orders_of_kalshi_that_an_older_copy_of_the_state_file_does_not_know_are_one_warning_if_they_are_over(
    sim: Simulation,
) -> None:
    sim.market()
    sim.place(price=cents(41))
    sim.take(ASK, 41, 10)
    said: list[str] = []
    desk = sim.desk()
    desk.send(*desk.propose(ticket()))  # the copy has a fill
    for number in range(2):
        stranger(sim, f"{OWN_ID}{number}", price=cents(41))
        sim.take(ASK, 41, 10)
    desk.store = NotifyingStore(sim.store, said.append)
    desk.send(*desk.propose(ticket()))
    (line,) = said
    assert line.startswith("WARNING OTHER_INSTANCE account")
    assert "2 orders that this state file did not know, all over" in line
    live = stranger(sim, f"{OWN_ID}9", price=cents(39))
    desk.send(*desk.propose(ticket()))
    assert said[1].startswith("CRITICAL OTHER_INSTANCE "), "it can still trade"
    assert live[:8] in said[1]


def test_a_person_hears_what_is_critical_while_their_order_is_placed(sim: Simulation) -> None:
    sim.market()
    stranger(sim, "web")
    said: list[str] = []
    desk = sim.desk()
    desk.store = NotifyingStore(sim.store, said.append)
    order = desk.send(*desk.propose(ticket()))
    (line,) = said
    assert line.startswith("CRITICAL FOREIGN_ACTIVITY ")
    assert desk.store.order(order.client_order_id) == order
    assert [alert.code for alert in sim.store.alerts()] == ["FOREIGN_ACTIVITY"], "and it is on file"


def test_a_loop_beside_a_person_knows_the_persons_order_from_the_file(sim: Simulation) -> None:
    sim.market()
    engine = sim.desk().engine([sim.client.market(TICKER)])
    typed = sim.place()
    effects = engine.step(OrderState(sim.clock.now(), sim.client.order(typed.order_id)))
    assert not [effect for effect in effects if isinstance(effect, AlertRaised)]
    known = engine.state.orders.by_order_id(typed.order_id)
    assert known is not None
    assert (known.is_foreign, known.client_order_id) == (False, typed.client_order_id)
