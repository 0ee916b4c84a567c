"""Frames of the stream as the exchange writes them, and the commands that a sequencer sends."""

from __future__ import annotations

import json
from typing import Any

from kalshi_cli.base.units import Ts
from kalshi_cli.exchange.stream.sequencing import StreamSession
from support.specification import SPECS, check_command

NOW = Ts(5_000)


def encode(kind: str, body: Any = None, **envelope: Any) -> bytes:
    return json.dumps({"type": kind, **envelope, **({} if body is None else {"msg": body})}).encode()


def snapshot(seq: int, ticker: str = "A", sid: int = 1, **envelope: Any) -> bytes:
    body = {"market_ticker": ticker, "yes_dollars_fp": [["0.4700", "3.00"]]}
    return encode("orderbook_snapshot", body, sid=sid, seq=seq, **envelope)


def delta(seq: int, ticker: str = "A", change: str = "1.00", sid: int = 1) -> bytes:
    body = {"market_ticker": ticker, "price_dollars": "0.4700", "delta_fp": change, "side": "yes", "ts_ms": 1000}
    return encode("orderbook_delta", body, sid=sid, seq=seq)


def commands(sequencer: StreamSession) -> list[dict[str, Any]]:
    """What it sends, all of it as the specification has it."""
    sent = [json.loads(raw) for raw in sequencer.outbox]
    for raw in sequencer.outbox if SPECS.exists() else ():
        check_command(raw)
    sequencer.outbox.clear()
    return sent
