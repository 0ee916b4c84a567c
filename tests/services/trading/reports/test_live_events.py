"""The event stream that screens follow: of a running loop, of a killed one, and of an account without one."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from itertools import islice, permutations
from pathlib import Path

import msgspec
import pytest
from support.fault_proxy import Fault, fault_proxy
from support.moved_clock import MovedClock
from support.served import ME, TWO_SIDED, Served, eventually, finish, program, said, start
from support.simulation import T0, Simulation
from support.trading import TradingSession
from support.values import make_fill

from kalshi_cli import Kalshi
from kalshi_cli.app import list_prices
from kalshi_cli.app.list_prices import ListPrices
from kalshi_cli.base.units import Money, Qty, Ts, cents, contracts, dollars, format_price
from kalshi_cli.core.account.pnl import build_ledger
from kalshi_cli.core.model.effects import FillBooked, SettlementBooked
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.markets import MarketStatus
from kalshi_cli.core.model.order_terms import ASK, BID
from kalshi_cli.core.model.positions import Settlement
from kalshi_cli.net.local_events import EventPublisher
from kalshi_cli.services.account.portfolio import FillCounter, positions_before
from kalshi_cli.services.trading.reports import live_events
from kalshi_cli.services.trading.reports.live_events import (
    LoopEvents,
    UnconfirmedCash,
    account_event,
    encode_part,
    loop_view,
    recent_fills,
    recent_settlements,
    top_rows,
)
from kalshi_cli.services.trading.reports.run_summary import RunPlan
from kalshi_cli.store.records import Halt
from kalshi_cli.tui.head import STALE_S
from kalshi_cli.views.formats import TruncatableText, format_clock
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


def test_cash_that_was_paid_before_its_booking_is_not_shown_twice() -> None:
    cash = UnconfirmedCash()
    shown = []
    for read, balance, booking, held in (
        (1, 100, 0, 5),
        (1, 100, 0, 5),
        (2, 110, 0, 5),  # a position was paid out with 10; its settlement is not booked yet
        (2, 110, 0, 5),
        (2, 110, 10, 0),  # booked
        (3, 110, 10, 0),
        (4, 110, 10, 0),
        (5, 160, 10, 0),  # a deposit of 50
        (6, 160, 10, 0),
    ):
        booked = booking if read != 2 else 0  # bookings at the time of the read
        besides = balance - booked
        early = cash.after(Ts(read), Money(besides))
        shown.append((besides + booking + held - early, bool(early)))
    assert shown == [
        (105, False), (105, False), (105, True), (105, True), (110, True), (110, False), (110, False), (110, True),
        (160, False),
    ]  # fmt: skip


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
    assert event.orders == whole.orders
    assert {order.price: order.closing for order in event.orders} == {cents(40): 0, cents(55): Qty(250)}
    assert event.books is not None
    assert [(book.ticker, book.best_bid, book.best_ask) for book in event.books] == [(TWO_SIDED, cents(44), cents(47))]
    assert event.markets is not None
    assert TWO_SIDED in [row.ticker for row in event.markets]


def test_without_a_loop_a_pause_of_the_exchange_is_said(exchange: Served) -> None:
    exchange.call(lambda: exchange.exchange.pause("exchange", exchange.clock.now()))
    with Kalshi.open() as kalshi:
        event = next(kalshi.trading.events())
    assert event.run is not None
    assert "The exchange is paused" in (event.run.attention or "")


def test_the_fills_of_an_account_are_those_of_the_exchange_in_the_words_of_the_user(exchange: Served) -> None:
    exchange.trade_a_little()
    with Kalshi.open() as kalshi:
        whole = kalshi.account.fills()
        event = next(kalshi.trading.events())
    assert whole, "no order of these was placed from here, and the state file has none of them"
    assert [(each.trade_id, each.action, each.side, each.side_price) for each in event.fills or ()] == [
        (each.trade_id, each.action, each.side, each.side_price) for each in whole
    ]


def test_only_fills_of_the_last_day_are_shown_and_older_ones_count() -> None:
    old = make_fill(trade_id="old", side=ASK, price=cents(38), qty=contracts(5), ts=Ts(0))
    new = make_fill(trade_id="new", side=BID, price=cents(40), qty=contracts(5), ts=Ts(90_000_000))
    counter = FillCounter()
    (found,) = recent_fills(None, (old, new), Ts(90_000_000), counter)
    assert (found.trade_id, found.action, found.side, found.side_price) == ("new", "sell", "no", cents(60))
    assert counter.before(new) == 0, "both were counted"


def test_fills_of_one_moment_close_and_open_as_the_ledger_counts_them() -> None:
    """A purchase of NO through 20 YES; the state file sorts fills of one moment by their trade ids."""
    held = make_fill(trade_id="held", qty=contracts(20), ts=Ts(89_000_000))
    now = Ts(90_000_000)
    first = make_fill(trade_id="m", side=ASK, price=cents(56), qty=contracts(7), ts=now, is_taker=True)
    second = make_fill(trade_id="a", side=ASK, price=cents(55), qty=contracts(23), ts=now, is_taker=True)
    for came in permutations((held, first, second)):
        rows = list(recent_fills(None, came, now))
        assert [row.trade_id for row in rows] == ["a", "m", "held"]
        assert [[part.words for part in row.parts] for row in rows[:2]] == [["sell YES", "buy NO"], ["sell YES"]]
        met = positions_before(came)
        assert [met[row.trade_id, row.order_id] for row in rows] == [contracts(13), contracts(20), 0]


def paid(at: Ts, held: Qty) -> Settlement:
    return Settlement(
        ticker="KXA-1", event_ticker="KXA", result="yes", value=cents(100), yes_qty=held, no_qty=Qty(0),
        revenue=Money(held * 10_000), fee=Money(0), ts=at,
    )  # fmt: skip


def test_a_settlement_of_a_position_is_published_with_the_result_of_its_market(sim: Simulation, tmp_path: Path) -> None:
    bought = make_fill(side=BID, price=cents(40), qty=contracts(5), ts=T0, fee=Money(50_000))
    sim.store.record(FillBooked(bought, None))
    publisher = EventPublisher(tmp_path / "events.sock")
    events = LoopEvents(publisher, sim.clock, sim.store, host="sim", has_real_money=False)
    assert list(events._settled) == []
    settled = paid(Ts(T0 + 1), contracts(5))
    events.note_settlement(settled, build_ledger((bought, settled)))
    events.note_settlement(paid(Ts(T0 + 2), Qty(0)), build_ledger(()))
    (row,) = events._settled
    assert row.text == "Settled KXA-1: YES, payout $5.00, P&L +$2.95"
    sim.store.record(SettlementBooked(settled))
    again = LoopEvents(publisher, sim.clock, sim.store, host="sim", has_real_money=False)
    assert list(again._settled) == [row], "those of the last day are known after a restart"
    publisher.close()


def test_only_the_settlements_of_the_last_day_are_shown_each_market_with_its_last_result() -> None:
    first, amended = (
        paid(Ts(90_000_000), contracts(5)),
        msgspec.structs.replace(paid(Ts(90_000_001), contracts(5)), result="no"),
    )
    rows = recent_settlements((paid(Ts(0), contracts(5)), first, amended), build_ledger(()), Ts(90_000_000))
    assert [row.result for row in rows] == ["no"]
    assert recent_settlements((paid(Ts(0), contracts(5)),), build_ledger(()), Ts(90_000_000)) == ()


def test_a_loop_that_cannot_read_the_account_says_so(sim: Simulation) -> None:
    engine = TradingSession(sim).engine
    plan = RunPlan(
        run_id="r", pid=1, strategy="s", env="sim", mode="sim", words="", markets=1, duration_s=None,
        status_every_s=60, stop_budget_s=10,
    )  # fmt: skip

    def problem() -> str | None:
        active = Halt(TradingState.ACTIVE, "", "", Ts(0))
        return loop_view(
            engine, plan, active, sim.clock.now(), started=T0, cycles=1, feed_age_s=None, feed_lag_ms=None
        ).problem

    assert problem() is None
    engine.state.blind_since = T0
    said = f"BLIND: the account has been unreadable since {format_clock(T0)}; nothing watches its resting orders"
    assert problem() == said
    engine.state.blind_since = None
    assert problem() is None


def test_an_exchange_that_cannot_be_reached_is_said(exchange: Served) -> None:
    exchange.vanish()
    with Kalshi.open() as kalshi:
        event = next(kalshi.trading.events())
    assert event.run is not None
    assert event.run.problem
    assert (event.run.equity, event.positions, event.orders) == (None, None, None)


def test_after_a_failed_read_the_numbers_shown_keep_their_age(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.trade_a_little()
    with fault_proxy(exchange.server.rest_url) as proxy:
        monkeypatch.setenv("KALSHI_REST_URL", proxy.moved(exchange.server.rest_url))
        with Kalshi.open() as kalshi:
            states = merged(kalshi.trading.events())
            first = next(states)
            assert first.run is not None
            proxy.refuse()
            failed = next(state for state in islice(states, 50) if state.run is not None and state.run.problem)
    assert failed.run is not None
    assert (failed.run.time, failed.positions, failed.orders) == (first.run.time, first.positions, first.orders)
    assert failed.run.equity is None


def test_prices_of_a_list_say_when_they_are_old_and_when_the_market_has_ended(exchange: Served) -> None:
    clock = MovedClock()
    prices = ListPrices(Kalshi.open, (TWO_SIDED,), clock)
    prices.start()
    try:
        eventually(lambda: any(row.bid for row in prices.newest() or ()))
    finally:
        prices.stop()
    clock.skipped_s = 100.0
    (old,) = prices.newest() or ()
    assert old.bid == cents(44)
    assert re.match(r"OLD: 1\d\d s\. ", old.title)

    with Kalshi.open() as kalshi:
        market = kalshi.resources.client.market(TWO_SIDED)
    for status, word in ((MarketStatus.FINALIZED, "settled: "), (MarketStatus.CLOSED, "closed: ")):
        (row,) = top_rows({}, {TWO_SIDED: msgspec.structs.replace(market, status=status)})
        assert row.title == word + market.full_title
        assert (row.bid, row.bid_count, row.ask, row.ask_count) == (None, None, None, None), "the last ones are void"


def test_numbers_are_read_again_before_they_are_announced_as_old() -> None:
    assert live_events.ACCOUNT_EVERY_S < STALE_S
    assert list_prices.EVERY_S < list_prices.OLD_S


def test_a_loop_is_followed_from_its_first_order_to_its_death(exchange: Served) -> None:
    words = ["trade", "--strategy", "market-maker", "--ticker", TWO_SIDED, "--interval", "0.3s", "--yes"]
    loop = start(words, exchange.variables(), exchange.home)
    try:
        eventually(lambda: (exchange.state / "sim" / "events.sock").exists() or loop.poll() is not None)
        assert loop.poll() is None, said(loop)
        with Kalshi.open() as kalshi:
            states = merged(kalshi.trading.events([TWO_SIDED]))
            placed = next(
                state
                for state in islice(states, 200)
                if state.books and any(order.closing == 0 for order in state.orders or ())
            )
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
            assert {(fill.action, fill.side, fill.side_price) for fill in traded.fills or ()} == {("buy", "yes", price)}

            loop.send_signal(signal.SIGKILL)
            dead = next(state for state in islice(states, 200) if state.run is not None and not state.run.running)
            assert dead.orders is not None, "the orders that it left are shown"
            assert len(dead.orders) == len(exchange.resting())
    finally:
        loop.kill()
        finish(loop)


def test_a_silent_loop_is_told_from_a_quiet_one(exchange: Served) -> None:
    words = ["trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.1s", "--yes"]
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
    words = ["trade", "--strategy", "spike", "--ticker", TWO_SIDED, "--interval", "0.1s", "--yes"]
    loop = start(words, exchange.variables(), exchange.home)
    eventually(lambda: (exchange.state / "sim" / "events.sock").exists() or loop.poll() is not None)
    with Kalshi.open() as kalshi:
        for _ in range(5):
            events = kalshi.trading.events()
            assert next(events).run is not None
            events.close()  # type: ignore[attr-defined]  # a generator
    assert program("stop").code == 0
    assert finish(loop).code == 143
    assert not (exchange.state / "sim" / "events.sock").exists()
    assert exchange.call(lambda: exchange.exchange.resting(ME)) == []


def test_an_account_that_is_paid_while_it_is_read_is_settling(
    exchange: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.trade_a_little()
    with fault_proxy(exchange.server.rest_url) as proxy:
        monkeypatch.setenv("KALSHI_REST_URL", proxy.moved(exchange.server.rest_url))
        with Kalshi.open() as kalshi:

            def run() -> tuple[bool, bool]:
                found = next(kalshi.trading.events()).run
                assert found is not None
                assert found.equity is not None
                return found.settling, found.running

            assert run() == (False, False)
            less = Fault(
                "rewrite", "GET", "/portfolio/balance", edit=lambda body: {**body, "balance_dollars": "1.0000"}
            )
            proxy.faults.append(less)
            assert run() == (True, False)
            assert run() == (False, False)


def test_a_screen_that_stays_open_opens_the_state_file_once(exchange: Served) -> None:
    exchange.trade_a_little()
    with Kalshi.open() as kalshi:
        kalshi.resources.store.halt()
        opened = kalshi.resources.remembered()
        count = _open_files()
        for _ in range(20):
            kalshi.trading.status()
            account_event(kalshi.resources, kalshi.resources.home, ())
        assert _open_files() <= count + 2
        assert kalshi.resources.remembered() is opened
        path = exchange.state / "sim" / "state.db"
        path.rename(path.with_name("old.db"))
        assert kalshi.resources.remembered() is None, "not the file that was moved away"


def _open_files() -> int:
    return sum("state.db" in str(each.readlink()) for each in Path("/proc/self/fd").iterdir() if each.is_symlink())
