"""The processes that run trials: the same result with any number, and a death that loses nothing else."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.tapes import SETUP, scheduler_here, swinging_tapes

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import RefusedError, UsageError
from kalshi_cli.base.units import Ts
from kalshi_cli.services.research.backtest import BacktestRequest
from kalshi_cli.services.research.search.cluster import SchedulerAddress, score_tape, trial_cluster
from kalshi_cli.services.research.search.optimize import OptimizeRequest, optimize, optimize_notes
from kalshi_cli.services.research.search.windows import TapeScore
from kalshi_cli.views.research import OptimizeView

SLOW = """
import os, time
from kalshi_cli.strategies.api import Strategy, StrategyParams
class SlowParams(StrategyParams, frozen=True):
    dies: bool = False
class Slow(Strategy):
    name = "slow"
    Params = SlowParams
    def on_tick(self, view):
        if self.params.dies:
            os._exit(1)
        time.sleep(0.02)
"""


def slow(folder: Path, tapes: Sequence[Path], *deadly: int) -> list[BacktestRequest]:
    code = folder / "slow.py"
    code.write_text(SLOW)
    code.chmod(0o600)
    return [
        BacktestRequest(
            strategies=(str(code),), files=(tapes[number % len(tapes)],), params={"dies": str(number in deadly).lower()}
        )
        for number in range(5)
    ]


def test_workers_survive_a_kill_have_no_variables_and_lose_only_what_kills_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KALSHI_PRIVATE_KEY", "secret")
    tapes = swinging_tapes(tmp_path)
    calm, deadly = slow(tmp_path, tapes), slow(tmp_path, tapes, 3)
    expected = [score_tape(SETUP, request) for request in calm]
    with trial_cluster(2) as cluster:
        cluster.check(tapes)
        assert cluster.workers == 2
        with pytest.raises(UsageError, match=r"cannot read .*none\.jsonl"):
            cluster.check([tmp_path / "none.jsonl"])
        pids = list(cluster._client.run(os.getpid).values())
        for pid in pids:
            assert b"KALSHI_" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert "KALSHI_PRIVATE_KEY" not in os.environ
        found: dict[int, TapeScore | None] = {}

        def kill() -> None:
            time.sleep(0.5)
            os.kill(pids[0], signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        cluster.evaluate(SETUP, calm, found.__setitem__)
        killer.join()
        assert [found[number] for number in range(5)] == expected
        lost: dict[int, TapeScore | None] = {}
        cluster.evaluate(SETUP, deadly, lost.__setitem__)
        assert lost == {**dict(enumerate(expected)), 3: None}
        assert pids[0] not in cluster._client.run(os.getpid).values()
    assert os.environ["KALSHI_PRIVATE_KEY"] == "secret"


def search(folder: Path, scheduler: SchedulerAddress, study: str, *, opens_holdout: bool = False) -> OptimizeView:
    request = OptimizeRequest(
        strategy="threshold", files=tuple(folder.glob("*.jsonl")), params=("buy_below=10c..40c", "sell_above=50c..90c"),
        trials=6, windows=2, scheduler=scheduler, study=folder / study,
        opens_holdout=opens_holdout,
    )  # fmt: skip
    return optimize(SETUP, request, ManualClock(Ts(1_000)), folder)


def test_one_and_two_workers_find_the_same_and_the_holdout_opens_once(tmp_path: Path) -> None:
    swinging_tapes(tmp_path)
    notes = partial(optimize_notes, with_unknown=False)
    with scheduler_here() as worker:
        one = search(tmp_path, worker, "one.db")
        opened = search(tmp_path, worker, "one.db", opens_holdout=True)
        with pytest.raises(RefusedError, match="holdout of this study was opened"):
            search(tmp_path, worker, "one.db", opens_holdout=True)
    with scheduler_here(2) as workers:
        two = search(tmp_path, workers, "two.db")
    assert [getattr(one, name) for name in one.__struct_fields__ if name != "study"] == [
        getattr(two, name) for name in two.__struct_fields__ if name != "study"
    ]
    assert one.trials == 12
    assert one.score > 0
    assert "variants were tried" in notes(one)[0]
    assert notes(one)[1].startswith("2 of 6 variants have the score of the best one: this search cannot tell them")
    assert "window 2 7.jsonl, 6.jsonl, holdout 5.jsonl" in notes(one)[2]
    assert notes(one)[3].startswith("To repeat the best: `kalshi backtest --jobs N` with these parameters")
    assert "holdout is closed" in notes(one)[4]
    assert one.repeated == 0, "each window tries a variant once"
    repeated = replace(one, repeated=7, sampler="tpe")
    assert "7 of 12 trials repeated an earlier one of their window: with few combinations use `--sampler grid`" in (
        notes(repeated)
    )
    assert len(notes(replace(repeated, sampler="grid"))) == len(notes(one))
    refused = replace(one, best=(replace(one.best[0], denied=203), *one.best[1:]))
    assert (
        "203 order requests of the best variant were refused: `kalshi backtest` with its parameters names the limits"
        in (notes(refused))
    )
    assert opened.holdout_params == one.params
    assert len(notes(opened)) == 4


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("tcp://10.0.0.5:8786", "not encrypted"),
        ("tcp://example.com:8786", "not encrypted"),
        ("tls://10.0.0.5:8786", "needs certificates"),
        ("http://127.0.0.1:8786", "Invalid scheduler address"),
        ("tcp://127.0.0.1", "Invalid scheduler address"),
        ("tcp://127.0.0.1:99999", "Invalid scheduler address"),
        ("", "Invalid scheduler address"),
    ],
)
def test_a_scheduler_is_encrypted_or_on_this_machine(address: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        SchedulerAddress(address=address).check()


def test_a_loopback_scheduler_needs_no_certificates_and_missing_ones_are_named(tmp_path: Path) -> None:
    for host in ("127.0.0.1", "localhost", "[::1]"):
        SchedulerAddress(address=f"tcp://{host}:8786").check()
    there, none = tmp_path / "there.pem", tmp_path / "none.pem"
    there.write_text("")
    with pytest.raises(UsageError, match=r"Certificate file not found: .*none\.pem"):
        SchedulerAddress(address="tls://h:1", ca=there, cert=there, key=none).check()
