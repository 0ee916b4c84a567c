from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.places import SHARED
from support.stream_frames import NOW, commands, delta, encode, snapshot

from kalshi_cli.base.units import Ts, contracts
from kalshi_cli.core.market.order_book import OrderBook
from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, FeedGap, GroupChange, Message, PublicTrade, Quote
from kalshi_cli.exchange.stream import sequencing
from kalshi_cli.exchange.stream.frames import FEES_CHANGED, MarketLifecycleEvent
from kalshi_cli.exchange.stream.sequencing import MARKET_CHANNELS, StreamSession, recorded_frames
from kalshi_cli.feeds.recording_format import decode_line, read_lines

CAPTURES = SHARED / "data" / "ws"


def asked_for(sequencer: StreamSession) -> list[str]:
    """The markets of the snapshots it asks for."""
    return [
        ticker
        for command in commands(sequencer)
        if command["params"].get("action") == "get_snapshot"
        for ticker in command["params"]["market_tickers"]
    ]


def connected(*tickers: str, **options: Any) -> StreamSession:
    """Every channel granted with sids 1, 2, 3... in the order asked; one snapshot of each book taken."""
    sequencer = StreamSession(tickers, **options)
    sequencer.connect()
    for sid, command in enumerate(commands(sequencer), 1):
        channel = command["params"]["channels"][0]
        sequencer.on_frame(encode("subscribed", {"channel": channel, "sid": sid}, id=command["id"]), NOW)
    for seq, ticker in enumerate(tickers, 1):
        assert sequencer.on_frame(snapshot(seq, ticker), NOW)
    assert sequencer.is_whole
    return sequencer


# -- what was not asked for -------------------------------------------------------------------------------------------


FILL = {
    "trade_id": "t", "order_id": "o", "market_ticker": "A", "is_taker": False, "side": "yes", "action": "buy",
    "yes_price_dollars": "0.4700", "count_fp": "3.00", "fee_cost": "0.0100", "ts_ms": 1000, "purchased_side": "yes",
    "post_position_fp": "3.00", "subaccount": 0, "outcome_side": "yes", "book_side": "bid",
}  # fmt: skip
GROUP = {"event_type": "triggered", "order_group_id": "g", "contracts_limit_fp": "9.00"}


@pytest.mark.parametrize("channels", [MARKET_CHANNELS, ()], ids=["paper", "recording"])
@pytest.mark.parametrize(("kind", "body"), [("fill", FILL), ("order_group_updates", GROUP)], ids=["fill", "group"])
def test_frames_of_an_account_whose_channels_were_not_asked_for_are_ignored(kind: str, body: Any, channels: Any):
    frame = encode(kind, body, sid=9, seq=1)
    assert len(StreamSession(["A"]).on_frame(frame, NOW)) == 1, "it is one that would be heard"
    assert StreamSession(["A"], channels=channels).on_frame(frame, NOW) == []


def test_a_market_stream_asks_for_no_channel_of_the_account():
    sequencer = StreamSession(["A"], channels=MARKET_CHANNELS)
    sequencer.connect()
    asked = [command["params"]["channels"] for command in commands(sequencer)]
    assert asked == [["orderbook_delta"], ["ticker"], ["trade"], ["market_lifecycle_v2"]]


# -- subscribing ------------------------------------------------------------------------------------------------------


def test_every_channel_is_asked_for_by_a_command_of_its_own_and_the_book_on_the_yes_scale():
    sequencer = StreamSession(["A", "B"], index_ids=["BRTI"])
    sequencer.connect()
    sent = commands(sequencer)
    by_channel = {command["params"]["channels"][0]: command["params"] for command in sent}
    assert list(by_channel) == [
        "orderbook_delta",
        "ticker",
        "trade",
        "fill",
        "user_orders",
        "order_group_updates",
        "market_lifecycle_v2",
        "cfbenchmarks_value",
    ]
    assert by_channel["orderbook_delta"]["use_yes_price"] is True
    assert by_channel["trade"]["market_tickers"] == ["A", "B"]
    assert by_channel["cfbenchmarks_value"]["index_ids"] == ["BRTI"]
    assert "market_tickers" not in by_channel["fill"]
    assert len({command["id"] for command in sent}) == len(sent)


def test_without_a_market_no_channel_by_ticker_is_asked_for_as_it_would_send_all_markets():
    sequencer = StreamSession()
    sequencer.connect()
    assert [command["params"]["channels"] for command in commands(sequencer)] == [
        ["fill"],
        ["user_orders"],
        ["order_group_updates"],
        ["market_lifecycle_v2"],
    ]


