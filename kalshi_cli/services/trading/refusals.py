"""Errors for orders that were refused, rejected or are unconfirmed: one error per cause, each with a hint."""

from __future__ import annotations

import re
from collections.abc import Callable

from kalshi_cli.base import errors
from kalshi_cli.core.model.effects import OrderRefused
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.orders import DUPLICATE_ID, Order, OrderStatus, was_never_sent
from kalshi_cli.exchange.wire.replies import CHECK_NETWORK, WAIT_FOR_LIMIT, error_hint, short_of_cash
from kalshi_cli.services.trading.halts import describe, resume_hint
from kalshi_cli.store.records import DUPLICATE_INTENT, Halt
from kalshi_cli.store.state_store import OrderStore


def duplicate(client_order_id: str, filed: Order | None = None) -> errors.RefusedError:
    """Return the error for a client order id that is already in use, by the order on file where that is known."""
    hint = f"run `kalshi order show {client_order_id}`"
    if filed is not None and (absence := why_absent(filed)):
        hint = f"its order is {absence}: use another client order id"
    elif filed is not None and filed.status is OrderStatus.UNKNOWN:
        hint = "its order is unconfirmed: run `kalshi order reconcile`"
    state = f" by an order that is {filed.status.value}" if filed is not None and filed.order_id else ""
    error = errors.RefusedError(
        f"Refused: client order id {client_order_id} is already in use{state}; no order was placed",
        hint=hint,
        code=DUPLICATE_ID,
    )
    error.order_id = "" if filed is None else filed.order_id
    return error


_NOT_THERE = {
    OrderStatus.DENIED: "not on the exchange, because a risk limit refused it",
    OrderStatus.REJECTED: "not on the exchange, which rejected it",
    OrderStatus.NEVER_ARRIVED: "not on the exchange, where it never arrived",
}
"""The statuses of orders that `kalshi order show` does not find, in words."""


def why_absent(filed: Order) -> str:
    """Return in words why an order on file is not on the exchange; empty for one that is or may be there."""
    return "not on the exchange, because it was not sent" if was_never_sent(filed) else _NOT_THERE.get(filed.status, "")


def refused_id(error: errors.StateFileError, client_order_id: str, store: OrderStore) -> errors.KalshiError:
    """Return `error`, or the one for a client order id that is in use where the state file refused it for that."""
    if error.code != DUPLICATE_INTENT:
        return error
    return duplicate(client_order_id, store.order(client_order_id))


def unconfirmed(order: Order) -> errors.OutcomeUnknownError:
    """Return the error for an order that is not on the exchange's lists yet, with the response that proved nothing."""
    response = order.code.partition(": outcome unknown. ")[2] or "No response"
    return errors.OutcomeUnknownError(
        f"{response}. Order {order.client_order_id} is not visible on the exchange yet. It may be live",
        hint=f"run `kalshi order reconcile` (client order id {order.client_order_id})",
    )


def id_conflict(order: Order) -> errors.OutcomeUnknownError:
    """Return the error for an order whose client order id names a different order on the exchange."""
    return errors.OutcomeUnknownError(
        f"The exchange has a different order under client order id {order.client_order_id}; trading is halted",
        hint="check `kalshi order list`. Is another state file in use? Then run `kalshi resume --reason TEXT`",
        code="ID_CLASH",
    )


def refusal(denied: OrderRefused, halt: Halt) -> errors.RefusedError:
    """Return the error for an order that a risk control refused; one refused by the saved `halt` shows that halt."""
    if denied.code == halt.state.value.upper():
        return errors.RefusedError(f"Refused. {describe(halt)}", hint=_way_out(halt, denied.ticker), code=denied.code)
    hint = _HINTS.get(denied.code, "nothing was sent").replace("TICKER", denied.ticker or "TICKER")
    if (own := _OWN_ORDER.search(denied.detail)) is not None:
        hint = hint.replace("`kalshi cancel ID`, with the id above", f"`kalshi cancel {own[1]}`")
    if "risk." in hint:
        hint += f". {WHERE_LIMITS_ARE}"
    return errors.RefusedError(f"Refused: {denied.detail} ({denied.code})", hint=hint, code=denied.code)


def halted(error: errors.HaltedError, halt: Halt) -> errors.RefusedError:
    """Return the error for a halt, or a change by another program, between review and request: nothing was sent."""
    code = error.code.upper()
    if code == halt.state.value.upper():
        return errors.RefusedError(f"Nothing was sent. {describe(halt)}", hint=_way_out(halt, ""), code=code)
    return errors.RefusedError(error.message, hint=_HINTS[code], code=code)


def _way_out(halt: Halt, ticker: str) -> str:
    """Return the command that ends a halt, and the one that closes a position meanwhile: an order to sell cannot."""
    if halt.state is TradingState.REDUCING:
        return resume_hint(halt)
    return f"{resume_hint(halt)}; to close a position meanwhile: `kalshi close {ticker or 'TICKER'}`"


def translate_halt(store: OrderStore, write: Callable[[], None]) -> None:
    """Call `write`. Raises RefusedError if a halt stopped it; then nothing was sent."""
    try:
        write()
    except errors.HaltedError as error:
        raise halted(error, store.halt()) from error


