"""Amend a resting order (reviewed and saved like a new order) or decrease it (which frees risk)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import msgspec

from kalshi_cli.base import errors
from kalshi_cli.base.checked import check_fields
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.units import ONE_CONTRACT, Money, Price, Qty, Ts, show_price, show_qty
from kalshi_cli.core.account.open_amends import has_terms, is_amend_open
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.market.order_book import FillEstimate
from kalshi_cli.core.model.effects import AmendOrder, OrderRefused
from kalshi_cli.core.model.intents import Amend
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import AmendEnded, Message, OrderState
from kalshi_cli.core.model.order_terms import BID, outcome_price
from kalshi_cli.core.model.orders import Order
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.services.orders import order_effect
from kalshi_cli.services.orders.place import RESOLVE_S, TRIES, OrderEntry, check_grid
from kalshi_cli.services.runner import perform_effects, process_messages
from kalshi_cli.services.trading.refusals import halted, refusal, rejection, sent_but_not_saved
from kalshi_cli.store.records import ConcurrentChangeError
from kalshi_cli.views.row import Outcome, own_price

_S = 1000


class AmendRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The changes of a resting order; None keeps the current value.

    Attributes:
        outcome: The outcome that `price` refers to, "yes" or "no".
        price: The new limit price, such as `cents(47)` of `kalshi_cli.units`.
        qty: The contracts left to trade after the change, such as `contracts(10)`.
        expires_in_s: Seconds until the exchange cancels the order; 0 removes the expiration.
    """

    outcome: Literal["yes", "no"] = "yes"
    price: int | None = None
    qty: int | None = None
    expires_in_s: float | None = None

    def __post_init__(self) -> None:
        """Raise UsageError for a value of another type, or an unknown outcome."""
        check_fields(self)


class AmendProposal(msgspec.Struct, frozen=True, kw_only=True):
    """A reviewed amend, with the highest cost and fee of the order after it."""

    market: Market
    amend: AmendOrder
    change: AmendRequest
    cost: Money
    fee: Money
    effect: order_effect.OrderEffect
    now: FillEstimate | None
    created: Ts

    def as_listed(self, order: Order) -> Order:
        """Return an order with the time that the exchange states; the state file keeps the time before the send."""
        return msgspec.structs.replace(order, created=self.created)

    @property
    def side(self) -> Outcome:
        """Return the side in whose words the reply speaks: that of a new price, else as typed with the order."""
        typed = self.amend.before.outcome
        return typed if typed and self.change.price is None else self.change.outcome


def propose(entry: OrderEntry, order: Order, change: AmendRequest) -> tuple[TradingEngine, AmendProposal]:
    """Update the account and review the changed order against every control. Sends nothing.

    `order` must have just been read from the exchange. Raises RefusedError with the control's code.
    """
    if not order.status.is_live:
        raise _not_resting(order, "only a resting order can be amended")
    market = entry.client.market(order.ticker)
    engine = entry.engine([market])
    for effect in engine.step(OrderState(order.updated, order)):
        entry.store.record(effect)
    known = engine.state.orders.by_order_id(order.order_id) or order
    verdict = engine.amend(_intent(market, known, change, entry.clock.now()))
    if isinstance(verdict, OrderRefused):
        entry.store.record(verdict)
        raise refusal(verdict, entry.store.halt())
    cost, fee = order_effect.price_of(verdict.wanted, engine)
    closes, now = order_effect.effect_at(engine, verdict.wanted), order_effect.fills_now(verdict.wanted, engine)
    return engine, AmendProposal(
        market=market, amend=verdict, change=change, cost=cost, fee=fee, effect=closes, now=now, created=order.created
    )


