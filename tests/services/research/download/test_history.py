"""A download adds what the lake does not have: of both tiers, once, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.lake import content
from support.simulation import DAY_MS, OTHER, T0, TICKER, Simulation

from kalshi_cli.base.errors import UsageError
from kalshi_cli.base.units import ONE_DOLLAR, Ts
from kalshi_cli.core.model.markets import Event, FeeSchedule, FeeType, Series
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.exchange.wire.events import FeeChange
from kalshi_cli.lake.coverage import Covered, CoveredTimes
from kalshi_cli.lake.lake import Lake, open_lake
from kalshi_cli.lake.layout import series_of
from kalshi_cli.lake.upkeep import check
from kalshi_cli.services.research.download import batch as batches
from kalshi_cli.services.research.download import history
from kalshi_cli.services.research.download.history import (
    DownloadRequest,
    check_request,
    download,
    fees_at,
)
from kalshi_cli.services.research.lake_import import lake_results
from kalshi_cli.simulator.model.listing import ExchangeOptions
from kalshi_cli.views.lake import LakeDownloadRow

SERIES = series_of(TICKER)


@pytest.fixture
def history_after_days() -> int:
    """After how many days the exchange moves what happened to its history."""
    return 20


@pytest.fixture
def sim(tmp_path: Path, history_after_days: int) -> Iterator[Simulation]:
    """Ten round trips, an hour apart, in a market that pays out; another one with a trade stays open."""
    options = ExchangeOptions(
        read_rate=0, write_rate=0, clock_past_ms=10**12, history_after_ms=history_after_days * DAY_MS
    )
    one = Simulation(tmp_path, options=options)
    for _ in range(10):
        one.clock.advance(3600)
        one.market(40, 44)
        one.quote(BID, 44, 1, who="alice")
        one.quote(ASK, 40, 1, who="alice")
        one.take(BID, 44, 2)
    one.exchange.set_close_time(OTHER, Ts(T0 + 99 * DAY_MS), one.clock.now())
    one.market(50, 55, ticker=OTHER)
    one.quote(ASK, 50, 10, who="alice", ticker=OTHER)
    one.exchange.set_close_time(TICKER, Ts(one.clock.now() + 60_000), one.clock.now())
    one.clock.advance(3600)
    one.exchange.settle(TICKER, ONE_DOLLAR, one.clock.now())
    one.exchange.advance(Ts(one.clock.now() + 120_000))
    one.clock.advance(120)
    yield one
    one.close()


def later(sim: Simulation, days: float) -> None:
    sim.clock.advance(days * 86_400)
    sim.exchange.advance(sim.clock.now())


def lake_in(folder: Path) -> Lake:
    return open_lake(folder / "lake", is_new=True)


def run(sim: Simulation, lake: Lake, until: Ts | None = None, **fields: Any) -> LakeDownloadRow:
    now = sim.clock.now()
    request = check_request(DownloadRequest(series=SERIES, since=T0, until=until or now, **fields), now)
    return download(sim.client, lake, sim.clock, sim.client.series(SERIES), request)


def trade_ids(lake: Lake) -> list[str]:
    return [row["trade_id"] for row in lake.rows("trades")]


def test_everything_is_downloaded_once(sim: Simulation, tmp_path: Path) -> None:
    later(sim, 1)
    lake = lake_in(tmp_path)
    found = run(sim, lake, account="key")
    expected = [trade.trade_id for ticker in (TICKER, OTHER) for trade in sim.client.all_trades(ticker)]
    assert sorted(trade_ids(lake)) == sorted(expected)
    assert (found.trades, found.results, found.markets, found.known) == (len(expected), 1, 2, 0)
    assert found.own_fills == len(sim.client.all_fills()) == 21
    market = sim.client.market(TICKER)
    candles = sim.client.all_candles(market, T0, Ts(market.close_time + 60_000), 1)
    rows = [row for row in lake.rows("candles") if row["market"] == TICKER]
    assert [(row["ts_us"], row["close"], row["volume"]) for row in rows] == [
        (candle.end * 1000, candle.price.close, candle.volume) for candle in candles if candle.end > T0
    ]
    assert lake_results(lake)[TICKER].value == ONE_DOLLAR
    (result,) = lake.rows("markets")
    assert (result["fee_type"], result["fee_multiplier"]) == ("quadratic", 1000)
    assert check(lake) == []

    before = content(lake)
    sim.wire.sent.clear()
    again = run(sim, lake, account="key")
    assert (again.trades, again.candles, again.results, again.own_fills) == (0, 0, 0, 0)
    assert [path.rpartition("/")[2] for _, path in sim.wire.sent] == [SERIES, "cutoff", "markets"]
    assert again.known == 4
    assert content(lake) == before


def test_an_open_market_continues_where_the_last_download_ended(sim: Simulation, tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    run(sim, lake)
    first = len(trade_ids(lake))
    later(sim, 2)
    sim.market(50, 55, ticker=OTHER)
    sim.quote(ASK, 50, 10, who="alice", ticker=OTHER)
    later(sim, 1)
    found = run(sim, lake)
    assert (found.trades, found.results, found.known) == (1, 0, 2)
    assert len(trade_ids(lake)) == len(set(trade_ids(lake))) == first + 1


@pytest.mark.parametrize("history_after_days", [8])
@pytest.mark.parametrize(("days", "is_begun", "is_over"), [(3, False, False), (7.77, True, False), (9, True, True)])
def test_both_tiers_are_read_wherever_the_cutoff_lies(
    sim: Simulation, tmp_path: Path, days: float, is_begun: bool, is_over: bool
) -> None:
    """Eleven hours before the cutoff passes them, in its midst, and after it: a minute is a candle that is checked."""
    before, until = lake_in(tmp_path / "young"), sim.clock.now()
    run(sim, before, until)
    later(sim, days)
    cutoff = sim.client.historical_cutoff().trades
    assert (cutoff > T0, until < cutoff) == (is_begun, is_over)
    after = lake_in(tmp_path / "old")
    run(sim, after, until)
    assert sorted(trade_ids(after)) == sorted(trade_ids(before))
    assert lake_results(after).keys() == {TICKER}
    end = max(row["ts_us"] for row in before.rows("candles"))
    young, old = (
        [(row["market"], row["ts_us"], row["close"]) for row in lake.rows("candles") if row["ts_us"] <= end]
        for lake in (before, after)
    )
    assert young == old


def test_an_interruption_loses_no_period_that_was_read(sim: Simulation, tmp_path: Path) -> None:
    """Before each request but the first; the same exchange answers all downloads, so that one whole one is enough."""
    whole = lake_in(tmp_path / "whole")
    sim.wire.sent.clear()
    run(sim, whole, account="key")
    requests = len(sim.wire.sent)
    assert requests >= 10
    tables = ("coverage", "trades", "candles", "markets", "own_fills")
    expected, trades = [len(whole.rows(table)) for table in tables], sorted(trade_ids(whole))
    for number in range(2, requests + 1):
        lake = lake_in(tmp_path / f"part{number}")
        sim.wire.sent.clear()

        def interrupt(_request: httpx.Request, number: int = number) -> None:
            if len(sim.wire.sent) == number:
                raise KeyboardInterrupt

        sim.wire.before = interrupt
        with pytest.raises(KeyboardInterrupt):
            run(sim, lake, account="key")
        kept = len(lake.rows("coverage"))
        assert check(lake) == [], number
        rest = run(sim, lake, account="key")
        assert rest.known + rest.results <= kept + 1, number
        assert [len(lake.rows(table)) for table in tables] == expected, number
        assert sorted(trade_ids(lake)) == trades, number


def test_two_downloads_at_once_add_nothing_twice(sim: Simulation, tmp_path: Path) -> None:
    """The second one read everything before the first one wrote."""
    lake, other = lake_in(tmp_path), lake_in(tmp_path / "other")
    run(sim, other)
    now = sim.clock.now()
    request = check_request(DownloadRequest(series=SERIES, since=T0, until=now), now)
    late = batches.DownloadBatch(lake, sim.clock)
    wanted, _ = history.missing_periods(lake, [(sim.client.market(TICKER), False)], request)
    cutoff = sim.client.historical_cutoff()
    for each in wanted:
        late.add(each.period, history._rows(sim.client, SERIES, each, cutoff) or [])
    run(sim, lake)
    late.write()
    assert sorted(trade_ids(lake)) == sorted(trade_ids(other))
    assert len(lake.rows("candles")) == len(other.rows("candles"))


def test_a_trade_that_a_recording_has_is_not_added_again(sim: Simulation, tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    trade = sim.client.all_trades(TICKER)[0]
    with lake.writing(sim.clock) as changes:
        values = (trade.ts * 1000, TICKER, trade.trade_id, trade.price, trade.qty, 0, False, "tape", 0, 0)
        changes.add("trades", SERIES, trade.ts * 1000, values)
    run(sim, lake)
    assert len(trade_ids(lake)) == len(set(trade_ids(lake))) == 31


def test_rows_are_written_while_reading_goes_on(
    sim: Simulation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "COMMIT_ROWS", 1)
    lake = lake_in(tmp_path)
    run(sim, lake)
    assert len({row["session"] for row in lake.rows("sessions")}) > 3
    assert check(lake) == []


def test_a_period_of_the_future_is_refused() -> None:
    request = DownloadRequest(series="KXA", since=Ts(T0 + 1), until=Ts(T0 + 2))
    with pytest.raises(UsageError, match="is in the future"):
        check_request(request, T0)
    with pytest.raises(UsageError, match="is not before until"):
        check_request(DownloadRequest(series="KXA", since=Ts(T0 - 5), until=Ts(T0 - 5)), T0)
    with pytest.raises(UsageError, match="no complete minute yet"):
        check_request(DownloadRequest(series="KXA", since=Ts(T0 - 5), until=T0), T0)


def event(**fees: Any) -> Event:
    return Event(event_ticker="KXA-1", series_ticker="KXA", title="", mutually_exclusive=False, **fees)


def change(at: int, multiplier: int) -> FeeChange:
    return FeeChange(id=str(at), series_ticker="KXA", fees=FeeSchedule(FeeType.QUADRATIC, multiplier), scheduled=Ts(at))


def test_fees_are_those_at_the_time() -> None:
    series = Series(ticker="KXA", title="", category="", frequency="", fees=FeeSchedule(FeeType.QUADRATIC, 2000))
    assert fees_at(Ts(50), event(), series, []) == series.fees
    changes = [change(100, 2000), change(10, 500)]
    assert fees_at(Ts(50), event(), series, changes) == FeeSchedule(FeeType.QUADRATIC, 500)
    assert fees_at(Ts(100), event(), series, changes) == FeeSchedule(FeeType.QUADRATIC, 2000)
    assert fees_at(Ts(9), event(), series, changes) is None
    own = event(fee_type_override=FeeType.FLAT, fee_multiplier_override=1)
    assert fees_at(Ts(9), own, series, changes) == FeeSchedule(FeeType.FLAT, 1)
    assert fees_at(Ts(50), event(fee_multiplier_override=7), series, changes) == FeeSchedule(FeeType.QUADRATIC, 7)


RANGES = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 8)).map(lambda pair: (pair[0], sum(pair))), max_size=6)


@given(RANGES, st.integers(0, 30), st.integers(0, 15))
def test_the_missing_parts_are_the_times_that_are_not_covered(
    ranges: list[tuple[int, int]], first: int, length: int
) -> None:
    times, last = CoveredTimes(Covered("KXA", *each) for each in ranges), first + length
    parts = times.missing("KXA", first, last)
    found = [at for start, end in parts for at in range(start, end + 1)]
    assert found == [at for at in range(first, last + 1) if not times.has("KXA", at)]
    assert all(start <= end for start, end in parts)
    assert times.missing("KXB", first, last) == [(first, last)]
