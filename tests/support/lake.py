"""A lake in a test, and what its replay gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.units import Ts
from kalshi_cli.core.model.messages import Message
from kalshi_cli.feeds.replay import Replay
from kalshi_cli.lake.changes import NewRows
from kalshi_cli.lake.ingest import Ingested
from kalshi_cli.lake.lake import Lake, open_lake
from kalshi_cli.lake.reader import Selection, histories, streams
from kalshi_cli.services.research.lake_import import import_file
from support.recordings import new_decoder

NOW = Ts(1_780_000_000_000)
ALL = Selection()


def lake_of(folder: Path, *files: Path) -> Lake:
    """A lake that has these files."""
    lake = open_lake(folder / "lake", is_new=True)
    for path in files:
        add(lake, path)
    return lake


def add(lake: Lake, path: Path) -> Ingested:
    return import_file(lake, path, ManualClock(NOW)).found


def play_lake(lake: Lake, chosen: Selection = ALL, new_rows: NewRows | None = None, **options: Any) -> list[Message]:
    """The messages of a replay from the lake; with `new_rows`, rows beside them."""
    outside = histories(lake, chosen, 0, 2**62)
    replay = Replay([], new_decoder=new_decoder, lanes=streams(lake, chosen, new_rows), histories=outside, **options)
    return list(replay)


def content(lake: Lake) -> dict[str, bytes]:
    """Every file of the lake, but the lock."""
    paths = (path for path in lake.root.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(lake.root)): path.read_bytes() for path in paths}
