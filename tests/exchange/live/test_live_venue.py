from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import format_datetime
from itertools import pairwise
from typing import Any

import httpx
import msgspec
import pytest
from support.scripted_rest import ScriptedRest, fill_body, order_body
from support.scripted_stream import ScriptedWs, wait_until

from kalshi_cli.base.clock import ManualClock, SystemClock
from kalshi_cli.base.errors import CredentialsError, UnreachableError
from kalshi_cli.base.units import Money, Qty, Ts, cents, contracts, parse_ts
from kalshi_cli.core.model.effects import CancelOrder, OrderRefused, ResyncBook, SubmitOrder
from kalshi_cli.core.model.markets import Market, MarketStatus
from kalshi_cli.core.model.messages import (
    AccountSnapshot,
    AccountStale,
    AccountVisibility,
    BookSnapshot,
    CancelFailed,
    ExchangeChange,
    FeedState,
    Filled,
    GroupChange,
    MarketChange,
    OrderAccepted,
    OrderCanceled,
    OrderRejected,
    OrderUnknown,
    PublicTrade,
    ReadFailed,
    Tick,
)
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.model.price_grid import CENT_GRID
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.account_snapshot import account_snapshot
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.stream.reader import Stream

NOW = parse_ts("2026-06-11T06:30:00Z")
MINE = Order(
    client_order_id="mine",
    ticker="A",
    side=BID,
    price=cents(47),
    qty=contracts(10),
    status=OrderStatus.SUBMITTED,
    created=NOW,
    updated=NOW,
)
RESTING = msgspec.structs.replace(MINE, order_id="theirs", status=OrderStatus.RESTING)
CREATE = "POST /portfolio/events/orders"
CANCEL = "DELETE /portfolio/events/orders/theirs"
ORDERS = "GET /portfolio/orders"
FILLS = "GET /portfolio/fills"
STATUS = "GET /exchange/status"
SCHEDULE = "GET /exchange/schedule"


def created(filled: str = "0.00", remaining: str = "10.00") -> dict[str, Any]:
    return {
        "order_id": "theirs",
        "client_order_id": "mine",
        "fill_count": filled,
        "remaining_count": remaining,
        "ts_ms": NOW,
    }


class Desk:
    """A venue with its exchange, its clock, and the orders that an engine would believe to be live."""

    def __init__(self, signer_key: Any, stream: Stream | None = None) -> None:
        self.clock = ManualClock(NOW)
        self.rest = ScriptedRest(as_of=NOW)
        self.live: list[Order] = []
        self.told: list[str] = []
        self.client = KalshiClient(
            "http://127.0.0.1:1/trade-api/v2",
            clock=self.clock,
            rng=random.Random(1),
            signer=Signer("key-id", signer_key, self.clock),
            transport=self.rest,
        )
        self.venue = LiveVenue(
            self.client,
            stream,
            self.clock,
            live=lambda: self.live,
            since=Ts(NOW - 3_540_000),
            tell=self.told.append,
        )

    def submit(self) -> list[Any]:
        return list(self.venue.perform(SubmitOrder(MINE)))

    def cancel(self) -> list[Any]:
        return list(self.venue.perform(CancelOrder(RESTING, "test")))

    def tick(self, after_s: float = 0.0) -> list[Any]:
        self.clock.advance(after_s)
        return list(self.venue.observe(Tick(self.clock.now())))


def snapshots(desk: Desk, reads: int) -> list[AccountSnapshot]:
    """What so many reads bring, none of them hurried."""
    found = (message for _ in range(reads) for message in desk.tick(40))
    return [message for message in found if isinstance(message, AccountSnapshot)]


@pytest.fixture
def desk(rsa_key: Any) -> Desk:
    return Desk(rsa_key)


@pytest.fixture
def streaming(rsa_key: Any) -> Iterator[tuple[Desk, ScriptedWs]]:
    with ScriptedWs("A") as server:
        clock = SystemClock()
        stream = Stream(server.url, Signer("key-id", rsa_key, clock), clock, random.Random(1), tickers=["A"])
        stream.start()
        wait_until(lambda: stream.is_live)
        yield Desk(rsa_key, stream), server
        stream.stop()


# -- orders -----------------------------------------------------------------------------------------------------------


def test_an_order_is_sent_once_and_what_the_exchange_says_comes_back(desk: Desk):
    desk.rest.routes[CREATE] = created()
    assert desk.submit() == [OrderAccepted(NOW, "mine", "theirs", contracts(0), contracts(10))]
    assert len(desk.rest.calls(CREATE)) == 1


