"""Tapes: recordings of the real exchange where they are, and recordings of the simulated one made in virtual time."""

from __future__ import annotations

import gzip
import heapq
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from kalshi_cli.base.units import Price, Ts, parse_price
from kalshi_cli.core.model.messages import BookSnapshot, FairValue, Message, NewsSignal, ReferencePrice, SpotPrice, Tick
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.exchange.live.families import EventFamilyCache
from kalshi_cli.exchange.stream.sequencing import Said, recorded_frames
from kalshi_cli.feeds.recorded_results import read_results
from kalshi_cli.feeds.recorder import Recorder
from kalshi_cli.feeds.replay import Replay
from kalshi_cli.services.markets.market_query import run_markets
from kalshi_cli.strategies.registry import BUILT_IN
from verification.replay.compare import strategies_of
from verification.strategies.outside import Outside
from verification.strategies.stage import Stage

DATA = Path(__file__).parents[3] / "shared" / "data"
"""The recordings of May 2026, which are no part of this repository."""

MODEL_EVERY_MS, NEWS_EVERY_MS = 10_000, 60_000


def recordings() -> list[Path]:
    """Return the real tapes; none where they are absent."""
    return sorted([*DATA.glob("tapes/*.jsonl.gz"), *DATA.glob("ws/kx*.jsonl.gz")])


def read_tape(path: Path, spots: Path | None = None) -> list[Message]:
    """Return the messages of a recording with the coin's price, and a model and news made up from the time."""
    results = {}
    for known in (DATA / "tapes" / "results.json", DATA / "results" / "kxbtc15m.json"):
        if known.is_file():
            results.update(read_results(known))
    feed = Replay(
        [path], new_decoder=lambda use_yes_price: recorded_frames(use_yes_price=use_yes_price), results=results
    )
    messages = list(_with_opinions(feed))
    if spots is None or not messages:
        return messages
    first, last = messages[0].ts, messages[-1].ts
    prices = (each for each in coin_prices(spots) if first <= each.ts <= last)
    return list(heapq.merge(messages, prices, key=lambda message: message.ts))


@cache
def coin_prices(path: Path) -> tuple[Message, ...]:
    """Return the prices of the coin beside the tapes, as an outside price and as the index."""
    found: list[Message] = []
    with gzip.open(path, "rt") as file:
        for line in file:
            recv_ns, _, price = line.strip().partition(",")
            if recv_ns.isdigit():
                ts, at = Ts(int(recv_ns) // 1_000_000), parse_price(price)
                found += [ReferencePrice(ts, "BRTI", at), SpotPrice(ts, "BTC", at, "recorded")]
    return tuple(found)


def _with_opinions(feed: Replay) -> Iterator[Message]:
    ticker = ""
    for message in feed:
        yield message
        if isinstance(message, BookSnapshot):
            ticker = message.ticker
        elif isinstance(message, Tick) and ticker:
            second = message.ts // 1000
            if second % (MODEL_EVERY_MS // 1000) == 0:
                yield FairValue(message.ts, ticker, Price(1_000 + second * 7_919 % 8_000), "tape")
            if second % (NEWS_EVERY_MS // 1000) == 0:
                side = BID if second // 60 % 2 else ASK
                yield NewsSignal(message.ts, f"n{second}", ticker, side, 9_000)


def record_world(path: Path, seed: int, minutes: float) -> None:
    """Record the simulated exchange for some virtual minutes, with all that strategies hear from outside."""
    stage = Stage(seed)
    families = EventFamilyCache(stage.client)
    stage.client.refresh_limits()
    recorder = Recorder(path, stage)
    markets = run_markets(stage.client, stage.now(), (), "")
    for market in markets:
        recorder.watch(market, families.fees(market), families.family(market))
    recorder.connected(use_yes_price=True)
    sequencer = stage.stream._sequencer
    take = sequencer.on_frame

    def on_frame(raw: bytes | str, recv_ts: Ts) -> list[Said]:
        recorder.frame(raw)
        return take(raw, recv_ts)

    sequencer.on_frame = on_frame  # type: ignore[method-assign]
    stage.stream.connect(market.ticker for market in markets)
    wanted = [each for name in BUILT_IN for one in strategies_of(name) for each in one.inputs()]
    Outside(stage, wanted, recorder.heard)
    stage.wait(minutes * 60)
    recorder.close()
    stage.client.close()
