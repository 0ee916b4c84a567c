"""The data of a backtest: its files and its part of a lake as one feed, the gaps in it, and what it does not say."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import Ts, format_ts, pluralize
from kalshi_cli.core.model.markets import FeeSchedule, Market, MarketStatus
from kalshi_cli.core.model.messages import (
    BookDelta,
    BookSnapshot,
    FeedGap,
    FeedState,
    MarketChange,
    Message,
    PublicTrade,
    Quote,
    Tick,
)
from kalshi_cli.core.model.recorded import ChangeRows, LaneEvent
from kalshi_cli.exchange.stream.sequencing import recorded_frames
from kalshi_cli.feeds.overlap import BOOK, recorded_tickers
from kalshi_cli.feeds.period import TapePeriod
from kalshi_cli.feeds.recorded_results import MarketResult, is_contradiction, is_history, merge_results, refuse_results
from kalshi_cli.feeds.recording_format import NO_TIME
from kalshi_cli.feeds.replay import ENDED, RECONNECTED, Replay, is_chosen
from kalshi_cli.services.research.backtest import BacktestRequest
from kalshi_cli.services.research.report.unknown import UnknownData

if TYPE_CHECKING:
    from kalshi_cli.lake.changes import NewRows
    from kalshi_cli.lake.lake import Lake, LakeSession
    from kalshi_cli.lake.reader import Selection

_BEFORE_CLOSE = (MarketStatus.INITIALIZED, MarketStatus.ACTIVE, MarketStatus.INACTIVE)

RECORDED = (FeedState, BookSnapshot, BookDelta, PublicTrade, Quote, ChangeRows)
"""Messages of a recording, in contrast to ticks, closes and outside prices, which also come between recordings."""

HOLES = ("refuse", "forget", "ignore")
"""The ways to treat lost messages."""


COMPILED_FROM = 8 * 1024 * 1024
"""The size of recordings in bytes from which loading the compiled loop pays off. The trades are the same."""
COMPILED_ROWS = 200_000
"""The same in rows of the chosen recordings of a lake."""


class BacktestFeed(NamedTuple):
    """The feed of a backtest, and whether it is for the compiled loop: it may have rows of changes then."""

    messages: Iterable[Message]
    replay: Replay
    is_compiled: bool
    period: TapePeriod | None = None
    """The times to which recordings in files are cut; the lake cuts its own."""


def replay_of(
    request: BacktestRequest,
    clock: ManualClock,
    interval_s: float,
    on_read: Callable[[int], None] = lambda _size: None,
) -> BacktestFeed:
    """Return the feed of a backtest, with a tick every `interval_s`. The request's results replace those of the lake.

    `on_read` gets how much of `size_of_data` was read since its last call.
    Raises UsageError if the lake has no such recording, or for a file of results or a copy among the recordings.
    """
    for path in request.files:
        refuse_results(path)
    refuse_copies(request.files)
    results: dict[str, MarketResult] = {}
    lanes: Sequence[Iterable[Iterable[LaneEvent]]] = []
    outside: list[Iterator[Message]] = []
    is_compiled = sum(map(size_of, request.files)) >= COMPILED_FROM
    if request.lake is not None:
        lake, chosen, found = lake_recordings(request.lake, request)
        from kalshi_cli.lake.reader import histories, streams
        from kalshi_cli.services.research.lake_import import lake_results

        span = (min(each.from_us for each in found), max(each.to_us for each in found))
        is_compiled |= sum(each.rows for each in found) >= COMPILED_ROWS
        is_compiled &= find_spec("numba") is not None
        has_rows = is_compiled and all(map(is_history, request.files))
        lanes = streams(lake, chosen, _new_rows() if has_rows else None, on_read, request.is_played)
        outside = histories(lake, chosen, *span)
        results |= lake_results(lake, [one for each in found for one in each.series])
    results |= merge_results(request.results)
    is_cut = request.lake is None and (request.since is not None or request.until is not None)
    period = TapePeriod(request.since, request.until) if is_cut else None
    replay = Replay(
        request.files,
        new_decoder=lambda use_yes_price: recorded_frames(use_yes_price=use_yes_price),
        results=results,
        interval_s=interval_s,
        phase_ms=request.phase_ms,
        clock=clock,
        lanes=lanes,
        histories=outside,
        period=period,
        tickers=request.tickers,
        on_read=on_read if request.lake is None else lambda _size: None,
    )
    return BacktestFeed(replay, replay, is_compiled, period)


def refuse_copies(files: Sequence[Path]) -> None:
    """Raise UsageError for a file that is given twice, also under another name."""
    sizes = Counter(map(size_of, files))
    known: dict[bytes, Path] = {}
    for path in files:
        if size_of(path) and sizes[size_of(path)] > 1:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").digest()
            if digest in known:
                kind = "data" if is_history(path) else "recording"
                raise UsageError(
                    f"{known[digest].name} and {path.name} are the same {kind}",
                    hint="its messages would count twice: give it once",
                    code="overlap",
                )
            known[digest] = path


def size_of(path: Path) -> int:
    """Return the size of a file in bytes; 0 for one that cannot be read, which the replay reports."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def size_of_data(request: BacktestRequest) -> int:
    """Return the size of the recordings of a backtest: in bytes of files, or in milliseconds of a lake."""
    if request.lake is None:
        return sum(map(size_of, recordings_among(request.files)))
    _, chosen, found = lake_recordings(request.lake, request)
    return sum(chosen.span_ms(each)[1] for each in found)


