"""Price-time priority against a model that is one list: also under amends, decreases and cancels (API.md 5.6, 11)."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exchange import T0, TICKER, make_exchange, order, total

from kalshi_cli.base.units import Price, Qty, dollars, format_price, format_qty
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import OrderReceipt
from kalshi_cli.simulator.trading.amends import Amended, Amendment, OrderAmends


class Entry:
    """An order of the model."""

    def __init__(self, name: str, account: str, side: Side, price: int, left: int) -> None:
        self.name, self.account, self.side, self.price, self.left = name, account, side, price, left


class Naive:
    """Who is met next is found by looking at everybody; the list is in the order of arrival."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []

    def queue(self, side: Side) -> list[Entry]:
        """Best price first, and then as they came: sorting keeps that."""
        return sorted((e for e in self.entries if e.side is side), key=lambda e: -side.sign * e.price)

    def find(self, name: str) -> Entry | None:
        return next((entry for entry in self.entries if entry.name == name), None)

    def enter(self, new: Entry, *, removes_own: bool, rests: bool) -> list[tuple[str, int, int]]:
        """Trade one contract part after the other; who was met, at which price, and for how much in all."""
        met: dict[str, tuple[str, int, int]] = {}
        is_stopped = False
        while new.left and not is_stopped:
            best = next(iter(self.queue(new.side.opposite)), None)
            if best is None or (best.price - new.price) * new.side.sign > 0:
                break
            if best.account == new.account:
                is_stopped = not removes_own
                if removes_own:
                    self.entries.remove(best)
                continue
            new.left -= 1
            best.left -= 1
            met[best.name] = (best.name, best.price, met.get(best.name, ("", 0, 0))[2] + 1)
            if not best.left:
                self.entries.remove(best)
        if new.left and rests and not is_stopped:
            self.entries.append(new)
        return list(met.values())


class Act(NamedTuple):
    kind: str
    account: str
    side: Side
    cent: int
    size: int
    which: int
    tif: TimeInForce
    removes_own: bool


acts = st.builds(
    Act,
    st.sampled_from(["enter"] * 4 + ["amend", "amend", "decrease", "cancel"]),
    st.sampled_from(["alice", "bob", "maker"]),
    st.sampled_from([BID, ASK]),
    st.integers(49, 51),
    st.integers(1, 12),
    st.integers(0, 50),
    st.sampled_from([TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC]),
    st.booleans(),
)


