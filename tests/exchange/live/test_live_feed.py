from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from support.moved_clock import MovedClock
from support.scripted_rest import ScriptedRest, market_body
from support.scripted_stream import ScriptedWs, wait_until

from kalshi_cli.base.clock import Clock, ManualClock, SystemClock
from kalshi_cli.base.errors import CredentialsError, UnreachableError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.markets import FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.messages import (
    BookDelta,
    BookSnapshot,
    FeedGap,
    FeedState,
    Filled,
    GroupEnd,
    MarketChange,
    Message,
    StateCommand,
    Tick,
    WaitingChanges,
)
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.dates import MAX_AHEAD_MS
from kalshi_cli.exchange.live.live_feed import LiveFeed
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.stream.reader import Stream, StreamTimings
from kalshi_cli.exchange.wire.markets import read_market

NOW = Ts(1_781_159_360_000)
OPEN = Ts(NOW - 3_600_000)
CLOSE = Ts(NOW + 3_600_000)
STOP = StateCommand(NOW, None, "test")


def market(ticker: str = "A", status: str = "active", *, open_time: Ts = OPEN, close_time: Ts = CLOSE) -> Market:
    body = market_body(ticker, status, open_time=open_time, close_time=close_time)
    return read_market(msgspec.json.encode({"market": body}))


class Setting:
    """A feed over a scripted exchange. Messages are taken one by one, each with a limit on the patience."""

    def __init__(
        self, key: Any, *markets: Market, clock: Clock | None = None, url: str = "", interval_s: float = 0.05
    ) -> None:
        self.clock = clock or SystemClock()
        self.told: list[str] = []
        self.rest = ScriptedRest(NOW)
        self.listed: list[dict[str, Any]] = []
        self.rest.routes["GET /markets"] = lambda _: {"markets": self.listed, "cursor": ""}
        self.rest.routes["GET /markets/orderbooks"] = lambda request: {
            "orderbooks": [
                {"ticker": ticker, "orderbook_fp": {"yes_dollars": [["0.3000", "1.00"]]}}
                for ticker in request.url.params.get_list("tickers")
            ]
        }
        signer = Signer("key-id", key, SystemClock())
        client = KalshiClient(
            "http://127.0.0.1:1/trade-api/v2",
            clock=self.clock,
            rng=random.Random(1),
            signer=signer,
            transport=self.rest,
        )
        self.stream: Stream | None = None
        if url:
            pace = StreamTimings(connect_s=20, first_pause_s=0.01, longest_pause_s=0.05)
            tickers = [each.ticker for each in markets]
            self.stream = Stream(url, signer, SystemClock(), random.Random(1), tickers=tickers, pace=pace)
        self.new: list[MarketChange] = []
        self.charges: list[FeeSchedule | Exception] = []
        self.feed = LiveFeed(
            self.stream,
            client,
            self.clock,
            markets=markets,
            interval_s=interval_s,
            discover=lambda: self.new,
            charge=self.charge,
            tell=self.told.append,
        )
        self.messages = iter(self.feed)
        self.seen: list[Message] = []

    def charge(self, market: Market) -> FeeSchedule:
        """What a market charges now; an error where there is none to take."""
        found = self.charges.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def until(self, condition: Callable[[Message], bool], limit: int = 2_000) -> Message:
        for _ in range(limit):
            message = next(self.messages)
            self.seen.append(message)
            if condition(message):
                return message
        raise AssertionError("waited in vain")

    def until_a(self, kind: type) -> Any:
        return self.until(lambda message: isinstance(message, kind))

    def ticks(self, count: int) -> list[Message]:
        """Everything up to and including so many ticks."""
        start = len(self.seen)
        for _ in range(count):
            self.until_a(Tick)
        return self.seen[start:]


@pytest.fixture
def server() -> Iterator[ScriptedWs]:
    with ScriptedWs("A", "B") as scripted:
        yield scripted


Arrange = Callable[..., Setting]


@pytest.fixture
def arrange(rsa_key: Any) -> Iterator[Arrange]:
    made: list[Setting] = []

    def make(*markets: Market, **options: Any) -> Setting:
        made.append(Setting(rsa_key, *(markets or (market(),)), **options))
        return made[-1]

    yield make
    for setting in made:
        if setting.stream is not None:
            setting.stream.stop()


