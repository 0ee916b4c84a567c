"""`make bench` runs, without peers and in its shortest form. What it measures is nobody's business here."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from support.places import ROOT, SHARED
from support.processes import run_module

from bench.contest import Contestant, ContestError, race
from bench.racing import write_key

REPLAYS = {
    "backtest": ("million book changes a second", "loading the compiled loop"), "lake": ("a lake",),
    "quotes": ("quotes, with a trade",),
}  # fmt: skip
ORDERS = {
    "rest": ("signed GET", "signed create-order, RSA", "signed create-order, Ed25519"),
    "order": ("order, signed inline", "order, ready signature"),
    "store": ("durable",), "decision": ("a book change", "threshold"), "limiter": ("limiter",),
}  # fmt: skip
OTHERS = {
    "book": ("frame bytes",), "stream": ("WebSocket frame",), "listing": ("markets to typed rows",),
    "command": ("whole command",), "help": ("kalshi --help",), "printing": ("printing",),
    "memory": ("MB resident",), "screen": ("kalshi top",),
}  # fmt: skip

# What may be left out besides what needs a peer.
LEFT_OUT = {"skipped: takes ten seconds; run it without --quick"}
if not (SHARED / "data" / "tapes").is_dir():
    LEFT_OUT.add("skipped: no tapes beside the repository")


def test_every_work_of_the_bench_is_run_here() -> None:
    from bench.works import WORKS  # its imports would cost each process of the tests

    assert {*REPLAYS, *ORDERS, *OTHERS} == set(WORKS)


@pytest.mark.parametrize("works", [REPLAYS, ORDERS, OTHERS], ids=["replays", "orders", "others"])
def test_the_short_bench_runs_without_peers_and_prints_every_row(works: dict[str, tuple[str, ...]]) -> None:
    ran = run_module("bench", "--quick", "--no-peers", "--json", *works, cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(ran.stdout)["rows"]
    for words in itertools.chain.from_iterable(works.values()):
        assert any(words in row["work"] for row in rows), words
    # What needs a peer says that it was left out; what needs none was measured.
    assert {row["verdict"] for row in rows if not row["ratio"]} - LEFT_OUT == {"skipped: without peers"}
    measured = [row["work"] for row in rows if row["ratio"]]
    measurable = "million book changes" if works is REPLAYS else "rate limiter" if works is ORDERS else "frame bytes"
    assert any(measurable in work for work in measured)


def test_the_table_has_a_verdict_beside_each_target() -> None:
    ran = run_module("bench", "--quick", "--no-peers", "limiter", cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    assert "share of the allowance" in ran.stdout
    assert "reached" in ran.stdout


def test_a_peer_that_stops_leaves_the_race_to_the_others(tmp_path: Path) -> None:
    frames = tmp_path / "frames.jsonl"
    frames.write_text("")
    with (
        Contestant("ours", "bench.workers.signature", write_key(tmp_path / "key.pem")) as ours,
        Contestant("peer", "bench.workers.json_book", str(frames)) as peer,  # it has no `create`
    ):
        for each in (ours, peer):
            assert each.line() == "ready"
        costs, stopped = race([peer, ours], work="create", clock="cpu", count=1, rounds=2, peers={"peer"})
        assert len(costs["ours"]) == 2
        assert stopped == {"peer": "peer stopped: KeyError: 'create'"}
        with pytest.raises(ContestError, match="peer stopped"):
            race([ours, peer], work="create", clock="cpu", count=1, rounds=1)


def test_the_parts_of_a_create_add_up_to_it() -> None:
    ran = run_module("bench.parts", "create", cwd=ROOT)
    assert ran.returncode == 0, ran.stderr
    shares = [float(line.split()[-1]) for line in ran.stdout.splitlines()[2:-1]]
    assert abs(sum(shares) - 1) < 0.1, ran.stdout
    assert "signature" in ran.stdout
