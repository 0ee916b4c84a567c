"""Views of a lake. Rules as in `row`."""

from __future__ import annotations

from kalshi_cli.base.units import Ts
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.row import OutputRow


class LakeImportRow(OutputRow, frozen=True, kw_only=True):
    """A file that was imported. `rows` and `changes` (of order books) were added; `known` the lake had before.

    `holes` are the gaps: times at which a market was no longer followed before the end. `unknown_books` are markets
    with changes but without a snapshot, which cannot be used.
    """

    file: TruncatableText
    kind: str
    rows: int
    changes: int
    known: int
    markets: int
    holes: int
    unknown_books: tuple[str, ...]
    from_time: Ts | None
    to_time: Ts | None

    shown = ("file", "kind", "rows", "changes", "known", "markets", "holes", "unknown_books")
    vital = ("file", "rows", "known")


class LakeDownloadRow(OutputRow, frozen=True, kw_only=True):
    """A series whose past was downloaded. `results`, `trades`, `candles` and `own_fills` are the rows added.

    `markets` were open in the period. `known` counts lists of trades or of candles that the lake had, `missing` are
    markets whose trades or candles the exchange no longer has.
    """

    series: str
    markets: int
    results: int
    trades: int
    candles: int
    own_fills: int
    known: int
    missing: tuple[str, ...]

    vital = ("series", "trades", "candles")


class LakeSeriesRow(OutputRow, frozen=True, kw_only=True):
    """A series of a lake, or a source of prices. `covered_h` are hours of order books, summed over its markets."""

    series: str
    from_time: Ts | None
    to_time: Ts | None
    recordings: int
    markets: int
    results: int
    changes: int
    trades: int
    candles: int
    own_fills: int
    inputs: int
    holes: int
    covered_h: float
    bytes: int

    shown = (
        "series", "from_time", "to_time", "holes", "covered_h", "markets", "results", "changes", "trades", "inputs",
        "recordings", "candles", "own_fills", "bytes",
    )  # fmt: skip
    vital = ("series", "from_time", "to_time", "holes")


class LakeProblemRow(OutputRow, frozen=True, kw_only=True):
    """A file of a lake that cannot be used, and why."""

    file: TruncatableText
    problem: TruncatableText


class LakeFileRow(OutputRow, frozen=True, kw_only=True):
    """A file that a lake no longer has, or would no longer have."""

    file: TruncatableText
    bytes: int


class LakeExportView(OutputRow, frozen=True, kw_only=True):
    """A table of a lake as one file."""

    file: TruncatableText
    table: str
    rows: int
