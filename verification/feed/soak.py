"""Millions of messages through the reader, the queue and the engine: memory must not grow."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

from kalshi_cli.base.units import Ts
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import ResyncBook
from kalshi_cli.core.model.messages import FeedGap, FeedState, Message, Tick
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.state import EngineState
from kalshi_cli.exchange.stream.inbox import MessageQueue
from kalshi_cli.exchange.stream.sequencing import BOOK, Said, StreamSession
from kalshi_cli.net.websocket import Framing
from verification.feed.stage import T0, TICKERS, framed, market_of

BATCH = 1_000
GAP_EVERY = 50_000


class Soak(NamedTuple):
    messages: int
    gaps: int
    slope_kib: float
    """Growth of the resident memory in KiB for a million messages, after the first fifth."""
    threads: int
    descriptors: int
    seconds: float


class _Tape:
    """What an exchange would send of two books that breathe in and out, with trades, tickers and now and then a gap."""

    def __init__(self) -> None:
        self._seqs = {1: 0, 2: 0}
        self._prices: dict[str, dict[int, None]] = {ticker: {} for ticker in TICKERS}
        self._is_growing = dict.fromkeys(TICKERS, True)
        self._count = 0

    def frames(self, count: int) -> bytes:
        return b"".join(framed(self._next()) for _ in range(count))

    def answer(self, command: int) -> bytes:
        return b"".join(framed(self._snapshot(ticker, command)) for ticker in TICKERS)

    def _number(self, sid: int) -> int:
        self._seqs[sid] += 1
        return self._seqs[sid]

    def _snapshot(self, ticker: str, command: int) -> bytes:
        levels = ",".join(f'["0.{price}00","1.00"]' for price in self._prices[ticker])
        body = f'"market_ticker":"{ticker}","yes_dollars_fp":[{levels}],"no_dollars_fp":[["0.6000","1.00"]]'
        seq = self._number(1)
        return f'{{"type":"orderbook_snapshot","id":{command},"sid":1,"seq":{seq},"msg":{{{body}}}}}'.encode()

    def _next(self) -> bytes:
        self._count += 1
        n, ticker, ts = self._count, TICKERS[self._count % 2], T0 + self._count
        if n % GAP_EVERY == 0:
            self._number(1)
        if n % 10 == 0:
            body = f'"trade_id":"t{n}","yes_price_dollars":"0.4100","count_fp":"1.00","taker_book_side":"bid"'
            kind, sid = "trade", 2
        else:
            price, change = self._breathe(self._prices[ticker], ticker)
            body = f'"price_dollars":"0.{price}00","delta_fp":"{change}.00","side":"yes"'
            kind, sid = "orderbook_delta", 1
        msg = f'{{"market_ticker":"{ticker}",{body},"ts_ms":{ts}}}'
        return f'{{"type":"{kind}","sid":{sid},"seq":{self._number(sid)},"msg":{msg}}}'.encode()

    def _breathe(self, prices: dict[int, None], ticker: str) -> tuple[int, int]:
        """Twenty levels are added, best last, and taken away again."""
        if self._is_growing[ticker]:
            price, change = 20 + len(prices), 1
            prices[price] = None
        else:
            price, change = prices.popitem()[0], -1
        self._is_growing[ticker] = not prices or (self._is_growing[ticker] and len(prices) < 20)
        return price, change


def soak(messages: int) -> Soak:
    """So many frames, in batches as a socket would give them; what the sequencer asks for is answered."""
    began = time.monotonic()
    tape, framing, inbox = _Tape(), Framing(), MessageQueue[Said](100_000)
    sequencer = StreamSession(TICKERS, channels=[BOOK, "trade"])
    engine = TradingEngine(
        EngineState(markets=[market_of(ticker) for ticker in TICKERS], now=T0),
        RiskLimits(),
        [],
        new_id=str,
        order_expiry_s=60,
    )
    sequencer.connect()
    sequencer.outbox.clear()
    for sid, channel in ((1, BOOK), (2, "trade")):
        granted = f'{{"type":"subscribed","id":{sid},"msg":{{"channel":"{channel}","sid":{sid}}}}}'
        sequencer.on_frame(granted, T0)
    engine.step(FeedState(T0, is_live=True))
    wire, done, gaps, warm = tape.answer(0), 0, 0, 0.0
    while done < messages:
        wire += tape.frames(BATCH)
        done += BATCH
        now = Ts(T0 + done)
        said = [each for _, text in framing.feed(wire) for each in sequencer.on_frame(text, now)]
        wire = b"".join(tape.answer(done) for _ in sequencer.outbox)
        sequencer.outbox.clear()
        assert inbox.put(said)
        gaps += _heard(inbox, engine, now)
        if not warm and done >= messages // 5:
            warm = _resident_kib()
    slope = (_resident_kib() - warm) / (0.8 * messages / 1e6)
    descriptors = len(os.listdir("/proc/self/fd"))
    return Soak(done, gaps, slope, threading.active_count(), descriptors, time.monotonic() - began)


def _heard(inbox: MessageQueue[Said], engine: TradingEngine, now: Ts) -> int:
    heard: deque[Any] = deque()
    inbox.take(heard)
    for each in (*heard, Tick(now)):
        if isinstance(each, Message):
            effects = engine.step(each)
            assert not any(isinstance(effect, ResyncBook) for effect in effects), "the tape itself is wrong"
    return sum(1 for each in heard if isinstance(each, FeedGap))


def _resident_kib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