@pytest.fixture
def live(arrange: Arrange, server: ScriptedWs) -> Setting:
    """Connected and live; the first book was given out."""
    far = Ts(SystemClock().now() + 86_400_000)
    setting = arrange(market("A", close_time=far), market("B", close_time=far), url=server.url)
    assert setting.stream is not None
    setting.stream.start()
    assert setting.until_a(FeedState).is_live
    return setting


# -- ticks, commands, the end -----------------------------------------------------------------------------------------


def test_a_tick_comes_at_once_and_then_each_interval_and_never_as_a_burst(arrange: Arrange):
    clock = ManualClock(NOW)
    setting = arrange(clock=clock, interval_s=2.0)
    setting.ticks(1)
    clock.advance(20)
    setting.ticks(1)
    clock.advance(1.9)
    setting.feed.request(STOP)
    assert setting.until(lambda _: True) == STOP, "no second tick before the interval is over"


def test_a_tick_comes_at_the_end_of_a_run_before_its_interval_is_over(arrange: Arrange):
    clock = ManualClock(NOW)
    setting = arrange(clock=clock, interval_s=2.0)
    outside = StateCommand(NOW, TradingState.HALTED, "test")
    setting.feed.tick_at(clock.monotonic() + 0.5)
    setting.ticks(1)
    clock.advance(0.5)
    setting.feed.enqueue(outside)
    assert isinstance(setting.until(lambda message: isinstance(message, Tick) or message is outside), Tick)
    clock.advance(1.9)
    assert setting.until(lambda _: True) is outside, "and then after an interval again"


def test_ticks_come_while_the_stream_says_nothing(live: Setting):
    assert len([each for each in live.ticks(3) if isinstance(each, Tick)]) == 3


def test_a_command_comes_before_what_waits_and_one_without_a_state_ends_the_feed(live: Setting, server: ScriptedWs):
    halt = StateCommand(NOW, TradingState.HALTED, "test")
    for _ in range(50):
        server.delta("A", "0.4700", "1.00")
    assert live.stream is not None
    wait_until(lambda: len(live.stream.inbox) >= 50)  # type: ignore[union-attr]
    live.until_a(BookDelta)
    live.feed.request(halt)
    live.feed.request(STOP)
    assert [next(live.messages), next(live.messages)] == [halt, STOP]
    assert list(live.messages) == []


def test_a_signal_handler_may_ask_for_the_end_while_the_feed_waits(arrange: Arrange):
    setting = arrange(interval_s=60)
    setting.ticks(1)
    before = signal.signal(signal.SIGUSR1, lambda *_: setting.feed.request(STOP))
    try:
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        assert setting.until(lambda _: True) == STOP
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_a_refused_key_ends_the_feed_with_the_error(arrange: Arrange, server: ScriptedWs):
    server.refusals = [401]
    setting = arrange(url=server.url)
    assert setting.stream is not None
    setting.stream.start()
    with pytest.raises(CredentialsError):
        setting.until(lambda _: False)
    assert any(isinstance(each, FeedState) and not each.is_live for each in setting.seen)


def test_ticks_that_take_longer_than_the_interval_do_not_starve_the_stream(arrange: Arrange, server: ScriptedWs):
    clock = ManualClock(NOW)
    setting = arrange(clock=clock, url=server.url, interval_s=2.0)
    assert setting.stream is not None
    setting.stream.start()
    wait_until(lambda: setting.stream.is_live)  # type: ignore[union-attr]
    while not any(isinstance(each, BookSnapshot) for each in setting.seen):
        setting.until(lambda _: True)
        clock.advance(3)
        assert len(setting.seen) < 10


# -- what the stream says ---------------------------------------------------------------------------------------------


def test_a_delta_knows_that_another_of_the_same_event_follows(live: Setting, server: ScriptedWs):
    assert live.stream is not None
    start = SystemClock().now()
    for ticker, ts in (("A", 1), ("A", 1), ("A", 2), ("B", 2), ("B", 2), ("B", 3)):
        server.delta(ticker, "0.4700", "1.00", ts=start + ts)
    wait_until(lambda: len(live.stream.inbox) >= 6)  # type: ignore[union-attr]
    deltas: list[Any] = []
    while len(deltas) < 6:
        deltas.append(live.until_a(BookDelta))
    assert [(each.ticker, each.ts - start, each.has_more) for each in deltas] == [
        ("A", 1, True),
        ("A", 1, False),
        ("A", 2, False),
        ("B", 2, True),
        ("B", 2, False),
        ("B", 3, False),
    ]
    assert (deltas[0].price, deltas[0].delta) == (4700, 100)


