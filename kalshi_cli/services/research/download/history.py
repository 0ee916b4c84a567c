"""The past of a series from the exchange: settled markets, trades and candles of a minute, and the account's fills.

Data is read in periods: one market, at most six days. The lake notes each period that it has, so that it is not read
again. Markets that are still open get the periods up to a minute ago; the next download continues there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from kalshi_cli.base.checked import check_period
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.errors import NotFoundError, UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Price, Ts, format_ts
from kalshi_cli.core.model.markets import Candle, Event, Family, FeeSchedule, Market, MarketStatus, Series
from kalshi_cli.core.model.messages import PublicTrade
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.candles import Cutoff
from kalshi_cli.exchange.wire.events import FeeChange
from kalshi_cli.lake.coverage import CoveredTimes
from kalshi_cli.lake.lake import Lake
from kalshi_cli.lake.layout import series_of
from kalshi_cli.lake.rows import candle_columns, fill_columns, market_columns, trade_columns
from kalshi_cli.services.research.download.batch import DataRow, DownloadBatch, Period, period_of
from kalshi_cli.views.lake import LakeDownloadRow

MINUTE_MS = 60_000

LAG_MS = MINUTE_MS
"""Milliseconds before now that are left out: the exchange may still add to them."""

PERIOD_MS = 6 * 86_400_000
"""The longest period: its 8,640 candles are one request."""

MAX_MARKETS = 200_000
"""Markets of one series, at most; more need a later start."""

_VALUES = {"yes": Price(ONE_DOLLAR), "no": Price(0)}


class DownloadRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A download: a series, from `since` to before `until`, with the account's fills if `account` names its key."""

    series: str
    since: Ts
    until: Ts
    account: str = ""


class ListedPeriod(NamedTuple):
    """A period to read, and its market. `is_old` markets are in the historical tier."""

    period: Period
    market: Market
    is_old: bool


def check_request(request: DownloadRequest, now: Ts) -> DownloadRequest:
    """Return the request in whole minutes, up to a minute ago. UsageError if that leaves no time."""
    if request.since >= now:
        raise UsageError(
            f"--since {format_ts(request.since)} is in the future", hint="use a past date, or a duration such as 7d"
        )
    check_period(request.since, request.until)
    until = min(request.until, now - LAG_MS)
    whole = msgspec.structs.replace(request, since=_minute(request.since), until=_minute(until))
    if whole.until <= whole.since:
        raise UsageError("This period has no complete minute yet", hint="use an earlier --since")
    return whole


