"""The matching of the simulated exchange against the plainest model of it: one list, searched anew for every contract.

The model was written from API.md sections 5.4, 5.6 and 11 and shares nothing with `sim.matcher`: no book, no levels, no
queues. After every act the trades, the orders that rest, what each has filled and the order in which each side would be
met must be the same, and no book may be crossed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.exchange import T0, TICKER, make_exchange

from kalshi_cli.base.units import Price, Qty, dollars
from kalshi_cli.core.model.markets import FeeSchedule
from kalshi_cli.core.model.order_terms import ASK, BID, Side, TimeInForce
from kalshi_cli.simulator.exchange import SimulatedExchange
from kalshi_cli.simulator.model.listing import NewOrder, OrderReceipt
from kalshi_cli.simulator.protocol.replies import RejectionError
from kalshi_cli.simulator.trading.amends import Amendment, OrderAmends

ACCOUNTS = ("alice", "bob", "maker")


@dataclass
class Entry:
    """An order of the model. `came` is when it last joined the end of its queue."""

    key: int
    account: str
    side: Side
    price: int
    left: int
    came: int
    stp_maker: bool
    post_only: bool
    filled: int = 0


@dataclass
class Model:
    """All that rests, in no order; and all trades as (maker, taker, price, count)."""

    resting: list[Entry] = field(default_factory=list)
    ended: dict[int, Entry] = field(default_factory=dict)
    trades: list[tuple[int, int, int, int]] = field(default_factory=list)
    time: int = 0

    def rank(self, entry: Entry) -> tuple[int, int]:
        """Smaller is met first."""
        return (-entry.price if entry.side is BID else entry.price, entry.came)

    def facing(self, side: Side, price: int) -> list[Entry]:
        """What an order of this side and price crosses, the first to be met first."""
        found = [
            one
            for one in self.resting
            if one.side is not side and (one.price <= price if side is BID else one.price >= price)
        ]
        return sorted(found, key=self.rank)

    def fills_whole(self, taker: Entry) -> bool:
        within = 0
        for one in self.facing(taker.side, taker.price):
            if one.account != taker.account:
                within += one.left
            elif not taker.stp_maker:
                break
        return within >= taker.left

    def enter(self, taker: Entry, tif: TimeInForce) -> None:
        """Contract by contract; then rest what is left of an order that may rest."""
        self.time += 1
        taker.came = self.time
        is_stopped = False
        while taker.left and not is_stopped and (facing := self.facing(taker.side, taker.price)):
            first = facing[0]
            if first.account == taker.account:
                is_stopped = not taker.stp_maker
                if taker.stp_maker:
                    self.end(first)
                continue
            self._trade(first, taker)
        if taker.left and not is_stopped and tif is TimeInForce.GTC:
            self.resting.append(taker)
        else:
            self.ended[taker.key] = taker

    def _trade(self, maker: Entry, taker: Entry) -> None:
        if not self.trades or self.trades[-1][:3] != (maker.key, taker.key, maker.price) or maker.filled == 0:
            self.trades.append((maker.key, taker.key, maker.price, 0))
        *who, count = self.trades.pop()
        self.trades.append((*who, count + 1))  # type: ignore[arg-type]
        for one in (maker, taker):
            one.left -= 1
            one.filled += 1
        if maker.left == 0:
            self.end(maker)

    def end(self, entry: Entry) -> None:
        self.resting.remove(entry)
        self.ended[entry.key] = entry

    def amend(self, entry: Entry, price: int, left: int) -> None:
        if left == 0:
            self.end(entry)
        elif price == entry.price and left <= entry.left:
            entry.left = left
        else:
            self.resting.remove(entry)
            entry.price, entry.left = price, left
            if entry.post_only and self.facing(entry.side, price):
                self.ended[entry.key] = entry
            else:
                self.enter(entry, TimeInForce.GTC)


Act = dict[str, Any]

acts = st.lists(
    st.fixed_dictionaries(
        {
            "what": st.sampled_from(["place"] * 6 + ["amend", "amend", "decrease", "cancel"]),
            "account": st.sampled_from(ACCOUNTS),
            "side": st.sampled_from([BID, ASK]),
            "price": st.integers(47, 53).map(lambda cent: cent * 100),
            "qty": st.integers(1, 9),
            "tif": st.sampled_from(
                [TimeInForce.GTC, TimeInForce.GTC, TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK]
            ),
            "post_only": st.sampled_from([False, False, False, True]),
            "stp_maker": st.booleans(),
            "which": st.integers(0, 50),
        }
    ),
    max_size=40,
)


class Pair:
    """The exchange and the model, driven by the same acts."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.exchange: SimulatedExchange = make_exchange(fees=FeeSchedule(multiplier=0))
        for name in ACCOUNTS:
            self.exchange.deposit(name, dollars(1_000_000))
        self.amends = OrderAmends(self.exchange._state, self.exchange._gateway)
        self.ids: dict[str, int] = {}
        self.record_placement = 0

    def do(self, act: Act) -> None:
        if act["what"] == "place":
            self._place(act)
        elif self.model.resting:
            oldest_first = sorted(self.model.resting, key=lambda one: one.key)
            self._change(oldest_first[act["which"] % len(oldest_first)], act)

    def _place(self, act: Act) -> None:
        names = ("side", "price", "qty", "tif", "stp_maker")
        post_only = act["post_only"] and act["tif"] is TimeInForce.GTC
        new = NewOrder(ticker=TICKER, post_only=post_only, **{name: act[name] for name in names})
        outcome = self.exchange.submit(act["account"], new, T0)
        self.record_placement += 1
        entry = Entry(
            self.record_placement, act["account"], act["side"], act["price"], act["qty"], 0, act["stp_maker"], post_only
        )
        if isinstance(outcome, OrderReceipt):
            self.ids[outcome.order_id] = self.record_placement
        is_refused = (post_only and self.model.facing(entry.side, entry.price)) or (
            act["tif"] is TimeInForce.FOK and not self.model.fills_whole(entry)
        )
        assert isinstance(outcome, RejectionError) is bool(is_refused), (outcome, entry)
        if not is_refused:
            self.model.enter(entry, act["tif"])

    def _change(self, entry: Entry, act: Act) -> None:
        order_id = next(order_id for order_id, key in self.ids.items() if key == entry.key)
        outcome: object
        if act["what"] == "cancel":
            outcome = self.exchange.cancel(entry.account, order_id, T0)
            self.model.end(entry)
        elif act["what"] == "decrease":
            left = max(0, entry.left - act["qty"])
            outcome = self.amends.decrease(entry.account, order_id, T0, by=Qty(act["qty"]), to=None)
            self.model.amend(entry, entry.price, left)
        else:
            wish = Amendment(
                ticker=TICKER, side=entry.side, price=Price(act["price"]), qty=Qty(entry.filled + act["qty"])
            )
            outcome = self.amends.amend(entry.account, order_id, wish, T0)
            self.model.amend(entry, act["price"], act["qty"])
        assert not isinstance(outcome, RejectionError), (outcome, act)

    def differences(self) -> list[str]:
        """What the two do not agree on."""
        state, model, found = self.exchange._state, self.model, []
        for side in (BID, ASK):
            ours = [
                (self.ids[one.order_id], one.price, one.remaining, one.filled)
                for one in state.books[TICKER].orders(side)
            ]
            queue = sorted((one for one in model.resting if one.side is side), key=model.rank)
            theirs = [(one.key, one.price, one.left, one.filled) for one in queue]
            if ours != theirs:
                found.append(f"{side} rests {ours}, not {theirs}")
        tape = [(trade.price, trade.qty) for trade in state.trades[TICKER]]
        if tape != [(price, count) for _, _, price, count in model.trades]:
            found.append(f"traded {tape}, not {model.trades}")
        for name in ACCOUNTS:
            filled = [
                one.side.sign * one.filled for one in (*model.resting, *model.ended.values()) if one.account == name
            ]
            if self.exchange.position(name, TICKER) != sum(filled):
                found.append(f"{name} holds {self.exchange.position(name, TICKER)}, not {sum(filled)}")
        bid, ask = self.exchange.top(TICKER)
        if bid and ask and bid[0] >= ask[0]:
            found.append(f"crossed: {bid} and {ask}")
        return found


