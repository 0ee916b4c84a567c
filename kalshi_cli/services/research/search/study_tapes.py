"""The recordings of a study: files, and recordings of a lake, each with its name, start and content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.feeds.recorded_events import watched_markets
from kalshi_cli.feeds.recorded_results import merge_results
from kalshi_cli.feeds.recording_format import NO_TIME
from kalshi_cli.services.research.backtest import BacktestRequest
from kalshi_cli.services.research.recorded_data import lake_recordings
from kalshi_cli.services.research.search.windows import start_of
from kalshi_cli.services.research.tape_runs import split_with_shared


class StudyTape(NamedTuple):
    """A recording of a study: the backtest of it alone, and the files that a worker needs.

    `content` changes where the recording changes, `results` where those that a lake has of its markets change.
    """

    name: str
    start: Ts
    content: str
    request: BacktestRequest
    paths: tuple[Path, ...]
    results: str = ""
    shared: frozenset[str] = frozenset()
    """The tickers in this recording that are in another recording of the study, too."""


def list_tapes(request: BacktestRequest, tell: Callable[[str], None] = lambda _text: None) -> list[StudyTape]:
    """Return the recordings of a request. UsageError without one, or if one has no time.

    Recordings without data from `since` to before `until`, or without a market of `tickers`, are left out, which `tell`
    gets as a line.
    """
    if not request.files and request.lake is None:
        raise UsageError("No recording given", hint="kalshi optimize STRATEGY FILE... --param NAME=1c..5c")
    found: list[StudyTape] = []
    lake = {} if request.lake is None else _of_lake(request.lake, request)
    is_cut = request.since is not None or request.until is not None
    parts, in_parts = split_with_shared(request, tell)
    for number, each in enumerate(parts):
        shared = frozenset(ticker for ticker, numbers in in_parts.items() if number in numbers)
        paths = (*each.files, *each.results)
        if each.lake is None:
            tape = each.files[0]
            content = f"{tape.name} {request.since} {request.until}" if is_cut else ""
            found.append(
                StudyTape(str(tape), Ts(max(start_of(tape), request.since or 0)), content, each, paths, "", shared)
            )
        else:
            start, content, results = lake[each.sessions[0]]
            found.append(
                StudyTape(each.sessions[0], start, content, each, (*paths, each.lake / "lake.json"), results, shared)
            )
    return found


def closed_without_result(
    request: BacktestRequest, tapes: Sequence[StudyTape], now: Ts, holdout: Sequence[int] = ()
) -> tuple[list[str], list[str]]:
    """Return the markets of recordings that have closed by now and have no result, and those of the holdout alone.

    `holdout` has the numbers of its recordings.
    """
    known, closes = set(merge_results(request.results)), dict[str, Ts]()
    held, in_windows = {tapes[each].name for each in holdout}, set[str]()
    until = NO_TIME if request.until is None else request.until
    for each in tapes:
        for market in watched_markets(each.paths[0]) if each.request.lake is None else ():
            if market.recv_ts < until:
                closes[market.ticker] = NO_TIME if market.close_time is None else market.close_time
                in_windows |= {market.ticker} if each.name not in held else set()
                known |= {market.ticker} if market.has_result else set()
    if request.lake is not None:
        from kalshi_cli.services.research.lake_import import lake_results

        lake, _, sessions = lake_recordings(request.lake, request)
        series, searched = {one for each in sessions for one in each.series}, {each.name for each in tapes}
        known |= lake_results(lake, series).keys()
        noted = (row for row in lake.rows("markets", series) if row["session"] in searched)
        rows = [row for row in noted if row["close_us"] is not None]
        closes |= {row["market"]: Ts(row["close_us"] // 1000) for row in rows}
        in_windows |= {row["market"] for row in rows if row["session"] not in held}
    since = request.since or 0
    ended = (ticker for ticker, close in closes.items() if since < close <= now and request.is_played(ticker))
    missing = sorted(ticker for ticker in ended if ticker not in known)
    return [each for each in missing if each in in_windows], [each for each in missing if each not in in_windows]


def _of_lake(folder: Path, request: BacktestRequest) -> dict[str, tuple[Ts, str, str]]:
    """Return the start, the content and the results of each recording of a lake."""
    from kalshi_cli.services.research.lake_import import lake_results

    lake, chosen, sessions = lake_recordings(folder, request)
    results = lake_results(lake, {one for each in sessions for one in each.series})
    known = hashlib.sha256(msgspec.json.encode(sorted(results.items()))).hexdigest()[:12]
    return {
        each.session: (
            Ts(max(each.from_us, chosen.first_us) // 1000),
            f"{each.session} {each.rows} {','.join(request.series)} {request.since} {request.until}",
            known,
        )
        for each in sessions
    }
