"""Every reply of the exchange bears a `Date` that is none: nothing ends by it, least of all the kill switch."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from support.fault_proxy import FaultProxy, fault_proxy
from support.served import TWO_SIDED, Served, program, served, set_variables

DATES = (
    b"Mon, 01 Jan 99999 00:00:00 GMT", b"Sun, 06 Nov 1994 08:49:37 +9999999999",
    b"Sun, 06 Nov 1994 08:49:37 -99999999999999999999",
    b"Sat, 01 Jan 0000 00:00:00 GMT",
    b"Mon, 01 Jan 10000 00:00:00 GMT", b"Fri, 31 Dec 9999 23:59:59 GMT", b"\xed\xa0\x80\xff", b"9" * 50_000, b"",
)  # fmt: skip
BUY = ("order", "place", TWO_SIDED, "--side", "yes", "--action", "buy", "--count", "2", "--price", "0.41", "--json")


def dated(head: bytes, date: bytes) -> bytes:
    """The head of a reply, with another date."""
    return re.sub(rb"(?i)\r\ndate:[^\r]*", lambda _: b"\r\ndate: " + date, head)


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, shards=1) as one:
        yield one


@pytest.fixture(params=DATES, ids=lambda date: repr(date[:40]))
def proxy(exchange: Served, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[FaultProxy]:
    with fault_proxy(exchange.server.rest_url) as one:
        set_variables(monkeypatch, exchange.home, exchange.variables(one.moved(exchange.server.rest_url)))
        one.edit_head = lambda head: dated(head, request.param)
        yield one


def test_an_order_is_placed_and_the_kill_switch_takes_it_back(exchange: Served, proxy: FaultProxy) -> None:
    ended = program(*BUY)
    assert ended.code == 0, ended.err
    ended = program("cancel-all", "--json")
    assert (ended.code, ended.json["canceled"], exchange.resting()) == (0, 1, []), ended.err


def test_a_loop_runs_to_its_end(proxy: FaultProxy) -> None:
    ended = program("trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.1s", "--duration", "0.3s")
    assert ended.code == 0, ended.err


def test_a_date_that_is_wild_once_holds_up_no_kill(exchange: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """One reply says that it is two hours later than it is; the next write says what time it is."""
    with fault_proxy(exchange.server.rest_url) as proxy:
        set_variables(monkeypatch, exchange.home, exchange.variables(proxy.moved(exchange.server.rest_url)))
        assert program(*BUY).code == 0
        wild = iter([formatdate(time.time() + 7_200, usegmt=True).encode()])

        def once(head: bytes) -> bytes:
            found = next(wild, None)
            return head if found is None else dated(head, found)

        proxy.edit_head = once
        ended = program("cancel-all", "--json")
        assert (ended.code, exchange.resting()) == (0, []), ended.err
