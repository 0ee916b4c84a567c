"""The kill switch: halt for good, cancel everything, and believe only a fresh list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fnmatch import fnmatchcase
from functools import partial

import msgspec

from kalshi_cli.clock import Clock
from kalshi_cli.core.messages import CancelFailed
from kalshi_cli.core.model import Order, OrderStatus
from kalshi_cli.errors import (
    CredentialsError,
    ExchangeError,
    KalshiError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    UnreachableError,
)
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.units import Ts

DEADLINE_S = 60.0
SETTLE_S = 0.25
"""Between two looks at how far the exchange's lists have come: they trail its matching (about 0.4 s, June 2026)."""

LOOKS = 40

BATCH = 100
"""Cancels between two looks at the time."""

GROUPS_S = 10.0
"""How long triggering order groups may hold up the cancel of everything: at ten a second, a hundred of them."""

SKEW_ERROR_MS = 600
"""How wrong the measured skew of our clock may be: the exchange's `Date` has whole seconds."""


class Scope(msgspec.Struct, frozen=True):
    """Which orders: all, or those of an event, or with a ticker like the pattern.

    A ticker does not tell its event: the exchange is asked for the orders of one.
    """

    event: str = ""
    ticker: str = ""

    @property
    def is_everything(self) -> bool:
        return not self.event and not self.ticker

    def holds(self, order: Order) -> bool:
        """Whether an order of that event, where one is named, has such a ticker."""
        return not self.ticker or fnmatchcase(order.ticker, self.ticker)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a list still shows, and whether that list is proof: read complete, and newer than the last cancel."""

    canceled: int
    remaining_orders: tuple[Order, ...]
    is_verified: bool
    seconds: float

    @property
    def remaining(self) -> int:
        return len(self.remaining_orders)

    @property
    def is_clean(self) -> bool:
        """Nothing rests, and that is proven: the only success."""
        return self.is_verified and not self.remaining_orders


def cancel_everything(
    client: KalshiClient,
    clock: Clock,
    scope: Scope,
    tell: Callable[[str], None],
    deadline_s: float = DEADLINE_S,
    on_the_way: Callable[[], list[str]] = list,
    *,
    with_groups: bool = False,
) -> Outcome:
    """Cancel all resting orders in scope, until a list newer than the last cancel shows none, or the deadline.

    Orders that other programs placed are included: this is the account's kill switch. It cancels whatever the first
    list says, because lists trail behind what rests: that one is for the count. An order that cannot be cancelled holds
    up no other and is tried again each round. `on_the_way` names orders of ours that may still arrive: while there are
    any, an empty list is no proof. UnreachableError if to the end nothing at all got through.

    `with_groups` triggers the account's order groups before all else: no program can place in them then.
    """
    started = clock.monotonic()
    until = started + deadline_s
    known: dict[str, Order] = {}
    resting: dict[str, Order] | None = None
    travelling: list[str] = []
    failure: KalshiError | None = None
    is_answered = _try(lambda: known.update(_resting(client, scope)), tell)
    if known:
        tell(f"{len(known)} resting")
    if with_groups:
        _trigger_groups(client, clock, known, min(until, clock.monotonic() + GROUPS_S), tell)
    while clock.monotonic() < until:
        asked = clock.now()
        if scope.is_everything:
            is_answered |= _try(client.cancel_all, tell)
        try:
            resting = _fresh_list(client, clock, scope, asked)
        except CredentialsError:
            raise
        except KalshiError as error:
            failure = error
            tell(f"{error.message}; trying again")
            clock.sleep(SETTLE_S)
            continue
        is_answered = True
        if resting is None:
            tell("the exchange's lists trail behind; trying again")
            continue
        travelling = on_the_way()
        if not resting and not travelling:
            break
        known.update(resting)
        tell(f"{len(resting)} still resting, {len(travelling)} of our own may be on the way")
        _sweep(client, clock, resting, until, tell)
    if not is_answered and isinstance(failure, UnreachableError):
        raise failure
    left = tuple((known if resting is None else resting).values())
    return Outcome(
        canceled=len(known) - len(left),
        remaining_orders=left,
        is_verified=resting is not None and not travelling,
        seconds=round(clock.monotonic() - started, 3),
    )


def _sweep(
    client: KalshiClient, clock: Clock, resting: dict[str, Order], until: float, tell: Callable[[str], None]
) -> None:
    """Cancel what is left, in batches, and one by one what a batch did not; at the pace of this account."""
    if not resting:
        clock.sleep(SETTLE_S)
        return
    _try(client.refresh_limits, tell)
    orders = list(resting.values())
    for at in range(0, len(orders), BATCH):
        if clock.monotonic() < until:
            for failed in client.cancel_orders(orders[at : at + BATCH]):
                if isinstance(failed, CancelFailed) and failed.code != "not_found" and clock.monotonic() < until:
                    _try(partial(client.cancel_order, resting[failed.order_id]), tell)


def _trigger_groups(
    client: KalshiClient, clock: Clock, resting: dict[str, Order], until: float, tell: Callable[[str], None]
) -> None:
    """Those with resting orders first. What goes wrong here is told and holds up nothing: the cancels follow.

    The list does not say whose subaccount a group is; an order in it does.
    """
    groups = {
        order.order_group_id: OrderGroup(
            group_id=order.order_group_id, exchange_index=order.exchange_index, subaccount=order.subaccount
        )
        for order in resting.values()
        if order.order_group_id
    }
    listed: list[OrderGroup] = []
    _try(lambda: listed.extend(client.order_groups()), tell)
    for group in listed:
        groups.setdefault(group.group_id, group)
    asked = 0
    for group in groups.values():
        if clock.monotonic() >= until:
            tell(f"{len(groups) - asked} order groups were not triggered, for want of time")
            break
        _try(partial(client.trigger_order_group, group), tell)
        asked += 1
    if asked:
        tell(f"{asked} order groups triggered; before using one again: kalshi order group reset ID")


def _try(call: Callable[[], object], tell: Callable[[str], None]) -> bool:
    """One call; whether it was answered well. A failure holds up nothing: the next list decides."""
    try:
        call()
    except CredentialsError:
        raise
    except NotFoundError:
        return True  # filled, canceled, or not visible yet: proves nothing
    except KalshiError as error:
        tell(error.message)
        return False
    return True


def _fresh_list(client: KalshiClient, clock: Clock, scope: Scope, asked: Ts) -> dict[str, Order] | None:
    """What rests, once the exchange says that its reads hold everything up to `asked`; None if it takes too long."""
    return _resting(client, scope) if has_caught_up(client, clock, asked) else None


def has_caught_up(client: KalshiClient, clock: Clock, asked: Ts) -> bool:
    """Wait until the exchange says that its reads hold everything up to `asked`; False if it takes too long."""
    for _ in range(LOOKS):
        needed = asked - (client.clock_skew_ms or 0) + SKEW_ERROR_MS
        if client.user_data_timestamp() >= needed:
            return True
        clock.sleep(SETTLE_S)
    return False


def _resting(client: KalshiClient, scope: Scope) -> dict[str, Order]:
    listed = client.orders(status="resting", event=scope.event or None)
    return {order.order_id: order for order in listed if scope.holds(order)}


def on_the_way(live: Iterable[Order], now: Ts, timeout_s: float) -> list[str]:
    """Our own orders that may still be travelling: sent within a call's timeout, and not answered yet."""
    young = now - int(1000 * (timeout_s + 1))
    return [order.client_order_id for order in live if not order.order_id and order.created > young]


