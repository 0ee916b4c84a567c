"""Frames of one busy market, made up but always the same.

Shaped after recorded minutes of a bitcoin contract (13 May 2026): about a hundred levels a side, most changes near the
top, one in twenty removes a level, and 94 of 100 changes are of a size that was seen before.
"""

from __future__ import annotations

import json
import random

TICKER = "KXBTC15M-26MAY131215-15"
_MARKET_ID = "ae89db13-b034-43df-9bb9-62424bc6580e"
_NEAREST = (22, 17, 14, 10, 7, 5, 25)  # of 100 changes: at the best price, the next, ...; the last: deeper


def frames(count: int) -> list[str]:
    """A snapshot and `count` deltas. NO levels are at NO prices, as without `use_yes_price`."""
    rng = random.Random(20260513)
    sizes = [f"{rng.randrange(1, 60_000) / 100:.2f}" for _ in range(1500)]
    books = {"yes": _side(rng, 480), "no": _side(rng, 510)}
    made = [_snapshot(books)]
    for number in range(count):
        side = rng.choice(("yes", "no"))
        price, change = _change(rng, books[side], sizes)
        stamp = 1_778_688_654_000 + number * 9
        second, ms = divmod(stamp - 1_778_688_600_000, 1000)
        minute, second = divmod(second, 60)
        body = {
            "market_ticker": TICKER,
            "market_id": _MARKET_ID,
            "price_dollars": f"{price / 1000:.4f}",
            "delta_fp": f"{change / 100:.2f}",
            "side": side,
            "ts": f"2026-05-13T16:{10 + minute:02d}:{second:02d}.{ms:03d}884Z",
            "ts_ms": stamp,
        }
        made.append(_frame("orderbook_delta", number + 2, body))
    return made


def _side(rng: random.Random, best: int) -> dict[int, int]:
    """Price (thousandths) -> hundredths of a contract, a hundred levels down from the best."""
    return {best - 4 * step: rng.randrange(100, 500_000) for step in range(100)}


def _change(rng: random.Random, book: dict[int, int], sizes: list[str]) -> tuple[int, int]:
    prices = sorted(book, reverse=True)
    near = rng.choices(range(7), _NEAREST)[0]
    price = prices[near] if near < 6 else rng.choice(prices[6:])
    what = rng.random()
    if what < 0.05 and len(prices) > 60:
        return price, -book.pop(price)
    if what < 0.10 and len(prices) < 110:
        price += rng.choice((-1, 1))  # a price between the others
    change = round(float(rng.choice(sizes)) * 100)
    if rng.random() < 0.5 and change < book.get(price, 0):
        change = -change
    book[price] = book.get(price, 0) + change
    return price, change


def _snapshot(books: dict[str, dict[int, int]]) -> str:
    body: dict[str, object] = {"market_ticker": TICKER, "market_id": _MARKET_ID}
    for side, book in books.items():
        body[f"{side}_dollars_fp"] = [
            [f"{price / 1000:.4f}", f"{qty / 100:.2f}"] for price, qty in sorted(book.items())
        ]
    return _frame("orderbook_snapshot", 1, body)


def _frame(kind: str, seq: int, body: dict[str, object]) -> str:
    return json.dumps({"type": kind, "sid": 2, "seq": seq, "msg": body}, separators=(",", ":"))
