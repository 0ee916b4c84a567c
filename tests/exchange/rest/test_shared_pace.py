"""Several programs of one account: what one has spent, no other plans with; and who goes first."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.scripted_server import NOW

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import RateLimitedError
from kalshi_cli.exchange.rest.rate_limits import KILL_SWITCH_HOLD_S, KNOWN_COSTS, NUMBERS, Priority, RateLimiter
from kalshi_cli.exchange.wire.account import ApiLimits, TokenBucketLimits
from kalshi_cli.store.shared_counters import SharedCounters

CREATE = ("POST", "/portfolio/events/orders")
CANCEL = ("DELETE", "/portfolio/events/orders/some-id")
READ = ("GET", "/portfolio/fills")


def program(path: Path, clock: ManualClock, rank: Priority = Priority.TRADER, **more: object) -> RateLimiter:
    """Its own file descriptor, as another process has: the lock holds between descriptors."""
    limiter = RateLimiter(clock, shared=SharedCounters(path, NUMBERS, clock), **more)  # type: ignore[arg-type]
    limiter.rank = rank
    return limiter


def until_refused(limiter: RateLimiter, request: tuple[str, str]) -> int:
    """How many go at once."""
    for count in range(1_000):
        try:
            limiter.acquire(*request, within_s=0)
        except RateLimitedError:
            return count
    raise AssertionError("never refused")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.sampled_from([CREATE, CANCEL, READ]), st.floats(0, 0.3)),
        min_size=1,
        max_size=60,
    )
)
def test_tokens_of_all_programs_together_never_exceed_the_allowance(tmp_path_factory, requests) -> None:
    clock, path = ManualClock(NOW), tmp_path_factory.mktemp("pace") / "pace"
    allowance = TokenBucketLimits(100, 120)
    programs = [
        program(path, clock, rank, limits=ApiLimits("t", allowance, allowance)) for rank in (Priority.TRADER,) * 3
    ]
    sent: dict[bool, list[tuple[float, int]]] = {True: [], False: []}
    for who, (method, where), pause in requests:
        clock.advance(pause)
        programs[who].acquire(method, where, within_s=60)
        sent[method == "GET"].append((clock.monotonic(), programs[who].cost(method, where)))
    for log in sent.values():
        for first in range(len(log)):
            tokens = 0
            for at, cost in log[first:]:
                tokens += cost
                assert tokens <= 120 + 100 * (at - log[first][0]) + 1e-6


def test_two_programs_that_do_not_share_would_exceed_it() -> None:
    clock = ManualClock(NOW)
    assert until_refused(RateLimiter(clock), CREATE) + until_refused(RateLimiter(clock), CREATE) > 10


def test_what_one_program_spent_the_next_does_not_have(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    assert until_refused(program(tmp_path / "pace", clock), CREATE) == 8
    assert until_refused(program(tmp_path / "pace", clock), CREATE) == 0
    clock.advance(1)
    assert until_refused(program(tmp_path / "pace", clock), CREATE) == 8


def test_a_cancel_goes_although_another_programs_creates_took_all_they_may(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    until_refused(program(tmp_path / "pace", clock), CREATE)
    assert until_refused(program(tmp_path / "pace", clock), CANCEL) == 5


def test_whoever_only_looks_leaves_reads_to_the_loop(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    assert until_refused(program(tmp_path / "pace", clock, Priority.CHECK), READ) == 13
    assert until_refused(program(tmp_path / "pace", clock, Priority.TRADER), READ) == 5


def test_without_others_to_share_with_nothing_is_left_over() -> None:
    assert until_refused(RateLimiter(ManualClock(NOW)), READ) == 18


def test_what_one_program_learned_of_the_account_the_others_know(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    loop, other = program(tmp_path / "pace", clock), program(tmp_path / "pace", clock)
    large = TokenBucketLimits(4_800, 4_800)
    loop.configure(ApiLimits("prime", large, large), KNOWN_COSTS)
    for _ in range(400):
        loop.acquire(*CREATE, within_s=0)
    assert until_refused(other, CREATE) == 31
    assert other.largest_batch("DELETE", "/portfolio/events/orders/batched") == 2_160


def test_a_429_to_one_program_stops_the_other_too(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    program(tmp_path / "pace", clock).refused(*CREATE)
    assert until_refused(program(tmp_path / "pace", clock), CANCEL) == 0


def test_while_the_kill_switch_writes_nobody_else_does_and_reads_go_on(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    switch, loop = program(tmp_path / "pace", clock, Priority.KILL), program(tmp_path / "pace", clock)
    switch.acquire(*CANCEL, within_s=0)
    for request in (CREATE, CANCEL):
        with pytest.raises(RateLimitedError) as refused:
            loop.acquire(*request, within_s=60)
        assert refused.value.code == "kill_switch"
    loop.acquire(*READ, within_s=0)
    switch.allow_other_writers()
    loop.acquire(*CANCEL, within_s=0)


def test_a_kill_switch_that_died_keeps_nobody_quiet_for_long(tmp_path: Path) -> None:
    clock = ManualClock(NOW)
    program(tmp_path / "pace", clock, Priority.KILL).acquire(*CANCEL, within_s=0)
    clock.advance(KILL_SWITCH_HOLD_S)
    program(tmp_path / "pace", clock).acquire(*CANCEL, within_s=0)


def test_after_a_restart_of_the_machine_its_clock_is_early_and_nothing_blocks(tmp_path: Path) -> None:
    late = ManualClock(NOW)
    late.advance(10_000_000)
    until_refused(program(tmp_path / "pace", late), CREATE)
    program(tmp_path / "pace", late, Priority.KILL).acquire(*CANCEL, within_s=0)
    clock = ManualClock(NOW)
    program(tmp_path / "pace", clock).acquire(*CREATE, within_s=2)
    assert clock.monotonic() < 1


@pytest.mark.parametrize("held", [b"", b"short", b"\xff" * 72, b"x" * 100])
def test_a_file_that_holds_anything_else_is_a_new_one(tmp_path: Path, held: bytes) -> None:
    (tmp_path / "pace").write_bytes(held)
    clock = ManualClock(NOW)
    program(tmp_path / "pace", clock).acquire(*CREATE, within_s=1)


@pytest.mark.parametrize("number", [1e-300, 1e-30, 0.5, -1.0, 1e7])
@pytest.mark.parametrize("rank", [Priority.CHECK, Priority.KILL])
def test_a_file_with_sizes_that_no_account_has_locks_nobody_out(tmp_path: Path, number: float, rank: Priority) -> None:
    (tmp_path / "pace").write_bytes(struct.pack("<9d", 0, 0, number, number, 0, 0, number, number, 0))
    clock = ManualClock(NOW)
    limiter = program(tmp_path / "pace", clock, rank)
    for request in (READ, CANCEL, CREATE):
        limiter.acquire(*request, within_s=1)
    assert limiter.largest_batch("DELETE", "/portfolio/events/orders/batched") == 45


def test_a_kill_switch_waits_for_a_full_bucket_where_no_bucket_holds_what_it_asks(tmp_path: Path) -> None:
    (tmp_path / "pace").write_bytes(struct.pack("<9d", 0, 0, 10, 5, 0, 0, 10, 5, 0))
    batch = ("DELETE", "/portfolio/events/orders/batched")
    clock = ManualClock(NOW)
    with pytest.raises(RateLimitedError, match="more than the rate limit ever has"):
        program(tmp_path / "pace", clock).acquire(*batch, within_s=1e9, items=45)
    switch = program(tmp_path / "pace", clock, Priority.KILL)
    for _ in range(2):
        switch.acquire(*batch, within_s=3, items=45)
    assert clock.monotonic() == pytest.approx(2)


def spoil(path: Path, how: str) -> object:
    if how == "a directory":
        path.mkdir()
    elif how == "a link":
        path.symlink_to(path.with_name("elsewhere"))
    else:
        file = os.open(path, os.O_RDWR | os.O_CREAT)
        fcntl.flock(file, fcntl.LOCK_EX)
        return file
    return None


@pytest.mark.parametrize("how", ["a directory", "a link", "held by a program that was stopped"])
def test_where_nothing_can_be_shared_half_of_the_allowance_is_used_and_it_is_told_once(
    tmp_path: Path, how: str
) -> None:
    file, said = spoil(tmp_path / "pace", how), []  # type: ignore[var-annotated]
    clock = ManualClock(NOW)
    limiter = program(tmp_path / "pace", clock, tell=said.append)
    assert until_refused(limiter, READ) == 9
    clock.advance(1)
    assert until_refused(limiter, READ) == 9
    assert len(said) == 1
    assert clock.monotonic() < 1.5
    if isinstance(file, int):
        os.close(file)


def test_processes_share_it_too(tmp_path: Path) -> None:
    """Three processes take what they can at once: together one bucket, and not three."""
    script = (
        "import sys, pathlib\n"
        "from kalshi_cli.base.clock import SystemClock\n"
        "from kalshi_cli.base.errors import RateLimitedError\n"
        "from kalshi_cli.exchange.rest.rate_limits import NUMBERS, Priority, RateLimiter\n"
        "from kalshi_cli.exchange.wire.account import ApiLimits, TokenBucketLimits\n"
        "from kalshi_cli.store.shared_counters import SharedCounters\n"
        "slow = ApiLimits('t', TokenBucketLimits(1, 1_000), TokenBucketLimits(1, 1_000))\n"
        "shared = SharedCounters(pathlib.Path(sys.argv[1]), NUMBERS, SystemClock())\n"
        "limiter = RateLimiter(SystemClock(), slow, shared=shared)\n"
        "limiter.rank = Priority.TRADER\n"
        "count = 0\n"
        "try:\n"
        "    while True:\n"
        "        limiter.acquire('GET', '/portfolio/fills', within_s=0)\n"
        "        count += 1\n"
        "except RateLimitedError:\n"
        "    print(count)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "pace")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    counts = [int(process.communicate(timeout=60)[0]) for process in running]
    assert 90 <= sum(counts) <= 93, counts
