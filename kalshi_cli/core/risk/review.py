"""The review of orders, amends and closes by the risk controls; the first objection decides.

Only `review` creates a SubmitOrder, only `review_amend` an AmendOrder and only `review_close` a CloseOrder, so nothing
reaches a venue without a review. While trading is halted, only a CloseOrder passes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from kalshi_cli.base.units import Price, Qty, Ts, show_qty
from kalshi_cli.core.account.open_amends import worse_case_terms
from kalshi_cli.core.model.effects import AmendOrder, CloseOrder, OrderRefused, SubmitOrder
from kalshi_cli.core.model.intents import Amend, Close, Place
from kalshi_cli.core.model.order_terms import Side, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.core.risk.controls import AMEND_LOWERS, BEFORE_CLOSES, CONTROLS, OF_PEOPLE
from kalshi_cli.core.risk.exposure_controls import Control, is_reducing
from kalshi_cli.core.state.limits import RiskLimits
from kalshi_cli.core.state.order_rate import AN_AMEND_IN_PLACE, AN_ORDER, SentOrder
from kalshi_cli.core.state.state import EngineState


def review(
    state: EngineState,
    limits: RiskLimits,
    intent: Place,
    *,
    client_order_id: str,
    strategy: str,
    expiry_s: float | None,
) -> SubmitOrder | OrderRefused:
    """Check an intent against every control.

    `strategy` is empty for an order of the user: it needs no fair value, and no account visibility, because every
    command reads the account itself. `expiry_s` is the life of an order whose intent names none; None leaves it good
    till canceled.
    """
    if state.home and intent.subaccount == 0:
        intent = msgspec.structs.replace(intent, subaccount=state.home)
    if strategy:
        intent = _in_group(state, intent)
    denied = _objection(state, limits, intent, CONTROLS if strategy else OF_PEOPLE, strategy)
    if denied is not None:
        return denied
    life = expiry_s if intent.expires_in_s is None else (intent.expires_in_s or None)
    expires = Ts(state.now + int(life * 1000)) if life is not None and intent.tif is TimeInForce.GTC else None
    order = _order(state, intent, client_order_id, strategy, expires)
    denied = _needs_refused(state, limits, order, intent.needs)
    return denied or SubmitOrder(order, state.trading, state.locks.get(intent.ticker, Ts(0)), intent)


def _needs_refused(state: EngineState, limits: RiskLimits, first: Order, needs: Sequence[Place]) -> OrderRefused | None:
    """Return an objection to a needed follow-up order, each reviewed with all earlier ones live; undo everything.

    An incomplete basket would have to be sold at a loss each time.
    """
    order, tried = first, list[Order]()
    try:
        for count, intent in enumerate(needs, 1):
            state.orders.add(order)
            tried.append(order)
            state.count_sent(SentOrder(state.now, order.ticker, order.strategy, client_order_id=order.client_order_id))
            ours = f"{first.client_order_id}+{count}"
            verdict = review(state, limits, intent, client_order_id=ours, strategy=first.strategy, expiry_s=None)
            if isinstance(verdict, OrderRefused):
                return msgspec.structs.replace(verdict, detail=f"{verdict.detail}, needed by {first.ticker}")
            order = verdict.order
    finally:
        for order in tried:
            state.take_back(order)
    return None


def _in_group(state: EngineState, intent: Place) -> Place:
    """Return the intent with the run's order group of its shard, unless it names a group.

    A group belongs to the default subaccount.
    """
    market = state.markets.get(intent.ticker)
    if market is None or intent.order_group_id or market.exchange_index not in state.groups:
        return intent
    if intent.subaccount != state.home or intent.reduce_only:  # a triggered group must not block a close
        return intent
    return msgspec.structs.replace(intent, order_group_id=state.groups[market.exchange_index])


def review_close(
    state: EngineState, limits: RiskLimits, intent: Close, *, client_order_id: str
) -> CloseOrder | OrderRefused:
    """Check a close by the user against the controls. A halt does not stop it, so it must only be able to close.

    It is reduce-only and immediate or cancel, on the reducing side, and together with our live orders on that side no
    larger than the position. Limits of size, rate and exposure do not apply.
    """
    order = Place(
        intent.ticker,
        intent.side,
        intent.price,
        intent.qty,
        reason="close",
        tif=TimeInForce.IOC,
        reduce_only=True,
        subaccount=intent.subaccount,
        outcome=intent.outcome,
    )
    denied = _objection(state, limits, order, BEFORE_CLOSES, "") or _more_than_held(state, intent)
    return denied or CloseOrder(_order(state, order, client_order_id))


def _more_than_held(state: EngineState, intent: Close) -> OrderRefused | None:
    """Refuse a close that could flip the position if all our live orders on the closing side fill first."""
    live = [order for order in state.orders.live(intent.ticker) if order.side is intent.side]
    pending = sum(order.remaining for order in live if order.subaccount == intent.subaccount)
    if pending + intent.qty <= abs(intent.held):
        return None
    held, count, others = map(show_qty, (Qty(abs(intent.held)), intent.qty, Qty(pending)))
    text = f"closing {count}" + (f" plus {others} in open orders" if pending else "")
    return OrderRefused(state.now, "", intent.ticker, "NOT_CLOSING", f"{text} exceeds the position of {held}")


def _order(
    state: EngineState, intent: Place, client_order_id: str, strategy: str = "", expires: Ts | None = None
) -> Order:
    """Return a new order on the shard of its market."""
    return Order(
        client_order_id=client_order_id,
        ticker=intent.ticker,
        side=intent.side,
        price=intent.price,
        qty=intent.qty,
        status=OrderStatus.SUBMITTED,
        created=state.now,
        updated=state.now,
        tif=intent.tif,
        post_only=intent.post_only,
        reduce_only=intent.reduce_only,
        expires=expires,
        exchange_index=state.markets[intent.ticker].exchange_index,
        strategy=strategy,
        fair=intent.fair,
        reason=intent.reason,
        order_group_id=intent.order_group_id,
        subaccount=intent.subaccount,
        self_trade_prevention=intent.self_trade_prevention,
        cancel_on_pause=intent.cancel_on_pause,
        outcome=intent.outcome,
        best=_best(state, intent.ticker, intent.side),
    )


def _best(state: EngineState, ticker: str, side: Side) -> Price | None:
    """Return the best price that an order of this side could take now; None without a usable order book."""
    book = state.books.get(ticker)
    if book is None or not book.is_usable:
        return None
    return book.best_ask if side is Side.BID else book.best_bid


def review_amend(
    state: EngineState, limits: RiskLimits, intent: Amend, *, strategy: str = "", is_going: bool = False
) -> AmendOrder | OrderRefused:
    """Check an amend against the controls, as if an order with the new terms replaced the old one.

    An amend that makes the order smaller or its price less aggressive passes every limit; it needs only a valid price
    and an account that is not halted. The order must be resting. A strategy may amend only its own orders, and a later
    expiration is checked against everything. `is_going` means that a cancel was sent.
    """
    before = state.orders.by_order_id(intent.order_id)
    if before is not None and strategy and before.strategy != strategy:
        before = None
    if before is None or before.status is not OrderStatus.RESTING or is_going:
        known = "not accepted yet, or unknown" if before is None else "canceling" if is_going else before.status.value
        if before is not None and before.status is OrderStatus.UNKNOWN:
            known = "waiting for the response to an earlier request (status unknown)"
        ticker = before.ticker if before is not None else ""
        return OrderRefused(state.now, strategy, ticker, "NOT_RESTING", f"the order is {known}")
    fair = before.fair if intent.fair is None else intent.fair
    order = Place(
        before.ticker,
        before.side,
        intent.price,
        intent.qty,
        fair=fair,
        reason="amend",
        post_only=before.post_only,
        subaccount=before.subaccount,
    )
    controls = AMEND_LOWERS
    if is_raise(before, intent) or (strategy and _lasts_longer(before, intent)):
        controls = CONTROLS if strategy else OF_PEOPLE
    with state.orders.without(before.order_id):
        denied = _objection(state, limits, order, controls, strategy)
    wrong = _wrong_amend(before, intent) if strategy else ""
    if denied is None and wrong:
        denied = OrderRefused(state.now, strategy, before.ticker, "BAD_INTENT", wrong)
    if denied is not None:
        return denied
    wanted = msgspec.structs.replace(
        before,
        price=intent.price,
        qty=Qty(before.filled + intent.qty),
        reduced=Qty(0),
        expires=before.expires if intent.expires is None else intent.expires or None,
        fair=fair,
        best=_best(state, before.ticker, before.side) or before.best,
    )
    knew_lock = state.locks.get(before.ticker, Ts(0))
    return AmendOrder(before, wanted, worse_case_terms(before, wanted, state.now), state.trading, knew_lock)


def is_raise(before: Order, intent: Amend) -> bool:
    """Return whether an amend makes the order larger or its price more aggressive."""
    return intent.qty > before.remaining or (intent.price - before.price) * before.side.sign > 0


def _lasts_longer(before: Order, intent: Amend) -> bool:
    """Return whether an amend makes the order expire later."""
    return intent.expires is not None and before.expires is not None and not 0 < intent.expires <= before.expires


def counted(state: EngineState, verdict: SubmitOrder | CloseOrder | AmendOrder) -> SentOrder:
    """Return the weight of a reviewed order or amend in the order rate.

    A smaller size or another expiration keeps the queue position (2026-10) and counts as a tenth of an order.
    """
    if not isinstance(verdict, AmendOrder):
        order = verdict.order
        is_exempt, name = _passes_rate(state, order), order.client_order_id
        return SentOrder(state.now, order.ticker, order.strategy, AN_ORDER, is_exempt, name)
    before, wanted = verdict.before, verdict.wanted
    is_in_place = wanted.price == before.price and wanted.remaining <= before.remaining
    asked = Amend(before.order_id, wanted.price, wanted.remaining, expires=wanted.expires or Ts(0))
    is_lower = not is_raise(before, asked) and not _lasts_longer(before, asked)
    with state.orders.without(before.order_id):
        is_exempt = is_lower or _passes_rate(state, wanted)
    tenths = AN_AMEND_IN_PLACE if is_in_place else AN_ORDER
    return SentOrder(state.now, before.ticker, before.strategy, tenths, is_exempt)


def _passes_rate(state: EngineState, order: Order) -> bool:
    """Return whether the order only closes and is therefore exempt from the order rate."""
    intent = Place(
        order.ticker,
        order.side,
        order.price,
        order.remaining,
        reduce_only=order.reduce_only,
        subaccount=order.subaccount,
    )
    return is_reducing(state, intent, order.strategy)


def _wrong_amend(before: Order, intent: Amend) -> str:
    """Return an error in a strategy's amend, empty without one. An amend that changes nothing is an error."""
    if intent.expires is not None and type(intent.expires) is not int:
        return f"invalid expiration: {intent.expires!r:.60}"
    is_same_life = intent.expires is None or (intent.expires or None) == before.expires
    is_same = (intent.price, intent.qty) == (before.price, before.remaining) and is_same_life
    return "the order already has these terms" if is_same else ""


