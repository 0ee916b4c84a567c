"""What the stream may do to us: nonsense, trouble with single markets, messages that come late, and a second view."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.moved_clock import MovedClock
from support.scripted_rest import ScriptedRest, market_body
from support.scripted_stream import ScriptedWs, wait_until
from wsproto.utilities import LocalProtocolError

from kalshi_cli.base.clock import SystemClock
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import (
    BookDelta,
    BookSnapshot,
    BookVerification,
    FeedGap,
    FeedState,
    MarketChange,
    Message,
    Tick,
)
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.live.live_feed import CHECK_EVERY_S, MAX_CHECKED, MAX_LAG_MS, TURN_S, LiveFeed
from kalshi_cli.exchange.rest.signing import Signer
from kalshi_cli.exchange.stream.frames import FrameError, decode_frame, to_message
from kalshi_cli.exchange.stream.reader import Stream, StreamTimings
from kalshi_cli.exchange.stream.sequencing import StreamSession
from kalshi_cli.exchange.wire.markets import read_market
from kalshi_cli.net.websocket import Framing, FramingError

NOW = Ts(5_000)
DAY_MS = 86_400_000

# -- nonsense ---------------------------------------------------------------------------------------------------------

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["0.4700", "-1.00", "1e9", "NaN", "\ud800", "9" * 400, 2**63, -(2**63)]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
VALID: list[dict[str, Any]] = [
    {
        "type": "orderbook_snapshot", "sid": 1, "seq": 3, "id": 9, "sending_ts_ms": 1000,
        "msg": {"market_ticker": "A", "yes_dollars_fp": [["0.4700", "3.00"]], "no_dollars_fp": [["0.5200", "2.00"]]},
    },
    {
        "type": "orderbook_delta", "sid": 1, "seq": 3,
        "msg": {"market_ticker": "A", "price_dollars": "0.4700", "delta_fp": "1.00", "side": "yes", "ts_ms": 1000},
    },
    {
        "type": "trade", "sid": 3, "seq": 1,
        "msg": {"trade_id": "t", "market_ticker": "A", "yes_price_dollars": "0.3600", "count_fp": "1.00",
                "taker_book_side": "ask", "ts_ms": 1000},
    },
    {"type": "error", "sid": 1, "seq": 3, "id": 1, "msg": {"code": 11, "msg": "no", "market_tickers": ["A"]}},
    {"type": "ok", "sid": 1, "seq": 3, "id": 1, "msg": {"market_tickers": ["A"]}},
    {"type": "subscribed", "id": 1, "msg": {"channel": "orderbook_delta", "sid": 1}},
    {"type": "unsubscribed", "id": 1, "sid": 1, "seq": 3},
    {"type": "market_lifecycle_v2", "sid": 7, "seq": 1,
     "msg": {"event_type": "close_date_updated", "market_ticker": "A", "close_ts": 1781159360}},
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A frame of the exchange in which something, at any depth, is gone, of another type, or too much."""
    frame = json.loads(json.dumps(draw(st.sampled_from(VALID))))
    place = frame if draw(st.booleans()) or not isinstance(frame.get("msg"), dict) else frame["msg"]
    key = draw(st.sampled_from(sorted(place)) | st.text(max_size=3))
    if draw(st.booleans()):
        place.pop(key, None)
    else:
        place[key] = draw(ANYTHING)
    return json.dumps(frame).encode()


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_are_frames_or_a_framing_error(chunks: list[bytes]) -> None:
    framing = Framing()
    try:
        for chunk in chunks:
            for opcode, payload in framing.feed(chunk):
                assert (type(opcode), type(payload)) == (int, bytes)
    except FramingError:
        return


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200) | damaged())
def test_any_text_is_a_frame_or_a_frame_error(raw: bytes) -> None:
    try:
        frame = decode_frame(raw)
        if frame is not None:
            to_message(frame, recv_ts=NOW)
    except FrameError:
        return


def encode(kind: str, body: Any = None, **envelope: Any) -> bytes:
    return json.dumps({"type": kind, **envelope, **({} if body is None else {"msg": body})}).encode()


