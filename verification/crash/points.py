"""The points at which the program dies. All of this runs in the child, which sends itself a real SIGKILL."""

from __future__ import annotations

import mmap
import os
import random
import signal
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from verification.crash.trouble import TROUBLES
from verification.crash.trouble import arm as make_trouble

TRADE, PLACE, BATCH, CANCEL_ALL, MIGRATE = "trade", "place", "batch", "cancel-all", "migrate"
COMES_BY = {PLACE: 1, BATCH: 4, CANCEL_ALL: 6}
"""How often a short command comes by a point at least."""


@dataclass(frozen=True)
class Point:
    """A moment to die at, and the programs that come by there."""

    name: str
    programs: tuple[str, ...]
    most: int = 8
    """The death comes at the n-th time, n up to this."""
    is_outside: bool = False
    """Killed from outside: by the proxy, or by the clock."""


_ORDERS = (TRADE, TRADE, PLACE, BATCH)
RANDOM = Point("random", (TRADE, TRADE, TRADE, PLACE, BATCH, CANCEL_ALL), is_outside=True)
POINTS = (
    Point("before intent commit", _ORDERS),
    Point("inside intent commit", _ORDERS),
    Point("after intent commit", _ORDERS),
    Point("create at exchange", _ORDERS, is_outside=True),
    Point("after create reply", _ORDERS),
    Point("before state commit", _ORDERS),
    Point("inside state commit", _ORDERS),
    Point("cancel at exchange", (TRADE,), is_outside=True),
    Point("before fill commit", (TRADE,)),
    Point("inside fill commit", (TRADE,)),
    Point("after fill commit", (TRADE,)),
    Point("inside checkpoint", (TRADE, PLACE, BATCH), most=20),
    Point("inside migration", (MIGRATE,), most=14),
    Point("inside halt commit", (CANCEL_ALL,), most=1),
    Point("after halt commit", (CANCEL_ALL,), most=1),
    Point("kill switch request", (CANCEL_ALL,), most=6, is_outside=True),
    Point("any write", (TRADE, TRADE, PLACE, BATCH), most=40),
)
BY_NAME = {point.name: point for point in (*POINTS, RANDOM)}


