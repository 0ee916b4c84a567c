"""Market data: a frame from the socket to the best prices, the whole list, printing, the memory of a loop."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from bench import loopback, peers
from bench.contest import Contestant, Ratio
from bench.deltas import frames
from bench.racing import OURS, Entry, Row, Scale, race_entries, row, write_key
from kalshi_cli.exchange.wire.markets import read_markets
from kalshi_cli.views.formats import columns, to_text
from kalshi_cli.views.markets import MarketRow

SDK, PYKALSHI = "official SDK 3.2.0", "pykalshi 2.0.0"
_RICH, _MOST_MB = "rich, cells as text", 150


def stream(scale: Scale, scratch: Path) -> Iterator[Row]:
    """Frames over a WebSocket on loopback, sent without pauses, to the best prices after each."""
    count = max(100, round(20_000 * scale.factor))
    file, key = scratch / "stream.jsonl", write_key(scratch / "stream.pem")
    file.write_text("\n".join(frames(count)))
    with Contestant("server", "bench.loopback_stream", str(file)) as server:
        given = (server.line(), key)
        entries = [
            Entry(OURS, "bench.workers.ours_stream", given),
            Entry(PYKALSHI, "bench.workers.pykalshi_stream", given, peers.PYKALSHI),
        ]
        result = race_entries(scale._replace(factor=1.0), "stream", "cpu", count, entries)
        yield row(result, "WebSocket frame to top of book, CPU a frame", PYKALSHI, 0.20)


def listing(scale: Scale, scratch: Path) -> Iterator[Row]:
    """All open markets, in pages of 1,000, to typed rows that are all held at the end."""
    key = write_key(scratch / "listing.pem")
    with Contestant("server", "bench.loopback") as server:
        given = (server.line(), key)
        ours = Entry(OURS, "bench.workers.ours_rest", given)
        sdk = Entry(SDK, "bench.workers.sdk_rest", given, peers.SDK)
        pykalshi = Entry(PYKALSHI, "bench.workers.pykalshi_rest", given, peers.PYKALSHI)
        page = race_entries(scale, "markets", "cpu", 4, [ours, sdk, pykalshi])
        yield row(page, "1,000 markets to typed rows, CPU a page", SDK, 0.12)
        yield row(page, "1,000 markets to typed rows, CPU a page", PYKALSHI)
        if scale.is_quick:
            return
        whole = race_entries(scale._replace(rounds=2), "all", "cpu", loopback.PAGES, [ours, sdk])
        yield row(whole, f"{loopback.PAGES},000 markets to typed rows, CPU", SDK, 0.12)
        held = race_entries(scale._replace(rounds=1), "all", "memory", 10, [ours, sdk])
        yield row(held, "10,000 markets to typed rows, memory at most", SDK, 0.25)


def printing(scale: Scale, scratch: Path) -> Iterator[Row]:
    """Rows to a pipe: ours from its objects, rich from cells that are text already."""
    page, cells, count = scratch / "page.json", scratch / "cells.json", 50 if scale.is_quick else 1_000
    page.write_bytes(loopback.markets_page(count))
    rows = [MarketRow.of(market) for market in read_markets(page.read_bytes()).items]
    shows = [(each.name, to_text(each.kind)) for each in columns(MarketRow)]
    cells.write_text(json.dumps([[show(getattr(one, name)) for name, show in shows] for one in rows]))
    entries = [
        Entry(OURS, "bench.workers.ours_printing", (str(page),)),
        Entry(_RICH, "bench.workers.rich_printing", (str(cells),)),
    ]
    title = f"printing {count:,} rows to a pipe, CPU"
    yield row(race_entries(scale, "print", "cpu", 2, entries), title, _RICH, 0.10)


def memory(scale: Scale, scratch: Path) -> Iterator[Row]:
    """The resident memory of a process with all parts of a loop, which follows 1,000 markets with full books."""
    file = scratch / "memory.jsonl"
    file.write_text("\n".join(frames(1)))
    markets = "20" if scale.is_quick else "1000"
    with Contestant(OURS, "bench.workers.ours_memory", str(file), str(scratch), markets) as ours:
        ours.line()
        bytes_held, _ = ours.ask("memory", 1, "resident")
    used = bytes_held / 1e6
    yield Row(f"a loop that follows {markets} markets, MB resident", "a limit", Ratio(used, used, used), _MOST_MB)