class Both:
    """An exchange and its model, told the same."""

    def __init__(self) -> None:
        self.exchange: SimulatedExchange = make_exchange()
        for name in ("alice", "bob", "maker"):
            self.exchange.deposit(name, dollars(1_000_000))
        self.amends = OrderAmends(self.exchange._state, self.exchange._gateway)
        self.naive = Naive()
        self.total = total(self.exchange)
        self.seen: set[str] = set()

    def do(self, act: Act) -> None:
        trades = len(self.exchange._state.trades[TICKER])
        if act.kind == "enter":
            met = self._enter(act)
        elif self.naive.entries:
            entry = self.naive.entries[act.which % len(self.naive.entries)]
            met = getattr(self, f"_{act.kind}")(act, entry)
        else:
            return
        made = list(self.exchange._state.trades[TICKER])[trades:]
        assert [(trade.price, trade.qty) for trade in made] == [(price, qty) for _, price, qty in met]
        self.check()

    def _enter(self, act: Act) -> list[tuple[str, int, int]]:
        new = order(act.side, f"0.{act.cent}", format_qty(Qty(act.size)), tif=act.tif, stp_maker=act.removes_own)
        receipt = self.exchange.submit(act.account, new, T0)
        assert isinstance(receipt, OrderReceipt)
        entry = Entry(receipt.order_id, act.account, act.side, act.cent * 100, act.size)
        met = self.naive.enter(entry, removes_own=act.removes_own, rests=act.tif is TimeInForce.GTC)
        assert receipt.filled == sum(qty for _, _, qty in met)
        self.seen.add("traded" if met else "rested")
        return met

    def _amend(self, act: Act, entry: Entry) -> list[tuple[str, int, int]]:
        """Each of price and size often stays: then the place in the queue is what is at stake."""
        record = self.exchange._state.live[entry.name]
        price = entry.price if act.which % 2 else act.cent * 100
        left = entry.left if act.which % 3 else act.size
        wish = Amendment(ticker=TICKER, side=entry.side, price=Price(price), qty=Qty(record.filled + left))
        assert isinstance(self.amends.amend(entry.account, entry.name, wish, T0), Amended)
        if price == entry.price and left <= entry.left:
            entry.left = left
            self.seen.add("kept its place")
            return []
        self.seen.add("went to the back")
        self.naive.entries.remove(entry)
        entry.price, entry.left = price, left
        return self.naive.enter(entry, removes_own=record.stp_maker, rests=True)

    def _decrease(self, act: Act, entry: Entry) -> list[tuple[str, int, int]]:
        self.amends.decrease(entry.account, entry.name, T0, by=Qty(act.size), to=None)
        entry.left -= act.size
        if entry.left <= 0:
            self.naive.entries.remove(entry)
        self.seen.add("decreased")
        return []

    def _cancel(self, act: Act, entry: Entry) -> list[tuple[str, int, int]]:
        self.exchange.cancel(entry.account, entry.name, T0)
        self.naive.entries.remove(entry)
        return []

    def check(self) -> None:
        book = self.exchange._state.books[TICKER]
        for side in (BID, ASK):
            theirs = [(each.order_id, each.price, each.remaining) for each in book.orders(side)]
            assert theirs == [(each.name, each.price, each.left) for each in self.naive.queue(side)]
            ahead = 0
            for each in self.naive.queue(side):
                assert book.ahead_of(self.exchange._state.live[each.name]) == ahead
                ahead += each.left
        bid, ask = self.exchange.top(TICKER)
        assert bid is None or ask is None or bid[0] < ask[0], format_price(bid[0])
        assert total(self.exchange) == self.total
        assert sum(self.exchange.position(name, TICKER) for name in self.exchange.accounts()) == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(acts, min_size=10, max_size=30))
def test_the_queue_is_that_of_a_naive_model_after_every_change(entries: list[Act]) -> None:
    both = Both()
    for act in entries:
        both.do(act)


STORY = [
    Act("enter", "alice", BID, 50, 5, 0, TimeInForce.GTC, False),
    Act("enter", "bob", BID, 50, 5, 0, TimeInForce.GTC, False),
    Act("enter", "alice", BID, 50, 4, 0, TimeInForce.GTC, False),
    Act("decrease", "", BID, 0, 2, 0, TimeInForce.GTC, False),
    Act("amend", "", BID, 50, 2, 0, TimeInForce.GTC, False),
    Act("amend", "", BID, 0, 0, 1, TimeInForce.GTC, False),
    Act("amend", "", BID, 50, 9, 0, TimeInForce.GTC, False),
    Act("enter", "maker", ASK, 50, 8, 0, TimeInForce.IOC, False),
]


def test_the_model_meets_what_it_is_about() -> None:
    """Not vacuous: a smaller size keeps the place, a larger one loses it, and a trade then passes it over."""
    both = Both()
    first = None
    for act in STORY:
        both.do(act)
        first = first or both.naive.entries[0].name
    assert both.seen == {"rested", "traded", "decreased", "kept its place", "went to the back"}
    assert [(each.name == first, each.left) for each in both.naive.queue(BID)] == [(False, 1), (True, 9)]


def test_a_queue_that_forgets_who_came_first_is_found_out() -> None:
    both = Both()
    for act in STORY[:3]:
        both.do(act)
    both.naive.entries.reverse()
    with pytest.raises(AssertionError):
        both.check()
