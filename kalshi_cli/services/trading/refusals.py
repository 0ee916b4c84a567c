"""What a person is told when an order was not placed, or nobody knows: one error a cause, with the way out."""

from __future__ import annotations

from collections.abc import Callable

from kalshi_cli.base.errors import (
    CredentialsError,
    ExchangeError,
    HaltedError,
    KalshiError,
    OutcomeUnknownError,
    RateLimitedError,
    RefusedError,
    StateFileError,
    UnreachableError,
)
from kalshi_cli.core.account.order_index import DUPLICATE_ID
from kalshi_cli.core.model.effects import OrderRefused
from kalshi_cli.core.model.orders import Order
from kalshi_cli.exchange.wire.replies import error_hint, short_of_cash
from kalshi_cli.services.trading.halts import describe, resume_hint
from kalshi_cli.store.records import Halt
from kalshi_cli.store.state_store import OrderStore


def duplicate(client_order_id: str) -> RefusedError:
    """An id is used once."""
    return RefusedError(
        f"refused: there is an order with the id {client_order_id} already; nothing was placed",
        hint=f"kalshi order show {client_order_id}",
        code=DUPLICATE_ID,
    )


def id_conflict(order: Order) -> OutcomeUnknownError:
    """What is on the exchange under our id is not what we sent; the engine has halted trading."""
    return OutcomeUnknownError(
        f"the exchange has another order than the one sent under the client order id {order.client_order_id}; trading "
        "is halted",
        hint="look at `kalshi order list`; is another state file in use? Then: kalshi resume --reason TEXT",
        code="ID_CLASH",
    )


def refusal(denied: OrderRefused, halt: Halt) -> RefusedError:
    """A control said no. Where that is for the `halt` on file: since when, why, and what ends it."""
    if denied.code == halt.state.value.upper():
        return RefusedError(f"refused: {denied.code} {describe(halt)}", hint=resume_hint(halt), code=denied.code)
    return RefusedError(
        f"refused: {denied.code} {denied.detail}", hint=_HINTS.get(denied.code, "nothing was sent"), code=denied.code
    )


def halted(error: HaltedError, halt: Halt) -> RefusedError:
    """The `halt` on file, or what another program did, came between the review and the request: nothing was sent."""
    code = error.code.upper()
    if code == halt.state.value.upper():
        return RefusedError(f"nothing was sent: {describe(halt)}", hint=resume_hint(halt), code=code)
    return RefusedError(error.message, hint=_HINTS[code], code=code)


def translate_halt(store: OrderStore, write: Callable[[], None]) -> None:
    """A write that a halt stops; RefusedError where it did, and nothing was sent."""
    try:
        write()
    except HaltedError as error:
        raise halted(error, store.halt()) from error


def sent_but_not_saved(what: str, error: StateFileError) -> OutcomeUnknownError:
    """Something was sent, and the state file took no note of what came of it."""
    return OutcomeUnknownError(
        f"{what}, but what came of it could not be written down: {error.message}",
        hint=f"{error.hint or 'repair the state file'}, then: kalshi order reconcile",
    )


def rejection(what: str, order: Order, code: str, details: str) -> KalshiError:
    """The exchange said no, or the request never got there: the exit code tells them apart."""
    hint = _HINTS.get(code.upper()) or short_of_cash(code, order.exchange_index)
    hint = hint or error_hint(code, details) or f"kalshi market {order.ticker}"
    return NEVER_THERE.get(code, ExchangeError)(f"{what}: {details or code}", hint=hint, code=code)


NEVER_THERE: dict[str, type[KalshiError]] = {
    "credentials": CredentialsError,
    "unreachable": UnreachableError,
    "rate_limited": RateLimitedError,
    "halted": RefusedError,
    "REDUCING": RefusedError,
    "STATE_MOVED": RefusedError,
    "LOCKED": RefusedError,
}
"""An order that provably never left is not one that the exchange refused; the exit code tells them apart."""

_HINTS = {
    "HALTED": "trading is halted; see `kalshi status`, then `kalshi resume --reason ...`",
    "REDUCING": "only orders that make a position smaller are taken; see `kalshi status`",
    "STATE_MOVED": "nothing was sent; try again once the other program is quiet",
    "DAILY_LOSS": "only orders that make a position smaller are taken today; the limit is risk.max_daily_loss",
    "LOCKED": "somebody locked this market: `kalshi lock` says why; `kalshi unlock TICKER` ends it",
    "MARKET_NOT_OPEN": "see the market's times with `kalshi market TICKER`",
    "MARKET_CLOSING": "the market is about to close; pick another with `kalshi markets`",
    "STALE_BOOK": "the order book could not be trusted; look at `kalshi orderbook TICKER` and try again",
    "PRICE_COLLAR": "check the price; the limit is risk.price_collar in the configuration",
    "ORDER_SIZE": "check the count; the limit is risk.max_order_count in the configuration",
    "ORDER_COST": "check the count; the limit is risk.max_order_cost in the configuration",
    "ORDER_RATE": "wait a minute; the limit is risk.max_orders_per_minute in the configuration",
    "MARKET_RATE": "wait a minute; the limit is risk.max_market_orders_per_minute in the configuration",
    "POSITION_LIMIT": "see `kalshi positions`; the limit is risk.max_position in the configuration",
    "EVENT_EXPOSURE": "see `kalshi check positions`; the limit is risk.max_event_exposure in the configuration",
    "CATEGORY_EXPOSURE": "see `kalshi check positions`; the limit is risk.max_category_exposure in the configuration",
    "LIVE_ORDERS": "see `kalshi order list`; the limit is risk.max_live_orders in the configuration",
    "CHURN": "wait until less was traded within the hour; the limit is risk.max_churn in the configuration",
    "EXPOSURE": "see `kalshi positions`; the limit is risk.max_exposure in the configuration",
    "GROUP_TRIGGERED": "the group takes nothing until it is reset: `kalshi order group reset ID`",
    "SELF_CROSS": "cancel your own order first: `kalshi order list`",
    "BAD_FLAGS": "see `kalshi order place -h`",
    "NOT_RESTING": "only an order that rests can be amended; see `kalshi order list`, or `kalshi order reconcile`",
    "NOT_CLOSING": "own orders on that side would close it too: `kalshi cancel-all --ticker TICKER --no-halt` first",
    "BAD_COUNT": "give at least 0.01; to take the whole order back: kalshi order cancel ID",
}