def test_no_message_of_the_stream_is_given_out_as_of_a_time_that_is_yet_to_come(live: Setting, server: ScriptedWs):
    """One that is believed makes an order that it sets off live for an hour, and empties the order rate."""
    wild = Ts(SystemClock().now() + 3_600_000)
    server.delta("A", "0.4700", "1.00", ts=wild)
    server.delta("A", "0.4800", "1.00", ts=wild)
    server.sequenced("fill", "fill", {
        "trade_id": "t1", "order_id": "o1", "market_ticker": "A", "is_taker": True, "yes_price_dollars": "0.4700",
        "count_fp": "1.00", "fee_cost": "0.0100", "book_side": "bid", "ts_ms": wild,
    })  # fmt: skip
    assert live.stream is not None
    inbox = live.stream.inbox
    wait_until(lambda: len(inbox) >= 3)
    first, second, filled = live.until_a(BookDelta), live.until_a(BookDelta), live.until_a(Filled)
    latest = SystemClock().now() + MAX_AHEAD_MS
    assert max(first.ts, second.ts, filled.ts, filled.fill.ts) <= latest
    assert (first.has_more, second.has_more) == (True, False), "and what belongs together still does"


def test_a_gap_comes_before_anything_that_follows_it(live: Setting, server: ScriptedWs):
    server.delta("A", "0.4700", "1.00", skip=1)
    server.delta("A", "0.4700", "1.00")
    live.until_a(FeedGap)
    assert isinstance(live.until(lambda each: isinstance(each, BookDelta | BookSnapshot)), BookSnapshot)


def test_the_age_of_the_last_message_is_known(live: Setting):
    age = live.feed.last_message_age_s
    assert age is not None
    assert 0 <= age < 5


def test_after_the_process_was_suspended_nothing_from_before_is_given_out(arrange: Arrange, server: ScriptedWs):
    clock = MovedClock()
    setting = arrange(market(close_time=Ts(clock.now() + 86_400_000)), clock=clock, url=server.url, interval_s=60)
    assert setting.stream is not None
    setting.stream.start()
    setting.until_a(FeedState)
    server.delta("A", "0.4700", "1.00")
    wait_until(lambda: len(setting.stream.inbox) >= 1)  # type: ignore[union-attr]
    clock.skipped_s = 31
    gap = next(setting.messages)
    assert isinstance(gap, FeedGap)
    assert gap.tickers == ()
    assert "31 s" in gap.reason
    while not setting.until_a(FeedState).is_live:
        pass
    assert not [each for each in setting.seen if isinstance(each, BookDelta)]
    assert server.connections == 2


def test_a_host_that_slept_is_noticed_by_the_wall_clock(arrange: Arrange):
    clock = ManualClock(NOW)
    setting = arrange(clock=clock, interval_s=2.0)
    setting.ticks(1)
    clock._now_ms += 3_000_000  # the monotonic clock stood still
    assert isinstance(next(setting.messages), FeedGap)


def test_less_than_the_limit_is_no_suspension(arrange: Arrange):
    clock = ManualClock(NOW)
    setting = arrange(clock=clock, interval_s=2.0)
    setting.ticks(1)
    clock.advance(29)
    assert not any(isinstance(each, FeedGap) for each in setting.ticks(1))


# -- polling ----------------------------------------------------------------------------------------------------------


def test_without_a_stream_the_books_are_polled_at_every_interval_and_that_is_said_once(arrange: Arrange):
    clock = ManualClock(NOW)
    setting = arrange(clock=clock, interval_s=2.0)
    for _ in range(3):
        setting.ticks(1)
        clock.advance(2)
    kinds = [type(each) for each in setting.seen]
    assert kinds == [FeedState, BookSnapshot, Tick, BookSnapshot, Tick, BookSnapshot, Tick]
    assert not setting.seen[0].is_live  # type: ignore[attr-defined]
    assert len(setting.told) == 1


def test_while_books_are_polled_markets_are_read_again_too(arrange: Arrange):
    """No stream says that one was paused, or that its close was moved."""
    clock = ManualClock(NOW)
    setting = arrange(clock=clock, interval_s=10.0)
    setting.listed = [market_body("A", "active", open_time=OPEN, close_time=CLOSE)]
    for _ in range(8):
        setting.ticks(1)
        clock.advance(10)
    assert len(setting.rest.calls("GET /markets")) == 2