@dataclass(frozen=True)
class Death:
    """What the child is told: die at the n-th coming by of this point, and leave a mark when you do."""

    point: str
    nth: int
    mark: str
    seed: int
    ahead: str
    """A file that says how far the clock of this machine is ahead, for this run: a double, in seconds."""
    sabotage: str = ""
    """A promise that this child breaks, to see that it is noticed."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def arm(death: Death) -> None:
    """Wrap what the point needs. Called in the child, before `main`."""
    _move_clock(death.ahead)
    if death.point in TROUBLES:
        make_trouble(death.point, death.nth, death.mark)
    if death.sabotage:
        SABOTAGES[death.sabotage]()
    if death.point in BY_NAME and not BY_NAME[death.point].is_outside:
        _Bomb(death).arm()


def _move_clock(path: str) -> None:
    """The wall time of the run; it may jump at any moment, as that of a machine that slept."""
    from kalshi_cli.base.clock import SystemClock
    from kalshi_cli.base.units import Ts

    with open(path, "rb") as file:
        ahead = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

    def now(_clock: SystemClock) -> Ts:
        return Ts(time.time_ns() // 1_000_000 + int(struct.unpack("d", ahead[:8])[0] * 1000))

    SystemClock.now = now  # type: ignore[method-assign,assignment]


# -- not vacuous --------------------------------------------------------------------------------------------------


def _forget_intents() -> None:
    """Send without having written it down."""
    from kalshi_cli.store.sqlite_store import Store

    Store._intend = lambda _store, _effect: None  # type: ignore[method-assign,assignment]


def _forget_fills() -> None:
    """Book none."""
    from kalshi_cli.store.sqlite_store import Store

    Store._book_fill = lambda _store, _effect: None  # type: ignore[method-assign,assignment]


def _repeat_creates() -> None:
    """Send an order again whose fate is not known."""
    from kalshi_cli.exchange.endpoints import orders

    orders.CREATE = orders.CREATE._replace(is_harmless_twice=True)  # type: ignore[attr-defined]


def _never_expire() -> None:
    """Let orders of the loop rest for ever."""
    from kalshi_cli.core.engine.engine import TradingEngine

    begin = TradingEngine.__init__

    def begun(engine: Any, *args: Any, **more: Any) -> None:
        begin(engine, *args, **(more | {"order_expiry_s": None}))

    TradingEngine.__init__ = begun  # type: ignore[method-assign,assignment]


SABOTAGES = {
    "forget-intents": _forget_intents,
    "forget-fills": _forget_fills,
    "repeat-creates": _repeat_creates,
    "never-expire": _never_expire,
}


class _Bomb:
    """Counts how often the point was come by, and kills its own process."""

    def __init__(self, death: Death) -> None:
        self._death = death
        self._left = death.nth
        self._writing = ""  # the effect that is being recorded
        self._mark = os.open(death.mark, os.O_CREAT | os.O_WRONLY, 0o600)

    def arm(self) -> None:
        self._wrap_store()
        self._wrap_transport()

    def _come_by(self, point: str) -> None:
        if point != self._death.point:
            return
        self._left -= 1
        if self._left <= 0:
            self._die()

    def _die(self) -> None:
        os.pwrite(self._mark, b"1", 0)
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()

    def _wrap_store(self) -> None:
        from kalshi_cli.store.database import Database
        from kalshi_cli.store.sqlite_store import Store

        names = {"SubmitOrder": "intent", "OrderChanged": "state", "FillBooked": "fill"}
        record, set_halt, writing, migrate = (
            Store.record, Store.set_halt, Database.writing, Database._migrate,
        )  # fmt: skip

        def recorded(store: Any, effect: Any) -> None:
            name = names.get(type(effect).__name__, "")
            self._come_by(f"before {name} commit")
            self._writing = name
            record(store, effect)
            self._writing = ""
            self._come_by(f"after {name} commit")

        def halted(store: Any, halt: Any) -> None:
            self._writing = "halt"
            set_halt(store, halt)
            self._writing = ""
            self._come_by("after halt commit")

        @contextmanager
        def written(database: Any, *, durable: bool) -> Iterator[Callable[..., Any]]:
            with writing(database, durable=durable) as execute:
                yield execute
                self._come_by(f"inside {self._writing} commit")
                self._come_by("any write")
            if self._death.point == "inside checkpoint" and self._writing:
                self._checkpoint(database._connection)

        def migrated(database: Any, steps: Any) -> None:
            migrate(database, tuple(self._counted(step) for step in steps))

        Store.record = recorded  # type: ignore[method-assign,assignment]
        Store.set_halt = halted  # type: ignore[method-assign,assignment]
        Database.writing = written  # type: ignore[method-assign,assignment]
        Database._migrate = migrated  # type: ignore[method-assign,assignment]

    def _counted(self, step: Callable[..., None]) -> Callable[..., None]:
        def stepped(execute: Callable[..., Any]) -> None:
            def executed(*statement: Any) -> Any:
                done = execute(*statement)
                self._come_by("inside migration")
                return done

            step(executed)

        return stepped

    def _checkpoint(self, connection: Any) -> None:
        """A checkpoint, and a thread that ends the process somewhere within it; the mark says whether it was within."""
        self._left -= 1
        if self._left > 0:
            return
        delay_s = random.Random(self._death.seed * 1000 - self._left).uniform(0, 0.0012)
        threading.Thread(target=self._kill_after, args=(delay_s,), daemon=True).start()
        os.pwrite(self._mark, b"1", 0)
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        os.pwrite(self._mark, b"0", 0)

    def _kill_after(self, delay_s: float) -> None:
        until = time.perf_counter() + delay_s
        while time.perf_counter() < until:
            pass
        if os.pread(os.open(self._death.mark, os.O_RDONLY), 1, 0) == b"1":
            os.kill(os.getpid(), signal.SIGKILL)

    def _wrap_transport(self) -> None:
        from kalshi_cli.net.deadline_transport import DeadlineTransport

        send = DeadlineTransport.handle_request

        def sent(transport: Any, request: Any) -> Any:
            response = send(transport, request)
            if request.method == "POST" and "/portfolio/events/orders" in request.url.path:
                self._come_by("after create reply")
            return response

        DeadlineTransport.handle_request = sent  # type: ignore[method-assign,assignment]
