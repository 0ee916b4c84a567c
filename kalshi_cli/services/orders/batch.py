"""Place several manual orders: each is reviewed like a single order, and several travel in one request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from typing import NamedTuple

import msgspec

from kalshi_cli.base import errors
from kalshi_cli.base.units import ONE_DOLLAR, Money, Ts, notional, pluralize
from kalshi_cli.core.engine.engine import TradingEngine
from kalshi_cli.core.model.effects import OrderRefused, SubmitOrder
from kalshi_cli.core.model.exchange import TradingState
from kalshi_cli.core.model.intents import Place
from kalshi_cli.core.model.markets import Market
from kalshi_cli.core.model.messages import OrderRejected
from kalshi_cli.core.model.orders import DUPLICATE_ID, Order, OrderStatus
from kalshi_cli.exchange.live.live_venue import LiveVenue
from kalshi_cli.services.orders.order_effect import OrderEffect, effect_at, price_of
from kalshi_cli.services.orders.place import OrderEntry, OrderTicket, wait_for_orders
from kalshi_cli.services.plans import REVIEW_AGAIN_S
from kalshi_cli.services.runner import NOT_SENT, process_messages
from kalshi_cli.services.trading import refusals
from kalshi_cli.store.records import NO_HALT, Halt
from kalshi_cli.views.formats import MaxMoney, TruncatableText
from kalshi_cli.views.orders import BatchRow
from kalshi_cli.views.plans import OrderAmounts

MAX_ORDERS = 1_000
MAX_MARKETS = 100
"""The most orders, and the most markets, in one batch."""

LOOK_AGAIN_MS = int(1000 * REVIEW_AGAIN_S)
"""The highest age of the books and the account data when an order is reviewed before its turn."""

RECONCILE = "kalshi order reconcile"


class BatchInterruptedError(errors.OutcomeUnknownError):
    """A batch that was interrupted while it was being sent: orders of it may be live."""


class BatchLine(NamedTuple):
    """An order and the number of its line."""

    number: int
    ticket: OrderTicket


class ReviewedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line after its review: an order that may be sent, or the refusal."""

    number: int
    ticket: OrderTicket
    verdict: SubmitOrder | OrderRefused | errors.RefusedError
    """A RefusedError is that of a client order id which was used before."""
    cost: Money = Money(0)
    fee: Money = Money(0)
    effect: OrderEffect | None = None
    """The contracts that the order closes and opens; None for a refused line."""
    halt: Halt = NO_HALT
    """The halt on file at the time of the review."""

    @property
    def denied(self) -> errors.RefusedError | None:
        """Return the error of a refused line; None where the order may be sent."""
        if isinstance(self.verdict, SubmitOrder):
            return None
        return refusals.refusal(self.verdict, self.halt) if isinstance(self.verdict, OrderRefused) else self.verdict

    @property
    def amounts(self) -> OrderAmounts | None:
        """Return the amounts of the order; None for a refused line."""
        if self.effect is None or self.denied is not None:
            return None
        return OrderAmounts(
            cost=self.effect.cost,
            max_fees=MaxMoney(self.fee),
            max_loss=MaxMoney(Money(self.effect.cost + self.fee)),
            max_payout=notional(ONE_DOLLAR, self.effect.opened),
            closing=self.effect.closed,
            proceeds=self.effect.proceeds,
            closing_cost=self.effect.basis or None,
        )


class BatchLineResult(NamedTuple):
    """The result of a line. `error` stays empty where the order was placed, `order` where a control refused it."""

    number: int
    ticket: OrderTicket
    order: Order | None
    status: str
    error: errors.KalshiError | None
    amounts: OrderAmounts | None = None


class BatchOutcome(NamedTuple):
    """The result of every line. `trouble` is the error that kept the rest from being sent or saved."""

    results: tuple[BatchLineResult, ...]
    trouble: errors.KalshiError | None

    @property
    def worst(self) -> errors.KalshiError | None:
        """Return the error with the most severe exit code; orders that may be live come before refused ones."""
        found = [*(result.error for result in self.results), self.trouble]
        return max(filter(None, found), key=_gravity, default=None)


