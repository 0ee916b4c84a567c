"""Many orders at once: each is reviewed, written down and answered for as if it were alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from support.simulation import ASK, OTHER, TICKER, Simulation, ticket

from kalshi_cli.base.errors import (
    CredentialsError,
    ExchangeError,
    ExitCode,
    HaltedError,
    NotFoundError,
    OutcomeUnknownError,
    RefusedError,
    StateFileError,
    UnreachableError,
    UsageError,
)
from kalshi_cli.base.units import Price, cents, contracts, dollars
from kalshi_cli.core.model.effects import Effect, OrderChanged, StateChanged, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.order_terms import BID, TimeInForce
from kalshi_cli.core.model.orders import OrderStatus
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.services.orders import batch
from kalshi_cli.services.orders.batch import BatchLine, BatchOutcome
from kalshi_cli.store.records import Halt

PATH = "/trade-api/v2/portfolio/events/orders/batched"


def place(sim: Simulation, *tickets: dict[str, Any], limits: RiskLimits | None = None) -> BatchOutcome:
    """A batch by the desk, as a person would."""
    desk = sim.desk(limits)
    lines = [BatchLine(at, ticket(**fields)) for at, fields in enumerate(tickets, start=1)]
    return batch.send(desk, *batch.propose(desk, lines))


def many(count: int) -> list[dict[str, Any]]:
    """Bids of one contract each, from 30 cents up."""
    return [{"qty": contracts(1), "price": cents(30 + at % 10)} for at in range(count)]


def requests(sim: Simulation) -> int:
    return sum(1 for call in sim.wire.sent if call == ("POST", PATH))


def statuses(outcome: BatchOutcome) -> list[str]:
    return [result.status for result in outcome.results]


def lose(sim: Simulation, *, after: int = 0) -> None:
    """The reply to a batch is lost, though the exchange took it; so many pass first."""
    seen = iter(range(1_000))

    def drop(request: httpx.Request) -> None:
        if request.url.path == PATH and next(seen) >= after:
            raise httpx.ReadTimeout("no reply", request=request)

    sim.wire.after = drop


def answer(sim: Simulation, status: int, body: bytes = b"{}") -> None:
    """The exchange does not get the batch; something else answers."""
    sim.wire.before = lambda request: httpx.Response(status, content=body) if request.url.path == PATH else None


def test_every_order_of_a_batch_is_placed_and_on_file(sim: Simulation) -> None:
    sim.market()
    outcome = place(
        sim,
        {"price": cents(39)},
        {"price": cents(38), "client_order_id": "mine"},
        {"price": cents(44), "tif": TimeInForce.IOC, "qty": contracts(5)},
    )
    assert statuses(outcome) == ["resting", "resting", "filled"]
    assert outcome.worst is None
    assert requests(sim) == 1
    assert sorted(sim.exchange.resting("alice")) == sorted(
        (result.order.order_id, BID, result.order.price, contracts(10))
        for result in outcome.results[:2]
        if result.order is not None
    )
    for result in outcome.results:
        assert result.order is not None
        assert sim.store.order(result.order.client_order_id) == result.order
    (fill,) = sim.store.fills()
    assert (fill.price, fill.qty) == (cents(44), contracts(5))


def test_every_intent_is_on_file_before_the_request_leaves(sim: Simulation) -> None:
    seen: list[OrderStatus] = []

    def look(request: httpx.Request) -> httpx.Response | None:
        if request.url.path == PATH:
            seen.extend(order.status for order in sim.store.live_orders())
        return None

    sim.market()
    sim.wire.before = look
    place(sim, *many(3))
    assert seen == [OrderStatus.SUBMITTED] * 3


def test_each_order_is_reviewed_with_those_before_it_on_their_way(sim: Simulation) -> None:
    sim.market()
    outcome = place(sim, *many(5), limits=RiskLimits(max_position=contracts(3)))
    assert statuses(outcome) == ["resting"] * 3 + ["denied"] * 2
    assert isinstance(outcome.worst, RefusedError)
    assert outcome.worst.code == "POSITION_LIMIT"
    assert len(sim.exchange.resting("alice")) == 3


def test_orders_that_would_meet_each_other_are_stopped_here(sim: Simulation) -> None:
    sim.market()
    outcome = place(sim, {"price": cents(42)}, {"action": "sell", "price": cents(42)})
    assert statuses(outcome) == ["resting", "denied"]
    assert outcome.worst is not None
    assert outcome.worst.code == "SELF_CROSS"


def test_what_the_exchange_refuses_is_refused_alone(sim: Simulation) -> None:
    sim.market()
    outcome = place(
        sim, {"price": cents(39)}, {"price": cents(44), "post_only": True}, {"price": cents(38), "tif": TimeInForce.FOK}
    )
    assert statuses(outcome) == ["resting", "rejected", "rejected"]
    codes = [result.error.code for result in outcome.results[1:] if result.error is not None]
    assert codes == ["invalid_order", "fill_or_kill_insufficient_resting_volume"]
    assert isinstance(outcome.worst, ExchangeError)
    assert outcome.worst.exit_code is ExitCode.REJECTED


def test_a_large_batch_goes_in_as_many_requests_as_the_pace_wants(sim: Simulation) -> None:
    sim.market()
    outcome = place(sim, *many(20))
    assert statuses(outcome) == ["resting"] * 20
    assert requests(sim) == 3, "eight at a time"


# -- lines that cannot be orders ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"price": Price(4_050)}, r"line 2: \$0\.405 is off the price grid"),
        ({"client_order_id": "twice"}, "line 2: Client order id twice is used on several lines; line 3"),
    ],
)
def test_one_line_that_cannot_be_an_order_stops_all(sim: Simulation, bad: dict[str, Any], said: str) -> None:
    sim.market()
    with pytest.raises(UsageError, match=said) as caught:
        place(sim, {"price": cents(39)}, bad, bad if bad.get("client_order_id") == "twice" else {})
    assert "nothing was sent" in caught.value.hint
    assert sim.wire.posts() == 0


def test_a_market_that_does_not_exist_stops_all_with_the_code_of_a_single_order(sim: Simulation) -> None:
    sim.market()
    with pytest.raises(NotFoundError, match="line 2: no market NOPE-1") as caught:
        place(sim, {"price": cents(39)}, {"ticker": "NOPE-1"})
    assert (caught.value.code, caught.value.exit_code) == ("not_found", ExitCode.REJECTED)
    assert "nothing was sent" in caught.value.hint
    assert sim.wire.posts() == 0


def test_a_file_with_ids_can_be_sent_again(sim: Simulation) -> None:
    sim.market()
    first = {"price": cents(39), "client_order_id": "one"}
    rejected = {"price": cents(44), "post_only": True, "client_order_id": "two"}
    too_many = {"qty": contracts(1_000_000), "client_order_id": "three"}
    assert statuses(place(sim, first, rejected, too_many)) == ["resting", "rejected", "denied"]
    again = place(sim, first, rejected, {"price": cents(38), "client_order_id": "four"}, too_many)
    assert statuses(again) == ["denied", "denied", "resting", "denied"]
    codes = [result.error.code if result.error else "" for result in again.results]
    assert codes == ["DUPLICATE_ID", "DUPLICATE_ID", "", "ORDER_SIZE"]
    assert "kalshi order show one" in again.results[0].error.hint  # type: ignore[union-attr]
    assert "which rejected it" in again.results[1].error.hint  # type: ignore[union-attr]
    assert sorted(price for _, _, price, _ in sim.exchange.resting("alice")) == [cents(38), cents(39)]
    assert again.worst is not None
    assert again.worst.exit_code is ExitCode.REFUSED
    assert again.worst.code == "ORDER_SIZE", "an id that was used before hides no other refusal"
    requests_before = requests(sim)
    assert statuses(place(sim, first)) == ["denied"]
    assert requests(sim) == requests_before, "nothing is sent for lines with used ids"


def test_a_batch_has_an_end(sim: Simulation) -> None:
    with pytest.raises(UsageError, match="1001 orders in 1 market exceed"):
        place(sim, *many(1_001))
    with pytest.raises(UsageError, match="101 orders in 101 markets exceed"):
        place(sim, *({"ticker": f"T{n}"} for n in range(101)))


# -- faults of the wire -----------------------------------------------------------------------------------------------


def test_a_lost_reply_is_resolved_for_every_order_and_nothing_is_sent_twice(sim: Simulation) -> None:
    sim.market()
    lose(sim)
    outcome = place(sim, {"price": cents(39)}, {"price": cents(44), "tif": TimeInForce.IOC})
    assert statuses(outcome) == ["resting", "filled"]
    assert requests(sim) == 1
    assert len(sim.exchange.resting("alice")) == 1


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_batch_that_got_lost_is_unknown_and_every_order_of_it_is_named(sim: Simulation, status: int) -> None:
    sim.market()
    answer(sim, status)
    outcome = place(sim, *many(3))
    assert statuses(outcome) == ["unknown"] * 3
    assert isinstance(outcome.worst, OutcomeUnknownError)
    assert outcome.worst.exit_code == 7
    assert "kalshi order reconcile" in outcome.worst.hint
    for result in outcome.results:
        assert result.order is not None
        assert result.error is not None
        assert result.order.client_order_id in result.error.message
    assert requests(sim) == 1
    assert [order.status for order in sim.store.live_orders()] == [OrderStatus.UNKNOWN] * 3


def test_after_a_request_without_an_answer_no_other_is_sent(sim: Simulation) -> None:
    sim.market()
    answer(sim, 500)
    outcome = place(sim, *many(10))
    assert statuses(outcome) == ["unknown"] * 8 + ["not_sent"] * 2
    assert requests(sim) == 1
    assert isinstance(outcome.worst, OutcomeUnknownError), "graver than not sent"
    assert len(sim.store.live_orders()) == 8, "what was never sent is on no file"


def test_a_reply_that_is_cut_is_no_refusal(sim: Simulation) -> None:
    sim.market()
    answer(sim, 201, b'{"orders": [')
    assert statuses(place(sim, *many(2))) == ["unknown", "unknown"]


def test_a_key_that_may_not_place_stops_the_rest(sim: Simulation) -> None:
    sim.market()
    answer(sim, 403, b'{"error": {"code": "forbidden", "message": "no"}}')
    outcome = place(sim, *many(10))
    assert statuses(outcome) == ["rejected"] * 8 + ["not_sent"] * 2
    assert isinstance(outcome.worst, CredentialsError)
    assert requests(sim) == 1


def test_after_a_lost_reply_that_was_found_the_rest_goes_on(sim: Simulation) -> None:
    sim.market()
    lose(sim, after=1)
    outcome = place(sim, *many(20))
    assert (statuses(outcome), outcome.worst) == (["resting"] * 20, None)
    assert requests(sim) == 3
    assert len(sim.exchange.resting("alice")) == 20


def test_what_was_placed_before_the_trouble_is_told_as_placed(sim: Simulation) -> None:
    sim.market()
    seen = iter(range(1_000))
    sim.wire.before = lambda request: httpx.Response(500) if request.url.path == PATH and next(seen) else None
    outcome = place(sim, *many(20))
    assert statuses(outcome) == ["resting"] * 8 + ["unknown"] * 8 + ["not_sent"] * 4
    assert [type(result.error) for result in outcome.results[-4:]] == [UnreachableError] * 4
    assert isinstance(outcome.worst, OutcomeUnknownError)


# -- an interrupt -----------------------------------------------------------------------------------------------------


def test_an_interrupted_batch_says_what_is_known_of_each_line(sim: Simulation) -> None:
    sim.market()
    seen = iter(range(1_000))

    def interrupt(request: httpx.Request) -> None:
        if request.url.path == PATH and next(seen) == 1:
            raise KeyboardInterrupt

    sim.wire.after = interrupt
    outcome = place(sim, *many(20))
    assert statuses(outcome) == ["resting"] * 8 + ["unknown"] * 8 + ["not_sent"] * 4
    assert outcome.worst is outcome.trouble
    assert isinstance(outcome.worst, OutcomeUnknownError)
    assert "nterrupted" in outcome.worst.message
    assert requests(sim) == 2
    assert len(sim.exchange.resting("alice")) == 16, "the orders in doubt were live"
    saved = [order.client_order_id for order in sim.store.live_orders()]
    told = [each.order.client_order_id for each in outcome.results[:16] if each.order is not None]
    assert sorted(saved) == sorted(told), "`order reconcile` finds each of them"


def test_an_interrupt_before_the_next_request_leaves_no_doubt_about_its_orders(sim: Simulation) -> None:
    sim.market()
    between(sim, lambda: None)  # so that the books are read again

    def interrupt(request: httpx.Request) -> None:
        if requests(sim) and request.url.path != PATH:
            raise KeyboardInterrupt

    sim.wire.before = interrupt
    outcome = place(sim, *many(10))
    assert statuses(outcome) == ["resting"] * 8 + ["not_sent"] * 2
    assert isinstance(outcome.worst, OutcomeUnknownError)


# -- halts and the state file -----------------------------------------------------------------------------------------


def halt(sim: Simulation) -> None:
    sim.store.set_halt(Halt(TradingState.HALTED, "CANCEL_ALL", "test", sim.clock.now()))


def test_while_halted_nothing_passes(sim: Simulation) -> None:
    sim.market()
    halt(sim)
    outcome = place(sim, *many(2))
    assert statuses(outcome) == ["denied", "denied"]
    assert requests(sim) == 0


def test_a_halt_between_two_requests_stops_the_second(sim: Simulation) -> None:
    sim.market()
    sim.wire.after = lambda request: halt(sim) if request.url.path == PATH else None
    outcome = place(sim, *many(10))
    assert statuses(outcome) == ["resting"] * 8 + ["not_sent"] * 2
    assert isinstance(outcome.worst, RefusedError)
    assert (requests(sim), outcome.worst.code) == (1, "HALTED")


def test_a_halt_after_the_orders_were_written_down_ends_them(sim: Simulation) -> None:
    """Another process halts after the commit and before the request: nothing has left, and the file says so."""

    def halted(_reviewed: object) -> None:
        raise HaltedError("trading is halted")

    sim.market()
    sim.client = sim.connect(before_create=halted)
    outcome = place(sim, *many(2))
    assert statuses(outcome) == ["rejected", "rejected"]
    assert isinstance(outcome.worst, RefusedError)
    assert sim.store.live_orders() == ()
    assert requests(sim) == 0


# -- what changes while the pace holds a batch up ---------------------------------------------------------------------


def between(sim: Simulation, happens: Callable[[], object], *, seconds: float = 3.0) -> None:
    """After the first request something happens, and after each the pace wants so much time."""
    first = iter([happens])

    def after(request: httpx.Request) -> None:
        if request.url.path == PATH:
            next(first, lambda: None)()
            sim.clock.advance(seconds)
            sim.exchange.advance(sim.clock.now())

    sim.wire.after = after


def codes(outcome: BatchOutcome) -> list[str]:
    return [result.error.code if result.error else "" for result in outcome.results]


def test_a_batch_that_takes_long_is_placed_whole_where_nothing_changes(sim: Simulation) -> None:
    sim.market()
    between(sim, lambda: None, seconds=50)
    outcome = place(sim, *many(20))
    assert (statuses(outcome), outcome.worst) == (["resting"] * 20, None)
    assert requests(sim) == 3
    made = [result.order.created for result in outcome.results if result.order is not None]
    assert made[8] - made[0] >= 50_000, "dated when its turn came: from then on it is looked for"


def test_once_reducing_is_on_file_nothing_that_adds_risk_is_sent(sim: Simulation) -> None:
    """Another process counted the day's loss; a line that takes risk away still goes."""
    sim.market()
    sim.place(price=cents(44), qty=contracts(10), tif=TimeInForce.IOC)
    now = sim.clock.now()
    between(sim, lambda: sim.store.record(StateChanged(now, TradingState.REDUCING, "DAILY_LOSS", "x")), seconds=0)
    sale = {"action": "sell", "price": cents(44), "qty": contracts(5)}
    outcome = place(sim, *many(9), sale)
    assert statuses(outcome) == ["resting"] * 8 + ["denied", "resting"]
    assert codes(outcome)[8] == "REDUCING"
    assert isinstance(outcome.worst, RefusedError)
    assert requests(sim) == 2