def snapshot(seq: int, ticker: str) -> bytes:
    return encode("orderbook_snapshot", {"market_ticker": ticker}, sid=1, seq=seq)


def delta(seq: int, ticker: str) -> bytes:
    body = {"market_ticker": ticker, "price_dollars": "0.4700", "delta_fp": "1.00", "side": "yes", "ts_ms": 1000}
    return encode("orderbook_delta", body, sid=1, seq=seq)


def asked(sequencer: StreamSession) -> list[tuple[int, str, list[str]]]:
    """Id, command or action, and markets of what it sends."""
    sent = [json.loads(raw) for raw in sequencer.outbox]
    sequencer.outbox.clear()
    return [(each["id"], each["params"].get("action", each["cmd"]), each["params"]["market_tickers"]) for each in sent]


def books_of(*tickers: str, tell: Callable[[str], None] = lambda _: None) -> tuple[StreamSession, int]:
    """The book channel of these markets, granted; and the id of the command that asked for it."""
    sequencer = StreamSession(tickers, channels=["orderbook_delta"], tell=tell)
    sequencer.connect()
    ((command, _, _),) = asked(sequencer)
    sequencer.on_frame(encode("subscribed", {"channel": "orderbook_delta", "sid": 1}, id=command), NOW)
    return sequencer, command


@settings(max_examples=300, deadline=None)
@given(st.lists(st.binary(max_size=60) | damaged() | st.sampled_from(VALID).map(lambda v: json.dumps(v).encode())))
def test_whatever_comes_the_reader_goes_on_and_a_snapshot_makes_the_book_good_again(frames: list[bytes]) -> None:
    sequencer, _ = books_of("A")
    for raw in frames:
        sequencer.on_frame(raw, NOW)
    sequencer.connect()
    (command, *_), *_ = asked(sequencer)
    sequencer.on_frame(encode("subscribed", {"channel": "orderbook_delta", "sid": 1}, id=command), NOW)
    (book,) = sequencer.on_frame(snapshot(1, "A"), NOW)
    assert isinstance(book, BookSnapshot)
    assert sequencer.is_whole


# -- trouble with single markets --------------------------------------------------------------------------------------


def refusal(command: int, *tickers: str, code: int = 11, seq: int | None = None) -> bytes:
    envelope = {"id": command} if seq is None else {"id": command, "sid": 1, "seq": seq}
    return encode("error", {"code": code, "msg": "no such market", "market_tickers": list(tickers)}, **envelope)


def test_a_market_that_is_refused_costs_no_other_and_is_asked_for_alone() -> None:
    told: list[str] = []
    sequencer, command = books_of("A", "B", tell=told.append)
    sequencer.on_frame(snapshot(1, "A"), NOW)
    (gap,) = sequencer.on_frame(refusal(command, "B"), NOW)
    assert isinstance(gap, FeedGap)
    assert (gap.tickers, "no such market" in gap.reason) == (("B",), True)
    assert told == ["stream error 11: no such market (orderbook_delta: B)"]
    assert not sequencer.is_whole
    sequencer.on_frame(delta(3, "A"), NOW)
    assert [each[1:] for each in asked(sequencer)] == [("get_snapshot", ["A"])], "a gap asks for what can be had"
    assert sequencer.on_frame(snapshot(4, "A"), NOW)
    sequencer.repair()
    ((again, action, tickers),) = asked(sequencer)
    assert (action, tickers) == ("add_markets", ["B"])
    assert sequencer.on_frame(refusal(again, "B", seq=5), NOW)
    assert len(told) == 1
    sequencer.repair()
    assert [each[1:] for each in asked(sequencer)] == [("add_markets", ["B"])]
    sequencer.on_frame(encode("ok", {"market_tickers": ["A", "B"]}, sid=1, seq=6), NOW)
    assert isinstance(sequencer.on_frame(snapshot(7, "B"), NOW)[0], BookSnapshot)
    assert sequencer.is_whole