def _gravity(error: errors.KalshiError) -> tuple[bool, int, bool]:
    """Rank an error. An id that was used before is expected of a file that is sent again: it hides no other reason."""
    return isinstance(error, errors.OutcomeUnknownError), error.exit_code, error.code != DUPLICATE_ID


def propose(entry: OrderEntry, lines: Sequence[BatchLine]) -> tuple[TradingEngine, list[ReviewedLine]]:
    """Review the orders one after the other, each as if those before it were placed. Sends nothing.

    A line whose client order id was used before is refused like one that a risk limit refuses, so that a file with ids
    may be sent again. UsageError or NotFoundError, naming the lines, where a line is not a valid order; then no order
    may be sent.
    """
    markets = _markets(entry, lines)
    intents = _intents(entry, lines, markets)
    engine = entry.engine(list(markets.values()))
    taken = entry.taken(engine, [line.ticket for line in lines])
    judged = []
    for line, intent in zip(lines, intents, strict=True):
        name = line.ticket.client_order_id or ""
        cost, fee, effect = Money(0), Money(0), None
        verdict: SubmitOrder | OrderRefused | errors.RefusedError
        if (used := entry.used(name)) is not None or name in taken:
            verdict = used or refusals.duplicate(name)
        else:
            verdict = engine.place(intent, client_order_id=name)
        if isinstance(verdict, OrderRefused):
            entry.store.record(verdict)
        elif isinstance(verdict, SubmitOrder):
            cost, fee = price_of(verdict.order, engine)
            effect = effect_at(engine, verdict.order)
        reviewed = ReviewedLine(
            number=line.number, ticket=line.ticket, verdict=verdict, cost=cost, fee=fee, effect=effect
        )
        judged.append(msgspec.structs.replace(reviewed, halt=entry.store.halt()))
    return engine, judged


def _markets(entry: OrderEntry, lines: Sequence[BatchLine]) -> dict[str, Market]:
    tickers = list(dict.fromkeys(line.ticket.ticker for line in lines))
    if len(lines) > MAX_ORDERS or len(tickers) > MAX_MARKETS:
        raise errors.UsageError(
            f"{len(lines)} orders in {pluralize(len(tickers), 'market')} exceed the limits of one batch",
            hint=f"at most {MAX_ORDERS} orders in {MAX_MARKETS} markets; split the file",
        )
    found: dict[str, Market] = {}
    missing: list[str] = []
    for ticker in tickers:
        try:
            found[ticker] = entry.client.market(ticker)
        except errors.NotFoundError:
            missing.append(ticker)
    _refuse_lines(
        [f"line {line.number}: no market {line.ticket.ticker}" for line in lines if line.ticket.ticker in missing],
        errors.NotFoundError,
    )
    return found


def _intents(entry: OrderEntry, lines: Sequence[BatchLine], markets: dict[str, Market]) -> list[Place]:
    uses = Counter(line.ticket.client_order_id for line in lines)
    intents, wrong = [], []
    for line in lines:
        name = line.ticket.client_order_id
        try:
            if name and uses[name] > 1:
                raise errors.UsageError(f"Client order id {name} is used on several lines")
            entry.client.whose(line.ticket.subaccount)
            intents.append(line.ticket.intent(markets[line.ticket.ticker]))
        except (errors.UsageError, errors.RefusedError) as error:
            wrong.append(_wrong(line.number, error))
    _refuse_lines(wrong)
    return intents


def _wrong(number: int, error: errors.KalshiError) -> str:
    return f"line {number}: {error.message}" + (f" ({error.hint})" if error.hint else "")


def _refuse_lines(wrong: list[str], kind: type[errors.KalshiError] = errors.UsageError) -> None:
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise kind("; ".join(wrong[:3]) + more, hint="nothing was sent; correct the file and run it again")


