"""Downloaded data on its way into a lake: whole periods, added together every half minute."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import Ts
from kalshi_cli.lake.coverage import CoveredTimes
from kalshi_cli.lake.lake import Lake, LakeSession
from kalshi_cli.lake.layout import series_of

COMMIT_S = 30.0
"""Seconds of reading until the data is added to the lake: what a killed download reads again, at most."""

COMMIT_ROWS = 200_000
"""Rows that are held in memory, at most, beside those of one period."""

LOCK_WAIT_S = 60.0
"""Seconds to wait for another writer of the lake."""


class DataRow(NamedTuple):
    """A row of a table, without session and number. `key` is unique in its table; a row without one is always added."""

    ts_us: int
    values: tuple[Any, ...]
    key: tuple[str, ...] = ()


class Period(NamedTuple):
    """A market (or an account), a table, and a range of its times in microseconds, both ends included."""

    table: str
    subject: str
    series: str
    first: int
    last: int


_KEYS = {"trades": ("trade_id",), "own_fills": ("trade_id", "order_id")}
"""Columns that identify a row. A recording may have had the same trade on the stream."""


class DownloadBatch:
    """Whole periods that were read and are not yet in the lake. `add` writes them when it is time, `write` at once."""

    def __init__(self, lake: Lake, clock: Clock) -> None:
        self._lake = lake
        self._clock = clock
        self._pending: list[tuple[Period, Sequence[DataRow]]] = []
        self._rows = 0
        self._since = clock.monotonic()
        self.added: dict[str, int] = {}

    def add(self, period: Period, rows: Sequence[DataRow]) -> None:
        """Add a period with all of its rows. StateFileError if it is time to write, and the lake cannot be written."""
        self._pending.append((period, rows))
        self._rows += len(rows)
        if self._rows >= COMMIT_ROWS or self._clock.monotonic() - self._since >= COMMIT_S:
            self.write()

    def write(self) -> None:
        """Write all periods, or none; StateFileError if that fails. What the lake has by now is left out."""
        pending, self._pending, self._rows, self._since = self._pending, [], 0, self._clock.monotonic()
        if not pending:
            return
        series = list(dict.fromkeys(period.series for period, _ in pending))
        session = f"download-{hashlib.sha256(repr([period for period, _ in pending]).encode()).hexdigest()[:12]}"
        with self._lake.writing(self._clock, LOCK_WAIT_S) as changes:
            known = {
                table: CoveredTimes(self._lake.coverage(table, series)) for table in {each.table for each, _ in pending}
            }
            number = 0
            for table, had in _keys_of(self._lake, pending).items():
                rows = [
                    (row.ts_us, period.series, row)
                    for period, found in pending
                    if period.table == table
                    for row in found
                    if row.key not in had and not known[table].has(period.subject, place_of(table, row.ts_us))
                ]
                for ts_us, one, row in sorted(rows, key=lambda each: each[0]):
                    changes.add(table, one, ts_us, (ts_us, *row.values, session, number, -1))
                    number += 1
                self.added[table] = self.added.get(table, 0) + len(rows)
            for period, _ in pending:
                values = (period.table, period.subject, period.first, period.last, "end", session)
                changes.add("coverage", period.series, period.first, values)
            found = LakeSession(
                session=session, kind="download", source="exchange", digest=session,
                from_us=min(period.first for period, _ in pending), to_us=max(period.last for period, _ in pending),
                recv_from_ms=-1, recv_to_ms=-1, series=tuple(series), inputs=(), rows=number,
            )  # fmt: skip
            self._lake.add_session(changes, found)


def place_of(table: str, ts_us: int) -> int:
    """Return the time of a row in its period. A candle is named after its end, which is the start of the next one."""
    return ts_us - 1 if table == "candles" else ts_us


def _keys_of(lake: Lake, pending: Iterable[tuple[Period, Sequence[DataRow]]]) -> dict[str, set[tuple[str, ...]]]:
    """Return the keys that the lake has of the markets and times of these periods, by table."""
    found: dict[str, set[tuple[str, ...]]] = {}
    spans: dict[tuple[str, str], tuple[int, int, set[str]]] = {}
    for period, rows in pending:
        found.setdefault(period.table, set())
        if period.table in _KEYS and rows:
            first, last, markets = spans.get((period.table, period.series), (period.first, period.last, set()))
            markets.update(str(row.values[0]) for row in rows)
            spans[period.table, period.series] = min(first, period.first), max(last, period.last), markets
    for (table, series), (first, last, markets) in spans.items():
        wanted = pa.array(sorted(markets))
        for part in lake.tables(table, [series], first, last, columns=["market", *_KEYS[table]]):
            own = part.filter(pc.is_in(part.column("market").cast(pa.string()), wanted))
            found[table].update(zip(*(own.column(name).to_pylist() for name in _KEYS[table]), strict=True))
    return found


def period_of(table: str, subject: str, first: Ts, last: Ts, series: str = "") -> Period:
    """Return a period from `first` to before `last`."""
    return Period(table, subject, series or series_of(subject), first * 1000, last * 1000 - 1)