def amend_facts(env: str, proposal: AmendProposal) -> tuple[str, ...]:
    """Return the order before and after the amend, the best prices, and what it then closes, costs and pays.

    The best price may be that of the order itself, which the line then says.
    """
    before, wanted, outcome = proposal.amend.before, proposal.amend.wanted, proposal.change.outcome
    was, will = _terms(before, outcome), _terms(wanted, outcome)
    market = proposal.market
    bid, ask = (market.yes_bid, market.yes_ask) if outcome == "yes" else (market.no_bid, market.no_ask)
    own, action = own_price(outcome, before.price), _action(before, outcome)
    with_own = " (with this order)"
    best_bid = f"best bid {show_price(bid)}{with_own if action == 'buy' and bid == own else ''}"
    best_ask = f"best ask {show_price(ask)}{with_own if action == 'sell' and ask == own else ''}"
    return (
        f"{env}: change the order on {before.ticker} from {was} to {will}",
        *([market.full_title] if market.full_title else []),
        f"{outcome.upper()}: {best_bid}, {best_ask}",
        *([order_effect.fill_phrase(wanted, proposal.now, outcome)] if proposal.now is not None else []),
        *(text[0].upper() + text[1:] for text in order_effect.effect_phrases(proposal.effect, proposal.fee)),
    )


def amend_warnings(proposal: AmendProposal, collar: int | None) -> tuple[str, ...]:
    """Warn of a position that the order opens or sells beside its words, and of a new price far behind the market."""
    wanted, outcome = proposal.amend.wanted, proposal.change.outcome
    warnings = order_effect.effect_warnings(wanted, _action(wanted, outcome), proposal.effect)
    if proposal.change.price is None:
        return warnings
    if wanted.post_only and proposal.now is not None and proposal.now.filled:
        return (*warnings, "This order is post-only and would fill now, so the exchange cancels it")
    return (*warnings, *order_effect.price_warnings(proposal.market, wanted, outcome, collar))


def _action(order: Order, outcome: Outcome) -> str:
    return "buy" if (order.side is BID) == (outcome == "yes") else "sell"


def _terms(order: Order, outcome: Outcome) -> str:
    """Return what is left of an order as a trade of this outcome: `buy 10 NO at $0.62`."""
    price = show_price(own_price(outcome, order.price))
    return f"{_action(order, outcome)} {show_qty(order.remaining)} {outcome.upper()} at {price}"