@pytest.mark.parametrize("answer", [500, 503, 409, httpx.ReadTimeout("late"), httpx.RemoteProtocolError("cut"), {}])
def test_without_a_usable_answer_the_outcome_is_unknown_and_nothing_is_sent_again(desk: Desk, answer: Any):
    desk.rest.routes[CREATE] = answer
    (reply,) = desk.submit()
    assert isinstance(reply, OrderUnknown)
    assert reply.client_order_id == "mine"
    assert len(desk.rest.calls(CREATE)) == 1


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (400, "bad_request"),
        (404, "not_found"),
        (401, "credentials"),
        (403, "credentials"),
        (429, "rate_limited"),
        (httpx.ConnectError("nobody there"), "unreachable"),
    ],
)
def test_a_certain_refusal_is_a_rejection_with_a_stable_code(desk: Desk, answer: Any, code: str):
    desk.rest.routes[CREATE] = answer
    (reply,) = desk.submit()
    assert isinstance(reply, OrderRejected)
    assert (reply.client_order_id, reply.code) == ("mine", code)
    assert reply.detail


def test_what_filled_at_once_is_read_back_where_no_stream_tells(desk: Desk):
    desk.rest.routes[CREATE] = created("10.00", "0.00")
    desk.rest.routes[FILLS] = {"fills": [fill_body("t2", "another"), fill_body("t1", "theirs")], "cursor": ""}
    accepted, filled = desk.submit()
    assert accepted.filled == contracts(10)
    assert isinstance(filled, Filled)
    assert (filled.fill.trade_id, filled.fill.fee) == ("t1", Money(17_500))


def test_a_fill_that_cannot_be_read_back_yet_comes_with_the_next_read_of_the_account_soon(desk: Desk):
    assert desk.tick()
    desk.rest.routes[CREATE] = created("10.00", "0.00")
    desk.rest.routes[FILLS] = httpx.ReadTimeout("late")
    assert len(desk.submit()) == 1
    desk.rest.routes[FILLS] = {"fills": [fill_body("t1", "theirs")], "cursor": ""}
    (snapshot,) = desk.tick(1.0)
    assert [fill.trade_id for fill in snapshot.fills] == ["t1"]


def test_what_takes_orders_away_is_followed_by_a_read_of_the_account(desk: Desk):
    open_now = Market(
        ticker="A", event_ticker="E", title="A", status=MarketStatus.ACTIVE, grid=CENT_GRID,
        yes_bid=None, yes_bid_size=contracts(0), yes_ask=None, yes_ask_size=contracts(0), last=None,
        volume=contracts(0), volume_24h=contracts(0), open_interest=contracts(0), open_time=NOW, close_time=NOW,
    )  # fmt: skip
    paused = msgspec.structs.replace(open_now, status=MarketStatus.INACTIVE)
    assert desk.tick()
    for message in (GroupChange(NOW, "g", "created"), MarketChange(NOW, open_now), MarketChange(NOW, paused)):
        assert desk.venue.observe(message) == ()
        assert desk.tick(1.5) == [], "nothing went away"
    desk.venue.observe(MarketChange(NOW, open_now))
    assert desk.tick(1.0), "reactivation cancels what rests"
    assert desk.tick(1.0) == []
    desk.venue.observe(GroupChange(NOW, "g", "triggered"))
    assert desk.tick(1.0)


def test_with_a_live_stream_fills_are_left_to_it(streaming: tuple[Desk, ScriptedWs]):
    desk, _ = streaming
    desk.rest.routes[CREATE] = created("10.00", "0.00")
    assert len(desk.submit()) == 1
    assert desk.rest.calls(FILLS) == []


# -- cancels, books, the rest -----------------------------------------------------------------------------------------


def test_a_confirmed_cancel_says_so(desk: Desk):
    desk.rest.routes[CANCEL] = {"order_id": "theirs", "client_order_id": "mine", "reduced_by": "10.00", "ts_ms": NOW}
    desk.tick(0.0)
    assert desk.cancel() == [OrderCanceled(NOW, "theirs", "mine", reduced=Qty(1_000))]
    assert desk.tick(1.0) == []


