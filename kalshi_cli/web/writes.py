"""The writes of the JSON API: each action is planned, shown, and executed by its digest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

from kalshi_cli.app.kalshi import Kalshi
from kalshi_cli.base.checked import JsonNumber, as_json, check_choice, from_text
from kalshi_cli.base.errors import RefusedError, UsageError
from kalshi_cli.base.units import duration_from_user, qty_from_user
from kalshi_cli.services.orders.service import OrderService
from kalshi_cli.views import plans
from kalshi_cli.views.close import CloseRow, no_position
from kalshi_cli.views.done import DoneView
from kalshi_cli.views.formats import TruncatableText
from kalshi_cli.views.frames import to_dict
from kalshi_cli.views.halts import HaltView, ResumeView
from kalshi_cli.views.locks import LockRow
from kalshi_cli.views.orders import CancelAllView, CancelRow, OrderChangeView, OrderRow, ReconciledRow
from kalshi_cli.views.row import OutputRow
from kalshi_cli.views.watchlists import WatchlistRow

MAX_TEXT = 200
"""Characters of a text in a request."""

Fields = dict[str, str]


class Write(NamedTuple):
    """An action: its words, the fields that it needs, whether it only stops or reduces, and its plan.

    `rows` is the view of its results. `service` names the service of the account that makes and executes the plan;
    `optional` are fields that may be left out.
    """

    words: str
    fields: tuple[str, ...]
    is_stop: bool
    rows: type[OutputRow]
    service: str
    plan: Callable[[Any, Fields], plans.Plan[Any]]
    optional: tuple[str, ...] = ()


ORDER_FLAGS = ("post_only", "reduce_only", "cancel_on_pause")
FLAGS = (*ORDER_FLAGS, "reset_groups")
NUMBERS = ("price", "count", "by", "to")
"""Fields that may be JSON numbers too, which are read as they are typed, and never as a float."""

CHOICES: dict[str, tuple[str, ...]] = {
    "side": ("yes", "no"), "action": ("buy", "sell"), "tif": ("gtc", "ioc", "fok"), "stp": ("taker", "maker"),
    **dict.fromkeys(FLAGS, ("true", "false")),
}  # fmt: skip
"""The values of fields that are no free texts."""

# `tickers` are separated by spaces.
WRITES: dict[str, Write] = {
    "pause": Write(
        "Pause trading", (), True, HaltView, "trading",
        lambda trading, given: trading.plan_pause(given.get("reason", "")),
        optional=("reason",),
    ),
    "kill": Write(
        "Halt trading and cancel every order", (), True, CancelAllView, "orders",
        lambda orders, _given: orders.plan_cancel_all(),
    ),
    "cancel": Write(
        "Cancel an order", ("order_id",), True, CancelRow, "orders",
        lambda orders, given: orders.plan_cancel(given["order_id"], is_described=True),
    ),
    "amend": Write(
        "Change the price, the count left to trade, or both, of a resting order",
        ("order_id", "side"), False, OrderChangeView, "orders",
        lambda orders, given: orders.plan_new_terms(
            given["order_id"], side=given["side"], price=given.get("price"), count=given.get("count")
        ),
        optional=("price", "count"),
    ),
    "decrease": Write(
        "Reduce a resting order by a count or to a count; it keeps its place in the queue",
        ("order_id",), False, OrderChangeView, "orders",
        lambda orders, given: orders.plan_decrease(
            given.pop("order_id"), **{name: from_text(name, qty_from_user, text) for name, text in given.items()}
        ),
        optional=("by", "to"),
    ),
    "reconcile": Write(
        "Find out what became of unconfirmed orders; sends nothing", (), True, ReconciledRow, "orders",
        # Does not wait for a proof: the kill switch would wait with it.
        lambda orders, _given: orders.plan_reconcile(wait_s=0.0),
    ),
    "resume": Write(
        "Resume trading", ("reason",), False, ResumeView, "trading",
        lambda trading, given: trading.plan_resume(
            given["reason"], reset_groups=_is_true(given, "reset_groups"), is_described=True
        ),
        optional=("reset_groups",),
    ),
    "lock": Write(
        "Block new positions in a market", ("ticker", "for"), False, LockRow, "trading",
        lambda trading, given: trading.plan_lock(
            given["ticker"], from_text("for", duration_from_user, given["for"]), given.get("reason", "over HTTP")
        ),
        optional=("reason",),
    ),
    "unlock": Write(
        "Remove the lock of a market", ("ticker",), False, DoneView, "trading",
        lambda trading, given: trading.plan_unlock(given["ticker"]),
    ),
    "close": Write(
        "Close the position in a market, or `count` contracts of it", ("ticker",), False, CloseRow, "orders",
        lambda orders, given: _close(orders, given["ticker"].upper(), given.get("count")),
        optional=("count",),
    ),
    "watch": Write(
        "Add markets to a watchlist", ("list", "tickers"), False, WatchlistRow, "markets",
        lambda markets, given: markets.plan_watchlist_addition(given["list"], _tickers(given["tickers"])),
    ),
    "unwatch": Write(
        "Remove markets from a watchlist; without any, the whole list",
        ("list", "tickers"), False, WatchlistRow, "markets",
        lambda markets, given: markets.plan_watchlist_removal(given["list"], given["tickers"].split()),
    ),
    "place": Write(
        "Place a limit order", ("ticker", "side", "action", "count", "price"), False, OrderRow, "orders",
        lambda orders, given: _place(orders, **given),
        optional=("tif", "client_order_id", *ORDER_FLAGS, "expires_in", "stp", "group"),
    ),
}  # fmt: skip

RESULTS: tuple[type[OutputRow], ...] = tuple(dict.fromkeys((*(write.rows for write in WRITES.values()), DoneView)))
"""The views of results; DoneView where an action leaves nothing to show."""


class PlannedWrite(NamedTuple):
    """A plan, the name of its service, and the amounts of a plan of orders."""

    service: str
    plan: plans.Plan[Any]
    amounts: plans.OrderAmounts | None


def plan(kalshi: Kalshi, request: object, *, may_stop: bool, may_write: bool) -> PlannedWrite:
    """Make the plan of a request.

    `may_stop` allows the actions that only stop or reduce, `may_write` all.
    """
    if not isinstance(request, dict):
        raise UsageError("The request must be an object", hint='such as {"do": "pause", "reason": "TEXT"}')
    values = {field: value for field, value in request.items() if value is not None}
    name = _text("do", values.pop("do", ""))
    write = WRITES.get(name)
    if write is None:
        raise UsageError(f"Unknown action {name!r}" if name else "`do` is missing", hint=f"one of {', '.join(WRITES)}")
    if not (may_write or (may_stop and write.is_stop)):
        option = "--allow-stop" if write.is_stop else "--allow-writes"
        raise NotAllowedError(f"This server does not allow: {write.words.lower()}", hint=f"kalshi serve {option}")
    _check_names(name, write, values)
    given = {field: _text(field, value) for field, value in values.items()}
    is_reduce_only = given.get("reduce_only") == "true"
    made = write.plan(getattr(kalshi, write.service), given)
    amounts = plans.amounts_of(made, is_reduce_only=is_reduce_only) if isinstance(made, plans.PricedPlan) else None
    return PlannedWrite(write.service, made, amounts)


def _check_names(action: str, write: Write, given: Collection[str]) -> None:
    """Raise UsageError with the first field that the action does not have, or with those that are missing."""
    known = (*write.fields, *write.optional)
    hint = f"it needs: {', '.join(write.fields) or 'no fields'}"
    if write.optional:
        hint += f"; it can have: {', '.join(write.optional)}"
    for field in given:
        if field not in known:
            near = get_close_matches(field, known, 1)
            more = f"; did you mean {near[0]}?" if near else ""
            raise UsageError(f"{action} has no field {field!r:.60}{more}", hint=hint)
    if missing := [field for field in write.fields if field not in given]:
        raise UsageError(f"{action} is missing: {', '.join(missing)}", hint=hint)


def _place(orders: OrderService, *, expires_in: str | None = None, **given: Any) -> plans.OrderPlan:
    if expires_in is not None:
        given["expires_in_s"] = from_text("expires_in", duration_from_user, expires_in)
    given |= {name: _is_true(given, name) for name in ORDER_FLAGS if name in given}
    return orders.plan_place(**given)


def _is_true(given: Mapping[str, str], name: str) -> bool:
    return bool(check_choice(name, given.get(name, "false"), CHOICES[name]) == "true")


def _close(orders: OrderService, ticker: str, count: str | None) -> plans.CloseAllPlan:
    try:
        qty = None if count is None else qty_from_user(count)
    except ValueError as error:
        raise UsageError(f"count: {error}") from error
    plan = orders.plan_close(ticker, count=qty, is_reviewed=True)
    if not plan.positions:
        raise RefusedError(no_position(ticker), hint="GET /api/v1/positions has your positions", code="NO_POSITION")
    return plan


def _tickers(text: str) -> list[str]:
    if not (found := text.split()):
        raise UsageError("tickers needs at least one market")
    return found


class NotAllowedError(UsageError):
    """The server was started without the option for this action."""

    default_code = "not_allowed"


def rows_of(made: plans.Plan[Any], outcome: object) -> list[dict[str, Any]]:
    """Return the result of an executed plan as `--json` shows it: one view for each part of the plan."""
    if outcome is None and isinstance(made, plans.ControlPlan | plans.RequestPlan):
        subject = TruncatableText(getattr(made, "ticker", None) or made.subject)
        outcome = DoneView(done=f"{made.action}ed", subject=subject)
    rows = getattr(outcome, "rows", (outcome,))
    return [to_dict(row) for row in rows if isinstance(row, OutputRow)]


def _text(name: str, value: object) -> str:
    """Return a value as text: a number as it was typed, true and false as the words."""
    if isinstance(value, bool) and name in FLAGS:
        return str(value).lower()
    is_number = isinstance(value, JsonNumber)
    if not isinstance(value, str) or (is_number and name not in NUMBERS) or len(value) > MAX_TEXT:
        most = f"of at most {MAX_TEXT} characters"
        kinds = f"a text or a number {most}" if name in NUMBERS else f"a text {most}"
        raise UsageError(f"{name:.60} must be {'true or false' if name in FLAGS else kinds}, not {as_json(value)}")
    return str(value)
