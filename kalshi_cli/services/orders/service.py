"""Orders of an account: read them, and plan and execute every write."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import ExitStack, suppress
from decimal import Decimal
from typing import Literal, TypeVar, get_args

import msgspec

from kalshi_cli.base.checked import check_choice, check_period, check_text, check_type, check_whole, from_text
from kalshi_cli.base.errors import KalshiError, NotFoundError, RefusedError, UsageError
from kalshi_cli.base.units import Qty, Ts, is_within, pluralize, price_from_user, qty_from_user, show_qty
from kalshi_cli.core.account.closing_orders import closing_by_order
from kalshi_cli.core.model.messages import OrderState
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.services.account.portfolio import PastPositions
from kalshi_cli.services.account.recovery import reconcile_outcome, reconciled_rows, record_reports
from kalshi_cli.services.orders import amend, batch, cancel, close, flatten
from kalshi_cli.services.orders.cancel_all import KillRun
from kalshi_cli.services.orders.halt_marker import write_halt_marker
from kalshi_cli.services.orders.order_effect import closing_amounts, effects_phrase, repeat_warnings
from kalshi_cli.services.orders.place import (
    SELF_TRADE_PREVENTIONS,
    TIMES_IN_FORCE,
    OrderPlanningService,
    OrderTicket,
    place_facts,
    place_warnings,
)
from kalshi_cli.services.plans import REVIEW_AGAIN_S, plan_prices
from kalshi_cli.services.trading.stop_signals import in_flight
from kalshi_cli.views.close import CloseRow, PlanRow
from kalshi_cli.views.order_text import resting_words
from kalshi_cli.views.orders import (
    BatchRow,
    CancelAllView,
    CancelRow,
    ListedOrderRow,
    OrderChangeView,
    OrderRow,
    QueueRow,
    ReconciledRow,
    change_view,
    order_row,
    typed_row,
)
from kalshi_cli.views.own_terms import HeldByMarket, in_own_terms
from kalshi_cli.views.plans import (
    AmendPlan,
    BatchPlan,
    CancelAllPlan,
    CancelPlan,
    CloseAllPlan,
    DecreasePlan,
    OrderPlan,
    PlanOutcome,
    RequestPlan,
)

Orders = list[ListedOrderRow]
ListStatus = Literal["resting", "canceled", "filled", "executed", "all"]
Texts = tuple[str, ...]


class OrderService(OrderPlanningService):
    """The orders of an account. `plan_place` and the like send nothing; `execute` executes a plan once."""

    # -- reading --------------------------------------------------------------------------------------------------

    def get(self, order_id: str | None) -> OrderRow:
        """Return an order by the exchange's id or by the client order id; UsageError for None, which no order has."""
        return order_row(cancel.find_order(self._resources, order_id))

    def list(
        self, status: ListStatus = "resting", *, ticker: str = "", event: str = "", subaccount: int | None = None,
        since: Ts | None = None, until: Ts | None = None,
    ) -> Orders:  # fmt: skip
        """Return orders from the exchange, placed from `since` and before `until`; `ticker` may be a pattern.

        `filled` is the status of a row that the exchange calls `executed`. `closing` needs positions within WORDS_S.
        """
        check_period(since, until)
        check_choice("status", status, get_args(ListStatus))
        scope = cancel.CancelScope(ticker=ticker.upper())
        known = {"all": None, "filled": "executed"}.get(status, status)
        found = self._resources.client.all_orders(
            known, None, since, event=event.upper() or None, subaccount=subaccount
        )
        listed = [order for order in found if scope.holds(order) and is_within(order.created, since, until)]
        resting, closing = [each for each in listed if each.status is OrderStatus.RESTING], dict[str, Qty]()
        with suppress(KalshiError), self._resources.client.reading_within(cancel.WORDS_S):
            closing = closing_by_order(resting, self.held(resting))
        typed = map(order_row, cancel.with_typed(self._resources, listed))
        return [ListedOrderRow.of(row, closing=closing.get(row.order_id or "")) for row in typed]

    def held(self, orders: Collection[OrderRow | QueueRow | Order]) -> dict[tuple[int, str], Qty]:
        """Return the positions in the markets of these orders by subaccount and market, negative for NO."""
        return cancel.held(self._resources, {each.subaccount for each in orders})

    def as_meant(self, orders: Sequence[R]) -> Sequence[R]:
        """Return orders as typed; others by the positions of now, and those that ended by the positions of then.

        Raises what reading positions and fills raises.
        """
        others = [each for each in orders if each.typed_side is None]
        held, past = self.held([each for each in others if each.status == "resting"]), None
        if any(each.status != "resting" for each in others):
            past = PastPositions(self._resources.client.all_fills()[::-1])
        found = []
        for each in orders:
            place = (each.subaccount, each.ticker)
            if past is not None and each.status != "resting":
                found.append(in_own_terms(each, {place: past.when_placed(place, each.order_id, each.created)}))
            else:
                found.append(in_own_terms(each, held))
        return found

    def in_own_terms(self, orders: Sequence[R]) -> Sequence[R]:
        """Return orders that trade, or did until now, as the user means them, for a sentence about them.

        Orders that were not typed here stay as they are where positions cannot be read within WORDS_S.
        """
        others = [each for each in orders if each.typed_side is None]
        held: HeldByMarket | None = None
        with suppress(KalshiError), self._resources.client.reading_within(cancel.WORDS_S):
            held = self.held(others)
        return [each if held is None and each in others else in_own_terms(each, held or {}) for each in orders]

    def queue(
        self, order_ids: Sequence[str] = (), *, ticker: str = "", subaccount: int | None = None
    ) -> Sequence[QueueRow]:
        """Return how many contracts must trade before each of these orders, or before every resting order."""
        wanted = [cancel.find_order(self._resources, each) for each in order_ids]
        scope = cancel.CancelScope(ticker=ticker.upper())
        client = self._resources.client
        ahead: dict[str, Qty] = {}  # an order without an entry was filled or canceled meanwhile
        for order in wanted:
            with suppress(NotFoundError):
                ahead[order.order_id] = client.queue_position(order.order_id)
        if not wanted:
            found = client.orders(status="resting", subaccount=subaccount)
            wanted = [*cancel.with_typed(self._resources, [each for each in found if scope.holds(each)])]
            for owner in sorted({each.subaccount for each in wanted}):  # one list covers one subaccount
                tickers = sorted({each.ticker for each in wanted if each.subaccount == owner})
                places = client.queue_positions(tickers, subaccount=owner or None)
                ahead |= {each.order_id: each.ahead for each in places}
        return [
            QueueRow.of(order, side="yes", ahead=ahead.get(order.order_id), typed_side=order.outcome or None)
            for order in wanted
        ]

    def reconcile(self, wait_s: float = 60.0) -> Sequence[ReconciledRow]:
        """Find out what became of every unconfirmed order. Sends nothing.

        Waits up to `wait_s` for a proof that is due within that time. Rows that are `still_unknown` come last.
        OutcomeUnknownError where the exchange cannot be read while an order is unconfirmed.
        """
        return reconciled_rows(self._resources, wait_s)

    # -- planning -------------------------------------------------------------------------------------------------

    def plan_place(
        self,
        ticker: str,
        *,
        side: Literal["yes", "no"],
        action: Literal["buy", "sell"],
        count: str | Decimal,
        price: str | Decimal,
        tif: Literal["gtc", "ioc", "fok"] = "gtc",
        post_only: bool = False,
        reduce_only: bool = False,
        expires_in_s: float | None = None,
        client_order_id: str | None = None,
        group: str = "",
        subaccount: int | None = None,
        stp: Literal["taker", "maker"] = "taker",
        cancel_on_pause: bool = False,
    ) -> OrderPlan:
        """Plan one order, reviewed against every limit. RefusedError with the code of the control that refuses it.

        `count` and `price` are texts, "10" and "0.24" or "24c": a bare number could mean either scale. A
        `client_order_id` has letters, digits, - and _; an empty one, as of an unset variable, is a UsageError: leave it
        out for a new id.
        """
        return self.plan_ticket(
            OrderTicket(
                ticker=check_text("ticker", ticker).upper(),
                outcome=check_choice("side", side, ("yes", "no")),
                action=check_choice("action", action, ("buy", "sell")),
                qty=from_text("count", qty_from_user, count),
                price=from_text("price", price_from_user, price),
                tif=TIMES_IN_FORCE[check_choice("tif", tif, TIMES_IN_FORCE)],
                post_only=post_only,
                reduce_only=reduce_only,
                expires_in_s=expires_in_s,
                client_order_id=client_order_id,
                order_group_id=group,
                subaccount=subaccount,
                self_trade_prevention=SELF_TRADE_PREVENTIONS[check_choice("stp", stp, SELF_TRADE_PREVENTIONS)],
                cancel_on_pause=cancel_on_pause,
            )
        )

    def plan_ticket(self, ticket: OrderTicket) -> OrderPlan:
        """Plan one order, like `plan_place`, with typed values."""
        check_type("ticket", ticket, OrderTicket)
        engine, proposal = self.entry.propose(ticket)
        typed = (ticket.outcome, ticket.action)
        order = proposal.submit.order
        subject = f"order {order.client_order_id}"

        def execute(age_s: float) -> OrderRow:
            reviewed = engine, proposal
            if age_s > REVIEW_AGAIN_S:
                again = msgspec.structs.replace(ticket, client_order_id=order.client_order_id)
                reviewed = self.entry.propose(again)
            with in_flight(subject):
                return order_row(self.entry.send(*reviewed), typed)

        return self._book.add(
            OrderPlan,
            execute,
            lambda: self.plan_ticket(ticket),
            subject=subject,
            facts=place_facts(self._env, ticket, proposal),
            warnings=(
                *repeat_warnings(self._resources, order),
                *place_warnings(ticket, proposal, self.entry.limits.price_collar),
            ),
            orders=(order_row(order, typed),),
            unknown_orders=sum(each.status is OrderStatus.UNKNOWN for each in engine.state.orders.live()),
            **plan_prices([(proposal.cost, proposal.fee, ticket.qty)]),
            **closing_amounts([proposal.effect]),
        )

    def plan_batch(self, orders: Sequence[batch.BatchLine | OrderTicket]) -> BatchPlan:
        """Plan several orders, each reviewed as if those before it were placed.

        Refused orders stay in the plan and are not sent. UsageError without an order.
        """
        if not orders:
            raise UsageError("The batch has no orders", hint="give one ticket for each order")
        lines = [
            each
            if isinstance(each, batch.BatchLine)
            else batch.BatchLine(number, check_type("order", each, OrderTicket))
            for number, each in enumerate(orders, start=1)
        ]
        engine, judged = batch.propose(self.entry, lines)

        def execute(age_s: float) -> PlanOutcome[BatchRow]:
            with in_flight("the batch"):
                outcome = batch.send(self.entry, engine, judged, is_old=age_s > REVIEW_AGAIN_S)
            errors = tuple(result.error for result in outcome.results)
            return PlanOutcome(rows=tuple(map(batch.batch_row, outcome.results)), error=outcome.worst, errors=errors)

        passed = [each for each in judged if each.denied is None]
        prices = plan_prices([(each.cost, each.fee, each.ticket.qty) for each in passed])
        effects = [each.effect for each in passed if each.effect is not None]
        amounts = prices | closing_amounts(effects)
        facts = (
            f"{self._env}: {len(passed)} of {len(judged)} orders pass the risk limits",
            effects_phrase(effects, prices["fees"]),
        )
        rows = tuple(map(batch.batch_row, judged))
        return self._book.add(
            BatchPlan, execute, lambda: self.plan_batch(lines), subject="the batch", facts=facts, orders=rows, **amounts
        )

    def plan_amend(self, order_id: str | None, change: amend.AmendRequest) -> AmendPlan:
        """Plan a change of a resting order, reviewed as a new order would be."""
        check_type("change", change, amend.AmendRequest)
        engine, proposal = amend.propose(self.entry, cancel.find_order(self._resources, order_id), change)
        before, wanted = proposal.amend.before, proposal.amend.wanted
        subject = f"the amend of order {before.order_id}"

        def execute(age_s: float) -> OrderChangeView:
            reviewed = engine, proposal
            if age_s > REVIEW_AGAIN_S:
                reviewed = amend.propose(self.entry, cancel.find_order(self._resources, before.order_id), change)
                now = reviewed[1].amend.wanted
                if (now.price, now.remaining) != (wanted.price, wanted.remaining):
                    raise RefusedError(
                        f"Order {before.order_id} changed after the plan was made; nothing was sent",
                        hint="plan the amend again",
                        code="PLAN_CHANGED",
                    )
            with in_flight(subject):
                after = amend.send(self.entry, *reviewed)
            return change_view(reviewed[1].amend.before, after, proposal.side)

        return self._book.add(
            AmendPlan,
            execute,
            lambda: self.plan_amend(before.order_id, change),
            subject=subject,
            facts=amend.amend_facts(self._env, proposal),
            warnings=amend.amend_warnings(proposal, self.entry.limits.price_collar),
            orders=(change_view(before, proposal.as_listed(wanted), proposal.side, "dry_run"),),
            **plan_prices([(proposal.cost, proposal.fee, wanted.remaining)]),
            **closing_amounts([proposal.effect]),
        )

    def plan_new_terms(
        self,
        order_id: str | None,
        *,
        side: Literal["yes", "no"],
        price: str | Decimal | None = None,
        count: str | Decimal | None = None,
    ) -> AmendPlan:
        """Plan another price, count left to trade, or both, of a resting order.

        `price` is that of `side`; price and count are texts as in `plan_place`.
        """
        change = amend.AmendRequest(
            outcome=check_choice("side", side, ("yes", "no")),
            price=None if price is None else from_text("price", price_from_user, price),
            qty=None if count is None else from_text("count", qty_from_user, count),
        )
        if change.price is None and change.qty is None:
            raise UsageError("Nothing to change", hint="give a price, a count, or both")
        return self.plan_amend(order_id, change)

    def plan_decrease(self, order_id: str | None, *, by: int | None = None, to: int | None = None) -> DecreasePlan:
        """Plan to decrease a resting order, which keeps its place in the queue. Give one of `by` and `to`."""
        if (by is None) == (to is None):
            raise UsageError("A decrease needs a count to decrease by or to", hint="give either by or to")
        given = {name: Qty(check_whole(name, each)) for name, each in (("by", by), ("to", to)) if each is not None}
        return self._decrease(cancel.find_order(self._resources, order_id), given.get("by"), given.get("to"))

    def _decrease(self, before: Order, by: Qty | None, to: Qty | None) -> DecreasePlan:
        resources = self._resources

        def execute(_age_s: float) -> OrderChangeView:
            after = amend.decrease(resources.client, resources.clock, before, by=by, to=to)
            record_reports(resources, [OrderState(after.updated, after)])
            return change_view(before, self._as_listed(after))

        how = f"by {show_qty(by)}" if by is not None else f"to {show_qty(to or Qty(0))}"
        return self._book.add(
            DecreasePlan,
            execute,
            lambda: self._decrease(before, by, to),
            subject=f"the decrease of order {before.order_id}",
            facts=(f"{self._env}: {show_qty(before.remaining)} contracts remain on {before.ticker}; decrease {how}",),
            orders=(typed_row(before),),
            by=by,
            to=to,
        )

    def _as_listed(self, after: Order) -> Order:
        """Return a decreased order as the exchange lists it, because its reply to a decrease has no original count.

        The order stays as it is where the list cannot be read within WORDS_S, or does not show it yet.
        """
        with suppress(KalshiError), self._resources.client.reading_within(cancel.WORDS_S):
            listed = self._resources.client.order(after.order_id)
            return listed if listed.remaining <= after.remaining else after
        return after

    def plan_cancel(self, *order_ids: str | None, is_described: bool = False) -> CancelPlan:
        """Plan to cancel orders by order ids or client order ids. Reads nothing yet: `execute` reports an unknown id.

        With `is_described`, the facts have the terms of the first MAX_DESCRIBED orders, if read within WORDS_S, and
        name those that the exchange does not know. UsageError without an id.
        """
        ids = tuple(check_text("order_id", each) for each in order_ids)
        if not ids:
            raise UsageError("No order to cancel", hint="give order ids; plan_cancel_all() cancels every order")

        def execute(_age_s: float) -> PlanOutcome[CancelRow]:
            found = cancel.cancel_by_any_id(self._resources, [*ids])
            ended = [each.order for each in found if each.canceled and each.order is not None]
            orders = tuple(map(typed_row, cancel.with_typed(self._resources, ended)))
            return PlanOutcome(rows=tuple(map(CancelRow.of, found)), error=cancel.failure(found), orders=orders)

        what = pluralize(len(ids), "order")
        described = ids[:MAX_DESCRIBED] if is_described else ()
        live, nothing_to_cancel = cancel.find_live_orders(self._resources, described, cancel.WORDS_S)
        return self._book.add(
            CancelPlan,
            execute,
            lambda: self.plan_cancel(*ids),
            subject=f"the cancel of {what}",
            facts=(
                f"{self._env}: cancel {what}: {', '.join(map(cancel.short_name, ids))}",
                *map(resting_words, self.in_own_terms([*map(order_row, live)])),
                *nothing_to_cancel,
            ),
            order_ids=ids,
            nothing_rests=len(nothing_to_cancel) == len(ids),
        )

    def plan_cancel_all(
        self, *, event: str = cancel.ALL, ticker: str = cancel.ALL, halt: bool = True, within_s: float | None = None
    ) -> CancelAllPlan:
        """Plan the kill switch: halt, cancel everything, and verify against a fresh order list. Reads nothing yet.

        With an `event` or a `ticker` (which may be a pattern) it cancels those orders and does not halt.
        """
        resources = self._resources
        scope = cancel.scope_of(event, ticker)
        does_halt = halt and scope.is_everything

        def execute(_age_s: float) -> PlanOutcome[CancelAllView]:
            lock = write_halt_marker(resources.config, resources.machine.now()) if does_halt else None
            with ExitStack() as stack:
                if lock is not None:
                    stack.callback(lock.release)
                with KillRun(resources, scope, lock, within_s) as kill:
                    kill.run()
            return PlanOutcome(rows=(kill.view,), error=kill.error)

        what = "every order" if scope.is_everything else f"the orders of {scope.event or scope.ticker}"
        return self._book.add(
            CancelAllPlan,
            execute,
            lambda: self.plan_cancel_all(event=event, ticker=ticker, halt=halt, within_s=within_s),
            subject="the kill switch",
            facts=(f"{self._env}: {'halt trading, and ' if does_halt else ''}cancel {what}",),
            event=scope.event,
            ticker=scope.ticker,
            halts=does_halt,
        )

    def plan_reconcile(self, wait_s: float = 60.0) -> RequestPlan[float, PlanOutcome[ReconciledRow]]:
        """Plan `reconcile`, for a front end that only executes plans. The outcome has an error for unknown orders."""
        fact = "find out what became of every unconfirmed order; nothing is sent"
        return self._request("reconcile", wait_s, lambda: reconcile_outcome(self.reconcile(wait_s)), fact)

    def plan_close(
        self,
        ticker: str | None = None,
        policy: close.ClosePolicy | None = None,
        *,
        count: int | None = None,
        subaccount: int | None = None,
        is_reviewed: bool = False,
        cancel_orders: bool = False,
    ) -> CloseAllPlan:
        """Plan to close the position in a market, or without a ticker all positions, with a slippage limit.

        With `count`, such as `contracts(5)`, close this many contracts of the position; UsageError if it has fewer.
        With `is_reviewed`, raise RefusedError where the first order would be refused now; without a ticker, `warnings`
        say so of each. With `cancel_orders`, first cancel the manual orders that block the close of this market; the
        facts name them. UsageError for an empty ticker, as of an unset variable: it does not mean every position.
        """
        if isinstance(ticker, str) and not ticker.strip():
            raise UsageError("An empty ticker would mean every position", hint="leave it out to close every position")
        if ticker is None and (cancel_orders or count is not None):
            raise UsageError("A part, or canceling orders first, needs a ticker", hint="name the market to close")
        policy = check_type("policy", policy or close.ClosePolicy(), close.ClosePolicy)
        closer = close.PositionCloser(self.entry, policy, self._resources.note, subaccount)
        plans = closer.plans((ticker or "").upper(), None if count is None else Qty(check_whole("count", count)))
        blocking: Sequence[Order] = ()
        warned: Texts = ()
        if is_reviewed and ticker is None:
            warned = (*closer.warnings(plans), *flatten.left_resting(self._resources, subaccount))
        for plan in plans if ticker is not None else ():
            if cancel_orders and plan.refusal is None:
                blocking = flatten.blocking_orders(self._resources, plan)
            if is_reviewed and not blocking:
                closer.review(plan)
            warned = flatten.opening_after(self._resources, plan, blocking)
        return self._close(closer, plans, (*flatten.unconfirmed(self._resources, plans), *warned), blocking)

    def _close(
        self,
        closer: close.PositionCloser,
        plans: Sequence[close.ClosePlan],
        warned: Texts,
        blocking: Sequence[Order],
    ) -> CloseAllPlan:
        def execute(_age_s: float) -> PlanOutcome[CloseRow]:
            if blocking:
                closer.cancel(self._resources, blocking)
            done = closer.close(plans)  # reads the position before each order
            errors = tuple(each.error for each in done)
            return PlanOutcome(rows=tuple(map(CloseRow.of, done)), error=flatten.failure(done), errors=errors)

        cancels = tuple(f"Cancels first: {resting_words(typed_row(order))}" for order in blocking)
        return self._book.add(
            CloseAllPlan,
            execute,
            lambda: self._close(closer, plans, warned, blocking),
            subject=f"the close of {pluralize(len(plans), 'position')}",
            facts=(*cancels, *map(close.describe_plan, plans)),
            cancels=cancels,
            warnings=warned,
            positions=tuple(map(PlanRow.of, plans)),
        )


R = TypeVar("R", bound=OrderRow)

MAX_DESCRIBED = 5
