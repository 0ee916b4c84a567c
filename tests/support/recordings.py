"""Recordings small enough to read in a test."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from kalshi_cli.base.units import Ts, format_ts
from kalshi_cli.core.model.messages import Message
from kalshi_cli.exchange.stream.sequencing import recorded_frames
from kalshi_cli.feeds.recorded_events import FrameDecoder
from kalshi_cli.feeds.replay import Replay

T0 = Ts(1_780_000_000_000)
"""When the exchange sends the first delta of a test."""

TICKER = "KXA-26MAY01-T1"


def new_decoder(use_yes_price: bool) -> FrameDecoder:
    return recorded_frames(use_yes_price=use_yes_price)


class Tape:
    """Writes lines as a recorder does; `skew_ms` is how far its clock is ahead of the exchange's."""

    def __init__(self, skew_ms: int = 0) -> None:
        self.lines: list[bytes] = []
        self.conn = 0
        self.now = T0
        self._skew_ms = skew_ms
        self._seq = 0

    def reconnect(self) -> Tape:
        self.conn += 1
        self._seq = 0
        return self

    def note(self, event: str, **fields: Any) -> Tape:
        return self._line(note={"event": event, **fields})

    def watch(self, ticker: str = TICKER, close_in_s: int = 60, **fields: Any) -> Tape:
        close = format_ts(Ts(T0 + close_in_s * 1000))
        return self.note("watch_market", market_ticker=ticker, close_time=close, status="active", **fields)

    def snapshot(
        self, yes: dict[str, str] | None = None, no: dict[str, str] | None = None, ticker: str = TICKER
    ) -> Tape:
        msg: dict[str, Any] = {"market_ticker": ticker, "market_id": "m"}
        msg |= {"yes_dollars_fp": list(yes.items())} if yes else {}
        msg |= {"no_dollars_fp": list(no.items())} if no else {}
        return self._numbered("orderbook_snapshot", msg)

    def delta(
        self, after_ms: int = 0, side: str = "yes", price: str = "0.4000", by: str = "1.00", ticker: str = TICKER
    ) -> Tape:
        self.now = Ts(self.now + after_ms)
        msg = {"market_ticker": ticker, "price_dollars": price, "delta_fp": by, "side": side, "ts_ms": self.now}
        return self._numbered("orderbook_delta", msg)

    def quote(self, at: Ts | None = None, ticker: str = TICKER, last: str = "0.4200") -> Tape:
        fields = {"yes_bid_dollars": "0.4000", "yes_ask_dollars": "0.4400", "price_dollars": last}
        sizes = {"yes_bid_size_fp": "1.00", "yes_ask_size_fp": "1.00", "volume_fp": "9.00"}
        msg = {"market_ticker": ticker, **fields, **sizes, "ts_ms": self.now if at is None else at}
        return self._line(frame={"type": "ticker", "sid": 1, "msg": msg})

    def news(self, kind: str, **fields: Any) -> Tape:
        """A frame of a channel that is not numbered by market."""
        return self._line(frame={"type": kind, "sid": 3, "msg": fields})

    def skip(self, numbers: int) -> Tape:
        """So many frames of the book were never recorded."""
        self._seq += numbers
        return self

    def write(self, path: Path) -> Path:
        text = b"".join(line + b"\n" for line in self.lines)
        path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
        return path

    def _numbered(self, kind: str, msg: dict[str, Any]) -> Tape:
        self._seq += 1
        return self._line(frame={"type": kind, "sid": 2, "seq": self._seq, "msg": msg})

    def _line(self, **body: Any) -> Tape:
        self.lines.append(
            msgspec.json.encode({"recv_ns": (self.now + self._skew_ms) * 10**6, "conn": self.conn, **body})
        )
        return self


Play = Callable[..., list[Message]]


def play(*files: Path, **options: Any) -> list[Message]:
    return list(Replay(files, new_decoder=new_decoder, **options))