def first_difference(model: Model, entries: list[Act]) -> list[str]:
    pair = Pair(model)
    for act in entries:
        pair.do(act)
        if found := pair.differences():
            return found
    return []


@settings(max_examples=120, deadline=None)
@given(acts)
def test_the_exchange_matches_as_the_plainest_model_does(entries: list[Act]) -> None:
    assert first_difference(Model(), entries) == []


def act(what: str, account: str, side: Side, cent: int, qty: int, **changes: Any) -> Act:
    usual = {"tif": TimeInForce.GTC, "post_only": False, "stp_maker": False, "which": 0}
    return {"what": what, "account": account, "side": side, "price": cent * 100, "qty": qty} | usual | changes


QUEUE = [
    act("place", "alice", BID, 50, 3),
    act("place", "bob", BID, 50, 3),
    act("amend", "alice", BID, 50, 5),
    act("place", "maker", ASK, 50, 4, tif=TimeInForce.IOC),
]


class NewestFirst(Model):
    def rank(self, entry: Entry) -> tuple[int, int]:
        return (super().rank(entry)[0], -entry.came)


class WorstFirst(Model):
    def rank(self, entry: Entry) -> tuple[int, int]:
        return (-super().rank(entry)[0], entry.came)


class PlaceKeeping(Model):
    """An amendment never costs the place in the queue."""

    def amend(self, entry: Entry, price: int, left: int) -> None:
        came = entry.came
        super().amend(entry, price, left)
        entry.came = came


def test_the_model_property_sees_each_rule_broken() -> None:
    """Not vacuous: a model with another rule of priority is told from the exchange; the true one is not."""
    two_prices = [
        act("place", "alice", BID, 50, 3),
        act("place", "bob", BID, 51, 3),
        act("place", "maker", ASK, 50, 1, tif=TimeInForce.IOC),
    ]
    assert first_difference(Model(), QUEUE) == first_difference(Model(), two_prices) == []
    assert first_difference(NewestFirst(), QUEUE)
    assert first_difference(PlaceKeeping(), QUEUE)
    assert first_difference(WorstFirst(), two_prices)


def test_the_acts_of_the_property_do_everything() -> None:
    """Not vacuous: what is generated fills, stops at itself, removes itself, kills, crosses by amendment."""
    pair = Pair(Model())
    story = [
        act("place", "alice", ASK, 50, 4),
        act("place", "bob", BID, 50, 2),
        act("place", "alice", BID, 50, 1),
        act("place", "bob", BID, 50, 9, tif=TimeInForce.FOK),
        act("place", "bob", BID, 48, 5),
        act("amend", "bob", BID, 50, 5, which=1),
        act("place", "bob", ASK, 50, 1, stp_maker=True),
        act("decrease", "bob", ASK, 50, 1),
    ]
    for one in story:
        pair.do(one)
        assert pair.differences() == []
    assert [trade[2:] for trade in pair.model.trades] == [(5000, 2), (5000, 2)]
    assert pair.model.resting == []
    assert len(pair.ids) == 5, "one was killed"
