"""A frame of an unknown type may name a sid before the exchange has announced it."""

from __future__ import annotations

from support.stream_frames import NOW, commands, delta, encode, snapshot

from kalshi_cli.core.model.messages import BookDelta, BookSnapshot, FeedGap
from kalshi_cli.exchange.stream.sequencing import StreamSession


def test_a_sid_first_met_in_a_frame_of_an_unknown_type_is_counted_from_its_announcement_on() -> None:
    sequencer = StreamSession(["A"], channels=["orderbook_delta"])
    sequencer.connect()
    (subscribe,) = commands(sequencer)
    assert sequencer.on_frame(encode("brand_new", {"a": 1}, sid=1), NOW) == []
    sequencer.on_frame(encode("subscribed", {"channel": "orderbook_delta", "sid": 1}, id=subscribe["id"]), NOW)
    assert [type(said) for said in sequencer.on_frame(snapshot(1), NOW)] == [BookSnapshot]
    assert sequencer.is_whole, "nothing is subscribed to a second time"
    assert [type(said) for said in sequencer.on_frame(delta(2), NOW)] == [BookDelta]
    assert [type(said) for said in sequencer.on_frame(delta(4), NOW)] == [FeedGap]