def test_a_refusal_that_names_no_market_is_followed_by_a_question_about_each() -> None:
    sequencer, _ = books_of("A", "B")
    sequencer.on_frame(snapshot(1, "A"), NOW)
    sequencer.on_frame(snapshot(2, "B"), NOW)
    sequencer.on_frame(delta(4, "A"), NOW)
    ((command, _, _),) = asked(sequencer)
    assert sequencer.on_frame(refusal(command, seq=5), NOW) == []
    first, second = asked(sequencer)
    assert [first[1:], second[1:]] == [("get_snapshot", ["A"]), ("get_snapshot", ["B"])]
    (gap,) = sequencer.on_frame(refusal(second[0], seq=6), NOW)
    assert isinstance(gap, FeedGap)
    assert gap.tickers == ("B",)
    assert asked(sequencer) == []


def test_when_a_whole_channel_is_refused_for_one_market_the_others_are_asked_for_at_once() -> None:
    sequencer = StreamSession(["A", "B"], channels=["orderbook_delta"])
    sequencer.connect()
    ((command, _, _),) = asked(sequencer)
    (gap,) = sequencer.on_frame(refusal(command, "B"), NOW)
    assert isinstance(gap, FeedGap)
    ((again, what, tickers),) = asked(sequencer)
    assert (what, tickers) == ("subscribe", ["A"])
    sequencer.on_frame(encode("subscribed", {"channel": "orderbook_delta", "sid": 1}, id=again), NOW)
    assert [each[1:] for each in asked(sequencer)] == [("add_markets", ["B"])]


@pytest.mark.parametrize("code", [18, 27])
def test_an_error_that_passes_blames_no_market(code: int) -> None:
    told: list[str] = []
    sequencer, _ = books_of("A", "B", tell=told.append)
    sequencer.on_frame(snapshot(1, "A"), NOW)
    sequencer.on_frame(delta(3, "A"), NOW)
    ((command, _, _),) = asked(sequencer)
    assert sequencer.on_frame(refusal(command, code=code, seq=4), NOW) == []
    assert len(told) == 1
    sequencer.repair()
    assert [each[1:] for each in asked(sequencer)] == [("get_snapshot", ["A", "B"])]


def test_a_refused_market_that_nobody_wants_any_more_is_forgotten() -> None:
    sequencer, command = books_of("A", "B")
    sequencer.on_frame(snapshot(1, "A"), NOW)
    sequencer.on_frame(refusal(command, "B"), NOW)
    sequencer.unsubscribe_markets(["B"])
    assert sequencer.is_whole
    sequencer.repair()
    assert asked(sequencer) == []


# -- messages that come late, and a second view -----------------------------------------------------------------------


class SkippedSleep(MovedClock):
    """A sleep is over at once, and its time has passed."""

    def sleep(self, seconds: float) -> None:
        self.move(max(0.0, seconds))


class Scene:
    """A live feed of two markets over a scripted exchange, on a clock that a test moves."""

    def __init__(self, key: Any, server: ScriptedWs, **options: Any) -> None:
        self.clock = SkippedSleep()
        self.server = server
        self.told: list[str] = []
        self.rest = ScriptedRest(self.clock.now())
        bodies = [market_body(name, open_time=Ts(0), close_time=Ts(self.clock.now() + DAY_MS)) for name in "AB"]
        self.rest.routes["GET /markets"] = lambda _: {"markets": bodies, "cursor": ""}
        self.rest.routes["GET /markets/orderbooks"] = lambda request: {
            "orderbooks": [
                {"ticker": ticker, "orderbook_fp": {"yes_dollars": [["0.3000", "1.00"]]}}
                for ticker in request.url.params.get_list("tickers")
            ]
        }
        signer = Signer("key-id", key, SystemClock())
        self.client = KalshiClient(
            "http://127.0.0.1:1/trade-api/v2", clock=self.clock, rng=random.Random(1), signer=signer,
            transport=self.rest,
        )  # fmt: skip
        pace = StreamTimings(connect_s=20, first_pause_s=0.01, longest_pause_s=0.05)
        size = options.pop("queue_size", 100_000)
        self.stream = Stream(
            server.url, signer, SystemClock(), random.Random(1), tickers=["A", "B"], pace=pace, queue_size=size
        )
        self.feed = LiveFeed(
            self.stream, self.client, self.clock,
            markets=[read_market(msgspec.json.encode({"market": body})) for body in bodies],
            tell=self.told.append, **({"interval_s": 0.05} | options),
        )  # fmt: skip
        self.messages = iter(self.feed)
        self.seen: list[Message] = []
        self.stream.start()

    def until(self, kind: type, count: int = 1) -> Any:
        for _ in range(600):
            self.seen.append(next(self.messages))
            count -= isinstance(self.seen[-1], kind)
            if not count:
                return self.seen[-1]
        raise AssertionError("waited in vain")