def test_after_a_cancel_that_took_back_less_than_was_left_the_account_is_read_soon(desk: Desk):
    desk.rest.routes[CANCEL] = {"order_id": "theirs", "client_order_id": "mine", "reduced_by": "6.00", "ts_ms": NOW}
    desk.tick(0.0)
    assert desk.cancel() == [OrderCanceled(NOW, "theirs", "mine", reduced=Qty(600))]
    assert desk.tick(1.0)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (404, "not_found"),
        (401, "credentials"),
        (httpx.ReadTimeout("late"), "outcome_unknown"),
        (500, "outcome_unknown"),
    ],
)
def test_a_cancel_that_is_not_confirmed_proves_nothing_and_the_order_is_looked_up_soon(
    desk: Desk, answer: Any, code: str
):
    assert desk.tick()
    desk.rest.routes[CANCEL] = answer
    (reply,) = desk.cancel()
    assert isinstance(reply, CancelFailed)
    assert (reply.order_id, reply.client_order_id, reply.code) == ("theirs", "mine", code)
    desk.live = [RESTING]
    over = order_body("theirs", "mine", "executed", fill_count_fp="10.00")
    desk.rest.routes[ORDERS] = lambda request: {
        "orders": [] if request.url.params.get("status") == "resting" else [over],
        "cursor": "",
    }
    (snapshot,) = desk.tick(1.0)
    assert [(order.order_id, order.status) for order in snapshot.orders] == [("theirs", OrderStatus.FILLED)]


def test_a_resync_asks_the_stream(streaming: tuple[Desk, ScriptedWs]):
    desk, server = streaming
    assert list(desk.venue.perform(ResyncBook("A", "crossed"))) == []
    wait_until(lambda: server.actions("get_snapshot"))
    assert desk.rest.seen == []


def test_a_resync_without_a_stream_reads_the_book_and_a_failure_is_left_to_polling(desk: Desk):
    desk.rest.routes["GET /markets/A/orderbook"] = {"orderbook_fp": {"yes_dollars": [["0.4700", "3.00"]]}}
    (book,) = desk.venue.perform(ResyncBook("A", "crossed"))
    assert isinstance(book, BookSnapshot)
    assert book.bids == ((cents(47), contracts(3)),)
    desk.rest.routes["GET /markets/A/orderbook"] = 500
    assert list(desk.venue.perform(ResyncBook("A", "crossed"))) == []


def test_other_effects_are_not_the_exchanges_business(desk: Desk):
    assert list(desk.venue.perform(OrderRefused(NOW, "s", "A", "HALTED", ""))) == []
    assert desk.rest.seen == []


# -- the account ------------------------------------------------------------------------------------------------------


def test_the_account_is_read_at_the_first_tick_and_then_within_every_ten_seconds(desk: Desk):
    reads = [bool(desk.tick(after_s)) for after_s in (0, 2, 2, 2, 2, 2, 2)]
    assert reads == [True, False, False, False, True, False, False]


def test_other_messages_read_nothing(desk: Desk):
    trade = PublicTrade(NOW, "A", "t", cents(47), contracts(1), BID)
    assert list(desk.venue.observe(trade)) == []
    assert list(desk.venue.observe(FeedState(NOW, False))) == []
    assert desk.rest.seen == []


def test_the_account_is_read_at_once_when_the_stream_comes_back(desk: Desk):
    assert desk.tick()
    assert len(list(desk.venue.observe(FeedState(NOW, True)))) == 1


@pytest.mark.parametrize("status", [OrderStatus.UNKNOWN, OrderStatus.SUBMITTED])
def test_the_account_is_read_at_every_tick_while_an_order_is_in_doubt(desk: Desk, status: OrderStatus):
    desk.live = [msgspec.structs.replace(MINE, status=status)]
    assert [bool(desk.tick(2)) for _ in range(4)] == [True] * 4
    desk.live = []
    desk.tick(2)
    assert not desk.tick(2)


def test_an_unknown_outcome_makes_the_next_tick_read(desk: Desk):
    assert desk.tick()
    desk.rest.routes[CREATE] = 500
    desk.submit()
    assert desk.tick(1)


def test_a_snapshot_holds_everything_as_of_a_time_asked_for_before_the_reads(desk: Desk):
    desk.rest.routes[ORDERS] = {"orders": [order_body("theirs", "mine")], "cursor": ""}
    desk.rest.routes[FILLS] = {"fills": [fill_body("t1", "theirs")], "cursor": ""}
    (snapshot,) = desk.tick()
    assert isinstance(snapshot, AccountSnapshot)
    assert (snapshot.as_of, snapshot.since) == (NOW, NOW - 3_600_000)
    assert [order.client_order_id for order in snapshot.orders] == ["mine"]
    assert [fill.trade_id for fill in snapshot.fills] == ["t1"]
    assert snapshot.balance.cash == Money(98_018_600)
    assert desk.rest.seen[0].url.path.endswith("user_data_timestamp")
    assert len(desk.rest.calls("GET /exchange/user_data_timestamp")) == 1, "and not once more, when it may be later"