def _new_rows() -> NewRows:
    from kalshi_cli.compiled.rows import from_columns  # numba takes half a second to import

    return from_columns


def lake_recordings(folder: Path, request: BacktestRequest) -> tuple[Lake, Selection, list[LakeSession]]:
    """Return a lake, what a backtest selects in it, and these recordings by time.

    UsageError without one, and if the request has a recording in a file as well.
    """
    refuse_files_beside_lake(request.files)
    from kalshi_cli.lake.extra import require_research

    require_research()
    from kalshi_cli.lake.lake import open_lake
    from kalshi_cli.lake.reader import Selection, recordings

    lake = open_lake(folder)
    chosen = Selection(series=request.series, since=request.since, until=request.until, sessions=request.sessions)
    found = recordings(lake, chosen)
    if not found:
        what = f" of {', '.join(request.series)}" if request.series else ""
        hint = "`kalshi data list` shows what it has; `kalshi data import FILE` adds a recording"
        raise UsageError(f"No recording{what} at these times in the lake {folder}", hint=hint, code="no_data")
    return lake, chosen, found


def recordings_among(files: Iterable[Path]) -> list[Path]:
    """Return the files that are recordings, not outside prices."""
    return [path for path in files if not is_history(path)]


def refuse_files_beside_lake(files: Iterable[Path]) -> None:
    """Raise UsageError if a recording is among files that accompany a lake: files of outside prices may.

    With a file, the run would be that of the file and of the lake.
    """
    tapes = [path.name for path in recordings_among(files)]
    if tapes:
        raise UsageError(
            f"--series and --lake choose from the lake, not from files such as {tapes[0]}",
            hint="omit them to use the file; `--ticker SERIES` of `kalshi backtest` plays a part of its markets",
        )


MAX_NAMED = 5
"""Recordings that one line names, at most."""


def recordings_of_period(
    tapes: Sequence[Path], since: Ts | None, until: Ts | None, tell: Callable[[str], None]
) -> list[Path]:
    """Return the recordings in files that have a message of these times, and pass on a line that names the others.

    Each is read up to its first message of the period. UsageError if none has any.
    """
    if since is None and until is None:
        return list(tapes)
    found, missing = [], {}
    for path in tapes:
        request = BacktestRequest(strategies=(), files=(path,), since=since, until=until)
        feed = replay_of(request, ManualClock(Ts(0)), 1.0)
        period = feed.period
        if period is None or any(period.has_messages for _ in feed.messages):
            found.append(path)
        else:
            missing[path.name] = period
    if missing:
        period, *_ = missing.values()
        if not found:
            where = _named([f"{name}: {each.missing()}" for name, each in missing.items()], "; ")
            raise _no_data(f"No recorded data {period} in {pluralize(len(missing), 'recording')}. {where}")
        tell(f"Left out {len(missing)} of {len(tapes)} recordings without data {period}: {_named(missing, ', ')}")
    return found


def requests_with_markets(
    requests: Sequence[BacktestRequest], whole: BacktestRequest, tell: Callable[[str], None]
) -> list[BacktestRequest]:
    """Return the requests, each for one recording, whose recordings have some of the markets that `whole` chooses.

    Each has those names of `tickers` that its recording has. `tell` gets a line that names the other recordings.
    UsageError for a name that no recording has.
    """
    if not whole.tickers:
        return list(requests)
    found, missing, known = [], [], set[str]()
    for each in requests:
        tickers = _markets_of(each)
        known |= tickers
        names = tuple(name for name in whole.tickers if any(is_chosen(ticker, (name,)) for ticker in tickers))
        if names:
            found.append(msgspec.structs.replace(each, tickers=names))
        else:
            missing.append(each.sessions[0] if each.lake is not None else each.files[0].name)
    require_chosen(whole, known, ())
    if missing:
        markets = ", ".join(whole.tickers)
        tell(f"Left out {len(missing)} of {len(requests)} recordings without {markets}: {_named(missing, ', ')}")
    return found