def _intent(market: Market, order: Order, change: AmendRequest, now: Ts) -> Amend:
    price, qty = order.price, order.remaining
    if change.price is not None:
        price = outcome_price(change.outcome, Price(change.price))
        check_grid(market, price, change.outcome)
    if change.qty is not None:
        qty = Qty(change.qty)
    expires = None
    if change.expires_in_s is not None:
        expires = Ts((now + int(change.expires_in_s * _S)) // _S * _S) if change.expires_in_s else Ts(0)
    is_same_expiry = expires is None or (expires or None) == order.expires
    if (price, qty) == (order.price, order.remaining) and is_same_expiry:
        raise errors.UsageError(
            f"Order {order.order_id} already has these terms: {show_qty(qty)} left at {show_price(price)}",
            hint="change --price, --count, --expires-in or --no-expiry",
            code="same_terms",
        )
    return Amend(order.order_id, price, qty, expires)


def send(entry: OrderEntry, engine: TradingEngine, proposal: AmendProposal) -> Order:
    """Save the amend, send it once, and return the order as it is then.

    OutcomeUnknownError where the outcome is unknown.
    """
    order_id = proposal.amend.before.order_id
    for last_try in (False,) * (TRIES - 1) + (True,):
        amend, venue = proposal.amend, entry.venue(engine)
        try:
            replies: list[Message] = list(perform_effects(amend, venue, entry.store))
            break
        except ConcurrentChangeError as error:
            if last_try:
                raise halted(error, entry.store.halt()) from error
            engine, proposal = propose(entry, entry.client.order(order_id), proposal.change)
        except errors.HaltedError as error:
            raise halted(error, entry.store.halt()) from error
    orders = engine.state.orders
    try:
        process_messages(replies, engine, venue, entry.store)
    except errors.StateFileError as error:
        raise sent_but_not_saved(f"the amend of order {order_id} was sent", error) from error
    refused = next((reply for reply in replies if isinstance(reply, AmendEnded) and reply.code), None)
    if refused is not None:
        raise rejection("Order not amended", amend.before, refused.code, refused.detail)
    order = orders.by_order_id(order_id) or amend.doubtful
    if is_amend_open(order):
        order = _resolve(entry, engine, amend)
    if not order.status.is_live and order.filled == amend.before.filled:
        raise _not_resting(order, "it was not amended", is_sent=True)
    return proposal.as_listed(order)


def _resolve(entry: OrderEntry, engine: TradingEngine, amend: AmendOrder) -> Order:
    """Read the order after an unanswered amend until it shows the new terms, is over, or RESOLVE_S has passed.

    The old terms prove nothing yet: the amend may still arrive. `kalshi order reconcile` resolves it later.
    """
    order_id = amend.before.order_id

    def is_known(order: Order) -> bool:
        return not order.status.is_live or has_terms(order, amend.wanted)

    stated = _look(entry.client, entry.clock, order_id, is_known, RESOLVE_S)
    if stated is None:
        raise errors.OutcomeUnknownError(
            f"No response to the amend of order {order_id}. The old or the new terms may be in effect",
            hint=f"run `kalshi order reconcile` (order id {order_id}); until then the worse of both counts",
        )
    process_messages([AmendEnded(stated.updated, stated)], engine, entry.venue(engine), entry.store)
    return engine.state.orders.by_order_id(order_id) or stated


def decrease(
    client: KalshiClient, clock: Clock, order: Order, *, by: Qty | None = None, to: Qty | None = None
) -> Order:
    """Decrease the remaining contracts, keep the place in the queue, and return the order. Give one of `by` and `to`.

    A decrease frees risk and cash whatever its outcome, so no limit applies and a halt does not stop it.
    """
    left = order.remaining - by if by is not None else to
    if not order.status.is_live:
        raise _not_resting(order, "no contracts are left")
    if to == order.remaining:
        raise errors.UsageError(
            f"Order {order.order_id} already has {_contracts(to)} left",
            hint="nothing is left to do", code="same_terms",
        )  # fmt: skip
    if left is None or not 0 < left < order.remaining:
        verb = "is" if order.remaining == ONE_CONTRACT else "are"
        raise errors.UsageError(
            f"{_contracts(order.remaining)} {verb} left on order {order.order_id}; "
            "a decrease must leave fewer, but more than zero",
            hint=f"to cancel it: `kalshi order cancel {order.order_id}`; to increase it: `kalshi order amend`",
        )
    try:
        return client.decrease_order(order, by=by, to=to)
    except (errors.CredentialsError, errors.RateLimitedError):
        raise
    except (errors.OutcomeUnknownError, errors.ExchangeError) as error:
        # A refused second attempt does not prove that the first was refused too.
        patience_s = RESOLVE_S if isinstance(error, errors.OutcomeUnknownError) else 0
        stated = _look(client, clock, order.order_id, lambda now: _is_less(now, order, by, to), patience_s)
        if stated is None:
            raise
        if not stated.status.is_live:
            raise _not_resting(stated, "no contracts are left", is_sent=True) from error
        return stated


def _not_resting(order: Order, so: str, *, is_sent: bool = False) -> errors.KalshiError:
    """Return the error of an order that is over: the request was refused here, or `is_sent` and the exchange's."""
    hint = f"kalshi order show {order.order_id}"
    if is_sent:
        return errors.ExchangeError(
            f"Order {order.order_id} is now {order.status.value}; {so}", hint=hint, code="not_resting"
        )
    return errors.RefusedError(f"Order {order.order_id} is {order.status.value}; {so}", hint=hint, code="NOT_RESTING")


def _contracts(qty: Qty) -> str:
    return f"{show_qty(qty)} contract{'' if qty == ONE_CONTRACT else 's'}"


def _is_less(now: Order, before: Order, by: Qty | None, to: Qty | None) -> bool:
    """Return whether the decrease happened or the order is over."""
    if not now.status.is_live:
        return True
    if by is None:
        return now.remaining <= (to or 0)
    # The exchange does not document whether a decrease changes the original size, so it is not compared.
    return now.filled + now.remaining <= before.filled + before.remaining - by


def _look(
    client: KalshiClient, clock: Clock, order_id: str, is_it: Callable[[Order], bool], patience_s: float
) -> Order | None:
    """Read the order until it meets the condition, at least once; return None after RESOLVE_S."""
    until = clock.monotonic() + patience_s
    while True:
        with suppress(errors.KalshiError):  # a failed read must not hide that the outcome is unknown
            stated = client.order(order_id)
            if is_it(stated):
                return stated
        if clock.monotonic() >= until:
            return None
        clock.sleep(min(1.0, until - clock.monotonic()))
