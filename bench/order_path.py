"""The path of an order: one signed call, from a book change to the acknowledged order, the record, a whole command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import peers
from bench.contest import Contestant
from bench.deltas import frames
from bench.racing import OURS, Entry, Row, Scale, race_entries, race_works, row, write_key

SDK, PYKALSHI, SQLALCHEMY = "official SDK 3.2.0", "pykalshi 2.0.0", "SQLAlchemy 2.0"
_SIGNATURE = "one RSA-2048 signature"
_FAST, _READY = "ours, Ed25519", "ours, ready signature"


def rest(scale: Scale, scratch: Path) -> Iterator[Row]:
    """One signed call. The peers know RSA keys only: with an Ed25519 key ours is measured against their RSA."""
    key, fast_key = write_key(scratch / "key.pem"), write_key(scratch / "fast.pem", is_fast=True)
    with Contestant("server", "bench.loopback") as server:
        url = server.line()
        entries = [
            Entry(OURS, "bench.workers.ours_rest", (url, key)),
            Entry(_FAST, "bench.workers.ours_rest", (url, fast_key)),
            Entry(SDK, "bench.workers.sdk_rest", (url, key), peers.SDK),
            Entry(PYKALSHI, "bench.workers.pykalshi_rest", (url, key), peers.PYKALSHI),
            Entry(_SIGNATURE, "bench.workers.signature", (key,)),
        ]
        fine = scale._replace(rounds=4 * scale.rounds)  # short rounds: the speed of a busy machine changes often
        results = race_works(fine, [("create", "cpu"), ("get", "cpu")], 50, entries)
        for title, result in zip(("signed create-order", "signed GET"), results, strict=True):
            is_order = title == "signed create-order"
            yield row(result, f"{title}, RSA, CPU a call", SDK, 0.45 if is_order else None)
            yield row(result, f"{title}, RSA, CPU a call", PYKALSHI)
            yield row(result, f"{title}, RSA, CPU a call", _SIGNATURE)
            yield row(result, f"{title}, Ed25519 (peer: RSA), CPU a call", SDK, 0.20 if is_order else None, of=_FAST)
            yield row(result, f"{title}, Ed25519 (peer: RSA), CPU a call", PYKALSHI, of=_FAST)


def order(scale: Scale, scratch: Path) -> Iterator[Row]:
    """A frame of the book in, its order recorded on the disk (pykalshi: nowhere) and acknowledged."""
    key, count = write_key(scratch / "order.pem"), 5_000
    file = scratch / "order.jsonl"
    file.write_text("\n".join(frames(count)))
    with Contestant("server", "bench.loopback") as server:
        given = (server.line(), key, str(file), str(scratch))
        entries = [
            Entry(OURS, "bench.workers.ours_order", (*given, "sign")),
            Entry(_READY, "bench.workers.ours_order", (*given, "presign")),
            Entry(PYKALSHI, "bench.workers.pykalshi_order", given[:3], peers.PYKALSHI),
        ]
        works = [("order", "wall"), ("order", "cpu")]
        results = race_works(scale._replace(rounds=2 * scale.rounds), works, 50, entries)
        for title, result in zip(("median", "median CPU"), results, strict=True):
            limits = (0.75, 0.45) if title == "median" else (None, None)
            for name, how, limit in ((OURS, "signed inline", limits[0]), (_READY, "ready signature", limits[1])):
                yield row(result, f"book update to order, {how}, RSA, {title}", PYKALSHI, limit, of=name)


def command(scale: Scale, scratch: Path) -> Iterator[Row]:
    """One signed read as a whole program."""
    key = write_key(scratch / "command.pem")
    with Contestant("server", "bench.loopback") as server:
        settings = (
            f"KALSHI_REST_URL={server.line()}",
            f"KALSHI_PRIVATE_KEY_PATH={key}",
            f"KALSHI_STATE={scratch / 'state'}",
            "KALSHI_API_KEY_ID=00000000-0000-0000-0000-000000000000",
            "KALSHI_ENV=demo",
        )
        programs, title = "bench.workers.programs", "one signed read as a whole command, wall"
        entries = [
            Entry(OURS, programs, (*settings, "-m", "kalshi_cli", "api", "GET", "/portfolio/balance")),
            Entry(SDK, programs, (*settings, "-m", "bench.workers.sdk_balance"), peers.SDK),
            Entry(PYKALSHI, programs, (*settings, "-m", "bench.workers.pykalshi_balance"), peers.PYKALSHI),
        ]
        result = race_entries(scale, "program", "wall", 3, entries)
        yield row(result, title, SDK, 0.28)
        yield row(result, title, PYKALSHI)


def store(scale: Scale, scratch: Path) -> Iterator[Row]:
    """One order request on the disk."""
    for clock, target in (("wall", 0.70), ("cpu", None)):
        folder = scratch / clock
        folder.mkdir()
        entries = [
            Entry(OURS, "bench.workers.ours_store", (str(folder),)),
            Entry(SQLALCHEMY, "bench.workers.sqlalchemy_store", (str(folder),), peers.SQLALCHEMY),
        ]
        result = race_entries(scale._replace(rounds=4 * scale.rounds), "intend", clock, 50, entries)
        title = "one intent durable (WAL, FULL)" + (", wall" if clock == "wall" else ", CPU")
        yield row(result, title, SQLALCHEMY, target)
