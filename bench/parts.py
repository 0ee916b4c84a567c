"""`python -m bench.parts create|order`: the parts of a create and of the order path, by clocks around our functions.

A clock takes time of its own: what all of them add is measured, and taken off the function and its caller in halves.
"""

from __future__ import annotations

import runpy
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter_ns, process_time_ns
from typing import Any

from tabulate import tabulate

from bench import worker
from bench.contest import Contestant
from bench.deltas import frames
from bench.peers import HOME
from bench.racing import write_key

CALLS = 1_000
_TRANSPORT, _CALL = "kalshi_cli.net.deadline_transport", "kalshi_cli.exchange.rest.call"
CREATE = {
    "kalshi_cli.exchange.client:KalshiClient.create_order": "the body, and the reply as a message",
    f"{_CALL}:RestTransport.call": "checks and the retry policy",
    "kalshi_cli.exchange.rest.rate_limits:RateLimiter.acquire": "rate limit",
    f"{_CALL}:RestTransport._attempt": "one attempt",
    f"{_CALL}:RestTransport._send": "headers and the request",
    "kalshi_cli.exchange.rest.signing:Signer.sign": "signature",
    "httpx:Request.__init__": "httpx objects",
    "httpx:Response.__init__": "httpx objects",
    f"{_CALL}:RestTransport._received": "headers and date of the reply, its end",
    f"{_CALL}:read_body": "body of the reply",
    f"{_TRANSPORT}:DeadlineTransport.handle_request": "the connection and its limits",
    f"{_TRANSPORT}:_Connection.exchange": "head of the reply",
    f"{_TRANSPORT}:_written": "request as bytes",
    f"{_TRANSPORT}:_Connection._write": "send (kernel)",
    f"{_TRANSPORT}:_Receiver.readinto": "wait and receive (kernel)",
}
ORDER = {
    "kalshi_cli.exchange.stream.frames:decode_frame": "decode the frame",
    "kalshi_cli.core.engine.engine:TradingEngine.step": "order book, strategy, review",
    "kalshi_cli.store.sqlite_store:Store.record": "record: rows",
    "kalshi_cli.store.sqlite_store:Store._refuse_if_moved": "record: halt, lock, other programs",
    "kalshi_cli.exchange.live.live_venue:LiveVenue.perform": "venue",
    "kalshi_cli.exchange.client:KalshiClient.create_order": "create without the transport",
    f"{_TRANSPORT}:DeadlineTransport.handle_request": "send, wait, receive",
}
_REST = "the rest"


class Clocks:
    """Clocks around functions, which note the time of each part without that of the parts that it calls."""

    def __init__(self, now: Callable[[], int]) -> None:
        self.now = now
        self.is_on = False
        self.spent: Counter[str] = Counter()
        self.started: Counter[str] = Counter()
        self._open: list[tuple[str, int]] = [(_REST, 0)]

    def surround(self, place: str, part: str) -> None:
        """Put a clock around a function, given as `module:name` or `module:class.name`."""
        module, _, path = place.partition(":")
        owner: Any = import_module(module)
        *names, name = path.split(".")
        for each in names:
            owner = getattr(owner, each)
        inner = getattr(owner, name)

        def timed(*args: Any, **more: Any) -> Any:
            if not self.is_on:
                return inner(*args, **more)
            self._switch(part)
            try:
                return inner(*args, **more)
            finally:
                self._switch()

        setattr(owner, name, timed)

    def measured(self, call: Callable[[], object]) -> int:
        """Return the nanoseconds of a call, with its parts if the clocks are on."""
        self._open = [(_REST, self.now())]
        before = self.now()
        call()
        spent = self.now() - before
        if self.is_on:
            self.spent[_REST] += self.now() - self._open[0][1]
        return spent

    def _switch(self, part: str = "") -> None:
        """Begin a part, or end the one that runs and go on with its caller."""
        running, since = self._open.pop()
        self.spent[running] += self.now() - since
        if part:
            self._open.append((running, 0))
            self.started.update((part, running))
        else:
            part = self._open.pop()[0]
        self._open.append((part, self.now()))


def table(module: str, arguments: list[str], work: str, parts: dict[str, str], now: Callable[[], int]) -> str:
    """Run our contestant here, and return the table of its parts."""
    clocks, made = Clocks(now), []
    for place, part in parts.items():
        clocks.surround(place, part)

    def serve(works: dict[str, Any], _describe: object = None) -> None:
        found = works[work]
        call = (lambda: found.call(now)) if isinstance(found, worker.Each) else found(1)
        totals: dict[bool, list[int]] = {False: [], True: []}
        for number in range(2 * CALLS):
            if isinstance(found, worker.Each):
                found.between()
            clocks.is_on = number % 2 == 1
            totals[clocks.is_on].append(clocks.measured(call))
            clocks.is_on = False
        added = (sum(clocks.spent.values()) - sum(totals[False])) / sum(clocks.started.values())
        us = {part: max(0.0, ns - added * clocks.started[part]) / CALLS / 1000 for part, ns in clocks.spent.items()}
        whole = sum(us.values())
        rows = [
            (part, f"{each:.0f}", f"{each / whole:.2f}") for part, each in sorted(us.items(), key=lambda one: -one[1])
        ]
        rows.append(("all, mean (median without clocks)", f"{whole:.0f} ({median(totals[False]) / 1000:.0f})", ""))
        made.append(tabulate(rows, headers=("part", "us", "share"), disable_numparse=True))

    sys.argv, worker.serve = [module, *arguments], serve
    runpy.run_module(module)
    return made[0]


def main() -> None:
    """Print the table that was asked for: `create`, `create-rsa`, `order` (CPU) or `order-wall`."""
    asked = sys.argv[1]
    HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME) as scratch, Contestant("server", "bench.loopback") as server:
        folder = Path(scratch)
        given = [server.line(), write_key(folder / "key.pem", is_fast=asked == "create")]
        if asked.startswith("create"):
            print(table("bench.workers.ours_rest", given, "create", CREATE, process_time_ns))
            return
        file = folder / "frames.jsonl"
        file.write_text("\n".join(frames(5_000)))
        now = perf_counter_ns if asked == "order-wall" else process_time_ns
        print(table("bench.workers.ours_order", [*given, str(file), scratch, "presign"], "order", ORDER, now))


if __name__ == "__main__":
    main()
