"""What is measured, against whom, and what we must reach; docs/performance.md says where the targets come from."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bench import peers
from bench.contest import Contestant, ContestError, Costs, Ratio, compare, race
from bench.deltas import frames
from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import RateLimitedError
from kalshi_cli.base.units import Ts
from kalshi_cli.exchange.rest.rate_limits import BASIC, RateLimiter, TokenBucket
from kalshi_cli.strategies.registry import BUILT_IN

_OURS = "ours"
_SDK, _PYKALSHI, _SQLALCHEMY = "official SDK 3.2.0", "pykalshi 2.0.0", "SQLAlchemy 2.0"
_SIGNATURE, _PLAIN = "one RSA-2048 signature", "json.loads and dicts"
_NOTHING = "an engine that trades nothing"
_EMPTY, _BARE = "an empty Typer program", "a bare interpreter"


class Row(NamedTuple):
    """A line of the table. `target` is a limit from above, or from below for a share; None: for orientation only."""

    work: str
    peer: str
    ratio: Ratio | None
    target: float | None
    why_not: str = ""
    is_share: bool = False

    @property
    def verdict(self) -> str:
        if self.ratio is None:
            return f"skipped: {self.why_not}"
        if self.target is None:
            return ""
        got = round(self.ratio.median, 3)
        is_reached = got >= self.target if self.is_share else got <= self.target
        return "reached" if is_reached else "NOT reached"


class Scale(NamedTuple):
    """How much is done: rounds, and the factor on the calls of each."""

    rounds: int
    factor: float
    has_peers: bool


LIST_ROUNDS = 5
"""Rounds of a list, which takes seconds."""

FULL = Scale(15, 1.0, has_peers=True)
QUICK = Scale(1, 0.02, has_peers=True)


class _Entry(NamedTuple):
    """Who takes part, doing what. Without a requirement it runs in our own environment."""

    name: str
    module: str
    arguments: tuple[str, ...]
    requirement: str = ""


def _rest(scale: Scale, scratch: Path) -> Iterator[Row]:
    key = scratch / "key.pem"
    _write_key(key)
    with Contestant("server", "bench.loopback") as server:
        given = (server.line(), str(key))
        ours = _Entry(_OURS, "bench.workers.ours_rest", given)
        sdk = _Entry(_SDK, "bench.workers.sdk_rest", given, peers.SDK)
        pykalshi = _Entry(_PYKALSHI, "bench.workers.pykalshi_rest", given, peers.PYKALSHI)
        signature = _Entry(_SIGNATURE, "bench.workers.signature", (str(key),))
        for work, title in (("get", "signed GET, CPU a call"), ("create", "signed create-order, CPU a call")):
            result = _race(scale, work, "cpu", 200, [ours, sdk, pykalshi, signature])
            yield _row(result, title, _SDK, 0.65)
            yield _row(result, title, _PYKALSHI)
            yield _row(result, title, _SIGNATURE)
            yield _row(_less(result, _SIGNATURE), f"{title}, less one signature each", _SDK, 0.51)
            yield _row(_less(result, _SIGNATURE), f"{title}, less one signature each", _PYKALSHI)


def _lists(scale: Scale, scratch: Path) -> Iterator[Row]:
    """All markets, page after page, as one list. Peak memory grows only, so one round in processes of their own."""
    key = scratch / "lists.pem"
    _write_key(key)
    with Contestant("server", "bench.loopback") as server:
        given = (server.line(), str(key))
        ours = _Entry(_OURS, "bench.workers.ours_rest", given)
        sdk = _Entry(_SDK, "bench.workers.sdk_rest", given, peers.SDK)
        few = scale._replace(rounds=min(scale.rounds, LIST_ROUNDS))
        title = "50,000 markets to typed rows"
        yield _row(_race(few, "markets", "cpu", 1, [ours, sdk]), f"{title}, CPU", _SDK, 0.12)
        yield _row(_race(few, "traded", "cpu", 1, [ours, sdk]), f"{title}, with what trading needs, CPU", _SDK)
        once = scale._replace(rounds=1)
        result = _race(once, "markets", "memory", 1, [ours, sdk], warms_up=False)
        yield _row(result, f"{title}, added to the peak of memory", _SDK, 0.25)


def _command(scale: Scale, scratch: Path) -> Iterator[Row]:
    key = scratch / "command.pem"
    _write_key(key)
    with Contestant("server", "bench.loopback") as server:
        settings = (
            f"KALSHI_REST_URL={server.line()}",
            f"KALSHI_PRIVATE_KEY_PATH={key}",
            f"KALSHI_STATE={scratch / 'state'}",
            "KALSHI_API_KEY_ID=00000000-0000-0000-0000-000000000000",
            "KALSHI_ENV=demo",
        )
        programs = "bench.workers.programs"
        entries = [
            _Entry(_OURS, programs, (*settings, "-m", "kalshi_cli", "balance", "--json")),
            _Entry(_SDK, programs, (*settings, "-m", "bench.workers.sdk_balance"), peers.SDK),
        ]
        yield _row(_race(scale, "program", "wall", 3, entries), "one signed read as a whole command, wall", _SDK, 0.28)


def _book(scale: Scale, scratch: Path) -> Iterator[Row]:
    count = 20_000
    file = scratch / "frames.jsonl"
    file.write_text("\n".join(frames(count)))
    given = (str(file),)
    result = _race(
        scale,
        "book",
        "cpu",
        count,
        [
            _Entry(_OURS, "bench.workers.ours_book", given),
            _Entry(_PYKALSHI, "bench.workers.pykalshi_book", given, peers.PYKALSHI),
            _Entry(_PLAIN, "bench.workers.json_book", given),
        ],
    )
    title = "frame bytes to top of book, CPU a frame"
    yield _row(result, title, _PYKALSHI, 0.08)
    yield _row(result, title, _PLAIN)


def _decision(scale: Scale, scratch: Path) -> Iterator[Row]:
    """Each built-in strategy against an engine whose only strategy does nothing."""
    count = 5_000
    file = scratch / "changes.jsonl"
    file.write_text("\n".join(frames(count)))
    names = (_NOTHING, *BUILT_IN)
    entries = [_Entry(name, "bench.workers.decision", (str(file), name)) for name in names]
    result = _race(scale, "decision", "cpu", count, entries)
    for name in names[1:]:
        if absent := result.absent.keys() & {name, _NOTHING}:
            yield Row(f"a book change, with {name}, CPU", _NOTHING, None, None, result.absent[absent.pop()])
            continue
        cost = result.costs[name]
        title = f"a book change, with {name}, CPU ({median(cost) / 1000:.1f} us)"
        yield Row(title, _NOTHING, compare(cost, result.costs[_NOTHING]), None)


def _help(scale: Scale, _scratch: Path) -> Iterator[Row]:
    result = _race(
        scale,
        "program",
        "children",
        3,
        [
            _Entry(_OURS, "bench.workers.programs", ("-m", "kalshi_cli", "--help")),
            _Entry(_EMPTY, "bench.workers.programs", ("-m", "bench.workers.empty_program", "--help")),
            _Entry(_BARE, "bench.workers.programs", ("-c", "pass")),
        ],
    )
    yield _row(result, "kalshi --help, CPU", _EMPTY, 1.3)
    yield _row(result, "kalshi --help, CPU", _BARE)


def _store(scale: Scale, scratch: Path) -> Iterator[Row]:
    given = (str(scratch),)
    result = _race(
        scale,
        "intend",
        "wall",
        200,
        [
            _Entry(_OURS, "bench.workers.ours_store", given),
            _Entry(_SQLALCHEMY, "bench.workers.sqlalchemy_store", given, peers.SQLALCHEMY),
        ],
    )
    yield _row(result, "one intent durable (WAL, FULL), wall", _SQLALCHEMY, 0.70)


class _Result(NamedTuple):
    """A race: what it cost whom, and why somebody was not there."""

    costs: Costs
    absent: dict[str, str]


def _race(
    scale: Scale, work: str, clock: str, count: int, entries: Sequence[_Entry], *, warms_up: bool = True
) -> _Result:
    absent = {}
    with ExitStack() as stack:
        present = []
        for entry in entries:
            try:
                if entry.requirement and not scale.has_peers:
                    raise ContestError("without peers")
                python = peers.python_with(entry.requirement) if entry.requirement else sys.executable
                each = stack.enter_context(Contestant(entry.name, entry.module, *entry.arguments, python=python))
                each.line()  # it is ready
                present.append(each)
            except ContestError as error:
                if entry.name == _OURS:
                    raise
                absent[entry.name] = str(error)
        calls = max(1, round(count * scale.factor))
        costs = race(present, work=work, clock=clock, count=calls, rounds=scale.rounds, warms_up=warms_up)
        return _Result(costs, absent)


def _row(result: _Result, title: str, peer: str, target: float | None = None) -> Row:
    if peer in result.absent:
        return Row(title, peer, None, target, result.absent[peer])
    return Row(title, peer, compare(result.costs[_OURS], result.costs[peer]), target)


def _less(result: _Result, common: str) -> _Result:
    """The same race with everybody's cost reduced by what all of them need."""
    shared = result.costs[common]
    costs = {
        name: [cost - less for cost, less in zip(each, shared, strict=True)]
        for name, each in result.costs.items()
        if name != common
    }
    return _Result(costs, result.absent)