def test_a_market_followed_later_is_added_to_every_channel_by_ticker():
    sequencer = connected("A")
    sequencer.follow(["B"])
    sent = [command["params"] for command in commands(sequencer)]
    assert [(each["sids"], each["action"], each["market_tickers"]) for each in sent[:3]] == [
        ([sid], "add_markets", ["B"]) for sid in (1, 2, 3)
    ]
    assert not sequencer.is_whole
    sequencer.on_frame(encode("ok", {"market_tickers": ["A", "B"]}, id=9, sid=1, seq=2), NOW)
    assert isinstance(sequencer.on_frame(snapshot(3, "B"), NOW)[0], BookSnapshot)
    assert sequencer.is_whole


def test_a_market_followed_while_the_subscription_is_not_granted_yet_is_added_after_the_grant():
    sequencer = StreamSession(["A"], channels=["orderbook_delta"])
    sequencer.connect()
    (subscribe,) = commands(sequencer)
    sequencer.follow(["B"])
    assert commands(sequencer) == []
    sequencer.on_frame(encode("subscribed", {"channel": "orderbook_delta", "sid": 4}, id=subscribe["id"]), NOW)
    (add,) = commands(sequencer)
    assert add["params"] == {"sids": [4], "action": "add_markets", "market_tickers": ["B"]}


def test_a_market_followed_no_longer_is_taken_out_and_does_not_count_as_missing():
    sequencer = connected("A", "B")
    sequencer.unsubscribe_markets(["B"])
    assert {tuple(c["params"]["market_tickers"]) for c in commands(sequencer)} == {("B",)}
    assert sequencer.is_whole
    assert sequencer.tickers == ("A",)


def test_a_new_connection_begins_to_count_anew():
    sequencer = connected("A")
    sequencer.on_frame(delta(2), NOW)
    sequencer.connect()
    (subscribe, *_) = commands(sequencer)
    sequencer.on_frame(encode("subscribed", {"channel": "orderbook_delta", "sid": 1}, id=subscribe["id"]), NOW)
    assert [type(said) for said in sequencer.on_frame(snapshot(1), NOW)] == [BookSnapshot]


# -- counting ---------------------------------------------------------------------------------------------------------


def test_a_gap_makes_every_book_of_the_sid_unusable_and_asks_for_snapshots_of_them():
    sequencer = connected("A", "B")
    said = sequencer.on_frame(delta(4), NOW)
    assert said == [FeedGap(NOW, ("A", "B"), "expected seq 3 of sid 1, got 4")]
    assert asked_for(sequencer) == ["A", "B"]
    assert sequencer.on_frame(delta(5, "B"), NOW) == [], "deltas are held back until the snapshot"
    assert [type(s) for s in sequencer.on_frame(snapshot(6, "A"), NOW)] == [BookSnapshot]
    assert [type(s) for s in sequencer.on_frame(delta(7, "A"), NOW)] == [BookDelta]
    assert sequencer.on_frame(delta(8, "B"), NOW) == []
    assert asked_for(sequencer) == [], "once is enough"


@pytest.mark.parametrize(
    "reply",
    [
        encode("ok", {"market_tickers": ["A"]}, id=7, sid=1, seq=2),
        encode("error", {"code": 26, "msg": "limit"}, id=7, sid=1, seq=2),
        encode("something_new", {"a": 1}, sid=1, seq=2),
    ],
    ids=["ok", "error", "unknown type"],
)
def test_every_frame_of_the_sid_consumes_a_number(reply: bytes):
    sequencer = connected("A")
    assert sequencer.on_frame(reply, NOW) == []
    assert [type(said) for said in sequencer.on_frame(delta(3), NOW)] == [BookDelta]


def test_a_duplicate_is_ignored():
    sequencer = connected("A")
    assert len(sequencer.on_frame(delta(2), NOW)) == 1
    assert sequencer.on_frame(delta(2), NOW) == []
    assert sequencer.on_frame(snapshot(1), NOW) == []
    assert len(sequencer.on_frame(delta(3), NOW)) == 1


def test_two_frames_that_change_places_are_a_gap_and_the_late_one_is_ignored():
    sequencer = connected("A")
    assert [type(said) for said in sequencer.on_frame(delta(3), NOW)] == [FeedGap]
    assert sequencer.on_frame(delta(2), NOW) == []
    assert [type(said) for said in sequencer.on_frame(snapshot(4), NOW)] == [BookSnapshot]


