"""Orders: what the account has, and every write as a plan that is shown first and then executed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from decimal import Decimal
from functools import cached_property
from typing import Any, Generic, Literal, TypeVar, overload

import msgspec

from kalshi_cli.base.errors import KalshiError, RefusedError, UsageError
from kalshi_cli.base.units import (
    ONE_DOLLAR,
    Money,
    Qty,
    notional,
    pluralize,
    price_from_user,
    qty_from_user,
    show_money,
    show_price,
    show_qty,
)
from kalshi_cli.core.model.order_terms import SelfTradePrevention, TimeInForce
from kalshi_cli.core.model.orders import Order, OrderStatus
from kalshi_cli.services.account.recovery import reconcile, reconciled_row
from kalshi_cli.services.orders import amend, batch, cancel, close
from kalshi_cli.services.orders.cancel_all import KillRun
from kalshi_cli.services.orders.confirmation import place_facts, place_warnings
from kalshi_cli.services.orders.halt_marker import write_halt_marker
from kalshi_cli.services.orders.place import OrderEntry, OrderTicket, open_order_entry
from kalshi_cli.services.orders.queue_positions import queue_positions
from kalshi_cli.services.plans import PlanBook
from kalshi_cli.services.resources import Resources
from kalshi_cli.services.trading.stop_signals import in_flight
from kalshi_cli.views.close import CloseRow, PlanRow
from kalshi_cli.views.orders import (
    BatchRow,
    CancelAllView,
    CancelRow,
    OrderChangeView,
    OrderRow,
    QueueRow,
    ReconciledRow,
    change_view,
    order_row,
)
from kalshi_cli.views.plans import (
    AmendPlan,
    BatchPlan,
    CancelAllPlan,
    CancelPlan,
    CloseAllPlan,
    DecreasePlan,
    OrderPlan,
    Plan,
)

REVIEW_AGAIN_S = batch.LOOK_AGAIN_MS / 1000
"""An order that was reviewed longer ago is reviewed again before it is sent."""

R = TypeVar("R")
P = TypeVar("P", bound=Plan)
Orders = list[OrderRow]


class PlanOutcome(msgspec.Struct, Generic[R], frozen=True, kw_only=True):
    """What became of each part of a plan.

    `error` is the gravest reason why something was not done; None where all was. `errors` has that of each row.
    """

    rows: tuple[R, ...]
    error: KalshiError | None = None
    errors: tuple[KalshiError | None, ...] = ()


class OrderService:
    """The orders of an account. `plan_place` and the like send nothing; `execute` does what a plan says, once.

    A rehearsal leaves no trace: it makes plans, also where writes are switched off, and executes none.
    """

    def __init__(self, resources: Resources, *, is_rehearsal: bool = False) -> None:
        self._resources = resources
        self._is_rehearsal = is_rehearsal
        self._book = PlanBook(resources.machine, resources.new_id)

    @cached_property
    def entry(self) -> OrderEntry:
        """Return what reviews and sends. RefusedError where writes are switched off."""
        return open_order_entry(self._resources, is_rehearsal=self._is_rehearsal)

    # -- reading --------------------------------------------------------------------------------------------------

    def get(self, order_id: str) -> OrderRow:
        """Return an order by the exchange's id or by the client order id."""
        return order_row(cancel.find_order(self._resources, order_id))

    def list(
        self, status: str = "resting", *, ticker: str = "", event: str = "", subaccount: int | None = None
    ) -> Orders:
        """Return orders as the exchange has them; `ticker` may be a pattern, `status` may be "all"."""
        scope = cancel.CancelScope(ticker=ticker.upper())
        found = self._resources.client.all_orders(
            status=None if status == "all" else status, event=event.upper() or None, subaccount=subaccount
        )
        return [order_row(order) for order in found if scope.holds(order)]

    def queue(
        self, order_ids: Sequence[str] = (), *, ticker: str = "", subaccount: int | None = None
    ) -> Sequence[QueueRow]:
        """Return how many contracts must trade before each of these orders, or of all that rest."""
        wanted = [cancel.find_order(self._resources, each) for each in order_ids]
        scope = cancel.CancelScope(ticker=ticker.upper())
        found = queue_positions(self._resources.client, scope, wanted, subaccount)
        return [QueueRow.of(order, ahead=ahead) for order, ahead in found]

    def reconcile(self, wait_s: float = 60.0) -> Sequence[ReconciledRow]:
        """Find out what became of every order whose outcome is unknown. Sends nothing.

        Waits up to `wait_s` for a proof that is due within that time. Rows that are `still_unknown` come last.
        """
        false: dict[str, str] = {}

        def repaired(order: Order, text: str) -> None:
            false[order.client_order_id] = text
            self._resources.tell(f"repaired: order {order.client_order_id} on {order.ticker}: {text}")

        settled, open_ = reconcile(self._resources, wait_s, repaired)
        return [
            reconciled_row(order, false.get(order.client_order_id, ""), is_open=is_open)
            for orders, is_open in ((settled, False), (open_, True))
            for order in orders
        ]

    # -- planning -------------------------------------------------------------------------------------------------

    def plan_place(
        self,
        ticker: str,
        *,
        side: Literal["yes", "no"],
        action: Literal["buy", "sell"],
        count: str | Decimal,
        price: str | Decimal,
        tif: str = "gtc",
        post_only: bool = False,
        reduce_only: bool = False,
        expires_in_s: float | None = None,
        client_order_id: str = "",
        group: str = "",
        subaccount: int | None = None,
        stp: str = "taker",
        cancel_on_pause: bool = False,
    ) -> OrderPlan:
        """Plan one order, reviewed against every limit. RefusedError with the code of the control that denies it.

        `count` and `price` are texts, "10" and "0.24" or "24c": a bare number could mean either scale.
        """
        return self.plan_ticket(
            OrderTicket(
                ticker=ticker.upper(),
                outcome=_one_of("side", side, ("yes", "no")),
                action=_one_of("action", action, ("buy", "sell")),
                qty=_from_text("count", qty_from_user, count),
                price=_from_text("price", price_from_user, price),
                tif=TimeInForce[_one_of("tif", tif, ("gtc", "ioc", "fok")).upper()],
                post_only=post_only,
                reduce_only=reduce_only,
                expires_in_s=expires_in_s,
                client_order_id=client_order_id,
                order_group_id=group,
                subaccount=subaccount,
                self_trade_prevention=SelfTradePrevention[_one_of("stp", stp, ("taker", "maker")).upper()],
                cancel_on_pause=cancel_on_pause,
            )
        )

    def plan_ticket(self, ticket: OrderTicket) -> OrderPlan:
        """Plan one order; as `plan_place`, with typed values."""
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
            warnings=place_warnings(engine, ticket, proposal),
            orders=(order_row(order, typed),),
            unknown_orders=sum(each.status is OrderStatus.UNKNOWN for each in engine.state.orders.live()),
            **_prices([(proposal.cost, proposal.fee, ticket.qty)]),
        )

    def plan_batch(self, orders: Sequence[batch.BatchLine | OrderTicket]) -> BatchPlan:
        """Plan many orders, each reviewed as if those before it were placed. Denied ones stay in the plan, unsent."""
        lines = [
            each if isinstance(each, batch.BatchLine) else batch.BatchLine(number, each)
            for number, each in enumerate(orders, start=1)
        ]
        engine, judged = batch.propose(self.entry, lines)

        def execute(_age_s: float) -> PlanOutcome[BatchRow]:
            with in_flight("the batch"):
                outcome = batch.send(self.entry, engine, judged)  # reviews each line again when its turn comes
            errors = tuple(result.error for result in outcome.results)
            return PlanOutcome(rows=tuple(map(batch.batch_row, outcome.results)), error=outcome.worst, errors=errors)

        passed = [each for each in judged if each.denied is None]
        prices = _prices([(each.cost, each.fee, each.ticket.qty) for each in passed])
        facts = (
            f"{self._env}: {len(passed)} of {len(judged)} orders pass the limits",
            f"cost {show_money(prices['cost'])}, fee up to {show_money(prices['fees'])}, "
            f"worst loss {show_money(prices['max_loss'])}",
        )
        rows = tuple(map(batch.batch_row, judged))
        return self._book.add(
            BatchPlan, execute, lambda: self.plan_batch(lines), subject="the batch", facts=facts, orders=rows, **prices
        )

    def plan_amend(self, order_id: str, change: amend.AmendRequest) -> AmendPlan:
        """Plan a change of a resting order, reviewed as a new order would be."""
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
                        f"order {before.order_id} has changed since the plan was made; nothing was sent",
                        hint="plan the amend again",
                        code="PLAN_CHANGED",
                    )
            with in_flight(subject):
                after = amend.send(self.entry, *reviewed)
            return change_view(reviewed[1].amend.before, after, change.outcome)

        return self._book.add(
            AmendPlan,
            execute,
            lambda: self.plan_amend(before.order_id, change),
            subject=subject,
            facts=_amend_facts(self._env, proposal),
            orders=(change_view(before, wanted, change.outcome, "dry_run"),),
            **_prices([(proposal.cost, proposal.fee, wanted.remaining)]),
        )

    def plan_decrease(self, order_id: str, *, by: Qty | None = None, to: Qty | None = None) -> DecreasePlan:
        """Plan to take contracts off a resting order, which keeps its place in the queue. Give one of `by` and `to`."""
        if (by is None) == (to is None):
            raise UsageError("a decrease goes by a count or to a count", hint="give one of by and to")
        return self._decrease(cancel.find_order(self._resources, order_id), by, to)

    def _decrease(self, before: Order, by: Qty | None, to: Qty | None) -> DecreasePlan:
        resources = self._resources

        def execute(_age_s: float) -> OrderChangeView:
            return change_view(before, amend.decrease(resources.client, resources.clock, before, by=by, to=to))

        how = f"by {show_qty(by)}" if by is not None else f"to {show_qty(to or Qty(0))}"
        return self._book.add(
            DecreasePlan,
            execute,
            lambda: self._decrease(before, by, to),
            subject=f"the decrease of order {before.order_id}",
            facts=(f"{self._env}: {show_qty(before.remaining)} are left on {before.ticker}; decrease {how}",),
            orders=(order_row(before),),
            by=by,
            to=to,
        )

    def plan_cancel(self, *order_ids: str) -> CancelPlan:
        """Plan to cancel orders, by the exchange's ids or by client order ids. Asks nothing of the exchange yet."""

        def execute(_age_s: float) -> PlanOutcome[CancelRow]:
            found = cancel.cancel_by_any_id(self._resources, [*order_ids])
            return PlanOutcome(rows=tuple(map(CancelRow.of, found)), error=cancel.failure(found))

        what = pluralize(len(order_ids), "order")
        return self._book.add(
            CancelPlan,
            execute,
            lambda: self.plan_cancel(*order_ids),
            subject=f"the cancel of {what}",
            facts=(f"{self._env}: cancel {what}: {', '.join(order_ids)}",),
            order_ids=order_ids,
        )

    def plan_cancel_all(
        self, *, event: str = "", ticker: str = "", halt: bool = True, within_s: float | None = None
    ) -> CancelAllPlan:
        """Plan the kill switch: halt, cancel everything, and believe only a fresh list. It reads nothing before.

        With an `event` or a `ticker` (which may be a pattern) it cancels those orders and does not halt.
        """
        resources = self._resources
        scope = cancel.CancelScope(event=event.strip().upper(), ticker=ticker.strip().upper())
        if scope.is_everything and (event or ticker):
            raise UsageError("an empty scope would mean every order", hint="leave it out to cancel everything")
        does_halt = halt and scope.is_everything

        def execute(_age_s: float) -> PlanOutcome[CancelAllView]:
            lock = write_halt_marker(resources.config, resources.machine.now()) if does_halt else None
            with ExitStack() as stack:
                if lock is not None:
                    stack.callback(lock.release)
                with KillRun(resources, scope, lock, within_s) as kill:
                    stack.callback(setattr, resources.limiter, "rank", resources.limiter.rank)
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

    def plan_close(
        self, ticker: str = "", policy: close.ClosePolicy | None = None, *, subaccount: int | None = None
    ) -> CloseAllPlan:
        """Plan to close the position in a market, or every position, at prices that give way to a limit at most."""
        policy = policy or close.ClosePolicy()
        closer = close.PositionCloser(self.entry, policy, self._resources.note, subaccount)
        return self._close(closer, closer.plans(ticker.upper()))

    def _close(self, closer: close.PositionCloser, plans: Sequence[close.ClosePlan]) -> CloseAllPlan:
        def execute(_age_s: float) -> PlanOutcome[CloseRow]:
            done = closer.close(plans)  # reads what is held before each order
            errors = tuple(each.error for each in done)
            return PlanOutcome(rows=tuple(map(CloseRow.of, done)), error=close.failure(done), errors=errors)

        return self._book.add(
            CloseAllPlan,
            execute,
            lambda: self._close(closer, plans),
            subject=f"the close of {pluralize(len(plans), 'position')}",
            facts=tuple(map(close.describe_plan, plans)),
            positions=tuple(map(PlanRow.of, plans)),
        )

    # -- executing ------------------------------------------------------------------------------------------------

    @overload
    def execute(self, plan: OrderPlan) -> OrderRow: ...
    @overload
    def execute(self, plan: AmendPlan | DecreasePlan) -> OrderChangeView: ...
    @overload
    def execute(self, plan: BatchPlan) -> PlanOutcome[BatchRow]: ...
    @overload
    def execute(self, plan: CancelPlan) -> PlanOutcome[CancelRow]: ...
    @overload
    def execute(self, plan: CancelAllPlan) -> PlanOutcome[CancelAllView]: ...
    @overload
    def execute(self, plan: CloseAllPlan) -> PlanOutcome[CloseRow]: ...
    def execute(self, plan: Plan) -> Any:
        """Do what was planned, once, and return what came of it.

        RefusedError where the plan is stale, changed or executed already, or where a limit or a halt denies it now.
        OutcomeUnknownError where nobody knows whether it happened: `reconcile` finds out.
        """
        if self._is_rehearsal:
            raise RefusedError("a rehearsal sends nothing", code="REHEARSAL")
        return self._book.execute(plan)

    def renew(self, plan: P) -> P:
        """Make the same plan again, after a person took time to agree to it: orders are reviewed by what is true now.

        What closes, cancels or decreases stays as it was shown.
        """
        return self._book.renew(plan)

    @property
    def _env(self) -> str:
        return self._resources.config.env