def test_markets_that_open_are_followed_once_a_minute(arrange: Arrange):
    clock = ManualClock(NOW)
    setting = arrange(clock=clock, interval_s=20.0)
    fees = FeeSchedule(multiplier=500)
    setting.listed = [market_body(ticker, "active", open_time=OPEN, close_time=CLOSE) for ticker in "AB"]
    setting.new = [MarketChange(NOW, market(), None), MarketChange(NOW, market("B"), fees)]
    for _ in range(7):
        setting.ticks(1)
        clock.advance(20)
    found = [each for each in setting.seen if isinstance(each, MarketChange) and each.fees is not None]
    assert [(each.market.ticker, each.fees) for each in found] == [("B", fees)]
    assert {each.ticker for each in setting.seen if isinstance(each, BookSnapshot)} == {"A", "B"}


def test_polling_that_fails_is_told_once_and_goes_on(arrange: Arrange):
    clock = ManualClock(NOW)
    setting = arrange(clock=clock, interval_s=2.0)
    whole = setting.rest.routes["GET /markets/orderbooks"]
    setting.rest.routes["GET /markets/orderbooks"] = 500
    for _ in range(3):
        setting.ticks(1)
        clock.advance(2)
    assert len([text for text in setting.told if "could not be read" in text]) == 1
    setting.rest.routes["GET /markets/orderbooks"] = whole
    assert any(isinstance(each, BookSnapshot) for each in setting.ticks(1))


def test_polling_takes_over_two_seconds_after_the_stream_went_down_and_ends_when_it_is_back(
    arrange: Arrange, server: ScriptedWs
):
    clock = ManualClock(NOW)
    setting = arrange(clock=clock, url=server.url, interval_s=1.0)
    assert not [each for each in setting.ticks(1) if isinstance(each, BookSnapshot)], "it is down since just now"
    clock.advance(1.0)
    assert not [each for each in setting.ticks(1) if isinstance(each, BookSnapshot)]
    clock.advance(1.0)
    polled = [each for each in setting.ticks(1) if isinstance(each, BookSnapshot)]
    assert polled[0].bids == ((3000, 100),)
    assert setting.stream is not None
    setting.stream.start()
    wait_until(lambda: setting.stream.is_live)  # type: ignore[union-attr]
    assert setting.until_a(BookSnapshot).bids == ((4700, 300),)
    calls = len(setting.rest.calls("GET /markets/orderbooks"))
    clock.advance(1.0)
    setting.ticks(1)
    assert len(setting.rest.calls("GET /markets/orderbooks")) == calls
    assert setting.told[-1] == "The stream is connected again"


def test_a_poll_that_the_stream_overtook_is_thrown_away(arrange: Arrange, server: ScriptedWs):
    clock = ManualClock(NOW)
    setting = arrange(clock=clock, url=server.url, interval_s=1.0)
    assert setting.stream is not None
    whole = setting.rest.routes["GET /markets/orderbooks"]

    def slow(_: Any) -> Any:
        setting.stream.start()  # type: ignore[union-attr]
        wait_until(lambda: setting.stream.is_live)  # type: ignore[union-attr]
        return whole

    setting.rest.routes["GET /markets/orderbooks"] = slow
    while not any(isinstance(each, BookSnapshot) for each in setting.seen):
        setting.ticks(1)
        clock.advance(1.0)
    books = [each for each in setting.seen if isinstance(each, BookSnapshot)]
    assert [book.bids for book in books] == [((4700, 300),)]


# -- markets ----------------------------------------------------------------------------------------------------------


def changes(messages: list[Message]) -> list[tuple[str, MarketStatus]]:
    return [(each.market.ticker, each.market.status) for each in messages if isinstance(each, MarketChange)]


def test_an_event_that_charges_otherwise_is_asked_about_until_it_answers(live: Setting, server: ScriptedWs):
    dear = FeeSchedule(multiplier=2000)
    live.charges = [UnreachableError("no answer"), dear, dear]
    event = market().event_ticker
    body = {"event_ticker": event, "fee_type_override": None, "fee_multiplier_override": 2}
    server.sequenced("market_lifecycle_v2", "event_fee_update", body)
    live.until(lambda message: isinstance(message, MarketChange) and message.fees == dear)
    live.until(lambda message: isinstance(message, MarketChange) and message.fees == dear)
    assert live.told == [f"The current fees of {event} could not be read: no answer"]
    live.ticks(3)
    assert live.charges == [], "both markets of the event, once"