def test_a_first_number_that_is_not_one_is_a_gap():
    sequencer = StreamSession(["A"], channels=["orderbook_delta"])
    sequencer.connect()
    (subscribe,) = commands(sequencer)
    sequencer.on_frame(encode("subscribed", {"channel": "orderbook_delta", "sid": 1}, id=subscribe["id"]), NOW)
    assert [type(said) for said in sequencer.on_frame(delta(2), NOW)] == [FeedGap]
    assert asked_for(sequencer) == ["A"]


def test_an_absurd_number_does_not_deafen_us_to_the_snapshot_that_we_asked_for():
    sequencer = connected("A")
    assert [type(said) for said in sequencer.on_frame(delta(10**9), NOW)] == [FeedGap]
    (ask,) = commands(sequencer)
    assert sequencer.on_frame(delta(3), NOW) == []
    assert [type(said) for said in sequencer.on_frame(snapshot(4, id=ask["id"]), NOW)] == [FeedGap, BookSnapshot]
    assert [type(said) for said in sequencer.on_frame(delta(5), NOW)] == [BookDelta]


def test_a_snapshot_that_comes_late_makes_no_other_book_of_its_sid_count_twice():
    sequencer = connected("A", "B")
    sequencer.on_frame(delta(4), NOW)  # 3 was lost
    (ask,) = commands(sequencer)
    assert sequencer.on_frame(snapshot(6, "B", id=ask["id"]), NOW)  # 5, that of A, is late
    (again,) = commands(sequencer)
    assert sequencer.on_frame(snapshot(7, "B", id=again["id"]), NOW)
    assert sequencer.on_frame(delta(8, "B"), NOW)
    said = sequencer.on_frame(snapshot(5, "A", id=again["id"]), NOW)
    assert [type(each) for each in said] == [FeedGap, BookSnapshot]
    assert [type(each) for each in sequencer.on_frame(delta(8, "B"), NOW)] == [FeedGap], "not a change of B once more"


def test_a_gap_in_the_trades_says_nothing_about_books():
    sequencer = connected("A")
    trade = {"trade_id": "t", "market_ticker": "A", "yes_price_dollars": "0.4700", "count_fp": "1.00"}
    said = sequencer.on_frame(encode("trade", {**trade, "taker_book_side": "bid"}, sid=3, seq=9), NOW)
    assert [type(each) for each in said] == [PublicTrade]
    assert sequencer.is_whole


def test_a_gap_in_the_lifecycle_channel_makes_every_market_worth_a_look():
    sequencer = connected("A", "B")
    body = {"event_type": "determined", "market_ticker": "ELSEWHERE"}
    said = sequencer.on_frame(encode("market_lifecycle_v2", body, sid=7, seq=5), NOW)
    assert [(each.ticker, each.kind) for each in said if isinstance(each, MarketLifecycleEvent)] == [
        ("A", "missed"),
        ("B", "missed"),
    ]


def test_an_order_group_that_trips_is_told_and_counts_towards_its_own_sequence():
    sequencer = connected("A")
    body = {"event_type": "limit_updated", "order_group_id": "g1", "contracts_limit_fp": "150.00", "ts_ms": 7_000}
    assert sequencer.on_frame(encode("order_group_updates", body, sid=6, seq=1), NOW) == [
        GroupChange(Ts(7_000), "g1", "limit_updated", contracts(150))
    ]
    body = {"event_type": "triggered", "order_group_id": "g1", "ts_ms": 8_000}
    for _ in range(2):  # the second time it is a duplicate
        said = sequencer.on_frame(encode("order_group_updates", body, sid=6, seq=2), NOW)
    assert said == []
    assert sequencer.on_frame(encode("order_group_updates", {**body, "ts_ms": 9_000}, sid=6, seq=3), NOW) == [
        GroupChange(Ts(9_000), "g1", "triggered")
    ]


def test_an_event_that_charges_otherwise_is_worth_a_look():
    body = {"event_ticker": "E", "fee_type_override": None, "fee_multiplier_override": None}
    (said,) = connected("A").on_frame(encode("event_fee_update", body, sid=7, seq=1), NOW)
    assert isinstance(said, MarketLifecycleEvent)
    assert (said.kind, said.event_ticker) == (FEES_CHANGED, "E")