class Canceled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one cancel: how much was taken back, or why not."""

    order_id: str
    canceled: bool
    detail: str = ""
    is_missing: bool = False
    is_unknown: bool = False
    is_unreached: bool = False


def cancel_orders(client: KalshiClient, order_ids: list[str]) -> list[Canceled]:
    """Cancel these by id, one after the other. An id that is not live is reported, not hidden."""
    return [_cancel_one(client, order_id) for order_id in order_ids]


def _cancel_one(client: KalshiClient, order_id: str) -> Canceled:
    try:
        order = client.order(order_id)
        try:
            client.cancel_order(order)
        except NotFoundError:
            # Proves nothing: the first attempt may have canceled it, and only its answer was lost.
            if not order.status.is_live or client.order(order_id).status is not OrderStatus.CANCELED:
                raise
    except CredentialsError:
        raise
    except NotFoundError as error:
        return Canceled(order_id=order_id, canceled=False, detail=error.message, is_missing=True)
    except OutcomeUnknownError as error:
        return Canceled(order_id=order_id, canceled=False, detail=error.message, is_unknown=True)
    except (RateLimitedError, UnreachableError) as error:
        return Canceled(order_id=order_id, canceled=False, detail=error.message, is_unreached=True)
    except ExchangeError as error:
        return Canceled(order_id=order_id, canceled=False, detail=error.message)
    return Canceled(order_id=order_id, canceled=True)