def test_a_lifecycle_message_makes_the_market_be_read_again(live: Setting, server: ScriptedWs):
    live.ticks(2)  # the reads after coming up
    calls = len(live.rest.calls("GET /markets"))
    live.listed = [market_body("A", "inactive", open_time=OPEN, close_time=CLOSE)]
    server.sequenced("market_lifecycle_v2", "market_lifecycle_v2", {"event_type": "deactivated", "market_ticker": "A"})
    assert live.until_a(MarketChange).market.status is MarketStatus.INACTIVE
    assert live.rest.calls("GET /markets")[calls]["tickers"] == "A"


def test_when_the_stream_comes_up_every_market_is_read_in_one_request(live: Setting):
    live.ticks(2)
    assert set(live.rest.calls("GET /markets")[0]["tickers"].split(",")) == {"A", "B"}


def test_a_market_closes_by_our_own_clock_and_is_read_until_it_is_final(arrange: Arrange):
    clock = ManualClock(NOW)
    setting = arrange(market(close_time=Ts(NOW + 10_000)), clock=clock, interval_s=2.0)
    setting.ticks(1)
    clock.advance(9.9)
    assert changes(setting.ticks(1)) == []
    clock.advance(2)
    assert changes(setting.ticks(1)) == [("A", MarketStatus.CLOSED)]
    assert setting.rest.calls("GET /markets") == []
    setting.listed = [market_body("A", "active", open_time=OPEN, close_time=Ts(NOW + 10_000))]
    clock.advance(5)
    assert changes(setting.ticks(1)) == [("A", MarketStatus.CLOSED)], "a read that trails the clock is not believed"
    for status in ("determined", "finalized"):
        setting.listed = [market_body("A", status, open_time=OPEN, close_time=Ts(NOW + 10_000))]
        clock.advance(29)
        setting.ticks(1)
        clock.advance(2)
        setting.ticks(1)
    assert changes(setting.seen)[-2:] == [("A", MarketStatus.DETERMINED), ("A", MarketStatus.FINALIZED)]
    calls = len(setting.rest.seen)
    clock.advance(29)
    setting.ticks(1)
    assert len(setting.rest.calls("GET /markets")) <= calls


def test_a_close_that_moved_later_keeps_the_market_open(arrange: Arrange):
    clock = ManualClock(NOW)
    setting = arrange(market(close_time=Ts(NOW + 1_000)), clock=clock, interval_s=2.0)
    setting.listed = [market_body("A", "active", open_time=OPEN, close_time=CLOSE)]
    for _ in range(4):
        setting.ticks(1)
        clock.advance(2)
    assert changes(setting.ticks(1)) == [("A", MarketStatus.ACTIVE)]


def test_a_market_opens_by_its_clock_once_the_exchange_says_so(arrange: Arrange):
    clock = ManualClock(NOW)
    setting = arrange(market(status="initialized", open_time=Ts(NOW + 3_000)), clock=clock, interval_s=2.0)
    setting.ticks(1)
    assert setting.rest.calls("GET /markets") == []
    setting.listed = [market_body("A", "active", open_time=Ts(NOW + 3_000), close_time=CLOSE)]
    clock.advance(3)
    assert changes(setting.ticks(1)) == [("A", MarketStatus.ACTIVE)]


def test_markets_that_cannot_be_read_are_tried_again_and_told_once(arrange: Arrange):
    clock = ManualClock(NOW)
    setting = arrange(market(status="initialized", open_time=NOW), clock=clock, interval_s=2.0)
    setting.rest.routes["GET /markets"] = 500
    for _ in range(8):
        setting.ticks(1)
        clock.advance(2)
    assert len([text for text in setting.told if "markets" in text]) == 1
    assert changes(setting.seen) == []


def test_a_market_that_the_exchange_does_not_know_is_given_up_after_a_while(arrange: Arrange):
    clock = ManualClock(NOW)
    setting = arrange(market(status="initialized", open_time=NOW), clock=clock, interval_s=2.0)
    for _ in range(20):
        setting.ticks(1)
        clock.advance(5)
    assert len(setting.rest.calls("GET /markets")) == 5
    assert "no longer knows market A" in setting.told[-1]