def test_fills_are_read_from_a_minute_before_the_last_complete_read_and_settlements_from_a_day_before(desk: Desk):
    desk.tick()
    desk.rest.as_of = Ts(NOW + 9_000)
    desk.tick(10)
    desk.tick(10)
    asked = [int(query["min_ts"]) for query in desk.rest.calls(FILLS)]
    assert asked == [NOW // 1000 - 3600, NOW // 1000 - 60, NOW // 1000 + 9 - 60]
    settled = [int(query["min_ts"]) for query in desk.rest.calls("GET /portfolio/settlements")]
    assert settled == [at - 86_400 for at in asked]


def test_an_order_that_should_rest_but_does_not_is_looked_up_in_its_market(desk: Desk):
    desk.live = [RESTING, msgspec.structs.replace(MINE, client_order_id="other", status=OrderStatus.UNKNOWN)]
    desk.rest.routes[ORDERS] = lambda request: {
        "orders": [order_body("x", "other")]
        if request.url.params.get("status")
        else [order_body("theirs", "mine", "canceled")],
        "cursor": "",
    }
    (snapshot,) = desk.tick()
    assert {order.client_order_id: order.status for order in snapshot.orders} == {
        "other": OrderStatus.RESTING,
        "mine": OrderStatus.CANCELED,
    }
    asked = desk.rest.calls(ORDERS)[1]
    assert asked == {"ticker": "A", "min_ts": str(NOW // 1000 - 60), "limit": asked["limit"]}


def test_orders_that_rest_as_believed_cost_no_look_up(desk: Desk):
    desk.live = [RESTING, msgspec.structs.replace(MINE, client_order_id="new", status=OrderStatus.UNKNOWN)]
    desk.rest.routes[ORDERS] = {"orders": [order_body("theirs", "mine"), order_body("x", "new")], "cursor": ""}
    assert desk.tick()
    assert len(desk.rest.calls(ORDERS)) == 1


@pytest.mark.parametrize("broken", [ORDERS, FILLS, "GET /portfolio/balance", "GET /exchange/user_data_timestamp"])
@pytest.mark.parametrize("answer", [500, 400, {"cursor": "again"}])
def test_a_read_that_is_not_complete_is_no_snapshot_and_is_told_once(desk: Desk, broken: str, answer: Any):
    whole = desk.rest.routes[broken]
    desk.rest.routes[broken] = answer
    assert snapshots(desk, 3) == []
    assert len(desk.told) == 1
    desk.rest.routes[broken] = whole
    assert len(snapshots(desk, 1)) == 1
    assert "again" in desk.told[1]


def test_reads_that_fail_are_tried_less_and_less_often_because_each_holds_up_the_loop(desk: Desk):
    desk.rest.routes["GET /exchange/user_data_timestamp"] = 400  # a refusal: not repeated by the client itself
    asked = []
    for _ in range(100):
        desk.tick(1)
        desk.cancel()  # fails too, and must not make it hurry
        asked.append(len(desk.rest.calls("GET /exchange/user_data_timestamp")))
    times = [asked.index(count) for count in range(1, asked[-1] + 1)]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses == [2, 4, 8, 5, 30, 30], "at 20 s a read decides whether the account is out of sight"


def test_while_an_order_is_in_doubt_a_failed_read_is_never_longer_than_five_seconds_ago(desk: Desk):
    """T7: what became of it is known within ten seconds of the exchange answering again, however long it did not."""
    desk.live = [msgspec.structs.replace(MINE, status=OrderStatus.UNKNOWN)]
    desk.rest.routes["GET /exchange/user_data_timestamp"] = 400
    asked = []
    for _ in range(60):
        desk.tick(1)
        asked.append(len(desk.rest.calls("GET /exchange/user_data_timestamp")))
    times = [asked.index(count) for count in range(1, asked[-1] + 1)]
    assert [later - earlier for earlier, later in pairwise(times)][:6] == [2, 4, 5, 5, 3, 5]


def test_an_account_that_stays_unread_is_told_once_with_since_when_and_once_when_it_is_over(desk: Desk):
    """F43: an hour without an answer; nothing about it depends on the wall clock."""
    good = desk.rest.routes["GET /exchange/user_data_timestamp"]
    desk.rest.as_of = Ts(NOW + 40_000)
    assert len(snapshots(desk, 1)) == 1
    seen = desk.clock.now()
    desk.rest.routes["GET /exchange/user_data_timestamp"] = 503
    heard = [(desk.clock.now(), message) for _ in range(1_800) for message in desk.tick(2)]
    assert len([message for _, message in heard if isinstance(message, ReadFailed)]) > 100, "each is counted elsewhere"
    ((at, told),) = [each for each in heard if not isinstance(each[1], ReadFailed)]
    assert isinstance(told, AccountVisibility)
    assert told.blind_since == seen
    assert 20_000 <= at - seen <= 30_000
    desk.rest.routes["GET /exchange/user_data_timestamp"] = good
    desk.rest.as_of = desk.clock.now()
    sighted, snapshot = (desk.tick(30) or desk.tick(30))[:2]
    assert isinstance(sighted, AccountVisibility)
    assert sighted.blind_since is None
    assert isinstance(snapshot, AccountSnapshot)


def test_writes_that_wait_for_their_timeouts_report_an_unread_account_as_reads_do(desk: Desk):
    """An exchange that hangs takes ten seconds of each cancel, and no tick reads the account meanwhile."""
    desk.rest.as_of = Ts(NOW + 40_000)
    assert len(snapshots(desk, 1)) == 1
    seen = desk.clock.now()

    def hangs(_request: httpx.Request) -> None:
        desk.clock.advance(10)
        raise httpx.ReadTimeout("late")

    desk.rest.routes[CANCEL] = hangs
    said = [[type(message) for message in desk.cancel()] for _ in range(3)]
    assert said == [[CancelFailed], [CancelFailed, AccountVisibility], [CancelFailed]]
    desk.rest.as_of = desk.clock.now()
    sighted = next(message for message in desk.tick(1) if isinstance(message, AccountVisibility))
    assert (seen < sighted.ts, sighted.blind_since) == (True, None)
    desk.clock.advance(30)
    desk.rest.routes[CANCEL] = 404
    assert [type(message) for message in desk.cancel()] == [CancelFailed], "a rejection is an answer"


def test_after_a_reconnect_nobody_decides_before_the_account_was_read(desk: Desk):
    desk.rest.routes["GET /portfolio/positions"] = 503
    unread, failed = desk.venue.observe(FeedState(NOW, True))
    assert (type(unread), type(failed)) == (AccountStale, ReadFailed)
    assert {type(message) for message in desk.tick(2)} <= {ReadFailed}, "which is said once"


@pytest.mark.parametrize(
    ("answer", "is_counted"),
    [(503, True), (httpx.ReadTimeout("silence"), True), ({"cursor": 7}, True), (429, False), (400, False),
     (httpx.ConnectError("no route"), False)],
)  # fmt: skip
def test_a_read_that_fails_is_held_against_the_exchange_only_where_it_was_reached(
    desk: Desk, answer: Any, is_counted: bool
):
    desk.rest.routes["GET /portfolio/positions"] = answer
    assert [type(message) for message in desk.tick(2)] == [ReadFailed] * is_counted


@pytest.mark.parametrize("write", ["submit", "cancel"])
def test_a_key_that_may_only_read_ends_the_run_although_every_read_succeeds(desk: Desk, write: str):
    """F51: 403 to each write, and the account is read well in between."""
    desk.rest.routes[CREATE] = desk.rest.routes[CANCEL] = 403
    for _ in range(3):
        assert len(snapshots(desk, 1)) == 1
        getattr(desk, write)()
    with pytest.raises(CredentialsError, match="resting orders cannot be canceled with this key") as error:
        desk.tick(40)
    assert "web site" in error.value.hint


def test_a_write_that_is_taken_forgets_the_refusals_before_it(desk: Desk):
    for answer in (403, 403, created(), 403, 403):
        desk.rest.routes[CREATE] = answer
        desk.submit()
    assert len(snapshots(desk, 1)) == 1


# -- pauses, and the clock --------------------------------------------------------------------------------------------


def up(**changes: bool) -> dict[str, bool]:
    return {"exchange_active": True, "trading_active": True} | changes


def changes(desk: Desk, ticks: int = 1) -> list[ExchangeChange]:
    found = (message for _ in range(ticks) for message in desk.tick(10))
    return [message for message in found if isinstance(message, ExchangeChange)]


@pytest.mark.parametrize("paused", ["exchange_active", "trading_active"])
def test_a_pause_is_told_when_it_begins_and_when_it_ends_also_while_the_account_cannot_be_read(desk: Desk, paused: str):
    desk.rest.routes[STATUS] = up()
    desk.rest.routes[SCHEDULE] = {"schedule": {"standard_hours": [], "maintenance_windows": []}}
    assert [change.status.trading_active for change in changes(desk, 3)] == [True], "as it is at first, and no more"
    desk.rest.routes["GET /portfolio/orders"] = 503
    desk.rest.routes[STATUS] = up(**{paused: False})
    (change,) = changes(desk, 6)
    assert (getattr(change.status, paused), change.is_announced) == (False, False)
    desk.rest.routes[STATUS] = up()
    (change,) = changes(desk, 6)
    assert change.status.exchange_active
    assert change.status.trading_active


def test_a_pause_inside_an_announced_window_is_announced(desk: Desk):
    window = {"start_datetime": "2026-06-11T06:00:00Z", "end_datetime": "2026-06-11T08:00:00Z"}
    desk.rest.routes[STATUS] = up(trading_active=False)
    desk.rest.routes[SCHEDULE] = {"schedule": {"maintenance_windows": [window]}}
    assert [change.is_announced for change in changes(desk)] == [True]


def dated(desk: Desk, ahead_s: float) -> None:
    """Every account read is dated as if our clock were so far ahead."""

    def answer(request: httpx.Request) -> httpx.Response:
        theirs = datetime.fromtimestamp(desk.clock.now() / 1000 - ahead_s, UTC)
        body = {"as_of_time": theirs.strftime("%Y-%m-%dT%H:%M:%SZ")}
        return httpx.Response(200, headers={"date": format_datetime(theirs, usegmt=True)}, json=body)

    desk.rest.routes["GET /exchange/user_data_timestamp"] = answer


@pytest.mark.parametrize("ahead_s", [-3_600, -37, -6, 6, 37, 3_600])
def test_a_clock_that_is_off_by_more_than_five_seconds_ends_the_run_and_the_offset_is_named(desk: Desk, ahead_s: int):
    """F53, T19: at the second measure, because the first can be a slow reply."""
    dated(desk, ahead_s)
    assert len(snapshots(desk, 1)) == 1
    way = "ahead of" if ahead_s > 0 else "behind"
    with pytest.raises(CredentialsError, match=rf"your clock is [\d.]+ s {way} the exchange") as error:
        desk.tick(40)
    assert (error.value.code, abs(ahead_s) - 1 <= float(error.value.message.split()[7]) <= abs(ahead_s) + 1) == (
        "CLOCK",
        True,
    )


@pytest.mark.parametrize(("ahead_s", "told"), [(-4, 1), (-2, 1), (0, 0), (2, 1), (4, 1)])
def test_a_smaller_skew_is_told_once(desk: Desk, ahead_s: int, told: int):
    dated(desk, ahead_s)
    assert len(snapshots(desk, 5)) == 5
    assert len([text for text in desk.told if "clock" in text]) == told


def test_our_clock_stepping_back_an_hour_ends_no_timeout_and_begins_none(desk: Desk):
    """F54: durations are of the monotonic clock; the skew that follows is found at the next reads."""
    assert len(snapshots(desk, 1)) == 1
    desk.clock.set(Ts(NOW - 3_600_000))
    assert [bool(desk.tick(2)) for _ in range(5)] == [False, False, False, True, False]


def test_a_key_that_is_refused_again_and_again_ends_the_run(desk: Desk):
    desk.rest.routes["GET /exchange/user_data_timestamp"] = 401
    assert snapshots(desk, 3) == []
    with pytest.raises(CredentialsError, match="resting orders cannot be canceled with this key"):
        desk.tick(40)


def test_one_refusal_between_good_reads_is_forgotten(desk: Desk):
    good = desk.rest.routes["GET /exchange/user_data_timestamp"]
    for _ in range(5):
        desk.rest.routes["GET /exchange/user_data_timestamp"] = 401
        assert snapshots(desk, 1) == []
        desk.rest.routes["GET /exchange/user_data_timestamp"] = good
        assert len(snapshots(desk, 1)) == 1


def test_at_start_up_a_failure_is_an_error(desk: Desk):
    desk.rest.routes["GET /portfolio/positions"] = 503
    with pytest.raises(UnreachableError):
        account_snapshot(desk.client, desk.clock, since=NOW)