def shared_markets(requests: Sequence[BacktestRequest]) -> dict[str, tuple[int, ...]]:
    """Return the markets whose books several recordings have, each with the numbers of these requests.

    Each request is for one recording. One that cannot be read has none: its run reports it.
    """
    found: dict[str, list[int]] = {}
    for number, each in enumerate(requests):
        try:
            tickers = _markets_of(each, having=BOOK)
        except UsageError:
            continue
        for ticker in filter(each.is_played, tickers):
            found.setdefault(ticker, []).append(number)
    return {ticker: tuple(numbers) for ticker, numbers in sorted(found.items()) if len(numbers) > 1}


def shared_text(tickers: Iterable[str], of_what: str) -> str:
    """Return the number and the first names of markets that several of something have."""
    known = list(tickers)
    verb = "is" if len(known) == 1 else "are"
    return f"{pluralize(len(known), 'market')} {verb} in more than one {of_what}: {_named(known, ', ')}"


def _markets_of(request: BacktestRequest, *, having: bytes = b"") -> set[str]:
    """Return the markets of the recording of a request, within its times; of a file, those with lines `having` this."""
    if request.lake is None:
        return recorded_tickers(request.files[0], request.since, request.until, having=having)
    lake, chosen, (session,) = lake_recordings(request.lake, request)
    return {
        row["market"]
        for row in lake.rows("coverage", [one for one in session.series if chosen.has(one)])
        if row["session"] == session.session and row["from_us"] <= chosen.last_us and row["to_us"] >= chosen.first_us
    }


def _named(names: Iterable[str], between: str) -> str:
    """Return the first names, and the number of the others."""
    known = list(names)
    more = [f"and {len(known) - MAX_NAMED} more"] if len(known) > MAX_NAMED else []
    return between.join([*known[:MAX_NAMED], *more])


def require_messages(period: TapePeriod, sources: str) -> None:
    """Raise UsageError if the recordings have nothing in these times."""
    if not period.has_messages:
        raise _no_data(f"No recorded data {period} in {sources}: {period.missing()}")


def require_chosen(request: BacktestRequest, played: Collection[str], left_out: Collection[str]) -> None:
    """Raise UsageError for a name of `tickers` that chose no market."""
    missing = [name for name in request.tickers if not any(is_chosen(ticker, (name,)) for ticker in played)]
    if missing:
        raise UsageError(
            f"No market {', '.join(missing)} in {request.sources}",
            hint=f"it has {_named(sorted({*played, *left_out}), ', ')}",
            code="no_data",
        )


def _no_data(text: str) -> UsageError:
    hint = "choose times within the recording, or leave it out; its times are those of the exchange"
    return UsageError(text, hint=hint, code="no_data")


def tell_unrecorded(
    folder: Path, series: Sequence[str], since: Ts | None, until: Ts | None, tell: Callable[[str], None]
) -> None:
    """Pass on a line about each of several series that the lake has no recording of, while it has others.

    UsageError if it has no recording of any of them.
    """
    if len(series) < 2:
        return  # a single one without a recording is refused
    chosen = BacktestRequest(strategies=(), files=(), series=tuple(series), since=since, until=until)
    *_, found = lake_recordings(folder, chosen)
    recorded = {name for each in found for name in each.series}
    for name in (name for name in series if name not in recorded):
        tell(f"Warning: no recording of {name} at these times in the lake; `kalshi data list` shows what it has")