def test_a_final_market_is_taken_out_of_the_stream(live: Setting, server: ScriptedWs):
    live.listed = [
        market_body("A", "finalized", open_time=OPEN, close_time=CLOSE),
        market_body("B", "active", open_time=OPEN, close_time=Ts(SystemClock().now() + 86_400_000)),
    ]
    live.ticks(2)
    wait_until(lambda: server.actions("delete_markets"))
    assert {tuple(each["market_tickers"]) for each in server.actions("delete_markets")} == {("A",)}


def test_a_market_followed_later_is_subscribed_to(live: Setting, server: ScriptedWs):
    server.levels["C"] = ([["0.1000", "1.00"]], [])
    live.feed.follow([market("C", close_time=Ts(SystemClock().now() + 86_400_000))])
    assert live.until(lambda each: isinstance(each, BookSnapshot) and each.ticker == "C")


def test_the_end_of_a_group_is_told_once_a_later_delta_or_silence_shows_it(live: Setting, server: ScriptedWs):
    assert live.stream is not None
    start = SystemClock().now()
    for ticker, ts in (("A", 1), ("A", 1), ("B", 1), ("A", 2), ("A", 3)):
        server.delta(ticker, "0.4700", "1.00", ts=start + ts)
    wait_until(lambda: len(live.stream.inbox) >= 5)  # type: ignore[union-attr]
    live.until(lambda message: isinstance(message, GroupEnd) and message.ts == start + 3)
    told: list[Any] = [
        (each.ticker, each.ts - start, each.has_more, each.may_continue)
        if isinstance(each, BookDelta)
        else (each.tickers, each.ts - start)
        for each in live.seen
        if isinstance(each, BookDelta | GroupEnd)
    ]
    assert told == [
        ("A", 1, True, False),
        ("A", 1, False, True),
        ("B", 1, False, False),
        (("A",), 1),
        ("A", 2, False, False),
        ("A", 3, False, True),
        (("A",), 3),
    ]
    server.delta("A", "0.4700", "1.00", ts=start + 3)
    assert live.until_a(BookDelta).may_continue
    assert live.until_a(GroupEnd).ts == start + 3, "a late one has an end as well"


def start_with_two_books(arrange: Arrange, server: ScriptedWs, clock: MovedClock) -> Setting:
    far = Ts(clock.now() + 86_400_000)
    setting = arrange(
        market("A", close_time=far), market("B", close_time=far), clock=clock, url=server.url, interval_s=60
    )
    assert setting.stream is not None
    setting.stream.start()
    for _ in range(2):
        setting.until_a(BookSnapshot)
    return setting


def test_changes_that_waited_for_a_slow_step_are_counted_before_anything_is_decided(
    arrange: Arrange, server: ScriptedWs
):
    clock = MovedClock()
    setting = start_with_two_books(arrange, server, clock)
    start = clock.now()
    server.delta("A", "0.4700", "1.00", ts=start)
    assert setting.until_a(BookDelta).may_continue
    waiting = [("A", 1), ("A", 2), ("B", 3), ("A", 4)]
    for ticker, ts in waiting:
        server.delta(ticker, "0.4700", "1.00", ts=start + ts)
    wait_until(lambda: len(setting.stream.inbox) >= len(waiting))  # type: ignore[union-attr]
    clock.skipped_s = 1.0
    assert next(setting.messages) == WaitingChanges(Ts(start + 1), {"A": 3, "B": 1}), "before the group that ends"
    assert [type(next(setting.messages)) for _ in range(5)] == [GroupEnd, *4 * [BookDelta]]


def test_changes_that_arrive_while_nothing_is_handled_do_not_wait(arrange: Arrange, server: ScriptedWs):
    setting = start_with_two_books(arrange, server, clock := MovedClock())

    def send() -> None:
        for ts in (1, 2, 3):
            server.delta("A", "0.4700", "1.00", ts=clock.now() + 100 * ts)

    sender = threading.Timer(0.1, send)
    sender.start()
    clock.skipped_s = -0.1  # the time of the test itself is no slow step
    for _ in range(3):
        setting.until_a(BookDelta)
    assert not any(isinstance(each, WaitingChanges) for each in setting.seen)
    sender.join()
