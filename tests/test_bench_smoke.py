"""`make bench` runs, without peers and in its shortest form. What it measures is nobody's business here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from support.places import ROOT

from bench.contest import Contestant, ContestError, race
from bench.racing import write_key


def test_the_short_bench_runs_without_peers_and_prints_every_row() -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--no-peers", "--json"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    rows = {(row["work"], row["peer"]): row for row in said["rows"]}
    works = {work for work, _ in rows}
    named = (
        "signed GET", "signed create-order, RSA", "signed create-order, Ed25519", "order, signed inline",
        "order, ready signature", "frame bytes", "WebSocket frame", "markets to typed rows", "a book change", "durable",
        "whole command", "kalshi --help", "printing", "MB resident", "limiter",
        "threshold", "quotes",
    )  # fmt: skip
    for words in named:
        assert any(words in work for work in works), words
    # What needs a peer says that it was left out; what needs none was measured.
    assert any(row["verdict"].startswith("skipped") for row in rows.values())
    assert all(row["ratio"] or row["verdict"].startswith("skipped") for row in rows.values())
    measured = [work for (work, _), row in rows.items() if row["ratio"]]
    assert any("frame bytes" in work for work in measured)
    assert any("rate limiter" in work for work in measured)


def test_the_table_has_a_verdict_beside_each_target() -> None:
    command = [sys.executable, "-m", "bench", "--quick", "--no-peers", "limiter"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
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
    command = [sys.executable, "-m", "bench.parts", "create"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    shares = [float(line.split()[-1]) for line in ran.stdout.splitlines()[2:-1]]
    assert abs(sum(shares) - 1) < 0.1, ran.stdout
    assert "signature" in ran.stdout