@pytest.fixture
def server() -> Iterator[ScriptedWs]:
    with ScriptedWs("A", "B") as scripted:
        yield scripted


@pytest.fixture
def scene(server: ScriptedWs, rsa_key: Any) -> Iterator[Callable[..., Scene]]:
    made: list[Scene] = []

    def make(**options: Any) -> Scene:
        made.append(Scene(rsa_key, server, **options))
        return made[-1]

    yield make
    for each in made:
        each.stream.stop()


def test_after_each_connection_the_stream_is_live_before_its_first_book(scene: Callable[..., Scene]) -> None:
    """At that message the venue reads the account: nobody may have decided on a book before."""
    one = scene()
    one.until(BookSnapshot, 2)
    one.server.cut()
    one.until(BookSnapshot, 2)
    kinds = [type(each) for each in one.seen if isinstance(each, BookSnapshot | FeedState | FeedGap)]
    assert kinds == [FeedState, BookSnapshot, BookSnapshot, FeedGap, FeedState, FeedState, BookSnapshot, BookSnapshot]


def test_the_lag_of_messages_is_measured_and_what_is_wrong_with_our_clock_is_taken_off(
    scene: Callable[..., Scene],
) -> None:
    one = scene(interval_s=0.2)
    one.until(BookSnapshot, 2)
    one.server.delta("A", "0.4700", "1.00", ts=SystemClock().now() - 4_000)
    one.until(BookDelta)
    one.until(Tick)
    assert one.feed.lag_ms is not None
    assert 4_000 <= one.feed.lag_ms < 9_000
    one.until(Tick, 2)
    assert one.feed.lag_ms is None, "nothing came"
    one.clock.move(8.0)  # we are ahead, and the exchange's Date says so
    answer = httpx.Response(200, headers={"date": formatdate(usegmt=True)}, content=b'{"orderbooks": []}')
    one.rest.routes["GET /markets/orderbooks"] = lambda _: answer
    one.client.orderbooks(["A"])
    assert one.client.clock_skew_ms is not None
    assert one.client.clock_skew_ms > 6_000
    one.until(Tick)
    one.server.delta("A", "0.4700", "1.00", ts=SystemClock().now() - 4_000)
    one.until(BookDelta)
    one.until(Tick)
    assert one.feed.lag_ms is not None
    assert one.feed.lag_ms < 9_000


@pytest.mark.parametrize("is_snapshot", [False, True])
def test_books_that_come_too_late_are_thrown_away_with_all_that_waits(
    scene: Callable[..., Scene], is_snapshot: bool
) -> None:
    one = scene()
    one.until(BookSnapshot, 2)
    old = SystemClock().now() - MAX_LAG_MS - 2_000
    if is_snapshot:
        with one.server._lock:
            one.server.seqs[1] += 1
            body = {"market_ticker": "A", "yes_dollars_fp": [["0.4700", "3.00"]]}
            frame = {"type": "orderbook_snapshot", "sid": 1, "seq": one.server.seqs[1], "msg": body}
            one.server.send({**frame, "sending_ts_ms": old})
    else:
        one.server.delta("A", "0.4700", "1.00", ts=old)
    one.server.delta("A", "0.4700", "2.00", ts=old)
    before = len(one.seen)
    gap = one.until(FeedGap)
    assert gap.tickers == ()
    assert "late" in gap.reason
    one.until(BookSnapshot, 2)
    assert not [each for each in one.seen[before:] if isinstance(each, BookDelta)]
    assert one.server.connections >= 2


