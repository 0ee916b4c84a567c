"""What was acknowledged survives: the exchange is dropped without a word and rebuilt from its journal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exchange import ORDERS, T0, TICKER, Caller, killed, make_exchange, new_ids, order, quote, total

from kalshi_cli.base.units import Price, Qty, Ts, dollars
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.journal import MemoryJournal
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt
from kalshi_cli.simulator.trading.lifecycle import KEEP_SETTLED_MS

READS: tuple[tuple[str, dict[str, str]], ...] = (
    ("/portfolio/orders", {}),
    ("/portfolio/fills", {}),
    ("/portfolio/positions", {"settlement_status": "all"}),
    ("/portfolio/balance", {}),
    ("/portfolio/settlements", {}),
)
PUBLIC = (f"/markets/{TICKER}", f"/markets/{TICKER}/orderbook", "/markets/trades", "/events", "/series")


def seen(exchange: SimulatedExchange, now: Ts = T0) -> dict[str, Any]:
    """Everything a user can see."""
    found: dict[Any, Any] = {}
    for who in ("alice", "bob"):
        caller = Caller(exchange, who)
        caller.now = now
        found |= {(who, path): caller.get(path, **query) for path, query in READS}
    caller.who = None
    return found | {path: caller.get(path) for path in PUBLIC}


def test_an_empty_journal_restores_nothing() -> None:
    ids = new_ids()
    assert not SimulatedExchange(new_id=lambda: next(ids), journal=MemoryJournal()).restore()


def test_a_new_exchange_shows_what_the_old_one_acknowledged() -> None:
    journal = MemoryJournal()
    alice = Caller(make_exchange(journal=journal))
    quote(alice.exchange, ASK, "0.52", "5")
    alice.place("bid", "0.52", "2", client_order_id="first")
    alice.place("bid", "0.40", "7", client_order_id="rests", expiration_time=T0 // 1000 + 60)
    before = seen(alice.exchange)
    exchange = killed(journal)
    assert seen(exchange) == before
    alice = Caller(exchange)
    assert alice.place("bid", "0.4", "1", client_order_id="first")[0] == 409, "ids stay used"
    exchange.advance(Ts(T0 + 60_000))
    assert exchange.resting("alice") == [], "the expiry is still in the queue"


def test_the_queue_keeps_its_order() -> None:
    journal = MemoryJournal()
    exchange = make_exchange(journal=journal)
    for who in ("alice", "bob", "alice"):
        exchange.submit(who, order(ASK, "0.5", "1"), T0)
    exchange = killed(journal)
    exchange.submit("maker", order(BID, "0.5", "2", tif=TimeInForce.IOC), T0)
    assert (exchange.position("alice", TICKER), exchange.position("bob", TICKER)) == (-100, -100)


def test_a_settlement_that_was_due_is_paid_by_the_new_exchange() -> None:
    journal = MemoryJournal()
    exchange = make_exchange(journal=journal)
    quote(exchange, ASK, "0.5", "3")
    exchange.submit("alice", order(BID, "0.5", "3"), T0)
    exchange.settle(TICKER, Price(10_000), T0)
    exchange = killed(journal)
    cash = exchange.cash("alice")
    exchange.advance(Ts(T0 + 60_000))
    assert exchange.cash("alice") == cash + 3_000_000
    exchange = killed(journal)
    assert exchange.cash("alice") == cash, "the test must not depend on sharing a journal"


def test_a_pause_survives() -> None:
    journal = MemoryJournal()
    make_exchange(journal=journal).pause("trading", T0)
    assert Caller(killed(journal)).place("bid", "0.5", "1")[0] == 409


def test_what_only_the_world_did_waits_for_the_next_advance() -> None:
    journal = MemoryJournal()
    exchange = make_exchange(journal=journal)
    saves = journal.saves
    for _ in range(50):
        quote(exchange, BID, "0.4", "1")
    assert journal.saves == saves
    exchange.advance(T0)
    assert journal.saves == saves + 1
    assert killed(journal).levels(TICKER, BID) == [(4000, 5000)]


def test_dead_orders_of_the_world_leave_no_trace() -> None:
    journal = MemoryJournal()
    exchange = make_exchange(journal=journal)
    before = set(journal.items)
    for _ in range(20):
        quote(exchange, BID, "0.4", "1")
        exchange.advance(T0)
        exchange.cancel_all("maker", T0)
        exchange.advance(T0)
    assert {key for key in journal.items if not key.startswith("bar/")} == before


class BrokenJournal(MemoryJournal):
    """A disk that is full from some moment on."""

    is_full = False

    def save(self, items: dict[str, bytes | None]) -> None:
        if self.is_full:
            raise OSError("no space left on device")
        super().save(items)


def test_changes_that_could_not_be_saved_are_not_published() -> None:
    journal = BrokenJournal()
    alice = Caller(make_exchange(journal=journal))
    listener = alice.connect()
    listener.send("subscribe", channels=["user_orders"])
    journal.is_full = True
    with pytest.raises(OSError, match="no space"):
        alice.place("bid", "0.5", "1")
    assert listener.frames() == []
    journal.is_full = False
    alice.get("/portfolio/balance")
    assert len(listener.frames()) == 1, "told as soon as it is written"


steps = st.lists(
    st.tuples(
        st.sampled_from(["alice", "bob", "maker"]),
        st.sampled_from([BID, ASK]),
        st.integers(40, 60).map(lambda cent: Price(cent * 100)),
        st.integers(1, 500).map(Qty),
        st.sampled_from(["place", "place", "place", "ioc", "cancel", "advance", "settle"]),
    ),
    max_size=25,
)


def act(exchange: SimulatedExchange, step: tuple[str, Side, Price, Qty, str], now: Ts) -> None:
    account, side, price, qty, what = step
    if what == "cancel":
        exchange.cancel_all(account, now)
    elif what == "advance":
        exchange.advance(now)
    elif what == "settle" and qty > 400 and exchange.tickers("active"):
        exchange.settle(TICKER, Price(10_000), now)
    else:
        tif = TimeInForce.IOC if what == "ioc" else TimeInForce.GTC
        exchange.submit(account, NewOrder(ticker=TICKER, side=side, price=price, qty=qty, tif=tif), now)


@settings(max_examples=25, deadline=None)
@given(steps)
def test_killed_after_any_step_the_users_see_what_they_saw(entries: list[Any]) -> None:
    journal = MemoryJournal()
    exchange = make_exchange(journal=journal)
    start = total(exchange)
    for number, step in enumerate(entries):
        act(exchange, step, Ts(T0 + number))
        if step[0] == "maker":
            continue  # what the world alone did may be lost
        after = killed(journal, first_id=1_000 * (number + 2))
        assert total(after) == start
        for who in ("alice", "bob"):
            assert Caller(after, who).get("/portfolio/orders") == Caller(exchange, who).get("/portfolio/orders")
            assert Caller(after, who).get("/portfolio/fills") == Caller(exchange, who).get("/portfolio/fills")
            assert after.cash(who) == exchange.cash(who)
            assert after.position(who, TICKER) == exchange.position(who, TICKER)


def test_the_kill_property_sees_a_lost_order() -> None:
    """Not vacuous: with one record taken out of the journal, the views differ."""
    journal = MemoryJournal()
    alice = Caller(make_exchange(journal=journal))
    _, made = alice.place("bid", "0.5", "1")
    del journal.items[f"order/{made['order_id']}"]
    assert Caller(killed(journal)).get("/portfolio/orders") != alice.get("/portfolio/orders")


def test_orders_are_written_before_they_are_answered() -> None:
    journal = MemoryJournal()
    alice = Caller(make_exchange(journal=journal))
    _, made = alice.place("bid", "0.5", "1")
    assert f"order/{made['order_id']}" in journal.items
    receipt = alice.exchange.submit("maker", order(ASK, "0.5", "1"), T0)
    assert isinstance(receipt, OrderReceipt)
    assert len(Caller(killed(journal)).get("/portfolio/fills")["fills"]) == 1
    assert alice("DELETE", f"{ORDERS}/{made['order_id']}")[0] == 404


LATER = Ts(T0 + 60_000 + KEEP_SETTLED_MS + 1)


def settled_by(buyer: str, journal: MemoryJournal) -> SimulatedExchange:
    """The market settled with a position of `buyer` in it, an hour and a bit ago."""
    exchange = make_exchange(journal=journal)
    exchange.add_account("crowd", dollars(1000))
    quote(exchange, ASK, "0.5", "3")
    exchange.submit(buyer, order(BID, "0.5", "3"), T0)
    exchange.settle(TICKER, Price(10_000), T0)
    exchange.advance(Ts(T0 + 60_000))
    before = total(exchange)
    exchange.advance(LATER)
    assert total(exchange) == before, "what was paid stays paid"
    return exchange


def test_a_settled_market_of_the_world_alone_is_forgotten_after_an_hour() -> None:
    journal = MemoryJournal()
    exchange = settled_by("crowd", journal)
    assert exchange.tickers("") == []
    assert Caller(exchange, None)("GET", f"/markets/{TICKER}")[0] == 404
    exchange.advance(Ts(LATER + 1))
    assert not [key for key in journal.items if TICKER in key]
    assert not [key for key in journal.items if key.startswith("event/")]
    assert killed(journal).tickers("") == []


def test_a_settled_market_that_a_user_traded_is_kept() -> None:
    journal = MemoryJournal()
    exchange = settled_by("alice", journal)
    assert exchange.tickers("") == [TICKER]
    revived = killed(journal)
    revived.advance(Ts(LATER + KEEP_SETTLED_MS))
    assert revived.tickers("") == [TICKER]
    assert Caller(revived).get("/portfolio/settlements")["settlements"]