def test_a_batch_that_loses_what_a_day_may_lose_ends_there(sim: Simulation) -> None:
    sim.market()
    sim.quote(ASK, 44, 400)
    between(sim, lambda: None)
    lines = [{"price": cents(44), "qty": contracts(10), "tif": TimeInForce.IOC}] * 30
    outcome = place(sim, *lines, limits=RiskLimits(max_daily_loss=dollars(1), max_position=None, max_exposure=None))
    assert statuses(outcome) == ["filled"] * 8 + ["denied"] * 22
    assert set(codes(outcome)[8:]) == {"DAILY_LOSS"}
    assert requests(sim) == 1
    assert sim.store.halt().code == "DAILY_LOSS"


def test_no_line_is_sent_at_a_price_that_was_checked_against_a_book_of_before(sim: Simulation) -> None:
    sim.market()
    between(sim, lambda: sim.market(5, 9))
    outcome = place(sim, *many(20), {"price": cents(6)})
    assert statuses(outcome) == ["filled"] * 8 + ["denied"] * 12 + ["resting"], "in time, too late, and cheap enough"
    assert set(codes(outcome)[8:20]) == {"PRICE_COLLAR"}
    assert isinstance(outcome.worst, RefusedError)
    assert sim.store.denials(sim.clock.now()) == {"": {"PRICE_COLLAR": 12}}