def sent_but_not_saved(what: str, error: errors.StateFileError) -> errors.OutcomeUnknownError:
    """Return the error for a request that was sent but whose result could not be saved to the state file."""
    return errors.OutcomeUnknownError(
        f"{what}, but the result could not be saved: {error.message}",
        hint=f"{error.hint or 'repair the state file'}, then run `kalshi order reconcile`",
    )


def rejection(what: str, order: Order, code: str, details: str) -> errors.KalshiError:
    """Return the error for an order that the exchange rejected, or that never reached it."""
    hint = _HINTS.get(code.upper()) or short_of_cash(code, order.exchange_index)
    hint = hint or error_hint(code, details) or f"run `kalshi market {order.ticker}`"
    kind = NEVER_THERE.get(code, errors.ExchangeError)
    more = {"details": details} if issubclass(kind, errors.ExchangeError) else {}
    return kind(f"{what}: {details or code}", hint=hint, code=code, **more)


NEVER_THERE: dict[str, type[errors.KalshiError]] = {
    "credentials": errors.CredentialsError,
    "unreachable": errors.UnreachableError,
    "rate_limited": errors.RateLimitedError,
    "kill_switch": errors.RateLimitedError,
    "halted": errors.RefusedError,
    "REDUCING": errors.RefusedError,
    "STATE_MOVED": errors.RefusedError,
    "LOCKED": errors.RefusedError,
}
"""Codes of orders that provably never left this machine; their exit codes differ from those of a rejection."""

WHERE_LIMITS_ARE = "`kalshi config path` names the file of the limits"
"""The end of each hint that names a setting."""

SEVERAL_BLOCKED = (
    "your open orders close them too; `kalshi pause` makes a running loop cancel its orders, "
    "`kalshi cancel-all --no-halt` cancels all; then close again"
)
"""The hint of several positions refused with NOT_CLOSING."""

_OWN_ORDER = re.compile(r"your own order (\S+) \(")
"""The id of the own order that a new one could trade against."""

_HINTS = {
    "UNREACHABLE": CHECK_NETWORK,
    "RATE_LIMITED": WAIT_FOR_LIMIT,
    "KILL_SWITCH": "`kalshi cancel-all` is running on this account; try again when it has finished",
    "HALTED": "trading is halted; see `kalshi status`, then run `kalshi resume --reason TEXT`",
    "REDUCING": "only orders that reduce a position are accepted; see `kalshi status`",
    "STATE_MOVED": "nothing was sent; try again when the other program has finished",
    "DAILY_LOSS": "only orders that reduce a position are accepted today; the limit is risk.max_daily_loss",
    "LOCKED": "this market is locked; `kalshi lock` shows why, `kalshi unlock TICKER` ends it",
    "MARKET_NOT_OPEN": "`kalshi market TICKER` shows its status, times and result",
    "MARKET_CLOSING": "the market closes soon; choose another with `kalshi markets`",
    "STALE_BOOK": "the order book is not reliable; check `kalshi orderbook TICKER` and try again",
    "PRICE_COLLAR": "check the price; the limit is risk.price_collar",
    "ORDER_SIZE": "lower the count, or raise risk.max_order_count; to close a position: `kalshi close TICKER`",
    "ORDER_COST": "lower the count, or raise risk.max_order_cost; to close a position: `kalshi close TICKER`",
    "ORDER_RATE": "wait a minute; the limit is risk.max_orders_per_minute",
    "MARKET_RATE": "wait a minute; the limit is risk.max_market_orders_per_minute",
    "POSITION_LIMIT": "orders count: see `kalshi order list` and `kalshi positions`; the limit is risk.max_position",
    "OPEN_POSITIONS": "see `kalshi positions` and `kalshi order list`; the limit is risk.max_open_positions",
    "MARKET_EXPOSURE": "see `kalshi check positions`; the limit is risk.max_market_exposure",
    "EVENT_EXPOSURE": "see `kalshi check positions`; the limit is risk.max_event_exposure",
    "CATEGORY_EXPOSURE": "see `kalshi check positions`; the limit is risk.max_category_exposure",
    "LIVE_ORDERS": "see `kalshi order list`; the limit is risk.max_live_orders",
    "CHURN": "wait until less has traded within the hour; the limit is risk.max_churn",
    "EXPOSURE": "see `kalshi positions` and `kalshi order list`; the limit is risk.max_exposure",
    "GROUP_TRIGGERED": "the order group accepts no orders until `kalshi resume --reason TEXT --reset-groups`",
    "SELF_CROSS": "cancel that order first: `kalshi cancel ID`, with the id above",
    "BAD_FLAGS": "--reduce-only goes with --tif ioc, and --post-only with --tif gtc, which is the default",
    "NOT_RESTING": "only a resting order can be amended; see `kalshi order list` or `kalshi order reconcile`",
    "NOT_CLOSING": "your open orders close it too; cancel them: `kalshi cancel-all --ticker TICKER --no-halt`, or "
    "`kalshi close TICKER --cancel-orders`",
    "BAD_COUNT": "use at least 0.01; to cancel the whole order: `kalshi order cancel ID`",
}
