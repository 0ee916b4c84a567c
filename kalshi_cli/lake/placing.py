"""The place of each event of a recording in the exchange's time, to the microsecond."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.struct_types import prepared
from kalshi_cli.base.units import Ts, format_ts, parse_ts
from kalshi_cli.core.model.messages import BookDelta, Message, PublicTrade, Quote, ReferencePrice
from kalshi_cli.core.model.recorded import RecordedEvent, RecordedInput, RecordedItem

MAX_HELD = 1_000
"""Events without a time that are held until the next one with a time."""

MAX_JUMP_MS = 3_600_000
"""Milliseconds by which a clock may go back, or by which the exchange's time may differ from the recorder's."""

NEVER = Ts(2**62)
"""The time received of a frame that was recorded without one."""


class PlacedEvent(NamedTuple):
    """An event, its place in time (it never goes back), its own exact time, and the sequence number of its frame.

    `own_us` is -1 where the exchange gave no time; `recv_ms` is -1 where the recorder noted none.
    """

    placed_us: int
    own_us: int
    recv_ms: int
    seq: int
    item: RecordedItem


class _Body(msgspec.Struct):
    ts: str | int | float | None = None
    time: str | int | float | None = None


class _Frame(msgspec.Struct):
    seq: int | None = None
    msg: _Body | None = None


_decode = msgspec.json.Decoder(prepared(_Frame)).decode


@lru_cache(maxsize=64)
def _second_us(text: str) -> int:
    return int(parse_ts(f"{text}Z")) * 1000


def exact(raw: bytes, ts: Ts) -> tuple[int, int]:
    """Return the exact time of a frame whose message is at `ts`, in microseconds, and its sequence number (or 0).

    The exchange writes the exact time as text beside milliseconds; text that disagrees with them is not used.
    """
    try:
        frame = _decode(raw)
        body = frame.msg or _Body()
        text = body.time or body.ts
        if isinstance(text, str):
            us = _second_us(text[:19]) + int(f"{text[20:].rstrip('Z')[:6]:0<6}")
            if us // 1000 == ts:
                return us, frame.seq or 0
        return ts * 1000, frame.seq or 0
    except (ValueError, RecursionError):
        return ts * 1000, 0


def placed(events: Iterable[RecordedEvent], name: str) -> Iterator[PlacedEvent]:
    """Yield the events with their place in time: the exchange's own, or for others between their neighbors.

    Raises UsageError where a clock jumps, or an event of the exchange has no time at all: its place is unknown.
    """
    held: list[_Held] = []
    now = newest_recv = -1
    for recv_ts, item, raw in events:
        recv_ms = -1 if recv_ts == NEVER else int(recv_ts)
        is_timed = type(item) is BookDelta or (
            isinstance(item, Message) and type(item) is not RecordedInput and item.ts != recv_ts
        )
        if recv_ms >= 0:
            if newest_recv - recv_ms > MAX_JUMP_MS:
                raise _jump(
                    name, f"the recorder's clock goes back from {format_ts(newest_recv)} to {format_ts(recv_ms)}"
                )
            newest_recv = max(newest_recv, recv_ms)
        if not is_timed:
            held.append(_Held(recv_ms, item, raw))
            if len(held) > MAX_HELD:
                yield from _released(held, now, now if now >= 0 else recv_ms * 1000)
                now, held = max(now, 0 if now >= 0 else recv_ms * 1000), []
            continue
        assert isinstance(item, Message)
        own, seq = exact(raw, item.ts)
        _judge(name, own // 1000, now // 1000, recv_ms)
        if held:
            for each in _released(held, now, own):
                now = each.placed_us
                yield each
            held = []
        now = max(now, own)
        yield PlacedEvent(now, own, recv_ms, seq, item)
    yield from _released(held, now, None)


class _Held(NamedTuple):
    recv_ms: int
    item: RecordedItem
    raw: bytes


def _released(held: list[_Held], now: int, until: int | None) -> Iterator[PlacedEvent]:
    for recv_ms, item, raw in held:
        at = recv_ms * 1000 if recv_ms >= 0 else now if until is None else until
        now = max(now, at if until is None else min(at, until))
        own, seq = exact(raw, Ts(recv_ms)) if raw else (-1, 0)
        is_at_receipt = isinstance(item, Quote | PublicTrade | ReferencePrice) and recv_ms >= 0
        yield PlacedEvent(now, own if is_at_receipt else -1, recv_ms, seq, item)


def _judge(name: str, at_ms: int, now_ms: int, recv_ms: int) -> None:
    """Raise UsageError for a time of the exchange that cannot be right."""
    if at_ms > NEVER // 2:
        raise UsageError(f"{name}: a message without any time", hint=_HINT, code="bad_recording")
    if recv_ms >= 0 and abs(at_ms - recv_ms) > MAX_JUMP_MS:
        raise _jump(name, f"the exchange's {format_ts(at_ms)} is over an hour from the recorder's {format_ts(recv_ms)}")
    if now_ms - at_ms > MAX_JUMP_MS:
        raise _jump(name, f"the exchange's time goes back from {format_ts(now_ms)} to {format_ts(at_ms)}")


_HINT = "check that the file is a complete recording of one session"


def _jump(name: str, problem: str) -> UsageError:
    return UsageError(f"{name}: a clock jumps: {problem}", hint=_HINT, code="bad_recording")