def _limiter(_scale: Scale, _scratch: Path) -> Iterator[Row]:
    """A minute of reads as fast as our limiter lets them go, against the exchange's bucket, in virtual time."""
    clock = ManualClock(Ts(0))
    limiter = RateLimiter(clock)
    allowance = BASIC.read
    theirs, numbers = TokenBucket(0, allowance.bucket_capacity, allowance.refill_rate), [0.0] * 4
    cost, minute, sent, refused = limiter.cost("GET", "/portfolio/balance"), 60.0, 0, 0
    while clock.monotonic() < minute:
        try:
            limiter.acquire("GET", "/portfolio/balance", within_s=minute - clock.monotonic())
        except RateLimitedError:
            break
        if theirs.wait(numbers, clock.monotonic(), cost) > 1e-6:
            refused += 1
        else:
            theirs.take(numbers, cost)
            sent += cost
    share = sent / (allowance.bucket_capacity + allowance.refill_rate * minute)
    title = f"rate limiter, share of the allowance ({refused} refused)"
    yield Row(title, "the exchange's bucket", Ratio(share, share, share), 0.97, is_share=True)


def _screen(scale: Scale, _scratch: Path) -> Iterator[Row]:
    """`kalshi top`: each figure over its target, so 1 is the limit; the figure itself stands in the title."""
    from bench.screen import measure, spread

    for title, unit, values, target in measure(min(scale.rounds, LIST_ROUNDS), max(1.0, 10 * scale.factor)):
        middle, least, most = spread(values)
        ratio = Ratio(*(value / target for value in (middle, least, most)))
        yield Row(f"{title} ({middle:.3g} {unit})", f"{target:g} {unit}", ratio, 1.0)


def _write_key(path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)


WORKS: dict[str, Callable[[Scale, Path], Iterator[Row]]] = {
    "rest": _rest,
    "lists": _lists,
    "book": _book,
    "decision": _decision,
    "help": _help,
    "command": _command,
    "store": _store,
    "limiter": _limiter,
    "screen": _screen,
}
"""What may be asked for by name. The path is an empty directory on the disk that a state file would be on."""
