"""Whatever stands in the headers of a reply: what was sent is known to be done, or not known, and nothing else ends."""

from __future__ import annotations

import json
from itertools import cycle

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.scripted_server import NOW, Reply

from kalshi_cli.base.clock import ManualClock
from kalshi_cli.base.errors import KalshiError, OutcomeUnknownError
from kalshi_cli.base.units import Price, Qty, parse_ts
from kalshi_cli.core.model.messages import OrderAccepted
from kalshi_cli.core.model.order_terms import BID
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.exchange.rest.exchange_clock import ExchangeClock, moment

ORDER = Order(
    client_order_id="11111111-2222-4333-8444-555555555555", ticker="KXTEST-26NOV20-T1.5", side=BID, price=Price(4700),
    qty=Qty(1000), status=OrderStatus.SUBMITTED, created=NOW, updated=NOW,
)  # fmt: skip
CREATED = json.dumps({"order_id": "o", "fill_count": "0.00", "remaining_count": "10.00", "ts_ms": NOW})

DATES = (
    "Mon, 01 Jan 99999 00:00:00 GMT", "Sun, 06 Nov 1994 08:49:37 +9999999999",
    "Sun, 06 Nov 1994 08:49:37 -99999999999999999999",
    "Sat, 00 Jan 0000 00:00:00 GMT",
    "Sat, 01 Jan 0000 00:00:00 GMT", "Mon, 01 Jan 10000 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT",
    "Fri, 31 Dec 9999 23:59:60 -2359", "Mon, 01 Jan 0001 00:00:00 +2359", "Thu, 31 Feb 2026 25:61:61 GMT",
    "Wed, 10 Jun 2026 06:29:20", "\xff\xfe\xed\xa0\x80", "x" * 60_000, "9" * 60_000, ",", " ", "\t", "Mon,",
    "\u0661\u0662, \u0663 Jan", "Mon, 01 Jan 2026 00:00:00 GMT, Mon, 01 Jan 2026 00:00:00 GMT",
)  # fmt: skip
HEADERS = [
    *[("Date", date) for date in DATES],
    *[("Age", age) for age in ("9" * 5_000, "-1", "0" * 5_000, "1e999", "\xb2", "\u0663", "nan")],
    *[("Retry-After", wait) for wait in ("9" * 5_000, "-1", "1e999", "\xb2", "\u0663", "inf", "nan", DATES[0])],
    *[("Content-Length", size) for size in ("9" * 20, "9" * 5_000, "-1", "1e3", "\u0663", "5, 6", "")],
    *[("Content-Encoding", name) for name in ("br", "zstd", "gzip", "gzip, gzip", ", ".join(["gzip"] * 900), "\xff")],
    *[("Transfer-Encoding", name) for name in ("chunked", "gzip", "chunked, chunked", "\xff", "x" * 60_000)],
    *[(name, text) for name in ("Deprecation", "Sunset") for text in ("\xff\x85", "\x9b31m", "x" * 60_000, DATES[0])],
    *[("Content-Type", text) for text in ("\xff", "text/html; charset=no-such", "x" * 60_000)],
    *[("Location", text) for text in ("http://[::1", "\xff", "//")],
    ("Connection", "upgrade"), ("Upgrade", "h2c"), ("Set-Cookie", "\xff=\xff"), ("X" * 70_000, "x"),
]  # fmt: skip


@pytest.fixture
def patience() -> dict[str, float]:
    """Some of these promise more than comes."""
    return {"read": 0.2}


@pytest.mark.parametrize(("name", "text"), HEADERS, ids=[f"{name[:20]} {text[:24]!a}" for name, text in HEADERS])
def test_no_header_hides_that_an_order_was_sent(serve, connect, name, text):
    server = serve(Reply(201, CREATED, {name: text}))
    client = connect(server.url)
    ended: object
    try:
        ended = client.create_order(ORDER)
    except OutcomeUnknownError as error:
        ended = error
    assert isinstance(ended, OrderAccepted) or len(str(ended)) < 1_000
    assert server.count("POST") == 1


PAIRS = [
    (name, text, status)
    for (name, text), pair in zip(HEADERS, cycle((200, 404, 503)))
    for status in ((429, 503) if name == "Retry-After" else (pair,))
]
"""Headers are read before the status counts, but for the one that says when to ask again."""


@pytest.mark.parametrize(
    ("name", "text", "status"), PAIRS, ids=[f"{name[:20]} {text[:24]!a} {status}" for name, text, status in PAIRS]
)
def test_no_header_ends_a_read_or_a_cancel_but_as_an_error_of_ours(serve, connect, name, text, status):
    body = '{"error":{"code":"x"}}' if status >= 400 else ""
    client = connect(serve(*[Reply(status, body, {name: text})] * 8).url)
    errors = []
    for call in (client.balance, client.cancel_all):
        try:
            call()
        except KalshiError as error:
            errors.append(error.message)
    assert all(len(message) < 1_000 for message in errors)
    assert len(errors) == 2, "none of these is an answer"


@given(st.text(max_size=60) | st.from_regex(r"[A-Z][a-z]{2}, \d{2} (Jan|Feb|Dec|Foo) \d{4} \d{2}:\d{2}:\d{2} GMT\Z"))
@example("Wed, 10 Jun 2026 06:29:20 GMT")
def test_whatever_is_called_a_date_moves_no_clock_into_next_week(text: str) -> None:
    clock = ManualClock(NOW)
    theirs = ExchangeClock(clock)
    assert theirs.take("/", text, 0.0, is_read=True)
    assert theirs.latest(clock.monotonic()) <= NOW + 86_401_000


@pytest.mark.parametrize("date", DATES)
def test_what_is_no_date_of_ours_is_none(date: str) -> None:
    assert moment(date) is None or date == "Fri, 31 Dec 9999 23:59:59 GMT"


def test_a_date_is_read_to_the_second() -> None:
    assert moment("Wed, 10 Jun 2026 06:29:20 GMT") == parse_ts("2026-06-10T06:29:20Z")
