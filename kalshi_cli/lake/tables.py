"""The tables of a lake: their columns, types and encodings.

Times are microseconds UTC (`_us`) or milliseconds (`_ms`), prices ten-thousandths of a dollar on the YES scale, counts
hundredths of a contract, money millionths of a dollar. `side` is 0 for a bid for YES and 1 for a bid for NO, which is
an offer of YES at the same price. `session` names the import, and `row` counts its events, over all tables.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from kalshi_cli.base.errors import StateFileError
from kalshi_cli.base.files import open_regular

FORMAT = 1
"""The version of a lake's format; a lake of a later one is not touched."""

ROW_GROUP = 1 << 18
"""Rows of a group, which is what a reader holds in memory at once."""

_TEXT = pa.dictionary(pa.int32(), pa.string())
_PRICES = pa.list_(pa.int32())
_COUNTS = pa.list_(pa.int64())

_WHERE = (("session", _TEXT), ("row", pa.int64()), ("recv_ms", pa.int64()))
"""Columns of every table of a recording. `recv_ms` is the recorder's clock, -1 where it noted none."""

SCHEMAS: dict[str, pa.Schema] = {
    name: pa.schema([("ts_us", pa.int64()), *columns, *_WHERE])
    for name, columns in {
        "book_changes": (
            ("market", _TEXT), ("side", pa.int8()), ("price", pa.int32()), ("delta", pa.int64()), ("seq", pa.int64()),
        ),
        "book_snapshots": (
            ("market", _TEXT), ("bid_prices", _PRICES), ("bid_counts", _COUNTS), ("ask_prices", _PRICES),
            ("ask_counts", _COUNTS), ("seq", pa.int64()), ("sent_ms", pa.int64()),
        ),
        "trades": (
            ("market", _TEXT), ("trade_id", pa.string()), ("price", pa.int32()), ("count", pa.int64()),
            ("taker_side", pa.int8()), ("is_block", pa.bool_()),
        ),
        "tickers": (
            ("market", _TEXT), ("bid", pa.int32()), ("bid_count", pa.int64()), ("ask", pa.int32()),
            ("ask_count", pa.int64()), ("last", pa.int32()), ("volume", pa.int64()),
        ),
        "lifecycle": (("market", _TEXT), ("kind", _TEXT), ("detail", pa.string())),
        "markets": (
            ("market", _TEXT), ("event", _TEXT), ("title", pa.string()), ("status", _TEXT), ("strike", pa.float64()),
            ("close_us", pa.int64()), ("result", _TEXT), ("value", pa.int32()), ("fee_type", _TEXT),
            ("fee_multiplier", pa.int32()), ("detail", pa.string()),
        ),
        "own_fills": (
            ("market", _TEXT), ("trade_id", pa.string()), ("order_id", pa.string()), ("client_order_id", pa.string()),
            ("side", pa.int8()), ("price", pa.int32()), ("count", pa.int64()), ("fee", pa.int64()),
            ("is_taker", pa.bool_()), ("subaccount", pa.int32()),
        ),
        "spot": (
            ("symbol", _TEXT), ("kind", _TEXT), ("venue", _TEXT), ("price", pa.int64()), ("size", pa.int64()),
        ),
        "fair": (("market", _TEXT), ("fair", pa.int32()), ("source", _TEXT), ("until_ms", pa.int64())),
        "news": (
            ("market", _TEXT), ("signal_id", pa.string()), ("side", pa.int8()), ("confidence", pa.int32()),
            ("text", pa.string()),
        ),
        "candles": (
            ("market", _TEXT), ("bid_open", pa.int32()), ("bid_low", pa.int32()), ("bid_high", pa.int32()),
            ("bid_close", pa.int32()), ("ask_open", pa.int32()), ("ask_low", pa.int32()), ("ask_high", pa.int32()),
            ("ask_close", pa.int32()), ("open", pa.int32()), ("low", pa.int32()), ("high", pa.int32()),
            ("close", pa.int32()), ("mean", pa.int32()), ("volume", pa.int64()), ("open_interest", pa.int64()),
        ),
    }.items()
}  # fmt: skip
SCHEMAS["coverage"] = pa.schema(
    [
        ("kind", _TEXT), ("market", _TEXT), ("from_us", pa.int64()), ("to_us", pa.int64()), ("ended", _TEXT),
        ("session", _TEXT),
    ]
)  # fmt: skip
SCHEMAS["sessions"] = pa.schema(
    [
        ("session", _TEXT), ("kind", _TEXT), ("source", pa.string()), ("digest", pa.string()), ("from_us", pa.int64()),
        ("to_us", pa.int64()), ("recv_from_ms", pa.int64()), ("recv_to_ms", pa.int64()), ("series", pa.list_(_TEXT)),
        ("inputs", pa.list_(_TEXT)), ("rows", pa.int64()),
    ]
)  # fmt: skip

_STEPS = frozenset({"ts_us", "row", "recv_ms", "seq", "from_us", "to_us"})
"""Columns that rise in small steps: stored as differences. All others repeat few values: stored as a dictionary."""


def open_file(path: Path) -> pq.ParquetFile:
    """Open a file of a lake: only a regular one, because opening a FIFO waits for its other end.

    Reading verifies the checksums of the file, which costs about one percent; older files have none.
    """
    os.close(open_regular(path))
    return pq.ParquetFile(path, page_checksum_verification=True)


def row_groups(path: Path) -> Iterator[pa.Table]:
    """Yield the rows of a file of a lake, a group at a time; raise StateFileError if it cannot be read."""
    try:
        with open_file(path) as file:
            for number in range(file.num_row_groups):
                yield file.read_row_group(number)
    except (OSError, pa.ArrowException) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> StateFileError:
    """Return the error for a file of a lake that cannot be read."""
    return StateFileError(
        f"Unreadable file in the lake: {path}: {reason_of(error)}",
        hint="`kalshi data check` names every such file",
        code="lake_broken",
    )


def reason_of(error: Exception) -> str:
    """Return what is wrong with a file, in one line."""
    return (isinstance(error, OSError) and error.strerror) or str(error).strip().partition("\n")[0]


def open_writer(target: Any, table: str) -> pq.ParquetWriter:
    """Return the writer of a file of this table, compressed with zstd, with checksums."""
    schema = SCHEMAS[table]
    is_plain = [field.name for field in schema if field.name not in _STEPS]
    return pq.ParquetWriter(
        target, schema, compression="zstd", compression_level=9, use_dictionary=is_plain,
        write_page_checksum=True,
        column_encoding={field.name: "DELTA_BINARY_PACKED" for field in schema if field.name in _STEPS},
    )  # fmt: skip


def table_of(table: str, rows: list[tuple[Any, ...]]) -> pa.Table:
    """Return rows, in the order of the columns, as an Arrow table."""
    schema = SCHEMAS[table]
    columns = zip(*rows, strict=True) if rows else ((),) * len(schema)
    arrays = [_array(values, field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)


def _array(values: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    if pa.types.is_dictionary(kind):
        return pa.array(values, pa.string()).dictionary_encode().cast(kind)
    if pa.types.is_list(kind) and pa.types.is_dictionary(kind.value_type):
        return pa.array(values, pa.list_(pa.string())).cast(kind)
    return pa.array(values, kind)