def _objection(
    state: EngineState, limits: RiskLimits, intent: Place, controls: tuple[Control, ...], strategy: str
) -> OrderRefused | None:
    asked = (control(state, limits, intent, strategy) for control in controls)
    objection = next((each for each in asked if each is not None), None)
    return OrderRefused(state.now, strategy, intent.ticker, *objection) if objection is not None else None


def adding(state: EngineState) -> list[Order]:
    """Return the live orders of strategies that could add to a position, whichever orders fill.

    The oldest closing orders stay: up to their strategy's position, and together up to the account's position less the
    closing orders of the user and other programs.
    """
    found: list[Order] = []
    room: dict[tuple[str, str, int], int] = {}
    for order in state.orders.live():
        ticker, subaccount, sign = order.ticker, order.subaccount, order.side.sign
        account, own = ("", ticker, subaccount), (order.strategy, ticker, subaccount)
        held = state.held(ticker, subaccount)
        if account not in room:
            others = (o for o in state.orders.live(ticker) if not o.strategy and o.subaccount == subaccount)
            room[account] = abs(held) - sum(other.remaining for other in others if other.side.sign * held < 0)
        if not order.strategy:
            continue
        owned = state.owned(ticker, order.strategy, subaccount)
        room.setdefault(own, abs(owned))
        if max(sign * held, sign * owned) < 0 and order.remaining <= min(room[account], room[own]):
            room[account] -= order.remaining
            room[own] -= order.remaining
        else:
            found.append(order)
    return found