def test_the_lifecycle_of_markets_that_nobody_follows_is_left_out():
    sequencer = connected("A")
    for seq, ticker in enumerate(("ELSEWHERE", "A"), 1):
        body = {"event_type": "deactivated", "market_ticker": ticker}
        said = sequencer.on_frame(encode("market_lifecycle_v2", body, sid=7, seq=seq), NOW)
        assert len(said) == (ticker == "A")


# -- damage -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b'{"type":"orderbook_delta","sid":1,"seq":2}',
        b'{"type":"orderbook_delta","sid":1,"seq":2,"msg":{"market_ticker":"\xff\xfe"}}',
        b'{"type":"orderbook_delta","sid":1,"seq":2,"msg":{"market_ticker":"A","price_dollars":"x","delta_fp":"1.00",'
        b'"side":"yes"}}',
        b"\x00\x01",
        b"[]",
    ],
)
def test_a_frame_that_cannot_be_read_is_a_gap_and_the_numbers_go_on_after_it(raw: bytes):
    sequencer = connected("A")
    gaps = [said for said in sequencer.on_frame(raw, NOW) if isinstance(said, FeedGap)]
    assert [gap.tickers for gap in gaps] == [("A",)]
    assert asked_for(sequencer) == ["A"]
    assert [type(said) for said in sequencer.on_frame(snapshot(3), NOW)] == [BookSnapshot]
    assert [type(said) for said in sequencer.on_frame(delta(4), NOW)] == [BookDelta]


def test_a_book_that_nobody_asked_for_is_ignored():
    sequencer = connected("A")
    assert [sequencer.on_frame(raw, NOW) for raw in (delta(2, "B"), snapshot(3, "B"), delta(4, "B"))] == [[], [], []]
    assert len(sequencer.on_frame(delta(5, "A"), NOW)) == 1


def test_where_no_market_was_named_a_change_without_a_book_is_a_gap_of_that_book_alone():
    sequencer = StreamSession()
    sequencer.connect()
    assert len(sequencer.on_frame(snapshot(1, "A"), NOW)) == 1
    assert sequencer.on_frame(delta(2, "B"), NOW) == [
        FeedGap(NOW, ("B",), "an order book change arrived before its snapshot")
    ]
    assert sequencer.on_frame(delta(3, "B"), NOW) == [], "said once"
    assert len(sequencer.on_frame(delta(4, "A"), NOW)) == 1


def test_made_up_subscriptions_and_books_are_kept_up_to_a_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sequencing, "MAX_SIDS", 20)
    monkeypatch.setattr(sequencing, "MAX_TICKERS", 3)
    made_up = StreamSession()
    made_up.connect()
    assert sum(len(made_up.on_frame(snapshot(number, f"T{number}"), NOW)) for number in range(1, 9)) == 3
    live = connected("A")
    for sid in range(50, 90):
        live.on_frame(encode("rfq_created", {}, sid=sid), NOW)
    assert len(live._subscriptions) == 20
    assert len(live.on_frame(delta(2, "A"), NOW)) == 1


def test_an_unknown_type_is_told_once_and_a_blank_line_never():
    told: list[str] = []
    sequencer = connected("A", tell=told.append)
    for raw in (b"\n", b"", encode("rfq_created", {}, sid=77), encode("rfq_created", {}, sid=77)):
        assert sequencer.on_frame(raw, NOW) == []
    assert len(told) == 1
    assert "rfq_created" in told[0]


@pytest.mark.parametrize("code", [10, 25])
def test_a_terminal_error_ends_the_subscription_and_a_new_one_is_asked_for(code: int):
    told: list[str] = []
    sequencer = connected("A", tell=told.append)
    said = sequencer.on_frame(encode("error", {"code": code, "msg": "overflow"}, sid=1, seq=2), NOW)
    assert [type(each) for each in said] == [FeedGap]
    (again,) = [c for c in commands(sequencer) if c["cmd"] == "subscribe"]
    assert again["params"]["channels"] == ["orderbook_delta"]
    assert str(code) in told[0]
    assert sequencer.on_frame(snapshot(3), NOW) == [], "the old sid is dead"
    sequencer.on_frame(encode("subscribed", {"channel": "orderbook_delta", "sid": 40}, id=again["id"]), NOW)
    assert len(sequencer.on_frame(snapshot(1, sid=40), NOW)) == 1
    assert sequencer.is_whole