def _prices(orders: Sequence[tuple[Money, Money, Qty]]) -> dict[str, Money]:
    """Return the sums of cost, fee and payout of these orders."""
    cost, fees = (Money(sum(each[at] for each in orders)) for at in (0, 1))
    payout = Money(sum(notional(ONE_DOLLAR, qty) for _, _, qty in orders))
    return {"cost": cost, "fees": fees, "max_loss": Money(cost + fees), "max_payout": payout}


def _amend_facts(env: str, proposal: amend.AmendProposal) -> tuple[str, ...]:
    before, wanted = proposal.amend.before, proposal.amend.wanted
    was = f"{show_qty(before.remaining)} at {show_price(before.price)}"
    will = f"{show_qty(wanted.remaining)} at {show_price(wanted.price)}"
    return (
        f"{env}: {before.side.value} of {before.ticker} on the YES book, left {was}; from now on {will}",
        f"cost {show_money(proposal.cost)}, fee up to {show_money(proposal.fee)}",
    )


T = TypeVar("T")


def _from_text(name: str, parse: Callable[[str], T], value: str | Decimal) -> T:
    """Read a text as a person types it. UsageError for anything else: a number does not tell its scale."""
    if not isinstance(value, str | Decimal):
        raise UsageError(f"{name} must be a text, not {value!r}", hint=f'like {name}="10" or {name}="0.24"')
    try:
        return parse(str(value))
    except ValueError as error:
        raise UsageError(f"{name}: {error}") from error


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> Any:
    if value not in choices:
        raise UsageError(f"{name} must be one of {', '.join(choices)}, not {value!r}")
    return value