def test_a_line_is_counted_once_in_the_pace_of_orders_however_often_it_is_reviewed(sim: Simulation) -> None:
    sim.market()
    between(sim, lambda: None)
    limits = RiskLimits(max_orders_per_minute=20)
    outcome = place(sim, *many(21), limits=limits)
    assert statuses(outcome) == ["resting"] * 20 + ["denied"]
    assert codes(outcome)[20] == "ORDER_RATE"


def test_where_the_books_cannot_be_read_again_the_rest_is_not_sent(sim: Simulation) -> None:
    sim.market()

    def blind() -> None:
        sim.wire.before = lambda request: httpx.Response(500) if request.method == "GET" else None

    between(sim, blind)
    outcome = place(sim, *many(10))
    assert statuses(outcome) == ["resting"] * 8 + ["not_sent"] * 2
    assert isinstance(outcome.worst, UnreachableError)
    assert requests(sim) == 1


class Full:
    """A store on a disk that is full, for one kind of effect."""

    def __init__(self, inner: Any, kind: type[Effect], *, after: int = 0) -> None:
        self._inner = inner
        self._kind = kind
        self._left = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def record(self, effect: Effect) -> None:
        if isinstance(effect, self._kind):
            if not self._left:
                raise StateFileError("no room left", hint="free some disk space")
            self._left -= 1
        self._inner.record(effect)