def test_a_refused_book_is_a_gap_and_is_asked_for_again_by_the_repair():
    told: list[str] = []
    sequencer = StreamSession(["A"], channels=["orderbook_delta", "fill"], tell=told.append)
    sequencer.connect()
    book, fill = commands(sequencer)
    sequencer.on_frame(encode("subscribed", {"channel": "fill", "sid": 2}, id=fill["id"]), NOW)
    assert not sequencer.is_answered
    said = sequencer.on_frame(encode("error", {"code": 18, "msg": "command timeout"}, id=book["id"]), NOW)
    assert [each.tickers for each in said if isinstance(each, FeedGap)] == [("A",)]
    assert "18" in told[0]
    assert sequencer.is_answered
    assert not sequencer.is_whole
    sequencer.repair()
    (again,) = commands(sequencer)
    assert again["params"] == book["params"]


def test_the_repair_asks_again_for_a_snapshot_that_never_came():
    sequencer = connected("A", "B")
    sequencer.on_frame(delta(9), NOW)
    commands(sequencer)
    sequencer.on_frame(snapshot(10, "B"), NOW)
    sequencer.repair()
    assert asked_for(sequencer) == ["A"]


def test_a_resync_holds_the_changes_back_until_the_snapshot_and_a_probe_does_not():
    sequencer = connected("A")
    sequencer.resync(["A"])
    assert asked_for(sequencer) == ["A"]
    assert sequencer.on_frame(delta(2), NOW) == []
    assert len(sequencer.on_frame(snapshot(3), NOW)) == 1
    assert sequencer.probe()
    assert asked_for(sequencer) == ["A"]
    assert len(sequencer.on_frame(delta(4), NOW)) == 1


# -- property: whatever the network does, a book that is believed is right --------------------------------------------


class Truth:
    """The exchange's side of one sid with two markets: numbers every frame, keeps the true books."""

    def __init__(self) -> None:
        self.seq = 0
        self.books = {"A": 0, "B": 0}

    def frame(self, ticker: str, change: int | None, command: int = 0) -> bytes:
        self.seq += 1
        if change is None:
            level = self.books[ticker]
            body = {"market_ticker": ticker}
            if level:
                body["yes_dollars_fp"] = [["0.4700", f"{level}.00"]]  # type: ignore[assignment]
            return encode("orderbook_snapshot", body, sid=1, seq=self.seq, **({"id": command} if command else {}))
        self.books[ticker] += change
        return delta(self.seq, ticker, f"{change}.00")


class Client:
    """Ours: a sequencer and the books that it keeps. With `is_blind` it is broken: gaps do not reach the books."""

    def __init__(self, *, is_blind: bool) -> None:
        self.sequencer = StreamSession(["A", "B"], channels=["orderbook_delta"])
        self.sequencer.connect()
        (subscribe,) = commands(self.sequencer)
        granted = encode("subscribed", {"channel": "orderbook_delta", "sid": 1}, id=subscribe["id"])
        self.sequencer.on_frame(granted, NOW)
        self.books = {ticker: OrderBook(ticker) for ticker in "AB"}
        self.is_blind = is_blind
        self.gaps = self.right = 0

    def deliver(self, raw: bytes) -> None:
        for said in self.sequencer.on_frame(raw, NOW):
            if isinstance(said, BookSnapshot):
                self.books[said.ticker].load(said.bids, said.asks, said.ts)
            elif isinstance(said, BookDelta):
                self.books[said.ticker].apply(said.side, said.price, said.delta, said.ts)
            elif isinstance(said, FeedGap):
                self.gaps += 1
                for ticker in () if self.is_blind else said.tickers:
                    self.books[ticker].invalidate(said.reason)

    def compare(self, truth: Truth) -> None:
        for name, book in self.books.items():
            if book.is_usable:
                assert (book.bid.qty if book.bid else 0) == truth.books[name] * 100, name
                self.right += 1


def play(network: list[tuple[str, str, int]], *, is_blind: bool = False) -> Client:
    """One frame a step, and what the network makes of it; whenever nothing is on its way, the books are compared."""
    truth, client = Truth(), Client(is_blind=is_blind)
    late: list[bytes] = []
    for ticker in "AB":
        client.deliver(truth.frame(ticker, None))
    for fate, ticker, change in network:
        raw = truth.frame(ticker, change)
        if fate == "late":
            late.append(raw)
            continue
        arrivals = {"drop": [], "corrupt": [raw[:-3]], "twice": [raw, raw]}.get(fate, [raw])
        for arrival in (*arrivals, *late):
            client.deliver(arrival)
        late.clear()
        if fate == "answer":
            for command in commands(client.sequencer):
                for wanted in command["params"]["market_tickers"]:
                    client.deliver(truth.frame(wanted, None, command["id"]))
        if fate in ("ok", "twice", "answer"):
            client.compare(truth)
    return client


