"""The event stream that screens follow: of a running loop, of a killed one, and of an account without one."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from itertools import islice

import msgspec
from support.served import ME, TWO_SIDED, Served, eventually, finish, said, start

from kalshi_cli import Kalshi
from kalshi_cli.base.units import Ts, cents, dollars, format_price
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.services.trading.live_events import encode_part
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.live import LiveEvent, RecentAlertRow


def merged(events: Iterator[LiveEvent]) -> Iterator[LiveEvent]:
    """What a screen holds after each event."""
    whole = LiveEvent()
    for event in events:
        whole = event.after(whole)
        yield whole


def test_text_that_is_no_unicode_ends_no_loop() -> None:
    row = RecentAlertRow(time=Ts(1), tier="info", code="X", subject="a\ud800b", text=TruncatableText("plain"))
    (found,) = msgspec.json.decode(encode_part((row,)), type=tuple[RecentAlertRow, ...])
    assert (found.subject, found.text) == ("a?b", "plain")


def test_without_a_loop_the_account_is_shown(exchange: Served) -> None:
    exchange.trade_a_little()
    with Kalshi.open() as kalshi:
        event = next(kalshi.trading.events([TWO_SIDED.lower()]))
        whole = kalshi.account.portfolio()
    assert event.run is not None
    assert (event.run.running, event.run.problem, event.run.state) == (False, None, "active")
    assert (event.run.cash, event.run.equity, event.run.exposure) == (whole.cash, whole.total, whole.exposure)
    assert event.positions == whole.positions
    assert event.orders is not None
    assert sorted(order.price for order in event.orders) == [cents(40), cents(55)]
    assert event.books is not None
    assert [(book.ticker, book.best_bid, book.best_ask) for book in event.books] == [(TWO_SIDED, cents(44), cents(47))]
    assert event.markets is not None
    assert TWO_SIDED in [row.ticker for row in event.markets]


def test_an_exchange_that_cannot_be_reached_is_said(exchange: Served) -> None:
    exchange.vanish()
    with Kalshi.open() as kalshi:
        event = next(kalshi.trading.events())
    assert event.run is not None
    assert event.run.problem
    assert (event.run.equity, event.positions, event.orders) == (None, None, None)


def test_a_loop_is_followed_from_its_first_order_to_its_death(exchange: Served) -> None:
    words = ["trade", "--strategy", "market-maker", "--ticker", TWO_SIDED, "--interval", "0.3s", "--yes"]
    loop = start(words, exchange.variables(), exchange.home)
    try:
        eventually(lambda: (exchange.state / "sim" / "events.sock").exists() or loop.poll() is not None)
        assert loop.poll() is None, said(loop)
        with Kalshi.open() as kalshi:
            states = merged(kalshi.trading.events([TWO_SIDED]))
            placed = next(state for state in islice(states, 200) if state.orders and state.books)
            assert placed.run is not None
            assert (placed.run.running, placed.run.pid, placed.run.strategy) == (True, loop.pid, "market-maker")
            assert placed.run.host == exchange.variables()["KALSHI_REST_URL"].split("/")[2]
            assert {order.strategy for order in placed.orders or ()} == {"market-maker"}
            assert [book.ticker for book in placed.books or ()] == [TWO_SIDED]

            price = max(order.price for order in placed.orders or () if order.book_side is BID)
            exchange.call(lambda: exchange.exchange.add_account("taker", dollars(1000)))
            exchange.submit("taker", TWO_SIDED, ASK, format_price(price), "1000")
            traded = next(state for state in islice(states, 200) if state.fills)
            assert {(fill.strategy, fill.price) for fill in traded.fills or ()} == {("market-maker", price)}

            loop.send_signal(signal.SIGKILL)
            dead = next(state for state in islice(states, 200) if state.run is not None and not state.run.running)
            assert dead.orders is not None, "the orders that it left are shown"
            assert len(dead.orders) == len(exchange.resting())
    finally:
        loop.kill()
        finish(loop)


def test_a_silent_loop_is_told_from_a_quiet_one(exchange: Served) -> None:
    words = ["trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.3s", "--yes"]
    loop = start(words, exchange.variables(), exchange.home)
    try:
        eventually(lambda: (exchange.state / "sim" / "events.sock").exists() or loop.poll() is not None)
        with Kalshi.open() as kalshi:
            events = kalshi.trading.events()
            quiet = list(islice(events, 10))
            assert all(event.silent_s == 0 for event in quiet)
            loop.send_signal(signal.SIGSTOP)
            silent = next(event for event in islice(events, 50) if event.silent_s >= 2)
            assert silent.run is None, "nothing new is claimed"
    finally:
        loop.kill()
        finish(loop)


def test_the_loop_does_not_mind_a_reader_that_comes_and_goes(exchange: Served) -> None:
    words = ["trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--duration", "4s", "--interval", "0.3s", "--yes"]
    loop = start(words, exchange.variables(), exchange.home)
    eventually(lambda: (exchange.state / "sim" / "events.sock").exists() or loop.poll() is not None)
    with Kalshi.open() as kalshi:
        for _ in range(5):
            events = kalshi.trading.events()
            assert next(events).run is not None
            events.close()  # type: ignore[attr-defined]  # a generator
    assert finish(loop).code == 0
    assert not (exchange.state / "sim" / "events.sock").exists()
    assert exchange.call(lambda: exchange.exchange.resting(ME)) == []
