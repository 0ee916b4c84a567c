"""What was heard outside and stands in a file with times, beside a recording."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.recordings import T0, TICKER, Tape, play

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Price, Ts, format_ts
from kalshi_cli.core.model.messages import BookDelta, FairValue, Message, NewsSignal, Tick
from kalshi_cli.core.model.order_terms import ASK


def at(ms: int) -> str:
    return format_ts(Ts(T0 + ms))


def played(folder: Path, name: str, text: str) -> list[Message]:
    """A recording of a delta each second, with this file beside it."""
    tape = Tape().snapshot(yes={"0.4000": "5.00"}, no={"0.5600": "5.00"})
    for _ in range(5):
        tape.delta(1_000)
    beside = folder / name
    beside.write_text(text)
    found = play(tape.write(folder / "tape.jsonl"), beside)
    return [message for message in found if isinstance(message, BookDelta | FairValue | NewsSignal)]


def test_probabilities_come_at_their_times_and_end_when_they_say(tmp_path: Path) -> None:
    text = f"\ufefftime, ticker, probability, until\r\n{at(1500)}, {TICKER.lower()}, 0.4512\r\n"
    text += f"{at(1500)},KXB-1,1,{at(9000)}\r\n{at(3200)},{TICKER},5e-1,\r\n"
    found = played(tmp_path, "fairs.csv", text)
    assert [message.ts - T0 for message in found] == [1000, 1500, 1500, 2000, 3000, 3200, 4000, 5000]
    assert [message for message in found if isinstance(message, FairValue)] == [
        FairValue(Ts(T0 + 1500), TICKER, Price(4_512), "fairs.csv", None),
        FairValue(Ts(T0 + 1500), "KXB-1", Price(10_000), "fairs.csv", Ts(T0 + 9000)),
        FairValue(Ts(T0 + 3200), TICKER, Price(5_000), "fairs.csv", None),
    ]


def test_a_wrong_heading_is_named_with_its_file_and_the_right_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        played(tmp_path, "fairs.csv", f"time,ticker,prob\n{at(1500)},{TICKER},0.45\n")
    said = str(caught.value)
    assert "fairs.csv:1: the first line is 'time,ticker,prob', and must be " in said
    for right in ("exchange_ts,recv_ns,price", "time,ticker,probability", "time,id,ticker,direction,confidence"):
        assert right in said


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("news.csv", "time,id,ticker,direction,confidence\n{now},n1,KXA-1,down\n"),
        ("btcusd.csv", "exchange_ts,recv_ns,price\n{now},1\n"),
    ],
)
def test_a_row_that_ends_too_soon_is_told_in_words(tmp_path: Path, name: str, text: str) -> None:
    with pytest.raises(UsageError, match=rf"{name}:2: [24] values instead of [35]"):
        played(tmp_path, name, text.format(now=at(1500)))


def test_news_come_at_their_times(tmp_path: Path) -> None:
    found = played(tmp_path, "news.csv", f"time,id,ticker,direction,confidence\n{at(2500)},n1,KXA*,down,0.6\n")
    assert [message for message in found if isinstance(message, NewsSignal)] == [
        NewsSignal(Ts(T0 + 2500), "n1", "KXA*", ASK, 6_000)
    ]
    assert [message.ts - T0 for message in found] == [1000, 2000, 2500, 3000, 4000, 5000]


def test_time_passes_also_while_a_file_alone_has_something_to_say(tmp_path: Path) -> None:
    """A strategy must not hear what was said at the end of a silence at its beginning."""
    tape = Tape().snapshot(yes={"0.4000": "5.00"}).delta(1_000).delta(10_000)
    beside = tmp_path / "fairs.csv"
    beside.write_text("time,ticker,probability\n" + "".join(f"{at(ms)},{TICKER},0.5\n" for ms in (4_500, 8_500)))
    found = play(tape.write(tmp_path / "tape.jsonl"), beside)
    ticks = [message.ts - T0 for message in found if isinstance(message, Tick | FairValue)]
    assert ticks == sorted(ticks)
    assert [ms for ms in ticks if ms % 1_000] == [4_500, 8_500]
    assert len(ticks) == 13


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ticker,probability\nKXA-1,0.5\n", 1),
        ("time,ticker,probability\n{now},KXA-1,1.5\n", 2),
        ("time,ticker,probability\n{now},KXA-1,NaN\n", 2),
        ("time,ticker,probability\n{now},KXA-1\n", 2),
        ("time,ticker,probability\n{now},,0.5\n", 2),
        ("time,ticker,probability\nyesterday,KXA-1,0.5\n", 2),
        ("time,ticker,probability\n{now},KXA-1,0.5\n{before},KXA-1,0.5\n", 3),
        ("time,id,ticker,direction,confidence\n{now},n1,KXA*,sideways,0.5\n", 2),
        ("time,id,ticker,direction,confidence\n{now},,KXA*,up,0.5\n", 2),
        ("exchange_ts,recv_ns,price\n{now},1,-80000\n", 2),
        ("exchange_ts,recv_ns,price\n{now},1,0\n", 2),
        ("exchange_ts,recv_ns,price\n{now},1,NaN\n", 2),
        ("exchange_ts,recv_ns,price\n{now},1,80000\n{before},1,80000\n", 3),
    ],
)
def test_what_cannot_be_read_or_goes_back_in_time_is_named_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(UsageError, match=rf"btcusd\.csv:{line}: ") as refused:
        played(tmp_path, "btcusd.csv", text.format(now=at(2_000), before=at(1_999)))
    assert refused.value.hint == "correct the file at this line"