@pytest.mark.parametrize("after", [0, 1])
def test_a_batch_that_cannot_be_written_down_whole_is_not_sent(sim: Simulation, after: int) -> None:
    sim.market()
    store = sim.store
    sim.store = Full(store, SubmitOrder, after=after)  # type: ignore[assignment]
    outcome = place(sim, *many(2))
    assert statuses(outcome) == ["not_sent", "not_sent"]
    assert isinstance(outcome.worst, StateFileError)
    assert requests(sim) == 0
    sim.store = store
    assert store.live_orders() == (), "the one that was written down is over"


def test_a_batch_that_could_not_be_written_down_whole_may_be_repeated_with_its_ids(sim: Simulation) -> None:
    sim.market()
    store = sim.store
    lines = [line | {"client_order_id": f"mine-{at}"} for at, line in enumerate(many(2))]
    sim.store = Full(store, SubmitOrder, after=1)  # type: ignore[assignment]
    assert statuses(place(sim, *lines)) == ["not_sent", "not_sent"]
    sim.store = store
    assert statuses(place(sim, *lines)) == ["resting", "resting"]
    assert codes(place(sim, *lines)) == ["DUPLICATE_ID", "DUPLICATE_ID"]
    assert len(sim.exchange.resting("alice")) == 2


def test_what_was_sent_and_cannot_be_written_down_is_said_to_be_in_doubt(sim: Simulation) -> None:
    sim.market()
    store = sim.store
    sim.store = Full(store, OrderChanged)  # type: ignore[assignment]
    outcome = place(sim, *many(10))
    assert statuses(outcome) == ["resting"] * 8 + ["not_sent"] * 2
    assert isinstance(outcome.worst, OutcomeUnknownError)
    assert "the result could not be saved" in outcome.worst.message
    sim.store = store
    assert [order.status for order in store.live_orders()] == [OrderStatus.SUBMITTED] * 8, "to be found by reconcile"


def test_a_dearer_order_does_not_hide_behind_many(sim: Simulation) -> None:
    sim.market()
    sim.market(ticker=OTHER)
    desk = sim.desk(RiskLimits(max_exposure=dollars(10)))
    _, judged = batch.propose(desk, [BatchLine(n, ticket(ticker=t)) for n, t in enumerate((TICKER, OTHER, TICKER), 1)])
    assert [each.denied.code if each.denied else None for each in judged] == [None, None, "EXPOSURE"]
    assert [each.cost for each in judged] == [dollars(4), dollars(4), 0]
    assert all(each.fee > 0 for each in judged[:2])
