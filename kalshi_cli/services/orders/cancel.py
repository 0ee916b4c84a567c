"""Cancel orders by id, select orders by scope, and tell whether a list of orders is current."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase

import msgspec

from kalshi_cli.base import errors
from kalshi_cli.base.checked import check_text
from kalshi_cli.base.clock import Clock
from kalshi_cli.base.text import SHORT_ID_LENGTH
from kalshi_cli.base.units import Qty, Ts, pluralize
from kalshi_cli.core.model.markets import ENDED
from kalshi_cli.core.model.messages import Message, OrderCanceled, OrderState
from kalshi_cli.core.model.orders import Order, OrderStatus, as_typed
from kalshi_cli.exchange.client import KalshiClient
from kalshi_cli.exchange.wire.groups import OrderGroup
from kalshi_cli.services.account.recovery import record_reports, unconfirmed_on_file
from kalshi_cli.services.resources import Resources
from kalshi_cli.services.trading.refusals import why_absent
from kalshi_cli.views.orders import OrderRow, has_expired

SETTLE_S = 0.1
"""The pause between two reads of the exchange's data time.

Lists trail matching by about 0.4 s (June 2026). The pause is shorter where less is missing.
"""

MIN_S_LENGTH = 0.03

CATCH_UP_TIMEOUT_S = 10.0

MARGIN_MS = 100
"""The largest difference between the clocks of the exchange's own machines."""


CLOCK_MS = 1_000
"""How exactly the exchange's clock is known before a reply dates it."""

COUNT_S = 2.0
"""The longest time of a read that only counts."""

WORDS_S = 2.0
"""The longest time of a read that only improves the words of a result."""


class CancelScope(msgspec.Struct, frozen=True):
    """The orders to cancel: all, those of an event, or those whose ticker fits a pattern.

    A ticker does not name its event, so the exchange is asked for the orders of an event.
    """

    event: str = ""
    ticker: str = ""

    @property
    def is_everything(self) -> bool:
        """Return whether the scope holds every order."""
        return not self.event and not self.ticker

    def holds(self, order: Order) -> bool:
        """Return whether the ticker of an order fits; for an event, the caller reads only its orders."""
        return not self.ticker or fnmatchcase(order.ticker, self.ticker)


ALL = "(all)"
"""The scope that a caller of the kill switch left out. An empty text is an unset variable instead."""


def scope_of(event: str, ticker: str) -> CancelScope:
    """Return the orders to cancel; UsageError for an empty event or ticker, which would mean every order."""
    if not event.strip() or not ticker.strip():
        raise errors.UsageError("An empty scope would mean every order", hint="leave it out to cancel everything")
    event, ticker = ("" if each == ALL else each.strip().upper() for each in (event, ticker))
    return CancelScope(event=event, ticker=ticker)


def is_list_current(client: KalshiClient, clock: Clock, since_s: float) -> bool:
    """Wait until the exchange's reads include everything up to `since_s` of our monotonic clock; False on a timeout.

    The exchange's clock is known within a second, and more exactly with each Date header. An answer counts only where
    it is newer than the one before: a proxy may repeat a cached one.
    """
    until = clock.monotonic() + CATCH_UP_TIMEOUT_S
    due, before = client.max_server_time(since_s), math.inf
    while True:
        as_of = client.user_data_timestamp()
        there = client.max_server_time(since_s)
        due = there if as_of > before else max(due, there)
        before = as_of
        missing_ms = due + MARGIN_MS - as_of
        if missing_ms <= 0 or clock.monotonic() >= until:
            return missing_ms <= 0
        clock.sleep(min(SETTLE_S, max(MIN_S_LENGTH, missing_ms / 2_000)))


def canceled_since(client: KalshiClient, orders: Sequence[Order], since: Ts) -> set[str] | None:
    """Return which of these orders the exchange canceled from `since` on; None where its list cannot be read soon."""
    left = [order for order in orders if not (order.expires and order.expires <= since)]
    if not left:
        return set()
    first = Ts(min(order.created for order in left) - CLOCK_MS)
    try:
        with client.reading_within(COUNT_S):
            ended = [
                order for order in client.orders(status="canceled", min_ts=first) if order.updated >= since - CLOCK_MS
            ]
    except errors.KalshiError:
        return None
    return {order.order_id for order in ended if order.status is OrderStatus.CANCELED}


def groups_of(orders: Iterable[Order]) -> list[OrderGroup]:
    """Return the groups of these orders, with the fields that a request must name.

    The list of groups does not show the subaccount of a group.
    """
    found = {
        order.order_group_id: OrderGroup(
            group_id=order.order_group_id, exchange_index=order.exchange_index, subaccount=order.subaccount
        )
        for order in orders
        if order.order_group_id
    }
    return list(found.values())


class CancelResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one cancel, or the error; `reports` are the exchange's statements about the order.

    `code` is that of the error, or `already_canceled` and the like for an order that had ended.
    """

    order_id: str
    canceled: bool
    code: str = ""
    detail: str = ""
    is_missing: bool = False
    is_unknown: bool = False
    is_unreached: bool = False
    reports: tuple[Message, ...] = ()

    @property
    def order(self) -> Order | None:
        """Return the order after the cancel, as far as the exchange stated it; None if it did not."""
        stated = next((each.order for each in reversed(self.reports) if isinstance(each, OrderState)), None)
        reply = next((each for each in self.reports if isinstance(each, OrderCanceled)), None)
        if stated is None or reply is None or reply.reduced is None:
            return stated
        reduced = Qty(stated.reduced + reply.reduced)
        filled = Qty(stated.qty - reduced)
        return msgspec.structs.replace(stated, status=OrderStatus.CANCELED, reduced=reduced, filled=filled)


def cancel_orders(client: KalshiClient, order_ids: list[str]) -> list[CancelResult]:
    """Cancel orders by id, one after the other. An id that is not live is reported."""
    return [_cancel_one(client, order_id) for order_id in order_ids]


def _cancel_one(client: KalshiClient, order_id: str) -> CancelResult:
    reports: list[Message] = []
    try:
        order = client.order(order_id)
        reports.append(OrderState(order.updated, order))
        try:
            reports.append(client.cancel_order(order))
        except errors.OutcomeUnknownError as error:
            after = _ended_since(client, order_id, error)
            reports.append(OrderState(after.updated, after))
            if after.status is not OrderStatus.CANCELED:
                raise errors.NotFoundError(error.message) from error
        except errors.NotFoundError as error:
            # Proves nothing: the first attempt may have canceled the order, and only its response was lost.
            after = client.order(order_id) if order.status.is_live else order
            reports.append(OrderState(after.updated, after))
            if after.status.is_live:
                raise errors.OutcomeUnknownError(f"{error.message}; the last read still shows it resting") from error
            if not order.status.is_live or after.status is not OrderStatus.CANCELED:
                raise
    except errors.CredentialsError:
        raise
    except errors.NotFoundError as error:
        status = _ended(reports)
        name = short_name(order_id)
        detail = error.message if reports else _unknown(name)
        return CancelResult(
            order_id=order_id,
            canceled=False,
            code=f"already_{status}" if status else error.code,
            detail=f"order {name} is already {status}" if status else detail,
            is_missing=True,
            reports=tuple(reports),
        )
    except errors.OutcomeUnknownError as error:
        return CancelResult(order_id=order_id, canceled=False, code=error.code, detail=error.message, is_unknown=True)
    except (errors.RateLimitedError, errors.UnreachableError) as error:
        return CancelResult(order_id=order_id, canceled=False, code=error.code, detail=error.message, is_unreached=True)
    except errors.ExchangeError as error:
        detail = _closed(client, reports) if error.code == "market_inactive" else ""
        return CancelResult(order_id=order_id, canceled=False, code=error.code, detail=detail or error.message)
    return CancelResult(order_id=order_id, canceled=True, reports=tuple(reports))


def _ended_since(client: KalshiClient, order_id: str, silence: errors.OutcomeUnknownError) -> Order:
    """Return an order that ended, as one read after an unanswered cancel shows it; OutcomeUnknownError otherwise."""
    try:
        with client.reading_within(WORDS_S):
            after = client.order(order_id)
    except errors.KalshiError as error:
        raise silence from error
    if after.status.is_live:
        raise errors.OutcomeUnknownError(f"{silence.message}; the last read still shows it resting") from silence
    return after


def _closed(client: KalshiClient, reports: Sequence[Message]) -> str:
    """Return what becomes of an order whose market has closed; empty where the market may trade again."""
    last = reports[-1] if reports else None
    with suppress(errors.KalshiError):
        if isinstance(last, OrderState) and client.market(last.order.ticker).status in ENDED:
            name = short_name(last.order.order_id)
            return f"{last.order.ticker} has closed: order {name} cannot fill any more, and the exchange removes it"
    return ""


def _ended(reports: Sequence[Message]) -> str:
    """Return the status of the ended order of a rejected cancel, by the last read; empty if no read showed an end."""
    last = reports[-1] if reports else None
    if not isinstance(last, OrderState) or last.order.status.is_live:
        return ""
    return last.order.status.value


def failure(results: Sequence[CancelResult]) -> errors.KalshiError | None:
    """Return the error of a command that did not cancel all orders, None where it did.

    Unanswered cancels come first.
    """
    unknown = [each for each in results if each.is_unknown]
    unreached = [each for each in results if each.is_unreached]
    failed = [each for each in results if not (each.canceled or each.is_unknown or each.is_unreached)]
    if unknown:
        return errors.OutcomeUnknownError(
            f"{len(unknown)} of {pluralize(len(results), 'order')} may be live: {unknown[0].detail}",
            hint="run `kalshi order reconcile`, then `kalshi order list`",
        )
    if unreached:
        return errors.UnreachableError(
            f"{len(unreached)} of {len(results)} orders were not canceled: {unreached[0].detail}",
            hint="they may still be resting: try again, or run `kalshi cancel-all`",
        )
    codes = {each.code for each in failed}
    code = codes.pop() if len(codes) == 1 else ""
    if failed and len(results) == 1:
        is_missing, detail = failed[0].is_missing, failed[0].detail
        return (errors.NotFoundError if is_missing else errors.ExchangeError)(
            f"The order was not canceled: {detail}", hint=_hint(failed[0].order_id, "kalshi order list"), code=code
        )
    if failed:
        kind = errors.NotFoundError if all(each.is_missing for each in failed) else errors.ExchangeError
        reasons = list(dict.fromkeys(each.detail for each in failed))
        more = f"; and {len(reasons) - MAX_CANDIDATES} more" if len(reasons) > MAX_CANDIDATES else ""
        return kind(
            f"{len(failed)} of {len(results)} orders were not canceled: {'; '.join(reasons[:MAX_CANDIDATES])}{more}",
            hint="an order may already be filled or canceled: `kalshi order show ID`",
            code=code,
        )
    return None


MIN_PREFIX = 6
"""The shortest prefix of an order id that names the order."""

ID_LENGTH = 36
"""Characters of a whole order id, a UUID."""

MAX_CANDIDATES = 5


def short_name(any_id: str) -> str:
    """Return an id as people read it: the beginning of a whole order id, and any other id as it is."""
    return any_id[:SHORT_ID_LENGTH] if len(any_id) == ID_LENGTH else any_id


def match_id(any_id: str, orders: Iterable[Order]) -> list[Order]:
    """Return the orders that an id names: one by its whole order id or client order id, else all by their prefix.

    An order that is in several lists is returned once.
    """
    known = {order.order_id: order for order in orders if order.order_id}
    exact = [each for each in known.values() if any_id and any_id in (each.order_id, each.client_order_id)]
    if exact or len(any_id) < MIN_PREFIX:
        return exact
    return [
        order
        for order in known.values()
        if order.order_id.startswith(any_id) or order.client_order_id.startswith(any_id)
    ]


def resolve_ids(resources: Resources, ids: Sequence[str]) -> list[str]:
    """Return the exchange's ids of these orders, from whole ids, client order ids and prefixes of 6 or more characters.

    Prefixes are looked up in the state file and in the exchange's list of resting orders. An id that neither knows is
    returned as it is. UsageError where a prefix is ambiguous: nothing was sent.
    """
    store = resources.remembered()
    orders: list[Order] | None = None
    found = []
    for any_id in ids:
        known = store.order(any_id) if store is not None else None
        if known is not None and known.order_id:
            found.append(known.order_id)
            continue
        if len(any_id) >= ID_LENGTH and known is None:  # an unconfirmed order on file may be in the list by now
            found.append(any_id)
            continue
        if orders is None:
            orders = [*(store.orders() if store is not None else ()), *resources.client.all_orders(status="resting")]
        found.append(_only_one(any_id, match_id(any_id, orders)))
    return found


def _only_one(any_id: str, candidates: Sequence[Order]) -> str:
    if len(candidates) > 1:
        shown = ", ".join(f"{order.order_id} ({order.ticker})" for order in candidates[:MAX_CANDIDATES])
        more = f" and {len(candidates) - MAX_CANDIDATES} more" if len(candidates) > MAX_CANDIDATES else ""
        raise errors.UsageError(
            f"{any_id} is ambiguous: {pluralize(len(candidates), 'order')} begin with it: {shown}{more}",
            hint="nothing was sent; type more characters of the order id",
            code="AMBIGUOUS_ID",
        )
    return candidates[0].order_id if candidates else any_id


def _unknown(any_id: str) -> str:
    is_short = len(any_id) < MIN_PREFIX and any_id.lower() != "all"
    return f"No live or recent order has the {'client order ' if is_short else ''}id {any_id}"


def _hint(any_id: str, command: str) -> str:
    if any_id.lower() == "all":
        return "to halt trading and cancel all orders: `kalshi cancel-all`"
    short = f"of an order id, type at least {MIN_PREFIX} characters; " if len(any_id) < MIN_PREFIX else ""
    return f"{short}`{command}` shows your orders"


def find_order(resources: Resources, order_id: str | None) -> Order:
    """Return an order, as typed, by its order id, a prefix of that, or its client order id; UsageError for None.

    OutcomeUnknownError for an unconfirmed order that the exchange does not list: that is no proof of its absence.
    """
    any_id = check_text("order_id", order_id)
    try:
        return with_typed(resources, [resources.client.order(resolve_ids(resources, [any_id])[0])])[0]
    except errors.NotFoundError as error:
        if unconfirmed := _unconfirmed(resources, any_id):
            raise unconfirmed from error
        store = resources.remembered()
        filed = store.order(any_id) if store is not None else None
        if filed is not None and (absence := why_absent(filed)):
            text = f"Order {any_id} is {absence}"
            raise errors.NotFoundError(text, hint="nothing of it is live", code=error.code) from error
        hint = _hint(any_id, "kalshi order list --status all")
        raise errors.NotFoundError(_unknown(any_id), hint=hint, code=error.code) from error


def end_reason(resources: Resources, order: OrderRow) -> str:
    """Return why the exchange of an account ended an order; empty where that is not known."""
    return ending(resources.client, order)


def ending(client: KalshiClient, order: OrderRow) -> str:
    """Return why the exchange ended an order, by the time of its end; empty where that is not known."""
    if order.status != OrderStatus.CANCELED.value or order.updated is None:
        return ""
    if has_expired(order):
        return "expired"
    with suppress(errors.KalshiError):
        market = client.market(order.ticker)
        if market.status in ENDED and market.close_time <= order.updated:
            return "by the exchange: the market closed"
    return ""


def _unconfirmed(resources: Resources, any_id: str) -> errors.OutcomeUnknownError | None:
    """Return the error for an id that the exchange does not know and that names an unconfirmed order on file."""
    for order in unconfirmed_on_file(resources):
        name = order.client_order_id
        if not order.order_id and (name == any_id or (len(any_id) >= MIN_PREFIX and name.startswith(any_id))):
            return errors.OutcomeUnknownError(
                f"Order {name} is unconfirmed: the exchange does not list it yet. It may be live",
                hint="run `kalshi order reconcile`",
            )
    return None


def with_typed(resources: Resources, orders: Sequence[Order]) -> Sequence[Order]:
    """Return orders of the exchange with the outcomes typed here; unchanged if the state file cannot be read."""
    with suppress(errors.StateFileError):
        if orders and (store := resources.remembered()) is not None:
            return [as_typed(order, store.order(order.client_order_id)) for order in orders]
    return orders


def held(resources: Resources, subaccounts: Iterable[int]) -> dict[tuple[int, str], Qty]:
    """Return the positions of these subaccounts by subaccount and market, negative for NO."""
    return {
        (number, position.ticker): position.position
        for number in subaccounts
        for position in resources.client.positions(subaccount=number or None)
    }


def cancel_by_any_id(resources: Resources, ids: list[str]) -> list[CancelResult]:
    """Cancel orders by id, and record the replies.

    A broken state file holds up no cancel: only client order ids and prefixes need it.
    """
    try:
        order_ids = resolve_ids(resources, ids)
    except errors.StateFileError as error:
        resources.tell(f"Client order ids and prefixes cannot be used here: {error.message}")
        order_ids = ids
    results = cancel_orders(resources.client, [*dict.fromkeys(order_ids)])  # the same order may be named twice
    for number, each in enumerate(results):
        if each.is_missing and (found := _unconfirmed(resources, each.order_id)):
            results[number] = CancelResult(
                order_id=each.order_id, canceled=False, code=found.code, detail=found.message, is_unknown=True
            )
    record_reports(resources, [report for each in results for report in each.reports])
    return results


def find_live_orders(resources: Resources, order_ids: Iterable[str], within_s: float) -> tuple[list[Order], list[str]]:
    """Return the live orders that can be read in time, and a sentence for each that has ended or does not exist."""
    live, nothing_to_cancel = list[Order](), list[str]()
    with resources.client.reading_within(within_s):
        for order_id in order_ids:
            try:
                found = find_order(resources, order_id)
            except errors.NotFoundError as error:
                nothing_to_cancel.append(error.message)
            except errors.KalshiError:
                continue
            else:
                if found.status.is_live:
                    live.append(found)
                else:
                    nothing_to_cancel.append(f"Order {found.order_id} is {found.status}: nothing to cancel")
    return live, nothing_to_cancel
