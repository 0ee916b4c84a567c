"""The kill switch: halt for good, cancel everything, and believe only a fresh list."""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatchcase

import msgspec

from kalshi_cli.clock import Clock
from kalshi_cli.core.model import Order
from kalshi_cli.errors import (
    CredentialsError,
    ExchangeError,
    KalshiError,
    NotFoundError,
    OutcomeUnknownError,
    UnreachableError,
)
from kalshi_cli.exchange.client import KalshiClient

DEADLINE_S = 60.0
SETTLE_S = 0.25
"""Between a cancel and the list that must show it gone: reads trail the matching engine (about 0.4 s, June 2026)."""


class Scope(msgspec.Struct, frozen=True):
    """Which orders: all, or those of an event, or with a ticker like the pattern."""

    event: str = ""
    ticker: str = ""

    @property
    def is_everything(self) -> bool:
        return not self.event and not self.ticker

    def holds(self, order: Order) -> bool:
        if self.ticker and not fnmatchcase(order.ticker, self.ticker):
            return False
        return not self.event or order.ticker.startswith(f"{self.event}-") or order.ticker == self.event


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What was there, and what a fresh list still shows. Zero remaining is the only success."""

    canceled: int
    remaining: int
    remaining_orders: tuple[Order, ...]
    seconds: float


def cancel_everything(
    client: KalshiClient, clock: Clock, scope: Scope, tell: Callable[[str], None], deadline_s: float = DEADLINE_S
) -> Outcome:
    """Cancel all resting orders in scope; loop until a list read after the last cancel shows none, or the deadline.

    Orders that other programs placed are included: this is the account's kill switch. An order that cannot be cancelled
    is tried again each round. Only the first list may raise; after that a failing call is told and tried again.
    """
    started = clock.monotonic()
    resting = _resting(client, scope)
    known = {order.order_id: order for order in resting}
    while resting and clock.monotonic() - started < deadline_s:
        tell(f"{len(resting)} resting")
        try:
            if scope.is_everything:
                client.cancel_all()
            else:
                _sweep(client, clock, resting, started + deadline_s)
            resting = _wait_until_fresh(client, clock, scope, resting)
        except CredentialsError:
            raise
        except KalshiError as error:
            tell(f"{error.message}; trying again")
            clock.sleep(SETTLE_S)
            continue
        if resting and scope.is_everything:
            try:
                _sweep(client, clock, resting, started + deadline_s)
                resting = _wait_until_fresh(client, clock, scope, resting)
            except KalshiError as error:
                tell(f"{error.message}; trying again")
        known.update({order.order_id: order for order in resting})
    return Outcome(
        canceled=len(known) - len(resting),
        remaining=len(resting),
        remaining_orders=tuple(resting),
        seconds=round(clock.monotonic() - started, 3),
    )


class Canceled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one cancel: how much was taken back, or why not."""

    order_id: str
    canceled: bool
    detail: str = ""
    is_missing: bool = False
    is_unknown: bool = False


def cancel_orders(client: KalshiClient, order_ids: list[str]) -> list[Canceled]:
    """Cancel these by id, one after the other. An id that is not live is reported, not hidden."""
    return [_cancel_one(client, order_id) for order_id in order_ids]


def _cancel_one(client: KalshiClient, order_id: str) -> Canceled:
    try:
        client.cancel_order(client.order(order_id))
    except CredentialsError:
        raise
    except NotFoundError as error:
        return Canceled(order_id=order_id, canceled=False, detail=error.message, is_missing=True)
    except OutcomeUnknownError as error:
        return Canceled(order_id=order_id, canceled=False, detail=error.message, is_unknown=True)
    except (ExchangeError, UnreachableError) as error:
        return Canceled(order_id=order_id, canceled=False, detail=error.message)
    return Canceled(order_id=order_id, canceled=True)


def _resting(client: KalshiClient, scope: Scope) -> list[Order]:
    return [order for order in client.orders(status="resting") if scope.holds(order)]


def _sweep(client: KalshiClient, clock: Clock, orders: list[Order], until: float) -> None:
    for order in orders:
        if clock.monotonic() >= until:
            return
        try:
            client.cancel_order(order)
        except NotFoundError:
            continue  # proves nothing; the fresh list decides


def _wait_until_fresh(client: KalshiClient, clock: Clock, scope: Scope, before: list[Order]) -> list[Order]:
    """The list, read once the exchange says that its reads include now; at most a few seconds later."""
    asked = clock.now()
    resting = before
    for _ in range(20):
        resting = _resting(client, scope)
        if client.user_data_timestamp() >= asked:
            return _resting(client, scope)
        clock.sleep(SETTLE_S)
    return resting
