"""The strategy of the README, and a recording on which it wins."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from support.served import Served

README = Path(__file__).parents[2] / "README.md"


def with_fade(one: Served) -> None:
    """The strategy of the README, and a recording on which it buys once and wins."""
    code = re.search(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert code is not None
    (one.home / "fade.py").write_text(code[1])
    write_tape(one.home / "tape.jsonl")


def write_tape(path: Path) -> None:
    """Half a minute of one market: the ask stands at 18 cents, then everything moves up to 60."""
    start, ticker, lines = 1_780_000_000_000, "KXTAPE-26MAY28-T1", []

    def say(after_s: int, **body: object) -> None:
        lines.append(msgspec.json.encode({"recv_ns": (start + after_s * 1000) * 10**6, "conn": 0, **body}))

    def book(after_s: int, seq: int, yes: str, no: str) -> None:
        levels = {"yes_dollars_fp": [[yes, "50.00"]], "no_dollars_fp": [[no, "50.00"]]}
        say(
            after_s,
            frame={
                "type": "orderbook_snapshot",
                "sid": 1,
                "seq": seq,
                "msg": {"market_ticker": ticker, "market_id": "m", **levels},
            },
        )

    say(0, note={"event": "connected", "use_yes_price": False})
    say(
        0,
        note={
            "event": "watch_market",
            "market_ticker": ticker,
            "close_time": "2026-05-28T21:30:00Z",
            "status": "active",
        },
    )
    book(1, 1, "0.1500", "0.8200")
    for second in range(2, 10):
        delta = {
            "market_ticker": ticker,
            "price_dollars": "0.1000",
            "delta_fp": "1.00",
            "side": "yes",
            "ts_ms": start + second * 1000,
        }
        say(second, frame={"type": "orderbook_delta", "sid": 1, "seq": second, "msg": delta})
    book(30, 10, "0.6000", "0.3800")
    path.write_bytes(b"".join(line + b"\n" for line in lines))