def send(
    entry: OrderEntry, engine: TradingEngine, judged: Sequence[ReviewedLine], *, is_old: bool = False
) -> BatchOutcome:
    """Save each order, send them in as few requests as the rate limit allows, and return the result of every line.

    Each order is sent once. The rate limit can make a batch last for minutes, so each order is reviewed again when its
    turn comes; where the review `is_old`, books and account are read again before the first. After an unanswered
    request its orders are looked up; while one of them is unknown, or after a rejected request, nothing more is sent.
    An interrupt ends the batch with what is known of each line.
    """
    looked, lines, venue = Ts(0) if is_old else engine.state.now, list(judged), entry.venue(engine)
    passed = [at for at, each in enumerate(lines) if each.denied is None]
    for submit in _passing(lines):
        engine.take_back(submit.order)
    most, details = entry.client.largest_batch(), dict[str, str]()
    trouble: errors.KalshiError | None = None
    written: list[Order] = []
    try:
        for start in range(0, len(passed), most):
            written.clear()
            turn = passed[start : start + most]
            try:
                looked = _look(entry, engine, looked)
                for at in turn:
                    lines[at] = _reviewed(entry, engine, lines[at])
            except errors.KalshiError as error:  # this request was not sent
                trouble = error
                break
            submits = _passing(lines[at] for at in turn)
            trouble = _send_few(entry, engine, venue, submits, details, written) if submits else None
            if trouble is not None:
                break
            few = [submit.order for submit in submits]
            wait_for_orders(entry.client, entry.store, entry.clock, engine, few)
            if any((engine.state.orders.get(o.client_order_id) or o).status is OrderStatus.UNKNOWN for o in few):
                trouble = errors.UnreachableError(
                    "Not sent, because an earlier request got no response", hint=RECONCILE
                )
                break
    except KeyboardInterrupt:
        trouble = BatchInterruptedError(
            "Interrupted while the batch was being sent. The status of each line is what is known of it", hint=RECONCILE
        )
    doubtful = frozenset(order.client_order_id for order in written)
    results = tuple(_result(each, engine, details, trouble, doubtful) for each in lines)
    if not isinstance(trouble, BatchInterruptedError):
        entry.book_fills(engine, [each.order for each in results if each.order is not None])
    return BatchOutcome(results, trouble)


def _passing(lines: Iterable[ReviewedLine]) -> list[SubmitOrder]:
    return [each.verdict for each in lines if isinstance(each.verdict, SubmitOrder)]


def _look(entry: OrderEntry, engine: TradingEngine, looked: Ts) -> Ts:
    """Update the engine with external orders, and with books and account where they are old.

    Returns when books and account were read.
    """
    if entry.clock.now() - looked > LOOK_AGAIN_MS:
        entry.look_again(engine)
        looked = entry.clock.now()
    entry.include_external_orders(engine)
    if entry.store.halt().state is TradingState.REDUCING and engine.state.trading is TradingState.ACTIVE:
        engine.state.trading = TradingState.REDUCING  # a saved halt stops the whole batch: see `_send_few`
    return looked


def _reviewed(entry: OrderEntry, engine: TradingEngine, judged: ReviewedLine) -> ReviewedLine:
    """Review an order again from current data, under the same id."""
    assert isinstance(judged.verdict, SubmitOrder)
    order = judged.verdict.order
    if (used := entry.used(order.client_order_id)) is not None:  # placed since the first review
        return msgspec.structs.replace(judged, verdict=used)
    intent = judged.ticket.intent(engine.state.markets[order.ticker])
    verdict = engine.place(intent, client_order_id=order.client_order_id)
    if isinstance(verdict, OrderRefused):
        entry.store.record(verdict)
    return msgspec.structs.replace(judged, verdict=verdict, halt=entry.store.halt())