def _minute(ts: int) -> Ts:
    return Ts(ts // MINUTE_MS * MINUTE_MS)


def download(
    client: KalshiClient,
    lake: Lake,
    clock: Clock,
    series: Series,
    request: DownloadRequest,
    show: Callable[[int, int], None] = lambda _done, _known: None,
) -> LakeDownloadRow:
    """Add what the lake does not have of a series; `request` is one of `check_request`.

    `show` gets the periods read and all. Any end, an error or Ctrl-C included, keeps the periods that were read.
    """
    cutoff = client.historical_cutoff()
    markets = list(_markets(client, request, cutoff))
    settled = [market for market, _ in markets if market.status is MarketStatus.FINALIZED]
    wanted, known = missing_periods(lake, markets, request)
    batch = DownloadBatch(lake, clock)
    lost: dict[str, None] = {}
    try:
        _add_results(client, lake, batch, series, request, settled)
        for done, each in enumerate(wanted):
            show(done, len(wanted))
            rows = _rows(client, series.ticker, each, cutoff)
            if rows is None:
                lost[each.market.ticker] = None
            else:
                batch.add(each.period, rows)
        show(len(wanted), len(wanted))
        if request.account:
            _add_fills(client, lake, batch, request)
    finally:
        batch.write()
    count = batch.added.get
    return LakeDownloadRow(
        series=request.series, markets=len(markets), results=count("markets", 0), trades=count("trades", 0),
        candles=count("candles", 0), own_fills=count("own_fills", 0), known=known, missing=tuple(lost),
    )  # fmt: skip


# -- markets ------------------------------------------------------------------------------------------------------


def _markets(client: KalshiClient, request: DownloadRequest, cutoff: Cutoff) -> Iterator[tuple[Market, bool]]:
    """Yield the markets that were open in the period, and whether each is in the historical tier; the live tier first.

    A market that moves meanwhile is then in both.
    """
    found: set[str] = set()
    live = client.markets(series=request.series, min_close=request.since, combos=True)
    tiers: list[tuple[Iterable[Market], bool]] = [(live, False)]
    if request.since < cutoff.markets:
        tiers.append((client.historical_markets(series=request.series), True))
    for markets, is_old in tiers:
        for market in markets:
            if market.ticker in found or market.close_time <= request.since or market.open_time >= request.until:
                continue
            found.add(market.ticker)
            if len(found) > MAX_MARKETS:
                raise UsageError(
                    f"{request.series} has more than {MAX_MARKETS:,} markets in this period",
                    hint="download a shorter one: --since, --until",
                )
            yield market, is_old


def missing_periods(
    lake: Lake, markets: Iterable[tuple[Market, bool]], request: DownloadRequest
) -> tuple[list[ListedPeriod], int]:
    """Return the periods that the lake does not have, and the number of those that it has."""
    markets = list(markets)
    series = sorted({series_of(market.ticker) for market, _ in markets})
    covered = {table: CoveredTimes(lake.coverage(table, series)) for table in ("trades", "candles")}
    found: list[ListedPeriod] = []
    known = 0
    for market, is_old in sorted(markets, key=lambda each: (each[0].close_time, each[0].ticker)):
        first = max(request.since, _minute(market.open_time))
        last = min(request.until, _minute(market.close_time + 2 * MINUTE_MS - 1))
        for table, times in covered.items():
            parts = [
                Period(table, market.ticker, series_of(market.ticker), at, min(at + PERIOD_MS * 1000 - 1, end))
                for start, end in times.missing(market.ticker, first * 1000, last * 1000 - 1)
                for at in range(start, end + 1, PERIOD_MS * 1000)
            ]
            known += not parts
            found += [ListedPeriod(part, market, is_old) for part in parts]
    return found, known


def _add_results(
    client: KalshiClient, lake: Lake, batch: DownloadBatch, series: Series, request: DownloadRequest,
    settled: Sequence[Market],
) -> None:  # fmt: skip
    """Add the settled markets that the lake does not have, with the fees at their close and their results."""
    had = {each.market for each in lake.coverage("markets", {series_of(market.ticker) for market in settled})}
    new = [market for market in settled if market.ticker not in had]
    if not new:
        return
    changes = client.series_fee_changes(series.ticker, with_past=True)
    events = {event.event_ticker: event for event in client.events(series=series.ticker, min_close=request.since)}
    for market in new:
        event = events.get(market.event_ticker)
        if event is None:
            event = events[market.event_ticker] = client.event(market.event_ticker)
        family = Family(
            event_ticker=market.event_ticker, series_ticker=series.ticker, is_exclusive=event.mutually_exclusive,
            category=event.category or series.category,
        )  # fmt: skip
        value = market.settlement_value
        whole = msgspec.structs.replace(market, settlement_value=_VALUES.get(market.result) if value is None else value)
        columns = market_columns(whole, fees_at(market.close_time, event, series, changes), family)
        at = market.close_time
        batch.add(period_of("markets", market.ticker, at, Ts(at + 1)), [DataRow(at * 1000, columns)])


def fees_at(at: Ts, event: Event, series: Series, changes: Iterable[FeeChange]) -> FeeSchedule | None:
    """Return the fees at a time: those of the event, else of the series. None if they changed since and are unknown."""
    own = sorted((each for each in changes if not each.event_ticker), key=lambda each: each.scheduled)
    before = [each.fees for each in own if each.scheduled <= at]
    fees = before[-1] if before else None if own else series.fees
    kind, factor = event.fee_type_override, event.fee_multiplier_override
    if kind is not None and factor is not None:
        return FeeSchedule(kind, factor)
    if fees is None:
        return None
    return FeeSchedule(kind or fees.type, fees.multiplier if factor is None else factor)


# -- trades, candles, fills ---------------------------------------------------------------------------------------


def _rows(client: KalshiClient, series: str, each: ListedPeriod, cutoff: Cutoff) -> list[DataRow] | None:
    """Return the rows of a period; None if the exchange does not know the market."""
    period, ticker = each.period, each.market.ticker
    first, last = Ts(period.first // 1000), Ts((period.last + 1) // 1000)
    try:
        if period.table == "candles":
            candles = _candles(client, series, each, Ts(first + MINUTE_MS), last)
            return [DataRow(one.end * 1000, candle_columns(ticker, one)) for one in candles]
        return [
            DataRow(trade.ts * 1000, trade_columns(trade), (trade.trade_id,))
            for trade in _trades(client, ticker, first, last, cutoff)
            if first <= trade.ts < last
        ]
    except NotFoundError:
        return None


def _trades(client: KalshiClient, ticker: str, first: Ts, last: Ts, cutoff: Cutoff) -> Iterable[PublicTrade]:
    """Return the trades of a period from the tier that has it, or from both."""
    if last <= cutoff.trades:
        return client.historical_trades(ticker, first, last)
    return client.all_trades(ticker, first, last)


def _candles(client: KalshiClient, series: str, each: ListedPeriod, first: Ts, last: Ts) -> list[Candle]:
    """Return the candles that end in these times, both included."""
    ticker = each.market.ticker
    if not each.is_old:
        try:
            return client.candles(series, ticker, first, last, 1)
        except NotFoundError:
            pass  # It moved to the historical tier after it was listed.
    return client.historical_candles(ticker, first, last, 1)


def _add_fills(client: KalshiClient, lake: Lake, batch: DownloadBatch, request: DownloadRequest) -> None:
    """Add the account's fills of the times that the lake does not have for this key."""
    subject = f"key {hashlib.sha256(request.account.encode()).hexdigest()[:8]}"
    covered = CoveredTimes(lake.coverage("own_fills", [request.series]))
    missing = covered.missing(subject, request.since * 1000, request.until * 1000 - 1)
    if not missing:
        return
    first, last = missing[0][0], missing[-1][1]
    rows = [
        DataRow(fill.ts * 1000, fill_columns(fill), fill.key)
        for fill in client.all_fills(min_ts=Ts(first // 1000))
        if series_of(fill.ticker) == request.series and first <= fill.ts * 1000 <= last
    ]
    batch.add(Period("own_fills", subject, request.series, first, last), rows)