class HoleFilter:
    """Counts the gaps of a feed in markets that have not closed, and passes, drops or refuses them."""

    def __init__(self, mode: str) -> None:
        self._mode = mode
        self._closes: dict[str, Ts] = {}
        """The close time of each market."""
        self._since: dict[str, Ts] = {}
        self._lost_ms = 0
        self._last = self._tick = Ts(0)
        self._ended: Ts | None = None
        self.count = 0
        self.has_trades = False
        self.pauses: list[tuple[Ts, Ts]] = []
        """The times between a recording and the next one."""

    @property
    def lost_s(self) -> float:
        """Return the seconds without a book, to the next snapshot, the close or the end so far, over all markets."""
        open_ms = sum(max(0, min(self._tick, self._closes[ticker]) - at) for ticker, at in self._since.items())
        return (self._lost_ms + open_ms) / 1000

    def end(self, at: Ts) -> None:
        """Count to this end of the recording: frames of lost books are no messages, so that ticks end before."""
        self._tick = max(self._tick, at)

    def of(self, messages: Iterable[Message]) -> Iterator[Message]:
        """Yield the messages; without those about gaps if they are ignored. UsageError if they are refused."""
        for message in messages:
            if self._ended is not None and isinstance(message, RECORDED):
                self.pauses.append((self._ended, message.ts))
                self._ended = None
            if type(message) is BookDelta:
                self._last = message.ts
            elif isinstance(message, ChangeRows):
                self._last = message.last_ts
            elif isinstance(message, BookSnapshot):
                since = self._since.pop(message.ticker, None)
                end = min(message.ts, self._closes.get(message.ticker, message.ts))
                self._lost_ms += 0 if since is None else max(0, end - since)
            elif isinstance(message, Tick):
                self._tick = message.ts
            elif isinstance(message, MarketChange):
                self._follow(message.market, message.ts)
            elif isinstance(message, PublicTrade):
                self.has_trades = True
            elif isinstance(message, FeedGap):
                self._ended = message.ts if message.reason == ENDED else None
                at = self._first_lost(message)
                self._lose(message, [ticker for ticker in message.tickers if at < self._closes.get(ticker, 0)])
                if self._mode == "ignore":
                    continue
            yield message

    def _follow(self, market: Market, ts: Ts) -> None:
        """Learn the close of a market; one that has closed loses nothing any more."""
        if market.status in _BEFORE_CLOSE:
            self._closes[market.ticker] = market.close_time
            return
        end = self._closes[market.ticker] = min(ts, self._closes.get(market.ticker, ts))
        since = self._since.pop(market.ticker, end)
        self._lost_ms += max(0, end - since)

    def _first_lost(self, gap: FeedGap) -> Ts:
        """Return the time from which a gap has lost messages. Missing numbers may be of any time since the last one.

        A connection that ends has sent everything until then.
        """
        return gap.ts if gap.reason in (RECONNECTED, ENDED) else self._last or gap.ts

    def _lose(self, gap: FeedGap, tickers: Sequence[str]) -> None:
        if tickers and self._mode == "refuse":
            raise UsageError(
                f"A gap in the data at {format_ts(gap.ts)}: {gap.reason} ({', '.join(tickers)})",
                hint="--gaps forget stops trading in these markets until their next snapshot",
                code="hole",
            )
        self.count += len(tickers)
        for ticker in tickers:
            self._since.setdefault(ticker, self._last or gap.ts)


def cut_text(name: str, at: Ts | None) -> str:
    """Return what to say of a file that ends in the middle, after the time received of its last line."""
    after = "" if at is None or at == NO_TIME else f" after {format_ts(at)}"
    return f"{name} ends in the middle: TRUNCATED{after}"


def order_text(name: str, newest: Ts, then: Ts) -> str:
    """Return what to say of a file whose times received go back."""
    return (
        f"the order of a recording: {name} goes back from {format_ts(newest)} to {format_ts(then)}; "
        "what follows was played late, and counts twice if it is a repeat"
    )


def unknown_of(
    markets: Mapping[str, Market], fees: Mapping[str, FeeSchedule], *, has_trades: bool
) -> tuple[UnknownData, ...]:
    """Return what the data of a backtest does not say.

    Fees and results have a part also where none is missing: a sum of runs needs the number of all markets.
    """
    tickers = frozenset(markets)
    without_fees = tickers - fees.keys()
    without_result = frozenset(ticker for ticker, market in markets.items() if not market.result)
    contradictions = frozenset(
        ticker for ticker, market in markets.items() if is_contradiction(market.result, market.settlement_value)
    )
    of_fees = (
        "fees and fee waivers of {missing} of {markets}; the standard fee is assumed (taker 7% of p(1-p), maker none)"
    )
    of_results = (
        "result of {missing} of {markets} (--results gives it); a position that is open at the end is valued at the "
        "best price that closes it, or at an estimate without one"
    )
    found = [
        UnknownData(words=of_fees, missing=without_fees, markets=tickers),
        UnknownData(words=of_results, missing=without_result, markets=tickers),
        UnknownData(
            words="the payout of {missing} of {markets} is that of the opposite result; the payout counts",
            missing=contradictions,
            markets=tickers,
        ),
    ]
    if not has_trades:
        words = "public trades: the data has none, so resting orders fill only where the book shows it"
        found.append(UnknownData(words=words))
    return tuple(found)
