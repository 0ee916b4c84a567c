"""Pings of a real loop say that the account is looked after: they end when its reads do."""

from __future__ import annotations

import time
from pathlib import Path

from support.fault_proxy import Fault, fault_proxy
from support.notice_receiver import Received, receiving
from support.served import TWO_SIDED, eventually, served, start

AGE_S, EVERY_S = 1.0, 2.5
SOON = f"""
from kalshi_cli.core.engine import book_validity
from kalshi_cli.exchange.live import live_venue
book_validity.ACCOUNT_AGE_MS = {AGE_S * 1000:.0f}
live_venue.LiveVenue.__init__.__kwdefaults__["every_s"] = {EVERY_S}
live_venue.GET_WITHIN_S = 1.0
"""
"""The account is read every 2.5 s and counts as read for one, so that the loop runs on for a while without fresh data,
and the test waits for seconds only."""


def test_with_every_read_hung_no_ping_says_that_all_is_well(tmp_path: Path) -> None:
    times: list[float] = []
    with served(tmp_path) as one, fault_proxy(one.server.rest_url) as proxy, receiving() as there:
        path = tmp_path / "config.yaml"
        path.write_text(f"heartbeat: {{url: '{there.url}/p', every_s: 0.1}}\n")
        path.chmod(0o600)

        def note(got: Received) -> None:
            if got.path.startswith("/p?"):
                times.append(time.monotonic())

        def balances() -> int:
            return sum(answer.path.endswith("/portfolio/balance") for answer in list(proxy.answers))

        there.before_answer = note
        words = ("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.2s")
        loop = start(words, one.variables(rest_url=proxy.moved(one.server.rest_url)), tmp_path, first=SOON)
        try:
            eventually(lambda: len(times) > 3 or loop.poll() is not None)
            read = balances()
            eventually(lambda: balances() > read)  # the last request of a read of the account
            proxy.faults.append(Fault("hang_request", "GET", ".", times=1_000_000))
            hung = time.monotonic()
            time.sleep(EVERY_S)
            late = [at - hung for at in times if at - hung > AGE_S + 0.5]  # a ping takes its time
            assert late == [], f"{len(late)} pings without fresh data"
            proxy.faults.clear()
            before = len(times)
            eventually(lambda: len(times) > before or loop.poll() is not None)
            assert loop.poll() is None
        finally:
            loop.kill()
            loop.communicate()