FATES = ["ok", "ok", "ok", "answer", "drop", "twice", "late", "corrupt"]
STEPS = st.lists(st.tuples(st.sampled_from(FATES), st.sampled_from("AB"), st.integers(1, 9)), max_size=30)


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_a_book_that_is_believed_is_the_exchanges_book_whatever_is_dropped_doubled_or_damaged(
    network: list[tuple[str, str, int]],
):
    play(network)


def test_the_property_above_reaches_gaps_and_recoveries_and_fails_for_a_book_that_ignores_gaps():
    network = [("ok", "A", 1), ("drop", "A", 2), ("ok", "B", 1), ("answer", "A", 1), ("ok", "B", 1)]
    client = play(network)
    assert client.right >= 6
    assert client.gaps == 1
    with pytest.raises(AssertionError):
        play(network, is_blind=True)


# -- recordings of the exchange ---------------------------------------------------------------------------------------


def replay(path: Path, use_yes_price: bool = False) -> list[Message]:
    if not path.exists():
        pytest.skip(f"the recordings are not here: {path.name}")
    said: list[Message] = []
    readers: dict[int, Any] = {}
    for _, raw in read_lines(path):
        line = decode_line(raw)
        if not line.note:
            reader = readers.setdefault(line.conn, recorded_frames(use_yes_price=use_yes_price))
            said += reader(bytes(line.frame) or raw, line.recv_ts)
    return said


def uncrossed_at_every_ts(said: list[Message]) -> int:
    """Rebuild the books; the number of moments looked at."""
    books: dict[str, OrderBook] = {}
    looked = 0
    for at, message in enumerate(said):
        if isinstance(message, BookSnapshot):
            books.setdefault(message.ticker, OrderBook(message.ticker)).load(message.bids, message.asks, message.ts)
        elif isinstance(message, BookDelta):
            book = books[message.ticker]
            book.apply(message.side, message.price, message.delta, message.ts)
            following = said[at + 1] if at + 1 < len(said) else None
            if not (isinstance(following, BookDelta) and following.ts == message.ts):
                assert book.is_usable
                assert not book.is_crossed
                looked += 1
    return looked


def test_a_whole_capture_has_no_gap_and_its_books_are_never_crossed_between_events():
    """The short one: tests/feeds/test_recordings.py reads all of them."""
    said = replay(CAPTURES / "kxbtc15m-20260511T0531Z.jsonl.gz")
    assert not [each for each in said if isinstance(each, FeedGap)]
    assert sum(isinstance(each, BookDelta) for each in said) == 2_964
    assert sum(isinstance(each, Quote) for each in said) == 29
    assert uncrossed_at_every_ts(said) > 296


def test_the_capture_with_a_hole_has_exactly_its_one_gap():
    said = replay(CAPTURES / "kxbtc15m-20260513T1752Z-holed.jsonl.gz")
    (gap,) = [each for each in said if isinstance(each, FeedGap)]
    assert gap.tickers == ("KXBTC15M-26MAY131400-00",)
    assert gap.reason == "expected seq 34925 of sid 2, got 35427"
    after = said[said.index(gap) + 1]
    assert isinstance(after, BookSnapshot), "the closing snapshot is believed again"
    assert (after.ticker, after.bids) == (gap.tickers[0], ())


def test_the_acknowledgements_of_added_markets_in_a_real_capture_are_counted():
    said = replay(CAPTURES / "frames-mlb-wnba-20260807.jsonl")
    kinds = [type(each) for each in said]
    assert kinds.count(BookSnapshot) == 12
    assert kinds.count(BookDelta) == 245
    assert FeedGap not in kinds


def test_both_price_conventions_of_the_demo_exchange_are_read_as_one_book():
    flipped = replay(CAPTURES / "frames-demo-tennis-20260611-noleg.jsonl", use_yes_price=False)
    plain = replay(CAPTURES / "frames-demo-tennis-20260611-yes.jsonl", use_yes_price=True)
    asks = [each.asks[0][0] for each in (*flipped, *plain) if isinstance(each, BookSnapshot)]
    assert asks == [5200, 5200]
