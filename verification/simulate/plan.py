"""The faults of a session and their times: drawn from its seed, printable, and short after shrinking."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Literal, NamedTuple

import msgspec

from kalshi_cli.strategies.registry import BUILT_IN


class Kind(NamedTuple):
    """A kind of fault: whom it hits, how often it is drawn, and the row of the fault matrix that it stands for."""

    targets: tuple[str, ...]
    weight: int
    row: str


REQUESTS: dict[str, Kind] = {
    "drop_reply": Kind(("create", "create", "cancel", "read"), 6, "F01"),
    "drop_reply_hang": Kind(("create", "create", "cancel", "read"), 4, "F02"),
    "hang": Kind(("create", "create", "cancel", "read"), 4, "F02"),
    "reset_before": Kind(("create", "create", "cancel", "read"), 4, "F03"),
    "refuse": Kind(("create", "cancel", "read"), 3, "F03"),
    "late": Kind(("create",), 7, "F04"),
    "status": Kind(("create", "create", "cancel", "read"), 6, "F05"),
    "pace": Kind(("create", "cancel", "read"), 4, "F06"),
    "garbage": Kind(("create", "create", "cancel", "read"), 4, "F07"),
    "truncate": Kind(("create", "cancel", "read"), 3, "F07"),
    "soft_error": Kind(("create",), 3, "F07"),
    "duplicate": Kind(("create",), 6, "F09"),
    "idle_close": Kind(("create", "cancel"), 2, "F11"),
    "fill_first": Kind(("cancel",), 5, "F19"),
    "not_found": Kind(("cancel",), 3, "F20"),
    "rewrite": Kind(("create", "cancel"), 3, "F21"),
    "slow_reply": Kind(("create", "read"), 4, "F24"),
    "page_fails": Kind(("page",), 4, "F39"),
    "page_repeats": Kind(("page",), 3, "F39"),
    "stale": Kind(("read",), 5, "F40"),
    "slow": Kind(("read",), 2, "F42"),
    "outage": Kind(("any",), 1, "F43"),
    "inactive": Kind(("create", "cancel"), 2, "F44"),
    "key": Kind(("any",), 2, "F51"),
    "field": Kind(("read",), 2, "F52"),
    "replay": Kind(("get",), 0, "F40"),
    "cache": Kind(("any",), 0, "F43"),
}
"""Of requests; `target` is create, cancel, read (the account), page (a later page of a list), get or any."""

STREAM: dict[str, Kind] = {
    "ws_drop": Kind(("orderbook_delta", "orderbook_delta", "fill", "user_order", "frame"), 6, "F34"),
    "ws_dup": Kind(("orderbook_delta", "fill", "user_order", "frame"), 4, "F34"),
    "ws_reorder": Kind(("orderbook_delta", "fill", "frame"), 4, "F34"),
    "ws_delay": Kind(("orderbook_delta", "fill", "frame"), 3, "F36"),
    "ws_corrupt": Kind(("orderbook_delta", "fill", "user_order", "orderbook_snapshot"), 4, "F35"),
    "ws_unknown": Kind(("orderbook_delta", "frame"), 2, "F35"),
    "ws_impossible": Kind(("orderbook_delta",), 3, "F38"),
    "ws_freeze": Kind(("",), 2, "F31"),
    "ws_pulse": Kind(("",), 2, "F32"),
    "ws_cut": Kind(("",), 3, "F33"),
    "ws_refuse": Kind(("",), 2, "F33"),
    "ws_error": Kind(("",), 2, "F37"),
    "ws_command": Kind(("",), 2, "F37"),
}
"""Of frames of the stream."""

PROCESS: dict[str, Kind] = {
    "crash": Kind(
        (
            "before_SubmitOrder",
            "after_SubmitOrder",
            "sending",
            "accepted",
            "answered",
            "before_OrderChanged",
            "before_FillBooked",
            "after_FillBooked",
            "asking",
            "step",
        ),
        10,
        "F12",
    ),
    "interrupt": Kind(("step", "asking", "sending"), 1, "F16"),
    "suspend": Kind(("after_SubmitOrder", "step", "answered"), 4, "F18"),
    "clock_step": Kind(("",), 3, "F54"),
    "disk_full": Kind(("",), 3, "F57"),
    "locked": Kind(("",), 3, "F56"),
    "stop": Kind(("",), 2, "F16"),
    "halt": Kind(("",), 2, "F64"),
    "place": Kind(("",), 3, "F26"),
    "reconcile": Kind(("",), 1, "F26"),
    "second": Kind(("",), 1, "F60"),
    "no_file": Kind(("",), 1, "F15"),
    "old_file": Kind(("",), 1, "F15"),
    "away": Kind(("",), 1, "F14"),
    "raise": Kind(("hook",), 1, "F17"),
    "nonsense": Kind(("hook",), 1, "F17"),
    "batch": Kind(("",), 0, "F10"),
    "close": Kind(("",), 0, "F65"),
    "damage": Kind(("",), 0, "F58"),
}
"""Of the process, its clock, its disk and whoever looks after it."""

EXCHANGE: dict[str, Kind] = {
    "trading_pause": Kind(("",), 2, "F47"),
    "exchange_pause": Kind(("",), 2, "F47"),
    "market_pause": Kind(("",), 3, "F30"),
    "early_close": Kind(("",), 2, "F45"),
    "settle": Kind(("",), 3, "F46"),
    "group": Kind(("",), 2, "F27"),
    "fees": Kind(("",), 2, "F48"),
    "grid": Kind(("",), 1, "F49"),
    "shuffle": Kind(("",), 1, "F24"),
    "burst": Kind(("",), 1, "F36"),
    "drain": Kind(("",), 0, "F41"),
}
"""What the exchange or others on the account do."""

LATER = ("batch", "batch", "close", "close", "damage", "drain")
"""Drawn with dice of their own, so that what the seeds began with stays as it was."""

REPLAYS = ("replay", "replay", "replay", "cache")
"""Drawn with others of their own, for the same reason."""

ALL = {**REQUESTS, **STREAM, **PROCESS, **EXCHANGE}


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault: from `at` seconds on it waits for `count` things that it fits, or lasts for a while.

    `size` is a number from 0 to 999 from which a kind takes what else it needs to know: how long, which one, how many.
    """

    at: float
    kind: str
    target: str = ""
    count: int = 1
    size: int = 0

    def __str__(self) -> str:
        return f"{self.at:6.1f} s {self.kind} {self.target} x{self.count} ({self.size})".replace("  (", " (")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a seed decides before the session begins."""

    seed: int
    faulty_s: float
    client_ids: Literal["forever", "open_only"]
    read_lag_ms: int
    clock_past_ms: int
    interval_s: float
    expiry_s: float
    page: int
    has_others: bool
    """Somebody else places orders on the account: the web site, another tool."""
    has_stream: bool
    shards: int
    strategies: tuple[str, ...]
    faults: tuple[Fault, ...]


FAULTY_S = 45.0
MIN_FAULTS = 18

ALL_ON = 9
"""Seeds that end so have every strategy of the program at once, beside those that make trouble."""


def draw(seed: int, only: Collection[int] | None = None) -> Plan:
    """The plan of a seed; with `only` these of its faults, by their place, and no others."""
    dice = random.Random(seed * 7919 + 17)
    page = dice.choice((1000, 1000, 3))
    has_stream = dice.random() < 0.75
    unreached = {"page_fails", "page_repeats"} if page > 3 else set()
    unreached |= set() if has_stream else set(STREAM)
    kinds = [name for name, kind in ALL.items() if name not in unreached for _ in range(kind.weight)]
    faults = []
    for _ in range(dice.randint(MIN_FAULTS, MIN_FAULTS + 8)):
        name = dice.choice(kinds)
        count = dice.choice((1, 1, 1, 2, 3, 5)) if name in REQUESTS else 1
        at = round(dice.uniform(0.5, FAULTY_S - 5), 1)
        faults.append(
            Fault(at=at, kind=name, target=dice.choice(ALL[name].targets), count=count, size=dice.randrange(1000))
        )
    more = random.Random(seed * 104_729 + 1)
    for name in more.sample(LATER, more.randint(0, 2)):
        faults.append(Fault(at=round(more.uniform(3, FAULTY_S - 5), 1), kind=name, size=more.randrange(1000)))
    again = random.Random(seed * 15_485_863 + 2)
    for name in again.sample(REPLAYS, again.randint(0, 3)):
        at, count = round(again.uniform(3, FAULTY_S - 5), 1), again.choice((1, 3, 8)) if name == "replay" else 1
        target, size = ALL[name].targets[0], again.randrange(1000)
        faults.append(Fault(at=at, kind=name, target=target, count=count, size=size))
    faults.sort(key=lambda fault: fault.at)
    everyone = BUILT_IN if seed % 10 == ALL_ON else ()
    books = ("quoter", "taker", "churner", "spike", "flooder")
    return Plan(
        seed=seed,
        faulty_s=FAULTY_S,
        client_ids=dice.choice(("forever", "open_only")),
        read_lag_ms=dice.choice((0, 0, 300, 1_500, 5_000)),
        clock_past_ms=dice.choice((5_000, 60_000, 60_000)),
        interval_s=dice.choice((1.0, 2.0)),
        expiry_s=dice.choice((5.0, 10.0)),
        page=page,
        has_others=dice.random() < 0.3,
        has_stream=has_stream,
        shards=2 if seed % 10 in (4, 7) else 1,
        strategies=tuple(dict.fromkeys((*dice.sample(books, dice.choice((1, 2, 2, 3))), *everyone))),
        faults=tuple(fault for at, fault in enumerate(faults) if only is None or at in only),
    )
