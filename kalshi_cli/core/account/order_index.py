"""Every order we know of, and the one place where its status may change.

What reaches us about an order is late, doubled and out of order, and two sources count its fills. So facts are merged,
not obeyed: `filled` only rises, an order that is over stays over, and a status moves only along `TRANSITIONS`. An order
that may be live counts as live, with all that is left of it, until the exchange says otherwise. Where the exchange's
own record proves that a reply was false, `OrderRepaired` makes the order what the record says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from kalshi_cli.base.units import Qty, Ts
from kalshi_cli.core.account.open_amends import has_terms, is_amend_open, worse_case_terms
from kalshi_cli.core.account.tracked_order import Tracked, was_raised
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.messages import Message
from kalshi_cli.core.model.order_terms import BID, TimeInForce
from kalshi_cli.core.model.orders import Fill, Order, OrderStatus

MAX_HELD_FILLS = 1_000
"""Fills kept for orders whose id we do not know yet. Beyond it the oldest goes; the next statement makes up for it."""
MAX_ENDED_ORDERS = 10_000
"""Orders remembered after their end, for late fills and late news. The store keeps them all."""

OWN_ID = "kcli"
"""How the client order ids begin that this program makes up: an order that has one, and is not on file here, was placed
by this program elsewhere."""

_S = OrderStatus
_ON_THE_BOOK_OR_AFTER = frozenset({_S.RESTING, _S.FILLED, _S.CANCELED, _S.EXPIRED})
_AFTER = frozenset({_S.FILLED, _S.CANCELED, _S.EXPIRED})

ID_TAKEN = "order_already_exists"
"""How the code begins of an order in doubt whose id the exchange knew already: one of that id *is* there."""

DUPLICATE_ID = "DUPLICATE_ID"
"""The code of an order that was refused because an older one has its id."""

TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.DENIED: frozenset(),
    _S.SUBMITTED: _ON_THE_BOOK_OR_AFTER | {_S.UNKNOWN, _S.REJECTED, _S.NEVER_ARRIVED},
    _S.UNKNOWN: _ON_THE_BOOK_OR_AFTER | {_S.REJECTED, _S.NEVER_ARRIVED},
    _S.RESTING: _AFTER,
    # Late delivery: what we gave up, or were told was refused, can turn out to exist. Hiding it would hide exposure.
    _S.REJECTED: _ON_THE_BOOK_OR_AFTER | {_S.UNKNOWN},
    _S.NEVER_ARRIVED: _ON_THE_BOOK_OR_AFTER | {_S.UNKNOWN},
    _S.FILLED: frozenset(),
    _S.CANCELED: frozenset(),
    _S.EXPIRED: frozenset(),
}


class OrderRegistry:
    """Orders by our id and by theirs. `apply` merges a message and returns the changed order, or None."""

    def __init__(self) -> None:
        self._by_client_id: dict[str, Tracked] = {}
        self._by_order_id: dict[str, Tracked] = {}
        self._live: dict[str, dict[Tracked, None]] = {}
        self._ended: deque[Tracked] = deque()
        self._held: dict[tuple[str, str], Fill] = {}
        self._untold: dict[Tracked, None] = {}
        self.moved: set[str] = set()
        """Markets in which any order changed since whoever counts exposure took this for read, and emptied it."""
        self.repaired: list[tuple[Order, Order]] = []
        """Orders of ours, before and after, to which a statement about another order gave or took the exchange's id,
        since the engine last took them from here."""
        self._on: dict[type[Message], Callable[[Any], Order | None]] = {
            messages.OrderAccepted: self._on_accepted,
            messages.OrderRejected: self._on_rejected,
            messages.OrderUnknown: self._on_unknown,
            messages.OrderNeverArrived: self._on_never_arrived,
            messages.OrderRepaired: self._on_repaired,
            messages.OrderState: self._on_state,
            messages.OrderCanceled: self._on_canceled,
            messages.AmendEnded: self._on_amend_ended,
            messages.Filled: self._on_filled,
        }

    # -- what is asked --------------------------------------------------------------------------------------------

    def get(self, client_order_id: str) -> Order | None:
        """The order with this id of ours."""
        tracked = self._by_client_id.get(client_order_id)
        return tracked.order if tracked else None

    def by_order_id(self, order_id: str) -> Order | None:
        """The order with this id of theirs."""
        tracked = self._by_order_id.get(order_id)
        return tracked.order if tracked else None

    def find(self, order_id: str, client_order_id: str) -> Order | None:
        """The order that both ids name, either of which may be empty."""
        tracked = self._find(order_id, client_order_id)
        return tracked.order if tracked else None

    def live(self, ticker: str | None = None) -> list[Order]:
        """Orders that may still trade, of one market or of all, oldest first within a market. Foreign ones are in."""
        if ticker is not None:
            return [tracked.order for tracked in self._live.get(ticker, ())]
        return [tracked.order for market in self._live.values() for tracked in market]

    @property
    def count_live(self) -> int:
        """How many orders may still trade."""
        return sum(len(market) for market in self._live.values())

    def untold(self, ticker: str | None = None) -> list[tuple[Order, Qty]]:
        """Orders that traded more than we have fills of, and how much more: a reply comes before its fills.

        What they traded is in no position yet and nothing of it is live, so whoever counts exposure must count it.
        """
        return [
            (tracked.order, Qty(tracked.untold)) for tracked in self._untold if ticker in (None, tracked.order.ticker)
        ]

    def looked_for(self) -> list[Order]:
        """Orders of which a read of the account must have the record: live ones, and those whose fills are missing."""
        return [*self.live(), *(each.order for each in self._untold if not each.order.status.is_live)]

    def is_proven(self, order: Order) -> bool:
        """Whether the exchange showed an order under its id, in a record or a fill; a reply alone may be false."""
        tracked = self._by_order_id.get(order.order_id)
        return tracked is not None and tracked.is_proven

    def contradicts(self, record: Order) -> bool:
        """Whether merging cannot bring the order to this record of it."""
        return self._by_order_id[record.order_id].contradicts(record)

    def worst_case(self, ticker: str, subaccount: int = 0) -> tuple[Qty, Qty]:
        """What the position of a subaccount may still gain and lose: all that is left of its live bids, and asks."""
        bids = asks = 0
        for tracked in self._live.get(ticker, ()):
            if tracked.order.subaccount != subaccount:
                continue
            if tracked.order.side is BID:
                bids += tracked.order.remaining
            else:
                asks += tracked.order.remaining
        return Qty(bids), Qty(asks)

    @contextmanager
    def without(self, order_id: str) -> Iterator[None]:
        """As if this order were not live: what an amend is held against, because it takes the order's place."""
        tracked = self._by_order_id[order_id]
        market = self._live[tracked.order.ticker]
        self._live[tracked.order.ticker] = {other: None for other in market if other is not tracked}
        self.moved.add(tracked.order.ticker)
        try:
            yield
        finally:
            self._live[tracked.order.ticker] = market
            self.moved.add(tracked.order.ticker)

    # -- what changes it ------------------------------------------------------------------------------------------

    def mark_unconfirmed(self, doubtful: Order, wanted: Order | None = None) -> None:
        """An amend of this order is about to be asked for: from now on it counts as the worse of both.

        A resting order becomes UNKNOWN only so. It ends with `AmendEnded`, once `wanted` is stated, or with the order.
        """
        tracked = self._by_order_id[doubtful.order_id]
        tracked.order, tracked.wanted = doubtful, wanted
        self.moved.add(doubtful.ticker)

    def add(self, order: Order) -> Order:
        """Add an order of ours, before it is sent, or one from the store, whose fills must be applied as well.

        ValueError where it is known. Two on file under one exchange id are left by false replies: one is in doubt.
        """
        is_id_of_two = order.order_id in self._by_order_id
        if order.client_order_id in self._by_client_id or (is_id_of_two and not order.client_order_id):
            raise ValueError(f"order {order.client_order_id or order.order_id} is already known")
        if is_id_of_two:
            order = msgspec.structs.replace(order, order_id="", status=OrderStatus.UNKNOWN)
        return self._insert(order)

    def take_back(self, client_order_id: str) -> None:
        """Forget an order of ours that was added and never sent."""
        tracked = self._by_client_id.pop(client_order_id)
        del self._live[tracked.order.ticker][tracked]
        self.moved.add(tracked.order.ticker)

    def merge(self, filed: Order) -> bool:
        """Take in an order that another program of ours began or amended, as the state file has it; whether it is new.

        A file that trails takes nothing back, and an amend that nobody knows the end of makes it the worse of both.
        """
        if not filed.is_foreign and not self.get(filed.client_order_id) and not self.by_order_id(filed.order_id):
            self._insert(filed)
            return True
        if filed.order_id:
            self.adopt(filed)
            known = self.by_order_id(filed.order_id)
            if is_amend_open(filed) and known is not None and known.status.is_live:
                self.mark_unconfirmed(worse_case_terms(known, filed, filed.updated))
        return False

    def adopt(self, stated: Order) -> Order | None:
        """Merge an order as the exchange states it; one that we did not place joins as foreign.

        A second order under an id of ours (the network delivered twice) joins as foreign too: its exposure is real.
        What only the newest statement can say (price, size, expiry) is ignored when old. What filled, and that an order
        is over, is never too old to be true. The exchange's id goes to the order that the newest statement names: which
        of two was false, the next one tells.
        """
        tracked, own = self._by_order_id.get(stated.order_id), self._unacknowledged(stated)
        if tracked is not None and _is_of_another(tracked.order, stated):
            self._take_id(tracked)
            tracked = None
        elif tracked is not None and own is not None:
            self._take_id(tracked)
            before, after = own.order, self.adopt(stated)
            self.repaired.append((before, own.order))
            return after
        tracked = tracked or own
        if tracked is None:
            twin = self.get(stated.client_order_id)
            strategy = twin.strategy if twin and twin.order_id else ""
            return self._insert(msgspec.structs.replace(stated, is_foreign=True, strategy=strategy), stated.updated)
        if (stated.ticker, stated.side) != (tracked.order.ticker, tracked.order.side):
            return None
        known = tracked.order
        if is_amend_open(known) and stated.status.is_live:
            if tracked.wanted is not None and has_terms(stated, tracked.wanted):
                return self._on_amend_ended(messages.AmendEnded(stated.updated, stated))
            # Read before or after the amend: there is no telling.
            return self._merge(tracked, stated.updated, OrderStatus.UNKNOWN, stated.filled, {})
        changes: dict[str, Any] = {
            "order_id": stated.order_id,
            "code": stated.code or ("" if is_amend_open(known) else known.code),
        }
        if stated.filled >= known.filled:
            changes |= {"fees": stated.fees, "fill_cost": stated.fill_cost}
        if tracked.stated is None or stated.updated >= tracked.stated:
            tracked.stated = stated.updated
            changes |= {"expires": stated.expires or known.expires, "exchange_index": stated.exchange_index}
            if known.status not in _AFTER or was_raised(known, stated):
                changes |= {"price": stated.price, "qty": stated.qty, "reduced": stated.reduced}
        return self._merge(tracked, stated.updated, stated.status, stated.filled, changes)

    def apply(self, message: Message) -> Order | None:
        """Merge what happened; None where it changed nothing (a failed cancel, a duplicate, another kind)."""
        merge = self._on.get(type(message))
        return merge(message) if merge else None

    def _on_accepted(self, message: messages.OrderAccepted) -> Order | None:
        tracked = self._by_client_id.get(message.client_order_id)
        if tracked is None:
            return None
        order = tracked.order
        if message.filled >= order.qty:
            status = OrderStatus.FILLED
        elif message.remaining > 0 and order.tif is TimeInForce.GTC:
            status = OrderStatus.RESTING
        else:  # the rest was cancelled at once; `remaining` of an unfilled IOC is not to be relied on (2026-10)
            status = OrderStatus.CANCELED
        if order.order_id not in ("", message.order_id):  # a second order is met as the exchange states it
            return None
        if self._by_order_id.get(message.order_id, tracked) is not tracked:
            reason = "the reply names another order"
            return self._merge(tracked, message.ts, OrderStatus.UNKNOWN, Qty(0), {"code": reason})
        return self._merge(tracked, message.ts, status, message.filled, {"order_id": message.order_id})

    def _on_rejected(self, message: messages.OrderRejected) -> Order | None:
        return self._end_unseen(message.client_order_id, message.ts, OrderStatus.REJECTED, message.code)

    def _on_never_arrived(self, message: messages.OrderNeverArrived) -> Order | None:
        return self._end_unseen(message.client_order_id, message.ts, OrderStatus.NEVER_ARRIVED, "")

    def _end_unseen(self, client_order_id: str, ts: Ts, status: OrderStatus, code: str) -> Order | None:
        """An order that is not on the exchange. Once the exchange has named it, that cannot be."""
        tracked = self._by_client_id.get(client_order_id)
        if tracked is None or tracked.order.order_id or status not in TRANSITIONS[tracked.order.status]:
            return None
        return self._merge(tracked, ts, status, Qty(0), {"code": code})

    def _on_repaired(self, message: messages.OrderRepaired) -> Order | None:
        """Begin again with the exchange's record, else in doubt. A second order met under that id is this one."""
        tracked, record = self._by_client_id.get(message.known.client_order_id), message.record
        if tracked is None or self._by_order_id.get(message.known.order_id) is not tracked:
            return None
        met = self._by_order_id.get(record.order_id) if record is not None else None
        if met is not None and met is not tracked:
            is_named = record is not None and record.client_order_id == message.known.client_order_id
            if not (met.order.is_foreign or is_named):
                return None
            self._take_id(met)  # replies may swap the ids of two orders
        self._restart(tracked)
        if record is None:
            return self._merge(tracked, message.ts, OrderStatus.UNKNOWN, Qty(0), {"code": "not_on_the_exchange"})
        return self.adopt(msgspec.structs.replace(record, client_order_id=tracked.order.client_order_id))

    def _on_unknown(self, message: messages.OrderUnknown) -> Order | None:
        tracked = self._by_client_id.get(message.client_order_id)
        if tracked is None or tracked.order.status is not OrderStatus.SUBMITTED:
            return None
        return self._merge(tracked, message.ts, OrderStatus.UNKNOWN, Qty(0), {"code": message.reason})

    def _on_state(self, message: messages.OrderState) -> Order | None:
        return self.adopt(message.order)

    def _on_canceled(self, message: messages.OrderCanceled) -> Order | None:
        tracked = self._find(message.order_id, message.client_order_id)
        if tracked is None or OrderStatus.CANCELED not in TRANSITIONS[tracked.order.status]:
            return None
        if message.reduced is not None and message.reduced < tracked.order.remaining:
            return None  # it traded before, and we have not heard of that: it counts in full until we have
        changes = {"order_id": message.order_id or tracked.order.order_id, "code": message.reason}
        return self._merge(tracked, message.ts, OrderStatus.CANCELED, Qty(0), changes)

    def _on_amend_ended(self, message: messages.AmendEnded) -> Order | None:
        tracked = self._by_order_id.get(message.order.order_id)
        if tracked is None or not is_amend_open(tracked.order):
            return None
        tracked.order = msgspec.structs.replace(tracked.order, code="")
        after = message.order
        tracked.stated = after.updated  # what was read before the amend must not undo it
        rest = {"price": after.price, "qty": after.qty, "reduced": after.reduced, "expires": after.expires}
        if after.fair is not None:  # what the exchange states says nothing of it
            rest["fair"] = after.fair
        self._merge(tracked, message.ts, after.status, after.filled, rest)
        return tracked.order

    def _on_filled(self, message: messages.Filled) -> Order | None:
        fill = message.fill
        tracked = self._find(fill.order_id, fill.client_order_id)
        if tracked is None:
            self._hold(fill)
            return None
        if not tracked.count(fill):
            return None
        # A fill proves that the order exists, not what became of the rest: one given up for lost is UNKNOWN again.
        known = tracked.order.status
        status = known if known is OrderStatus.SUBMITTED else OrderStatus.UNKNOWN
        return self._merge(tracked, fill.ts, status, Qty(0), {"order_id": fill.order_id or tracked.order.order_id})

    # -- how ------------------------------------------------------------------------------------------------------

    def _find(self, order_id: str, client_order_id: str) -> Tracked | None:
        """The order that both ids name. Where they name two, none: a reply about another order proves nothing."""
        tracked = self._by_order_id.get(order_id)
        if tracked is not None:
            return tracked if tracked.order.client_order_id in ("", client_order_id) or not client_order_id else None
        tracked = self._by_client_id.get(client_order_id)
        if tracked is not None and order_id and tracked.order.order_id not in ("", order_id):
            return None
        return tracked

    def _unacknowledged(self, stated: Order) -> Tracked | None:
        """Our own order that this statement is the first to name."""
        tracked = self._by_client_id.get(stated.client_order_id)
        if tracked is None or tracked.order.order_id:
            return None
        same = (stated.ticker, stated.side) == (tracked.order.ticker, tracked.order.side)
        return tracked if same else None

    def _hold(self, fill: Fill) -> None:
        """Keep a fill until the exchange's reply tells whose it is."""
        self._held.setdefault(fill.key, fill)
        if len(self._held) > MAX_HELD_FILLS:
            del self._held[next(iter(self._held))]

    def _insert(self, order: Order, stated: Ts | None = None) -> Order:
        tracked = Tracked(order)
        tracked.stated = stated
        if order.client_order_id:
            self._by_client_id.setdefault(order.client_order_id, tracked)
        self._place(tracked)
        self._merge(tracked, order.updated, order.status, order.filled, {})
        return tracked.order

    def _merge(
        self, tracked: Tracked, ts: Ts, status: OrderStatus, filled: Qty, changes: dict[str, Any]
    ) -> Order | None:
        """Lay news over an order. Returns it if anything but the time of the news changed."""
        known = tracked.order
        self.moved.add(known.ticker)
        order = msgspec.structs.replace(known, **changes)
        if order.order_id and order.order_id not in self._by_order_id:
            self._by_order_id[order.order_id] = tracked
            for fill in [fill for fill in self._held.values() if fill.order_id == order.order_id]:
                tracked.count(self._held.pop(fill.key))
        if status not in TRANSITIONS[known.status] and not was_raised(known, order):
            status = known.status
        filled = Qty(min(max(known.filled, filled, tracked.traded), order.qty))
        rest = order.qty - filled
        reduced = min(order.reduced, rest)
        if status.is_live and rest == reduced:
            status = OrderStatus.FILLED if filled else OrderStatus.CANCELED
        order = msgspec.structs.replace(
            order,
            status=status,
            filled=filled,
            reduced=Qty(rest if status in _AFTER else reduced),
            updated=Ts(max(known.updated, ts)),
        )
        if tracked.traded >= filled > 0:
            order = msgspec.structs.replace(order, fees=tracked.fees, fill_cost=tracked.cost)
        tracked.order = order
        if tracked.untold > 0:
            self._untold[tracked] = None
        else:
            self._untold.pop(tracked, None)
        if order.status.is_live is not known.status.is_live:
            self._place(tracked)
        return order if order != msgspec.structs.replace(known, updated=order.updated) else None

    def _restart(self, tracked: Tracked) -> None:
        """Take back what a reply said of an order: it is in doubt, counts in full, and its fills find it anew."""
        was_live = tracked.order.status.is_live
        del self._by_order_id[tracked.order.order_id]
        for fill in tracked.restart():
            self._hold(fill)
        self._untold.pop(tracked, None)
        self.moved.add(tracked.order.ticker)
        if not was_live:
            self._place(tracked)

    def _take_id(self, tracked: Tracked) -> None:
        """The exchange gives the id of this order to another one: ours is in doubt; one of others is forgotten, and its
        fills are held for whose they are.
        """
        before = tracked.order
        self._restart(tracked)
        if not before.is_foreign:
            self.repaired.append((before, tracked.order))
            return
        del self._live[before.ticker][tracked]
        if self._by_client_id.get(before.client_order_id) is tracked:
            del self._by_client_id[before.client_order_id]

    def _place(self, tracked: Tracked) -> None:
        """Put it among the live orders of its market, or among those that are over."""
        market = self._live.setdefault(tracked.order.ticker, {})
        if tracked.order.status.is_live:
            market[tracked] = None
            return
        market.pop(tracked, None)
        if not market:
            del self._live[tracked.order.ticker]
        self._ended.append(tracked)
        if len(self._ended) > MAX_ENDED_ORDERS:
            self._forget(self._ended.popleft())

    def _forget(self, tracked: Tracked) -> None:
        if tracked.order.status.is_live:  # it came back
            return
        for index, key in (
            (self._by_client_id, tracked.order.client_order_id),
            (self._by_order_id, tracked.order.order_id),
        ):
            if index.get(key) is tracked:
                del index[key]
        self._untold.pop(tracked, None)
        self.moved.add(tracked.order.ticker)


def ids_of(message: Any) -> tuple[str, str]:
    """The exchange's id and ours of the order that some news is about; empty where it does not say."""
    about = getattr(message, "order", message)
    return getattr(about, "order_id", ""), about.client_order_id


def _is_of_another(ours: Order, stated: Order) -> bool:
    """Whether the exchange says that the id which we have of an order of ours is that of an order under another id."""
    names = (ours.client_order_id, stated.client_order_id)
    return not ours.is_foreign and all(names) and names[0] != names[1]


def is_as_sent(sent: Order, stated: Order) -> bool:
    """Whether an order on the exchange has the terms of ours. A reduce-only one may be cut to the position."""
    if (sent.ticker, sent.side, sent.price) != (stated.ticker, stated.side, stated.price):
        return False
    return stated.qty == sent.qty or (sent.reduce_only and stated.qty < sent.qty)


def is_id_taken(order: Order) -> bool:
    """The exchange said that an order with this id is there; whether it is this one, nobody knows."""
    return not order.order_id and order.code.startswith((ID_TAKEN, DUPLICATE_ID))
