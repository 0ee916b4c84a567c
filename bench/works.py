"""What is measured, against whom, and what we must reach. Targets without a date are those of docs/performance.md."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bench import peers
from bench.contest import Contestant, ContestError, Ratio, race
from bench.deltas import frames
from kalshi_cli.clock import ManualClock
from kalshi_cli.errors import RateLimitedError
from kalshi_cli.exchange.ratelimit import BASIC, RateLimiter, TokenBucket
from kalshi_cli.units import Ts

_SDK, _PYKALSHI, _SQLALCHEMY = "official SDK 3.2.0", "pykalshi 2.0.0", "SQLAlchemy 2.0"


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


FULL = Scale(15, 1.0, has_peers=True)
QUICK = Scale(3, 0.05, has_peers=True)


class _Peer(NamedTuple):
    """Who is raced against: in which environment, doing what."""

    name: str
    requirement: str  # empty: our own environment
    module: str
    arguments: tuple[str, ...]
    target: float | None


def _rest(scale: Scale, scratch: Path) -> Iterator[Row]:
    key = scratch / "key.pem"
    _write_key(key)
    with Contestant("server", "bench.loopback") as server:
        given = (server.line(), str(key))
        ours = ("bench.workers.ours_rest", given)
        for work, title, count, sdk, pykalshi in (
            ("get", "signed GET, CPU a call", 200, 0.65, None),
            ("create", "signed create-order, CPU a call", 200, 0.65, None),
            ("markets", "1,000 markets to typed rows, CPU a page", 4, 0.12, None),
        ):
            against = (
                _Peer(_SDK, peers.SDK, "bench.workers.sdk_rest", given, sdk),
                _Peer(_PYKALSHI, peers.PYKALSHI, "bench.workers.pykalshi_rest", given, pykalshi),
            )
            yield from _race(scale, title, work, "cpu", count, ours, against)


def _book(scale: Scale, scratch: Path) -> Iterator[Row]:
    count = 20_000
    file = scratch / "frames.jsonl"
    file.write_text("\n".join(frames(count)))
    given = (str(file),)
    against = (
        _Peer(_PYKALSHI, peers.PYKALSHI, "bench.workers.pykalshi_book", given, 0.08),
        _Peer("json.loads and dicts", "", "bench.workers.json_book", given, None),
    )
    ours = ("bench.workers.ours_book", given)
    yield from _race(scale, "frame bytes to top of book, CPU a frame", "book", "cpu", count, ours, against)


def _help(scale: Scale, _scratch: Path) -> Iterator[Row]:
    programs = "bench.workers.programs"
    against = (
        _Peer("an empty Typer program", "", programs, ("-m", "bench.workers.empty_program", "--help"), 1.3),
        _Peer("a bare interpreter", "", programs, ("-c", "pass"), None),
    )
    ours = (programs, ("-m", "kalshi_cli", "--help"))
    yield from _race(scale, "kalshi --help, CPU", "program", "children", 3, ours, against)


def _store(scale: Scale, scratch: Path) -> Iterator[Row]:
    given = (str(scratch),)
    against = (_Peer(_SQLALCHEMY, peers.SQLALCHEMY, "bench.workers.sqlalchemy_store", given, 0.70),)
    ours = ("bench.workers.ours_store", given)
    yield from _race(scale, "one intent durable (WAL, FULL), wall", "intend", "wall", 200, ours, against)


def _race(
    scale: Scale,
    title: str,
    work: str,
    clock: str,
    count: int,
    ours: tuple[str, Sequence[str]],
    against: Sequence[_Peer],
) -> list[Row]:
    rows = []
    with ExitStack() as stack:

        def enter(name: str, module: str, arguments: Sequence[str], requirement: str = "") -> Contestant:
            if requirement and not scale.has_peers:
                raise ContestError("without peers")
            python = {"python": peers.python_with(requirement)} if requirement else {}
            each = stack.enter_context(Contestant(name, module, *arguments, **python))
            each.line()  # it is ready
            return each

        me = enter("ours", *ours)
        present, absent = [], {}
        for peer in against:
            try:
                present.append(enter(peer.name, peer.module, peer.arguments, peer.requirement))
            except ContestError as error:
                absent[peer.name] = str(error)
        calls = max(1, round(count * scale.factor))
        ratios = race(me, present, work=work, clock=clock, count=calls, rounds=scale.rounds)
        for peer in against:
            rows.append(Row(title, peer.name, ratios.get(peer.name), peer.target, absent.get(peer.name, "")))
    return rows


def _limiter(_scale: Scale, _scratch: Path) -> Iterator[Row]:
    """A minute of reads as fast as our limiter lets them go, against the exchange's bucket, in virtual time."""
    clock = ManualClock(Ts(0))
    limiter = RateLimiter(clock)
    allowance = BASIC.read
    theirs = TokenBucket(allowance.bucket_capacity, allowance.refill_rate, clock)
    cost, minute, sent, refused = limiter.cost("GET", "/portfolio/balance"), 60.0, 0, 0
    while clock.monotonic() < minute:
        try:
            limiter.acquire("GET", "/portfolio/balance", within_s=minute - clock.monotonic())
        except RateLimitedError:
            break
        if theirs.wait(cost) > 1e-6:
            refused += 1
        else:
            theirs.take(cost)
            sent += cost
    share = sent / (allowance.bucket_capacity + allowance.refill_rate * minute)
    title = f"rate limiter, share of the allowance ({refused} refused)"
    yield Row(title, "the exchange's bucket", Ratio(share, share, share), 0.97, is_share=True)


def _write_key(path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)


WORKS: dict[str, Callable[[Scale, Path], Iterator[Row]]] = {
    "rest": _rest,
    "book": _book,
    "help": _help,
    "store": _store,
    "limiter": _limiter,
}
"""What may be asked for by name. The path is an empty directory on the disk that a state file would be on."""