def _send_few(
    entry: OrderEntry,
    engine: TradingEngine,
    venue: LiveVenue,
    submits: Sequence[SubmitOrder],
    details: dict[str, str],
    written: list[Order],
) -> errors.KalshiError | None:
    """Send one request. Return the error after which no other request may follow.

    Adds each order to `written` once it is saved: from then on an interrupt leaves it in doubt.
    """
    orders = [submit.order for submit in submits]
    try:
        for submit in submits:
            entry.store.record(submit)
            written.append(submit.order)
        replies = venue.submit_batch(submits)
    except (errors.HaltedError, errors.StateFileError) as error:  # the request was not sent
        code = error.code if isinstance(error, errors.HaltedError) else NOT_SENT
        details.update({order.client_order_id: error.message for order in written})
        with suppress(errors.StateFileError):
            process_messages(
                (OrderRejected(o.created, o.client_order_id, code, error.message) for o in written),
                engine,
                venue,
                entry.store,
            )
        return _stopped(error, entry.store.halt()) if isinstance(error, errors.HaltedError) else error
    details.update({each.client_order_id: each.detail for each in replies if isinstance(each, OrderRejected)})
    try:
        process_messages(replies, engine, venue, entry.store)
    except errors.StateFileError as error:
        return refusals.sent_but_not_saved(f"a batch of {pluralize(len(orders), 'order')} was sent", error)
    for reply in replies:
        if isinstance(reply, OrderRejected) and reply.code in refusals.NEVER_THERE:
            return refusals.rejection("Batch not placed", orders[0], reply.code, reply.detail)
    return None


def _stopped(error: errors.HaltedError, halt: Halt) -> errors.RefusedError:
    """Return the error for a request that was not sent; requests before it may have been."""
    stopped = refusals.halted(error, halt)
    if stopped.code != "STATE_MOVED":
        return stopped
    return errors.RefusedError(
        "Another program placed or amended an order at the same time; the orders left were not sent",
        hint="send the lines again whose status is not_sent, or rejected with this code",
        code=stopped.code,
    )


def _result(
    judged: ReviewedLine,
    engine: TradingEngine,
    details: dict[str, str],
    trouble: errors.KalshiError | None,
    doubtful: Collection[str],
) -> BatchLineResult:
    """Return the result of a line. The orders of the last request are `doubtful` where it was interrupted."""
    if not isinstance(judged.verdict, SubmitOrder):
        return BatchLineResult(judged.number, judged.ticket, None, OrderStatus.DENIED.value, judged.denied)
    name = judged.verdict.order.client_order_id
    order = engine.state.orders.get(name) or judged.verdict.order
    status = order.status.value
    error: errors.KalshiError | None = None
    if isinstance(trouble, BatchInterruptedError) and order.status is OrderStatus.SUBMITTED:
        status = OrderStatus.UNKNOWN.value if name in doubtful else NOT_SENT
        error = trouble if name in doubtful else errors.UnreachableError("Not sent, because the batch was interrupted")
    elif order.status is OrderStatus.SUBMITTED or order.code == NOT_SENT:
        status = NOT_SENT
        is_said = trouble is not None and not isinstance(trouble, errors.OutcomeUnknownError)
        error = trouble if is_said else errors.UnreachableError("Not sent, because it could not be saved first")
    elif order.status is OrderStatus.UNKNOWN:
        error = refusals.unconfirmed(order)
    elif order.status is OrderStatus.NEVER_ARRIVED:
        error = errors.UnreachableError("Verified: not on the exchange", code="never_arrived")
    elif order.status is OrderStatus.REJECTED:
        error = refusals.rejection("Not placed", order, order.code, details.get(name, ""))
    return BatchLineResult(judged.number, judged.ticket, order, status, error, judged.amounts)


def batch_row(found: ReviewedLine | BatchLineResult) -> BatchRow:
    """Return the result of a line, or of its review in a dry run."""
    if isinstance(found, BatchLineResult):
        order, status, error = found.order, found.status, found.error
    else:
        order, status, error = None, "denied" if found.denied else "dry_run", found.denied
    amounts = found.amounts
    return BatchRow.of(
        found,
        order_id=(order.order_id if order else error.order_id if error else "") or None,
        client_order_id=(order or found.ticket).client_order_id or None,
        filled=order.filled if order else None,
        remaining=order.remaining if order else None,
        status=status,
        code=error.code if error else None,
        detail=TruncatableText(error.message) if error else None,
        **{name: getattr(amounts, name, None) for name in OrderAmounts.__struct_fields__},
    )
