"""All known orders, and the only place where an order's status changes.

Reports about orders arrive late, repeated and out of order, and two sources count fills. Reports are therefore merged:
`filled` only rises, an ended order stays ended, and a status changes only along `TRANSITIONS`. An order that may be
live counts as live, with its whole remaining quantity, until the exchange says otherwise. If the exchange's own record
proves that a response was wrong, `OrderRepaired` replaces the order with the record.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from kalshi_cli.base.units import Money, Qty, Ts
from kalshi_cli.core.account.open_amends import has_terms, is_amend_open, worse_case_terms
from kalshi_cli.core.account.tracked_order import Tracked, was_raised
from kalshi_cli.core.model import messages
from kalshi_cli.core.model.messages import Message
from kalshi_cli.core.model.order_terms import BID, TimeInForce
from kalshi_cli.core.model.orders import DUPLICATE_ID, Fill, Order, OrderStatus, was_never_sent

MAX_HELD_FILLS = 1_000
"""The most fills kept for orders whose exchange id is unknown. Beyond it the oldest is dropped; the next account read
replaces it."""
MAX_ENDED_ORDERS = 10_000
"""The most ended orders remembered for late fills and reports. The store keeps all orders."""

OWN_ID = "kcli"
"""The prefix of the client order ids that kalshi generates: an order with it that is not in the state file was placed
by kalshi elsewhere."""

_S = OrderStatus
_ON_THE_BOOK_OR_AFTER = frozenset({_S.RESTING, _S.FILLED, _S.CANCELED, _S.EXPIRED})
_AFTER = frozenset({_S.FILLED, _S.CANCELED, _S.EXPIRED})

ID_TAKEN = "order_already_exists"
"""The prefix of the code of an unconfirmed order whose id the exchange already had: an order with that id exists."""

TRANSITIONS: dict[OrderStatus, frozenset[OrderStatus]] = {
    _S.DENIED: frozenset(),
    _S.SUBMITTED: _ON_THE_BOOK_OR_AFTER | {_S.UNKNOWN, _S.REJECTED, _S.NEVER_ARRIVED},
    _S.UNKNOWN: _ON_THE_BOOK_OR_AFTER | {_S.REJECTED, _S.NEVER_ARRIVED},
    _S.RESTING: _AFTER,
    # An order that counted as lost or rejected can turn out to exist. Hiding it would hide exposure.
    _S.REJECTED: _ON_THE_BOOK_OR_AFTER | {_S.UNKNOWN},
    _S.NEVER_ARRIVED: _ON_THE_BOOK_OR_AFTER | {_S.UNKNOWN},
    _S.FILLED: frozenset(),
    _S.CANCELED: frozenset(),
    _S.EXPIRED: frozenset(),
}


class OrderRegistry:
    """Orders by client order id and by exchange id. `apply` merges a message and returns the changed order or None."""

    def __init__(self) -> None:
        self._by_client_id: dict[str, Tracked] = {}
        self._by_order_id: dict[str, Tracked] = {}
        self._live: dict[str, dict[Tracked, None]] = {}
        self._ended: deque[Tracked] = deque()
        self._held: dict[tuple[str, str], Fill] = {}
        self._untold: dict[Tracked, None] = {}
        self.moved: set[str] = set()
        """Markets with a changed order since `Exposures` last emptied this set."""
        self.repaired: list[tuple[Order, Order]] = []
        """Our orders, before and after, that gained or lost an exchange id because of a report about another order,
        since the engine last emptied this list."""
        self._on: dict[type[Message], Callable[[Any], Order | None]] = {
            messages.OrderAccepted: self._on_accepted,
            messages.OrderRejected: lambda said: self._end_unseen(said, OrderStatus.REJECTED, said.code),
            messages.OrderUnknown: self._on_unknown,
            messages.OrderNeverArrived: lambda said: self._end_unseen(said, OrderStatus.NEVER_ARRIVED),
            messages.OrderRepaired: self._on_repaired,
            messages.OrderState: lambda said: self.adopt(said.order),
            messages.OrderCanceled: self._on_canceled,
            messages.AmendEnded: self._on_amend_ended,
            messages.Filled: self._on_filled,
        }

    def get(self, client_order_id: str) -> Order | None:
        """Return the order with this client order id."""
        tracked = self._by_client_id.get(client_order_id)
        return tracked.order if tracked else None

    def by_order_id(self, order_id: str) -> Order | None:
        """Return the order with this exchange id."""
        tracked = self._by_order_id.get(order_id)
        return tracked.order if tracked else None

    def find(self, order_id: str, client_order_id: str) -> Order | None:
        """Return the order that both ids name; either may be empty."""
        tracked = self._find(order_id, client_order_id)
        return tracked.order if tracked else None

    def live(self, ticker: str | None = None) -> list[Order]:
        """Return live orders, oldest first within a market, including those of other programs."""
        if ticker is not None:
            return [tracked.order for tracked in self._live.get(ticker, ())]
        return [tracked.order for market in self._live.values() for tracked in market]

    @property
    def count_live(self) -> int:
        """Return the number of live orders."""
        return sum(len(market) for market in self._live.values())

    def untold(self, ticker: str | None = None) -> list[tuple[Order, Qty]]:
        """Return orders that traded more than their booked fills, each with the difference.

        A response arrives before its fills. The difference is in no position yet and is not live, so exposure must
        count it.
        """
        return [
            (tracked.order, Qty(tracked.untold)) for tracked in self._untold if ticker in (None, tracked.order.ticker)
        ]

    def looked_for(self) -> list[Order]:
        """Return the orders whose records an account read needs: live ones, and those with missing fills."""
        return [*self.live(), *(each.order for each in self._untold if not each.order.status.is_live)]

    def is_proven(self, order: Order) -> bool:
        """Return whether a record or a fill confirms the exchange id of an order. A response alone may be wrong."""
        tracked = self._by_order_id.get(order.order_id)
        return tracked is not None and tracked.is_proven

    def contradicts(self, record: Order) -> bool:
        """Return whether merging this record cannot bring the order to it."""
        return self._by_order_id[record.order_id].contradicts(record)

    def worst_case(self, ticker: str, subaccount: int = 0) -> tuple[Qty, Qty]:
        """Return the remaining quantity of a subaccount's live bids and of its live asks."""
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
        """Ignore a live order within this context, because the amend under review replaces it."""
        tracked = self._by_order_id[order_id]
        market = self._live[tracked.order.ticker]
        self._live[tracked.order.ticker] = {other: None for other in market if other is not tracked}
        self.moved.add(tracked.order.ticker)
        try:
            yield
        finally:
            self._live[tracked.order.ticker] = market
            self.moved.add(tracked.order.ticker)

    def mark_unconfirmed(self, doubtful: Order, wanted: Order | None = None) -> None:
        """Count an order as the worse of both terms, because its amend is about to be sent.

        Only this makes a resting order UNKNOWN. `AmendEnded`, a report with the `wanted` terms, or the end of the order
        ends this state.
        """
        tracked = self._by_order_id[doubtful.order_id]
        tracked.order, tracked.wanted = doubtful, wanted
        self.moved.add(doubtful.ticker)

    def add(self, order: Order) -> Order:
        """Add one of our orders before it is sent, or one from the store; its fills must then be applied as well.

        It replaces an order with its id that was never sent.
        Raises ValueError if it is already known. Two stored orders with one exchange id are the result of wrong
        responses: the second becomes unconfirmed.
        """
        if (known := self.get(order.client_order_id)) is not None and was_never_sent(known):
            del self._by_client_id[order.client_order_id]
        is_id_of_two = order.order_id in self._by_order_id
        if order.client_order_id in self._by_client_id or (is_id_of_two and not order.client_order_id):
            raise ValueError(f"order {order.client_order_id or order.order_id} is already known")
        if is_id_of_two:
            order = msgspec.structs.replace(order, order_id="", status=OrderStatus.UNKNOWN)
        return self._insert(order)

    def take_back(self, client_order_id: str) -> None:
        """Remove one of our orders that was added but never sent."""
        tracked = self._by_client_id.pop(client_order_id)
        del self._live[tracked.order.ticker][tracked]
        self.moved.add(tracked.order.ticker)

    def is_new(self, filed: Order) -> bool:
        """Return whether an own order of the state file is unknown here.

        It may replace one with its id that was never sent.
        """
        known = self.get(filed.client_order_id)
        is_free = known is None or (was_never_sent(known) and not was_never_sent(filed))
        return is_free and self.by_order_id(filed.order_id) is None

    def merge(self, filed: Order) -> bool:
        """Merge an order that another of our programs placed or amended, from the state file; return whether it is new.

        An outdated file never undoes a change, and an unanswered amend makes the order the worse of both terms.
        """
        if not filed.is_foreign and self.is_new(filed):
            self.add(filed)
            return True
        if filed.order_id:
            self.adopt(filed)
            known = self.by_order_id(filed.order_id)
            if is_amend_open(filed) and known is not None and known.status.is_live:
                self.mark_unconfirmed(worse_case_terms(known, filed, filed.updated))
        return False

    def adopt(self, stated: Order) -> Order | None:
        """Merge an order as the exchange reports it; an order that we did not place is added as foreign.

        A second order with one of our ids (a request delivered twice) is added as foreign too, because its exposure is
        real. Price, size and expiration come only from the newest report; fills and the end of an order count from any
        report. The exchange id belongs to the order that the newest report names: if one of two reports is wrong, the
        next one corrects it.
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
            found = msgspec.structs.replace(stated, is_foreign=True, strategy=strategy)
            is_copy = twin is not None and twin.order_id != "" and not twin.is_foreign
            return self._insert(found, stated.updated, is_copy=is_copy)
        if (stated.ticker, stated.side) != (tracked.order.ticker, tracked.order.side):
            return None
        known = tracked.order
        if is_amend_open(known) and stated.status.is_live:
            if tracked.wanted is not None and has_terms(stated, tracked.wanted):
                return self._on_amend_ended(messages.AmendEnded(stated.updated, stated))
            # The read may be from before or after the amend.
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
        """Merge a message; return None if it changed nothing (a failed cancel, a duplicate, another type)."""
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
        else:  # the rest was canceled at once; `remaining` of an unfilled IOC order is unreliable (2026-10)
            status = OrderStatus.CANCELED
        if order.order_id not in ("", message.order_id):  # a second order is added from its own report
            return None
        if self._by_order_id.get(message.order_id, tracked) is not tracked:
            reason = "the reply names another order"
            return self._merge(tracked, message.ts, OrderStatus.UNKNOWN, Qty(0), {"code": reason})
        return self._merge(tracked, message.ts, status, message.filled, {"order_id": message.order_id})

    def _end_unseen(
        self, message: messages.OrderRejected | messages.OrderNeverArrived, status: OrderStatus, code: str = ""
    ) -> Order | None:
        """End an order that is not on the exchange, unless the exchange has assigned it an id."""
        tracked = self._by_client_id.get(message.client_order_id)
        if tracked is None or tracked.order.order_id or status not in TRANSITIONS[tracked.order.status]:
            return None
        return self._merge(tracked, message.ts, status, Qty(0), {"code": code})

    def _on_repaired(self, message: messages.OrderRepaired) -> Order | None:
        """Replace an order by the exchange's record, or make it unconfirmed.

        A second order that was met under the record's id is this one.
        """
        tracked, record = self._by_client_id.get(message.known.client_order_id), message.record
        if tracked is None or self._by_order_id.get(message.known.order_id) is not tracked:
            return None
        met = self._by_order_id.get(record.order_id) if record is not None else None
        if met is not None and met is not tracked:
            is_named = record is not None and record.client_order_id == message.known.client_order_id
            if not (met.order.is_foreign or is_named):
                return None
            self._take_id(met)  # responses may swap the ids of two orders
        self._restart(tracked)
        if record is None:
            return self._merge(tracked, message.ts, OrderStatus.UNKNOWN, Qty(0), {"code": "not_on_the_exchange"})
        return self.adopt(msgspec.structs.replace(record, client_order_id=tracked.order.client_order_id))

    def _on_unknown(self, message: messages.OrderUnknown) -> Order | None:
        tracked = self._by_client_id.get(message.client_order_id)
        if tracked is None or tracked.order.status is not OrderStatus.SUBMITTED:
            return None
        return self._merge(tracked, message.ts, OrderStatus.UNKNOWN, Qty(0), {"code": message.reason})

    def _on_canceled(self, message: messages.OrderCanceled) -> Order | None:
        tracked = self._find(message.order_id, message.client_order_id)
        if tracked is None or OrderStatus.CANCELED not in TRANSITIONS[tracked.order.status]:
            return None
        if message.reduced is not None and message.reduced < tracked.order.remaining:
            return None  # it traded before that, and the report is still missing: the order counts in full until then
        changes = {"order_id": message.order_id or tracked.order.order_id, "code": message.reason}
        return self._merge(tracked, message.ts, OrderStatus.CANCELED, Qty(0), changes)

    def _on_amend_ended(self, message: messages.AmendEnded) -> Order | None:
        tracked = self._by_order_id.get(message.order.order_id)
        if tracked is None or not is_amend_open(tracked.order):
            return None
        tracked.order = msgspec.structs.replace(tracked.order, code="")
        after = message.order
        tracked.stated = after.updated  # a read from before the amend must not undo it
        rest = {"price": after.price, "qty": after.qty, "reduced": after.reduced, "expires": after.expires}
        for name in ("fair", "best"):  # reports of the exchange have neither
            if (value := getattr(after, name)) is not None:
                rest[name] = value
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
        # A fill proves that the order exists, but not that it is live: a lost order becomes UNKNOWN again.
        known = tracked.order.status
        status = known if known is OrderStatus.SUBMITTED else OrderStatus.UNKNOWN
        return self._merge(tracked, fill.ts, status, Qty(0), {"order_id": fill.order_id or tracked.order.order_id})

    def _find(self, order_id: str, client_order_id: str) -> Tracked | None:
        """Return the order that both ids name, or None if they name two: then the report proves nothing."""
        tracked = self._by_order_id.get(order_id)
        if tracked is not None:
            return tracked if tracked.order.client_order_id in ("", client_order_id) or not client_order_id else None
        tracked = self._by_client_id.get(client_order_id)
        if tracked is not None and order_id and tracked.order.order_id not in ("", order_id):
            return None
        return tracked

    def _unacknowledged(self, stated: Order) -> Tracked | None:
        """Return our own order that this report is the first to name."""
        tracked = self._by_client_id.get(stated.client_order_id)
        if tracked is None or tracked.order.order_id:
            return None
        same = (stated.ticker, stated.side) == (tracked.order.ticker, tracked.order.side)
        return tracked if same else None

    def _hold(self, fill: Fill) -> None:
        """Keep a fill until its order is known."""
        self._held.setdefault(fill.key, fill)
        if len(self._held) > MAX_HELD_FILLS:
            del self._held[next(iter(self._held))]

    def _insert(self, order: Order, stated: Ts | None = None, *, is_copy: bool = False) -> Order:
        tracked = Tracked(order)
        tracked.stated = stated
        if is_copy:  # of our own request: what it traded before it was first seen is as recent, and will be booked
            tracked.before = Qty(0)
        if order.client_order_id:
            self._by_client_id.setdefault(order.client_order_id, tracked)
        self._place(tracked)
        self._merge(tracked, order.updated, order.status, order.filled, {})
        return tracked.order

    def _merge(
        self, tracked: Tracked, ts: Ts, status: OrderStatus, filled: Qty, changes: dict[str, Any]
    ) -> Order | None:
        """Merge changes into an order. Return it if anything but its update time changed."""
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
        elif filled > known.filled and "fill_cost" not in changes:  # a reply has counts alone: the cost is of fewer
            order = msgspec.structs.replace(order, fill_cost=Money(0))
        tracked.order = order
        if tracked.untold > 0:
            self._untold[tracked] = None
        else:
            self._untold.pop(tracked, None)
        if order.status.is_live is not known.status.is_live:
            self._place(tracked)
        return order if order != msgspec.structs.replace(known, updated=order.updated) else None

    def _restart(self, tracked: Tracked) -> None:
        """Undo what a response said of an order.

        It becomes unconfirmed and counts in full, and its fills are matched again.
        """
        was_live = tracked.order.status.is_live
        del self._by_order_id[tracked.order.order_id]
        for fill in tracked.restart():
            self._hold(fill)
        self._untold.pop(tracked, None)
        self.moved.add(tracked.order.ticker)
        if not was_live:
            self._place(tracked)

    def _take_id(self, tracked: Tracked) -> None:
        """Release the exchange id of an order for another one.

        One of our orders becomes unconfirmed; a foreign one is removed, and its fills wait for their order.
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
        """Put an order among the live or the ended orders."""
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
        if tracked.order.status.is_live:  # it became live again
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
    """Return the exchange id and the client order id that a message names; empty if it names none."""
    about = getattr(message, "order", message)
    return getattr(about, "order_id", ""), about.client_order_id


def _is_of_another(ours: Order, stated: Order) -> bool:
    """Return whether a report gives the exchange id of one of our orders to an order with another client id."""
    names = (ours.client_order_id, stated.client_order_id)
    return not ours.is_foreign and all(names) and names[0] != names[1]


def is_as_sent(sent: Order, stated: Order) -> bool:
    """Return whether an order on the exchange has our terms. The exchange may cut a reduce-only order."""
    if (sent.ticker, sent.side, sent.price) != (stated.ticker, stated.side, stated.price):
        return False
    return stated.qty == sent.qty or (sent.reduce_only and stated.qty < sent.qty)


def is_id_taken(order: Order) -> bool:
    """Return whether the exchange said that this client order id exists; it may be another order's."""
    return not order.order_id and order.code.startswith((ID_TAKEN, DUPLICATE_ID))
