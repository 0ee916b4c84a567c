"""Imports into a lake: recordings, histories of external inputs, and results."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import Message
from kalshi_cli.core.model.recorded import LifecycleNote, RecordedEvent, RecordedItem
from kalshi_cli.exchange.stream.sequencing import StreamSession
from kalshi_cli.feeds.recorded_events import FrameDecoder, recorded_events
from kalshi_cli.feeds.recorded_results import MarketResult, is_history, read_history, read_results
from kalshi_cli.lake.coverage import CoveredTimes
from kalshi_cli.lake.ingest import Ingested, SessionWriter, ingest_history
from kalshi_cli.lake.lake import Lake, LakeSession
from kalshi_cli.lake.layout import series_of
from kalshi_cli.lake.placing import placed
from kalshi_cli.lake.transaction import Transaction

_T = TypeVar("_T")
NO_DATA = "no_market_data"
"""The code of the error for a file without any message of the exchange."""

CHUNK = 5_000
"""Events between two reports of progress."""

Watch = Callable[[Iterable[list[Any]]], Iterable[list[Any]]]
"""Passes lists of events on, and shows the progress."""


class ImportedFile(NamedTuple):
    """A file and what its import added; nothing, if the lake has all of it already.

    `cut_at` is the time of the last line of a recording that ends in the middle. `changed` are the results that replace
    another payout in the lake: ticker, result before, result now.
    """

    source: str
    kind: str
    found: Ingested
    cut_at: Ts | None = None
    changed: tuple[tuple[str, str, str], ...] = ()


def import_file(
    lake: Lake,
    path: Path,
    clock: Clock,
    *,
    is_results: bool = False,
    watch: Watch = lambda chunks: chunks,
    wait_s: float = 0.0,
) -> ImportedFile:
    """Add a file to the lake, all of it or nothing. `watch` sees its events pass, some at a time, to show progress.

    A file named `.csv[.gz]` is a history of external inputs, `.json` results, any other a recording. Raises UsageError
    with the location of what cannot be read, StateFileError if the lake cannot be written.
    """
    digest = _digest(path)
    kind = "results" if is_results or path.suffix == ".json" else "history" if is_history(path) else "recording"
    known = next((each for each in lake.sessions() if each.digest == digest), None)
    if known is not None and kind != "results":  # another file may have changed the results since
        return ImportedFile(path.name, kind, Ingested(None, 0, 0, known.rows, (), ()))
    with lake.writing(clock, wait_s) as changes:
        if kind == "results":
            found, changed = _add_results(lake, changes, path, digest, clock.now())
            return ImportedFile(path.name, kind, found, changed=changed)
        if kind == "history":
            rows = _watched(read_history(path), watch)
            session = f"{path.name.partition('.')[0]}-{digest[:8]}"
            found = ingest_history(lake, changes, rows, session=session, source=path.name, digest=digest)
            return ImportedFile(path.name, kind, found)
        cuts: list[Ts] = []
        events = _watched(recorded_events(path, _whole_frames, on_cut=cuts.append), watch)
        found = _add_recording(lake, changes, path.name, digest, events, cuts)
        return ImportedFile(path.name, kind, found, cuts[0] if cuts else None)


def _add_recording(
    lake: Lake, changes: Transaction, source: str, digest: str, events: Iterable[RecordedEvent], cuts: list[Ts]
) -> Ingested:
    """Add the events of a recording; reading them adds to `cuts` if its file ends in the middle."""
    session = f"{source.partition('.')[0]}-{digest[:8]}"
    known, inputs = CoveredTimes(lake.coverage("book")), CoveredTimes(lake.coverage("heard"))
    writer = SessionWriter(changes, session, known, inputs)
    for event in placed(events, source):
        writer.add(event)
    found = writer.finish(lake, source, digest, "truncated" if cuts else "end")
    if not found.rows and not found.known:
        raise UsageError(
            f"{source} has no market data: no line has an order book, a trade or a price in the exchange's format",
            hint="name a recording that `kalshi record` wrote, or a .csv of prices",
            code=NO_DATA,
        )
    return found


def _add_results(
    lake: Lake, changes: Transaction, path: Path, digest: str, now: Ts
) -> tuple[Ingested, tuple[tuple[str, str, str], ...]]:
    """Add the results that the lake does not have, each at the close of its market; return them, and those changed.

    One that replaces another payout is added at `now`, because the last one counts.
    """
    had = lake_results(lake)
    new = {ticker: result for ticker, result in read_results(path).items() if had.get(ticker) != result}
    changed = {ticker: had[ticker] for ticker, one in new.items() if ticker in had and had[ticker].value != one.value}
    session = f"{path.name.partition('.')[0]}-{digest[:8]}"
    if any(each.session == session for each in lake.sessions()):
        session = f"{session}-{now}"
    times = []
    for number, (ticker, result) in enumerate(sorted(new.items())):
        at = (now if ticker in changed else result.close_time or now) * 1000
        times.append(at)
        close = None if result.close_time is None else result.close_time * 1000
        columns = (ticker, None, None, None, None, close, result.result, result.value, None, None, None)
        changes.add("markets", series_of(ticker), at, (at, *columns, session, number, -1))
    if not new:
        return Ingested(None, 0, 0, len(had), (), ()), ()
    found = LakeSession(
        session=session, kind="results", source=path.name, digest=digest, from_us=min(times), to_us=max(times),
        recv_from_ms=-1, recv_to_ms=-1, series=tuple(dict.fromkeys(map(series_of, sorted(new)))), inputs=(),
        rows=len(new),
    )  # fmt: skip
    lake.add_session(changes, found)
    pairs = tuple((ticker, before.result, new[ticker].result) for ticker, before in sorted(changed.items()))
    return Ingested(found, len(new), 0, 0, (), ()), pairs


def lake_results(lake: Lake, series: Iterable[str] | None = None) -> dict[str, MarketResult]:
    """Return the known results of markets; of several, the last."""
    found: dict[str, MarketResult] = {}
    for row in sorted(lake.rows("markets", series), key=lambda row: row["ts_us"]):
        if row["result"] and row["value"] is not None:
            close = None if row["close_us"] is None else Ts(row["close_us"] // 1000)
            found[row["market"]] = MarketResult(result=row["result"], value=row["value"], close_time=close)
    return found


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        hint = "`kalshi record TICKER` records one"
        raise UsageError(f"File not found: {path}", hint=hint, code="bad_recording") from None
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}", code="bad_recording") from error


def _watched(events: Iterable[_T], watch: Watch) -> Iterator[_T]:
    coming = iter(events)
    for chunk in watch(iter(lambda: list(islice(coming, CHUNK)), [])):
        yield from chunk


def _whole_frames(use_yes_price: bool) -> FrameDecoder:
    """Return the reader of one recorded connection, with the exchange's news of markets."""
    session = StreamSession(channels=(), use_yes_price=use_yes_price)

    def read(raw: bytes, recv_ts: Ts) -> list[RecordedItem]:
        said = session.on_frame(raw, recv_ts)
        session.outbox.clear()
        return [
            each
            if isinstance(each, Message)
            else LifecycleNote(ticker=each.ticker, kind=each.kind, detail=msgspec.json.encode(each).decode())
            for each in said
        ]

    return read