def test_a_slow_strategy_keeps_the_time_and_is_told_that_it_is_slow_instead_of_filling_memory(
    scene: Callable[..., Scene],
) -> None:
    one = scene(queue_size=500)
    one.until(BookSnapshot, 2)
    between, most, sent = 0, 0, 0
    while not (isinstance(one.seen[-1], FeedState) and not one.seen[-1].is_live):
        with suppress(OSError, KeyError, AssertionError, LocalProtocolError):  # between two connections
            for _ in range(100 if one.stream.is_live else 0):
                one.server.delta("A", "0.4700", "1.00", ts=one.clock.now())
                sent += 1
        one.seen.append(next(one.messages))
        one.clock.move(0.6)  # so long does it take
        between = 0 if isinstance(one.seen[-1], Tick) else between + 1
        most = max(most, between)
        counted = sum(not isinstance(said, FeedState | FeedGap) for said in one.feed._pending)
        assert counted <= 500  # why nothing more comes, a gap and a state, is kept beyond it
        assert sent < 5_000
    assert "too slow" in one.seen[-1].reason
    assert most <= 2 + TURN_S / 0.6 + 2


def test_a_close_that_comes_earlier_is_taken_at_once_and_a_later_one_after_a_read(scene: Callable[..., Scene]) -> None:
    one = scene(interval_s=30.0)
    one.until(BookSnapshot, 2)
    close = SystemClock().now() + 60_000
    for seconds, ticker in ((close // 1000 + 10 * DAY_MS, "B"), (close // 1000, "GONE"), (close // 1000, "A")):
        body = {"event_type": "close_date_updated", "market_ticker": ticker, "close_ts": seconds}
        one.server.sequenced("market_lifecycle_v2", "market_lifecycle_v2", body)
    changed = one.until(MarketChange).market
    assert (changed.ticker, changed.close_time) == ("A", close // 1000 * 1000)
    assert not [each for each in one.seen[3:] if isinstance(each, Tick)]


def test_books_are_compared_with_a_read_at_intervals_those_with_orders_first(scene: Callable[..., Scene]) -> None:
    one = scene(quoted=lambda: ["B", "NOT-OPEN"])
    one.until(Tick, 3)
    assert not one.rest.calls("GET /markets/orderbooks")
    wait_until(lambda: one.stream.is_live)
    one.clock.move(CHECK_EVERY_S)
    assert one.until(BookVerification).ticker == "B"
    found = one.until(BookVerification)
    assert (found.ticker, found.bids, found.asks) == ("A", ((3_000, 100),), ())
    one.until(Tick, 3)
    assert len(one.rest.calls("GET /markets/orderbooks")) == 1
    assert MAX_CHECKED <= 100, "one request"


def test_a_comparison_that_fails_is_told_once_and_nothing_is_disputed(scene: Callable[..., Scene]) -> None:
    one = scene()
    one.until(BookSnapshot, 2)
    one.rest.routes["GET /markets/orderbooks"] = 500
    for _ in range(2):
        one.clock.move(CHECK_EVERY_S)
        one.until(Tick, 2)
    assert len([text for text in one.told if "verified" in text]) == 1
    assert not [each for each in one.seen if isinstance(each, BookVerification)]


def test_nothing_is_compared_while_there_is_no_stream(scene: Callable[..., Scene]) -> None:
    one = scene()
    one.until(BookSnapshot, 2)
    one.stream.stop()
    wait_until(lambda: not one.stream.is_live)
    one.clock.move(CHECK_EVERY_S)
    one.until(Tick, 4)
    assert not [each for each in one.seen if isinstance(each, BookVerification)]


def test_books_are_not_read_while_changes_from_before_the_cut_are_still_to_come(scene: Callable[..., Scene]) -> None:
    one = scene(interval_s=0.5)
    one.until(BookSnapshot, 2)
    for _ in range(30):
        one.server.delta("A", "0.4700", "1.00", ts=one.clock.now())
    wait_until(lambda: len(one.stream.inbox) + len(one.feed._pending) >= 30)
    one.stream.stop()
    for _ in range(20):
        one.seen.append(next(one.messages))
        one.clock.move(0.6)
    one.until(BookSnapshot)
    kinds = [type(each) for each in one.seen]
    last_change = max(at for at, kind in enumerate(kinds) if kind is BookDelta)
    assert kinds[:last_change].count(BookSnapshot) == 2, "those of the stream"
