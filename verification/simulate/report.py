"""The coverage of a run of many sessions, and whether it is enough."""

from __future__ import annotations

from collections import Counter

import msgspec

ROWS = {
    "F01": "order accepted, reply lost",
    "F02": "reply never comes",
    "F03": "lost before the exchange saw it, and proven never to have arrived",
    "F04": "late: accepted after the client gave up",
    "F05": "5xx on a create",
    "F05 guard": "... three in a row: no new ones",
    "F06": "429 on a write",
    "F07": "2xx without an order, garbage, cut short",
    "F08": "409: the client order id is there",
    "F09": "delivered twice",
    "F09 accepted twice": "... and accepted twice (open_only, filled at once)",
    "F09 noticed and halted": "... noticed, halted, told",
    "F10": "part of a batch refused, or no answer for any of it",
    "F11": "idle connection closed under a create",
    "F12": "process gone around a send",
    "F13": "process gone while booking",
    "F14": "back after a while",
    "F15": "state file gone, or an old copy",
    "F16": "SIGTERM, second SIGINT",
    "F17": "strategy raises, or yields nonsense",
    "F18": "process stopped, host asleep",
    "F19": "cancel races a fill",
    "F20": "reply to a cancel lost, 404 though it rests",
    "F21": "reply about another order",
    "F22": "part filled, then cancelled",
    "F23": "the same fill twice",
    "F24": "fill told before the order's own reply",
    "F25": "fill or order message lost",
    "F26": "orders of others on the account",
    "F27": "order group triggered",
    "F28": "our bid would cross our own offer",
    "F29": "post-only refused",
    "F30": "ended by the exchange: expiry, reactivation",
    "F31": "stream silent",
    "F32": "stream with a pulse only",
    "F33": "stream cut, handshake refused",
    "F34": "frames lost, doubled, out of order",
    "F35": "frames corrupt, unknown types and fields",
    "F36": "frames late, bursts",
    "F37": "subscriptions refused, ended",
    "F38": "impossible book",
    "F39": "later page of a list fails, or repeats",
    "F40": "stale read",
    "F40 replayed": "... an earlier reply, with its headers",
    "F40 cached": "... while nothing else gets through",
    "F41": "other programs used up what may be read",
    "F42": "slow read",
    "F43": "outage",
    "F44": "market inactive",
    "F45": "close moved earlier",
    "F46": "settlement booked",
    "F47": "pause of trading, of the exchange",
    "F48": "fees changed",
    "F49": "price grid changed",
    "F50": "too little money on the shard of a market, enough on another",
    "F50 canceled": "... an order there canceled",
    "F51": "key refused",
    "F52": "field missing",
    "F53": "clock wrong by an hour",
    "F54": "clock steps",
    "F55": "day boundary, with and without a change of the clocks",
    "F56": "state file locked",
    "F57": "disk full, read-only",
    "F58": "state file damaged, or of a newer version",
    "F60": "second instance",
    "F61": "a limit held an order back",
    "F62": "pace or collar held an order back",
    "F63": "the day's loss reached its limit",
    "F64": "kill switch",
    "F65": "nobody meets a close",
}
"""Rows of the fault matrix that a session can reach, counted when what they are about happened."""

FLOOR = 50
FULL = 10_000
"""Each row is reached at least FLOOR times in FULL sessions, and in proportion in fewer."""

ENOUGH = 200
"""In so many sessions each row is reached at least once; fewer prove nothing about reach."""


class Result(msgspec.Struct, kw_only=True):
    """What came of one session."""

    seed: int
    violations: list[str]
    fired: dict[str, int]
    hits: dict[str, int]
    counts: dict[str, int]
    events: int
    cpu_s: float


class Tally:
    """Over all sessions of a run."""

    def __init__(self) -> None:
        self.sessions = 0
        self.events = 0
        self.cpu_s = 0.0
        self.fired: Counter[str] = Counter()
        self.hits: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.failed: list[Result] = []
        self.thin = 0

    def add(self, result: Result) -> None:
        self.sessions += 1
        self.events += result.events
        self.cpu_s += result.cpu_s
        self.fired.update(result.fired)
        self.hits.update(result.hits)
        self.counts.update(result.counts)
        if result.violations:
            self.failed.append(result)
        elif sum(result.fired.values()) < 10 or result.events < 100:
            self.thin += 1

    @property
    def floor(self) -> int:
        """How often each row must have been reached."""
        return 0 if self.sessions < ENOUGH else max(1, FLOOR * self.sessions // FULL)

    @property
    def barely(self) -> list[str]:
        """Rows reached less often than that."""
        return [row for row in ROWS if self.hits[row] < self.floor]

    def lines(self) -> list[str]:
        """The table, and the totals."""
        lines = [f"{'row':<24}{'reached':>9}  what"]
        lines += [f"{row:<24}{self.hits[row]:>9}  {what}" for row, what in ROWS.items()]
        lines.append("faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(self.fired.items())))
        lines.append("also: " + ", ".join(f"{what} {count}" for what, count in sorted(self.counts.items())))
        per = self.cpu_s / max(1, self.sessions) * 1000
        lines.append(
            f"{self.sessions} sessions, {sum(self.fired.values())} faults, {self.events} events, "
            f"{len(self.failed)} with violations; {self.thin} with fewer than 10 faults or 100 events; "
            f"{per:.0f} ms CPU a session"
        )
        if self.barely:
            lines.append(f"barely reached (fewer than {self.floor}): {', '.join(self.barely)}")
        return lines
